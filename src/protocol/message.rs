//! The one message of the protocol, borrowed from the bytes it was read from where that is possible.

use std::borrow::Cow;

/// The `msg_ids` field: a JSON string or an array of strings. A codec writes the form the message was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MsgIds<'a> {
    /// One id, written as a JSON string.
    One(Cow<'a, str>),
    /// Any number of ids, at most [`crate::limits::MSG_IDS`], written as an array. Empty: no ids.
    Many(Vec<Cow<'a, str>>),
}

impl Default for MsgIds<'_> {
    fn default() -> Self {
        MsgIds::Many(Vec::new())
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

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The protocol's code: `bad-frame` or `too-long`.
    pub code: &'static str,
    /// What is wrong and where, one sentence without the code.
    pub detail: String,
}
