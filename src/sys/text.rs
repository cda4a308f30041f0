//! Bytes as text, without a second look at those that are all ASCII, as most of what is said is: to
//! see that takes less than half the time of the standard library's check for UTF-8, but only that
//! check makes text of bytes where nothing is `unsafe`.
#![allow(unsafe_code)]

use std::ops::Range;
use std::str::Utf8Error;

/// The bytes as text.
///
/// # Errors
/// Those of [`str::from_utf8`].
#[inline(never)]
pub fn utf8(bytes: &[u8]) -> Result<&str, Utf8Error> {
    match Ascii::new(bytes) {
        Some(ascii) => Ok(ascii.text(0..bytes.len())),
        None => str::from_utf8(bytes),
    }
}

/// Bytes that are all ASCII, any part of which is text.
#[derive(Clone, Copy, Debug)]
pub struct Ascii<'a>(&'a [u8]);

impl<'a> Ascii<'a> {
    /// `None` where a byte is above 127.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Ascii<'a>> {
        is_ascii(bytes).then_some(Ascii(bytes))
    }

    /// The text at `range`.
    ///
    /// # Panics
    /// Where the range is not within the bytes.
    #[inline]
    pub fn text(self, range: Range<usize>) -> &'a str {
        // SAFETY: bytes up to 127 are characters by themselves, and `new` has seen no other.
        unsafe { str::from_utf8_unchecked(&self.0[range]) }
    }
}

const BLOCK: usize = 16;

/// All blocks together without an early end, which the compiler takes as vectors, and with them the
/// last bytes, some of which are looked at twice. The standard library's function of the same name
/// takes longer for short texts.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<BLOCK>() else {
        return bytes.iter().fold(0, |any, byte| any | byte) < 128;
    };
    let mut any = *last;
    for block in bytes.as_chunks::<BLOCK>().0 {
        for (any, byte) in any.iter_mut().zip(block) {
            *any |= byte;
        }
    }
    !any.iter().fold(false, |any, byte| any | (*byte >= 128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_not_ascii_is_seen_at_every_place_of_every_length() {
        for length in 0..200 {
            let mut bytes = vec![0x7f; length];
            assert_eq!(Ascii::new(&bytes).map(|ascii| ascii.text(0..length).len()), Some(length));
            for place in 0..length {
                for byte in [0x80, 0xc3, 0xff] {
                    bytes[place] = byte;
                    assert!(Ascii::new(&bytes).is_none(), "{byte} at {place} of {length}");
                }
                bytes[place] = 0;
            }
        }
    }

    #[test]
    fn text_is_what_the_standard_library_takes_for_text() {
        let plain = "0123456789abcdef".repeat(3);
        for piece in ["", "é", "\u{0}", "\u{1f600}"] {
            for place in 0..plain.len() {
                let text = [&plain[..place], piece, &plain[place..]].concat();
                for end in 0..=text.len() {
                    let bytes = &text.as_bytes()[..end];
                    assert_eq!(
                        utf8(bytes),
                        str::from_utf8(bytes),
                        "{piece:?} at {place}, to {end}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_part_of_ascii_is_that_part() {
        let ascii = Ascii::new(b"a line\n").expect("ASCII");
        assert_eq!((ascii.text(2..6), ascii.text(7..7)), ("line", ""));
    }
}
