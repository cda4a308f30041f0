//! Writing a message as JSON.

use super::text::put_text;
use crate::protocol::message::{Message, MsgIds};

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
            assert_eq!(ids.text_bytes(), out.len(), "{ids:?}");
        }
    }
}
