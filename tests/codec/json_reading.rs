//! What the JSON reader takes beyond what the writer makes.

use std::borrow::Cow;

use chatctl::protocol::{Message, MsgIds, json};

fn read(text: &str) -> Message<'_> {
    match json::decode(text.as_bytes()) {
        Ok(message) => message,
        Err(error) => panic!("{text} is refused: {error}"),
    }
}

fn command() -> Message<'static> {
    Message { cmd: "x".into(), ..Message::default() }
}

#[test]
fn missing_keys_are_empty_false_and_zero() {
    assert_eq!(read(r#"{"cmd":"x"}"#), command());
}

#[test]
fn keys_come_in_any_order() {
    let text = r#"{"seq":9,"time":8,"limit":7,"msg_ids":["i"],"error":true,"body":"b","to":"t",
        "src":"s","cmd":"c"}"#;
    let expected = Message {
        cmd: "c".into(),
        src: "s".into(),
        to: "t".into(),
        body: "b".into(),
        error: true,
        msg_ids: MsgIds::Many(vec!["i".into()]),
        limit: 7,
        time: 8,
        seq: 9,
    };
    assert_eq!(read(text), expected);
}

#[test]
fn white_space_stands_wherever_json_has_it() {
    let text = " \t\r\n{ \n\"cmd\"\t:\r\"x\" , \"msg_ids\" : [ \"a\" , \"b\" ] , \"limit\" : 3 , \
        \"error\" : false , \"u\" : { \"a\" : [ 1 , { } , [ ] ] , \"b\" : null } } \r\n\t ";
    let msg_ids = MsgIds::Many(vec!["a".into(), "b".into()]);
    assert_eq!(read(text), Message { msg_ids, limit: 3, ..command() });
    assert_eq!(read("{\"cmd\":\"x\",\"msg_ids\":[ ]}"), command());
}

#[test]
fn every_escape_is_read() {
    let text = r#"{"cmd":"x","body":"\"\\\/\b\f\n\r\tA\u0041\u00e9\u6F22\u0000\uffff|"}"#;
    assert_eq!(read(text).body, "\"\\/\u{8}\u{c}\n\r\tAAé漢\u{0}\u{ffff}|");
}

#[test]
fn surrogate_pairs_are_one_character_from_the_first_to_the_last() {
    let text = r#"{"cmd":"x","body":"\ud800\udc00 \uD83D\uDE00 \udbff\udfff"}"#;
    assert_eq!(read(text).body, "\u{10000} 😀 \u{10ffff}");
    // The neighbours of the surrogates are characters of their own.
    let text = r#"{"cmd":"x","body":"\ud7ff\ue000"}"#;
    assert_eq!(read(text).body, "\u{d7ff}\u{e000}");
}

#[test]
fn escapes_are_read_in_keys_names_and_ids_too() {
    let text = r#"{"c\u006dd":"x","\u0073rc":"al\u0069ce","msg_ids":["\u0061","b"]}"#;
    let msg_ids = MsgIds::Many(vec!["a".into(), "b".into()]);
    assert_eq!(read(text), Message { src: "alice".into(), msg_ids, ..command() });
    assert_eq!(read(r#"{"cmd":"x","msg_ids":"\u0061"}"#).msg_ids, MsgIds::one("a"));
}

#[test]
fn text_without_escapes_is_borrowed_and_text_with_them_is_not() {
    let message = read(r#"{"cmd":"x","src":"plain é漢😀","body":"with\n"}"#);
    assert!(matches!(message.src, Cow::Borrowed(_)));
    assert!(matches!(message.body, Cow::Owned(_)));
}

#[test]
fn escapes_at_every_distance_from_each_other_are_found() {
    for before in 0..70 {
        for between in 0..12 {
            let (a, b) = ("a".repeat(before), "é".repeat(between));
            let text = format!(r#"{{"cmd":"x","body":"{a}\n{b}\"z"}}"#);
            assert_eq!(read(&text).body, format!("{a}\n{b}\"z"));
        }
    }
}

#[test]
fn unknown_keys_of_every_type_are_passed_over() {
    let values = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-12.50e+10",
        "1E5",
        "1e-5",
        "0.0",
        "123456789012345678901234567890",
        r#""text \" \u0041 \ud83d\ude00 漢""#,
        "[]",
        "{}",
        r#"[1,"a",[true,[null]],{"cmd":"inner","cmd":"again"}]"#,
        r#"{"cmd":{"src":[{}]},"\n":[]}"#,
    ];
    for value in values {
        let first = format!(r#"{{"unknown":{value},"cmd":"x","limit":1}}"#);
        assert_eq!(read(&first), Message { limit: 1, ..command() });
        let last = format!(r#"{{"cmd":"x","limit":1,"":{value}}}"#);
        assert_eq!(read(&last), Message { limit: 1, ..command() });
    }
}

#[test]
fn repeated_unknown_keys_are_passed_over_like_single_ones() {
    assert_eq!(read(r#"{"u":1,"u":2,"cmd":"x","u":[]}"#), command());
}

#[test]
fn keys_that_only_resemble_known_ones_are_unknown() {
    let text = r#"{"cmd":"x","Src":1,"src ":1,"sr":1,"srcs":1,"msg_id":1,"":1,"src\u0000":1}"#;
    assert_eq!(read(text), command());
}

#[test]
fn integers_are_read_to_the_ends_of_their_ranges() {
    let text =
        r#"{"cmd":"x","limit":65535,"time":18446744073709551615,"seq":18446744073709551615}"#;
    let most = Message { limit: u16::MAX, time: u64::MAX, seq: u64::MAX, ..command() };
    assert_eq!(read(text), most);
    assert_eq!(read(r#"{"cmd":"x","limit":0,"time":0,"seq":0}"#), command());
}

#[test]
fn a_single_id_may_be_empty_and_strings_and_arrays_stay_apart() {
    assert_eq!(read(r#"{"cmd":"x","msg_ids":""}"#).msg_ids, MsgIds::one(""));
    assert_eq!(read(r#"{"cmd":"x","msg_ids":"a"}"#).msg_ids, MsgIds::one("a"));
    let one_of_many = MsgIds::Many(vec!["a".into()]);
    assert_eq!(read(r#"{"cmd":"x","msg_ids":["a"]}"#).msg_ids, one_of_many);
}

#[test]
fn nesting_is_taken_to_sixteen_levels_the_message_included() {
    let arrays = format!("{}{}", "[".repeat(15), "]".repeat(15));
    assert_eq!(read(&format!(r#"{{"cmd":"x","u":{arrays}}}"#)), command());
    let objects = format!("{}{}{}", r#"{"a":"#.repeat(14), "{}", "}".repeat(14));
    assert_eq!(read(&format!(r#"{{"u":{objects},"cmd":"x"}}"#)), command());
}

#[test]
fn fields_are_taken_up_to_their_bounds_in_bytes_once_unescaped() {
    let text = format!(
        r#"{{"cmd":"{}","src":"{}","to":"{}","body":"{}"}}"#,
        r"\u0063".repeat(32),
        "é".repeat(127) + "s",
        "t".repeat(255),
        r"\u6f22".repeat(21_845),
    );
    let message = read(&text);
    assert_eq!((message.cmd.len(), message.src.len(), message.to.len()), (32, 255, 255));
    assert_eq!(message.body.len(), 65_535);
}

#[test]
fn a_thousand_ids_are_taken() {
    let ids = vec![r#""8d4a8912-5776-4438-ac14-8b791cfc63f2""#; 1_000].join(",");
    assert_eq!(read(&format!(r#"{{"cmd":"x","msg_ids":[{ids}]}}"#)).msg_ids.len(), 1_000);
}
