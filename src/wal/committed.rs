//! The entries of a log that are known to be committed, told from its records in order, for whoever
//! looks at a log from outside. Pure.

use super::format::{Kind, Record};
use super::replay::Pending;

/// Takes records, gives committed entries. Between the two it holds what is not known to be
/// committed: what a server had proposed and not yet committed, at most.
#[derive(Debug, Default)]
pub struct Committed {
    pending: Pending,
    /// Whether the first of `pending` was handed over.
    handed: bool,
    first: u64,
    last: u64,
    commit: u64,
}

impl Committed {
    /// Before the first record.
    pub fn new() -> Committed {
        Committed::default()
    }

    /// Takes the next record. After each, [`next`](Committed::next) is to be asked until it has
    /// nothing. The error says which record cannot come here.
    pub fn take(&mut self, record: &Record<'_>) -> Result<(), String> {
        let index = record.index;
        match record.kind {
            Kind::Entry if self.first > 0 && index != self.last + 1 => {
                return Err(format!("entry {index} stands behind entry {}", self.last));
            }
            Kind::Entry => {
                self.first = if self.first == 0 { index } else { self.first };
                self.last = index;
                self.pending.push(index, record.term, record.payload);
            }
            Kind::Truncate if index <= self.commit => {
                let commit = self.commit;
                return Err(format!("entries from {index} on are cut, {commit} are committed"));
            }
            Kind::Truncate => {
                self.last = self.last.min(index - 1);
                self.pending.truncate_from(index);
            }
            Kind::Mark => self.commit = self.commit.max(index),
        }
        Ok(())
    }

    /// The next entry that is committed: index, term, payload.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<(u64, u64, &[u8])> {
        if std::mem::take(&mut self.handed) {
            self.pending.drop_first();
        }
        let commit = self.commit;
        self.handed = self.pending.first().is_some_and(|(index, ..)| index <= commit);
        self.pending.first().filter(|_| self.handed)
    }

    /// The first entry's index; 0 for none.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The last entry's index, committed or not; 0 for none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The last entry that is known to be committed, of those that are there; 0 for none.
    pub fn commit(&self) -> u64 {
        self.commit.min(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the records (entry, truncation, mark; term, index) and gathers what comes out; the
    /// payload is the term's and the index's digits.
    fn handed(records: &[(char, u64, u64)]) -> Result<Vec<(u64, u64)>, String> {
        let (mut committed, mut out) = (Committed::new(), Vec::new());
        for &(kind, term, index) in records {
            let payload = format!("{term}{index}").into_bytes();
            let (kind, payload) = match kind {
                'e' => (Kind::Entry, &payload[..]),
                't' => (Kind::Truncate, &[][..]),
                _ => (Kind::Mark, &[][..]),
            };
            committed.take(&Record { kind, batch: 1, term, index, payload })?;
            while let Some((index, term, payload)) = committed.next() {
                assert_eq!(payload, format!("{term}{index}").into_bytes());
                out.push((index, term));
            }
        }
        Ok(out)
    }

    #[test]
    fn an_entry_comes_out_once_it_is_committed_and_what_was_cut_never() {
        let records = [
            ('e', 1, 1),
            ('e', 1, 2),
            ('m', 0, 0),
            ('e', 1, 3),
            ('m', 0, 1),
            ('t', 0, 2),
            ('e', 2, 2),
            ('m', 0, 2),
            ('m', 0, 9),
        ];
        assert_eq!(handed(&records[..4]).unwrap(), []);
        assert_eq!(handed(&records[..6]).unwrap(), [(1, 1)]);
        assert_eq!(handed(&records).unwrap(), [(1, 1), (2, 2)]);
    }

    #[test]
    fn records_that_no_server_writes_are_refused_and_never_a_panic() {
        assert!(handed(&[('e', 1, 1), ('e', 1, 3)]).unwrap_err().contains("entry 3"));
        let cut = [('e', 1, 1), ('e', 1, 2), ('m', 0, 2), ('t', 0, 2)];
        assert!(handed(&cut).unwrap_err().contains("2 are committed"));
    }
}
