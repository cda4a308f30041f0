//! The judgement of a log: whether a server would go on from it, and what it comes to. Recovery, the
//! setting aside of what is damaged, `dump-log` and `recover` all ask here, so that none of them calls
//! a log sound that another one refuses. Changes nothing. The cases are those of recovery's table.

use super::Location;
use super::bookkeeping::MARK_BYTES;
use super::disk::Disk;
use super::error::{RecoverError, io_error};
use super::format::{Identity, Parsed, RECORD_BYTES, RECORDS_START, padded};
use super::replay::{Entry, Readable, Refused, Replay, Visit, any_payload};
use super::survey::{Segment, Survey, segment_alone, survey};
use super::window::Window;
use crate::mutants::{Mutant, planted};

/// Records between two calls of [`Look::progress`].
const TELL_EVERY: u64 = 4_096;
/// Room that the first record of any batch and the mark behind it fit in: with as much behind a
/// batch, the next one begins in the same segment.
const ROOM_FOR_ANY_BATCH: u32 = padded(RECORD_BYTES as u32) + MARK_BYTES;

/// How a log is looked at.
pub struct Look<'v> {
    /// Gets the entries that are known to be committed.
    pub visit: &'v mut Visit<'v>,
    /// Asked about the entries behind them.
    pub readable: Readable,
    /// Told now and then which segment is being read, of how many, and how many records were.
    pub progress: &'v mut dyn FnMut(usize, usize, u64),
}

/// What a log comes to.
#[derive(Debug, Default)]
pub struct Examined {
    /// How many segments it has.
    pub segments: usize,
    /// How many records.
    pub records: u64,
    /// The first entry's index; 0 where there is none.
    pub first_index: u64,
    /// The last entry's; 0 where there is none.
    pub last_index: u64,
    /// The last entry that is known to be committed.
    pub commit: u64,
    /// The entries behind it.
    pub tail: Vec<Entry>,
    /// Where the last batch is incomplete: the file, the offset and why.
    pub torn: Option<(String, u64, String)>,
}

/// Judges the log in a directory as a server that starts does. A server may be writing there: what
/// it writes meanwhile is not looked at.
pub fn examine<'v>(
    disk: &mut impl Disk,
    expect: Option<Identity>,
    look: Look<'v>,
) -> Result<Examined, RecoverError> {
    let survey = survey(disk, expect)?;
    let replay = Replay::new(look.visit).without_places();
    let mut reading = Reading { is_live: true, readable: look.readable, progress: look.progress };
    let judged = judge(disk, survey, replay, &mut reading)?;
    judged.examined()
}

/// The same for one segment's file, as far as one can be judged alone: it may begin anywhere in the
/// log.
pub fn examine_segment<'v>(
    disk: &mut impl Disk,
    file: &str,
    look: Look<'v>,
) -> Result<Examined, RecoverError> {
    let survey = Survey { chain: vec![segment_alone(disk, file)?], ..Survey::default() };
    let replay = Replay::new(look.visit).without_places().beginning_anywhere();
    let mut reading = Reading { is_live: true, readable: look.readable, progress: look.progress };
    let judged = judge(disk, survey, replay, &mut reading)?;
    judged.examined()
}

/// Whether the log of a directory is sound, as [`recover`](super::recover) would find it.
pub(super) fn is_sound(disk: &mut impl Disk, expect: Option<Identity>) -> Result<(), RecoverError> {
    let mut visit = |_: u64, _: u64, _: &[u8]| Ok(());
    let survey = survey(disk, expect)?;
    let mut progress = |_: usize, _: usize, _: u64| {};
    let mut reading = Reading::alone(any_payload, &mut progress);
    judge(disk, survey, Replay::new(&mut visit), &mut reading).map(drop)
}

/// How the segments are read.
pub(super) struct Reading<'v> {
    /// A server may be writing there.
    is_live: bool,
    readable: Readable,
    progress: &'v mut dyn FnMut(usize, usize, u64),
}

impl<'v> Reading<'v> {
    /// By the one process that has the directory's lock.
    pub(super) fn alone(
        readable: Readable,
        progress: &'v mut dyn FnMut(usize, usize, u64),
    ) -> Reading<'v> {
        Reading { is_live: false, readable, progress }
    }
}

/// A log that was found sound.
pub(super) struct Judged<'v> {
    pub(super) survey: Survey,
    pub(super) read: Read,
    pub(super) replay: Replay<'v>,
}

impl Judged<'_> {
    fn examined(self) -> Result<Examined, RecoverError> {
        let Judged { survey, read, replay } = self;
        let records = replay.records;
        let (locations, commit, tail) = replay.into_tail();
        let has_entries = locations.last() >= locations.first();
        Ok(Examined {
            segments: survey.chain.len(),
            records,
            first_index: if has_entries { locations.first() } else { 0 },
            last_index: if has_entries { locations.last() } else { 0 },
            commit: if has_entries { commit } else { 0 },
            tail,
            torn: read.torn.map(|stop| {
                let why = stop.why.unwrap_or_else(|| "the last batch is incomplete".into());
                (stop.file, u64::from(stop.offset), why)
            }),
        })
    }
}

/// What reading the chain came to, besides what the replay holds.
#[derive(Default)]
pub(super) struct Read {
    /// Where each segment's records end.
    pub(super) ends: Vec<u32>,
    /// Where the last batch is incomplete.
    pub(super) torn: Option<Stop>,
    /// Whether the newest segment has nothing but zeros behind its header.
    pub(super) newest_is_empty: bool,
    /// Whether a server has written while this was read.
    moved: bool,
}

/// A place where a record could stand and none does.
pub(super) struct Stop {
    pub(super) file: String,
    salt: u32,
    /// Where the segment's records end at the latest.
    end: u32,
    pub(super) offset: u32,
    pub(super) why: Option<String>,
}

impl Stop {
    fn corrupt(self, proof: &str) -> RecoverError {
        let what = self.why.unwrap_or_else(|| "there is no record here".into());
        let why = format!("{what}, but {proof}");
        RecoverError::Corrupt { file: self.file, offset: u64::from(self.offset), why }
    }
}

/// The one judgement: reads what the survey found and says what is wrong with it.
pub(super) fn judge<'v>(
    disk: &mut impl Disk,
    mut survey: Survey,
    mut replay: Replay<'v>,
    reading: &mut Reading<'_>,
) -> Result<Judged<'v>, RecoverError> {
    let read = read_chain(disk, &survey.chain, &mut replay, reading)?;
    if !read.moved {
        check_empty_newest(&mut survey, &read, &replay)?;
    }
    let finished = replay.finish(reading.readable);
    finished.map_err(|refused| refused_in(&survey.chain, refused))?;
    Ok(Judged { survey, read, replay })
}

/// What was refused, with its file and offset.
fn refused_in(chain: &[Segment], refused: Refused) -> RecoverError {
    let Refused { location, entry, why } = refused;
    let segment = chain.iter().find(|segment| segment.header.number == location.segment);
    let file = segment.map_or(String::new(), |segment| segment.file.clone());
    let offset = u64::from(location.offset);
    match entry {
        None => RecoverError::Corrupt { file, offset, why },
        Some(index) => RecoverError::Visit { index, file, offset, why },
    }
}

/// Case EMPTY: a newest segment whose beginning is cut off is only unused where its records would
/// stand in the segment before.
fn check_empty_newest(
    survey: &mut Survey,
    read: &Read,
    replay: &Replay<'_>,
) -> Result<(), RecoverError> {
    let Some((file, why)) = survey.empty_newest.take() else { return Ok(()) };
    let before = survey.chain.last().zip(read.ends.last());
    let room = before.map_or(0, |(segment, end)| {
        let is_here = replay.batch.position + 1 == survey.chain.len();
        let closed_end = match (is_here && replay.batch.number > 0, replay.batch.closed) {
            (false, _) => RECORDS_START,
            (true, true) => *end,
            (true, false) => replay.batch.offset,
        };
        segment.header.length.saturating_sub(closed_end)
    });
    if room < ROOM_FOR_ANY_BATCH && !planted(Mutant::EmptySegmentTaken) {
        let why = format!("{why}, and the previous segment has no room for its records");
        return Err(RecoverError::Corrupt { file, offset: 0, why });
    }
    survey.notes.push(format!("{file} was an unused segment, and empty: {why}"));
    Ok(())
}

fn read_chain(
    disk: &mut impl Disk,
    chain: &[Segment],
    replay: &mut Replay<'_>,
    reading: &mut Reading<'_>,
) -> Result<Read, RecoverError> {
    let mut read = Read::default();
    let mut stop: Option<Stop> = None;
    let mut garbage = false;
    for (position, segment) in chain.iter().enumerate() {
        let Segment { file, header, .. } = segment;
        let mut window = Window::new(file.clone(), u64::from(segment.end));
        let mut offset = RECORDS_START;
        let salt = header.salt;
        let stop_at =
            |offset, why| Stop { file: file.clone(), salt, end: segment.end, offset, why };
        let first = begins_with(disk, &mut window, segment, replay)?;
        if stop.is_none() || matches!(first, First::NextBatch) {
            let (end, why) = read_records(disk, &mut window, chain, position, replay, reading)?;
            offset = end;
            stop = Some(stop_at(offset, why));
            garbage = false;
        }
        let mut stop_here = stop.take().expect("what is gone on from is a stop");
        read.ends.push(offset);
        let found = window.search(disk, salt, offset, replay.next_batch());
        let found = found.map_err(io_error(file))?;
        if let First::Nothing(why) = first
            && found.something.is_some()
            && replay.batch.closed
            && !garbage
        {
            // The segment before ended as it should: what is missing is missing here.
            stop_here = stop_at(offset, why);
        }
        let proof = match found.record {
            _ if segment.end_is_known && offset != segment.end => {
                Some("the next segment shows that more records were here".to_owned())
            }
            Some((at, later)) => {
                Some(format!("{file} has a record of the later batch {later} at byte {at}"))
            }
            None => None,
        };
        if let Some(proof) = proof {
            if reading.is_live && is_record_now(disk, &stop_here)? {
                // A server is writing faster than this reads: here is the end of what it saw.
                let why = Some("still being written".to_owned());
                (read.torn, read.moved) = (Some(Stop { why, ..stop_here }), true);
                return Ok(read);
            }
            return Err(stop_here.corrupt(&proof));
        }
        stop = Some(stop_here);
        garbage |= found.something.is_some();
        read.newest_is_empty = offset == RECORDS_START && found.something.is_none();
    }
    read.torn = stop.filter(|_| garbage || !replay.batch.closed);
    Ok(read)
}

/// Whether a whole record stands where none was a moment ago.
fn is_record_now(disk: &mut impl Disk, stop: &Stop) -> Result<bool, RecoverError> {
    let mut window = Window::new(stop.file.clone(), u64::from(stop.end));
    let parsed = window.parse_at(disk, stop.salt, stop.offset).map_err(io_error(&stop.file))?;
    Ok(matches!(parsed, Parsed::Record(_)))
}

/// What a segment begins with.
enum First {
    /// The batch behind the last one read: case NEXT of the table.
    NextBatch,
    /// A record of another batch.
    OtherBatch,
    /// No record, and why, where it is not zeros.
    Nothing(Option<String>),
}

fn begins_with(
    disk: &mut impl Disk,
    window: &mut Window,
    segment: &Segment,
    replay: &Replay<'_>,
) -> Result<First, RecoverError> {
    let parsed = window.parse_at(disk, segment.header.salt, RECORDS_START);
    let next = replay.batch.closed.then_some(replay.batch.number + 1);
    Ok(match parsed.map_err(io_error(&segment.file))? {
        Parsed::Record(record) if Some(record.batch) == next => First::NextBatch,
        Parsed::Record(_) => First::OtherBatch,
        Parsed::Nothing => First::Nothing(None),
        Parsed::Damaged(bad) => First::Nothing(Some(bad.to_string())),
    })
}

/// Reads the records of the segment at `position` until there is none, and says where that is, and
/// why where it is not by zeros.
fn read_records(
    disk: &mut impl Disk,
    window: &mut Window,
    chain: &[Segment],
    position: usize,
    replay: &mut Replay<'_>,
    reading: &mut Reading<'_>,
) -> Result<(u32, Option<String>), RecoverError> {
    let Segment { file, header, .. } = &chain[position];
    let mut offset = RECORDS_START;
    loop {
        // No name is copied for each record: that would be a third of the time of a start.
        let parsed = match window.parse_at(disk, header.salt, offset) {
            Ok(parsed) => parsed,
            Err(error) => return Err(io_error(file)(error)),
        };
        match parsed {
            Parsed::Nothing => {
                replay.batch.closed |= planted(Mutant::ZerosTaken);
                return Ok((offset, None));
            }
            Parsed::Damaged(bad) => return Ok((offset, Some(bad.to_string()))),
            Parsed::Record(record) => {
                let location = Location { segment: header.number, offset, length: record.length() };
                let taken = replay.take(&record, position, location);
                taken.map_err(|refused| refused_in(chain, refused))?;
                offset += record.padded();
                if replay.records.is_multiple_of(TELL_EVERY) {
                    (reading.progress)(position + 1, chain.len(), replay.records);
                }
            }
        }
    }
}
