//! Random histories: any message lost, doubled, late or out of order, links cut, servers crashed
//! with what was not durable, disks slow; all that the checker knows is checked at every step, and
//! in the end everything is healed and must come together.
//!
//! `RAFT_SEED=n` runs one history, `RAFT_RUNS=n` that many of them.

use chatctl::raft::{ChangeError, Role, RoleChange, ServerId, Why, is_damaged};

use super::cluster::{Cluster, Disk};
use crate::support::{Rng, env_number};

/// How often what happens, drawn anew for each history.
struct Rates {
    lose: u64,
    double: u64,
    reorder: u64,
    crash: u64,
    damage: u64,
    cut: u64,
    lose_peer: u64,
    transfer: u64,
    change: u64,
    persist: u64,
    slow_fetch: u64,
}

/// What happened, so that a test of nothing does not look good.
#[derive(Debug, Default)]
struct Counts {
    committed: usize,
    terms: usize,
    crashes: u64,
    damaged: u64,
    losses: u64,
    noticed: usize,
    restored: usize,
    stuck: u64,
    cuts: u64,
    lost: u64,
    doubled: u64,
    reads: usize,
    transfers: u64,
    changes: u64,
    promotions: u64,
}

struct History {
    rng: Rng,
    /// How many there were at first.
    voters: usize,
    rates: Rates,
    cluster: Cluster,
    proposals: u64,
    /// A change for which the others are asked whether they answer.
    asked: Option<(ServerId, Vec<u32>, Vec<u32>)>,
    counts: Counts,
}

impl History {
    fn new(seed: u64) -> History {
        let mut rng = Rng::new(seed);
        let servers = [1, 2, 3, 3, 3, 4, 5, 5][rng.below(8) as usize];
        let window = 1 + rng.below(4) as usize;
        let batch_bytes = [1, 100, 400][rng.below(3) as usize];
        let cache_bytes = [0, 200, 1 << 20][rng.below(3) as usize];
        let election_timeout_ms = 300 + rng.below(300);
        let seeds = rng.next();
        let spares = rng.below(4) as u32;
        let cluster = Cluster::with_spares(servers, spares, |config| {
            config.window = window;
            config.batch_bytes = batch_bytes;
            config.cache_bytes = cache_bytes;
            config.election_timeout_ms = election_timeout_ms;
            config.seed = config.seed.wrapping_add(seeds);
        });
        let mut rate = |most: u64| if rng.chance(1, 4) { 0 } else { rng.below(most) };
        let rates = Rates {
            lose: rate(150),
            double: rate(200),
            reorder: rate(500),
            crash: rate(25),
            cut: rate(25),
            lose_peer: rate(40),
            transfer: rate(40),
            change: rate(60),
            persist: 0,
            slow_fetch: rate(500),
            damage: rate(900),
        };
        let persist = 100 + rng.below(900);
        let rates = Rates { persist, ..rates };
        let voters = servers as usize;
        History {
            rng,
            voters,
            rates,
            cluster,
            proposals: 0,
            asked: None,
            counts: Counts::default(),
        }
    }

    fn any_server(&mut self) -> ServerId {
        ServerId(1 + self.rng.below(self.cluster.servers.len() as u64) as u32)
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.rng.chance(per_mille, 1000)
    }

    /// One step of the bad times.
    fn step(&mut self) {
        self.one_message();
        self.disks(false);
        let id = self.any_server();
        match self.rng.below(8) {
            0 => self.propose(id),
            1 => {
                self.cluster.read(id.0);
            }
            2 | 3 => {
                let ms = 1 + self.rng.below(40);
                self.cluster.now_ms += ms;
                self.cluster.tick(id);
            }
            4 => {
                let ms = self.rng.below(20);
                self.cluster.pass(ms);
            }
            _ => {}
        }
        self.faults(id);
    }

    fn propose(&mut self, id: ServerId) {
        if !self.cluster.server(id.0).runs() {
            return;
        }
        let count = 1 + self.rng.below(3);
        let texts: Vec<String> = (0..count)
            .map(|_| {
                self.proposals += 1;
                format!("p{}", self.proposals)
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let _ = self.cluster.propose(id.0, &texts);
    }

    fn one_message(&mut self) {
        if self.cluster.wire.is_empty() {
            return;
        }
        let late = self.chance(self.rates.reorder);
        let most = if late { self.cluster.wire.len() } else { 1 };
        let place = self.rng.below(most as u64) as usize;
        if self.chance(self.rates.lose) {
            self.cluster.wire.remove(place);
            self.counts.lost += 1;
        } else if self.chance(self.rates.double) {
            let flight = self.cluster.wire[place].clone();
            // It comes now and once more, much later maybe.
            self.cluster.wire.push(flight.clone());
            self.cluster.arrive(flight);
            self.counts.doubled += 1;
        } else {
            let flight = self.cluster.wire.remove(place);
            self.cluster.arrive(flight);
        }
    }

    fn disks(&mut self, all: bool) {
        for id in (1..=self.cluster.servers.len() as u32).map(ServerId) {
            if all || self.chance(self.rates.persist / 2) {
                self.cluster.persist_log(id);
            }
            if all || self.chance(self.rates.persist / 2) {
                self.cluster.persist_hard_state(id);
            }
            if all || self.chance(self.rates.persist / 2) {
                self.cluster.persist_copy(id);
            }
            if all || !self.chance(self.rates.slow_fetch) {
                let works = all || self.rng.chance(2, 3);
                self.cluster.fetch(id, works);
            }
        }
    }

    fn faults(&mut self, id: ServerId) {
        let other = self.any_server();
        if self.chance(self.rates.crash) && self.cluster.server(id.0).runs() {
            self.cluster.crash(id);
            self.counts.crashes += 1;
            for server in 1..=self.cluster.servers.len() as u32 {
                if self.rng.chance(1, 2) {
                    self.cluster.peer_lost(server, id.0);
                }
            }
        }
        let down = !self.cluster.server(other.0).runs();
        if down && self.rng.chance(1, 40) {
            if self.chance(self.rates.damage) {
                self.damage(other);
            } else if self.rng.chance(1, 2) {
                self.lose(other);
            }
            self.cluster.start(other);
            for server in 1..=self.cluster.servers.len() as u32 {
                if self.rng.chance(1, 2) {
                    self.cluster.peer_up(server, other.0);
                    self.cluster.peer_up(other.0, server);
                }
            }
        }
        if self.chance(self.rates.cut) {
            self.counts.cuts += 1;
            match self.rng.below(3) {
                0 => self.cluster.isolate(id.0),
                1 => drop(self.cluster.cut.insert((id, other))),
                _ => self.cluster.heal(),
            }
        }
        if self.chance(self.rates.lose_peer) {
            self.cluster.peer_lost(id.0, other.0);
            if self.rng.chance(1, 2) {
                self.cluster.peer_up(id.0, other.0);
            }
        }
        // What a PRIMARY asks the others about is asked for again, until it is decided.
        if let Some((id, voters, nonvoters)) = self.asked.take() {
            self.change_to(id, voters, nonvoters);
        } else if self.chance(self.rates.change) {
            self.change(id);
        }
        if self.chance(self.rates.transfer) {
            let asked = self.cluster.input(id, |raft, now_ms| raft.transfer(now_ms, other).is_ok());
            self.counts.transfers += u64::from(asked == Some(true));
        }
    }

    /// Somebody changes the members, if this server may: a spare comes in, one that has caught up
    /// gets its vote, or one goes.
    fn change(&mut self, id: ServerId) {
        if !self.cluster.server(id.0).is_primary() {
            return;
        }
        let (mut voters, mut nonvoters) = self.cluster.members(id.0);
        let caught_up = self.cluster.raft(id.0).caught_up();
        let one = self.any_server().0;
        match caught_up.filter(|_| self.rng.chance(2, 3)) {
            Some(ServerId(ready)) => {
                nonvoters.retain(|&other| other != ready);
                voters.push(ready);
            }
            None if voters.contains(&one) || nonvoters.contains(&one) => {
                voters.retain(|&other| other != one);
                nonvoters.retain(|&other| other != one);
            }
            None => nonvoters.push(one),
        }
        self.change_to(id, voters, nonvoters);
    }

    fn change_to(&mut self, id: ServerId, voters: Vec<u32>, nonvoters: Vec<u32>) {
        if !self.cluster.server(id.0).is_primary() {
            return;
        }
        let caught_up = self.cluster.raft(id.0).caught_up();
        match self.cluster.try_change(id.0, &voters, &nonvoters) {
            Ok(_) => {
                let last = voters.last().copied();
                self.counts.changes += 1;
                self.counts.promotions += u64::from(last == caught_up.map(|id| id.0));
            }
            Err(ChangeError::Asking) => self.asked = Some((id, voters, nonvoters)),
            Err(_) => {}
        }
    }

    /// Those that the newest PRIMARY has for members.
    fn members(&self) -> Vec<u32> {
        let primaries = self.cluster.servers.iter().filter(|server| server.is_primary());
        let newest = primaries.max_by_key(|server| server.raft().term());
        newest.map_or_else(Vec::new, |server| {
            let (voters, nonvoters) = self.cluster.members(server.id.0);
            voters.into_iter().chain(nonvoters).collect()
        })
    }

    /// A log is damaged, unless too few of the first voters would be left to elect a PRIMARY.
    fn damage(&mut self, id: ServerId) {
        let others = self.cluster.servers.iter().filter(|server| server.id != id);
        let damaged = others.filter(|server| is_damaged(server.disk.copy)).count();
        if damaged < (self.voters - 1) / 2 {
            let log = self.cluster.server(id.0).disk.log.len() as u64;
            let left = self.rng.below(log + 1) as usize;
            self.cluster.damage(id, left);
            self.counts.damaged += 1;
        }
    }

    /// The end of a log is lost without a trace, where every entry of it is on a majority of others:
    /// no election can go past all of them.
    fn lose(&mut self, id: ServerId) {
        let disk = &self.cluster.server(id.0).disk;
        if self.rates.change > 0 || is_damaged(disk.copy) || disk.log.is_empty() {
            return;
        }
        let left = disk.log.len() - 1 - self.rng.below(disk.log.len().min(5) as u64) as usize;
        let voters = (1..=self.voters as u32).map(ServerId).filter(|&other| other != id);
        let others = voters.map(|other| &self.cluster.server(other.0).disk);
        let lost = &disk.log[left..];
        let has = |disk: &&Disk| disk.log.get(left..).is_some_and(|log| log.starts_with(lost));
        if others.filter(|disk| !is_damaged(disk.copy)).filter(has).count() > self.voters / 2 {
            self.cluster.lose(id, left);
            self.counts.losses += 1;
        }
    }

    /// All faults end, and the servers must agree on a new entry soon.
    fn heal(&mut self) {
        self.cluster.heal();
        for id in (1..=self.cluster.servers.len() as u32).map(ServerId) {
            if !self.cluster.server(id.0).runs() {
                self.cluster.start(id);
            }
        }
        // Ten of the longest timeouts.
        let end = self.cluster.now_ms + 10 * 2 * 600;
        let mut marker: Option<(u64, String)> = None;
        while self.cluster.now_ms < end {
            for _ in 0..400 {
                self.one_message_healed();
                self.disks(true);
            }
            self.cluster.pass(10);
            // An old PRIMARY's may be lost: a newer one is asked again.
            if let Some((term, text)) = self.propose_marker(marker.as_ref().map_or(0, |m| m.0)) {
                marker = Some((term, text));
            }
            if marker.as_ref().is_some_and(|(_, text)| self.has_come_together(text)) {
                return;
            }
        }
        if self.stands_still() {
            self.counts.stuck += 1;
            return;
        }
        for server in &self.cluster.servers {
            let (raft, waiting) = (server.raft(), server.disk.waiting());
            eprintln!("{:?}, {waiting} writes wait, {:?}", raft.outline(), raft.backups());
        }
        let (wire, all) = (self.cluster.wire.len(), self.cluster.checker.committed.len());
        panic!("the healed servers did not come together: {wire} under way, {all} committed");
    }

    /// Whether a majority of what some server takes for the voters is damaged, since others were
    /// removed: nobody may be left then who can be elected.
    fn stands_still(&self) -> bool {
        self.cluster.servers.iter().any(|server| {
            let members = server.raft().members();
            let damaged = |id: &&ServerId| is_damaged(self.cluster.server(id.0).disk.copy);
            members.voters.len() - members.voters.iter().filter(damaged).count() < members.quorum()
        })
    }

    fn one_message_healed(&mut self) {
        if !self.cluster.wire.is_empty() {
            let flight = self.cluster.wire.remove(0);
            self.cluster.arrive(flight);
        }
    }

    fn propose_marker(&mut self, asked_term: u64) -> Option<(u64, String)> {
        let newest = self.cluster.servers.iter().filter(|server| server.is_primary());
        let newest = newest.max_by_key(|server| server.raft().term())?;
        let (id, term) = (newest.id, newest.raft().term());
        if term <= asked_term {
            return None;
        }
        self.proposals += 1;
        let text = format!("marker{}", self.proposals);
        self.cluster.propose(id.0, &[&text]).ok().map(|_| (term, text))
    }

    fn has_come_together(&self, text: &str) -> bool {
        let committed = &self.cluster.checker.committed;
        let has_it = committed.iter().any(|entry| entry.payload.bytes() == text.as_bytes());
        let same = |&id: &u32| {
            let server = self.cluster.server(id);
            server.applied.len() == committed.len() && !server.raft().is_restoring()
        };
        let members = self.members();
        has_it && !members.is_empty() && members.iter().all(same)
    }

    fn run(&mut self) {
        for _ in 0..3_000 {
            self.step();
        }
        self.heal();
        let members = self.members();
        for server in &self.cluster.servers {
            let all = &self.cluster.checker.committed;
            // Who is no member is sent nothing more, but what it has is the same.
            let count =
                if members.contains(&server.id.0) { all.len() } else { server.applied.len() };
            assert_eq!(server.applied, all[..count], "the same is applied");
            assert!(server.raft().role() != Role::Candidate || server.raft().primary().is_none());
            self.counts.reads += server.grants.len();
            let is_member = members.contains(&server.id.0);
            assert!(!is_member || !server.raft().is_restoring(), "all are restored");
            let restored = |change: &&RoleChange| change.why == Why::Restored;
            let noticed = |change: &&RoleChange| matches!(change.why, Why::Lost { .. });
            self.counts.noticed += server.changes.iter().filter(noticed).count();
            self.counts.restored += server.changes.iter().filter(restored).count();
        }
        self.counts.committed = self.cluster.checker.committed.len();
        self.counts.terms = self.cluster.checker.primaries.len();
    }
}

/// Says which history was running when a check failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the history was RAFT_SEED={} RAFT_RUNS=1", self.0);
        }
    }
}

#[test]
fn random_histories_keep_every_promise_and_come_together_when_healed() {
    let first = env_number("RAFT_SEED", 1);
    let runs = env_number("RAFT_RUNS", 300);
    let mut sum = Counts::default();
    for seed in first..first + runs {
        let _seed = Seed(seed);
        let mut history = History::new(seed);
        history.run();
        let counts = history.counts;
        sum.committed += counts.committed;
        sum.terms += counts.terms;
        sum.crashes += counts.crashes;
        sum.damaged += counts.damaged;
        sum.losses += counts.losses;
        sum.noticed += counts.noticed;
        sum.restored += counts.restored;
        sum.stuck += counts.stuck;
        sum.cuts += counts.cuts;
        sum.lost += counts.lost;
        sum.doubled += counts.doubled;
        sum.reads += counts.reads;
        sum.transfers += counts.transfers;
        sum.changes += counts.changes;
        sum.promotions += counts.promotions;
    }
    println!("{runs} histories: {sum:?}");
    if runs >= 100 {
        assert!(sum.terms as u64 > 2 * runs && sum.committed as u64 > 10 * runs, "{sum:?}");
        assert!(sum.changes > 2 * runs && sum.promotions > runs / 4, "{sum:?}");
        assert!(sum.stuck < runs / 20, "{sum:?}");
        assert!(sum.damaged > runs && sum.restored as u64 > runs / 2, "{sum:?}");
        assert!(sum.crashes > runs && sum.lost > runs && sum.reads as u64 > runs, "{sum:?}");
    }
}
