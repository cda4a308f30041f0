//! Random bytes from a seed that the system gave: SHA-256 over (seed, counter). The same seed gives
//! the same bytes, so that a simulated server has one history.

use crate::auth::sha256::Sha256;

/// The generator.
pub struct Random {
    seed: [u8; 32],
    counter: u64,
}

impl Random {
    /// Starts from `seed`, which nobody else knows.
    pub fn new(seed: [u8; 32]) -> Random {
        Random { seed, counter: 0 }
    }

    /// Sixteen bytes that nobody can tell beforehand.
    pub fn bytes(&mut self) -> [u8; 16] {
        self.counter += 1;
        let mut hash = Sha256::new();
        hash.update(&self.seed);
        hash.update(&self.counter.to_be_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finish()[..16]);
        bytes
    }

    /// A number that nobody can tell beforehand.
    pub fn number(&mut self) -> u64 {
        u64::from_be_bytes(*self.bytes().first_chunk().expect("there are sixteen"))
    }

    /// 32 such bytes, for a key, a nonce or a seed.
    pub fn key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&self.bytes());
        key[16..].copy_from_slice(&self.bytes());
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_never_twice_the_same() {
        let (mut one, mut two) = (Random::new([7; 32]), Random::new([7; 32]));
        let first = one.bytes();
        assert_eq!(first, two.bytes());
        assert_ne!(first, one.bytes());
        assert_ne!(first, Random::new([8; 32]).bytes());
    }
}
