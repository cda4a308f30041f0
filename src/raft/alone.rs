//! A cluster of one without elections: what is persisted is committed. It stands where the
//! consensus core will stand, behind the same verbs: propose, persisted, take the output.

use std::collections::VecDeque;
use std::ops::Range;

/// What is to be done since the last time it was taken. Ranges of indexes, half open.
#[derive(Debug, PartialEq, Eq)]
pub struct Output {
    /// Entries to append to the log.
    pub append: Range<u64>,
    /// Entries to apply.
    pub committed: Range<u64>,
}

/// The stand-in. It holds the payloads from their proposal until they are released.
pub struct Alone {
    term: u64,
    /// Index of the first payload held.
    first: u64,
    payloads: VecDeque<Vec<u8>>,
    appended: u64,
    persisted: u64,
    committed: u64,
}

impl Alone {
    /// Goes on behind a log that ends at `last_index`, all of it applied, in `term`.
    pub fn new(term: u64, last_index: u64) -> Alone {
        Alone {
            term,
            first: last_index + 1,
            payloads: VecDeque::new(),
            appended: last_index,
            persisted: last_index,
            committed: last_index,
        }
    }

    /// The term of every entry proposed here.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// Index of the last entry.
    pub fn last_index(&self) -> u64 {
        self.first + self.payloads.len() as u64 - 1
    }

    /// Index of the last committed entry.
    pub fn commit(&self) -> u64 {
        self.persisted
    }

    /// Takes a payload into the log's order and gives its index.
    pub fn propose(&mut self, payload: Vec<u8>) -> u64 {
        self.payloads.push_back(payload);
        self.last_index()
    }

    /// Everything up to `index` is durable here. Never goes back.
    pub fn persisted(&mut self, index: u64) {
        assert!(index <= self.appended, "persisted {index}, appended only {}", self.appended);
        self.persisted = self.persisted.max(index);
    }

    /// What is to be done now.
    pub fn take_output(&mut self) -> Output {
        let append = self.appended + 1..self.last_index() + 1;
        let committed = self.committed + 1..self.persisted + 1;
        self.appended = self.last_index();
        self.committed = self.persisted;
        Output { append, committed }
    }

    /// The payload of an entry that is not released yet.
    pub fn payload(&self, index: u64) -> &[u8] {
        assert!(index >= self.first, "entry {index} was released");
        &self.payloads[(index - self.first) as usize]
    }

    /// Gives back the oldest payload, which has `index` and is applied.
    pub fn release(&mut self, index: u64) -> Vec<u8> {
        assert_eq!(index, self.first, "payloads are released in order");
        assert!(index <= self.committed, "entry {index} is not committed");
        self.first += 1;
        self.payloads.pop_front().expect("a committed entry is held until it is released")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_committed_before_it_is_persisted() {
        let mut raft = Alone::new(1, 7);
        assert_eq!(raft.propose(b"a".to_vec()), 8);
        assert_eq!(raft.propose(b"b".to_vec()), 9);
        assert_eq!(raft.take_output(), Output { append: 8..10, committed: 8..8 });
        assert_eq!(raft.payload(9), b"b");
        raft.persisted(8);
        assert_eq!(raft.take_output(), Output { append: 10..10, committed: 8..9 });
        assert_eq!(raft.release(8), b"a");
        raft.persisted(9);
        raft.persisted(8);
        assert_eq!(raft.take_output(), Output { append: 10..10, committed: 9..10 });
        assert_eq!(raft.commit(), 9);
    }

    #[test]
    #[should_panic(expected = "not committed")]
    fn an_entry_is_held_until_it_is_committed() {
        let mut raft = Alone::new(1, 0);
        raft.propose(Vec::new());
        raft.release(1);
    }
}
