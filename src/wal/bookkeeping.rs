//! [`Wal`]: the log as the server's loop knows it. Pure: it lays out records and remembers where
//! they are; [`perform`](super::perform) writes them.

use std::collections::VecDeque;

use super::format::{
    ALIGNMENT, Header, Identity, Kind, RECORD_HEADER_BYTES, RECORDS_START, Record, padded,
};
use super::locations::Locations;
use super::perform::{SpareRequest, SpareState};
use super::{Batch, Location};
use crate::limits;
use crate::mutants::{Mutant, planted};

/// Bytes of the mark that closes a batch.
pub(super) const MARK_BYTES: u32 = RECORD_HEADER_BYTES as u32;

/// A batch is written up to a multiple of this, the unit in which systems keep files in memory.
pub(super) const BLOCK_BYTES: u32 = 4_096;

/// The log, from the loop's side. Never does I/O.
///
/// What holds at all times:
///
/// * `persisted_index() <= last_index()`, and every entry up to the persisted index is durable.
/// * At most one batch is in flight: the next is taken only when it was reported durable.
/// * The records of gathered batches lie one behind the other, in the order of their batches, each
///   batch within one segment and closed by its mark.
/// * A batch is handed out only when its segment is on the disk.
#[derive(Debug)]
pub struct Wal {
    identity: Identity,
    segment_bytes: u32,
    /// Salts are made from this and the segment's number.
    seed: u64,
    locations: Locations,
    persisted: u64,
    commit: u64,
    /// Where the next record goes.
    cursor: Cursor,
    /// The number of the next batch that is begun.
    next_batch: u64,
    /// Batches being gathered, oldest first; only the last still takes records.
    gathered: VecDeque<Gathered>,
    in_flight: Option<InFlight>,
    /// True while the last batch taken has changes and no later batch is behind it.
    unproven: bool,
    /// The newest segment that is on the disk.
    newest: u64,
    spare_asked: bool,
    spare_failed: bool,
    segments: usize,
    bytes: u64,
}

/// The segment that takes records, and how far it is filled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub(super) segment: u64,
    pub(super) salt: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

impl Cursor {
    fn room(&self) -> u32 {
        self.length - self.offset
    }
}

/// What recovery found, from which a [`Wal`] goes on.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) identity: Identity,
    pub(super) segment_bytes: u32,
    pub(super) seed: u64,
    pub(super) locations: Locations,
    pub(super) commit: u64,
    pub(super) cursor: Cursor,
    pub(super) next_batch: u64,
    pub(super) unproven: bool,
    pub(super) newest: u64,
    pub(super) segments: usize,
    pub(super) bytes: u64,
}

#[derive(Debug)]
struct Gathered {
    number: u64,
    segment: u64,
    salt: u32,
    offset: u32,
    /// The segment's.
    length: u32,
    bytes: Vec<u8>,
    /// The last entry that lives once this batch is durable.
    last_index: u64,
    has_changes: bool,
}

#[derive(Debug)]
struct InFlight {
    number: u64,
    last_index: u64,
}

impl Wal {
    pub(super) fn start(start: Start) -> Wal {
        Wal {
            identity: start.identity,
            segment_bytes: start.segment_bytes,
            seed: start.seed,
            persisted: start.locations.last(),
            locations: start.locations,
            commit: start.commit,
            cursor: start.cursor,
            next_batch: start.next_batch,
            gathered: VecDeque::new(),
            in_flight: None,
            unproven: start.unproven,
            newest: start.newest,
            spare_asked: false,
            spare_failed: false,
            segments: start.segments,
            bytes: start.bytes,
        }
    }

    /// Appends an entry: `index` is the one behind the last, `payload` at most
    /// [`WAL_ENTRY_BYTES`](limits::WAL_ENTRY_BYTES) long.
    pub fn append_entry(&mut self, term: u64, index: u64, payload: &[u8]) {
        assert_eq!(index, self.last_index() + 1, "entries are appended in order");
        assert!(payload.len() <= limits::WAL_ENTRY_BYTES, "an entry's payload is bounded");
        let last_term = self.locations.term(self.last_index()).unwrap_or(0);
        assert!(term >= last_term, "terms never go back: {term} behind {last_term}");
        let location = self.append(Kind::Entry, term, index, payload);
        self.locations.push(term, location);
        self.gathered_last().last_index = index;
        self.check_invariants();
    }

    /// Appends that entries from `index` on are cut. They are not committed.
    pub fn truncate_from(&mut self, index: u64) {
        assert!(index > self.commit, "entry {index} is committed: it is never cut");
        if index > self.last_index() {
            return;
        }
        self.append(Kind::Truncate, 0, index, &[]);
        self.locations.truncate_from(index);
        let last_index = self.locations.last();
        self.persisted = self.persisted.min(last_index);
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.last_index = in_flight.last_index.min(last_index);
        }
        for batch in &mut self.gathered {
            batch.last_index = batch.last_index.min(last_index);
        }
        self.check_invariants();
    }

    /// Gathers a batch that holds nothing but its mark, and so proves the batch before it. Does
    /// nothing where something is gathered already, which proves as much.
    pub fn append_mark(&mut self) {
        if self.gathered.is_empty() {
            self.begin_batch(0);
        }
        self.check_invariants();
    }

    /// True when a mark is worth appending: the last batch has no later one behind it.
    pub fn mark_due(&self) -> bool {
        self.unproven && self.is_idle()
    }

    /// Nothing is gathered and nothing is being written.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.gathered.is_empty()
    }

    /// The commit index that the last batch taken has on the disk.
    pub fn commit(&self) -> u64 {
        self.commit
    }

    /// Takes what has gathered, as far as one batch holds it, to be written. `commit` is the
    /// commit index known now. `None`: nothing gathered, a batch in flight, or the segment it goes
    /// to not made yet.
    pub fn take_batch(&mut self, commit: u64) -> Option<Batch> {
        let waits = self.in_flight.is_some() && !planted(Mutant::BatchBegunEarly);
        if waits || self.gathered.front()?.segment > self.newest {
            return None;
        }
        let mut batch = self.gathered.pop_front()?;
        self.commit = self.commit.max(commit);
        let (kind, number) = (Kind::Mark, batch.number);
        let mark = Record { kind, batch: number, term: 0, index: self.commit, payload: &[] };
        let at = batch.offset + batch.bytes.len() as u32;
        mark.put(&mut batch.bytes, batch.salt, at);
        // Zeros stand there anyway.
        let end = (at + MARK_BYTES).next_multiple_of(BLOCK_BYTES).min(batch.length);
        batch.bytes.resize((end - batch.offset) as usize, 0);
        self.unproven = batch.has_changes;
        self.in_flight = Some(InFlight { number, last_index: batch.last_index });
        self.check_invariants();
        let (segment, offset, bytes) = (batch.segment, batch.offset, batch.bytes);
        Some(Batch { number, segment, offset, bytes })
    }

    /// The batch in flight, which is `number`, is durable. Returns the persisted index now.
    pub fn batch_durable(&mut self, number: u64) -> u64 {
        let in_flight = self.in_flight.take().expect("a batch was in flight");
        assert_eq!(in_flight.number, number, "batches become durable in order");
        self.persisted = in_flight.last_index;
        self.check_invariants();
        self.persisted
    }

    /// The spare segment to be made now, told once: hand it to
    /// [`Writer::make_spare`](super::Writer::make_spare).
    pub fn spare_wanted(&mut self) -> Option<SpareRequest> {
        let writing = self.gathered.front().map_or(self.cursor.segment, |batch| batch.segment);
        if self.spare_asked || writing < self.newest {
            return None;
        }
        self.spare_asked = true;
        let number = self.newest + 1;
        Some(SpareRequest {
            header: Header {
                identity: self.identity,
                number,
                salt: salt(self.seed, number),
                length: self.segment_bytes,
                follows: self.newest,
                follows_at: 0,
            },
        })
    }

    /// What became of the spare that was asked for. After a failure its maker tries again.
    pub fn spare_changed(&mut self, state: &SpareState) {
        match state {
            SpareState::Ready => {
                assert!(self.spare_asked, "a spare was asked for");
                self.newest += 1;
                self.segments += 1;
                self.bytes += u64::from(self.segment_bytes);
                self.spare_asked = false;
                self.spare_failed = false;
            }
            SpareState::Failed(_) => self.spare_failed = true,
        }
        self.check_invariants();
    }

    /// True while no spare segment can be made: changes are refused with `disk-full` before they
    /// are proposed. What was accepted before still has the rest of the active segment.
    pub fn full(&self) -> bool {
        self.spare_failed
    }

    /// Whether entries with payloads of `bytes` altogether, each in a batch of its own at worst, have
    /// room in the segments that are on the disk. Where they have not, they would wait until the
    /// next one is, which may be never: better not to accept them.
    pub fn has_room(&self, count: usize, bytes: usize) -> bool {
        let overhead = (RECORD_HEADER_BYTES + ALIGNMENT) as u64 + u64::from(MARK_BYTES);
        let wanted = bytes as u64 + count as u64 * overhead;
        if self.cursor.segment > self.newest {
            return false;
        }
        let here = u64::from(self.cursor.room());
        if wanted <= here {
            return true;
        }
        // What does not fit here begins the next segment, so that of this one's room less than an
        // entry may be of no use.
        let spares = self.newest - self.cursor.segment;
        let each = u64::from(self.segment_bytes - RECORDS_START);
        spares > 0 && wanted <= spares * each
    }

    /// Where a persisted entry is.
    pub fn location(&self, index: u64) -> Option<Location> {
        if index <= self.persisted { self.locations.location(index) } else { None }
    }

    /// The term of an entry, persisted or not.
    pub fn term(&self, index: u64) -> Option<u64> {
        self.locations.term(index)
    }

    /// The terms of the entries, in runs: the first index of each, and its term.
    pub fn term_runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.locations.term_runs()
    }

    /// The batch that takes what is appended now, or took what was appended last.
    pub fn newest_batch(&self) -> u64 {
        self.next_batch - 1
    }

    /// The first entry's index, also where there is none yet.
    pub fn first_index(&self) -> u64 {
        self.locations.first()
    }

    /// The last entry's index, persisted or not; `first_index() - 1` where there is none.
    pub fn last_index(&self) -> u64 {
        self.locations.last()
    }

    /// The last entry that is durable here.
    pub fn persisted_index(&self) -> u64 {
        self.persisted
    }

    /// Bytes that wait to be taken.
    pub fn gathered_bytes(&self) -> usize {
        self.gathered.iter().map(|batch| batch.bytes.len()).sum()
    }

    /// True while a batch that was taken is not yet durable.
    pub fn in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// How many segments there are, the spare among them.
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Bytes of the disk that the segments take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of memory that knowing where entries are takes.
    pub fn memory_bytes(&self) -> usize {
        self.locations.memory_bytes()
    }

    /// Lays out a record behind what has gathered.
    fn append(&mut self, kind: Kind, term: u64, index: u64, payload: &[u8]) -> Location {
        let length = padded((RECORD_HEADER_BYTES + payload.len()) as u32);
        let fits = self.gathered.back().is_some_and(|batch| {
            let bytes = batch.bytes.len() as u32 + length + MARK_BYTES;
            // The open batch's own mark has its place in the cursor already.
            length <= self.cursor.room() && bytes as usize <= limits::WAL_BATCH_BYTES
        });
        if !fits {
            self.begin_batch(length);
        }
        let batch = self.gathered.back_mut().expect("a batch was just begun");
        let offset = batch.offset + batch.bytes.len() as u32;
        let record = Record { kind, batch: batch.number, term, index, payload };
        record.put(&mut batch.bytes, batch.salt, offset);
        batch.has_changes = true;
        self.cursor.offset += length;
        Location { segment: batch.segment, offset, length: record.length() }
    }

    /// Begins a batch with room for `length` bytes and its mark, in the next segment where this
    /// one has none.
    fn begin_batch(&mut self, length: u32) {
        if self.cursor.room() < length + MARK_BYTES {
            let segment = self.cursor.segment + 1;
            let salt = salt(self.seed, segment);
            self.cursor =
                Cursor { segment, salt, offset: RECORDS_START, length: self.segment_bytes };
        }
        assert!(self.cursor.room() >= length + MARK_BYTES, "a segment has room for any record");
        let Cursor { segment, salt, offset, length } = self.cursor;
        let last_index = self.last_index();
        let number = self.next_batch;
        self.next_batch += 1;
        self.cursor.offset += MARK_BYTES;
        let (bytes, has_changes) = (Vec::new(), false);
        let batch =
            Gathered { number, segment, salt, offset, length, bytes, last_index, has_changes };
        self.gathered.push_back(batch);
    }

    fn gathered_last(&mut self) -> &mut Gathered {
        self.gathered.back_mut().expect("something was just appended")
    }

    fn check_invariants(&self) {
        debug_assert!(self.persisted <= self.last_index(), "what is persisted is in the log");
        debug_assert!(self.cursor.offset <= self.cursor.length, "records stay in their segment");
        debug_assert!(
            self.in_flight.as_ref().is_none_or(|batch| batch.last_index <= self.last_index()),
            "a batch makes nothing durable that was cut"
        );
        debug_assert!(
            self.gathered.iter().is_sorted_by_key(|batch| (batch.segment, batch.number)),
            "batches are written in order"
        );
    }
}

/// The salt of segment `number`: SplitMix64 of both.
pub(super) fn salt(seed: u64, number: u64) -> u32 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT_BYTES: u32 = 64 << 20;

    fn new(segment_bytes: u32) -> Wal {
        let cursor = Cursor { segment: 1, salt: 1, offset: RECORDS_START, length: segment_bytes };
        Wal::start(Start {
            identity: Identity { cluster: [1; 16] },
            segment_bytes,
            seed: 1,
            locations: Locations::new(1),
            commit: 0,
            cursor,
            next_batch: 1,
            unproven: false,
            newest: 1,
            segments: 1,
            bytes: u64::from(segment_bytes),
        })
    }

    fn append(wal: &mut Wal, term: u64, count: u64) {
        for _ in 0..count {
            wal.append_entry(term, wal.last_index() + 1, b"payload");
        }
    }

    #[test]
    fn room_is_what_the_segments_on_the_disk_have_left() {
        let mut wal = new(8 << 10);
        let room = |wal: &Wal| (1..=10_000).take_while(|&bytes| wal.has_room(1, bytes)).last();
        assert_eq!(
            room(&wal),
            Some((4 << 10) - 32 - 8 - 32),
            "a segment's records, and their frame"
        );
        assert!(!wal.has_room(2, (4 << 10) - 2 * 72 + 1), "each entry has a frame of its own");
        wal.append_entry(1, 1, &[0; 3_000]);
        assert!(wal.has_room(1, 900) && !wal.has_room(1, 1_000), "no spare is there");
        let request = wal.spare_wanted().expect("a spare is wanted");
        assert_eq!(request.header.number, 2);
        wal.spare_changed(&SpareState::Ready);
        assert!(wal.has_room(1, 1_000), "the spare takes what does not fit here");
        assert!(wal.has_room(1, 4_000) && !wal.has_room(2, 4_000), "and no more than it has");
        wal.append_entry(1, 2, &[0; 2_000]);
        wal.append_entry(1, 3, &[0; 2_500]);
        assert!(!wal.has_room(1, 1), "the next entry may wait for a segment that is not there");
    }

    #[test]
    fn entries_are_persisted_when_their_batch_is_durable_and_not_before() {
        let mut wal = new(SEGMENT_BYTES);
        append(&mut wal, 1, 3);
        assert_eq!((wal.last_index(), wal.persisted_index()), (3, 0));
        assert_eq!(wal.location(1), None);
        let batch = wal.take_batch(0).expect("something is gathered");
        append(&mut wal, 1, 2);
        assert_eq!(wal.take_batch(0), None, "one batch is in flight at a time");
        assert_eq!(wal.persisted_index(), 0);
        assert_eq!(wal.batch_durable(batch.number), 3);
        assert!(wal.location(3).is_some());
        assert_eq!(wal.location(4), None);
        let next = wal.take_batch(0).expect("something is gathered");
        assert_eq!(next.number, batch.number + 1);
        let next_block = RECORDS_START + BLOCK_BYTES;
        assert!(batch.offset < next.offset && next.offset < next_block, "right behind it");
        assert_eq!(next.offset + next.bytes.len() as u32, next_block, "zeros fill the block");
        assert_eq!(wal.batch_durable(next.number), 5);
    }

    #[test]
    fn a_batch_in_flight_makes_nothing_durable_that_was_cut_meanwhile() {
        let mut wal = new(SEGMENT_BYTES);
        append(&mut wal, 1, 5);
        let first = wal.take_batch(0).expect("something is gathered");
        wal.truncate_from(3);
        append(&mut wal, 2, 4);
        assert_eq!(wal.batch_durable(first.number), 2, "3 to 5 were cut, and are others now");
        assert_eq!(wal.location(3), None);
        let second = wal.take_batch(0).expect("something is gathered");
        assert_eq!(wal.batch_durable(second.number), 6);
        assert_eq!((wal.term(2), wal.term(3)), (Some(1), Some(2)));
        wal.truncate_from(5);
        assert_eq!(wal.persisted_index(), 4, "what is cut is not persisted any more");
        wal.truncate_from(9);
        assert_eq!(wal.last_index(), 4, "there was nothing to cut");
    }

    #[test]
    #[should_panic(expected = "is committed: it is never cut")]
    fn cutting_what_is_committed_is_a_bug() {
        let mut wal = new(SEGMENT_BYTES);
        append(&mut wal, 1, 3);
        wal.take_batch(2);
        wal.truncate_from(2);
    }

    #[test]
    #[should_panic(expected = "entries are appended in order")]
    fn leaving_out_an_entry_is_a_bug() {
        new(SEGMENT_BYTES).append_entry(1, 2, b"");
    }

    #[test]
    fn more_than_a_batch_holds_goes_in_several_within_the_bound() {
        let mut wal = new(SEGMENT_BYTES);
        let payload = vec![1; 60_000];
        for index in 1..=200 {
            wal.append_entry(1, index, &payload);
        }
        assert!(wal.gathered_bytes() >= 200 * 60_000);
        let (mut batches, mut end) = (0, RECORDS_START);
        while let Some(batch) = wal.take_batch(0) {
            assert!(batch.bytes.len() <= limits::WAL_BATCH_BYTES);
            assert!(
                end - BLOCK_BYTES < batch.offset && batch.offset <= end,
                "one behind the other"
            );
            end = batch.offset + batch.bytes.len() as u32;
            batches += 1;
            wal.batch_durable(batch.number);
        }
        assert_eq!(batches, 3);
        assert_eq!(wal.persisted_index(), 200);
    }

    #[test]
    fn a_batch_that_does_not_fit_waits_for_the_next_segment() {
        let mut wal = new(RECORDS_START + 1024);
        let request = wal.spare_wanted().expect("there is no spare");
        assert_eq!((request.header.number, request.header.follows), (2, 1));
        for index in 1..=5 {
            wal.append_entry(1, index, &[0; 368]);
        }
        let take = |wal: &mut Wal| wal.take_batch(0).map(|batch| (batch.segment, batch.number));
        assert_eq!(take(&mut wal), Some((1, 1)));
        assert_eq!(wal.batch_durable(1), 2);
        assert_eq!(take(&mut wal), None, "segment 2 is not made yet");
        wal.spare_changed(&SpareState::Ready);
        assert_eq!(take(&mut wal), Some((2, 2)));
        assert_eq!(wal.batch_durable(2), 4);
        let request = wal.spare_wanted().expect("the spare is in use");
        assert_eq!((request.header.number, request.header.follows), (3, 2));
        assert_eq!(take(&mut wal), None);
        wal.spare_changed(&SpareState::Ready);
        assert_eq!(take(&mut wal), Some((3, 3)));
        assert_eq!(wal.batch_durable(3), 5);
    }

    #[test]
    fn a_mark_is_due_when_changes_have_no_later_batch_behind_them() {
        let mut wal = new(SEGMENT_BYTES);
        assert!(!wal.mark_due());
        append(&mut wal, 1, 1);
        assert!(!wal.mark_due(), "it is not even taken");
        wal.take_batch(0);
        assert!(!wal.mark_due(), "it is in flight");
        wal.batch_durable(1);
        assert!(wal.mark_due());
        wal.append_mark();
        wal.append_mark();
        let mark = wal.take_batch(1).expect("the mark");
        assert!(mark.bytes[MARK_BYTES as usize..].iter().all(|byte| *byte == 0), "nothing else");
        wal.batch_durable(mark.number);
        assert!(!wal.mark_due(), "a mark needs no mark");
        assert_eq!(wal.take_batch(1), None);
    }
}
