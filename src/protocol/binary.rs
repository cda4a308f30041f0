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

use super::json;
use super::message::{DecodeError, Message, MsgIds};
use crate::limits;

type Result<T> = std::result::Result<T, DecodeError>;

/// Bytes that are not texts: the lengths, `error`, `limit`, `time`, `seq`.
const FIXED_BYTES: usize = 1 + 1 + 1 + 2 + 1 + 2 + 2 + 8 + 8;
/// Texts up to this many bytes in all are written into room that is made for the whole message at
/// once: for longer ones, clearing that room takes more than it saves.
const SHORT_BYTES: usize = 256;

/// Appends `message`.
///
/// # Panics
/// Where the message does not pass [`Message::check`]: whoever made it should have asked.
pub fn encode(message: &Message, out: &mut Vec<u8>) {
    message.assert_fits();
    let texts = message.cmd.len() + message.src.len() + message.to.len() + message.body.len();
    if let MsgIds::One(id) = &message.msg_ids
        && texts + id.len() <= SHORT_BYTES
        && json::is_plain(id)
    {
        return encode_short(message, id, texts, out);
    }
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

/// Appends a message as most are: `texts` bytes of short texts, and one id, which is written as it
/// is.
fn encode_short(message: &Message, id: &str, texts: usize, out: &mut Vec<u8>) {
    let has_last_tail = message.time != 0 || message.seq != 0;
    let last_tail = if has_last_tail { 8 + 8 } else { 0 };
    let quoted = id.len() + 2;
    let start = out.len();
    out.resize(start + FIXED_BYTES - 8 - 8 + texts + quoted + last_tail, 0);
    let mut rest = &mut out[start..];
    for text in [&message.cmd, &message.src, &message.to] {
        rest[0] = text.len() as u8;
        rest = put(text.as_bytes(), &mut rest[1..]);
    }
    rest[..2].copy_from_slice(&(message.body.len() as u16).to_be_bytes());
    rest = put(message.body.as_bytes(), &mut rest[2..]);
    rest[0] = u8::from(message.error);
    rest[1..3].copy_from_slice(&(quoted as u16).to_be_bytes());
    rest[3] = b'"';
    rest = put(id.as_bytes(), &mut rest[4..]);
    rest[0] = b'"';
    rest[1..3].copy_from_slice(&message.limit.to_be_bytes());
    if has_last_tail {
        rest[3..11].copy_from_slice(&message.time.to_be_bytes());
        rest[11..].copy_from_slice(&message.seq.to_be_bytes());
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
    let mut reader = Reader { payload, at: 0 };
    let cmd = reader.short_text("cmd")?;
    let src = reader.short_text("src")?;
    let to = reader.short_text("to")?;
    let body = reader.long_text("body")?;
    let error_at = reader.at;
    let [error] = reader.array("error")?;
    let (mut ids, mut limit, mut time, mut seq) = (0..0, 0, 0, 0);
    if reader.at < payload.len() {
        ids = reader.long_text("msg_ids")?;
        limit = u16::from_be_bytes(reader.array("limit")?);
    }
    if reader.at < payload.len() {
        time = u64::from_be_bytes(reader.array("time")?);
        seq = u64::from_be_bytes(reader.array("seq")?);
    }
    if reader.at < payload.len() {
        return Err(left_over(reader.at, payload.len()));
    }
    if error > 1 {
        return Err(bad_error(error, error_at));
    }
    if cmd.len() > limits::CMD_BYTES {
        return Err(DecodeError::field_too_long("cmd", cmd.len(), limits::CMD_BYTES));
    }
    if cmd.is_empty() {
        return Err(DecodeError::empty_cmd());
    }
    let texts = Texts::new(payload, body.end, ids.end);
    let ids_text = texts.get(ids.clone(), "msg_ids")?;
    let msg_ids = match json::plain_id(ids_text) {
        Some(id) => MsgIds::One(Cow::Borrowed(id)),
        None if ids_text.is_empty() => MsgIds::default(),
        None => json::ids_from_text(ids_text).map_err(|error| in_ids(error, ids.start))?,
    };
    Ok(Message {
        cmd: Cow::Borrowed(texts.get(cmd, "cmd")?),
        src: Cow::Borrowed(texts.get(src, "src")?),
        to: Cow::Borrowed(texts.get(to, "to")?),
        body: Cow::Borrowed(texts.get(body, "body")?),
        error: error == 1,
        msg_ids,
        limit,
        time,
        seq,
    })
}

/// The payload's texts, checked to be UTF-8 in one go where that can be: most lengths are below
/// 128 and so are characters themselves.
struct Texts<'a> {
    payload: &'a [u8],
    /// The payload up to the end of `msg_ids` or, where the length of those is no character, of
    /// `body`; empty where some other length is none, or a text is not UTF-8. No long text is
    /// checked twice: the length before it decides.
    checked: &'a str,
}

impl<'a> Texts<'a> {
    #[inline]
    fn new(payload: &'a [u8], body_end: usize, ids_end: usize) -> Texts<'a> {
        let short_ids = ids_end > body_end && ids_end - body_end < 128;
        let end = if short_ids { ids_end } else { body_end };
        Texts { payload, checked: std::str::from_utf8(&payload[..end]).unwrap_or_default() }
    }

    /// The text at `range`.
    #[inline]
    fn get(&self, range: Range<usize>, field: &str) -> Result<&'a str> {
        match self.checked.get(range.clone()) {
            Some(text) => Ok(text),
            None => self.check(range, field),
        }
    }

    /// Checks one text by itself, also to tell which one is not UTF-8.
    #[cold]
    fn check(&self, range: Range<usize>, field: &str) -> Result<&'a str> {
        let start = range.start;
        std::str::from_utf8(&self.payload[range]).map_err(|error| not_utf8(field, start, error))
    }
}

/// A cursor over the payload that finds where the fields are.
struct Reader<'a> {
    payload: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    #[inline]
    fn array<const N: usize>(&mut self, field: &str) -> Result<[u8; N]> {
        let rest = self.payload.get(self.at..).unwrap_or_default();
        let Some(bytes) = rest.first_chunk::<N>() else {
            return Err(self.short(field, N));
        };
        self.at += N;
        Ok(*bytes)
    }

    #[inline]
    fn short_text(&mut self, field: &str) -> Result<Range<usize>> {
        let [length] = self.array(field)?;
        self.text(field, usize::from(length))
    }

    #[inline]
    fn long_text(&mut self, field: &str) -> Result<Range<usize>> {
        let length = u16::from_be_bytes(self.array(field)?);
        self.text(field, usize::from(length))
    }

    #[inline]
    fn text(&mut self, field: &str, length: usize) -> Result<Range<usize>> {
        if self.payload.len() - self.at < length {
            return Err(self.short(field, length));
        }
        let start = self.at;
        self.at += length;
        Ok(start..self.at)
    }

    #[cold]
    fn short(&self, field: &str, wanted: usize) -> DecodeError {
        let left = self.payload.len() - self.at;
        DecodeError::bad_frame(format!(
            "the payload ends inside {field}: {left} of {wanted} bytes are there at byte {}",
            self.at
        ))
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
