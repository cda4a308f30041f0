//! The client session, sans-I/O: what a client of a list of servers says and when, with time in
//! milliseconds, seeds and ids passed in and outputs handed back. It reads no clock, socket or file,
//! so the same code runs under a simulator.
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
//! - Nothing is sent behind a message to a name that is not known to be an account before its answer
//!   has come: "no such user" may be lost, and by the time of the retry there may be one.
//! - Below the cursor everything has been handed out as an event, once. Pushes move the cursor only
//!   after a `sync` has reached `end` on the connection; before that they are dropped, since `sync`
//!   brings them.
//! - The server's words never panic it; a server that does not keep the protocol is left.

pub mod look;
mod moving;
mod old;
mod replies;
mod requests;
mod types;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use old::OLD_MS;

use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::protocol::Message;
use crate::protocol::framing::Codec;
pub use requests::{Refusal, Request};
pub use types::{Config, Draft, Event, Full, Incoming, Output, State};

/// A server that has not taken the connection by then is passed over, milliseconds, while others of the
/// list are untried; doubled each round of the list up to [`CONNECT_MS`].
pub const CONNECT_FIRST_MS: u64 = 1_500;
/// The longest wait for a connection, milliseconds.
pub const CONNECT_MS: u64 = 5_000;
/// A login (a password hash, perhaps an election) may take this long, milliseconds.
pub const LOGIN_MS: u64 = 30_000;
/// With nothing heard for so long while a reply is owed, the connection is given up, milliseconds.
pub const SILENCE_MS: u64 = 10_000;
/// No reply may take longer than this, even when other things are heard, milliseconds.
pub const REPLY_MS: u64 = 30_000;
/// With nothing heard for so long, the server is pinged, milliseconds: at the most, see
/// [`PING_JITTER_MS`].
pub const PING_IDLE_MS: u64 = 2_000;
/// A ping may come so much earlier, milliseconds.
pub const PING_JITTER_MS: u64 = 500;
/// The first wait after every server of the list has failed, milliseconds; doubled each round.
pub const BACKOFF_MS: u64 = 100;
/// The longest wait between two attempts, milliseconds.
pub const BACKOFF_MOST_MS: u64 = 5_000;
/// Online for so long, a connection counts as a good one and the back-off starts anew, milliseconds.
pub const SETTLED_MS: u64 = 2_000;

/// A server that says for so long that it is read-only is left for the next of the list, milliseconds:
/// others may have a majority that it does not reach, or it is none of the cluster's any more.
pub const READ_ONLY_MS: u64 = 10_000;

/// Where the session is with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No connection; the next attempt is at `until`.
    Waiting { until: u64 },
    /// The driver is connecting.
    Connecting { deadline: u64 },
    /// Connected; the login is under way.
    LoggingIn { deadline: u64 },
    /// Logged in since then.
    Online { since: u64 },
    /// No connection, and none wanted until a password is set.
    Stopped,
}

/// How a login was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoginKind {
    Create,
    Password,
    Resume,
}

/// A request on the connection whose reply has not come.
#[derive(Debug)]
struct Pending {
    kind: PendingKind,
    sent_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PendingKind {
    Login(LoginKind),
    Logoff,
    Standing,
    Token,
    Ping,
    Watch,
    Sync,
    Read { name: String, seq: u64 },
    Send { id: u128 },
    Request { number: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    /// Pushes are dropped; a `sync` has to be sent.
    Wanted,
    /// A page is on its way.
    Running,
    /// Pushes move the cursor.
    Done,
}

#[derive(Debug)]
struct OutboxItem {
    draft: Draft,
    in_flight: bool,
    /// It may have been sent before: by an earlier run, or on a connection of this one.
    may_be_stored: bool,
    /// This run has taken it.
    is_new: bool,
    /// However old it is: somebody has said so.
    may_be_old: bool,
    /// Its seq and time, once the account's events have shown that it is stored.
    stored: Option<(u64, u64)>,
}

/// See the module's comment.
pub struct Session {
    servers: Vec<String>,
    user: String,
    codec: Codec,
    create: bool,
    password: Option<String>,
    token: Option<String>,
    follow: bool,
    seed: u64,

    phase: Phase,
    next_server: usize,
    redirects: u32,
    /// A redirect is being followed.
    is_moving: bool,
    failures: u32,
    look: look::Look,
    /// Of looks; from a random number on, so that clients do not all ask the same server.
    questions: usize,
    pace: look::Pace,
    /// The term of the server that is spoken to, or of a PRIMARY that was heard of since; 0: not known.
    term: u64,
    /// Where the server that is spoken to says it is reached, if it is PRIMARY.
    advertised: String,
    /// Since when the server says that it does not serve all.
    unserved_since: Option<u64>,
    /// When it began to serve all again: what was asked before had to wait for an election.
    served_since: u64,
    /// With nothing heard for so long, the server is pinged.
    ping_after_ms: u64,
    address: String,
    trouble: Option<String>,

    incoming: Vec<u8>,
    scanned: usize,
    outgoing: Vec<u8>,
    written: usize,
    last_heard: u64,
    pending: VecDeque<Pending>,
    frames: Vec<Message<'static>>,

    cluster: u128,
    cursor: Option<u64>,
    known: u64,
    own_recent: BTreeMap<u64, u128>,
    sync: Sync,
    /// The place from which the last page was asked for.
    sync_from: u64,
    /// The newest push that was dropped because a sync was under way.
    missed: u64,

    outbox: VecDeque<OutboxItem>,
    outbox_bytes: usize,
    held_elsewhere: Vec<OutboxItem>,
    /// Refused as too old to tell whether they are stored: the newest of them.
    unsure: VecDeque<u128>,
    /// Waited too long: somebody has to say whether they still go out.
    held_old: Vec<OutboxItem>,
    epoch_ms: u64,
    /// A send was refused with "not now": none leaves before all in flight are answered and this
    /// time has come.
    pause: Option<u64>,
    refusals: u32,
    held_code: String,
    /// Names that are accounts, or were: a server has said so. A name is never given out again, so
    /// this cannot become wrong.
    receivers: BTreeSet<String>,

    requests: VecDeque<requests::Waiting>,
    next_number: u64,
    markers: VecDeque<(String, u64)>,
    /// Accounts of which the server tells whether they are online, and whether it is still to be asked.
    watched: Vec<String>,
    watch_is_due: bool,

    server_state: Option<State>,
    /// When a server that is read-only is left.
    leave_at: Option<u64>,
    told_state: State,
    token_is_fresh: bool,
    /// How long the last answer on this connection took, milliseconds.
    latency_ms: Option<u64>,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A session that wants to connect at once. `config.servers` must not be empty.
    pub fn new(config: Config, now_ms: u64) -> Session {
        assert!(!config.servers.is_empty(), "a session has servers to try");
        let phase = match config.password.is_some() || config.token.is_some() {
            true => Phase::Waiting { until: now_ms },
            false => Phase::Stopped,
        };
        let mut session = Session {
            servers: config.servers,
            user: config.user,
            codec: config.codec,
            create: config.create,
            password: config.password,
            token: config.token.filter(|token| token.len() <= limits::BODY_BYTES),
            follow: config.follow,
            seed: config.seed,
            phase,
            next_server: 0,
            redirects: 0,
            is_moving: false,
            failures: 0,
            look: look::Look::Quiet,
            questions: 0,
            pace: look::Pace::default(),
            term: 0,
            advertised: String::new(),
            unserved_since: None,
            served_since: 0,
            ping_after_ms: PING_IDLE_MS,
            address: String::new(),
            trouble: None,
            incoming: Vec::new(),
            scanned: 0,
            outgoing: Vec::new(),
            written: 0,
            last_heard: now_ms,
            pending: VecDeque::new(),
            frames: Vec::new(),
            cluster: config.cluster,
            cursor: config.cursor,
            known: config.cursor.unwrap_or(0),
            // Who follows nothing shows nothing twice, and never syncs to move the cursor past them.
            own_recent: match config.follow {
                true => newest_own(config.own_recent, config.cursor),
                false => BTreeMap::new(),
            },
            sync: Sync::Wanted,
            sync_from: 0,
            missed: 0,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            held_elsewhere: Vec::new(),
            unsure: VecDeque::new(),
            held_old: Vec::new(),
            epoch_ms: config.epoch_ms,
            pause: None,
            refusals: 0,
            held_code: String::new(),
            receivers: BTreeSet::new(),
            requests: VecDeque::new(),
            next_number: 1,
            markers: VecDeque::new(),
            watched: Vec::new(),
            watch_is_due: false,
            server_state: None,
            leave_at: None,
            told_state: State::Offline,
            token_is_fresh: false,
            latency_ms: None,
            outputs: VecDeque::new(),
        };
        session.questions = session.random_below(1 << 20) as usize;
        session.ping_after_ms = session.next_ping_ms();
        if session.phase == Phase::Stopped {
            session.event(Event::PasswordNeeded);
        }
        session.settle(now_ms);
        session
    }

    // What a user wants.

    /// Adds a new message to the outbox. The caller has it on disk already: from here on it may be
    /// sent at any time.
    ///
    /// # Errors
    /// The outbox is full.
    pub fn send(&mut self, now_ms: u64, draft: Draft) -> Result<(), Full> {
        self.add(now_ms, draft, false)
    }

    /// Adds a message of an earlier run, which may have sent it.
    ///
    /// # Errors
    /// The outbox is full.
    pub fn send_again(&mut self, now_ms: u64, draft: Draft) -> Result<(), Full> {
        self.add(now_ms, draft, true)
    }

    fn add(&mut self, now_ms: u64, draft: Draft, may_be_stored: bool) -> Result<(), Full> {
        if !self.has_room(1, draft.body.len()) {
            return Err(Full);
        }
        let fits = (1..=limits::BODY_BYTES).contains(&draft.body.len());
        if !fits || draft.to.len() > limits::NAME_FIELD_BYTES {
            let refusal = Refusal::new("too-long", "a message has 1 to 65,535 bytes");
            self.event(Event::Failed { draft, refusal });
            return Ok(());
        }
        self.outbox_bytes += draft.body.len();
        let item = OutboxItem {
            draft,
            in_flight: false,
            may_be_stored,
            is_new: !may_be_stored,
            may_be_old: false,
            stored: None,
        };
        match self.is_for_another_cluster(&item.draft) {
            true => self.held_elsewhere.push(item),
            false => self.outbox.push_back(item),
        }
        self.settle(now_ms);
        Ok(())
    }

    /// Whether the outbox has room for `count` more messages of `bytes` together.
    pub fn has_room(&self, count: usize, bytes: usize) -> bool {
        let held = self.held_elsewhere.len() + self.held_old.len();
        self.outbox.len() + held + count <= limits::OUTBOX_MESSAGES
            && self.outbox_bytes + bytes <= limits::OUTBOX_BYTES
    }

    /// Asks the server for something, as soon as there is one; an [`Event::Answer`] with the number
    /// comes in any case.
    pub fn request(&mut self, now_ms: u64, request: Request) -> Result<u64, Full> {
        if self.requests.len() >= limits::CLIENT_REQUESTS {
            return Err(Full);
        }
        let number = self.next_number;
        self.next_number += 1;
        match request.fits() {
            true => self.requests.push_back(requests::Waiting::new(number, request)),
            false => {
                let result = Err(Refusal::new("too-long", "that is more than a request can hold"));
                self.event(Event::Answer { number, result });
            }
        }
        self.settle(now_ms);
        Ok(number)
    }

    /// All that `name` sent up to `seq` has been seen by the user.
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

    /// Has the server tell whether these accounts are online, and no others: [`Event::Online`], then
    /// [`Event::Presence`]. Past [`limits::WATCHED_NAMES`] the rest of them is left out.
    pub fn watch(&mut self, now_ms: u64, mut names: Vec<String>) {
        names.truncate(limits::WATCHED_NAMES);
        self.watch_is_due |= names != self.watched;
        self.watched = names;
        self.settle(now_ms);
    }

    /// Goes on after [`Event::PasswordNeeded`] or [`Event::LoginRefused`].
    pub fn set_password(&mut self, now_ms: u64, password: String) {
        if password.len() > limits::PASSWORD_BYTES {
            let refusal = Refusal::new("bad-password", "a password has at most 1,024 bytes");
            return self.event(Event::LoginRefused(refusal));
        }
        self.password = Some(password);
        self.token = None;
        if self.phase == Phase::Stopped {
            self.phase = Phase::Waiting { until: now_ms };
        }
        self.settle(now_ms);
    }

    // What the driver tells.

    /// The connection asked for stands.
    pub fn connected(&mut self, now_ms: u64) {
        if !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        self.last_heard = now_ms;
        self.phase = Phase::LoggingIn { deadline: now_ms + LOGIN_MS };
        self.ask_standing(now_ms);
        self.log_in(now_ms);
        self.settle(now_ms);
    }

    /// Bytes from the connection, cut anywhere.
    pub fn received(&mut self, now_ms: u64, bytes: &[u8]) {
        if !self.is_attached() {
            return;
        }
        self.last_heard = now_ms;
        self.read_frames(now_ms, bytes);
        self.settle(now_ms);
    }

    /// The connection could not be made, or is gone; `why` is a clause for people.
    pub fn closed(&mut self, now_ms: u64, why: &str) {
        if self.is_attached() || matches!(self.phase, Phase::Connecting { .. }) {
            let address = self.address.clone();
            self.lose(now_ms, format!("{address}: {why}"));
        }
        self.settle(now_ms);
    }

    /// Time has passed: to be called at [`Session::deadline`], harmless at any time.
    pub fn tick(&mut self, now_ms: u64) {
        self.check_deadlines(now_ms);
        self.settle(now_ms);
    }

    // What the driver takes.

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`Session::poll`] has something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Bytes for the connection.
    pub fn outgoing(&self) -> &[u8] {
        &self.outgoing[self.written..]
    }

    /// `count` bytes of [`Session::outgoing`] were taken by the socket.
    pub fn wrote(&mut self, now_ms: u64, count: usize) {
        self.written += count;
        assert!(self.written <= self.outgoing.len(), "more was written than there was");
        if self.written == self.outgoing.len() {
            self.outgoing.clear();
            self.written = 0;
            self.settle(now_ms);
        }
    }

    /// When [`Session::tick`] is to be called next, milliseconds on the caller's clock.
    pub fn deadline(&self) -> Option<u64> {
        let own = match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Connecting { deadline } | Phase::LoggingIn { deadline } => Some(deadline),
            Phase::Stopped => None,
            Phase::Online { .. } => {
                let reply = match self.pending.front() {
                    Some(oldest) => self.reply_deadline(oldest),
                    None => self.last_heard + self.ping_after_ms,
                };
                let again = self.requests.iter().filter_map(requests::Waiting::wakes_at).min();
                let flying = self.outbox.front().is_some_and(|item| item.in_flight);
                let pause = self.pause.filter(|_| !self.outbox.is_empty() && !flying);
                [Some(reply), pause, again, self.leave_at].into_iter().flatten().min()
            }
        };
        [own, self.look_deadline()].into_iter().flatten().min()
    }

    // What can be asked.

    /// There is a connection that it speaks on.
    pub fn is_attached(&self) -> bool {
        matches!(self.phase, Phase::LoggingIn { .. } | Phase::Online { .. })
    }

    /// The state, in one word.
    pub fn state(&self) -> State {
        match (self.phase, self.server_state) {
            (Phase::Online { .. }, state) => state.unwrap_or(State::Connected),
            (Phase::LoggingIn { .. }, Some(State::Electing)) => State::Electing,
            // The password is said again, on a connection that stands.
            (Phase::LoggingIn { .. }, state) if self.is_logging_in_again() => {
                state.unwrap_or(State::Connected)
            }
            _ if self.is_expected() => State::Electing,
            _ => State::Offline,
        }
    }

    /// Messages in the outbox that may still be sent here.
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Messages in the outbox that are for another cluster.
    pub fn waiting_elsewhere(&self) -> usize {
        self.held_elsewhere.len()
    }

    /// Those of them that this run has taken.
    pub fn new_elsewhere(&self) -> usize {
        self.held_elsewhere.iter().filter(|item| item.is_new).count()
    }

    /// Requests, markers and replies that are still open, besides the outbox.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.markers.is_empty() && self.pending.is_empty()
    }

    /// Everything stored up to now has been handed out (on this connection).
    pub fn is_synced(&self) -> bool {
        self.sync == Sync::Done && matches!(self.phase, Phase::Online { .. })
    }

    /// Own messages lie above the cursor: [`Session::sync_again`] would move it.
    pub fn is_behind(&self) -> bool {
        !self.own_recent.is_empty()
    }

    /// Asks for a `sync`, which moves the cursor past own messages: before a clean end.
    pub fn sync_again(&mut self, now_ms: u64) {
        if self.follow && self.sync == Sync::Done && !self.own_recent.is_empty() {
            self.want_sync();
        }
        self.settle(now_ms);
    }

    /// The seq up to which everything has been handed out; `None` before the first login.
    pub fn cursor(&self) -> Option<u64> {
        self.cursor
    }

    /// The newest seq heard of: for [`Draft::known`].
    pub fn known(&self) -> u64 {
        self.known
    }

    /// The cluster's id, 0 when none is known.
    pub fn cluster(&self) -> u128 {
        self.cluster
    }

    /// The server that is (or was last) spoken to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How long the server took for its last answer, milliseconds; `None` before the first one on a
    /// connection.
    pub fn latency_ms(&self) -> Option<u64> {
        self.latency_ms
    }

    /// Messages in the outbox that may still be sent here, in their order.
    pub fn drafts(&self) -> impl Iterator<Item = &Draft> {
        self.outbox.iter().map(|item| &item.draft)
    }

    /// Starts from what is newest at the login: what came before is not handed out. To be called
    /// before anything else.
    pub fn start_at_newest(&mut self) {
        self.cursor = None;
        self.own_recent.clear();
    }

    /// Why the session is not connected, as a sentence without a stop; `None` after a login.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    // The detail.

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Not logged in, but on the way to the PRIMARY: a server has named it, or says that it is the
    /// one now.
    fn is_expected(&self) -> bool {
        let is_on_the_way = self.is_moving || self.server_state.is_some();
        is_on_the_way && self.told_state != State::Offline && self.phase != Phase::Stopped
    }

    fn is_for_another_cluster(&self, draft: &Draft) -> bool {
        draft.cluster != 0 && self.cluster != 0 && draft.cluster != self.cluster
    }

    /// Ends every input: starts what is due, fills the connection, tells a changed state.
    fn settle(&mut self, now_ms: u64) {
        if let Phase::Waiting { until } = self.phase
            && until <= now_ms
        {
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

    fn start_connecting(&mut self, now_ms: u64) {
        self.address = self.servers[self.next_server].clone();
        self.phase = Phase::Connecting { deadline: now_ms + self.connect_ms() };
        self.server_state = None;
        self.advertised.clear();
        self.outputs.push_back(Output::Connect(self.address.clone()));
    }

    /// The connection (or the attempt) has failed: the next server of the list, after a while.
    fn lose(&mut self, now_ms: u64, why: String) {
        if let Phase::Online { since } = self.phase
            && now_ms.saturating_sub(since) >= SETTLED_MS
        {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.redirects = 0;
        self.is_moving = false;
        self.next_server = (self.next_server + 1) % self.servers.len();
        self.trouble = Some(why);
        let wait_ms = self.back_off_ms(self.failures - 1, self.servers.len() as u32);
        self.drop_connection();
        self.phase = Phase::Waiting { until: now_ms + wait_ms };
    }

    /// Forgets all that belongs to one connection; what was unanswered waits to be asked again.
    fn drop_connection(&mut self) {
        if self.is_attached() || matches!(self.phase, Phase::Connecting { .. }) {
            self.outputs.push_back(Output::Close);
        }
        self.incoming = Vec::new();
        self.scanned = 0;
        self.outgoing.clear();
        self.written = 0;
        self.pending.clear();
        self.frames.clear();
        self.pause = None;
        self.refusals = 0;
        self.held_code.clear();
        self.server_state = None;
        self.unserved_since = None;
        self.end_look();
        self.leave_at = None;
        self.latency_ms = None;
        self.want_sync();
        self.watch_is_due = !self.watched.is_empty();
        if planted(Mutant::OutboxDroppedEarly) {
            self.outbox.retain(|item| !item.in_flight);
        }
        for item in &mut self.outbox {
            if planted(Mutant::RetryWithNewId) && item.in_flight {
                item.draft.id = !item.draft.id;
            }
            item.in_flight = false;
        }
        self.reopen_requests();
    }

    fn want_sync(&mut self) {
        self.sync = Sync::Wanted;
    }

    /// A jittered wait: short while servers of the list are untried, then doubling each round.
    fn back_off_ms(&mut self, failures: u32, list: u32) -> u64 {
        let round = failures / list.max(1);
        if round == 0 {
            return self.random_below(BACKOFF_MS / 2);
        }
        let most = BACKOFF_MS.saturating_mul(1 << round.min(16)).min(BACKOFF_MOST_MS);
        most / 2 + self.random_below(most / 2)
    }

    /// How long the silence before the next ping lasts: clients that have heard the same push do not
    /// ping together for ever.
    fn next_ping_ms(&mut self) -> u64 {
        PING_IDLE_MS - self.random_below(PING_JITTER_MS)
    }

    /// SplitMix64.
    fn random_below(&mut self, bound: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    /// What must hold between two inputs.
    fn check_invariants(&self) {
        let flying = self.outbox.iter().filter(|item| item.in_flight).count();
        let asked = self.pending.iter().filter(|p| matches!(p.kind, PendingKind::Send { .. }));
        assert_eq!(flying, asked.count(), "each send in flight has one reply owed");
        assert!(flying <= limits::SEND_WINDOW, "the window is bounded");
        assert!(self.is_attached() || self.pending.is_empty(), "no reply without a connection");
        assert!(self.is_attached() || self.outgoing.is_empty(), "no bytes without a connection");
        let is_quiet = matches!(self.look, look::Look::Quiet);
        assert!(self.is_attached() || is_quiet, "nobody is suspected without a connection");
        assert!(self.own_recent.len() <= limits::OWN_RECENT + limits::SEND_WINDOW);
        let cursor = self.cursor.unwrap_or(0);
        assert!(self.own_recent.keys().all(|seq| *seq > cursor), "below the cursor: forgotten");
    }
}

/// The newest own messages above the cursor, as many as are remembered.
fn newest_own(own: Vec<(u64, u128)>, cursor: Option<u64>) -> BTreeMap<u64, u128> {
    let mut newest: BTreeMap<u64, u128> = own.into_iter().collect();
    newest.retain(|seq, _| *seq > cursor.unwrap_or(0));
    while newest.len() > limits::OWN_RECENT {
        newest.pop_first();
    }
    newest
}
