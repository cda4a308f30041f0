//! What a PRIMARY knows of one backup, and how it sends to it.
//!
//! ```text
//!            accepted, or verified past match            loss seen, rejected, connection lost
//!   Probe  ------------------------------->  Pipeline  ------------------------------->  Probe
//!   one append at a time, `next` stays       appends follow each other, `next` runs ahead,
//!   until it is answered                     `window` of them unanswered at most
//! ```

use std::collections::VecDeque;

use super::copy::is_damaged;
use super::entry::{Members, ServerId};
use super::message::Known;
use crate::mutants::{Mutant, planted};

/// How appends are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Where the logs match is not known; at most one append is unanswered.
    Probe {
        /// The last index it carried (`next - 1` when it was empty).
        sent: Option<u64>,
    },
    /// The log is known to match before `next` unless something was lost.
    Pipeline,
}

/// Finds losses: a heartbeat that left after entries up to `sent`. Its answer says how much of them
/// arrived. It is the oldest unanswered one: on a long way the newest is always unanswered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sounding {
    round: u64,
    sent: u64,
}

/// How a non-voter catches up: in rounds, each up to where the log ended when the round began.
/// After a round shorter than an election timeout it lacks so little that its vote would stop
/// nobody for longer (§4.2.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct CatchUp {
    /// The log's last index when the round began.
    pub(super) target: u64,
    pub(super) since_ms: u64,
    pub(super) done: bool,
}

/// Whether the driver is asked for entries that are no longer cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetch {
    Idle,
    /// From this index on.
    Asked(u64),
    /// The driver could not read; ask again after the next answer to a heartbeat.
    Paused,
}

/// One backup. `match_index < next`; the log up to `match_index` is durable there.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) id: ServerId,
    /// Whether it has a vote, and how far it has come if not.
    pub(super) votes: bool,
    pub(super) catch_up: Option<CatchUp>,
    /// The newest copy of its log heard of; see `restoring.rs`.
    pub(super) copy: u64,
    /// How far earlier copies had come: what was counted then stays committed.
    pub(super) lost_match: u64,
    pub(super) match_index: u64,
    pub(super) next: u64,
    pub(super) flow: Flow,
    /// The last indexes of unanswered appends, ascending.
    pub(super) in_flight: VecDeque<u64>,
    pub(super) fetch: Fetch,
    /// Answered since the last check of the quorum.
    pub(super) heard: bool,
    /// Answered between the two checks before.
    pub(super) was_heard: bool,
    /// Its connection was lost, and it was not heard since.
    pub(super) lost: bool,
    /// The newest heartbeat answered.
    pub(super) acked_round: u64,
    sounding: Option<Sounding>,
}

impl Progress {
    /// At the start of a term: the backup's log is taken to be as long as this server's.
    pub(super) fn new(id: ServerId, next: u64, votes: bool) -> Progress {
        Progress {
            id,
            votes: votes || planted(Mutant::NonvoterCounted),
            catch_up: None,
            copy: 0,
            lost_match: 0,
            match_index: 0,
            next,
            flow: Flow::Probe { sent: None },
            in_flight: VecDeque::new(),
            fetch: Fetch::Idle,
            heard: false,
            was_heard: false,
            lost: false,
            acked_round: 0,
            sounding: None,
        }
    }

    /// Whether its acknowledgments count: it has a vote, and its log is whole.
    pub(super) fn counts(&self) -> bool {
        self.votes && (!is_damaged(self.copy) || planted(Mutant::DamagedCounted))
    }

    /// It has another copy of its log, of which nothing is known yet.
    pub(super) fn begin_copy(&mut self, copy: u64, next: u64) {
        self.copy = copy;
        if planted(Mutant::LostCopyCounted) {
            return;
        }
        self.lost_match = self.lost_match.max(self.match_index);
        self.match_index = 0;
        self.acked_round = 0;
        self.probe(next);
    }

    /// It has answered.
    pub(super) fn hear(&mut self) {
        self.heard = true;
        self.lost = false;
    }

    /// Whether it has answered within the last election timeout or two.
    pub(super) fn answers(&self) -> bool {
        (self.heard || self.was_heard) && !self.lost
    }

    /// What an append that follows `prev_index` says of the backup's log.
    pub(super) fn known(&self, prev_index: u64) -> Known {
        let counted = prev_index > 0 && prev_index <= self.match_index;
        Known { copy: self.copy, counted: counted && !planted(Mutant::LossIgnored) }
    }

    /// The last index on its way or there.
    fn sent(&self) -> u64 {
        match self.flow {
            Flow::Probe { sent: Some(sent) } => sent,
            Flow::Probe { sent: None } | Flow::Pipeline => self.next - 1,
        }
    }

    /// Goes back to finding where the logs match, from `next` on.
    pub(super) fn probe(&mut self, next: u64) {
        self.next = next.max(self.match_index + 1);
        self.flow = Flow::Probe { sent: None };
        self.in_flight.clear();
        self.end_fetch();
        self.sounding = None;
    }

    /// What the driver was asked for is not needed any more.
    fn end_fetch(&mut self) {
        if let Fetch::Asked(_) = self.fetch {
            self.fetch = Fetch::Idle;
        }
    }

    /// The connection was lost or replaced: appends may be lost. If nothing is known to match yet,
    /// the next index to probe is still right.
    pub(super) fn probe_again(&mut self) {
        let next = if self.match_index == 0 { self.next } else { self.match_index + 1 };
        self.probe(next);
    }

    /// An append with entries up to `last` leaves.
    pub(super) fn on_sent(&mut self, last: u64) {
        match &mut self.flow {
            Flow::Probe { sent } => *sent = Some(last),
            Flow::Pipeline => {
                self.next = last + 1;
                self.in_flight.push_back(last);
            }
        }
    }

    /// A heartbeat leaves.
    pub(super) fn on_heartbeat_sent(&mut self, round: u64) {
        let sent = self.sent();
        // A probe that was not sent yet cannot have been lost.
        let unsent = self.flow == Flow::Probe { sent: None };
        if self.sounding.is_none() && !unsent {
            self.sounding = Some(Sounding { round, sent });
        }
    }

    /// The backup has everything up to `match_index`, durably. Returns false if that was known.
    pub(super) fn on_accepted(&mut self, match_index: u64) -> bool {
        if match_index < self.match_index && !planted(Mutant::MatchGoesBack) {
            return false;
        }
        let grown = match_index > self.match_index;
        self.match_index = match_index;
        self.matches_to(match_index);
        while self.in_flight.front().is_some_and(|&last| last <= match_index) {
            self.in_flight.pop_front();
        }
        grown
    }

    /// The logs are the same up to `index`: a probe has found its place.
    fn matches_to(&mut self, index: u64) {
        if let Flow::Probe { sent } = self.flow {
            self.flow = Flow::Pipeline;
            self.in_flight.clear();
            // A probe past `index` whose own place matches was taken, or will be found lost.
            match sent.filter(|&sent| sent > index && index + 1 >= self.next) {
                Some(sent) => {
                    self.next = sent + 1;
                    self.in_flight.push_back(sent);
                }
                None => self.next = index + 1,
            }
        }
        self.next = self.next.max(index + 1);
        if self.fetch != Fetch::Asked(self.next) {
            self.end_fetch();
        }
    }

    /// The backup has another entry, or none, at `prev_index`; the logs match up to `hint` at most.
    pub(super) fn on_rejected(&mut self, prev_index: u64, hint: u64) {
        let probes_at = match self.flow {
            Flow::Probe { .. } => Some(self.next - 1),
            Flow::Pipeline => None,
        };
        if prev_index <= self.match_index {
            // Either this answer is old, or the backup has lost what it acknowledged. Only the backup
            // can tell, once it is asked by an append that says how far it has acknowledged.
            if probes_at != Some(self.match_index) && !planted(Mutant::LossIgnored) {
                self.probe(self.match_index + 1);
            }
        } else if probes_at.is_none_or(|place| place == prev_index) {
            self.probe((hint + 1).min(prev_index).min(self.next));
        }
    }

    /// A heartbeat was answered: the backup's log was found to be the same up to `verified`.
    pub(super) fn on_heartbeat_reply(&mut self, round: u64, verified: u64) {
        if round <= self.acked_round {
            return;
        }
        self.acked_round = round;
        self.hear();
        if self.fetch == Fetch::Paused {
            self.fetch = Fetch::Idle;
        }
        let Some(sounding) = self.sounding.filter(|sounding| round >= sounding.round) else {
            return;
        };
        self.sounding = None;
        if verified < self.match_index {
            // It was restarted, and commits only what it has compared since. The probe also finds
            // out whether it lost something.
            self.probe(self.match_index + 1);
        } else if verified >= sounding.sent {
            self.matches_to(verified);
        } else if self.flow != Flow::Pipeline && verified + 1 < self.next {
            self.probe(self.next);
        } else {
            self.probe(verified + 1);
            self.flow = Flow::Pipeline;
        }
    }
}

/// What a PRIMARY begins with for each of the others, by id.
pub(super) fn progress_of(
    members: &Members,
    own: ServerId,
    next: u64,
    now_ms: u64,
) -> Vec<Progress> {
    let voter = |&id: &ServerId| Progress::new(id, next, true);
    let nonvoter = |&id: &ServerId| {
        let mut backup = Progress::new(id, next, false);
        let target = next - 1;
        backup.catch_up = Some(CatchUp { target, since_ms: now_ms, done: false });
        backup
    };
    let voters = members.voters.iter().map(voter);
    let all = voters.chain(members.nonvoters.iter().map(nonvoter));
    let mut backups: Vec<Progress> = all.filter(|backup| backup.id != own).collect();
    backups.sort_unstable_by_key(|backup| backup.id);
    backups
}
