//! Questions that the next key answers.

use super::super::super::editor::keys::Key;
use super::want::{Took, Want};

#[derive(Debug)]
pub enum Confirm {
    /// `y` deletes the message.
    Delete { question: String, with: String, id: u128 },
    /// Another Ctrl-C leaves; any other key does what it always does.
    Leave { question: String },
}

impl Confirm {
    pub fn on_key(&mut self, key: Key) -> Took {
        match self {
            Confirm::Delete { with, id, .. } => Took::Last(match key {
                Key::Char('y' | 'Y') => Want::Delete(std::mem::take(with), *id),
                _ => Want::DeleteNothing,
            }),
            Confirm::Leave { .. } if key == Key::Ctrl('c') => Took::Last(Want::Quit),
            Confirm::Leave { .. } => Took::Gone,
        }
    }

    pub fn question(&self) -> &str {
        let (Confirm::Delete { question, .. } | Confirm::Leave { question }) = self;
        question
    }
}
