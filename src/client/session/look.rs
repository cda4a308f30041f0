//! A server that has gone silent, and the look for another.
//!
//! A machine that hangs, or whose cable is pulled, closes no connection: only its silence tells. The
//! client notices within a second or two, but moving on silence alone would send every client away
//! from a PRIMARY that is merely slow, and any other server would send it back. So it asks one other
//! server of its list for `server_status`, on a second connection, and moves only if that server
//! knows a PRIMARY of a higher term: the cluster has gone on without the silent one.
//!
//! ```text
//! Quiet --suspected--> Due --jitter--> Asking --a later PRIMARY--> on to that one
//!   ^                   ^                |
//!   +----heard again----+--no news-------+   another server after 1, 2, 4, 4 ... s; at once if the
//!                                              one asked does not answer and others are untried
//! ```

use crate::protocol::Message;

/// A server that owes an answer for this long is suspected, milliseconds, or for four times the
/// slowest answer of the last minute if that is longer.
pub const OWED_MS: u64 = 1_000;
/// The same for the answer to a ping, which needs nothing of the disk or of other servers.
pub const PING_OWED_MS: u64 = 500;
/// A look begins up to this much later, milliseconds: thousands of clients notice at the same time.
pub const LOOK_JITTER_MS: u64 = 500;
/// A server asked during a look answers within this, milliseconds, or counts as silent too.
pub const LOOK_MS: u64 = 1_000;
/// From one look in vain to the next, milliseconds; the last holds from then on.
pub const LOOK_AGAIN_MS: [u64; 3] = [1_000, 2_000, 4_000];
/// Half of the time over which the slowest answer is remembered, milliseconds.
const PACE_MS: u64 = 30_000;
/// The slowest answer of the last 30 to 60 seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    since: u64,
    slowest: u64,
    slowest_before: u64,
}

impl Pace {
    /// An answer has taken so long.
    pub(super) fn note(&mut self, now_ms: u64, took_ms: u64) {
        self.pass(now_ms);
        self.slowest = self.slowest.max(took_ms);
    }

    pub(super) fn pass(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.since) / PACE_MS;
        if passed > 0 {
            self.slowest_before = if passed == 1 { self.slowest } else { 0 };
            self.slowest = 0;
            self.since = now_ms;
        }
    }

    pub(super) fn slowest(&self) -> u64 {
        self.slowest.max(self.slowest_before)
    }
}

/// Where the look for another server is.
#[derive(Debug)]
pub(super) enum Look {
    /// The server answers.
    Quiet,
    /// It does not: another is asked at this time.
    Due { at: u64, tried: Tried },
    /// Another is being asked.
    Asking { server: usize, deadline: u64, tried: Tried, incoming: Vec<u8>, scanned: usize },
}

/// What a look has tried so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried {
    /// How often it has waited before the next question.
    pub waits: usize,
    /// Servers that did not answer, since the last wait.
    pub unanswered: usize,
}

/// What a server says of the cluster: the body of a `server_status` reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) is_primary: bool,
    pub(super) term: u64,
    /// Where the PRIMARY is; empty where the server knows none.
    pub(super) primary: String,
}

impl Standing {
    /// Reads lines of `key value`; unknown keys are ignored.
    pub(super) fn of(body: &str) -> Option<Standing> {
        let mut standing = Standing::default();
        let mut has_term = false;
        for (key, value) in body.lines().filter_map(|line| line.split_once(' ')) {
            match key {
                "role" => standing.is_primary = value == "PRIMARY",
                "term" => {
                    standing.term = value.parse().ok()?;
                    has_term = true;
                }
                "primary" => standing.primary = value.to_owned(),
                _ => {}
            }
        }
        has_term.then_some(standing)
    }
}

/// What a message says of the cluster, if it is a reply to `server_status`.
pub(super) fn standing_of(message: &Message<'_>) -> Option<Standing> {
    let is_status = message.cmd == "server_status" && !message.error;
    is_status.then(|| Standing::of(&message.body)).flatten()
}
