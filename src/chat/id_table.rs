//! From message id to ordinals: open addressing over 5 bytes a slot (a tag, an ordinal), for all
//! messages ever stored; several may bear one id.
//!
//! The ids themselves stand in the messages' column; a tag spares all but 1 in 255 of the looks at
//! it. Shards grow apart, so that no single insertion rebuilds the whole table.

/// Shards, a power of two.
const SHARDS: usize = 256;
/// A shard grows by half once more than this part of its slots is taken.
const LOAD: (usize, usize) = (4, 5);
/// Slots of a shard at first.
const FIRST_SLOTS: usize = 8;

#[derive(Clone, Debug, Default)]
struct Shard {
    /// 0 for an empty slot, else a byte of the hash that is not 0.
    tags: Vec<u8>,
    ordinals: Vec<u32>,
    used: usize,
}

/// The table. It takes hashes; who asks compares ids.
#[derive(Clone, Debug)]
pub(super) struct IdTable {
    shards: Vec<Shard>,
}

impl Default for IdTable {
    fn default() -> Self {
        IdTable { shards: vec![Shard::default(); SHARDS] }
    }
}

fn tag_of(hash: u64) -> u8 {
    (hash as u8).max(1)
}

impl Shard {
    /// The slot where a search begins: the hash below the shard's bits, scaled to the slots.
    fn home(&self, hash: u64) -> usize {
        let below = hash << SHARDS.trailing_zeros();
        ((u128::from(below) * self.tags.len() as u128) >> 64) as usize
    }

    fn put(&mut self, hash: u64, ordinal: u32) {
        let mut slot = self.home(hash);
        while self.tags[slot] != 0 {
            slot = if slot + 1 == self.tags.len() { 0 } else { slot + 1 };
        }
        self.tags[slot] = tag_of(hash);
        self.ordinals[slot] = ordinal;
        self.used += 1;
    }

    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        let slots = (self.tags.len() * 3 / 2).max(FIRST_SLOTS);
        let old = std::mem::take(self);
        self.tags = vec![0; slots];
        self.ordinals = vec![0; slots];
        for (tag, ordinal) in old.tags.into_iter().zip(old.ordinals) {
            if tag != 0 {
                self.put(hash_of(ordinal), ordinal);
            }
        }
    }
}

impl IdTable {
    /// Adds an ordinal under its id's hash; `hash_of` gives the hash for one that is there already.
    pub(super) fn insert(&mut self, hash: u64, ordinal: u32, hash_of: impl Fn(u32) -> u64) {
        let shard = &mut self.shards[shard_of(hash)];
        if (shard.used + 1) * LOAD.1 > shard.tags.len() * LOAD.0 {
            shard.grow(hash_of);
        }
        shard.put(hash, ordinal);
    }

    /// Ordinals whose id may have this hash, all that do among them.
    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let shard = &self.shards[shard_of(hash)];
        let (home, slots, tag) = (shard.home(hash), shard.tags.len(), tag_of(hash));
        (0..slots)
            .map(move |step| if home + step < slots { home + step } else { home + step - slots })
            .take_while(|&slot| shard.tags[slot] != 0)
            .filter(move |&slot| shard.tags[slot] == tag)
            .map(|slot| shard.ordinals[slot])
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let slots: usize = self.shards.iter().map(|shard| shard.tags.capacity()).sum();
        slots * 5 + SHARDS * size_of::<Shard>()
    }
}

fn shard_of(hash: u64) -> usize {
    (hash >> (64 - SHARDS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ordinals_under_a_hash_are_found_while_the_table_grows() {
        let hash_of = |ordinal: u32| (u64::from(ordinal) / 3).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut table = IdTable::default();
        assert_eq!(table.candidates(5).count(), 0);
        for ordinal in 0..30_000 {
            table.insert(hash_of(ordinal), ordinal, hash_of);
        }
        for ordinal in 0..30_000 {
            let first = ordinal / 3 * 3;
            let mut found: Vec<u32> =
                table.candidates(hash_of(ordinal)).filter(|&o| o / 3 == ordinal / 3).collect();
            found.sort_unstable();
            assert_eq!(found, [first, first + 1, first + 2]);
        }
    }

    #[test]
    fn a_search_ends_even_where_all_hashes_are_one() {
        let mut table = IdTable::default();
        for ordinal in 0..500 {
            table.insert(u64::MAX, ordinal, |_| u64::MAX);
        }
        assert_eq!(table.candidates(u64::MAX).count(), 500);
        assert_eq!(table.candidates(u64::MAX - 1).count(), 0);
    }
}
