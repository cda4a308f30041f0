//! What segments and records look like, byte for byte. Pure: bytes in, values out.
//!
//! Numbers are big-endian. A segment file:
//!
//! ```text
//!    0        8        12      16         32       40       44       48       56      60      64
//!    | magic  | version | salt | cluster  | number | length | at     | follows| zeros | crc   |
//!    | 8      | u32     | u32  | 16 bytes | u64    | u32    | u32    | u64    | u32   | u32   |
//!   64 .. 4096   zeros, never looked at: the header has a block of its own, which no record shares
//! 4096 ..        records, each at a multiple of 8, then zeros to `length`
//! ```
//!
//! * `salt` is random, made with the segment; it is in the CRC of every record of the segment.
//! * `number` is the one in the file's name; `length` is the file's, as it was made.
//! * `follows` is the segment before this one, 0 for none. `at` is the offset at which that one's
//!   records end as far as the log goes: what is behind does not count. 0: wherever they end.
//! * `crc` is the CRC-32 of the 60 bytes before it.
//!
//! A record, at offset `o` of its segment:
//!
//! ```text
//!    0       4        8      9         16     24      32         length
//!    | crc   | length | kind | batch   | term | index | payload ...| zeros to a multiple of 8
//!    | u32   | u32    | u8   | 7 bytes | u64  | u64   |
//! ```
//!
//! * `length` is the whole record, header and payload, without the padding.
//! * `crc` is the CRC-32 of bytes 4 to `length`, started not from 0 but from `salt ^ o`: a record
//!   is valid only in its own segment and at its own place.
//! * The padding is zero, and checked, so that no bit of a batch can change unnoticed.
//!
//! | kind | `term` | `index` | payload |
//! | --- | --- | --- | --- |
//! | 0 | reserved: zeros are an end, never a record | | |
//! | 1 entry | the entry's | the entry's | the entry's, opaque |
//! | 2 truncate | 0 | the first index that is cut | none |
//! | 3 mark | 0 | the commit index known when the batch was taken | none |
//!
//! A mark closes every batch; an idle batch is a mark alone.

use std::fmt;

use crc32fast::Hasher;

use crate::limits;
use crate::mutants::{Mutant, planted};

/// What every segment begins with.
pub const MAGIC: [u8; 8] = *b"chatwal\n";
/// The version of this format; a segment of another one is refused, never guessed at.
pub const VERSION: u32 = 1;
/// Bytes of a segment's header.
pub const HEADER_BYTES: usize = 64;
/// Where a segment's first record stands.
pub const RECORDS_START: u32 = 4096;
/// Bytes of a record before its payload, and of a record without one.
pub const RECORD_HEADER_BYTES: usize = 32;
/// Longest record, bytes, header included.
pub const RECORD_BYTES: usize = RECORD_HEADER_BYTES + limits::WAL_ENTRY_BYTES;
/// Records stand at multiples of this.
pub const ALIGNMENT: usize = 8;

const VERSION_AT: usize = 8;
const SALT_AT: usize = 12;
const CLUSTER_AT: usize = 16;
const NUMBER_AT: usize = 32;
const LENGTH_AT: usize = 40;
const FOLLOWS_AT_AT: usize = 44;
const FOLLOWS_AT: usize = 48;
const HEADER_CRC_AT: usize = 60;

const RECORD_LENGTH_AT: usize = 4;
const RECORD_KIND_AT: usize = 8;
const RECORD_TERM_AT: usize = 16;
const RECORD_INDEX_AT: usize = 24;

/// Batch numbers have 56 bits: a batch a microsecond fills them in two thousand years.
const BATCH_MASK: u64 = (1 << 56) - 1;

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id.
    pub cluster: [u8; 16],
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose log the segment belongs to.
    pub identity: Identity,
    /// Its number, from 1.
    pub number: u64,
    /// What its records' CRCs start from, together with their offsets.
    pub salt: u32,
    /// The file's length in bytes, as it was made.
    pub length: u32,
    /// The segment before this one; 0 for none.
    pub follows: u64,
    /// The offset at which the records of `follows` end; 0: wherever they end.
    pub follows_at: u32,
}

/// Why bytes are not a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// The file ends within its header.
    CutOff,
    /// It does not begin as a segment does.
    Magic,
    /// A version that this program does not know; the CRC is right.
    Version(u32),
    /// The CRC is wrong.
    Checksum,
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadHeader::CutOff => write!(f, "the file ends within the segment's header"),
            BadHeader::Magic => write!(f, "the segment's header does not begin with its magic"),
            BadHeader::Version(version) => {
                write!(
                    f,
                    "the segment has format version {version}, this program reads version {VERSION}"
                )
            }
            BadHeader::Checksum => write!(f, "the segment's header has a wrong checksum"),
        }
    }
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..VERSION_AT].copy_from_slice(&MAGIC);
        bytes[VERSION_AT..SALT_AT].copy_from_slice(&VERSION.to_be_bytes());
        bytes[SALT_AT..CLUSTER_AT].copy_from_slice(&self.salt.to_be_bytes());
        bytes[CLUSTER_AT..NUMBER_AT].copy_from_slice(&self.identity.cluster);
        bytes[NUMBER_AT..LENGTH_AT].copy_from_slice(&self.number.to_be_bytes());
        bytes[LENGTH_AT..FOLLOWS_AT_AT].copy_from_slice(&self.length.to_be_bytes());
        bytes[FOLLOWS_AT_AT..FOLLOWS_AT].copy_from_slice(&self.follows_at.to_be_bytes());
        bytes[FOLLOWS_AT..FOLLOWS_AT + 8].copy_from_slice(&self.follows.to_be_bytes());
        let crc = crc32fast::hash(&bytes[..HEADER_CRC_AT]);
        bytes[HEADER_CRC_AT..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads a header from a segment's first bytes.
    pub fn decode(bytes: &[u8]) -> Result<Header, BadHeader> {
        let Some(bytes) = bytes.get(..HEADER_BYTES) else { return Err(BadHeader::CutOff) };
        if bytes[..VERSION_AT] != MAGIC {
            return Err(BadHeader::Magic);
        }
        if crc32fast::hash(&bytes[..HEADER_CRC_AT]) != u32_at(bytes, HEADER_CRC_AT) {
            return Err(BadHeader::Checksum);
        }
        let version = u32_at(bytes, VERSION_AT);
        if version != VERSION {
            return Err(BadHeader::Version(version));
        }
        let mut cluster = [0; 16];
        cluster.copy_from_slice(&bytes[CLUSTER_AT..NUMBER_AT]);
        Ok(Header {
            identity: Identity { cluster },
            number: u64_at(bytes, NUMBER_AT),
            salt: u32_at(bytes, SALT_AT),
            length: u32_at(bytes, LENGTH_AT),
            follows: u64_at(bytes, FOLLOWS_AT),
            follows_at: u32_at(bytes, FOLLOWS_AT_AT),
        })
    }
}

/// What a record is. The numbers are on disk and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// An entry of the log.
    Entry = 1,
    /// Entries from an index on are cut.
    Truncate = 2,
    /// The end of a batch, and the commit index known then.
    Mark = 3,
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is.
    pub kind: Kind,
    /// The batch it was written with.
    pub batch: u64,
    /// An entry's term, else 0.
    pub term: u64,
    /// An entry's index, the first index cut, or a commit index.
    pub index: u64,
    /// An entry's payload, else empty.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Bytes without the padding.
    pub fn length(&self) -> u32 {
        (RECORD_HEADER_BYTES + self.payload.len()) as u32
    }

    /// Bytes with the padding: how far on the next record stands.
    pub fn padded(&self) -> u32 {
        padded(self.length())
    }

    /// Appends the record, padded, as it stands at `offset` of the segment salted with `salt`.
    pub fn put(&self, out: &mut Vec<u8>, salt: u32, offset: u32) {
        debug_assert!(self.payload.len() <= limits::WAL_ENTRY_BYTES, "a payload is bounded");
        debug_assert!(offset.is_multiple_of(ALIGNMENT as u32), "records are aligned");
        let start = out.len();
        let length = self.length();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&length.to_be_bytes());
        let kind_and_batch = u64::from(self.kind as u8) << 56 | self.batch & BATCH_MASK;
        out.extend_from_slice(&kind_and_batch.to_be_bytes());
        out.extend_from_slice(&self.term.to_be_bytes());
        out.extend_from_slice(&self.index.to_be_bytes());
        out.extend_from_slice(self.payload);
        let crc = record_crc(&out[start..], salt, offset);
        out[start..start + 4].copy_from_slice(&crc.to_be_bytes());
        out.resize(start + padded(length) as usize, 0);
    }
}

/// What bytes at a place where a record may stand are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole, valid record.
    Record(Record<'a>),
    /// Zeros: nothing was written here.
    Nothing,
    /// Something else.
    Damaged(BadRecord),
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRecord {
    /// The length is none that a record can have.
    Length(u32),
    /// The record would go on behind the segment's end.
    CutOff,
    /// The CRC is wrong.
    Checksum,
    /// The bytes up to the next record are not zero.
    Padding,
    /// The CRC is right, but the kind is unknown or its fields cannot be.
    Content,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRecord::Length(length) => write!(f, "a record cannot be {length} bytes long"),
            BadRecord::CutOff => write!(f, "the record extends beyond the segment's end"),
            BadRecord::Checksum => write!(f, "the record's checksum is wrong"),
            BadRecord::Padding => write!(f, "the padding after the record is not zero"),
            BadRecord::Content => write!(f, "the record's kind or fields are invalid"),
        }
    }
}

/// How many bytes [`parse`] has to see at most, told from the first ones: those of the header, or
/// of the whole padded record where the header names a possible length.
pub fn bytes_wanted(bytes: &[u8]) -> usize {
    if bytes.len() < RECORD_HEADER_BYTES {
        return RECORD_HEADER_BYTES;
    }
    let length = u32_at(bytes, RECORD_LENGTH_AT);
    if possible_length(length) { padded(length) as usize } else { RECORD_HEADER_BYTES }
}

/// The length that a record's first bytes name.
pub(super) fn length_of(bytes: &[u8]) -> Option<usize> {
    bytes.get(..RECORD_HEADER_BYTES).map(|head| u32_at(head, RECORD_LENGTH_AT) as usize)
}

/// Reads what stands at `offset` of a segment salted with `salt`. `bytes` begin there, and hold
/// [`bytes_wanted`] bytes or end where the segment does.
pub fn parse(bytes: &[u8], salt: u32, offset: u32) -> Parsed<'_> {
    let Some(head) = bytes.get(..RECORD_HEADER_BYTES) else {
        let nothing = bytes.iter().all(|byte| *byte == 0);
        return if nothing { Parsed::Nothing } else { Parsed::Damaged(BadRecord::CutOff) };
    };
    let length = u32_at(head, RECORD_LENGTH_AT);
    if length == 0 && head.iter().all(|byte| *byte == 0) {
        return Parsed::Nothing;
    }
    if !possible_length(length) {
        return Parsed::Damaged(BadRecord::Length(length));
    }
    let Some(whole) = bytes.get(..padded(length) as usize) else {
        return Parsed::Damaged(BadRecord::CutOff);
    };
    let (record, padding) = whole.split_at(length as usize);
    match record_of(record, salt, offset) {
        Ok(_) if padding.iter().any(|byte| *byte != 0) => Parsed::Damaged(BadRecord::Padding),
        Ok(record) => Parsed::Record(record),
        Err(bad) => Parsed::Damaged(bad),
    }
}

/// Reads one record of known length (as a location names it) from exactly its bytes, unpadded.
pub fn record_of(bytes: &[u8], salt: u32, offset: u32) -> Result<Record<'_>, BadRecord> {
    if bytes.len() < RECORD_HEADER_BYTES {
        return Err(BadRecord::CutOff);
    }
    let length = u32_at(bytes, RECORD_LENGTH_AT);
    if length as usize != bytes.len() {
        return Err(BadRecord::Length(length));
    }
    let is_whole = record_crc(bytes, salt, offset) == u32_at(bytes, 0);
    if !is_whole && !planted(Mutant::TornTailTaken) {
        return Err(BadRecord::Checksum);
    }
    fields_of(bytes)
}

/// What a record says whose checksum is known to be right.
pub(super) fn fields_of(bytes: &[u8]) -> Result<Record<'_>, BadRecord> {
    let (term, index) = (u64_at(bytes, RECORD_TERM_AT), u64_at(bytes, RECORD_INDEX_AT));
    let payload = &bytes[RECORD_HEADER_BYTES..];
    let kind = match bytes[RECORD_KIND_AT] {
        1 if index > 0 => Kind::Entry,
        2 if index > 0 && term == 0 && payload.is_empty() => Kind::Truncate,
        3 if term == 0 && payload.is_empty() => Kind::Mark,
        _ => return Err(BadRecord::Content),
    };
    let batch = u64_at(bytes, RECORD_KIND_AT) & BATCH_MASK;
    Ok(Record { kind, batch, term, index, payload })
}

/// The batch number that the bytes name where they may begin a record, CRC unseen: a quick look
/// for who searches a damaged segment. `None` where they certainly begin none.
pub fn claimed_batch(bytes: &[u8]) -> Option<u64> {
    let head = bytes.get(..RECORD_HEADER_BYTES)?;
    let plausible =
        possible_length(u32_at(head, RECORD_LENGTH_AT)) && (1..=3).contains(&head[RECORD_KIND_AT]);
    plausible.then(|| u64_at(head, RECORD_KIND_AT) & BATCH_MASK)
}

/// `length` up to the next multiple of [`ALIGNMENT`].
pub const fn padded(length: u32) -> u32 {
    length.next_multiple_of(ALIGNMENT as u32)
}

fn possible_length(length: u32) -> bool {
    (RECORD_HEADER_BYTES..=RECORD_BYTES).contains(&(length as usize))
}

/// A CRC register is a bijection of what it started from, so two places of a segment, and two
/// salts at one place, never share a valid record.
fn record_crc(record: &[u8], salt: u32, offset: u32) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt ^ offset);
    if planted(Mutant::ChecksumSkipsIndex) {
        hasher.update(&record[RECORD_LENGTH_AT..RECORD_INDEX_AT]);
        hasher.update(&record[RECORD_HEADER_BYTES..]);
        return hasher.finalize();
    }
    hasher.update(&record[RECORD_LENGTH_AT..]);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(number)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_be_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    const HEADER: Header = Header {
        identity: Identity { cluster: *b"0123456789abcdef" },
        number: 3,
        salt: 0xA1B2_C3D4,
        length: 64 << 20,
        follows: 2,
        follows_at: 4136,
    };

    #[test]
    fn a_header_is_as_it_was_always_written() {
        let expected = concat!(
            "6368617477616c0a",                 // magic
            "00000001",                         // version
            "a1b2c3d4",                         // salt
            "30313233343536373839616263646566", // cluster
            "0000000000000003",                 // number
            "04000000",                         // length
            "00001028",                         // at
            "0000000000000002",                 // follows
            "00000000",
            "0f0bf6db",
        );
        assert_eq!(hex(&HEADER.encode()), expected);
        assert_eq!(Header::decode(&HEADER.encode()), Ok(HEADER));
    }

    #[test]
    fn each_kind_of_record_is_as_it_was_always_written() {
        let (batch, payload) = (0x0102_0304_0506_0708 & BATCH_MASK, &b"hello"[..]);
        let entry = Record { kind: Kind::Entry, batch, term: 9, index: 10, payload };
        let expected = concat!(
            "97d9a286",         // crc
            "00000025",         // length
            "0102030405060708", // kind, batch
            "0000000000000009", // term
            "000000000000000a", // index
            "68656c6c6f000000", // payload, padding
        );
        assert_written(entry, expected);
        let truncate = Record { kind: Kind::Truncate, batch, term: 0, index: 7, payload: &[] };
        let expected = concat!(
            "a1859231",
            "00000020",
            "0202030405060708",
            "0000000000000000",
            "0000000000000007"
        );
        assert_written(truncate, expected);
        let mark = Record { kind: Kind::Mark, batch, term: 0, index: 6, payload: &[] };
        let expected = concat!(
            "57a7c780",
            "00000020",
            "0302030405060708",
            "0000000000000000",
            "0000000000000006"
        );
        assert_written(mark, expected);
    }

    fn assert_written(record: Record<'_>, expected: &str) {
        let mut bytes = Vec::new();
        record.put(&mut bytes, HEADER.salt, 4096);
        assert_eq!(hex(&bytes), expected);
        assert_eq!(bytes.len(), record.padded() as usize);
        assert_eq!(bytes_wanted(&bytes), bytes.len());
        assert_eq!(parse(&bytes, HEADER.salt, 4096), Parsed::Record(record));
    }

    #[test]
    fn a_record_is_valid_in_its_own_segment_and_at_its_own_place_alone() {
        let mut bytes = Vec::new();
        let record = Record { kind: Kind::Entry, batch: 1, term: 1, index: 1, payload: b"x" };
        record.put(&mut bytes, 5, 4096);
        for offset in (0..1 << 20).step_by(ALIGNMENT).filter(|offset| *offset != 4096) {
            assert_eq!(parse(&bytes, 5, offset), Parsed::Damaged(BadRecord::Checksum));
        }
        for salt in (0..1000).filter(|salt| *salt != 5) {
            assert_eq!(parse(&bytes, salt, 4096), Parsed::Damaged(BadRecord::Checksum));
        }
    }

    #[test]
    fn zeros_are_an_end_and_never_a_record() {
        for length in 0..100 {
            assert_eq!(parse(&vec![0; length], 0, 4096), Parsed::Nothing);
            // Whatever the salt: also one for which the CRC of nothing would be zero.
            assert_eq!(parse(&vec![0; length], 4096, 4096), Parsed::Nothing);
        }
        assert_eq!(parse(&[0, 0, 0, 1], 0, 4096), Parsed::Damaged(BadRecord::CutOff));
    }

    #[test]
    fn a_record_with_a_right_checksum_and_impossible_fields_is_damage() {
        let impossible = [
            Record { kind: Kind::Entry, batch: 1, term: 1, index: 0, payload: b"" },
            Record { kind: Kind::Truncate, batch: 1, term: 0, index: 0, payload: b"" },
            Record { kind: Kind::Truncate, batch: 1, term: 1, index: 1, payload: b"" },
            Record { kind: Kind::Mark, batch: 1, term: 0, index: 1, payload: b"x" },
        ];
        for record in impossible {
            let mut bytes = Vec::new();
            record.put(&mut bytes, 0, 4096);
            assert_eq!(parse(&bytes, 0, 4096), Parsed::Damaged(BadRecord::Content));
        }
        let mut bytes = Vec::new();
        let record = Record { kind: Kind::Mark, batch: 1, term: 0, index: 1, payload: &[] };
        record.put(&mut bytes, 0, 4096);
        for kind in (0..=255).filter(|kind| *kind != 3) {
            bytes[RECORD_KIND_AT] = kind;
            let crc = record_crc(&bytes, 0, 4096);
            bytes[..4].copy_from_slice(&crc.to_be_bytes());
            let told = parse(&bytes, 0, 4096);
            assert!(!matches!(told, Parsed::Record(record) if record.kind == Kind::Mark), "{kind}");
        }
    }

    #[test]
    fn the_longest_payload_fits_and_no_length_leads_out_of_the_bytes() {
        let payload = vec![9; limits::WAL_ENTRY_BYTES];
        let record = Record { kind: Kind::Entry, batch: 1, term: 1, index: 1, payload: &payload };
        let mut bytes = Vec::new();
        record.put(&mut bytes, 1, 8192);
        assert_eq!(parse(&bytes, 1, 8192), Parsed::Record(record));
        for length in [0, 31, RECORD_BYTES as u32 + 1, u32::MAX] {
            bytes[RECORD_LENGTH_AT..RECORD_KIND_AT].copy_from_slice(&length.to_be_bytes());
            assert_eq!(parse(&bytes, 1, 8192), Parsed::Damaged(BadRecord::Length(length)));
        }
        for cut in 32..60 {
            bytes[RECORD_LENGTH_AT..RECORD_KIND_AT].copy_from_slice(&64u32.to_be_bytes());
            assert_eq!(parse(&bytes[..cut], 1, 8192), Parsed::Damaged(BadRecord::CutOff));
        }
    }

    #[test]
    fn a_header_that_is_none_is_told_why() {
        let good = HEADER.encode();
        assert_eq!(Header::decode(&good[..63]), Err(BadHeader::CutOff));
        assert_eq!(Header::decode(&[0; 64]), Err(BadHeader::Magic));
        for at in 8..64 {
            let mut bad = good;
            bad[at] ^= 4;
            assert_eq!(Header::decode(&bad), Err(BadHeader::Checksum), "byte {at}");
        }
    }
}
