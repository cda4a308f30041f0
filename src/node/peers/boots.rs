//! Whether the data directory that another server has is an old copy of one that was met before. Pure.
//!
//! A directory that was rolled back, or copied and started twice, lacks what its server has
//! acknowledged and voted since the copy was made. Nothing in it tells. But each start of a directory
//! has a number and a random id ([`crate::wal::boots`]), every server says on every connection which
//! its last starts were, and every server keeps the newest start that it has met of each member's
//! directory:
//!
//! | the newest start met is | the other says | it is |
//! | --- | --- | --- |
//! | none | anything | met for the first time |
//! | its newest start | the same number and id | the same process, connected once more |
//! | before its newest | a history that has it | started again since |
//! | before all that it remembers | a history that begins later | started very often since |
//! | anything else | another id under that number, or only lower numbers | an old copy |
//!
//! # Why that is safe
//!
//! - A server says nothing to anybody before its own start is durable, so no two starts that anybody
//!   has met share number and id.
//! - What a start acknowledges or votes counts only at servers that have met it durably: the mesh
//!   holds back what comes from a start that is new until it is saved. So whoever has counted
//!   something of a start refuses every copy that was made before it.
//! - A server that is itself an old copy knows less of the others, and refuses none of them wrongly.
//!
//! # What it does not find
//!
//! A copy that was made after the last start that any living server has met looks like its directory.
//! So does one that was started more than [`limits::BOOTS`] times before it met anybody.

use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::wal::boots::{Boot, Boots, Met};

/// What a directory is to a server that has met it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The start that is known.
    Reconnect,
    /// A start that is new.
    Newer,
    /// An older copy of what was met, or a second one of the same.
    OldCopy,
}

/// What a directory is that says it had these starts, where `known` is the newest that was met of it.
pub fn judge(known: Option<Boot>, said: &Boots) -> Verdict {
    let (Some(known), Some(newest)) = (known, said.newest()) else { return Verdict::Newer };
    if newest == known {
        return Verdict::Reconnect;
    }
    if planted(Mutant::LowerBootAccepted) && newest.number < known.number {
        return Verdict::Newer;
    }
    let is_later = newest.number > known.number;
    match is_later && (said.has(known) || said.oldest() > known.number) {
        true => Verdict::Newer,
        false => Verdict::OldCopy,
    }
}

/// The newest start of a directory that was met.
pub fn known(met: &[Met], incarnation: u64) -> Option<Boot> {
    met.iter().find(|met| met.incarnation == incarnation).map(|met| met.boot)
}

/// Notes a start. Where there are too many directories, the one that was met longest ago of those
/// that are no member's is forgotten.
pub fn meet(met: &mut Vec<Met>, new: Met, is_member: impl Fn(u64) -> bool) {
    met.retain(|old| old.incarnation != new.incarnation);
    if met.len() >= limits::BOOTS_MET {
        let is_out = |old: &Met| !is_member(old.incarnation);
        met.remove(met.iter().position(is_out).unwrap_or(0));
    }
    met.push(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids of starts 1 to `newest`, in a directory where start `n` has the id `ids(n)`.
    fn history(newest: u64, id: impl Fn(u64) -> u64) -> Boots {
        let mut boots = Boots::default();
        (1..=newest).for_each(|number| boots.begin(id(number)));
        boots
    }

    fn own(number: u64) -> u64 {
        1_000 + number
    }

    fn boot(number: u64) -> Option<Boot> {
        Some(Boot { number, id: own(number) })
    }

    #[test]
    fn the_same_start_is_a_reconnect_and_a_later_one_newer_however_many_came_between() {
        for newest in 1..60 {
            let said = history(newest, own);
            assert_eq!(judge(None, &said), Verdict::Newer);
            assert_eq!(judge(boot(newest), &said), Verdict::Reconnect);
            for known in 1..newest {
                assert_eq!(judge(boot(known), &said), Verdict::Newer, "{known}, then {newest}");
            }
        }
    }

    #[test]
    fn a_copy_is_found_whatever_was_started_how_often_since_it_was_made() {
        for (copied, known) in (1..24).flat_map(|c| (c + 1..24).map(move |k| (c, k))) {
            // The copy draws other ids from here on.
            for newest in copied..copied + limits::BOOTS as u64 {
                let of_copy = |number| if number <= copied { own(number) } else { 9 };
                let said = history(newest, of_copy);
                let verdict = judge(boot(known), &said);
                let has_forgotten = said.oldest() > known;
                let expected = if has_forgotten { Verdict::Newer } else { Verdict::OldCopy };
                assert_eq!(verdict, expected, "copied after {copied}, {known} met, at {newest}");
            }
        }
    }

    #[test]
    fn two_that_run_the_same_copy_are_told_apart() {
        let (one, other) = (history(5, own), history(5, |n| if n < 5 { own(n) } else { 9 }));
        assert_eq!(judge(one.newest(), &other), Verdict::OldCopy);
        assert_eq!(judge(other.newest(), &one), Verdict::OldCopy);
    }

    #[test]
    fn what_was_met_is_bounded_and_members_are_not_forgotten() {
        let mut met = Vec::new();
        let row = |incarnation, number| Met { incarnation, boot: Boot { number, id: 7 } };
        let is_member = |incarnation| incarnation <= 3;
        for incarnation in 1..=2 * limits::BOOTS_MET as u64 {
            meet(&mut met, row(incarnation, 1), is_member);
            meet(&mut met, row(incarnation, 2), is_member);
        }
        assert_eq!(met.len(), limits::BOOTS_MET);
        assert!((1..=3).all(|member| known(&met, member) == Some(Boot { number: 2, id: 7 })));
        assert_eq!(known(&met, 4), None, "the oldest of the others");
        assert!(known(&met, 2 * limits::BOOTS_MET as u64).is_some());
    }
}
