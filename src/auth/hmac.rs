//! HMAC-SHA-256 (RFC 2104).

use super::sha256::{self, BLOCK, DIGEST, INITIAL, Sha256, State};

/// A key, prepared: making it costs two blocks of hashing, which each message then saves.
#[derive(Clone)]
pub struct Key {
    /// The hash's state after the block of the key and the inner padding.
    pub(super) inner: State,
    /// The same with the outer padding.
    pub(super) outer: State,
}

impl Key {
    /// Prepares a key of any length (one longer than a block is hashed first).
    pub fn new(key: &[u8]) -> Key {
        let mut block = [0; BLOCK];
        if key.len() > BLOCK {
            block[..DIGEST].copy_from_slice(&sha256::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let state_after = |padding: u8| {
            let mut state = INITIAL;
            sha256::compress(&mut state, &[block.map(|byte| byte ^ padding)]);
            state
        };
        let prepared = Key { inner: state_after(0x36), outer: state_after(0x5C) };
        crate::sys::memory::wipe(&mut block);
        prepared
    }

    /// Begins a message that comes piece by piece.
    pub fn begin(&self) -> Hmac {
        let inner = Sha256::after_blocks(self.inner, BLOCK as u64);
        Hmac { inner, outer: Sha256::after_blocks(self.outer, BLOCK as u64) }
    }

    /// The code of a whole message.
    pub fn mac(&self, message: &[u8]) -> [u8; DIGEST] {
        let mut code = self.begin();
        code.update(message);
        code.finish()
    }
}

/// A code that is being made.
#[derive(Clone)]
pub struct Hmac {
    inner: Sha256,
    outer: Sha256,
}

impl Hmac {
    /// Takes more of the message.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    /// The code of all that was taken.
    pub fn finish(mut self) -> [u8; DIGEST] {
        self.outer.update(&self.inner.finish());
        self.outer.finish()
    }
}

/// The code of a message under a key that is used once.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; DIGEST] {
    Key::new(key).mac(message)
}

#[cfg(test)]
mod tests {
    use super::super::hex;
    use super::*;

    #[test]
    fn the_seven_cases_of_rfc_4231_come_out() {
        let rising: Vec<u8> = (1..=25).collect();
        let long =
            b"This is a test using a larger than block-size key and a larger than block-size \
            data. The key needs to be hashed before being used by the HMAC algorithm.";
        for (key, message, expected) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                &rising,
                &[0xcd; 50],
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            // This case gives only the first 128 bits.
            (&[0x0c; 20], b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                long,
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ] {
            let code = hex::encode(&hmac_sha256(key, message));
            assert_eq!(&code[..expected.len()], expected);
        }
    }

    #[test]
    fn a_message_in_pieces_has_the_same_code() {
        let key = Key::new(b"key");
        let mut code = key.begin();
        code.update(b"one ");
        code.update(b"two");
        assert_eq!(code.finish(), key.mac(b"one two"));
    }
}
