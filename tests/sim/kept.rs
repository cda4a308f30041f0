//! What a server's disk is known to have, said by the simulator alone: every batch and hard state
//! whose sync has returned, read from the bytes that were written. The server's own opinion is held
//! against it.

use std::collections::BTreeSet;

use chatctl::raft::{HardState, ServerId};
use chatctl::wal::boots::Met;
use chatctl::wal::{Batch, Entry};

use crate::wal::machine::{Change, changes_of};

/// An entry, as short as it can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Brief {
    /// Its term.
    pub term: u64,
    /// CRC-32 of its payload.
    pub crc: u32,
}

impl Brief {
    pub fn of(entry: &Entry) -> Brief {
        Brief { term: entry.term, crc: crc32fast::hash(&entry.payload) }
    }
}

/// The disk of one server.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The entry at index i is at i - 1.
    pub log: Vec<Brief>,
    pub hard_state: HardState,
    /// The number of the log's copy.
    pub copy: u64,
    /// The newest start that was met of each other directory.
    pub met: Vec<Met>,
    /// Logs that were damaged, as they were before.
    pub lost: Vec<Vec<Brief>>,
    /// The disk was rolled back, and something had been promised since.
    lacks: bool,
    /// Every entry that was ever there, with its index.
    ever: BTreeSet<(usize, Brief)>,
}

impl Kept {
    /// The batch's sync has returned.
    pub fn synced(&mut self, batch: &Batch) {
        for change in &changes_of(batch).0 {
            self.change(change);
        }
    }

    fn change(&mut self, change: &Change) {
        apply(&mut self.log, change);
        if let Some(last) = self.log.last() {
            self.ever.insert((self.log.len(), *last));
        }
    }

    /// The disk is lost; what it had is remembered.
    pub fn lose(&mut self) {
        self.lost.push(std::mem::take(&mut self.log));
    }

    /// The disk is as it was when it had `copy`; what it had since is remembered.
    pub fn roll_back(&mut self, copy: &Kept) {
        let lacks = !self.is_as(copy);
        let Kept { log, mut lost, mut ever, .. } = std::mem::replace(self, copy.clone());
        lost.push(log);
        ever.extend(copy.ever.iter().copied());
        (self.lost, self.ever, self.lacks) = (lost, ever, lacks);
    }

    /// Whether something was promised that the disk lacks since it was rolled back.
    pub fn lacks_what_it_had(&self) -> bool {
        self.lacks
    }

    /// Whether nothing was promised, and nobody met, since it had `copy`.
    pub fn is_as(&self, copy: &Kept) -> bool {
        let promised = |kept: &Kept| (kept.log.clone(), kept.hard_state, kept.copy);
        promised(self) == promised(copy) && self.met == copy.met
    }

    /// Whether the entry at `index` is `brief`, durably.
    pub fn has(&self, index: u64, brief: Brief) -> bool {
        self.log.get(index as usize - 1) == Some(&brief)
    }

    /// Whether the entry at `index` is `brief`, or was until the log was damaged.
    pub fn had(&self, index: u64, brief: Brief) -> bool {
        let lost = |log: &Vec<Brief>| log.get(index as usize - 1) == Some(&brief);
        self.has(index, brief) || self.lost.iter().any(lost)
    }

    /// As [`Kept::recovered`], after damage: how much is left is unknown, but it was there once.
    pub fn damaged(&mut self, found: Vec<Brief>, in_flight: Option<&Batch>) {
        self.lost.push(self.log.clone());
        for change in &in_flight.map_or(Vec::new(), |batch| changes_of(batch).0) {
            self.change(change);
        }
        let was_there = |(index, brief)| self.ever.contains(&(index, brief));
        assert!((1..).zip(found.iter().copied()).all(was_there), "what is left was there once");
        self.log = found;
    }

    /// A recovery has found `found`: it must be what was durable and, of the batch that was being
    /// written, any number of its first changes.
    pub fn recovered(&mut self, found: Vec<Brief>, in_flight: Option<&Batch>) {
        let changes = in_flight.map_or(Vec::new(), |batch| changes_of(batch).0);
        let mut log = self.log.clone();
        let mut fits = log == found;
        for change in &changes {
            apply(&mut log, change);
            fits |= log == found;
        }
        let (had, has) = (self.log.len(), found.len());
        assert!(
            fits,
            "recovered {has} entries that are not the {had} durable ones and a torn tail"
        );
        self.ever.extend((1..).zip(found.iter().copied()));
        self.log = found;
    }

    /// As [`Kept::recovered`], for term and vote.
    pub fn recovered_state(&mut self, found: HardState, in_flight: Option<HardState>) {
        let fits = found == self.hard_state || Some(found) == in_flight;
        assert!(fits, "{found:?} was read, {:?} was durable", self.hard_state);
        self.hard_state = found;
    }
}

fn apply(log: &mut Vec<Brief>, change: &Change) {
    match change {
        Change::Append(entry) => log.push(Brief::of(entry)),
        Change::TruncateFrom(index) => log.truncate(*index as usize - 1),
    }
}

/// Whom a server voted for, as text and back.
pub fn voted_for(text: &str) -> Option<ServerId> {
    text.parse().ok().map(ServerId)
}
