//! What the chat has asked the server, to know what to do with the answer.

/// What an answer is awaited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The conversations; `summary`: only what is unread, after a login.
    Inbox {
        summary: bool,
    },
    /// A page of history; `unseen`: the marker moves when it is shown.
    History {
        with: String,
        limit: u16,
        unseen: bool,
    },
    List {
        pattern: String,
    },
    Who {
        pattern: String,
    },
    Delete,
    Status,
    ChangePassword,
    DeleteAccount,
}

impl Asked {
    /// The command to name to people.
    pub fn command(&self) -> &'static str {
        match self {
            Asked::Inbox { .. } => "/inbox",
            Asked::History { .. } => "/history",
            Asked::List { .. } => "/list",
            Asked::Who { .. } => "/who",
            Asked::Delete => "/delete",
            Asked::Status => "/status",
            Asked::ChangePassword => "/passwd",
            Asked::DeleteAccount => "/account",
        }
    }
}
