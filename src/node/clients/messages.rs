//! Requests that change mailboxes: send, read, delete_msgs, deliver n. Each becomes an entry of the
//! log; what it did is answered in `apply`.

use super::Clients;
use super::budget;
use super::client::{Pending, Session, Work};
use super::dispatch::{Asked, Next};
use super::reply::{NO_SUCH_USER, Refusal, count, more_or_end, refuse, reply, sent};
use crate::chat::{AccountId, Command, State};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::node::replica::Replica;
use crate::protocol::framing::Codec;
use crate::protocol::{Message, id, name};
use crate::raft::ProposeError;

const BAD_ID: Refusal = refuse("bad-id", "a message id is a UUID, 8-4-4-4-12 hexadecimal digits");

impl Clients {
    pub(super) fn on_send(
        &mut self,
        replica: &mut Replica,
        asked: &Asked<'_>,
        session: Session,
    ) -> Result<Next, Refusal> {
        let message = asked.message;
        let Some(client) = self.clients.get(asked.key) else { return Ok(Next::Answered) };
        let in_flight = match client.work {
            Work::Sends(in_flight) => in_flight,
            _ => 0,
        };
        if message.body.is_empty() {
            return Err(refuse("empty-message", "a message has at least one byte"));
        }
        let id = match message.msg_ids.len() {
            0 => None,
            1 => Some(message.msg_ids.iter().next().and_then(id::parse).ok_or(BAD_ID)?),
            _ => return Err(BAD_ID),
        };
        let to = name::fold(&message.to).ok_or(NO_SUCH_USER)?;
        let state = replica.state();
        let stored = |id| {
            state.duplicate_of(session.account, id).is_some()
                || state.is_too_old(session.account, message.seq)
        };
        // A retry gets its first answer even when the receiver has gone meanwhile.
        if state.account(&to).is_none() && !id.is_some_and(stored) {
            let known = in_flight == 0 && self.is_current(replica, asked.key);
            return if known { Err(NO_SUCH_USER) } else { Ok(Next::Later) };
        }
        if planted(Mutant::DuplicateBeforeApply)
            && in_flight == 0
            && let Some(id) = id
            && let Some((seq, time)) = replica.state().duplicate_of(session.account, id)
        {
            self.reply(asked.key, asked.codec, &sent(to, id, time, seq));
            return Ok(Next::Answered);
        }
        if let Some(code) = client.refusing {
            let sentence =
                "refused because an earlier send was refused: send a ping, then send again";
            return Err(refuse(code, sentence));
        }
        self.check_disk(replica)?;
        if in_flight >= limits::SENDS_IN_FLIGHT {
            return Ok(Next::Later);
        }
        let has_room = replica.has_room(SEND_OVERHEAD_BYTES + message.body.len());
        if !has_room || replica.gathered_bytes() >= limits::GATHERED_BYTES {
            return Ok(self.stall(asked.key));
        }
        let id = match id {
            Some(id) => id,
            None => id::from_random(self.random.bytes()),
        };
        let time = replica.entry_time();
        let from = replica.state().name(session.account);
        let mut payload = Vec::with_capacity(SEND_OVERHEAD_BYTES + message.body.len());
        let (to, body, known) = (to.as_str(), message.body.as_ref(), message.seq);
        Command::Send { time, from, to, id, known, body }.encode(&mut payload);
        if self.propose_payload(replica, asked.key, asked.codec, "send", payload).is_err() {
            return Ok(self.stall(asked.key));
        }
        if let Some(client) = self.clients.get_mut(asked.key) {
            client.work = Work::Sends(in_flight + 1);
        }
        Ok(Next::InProgress)
    }

    pub(super) fn on_read(
        &mut self,
        replica: &mut Replica,
        asked: &Asked<'_>,
        session: Session,
    ) -> Result<Next, Refusal> {
        let from = self.other(replica, &asked.message.to)?;
        self.check_disk(replica)?;
        let from = replica.state().name(from).to_owned();
        let name = replica.state().name(session.account).to_owned();
        let (time, upto) = (replica.entry_time(), asked.message.seq);
        let command = Command::Read { time, name: &name, from: &from, upto };
        self.propose(replica, asked.key, asked.codec, "read", &command)?;
        Ok(self.begin(asked.key))
    }

    pub(super) fn on_delete_msgs(
        &mut self,
        replica: &mut Replica,
        asked: &Asked<'_>,
        session: Session,
    ) -> Result<Next, Refusal> {
        let with = self.other_or_all(replica, &asked.message.to)?;
        let ids: Option<Vec<u128>> = asked.message.msg_ids.iter().map(id::parse).collect();
        let mut ids = ids.filter(|ids| !ids.is_empty()).ok_or(BAD_ID)?;
        ids.sort_unstable();
        ids.dedup();
        self.charge(asked.key, ids.len() as u64 * budget::ID);
        if !self.find_targets(replica, asked.key, session.account, with, &ids) {
            self.on_more(asked.key);
            return Ok(Next::Later);
        }
        let Some(client) = self.clients.get_mut(asked.key) else { return Ok(Next::Answered) };
        let mut targets = std::mem::take(&mut client.found).targets;
        State::tidy_targets(&mut targets);
        self.charge(asked.key, targets.len() as u64 * budget::DELETION);
        if targets.is_empty() {
            self.reply(asked.key, asked.codec, &reply("delete_msgs"));
            return Ok(Next::Answered);
        }
        let name = replica.state().name(session.account).to_owned();
        let command = Command::DeleteMsgs { time: replica.entry_time(), name: &name, targets };
        self.propose(replica, asked.key, asked.codec, "delete_msgs", &command)?;
        Ok(self.begin(asked.key))
    }

    /// Goes on with the search for the messages of a `delete_msgs`; false: it has done enough in this
    /// visit, and goes on in the next.
    fn find_targets(
        &mut self,
        replica: &Replica,
        key: Key,
        account: AccountId,
        with: Option<AccountId>,
        ids: &[u128],
    ) -> bool {
        loop {
            let Some(client) = self.clients.get_mut(key) else { return true };
            let found = &mut client.found;
            let Some(&id) = ids.get(found.ids) else { return true };
            found.ids += 1;
            let state = replica.state();
            let looked_at = state.add_targets(account, with, id, &mut found.targets);
            self.charge(key, (1 + looked_at as u64) * budget::ITEM);
            if self.visit_is_over(key) {
                return false;
            }
        }
    }

    /// `deliver` n: the seqs that the request means are put into the entry; those that are still to
    /// be taken when it is applied are taken.
    pub(super) fn take(
        &mut self,
        replica: &mut Replica,
        asked: &Asked<'_>,
        session: Session,
    ) -> Result<Next, Refusal> {
        self.check_disk(replica)?;
        let most = usize::from(asked.message.limit).min(limits::HISTORY_PAGE);
        let mut seqs = replica.state().to_take(session.account, most);
        seqs.truncate(self.fitting(replica, seqs.iter()));
        if seqs.is_empty() {
            let message = Message { body: more_or_end(false), ..reply("delivered") };
            self.reply(asked.key, asked.codec, &message);
            return Ok(Next::Answered);
        }
        let name = replica.state().name(session.account).to_owned();
        let command = Command::Take { time: replica.entry_time(), name: &name, seqs };
        self.propose(replica, asked.key, asked.codec, "deliver", &command)?;
        Ok(self.begin(asked.key))
    }

    /// The account that `to` names, live or deleted: its messages stay with those who have them.
    pub(super) fn other(&self, replica: &Replica, to: &str) -> Result<AccountId, Refusal> {
        let name = name::fold(to).ok_or(NO_SUCH_USER)?;
        replica.state().account_ever(&name).ok_or(NO_SUCH_USER)
    }

    /// As [`Clients::other`]; none for an empty `to`.
    pub(super) fn other_or_all(
        &self,
        replica: &Replica,
        to: &str,
    ) -> Result<Option<AccountId>, Refusal> {
        if to.is_empty() { Ok(None) } else { self.other(replica, to).map(Some) }
    }

    /// Puts a command into the log's order; `cmd` is answered when it is applied.
    pub(super) fn propose(
        &mut self,
        replica: &mut Replica,
        key: Key,
        codec: Codec,
        cmd: &'static str,
        command: &Command<'_>,
    ) -> Result<(), Refusal> {
        let mut payload = Vec::new();
        command.encode(&mut payload);
        if !replica.has_room(payload.len()) {
            let sentence = "the server is preparing the next log segment: try again in a moment";
            return Err(refuse("busy", sentence));
        }
        let sentence = "the server is handing over or overloaded: try again in a moment";
        self.propose_payload(replica, key, codec, cmd, payload)
            .map_err(|_| refuse("busy", sentence))
    }

    fn propose_payload(
        &mut self,
        replica: &mut Replica,
        key: Key,
        codec: Codec,
        cmd: &'static str,
        payload: Vec<u8>,
    ) -> Result<(), ProposeError> {
        let index = replica.propose(payload)?;
        self.pending.push_back(Pending { index, key, codec, cmd, password: Vec::new() });
        Ok(())
    }

    /// The answer to a `deliver` n whose entry has been applied.
    pub(super) fn on_taken(
        &mut self,
        replica: &Replica,
        pending: &Pending,
        account: AccountId,
        seqs: Vec<u64>,
    ) {
        let more = !replica.state().to_take(account, 1).is_empty();
        let last = Message {
            limit: count(seqs.len()),
            seq: seqs.last().copied().unwrap_or(0),
            body: more_or_end(more),
            ..reply("delivered")
        };
        let items = seqs.into_iter().map(super::pages::Item::Message).collect();
        self.start_page(replica, pending.key, pending.codec, items, last);
    }
}

/// What a send's payload has beside its body, at most: a hint for the allocation.
const SEND_OVERHEAD_BYTES: usize = 104;
