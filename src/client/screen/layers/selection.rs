//! A message is selected.

use super::super::super::editor::keys::Key;
use super::want::{Took, Want};

/// What can be done with a selected message.
pub const SELECT_KEYS: &str = "c copies text, C the id, d deletes, r reuses it, Esc leaves";

pub fn on_key(key: Key) -> Took {
    Took::Yes(match key {
        Key::Up | Key::FarUp | Key::Char('k') | Key::Alt('k') | Key::Ctrl('p') => Want::SelectOlder,
        Key::Down | Key::FarDown | Key::Char('j') | Key::Alt('j') | Key::Ctrl('n') => {
            Want::SelectNewer
        }
        Key::Char('n') => Want::SearchOn,
        Key::Char('c') => Want::CopyText,
        Key::Char('C') => Want::CopyId,
        Key::Char('d') | Key::Delete => Want::DeleteSelected,
        Key::Char('r') => Want::ReuseSelected,
        Key::Escape | Key::Enter | Key::Char('q') | Key::Ctrl('c') => {
            return Took::Last(Want::Nothing);
        }
        // The user goes on typing.
        Key::Char(_) | Key::Pasted(_) => return Took::Gone,
        Key::PageUp | Key::PageDown | Key::WheelUp | Key::WheelDown => return Took::No,
        Key::Alt('0'..='9' | 'a') => return Took::No,
        _ => Want::Tell(format!("{SELECT_KEYS}, n finds the next")),
    })
}
