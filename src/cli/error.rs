//! What can go wrong before and around a subcommand, and the exit code for it.

use std::fmt;
use std::io;

use crate::client::show;

/// Why `chatctl` does not do what it was asked.
#[derive(Debug)]
pub enum Error {
    /// The command line, the environment or the configuration file asks for what does not exist.
    Usage {
        /// The subcommand, empty for `chatctl` itself.
        subcommand: &'static str,
        /// What is wrong, where, and what to write instead.
        what: String,
    },
    /// The subcommand was understood and could not do its work.
    Failed {
        /// The subcommand.
        subcommand: &'static str,
        /// What happened, where, and what to do.
        what: String,
    },
    /// The subcommand has said itself, on standard error, why it failed.
    Told,
    /// Output could not be written; a closed pipe is not one of these to the user.
    Output(io::Error),
}

impl Error {
    /// A wrong use of `subcommand`.
    pub fn usage(subcommand: &'static str, what: impl Into<String>) -> Error {
        Error::Usage { subcommand, what: what.into() }
    }

    /// A failure of `subcommand`.
    pub fn failed(subcommand: &'static str, what: impl fmt::Display) -> Error {
        Error::Failed { subcommand, what: what.to_string() }
    }

    /// The exit code: 2 for wrong usage, 1 for a failure, 0 where only the reader of the output
    /// went away.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage { .. } => 2,
            Error::Failed { .. } | Error::Told => 1,
            Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Error::Output(_) => 1,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Output(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage { subcommand, what } => {
                writeln!(f, "{}: {}", command(subcommand), harmless(what))?;
                let help =
                    if subcommand.is_empty() { String::new() } else { format!(" {subcommand}") };
                write!(f, "see: chatctl help{help}")
            }
            Error::Failed { subcommand, what } => {
                write!(f, "{}: {}", command(subcommand), harmless(what))
            }
            Error::Told => Ok(()),
            Error::Output(error) => write!(f, "chatctl: cannot write the output: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// The text, as a terminal may have it: parts of it may be what a server said.
fn harmless(text: &str) -> String {
    text.split('\n').map(show::line).collect::<Vec<_>>().join("\n")
}

/// `chatctl` or `chatctl SUBCOMMAND`, as an error line begins.
fn command(subcommand: &str) -> String {
    if subcommand.is_empty() { "chatctl".to_string() } else { format!("chatctl {subcommand}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_said_reaches_the_terminal_harmless_in_every_error() {
        let said = "a: \u{1b}]0;x\u{7}\u{202e}\u{9b}2J\rb";
        for error in [Error::failed("members", said), Error::usage("chat", said)] {
            let shown = error.to_string();
            let is_bad = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
            assert!(!shown.contains(is_bad), "{shown:?}");
            assert!(shown.contains("a: \u{241b}]0;x"), "{shown:?}");
        }
    }
}
