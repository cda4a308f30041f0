//! Renders a message's entry as the `deliver` that a client sees.

use super::command::{Command, CommandError};
use super::state::ApplyError;
use crate::protocol::{Message, MsgIds, id};
use std::borrow::Cow;

/// The `deliver` of the message in entry `index`; `limit` is 0, for who sends it to set. An error
/// names the entry where `payload` is no message.
pub fn deliver(index: u64, payload: &[u8]) -> Result<Message<'_>, ApplyError> {
    let decoded = Command::decode(payload);
    decoded
        .and_then(|command| message(index, &command).ok_or(CommandError::NoMessage))
        .map_err(|error| ApplyError { index, error })
}

/// The same, from what is decoded already; None: it is no message.
pub fn message<'a>(index: u64, command: &Command<'a>) -> Option<Message<'a>> {
    let Command::Send { time, from, to, id: message_id, body, .. } = *command else { return None };
    Some(Message {
        cmd: Cow::Borrowed("deliver"),
        src: Cow::Borrowed(from),
        to: Cow::Borrowed(to),
        body: Cow::Borrowed(body),
        msg_ids: MsgIds::Many(vec![Cow::Owned(id::format(message_id))]),
        time,
        seq: index,
        ..Message::default()
    })
}
