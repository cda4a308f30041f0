//! The first step of recovery: which files there are, and which of them are the log, told from
//! names, lengths and headers. Changes nothing. The cases are those of recovery's table.

use std::collections::BTreeMap;

use super::disk::Disk;
use super::format::{BadHeader, HEADER_BYTES, Header, RECORDS_START};
use super::recovery::{Options, RecoverError, io_error};
use super::set_aside::set_aside_number;
use super::window::Window;
use super::{segment_name, segment_number, unfinished_number};

/// A segment of the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
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
    /// Lines for the operator.
    pub(super) notes: Vec<String>,
}

pub(super) fn survey(disk: &mut impl Disk, options: &Options) -> Result<Survey, RecoverError> {
    let mut survey = Survey::default();
    let mut numbers = Vec::new();
    for name in disk.list().map_err(io_error("the log's directory"))? {
        if let Some(number) = set_aside_number(&name) {
            // Its number is never given again.
            survey.highest = survey.highest.max(number);
            continue;
        }
        let number = segment_number(&name);
        let Some(known) = number.or(unfinished_number(&name)) else { continue };
        survey.highest = survey.highest.max(known);
        survey.files.push(name);
        numbers.extend(number);
    }
    survey.files.sort();
    numbers.sort_unstable();

    let mut headers = BTreeMap::new();
    for number in &numbers {
        let name = segment_name(*number);
        match read_header(disk, &name, *number)? {
            Ok(found) => {
                headers.insert(*number, found);
            }
            Err(bad) if Some(number) == numbers.last() && is_dead_spare(disk, &name, options)? => {
                survey.notes.push(format!("{name} was an unused segment, and damaged: {bad}"));
            }
            Err(why) => return Err(RecoverError::Corrupt { file: name, offset: 0, why }),
        }
    }
    check_identity(&headers, options)?;
    survey.chain = chain(disk, &headers)?;
    Ok(survey)
}

/// Cases HEADER and VERSION: the inner error says what is wrong with the header.
fn read_header(
    disk: &mut impl Disk,
    name: &str,
    number: u64,
) -> Result<Result<Header, String>, RecoverError> {
    let mut bytes = [0; HEADER_BYTES];
    let count = disk.read_at(name, 0, &mut bytes).map_err(io_error(name))?;
    match Header::decode(&bytes[..count]) {
        Ok(header) if header.number != number => {
            Ok(Err(format!("the file is segment {}, under another's name", header.number)))
        }
        Ok(header) if header.follows >= number => {
            Ok(Err(format!("the segment follows segment {}, a later one", header.follows)))
        }
        Ok(header) => Ok(Ok(header)),
        Err(bad @ BadHeader::Version(_)) => {
            Err(RecoverError::Version { file: name.to_owned(), why: bad.to_string() })
        }
        Err(bad) => Ok(Err(bad.to_string())),
    }
}

/// Case DEAD SPARE.
fn is_dead_spare(
    disk: &mut impl Disk,
    name: &str,
    options: &Options,
) -> Result<bool, RecoverError> {
    let length = disk.length(name).map_err(io_error(name))?;
    if length != u64::from(options.segment_bytes) {
        return Ok(false);
    }
    let mut window = Window::new(name.to_owned(), length);
    // Without its salt no record can be told, but every record has a byte that is not zero.
    let found = window.search(disk, 0, RECORDS_START, u64::MAX).map_err(io_error(name))?;
    Ok(found.something.is_none())
}

/// Case FOREIGN.
fn check_identity(headers: &BTreeMap<u64, Header>, options: &Options) -> Result<(), RecoverError> {
    let last = headers.values().last().map(|header| header.identity);
    let Some(expected) = options.expect.or(last) else { return Ok(()) };
    match headers.values().find(|header| header.identity != expected) {
        None => Ok(()),
        Some(header) => Err(RecoverError::Identity {
            file: segment_name(header.number),
            found: header.identity,
            expected,
        }),
    }
}

/// The log's segments, from the newest back to the one that follows none: cases SUPERSEDED,
/// MISSING and SHORT.
fn chain(
    disk: &mut impl Disk,
    headers: &BTreeMap<u64, Header>,
) -> Result<Vec<Segment>, RecoverError> {
    let mut chain = Vec::new();
    let Some((newest, _)) = headers.last_key_value() else { return Ok(chain) };
    let (mut number, mut follower, mut follows_at) = (*newest, 0, 0);
    while number != 0 {
        let name = segment_name(number);
        let Some(header) = headers.get(&number) else {
            let why = format!("the segment is missing, and {} follows it", segment_name(follower));
            return Err(RecoverError::Corrupt { file: name, offset: 0, why });
        };
        let end_is_known = follows_at != 0;
        let end = if end_is_known { follows_at } else { header.length };
        let length = disk.length(&name).map_err(io_error(&name))?;
        if length < u64::from(end) {
            let why = format!("the file ends here, and should be {end} bytes long at least");
            return Err(RecoverError::Corrupt { file: name, offset: length, why });
        }
        chain.push(Segment { header: *header, end, end_is_known });
        (number, follower, follows_at) = (header.follows, number, header.follows_at);
    }
    chain.reverse();
    Ok(chain)
}
