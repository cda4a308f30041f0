//! Errors of the command line and of subcommands, and their exit codes.

use std::fmt;
use std::io;

use crate::client::show;

/// Why `chatctl` failed.
#[derive(Debug)]
pub enum Error {
    /// The command line, the environment or the configuration file is wrong.
    Usage {
        /// The subcommand, empty for `chatctl` itself.
        subcommand: &'static str,
        /// What is wrong, where, and what to write instead.
        what: String,
    },
    /// The subcommand failed.
    Failed {
        /// The subcommand.
        subcommand: &'static str,
        /// What happened, where, and what to do.
        what: String,
    },
    /// The subcommand failed, and has written the reason to standard error.
    Told,
    /// The output could not be written. A closed pipe is not an error to the user.
    Output(io::Error),
}

impl Error {
    /// A wrong command line.
    pub fn usage(what: impl Into<String>) -> Error {
        Error::Usage { subcommand: "", what: what.into() }
    }

    /// A failure.
    pub fn failed(what: impl fmt::Display) -> Error {
        Error::Failed { subcommand: "", what: what.to_string() }
    }

    /// The same error, of this subcommand.
    pub fn of(mut self, name: &'static str) -> Error {
        if let Error::Usage { subcommand, .. } | Error::Failed { subcommand, .. } = &mut self {
            *subcommand = name;
        }
        self
    }

    /// The exit code: 2 for wrong usage, 1 for a failure, 0 if the reader of the output went away.
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

/// The text without characters that harm a terminal: a server may have sent parts of it.
fn harmless(text: &str) -> String {
    text.split('\n').map(show::line).collect::<Vec<_>>().join("\n")
}

/// The beginning of an error line: `chatctl` or `chatctl SUBCOMMAND`.
fn command(subcommand: &str) -> String {
    if subcommand.is_empty() { "chatctl".to_string() } else { format!("chatctl {subcommand}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_said_reaches_the_terminal_harmless_in_every_error() {
        let said = "a: \u{1b}]0;x\u{7}\u{202e}\u{9b}2J\rb";
        for error in [Error::failed(said), Error::usage(said).of("chat")] {
            let shown = error.to_string();
            let is_bad = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
            assert!(!shown.contains(is_bad), "{shown:?}");
            assert!(shown.contains("a: \u{241b}]0;x"), "{shown:?}");
        }
    }
}
