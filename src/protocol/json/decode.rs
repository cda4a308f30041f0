//! Reading a message from JSON.

use std::borrow::Cow;

use super::reader::Reader;
use crate::limits;
use crate::protocol::message::{DecodeError, Message, MsgIds, check_ids};
use crate::protocol::scan;

type Result<T> = std::result::Result<T, DecodeError>;

/// Reads one message from a JSON text, borrowing from it every string that has no escape.
///
/// # Errors
/// `bad-frame` for what is not JSON or not a message, `too-long` for a field over its bound; the
/// detail says what and at which byte.
pub fn decode(payload: &[u8]) -> Result<Message<'_>> {
    let mut reader = Reader::new(payload)?;
    reader.expect(b'{', "an object")?;
    let mut fields = Fields::default();
    if reader.peek_token() == Some(b'}') {
        reader.bump();
    } else {
        loop {
            fields.take(&mut reader)?;
            match reader.peek_token() {
                Some(b',') => reader.bump(),
                Some(b'}') => {
                    reader.bump();
                    break;
                }
                _ => return Err(reader.unexpected("a comma or }")),
            }
        }
    }
    reader.expect_end()?;
    if fields.message.cmd.is_empty() {
        return Err(DecodeError::empty_cmd());
    }
    Ok(fields.message)
}

/// The ids in what the binary form has in the place of `msg_ids`, if that is as it nearly always
/// is: one string without escapes, by itself or in an array, and nothing around it. Such an id is
/// just as long when it is written again, so it is within its bound.
#[inline]
pub(in crate::protocol) fn plain_ids(text: &str) -> Option<MsgIds<'_>> {
    let in_array = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let id = in_array.unwrap_or(text).strip_prefix('"')?.strip_suffix('"')?;
    let id = is_plain(id).then_some(Cow::Borrowed(id))?;
    Some(if in_array.is_some() { MsgIds::Many(vec![id]) } else { MsgIds::One(id) })
}

/// Whether a text is written in JSON as it is.
#[inline]
pub(in crate::protocol) fn is_plain(text: &str) -> bool {
    scan::is_plain(text.as_bytes())
}

/// Reads what the binary form has in the place of `msg_ids`: a JSON string or an array of strings.
pub(in crate::protocol) fn ids_from_text(text: &str) -> Result<MsgIds<'_>> {
    let mut reader = Reader::of_text(text);
    reader.peek_token();
    let ids = msg_ids(&mut reader)?;
    reader.expect_end()?;
    Ok(ids)
}

/// The keys of a message, in the order in which they are written.
const KEYS: [&str; 9] = ["cmd", "src", "to", "body", "error", "msg_ids", "limit", "time", "seq"];

/// What has been read so far.
#[derive(Default)]
struct Fields<'a> {
    message: Message<'a>,
    /// A bit for each of [`KEYS`].
    seen: u16,
    /// The key that comes next if they are in the order in which they are written.
    next: usize,
}

impl<'a> Fields<'a> {
    /// Takes one key and its value.
    #[inline]
    fn take(&mut self, reader: &mut Reader<'a>) -> Result<()> {
        if reader.peek_token() != Some(b'"') {
            return Err(reader.unexpected("a key"));
        }
        let key_at = reader.at();
        let field = if next_key(reader, self.next) {
            self.next
        } else {
            let key = reader.string()?;
            reader.expect(b':', "a colon")?;
            let Some(field) = field_of(key.as_bytes()) else {
                return reader.pass_value();
            };
            field
        };
        self.next = field + 1;
        let bit = 1 << field;
        if self.seen & bit != 0 {
            return Err(duplicate(KEYS[field], key_at));
        }
        self.seen |= bit;
        reader.peek_token();
        let message = &mut self.message;
        match field {
            0 => message.cmd = text(reader, "cmd", limits::CMD_BYTES)?,
            1 => message.src = text(reader, "src", limits::NAME_FIELD_BYTES)?,
            2 => message.to = text(reader, "to", limits::NAME_FIELD_BYTES)?,
            3 => message.body = text(reader, "body", limits::BODY_BYTES)?,
            4 => message.error = boolean(reader, "error")?,
            5 => message.msg_ids = msg_ids(reader)?,
            6 => message.limit = integer(reader, "limit", u64::from(u16::MAX))? as u16,
            7 => message.time = integer(reader, "time", u64::MAX)?,
            _ => message.seq = integer(reader, "seq", u64::MAX)?,
        }
        Ok(())
    }
}

/// Takes the key `next` and its colon if they are what comes next: cheaper than reading a string
/// and looking for what it is.
#[inline]
fn next_key(reader: &mut Reader, next: usize) -> bool {
    match next {
        0 => reader.exactly(b"\"cmd\":"),
        1 => reader.exactly(b"\"src\":"),
        2 => reader.exactly(b"\"to\":"),
        3 => reader.exactly(b"\"body\":"),
        4 => reader.exactly(b"\"error\":"),
        5 => reader.exactly(b"\"msg_ids\":"),
        6 => reader.exactly(b"\"limit\":"),
        7 => reader.exactly(b"\"time\":"),
        8 => reader.exactly(b"\"seq\":"),
        _ => false,
    }
}

#[inline]
fn field_of(key: &[u8]) -> Option<usize> {
    Some(match key {
        b"cmd" => 0,
        b"src" => 1,
        b"to" => 2,
        b"body" => 3,
        b"error" => 4,
        b"msg_ids" => 5,
        b"limit" => 6,
        b"time" => 7,
        b"seq" => 8,
        _ => return None,
    })
}

#[cold]
fn duplicate(key: &str, at: usize) -> DecodeError {
    DecodeError::bad_frame(format!("duplicate key {key}, at byte {at}"))
}

#[cold]
fn wrong_type(reader: &Reader, field: &str, wanted: &str) -> DecodeError {
    reader.error(&format!("{field} must be {wanted}, not {}", reader.kind()))
}

#[inline]
fn text<'a>(reader: &mut Reader<'a>, field: &str, most: usize) -> Result<Cow<'a, str>> {
    if reader.peek() != Some(b'"') {
        return Err(wrong_type(reader, field, "a string"));
    }
    let text = reader.string()?;
    if text.len() > most {
        return Err(DecodeError::field_too_long(field, text.len(), most));
    }
    Ok(text)
}

fn boolean(reader: &mut Reader, field: &str) -> Result<bool> {
    if reader.exactly(b"false") {
        Ok(false)
    } else if reader.exactly(b"true") {
        Ok(true)
    } else {
        Err(wrong_type(reader, field, "true or false"))
    }
}

fn integer(reader: &mut Reader, field: &str, most: u64) -> Result<u64> {
    if !matches!(reader.peek(), Some(b'-' | b'0'..=b'9')) {
        return Err(wrong_type(reader, field, "an integer"));
    }
    let at = reader.at();
    reader.integer(most).ok_or_else(|| {
        let what = format!("{field} is not an integer from 0 to {most}, at byte {at}");
        DecodeError::bad_frame(what)
    })
}

/// Takes the ids at the next byte.
fn msg_ids<'a>(reader: &mut Reader<'a>) -> Result<MsgIds<'a>> {
    let ids = match reader.peek() {
        Some(b'"') => MsgIds::One(reader.string()?),
        Some(b'[') => MsgIds::Many(id_array(reader)?),
        _ => return Err(wrong_type(reader, "msg_ids", "a string or an array of strings")),
    };
    check_ids(&ids)?;
    Ok(ids)
}

fn id_array<'a>(reader: &mut Reader<'a>) -> Result<Vec<Cow<'a, str>>> {
    let mut ids = Vec::new();
    reader.bump();
    if reader.peek_token() == Some(b']') {
        reader.bump();
        return Ok(ids);
    }
    loop {
        if reader.peek_token() != Some(b'"') {
            return Err(wrong_type(reader, "an id of msg_ids", "a string"));
        }
        if ids.len() == limits::MSG_IDS {
            return Err(DecodeError::too_many_ids());
        }
        ids.push(reader.string()?);
        match reader.peek_token() {
            Some(b',') => reader.bump(),
            Some(b']') => {
                reader.bump();
                return Ok(ids);
            }
            _ => return Err(reader.unexpected("a comma or ]")),
        }
    }
}
