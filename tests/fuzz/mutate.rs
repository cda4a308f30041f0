//! Spoils bytes in the ways that find mistakes in readers.

use super::generate::TOKENS;
use crate::support::Rng;

/// Most bytes that mutations make of what they are given, beyond its own length.
const MOST_GROWTH: usize = 4_096;

/// Mutates `bytes` once or a few times. `other` is what splices take from.
pub fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let most = bytes.len() + MOST_GROWTH;
    for _ in 0..1 + rng.below(4) {
        mutate_once(rng, bytes, other);
        bytes.truncate(most);
    }
}

fn mutate_once(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = place(rng, bytes.len());
    let to = (at + 1 + rng.below(16) as usize).min(bytes.len());
    match rng.below(10) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        1 if at < bytes.len() => bytes[at] = rng.next() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..to)),
        4 => {
            let copy = bytes[at..to].to_vec();
            let target = place(rng, bytes.len());
            bytes.splice(target..target, copy);
        }
        5 => {
            let from = place(rng, other.len());
            let end = (from + rng.below(64) as usize).min(other.len());
            bytes.splice(at..to, other[from..end].iter().copied());
        }
        6 | 7 => {
            let token = TOKENS[rng.below(TOKENS.len() as u64) as usize];
            let end = if rng.chance(1, 2) { at } else { to };
            bytes.splice(at..end, token.iter().copied());
        }
        8 => edit_number(rng, bytes, at),
        _ => bytes.extend_from_slice(&TOKENS[rng.below(TOKENS.len() as u64) as usize].repeat(3)),
    }
}

/// A place in `0..=length`, the beginning (where lengths stand) more often than the rest.
fn place(rng: &mut Rng, length: usize) -> usize {
    let most = if rng.chance(1, 3) { length.min(12) } else { length };
    rng.below(most as u64 + 1) as usize
}

/// Changes one, two or four bytes as a length field would be: a little more, a little less, an end
/// of the range.
fn edit_number(rng: &mut Rng, bytes: &mut [u8], at: usize) {
    let width = 1 << rng.below(3);
    let Some(field) = bytes.get_mut(at..at + width) else { return };
    let old = field.iter().fold(0u32, |number, &byte| number << 8 | u32::from(byte));
    let new = match rng.below(6) {
        0 => 0,
        1 => u32::MAX,
        2 => 1 << 20,
        3 => (1 << 20) + 1,
        _ => old.wrapping_add(rng.below(9) as u32).wrapping_sub(4),
    };
    field.copy_from_slice(&new.to_be_bytes()[4 - width..]);
}
