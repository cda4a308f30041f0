//! What a layer does with a key, and what the key asks of the screen.

use super::super::super::session::Request;
use super::super::types::Asked;

/// Rows that one step of the mouse's wheel scrolls.
pub const WHEEL_ROWS: usize = 3;

/// What a layer did with a key.
#[derive(Debug)]
pub enum Took {
    /// Nothing: the layer below gets it.
    No,
    /// The layer closes, and the layer below gets the key.
    Gone,
    /// The layer took it.
    Yes(Want),
    /// The layer took it and closes.
    Last(Want),
}

/// What a key asks of the screen.
#[derive(Debug)]
pub enum Want {
    Nothing,
    Tell(String),
    TellWrong(String),
    /// Leave, unless that loses a draft and the user was not warned.
    Leave,
    /// Ctrl-C with nothing left to close or clear.
    AskToLeave,
    Quit,

    Line(String),
    Complete,
    /// Put a word in place of the typed text from this byte up to the cursor.
    PutWord(usize, String),

    OpenNamed(String),
    /// The digit of Alt-1 to Alt-0.
    OpenNth(char),
    OpenBeside(isize),
    OpenUnread,
    ScrollUp(usize),
    ScrollDown(usize),
    ShowOldest,
    ShowNewest,

    SelectLast,
    SelectOlder,
    SelectNewer,
    CopyText,
    CopyId,
    DeleteSelected,
    ReuseSelected,
    SearchOn,
    /// Delete a message of a conversation: the user is sure.
    Delete(String, u128),
    /// The user is not.
    DeleteNothing,

    Ask(Request, Asked),
    SetPassword(String),
}

/// What of the last frame a key depends on.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Rows that a page key scrolls.
    pub page: usize,
    /// Columns of the typed text.
    pub input: usize,
}
