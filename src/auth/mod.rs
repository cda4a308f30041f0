//! Passwords and tokens, and the cryptography beneath them, written against the standards' vectors.
//! Pure, but for the thread of [`hasher`].
//!
//! | module     | what it is | source |
//! | ---        | --- | --- |
//! | [`sha256`] | the hash, by the processor's instructions where it has them | FIPS 180-4 |
//! | [`hmac`]   | keyed hashing | RFC 2104 |
//! | [`pbkdf2`] | a password made slow to guess | RFC 8018, section 5.2 |
//! | [`base64`], [`hex`] | bytes as text | RFC 4648 |
//! | [`scram`]  | what is kept of a password | RFC 5802, RFC 7677 |
//! | [`token`]  | what lets a session come back without its password | |
//! | [`hasher`] | the thread that does the slow work | |

pub mod base64;
pub mod hasher;
pub mod hex;
pub mod hmac;
pub mod pbkdf2;
pub mod scram;
pub mod sha256;
pub mod token;

/// Whether two secrets are equal, in a time that does not depend on where they differ, only on
/// their lengths.
pub fn equal_constant_time(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let mut difference = 0;
    for (a, b) in left.iter().zip(right) {
        // The compiler may not conclude that a difference once found stays one.
        difference = std::hint::black_box(difference | (a ^ b));
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::equal_constant_time;

    #[test]
    fn secrets_are_equal_only_in_every_bit() {
        let secret = [0x5A; 32];
        assert!(equal_constant_time(&secret, &secret));
        assert!(equal_constant_time(&[], &[]));
        assert!(!equal_constant_time(&secret, &secret[..31]));
        for bit in 0..256 {
            let mut other = secret;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!equal_constant_time(&secret, &other), "bit {bit}");
        }
    }
}
