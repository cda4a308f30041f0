//! Byte for byte: the two vectors of the reference message, and what the page adds to them.

use chatctl::protocol::framing::{self, Codec, Form};
use chatctl::protocol::{Message, MsgIds, binary, json};

use super::{ID, binary_of, json_of, reference_message, samples};

const JSON: &[u8] = b"{\"cmd\": \"login\", \"src\": \"alice\", \"to\": \"server\", \
    \"body\": \"This is a test message\", \"error\": false, \
    \"msg_ids\": \"8d4a8912-5776-4438-ac14-8b791cfc63f2\", \"limit\": 10}";
const BINARY: &[u8] = b"\x05login\x05alice\x06server\x00\x16This is a test message\x00\
    \x00&\"8d4a8912-5776-4438-ac14-8b791cfc63f2\"\x00\n";

#[test]
fn the_reference_message_is_its_162_bytes_of_json_both_ways() {
    assert_eq!(JSON.len(), 162);
    assert_eq!(json_of(&reference_message()), JSON);
    assert_eq!(json::decode(JSON), Ok(reference_message()));
}

#[test]
fn the_reference_message_is_its_86_bytes_of_binary_both_ways() {
    assert_eq!(BINARY.len(), 86);
    assert_eq!(binary_of(&reference_message()), BINARY);
    assert_eq!(binary::decode(BINARY), Ok(reference_message()));
}

#[test]
fn json_has_time_and_seq_last_and_only_where_they_are_not_zero() {
    let base = Message { cmd: "x".into(), ..Message::default() };
    let head = "{\"cmd\": \"x\", \"src\": \"\", \"to\": \"\", \"body\": \"\", \
        \"error\": false, \"msg_ids\": [], \"limit\": 0";
    let cases = [
        (0, 0, "}"),
        (7, 0, r#", "time": 7}"#),
        (0, 8, r#", "seq": 8}"#),
        (7, u64::MAX, r#", "time": 7, "seq": 18446744073709551615}"#),
    ];
    for (time, seq, tail) in cases {
        let text = json_of(&Message { time, seq, ..base.clone() });
        assert_eq!(String::from_utf8(text), Ok(format!("{head}{tail}")));
    }
}

#[test]
fn json_escapes_quotes_backslashes_and_controls_and_nothing_else() {
    let body = "\"\\/\u{8}\t\n\u{b}\u{c}\r\u{0}\u{1f} \u{7f}\u{85}\u{2028}é漢😀";
    let message = Message { cmd: "x".into(), body: body.into(), ..Message::default() };
    let text = String::from_utf8(json_of(&message)).expect("JSON is UTF-8");
    let written = "\\\"\\\\/\\b\\t\\n\\u000b\\f\\r\\u0000\\u001f \u{7f}\u{85}\u{2028}é漢😀";
    assert!(text.contains(&format!("\"body\": \"{written}\", ")), "{text}");
}

#[test]
fn ids_are_written_in_the_form_the_message_was_made_with() {
    let forms = [
        (MsgIds::one("a"), r#""a""#),
        (MsgIds::one(""), r#""""#),
        (MsgIds::Many(vec![]), "[]"),
        (MsgIds::Many(vec!["a".into()]), r#"["a"]"#),
        (MsgIds::Many(vec!["a".into(), "b\"".into()]), r#"["a", "b\""]"#),
    ];
    for (msg_ids, text) in forms {
        let none = msg_ids == MsgIds::Many(vec![]);
        let message = Message { cmd: "x".into(), msg_ids, ..Message::default() };
        let json = String::from_utf8(json_of(&message)).expect("JSON is UTF-8");
        assert!(json.contains(&format!("\"msg_ids\": {text}, \"limit\"")), "{json}");
        let text = if none { "" } else { text };
        let mut binary = b"\x01x\x00\x00\x00\x00\x00\x00".to_vec();
        binary.push(text.len() as u8);
        binary.extend_from_slice(text.as_bytes());
        binary.extend_from_slice(b"\x00\x00");
        assert_eq!(binary_of(&message), binary);
    }
}

#[test]
fn binary_writes_the_middle_tail_always_and_the_last_where_time_or_seq_is_not_zero() {
    let base = Message { cmd: "x".into(), error: true, limit: 0x0102, ..Message::default() };
    let head = b"\x01x\x00\x00\x00\x00\x01\x00\x00\x01\x02".to_vec();
    assert_eq!(binary_of(&base), head);
    let tail = [0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8];
    let message = Message { time: 1, seq: 0x0102_0304_0506_0708, ..base.clone() };
    assert_eq!(binary_of(&message), [head.as_slice(), &tail].concat());
    for (time, seq) in [(1, 0), (0, 1)] {
        let message = Message { time, seq, ..base.clone() };
        assert_eq!(binary_of(&message).len(), head.len() + 16);
    }
}

#[test]
fn what_was_encoded_decodes_to_the_same_in_both_codecs_and_across() {
    for message in samples() {
        let (json_bytes, binary_bytes) = (json_of(&message), binary_of(&message));
        let from_json = json::decode(&json_bytes).expect("JSON reads what it wrote");
        let from_binary = binary::decode(&binary_bytes).expect("binary reads what it wrote");
        assert_eq!(from_json, message);
        assert_eq!(from_binary, message);
        assert_eq!(binary_of(&from_json), binary_bytes);
        assert_eq!(json_of(&from_binary), json_bytes);
    }
}

#[test]
fn encoding_appends_and_framing_puts_the_length_or_the_lf_around() {
    let message = reference_message();
    let mut out = b"before".to_vec();
    json::encode(&message, &mut out);
    binary::encode(&message, &mut out);
    assert_eq!(out, [b"before", JSON, BINARY].concat());

    let mut out = b"before".to_vec();
    framing::put(&mut out, Form::Lines, Codec::Json, &message);
    framing::put(&mut out, Form::Lines, Codec::Binary, &message);
    framing::put(&mut out, Form::Frames, Codec::Json, &message);
    framing::put(&mut out, Form::Frames, Codec::Binary, &message);
    let expected =
        [b"before", JSON, b"\n", JSON, b"\n", b"\0\0\0\xa2", JSON, b"\0\0\0\x56", BINARY];
    assert_eq!(out, expected.concat());
}

#[test]
fn strings_without_escapes_are_borrowed_from_the_bytes() {
    use std::borrow::Cow::Borrowed;
    for message in [json::decode(JSON), binary::decode(BINARY)] {
        let message = message.expect("the reference message is valid");
        assert!(matches!(message.cmd, Borrowed("login")));
        assert!(matches!(message.src, Borrowed("alice")));
        assert!(matches!(message.to, Borrowed("server")));
        assert!(matches!(message.body, Borrowed("This is a test message")));
        assert!(matches!(message.msg_ids, MsgIds::One(Borrowed(ID))));
    }
}

#[test]
fn the_largest_message_that_fits_is_below_a_mebibyte() {
    let message = Message {
        cmd: "\u{1}".repeat(32).into(),
        src: "\u{1}".repeat(255).into(),
        to: "\u{1}".repeat(255).into(),
        body: "\u{1}".repeat(65_535).into(),
        error: false,
        msg_ids: MsgIds::One("\u{1}".repeat(10_922).into()),
        limit: u16::MAX,
        time: u64::MAX,
        seq: u64::MAX,
    };
    assert_eq!(message.check(), Ok(()));
    assert!(json_of(&message).len() < 1 << 20);
    assert_eq!(json::decode(&json_of(&message)).as_ref(), Ok(&message));
    assert_eq!(binary::decode(&binary_of(&message)).as_ref(), Ok(&message));
}

#[test]
#[should_panic(expected = "body has 65536 bytes")]
fn encoding_what_does_not_fit_is_a_programmers_error() {
    let body = "x".repeat(65_536);
    binary_of(&Message { cmd: "x".into(), body: body.into(), ..Message::default() });
}
