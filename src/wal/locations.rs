//! Where every entry of the log is: 8 bytes an entry, its term and segment in runs.

/// A record's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// The segment's number.
    pub segment: u64,
    /// Where in the segment the record begins, bytes.
    pub offset: u32,
    /// Bytes of the record with its header, without padding.
    pub length: u32,
}

/// Entries in a chunk: growing never copies what is there, and wastes 32 KiB at most.
const CHUNK_ENTRIES: usize = 4096;

/// The places and terms of entries `first..=last`, in order.
#[derive(Debug)]
pub(super) struct Locations {
    first: u64,
    count: u64,
    /// Offset in the high half, length in the low; every chunk but the last is full.
    places: Vec<Vec<u64>>,
    terms: Runs,
    segments: Runs,
    has_places: bool,
}

impl Locations {
    /// None yet; the first entry will be `first`.
    pub(super) fn new(first: u64) -> Locations {
        let (terms, segments) = (Runs::default(), Runs::default());
        Locations { first, count: 0, places: Vec::new(), terms, segments, has_places: true }
    }

    /// The same, which knows the entries' terms alone and takes no memory for each.
    pub(super) fn without_places(first: u64) -> Locations {
        Locations { has_places: false, ..Locations::new(first) }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The last entry's index; `first - 1` where there is none.
    pub(super) fn last(&self) -> u64 {
        self.first + self.count - 1
    }

    pub(super) fn push(&mut self, term: u64, location: Location) {
        let index = self.last() + 1;
        self.count += 1;
        self.terms.push(index, term);
        if !self.has_places {
            return;
        }
        if self.places.last().is_none_or(|chunk| chunk.len() == CHUNK_ENTRIES) {
            self.places.push(Vec::with_capacity(CHUNK_ENTRIES));
        }
        let chunk = self.places.last_mut().expect("a chunk with room was just made sure of");
        chunk.push(u64::from(location.offset) << 32 | u64::from(location.length));
        self.segments.push(index, location.segment);
    }

    /// Forgets entries from `index` on.
    pub(super) fn truncate_from(&mut self, index: u64) {
        let index = index.max(self.first);
        if index > self.last() {
            return;
        }
        self.count = index - self.first;
        self.terms.truncate_from(index);
        if !self.has_places {
            return;
        }
        let chunks = (self.count as usize).div_ceil(CHUNK_ENTRIES);
        self.places.truncate(chunks);
        if let Some(chunk) = self.places.last_mut() {
            chunk.truncate(self.count as usize - (chunks - 1) * CHUNK_ENTRIES);
        }
        self.segments.truncate_from(index);
    }

    pub(super) fn location(&self, index: u64) -> Option<Location> {
        let at = self.position(index).filter(|_| self.has_places)?;
        let place = self.places[at / CHUNK_ENTRIES][at % CHUNK_ENTRIES];
        let segment = self.segments.at(index);
        Some(Location { segment, offset: (place >> 32) as u32, length: place as u32 })
    }

    pub(super) fn term(&self, index: u64) -> Option<u64> {
        self.position(index)?;
        Some(self.terms.at(index))
    }

    /// The terms of the entries, in runs: the first index of each, and its term.
    pub(super) fn term_runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.terms.0.iter().copied()
    }

    /// Bytes of memory that this takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let runs = self.terms.0.capacity() + self.segments.0.capacity();
        self.places.len() * CHUNK_ENTRIES * 8 + self.places.capacity() * 24 + runs * 16
    }

    fn position(&self, index: u64) -> Option<usize> {
        (index >= self.first && index <= self.last()).then(|| (index - self.first) as usize)
    }
}

/// A value for every index, as (first index, value) where it changes.
#[derive(Debug, Default)]
struct Runs(Vec<(u64, u64)>);

impl Runs {
    fn push(&mut self, index: u64, value: u64) {
        if self.0.last().is_none_or(|(_, last)| *last != value) {
            self.0.push((index, value));
        }
    }

    fn truncate_from(&mut self, index: u64) {
        let keep = self.0.partition_point(|(first, _)| *first < index);
        self.0.truncate(keep);
    }

    fn at(&self, index: u64) -> u64 {
        let after = self.0.partition_point(|(first, _)| *first <= index);
        self.0[after - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(index: u64) -> Location {
        let segment = 1 + index / 1000;
        Location { segment, offset: 8 * index as u32, length: 32 + index as u32 % 7 }
    }

    #[test]
    fn entries_are_found_where_they_were_put_across_chunks_and_truncation() {
        let mut locations = Locations::new(1);
        assert_eq!(locations.last(), 0);
        assert_eq!(locations.location(0), None);
        assert_eq!(locations.location(1), None);
        for index in 1..=10_000 {
            locations.push(index / 300, location(index));
        }
        for index in 1..=10_000 {
            assert_eq!(locations.location(index), Some(location(index)));
            assert_eq!(locations.term(index), Some(index / 300));
        }
        assert_eq!(locations.location(10_001), None);
        for cut in [10_001, 9_000, 8_193, 8_192, 4_097, 4_096, 300, 2, 1] {
            locations.truncate_from(cut);
            assert_eq!(locations.last(), cut - 1);
            assert_eq!(locations.location(cut), None);
            assert_eq!(locations.term(cut), None);
            if cut > 1 {
                assert_eq!(locations.location(cut - 1), Some(location(cut - 1)));
                assert_eq!(locations.term(cut - 1), Some((cut - 1) / 300));
            }
            locations.push(99, location(cut));
            assert_eq!(locations.term(cut), Some(99));
            locations.truncate_from(cut);
        }
    }

    #[test]
    fn an_entry_takes_no_more_than_twelve_bytes() {
        let mut locations = Locations::new(1);
        for index in 1..=200_000 {
            locations.push(index / 10_000, location(index % 1000));
        }
        let bytes = locations.memory_bytes();
        assert!(bytes <= 12 * 200_000, "{bytes} bytes for 200,000 entries");
    }
}
