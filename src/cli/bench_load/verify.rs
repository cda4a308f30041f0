//! After the load: every client's whole history is read, page by page, and compared with what was
//! acknowledged.

use super::error::Error;
use super::ledger::{Ids, Ledger, Side};
use super::load::receiver_of;
use super::wire::{Space, Wire};
use crate::cli::progress::Progress;
use crate::limits;
use crate::protocol::Message;

/// Reads the histories of `wires`, the clients in their order, into `ledger`, and gives how many
/// messages they had together. Every message is to be in two: its sender's and its receiver's.
pub fn read_histories(
    wires: &mut [Wire],
    ids: Ids,
    body: &str,
    ledger: &mut Ledger,
    progress: &mut Progress,
) -> Result<u64, Error> {
    let mut space = Space::default();
    let mut found = 0;
    let names: Vec<String> = wires.iter().map(|wire| wire.name.clone()).collect();
    for (viewer, wire) in wires.iter_mut().enumerate() {
        let mut cursor = 0;
        loop {
            progress.tell(|| format!("reading the history: {found} messages"));
            let request = Message {
                cmd: "history".into(),
                body: "after".into(),
                seq: cursor,
                limit: limits::HISTORY_PAGE as u16,
                ..Message::default()
            };
            let mut last = None;
            let mut newest = cursor;
            wire.ask_for_all(&request, &mut space, |message| {
                if message.cmd == "history" {
                    last = Some(message.into_owned());
                } else if message.cmd == "deliver" && message.limit > 0 {
                    found += 1;
                    match side_of(&message, viewer, &names, ids, body) {
                        Some((sender, number, side)) if message.seq > newest => {
                            ledger.found(sender, number, side);
                        }
                        _ => ledger.found_damaged(),
                    }
                    newest = newest.max(message.seq);
                }
            })?;
            let last = last.ok_or_else(|| wire.odd("the history does not end"))?;
            if last.error {
                let body = last.body.into_owned();
                return Err(Error::Refused("history", wire.name.clone(), body));
            }
            match last.body.as_ref() {
                "end" => break,
                "more" if last.seq > cursor => cursor = last.seq,
                _ => return Err(wire.odd("the next page of the history does not advance")),
            }
        }
    }
    Ok(found)
}

/// What a message in the history of the client `viewer` is: none when it is not just as it was sent.
fn side_of(
    message: &Message,
    viewer: usize,
    names: &[String],
    ids: Ids,
    body: &str,
) -> Option<(u16, u64, Side)> {
    let (sender, number) = ids.read(message.msg_ids.iter().next()?)?;
    let from = usize::from(sender);
    let to = receiver_of(from, names.len());
    let whole = names.get(from).is_some_and(|name| *name == message.src)
        && names[to] == message.to
        && message.body == body;
    let side = match viewer {
        viewer if viewer == from => Side::Sender,
        viewer if viewer == to => Side::Receiver,
        _ => return None,
    };
    whole.then_some((sender, number, side))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{MsgIds, id};

    #[test]
    fn a_message_is_taken_for_what_it_is_and_only_when_it_is_whole() {
        let names = ["a".to_string(), "b".to_string(), "c".to_string()];
        let ids = Ids::new([7; 6]);
        let text = id::format(ids.id(2, 5));
        let message = Message {
            src: "c".into(),
            to: "a".into(),
            body: "hello".into(),
            msg_ids: MsgIds::one(&text),
            ..Message::default()
        };
        let side = |message: &Message, viewer| side_of(message, viewer, &names, ids, "hello");
        assert_eq!(side(&message, 2), Some((2, 5, Side::Sender)));
        assert_eq!(side(&message, 0), Some((2, 5, Side::Receiver)));
        assert_eq!(side(&message, 1), None, "b has no part in it");
        for damaged in [
            Message { src: "b".into(), ..message.clone() },
            Message { to: "b".into(), ..message.clone() },
            Message { body: "hell".into(), ..message.clone() },
            Message { msg_ids: MsgIds::default(), ..message.clone() },
            Message { msg_ids: MsgIds::one("8d4a8912-5776-4438-ac14-8b791cfc63f2"), ..message },
        ] {
            assert_eq!(side(&damaged, 2), None, "{damaged:?}");
        }
    }
}
