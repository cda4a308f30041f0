//! Text that is safe to print: times for people, foreign words with everything a terminal could
//! take for a command made visible, JSON strings.

pub use crate::sys::clock::{DAY_MS, utc};

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
