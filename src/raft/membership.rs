//! Which servers there are, and how that changes: one server at a time, through the log (§4.1).
//!
//! - What counts is the newest configuration in the log, committed or not, from the moment when it
//!   is appended; where it is cut, the one before counts again.
//! - A PRIMARY changes it only once an entry of its own term is committed, and the change before is:
//!   otherwise two majorities of different configurations need not overlap (the correction of 2015
//!   to §4.1).
//! - Configurations that follow each other differ by one voter at most, so that any majority of the
//!   one overlaps any majority of the other.
//! - A new server begins as a non-voter: it is sent the log, and counts for nothing. It may be made
//!   a voter once it has caught up (§4.2.1).
//! - Before a vote is given or taken, a heartbeat asks whether a majority of those that would have one
//!   answers now. What was heard earlier does not say so: a change that such a majority does not
//!   store cannot be taken back, and stops even a majority of the servers that had the votes before.
//! - A request is answered whoever sent it: who counts the answers has the configuration that
//!   matters (§4.1). So a server whose log ends before a change can be brought up to date, or vote,
//!   for one that it does not know yet.
//! - A server that is no longer a member is sent nothing and counts nowhere. It does not disturb: its
//!   questions are refused while a PRIMARY is heard (§4.2.3).

use std::fmt;
use std::sync::Arc;

use super::config::check_members;
use super::core::Raft;
use super::entry::{Entry, Members, Membership, Payload, ServerId};
use super::output::ProposeError;
use super::progress::Progress;
use super::roles::State;
use super::status::BackupStatus;
use crate::mutants::{Mutant, planted};

/// The configurations of the log, each from its entry's index on: the newest that is committed, and
/// those after it.
#[derive(Clone, Debug)]
pub(super) struct Memberships {
    known: Vec<(u64, Arc<Membership>)>,
}

impl Memberships {
    /// That of the settings, then those of the log's entries that are not known to be committed.
    pub(super) fn new(first: Arc<Membership>, commit: u64, tail: &[Entry]) -> Memberships {
        let mut known = vec![(0, first)];
        for entry in tail.iter().filter(|entry| entry.index > commit) {
            if let Payload::Members(membership) = &entry.payload {
                known.push((entry.index, membership.clone()));
            }
        }
        Memberships { known }
    }

    fn in_force(&self) -> &(u64, Arc<Membership>) {
        self.known.last().expect("there is one from the beginning")
    }

    /// Forgets those before the newest that is committed. False: there were none.
    pub(super) fn forget(&mut self, commit: u64) -> bool {
        let after = self.known.partition_point(|(index, _)| *index <= commit);
        self.known.drain(..after.saturating_sub(1)).next().is_some()
    }
}

/// How a non-voter catches up: in rounds, each of which brings it what the log had when the round
/// began. After one that was shorter than an election timeout it lacks so little that a vote of its
/// own would stop nobody for longer (§4.2.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct CatchUp {
    target: u64,
    since_ms: u64,
    done: bool,
}

/// A heartbeat asks the servers that would have a vote whether they answer; see
/// [`ChangeError::Asking`].
#[derive(Clone, Debug)]
pub(super) struct Question {
    voters: Vec<ServerId>,
    round: u64,
    since_ms: u64,
}

impl Raft {
    /// The configuration that counts.
    pub fn members(&self) -> &Members {
        &self.membership().members
    }

    /// The same, with the bytes of its entry.
    pub fn membership(&self) -> &Membership {
        &self.memberships.in_force().1
    }

    /// The newest configuration that is committed, and those after it, one of which may still count.
    pub fn memberships(&self) -> impl Iterator<Item = &Membership> {
        self.memberships.known.iter().map(|(_, membership)| &**membership)
    }

    /// The index of its entry; 0 for the one that this core was made with.
    pub fn members_index(&self) -> u64 {
        self.memberships.in_force().0
    }

    /// Whether this server has a vote.
    pub fn is_voter(&self) -> bool {
        self.members().is_voter(self.config.id)
    }

    /// Puts an entry with a configuration at the log's end; its index. It counts at once. One that
    /// gives or takes a vote is refused with [`ChangeError::Asking`] first: the caller asks for the
    /// same again after each message, until it is taken or refused for another reason.
    pub fn change_members(&mut self, next: Arc<Membership>) -> Result<u64, ChangeError> {
        self.checked(|raft| raft.on_change_members(next))
    }

    fn on_change_members(&mut self, next: Arc<Membership>) -> Result<u64, ChangeError> {
        check_members(&next.members).map_err(|_| ChangeError::NoConfiguration)?;
        self.may_change()?;
        self.check_step(&next.members)?;
        self.check_answers(&next.members)?;
        self.on_propose(Payload::Members(next)).map_err(ChangeError::Propose)
    }

    /// Whether this server may change the configuration now.
    pub fn may_change(&self) -> Result<(), ChangeError> {
        let State::Primary(primacy) = &self.state else {
            let primary = self.primary;
            return Err(ChangeError::Propose(ProposeError::NotPrimary { primary }));
        };
        if let Some(transfer) = &primacy.transfer {
            return Err(ChangeError::Propose(ProposeError::Transferring { to: transfer.to }));
        }
        if self.commit < primacy.first_of_term && !planted(Mutant::ChangeBeforeTermEntry) {
            return Err(ChangeError::NotReady);
        }
        if self.members_index() > self.commit {
            return Err(ChangeError::Busy);
        }
        Ok(())
    }

    /// That the next configuration is one step from the one in force, and can go on.
    fn check_step(&self, next: &Members) -> Result<(), ChangeError> {
        let now = self.members();
        let added = next.voters.iter().filter(|&&id| !now.is_voter(id)).copied();
        let added: Vec<ServerId> = added.collect();
        let removed = now.voters.iter().filter(|&&id| !next.is_voter(id)).count();
        if added.len() + removed > 1 {
            return Err(ChangeError::TooMuch);
        }
        if !next.is_voter(self.config.id) {
            return Err(ChangeError::Itself);
        }
        if let Some(&id) = added.iter().find(|&&id| !self.has_caught_up(id)) {
            return Err(ChangeError::NotCaughtUp { id });
        }
        Ok(())
    }

    /// That a majority of those that would have a vote answers a heartbeat that was sent for this.
    fn check_answers(&mut self, next: &Members) -> Result<(), ChangeError> {
        if next.voters == self.members().voters {
            return Ok(());
        }
        let (now_ms, quorum) = (self.now_ms, next.quorum());
        let timeout_ms = self.config.election_timeout_ms;
        let question = self.primacy().and_then(|primacy| primacy.question.take());
        let question = question.filter(|asked| asked.voters == next.voters);
        let since_ms = question.as_ref().map_or(now_ms, |asked| asked.since_ms);
        let is_over = now_ms >= since_ms + timeout_ms;
        let voters = next.voters.iter().copied();
        let answering: Vec<ServerId> = voters.clone().filter(|&id| self.answers(id)).collect();
        let round = question.as_ref().map(|asked| asked.round);
        let now: Vec<ServerId> = voters.filter(|&id| self.answered(id, round)).collect();
        if planted(Mutant::OldAnswersForChange) && answering.len() >= quorum {
            return Ok(());
        }
        if now.len() >= quorum && !is_over {
            return Ok(());
        }
        if answering.len() < quorum || now.len() < quorum && is_over {
            let answering = if is_over { now } else { answering };
            return Err(ChangeError::NoMajority { answering, quorum });
        }
        let question = question.filter(|_| !is_over).unwrap_or_else(|| {
            let round = self.send_heartbeats();
            Question { voters: next.voters.clone(), round, since_ms: now_ms }
        });
        if let Some(primacy) = self.primacy() {
            primacy.question = Some(question);
        }
        Err(ChangeError::Asking)
    }

    /// Whether a server whose log is whole has answered this heartbeat, or a later one.
    fn answered(&self, id: ServerId, round: Option<u64>) -> bool {
        let State::Primary(primacy) = &self.state else { return false };
        let backup = primacy.backups.iter().find(|backup| backup.id == id);
        let since = |backup: &Progress| round.is_some_and(|round| backup.acked_round >= round);
        id == self.config.id || backup.is_some_and(since) && self.answers(id)
    }

    /// Those that would have a vote after the change for which this PRIMARY asks whether they answer.
    pub fn asking(&self) -> Option<&[ServerId]> {
        let State::Primary(primacy) = &self.state else { return None };
        primacy.question.as_ref().map(|question| question.voters.as_slice())
    }

    /// Whether a server has answered this PRIMARY within the last election timeout or two, and its log
    /// is whole.
    fn answers(&self, id: ServerId) -> bool {
        let backups = self.backups();
        let counts = |backup: &BackupStatus| backup.heard && !backup.restoring;
        id == self.config.id || backups.iter().any(|backup| backup.id == id && counts(backup))
    }

    /// Whether a non-voter of this PRIMARY lacks so little that it may be made a voter.
    fn has_caught_up(&self, id: ServerId) -> bool {
        let State::Primary(primacy) = &self.state else { return false };
        let backup = primacy.backups.iter().find(|backup| backup.id == id);
        backup.is_some_and(|backup| backup.catch_up.is_some_and(|catch_up| catch_up.done))
            && self.answers(id)
    }

    /// A non-voter that this PRIMARY may make a voter now.
    pub fn caught_up(&self) -> Option<ServerId> {
        self.may_change().ok()?;
        self.members().nonvoters.iter().copied().find(|&id| self.has_caught_up(id))
    }

    /// What a non-voter has durably has grown.
    pub(super) fn note_catch_up(&mut self, id: ServerId) {
        let (now_ms, last_index) = (self.now_ms, self.log.last_index());
        let timeout_ms = self.config.election_timeout_ms;
        let Some(backup) = self.primacy().and_then(|primacy| primacy.backup(id)) else { return };
        let match_index = backup.match_index;
        let Some(catch_up) = &mut backup.catch_up else { return };
        if match_index >= catch_up.target {
            let quick = now_ms < catch_up.since_ms + timeout_ms;
            catch_up.done |= quick || match_index >= last_index;
            (catch_up.target, catch_up.since_ms) = (last_index, now_ms);
        }
    }

    /// An entry was appended: where it has a configuration, that counts from now on.
    pub(super) fn take_members(&mut self, entry: &Entry) {
        if let Payload::Members(membership) = &entry.payload {
            self.memberships.forget(self.commit);
            self.memberships.known.push((entry.index, membership.clone()));
            self.tell_members();
            self.on_members();
        }
    }

    /// The log was cut from `index` on: the configuration before counts again.
    pub(super) fn revert_members(&mut self, index: u64) {
        let before = self.memberships.known.len();
        self.memberships.known.retain(|(of, _)| *of < index);
        if self.memberships.known.len() == before {
            return;
        }
        if !planted(Mutant::CutMembersStay) {
            self.tell_members();
        }
        if !planted(Mutant::CutQuorumStays) {
            self.on_members();
        }
    }

    fn tell_members(&mut self) {
        self.out.members_changed = true;
        self.out.memberships_changed = true;
    }

    fn on_members(&mut self) {
        let members = self.members().clone();
        self.quorum = members.quorum();
        let (id, now_ms, next) = (self.config.id, self.now_ms, self.log.last_index() + 1);
        let timeout_ms = self.config.election_timeout_ms;
        let Some(primacy) = self.primacy() else { return };
        primacy.quorum_check_ms = now_ms + timeout_ms;
        primacy.transfer = primacy.transfer.filter(|transfer| members.is_voter(transfer.to));
        let before = std::mem::take(&mut primacy.backups);
        primacy.backups = members.progress(id, next, now_ms);
        let copies = before.iter().map(|backup| (backup.id, backup.copy));
        primacy.copies.extend(copies.filter(|(_, copy)| *copy > 0));
        for backup in &mut primacy.backups {
            backup.copy = primacy.copies.get(&backup.id).copied().unwrap_or(0);
        }
        for mut old in before {
            if let Some(backup) = primacy.backup(old.id) {
                old.votes = backup.votes;
                old.catch_up = backup.catch_up.map(|begun| old.catch_up.unwrap_or(begun));
                *backup = old;
            }
        }
        self.out.wanted.retain(|wanted| members.has(wanted.to));
    }
}

impl Members {
    /// What a PRIMARY begins with for each of the others, by id.
    pub(super) fn progress(&self, own: ServerId, next: u64, now_ms: u64) -> Vec<Progress> {
        let voter = |&id: &ServerId| Progress::new(id, next, true);
        let nonvoter = |&id: &ServerId| {
            let mut backup = Progress::new(id, next, false);
            let target = next - 1;
            backup.catch_up = Some(CatchUp { target, since_ms: now_ms, done: false });
            backup
        };
        let voters = self.voters.iter().map(voter);
        let all = voters.chain(self.nonvoters.iter().map(nonvoter));
        let mut backups: Vec<Progress> = all.filter(|backup| backup.id != own).collect();
        backups.sort_unstable_by_key(|backup| backup.id);
        backups
    }
}

/// Why a configuration was not taken. Nothing of it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// It would not even be taken as an ordinary entry.
    Propose(ProposeError),
    /// This PRIMARY has not committed an entry of its term yet.
    NotReady,
    /// The change before is not committed yet.
    Busy,
    /// No cluster can have it.
    NoConfiguration,
    /// More than one server would get or lose its vote.
    TooMuch,
    /// The PRIMARY itself would lose its vote: it is to hand over first.
    Itself,
    /// A server would get a vote that has not caught up as a non-voter.
    NotCaughtUp {
        /// Which.
        id: ServerId,
    },
    /// Those that would have a vote are being asked whether they answer.
    Asking,
    /// Those with a vote that answer would be no majority: nothing could be committed any more.
    NoMajority {
        /// Who answers, this server included.
        answering: Vec<ServerId>,
        /// How many would be needed.
        quorum: usize,
    },
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChangeError::Propose(error) => error.fmt(f),
            ChangeError::NotReady => {
                write!(f, "this PRIMARY has not committed an entry of its term: try again soon")
            }
            ChangeError::Busy => {
                write!(f, "the previous change of the members is not committed: try again soon")
            }
            ChangeError::NoConfiguration => write!(f, "no cluster can have these members"),
            ChangeError::TooMuch => {
                write!(f, "more than one server would get or lose its vote: change one at a time")
            }
            ChangeError::Itself => {
                write!(f, "the PRIMARY cannot remove its own vote: it must hand over first")
            }
            ChangeError::NotCaughtUp { id } => {
                write!(f, "server {id} has not caught up yet: it gets a vote then")
            }
            ChangeError::Asking => {
                write!(f, "waiting for answers from the servers that would have a vote")
            }
            ChangeError::NoMajority { answering, quorum } => write!(
                f,
                "{} of the servers that would have a vote answer, {quorum} are needed: nothing \
                 could be committed any more",
                answering.len()
            ),
        }
    }
}

impl std::error::Error for ChangeError {}
