//! The two clocks: one that never goes back, and the time of day.
#![allow(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds of the monotonic clock (since about the machine's start): for deadlines.
pub fn monotonic_ms() -> u64 {
    monotonic_us() / 1_000
}

/// Microseconds of the monotonic clock: for measuring.
pub fn monotonic_us() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec to write to, and lives through the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    assert_eq!(result, 0, "Linux always has CLOCK_MONOTONIC");
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// Milliseconds since the Unix epoch; 0 for a clock set before it. May go back.
pub fn unix_ms() -> u64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as u64,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let mut last = monotonic_us();
        for _ in 0..10_000 {
            let now = monotonic_us();
            assert!(now >= last);
            last = now;
        }
        assert!(monotonic_ms() >= last / 1_000);
    }

    #[test]
    fn the_time_of_day_is_after_this_was_written() {
        assert!(unix_ms() > 1_700_000_000_000);
    }
}
