//! Going on behind a log's end while a server writes it: across segments, and across the server's
//! restarts, of which each begins a fresh segment with a copy of the last batch.
//!
//! Only batches that are closed by their mark are given. What a kill left of one is given when the
//! server, started again, has copied and closed it. Batches are numbered without gaps, so what is
//! given twice, or missing, is told by the number.

use std::io;

use super::disk::Disk;
use super::format::{HEADER_BYTES, Header, Kind, Parsed, RECORDS_START, Record, parse};
use super::window::Window;
use super::{segment_name, segment_number};

/// A place in a log, and what comes behind it.
#[derive(Debug, Default)]
pub struct Follower {
    /// 0: before the first segment.
    segment: u64,
    offset: u32,
    /// The last batch that was given.
    batch: u64,
}

/// A batch that is whole.
#[derive(Debug)]
pub struct Whole {
    /// Its segment's file.
    pub file: String,
    salt: u32,
    offset: u32,
    bytes: Vec<u8>,
}

impl Whole {
    /// Its records and where each begins, the mark last.
    pub fn records(&self) -> impl Iterator<Item = (u32, Record<'_>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let offset = self.offset + at;
            match parse(&self.bytes[at as usize..], self.salt, offset) {
                Parsed::Record(record) => {
                    at += record.padded();
                    Some((offset, record))
                }
                _ => None,
            }
        })
    }
}

impl Follower {
    /// Before the log's first record.
    pub fn new() -> Follower {
        Follower::default()
    }

    /// Moves behind a mark that stands in `file` at `offset`.
    pub fn skip_to(&mut self, file: &str, offset: u32, mark: &Record<'_>) {
        self.segment = segment_number(file).unwrap_or(0);
        (self.offset, self.batch) = (offset + mark.padded(), mark.batch);
    }

    /// The next batch, if it is whole by now. `disk` is the log's directory, looked at anew: one that
    /// holds no file open from before. An error where a batch is missing.
    pub fn next_batch(&mut self, disk: &mut impl Disk) -> io::Result<Option<Whole>> {
        loop {
            if let Some(whole) = self.read_new(disk)? {
                return Ok(Some(whole));
            }
            let Some((number, batch)) = self.segment_behind(disk)? else { return Ok(None) };
            if batch > self.batch + 1 {
                // What is missing may have come to the end of the segment meanwhile.
                let whole = self.read_new(disk)?.ok_or_else(|| self.gap(number, batch));
                return whole.map(Some);
            }
            (self.segment, self.offset) = (number, RECORDS_START);
        }
    }

    /// The batch that comes next in the segment, behind those that were given already.
    fn read_new(&mut self, disk: &mut impl Disk) -> io::Result<Option<Whole>> {
        while self.segment > 0
            && let Some(whole) = self.read(disk)?
        {
            let batch = whole.records().next().map_or(0, |(_, record)| record.batch);
            if batch > self.batch {
                self.batch = batch;
                return Ok(Some(whole));
            }
        }
        Ok(None)
    }

    /// The batch that begins at the place, if it is whole; the place is behind it then.
    fn read(&mut self, disk: &mut impl Disk) -> io::Result<Option<Whole>> {
        let file = segment_name(self.segment);
        let Some(header) = header(disk, &file)? else { return Ok(None) };
        let mut window = Window::new(file.clone(), u64::from(header.length));
        let mut end = self.offset;
        loop {
            let record = match window.parse_at(disk, header.salt, end)? {
                Parsed::Record(record) => record,
                _ => return Ok(None),
            };
            if record.batch > self.batch + 1 {
                return Err(self.gap(self.segment, record.batch));
            }
            let is_mark = record.kind == Kind::Mark;
            end += record.padded();
            if is_mark {
                break;
            }
        }
        let mut bytes = vec![0; (end - self.offset) as usize];
        let count = disk.read_at(&file, u64::from(self.offset), &mut bytes)?;
        bytes.truncate(count);
        let offset = std::mem::replace(&mut self.offset, end);
        Ok(Some(Whole { file, salt: header.salt, offset, bytes }))
    }

    /// The next segment that has a record, and the first one's batch.
    fn segment_behind(&self, disk: &mut impl Disk) -> io::Result<Option<(u64, u64)>> {
        let names = disk.list()?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        numbers.retain(|number| *number > self.segment);
        numbers.sort_unstable();
        for number in numbers {
            let file = segment_name(number);
            let Some(header) = header(disk, &file)? else { continue };
            let mut window = Window::new(file, u64::from(header.length));
            if let Parsed::Record(first) = window.parse_at(disk, header.salt, RECORDS_START)? {
                return Ok(Some((number, first.batch)));
            }
        }
        Ok(None)
    }

    fn gap(&self, segment: u64, batch: u64) -> io::Error {
        let (file, wanted) = (segment_name(segment), self.batch + 1);
        io::Error::other(format!("{file} continues with batch {batch}, expected batch {wanted}"))
    }
}

/// A segment's header; `None` where the file has gone, or is none: a server makes and removes them.
fn header(disk: &mut impl Disk, file: &str) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER_BYTES];
    match disk.read_at(file, 0, &mut bytes) {
        Ok(count) => Ok(Header::decode(&bytes[..count]).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
