//! How servers are dialled: which addresses a name has, which of them are tried and when. All
//! addresses of a server are tried in one round, each a moment after the one before or as soon as
//! that has failed, and the first at which it proves who it is wins. Every attempt is a connection
//! with a deadline that starts when it does; a look-up takes nothing from it.

use core::net::SocketAddr;

use super::super::handshake::{Dialing, Identity};
use super::Mesh;
use super::closing::topic_of;
use super::names::News;
use super::tries::{Ending, Tries};
use super::types::{Conn, Event, Probe, State};
use crate::limits;
use crate::net::Key;
use crate::node::lines::Line;
use crate::node::lines::TraceLevel;

impl Mesh {
    /// The next address to dial now, and the connection to open.
    pub fn next_dial(&mut self) -> Option<(Key, SocketAddr)> {
        if let Some(dial) = self.next_probe() {
            return Some(dial);
        }
        if let Some(dial) = self.next_relay() {
            return Some(dial);
        }
        let (place, address) = (0..self.peers.len())
            .find_map(|place| self.next_address(place).map(|address| (place, address)))?;
        let member = &self.members[place];
        let (meant, id) = (member.name.clone(), member.number);
        let mut conn = self.conn(shown(&member.address, address));
        conn.peer = Some(id);
        conn.dialled = Some(address);
        let key = self.say_hello(conn, &self.me.clone(), &meant);
        if let Some(tries) = &mut self.peers[place].tries {
            tries.begun(key, address);
        }
        Some((key, address))
    }

    fn next_address(&mut self, place: usize) -> Option<SocketAddr> {
        let (peer, now_ms) = (&mut self.peers[place], self.now_ms);
        if place == self.place || peer.current.is_some() {
            return None;
        }
        if peer.tries.is_none() && peer.dial_at_ms <= now_ms {
            let all = self.names.addresses(&self.members[place].address);
            peer.tries = (!all.is_empty()).then(|| Tries::at(all));
        }
        peer.tries.as_mut()?.next(now_ms)
    }

    pub(super) fn say_hello(&mut self, mut conn: Conn, me: &Identity, meant: &str) -> Key {
        let nonce = self.random.key();
        let hello = conn.output.buffer(&mut self.spares);
        conn.state = State::Dialing(Dialing::new(me, meant, nonce, hello));
        let key = self.conns.insert(conn);
        self.mark_dirty(key);
        key
    }

    /// When a peer is dialled next; none while it is connected, or no address of it is known.
    pub(super) fn dial_ms(&self, place: usize) -> Option<u64> {
        let peer = &self.peers[place];
        if place == self.place || peer.current.is_some() {
            return None;
        }
        match &peer.tries {
            Some(tries) => tries.at_ms(),
            None => {
                let is_known = self.names.is_known(&self.members[place].address);
                is_known.then_some(peer.dial_at_ms)
            }
        }
    }

    /// From when on the addresses of a name are wanted.
    pub(super) fn wanted_ms(&self, text: &str) -> Option<u64> {
        let wants = |place: usize| {
            let peer = &self.peers[place];
            let is_away = place != self.place && peer.current.is_none();
            // Once it was lost, or a round has failed: an attempt may be over as soon as it begins.
            let is_missed = peer.tries.is_some() || peer.delay_ms > 0;
            let from_ms = if is_missed { 0 } else { peer.dial_at_ms };
            (is_away && self.members[place].address == text).then_some(from_ms)
        };
        let asked = self.probes.iter().any(|probe| probe.address == text && probe.tries.is_none());
        let peers_ms = (0..self.peers.len()).filter_map(wants).min();
        if asked { Some(0) } else { peers_ms }
    }

    /// The next name to look up: [`Mesh::on_found`] comes then, whenever that is.
    pub fn next_lookup(&mut self) -> Option<String> {
        let mut names = std::mem::take(&mut self.names);
        let now_ms = self.now_ms;
        let is_wanted = |text: &str| self.wanted_ms(text).is_some_and(|ms| ms <= now_ms);
        let next = names.next(now_ms, is_wanted);
        self.names = names;
        next
    }

    /// A name was looked up: its addresses, or why there are none.
    pub fn on_found(&mut self, text: &str, found: Result<Vec<SocketAddr>, String>) {
        let failure = found.as_ref().err().cloned();
        if let Some(news) = self.names.on_found(self.now_ms, text, found) {
            self.tell_news(text, news);
        }
        let all = self.names.addresses(text);
        for (member, peer) in self.members.iter().zip(&mut self.peers) {
            if let Some(tries) = &mut peer.tries
                && member.address == text
            {
                tries.add(&all);
            }
        }
        let waits = |probe: &&mut Probe| probe.address == text && probe.tries.is_none();
        for probe in self.probes.iter_mut().filter(waits) {
            probe.tries = (!all.is_empty()).then(|| Tries::at(all.clone()));
        }
        if let Some(why) = failure.filter(|_| all.is_empty()) {
            self.end_probes(text, &format!("cannot look up its name: {why}"));
        }
        self.warn_of_addresses();
    }

    /// Tells of look-ups that take long, and gives up probes that wait for one.
    pub(super) fn look_after_lookups(&mut self) {
        while let Some((text, news)) = self.names.next_slow(self.now_ms) {
            self.tell_news(&text, news);
        }
        let now_ms = self.now_ms;
        let is_late = |probe: &&Probe| {
            probe.tries.is_none() && probe.since_ms + limits::PEER_PROBE_LOOKUP_MS <= now_ms
        };
        while let Some(probe) = self.probes.iter().find(is_late) {
            let address = probe.address.clone();
            self.end_probes(&address, "looking up its name timed out");
        }
    }

    fn tell_news(&mut self, text: &str, news: News) {
        let is_known = self.names.is_known(text);
        let members = self.members.iter().zip(&mut self.peers);
        for (member, peer) in members.filter(|(member, _)| member.address == text) {
            let name = &member.name;
            let (level, line) = match &news {
                News::Works(found) => (
                    TraceLevel::Info,
                    format!("the address {text} of {name} is now {}", list(found)),
                ),
                News::Fails(why) if is_known => (
                    TraceLevel::Warning,
                    format!(
                        "cannot look up the address {text} of {name}: {why}; trying {} meanwhile",
                        list(&self.names.addresses(text))
                    ),
                ),
                News::Fails(why) => {
                    let why = format!("cannot look up its name: {why}");
                    let line = format!("not connected to {name} at {text}: {why}");
                    peer.why = Some(why);
                    (TraceLevel::Warning, line)
                }
            };
            self.todo.tell.push(Line::of(level, topic_of(name), line));
        }
    }

    /// The other side proved that it is this peer: the other attempts to reach it end, and the address
    /// is the first to be tried from now on.
    pub(super) fn end_tries(&mut self, place: usize, winner: Key) {
        let dialled = self.conns.get(winner).and_then(|conn| conn.dialled);
        if let Some(address) = dialled {
            self.names.is_good(&self.members[place].address, address);
        }
        let tries = self.peers[place].tries.take().unwrap_or_default();
        for (key, _) in tries.open.into_iter().filter(|(key, _)| *key != winner) {
            let why = "another address answered".to_owned();
            self.give_up(key, Ending { why, wait_ms: 0, told: true });
        }
    }

    /// An attempt to reach a peer failed. Gives how the round ended where it is over.
    pub(super) fn end_try(&mut self, place: usize, key: Key, ending: Ending) -> Option<Ending> {
        let dialled = self.conns.get(key).and_then(|conn| conn.dialled);
        if let Some(address) = dialled.filter(|_| ending.wait_ms > 0) {
            self.names.is_not_good(&self.members[place].address, address);
        }
        let peer = &mut self.peers[place];
        let ending = peer.tries.as_mut()?.ended(key, ending)?;
        peer.tries = None;
        Some(ending)
    }

    /// Has the server `name` asked, at `address`, who it is: [`Event::Probed`].
    pub fn probe(&mut self, name: String, address: String) {
        if self.probes.iter().any(|probe| probe.name == name && probe.address == address) {
            return;
        }
        self.names.add(&address);
        let all = self.names.addresses(&address);
        let tries = (!all.is_empty()).then(|| Tries::at(all));
        self.probes.push(Probe { name, address, since_ms: self.now_ms, tries });
    }

    /// The next of those, as an operator would ask: that makes it nobody's peer.
    fn next_probe(&mut self) -> Option<(Key, SocketAddr)> {
        let now_ms = self.now_ms;
        let next = |(place, probe): (usize, &mut Probe)| {
            Some((place, probe.tries.as_mut()?.next(now_ms)?))
        };
        let (place, address) = self.probes.iter_mut().enumerate().find_map(next)?;
        let Probe { name, address: text, .. } = &self.probes[place];
        let (name, text) = (name.clone(), text.clone());
        let mut conn = self.conn(shown(&text, address));
        conn.probe = Some(text);
        let key = self.say_hello(conn, &Identity::operator(), &name);
        if let Some(tries) = &mut self.probes[place].tries {
            tries.begun(key, address);
        }
        Some((key, address))
    }

    /// When the next attempt of a probe is due, or one is given up.
    pub(super) fn probe_ms(&self) -> Option<u64> {
        let due = |probe: &Probe| match &probe.tries {
            Some(tries) => tries.at_ms(),
            None => Some(probe.since_ms + limits::PEER_PROBE_LOOKUP_MS),
        };
        self.probes.iter().filter_map(due).min()
    }

    /// A connection that asks who answers there has found out.
    pub(super) fn answer_probe(&mut self, key: Key, identity: Identity) {
        let Some(place) = self.probe_of(key) else { return };
        let Probe { address, tries, .. } = self.probes.remove(place);
        self.todo.events.push_back(Event::Probed(address, Ok(identity)));
        for (other, _) in
            tries.unwrap_or_default().open.into_iter().filter(|(open, _)| *open != key)
        {
            self.fail(other, "another address answered");
        }
        self.forget_names();
    }

    /// A connection ends: what it was to find out, it did not.
    pub(super) fn end_probe(&mut self, key: Key, why: &str) {
        self.end_relay(key, why);
        let Some(place) = self.probe_of(key) else { return };
        let ending = Ending { why: why.to_owned(), wait_ms: 0, told: true };
        let tries = self.probes[place].tries.as_mut();
        let Some(ending) = tries.and_then(|tries| tries.ended(key, ending)) else { return };
        let address = self.probes.remove(place).address;
        self.tell_probed(address, &ending.why);
        self.forget_names();
    }

    fn end_probes(&mut self, text: &str, why: &str) {
        let before = self.probes.len();
        self.probes.retain(|probe| probe.address != text || probe.tries.is_some());
        if self.probes.len() < before {
            self.tell_probed(text.to_owned(), why);
            self.forget_names();
        }
    }

    fn tell_probed(&mut self, address: String, why: &str) {
        self.tell(TraceLevel::Debug, format!("asked {address}: {why}"));
        self.todo.events.push_back(Event::Probed(address, Err(why.to_owned())));
    }

    fn probe_of(&self, key: Key) -> Option<usize> {
        let is_open = |probe: &Probe| probe.tries.as_ref().is_some_and(|tries| tries.has(key));
        self.probes.iter().position(is_open)
    }

    /// Forgets the names that neither a member nor a probe has any more.
    pub(super) fn forget_names(&mut self) {
        let probes = self.probes.iter().map(|probe| probe.address.as_str());
        let members = self.members.iter().enumerate();
        let others = members.filter(|(place, _)| *place != self.place);
        self.names.keep(others.map(|(_, member)| member.address.as_str()).chain(probes));
    }
}

/// An address as it was given, and the one that is meant.
pub(super) fn shown(text: &str, address: SocketAddr) -> String {
    let plain = address.to_string();
    if text == plain { plain } else { format!("{text} ({plain})") }
}

/// Addresses in a line for the operator.
pub(super) fn list(addresses: &[SocketAddr]) -> String {
    let shown: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    shown.join(", ")
}
