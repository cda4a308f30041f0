//! Text from other people, made harmless: what a terminal would take for a command, what would
//! change the order or the look of the text around it, and what nobody would see, is shown as what
//! it is. Everything else, letters of any script and emoji, stays as it was sent.

use std::borrow::Cow;
use std::fmt::Write;

use super::dates::iso;
use super::width::char_width;

/// Said at a login to a server without a majority. It fits into a row of 80 columns.
pub const OUT_OF_DATE: &str = "no majority is reachable: passwords and accounts may be out of date";

/// `1 message`, `2 messages`: a count as people say it.
pub fn messages(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// What waits in the outbox and is not sent by itself, as a clause without a stop.
pub fn old_messages(count: usize, since_ms: u64) -> String {
    let have = if count == 1 { "has" } else { "have" };
    format!(
        "{} in the outbox {have} waited for more than a day (since {}) and will not be sent by \
         default",
        messages(count),
        iso(since_ms)
    )
}

/// How somebody at the chat deals with what [`old_messages`] tells of.
pub const OLD_COMMANDS: &str =
    "/waiting shows them, /waiting send sends them, /waiting drop discards them";

/// How a script does.
pub const OLD_FLAGS: &str = "run with --old send to send them or --old drop to discard them";

/// How long a message that was not sent is kept for sending, and what happens then.
pub const SENT_LATER: &str =
    "is sent when this account's client next runs (after a day, only with --old send)";

/// What the outbox holds for another cluster, as a clause without a stop.
pub fn elsewhere(count: usize, outbox: &std::path::Path) -> String {
    let were = if count == 1 { "was" } else { "were" };
    format!(
        "{} {were} written for another cluster and will not be sent to these servers; kept in {}",
        messages(count),
        outbox.display()
    )
}

/// Said where Ctrl-D neither deletes nor quits.
pub const HOW_TO_LEAVE: &str = "Ctrl-D quits on an empty line only; Ctrl-C clears the line";

/// What was typed or pasted was longer than a line may be.
pub fn left_out(bytes: usize) -> String {
    let what = if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    format!("left out {what}: the text has reached its maximum length")
}

/// Writes a line to standard error, harmless to a terminal.
pub fn complain(text: &str) {
    eprintln!("chatctl: {}", line(text));
}

/// Most characters without a column of their own (marks, joiners) in a row: more than any script
/// needs on one letter, and few enough not to spill over the lines around.
pub const MARKS: usize = 8;

/// Makes text fit for one line of a terminal. Controls are shown as their pictures (`␛`, `␊`),
/// other harmful or invisible characters as `\u{202e}`. Marks past the [`MARKS`]th in a row become
/// one `…`; a mark that comes first gets a `◌` to stand on, so that it does not change what is
/// before the text. Done twice, it changes nothing more. It is for people: what somebody wrote can
/// look like what was replaced.
pub fn line(text: &str) -> Cow<'_, str> {
    let mut marks = 0;
    let first_change = text.char_indices().find(|&(at, character)| {
        let is_mark = char_width(character) == 0;
        marks = if is_mark { marks + 1 } else { 0 };
        is_harmful(character) || is_mark && at == 0 || marks > MARKS
    });
    match first_change {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(line_from(text, at)),
    }
}

/// The rest of [`line`], where `text` up to `start` stays as it is.
fn line_from(text: &str, start: usize) -> String {
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(&text[..start]);
    let mut marks = shown.chars().rev().take_while(|&mark| char_width(mark) == 0).count();
    for character in text[start..].chars() {
        if is_harmful(character) {
            push_visibly(&mut shown, character);
            marks = 0;
        } else if char_width(character) > 0 {
            shown.push(character);
            marks = 0;
        } else {
            marks += 1;
            if shown.is_empty() {
                shown.push('\u{25cc}');
            }
            if marks <= MARKS {
                shown.push(character);
            } else if marks == MARKS + 1 {
                shown.push('…');
            }
        }
    }
    shown
}

/// Makes text fit for one field of machine output, where a tab ends a field and a newline a line:
/// `\\`, `\t`, `\n`, `\r` are these, other controls and harmful characters are `\u{202e}`. The text
/// can be had back exactly.
pub fn field(text: &str) -> Cow<'_, str> {
    let Some(start) = text.find(|character| character == '\\' || is_harmful(character)) else {
        return Cow::Borrowed(text);
    };
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(&text[..start]);
    for character in text[start..].chars() {
        match character {
            '\\' => shown.push_str("\\\\"),
            '\t' => shown.push_str("\\t"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            _ if is_harmful(character) => push_escaped(&mut shown, character),
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

fn push_visibly(shown: &mut String, character: char) {
    match character {
        // Their pictures stand in the order of the controls.
        '\0'..' ' => shown.extend(char::from_u32(0x2400 + u32::from(character))),
        '\x7f' => shown.push('␡'),
        _ => push_escaped(shown, character),
    }
}

fn push_escaped(shown: &mut String, character: char) {
    // Writing to a string cannot fail.
    let _ = write!(shown, "{}", character.escape_unicode());
}

/// Whether a character must not reach a terminal as it is.
pub(super) fn is_harmful(character: char) -> bool {
    match character {
        ' '..='~' => false,
        // Controls: the terminal would obey, some terminals those of the second block too.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        // Change of direction: marks, embeddings, overrides, isolates, and their old kin.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' => true,
        '\u{2066}'..='\u{206f}' => true,
        // Separators of lines and paragraphs.
        '\u{2028}' | '\u{2029}' => true,
        // Seen by nobody: spaces, hyphens and operators without a width, fillers.
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => true,
        '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{3164}' | '\u{feff}' => true,
        '\u{ffa0}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => true,
        // Annotations between the lines, and tags.
        '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}' => true,
        // No characters, ever.
        '\u{fdd0}'..='\u{fdef}' => true,
        _ => u32::from(character) & 0xFFFE == 0xFFFE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no terminal may get, said apart from the code above.
    fn must_not_appear(character: char) -> bool {
        let code = u32::from(character);
        let ranges = [
            (0x00, 0x1F),
            (0x7F, 0x9F),
            (0x61C, 0x61C),
            (0x200E, 0x200F),
            (0x2028, 0x202E),
            (0x2060, 0x206F),
            (0xFDD0, 0xFDEF),
            (0xFEFF, 0xFEFF),
            (0xFFF9, 0xFFFB),
            (0xE0000, 0xE007F),
        ];
        code & 0xFFFF >= 0xFFFE
            || ranges.iter().any(|&(first, last)| (first..=last).contains(&code))
    }

    #[test]
    fn no_character_there_is_comes_out_harmful_by_either_way() {
        let mut text = String::new();
        for character in '\0'..=char::MAX {
            text.clear();
            text.extend(['a', character, 'b']);
            for shown in [line(&text), field(&text)] {
                assert!(!shown.contains(must_not_appear), "{}", character.escape_unicode());
                assert!(shown.starts_with('a') && shown.ends_with('b'));
                assert_eq!(matches!(shown, Cow::Borrowed(_)), shown == text, "no needless copy");
            }
            let shown = line(&text);
            assert_eq!(line(&shown), shown, "twice is as once");
            let columns: usize = shown.chars().map(char_width).sum();
            assert!(shown == text || columns > 2, "what is replaced is seen");
            assert!(!line(&text[1..]).contains(must_not_appear));
        }
    }

    #[test]
    fn letters_and_emoji_stay_as_they_were_sent() {
        for text in [
            "",
            "plain text, ~!@#$%^&*()\\ and more",
            "na\u{ef}ve nai\u{308}ve",
            "\u{4e2d}\u{6587}",
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}",
            "\u{915}\u{94d}\u{200d}\u{937}",
            "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "\u{2764}\u{fe0f} \u{1f44d}\u{1f3fd} \u{1f1e9}\u{1f1ea}",
            "\u{fffd}\u{e000}",
        ] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn harmful_characters_are_shown_as_what_they_are() {
        for (text, shown) in [
            ("\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
            ("one\ntwo\r\n\tthree", "one␊two␍␊␉three"),
            ("\0\x7f\u{9b}31m", "␀␡\\u{9b}31m"),
            ("a\u{202e}b\u{2066}c\u{feff}", "a\\u{202e}b\\u{2066}c\\u{feff}"),
            ("\u{e0041}\u{ffff}\u{10fffe}", "\\u{e0041}\\u{ffff}\\u{10fffe}"),
        ] {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn a_flood_of_marks_is_cut_and_a_mark_that_comes_first_has_a_place_of_its_own() {
        let few = format!("a{}b", "\u{301}".repeat(MARKS));
        assert_eq!(line(&few), few);
        for count in [MARKS + 1, MARKS + 2, 10_000] {
            let many = format!("a{}b{}", "\u{301}".repeat(count), "\u{200d}\u{301}".repeat(count));
            let (accents, joined) = ("\u{301}".repeat(MARKS), "\u{200d}\u{301}".repeat(MARKS / 2));
            let shown = line(&many);
            assert_eq!(shown, format!("a{accents}…b{joined}…"));
            assert_eq!(line(&shown), shown);
        }
        assert_eq!(line("\u{301}a"), "\u{25cc}\u{301}a");
        let long = line(&"\u{301}".repeat(100)).into_owned();
        assert_eq!(long, format!("\u{25cc}{}…", "\u{301}".repeat(MARKS)));
        assert_eq!(line(&long), long);
        let after_escape = format!("\x1b{}", "\u{301}".repeat(9));
        assert_eq!(line(&after_escape), format!("␛{}…", "\u{301}".repeat(8)));
    }

    #[test]
    fn marks_are_counted_across_the_first_change() {
        // The change is at the ninth mark; the eight before are kept and count.
        let text = format!("a{}\x1b", "\u{301}".repeat(20));
        assert_eq!(line(&text), format!("a{}…␛", "\u{301}".repeat(8)));
    }

    #[test]
    fn a_field_has_no_tab_or_newline_and_can_be_read_back() {
        assert_eq!(field("plain"), "plain");
        assert_eq!(field("a\tb\nc\\d\re"), "a\\tb\\nc\\\\d\\re");
        assert_eq!(field("\\u{1b} \x1b \u{202e}"), "\\\\u{1b} \\u{1b} \\u{202e}");
        let everything: String = ('\0'..='\u{2fff}').collect();
        assert_eq!(unescape(&field(&everything)), everything);
    }

    /// What a program that reads fields does.
    fn unescape(field: &str) -> String {
        let mut text = String::new();
        let mut rest = field.chars();
        while let Some(character) = rest.next() {
            if character != '\\' {
                text.push(character);
                continue;
            }
            text.push(match rest.next().expect("something is escaped") {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                'u' => {
                    assert_eq!(rest.next(), Some('{'));
                    let digits: String = rest.by_ref().take_while(|&c| c != '}').collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
                }
                other => panic!("\\{other}"),
            });
        }
        text
    }
}
