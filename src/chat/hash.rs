//! Keyed hashing for the tables, and the print of a body.
//!
//! Keys come from the cluster's token secret, which clients never see: nobody can choose names or
//! ids that fall into one place. Nothing observable depends on a hash, and none is ever stored.

use std::hash::{BuildHasher, Hasher};

const K0: u64 = 0x9E37_79B9_7F4A_7C15;
const K1: u64 = 0xD6E8_FEB8_6659_FD93;
const K2: u64 = 0xA076_1D64_78BD_642F;
const K3: u64 = 0xE703_7ED1_A0B4_28DB;

/// Both halves of the 128-bit product, folded: every bit of either factor reaches every bit.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Eight bytes, little-endian; `bytes` has at least eight.
fn word(bytes: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(eight)
}

/// A 64-bit hash of `bytes` under two keys.
fn hash_bytes(key: u64, other_key: u64, bytes: &[u8]) -> u64 {
    let mut state = key ^ fold(bytes.len() as u64 ^ K0, other_key ^ K1);
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        state = fold(word(chunk) ^ state, word(&chunk[8..]) ^ other_key);
    }
    let mut rest = [0; 16];
    let left = chunks.remainder();
    rest[..left.len()].copy_from_slice(left);
    state = fold(word(&rest) ^ state, word(&rest[8..]) ^ other_key);
    fold(state ^ K2, other_key ^ K3)
}

/// The keys of one state's tables.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keys {
    first: u64,
    second: u64,
}

impl Keys {
    /// Keys that only those can know who know `secret`.
    pub(super) fn from_secret(secret: &[u8; 32]) -> Keys {
        let first = hash_bytes(word(secret), word(&secret[8..]), &secret[16..]);
        let second = hash_bytes(word(&secret[16..]), word(&secret[24..]), &secret[..16]);
        Keys { first, second }
    }

    /// The hash of a message id.
    pub(super) fn hash_id(self, id: u128) -> u64 {
        let mixed = fold(id as u64 ^ self.first ^ K0, (id >> 64) as u64 ^ self.second ^ K1);
        fold(mixed ^ self.first ^ K2, self.second ^ id as u64 ^ K3)
    }

    /// A 128-bit print of a message's body: two 64-bit hashes under independent keys. Two bodies
    /// are compared only when one sender gave both the same id, so chance would have to hit 1 in
    /// 2^128; who finds a collision on purpose has deceived only himself: his own second message is
    /// taken for a retry of his first.
    pub(super) fn print(self, body: &[u8]) -> u128 {
        let low = hash_bytes(self.first ^ K2, self.second ^ K0, body);
        let high = hash_bytes(self.second ^ K3, self.first ^ K1, body);
        u128::from(high) << 64 | u128::from(low)
    }
}

impl BuildHasher for Keys {
    type Hasher = KeyedHasher;

    fn build_hasher(&self) -> KeyedHasher {
        KeyedHasher { state: self.first, key: self.second }
    }
}

/// The hasher of the tables of names and pairs.
#[derive(Clone, Debug)]
pub(super) struct KeyedHasher {
    state: u64,
    key: u64,
}

impl Hasher for KeyedHasher {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        self.state = hash_bytes(self.state, self.key, bytes);
    }

    fn write_u8(&mut self, _end_of_text: u8) {
        // `str` ends its bytes with one more; the length is in the hash already.
    }

    fn write_u64(&mut self, number: u64) {
        self.state = fold(number ^ self.state ^ K2, self.key ^ number.rotate_left(32) ^ K3);
    }
}

/// Gathers a digest: numbers and bytes, in order. Unkeyed: the same everywhere.
#[derive(Clone, Debug)]
pub(super) struct Digest {
    state: u64,
}

impl Digest {
    /// An empty one.
    pub(super) fn new() -> Digest {
        Digest { state: K0 }
    }

    /// Takes in a number.
    pub(super) fn number(&mut self, number: u64) {
        self.state = fold(self.state ^ K1, number ^ K2).wrapping_add(self.state.rotate_left(23));
    }

    /// Takes in bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(hash_bytes(K2, K3, bytes));
    }

    /// What it has come to.
    pub(super) fn finish(&self) -> u64 {
        fold(self.state ^ K3, K0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn bodies_that_differ_in_a_bit_a_length_or_an_order_have_other_prints() {
        let keys = Keys::from_secret(&[7; 32]);
        let body = b"a text of several words, longer than two blocks of it".to_vec();
        let mut prints = HashSet::from([keys.print(&body)]);
        for at in 0..body.len() * 8 {
            let mut other = body.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert!(prints.insert(keys.print(&other)), "bit {at}");
        }
        for length in 0..body.len() {
            assert!(prints.insert(keys.print(&body[..length])), "length {length}");
            let zeros = vec![0; length + 1];
            assert!(prints.insert(keys.print(&zeros)), "{length} zeros and one");
        }
        let mut swapped = body.clone();
        swapped.rotate_left(16);
        assert!(prints.insert(keys.print(&swapped)));
        assert_eq!(keys.print(&body), Keys::from_secret(&[7; 32]).print(&body));
        assert_ne!(keys.print(&body), Keys::from_secret(&[8; 32]).print(&body));
    }

    #[test]
    fn ids_in_a_row_spread_over_all_bytes_of_the_hash() {
        let keys = Keys::default();
        for shift in [0, 8, 24, 32, 48, 56] {
            let mut counts = [0u32; 256];
            for id in 0..65_536u128 {
                counts[(keys.hash_id(id << 3) >> shift) as usize & 255] += 1;
            }
            assert!(counts.iter().all(|&count| (128..512).contains(&count)), "shift {shift}");
        }
    }
}
