//! A server that has gone silent, and the look for another.
//!
//! A machine that hangs, or whose cable is pulled, closes no connection: only its silence tells. The
//! client notices within a second or two, but moving on silence alone would send every client away
//! from a PRIMARY that is merely slow, and any other server would send it back. So it asks one other
//! server of its list for `server_status`, on a second connection, and moves only if that server
//! knows a PRIMARY of a higher term: the cluster has gone on without the silent one.
//!
//! ```text
//! Quiet --suspected--> Due --jitter--> Asking --a later PRIMARY--> on to that one
//!   ^                   ^                |
//!   +----heard again----+--no news-------+   another server after 1, 2, 4, 4 ... s; at once if the
//!                                              one asked does not answer and others are untried
//! ```

use super::Session;
use super::phase::{Link, Look, PendingKind, Tried};
use super::types::{Output, State};
use super::wire::request;
use crate::mutants::{Mutant, planted};
use crate::net::address;
use crate::protocol::Message;
use crate::protocol::framing::{self, Form, Split};

/// A server that owes an answer for this long is suspected, milliseconds, or for four times the
/// slowest answer of the last minute if that is longer.
pub const OWED_MS: u64 = 1_000;
/// The same for the answer to a ping, which needs nothing of the disk or of other servers.
pub const PING_OWED_MS: u64 = 500;
/// A look begins up to this much later, milliseconds: thousands of clients notice at the same time.
pub const LOOK_JITTER_MS: u64 = 500;
/// A server asked during a look answers within this, milliseconds, or counts as silent too.
pub const LOOK_MS: u64 = 1_000;
/// From one look in vain to the next, milliseconds; the last holds from then on.
pub const LOOK_AGAIN_MS: [u64; 3] = [1_000, 2_000, 4_000];
/// Half of the time over which the slowest answer is remembered, milliseconds.
const PACE_MS: u64 = 30_000;
/// How many times the slowest answer of the last minute may be exceeded.
const SLOWER: u64 = 4;
/// Most bytes of an answer to a look, `server_status` pushes before it included.
const LOOK_BYTES: usize = 4 << 10;

/// The slowest answer of the last 30 to 60 seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    since: u64,
    slowest: u64,
    slowest_before: u64,
}

impl Pace {
    /// An answer has taken so long.
    pub(super) fn note(&mut self, now_ms: u64, took_ms: u64) {
        self.pass(now_ms);
        self.slowest = self.slowest.max(took_ms);
    }

    fn pass(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.since) / PACE_MS;
        if passed > 0 {
            self.slowest_before = if passed == 1 { self.slowest } else { 0 };
            self.slowest = 0;
            self.since = now_ms;
        }
    }

    fn slowest(&self) -> u64 {
        self.slowest.max(self.slowest_before)
    }
}

/// What a server says of the cluster: the body of a `server_status` reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerStatus {
    pub(super) is_primary: bool,
    pub(super) term: u64,
    /// Where the PRIMARY is; empty where the server knows none.
    pub(super) primary: String,
}

impl ServerStatus {
    /// Reads lines of `key value`; unknown keys are ignored.
    pub(super) fn of(body: &str) -> Option<ServerStatus> {
        let mut status = ServerStatus::default();
        let mut has_term = false;
        for (key, value) in body.lines().filter_map(|line| line.split_once(' ')) {
            match key {
                "role" => status.is_primary = value == "PRIMARY",
                "term" => {
                    status.term = value.parse().ok()?;
                    has_term = true;
                }
                "primary" => status.primary = value.to_owned(),
                _ => {}
            }
        }
        has_term.then_some(status)
    }
}

impl Session {
    /// The request of a look, for a connection that [`Output::Look`] asked for.
    pub fn look_request(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        framing::put(&mut bytes, Form::Frames, self.codec, &request("server_status"));
        bytes
    }

    /// Bytes from the server that is being asked.
    pub fn look_received(&mut self, now_ms: u64, bytes: &[u8]) {
        let look = self.phase.link_mut().map(|link| &mut link.look);
        let Some(Look::Asking { incoming, scanned, .. }) = look else { return };
        incoming.extend_from_slice(bytes);
        let mut used = 0;
        let answer = loop {
            match framing::split(Form::Frames, &incoming[used..], scanned) {
                Split::NeedMore if incoming.len() - used <= LOOK_BYTES => break None,
                Split::Blank { consumed } => used += consumed,
                Split::Payload { start, end, consumed, codec } => {
                    let payload = &incoming[used + start..used + end];
                    let Ok(message) = framing::decode(codec, payload) else { break Some(None) };
                    // It may say first that it does not serve everything.
                    if let Some(status) = status_of(&message) {
                        break Some(Some(status));
                    }
                    used += consumed;
                }
                Split::TooLong | Split::NeedMore => break Some(None),
            }
        };
        match answer {
            None => drop(incoming.drain(..used)),
            Some(None) => self.look_unanswered(now_ms),
            Some(Some(status)) => self.on_look(now_ms, &status),
        }
        self.settle(now_ms);
    }

    /// The server that is being asked cannot be reached, or is gone.
    pub fn look_closed(&mut self, now_ms: u64) {
        self.look_unanswered(now_ms);
        self.settle(now_ms);
    }

    /// When the server is to be suspected, unless it says something before. With one server in the
    /// list there is nobody to ask.
    fn suspect_at(&self, link: &Link) -> Option<u64> {
        if self.route.servers.len() < 2 || planted(Mutant::SilenceIgnored) {
            return None;
        }
        let slow = SLOWER * self.pace.slowest();
        let owed = link.pending.front().map(|oldest| {
            let least = match oldest.kind {
                PendingKind::Ping => PING_OWED_MS,
                _ => OWED_MS,
            };
            oldest.sent_ms.max(link.last_heard) + least.max(slow)
        });
        let unserved = link.server.unserved_since.map(|since| since + OWED_MS);
        [owed, unserved].into_iter().flatten().min()
    }

    pub(super) fn look_deadline(&self) -> Option<u64> {
        let link = self.phase.link()?;
        match link.look {
            Look::Quiet => self.suspect_at(link),
            Look::Due { at, .. } => Some(at),
            Look::Asking { deadline, .. } => Some(deadline),
        }
    }

    /// Begins, continues, or ends the look.
    pub(super) fn look_around(&mut self, now_ms: u64) {
        self.pace.pass(now_ms);
        let Some(link) = self.phase.link() else { return };
        let is_suspect = self.suspect_at(link).is_some_and(|at| now_ms >= at);
        match link.look {
            Look::Quiet if is_suspect => {
                let at = now_ms + self.dice.below(LOOK_JITTER_MS);
                self.set_look(Look::Due { at, tried: Tried::default() });
            }
            Look::Due { .. } | Look::Asking { .. } if !is_suspect => self.set_look(Look::Quiet),
            Look::Asking { deadline, .. } if now_ms >= deadline => self.look_unanswered(now_ms),
            _ => {}
        }
        let look = self.phase.link().map(|link| &link.look);
        if let Some(&Look::Due { at, tried }) = look
            && now_ms >= at
        {
            let Some(server) = self.next_to_ask() else { return };
            let (incoming, deadline) = (Vec::new(), now_ms + LOOK_MS);
            self.set_look(Look::Asking { server, deadline, tried, incoming, scanned: 0 });
            self.outputs.push_back(Output::Look(self.route.servers[server].clone()));
        }
    }

    /// Another server than the one that is silent, each in its turn.
    fn next_to_ask(&mut self) -> Option<usize> {
        let is_other = |place: &usize| self.route.servers[*place] != self.route.address;
        let others: Vec<usize> = (0..self.route.servers.len()).filter(is_other).collect();
        self.questions = self.questions.wrapping_add(1);
        (!others.is_empty()).then(|| others[self.questions % others.len()])
    }

    /// The look goes on, or ends; its connection is dropped.
    fn set_look(&mut self, look: Look) {
        let Some(link) = self.phase.link_mut() else { return };
        if let Look::Asking { .. } = std::mem::replace(&mut link.look, look) {
            self.outputs.push_back(Output::EndLook);
        }
    }

    /// The server that was asked is silent too, or gone: the next one, while there are others.
    fn look_unanswered(&mut self, now_ms: u64) {
        let look = self.phase.link().map(|link| &link.look);
        let Some(&Look::Asking { mut tried, .. }) = look else { return };
        tried.unanswered += 1;
        match tried.unanswered + 1 >= self.route.servers.len() {
            true => self.look_later(now_ms, tried),
            false => self.set_look(Look::Due { at: now_ms, tried }),
        }
    }

    /// No server knows more: asks again after a while.
    fn look_later(&mut self, now_ms: u64, tried: Tried) {
        let wait_ms = LOOK_AGAIN_MS[tried.waits.min(LOOK_AGAIN_MS.len() - 1)];
        let tried = Tried { waits: tried.waits + 1, unanswered: 0 };
        self.set_look(Look::Due { at: now_ms + wait_ms, tried });
    }

    fn on_look(&mut self, now_ms: u64, status: &ServerStatus) {
        let Some(link) = self.phase.link() else { return };
        let Look::Asking { server: asked, tried, .. } = link.look else { return };
        let is_later = status.term > self.term || planted(Mutant::AnyTermMoves);
        // The server that is spoken to is no news.
        let is_here = address::same(&status.primary, &self.route.address)
            || address::same(&status.primary, &link.server.advertised);
        if !is_later || status.primary.is_empty() || is_here {
            return self.look_later(now_ms, tried);
        }
        self.set_look(Look::Quiet);
        self.term = status.term;
        let from = self.route.servers[asked].clone();
        self.move_on(now_ms, &from, &status.primary);
    }

    /// An answer has come. How long an election has held it up says nothing of the server's pace.
    pub(super) fn note_pace(&mut self, now_ms: u64, sent_ms: u64) {
        let serves = |link: &Link| {
            link.server.unserved_since.is_none() && sent_ms >= link.server.served_since
        };
        if self.phase.link().is_some_and(serves) {
            self.pace.note(now_ms, now_ms.saturating_sub(sent_ms));
        }
    }

    /// What the server of the connection says of itself.
    pub(super) fn on_status(&mut self, status: ServerStatus) {
        self.term = status.term;
        if let Some(link) = self.phase.link_mut() {
            let is_primary = status.is_primary;
            link.server.advertised = if is_primary { status.primary } else { String::new() };
        }
    }

    /// The server serves everything, or not: where it does not for long, others may have a majority.
    pub(super) fn note_served(&mut self, now_ms: u64, state: Option<State>) {
        let Some(link) = self.phase.link_mut() else { return };
        let server = &mut link.server;
        server.unserved_since = match state {
            Some(State::ReadOnly | State::Electing) => server.unserved_since.or(Some(now_ms)),
            _ => None,
        };
        if server.unserved_since.is_none() {
            server.served_since = now_ms;
        }
    }

    /// Asks for `server_status`, before the login and wherever a term may have ended: a server that
    /// does not answer it at once is silent, and the term tells a later PRIMARY from this one.
    pub(super) fn ask_status(&mut self, now_ms: u64) {
        self.put(now_ms, PendingKind::Status, &request("server_status"));
    }
}

/// What a message says of the cluster, if it is a reply to `server_status`.
pub(super) fn status_of(message: &Message<'_>) -> Option<ServerStatus> {
    let is_status = message.cmd == "server_status" && !message.error;
    is_status.then(|| ServerStatus::of(&message.body)).flatten()
}
