//! A running server: a real [`Node`], with lists in place of sockets, threads and the poll. What a
//! socket or a thread of an operating system may do otherwise, these may do too: they take little, come
//! late, and fail.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use chatctl::auth::hasher;
use chatctl::limits;
use chatctl::net::{Key, Origin, ReadEnd};
use chatctl::node::bootstrap::disks::Disks;
use chatctl::node::clients::Work;
use chatctl::node::reads::is_for_backup;
use chatctl::node::replica::Replica;
use chatctl::node::{self, Conn, End, Flags, Node, Now, Output, Port, ReadJob};
use chatctl::wal::{Batch, Done, Location, ReadError, SpareRequest, hard_state};

use super::disks::read_record;
use crate::support::Rng;
use crate::wal::sim_disk::SimDisk;

/// Bytes under way to one client; past it the server's writes wait, as a full socket has them.
const SOCKET_BYTES: usize = 16 << 10;

/// A connection between a client and a server, numbered in the order in which they are made.
pub type LinkId = u64;
/// The same at a peers' port.
pub type WireId = u64;

/// A connection, as the network knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    Link(LinkId),
    Wire(WireId),
}

/// What happens to a process between two of its turns.
pub enum Input {
    /// Somebody connects.
    Opened(Line),
    /// The connection that was dialled as this is there.
    Dialed(WireId, Key),
    Bytes(Line, Vec<u8>),
    /// Nothing more comes.
    Closed(Line, &'static str),
    /// The client has read this much.
    Read(LinkId, usize),
    /// A name was looked up.
    Found(String, Result<Vec<SocketAddr>, String>),
    Hashed(hasher::Done),
    /// Entries that a thread has read; none where it could not.
    Fetched(u64, Option<Vec<Vec<u8>>>),
    /// The disk's threads have done something.
    Disk(Done),
    /// A read finds something else in the log than was written there.
    Damaged,
    /// The operator wants it to stop cleanly.
    Stop,
}

/// What a turn wants done.
pub enum Act {
    Write(Batch),
    Save(hard_state::HardState),
    MakeSpare(SpareRequest),
    Hash(hasher::Job),
    Fetch {
        id: u64,
        locations: Vec<Location>,
    },
    Send(Line, Vec<u8>),
    /// Nothing more comes from the server.
    Close(Line),
    /// Connect to a peers' address.
    Dial {
        key: Key,
        address: SocketAddr,
    },
    /// Look up a peer's name.
    LookUp(String),
}

/// How a turn ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Goes,
    /// It has stopped cleanly.
    Stopped,
}

/// A running server.
pub struct Process {
    pub node: Node<SimDisk>,
    log: SimDisk,
    rng: Rng,
    pub inbox: Vec<Input>,
    sockets: BTreeMap<Conn, Socket>,
    conns: BTreeMap<Line, Conn>,
    /// Clients that are not accepted yet, and what they have sent.
    waiting: VecDeque<(LinkId, Vec<u8>)>,
    /// Lines that the operator was told.
    pub lines: Vec<node::lines::Line>,
    /// Entries are read by the thread always, and nothing is in memory.
    pub reads_slowly: bool,
    /// Connections that began to miss pushes.
    pub lagging: u64,
    max_connections: usize,
    now_ms: u64,
    /// Until when it has to have stopped.
    stops_by_ms: Option<u64>,
    /// Saves of term and vote under way.
    saves: usize,
    /// Bytes of entries that were to be read for clients at once in this turn.
    read_at_once: usize,
    acts: Vec<Act>,
}

struct Socket {
    line: Line,
    /// What was not read from it.
    arrived: Vec<u8>,
    end: Option<&'static str>,
    end_read: bool,
    under_way: usize,
    misses_pushes: bool,
}

impl Process {
    /// Starts on these disks; the ports for others are at these addresses.
    pub fn start(
        flags: Flags,
        disks: Disks<SimDisk>,
        bound: Vec<SocketAddr>,
        seed: u64,
        now: Now,
    ) -> Result<Process, End> {
        let mut rng = Rng::new(seed);
        let mut secret = [0; 32];
        secret.copy_from_slice(&rng.bytes(32));
        let (log, max_connections) = (disks.log.clone(), flags.max_connections);
        let mut process = Process {
            node: Node::start(flags, disks, secret, now)?,
            log,
            rng,
            inbox: Vec::new(),
            sockets: BTreeMap::new(),
            conns: BTreeMap::new(),
            waiting: VecDeque::new(),
            lines: Vec::new(),
            reads_slowly: false,
            lagging: 0,
            max_connections,
            now_ms: now.monotonic_ms,
            stops_by_ms: None,
            saves: 0,
            read_at_once: 0,
            acts: Vec::new(),
        };
        let mut has_port = false;
        while let Some(output) = process.node.poll_output() {
            match output {
                Output::Open(listen) => has_port = listen.is_some(),
                Output::Tell(line) => process.lines.push(line),
                _ => unreachable!("ports are opened first"),
            }
        }
        process.node.handle(node::Input::Opened(if has_port { bound } else { Vec::new() }));
        Ok(process)
    }

    /// The copy that it has, once it takes part.
    pub fn replica(&self) -> Option<&Replica> {
        self.node.replica()
    }

    /// One round.
    pub fn turn(&mut self, now: Now) -> Result<(Vec<Act>, Ended), End> {
        self.visit(now);
        self.finish_turn()
    }

    /// The part of a turn in which connections are visited.
    pub fn visit(&mut self, now: Now) {
        self.node.begin_turn(now);
        (self.now_ms, self.read_at_once) = (now.monotonic_ms, 0);
        for input in std::mem::take(&mut self.inbox) {
            self.take(input);
        }
        let is_readable = |(conn, socket): (&Conn, &Socket)| {
            let is_peer = matches!(conn, Conn::Peer(_));
            (is_peer && socket.is_readable()).then_some(*conn)
        };
        let peers: Vec<Conn> = self.sockets.iter().filter_map(is_readable).collect();
        peers.into_iter().for_each(|conn| self.read(conn));
        while self.accepts_or_turns_away()
            && let Some((link, arrived)) = self.waiting.pop_front()
        {
            if self.node.turns_away() {
                self.acts.push(Act::Close(Line::Link(link)));
            } else if let Some(conn) = self.node.accept(Port::Clients, Origin::Local) {
                self.open(conn, Line::Link(link), arrived);
            }
        }
        while let Some(conn) = self.node.next_to_serve() {
            self.read(conn);
        }
    }

    fn accepts_or_turns_away(&mut self) -> bool {
        !self.waiting.is_empty() && (self.node.turns_away() || self.node.accepts(Port::Clients))
    }

    /// The part behind that.
    pub fn finish_turn(&mut self) -> Result<(Vec<Act>, Ended), End> {
        self.node.advance()?;
        self.do_outputs();
        if let Some(replica) = self.node.replica().filter(|_| self.saves == 0) {
            let outline = replica.core().outline();
            assert_eq!(outline.durable, outline.hard_state, "what is not saved is being saved");
        }
        let has_stopped = self.node.is_stopped();
        if has_stopped {
            self.check_answered();
            self.node.close();
            self.do_outputs();
        }
        let ended = if has_stopped { Ended::Stopped } else { Ended::Goes };
        Ok((std::mem::take(&mut self.acts), ended))
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Opened(Line::Link(link)) => self.waiting.push_back((link, Vec::new())),
            Input::Opened(line @ Line::Wire(wire)) => {
                let from = SocketAddr::from(([10, 0, 0, 99], wire as u16));
                match self.node.accept(Port::Peers, Origin::of(from.ip())) {
                    Some(conn) => self.open(conn, line, Vec::new()),
                    None => self.acts.push(Act::Close(line)),
                }
            }
            Input::Dialed(wire, key) => {
                let (conn, line) = (Conn::Peer(key), Line::Wire(wire));
                match self.node.output(conn).is_some() {
                    true => self.open(conn, line, Vec::new()),
                    false => self.acts.push(Act::Close(line)),
                }
            }
            Input::Bytes(line, bytes) => {
                if let Some(conn) = self.conns.get(&line).copied()
                    && let Some(socket) = self.sockets.get_mut(&conn)
                {
                    socket.arrived.extend_from_slice(&bytes);
                    self.node.handle(node::Input::Readable(conn));
                }
                let is_of = |waiting: &&mut (LinkId, _)| line == Line::Link(waiting.0);
                if let Some((_, arrived)) = self.waiting.iter_mut().find(is_of) {
                    arrived.extend_from_slice(&bytes);
                }
            }
            Input::Closed(line, why) => {
                if let Some(conn) = self.conns.get(&line).copied()
                    && let Some(socket) = self.sockets.get_mut(&conn)
                {
                    socket.end = Some(why);
                    self.node.handle(node::Input::Readable(conn));
                    self.node.handle(node::Input::Writable(conn));
                }
                if let Line::Link(link) = line {
                    self.waiting.retain(|(waiting, _)| *waiting != link);
                }
            }
            Input::Read(link, bytes) => {
                if let Some(conn) = self.conns.get(&Line::Link(link)).copied()
                    && let Some(socket) = self.sockets.get_mut(&conn)
                {
                    socket.under_way = socket.under_way.saturating_sub(bytes);
                    self.node.handle(node::Input::Writable(conn));
                }
            }
            Input::Found(name, found) => self.node.handle(node::Input::Found(name, found)),
            Input::Hashed(done) => self.node.handle(node::Input::Hashed(done)),
            Input::Fetched(id, Some(payloads)) => {
                self.node.handle_read(id, payloads.iter().map(Vec::as_slice), Vec::new());
            }
            Input::Fetched(id, None) => self.node.handle(node::Input::ReadFailed(id, None)),
            Input::Disk(done) => {
                self.saves -= usize::from(matches!(done, Done::HardState { .. }));
                self.node.handle(node::Input::Disk(done));
            }
            Input::Damaged => {
                let (file, why) = ("the log".into(), "bad checksum".to_owned());
                let error = ReadError { file, offset: 0, why, damaged: true };
                self.node.handle(node::Input::ReadFailed(0, Some(error)));
            }
            Input::Stop => {
                self.stops_by_ms.get_or_insert(self.now_ms + limits::STOP_MS);
                self.node.handle(node::Input::Stop);
            }
        }
    }

    fn open(&mut self, conn: Conn, line: Line, arrived: Vec<u8>) {
        let end = None;
        let (under_way, end_read, misses_pushes) = (0, false, false);
        let socket = Socket { line, arrived, end, end_read, under_way, misses_pushes };
        self.sockets.insert(conn, socket);
        self.conns.insert(line, conn);
        self.node.handle(node::Input::Readable(conn));
        self.node.handle(node::Input::Writable(conn));
    }

    /// Reads from a connection what the node wants.
    fn read(&mut self, conn: Conn) {
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        let Some(room) = self.node.room(conn, socket.is_readable()) else { return };
        let count = socket.arrived.len().min(room);
        let bytes: Vec<u8> = socket.arrived.drain(..count).collect();
        let end = match (socket.arrived.is_empty(), socket.end) {
            (false, _) => ReadEnd::Budget,
            (true, Some(_)) if !socket.end_read && room > 0 => {
                socket.end_read = true;
                ReadEnd::Closed
            }
            (true, Some(_)) if !socket.end_read => ReadEnd::Budget,
            (true, _) => ReadEnd::Blocked,
        };
        let why = socket.end;
        self.node.receive(conn, &bytes, end, why);
    }

    fn do_outputs(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Open(_) => unreachable!("the ports are open"),
                Output::Serve | Output::CloseListeners => {}
                Output::Read { job, at_once } => self.fetch(job, at_once),
                Output::Write(conn) => self.write(conn),
                Output::Save(file) => {
                    self.saves += 1;
                    self.acts.push(Act::Save(file));
                }
                Output::Append(batch) => self.acts.push(Act::Write(batch)),
                Output::MakeSpare(request) => self.acts.push(Act::MakeSpare(request)),
                Output::Hash(job) => self.acts.push(Act::Hash(job)),
                Output::Dial(key, address) => self.acts.push(Act::Dial { key, address }),
                Output::LookUp(name) => self.acts.push(Act::LookUp(name)),
                Output::Shut(conn) => {
                    let line = self.sockets.get(&conn).map(|socket| socket.line);
                    self.acts.extend(line.map(Act::Close));
                }
                Output::Close(conn) => self.close(conn),
                Output::Tell(line) => self.lines.push(line),
            }
        }
    }

    fn close(&mut self, conn: Conn) {
        if let Some(socket) = self.sockets.remove(&conn) {
            self.conns.remove(&socket.line);
            self.acts.push(Act::Close(socket.line));
        }
    }

    /// Reads entries: some at once, as where the system has them in memory, or later.
    fn fetch(&mut self, job: ReadJob, at_once: usize) {
        let ReadJob { id, mut locations } = job;
        if !is_for_backup(id) {
            let bytes = locations[..at_once].iter().map(|location| location.length as usize);
            self.read_at_once += bytes.sum::<usize>();
            let most = limits::TURN_ENTRIES_BYTES + limits::WAL_ENTRY_BYTES;
            assert!(self.read_at_once <= most, "what a turn reads at once is bounded");
        }
        if self.reads_slowly || self.rng.chance(1, 4) {
            return self.acts.push(Act::Fetch { id, locations });
        }
        let count = 1 + self.rng.below(at_once as u64) as usize;
        let read = |location: &Location| {
            read_record(&mut self.log, location).expect("what is persisted can be read")
        };
        let payloads: Vec<Vec<u8>> = locations[..count].iter().map(read).collect();
        locations.drain(..count);
        self.node.handle_read(id, payloads.iter().map(Vec::as_slice), locations);
    }

    fn write(&mut self, conn: Conn) {
        // What is written before the connection is there waits for it.
        let Some(socket) = self.sockets.get_mut(&conn) else { return };
        let Some(output) = self.node.output(conn) else { return };
        // A client that has closed takes nothing, and its machine throws away what comes.
        let reads = matches!(conn, Conn::Client(_)) && socket.end.is_none();
        let is_full = reads && socket.under_way >= SOCKET_BYTES;
        let bytes = match is_full {
            true => Vec::new(),
            false => output.rest().to_vec(),
        };
        output.advance(bytes.len());
        let count = bytes.len();
        socket.under_way += count;
        if count > 0 {
            self.acts.push(Act::Send(socket.line, bytes));
        }
        self.node.written(conn, Some(count));
    }

    /// What a connection may hold of what is made ready for it.
    pub fn check_bounds(&mut self) {
        for (conn, socket) in &mut self.sockets {
            let (Conn::Client(key), Some(served)) = (conn, self.node.served()) else { continue };
            let Some(client) = served.client(*key) else { continue };
            let misses = client.outgoing.left_out > 0;
            self.lagging += u64::from(misses && !socket.misses_pushes);
            socket.misses_pushes = misses;
            let most = limits::OUTPUT_BYTES + limits::PUSH_BACKLOG_BYTES + 2 * limits::PAGE_BYTES;
            assert!(
                client.outgoing.output.unwritten() <= most,
                "what is ready for a client is bounded"
            );
            assert!(
                client.incoming.inbox.len() <= limits::INPUT_BYTES,
                "what a client asks is bounded"
            );
        }
        let connections = self.node.served().map_or(0, |served| served.connections());
        assert!(connections <= self.max_connections, "{connections} clients are connected");
        let jobs = self.acts.iter().filter(|act| matches!(act, Act::Hash(_))).count();
        assert!(jobs <= limits::HASH_JOBS, "passwords that wait are bounded");
    }

    /// Who stops in time leaves no send unanswered, and no answer unwritten.
    fn check_answered(&self) {
        let Some(served) = self.node.served() else { return };
        if self.stops_by_ms.is_none_or(|by_ms| by_ms <= self.now_ms) {
            return;
        }
        for conn in self.sockets.keys() {
            let Conn::Client(key) = conn else { continue };
            let Some(client) = served.client(*key) else { continue };
            let is_answered = !matches!(client.work, Work::Sends(_)) && client.unwritten() == 0;
            assert!(is_answered, "it stops before {conn:?} is answered");
        }
    }

    /// When the next turn is due by the process's own clock; 0: at once.
    pub fn next_ms(&mut self) -> Option<u64> {
        let is_peers_turn = |(conn, socket): (&Conn, &Socket)| {
            matches!(conn, Conn::Peer(_)) && socket.is_readable()
        };
        let accepts = self.accepts_or_turns_away();
        if !self.inbox.is_empty() || accepts || self.sockets.iter().any(is_peers_turn) {
            return Some(0);
        }
        self.node.next_ms()
    }
}

impl Socket {
    fn is_readable(&self) -> bool {
        !self.arrived.is_empty() || self.end.is_some() && !self.end_read
    }
}
