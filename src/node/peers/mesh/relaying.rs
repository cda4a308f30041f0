//! Operators on this machine, who come through the data directory's socket. They prove nothing but
//! that they may open that socket, and reach the other servers through this one, which has the
//! cluster's secret: what they ask is passed on, and so is the answer.

use core::net::SocketAddr;

use super::super::handshake::{Claim, Identity, Kind};
use super::super::session::Block;
use super::super::wire::{Frame, Reason};
use super::Mesh;
use super::dialing::shown;
use super::tries::{Ending, Tries};
use super::types::Relay;
use crate::limits;
use crate::net::Key;

impl Mesh {
    /// Somebody on this machine has connected through the data directory's socket.
    pub fn accept_local(&mut self) -> Key {
        self.make_room(limits::LOCAL_OPERATORS, |conn| conn.local);
        let mut conn = self.conn("this machine".to_owned());
        conn.local = true;
        self.conns.insert(conn)
    }

    /// An operator on this machine says whom it means.
    pub(super) fn on_local_proven(&mut self, key: Key, claim: &Claim) {
        if claim.identity.kind != Kind::Operator {
            return self.close(key, Reason::Malformed);
        }
        let means_another = !claim.meant.is_empty() && claim.meant != self.me.name;
        if let Some(conn) = self.conns.get_mut(key) {
            conn.relay_to = means_another.then(|| claim.meant.clone());
        }
    }

    /// Passes on what an operator asks the server `name`.
    pub(super) fn relay(&mut self, asker: Key, name: String, frame: Frame) {
        let Some(member) = self.members.iter().find(|member| member.name == name) else {
            return self.answer_unreachable(asker, "the cluster has no server with this name");
        };
        let (address, id) = (member.address.clone(), member.number);
        let asked = self.conns.keys().filter(|key| self.is_relay(*key)).count();
        if self.relays.len() + asked >= limits::LOCAL_OPERATORS {
            return self.answer_unreachable(asker, "too many requests at once: try again");
        }
        let all = self.names.addresses(&address);
        if all.is_empty() {
            let why = self.why_down(id).unwrap_or("its name has not been looked up yet").to_owned();
            return self.answer_unreachable(asker, &why);
        }
        self.relays.push(Relay { asker, name, address, frame, tries: Tries::at(all) });
    }

    fn is_relay(&self, key: Key) -> bool {
        self.conns.get(key).is_some_and(|conn| conn.relay.is_some())
    }

    /// The next address to dial for that: as an operator, whom the other server answers.
    pub(super) fn next_relay(&mut self) -> Option<(Key, SocketAddr)> {
        let now_ms = self.now_ms;
        let next = |(place, relay): (usize, &mut Relay)| Some((place, relay.tries.next(now_ms)?));
        let (place, address) = self.relays.iter_mut().enumerate().find_map(next)?;
        let Relay { asker, name, address: text, .. } = &self.relays[place];
        let (asker, name) = (*asker, name.clone());
        let mut conn = self.conn(shown(text, address));
        conn.relay = Some(asker);
        let key = self.say_hello(conn, &Identity::operator(), &name);
        self.relays[place].tries.begun(key, address);
        Some((key, address))
    }

    /// When the next of these is due.
    pub(super) fn relay_ms(&self) -> Option<u64> {
        self.relays.iter().filter_map(|relay| relay.tries.at_ms()).min()
    }

    /// The other server has proven the secret: it is asked.
    pub(super) fn send_relayed(&mut self, key: Key) {
        let Some(place) = self.relay_of(key) else { return };
        let Relay { frame, tries, .. } = self.relays.remove(place);
        self.write_frame(key, &frame, &Block::default());
        for (other, _) in tries.open.into_iter().filter(|(open, _)| *open != key) {
            if let Some(conn) = self.conns.get_mut(other) {
                conn.relay = None;
            }
            self.fail(other, "another address answered");
        }
    }

    /// It answers.
    pub(super) fn on_relayed(&mut self, key: Key, frame: Frame) {
        match frame {
            Frame::Status(text) => {
                let asker = self.conns.get_mut(key).and_then(|conn| conn.relay.take());
                if let Some(asker) = asker {
                    self.answer(asker, text);
                }
                self.fail(key, "it has answered");
            }
            Frame::Closing(reason) => self.fail(key, &reason.to_string()),
            _ => {}
        }
    }

    /// A connection ends: what was to be answered over it is not.
    pub(super) fn end_relay(&mut self, key: Key, why: &str) {
        let asker = self.conns.get_mut(key).and_then(|conn| conn.relay.take());
        let Some(asker) = asker else { return };
        let Some(place) = self.relay_of(key) else {
            return self.answer_unreachable(asker, why);
        };
        let ending = Ending { why: why.to_owned(), wait_ms: 0, told: true };
        if let Some(ending) = self.relays[place].tries.ended(key, ending) {
            self.relays.remove(place);
            self.answer_unreachable(asker, &ending.why);
        }
    }

    /// The place of what is asked once this connection's other side has proven the secret.
    fn relay_of(&self, key: Key) -> Option<usize> {
        self.relays.iter().position(|relay| relay.tries.has(key))
    }

    fn answer_unreachable(&mut self, asker: Key, why: &str) {
        self.answer(asker, format!("unreachable {why}\n"));
    }
}
