//! What a log's records, read in order, come to: which entries there are, where, and which of
//! them are committed. Checks that the records are ones that a [`Wal`](super::Wal) would append.

use super::Location;
use super::format::{Kind, Record};
use super::locations::Locations;
use super::recovery::{Entry, Visit};

/// The batch of the last record read.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastBatch {
    /// 0: no record was read.
    pub(super) number: u64,
    /// Its place: the segment's position in the chain, and the offset of its first record.
    pub(super) position: usize,
    pub(super) offset: u32,
    /// Whether its mark was read.
    pub(super) closed: bool,
    /// Whether it has more than its mark.
    pub(super) has_changes: bool,
}

/// Why a record cannot come where it does.
#[derive(Debug)]
pub(super) enum Refused {
    /// No run of the server writes this.
    Impossible(String),
    /// The visitor did not take entry `index`.
    Visit { index: u64, why: String },
}

pub(super) struct Replay<'v> {
    pub(super) locations: Locations,
    pub(super) commit: u64,
    pub(super) batch: LastBatch,
    pending: Pending,
    visit: &'v mut Visit<'v>,
}

impl<'v> Replay<'v> {
    pub(super) fn new(visit: &'v mut Visit<'v>) -> Replay<'v> {
        let batch = LastBatch {
            number: 0,
            position: 0,
            offset: super::format::RECORDS_START,
            closed: true,
            has_changes: false,
        };
        let (locations, pending) = (Locations::new(1), Pending::default());
        Replay { locations, commit: 0, batch, pending, visit }
    }

    /// The batch to which what stands behind the last record belongs.
    pub(super) fn next_batch(&self) -> u64 {
        if self.batch.closed { self.batch.number + 1 } else { self.batch.number }
    }

    /// Takes the next record. `position` is its segment's in the chain.
    pub(super) fn take(
        &mut self,
        record: &Record<'_>,
        position: usize,
        location: Location,
    ) -> Result<(), Refused> {
        self.enter_batch(record, position, location)?;
        match record.kind {
            Kind::Entry => self.on_entry(record, location),
            Kind::Truncate => self.on_truncate(record.index),
            Kind::Mark => {
                self.batch.closed = true;
                self.commit = self.commit.max(record.index);
                self.visit_committed()
            }
        }
    }

    /// The entries that are not known to be committed.
    pub(super) fn into_tail(mut self) -> Result<(Locations, u64, Vec<Entry>), Refused> {
        self.visit_committed()?;
        let tail = self.pending.iter().map(|(index, term, payload)| Entry {
            term,
            index,
            payload: payload.to_vec(),
        });
        let tail = tail.collect();
        let commit = self.commit.min(self.locations.last());
        Ok((self.locations, commit, tail))
    }

    fn enter_batch(
        &mut self,
        record: &Record<'_>,
        position: usize,
        location: Location,
    ) -> Result<(), Refused> {
        let expected = self.next_batch();
        if record.batch != expected {
            let why = format!(
                "a record of batch {} stands where batch {expected} goes on or begins",
                record.batch
            );
            return Err(Refused::Impossible(why));
        }
        if self.batch.closed {
            self.batch = LastBatch {
                number: record.batch,
                position,
                offset: location.offset,
                closed: false,
                has_changes: false,
            };
        }
        self.batch.has_changes |= record.kind != Kind::Mark;
        Ok(())
    }

    fn on_entry(&mut self, record: &Record<'_>, location: Location) -> Result<(), Refused> {
        let last = self.locations.last();
        if record.index != last + 1 {
            let why = format!("entry {} stands behind entry {last}", record.index);
            return Err(Refused::Impossible(why));
        }
        let last_term = self.locations.term(last).unwrap_or(0);
        if record.term < last_term {
            let why =
                format!("an entry of term {} stands behind one of term {last_term}", record.term);
            return Err(Refused::Impossible(why));
        }
        self.locations.push(record.term, location);
        self.pending.push(record.index, record.term, record.payload);
        Ok(())
    }

    fn on_truncate(&mut self, index: u64) -> Result<(), Refused> {
        if index <= self.commit {
            let why =
                format!("entries from {index} on are cut, though {} are committed", self.commit);
            return Err(Refused::Impossible(why));
        }
        self.locations.truncate_from(index);
        self.pending.truncate_from(index);
        Ok(())
    }

    fn visit_committed(&mut self) -> Result<(), Refused> {
        while let Some((index, term, payload)) = self.pending.first() {
            if index > self.commit {
                break;
            }
            (self.visit)(index, term, payload).map_err(|why| Refused::Visit { index, why })?;
            self.pending.drop_first();
        }
        Ok(())
    }
}

/// Entries read but not yet known to be committed: their payloads in one buffer.
#[derive(Debug, Default)]
pub(super) struct Pending {
    payloads: Vec<u8>,
    entries: Vec<PendingEntry>,
    /// How many of `entries` are visited already.
    visited: usize,
}

#[derive(Debug)]
struct PendingEntry {
    index: u64,
    term: u64,
    start: usize,
}

impl Pending {
    pub(super) fn push(&mut self, index: u64, term: u64, payload: &[u8]) {
        self.entries.push(PendingEntry { index, term, start: self.payloads.len() });
        self.payloads.extend_from_slice(payload);
    }

    pub(super) fn truncate_from(&mut self, index: u64) {
        let keep = self.entries.partition_point(|entry| entry.index < index);
        assert!(keep >= self.visited, "what was visited is committed, and never cut");
        if let Some(first_cut) = self.entries.get(keep) {
            self.payloads.truncate(first_cut.start);
            self.entries.truncate(keep);
        }
    }

    pub(super) fn first(&self) -> Option<(u64, u64, &[u8])> {
        (self.visited < self.entries.len()).then(|| self.entry(self.visited))
    }

    pub(super) fn drop_first(&mut self) {
        self.visited += 1;
        if self.visited == self.entries.len() {
            self.entries.clear();
            self.payloads.clear();
            self.visited = 0;
        } else if self.visited >= 1024 && self.visited * 2 >= self.entries.len() {
            let start = self.entries[self.visited].start;
            self.payloads.drain(..start);
            self.entries.drain(..self.visited);
            for entry in &mut self.entries {
                entry.start -= start;
            }
            self.visited = 0;
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u64, u64, &[u8])> {
        (self.visited..self.entries.len()).map(|at| self.entry(at))
    }

    fn entry(&self, at: usize) -> (u64, u64, &[u8]) {
        let entry = &self.entries[at];
        let end = self.entries.get(at + 1).map_or(self.payloads.len(), |next| next.start);
        (entry.index, entry.term, &self.payloads[entry.start..end])
    }
}
