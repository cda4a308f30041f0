//! Names: the user's own, who is known, online, muted, watched.

use std::collections::BTreeSet;

use crate::limits;

#[derive(Debug, Default)]
pub(super) struct People {
    pub me: String,
    /// Known names, for completion.
    known: BTreeSet<String>,
    pub online: BTreeSet<String>,
    /// Names that neither ring nor notify.
    pub muted: BTreeSet<String>,
    /// The names whose presence the server was last asked to report, in order.
    watched: Vec<String>,
}

impl People {
    pub fn new(me: &str) -> People {
        People { me: me.to_string(), ..People::default() }
    }

    /// Remembers a name, within bounds.
    pub fn note(&mut self, name: &str) {
        if self.known.len() < limits::SCREEN_NAMES {
            self.known.insert(name.to_string());
        }
    }

    /// No account has this name.
    pub fn forget(&mut self, name: &str) {
        self.known.remove(name);
        self.online.remove(name);
    }

    /// Names that were heard of, then those that are online.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        self.known.iter().chain(&self.online)
    }

    /// The names to watch, if these are others than before.
    pub fn watch<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
        let names: BTreeSet<&str> = names.take(limits::WATCHED_NAMES).collect();
        if names.iter().eq(self.watched.iter()) {
            return None;
        }
        self.watched = names.into_iter().map(str::to_owned).collect();
        Some(self.watched.clone())
    }

    pub fn check_invariants(&self) {
        assert!(self.known.len().max(self.online.len()) <= limits::SCREEN_NAMES);
    }
}
