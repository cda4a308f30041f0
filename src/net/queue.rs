//! A queue of connections.

use std::collections::VecDeque;

use super::Key;

/// Connections in the order in which they came, each at most once. One that has gone meanwhile may
/// still stand in it; its slot's next connection is another one.
#[derive(Default)]
pub struct KeyQueue {
    keys: VecDeque<Key>,
    /// For each slot the connection that is in the queue, or [`Key::LEAST`] if none is.
    within: Vec<Key>,
}

impl KeyQueue {
    /// Puts it at the end, unless it is in the queue already.
    pub fn push(&mut self, key: Key) {
        if self.within.len() <= key.slot() {
            self.within.resize(key.slot() + 1, Key::LEAST);
        }
        if self.within[key.slot()] != key {
            self.within[key.slot()] = key;
            self.keys.push_back(key);
        }
    }

    /// Takes out the first.
    pub fn pop(&mut self) -> Option<Key> {
        let key = self.keys.pop_front()?;
        if self.within[key.slot()] == key {
            self.within[key.slot()] = Key::LEAST;
        }
        Some(key)
    }

    /// Takes it out, wherever it stands.
    pub fn remove(&mut self, key: Key) {
        if self.contains(key) {
            self.within[key.slot()] = Key::LEAST;
            self.keys.retain(|other| *other != key);
        }
    }

    /// Whether it is in the queue.
    pub fn contains(&self, key: Key) -> bool {
        self.within.get(key.slot()) == Some(&key)
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Slots;

    #[test]
    fn each_stands_in_it_once_and_leaves_it_in_its_turn() {
        let mut slots = Slots::default();
        let (a, b, c) = (slots.insert(()), slots.insert(()), slots.insert(()));
        let mut queue = KeyQueue::default();
        for key in [c, a, c, b, a] {
            queue.push(key);
        }
        queue.remove(a);
        queue.remove(a);
        assert_eq!((queue.len(), queue.contains(a), queue.contains(b)), (2, false, true));
        assert_eq!((queue.pop(), queue.contains(c)), (Some(c), false));
        queue.push(c);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(b), Some(c), None));
        assert!(queue.is_empty());
    }

    #[test]
    fn whoever_has_gone_is_not_its_slots_next() {
        let mut slots = Slots::default();
        let gone = slots.insert(());
        let mut queue = KeyQueue::default();
        queue.push(gone);
        slots.remove(gone);
        let next = slots.insert(());
        assert_eq!((next.slot(), queue.contains(next)), (gone.slot(), false));
        queue.push(next);
        assert_eq!(
            (queue.pop(), queue.contains(next), queue.pop()),
            (Some(gone), true, Some(next))
        );
    }
}
