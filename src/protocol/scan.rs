//! Searching bytes many at a time, in safe code: eight in a word, and blocks that the compiler
//! turns into vector instructions.

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;
const WORD: usize = 8;
const BLOCK: usize = 32;
const HALF: usize = 16;

/// Whether JSON cannot have `byte` as it is inside a string: `"`, `\`, a control.
#[inline]
pub(super) fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// Where the first byte at or after `from` is that ends or interrupts a run of plain text in a
/// JSON string; the length of `bytes` if there is none.
#[inline]
pub(super) fn find_special(bytes: &[u8], from: usize) -> usize {
    find(bytes, from, special_mask, is_special)
}

/// Whether none of `bytes` ends or interrupts a run of plain text in a JSON string.
#[inline(always)]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let length = bytes.len();
    if length < HALF {
        !bytes.iter().any(|&byte| is_special(byte))
    } else if length <= BLOCK {
        ends_are_plain::<HALF>(bytes)
    } else if length <= 2 * BLOCK {
        ends_are_plain::<BLOCK>(bytes)
    } else {
        let blocks = bytes.as_chunks::<HALF>().0.iter();
        !{ blocks }.any(any_special) && ends_are_plain::<HALF>(bytes)
    }
}

/// The same for the first `N` bytes and the last, which may overlap.
#[inline(always)]
fn ends_are_plain<const N: usize>(bytes: &[u8]) -> bool {
    let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else {
        return false;
    };
    let mut any = [0; N];
    for at in 0..N {
        any[at] = u8::from(is_special(first[at]) | is_special(last[at]));
    }
    any.iter().fold(0, |any, special| any | special) == 0
}

#[inline(always)]
fn any_special(block: &[u8; HALF]) -> bool {
    block.iter().fold(false, |any, byte| any | is_special(*byte))
}

/// Where the first `wanted` at or after `from` is.
#[inline]
pub(super) fn find_byte(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let mask = |word| zero_mask(word ^ (ONES * u64::from(wanted)));
    let at = find(bytes, from, mask, |byte| byte == wanted);
    (at < bytes.len()).then_some(at)
}

/// The common walk: the first words one by one (most strings end there), then whole blocks as long
/// as nothing in them is a `hit`, then words again, then the
/// last word, or the bytes of what is shorter than one.
#[inline]
fn find(bytes: &[u8], from: usize, mask: impl Fn(u64) -> u64, hit: impl Fn(u8) -> bool) -> usize {
    let mut at = from;
    let mut words_before_blocks = BLOCK / WORD;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<WORD>()) {
        let found = mask(u64::from_le_bytes(*word));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += WORD;
        words_before_blocks -= 1;
        if words_before_blocks == 0 {
            while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
                // No early end: that is what lets the compiler take the block as vectors.
                if block.iter().fold(0, |any, &byte| any | u8::from(hit(byte))) != 0 {
                    break;
                }
                at += BLOCK;
            }
            words_before_blocks = BLOCK / WORD;
        }
    }
    if bytes.len() - from.min(bytes.len()) >= WORD {
        // The last whole word: what of it was searched before has no hit.
        let word = bytes.last_chunk::<WORD>().map_or(0, |word| u64::from_le_bytes(*word));
        let found = mask(word);
        let before = if found == 0 { WORD } else { found.trailing_zeros() as usize / 8 };
        return bytes.len() - WORD + before;
    }
    while at < bytes.len() {
        if hit(bytes[at]) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// The top bit of each byte of `word` that is special. Bytes above the first true hit may be
/// flagged wrongly (a borrow passes upward); the lowest flag is always right.
#[inline]
fn special_mask(word: u64) -> u64 {
    let quote = zero_mask(word ^ (ONES * b'"' as u64));
    let backslash = zero_mask(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
    quote | backslash | control
}

/// The top bit of each zero byte, with the same reservation as [`special_mask`].
#[inline]
fn zero_mask(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_value_at_every_place_is_found_as_the_plain_loop_finds_it() {
        for length in [0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 100] {
            for place in 0..length {
                for value in 0..=255u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = value;
                    let plain = bytes.iter().position(|&b| is_special(b)).unwrap_or(length);
                    assert_eq!(find_special(&bytes, 0), plain, "{value} at {place} of {length}");
                    let plain = bytes.iter().position(|&b| b == b'\n');
                    assert_eq!(find_byte(&bytes, 0, b'\n'), plain);
                }
            }
        }
    }

    #[test]
    fn of_neighbours_the_first_is_found_and_what_lies_before_from_is_not_looked_at() {
        let values = [0x00, 0x1f, 0x20, 0x21, b'"', b'#', b'[', b'\\', b']', 0x80, 0x9f, 0xff];
        for first in values {
            for second in values {
                for from in 0..12 {
                    let mut bytes = [b'"'; 40];
                    bytes[from..].fill(b'x');
                    (bytes[from + 3], bytes[from + 4]) = (first, second);
                    let plain = (from..40).find(|&at| is_special(bytes[at])).unwrap_or(40);
                    assert_eq!(find_special(&bytes, from), plain, "{first} {second} {from}");
                }
            }
        }
    }
}
