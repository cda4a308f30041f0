//! What is committed is applied; what that did is answered and pushed. Nothing else in the server
//! tells a client that something has changed.

use super::Clients;
use super::budget;
use super::client::{Pending, Work};
use super::reply::{NO_SUCH_USER, Refusal, count, read_moved, refuse, reply, sent, taken_back};
use crate::chat::{AccountId, ApplyError, Command, Effect, Gone, view};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::node::replica::Replica;
use crate::protocol::framing::{self, Codec, Form};
use crate::protocol::{Message, id};
use crate::raft::Entry;

const GONE: Refusal = refuse("not-logged-in", "the account was deleted");
const ID_CONFLICT: Refusal = refuse("id-conflict", "this id was used for another message");
const ID_EXPIRED: Refusal =
    refuse("id-expired", "this id is too old to tell whether it was stored: check the history");

impl Clients {
    /// Applies what is committed, in order, as much as one turn has time for; the next goes on.
    pub fn apply_committed(&mut self, replica: &mut Replica) -> Result<(), ApplyError> {
        self.budget.apply_work = 0;
        while (self.budget.apply_work < limits::TURN_APPLY_WORK || planted(Mutant::WorkNotCounted))
            && let Some(Entry { index, payload, .. }) = replica.next_to_apply()
        {
            let payload = payload.bytes();
            let command = Command::of(payload).map_err(|error| ApplyError { index, error })?;
            let effect = replica.apply(index, command.as_ref())?;
            let passed = replica.state().passed() as u64;
            self.budget.apply_work += budget::APPLY + payload.len() as u64 + passed * budget::ITEM;
            let asked = self.pending.front().is_some_and(|pending| pending.index == index);
            let pending = if asked { self.pending.pop_front() } else { None };
            self.on_effect(replica, command, effect, index, pending);
        }
        Ok(())
    }

    fn on_effect(
        &mut self,
        replica: &Replica,
        command: Option<Command<'_>>,
        effect: Effect,
        index: u64,
        asked: Option<Pending>,
    ) {
        let origin = asked.as_ref().map(|pending| pending.key);
        match effect {
            Effect::Stored { from, to, .. } => {
                if let Some(message) = command.as_ref().and_then(|c| view::message(index, c)) {
                    self.push(to, origin, index, &message);
                    if from != to {
                        self.push(from, origin, index, &message);
                    }
                }
            }
            Effect::ReadMoved { account, other, marker, moved: true } => {
                let name = replica.state().name(other).to_owned();
                self.push(account, origin, index, &read_moved(&name, marker));
            }
            Effect::Deleted { ref gone, .. } => {
                for Gone { account, ids } in gone {
                    self.budget.apply_work += ids.len() as u64 * budget::DELETION;
                    let ids = ids.iter().map(|id| id::format(*id).into()).collect();
                    self.push(*account, origin, index, &taken_back(ids, index));
                }
            }
            Effect::PasswordChanged { account } => self.end_sessions(replica, account, origin),
            Effect::AccountDeleted { account } => self.end_sessions(replica, account, origin),
            _ => {}
        }
        if let Some(pending) = asked {
            self.answer(replica, command, effect, pending);
        }
    }

    /// Answers the request whose entry has been applied.
    fn answer(
        &mut self,
        replica: &Replica,
        command: Option<Command<'_>>,
        effect: Effect,
        pending: Pending,
    ) {
        let Pending { key, codec, cmd, .. } = pending;
        let done = match effect {
            Effect::Stored { to, id, time, seq, .. } => {
                let to = replica.state().name(to).to_owned();
                Ok(sent(to, id, time, seq))
            }
            Effect::Duplicate { time, seq, .. } => match command {
                Some(Command::Send { to, id, .. }) => Ok(sent(to.to_owned(), id, time, seq)),
                _ => unreachable!("what was sent twice is a send"),
            },
            Effect::Created { account } => {
                self.log_in(replica, key, codec, "create", account, false);
                return self.end(key);
            }
            Effect::NameTaken { account } => return self.create_again(replica, pending, account),
            Effect::Taken { account, seqs } => {
                return self.on_taken(replica, &pending, account, seqs);
            }
            Effect::ReadMoved { other, marker, .. } => {
                let name = replica.state().name(other).to_owned();
                Ok(Message { to: name.into(), seq: marker, ..reply("read") })
            }
            Effect::Deleted { count: deleted, .. } => {
                Ok(Message { limit: count(deleted), ..reply("delete_msgs") })
            }
            Effect::PasswordChanged { .. } => Ok(reply("passwd")),
            Effect::AccountDeleted { .. } => {
                self.log_out(replica, key);
                Ok(reply("delete"))
            }
            Effect::IdConflict => Err(ID_CONFLICT),
            Effect::IdExpired => Err(ID_EXPIRED),
            Effect::NoSuchUser => Err(NO_SUCH_USER),
            Effect::AccountGone => Err(GONE),
            Effect::None | Effect::Founded | Effect::AlreadyFounded | Effect::MembersChanged => {
                unreachable!("nobody asks for these")
            }
        };
        let message = done.unwrap_or_else(|refusal| refusal.message(cmd));
        self.reply(key, codec, &message);
        self.finish(key, cmd);
    }

    /// The request in progress, or one of the sends in flight, is answered.
    pub(super) fn finish(&mut self, key: Key, cmd: &str) {
        if cmd == "send" { self.end_send(key) } else { self.end(key) }
    }

    /// One send less is in flight; the next request may be due.
    fn end_send(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.work = match client.work {
            Work::Sends(in_flight) if in_flight > 1 => Work::Sends(in_flight - 1),
            _ => Work::Idle,
        };
        if client.incoming.waits || client.incoming.ended {
            self.queue(key);
        }
    }

    /// Writes a push to every session of `account` except that on `except`. One that reads too
    /// slowly is told later that it missed some.
    fn push(&mut self, account: AccountId, except: Option<Key>, seq: u64, message: &Message<'_>) {
        let mut push = Push::new(message);
        let mut place = 0;
        while let Some(&key) = self.sessions.of(account).get(place) {
            if Some(key) != except {
                self.push_to(key, seq, &mut push);
            }
            place += 1;
        }
    }

    /// Writes a push to one session.
    pub(super) fn push_to(&mut self, key: Key, seq: u64, push: &mut Push<'_>) {
        self.budget.apply_work += budget::OUTPUT;
        let outputs_have_room = self.outputs_have_room();
        let Some(client) = self.clients.get_mut(key) else { return };
        let fits = client.take_push(seq, outputs_have_room);
        if fits {
            let form = client.form.unwrap_or(Form::Lines);
            let (bytes, work) = push.encoded(form, client.codec);
            client.put_push(bytes, &mut self.spares);
            self.budget.apply_work += work + bytes.len() as u64 / 4;
            let unwritten = client.unwritten();
            self.outputs.set_bytes(&mut client.outgoing.unread, unwritten);
        }
        // Also where it was left out: who leaves nothing unread is told so at once.
        if fits || !client.has_unwritten() {
            self.todo.write.push(key);
        }
    }
}

/// A push and its bytes, made once for all sessions that want them in the same form and codec.
pub(super) struct Push<'a> {
    message: &'a Message<'a>,
    /// As lines, as frames of JSON, as frames of the binary form; empty until one is asked for.
    encoded: [Vec<u8>; 3],
}

impl<'a> Push<'a> {
    pub(super) fn new(message: &'a Message<'a>) -> Push<'a> {
        Push { message, encoded: [const { Vec::new() }; 3] }
    }

    /// Its bytes, and the work of encoding them: none where another session had the same.
    fn encoded(&mut self, form: Form, codec: Codec) -> (&[u8], u64) {
        let bytes = match (form, codec) {
            (Form::Lines, _) => &mut self.encoded[0],
            (Form::Frames, Codec::Json) => &mut self.encoded[1],
            (Form::Frames, Codec::Binary) => &mut self.encoded[2],
        };
        let mut work = 0;
        if bytes.is_empty() {
            framing::put(bytes, form, codec, self.message);
            work = bytes.len() as u64;
        }
        (bytes, work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_encoded_once_for_each_form_and_codec() {
        let message = Message { cmd: "deliver".into(), body: "hello".into(), ..Message::default() };
        let mut push = Push::new(&message);
        let wanted = [
            (Form::Lines, Codec::Json),
            (Form::Frames, Codec::Json),
            (Form::Frames, Codec::Binary),
        ];
        for (place, (form, codec)) in wanted.into_iter().enumerate() {
            let mut bytes = Vec::new();
            framing::put(&mut bytes, form, codec, &message);
            let work = bytes.len() as u64;
            assert_eq!(push.encoded(form, codec), (bytes.as_slice(), work));
            // What it was encoded to is what further sessions get.
            push.encoded[place] = vec![b'x'];
            assert_eq!(push.encoded(form, codec), (b"x".as_slice(), 0));
        }
    }
}
