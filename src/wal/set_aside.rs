//! What a member of a cluster does with a damaged log: the segments from the damage on are set aside,
//! and what is before it is the log, until others restore the rest.
//!
//! | name | what it is |
//! | --- | --- |
//! | `00000003.wal.damaged` | what segment 3 was when it was found damaged, or behind damage |
//! | `00000003.wal.damaged.2` | the same, when its beginning was found damaged a second time |
//!
//! Nothing here is ever read, written or removed again by a server, and no segment gets the number of
//! one that is set aside. To remove such files is for the operator, once they were looked at.
//!
//! # The order of effects
//!
//! 1. The caller has saved, durably, that the log is damaged ([`crate::raft::next_damaged`]). From then
//!    on any shorter log is as good as any other.
//! 2. Segments behind the damage are renamed, the newest first: whatever is left by a crash is the
//!    log's beginning, damaged as before, or, where the damage can no longer be told from a write that
//!    was cut short, a log with a torn tail.
//! 3. Of the segment with the damage, what is before it is copied to `N.new`, zeros behind it; then
//!    it is renamed itself, and `N.new` takes its place. A crash between these two costs the copy,
//!    which others can restore as well.
//!
//! Damage may be in several places. So the log is judged again after each step, until it is sound, and
//! each time some segment is shorter or gone.

use super::disk::Disk;
use super::error::{RecoverError, io_error};
use super::format::{HEADER_BYTES, Header, RECORDS_START};
use super::hard_state::{self, HardState};
use super::judge::is_sound;
use super::names::{DAMAGED, segment_name, segment_number, unfinished_name};
use super::restart::Options;

/// Bytes copied at a time.
const COPY_BYTES: usize = 1 << 20;
/// Sets aside what is damaged, until the rest is sound. Gives the lines to tell the operator: what
/// was damaged, and what became of each file.
pub fn set_aside(disk: &mut impl Disk, options: &Options) -> Result<Vec<String>, RecoverError> {
    let mut lines = Vec::new();
    loop {
        let Err(error) = is_sound(disk, options.expect) else { return Ok(lines) };
        let RecoverError::Corrupt { file, offset, why } = error else { return Err(error) };
        lines.push(format!("{file} is damaged at byte {offset}: {why}"));
        let number = segment_number(&file).expect("damage is in a segment");
        let mut later = numbers(disk)?;
        later.retain(|later| *later > number);
        while let Some(last) = later.pop() {
            lines.push(rename(disk, last)?);
        }
        if numbers(disk)?.last() == Some(&number) {
            lines.push(shorten(disk, number, offset)?);
        }
        sync_dir(disk)?;
    }
}

/// Whether a directory has any segment of a log.
pub fn has_segments(disk: &mut impl Disk) -> Result<bool, RecoverError> {
    Ok(!numbers(disk)?.is_empty())
}

/// Checks that a server that has been in a term has any log: where all segments are gone, nothing in
/// the log's directory tells.
pub fn check_there(disk: &mut impl Disk, saved: &HardState) -> Result<(), RecoverError> {
    if saved.term == 0 || has_segments(disk)? {
        return Ok(());
    }
    let why = format!("all segments are missing, though {} is there", hard_state::FILE);
    Err(RecoverError::Corrupt { file: segment_name(1), offset: 0, why })
}

/// The segments' numbers, rising.
fn numbers(disk: &mut impl Disk) -> Result<Vec<u64>, RecoverError> {
    let names = disk.list().map_err(io_error("the log's directory"))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn sync_dir(disk: &mut impl Disk) -> Result<(), RecoverError> {
    disk.sync_dir().map_err(io_error("the log's directory"))
}

/// Gives a segment the first name of those that are free.
fn rename(disk: &mut impl Disk, number: u64) -> Result<String, RecoverError> {
    let name = segment_name(number);
    let taken = disk.list().map_err(io_error("the log's directory"))?;
    let mut names = (1..).map(|time| match time {
        1 => format!("{name}{DAMAGED}"),
        time => format!("{name}{DAMAGED}.{time}"),
    });
    let free = names.find(|free| !taken.contains(free));
    let free = free.expect("some name is free");
    disk.rename(&name, &free).map_err(io_error(&name))?;
    // The newest first, also after a crash.
    sync_dir(disk)?;
    Ok(format!("{name} is set aside as {free}"))
}

/// Sets a segment aside that is sound up to `offset`, and puts one in its place that ends there.
fn shorten(disk: &mut impl Disk, number: u64, offset: u64) -> Result<String, RecoverError> {
    let name = segment_name(number);
    let mut header = [0; HEADER_BYTES];
    let count = disk.read_at(&name, 0, &mut header).map_err(io_error(&name))?;
    let header = match Header::decode(&header[..count]) {
        Ok(header) if header.number == number && offset > u64::from(RECORDS_START) => header,
        _ => return rename(disk, number),
    };
    let unfinished = unfinished_name(number);
    copy(disk, &header, &unfinished, offset).map_err(io_error(&unfinished))?;
    let line = rename(disk, number)?;
    disk.rename(&unfinished, &name).map_err(io_error(&unfinished))?;
    Ok(format!("{line}, except for its first {offset} bytes"))
}

/// Makes a file of the segment's full length that has what is before `offset`.
fn copy(
    disk: &mut impl Disk,
    header: &Header,
    unfinished: &str,
    offset: u64,
) -> std::io::Result<()> {
    if disk.list()?.iter().any(|name| name == unfinished) {
        disk.remove(unfinished)?;
    }
    disk.create(unfinished)?;
    disk.preallocate(unfinished, u64::from(header.length))?;
    let (name, mut at) = (segment_name(header.number), 0);
    let mut buffer = vec![0; COPY_BYTES];
    while at < offset {
        let wanted = (offset - at).min(COPY_BYTES as u64) as usize;
        let count = disk.read_at(&name, at, &mut buffer[..wanted])?;
        if count == 0 {
            break;
        }
        disk.write_at(unfinished, at, &buffer[..count])?;
        at += count as u64;
    }
    disk.fdatasync(unfinished)
}
