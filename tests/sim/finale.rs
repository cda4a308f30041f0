//! The end of a history: a random majority is healed while the rest stays dead, or lives with full
//! disks, and must serve soon; then the rest comes back, or has room, and all must have the same.

use chatctl::limits;

use super::clock::Us;
use super::server::Server;
use super::weather::Mend;
use super::world::{MS, World};

/// How long clients may take to bring everything home, once there is a PRIMARY: a client that has
/// just begun to wait for a silent server waits half a minute for an answer, then starts anew.
const HOME: Us = 120_000 * MS;
/// For how long a PRIMARY without room may stay before it hands over again.
const FULL: Us = 64 * limits::WAL_SPARE_RETRY_MS * MS;

impl World {
    /// The whole history.
    pub fn play(&mut self) {
        self.run(self.weather.until, |_| false);
        self.note(format_args!("it clears up"));
        self.weather.clear();
        let leaves_full = self.servers.len() > 1 && self.rng.chance(1, 4);
        let (majority, rest) = self.some_majority(leaves_full);
        self.cut.clear();
        self.client_cut.clear();
        for &place in &rest {
            if leaves_full { self.leave_full(place) } else { self.leave_dead(place) }
        }
        self.heal(&majority);
        let longer = if leaves_full { FULL } else { 0 };
        self.finds_a_primary(longer);
        for place in 0..self.machines.len() {
            self.drive(place, |client, now_ms, _| client.calm(now_ms));
        }
        let home = self.run(self.now_us + HOME + longer, World::is_quiet);
        assert!(home, "what was asked is not answered:\n{}", self.waiting());
        self.note(format_args!("all clients are home"));
        self.finish_upgrade();
        self.heal(&rest);
        let all: Vec<usize> = (0..self.servers.len()).collect();
        self.comes_together(&all);
        self.finish();
    }

    /// A majority and the rest; the PRIMARY is among the rest where that lives with full disks.
    fn some_majority(&mut self, leaves_full: bool) -> (Vec<usize>, Vec<usize>) {
        let servers = self.servers.len();
        let mut places: Vec<usize> = (0..servers).collect();
        for place in (1..servers).rev() {
            places.swap(place, self.rng.below(place as u64 + 1) as usize);
        }
        // What is damaged is a minority, and cannot elect a PRIMARY.
        places.sort_by_key(|place| {
            let server = &self.servers[*place];
            (server.is_restoring(), leaves_full && server.is_primary())
        });
        let rest = places.split_off(servers / 2 + 1);
        (places, rest)
    }

    fn leave_dead(&mut self, place: usize) {
        let server = &mut self.servers[place];
        server.dead = true;
        if server.runs() {
            let power = self.rng.chance(1, 2);
            self.end_process(place, power);
        }
    }

    /// It lives, and its log can begin no further segment.
    fn leave_full(&mut self, place: usize) {
        self.counts.left_full += 1;
        let disk = &self.servers[place].log_disk;
        disk.set_capacity(disk.used());
        self.note_of(place, "is left with a full disk");
        self.revive(place);
    }

    /// These servers live, are reached by all that live, and have room.
    fn heal(&mut self, places: &[usize]) {
        self.note(format_args!("healed: {places:?}"));
        for &place in places {
            self.mend(Mend::Room(place));
            self.revive(place);
        }
    }

    fn revive(&mut self, place: usize) {
        let now_us = self.now_us;
        let server = &mut self.servers[place];
        server.dead = false;
        server.paused_until = server.paused_until.min(now_us);
        self.start(place);
        self.wake_server(place, 0);
    }

    /// One that can take changes.
    fn finds_a_primary(&mut self, longer: Us) {
        // Clocks may be a twentieth slow; disks that were stalled when it cleared up first finish
        // what they were doing.
        let timeout = self.common.election_timeout_ms * MS * 21 / 20;
        let until = self.now_us + 2_500 * MS + 10 * timeout + longer;
        let has_room = |server: &Server| {
            server.process.as_ref().is_some_and(|process| !process.service.replica.full())
        };
        let serves = |server: &Server| server.is_primary() && has_room(server);
        let found = self.run(until, |world| world.servers.iter().any(serves));
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
