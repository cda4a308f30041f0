//! The last step of recovery: the fresh segment that goes on where the log ends, and the removal
//! of what no longer counts. The only step that changes anything.

use std::io;

use super::bookkeeping::{BLOCK_BYTES, MARK_BYTES, salt};
use super::disk::Disk;
use super::error::{RecoverError, io_error};
use super::format::{Header, Identity, Kind, Parsed, RECORDS_START, Record};
use super::judge::Read;
use super::locations::Locations;
use super::perform::{make_segment, remake_segment};
use super::replay::LastBatch;
use super::survey::{Segment, Survey};
use super::window::Window;
use super::{Location, segment_name};
use crate::mutants::{Mutant, planted};
use crate::sys::file::is_full as is_full_disk;

/// What recovery has to know.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whose log it must be. `None`: whosever it is, but then there must be one.
    pub expect: Option<Identity>,
    /// Bytes of the segments that are made from now on.
    pub segment_bytes: u32,
}

/// The fresh segment, thought out.
pub(super) struct Plan<'s> {
    pub(super) seed: u64,
    /// The segments that the log keeps.
    pub(super) kept: &'s [Segment],
    /// The fresh segment's first bytes: what is left of the last batch, closed by a mark.
    pub(super) copies: Vec<u8>,
    header: Header,
    /// The copies, in order: where entries are from now on.
    moved: Vec<Moved>,
    /// Whether an empty segment of the right length is at hand under the number.
    remake: bool,
    /// The segments that there are, and where the records of each end.
    ends: Vec<(u64, u32)>,
}

struct Moved {
    kind: Kind,
    term: u64,
    index: u64,
    location: Location,
}

impl<'s> Plan<'s> {
    pub(super) fn new(
        disk: &mut impl Disk,
        options: &Options,
        survey: &'s Survey,
        read: &Read,
        batch: LastBatch,
        commit: u64,
    ) -> Result<Plan<'s>, RecoverError> {
        let chain = &survey.chain;
        let newest = chain.last().map(|segment| segment.header);
        let Some(identity) = options.expect.or(newest.map(|header| header.identity)) else {
            return Err(RecoverError::Empty);
        };
        // The log goes on where the last batch began, and at a segment's beginning behind the
        // segment before it, so that starting again and again does not pile up empty ones.
        let (kept, end) = match batch {
            LastBatch { number: 0, .. } => (0, 0),
            LastBatch { position, .. } if planted(Mutant::LastBatchNotCopied) => {
                (position + 1, read.ends[position])
            }
            LastBatch { position, offset, .. } if offset > RECORDS_START => (position + 1, offset),
            LastBatch { position: 0, .. } => (0, 0),
            LastBatch { position, .. } => (position, read.ends[position - 1]),
        };
        // The only segment keeps its name until another has one: a log of which nothing has a name
        // is taken for one that was lost.
        let remake = newest.is_some_and(|header| {
            read.newest_is_empty
                && chain.len() > 1
                && header.number == survey.highest
                && header.length == options.segment_bytes
                && kept < chain.len()
        });
        let number = if remake { survey.highest } else { survey.highest + 1 };
        let seed = disk.random().map_err(io_error("the random source"))?;
        let header = Header {
            identity,
            number,
            salt: salt(seed, number),
            length: options.segment_bytes,
            follows: kept.checked_sub(1).map_or(0, |last| chain[last].header.number),
            follows_at: end,
        };
        let kept = &chain[..kept];
        let (copies, moved) = (Vec::new(), Vec::new());
        let numbers = chain.iter().map(|segment| segment.header.number);
        let ends = numbers.zip(read.ends.iter().copied()).collect();
        let mut plan = Plan { seed, kept, copies, header, moved, remake, ends };
        if batch.number > 0 && !planted(Mutant::LastBatchNotCopied) {
            plan.copy(disk, &chain[batch.position], batch, read.ends[batch.position], commit)?;
        }
        Ok(plan)
    }

    /// Lays out the last batch's records anew, from its segment's bytes up to `end`.
    fn copy(
        &mut self,
        disk: &mut impl Disk,
        segment: &Segment,
        batch: LastBatch,
        end: u32,
        commit: u64,
    ) -> Result<(), RecoverError> {
        let name = segment.file.clone();
        let mut window = Window::new(name.clone(), u64::from(end));
        let mut at = batch.offset;
        while at < end {
            let parsed = window.parse_at(disk, segment.header.salt, at);
            let Parsed::Record(record) = parsed.map_err(io_error(&name))? else {
                let error = io::Error::other("the file changed while it was read");
                return Err(RecoverError::Io { file: name, error });
            };
            at += record.padded();
            if record.kind != Kind::Mark {
                self.put(&record);
            }
        }
        let (kind, batch) = (Kind::Mark, batch.number);
        self.put(&Record { kind, batch, term: 0, index: commit, payload: &[] });
        Ok(())
    }

    fn put(&mut self, record: &Record<'_>) {
        let offset = RECORDS_START + self.copies.len() as u32;
        record.put(&mut self.copies, self.header.salt, offset);
        let location = Location { segment: self.header.number, offset, length: record.length() };
        let Record { kind, term, index, .. } = *record;
        self.moved.push(Moved { kind, term, index, location });
    }

    /// Makes the fresh segment and tells `locations` what has moved there.
    pub(super) fn make_fresh(
        &self,
        disk: &mut impl Disk,
        locations: &mut Locations,
    ) -> Result<Header, RecoverError> {
        let needed = RECORDS_START + self.copies.len() as u32 + MARK_BYTES;
        let mut header = Header { length: self.header.length.max(needed), ..self.header };
        let made = if self.remake && header.length == self.header.length {
            remake_segment(disk, &header, &self.copies)
        } else {
            make_segment(disk, &header, &self.copies)
        };
        // Case FULL.
        let is_full = |made: &io::Result<()>| made.as_ref().is_err_and(is_full_disk);
        let mut made = made;
        if is_full(&made) {
            self.give_back(disk)?;
            made = make_segment(disk, &header, &self.copies);
        }
        if is_full(&made) {
            header.length = needed.next_multiple_of(512);
            made = make_segment(disk, &header, &self.copies);
        }
        made.map_err(io_error(&segment_name(header.number)))?;
        for moved in &self.moved {
            match moved.kind {
                Kind::Entry => {
                    locations.truncate_from(moved.index);
                    locations.push(moved.term, moved.location);
                }
                Kind::Truncate => locations.truncate_from(moved.index),
                Kind::Mark => {}
            }
        }
        Ok(header)
    }

    /// Gives back the room that is preallocated behind the records, whole blocks of it: nothing is
    /// there that counts.
    fn give_back(&self, disk: &mut impl Disk) -> Result<(), RecoverError> {
        for (number, end) in &self.ends {
            let (name, from) =
                (segment_name(*number), u64::from(end.next_multiple_of(BLOCK_BYTES)));
            if disk.length(&name).map_err(io_error(&name))? > from {
                disk.give_back(&name, from).map_err(io_error(&name))?;
            }
        }
        Ok(())
    }

    /// Removes what is not the log's, and gives back the room behind its old end; durably, so that a
    /// segment at its full length proves that no fresh one ever took records in its place.
    pub(super) fn clean_up(
        &self,
        disk: &mut impl Disk,
        survey: &Survey,
    ) -> Result<(), RecoverError> {
        let numbers = self.kept.iter().map(|segment| segment.header.number);
        let ours: Vec<String> = numbers.chain([self.header.number]).map(segment_name).collect();
        let mut has_removed = false;
        for name in survey.files.iter().filter(|name| !ours.contains(name)) {
            disk.remove(name).map_err(io_error(name))?;
            has_removed = true;
        }
        if let Some(last) = self.kept.last() {
            let (name, end) = (&last.file, u64::from(self.header.follows_at));
            if disk.length(name).map_err(io_error(name))? > end {
                disk.shorten(name, end).map_err(io_error(name))?;
                if !planted(Mutant::OldEndNotSynced) {
                    disk.fdatasync(name).map_err(io_error(name))?;
                }
            }
        }
        if has_removed {
            disk.sync_dir().map_err(io_error("the log's directory"))?;
        }
        Ok(())
    }
}
