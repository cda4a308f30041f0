//! Seeded fuzzing of everything that reads bytes from a network: both decoders and the framing,
//! each against a naive model of it.
//!
//! `FUZZ_RUNS` is the number of runs of each test, `FUZZ_SEED` the seed of the first; the next run
//! has the next seed. A failure prints the seed of its own run. For a long search:
//! `FUZZ_RUNS=1000000 cargo test --release fuzz`.

mod codecs;
mod frames;
mod generate;
mod model;
mod mutate;
mod peers;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::{Rng, env_number};

/// Enough for each push; some seconds in a debug build.
const DEFAULT_RUNS: u64 = 25_000;

/// Does `run` with one seed after the other.
fn fuzz(name: &str, run: impl Fn(&mut Rng)) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let first = env_number("FUZZ_SEED", now as u64 >> 10);
    let runs = env_number("FUZZ_RUNS", DEFAULT_RUNS);
    for seed in (first..).take(usize::try_from(runs).unwrap_or(usize::MAX)) {
        let _seed = SeedOnPanic { name, seed };
        run(&mut Rng::new(seed));
    }
}

/// Says on the way out of a failed run how to do it again.
struct SeedOnPanic<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for SeedOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let SeedOnPanic { name, seed } = self;
            eprintln!("again: FUZZ_SEED={seed} FUZZ_RUNS=1 cargo test fuzz::{name}");
        }
    }
}
