//! What clients tell each other while they play: how much was acknowledged, and when last.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::support::fleet::Status;

/// How far a play is. Each kind of client ends when it comes to that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// All go on.
    #[default]
    Play,
    /// Senders bring home what is open.
    EndSending,
    /// So do chats, once there are no senders any more.
    EndChats,
    /// Receivers read the rest.
    EndReading,
    /// Nobody watches any more.
    Over,
    /// Something went wrong: everybody is to end at once.
    Failed,
}

/// Shared by all clients of a play.
#[derive(Default)]
pub struct Tally {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    acknowledged: u64,
    /// The newest seq that somebody was told is stored.
    newest: u64,
    last: Option<Instant>,
    worst_gap: Duration,
    stage: Stage,
    /// The PRIMARY of each term, as it said itself.
    primaries: BTreeMap<u64, String>,
}

impl Tally {
    /// Messages were acknowledged, the newest of them at `seq`.
    pub fn acknowledged(&self, count: u64, seq: u64) {
        let mut counts = self.counts();
        counts.acknowledged += count;
        counts.newest = counts.newest.max(seq);
        let now = Instant::now();
        if let Some(last) = counts.last.replace(now) {
            counts.worst_gap = counts.worst_gap.max(now - last);
        }
        self.changed.notify_all();
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no client fails while it counts")
    }

    /// How many were acknowledged.
    pub fn count(&self) -> u64 {
        self.counts().acknowledged
    }

    /// The newest seq that somebody was told is stored: what is asked for from now on has it.
    pub fn newest(&self) -> u64 {
        self.counts().newest
    }

    /// The longest time in which nothing was acknowledged.
    pub fn worst_gap(&self) -> Duration {
        self.counts().worst_gap
    }

    /// Waits until so many more are acknowledged; panics when that takes longer than `patience`.
    pub fn wait_for_more(&self, more: u64, patience: Duration) {
        let counts = self.counts();
        let enough = counts.acknowledged + more;
        let lacking =
            |counts: &mut Counts| counts.acknowledged < enough && counts.stage != Stage::Failed;
        let waited = self.changed.wait_timeout_while(counts, patience, lacking);
        let (counts, timeout) = waited.expect("no client fails while it counts");
        let (acknowledged, failed) = (counts.acknowledged, counts.stage == Stage::Failed);
        drop(counts);
        assert!(!failed, "a client has failed");
        let missing = enough.saturating_sub(acknowledged);
        assert!(!timeout.timed_out(), "{missing} of {more} are not acknowledged in {patience:?}");
    }

    /// Comes to a stage.
    pub fn enter(&self, stage: Stage) {
        let mut counts = self.counts();
        counts.stage = counts.stage.max(stage);
        self.changed.notify_all();
    }

    /// Whether a stage is reached.
    pub fn is_at(&self, stage: Stage) -> bool {
        self.counts().stage >= stage
    }

    /// Waits, but no longer than until a stage is reached.
    pub fn pass(&self, time: Duration, stage: Stage) {
        let before = |counts: &mut Counts| counts.stage < stage;
        drop(self.changed.wait_timeout_while(self.counts(), time, before));
    }

    /// A server has said how it is: no term has two that say they are PRIMARY.
    pub fn heard(&self, status: &Status) {
        if !status.is_primary() {
            return;
        }
        let first = {
            let mut counts = self.counts();
            counts.primaries.entry(status.term).or_insert_with(|| status.id.clone()).clone()
        };
        assert_eq!(first, status.id, "one PRIMARY a term, term {}", status.term);
    }
}

/// Held by whoever takes part: when one fails, everybody ends.
pub struct Alarm<'a>(pub &'a Tally);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.enter(Stage::Failed);
        }
    }
}
