//! Reading Rust source as words: enough of the language to know what a path names, with comments,
//! strings and characters passed over.

/// The words and punctuation of a source, each with its line, from 1.
pub fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = words_and_literals(text);
    words.retain(|(_, word)| *word != LITERAL);
    words
}

/// What stands for a string or character in [`words_and_literals`].
const LITERAL: &str = "\"\"";

/// As [`words`], with strings and characters, though not with what they say.
pub fn words_and_literals(text: &str) -> Vec<(usize, &str)> {
    let bytes = text.as_bytes();
    let mut words = Vec::new();
    let (mut at, mut line, mut counted) = (0, 1, 0);
    while at < bytes.len() {
        line += bytes[counted..at].iter().filter(|byte| **byte == b'\n').count();
        counted = at;
        let rest = &text[at..];
        if let Some(length) = passed_over(rest) {
            let is_comment = rest.starts_with("//") || rest.starts_with("/*");
            words.extend((!is_comment).then_some((line, LITERAL)));
            at += length;
        } else if is_word(bytes[at]) {
            let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
            words.push((line, &rest[..length]));
            at += length;
        } else {
            let length = rest.chars().next().map_or(1, char::len_utf8);
            if !bytes[at].is_ascii_whitespace() {
                words.push((line, &rest[..length]));
            }
            at += length;
        }
    }
    words
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// The length of the comment, string or character that `rest` begins with.
fn passed_over(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let prefix = ["br", "cr", "b", "c", "r"].into_iter().find(|prefix| {
        let after = rest.strip_prefix(prefix).unwrap_or_default().trim_start_matches('#');
        rest.starts_with(prefix) && after.starts_with('"')
    });
    let prefix = prefix.unwrap_or_default();
    let quoted = &rest[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = quoted.len() - quoted.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let body = &quoted[hashes + 1..];
        let length = body.find(&end).map_or(body.len(), |found| found + end.len());
        return Some(prefix.len() + hashes + 1 + length);
    }
    if quoted.starts_with('"') {
        return Some(prefix.len() + until_unescaped(quoted, b'"'));
    }
    let character = rest.strip_prefix('b').unwrap_or(rest);
    let mut chars = character.chars();
    if chars.next() != Some('\'') {
        return None;
    }
    // A lifetime or label has no closing quote after its first character.
    let is_character = chars.next() == Some('\\') || chars.next() == Some('\'');
    is_character.then(|| rest.len() - character.len() + until_unescaped(character, b'\''))
}

fn block_comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Length of a literal that begins with one quote and ends with the next that is not escaped.
fn until_unescaped(quoted: &str, quote: u8) -> usize {
    let bytes = quoted.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether the source says `unsafe`, or allows it.
pub fn names_unsafe(text: &str) -> bool {
    words(text).iter().any(|(_, word)| matches!(*word, "unsafe" | "unsafe_code"))
}
