//! A sorted set of ordinals in chunks: appending, removing anywhere, paging from anywhere.
//!
//! Chunks keep each move of memory small, however long the list: appending never copies more than a
//! chunk, removing moves at most a chunk's rest (and, once for a chunk's whole life, the table of
//! chunks). Nothing removed is left behind, so a page costs what it returns.

/// Most ordinals in one chunk.
const CHUNK: usize = 512;

/// The list. Ordinals strictly rise through `full` and then `tail`; no chunk is empty, and the tail
/// only where there are no chunks either: the newest are always at hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Ordinals {
    full: Vec<Vec<u32>>,
    tail: Vec<u32>,
    len: u32,
}

impl Ordinals {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// The highest.
    pub(super) fn last(&self) -> Option<u32> {
        self.tail.last().copied()
    }

    /// Adds one that is above all others.
    pub(super) fn push(&mut self, ordinal: u32) {
        debug_assert!(self.last().is_none_or(|last| last < ordinal), "pushed out of order");
        self.len += 1;
        if self.tail.len() == CHUNK {
            push_tight(&mut self.full, std::mem::take(&mut self.tail), usize::MAX);
        }
        push_tight(&mut self.tail, ordinal, CHUNK);
    }

    /// Adds one anywhere; nothing happens where it is there already.
    pub(super) fn insert(&mut self, ordinal: u32) {
        if self.last().is_none_or(|last| last < ordinal) {
            return self.push(ordinal);
        }
        let at = self.chunk_of(ordinal);
        let chunk = self.full.get_mut(at).unwrap_or(&mut self.tail);
        let Err(place) = chunk.binary_search(&ordinal) else { return };
        self.len += 1;
        chunk.insert(place, ordinal);
        if chunk.len() > CHUNK {
            let upper = chunk.split_off(CHUNK / 2);
            chunk.shrink_to_fit();
            let lower = std::mem::replace(chunk, upper);
            self.full.insert(at, lower);
        }
    }

    /// Removes one; false: it was not there.
    pub(super) fn remove(&mut self, ordinal: u32) -> bool {
        let at = self.chunk_of(ordinal);
        let chunk = self.full.get_mut(at).unwrap_or(&mut self.tail);
        let Ok(place) = chunk.binary_search(&ordinal) else { return false };
        self.len -= 1;
        chunk.remove(place);
        if chunk.len() < chunk.capacity() / 4 {
            chunk.shrink_to(chunk.len() * 2);
        }
        if chunk.is_empty() {
            if at < self.full.len() {
                self.full.remove(at);
            } else if let Some(last) = self.full.pop() {
                self.tail = last;
            }
        }
        true
    }

    /// Puts `new`, above all others, in the place of `old`; in place where `old` was the highest.
    pub(super) fn advance(&mut self, old: u32, new: u32) {
        match self.tail.last_mut() {
            Some(last) if *last == old => *last = new,
            _ => {
                self.remove(old);
                self.push(new);
            }
        }
    }

    /// Those at or above `bound`, rising.
    pub(super) fn from(&self, bound: u32) -> impl Iterator<Item = u32> + '_ {
        let at = self.chunk_of(bound);
        let chunk = self.full.get(at).unwrap_or(&self.tail);
        let head = &chunk[chunk.partition_point(|&ordinal| ordinal < bound)..];
        let rest = if at < self.full.len() { Some(&self.tail) } else { None };
        let full = self.full.get(at + 1..).unwrap_or_default();
        head.iter().chain(full.iter().chain(rest).flatten()).copied()
    }

    /// Those below `bound`, falling.
    pub(super) fn below(&self, bound: u32) -> impl Iterator<Item = u32> + '_ {
        let at = self.chunk_of(bound);
        let chunk = self.full.get(at).unwrap_or(&self.tail);
        let head = &chunk[..chunk.partition_point(|&ordinal| ordinal < bound)];
        head.iter().rev().chain(self.full[..at].iter().rev().flat_map(|c| c.iter().rev())).copied()
    }

    /// All, rising.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.full.iter().flatten().chain(&self.tail).copied()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let full: usize = self.full.iter().map(|chunk| chunk.capacity() * 4).sum();
        full + self.full.capacity() * size_of::<Vec<u32>>() + self.tail.capacity() * 4
    }

    /// Asserts what the type promises.
    pub(super) fn check(&self) {
        assert!(self.full.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
        assert!(self.tail.len() <= CHUNK && (self.full.is_empty() || !self.tail.is_empty()));
        assert!(self.iter().zip(self.iter().skip(1)).all(|(low, high)| low < high), "sorted");
        assert_eq!(self.iter().count(), self.len(), "counted");
    }

    /// The first chunk of `full` that reaches `ordinal`, the number of them where none does.
    fn chunk_of(&self, ordinal: u32) -> usize {
        self.full.partition_point(|chunk| chunk.last().is_some_and(|&last| last < ordinal))
    }
}

/// Pushes, growing by half instead of doubling, and never past `most`: slack is what lists cost.
fn push_tight<T>(list: &mut Vec<T>, item: T, most: usize) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 2).min(most.saturating_sub(list.len())).max(1));
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_holds_what_a_sorted_set_holds_whatever_is_done() {
        let mut list = Ordinals::default();
        let mut set = BTreeSet::new();
        let mut state = 1u64;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((state >> 33) % bound) as u32
        };
        for step in 0..20_000u32 {
            let any = below(6_000);
            match below(6) {
                0..=2 => {
                    let next = set.last().map_or(0, |last| last + 1 + below(3));
                    list.push(next);
                    set.insert(next);
                }
                3 => {
                    list.insert(any);
                    set.insert(any);
                }
                4 => assert_eq!(list.remove(any), set.remove(&any)),
                _ => {
                    if let Some(&old) = set.range(any..).next() {
                        let next = set.last().map_or(0, |last| last + 1);
                        list.advance(old, next);
                        set.remove(&old);
                        set.insert(next);
                    }
                }
            }
            assert_eq!(list.len(), set.len());
            assert_eq!(list.last(), set.last().copied());
            if step % 50 == 0 {
                list.check();
                let bound = below(7_000);
                assert!(list.from(bound).eq(set.range(bound..).copied()));
                assert!(list.below(bound).eq(set.range(..bound).rev().copied()));
                assert!(list.iter().eq(set.iter().copied()));
            }
        }
        for ordinal in set {
            assert!(list.remove(ordinal));
        }
        assert_eq!((list.len(), list.last(), list.full.len()), (0, None, 0));
    }
}
