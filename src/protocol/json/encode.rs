//! Writing a message as JSON.

use crate::protocol::message::{Message, MsgIds};
use crate::protocol::scan;

/// Bytes of a message's JSON that are not its texts: keys, punctuation, the longest numbers.
const FIXED_BYTES: usize = 144;

/// Appends `message` as one line of JSON, without an LF.
///
/// # Panics
/// Where the message does not pass [`Message::check`]: whoever made it should have asked.
pub fn encode(message: &Message, out: &mut Vec<u8>) {
    message.assert_fits();
    let ids_guess = match &message.msg_ids {
        MsgIds::One(id) => id.len(),
        MsgIds::Many(ids) => ids.iter().map(|id| id.len() + 4).sum(),
    };
    let texts = message.cmd.len() + message.src.len() + message.to.len() + message.body.len();
    out.reserve(FIXED_BYTES + texts + ids_guess);
    out.extend_from_slice(br#"{"cmd": ""#);
    put_text(&message.cmd, out);
    out.extend_from_slice(br#"", "src": ""#);
    put_text(&message.src, out);
    out.extend_from_slice(br#"", "to": ""#);
    put_text(&message.to, out);
    out.extend_from_slice(br#"", "body": ""#);
    put_text(&message.body, out);
    out.extend_from_slice(match message.error {
        true => br#"", "error": true, "msg_ids": "#,
        false => br#"", "error": false, "msg_ids": "#,
    });
    put_ids(&message.msg_ids, out);
    out.extend_from_slice(br#", "limit": "#);
    put_number(u64::from(message.limit), out);
    if message.time != 0 {
        out.extend_from_slice(br#", "time": "#);
        put_number(message.time, out);
    }
    if message.seq != 0 {
        out.extend_from_slice(br#", "seq": "#);
        put_number(message.seq, out);
    }
    out.push(b'}');
}

/// Appends the ids as JSON text, as both codecs have it.
pub(in crate::protocol) fn put_ids(ids: &MsgIds, out: &mut Vec<u8>) {
    match ids {
        MsgIds::One(id) => {
            out.push(b'"');
            put_text(id, out);
            out.push(b'"');
        }
        MsgIds::Many(ids) => {
            let mut before: &[u8] = b"[\"";
            for id in ids {
                out.extend_from_slice(before);
                put_text(id, out);
                before = b"\", \"";
            }
            out.extend_from_slice(if ids.is_empty() { b"[]" } else { b"\"]" });
        }
    }
}

/// Bytes that [`put_ids`] appends.
pub(in crate::protocol) fn ids_text_bytes(ids: &MsgIds) -> usize {
    match ids {
        MsgIds::One(id) => text_bytes(id) + 2,
        MsgIds::Many(ids) => {
            let separators = ids.len().saturating_sub(1) * 2;
            2 + separators + ids.iter().map(|id| text_bytes(id) + 2).sum::<usize>()
        }
    }
}

/// Bytes that [`put_text`] appends.
fn text_bytes(text: &str) -> usize {
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
fn put_text(text: &str, out: &mut Vec<u8>) {
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

fn put_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_ids_is_told_before_they_are_written() {
        let texts = ["", "plain", "\"\\\n\u{1}", "é\u{1f600}", "a\u{1f}b\tc"];
        let mut samples: Vec<MsgIds> = texts.iter().map(|text| MsgIds::one(text)).collect();
        for count in 0..=texts.len() {
            samples.push(MsgIds::Many(texts[..count].iter().map(|&text| text.into()).collect()));
        }
        for ids in samples {
            let mut out = Vec::new();
            put_ids(&ids, &mut out);
            assert_eq!(ids_text_bytes(&ids), out.len(), "{ids:?}");
        }
    }
}
