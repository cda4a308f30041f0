//! A growing column in chunks: no doubling copies all that is stored, no half of it lies idle.

/// Items in one chunk.
const CHUNK: usize = 4_096;

/// The column. All chunks but the last are full.
#[derive(Clone, Debug)]
pub(super) struct Chunked<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Chunked { chunks: Vec::new() }
    }
}

impl<T> Chunked<T> {
    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        match self.chunks.last() {
            Some(last) => (self.chunks.len() - 1) * CHUNK + last.len(),
            None => 0,
        }
    }

    /// Adds one.
    pub(super) fn push(&mut self, item: T) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => chunk.push(item),
            None => self.chunks.push(vec![item]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(item);
                self.chunks.push(chunk);
            }
        }
    }

    /// The item at `at`, which is below `len()`.
    pub(super) fn get(&self, at: usize) -> &T {
        &self.chunks[at / CHUNK][at % CHUNK]
    }

    /// The item at `at`, which is below `len()`, to change.
    pub(super) fn get_mut(&mut self, at: usize) -> &mut T {
        &mut self.chunks[at / CHUNK][at % CHUNK]
    }

    /// The first place whose item is not `low`, where all that are come before all that are not.
    pub(super) fn partition_point(&self, low: impl Fn(&T) -> bool) -> usize {
        let at = self.chunks.partition_point(|chunk| low(&chunk[chunk.len() - 1]));
        match self.chunks.get(at) {
            Some(chunk) => at * CHUNK + chunk.partition_point(low),
            None => self.len(),
        }
    }

    /// All, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// Those from place `at` on.
    pub(super) fn from(&self, at: usize) -> impl Iterator<Item = &T> {
        (at..self.len()).map(|place| self.get(place))
    }

    /// Bytes on the heap, without what items own.
    pub(super) fn heap_bytes(&self) -> usize {
        let inner: usize = self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<T>()).sum();
        inner + self.chunks.capacity() * size_of::<Vec<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_place_and_by_value_across_chunks() {
        let mut column = Chunked::default();
        assert_eq!((column.len(), column.partition_point(|_: &u64| true)), (0, 0));
        for item in 0..10_000u64 {
            column.push(item * 2);
        }
        *column.get_mut(5_000) += 1;
        assert_eq!(
            (column.len(), *column.get(5_000), *column.get(9_999)),
            (10_000, 10_001, 19_998)
        );
        for bound in [0, 1, 8_190, 8_191, 8_192, 19_998, 19_999, 30_000] {
            let place = (0..10_000).filter(|&at| *column.get(at) < bound).count();
            assert_eq!(column.partition_point(|&item| item < bound), place, "bound {bound}");
        }
        assert_eq!(column.iter().count(), 10_000);
        assert_eq!(column.from(9_000).count(), 1_000);
    }
}
