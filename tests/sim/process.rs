//! A running server: the real service, core and log in a loop that does what `Server::turn` does, in
//! its order, with inputs and acts in place of threads and sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chatctl::auth::hasher;
use chatctl::limits;
use chatctl::net::{Deadlines, Key, Origin};
use chatctl::raft::{Message, Outgoing, ServerId, Wanted};
use chatctl::server::changing::{Changing, Means};
use chatctl::server::payload::typed;
use chatctl::server::service::{Now, ReadJob, Service, Serving, refuse};
use chatctl::wal::{Batch, Location, SpareRequest, SpareState, hard_state};

use super::peers::{Found, Peers, Sender, WireId, WireInput};
use super::server::{CLUSTER, TOKEN_SECRET};

/// Bytes under way to one client; past it the server's writes wait, as a full socket has them.
const SOCKET_BYTES: usize = 16 << 10;

/// A connection between a client and a server, numbered in the order in which they are made.
pub type LinkId = u64;

/// What happens to a process between two of its turns.
pub enum Input {
    Peer {
        from: Sender,
        message: Message,
    },
    /// Something happens to a connection at the peers' port.
    Wire {
        wire: WireId,
        what: WireInput,
    },
    /// A name was looked up.
    Found(Found),
    Opened(LinkId),
    Bytes {
        link: LinkId,
        bytes: Vec<u8>,
    },
    /// The client has closed or is gone.
    Closed(LinkId),
    /// The client has read this much.
    Read {
        link: LinkId,
        bytes: usize,
    },
    Batch {
        number: u64,
        worked: bool,
    },
    Saved {
        worked: bool,
    },
    Spare(SpareState),
    Hashed(hasher::Done),
    Fetched {
        id: u64,
        payloads: Option<Vec<Vec<u8>>>,
    },
    Provided {
        wanted: Wanted,
        payloads: Vec<Vec<u8>>,
    },
    /// The operator wants it to stop cleanly.
    HandOver,
}

/// What a turn wants done.
pub enum Act {
    Send(Outgoing),
    Write(Batch),
    Save(hard_state::HardState),
    MakeSpare(SpareRequest),
    Hash(hasher::Job),
    Fetch {
        id: u64,
        locations: Vec<Location>,
    },
    Provide {
        wanted: Wanted,
        locations: Vec<Location>,
    },
    Down {
        link: LinkId,
        bytes: Vec<u8>,
    },
    /// Nothing more comes from the server.
    Close(LinkId),
    /// Connect to a peers' address.
    Dial {
        key: Key,
        address: SocketAddr,
    },
    /// Look up a peer's name.
    LookUp(String),
    /// Bytes for whoever is at the other end.
    Wire {
        wire: WireId,
        bytes: Vec<u8>,
    },
    /// Close a connection of the peers' port.
    Hang(WireId),
}

/// A running server.
pub struct Process {
    pub service: Service,
    /// None for a server that is alone, and nobody's peer.
    pub peers: Option<Peers>,
    pub inbox: Vec<Input>,
    /// Whose messages its core was given since the last turn, and as whose.
    pub heard: Vec<(ServerId, Sender)>,
    changing: Changing,
    pub file: hard_state::HardState,
    now: Now,
    conns: BTreeMap<Key, Conn>,
    keys: BTreeMap<LinkId, Key>,
    deadlines: Deadlines,
    mark_at_ms: Option<u64>,
    founded_in: u64,
    /// Connections that began to miss pushes since the last turn.
    pub lagging: u64,
    acts: Vec<Act>,
}

struct Conn {
    link: LinkId,
    /// What the socket has.
    arrived: Vec<u8>,
    /// What was read and is not dealt with.
    input: Vec<u8>,
    scanned: usize,
    ended: bool,
    draining_until_ms: Option<u64>,
    under_way: usize,
    misses_pushes: bool,
}

/// Why a process ended by itself.
#[derive(Debug)]
pub enum Stop {
    /// A write or sync failed.
    Disk,
    /// This server has refused its directory as an old copy.
    OldCopy(String),
}

impl Process {
    /// Goes on with what a start has found.
    pub fn new(
        service: Service,
        peers: Option<Peers>,
        file: hard_state::HardState,
        now: Now,
    ) -> Process {
        let mut process = Process {
            service,
            peers,
            inbox: Vec::new(),
            heard: Vec::new(),
            changing: Changing::default(),
            file,
            now,
            conns: BTreeMap::new(),
            keys: BTreeMap::new(),
            deadlines: Deadlines::default(),
            mark_at_ms: None,
            founded_in: 0,
            lagging: 0,
            acts: Vec::new(),
        };
        // Some have said it while the server waited to be a member.
        process.change(|_, with| with.learn_addresses());
        process
    }

    /// One round, as `Server::turn` has it.
    pub fn turn(&mut self, now: Now) -> Result<Vec<Act>, Stop> {
        self.now = now;
        self.service.set_now(now);
        let mut done = Vec::new();
        // What peers say comes first.
        let is_peers = |input: &Input| matches!(input, Input::Peer { .. } | Input::Wire { .. });
        let (peers, others) = std::mem::take(&mut self.inbox).into_iter().partition(is_peers);
        for input in Vec::into_iter(peers).chain::<Vec<Input>>(others) {
            self.take(input, &mut done);
            self.end_if_old_copy()?;
        }
        if let Some(peers) = &mut self.peers {
            peers.work(now.monotonic_ms, &mut self.acts);
        }
        self.read_peers();
        self.end_if_old_copy()?;
        self.serve_connections();
        self.start_slow_work();
        self.pass_deadlines();
        if self.mark_at_ms.is_some_and(|at_ms| at_ms <= now.monotonic_ms) {
            self.mark_at_ms = None;
            self.service.replica.append_mark();
        }
        self.advance();
        self.take_done(done)?;
        self.advance();
        self.write_connections();
        self.close_connections();
        self.check_bounds();
        self.service.todo.tell.clear();
        Ok(std::mem::take(&mut self.acts))
    }

    fn take(&mut self, input: Input, done: &mut Vec<Input>) {
        let now_ms = self.now.monotonic_ms;
        match input {
            Input::Peer { from, message } => {
                let peers = self.peers.as_ref();
                if let Some(id) = peers.and_then(|peers| peers.number_of(&from)) {
                    self.heard.push((id, from));
                    self.service.replica.step(now_ms, id, message);
                }
            }
            Input::Found(found) => {
                if let Some(peers) = &mut self.peers {
                    peers.found(now_ms, found);
                }
            }
            Input::Wire { wire, what } => {
                if let Some(peers) = &mut self.peers {
                    peers.take(now_ms, wire, what, &mut self.acts);
                }
                self.read_peers();
            }
            Input::Opened(link) => self.open(link),
            Input::Bytes { link, bytes } => {
                if let Some(conn) = self.keys.get(&link).and_then(|key| self.conns.get_mut(key)) {
                    conn.arrived.extend_from_slice(&bytes);
                    self.service.on_readable(self.keys[&link]);
                }
            }
            Input::Closed(link) => {
                if let Some(conn) = self.keys.get(&link).and_then(|key| self.conns.get_mut(key)) {
                    conn.ended = true;
                    self.service.on_readable(self.keys[&link]);
                }
            }
            Input::Read { link, bytes } => {
                if let Some(conn) = self.keys.get(&link).and_then(|key| self.conns.get_mut(key)) {
                    conn.under_way = conn.under_way.saturating_sub(bytes);
                    self.service.on_writable(self.keys[&link]);
                }
            }
            Input::Hashed(hashed) => self.service.on_hashed(hashed),
            Input::Fetched { id, payloads: Some(payloads) } => {
                self.service.on_fetched(id, payloads.iter().map(Vec::as_slice));
            }
            Input::Fetched { id, payloads: None } => {
                let refusal = refuse("busy", "the server cannot read its log");
                self.service.on_fetch_failed(id, &refusal);
            }
            Input::Provided { wanted, payloads } => {
                let payloads = payloads.iter().map(|bytes| typed(bytes)).collect();
                self.service.replica.provide(&wanted, payloads);
            }
            Input::HandOver => drop(self.service.replica.hand_over(now_ms)),
            Input::Batch { .. } | Input::Saved { .. } | Input::Spare(_) => done.push(input),
        }
    }

    /// What has happened at the peers' port, as `Server::read_peers` has it.
    fn read_peers(&mut self) {
        while let Some(event) =
            self.peers.as_mut().and_then(|peers| peers.mesh.todo.events.pop_front())
        {
            self.change(|changing, with| {
                let asked = changing.take(with, event);
                assert!(asked.is_none(), "operators here ask for changes alone");
            });
        }
    }

    fn end_if_old_copy(&mut self) -> Result<(), Stop> {
        self.changing.old_copy.take().map_or(Ok(()), |by| Err(Stop::OldCopy(by)))
    }

    fn change(&mut self, what: impl FnOnce(&mut Changing, &mut Means<'_>)) {
        let Some(Peers { mesh, .. }) = &mut self.peers else { return };
        let (service, own, now_ms) = (&mut self.service, &self.file, self.now.monotonic_ms);
        what(&mut self.changing, &mut Means { service, mesh, own, now_ms });
    }

    fn open(&mut self, link: LinkId) {
        let key = self.service.connect(Origin::Local);
        self.keys.insert(link, key);
        let conn = Conn {
            link,
            arrived: Vec::new(),
            input: Vec::new(),
            scanned: 0,
            ended: false,
            draining_until_ms: None,
            under_way: 0,
            misses_pushes: false,
        };
        self.conns.insert(key, conn);
        self.service.on_readable(key);
    }

    fn serve_connections(&mut self) {
        self.service.begin_serving();
        while let Some(key) = self.service.next_to_serve() {
            self.serve(key);
        }
    }

    fn serve(&mut self, key: Key) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        if conn.draining_until_ms.is_some() {
            conn.arrived.clear();
            if conn.ended {
                self.service.doom(key);
            }
            return;
        }
        let Some(client) = self.service.client(key) else { return };
        if client.is_leaving() {
            return;
        }
        let waited = client.waits;
        if !waited {
            let room = self.service.input_room(conn.input.len());
            if room == 0 && !conn.arrived.is_empty() {
                self.service.wait_for_input_room(key);
            }
            let count = conn.arrived.len().min(room).min(limits::TURN_READ_BYTES);
            conn.input.extend(conn.arrived.drain(..count));
            if count > 0 {
                self.service.on_activity(key);
            }
        }
        if conn.ended && conn.arrived.is_empty() {
            self.service.on_end(key);
        }
        let mut scanned = conn.scanned;
        let used = self.service.receive(key, &conn.input, &mut scanned);
        conn.scanned = scanned;
        conn.input.drain(..used);
        let more = !conn.arrived.is_empty();
        let waits = self.service.client(key).is_some_and(|client| client.waits);
        if !waits && more && self.service.input_room(conn.input.len()) > 0 {
            self.service.on_more(key);
        }
    }

    fn start_slow_work(&mut self) {
        self.acts.extend(self.service.todo.hash.drain(..).map(Act::Hash));
        for ReadJob { id, locations } in std::mem::take(&mut self.service.todo.read) {
            self.acts.push(Act::Fetch { id, locations });
        }
    }

    fn pass_deadlines(&mut self) {
        self.service.make_room();
        for (at_ms, key) in self.service.todo.ask.drain(..) {
            self.deadlines.set(at_ms, key);
        }
        while let Some(key) = self.deadlines.passed(self.now.monotonic_ms) {
            let draining = self.conns.get(&key).and_then(|conn| conn.draining_until_ms);
            match draining {
                Some(until_ms) if until_ms <= self.now.monotonic_ms => self.service.doom(key),
                Some(until_ms) => self.deadlines.set(until_ms, key),
                None => {
                    if let Some(next_ms) = self.service.deadline(key) {
                        self.deadlines.set(next_ms, key);
                    }
                }
            }
        }
    }

    fn advance(&mut self) {
        self.found();
        self.service.advance().expect("what is committed can be applied");
        self.change(|changing, with| {
            changing.follow(with);
            changing.finish(with);
            with.tell_clocks();
        });
        let met = self.peers.as_ref().map(|peers| peers.mesh.met());
        if self.service.replica.next_save(&mut self.file, met) {
            self.acts.push(Act::Save(self.file.clone()));
        }
        let wishes = &mut self.service.replica.wishes;
        wishes.changes.clear();
        self.acts.extend(wishes.messages.drain(..).map(Act::Send));
        if let Some(peers) = &mut self.peers {
            peers.mesh.todo.tell.clear();
            peers.write(&mut self.acts);
        }
        for wanted in std::mem::take(&mut wishes.wanted) {
            let locations = self.service.replica.locations_of(&wanted);
            self.acts.push(Act::Provide { wanted, locations });
        }
        if let Some(batch) = self.service.replica.next_batch() {
            self.acts.push(Act::Write(batch));
        }
        if let Some(request) = self.service.replica.spare_wanted() {
            self.acts.push(Act::MakeSpare(request));
        }
        if self.mark_at_ms.is_none() && self.service.replica.mark_due() {
            self.mark_at_ms = Some(self.now.monotonic_ms + limits::MARK_AFTER_MS);
        }
    }

    /// A server that is alone says itself what its cluster is.
    fn found(&mut self) {
        let replica = &self.service.replica;
        let (term, is_new) = (replica.core().term(), replica.state().cluster().is_none());
        let primary = *self.service.serving() == Serving::Primary && replica.is_ready();
        if primary && is_new && self.founded_in < term {
            self.founded_in = term;
            self.service.found(CLUSTER, TOKEN_SECRET);
        }
    }

    fn take_done(&mut self, done: Vec<Input>) -> Result<(), Stop> {
        for input in done {
            match input {
                Input::Batch { worked: false, .. } | Input::Saved { worked: false } => {
                    return Err(Stop::Disk);
                }
                Input::Batch { number, .. } => {
                    self.service.batch_durable(number);
                    self.mark_at_ms = Some(self.now.monotonic_ms + limits::MARK_AFTER_MS);
                }
                Input::Saved { .. } => {
                    self.service.replica.save_done(&self.file);
                    if let Some(peers) = &mut self.peers {
                        peers.met_saved(&self.file.met);
                    }
                    self.read_peers();
                    self.end_if_old_copy()?;
                }
                Input::Spare(state) => {
                    self.service.spare_changed(&state);
                }
                _ => unreachable!("only these are done by the disk's threads"),
            }
        }
        Ok(())
    }

    fn write_connections(&mut self) {
        let mut place = 0;
        while let Some(&key) = self.service.todo.write.get(place) {
            place += 1;
            self.write(key);
        }
        self.service.todo.write.clear();
    }

    fn write(&mut self, key: Key) {
        let Some(client) = self.service.client(key) else { return };
        client.dirty = false;
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let full = conn.under_way >= SOCKET_BYTES;
        if conn.draining_until_ms.is_some() || full {
            return;
        }
        let bytes = client.output.take();
        let moved = !bytes.is_empty();
        if moved {
            conn.under_way += bytes.len();
            self.acts.push(Act::Down { link: conn.link, bytes });
            self.service.on_activity(key);
        }
        if self.service.on_written(key, moved) {
            self.acts.push(Act::Close(conn.link));
            if conn.ended {
                return self.service.doom(key);
            }
            let until_ms = self.now.monotonic_ms + limits::DRAIN_MS;
            conn.draining_until_ms = Some(until_ms);
            self.deadlines.set(until_ms, key);
            self.service.on_readable(key);
        }
    }

    fn close_connections(&mut self) {
        while let Some(key) = self.service.todo.close.pop() {
            self.service.disconnect(key);
            if let Some(conn) = self.conns.remove(&key) {
                self.keys.remove(&conn.link);
                self.acts.push(Act::Close(conn.link));
            }
        }
    }

    /// What a connection may hold of its requests, and what is made ready for it.
    fn check_bounds(&mut self) {
        for (key, conn) in &mut self.conns {
            let Some(client) = self.service.client(*key) else { continue };
            let misses = client.left_out > 0;
            self.lagging += u64::from(misses && !conn.misses_pushes);
            conn.misses_pushes = misses;
            let most = limits::OUTPUT_BYTES + limits::PUSH_BACKLOG_BYTES + 2 * limits::PAGE_BYTES;
            assert!(client.output.unwritten() <= most, "what is ready for a client is bounded");
            assert!(conn.input.len() <= limits::INPUT_BYTES, "what a client asks is bounded");
        }
        let jobs = self.acts.iter().filter(|act| matches!(act, Act::Hash(_))).count();
        assert!(jobs <= limits::HASH_JOBS, "passwords that wait are bounded");
    }

    /// When the next turn is due by the process's own clock; 0: at once.
    pub fn next_ms(&self) -> Option<u64> {
        let todo = &self.service.todo;
        let is_busy = !todo.serve.is_empty() || !todo.rest.is_empty() || !todo.hash.is_empty();
        if !self.inbox.is_empty() || is_busy {
            return Some(0);
        }
        let peers_ms = self.peers.as_ref().and_then(|peers| peers.mesh.next_ms());
        let others_ms = [peers_ms, self.changing.next_ms(), self.service.next_ms()];
        let instants = [self.deadlines.next_ms(), self.mark_at_ms].into_iter().chain(others_ms);
        instants.flatten().min()
    }
}
