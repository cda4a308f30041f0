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

/// How far local time is ahead of UTC at a moment, milliseconds; what TZ or the system's settings
/// say.
pub fn zone_ms(unix_ms: u64) -> i64 {
    let Ok(seconds) = libc::time_t::try_from(unix_ms / 1_000) else {
        return 0;
    };
    // SAFETY: `local` is plain data, for which zeros are valid, and lives through the call; both
    // pointers are valid. On a failure it stays as it is: no offset.
    unsafe {
        let mut local: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut local);
        local.tm_gmtoff * 1_000
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
    fn local_time_is_within_a_day_of_utc_whatever_the_moment() {
        for unix_ms in [0, unix_ms(), 1 << 52, u64::MAX] {
            assert!(zone_ms(unix_ms).abs() <= 86_400_000, "{unix_ms}");
        }
    }

    #[test]
    fn the_time_of_day_is_after_this_was_written() {
        assert!(unix_ms() > 1_700_000_000_000);
    }
}
