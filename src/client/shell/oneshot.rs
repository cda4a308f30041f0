//! One thing, then the end: `--send`, `--history`, `--list`, `--inbox`.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;

use super::driver::Driver;
use super::streams::{ENDING, code_of, hint, login_refused, write_out};
use crate::client::commands::{self, Old};
use crate::client::line::conversations;
use crate::client::options::{Action, Error, Options, io_error};
use crate::client::printer::{Printer, Sending, Style};
use crate::client::session::{Event, Incoming, Refusal, Request, State};
use crate::client::show;
use crate::limits;
use crate::protocol::Message;
use crate::protocol::id;
use crate::sys::clock;
use crate::sys::poll::PollFd;
use crate::sys::signal::Signals;

/// How long a run waits for messages of earlier runs to be sent, milliseconds.
const REST_MS: u64 = 2_000;

struct OneShot {
    driver: Driver,
    signals: Signals,
    printer: Printer,
    me: String,
    deadline_ms: Option<u64>,
    /// The disk has failed to take what this run learnt; that was told.
    is_forgetful: bool,
    only_reads: bool,
}

pub fn run(
    driver: Driver,
    options: &Options,
    user: &str,
    sending: &mut Sending,
) -> Result<u8, Error> {
    let signals = Signals::new(&ENDING).map_err(io_error("watch for signals"))?;
    let style = if options.json { Style::Json } else { Style::Text };
    let bound = (options.timeout_ms > 0).then_some(options.timeout_ms);
    let deadline_ms = bound.map(|bound| clock::monotonic_ms().saturating_add(bound));
    let (printer, me) = (Printer::new(style), user.to_string());
    let (is_forgetful, only_reads) = (false, options.action.only_reads());
    let mut shot = OneShot { driver, signals, printer, me, deadline_ms, is_forgetful, only_reads };
    let result = match &options.action {
        Action::Send { to, text: Some(text) } => shot.send(to, text, sending),
        Action::Chat | Action::Send { .. } | Action::SendInput { .. } => {
            unreachable!("these have loops of their own, or are sent as a text")
        }
        Action::History { with } => shot.history(with, options.limit),
        Action::List { pattern } => shot.list(pattern, options.limit),
        Action::Inbox => shot.inbox(options.limit),
    };
    if result.is_ok() && shot.driver.agent.session.state() == State::ReadOnly {
        show::complain(&format!(
            "no majority of the servers is reachable (read-only): messages that {} has not \
             received are not shown, and passwords and accounts may be out of date",
            shot.driver.agent.session.address()
        ));
    }
    let result = result.and_then(|()| shot.send_rest(options.old));
    let code = code_of(&shot.driver, 0);
    match shot.driver.agent.close() {
        Err(_) if shot.is_forgetful => {}
        closed => closed?,
    }
    result.map(|()| code)
}

impl OneShot {
    /// What an earlier run has left is sent too. With `--old send` the run ends only then; else it
    /// waits a moment for that where the server takes messages, and says what still waits.
    fn send_rest(&mut self, old: Old) -> Result<(), Error> {
        let session = &self.driver.agent.session;
        if session.waiting() == 0 {
            return Ok(());
        }
        let must = old == Old::Send;
        if !must && session.state() == State::Connected {
            let by_ms = clock::monotonic_ms() + REST_MS;
            self.deadline_ms = Some(self.deadline_ms.map_or(by_ms, |ms| ms.min(by_ms)));
        }
        let sent = match must || self.driver.agent.session.state() == State::Connected {
            false => Ok(()),
            true => self.until(|shot, event| {
                shot.on_earlier(&event);
                (shot.driver.agent.session.waiting() == 0).then_some(Ok(()))
            }),
        };
        match sent {
            // Only that it took too long.
            Err(Error::Failed(_)) if !must => {}
            sent => sent?,
        }
        let waiting = self.driver.agent.session.waiting();
        if waiting > 0 {
            let path = self.driver.agent.outbox().path();
            let (path, what) = (path.display(), show::messages(waiting));
            show::complain(&format!("{what} not sent yet; kept in {path}: {}", show::SENT_LATER));
        }
        Ok(())
    }

    /// What becomes of a message of an earlier run.
    fn on_earlier(&mut self, event: &Event) {
        match event {
            Event::Sent { id, to, body, seq, time } if self.printer.style() == Style::Json => {
                self.printer.sent(*id, to, body, *time, *seq, &self.me);
            }
            Event::Failed { draft, refusal } => {
                let id = id::format(draft.id);
                let text = format!(
                    "message {id} of an earlier run was refused and is not kept: {refusal}"
                );
                show::complain(&text);
            }
            _ => {}
        }
    }

    fn send(&mut self, to: &str, text: &str, sending: &mut Sending) -> Result<(), Error> {
        let usage = |why: String| Error::Usage(format!("--send: {why}"));
        let to = commands::to_name(to).map_err(usage)?;
        let text = commands::to_text(text).map_err(usage)?;
        let now_ms = clock::monotonic_ms();
        let sent = self.driver.agent.send(now_ms, vec![(to, text)]);
        let ours = sent.map_err(|why| Error::Failed(format!("not sent: {why}")))?[0];
        sending.id = Some(ours);
        let ended = self.until(|shot, event| match event {
            Event::Failed { draft, refusal } if draft.id == ours => {
                let (what, hint) =
                    (format!("not sent to {}, and not kept", draft.to), hint(&refusal));
                Some(Err(Error::Refused { refusal, what, hint }))
            }
            Event::OtherCluster(_) if shot.driver.agent.session.new_elsewhere() > 0 => {
                Some(Err(shot.other_cluster()))
            }
            event => {
                shot.on_earlier(&event);
                let is_ours = matches!(event, Event::Sent { id, .. } if id == ours);
                is_ours.then_some(Ok(()))
            }
        });
        let session = &self.driver.agent.session;
        sending.is_kept = ended.is_err() && session.drafts().any(|draft| draft.id == ours);
        if sending.is_kept {
            let path = self.driver.agent.outbox().path();
            let (why, path) = (ended.expect_err("it was looked at"), path.display());
            return Err(Error::Failed(format!(
                "{why}; the message stays in {path} and {}: do not send it again",
                show::SENT_LATER
            )));
        }
        sending.is_kept = session.new_elsewhere() > 0;
        ended
    }

    fn other_cluster(&self) -> Error {
        Error::Failed(format!(
            "not sent: {} belongs to another cluster than the one that this outbox was used with; \
             the message stays in {} for the old cluster. Run the command again to send it to the \
             new one",
            self.driver.agent.session.address(),
            self.driver.agent.outbox().path().display()
        ))
    }

    fn history(&mut self, with: &str, limit: u16) -> Result<(), Error> {
        let usage = |why: String| Error::Usage(format!("--history: {why}"));
        let with = match with {
            "" => String::new(),
            name => commands::to_name(name).map_err(usage)?,
        };
        let wanted = match usize::from(limit) {
            0 => limits::HISTORY_PAGE_DEFAULT,
            limit => limit.min(limits::HISTORY_PAGE),
        };
        let mut messages: VecDeque<Incoming> = VecDeque::new();
        let mut before = 0;
        loop {
            let limit = (wanted - messages.len()) as u16;
            let frames = self.ask(Request::History { with: with.clone(), before, limit })?;
            let (last, page) = frames.split_last().expect("a reply has a last frame");
            for message in page.iter().rev().filter(|message| message.cmd == "deliver") {
                messages.push_front(Incoming::of(message));
            }
            let stuck = page.is_empty() || last.seq == before;
            if last.body != "more" || messages.len() >= wanted || stuck {
                break;
            }
            before = last.seq;
        }
        for message in &messages {
            self.printer.message(message, &self.me, true);
        }
        write_out(&self.printer.take())
    }

    fn list(&mut self, pattern: &str, limit: u16) -> Result<(), Error> {
        let mut after = String::new();
        let mut left = most(limit);
        loop {
            let frames = self.ask(Request::List { pattern: pattern.to_string(), after })?;
            let last = frames.last().expect("a reply has a last frame");
            for name in last.body.split(',').filter(|name| !name.is_empty()).take(left) {
                self.printer.name(name);
                left -= 1;
            }
            write_out(&self.printer.take())?;
            if last.to.is_empty() || left == 0 {
                return Ok(());
            }
            after = last.to.to_string();
        }
    }

    fn inbox(&mut self, limit: u16) -> Result<(), Error> {
        let mut cursor = 0;
        let mut left = most(limit);
        loop {
            let frames = self.ask(Request::Inbox { cursor })?;
            let last = frames.last().expect("a reply has a last frame");
            for conversation in conversations(&last.body).take(left) {
                left -= 1;
                let (name, unread) = (conversation.name, conversation.unread);
                self.printer.conversation(name, unread, conversation.seq, conversation.time);
            }
            write_out(&self.printer.take())?;
            if last.seq == 0 || last.seq == cursor || left == 0 {
                return Ok(());
            }
            cursor = last.seq;
        }
    }

    fn ask(&mut self, request: Request) -> Result<Vec<Message<'static>>, Error> {
        let asked = self.driver.agent.session.request(clock::monotonic_ms(), request);
        let number = asked.map_err(|_| {
            Error::Failed("too many requests are waiting for the server".to_string())
        })?;
        self.until(|shot, event| match event {
            Event::Answer { number: answered, result } if answered == number => {
                Some(result.map_err(|refusal| {
                    let (what, hint) = ("the server refused".to_string(), hint(&refusal));
                    Error::Refused { refusal, what, hint }
                }))
            }
            event => {
                shot.on_earlier(&event);
                None
            }
        })
    }

    fn tell_old(&mut self, count: usize, since_ms: u64) {
        if self.printer.style() == Style::Json {
            self.printer.old(count, since_ms);
        }
        let what = show::old_messages(count, since_ms);
        show::complain(&format!("{what}; {}", show::OLD_FLAGS));
    }

    /// Notes what was shown. Who only reads is not kept from that by a disk that takes nothing.
    fn note_shown(&mut self) -> Result<(), Error> {
        match self.driver.agent.shown() {
            Err(why) if self.only_reads => {
                if !std::mem::replace(&mut self.is_forgetful, true) {
                    show::complain(&why.to_string());
                }
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Runs the session until `take` makes something of an event.
    fn until<T>(
        &mut self,
        mut take: impl FnMut(&mut OneShot, Event) -> Option<Result<T, Error>>,
    ) -> Result<T, Error> {
        loop {
            let now_ms = clock::monotonic_ms();
            let mut taken = None;
            for event in self.driver.events(now_ms) {
                if let Event::Old { count, since_ms } = event {
                    self.tell_old(count, since_ms);
                }
                if let Event::OtherCluster(count) = event
                    && self.driver.agent.session.new_elsewhere() == 0
                {
                    show::complain(&show::elsewhere(count, &self.driver.agent.outbox().path()));
                }
                let refused = refusal(&event).map(|refusal| Err(login_refused(refusal)));
                taken = match taken.or(refused) {
                    None => take(self, event),
                    taken => {
                        self.on_earlier(&event);
                        taken
                    }
                };
            }
            write_out(&self.printer.take())?;
            self.note_shown()?;
            if let Some(taken) = taken {
                return taken;
            }
            if self.deadline_ms.is_some_and(|deadline| now_ms >= deadline) {
                let session = &self.driver.agent.session;
                let why = match (session.state(), session.trouble()) {
                    (State::ReadOnly, _) => {
                        "no majority of the servers is reachable (read-only)".to_string()
                    }
                    (State::Electing, _) => "no server is PRIMARY yet (electing)".to_string(),
                    (_, Some(trouble)) => trouble.to_string(),
                    (_, None) => format!("{} has not answered", session.address()),
                };
                return Err(Error::Failed(format!("timed out: {why}")));
            }
            let mut fds = [PollFd::new(self.signals.as_raw_fd(), true, false)];
            self.driver.wait(&mut fds, &[self.deadline_ms])?;
            if self.signals.next().is_some() {
                return Err(Error::Failed("ended by a signal".to_string()));
            }
        }
    }
}

fn most(limit: u16) -> usize {
    if limit == 0 { usize::MAX } else { limit.into() }
}

fn refusal(event: &Event) -> Option<Refusal> {
    match event {
        Event::LoginRefused(refusal) => Some(refusal.clone()),
        Event::PasswordNeeded => Some(Refusal::void_login()),
        _ => None,
    }
}
