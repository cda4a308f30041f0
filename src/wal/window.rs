//! Reading a segment from front to back in large pieces, in constant memory.

use std::io;

use super::disk::Disk;
use super::format::{ALIGNMENT, RECORD_BYTES, RECORD_HEADER_BYTES, claimed_batch, parse};
use super::format::{Parsed, Record, bytes_wanted, fields_of, length_of};

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// A window that moves over one file, up to `end`.
#[derive(Debug)]
pub(super) struct Window {
    name: String,
    end: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    start: u64,
}

/// What a search for later records met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The first byte that is not zero, to the 8 before it.
    pub(super) something: Option<u64>,
    /// The first valid record of a batch above the one asked about: its offset and batch.
    pub(super) record: Option<(u64, u64)>,
}

impl Window {
    /// Looks at `name` up to byte `end`, or the file's end where that comes first.
    pub(super) fn new(name: String, end: u64) -> Window {
        Window { name, end, buffer: Vec::new(), start: 0 }
    }

    /// The bytes from `offset` on: at least `wanted`, fewer only at the end.
    pub(super) fn at(
        &mut self,
        disk: &mut impl Disk,
        offset: u64,
        wanted: usize,
    ) -> io::Result<&[u8]> {
        let left = self.end.saturating_sub(offset).min(wanted as u64);
        let here = offset >= self.start && offset + left <= self.start + self.buffer.len() as u64;
        if !here {
            let size = READ_BYTES.max(wanted) as u64;
            self.buffer.resize(size.min(self.end.saturating_sub(offset)) as usize, 0);
            let count = disk.read_at(&self.name, offset, &mut self.buffer)?;
            self.buffer.truncate(count);
            self.start = offset;
        }
        let skip = ((offset - self.start) as usize).min(self.buffer.len());
        Ok(&self.buffer[skip..])
    }

    /// What stands at `offset` in a segment salted with `salt`.
    pub(super) fn parse_at(
        &mut self,
        disk: &mut impl Disk,
        salt: u32,
        offset: u32,
    ) -> io::Result<Parsed<'_>> {
        let wanted = bytes_wanted(self.at(disk, u64::from(offset), RECORD_HEADER_BYTES)?);
        Ok(parse(self.at(disk, u64::from(offset), wanted)?, salt, offset))
    }

    /// The record that [`parse_at`](Window::parse_at) has just found at `offset`, once more; its
    /// checksum was right and is not looked at again.
    pub(super) fn record_at(&self, offset: u32) -> Option<Record<'_>> {
        let skip = u64::from(offset).checked_sub(self.start)? as usize;
        let bytes = self.buffer.get(skip..)?;
        fields_of(bytes.get(..length_of(bytes)?)?).ok()
    }

    /// Looks at every aligned place from `from` on for a valid record of a batch above `batch`.
    pub(super) fn search(
        &mut self,
        disk: &mut impl Disk,
        salt: u32,
        from: u32,
        batch: u64,
    ) -> io::Result<Found> {
        let mut found = Found::default();
        let mut offset = u64::from(from.next_multiple_of(ALIGNMENT as u32));
        loop {
            let bytes = self.at(disk, offset, RECORD_BYTES)?;
            if bytes.is_empty() {
                return Ok(found);
            }
            let Some(skip) = first_not_zero(bytes) else {
                // On to the next piece; a last, incomplete word is never skipped over unread.
                offset += bytes.len().next_multiple_of(ALIGNMENT) as u64;
                continue;
            };
            offset += skip as u64;
            found.something.get_or_insert(offset);
            let head = self.at(disk, offset, RECORD_HEADER_BYTES)?;
            if claimed_batch(head).is_some_and(|claimed| claimed > batch)
                && let Parsed::Record(record) = self.parse_at(disk, salt, offset as u32)?
            {
                found.record = Some((offset, record.batch));
                return Ok(found);
            }
            offset += ALIGNMENT as u64;
        }
    }
}

/// Where the first aligned word that is not all zeros begins.
fn first_not_zero(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<ALIGNMENT>();
    let word = words.iter().position(|word| *word != [0; ALIGNMENT]);
    let in_rest = rest.iter().any(|byte| *byte != 0).then_some(words.len());
    word.or(in_rest).map(|at| at * ALIGNMENT)
}
