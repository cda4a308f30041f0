//! The servers that keep this log, as the log has them. A change names all of them, so that the
//! newest that is applied is all there is to know.

use std::collections::BTreeSet;

use super::command::{Command, Member};
use super::state::State;

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

impl State {
    /// The servers of the cluster, by name; none before the log has said it, and for a server that
    /// is alone.
    pub fn members(&self) -> &[Member] {
        &self.servers.list
    }

    /// A number that no member ever had. A server that is alone has number 1 without being told.
    pub fn next_number(&self) -> u32 {
        self.servers.last_number.max(1).saturating_add(1)
    }

    /// Whether a data directory is or was a member's: it has voted, perhaps, and does not come back
    /// as another server.
    pub fn was_member(&self, incarnation: u64) -> bool {
        self.servers.incarnations.contains(&incarnation)
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
