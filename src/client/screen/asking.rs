//! The questions that need a line of their own as an answer: passwords, and the account's end.

use super::super::line::asking::{Asking, can_be_asked, login_hint};
use super::super::session::Refusal;
use super::Screen;
use super::layers::{Layer, Question};
use super::types::End;

impl Screen {
    pub(super) fn start_asking(&mut self, asking: Asking) {
        self.layers.open(Layer::Question(Question::new(asking, &self.people.me)));
    }

    /// A login has worked, which answers the question for its password.
    pub(super) fn end_login(&mut self) {
        if self.layers.question().is_some_and(Question::is_login) {
            self.layers.close_question();
        }
    }

    /// The login needs another password.
    pub(super) fn on_password_needed(&mut self, refusal: Refusal) {
        if !can_be_asked(&refusal) {
            self.end = Some(End::Refused(refusal));
            return;
        }
        self.start_asking(Asking::Login);
        let hint = login_hint(&refusal).map(|hint| format!("; {hint}")).unwrap_or_default();
        self.tell_cut_off(&format!("{refusal}{hint}"));
    }
}
