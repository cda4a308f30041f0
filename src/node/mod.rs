//! One server, pure: inputs go in, outputs come out. The event loop ([`crate::server`]) runs it with
//! sockets, threads and disks; so does the simulator, without.
//!
//! | file           | what it has |
//! | ---            | --- |
//! | this one       | [`Node`]: the order of durability, and who is told what |
//! | [`io`], [`end`] | its inputs and outputs; why it ends |
//! | [`flags`]      | what it is told at its start |
//! | [`bootstrap`]  | from a directory and flags to a server's place in its cluster |
//! | [`standing`], [`members`] | what a server is to its cluster; lists of members |
//! | [`replica`]    | the core, the log and the state, tied together |
//! | [`payload`]    | entries' bytes, and what the core knows of them |
//! | [`clients`]    | connections, requests, replies and pushes |
//! | [`peers`]      | what servers and operators say to each other, and who is connected |
//! | [`membership`] | servers come and go |
//! | [`reads`]      | entries that are read from the log |
//! | [`room`]       | a disk that is full |
//! | [`stop`]       | a clean stop: hand over, answer, close |
//! | [`time`]       | which time it is, by the clocks of all servers |
//! | [`lines`], [`status`] | what an operator is told |
//!
//! # A turn
//!
//! [`Node::begin_turn`]; [`Node::handle`], [`Node::accept`], [`Node::receive`] for all that has happened;
//! [`Node::advance`]; then what [`Node::poll_output`] gives is done, in its order, until there is no
//! more.
//!
//! # The way of a `send`
//!
//! 1. `node::Node::receive`: bytes of a connection;
//! 2. `clients::Clients::receive`: they come behind what is left of earlier ones;
//! 3. `clients::dispatch::Clients::dispatch`: a request is decoded; its turn, its access;
//! 4. `clients::messages::Clients::on_send`: what it becomes, an entry;
//! 5. `replica::Replica::propose`: its place in the order;
//! 6. `node::Node::advance`: all that came has been told, the core decides;
//! 7. `replica::Replica::route`: the entry goes to the log's next batch and to the backups;
//! 8. `node::Node::hand_out`: the order of durability, peers first, then the disk;
//! 9. `replica::Replica::batch_durable`: it is durable here; when a majority says so too, it is committed;
//! 10. `clients::apply::Clients::apply_committed`: what is committed and durable here is applied;
//! 11. `replica::Replica::apply`: the state changes; what that did makes the reply and the pushes;
//! 12. `node::Node::output`: their bytes, for the sockets.

pub mod bootstrap;
pub mod clients;
pub mod end;
pub mod flags;
pub mod io;
pub mod lines;
pub mod members;
pub mod membership;
pub mod payload;
pub mod peers;
pub mod random;
pub mod reads;
pub mod replica;
pub mod room;
pub mod standing;
pub mod status;
pub mod stop;
pub mod time;

pub use end::End;
pub use flags::{Flags, Listed};
pub use io::{Conn, Input, Output, Port, ReadJob};
pub use time::Now;

use std::collections::VecDeque;

use bootstrap::disks::Disks;
use bootstrap::{Bootstrap, Ready, Turned};
use clients::{Clients, refuse};
use lines::{Line, TraceLevel};
use members::LONE;
use membership::{Means, Membership};
use peers::mesh::{Event, Mesh};
use peers::session::Block;
use peers::wire::Frame;
use random::Random;
use reads::Reads;
use replica::Replica;
use room::NoRoom;
use stop::Stopping;
use time::{Bounds, Time};

use crate::chat::{self, Command};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::{self, Origin, ReadEnd};
use crate::raft;
use crate::wal::hard_state::{self, HardState};
use crate::wal::{Disk, Done, Location, ReadError};

/// One server.
pub struct Node<D> {
    now: Now,
    disks: Disks<D>,
    lines: Vec<Line>,
    outputs: VecDeque<Output>,
    /// Whether what follows from the last [`Node::advance`] stands in the outputs.
    handed_out: bool,
    /// The other servers and operators, once the ports for them are open.
    mesh: Option<Mesh>,
    stage: Stage<D>,
    /// It was told to stop.
    stops: bool,
    /// Why it ends.
    end: Option<End>,
}

enum Stage<D> {
    /// It finds out what it is.
    Starting(Box<Bootstrap<D>>),
    /// It takes part.
    Running(Box<Running>),
    /// Never seen from outside.
    Moving,
}

/// A server that takes part.
struct Running {
    replica: Replica,
    clients: Clients,
    membership: Membership,
    random: Random,
    reads: Reads,
    no_room: NoRoom,
    stopping: Stopping,
    founding: Founding,
    /// Whether there is no port for other servers.
    is_alone: bool,
    /// Which servers there are, by the flags.
    own: Option<Listed>,
    max_connections: usize,
    accepting: Accepting,
    /// When a mark is due.
    mark_at_ms: Option<u64>,
    /// How long the last fsync took, microseconds.
    sync_us: u64,
    /// Bytes of entries that may still be read in this turn for clients; connections to be closed.
    entries_left: usize,
    closes_left: usize,
}

/// What a server that is alone has yet to say in its log. Nobody is let in before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Founding {
    /// What this cluster is; whether that is asked for.
    Cluster(bool),
    /// Which server this is; whether that is asked for.
    Own(bool),
    /// Nothing.
    Done,
}

/// Whether clients may be accepted.
#[derive(Default)]
struct Accepting {
    /// How many more in this turn.
    left: usize,
    /// There was no room, or it failed: not before a connection is closed, or this instant comes,
    /// milliseconds.
    waits: bool,
    again_ms: Option<u64>,
    /// That others wait was told.
    told: bool,
}

impl<D: Disk + Clone> Node<D> {
    /// Starts on what the directory has. What is random comes from `seed`, which nobody else knows.
    pub fn start(flags: Flags, disks: Disks<D>, seed: [u8; 32], now: Now) -> Result<Node<D>, End> {
        let mut boot = Bootstrap::start(flags, disks.clone(), seed)?;
        let (lines, outputs) = (std::mem::take(&mut boot.lines), VecDeque::new());
        let open = Output::Open(boot.address()?);
        let stage = Stage::Starting(Box::new(boot));
        let mut node = Node {
            now,
            disks,
            lines,
            outputs,
            handed_out: false,
            mesh: None,
            stage,
            end: None,
            stops: false,
        };
        node.outputs.push_back(open);
        Ok(node)
    }

    /// A turn begins. It is now `now`.
    pub fn begin_turn(&mut self, now: Now) {
        self.now = now;
        if let Some(mesh) = &mut self.mesh {
            mesh.set_now(now.monotonic_ms);
        }
        let Stage::Running(run) = &mut self.stage else { return };
        run.replica.time.observe(now.boot_ms, now.unix_ms);
        run.clients.set_now(now);
        run.clients.begin_serving(&run.replica);
        run.accepting.begin_turn(now.monotonic_ms);
        run.entries_left = limits::TURN_ENTRIES_BYTES;
        run.closes_left = limits::TURN_CLOSES;
    }

    /// Something has happened.
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Opened(bound) => self.opened(bound),
            Input::Readable(Conn::Client(key)) => {
                self.clients().into_iter().for_each(|clients| clients.on_readable(key));
            }
            Input::Writable(Conn::Client(key)) => {
                self.clients().into_iter().for_each(|clients| clients.on_writable(key));
            }
            Input::Readable(Conn::Peer(_)) => {}
            Input::Writable(Conn::Peer(key)) => {
                self.mesh.iter_mut().for_each(|mesh| mesh.on_writable(key));
            }
            Input::Broken(Conn::Peer(key), why) => {
                self.mesh.iter_mut().for_each(|mesh| mesh.on_broken(key, &why));
            }
            Input::Broken(Conn::Client(key), why) => {
                self.lines.push(Line::new(
                    TraceLevel::Error,
                    format!("cannot watch a connection: {why}"),
                ));
                self.clients().into_iter().for_each(|clients| clients.doom(key));
            }
            Input::Found(name, found) => {
                self.mesh.iter_mut().for_each(|mesh| mesh.on_found(&name, found.clone()));
            }
            input => {
                self.stops |= matches!(input, Input::Stop);
                let Stage::Running(run) = &mut self.stage else { return };
                let mesh = self.mesh.as_mut().expect("who runs has a mesh");
                if let Input::Stop = input {
                    self.outputs.push_back(Output::CloseListeners);
                }
                if let Err(end) = run.handle(mesh, self.now, &mut self.lines, input) {
                    self.end.get_or_insert(end);
                }
            }
        }
    }

    fn opened(&mut self, bound: Vec<core::net::SocketAddr>) {
        let Stage::Starting(boot) = &mut self.stage else { return };
        match boot.opened(self.now, bound) {
            Ok(mesh) => self.mesh = Some(mesh),
            Err(end) => self.end = Some(end),
        }
        self.lines.append(&mut boot.lines);
    }

    /// Whether a connection may be accepted at a port now.
    pub fn accepts(&mut self, port: Port) -> bool {
        match (port, &mut self.stage) {
            (Port::Peers | Port::Operators, _) => self.mesh.is_some(),
            (Port::Clients, Stage::Running(run)) => run.accepts(&mut self.lines),
            (Port::Clients, _) => false,
        }
    }

    /// Whether those who come to the clients' ports are turned away: they go to another server at
    /// once, and do not wait for one that cannot serve them yet.
    pub fn turns_away(&self) -> bool {
        !matches!(&self.stage, Stage::Running(run) if run.founding == Founding::Done)
    }

    /// Somebody has connected.
    pub fn accept(&mut self, port: Port, origin: Origin) -> Option<Conn> {
        match port {
            Port::Clients => {
                let Stage::Running(run) = &mut self.stage else { return None };
                if run.is_full()
                    && let Some(key) = run.clients.make_way()
                {
                    run.clients.disconnect(&run.replica, key);
                    self.outputs.push_back(Output::Close(Conn::Client(key)));
                }
                run.accepting.left = run.accepting.left.saturating_sub(1);
                Some(Conn::Client(run.clients.connect(origin)))
            }
            Port::Peers => Some(Conn::Peer(self.mesh.as_mut()?.accept(origin.to_string()))),
            Port::Operators => Some(Conn::Peer(self.mesh.as_mut()?.accept_local())),
        }
    }

    /// The next client to be read from in this turn.
    pub fn next_to_serve(&mut self) -> Option<Conn> {
        self.clients()?.next_to_serve().map(Conn::Client)
    }

    /// How many bytes may be read from a connection now; `readable`: it may have some. None: it is
    /// not listened to.
    pub fn room(&mut self, conn: Conn, readable: bool) -> Option<usize> {
        match conn {
            Conn::Client(key) => self.clients()?.room(key, readable),
            Conn::Peer(key) => self.mesh.as_ref().map(|mesh| mesh.budget(key)),
        }
    }

    /// What was read from a connection, and why reading stopped; of a broken one why it broke.
    pub fn receive(&mut self, conn: Conn, bytes: &[u8], end: ReadEnd, why: Option<&str>) {
        match conn {
            Conn::Client(key) => {
                let Stage::Running(run) = &mut self.stage else { return };
                run.clients.receive(&mut run.replica, key, bytes, end);
            }
            Conn::Peer(key) => {
                let Some(mesh) = &mut self.mesh else { return };
                mesh.receive(key, bytes);
                match end {
                    ReadEnd::Closed => {
                        let why = why.unwrap_or("the other side closed the connection");
                        mesh.on_broken(key, why);
                    }
                    ReadEnd::Broken => mesh.on_broken(key, why.unwrap_or("connection broken")),
                    ReadEnd::Blocked | ReadEnd::Budget => {}
                }
            }
        }
    }

    /// What is to be written to a connection, as far as it takes it; [`Node::written`] comes then.
    pub fn output(&mut self, conn: Conn) -> Option<&mut net::Output> {
        match conn {
            Conn::Client(key) => self.clients()?.output(key),
            Conn::Peer(key) => self.mesh.as_mut()?.output(key),
        }
    }

    /// How many bytes of that were written; none: the connection is broken.
    pub fn written(&mut self, conn: Conn, count: Option<usize>) {
        match conn {
            Conn::Client(key) => {
                self.clients().into_iter().for_each(|clients| clients.written(key, count));
            }
            // What is wrong with it is said by a read, with the other side's last words.
            Conn::Peer(key) => self.mesh.iter_mut().for_each(|mesh| mesh.on_written(key)),
        }
    }

    /// Entries of [`Output::Read`], from the first on, and where those are that were not read.
    pub fn handle_read<'a>(
        &mut self,
        id: u64,
        payloads: impl Iterator<Item = &'a [u8]>,
        rest: Vec<Location>,
    ) {
        let Stage::Running(run) = &mut self.stage else { return };
        if reads::is_for_backup(id) {
            run.reads.done(&mut run.replica, id, payloads.map(payload::typed).collect());
            return;
        }
        run.clients.on_fetched(&run.replica, id, payloads);
        if !rest.is_empty() {
            let jobs = &mut run.clients.todo.read;
            let place = jobs.len().min(limits::READS_IN_TURN - 1);
            jobs.insert(place, ReadJob { id, locations: rest });
        }
    }

    /// Everything that happened has been told: what follows from it. An error ends the server.
    pub fn advance(&mut self) -> Result<(), End> {
        self.handed_out = false;
        if let Some(mesh) = &mut self.mesh {
            mesh.tick();
        }
        self.go_on()?;
        if let (Stage::Running(run), Some(mesh)) = (&mut self.stage, &mut self.mesh) {
            run.take_events(mesh, self.now)?;
            if let Some(end) = self.end.take() {
                return Err(end);
            }
            run.advance(mesh, self.now, &mut self.lines)?;
            self.outputs.extend(run.found()?.then_some(Output::Serve));
            // What backups lack is read before they are written to, so that it leaves in this turn.
            while let Some(read) = run.next_wanted(mesh, &mut self.lines) {
                self.outputs.push_back(read);
            }
        }
        self.end.take().map_or(Ok(()), Err)
    }

    /// Goes on with a start, as far as that goes.
    fn go_on(&mut self) -> Result<(), End> {
        let Some(mesh) = &mut self.mesh else { return Ok(()) };
        self.stage = match std::mem::replace(&mut self.stage, Stage::Moving) {
            Stage::Starting(boot) => match boot.turn(mesh, self.now)? {
                Turned::Waits(mut boot) => {
                    self.lines.append(&mut boot.lines);
                    Stage::Starting(boot)
                }
                Turned::Ready(ready, mut lines) => {
                    self.lines.append(&mut lines);
                    let run = Running::new(*ready, mesh, self.now)?;
                    if run.replica.core().is_restoring() {
                        self.lines.push(bootstrap::restoring());
                    }
                    if run.founding == Founding::Done {
                        self.outputs.push_back(Output::Serve);
                    }
                    Stage::Running(Box::new(run))
                }
            },
            stage => stage,
        };
        Ok(())
    }

    /// What is to be done outside. Whoever asks does it before asking again.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                if let (Output::Close(Conn::Peer(key)), Some(mesh)) = (&output, &mut self.mesh) {
                    // Only now: its last words were written before.
                    mesh.remove(*key);
                }
                return Some(output);
            }
            if std::mem::replace(&mut self.handed_out, true) {
                return self.clients_output();
            }
            self.hand_out();
        }
    }

    /// The order of durability: what stands first is done first.
    fn hand_out(&mut self) {
        let Some(mesh) = &mut self.mesh else {
            self.outputs.extend(self.lines.drain(..).map(Output::Tell));
            return;
        };
        if let Stage::Running(run) = &mut self.stage {
            // What the core tells its peers leaves before the batch goes to the disk: they write while
            // this server writes. What must wait for the disk is not among it yet.
            run.send_to_peers(mesh);
        }
        let outputs = &mut self.outputs;
        let writes = std::mem::take(&mut mesh.todo.write);
        outputs.extend(writes.into_iter().map(|key| Output::Write(Conn::Peer(key))));
        if let Stage::Running(run) = &mut self.stage {
            // Term and vote are durable before anything is said that depends on them: the core waits
            // for that. Entries of their term may be on the disk before them, and promise nothing.
            outputs.extend(run.replica.next_save(mesh.met()).map(Output::Save));
            // One batch at a time: the next is written only after the one before is durable. What it
            // holds is acknowledged, committed, applied and answered only then.
            outputs.extend(run.replica.next_batch().map(Output::Append));
            outputs.extend(run.replica.spare_wanted().map(Output::MakeSpare));
            run.plan_mark(self.now.monotonic_ms);
            self.lines.append(&mut run.clients.todo.tell);
            run.tell_of_time(&mut self.lines);
        }
        let closes = std::mem::take(&mut mesh.todo.close);
        outputs.extend(closes.into_iter().map(|key| Output::Close(Conn::Peer(key))));
        while let Some((key, address)) = mesh.next_dial() {
            outputs.push_back(Output::Dial(key, address));
        }
        while let Some(name) = mesh.next_lookup() {
            outputs.push_back(Output::LookUp(name));
        }
        self.lines.append(&mut mesh.todo.tell);
        outputs.extend(self.lines.drain(..).map(Output::Tell));
    }

    /// What clients wait for. Nothing that promises durability is among it before the batch that holds
    /// it is durable, and committed: replies and pushes of changes are made by
    /// [`Clients::apply_committed`] alone.
    fn clients_output(&mut self) -> Option<Output> {
        let Stage::Running(run) = &mut self.stage else { return None };
        if let Some(read) = run.next_read() {
            return Some(read);
        }
        let todo = &mut run.clients.todo;
        if let Some(job) = todo.hash.pop_front() {
            return Some(Output::Hash(job));
        }
        if let Some(key) = todo.write.pop() {
            return Some(Output::Write(Conn::Client(key)));
        }
        if let Some(key) = todo.shut.pop() {
            return Some(Output::Shut(Conn::Client(key)));
        }
        if run.closes_left == 0 {
            return None;
        }
        run.closes_left -= 1;
        let key = todo.close.pop()?;
        run.clients.disconnect(&run.replica, key);
        run.accepting.has_room();
        Some(Output::Close(Conn::Client(key)))
    }

    /// When the next turn is due at the latest, milliseconds; 0: now.
    pub fn next_ms(&self) -> Option<u64> {
        let mesh_ms = self.mesh.as_ref().and_then(Mesh::next_ms);
        let own_ms = match &self.stage {
            Stage::Starting(boot) => self.mesh.as_ref().and_then(|_| boot.next_ms()),
            Stage::Running(run) => run.next_ms(self.now),
            Stage::Moving => None,
        };
        [mesh_ms, own_ms].into_iter().flatten().min()
    }

    /// Whether it has been told to stop, and all is done that is to be done before, or there is no
    /// time for it any more. Then [`Node::close`].
    pub fn is_stopped(&mut self) -> bool {
        match &mut self.stage {
            Stage::Running(run) => run.is_stopped(self.now),
            Stage::Starting(_) | Stage::Moving => self.stops,
        }
    }

    /// Tells the others that this server stops; what is to be written comes by
    /// [`Node::poll_output`].
    pub fn close(&mut self) {
        self.mesh.iter_mut().for_each(Mesh::stop);
        self.handed_out = false;
    }

    /// It ends, for this reason, and its threads have ended: what the disk is to say of that.
    pub fn end(mut self, end: End) -> End {
        let End::OldCopy { by, .. } = &end else { return end };
        let Some(mut file) = self.file().cloned() else { return end };
        file.old_copy.clone_from(by);
        match hard_state::save(&mut self.disks.state, &file) {
            Ok(()) => end,
            Err(error) => End::State(error),
        }
    }

    fn clients(&mut self) -> Option<&mut Clients> {
        match &mut self.stage {
            Stage::Running(run) => Some(&mut run.clients),
            Stage::Starting(_) | Stage::Moving => None,
        }
    }

    // To be looked at.

    /// What `server_state.txt` says, or will once the save under way is done.
    pub fn file(&self) -> Option<&HardState> {
        match &self.stage {
            Stage::Starting(boot) => Some(boot.file()),
            Stage::Running(run) => Some(run.replica.file()),
            Stage::Moving => None,
        }
    }

    /// The copy of the conversation that it has, once it takes part.
    pub fn replica(&self) -> Option<&Replica> {
        match &self.stage {
            Stage::Running(run) => Some(&run.replica),
            Stage::Starting(_) | Stage::Moving => None,
        }
    }

    /// Its clients, once it takes part.
    pub fn served(&self) -> Option<&Clients> {
        match &self.stage {
            Stage::Running(run) => Some(&run.clients),
            Stage::Starting(_) | Stage::Moving => None,
        }
    }

    /// The others, once the ports for them are open.
    pub fn mesh(&self) -> Option<&Mesh> {
        self.mesh.as_ref()
    }
}

impl Running {
    fn new(ready: Ready, mesh: &mut Mesh, now: Now) -> Result<Running, End> {
        let Ready { flags, recovered, id, mut random } = ready;
        let core = raft::Config { id, seed: random.number(), ..flags.core };
        let bounds =
            Bounds { heard_ms: core.election_timeout_ms, stands_ms: flags.clock_stands_ms };
        let time = Time::new(bounds, now.boot_ms, now.unix_ms);
        let replica = Replica::new(core, recovered, time, now.monotonic_ms).map_err(End::Core)?;
        let mut settings = flags.clients;
        settings.id.clone_from(&replica.file().id);
        let is_alone = mesh.is_alone();
        let founding = match replica.members().is_empty() {
            true => Founding::Cluster(false),
            false => Founding::Done,
        };
        let own = flags.cluster.first().filter(|_| !is_alone).cloned();
        let mut run = Running {
            clients: Clients::new(settings, random.key(), now),
            replica,
            membership: Membership::default(),
            random,
            reads: Reads::default(),
            no_room: NoRoom::default(),
            stopping: Stopping::default(),
            founding,
            is_alone,
            own,
            max_connections: flags.max_connections,
            accepting: Accepting::default(),
            mark_at_ms: None,
            sync_us: 0,
            entries_left: 0,
            closes_left: 0,
        };
        // Some have said it while the cluster was formed.
        run.learn_addresses(mesh);
        Ok(run)
    }

    fn handle(
        &mut self,
        mesh: &mut Mesh,
        now: Now,
        lines: &mut Vec<Line>,
        input: Input,
    ) -> Result<(), End> {
        let now_ms = now.monotonic_ms;
        match input {
            Input::Hashed(done) => self.clients.on_hashed(&mut self.replica, done),
            Input::ReadFailed(id, error) => return self.read_failed(id, error, lines),
            Input::AcceptFailed(why) => {
                self.accepting.again_ms = Some(now_ms + limits::ACCEPT_AGAIN_MS);
                self.accepting.wait(&format!("cannot accept: {why}"), lines);
            }
            Input::Stop => {
                self.stopping.begin(now_ms);
                self.clients.stop();
            }
            Input::Disk(Done::Batch { batch_no, result, sync_us }) => {
                // What the disk has then is unknown until it is read again.
                if !planted(Mutant::FailedBatchIgnored) {
                    result.map_err(End::Disk)?;
                }
                self.replica.batch_durable(batch_no);
                self.clients.wake_stalled();
                self.mark_at_ms = Some(now_ms + limits::MARK_AFTER_MS);
                self.sync_us = sync_us;
                if sync_us > limits::SLOW_SYNC_US {
                    let text = format!("slow disk: an fsync took {} ms", sync_us / 1000);
                    lines.push(Line::new(TraceLevel::Warning, text));
                }
            }
            Input::Disk(Done::HardState { result, .. }) => {
                if !planted(Mutant::FailedSaveIgnored) {
                    result.map_err(End::State)?;
                }
                self.replica.save_done();
                // What starts say that are in it counts.
                mesh.met_saved(&self.replica.file().met);
            }
            Input::Disk(Done::Spare(state)) => {
                lines.extend(self.no_room.handle(&mut self.replica, &state, now_ms));
                self.clients.wake_stalled();
            }
            Input::Opened(_)
            | Input::Readable(_)
            | Input::Writable(_)
            | Input::Broken(..)
            | Input::Found(..) => unreachable!("these are for a server that starts too"),
        }
        Ok(())
    }

    fn read_failed(
        &mut self,
        id: u64,
        error: Option<ReadError>,
        lines: &mut Vec<Line>,
    ) -> Result<(), End> {
        let is_for_backup = reads::is_for_backup(id);
        let refusal = match &error {
            None => refuse("busy", "the disk is busy with reads: try again"),
            Some(error) => {
                let text = match is_for_backup {
                    true => format!("cannot read an entry that a backup needs: {error}"),
                    false => format!("the log cannot be read: {error}"),
                };
                lines.push(Line::new(TraceLevel::Error, text));
                refuse("busy", "the server cannot read its log: tell its operator")
            }
        };
        match is_for_backup {
            true => self.reads.done(&mut self.replica, id, Vec::new()),
            false => self.clients.on_fetch_failed(id, &refusal),
        }
        match error {
            Some(error) if reads::ends_for(&self.replica, &error) => {
                Err(End::Damaged(error.to_string()))
            }
            _ => Ok(()),
        }
    }

    fn is_full(&self) -> bool {
        self.clients.connections() >= self.max_connections && !planted(Mutant::AnyNumberAccepted)
    }

    /// Whether another client may be accepted now. Where there is room for no more, one that has not
    /// logged in makes way for each; where all are sessions, the others go on waiting in the system's
    /// queue until one of ours has gone.
    fn accepts(&mut self, lines: &mut Vec<Line>) -> bool {
        let may = self.founding == Founding::Done && !self.stopping.has_begun();
        if !may || self.accepting.waits || self.accepting.left == 0 {
            return false;
        }
        if self.is_full() && !self.clients.can_make_way() {
            let most = self.max_connections;
            self.accepting.wait(&format!("{most} connections are open"), lines);
            return false;
        }
        true
    }

    /// Takes what has happened at the peers' port to whom it concerns.
    fn take_events(&mut self, mesh: &mut Mesh, now: Now) -> Result<(), End> {
        let now_ms = now.monotonic_ms;
        while let Some(event) = mesh.todo.events.pop_front() {
            match event {
                Event::OldCopy(by) => {
                    return Err(End::OldCopy { id: self.replica.file().id.clone(), by });
                }
                Event::Asked(key) => {
                    let connections = self.clients.connections();
                    let status =
                        status::text(&self.replica, mesh, self.is_alone, connections, self.sync_us);
                    mesh.answer(key, status);
                }
                Event::Change(key, _) if self.is_alone => {
                    mesh.answer(key, status::ALONE.to_owned());
                }
                _ if self.is_alone => {}
                Event::Raft(from, message) => self.replica.step(now_ms, from, message),
                Event::Up(id) => {
                    self.replica.peer_up(now_ms, id);
                    self.replica.time.forget_stamp(id);
                }
                Event::Lost(id) => self.replica.peer_lost(now_ms, id),
                Event::Clock(id, clock) => self.replica.time.hear(id, clock),
                Event::About(_) => self.learn_addresses(mesh),
                // The log of this one begins already.
                Event::Adopt(..) => {}
                event => {
                    let replica = &mut self.replica;
                    self.membership.handle(&mut Means { replica, mesh, now_ms }, event);
                }
            }
        }
        Ok(())
    }

    /// Where clients reach the peers, as these say it: for those who come to the wrong server.
    fn learn_addresses(&mut self, mesh: &Mesh) {
        for id in mesh.members().iter().map(|member| member.number) {
            if let Some((about, _)) = mesh.standing(id) {
                self.clients.set_peer_address(id, about.client_address.clone());
            }
        }
    }

    /// Has the core decide, and what is committed applied.
    fn advance(&mut self, mesh: &mut Mesh, now: Now, lines: &mut Vec<Line>) -> Result<(), End> {
        let now_ms = now.monotonic_ms;
        self.clients.pass_deadlines();
        // After a moment of idleness a small batch proves that the last one was durable, and says what
        // is committed, so that a restart knows.
        if self.mark_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.mark_at_ms = None;
            self.replica.append_mark();
        }
        self.replica.tick(now_ms);
        self.replica.route();
        self.clients.advance(&mut self.replica).map_err(End::Entry)?;
        if !self.is_alone {
            let mut with = Means { replica: &mut self.replica, mesh, now_ms };
            self.membership.promote(&mut with);
            self.membership.follow(&mut with);
            self.membership.finish(&mut with);
        }
        self.stopping.hand_over(&mut self.replica, &self.clients, now_ms);
        self.replica.route();
        self.reads.tell_caught_up(&self.replica, mesh, lines);
        for change in self.replica.wishes.changes.drain(..) {
            lines.push(status::line_of(&change, mesh, self.is_alone));
        }
        Ok(())
    }

    /// A server that is alone, once it is PRIMARY, says in an empty log what this cluster is; where it
    /// has a peers' port, also which server this is. True: that is done now.
    fn found(&mut self) -> Result<bool, End> {
        let state = self.replica.state();
        if let Founding::Cluster(_) = self.founding
            && state.cluster().is_some()
            && self.replica.is_ready()
        {
            self.founding = match self.own {
                Some(_) => Founding::Own(false),
                None => Founding::Done,
            };
            return Ok(self.founding == Founding::Done);
        }
        match self.founding {
            Founding::Own(_) if !state.members().is_empty() => {
                self.founding = Founding::Done;
                return Ok(true);
            }
            Founding::Cluster(false) if self.replica.is_ready() => {
                self.founding = Founding::Cluster(true);
                let (cluster, token_secret) = (self.replica.file().cluster, self.random.key());
                let (time, members) = (self.replica.entry_time(), Vec::new());
                let mut payload = Vec::new();
                Command::Found { time, cluster, token_secret, members }.encode(&mut payload);
                let taken = self.replica.propose(payload);
                assert!(taken.is_ok(), "a cluster is founded by its first PRIMARY: {taken:?}");
                self.replica.route();
            }
            Founding::Own(false) if self.replica.is_ready() => {
                self.founding = Founding::Own(true);
                let Some(Listed { name, address }) = self.own.clone() else { return Ok(false) };
                let (incarnation, number) = (self.replica.file().incarnation, LONE.0);
                let own = chat::Member { name, address, incarnation, number, votes: true };
                let taken = self.replica.change_members(vec![own]);
                taken.map_err(|error| End::Cluster(error.to_string()))?;
                self.replica.route();
            }
            Founding::Cluster(_) | Founding::Own(_) | Founding::Done => {}
        }
        Ok(false)
    }

    /// The next read of what a backup lacks.
    fn next_wanted(&mut self, mesh: &Mesh, lines: &mut Vec<Line>) -> Option<Output> {
        while !self.replica.wishes.wanted.is_empty() {
            let wanted = self.replica.wishes.wanted.remove(0);
            self.reads.tell_behind(&self.replica, mesh, &wanted, lines);
            if let Some(job) = self.reads.begin(&mut self.replica, wanted) {
                let at_once = job.locations.len();
                return Some(Output::Read { job, at_once });
            }
        }
        None
    }

    /// The next read for a client: no more in one turn than leaves time for the others, and in turn a
    /// part for each of the first that wait.
    fn next_read(&mut self) -> Option<Output> {
        if self.entries_left == 0 {
            return None;
        }
        let job = self.clients.todo.read.pop_front()?;
        let at_once;
        let left = if planted(Mutant::ReadsUnbounded) { usize::MAX } else { self.entries_left };
        (at_once, self.entries_left) = reads::part_of(&job.locations, left);
        Some(Output::Read { job, at_once })
    }

    /// Gives the mesh what the core tells its peers, and before it what time it is here.
    fn send_to_peers(&mut self, mesh: &mut Mesh) {
        // What was provided meanwhile leaves too.
        self.replica.route();
        let Replica { wishes, time, .. } = &mut self.replica;
        if !self.is_alone {
            for outgoing in &wishes.messages {
                if let Some(clock) = time.tell(outgoing.to) {
                    mesh.send_frame(outgoing.to, &Frame::Clock(clock), &Block::default());
                }
            }
        }
        mesh.send(wishes.messages.drain(..));
    }

    fn plan_mark(&mut self, now_ms: u64) {
        if self.mark_at_ms.is_none() && self.replica.mark_due() {
            self.mark_at_ms = Some(now_ms + limits::MARK_AFTER_MS);
        }
    }

    fn tell_of_time(&mut self, lines: &mut Vec<Line>) {
        let mut notices = self.replica.time.take_notices();
        notices.append(&mut self.replica.wishes.notices);
        for notice in notices {
            let members = self.replica.possible_members();
            let (level, text) = notice.line(|id| {
                let member = members.iter().find(|member| member.number == id.0);
                member.map_or_else(|| format!("server {}", id.0), |member| member.name.clone())
            });
            lines.push(Line::new(level, text));
        }
    }

    fn next_ms(&self, now: Now) -> Option<u64> {
        let now_ms = now.monotonic_ms;
        let is_busy = self.replica.has_to_apply() || self.accepting.left == 0;
        let instants_ms = [
            is_busy.then_some(now_ms),
            (self.founding == Founding::Own(false)).then_some(now_ms),
            self.replica.core().next_deadline_ms(),
            Some(now_ms + self.replica.time.look_in_ms()),
            self.clients.next_ms(),
            self.membership.next_ms(),
            self.mark_at_ms,
            self.accepting.again_ms,
            self.stopping.by_ms(),
        ];
        instants_ms.into_iter().flatten().min()
    }

    /// After the signal: when everything proposed is answered and everything answered is written, or
    /// when its time is over.
    fn is_stopped(&mut self, now: Now) -> bool {
        let Some(by_ms) = self.stopping.by_ms() else { return false };
        by_ms <= now.monotonic_ms
            || self.stopping.handed_over(&self.replica, &self.clients)
                && (self.clients.is_quiet() || planted(Mutant::StopsUnanswered))
                && self.clients.writers_have_read(by_ms)
    }
}

impl Accepting {
    fn begin_turn(&mut self, now_ms: u64) {
        self.left = limits::TURN_ACCEPTS;
        if self.again_ms.take_if(|again_ms| *again_ms <= now_ms).is_some() {
            self.waits = false;
        }
    }

    /// Others wait to be accepted, which is told once.
    fn wait(&mut self, why: &str, lines: &mut Vec<Line>) {
        self.waits = true;
        if !std::mem::replace(&mut self.told, true) {
            let text = format!("{why}; others wait until one is closed");
            lines.push(Line::new(TraceLevel::Warning, text));
        }
    }

    fn has_room(&mut self) {
        (self.waits, self.told) = (false, false);
    }
}
