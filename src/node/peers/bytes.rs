//! Numbers and texts of the peers' protocol, and their bytes.

use std::fmt;

use crate::limits::PEER_ADDRESS_BYTES;

/// Bytes that are no frame, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_be_bytes());
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() <= PEER_ADDRESS_BYTES, "names and addresses are checked at the start");
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// What is still to be read.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Malformed("it ends early"))?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Malformed("a flag above 1")),
        }
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let [length] = self.array()?;
        str::from_utf8(self.bytes(usize::from(length))?).map_err(|_| Malformed("no UTF-8"))
    }
}
