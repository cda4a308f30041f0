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
        let Some(Asked { request, is_own }) = self.asked.remove(&number) else { return };
        let command = command_of(&request);
        let frames = match result {
            Ok(frames) => frames,
            Err(refusal) => {
                self.problems += 1;
                return self.printer.error(command, &refusal);
            }
        };
        let last = frames.last().expect("a reply has a last frame").clone();
        match request {
            Request::Inbox { .. } if is_own => self.on_summary(&last),
            Request::Inbox { .. } => {
                for conversation in conversations(&last.body) {
                    let Conversation { name, unread, seq, time } = conversation;
                    self.printer.conversation(name, unread, seq, time);
                }
                self.end(command, last.seq != 0, Request::Inbox { cursor: last.seq });
            }
            Request::History { with, limit, .. } => {
                self.on_history(agent, now_ms, &frames[..frames.len() - 1], is_own);
                let more = last.body == "more" && !is_own;
                self.end(command, more, Request::History { with, before: last.seq, limit });
            }
            Request::List { pattern, .. } => {
                self.on_names(&last);
                let after = last.to.to_string();
                self.end(command, !after.is_empty(), Request::List { pattern, after });
            }
            Request::Who { pattern, .. } => {
                self.on_names(&last);
                let after = last.to.to_string();
                self.end(command, !after.is_empty(), Request::Who { pattern, after });
            }
            Request::DeleteMessages { .. } => {
                match last.limit {
                    0 => self.printer.notice("there was nothing to delete"),
                    _ if self.interactive => self.printer.notice("deleted"),
                    _ => {}
                }
                self.printer.done(command, false);
            }
            Request::ServerStatus => {
                for line in last.body.lines() {
                    let (key, value) = line.split_once(' ').unwrap_or((line, ""));
                    self.printer.status(key, value);
                }
                self.printer.done(command, false);
            }
            Request::ChangePassword { .. } => self.printer.notice("password changed"),
            Request::DeleteAccount { .. } => {
                self.printer.notice("the account is deleted");
                self.quitting = true;
            }
        }
    }

    fn end(&mut self, command: &str, more: bool, next: Request) {
        self.more = more.then_some(next);
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

/// The command to name to people.
fn command_of(request: &Request) -> &'static str {
    match request {
        Request::Inbox { .. } => "/inbox",
        Request::History { .. } => "/history",
        Request::List { .. } => "/list",
        Request::Who { .. } => "/who",
        Request::DeleteMessages { .. } => "/delete",
        Request::ServerStatus => "/status",
        Request::ChangePassword { .. } => "/passwd",
        Request::DeleteAccount { .. } => "/account",
    }
}

/// A line of an `inbox` reply.
pub struct Conversation<'a> {
    pub name: &'a str,
    pub unread: u64,
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
