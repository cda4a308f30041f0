//! Every kind of record, as it is shown.

use super::*;
use crate::chat::Target;

const TIME: u64 = 1_700_000_000_123;
const ID: u128 = 0x8d4a8912_5776_4438_ac14_8b791cfc63f2;
const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHQ=$c3RvcmVk:c2VydmVy";

fn commands() -> Vec<Command<'static>> {
    let (time, verifier) = (TIME, VERIFIER);
    let targets = vec![Target { seq: 3, id: ID }];
    let member = |name: &str, number, votes| Member {
        name: name.to_string(),
        address: format!("{name}.example:7001"),
        incarnation: 0xabc,
        number,
        votes,
    };
    vec![
        Command::Found {
            time,
            cluster: ID.to_be_bytes(),
            token_secret: *b"12345678abcdefgh12345678abcdefgh",
            members: vec![member("s1", 1, true), member("s2", 2, true)],
        },
        Command::Create { time, name: "alice", verifier },
        Command::Send {
            time,
            from: "alice",
            to: "bob",
            id: ID,
            known: 2,
            body: "h\u{e9}! \u{1b}[2J",
        },
        Command::Take { time, name: "bob", seqs: vec![3, 4, 9] },
        Command::Read { time, name: "bob", from: "alice", upto: 4 },
        Command::DeleteMsgs { time, name: "alice", targets },
        Command::Passwd { time, name: "alice", verifier },
        Command::Delete { time, name: "alice" },
        Command::Members { time, members: vec![member("s1", 1, true), member("s4", 4, false)] },
    ]
}

fn place(index: u64) -> Place<'static> {
    Place { file: "1.wal", offset: 4096 * index, batch: 7, term: 1, index }
}

/// Each command's line on something this wide, and its JSON object.
fn shown(width: Option<usize>) -> (String, String) {
    let (mut lines, mut objects) = (String::new(), String::new());
    for (index, command) in (1..).zip(commands()) {
        let mut payload = Vec::new();
        command.encode(&mut payload);
        lines += &(line(width, &place(index), Content::Entry(&payload)) + "\n");
        objects += &(json(&place(index), Content::Entry(&payload)) + "\n");
    }
    for content in [Content::Entry(&[]), Content::Truncate, Content::Mark] {
        lines += &(line(width, &place(9), content) + "\n");
        objects += &(json(&place(9), content) + "\n");
    }
    lines += &(bad_line(width, "DAMAGED", "1.wal", 8192, "its checksum is wrong") + "\n");
    objects += &(bad_json("DAMAGED", "1.wal", 8192, "its checksum is wrong") + "\n");
    (lines, objects)
}

#[test]
fn every_kind_of_record_is_a_line_of_aligned_columns() {
    let expected = include_str!("golden.txt");
    assert_eq!(format!("{}\n{}", header(None), shown(None).0), expected);
    // Nothing of it is longer than a terminal where the content has room.
    assert_eq!(format!("{}\n{}", header(Some(240)), shown(Some(240)).0), expected);
}

#[test]
fn a_terminal_of_80_columns_gets_fewer_of_them_and_long_content_below_itself() {
    let (width, expected) = (Some(80), include_str!("golden_80.txt"));
    assert_eq!(format!("{}\n{}", header(width), shown(width).0), expected);
    assert!(expected.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn every_kind_of_record_is_a_json_object() {
    let expected = include_str!("golden.json");
    assert_eq!(shown(None).1, expected);
}

#[test]
fn no_secret_is_in_any_form_of_any_record() {
    let (lines, objects) = shown(None);
    for secret in ["SCRAM", "c2Fsd", "c3RvcmVk", "c2VydmVy", "12345678abcd", "3132333435363738"] {
        assert!(!lines.contains(secret) && !objects.contains(secret), "{secret} is shown");
    }
}

#[test]
fn what_is_no_command_is_told_by_its_size_and_not_shown() {
    let mut payload = Vec::new();
    Command::Create { time: TIME, name: "alice", verifier: VERIFIER }.encode(&mut payload);
    for broken in [&payload[..payload.len() - 1], &[9, 9, b'S', b'C', b'R', b'A', b'M']] {
        let (line, json) = (
            line(None, &place(1), Content::Entry(broken)),
            json(&place(1), Content::Entry(broken)),
        );
        assert!(line.contains("UNREADABLE") && json.contains("\"unreadable\""), "{line}");
        assert!(line.contains(&format!(" {} bytes: ", broken.len())), "{line}");
        assert!(!line.contains("SCRAM") && !json.contains("SCRAM"), "{line}");
    }
}

#[test]
fn runs_of_numbers_are_drawn_together() {
    for (numbers, shown) in [
        (&[][..], ""),
        (&[3], "3"),
        (&[5, 6, 7, 9], "5-7, 9"),
        (&[1, 3, 4], "1, 3-4"),
        (&[u64::MAX], "18446744073709551615"),
    ] {
        assert_eq!(ranges(numbers.iter().copied()), shown);
    }
}
