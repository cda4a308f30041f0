//! What a server's log holds, as `chatctl dump-log --json` tells it.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io::BufRead;
use std::path::Path;
use std::process::Stdio;

use super::receiver::Seen;
use crate::support::bounded::{Pipes, exit_of};
use crate::support::{chatctl, number_field, text_field};

/// A server's log.
#[derive(Default)]
pub struct Log {
    /// A hash of each entry with its term; the entry at index i is at i - 1.
    entries: Vec<u64>,
    /// What each entry sends, if it sends something.
    sends: Vec<Option<Seen>>,
    /// Terms that began with an entry here.
    pub terms: u64,
    /// Up to here the log itself says that it is committed.
    pub commit: u64,
}

impl Log {
    /// Reads a data directory, of a server that runs or not.
    pub fn read(data_dir: &Path) -> Log {
        let mut command = chatctl(&["dump-log", "--json"]);
        command.arg(data_dir).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let mut log = Log::default();
        for line in child.lines("the next line of the log").lines() {
            log.take(&line.expect("UTF-8"));
        }
        assert!(exit_of(&mut child).success());
        log
    }

    fn take(&mut self, line: &str) {
        let number = |key| number_field(line, key);
        match text_field(line, "kind").expect("every record has a kind") {
            "mark" => self.commit = self.commit.max(number("commit").expect("it has one")),
            "truncate" => self.cut(number("from_index").expect("it has one")),
            "damaged" => panic!("a damaged log: {line}"),
            "torn" => {}
            kind => {
                let index = number("index").expect("an entry has an index");
                self.cut(index);
                assert_eq!(index, self.entries.len() as u64 + 1, "no entry is left out: {line}");
                // Where it stands is each server's own affair.
                let content = line.find("\"term\": ").expect("an entry has a term");
                let mut hasher = DefaultHasher::new();
                line[content..].hash(&mut hasher);
                self.entries.push(hasher.finish());
                self.terms += u64::from(kind == "no-op");
                self.sends.push((kind == "send").then(|| send(line, index)));
            }
        }
    }

    fn cut(&mut self, from: u64) {
        if from <= self.entries.len() as u64 {
            assert!(from > self.commit, "what is committed is never cut: {from}");
        }
        self.entries.truncate(from as usize - 1);
        self.sends.truncate(from as usize - 1);
    }

    /// Holds that two servers have the same up to what is known to be committed.
    pub fn check_same(&self, other: &Log, commit: u64, whose: &str) {
        let commit = commit as usize;
        assert!(other.entries.len() >= commit, "server {whose} lacks what it says is committed");
        let (mine, others) = (&self.entries[..commit], &other.entries[..commit]);
        let differs = mine.iter().zip(others).position(|(mine, other)| mine != other);
        assert_eq!(differs.map(|place| place + 1), None, "server {whose} has another entry there");
    }

    /// The messages that are stored: of each sender, what it sent under an id the first time.
    pub fn messages(&self, commit: u64) -> Vec<Seen> {
        let mut known: HashMap<(&str, &str), &Seen> = HashMap::new();
        let mut messages = Vec::new();
        for send in self.sends[..commit as usize].iter().flatten() {
            match known.get(&(send.from.as_str(), send.id.as_str())) {
                None => {
                    known.insert((&send.from, &send.id), send);
                    messages.push(send.clone());
                }
                Some(first) => assert_eq!((&first.to, &first.body), (&send.to, &send.body)),
            }
        }
        messages
    }
}

fn send(line: &str, index: u64) -> Seen {
    let text = |key| text_field(line, key).expect("a send has it").to_owned();
    let time = number_field(line, "time").expect("a send has a time");
    let (from, to, id, body) = (text("from"), text("to"), text("id"), text("body"));
    Seen { from, to, id, body, seq: index, time }
}
