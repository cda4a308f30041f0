//! Why a run of `bench-load` ends without its figures.

use std::fmt;
use std::io;

#[derive(Debug)]
pub enum Error {
    /// No server of the list takes a connection: the last one's address and error.
    Unreachable(String, io::Error),
    /// A connection broke: the client's name and why.
    Lost(String, io::Error),
    /// The server answered with an error: what was asked, by whom, the answer's text.
    Refused(&'static str, String, String),
    /// The server sent what the protocol does not have: the client's name and what.
    Odd(String, String),
    /// The server is not PRIMARY: the client address of the one that is, or nothing.
    Redirected(String),
    /// This machine lacks something: what was tried, and why not.
    System(&'static str, io::Error),
    /// The process whose memory was to be measured is not there.
    NoProcess(u32),
    /// Ended by a signal before there was anything to tell.
    Interrupted,
    /// What was found cannot be printed.
    Output(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreachable(address, error) => {
                // A redirect may have named it.
                let address = address.escape_debug();
                write!(f, "cannot connect to {address}: {error}; is a server running there?")
            }
            Error::Lost(name, error) => write!(f, "{name}: the connection broke: {error}"),
            Error::Refused(cmd, name, body) => {
                write!(f, "{name}: {cmd} was refused: {}", body.escape_debug())
            }
            Error::Odd(name, what) => {
                write!(f, "{name}: protocol error: {}", what.escape_debug())
            }
            Error::Redirected(address) if address.is_empty() => f.write_str(
                "this server is not PRIMARY and knows no PRIMARY: try again in a moment",
            ),
            Error::Redirected(address) => {
                let address = address.escape_debug();
                write!(f, "this server is not PRIMARY: put {address} first in --servers")
            }
            Error::System(what, error) => write!(f, "{what}: {error}"),
            Error::NoProcess(pid) => write!(f, "no process {pid}"),
            Error::Interrupted => f.write_str("interrupted before a message was sent"),
            Error::Output(error) => write!(f, "cannot write the output: {error}"),
        }
    }
}

impl std::error::Error for Error {}
