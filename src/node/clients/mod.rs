//! What the server does for its clients: bytes of requests go in, bytes of answers and pushes come
//! out, and a list of what is to be done outside ([`Todo`]).
//!
//! | file         | what it has |
//! | ---          | --- |
//! | this one     | all connections, and how the node talks to them |
//! | [`dispatch`] | from bytes to requests; the dispatch |
//! | [`request`]  | the table of requests |
//! | [`budget`]   | how much work a turn does, and whose turn it is |
//! | [`accounts`], [`messages`], [`queries`] | the requests |
//! | [`apply`]    | committed entries to replies and pushes |
//! | [`pages`]    | answers of several frames, read from the log |
//! | [`holders`]  | what clients hold of the server's memory, and who is let go for it |
//! | [`serving`]  | whether this server may answer at all |
//! | [`client`], [`sessions`], [`unauthenticated`] | connections, those logged in, those not |
//! | [`limiter`], [`guesses`], [`hash_queue`] | attempts to log in: of a network, at an account; their turn |
//! | [`counted`]  | lines for the operator that count |
//! | [`todo`]     | what is to be done outside |

mod accounts;
mod apply;
mod budget;
mod client;
mod counted;
mod dispatch;
mod guesses;
mod hash_queue;
mod holders;
mod limiter;
mod messages;
mod pages;
mod presence;
mod queries;
mod reply;
mod request;
mod serving;
mod sessions;
pub mod todo;
mod unauthenticated;

use std::collections::{HashMap, VecDeque};

use accounts::Hashing;
use budget::Budget;
use client::Life;
use client::Pending;
pub use client::{Client, Work};
use counted::Counted;
use guesses::Guesses;
use hash_queue::HashQueue;
use holders::Holders;
use limiter::Limiter;
use pages::Page;
use presence::Presence;
pub use reply::{Refusal, refuse};
pub use request::{Request, Row, TABLE};
pub use serving::Serving;
use sessions::Sessions;
use todo::Todo;
use unauthenticated::Unauthenticated;

use super::io::ReadJob;
use super::lines::{Line, TraceLevel};
use super::random::Random;
use super::replica::Replica;
use super::time::Now;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::{Deadlines, Key, KeyQueue, Origin, Output, ReadEnd, Slots, Spares};
use crate::raft::ServerId;

/// What it is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This server's name, as `server_status` says it.
    pub id: String,
    /// Where clients reach this server, as `server_status` says it.
    pub address: String,
    /// PBKDF2 iterations of new passwords.
    pub password_iterations: u32,
    /// How long a token is good, days.
    pub token_days: u32,
    /// Silence after which a connection is closed, milliseconds.
    pub idle_timeout_ms: u64,
    /// Time that a connection has to log in, milliseconds.
    pub login_timeout_ms: u64,
    /// Maximum number of logged-in connections of one network.
    pub max_sessions_per_address: usize,
    /// Maximum number of connections of one network that have not logged in.
    pub max_unauthenticated_per_address: usize,
    /// Maximum number of sessions of one account.
    pub max_sessions_per_account: usize,
    /// Maximum number of password checks a minute for one network; 0 for any number.
    pub logins_per_minute: u32,
    /// Whether a server without a majority lets anyone log in.
    pub read_only_logins: bool,
    /// The servers' client addresses, for those who come to the wrong one.
    pub peers: Vec<(ServerId, String)>,
    /// How long requests are held while no server is PRIMARY, before it is read-only, milliseconds.
    pub read_only_after_ms: u64,
    /// Whether details are told too.
    pub tell_details: bool,
}

/// All clients.
pub struct Clients {
    settings: Settings,
    now: Now,
    random: Random,
    budget: Budget,
    deadlines: Deadlines,
    /// It takes up nothing new: the server stops.
    is_stopping: bool,
    clients: Slots<Client>,
    sessions: Sessions,
    presence: Presence,
    unauthenticated: Unauthenticated,
    limiter: Limiter,
    guesses: Guesses,
    counted: Counted,
    serving: Serving,
    /// What is to be done outside.
    pub todo: Todo,
    /// Buffers of outputs that are written.
    pub spares: Spares,
    /// Requests begun and not finished.
    inputs: Holders,
    /// Answers not read.
    outputs: Holders,
    /// Bytes that the pages being read will add to them.
    page_bytes: usize,
    /// Connections that may have no more bytes of requests before others have less.
    crowded_out: KeyQueue,
    /// Connections whose request waits for room in the log's batch or in the outputs.
    stalled: KeyQueue,
    /// What those that stalled in the core may wait for, as it was when they were last woken: the
    /// commit index, and to whom this PRIMARY hands over.
    progress: (u64, Option<ServerId>),
    /// Who waits for which entry, in the entries' order.
    pending: VecDeque<Pending>,
    hashing: HashMap<u64, Hashing>,
    hash_queue: HashQueue,
    pages: HashMap<u64, Page>,
    /// Numbers the jobs.
    last_job: u64,
}

impl Clients {
    /// None yet. What is random comes from `seed`.
    pub fn new(settings: Settings, seed: [u8; 32], now: Now) -> Clients {
        Clients {
            limiter: Limiter::new(settings.logins_per_minute),
            settings,
            now,
            random: Random::new(seed),
            budget: Budget::default(),
            deadlines: Deadlines::default(),
            is_stopping: false,
            clients: Slots::default(),
            sessions: Sessions::default(),
            presence: Presence::default(),
            unauthenticated: Unauthenticated::default(),
            guesses: Guesses::default(),
            counted: Counted::default(),
            serving: Serving::Electing(now.monotonic_ms),
            todo: Todo::default(),
            spares: Spares::default(),
            inputs: Holders::default(),
            outputs: Holders::default(),
            page_bytes: 0,
            crowded_out: KeyQueue::default(),
            stalled: KeyQueue::default(),
            progress: (0, None),
            pending: VecDeque::new(),
            hashing: HashMap::new(),
            hash_queue: HashQueue::default(),
            pages: HashMap::new(),
            last_job: 0,
        }
    }

    /// It is now `now`.
    pub fn set_now(&mut self, now: Now) {
        self.now = now;
    }

    /// Somebody has connected.
    pub fn connect(&mut self, origin: Origin) -> Key {
        let now_ms = self.now.monotonic_ms;
        let login_by_ms = now_ms + self.settings.login_timeout_ms;
        let key = self.clients.insert(Client::new(origin, now_ms, login_by_ms));
        let first_ms = login_by_ms.min(now_ms + self.settings.idle_timeout_ms);
        self.deadlines.set(first_ms, key);
        self.tell_detail(|| format!("connection {} from {origin}", key.number()));
        self.add_unauthenticated(key);
        self.bound_unauthenticated(origin.network());
        key
    }

    /// The connection is closed.
    pub fn disconnect(&mut self, replica: &Replica, key: Key) {
        self.log_out(replica, key);
        self.remove_unauthenticated(key);
        self.forget_hashes(key);
        let had_room = self.pages_have_room();
        self.forget_holder(key);
        if self.clients.remove(key).is_some() {
            self.stalled.remove(key);
            self.crowded_out.remove(key);
            self.wake_if_room(had_room);
            self.tell_detail(|| format!("connection {} closed", key.number()));
        }
    }

    /// How many are connected.
    pub fn connections(&self) -> usize {
        self.clients.len()
    }

    /// One of those connected.
    pub fn client(&self, key: Key) -> Option<&Client> {
        self.clients.get(key)
    }

    /// How many bytes may be read from the connection now; `readable`: it may have some. None: it is
    /// not listened to, for now or any more.
    pub fn room(&mut self, key: Key, readable: bool) -> Option<usize> {
        let client = self.clients.get_mut(key)?;
        match client.life {
            Life::Draining(_) => return Some(limits::TURN_DRAIN_BYTES),
            // Whoever is told to go and does not read it is not listened to either.
            Life::Closing | Life::Dead => return None,
            Life::Open if self.is_stopping => {
                client.incoming.still_writes |= readable;
                return None;
            }
            Life::Open => {}
        }
        // While a whole request waits for its turn nothing more is read: the sender's own socket
        // holds it back.
        if client.incoming.waits && !planted(Mutant::ReadsPastWaiting) {
            return Some(0);
        }
        let held = client.incoming.inbox.len();
        let room = self.input_room(held);
        if room == 0 && readable {
            self.wait_for_input_room(key);
        }
        Some(room.min(limits::TURN_READ_BYTES))
    }

    /// What was read from the connection within [`Clients::room`], and why reading stopped.
    pub fn receive(&mut self, replica: &mut Replica, key: Key, bytes: &[u8], end: ReadEnd) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Life::Draining(_) = client.life {
            // What comes behind a request that ended the connection is thrown away, so that closing
            // does not reset it and the answer arrives.
            return match end {
                ReadEnd::Blocked => {}
                ReadEnd::Budget => self.on_more(key),
                ReadEnd::Closed | ReadEnd::Broken => self.doom(key),
            };
        }
        if !bytes.is_empty() {
            client.active_ms = self.now.monotonic_ms;
        }
        // Who writes nothing more is served what it asked before, then let go.
        client.incoming.ended |= end == ReadEnd::Closed;
        let mut inbox = std::mem::take(&mut client.incoming.inbox);
        if end == ReadEnd::Broken {
            self.doom(key);
        }
        inbox.take_up(bytes, |input, scanned| self.take_requests(replica, key, input, scanned));
        let Some(client) = self.clients.get_mut(key) else { return };
        client.incoming.inbox = inbox;
        if end == ReadEnd::Budget && !client.incoming.waits {
            match bytes.is_empty() {
                // It was not read from, since a request waited.
                true if !self.crowded_out.contains(key) => self.queue(key),
                true => {}
                false => self.on_more(key),
            }
        }
    }

    /// Takes up requests, and gives how many bytes they were; `scanned` as
    /// [`crate::protocol::framing::split`] wants it. The rest comes again with what follows, or when
    /// the connection is served again.
    fn take_requests(
        &mut self,
        replica: &mut Replica,
        key: Key,
        input: &[u8],
        scanned: &mut usize,
    ) -> usize {
        // What is kept of the input is moved in memory with each visit.
        self.charge(key, input.len() as u64 / 16);
        let used = self.dispatch(replica, key, input, scanned);
        self.count_input(key, input.len() - used, used > 0);
        self.finish_if_ended(key);
        used
    }

    fn finish_if_ended(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        // Whole requests that wait for room or for the disk are still to be served.
        let served = client.work == Work::Idle && !client.incoming.waits;
        if client.incoming.ended && served && client.life == Life::Open {
            client.life = Life::Closing;
            self.mark_dirty(key);
        }
    }

    /// What is to be written to the connection.
    pub fn output(&mut self, key: Key) -> Option<&mut Output> {
        let client = self.clients.get_mut(key)?;
        (!matches!(client.life, Life::Draining(_))).then_some(&mut client.outgoing.output)
    }

    /// So many bytes of its output were written, or it is broken.
    pub fn written(&mut self, key: Key, count: Option<usize>) {
        let Some(count) = count else { return self.doom(key) };
        let had_room = self.pages_have_room();
        self.count_written(key, count > 0);
        self.wake_if_room(had_room);
        let Some(client) = self.clients.get_mut(key) else { return };
        if count > 0 {
            client.active_ms = self.now.monotonic_ms;
        }
        client.outgoing.output.tidy(&mut self.spares);
        let unwritten = client.unwritten();
        if client.life == Life::Closing {
            if unwritten == 0 {
                self.drain(key, self.now.monotonic_ms + limits::DRAIN_MS);
            }
        } else if unwritten == 0 && client.outgoing.left_out != 0 {
            // All that fitted is read: say which pushes did not.
            let seq = std::mem::take(&mut client.outgoing.left_out);
            client.put(client.codec, &reply::lagging(seq), &mut self.spares);
            self.mark_dirty(key);
        } else if client.incoming.waits && client.has_room(self.outputs.bytes()) {
            self.queue(key);
        }
    }

    /// All is said and written: the writing side is closed, and what still comes is thrown away until
    /// the other side closes too or this instant comes.
    fn drain(&mut self, key: Key, until_ms: u64) {
        let Some(client) = self.clients.get_mut(key) else { return };
        self.todo.shut.push(key);
        if client.incoming.ended {
            return self.doom(key);
        }
        client.life = Life::Draining(until_ms);
        self.deadlines.set(until_ms, key);
        self.queue(key);
    }

    /// Asks every connection whose instant has come, and sets its next; lets go of those that hold
    /// what others need.
    pub fn pass_deadlines(&mut self) {
        self.make_room();
        while let Some(key) = self.deadlines.passed(self.now.monotonic_ms) {
            if let Some(next_ms) = self.deadline(key) {
                self.deadlines.set(next_ms, key);
            }
        }
    }

    /// When the connection wants to be asked again, or none when its time is over and it is closed.
    fn deadline(&mut self, key: Key) -> Option<u64> {
        let client = self.clients.get(key)?;
        if let Life::Draining(until_ms) = client.life {
            if until_ms > self.now.monotonic_ms {
                return Some(until_ms);
            }
            self.doom(key);
            return None;
        }
        let idle_ms = client.active_ms + self.settings.idle_timeout_ms;
        let next_ms = client.login_by_ms.map_or(idle_ms, |by_ms| by_ms.min(idle_ms));
        if next_ms > self.now.monotonic_ms {
            return Some(next_ms);
        }
        self.tell_detail(|| {
            format!("connection {}: it was idle or did not log in for too long", key.number())
        });
        self.doom(key);
        None
    }

    /// Where clients reach another server now.
    pub fn set_peer_address(&mut self, id: ServerId, address: String) {
        let peers = &mut self.settings.peers;
        peers.retain(|(peer, _)| *peer != id);
        peers.push((id, address));
    }

    /// Whether every change that was asked for is answered.
    pub fn is_answered(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether every change that was asked for is answered and every answer is written.
    pub fn is_quiet(&self) -> bool {
        let unwritten = |key: Key| self.clients.get(key).is_some_and(Client::has_unwritten);
        self.pending.is_empty() && self.pages.is_empty() && !self.clients.keys().any(unwritten)
    }

    /// From now on nothing more is read.
    pub fn stop(&mut self) {
        self.is_stopping = true;
        // Each tells so whether it has something to be read.
        self.clients.keys().collect::<Vec<Key>>().into_iter().for_each(|key| self.queue(key));
    }

    /// At a stop, once all is answered: to close a connection with bytes unread would reset it, and
    /// answers on their way would be lost. So whoever is still writing is told the end, and what it
    /// writes is thrown away until it closes. True when there is nobody of these any more.
    pub fn writers_have_read(&mut self, by_ms: u64) -> bool {
        let still_writes = |key: &Key| {
            self.clients.get(*key).is_some_and(|client| match client.life {
                Life::Draining(_) => true,
                _ => client.incoming.still_writes,
            })
        };
        let keys: Vec<Key> = self.clients.keys().filter(still_writes).collect();
        for &key in &keys {
            if let Some(client) = self.clients.get_mut(key)
                && std::mem::take(&mut client.incoming.still_writes)
            {
                self.drain(key, by_ms);
            }
        }
        keys.is_empty()
    }

    /// Has the connection's output written.
    fn mark_dirty(&mut self, key: Key) {
        if self.clients.get(key).is_some() {
            self.todo.write.push(key);
        }
    }

    /// As [`Todo::write`], for whoever found out that there is room to write.
    pub fn on_writable(&mut self, key: Key) {
        self.mark_dirty(key);
    }

    /// Has the connection closed.
    pub fn doom(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key)
            && client.life != Life::Dead
        {
            client.life = Life::Dead;
            self.todo.close.push(key);
            self.remove_unauthenticated(key);
        }
    }

    fn tell(&mut self, level: TraceLevel, line: String) {
        self.todo.tell.push(Line::new(level, line));
    }

    fn tell_detail(&mut self, line: impl FnOnce() -> String) {
        if self.settings.tell_details {
            self.tell(TraceLevel::Debug, line());
        }
    }
}
