//! The names of the log's files.

use crate::limits::WAL_SEGMENTS;

/// What is behind a segment's name when it is set aside.
pub(super) const DAMAGED: &str = ".damaged";

/// The file name of segment `number`.
pub fn segment_name(number: u64) -> String {
    format!("{number:08}.wal")
}

/// The number of the segment that a file name names.
pub fn segment_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".wal")?.parse().ok()?;
    ((1..=WAL_SEGMENTS).contains(&number) && segment_name(number) == name).then_some(number)
}

/// The file name of segment `number` while it is being made.
pub(super) fn unfinished_name(number: u64) -> String {
    format!("{number:08}.new")
}

pub(super) fn unfinished_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".new")?.parse().ok()?;
    ((1..=WAL_SEGMENTS).contains(&number) && unfinished_name(number) == name).then_some(number)
}

/// The number of a segment that was set aside, from its name.
pub(super) fn set_aside_number(name: &str) -> Option<u64> {
    let (segment, _) = name.split_once(DAMAGED)?;
    segment_number(segment)
}
