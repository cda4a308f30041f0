//! What the server does for its clients, without sockets, threads, clocks or disks: bytes of
//! requests go in, bytes of answers and pushes come out, and a list of what is to be done outside
//! ([`Todo`]). The loop in [`super::turn`] does it; so does the simulator.
//!
//! | file         | what it has |
//! | ---          | --- |
//! | this one     | the service's state, and how the loop talks to it |
//! | [`dispatch`] | from bytes to requests; the dispatch |
//! | [`request`]  | the table of requests |
//! | [`budget`]   | how much work a turn does, and whose turn it is |
//! | [`accounts`], [`messages`], [`queries`] | the requests |
//! | [`clocks`]   | the times of entries |
//! | [`apply`]    | committed entries to replies and pushes |
//! | [`members`]  | which servers there are, as the log is to say it |
//! | [`pages`]    | answers of several frames, read from the log |
//! | [`holders`]  | what clients hold of the server's memory, and who is let go for it |
//! | [`serving`]  | whether this server may answer at all |
//! | [`client`], [`sessions`], [`unauthenticated`] | connections, those logged in, those not |
//! | [`limiter`], [`guesses`], [`hash_queue`] | attempts to log in: of a network, at an account; their turn |
//! | [`counted`]  | lines for the operator that count |

mod accounts;
mod apply;
mod budget;
mod client;
mod clocks;
mod counted;
mod dispatch;
mod guesses;
mod hash_queue;
mod holders;
mod limiter;
mod members;
mod messages;
mod pages;
mod presence;
mod queries;
pub(super) mod random;
mod reply;
mod request;
mod serving;
mod sessions;
mod unauthenticated;

use std::collections::{HashMap, VecDeque};

use accounts::Hashing;
use budget::Budget;
use client::Life;
pub use client::{Client, Work};
use counted::Counted;
use guesses::Guesses;
use hash_queue::HashQueue;
use holders::Holders;
use limiter::Limiter;
use messages::Pending;
use pages::Page;
use presence::Presence;
use random::Random;
pub use reply::{Refusal, refuse};
pub use request::{Request, Row, TABLE};
pub use serving::Serving;
use sessions::Sessions;
use unauthenticated::Unauthenticated;

use super::TraceLevel;
use super::lines::Line;
use super::replica::Replica;
use super::time::{Bounds, Notice, Time};
use crate::auth::hasher::Job;
use crate::chat::Command;
use crate::mutants::{Mutant, planted};
use crate::net::{Key, Origin, Slots, Spares};
use crate::raft::ServerId;
use crate::wal::{Location, SpareState};

/// What a service is told at its start.
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
    /// How long a step of the wall clock must last before it is followed, milliseconds.
    pub clock_stands_ms: u64,
    /// Whether details are told too.
    pub tell_details: bool,
}

/// What time it is; the loop says so at the start of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Of a clock that never goes back, milliseconds.
    pub monotonic_ms: u64,
    /// Of one that nobody can set and that counts suspended time, milliseconds.
    pub boot_ms: u64,
    /// Of the wall clock, milliseconds since the Unix epoch: for [`Time`] alone, which knows whether
    /// it is right.
    pub unix_ms: u64,
}

/// Entries to be read for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadJob {
    /// To be named in [`Service::on_read`].
    pub id: u64,
    /// Where they are.
    pub locations: Vec<Location>,
}

/// What is to be done outside. Whoever does it takes it out.
#[derive(Default)]
pub struct Todo {
    /// Connections to be looked at again: read from, and given to [`Service::receive`]; see
    /// [`Service::next_to_serve`].
    pub serve: VecDeque<Key>,
    /// Those of them that do more than their share of the work: they come last.
    pub rest: VecDeque<Key>,
    /// Connections with something to be written.
    pub write: Vec<Key>,
    /// Connections to be closed; [`Service::disconnect`] comes then.
    pub close: Vec<Key>,
    /// Connections to be asked for their deadline no later than this instant, milliseconds.
    pub ask: Vec<(u64, Key)>,
    /// Passwords to be hashed, for [`Service::on_hashed`].
    pub hash: Vec<Job>,
    /// Entries to be read, for [`Service::on_read`].
    pub read: VecDeque<ReadJob>,
    /// Lines for the operator.
    pub tell: Vec<Line>,
}

/// What a server whose disk is full has done about it.
#[derive(Default)]
struct NoRoom {
    /// How often it has handed over.
    hand_overs: u32,
    /// Failures to make a spare segment that are still to be let pass.
    rests: u32,
}

/// The service.
pub struct Service {
    settings: Settings,
    now: Now,
    no_room: NoRoom,
    random: Random,
    budget: Budget,
    /// The log and the state.
    pub replica: Replica,
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
    crowded_out: Vec<Key>,
    /// Connections whose request waits for room in the log's batch or in the outputs.
    stalled: Vec<Key>,
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
    /// What time it is, as far as the clocks of all can tell.
    pub time: Time,
    /// The time of the last entry that this server put into the order, and in which term.
    given_time: (u64, u64),
    /// The time that was offered to an entry, its term, and what to tell if it is taken.
    offered_time: Option<(u64, u64, Option<Notice>)>,
}

impl Service {
    /// Serves from `replica`. What is random comes from `seed`.
    pub fn new(settings: Settings, replica: Replica, seed: [u8; 32], now: Now) -> Service {
        let bounds = Bounds {
            heard_ms: replica.core().config().election_timeout_ms,
            stands_ms: settings.clock_stands_ms,
        };
        Service {
            time: Time::new(bounds, now.boot_ms, now.unix_ms),
            given_time: (0, 0),
            offered_time: None,
            limiter: Limiter::new(settings.logins_per_minute),
            settings,
            now,
            no_room: NoRoom::default(),
            random: Random::new(seed),
            budget: Budget::default(),
            replica,
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
            crowded_out: Vec::new(),
            stalled: Vec::new(),
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
        self.time.observe(now.boot_ms, now.unix_ms);
        self.tell_of_time();
    }

    /// Somebody has connected.
    pub fn connect(&mut self, origin: Origin) -> Key {
        let now_ms = self.now.monotonic_ms;
        let login_by_ms = now_ms + self.settings.login_timeout_ms;
        let key = self.clients.insert(Client::new(origin, now_ms, login_by_ms));
        let first_ms = login_by_ms.min(now_ms + self.settings.idle_timeout_ms);
        self.todo.ask.push((first_ms, key));
        self.tell_detail(|| format!("connection {} from {origin}", key.number()));
        self.add_unauthenticated(key);
        self.bound_unauthenticated(origin.network());
        key
    }

    /// The connection is closed.
    pub fn disconnect(&mut self, key: Key) {
        self.log_out(key);
        self.remove_unauthenticated(key);
        self.forget_hashes(key);
        let had_room = self.pages_have_room();
        self.forget_holder(key);
        if let Some(client) = self.clients.remove(key) {
            if client.stalled {
                self.stalled.retain(|stalled| *stalled != key);
            }
            if client.crowded_out {
                self.crowded_out.retain(|crowded| *crowded != key);
            }
            self.wake_if_room(had_room);
            self.tell_detail(|| format!("connection {} closed", key.number()));
        }
    }

    /// How many are connected.
    pub fn connections(&self) -> usize {
        self.clients.len()
    }

    /// One of those connected.
    pub fn client(&mut self, key: Key) -> Option<&mut Client> {
        self.clients.get_mut(key)
    }

    /// The connection's bytes so far, of which the first that are returned are dealt with; `scanned`
    /// as [`crate::protocol::framing::split`] wants it. The rest is to come again with what follows,
    /// or when [`Todo::serve`] names the connection.
    pub fn receive(&mut self, key: Key, input: &[u8], scanned: &mut usize) -> usize {
        // What is kept of the input is moved in memory with each visit.
        self.charge(key, input.len() as u64 / 16);
        let used = self.dispatch(key, input, scanned);
        self.count_input(key, input.len() - used, used > 0);
        self.finish_if_ended(key);
        used
    }

    /// Bytes came from the connection, or went to it.
    pub fn on_activity(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key) {
            client.active_ms = self.now.monotonic_ms;
        }
    }

    /// The other side writes nothing more. It is served what it asked before, then let go.
    pub fn on_end(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key) {
            client.ended = true;
        }
    }

    fn finish_if_ended(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        // Whole requests that wait for room or for the disk are still to be served.
        let served = client.work == Work::Idle && !client.waits;
        if client.ended && served && client.life == Life::Open {
            client.life = Life::Closing;
            self.mark_dirty(key);
        }
    }

    /// The connection has taken what it could of its output, `moved`: something. True: it is to be
    /// closed now, the writing side first.
    pub fn on_written(&mut self, key: Key, moved: bool) -> bool {
        let had_room = self.pages_have_room();
        self.count_written(key, moved);
        self.wake_if_room(had_room);
        let Some(client) = self.clients.get_mut(key) else { return false };
        client.output.tidy(&mut self.spares);
        let unwritten = client.unwritten();
        if client.life == Life::Closing {
            return unwritten == 0;
        }
        if unwritten == 0 && client.left_out != 0 {
            // All that fitted is read: say which pushes did not.
            let seq = std::mem::take(&mut client.left_out);
            client.put(client.codec, &reply::lagging(seq), &mut self.spares);
            self.mark_dirty(key);
        } else if client.waits && client.has_room(self.outputs.bytes()) {
            self.queue(key);
        }
        false
    }

    /// When the connection wants to be asked again, or none when its time is over and it is closed.
    pub fn deadline(&mut self, key: Key) -> Option<u64> {
        let client = self.clients.get(key)?;
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

    /// The batch is durable.
    pub fn batch_durable(&mut self, batch_no: u64) {
        self.replica.batch_durable(batch_no);
        self.wake_stalled();
    }

    /// What became of the log's spare segment. A PRIMARY without room hands over, also one that was
    /// elected while it had none; true when it does. Where nobody has room, rests that grow keep the
    /// servers from handing over to each other all the time: what is stored is read meanwhile.
    pub fn spare_changed(&mut self, state: &SpareState) -> bool {
        let was_full = self.replica.full();
        self.replica.spare_changed(state);
        self.wake_stalled();
        match state {
            SpareState::Ready => self.no_room = NoRoom::default(),
            SpareState::Failed(_) if was_full && planted(Mutant::FullPrimaryStays) => {}
            SpareState::Failed(_) if self.no_room.rests > 0 => self.no_room.rests -= 1,
            SpareState::Failed(_) => {
                // Each in its turn: two without room would only hand over to each other.
                let NoRoom { hand_overs, rests } = &mut self.no_room;
                if self.replica.hand_over_in_turn(self.now.monotonic_ms, *hand_overs) {
                    *hand_overs += 1;
                    // From some point on the rests no longer grow.
                    *rests = (1 << (*hand_overs).min(6)) - 1;
                    return true;
                }
            }
        }
        false
    }

    /// Puts the log's first command into its order: what this cluster is.
    pub fn found(&mut self, cluster: [u8; 16], token_secret: [u8; 32]) {
        let time = self.entry_time();
        let mut payload = Vec::new();
        let members = Vec::new();
        Command::Found { time, cluster, token_secret, members }.encode(&mut payload);
        // Whoever is PRIMARY without anybody to ask takes it.
        let taken = self.replica.propose(payload);
        self.keep_time();
        assert!(taken.is_ok(), "a cluster is founded by its first PRIMARY: {taken:?}");
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

    /// Has the connection's output written.
    fn mark_dirty(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key)
            && !client.dirty
        {
            client.dirty = true;
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
