//! The questions that the chat asks on a terminal, one at a time.

use super::super::agent::Agent;
use super::super::session::{Refusal, Request};
use super::Line;
use crate::limits;
use crate::wal::Disk;

/// The question that the next line answers.
#[derive(Clone, PartialEq, Eq)]
pub enum Asking {
    /// None: the line is a command.
    Nothing,
    /// The password, to log in.
    Login,
    /// `/passwd`: the one that holds now.
    OldPassword,
    /// `/passwd`: the new one.
    NewPassword { old: String },
    /// `/passwd`: the new one again.
    Again { old: String, new: String },
    /// `/account delete`: the account's name.
    ConfirmDelete,
    /// `/account delete`: the password.
    DeletePassword,
}

impl Asking {
    pub fn question(&self) -> Option<&'static str> {
        Some(match self {
            Asking::Nothing => return None,
            Asking::Login => "password: ",
            Asking::OldPassword => "current password: ",
            Asking::NewPassword { .. } => "new password: ",
            Asking::Again { .. } => "new password again: ",
            Asking::ConfirmDelete => "delete the account for good? type its name: ",
            Asking::DeletePassword => "password: ",
        })
    }

    /// The answer is not to be seen.
    pub fn is_secret(&self) -> bool {
        !matches!(self, Asking::Nothing | Asking::ConfirmDelete)
    }
}

impl Line {
    pub(super) fn start_asking(&mut self, asking: Asking) {
        match self.interactive {
            true => self.asking = asking,
            false => self.problem("", "this command needs a terminal to ask for the password"),
        }
    }

    pub(super) fn on_password_needed(&mut self, refusal: Refusal) {
        if !self.interactive || !can_be_asked(&refusal) {
            self.refused = Some(refusal);
            return;
        }
        self.printer.error("", &refusal);
        if let Some(hint) = login_hint(&refusal) {
            self.printer.notice(hint);
        }
        self.asking = Asking::Login;
    }

    pub(super) fn on_asking_cancelled(&mut self) {
        if std::mem::replace(&mut self.asking, Asking::Nothing) == Asking::Login {
            self.quitting = true;
        }
    }

    pub(super) fn on_asked_line(&mut self, agent: &mut Agent<impl Disk>, now_ms: u64, line: &str) {
        let asking = std::mem::replace(&mut self.asking, Asking::Nothing);
        if asking.is_secret() && !(1..=limits::PASSWORD_BYTES).contains(&line.len()) {
            return self.problem("", "a password must have 1 to 1,024 bytes; nothing was done");
        }
        let line = line.to_string();
        match asking {
            Asking::Nothing => {}
            Asking::Login => agent.session.set_password(now_ms, line),
            Asking::OldPassword => self.asking = Asking::NewPassword { old: line },
            Asking::NewPassword { old } => self.asking = Asking::Again { old, new: line },
            Asking::Again { old, new } if new == line => {
                let request = Request::ChangePassword { old, new };
                self.ask(agent, now_ms, request);
            }
            Asking::Again { .. } => {
                self.problem("/passwd", "the passwords differ; nothing was changed")
            }
            Asking::ConfirmDelete if line.trim() == self.me => {
                self.asking = Asking::DeletePassword;
            }
            Asking::ConfirmDelete => {
                self.problem("/account", "that is not the account's name; nothing was deleted");
            }
            Asking::DeletePassword => {
                self.ask(agent, now_ms, Request::DeleteAccount { password: line });
            }
        }
    }
}

/// What else may help, to somebody who is new here.
pub fn login_hint(refusal: &Refusal) -> Option<&'static str> {
    (refusal.code == "wrong-credentials").then_some("chatctl chat --create creates a new account")
}

/// Another password may help.
pub fn can_be_asked(refusal: &Refusal) -> bool {
    ["bad-token", "wrong-credentials", "bad-password"].contains(&refusal.code.as_str())
}
