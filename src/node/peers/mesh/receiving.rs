//! What comes over a connection: the handshake, whether the other side is who it should be, frames.

use std::mem;

use super::super::handshake::{Accepting, Claim, Kind, Session};
use super::super::session::{Block, LENGTH_BYTES};
use super::super::wire::{self, Frame, Reason};
use super::Mesh;
use super::closing::topic_of;
use super::types::{Conn, Event, State};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::node::lines::Line;
use crate::node::lines::TraceLevel;
use crate::raft::ServerId;

impl Mesh {
    /// How many bytes are to be read from a connection at once: few, before the secret is proven.
    pub fn budget(&self, key: Key) -> usize {
        match self.conns.get(key).map(|conn| &conn.state) {
            Some(State::Open(_)) => limits::PEER_READ_BYTES,
            _ => limits::PEER_HANDSHAKE_BYTES + LENGTH_BYTES,
        }
    }

    /// Bytes of a connection.
    pub fn receive(&mut self, key: Key, bytes: &[u8]) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let mut inbox = mem::take(&mut conn.inbox);
        inbox.take_up(bytes, |input, _| self.take_frames(key, input));
        if let Some(conn) = self.conns.get_mut(key) {
            conn.inbox = inbox;
        }
    }

    /// How many bytes of a connection do not make a whole frame yet.
    pub fn unread(&self, key: Key) -> usize {
        self.conns.get(key).map_or(0, |conn| conn.inbox.len())
    }

    /// Takes whole frames, and gives how many bytes they were.
    fn take_frames(&mut self, key: Key, input: &[u8]) -> usize {
        let mut used = 0;
        while let Some(conn) = self.conns.get_mut(key) {
            let most = match conn.state {
                State::Dead => return input.len(),
                State::Open(_) => limits::PEER_FRAME_BYTES,
                _ => limits::PEER_HANDSHAKE_BYTES,
            };
            conn.heard_ms = self.now_ms;
            let Some((length, rest)) = input[used..].split_first_chunk::<LENGTH_BYTES>() else {
                return used;
            };
            let length = u32::from_be_bytes(*length) as usize;
            if length > most {
                self.close(key, Reason::Malformed);
                return input.len();
            }
            let cut = planted(Mutant::CutFrameTaken) && rest.len() < length;
            let length = if cut { rest.len() } else { length };
            let Some(frame) = rest.get(..length) else { return used };
            used += LENGTH_BYTES + length;
            self.on_frame(key, frame);
        }
        input.len()
    }

    fn on_frame(&mut self, key: Key, frame: &[u8]) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let State::Open(session) = &mut conn.state else { return self.on_handshake(key, frame) };
        match session.opener.open(frame) {
            Ok((head, block)) => match wire::decode(head, block) {
                Ok(decoded) => self.on_open_frame(key, decoded, frame.len()),
                Err(_) => self.close(key, Reason::Malformed),
            },
            Err(reason) => self.close(key, reason),
        }
    }

    fn on_handshake(&mut self, key: Key, frame: &[u8]) {
        let nonce = self.random.key();
        let Some(conn) = self.conns.get_mut(key) else { return };
        let secret = if conn.local { &self.local_secret } else { &self.secret };
        let out = conn.output.buffer(&mut self.spares);
        match mem::replace(&mut conn.state, State::Dead) {
            State::Dialing(dialing) => match dialing.on_welcome(secret, frame, out) {
                Ok((claim, session)) => self.on_proven(key, &claim, session),
                Err(reason) => self.refuse(key, reason),
            },
            State::Hello => match Accepting::new(&self.me, secret, frame, nonce, out) {
                Ok(accepting) => conn.state = State::Confirm(Box::new(accepting)),
                Err(reason) => self.refuse(key, reason),
            },
            State::Confirm(accepting) => match accepting.on_confirm(frame) {
                Ok((claim, session)) => self.on_proven(key, &claim, session),
                Err(reason) => self.refuse(key, reason),
            },
            State::Open(_) | State::Dead => {}
        }
        self.mark_dirty(key);
    }

    /// The other side has proven the secret: whether what it says of itself is right.
    fn on_proven(&mut self, key: Key, claim: &Claim, session: Session) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        conn.state = State::Open(Box::new(session));
        if conn.probe.is_some() {
            self.answer_probe(key, claim.identity.clone());
            return self.fail(key, "it has said who it is");
        }
        if conn.relay.is_some() {
            return self.send_relayed(key);
        }
        if conn.local {
            return self.on_local_proven(key, claim);
        }
        let dialled = conn.peer;
        let place = match self.check(claim, dialled) {
            Ok(place) => place,
            Err(reason) if self.may_have_news(claim, dialled, reason) => {
                return self.listen_to(key, claim, reason);
            }
            Err(Reason::OldCopy) => return self.condemn(key, claim),
            Err(reason) => {
                let name = claim.identity.name.clone();
                return self.close_as(key, reason, Some(name));
            }
        };
        let Some(place) = place else {
            let is_operator = |conn: &Conn| {
                let is_open = matches!(conn.state, State::Open(_));
                let is_other = conn.local || conn.relay.is_some() || conn.stranger.is_some();
                is_open && conn.peer.is_none() && !is_other
            };
            return self.make_room(limits::PEER_OPERATORS + 1, is_operator);
        };
        let held = self.meet(claim);
        let peer = &mut self.peers[place];
        peer.incarnation = Some(claim.identity.incarnation);
        peer.about = None;
        peer.told = false;
        peer.delay_ms = 0;
        let old = peer.current.replace(key);
        if let Some(conn) = self.conns.get_mut(key) {
            conn.peer = Some(self.members[place].number);
            conn.held = held;
        }
        self.end_tries(place, key);
        if let Some(old) = old {
            if !planted(Mutant::ReplacedStaysOpen) {
                self.close(old, Reason::Replaced);
            }
        } else {
            let name = &self.members[place].name;
            let line = format!("peer {name} is up");
            self.todo.tell.push(Line::of(TraceLevel::Info, topic_of(name), line));
        }
        self.todo.events.push_back(Event::Up(self.members[place].number));
        self.write_frame(key, &Frame::About(self.about.clone()), &Block::default());
    }

    /// The place of the peer that makes this claim, none for an operator.
    fn check(&self, claim: &Claim, dialled: Option<ServerId>) -> Result<Option<usize>, Reason> {
        let Claim { identity, meant } = claim;
        if !meant.is_empty() && *meant != self.me.name {
            return Err(Reason::Id);
        }
        let none = [0; 16];
        let (own, other) = (self.me.cluster, identity.cluster);
        if own != none && other != none && own != other {
            return Err(Reason::Cluster);
        }
        if identity.kind == Kind::Operator {
            return Ok(None);
        }
        let place = self.members.iter().position(|member| member.name == identity.name);
        let place = place.filter(|&place| place != self.place).ok_or(Reason::Stranger)?;
        if dialled.is_some_and(|dialled| dialled != self.members[place].number) {
            return Err(Reason::Id);
        }
        let known = self.members[place].incarnation;
        let other = known.is_some_and(|known| known != identity.incarnation);
        if other && !planted(Mutant::OldIncarnationLetIn) {
            return Err(Reason::Incarnation);
        }
        if self.is_old_copy(claim) {
            return Err(Reason::OldCopy);
        }
        Ok(Some(place))
    }

    /// A frame of so many bytes.
    pub(super) fn on_open_frame(&mut self, key: Key, frame: Frame, bytes: usize) {
        let Some(conn) = self.conns.get(key) else { return };
        if conn.stranger.is_some() {
            return self.on_frame_of_stranger(key, frame);
        }
        if conn.relay.is_some() {
            return self.on_relayed(key, frame);
        }
        let Some(id) = conn.peer else {
            if let Some(name) = conn.relay_to.clone()
                && matches!(frame, Frame::Ask | Frame::Change(_))
            {
                return self.relay(key, name, frame);
            }
            match frame {
                Frame::Ask => self.todo.events.push_back(Event::Asked(key)),
                Frame::Change(change) => {
                    self.todo.events.push_back(Event::Change(key, change));
                }
                Frame::Closing(_) => self.fail(key, "the operator has finished"),
                Frame::Ping => {}
                _ => self.close(key, Reason::Malformed),
            }
            return;
        };
        if conn.held.is_some() && !matches!(frame, Frame::Closing(_) | Frame::Ping) {
            return self.hold(key, frame, bytes);
        }
        match frame {
            Frame::Raft(message) => self.todo.events.push_back(Event::Raft(id, message)),
            Frame::Clock(clock) => self.todo.events.push_back(Event::Clock(id, clock)),
            Frame::About(about) => {
                if let Some(place) = self.place_of(id) {
                    let peer = &mut self.peers[place];
                    peer.told &= peer.about.as_ref().is_some_and(|old| old.stage == about.stage);
                    peer.about = Some(about);
                }
                self.todo.events.push_back(Event::About(id));
            }
            Frame::Closing(reason) => self.fail_refused(key, reason),
            Frame::Ping => {}
            Frame::Adopt(payload) => self.todo.events.push_back(Event::Adopt(id, payload)),
            Frame::Join(payload) => self.todo.events.push_back(Event::Join(id, payload)),
            Frame::Ask | Frame::Status(_) | Frame::Change(_) => self.close(key, Reason::Malformed),
        }
    }
}
