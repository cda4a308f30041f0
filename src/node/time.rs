//! The time that an entry gets: from this server's clock, checked against the other servers'. Pure.
//!
//! # The rule
//!
//! - A server's *clock* is its wall clock at the start plus what CLOCK_BOOTTIME has counted since,
//!   which nobody can set and which counts suspended time too. Small corrections of the wall clock
//!   are followed at once, however many there are. (Linux slews both clocks alike; what moves one
//!   against the other is always a step.)
//! - A step of the wall clock by more than [`limits::CLOCK_STEP_MS`] is an error. It is followed once
//!   it has lasted [`limits::CLOCK_STANDS_MS`], or at once where it moves toward the median.
//! - There is a *median* where three or more clocks, the own among them, were heard within an
//!   election timeout; of an even number it is the lower middle. Times of entries then keep within
//!   [`limits::CLOCK_NEAR_MS`] of it. A PRIMARY hears all and tells its BACKUPs the median, since
//!   after a failover too few clocks may be left to find it: what the last median said about the own
//!   clock is kept as long as the one other server that is heard agrees with it, or, where none is
//!   heard, for [`limits::CLOCK_STANDS_MS`].
//! - An entry's time is not below the last entry's, unless that is more than
//!   [`limits::CLOCK_STEP_MS`] ahead of the median; without a median: ahead of this server's clock,
//!   if this server has found no step of the wall clock, nor the end of one, for
//!   [`limits::CLOCK_STANDS_MS`]. Then time goes back, once, and an error line says so. (A step that
//!   is undone before the server looks at the clocks again cannot be found, and does not count.)
//!
//! # How clocks travel
//!
//! A frame of its own goes before a message of the core, at most one in [`limits::CLOCK_TELL_MS`] for
//! each peer. It repeats the time stamp of the last such frame from that peer, and says how long ago
//! that came: so the receiver knows for how long the two were on their way, and takes no clock that
//! may have waited in a queue for longer than [`limits::CLOCK_TRIP_MS`].
//!
//! Clocks are kept as offsets: milliseconds since the Unix epoch minus CLOCK_BOOTTIME here.

use super::lines::TraceLevel;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::raft::ServerId;

/// The latest time that an entry can have, and that any clock is taken for, milliseconds.
const LATEST_MS: i64 = (1 << 48) - 1;
/// The fewest clocks that have a median worth following.
const CLOCKS: usize = 3;

/// A server's clock, and what tells how long the frame was on its way. Milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// What it shows, since the Unix epoch.
    pub unix_ms: u64,
    /// The median of the clocks that the sender hears, its own among them; 0: fewer than three.
    pub median_ms: u64,
    /// The sender's CLOCK_BOOTTIME, which the answer repeats.
    pub sent_ms: u64,
    /// The `sent_ms` of the last frame of this kind that came from the receiver; 0: none came.
    pub echo_ms: u64,
    /// How long ago that came.
    pub held_ms: u64,
}

/// What time it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Of a clock that never goes back, milliseconds.
    pub monotonic_ms: u64,
    /// Of one that nobody can set and that counts suspended time, milliseconds.
    pub boot_ms: u64,
    /// Of the wall clock, milliseconds since the Unix epoch: for [`Time`] alone, which
    /// knows whether it is right.
    pub unix_ms: u64,
}

/// How long things take here, milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For how long a clock that was heard counts: an election timeout.
    pub heard_ms: u64,
    /// See [`limits::CLOCK_STANDS_MS`].
    pub stands_ms: u64,
}

/// Something that an operator should know of. Differences are milliseconds, positive: ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The wall clock was set.
    Stepped {
        /// By how much.
        by_ms: i64,
        /// It is followed at once.
        followed: bool,
    },
    /// The step before is followed now.
    Followed {
        /// By how much it was set.
        by_ms: i64,
    },
    /// The wall clock is back from its step.
    Undone,
    /// This server's clock is not near the median.
    AheadOfMedian(i64),
    /// This server's clock is not near that of the only other server that is heard.
    AheadOf(ServerId, i64),
    /// This server's clock is near the others' again.
    Agrees,
    /// The last entry's time was so far ahead, and the next entry's is not.
    WentBack(i64),
}

impl Notice {
    /// The line for the operator; `name_of` says what a server is called.
    pub fn line(&self, name_of: impl Fn(ServerId) -> String) -> (TraceLevel, String) {
        let wrong = |line| (TraceLevel::Error, line);
        match *self {
            Notice::Stepped { by_ms, followed: false } => wrong(format!(
                "the wall clock was set {}: messages keep the old time until the step has lasted \
                 {} or the other servers' clocks confirm it; run NTP on this server",
                way(by_ms),
                span(limits::CLOCK_STANDS_MS)
            )),
            Notice::Stepped { by_ms, followed: true } => wrong(format!(
                "the wall clock was set {}, toward the other servers' clocks: messages follow it",
                way(by_ms)
            )),
            Notice::Followed { by_ms } => {
                let line =
                    format!("messages now follow the wall clock, which was set {}", way(by_ms));
                (TraceLevel::Info, line)
            }
            Notice::Undone => (
                TraceLevel::Info,
                "the wall clock agrees with the messages' times again".to_owned(),
            ),
            Notice::AheadOfMedian(ms) => wrong(format!(
                "the clock of this server is {} the median of the servers' clocks: messages use \
                 the median; set this clock and run NTP",
                apart(ms)
            )),
            Notice::AheadOf(id, ms) => {
                let line = format!(
                    "the clock of this server is {} {}'s, and there is no third clock to tell \
                     which is right: run NTP on both",
                    apart(ms),
                    name_of(id)
                );
                (TraceLevel::Warning, line)
            }
            Notice::Agrees => {
                (TraceLevel::Info, "the clock of this server agrees with the others'".to_owned())
            }
            Notice::WentBack(ms) => wrong(format!(
                "the last message is dated {} ahead of the current time: message times go back by \
                 that once; messages are ordered by seq, not by time",
                span(ms.unsigned_abs())
            )),
        }
    }
}

/// An offset and when it was heard, by CLOCK_BOOTTIME here.
#[derive(Clone, Copy, Debug)]
struct Sample {
    offset_ms: i64,
    at_ms: u64,
}

#[derive(Debug)]
struct Peer {
    id: ServerId,
    told_ms: Option<u64>,
    /// The time stamp of its last frame, and when that came.
    stamp: Option<(u64, u64)>,
    clock: Option<Sample>,
    median: Option<Sample>,
}

/// Where the wall clock was set to, while that is not followed.
#[derive(Debug)]
struct Step {
    offset_ms: i64,
    since_ms: u64,
    told: bool,
}

/// What the operator was told last about the difference between the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Agrees,
    AheadOf,
    AheadOfMedian,
}

/// The clocks of this server and of those that it hears.
#[derive(Debug)]
pub struct Time {
    bounds: Bounds,
    /// CLOCK_BOOTTIME now.
    boot_ms: u64,
    offset_ms: i64,
    /// Since when the wall clock agrees with this server's clock.
    since_ms: u64,
    step: Option<Step>,
    peers: Vec<Peer>,
    /// The median of the clocks that this server hears itself.
    own_median: Option<i64>,
    /// That, or what a peer says.
    median: Option<i64>,
    /// What the last median said of this server's clock, and when it was.
    correction_ms: i64,
    /// Without any: the start.
    corrected_ms: u64,
    told: Told,
    tell_steps_ms: u64,
    tell_apart_ms: u64,
    notices: Vec<Notice>,
}

impl Time {
    /// From the clocks at the start.
    pub fn new(bounds: Bounds, boot_ms: u64, unix_ms: u64) -> Time {
        let boot_ms = boot_ms.min(LATEST_MS.unsigned_abs());
        Time {
            bounds,
            boot_ms,
            offset_ms: offset(unix_ms, boot_ms),
            since_ms: boot_ms,
            step: None,
            peers: Vec::new(),
            own_median: None,
            median: None,
            correction_ms: 0,
            corrected_ms: boot_ms,
            told: Told::Agrees,
            tell_steps_ms: 0,
            tell_apart_ms: 0,
            notices: Vec::new(),
        }
    }

    /// What the machine's clocks show now.
    pub fn observe(&mut self, boot_ms: u64, unix_ms: u64) {
        self.boot_ms = self.boot_ms.max(boot_ms.min(LATEST_MS.unsigned_abs()));
        let wall_ms = offset(unix_ms, self.boot_ms);
        let near = |at_ms: i64| wall_ms.abs_diff(at_ms) <= limits::CLOCK_STEP_MS;
        if near(self.offset_ms) || planted(Mutant::ClockUnchecked) {
            self.offset_ms = wall_ms;
            if let Some(step) = self.step.take() {
                self.since_ms = self.boot_ms;
                self.notices.extend(step.told.then_some(Notice::Undone));
            }
        } else if let Some(step) = self.step.as_mut().filter(|step| near(step.offset_ms)) {
            step.offset_ms = wall_ms;
        } else {
            self.step = Some(Step { offset_ms: wall_ms, since_ms: self.boot_ms, told: false });
        }
        self.judge();
    }

    /// A peer's connection is new, and perhaps its machine: the time stamps of before mean nothing. Its
    /// clock counts on until it is too old.
    pub fn forget_stamp(&mut self, id: ServerId) {
        let peer = self.peer(id);
        (peer.told_ms, peer.stamp) = (None, None);
    }

    /// A peer says what its clock shows.
    pub fn hear(&mut self, from: ServerId, clock: Clock) {
        let boot_ms = self.boot_ms;
        let peer = self.peer(from);
        peer.stamp = Some((clock.sent_ms, boot_ms));
        let trip_ms = boot_ms.checked_sub(clock.echo_ms).map(|ms| ms.saturating_sub(clock.held_ms));
        let is_new = trip_ms.is_some_and(|ms| ms <= limits::CLOCK_TRIP_MS) && clock.echo_ms > 0;
        if !is_new && !planted(Mutant::LateClockTaken) {
            return;
        }
        let sample = |unix_ms| Sample { offset_ms: offset(unix_ms, boot_ms), at_ms: boot_ms };
        peer.clock = Some(sample(clock.unix_ms));
        peer.median = (clock.median_ms > 0).then(|| sample(clock.median_ms));
        self.judge();
    }

    /// What a peer should hear of this clock before the next message; none: it heard it a moment ago.
    pub fn tell(&mut self, to: ServerId) -> Option<Clock> {
        let boot_ms = self.boot_ms;
        let (unix_ms, median) = (self.clock_ms(), self.own_median);
        let peer = self.peer(to);
        if peer.told_ms.is_some_and(|told_ms| boot_ms < told_ms + limits::CLOCK_TELL_MS) {
            return None;
        }
        peer.told_ms = Some(boot_ms);
        let (echo_ms, came_ms) = peer.stamp.unwrap_or((0, boot_ms));
        let median_ms = median.map_or(0, |median| self.unix(median));
        let held_ms = boot_ms - came_ms;
        Some(Clock { unix_ms, median_ms, sent_ms: boot_ms, echo_ms, held_ms })
    }

    /// The time of the next entry, where the last entry has `last_ms`; and what to tell where time
    /// goes back.
    pub fn of_entry(&self, last_ms: u64) -> (u64, Option<Notice>) {
        let now_ms = self.unix_ms();
        if now_ms >= last_ms || planted(Mutant::TimeStaysPoisoned) {
            return (now_ms.max(last_ms), None);
        }
        let reference_ms = match self.median {
            Some(median) => self.unix(median),
            None if self.stands() => now_ms,
            None => return (last_ms, None),
        };
        if last_ms <= reference_ms + limits::CLOCK_STEP_MS {
            return (last_ms, None);
        }
        let by_ms = i64::try_from(last_ms - now_ms).unwrap_or(i64::MAX);
        (now_ms, Some(Notice::WentBack(by_ms)))
    }

    /// The time, as far as this server knows it, milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> u64 {
        self.unix(self.offset_ms + self.correction_ms)
    }

    /// What this server's own clock says, which it tells the others.
    pub fn clock_ms(&self) -> u64 {
        self.unix(self.offset_ms)
    }

    /// The servers whose clocks count now, this one not among them.
    pub fn heard(&self) -> impl Iterator<Item = ServerId> + '_ {
        self.peers.iter().filter(|peer| self.is_new(peer.clock).is_some()).map(|peer| peer.id)
    }

    /// The median that counts now.
    pub fn median_ms(&self) -> Option<u64> {
        self.median.map(|median| self.unix(median))
    }

    /// Whether the wall clock has agreed with this server's clock for long.
    pub fn stands(&self) -> bool {
        self.step.is_none() && self.boot_ms - self.since_ms >= self.bounds.stands_ms
    }

    /// How soon [`Time::observe`] must come at the latest, milliseconds.
    pub fn look_in_ms(&self) -> u64 {
        let lasts_ms =
            |step: &Step| (step.since_ms + self.bounds.stands_ms).saturating_sub(self.boot_ms);
        self.step.as_ref().map_or(limits::CLOCK_LOOK_MS, lasts_ms).clamp(1, limits::CLOCK_LOOK_MS)
    }

    /// Lines for the operator, in order; each is given once.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn unix(&self, offset_ms: i64) -> u64 {
        (offset_ms + bounded(self.boot_ms)).clamp(0, LATEST_MS).unsigned_abs()
    }

    /// What is kept of a peer. At the bound the one that was heard longest ago is forgotten.
    fn peer(&mut self, id: ServerId) -> &mut Peer {
        let place = self.peers.iter().position(|peer| peer.id == id).unwrap_or_else(|| {
            if self.peers.len() >= limits::RAFT_VOTERS {
                let heard_ms =
                    |(_, peer): &(usize, &Peer)| peer.clock.map_or(0, |clock| clock.at_ms);
                let oldest = self.peers.iter().enumerate().min_by_key(heard_ms);
                let oldest = oldest.map_or(0, |(place, _)| place);
                self.peers.remove(oldest);
            }
            self.peers.push(Peer { id, told_ms: None, stamp: None, clock: None, median: None });
            self.peers.len() - 1
        });
        &mut self.peers[place]
    }

    /// What was heard, if that was within an election timeout.
    fn is_new(&self, sample: Option<Sample>) -> Option<Sample> {
        sample.filter(|sample| self.boot_ms - sample.at_ms <= self.bounds.heard_ms)
    }

    fn judge(&mut self) {
        self.find_median();
        if self.follow_step() {
            self.find_median();
        }
        self.correct();
        self.compare();
    }

    fn find_median(&mut self) {
        let mut clocks = [i64::MAX; limits::RAFT_VOTERS + 1];
        let heard = self.peers.iter().filter_map(|peer| self.is_new(peer.clock));
        let mut count = 0;
        for offset_ms in heard.map(|sample| sample.offset_ms).chain([self.offset_ms]) {
            clocks[count] = offset_ms;
            count += 1;
        }
        clocks[..count].sort_unstable();
        self.own_median = (count >= CLOCKS).then(|| clocks[(count - 1) / 2]);
        let told = self.peers.iter().filter_map(|peer| self.is_new(peer.median));
        let told = told.max_by_key(|sample| sample.at_ms).map(|sample| sample.offset_ms);
        self.median = self.own_median.or(told);
        if planted(Mutant::ClockUnchecked) {
            self.median = None;
        }
    }

    /// True: this server's clock is another now.
    fn follow_step(&mut self) -> bool {
        let Some(step) = &mut self.step else { return false };
        let (to_ms, own_ms) = (step.offset_ms, self.offset_ms);
        let by_ms = to_ms - own_ms;
        let lasts = self.boot_ms - step.since_ms >= self.bounds.stands_ms;
        let is_nearer = |median: i64| to_ms.abs_diff(median) < own_ms.abs_diff(median);
        let follows = lasts || self.median.is_some_and(is_nearer);
        let was_told = step.told;
        if !step.told && self.boot_ms >= self.tell_steps_ms {
            step.told = true;
            self.tell_steps_ms = self.boot_ms + limits::CLOCK_TELL_AGAIN_MS;
            self.notices.push(Notice::Stepped { by_ms, followed: follows });
        }
        if !follows {
            return false;
        }
        self.notices.extend(was_told.then_some(Notice::Followed { by_ms }));
        self.since_ms = step.since_ms;
        self.offset_ms = to_ms;
        self.correction_ms = 0;
        self.step = None;
        true
    }

    fn correct(&mut self) {
        let own_ms = self.offset_ms;
        if let Some(median) = self.median {
            let near_ms = limits::CLOCK_NEAR_MS.cast_signed();
            self.correction_ms = own_ms.clamp(median - near_ms, median + near_ms) - own_ms;
            self.corrected_ms = self.boot_ms;
        } else if self.correction_ms != 0 {
            let is_right = match self.only_other() {
                Some((_, other_ms)) => {
                    let corrected_ms = own_ms + self.correction_ms;
                    other_ms.abs_diff(corrected_ms) <= other_ms.abs_diff(own_ms)
                }
                None => self.boot_ms - self.corrected_ms < self.bounds.stands_ms,
            };
            if !is_right {
                self.correction_ms = 0;
            }
        }
    }

    /// The clock of a server that is heard, where there is no median.
    fn only_other(&self) -> Option<(ServerId, i64)> {
        let heard = |peer: &Peer| Some((peer.id, self.is_new(peer.clock)?.offset_ms));
        self.peers.iter().find_map(heard).filter(|_| self.median.is_none())
    }

    /// Tells the operator of clocks that differ, and that they agree again.
    fn compare(&mut self) {
        let (ahead_ms, told, notice) = match (self.median, self.only_other()) {
            (Some(median), _) => {
                let ahead_ms = self.offset_ms - median;
                (ahead_ms, Told::AheadOfMedian, Notice::AheadOfMedian(ahead_ms))
            }
            // After a start, or the end of a connection, the third may be heard in a moment.
            (None, Some((id, other_ms)))
                if self.told != Told::AheadOfMedian
                    && self.boot_ms - self.corrected_ms >= limits::CLOCK_LOOK_MS =>
            {
                let ahead_ms = self.offset_ms - other_ms;
                (ahead_ms, Told::AheadOf, Notice::AheadOf(id, ahead_ms))
            }
            _ => return,
        };
        let (told, notice) = match ahead_ms.unsigned_abs() {
            far_ms if far_ms > limits::CLOCK_STEP_MS => (told, notice),
            // Between the two nothing is told: clocks that drift past the bound and back would
            // have a line each time.
            near_ms if near_ms > limits::CLOCK_NEAR_MS => return,
            _ => (Told::Agrees, Notice::Agrees),
        };
        if told != self.told && self.boot_ms >= self.tell_apart_ms {
            self.told = told;
            self.tell_apart_ms = self.boot_ms + limits::CLOCK_TELL_AGAIN_MS;
            self.notices.push(notice);
        }
    }
}

fn bounded(ms: u64) -> i64 {
    i64::try_from(ms).map_or(LATEST_MS, |ms| ms.min(LATEST_MS))
}

fn offset(unix_ms: u64, boot_ms: u64) -> i64 {
    bounded(unix_ms) - bounded(boot_ms)
}

/// `forward by 3 h`.
fn way(by_ms: i64) -> String {
    let way = if by_ms < 0 { "back" } else { "forward" };
    format!("{way} by {}", span(by_ms.unsigned_abs()))
}

/// `3 h ahead of`.
fn apart(ahead_ms: i64) -> String {
    let way = if ahead_ms < 0 { "behind" } else { "ahead of" };
    format!("{} {way}", span(ahead_ms.unsigned_abs()))
}

/// A duration for people, rounded down.
fn span(ms: u64) -> String {
    const SECOND: u64 = 1_000;
    const UNITS: [(u64, &str); 4] = [
        (2 * 365 * 86_400 * SECOND, "years"),
        (2 * 86_400 * SECOND, "days"),
        (2 * 3_600 * SECOND, "h"),
        (2 * 60 * SECOND, "min"),
    ];
    match UNITS.iter().find(|(twice, _)| ms >= *twice) {
        Some((twice, unit)) => format!("{} {unit}", ms * 2 / twice),
        None => format!("{}.{} s", ms / SECOND, ms % SECOND / 100),
    }
}
