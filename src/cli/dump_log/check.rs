//! Whether the entries of a log, read in order, are ones that a server writes. Pure.
//!
//! That the records themselves are whole, and none is missing between them, is the scanner's to say;
//! here it is what they say together, and whether the commands in them can be read: a server that
//! met what is found wrong here would not start.

use crate::chat::Command;

use super::render::Content;

/// What a record is checked by.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// An entry's term, else 0.
    pub term: u64,
    /// An entry's index, the first index cut, or a commit index.
    pub index: u64,
}

/// What a log's records come to.
#[derive(Debug, Default)]
pub struct Checker {
    /// Records seen.
    pub records: u64,
    /// The lowest index that an entry had; 0 for none.
    pub first_index: u64,
    /// The newest entry's index; 0 for none.
    pub last_index: u64,
    /// The commit index of the newest mark; 0 for none.
    pub commit: u64,
    term: u64,
    /// Whether any index may come next: at the beginning, and behind damage.
    any: bool,
}

impl Checker {
    /// Before the first record.
    pub fn new() -> Checker {
        Checker { any: true, ..Checker::default() }
    }

    /// Behind damage, what comes next is taken as it is.
    pub fn skip(&mut self) {
        self.any = true;
        self.term = 0;
    }

    /// Takes a record; what is wrong with it.
    pub fn record(&mut self, header: Header, content: Content<'_>) -> Option<String> {
        let fault = self.fault(header, content);
        self.records += 1;
        match content {
            Content::Entry(_) => {
                if self.first_index == 0 {
                    self.first_index = header.index;
                }
                (self.last_index, self.term, self.any) = (header.index, header.term, false);
            }
            Content::Truncate => {
                (self.last_index, self.any) = (header.index.saturating_sub(1), false);
            }
            Content::Mark => self.commit = self.commit.max(header.index),
        }
        fault
    }

    fn fault(&self, header: Header, content: Content<'_>) -> Option<String> {
        let Header { term, index } = header;
        match content {
            Content::Entry(_) if !self.any && index != self.last_index + 1 => {
                Some(format!("entry {index} stands where entry {} belongs", self.last_index + 1))
            }
            Content::Entry(_) if term < self.term => {
                Some(format!("entry {index} has term {term}, an earlier one term {}", self.term))
            }
            Content::Entry([]) => None,
            Content::Entry(payload) => {
                Command::decode(payload).err().map(|error| format!("entry {index}: {error}"))
            }
            Content::Truncate if index <= self.commit => {
                Some(format!("entries from {index} on are cut, {} are committed", self.commit))
            }
            Content::Truncate | Content::Mark => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with the records, of which each is a kind (entry, truncation, mark; `s` skips
    /// damage), a term and an index; with the places of those, from 0.
    fn faults(records: &[(char, u64, u64)]) -> Vec<(usize, String)> {
        let mut checker = Checker::new();
        let mut faults = Vec::new();
        for (place, &(kind, term, index)) in records.iter().enumerate() {
            let content = match kind {
                'e' => Content::Entry(&[]),
                't' => Content::Truncate,
                'm' => Content::Mark,
                _ => {
                    checker.skip();
                    continue;
                }
            };
            let fault = checker.record(Header { term, index }, content);
            faults.extend(fault.map(|fault| (place, fault)));
        }
        faults
    }

    #[test]
    fn a_log_as_servers_write_it_has_no_fault() {
        for records in [
            &[('e', 1, 1), ('e', 1, 2), ('m', 0, 0), ('m', 0, 2), ('e', 3, 3)][..],
            &[('e', 1, 1), ('e', 1, 2), ('m', 0, 1), ('t', 0, 2), ('e', 2, 2), ('m', 0, 2)],
            &[('e', 4, 500), ('m', 0, 499), ('e', 4, 501)],
            &[('e', 1, 1), ('s', 0, 0), ('e', 1, 9), ('e', 1, 10)],
        ] {
            assert_eq!(faults(records), vec![], "{records:?}");
        }
    }

    #[test]
    fn records_that_no_server_writes_are_faults() {
        for (records, said) in [
            (&[('e', 1, 1), ('e', 1, 3)][..], "entry 3 stands where entry 2 belongs"),
            (&[('e', 2, 1), ('e', 1, 2)], "entry 2 has term 1, an earlier one term 2"),
            (&[('e', 1, 1), ('t', 0, 1), ('e', 1, 2)], "entry 2 stands where entry 1 belongs"),
            (&[('m', 0, 1), ('t', 0, 1)], "entries from 1 on are cut, 1 are committed"),
        ] {
            let place = records.len() - 1;
            assert_eq!(faults(records), vec![(place, said.to_string())]);
        }
    }

    #[test]
    fn an_entry_whose_command_cannot_be_read_is_a_fault() {
        let fault = Checker::new().record(Header { term: 1, index: 1 }, Content::Entry(&[9, 9]));
        assert!(fault.is_some_and(|fault| fault.starts_with("entry 1: its command has version 9")));
    }
}
