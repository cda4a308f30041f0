//! Many deadlines, one question: which have passed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Key;

/// A heap of (instant, key). A deadline that has moved is not searched for: its owner is asked when
/// the old instant comes, and sets it again. So there is one entry for each key at a time.
#[derive(Default)]
pub struct Deadlines {
    heap: BinaryHeap<Reverse<(u64, Key)>>,
}

impl Deadlines {
    /// `key` wants to be asked at `at_ms`, milliseconds of the caller's clock.
    pub fn set(&mut self, at_ms: u64, key: Key) {
        self.heap.push(Reverse((at_ms, key)));
    }

    /// The next instant at which somebody wants to be asked.
    pub fn next_ms(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    /// Somebody whose instant is not after `now_ms`.
    pub fn passed(&mut self, now_ms: u64) -> Option<Key> {
        if self.next_ms()? > now_ms {
            return None;
        }
        self.heap.pop().map(|Reverse((_, key))| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Slots;

    #[test]
    fn the_earliest_comes_first_and_nothing_before_its_time() {
        let mut slots: Slots<()> = Slots::default();
        let mut key = || slots.insert(());
        let (a, b) = (key(), key());
        let mut deadlines = Deadlines::default();
        deadlines.set(20, a);
        deadlines.set(10, b);
        assert_eq!(deadlines.passed(9), None);
        assert_eq!(deadlines.next_ms(), Some(10));
        assert_eq!(deadlines.passed(25), Some(b));
        assert_eq!(deadlines.passed(25), Some(a));
        assert_eq!(deadlines.passed(25), None);
    }
}
