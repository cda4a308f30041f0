//! Whether this server may answer: it does what it is asked while it is PRIMARY and knows all that is
//! committed; it sends clients on when another one is; it holds requests while nobody is, and after
//! a while serves what it has, read-only.

use super::client::{Life, ReadIndex, Work};
use super::dispatch::{Asked, Next};
use super::reply::{Refusal, refuse, reply};
use super::request::{Access, Request, Row};
use super::{Clients, TraceLevel};
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::node::replica::Replica;
use crate::protocol::Message;
use crate::raft::{Role, ServerId};

/// What this server can do for clients now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// Everything.
    Primary,
    /// Nothing: they are to go there.
    Elsewhere(String),
    /// Nothing yet; since this instant, milliseconds.
    Electing(u64),
    /// What changes nothing, from what it has.
    ReadOnly,
}

const READ_ONLY: Refusal =
    refuse("read-only", "no majority of the servers is reachable: nothing can be changed");
const LOGINS_OFF: Refusal =
    refuse("read-only", "no majority of the servers is reachable: logins are refused until one is");
const RESTORING: Refusal =
    refuse("busy", "the log of this server was damaged and is being restored: ask another server");
const UNKNOWN: Refusal =
    refuse("outcome-unknown", "this server is no longer PRIMARY: ask again with the same id");

impl Clients {
    /// What it can do now.
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// Applies what is committed, and serves by what the core has decided. To be called after
    /// everything that happened in a turn.
    pub fn advance(&mut self, replica: &mut Replica) -> Result<(), crate::chat::ApplyError> {
        self.apply_committed(replica)?;
        self.update_serving(replica);
        self.take_granted(replica);
        self.todo.tell.extend(self.counted.lines(self.now.monotonic_ms));
        Ok(())
    }

    /// When the next turn is to be at the latest, milliseconds.
    pub fn next_ms(&self) -> Option<u64> {
        let todo = &self.todo;
        let is_busy = !todo.serve.is_empty()
            || !todo.rest.is_empty()
            || !todo.read.is_empty()
            || !todo.hash.is_empty()
            || !todo.close.is_empty();
        if is_busy {
            return Some(0);
        }
        let read_only_ms = match self.serving {
            Serving::Electing(since_ms) => Some(since_ms + self.settings.read_only_after_ms),
            _ => None,
        };
        let told_ms = [self.counted.next_ms(), self.presence.next_ms(self.now.monotonic_ms)];
        let instants_ms = [read_only_ms, self.make_room_ms(), self.deadlines.next_ms()];
        instants_ms.into_iter().chain(told_ms).flatten().min()
    }

    fn update_serving(&mut self, replica: &Replica) {
        let now_ms = self.now.monotonic_ms;
        let core = replica.core();
        let other = core.primary().filter(|_| core.role() == Role::Backup);
        let new = match (&self.serving, other.and_then(|id| self.address_of(id))) {
            _ if replica.is_ready() => Serving::Primary,
            (_, Some(address)) => Serving::Elsewhere(address.to_owned()),
            (Serving::Electing(since_ms), None) => {
                let over = now_ms >= since_ms + self.settings.read_only_after_ms;
                if over { Serving::ReadOnly } else { Serving::Electing(*since_ms) }
            }
            (Serving::ReadOnly, None) => Serving::ReadOnly,
            (_, None) => Serving::Electing(now_ms),
        };
        if new != self.serving {
            let old = std::mem::replace(&mut self.serving, new);
            self.on_serving(&old);
        }
    }

    fn address_of(&self, id: ServerId) -> Option<&str> {
        let found = self.settings.peers.iter().find(|(peer, _)| *peer == id);
        found.map(|(_, address)| address.as_str())
    }

    fn on_serving(&mut self, old: &Serving) {
        if *old == Serving::Primary {
            let refusal = if planted(Mutant::UnknownToldAsRefused) { READ_ONLY } else { UNKNOWN };
            // Whether these will be committed is for the next PRIMARY to say.
            for pending in std::mem::take(&mut self.pending) {
                if pending.cmd == "send" {
                    self.keep_refusing(pending.key, refusal.code);
                }
                self.reply(pending.key, pending.codec, &refusal.message(pending.cmd));
                self.finish(pending.key, pending.cmd);
            }
        }
        let keys: Vec<Key> = self.clients.keys().collect();
        match self.serving.clone() {
            Serving::Elsewhere(address) => {
                for key in keys {
                    self.redirect(key, &address);
                }
            }
            _ => self.push_status(&keys),
        }
        self.tell(TraceLevel::Debug, format!("clients are served: {:?}", self.serving));
    }

    /// Tells clients how they are served from now on.
    fn push_status(&mut self, keys: &[Key]) {
        for &key in keys {
            let Some(client) = self.clients.get_mut(key) else { continue };
            // Also where there is no room for answers: it is short, and must not be missed.
            if client.told_serving && client.life == Life::Open {
                // Behind "primary" no answer may come that was begun while there was none.
                client.owed_status = client.work == Work::Busy && self.serving == Serving::Primary;
                if !client.owed_status {
                    self.put_status(key);
                }
            }
            // What it holds may now be taken up, or refused.
            self.queue(key);
        }
    }

    /// A client's first request has come: where not everything is served it hears so before any
    /// answer, lest it take for the whole truth what a server without a majority still knows.
    pub(super) fn greet(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let first = !std::mem::replace(&mut client.told_serving, true);
        if first && matches!(self.serving, Serving::Electing(_) | Serving::ReadOnly) {
            self.put_status(key);
        }
    }

    pub(super) fn put_status(&mut self, key: Key) {
        let body = match self.serving {
            Serving::Electing(_) => "electing: no server is PRIMARY yet",
            Serving::ReadOnly => "read-only: no majority of the servers is reachable",
            Serving::Primary | Serving::Elsewhere(_) => "primary: all requests are served again",
        };
        let message = Message { body: body.into(), ..reply("server_status") };
        let Some(client) = self.clients.get_mut(key) else { return };
        client.put(client.codec, &message, &mut self.spares);
        self.mark_dirty(key);
    }

    /// Sends a client on. What it has not been answered may or may not happen.
    fn redirect(&mut self, key: Key, address: &str) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.form.is_none() || client.life != Life::Open {
            return;
        }
        let message = Message { to: address.to_owned().into(), error: true, ..reply("redirect") };
        client.put(client.codec, &message, &mut self.spares);
        client.life = Life::Closing;
        client.work = Work::Idle;
        self.mark_dirty(key);
    }

    /// Whether a request may be taken up now: none, and what has become of it where not.
    pub(super) fn gate(
        &mut self,
        replica: &mut Replica,
        row: &Row,
        asked: &Asked<'_>,
    ) -> Result<Option<Next>, Refusal> {
        if matches!(row.request, Request::Ping | Request::ServerStatus) {
            return Ok(None);
        }
        match &self.serving {
            Serving::Primary => {}
            Serving::Elsewhere(address) => {
                let address = address.clone();
                self.redirect(asked.key, &address);
                return Ok(Some(Next::Answered));
            }
            Serving::Electing(_) => return Ok(Some(Next::Later)),
            Serving::ReadOnly => {
                let takes = row.request == Request::Deliver && asked.message.limit != 0;
                return match replica.core().is_restoring() {
                    _ if row.changes || takes => Err(READ_ONLY),
                    // A password or a token may have been replaced where the majority is.
                    _ if row.access == Access::Names && !self.settings.read_only_logins => {
                        Err(LOGINS_OFF)
                    }
                    // It may lack even what it has shown before.
                    true => Err(RESTORING),
                    false => Ok(None),
                };
            }
        }
        // The log orders sends by itself; anything else looks at the state first.
        let ordered = matches!(row.request, Request::Send | Request::Logoff);
        if ordered || self.is_current(replica, asked.key) {
            Ok(None)
        } else {
            Ok(Some(Next::Later))
        }
    }

    /// Whether the state is known to hold everything that was acknowledged before the client's
    /// request came (dissertation §6.4). When it is not, the core is asked, and the client's request
    /// is looked at again when it has answered.
    pub(super) fn is_current(&mut self, replica: &mut Replica, key: Key) -> bool {
        if replica.core().members().voters.len() == 1 || self.serving != Serving::Primary {
            return true;
        }
        let Some(client) = self.clients.get_mut(key) else { return true };
        match client.read_index {
            ReadIndex::Granted => {
                client.read_index = ReadIndex::None;
                true
            }
            ReadIndex::Asked | ReadIndex::Void => false,
            ReadIndex::None => {
                if replica.read(key.number()).is_ok() {
                    client.read_index = ReadIndex::Asked;
                } else {
                    self.stall(key);
                }
                false
            }
        }
    }

    /// A request was taken up: what the core says or was asked for it is no good for the next.
    pub(super) fn forget_read_index(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.read_index = match client.read_index {
            ReadIndex::None | ReadIndex::Granted => ReadIndex::None,
            ReadIndex::Asked | ReadIndex::Void => ReadIndex::Void,
        };
    }

    fn take_granted(&mut self, replica: &mut Replica) {
        let mut has_room = false;
        while let Some(ticket) = replica.next_granted() {
            self.on_read_index(ticket, ReadIndex::Granted);
            has_room = true;
        }
        for ticket in replica.take_refused() {
            self.on_read_index(ticket, ReadIndex::None);
            has_room = true;
        }
        // Proposals wait for commits where too much is under way, and for the end of a hand-over.
        let core = replica.core();
        let progress = (core.commit(), core.transferring_to());
        if has_room || std::mem::replace(&mut self.progress, progress) != progress {
            self.wake_stalled();
        }
    }

    fn on_read_index(&mut self, ticket: u64, answer: ReadIndex) {
        let key = Key::from_number(ticket);
        if let Some(client) = self.clients.get_mut(key) {
            let void = client.read_index == ReadIndex::Void;
            client.read_index = if void { ReadIndex::None } else { answer };
            self.queue(key);
        }
    }
}
