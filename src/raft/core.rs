//! The core itself: its state, its inputs, and the dispatch of messages.

use std::sync::Arc;

use super::backup::Place;
use super::config::{Config, HardState, Restored, StartError};
use super::election::Question;
use super::entry::{Entry, Payload, ServerId};
use super::invariants::{Outline, check_between};
use super::log::Log;
use super::membership::Memberships;
use super::message::{Body, Message};
use super::output::{Committed, Mark, Output, ProposeError, RoleChange};
use super::random::Random;
use super::restoring::OwnCopy;
use super::roles::State;
use crate::limits;
use crate::mutants::{Mutant, planted};

/// One server's part in the replicated log. The module's manual says how to drive it.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(super) config: Config,
    /// Who counts, and the votes and copies that make a majority.
    pub(super) memberships: Memberships,
    pub(super) quorum: usize,
    pub(super) random: Random,
    /// The newest time that was given.
    pub(super) now_ms: u64,

    /// Term and vote, and how much of that is durable.
    pub(super) hard_state: HardState,
    pub(super) durable: HardState,
    hard_state_given: HardState,
    /// Which copy of the log this is, and whether it is being restored.
    pub(super) copy: OwnCopy,

    pub(super) log: Log,
    /// How often the log was cut: marks of older generations say nothing about this log.
    pub(super) generation: u64,
    /// This log is durable up to here.
    pub(super) persisted: u64,
    pub(super) commit: u64,
    commit_given: u64,
    /// The driver's log is this one up to here, apart from what the next output says.
    log_given: u64,

    pub(super) state: State,
    pub(super) primary: Option<ServerId>,
    /// When the PRIMARY was last heard; None when it is not known to live.
    pub(super) primary_heard_ms: Option<u64>,
    /// Its connection was lost, and it was not heard since.
    pub(super) primary_lost: bool,
    /// Who would be answered otherwise once the PRIMARY is lost.
    pub(super) pre_votes_refused: Vec<Question>,
    /// When a backup or a candidate holds the next election.
    pub(super) election_deadline_ms: u64,

    /// As a backup: how far the log was found to be the PRIMARY's, in this term.
    pub(super) verified: u64,
    /// As a backup: the newest acknowledgment, and an append (its last index) that waits for one.
    pub(super) acked: u64,
    pub(super) ack_owed: Option<u64>,
    /// The vote of this term was asked for and is not answered yet.
    pub(super) vote_owed: bool,

    pub(super) out: Output,
    pub(super) violations: u64,
    pub(super) violation: Option<&'static str>,
}

impl Raft {
    /// From the settings and what the disk kept, as a backup. A cluster of one elects itself at
    /// the first tick.
    pub fn new(config: Config, restored: Restored, now_ms: u64) -> Result<Raft, StartError> {
        config.check()?;
        restored.check()?;
        let Restored { hard_state: saved, copy, runs, last_index, tail, commit } = restored;
        let memberships = Memberships::new(config.membership.clone(), commit, &tail);
        let log = Log::new(runs, last_index, tail);
        // Entries may have become durable before their term's hard state did. Without it nothing
        // was promised in that term, so the term counts and there was no vote.
        let hard_state = match log.last_term() {
            newer if newer > saved.term => HardState { term: newer, voted_for: None },
            _ => saved,
        };
        let copy = OwnCopy::new(copy);
        let random = Random::new(config.seed);
        let mut raft = Raft {
            memberships,
            quorum: 0,
            random,
            now_ms,
            hard_state,
            durable: saved,
            hard_state_given: saved,
            copy,
            log,
            generation: 0,
            persisted: last_index,
            commit,
            commit_given: commit,
            log_given: last_index,
            state: State::Backup,
            primary: None,
            primary_heard_ms: None,
            primary_lost: false,
            pre_votes_refused: Vec::new(),
            election_deadline_ms: now_ms,
            verified: 0,
            acked: 0,
            ack_owed: None,
            vote_owed: false,
            out: Output::default(),
            violations: 0,
            violation: None,
            config,
        };
        raft.quorum = raft.members().quorum();
        if raft.members().voters != [raft.config.id] {
            raft.draw_election_deadline();
        }
        raft.check_invariants();
        Ok(raft)
    }

    /// Time has come to `now_ms`, milliseconds of a clock that does not go back (one that does is
    /// taken to stand still).
    pub fn tick(&mut self, now_ms: u64) {
        self.checked(|raft| {
            raft.advance_clock(now_ms);
            raft.on_time();
        });
    }

    /// `message` came from `from`.
    pub fn step(&mut self, now_ms: u64, from: ServerId, message: Message) {
        self.checked(|raft| {
            raft.advance_clock(now_ms);
            raft.on_message(from, message);
        });
    }

    /// Puts a command, which is not empty, at the log's end; its index. It is safe when it is
    /// committed, which after a change of the PRIMARY it may never be.
    pub fn propose(&mut self, command: Arc<[u8]>) -> Result<u64, ProposeError> {
        assert!(!command.is_empty(), "a command has bytes");
        self.checked(|raft| raft.on_propose(Payload::Command(command)))
    }

    /// All that was asked for up to `mark`'s output is durable.
    pub fn persisted(&mut self, mark: Mark) {
        self.checked(|raft| {
            assert!(mark.generation <= raft.generation, "a mark of this core's");
            // After a cut this mark's entries may be gone; the cut's own mark follows.
            if mark.generation == raft.generation || planted(Mutant::MarkOfCutLog) {
                assert!(mark.index <= raft.log_given, "only what was given can be durable");
                raft.persisted = raft.persisted.max(mark.index);
                raft.count_commit();
            }
        });
    }

    /// `hard_state`, from an output, is durable.
    pub fn hard_state_persisted(&mut self, hard_state: HardState) {
        self.checked(|raft| {
            let order = |state: HardState| (state.term, state.voted_for.is_some());
            assert!(order(hard_state) <= order(raft.hard_state_given), "one that was given");
            if order(hard_state) > order(raft.durable) {
                raft.durable = hard_state;
                raft.release_votes();
            }
        });
    }

    /// The last connection to `id` is gone: its process is dead, or cannot be reached.
    pub fn peer_lost(&mut self, now_ms: u64, id: ServerId) {
        self.checked(|raft| {
            raft.advance_clock(now_ms);
            raft.on_peer_lost(id);
        });
    }

    /// There is a connection to `id` again, or a new one in the place of the old.
    pub fn peer_up(&mut self, now_ms: u64, id: ServerId) {
        self.checked(|raft| {
            raft.advance_clock(now_ms);
            raft.on_peer_up(id);
        });
    }

    /// What there is to do. To be carried out completely, and before the next one.
    pub fn take_output(&mut self) -> Output {
        self.checked(|raft| {
            raft.log.evict(raft.commit_given.min(raft.log_given), raft.config.cache_bytes);
            raft.finish_restoring();
            raft.release_acknowledgments();
            raft.send_as_primary();
            if raft.hard_state != raft.hard_state_given {
                raft.hard_state_given = raft.hard_state;
                raft.out.hard_state = Some(raft.hard_state);
            }
            if raft.out.truncate_from.is_some() || !raft.out.append.is_empty() {
                raft.log_given = raft.log.last_index();
                raft.out.mark =
                    Some(Mark { generation: raft.generation, index: raft.log.last_index() });
            }
            if raft.commit > raft.commit_given {
                raft.out.committed =
                    Some(Committed { after: raft.commit_given, upto: raft.commit });
                raft.commit_given = raft.commit;
                raft.out.memberships_changed |= raft.memberships.forget(raft.commit);
            }
            std::mem::take(&mut raft.out)
        })
    }

    /// Runs one public call, with the checks after it in debug builds.
    pub(super) fn checked<T>(&mut self, act: impl FnOnce(&mut Raft) -> T) -> T {
        if !cfg!(debug_assertions) {
            return act(self);
        }
        let before: Outline = self.outline();
        let result = act(self);
        self.check_invariants();
        check_between(&before, &self.outline());
        result
    }

    fn advance_clock(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// What a message's term means comes first, then what it says.
    fn on_message(&mut self, from: ServerId, message: Message) {
        if from == self.config.id || message.term > limits::RAFT_TERM {
            self.violation("a message from this server itself, or of an absurd term");
            return;
        }
        let Message { term, body } = message;
        if term > self.hard_state.term && !self.take_newer_term(from, term, &body) {
            return;
        }
        if planted(Mutant::AnyMessageResetsTimer) {
            self.draw_election_deadline();
        }
        let old = term < self.hard_state.term;
        let Some(body) = self.of_newest_copy(from, body, old) else { return };
        match body {
            Body::PreVote { for_term, last_index, last_term } => {
                self.on_pre_vote(from, for_term, last_index, last_term);
            }
            Body::PreVoteReply { for_term, granted } => {
                self.on_pre_vote_reply(from, for_term, granted);
            }
            Body::Vote { .. } if old => self.send(from, Body::VoteReply { granted: false }),
            Body::Append { .. } | Body::Heartbeat { .. } if old => self.send(from, Body::Behind),
            Body::VoteReply { .. }
            | Body::Accepted { .. }
            | Body::Rejected { .. }
            | Body::HeartbeatReply { .. }
            | Body::TimeoutNow
            | Body::Restore { .. }
            | Body::Behind
                if old && !planted(Mutant::OldAnswerCounted) => {}
            Body::Vote { last_index, last_term, .. } => self.on_vote(from, last_index, last_term),
            Body::VoteReply { granted } => self.on_vote_reply(from, granted),
            Body::Append { prev_index, prev_term, known, commit, entries } => {
                let place = Place { index: prev_index, term: prev_term, known };
                self.on_append(from, place, commit, entries);
            }
            Body::Accepted { match_index } => self.on_accepted(from, match_index),
            Body::Rejected { prev_index, hint_index, hint_term } => {
                self.on_rejected(from, prev_index, hint_index, hint_term);
            }
            Body::Heartbeat { round, commit } => self.on_heartbeat(from, round, commit),
            Body::HeartbeatReply { round, verified, match_index } => {
                self.on_heartbeat_reply(from, round, verified, match_index);
            }
            Body::TimeoutNow => self.on_timeout_now(from),
            Body::Restore { copy, commit } => self.on_restore(from, copy, commit),
            Body::Behind => {}
            Body::OfCopy { .. } => self.violation("an answer in an answer"),
        }
    }

    /// Adds an entry of this term at the log's end, as PRIMARY.
    pub(super) fn append_own(&mut self, payload: Payload) {
        let entry = Entry { term: self.hard_state.term, index: self.log.last_index() + 1, payload };
        self.append(entry);
    }

    /// Adds an entry to the log, and to what the driver is to append.
    pub(super) fn append(&mut self, entry: Entry) {
        self.log.append(entry.clone());
        self.take_members(&entry);
        self.out.append.push(entry);
    }

    /// Cuts the log from `index` on.
    pub(super) fn truncate_from(&mut self, index: u64) {
        assert!(index > self.commit, "what is committed is never cut");
        self.log.truncate_from(index);
        self.revert_members(index);
        self.generation += 1;
        self.persisted = self.persisted.min(index - 1);
        self.out.append.retain(|entry| entry.index < index);
        if index <= self.log_given {
            self.log_given = index - 1;
            let earlier = self.out.truncate_from.unwrap_or(index);
            self.out.truncate_from = Some(earlier.min(index));
        }
    }

    /// Notes a message that no correct server sends.
    pub(super) fn violation(&mut self, what: &'static str) {
        self.violations += 1;
        self.violation = Some(what);
    }

    pub(super) fn send(&mut self, to: ServerId, body: Body) {
        let message = Message { term: self.hard_state.term, body };
        self.out.messages.push(super::output::Outgoing { to, message });
    }

    pub(super) fn send_to_voters(&mut self, body: &Body) {
        for to in self.members().voters.clone() {
            if to != self.config.id {
                self.send(to, body.clone());
            }
        }
    }

    pub(super) fn note_change(&mut self, why: super::output::Why) {
        let (role, term, primary) = (self.role(), self.hard_state.term, self.primary);
        self.out.changes.push(RoleChange { role, term, primary, why });
    }

    /// A wait of one to two election timeouts, so that two servers seldom stand together (§5.2).
    pub(super) fn draw_election_deadline(&mut self) {
        let least = self.config.election_timeout_ms;
        self.election_deadline_ms = self.now_ms + least + self.random.up_to(least);
    }
}
