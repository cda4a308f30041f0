//! The questions that need an answer of their own: passwords, and the account's end. What was typed
//! before waits as a draft meanwhile.

use super::super::editor::Action as Edit;
use super::super::editor::keys::Key;
pub(super) use super::super::line::asking::Asking;
use super::super::line::asking::{can_be_asked, login_hint};
use super::super::session::{Refusal, Request};
use super::answers::Asked;
use super::{Action, Mode, Screen};
use crate::limits;

impl Screen {
    pub(super) fn is_asking(&self) -> bool {
        self.asking != Asking::Nothing
    }

    pub(super) fn start_asking(&mut self, asking: Asking) {
        if !self.is_asking() {
            self.keep_draft();
        }
        self.mode = Mode::Chat;
        self.set_asking(asking);
    }

    fn set_asking(&mut self, asking: Asking) {
        self.asking = asking;
        self.editor.replace(String::new());
        self.editor.set_secret(self.asking.is_secret());
        if !self.is_asking() {
            self.take_draft();
        }
    }

    pub(super) fn cancel_asking(&mut self) {
        self.is_quitting |= self.asking == Asking::Login;
        self.set_asking(Asking::Nothing);
    }

    /// A login has worked: a question for the password is answered.
    pub(super) fn end_login(&mut self) {
        if self.asking == Asking::Login {
            self.set_asking(Asking::Nothing);
        }
    }

    /// The login needs another password.
    pub(super) fn on_password_needed(&mut self, refusal: Refusal) {
        if !can_be_asked(&refusal) {
            self.refused = Some(refusal);
            return;
        }
        self.start_asking(Asking::Login);
        let hint = login_hint(&refusal).map(|hint| format!("; {hint}")).unwrap_or_default();
        self.tell_cut_off(&format!("{refusal}{hint}"));
    }

    pub(super) fn on_asking_key(&mut self, key: Key) {
        match key {
            Key::Escape => self.cancel_asking(),
            // Nothing secret is recalled, nor begins another line.
            Key::Up | Key::Down | Key::FarUp | Key::FarDown | Key::AltEnter | Key::Tab => {}
            Key::Pasted('\n') => {}
            key => {
                if let Some(Edit::Submit(line)) = self.editor.on_key(key) {
                    self.on_asked_line(line);
                }
            }
        }
    }

    fn on_asked_line(&mut self, line: String) {
        if self.asking.is_secret() && !(1..=limits::PASSWORD_BYTES).contains(&line.len()) {
            return self.tell_wrong("a password has 1 to 1,024 bytes");
        }
        let mut next = Asking::Nothing;
        match std::mem::replace(&mut self.asking, Asking::Nothing) {
            Asking::Nothing => {}
            Asking::Login => self.actions.push(Action::SetPassword(line)),
            Asking::OldPassword => next = Asking::NewPassword { old: line },
            Asking::NewPassword { old } => next = Asking::Again { old, new: line },
            Asking::Again { old, new } if new == line => {
                self.ask(Request::ChangePassword { old, new }, Asked::ChangePassword);
            }
            Asking::Again { .. } => self.tell_wrong("the two differ; nothing was changed"),
            Asking::ConfirmDelete if line.trim() == self.me => next = Asking::DeletePassword,
            Asking::ConfirmDelete => {
                self.tell_wrong("that is not its name; nothing was deleted");
            }
            Asking::DeletePassword => {
                self.ask(Request::DeleteAccount { password: line }, Asked::DeleteAccount);
            }
        }
        self.set_asking(next);
    }
}
