//! Web addresses in a line of text, so that a terminal can open one that is wrapped. Pure.

use std::ops::Range;
use std::rc::Rc;

use super::super::width::char_width;
use crate::limits;

/// A part of a line, in bytes, and the address that it is of.
pub type Link = (Range<usize>, Rc<str>);

/// The addresses in a line that was made harmless. They begin with `http://` or `https://`, and are
/// sent to the terminal in ASCII without blanks and controls: other letters are percent-encoded.
pub fn find(line: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut from = 0;
    while let Some(colon) = line[from..].find("://").map(|at| from + at) {
        let rest = colon + "://".len();
        let end = rest + address_bytes(&line[rest..]);
        if let Some(start) = scheme_start(&line[from..colon]).map(|at| from + at)
            && end > rest
            && let Some(address) = encoded(&line[start..end])
        {
            links.push((start..end, address.into()));
        }
        from = end;
    }
    links
}

/// The parts of `links` that are in a piece of the line, which begins at byte `start`.
pub fn within(links: &[Link], start: usize, piece: &str) -> Vec<Link> {
    let part = |(range, address): &Link| {
        let first = range.start.max(start) - start;
        let end = range.end.clamp(start, start + piece.len()) - start;
        (first < end).then(|| (first..end, Rc::clone(address)))
    };
    links.iter().filter_map(part).collect()
}

/// Where the scheme before a colon begins, if it is one of the web and a word by itself.
fn scheme_start(before: &str) -> Option<usize> {
    let start = before
        .rfind(|char: char| !char.is_alphanumeric())
        .map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8));
    let scheme = &before[start..];
    let is_web = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    is_web.then_some(start)
}

/// How far an address goes: without the punctuation of the sentence that it is in.
fn address_bytes(rest: &str) -> usize {
    let is_end = |char: char| match char.is_ascii() {
        true => !char.is_ascii_graphic() || "<>\"`{}|\\^".contains(char),
        // Marks too: what they stand on must not end up in another piece.
        false => !char.is_alphanumeric() && char_width(char) > 0,
    };
    let mut address = &rest[..rest.find(is_end).unwrap_or(rest.len())];
    while let Some(last) = address.chars().next_back() {
        let count = |wanted: char| address.chars().filter(|char| *char == wanted).count();
        let is_punctuation = match last {
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' => true,
            ')' => count(')') > count('('),
            ']' => count(']') > count('['),
            _ => false,
        };
        if !is_punctuation {
            break;
        }
        address = &address[..address.len() - 1];
    }
    address.len()
}

/// The address in ASCII; none where it is longer than terminals take.
fn encoded(address: &str) -> Option<String> {
    let mut ascii = String::with_capacity(address.len());
    for byte in address.bytes() {
        match byte.is_ascii() {
            true => ascii.push(char::from(byte)),
            false => ascii.push_str(&format!("%{byte:02X}")),
        }
    }
    (ascii.len() <= limits::LINK_BYTES).then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_without_the_sentence_around_them() {
        for (line, expected) in [
            ("no address: http:// and ftp://x or xhttp://y", &[][..]),
            ("see https://example.org/a?b=c#d.", &["https://example.org/a?b=c#d"]),
            ("(http://a.b/c_(d)) <HTTP://E.F>", &["http://a.b/c_(d)", "HTTP://E.F"]),
            ("\"http://a/b\", http://c/d!", &["http://a/b", "http://c/d"]),
            (
                "https://de.wikipedia.org/wiki/K\u{f6}ln",
                &["https://de.wikipedia.org/wiki/K%C3%B6ln"],
            ),
            ("http://a/e\u{301}.", &["http://a/e%CC%81"]),
            ("http://a\u{241b}]8;;evil http://b\\u{202e}c", &["http://a", "http://b"]),
            ("\u{4e2d}http://a/ http://a://b", &["http://a://b"]),
            ("http://[::1]:80/x]", &["http://[::1]:80/x"]),
        ] {
            let found = find(line);
            let addresses: Vec<&str> = found.iter().map(|(_, address)| &**address).collect();
            assert_eq!(addresses, expected, "{line}");
            for (range, address) in &found {
                assert!(address.bytes().all(|byte| byte.is_ascii_graphic()), "{address}");
                assert!(!address.contains('%') || !line[range.clone()].is_ascii());
            }
        }
    }

    #[test]
    fn a_piece_of_a_line_has_the_parts_that_are_in_it() {
        let line = "ab http://c/d ef";
        let links = find(line);
        for (start, piece, expected) in [
            (0, "ab", None),
            (0, "ab http", Some(3..7)),
            (5, "tp://c/d e", Some(0..8)),
            (13, " ef", None),
        ] {
            assert_eq!(&line[start..start + piece.len()], piece);
            let parts = within(&links, start, piece);
            assert_eq!(parts.first().map(|(range, _)| range.clone()), expected, "{piece}");
        }
    }

    #[test]
    fn an_address_longer_than_terminals_take_is_only_text() {
        let address = |bytes: usize| format!("http://{}", "x".repeat(bytes - 7));
        assert_eq!(find(&address(limits::LINK_BYTES)).len(), 1);
        assert_eq!(find(&address(limits::LINK_BYTES + 1)), []);
    }
}
