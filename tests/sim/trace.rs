//! The story of a history: its hash, which is the same in every run of a seed, and its last lines,
//! which are printed when a check fails; or all of them (`SIM_TRACE=1`).

use std::collections::VecDeque;
use std::fmt;
use std::fmt::Write;

use super::clock::Us;

/// Lines that are kept.
const LINES: usize = 120;

/// The story so far.
pub struct Trace {
    seed: u64,
    hash: u64,
    lines: VecDeque<String>,
    all: bool,
    /// The history is over and nothing was wrong.
    pub good: bool,
}

impl Trace {
    pub fn new(seed: u64, all: bool) -> Trace {
        Trace { seed, hash: 0xCBF2_9CE4_8422_2325, lines: VecDeque::new(), all, good: false }
    }

    /// Something happened.
    pub fn note(&mut self, now_us: Us, what: fmt::Arguments<'_>) {
        let mut line = match self.lines.len() {
            LINES => self.lines.pop_front().unwrap_or_default(),
            _ => String::new(),
        };
        line.clear();
        let _ = write!(line, "{:>10}.{:03} ms  {what}", now_us / 1000, now_us % 1000);
        for byte in line.bytes() {
            // FNV-1a.
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.all {
            println!("{line}");
        }
        self.lines.push_back(line);
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if self.good || !std::thread::panicking() {
            return;
        }
        let seed = self.seed;
        println!("the history SIM_SEED={seed} went wrong; its last events:");
        if !self.all {
            self.lines.iter().for_each(|line| println!("{line}"));
        }
        println!("what went wrong is above; again: make sim SIM_SEED={seed} SIM_TRACE=1");
    }
}
