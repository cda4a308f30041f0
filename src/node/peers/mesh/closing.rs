//! How connections end: who closes them, what is told of it, and when a peer is dialled again.

use super::super::handshake;
use super::super::session::Block;
use super::super::wire::{Frame, Reason};
use super::Mesh;
use super::tries::Ending;
use super::types::{Conn, Event, Member, State, Stranger};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::node::lines::Line;
use crate::node::lines::TraceLevel;

impl Mesh {
    /// The socket is broken, or the other side has closed it.
    pub fn on_broken(&mut self, key: Key, why: &str) {
        self.fail(key, why);
    }

    /// The socket is closed.
    pub fn remove(&mut self, key: Key) {
        self.conns.remove(key);
    }

    /// Tells every peer that this server stops, and closes the connections.
    pub fn stop(&mut self) {
        let keys: Vec<Key> = self.conns.keys().collect();
        for key in keys {
            self.close(key, Reason::Stopping);
        }
    }

    /// Closes a connection that is not proven, with a refusal.
    pub(super) fn refuse(&mut self, key: Key, reason: Reason) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        handshake::put_refusal(conn.output.buffer(&mut self.spares), reason);
        let line = format!("refused: {}: {reason}", self.who(key));
        self.tell_refusal(key, None, reason, line);
        let why = reason.to_string();
        self.end_probe(key, &why);
        self.give_up(key, Ending { why, wait_ms: limits::PEER_DIAL_REFUSED_MS, told: true });
    }

    /// Closes a connection, with the reason.
    pub(super) fn close(&mut self, key: Key, reason: Reason) {
        self.close_as(key, reason, None);
    }

    pub(super) fn close_as(&mut self, key: Key, reason: Reason, name: Option<String>) {
        let name = name.filter(|name| !name.is_empty());
        self.write_frame(key, &Frame::Closing(reason), &Block::default());
        let why = reason.to_string();
        self.end_probe(key, &why);
        let told = !matches!(reason, Reason::Replaced | Reason::Stopping | Reason::Silence);
        if told {
            let who = match &name {
                Some(name) => format!("{} from {}", name.escape_debug(), self.origin(key)),
                None => self.who(key),
            };
            self.tell_refusal(key, name, reason, format!("refused: {who}: {reason}"));
        }
        let wait_ms = if reason.passes() { 0 } else { limits::PEER_DIAL_REFUSED_MS };
        self.give_up(key, Ending { why, wait_ms, told });
    }

    /// The other side has refused this server, provenly.
    pub(super) fn fail_refused(&mut self, key: Key, reason: Reason) {
        let told = !reason.passes();
        if reason == Reason::OldCopy {
            let conn = self.conns.get(key);
            let stranger = conn.and_then(|conn| conn.stranger.as_ref()).map(|s| s.name.clone());
            let peer = conn.and_then(|conn| conn.peer).map(|id| self.name_of(id).to_owned());
            // The server ends, and says so.
            let name = stranger.or(peer).unwrap_or_default();
            self.todo.events.push_back(Event::OldCopy(name));
        } else if told {
            let line = format!("{} refuses this server: {reason}", self.who(key));
            self.tell_refusal(key, None, reason, line);
        }
        let wait_ms = if reason.passes() { 0 } else { limits::PEER_DIAL_REFUSED_MS };
        self.give_up(key, Ending { why: reason.to_string(), wait_ms, told });
    }

    pub(super) fn fail(&mut self, key: Key, why: &str) {
        let who = self.who(key);
        self.end_probe(key, why);
        self.tell(TraceLevel::Debug, format!("closed: {who}: {why}"));
        self.give_up(key, Ending { why: why.to_owned(), wait_ms: 0, told: false });
    }

    /// Has a connection closed, and its peer dialled again later.
    pub(super) fn give_up(&mut self, key: Key, ending: Ending) {
        let random = self.random.bytes();
        let Some(conn) = self.conns.get_mut(key) else { return };
        let was_dead = matches!(conn.state, State::Dead) && self.todo.close.contains(&key);
        conn.state = State::Dead;
        // An old copy that closes what refuses it is refused all the same.
        let is_old_copy = |stranger: &Stranger| stranger.reason == Reason::OldCopy;
        let refuses = conn.stranger.as_ref().is_some_and(is_old_copy);
        let refused_ms = if refuses { limits::PEER_DIAL_REFUSED_MS } else { 0 };
        let wait_ms = ending.wait_ms.max(refused_ms);
        let ending = Ending { wait_ms, told: ending.told || refuses, ..ending };
        let id = conn.peer;
        if was_dead {
            return;
        }
        self.todo.close.push(key);
        let Some(id) = id else { return };
        let Some(place) = self.place_of(id) else { return };
        let Member { name, address, .. } = &self.members[place];
        let (name, address) = (name.clone(), address.clone());
        let peer = &mut self.peers[place];
        let is_current = peer.current == Some(key) || planted(Mutant::OldClosesNew);
        let Ending { why, wait_ms, told } = if is_current {
            peer.current = None;
            if !ending.told {
                let line = format!("peer {name} is down: {}", ending.why);
                self.todo.tell.push(Line::of(TraceLevel::Warning, topic_of(&name), line));
            }
            self.todo.events.push_back(Event::Lost(id));
            Ending { told: true, ..ending }
        } else if peer.current.is_some() {
            return;
        } else {
            let Some(ending) = self.end_try(place, key, ending) else { return };
            ending
        };
        let peer = &mut self.peers[place];
        if !told && peer.why.as_ref() != Some(&why) {
            let line = format!("not connected to {name} at {address}: {why}");
            self.todo.tell.push(Line::of(TraceLevel::Warning, topic_of(&name), line));
        }
        peer.why = Some(why);
        let doubled_ms = (2 * peer.delay_ms).max(limits::PEER_DIAL_FIRST_MS);
        peer.delay_ms = doubled_ms.min(limits::PEER_DIAL_MOST_MS).max(wait_ms);
        let jitter = u64::from_be_bytes(*random.first_chunk().expect("there are sixteen"));
        let half_ms = peer.delay_ms / 2;
        let call_ms = if place < self.place { limits::PEER_CALL_MS } else { 0 };
        peer.dial_at_ms = self.now_ms + call_ms + half_ms + jitter % (half_ms + 1);
        if wait_ms > 0 {
            peer.delay_ms = 0;
        }
    }

    pub(super) fn origin(&self, key: Key) -> &str {
        self.conns.get(key).map_or("?", |conn| &conn.origin)
    }

    pub(super) fn who(&self, key: Key) -> String {
        match self.conns.get(key) {
            Some(Conn { peer: Some(id), origin, .. }) => {
                format!("peer {} at {origin}", self.name_of(*id))
            }
            Some(conn) => conn.origin.clone(),
            None => "?".to_owned(),
        }
    }

    pub(super) fn tell(&mut self, level: TraceLevel, text: String) {
        self.todo.tell.push(Line::new(level, text));
    }

    /// Tells that a connection is refused, by this side or the other. Lines about a peer, or about one
    /// that has proven the secret, are folded by its name; others by the reason, since anybody can
    /// come from any address.
    pub(super) fn tell_refusal(
        &mut self,
        key: Key,
        name: Option<String>,
        reason: Reason,
        text: String,
    ) {
        let peer = self.conns.get(key).and_then(|conn| conn.peer);
        let topic = match (peer, name) {
            (Some(id), _) => topic_of(self.name_of(id)),
            (None, Some(name)) => format!("refused {name}"),
            (None, None) => format!("refused: {reason}"),
        };
        let is_error = reason == Reason::OldCopy;
        let level = if is_error { TraceLevel::Error } else { TraceLevel::Warning };
        self.todo.tell.push(Line::of(level, topic, text));
    }
}

/// What lines about a peer's connection are folded by.
pub(super) fn topic_of(name: &str) -> String {
    format!("peer {name}")
}
