//! What a client is run with, and how it can fail.

use std::path::PathBuf;

use super::commands::Old;
use super::session::Refusal;
use super::{show, store};
use crate::protocol::framing::Codec;

/// What `chatctl chat` was asked to do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `HOST:PORT` or `unix:PATH`, tried in this order; not empty.
    pub servers: Vec<String>,
    /// The account; asked for on the terminal where it is not given.
    pub user: Option<String>,
    /// Make the account.
    pub create: bool,
    /// Where the password comes from.
    pub password: PasswordFrom,
    /// The payloads' form.
    pub codec: Codec,
    /// Where outbox, cursor and token are kept; by default see [`default_dir`](super::shell::state_dir::default_dir).
    pub state_dir: Option<PathBuf>,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// How long a single action, or the end of piped input, may take, milliseconds; 0 = no bound.
    pub timeout_ms: u64,
    /// What to do.
    pub action: Action,
    /// What becomes of messages that have waited for more than a day.
    pub old: Old,
    /// Most messages of `--history`, names of `--list`, conversations of `--inbox`; 0 = not said.
    pub limit: u16,
    /// Lines instead of the full screen, also on a terminal.
    pub plain: bool,
    /// How the full screen is.
    pub screen: ScreenOptions,
}

/// How the full screen is.
#[derive(Clone, Debug, Default)]
pub struct ScreenOptions {
    /// It rings for new messages.
    pub bell: bool,
    /// Columns of the list of conversations; 0 hides it, `None`: as the width asks for.
    pub sidebar: Option<usize>,
    /// The wheel of the mouse scrolls it.
    pub mouse: bool,
    /// How the terminal is asked to notify.
    pub notify: Notify,
    /// What is run for new messages.
    pub notify_command: Option<PathBuf>,
}

/// How a terminal is asked to tell the user of new messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// It is not.
    #[default]
    Off,
    /// OSC 9: iTerm2, kitty, Windows and others.
    Osc9,
    /// OSC 777: urxvt, foot, GNOME's and others.
    Osc777,
}

/// Where the password comes from.
#[derive(Clone, Default)]
pub enum PasswordFrom {
    /// Asked for on the terminal, where a kept token does not do.
    #[default]
    Ask,
    /// The first line of a file.
    File(PathBuf),
    /// Given (by the environment).
    Value(String),
}

impl std::fmt::Debug for PasswordFrom {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PasswordFrom::Ask => out.write_str("Ask"),
            PasswordFrom::File(path) => write!(out, "File({})", path.display()),
            PasswordFrom::Value(_) => out.write_str("Value(...)"),
        }
    }
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Chat on the terminal, or take commands from a pipe.
    #[default]
    Chat,
    /// Send one message.
    Send {
        /// To whom.
        to: String,
        /// The text; where it is absent, each line of standard input is a message.
        text: Option<String>,
    },
    /// Send the whole of standard input as one message.
    SendInput {
        /// To whom.
        to: String,
    },
    /// Print a conversation's newest messages.
    History {
        /// With whom; empty: all conversations.
        with: String,
    },
    /// Print names.
    List {
        /// A glob or a part of the name; empty: everyone.
        pattern: String,
    },
    /// Print the conversations.
    Inbox,
}

impl Action {
    /// The flag that asks for it, or `chat`.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Chat => "chat",
            Action::Send { .. } | Action::SendInput { .. } => "--send",
            Action::History { .. } => "--history",
            Action::List { .. } => "--list",
            Action::Inbox => "--inbox",
        }
    }

    /// It needs nothing that a disk keeps.
    pub fn only_reads(&self) -> bool {
        matches!(self, Action::History { .. } | Action::List { .. } | Action::Inbox)
    }
}

/// Why the client ended. Each says what happened and what to do.
#[derive(Debug)]
pub enum Error {
    /// It was called in a way that cannot work.
    Usage(String),
    /// What was to be kept cannot be.
    Store(store::Error),
    /// The server was not there in time, or something else could not be done.
    Failed(String),
    /// The server said no.
    Refused {
        /// What it said.
        refusal: Refusal,
        /// What was refused, a clause.
        what: String,
        /// What else to say.
        hint: &'static str,
    },
    /// Terminal, standard input or output.
    Io {
        /// A verb phrase.
        doing: &'static str,
        /// The operating system's word.
        error: std::io::Error,
    },
}

impl Error {
    /// The process's exit code: 2 for wrong usage, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            _ => 1,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Error::Usage(text) | Error::Failed(text) => text.clone(),
            Error::Refused { refusal, what, hint } => format!("{what}: {refusal}{hint}"),
            Error::Store(error) => error.to_string(),
            Error::Io { doing, error } => format!("cannot {doing}: {error}"),
        }
    }

    /// The server's code; empty where the reason is not the server's.
    pub fn code(&self) -> &str {
        match self {
            Error::Refused { refusal, .. } => &refusal.code,
            _ => "",
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Much of it is what a server said.
        out.write_str(&show::line(&self.sentence()))
    }
}

impl std::error::Error for Error {}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::Store(error)
    }
}

/// For `map_err`.
pub(super) fn io_error(doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |error| Error::Io { doing, error }
}
