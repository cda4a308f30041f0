//! Where the session is with its connection. What belongs to one connection is in its [`Link`], and
//! goes with it.

use std::collections::VecDeque;

use super::times::{REPLY_MS, SILENCE_MS};
use super::types::State;
use crate::protocol::Message;
use crate::protocol::framing::{self, Codec, Form};

pub(super) enum Phase {
    /// No connection; the next attempt is at `until`.
    Waiting {
        until: u64,
    },
    /// The driver is connecting.
    Connecting {
        deadline: u64,
    },
    Attached(Box<Link>),
    /// No connection, and none wanted until a password is set.
    Stopped,
}

pub(super) struct Link {
    pub stage: Stage,
    pub server: Server,
    pub look: Look,
    pub held: Held,
    /// Bytes that are not a whole frame yet, and how many of them were searched for its end.
    pub incoming: Vec<u8>,
    pub scanned: usize,
    pub outgoing: Vec<u8>,
    pub written: usize,
    pub last_heard: u64,
    /// Requests whose replies have not come, in order.
    pub pending: VecDeque<Pending>,
    /// Frames of the reply that is arriving.
    pub frames: Vec<Message<'static>>,
    /// How long the last answer took, milliseconds.
    pub latency_ms: Option<u64>,
}

pub(super) enum Stage {
    LoggingIn { deadline: u64 },
    Online(Online),
}

pub(super) struct Online {
    pub since: u64,
    pub sync: Sync,
    /// The server is still to be told which accounts to watch.
    pub watch_is_due: bool,
}

/// How far the session has caught up with what happened to the account.
#[derive(Clone, Copy)]
pub(super) enum Sync {
    /// A `sync` is to be sent. Pushes are dropped; `missed` is the newest of them.
    Wanted { missed: u64 },
    /// A page of what comes after `from` is on its way. Pushes are dropped; `missed` is the newest.
    Running { from: u64, missed: u64 },
    /// Pushes move the cursor.
    Done,
}

#[derive(Default)]
pub(super) struct Server {
    /// `None`: it has said nothing so far.
    pub state: Option<State>,
    /// Where it is reached, if it is PRIMARY.
    pub advertised: String,
    /// Since when it does not serve everything.
    pub unserved_since: Option<u64>,
    /// Since when it serves everything again: older requests had to wait for an election.
    pub served_since: u64,
    /// When it is left because it is read-only.
    pub leave_at: Option<u64>,
}

/// Where the look for another server is.
pub(super) enum Look {
    /// The server answers.
    Quiet,
    /// It does not: another is asked at this time.
    Due {
        at: u64,
        tried: Tried,
    },
    Asking {
        server: usize,
        deadline: u64,
        tried: Tried,
        incoming: Vec<u8>,
        scanned: usize,
    },
}

/// What a look has tried so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried {
    /// How often it has waited before the next question.
    pub waits: usize,
    /// Servers that did not answer, since the last wait.
    pub unanswered: usize,
}

/// Sends that were refused with "not now".
#[derive(Default)]
pub(super) struct Held {
    /// No send leaves before all in flight are answered and this time has come.
    pub until: Option<u64>,
    pub refusals: u32,
    /// The reason that the user was told last.
    pub code: String,
}

/// A request on the connection whose reply has not come.
pub(super) struct Pending {
    pub kind: PendingKind,
    pub sent_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PendingKind {
    Login(LoginKind),
    Logoff,
    Status,
    Token,
    Ping,
    Watch,
    Sync,
    Read { name: String, seq: u64 },
    Send { id: u128 },
    Request { number: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoginKind {
    Create,
    Password,
    Resume,
}

impl Phase {
    pub fn link(&self) -> Option<&Link> {
        match self {
            Phase::Attached(link) => Some(link),
            _ => None,
        }
    }

    pub fn link_mut(&mut self) -> Option<&mut Link> {
        match self {
            Phase::Attached(link) => Some(link),
            _ => None,
        }
    }

    pub fn online(&self) -> Option<&Online> {
        match &self.link()?.stage {
            Stage::Online(online) => Some(online),
            Stage::LoggingIn { .. } => None,
        }
    }

    pub fn online_mut(&mut self) -> Option<&mut Online> {
        match &mut self.link_mut()?.stage {
            Stage::Online(online) => Some(online),
            Stage::LoggingIn { .. } => None,
        }
    }
}

impl Link {
    /// A connection on which a login begins.
    pub fn new(now_ms: u64, deadline: u64) -> Link {
        Link {
            stage: Stage::LoggingIn { deadline },
            server: Server::default(),
            look: Look::Quiet,
            held: Held::default(),
            incoming: Vec::new(),
            scanned: 0,
            outgoing: Vec::new(),
            written: 0,
            last_heard: now_ms,
            pending: VecDeque::new(),
            frames: Vec::new(),
            latency_ms: None,
        }
    }

    /// Puts a request on the connection and remembers that a reply is owed.
    pub fn put(&mut self, now_ms: u64, codec: Codec, kind: PendingKind, message: &Message<'_>) {
        framing::put(&mut self.outgoing, Form::Frames, codec, message);
        self.pending.push_back(Pending { kind, sent_ms: now_ms });
    }

    /// When the connection is given up if the oldest reply owed does not come.
    pub fn reply_deadline(&self) -> Option<u64> {
        let oldest = self.pending.front()?;
        let silence = self.last_heard.max(oldest.sent_ms) + SILENCE_MS;
        Some(silence.min(oldest.sent_ms + REPLY_MS))
    }
}

impl Sync {
    /// Nothing was missed so far.
    pub const WANTED: Sync = Sync::Wanted { missed: 0 };

    /// The newest push that was dropped; 0 for none.
    pub fn missed(self) -> u64 {
        match self {
            Sync::Wanted { missed } | Sync::Running { missed, .. } => missed,
            Sync::Done => 0,
        }
    }

    /// Something up to `seq` was dropped: a `sync` has to bring it.
    pub fn miss(&mut self, seq: u64) {
        match self {
            Sync::Wanted { missed } | Sync::Running { missed, .. } => *missed = seq.max(*missed),
            Sync::Done => *self = Sync::Wanted { missed: seq },
        }
    }
}
