//! What the core knows of its log: the term of every index, run-length encoded, and the newest
//! entries. Older ones are only in the driver's write-ahead log.

use std::collections::VecDeque;

use super::entry::Entry;
use crate::mutants::{Mutant, planted};

/// Consecutive entries of one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first of them.
    pub first_index: u64,
    /// Their term.
    pub term: u64,
}

/// Indexes 1 to `last`. `cache` is the log's tail: consecutive, ending at `last`, possibly empty.
#[derive(Clone, Debug)]
pub(super) struct Log {
    runs: Vec<Run>,
    last: u64,
    cache: VecDeque<Entry>,
    cache_bytes: usize,
}

impl Log {
    /// From what was recovered; the caller has checked it.
    pub(super) fn new(runs: Vec<Run>, last: u64, tail: Vec<Entry>) -> Log {
        let cache_bytes = tail.iter().map(Entry::size).sum();
        Log { runs, last, cache: tail.into(), cache_bytes }
    }

    pub(super) fn last_index(&self) -> u64 {
        self.last
    }

    pub(super) fn last_term(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.term)
    }

    /// The term at `index`: 0 for index 0, None past the end.
    pub(super) fn term(&self, index: u64) -> Option<u64> {
        if index > self.last {
            return None;
        }
        let newest = self.runs.last();
        if let Some(run) = newest.filter(|run| run.first_index <= index) {
            return Some(run.term);
        }
        let after = self.runs.partition_point(|run| run.first_index <= index);
        Some(after.checked_sub(1).map_or(0, |place| self.runs[place].term))
    }

    /// Is a log that ends with (`index`, `term`) at least as up to date as this one? (§5.4.1)
    pub(super) fn is_matched_by(&self, index: u64, term: u64) -> bool {
        (term, index) >= (self.last_term(), self.last) || planted(Mutant::StaleLogElected)
    }

    /// The last index up to `most` whose term is at most `term`: two logs that differ at `most` can
    /// match no later.
    pub(super) fn last_with_term_at_most(&self, most: u64, term: u64) -> u64 {
        let after = self.runs.partition_point(|run| run.term <= term);
        let end = self.runs.get(after).map_or(self.last, |run| run.first_index - 1);
        end.min(most)
    }

    /// Adds the next entry.
    pub(super) fn append(&mut self, entry: Entry) {
        assert_eq!(entry.index, self.last + 1, "an entry follows the one before it");
        assert!(entry.term >= self.last_term(), "terms never go down along a log");
        if entry.term > self.last_term() {
            self.runs.push(Run { first_index: entry.index, term: entry.term });
        }
        self.last = entry.index;
        self.cache_bytes += entry.size();
        self.cache.push_back(entry);
    }

    /// Forgets the entries from `index` on.
    pub(super) fn truncate_from(&mut self, index: u64) {
        assert!(index >= 1 && index <= self.last, "only what is there can be cut");
        self.last = index - 1;
        while self.runs.last().is_some_and(|run| run.first_index >= index) {
            self.runs.pop();
        }
        while self.cache.back().is_some_and(|entry| entry.index >= index) {
            let cut = self.cache.pop_back().expect("there is a last one");
            self.cache_bytes -= cut.size();
        }
    }

    /// The first index in the cache; past the end when nothing is.
    pub(super) fn cache_first(&self) -> u64 {
        self.last + 1 - self.cache.len() as u64
    }

    /// The entry at `index`, when it is in the cache.
    pub(super) fn entry(&self, index: u64) -> Option<&Entry> {
        let place = index.checked_sub(self.cache_first())?;
        self.cache.get(usize::try_from(place).ok()?)
    }

    /// Cached entries from `first` on: as many as fit into `bytes`, and at least one if there is
    /// one.
    pub(super) fn gather(&self, first: u64, bytes: usize) -> Vec<Entry> {
        let mut gathered = Vec::new();
        let mut left = bytes;
        let Some(place) = first.checked_sub(self.cache_first()) else { return gathered };
        for entry in self.cache.range((place as usize).min(self.cache.len())..) {
            if entry.size() > left && !gathered.is_empty() {
                break;
            }
            left = left.saturating_sub(entry.size());
            gathered.push(entry.clone());
        }
        gathered
    }

    /// Bytes of cached entries in `after + 1 ..= upto`.
    pub(super) fn cached_bytes_between(&self, after: u64, upto: u64) -> usize {
        let first = (after + 1).max(self.cache_first());
        (first..=upto).filter_map(|index| self.entry(index)).map(Entry::size).sum()
    }

    /// Drops the oldest cached entries, none after `floor`, until `bytes` hold the rest.
    pub(super) fn evict(&mut self, floor: u64, bytes: usize) {
        while self.cache_bytes > bytes && self.cache.front().is_some_and(|e| e.index <= floor) {
            let oldest = self.cache.pop_front().expect("there is a first one");
            self.cache_bytes -= oldest.size();
        }
    }

    /// What must hold of a log at any time.
    pub(super) fn check_invariants(&self) {
        assert!(self.cache.len() as u64 <= self.last, "the cache is a part of the log");
        let ends = (self.cache.front(), self.cache.back());
        if let (Some(front), Some(back)) = ends {
            assert_eq!(back.index, self.last, "the cache is the log's tail");
            assert_eq!(front.index, self.cache_first(), "the cache is consecutive");
        } else {
            assert_eq!(self.cache_bytes, 0, "an empty cache holds nothing");
        }
        assert_eq!(self.last == 0, self.runs.is_empty(), "runs say the terms of entries");
        if let (Some(first), Some(newest)) = (self.runs.first(), self.runs.last()) {
            assert!(first.first_index == 1 && newest.first_index <= self.last);
        }
        let ordered =
            |pair: &[Run]| pair[0].first_index < pair[1].first_index && pair[0].term < pair[1].term;
        // Only the newest runs change; checking all at every call would be slow.
        let newest = &self.runs[self.runs.len().saturating_sub(8)..];
        assert!(newest.windows(2).all(ordered), "terms go up along the log");
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Payload;
    use super::*;

    /// A log with these terms at 1, 2, ...
    fn log(terms: &[u64]) -> Log {
        let mut log = Log::new(Vec::new(), 0, Vec::new());
        for (place, &term) in terms.iter().enumerate() {
            let payload = Payload::Command([0; 8].into());
            log.append(Entry { term, index: place as u64 + 1, payload });
            log.check_invariants();
        }
        log
    }

    #[test]
    fn the_term_of_every_index_is_known_and_none_past_the_end() {
        let log = log(&[1, 1, 4, 4, 6]);
        let terms: Vec<_> = (0..=6).map(|index| log.term(index)).collect();
        assert_eq!(terms, [Some(0), Some(1), Some(1), Some(4), Some(4), Some(6), None]);
    }

    #[test]
    fn a_cut_log_forgets_the_cut_terms_and_takes_others() {
        let mut log = log(&[1, 1, 4, 4, 6]);
        log.truncate_from(3);
        assert_eq!((log.last_index(), log.last_term(), log.term(3)), (2, 1, None));
        log.append(Entry { term: 5, index: 3, payload: Payload::Noop });
        log.check_invariants();
        assert_eq!(log.term(3), Some(5));
    }

    #[test]
    fn the_last_index_with_a_term_is_found_below_a_bound() {
        let log = log(&[1, 1, 4, 4, 6]);
        assert_eq!(log.last_with_term_at_most(5, 6), 5);
        assert_eq!(log.last_with_term_at_most(5, 5), 4);
        assert_eq!(log.last_with_term_at_most(3, 5), 3);
        assert_eq!(log.last_with_term_at_most(5, 3), 2);
        assert_eq!(log.last_with_term_at_most(5, 0), 0);
    }

    #[test]
    fn eviction_keeps_the_newest_and_all_after_the_floor() {
        let mut log = log(&[1; 10]);
        log.evict(4, 0);
        assert_eq!((log.cache_first(), log.entry(4), log.entry(11)), (5, None, None));
        assert_eq!(log.entry(5).expect("kept").index, 5);
        log.evict(10, 2 * (8 + super::super::entry::ENTRY_OVERHEAD_BYTES));
        assert_eq!(log.cache_first(), 9);
        log.evict(10, 0);
        assert_eq!((log.cache_first(), log.gather(11, 100).len()), (11, 0));
        log.check_invariants();
    }

    #[test]
    fn a_batch_is_bounded_by_bytes_but_never_empty() {
        let log = log(&[1; 10]);
        assert_eq!(log.gather(3, 0).len(), 1);
        assert_eq!(log.gather(3, 90).len(), 2);
        assert_eq!(log.gather(3, 1 << 20).len(), 8);
        assert_eq!(log.cached_bytes_between(3, 5), 80);
    }
}
