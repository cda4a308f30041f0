//! A cluster, its clients and everything between them, in virtual time: a queue of events, each of
//! which happens at its instant and may bring others about. Whatever is left to chance comes from
//! one generator, so that one seed is one history.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use chatctl::auth::hasher;
use chatctl::raft::{self, Message, ServerId};
use chatctl::wal::{SpareRequest, SpareState};

use super::chatter::Chatter;
use super::checker::Checker;
use super::client::{Client, Wish};
use super::clock::{Clock, Us};
use super::counts::Counts;
use super::network::{Link, LinkEnd};
use super::process::{Act, Input, LinkId};
use super::server::{Common, Job, Server};
use super::trace::Trace;
use super::versions::NEW;
use super::weather::Weather;
use super::wild::Wild;
use crate::support::Rng;

pub const MS: Us = 1_000;

/// Something that happens at an instant.
pub enum Event {
    /// A server's next turn.
    Turn(usize),
    /// A message between servers arrives.
    Peer {
        from: ServerId,
        to: usize,
        message: Message,
    },
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
    /// The next time that something may go wrong.
    Weather,
    /// A thing that went wrong goes right again.
    Mend(super::weather::Mend),
}

/// One client machine and the connection that its process has.
pub struct Machine {
    pub client: Box<dyn Client>,
    pub link: Option<LinkId>,
    wakes_at: Option<Us>,
}

/// One history.
pub struct World {
    pub now_us: Us,
    pub rng: Rng,
    pub common: Common,
    pub weather: Weather,
    pub servers: Vec<Server>,
    pub machines: Vec<Machine>,
    pub links: BTreeMap<LinkId, Link>,
    pub last_link: LinkId,
    /// Directions between servers in which nothing goes.
    pub cut: BTreeSet<(usize, usize)>,
    /// Clients and servers between which nothing goes.
    pub client_cut: BTreeSet<(usize, usize)>,
    pub checker: Checker,
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
            long_messages,
        };
        let weather = Weather::new(&mut rng);
        let mut world = World {
            now_us: 0,
            weather,
            servers: Vec::new(),
            machines: Vec::new(),
            links: BTreeMap::new(),
            last_link: 0,
            cut: BTreeSet::new(),
            client_cut: BTreeSet::new(),
            checker: Checker::new(servers as usize, common.id_window),
            counts: Counts { histories: 1, ..Counts::default() },
            trace: Trace::new(seed, tells_all),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            last_event: 0,
            common,
            rng,
        };
        world.trace.note(0, format_args!("{:?}", world.common));
        world.trace.note(0, format_args!("{:?}", world.weather));
        for id in (1..=servers).map(ServerId) {
            let clock = world.some_clock();
            let mut server = Server::new(id, &mut world.rng, clock);
            if servers > 1 {
                world.checker.on_written(&server.form(&world.common));
            }
            world.servers.push(server);
            let at = world.rng.below(300) * MS;
            world.at(at, Event::Start(id.0 as usize - 1));
        }
        world.begin_with_old_versions();
        world.add_clients(servers);
        world.at(2_000 * MS, Event::Weather);
        world
    }

    fn add_clients(&mut self, servers: u32) {
        let (chatters, wilds) = (1 + self.rng.below(3) as usize, self.rng.below(3) as usize);
        let addresses: Vec<String> =
            (1..=servers).map(|id| super::server::address_of(ServerId(id))).collect();
        let people = (0..chatters).map(|number| format!("person{number}"));
        let names: Vec<String> = people.chain((0..wilds).map(|n| format!("wild{n}"))).collect();
        for (place, name) in names.iter().enumerate() {
            let (list, all) = (addresses.clone(), names.clone());
            // Some people have two machines.
            let machines = 1 + usize::from(place < chatters && self.rng.chance(1, 3));
            for _ in 0..machines {
                let seed = self.rng.next();
                let client: Box<dyn Client> = match place < chatters {
                    true => {
                        let long = self.common.long_messages;
                        Box::new(Chatter::new(name, list.clone(), all.clone(), long, seed))
                    }
                    false => Box::new(Wild::new(name, list.clone(), all.clone(), seed)),
                };
                self.machines.push(Machine { client, link: None, wakes_at: None });
                self.wake_client(self.machines.len() - 1);
            }
        }
    }

    /// A clock that is a little wrong in every way.
    pub fn some_clock(&mut self) -> Clock {
        let base_ms = self.rng.below(1 << 40);
        let speed = 950_000 + self.rng.below(100_000);
        let wrong_ms = self.rng.below(20_000) as i64 - 10_000;
        Clock::new(self.now_us, base_ms, speed, wrong_ms)
    }

    pub fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now_us, what);
    }

    /// Something happened to a server.
    pub fn note_of(&mut self, place: usize, what: &str) {
        let id = self.servers[place].id;
        self.note(format_args!("{id} {what}"));
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
        while let Some(&Reverse((at, number))) = self.queue.peek() {
            if happened.is_multiple_of(16) && done(self) {
                return true;
            }
            if at > until {
                break;
            }
            happened += 1;
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
            Event::Peer { from, to, message } => self.peer_arrives(from, to, message),
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
            Event::Weather => self.bad_weather(),
            Event::Mend(mend) => self.mend(mend),
        }
    }

    // Servers.

    pub fn start(&mut self, place: usize) {
        let server = &mut self.servers[place];
        if server.runs() || server.dead {
            return;
        }
        self.may_upgrade(place);
        // The version before does not start on a damaged log.
        if self.servers[place].version == NEW && self.chance(self.weather.damage) {
            self.damage(place);
        }
        let seed = self.rng.next();
        let server = &mut self.servers[place];
        let had = server.kept.log.len();
        let started = server.start(&self.common, self.now_us, seed);
        let (id, has, state) = (server.id, server.kept.log.len(), server.kept.hard_state);
        if !started {
            self.counts.failed_starts += 1;
            self.note(format_args!("{id} cannot start"));
            // The power was cut, or the disk has no room yet.
            self.restart_disks(place, self.servers[place].log_disk.crashed());
            let after = (1 + self.rng.below(1_000)) * MS;
            return self.at(after, Event::Start(place));
        }
        // The recovery was shorter than the instant at which it was to be cut.
        self.servers[place].log_disk.fail_no_more();
        let term = state.term;
        self.note(format_args!("{id} starts with {has} entries ({had} known), term {term}"));
        self.counts.restoring += u64::from(raft::is_damaged(self.servers[place].kept.copy));
        self.look_at(place);
        self.wake_server(place, 0);
        for peer in 0..self.servers.len() {
            if self.servers[peer].runs() {
                let after = self.rng.below(100 * MS);
                self.connect(place, peer, after);
            }
        }
    }

    fn input(&mut self, place: usize, epoch: u64, input: Input) {
        let server = &mut self.servers[place];
        let Some(process) = server.process.as_mut().filter(|_| server.epoch == epoch) else {
            return;
        };
        process.inbox.push(input);
        let after = 5 + self.rng.below(100);
        self.wake_server(place, after);
    }

    /// Something for the process that runs now.
    pub fn tell(&mut self, place: usize, after: Us, input: Input) {
        let epoch = self.servers[place].epoch;
        self.at(after, Event::Input { place, epoch, input });
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
        let (now, id) = (server.now(self.now_us), server.id);
        let Some(process) = server.process.as_mut() else { return };
        let was = process.service.replica.core().outline();
        let applied_before = process.service.replica.state().applied();
        let result = process.turn(now);
        let replica = &process.service.replica;
        let (is, applied) = (replica.core().outline(), replica.state().applied());
        let applied_new = applied > applied_before && applied.is_multiple_of(4);
        let digest = applied_new.then(|| replica.state().digest());
        if (was.role, was.hard_state.term) != (is.role, is.hard_state.term) {
            let (role, term, last) = (is.role, is.hard_state.term, is.last_index);
            self.note(format_args!("{id} is {role} in term {term}, log to {last}"));
        }
        if is.commit > was.commit {
            self.note(format_args!("{id} knows {} committed, applied {applied}", is.commit));
        }
        let acts = match result {
            Ok(acts) => acts,
            Err(stop) => {
                self.note(format_args!("{id} ends: {stop:?}"));
                return self.end_process(place, false);
            }
        };
        if let Some(digest) = digest {
            self.checker.on_applied(id, applied, digest);
        }
        if let Some(process) = &mut self.servers[place].process {
            self.counts.lagging += std::mem::take(&mut process.lagging);
        }
        self.look_at(place);
        for act in acts {
            self.act(place, act);
        }
        self.wake_by_clock(place);
    }

    fn look_at(&mut self, place: usize) {
        let before = self.checker.last();
        self.checker.on_turn(place, &self.servers);
        if self.checker.last() > before && self.rng.chance(1, 40) {
            self.check_disks();
        }
    }

    fn wake_by_clock(&mut self, place: usize) {
        let server = &self.servers[place];
        let Some(process) = &server.process else { return };
        if let Some(next_ms) = process.next_ms() {
            let at = server.clock.when_us(next_ms).max(self.now_us + 10);
            self.wake_server(place, at - self.now_us);
        }
    }

    fn act(&mut self, place: usize, act: Act) {
        match act {
            Act::Send(outgoing) => self.send_to_peer(place, outgoing),
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
                let payloads = self.read(place, &locations);
                let is_cached = self.rng.chance(3, 4);
                let after = 1 + self.rng.below(if is_cached { 10 } else { 20 * MS });
                self.tell(place, after, Input::Fetched { id, payloads });
            }
            Act::Provide { wanted, locations } => {
                let fails = self.rng.chance(1, 10);
                let payloads = if fails { None } else { self.read(place, &locations) };
                let after = 1 + self.rng.below(10 * MS);
                let payloads = payloads.unwrap_or_default();
                self.tell(place, after, Input::Provided { wanted, payloads });
            }
            Act::Down { link, bytes } => self.server_sends(link, bytes),
            Act::Close(link) => self.server_closes(link),
        }
    }

    /// Ends a process at once; what its threads had under way is done in part.
    pub fn end_process(&mut self, place: usize, power: bool) {
        let server = &mut self.servers[place];
        server.process = None;
        server.turn_at = None;
        let (id, epoch) = (server.id, server.epoch);
        server.epoch += 1;
        self.end_jobs(place);
        self.restart_disks(place, power);
        self.note(format_args!("{id} is gone{}", if power { ", and its power" } else { "" }));
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
        let takes = after + 1_000 + self.rng.below(self.weather.sync_us * 4);
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
                let id = server.id;
                self.note(format_args!("{id} has no room for a segment"));
                self.begin_spare(place, chatctl::limits::WAL_SPARE_RETRY_MS * MS);
            }
        }
        self.input(place, epoch, Input::Spare(state));
    }

    // Clients.

    /// Has a client do something, then does what it wants until it wants nothing.
    pub fn drive(&mut self, place: usize, what: impl FnOnce(&mut dyn Client, u64, &mut Checker)) {
        let now_ms = self.now_us / MS;
        what(self.machines[place].client.as_mut(), now_ms, &mut self.checker);
        loop {
            let wishes = self.machines[place].client.wishes(now_ms, &mut self.checker);
            if wishes.is_empty() {
                break;
            }
            for wish in wishes {
                match wish {
                    Wish::Connect(address) => self.client_connects(place, &address),
                    Wish::Close => self.client_closes(place),
                    Wish::Send(bytes) => self.client_sends(place, bytes),
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
