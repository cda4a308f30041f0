//! One server: the real service, core, log and recovery, in a loop that does what `Server::turn`
//! does, in its order, with a simulated disk, network and clock in place of threads and sockets.

use std::collections::BTreeMap;

use chatctl::auth::hasher;
use chatctl::chat::{Command, Member, State};
use chatctl::limits;
use chatctl::net::{Deadlines, Key, Origin};
use chatctl::raft::{self, Config, HardState, Message, Outgoing, Role, ServerId, Wanted};
use chatctl::server::replica::{Recovered, Replica};
use chatctl::server::service::{Now, ReadJob, Service, Serving, Settings, refuse};
use chatctl::wal::{self, Batch, Identity, Location, SpareRequest, SpareState, hard_state};

use super::clock::{Clock, Us};
use super::kept::{Brief, Kept, voted_for};
use crate::support::Rng;
use crate::wal::sim_disk::SimDisk;

/// Every simulated cluster's id.
pub const CLUSTER: [u8; 16] = [0xC1; 16];
const TOKEN_SECRET: [u8; 32] = [0x5E; 32];
/// The cheapest password.
const ITERATIONS: u32 = 1;
/// Bytes under way to one client; past it the server's writes wait, as a full socket has them.
const SOCKET_BYTES: usize = 16 << 10;

/// A connection between a client and a server, numbered in the order in which they are made.
pub type LinkId = u64;

/// What is the same for all servers of a history.
#[derive(Clone, Debug)]
pub struct Common {
    pub servers: u32,
    pub election_timeout_ms: u64,
    pub heartbeat_ms: u64,
    pub window: usize,
    pub batch_bytes: usize,
    pub cache_bytes: usize,
    pub segment_bytes: u32,
    pub id_window: usize,
    pub read_only_after_ms: u64,
}

/// What happens to a process between two of its turns.
pub enum Input {
    Peer {
        from: ServerId,
        message: Message,
    },
    PeerLost(ServerId),
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
}

/// A machine: its disks and clock, and the process on it while one runs.
pub struct Server {
    pub id: ServerId,
    pub state_disk: SimDisk,
    pub log_disk: SimDisk,
    pub kept: Kept,
    pub clock: Clock,
    pub process: Option<Process>,
    /// Counts its processes: what was under way for an older one is void.
    pub epoch: u64,
    pub paused_until: Us,
    /// It is not started again for now.
    pub dead: bool,
    /// When its next turn is due.
    pub turn_at: Option<Us>,
    /// What its writer thread has to do, the first of it under way; and the other thread's.
    pub jobs: Vec<Job>,
    pub spare: Option<SpareRequest>,
}

/// What the writer thread does, in order.
#[derive(Clone)]
pub enum Job {
    Batch(Batch),
    Save(hard_state::HardState),
}

/// A running server.
pub struct Process {
    pub service: Service,
    pub inbox: Vec<Input>,
    file: hard_state::HardState,
    saved: HardState,
    saving: bool,
    now: Now,
    conns: BTreeMap<Key, Conn>,
    keys: BTreeMap<LinkId, Key>,
    deadlines: Deadlines,
    mark_at_ms: Option<u64>,
    founded_in: u64,
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
}

/// Why a process ended by itself.
#[derive(Debug)]
pub enum Stop {
    /// A write or sync failed.
    Disk,
}

impl Server {
    pub fn new(id: ServerId, rng: &mut Rng, clock: Clock) -> Server {
        Server {
            id,
            state_disk: SimDisk::new(rng.next()),
            log_disk: SimDisk::new(rng.next()),
            kept: Kept::default(),
            clock,
            process: None,
            epoch: 0,
            paused_until: 0,
            dead: false,
            turn_at: None,
            jobs: Vec::new(),
            spare: None,
        }
    }

    /// As after a cluster was formed: the first entry is on every server's disk, and term 1.
    pub fn form(&mut self, common: &Common) -> Batch {
        let mut rng = Rng::new(u64::from(self.id.0));
        let file = self.load_state(&mut rng).expect("the disk is new");
        hard_state::save(&mut self.state_disk, &hard_state::HardState { term: 1, ..file })
            .expect("the disk is new");
        let expect = Some(Identity { cluster: CLUSTER });
        let options = wal::Options { expect, segment_bytes: common.segment_bytes };
        let recovered = wal::recover(&mut self.log_disk, &options, &mut |_, _, _| Ok(()));
        let (mut wal, _) = recovered.expect("the disk is new");
        wal.append_entry(1, 1, &first_entry(common));
        let batch = wal.take_batch(1).expect("something is gathered");
        wal::perform(&mut self.log_disk, &batch).expect("the disk is new");
        self.kept.synced(&batch);
        self.kept.hard_state.term = 1;
        batch
    }

    /// Starts a process on what the disks have; false where a disk does not let it, which the
    /// simulator has seen to. What was under way when the last one ended is held against it.
    pub fn start(&mut self, common: &Common, now_us: Us, seed: u64) -> bool {
        self.epoch += 1;
        let mut rng = Rng::new(seed);
        let Ok(file) = self.load_state(&mut rng) else { return false };
        let mut state = State::with_window(common.id_window);
        let mut entries = Vec::new();
        let mut visit = |index: u64, term: u64, payload: &[u8]| {
            entries.push(Brief { term, crc: crc32fast::hash(payload) });
            state.apply(index, payload).map(drop).map_err(|error| error.to_string())
        };
        let expect = Some(Identity { cluster: CLUSTER });
        let options = wal::Options { expect, segment_bytes: common.segment_bytes };
        let recovered = wal::recover(&mut self.log_disk.clone(), &options, &mut visit);
        let (wal, report) = match recovered {
            Ok(recovered) => recovered,
            Err(wal::RecoverError::Io { .. }) => return false,
            Err(error) => panic!("server {} does not start: {error}", self.id),
        };
        entries.extend(report.tail.iter().map(Brief::of));
        let in_flight = self.jobs.iter().find_map(|job| match job {
            Job::Batch(batch) => Some(batch),
            Job::Save(_) => None,
        });
        self.kept.recovered(entries, in_flight);
        let saving = self.jobs.iter().find_map(|job| match job {
            Job::Save(file) => Some(state_of(file)),
            Job::Batch(_) => None,
        });
        self.kept.recovered_state(state_of(&file), saving);
        self.jobs.clear();
        self.spare = None;

        let voters = (1..=common.servers).map(ServerId).collect();
        let mut config = Config::new(self.id, voters, rng.next());
        config.election_timeout_ms = common.election_timeout_ms;
        config.heartbeat_ms = common.heartbeat_ms;
        config.window = common.window;
        config.batch_bytes = common.batch_bytes;
        config.cache_bytes = common.cache_bytes;
        let entry = |entry: wal::Entry| raft::Entry {
            term: entry.term,
            index: entry.index,
            payload: entry.payload.into(),
        };
        let tail = report.tail.into_iter().map(entry).collect();
        let saved = state_of(&file);
        let from = Recovered { hard_state: saved, wal, state, commit: report.commit, tail };
        let now = self.now(now_us);
        let replica =
            Replica::new(config, from, now.monotonic_ms).expect("the disk's log is sound");
        let mut secret = [0; 32];
        secret.copy_from_slice(&rng.bytes(32));
        self.process = Some(Process {
            service: Service::new(settings(self.id, common), replica, secret, now),
            inbox: Vec::new(),
            file,
            saved,
            saving: false,
            now,
            conns: BTreeMap::new(),
            keys: BTreeMap::new(),
            deadlines: Deadlines::default(),
            mark_at_ms: None,
            founded_in: 0,
            acts: Vec::new(),
        });
        true
    }

    fn load_state(&mut self, rng: &mut Rng) -> Result<hard_state::HardState, hard_state::Error> {
        let mut disk = self.state_disk.clone();
        if let Some(file) = hard_state::recover(&mut disk)? {
            return Ok(file);
        }
        let file = hard_state::HardState {
            id: name_of(self.id),
            cluster: CLUSTER,
            incarnation: rng.next(),
            role: Role::Backup.to_string(),
            term: 0,
            voted_for: String::new(),
        };
        hard_state::save(&mut disk, &file)?;
        Ok(file)
    }

    pub fn now(&self, now_us: Us) -> Now {
        let monotonic_ms = self.clock.monotonic_ms(now_us);
        Now { monotonic_ms, unix_ms: self.clock.unix_ms(now_us) }
    }

    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it takes clients' connections.
    pub fn listens(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.service.replica.state().applied() > 0)
    }

    pub fn is_primary(&self) -> bool {
        let role = |process: &Process| process.service.replica.core().role();
        self.process.as_ref().is_some_and(|process| role(process) == Role::Primary)
    }
}

fn first_entry(common: &Common) -> Vec<u8> {
    let member = |id: u32| Member {
        name: name_of(ServerId(id)),
        address: format!("s{id}:7263"),
        incarnation: u64::from(id),
    };
    let members = (1..=common.servers).map(member).collect();
    let mut entry = Vec::new();
    Command::Found { time: 1, cluster: CLUSTER, token_secret: TOKEN_SECRET, members }
        .encode(&mut entry);
    entry
}

pub fn state_of(file: &hard_state::HardState) -> HardState {
    HardState { term: file.term, voted_for: voted_for(&file.voted_for) }
}

pub fn name_of(id: ServerId) -> String {
    format!("s{id}")
}

/// Where clients find a server.
pub fn address_of(id: ServerId) -> String {
    format!("{}:7262", name_of(id))
}

/// The server that an address means, as a place in the list.
pub fn place_of(address: &str) -> Option<usize> {
    let number: usize = address.strip_prefix('s')?.strip_suffix(":7262")?.parse().ok()?;
    number.checked_sub(1)
}

fn settings(id: ServerId, common: &Common) -> Settings {
    let peers = (1..=common.servers).map(ServerId).filter(|peer| *peer != id);
    Settings {
        id: name_of(id),
        address: address_of(id),
        password_iterations: ITERATIONS,
        token_days: 7,
        idle_timeout_ms: 60_000,
        login_timeout_ms: 60_000,
        max_sessions_per_address: 1_000,
        logins_per_minute: 0,
        peers: peers.map(|peer| (peer, address_of(peer))).collect(),
        read_only_after_ms: common.read_only_after_ms,
        tell_details: false,
    }
}

impl Process {
    /// One round, as `Server::turn` has it.
    pub fn turn(&mut self, now: Now) -> Result<Vec<Act>, Stop> {
        self.now = now;
        self.service.set_now(now);
        let mut done = Vec::new();
        for input in std::mem::take(&mut self.inbox) {
            self.take(input, &mut done);
        }
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
            Input::Peer { from, message } => self.service.replica.step(now_ms, from, message),
            Input::PeerLost(id) => self.service.replica.peer_lost(now_ms, id),
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
                let payloads = payloads.into_iter().map(Into::into).collect();
                self.service.replica.provide(&wanted, payloads);
            }
            Input::HandOver => drop(self.service.replica.hand_over(now_ms)),
            Input::Batch { .. } | Input::Saved { .. } | Input::Spare(_) => done.push(input),
        }
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
        };
        self.conns.insert(key, conn);
        self.service.on_readable(key);
    }

    fn serve_connections(&mut self) {
        for _ in 0..self.service.todo.serve.len() {
            let Some(key) = self.service.next_to_serve() else { return };
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
        let waited = client.waits;
        if !waited {
            let room = limits::INPUT_BYTES.saturating_sub(conn.input.len());
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
        if !waits && more {
            self.service.on_readable(key);
        }
    }

    fn start_slow_work(&mut self) {
        self.acts.extend(self.service.todo.hash.drain(..).map(Act::Hash));
        for ReadJob { id, locations } in std::mem::take(&mut self.service.todo.read) {
            self.acts.push(Act::Fetch { id, locations });
        }
    }

    fn pass_deadlines(&mut self) {
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
        let role = self.service.replica.core().role();
        let wishes = &mut self.service.replica.wishes;
        let tells_role = role != Role::Candidate && self.file.role != role.to_string();
        if !self.saving && (wishes.hard_state.is_some() || tells_role) {
            self.saving = true;
            self.saved = wishes.hard_state.take().unwrap_or(self.saved);
            self.file.role = role.to_string();
            self.file.term = self.saved.term;
            self.file.voted_for = self.saved.voted_for.map(|id| id.to_string()).unwrap_or_default();
            self.acts.push(Act::Save(self.file.clone()));
        }
        wishes.changes.clear();
        self.acts.extend(wishes.messages.drain(..).map(Act::Send));
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
                    self.saving = false;
                    self.service.replica.hard_state_saved(self.saved);
                }
                Input::Spare(state) => self.spare_changed(&state),
                _ => unreachable!("only these are done by the disk's threads"),
            }
        }
        Ok(())
    }

    fn spare_changed(&mut self, state: &SpareState) {
        let was_full = self.service.replica.full();
        self.service.spare_changed(state);
        if matches!(state, SpareState::Failed(_)) && !was_full {
            self.service.replica.hand_over(self.now.monotonic_ms);
        }
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
        if !bytes.is_empty() {
            conn.under_way += bytes.len();
            self.acts.push(Act::Down { link: conn.link, bytes });
            self.service.on_activity(key);
        }
        if self.service.on_written(key) {
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
        for (key, conn) in &self.conns {
            let Some(client) = self.service.client(*key) else { continue };
            let most = limits::OUTPUT_BYTES + limits::PUSH_BACKLOG_BYTES + 2 * limits::PAGE_BYTES;
            assert!(client.output.unwritten() <= most, "what is ready for a client is bounded");
            assert!(conn.input.len() <= limits::INPUT_BYTES, "what a client asks is bounded");
        }
        let jobs = self.acts.iter().filter(|act| matches!(act, Act::Hash(_))).count();
        assert!(jobs <= limits::HASH_JOBS, "passwords that wait are bounded");
    }

    /// When the next turn is due by the process's own clock; 0: at once.
    pub fn next_ms(&self) -> Option<u64> {
        if !self.inbox.is_empty() || !self.service.todo.serve.is_empty() {
            return Some(0);
        }
        let instants = [self.deadlines.next_ms(), self.mark_at_ms, self.service.next_ms()];
        instants.into_iter().flatten().min()
    }
}
