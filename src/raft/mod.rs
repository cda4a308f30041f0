//! The consensus core: Raft (Ongaro and Ousterhout, "In search of an understandable consensus
//! algorithm", 2014; Ongaro's dissertation, 2014, whose sections the comments name), sans-I/O.
//!
//! # Names
//!
//! | here | Raft |
//! | --- | --- |
//! | PRIMARY | leader |
//! | BACKUP | follower |
//! | CANDIDATE | candidate, and pre-candidate |
//! | payload | command, no-op or configuration; see [`Payload`] |
//! | persisted, committed | durable on this server; durable on a majority and never to be lost |
//! | hard state | `currentTerm` and `votedFor` |
//!
//! # How to drive it
//!
//! A driver owns the clock, the sockets and the disk. It makes a core from what the disk kept
//! ([`Raft::new`]), and then, in every turn of its loop:
//!
//! 1. reports what happened: [`Raft::step`] for each message received, [`Raft::peer_lost`] for a
//!    server whose last connection is gone, [`Raft::peer_up`] for one that is connected,
//!    [`Raft::propose`], [`Raft::change_members`], [`Raft::read`], [`Raft::transfer`],
//!    [`Raft::provide`], and [`Raft::persisted`], [`Raft::hard_state_persisted`] and
//!    [`Raft::copy_persisted`] for what the disk has finished;
//! 2. calls [`Raft::tick`] with the time once [`Raft::next_deadline_ms`] has passed (or in any
//!    turn), after the messages received: a process that was stopped for long then sees the answers
//!    that waited for it before its timers fire;
//! 3. takes one [`Output`] with [`Raft::take_output`], and carries out all of it.
//!
//! Everything between two outputs leaves together: proposals in one append, reads in one round of
//! heartbeats.
//!
//! # The order of effects
//!
//! - `messages` leave at once, even before `append` is durable: backups write while the PRIMARY
//!   writes (§10.2.1). The core holds back what promises durability (votes, requests for votes,
//!   acknowledgments) until the driver reports it as durable; see `release.rs`.
//! - `hard_state` replaces the one before. Until it is durable, the core neither votes nor asks for
//!   votes nor acknowledges in its term. It needs no order with the log's writes.
//! - `copy` replaces the number before; it needs no order with the rest.
//! - `truncate_from`, then `append`, in the order of outputs. One write and sync may cover several
//!   outputs; then the last one's `mark` is given back. A mark that is given back says that
//!   *everything* asked for up to it is durable.
//! - Never report a failed write or sync as done, nor retry it: end the process.
//! - `committed`: apply the entries in order. [`Raft::entry`] has each of them that was proposed,
//!   received or given in [`Restored::tail`] since the start, at least until the next output;
//!   others are in the driver's log. They may be committed before they are durable *here*.
//! - `members_changed`: [`Raft::members`] changed. `memberships_changed`: [`Raft::memberships`]
//!   did, the configurations of which one may still count.
//! - `reads`: answer when all up to the grant's index is applied.
//! - `wanted`: read the entries and give them to [`Raft::provide`], at any time; an empty answer
//!   says that it could not be done now. What became of the backup meanwhile is the core's
//!   business.
//! - [`Raft::durable_commit`] may be stored beside the log's entries, and given back as
//!   [`Restored::commit`]. It is only a hint: without it a server waits for a PRIMARY to learn what
//!   is committed.
//!
//! Messages may be lost, doubled, late or out of order. A message that no correct server sends is
//! ignored and counted ([`Raft::violations`]).
//!
//! # Files, in reading order
//!
//! Plain types first:
//!
//! - `entry.rs`, `message.rs`, `output.rs`, `config.rs`: what goes in and comes out.
//! - `random.rs`, `log.rs`, `memberships.rs`, `copy.rs`: parts of the state.
//! - `progress.rs`: what a PRIMARY knows of a backup, and how fast it sends: a window of appends
//!   under way to each; on a mismatch, back by whole terms.
//! - `roles.rs`: BACKUP, CANDIDATE and PRIMARY, each with its fields.
//!
//! Then this file: [`Raft`], its inputs, its output and the dispatch of messages. Then its rules,
//! each file a set of methods of [`Raft`]:
//!
//! - `transitions.rs`: from role to role.
//! - `election.rs`: PreVote first, so that a server that was cut off does not disturb (§9.6);
//!   refused while a PRIMARY is heard, and so are votes (§4.2.3) except when the PRIMARY itself
//!   hands over. A PRIMARY that no majority answers steps down (§6.2).
//! - `replication.rs`, `backup.rs`: the log; commit by counting only for the PRIMARY's own term
//!   (§5.4.2), for which it begins with a no-op.
//! - `release.rs`: what waits until it is durable.
//! - `reads.rs`: rounds of heartbeats (§6.4), no leases: no clock is trusted for safety.
//! - `membership.rs`: one server at a time, through the log, first as a non-voter (§4).
//! - `transfer.rs`: handing over (§3.10).
//! - `restoring.rs`: a server whose log was damaged, or lost what it had acknowledged, neither
//!   votes nor counts until a PRIMARY has restored it.
//! - `invariants.rs`: what must hold of a state and between two, after every call in debug builds.
//! - `status.rs`: questions.
//!
//! A backup learns the commit index with the next append or heartbeat. Nothing depends on the order
//! of a hash map, on a clock or on an address: the same calls give the same outputs.

mod backup;
mod config;
mod copy;
mod election;
mod entry;
mod invariants;
mod log;
mod membership;
mod memberships;
mod message;
mod output;
mod progress;
mod random;
mod reads;
mod release;
mod replication;
mod restoring;
mod roles;
mod status;
mod transfer;
mod transitions;

use std::sync::Arc;

pub use self::config::{Config, HardState, Restored, StartError, check_timeouts};
pub use self::copy::{is_damaged, next_damaged};
pub use self::entry::{ENTRY_OVERHEAD_BYTES, Entry, Members, Membership, Payload, ServerId};
pub use self::invariants::{Outline, check_between};
pub use self::log::Run;
pub use self::membership::ChangeError;
pub use self::message::{Body, Known, Message};
pub use self::output::{
    Committed, Mark, Outgoing, Output, ProposeError, ReadError, ReadGrant, Role, RoleChange,
    TransferError, Wanted, Why,
};
pub use self::status::BackupStatus;

use self::copy::OwnCopy;
use self::log::Log;
use self::memberships::Memberships;
use self::message::Place;
use self::random::Random;
use self::roles::{Followed, InTerm, RefusedPreVote, State};
use crate::limits;
use crate::mutants::{Mutant, planted};

/// One server's part in the replicated log. The module's manual says how to drive it.
#[derive(Clone, Debug)]
pub struct Raft {
    config: Config,
    memberships: Memberships,
    random: Random,
    /// The newest time that was given.
    now_ms: u64,

    /// Term and vote, and how much of that is durable.
    hard_state: HardState,
    durable: HardState,
    /// Which copy of the log this is, and whether it is being restored.
    copy: OwnCopy,

    log: Log,
    /// How often the log was cut: marks of older generations say nothing about this log.
    generation: u64,
    /// This log is durable up to here.
    persisted: u64,
    commit: u64,
    given: Given,

    state: State,
    in_term: InTerm,
    /// To be answered again once the PRIMARY is lost.
    pre_votes_refused: Vec<RefusedPreVote>,

    out: Output,
    violations: Violations,
}

/// What the driver was told by the outputs so far.
#[derive(Clone, Copy, Debug)]
struct Given {
    hard_state: HardState,
    commit: u64,
    /// The driver's log is this one up to here, apart from what the next output says.
    last_index: u64,
}

/// Messages that no correct server sends.
#[derive(Clone, Copy, Debug, Default)]
struct Violations {
    count: u64,
    newest: Option<&'static str>,
}

impl Raft {
    /// Starts as a backup, from the settings and what the disk kept. A cluster of one elects itself
    /// at the first tick.
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
            random,
            now_ms,
            hard_state,
            durable: saved,
            copy,
            log,
            generation: 0,
            persisted: last_index,
            commit,
            given: Given { hard_state: saved, commit, last_index },
            state: State::Backup { primary: Followed::Nobody, election_deadline_ms: now_ms },
            in_term: InTerm::default(),
            pre_votes_refused: Vec::new(),
            out: Output::default(),
            violations: Violations::default(),
            config,
        };
        if raft.members().voters != [raft.config.id] {
            raft.draw_election_deadline();
        }
        raft.check_invariants();
        Ok(raft)
    }

    /// It is `now_ms`, milliseconds of a clock that does not go back (a step back counts as no
    /// time).
    pub fn tick(&mut self, now_ms: u64) {
        self.at(now_ms, Raft::on_time);
    }

    /// `message` came from `from`.
    pub fn step(&mut self, now_ms: u64, from: ServerId, message: Message) {
        self.at(now_ms, |raft| raft.on_message(from, message));
    }

    /// Puts a command, which is not empty, at the log's end; its index. It is safe when it is
    /// committed, which after a change of the PRIMARY it may never be.
    pub fn propose(&mut self, command: Arc<[u8]>) -> Result<u64, ProposeError> {
        assert!(!command.is_empty(), "a command has bytes");
        self.checked(|raft| raft.on_propose(Payload::Command(command)))
    }

    /// Everything asked for up to `mark`'s output is durable.
    pub fn persisted(&mut self, mark: Mark) {
        self.checked(|raft| {
            assert!(mark.generation <= raft.generation, "a mark of this core's");
            // After a cut this mark's entries may be gone; the cut's own mark follows.
            if mark.generation == raft.generation || planted(Mutant::MarkOfCutLog) {
                assert!(mark.index <= raft.given.last_index, "only what was given can be durable");
                raft.persisted = raft.persisted.max(mark.index);
                raft.count_commit();
            }
        });
    }

    /// `hard_state`, from an output, is durable.
    pub fn hard_state_persisted(&mut self, hard_state: HardState) {
        self.checked(|raft| {
            let order = |state: HardState| (state.term, state.voted_for.is_some());
            assert!(order(hard_state) <= order(raft.given.hard_state), "one that was given");
            if order(hard_state) > order(raft.durable) {
                raft.durable = hard_state;
                raft.release_votes();
            }
        });
    }

    /// The last connection to `id` is gone: its process is dead, or cannot be reached.
    pub fn peer_lost(&mut self, now_ms: u64, id: ServerId) {
        self.at(now_ms, |raft| raft.on_peer_lost(id));
    }

    /// There is a connection to `id`, the first or one that replaces the old.
    pub fn peer_up(&mut self, now_ms: u64, id: ServerId) {
        self.at(now_ms, |raft| raft.on_peer_up(id));
    }

    /// What there is to do. The caller carries out all of it before it takes the next one.
    pub fn take_output(&mut self) -> Output {
        self.checked(|raft| {
            raft.log.evict(raft.given.commit.min(raft.given.last_index), raft.config.cache_bytes);
            raft.finish_restoring();
            raft.release_acknowledgments();
            raft.send_as_primary();
            if raft.hard_state != raft.given.hard_state {
                raft.given.hard_state = raft.hard_state;
                raft.out.hard_state = Some(raft.hard_state);
            }
            if raft.out.truncate_from.is_some() || !raft.out.append.is_empty() {
                raft.given.last_index = raft.log.last_index();
                raft.out.mark =
                    Some(Mark { generation: raft.generation, index: raft.log.last_index() });
            }
            if raft.commit > raft.given.commit {
                raft.out.committed =
                    Some(Committed { after: raft.given.commit, upto: raft.commit });
                raft.given.commit = raft.commit;
                raft.out.memberships_changed |= raft.memberships.forget(raft.commit);
            }
            std::mem::take(&mut raft.out)
        })
    }

    /// Runs one public call, with the checks after it in debug builds.
    fn checked<T>(&mut self, act: impl FnOnce(&mut Raft) -> T) -> T {
        if !cfg!(debug_assertions) {
            return act(self);
        }
        let before: Outline = self.outline();
        let result = act(self);
        self.check_invariants();
        check_between(&before, &self.outline());
        result
    }

    /// The same for a call that says what time it is.
    fn at<T>(&mut self, now_ms: u64, act: impl FnOnce(&mut Raft) -> T) -> T {
        self.checked(|raft| {
            raft.now_ms = raft.now_ms.max(now_ms);
            act(raft)
        })
    }

    /// Deals with a message's term first, then with what it says.
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
    fn append_own(&mut self, payload: Payload) {
        let entry = Entry { term: self.hard_state.term, index: self.log.last_index() + 1, payload };
        self.append(entry);
    }

    /// Adds an entry to the log and to the output.
    fn append(&mut self, entry: Entry) {
        self.log.append(entry.clone());
        self.take_members(&entry);
        self.out.append.push(entry);
    }

    /// Cuts the log from `index` on.
    fn truncate_from(&mut self, index: u64) {
        assert!(index > self.commit, "what is committed is never cut");
        self.log.truncate_from(index);
        self.revert_members(index);
        self.generation += 1;
        self.persisted = self.persisted.min(index - 1);
        self.out.append.retain(|entry| entry.index < index);
        if index <= self.given.last_index {
            self.given.last_index = index - 1;
            let earlier = self.out.truncate_from.unwrap_or(index);
            self.out.truncate_from = Some(earlier.min(index));
        }
    }

    /// Notes a message that no correct server sends.
    fn violation(&mut self, what: &'static str) {
        self.violations.count += 1;
        self.violations.newest = Some(what);
    }

    fn send(&mut self, to: ServerId, body: Body) {
        let message = Message { term: self.hard_state.term, body };
        self.out.messages.push(Outgoing { to, message });
    }

    fn send_to_voters(&mut self, body: &Body) {
        for to in self.members().voters.clone() {
            if to != self.config.id {
                self.send(to, body.clone());
            }
        }
    }

    fn note_change(&mut self, why: Why) {
        let (role, term, primary) = (self.role(), self.hard_state.term, self.primary());
        self.out.changes.push(RoleChange { role, term, primary, why });
    }
}
