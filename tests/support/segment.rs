//! Segments of a log that the tests write themselves, record by record.

use chatctl::wal::format::{HEADER_BYTES, Header, Identity, Kind, RECORDS_START, Record};

/// A segment in the making.
pub struct Segment {
    /// What its header says.
    pub header: Header,
    /// The file's bytes so far; those of the header are put there by [`Segment::content`].
    pub bytes: Vec<u8>,
}

impl Segment {
    /// One without records, which follows the one before it.
    pub fn new(identity: Identity, number: u64, length: u32) -> Segment {
        let header = Header {
            identity,
            number,
            salt: 0x5eed_0000 + number as u32,
            length,
            follows: number - 1,
            follows_at: 0,
        };
        Segment { header, bytes: vec![0; RECORDS_START as usize] }
    }

    /// Where the next record begins.
    pub fn end(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// Appends a record; where it stands.
    pub fn put(&mut self, kind: Kind, batch: u64, term: u64, index: u64, payload: &[u8]) -> usize {
        let at = self.end();
        let record = Record { kind, batch, term, index, payload };
        record.put(&mut self.bytes, self.header.salt, at);
        at as usize
    }

    /// The file's name.
    pub fn name(&self) -> String {
        format!("{:08}.wal", self.header.number)
    }

    /// The file's bytes: as long as the header says, but for its padding no longer than `most`.
    pub fn content(&self, most: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[..HEADER_BYTES].copy_from_slice(&self.header.encode());
        let length = (self.header.length as usize).min(most);
        bytes.resize(bytes.len().max(length), 0);
        bytes
    }
}
