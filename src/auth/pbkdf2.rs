//! PBKDF2 with HMAC-SHA-256 (RFC 8018, section 5.2): one block of output, 32 bytes, is all that
//! SCRAM needs.

use super::hmac;
use super::sha256::{self, BLOCK, DIGEST, State};

/// The key that `iterations` rounds make of a password and its salt. Takes two blocks of hashing a
/// round: some 10 ms for 100,000 with SHA instructions, 60 without. `iterations` is at least 1.
pub fn pbkdf2_sha256(password: &[u8], salt: &[u8], iterations: u32) -> [u8; DIGEST] {
    derive_block(password, salt, iterations, 1, sha256::compress)
}

/// Block number `block` (from 1) of the output, by the given compression function.
fn derive_block(
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    block: u32,
    compress: impl Fn(&mut State, &[[u8; BLOCK]]),
) -> [u8; DIGEST] {
    assert!(iterations > 0, "a password is hashed at least once");
    let key = hmac::Key::new(password);
    let mut first = key.begin();
    first.update(salt);
    first.update(&block.to_be_bytes());
    let mut sum = first.finish();

    // From here on every message is one digest: with the key's block before it, it and its padding
    // are always this one block.
    let mut message = [0; BLOCK];
    message[DIGEST] = 0x80;
    let bits = 8 * (BLOCK + DIGEST) as u64;
    message[BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
    message[..DIGEST].copy_from_slice(&sum);
    count_iteration();
    for _ in 1..iterations {
        for start in [&key.inner, &key.outer] {
            let mut state = *start;
            compress(&mut state, std::slice::from_ref(&message));
            message[..DIGEST].copy_from_slice(&sha256::bytes_of(&state));
        }
        for (byte, more) in sum.iter_mut().zip(&message) {
            *byte ^= more;
        }
        count_iteration();
    }
    sum
}

#[cfg(not(test))]
#[inline]
fn count_iteration() {}

#[cfg(test)]
fn count_iteration() {
    tests::ITERATIONS.set(tests::ITERATIONS.get() + 1);
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::hex;
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// Iterations that this thread has done, for tests that hold how many something takes.
        pub(in super::super) static ITERATIONS: Cell<u64> = const { Cell::new(0) };
    }

    #[test]
    fn the_vectors_of_rfc_7914_come_out_by_both_ways() {
        for (password, salt, iterations, expected) in [
            (
                "passwd",
                "salt",
                1,
                "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc\
                49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783",
            ),
            (
                "Password",
                "NaCl",
                80_000,
                "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56\
                a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d",
            ),
        ] {
            let (password, salt) = (password.as_bytes(), salt.as_bytes());
            for (block, half) in [(1, &expected[..64]), (2, &expected[64..])] {
                let fast = derive_block(password, salt, iterations, block, sha256::compress);
                assert_eq!(hex::encode(&fast), half);
                let portable =
                    derive_block(password, salt, iterations, block, sha256::compress_portable);
                assert_eq!(portable, fast);
            }
        }
    }

    /// The inputs of RFC 6070, whose outputs are for SHA-1; these are for SHA-256.
    #[test]
    fn other_known_vectors_come_out() {
        for (password, salt, iterations, expected) in [
            (
                "password",
                "salt",
                1,
                "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b",
            ),
            (
                "password",
                "salt",
                2,
                "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43",
            ),
            (
                "password",
                "salt",
                4096,
                "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a",
            ),
            (
                "passwordPASSWORDpassword",
                "saltSALTsaltSALTsaltSALTsaltSALTsalt",
                4096,
                "348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1",
            ),
            (
                "pass\0word",
                "sa\0lt",
                4096,
                "89b69d0516f829893c696226650a86878c029ac13ee276509d5ae58b6466a724",
            ),
        ] {
            let key = pbkdf2_sha256(password.as_bytes(), salt.as_bytes(), iterations);
            assert_eq!(hex::encode(&key), expected);
        }
        let long = pbkdf2_sha256(&[b'p'; 1_024], &[b's'; 100], 3);
        assert_eq!(
            hex::encode(&long),
            "876621d669ab0f0913d8ae0e93348d71cb9ede7f1b1f5cb00da9e5bcad38aea6"
        );
    }

    #[test]
    fn the_iterations_asked_for_are_done() {
        for iterations in [1, 2, 1_000] {
            let before = ITERATIONS.get();
            pbkdf2_sha256(b"password", b"salt", iterations);
            assert_eq!(ITERATIONS.get() - before, u64::from(iterations));
        }
    }
}
