//! Times as people read them, in UTC. Pure.

use crate::sys::clock::utc;

/// A day, milliseconds.
pub const DAY_MS: u64 = 86_400_000;

/// `2026-11-24T03:41:07Z`.
pub fn iso(time_ms: u64) -> String {
    let seconds = time_ms / 1_000 % 60;
    format!("{}T{}:{seconds:02}Z", date(time_ms), clock(time_ms))
}

/// `03:41`, UTC.
pub fn clock(time_ms: u64) -> String {
    let minutes = time_ms % DAY_MS / 60_000;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// `2026-11-24`, UTC.
pub fn date(time_ms: u64) -> String {
    utc(time_ms).split('T').next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(iso(0), "1970-01-01T00:00:00Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(iso(1_795_491_667_123), "2026-11-24T03:41:07Z");
        assert_eq!(iso(4_102_444_799_999), "2099-12-31T23:59:59Z");
        assert!(!iso(u64::MAX).is_empty(), "a server's nonsense is no panic");
    }
}
