//! The binary form of a message, big-endian.
//!
//! ```text
//! u8 len, cmd | u8 len, src | u8 len, to | u16 len, body | u8 error (0 or 1)
//! middle tail, optional as a whole:  u16 len, msg_ids as JSON text (empty = none) | u16 limit
//! last tail, optional as a whole:    u64 time | u64 seq      (0 = absent)
//! ```
//!
//! The payload's length says which tails are there: it ends after `error`, after `limit` or after
//! `seq`, and nowhere else. The last tail stands behind the middle one and never without it. The
//! middle tail is always written, the last one where `time` or `seq` is not 0.

use std::borrow::Cow;
use std::ops::Range;

use super::message::{DecodeError, Message, MsgIds};
use super::{json, scan};
use crate::limits;
use crate::sys::text::{self, Ascii};

type Result<T> = std::result::Result<T, DecodeError>;

/// Bytes that are not texts: the lengths, `error`, `limit`, `time`, `seq`.
const FIXED_BYTES: usize = 1 + 1 + 1 + 2 + 1 + 2 + 2 + LAST_TAIL_BYTES;
const LAST_TAIL_BYTES: usize = 8 + 8;
/// Texts up to this many bytes in all are written into room that is made for the whole message at
/// once: for longer ones, clearing that room takes more than it saves.
const SHORT_BYTES: usize = 255;
// What is that short in all has no field over its bound but perhaps `cmd`.
const _: () = assert!(SHORT_BYTES <= limits::NAME_FIELD_BYTES);
/// Room is cleared in pieces of this length: what has a fixed length needs no call.
const ROOM_BYTES: usize = 128;

/// Appends `message`.
///
/// # Panics
/// Where the message does not pass [`Message::check`]: whoever made it should have asked.
pub fn encode(message: &Message, out: &mut Vec<u8>) {
    let texts = message.cmd.len() + message.src.len() + message.to.len() + message.body.len();
    if let Some((id, in_array)) = only_id(&message.msg_ids)
        && texts + id.len() <= SHORT_BYTES
        && message.cmd.len() <= limits::CMD_BYTES
        && json::is_plain(id)
    {
        return encode_short(message, id, in_array, texts, out);
    }
    encode_any(message, texts, out);
}

fn encode_any(message: &Message, texts: usize, out: &mut Vec<u8>) {
    message.assert_fits();
    let ids_guess = match &message.msg_ids {
        MsgIds::One(id) => id.len() + 2,
        MsgIds::Many(ids) => ids.iter().map(|id| id.len() + 4).sum(),
    };
    out.reserve(FIXED_BYTES + texts + ids_guess);
    for text in [&message.cmd, &message.src, &message.to] {
        out.push(text.len() as u8);
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(&(message.body.len() as u16).to_be_bytes());
    out.extend_from_slice(message.body.as_bytes());
    out.extend_from_slice(&[u8::from(message.error), 0, 0]);
    let ids_at = out.len();
    if !matches!(&message.msg_ids, MsgIds::Many(ids) if ids.is_empty()) {
        json::put_ids(&message.msg_ids, out);
        let length = (out.len() - ids_at) as u16;
        out[ids_at - 2..ids_at].copy_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(&message.limit.to_be_bytes());
    if message.time != 0 || message.seq != 0 {
        out.extend_from_slice(&message.time.to_be_bytes());
        out.extend_from_slice(&message.seq.to_be_bytes());
    }
}

/// The id where there is one place for one, and whether it stands in an array.
#[inline]
fn only_id<'a>(ids: &'a MsgIds) -> Option<(&'a str, bool)> {
    match ids {
        MsgIds::One(id) => Some((id, false)),
        MsgIds::Many(ids) => match ids.as_slice() {
            [id] => Some((id, true)),
            _ => None,
        },
    }
}

/// Appends a message as most are: `texts` bytes of short texts, and one id, which is written as it
/// is.
fn encode_short(message: &Message, id: &str, in_array: bool, texts: usize, out: &mut Vec<u8>) {
    debug_assert!(!message.cmd.is_empty(), "a message has a cmd");
    let has_last_tail = message.time != 0 || message.seq != 0;
    let last_tail = if has_last_tail { LAST_TAIL_BYTES } else { 0 };
    let bracket = usize::from(in_array);
    let ids = bracket + 1 + id.len() + 1 + bracket;
    let start = out.len();
    let end = start + (FIXED_BYTES - LAST_TAIL_BYTES) + texts + ids + last_tail;
    while out.len() < end {
        out.extend_from_slice(&[0; ROOM_BYTES]);
    }
    out.truncate(end);
    let mut rest = &mut out[start..];
    for text in [&message.cmd, &message.src, &message.to] {
        rest[0] = text.len() as u8;
        rest = put(text.as_bytes(), &mut rest[1..]);
    }
    rest[..2].copy_from_slice(&(message.body.len() as u16).to_be_bytes());
    rest = put(message.body.as_bytes(), &mut rest[2..]);
    rest[0] = u8::from(message.error);
    rest[1..3].copy_from_slice(&(ids as u16).to_be_bytes());
    // Where there is no array, its brackets' places are overwritten by what comes there.
    rest[3] = b'[';
    rest = &mut rest[3 + bracket..];
    rest[0] = b'"';
    rest = put(id.as_bytes(), &mut rest[1..]);
    rest[..2].copy_from_slice(b"\"]");
    rest = &mut rest[1 + bracket..];
    rest[..2].copy_from_slice(&message.limit.to_be_bytes());
    if has_last_tail {
        rest[2..10].copy_from_slice(&message.time.to_be_bytes());
        rest[10..].copy_from_slice(&message.seq.to_be_bytes());
    }
}

/// Copies a text to the beginning of `room`, and gives what is behind it. Short texts go in two
/// pieces of fixed length that may overlap, which takes less than a call that copies any length.
#[inline]
fn put<'r>(text: &[u8], room: &'r mut [u8]) -> &'r mut [u8] {
    let (to, behind) = room.split_at_mut(text.len());
    match text.len() {
        4..=8 => put_twice::<4>(text, to),
        16..=32 => put_twice::<16>(text, to),
        33..=64 => put_twice::<32>(text, to),
        _ => to.copy_from_slice(text),
    }
    behind
}

/// Copies what is `N` to twice `N` bytes long, its first `N` and its last.
#[inline]
fn put_twice<const N: usize>(text: &[u8], to: &mut [u8]) {
    if let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) {
        to[..N].copy_from_slice(first);
        let at = to.len() - N;
        to[at..].copy_from_slice(last);
    }
}

/// Reads one message, borrowing its texts.
///
/// # Errors
/// `bad-frame` for a payload that ends too early or too late, an error byte above 1, text that is
/// not UTF-8, ids that are not a JSON string or an array of strings; `too-long` for a field over
/// its bound. The detail says what and at which byte.
pub fn decode(payload: &[u8]) -> Result<Message<'_>> {
    match decode_plain(payload) {
        Some(message) => Ok(message),
        None => decode_any(payload),
    }
}

/// Reads a message as nearly all are: it is ASCII, and has no id or one that is written as it is.
#[inline]
fn decode_plain(payload: &[u8]) -> Option<Message<'_>> {
    let places = Places::in_payload(payload)?;
    let &Places { cmd, body, ids, end, error, .. } = &places;
    let texts = Ascii::new(payload.get(..ids)?)?;
    let is_sound = end == payload.len() && error <= 1 && cmd > 1 && cmd - 1 <= limits::CMD_BYTES;
    if !is_sound {
        return None;
    }
    let start = ids.min(body + 3);
    match &payload[start..ids] {
        [b'"', id @ .., b'"'] if scan::is_plain(id) => {
            let id = texts.text(start + 1..ids - 1);
            Some(places.message(texts, MsgIds::One(Cow::Borrowed(id))))
        }
        [b'[', b'"', id @ .., b'"', b']'] if scan::is_plain(id) => {
            let id = texts.text(start + 2..ids - 2);
            Some(places.message(texts, MsgIds::Many(vec![Cow::Borrowed(id)])))
        }
        [] => Some(places.message(texts, MsgIds::default())),
        _ => None,
    }
}

#[inline(never)]
fn decode_any(payload: &[u8]) -> Result<Message<'_>> {
    let Some(places) = Places::in_payload(payload) else { return Err(too_short(payload)) };
    let Places { cmd, src, to, body, ids, end, error, limit, time, seq } = places;
    if end != payload.len() {
        return Err(left_over(end, payload.len()));
    }
    if error > 1 {
        return Err(bad_error(error, body));
    }
    if cmd - 1 > limits::CMD_BYTES {
        return Err(DecodeError::field_too_long("cmd", cmd - 1, limits::CMD_BYTES));
    }
    if cmd == 1 {
        return Err(DecodeError::empty_cmd());
    }
    let texts = Texts::new(&payload[..ids]);
    let ids_start = ids.min(body + 3);
    let ids_text = texts.get(ids_start..ids, "msg_ids")?;
    let msg_ids = match json::plain_ids(ids_text) {
        Some(ids) => ids,
        None if ids_text.is_empty() => MsgIds::default(),
        None => json::ids_from_text(ids_text).map_err(|error| in_ids(error, ids_start))?,
    };
    Ok(Message {
        cmd: Cow::Borrowed(texts.get(1..cmd, "cmd")?),
        src: Cow::Borrowed(texts.get(cmd + 1..src, "src")?),
        to: Cow::Borrowed(texts.get(src + 1..to, "to")?),
        body: Cow::Borrowed(texts.get(to + 2..body, "body")?),
        error: error == 1,
        msg_ids,
        limit,
        time,
        seq,
    })
}

/// Where the texts end, and what is no text. Each text begins behind its length, which stands where
/// the field before it ends.
struct Places {
    cmd: usize,
    src: usize,
    to: usize,
    body: usize,
    ids: usize,
    end: usize,
    error: u8,
    limit: u16,
    time: u64,
    seq: u64,
}

impl Places {
    #[inline(always)]
    fn message<'a>(&self, texts: Ascii<'a>, msg_ids: MsgIds<'a>) -> Message<'a> {
        let &Places { cmd, src, to, body, error, limit, time, seq, .. } = self;
        Message {
            cmd: Cow::Borrowed(texts.text(1..cmd)),
            src: Cow::Borrowed(texts.text(cmd + 1..src)),
            to: Cow::Borrowed(texts.text(src + 1..to)),
            body: Cow::Borrowed(texts.text(to + 2..body)),
            error: error == 1,
            msg_ids,
            limit,
            time,
            seq,
        }
    }

    /// `None` where the payload ends too early. A text is known to be whole by what is read behind
    /// it.
    #[inline]
    fn in_payload(payload: &[u8]) -> Option<Places> {
        let short = |at: usize| Some(at + 1 + usize::from(*payload.get(at)?));
        let long = |at: usize| {
            let length = payload.get(at..)?.first_chunk()?;
            Some(at + 2 + usize::from(u16::from_be_bytes(*length)))
        };
        let cmd = short(0)?;
        let src = short(cmd)?;
        let to = short(src)?;
        let body = long(to)?;
        let error = *payload.get(body)?;
        let (mut ids, mut end, mut limit, mut time, mut seq) = (body + 1, body + 1, 0, 0, 0);
        if end < payload.len() {
            ids = long(end)?;
            let (bytes, rest) = payload.get(ids..)?.split_first_chunk()?;
            limit = u16::from_be_bytes(*bytes);
            end = ids + 2;
            if !rest.is_empty() {
                let (bytes, rest) = rest.split_first_chunk()?;
                time = u64::from_be_bytes(*bytes);
                seq = u64::from_be_bytes(*rest.first_chunk()?);
                end += LAST_TAIL_BYTES;
            }
        }
        Some(Places { cmd, src, to, body, ids, end, error, limit, time, seq })
    }
}

/// The fields in their order: the bytes of each or, where it is a text, those of its length.
const FIELDS: [(&str, usize, bool); 9] = [
    ("cmd", 1, true),
    ("src", 1, true),
    ("to", 1, true),
    ("body", 2, true),
    ("error", 1, false),
    ("msg_ids", 2, true),
    ("limit", 2, false),
    ("time", 8, false),
    ("seq", 8, false),
];

/// Says inside which field a payload ends.
#[cold]
fn too_short(payload: &[u8]) -> DecodeError {
    let (mut at, mut inside, mut wanted) = (0, "", 0);
    for (field, bytes, is_text) in FIELDS {
        (inside, wanted) = (field, bytes);
        let Some(number) = payload[at..].get(..bytes) else { break };
        at += bytes;
        if is_text {
            wanted = number.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            if payload.len() - at < wanted {
                break;
            }
            at += wanted;
        }
    }
    let left = payload.len() - at;
    DecodeError::bad_frame(format!(
        "the payload ends inside {inside}: {left} of {wanted} bytes are there at byte {at}"
    ))
}

/// The payload up to the end of its last text, checked to be UTF-8 in one go where that can be:
/// most lengths are below 128 and so are characters themselves.
enum Texts<'a> {
    /// All of it is text.
    Text(&'a str),
    /// Some text is none, or the byte of a length.
    Bytes(&'a [u8]),
}

impl<'a> Texts<'a> {
    fn new(bytes: &'a [u8]) -> Texts<'a> {
        str::from_utf8(bytes).map_or(Texts::Bytes(bytes), Texts::Text)
    }

    /// The text at `range`.
    fn get(&self, range: Range<usize>, field: &str) -> Result<&'a str> {
        let (bytes, start) = match self {
            Texts::Text(text) => match text.get(range.clone()) {
                Some(text) => return Ok(text),
                // A length completes a character, which then is no part of any text.
                None => (text.as_bytes(), range.start),
            },
            Texts::Bytes(bytes) => (*bytes, range.start),
        };
        // One text by itself, also to tell which one is not UTF-8.
        text::utf8(&bytes[range]).map_err(|error| not_utf8(field, start, error))
    }
}

#[cold]
fn not_utf8(field: &str, start: usize, error: std::str::Utf8Error) -> DecodeError {
    let at = start + error.valid_up_to();
    DecodeError::bad_frame(format!("{field} is not UTF-8 from byte {at} on"))
}

#[cold]
fn bad_error(byte: u8, at: usize) -> DecodeError {
    DecodeError::bad_frame(format!("the error byte is {byte}, not 0 or 1, at byte {at}"))
}

#[cold]
fn left_over(at: usize, length: usize) -> DecodeError {
    DecodeError::bad_frame(format!("{} bytes are left over from byte {at} on", length - at))
}

#[cold]
fn in_ids(error: DecodeError, ids_at: usize) -> DecodeError {
    let detail = format!("in the msg_ids text that starts at byte {ids_at}: {}", error.detail);
    DecodeError { code: error.code, detail }
}
