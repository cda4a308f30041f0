//! Entries that are read from the log, for clients' answers and for backups that lack them: at once
//! where the system has them in memory, by a thread where it has not.

use std::collections::HashMap;

use super::io::ReadJob;
use super::lines::{Line, TraceLevel};
use super::peers::mesh::Mesh;
use super::replica::Replica;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::raft::{BackupStatus, Payload, Role, ServerId, Wanted};
use crate::wal::{Location, ReadError};

/// Marks a job as one for a backup; those for clients are numbered from 1.
const WANTED_BIT: u64 = 1 << 63;

/// Reads under way for backups.
#[derive(Default)]
pub struct Reads {
    last: u64,
    jobs: HashMap<u64, Wanted>,
    /// Who is brought up to date from the disk, and up to which index it was told.
    behind: Vec<(ServerId, u64)>,
}

/// Whether a job is for a backup.
pub fn is_for_backup(id: u64) -> bool {
    id & WANTED_BIT != 0
}

/// How many of the entries, from the first on, are read where so many bytes are left for it, at least
/// one; and what is left then.
pub fn part_of(locations: &[Location], mut left: usize) -> (usize, usize) {
    let mut part = 0;
    while left > 0 && part < locations.len() {
        let bytes = locations[part].length as usize;
        left = left.saturating_sub(bytes.max(limits::TURN_ENTRIES_LEAST_BYTES));
        part += 1;
    }
    (part, left)
}

impl Reads {
    /// A read of what the core wants for a backup; none where too many are under way.
    pub fn begin(&mut self, replica: &mut Replica, wanted: Wanted) -> Option<ReadJob> {
        let locations = replica.locations_of(&wanted);
        if locations.is_empty() || self.jobs.len() >= limits::PEER_READS {
            replica.provide(&wanted, Vec::new());
            return None;
        }
        self.last += 1;
        let id = self.last | WANTED_BIT;
        self.jobs.insert(id, wanted);
        Some(ReadJob { id, locations })
    }

    /// What a read for a backup has given; nothing where it could not be done.
    pub fn done(&mut self, replica: &mut Replica, id: u64, payloads: Vec<Payload>) {
        if let Some(wanted) = self.jobs.remove(&id) {
            replica.provide(&wanted, payloads);
        }
    }

    /// Tells of a backup that is brought up to date from the disk, once.
    pub fn tell_behind(
        &mut self,
        replica: &Replica,
        mesh: &Mesh,
        wanted: &Wanted,
        lines: &mut Vec<Line>,
    ) {
        let (to, first) = (wanted.to, wanted.first);
        if self.behind.iter().any(|(id, _)| *id == to) {
            return;
        }
        let last = replica.core().last_index();
        self.behind.push((to, last));
        let name = mesh.name_of(to);
        let text = format!(
            "catch-up of {name} started: it lacks entries {first} to {last}, which are read from the \
             disk"
        );
        lines.push(Line::new(TraceLevel::Info, text));
    }

    /// Tells whose catch-up has come to where the log ended when it began.
    pub fn tell_caught_up(&mut self, replica: &Replica, mesh: &Mesh, lines: &mut Vec<Line>) {
        if self.behind.is_empty() {
            return;
        }
        let backups = replica.core().backups();
        self.behind.retain(|(id, last)| {
            let Some(backup) = backups.iter().find(|backup| backup.id == *id) else {
                // Another server is PRIMARY now, and goes on with it.
                return false;
            };
            let done = backup.match_index >= *last;
            if done {
                let name = mesh.name_of(*id);
                let text = format!("catch-up of {name} finished at entry {last}");
                lines.push(Line::new(TraceLevel::Info, text));
            }
            !done
        });
    }
}

/// Whether a server that has read something else than was written there is to end: others can go on
/// without it, and restore it.
pub fn ends_for(replica: &Replica, error: &ReadError) -> bool {
    let core = replica.core();
    let whole = |backup: &&BackupStatus| backup.votes && backup.heard && !backup.restoring;
    let others = core.backups().iter().filter(whole).count();
    if planted(Mutant::DamageGoesOn) {
        return false;
    }
    let others_go_on = others >= core.members().quorum() || planted(Mutant::DamageEndsAny);
    error.damaged && core.role() == Role::Primary && others_go_on
}
