//! What a log's records, read in order, come to: which entries there are, where, and which of
//! them are committed. Checks that the records are ones that a [`Wal`](super::Wal) would append.

use super::Location;
use super::format::{Kind, Record};
use super::locations::Locations;
use crate::limits;

/// What entries are handed to, in order: index, term, payload. An error stops the recovery.
pub type Visit<'v> = dyn FnMut(u64, u64, &[u8]) -> Result<(), String> + 'v;

/// Says whether the payload of an entry can be read, or why not.
pub type Readable = fn(&[u8]) -> Result<(), String>;

/// Takes whatever an entry holds.
pub fn any_payload(_: &[u8]) -> Result<(), String> {
    Ok(())
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The election epoch it was proposed in.
    pub term: u64,
    /// Its place in the log, from 1.
    pub index: u64,
    /// Opaque.
    pub payload: Vec<u8>,
}

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

/// A record that is refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// Where it is.
    pub(super) location: Location,
    /// The entry that the visitor did not take. `None`: no run of the server writes the record.
    pub(super) entry: Option<u64>,
    pub(super) why: String,
}

pub(super) struct Replay<'v> {
    pub(super) locations: Locations,
    pub(super) commit: u64,
    pub(super) batch: LastBatch,
    /// How many records were taken.
    pub(super) records: u64,
    pending: Pending,
    visit: &'v mut Visit<'v>,
    /// Whether the first batch and the first entry may have any number.
    anywhere: bool,
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
        Replay { locations, commit: 0, batch, records: 0, pending, visit, anywhere: false }
    }

    /// Does not remember where entries are, which takes 8 bytes for each.
    pub(super) fn without_places(self) -> Replay<'v> {
        Replay { locations: Locations::without_places(1), ..self }
    }

    /// Takes records of a part of a log, which may begin with any batch and entry.
    pub(super) fn beginning_anywhere(self) -> Replay<'v> {
        Replay { anywhere: true, ..self }
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
        let impossible = |why| Refused { location, entry: None, why };
        self.enter_batch(record, position, location).map_err(impossible)?;
        if record.index > limits::WAL_INDEX {
            return Err(impossible(format!("no log has an entry {}", record.index)));
        }
        self.records += 1;
        match record.kind {
            Kind::Entry => self.on_entry(record, location).map_err(impossible),
            Kind::Truncate => self.on_truncate(record.index).map_err(impossible),
            Kind::Mark => {
                self.batch.closed = true;
                self.commit = self.commit.max(record.index);
                self.visit_committed()
            }
        }
    }

    /// Behind the last record: hands over what is committed, and asks whether the rest can be read.
    pub(super) fn finish(&mut self, readable: Readable) -> Result<(), Refused> {
        self.visit_committed()?;
        for entry in self.pending.iter() {
            let Pended { index, location, payload, .. } = entry;
            readable(payload).map_err(|why| Refused { location, entry: Some(index), why })?;
        }
        Ok(())
    }

    /// After [`finish`](Replay::finish): where entries are, the last that is known to be committed,
    /// and those behind it.
    pub(super) fn into_tail(self) -> (Locations, u64, Vec<Entry>) {
        let tail = self.pending.iter().map(|Pended { index, term, payload, .. }| Entry {
            term,
            index,
            payload: payload.to_vec(),
        });
        let tail = tail.collect();
        let commit = self.commit.min(self.locations.last());
        (self.locations, commit, tail)
    }

    fn enter_batch(
        &mut self,
        record: &Record<'_>,
        position: usize,
        location: Location,
    ) -> Result<(), String> {
        let expected = self.next_batch();
        let any = self.anywhere && self.records == 0;
        if record.batch != expected && !any {
            return Err(format!(
                "a record of batch {} is in the place of batch {expected}",
                record.batch
            ));
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
        // A batch is within one segment.
        let bytes = (location.offset - self.batch.offset) as usize + record.padded() as usize;
        if bytes > limits::WAL_BATCH_BYTES {
            let most = limits::WAL_BATCH_BYTES;
            return Err(format!("batch {} has more than {most} bytes", record.batch));
        }
        self.batch.has_changes |= record.kind != Kind::Mark;
        Ok(())
    }

    fn on_entry(&mut self, record: &Record<'_>, location: Location) -> Result<(), String> {
        let Record { term, index, .. } = *record;
        if self.anywhere && self.is_empty() {
            self.locations = Locations::without_places(index);
        }
        let last = self.locations.last();
        if index != last + 1 {
            return Err(format!("entry {index} follows entry {last}"));
        }
        if !(1..=limits::RAFT_TERM).contains(&term) {
            return Err(format!("entry {index} has term {term}, which is impossible"));
        }
        let last_term = self.locations.term(last).unwrap_or(0);
        if term < last_term {
            return Err(format!("entry {index} of term {term} follows one of term {last_term}"));
        }
        self.locations.push(term, location);
        self.pending.push(Pended { index, term, location, payload: record.payload });
        Ok(())
    }

    fn on_truncate(&mut self, index: u64) -> Result<(), String> {
        if index <= self.commit {
            let commit = self.commit;
            return Err(format!("entries from {index} on are cut, though {commit} are committed"));
        }
        if self.anywhere && index <= self.locations.first() {
            // What was there before is not known; the next entry says where it goes on.
            self.locations = Locations::without_places(index);
        }
        self.locations.truncate_from(index);
        self.pending.truncate_from(index);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.locations.last() < self.locations.first()
    }

    fn visit_committed(&mut self) -> Result<(), Refused> {
        while let Some(Pended { index, term, location, payload }) = self.pending.first() {
            if index > self.commit {
                break;
            }
            let visited = (self.visit)(index, term, payload);
            visited.map_err(|why| Refused { location, entry: Some(index), why })?;
            self.pending.drop_first();
        }
        Ok(())
    }
}

/// Bytes of payloads that were visited and are still kept, at most, where little else is.
const DROP_BYTES: usize = 1 << 20;

/// An entry that was read and is not known to be committed.
#[derive(Clone, Copy, Debug)]
struct Pended<'a> {
    index: u64,
    term: u64,
    location: Location,
    payload: &'a [u8],
}

/// Entries read but not yet known to be committed: their payloads in one buffer.
#[derive(Debug, Default)]
struct Pending {
    payloads: Vec<u8>,
    entries: Vec<PendingEntry>,
    /// How many of `entries` are visited already.
    visited: usize,
}

#[derive(Debug)]
struct PendingEntry {
    index: u64,
    term: u64,
    location: Location,
    start: usize,
}

impl Pending {
    fn push(&mut self, entry: Pended<'_>) {
        let Pended { index, term, location, payload } = entry;
        self.entries.push(PendingEntry { index, term, location, start: self.payloads.len() });
        self.payloads.extend_from_slice(payload);
    }

    fn truncate_from(&mut self, index: u64) {
        let keep = self.entries.partition_point(|entry| entry.index < index);
        assert!(keep >= self.visited, "what was visited is committed, and never cut");
        if let Some(first_cut) = self.entries.get(keep) {
            self.payloads.truncate(first_cut.start);
            self.entries.truncate(keep);
        }
    }

    fn first(&self) -> Option<Pended<'_>> {
        (self.visited < self.entries.len()).then(|| self.entry(self.visited))
    }

    fn drop_first(&mut self) {
        self.visited += 1;
        if self.visited == self.entries.len() {
            self.entries.clear();
            self.payloads.clear();
            self.visited = 0;
            return;
        }
        let start = self.entries[self.visited].start;
        // What was visited goes once it is half of all, so that each byte is moved once at most.
        let many = self.visited >= 1024 && self.visited * 2 >= self.entries.len();
        if many || start >= DROP_BYTES && start * 2 >= self.payloads.len() {
            self.payloads.drain(..start);
            self.entries.drain(..self.visited);
            for entry in &mut self.entries {
                entry.start -= start;
            }
            self.visited = 0;
        }
    }

    fn iter(&self) -> impl Iterator<Item = Pended<'_>> {
        (self.visited..self.entries.len()).map(|at| self.entry(at))
    }

    fn entry(&self, at: usize) -> Pended<'_> {
        let entry = &self.entries[at];
        let PendingEntry { index, term, location, start } = *entry;
        let end = self.entries.get(at + 1).map_or(self.payloads.len(), |next| next.start);
        Pended { index, term, location, payload: &self.payloads[start..end] }
    }
}
