//! Which records are shown, and which flags go together.

use super::super::run;
use super::{Segment, TIME, VERIFIER};
use crate::support::TempDir;
use chatctl::chat::{Command as Change, Target};
use chatctl::wal::format::Kind;

const HOUR_MS: u64 = 3_600_000;

/// A log with each kind of record, an hour between an entry and the next: no-op at 1, then commands
/// from 2 on, the last of them cut and written again.
fn log_of_all_kinds(dir: &TempDir) -> String {
    let (id, verifier) = (1, VERIFIER);
    let time = |index: u64| TIME + index * HOUR_MS;
    let changes = [
        Change::Create { time: time(2), name: "alice", verifier },
        Change::Create { time: time(3), name: "bob", verifier },
        Change::Send { time: time(4), from: "alice", to: "bob", id, known: 0, body: "hello" },
        Change::Read { time: time(5), name: "bob", from: "alice", upto: 4 },
        Change::Take { time: time(6), name: "bob", seqs: vec![4] },
        Change::DeleteMsgs { time: time(7), name: "bob", targets: vec![Target { seq: 4, id }] },
        Change::Passwd { time: time(8), name: "carol", verifier },
        Change::Delete { time: time(9), name: "carol" },
    ];
    let mut segment = Segment::new(1);
    segment.put(Kind::Entry, 1, 1, &[]);
    segment.put(Kind::Mark, 1, 0, &[]);
    for (index, change) in (2..).zip(&changes) {
        segment.put_command(index, index, change);
    }
    segment.put(Kind::Truncate, 10, 9, &[]);
    segment.put_command(10, 9, &changes[7]);
    segment.write(dir.path());
    dir.path().to_str().unwrap().to_owned()
}

/// The kinds of the lines, with the indexes of entries.
fn shown(flags: &[&str], path: &str) -> Vec<String> {
    let (code, lines, error) = run(&[&["dump-log"], flags, &[path]].concat());
    assert_eq!((code, error.as_str()), (Some(0), ""), "{flags:?}");
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[4] == "-" { words[6].to_owned() } else { format!("{}{}", words[6], words[4]) }
    };
    lines.lines().map(of_line).collect()
}

#[test]
fn each_filter_lets_through_what_it_says_and_together_they_let_through_less() {
    let dir = TempDir::new("dump-filters");
    let path = log_of_all_kinds(&dir);
    let bob = ["create3", "send4", "read5", "take6", "delete_msgs7"];
    for (flags, wanted) in [
        (&["--user=bob"][..], &bob[..]),
        (&["--user=Bob", "--kind=send"], &["send4"]),
        (&["--user=alice"], &["create2", "send4", "read5"]),
        (&["--user=dave"], &[]),
        (&["--kind=no-op"], &["no-op1"]),
        (&["--kind=truncate"], &["truncate"]),
        (&["--kind=create", "--kind=delete"], &["create2", "create3", "delete9", "delete9"]),
        (&["--kind=delete", "--from=9"], &["delete9", "delete9"]),
        (&["--kind=delete_msgs"], &["delete_msgs7"]),
        (&["--kind=passwd", "--user=carol"], &["passwd8"]),
        (&["--kind=take", "--to=5"], &[]),
        (&["--since=2023-11-15T03:13:20.123Z", "--until=2023-11-15T04:13:20.123Z"], &bob[2..4]),
        (&["--until=2023-11-15T00:59:59Z"], &["create2"]),
        (&["--since=2h"], &[]),
    ] {
        assert_eq!(shown(flags, &path), wanted, "{flags:?}");
    }
    assert_eq!(shown(&["--kind=mark"], &path), ["mark"; 10]);
    assert_eq!(shown(&["--kind=mark", "--from=2"], &path), [""; 0], "a mark has no place");
}

#[test]
fn an_entry_that_nobody_can_read_is_shown_whatever_is_asked_for() {
    let dir = TempDir::new("dump-filters-unreadable");
    let mut segment = Segment::new(1);
    segment.put(Kind::Entry, 1, 1, &[9, 9, 9]);
    segment.put(Kind::Mark, 1, 0, &[]);
    segment.write(dir.path());
    let path = dir.path().to_str().unwrap();
    for flags in [&["--user=bob"][..], &["--kind=send"], &["--since=1h"]] {
        assert_eq!(shown(flags, path), ["UNREADABLE1"], "{flags:?}");
    }
    assert_eq!(shown(&["--from=2"], path), [""; 0]);
}

#[test]
fn flags_that_contradict_each_other_or_mean_nothing_are_refused() {
    for (flags, said) in [
        (&["--verify", "--stats"][..], "--verify and --stats cannot be given together"),
        (&["--digest=1", "--export=x"], "--export and --digest cannot be given together"),
        (&["--stats", "--user=bob"], "--user applies to printed records, but --stats prints none"),
        (&["--verify", "--follow"], "--follow applies to printed records"),
        (&["--force"], "--force needs --export"),
        (&["--stats", "--with-secrets"], "--with-secrets needs --export"),
        (&["--since=yesterday"], "--since: 'yesterday' is invalid; expected a time in UTC"),
        (&["--until=2026-02-30"], "--until: '2026-02-30' is invalid; expected a time in UTC"),
        (&["--since=1h", "--until=2h"], "--since is later than --until"),
        (&["--user=a/b"], "--user: 'a/b' is invalid; use 1 to 32 of a-z, 0-9"),
        (&["--kind=letter"], "--kind: 'letter' is invalid; expected found, members, create,"),
        (&["--color=red"], "--color: 'red' is invalid; expected auto, always or never"),
        (&["--digest=0"], "--digest: '0' is invalid; expected a whole number from 1 up"),
    ] {
        let (code, out, error) = run(&[&["dump-log"], flags, &["/nonexistent"]].concat());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{flags:?}: {error}");
        assert!(error.contains(said), "{flags:?}: {error}");
    }
}
