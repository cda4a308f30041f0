//! A lone server's service, with a disk in memory and connections that are buffers. Its turns are
//! those of the loop, and every visit is held against the bounds on work.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use chatctl::auth::hasher::{self, Job};
use chatctl::auth::scram::Verifier;
use chatctl::chat::{Command, State};
use chatctl::limits;
use chatctl::net::{Key, Origin};
use chatctl::protocol::Message;
use chatctl::protocol::framing::{self, Codec, Form, Split};
use chatctl::raft::{Config, HardState, Role};
use chatctl::server::replica::{Recovered, Replica};
use chatctl::server::service::{Now, ReadJob, Service, Settings};
use chatctl::server::{LONE, LONE_NAME};
use chatctl::wal::{self, Batch, Identity, SpareRequest, hard_state};

use crate::sim::disks::read_record;
use crate::support::raw_client::Ask;
use crate::wal::sim_disk::SimDisk;

/// More than any single request does after a visit has used up what it may do.
pub const LAST_REQUEST: u64 = 600_000;
/// The password of every account that [`World::add_accounts`] makes.
pub const PASSWORD: &str = "pencil";
const CLUSTER: [u8; 16] = [0xC1; 16];

/// One end of a connection.
struct Conn {
    form: Form,
    codec: Codec,
    /// Written by the client, not read by the server.
    arrived: Vec<u8>,
    /// Written again whenever that is used up.
    flood: Vec<u8>,
    input: Vec<u8>,
    scanned: usize,
    /// What the server has written, where somebody reads it.
    output: Vec<u8>,
    /// Whether nobody does.
    ignores: bool,
    /// Whether the socket takes nothing for now.
    blocked: bool,
    /// Whether the client writes nothing more, and whether the server has read that.
    ended: bool,
    end_read: bool,
}

impl Conn {
    fn new(form: Form, codec: Codec) -> Conn {
        Conn {
            form,
            codec,
            arrived: Vec::new(),
            flood: Vec::new(),
            input: Vec::new(),
            scanned: 0,
            output: Vec::new(),
            ignores: false,
            blocked: false,
            ended: false,
            end_read: false,
        }
    }
}

/// The server.
pub struct World {
    pub service: Service,
    pub now: Now,
    disk: SimDisk,
    /// What is in its `server_state.txt`.
    file: hard_state::HardState,
    conns: BTreeMap<Key, Conn>,
    /// Passwords that the thread would have now; those of [`World::turn`] are hashed at once unless
    /// this is kept.
    pub hashes: Vec<Job>,
    pub keeps_hashes: bool,
    /// The same for entries to be read.
    pub reads: VecDeque<ReadJob>,
    pub keeps_reads: bool,
    /// The same for batches that the disk has not made durable.
    batches: VecDeque<Batch>,
    pub keeps_batches: bool,
    /// The same for the log's next segment.
    spare: Option<SpareRequest>,
    pub keeps_spare: bool,
    pub lines: Vec<String>,
    /// Whether visits and turns are held against their bounds.
    pub bounded: bool,
    /// Units of work done so far to apply entries.
    pub work_of_applying: u64,
}

pub fn settings() -> Settings {
    Settings {
        id: "lone".into(),
        address: "here:1".into(),
        password_iterations: 1,
        token_days: 7,
        idle_timeout_ms: 600_000,
        login_timeout_ms: 60_000,
        max_sessions_per_address: 100_000,
        max_unauthenticated_per_address: 100_000,
        max_sessions_per_account: 100_000,
        logins_per_minute: 0,
        read_only_logins: true,
        peers: Vec::new(),
        read_only_after_ms: 2_000,
        clock_stands_ms: limits::CLOCK_STANDS_MS,
        tell_details: false,
    }
}

/// The address with this number.
pub fn ip(number: u32) -> Origin {
    Origin::Ip(Ipv4Addr::from(0x0A00_0000 + number).into())
}

impl World {
    pub fn new(settings: Settings) -> World {
        World::with_segments(settings, 64 << 20)
    }

    /// A server whose log has segments of this many bytes.
    pub fn with_segments(settings: Settings, segment_bytes: u32) -> World {
        let mut disk = SimDisk::new(1);
        let expect = Some(Identity { cluster: CLUSTER });
        let options = wal::Options { expect, segment_bytes };
        let (wal, report) = wal::recover(&mut disk, &options, &mut |_, _, _| Ok(())).unwrap();
        let from = Recovered {
            hard_state: HardState { term: 1, voted_for: Some(LONE) },
            copy: 0,
            wal,
            members: Vec::new(),
            state: State::new(),
            commit: report.commit,
            tail: Vec::new(),
        };
        let now = Now { monotonic_ms: 1_000, boot_ms: 1_000, unix_ms: 1_700_000_000_000 };
        let file = hard_state::HardState {
            id: LONE_NAME.to_owned(),
            cluster: CLUSTER,
            incarnation: 1,
            role: Role::Backup.to_string(),
            term: 1,
            voted_for: LONE.to_string(),
            copy: 0,
            boots: wal::boots::Boots::default(),
            met: Vec::new(),
            old_copy: String::new(),
        };
        let config = Config::new(LONE, vec![LONE], 1);
        let replica = Replica::new(config, from, now.monotonic_ms).unwrap();
        let service = Service::new(settings, replica, [1; 32], now);
        let mut world = World {
            service,
            now,
            disk,
            file,
            conns: BTreeMap::new(),
            hashes: Vec::new(),
            keeps_hashes: false,
            reads: VecDeque::new(),
            keeps_reads: false,
            batches: VecDeque::new(),
            keeps_batches: false,
            spare: None,
            keeps_spare: false,
            lines: Vec::new(),
            bounded: true,
            work_of_applying: 0,
        };
        for _ in 0..100 {
            world.pass(100);
            if world.service.replica.is_ready() {
                break;
            }
        }
        world.service.found(CLUSTER, [7; 32]);
        world.settle();
        world.lines.clear();
        world
    }

    /// Lets time pass, and a turn go by.
    pub fn pass(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.now.boot_ms += ms;
        self.now.unix_ms += ms;
        self.turn();
    }

    /// Turns until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            self.turn();
            let todo = &self.service.todo;
            let is_idle = todo.serve.is_empty() && todo.rest.is_empty() && todo.hash.is_empty();
            if is_idle && self.service.is_answered() && !self.service.replica.has_to_apply() {
                return;
            }
        }
        panic!("after ten thousand turns there is still something to do");
    }

    /// As `Server::turn`.
    pub fn turn(&mut self) {
        self.visit();
        self.finish_turn();
    }

    /// The part of a turn in which connections are visited.
    pub fn visit(&mut self) {
        self.service.set_now(self.now);
        self.serve_connections();
    }

    /// The part behind that.
    pub fn finish_turn(&mut self) {
        self.hashes.append(&mut self.service.todo.hash);
        while !self.keeps_hashes && !self.hashes.is_empty() {
            self.hash_one();
        }
        self.reads.append(&mut self.service.todo.read);
        while !self.keeps_reads && !self.reads.is_empty() {
            self.read_first(usize::MAX);
        }
        self.service.make_room();
        self.service.todo.ask.clear();
        self.advance();
        self.write_connections();
        while let Some(key) = self.service.todo.close.pop() {
            // What was written to it can be read all the same.
            self.service.disconnect(key);
        }
        self.lines.extend(self.service.todo.tell.drain(..).map(|line| line.text));
    }

    fn serve_connections(&mut self) {
        self.service.begin_serving();
        while let Some(key) = self.service.next_to_serve() {
            let before = self.service.work_of(key);
            self.serve(key);
            if self.bounded {
                let visit = self.service.work_of(key).saturating_sub(before);
                let most = limits::VISIT_WORK + LAST_REQUEST;
                assert!(visit <= most, "one visit did {visit} units of work");
                let (serve, rest) = self.service.work_of_turn();
                assert!(serve <= limits::TURN_WORK + most, "a turn did {serve} units of work");
                assert!(
                    rest <= limits::TURN_REST_WORK + most,
                    "a turn did {rest} for the greedy ones"
                );
            }
        }
    }

    /// As `Server::serve`.
    fn serve(&mut self, key: Key) {
        let (Some(conn), Some(client)) = (self.conns.get_mut(&key), self.service.client(key))
        else {
            return;
        };
        if client.is_leaving() {
            return;
        }
        let waited = client.waits;
        if !waited {
            let room = self.service.input_room(conn.input.len());
            while conn.arrived.len() < limits::TURN_READ_BYTES && !conn.flood.is_empty() {
                conn.arrived.extend_from_slice(&conn.flood);
            }
            let count = conn.arrived.len().min(room).min(limits::TURN_READ_BYTES);
            conn.input.extend(conn.arrived.drain(..count));
            if conn.ended && conn.arrived.is_empty() {
                conn.end_read = true;
                self.service.on_end(key);
            }
        }
        let mut scanned = conn.scanned;
        let used = self.service.receive(key, &conn.input, &mut scanned);
        conn.scanned = scanned;
        conn.input.drain(..used);
        let waits = self.service.client(key).is_some_and(|client| client.waits);
        let has_more = !conn.arrived.is_empty() || !conn.flood.is_empty();
        if !waits && (has_more || conn.ended != conn.end_read) {
            self.service.on_more(key);
        }
    }

    /// Hashes the next password.
    pub fn hash_one(&mut self) {
        let job = self.hashes.remove(0);
        self.service.on_hashed(hasher::perform(job));
        self.hashes.append(&mut self.service.todo.hash);
    }

    /// Reads entries of the first job, so many at most.
    pub fn read_first(&mut self, most: usize) {
        let Some(mut job) = self.reads.pop_front() else { return };
        let rest = job.locations.split_off(most.min(job.locations.len()));
        let read = |location| read_record(&mut self.disk, location).expect("it is persisted");
        let payloads: Vec<Vec<u8>> = job.locations.iter().map(read).collect();
        self.service.on_fetched(job.id, payloads.iter().map(Vec::as_slice));
        if !rest.is_empty() {
            self.reads.push_front(ReadJob { id: job.id, locations: rest });
        }
    }

    fn advance(&mut self) {
        loop {
            self.service.advance().expect("what is committed can be applied");
            self.work_of_applying += self.service.work_of_applying();
            let saves = self.service.replica.next_save(&mut self.file, None);
            if saves {
                self.service.replica.save_done(&self.file);
            }
            self.service.replica.wishes.changes.clear();
            self.spare = self.service.replica.spare_wanted().or(self.spare.take());
            if !self.keeps_spare
                && let Some(request) = self.spare.take()
            {
                let state = wal::make_spare(&mut self.disk, &request);
                self.service.spare_changed(&state);
            }
            let batch = self.service.replica.next_batch();
            let is_idle = batch.is_none() && !saves;
            self.batches.extend(batch);
            if is_idle && (self.keeps_batches || self.batches.is_empty()) {
                return;
            }
            while !self.keeps_batches
                && let Some(batch) = self.batches.pop_front()
            {
                wal::perform(&mut self.disk, &batch).expect("the disk is sound");
                self.service.batch_durable(batch.number);
            }
        }
    }

    fn write_connections(&mut self) {
        for key in std::mem::take(&mut self.service.todo.write) {
            let Some(client) = self.service.client(key) else { continue };
            client.dirty = false;
            let conn = self.conns.get_mut(&key);
            let blocked = conn.as_ref().is_some_and(|conn| conn.blocked);
            let bytes = if blocked { Vec::new() } else { client.output.take() };
            if let Some(conn) = conn
                && !conn.ignores
            {
                conn.output.extend_from_slice(&bytes);
            }
            if !bytes.is_empty() {
                self.service.on_activity(key);
            }
            if self.service.on_written(key, !bytes.is_empty()) {
                self.service.doom(key);
            }
        }
    }

    /// A client hangs up.
    pub fn hang_up(&mut self, key: Key) {
        self.service.disconnect(key);
        self.conns.remove(&key);
    }

    pub fn connect(&mut self, origin: Origin) -> Key {
        self.connect_in(origin, Form::Frames, Codec::Json)
    }

    fn connect_in(&mut self, origin: Origin, form: Form, codec: Codec) -> Key {
        let key = self.service.connect(origin);
        self.conns.insert(key, Conn::new(form, codec));
        key
    }

    /// A session of an account of [`World::add_accounts`].
    pub fn session(&mut self, origin: Origin, name: &str) -> Key {
        self.session_in(origin, name, Form::Frames, Codec::Json)
    }

    /// As [`World::session`], by a client that writes and reads in this form and codec.
    pub fn session_in(&mut self, origin: Origin, name: &str, form: Form, codec: Codec) -> Key {
        let key = self.connect_in(origin, form, codec);
        let keeps = std::mem::replace(&mut self.keeps_hashes, false);
        self.write(key, &crate::support::raw_client::ask("login").src(name).body(PASSWORD));
        let reply = self.reply(key);
        assert!(!reply.error, "{reply:?}");
        self.keeps_hashes = keeps;
        key
    }

    /// Writes a request.
    pub fn write(&mut self, key: Key, request: &Ask) {
        let Conn { form, codec, .. } = self.conns[&key];
        let mut bytes = Vec::new();
        framing::put(&mut bytes, form, codec, request);
        self.write_raw(key, &bytes);
    }

    pub fn write_raw(&mut self, key: Key, bytes: &[u8]) {
        self.conns.get_mut(&key).expect("it is open").arrived.extend_from_slice(bytes);
        self.service.on_readable(key);
    }

    /// How many bytes the server has of what the connection has not finished.
    pub fn taken_in(&self, key: Key) -> usize {
        self.conns[&key].input.len()
    }

    /// From now on the connection's socket takes nothing of what it is answered, or all again.
    pub fn block(&mut self, key: Key, blocked: bool) {
        self.conns.get_mut(&key).expect("it is open").blocked = blocked;
        if !blocked {
            self.service.on_writable(key);
        }
    }

    /// The client writes nothing more.
    pub fn end_writing(&mut self, key: Key) {
        self.conns.get_mut(&key).expect("it is open").ended = true;
        self.service.on_readable(key);
    }

    /// From now on the connection writes this again and again, and throws away what it is answered.
    pub fn flood(&mut self, key: Key, bytes: &[u8]) {
        let conn = self.conns.get_mut(&key).expect("it is open");
        conn.flood = bytes.to_vec();
        conn.ignores = true;
        self.service.on_readable(key);
    }

    /// What has been answered and pushed, and was not looked at yet.
    pub fn read(&mut self, key: Key) -> Option<Message<'static>> {
        let Conn { form, codec: own, output, .. } = self.conns.get_mut(&key)?;
        let split = framing::split(*form, output, &mut 0);
        let Split::Payload { start, end, consumed, codec } = split else {
            assert_eq!(split, Split::NeedMore, "{form:?}");
            return None;
        };
        assert_eq!(codec, *own, "it is written in the codec in which the client writes");
        let message = framing::decode(codec, &output[start..end]).expect("the server's own");
        let message = message.into_owned();
        output.drain(..consumed);
        Some(message)
    }

    /// Turns until the connection has an answer.
    pub fn reply(&mut self, key: Key) -> Message<'static> {
        for _ in 0..1_000 {
            if let Some(message) = self.read(key) {
                return message;
            }
            self.turn();
        }
        panic!("there is no answer after a thousand turns");
    }

    /// Asks, and gives the answer.
    pub fn ask(&mut self, key: Key, request: &Ask) -> Message<'static> {
        self.write(key, request);
        self.reply(key)
    }

    /// Puts commands into the log, many at a time.
    pub fn apply<'a>(&mut self, commands: impl IntoIterator<Item = Command<'a>>) {
        for (place, command) in commands.into_iter().enumerate() {
            let mut payload = Vec::new();
            command.encode(&mut payload);
            self.service.replica.propose(payload).expect("there is room");
            if place % 1_000 == 999 {
                self.settle();
            }
        }
        self.settle();
    }

    /// Makes accounts of these names, all with [`PASSWORD`].
    pub fn add_accounts(&mut self, names: &[String]) {
        let verifier = Verifier::derive(PASSWORD.as_bytes(), [3; 16], 1).to_string();
        let create = |name| Command::Create { time: 1, name, verifier: &verifier };
        self.apply(names.iter().map(|name| create(name.as_str())));
    }
}
