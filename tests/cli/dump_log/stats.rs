//! What a log consists of, counted.

use super::super::run;
use super::{Segment, TIME, VERIFIER, two_segments};
use crate::support::TempDir;
use chatctl::chat::{Command as Change, Target};
use chatctl::wal::format::Kind;

/// The cells behind the first word of a line of its own.
fn row(text: &str, name: &str) -> Vec<String> {
    let found = text.lines().find(|line| line.split_whitespace().next() == Some(name));
    let line = found.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

/// What the part of the output under the heading `DEAD` says of one reason: records, bytes.
fn dead(text: &str, name: &str) -> (String, String) {
    let (_, part) = text.split_once("\nDEAD ").unwrap_or_else(|| panic!("no DEAD in {text}"));
    let cells = row(part, name);
    (cells[0].clone(), cells[1].clone())
}

#[test]
fn every_kind_segment_and_batch_is_counted_with_its_bytes() {
    let dir = TempDir::new("dump-stats");
    let (first, second, _) = two_segments();
    first.write(dir.path());
    second.write(dir.path());
    let (code, text, error) = run(&["dump-log", "--stats", dir.path().to_str().unwrap()]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(row(&text, "segments"), ["2", "of", "131072", "bytes"]);
    assert!(text.contains("entries   1 to 5, committed up to at least 5\n"), "{text}");
    for (kind, records, bytes) in [
        ("found", "1", 96),
        ("create", "1", 104),
        ("send", "2", 96 + 88),
        ("passwd", "1", 104),
        ("mark", "6", 6 * 32),
    ] {
        assert_eq!(row(&text, kind)[..2], [records.to_owned(), bytes.to_string()], "{text}");
    }
    let total = 96 + 104 + 96 + 88 + 104 + 6 * 32;
    assert_eq!(row(&text, "all")[..2], ["11".to_owned(), total.to_string()]);
    // Batches of 128, 136, 136, 128 and 120 bytes, and a mark alone.
    assert_eq!(row(&text, "32"), ["1", &"#".repeat(10)]);
    assert_eq!(row(&text, "64"), ["1", &"#".repeat(10)]);
    assert_eq!(row(&text, "128"), ["4", &"#".repeat(40)]);
    assert!(text.contains("2 and 136 the largest"), "{text}");

    let (_, object, _) = run(&["dump-log", "--stats", "--json", dir.path().to_str().unwrap()]);
    for part in [
        "\"segments\": 2, \"segment_bytes\": 131072, ",
        "\"send\": {\"records\": 2, \"bytes\": 184}",
        "\"batches\": 6, \"largest_batch\": {\"records\": 2, \"bytes\": 136}",
        "\"batch_bytes_from\": {\"32\": 1, \"64\": 1, \"128\": 4}",
        "\"void\": {\"records\": 2, ",
    ] {
        assert!(object.contains(part), "no {part} in {object}");
    }
}

#[test]
fn what_is_dead_is_told_by_why() {
    let dir = TempDir::new("dump-stats-dead");
    let (time, verifier, known) = (TIME, VERIFIER, 0);
    let other = VERIFIER.replace('4', "5");
    let send = |id, body| Change::Send { time, from: "alice", to: "bob", id, known, body };
    let changes = [
        Change::Create { time, name: "alice", verifier },
        Change::Create { time, name: "bob", verifier },
        Change::Create { time, name: "bob", verifier: &other }, // void
        send(1, "stays"),
        send(1, "stays"),                                           // void
        send(2, "taken back"),                                      // unseen
        send(3, "bob's alone"),                                     // not seen by bob, but by alice
        Change::Read { time, name: "bob", from: "alice", upto: 4 }, // passed
        Change::Read { time, name: "bob", from: "alice", upto: 4 }, // void
        Change::Read { time, name: "bob", from: "alice", upto: 7 },
        Change::DeleteMsgs { time, name: "alice", targets: vec![Target { seq: 6, id: 2 }] },
        Change::DeleteMsgs { time, name: "bob", targets: vec![Target { seq: 7, id: 3 }] },
        Change::Passwd { time, name: "bob", verifier: &other }, // replaced
        Change::Passwd { time, name: "bob", verifier },
    ];
    let mut segment = Segment::new(1);
    for (index, change) in (1..).zip(&changes) {
        segment.put_command(index, index, change);
    }
    let next = changes.len() as u64 + 1;
    segment.put(Kind::Entry, next, next, &[]);
    segment.put(Kind::Mark, next, next - 1, &[]);
    segment.put(Kind::Truncate, next + 1, next, &[]);
    segment.put(Kind::Mark, next + 1, next - 1, &[]);
    segment.write(dir.path());
    let (code, text, error) = run(&["dump-log", "--stats", dir.path().to_str().unwrap()]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let pair = |records: &str, bytes: u64| (records.to_owned(), bytes.to_string());
    assert_eq!(dead(&text, "cut"), pair("1", 32), "{text}");
    assert_eq!(dead(&text, "unseen"), pair("1", 88), "{text}");
    assert_eq!(dead(&text, "void").0, "3", "{text}");
    assert_eq!(dead(&text, "passed"), pair("1", 64), "{text}");
    assert_eq!(dead(&text, "replaced"), pair("1", 104), "{text}");
    assert_eq!(dead(&text, "all").0, "7", "{text}");
}

#[test]
fn of_a_damaged_log_and_of_a_part_all_is_told_but_what_is_dead() {
    let dir = TempDir::new("dump-stats-part");
    let (first, second, last) = two_segments();
    let file = first.write(dir.path());
    let later = second.write(dir.path());
    let (code, text, error) = run(&["dump-log", "--stats", later.to_str().unwrap()]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(row(&text, "send")[0], "1");
    assert!(text.contains("dead bytes are unknown"), "{text}");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[last + 40] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (_, text, _) = run(&["dump-log", "--stats", dir.path().to_str().unwrap()]);
    assert!(text.contains("DAMAGED   1 places"), "{text}");
    assert!(text.contains("dead bytes are unknown"), "{text}");
    let (_, object, _) = run(&["dump-log", "--stats", "--json", dir.path().to_str().unwrap()]);
    assert!(object.contains("\"damaged\": 1") && object.contains("\"dead\": null"), "{object}");
}
