//! Makes messages that are within the bounds, and JSON texts that are nearly messages.

use chatctl::limits;
use chatctl::protocol::{Message, MsgIds, id};

use crate::support::Rng;

/// Pieces of JSON, right and wrong, to build texts of and to insert into others.
#[rustfmt::skip]
pub const TOKENS: &[&[u8]] = &[
    b"{", b"}", b"[", b"]", b",", b":", b"\"", b"\\", b" ", b"\n", b"\r\n", b"\t", b"\0",
    b"\"cmd\"", b"\"src\"", b"\"to\"", b"\"body\"", b"\"error\"", b"\"msg_ids\"", b"\"limit\"",
    b"\"time\"", b"\"seq\"", b"\"c\\u006dd\"", b"\"unknown\"", b"\"\"", b"\"x\"",
    b"true", b"false", b"null", b"tru", b"0", b"-0", b"1", b"65535", b"65536", b"-1", b"1.5",
    b"1e9", b"01", b"18446744073709551615", b"18446744073709551616", b"-", b".", b"e",
    b"\\u0041", b"\\u", b"\\ud83d", b"\\ude00", b"\\ud83d\\ude00", b"\\n", b"\\x", b"\\\"",
    b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"\xc3", b"\xa9", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf",
    b"[[[[[[[[", b"]]]]]]]]", b"{\"a\":{\"a\":{\"a\":{\"a\":", b"}}}}", b", ", b": ",
    b"\x00\x10\x00\x00", b"\x00\x10\x00\x01", b"\x7f", b"\x80", b"\xff\xff",
];

/// A message that passes `check`, mostly small, sometimes at a bound.
pub fn message(rng: &mut Rng) -> Message<'static> {
    let mut cmd = text(rng, limits::CMD_BYTES);
    if cmd.is_empty() {
        cmd.push('x');
    }
    let any = |rng: &mut Rng, most: u64| match rng.below(4) {
        0 => 0,
        1 => rng.below(300).min(most),
        2 => most,
        _ => rng.next() & most,
    };
    Message {
        cmd: cmd.into(),
        src: text(rng, limits::NAME_FIELD_BYTES).into(),
        to: text(rng, limits::NAME_FIELD_BYTES).into(),
        body: text(rng, limits::BODY_BYTES).into(),
        error: rng.chance(1, 4),
        msg_ids: msg_ids(rng),
        limit: any(rng, u64::from(u16::MAX)) as u16,
        time: any(rng, u64::MAX),
        seq: any(rng, u64::MAX),
    }
}

fn msg_ids(rng: &mut Rng) -> MsgIds<'static> {
    let one = |rng: &mut Rng| match rng.below(4) {
        0 => text(rng, 60),
        _ => id::format(u128::from(rng.next()) << 64 | u128::from(rng.next())),
    };
    if rng.chance(1, 3) {
        return MsgIds::One(one(rng).into());
    }
    let count = match rng.below(200) {
        0 => limits::MSG_IDS as u64,
        1..100 => 0,
        _ => rng.below(5),
    };
    let ids = MsgIds::Many((0..count).map(|_| one(rng).into()).collect());
    let check = Message { cmd: "x".into(), msg_ids: ids.clone(), ..Message::default() };
    if check.check().is_ok() { ids } else { MsgIds::default() }
}

/// Text of at most `most` bytes.
pub fn text(rng: &mut Rng, most: usize) -> String {
    let length = match rng.below(300) {
        0 => most,
        1 => rng.below(most as u64 + 1) as usize,
        2..50 => 0,
        _ => (rng.below(40) as usize).min(most),
    };
    let kind = rng.below(5);
    let mut text = String::with_capacity(length);
    loop {
        let character = match kind {
            0 | 1 => char::from(b' ' + rng.below(95) as u8),
            2 => char::from(rng.below(0x80) as u8),
            3 => ['"', '\\', '\n', '\u{1}', 'a', '/'][rng.below(6) as usize],
            _ => char::from_u32(rng.below(0x11_0000) as u32).unwrap_or('é'),
        };
        if text.len() + character.len_utf8() > length {
            return text;
        }
        text.push(character);
    }
}

/// A JSON text with the shape of a message: keys of it and others, in any order, values mostly of
/// the right type.
pub fn json_text(rng: &mut Rng) -> Vec<u8> {
    let mut out = b"{".to_vec();
    for number in 0..rng.below(8) {
        if number > 0 {
            out.extend_from_slice(b",");
        }
        space(rng, &mut out);
        let keys =
            ["cmd", "src", "to", "body", "error", "msg_ids", "limit", "time", "seq", "other"];
        let key = keys[rng.below(10) as usize];
        quoted(rng, key, &mut out);
        space(rng, &mut out);
        out.push(b':');
        space(rng, &mut out);
        match key {
            _ if rng.chance(1, 12) => value(rng, 0, &mut out),
            _ if rng.chance(1, 20) => nested(rng, &mut out),
            _ if rng.chance(1, 12) => escapes(rng, &mut out),
            "error" => out.extend_from_slice(if rng.chance(1, 2) { b"true" } else { b"false" }),
            "limit" => out.extend_from_slice(rng.below(70_000).to_string().as_bytes()),
            "time" | "seq" => out.extend_from_slice(rng.next().to_string().as_bytes()),
            "msg_ids" if rng.chance(1, 2) => strings(rng, &mut out),
            "other" => value(rng, 0, &mut out),
            _ => quoted_text(rng, 40, &mut out),
        }
        space(rng, &mut out);
    }
    out.push(b'}');
    space(rng, &mut out);
    out
}

fn space(rng: &mut Rng, out: &mut Vec<u8>) {
    while rng.chance(1, 4) {
        out.push(b" \t\r\n"[rng.below(4) as usize]);
    }
}

fn strings(rng: &mut Rng, out: &mut Vec<u8>) {
    out.push(b'[');
    for number in 0..rng.below(4) {
        if number > 0 {
            out.push(b',');
        }
        space(rng, out);
        quoted_text(rng, 40, out);
    }
    out.push(b']');
}

fn quoted_text(rng: &mut Rng, most: usize, out: &mut Vec<u8>) {
    let text = text(rng, most);
    quoted(rng, &text, out);
}

/// A string, each character as it is or in an escape.
fn quoted(rng: &mut Rng, text: &str, out: &mut Vec<u8>) {
    let escape_all = rng.chance(1, 10);
    out.push(b'"');
    for character in text.chars() {
        if escape_all || character < ' ' || character == '"' || character == '\\' {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(format!("\\u{unit:04X}").as_bytes());
            }
        } else {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out.push(b'"');
}

/// A string of escapes, most of them parts of surrogate pairs, right and wrong.
fn escapes(rng: &mut Rng, out: &mut Vec<u8>) {
    const PARTS: [&[u8]; 8] =
        [b"\\ud83d", b"\\ude00", b"\\udbff", b"\\udc00", b"\\ud800", b"\\u0041", b"\\n", b"x"];
    out.push(b'"');
    for _ in 0..rng.below(5) {
        out.extend_from_slice(PARTS[rng.below(8) as usize]);
    }
    out.push(b'"');
}

/// A value nested about as deep as is taken, in arrays and objects.
fn nested(rng: &mut Rng, out: &mut Vec<u8>) {
    let kinds = rng.next();
    let depth = 13 + rng.below(5);
    let is_object = |level: u64| kinds >> level & 1 == 1;
    for level in 0..depth {
        out.extend_from_slice(if is_object(level) { b"{\"k\":" } else { b"[" });
    }
    let inner = [&b"1"[..], b"{}", b"[]", b"\"x\""][rng.below(4) as usize];
    out.extend_from_slice(inner);
    for level in (0..depth).rev() {
        out.push(if is_object(level) { b'}' } else { b']' });
    }
}

/// A binary payload with the right lengths, and with any error byte, ids and tails.
pub fn binary_payload(rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    for most in [33, 40, 40] {
        let text = text(rng, most);
        out.push(text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    }
    let body = text(rng, 300);
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body.as_bytes());
    out.push(rng.below(4) as u8 % 3);
    let mut ids = Vec::new();
    match rng.below(5) {
        0 => {}
        1 => quoted_text(rng, 60, &mut ids),
        2 => escapes(rng, &mut ids),
        3 => nested(rng, &mut ids),
        _ => strings(rng, &mut ids),
    }
    space(rng, &mut ids);
    out.extend_from_slice(&(ids.len() as u16).to_be_bytes());
    out.extend_from_slice(&ids);
    let tail = [0, 1, 2, 2, 2, 10, 18, 18, 18, 19][rng.below(10) as usize];
    out.extend_from_slice(&rng.bytes(tail));
    out
}

fn value(rng: &mut Rng, depth: usize, out: &mut Vec<u8>) {
    let deeper = if depth < 18 { 9 } else { 5 };
    match rng.below(deeper) {
        0 => out.extend_from_slice(b"null"),
        1 => out.extend_from_slice(b"-12.5e+3"),
        2 => out.extend_from_slice(b"true"),
        3 => out.extend_from_slice(rng.next().to_string().as_bytes()),
        4 => quoted_text(rng, 20, out),
        5 | 6 => {
            out.push(b'[');
            value(rng, depth + 1, out);
            if rng.chance(1, 3) {
                out.extend_from_slice(b", []");
            }
            out.push(b']');
        }
        _ => {
            out.extend_from_slice(b"{\"k\": ");
            value(rng, depth + 1, out);
            out.push(b'}');
        }
    }
}
