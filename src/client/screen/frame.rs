//! A frame, and what follows once it is on the terminal.

use super::cells::Buffer;
use super::conversation::{Conversation, Place, Reading};
use super::pane::Look;

/// What the terminal is to show.
pub struct Frame {
    /// The cells.
    pub buffer: Buffer,
    /// The cursor's row and column.
    pub cursor: Option<(usize, usize)>,
    /// The title of the terminal's window.
    pub title: String,
    /// For [`Screen::on_drawn`](super::Screen::on_drawn).
    pub wishes: Wishes,
}

/// What follows once a frame is on the terminal.
#[derive(Clone, Debug)]
pub struct Wishes {
    pub(super) drawn: Drawn,
    /// Where the open conversation is being read.
    pub(super) reading: Option<Reading>,
    /// The newest received message seen, and how many are unread then.
    pub(super) read: Option<(u64, u64)>,
    /// An older page of so many messages is wanted.
    pub(super) older: Option<u16>,
    /// How far the panel could be scrolled.
    pub(super) panel_top: Option<usize>,
}

impl Wishes {
    /// Of a frame that shows no conversation.
    pub(super) fn none(drawn: Drawn) -> Wishes {
        Wishes { drawn, reading: None, read: None, older: None, panel_top: None }
    }
}

/// What keys need to know of the last frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drawn {
    /// The pane's size.
    pub columns: usize,
    /// The pane's size.
    pub rows: usize,
    /// The message at the top of the conversation, and its row there.
    pub top: Option<(Place, i32)>,
    /// The message at the bottom.
    pub bottom: Option<Place>,
    /// The first row in view of the typed text.
    pub typed_first: usize,
}

impl Drawn {
    /// How a conversation looks in a pane of this size.
    pub fn look<'a>(self, me: &'a str, zone: fn(u64) -> i64, talk: &Conversation) -> Look<'a> {
        let (columns, rows, reading) = (self.columns, self.rows, talk.reading);
        Look { me, columns, rows, zone, selected: None, reading }
    }
}
