//! Disks that lose what they had synced, without a trace: the newest batches of a BACKUP are gone when it
//! starts again, or an old copy of its whole directory is put back. What may be lost so is what the
//! manual of `raft/restoring.rs` says ("What is safe"):
//!
//! - entries that are on so many other disks that every majority has one of them: at any time;
//! - entries that perhaps the PRIMARY alone has beside it: while nothing else goes wrong until the loss
//!   is noticed. Should that PRIMARY step down before, the disk had them after all: no more is promised.

use chatctl::raft::{HardState, Raft, Role, ServerId, is_damaged};
use chatctl::wal::Batch;

use super::clock::Us;
use super::kept::Brief;
use super::server::{Job, Server};
use super::world::{Event, MS, World};
use crate::wal::sim_disk::SimDisk;

/// Until when a loss must be noticed under a PRIMARY that stays.
pub const NOTICED: Us = 10_000 * MS;

/// A directory as it was once, while the process ran that has it now.
pub struct Past {
    epoch: u64,
    log_disk: SimDisk,
    state_disk: SimDisk,
    log: Vec<Brief>,
    hard_state: HardState,
    copy: u64,
}

/// A loss that nobody has noticed, and that nothing but the PRIMARY makes good.
pub struct Unnoticed {
    place: usize,
    primary: usize,
    term: u64,
    by: Us,
    /// What was lost, and the batch that was being written behind it.
    log_disk: SimDisk,
    log: Vec<Brief>,
    half_written: Option<Batch>,
}

impl World {
    /// The disk is about to be written: what it has now may be all that it has later.
    pub fn remember_disks(&mut self, place: usize) {
        if self.faults.forget == 0 || !self.rng.chance(1, 6) {
            return;
        }
        let server = &mut self.servers[place];
        if server.is_ghost || !server.took_part || server.process.is_none() {
            return;
        }
        server.past = Some(Past {
            epoch: server.epoch,
            log_disk: server.log_disk.fork(),
            state_disk: server.state_disk.fork(),
            log: server.kept.log.clone(),
            hard_state: server.kept.hard_state,
            copy: server.kept.copy,
        });
    }

    /// A BACKUP dies, and its disk has forgotten what came last, if that may be.
    pub fn forget(&mut self, place: usize) {
        let server = &self.servers[place];
        let Some(past) = &server.past else { return };
        // Nor may anybody forget whom it met, while one that is known by that is not found out.
        if self.has_old_copy() {
            return;
        }
        let same_vote = past.hard_state == server.kept.hard_state;
        let differ = past.log.iter().zip(&server.kept.log).position(|(past, now)| past != now);
        let same = differ.unwrap_or(past.log.len().min(server.kept.log.len()));
        let is_whole = !server.is_restoring() && !is_damaged(past.copy);
        let is_past = past.epoch == server.epoch && same_vote && is_whole;
        let is_new = same < server.kept.log.len() && self.may_lose(place);
        if !is_past || server.is_primary() || !is_new {
            return;
        }
        if self.others_have(place, same) {
            self.counts.forgotten += 1;
            let power = self.rng.chance(1, 2);
            self.end_process(place, power);
            self.put_back(place);
        } else if let Some((primary, term)) = self.primary_restores(place, same as u64) {
            self.counts.forgotten_alone += 1;
            let (log_disk, log) = (server.log_disk.clone(), server.kept.log.clone());
            let by = self.now_us + NOTICED;
            let half_written = None;
            self.unnoticed =
                Some(Unnoticed { place, primary, term, by, log_disk, log, half_written });
            self.end_process(place, false);
            let half_written = self.servers[place].take_half_written();
            self.unnoticed.as_mut().expect("it has just begun").half_written = half_written;
            self.put_back(place);
            self.servers[place].has_forgotten = true;
            let after = self.rng.below(5) * MS;
            self.at(after, Event::Start(place));
        }
    }

    /// Whether all that a server has behind an index is on a majority without it, whatever list of
    /// members counts.
    fn others_have(&self, place: usize, same: usize) -> bool {
        let server = &self.servers[place];
        let has_all = |id: &&ServerId| {
            let other = self.place_with(**id).map(|place| &self.servers[place]);
            let other = other.filter(|other| other.id != server.id && !other.is_restoring());
            other.is_some_and(|other| {
                let theirs = other.kept.log.get(same..server.kept.log.len());
                theirs == Some(&server.kept.log[same..])
            })
        };
        let lists = self.configs();
        let is_on_majority =
            |voters: &Vec<ServerId>| voters.iter().filter(has_all).count() > voters.len() / 2;
        !lists.is_empty() && lists.iter().all(is_on_majority)
    }

    /// The PRIMARY that will notice, and its term, where nothing stands against that: it was told of
    /// what is lost, all that run follow it, and nothing is wrong with it or on the way to it.
    fn primary_restores(&self, place: usize, same: u64) -> Option<(usize, u64)> {
        let faults = &self.faults;
        let is_calm = self.unnoticed.is_none()
            && self.cut.is_empty()
            && faults.stalled.is_empty()
            && faults.failing.is_empty()
            && self.operators_are_through()
            && !self.lets_in();
        if !is_calm || self.now_us + MS > faults.until {
            return None;
        }
        let primary = self.servers.iter().position(Server::is_primary)?;
        let core = core_of(&self.servers[primary])?;
        let (id, term) = (core.id(), core.term());
        let follows = |server: &Server| {
            let runs_well = server.paused_until <= self.now_us && server.newest_term() <= term;
            let core = core_of(server);
            let waits = server.replica().is_some_and(|replica| replica.full());
            runs_well && !waits && core.is_none_or(|core| core.primary() == Some(id))
        };
        let lost = self.servers[place].id;
        let backups = core.backups();
        let backup = backups.iter().find(|backup| backup.id == lost)?;
        let is_told = backup.match_index > same && !backup.restoring && backup.votes;
        let own_term = self.servers[place].kept.hard_state.term == term;
        let stays = core.transferring_to().is_none() && core.term_at(core.commit()) == Some(term);
        let all_follow = self.servers.iter().filter(|server| !server.is_ghost).all(follows);
        let no_ghosts = self.servers.iter().all(|server| !server.is_ghost);
        (is_told && own_term && stays && all_follow && no_ghosts).then_some((primary, term))
    }

    /// The directory is what it was once; or its log alone is.
    fn put_back(&mut self, place: usize) {
        let with_state = self.rng.chance(1, 3);
        let server = &mut self.servers[place];
        let past = server.past.take().expect("it was looked at");
        let (had, has) = (server.kept.log.len(), past.log.len());
        server.lost = Some((server.kept.hard_state.term, server.kept.log.clone()));
        server.kept.lose();
        server.kept.log = past.log;
        server.log_disk = past.log_disk;
        server.take_half_written();
        if with_state {
            server.state_disk = past.state_disk;
            server.kept.copy = past.copy;
            server.jobs.clear();
        }
        for disk in [&server.log_disk, &server.state_disk] {
            disk.restart_process();
            disk.fail_no_more();
        }
        server.log_disk.set_capacity(u64::MAX);
        self.note_of(place, &format!("has forgotten: {had} entries, now {has}, {with_state}"));
    }

    /// What has become of a loss that nobody had noticed.
    pub fn look_at_loss(&mut self) {
        let Some(Unnoticed { place, primary, term, by, ref log, .. }) = self.unnoticed else {
            return;
        };
        let server = &self.servers[place];
        if is_damaged(server.kept.copy) {
            self.is_noticed(place, primary);
        } else if server.kept.log.starts_with(log) {
            // What was late has come.
            self.note_of(place, "has again what it had forgotten");
            self.unnoticed = None;
            self.servers[place].has_forgotten = false;
        } else if core_of(&self.servers[primary]).is_none_or(|core| !leads(core, term)) {
            self.remembers(place, term);
        } else {
            assert!(self.now_us < by, "a loss is not noticed:\n{}", self.waiting());
        }
    }

    /// From here on it does not vote: whatever becomes of the PRIMARY, nothing is lost.
    fn is_noticed(&mut self, place: usize, primary: usize) {
        self.counts.noticed += 1;
        self.note_of(place, "has noticed what it had forgotten");
        self.unnoticed = None;
        self.servers[place].has_forgotten = false;
        if self.rng.chance(1, 2) {
            let power = self.rng.chance(1, 2);
            self.end_process(primary, power);
        }
    }

    /// The PRIMARY that would have noticed is none any more.
    fn remembers(&mut self, place: usize, term: u64) {
        self.counts.remembered += 1;
        let unnoticed = self.unnoticed.take().expect("it was looked at");
        let server = &self.servers[place];
        let newest = core_of(server).map_or(0, Raft::term).max(server.kept.hard_state.term);
        assert!(newest <= term, "an election while nothing goes wrong:\n{}", self.waiting());
        if self.servers[place].runs() {
            self.end_process(place, false);
        }
        let server = &mut self.servers[place];
        (server.has_forgotten, server.lost) = (false, None);
        server.log_disk = unnoticed.log_disk;
        server.log_disk.restart_process();
        server.kept.log = unnoticed.log;
        server.take_half_written();
        server.jobs.extend(unnoticed.half_written.map(Job::Batch));
        self.note_of(place, "remembers what it had forgotten");
    }
}

fn core_of(server: &Server) -> Option<&Raft> {
    server.core()
}

fn leads(core: &Raft, term: u64) -> bool {
    core.role() == Role::Primary && core.term() == term
}
