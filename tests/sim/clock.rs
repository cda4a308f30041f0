//! A server's clocks: one that counts from its start, at a speed of its own, and one of the day that
//! somebody may set.

/// Virtual time, microseconds since the history began.
pub type Us = u64;

/// The day on which every history begins, milliseconds since the Unix epoch.
const FIRST_DAY_MS: i64 = 1_700_000_000_000;
const MILLION: u128 = 1_000_000;

/// Both clocks.
#[derive(Clone, Debug)]
pub struct Clock {
    since_us: Us,
    base_ms: u64,
    /// Ticks in a million true ones.
    speed: u64,
    /// How wrong the day's clock is, milliseconds.
    pub wrong_ms: i64,
}

impl Clock {
    /// A clock that starts at `now_us` with `base_ms`.
    pub fn new(now_us: Us, base_ms: u64, speed: u64, wrong_ms: i64) -> Clock {
        Clock { since_us: now_us, base_ms, speed, wrong_ms }
    }

    /// Never goes back.
    pub fn monotonic_ms(&self, now_us: Us) -> u64 {
        let passed = u128::from(now_us - self.since_us) * u128::from(self.speed) / MILLION;
        self.base_ms + (passed / 1000) as u64
    }

    /// Goes where it is set.
    pub fn unix_ms(&self, now_us: Us) -> u64 {
        (FIRST_DAY_MS + (now_us / 1000) as i64 + self.wrong_ms) as u64
    }

    /// The first instant at which the clock shows `at_ms` or more.
    pub fn when_us(&self, at_ms: u64) -> Us {
        let wait = u128::from(at_ms.saturating_sub(self.base_ms)) * 1000;
        self.since_us + (wait * MILLION).div_ceil(u128::from(self.speed)) as u64
    }

    /// As if the machine had slept: time that nobody saw has passed.
    pub fn jump(&mut self, now_us: Us, ms: u64) {
        self.base_ms = self.monotonic_ms(now_us) + ms;
        self.since_us = now_us;
    }
}
