//! Why a log cannot be recovered, for the operator.

use std::fmt;
use std::io;

use super::format::Identity;
use crate::sys::file::is_full;

/// Why a log cannot be recovered. Nothing was changed, but for `Io` while writing.
#[derive(Debug)]
pub enum RecoverError {
    /// What was durable is damaged or gone.
    Corrupt {
        /// The file's name, in the log's directory.
        file: String,
        /// Where in it the first damage is, bytes.
        offset: u64,
        /// What is wrong there.
        why: String,
    },
    /// A segment belongs to another cluster.
    Identity {
        /// The file's name.
        file: String,
        /// Whose it is.
        found: Identity,
        /// Whose it should be.
        expected: Identity,
    },
    /// A segment has a format that this program does not know.
    Version {
        /// The file's name.
        file: String,
        /// What the header says.
        why: String,
    },
    /// The directory has no log, and whose to make was not said.
    Empty,
    /// The disk failed.
    Io {
        /// The file's name, or the directory.
        file: String,
        /// What it said.
        error: io::Error,
    },
    /// An entry cannot be read.
    Visit {
        /// The entry.
        index: u64,
        /// The file's name.
        file: String,
        /// Where in it the entry begins, bytes.
        offset: u64,
        /// Why.
        why: String,
    },
}

impl fmt::Display for RecoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecoverError::Corrupt { file, offset, why } => write!(
                f,
                "the log is damaged in {file} at byte {offset}: {why}. Nothing was changed. \
                 Restore the directory from a copy; `chatctl dump-log` shows what can be read"
            ),
            RecoverError::Identity { file, found, expected } => write!(
                f,
                "{file} belongs to cluster {}, not to {}: this is another cluster's directory",
                Hex(&found.cluster),
                Hex(&expected.cluster)
            ),
            RecoverError::Version { file, why } => {
                write!(f, "{file}: {why}. Use the version of chatctl that wrote it")
            }
            RecoverError::Empty => write!(f, "there is no log in this directory"),
            RecoverError::Io { file, error } if is_full(error) => {
                write!(f, "{file}: {error}. Nothing is lost: make room, then start again")
            }
            RecoverError::Io { file, error } => write!(f, "{file}: {error}"),
            RecoverError::Visit { index, file, offset, why } => {
                write!(f, "entry {index} of the log, in {file} at byte {offset}: {why}")
            }
        }
    }
}

impl std::error::Error for RecoverError {}

impl RecoverError {
    /// The file that is not as it should be, where in it, and what is wrong, in that order.
    pub fn place(&self) -> (&str, u64, String) {
        match self {
            RecoverError::Corrupt { file, offset, why } => (file, *offset, why.clone()),
            RecoverError::Visit { index, file, offset, why } => {
                (file, *offset, format!("entry {index}: {why}"))
            }
            RecoverError::Version { file, why } => (file, 0, why.clone()),
            RecoverError::Identity { file, found, expected } => {
                let (found, expected) = (Hex(&found.cluster), Hex(&expected.cluster));
                (file, 0, format!("it belongs to cluster {found}, not to {expected}"))
            }
            RecoverError::Io { file, error } => (file, 0, error.to_string()),
            RecoverError::Empty => ("", 0, self.to_string()),
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

pub(super) fn io_error(file: &str) -> impl FnOnce(io::Error) -> RecoverError {
    let file = file.to_owned();
    move |error| RecoverError::Io { file, error }
}
