//! The codecs and the framing from outside.

mod bench;
mod binary;
mod framing;
mod golden;
mod json_errors;
mod json_reading;

use std::borrow::Cow;

use chatctl::protocol::{Message, MsgIds};

pub const ID: &str = "8d4a8912-5776-4438-ac14-8b791cfc63f2";

pub fn json_of(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    chatctl::protocol::json::encode(message, &mut out);
    out
}

pub fn binary_of(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    chatctl::protocol::binary::encode(message, &mut out);
    out
}

/// The reference message.
pub fn reference_message() -> Message<'static> {
    Message {
        cmd: "login".into(),
        src: "alice".into(),
        to: "server".into(),
        body: "This is a test message".into(),
        error: false,
        msg_ids: MsgIds::one(ID),
        limit: 10,
        time: 0,
        seq: 0,
    }
}

/// Messages that differ in every way that matters to a codec.
pub fn samples() -> Vec<Message<'static>> {
    let base = Message { cmd: "send".into(), ..Message::default() };
    let long = |text: &str, bytes: usize| Cow::Owned(text.repeat(bytes / text.len()));
    vec![
        reference_message(),
        base.clone(),
        Message { error: true, body: "busy: try again".into(), ..base.clone() },
        Message { msg_ids: MsgIds::one(""), ..base.clone() },
        Message { msg_ids: MsgIds::one("\"\\\u{1}é"), ..base.clone() },
        Message { msg_ids: MsgIds::Many(vec!["".into()]), ..base.clone() },
        Message { msg_ids: MsgIds::Many(vec![ID.into(), "b\n".into(), "".into()]), ..base.clone() },
        Message { msg_ids: MsgIds::Many(vec![ID.into(); 1_000]), ..base.clone() },
        Message { time: 1, ..base.clone() },
        Message { seq: 1, ..base.clone() },
        Message { time: u64::MAX, seq: u64::MAX, limit: u16::MAX, ..base.clone() },
        Message {
            body: "\u{0}\u{1f}\u{7f}\u{80}\u{2028}\u{ffff}\u{10ffff} ü漢😀".into(),
            ..base.clone()
        },
        Message { body: (0..=0x24u8).map(char::from).collect::<String>().into(), ..base.clone() },
        Message {
            cmd: long("c", 32),
            src: long("é", 254),
            to: long("t", 255),
            body: long("\u{0}", 65_535),
            ..base.clone()
        },
        Message { body: long("漢", 65_535), ..base.clone() },
    ]
}
