//! The write-ahead log: every entry of the replicated log, durable before anybody is told.
//!
//! # Names
//!
//! | name | what it is |
//! | --- | --- |
//! | `00000001.wal` | segment 1: numbers are decimal, from 1, eight digits or more |
//! | `00000003.wal.damaged` | segment 3, set aside: a member of a cluster found it damaged; kept for the operator |
//! | `00000002.new` | segment 2 being made: nothing in it counts; a crash leaves it, recovery removes it |
//!
//! The newest segments are the active one, which takes records, and a spare, which has a header
//! and zeros and is made ahead of its need. Bytes and offsets: [`format`].
//!
//! # What counts
//!
//! Each segment's header names the one that it follows; the newest leads back to all that count.
//! Records are read in that order. A *batch* is what one fsync covers: records that lie one behind
//! the other in one segment, closed by a mark with the commit index known then. Batches are
//! numbered from 1 without gaps. A *truncate* record cuts entries from an index on; what comes
//! later wins.
//!
//! # The order of effects
//!
//! 1. [`Wal::append_entry`], [`Wal::truncate_from`]: a record gets its place. No I/O.
//! 2. [`Wal::take_batch`]: only when the batch before is durable.
//! 3. [`perform`]: one write, one fsync. An error ends the process; nothing is written twice.
//! 4. [`Wal::batch_durable`]: the entries count as persisted, and may be told of.
//!
//! So a valid record of batch `b` proves that all batches before `b` were durable. For the last
//! batch of a busy time nothing does, so an idle server appends a mark ([`Wal::append_mark`]).
//!
//! A segment is made as `N.new`: blocks reserved, zeros written (a sync of written blocks takes
//! half the time of one that has to mark them as written), header, fsync, rename to `N.wal`, fsync
//! of the directory; only then does a record go there. Rotation is no more than writing there.
//! While no spare can be made, [`Wal::full`] says so and changes are refused; it is known as soon
//! as the segment before has its first batch, so what was accepted has that segment's rest.
//!
//! # After a crash
//!
//! What a crash leaves: a batch of which any subset of the sectors arrived, at the end of the
//! newest segment that has records; a file `N.new`; segments that recovery had replaced and not
//! yet removed. Everything else is corruption: refused, or set aside where other servers can restore
//! it (`set_aside.rs`). [`recovery`] has the table. Recovery
//! always goes on in a fresh segment and never writes into one that has records.

mod bookkeeping;
pub mod boots;
pub mod data_dir;
mod disk;
mod error;
mod follow;
pub mod format;
pub mod hard_state;
mod judge;
mod locations;
mod names;
mod perform;
mod reader;
pub mod recovery;
mod replay;
mod restart;
pub mod scan;
mod set_aside;
mod sound_part;
mod survey;
mod window;
mod writer;

pub use bookkeeping::Wal;
pub use data_dir::DataDir;
pub use disk::{Disk, RealDisk};
pub use error::RecoverError;
pub use follow::{Follower, Whole};
pub use format::Identity;
pub use judge::{Examined, Look, examine, examine_segment};
pub use locations::Location;
pub use names::{segment_name, segment_number};
pub use perform::{Batch, SpareRequest, SpareState, make_spare, perform};
pub use reader::{Full, ReadDone, ReadError, Reader};
pub use recovery::{Report, recover, recover_readable};
pub use replay::{Entry, Readable, Visit, any_payload};
pub use restart::Options;
pub use set_aside::{check_there, has_segments, set_aside};
pub use sound_part::SoundPart;
pub use writer::{Done, Writer};
