//! Where one request ends and the next begins.
//!
//! | first byte of a connection | form |
//! | --- | --- |
//! | `0x00` | [`Form::Frames`]: u32 big-endian length, then that many bytes, at most 1 MiB |
//! | `{`, space, tab, CR, LF | [`Form::Lines`]: one JSON object a line, LF or CR LF behind it |
//! | anything else | none |
//!
//! In frames, a payload that begins with `{` is JSON, any other (an empty one too) is binary: no
//! binary payload begins so, since a `cmd` of 123 bytes is over its bound. Lines are always JSON;
//! those of only spaces, tabs and CRs are blank. The 1 MiB does not count a line's LF or CR LF.

use super::message::{DecodeError, Message};
use super::{binary, json, scan};
use crate::limits;

const LENGTH_BYTES: usize = 4;

/// How a connection's bytes are cut into payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON, one object a line.
    Lines,
    /// Length-prefixed payloads of either codec.
    Frames,
}

/// How a payload is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// [`super::json`].
    Json,
    /// [`super::binary`].
    #[default]
    Binary,
}

/// What the beginning of a buffer is. All places are offsets into the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// A request's beginning, or nothing: read more. Never with [`limits::FRAME_BYTES`] or more in
    /// the buffer.
    NeedMore,
    /// A blank line.
    Blank {
        /// Bytes to drop.
        consumed: usize,
    },
    /// A whole payload, `start..end`.
    Payload {
        /// Its first byte.
        start: usize,
        /// Behind its last byte.
        end: usize,
        /// Bytes to drop once it is dealt with.
        consumed: usize,
        /// What to decode it with.
        codec: Codec,
    },
    /// The payload is, or will be, over [`limits::PAYLOAD_BYTES`]. Where the next one starts is
    /// not certain: answer `too-long` and close.
    TooLong,
}

/// The form that a connection's first byte fixes; `None` is answered with one JSON line and a
/// close.
pub fn form_of(first_byte: u8) -> Option<Form> {
    match first_byte {
        0x00 => Some(Form::Frames),
        b'{' | b' ' | b'\t' | b'\r' | b'\n' => Some(Form::Lines),
        _ => None,
    }
}

/// Looks at the beginning of `buf`, the unconsumed bytes of a connection.
///
/// `scanned` is how many of them an earlier call has already searched for an LF. The caller starts
/// with 0 and hands the same variable in again with the same bytes and more behind them, so that
/// however small the reads are each byte is searched once. It is 0 again whenever something is to
/// be consumed.
pub fn split(form: Form, buf: &[u8], scanned: &mut usize) -> Split {
    match form {
        Form::Lines => split_line(buf, scanned),
        Form::Frames => split_frame(buf),
    }
}

fn split_line(buf: &[u8], scanned: &mut usize) -> Split {
    // An LF further on ends a line that is too long, even with a CR before it.
    let searched = buf.len().min(limits::PAYLOAD_BYTES + 2);
    let Some(end) = scan::find_byte(&buf[..searched], (*scanned).min(searched), b'\n') else {
        *scanned = searched;
        let may_fit = match buf.len().checked_sub(limits::PAYLOAD_BYTES) {
            None | Some(0) => true,
            Some(1) => buf[limits::PAYLOAD_BYTES] == b'\r',
            Some(_) => false,
        };
        return if may_fit { Split::NeedMore } else { Split::TooLong };
    };
    *scanned = 0;
    let consumed = end + 1;
    let line = &buf[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > limits::PAYLOAD_BYTES {
        Split::TooLong
    } else if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
        Split::Blank { consumed }
    } else {
        Split::Payload { start: 0, end: line.len(), consumed, codec: Codec::Json }
    }
}

fn split_frame(buf: &[u8]) -> Split {
    // Lengths of 16 MiB and more are seen by their first byte, the others by the whole.
    if buf.first().is_some_and(|&byte| byte != 0) {
        return Split::TooLong;
    }
    let Some(&length) = buf.first_chunk::<LENGTH_BYTES>() else {
        return Split::NeedMore;
    };
    let length = u32::from_be_bytes(length) as usize;
    if length > limits::PAYLOAD_BYTES {
        return Split::TooLong;
    }
    let (start, end) = (LENGTH_BYTES, LENGTH_BYTES + length);
    if buf.len() < end {
        return Split::NeedMore;
    }
    let codec = if buf[start..end].first() == Some(&b'{') { Codec::Json } else { Codec::Binary };
    Split::Payload { start, end, consumed: end, codec }
}

/// Appends `message` as a whole frame or line. Lines are JSON, whatever `codec` says.
///
/// # Panics
/// Where the message does not pass [`Message::check`].
pub fn put(out: &mut Vec<u8>, form: Form, codec: Codec, message: &Message) {
    match form {
        Form::Lines => {
            json::encode(message, out);
            out.push(b'\n');
        }
        Form::Frames => {
            let start = out.len();
            out.extend_from_slice(&[0; LENGTH_BYTES]);
            match codec {
                Codec::Json => json::encode(message, out),
                Codec::Binary => binary::encode(message, out),
            }
            let length = (out.len() - start - LENGTH_BYTES) as u32;
            out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// Reads a payload with the codec that [`split`] found.
///
/// # Errors
/// As [`json::decode`] and [`binary::decode`].
pub fn decode(codec: Codec, payload: &[u8]) -> Result<Message<'_>, DecodeError> {
    match codec {
        Codec::Json => json::decode(payload),
        Codec::Binary => binary::decode(payload),
    }
}
