//! Numbers of copies of the log: which are whole, and which lack something. See `restoring.rs`.

use crate::mutants::{Mutant, planted};

/// Whether a copy with this number lacks what it may have promised to keep.
pub fn is_damaged(copy: u64) -> bool {
    copy % 2 == 1
}

/// The number that a copy gets once it has lost something.
pub fn next_damaged(copy: u64) -> u64 {
    if is_damaged(copy) { copy + 2 } else { copy + 1 }
}

/// This server's copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnCopy {
    /// Its number, as the disk has it.
    pub(super) number: u64,
    /// What it needs to be whole, once a PRIMARY has told it.
    pub(super) upto: Option<u64>,
    /// Its next number, which was given to the driver: an even one once it is whole, an odd one
    /// once it is found to lack something.
    pub(super) next: Option<u64>,
}

impl OwnCopy {
    pub(super) fn new(number: u64) -> OwnCopy {
        OwnCopy { number, upto: None, next: None }
    }

    pub(super) fn is_restoring(&self) -> bool {
        let lacks = self.next.is_some_and(is_damaged) && !planted(Mutant::LoserVotes);
        is_damaged(self.number) || lacks
    }
}
