//! Tab cycles through the words that fit what is typed.

use super::super::super::editor::keys::Key;
use super::want::{Took, Want};

#[derive(Debug)]
pub struct Completion {
    /// Where the word begins in the typed text.
    start: usize,
    candidates: Vec<String>,
    at: usize,
}

impl Completion {
    /// With the first of the candidates put in already.
    pub fn new(start: usize, candidates: Vec<String>) -> Completion {
        Completion { start, candidates, at: 0 }
    }

    pub fn on_key(&mut self, key: Key) -> Took {
        let count = self.candidates.len();
        self.at = match key {
            Key::Tab => (self.at + 1) % count,
            Key::BackTab => self.at.checked_sub(1).unwrap_or(count - 1),
            _ => return Took::Gone,
        };
        let word = self.candidates[self.at].clone() + " ";
        Took::Yes(Want::PutWord(self.start, word))
    }

    pub fn notice(&self) -> String {
        self.candidates.join("  ")
    }
}
