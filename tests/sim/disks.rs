//! The disks' threads: jobs that take their time, and what a crash leaves of them.

use std::collections::BTreeMap;

use chatctl::node::members::LONE;
use chatctl::raft::ServerId;
use chatctl::wal::format::{HEADER_BYTES, Header, RECORD_HEADER_BYTES, record_of};
use chatctl::wal::{self, Disk, Done, Location, RecoverError, hard_state, perform, segment_name};

use super::kept::Brief;
use super::process::Input;
use super::server::{Common, Job, options, state_of};
use super::world::{Event, MS, World};
use crate::wal::sim_disk::{Fault, SimDisk};

impl World {
    pub fn give_job(&mut self, place: usize, job: Job) {
        self.servers[place].jobs.push(job);
        if self.servers[place].jobs.len() == 1 {
            self.begin_job(place);
        }
    }

    fn begin_job(&mut self, place: usize) {
        let mut after = 30 + self.rng.below(self.faults.sync_us);
        if self.faults.stalled.contains(&place) {
            after += self.rng.below(2_500 * MS);
        }
        let epoch = self.servers[place].epoch;
        self.at(after, Event::JobDone { place, epoch });
    }

    pub fn job_done(&mut self, place: usize, epoch: u64) {
        let server = &mut self.servers[place];
        if server.epoch != epoch || !server.runs() || server.jobs.is_empty() {
            return;
        }
        let fails = self.faults.failing.remove(&place);
        let job = server.jobs[0].clone();
        if matches!(job, Job::Batch(_)) {
            self.remember_disks(place);
        }
        let server = &mut self.servers[place];
        let random = self.rng.next();
        if fails {
            let disk = disk_of(&job, &server.log_disk, &server.state_disk);
            disk.fail_at(disk.operations().len() + random as usize % 2, Fault::Error);
            self.counts.sync_errors += 1;
        }
        let worked;
        let done = match &job {
            Job::Batch(batch) => {
                let result = perform(&mut server.log_disk, batch);
                worked = result.is_ok();
                if worked {
                    server.kept.synced(batch);
                }
                Done::Batch { batch_no: batch.number, result, sync_us: 0 }
            }
            Job::Save(file) => {
                let result = hard_state::save(&mut server.state_disk, file);
                worked = result.is_ok();
                if worked {
                    self.checker.on_saved(server.kept.hard_state, state_of(file));
                    server.kept.hard_state = state_of(file);
                    server.kept.copy = file.copy;
                    server.kept.met.clone_from(&file.met);
                }
                Done::HardState { hard_state: file.clone(), result }
            }
        };
        if worked {
            server.jobs.remove(0);
            if !server.jobs.is_empty() {
                self.begin_job(place);
            }
        }
        self.tell(place, 0, Input::Disk(done));
    }

    /// A process has ended: what its threads had under way is done in part.
    pub fn end_jobs(&mut self, place: usize) {
        let server = &mut self.servers[place];
        // Jobs behind the first had not begun.
        server.jobs.truncate(1);
        for job in &server.jobs {
            let disk = disk_of(job, &server.log_disk, &server.state_disk);
            let at = disk.operations().len() + self.rng.below(3) as usize;
            disk.fail_at(at, Fault::Crash);
            let _ = match job {
                Job::Batch(batch) => perform(&mut server.log_disk, batch).is_ok(),
                Job::Save(file) => hard_state::save(&mut server.state_disk, file).is_ok(),
            };
            self.counts.torn_tails += 1;
        }
        if let Some(request) = server.spare.take() {
            let disk = &mut server.log_disk;
            disk.fail_at(disk.operations().len() + self.rng.below(8) as usize, Fault::Crash);
            let _ = wal::make_spare(disk, &request);
        }
    }

    /// What a later process finds: what the page cache has or, without power, what was synced and
    /// any subset of the rest.
    pub fn restart_disks(&mut self, place: usize, power: bool) {
        let server = &self.servers[place];
        for disk in [&server.log_disk, &server.state_disk] {
            if power {
                self.counts.unsynced_lost += u64::from(disk.unsynced() > 0);
                disk.restart_somehow();
            } else {
                disk.restart_process();
            }
        }
        // The next start may be cut short as well.
        if self.chance(self.faults.crash_in_recovery) {
            let at = self.rng.below(12) as usize;
            self.servers[place].log_disk.fail_at(at, Fault::Crash);
        }
    }

    /// Entries read back from a log that is being written; None where one is not what its place says.
    pub fn read(&mut self, place: usize, locations: &[Location]) -> Option<Vec<Vec<u8>>> {
        let disk = &mut self.servers[place].log_disk;
        let payloads: Option<Vec<Vec<u8>>> =
            locations.iter().map(|location| read_record(disk, location)).collect();
        assert!(payloads.is_some(), "what is persisted can be read: {locations:?}");
        payloads
    }

    /// Something happens to a log at rest, unless too few would be left to elect a PRIMARY. Damage that
    /// looks like a write that was cut short cannot be told from one: it is left out.
    pub fn damage(&mut self, place: usize) {
        // Nobody restores one that has not formed its cluster yet: it does not start.
        if !self.servers[place].took_part || !self.may_lose(place) {
            return;
        }
        let disk = self.servers[place].log_disk.fork();
        disk.fail_no_more();
        let mut files: Vec<_> = disk.snapshot().into_iter().collect();
        files.retain(|(name, _)| name.ends_with(".wal"));
        let segments: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
        files.retain(|(_, bytes)| !bytes.is_empty());
        if files.is_empty() {
            return;
        }
        let (name, mut bytes) = files[self.rng.below(files.len() as u64) as usize].clone();
        let (at, kind) = (self.rng.below(bytes.len() as u64) as usize, self.rng.below(5));
        let sector = at & !511..bytes.len().min((at & !511) + 512);
        match kind {
            0 => bytes[at] ^= 1 << self.rng.below(8),
            1 => bytes[sector].fill(0),
            _ => bytes.truncate(at),
        }
        let harm = |disk: &SimDisk| match kind {
            3 => disk.lose(&name),
            4 => segments.iter().for_each(|name| disk.lose(name)),
            _ => disk.set_content(&name, &bytes),
        };
        harm(&disk);
        let state = hard_state::load(&mut self.servers[place].state_disk.fork()).ok().flatten();
        let there = state.map_or(Ok(()), |state| wal::check_there(&mut disk.clone(), &state));
        let read =
            |()| wal::recover(&mut disk.clone(), &options(&self.common), &mut |_, _, _| Ok(()));
        let result = there.and_then(read);
        if !matches!(result, Err(RecoverError::Corrupt { .. })) {
            self.counts.damage_left_out += 1;
            return;
        }
        self.note_of(place, &format!("has {name} damaged at byte {at}, kind {kind}"));
        self.counts.damaged += 1;
        self.lost_at = self.now_us;
        // What can be read may name nobody else: then it starts once others are listed.
        let flags = self.list_with(place);
        let server = &mut self.servers[place];
        if server.flags.len() == 1 {
            server.flags = flags;
        }
        harm(&server.log_disk);
        server.is_damaged = true;
    }

    /// What would a loss of power everywhere leave now? A majority must have all that is committed; of
    /// those whose logs were damaged or lost, it is what they had. The members that count are the
    /// newest that are committed; for what was committed under newer ones, those.
    pub fn check_disks(&mut self) {
        self.counts.durable_checks += 1;
        let newest = self.checker.configs.newest();
        let found: BTreeMap<ServerId, Vec<Brief>> = self
            .servers
            .iter()
            .filter(|server| !server.is_restoring() && server.id != ServerId(0))
            .map(|server| {
                let disk = server.log_disk.fork();
                disk.restart(|_| false);
                disk.set_capacity(u64::MAX);
                (server.id, recovered(disk, &self.common))
            })
            .collect();
        for (index, entry) in (1..).zip(&self.checker.committed) {
            let under = if entry.under.index >= newest.index { &entry.under } else { &newest };
            let has = |id: &ServerId| match found.get(id) {
                Some(found) => found.get(index as usize - 1) == Some(&entry.brief),
                None => {
                    let kept = self.checker.kept_of(*id, &self.servers);
                    kept.is_some_and(|kept| kept.had(index, entry.brief))
                }
            };
            let alone = [LONE];
            let (copies, majority) = match under.members.is_empty() {
                true => (alone.iter().filter(|id| has(id)).count(), 1),
                false => (under.voters().filter(has).count(), under.quorum()),
            };
            assert!(copies >= majority, "entry {index} would be lost with the power");
        }
    }
}

fn disk_of<'a>(job: &Job, log: &'a SimDisk, state: &'a SimDisk) -> &'a SimDisk {
    match job {
        Job::Batch(_) => log,
        Job::Save(_) => state,
    }
}

pub fn read_record(disk: &mut SimDisk, location: &Location) -> Option<Vec<u8>> {
    let name = segment_name(location.segment);
    let mut header = [0; HEADER_BYTES];
    disk.read_at(&name, 0, &mut header).ok()?;
    let salt = Header::decode(&header).ok()?.salt;
    let mut bytes = vec![0; location.length as usize];
    disk.read_at(&name, location.offset.into(), &mut bytes).ok()?;
    let record = record_of(&bytes, salt, location.offset).ok()?;
    assert_eq!(record.padded().next_multiple_of(8), record.padded());
    Some(bytes[RECORD_HEADER_BYTES..].to_vec())
}

/// The entries that the real recovery finds.
fn recovered(mut disk: SimDisk, common: &Common) -> Vec<Brief> {
    let mut found = Vec::new();
    let mut visit = |_: u64, term: u64, payload: &[u8]| {
        found.push(Brief { term, crc: crc32fast::hash(payload) });
        Ok(())
    };
    let Ok((_, report)) = wal::recover(&mut disk, &options(common), &mut visit) else {
        // A disk that was never started, or has no room, has nothing.
        return Vec::new();
    };
    found.extend(report.tail.iter().map(Brief::of));
    found
}
