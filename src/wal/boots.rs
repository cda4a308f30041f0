//! The starts of a data directory, by which an old copy of it is found out: each start has the next
//! number, from 1, and a random id. Two directories that were one until a copy was made have the same
//! starts up to the copy, and different ids from there on.
//!
//! As text in `server_state.txt`, `-` where there is nothing:
//!
//! ```text
//! boots=NUMBER:ID,ID,...            the newest start's number; its id, then those before, newest first
//! met=INCARNATION:NUMBER:ID,...     the newest start met of each other directory, the last met last
//! ```
//!
//! with ids and incarnations as 16 hexadecimal digits. What is concluded from them says
//! `server/peers/boots.rs`.

use crate::limits;
use crate::mutants::{Mutant, planted};

/// How an empty list is written.
const EMPTY: &str = "-";

/// One start of a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Which one, from 1.
    pub number: u64,
    /// Drawn at random when it began.
    pub id: u64,
}

/// The newest starts of a data directory, at most [`limits::BOOTS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boots {
    newest: u64,
    /// Newest first.
    ids: Vec<u64>,
}

/// The newest start that was met of another directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Met {
    /// Which directory.
    pub incarnation: u64,
    /// Its start.
    pub boot: Boot,
}

impl Boots {
    /// Those of a directory whose newest start has this number; their ids, newest first. None where
    /// no directory has such starts.
    pub fn new(newest: u64, ids: Vec<u64>) -> Option<Boots> {
        let count = ids.len() as u64;
        let fits = ids.len() <= limits::BOOTS && count <= newest && (count == 0) == (newest == 0);
        fits.then_some(Boots { newest, ids })
    }

    /// Counts up: the directory is started once more. The oldest start is forgotten where there are
    /// too many.
    pub fn begin(&mut self, id: u64) {
        if planted(Mutant::BootNotCounted) && self.newest > 0 {
            return;
        }
        self.newest = self.newest.saturating_add(1);
        self.ids.insert(0, id);
        self.ids.truncate(limits::BOOTS);
    }

    /// The newest; none before the first.
    pub fn newest(&self) -> Option<Boot> {
        self.ids.first().map(|&id| Boot { number: self.newest, id })
    }

    /// The ids, newest first.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// The number of the oldest that is remembered; 0 where none is.
    pub fn oldest(&self) -> u64 {
        match self.ids.len() as u64 {
            0 => 0,
            count => self.newest - (count - 1),
        }
    }

    /// Whether this start is among them.
    pub fn has(&self, boot: Boot) -> bool {
        let back = self.newest.checked_sub(boot.number).map(usize::try_from);
        let Some(Ok(back)) = back else { return false };
        self.ids.get(back) == Some(&boot.id)
    }

    /// As text.
    pub(super) fn to_text(&self) -> String {
        let ids: Vec<String> = self.ids.iter().map(|id| format!("{id:016x}")).collect();
        match ids.is_empty() {
            true => EMPTY.to_owned(),
            false => format!("{}:{}", self.newest, ids.join(",")),
        }
    }

    /// Back from text.
    pub(super) fn of_text(text: &str) -> Option<Boots> {
        if text == EMPTY {
            return Some(Boots::default());
        }
        let (newest, ids) = text.split_once(':')?;
        let ids: Option<Vec<u64>> = ids.split(',').map(hex).collect();
        Boots::new(newest.parse().ok()?, ids?)
    }
}

/// What was met, as text.
pub(super) fn met_to_text(met: &[Met]) -> String {
    let row = |Met { incarnation, boot: Boot { number, id } }: &Met| {
        format!("{incarnation:016x}:{number}:{id:016x}")
    };
    match met.is_empty() {
        true => EMPTY.to_owned(),
        false => met.iter().map(row).collect::<Vec<_>>().join(","),
    }
}

/// Back from text.
pub(super) fn met_of_text(text: &str) -> Option<Vec<Met>> {
    if text == EMPTY {
        return Some(Vec::new());
    }
    let row = |text: &str| {
        let mut parts = text.split(':');
        let incarnation = hex(parts.next()?)?;
        let boot = Boot { number: parts.next()?.parse().ok()?, id: hex(parts.next()?)? };
        parts.next().is_none().then_some(Met { incarnation, boot })
    };
    let met: Option<Vec<Met>> = text.split(',').map(row).collect();
    met.filter(|met| met.len() <= limits::BOOTS_MET)
}

fn hex(text: &str) -> Option<u64> {
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_starts_are_remembered_up_to_a_bound() {
        let mut boots = Boots::default();
        assert_eq!((boots.newest(), boots.oldest()), (None, 0));
        for number in 1..=40 {
            boots.begin(100 + number);
            assert_eq!(boots.newest(), Some(Boot { number, id: 100 + number }));
            let oldest = number.saturating_sub(limits::BOOTS as u64 - 1).max(1);
            assert_eq!(boots.oldest(), oldest);
            for other in 1..=number + 1 {
                let boot = Boot { number: other, id: 100 + other };
                assert_eq!(boots.has(boot), (oldest..=number).contains(&other), "{boots:?}");
                assert!(!boots.has(Boot { id: 99, ..boot }));
            }
            assert_eq!(Boots::of_text(&boots.to_text()), Some(boots.clone()));
            assert_eq!(Boots::new(number, boots.ids().to_vec()), Some(boots.clone()));
        }
    }

    #[test]
    fn text_that_is_no_history_is_refused() {
        let id = "00000000000000ff";
        assert!(Boots::of_text(&format!("1:{id}")).is_some());
        for text in ["", "1", "1:", "0:00000000000000ff", "1:ff", "x:00000000000000ff", "0:"] {
            assert_eq!(Boots::of_text(text), None, "{text}");
        }
        assert_eq!(Boots::of_text(&format!("1:{id},{id}")), None, "more starts than there were");
        let ids = |count: usize| vec![id; count].join(",");
        assert!(Boots::of_text(&format!("90:{}", ids(limits::BOOTS))).is_some());
        assert_eq!(Boots::of_text(&format!("90:{}", ids(limits::BOOTS + 1))), None);
        assert!(met_of_text(&format!("{id}:1:{id}")).is_some());
        for text in ["", id, &format!("{id}:1"), &format!("{id}:1:{id}:"), &format!("{id}:x:{id}")]
        {
            assert_eq!(met_of_text(text), None, "{text}");
        }
        let rows = |count: usize| vec![format!("{id}:1:{id}"); count].join(",");
        assert!(met_of_text(&rows(limits::BOOTS_MET)).is_some());
        assert_eq!(met_of_text(&rows(limits::BOOTS_MET + 1)), None);
    }
}
