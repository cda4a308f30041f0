//! SHA-256 (FIPS 180-4).

use crate::sys::sha::{self, ROUND_CONSTANTS};

/// Bytes of a block.
pub const BLOCK: usize = 64;
/// Bytes of a digest.
pub const DIGEST: usize = 32;

/// The state between blocks: what a hash is after whole blocks, and can be continued from.
pub(super) type State = [u32; 8];

/// The state before the first block (section 5.3.3).
pub(super) const INITIAL: State = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// A hash that is being made, of bytes that come piece by piece.
#[derive(Clone)]
pub struct Sha256 {
    state: State,
    /// The bytes since the last whole block: `length % BLOCK` of them.
    buffer: [u8; BLOCK],
    /// Bytes so far.
    length: u64,
}

impl Default for Sha256 {
    fn default() -> Self {
        Sha256::new()
    }
}

impl Sha256 {
    /// The hash of nothing, so far.
    pub fn new() -> Sha256 {
        Sha256::after_blocks(INITIAL, 0)
    }

    /// A hash that goes on from the state after `length` bytes, which are whole blocks.
    pub(super) fn after_blocks(state: State, length: u64) -> Sha256 {
        debug_assert_eq!(length % BLOCK as u64, 0, "only whole blocks are in a state");
        Sha256 { state, buffer: [0; BLOCK], length }
    }

    /// Takes more bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let held = (self.length % BLOCK as u64) as usize;
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if held > 0 {
            let count = bytes.len().min(BLOCK - held);
            self.buffer[held..held + count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            if held + count < BLOCK {
                return;
            }
            compress(&mut self.state, std::slice::from_ref(&self.buffer));
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        compress(&mut self.state, blocks);
        self.buffer[..rest.len()].copy_from_slice(rest);
    }

    /// The digest of all bytes taken (padding: section 5.1.1).
    pub fn finish(mut self) -> [u8; DIGEST] {
        let bits = self.length.wrapping_mul(8);
        let held = (self.length % BLOCK as u64) as usize;
        let mut end = [0; 2 * BLOCK];
        end[..held].copy_from_slice(&self.buffer[..held]);
        end[held] = 0x80;
        let padded = if held + 1 + 8 <= BLOCK { BLOCK } else { 2 * BLOCK };
        end[padded - 8..padded].copy_from_slice(&bits.to_be_bytes());
        compress(&mut self.state, end[..padded].as_chunks().0);
        bytes_of(&self.state)
    }
}

/// The digest of `bytes`.
pub fn digest(bytes: &[u8]) -> [u8; DIGEST] {
    let mut hash = Sha256::new();
    hash.update(bytes);
    hash.finish()
}

/// A state as the bytes of a digest.
pub(super) fn bytes_of(state: &State) -> [u8; DIGEST] {
    let mut bytes = [0; DIGEST];
    for (four, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
        *four = word.to_be_bytes();
    }
    bytes
}

/// Takes whole blocks into a state, the fastest way there is here.
#[inline]
pub(super) fn compress(state: &mut State, blocks: &[[u8; BLOCK]]) {
    if !sha::compress(state, blocks) {
        compress_portable(state, blocks);
    }
}

/// As [`compress`], on any processor (section 6.2.2).
pub(super) fn compress_portable(state: &mut State, blocks: &[[u8; BLOCK]]) {
    for block in blocks {
        // The schedule is a ring of the last sixteen words.
        let mut schedule = [0u32; 16];
        for (word, four) in schedule.iter_mut().zip(block.as_chunks().0) {
            *word = u32::from_be_bytes(*four);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
        for (sixteen, constants) in ROUND_CONSTANTS.as_chunks::<16>().0.iter().enumerate() {
            if sixteen > 0 {
                extend(&mut schedule);
            }
            for (word, constant) in schedule.iter().zip(constants) {
                let choice = (e & f) ^ (!e & g);
                let sum1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
                let majority = (a & b) ^ (a & c) ^ (b & c);
                let sum0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
                let first = h
                    .wrapping_add(sum1)
                    .wrapping_add(choice)
                    .wrapping_add(*constant)
                    .wrapping_add(*word);
                (h, g, f, e) = (g, f, e, d.wrapping_add(first));
                (d, c, b, a) = (c, b, a, first.wrapping_add(sum0).wrapping_add(majority));
            }
        }
        for (word, change) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *word = word.wrapping_add(change);
        }
    }
}

/// Makes the next sixteen words of the schedule, in place.
fn extend(schedule: &mut [u32; 16]) {
    for t in 0..16 {
        let (before2, before15) = (schedule[(t + 14) % 16], schedule[(t + 1) % 16]);
        let sigma1 = before2.rotate_right(17) ^ before2.rotate_right(19) ^ (before2 >> 10);
        let sigma0 = before15.rotate_right(7) ^ before15.rotate_right(18) ^ (before15 >> 3);
        schedule[t] = schedule[t]
            .wrapping_add(sigma0)
            .wrapping_add(schedule[(t + 9) % 16])
            .wrapping_add(sigma1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::hex;
    use super::*;
    use crate::sys::entropy;

    fn hex_digest(bytes: &[u8]) -> String {
        hex::encode(&digest(bytes))
    }

    #[test]
    fn the_examples_of_the_standard_come_out() {
        let two_blocks = b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn\
            hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";
        for (message, expected) in [
            (&b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
            (two_blocks, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"),
            (
                &[b'a'; 1_000_000],
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
            ),
        ] {
            assert_eq!(hex_digest(message), expected);
        }
    }

    /// The digests of 0, 1, ... 299 bytes of value length % 251, hashed together: one number for
    /// all cases of padding, from another implementation.
    #[test]
    fn every_length_up_to_300_is_padded_as_elsewhere() {
        let mut all = Sha256::new();
        for length in 0..300usize {
            all.update(&digest(&vec![(length % 251) as u8; length]));
        }
        let expected = "b890a98323719471806e4d58daa77b78b7f448551633a58160f48ecc0fe1590c";
        assert_eq!(hex::encode(&all.finish()), expected);
    }

    #[test]
    fn the_instructions_and_the_portable_code_agree() {
        let seed = match std::env::var("CHATCTL_SHA_SEED") {
            Ok(text) => text.parse().expect("CHATCTL_SHA_SEED is a number"),
            Err(_) => u64::from_ne_bytes(entropy::array().unwrap()),
        };
        println!("CHATCTL_SHA_SEED={seed}");
        let piece = |at: u64| digest(&[seed.to_ne_bytes(), at.to_ne_bytes()].concat());
        let random: Vec<u8> = (0..128).flat_map(piece).collect();
        for (start, count) in (0..64).flat_map(|start| (0..8).map(move |count| (start, count))) {
            let state_bytes = &random[start..start + 32];
            let mut state = [0; 8];
            for (word, four) in state.iter_mut().zip(state_bytes.as_chunks().0) {
                *word = u32::from_ne_bytes(*four);
            }
            let blocks = &random[start * 40..].as_chunks::<BLOCK>().0[..count];
            let (mut portable, mut fast) = (state, state);
            compress_portable(&mut portable, blocks);
            if sha::compress(&mut fast, blocks) {
                assert_eq!(portable, fast, "{state_bytes:?} {blocks:?}");
            } else {
                assert!(!sha::is_available());
                assert_eq!(fast, state, "left alone");
            }
        }
    }

    #[test]
    fn every_length_up_to_300_is_the_same_by_portable_code() {
        let message: Vec<u8> = (0..300).map(|at| (at * 7) as u8).collect();
        for length in 0..=message.len() {
            let mut padded = message[..length].to_vec();
            padded.push(0x80);
            padded.resize((length + 9).next_multiple_of(BLOCK) - 8, 0);
            padded.extend_from_slice(&(length as u64 * 8).to_be_bytes());
            let mut state = INITIAL;
            compress_portable(&mut state, padded.as_chunks().0);
            assert_eq!(bytes_of(&state), digest(&message[..length]), "{length} bytes");
        }
    }

    #[test]
    fn pieces_of_any_size_make_the_same_digest() {
        let message: Vec<u8> = (0..300).map(|at| (at * 7) as u8).collect();
        let whole = digest(&message);
        for first in 0..=message.len() {
            for second in [first, (first + 1).min(300), (first + 64).min(300), 300] {
                let mut hash = Sha256::new();
                hash.update(&message[..first]);
                hash.update(&message[first..second]);
                hash.update(&message[second..]);
                assert_eq!(hash.finish(), whole, "cut at {first} and {second}");
            }
        }
    }
}
