//! The client session, sans-I/O: what a client of a list of servers says and when. Time in
//! milliseconds, a seed and ids are passed in, outputs are handed back. It reads no clock, socket or
//! file, so the same code runs under a simulator.
//!
//! ```text
//! driver                                session
//!   new, send, request, mark_read  ->     queues, each bounded
//!   connected, received, closed, tick ->  one switch to on_<message>
//!   poll()                         <-     Connect, Close, Look, EndLook, Event
//!   outgoing(), wrote(n)           <-     bytes for the socket
//!   look_request(), look_received  <->    a question to another server, see `look`
//!   deadline()                     <-     when to call tick next
//! ```
//!
//! What holds:
//!
//! - A message given to [`Session::send`] is asked for with one id and one `seq` until the server has
//!   answered it for good, whatever happens to connections between; in the order given.
//! - Nothing is sent behind a message to a name that is not known to be an account until that message
//!   is answered: "no such user" may be lost, and by the time of the retry there may be one.
//! - Below the cursor everything has been handed out as an event, once. Pushes move the cursor only
//!   after a `sync` has reached `end` on the connection; before that they are dropped, since `sync`
//!   brings them.
//! - No message of a server makes it panic; a server that breaks the protocol is left.
//!
//! | module     | what it is |
//! | ---        | --- |
//! | `phase`    | the states of the connection, and what belongs to one |
//! | `moving`, [`look`] | from one server to another |
//! | `login`, `sync` | who it is; what happened to the account |
//! | `outbox`, `sending`, `requests` | what the user wants |
//! | `wire`, `replies` | frames out and in |

mod login;
pub mod look;
mod moving;
mod outbox;
mod phase;
mod replies;
mod requests;
mod sending;
mod sync;
mod times;
mod types;
mod wire;

use std::collections::VecDeque;

use crate::limits;
use crate::protocol::framing::Codec;
use login::Login;
use look::Pace;
use moving::{Dice, Route};
use outbox::Outbox;
use phase::{Link, PendingKind, Phase, Stage};
use requests::Requests;
use sync::Seen;
pub use times::*;
pub use types::{Config, Draft, Event, Full, Incoming, Output, Refusal, Request, State};

/// See the module's comment.
pub struct Session {
    codec: Codec,
    follow: bool,
    login: Login,
    phase: Phase,
    route: Route,
    dice: Dice,
    /// Why there is no connection.
    trouble: Option<String>,

    pace: Pace,
    /// Counts looks; from a random number on, so that clients do not all ask the same server.
    questions: usize,
    /// The term of the server of the connection, or of a PRIMARY heard of since; 0: not known.
    term: u64,
    /// The server is pinged after a silence of this length.
    ping_after_ms: u64,

    seen: Seen,
    outbox: Outbox,
    requests: Requests,
    /// How far the user has read, by sender, where the server does not know yet.
    markers: VecDeque<(String, u64)>,
    /// Accounts whose presence the server reports.
    watched: Vec<String>,

    told_state: State,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A session that connects at once. `config.servers` must not be empty.
    pub fn new(config: Config, now_ms: u64) -> Session {
        let login = Login {
            user: config.user,
            create: config.create,
            password: config.password,
            token: config.token.filter(|token| token.len() <= limits::BODY_BYTES),
            token_is_fresh: false,
        };
        // A session that follows nothing shows nothing twice, and never syncs past its own messages.
        let own = if config.follow { config.own_recent } else { Vec::new() };
        let mut dice = Dice(config.seed);
        let mut session = Session {
            codec: config.codec,
            follow: config.follow,
            phase: match login.is_possible() {
                true => Phase::Waiting { until: now_ms },
                false => Phase::Stopped,
            },
            login,
            route: Route::new(config.servers),
            trouble: None,
            pace: Pace::default(),
            questions: dice.below(1 << 20) as usize,
            term: 0,
            ping_after_ms: dice.ping_ms(),
            dice,
            seen: Seen::new(config.cluster, config.cursor, own),
            outbox: Outbox::new(config.epoch_ms),
            requests: Requests::default(),
            markers: VecDeque::new(),
            watched: Vec::new(),
            told_state: State::Offline,
            outputs: VecDeque::new(),
        };
        if matches!(session.phase, Phase::Stopped) {
            session.event(Event::PasswordNeeded);
        }
        session.settle(now_ms);
        session
    }

    // What the user wants, besides messages and requests.

    /// The user has seen all that `name` sent up to `seq`.
    pub fn mark_read(&mut self, now_ms: u64, name: &str, seq: u64) {
        match self.markers.iter_mut().find(|(marked, _)| marked == name) {
            Some((_, marker)) => *marker = seq.max(*marker),
            None => {
                if self.markers.len() >= limits::READ_MARKERS {
                    self.markers.pop_front();
                }
                self.markers.push_back((name.to_string(), seq));
            }
        }
        self.settle(now_ms);
    }

    /// Asks the server to report whether these accounts are online, and no others: [`Event::Online`],
    /// then [`Event::Presence`]. Names past [`limits::WATCHED_NAMES`] are left out.
    pub fn watch(&mut self, now_ms: u64, mut names: Vec<String>) {
        names.truncate(limits::WATCHED_NAMES);
        if let Some(online) = self.phase.online_mut() {
            online.watch_is_due |= names != self.watched;
        }
        self.watched = names;
        self.settle(now_ms);
    }

    // What the driver reports.

    /// The connection that [`Output::Connect`] asked for is up.
    pub fn connected(&mut self, now_ms: u64) {
        if !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        self.phase = Phase::Attached(Box::new(Link::new(now_ms, now_ms + LOGIN_MS)));
        self.ask_status(now_ms);
        self.log_in(now_ms);
        self.settle(now_ms);
    }

    /// Bytes from the connection, cut anywhere.
    pub fn received(&mut self, now_ms: u64, bytes: &[u8]) {
        let Some(link) = self.phase.link_mut() else { return };
        link.last_heard = now_ms;
        self.read_frames(now_ms, bytes);
        self.settle(now_ms);
    }

    /// The connection could not be made, or is gone; `why` is a clause for people.
    pub fn closed(&mut self, now_ms: u64, why: &str) {
        if matches!(self.phase, Phase::Attached(_) | Phase::Connecting { .. }) {
            let address = &self.route.address;
            self.lose(now_ms, format!("{address}: {why}"));
        }
        self.settle(now_ms);
    }

    /// Time has passed: call it at [`Session::deadline`]; it is harmless at any time.
    pub fn tick(&mut self, now_ms: u64) {
        self.check_deadlines(now_ms);
        self.settle(now_ms);
    }

    // What the driver takes.

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns true if [`Session::poll`] has something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Bytes for the connection.
    pub fn outgoing(&self) -> &[u8] {
        self.phase.link().map_or(&[], |link| &link.outgoing[link.written..])
    }

    /// The socket took `count` bytes of [`Session::outgoing`].
    pub fn wrote(&mut self, now_ms: u64, count: usize) {
        assert!(count <= self.outgoing().len(), "more was written than there was");
        let Some(link) = self.phase.link_mut() else { return };
        link.written += count;
        if link.written == link.outgoing.len() {
            link.outgoing.clear();
            link.written = 0;
            self.settle(now_ms);
        }
    }

    /// When to call [`Session::tick`] next, milliseconds on the caller's clock.
    pub fn deadline(&self) -> Option<u64> {
        let own = match &self.phase {
            Phase::Waiting { until } => Some(*until),
            Phase::Connecting { deadline } => Some(*deadline),
            Phase::Attached(link) => match link.stage {
                Stage::LoggingIn { deadline } => Some(deadline),
                Stage::Online(_) => self.online_deadline(link),
            },
            Phase::Stopped => None,
        };
        [own, self.look_deadline()].into_iter().flatten().min()
    }

    fn online_deadline(&self, link: &Link) -> Option<u64> {
        let reply = link.reply_deadline().unwrap_or(link.last_heard + self.ping_after_ms);
        let first = self.outbox.items.front();
        let held = link.held.until.filter(|_| first.is_some_and(|item| !item.in_flight));
        let again = self.requests.wakes_at();
        [Some(reply), held, again, link.server.leave_at].into_iter().flatten().min()
    }

    // What can be asked.

    /// Returns true if there is a connection.
    pub fn is_attached(&self) -> bool {
        self.phase.link().is_some()
    }

    /// The state, in one word.
    pub fn state(&self) -> State {
        let link = self.phase.link();
        let said = link.and_then(|link| link.server.state);
        // While the password is said again, the connection is as good as before.
        if self.phase.online().is_some() || link.is_some() && self.is_logging_in_again() {
            return said.unwrap_or(State::Connected);
        }
        // On the way to the PRIMARY: a server has named it, or says that it is the one now.
        let is_on_the_way = self.route.is_moving || said.is_some();
        let was_online = self.told_state != State::Offline;
        let is_expected = is_on_the_way && was_online && !matches!(self.phase, Phase::Stopped);
        match is_expected || said == Some(State::Electing) {
            true => State::Electing,
            false => State::Offline,
        }
    }

    /// Returns true if no request, marker or reply is open; the outbox does not count.
    pub fn is_idle(&self) -> bool {
        let is_owed = self.phase.link().is_some_and(|link| !link.pending.is_empty());
        self.requests.is_empty() && self.markers.is_empty() && !is_owed
    }

    /// The seq up to which everything has been handed out; `None` before the first login.
    pub fn cursor(&self) -> Option<u64> {
        self.seen.cursor
    }

    /// The newest seq heard of: for [`Draft::known`].
    pub fn known(&self) -> u64 {
        self.seen.known
    }

    /// The cluster's id, 0 when none is known.
    pub fn cluster(&self) -> u128 {
        self.seen.cluster
    }

    /// The server of the current or the last connection.
    pub fn address(&self) -> &str {
        &self.route.address
    }

    /// How long the server took for its last answer, milliseconds; `None` before the first one on a
    /// connection.
    pub fn latency_ms(&self) -> Option<u64> {
        self.phase.link()?.latency_ms
    }

    /// Starts from what is newest at the login: what came before is not handed out. Call it before
    /// anything else.
    pub fn start_at_newest(&mut self) {
        self.seen.cursor = None;
        self.seen.own.clear();
    }

    /// Why the session is not connected, as a sentence without a stop; `None` after a login.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    // The detail.

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Ends every input: starts what is due, fills the connection, reports a changed state.
    fn settle(&mut self, now_ms: u64) {
        if matches!(self.phase, Phase::Waiting { until } if until <= now_ms) {
            self.start_connecting(now_ms);
        }
        self.look_around(now_ms);
        self.fill(now_ms);
        let state = self.state();
        if state != self.told_state {
            self.told_state = state;
            self.event(Event::State(state));
        }
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
    }

    /// What must hold between two inputs.
    fn check_invariants(&self) {
        let flying = self.outbox.flying();
        let pending = self.phase.link().into_iter().flat_map(|link| &link.pending);
        let asked = pending.filter(|asked| matches!(asked.kind, PendingKind::Send { .. }));
        assert_eq!(flying, asked.count(), "each send in flight has one reply owed");
        assert!(flying <= limits::SEND_WINDOW, "the window is bounded");
        assert!(self.seen.own.len() <= limits::OWN_RECENT + limits::SEND_WINDOW);
        let cursor = self.seen.cursor.unwrap_or(0);
        assert!(self.seen.own.keys().all(|seq| *seq > cursor), "below the cursor: forgotten");
    }
}
