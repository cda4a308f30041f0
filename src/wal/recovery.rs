//! Recovery: from the files that a crash left to a [`Wal`].
//!
//! First everything is read and judged; only when the log is sound is anything changed. Then what
//! is left of the last batch is copied to a fresh segment, whose header says where the log before
//! it ends. From the moment that segment has its name, durably, it and what it follows are the log.
//!
//! # The decision table
//!
//! | label | what is found | what is done |
//! | --- | --- | --- |
//! | NEW | no segment | segment 1 is made |
//! | UNFINISHED | a file `N.new` | removed |
//! | SUPERSEDED | a segment that the newest does not lead back to | removed |
//! | FOREIGN | a header with another cluster's id | refused |
//! | VERSION | a header with another format version | refused |
//! | HEADER | a damaged header, or one with another number than the name | refused |
//! | DEAD SPARE | the newest segment's header damaged, all behind it zeros | removed |
//! | EMPTY | the newest file too short for a record, the one before has room for any | removed |
//! | MISSING | a segment that a newer one follows is not there | refused |
//! | SHORT | a file shorter than it was made, or than the next segment says it is | refused |
//! | END | zeros behind a closed batch, nothing behind them | the log's end |
//! | NEXT | no record, but the next batch begins the next segment | read on there |
//! | TORN | no record, no later batch behind | the log's end, and a line that says so |
//! | CORRUPT | no record, a later batch behind, or the next segment knows better | refused |
//! | IMPOSSIBLE | a valid record that no run of the server writes there | refused |
//! | FULL | no room for the fresh segment | room is given back, and a small one is made |
//!
//! **NEW.** Also after a crash of the very first start, whose segment has no name yet.
//!
//! **UNFINISHED.** A segment gets its name when all that it begins with is durable, so what has
//! not got it holds nothing that counts. A spare that recovery was about to make into the fresh
//! segment is such a file too.
//!
//! **SUPERSEDED.** The newest segment names the one that it follows, and so on. An earlier recovery
//! made a fresh segment in place of others, and crashed before it had removed them; all that counts
//! in them was copied.
//!
//! **FOREIGN, VERSION.** Whose directory this is, or which program it needs, is for the operator to
//! say.
//!
//! **HEADER.** Headers are durable before the segment has its name, so no crash damages one.
//!
//! **DEAD SPARE.** No record is in it, so nothing is lost with it: the first record would be where
//! zeros are. A file too short for that might have been cut, and its records with it.
//!
//! **EMPTY.** Some disks lose a new file's bytes with the power, though they were synced, and keep its
//! name. Then nothing in the file tells what it held. But a batch goes to a new segment only when its
//! first record and a mark have no room in the one before. With room for the longest record behind
//! the last closed batch, the next batch began there, so nothing acknowledged was in the newest file. A
//! segment that a start has given up never looks like that: it is cut where its records end, durably,
//! before the server serves. With less room the case is HEADER.
//!
//! **MISSING, SHORT.** Segments are made at full length and only shortened to where the next one
//! says that they end; no crash does either.
//!
//! **END.** What a clean stop leaves, and also a crash between batches.
//!
//! **NEXT.** What rotation leaves: zeros, too few for the next batch. Since batches are numbered
//! without gaps, nothing can be missing between a closed batch and the one after it, so that even
//! bytes that are not zero are no record lost.
//!
//! **TORN.** A batch is written only when the one before is durable. With batch `b` the last whose
//! records are valid up to here, the place belongs to batch `b` (`b + 1` if `b` is closed), and as
//! no record of a later batch is found behind it, at any aligned place of this or a later segment,
//! nothing says that this batch was ever durable: its write was cut short, and nobody was told
//! otherwise. Its records before the place stay; they were appended before what is lost.
//!
//! **CORRUPT.** A valid record of a later batch proves that the damaged one was durable, and so
//! does a fresh segment for all that comes before the place its header names. The disk has lost
//! what it had: which entries are missing is unknown, and some may have been acknowledged.
//!
//! **IMPOSSIBLE.** Entries that do not follow each other, terms that go back, a truncation of what
//! is committed, a batch number left out, or a number that no server gets to: a bug, or files put
//! together by hand.
//!
//! **FULL.** What was preallocated behind the log's end is given back, where the file system can do
//! that without another length. If that is not enough, the fresh segment is as small as it can be;
//! then the one before is shortened.
//!
//! Where other servers have what is missing, a member of a cluster does not stay refused for HEADER,
//! MISSING, SHORT, CORRUPT and IMPOSSIBLE: see `set_aside.rs`.
//!
//! # Why the last batch is copied
//!
//! The page cache may show records that the disk never got: after a failed sync, or when the
//! process was killed before it. So what is left of the last batch counts as persisted only when
//! it was written again and synced. In place, a torn write could damage what was durable; behind
//! it, a later batch would make damage in it look like corruption. A fresh segment does neither:
//! until it has its name, nothing has changed; then the old place is behind the end that its
//! header names, and no longer looked at. A crash at any moment of recovery is one of the two.

use super::bookkeeping::{Cursor, Start, Wal};
use super::disk::Disk;
use super::error::{RecoverError, io_error};
use super::format::RECORDS_START;
use super::judge::{Judged, Reading, Stop, judge};
use super::replay::{Entry, Readable, Replay, Visit, any_payload};
use super::restart::{Options, Plan};
use super::survey::survey;

/// What a recovery came to.
#[derive(Debug, Default)]
pub struct Report {
    /// How many segments the log has.
    pub segments: usize,
    /// Bytes of the disk that they take.
    pub bytes: u64,
    /// How many entries the log has.
    pub entries: u64,
    /// The last entry known to be committed; those up to it were visited.
    pub commit: u64,
    /// The entries behind it.
    pub tail: Vec<Entry>,
    /// What a torn tail lost, where there was one: a line for the operator.
    pub torn_tail: Option<String>,
    /// What else an operator may want to know, a line each.
    pub notes: Vec<String>,
}

/// Recovers the log of a directory, or makes a new one where there is none. `visit` gets the
/// entries known to be committed, in order, while the segments are being read; the rest are in the
/// report. Memory: a window on a segment, the entries not known to be committed, and 8 bytes for
/// each entry.
pub fn recover<'v>(
    disk: &mut impl Disk,
    options: &Options,
    visit: &'v mut Visit<'v>,
) -> Result<(Wal, Report), RecoverError> {
    recover_readable(disk, options, any_payload, visit)
}

/// The same, where the entries not known to be committed must be readable too.
pub fn recover_readable<'v>(
    disk: &mut impl Disk,
    options: &Options,
    readable: Readable,
    visit: &'v mut Visit<'v>,
) -> Result<(Wal, Report), RecoverError> {
    let survey = survey(disk, options.expect)?;
    let mut progress = |_: usize, _: usize, _: u64| {};
    let mut reading = Reading::alone(readable, &mut progress);
    let Judged { survey, read, replay } = judge(disk, survey, Replay::new(visit), &mut reading)?;
    let batch = replay.batch;
    let plan = Plan::new(disk, options, &survey, &read, batch, replay.commit)?;
    let (mut locations, commit, tail) = replay.into_tail();
    let last_read = locations.last();

    // Up to here nothing was changed.
    let fresh = plan.make_fresh(disk, &mut locations)?;
    plan.clean_up(disk, &survey)?;

    let segments = plan.kept.len() + 1;
    let mut bytes = u64::from(fresh.length);
    for segment in plan.kept {
        bytes += disk.length(&segment.file).map_err(io_error(&segment.file))?;
    }
    let entries = locations.last() + 1 - locations.first();
    let torn_tail = read.torn.as_ref().map(|stop| torn_tail_line(stop, last_read));
    let notes = survey.notes.clone();
    let report = Report { segments, bytes, entries, commit, tail, torn_tail, notes };
    let wal = Wal::start(Start {
        identity: fresh.identity,
        segment_bytes: options.segment_bytes,
        seed: plan.seed,
        locations,
        commit,
        cursor: Cursor {
            segment: fresh.number,
            salt: fresh.salt,
            offset: RECORDS_START + plan.copies.len() as u32,
            length: fresh.length,
        },
        next_batch: batch.number + 1,
        unproven: batch.has_changes,
        newest: fresh.number,
        segments,
        bytes,
    });
    Ok((wal, report))
}

fn torn_tail_line(stop: &Stop, last_index: u64) -> String {
    let why = stop.why.as_deref().unwrap_or("the last batch is incomplete");
    let Stop { file, offset, .. } = stop;
    format!(
        "the last write of the log was cut short: {file} ends at byte {offset} ({why}), with entry \
         {last_index}"
    )
}
