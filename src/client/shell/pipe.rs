//! The chat without a terminal: commands from standard input, one event a line on standard output.
//!
//! Commands take effect in order: what asks the server for something waits until the messages before
//! it are answered, and what follows waits for its answer. Messages are read ahead and synced
//! together. At the end of the input the outbox is emptied first. What is left of the input then,
//! since the outbox has no room for it, is told by its first line.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use super::driver::Driver;
use super::streams::{
    ENDING, INPUT_BYTES, code_of, finish, login_refused, print_events, write_out,
};
use crate::client::commands::{self, Command};
use crate::client::line::Line;
use crate::client::options::{Error, Options, io_error};
use crate::client::printer::{Sending, Style};
use crate::client::session::{Refusal, State};
use crate::client::show;
use crate::limits;
use crate::sys::clock;
use crate::sys::poll::PollFd;
use crate::sys::signal::Signals;

struct Pipe {
    driver: Driver,
    line: Line,
    signals: Signals,
    input: Vec<u8>,
    /// Lines of the input that are done with.
    lines_taken: u64,
    at_end: bool,
    /// A line is longer than any command: the rest of it is passed over.
    overlong: bool,
    deadline_ms: Option<u64>,
    caught_up: bool,
    /// `--send`: every line is a message to this account, and only what goes wrong is said.
    lines_to: Option<String>,
}

/// Runs until the end of the input and of the outbox; `options.timeout_ms` bounds the latter (0:
/// nothing does). With `lines_to` every line is a message to that account, and as long may a line wait for
/// room in the outbox.
pub fn run(
    driver: Driver,
    line: Line,
    options: &Options,
    lines_to: Option<String>,
) -> Result<u8, Error> {
    let signals = Signals::new(&ENDING).map_err(io_error("watch for signals"))?;
    let mut pipe = Pipe {
        driver,
        line,
        signals,
        input: Vec::new(),
        lines_taken: 0,
        at_end: false,
        overlong: false,
        deadline_ms: None,
        caught_up: false,
        lines_to,
    };
    let end = pipe.turns(options.timeout_ms)?;
    let problems = pipe.line.problems();
    let is_left = pipe.next_line().is_some() && !pipe.line.is_quitting();
    if is_left && matches!(end, End::Late | End::Signal) {
        let first = pipe.lines_taken + 1;
        let text = format!("the input from line {first} on was not processed: send it again later");
        pipe.tell_json(options, &text)?;
        show::complain(&text);
    }
    let problems = problems + pipe.driver.agent.session.new_elsewhere();
    match end {
        End::Refused(refusal) => {
            pipe.driver.agent.close()?;
            Err(login_refused(refusal))
        }
        End::Done => {
            let code = code_of(&pipe.driver, u8::from(problems > 0));
            finish(pipe.driver, code)
        }
        End::Late => {
            let trouble = pipe.driver.agent.session.trouble().map(str::to_string);
            let waiting = pipe.driver.agent.session.waiting();
            let why = trouble.unwrap_or_else(|| "the server has not answered".to_string());
            let text = format!("timed out before everything was answered: {why}");
            pipe.tell_json(options, &text)?;
            if waiting == 0 {
                show::complain(&text);
            }
            finish(pipe.driver, 1)
        }
        End::Signal => {
            let code = u8::from(pipe.driver.agent.session.waiting() > 0 || problems > 0 || is_left);
            let code = code_of(&pipe.driver, code);
            finish(pipe.driver, code)
        }
    }
}

enum End {
    Done,
    Late,
    Signal,
    Refused(Refusal),
}

impl Pipe {
    /// Tells a script that reads JSON why the run fails as a whole.
    fn tell_json(&mut self, options: &Options, why: &str) -> Result<(), Error> {
        let command = options.action.name();
        self.line.printer.run_failed(command, &Sending::default(), "", why);
        match self.line.printer.style() {
            Style::Json => write_out(&self.line.printer.take()),
            _ => Ok(()),
        }
    }

    fn turns(&mut self, timeout_ms: u64) -> Result<End, Error> {
        loop {
            let now_ms = clock::monotonic_ms();
            // What has happened is known to the commands that come after it.
            self.show(now_ms)?;
            let taken_before = self.lines_taken;
            if self.line.refused().is_none() {
                self.take_commands(now_ms);
            }
            self.show(now_ms)?;
            if self.lines_taken > taken_before {
                self.deadline_ms = None;
            }
            if let Some(refusal) = self.line.refused() {
                return Ok(End::Refused(refusal.clone()));
            }
            let waits_for_room = self.lines_to.is_some() && self.next_line().is_some();
            if self.at_end || self.line.is_quitting() || waits_for_room && !self.has_work() {
                let bound = (timeout_ms > 0).then(|| now_ms.saturating_add(timeout_ms));
                self.deadline_ms = self.deadline_ms.or(bound);
                if self.is_done(now_ms) {
                    return Ok(End::Done);
                }
                if self.deadline_ms.is_some_and(|deadline| now_ms >= deadline) {
                    return Ok(End::Late);
                }
            }
            if self.has_work() {
                continue;
            }
            if let Some(end) = self.wait()? {
                return Ok(end);
            }
        }
    }

    fn wait(&mut self) -> Result<Option<End>, Error> {
        let wanted = self.input.len() < INPUT_BYTES || !self.input.contains(&b'\n');
        let reads = wanted && !self.at_end && !self.line.is_quitting();
        let mut fds = [
            PollFd::new(if reads { 0 } else { -1 }, reads, false),
            PollFd::new(self.signals.as_raw_fd(), true, false),
        ];
        self.driver.wait(&mut fds, &[self.deadline_ms])?;
        if self.signals.next().is_some() {
            return Ok(Some(End::Signal));
        }
        if fds[0].ready_read || fds[0].hangup {
            self.read()?;
        }
        Ok(None)
    }

    fn read(&mut self) -> Result<(), Error> {
        let start = self.input.len();
        self.input.resize(start + INPUT_BYTES, 0);
        let result = io::stdin().lock().read(&mut self.input[start..]);
        let count = match result {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.input.truncate(start);
                return Ok(());
            }
            Err(error) => return Err(io_error("read standard input")(error)),
        };
        self.input.truncate(start + count);
        if count == 0 {
            self.at_end = true;
            // What is there may be whole lines that wait for their turn.
            if self.input.last().is_some_and(|byte| *byte != b'\n') {
                self.input.push(b'\n');
            }
        }
        Ok(())
    }

    /// A whole line lies there and may be taken now.
    fn has_work(&self) -> bool {
        self.input.contains(&b'\n') && self.may_take(None)
    }

    /// Whether a command may be taken: `None`, any (it is looked at when taken).
    fn may_take(&self, command: Option<&Command>) -> bool {
        if self.line.is_quitting() || !self.line.is_answered() {
            return false;
        }
        let session = &self.driver.agent.session;
        match command {
            // Looked at again and again while it waits: cheap, since one line is parsed.
            None => self.next_line().is_none_or(|(line, _)| {
                self.parse(line).ok().is_none_or(|command| self.may_take(Some(&command)))
            }),
            // Before that it is not known which message is the newest.
            Some(Command::Read(_)) => session.waiting() == 0 && session.is_synced(),
            Some(Command::Send { text, .. }) => session.has_room(1, text.len()),
            Some(Command::To(_) | Command::Help | Command::Quit) => true,
            Some(_) => session.waiting() == 0,
        }
    }

    /// What a line of the input asks for; why it is refused.
    fn parse(&self, line: &[u8]) -> Result<Command, String> {
        let line = commands::utf8(line.to_vec())?;
        if line.trim().is_empty() {
            return Err("blank; a message needs text".to_string());
        }
        match &self.lines_to {
            None => commands::parse(&line)?.ok_or_else(|| "blank".to_string()),
            Some(to) => {
                let text = commands::to_text(line.strip_suffix('\r').unwrap_or(&line))?;
                Ok(Command::Send { to: Some(to.clone()), text })
            }
        }
    }

    /// The next line, and the bytes it takes with its end.
    fn next_line(&self) -> Option<(&[u8], usize)> {
        let length = self.input.iter().position(|byte| *byte == b'\n')?;
        Some((&self.input[..length], length + 1))
    }

    /// Does the commands that may be done, messages that follow each other together.
    fn take_commands(&mut self, now_ms: u64) {
        let mut texts: Vec<(String, String)> = Vec::new();
        let mut bytes = 0;
        while let Some((line, length)) = self.next_line() {
            let parsed = self.parse(line);
            if std::mem::take(&mut self.overlong) {
                self.input.drain(..length);
                self.lines_taken += 1;
                continue;
            }
            let wants_more = match &parsed {
                Ok(Command::Send { .. }) => texts.len() < limits::PIPE_BATCH,
                // It has to see what was said before it.
                _ => texts.is_empty(),
            };
            if !wants_more {
                break;
            }
            let may = match &parsed {
                Ok(command @ Command::Send { text, .. }) => {
                    // All of a batch have to have room, or none of it is taken.
                    bytes += text.len();
                    self.may_take(Some(command))
                        && self.driver.agent.session.has_room(texts.len() + 1, bytes)
                }
                Ok(command) => self.may_take(Some(command)),
                _ => self.line.is_answered() && !self.line.is_quitting(),
            };
            if !may {
                break;
            }
            self.input.drain(..length);
            self.lines_taken += 1;
            match (parsed, self.line.current()) {
                (Ok(Command::Send { to: Some(to), text }), _) => texts.push((to, text)),
                (Ok(Command::Send { to: None, text }), Some(to)) => {
                    texts.push((to.to_string(), text));
                }
                (Err(why), _) => self.line.on_wrong_line(self.lines_taken, &why),
                (Ok(command), _) => self.line.on_command(&mut self.driver.agent, now_ms, command),
            }
        }
        if !texts.is_empty() {
            self.line.send(&mut self.driver.agent, now_ms, texts);
        }
        if self.input.len() > limits::LINE_BYTES && !self.input.contains(&b'\n') {
            if !std::mem::replace(&mut self.overlong, true) {
                self.line.on_overlong(self.lines_taken + 1);
            }
            self.input.clear();
        }
    }

    fn show(&mut self, now_ms: u64) -> Result<(), Error> {
        print_events(&mut self.driver, &mut self.line, now_ms);
        let printed = self.line.printer.take();
        match self.lines_to.is_some() && self.line.printer.style() != Style::Json {
            // Only problems are printed then, and they belong to standard error.
            true => io::stderr().write_all(&printed).unwrap_or(()),
            false => write_out(&printed)?,
        }
        if let Err(error) = self.driver.agent.shown() {
            self.line.printer.notice(&error.to_string());
        }
        Ok(())
    }

    /// At the end of the input: everything is sent, answered and shown.
    fn is_done(&mut self, now_ms: u64) -> bool {
        let session = &mut self.driver.agent.session;
        let done = self.input.is_empty() || self.line.is_quitting();
        if !done
            || session.waiting() > 0
            || !self.line.is_answered()
            || session.state() == State::Offline
        {
            return false;
        }
        if !self.caught_up && session.is_behind() {
            // Own messages above the cursor need not be read again by the next run.
            self.caught_up = true;
            session.sync_again(now_ms);
        }
        session.is_idle() && (self.lines_to.is_some() || session.is_synced())
    }
}

#[cfg(test)]
mod tests {
    use super::super::driver::tests::Offline;
    use super::*;

    fn pipe_of(driver: Driver) -> Pipe {
        Pipe {
            driver,
            line: Line::new(Style::Text, "alice", false),
            signals: Signals::new(&[]).expect("a watcher of nothing"),
            input: Vec::new(),
            lines_taken: 0,
            at_end: false,
            overlong: false,
            deadline_ms: None,
            caught_up: false,
            lines_to: None,
        }
    }

    #[test]
    fn a_line_longer_than_any_command_is_passed_over_and_told_once() {
        let Offline { driver, files: _files } = Offline::new();
        let mut pipe = pipe_of(driver);
        for _ in 0..2 {
            pipe.input = vec![b'x'; limits::LINE_BYTES];
            pipe.take_commands(0);
            assert_eq!(pipe.input.len(), limits::LINE_BYTES, "its end may still come");
            pipe.input.push(b'x');
            pipe.take_commands(0);
            assert!(pipe.input.is_empty(), "it is not kept");
        }
        assert_eq!(pipe.line.problems(), 1);
        pipe.input = b"x\n/msg bob hello\n".to_vec();
        pipe.take_commands(0);
        assert_eq!((pipe.line.problems(), pipe.driver.agent.session.waiting()), (1, 1));
    }

    #[test]
    fn messages_are_read_ahead_and_synced_together_a_batch_at_a_time() {
        let Offline { driver, files: _files } = Offline::new();
        let outbox = driver.agent.outbox().path();
        let mut pipe = pipe_of(driver);
        let count = 2 * limits::PIPE_BATCH + 1;
        for number in 1..=count {
            pipe.input.extend(format!("/msg bob <text {number}>\n").bytes());
        }
        let kept =
            || String::from_utf8_lossy(&std::fs::read(&outbox).expect("a file")).into_owned();
        let batch = limits::PIPE_BATCH;
        for taken in [batch, 2 * batch, count] {
            pipe.take_commands(0);
            assert_eq!(pipe.driver.agent.session.waiting(), taken);
            assert!(kept().contains(&format!("<text {taken}>")), "what was taken is on the disk");
            assert!(!kept().contains(&format!("<text {}>", taken + 1)));
        }
        assert!(pipe.input.is_empty());
    }

    #[test]
    fn what_the_outbox_has_no_room_for_is_left_unread_and_nothing_is_lost() {
        let Offline { driver, files: _files } = Offline::new();
        let mut pipe = pipe_of(driver);
        pipe.lines_to = Some("bob".to_string());
        let count = limits::OUTBOX_MESSAGES + 7;
        for number in 1..=count {
            pipe.input.extend(format!("text {number}\n").bytes());
        }
        for _ in 0..=count / limits::PIPE_BATCH {
            pipe.take_commands(0);
        }
        assert_eq!(pipe.driver.agent.session.waiting(), limits::OUTBOX_MESSAGES);
        assert_eq!(pipe.line.problems(), 0);
        let next = format!("text {}\n", limits::OUTBOX_MESSAGES + 1);
        assert!(pipe.input.starts_with(next.as_bytes()) && !pipe.has_work());
    }
}
