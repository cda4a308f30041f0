//! The chat as lines: commands in, printed events out. The same on a terminal and with a pipe; what
//! only a terminal has is the prompt and the questions it asks.

mod answers;
mod asked;
pub(super) mod asking;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use super::agent::Agent;
use super::commands::{self, Command, Old, Which};
use super::printer::{Printer, Style};
use super::session::{Event, Incoming, Refusal, Request, State};
use super::show::{self, OUT_OF_DATE, messages};
use crate::limits;
use crate::protocol::id;
use crate::wal::Disk;
pub use answers::{Conversation, conversations};
use asked::Asked;
use asking::Asking;

const ONLY_THE_SCREEN: &str =
    "this command needs the full screen: run chatctl chat without --plain";

/// The chat's state, besides the session's.
pub struct Line {
    pub printer: Printer,
    me: String,
    interactive: bool,
    current: Option<String>,
    asked: BTreeMap<u64, Asked>,
    more: Option<Request>,
    /// Unread messages that this client has not shown, by sender.
    unseen: BTreeMap<String, u64>,
    /// By sender: how many messages this client has shown, and the newest.
    shown_from: BTreeMap<String, (u64, u64)>,
    /// The places and ids of what was shown last.
    places: VecDeque<(u64, u128)>,
    last_sent: Option<u128>,
    asking: Asking,
    greeted: bool,
    /// It is told nothing but what becomes of what it sends.
    only_sends: bool,
    quitting: bool,
    interrupted: bool,
    problems: usize,
    refused: Option<Refusal>,
}

impl Line {
    /// A chat of `me`. `interactive`: somebody sits at a terminal and can be asked.
    pub fn new(style: Style, me: &str, interactive: bool) -> Line {
        Line {
            printer: Printer::new(style),
            me: me.to_string(),
            interactive,
            current: None,
            asked: BTreeMap::new(),
            more: None,
            unseen: BTreeMap::new(),
            shown_from: BTreeMap::new(),
            places: VecDeque::new(),
            last_sent: None,
            asking: Asking::Nothing,
            greeted: false,
            only_sends: false,
            quitting: false,
            interrupted: false,
            problems: 0,
            refused: None,
        }
    }

    /// One that only sends: logins and what is unread are no concern of it.
    pub fn that_only_sends(style: Style, me: &str) -> Line {
        Line { only_sends: true, ..Line::new(style, me, false) }
    }

    /// `/quit`, or Ctrl-C twice.
    pub fn is_quitting(&self) -> bool {
        self.quitting
    }

    /// Things that went wrong: wrong commands, refused messages.
    pub fn problems(&self) -> usize {
        self.problems
    }

    /// The login was refused, and nobody can be asked for another password.
    pub fn refused(&self) -> Option<&Refusal> {
        self.refused.as_ref()
    }

    pub fn is_answered(&self) -> bool {
        self.asked.is_empty()
    }

    /// Where lines without a slash go.
    pub fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// What stands before the typed line.
    pub fn prompt(&self, agent: &Agent<impl Disk>) -> String {
        if let Some(question) = self.asking.question() {
            return question.to_string();
        }
        let to = self.current.as_deref().unwrap_or("");
        let (state, waiting) = (agent.session.state(), agent.session.waiting());
        let state = match (state, waiting) {
            (State::Connected, 0) => String::new(),
            (State::Connected, waiting) => format!(" [{waiting} waiting]"),
            (state, 0) => format!(" [{state}]"),
            (state, waiting) => format!(" [{state}, {waiting} waiting]"),
        };
        format!("{to}{state}> ").trim_start().to_string()
    }

    /// What is typed answers a question.
    pub fn is_asking(&self) -> bool {
        self.asking != Asking::Nothing
    }

    /// What is typed is a password.
    pub fn is_secret(&self) -> bool {
        self.asking.is_secret()
    }

    // What the user does.

    pub fn on_line(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64, line: &str) {
        self.interrupted = false;
        if self.asking != Asking::Nothing {
            return self.on_asked_line(agent, now_ms, line);
        }
        match commands::parse(line) {
            Ok(None) => {}
            Ok(Some(command)) => self.on_command(agent, now_ms, command),
            Err(why) => self.problem("", &why),
        }
    }

    /// Ctrl-C; `cleared`: there was a line, which is gone now.
    pub fn on_interrupt(&mut self, cleared: bool) {
        if self.asking != Asking::Nothing {
            return self.on_asking_cancelled();
        }
        if self.interrupted && !cleared {
            self.quitting = true;
        } else if !cleared {
            self.printer.notice("press Ctrl-C again or Ctrl-D to quit");
        }
        self.interrupted = !cleared;
    }

    pub fn on_command(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64, command: Command) {
        match command {
            Command::Send { to, text } => {
                let Some(to) = to.or_else(|| self.current.clone()) else {
                    return self.problem(
                        "",
                        "no recipient: pick one with /to NAME, or use /msg NAME TEXT",
                    );
                };
                self.send(agent, now_ms, vec![(to, text)]);
            }
            Command::To(name) => self.on_to(agent, now_ms, name),
            Command::Open(name) if self.interactive => self.on_to(agent, now_ms, name),
            // In a script, a text was meant.
            Command::Open(_) => self.problem("/msg", "there is no text to send"),
            Command::Read(name) => match name.or_else(|| self.current.clone()) {
                Some(name) => {
                    let newest = agent.session.known();
                    self.unseen.remove(&name);
                    agent.session.mark_read(now_ms, &name, newest);
                }
                None => self.problem("/read", "no conversation is open: use /read NAME"),
            },
            Command::More => match self.more.take() {
                Some(request) => self.ask(agent, now_ms, request),
                None => self.problem("/more", "nothing more to show"),
            },
            Command::Delete(which) => self.on_delete(agent, now_ms, which),
            Command::ChangePassword => self.start_asking(Asking::OldPassword),
            Command::DeleteAccount => self.start_asking(Asking::ConfirmDelete),
            Command::Waiting(old) => self.on_waiting(agent, now_ms, old),
            Command::Status => self.on_status(agent, now_ms),
            Command::Help => self.printer.lines(&commands::help()),
            Command::Quit => self.quitting = true,
            Command::Mute(_) => self.problem("/mute", ONLY_THE_SCREEN),
            Command::Close(_) => self.problem("/close", ONLY_THE_SCREEN),
            Command::Move(_) => self.problem("/move", ONLY_THE_SCREEN),
            Command::Search(_) => self.problem("/search", ONLY_THE_SCREEN),
            Command::Select => self.problem("/select", ONLY_THE_SCREEN),
            Command::Inbox => self.ask(agent, now_ms, Request::Inbox { cursor: 0 }),
            Command::History { with, limit } => {
                let with = with.or_else(|| self.current.clone()).unwrap_or_default();
                self.ask(agent, now_ms, Request::History { with, before: 0, limit });
            }
            Command::List { pattern } => {
                self.ask(agent, now_ms, Request::List { pattern, after: String::new() });
            }
            Command::Who { pattern } => {
                self.ask(agent, now_ms, Request::Who { pattern, after: String::new() });
            }
        }
    }

    /// Sends, with one sync for all.
    pub fn send(
        &mut self,
        agent: &mut Agent<impl Disk>,
        now_ms: u64,
        texts: Vec<(String, String)>,
    ) {
        if let Err(why) = agent.send(now_ms, texts) {
            self.problem("", &why.to_string());
        }
    }

    fn ask(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64, request: Request) {
        self.put(agent, now_ms, Asked { request, is_own: false });
    }

    fn put(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64, asked: Asked) {
        match agent.session.request(now_ms, asked.request.clone()) {
            Ok(number) => drop(self.asked.insert(number, asked)),
            Err(_) => {
                self.problem("", "too many requests are waiting for the server; try again later")
            }
        }
    }

    /// Something the user did cannot be done.
    fn problem(&mut self, command: &str, why: &str) {
        self.problems += 1;
        self.printer.error(command, &Refusal::new("", why));
    }

    fn on_to(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64, name: String) {
        if let Some((_, newest)) = self.shown_from.get(&name) {
            agent.session.mark_read(now_ms, &name, *newest);
        }
        let unseen = self.unseen.remove(&name).unwrap_or(0);
        if unseen > 0 && self.interactive {
            let limit = unseen.min(limits::HISTORY_PAGE_DEFAULT as u64) as u16;
            let request = Request::History { with: name.clone(), before: 0, limit };
            self.put(agent, now_ms, Asked { request, is_own: true });
        }
        self.current = Some(name);
    }

    fn on_delete(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64, which: Which) {
        if which == Which::Last && agent.session.waiting() > 0 {
            return self.problem("/delete", "the last message is not sent yet");
        }
        let id = match which {
            Which::Id(id) => Some(id),
            Which::Last => self.last_sent,
            Which::Seq(seq) => self.places.iter().find(|(at, _)| *at == seq).map(|(_, id)| *id),
        };
        match id {
            Some(id) => {
                let request = Request::DeleteMessages { ids: vec![id], to: String::new() };
                self.ask(agent, now_ms, request);
            }
            None if which == Which::Last => self.problem(
                "/delete",
                "nothing was sent in this run; for other messages use /delete #SEQ",
            ),
            None => self.problem(
                "/delete",
                "that message was not shown in this run; show it with /history first",
            ),
        }
    }

    fn on_waiting(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64, old: Old) {
        match old {
            Old::Show if agent.session.waiting_old() == 0 => {
                let text = "nothing has waited for more than a day";
                self.printer.notice(&match agent.session.waiting() {
                    0 => text.to_string(),
                    some => format!("{text}; {} still to be sent", messages(some)),
                });
                self.printer.done("/waiting", false);
            }
            Old::Show => {
                for draft in agent.session.old_drafts() {
                    self.printer.waiting(draft);
                }
                self.printer.done("/waiting", false);
            }
            Old::Send => {
                let count = agent.session.send_old(now_ms);
                self.printer.notice(&format!("sending {} now", messages(count)));
            }
            Old::Drop => match agent.drop_old() {
                Ok(ids) => self.printer.notice(&format!("{} discarded", messages(ids.len()))),
                Err(why) => self.problem("/waiting", &why.to_string()),
            },
        }
    }

    fn on_status(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64) {
        let session = &agent.session;
        self.printer.status("account", &self.me);
        self.printer.status("state", &session.state().to_string());
        self.printer.status("server", session.address());
        if let Some(trouble) = session.trouble() {
            self.printer.status("trouble", trouble);
        }
        self.printer.status("waiting", &session.waiting().to_string());
        if session.waiting_old() > 0 {
            let old = session.waiting_old().to_string();
            self.printer.status("for long", &format!("{old} (/waiting shows them)"));
        }
        if session.waiting_elsewhere() > 0 {
            let other = session.waiting_elsewhere().to_string();
            self.printer.status("for other", &format!("{other} (another cluster)"));
        }
        self.printer.status("outbox", &agent.outbox().path().display().to_string());
        match session.state() {
            State::Offline => self.printer.done("/status", false),
            _ => self.ask(agent, now_ms, Request::ServerStatus),
        }
    }

    /// A line of piped input that is not taken.
    pub fn on_wrong_line(&mut self, number: u64, why: &str) {
        self.problem("", &format!("line {number}: {why}"));
    }

    /// A line of piped input is longer than any command.
    pub fn on_overlong(&mut self, number: u64) {
        let most = limits::LINE_BYTES;
        self.on_wrong_line(number, &format!("more than {most} bytes: the whole line is refused"));
    }

    // What the session tells.

    /// Prints an event, and does what follows from it.
    pub fn on_event(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64, event: Event) {
        match event {
            Event::LoggedIn { name, unread, read_only, .. } => {
                self.me = name;
                if !self.only_sends {
                    self.printer.login(&self.me, unread, agent.session.address());
                }
                if read_only {
                    self.printer.notice(OUT_OF_DATE);
                }
                if self.only_sends {
                    return;
                }
                if !std::mem::replace(&mut self.greeted, true) && unread > 0 {
                    let request = Request::Inbox { cursor: 0 };
                    self.put(agent, now_ms, Asked { request, is_own: true });
                }
            }
            Event::State(state) => {
                let (waiting, trouble) = (agent.session.waiting(), agent.session.trouble());
                // A login says for itself that all is well.
                if state != State::Connected || !self.interactive {
                    let reason = trouble.filter(|_| state == State::Offline).unwrap_or("");
                    self.printer.state(state, waiting, reason);
                }
            }
            Event::Message(message) => self.on_message(agent, now_ms, &message),
            Event::Sent { id, to, body, seq, time } => {
                self.remember(seq, id);
                self.last_sent = Some(id);
                self.printer.sent(id, &to, &body, time, seq, &self.me);
            }
            Event::Failed { draft, refusal } => {
                self.problems += 1;
                self.printer.failed(&draft, &refusal);
            }
            Event::Held(refusal) => self.printer.held(&refusal),
            Event::Old { count, since_ms } => {
                self.printer.old(count, since_ms);
                if !self.interactive {
                    let what = show::old_messages(count, since_ms);
                    show::complain(&format!("{what}; {}", show::OLD_FLAGS));
                }
            }
            Event::OtherCluster(count) => {
                let what = show::elsewhere(count, &agent.outbox().path());
                self.printer.notice(&what);
                if !self.interactive {
                    show::complain(&what);
                }
            }
            Event::TakenBack(ids) => self.printer.taken_back(&ids),
            Event::ReadMoved { name, seq } => {
                self.unseen.remove(&name);
                self.printer.read_moved(&name, seq);
            }
            Event::Answer { number, result } => self.on_answer(agent, now_ms, number, result),
            Event::PasswordNeeded => {
                self.on_password_needed(Refusal::void_login());
            }
            Event::LoginRefused(refusal) => self.on_password_needed(refusal),
            // Only the screen watches.
            Event::Online(_) | Event::Presence { .. } => {}
            Event::Token(_) | Event::Cluster(_) => {}
        }
    }

    fn on_message(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64, message: &Incoming) {
        self.printer.message(message, &self.me, false);
        self.remember_incoming(message);
        let is_current = self.current.as_deref() == Some(message.from.as_str());
        if self.interactive && is_current && message.from != self.me {
            agent.session.mark_read(now_ms, &message.from, message.seq);
        }
    }

    /// Notes what `/delete #SEQ` and `/to` will want to know.
    fn remember_incoming(&mut self, message: &Incoming) {
        if let Some(id) = id::parse(&message.id) {
            self.remember(message.seq, id);
        }
        if message.from == self.me {
            return;
        }
        if self.shown_from.len() >= limits::SHOWN_SENDERS
            && !self.shown_from.contains_key(&message.from)
        {
            self.shown_from.pop_first();
        }
        let (count, newest) = self.shown_from.entry(message.from.clone()).or_default();
        *count += 1;
        *newest = message.seq.max(*newest);
    }

    fn remember(&mut self, seq: u64, id: u128) {
        if self.places.len() >= limits::SHOWN_PLACES {
            self.places.pop_front();
        }
        self.places.push_back((seq, id));
    }
}
