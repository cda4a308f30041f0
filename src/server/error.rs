//! Why a server cannot start or go on.

use std::{fmt, io};

use crate::net::Listen;
use crate::node::End;
use crate::wal;

/// Why a server cannot start or go on.
#[derive(Debug)]
pub enum Error {
    /// The data directory cannot be used.
    Directory(wal::data_dir::Error),
    /// An address cannot be listened at.
    Listen(Listen, io::Error),
    /// The system refuses what every server needs.
    System(&'static str, io::Error),
    /// Waiting for events failed.
    Poll(io::Error),
    /// What the node says.
    Node(End),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Directory(error @ wal::data_dir::Error::InUse(_)) => {
                write!(f, "{error}; stop that process, or give another directory with --data-dir")
            }
            Error::Directory(error) => write!(f, "{error}; give another directory with --data-dir"),
            Error::Listen(listen, error) => {
                write!(f, "cannot listen at {listen}: {error}; give another address with --listen")
            }
            Error::System(what, error) => write!(f, "{what}: {error}"),
            Error::Poll(error) => write!(f, "waiting for events failed: {error}"),
            Error::Node(end) => write!(f, "{end}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<End> for Error {
    fn from(end: End) -> Error {
        Error::Node(end)
    }
}
