//! Both decoders and both encoders.

use std::borrow::Cow;

use chatctl::protocol::{DecodeError, Message, MsgIds, binary, json};

use super::{fuzz, generate, model, mutate};
use crate::codec::{binary_of, json_of};
use crate::support::Rng;

#[test]
fn what_is_encoded_is_decoded_to_the_same() {
    fuzz("codecs::what_is_encoded", |rng| {
        let message = generate::message(rng);
        assert_eq!(message.check(), Ok(()));
        let (text, packed) = (json_of(&message), binary_of(&message));
        let from_json = json::decode(&text).expect("JSON reads what it wrote");
        assert_eq!(from_json, message);
        assert_eq!(binary::decode(&packed).as_ref(), Ok(&message));
        // Across: what JSON gave is written by the other, and read again.
        assert_eq!(binary_of(&from_json), packed);
        assert_eq!(from_json.into_owned(), message);
    });
}

#[test]
fn whatever_bytes_come_the_decoders_give_what_the_models_give() {
    fuzz("codecs::whatever_bytes", |rng| {
        let bytes = input(rng);
        assert_sound(&bytes, json::decode(&bytes), model::json(&bytes));
        assert_sound(&bytes, binary::decode(&bytes), model::binary(&bytes));
    });
}

/// Bytes that are a message, nearly one, or nothing like one.
fn input(rng: &mut Rng) -> Vec<u8> {
    let of_message = |rng: &mut Rng| {
        let message = generate::message(rng);
        if rng.chance(1, 2) { json_of(&message) } else { binary_of(&message) }
    };
    let mut bytes = match rng.below(8) {
        0 => {
            let length = rng.below(100) as usize;
            rng.bytes(length)
        }
        1 => {
            let tokens = generate::TOKENS;
            let pick = |_| tokens[rng.below(tokens.len() as u64) as usize];
            (0..20).map(pick).collect::<Vec<_>>().concat()
        }
        2..5 => generate::json_text(rng),
        5 => generate::binary_payload(rng),
        _ => of_message(rng),
    };
    if rng.chance(1, 2) {
        let other = of_message(rng);
        mutate::mutate(rng, &mut bytes, &other);
    }
    bytes
}

/// The result is the model's; a message is within the bounds in every way and can be written and
/// read again; a refusal has a code and a short detail.
fn assert_sound(
    bytes: &[u8],
    result: Result<Message, DecodeError>,
    wanted: Option<Message<'static>>,
) {
    let shown = || String::from_utf8_lossy(bytes);
    match result {
        Ok(message) => {
            assert_eq!(Some(&message), wanted.as_ref(), "{}", shown());
            assert_eq!(message.check(), Ok(()), "{}", shown());
            assert!(message.msg_ids.len() <= 1_000);
            assert!(held_bytes(&message) <= 4 * bytes.len() + 1_024, "{}", shown());
            assert_eq!(json::decode(&json_of(&message)).as_ref(), Ok(&message));
            assert_eq!(binary::decode(&binary_of(&message)).as_ref(), Ok(&message));
        }
        Err(error) => {
            assert!(wanted.is_none(), "{} is refused: {error}", shown());
            assert!(matches!(error.code, "bad-frame" | "too-long"));
            assert!((1..200).contains(&error.detail.len()), "{error}");
        }
    }
}

/// Text bytes that a message keeps in memory of its own.
fn held_bytes(message: &Message) -> usize {
    let held = |text: &Cow<str>| match text {
        Cow::Borrowed(_) => 0,
        Cow::Owned(text) => text.capacity(),
    };
    let ids = match &message.msg_ids {
        MsgIds::One(id) => held(id),
        MsgIds::Many(ids) => ids.iter().map(held).sum(),
    };
    held(&message.cmd) + held(&message.src) + held(&message.to) + held(&message.body) + ids
}
