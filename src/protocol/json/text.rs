//! The content of a JSON string.

use crate::protocol::scan;

/// Bytes that [`put_text`] appends.
pub(in crate::protocol) fn text_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut total = bytes.len();
    let mut at = scan::find_special(bytes, 0);
    while at < bytes.len() {
        total += escape_of(bytes[at]).len() - 1;
        at = scan::find_special(bytes, at + 1);
    }
    total
}

/// Appends a string's content, escaped where JSON needs it.
#[inline]
pub(super) fn put_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    if scan::is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        put_escaped(bytes, scan::find_special(bytes, 0), out);
    }
}

fn put_escaped(bytes: &[u8], mut special: usize, out: &mut Vec<u8>) {
    let mut start = 0;
    loop {
        out.extend_from_slice(&bytes[start..special]);
        if special == bytes.len() {
            return;
        }
        out.extend_from_slice(escape_of(bytes[special]).as_bytes());
        start = special + 1;
        special = scan::find_special(bytes, start);
    }
}

/// The escapes of `"`, `\` and the controls.
pub(super) fn escape_of(special: u8) -> &'static str {
    match special {
        b'"' => "\\\"",
        b'\\' => "\\\\",
        control => CONTROLS[usize::from(control)],
    }
}

#[rustfmt::skip]
const CONTROLS: [&str; 32] = [
    "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007",
    "\\b",     "\\t",     "\\n",     "\\u000b", "\\f",     "\\r",     "\\u000e", "\\u000f",
    "\\u0010", "\\u0011", "\\u0012", "\\u0013", "\\u0014", "\\u0015", "\\u0016", "\\u0017",
    "\\u0018", "\\u0019", "\\u001a", "\\u001b", "\\u001c", "\\u001d", "\\u001e", "\\u001f",
];
