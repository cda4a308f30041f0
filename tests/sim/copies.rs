//! Copies of a machine's disks that are put back later. Of a copy that was made before the last start
//! that all others have met, nothing may ever count. Others are not put back, unless nothing was
//! promised since they were made: nobody could tell them from the directory as it was.

use chatctl::node::End;
use chatctl::node::peers::change::Verb;
use chatctl::wal::hard_state::{self, HardState};

use super::kept::Kept;
use super::server::Server;
use super::world::{MS, World};
use crate::wal::sim_disk::SimDisk;

/// A copy.
pub struct Copy {
    state_disk: SimDisk,
    log_disk: SimDisk,
    kept: Kept,
    /// The number of the newest start that it has.
    boot: u64,
}

impl World {
    /// Somebody makes a copy of a machine's disks while its server runs, or stops it for that.
    pub fn copies_disks(&mut self, place: usize) {
        let server = &mut self.servers[place];
        let (Some(boot), Some(replica)) = (server.boot(), server.replica()) else { return };
        // A copy from before the log named it and others would wait for them, or act alone.
        let members = replica.state().members();
        let is_named = members.iter().any(|member| member.incarnation == server.incarnation);
        if server.is_ghost || server.is_restoring() || !is_named || members.len() < 2 {
            return;
        }
        // The older, the more it lacks.
        if server.copy.is_some() && self.rng.chance(3, 4) {
            return;
        }
        let (state_disk, log_disk) = (server.state_disk.fork(), server.log_disk.fork());
        for disk in [&state_disk, &log_disk] {
            // Chance comes from the system, and is not copied.
            disk.reseed(self.rng.next());
            disk.restart_process();
            disk.set_capacity(u64::MAX);
        }
        let (kept, boot) = (server.kept.clone(), boot.number);
        server.copy = Some(Copy { state_disk, log_disk, kept, boot });
        self.counts.copies += 1;
        self.note_of(place, "has its disks copied");
        if self.rng.chance(1, 2) {
            self.end_process(place, false);
        }
    }

    /// Somebody puts back the copy of some machine's.
    pub fn puts_copy_back(&mut self) {
        let fit: Vec<usize> =
            (0..self.servers.len()).filter(|place| self.is_told_apart(*place)).collect();
        if fit.is_empty() {
            return;
        }
        let place = fit[self.rng.below(fit.len() as u64) as usize];
        if self.servers[place].runs() {
            let power = self.rng.chance(1, 2);
            self.end_process(place, power);
        }
        let server = &mut self.servers[place];
        let Some(copy) = server.copy.take() else { return };
        (server.state_disk, server.log_disk) = (copy.state_disk, copy.log_disk);
        server.kept.roll_back(&copy.kept);
        server.jobs.clear();
        server.spare = None;
        server.is_rolled_back = true;
        self.lost_at = self.now_us;
        self.counts.rolled_back += 1;
        self.note_of(place, "has its disks rolled back");
    }

    /// Whether the copy of a machine's disks can be put back, and what it has lost does not matter: the
    /// others make a majority, and know it for what it is; or it has lost nothing.
    fn is_told_apart(&self, place: usize) -> bool {
        let server = &self.servers[place];
        let Some(copy) = &server.copy else { return false };
        let recently = self.now_us.saturating_sub(15_000 * MS);
        let changes = self.lets_in() || self.operators.iter().any(|o| o.ended_at >= recently);
        let is_fit = !server.is_ghost && server.took_part && !server.is_restoring();
        if changes || !is_fit || self.unnoticed.is_some() || !self.may_lose(place) {
            return false;
        }
        if server.kept.is_as(&copy.kept) {
            return true;
        }
        // Whoever may count, also of those that are down.
        let counts = |other: &&Server| {
            let is_listed = |list: &Vec<_>| list.contains(&other.id);
            let is_refused = other.is_rolled_back && other.kept.lacks_what_it_had();
            other.place != place && !is_refused && self.configs().iter().any(is_listed)
        };
        let knows = |other: &Server| {
            let all = saved(other).map_or(Vec::new(), |file| file.met);
            let met = all.into_iter().find(|met| met.incarnation == server.incarnation);
            met.is_some_and(|met| met.boot.number > copy.boot)
        };
        self.servers.iter().filter(counts).all(knows)
    }

    /// Whether a machine has such a copy, and it is not known yet.
    pub fn has_old_copy(&self) -> bool {
        self.servers.iter().any(|server| server.is_rolled_back && !server.is_condemned)
    }

    /// A process has heard that its directory is an old copy, and ends.
    pub fn is_refused_as_old_copy(&mut self, place: usize, end: End) {
        self.note_of(place, &format!("ends: {end}"));
        let server = &mut self.servers[place];
        assert!(server.is_rolled_back || server.is_ghost, "{} is no copy", server.name);
        // The power may go before the mark is on the disk.
        let is_marked = self.now_us >= self.faults.until || self.rng.chance(7, 8);
        let process = server.process.take();
        self.end_process(place, false);
        if let Some(process) = process.filter(|_| is_marked) {
            let end = process.node.end(end);
            assert!(matches!(end, End::OldCopy { .. }), "the disk works: {end}");
        }
    }

    /// A server does not start, since its directory is marked.
    pub fn is_old_copy(&mut self, place: usize) {
        self.note_of(place, "has a directory that is marked as an old copy");
        let server = &mut self.servers[place];
        assert!(server.is_rolled_back || server.is_ghost, "{} is no copy", server.name);
        server.is_condemned = true;
        server.dead = true;
        self.counts.condemned += u64::from(!server.is_ghost);
        let epoch = server.epoch;
        self.restart_disks(place, false);
        self.server_is_gone(place, epoch, false);
        let (name, is_ghost) = (self.servers[place].name.clone(), self.servers[place].is_ghost);
        // Who is new has met nobody, and would not know another old copy for one.
        let is_last = !self.has_old_copy() && self.now_us < self.faults.until;
        if !is_ghost && is_last && self.rng.chance(1, 2) {
            self.wipe(place);
            let after = self.rng.below(3_000) * MS;
            self.wants(Verb::Replace, &name, after);
        }
    }

    /// In the end all that matter are found out, and get an empty disk.
    pub fn finds_old_copies(&mut self) {
        let until = self.now_us + 60_000 * MS;
        let is_open = |server: &Server| server.is_rolled_back && !server.is_condemned;
        let promised = |world: &World| {
            let lacks = |server: &Server| server.kept.lacks_what_it_had();
            world.servers.iter().any(|s| is_open(s) && !s.is_ghost && lacks(s))
        };
        let found = self.run(until, |world| !promised(world));
        assert!(found, "an old copy is not found out:\n{}", self.waiting());
        // Others may be, or not.
        if self.servers.iter().any(is_open) {
            self.run(self.now_us + 10_000 * MS, |_| false);
        }
        for place in 0..self.servers.len() {
            let server = &mut self.servers[place];
            if server.is_condemned && !server.is_ghost {
                self.wipe(place);
                self.revive(place);
            } else {
                server.is_rolled_back = false;
            }
        }
    }
}

/// What the file of a server's directory says durably.
fn saved(server: &Server) -> Option<HardState> {
    let disk = server.state_disk.fork();
    disk.restart(|_| false);
    hard_state::load(&mut disk.clone()).ok().flatten()
}
