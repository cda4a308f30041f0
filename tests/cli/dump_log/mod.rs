//! `chatctl dump-log` on logs that the tests write, byte for byte, and on a running server's.

mod digest;
mod export;
mod filters;
mod follow;
mod judgement;
mod stats;
mod terminal;

use super::run;
use crate::support::bounded::{Run, connected};
use crate::support::server::Launch;
use crate::support::{PROGRAM, TempDir, segment};
use chatctl::chat::Command as Change;
use chatctl::wal::RealDisk;
use chatctl::wal::boots::Boots;
use chatctl::wal::format::{Identity, Kind};
use chatctl::wal::hard_state::{self, HardState};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;

const TIME: u64 = 1_700_000_000_123;
const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHQ=$c3RvcmVk:c2VydmVy";
const TOKEN_SECRET: [u8; 32] = *b"sesame-sesame-sesame-sesame-open";

/// A segment in the making, of a log of one term.
struct Segment(segment::Segment);

impl Deref for Segment {
    type Target = segment::Segment;

    fn deref(&self) -> &segment::Segment {
        &self.0
    }
}

impl DerefMut for Segment {
    fn deref_mut(&mut self) -> &mut segment::Segment {
        &mut self.0
    }
}

impl Segment {
    fn new(number: u64) -> Segment {
        Segment(segment::Segment::new(Identity { cluster: [7; 16] }, number, 64 << 10))
    }

    /// Appends a record; where it stands.
    fn put(&mut self, kind: Kind, batch: u64, index: u64, payload: &[u8]) -> usize {
        self.0.put(kind, batch, u64::from(kind == Kind::Entry), index, payload)
    }

    /// Appends a batch of one command and its mark; where the command stands.
    fn put_command(&mut self, batch: u64, index: u64, command: &Change<'_>) -> usize {
        let mut payload = Vec::new();
        command.encode(&mut payload);
        let offset = self.put(Kind::Entry, batch, index, &payload);
        self.put(Kind::Mark, batch, index - 1, &[]);
        offset
    }

    /// The file's bytes.
    fn whole(&self) -> Vec<u8> {
        self.content(usize::MAX)
    }

    /// Writes it into a server's data directory; its path.
    fn write(&self, directory: &Path) -> PathBuf {
        fs::create_dir_all(directory.join("wal")).unwrap();
        let state = HardState {
            id: "lone".into(),
            cluster: [7; 16],
            incarnation: 1,
            role: "BACKUP".into(),
            term: 1,
            voted_for: "1".into(),
            copy: 0,
            boots: Boots::default(),
            met: Vec::new(),
            old_copy: String::new(),
        };
        hard_state::save(&mut RealDisk::open(directory), &state).unwrap();
        let path = directory.join("wal").join(self.name());
        fs::write(&path, self.whole()).unwrap();
        path
    }
}

fn send(body: &str) -> Change<'_> {
    Change::Send { time: TIME, from: "alice", to: "bob", id: 1, known: 0, body }
}

/// A log of two segments, and the offset of the last entry of the first.
fn two_segments() -> (Segment, Segment, usize) {
    let time = TIME;
    let mut first = Segment::new(1);
    let found =
        Change::Found { time, cluster: [7; 16], token_secret: TOKEN_SECRET, members: Vec::new() };
    first.put_command(1, 1, &found);
    first.put_command(2, 2, &Change::Create { time, name: "alice", verifier: VERIFIER });
    first.put_command(3, 3, &Change::Passwd { time, name: "alice", verifier: VERIFIER });
    let last = first.put_command(4, 4, &send("hello \u{1b}]0;\u{7}\u{202e}"));
    let mut second = Segment::new(2);
    second.put_command(5, 5, &send("again"));
    second.put(Kind::Mark, 6, 5, &[]);
    (first, second, last)
}

#[test]
fn a_small_log_is_shown_line_by_line_without_secrets() {
    let dir = TempDir::new("dump-golden");
    let (first, second, _) = two_segments();
    let path = first.write(dir.path());
    second.write(dir.path());
    let shown = dir.path().to_str().unwrap();
    let (code, lines, error) = run(&["dump-log", shown]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(lines, include_str!("golden.txt"));
    let (code, objects, error) = run(&["dump-log", "--json", shown]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(objects, include_str!("golden.json"));
    let (_, one, _) = run(&["dump-log", path.to_str().unwrap()]);
    let of_first: Vec<&str> = lines.lines().filter(|line| line.starts_with("00000001")).collect();
    assert_eq!(one.lines().collect::<Vec<_>>(), of_first);
}

#[test]
fn only_entries_of_the_range_are_shown_and_marks_are_not() {
    let dir = TempDir::new("dump-range");
    let (first, second, _) = two_segments();
    first.write(dir.path());
    second.write(dir.path());
    let shown = dir.path().to_str().unwrap();
    for (flags, indexes) in [
        (&["--from=4"][..], &["4", "5"][..]),
        (&["--to", "2"], &["1", "2"]),
        (&["--from=2", "--to=3"], &["2", "3"]),
        (&["--from=9"], &[]),
        (&["--from=3", "--to=3"], &["3"]),
    ] {
        let arguments = [&["dump-log"], flags, &[shown]].concat();
        let (code, lines, error) = run(&arguments);
        assert_eq!((code, error.as_str()), (Some(0), ""));
        let found: Vec<&str> =
            lines.lines().map(|line| line.split_whitespace().nth(4).unwrap()).collect();
        assert_eq!(found, indexes, "{flags:?}");
    }
    let (code, out, error) = run(&["dump-log", "--from=3", "--to=2", shown]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(error.contains("--from 3 is above --to 2"), "{error}");
}

#[test]
fn a_log_larger_than_its_memory_is_shown_and_checked() {
    let dir = TempDir::new("dump-memory");
    // The program itself takes some 10 MiB of addresses, the stack included.
    const MEMORY_MIB: usize = 24;
    let text = "0123456789".repeat(6_000);
    let mut segment = Segment::new(1);
    segment.header.length = 64 << 20;
    let mut index = 0;
    while segment.bytes.len() < (2 * MEMORY_MIB) << 20 {
        index += 1;
        segment.put_command(index, index, &send(&text));
    }
    segment.write(dir.path());
    let shown = dir.path().to_str().unwrap();
    for flags in ["--verify", "--json", "--from=0", "--user=bob", "--kind=mark", "--since=9w"] {
        let limit = format!("ulimit -v {} && exec \"$0\" \"$@\"", MEMORY_MIB << 10);
        let mut shell = Command::new("sh");
        shell.args(["-c", &limit, PROGRAM, "dump-log", flags, shown]);
        let output = shell.run();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), error.as_ref()), (Some(0), ""), "{flags}");
        let lines = output.stdout.split(|byte| *byte == b'\n').count() as u64;
        let prints_all = !matches!(flags, "--verify" | "--since=9w");
        assert_eq!(prints_all, lines > index, "{flags}: {lines} lines");
    }
}

#[test]
fn a_whole_log_is_said_to_be_whole_with_what_is_in_it() {
    let dir = TempDir::new("dump-whole");
    let (first, second, _) = two_segments();
    first.write(dir.path());
    second.write(dir.path());
    let shown = dir.path().to_str().unwrap();
    let said = "whole: 11 records in 2 segments, entries 1 to 5, committed up to at least 5\n";
    assert_eq!(run(&["dump-log", "--verify", shown]), (Some(0), said.into(), String::new()));
    let (code, object, _) = run(&["dump-log", "--verify", "--json", shown]);
    assert_eq!(code, Some(0));
    assert!(object.starts_with("{\"whole\": true, \"segments\": 2, \"records\": 11, "), "{object}");
}

#[test]
fn damage_is_named_by_file_and_offset_and_what_is_behind_it_still_shown() {
    let (first, second, last) = two_segments();
    for (what, damaged) in [("a bit", last + 40), ("the length", last + 7), ("the sum", last)] {
        let dir = TempDir::new("dump-damage");
        let shown = dir.path().to_str().unwrap();
        let path = first.write(dir.path());
        second.write(dir.path());
        let mut bytes = fs::read(&path).unwrap();
        bytes[damaged] ^= 1;
        fs::write(&path, bytes).unwrap();
        let (code, lines, error) = run(&["dump-log", shown]);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{what}");
        let line = lines.lines().find(|line| line.contains("DAMAGED")).expect("damage is shown");
        let place: Vec<&str> = line.split_whitespace().take(2).collect();
        assert_eq!(place, ["00000001.wal", &last.to_string()], "{what}");
        assert!(lines.contains("\"again\"") && !lines.contains("hello"), "{what}: {lines}");
        let (code, out, error) = run(&["dump-log", "--verify", shown]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{what}");
        let named = format!("{shown} is damaged: 00000001.wal, offset {last}: ");
        assert!(error.contains(&named), "{what}: {error}");
        let (code, object, error) = run(&["dump-log", "--verify", "--json", shown]);
        let start = format!(
            "{{\"whole\": false, \"file\": \"00000001.wal\", \"offset\": {last}, \"why\": \""
        );
        assert!(code == Some(1) && object.starts_with(&start), "{what}: {object}");
        assert!(error.contains(&named), "{what}: {error}");
    }
}

#[test]
fn a_batch_cut_short_at_the_end_is_torn_and_no_damage() {
    let dir = TempDir::new("dump-torn");
    let (first, mut second, _) = two_segments();
    first.write(dir.path());
    let torn = second.put(Kind::Entry, 7, 6, b"any bytes");
    second.bytes[torn + 36] ^= 1;
    second.write(dir.path());
    let shown = dir.path().to_str().unwrap();
    let (code, lines, _) = run(&["dump-log", shown]);
    let last = lines.lines().last().unwrap();
    assert!(
        code == Some(0) && last.contains(&format!("{torn}")) && last.contains("torn"),
        "{last}"
    );
    let (code, out, error) = run(&["dump-log", "--verify", shown]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(out.contains("whole: 11 records") && out.contains("was never acknowledged"), "{out}");
}

#[test]
fn a_record_that_is_whole_but_cannot_be_is_found_by_verify() {
    let dir = TempDir::new("dump-impossible");
    let mut first = Segment::new(1);
    first.put_command(1, 1, &send("a"));
    let gap = first.put_command(2, 3, &send("b"));
    first.write(dir.path());
    let (code, _, error) = run(&["dump-log", "--verify", dir.path().to_str().unwrap()]);
    let said = format!("00000001.wal, offset {gap}: entry 3 follows entry 1");
    assert!(code == Some(1) && error.contains(&said), "{error}");
}

#[test]
fn what_is_no_log_is_a_failure() {
    let dir = TempDir::new("dump-nothing");
    let file = dir.path().join("letter");
    fs::write(&file, "Dear Bob,\n").unwrap();
    for path in [dir.path(), &file, Path::new("/nonexistent")] {
        for flags in [&["dump-log"][..], &["dump-log", "--verify"]] {
            let (code, _, error) = run(&[flags, &[path.to_str().unwrap()]].concat());
            assert_eq!(code, Some(1), "{error}");
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}

#[test]
fn the_log_of_a_running_server_is_read_without_its_secrets_or_its_lock() {
    let dir = TempDir::new("dump-running");
    let server = Launch::on(dir.path()).start();
    let mut stream = connected(server.address());
    let requests = "{\"cmd\": \"create\", \"src\": \"alice\", \"body\": \"open sesame\"}\n\
                    {\"cmd\": \"send\", \"to\": \"alice\", \"body\": \"a note\"}\n";
    stream.write_all(requests.as_bytes()).unwrap();
    let replies = BufReader::new(stream).lines().take(2);
    assert!(replies.map(Result::unwrap).all(|reply| reply.contains("\"error\": false")));
    let shown = dir.path().to_str().unwrap();
    for flags in [&["dump-log", shown][..], &["dump-log", "--json", shown]] {
        let (code, out, error) = run(flags);
        assert_eq!((code, error.as_str()), (Some(0), ""));
        assert!(out.contains("a note") && out.contains("hidden"), "{out}");
        assert!(!out.contains("SCRAM") && !out.contains("sesame"), "{out}");
    }
    let (code, out, error) = run(&["dump-log", "--verify", shown]);
    assert!(code == Some(0) && out.contains("whole: "), "{out}{error}");
}
