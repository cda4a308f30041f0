//! A sorted set of ordinals in chunks: appending, removing anywhere, paging from anywhere.
//!
//! Chunks keep each move of memory small, however long the list: appending never copies more than a
//! chunk, removing moves at most a chunk's rest (and, once for a chunk's whole life, the table of
//! chunks). Nothing removed is left behind, so a page costs what it returns.

/// Most ordinals in one chunk.
const CHUNK: usize = 512;

/// The list. Chunks are never empty, ordinals strictly rise within and across them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ordinals {
    chunks: Vec<Vec<u32>>,
    len: u32,
}

impl Ordinals {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// The highest.
    pub(super) fn last(&self) -> Option<u32> {
        self.chunks.last().and_then(|chunk| chunk.last().copied())
    }

    /// Adds one that is above all others.
    pub(super) fn push(&mut self, ordinal: u32) {
        debug_assert!(self.last().is_none_or(|last| last < ordinal), "pushed out of order");
        self.len += 1;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => push_tight(chunk, ordinal),
            _ => push_tight(&mut self.chunks, vec![ordinal]),
        }
    }

    /// Adds one anywhere; nothing happens where it is there already.
    pub(super) fn insert(&mut self, ordinal: u32) {
        let at = self.chunk_of(ordinal);
        let Some(chunk) = self.chunks.get_mut(at) else { return self.push(ordinal) };
        let Err(place) = chunk.binary_search(&ordinal) else { return };
        self.len += 1;
        chunk.insert(place, ordinal);
        if chunk.len() > CHUNK {
            let upper = chunk.split_off(CHUNK / 2);
            chunk.shrink_to_fit();
            self.chunks.insert(at + 1, upper);
        }
    }

    /// Removes one; false: it was not there.
    pub(super) fn remove(&mut self, ordinal: u32) -> bool {
        let at = self.chunk_of(ordinal);
        let Some(chunk) = self.chunks.get_mut(at) else { return false };
        let Ok(place) = chunk.binary_search(&ordinal) else { return false };
        self.len -= 1;
        chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(at);
        } else if chunk.len() < chunk.capacity() / 4 {
            chunk.shrink_to(chunk.len() * 2);
        }
        true
    }

    /// Puts `new`, above all others, in the place of `old`; in place where `old` was the highest.
    pub(super) fn advance(&mut self, old: u32, new: u32) {
        match self.chunks.last_mut().and_then(|chunk| chunk.last_mut()) {
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
        let (head, rest) = match self.chunks.get(at) {
            Some(chunk) => {
                (&chunk[chunk.partition_point(|&o| o < bound)..], &self.chunks[at + 1..])
            }
            None => (&[][..], &[][..]),
        };
        head.iter().chain(rest.iter().flatten()).copied()
    }

    /// Those below `bound`, falling.
    pub(super) fn below(&self, bound: u32) -> impl Iterator<Item = u32> + '_ {
        let at = self.chunk_of(bound);
        let tail = match self.chunks.get(at) {
            Some(chunk) => &chunk[..chunk.partition_point(|&o| o < bound)],
            None => &[][..],
        };
        tail.iter()
            .rev()
            .chain(self.chunks[..at].iter().rev().flat_map(|c| c.iter().rev()))
            .copied()
    }

    /// All, rising.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.chunks.iter().flatten().copied()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let inner: usize = self.chunks.iter().map(|chunk| chunk.capacity() * 4).sum();
        inner + self.chunks.capacity() * size_of::<Vec<u32>>()
    }

    /// Asserts what the type promises.
    pub(super) fn check(&self) {
        assert!(self.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
        assert!(self.iter().zip(self.iter().skip(1)).all(|(low, high)| low < high), "sorted");
        assert_eq!(self.iter().count(), self.len(), "counted");
    }

    /// The first chunk that reaches `ordinal`, the number of chunks where none does.
    fn chunk_of(&self, ordinal: u32) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|&last| last < ordinal))
    }
}

/// Pushes, growing by half instead of doubling: most lists are short, and slack is what they cost.
fn push_tight<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 2).clamp(1, CHUNK));
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
        assert_eq!((list.len(), list.last(), list.chunks.len()), (0, None, 0));
    }
}
