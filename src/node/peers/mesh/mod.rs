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
//! The other dials only when it was not dialled for long: it may have been removed meanwhile, and
//! learns it by being refused.
//!
//! # What holds
//!
//! - Before both sides have proven the secret, a connection costs a buffer of one small frame, has a
//!   deadline, and is one of a bounded number, of which the oldest goes when there are too many.
//! - What waits for a peer is bounded; at the bound messages are dropped, which the core expects.
//! - A server of the same cluster that is none of the members by this log is heard, for as long as a
//!   handshake may take, and not more.
//! - What a peer's start says that is new here waits until it is saved that the start was met: that
//!   bounds the delay of one peer by this server's own disk, and no other waits for it.
//! - A connection on which nothing comes for some election timeouts is closed: TCP alone would find
//!   out only minutes later that a partition is over. Pings see to it that something comes.

mod changing;
mod closing;
mod dialing;
mod doubts;
mod holding;
mod names;
mod receiving;
mod relaying;
mod strangers;
mod tries;
mod types;

pub use types::{Event, Member, Settings, Todo};

use core::net::SocketAddr;
use std::mem;

use super::handshake::{self, Identity};
use super::session::Block;
use super::wire::{self, About, Frame, Reason, Stage};
use crate::auth::hmac;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::{Inbox, Key, Output, Slots, Spares};
use crate::node::random::Random;
use crate::raft::{Body, Entry, Outgoing, ServerId};
use crate::wal::boots::Met;
use names::Names;
use types::{Conn, Doubt, Peer, Probe, Relay, State};

/// The connections.
pub struct Mesh {
    me: Identity,
    /// The newest start met of each directory, and what of that is saved.
    met: Vec<Met>,
    met_saved: Vec<Met>,
    place: usize,
    members: Vec<Member>,
    secret: hmac::Key,
    /// Of the data directory's socket.
    local_secret: hmac::Key,
    about: About,
    silence_ms: u64,
    random: Random,
    now_ms: u64,
    conns: Slots<Conn>,
    peers: Vec<Peer>,
    /// The addresses behind the others' names.
    names: Names,
    /// Addresses that are asked who answers there.
    probes: Vec<Probe>,
    /// What operators on this machine ask other servers.
    relays: Vec<Relay>,
    /// Where this server accepts the others, and what the operator was warned of about addresses.
    listens: Vec<SocketAddr>,
    doubts_told: Vec<Doubt>,
    spares: Spares,
    /// What is to be done outside.
    pub todo: Todo,
}

impl Mesh {
    /// Without connections yet.
    pub fn new(settings: Settings, now_ms: u64) -> Mesh {
        let Settings { me, met, members, secret, about, silence_ms, seed } = settings;
        let silence_ms = if planted(Mutant::SilenceNeverEnds) { u64::MAX / 8 } else { silence_ms };
        let place = members.iter().position(|member| member.name == me.name);
        let place = place.expect("a server is among its cluster's");
        let wait_ms = |at| if at < place { limits::PEER_CALL_MS } else { 0 };
        let peer = |at| Peer { dial_at_ms: now_ms + wait_ms(at), ..Peer::default() };
        let peers = (0..members.len()).map(peer);
        let mut mesh = Mesh {
            me,
            met_saved: met.clone(),
            met,
            place,
            peers: peers.collect(),
            members,
            names: Names::default(),
            probes: Vec::new(),
            relays: Vec::new(),
            listens: Vec::new(),
            doubts_told: Vec::new(),
            local_secret: handshake::local_key(),
            secret,
            about,
            silence_ms,
            random: Random::new(seed),
            now_ms,
            conns: Slots::default(),
            spares: Spares::default(),
            todo: Todo::default(),
        };
        mesh.forget_names();
        mesh
    }

    /// This server's number.
    pub fn id(&self) -> ServerId {
        self.members[self.place].number
    }

    /// The cluster's servers, by name.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Which server has this number.
    pub fn name_of(&self, id: ServerId) -> &str {
        self.place_of(id).map_or("?", |place| &self.members[place].name)
    }

    /// Whether a peer is connected.
    pub fn is_up(&self, id: ServerId) -> bool {
        self.peer(id).is_some_and(|peer| peer.current.is_some())
    }

    /// Why a peer is not connected; none where it is, or was not dialled yet.
    pub fn why_down(&self, id: ServerId) -> Option<&str> {
        let peer = self.peer(id).filter(|peer| peer.current.is_none())?;
        peer.why.as_deref()
    }

    /// How a connected peer stands, and its incarnation.
    pub fn standing(&self, id: ServerId) -> Option<(&About, u64)> {
        let peer = self.peer(id).filter(|peer| peer.current.is_some())?;
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

    fn others(&self) -> Vec<ServerId> {
        let others = self.members.iter().map(|member| member.number);
        others.filter(|&id| id != self.id()).collect()
    }

    fn place_of(&self, id: ServerId) -> Option<usize> {
        self.members.iter().position(|member| member.number == id)
    }

    fn peer(&self, id: ServerId) -> Option<&Peer> {
        self.place_of(id).map(|place| &self.peers[place])
    }

    /// It is now `now_ms`.
    pub fn set_now(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// When [`Mesh::tick`] is to be called at the latest, milliseconds.
    pub fn next_ms(&self) -> Option<u64> {
        let conns = self.conns.keys().filter_map(|key| self.deadline_of(self.conns.get(key)?));
        let dials = (0..self.peers.len()).filter_map(|place| self.dial_ms(place));
        let names_ms = self.names.next_ms(|text| self.wanted_ms(text));
        conns.chain(dials).chain(names_ms).chain(self.probe_ms()).chain(self.relay_ms()).min()
    }

    fn deadline_of(&self, conn: &Conn) -> Option<u64> {
        match conn.state {
            State::Dead => None,
            State::Open(_) if conn.stranger.is_none() => {
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
                State::Open(_) if conn.stranger.is_some() => self.dismiss(key),
                State::Open(_) if conn.heard_ms + self.silence_ms <= self.now_ms => {
                    self.close(key, Reason::Silence);
                }
                State::Open(_) => self.write_frame(key, &Frame::Ping, &Block::default()),
                State::Dialing(_) => {
                    let seconds = limits::PEER_HANDSHAKE_MS as f64 / 1000.0;
                    self.fail(key, &format!("timed out: no answer within {seconds} s"));
                }
                _ => self.fail(key, "it did not prove the secret in time"),
            }
        }
        self.look_after_lookups();
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
    }

    /// What counts as said by a peer comes on its newest connection alone, and goes there.
    fn check_invariants(&self) {
        let is_peers = |key: &Key| {
            let conn = self.conns.get(*key);
            conn.is_some_and(|conn| matches!(conn.state, State::Open(_)) && conn.stranger.is_none())
        };
        for key in self.conns.keys().filter(is_peers) {
            let Some(id) = self.conns.get(key).and_then(|conn| conn.peer) else { continue };
            let current = self.peer(id).and_then(|peer| peer.current);
            assert_eq!(current, Some(key), "{} has two connections", self.name_of(id));
        }
        let current = self.peers.iter().filter_map(|peer| peer.current);
        assert!(current.into_iter().all(|key| is_peers(&key)), "a peer's connection is open");
    }

    /// Somebody has connected, from `origin`.
    pub fn accept(&mut self, origin: String) -> Key {
        let is_unproven =
            |conn: &Conn| !conn.local && matches!(conn.state, State::Hello | State::Confirm(_));
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
            probe: None,
            dialled: None,
            stranger: None,
            local: false,
            relay_to: None,
            relay: None,
            held: None,
            origin,
            inbox: Inbox::default(),
            output: Output::default(),
            dirty: false,
            opened_ms: self.now_ms,
            heard_ms: self.now_ms,
            sent_ms: self.now_ms,
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
            let count = if planted(Mutant::BlockOfAnother) { 0 } else { entries.len() };
            let (index, term) = (last.index, last.term);
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
        let Some(key) = self.peer(to).and_then(|peer| peer.current) else { return };
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
}

fn block_of(entries: &[Entry]) -> Block {
    let mut bytes = Vec::with_capacity(entries.iter().map(Entry::size).sum());
    wire::put_entries(&mut bytes, entries);
    Block::new(bytes)
}

/// The number of the server in this place of the list that a cluster is formed of.
pub fn id_of(place: usize) -> ServerId {
    ServerId(place as u32 + 1)
}

/// Back from such a number; past every list for 0.
pub fn place_of(id: ServerId) -> usize {
    (id.0 as usize).wrapping_sub(1)
}

/// How a server stands whose log is empty.
pub fn empty_about(list: [u8; 32], client_address: String) -> About {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    About { stage: Stage::Empty, cluster: [0; 16], list, client_address, version }
}
