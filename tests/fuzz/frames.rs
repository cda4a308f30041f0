//! The frame reader, fed in pieces, against a model that sees the whole stream.

use chatctl::limits::{FRAME_BYTES, PAYLOAD_BYTES};
use chatctl::protocol::framing::{self, Codec, Form, Split};

use super::{fuzz, generate, mutate};
use crate::support::Rng;

/// What became of a stream: its payloads, and whether it ended in `TooLong`.
type Outcome = (Vec<(Codec, Vec<u8>)>, bool);

#[test]
fn however_a_stream_is_split_the_frame_reader_gives_what_the_model_gives() {
    fuzz("frames", |rng| {
        let form = if rng.chance(1, 2) { Form::Lines } else { Form::Frames };
        let bytes = stream(rng, form);
        let wanted = match form {
            Form::Lines => lines(&bytes),
            Form::Frames => frames(&bytes),
        };
        let outcome = read_in_pieces(rng, form, &bytes);
        assert!(outcome == wanted, "{form:?} {:?}", String::from_utf8_lossy(&bytes));
        for (codec, payload) in outcome.0 {
            assert!(payload.len() <= PAYLOAD_BYTES);
            // No panic, whatever it holds.
            let _ = framing::decode(codec, &payload);
        }
    });
}

fn stream(rng: &mut Rng, form: Form) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.below(5) {
        let codec = if rng.chance(1, 2) { Codec::Json } else { Codec::Binary };
        framing::put(&mut bytes, form, codec, &generate::message(rng));
        if form == Form::Lines && rng.chance(1, 3) {
            let end = [&b"\r\n"[..], b"\n\n", b" \t\n", b"\r"][rng.below(4) as usize];
            bytes.extend_from_slice(end);
        }
    }
    if rng.chance(2, 3) {
        let mut other = Vec::new();
        framing::put(&mut other, form, Codec::Binary, &generate::message(rng));
        mutate::mutate(rng, &mut bytes, &other);
    }
    bytes
}

/// Reads as a connection does, in pieces of random sizes.
fn read_in_pieces(rng: &mut Rng, form: Form, bytes: &[u8]) -> Outcome {
    let (mut payloads, mut buffer, mut scanned) = (Vec::new(), Vec::new(), 0);
    let mut rest = bytes;
    let most = 1 + rng.below(bytes.len() as u64 + 1);
    while !rest.is_empty() {
        let size = 1 + rng.below(most) as usize;
        let piece = rest.split_off(..size.min(rest.len())).unwrap_or_default();
        buffer.extend_from_slice(piece);
        let mut dropped = 0;
        loop {
            let unread = &buffer[dropped..];
            let consumed = match framing::split(form, unread, &mut scanned) {
                Split::TooLong => return (payloads, true),
                Split::NeedMore => {
                    assert!(unread.len() < FRAME_BYTES);
                    let all_lines = scanned == unread.len();
                    assert!(form == Form::Frames || all_lines, "every byte is searched once");
                    break;
                }
                Split::Blank { consumed } => consumed,
                Split::Payload { start, end, consumed, codec } => {
                    payloads.push((codec, unread[start..end].to_vec()));
                    consumed
                }
            };
            assert!((1..=unread.len()).contains(&consumed), "what is consumed is there");
            dropped += consumed;
        }
        buffer.drain(..dropped);
    }
    (payloads, false)
}

/// Streams here are shorter than the bound of a line.
fn lines(bytes: &[u8]) -> Outcome {
    let mut parts: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    parts.pop();
    let strip = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).to_vec();
    let blank = |line: &Vec<u8>| line.iter().all(|byte| b" \t\r".contains(byte));
    let payloads = parts.into_iter().map(strip).filter(|line| !blank(line));
    (payloads.map(|line| (Codec::Json, line)).collect(), false)
}

fn frames(bytes: &[u8]) -> Outcome {
    let mut payloads = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        if *first != 0 {
            return (payloads, true);
        }
        let Some((length, after)) = rest.split_first_chunk::<4>() else { break };
        let length = u32::from_be_bytes(*length) as usize;
        if length > PAYLOAD_BYTES {
            return (payloads, true);
        }
        let Some((payload, after)) = after.split_at_checked(length) else { break };
        let codec = if payload.first() == Some(&b'{') { Codec::Json } else { Codec::Binary };
        payloads.push((codec, payload.to_vec()));
        rest = after;
    }
    (payloads, false)
}
