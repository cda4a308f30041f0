//! What outlives the screen: the input history, drafts, and muted names.

use super::super::store::typed::Typed;
use super::Screen;
use super::types::Action;

/// What is typed is kept after this long without a key, milliseconds.
pub const KEEP_MS: u64 = 1_000;

impl Screen {
    /// What an earlier chat has kept.
    pub fn restore(&mut self, typed: Typed) {
        self.people.muted = typed.muted;
        for draft in typed.drafts.iter().filter(|draft| !draft.to.is_empty()) {
            self.book.entry(&draft.to);
        }
        self.composer.restore(typed.lines, typed.drafts);
    }

    /// What the next chat begins with: for [`Action::Keep`] and the end.
    pub fn to_keep(&self) -> Typed {
        let current = self.book.current().unwrap_or_default();
        let (lines, drafts, draft) = self.composer.to_keep(current);
        let mut typed = Typed { lines, drafts, muted: self.people.muted.clone() };
        typed.set_draft(draft);
        typed
    }

    /// Saves what is typed when this input has been dealt with, and no later.
    pub(super) fn keep(&mut self) {
        self.keep_at = None;
        self.actions.push(Action::Keep);
    }

    /// Whether all that is typed is on the disk; and why not, if the user should know.
    pub fn on_kept(&mut self, is_kept: bool, trouble: Option<&str>) {
        self.composer.is_kept = is_kept;
        // What is wrong with a message matters more.
        if let Some(trouble) = trouble.filter(|_| self.notice.as_ref().is_none_or(|n| !n.is_wrong))
        {
            self.tell_wrong(trouble);
        }
    }
}
