//! The first step of recovery: which files there are, and which of them are the log, told from
//! names, lengths and headers. Changes nothing. The cases are those of recovery's table.

use std::collections::BTreeMap;

use super::disk::Disk;
use super::error::{RecoverError, io_error};
use super::format::{
    BadHeader, HEADER_BYTES, Header, Identity, RECORD_HEADER_BYTES, RECORDS_START,
};
use super::names::{segment_name, segment_number, set_aside_number, unfinished_number};
use super::window::Window;
use crate::limits::WAL_SEGMENTS;

/// A segment of the log.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) file: String,
    pub(super) header: Header,
    /// Where its records end at the latest.
    pub(super) end: u32,
    /// Whether they end just there, because the next segment's header says so.
    pub(super) end_is_known: bool,
}

/// What is in the directory.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The log's segments, oldest first.
    pub(super) chain: Vec<Segment>,
    /// Every file of ours: segments, of the log or not, and unfinished ones.
    pub(super) files: Vec<String>,
    /// The highest number of any of them.
    pub(super) highest: u64,
    /// A newest segment that is too short to tell what it was, and what is wrong with its header.
    pub(super) empty_newest: Option<(String, String)>,
    /// Lines for the operator.
    pub(super) notes: Vec<String>,
}

/// The headers by their segments' numbers, or what is wrong with them.
type Headers = BTreeMap<u64, Result<Header, String>>;

pub(super) fn survey(
    disk: &mut impl Disk,
    expect: Option<Identity>,
) -> Result<Survey, RecoverError> {
    let mut survey = Survey::default();
    let mut headers = Headers::new();
    for name in disk.list().map_err(io_error("the log's directory"))? {
        if let Some(number) = set_aside_number(&name) {
            // Its number is never given again.
            survey.highest = survey.highest.max(number);
            continue;
        }
        let number = segment_number(&name);
        let Some(known) = number.or(unfinished_number(&name)) else { continue };
        survey.highest = survey.highest.max(known);
        if let Some(number) = number {
            headers.insert(number, read_header(disk, &name, Some(number))?);
        }
        survey.files.push(name);
    }
    survey.files.sort();
    if survey.highest >= WAL_SEGMENTS {
        let (file, offset) = (segment_name(survey.highest), 0);
        let why = "the segment number is impossible".to_owned();
        return Err(RecoverError::Corrupt { file, offset, why });
    }
    survey.leave_out_unused(disk, &mut headers)?;
    check_identity(&headers, expect)?;
    survey.chain = chain(disk, &headers)?;
    Ok(survey)
}

impl Survey {
    /// Cases DEAD SPARE and, as far as it can be told here, EMPTY.
    fn leave_out_unused(
        &mut self,
        disk: &mut impl Disk,
        headers: &mut Headers,
    ) -> Result<(), RecoverError> {
        let Some((number, Err(bad))) = headers.last_key_value() else { return Ok(()) };
        let (name, bad) = (segment_name(*number), bad.clone());
        let length = disk.length(&name).map_err(io_error(&name))?;
        if length < u64::from(RECORDS_START) + RECORD_HEADER_BYTES as u64 {
            self.empty_newest = Some((name, bad));
        } else {
            let mut window = Window::new(name.clone(), length);
            // Without its salt no record can be told, but every record has a byte that is not zero.
            let found = window.search(disk, 0, RECORDS_START, u64::MAX).map_err(io_error(&name))?;
            if found.something.is_some() {
                return Ok(());
            }
            self.notes.push(format!("{name} was an unused segment, and damaged: {bad}"));
        }
        headers.pop_last();
        Ok(())
    }
}

/// Cases HEADER and VERSION: the inner error says what is wrong with the header. `number` is the one
/// in the file's name.
fn read_header(
    disk: &mut impl Disk,
    name: &str,
    number: Option<u64>,
) -> Result<Result<Header, String>, RecoverError> {
    let mut bytes = [0; HEADER_BYTES];
    let count = disk.read_at(name, 0, &mut bytes).map_err(io_error(name))?;
    match Header::decode(&bytes[..count]) {
        Err(bad @ BadHeader::Version(_)) => {
            Err(RecoverError::Version { file: name.to_owned(), why: bad.to_string() })
        }
        Err(bad) => Ok(Err(bad.to_string())),
        Ok(header) => Ok(fault_of(&header, number).map_or(Ok(header), Err)),
    }
}

/// What is wrong with a header whose checksum is right.
pub(super) fn fault_of(header: &Header, number: Option<u64>) -> Option<String> {
    match *header {
        Header { number: own, .. } if number.is_some_and(|number| number != own) => {
            Some(format!("the file is segment {own}, under another segment's name"))
        }
        Header { number: own, follows, .. } if follows >= own => {
            Some(format!("the segment follows segment {follows}, a later one"))
        }
        Header { length, .. } if length < RECORDS_START => {
            Some(format!("a segment cannot be {length} bytes long"))
        }
        _ => None,
    }
}

/// Case FOREIGN.
fn check_identity(headers: &Headers, expect: Option<Identity>) -> Result<(), RecoverError> {
    let mut sound = headers.values().flatten();
    let last = sound.clone().next_back().map(|header| header.identity);
    let Some(expected) = expect.or(last) else { return Ok(()) };
    match sound.find(|header| header.identity != expected) {
        None => Ok(()),
        Some(header) => Err(RecoverError::Identity {
            file: segment_name(header.number),
            found: header.identity,
            expected,
        }),
    }
}

/// The log's segments, from the newest back to the one that follows none: cases SUPERSEDED, HEADER,
/// MISSING and SHORT.
fn chain(disk: &mut impl Disk, headers: &Headers) -> Result<Vec<Segment>, RecoverError> {
    let mut chain = Vec::new();
    let Some((newest, _)) = headers.last_key_value() else { return Ok(chain) };
    let (mut number, mut follower, mut follows_at) = (*newest, 0, 0);
    while number != 0 {
        let file = segment_name(number);
        let header = match headers.get(&number) {
            Some(Ok(header)) => *header,
            Some(Err(why)) => {
                return Err(RecoverError::Corrupt { file, offset: 0, why: why.clone() });
            }
            None => {
                let follower = segment_name(follower);
                let why = format!("the segment is missing, and {follower} follows it");
                return Err(RecoverError::Corrupt { file, offset: 0, why });
            }
        };
        let segment = segment_of(file, header, follows_at);
        let length = disk.length(&segment.file).map_err(io_error(&segment.file))?;
        if let Some(why) = segment.shortness(length) {
            return Err(RecoverError::Corrupt { file: segment.file, offset: length, why });
        }
        chain.push(segment);
        (number, follower, follows_at) = (header.follows, number, header.follows_at);
    }
    chain.reverse();
    Ok(chain)
}

/// `follows_at`: what the next segment's header says, 0 where there is none.
pub(super) fn segment_of(file: String, header: Header, follows_at: u32) -> Segment {
    let end_is_known = follows_at != 0;
    let end = if end_is_known { follows_at } else { header.length };
    Segment { file, header, end, end_is_known }
}

impl Segment {
    /// Case SHORT: what is wrong with a file of so many bytes.
    pub(super) fn shortness(&self, length: u64) -> Option<String> {
        let short = length < u64::from(self.end);
        short.then(|| format!("the file ends here, but must have at least {} bytes", self.end))
    }
}

/// One segment's file, looked at without its log. Where its records end may stand in the header of
/// a segment beside it that follows it.
pub(super) fn segment_alone(disk: &mut impl Disk, file: &str) -> Result<Segment, RecoverError> {
    let number = segment_number(file);
    let corrupt = |offset, why| RecoverError::Corrupt { file: file.to_owned(), offset, why };
    let header = read_header(disk, file, number)?.map_err(|why| corrupt(0, why))?;
    let mut follower: Option<Header> = None;
    if number.is_some() {
        for name in disk.list().map_err(io_error("the log's directory"))? {
            let Some(later) = segment_number(&name).filter(|later| Some(*later) > number) else {
                continue;
            };
            let found = read_header(disk, &name, Some(later))?.ok();
            let follows = found.filter(|found| found.follows == header.number);
            follower = follower.into_iter().chain(follows).max_by_key(|header| header.number);
        }
    }
    let follows_at = follower.map_or(0, |follower| follower.follows_at);
    let segment = segment_of(file.to_owned(), header, follows_at);
    let length = disk.length(file).map_err(io_error(file))?;
    match segment.shortness(length) {
        None => Ok(segment),
        Some(why) if segment.end_is_known => Err(corrupt(length, why)),
        Some(why) => {
            let hint = "or a later segment of its directory says that it ends here";
            Err(corrupt(length, format!("{why}, {hint}")))
        }
    }
}
