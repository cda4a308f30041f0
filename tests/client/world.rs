//! The session, the model cluster, and the network between them, in virtual time.

use std::collections::VecDeque;

use chatctl::client::session::{Config, Draft, Event, Output, Session};
use chatctl::protocol::framing::Codec;

use super::fake::{Cluster, Connection, ME, PASSWORD};
use crate::support::bounded::Rounds;

/// One client process after the other on one model cluster.
pub struct World {
    pub now_ms: u64,
    pub cluster: Cluster,
    pub session: Session,
    pub link: Option<Connection>,
    /// The connection of a look, and the servers that were asked.
    pub look: Option<Connection>,
    pub asked: Vec<String>,
    /// Bytes of the client that the server has not got yet.
    pub sent: VecDeque<u8>,
    pub events: Vec<Event>,
    pub connects: Vec<String>,
    /// What a client keeps on disk.
    pub outbox: Vec<Draft>,
    pub cursor: Option<u64>,
    pub token: Option<String>,
    pub acknowledged: Vec<(u64, u128)>,
    pub restarts: u64,
}

impl World {
    pub fn new(cluster: Cluster) -> World {
        let session = Session::new(config(&cluster), 0);
        World {
            now_ms: 0,
            cluster,
            session,
            link: None,
            look: None,
            asked: Vec::new(),
            sent: VecDeque::new(),
            events: Vec::new(),
            connects: Vec::new(),
            outbox: Vec::new(),
            cursor: None,
            token: None,
            acknowledged: Vec::new(),
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

    /// Puts a message on "disk", then into the session.
    pub fn send(&mut self, to: &str, body: &str, id: u128) {
        let (known, cluster) = (self.session.known(), self.session.cluster());
        let draft = Draft {
            id,
            to: to.to_string(),
            body: body.to_string(),
            known,
            cluster,
            written_ms: self.now_ms,
        };
        self.outbox.push(draft.clone());
        self.session.send(self.now_ms, draft).expect("the outbox has room");
        self.drain();
    }

    /// Does what the session wants, and keeps what a client keeps.
    pub fn drain(&mut self) {
        let mut rounds = Rounds::new(100_000, "the session wants nothing more");
        while let Some(output) = self.session.poll() {
            rounds.count();
            match output {
                Output::Connect(address) => self.connect(&address),
                Output::Close => self.cut(),
                Output::Look(address) => self.look(&address),
                Output::EndLook => self.look = None,
                Output::Event(event) => {
                    match &event {
                        Event::Sent { id, seq, .. } => {
                            self.outbox.retain(|draft| draft.id != *id);
                            self.acknowledged.push((*seq, *id));
                        }
                        Event::Failed { draft, .. } => self.outbox.retain(|d| d.id != draft.id),
                        Event::Token(token) => self.token = Some(token.clone()),
                        _ => {}
                    }
                    self.events.push(event);
                }
            }
        }
        self.cursor = self.session.cursor();
        let taken = self.session.outgoing().len();
        if self.link.is_some() {
            let bytes = self.session.outgoing().to_vec();
            self.sent.extend(bytes);
            if taken > 0 {
                self.session.wrote(self.now_ms, taken);
                self.drain();
            }
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
                self.session.connected(self.now_ms);
            }
            _ => self.session.closed(self.now_ms, "connection refused"),
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
                look.receive(&mut self.cluster, &self.session.look_request());
                self.look = Some(look);
            }
            _ => self.session.look_closed(self.now_ms),
        }
    }

    /// What the server that is asked says arrives.
    pub fn carry_look(&mut self) {
        let Some(look) = &mut self.look else { return };
        look.work(&mut self.cluster);
        let bytes: Vec<u8> = look.output.drain(..).collect();
        self.session.look_received(self.now_ms, &bytes);
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
        self.session.closed(self.now_ms, "connection reset");
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
        self.session.received(self.now_ms, &bytes);
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
        let mut config = config(&self.cluster);
        config.seed = self.restarts;
        config.token = self.token.clone();
        config.cluster = if self.cursor.is_some() { self.cluster.id } else { 0 };
        config.cursor = self.cursor;
        config.own_recent = self.acknowledged.clone();
        self.session = Session::new(config, self.now_ms);
        for draft in self.outbox.clone() {
            self.session.send_again(self.now_ms, draft).expect("it had room before");
        }
        self.drain();
    }

    /// Lets time pass up to the session's next deadline.
    pub fn pass_time(&mut self, most_ms: u64) {
        let deadline = self.session.deadline().unwrap_or(u64::MAX);
        self.now_ms = deadline.min(self.now_ms + most_ms).max(self.now_ms);
        self.session.tick(self.now_ms);
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
            let done = self.session.waiting() == 0 && self.session.is_idle();
            if quiet && done && self.session.is_synced() && self.sent.is_empty() {
                return;
            }
            if quiet_line(&self.link) && self.sent.is_empty() {
                self.pass_time(60_000);
            }
        }
        panic!("no end: {:?} waiting {}", self.session.state(), self.session.waiting());
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
