//! A cluster, its clients and everything between them, in virtual time: a queue of events, each of
//! which happens at its instant and may bring others about. Whatever is left to chance comes from
//! one generator, so that one seed is one history.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;

use chatctl::auth::hasher;
use chatctl::node::End;
use chatctl::node::lines::Line as Told;
use chatctl::node::peers::mesh::id_of;
use chatctl::node::peers::wire::Reason;
use chatctl::raft::{self, Role};
use chatctl::wal::{Done, RecoverError, SpareRequest, SpareState};

use super::chatter::Chatter;
use super::checker::Checker;
use super::client::{Client, Wish};
use super::clock::{Clock, Us};
use super::counts::Counts;
use super::faults::{Faults, YEARS_MS};
use super::folder::Folder;
use super::losses::Unnoticed;
use super::names;
use super::network::{Link, LinkEnd};
use super::operator::Operator;
use super::process::{Act, Ended, Input, Line, LinkId, WireId};
use super::server::{self, Common, Job, Server, Started, address_of, name_at};
use super::trace::Trace;
use super::wild::Wild;
use super::wires::{Holder, Wire};
use crate::support::Rng;
use crate::support::bounded::Rounds;
use crate::wal::sim_disk::Fault;

pub const MS: Us = 1_000;

/// Events that may happen at one instant, and rounds that a client may take in it.
const EVENTS_AT_ONCE: u64 = 1_000_000;
const WISHES_AT_ONCE: u64 = 10_000;

/// Machines that servers may be added on.
pub const SPARES: usize = 3;

/// Something that happens at an instant.
pub enum Event {
    /// A server's next turn.
    Turn(usize),
    /// What happens to one process, unless it has ended meanwhile.
    Input {
        place: usize,
        epoch: u64,
        input: Input,
    },
    /// The job that a writer thread has under way is done.
    JobDone {
        place: usize,
        epoch: u64,
    },
    SpareDone {
        place: usize,
        epoch: u64,
    },
    Start(usize),
    /// A client has something to do.
    Client(usize),
    /// A connection's next piece arrives at an end.
    Link {
        link: LinkId,
        end: LinkEnd,
    },
    /// A connection's next piece arrives at a peers' port, or at an operator.
    Wire {
        wire: WireId,
        end: usize,
    },
    /// An operator has something to do.
    Operator(usize),
    /// The next time that something may go wrong.
    Faults,
    /// A thing that went wrong goes right again.
    Mend(super::faults::Mend),
}

/// One client machine and the connection that its process has.
pub struct Machine {
    pub client: Box<dyn Client>,
    pub link: Option<LinkId>,
    /// The connection on which it asks another server how things are.
    pub look: Option<LinkId>,
    wakes_at: Option<Us>,
}

/// One history.
pub struct World {
    pub now_us: Us,
    pub rng: Rng,
    pub common: Common,
    pub faults: Faults,
    pub servers: Vec<Server>,
    pub machines: Vec<Machine>,
    pub links: BTreeMap<LinkId, Link>,
    pub last_link: LinkId,
    pub wires: BTreeMap<WireId, Wire>,
    pub last_wire: WireId,
    pub operators: Vec<Operator>,
    /// A loss that only the PRIMARY can make good: nothing else goes wrong meanwhile.
    pub unnoticed: Option<Unnoticed>,
    /// When a log was damaged or lost last.
    pub lost_at: Us,
    /// Directions between servers in which nothing goes.
    pub cut: BTreeSet<(usize, usize)>,
    /// Clients and servers between which nothing goes.
    pub client_cut: BTreeSet<(usize, usize)>,
    pub checker: Checker,
    /// What the last process that stopped cleanly was then.
    pub stopped_as: Option<Role>,
    pub counts: Counts,
    pub trace: Trace,
    queue: BinaryHeap<Reverse<(Us, u64)>>,
    events: BTreeMap<u64, Event>,
    last_event: u64,
}

impl World {
    /// The history of `seed`, before it begins.
    pub fn new(seed: u64, tells_all: bool) -> World {
        let mut rng = Rng::new(seed);
        let servers = [1, 3, 3, 3, 5, 5, 5, 7][rng.below(8) as usize];
        let election_timeout_ms = 150 + rng.below(400);
        let long_messages = rng.chance(1, 10);
        // A segment takes the longest entry.
        let segment_kib = if long_messages { 300 + rng.below(400) } else { 12 + rng.below(40) };
        let common = Common {
            servers,
            election_timeout_ms,
            heartbeat_ms: election_timeout_ms / (4 + rng.below(4)),
            window: 1 + rng.below(16) as usize,
            batch_bytes: [1, 400, 4_000, 256 << 10][rng.below(4) as usize],
            cache_bytes: [0, 2_000, 1 << 20][rng.below(3) as usize],
            segment_bytes: (segment_kib as u32) << 10,
            id_window: [30, 10_000][rng.below(2) as usize],
            read_only_after_ms: 500 + rng.below(2_000),
            clock_stands_ms: 1_000 + rng.below(4_000),
            max_connections: 1_000,
            long_messages,
            forms: servers > 1 && rng.chance(1, 4),
        };
        let faults = Faults::new(&mut rng);
        let mut world = World {
            now_us: 0,
            faults,
            servers: Vec::new(),
            machines: Vec::new(),
            links: BTreeMap::new(),
            last_link: 0,
            wires: BTreeMap::new(),
            last_wire: 0,
            operators: Vec::new(),
            unnoticed: None,
            lost_at: 0,
            cut: BTreeSet::new(),
            client_cut: BTreeSet::new(),
            checker: Checker::new(common.id_window),
            stopped_as: None,
            counts: Counts { histories: 1, ..Counts::default() },
            trace: Trace::new(seed, tells_all),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            last_event: 0,
            common,
            rng,
        };
        world.checker.times.stands_ms = world.common.clock_stands_ms;
        world.trace.note(0, format_args!("{:?}", world.common));
        world.trace.note(0, format_args!("{:?}", world.faults));
        world.add_servers(servers as usize);
        world.add_clients(servers);
        if seed.is_multiple_of(3) {
            // There is room for the session of each, and for one more.
            world.common.max_connections = world.machines.len() + 1;
        }
        world.at(2_000 * MS, Event::Faults);
        world
    }

    /// The servers that there are at first: with the first entry on their disks, unless they are to
    /// form the cluster or there is one alone.
    fn add_servers(&mut self, servers: usize) {
        let listed: Vec<_> = (0..servers).map(server::listed).collect();
        let has_port = servers > 1 || self.rng.chance(1, 2);
        for place in 0..servers {
            let clock = self.some_clock();
            let flags = if has_port { listed.clone() } else { Vec::new() };
            self.servers.push(Server::new(place, flags, &mut self.rng, clock));
            let at = self.rng.below(300) * MS;
            self.at(at, Event::Start(place));
        }
        if servers > 1 && !self.common.forms {
            let member = |server: &Server| server.member(id_of(server.place));
            let entry = server::first_entry(self.servers.iter().map(member).collect());
            for server in &mut self.servers {
                self.checker.on_written(&server.form(&self.common, &entry));
            }
        }
    }

    fn add_clients(&mut self, servers: u32) {
        let (chatters, wilds) = (1 + self.rng.below(3) as usize, self.rng.below(3) as usize);
        let addresses: Vec<String> =
            (0..servers as usize + SPARES).map(|place| address_of(&name_at(place))).collect();
        let people = (0..chatters).map(|number| format!("person{number}"));
        let names: Vec<String> = people.chain((0..wilds).map(|n| format!("wild{n}"))).collect();
        for (place, name) in names.iter().enumerate() {
            let (list, all) = (addresses.clone(), names.clone());
            // Some people have two machines, some run two clients on one.
            let machines = 1 + usize::from(place < chatters && self.rng.chance(1, 2));
            let has_two = machines == 2 && self.rng.chance(2, 3);
            let mut folder = Folder::new(self.rng.next(), has_two);
            for number in 0..machines {
                if number > 0 && !has_two {
                    folder = Folder::new(self.rng.next(), false);
                }
                let is_first = number == 0 || !has_two;
                let seed = self.rng.next();
                let client: Box<dyn Client> = match place < chatters {
                    true => {
                        let long = self.common.long_messages;
                        let folder = (Rc::clone(&folder), is_first);
                        Box::new(Chatter::new(name, list.clone(), all.clone(), long, folder, seed))
                    }
                    false => Box::new(Wild::new(name, list.clone(), all.clone(), seed)),
                };
                self.machines.push(Machine { client, link: None, look: None, wakes_at: None });
                self.wake_client(self.machines.len() - 1);
            }
        }
    }

    /// A clock that is a little wrong in every way, or by years.
    pub fn some_clock(&mut self) -> Clock {
        let base_ms = self.rng.below(1 << 40);
        let speed = 950_000 + self.rng.below(100_000);
        let most_ms = if self.rng.chance(1, 8) { YEARS_MS } else { 20_000 };
        let wrong_ms = self.some_difference(most_ms);
        Clock::new(self.now_us, base_ms, speed, wrong_ms)
    }

    /// By how much a wall clock is wrong: nearly right, once the faults are over.
    pub fn some_difference(&mut self, most_ms: u64) -> i64 {
        let most_ms = if self.faults.until == 0 { 200 } else { most_ms };
        self.rng.below(most_ms + 1) as i64 - (most_ms / 2) as i64
    }

    pub fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now_us, what);
    }

    /// Something happened to a server.
    pub fn note_of(&mut self, place: usize, what: &str) {
        let name = self.servers[place].name.clone();
        self.note(format_args!("{name} {what}"));
    }

    /// Has an event happen in `after` microseconds.
    pub fn at(&mut self, after: Us, event: Event) {
        self.last_event += 1;
        self.queue.push(Reverse((self.now_us + after, self.last_event)));
        self.events.insert(self.last_event, event);
    }

    /// Lets time pass until `until`, or until `done` says that it is enough.
    pub fn run(&mut self, until: Us, done: impl Fn(&World) -> bool) -> bool {
        let mut happened = 0u64;
        let mut at_once = (self.now_us, 0);
        while let Some(&Reverse((at, number))) = self.queue.peek() {
            if happened.is_multiple_of(16) && done(self) {
                return true;
            }
            if at > until {
                break;
            }
            happened += 1;
            at_once = if at == at_once.0 { (at, at_once.1 + 1) } else { (at, 0) };
            let stays = at_once.1 >= EVENTS_AT_ONCE;
            assert!(!stays, "{EVENTS_AT_ONCE} events happen at one instant:\n{}", self.waiting());
            self.queue.pop();
            self.now_us = at;
            let event = self.events.remove(&number).expect("each event happens once");
            self.happen(event);
        }
        self.now_us = self.now_us.max(until);
        done(self)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Turn(place) => self.turn(place),
            Event::Input { place, epoch, input } => self.input(place, epoch, input),
            Event::JobDone { place, epoch } => self.job_done(place, epoch),
            Event::SpareDone { place, epoch } => self.spare_done(place, epoch),
            Event::Start(place) => self.start(place),
            Event::Client(place) => {
                if self.machines[place].wakes_at == Some(self.now_us) {
                    self.machines[place].wakes_at = None;
                    self.drive(place, |client, now_ms, checker| client.pass(now_ms, checker));
                }
            }
            Event::Link { link, end } => self.link_arrives(link, end),
            Event::Wire { wire, end } => self.wire_arrives(wire, end),
            Event::Operator(place) => self.operator_acts(place),
            Event::Faults => self.inject_faults(),
            Event::Mend(mend) => self.mend(mend),
        }
    }

    // Servers.

    pub fn start(&mut self, place: usize) {
        let server = &mut self.servers[place];
        if server.runs() || server.dead {
            return;
        }
        let may_damage = self.unnoticed.is_none() && !self.servers[place].is_rolled_back;
        if may_damage && self.chance(self.faults.damage) {
            self.damage(place);
        }
        let seed = self.rng.next();
        let server = &mut self.servers[place];
        let started = server.start(&self.common, self.now_us, seed);
        self.on_started(place, &started);
    }

    /// A process was started, or could not be.
    fn on_started(&mut self, place: usize, started: &Started) {
        match started {
            Started::No => {
                self.counts.failed_starts += 1;
                self.note_of(place, "cannot start");
                let server = &mut self.servers[place];
                let (epoch, power) = (server.epoch, server.log_disk.crashed());
                server.epoch += 1;
                // The power was cut, or the disk has no room yet.
                self.restart_disks(place, power);
                self.server_is_gone(place, epoch, power);
                let after = (1 + self.rng.below(1_000)) * MS;
                return self.at(after, Event::Start(place));
            }
            Started::Removed => return self.is_removed(place),
            Started::OldCopy => return self.is_old_copy(place),
            Started::Runs => self.note_of(place, "starts"),
        }
        // The recovery was shorter than the instant at which it was to be cut.
        self.servers[place].log_disk.fail_no_more();
        self.servers[place].state_disk.fail_no_more();
        self.wake_server(place, 0);
    }

    /// A process takes part from now on.
    fn begins_part(&mut self, place: usize, had_file: bool) {
        let server = &mut self.servers[place];
        let waited = !server.took_part && !server.flags.is_empty() && had_file;
        server.begin_part(&self.common);
        let (id, has, term) = (server.id, server.kept.log.len(), server.kept.hard_state.term);
        self.note_of(place, &format!("takes part as {id} with {has} entries, term {term}"));
        self.counts.formed += u64::from(waited && self.common.forms);
        self.counts.restoring += u64::from(raft::is_damaged(self.servers[place].kept.copy));
        if let Some(first) = self.servers[place].first.take() {
            let term = self.servers[place].kept.log[0].term;
            self.checker.on_entry(1, term, &first);
        }
    }

    fn input(&mut self, place: usize, epoch: u64, input: Input) {
        let server = &mut self.servers[place];
        if server.epoch != epoch {
            return;
        }
        let Some(process) = &mut server.process else { return };
        process.inbox.push(input);
        let after = 5 + self.rng.below(100);
        self.wake_server(place, after);
    }

    /// Something for the process that runs now.
    pub fn tell(&mut self, place: usize, after: Us, input: Input) {
        let epoch = self.servers[place].epoch;
        self.at(after, Event::Input { place, epoch, input });
    }

    /// When the last look-up of a running process ends that is under way.
    pub fn look_ups_end(&self) -> Us {
        let is_look_up = |number: &u64| match self.events.get(number) {
            Some(Event::Input { place, epoch, input: Input::Found(..) }) => {
                let server = &self.servers[*place];
                server.runs() && server.epoch == *epoch
            }
            _ => false,
        };
        let look_ups = self.queue.iter().filter(|Reverse((_, number))| is_look_up(number));
        look_ups.map(|Reverse((at, _))| *at).max().unwrap_or(0)
    }

    pub fn wake_server(&mut self, place: usize, after: Us) {
        let server = &mut self.servers[place];
        let at = (self.now_us + after).max(server.paused_until);
        if server.turn_at.is_none_or(|turn_at| turn_at > at) {
            server.turn_at = Some(at);
            self.at(at - self.now_us, Event::Turn(place));
        }
    }

    fn turn(&mut self, place: usize) {
        let server = &mut self.servers[place];
        if server.turn_at != Some(self.now_us) {
            return;
        }
        server.turn_at = None;
        if server.paused_until > self.now_us {
            return self.wake_server(place, 0);
        }
        let now = server.now(self.now_us);
        let is_new = !server.takes_part;
        if is_new {
            self.may_crash_in_bootstrap(place);
        }
        let server = &mut self.servers[place];
        let before =
            server.replica().map(|replica| (replica.core().outline(), replica.state().applied()));
        let Some(process) = server.process.as_mut() else { return };
        let result = process.turn(now);
        check_lines(&std::mem::take(&mut process.lines));
        process.check_bounds();
        self.counts.lagging += std::mem::take(&mut process.lagging);
        let (acts, ended) = match result {
            Ok(done) => done,
            Err(end) => return self.process_ends(place, end),
        };
        let server = &mut self.servers[place];
        if is_new {
            server.log_disk.fail_no_more();
            server.state_disk.fail_no_more();
            server.note_first(&self.common);
            if server.replica().is_some() {
                self.begins_part(place, before.is_none());
            }
        }
        self.tell_progress(place, before);
        self.look_at(place);
        for act in acts {
            self.act(place, act);
        }
        if ended == Ended::Stopped {
            self.counts.stopped += 1;
            self.stopped_as = self.servers[place].core().map(|core| core.role());
            self.note_of(place, "has stopped");
            return self.end_process(place, false);
        }
        self.wake_by_clock(place);
        self.look_at_loss();
    }

    /// A server that finds out what it is writes in the turn itself.
    fn may_crash_in_bootstrap(&mut self, place: usize) {
        let crashes = self.chance(self.faults.crash_in_forming);
        let at = self.rng.below(8) as usize;
        let on_log = self.rng.chance(2, 3);
        let server = &mut self.servers[place];
        let disk = if on_log { &server.log_disk } else { &server.state_disk };
        if crashes {
            disk.fail_at(disk.operations().len() + at, Fault::Crash);
        }
    }

    fn tell_progress(&mut self, place: usize, before: Option<(raft::Outline, u64)>) {
        let server = &self.servers[place];
        let (id, Some(replica)) = (server.id, server.replica()) else { return };
        let (is, applied) = (replica.core().outline(), replica.state().applied());
        let Some((was, applied_before)) = before else { return };
        let applied_new = applied > applied_before && applied.is_multiple_of(4);
        let digest = applied_new.then(|| replica.state().digest());
        if (was.role, was.hard_state.term) != (is.role, is.hard_state.term) {
            let (role, term, last) = (is.role, is.hard_state.term, is.last_index);
            self.note(format_args!("{id} is {role} in term {term}, log to {last}"));
        }
        if is.commit > was.commit {
            self.note(format_args!("{id} knows {} committed, applied {applied}", is.commit));
        }
        if let Some(digest) = digest {
            self.checker.on_applied(id, applied, digest);
        }
    }

    /// A process ends by itself.
    fn process_ends(&mut self, place: usize, end: End) {
        let is_disk = match &end {
            End::OldCopy { .. } => return self.is_refused_as_old_copy(place, end),
            End::Disk(_) | End::State(_) | End::Damaged(_) => true,
            End::Recover(RecoverError::Io { .. }) => true,
            _ => false,
        };
        let server = &mut self.servers[place];
        assert!(is_disk, "{}: {end}", server.name);
        let has_crashed = server.log_disk.crashed() || server.state_disk.crashed();
        if !server.takes_part {
            server.note_first(&self.common);
            self.counts.forming_crashes += u64::from(has_crashed);
        }
        self.note_of(place, &format!("ends: {end}"));
        self.end_process(place, has_crashed);
    }

    fn look_at(&mut self, place: usize) {
        let before = self.checker.last();
        self.checker.on_turn(self.now_us, place, &self.servers);
        if self.checker.last() > before && self.rng.chance(1, 40) {
            self.check_disks();
        }
    }

    fn wake_by_clock(&mut self, place: usize) {
        let server = &mut self.servers[place];
        if let Some(next_ms) = server.process.as_mut().and_then(|process| process.next_ms()) {
            let at = server.clock.when_us(next_ms).max(self.now_us + 10);
            self.wake_server(place, at - self.now_us);
        }
    }

    fn act(&mut self, place: usize, act: Act) {
        match act {
            Act::Write(batch) => {
                self.checker.on_written(&batch);
                self.give_job(place, Job::Batch(batch));
            }
            Act::Save(file) => self.give_job(place, Job::Save(file)),
            Act::MakeSpare(request) => {
                self.servers[place].spare = Some(request);
                self.begin_spare(place, 0);
            }
            Act::Hash(job) => {
                let after = (1 + self.rng.below(30)) * MS;
                self.tell(place, after, Input::Hashed(hasher::perform(job)));
            }
            Act::Fetch { id, locations } => {
                let fails = self.rng.chance(1, 20);
                let payloads = if fails { None } else { self.read(place, &locations) };
                let after = 1 + self.rng.below(20 * MS);
                self.tell(place, after, Input::Fetched(id, payloads));
            }
            Act::Send(Line::Link(link), bytes) => self.server_sends(link, bytes),
            Act::Close(Line::Link(link)) => self.server_closes(link),
            Act::Dial { key, address } => {
                let holder = Holder::Server(place, self.servers[place].epoch);
                let wire = self.dial_at(holder, names::place_at(address));
                self.tell(place, 0, Input::Dialed(wire, key));
            }
            Act::LookUp(name) => self.look_up(place, name),
            Act::Send(Line::Wire(wire), bytes) => {
                let holder = Holder::Server(place, self.servers[place].epoch);
                self.wire_sends(wire, holder, bytes);
            }
            Act::Close(Line::Wire(wire)) => {
                let holder = Holder::Server(place, self.servers[place].epoch);
                self.wire_ends(wire, holder);
            }
        }
    }

    /// Ends a process at once; what its threads had under way is done in part.
    pub fn end_process(&mut self, place: usize, power: bool) {
        let server = &mut self.servers[place];
        server.process = None;
        server.takes_part = false;
        server.turn_at = None;
        let epoch = server.epoch;
        server.epoch += 1;
        self.end_jobs(place);
        self.restart_disks(place, power);
        self.note_of(place, if power { "is gone, and its power" } else { "is gone" });
        self.server_is_gone(place, epoch, power);
        let after = match self.rng.below(4) {
            0 => self.rng.below(20),
            1 => self.rng.below(400),
            _ => self.rng.below(6_000),
        };
        self.at(after * MS, Event::Start(place));
    }

    pub fn is_quiet(&self) -> bool {
        self.machines.iter().all(|machine| machine.client.is_done())
    }

    // Disks: see `disks.rs`; the network: see `network.rs`.

    pub fn begin_spare(&mut self, place: usize, after: Us) {
        let epoch = self.servers[place].epoch;
        let takes = after + 1_000 + self.rng.below(self.faults.sync_us * 4);
        self.at(takes, Event::SpareDone { place, epoch });
    }

    fn spare_done(&mut self, place: usize, epoch: u64) {
        let server = &mut self.servers[place];
        if server.epoch != epoch || !server.runs() {
            return;
        }
        let Some(request) = server.spare.clone() else { return };
        let request: SpareRequest = request;
        let state = chatctl::wal::make_spare(&mut server.log_disk, &request);
        match &state {
            SpareState::Ready => server.spare = None,
            SpareState::Failed(_) => {
                self.note_of(place, "has no room for a segment");
                self.begin_spare(place, chatctl::limits::WAL_SPARE_RETRY_MS * MS);
            }
        }
        self.input(place, epoch, Input::Disk(Done::Spare(state)));
    }

    // Clients.

    /// Has a client do something, then does what it wants until it wants nothing.
    pub fn drive(&mut self, place: usize, what: impl FnOnce(&mut dyn Client, u64, &mut Checker)) {
        let now_ms = self.now_us / MS;
        what(self.machines[place].client.as_mut(), now_ms, &mut self.checker);
        let mut rounds = Rounds::new(WISHES_AT_ONCE, "a client wants nothing more");
        loop {
            rounds.count();
            let wishes = self.machines[place].client.wishes(now_ms, &mut self.checker);
            if wishes.is_empty() {
                break;
            }
            for wish in wishes {
                match wish {
                    Wish::Connect(address) => self.client_connects(place, &address),
                    Wish::Close => self.client_closes(place),
                    Wish::Send(bytes) => self.client_sends(place, bytes),
                    Wish::Look(address) => self.client_looks(place, &address),
                    Wish::EndLook => self.client_ends_look(place),
                }
            }
        }
        self.wake_client(place);
    }

    fn wake_client(&mut self, place: usize) {
        let Some(next_ms) = self.machines[place].client.next_ms() else { return };
        let at = (next_ms.saturating_mul(MS)).max(self.now_us + 100);
        if self.machines[place].wakes_at.is_none_or(|wakes_at| wakes_at > at) {
            self.machines[place].wakes_at = Some(at);
            self.at(at - self.now_us, Event::Client(place));
        }
    }
}

/// No byte changes on its way here, and none is left out.
fn check_lines(lines: &[Told]) {
    let garbled = [Reason::Malformed, Reason::Code, Reason::Sequence].map(|r| r.to_string());
    for line in lines {
        let is_garbled = garbled.iter().any(|why| line.text.contains(why));
        assert!(!is_garbled, "{}", line.text);
    }
}
