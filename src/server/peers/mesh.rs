//! The connections of a server to its peers and to operators. Pure: bytes come in, bytes, events and
//! a list of what is to be done come out; the caller has the sockets and says what time it is.
//!
//! # Who dials whom
//!
//! Of two servers the one whose name comes first dials, and there is one connection between them,
//! for both directions. Two that dial each other at the same time would each have to find out which
//! of two connections the other has kept; one that dials has only to dial again. When it does while
//! its old connection still seems to stand (its end was lost on the way), the newer takes the
//! older one's place, which is no loss of the peer. A peer is lost when its last connection is closed.
//!
//! # What holds
//!
//! - Before both sides have proven the secret, a connection costs a buffer of one small frame, has a
//!   deadline, and is one of a bounded number, of which the oldest goes when there are too many.
//! - What waits for a peer is bounded; at the bound messages are dropped, which the core expects.
//! - A connection on which nothing comes for some election timeouts is closed: TCP alone would find
//!   out only minutes later that a partition is over. Pings see to it that something comes.

use std::collections::VecDeque;
use std::mem;

use super::handshake::{self, Accepting, Claim, Dialing, Identity, Kind, Session};
use super::session::{Block, LENGTH_BYTES};
use super::wire::{self, About, Frame, Reason, Stage};
use crate::auth::hmac;
use crate::chat;
use crate::limits;
use crate::net::{Key, Output, Slots, Spares};
use crate::raft::{Body, Entry, Message, Outgoing, ServerId};
use crate::server::TraceLevel;
use crate::server::service::random::Random;

/// A server of the cluster, as this one knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where its peers reach it.
    pub address: String,
    /// Its directory's, once it is known.
    pub incarnation: Option<u64>,
}

impl From<chat::Member> for Member {
    fn from(member: chat::Member) -> Member {
        let chat::Member { name, address, incarnation } = member;
        Member { name, address, incarnation: Some(incarnation) }
    }
}

/// What a mesh is made from.
pub struct Settings {
    /// This server.
    pub me: Identity,
    /// The cluster's servers by name, this one included; a server's number is its place, from 1.
    pub members: Vec<Member>,
    /// The cluster's secret.
    pub secret: hmac::Key,
    /// How this server stands.
    pub about: About,
    /// Silence after which a connection is closed, milliseconds.
    pub silence_ms: u64,
    /// Where nonces and jitter come from; nobody else knows it.
    pub seed: [u8; 32],
}

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer sent a message for the core.
    Raft(ServerId, Message),
    /// The last connection to a peer is gone.
    Lost(ServerId),
    /// A peer says how it stands.
    About(ServerId),
    /// A peer says what the log begins with.
    Adopt(ServerId, Vec<u8>),
    /// An operator asks for the status: [`Mesh::answer`].
    Asked(Key),
}

/// What is to be done outside. Whoever does it takes it out.
#[derive(Debug, Default)]
pub struct Todo {
    /// Connections with something to be written.
    pub write: Vec<Key>,
    /// Connections to be closed, after what they have is written as far as that goes at once;
    /// [`Mesh::remove`] comes then.
    pub close: Vec<Key>,
    /// Lines for the operator.
    pub tell: Vec<(TraceLevel, String)>,
    /// What has happened, oldest first.
    pub events: VecDeque<Event>,
}

enum State {
    /// Dialled, or waiting for the welcome.
    Dialing(Dialing),
    /// Waiting for the hello.
    Hello,
    /// Waiting for the confirmation.
    Confirm(Box<Accepting>),
    /// Both sides have proven the secret.
    Open(Box<Session>),
    /// To be closed.
    Dead,
}

struct Conn {
    state: State,
    /// A peer's place among the members, where it is known; an operator has none.
    peer: Option<usize>,
    /// From where, for the operator.
    origin: String,
    output: Output,
    dirty: bool,
    opened_ms: u64,
    heard_ms: u64,
    sent_ms: u64,
}

/// What is known of a peer.
#[derive(Default)]
struct Peer {
    current: Option<Key>,
    about: Option<About>,
    incarnation: Option<u64>,
    dialing: bool,
    dial_at_ms: u64,
    delay_ms: u64,
}

/// The connections.
pub struct Mesh {
    me: Identity,
    place: usize,
    members: Vec<Member>,
    secret: hmac::Key,
    about: About,
    silence_ms: u64,
    random: Random,
    now_ms: u64,
    conns: Slots<Conn>,
    peers: Vec<Peer>,
    told: VecDeque<(u64, String)>,
    spares: Spares,
    /// What is to be done outside.
    pub todo: Todo,
}

impl Mesh {
    /// Without connections yet.
    pub fn new(settings: Settings, now_ms: u64) -> Mesh {
        let Settings { me, members, secret, about, silence_ms, seed } = settings;
        let place = members.iter().position(|member| member.name == me.name);
        let place = place.expect("a server is among its cluster's");
        let peers = members.iter().map(|_| Peer { dial_at_ms: now_ms, ..Peer::default() });
        Mesh {
            me,
            place,
            peers: peers.collect(),
            members,
            secret,
            about,
            silence_ms,
            random: Random::new(seed),
            now_ms,
            conns: Slots::default(),
            told: VecDeque::new(),
            spares: Spares::default(),
            todo: Todo::default(),
        }
    }

    /// This server's number.
    pub fn id(&self) -> ServerId {
        id_of(self.place)
    }

    /// The cluster's servers, by number.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Which server has this number.
    pub fn name_of(&self, id: ServerId) -> &str {
        self.members.get(place_of(id)).map_or("?", |member| &member.name)
    }

    /// Whether a peer is connected.
    pub fn is_up(&self, id: ServerId) -> bool {
        self.peers.get(place_of(id)).is_some_and(|peer| peer.current.is_some())
    }

    /// How a connected peer stands, and its incarnation.
    pub fn standing(&self, id: ServerId) -> Option<(&About, u64)> {
        let peer = self.peers.get(place_of(id)).filter(|peer| peer.current.is_some())?;
        Some((peer.about.as_ref()?, peer.incarnation?))
    }

    /// How this server stands.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// This server stands differently now; its peers are told.
    pub fn set_about(&mut self, about: About) {
        self.me.cluster = about.cluster;
        self.about = about;
        for id in self.others() {
            self.send_frame(id, &Frame::About(self.about.clone()), &Block::default());
        }
    }

    /// What the log says of the cluster's servers.
    pub fn set_members(&mut self, members: Vec<Member>) {
        assert_eq!(members.len(), self.members.len(), "a cluster keeps its servers");
        self.members = members;
    }

    fn others(&self) -> Vec<ServerId> {
        (0..self.peers.len()).filter(|&place| place != self.place).map(id_of).collect()
    }

    /// It is now `now_ms`.
    pub fn set_now(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// When [`Mesh::tick`] is to be called at the latest, milliseconds.
    pub fn next_ms(&self) -> Option<u64> {
        let conns = self.conns.keys().filter_map(|key| self.deadline_of(self.conns.get(key)?));
        let dials = (self.place + 1..self.peers.len())
            .map(|place| &self.peers[place])
            .filter(|peer| peer.current.is_none() && !peer.dialing)
            .map(|peer| peer.dial_at_ms);
        conns.chain(dials).min()
    }

    fn deadline_of(&self, conn: &Conn) -> Option<u64> {
        match conn.state {
            State::Dead => None,
            State::Open(_) => {
                let ping_ms = conn.sent_ms + self.silence_ms / 4;
                Some(ping_ms.min(conn.heard_ms + self.silence_ms))
            }
            _ => Some(conn.opened_ms + limits::PEER_HANDSHAKE_MS),
        }
    }

    /// Closes what has been silent or unproven for too long, and pings. To be called after what came
    /// was received: a process that was stopped for long finds what waited for it first.
    pub fn tick(&mut self) {
        let keys: Vec<Key> = self.conns.keys().collect();
        for key in keys {
            let Some(conn) = self.conns.get(key) else { continue };
            if self.deadline_of(conn).is_none_or(|at_ms| at_ms > self.now_ms) {
                continue;
            }
            match conn.state {
                State::Open(_) if conn.heard_ms + self.silence_ms <= self.now_ms => {
                    self.close(key, Reason::Silence);
                }
                State::Open(_) => self.write_frame(key, &Frame::Ping, &Block::default()),
                _ => self.fail(key, "it did not prove the secret in time"),
            }
        }
    }

    /// The next peer that is to be dialled now: the connection to be opened, and where to.
    pub fn next_dial(&mut self) -> Option<(Key, ServerId)> {
        let now_ms = self.now_ms;
        let place = (self.place + 1..self.peers.len()).find(|&place| {
            let peer = &self.peers[place];
            peer.current.is_none() && !peer.dialing && peer.dial_at_ms <= now_ms
        })?;
        let member = &self.members[place];
        let mut conn = self.conn(member.address.clone());
        conn.peer = Some(place);
        let nonce = self.nonce();
        let hello = conn.output.buffer(&mut self.spares);
        let dialing = Dialing::new(&self.me, &self.members[place].name, nonce, hello);
        conn.state = State::Dialing(dialing);
        self.peers[place].dialing = true;
        let key = self.conns.insert(conn);
        self.mark_dirty(key);
        Some((key, id_of(place)))
    }

    /// Somebody has connected, from `origin`.
    pub fn accept(&mut self, origin: String) -> Key {
        let is_unproven = |conn: &Conn| matches!(conn.state, State::Hello | State::Confirm(_));
        self.make_room(limits::PEER_UNPROVEN, is_unproven);
        let conn = self.conn(origin);
        self.conns.insert(conn)
    }

    /// Closes the oldest connection of a kind when there are too many for one more.
    fn make_room(&mut self, most: usize, is_one: impl Fn(&Conn) -> bool) {
        let ours = |key: &Key| self.conns.get(*key).is_some_and(&is_one);
        let keys: Vec<Key> = self.conns.keys().filter(ours).collect();
        if keys.len() < most {
            return;
        }
        let age = |key: &Key| self.conns.get(*key).map_or(0, |conn| conn.opened_ms);
        if let Some(oldest) = keys.into_iter().min_by_key(age) {
            self.fail(oldest, &Reason::Crowded.to_string());
        }
    }

    fn conn(&self, origin: String) -> Conn {
        Conn {
            state: State::Hello,
            peer: None,
            origin,
            output: Output::default(),
            dirty: false,
            opened_ms: self.now_ms,
            heard_ms: self.now_ms,
            sent_ms: self.now_ms,
        }
    }

    fn nonce(&mut self) -> [u8; 32] {
        let mut nonce = [0; 32];
        nonce[..16].copy_from_slice(&self.random.bytes());
        nonce[16..].copy_from_slice(&self.random.bytes());
        nonce
    }

    /// How many bytes are to be read from a connection at once: few, before the secret is proven.
    pub fn budget(&self, key: Key) -> usize {
        match self.conns.get(key).map(|conn| &conn.state) {
            Some(State::Open(_)) => limits::PEER_READ_BYTES,
            _ => limits::PEER_HANDSHAKE_BYTES + LENGTH_BYTES,
        }
    }

    /// The connection's bytes so far, of which the first that are returned are dealt with.
    pub fn receive(&mut self, key: Key, input: &[u8]) -> usize {
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
                Ok(frame) => self.on_open_frame(key, frame),
                Err(_) => self.close(key, Reason::Malformed),
            },
            Err(reason) => self.close(key, reason),
        }
    }

    fn on_handshake(&mut self, key: Key, frame: &[u8]) {
        let nonce = self.nonce();
        let Some(conn) = self.conns.get_mut(key) else { return };
        let out = conn.output.buffer(&mut self.spares);
        match mem::replace(&mut conn.state, State::Dead) {
            State::Dialing(dialing) => match dialing.on_welcome(&self.secret, frame, out) {
                Ok((claim, session)) => self.on_proven(key, &claim, session),
                Err(reason) => self.refuse(key, reason),
            },
            State::Hello => match Accepting::new(&self.me, &self.secret, frame, nonce, out) {
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
        let dialled = conn.peer;
        let place = match self.check(claim, dialled) {
            Ok(place) => place,
            Err(reason) => {
                let name = claim.identity.name.clone();
                return self.close_as(key, reason, Some(name));
            }
        };
        let Some(place) = place else {
            let is_operator =
                |conn: &Conn| matches!(conn.state, State::Open(_)) && conn.peer.is_none();
            return self.make_room(limits::PEER_OPERATORS + 1, is_operator);
        };
        let peer = &mut self.peers[place];
        peer.incarnation = Some(claim.identity.incarnation);
        peer.about = None;
        peer.dialing = false;
        peer.delay_ms = 0;
        let old = peer.current.replace(key);
        if let Some(conn) = self.conns.get_mut(key) {
            conn.peer = Some(place);
        }
        if let Some(old) = old {
            self.close(old, Reason::Replaced);
        } else {
            let name = &self.members[place].name;
            self.todo.tell.push((TraceLevel::Info, format!("peer {name} is up")));
        }
        self.write_frame(key, &Frame::About(self.about.clone()), &Block::default());
    }

    /// The place of the peer that makes this claim, none for an operator.
    fn check(&self, claim: &Claim, dialled: Option<usize>) -> Result<Option<usize>, Reason> {
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
        if dialled.is_some_and(|dialled| dialled != place) {
            return Err(Reason::Id);
        }
        let known = self.members[place].incarnation;
        if known.is_some_and(|known| known != identity.incarnation) {
            return Err(Reason::Incarnation);
        }
        Ok(Some(place))
    }

    fn on_open_frame(&mut self, key: Key, frame: Frame) {
        let Some(conn) = self.conns.get(key) else { return };
        let Some(place) = conn.peer else {
            match frame {
                Frame::Ask => self.todo.events.push_back(Event::Asked(key)),
                Frame::Closing(_) => self.fail(key, "the operator has finished"),
                Frame::Ping => {}
                _ => self.close(key, Reason::Malformed),
            }
            return;
        };
        let id = id_of(place);
        match frame {
            Frame::Raft(message) => self.todo.events.push_back(Event::Raft(id, message)),
            Frame::About(about) => {
                self.peers[place].about = Some(about);
                self.todo.events.push_back(Event::About(id));
            }
            Frame::Closing(reason) => self.fail_refused(key, reason),
            Frame::Ping => {}
            Frame::Adopt(payload) => self.todo.events.push_back(Event::Adopt(id, payload)),
            Frame::Ask | Frame::Status(_) => self.close(key, Reason::Malformed),
        }
    }

    /// Appends what `about` says to an operator's connection.
    pub fn answer(&mut self, key: Key, status: String) {
        let block = Block::new(status.into_bytes());
        self.write_frame(key, &Frame::Status(String::new()), &block);
    }

    /// Sends messages to peers that are connected; others are dropped. The entries of appends that
    /// are the same for several peers are laid out and hashed once.
    pub fn send(&mut self, messages: impl IntoIterator<Item = Outgoing>) {
        let mut blocks: Vec<(u64, usize, u64, Block)> = Vec::new();
        for Outgoing { to, message } in messages {
            let Body::Append { entries, .. } = &message.body else {
                self.send_frame(to, &Frame::Raft(message), &Block::default());
                continue;
            };
            let Some(last) = entries.last() else {
                self.send_frame(to, &Frame::Raft(message), &Block::default());
                continue;
            };
            // Same place, same term at the end: the same entries (log matching; all of these are
            // of this server's log).
            let (index, count, term) = (last.index, entries.len(), last.term);
            let same = blocks.iter().position(|(i, c, t, _)| (*i, *c, *t) == (index, count, term));
            let at = same.unwrap_or_else(|| {
                blocks.push((index, count, term, block_of(entries)));
                blocks.len() - 1
            });
            self.send_frame(to, &Frame::Raft(message), &blocks[at].3);
        }
    }

    /// Sends a frame to a peer that is connected.
    pub fn send_frame(&mut self, to: ServerId, frame: &Frame, block: &Block) {
        let Some(key) = self.peers.get(place_of(to)).and_then(|peer| peer.current) else { return };
        let waiting = self.conns.get(key).map_or(0, |conn| conn.output.unwritten());
        if waiting + block.len() <= limits::PEER_OUTPUT_BYTES {
            self.write_frame(key, frame, block);
        }
    }

    fn write_frame(&mut self, key: Key, frame: &Frame, block: &Block) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let State::Open(session) = &mut conn.state else { return };
        let out = conn.output.buffer(&mut self.spares);
        session.sealer.seal(out, |out| wire::put_head(out, frame), block);
        conn.sent_ms = self.now_ms;
        self.mark_dirty(key);
    }

    fn mark_dirty(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key)
            && !mem::replace(&mut conn.dirty, true)
        {
            self.todo.write.push(key);
        }
    }

    /// What is to be written to a connection, to be given to its socket now.
    pub fn output(&mut self, key: Key) -> Option<&mut Output> {
        let conn = self.conns.get_mut(key)?;
        conn.dirty = false;
        Some(&mut conn.output)
    }

    /// There is room to write again.
    pub fn on_writable(&mut self, key: Key) {
        self.mark_dirty(key);
    }

    /// The socket has taken what it could.
    pub fn on_written(&mut self, key: Key) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.output.tidy(&mut self.spares);
        }
    }

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
    fn refuse(&mut self, key: Key, reason: Reason) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        handshake::put_refusal(conn.output.buffer(&mut self.spares), reason);
        let who = self.who(key);
        self.tell_once(format!("refused: {who}: {reason}"));
        self.give_up(key, limits::PEER_DIAL_REFUSED_MS);
    }

    /// Closes a connection, with the reason.
    fn close(&mut self, key: Key, reason: Reason) {
        self.close_as(key, reason, None);
    }

    fn close_as(&mut self, key: Key, reason: Reason, name: Option<String>) {
        let who = match name.filter(|name| !name.is_empty()) {
            Some(name) => format!("{} from {}", name.escape_debug(), self.origin(key)),
            None => self.who(key),
        };
        self.write_frame(key, &Frame::Closing(reason), &Block::default());
        match reason {
            Reason::Replaced | Reason::Stopping => {}
            Reason::Silence => self.tell_once(format!("closed: {who}: {reason}")),
            _ => self.tell_once(format!("refused: {who}: {reason}")),
        }
        let wait_ms = if reason.passes() { 0 } else { limits::PEER_DIAL_REFUSED_MS };
        self.give_up(key, wait_ms);
    }

    /// The other side has refused this server, provenly.
    fn fail_refused(&mut self, key: Key, reason: Reason) {
        let who = self.who(key);
        if !reason.passes() {
            self.tell_once(format!("{who} refuses this server: {reason}"));
        }
        let wait_ms = if reason.passes() { 0 } else { limits::PEER_DIAL_REFUSED_MS };
        self.give_up(key, wait_ms);
    }

    fn fail(&mut self, key: Key, why: &str) {
        let who = self.who(key);
        self.todo.tell.push((TraceLevel::Debug, format!("closed: {who}: {why}")));
        self.give_up(key, 0);
    }

    /// Has a connection closed, and its peer dialled again after `wait_ms` at the least.
    fn give_up(&mut self, key: Key, wait_ms: u64) {
        let random = self.random.bytes();
        let Some(conn) = self.conns.get_mut(key) else { return };
        let was_dead = matches!(conn.state, State::Dead) && self.todo.close.contains(&key);
        conn.state = State::Dead;
        let place = conn.peer;
        if was_dead {
            return;
        }
        self.todo.close.push(key);
        let Some(place) = place else { return };
        let peer = &mut self.peers[place];
        if peer.current == Some(key) {
            peer.current = None;
            let name = &self.members[place].name;
            self.todo.tell.push((TraceLevel::Info, format!("peer {name} is down")));
            self.todo.events.push_back(Event::Lost(id_of(place)));
        } else if peer.current.is_some() || !peer.dialing {
            return;
        }
        peer.dialing = false;
        let doubled_ms = (2 * peer.delay_ms).max(limits::PEER_DIAL_FIRST_MS);
        peer.delay_ms = doubled_ms.min(limits::PEER_DIAL_MOST_MS).max(wait_ms);
        let jitter = u64::from_be_bytes(*random.first_chunk().expect("there are sixteen"));
        let half_ms = peer.delay_ms / 2;
        peer.dial_at_ms = self.now_ms + half_ms + jitter % (half_ms + 1);
        if wait_ms > 0 {
            peer.delay_ms = 0;
        }
    }

    fn origin(&self, key: Key) -> &str {
        self.conns.get(key).map_or("?", |conn| &conn.origin)
    }

    fn who(&self, key: Key) -> String {
        match self.conns.get(key) {
            Some(Conn { peer: Some(place), origin, .. }) => {
                format!("peer {} at {origin}", self.members[*place].name)
            }
            Some(conn) => conn.origin.clone(),
            None => "?".to_owned(),
        }
    }

    /// Tells a line that may come up again and again, once in a while. Ports are left out of what is
    /// compared, since each attempt has another.
    fn tell_once(&mut self, line: String) {
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

fn block_of(entries: &[Entry]) -> Block {
    let mut bytes = Vec::with_capacity(entries.iter().map(Entry::size).sum());
    wire::put_entries(&mut bytes, entries);
    Block::new(bytes)
}

/// The number of the server in this place of the list.
pub fn id_of(place: usize) -> ServerId {
    ServerId(place as u32 + 1)
}

/// Back from its number; past every list for 0.
pub fn place_of(id: ServerId) -> usize {
    (id.0 as usize).wrapping_sub(1)
}

/// How a server stands whose log is empty.
pub fn empty_about(list: [u8; 32], client_address: String) -> About {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    About { stage: Stage::Empty, cluster: [0; 16], list, client_address, version }
}
