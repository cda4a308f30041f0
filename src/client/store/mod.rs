//! What a client keeps on disk: the outbox, how far it has shown, the token, the cluster's id.
//!
//! ```text
//! STATE-DIR/lock               held while a folder is made
//! STATE-DIR/USER@SERVER/       mode 0700; one folder per account and set of servers
//!     servers                  their addresses: a list with one of them in common finds the folder
//!     lock.0  outbox.0         the first client of the account that runs; files of mode 0600
//!     lock.1  outbox.1 ...     further ones at the same time, each with its own outbox
//!     typed                    the input history, drafts and muted names of all of them
//! ```
//!
//! A client holds the `flock` of one lock file while it runs, so no two send from one outbox. The
//! first keeps cursor and token; a further one starts from what is newest. Outboxes whose clients
//! have died are taken over: by the client that gets the same place, or by the next first one. (A
//! crash in the middle of that leaves a message in both; it has one id, so it is stored once.)
//!
//! A message is on disk, synced, before its first attempt; a refusal for good is synced before
//! anybody is told of it. What else follows an attempt (`gone`, the cursor) is written without a
//! sync: a power failure can only make the client ask or show again, and what is asked again is
//! recognised by its id. What the file itself promises is in [`outbox`]. [`typed`] is a convenience,
//! and promises nothing.
//!
//! All of it runs over a [`Disk`](crate::wal::Disk); locks and folders are the shell's.

pub mod journal;
pub mod outbox;
pub mod typed;

use std::io;
use std::path::PathBuf;

use crate::limits;

/// Why something could not be kept.
#[derive(Debug)]
pub enum Error {
    /// The operating system's word: doing what, where.
    Io {
        /// A verb phrase.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The word.
        error: io::Error,
    },
    /// More clients of one account than there are places.
    NoPlace(PathBuf),
}

impl std::fmt::Display for Error {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Io { doing, path, error } => write!(
                out,
                "cannot {doing} {}: {error}; check permissions and disk space, or give another \
                 directory with --state-dir",
                path.display()
            ),
            Error::NoPlace(path) => write!(
                out,
                "{} clients of this account are running with {} already; quit one or give another \
                 --state-dir",
                limits::CLIENT_SLOTS,
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {}

/// What opening found besides the state itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Damaged lines that were passed over; the file as it was is kept beside, as `*.damaged`.
    pub damaged: usize,
    /// Messages taken over from clients that died.
    pub adopted: usize,
    /// Another client of the account runs: this one keeps no cursor.
    pub shared: bool,
}
