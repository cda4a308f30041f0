//! The one message of the protocol, borrowed from the bytes it was read from where that can be.

use std::borrow::Cow;

use super::json;
use crate::limits;

/// The `msg_ids` field: a JSON string or an array of strings. A codec writes the form the message
/// was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MsgIds<'a> {
    /// One id, written as a JSON string. Empty: no id, which is how [`MsgIds::iter`] and
    /// [`MsgIds::len`] take it.
    One(Cow<'a, str>),
    /// Any number of ids, at most [`crate::limits::MSG_IDS`], written as an array. Empty: no ids.
    Many(Vec<Cow<'a, str>>),
}

impl Default for MsgIds<'_> {
    fn default() -> Self {
        MsgIds::Many(Vec::new())
    }
}

impl<'a> MsgIds<'a> {
    /// A single id, borrowed, in the string form.
    pub fn one(id: &'a str) -> MsgIds<'a> {
        MsgIds::One(Cow::Borrowed(id))
    }

    /// The ids in their order, whichever form they came in. An empty string in the place of a
    /// single id is no id.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let ids = match self {
            MsgIds::One(id) if id.is_empty() => &[],
            MsgIds::One(id) => std::slice::from_ref(id),
            MsgIds::Many(ids) => ids.as_slice(),
        };
        ids.iter().map(|id| id.as_ref())
    }

    /// How many ids [`MsgIds::iter`] gives.
    pub fn len(&self) -> usize {
        match self {
            MsgIds::One(id) => usize::from(!id.is_empty()),
            MsgIds::Many(ids) => ids.len(),
        }
    }

    /// No ids.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same ids, borrowing nothing.
    pub fn into_owned(self) -> MsgIds<'static> {
        match self {
            MsgIds::One(id) => MsgIds::One(owned(id)),
            MsgIds::Many(ids) => MsgIds::Many(ids.into_iter().map(owned).collect()),
        }
    }

    /// Bytes of the ids as JSON text, as both codecs have it.
    pub fn text_bytes(&self) -> usize {
        match self {
            MsgIds::One(id) => json::text_bytes(id) + 2,
            MsgIds::Many(ids) => {
                let separators = ids.len().saturating_sub(1) * 2;
                2 + separators + ids.iter().map(|id| json::text_bytes(id) + 2).sum::<usize>()
            }
        }
    }

    /// Whether the ids, as JSON text, are within what the binary form's two bytes of length carry.
    fn fit(&self) -> bool {
        match self {
            // A byte is at most six when it is escaped; most ids need no closer look.
            MsgIds::One(id) if id.len() <= 1_024 => true,
            MsgIds::Many(ids) if ids.is_empty() => true,
            MsgIds::Many(ids) if ids.len() == 1 && ids[0].len() <= 1_024 => true,
            _ => self.text_bytes() <= limits::MSG_IDS_TEXT_BYTES,
        }
    }
}

/// A request, a reply or a push. Fields that are not named are empty, false, 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// What is asked, or what this answers; 1 to 32 bytes.
    pub cmd: Cow<'a, str>,
    /// Who speaks; at most 255 bytes.
    pub src: Cow<'a, str>,
    /// The other party; at most 255 bytes.
    pub to: Cow<'a, str>,
    /// Content, password, pattern, or an error's `code: sentence`; at most 65,535 bytes.
    pub body: Cow<'a, str>,
    /// The request failed.
    pub error: bool,
    /// Message ids, as text.
    pub msg_ids: MsgIds<'a>,
    /// A count.
    pub limit: u16,
    /// Milliseconds since the Unix epoch; 0 = absent.
    pub time: u64,
    /// A place in the one order (the log index); 0 = absent.
    pub seq: u64,
}

impl Message<'_> {
    /// The same message, borrowing nothing.
    pub fn into_owned(self) -> Message<'static> {
        Message {
            cmd: owned(self.cmd),
            src: owned(self.src),
            to: owned(self.to),
            body: owned(self.body),
            error: self.error,
            msg_ids: self.msg_ids.into_owned(),
            limit: self.limit,
            time: self.time,
            seq: self.seq,
        }
    }

    /// Whether every field is within the protocol's bounds, so that the message can be encoded and
    /// read again. Whoever builds a message from what somebody typed asks this first: the encoders
    /// assert it. What fits is at most [`limits::PAYLOAD_BYTES`] in either codec.
    ///
    /// # Errors
    /// `bad-frame` for an empty `cmd`, `too-long` for a field over its bound.
    pub fn check(&self) -> Result<(), DecodeError> {
        let texts = [
            ("cmd", self.cmd.len(), limits::CMD_BYTES),
            ("src", self.src.len(), limits::NAME_FIELD_BYTES),
            ("to", self.to.len(), limits::NAME_FIELD_BYTES),
            ("body", self.body.len(), limits::BODY_BYTES),
        ];
        for (field, length, most) in texts {
            if length > most {
                return Err(DecodeError::field_too_long(field, length, most));
            }
        }
        check_ids(&self.msg_ids)?;
        if self.cmd.is_empty() {
            return Err(DecodeError::empty_cmd());
        }
        Ok(())
    }

    /// Stops the program where an encoder is given what its reader would refuse.
    #[inline]
    pub(super) fn assert_fits(&self) {
        let fits = self.cmd.len() <= limits::CMD_BYTES
            && self.src.len() <= limits::NAME_FIELD_BYTES
            && self.to.len() <= limits::NAME_FIELD_BYTES
            && self.body.len() <= limits::BODY_BYTES
            && self.msg_ids.len() <= limits::MSG_IDS
            && self.msg_ids.fit();
        assert!(fits, "a message is checked before it is encoded: {:?}", self.check());
        debug_assert!(!self.cmd.is_empty(), "a message has a cmd");
    }
}

/// Whether `ids` are few and short enough for both codecs.
pub(super) fn check_ids(ids: &MsgIds) -> Result<(), DecodeError> {
    if ids.len() > limits::MSG_IDS {
        return Err(DecodeError::too_many_ids());
    }
    if !ids.fit() {
        let most = limits::MSG_IDS_TEXT_BYTES;
        return Err(DecodeError::field_too_long("msg_ids", ids.text_bytes(), most));
    }
    Ok(())
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The protocol's code: `bad-frame` or `too-long`.
    pub code: &'static str,
    /// What is wrong and where, one sentence without the code.
    pub detail: String,
}

impl DecodeError {
    /// The bytes are not of the form the page describes.
    #[cold]
    pub(super) fn bad_frame(detail: String) -> DecodeError {
        DecodeError { code: "bad-frame", detail }
    }

    /// A field is over its bound.
    #[cold]
    pub(super) fn field_too_long(field: &str, length: usize, most: usize) -> DecodeError {
        let detail = format!("{field} has {length} bytes, the maximum is {most}");
        DecodeError { code: "too-long", detail }
    }

    #[cold]
    pub(super) fn too_many_ids() -> DecodeError {
        let detail = format!("msg_ids has more than {} ids", limits::MSG_IDS);
        DecodeError { code: "too-long", detail }
    }

    #[cold]
    pub(super) fn empty_cmd() -> DecodeError {
        DecodeError::bad_frame("cmd is missing or empty".to_string())
    }
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_single_id_is_no_id_and_both_forms_iterate_alike() {
        assert!(MsgIds::one("").is_empty());
        assert_eq!(MsgIds::one("").iter().count(), 0);
        assert_eq!(MsgIds::one("a").iter().collect::<Vec<_>>(), ["a"]);
        let many = MsgIds::Many(vec!["a".into(), "b".into()]);
        assert_eq!(many.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((many.len(), many.is_empty()), (2, false));
        assert!(MsgIds::default().is_empty());
    }

    #[test]
    fn check_names_the_field_that_is_over_its_bound() {
        let fine = Message { cmd: "send".into(), ..Message::default() };
        assert_eq!(fine.check(), Ok(()));
        let long = |count: usize| Cow::Owned("x".repeat(count));
        let messages = [
            ("cmd", Message { cmd: long(33), ..fine.clone() }),
            ("src", Message { src: long(256), ..fine.clone() }),
            ("to", Message { to: long(256), ..fine.clone() }),
            ("body", Message { body: long(65_536), ..fine.clone() }),
            ("msg_ids", Message { msg_ids: MsgIds::Many(vec!["".into(); 1_001]), ..fine.clone() }),
            ("msg_ids", Message { msg_ids: MsgIds::One(long(65_534)), ..fine.clone() }),
        ];
        for (field, message) in messages {
            let error = message.check().expect_err(field);
            assert_eq!(error.code, "too-long");
            assert!(error.detail.starts_with(field), "{}", error.detail);
        }
        let at_most = Message { msg_ids: MsgIds::One(long(65_533)), ..fine.clone() };
        assert_eq!(at_most.check(), Ok(()));
        assert_eq!(Message::default().check().expect_err("no cmd").code, "bad-frame");
    }

    #[test]
    fn an_owned_message_says_the_same() {
        let text = "send alice bob hello id".to_string();
        let borrowed = Message {
            cmd: Cow::Borrowed(&text[..4]),
            src: Cow::Borrowed(&text[5..10]),
            to: Cow::Borrowed(&text[11..14]),
            body: Cow::Borrowed(&text[15..20]),
            msg_ids: MsgIds::one(&text[21..]),
            error: true,
            limit: 3,
            time: 4,
            seq: 5,
        };
        let owned: Message<'static> = borrowed.clone().into_owned();
        assert_eq!(owned, borrowed);
    }
}
