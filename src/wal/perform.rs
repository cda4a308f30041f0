//! What touches the disk for a [`Wal`](super::Wal): writing a batch, making a segment. Both are
//! plain functions over a [`Disk`], so that the writer thread and a simulation run the same code.

use std::io;

use super::disk::Disk;
use super::format::{Header, RECORDS_START};
use super::names::{segment_name, unfinished_name};
use crate::mutants::{Mutant, planted};

/// What one fsync covers, laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its number, from 1.
    pub number: u64,
    /// The segment it goes to.
    pub segment: u64,
    /// Where it begins there, bytes.
    pub offset: u32,
    /// Its records, and zeros up to the end of a block, so that a block that is not in the system's
    /// memory need not be read before it is written.
    pub bytes: Vec<u8>,
}

/// Writes a batch and waits until it is durable. After an error nothing is known about the batch:
/// it is never written again, and the process ends.
pub fn perform(disk: &mut impl Disk, batch: &Batch) -> io::Result<()> {
    let name = segment_name(batch.segment);
    disk.write_at(&name, u64::from(batch.offset), &batch.bytes)?;
    if planted(Mutant::SyncLeftOut) {
        return Ok(());
    }
    match disk.fdatasync(&name) {
        Err(_) if planted(Mutant::FailedSyncRetried) => disk.fdatasync(&name),
        result => result,
    }
}

/// The next segment, to be made ahead of its need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpareRequest {
    pub(super) header: Header,
}

/// What became of a spare segment that was asked for.
#[derive(Debug)]
pub enum SpareState {
    /// It is there, durably, and may be written to.
    Ready,
    /// It could not be made, mostly for want of room. What there was of it is removed again.
    Failed(io::Error),
}

/// Makes the spare segment that [`Wal::spare_wanted`](super::Wal::spare_wanted) named. May be
/// called again with the same request after it has failed.
pub fn make_spare(disk: &mut impl Disk, request: &SpareRequest) -> SpareState {
    match make_segment(disk, &request.header, &[]) {
        Ok(()) => SpareState::Ready,
        Err(error) => SpareState::Failed(error),
    }
}

/// Makes a segment that begins with `records`. It has its name only once all of it is durable, so
/// that a crash leaves either nothing or the whole, and perhaps a file `N.new`.
pub(super) fn make_segment(
    disk: &mut impl Disk,
    header: &Header,
    records: &[u8],
) -> io::Result<()> {
    let made = create_unfinished(disk, header).and_then(|()| finish(disk, header, records));
    if made.is_err() {
        // The room is given back, as far as that works; the next recovery removes the rest.
        let _ = disk.remove(&unfinished_name(header.number));
    }
    made
}

/// Makes a segment that begins with `records` of an empty one with the same number and length,
/// whose blocks are written already.
pub(super) fn remake_segment(
    disk: &mut impl Disk,
    header: &Header,
    records: &[u8],
) -> io::Result<()> {
    disk.rename(&segment_name(header.number), &unfinished_name(header.number))?;
    // Else a crash could leave the old name on what is half written.
    disk.sync_dir()?;
    finish(disk, header, records)
}

fn create_unfinished(disk: &mut impl Disk, header: &Header) -> io::Result<()> {
    let unfinished = unfinished_name(header.number);
    if disk.list()?.contains(&unfinished) {
        disk.remove(&unfinished)?;
    }
    disk.create(&unfinished)?;
    disk.preallocate(&unfinished, u64::from(header.length))
}

fn finish(disk: &mut impl Disk, header: &Header, records: &[u8]) -> io::Result<()> {
    let unfinished = unfinished_name(header.number);
    disk.write_at(&unfinished, 0, &header.encode())?;
    if !records.is_empty() {
        disk.write_at(&unfinished, u64::from(RECORDS_START), records)?;
    }
    disk.fdatasync(&unfinished)?;
    disk.rename(&unfinished, &segment_name(header.number))?;
    if planted(Mutant::FolderNotSynced) { Ok(()) } else { disk.sync_dir() }
}
