//! Replies and refusals: what the server says.

use std::borrow::Cow;

use crate::protocol::{Message, MsgIds, id};

/// Why a request is not done: the protocol's code and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One of the protocol's codes.
    pub code: &'static str,
    /// What happened and what to do, for a person.
    pub sentence: Cow<'static, str>,
}

/// A refusal with a sentence that is always the same.
pub const fn refuse(code: &'static str, sentence: &'static str) -> Refusal {
    Refusal { code, sentence: Cow::Borrowed(sentence) }
}

/// A refusal with a sentence made for it.
pub fn refuse_with(code: &'static str, sentence: String) -> Refusal {
    Refusal { code, sentence: Cow::Owned(sentence) }
}

impl Refusal {
    /// As the answer to `cmd`.
    pub fn message(&self, cmd: &str) -> Message<'static> {
        Message {
            cmd: Cow::Owned(cmd.to_owned()),
            body: Cow::Owned(format!("{}: {}", self.code, self.sentence)),
            error: true,
            ..Message::default()
        }
    }
}

/// A reply with nothing in it yet.
pub fn reply(cmd: &'static str) -> Message<'static> {
    Message { cmd: Cow::Borrowed(cmd), ..Message::default() }
}

/// `more` or `end`, as pages say it.
pub fn more_or_end(more: bool) -> Cow<'static, str> {
    Cow::Borrowed(if more { "more" } else { "end" })
}

/// A count for the `limit` field, which holds no more than 65,535.
pub fn count(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// The push that says which pushes were left out.
pub fn lagging(seq: u64) -> Message<'static> {
    Message { seq, ..reply("lagging") }
}

/// The push that says that messages are gone, in the event with `seq`.
pub fn taken_back(ids: Vec<Cow<'static, str>>, seq: u64) -> Message<'static> {
    Message { msg_ids: MsgIds::Many(ids), seq, ..reply("taken_back") }
}

/// The push that says that the marker of the conversation with `name` has moved to `seq`.
pub fn read_moved(name: &str, seq: u64) -> Message<'_> {
    Message { cmd: Cow::Borrowed("read_moved"), to: Cow::Borrowed(name), seq, ..Message::default() }
}

/// Nobody has this name.
pub const NO_SUCH_USER: Refusal = refuse("no-such-user", "no account has this name");

/// The answer to a send that is stored.
pub fn sent(to: String, id: u128, time: u64, seq: u64) -> Message<'static> {
    let msg_ids = MsgIds::Many(vec![id::format(id).into()]);
    Message { to: to.into(), msg_ids, time, seq, ..reply("send") }
}
