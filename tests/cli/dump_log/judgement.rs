//! What a server refuses at its start, `dump-log` and `recover` refuse too, with the same place.

use super::super::{chatctl, run, said};
use super::{Segment, TIME, TOKEN_SECRET, VERIFIER, send, two_segments};
use crate::support::bounded::Run;
use crate::support::server::Launch;
use crate::support::{Rng, TempDir, env_number};
use chatctl::chat::{Command as Change, Member};
use chatctl::limits;
use chatctl::wal::RealDisk;
use chatctl::wal::format::{HEADER_BYTES, Kind, RECORDS_START};
use chatctl::wal::hard_state::{self, HardState};
use std::fs;
use std::path::Path;

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn edit_state(directory: &Path, change: impl FnOnce(&mut HardState)) {
    let mut disk = RealDisk::open(directory);
    let mut state = hard_state::load(&mut disk).unwrap().unwrap();
    change(&mut state);
    hard_state::save(&mut disk, &state).unwrap();
}

/// What is done to a directory with a log of two segments, and the file and offset that are named.
type Case = (&'static str, fn(&Path), &'static str, Option<u64>);

/// Where the records of the second segment end.
fn second_end() -> usize {
    two_segments().1.bytes.len()
}

const CASES: &[Case] = &[
    (
        "the first segment is cut behind its records",
        |dir| edit(&dir.join("wal/00000001.wal"), |bytes| bytes.truncate(60_000)),
        "00000001.wal",
        Some(60_000),
    ),
    (
        "the newest segment is cut behind its records",
        |dir| edit(&dir.join("wal/00000002.wal"), |bytes| bytes.truncate(60_000)),
        "00000002.wal",
        Some(60_000),
    ),
    (
        "the newest segment is cut just behind its header",
        |dir| edit(&dir.join("wal/00000002.wal"), |bytes| bytes.truncate(RECORDS_START as usize)),
        "00000002.wal",
        Some(RECORDS_START as u64),
    ),
    (
        "the newest segment is empty, and the one before has little room",
        |dir| edit(&dir.join("wal/00000002.wal"), Vec::clear),
        "00000002.wal",
        Some(0),
    ),
    (
        "the first segment is missing",
        |dir| fs::remove_file(dir.join("wal/00000001.wal")).unwrap(),
        "00000001.wal",
        Some(0),
    ),
    (
        "all segments are missing",
        |dir| {
            fs::remove_dir_all(dir.join("wal")).unwrap();
            fs::create_dir(dir.join("wal")).unwrap();
        },
        "00000001.wal",
        Some(0),
    ),
    (
        "a header is damaged",
        |dir| edit(&dir.join("wal/00000001.wal"), |bytes| bytes[20] ^= 1),
        "00000001.wal",
        Some(0),
    ),
    (
        "a segment has another's name",
        |dir| {
            fs::copy(dir.join("wal/00000001.wal"), dir.join("wal/00000002.wal")).unwrap();
        },
        "00000002.wal",
        Some(0),
    ),
    (
        "the log is another cluster's",
        |dir| edit_state(dir, |state| state.cluster = [9; 16]),
        "00000001.wal",
        None,
    ),
    (
        "another version has written it",
        |dir| {
            edit(&dir.join("wal/00000002.wal"), |bytes| {
                bytes[8..12].copy_from_slice(&9u32.to_be_bytes());
                let crc = crc32fast::hash(&bytes[..60]);
                bytes[60..HEADER_BYTES].copy_from_slice(&crc.to_be_bytes());
            });
        },
        "00000002.wal",
        None,
    ),
    (
        "the state is missing",
        |dir| fs::remove_file(dir.join(hard_state::FILE)).unwrap(),
        hard_state::FILE,
        None,
    ),
    (
        "the state is damaged",
        |dir| edit(&dir.join(hard_state::FILE), |bytes| bytes.fill(b'x')),
        hard_state::FILE,
        None,
    ),
    (
        "the state has a hostile term",
        |dir| edit_state(dir, |state| state.term = u64::MAX),
        hard_state::FILE,
        None,
    ),
    (
        "the state has a hostile copy",
        |dir| edit_state(dir, |state| state.copy = u64::MAX),
        hard_state::FILE,
        None,
    ),
    (
        "the directory is marked as an old copy",
        |dir| edit_state(dir, |state| state.old_copy = "b".to_owned()),
        hard_state::FILE,
        None,
    ),
    (
        "an entry has a hostile term",
        |dir| {
            let (_, mut second, _) = two_segments();
            second.0.put(Kind::Entry, 7, u64::MAX, 6, &[]);
            second.0.put(Kind::Mark, 7, 0, 6, &[]);
            fs::write(dir.join("wal/00000002.wal"), second.whole()).unwrap();
        },
        "00000002.wal",
        None,
    ),
    (
        "a committed entry cannot be read",
        |dir| {
            let (_, mut second, _) = two_segments();
            second.0.put(Kind::Entry, 7, 1, 6, &[1, 99]);
            second.0.put(Kind::Mark, 7, 0, 6, &[]);
            fs::write(dir.join("wal/00000002.wal"), second.whole()).unwrap();
        },
        "00000002.wal",
        None,
    ),
    (
        "the last entry cannot be read, and is not known to be committed",
        |dir| {
            let (_, mut second, _) = two_segments();
            second.0.put(Kind::Entry, 7, 1, 6, &[9, 3]);
            second.0.put(Kind::Mark, 7, 0, 5, &[]);
            fs::write(dir.join("wal/00000002.wal"), second.whole()).unwrap();
        },
        "00000002.wal",
        None,
    ),
];

#[test]
fn whatever_a_server_refuses_to_start_on_is_reported_with_file_and_offset() {
    for (what, damage, file, offset) in CASES {
        let dir = TempDir::new("judgement");
        let (first, second, _) = two_segments();
        first.write(dir.path());
        second.write(dir.path());
        let shown = dir.path().to_str().unwrap();
        let (code, out, error) = run(&["dump-log", "--verify", shown]);
        assert!(code == Some(0) && out.starts_with("whole: 11 records"), "{what}: {error}");
        damage(dir.path());
        let offset = match (*offset, *file) {
            (Some(offset), _) => offset,
            (None, "00000002.wal") if what.contains("entry") => second_end() as u64,
            _ => 0,
        };
        let at = format!("{file}, offset {offset}: ");
        let (code, out, error) = run(&["dump-log", "--verify", shown]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{what}");
        assert!(error.contains(&at), "{what}: {error}");
        let (code, out, _) = run(&["dump-log", "--verify", "--json", shown]);
        let place = format!("\"whole\": false, \"file\": \"{file}\", \"offset\": {offset}, ");
        assert!(code == Some(1) && out.contains(&place), "{what}: {out}");
        let into = dir.path().join("export");
        let (code, _, error) = run(&["dump-log", "--export", into.to_str().unwrap(), shown]);
        assert!(code == Some(1) && error.contains(&at), "{what}: {error}");
        assert!(!into.exists(), "{what}: nothing is exported");
        let (code, _, error) = run(&["dump-log", "--stats", shown]);
        let is_there = *what != "all segments are missing";
        assert!(code == Some(1) && (error.contains(&at) || !is_there), "{what}: {error}");

        let ended = Launch::on(dir.path()).flags(&["--segment-mib", "1"]).try_start();
        let ended = ended.err().unwrap_or_else(|| panic!("{what}: it starts"));
        assert_eq!(ended.status.code(), Some(1), "{what}: {ended:?}");
        assert!(ended.stderr.contains(*file), "{what}: {ended:?}");
        if let Some((_, byte)) = ended.stderr.split_once(" at byte ") {
            assert!(byte.starts_with(&format!("{offset}:")), "{what}: {ended:?}");
        }
    }
}

#[test]
fn a_log_that_a_server_starts_on_is_whole_before_and_after() {
    let dir = TempDir::new("judgement-whole");
    let (first, second, _) = two_segments();
    first.write(dir.path());
    second.write(dir.path());
    let shown = dir.path().to_str().unwrap();
    for entries in ["entries 1 to 5,", "entries 1 to 6,"] {
        let (code, out, error) = run(&["dump-log", "--verify", shown]);
        assert!(code == Some(0) && out.contains(entries), "{out}{error}");
        let mut server = Launch::on(dir.path()).flags(&["--segment-mib", "1"]).start();
        server.terminate();
    }
}

#[test]
fn a_lone_server_starts_beside_an_empty_spare() {
    let dir = TempDir::new("judgement-spare");
    let flags = ["--segment-mib", "1"];
    let mut server = Launch::on(dir.path()).flags(&flags).start();
    server.create("alice").tell("alice", "a note");
    server.kill9();
    let newest = fs::read_dir(dir.path().join("wal")).unwrap();
    let newest = newest.map(|entry| entry.unwrap().path()).max().unwrap();
    assert!(newest.ends_with("00000002.wal"), "the spare: {newest:?}");
    fs::write(&newest, b"").unwrap();
    let (code, out, error) = run(&["dump-log", "--verify", dir.path().to_str().unwrap()]);
    assert!(code == Some(0) && out.starts_with("whole: "), "{error}");
    let server = Launch::on(dir.path()).flags(&flags).start();
    server.wait_for_trace("00000002.wal was an unused segment, and empty");
    server.login("alice").tell("alice", "it goes on");
}

#[test]
fn one_segment_alone_is_judged_by_what_follows_it() {
    let dir = TempDir::new("judgement-file");
    let (mut first, mut second, _) = two_segments();
    second.header.follows_at = first.bytes.len() as u32;
    first.header.length = first.bytes.len() as u32 + 8;
    let (path, later) = (first.write(dir.path()), second.write(dir.path()));
    let end = first.bytes.len();
    edit(&path, |bytes| bytes.truncate(end));
    let verify = || run(&["dump-log", "--verify", path.to_str().unwrap()]);
    assert_eq!(verify().0, Some(0), "a start has cut it there");
    edit(&path, |bytes| bytes.truncate(end - 1));
    let (code, _, error) = verify();
    let at = format!("00000001.wal, offset {}: ", end - 1);
    assert!(code == Some(1) && error.contains(&at), "{error}");
    first.write(dir.path());
    edit(&path, |bytes| bytes.truncate(end));
    fs::remove_file(&later).unwrap();
    let (code, _, error) = verify();
    assert!(code == Some(1) && error.contains("or a later segment of its directory"), "{error}");
}

/// Payloads that are commands, and such as are not quite.
fn payload(rng: &mut Rng) -> Vec<u8> {
    let (time, verifier) = (TIME, VERIFIER);
    let member = |name: &str, number| Member {
        name: name.to_owned(),
        address: "h:1".to_owned(),
        incarnation: 7,
        number,
        votes: true,
    };
    let (cluster, token_secret) = ([7; 16], TOKEN_SECRET);
    let command = match rng.below(10) {
        0 => Change::Found { time, cluster, token_secret, members: Vec::new() },
        1 => Change::Members { time, members: vec![member("a", 1), member("b", 2)] },
        2 => Change::Create { time, name: "alice", verifier },
        3 => Change::Create { time, name: "bob", verifier },
        4 => Change::Take { time, name: "bob", seqs: vec![1, 2, 3] },
        5 => Change::Read { time, name: "bob", from: "alice", upto: 3 },
        6 => Change::Passwd { time, name: "bob", verifier },
        7 => Change::Delete { time, name: "alice" },
        _ => send("some words"),
    };
    let mut bytes = Vec::new();
    command.encode(&mut bytes);
    if rng.chance(1, 12) {
        let at = rng.below(bytes.len() as u64) as usize;
        let number = [0, 1, 1 << 48, u64::MAX][rng.below(4) as usize].to_be_bytes();
        let end = bytes.len().min(at + 8);
        bytes[at..end].copy_from_slice(&number[..end - at]);
    }
    bytes
}

/// A log of whole records, some of them with values that no server gets to.
fn crafted(rng: &mut Rng, directory: &Path) {
    let mut segment = Segment::new(1);
    let edges = [0, 1, limits::WAL_INDEX, limits::RAFT_TERM, (1 << 56) - 1, 1 << 63, u64::MAX];
    let (mut batch, mut index) = (1, 0);
    for _ in 0..=rng.below(6) {
        for _ in 0..rng.below(4) {
            index += 1;
            let mut values = [batch, 1, index];
            let is_hostile = rng.chance(1, 16);
            if is_hostile {
                let edge = edges[rng.below(edges.len() as u64) as usize];
                values[rng.below(3) as usize] = edge;
            }
            let [batch, term, index] = values;
            match rng.below(12) {
                0 => segment.0.put(Kind::Truncate, batch, 0, index.max(1), &[]),
                _ => segment.0.put(Kind::Entry, batch, term, index.max(1), &payload(rng)),
            };
        }
        let commit = if rng.chance(1, 16) { u64::MAX } else { index };
        segment.0.put(Kind::Mark, batch, 0, commit, &[]);
        batch += 1;
    }
    segment.write(directory);
}

#[test]
fn whatever_values_whole_records_have_dump_log_and_recover_never_panic() {
    let seed = env_number("WAL_SEED", 1);
    println!("WAL_SEED={seed}");
    let (mut rng, nothing) = (Rng::new(seed), |_: &str| None);
    let mut refused = 0;
    for round in 0..200 {
        let dir = TempDir::new("hostile");
        crafted(&mut rng, dir.path());
        let shown = dir.path().to_str().unwrap();
        let export = format!("--export={shown}/export");
        let modes: [&[&str]; 9] = [
            &["--no-pager"],
            &["--json", "--from=1"],
            &["--user=bob", "--since=2020-01-01"],
            &["--verify"],
            &["--verify", "--json"],
            &["--stats"],
            &["--stats", "--json"],
            &["--digest=3"],
            &[&export],
        ];
        let ends = modes.map(|mode| {
            let arguments = [&["dump-log"], mode, &[shown]].concat();
            let arguments = arguments.into_iter().map(Into::into).collect();
            chatctl::cli::run(arguments, &nothing, None, &mut Vec::new()).is_ok()
        });
        let [_, _, _, verify, _, stats, stats_json, _, export] = ends;
        assert!([stats, stats_json, export].iter().all(|end| *end == verify), "{round}: {ends:?}");
        refused += u32::from(!verify);
        if round % 20 == 0 {
            let recover = chatctl(&["recover", "--force", "--yes", shown]).run();
            let (_, _, error) = said(&recover);
            assert!(!error.contains("internal error"), "{round}: {error}");
            let server = Launch::on(dir.path()).flags(&["--segment-mib", "1"]).try_start();
            let error =
                server.map_or_else(|ended| ended.stderr, |mut server| server.terminate().stderr);
            assert!(!error.contains("internal error"), "{round}: {error}");
        }
    }
    assert!((20..180).contains(&refused), "{refused} refused");
}
