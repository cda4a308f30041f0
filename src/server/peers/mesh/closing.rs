//! How connections end: who closes them, what is told of it, and when a peer is dialled again.

use super::super::handshake;
use super::super::session::Block;
use super::super::wire::{Frame, Reason};
use super::{Conn, Event, Mesh, State};
use crate::limits;
use crate::net::Key;
use crate::server::TraceLevel;

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
        let who = self.who(key);
        self.tell_once(format!("refused: {who}: {reason}"));
        self.end_probe(key, &reason.to_string());
        self.give_up(key, limits::PEER_DIAL_REFUSED_MS);
    }

    /// Closes a connection, with the reason.
    pub(super) fn close(&mut self, key: Key, reason: Reason) {
        self.close_as(key, reason, None);
    }

    pub(super) fn close_as(&mut self, key: Key, reason: Reason, name: Option<String>) {
        let who = match name.filter(|name| !name.is_empty()) {
            Some(name) => format!("{} from {}", name.escape_debug(), self.origin(key)),
            None => self.who(key),
        };
        self.write_frame(key, &Frame::Closing(reason), &Block::default());
        self.end_probe(key, &reason.to_string());
        match reason {
            Reason::Replaced | Reason::Stopping => {}
            Reason::Silence => self.tell_once(format!("closed: {who}: {reason}")),
            _ => self.tell_once(format!("refused: {who}: {reason}")),
        }
        let wait_ms = if reason.passes() { 0 } else { limits::PEER_DIAL_REFUSED_MS };
        self.give_up(key, wait_ms);
    }

    /// The other side has refused this server, provenly.
    pub(super) fn fail_refused(&mut self, key: Key, reason: Reason) {
        let who = self.who(key);
        if !reason.passes() {
            self.tell_once(format!("{who} refuses this server: {reason}"));
        }
        let wait_ms = if reason.passes() { 0 } else { limits::PEER_DIAL_REFUSED_MS };
        self.give_up(key, wait_ms);
    }

    pub(super) fn fail(&mut self, key: Key, why: &str) {
        let who = self.who(key);
        self.end_probe(key, why);
        self.todo.tell.push((TraceLevel::Debug, format!("closed: {who}: {why}")));
        self.give_up(key, 0);
    }

    /// Has a connection closed, and its peer dialled again after `wait_ms` at the least.
    pub(super) fn give_up(&mut self, key: Key, wait_ms: u64) {
        let random = self.random.bytes();
        let Some(conn) = self.conns.get_mut(key) else { return };
        let was_dead = matches!(conn.state, State::Dead) && self.todo.close.contains(&key);
        conn.state = State::Dead;
        let id = conn.peer;
        if was_dead {
            return;
        }
        self.todo.close.push(key);
        let Some(id) = id else { return };
        let Some(place) = self.place_of(id) else { return };
        let peer = &mut self.peers[place];
        if peer.current == Some(key) {
            peer.current = None;
            let name = &self.members[place].name;
            self.todo.tell.push((TraceLevel::Info, format!("peer {name} is down")));
            self.todo.events.push_back(Event::Lost(id));
        } else if peer.current.is_some() || !peer.dialing {
            return;
        }
        peer.dialing = false;
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

    fn origin(&self, key: Key) -> &str {
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

    /// Tells a line that may come up again and again, once in a while. Ports are left out of what is
    /// compared, since each attempt has another.
    pub(super) fn tell_once(&mut self, line: String) {
        let since_ms = self.now_ms.saturating_sub(limits::PEER_TELL_AGAIN_MS);
        self.told.retain(|(at_ms, _)| *at_ms > since_ms);
        let same: String = line.chars().filter(|sign| !sign.is_ascii_digit()).collect();
        if self.told.iter().any(|(_, told)| *told == same) {
            return;
        }
        if self.told.len() >= limits::PEER_TOLD {
            self.told.pop_front();
        }
        self.told.push_back((self.now_ms, same));
        self.todo.tell.push((TraceLevel::Info, line));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::handshake::{Identity, Kind};
    use super::super::{Member, Settings, empty_about};
    use super::*;
    use crate::auth::hmac;

    #[test]
    fn what_was_told_is_remembered_up_to_a_bound_and_the_oldest_may_be_told_again() {
        let kind = Kind::Server;
        let me = Identity { kind, name: "a".into(), cluster: [5; 16], incarnation: 1 };
        let (incarnation, number) = (Some(1), crate::raft::ServerId(1));
        let member = Member { name: "a".into(), address: "h:1".into(), incarnation, number };
        let settings = Settings {
            me,
            members: vec![member],
            secret: hmac::Key::new(&[1; 32]),
            about: empty_about([3; 32], String::new()),
            silence_ms: 1_000,
            seed: [1; 32],
        };
        let mut mesh = Mesh::new(settings, 0);
        mesh.set_now(1);
        let reason = |number: usize| format!("wrong {}", "x".repeat(number + 1));
        for number in 0..limits::PEER_TOLD {
            mesh.tell_once(reason(number));
        }
        mesh.tell_once(reason(0));
        assert_eq!(mesh.todo.tell.len(), limits::PEER_TOLD, "each is told once");
        mesh.tell_once(reason(limits::PEER_TOLD));
        assert_eq!(mesh.told.len(), limits::PEER_TOLD);
        mesh.tell_once(reason(1));
        assert_eq!(mesh.todo.tell.len(), limits::PEER_TOLD + 1, "the second is still known");
        mesh.tell_once(reason(0));
        assert_eq!(mesh.todo.tell.len(), limits::PEER_TOLD + 2, "the first is not");
        assert_eq!(mesh.told.len(), limits::PEER_TOLD);
    }
}
