//! The chat at a terminal, line by line.

use std::os::fd::AsRawFd;

use super::driver::Driver;
use super::streams::{
    ENDING, INPUT_BYTES, finish, login_refused, print_events, read_typed, write_out,
};
use crate::client::editor::{Action as Key, Editor};
use crate::client::line::Line;
use crate::client::options::{Error, io_error};
use crate::client::screen::keep::KEEP_MS;
use crate::client::show;
use crate::client::store::typed::{Keeper, Typed, Unsent};
use crate::sys::clock;
use crate::sys::poll::PollFd;
use crate::sys::process;
use crate::sys::signal::{self, Signals};
use crate::sys::terminal::{self, RawMode};
use crate::wal::RealDisk;

/// Columns of a terminal that does not say.
const COLUMNS: usize = 80;
const BRACKETED_PASTE_ON: &[u8] = b"\x1b[?2004h";
const BRACKETED_PASTE_OFF: &[u8] = b"\x1b[?2004l";

pub struct Terminal {
    driver: Driver,
    line: Line,
    editor: Editor,
    signals: Signals,
    raw: Option<RawMode>,
    /// The line as it stands on the screen, not to draw it again for nothing.
    drawn: Vec<u8>,
    keeper: Keeper<RealDisk>,
    /// What is kept besides the line and its history.
    kept: Typed,
    keep_at: Option<u64>,
    ended: bool,
}

impl Terminal {
    /// Takes the terminal.
    pub fn new(driver: Driver, line: Line) -> Result<Terminal, Error> {
        let watched = [&ENDING[..], &[signal::WINCH, signal::TSTP]].concat();
        let signals = Signals::new(&watched).map_err(io_error("watch for signals"))?;
        let raw = Some(enter_raw()?);
        let mut editor = Editor::new();
        let (keeper, mut kept) = driver.place.typed();
        editor.set_history(std::mem::take(&mut kept.lines));
        let (drawn, keep_at, ended) = (Vec::new(), None, false);
        let mut terminal =
            Terminal { driver, line, editor, signals, raw, drawn, keeper, kept, keep_at, ended };
        terminal.take_draft();
        Ok(terminal)
    }

    /// Chats until the end; the exit code.
    pub fn run(mut self) -> Result<u8, Error> {
        let result = self.turns();
        self.keep();
        let mut last = Vec::new();
        Editor::erase(&mut last);
        let _ = write_out(&last);
        self.raw = None;
        result?;
        match self.line.refused().cloned() {
            Some(refusal) => {
                self.driver.agent.close()?;
                Err(login_refused(refusal))
            }
            None => finish(self.driver, 0),
        }
    }

    fn turns(&mut self) -> Result<(), Error> {
        loop {
            let now_ms = clock::monotonic_ms();
            self.show(now_ms)?;
            if self.ended || self.line.is_quitting() || self.line.refused().is_some() {
                return Ok(());
            }
            let mut fds =
                [PollFd::new(0, true, false), PollFd::new(self.signals.as_raw_fd(), true, false)];
            let now_ms = self.driver.wait(&mut fds, &[self.editor.deadline(), self.keep_at])?;
            if fds[1].ready_read {
                self.on_signals()?;
            }
            if fds[0].ready_read || fds[0].hangup {
                self.on_input(now_ms)?;
            }
            let late = self.editor.expire(now_ms);
            self.on_keys(now_ms, late)?;
            if self.keep_at.is_some_and(|at| at <= now_ms) {
                self.keep();
            }
        }
    }

    /// Begins a line with what was typed for this conversation and not sent.
    fn take_draft(&mut self) {
        let to = self.line.current().unwrap_or_default();
        let place = self.kept.drafts.iter().position(|draft| draft.to == to);
        if let Some(place) = place.filter(|_| self.editor.text().is_empty()) {
            let Unsent { text, cursor, .. } = self.kept.drafts.remove(place);
            self.editor.replace(text);
            self.editor.set_cursor(cursor);
        }
    }

    /// Keeps the line and the history on the disk.
    fn keep(&mut self) {
        self.keep_at = None;
        let mut typed = Typed { lines: self.editor.history().clone(), ..self.kept.clone() };
        if !self.line.is_asking() && !self.editor.text().is_empty() {
            let to = self.line.current().unwrap_or_default().to_string();
            let (text, cursor) = (self.editor.text().to_string(), self.editor.cursor());
            typed.set_draft(Unsent { to, text, cursor });
        }
        if let Some(trouble) = self.keeper.save(&typed).trouble {
            self.line.printer.notice(&trouble);
        }
    }

    /// Prints what has happened above the line, in one write.
    fn show(&mut self, now_ms: u64) -> Result<(), Error> {
        print_events(&mut self.driver, &mut self.line, now_ms);
        self.editor.set_secret(self.line.is_secret());
        self.editor.set_prompt(&self.line.prompt(&self.driver.agent));
        let printed = self.line.printer.take();
        let mut drawn = Vec::new();
        let columns = terminal::size(1).map_or(COLUMNS, |(columns, _)| columns as usize);
        self.editor.render(columns.max(2), &mut drawn);
        if !printed.is_empty() || drawn != self.drawn {
            let mut out = Vec::new();
            if !printed.is_empty() {
                Editor::erase(&mut out);
                out.extend_from_slice(&printed);
            }
            out.extend_from_slice(&drawn);
            write_out(&out)?;
            self.drawn = drawn;
        }
        if let Err(error) = self.driver.agent.shown() {
            self.line.printer.notice(&error.to_string());
        }
        Ok(())
    }

    fn on_signals(&mut self) -> Result<(), Error> {
        while let Some(signal) = self.signals.next() {
            match signal {
                signal::WINCH => self.drawn.clear(),
                signal::TSTP => self.suspend()?,
                _ => self.ended = true,
            }
        }
        Ok(())
    }

    fn on_input(&mut self, now_ms: u64) -> Result<(), Error> {
        let mut bytes = [0; INPUT_BYTES];
        let Some(count) = read_typed(&mut bytes) else { return Ok(()) };
        if count == 0 {
            self.ended = true;
            return Ok(());
        }
        let actions = self.editor.feed(now_ms, &bytes[..count]);
        self.keep_at = Some(now_ms + KEEP_MS);
        self.on_keys(now_ms, actions)
    }

    fn on_keys(&mut self, now_ms: u64, actions: Vec<Key>) -> Result<(), Error> {
        for action in actions {
            match action {
                Key::Submit(line) => {
                    let current = self.line.current().map(str::to_string);
                    self.line.on_line(&mut self.driver.agent, now_ms, &line);
                    self.editor.set_secret(self.line.is_secret());
                    if self.line.current() != current.as_deref() {
                        self.take_draft();
                    }
                    self.keep();
                }
                Key::Interrupt { cleared } => self.line.on_interrupt(cleared),
                Key::EndOfInput => self.ended = true,
                Key::NothingToDelete => self.line.printer.notice(show::HOW_TO_LEAVE),
                Key::Suspend => self.suspend()?,
                Key::ClearScreen => {
                    let mut out = Vec::new();
                    Editor::clear_screen(&mut out);
                    write_out(&out)?;
                    self.drawn.clear();
                }
                Key::Full { lost } => self.line.printer.notice(&show::left_out(lost)),
            }
        }
        Ok(())
    }

    /// Ctrl-Z: the terminal as it was, the process group stopped; later on as before.
    fn suspend(&mut self) -> Result<(), Error> {
        let mut out = Vec::new();
        Editor::erase(&mut out);
        write_out(&out)?;
        self.raw = None;
        process::stop_group();
        self.raw = Some(enter_raw()?);
        self.drawn.clear();
        Ok(())
    }
}

fn enter_raw() -> Result<RawMode, Error> {
    let raw = RawMode::enter(1, BRACKETED_PASTE_OFF).map_err(io_error("use the terminal"))?;
    write_out(BRACKETED_PASTE_ON)?;
    Ok(raw)
}
