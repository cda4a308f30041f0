//! Questions that a line answers: passwords, and the name of the account to delete. Each has an
//! editor of its own, so that nothing secret gets near the composer.

use super::super::super::editor::keys::Key;
use super::super::super::editor::{Action as Edit, Editor};
use super::super::super::line::asking::Asking;
use super::super::super::session::Request;
use super::super::input;
use super::super::types::Asked;
use super::want::{Took, Want};
use crate::limits;

pub struct Question {
    asking: Asking,
    editor: Editor,
    me: String,
}

impl Question {
    pub fn new(asking: Asking, me: &str) -> Question {
        let mut editor = Editor::new();
        editor.set_secret(asking.is_secret());
        Question { asking, editor, me: me.to_string() }
    }

    /// It asks for the password of a login.
    pub fn is_login(&self) -> bool {
        self.asking == Asking::Login
    }

    pub fn prompt(&self) -> &'static str {
        self.asking.question().unwrap_or_default()
    }

    /// The answer so far, as far as it may be seen.
    pub fn laid(&self, columns: usize) -> input::Rows {
        match self.asking.is_secret() {
            true => input::rows("", 0, columns),
            false => input::rows(self.editor.text(), self.editor.cursor(), columns),
        }
    }

    pub fn on_key(&mut self, key: Key) -> Took {
        match key {
            Key::Escape | Key::Ctrl('c') => {
                return Took::Last(if self.is_login() { Want::Quit } else { Want::Nothing });
            }
            // Nothing secret is recalled or begins another line.
            Key::Up | Key::Down | Key::FarUp | Key::FarDown | Key::AltEnter | Key::Tab => {}
            Key::Pasted('\n') => {}
            key => {
                if let Some(Edit::Submit(line)) = self.editor.on_key(key) {
                    return self.on_line(line);
                }
            }
        }
        Took::Yes(Want::Nothing)
    }

    fn on_line(&mut self, line: String) -> Took {
        if self.asking.is_secret() && !(1..=limits::PASSWORD_BYTES).contains(&line.len()) {
            return Took::Yes(Want::TellWrong("a password must have 1 to 1,024 bytes".into()));
        }
        let next = match std::mem::replace(&mut self.asking, Asking::Nothing) {
            Asking::Nothing => return Took::Last(Want::Nothing),
            Asking::Login => return Took::Last(Want::SetPassword(line)),
            Asking::OldPassword => Asking::NewPassword { old: line },
            Asking::NewPassword { old } => Asking::Again { old, new: line },
            Asking::Again { old, new } if new == line => {
                let request = Request::ChangePassword { old, new };
                return Took::Last(Want::Ask(request, Asked::ChangePassword));
            }
            Asking::Again { .. } => {
                return Took::Last(Want::TellWrong(
                    "the passwords differ; nothing was changed".into(),
                ));
            }
            Asking::ConfirmDelete if line.trim() == self.me => Asking::DeletePassword,
            Asking::ConfirmDelete => {
                let why = "that is not the account's name; nothing was deleted";
                return Took::Last(Want::TellWrong(why.into()));
            }
            Asking::DeletePassword => {
                let request = Request::DeleteAccount { password: line };
                return Took::Last(Want::Ask(request, Asked::DeleteAccount));
            }
        };
        *self = Question::new(next, &self.me);
        Took::Yes(Want::Nothing)
    }
}
