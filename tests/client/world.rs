//! The agent on a simulated disk, the model cluster, and the network between them, in virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use chatctl::client::agent::Agent;
use chatctl::client::session::{Config, Event, Output};
use chatctl::client::store::journal::Record;
use chatctl::client::store::outbox::{Outbox, file_name};
use chatctl::protocol::framing::Codec;

use super::fake::{Cluster, Connection, ME, PASSWORD};
use crate::support::bounded::Rounds;
use crate::wal::sim_disk::SimDisk;

/// One client process after the other on one model cluster.
pub struct World {
    pub now_ms: u64,
    pub cluster: Cluster,
    pub agent: Agent<SimDisk>,
    /// The client's folder.
    disk: SimDisk,
    pub link: Option<Connection>,
    /// The connection of a look, and the servers that were asked.
    pub look: Option<Connection>,
    pub asked: Vec<String>,
    /// Bytes of the client that the server has not got yet.
    pub sent: VecDeque<u8>,
    pub events: Vec<Event>,
    pub connects: Vec<String>,
    /// The tests' numbers of messages, by their ids; events have the number instead of the id.
    pub numbers: BTreeMap<u128, u128>,
    pub restarts: u64,
}

impl World {
    pub fn new(cluster: Cluster) -> World {
        let disk = SimDisk::new(cluster.seed);
        let agent = agent_on(&disk, config(&cluster), 0);
        World {
            now_ms: 0,
            cluster,
            agent,
            disk,
            link: None,
            look: None,
            asked: Vec::new(),
            sent: VecDeque::new(),
            events: Vec::new(),
            connects: Vec::new(),
            numbers: BTreeMap::new(),
            restarts: 0,
        }
    }

    /// Logged in and caught up at the first of so many servers, without faults.
    pub fn idle(servers: usize, seed: u64) -> World {
        let mut cluster = Cluster::new(seed, servers);
        cluster.faults = false;
        let mut world = World::new(cluster);
        world.drain();
        world.calm();
        world.events.clear();
        world
    }

    /// Another process goes on from what is on the disk, and from these lines behind it.
    pub fn start(&mut self, config: Config, lines: &[Record<'_>]) {
        self.disk.restart_process();
        let mut file = self.disk.content(&file_name(0));
        lines.iter().for_each(|line| line.write(&mut file));
        self.disk.set_content(&file_name(0), &file);
        self.agent = agent_on(&self.disk, config, self.now_ms);
        self.drain();
    }

    /// Sends a message, which the test knows by this number.
    pub fn send(&mut self, to: &str, body: &str, number: u128) {
        let text = (to.to_string(), body.to_string());
        let taken = self.agent.send(self.now_ms, vec![text]);
        self.numbers.insert(taken.expect("the outbox has room")[0], number);
        self.drain();
    }

    /// The attempts at a message: its text, and the seq that was known then.
    pub fn attempts(&self, number: u128) -> &[(String, u64)] {
        let (id, _) =
            self.numbers.iter().find(|(_, known)| **known == number).expect("it was sent");
        &self.cluster.sends_seen[id]
    }

    /// Everything up to there has been shown, and is noted.
    pub fn cursor(&self) -> Option<u64> {
        self.agent.outbox().kept().cursor
    }

    /// The test's number instead of the id.
    fn numbered(&self, mut event: Event) -> Event {
        let id = match &mut event {
            Event::Sent { id, .. } => id,
            Event::Failed { draft, .. } => &mut draft.id,
            _ => return event,
        };
        *id = self.numbers.get(id).copied().unwrap_or(*id);
        event
    }

    /// Does what the agent wants, and sees what it shows.
    pub fn drain(&mut self) {
        let mut rounds = Rounds::new(100_000, "the agent wants nothing more");
        loop {
            rounds.count();
            while let Some(output) = self.agent.poll_output() {
                rounds.count();
                match output {
                    Output::Connect(address) => self.connect(&address),
                    Output::Close => self.cut(),
                    Output::Look(address) => self.look(&address),
                    Output::EndLook => self.look = None,
                    Output::Event(event) => self.events.push(self.numbered(event)),
                }
            }
            self.agent.shown().expect("the disk takes it");
            let bytes = self.agent.outgoing();
            if bytes.is_empty() || self.link.is_none() {
                return;
            }
            self.sent.extend(bytes);
            let taken = bytes.len();
            self.agent.wrote(self.now_ms, taken);
        }
    }

    fn connect(&mut self, address: &str) {
        self.cut();
        self.connects.push(address.to_string());
        let server = self.cluster.addresses.iter().position(|known| known == address);
        let refused = self.cluster.faults && self.cluster.rng.chance(1, 6);
        match server {
            Some(server) if !refused && !self.cluster.dead.contains(&server) => {
                self.link = Some(Connection::new(server));
                self.agent.handle_connected(self.now_ms);
            }
            _ => self.agent.handle_closed(self.now_ms, "connection refused"),
        }
    }

    /// Another server is asked; it answers when it is looked at.
    fn look(&mut self, address: &str) {
        self.asked.push(address.to_string());
        let server = self.cluster.addresses.iter().position(|known| known == address);
        let refused = self.cluster.faults && self.cluster.rng.chance(1, 6);
        match server {
            Some(server) if !refused && !self.cluster.dead.contains(&server) => {
                let mut look = Connection::new(server);
                look.receive(&mut self.cluster, &self.agent.look_request());
                self.look = Some(look);
            }
            _ => self.agent.handle_look_closed(self.now_ms),
        }
    }

    /// What the server that is asked says arrives.
    pub fn carry_look(&mut self) {
        let Some(look) = &mut self.look else { return };
        look.work(&mut self.cluster);
        let bytes: Vec<u8> = look.output.drain(..).collect();
        self.agent.handle_look_received(self.now_ms, &bytes);
        self.drain();
    }

    /// The connection is gone, with all that was under way.
    pub fn cut(&mut self) {
        self.link = None;
        self.sent.clear();
    }

    /// The network loses the connection, and tells the client.
    pub fn drop_connection(&mut self) {
        self.cut();
        self.agent.handle_closed(self.now_ms, "connection reset");
        self.drain();
    }

    /// Moves up to `count` bytes to the server.
    pub fn carry_up(&mut self, count: usize) {
        let count = count.min(self.sent.len());
        let bytes: Vec<u8> = self.sent.drain(..count).collect();
        if let Some(link) = &mut self.link {
            link.receive(&mut self.cluster, &bytes);
        }
    }

    /// Moves up to `count` bytes to the client.
    pub fn carry_down(&mut self, count: usize) {
        let Some(link) = &mut self.link else {
            return;
        };
        let count = count.min(link.output.len());
        let bytes: Vec<u8> = link.output.drain(..count).collect();
        if bytes.is_empty() && !link.closing {
            return;
        }
        let ends = link.closing && link.output.is_empty();
        self.agent.handle_received(self.now_ms, &bytes);
        self.drain();
        if ends && self.link.as_ref().is_some_and(|link| link.closing) {
            self.drop_connection();
        }
    }

    /// Somebody (or another session of the account) sends a message.
    pub fn others_send(&mut self, from: &str, to: &str, body: &str) {
        let id = u128::from(self.cluster.rng.next()) << 32;
        let stored = self.cluster.store(from, to, id, body);
        if let Some(link) = &mut self.link {
            link.push(&mut self.cluster, &stored);
        }
    }

    /// kill -9: a new process with what is on disk.
    pub fn restart(&mut self) {
        self.cut();
        self.look = None;
        self.restarts += 1;
        let config = Config { seed: self.restarts, ..config(&self.cluster) };
        self.start(config, &[]);
    }

    /// Lets time pass up to the session's next deadline.
    pub fn pass_time(&mut self, most_ms: u64) {
        let deadline = self.agent.deadline().unwrap_or(u64::MAX);
        self.now_ms = deadline.min(self.now_ms + most_ms).max(self.now_ms);
        self.agent.handle_tick(self.now_ms, self.now_ms);
        self.drain();
    }

    /// Runs without faults until nothing is left to do.
    pub fn calm(&mut self) {
        self.cluster.faults = false;
        self.cluster.electing = false;
        for _ in 0..20_000 {
            if let Some(link) = &mut self.link {
                link.catch_up();
                link.work(&mut self.cluster);
            }
            self.carry_up(usize::MAX);
            self.carry_down(usize::MAX);
            self.carry_look();
            let quiet = self.link.is_some() && quiet_line(&self.link);
            let done = self.agent.session.waiting() == 0 && self.agent.session.is_idle();
            if quiet && done && self.agent.session.is_synced() && self.sent.is_empty() {
                return;
            }
            if quiet_line(&self.link) && self.sent.is_empty() {
                self.pass_time(60_000);
            }
        }
        panic!("no end: {:?} waiting {}", self.agent.session.state(), self.agent.session.waiting());
    }
}

/// Nothing is on its way to the client.
fn quiet_line(link: &Option<Connection>) -> bool {
    link.as_ref().is_none_or(|link| link.output.is_empty())
}

pub fn config(cluster: &Cluster) -> Config {
    Config {
        servers: cluster.addresses.clone(),
        user: ME.to_string(),
        codec: Codec::Binary,
        create: false,
        password: Some(PASSWORD.to_string()),
        token: None,
        cluster: 0,
        epoch_ms: 0,
        cursor: None,
        own_recent: Vec::new(),
        follow: true,
        seed: cluster.seed,
    }
}

fn agent_on(disk: &SimDisk, config: Config, now_ms: u64) -> Agent<SimDisk> {
    let opened = Outbox::open(disk.clone(), Path::new(""), 0);
    Agent::new(config, opened.expect("the disk is sound").0, now_ms)
}
