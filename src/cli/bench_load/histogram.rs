//! A histogram of latencies: log-linear, as HdrHistogram has it, in whole microseconds.
//!
//! Values below [`EXACT`] have a bucket each. Above, every power of two is cut into [`EXACT`] / 2
//! buckets of one width, so that a bucket is never wider than 1/64 of what it holds.

/// Values below this are kept exactly.
const EXACT: u64 = 1 << EXACT_BITS;
const EXACT_BITS: u32 = 7;
/// Buckets of one power of two.
const HALF: usize = 1 << (EXACT_BITS - 1);
/// Buckets in all: the exact ones, then those of the powers of two up to the last of a u64.
const BUCKETS: usize = 2 * HALF + (u64::BITS - EXACT_BITS) as usize * HALF;

#[derive(Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], total: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.total += 1;
        self.sum += u128::from(value);
        self.max = self.max.max(value);
    }

    pub fn count(&self) -> u64 {
        self.total
    }

    /// The largest value, 0 where there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean, rounded down; 0 where there is none.
    pub fn mean(&self) -> u64 {
        (self.sum / u128::from(self.total.max(1))) as u64
    }

    /// The least value that at least `percent` of all values do not exceed (nearest rank), up to the
    /// width of its bucket: never too low, and at most 1/64 too high. 0 where there is none.
    pub fn percentile(&self, percent: f64) -> u64 {
        let rank = (percent / 100.0 * self.total as f64).ceil() as u64;
        let rank = rank.clamp(1, self.total.max(1));
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return highest_of(bucket).min(self.max);
            }
        }
        self.max
    }

    /// The counts by powers of two, without the empty ones at both ends: (first value, last value,
    /// how many).
    pub fn octaves(&self) -> Vec<(u64, u64, u64)> {
        let mut rows: Vec<(u64, u64, u64)> = Vec::new();
        for (bucket, &count) in self.counts.iter().enumerate() {
            if count == 0 {
                continue;
            }
            let (low, high) = octave_of(highest_of(bucket));
            while rows.last().is_some_and(|row| row.1 + 1 < low) {
                let (low, high) = octave_of(rows[rows.len() - 1].1 + 1);
                rows.push((low, high, 0));
            }
            match rows.last_mut() {
                Some(row) if row.0 == low => row.2 += count,
                _ => rows.push((low, high, count)),
            }
        }
        rows
    }
}

/// The power of two that `value` lies in, 0 with 1.
fn octave_of(value: u64) -> (u64, u64) {
    match value.checked_ilog2() {
        None | Some(0) => (0, 1),
        Some(bits) => (1 << bits, (1 << bits) + ((1 << bits) - 1)),
    }
}

fn bucket_of(value: u64) -> usize {
    if value < EXACT {
        return value as usize;
    }
    // The top EXACT_BITS bits are kept: the first of them is 1, so HALF buckets a shift.
    let shift = value.ilog2() + 1 - EXACT_BITS;
    let top = (value >> shift) as usize;
    2 * HALF + (shift as usize - 1) * HALF + (top - HALF)
}

fn highest_of(bucket: usize) -> u64 {
    if bucket < 2 * HALF {
        return bucket as u64;
    }
    let shift = (bucket - 2 * HALF) / HALF + 1;
    let top = ((bucket - 2 * HALF) % HALF + HALF) as u64;
    (top << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_follows_the_one_before_and_holds_what_it_says() {
        let mut next = 0;
        for bucket in 0..BUCKETS {
            let highest = highest_of(bucket);
            assert_eq!(bucket_of(next), bucket, "the first of bucket {bucket}");
            assert_eq!(bucket_of(highest), bucket, "the last of bucket {bucket}");
            assert!((highest - next) <= highest / 64, "bucket {bucket} is too wide");
            next = highest.wrapping_add(1);
        }
        assert_eq!(next, 0, "the last bucket ends with the largest u64");
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values_up_to_a_buckets_width() {
        let seed = 0x5eed;
        let mut state: u64 = seed;
        for size in [1, 2, 3, 99, 100, 101, 5_000] {
            let mut histogram = Histogram::default();
            let mut values: Vec<u64> = Vec::new();
            for _ in 0..size {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let value = (state >> 33) >> (state % 31);
                histogram.record(value);
                values.push(value);
            }
            values.sort_unstable();
            assert_eq!(histogram.count(), size);
            assert_eq!(histogram.max(), values[values.len() - 1]);
            assert_eq!(histogram.mean(), values.iter().sum::<u64>() / size);
            for percent in [0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0] {
                let rank = (percent / 100.0 * size as f64).ceil().max(1.0) as usize;
                let exact = values[rank - 1];
                let found = histogram.percentile(percent);
                assert!(
                    exact <= found && found <= exact + exact / 64,
                    "seed {seed}: p{percent} of {size} is {exact}, not {found}"
                );
            }
        }
    }

    #[test]
    fn octaves_hold_every_value_once_and_the_empty_ones_between() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.octaves(), []);
        assert_eq!((histogram.percentile(50.0), histogram.mean()), (0, 0));
        for value in [0, 1, 5, 6, 7, 1_000] {
            histogram.record(value);
        }
        let rows = histogram.octaves();
        assert_eq!(rows[..3], [(0, 1, 2), (2, 3, 0), (4, 7, 3)]);
        assert_eq!(rows[rows.len() - 1], (512, 1_023, 1));
        assert_eq!(rows.iter().map(|row| row.2).sum::<u64>(), histogram.count());
        assert!(rows.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
    }
}
