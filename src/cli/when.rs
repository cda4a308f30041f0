//! Times as users type them: a UTC time of RFC 3339, or an age. Pure.

use crate::sys::clock::DAY_MS;

/// Milliseconds since the start of 1970.
pub fn parse(text: &str, now_ms: u64) -> Result<u64, String> {
    let ago = duration(text).map(|ago_ms| now_ms.saturating_sub(ago_ms));
    ago.or_else(|| time(text)).ok_or_else(|| {
        "expected a time in UTC, such as 2026-11-24T03:31:02Z or 2026-11-24, or how long ago, such \
         as 90s, 2h or 1d12h"
            .to_owned()
    })
}

/// `1d12h` and the like, in milliseconds.
fn duration(text: &str) -> Option<u64> {
    let (mut rest, mut total_ms) = (text, 0u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit_ms = match rest.as_bytes().get(digits)? {
            b's' => 1_000,
            b'm' => 60_000,
            b'h' => 3_600_000,
            b'd' => DAY_MS,
            b'w' => 7 * DAY_MS,
            _ => return None,
        };
        let count: u64 = rest[..digits].parse().ok()?;
        total_ms = total_ms.checked_add(count.checked_mul(unit_ms)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then_some(total_ms)
}

/// `2026-11-24T03:31:02.123Z`, without the fraction, or the day alone, which means its start.
fn time(text: &str) -> Option<u64> {
    let (date, clock) = match text.split_once(['T', 't', ' ']) {
        Some((date, clock)) => (date, clock.strip_suffix(['Z', 'z'])?),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(whole, ':', [2, 2, 2])?;
    // 60: a leap second, which the clock of the log does not have.
    let is_time = hour < 24 && minute < 60 && second <= 60;
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !is_time || !is_fraction {
        return None;
    }
    let milli: u64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    let of_day_ms = ((hour * 60 + minute) * 60 + second) * 1000 + milli;
    Some(days_to(year, month, day)? * DAY_MS + of_day_ms)
}

/// Numbers of just so many digits.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut all = [0; 3];
    for (number, digits) in all.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(all)
}

/// Days from 1 January 1970 to a day of the Gregorian calendar; `None` for one that it does not
/// have, and for one before.
fn days_to(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let february = if is_leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = lengths.get(..usize::try_from(month).ok()?.checked_sub(1)?)?;
    let length = *lengths.get(before.len())?;
    if year < 1970 || !(1..=length).contains(&day) {
        return None;
    }
    let leap_days = |years: u64| years / 4 - years / 100 + years / 400;
    let of_years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    Some(of_years + before.iter().sum::<u64>() + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::utc;

    #[test]
    fn a_time_that_is_shown_is_read_back() {
        for seconds in [0, 951_782_400, 951_868_800, 1_709_164_800, 4_107_542_400, 253_402_300_799]
        {
            let ms = seconds * 1000 + 7;
            assert_eq!(parse(&utc(ms), 0), Ok(ms));
        }
        for day in 0..60_000 {
            assert_eq!(parse(&utc(day * DAY_MS)[..10], 0), Ok(day * DAY_MS));
        }
        let ms = 1_764_041_462_000;
        for same in ["2025-11-25T03:31:02Z", "2025-11-25 03:31:02z", "2025-11-25t03:31:02.0Z"] {
            assert_eq!(parse(same, 0), Ok(ms), "{same}");
        }
        assert_eq!(parse("2025-11-25T03:31:02.5Z", 0), Ok(ms + 500));
        assert_eq!(parse("2025-11-25T03:31:02.123456Z", 0), Ok(ms + 123));
    }

    #[test]
    fn how_long_ago_is_taken_from_now() {
        for (text, ago_s) in
            [("0s", 0), ("90s", 90), ("2h", 7_200), ("1d12h", 129_600), ("1w", 604_800)]
        {
            assert_eq!(parse(text, 1_000_000_000), Ok(1_000_000_000 - ago_s * 1000), "{text}");
        }
        assert_eq!(parse("9999w", 5), Ok(0), "before the beginning");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for bad in [
            "",
            "2",
            "h",
            "2x",
            "2h5",
            "-2h",
            "99999999999999999999s",
            "18446744073709551615w",
            "now",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "1969-12-31",
            "2026-1-1",
            "2026-01-01T00:00:00",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+01:00",
            "2026-01-01-01",
            "\u{661}s",
        ] {
            assert!(parse(bad, 0).is_err(), "{bad}");
        }
    }
}
