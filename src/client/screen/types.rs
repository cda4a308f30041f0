//! What a screen is made with, what it asks the loop to do, and what it waits for.

use super::super::commands::Old;
use super::super::session::{Refusal, Request, State};

/// An answer that the server owes for longer than this is shown in the status, milliseconds.
pub const OWED_MS: u64 = 1_000;

/// The user's choices and the local time zone.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Ring the bell for new messages.
    pub bell: bool,
    /// Ask for a notification of each new message: [`Action::Notify`].
    pub notify: bool,
    /// Columns of the list of conversations; 0 hides it, `None` lets the width decide.
    pub sidebar: Option<usize>,
    /// Local time minus UTC at a moment, both in milliseconds.
    pub zone: fn(u64) -> i64,
}

/// The state of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// In one word.
    pub state: State,
    /// The server of the current or the last connection.
    pub address: String,
    /// Why there is no connection.
    pub trouble: Option<String>,
    /// Messages in the outbox.
    pub waiting: usize,
    /// How long the server took for its last answer, milliseconds.
    pub latency_ms: Option<u64>,
    /// For how long the server has owed an answer, milliseconds.
    pub owed_ms: Option<u64>,
    /// The path of the outbox.
    pub outbox: String,
}

/// A side effect for the loop to perform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put a message into the outbox, then call [`Screen::on_taken`](super::Screen::on_taken) or
    /// [`Screen::on_not_taken`](super::Screen::on_not_taken).
    Send {
        /// The receiver.
        to: String,
        /// The text.
        text: String,
    },
    /// Ask the server, then always call [`Screen::on_answer`](super::Screen::on_answer).
    Ask {
        /// Identifies the request.
        tag: u64,
        /// The request.
        request: Request,
    },
    /// The user has seen all messages from `name` up to `seq`.
    MarkRead {
        /// The other party.
        name: String,
        /// The newest message seen.
        seq: u64,
    },
    /// Mark all messages from this party as read.
    MarkAllRead(String),
    /// Log in with this password.
    SetPassword(String),
    /// Show, send or discard messages older than a day;
    /// [`Screen::show_waiting`](super::Screen::show_waiting) shows them.
    Old(Old),
    /// Put text into the clipboard.
    Copy(String),
    /// Ring the bell.
    Bell,
    /// Notify the user of a new message.
    Notify(Notice),
    /// Save [`Screen::to_keep`](super::Screen::to_keep), then call
    /// [`Screen::on_kept`](super::Screen::on_kept).
    Keep,
    /// Erase and redraw the terminal.
    Repaint,
    /// Restore the terminal and stop the process.
    Suspend,
}

/// A new message, as it came: not yet harmless to a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The sender.
    pub from: String,
    /// The text.
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Inbox,
    /// A page of history before a seq; 0 is the newest page.
    History {
        with: String,
        before: u64,
    },
    /// A page of names for the picker with this number.
    Names {
        picker: u64,
    },
    /// Names that complete the last word of the typed text.
    Complete {
        text: String,
    },
    Delete {
        with: String,
        id: u128,
    },
    Status,
    ChangePassword,
    DeleteAccount,
}

/// Whether the list of conversations was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Inbox {
    #[default]
    Idle,
    /// An answer is on its way.
    Asked,
    /// An answer is on its way, and will be out of date.
    AskedTwice,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Left,
    AccountGone,
    /// The login was refused, and no other password would help.
    Refused(Refusal),
}

/// A message to the user, above the status.
#[derive(Debug)]
pub(super) struct Remark {
    pub text: String,
    pub is_wrong: bool,
    /// A connection makes it obsolete.
    pub until_connected: bool,
}
