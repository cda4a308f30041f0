//! A lone server, with a disk in memory and connections that are buffers. Its turns are those of the
//! node, and every visit is held against the bounds on work.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use chatctl::auth::hasher::{self, Job};
use chatctl::auth::scram::Verifier;
use chatctl::chat::Command;
use chatctl::limits;
use chatctl::net::{Key, Origin, ReadEnd};
use chatctl::node::bootstrap::disks::Disks;
use chatctl::node::clients::{Clients, Settings};
use chatctl::node::members::LONE;
use chatctl::node::replica::Replica;
use chatctl::node::{Conn as Which, Flags, Input, Node, Now, Output, Port, ReadJob};
use chatctl::protocol::Message;
use chatctl::protocol::framing::{self, Codec, Form, Split};
use chatctl::raft::Config;
use chatctl::wal::{self, Batch, Done, Identity, SpareRequest, hard_state};

use crate::sim::disks::read_record;
use crate::support::raw_client::Ask;
use crate::wal::sim_disk::SimDisk;

/// More than any single request does after a visit has used up what it may do: decoding the largest
/// frame is a unit for each byte, and moving it is one for each sixteen.
pub const LAST_REQUEST: u64 = limits::FRAME_BYTES as u64 / 16 * 18;
/// The password of every account that [`World::add_accounts`] makes.
pub const PASSWORD: &str = "pencil";

/// One end of a connection.
struct Conn {
    form: Form,
    codec: Codec,
    /// Written by the client, not read by the server.
    arrived: Vec<u8>,
    /// Written again whenever that is used up.
    flood: Vec<u8>,
    /// What the server has written, where somebody reads it, and how much of that was looked at.
    output: Vec<u8>,
    looked_at: usize,
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
            output: Vec::new(),
            looked_at: 0,
            ignores: false,
            blocked: false,
            ended: false,
            end_read: false,
        }
    }
}

/// The server.
pub struct World {
    pub node: Node<SimDisk>,
    pub now: Now,
    disks: Disks<SimDisk>,
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
    /// Bytes of entries that were to be read at once in this turn.
    read_at_once: usize,
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
        tell_details: false,
    }
}

/// What a server that is alone is told.
pub fn flags(settings: Settings) -> Flags {
    Flags {
        id: None,
        cluster: Vec::new(),
        secret: None,
        directory: "the disk".to_owned(),
        segment_bytes: 64 << 20,
        core: Config::new(LONE, vec![LONE], 1),
        clients: settings,
        max_connections: 100_000,
        clock_stands_ms: limits::CLOCK_STANDS_MS,
        id_window: limits::ID_WINDOW,
    }
}

/// The address with this number.
pub fn ip(number: u32) -> Origin {
    Origin::Ip(Ipv4Addr::from(0x0A00_0000 + number).into())
}

impl World {
    pub fn new(settings: Settings) -> World {
        World::with(settings, |_| {}, &[])
    }

    /// A server that is told something else too.
    pub fn with(settings: Settings, tell: impl Fn(&mut Flags), log: &[Vec<u8>]) -> World {
        let mut disks = Disks { state: SimDisk::new(1), log: SimDisk::new(2) };
        let mut flags = flags(settings);
        tell(&mut flags);
        write_log(&mut disks, &flags, log);
        let now = Now { monotonic_ms: 1_000, boot_ms: 1_000, unix_ms: 1_700_000_000_000 };
        let node = Node::start(flags, disks.clone(), [1; 32], now).expect("the disks are whole");
        let mut world = World {
            node,
            now,
            disks,
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
            read_at_once: 0,
        };
        world.do_outputs();
        world.node.handle(Input::Opened(Vec::new()));
        for _ in 0..100 {
            world.pass(100);
        }
        assert!(!world.node.turns_away(), "it serves");
        world.settle();
        world.lines.clear();
        world
    }

    /// Its disks.
    pub fn disks(&self) -> Disks<SimDisk> {
        self.disks.clone()
    }

    /// Lets time pass, and a turn go by.
    pub fn pass(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.now.boot_ms += ms;
        self.now.unix_ms += ms;
        self.turn();
    }

    pub fn clients(&self) -> &Clients {
        self.node.served().expect("it serves")
    }

    pub fn replica(&self) -> &Replica {
        self.node.replica().expect("it serves")
    }

    /// Turns until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            self.turn();
            let todo = &self.clients().todo;
            let is_idle = todo.serve.is_empty() && todo.rest.is_empty() && todo.hash.is_empty();
            if is_idle && self.clients().is_answered() && !self.replica().has_to_apply() {
                return;
            }
        }
        panic!("after ten thousand turns there is still something to do");
    }

    pub fn turn(&mut self) {
        self.visit();
        self.finish_turn();
    }

    /// The part of a turn in which connections are visited.
    pub fn visit(&mut self) {
        self.node.begin_turn(self.now);
        self.read_at_once = 0;
        while let Some(Which::Client(key)) = self.node.next_to_serve() {
            let before = self.clients().work_of(key);
            self.serve(key);
            if self.bounded {
                let visit = self.clients().work_of(key).saturating_sub(before);
                let most = limits::VISIT_WORK + LAST_REQUEST;
                assert!(visit <= most, "one visit did {visit} units of work");
                let (serve, rest) = self.clients().work_of_turn();
                assert!(serve <= limits::TURN_WORK + most, "a turn did {serve} units of work");
                assert!(
                    rest <= limits::TURN_REST_WORK + most,
                    "a turn did {rest} for the greedy ones"
                );
            }
        }
    }

    /// The part behind that.
    pub fn finish_turn(&mut self) {
        loop {
            while !self.keeps_hashes && !self.hashes.is_empty() {
                self.hash_one();
            }
            while !self.keeps_reads && !self.reads.is_empty() {
                self.read_first(usize::MAX);
            }
            while !self.keeps_batches
                && let Some(batch) = self.batches.pop_front()
            {
                let result = wal::perform(&mut self.disks.log, &batch);
                let done = Done::Batch { batch_no: batch.number, result, sync_us: 0 };
                self.node.handle(Input::Disk(done));
            }
            if !self.keeps_spare
                && let Some(request) = self.spare.take()
            {
                let state = wal::make_spare(&mut self.disks.log, &request);
                self.node.handle(Input::Disk(Done::Spare(state)));
            }
            self.node.advance().expect("what is committed can be applied");
            if let Some(clients) = self.node.served() {
                self.work_of_applying += clients.work_of_applying();
            }
            self.do_outputs();
            let waits = !self.keeps_batches && !self.batches.is_empty()
                || !self.keeps_spare && self.spare.is_some()
                || !self.keeps_hashes && !self.hashes.is_empty()
                || !self.keeps_reads && !self.reads.is_empty();
            if !waits {
                return;
            }
        }
    }

    fn do_outputs(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Open(_) | Output::Serve | Output::CloseListeners => {}
                // Whoever is told the end closes too.
                Output::Shut(which @ Which::Client(key)) => {
                    if let Some(conn) = self.conns.get_mut(&key) {
                        conn.ended = true;
                        self.node.handle(Input::Readable(which));
                    }
                }
                // What was written to it can be read all the same.
                Output::Close(_) => {}
                Output::Read { job, at_once } => {
                    let bytes = job.locations[..at_once].iter().map(|at| at.length as usize);
                    self.read_at_once += bytes.sum::<usize>();
                    let most = limits::TURN_ENTRIES_BYTES + limits::WAL_ENTRY_BYTES;
                    assert!(self.read_at_once <= most, "what a turn reads at once is bounded");
                    self.reads.push_back(job);
                }
                Output::Write(Which::Client(key)) => self.take_output(key),
                Output::Save(file) => {
                    let result = hard_state::save(&mut self.disks.state, &file);
                    let done = Done::HardState { hard_state: file, result };
                    self.node.handle(Input::Disk(done));
                }
                Output::Append(batch) => self.batches.push_back(batch),
                Output::MakeSpare(request) => self.spare = Some(request),
                Output::Hash(job) => self.hashes.push(job),
                Output::Tell(line) => self.lines.push(line.text),
                Output::Write(Which::Peer(_))
                | Output::Shut(Which::Peer(_))
                | Output::Dial(..)
                | Output::LookUp(_) => {
                    unreachable!("it is alone")
                }
            }
        }
    }

    fn serve(&mut self, key: Key) {
        let which = Which::Client(key);
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let flood_or_more = !conn.arrived.is_empty() || !conn.flood.is_empty();
        let readable = flood_or_more || conn.ended != conn.end_read;
        let Some(room) = self.node.room(which, readable) else { return };
        while room > 0 && conn.arrived.len() < limits::TURN_READ_BYTES && !conn.flood.is_empty() {
            conn.arrived.extend_from_slice(&conn.flood);
        }
        let count = conn.arrived.len().min(room);
        let bytes: Vec<u8> = conn.arrived.drain(..count).collect();
        let has_more = !conn.arrived.is_empty() || !conn.flood.is_empty();
        let end = match () {
            () if has_more => ReadEnd::Budget,
            () if conn.ended == conn.end_read => ReadEnd::Blocked,
            () if room == 0 => ReadEnd::Budget,
            () => {
                conn.end_read = true;
                ReadEnd::Closed
            }
        };
        self.node.receive(which, &bytes, end, None);
    }

    /// Hashes the next password.
    pub fn hash_one(&mut self) {
        let job = self.hashes.remove(0);
        self.node.handle(Input::Hashed(hasher::perform(job)));
        self.do_outputs();
    }

    /// The entries of the first job cannot be read.
    pub fn fail_first(&mut self) {
        if let Some(job) = self.reads.pop_front() {
            self.node.handle(Input::ReadFailed(job.id, None));
        }
    }

    /// Reads entries of the first job, so many at most.
    pub fn read_first(&mut self, most: usize) {
        let Some(ReadJob { id, mut locations }) = self.reads.pop_front() else { return };
        let rest = locations.split_off(most.min(locations.len()));
        let read = |location| read_record(&mut self.disks.log, location).expect("it is persisted");
        let payloads: Vec<Vec<u8>> = locations.iter().map(read).collect();
        self.node.handle_read(id, payloads.iter().map(Vec::as_slice), rest);
    }

    fn take_output(&mut self, key: Key) {
        let Some(output) = self.node.output(Which::Client(key)) else { return };
        let conn = self.conns.get_mut(&key);
        let blocked = conn.as_ref().is_some_and(|conn| conn.blocked);
        let count = if blocked { 0 } else { output.unwritten() };
        if let Some(conn) = conn
            && !conn.ignores
        {
            conn.output.extend_from_slice(&output.rest()[..count]);
        }
        output.advance(count);
        self.node.written(Which::Client(key), Some(count));
    }

    /// A client hangs up.
    pub fn hang_up(&mut self, key: Key) {
        self.hang_up_all(&[key]);
    }

    /// Clients hang up at the same time.
    pub fn hang_up_all(&mut self, keys: &[Key]) {
        for key in keys {
            self.conns.remove(key);
            self.node.receive(Which::Client(*key), &[], ReadEnd::Broken, None);
        }
        self.turn();
    }

    pub fn connect(&mut self, origin: Origin) -> Key {
        self.connect_in(origin, Form::Frames, Codec::Json)
    }

    fn connect_in(&mut self, origin: Origin, form: Form, codec: Codec) -> Key {
        if !self.node.accepts(Port::Clients) {
            self.turn();
        }
        let Some(Which::Client(key)) = self.node.accept(Port::Clients, origin) else {
            panic!("it serves");
        };
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
        self.node.handle(Input::Readable(Which::Client(key)));
    }

    /// How many bytes the server has of what the connection has not finished.
    pub fn taken_in(&self, key: Key) -> usize {
        self.clients().client(key).map_or(0, |client| client.incoming.inbox.len())
    }

    /// From now on the connection's socket takes nothing of what it is answered, or all again.
    pub fn block(&mut self, key: Key, blocked: bool) {
        self.conns.get_mut(&key).expect("it is open").blocked = blocked;
        if !blocked {
            self.node.handle(Input::Writable(Which::Client(key)));
        }
    }

    /// The client writes nothing more.
    pub fn end_writing(&mut self, key: Key) {
        self.conns.get_mut(&key).expect("it is open").ended = true;
        self.node.handle(Input::Readable(Which::Client(key)));
    }

    /// From now on the connection writes this again and again, and throws away what it is answered.
    pub fn flood(&mut self, key: Key, bytes: &[u8]) {
        let conn = self.conns.get_mut(&key).expect("it is open");
        conn.flood = bytes.to_vec();
        conn.ignores = true;
        self.node.handle(Input::Readable(Which::Client(key)));
    }

    /// What has been answered and pushed, and was not looked at yet.
    pub fn read(&mut self, key: Key) -> Option<Message<'static>> {
        let Conn { form, codec: own, output, looked_at, .. } = self.conns.get_mut(&key)?;
        let unread = &output[*looked_at..];
        let split = framing::split(*form, unread, &mut 0);
        let Split::Payload { start, end, consumed, codec } = split else {
            assert_eq!(split, Split::NeedMore, "{form:?}");
            return None;
        };
        assert_eq!(codec, *own, "it is written in the codec in which the client writes");
        let message = framing::decode(codec, &unread[start..end]).expect("the server's own");
        let message = message.into_owned();
        *looked_at += consumed;
        if *looked_at == output.len() {
            output.clear();
            *looked_at = 0;
        }
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

    /// Makes accounts of these names, all with [`PASSWORD`].
    pub fn add_accounts(&mut self, names: &[String]) {
        let key = self.connect(ip(0));
        for name in names {
            self.write(key, &crate::support::raw_client::ask("create").src(name).body(PASSWORD));
            let keeps = std::mem::replace(&mut self.keeps_hashes, false);
            let reply = self.reply(key);
            assert!(!reply.error, "{reply:?}");
            self.keeps_hashes = keeps;
        }
        self.hang_up(key);
    }
}

/// The commands that make accounts of these names, with [`PASSWORD`].
pub fn accounts(names: &[String]) -> Vec<Vec<u8>> {
    let verifier = Verifier::derive(PASSWORD.as_bytes(), [3; 16], 1).to_string();
    let create = |name| Command::Create { time: 1, name, verifier: &verifier };
    names.iter().map(|name| payload(&create(name.as_str()))).collect()
}

/// A command as the log has it.
pub fn payload(command: &Command<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    command.encode(&mut payload);
    payload
}

/// Writes the log of a server that has run before: with these entries behind the first.
fn write_log(disks: &mut Disks<SimDisk>, flags: &Flags, entries: &[Vec<u8>]) {
    if entries.is_empty() {
        return;
    }
    let cluster = [0xC1; 16];
    let file = hard_state::HardState {
        id: chatctl::node::members::LONE_NAME.to_owned(),
        cluster,
        incarnation: 1,
        role: "PRIMARY".to_owned(),
        term: 1,
        voted_for: LONE.to_string(),
        copy: 0,
        boots: wal::boots::Boots::default(),
        met: Vec::new(),
        old_copy: String::new(),
    };
    hard_state::save(&mut disks.state, &file).expect("the disk is new");
    let expect = Some(Identity { cluster });
    let options = wal::Options { expect, segment_bytes: flags.segment_bytes };
    let recovered = wal::recover(&mut disks.log, &options, &mut |_, _, _| Ok(()));
    let (mut log, _) = recovered.expect("the disk is new");
    let members = Vec::new();
    let found = Command::Found { time: 1, cluster, token_secret: [7; 32], members };
    let all = std::iter::once(payload(&found)).chain(entries.iter().cloned());
    for (index, entry) in (1..).zip(all) {
        log.append_entry(1, index, &entry);
        if index % 1_000 == 0 {
            write_batch(disks, &mut log, index);
        }
    }
    write_batch(disks, &mut log, entries.len() as u64 + 1);
}

fn write_batch(disks: &mut Disks<SimDisk>, log: &mut wal::Wal, commit: u64) {
    if let Some(request) = log.spare_wanted() {
        let state = wal::make_spare(&mut disks.log, &request);
        log.spare_changed(&state);
    }
    if let Some(batch) = log.take_batch(commit) {
        wal::perform(&mut disks.log, &batch).expect("the disk is sound");
        log.batch_durable(batch.number);
    }
}
