//! The state machine: accounts, mailboxes, markers. Entries of the log go in, effects come out.
//!
//! # Types
//! - [`Command`]: what an entry's payload means, and its bytes. An empty payload means nothing.
//! - [`State`]: everything that applying the entries 1..=n has made; [`State::apply`] is a pure and
//!   total function of (state, entry): no clock, no randomness, no I/O, no panic on any payload.
//! - [`Effect`]: what applying one entry did, as replies and pushes need it.
//! - [`AccountId`]: an account's number, given in the order of creation, never given again.
//! - The queries on [`State`]: every one takes the most it may return, and costs what it returns
//!   plus searches in sorted lists, whatever is stored. Bodies are not here but in the log: queries
//!   give seqs (log indexes), the server reads those entries, [`view::deliver`] renders them.
//!
//! # What is kept, and what it costs
//! Messages get ordinals (`u32`, in log order), and columns by ordinal: index 6 bytes, time 6,
//! message id 16, pair of accounts and direction 4, flags 1. A message stands in four sorted lists
//! of ordinals: its receiver's received, its sender's sent, and each one's side of the pair; and in
//! a table from id to ordinal (5 bytes a slot, loads of 0.53 to 0.8). All in all about 60 bytes. A
//! sender's last [`crate::limits::ID_WINDOW`] messages also keep a 128-bit print of their body, 20
//! bytes with its ordinal, slack apart.
//!
//! Message ids stay in memory for all messages, since `delete_msgs` names messages of any age by
//! id: a table of short hashes that the server would verify against the log saves 9 bytes a message
//! and costs a disk read a candidate, an asynchronous step before each proposal, and inexact
//! answers.
//!
//! # Invariants ([`State::check_invariants`] walks them all)
//! 1. Ordinals rise with log indexes; an index holds one message at most.
//! 2. A live account's lists hold exactly the messages that it can see: it is the sender and has
//!    not taken the message back, or the receiver, and neither it nor the sender has deleted it. A
//!    message to oneself stands among the received ones only.
//! 3. Unread, for a side of a pair: received from the other, not from oneself, above the marker,
//!    not taken, seen. An account's total is the sum over its pairs.
//! 4. A marker only rises, and is never above the newest message of the pair that its owner could
//!    see when it moved: it cannot read what is not yet there.
//! 5. An account's conversations are ordered by the newest message that it can see in each; one
//!    without such a message is not among them.
//! 6. A sender's window holds its newest messages, deleted or not, at most so many; the horizon is
//!    the highest index that fell out of it.
//! 7. A name belongs to one account for ever. A deleted account keeps its name and number, so that
//!    what it sent still says whose it is; mailbox, verifier, markers and window are gone.
//!
//! # Decisions where PROTOCOL is open
//! - A duplicate is told before the receiver is looked at: a retry gets its first reply even when
//!   the receiver is gone since. Deleting a message does not make its id new.
//! - A message to oneself counts as received: `deliver` brings it, `unread` never counts it.
//! - A marker above the newest message of the conversation is put at that message.
//! - Of the moves of one marker only the latest is an event: who syncs learns where it stands.
//! - A message taken back is an event for everyone who could see it, also for a cursor from before
//!   the message itself; one it never could see is never named.
//! - Deleting an account is no event for others: they keep what they have.
//! - The entry of a `deliver` n or a `delete_msgs` names exact seqs; what does not qualify any more
//!   when it is applied is passed over.

mod accounts;
mod check;
mod chunked;
mod command;
mod effect;
pub mod glob;
mod hash;
mod id_table;
mod members;
mod messages;
mod ordinals;
mod pairs;
mod query;
mod state;
pub mod view;

pub use accounts::AccountId;
pub use command::{Command, CommandError, Member, Target, readable};
pub use effect::{Effect, Gone};
pub use members::members_in;
pub use query::{Conversation, Direction, EventRef, Sight};
pub use state::{ApplyError, State};
