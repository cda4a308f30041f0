//! The clocks: two that never go back, and the time of day; and how the latter is written.
#![allow(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds of the monotonic clock (since about the machine's start): for deadlines.
pub fn monotonic_ms() -> u64 {
    monotonic_us() / 1_000
}

/// Microseconds of the monotonic clock: for measuring.
pub fn monotonic_us() -> u64 {
    microseconds(libc::CLOCK_MONOTONIC)
}

/// Milliseconds since the machine's start, those in which it was suspended included. Nobody sets this
/// clock: it and the time of day move apart only where that is set.
pub fn boottime_ms() -> u64 {
    microseconds(libc::CLOCK_BOOTTIME) / 1_000
}

fn microseconds(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec to write to, and lives through the call.
    let result = unsafe { libc::clock_gettime(clock, &mut now) };
    assert_eq!(result, 0, "Linux always has CLOCK_MONOTONIC and CLOCK_BOOTTIME");
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// Milliseconds since the Unix epoch; 0 for a clock set before it. May be set forward and back.
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

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;

/// `time_ms` since the start of 1970 as UTC, such as `2026-11-24T03:31:02.123Z`.
pub fn utc(time_ms: u64) -> String {
    let (year, month, day) = date_of(time_ms / DAY_MS);
    let of_day = time_ms % DAY_MS;
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1000 % 60, of_day % 1000);
    let mut text = String::with_capacity("2026-11-24T03:31:02.123Z".len());
    for (number, top, behind) in [
        (year, 1000, '-'),
        (month, 10, '-'),
        (day, 10, 'T'),
        (hour, 10, ':'),
        (minute, 10, ':'),
        (second, 10, '.'),
        (milli, 100, 'Z'),
    ] {
        put_digits(&mut text, number, top);
        text.push(behind);
    }
    text
}

/// Appends a number with as many digits as `top`, a power of ten, has, or more. By hand, since a log
/// has a time in each of its lines: the general formatting takes several times as long.
fn put_digits(out: &mut String, number: u64, mut top: u64) {
    while number / top > 9 {
        top *= 10;
    }
    while top > 0 {
        out.push(char::from(b'0' + (number / top % 10) as u8));
        top /= 10;
    }
}

/// Year, month and day of the Gregorian calendar, `days` after 1 January 1970. Years are counted
/// from 1 March, so that the leap day is a year's last, in cycles of 400 years.
fn date_of(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468; // from 1 March of the year 0
    const CYCLE: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let in_cycle = days % CYCLE;
    let year_of_cycle =
        (in_cycle - in_cycle / 1460 + in_cycle / 36_524 - in_cycle / (CYCLE - 1)) / 365;
    let in_year = in_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month_from_march + 2) / 5 + 1;
    let (month, next) = match month_from_march {
        march_to_december @ 0..10 => (march_to_december + 3, 0),
        january_or_february => (january_or_february - 9, 1),
    };
    (days / CYCLE * 400 + year_of_cycle + next, month, day)
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
    fn the_time_since_the_start_of_the_machine_counts_on_with_the_monotonic_clock() {
        let (boot_ms, monotonic) = (boottime_ms(), monotonic_ms());
        assert!(boot_ms >= monotonic, "time suspended comes on top: {boot_ms} {monotonic}");
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(boottime_ms() >= boot_ms + 20);
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

    #[test]
    fn times_are_those_of_the_calendar_around_leap_days_and_turns_of_the_century() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_709_164_800, "2024-02-29T00:00:00.007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
            (253_402_300_799, "9999-12-31T23:59:59.007Z"),
        ] {
            assert_eq!(utc(seconds * 1000 + 7), shown);
        }
        assert!(!utc(u64::MAX).is_empty(), "no time is too late to show");
    }
}
