//! Cores with disks and a network between them, in memory, where each step is the test's to take.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chatctl::raft::{
    ChangeError, Config, Entry, HardState, Mark, Members, Membership, Message, Output, Payload,
    ProposeError, Raft, ReadGrant, Restored, Role, RoleChange, Run, ServerId, Wanted, next_damaged,
};

use super::checker::Checker;

/// Commands in tests are text.
pub fn command(text: &str) -> Arc<[u8]> {
    Arc::from(text.as_bytes())
}

/// A payload with a command.
pub fn payload(text: &str) -> Payload {
    Payload::Command(command(text))
}

/// A configuration's bytes are text too: `members 1 2 3 + 4`, non-voters behind the sign.
pub fn membership(voters: &[u32], nonvoters: &[u32]) -> Arc<Membership> {
    let list = |ids: &[u32]| ids.iter().map(|id| format!(" {id}")).collect::<String>();
    let bytes = format!("members{} +{}", list(voters), list(nonvoters)).into_bytes().into();
    let ids = |ids: &[u32]| ids.iter().copied().map(ServerId).collect();
    Arc::new(Membership { members: Members::new(ids(voters), ids(nonvoters)), bytes })
}

/// Proposes one command after the other, at one go; the first one's index.
pub fn propose_all(raft: &mut Raft, texts: &[&str]) -> Result<u64, ProposeError> {
    let indexes = texts.iter().map(|text| raft.propose(command(text)));
    Ok(indexes.collect::<Result<Vec<u64>, _>>()?[0])
}

/// One output's writes to the log.
struct Write {
    truncate_from: Option<u64>,
    append: Vec<Entry>,
    mark: Mark,
    /// The commit index that is stored beside them.
    commit: u64,
}

/// What a crash leaves, and what is on its way there.
#[derive(Default)]
pub struct Disk {
    pub hard_state: HardState,
    /// The number of the log's copy.
    pub copy: u64,
    /// What was in the log and is lost by damage, each time.
    pub lost: Vec<Vec<Entry>>,
    pub log: Vec<Entry>,
    pub commit: u64,
    writes: VecDeque<Write>,
    hard_states: VecDeque<HardState>,
    copies: VecDeque<u64>,
}

impl Disk {
    /// Writes that are not durable.
    pub fn waiting(&self) -> usize {
        self.writes.len() + self.hard_states.len() + self.copies.len()
    }

    /// Whether it has, or had before damage, this entry at its place.
    pub fn had(&self, entry: &Entry) -> bool {
        let logs = self.lost.iter().chain([&self.log]);
        logs.into_iter().any(|log| log.get(entry.index as usize - 1) == Some(entry))
    }

    fn write(&mut self, write: &Write) {
        if let Some(index) = write.truncate_from {
            self.log.truncate(index as usize - 1);
        }
        self.log.extend_from_slice(&write.append);
        self.commit = write.commit;
    }
}

/// One server.
pub struct Server {
    pub id: ServerId,
    pub disk: Disk,
    /// The driver's log: the disk's and what is on its way there.
    pub view: Vec<Entry>,
    /// What was applied since the start, all from index 1 on.
    pub applied: Vec<Entry>,
    pub fetches: VecDeque<Wanted>,
    pub grants: Vec<ReadGrant>,
    pub refused: Vec<u64>,
    pub changes: Vec<RoleChange>,
    raft: Option<Raft>,
    /// The least index that each read must be granted with.
    reads: BTreeMap<u64, u64>,
}

impl Server {
    /// The core of a server that runs.
    pub fn raft(&self) -> &Raft {
        self.raft.as_ref().expect("the server runs")
    }

    pub fn runs(&self) -> bool {
        self.raft.is_some()
    }

    pub fn is_primary(&self) -> bool {
        self.raft.as_ref().is_some_and(|raft| raft.role() == Role::Primary)
    }

    /// Payloads as text, `-` for a term's first entry.
    pub fn texts(entries: &[Entry]) -> Vec<String> {
        let text = |entry: &Entry| match entry.payload.bytes() {
            [] => "-".to_string(),
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        };
        entries.iter().map(text).collect()
    }
}

/// A message under way.
#[derive(Clone)]
pub struct Flight {
    pub from: ServerId,
    pub to: ServerId,
    pub message: Message,
}

/// All of it.
pub struct Cluster {
    pub now_ms: u64,
    pub servers: Vec<Server>,
    pub wire: Vec<Flight>,
    /// Links that lose everything.
    pub cut: BTreeSet<(ServerId, ServerId)>,
    pub checker: Checker,
    /// What happened, a line each, where somebody reads it.
    pub story: Option<Vec<String>>,
    configs: Vec<Config>,
    starts: u64,
    tickets: u64,
}

impl Cluster {
    /// Servers 1 to `count`, not elected.
    pub fn new(count: u32) -> Cluster {
        Cluster::with(count, |_| ())
    }

    /// The same, with other settings.
    pub fn with(count: u32, adjust: impl Fn(&mut Config)) -> Cluster {
        Cluster::with_spares(count, 0, adjust)
    }

    /// The same, and behind them so many servers that are no members yet.
    pub fn with_spares(count: u32, spares: u32, adjust: impl Fn(&mut Config)) -> Cluster {
        let voters: Vec<ServerId> = (1..=count).map(ServerId).collect();
        let all: Vec<ServerId> = (1..=count + spares).map(ServerId).collect();
        let config = |&id: &ServerId| {
            let mut config = Config::new(id, voters.clone(), u64::from(id.0));
            let nonvoters = if id.0 > count { vec![id] } else { Vec::new() };
            let members = Members::new(voters.clone(), nonvoters);
            config.membership = Arc::new(Membership { members, ..Membership::default() });
            adjust(&mut config);
            config
        };
        let configs: Vec<Config> = all.iter().map(config).collect();
        let server = |&id: &ServerId| Server {
            id,
            disk: Disk::default(),
            view: Vec::new(),
            applied: Vec::new(),
            fetches: VecDeque::new(),
            grants: Vec::new(),
            refused: Vec::new(),
            changes: Vec::new(),
            raft: None,
            reads: BTreeMap::new(),
        };
        let mut cluster = Cluster {
            now_ms: 0,
            servers: all.iter().map(server).collect(),
            wire: Vec::new(),
            cut: BTreeSet::new(),
            checker: Checker::default(),
            story: None,
            configs,
            starts: 0,
            tickets: 0,
        };
        all.iter().for_each(|&id| cluster.start(id));
        cluster
    }

    pub fn server(&self, id: u32) -> &Server {
        &self.servers[id as usize - 1]
    }

    pub fn raft(&self, id: u32) -> &Raft {
        self.server(id).raft()
    }

    fn at(&mut self, id: ServerId) -> &mut Server {
        &mut self.servers[id.0 as usize - 1]
    }

    /// Starts a server from what its disk has.
    pub fn start(&mut self, id: ServerId) {
        self.starts += 1;
        let mut config = self.configs[id.0 as usize - 1].clone();
        config.seed = config.seed.wrapping_add(self.starts << 32);
        let now_ms = self.now_ms;
        let server = self.at(id);
        let disk = &server.disk;
        let committed = disk.log[..disk.commit as usize].iter().rev();
        let membership = committed.filter_map(|entry| match &entry.payload {
            Payload::Members(membership) => Some(membership.clone()),
            _ => None,
        });
        if let Some(mut membership) = { membership }.next() {
            // Who was removed, or is not there yet, listens.
            if !membership.members.has(id) {
                let Members { voters, mut nonvoters } = membership.members.clone();
                nonvoters.push(id);
                Arc::make_mut(&mut membership).members = Members::new(voters, nonvoters);
            }
            config.membership = membership;
        }
        let mut runs: Vec<Run> = Vec::new();
        for entry in &disk.log {
            if runs.last().is_none_or(|run| run.term < entry.term) {
                runs.push(Run { first_index: entry.index, term: entry.term });
            }
        }
        let restored = Restored {
            hard_state: disk.hard_state,
            copy: disk.copy,
            runs,
            last_index: disk.log.len() as u64,
            tail: disk.log[disk.commit as usize..].to_vec(),
            commit: disk.commit,
        };
        server.view = disk.log.clone();
        server.applied = disk.log[..disk.commit as usize].to_vec();
        server.raft = Some(Raft::new(config, restored, now_ms).expect("a server starts"));
        self.carry_out(id);
    }

    /// The process dies, and with it what was not durable.
    pub fn crash(&mut self, id: ServerId) {
        let server = self.at(id);
        server.raft = None;
        server.disk.writes.clear();
        server.disk.hard_states.clear();
        server.disk.copies.clear();
        server.fetches.clear();
        server.reads.clear();
    }

    /// The log of a server that does not run is damaged: so many of its entries are left.
    pub fn damage(&mut self, id: ServerId, left: usize) {
        self.lose(id, left);
        let disk = &mut self.at(id).disk;
        disk.copy = next_damaged(disk.copy);
    }

    /// The disk of a server that does not run has lost the log's end, and nothing there tells: so many
    /// entries are left.
    pub fn lose(&mut self, id: ServerId, left: usize) {
        let server = self.at(id);
        assert!(server.raft.is_none(), "a process knows its log");
        let disk = &mut server.disk;
        disk.lost.push(disk.log.clone());
        disk.log.truncate(left);
        disk.commit = disk.commit.min(left as u64);
    }

    /// Gives an input to a server that runs, and carries out what it asks for.
    pub fn input<T>(&mut self, id: ServerId, act: impl FnOnce(&mut Raft, u64) -> T) -> Option<T> {
        let now_ms = self.now_ms;
        let result = self.at(id).raft.as_mut().map(|raft| act(raft, now_ms));
        if result.is_some() {
            self.carry_out(id);
        }
        result
    }

    /// Time passes, and one server notices.
    pub fn tick(&mut self, id: ServerId) {
        self.input(id, |raft, now_ms| raft.tick(now_ms));
    }

    /// Time passes for all.
    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        (1..=self.servers.len() as u32).for_each(|id| self.tick(ServerId(id)));
    }

    pub fn propose(&mut self, id: u32, texts: &[&str]) -> Result<u64, ProposeError> {
        let propose = |raft: &mut Raft, _| propose_all(raft, texts);
        self.input(ServerId(id), propose).expect("the server runs")
    }

    /// Proposes a configuration, once those that would have a vote were asked whether they answer.
    pub fn change(
        &mut self,
        id: u32,
        voters: &[u32],
        nonvoters: &[u32],
    ) -> Result<u64, ChangeError> {
        for _ in 0..100 {
            match self.try_change(id, voters, nonvoters) {
                Err(ChangeError::Asking) => self.settle_for(10),
                result => return result,
            }
        }
        panic!("after a second {voters:?} and {nonvoters:?} are neither taken nor refused");
    }

    /// Proposes a configuration, or asks those that would have a vote whether they answer.
    pub fn try_change(
        &mut self,
        id: u32,
        voters: &[u32],
        nonvoters: &[u32],
    ) -> Result<u64, ChangeError> {
        let next = membership(voters, nonvoters);
        self.input(ServerId(id), |raft, _| raft.change_members(next)).expect("the server runs")
    }

    /// Those with a vote and those without one, as a server knows them.
    pub fn members(&self, id: u32) -> (Vec<u32>, Vec<u32>) {
        let list = |ids: &[ServerId]| ids.iter().map(|id| id.0).collect();
        let members = self.raft(id).members();
        (list(&members.voters), list(&members.nonvoters))
    }

    /// Asks for a read; its ticket when it was taken.
    pub fn read(&mut self, id: u32) -> Option<u64> {
        self.tickets += 1;
        let ticket = self.tickets;
        let least = self.checker.committed.len() as u64;
        self.at(ServerId(id)).reads.insert(ticket, least);
        self.input(ServerId(id), |raft, _| raft.read(ticket).is_ok())?.then_some(ticket)
    }

    /// The connections to `lost` break, as `id` sees it.
    pub fn peer_up(&mut self, id: u32, up: u32) {
        self.input(ServerId(id), |raft, now_ms| raft.peer_up(now_ms, ServerId(up)));
    }

    pub fn peer_lost(&mut self, id: u32, lost: u32) {
        self.input(ServerId(id), |raft, now_ms| raft.peer_lost(now_ms, ServerId(lost)));
    }

    /// The oldest write of the log becomes durable. False: there was none.
    pub fn persist_log(&mut self, id: ServerId) -> bool {
        let server = self.at(id);
        let Some(write) = server.disk.writes.pop_front() else { return false };
        server.disk.write(&write);
        self.input(id, |raft, _| raft.persisted(write.mark));
        true
    }

    /// The oldest hard state becomes durable. False: there was none.
    pub fn persist_hard_state(&mut self, id: ServerId) -> bool {
        let server = self.at(id);
        let Some(hard_state) = server.disk.hard_states.pop_front() else { return false };
        let before = server.disk.hard_state;
        let same_term = before.term == hard_state.term && before.voted_for.is_some();
        assert!(before.term <= hard_state.term && !same_term, "a vote stands");
        server.disk.hard_state = hard_state;
        self.input(id, |raft, _| raft.hard_state_persisted(hard_state));
        true
    }

    /// The copy's next number becomes durable.
    pub fn persist_copy(&mut self, id: ServerId) {
        let server = self.at(id);
        let Some(copy) = server.disk.copies.pop_front() else { return };
        server.disk.copy = copy;
        self.input(id, |raft, _| raft.copy_persisted(copy));
    }

    /// All that was asked for so far becomes durable.
    pub fn persist(&mut self, id: ServerId) {
        for _ in 0..self.at(id).disk.hard_states.len() {
            self.persist_hard_state(id);
        }
        self.persist_copy(id);
        for _ in 0..self.at(id).disk.writes.len() {
            self.persist_log(id);
        }
    }

    /// The disk gives what the core wanted first, or nothing.
    pub fn fetch(&mut self, id: ServerId, works: bool) -> bool {
        let server = self.at(id);
        let Some(wanted) = server.fetches.pop_front() else { return false };
        let range = wanted.first as usize - 1..wanted.last as usize;
        let mut bytes = wanted.bytes;
        let mut payloads = Vec::new();
        for entry in server.view.get(range).filter(|_| works).unwrap_or_default() {
            if entry.size() > bytes && !payloads.is_empty() {
                break;
            }
            bytes = bytes.saturating_sub(entry.size());
            payloads.push(entry.payload.clone());
        }
        self.input(id, |raft, _| raft.provide(&wanted, payloads));
        true
    }

    /// The first message from `from` to `to` arrives.
    pub fn deliver(&mut self, from: u32, to: u32) -> bool {
        let link = (ServerId(from), ServerId(to));
        let place = self.wire.iter().position(|flight| (flight.from, flight.to) == link);
        place.map(|place| self.wire.remove(place)).map(|flight| self.arrive(flight)).is_some()
    }

    /// A message arrives.
    pub fn arrive(&mut self, flight: Flight) {
        let Flight { from, to, message } = flight;
        self.input(to, |raft, now_ms| raft.step(now_ms, from, message));
    }

    /// Delivers, persists and fetches until nothing is left to do.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            if !self.wire.is_empty() {
                let flight = self.wire.remove(0);
                self.arrive(flight);
                continue;
            }
            let mut busy = false;
            for id in (1..=self.servers.len() as u32).map(ServerId) {
                busy |= self.at(id).disk.waiting() > 0 || !self.at(id).fetches.is_empty();
                self.persist(id);
                self.fetch(id, true);
            }
            if !busy && self.wire.is_empty() {
                return;
            }
        }
        panic!("the servers come to no end");
    }

    /// Heartbeats' times pass, and all is said that there is to say.
    pub fn settle_for(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.pass(10);
            self.settle();
        }
    }

    /// So much time passes that a PRIMARY is forgotten, then `id` holds an election.
    pub fn stand(&mut self, id: u32) {
        self.now_ms += 2_000;
        self.tick(ServerId(id));
    }

    /// `id` becomes PRIMARY, and what it has becomes committed.
    pub fn elect(&mut self, id: u32) {
        self.stand(id);
        self.settle();
        assert!(self.server(id).is_primary(), "server {id} is elected");
    }

    /// Cuts a server off from all others, both ways.
    pub fn isolate(&mut self, id: u32) {
        for other in (1..=self.servers.len() as u32).filter(|&other| other != id) {
            self.cut.insert((ServerId(id), ServerId(other)));
            self.cut.insert((ServerId(other), ServerId(id)));
        }
        self.wire.retain(|flight| flight.from.0 != id && flight.to.0 != id);
    }

    pub fn heal(&mut self) {
        self.cut.clear();
    }

    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }

    /// What a driver does with an output, in its order.
    fn carry_out(&mut self, id: ServerId) {
        let Some(raft) = self.at(id).raft.as_mut() else { return };
        let output = raft.take_output();
        assert!(raft.clone().take_output().is_empty(), "an output is complete");
        assert_eq!(raft.last_violation(), None, "servers send nothing wrong");
        let (role, commit) = (raft.role(), raft.durable_commit());
        super::script::tell_output(self, id, &output);
        let primary_before = role == Role::Primary && output.changes.is_empty();
        assert!(!primary_before || output.truncate_from.is_none(), "a PRIMARY never cuts (§5.3)");
        self.take_writes(id, &output, commit);
        self.take_changes(id, &output);
        self.send(id, &output);
        self.apply(id, &output);
        let server = self.at(id);
        server.fetches.extend(&output.wanted);
        server.refused.extend(&output.reads_refused);
        for grant in &output.reads {
            let least = server.reads.remove(&grant.ticket).expect("a grant has its read");
            assert!(grant.index >= least, "a read sees all that was acknowledged before (§6.4)");
            assert!(grant.index as usize <= server.applied.len(), "and can be answered");
        }
        server.grants.extend(output.reads);
    }

    fn take_writes(&mut self, id: ServerId, output: &Output, commit: u64) {
        let server = &mut self.servers[id.0 as usize - 1];
        server.disk.hard_states.extend(output.hard_state);
        server.disk.copies.extend(output.copy);
        if let Some(index) = output.truncate_from {
            assert!(index as usize > server.applied.len(), "what is applied is never cut");
            server.view.truncate(index as usize - 1);
        }
        for entry in &output.append {
            assert_eq!(entry.index, server.view.len() as u64 + 1, "appended in order");
            let prev_term = server.view.last().map_or(0, |entry| entry.term);
            self.checker.on_append(prev_term, entry);
            server.view.push(entry.clone());
        }
        let to_write = output.truncate_from.is_some() || !output.append.is_empty();
        assert_eq!(output.mark.is_some(), to_write, "a mark for what is written");
        if let Some(mark) = output.mark {
            let (truncate_from, append) = (output.truncate_from, output.append.clone());
            server.disk.writes.push_back(Write { truncate_from, append, mark, commit });
        }
    }

    fn take_changes(&mut self, id: ServerId, output: &Output) {
        for change in &output.changes {
            if change.role == Role::Primary {
                let view = &self.servers[id.0 as usize - 1].view;
                self.checker.on_primary(id, change.term, view);
            }
        }
        self.at(id).changes.extend(&output.changes);
    }

    fn send(&mut self, id: ServerId, output: &Output) {
        for outgoing in &output.messages {
            let disk = &self.servers[id.0 as usize - 1].disk;
            self.checker.on_sent(id, outgoing, disk);
            if !self.cut.contains(&(id, outgoing.to)) {
                let (to, message) = (outgoing.to, outgoing.message.clone());
                self.wire.push(Flight { from: id, to, message });
            }
        }
    }

    fn apply(&mut self, id: ServerId, output: &Output) {
        let Some(committed) = output.committed else { return };
        let disks: Vec<&Disk> = self.servers.iter().map(|server| &server.disk).collect();
        let server = &self.servers[id.0 as usize - 1];
        assert_eq!(committed.after as usize, server.applied.len(), "applied in order");
        let members = server.raft().members();
        let entries = &server.view[committed.after as usize..committed.upto as usize];
        for entry in entries {
            assert_eq!(server.raft().entry(entry.index), Some(entry), "at hand when committed");
            self.checker.on_committed(entry, members, &disks);
        }
        let entries = entries.to_vec();
        self.at(id).applied.extend(entries);
    }
}
