//! The binary form: its tails, and what its reader refuses.

use chatctl::protocol::{DecodeError, Message, MsgIds, binary};

use super::{reference_message, samples};

/// `cmd` x, `src` s, `to` t, `body` bb, no error: the least that is a message, and no tails.
const HEAD: &[u8] = b"\x01x\x01s\x01t\x00\x02bb\x00";
const IDS: &[u8] = b"\x00\x07[\"a\", 1";

fn refusal(bytes: &[u8]) -> DecodeError {
    match binary::decode(bytes) {
        Err(error) => error,
        Ok(message) => panic!("{bytes:?} is taken as {message:?}"),
    }
}

fn assert_bad(bytes: &[u8], part: &str) {
    let error = refusal(bytes);
    assert_eq!(error.code, "bad-frame", "{bytes:?}: {error}");
    assert!(error.detail.contains(part), "{bytes:?}: {error}, without {part}");
}

fn head() -> Message<'static> {
    Message {
        cmd: "x".into(),
        src: "s".into(),
        to: "t".into(),
        body: "bb".into(),
        ..Message::default()
    }
}

#[test]
fn the_length_says_which_tails_are_there() {
    assert_eq!(binary::decode(HEAD), Ok(head()));
    let middle = [HEAD, b"\x00\x03\"i\"\x01\x02"].concat();
    let with_middle = Message { msg_ids: MsgIds::one("i"), limit: 0x0102, ..head() };
    assert_eq!(binary::decode(&middle), Ok(with_middle.clone()));
    let last = [middle.as_slice(), &[0, 0, 0, 0, 0, 0, 0, 5], &[0, 0, 0, 0, 0, 0, 1, 0]].concat();
    assert_eq!(binary::decode(&last), Ok(Message { time: 5, seq: 256, ..with_middle.clone() }));
    let zeros = [middle.as_slice(), &[0; 16]].concat();
    assert_eq!(binary::decode(&zeros), Ok(with_middle));
}

#[test]
fn every_other_length_is_a_short_tail_or_bytes_left_over() {
    let whole = [HEAD, b"\x00\x03\"i\"\x01\x02", &[1; 16]].concat();
    let ends = [HEAD.len(), HEAD.len() + 7, whole.len()];
    for length in 0..whole.len() {
        if ends.contains(&length) {
            assert!(binary::decode(&whole[..length]).is_ok());
        } else {
            assert_bad(&whole[..length], "the payload ends inside ");
        }
    }
    for count in 1..40 {
        let longer = [whole.as_slice(), &vec![0; count]].concat();
        assert_bad(&longer, &format!("{count} bytes are left over from byte {}", whole.len()));
    }
}

#[test]
fn a_short_field_is_named_with_its_place() {
    assert_bad(b"", "inside cmd: 0 of 1 bytes are there at byte 0");
    assert_bad(b"\x05logi", "inside cmd: 4 of 5 bytes are there at byte 1");
    assert_bad(b"\x01x\x02s", "inside src: 1 of 2");
    assert_bad(b"\x01x\x01s\xfft", "inside to: 1 of 255");
    assert_bad(b"\x01x\x00\x00\x00", "inside body: 1 of 2 bytes are there at byte 4");
    assert_bad(b"\x01x\x00\x00\xff\xffb", "inside body: 1 of 65535 bytes are there at byte 6");
    assert_bad(b"\x01x\x00\x00\x00\x00", "inside error: 0 of 1");
    assert_bad(b"\x01x\x00\x00\x00\x00\x00\x00", "inside msg_ids: 1 of 2");
    assert_bad(b"\x01x\x00\x00\x00\x00\x00\x00\x00\x01", "inside limit: 1 of 2");
    assert_bad(b"\x01x\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01", "inside time: 1 of 8");
}

#[test]
fn an_error_byte_above_one_is_refused() {
    for byte in 0..=255u8 {
        let mut payload = HEAD.to_vec();
        payload[HEAD.len() - 1] = byte;
        match byte {
            0 | 1 => assert_eq!(binary::decode(&payload).map(|m| m.error), Ok(byte == 1)),
            _ => assert_bad(&payload, &format!("the error byte is {byte}, not 0 or 1, at byte 10")),
        }
    }
}

#[test]
fn invalid_utf8_is_refused_in_every_text_and_its_place_named() {
    let fields = [("cmd", 1), ("src", 3), ("to", 5), ("body", 9)];
    for (field, at) in fields {
        let mut payload = HEAD.to_vec();
        payload[at] = 0xff;
        assert_bad(&payload, &format!("{field} is not UTF-8 from byte {at} on"));
    }
    assert_bad(&[HEAD, b"\x00\x03\"\xff\"\x00\x00"].concat(), "msg_ids is not UTF-8 from byte 14");
    // A character that two fields share is in neither of them.
    assert_bad(b"\x02x\xc3\x01\xa9\x00\x00\x00\x00", "cmd is not UTF-8 from byte 2 on");
    // Nor may the byte of a length complete one: 0xa9 is a length here.
    let mut shared = b"\x02x\xc3\xa9".to_vec();
    shared.extend_from_slice(&[b's'; 0xa9]);
    shared.extend_from_slice(b"\x00\x00\x00\x00");
    assert_bad(&shared, "cmd is not UTF-8 from byte 2 on");
    let mut shared = b"\x01x\x00\x02t\xc3\x00\xa9".to_vec();
    shared.extend_from_slice(&[b'b'; 0xa9]);
    shared.push(0);
    assert_bad(&shared, "to is not UTF-8 from byte 5 on");
}

#[test]
fn texts_of_every_length_keep_their_bytes_whatever_the_length_bytes_look_like() {
    for length in (0..300).chain([0x7fff, 0x8000, 0xc3a9, 0xffff]) {
        for letter in ["b", "é"] {
            let body = letter.repeat(length / letter.len());
            let message = Message { body: body.into(), time: u64::MAX, ..reference_message() };
            let mut out = Vec::new();
            binary::encode(&message, &mut out);
            assert_eq!(binary::decode(&out), Ok(message));
        }
    }
}

#[test]
fn an_empty_cmd_is_refused_and_one_over_its_bound_is_too_long() {
    assert_bad(b"\x00\x00\x00\x00\x00\x00", "cmd is missing or empty");
    let long = [b"\x21".as_slice(), &[b'c'; 33], b"\x00\x00\x00\x00\x00"].concat();
    let error = refusal(&long);
    assert_eq!((error.code, error.detail.contains("cmd has 33 bytes")), ("too-long", true));
    let longest = [b"\x20".as_slice(), &[b'c'; 32], b"\x00\x00\x00\x00\x00"].concat();
    assert_eq!(binary::decode(&longest).map(|message| message.cmd.len()), Ok(32));
}

fn with_ids(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("the ids of a test are short").to_be_bytes();
    [HEAD, &length, text.as_bytes(), b"\x00\x00"].concat()
}

#[test]
fn ids_are_read_in_both_forms_and_with_white_space() {
    let ids = |text: &str| binary::decode(&with_ids(text)).map(|m| m.msg_ids.into_owned());
    assert_eq!(ids(""), Ok(MsgIds::default()));
    assert_eq!(ids("[]"), Ok(MsgIds::default()));
    assert_eq!(ids(r#""""#), Ok(MsgIds::one("")));
    assert_eq!(ids(r#" "a" "#), Ok(MsgIds::one("a")));
    assert_eq!(ids("[\n\"a\" ,\"\\u00e9\"]\n"), Ok(MsgIds::Many(vec!["a".into(), "é".into()])));
}

#[test]
fn ids_that_are_no_string_or_array_of_strings_are_refused() {
    for text in [" ", "1", "null", "{}", "[1]", "[[\"a\"]]", "\"a", "[\"a\"", "a", "\"a\"x", "[]]"]
    {
        assert_bad(&with_ids(text), "in the msg_ids text that starts at byte 13: ");
    }
    assert_bad(&[HEAD, IDS, b"\x00\x00"].concat(), "an id of msg_ids must be a string");
    let text = format!("[{}]", vec!["\"\""; 1_001].join(","));
    let error = refusal(&with_ids(&text));
    assert_eq!(error.code, "too-long", "{error}");
    // The most that two bytes of length carry is within every bound.
    let text = format!("[{}]", vec!["\"\u{7f}\""; 1_000].join(","));
    assert!(binary::decode(&with_ids(&text)).is_ok());
    let text = format!("\"{}\"", "\\b".repeat(32_766));
    assert!(binary::decode(&with_ids(&text)).is_ok());
}

#[test]
fn every_sample_cut_short_is_refused_except_where_a_tail_ends() {
    for message in samples().into_iter().filter(|message| message.body.len() < 100) {
        let mut out = Vec::new();
        binary::encode(&message, &mut out);
        if out.len() > 1_000 {
            continue;
        }
        let cuts = (0..out.len()).filter(|&length| binary::decode(&out[..length]).is_ok()).count();
        assert_eq!(cuts, if message.time != 0 || message.seq != 0 { 2 } else { 1 });
    }
}
