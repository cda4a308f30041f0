//! What the JSON reader refuses: the code, and that the detail says what and where.

use chatctl::protocol::{DecodeError, json};

fn refusal(bytes: &[u8]) -> DecodeError {
    match json::decode(bytes) {
        Err(error) => error,
        Ok(message) => panic!("{} is taken as {message:?}", String::from_utf8_lossy(bytes)),
    }
}

/// Each text is refused as a bad frame, with this in the detail.
fn assert_bad(cases: &[(&str, &str)]) {
    for (text, part) in cases {
        let error = refusal(text.as_bytes());
        assert_eq!(error.code, "bad-frame", "{text}: {error}");
        assert!(error.detail.contains(part), "{text}: {error}, without {part}");
    }
}

/// Each value of an unknown key is refused: it is passed over, but must be JSON.
fn assert_bad_value(values: &[(&str, &str)]) {
    for (value, part) in values {
        assert_bad(&[
            (&format!(r#"{{"cmd":"x","u":{value}}}"#), part),
            (&format!(r#"{{"u":[{value}],"cmd":"x"}}"#), part),
            (&format!(r#"{{"u":{{"k":{value}}},"cmd":"x"}}"#), part),
        ]);
    }
}

#[test]
fn a_known_key_twice_is_refused_however_it_is_spelt() {
    let values = [
        ("cmd", r#""x""#),
        ("src", r#""""#),
        ("to", r#""""#),
        ("body", r#""""#),
        ("error", "false"),
        ("msg_ids", "[]"),
        ("limit", "0"),
        ("time", "0"),
        ("seq", "0"),
    ];
    for (key, value) in values {
        let escaped = format!("\\u{:04x}{}", key.as_bytes()[0], &key[1..]);
        for (first, second) in [(key, key), (&escaped, key), (key, &escaped)] {
            let text = format!(r#"{{"{first}":{value},"{second}":{value}}}"#);
            let second_at = text.rfind(&format!("\"{second}\"")).expect("it was just put there");
            assert_bad(&[(&text, &format!("duplicate key {key}"))]);
            assert_bad(&[(&text, &format!("at byte {second_at}"))]);
        }
    }
    assert_bad(&[(r#"{"cmd":"x","c\u006dd":"x"}"#, "duplicate key cmd")]);
}

#[test]
fn a_wrong_type_is_refused_for_every_key() {
    let kinds = [
        (r#""text""#, "a string"),
        ("1", "a number"),
        ("true", "a boolean"),
        ("null", "null"),
        ("{}", "an object"),
        ("[]", "an array"),
    ];
    let right = |key, value| match key {
        "error" => value == "true",
        "limit" | "time" | "seq" => value == "1",
        "msg_ids" => value == "[]" || value == r#""text""#,
        _ => value == r#""text""#,
    };
    for key in ["cmd", "src", "to", "body", "error", "msg_ids", "limit", "time", "seq"] {
        for (value, kind) in kinds {
            if !right(key, value) {
                let text = format!(r#"{{"{key}":{value}}}"#);
                let at = format!("at byte {}", key.len() + 4);
                assert_bad(&[(&text, kind), (&text, key), (&text, &at)]);
            }
        }
    }
    for (value, kind) in kinds {
        if value != r#""text""# {
            let text = format!(r#"{{"cmd":"x","msg_ids":["a",{value}]}}"#);
            assert_bad(&[(&text, kind), (&text, "an id of msg_ids must be a string")]);
        }
    }
}

#[test]
fn a_number_that_is_no_integer_in_range_is_refused() {
    let limits =
        ["65536", "-1", "-0", "1.0", "0.5", "1e1", "10E0", "00", "01", "99999999999999999999999"];
    for value in limits {
        let text = format!(r#"{{"cmd":"x","limit":{value}}}"#);
        assert_bad(&[(&text, "limit is not an integer from 0 to 65535, at byte 19")]);
    }
    for key in ["time", "seq"] {
        for value in ["18446744073709551616", "184467440737095516150", "-1", "1.5", "1e3", "007"] {
            let text = format!(r#"{{"cmd":"x","{key}":{value}}}"#);
            let part = format!("{key} is not an integer from 0 to 18446744073709551615");
            assert_bad(&[(&text, &part)]);
        }
    }
    assert_bad(&[
        (r#"{"cmd":"x","limit":+1}"#, "limit must be an integer"),
        (r#"{"cmd":"x","limit":.5}"#, "limit must be an integer"),
        (r#"{"cmd":"x","limit":1x}"#, "found x instead of a comma or }, at byte 20"),
        (r#"{"cmd":"x","limit":0x10}"#, "found x instead of a comma or }"),
        (r#"{"cmd":"x","limit":"#, "the end of the text"),
    ]);
}

#[test]
fn malformed_numbers_are_refused_inside_what_is_passed_over() {
    let numbers =
        ["01", "-", "-01", "1.", "1.e1", ".5", "1e", "1e+", "+1", "0x1", "1.2.3", "NaN", "--1"];
    assert_bad_value(&numbers.map(|number| (number, "instead of")));
}

#[test]
fn lone_surrogates_are_refused_anywhere() {
    let texts = [
        r"\ud800",
        r"\udbff",
        r"\udc00",
        r"\udfff",
        r"\ud83dx",
        r"\ud83d\n",
        r"\ud83d\u0041",
        r"\ud83d\ud83d",
        r"\ude00\ud83d",
        r"\ud83d\ud83d\ude00",
    ];
    for text in texts {
        let quoted = format!(r#""{text}""#);
        assert_bad_value(&[(&quoted, "a lone surrogate")]);
        assert_bad(&[
            (&format!(r#"{{"cmd":"x","body":{quoted}}}"#), "a lone surrogate, at byte 19"),
            (&format!(r#"{{"cmd":"x","msg_ids":{quoted}}}"#), "a lone surrogate"),
            (&format!(r#"{{"cmd":"x",{quoted}:1}}"#), "a lone surrogate"),
            (&format!(r#"{{"cmd":"x","u":{{{quoted}:1}}}}"#), "a lone surrogate"),
        ]);
    }
}

#[test]
fn broken_escapes_and_raw_controls_are_refused_anywhere() {
    let hex = "four hexadecimal digits";
    let texts = [
        (r"\x", "an unknown escape"),
        (r"\'", "an unknown escape"),
        (r"\U0041", "an unknown escape"),
        (r"\u", hex),
        (r"\u004", hex),
        (r"\u00g1", hex),
        (r"\u+041", hex),
        (r"\u00é", hex),
        (r"\ud83d\u", hex),
        (r"\ud83d\ude0", hex),
        ("\n", "the unescaped control character 0x0a"),
        ("a\tb", "the unescaped control character 0x09"),
        ("abcdefghijklmnopqrstuvwxyz\u{0}", "the unescaped control character 0x00"),
        ("\u{1f}", "the unescaped control character 0x1f"),
    ];
    for (text, part) in texts {
        let quoted = format!(r#""{text}""#);
        assert_bad_value(&[(&quoted, part)]);
        assert_bad(&[
            (&format!(r#"{{"cmd":"x","body":{quoted}}}"#), part),
            (&format!(r#"{{"cmd":"x",{quoted}:1}}"#), part),
        ]);
    }
}

#[test]
fn invalid_utf8_is_refused_wherever_it_stands() {
    let sequences: [&[u8]; 9] = [
        b"\x80",
        b"\xff",
        b"\xc0\xaf",
        b"\xc3",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xef\xbf",
    ];
    let places: [(&[u8], &[u8]); 5] = [
        (br#"{"cmd":"x","body":""#, br#""}"#),
        (br#"{"cmd":"x","msg_ids":[""#, br#""]}"#),
        (br#"{"cmd":"x",""#, br#"":1}"#),
        (br#"{"cmd":"x","u":{"deep":[""#, br#""]}}"#),
        (br#"{"cmd":"x"} "#, b""),
    ];
    for sequence in sequences {
        for (before, after) in places {
            let error = refusal(&[before, sequence, after].concat());
            assert_eq!(error.code, "bad-frame");
            let part = format!("not UTF-8 from byte {} on", before.len());
            assert!(error.detail.contains(&part), "{error}");
        }
    }
}

#[test]
fn the_seventeenth_level_of_nesting_is_refused() {
    let part = "the nesting is deeper than 16, at byte ";
    let arrays = format!("{}{}", "[".repeat(16), "]".repeat(16));
    let objects = format!("{}{}{}", r#"{"a":"#.repeat(15), "{}", "}".repeat(15));
    for value in [arrays, objects] {
        assert_bad(&[(&format!(r#"{{"cmd":"x","u":{value}}}"#), part)]);
    }
    // However deep, it costs no stack.
    assert_bad(&[(&format!(r#"{{"u":{}"#, "[".repeat(1_000_000)), part)]);
    assert_bad(&[(&format!(r#"{{"u":{}"#, r#"{"a":"#.repeat(200_000)), part)]);
}

#[test]
fn anything_after_the_object_is_refused() {
    for rest in ["x", "}", "{}", r#"{"cmd":"y"}"#, ",", "\u{0}", "\u{feff}", "\n\n1"] {
        let text = format!(r#"{{"cmd":"x"}}{rest}"#);
        assert_bad(&[(&text, "unexpected text after the value")]);
    }
}

#[test]
fn what_is_no_object_or_is_cut_short_anywhere_is_refused() {
    for text in ["", " ", "[]", "null", "1", r#""cmd""#, "\u{feff}{}", "x"] {
        assert_bad(&[(text, "an object, at byte ")]);
    }
    let whole = r#"{"cmd":"x","u":[1,{"a":null}],"msg_ids":["a","b"],"limit":12}"#;
    assert!(json::decode(whole.as_bytes()).is_ok());
    for length in 0..whole.len() {
        assert_bad(&[(&whole[..length], "at byte ")]);
    }
}

#[test]
fn misplaced_punctuation_is_refused() {
    assert_bad(&[
        (r#"{"cmd":"x",}"#, "found } instead of a key, at byte 11"),
        (r#"{,"cmd":"x"}"#, "found , instead of a key"),
        (r#"{"cmd":"x",,"limit":1}"#, "found , instead of a key"),
        (r#"{"cmd" "x"}"#, "instead of a colon"),
        (r#"{"cmd"="x"}"#, "found = instead of a colon"),
        (r#"{"cmd":"x" "limit":1}"#, "instead of a comma or }"),
        (r#"{cmd:"x"}"#, "found c instead of a key"),
        (r#"{'cmd':'x'}"#, "found ' instead of a key"),
        (r#"{"cmd":"x"]"#, "found ] instead of a comma or }"),
        (r#"{"cmd":"x","msg_ids":["a",]}"#, "an id of msg_ids"),
        (r#"{"cmd":"x","msg_ids":["a" "b"]}"#, "instead of a comma or ]"),
        (r#"{"cmd":"x","msg_ids":["a"}"#, "instead of a comma or ]"),
        (r#"{"cmd":"x","u":}"#, "found } instead of a value"),
        (r#"{"cmd":"x","error":falsey}"#, "found y instead of"),
        (r#"{"cmd":"x","error":True}"#, "error must be true or false"),
    ]);
    assert_bad_value(&[
        ("nul", "instead of a value"),
        ("truth", "instead of"),
        ("[1,]", "instead of a value"),
        ("[,1]", "instead of a value"),
        ("[1 2]", "instead of a comma or ]"),
        ("[1}", "instead of a comma or ]"),
        ("[:]", "instead of a value"),
        (r#"{"a":1,}"#, "instead of a key"),
        (r#"{"a"}"#, "instead of a colon"),
        (r#"{"a":}"#, "instead of a value"),
        (r#"{a:1}"#, "instead of a key"),
        (r#"{1:1}"#, "instead of a key"),
        (r#"{"a":1]"#, "instead of a comma or }"),
    ]);
}

#[test]
fn a_missing_or_empty_cmd_is_refused() {
    for text in ["{}", r#"{"src":"a"}"#, r#"{"cmd":""}"#, r#"{"u":{"cmd":"x"}}"#] {
        assert_bad(&[(text, "cmd is missing or empty")]);
    }
}

#[test]
fn a_field_is_taken_up_to_its_bound_and_too_long_past_it() {
    let ids = |count: usize, id: &str| vec![format!("\"{id}\""); count].join(",");
    let cases = [
        ("cmd", format!(r#"{{"cmd":"{}"}}"#, "c".repeat(33))),
        ("cmd", format!(r#"{{"cmd":"{}"}}"#, r"\u0063".repeat(33))),
        ("src", format!(r#"{{"src":"{}"}}"#, "s".repeat(256))),
        ("src", format!(r#"{{"src":"{}"}}"#, "é".repeat(128))),
        ("to", format!(r#"{{"to":"{}"}}"#, "t".repeat(256))),
        ("body", format!(r#"{{"body":"{}"}}"#, "b".repeat(65_536))),
        ("body", format!(r#"{{"body":"{}"}}"#, r"\n".repeat(65_536))),
        ("msg_ids", format!(r#"{{"msg_ids":[{}]}}"#, ids(1_001, ""))),
        ("msg_ids", format!(r#"{{"msg_ids":[{}]}}"#, ids(1_000, &"i".repeat(63)))),
        ("msg_ids", format!(r#"{{"msg_ids":"{}"}}"#, "i".repeat(65_534))),
        ("msg_ids", format!(r#"{{"msg_ids":"{}"}}"#, r"\u0001".repeat(10_923))),
    ];
    for (field, text) in cases {
        let error = refusal(text.as_bytes());
        assert_eq!(error.code, "too-long", "{error}");
        assert!(error.detail.starts_with(field), "{error}");
    }
    for fields in [
        format!(r#""cmd":"{}""#, "c".repeat(32)),
        format!(r#""cmd":"x","src":"{}""#, "s".repeat(255)),
        format!(r#""cmd":"x","to":"{}""#, "t".repeat(255)),
        format!(r#""cmd":"x","body":"{}""#, r"\n".repeat(65_535)),
        format!(r#""cmd":"x","msg_ids":[{}]"#, ids(1_000, &"i".repeat(61))),
        format!(r#""cmd":"x","msg_ids":"{}""#, "i".repeat(65_533)),
        format!(r#""cmd":"x","msg_ids":"{}""#, r"\u0001".repeat(10_922)),
    ] {
        let text = format!("{{{fields}}}");
        assert!(json::decode(text.as_bytes()).is_ok(), "{:?}", refusal(text.as_bytes()));
    }
}

#[test]
fn details_never_repeat_what_was_sent() {
    let text = "{\"cmd\":\"x\",\"\u{1b}[31msecret\" \u{1b}[31m";
    let error = refusal(text.as_bytes());
    assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    assert!(!error.to_string().contains("secret"), "{error:?}");
}
