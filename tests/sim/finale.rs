//! The end of a history: a random majority is healed while the rest stays dead, and must serve soon;
//! then the rest comes back, and all must have the same.

use super::clock::Us;
use super::weather::Mend;
use super::world::{MS, World};

/// How long clients may take to bring everything home, once there is a PRIMARY: a client that has
/// just begun to wait for a silent server waits half a minute for an answer, then starts anew.
const HOME: Us = 120_000 * MS;

impl World {
    /// The whole history.
    pub fn play(&mut self) {
        self.run(self.weather.until, |_| false);
        self.note(format_args!("it clears up"));
        self.weather.clear();
        let majority = self.some_majority();
        self.heal(&majority);
        self.finds_a_primary(&majority);
        for place in 0..self.machines.len() {
            self.drive(place, |client, now_ms, _| client.calm(now_ms));
        }
        let home = self.run(self.now_us + HOME, World::is_quiet);
        assert!(home, "what was asked is not answered:\n{}", self.waiting());
        self.note(format_args!("all clients are home"));
        let rest: Vec<usize> = (0..self.servers.len()).filter(|p| !majority.contains(p)).collect();
        self.heal(&rest);
        let all: Vec<usize> = (0..self.servers.len()).collect();
        self.comes_together(&all);
        self.finish();
    }

    fn some_majority(&mut self) -> Vec<usize> {
        let servers = self.servers.len();
        let mut places: Vec<usize> = (0..servers).collect();
        for place in (1..servers).rev() {
            places.swap(place, self.rng.below(place as u64 + 1) as usize);
        }
        // What is damaged is a minority, and cannot elect a PRIMARY.
        places.sort_by_key(|place| self.servers[*place].is_restoring());
        for &dead in &places[servers / 2 + 1..] {
            let server = &mut self.servers[dead];
            server.dead = true;
            if server.runs() {
                let power = self.rng.chance(1, 2);
                self.end_process(dead, power);
            }
        }
        places.truncate(servers / 2 + 1);
        places
    }

    /// These servers live and are reached by all that live.
    fn heal(&mut self, places: &[usize]) {
        self.note(format_args!("healed: {places:?}"));
        self.cut.clear();
        self.client_cut.clear();
        for &place in places {
            let now_us = self.now_us;
            let server = &mut self.servers[place];
            server.dead = false;
            server.paused_until = server.paused_until.min(now_us);
            self.mend(Mend::Room(place));
            self.start(place);
            self.wake_server(place, 0);
        }
    }

    fn finds_a_primary(&mut self, places: &[usize]) {
        // Clocks may be a twentieth slow; disks that were stalled when it cleared up first finish
        // what they were doing.
        let timeout = self.common.election_timeout_ms * MS * 21 / 20;
        let until = self.now_us + 2_500 * MS + 10 * timeout;
        let found =
            self.run(until, |world| places.iter().any(|place| world.servers[*place].is_primary()));
        assert!(found, "no PRIMARY within ten election timeouts:\n{}", self.waiting());
    }

    fn comes_together(&mut self, places: &[usize]) {
        let last = |world: &World| world.checker.last();
        let same = |world: &World| {
            places.iter().all(|place| {
                let process = world.servers[*place].process.as_ref();
                let restored = !world.servers[*place].is_restoring();
                restored
                    && process.is_some_and(|p| p.service.replica.state().applied() == last(world))
            })
        };
        let together = self.run(self.now_us + 60_000 * MS, same);
        assert!(together, "the servers do not come together:\n{}", self.waiting());
        // A moment of idleness later a restart alone would find all of it committed.
        self.run(self.now_us + 1_000 * MS, |_| false);
        for server in &self.servers {
            let replica = &server.process.as_ref().expect("all servers are back").service.replica;
            assert_eq!(replica.wal().commit(), self.checker.last(), "server {}", server.id);
        }
    }

    /// Who waits for what.
    fn waiting(&self) -> String {
        let mut text = String::new();
        for server in &self.servers {
            let Some(process) = &server.process else {
                text.push_str(&format!("server {}: no process, dead {}\n", server.id, server.dead));
                continue;
            };
            let replica = &process.service.replica;
            let (outline, serving) = (replica.core().outline(), process.service.serving());
            let (applied, jobs) = (replica.state().applied(), server.jobs.len());
            let full = replica.full();
            text.push_str(&format!(
                "{outline:?} applied {applied}, {serving:?}, {jobs} disk jobs, full {full}, {:?}\n",
                replica.core().backups()
            ));
        }
        for machine in &self.machines {
            text.push_str(&machine.client.waits_for());
            text.push('\n');
        }
        text
    }

    fn finish(&mut self) {
        for server in &self.servers {
            let process = server.process.as_ref().expect("all servers are back");
            let state = process.service.replica.state();
            self.checker.on_applied(server.id, state.applied(), state.digest());
        }
        self.check_disks();
        for machine in &self.machines {
            machine.client.check(&self.checker);
            machine.client.count(&mut self.counts);
        }
        self.counts.simulated_ms = self.now_us / MS;
        self.counts.committed = self.checker.last();
        self.counts.elections = self.checker.primaries.len() as u64;
        self.counts.answers = self.checker.answers;
        self.trace.good = true;
    }
}
