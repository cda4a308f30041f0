//! Text that is safe to print: times for people, foreign words with everything a terminal could
//! take for a command made visible, JSON strings.

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

/// Appends a JSON string, in which everything without a glyph of its own is escaped.
pub fn put_json(out: &mut String, text: &str) {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    out.push('"');
    let mut rest = text;
    loop {
        let plain = rest.bytes().take_while(is_plain).count();
        out.push_str(&rest[..plain]);
        let Some(c) = rest[plain..].chars().next() else { break };
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.escape_debug().len() == 1 => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        rest = &rest[plain + c.len_utf8()..];
    }
    out.push('"');
}

/// Rising numbers, with runs of neighbours drawn together: `5-7, 9`.
pub fn ranges(numbers: impl Iterator<Item = u64>) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let shown = runs.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::show;

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

    #[test]
    fn nothing_in_foreign_text_reaches_the_terminal_as_a_command() {
        let text = "it's \"a\" \\ \u{1b}[2J\u{9b}1m\r\n\u{202e}\u{200b}\u{feff}\u{7f} \
                    gr\u{fc}\u{df}e \u{4f60}";
        let shown = show::field(text);
        assert!(shown.starts_with("it's \"a\" \\\\ \\u{1b}[2J\\u{9b}1m\\r\\n"), "{shown}");
        assert!(shown.contains(" gr\u{fc}\u{df}e \u{4f60}"), "{shown}");
        let mut json = String::new();
        put_json(&mut json, text);
        for shown in [&*shown, &json] {
            let bad = |c: char| c.is_control() || "\u{202e}\u{200b}\u{feff}".contains(c);
            assert!(!shown.contains(bad), "{shown}");
        }
        assert!(json.contains("\\u001b[2J\\u009b1m\\u000d\\u000a\\u202e"), "{json}");
    }

    #[test]
    fn runs_of_numbers_are_drawn_together() {
        for (numbers, shown) in [
            (&[][..], ""),
            (&[3], "3"),
            (&[5, 6, 7, 9], "5-7, 9"),
            (&[1, 3, 4], "1, 3-4"),
            (&[u64::MAX], "18446744073709551615"),
        ] {
            assert_eq!(ranges(numbers.iter().copied()), shown);
        }
    }
}
