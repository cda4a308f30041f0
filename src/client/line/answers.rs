//! Answers of the server to what the user asked for, printed.

use super::super::agent::Agent;
use super::super::session::{Incoming, Refusal, Request};
use super::Line;
use super::asked::Asked;
use crate::limits;
use crate::protocol::Message;
use crate::wal::Disk;

/// Conversations that a login lists; the rest is counted.
const SUMMARY_LINES: usize = 10;

impl Line {
    pub(super) fn on_answer(
        &mut self,
        agent: &mut Agent<impl Disk>,
        now_ms: u64,
        number: u64,
        result: Result<Vec<Message<'static>>, Refusal>,
    ) {
        let Some(asked) = self.asked.remove(&number) else {
            return;
        };
        let frames = match result {
            Ok(frames) => frames,
            Err(refusal) => {
                self.problems += 1;
                return self.printer.error(asked.command(), &refusal);
            }
        };
        let last = frames.last().expect("a reply has a last frame").clone();
        match asked {
            Asked::Inbox { summary: true } => self.on_summary(&last),
            Asked::Inbox { summary: false } => self.on_inbox(&last),
            Asked::History { with, limit, unseen } => {
                let messages = &frames[..frames.len() - 1];
                self.on_history(agent, now_ms, messages, unseen);
                let request = Request::History { with: with.clone(), before: last.seq, limit };
                let more = last.body == "more" && !unseen;
                self.end("/history", more, request, Asked::History { with, limit, unseen: false });
            }
            Asked::List { pattern } => {
                self.on_names(&last);
                let request =
                    Request::List { pattern: pattern.clone(), after: last.to.to_string() };
                self.end("/list", !last.to.is_empty(), request, Asked::List { pattern });
            }
            Asked::Who { pattern } => {
                self.on_names(&last);
                let request = Request::Who { pattern: pattern.clone(), after: last.to.to_string() };
                self.end("/who", !last.to.is_empty(), request, Asked::Who { pattern });
            }
            Asked::Delete => {
                match last.limit {
                    0 => self.printer.notice("there was nothing to delete"),
                    _ if self.interactive => self.printer.notice("deleted"),
                    _ => {}
                }
                self.printer.done("/delete", false);
            }
            Asked::Status => {
                for line in last.body.lines() {
                    let (key, value) = line.split_once(' ').unwrap_or((line, ""));
                    self.printer.status(key, value);
                }
                self.printer.done("/status", false);
            }
            Asked::ChangePassword => self.printer.notice("password changed"),
            Asked::DeleteAccount => {
                self.printer.notice("the account is deleted");
                self.quitting = true;
            }
        }
    }

    fn end(&mut self, command: &str, more: bool, request: Request, asked: Asked) {
        self.more = more.then_some((request, asked));
        self.printer.done(command, more);
    }

    fn on_names(&mut self, last: &Message<'_>) {
        for name in last.body.split(',').filter(|name| !name.is_empty()) {
            self.printer.name(name);
        }
    }

    fn on_history(
        &mut self,
        agent: &mut Agent<impl Disk>,
        now_ms: u64,
        messages: &[Message<'_>],
        unseen: bool,
    ) {
        for message in messages.iter().filter(|message| message.cmd == "deliver") {
            let message = Incoming::of(message);
            self.printer.message(&message, &self.me, true);
            self.remember_incoming(&message);
            let is_current = self.current.as_deref() == Some(message.from.as_str());
            if self.interactive && (is_current || unseen) && message.from != self.me {
                agent.session.mark_read(now_ms, &message.from, message.seq);
            }
        }
        if messages.is_empty() && self.interactive {
            self.printer.notice("no messages");
        }
    }

    fn on_inbox(&mut self, last: &Message<'_>) {
        for conversation in conversations(&last.body) {
            let Conversation { name, unread, seq, time } = conversation;
            self.printer.conversation(name, unread, seq, time);
        }
        let request = Request::Inbox { cursor: last.seq };
        self.end("/inbox", last.seq != 0, request, Asked::Inbox { summary: false });
    }

    /// After the first login: who has written.
    fn on_summary(&mut self, last: &Message<'_>) {
        let unread = conversations(&last.body).filter(|conversation| conversation.unread > 0);
        let mut others = 0;
        for (place, conversation) in unread.take(limits::LIST_PAGE).enumerate() {
            let Conversation { name, unread, seq, time } = conversation;
            // What a sync has just shown needs no history.
            let shown = self.shown_from.get(name).map_or(0, |(count, _)| *count);
            if unread > shown {
                self.unseen.insert(name.to_string(), unread - shown);
            }
            match place < SUMMARY_LINES {
                true => self.printer.conversation(name, unread, seq, time),
                false => others += 1,
            }
        }
        if others > 0 {
            self.printer.notice(&format!("and {others} more conversations: /inbox"));
        }
    }
}

/// A line of an `inbox` reply.
pub struct Conversation<'a> {
    /// With whom.
    pub name: &'a str,
    /// Unread messages.
    pub unread: u64,
    /// The newest message's place.
    pub seq: u64,
    /// The newest message's time, milliseconds since the Unix epoch.
    pub time: u64,
}

/// Reads an `inbox` reply; lines that are none are passed over.
pub fn conversations(body: &str) -> impl Iterator<Item = Conversation<'_>> {
    body.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let mut number = || fields.next()?.parse().ok();
        Some(Conversation { name, unread: number()?, seq: number()?, time: number()? })
    })
}
