//! Times as people read them, in UTC. Pure.

/// A day, milliseconds.
pub const DAY_MS: u64 = 86_400_000;

/// `2026-11-24T03:41:07Z`.
pub fn iso(time_ms: u64) -> String {
    let seconds = time_ms % DAY_MS / 1_000;
    format!("{}T{}:{:02}Z", date(time_ms), clock(time_ms), seconds % 60)
}

/// `03:41`, UTC.
pub fn clock(time_ms: u64) -> String {
    let minutes = time_ms % DAY_MS / 60_000;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// `2026-11-24`, UTC. Days into a date of the Gregorian calendar, counted in eras of 400 years that
/// begin in March (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub fn date(time_ms: u64) -> String {
    let days = time_ms / DAY_MS + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
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
