//! The columns of all messages ever stored, by ordinal, and the way from index and id to ordinal.

use super::chunked::Chunked;
use super::hash::Keys;
use super::id_table::IdTable;

/// A number below 2^48 in 6 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct U48([u8; 6]);

impl U48 {
    /// The highest.
    pub(super) const MAX: u64 = (1 << 48) - 1;

    fn new(number: u64) -> U48 {
        debug_assert!(number <= U48::MAX, "checked where it came in");
        let [a, b, c, d, e, f, _, _] = number.to_le_bytes();
        U48([a, b, c, d, e, f])
    }

    fn get(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

/// The sender can see the message.
pub(super) const SENDER_SEES: u8 = 1;
/// The receiver can see it.
pub(super) const RECEIVER_SEES: u8 = 2;
/// The receiver has taken it off its queue.
pub(super) const TAKEN: u8 = 4;
/// It goes from the pair's second account to the first; else from the first to the second.
pub(super) const BACKWARD: u8 = 8;

/// A new message's columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) index: u64,
    pub(super) time: u64,
    pub(super) id: u128,
    pub(super) pair: u32,
    pub(super) flags: u8,
}

/// All messages ever stored. Deleted ones keep their row: windows and events refer to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    index: Chunked<U48>,
    time: Chunked<U48>,
    id: Chunked<[u8; 16]>,
    pair: Chunked<u32>,
    flags: Chunked<u8>,
    by_id: IdTable,
    keys: Keys,
}

impl Messages {
    /// None yet, with these keys for the table of ids.
    pub(super) fn new(keys: Keys) -> Messages {
        Messages { keys, ..Messages::default() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.flags.len()
    }

    /// Adds one, whose index is above all others; gives its ordinal.
    pub(super) fn push(&mut self, row: Row) -> u32 {
        let ordinal = self.len() as u32;
        self.index.push(U48::new(row.index));
        self.time.push(U48::new(row.time));
        self.id.push(row.id.to_be_bytes());
        self.pair.push(row.pair);
        self.flags.push(row.flags);
        let (keys, ids) = (self.keys, &self.id);
        let hash_of = |at: u32| keys.hash_id(u128::from_be_bytes(*ids.get(at as usize)));
        self.by_id.insert(keys.hash_id(row.id), ordinal, hash_of);
        ordinal
    }

    pub(super) fn index(&self, ordinal: u32) -> u64 {
        self.index.get(ordinal as usize).get()
    }

    pub(super) fn time(&self, ordinal: u32) -> u64 {
        self.time.get(ordinal as usize).get()
    }

    pub(super) fn id(&self, ordinal: u32) -> u128 {
        u128::from_be_bytes(*self.id.get(ordinal as usize))
    }

    pub(super) fn pair(&self, ordinal: u32) -> u32 {
        *self.pair.get(ordinal as usize)
    }

    pub(super) fn flags(&self, ordinal: u32) -> u8 {
        *self.flags.get(ordinal as usize)
    }

    pub(super) fn has(&self, ordinal: u32, flag: u8) -> bool {
        self.flags(ordinal) & flag != 0
    }

    pub(super) fn set(&mut self, ordinal: u32, flag: u8) {
        *self.flags.get_mut(ordinal as usize) |= flag;
    }

    pub(super) fn clear(&mut self, ordinal: u32, flag: u8) {
        *self.flags.get_mut(ordinal as usize) &= !flag;
    }

    /// The ordinal of the first message whose index is at or above `index`; the number of messages
    /// where there is none.
    pub(super) fn first_from(&self, index: u64) -> u32 {
        self.index.partition_point(|stored| stored.get() < index) as u32
    }

    /// The ordinal of the message in entry `index`.
    pub(super) fn at_index(&self, index: u64) -> Option<u32> {
        let ordinal = self.first_from(index);
        ((ordinal as usize) < self.len() && self.index(ordinal) == index).then_some(ordinal)
    }

    /// The ordinals of all messages with this id, in no order.
    pub(super) fn with_id(&self, id: u128) -> impl Iterator<Item = u32> + '_ {
        self.by_id.candidates(self.keys.hash_id(id)).filter(move |&ordinal| self.id(ordinal) == id)
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.index.heap_bytes()
            + self.time.heap_bytes()
            + self.id.heap_bytes()
            + self.pair.heap_bytes()
            + self.flags.heap_bytes()
            + self.by_id.heap_bytes()
    }
}
