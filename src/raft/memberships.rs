//! The configurations of the log.

use std::sync::Arc;

use super::entry::{Entry, Members, Membership, Payload};
use crate::mutants::{Mutant, planted};

/// The configurations of the log, each from its entry's index on: the newest that is committed, and
/// those after it.
#[derive(Clone, Debug)]
pub(super) struct Memberships {
    known: Vec<(u64, Arc<Membership>)>,
    /// Votes and copies that make a majority.
    quorum: usize,
}

impl Memberships {
    /// The first one, then those of entries that are not known to be committed.
    pub(super) fn new(first: Arc<Membership>, commit: u64, tail: &[Entry]) -> Memberships {
        let mut known = vec![(0, first)];
        for entry in tail.iter().filter(|entry| entry.index > commit) {
            if let Payload::Members(membership) = &entry.payload {
                known.push((entry.index, membership.clone()));
            }
        }
        let mut memberships = Memberships { known, quorum: 0 };
        memberships.count_quorum();
        memberships
    }

    /// The one in force, with the index of its entry.
    pub(super) fn in_force(&self) -> &(u64, Arc<Membership>) {
        self.known.last().expect("there is one from the beginning")
    }

    pub(super) fn members(&self) -> &Members {
        &self.in_force().1.members
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Membership> {
        self.known.iter().map(|(_, membership)| &**membership)
    }

    pub(super) fn quorum(&self) -> usize {
        self.quorum
    }

    pub(super) fn count_quorum(&mut self) {
        self.quorum = self.members().quorum();
    }

    /// Adds that of the entry at `index`.
    pub(super) fn push(&mut self, index: u64, membership: Arc<Membership>) {
        self.known.push((index, membership));
    }

    /// Cuts the log from `index` on. Returns false if no configuration is cut.
    pub(super) fn truncate_from(&mut self, index: u64) -> bool {
        let before = self.known.len();
        self.known.retain(|(of, _)| *of < index || planted(Mutant::CutMembersStay));
        self.known.len() < before
    }

    /// Forgets those before the newest committed one. Returns false if there are none.
    pub(super) fn forget(&mut self, commit: u64) -> bool {
        let after = self.known.partition_point(|(index, _)| *index <= commit);
        self.known.drain(..after.saturating_sub(1)).next().is_some()
    }
}
