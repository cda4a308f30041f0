//! A server that has gone silent, and the look for another.
//!
//! A machine that hangs, or whose cable is pulled, closes no connection: only its silence tells. The
//! client notices within a second or two, but moving on silence alone would send every client away
//! from a PRIMARY that is merely slow, and whichever server it tried would send it back. So it asks
//! one other server of its list for `server_status`, on a connection of its own, and moves only where
//! that server knows a PRIMARY of a higher term: the cluster has gone on without the silent one.
//!
//! ```text
//! Quiet --suspected--> Due --jitter--> Asking --a later PRIMARY--> on to that one
//!   ^                   ^                |
//!   +----heard again----+--no news-------+   another server after 1, 2, 4, 4 ... s; at once if the
//!                                              one asked does not answer and others are untried
//! ```

use super::wire::request;
use super::{PendingKind, Session, State};
use crate::mutants::{Mutant, planted};
use crate::net::address;
use crate::protocol::Message;
use crate::protocol::framing::{self, Form, Split};

/// A server that owes an answer for this long is suspected, milliseconds, or for four times the
/// slowest answer of the last minute if that is longer.
pub const OWED_MS: u64 = 1_000;
/// The same for the answer to a ping, which needs nothing of the disk or of other servers.
pub const PING_OWED_MS: u64 = 500;
/// How many times the slowest answer of the last minute may be exceeded.
const SLOWER: u64 = 4;
/// A look begins up to this much later, milliseconds: thousands of clients notice at the same time.
pub const LOOK_JITTER_MS: u64 = 500;
/// A server asked during a look answers within this, milliseconds, or counts as silent too.
pub const LOOK_MS: u64 = 1_000;
/// From one look in vain to the next, milliseconds; the last holds from then on.
pub const LOOK_AGAIN_MS: [u64; 3] = [1_000, 2_000, 4_000];
/// Half of the time over which the slowest answer is remembered, milliseconds.
const PACE_MS: u64 = 30_000;
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

/// Where the look for another server is.
#[derive(Debug)]
pub(super) enum Look {
    /// The server answers.
    Quiet,
    /// It does not: another is asked at this time.
    Due { at: u64, tried: Tried },
    /// Another is being asked.
    Asking { server: usize, deadline: u64, tried: Tried, incoming: Vec<u8>, scanned: usize },
}

/// What a look has tried so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried {
    /// How often it has waited before the next question.
    waits: usize,
    /// Servers that did not answer, since the last wait.
    unanswered: usize,
}

/// What a server says of the cluster: the body of a `server_status` reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) is_primary: bool,
    pub(super) term: u64,
    /// Where the PRIMARY is; empty where the server knows none.
    pub(super) primary: String,
}

impl Standing {
    /// Reads lines of `key value`; unknown keys are ignored.
    pub(super) fn of(body: &str) -> Option<Standing> {
        let mut standing = Standing::default();
        let mut has_term = false;
        for (key, value) in body.lines().filter_map(|line| line.split_once(' ')) {
            match key {
                "role" => standing.is_primary = value == "PRIMARY",
                "term" => {
                    standing.term = value.parse().ok()?;
                    has_term = true;
                }
                "primary" => standing.primary = value.to_owned(),
                _ => {}
            }
        }
        has_term.then_some(standing)
    }
}

impl Session {
    /// The request of a look, for a connection that [`Output::Look`](super::Output::Look) asked for.
    pub fn look_request(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        framing::put(&mut bytes, Form::Frames, self.codec, &request("server_status"));
        bytes
    }

    /// Bytes from the server that is being asked.
    pub fn look_received(&mut self, now_ms: u64, bytes: &[u8]) {
        let Look::Asking { incoming, scanned, .. } = &mut self.look else { return };
        incoming.extend_from_slice(bytes);
        let mut used = 0;
        let answer = loop {
            match framing::split(Form::Frames, &incoming[used..], scanned) {
                Split::NeedMore if incoming.len() - used <= LOOK_BYTES => break None,
                Split::Blank { consumed } => used += consumed,
                Split::Payload { start, end, consumed, codec } => {
                    let payload = &incoming[used + start..used + end];
                    let Ok(message) = framing::decode(codec, payload) else { break Some(None) };
                    // It may say first that it serves not everything.
                    if let Some(standing) = standing_of(&message) {
                        break Some(Some(standing));
                    }
                    used += consumed;
                }
                Split::TooLong | Split::NeedMore => break Some(None),
            }
        };
        match answer {
            None => drop(incoming.drain(..used)),
            Some(None) => self.look_unanswered(now_ms),
            Some(Some(standing)) => self.on_look(now_ms, &standing),
        }
        self.settle(now_ms);
    }

    /// The server that is being asked cannot be reached, or is gone.
    pub fn look_closed(&mut self, now_ms: u64) {
        if matches!(self.look, Look::Asking { .. }) {
            self.look_unanswered(now_ms);
        }
        self.settle(now_ms);
    }

    /// When the server is to be suspected, unless it says something before. With one server in the
    /// list there is nobody to ask.
    fn suspect_at(&self) -> Option<u64> {
        if self.servers.len() < 2 || !self.is_attached() || planted(Mutant::SilenceIgnored) {
            return None;
        }
        let slow = SLOWER * self.pace.slowest();
        let owed = self.pending.front().map(|oldest| {
            let least = match oldest.kind {
                PendingKind::Ping => PING_OWED_MS,
                _ => OWED_MS,
            };
            oldest.sent_ms.max(self.last_heard) + least.max(slow)
        });
        let unserved = self.unserved_since.map(|since| since + OWED_MS);
        [owed, unserved].into_iter().flatten().min()
    }

    /// When the look has to go on.
    pub(super) fn look_deadline(&self) -> Option<u64> {
        match self.look {
            Look::Quiet => self.suspect_at(),
            Look::Due { at, .. } => Some(at),
            Look::Asking { deadline, .. } => Some(deadline),
        }
    }

    /// Begins, goes on with, or ends the look.
    pub(super) fn look_around(&mut self, now_ms: u64) {
        self.pace.pass(now_ms);
        let is_suspect = self.suspect_at().is_some_and(|at| now_ms >= at);
        match self.look {
            Look::Quiet if is_suspect => {
                let at = now_ms + self.random_below(LOOK_JITTER_MS);
                self.look = Look::Due { at, tried: Tried::default() };
            }
            Look::Due { .. } | Look::Asking { .. } if !is_suspect => self.end_look(),
            Look::Asking { deadline, .. } if now_ms >= deadline => self.look_unanswered(now_ms),
            _ => {}
        }
        if let Look::Due { at, tried } = self.look
            && now_ms >= at
        {
            let Some(server) = self.next_to_ask() else { return };
            let (incoming, deadline) = (Vec::new(), now_ms + LOOK_MS);
            self.look = Look::Asking { server, deadline, tried, incoming, scanned: 0 };
            self.outputs.push_back(super::Output::Look(self.servers[server].clone()));
        }
    }

    /// Another server than the one that is silent, each in its turn.
    fn next_to_ask(&mut self) -> Option<usize> {
        let is_other = |place: &usize| self.servers[*place] != self.address;
        let others: Vec<usize> = (0..self.servers.len()).filter(is_other).collect();
        self.questions = self.questions.wrapping_add(1);
        (!others.is_empty()).then(|| others[self.questions % others.len()])
    }

    /// Forgets the look.
    pub(super) fn end_look(&mut self) {
        if let Look::Asking { .. } = std::mem::replace(&mut self.look, Look::Quiet) {
            self.outputs.push_back(super::Output::EndLook);
        }
    }

    /// The server that was asked is silent too, or gone: the next one, while there are others.
    fn look_unanswered(&mut self, now_ms: u64) {
        let Look::Asking { mut tried, .. } = self.look else { return };
        tried.unanswered += 1;
        if tried.unanswered + 1 >= self.servers.len() {
            return self.look_later(now_ms, tried);
        }
        self.end_look();
        self.look = Look::Due { at: now_ms, tried };
    }

    /// Nobody knows more: asks again after a while.
    fn look_later(&mut self, now_ms: u64, tried: Tried) {
        self.end_look();
        let wait_ms = LOOK_AGAIN_MS[tried.waits.min(LOOK_AGAIN_MS.len() - 1)];
        let tried = Tried { waits: tried.waits + 1, unanswered: 0 };
        self.look = Look::Due { at: now_ms + wait_ms, tried };
    }

    fn on_look(&mut self, now_ms: u64, standing: &Standing) {
        let Look::Asking { server: asked, tried, .. } = self.look else { return };
        let later = standing.term > self.term || planted(Mutant::AnyTermMoves);
        let is_later = later && !standing.primary.is_empty();
        if !is_later || self.is_here(&standing.primary) {
            return self.look_later(now_ms, tried);
        }
        self.end_look();
        self.term = standing.term;
        let from = self.servers[asked].clone();
        self.move_on(now_ms, &from, &standing.primary);
    }

    /// Whether the PRIMARY of that address is the server that is spoken to.
    fn is_here(&self, primary: &str) -> bool {
        address::same(primary, &self.address) || address::same(primary, &self.advertised)
    }

    /// An answer has come. How long an election has held it up says nothing of the server's pace.
    pub(super) fn note_pace(&mut self, now_ms: u64, sent_ms: u64) {
        if self.unserved_since.is_none() && sent_ms >= self.served_since {
            self.pace.note(now_ms, now_ms.saturating_sub(sent_ms));
        }
    }

    /// What the server that is spoken to says of itself.
    pub(super) fn on_standing(&mut self, standing: Standing) {
        self.term = standing.term;
        self.advertised = if standing.is_primary { standing.primary } else { String::new() };
    }

    /// The server serves all, or not: where it does not for long, others may have a majority.
    pub(super) fn note_served(&mut self, now_ms: u64, state: Option<State>) {
        self.unserved_since = match state {
            Some(State::ReadOnly | State::Electing) => self.unserved_since.or(Some(now_ms)),
            _ => None,
        };
        if self.unserved_since.is_none() {
            self.served_since = now_ms;
        }
    }

    /// `server_status`, before the login and wherever a term may have ended: a server that does not
    /// answer it at once is silent, and the term tells a later PRIMARY from this one.
    pub(super) fn ask_standing(&mut self, now_ms: u64) {
        self.put(now_ms, PendingKind::Standing, &request("server_status"));
    }

    /// How long a connection may take, milliseconds: short while others of the list are untried.
    pub(super) fn connect_ms(&self) -> u64 {
        let count = self.servers.len() as u32;
        match count {
            1 => super::CONNECT_MS,
            _ => (super::CONNECT_FIRST_MS << (self.failures / count).min(4)).min(super::CONNECT_MS),
        }
    }
}

/// What a message says of the cluster, if it is a reply to `server_status`.
pub(super) fn standing_of(message: &Message<'_>) -> Option<Standing> {
    let is_status = message.cmd == "server_status" && !message.error;
    is_status.then(|| Standing::of(&message.body)).flatten()
}
