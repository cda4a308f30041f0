//! A server's clocks: two that count, at a speed of their own, of which one stands still while the
//! machine is suspended; and the wall clock, which somebody may set.

/// Virtual time, microseconds since the history began.
pub type Us = u64;

/// The day on which every history begins, milliseconds since the Unix epoch.
const FIRST_DAY_MS: i64 = 1_700_000_000_000;
const MILLION: u128 = 1_000_000;

/// All of them.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Since when the monotonic clock counts, from `base_ms` on; later than now: it is suspended.
    since_us: Us,
    base_ms: u64,
    /// The same of CLOCK_BOOTTIME.
    boot_us: Us,
    boot_base_ms: u64,
    /// Ticks in a million true ones.
    speed: u64,
    /// How wrong the wall clock is, milliseconds.
    wrong_ms: i64,
}

/// The true time of day, milliseconds since the Unix epoch.
pub fn true_ms(now_us: Us) -> i64 {
    FIRST_DAY_MS + (now_us / 1000) as i64
}

impl Clock {
    /// A clock that starts at `now_us` with `base_ms`.
    pub fn new(now_us: Us, base_ms: u64, speed: u64, wrong_ms: i64) -> Clock {
        let (since_us, boot_us, boot_base_ms) = (now_us, now_us, base_ms + 1);
        Clock { since_us, base_ms, boot_us, boot_base_ms, speed, wrong_ms }
    }

    /// Never goes back.
    pub fn monotonic_ms(&self, now_us: Us) -> u64 {
        self.base_ms + self.ticks_ms(self.since_us, now_us)
    }

    /// Never goes back, and counts what the machine is suspended for.
    pub fn boot_ms(&self, now_us: Us) -> u64 {
        self.boot_base_ms + self.ticks_ms(self.boot_us, now_us)
    }

    fn ticks_ms(&self, since_us: Us, now_us: Us) -> u64 {
        let passed = u128::from(now_us.saturating_sub(since_us)) * u128::from(self.speed);
        (passed / MILLION / 1000) as u64
    }

    /// Goes where it is set.
    pub fn unix_ms(&self, now_us: Us) -> u64 {
        (true_ms(now_us) + self.wrong_ms).max(0) as u64
    }

    /// Sets the wall clock.
    pub fn set(&mut self, wrong_ms: i64) {
        self.wrong_ms = wrong_ms;
    }

    /// The machine is suspended until `until_us`.
    pub fn suspend(&mut self, now_us: Us, until_us: Us) {
        self.base_ms = self.monotonic_ms(now_us);
        self.since_us = self.since_us.max(until_us);
    }

    /// It is no longer.
    pub fn resume(&mut self, now_us: Us) {
        self.since_us = self.since_us.min(now_us);
    }

    /// The first instant at which the clock shows `at_ms` or more.
    pub fn when_us(&self, at_ms: u64) -> Us {
        let wait = u128::from(at_ms.saturating_sub(self.base_ms)) * 1000;
        self.since_us + (wait * MILLION).div_ceil(u128::from(self.speed)) as u64
    }

    /// The monotonic clock is ahead: as after a moment in which the process did not run.
    pub fn jump(&mut self, now_us: Us, ms: u64) {
        self.base_ms = self.monotonic_ms(now_us) + ms;
        self.since_us = now_us;
    }
}
