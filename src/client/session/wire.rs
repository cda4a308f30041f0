//! The session's way to and from the connection: frames in, requests out, in a fixed order, within
//! bounds; and its deadlines.

use std::borrow::Cow;

use super::{
    LOGIN_MS, LoginKind, Pending, PendingKind, Phase, REPLY_MS, SILENCE_MS, Session, Sync,
};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::protocol::framing::{self, Form, Split};
use crate::protocol::{Message, MsgIds, id};

impl Session {
    /// Cuts frames out of what has arrived and handles each.
    pub(super) fn read_frames(&mut self, now_ms: u64, bytes: &[u8]) {
        let mut buffer = std::mem::take(&mut self.incoming);
        buffer.extend_from_slice(bytes);
        let mut used = 0;
        while self.is_attached() {
            match framing::split(Form::Frames, &buffer[used..], &mut self.scanned) {
                Split::NeedMore => break,
                Split::Blank { consumed } => used += consumed,
                Split::TooLong => self.leave(now_ms, "sent a frame of more than 1 MiB"),
                Split::Payload { start, end, consumed, codec } => {
                    match framing::decode(codec, &buffer[used + start..used + end]) {
                        Ok(message) => self.on_message(now_ms, message.into_owned()),
                        Err(_) => self.leave(now_ms, "does not speak chatctl's protocol"),
                    }
                    used += consumed;
                }
            }
        }
        if self.is_attached() {
            buffer.drain(..used);
            self.incoming = buffer;
        }
    }

    /// Leaves a server that does what it must not.
    pub(super) fn leave(&mut self, now_ms: u64, what: &str) {
        let address = self.address.clone();
        self.lose(now_ms, format!("{address} {what}"));
    }

    /// Sends the first request of a connection.
    pub(super) fn log_in(&mut self, now_ms: u64) {
        let (kind, secret) = match (&self.token, &self.password) {
            (_, Some(password)) if self.create => (LoginKind::Create, password.clone()),
            (Some(token), _) => (LoginKind::Resume, token.clone()),
            (None, Some(password)) => (LoginKind::Password, password.clone()),
            (None, None) => unreachable!("the session stops while it has neither"),
        };
        let cmd = match kind {
            LoginKind::Create => "create",
            LoginKind::Password => "login",
            LoginKind::Resume => "resume",
        };
        let user = self.user.clone();
        let mut message = request(cmd);
        message.src = Cow::Owned(user);
        message.body = Cow::Owned(secret);
        self.put(now_ms, PendingKind::Login(kind), &message);
    }

    /// Starts a login with the password on the connection as it is: what only a password allows
    /// comes next.
    pub(super) fn log_in_again(&mut self, now_ms: u64, password: String) {
        self.phase = Phase::LoggingIn { deadline: now_ms + LOGIN_MS };
        self.put(now_ms, PendingKind::Logoff, &request("logoff"));
        let mut message = request("login");
        message.src = Cow::Owned(self.user.clone());
        message.body = Cow::Owned(password);
        self.put(now_ms, PendingKind::Login(LoginKind::Password), &message);
    }

    /// Puts a request on the connection and remembers that a reply is owed.
    pub(super) fn put(&mut self, now_ms: u64, kind: PendingKind, message: &Message<'_>) {
        framing::put(&mut self.outgoing, Form::Frames, self.codec, message);
        self.pending.push_back(Pending { kind, sent_ms: now_ms });
    }

    /// Puts on the connection what waits and may go: `sync` first, then requests, markers, sends.
    pub(super) fn fill(&mut self, now_ms: u64) {
        if !matches!(self.phase, Phase::Online { .. }) {
            return;
        }
        if self.sync == Sync::Done && self.own_recent.len() >= limits::OWN_RECENT / 2 {
            self.want_sync();
        }
        if self.follow && self.sync == Sync::Wanted {
            self.put_sync(now_ms);
        }
        if std::mem::take(&mut self.watch_is_due) {
            let mut message = request("watch");
            message.body = Cow::Owned(self.watched.join(","));
            self.put(now_ms, PendingKind::Watch, &message);
        }
        self.put_requests(now_ms);
        if !matches!(self.phase, Phase::Online { .. }) {
            return;
        }
        self.put_markers(now_ms);
        self.put_sends(now_ms);
        let ping = self.pending.is_empty() && now_ms >= self.last_heard + self.ping_after_ms;
        if ping {
            self.ping_after_ms = self.next_ping_ms();
            match self.own_recent.is_empty() {
                true => self.put(now_ms, PendingKind::Ping, &request("ping")),
                false => self.put_sync(now_ms),
            }
        }
    }

    pub(super) fn put_sync(&mut self, now_ms: u64) {
        let mut message = request("sync");
        message.seq = self.cursor.unwrap_or(0) + u64::from(planted(Mutant::SyncOneOff));
        message.limit = limits::SYNC_PAGE;
        self.sync = Sync::Running;
        self.sync_from = message.seq;
        self.put(now_ms, PendingKind::Sync, &message);
    }

    fn put_markers(&mut self, now_ms: u64) {
        let asked = |p: &Pending| matches!(p.kind, PendingKind::Read { .. });
        if self.pending.iter().any(asked) {
            return;
        }
        let Some((name, seq)) = self.markers.front().cloned() else {
            return;
        };
        let mut message = request("read");
        message.to = Cow::Owned(name.clone());
        message.seq = seq;
        self.put(now_ms, PendingKind::Read { name, seq }, &message);
    }

    fn put_sends(&mut self, now_ms: u64) {
        self.hold_and_tell_old(now_ms);
        let mut flying = self.outbox.iter().filter(|item| item.in_flight).count();
        if let Some(until) = self.pause {
            if flying > 0 || now_ms < until || self.outbox.is_empty() {
                return;
            }
            // A ping tells the server that the refusals are known: it takes sends again.
            self.pause = None;
            self.put(now_ms, PendingKind::Ping, &request("ping"));
        }
        // What is in flight stands first: `flying` is also the place of the next.
        while flying < self.outbox.len()
            && flying < limits::SEND_WINDOW
            && self.own_recent.len() < limits::OWN_RECENT
            && self.outgoing.len() < limits::CLIENT_OUTPUT_BYTES
            && self.may_follow(flying)
        {
            let item = &mut self.outbox[flying];
            assert!(!item.in_flight, "what is in flight stands first");
            item.in_flight = true;
            if !std::mem::replace(&mut item.may_be_stored, true) {
                // It waited unsent: if it is stored, then above all that is known now.
                item.draft.known = item.draft.known.max(self.known);
            }
            let draft = item.draft.clone();
            let mut message = request("send");
            message.to = Cow::Owned(draft.to);
            message.body = Cow::Owned(draft.body);
            message.msg_ids = MsgIds::Many(vec![Cow::Owned(id::format(draft.id))]);
            // Where nothing was known there was a first entry all the same.
            message.seq = draft.known.max(1);
            self.put(now_ms, PendingKind::Send { id: draft.id }, &message);
            flying += 1;
        }
    }

    /// Whether the message at `place` may be sent before the one in front of it is answered. The
    /// receiver of that one may be nobody yet: were its refusal lost, it would be sent again, stored
    /// if there is such a user by then, and so come after what was written later.
    fn may_follow(&self, place: usize) -> bool {
        let Some(before) = place.checked_sub(1) else { return true };
        let receiver = &self.outbox[before].draft.to;
        self.receivers.contains(receiver) || planted(Mutant::SentBehindUnknown)
    }

    /// For how long the server has owed an answer, milliseconds; `None` where it owes none. A login
    /// takes long on purpose.
    pub fn owed_ms(&self, now_ms: u64) -> Option<u64> {
        let oldest = self.pending.front()?;
        let is_login = matches!(oldest.kind, PendingKind::Login(_));
        (!is_login).then(|| now_ms.saturating_sub(oldest.sent_ms))
    }

    pub(super) fn reply_deadline(&self, oldest: &Pending) -> u64 {
        let silence = self.last_heard.max(oldest.sent_ms) + SILENCE_MS;
        silence.min(oldest.sent_ms + REPLY_MS)
    }

    pub(super) fn check_deadlines(&mut self, now_ms: u64) {
        match self.phase {
            Phase::Connecting { deadline } if now_ms >= deadline => {
                self.leave(now_ms, "does not answer");
            }
            Phase::LoggingIn { deadline } if now_ms >= deadline => {
                self.leave(now_ms, "has not answered the login");
            }
            Phase::Online { .. } => {
                let late = match self.pending.front() {
                    Some(oldest) => now_ms >= self.reply_deadline(oldest),
                    None => false,
                };
                if late {
                    self.leave(now_ms, "has stopped answering");
                } else if self.leave_at.is_some_and(|at| now_ms >= at) {
                    self.leave_read_only(now_ms);
                }
            }
            _ => {}
        }
    }
}

/// A request with only its `cmd`.
pub(super) fn request(cmd: &'static str) -> Message<'static> {
    Message { cmd: Cow::Borrowed(cmd), ..Message::default() }
}
