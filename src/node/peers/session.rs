//! What is around every frame once both sides have proven the secret: a sequence number, and a code
//! that only the two of them can make. Pure.
//!
//! ```text
//! u32 length of what follows
//! u64 sequence number, from 1, for each direction
//! u16 length of the head
//! head
//! block: what is left
//! [16] code: HMAC-SHA-256, cut, over the sequence number, the head's length, the head and, where
//!      there is a block, its SHA-256
//! ```
//! The block's digest is made once however many peers it goes to. There is no encryption.

use super::reason::Reason;
use crate::auth::{equal_constant_time, hmac, sha256};
use crate::limits::{self, PEER_FRAME_BYTES};

/// Bytes of the length before a frame.
pub const LENGTH_BYTES: usize = 4;
const HEAD_AT: usize = 8 + 2;
const CODE_BYTES: usize = 16;

/// The largest append, whose last entry may go over the bytes that the core puts into one, fits.
const _: () =
    assert!(limits::RAFT_BATCH_BYTES + limits::WAL_ENTRY_BYTES + 1_024 <= PEER_FRAME_BYTES);

/// Bytes that go to several peers, with their digest.
#[derive(Clone, Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    digest: [u8; sha256::DIGEST],
}

impl Block {
    /// Hashes `bytes`.
    pub fn new(bytes: Vec<u8>) -> Block {
        let digest = sha256::digest(&bytes);
        Block { bytes, digest }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// One direction, from the side that writes.
pub struct Sealer {
    key: hmac::Key,
    last: u64,
}

impl Sealer {
    /// With the key of this direction.
    pub fn new(key: &[u8; 32]) -> Sealer {
        Sealer { key: hmac::Key::new(key), last: 0 }
    }

    /// Appends a frame whose head `put_head` appends.
    pub fn seal(&mut self, out: &mut Vec<u8>, put_head: impl FnOnce(&mut Vec<u8>), block: &Block) {
        self.last += 1;
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH_BYTES]);
        out.extend_from_slice(&self.last.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        let head_at = out.len();
        put_head(out);
        let head = u16::try_from(out.len() - head_at).expect("heads are short");
        out[head_at - 2..head_at].copy_from_slice(&head.to_be_bytes());
        let code = code(&self.key, &out[start + LENGTH_BYTES..], block);
        out.extend_from_slice(&block.bytes);
        out.extend_from_slice(&code);
        let length = out.len() - start - LENGTH_BYTES;
        assert!(length <= PEER_FRAME_BYTES, "frames are bounded by what the core puts into one");
        out[start..start + LENGTH_BYTES].copy_from_slice(&(length as u32).to_be_bytes());
    }
}

/// One direction, from the side that reads.
pub struct Opener {
    key: hmac::Key,
    last: u64,
}

impl Opener {
    /// With the key of this direction.
    pub fn new(key: &[u8; 32]) -> Opener {
        Opener { key: hmac::Key::new(key), last: 0 }
    }

    /// The head and the block of a frame without the length before it.
    pub fn open<'f>(&mut self, frame: &'f [u8]) -> Result<(&'f [u8], &'f [u8]), Reason> {
        let (frame, given) = frame.split_last_chunk::<CODE_BYTES>().ok_or(Reason::Malformed)?;
        let (number, rest) = frame.split_first_chunk::<8>().ok_or(Reason::Malformed)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(Reason::Malformed)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (head, block) = rest.split_at_checked(length).ok_or(Reason::Malformed)?;
        let mut code = self.key.begin();
        code.update(&frame[..HEAD_AT + length]);
        if !block.is_empty() {
            code.update(&sha256::digest(block));
        }
        if !equal_constant_time(&code.finish()[..CODE_BYTES], given) {
            return Err(Reason::Code);
        }
        if u64::from_be_bytes(*number) != self.last + 1 {
            return Err(Reason::Sequence);
        }
        self.last += 1;
        Ok((head, block))
    }
}

fn code(key: &hmac::Key, head: &[u8], block: &Block) -> [u8; CODE_BYTES] {
    let mut code = key.begin();
    code.update(head);
    if !block.is_empty() {
        code.update(&block.digest);
    }
    let mut cut = [0; CODE_BYTES];
    cut.copy_from_slice(&code.finish()[..CODE_BYTES]);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::hex;

    fn frames() -> (Vec<u8>, Vec<u8>) {
        let mut sealer = Sealer::new(&[7; 32]);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        sealer.seal(&mut first, |out| out.extend_from_slice(b"head"), &Block::default());
        sealer.seal(&mut second, |out| out.push(5), &Block::new(b"a block".to_vec()));
        (first, second)
    }

    #[test]
    fn frames_are_opened_in_their_order() {
        let (first, second) = frames();
        let mut opener = Opener::new(&[7; 32]);
        assert_eq!(opener.open(&first[LENGTH_BYTES..]), Ok((&b"head"[..], &b""[..])));
        assert_eq!(opener.open(&second[LENGTH_BYTES..]), Ok((&[5][..], &b"a block"[..])));
    }

    #[test]
    fn a_frame_left_out_or_sent_again_is_refused() {
        let (first, second) = frames();
        let mut opener = Opener::new(&[7; 32]);
        assert_eq!(opener.open(&second[LENGTH_BYTES..]), Err(Reason::Sequence));
        assert!(opener.open(&first[LENGTH_BYTES..]).is_ok());
        assert_eq!(opener.open(&first[LENGTH_BYTES..]), Err(Reason::Sequence));
    }

    #[test]
    fn no_bit_of_a_frame_can_be_changed_and_none_of_its_bytes_left_out() {
        let (_, second) = frames();
        let frame = &second[LENGTH_BYTES..];
        let mut whole = Opener::new(&[7; 32]);
        whole.last = 1;
        for bit in 0..frame.len() * 8 {
            let mut other = frame.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(whole.open(&other).is_err(), "bit {bit}");
        }
        for length in 0..frame.len() {
            assert!(whole.open(&frame[..length]).is_err());
        }
        assert_eq!(Opener::new(&[8; 32]).open(frame), Err(Reason::Code), "another key");
        assert!(whole.open(frame).is_ok());
    }

    #[test]
    fn the_form_does_not_change_unnoticed() {
        let (first, second) = frames();
        assert_eq!(&hex::encode(&first)[..36], "0000001e0000000000000001000468656164");
        assert_eq!(&hex::encode(&second)[..44], "0000002200000000000000020001056120626c6f636b");
    }
}
