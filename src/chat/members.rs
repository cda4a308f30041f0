//! The servers that keep this log, as the log has them. A change names all of them, so that the
//! newest that is applied is all there is to know.

use std::collections::BTreeSet;

use super::command::{Command, Member};

/// What is known of the servers.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    /// The members, by name; none for a server that is alone and has not said who it is.
    pub(super) list: Vec<Member>,
    /// The highest number that was ever given.
    pub(super) last_number: u32,
    /// The directories that are or were a member's.
    pub(super) incarnations: BTreeSet<u64>,
}

impl Servers {
    /// These are the members from now on.
    pub(super) fn set(&mut self, list: &[Member]) {
        for member in list {
            self.last_number = self.last_number.max(member.number);
            self.incarnations.insert(member.incarnation);
        }
        self.list = list.to_vec();
    }
}

/// The members that an entry's payload names, where it is one that does.
pub fn members_in(payload: &[u8]) -> Option<Vec<Member>> {
    if !payload.get(1).is_some_and(|kind| Command::names_members(*kind)) {
        return None;
    }
    match Command::decode(payload) {
        Ok(Command::Found { members, .. } | Command::Members { members, .. }) => Some(members),
        _ => None,
    }
}
