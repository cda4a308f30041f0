//! From bytes to requests, and from a request to what answers it.

use super::Clients;
use super::budget;
use super::client::{Found, Life, Session, Work};
use super::reply::{Refusal, refuse, refuse_with};
use super::request::{self, Access, Request, Row};
use crate::limits;
use crate::net::Key;
use crate::node::replica::Replica;
use crate::protocol::framing::{self, Codec, Form, Split};
use crate::protocol::{Message, name};

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is answered.
    Answered,
    /// It is in progress; its answer comes later.
    InProgress,
    /// It is not its turn: it stays where it is until something has changed.
    Later,
}

/// Who asks, in which codec the answer goes, and what is asked.
pub(super) struct Asked<'a> {
    pub key: Key,
    pub codec: Codec,
    pub message: &'a Message<'a>,
}

impl Clients {
    /// Takes up the requests at the start of `input` for as long as that is possible, and gives how
    /// many bytes they were. `scanned` as [`framing::split`] wants it.
    pub(super) fn dispatch(
        &mut self,
        replica: &mut Replica,
        key: Key,
        input: &[u8],
        scanned: &mut usize,
    ) -> usize {
        let mut used = 0;
        loop {
            let unread = self.outputs.bytes();
            let Some(client) = self.clients.get_mut(key) else { return used };
            client.incoming.waits = false;
            if client.life != Life::Open {
                return input.len();
            }
            let rest = &input[used..];
            let Some(&first) = rest.first() else { return used };
            let form = match client.form.or_else(|| framing::form_of(first)) {
                Some(form) => form,
                None => {
                    let sentence = "begin with { for JSON lines or a zero byte for frames";
                    client.form = Some(Form::Lines);
                    self.reject(key, Codec::Json, &refuse("bad-frame", sentence));
                    return input.len();
                }
            };
            client.form = Some(form);
            if client.work == Work::Busy || !client.has_room(unread) {
                client.incoming.waits = true;
                return used;
            }
            let last_codec = client.codec;
            if self.visit_is_over(key) {
                return self.go_on_later(key, used);
            }
            match framing::split(form, rest, scanned) {
                Split::NeedMore => return used,
                Split::Blank { consumed } => {
                    self.charge(key, budget::BLANK + consumed as u64 / 8);
                    used += consumed;
                }
                Split::TooLong => {
                    if let Some(client) = self.clients.get_mut(key)
                        && client.work != Work::Idle
                    {
                        client.incoming.waits = true;
                        return used;
                    }
                    let codec = if form == Form::Lines { Codec::Json } else { last_codec };
                    let sentence = format!("a request has at most {} bytes", limits::PAYLOAD_BYTES);
                    self.reject(key, codec, &refuse_with("too-long", sentence));
                    return input.len();
                }
                Split::Payload { start, end, consumed, codec } => {
                    if self.on_payload(replica, key, codec, &rest[start..end]) == Next::Later {
                        if let Some(client) = self.clients.get_mut(key) {
                            client.incoming.waits = true;
                        }
                        return used;
                    }
                    used += consumed;
                }
            }
        }
    }

    /// The visit has done enough: the rest stays in the input, and the connection is visited again
    /// behind the others.
    fn go_on_later(&mut self, key: Key, used: usize) -> usize {
        if let Some(client) = self.clients.get_mut(key) {
            client.incoming.waits = true;
        }
        self.on_more(key);
        used
    }

    fn on_payload(
        &mut self,
        replica: &mut Replica,
        key: Key,
        codec: Codec,
        payload: &[u8],
    ) -> Next {
        // Each time that it is looked at: one that waits is decoded again.
        self.charge(key, budget::REQUEST + payload.len() as u64);
        let Some(client) = self.clients.get_mut(key) else { return Next::Answered };
        client.codec = codec;
        let work = client.work;
        self.greet(key);
        let message = framing::decode(codec, payload);
        let result = match &message {
            Err(error) => Err(refuse_with(error.code, error.detail.clone())),
            Ok(message) => match request::find(&message.cmd) {
                None => {
                    let sentence = format!("unknown request {:?}", message.cmd);
                    Err(refuse_with("unknown-command", sentence))
                }
                // Sends follow sends, since the log keeps their order; anything else waits for
                // them, so that replies keep the order of the requests.
                Some(row) if work != Work::Idle && row.request != Request::Send => {
                    return Next::Later;
                }
                Some(row) => {
                    let asked = Asked { key, codec, message };
                    match self.gate(replica, row, &asked) {
                        Ok(None) => self.on_request(replica, row, &asked),
                        Ok(Some(next)) => Ok(next),
                        Err(refusal) => Err(refusal),
                    }
                }
            },
        };
        let next = match result {
            Ok(next) => next,
            Err(_) if work != Work::Idle => Next::Later,
            Err(refusal) => {
                let cmd = message.as_ref().map_or("error", |message| message.cmd.as_ref());
                if cmd == "send" {
                    self.keep_refusing(key, refusal.code);
                }
                self.reply(key, codec, &refusal.message(cmd));
                Next::Answered
            }
        };
        if next != Next::Later {
            self.forget_read_index(key);
            if let Some(client) = self.clients.get_mut(key) {
                client.found = Found::default();
            }
        }
        next
    }

    /// The dispatch. A handler answers, or starts what will be answered, or refuses; one that
    /// refuses has changed nothing.
    fn on_request(
        &mut self,
        replica: &mut Replica,
        row: &Row,
        asked: &Asked<'_>,
    ) -> Result<Next, Refusal> {
        let session = self.check_access(replica, row, asked)?;
        match (row.request, session) {
            (Request::Create, _) => self.on_create(replica, asked),
            (Request::Login, _) => self.on_login(replica, asked),
            (Request::Resume, _) => self.on_resume(replica, asked),
            (Request::Ping, _) => self.on_ping(replica, asked),
            (Request::ServerStatus, _) => self.on_server_status(replica, asked),
            (_, None) => Err(NOT_LOGGED_IN),
            (Request::Token, Some(session)) => self.on_token(replica, asked, session),
            (Request::Logoff, Some(_)) => self.on_logoff(replica, asked),
            (Request::List, Some(_)) => self.on_list(replica, asked),
            (Request::Who, Some(_)) => self.on_who(asked),
            (Request::Watch, Some(_)) => self.on_watch(replica, asked),
            (Request::Send, Some(session)) => self.on_send(replica, asked, session),
            (Request::Deliver, Some(session)) => self.on_deliver(replica, asked, session),
            (Request::History, Some(session)) => self.on_history(replica, asked, session),
            (Request::Sync, Some(session)) => self.on_sync(replica, asked, session),
            (Request::Inbox, Some(session)) => self.on_inbox(replica, asked, session),
            (Request::Read, Some(session)) => self.on_read(replica, asked, session),
            (Request::DeleteMsgs, Some(session)) => self.on_delete_msgs(replica, asked, session),
            (Request::Passwd, Some(_)) => self.on_passwd(replica, asked),
            (Request::Delete, Some(session)) => self.on_delete(replica, asked, session),
        }
    }

    fn check_access(
        &self,
        replica: &Replica,
        row: &Row,
        asked: &Asked<'_>,
    ) -> Result<Option<Session>, Refusal> {
        let session = self.clients.get(asked.key).and_then(|client| client.session);
        if row.access == Access::Names {
            return Ok(session);
        }
        if row.access != Access::Anyone && session.is_none() {
            return Err(NOT_LOGGED_IN);
        }
        let src = asked.message.src.as_ref();
        if !src.is_empty() {
            let own = session.map(|session| replica.state().name(session.account));
            if own.is_none() || name::fold(src).as_deref() != own {
                let sentence = "src must be empty or the name of this session's account";
                return Err(refuse("forbidden", sentence));
            }
        }
        if row.access == Access::WithPassword && session.is_some_and(|session| session.resumed) {
            let sentence = "this session was resumed with a token: log in with the password first";
            return Err(refuse("forbidden", sentence));
        }
        Ok(session)
    }

    /// After some refusals everything sent behind gets the same, until the next ping.
    pub(super) fn keep_refusing(&mut self, key: Key, code: &'static str) {
        let lasting = ["rate-limited", "disk-full", "read-only", "outcome-unknown"];
        if lasting.contains(&code)
            && let Some(client) = self.clients.get_mut(key)
        {
            client.refusing = Some(code);
        }
    }

    /// Answers and closes: what comes behind cannot be understood.
    pub(super) fn reject(&mut self, key: Key, codec: Codec, refusal: &Refusal) {
        self.reply(key, codec, &refusal.message("error"));
        if let Some(client) = self.clients.get_mut(key) {
            client.life = Life::Closing;
        }
    }

    /// Writes an answer, or a frame of one, into the client's output.
    pub(super) fn reply(&mut self, key: Key, codec: Codec, message: &Message<'_>) {
        if let Some(client) = self.clients.get_mut(key) {
            let before = client.unwritten();
            client.put(codec, message, &mut self.spares);
            let bytes = client.unwritten() - before;
            self.charge(key, budget::OUTPUT + bytes as u64);
            self.mark_dirty(key);
        }
    }

    /// A request is in progress that no other may overtake.
    pub(super) fn begin(&mut self, key: Key) -> Next {
        if let Some(client) = self.clients.get_mut(key) {
            client.work = Work::Busy;
        }
        Next::InProgress
    }

    /// The request in progress is answered: the next may be taken up.
    pub(super) fn end(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key) {
            client.work = Work::Idle;
            let owed_status = std::mem::take(&mut client.owed_status);
            self.queue(key);
            if owed_status {
                self.put_status(key);
            }
        }
    }

    /// Answers the request in progress.
    pub(super) fn end_with(&mut self, key: Key, codec: Codec, message: &Message<'_>) {
        self.reply(key, codec, message);
        self.end(key);
    }

    /// Has a connection looked at again when the disk or the outputs have room.
    pub(super) fn stall(&mut self, key: Key) -> Next {
        self.stalled.push(key);
        Next::Later
    }

    /// Something has room again.
    pub fn wake_stalled(&mut self) {
        while let Some(key) = self.stalled.pop() {
            self.queue(key);
        }
    }
}

const NOT_LOGGED_IN: Refusal = refuse("not-logged-in", "create an account or log in first");
