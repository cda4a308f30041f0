//! The consensus core: Raft (Ongaro and Ousterhout, "In search of an understandable consensus
//! algorithm", 2014; Ongaro's dissertation, 2014, whose sections the comments name), sans-I/O.
//!
//! # Names
//!
//! | here | Raft |
//! | --- | --- |
//! | PRIMARY | leader |
//! | BACKUP | follower |
//! | CANDIDATE | candidate, and what asks for pre-votes |
//! | payload | command, no-op or configuration; see [`Payload`] |
//! | persisted, committed | durable on this server; durable on a majority and never to be lost |
//! | hard state | `currentTerm` and `votedFor` |
//!
//! # How to drive it
//!
//! A driver owns the clock, the sockets and the disk. It makes a core from what the disk kept
//! ([`Raft::new`]), and then, in every turn of its loop:
//!
//! 1. tells what happened: [`Raft::step`] for each message that came, [`Raft::peer_lost`] for a
//!    server whose last connection is gone, [`Raft::peer_up`] for one that is connected,
//!    [`Raft::propose`], [`Raft::change_members`], [`Raft::read`], [`Raft::transfer`],
//!    [`Raft::provide`], and [`Raft::persisted`], [`Raft::hard_state_persisted`] and
//!    [`Raft::copy_persisted`] for what the disk has finished;
//! 2. calls [`Raft::tick`] with the time, when [`Raft::next_deadline_ms`] is over (or in any turn),
//!    after the messages that came: a process that was stopped for long then finds the answers
//!    that waited for it before it finds its timers over;
//! 3. takes one [`Output`] with [`Raft::take_output`], and carries out all of it.
//!
//! All that happened between two outputs leaves together: proposals in one append, reads in one
//! round of heartbeats.
//!
//! # The order of effects
//!
//! - `messages` leave at once, also before `append` is durable: backups write while the PRIMARY
//!   writes (§10.2.1). What promises durability (votes, requests for votes, acknowledgments) is
//!   kept back in the core until the driver says that it is durable; see `release.rs`.
//! - `hard_state` replaces the one before. Until it is durable, the core neither votes nor asks for
//!   votes nor acknowledges in its term. It needs no order with the log's writes.
//! - `copy` replaces the number before, in its own time.
//! - `truncate_from`, then `append`, in the order of outputs. One write and sync may cover several
//!   outputs; then the last one's `mark` is given back. A mark that is given back says that
//!   *everything* asked for up to it is durable.
//! - A write or sync that failed must never be reported as done, nor tried again: end the process.
//! - `committed`: apply the entries in order. [`Raft::entry`] has each of them that was proposed,
//!   received or given in [`Restored::tail`] since the start, at least until the next output; others
//!   are in the driver's log. They may be committed before they are durable *here*.
//! - `members_changed`: [`Raft::members`] are others now; `memberships_changed`: those that may be
//!   are, by what is not committed ([`Raft::memberships`]).
//! - `reads`: answer when all up to the grant's index is applied.
//! - `wanted`: read the entries and give them to [`Raft::provide`], soon or late; an empty answer says
//!   that it could not be done now. What became of the backup meanwhile is the core's business.
//! - [`Raft::durable_commit`] may be stored beside the log's entries, and given back as
//!   [`Restored::commit`]. It is only a hint: without it a server waits for a PRIMARY to learn what
//!   is committed.
//!
//! A message may be lost, doubled, late or out of order; a connection need not be kept for it. A
//! message that no correct server sends is ignored and counted ([`Raft::violations`]).
//!
//! # What it decides
//!
//! - *Elections* (`election.rs`): PreVote first, so that a server that was cut off does not disturb
//!   (§9.6); refused while a PRIMARY is heard, and so are votes (§4.2.3) except when the PRIMARY itself
//!   hands over (§3.10, `transfer.rs`). A PRIMARY that no majority answers steps down (§6.2).
//! - *Replication* (`replication.rs`, `progress.rs`, `backup.rs`): a window of appends under way to
//!   each backup; on a mismatch, back by whole terms; commit by counting only for the PRIMARY's own
//!   term (§5.4.2), for which it begins with an empty entry.
//! - *Restoring* (`restoring.rs`): a server whose log was damaged, or lost what it had acknowledged,
//!   neither votes nor counts until a PRIMARY has restored it.
//! - *Reads* (`reads.rs`): rounds of heartbeats (§6.4), no leases: no clock is trusted for safety.
//! - *Members* (`membership.rs`): one server at a time, through the log, first as a non-voter (§4).
//! - *Checks* (`invariants.rs`): what must hold of a state and between two, after every call in debug
//!   builds.
//!
//! A backup learns what is committed with the next append or heartbeat, not by a message of its own.
//!
//! Nothing depends on the order of a hash map, on a clock or on an address: the same calls give
//! the same outputs.

mod backup;
mod config;
mod core;
mod election;
mod entry;
mod invariants;
mod log;
mod membership;
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

pub use self::config::{Config, HardState, Restored, StartError, check_timeouts};
pub use self::core::Raft;
pub use self::entry::{ENTRY_OVERHEAD_BYTES, Entry, Members, Membership, Payload, ServerId};
pub use self::invariants::{Outline, check_between};
pub use self::log::Run;
pub use self::membership::ChangeError;
pub use self::message::{Body, Known, MESSAGE_OVERHEAD_BYTES, Message};
pub use self::output::{
    Committed, Mark, Outgoing, Output, ProposeError, ReadError, ReadGrant, Role, RoleChange,
    TransferError, Wanted, Why,
};
pub use self::restoring::{is_damaged, next_damaged};
pub use self::status::BackupStatus;
