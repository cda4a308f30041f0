//! The client's loop: standard input, the socket and signals in, one write to standard output each
//! turn. One thread, and one for each look-up of a name; it waits nowhere but in `poll`.
//!
//! Output to a pipe that nobody empties stops the loop, and with it the reading of the socket: then
//! the server leaves pushes out and says so, and `sync` brings them later. Nothing piles up here.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::commands::Old;
use super::driver::Driver;
use super::editor::{Action as Key, Editor};
use super::line::Line;
use super::options::{Action, Error, Options, io_error};
use super::printer::{Printer, Sending, Style};
use super::screen::keep::KEEP_MS;
use super::show::{self, messages};
use super::store::typed::{Keeper, Typed, Unsent};
use super::store::{self, Store};
use super::{commands, fullscreen, oneshot, password, pipe};
use crate::limits;
use crate::sys::clock;
use crate::sys::poll::PollFd;
use crate::sys::process;
use crate::sys::signal::{self, Signals};
use crate::sys::terminal::{self, RawMode};
use crate::wal::RealDisk;

/// Bytes read from standard input at a time.
pub(super) const INPUT_BYTES: usize = 16 << 10;
/// The exit code where all was done that was asked for, but messages that have waited for more than a
/// day are still in the outbox.
const OLD_WAIT: u8 = 3;
/// How often a run that waits for another client to end looks again, milliseconds.
const SLOT_LOOK_MS: u64 = 20;
/// Columns of a terminal that does not say.
const COLUMNS: usize = 80;
const BRACKETED_PASTE_ON: &[u8] = b"\x1b[?2004h";
const BRACKETED_PASTE_OFF: &[u8] = b"\x1b[?2004l";

/// Runs the client and gives the process's exit code: 0, 1 where something was not done (and a line on
/// standard error or an event said so), or 3 where old messages wait that nobody has decided about.
///
/// # Errors
/// What ended it before its time.
pub fn run(options: Options) -> Result<u8, Error> {
    let mut sending = Sending::default();
    match run_action(options.clone(), &mut sending) {
        // Whoever read the output has had enough.
        Err(Error::Io { error, .. }) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) if options.json => {
            let mut printer = Printer::new(Style::Json);
            let command = options.action.name();
            printer.run_failed(command, &sending, error.code(), &error.to_string());
            // The error itself is the one to tell of.
            let _ = write_out(&printer.take());
            Err(error)
        }
        other => other,
    }
}

fn run_action(mut options: Options, sending: &mut Sending) -> Result<u8, Error> {
    let user = match &options.user {
        Some(user) => user.clone(),
        None => password::ask_name()?,
    };
    let user = commands::to_name(&user).map_err(|why| Error::Usage(format!("--user: {why}")))?;
    if options.servers.is_empty() {
        return Err(Error::Usage("--servers lists no server".to_string()));
    }
    if let Action::SendInput { to } = &options.action {
        let text = Some(whole_input(io::stdin().lock())?);
        options.action = Action::Send { to: to.clone(), text };
    }
    if let Action::Send { to, text: Some(text) } = &options.action {
        sending.message = Some((to.clone(), text.clone()));
    }
    let (store, found) = open_store(&mut options, &user)?;
    let mut password = password::given(&options.password)?;
    if password.is_none() && (options.create || store.kept().token.is_none()) {
        password = Some(password::ask(&format!("password of {user}"), options.create)?);
    }
    let is_chat = options.action == Action::Chat;
    let look_up = crate::net::resolver::system();
    let mut driver = Driver::new(&options, &user, password, store, is_chat, look_up)?;
    deal_with_old(&mut driver, options.old)?;
    driver.session.tell_held();
    match &options.action {
        Action::Chat => chat(driver, &options, &user, &found),
        Action::Send { to, text: None } => send_lines(driver, &options, &user, to),
        _ => oneshot::run(driver, &options, &user, sending),
    }
}

/// All of standard input, as the text of one message.
fn whole_input(input: impl Read) -> Result<String, Error> {
    let most = limits::BODY_BYTES;
    let mut bytes = Vec::new();
    let read = input.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(io_error("read standard input"))?;
    if bytes.len() > most {
        return Err(Error::Failed(format!(
            "standard input has more than {most} bytes, the maximum for one message; nothing was \
             sent"
        )));
    }
    let text = commands::utf8(bytes).and_then(|text| commands::to_text(&text));
    text.map_err(|why| Error::Failed(format!("standard input: {why}; nothing was sent")))
}

/// Opens the files of the account. A run without a terminal waits until one of the clients that run
/// makes room, and one that only reads goes on without files of its own.
fn open_store(options: &mut Options, user: &str) -> Result<(Store, store::Found), Error> {
    let state_dir =
        options.state_dir.clone().or_else(store::default_dir).ok_or_else(|| {
            Error::Usage("no home directory for the outbox; give --state-dir".into())
        })?;
    let only_reads = options.action.only_reads() && options.old == Old::Show;
    let waits = !only_reads && !is_interactive(options);
    let start_ms = clock::monotonic_ms();
    loop {
        let why = match Store::open(&state_dir, user, &options.servers) {
            Ok(opened) => return Ok(opened),
            Err(why) => why,
        };
        let is_full = matches!(why, store::Error::NoPlace(_));
        if only_reads {
            if !is_full {
                show::complain(&format!("{why}; this run saves nothing on disk"));
            }
            return Ok((
                Store::unkept(&state_dir, user, &options.servers),
                store::Found::default(),
            ));
        }
        let waited_ms = clock::monotonic_ms() - start_ms;
        let is_late = options.timeout_ms > 0 && waited_ms >= options.timeout_ms;
        if !is_full || !waits || is_late {
            return Err(why.into());
        }
        if options.timeout_ms > 0 {
            // What is left of the time is for the rest.
            options.timeout_ms = options.timeout_ms.saturating_sub(SLOT_LOOK_MS).max(1);
        }
        // No event tells of another process's lock that can be waited for with a bound.
        std::thread::sleep(Duration::from_millis(SLOT_LOOK_MS));
    }
}

/// Does what `--old` says with the messages that have waited for more than a day.
fn deal_with_old(driver: &mut Driver, old: Old) -> Result<(), Error> {
    let (count, what) = match old {
        Old::Show => return Ok(()),
        Old::Send => (driver.session.send_old(clock::monotonic_ms()), "sending now"),
        Old::Drop => (driver.drop_old()?, "discarded"),
    };
    if count > 0 {
        show::complain(&format!("{} that waited for more than a day: {what}", messages(count)));
    }
    Ok(())
}

fn chat(driver: Driver, options: &Options, user: &str, found: &store::Found) -> Result<u8, Error> {
    let interactive = is_interactive(options);
    let style = match (options.json, interactive) {
        (true, _) => Style::Json,
        (false, true) => Style::Terminal { colour: wants_colour() },
        (false, false) => Style::Text,
    };
    if interactive && !options.plain && !is_dumb() {
        return fullscreen::run(driver, options, user, found);
    }
    let mut line = Line::new(style, user, interactive);
    tell_found(&driver, found, |text| line.printer.notice(text));
    match interactive {
        true => Terminal::new(driver, line)?.run(),
        false => pipe::run(driver, line, options, None),
    }
}

/// Somebody sits at a terminal.
fn is_interactive(options: &Options) -> bool {
    let is_chat = options.action == Action::Chat && !options.json;
    is_chat && io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// `--send` without a text: every line of standard input is a message.
fn send_lines(driver: Driver, options: &Options, user: &str, to: &str) -> Result<u8, Error> {
    let to = commands::to_name(to).map_err(|why| Error::Usage(format!("--send: {why}")))?;
    let style = if options.json { Style::Json } else { Style::Problems };
    pipe::run(driver, Line::that_only_sends(style, user), options, Some(to))
}

/// NO_COLOR (no-color.org) counts when it is not empty.
pub(super) fn wants_colour() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && !is_dumb()
}

/// The terminal understands no escape sequences.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Tells what opening the files has found.
pub(super) fn tell_found(driver: &Driver, found: &store::Found, mut tell: impl FnMut(&str)) {
    if found.shared {
        tell(
            "another client of this account is running here: this one uses a separate outbox and \
             shows new messages only",
        );
    }
    if found.damaged > 0 {
        let path = driver.outbox().display();
        tell(&format!(
            "skipped {} damaged lines in {path}; a copy of the damaged file is kept beside it",
            found.damaged
        ));
    }
    let waiting = driver.session.waiting();
    if waiting > 0 {
        tell(&format!("{} in the outbox from an earlier run", messages(waiting)));
    }
}

/// Writes all to standard output and flushes.
pub(super) fn write_out(bytes: &[u8]) -> Result<(), Error> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(io_error("write to standard output"))
}

/// What was typed: how many bytes, 0 when the terminal is gone; none when a signal came first.
pub(super) fn read_typed(bytes: &mut [u8]) -> Option<usize> {
    match io::stdin().lock().read(bytes) {
        Ok(count) => Some(count),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
        Err(_) => Some(0),
    }
}

/// Signals that end the client.
pub(super) fn is_ending(signal: i32) -> bool {
    [signal::INT, signal::TERM, signal::HUP, signal::QUIT].contains(&signal)
}

/// The end: files closed, and a sentence about what still waits.
pub(super) fn finish(driver: Driver, code: u8) -> Result<u8, Error> {
    let waiting = driver.session.waiting();
    let path = driver.outbox().display().to_string();
    if let Some(trouble) = driver.session.trouble().filter(|_| waiting > 0) {
        show::complain(&format!("not connected: {trouble}"));
    }
    driver.close()?;
    if waiting > 0 {
        let what = if waiting == 1 { "it" } else { "each" };
        show::complain(&format!(
            "{} not sent yet; kept in {path}: {what} {}",
            messages(waiting),
            show::SENT_LATER
        ));
    }
    Ok(code)
}

/// The exit code of a run without a terminal that would otherwise end with `code`.
pub(super) fn code_of(driver: &Driver, code: u8) -> u8 {
    match driver.session.waiting_old() {
        0 => code,
        _ if code == 0 => OLD_WAIT,
        _ => code,
    }
}

/// The chat at a terminal.
struct Terminal {
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
    /// When the line is kept.
    keep_at: Option<u64>,
    ended: bool,
}

impl Terminal {
    fn new(driver: Driver, line: Line) -> Result<Terminal, Error> {
        let watched =
            [signal::INT, signal::TERM, signal::HUP, signal::QUIT, signal::WINCH, signal::TSTP];
        let signals = Signals::new(&watched).map_err(io_error("watch for signals"))?;
        let raw = Some(enter_raw()?);
        let mut editor = Editor::new();
        let (keeper, mut kept) = driver.typed();
        editor.set_history(std::mem::take(&mut kept.lines));
        let (drawn, keep_at, ended) = (Vec::new(), None, false);
        let mut terminal =
            Terminal { driver, line, editor, signals, raw, drawn, keeper, kept, keep_at, ended };
        terminal.take_draft();
        Ok(terminal)
    }

    fn run(mut self) -> Result<u8, Error> {
        let result = self.turns();
        self.keep();
        let mut last = Vec::new();
        Editor::erase(&mut last);
        let _ = write_out(&last);
        self.raw = None;
        result?;
        match self.line.refused() {
            Some(refusal) => {
                let why = format!("the login was refused: {refusal}");
                self.driver.close()?;
                Err(Error::Failed(why))
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
        loop {
            let events = self.driver.events(now_ms);
            let none = events.is_empty();
            for event in events {
                self.line.on_event(&mut self.driver, now_ms, event);
            }
            if none {
                break;
            }
        }
        self.editor.set_secret(self.line.is_secret());
        self.editor.set_prompt(&self.line.prompt(&self.driver));
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
        if let Err(error) = self.driver.shown() {
            self.line.printer.notice(&error.to_string());
        }
        Ok(())
    }

    fn on_signals(&mut self) -> Result<(), Error> {
        while let Some(signal) = self.signals.next() {
            match signal {
                signal::WINCH => self.drawn.clear(),
                signal::TSTP => self.suspend()?,
                _ => self.ended |= is_ending(signal),
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
                    self.line.on_line(&mut self.driver, now_ms, &line);
                    self.editor.set_secret(self.line.is_secret());
                    if self.line.current() != current.as_deref() {
                        self.take_draft();
                    }
                    self.keep();
                }
                Key::Interrupt { cleared } => self.line.on_interrupt(&mut self.driver, cleared),
                Key::EndOfInput => self.ended = true,
                Key::Suspend => self.suspend()?,
                Key::ClearScreen => {
                    let mut out = Vec::new();
                    Editor::clear_screen(&mut out);
                    write_out(&out)?;
                    self.drawn.clear();
                }
                Key::Full => self.line.printer.notice("the line has reached its maximum length"),
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
