//! What outlives the screen: the input history, what is typed and not sent, and who is muted.

use super::super::store::typed::{Typed, Unsent};
use super::{Action, Screen};

/// What is typed is kept after this long without a key, milliseconds.
pub const KEEP_MS: u64 = 1_000;

impl Screen {
    /// What an earlier chat has kept.
    pub fn restore(&mut self, typed: Typed) {
        self.editor.set_history(typed.lines);
        self.muted = typed.muted;
        for Unsent { to, text, cursor } in typed.drafts {
            if !to.is_empty() {
                self.book.entry(&to, None);
            }
            self.drafts.push_back((to, text, cursor));
        }
        self.is_kept = true;
        self.take_draft();
    }

    /// What another chat is to begin with, for [`Action::Keep`] and the end.
    pub fn to_keep(&self) -> Typed {
        let unsent = |(to, text, cursor): &(String, String, usize)| {
            let (to, text) = (to.clone(), text.clone());
            Unsent { to, text, cursor: *cursor }
        };
        let mut typed = Typed {
            lines: self.editor.history().clone(),
            drafts: self.drafts.iter().map(unsent).collect(),
            muted: self.muted.clone(),
        };
        // The answer to a question is nobody's draft.
        if !self.is_asking() {
            let to = self.current.clone().unwrap_or_default();
            let (text, cursor) = (self.editor.text().to_string(), self.editor.cursor());
            typed.set_draft(Unsent { to, text, cursor });
        }
        typed
    }

    /// Has everything kept as it is when this input has been dealt with; nothing is left for later.
    pub(super) fn keep(&mut self) {
        self.keep_at = None;
        self.actions.push(Action::Keep);
    }

    /// Whether all that is typed is on the disk; and why not, where a person should know.
    pub fn on_kept(&mut self, is_kept: bool, trouble: Option<&str>) {
        self.is_kept = is_kept;
        // What is wrong with a message matters more.
        if let Some(trouble) = trouble.filter(|_| self.notice.as_ref().is_none_or(|n| !n.is_wrong))
        {
            self.tell_wrong(trouble);
        }
    }
}
