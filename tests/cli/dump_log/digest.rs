//! The digest of a log is that of the state that a server makes of it, on every server.

use super::super::run;
use super::{Segment, TIME, VERIFIER, send, two_segments};
use crate::support::TempDir;
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::server::{PATIENCE, ask};
use chatctl::chat::{Command as Change, State};
use chatctl::wal::format::Kind;

/// The digest that the log at `path` has at an entry, or what is said instead.
pub fn digest(path: &str, index: u64) -> Result<String, String> {
    let (code, out, error) = run(&["dump-log", "--digest", &index.to_string(), path]);
    match code {
        Some(0) => {
            let digest = out.strip_prefix(&format!("entry {index}: ")).expect("the entry is named");
            Ok(digest.trim_end().to_owned())
        }
        code => {
            assert_eq!((code, out.as_str()), (Some(1), ""), "{error}");
            Err(error)
        }
    }
}

#[test]
fn at_every_entry_it_is_the_digest_of_the_state_so_far() {
    let dir = TempDir::new("dump-digest");
    let (time, verifier) = (TIME, VERIFIER);
    let changes = [
        Change::Create { time, name: "alice", verifier },
        Change::Create { time, name: "bob", verifier },
        send("one"),
        Change::Read { time, name: "bob", from: "alice", upto: 3 },
        Change::Delete { time, name: "alice" },
    ];
    let (mut segment, mut state) = (Segment::new(1), State::new());
    for (index, change) in (1..).zip(&changes) {
        segment.put_command(index, index, change);
    }
    segment.write(dir.path());
    let path = dir.path().to_str().unwrap();
    for (index, change) in (1..).zip(&changes[..4]) {
        let mut payload = Vec::new();
        change.encode(&mut payload);
        state.apply(index, &payload).unwrap();
        assert_eq!(digest(path, index), Ok(format!("{:016x}", state.digest())), "{index}");
    }
    let (_, object, _) = run(&["dump-log", "--digest=4", "--json", path]);
    assert_eq!(object, format!("{{\"index\": 4, \"digest\": \"{:016x}\"}}\n", state.digest()));
    // The last mark says that four are committed.
    let error = digest(path, 5).unwrap_err();
    assert!(error.contains("entry 5 is in the log, but not known here to be committed"), "{error}");
    assert!(error.contains("entries up to 4 are"), "{error}");
    let error = digest(path, 6).unwrap_err();
    assert!(error.contains("entry 6 is past the log's end, entry 5"), "{error}");
}

#[test]
fn an_entry_that_was_cut_has_no_part_in_it() {
    let cut = TempDir::new("dump-digest-cut");
    let mut segment = Segment::new(1);
    let create = |name| Change::Create { time: TIME, name, verifier: VERIFIER };
    segment.put_command(1, 1, &create("alice"));
    segment.put_command(2, 2, &create("mallory"));
    segment.put(Kind::Truncate, 3, 2, &[]);
    segment.put_command(3, 2, &create("bob"));
    segment.put(Kind::Mark, 4, 2, &[]);
    segment.write(cut.path());
    let plain = TempDir::new("dump-digest-plain");
    let mut segment = Segment::new(1);
    segment.put_command(1, 1, &create("alice"));
    segment.put_command(2, 2, &create("bob"));
    segment.put(Kind::Mark, 3, 2, &[]);
    segment.write(plain.path());
    let of = |dir: &TempDir| digest(dir.path().to_str().unwrap(), 2).unwrap();
    assert_eq!(of(&cut), of(&plain));
}

#[test]
fn a_part_of_a_log_or_a_damaged_one_has_none() {
    let dir = TempDir::new("dump-digest-part");
    let (first, second, last) = two_segments();
    let file = first.write(dir.path());
    let later = second.write(dir.path());
    let path = dir.path().to_str().unwrap();
    let error = digest(later.to_str().unwrap(), 5).unwrap_err();
    assert!(error.contains("begins with entry 5: this needs a complete log"), "{error}");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[last + 40] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = digest(path, 5).unwrap_err();
    assert!(error.contains(&format!("is damaged: 00000001.wal, offset {last}: ")), "{error}");
}

#[test]
fn three_servers_have_the_same_digest_and_the_same_exported_log() {
    let mut cluster = Cluster::start("dump-digest-cluster", 3, &[]);
    let place = cluster.primary();
    let mut alice = cluster.server(place).create("alice");
    for number in 1..=20 {
        alice.done(&ask("send").to("alice").body("a note").id(number));
    }
    let commit: u64 = cluster.status_of(place, "commit").parse().expect("a number");
    assert!(commit > 20);
    let path_of = |name: &str| cluster.path(name).to_str().unwrap().to_owned();
    // A backup hears of the commit a little later, and its log says so later still.
    let all = ["a", "b", "c"].map(|name| {
        eventually("the log says that all is committed", PATIENCE, || {
            digest(&path_of(name), commit).ok()
        })
    });
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    assert_ne!(digest(&path_of("a"), commit - 1).unwrap(), all[0]);

    let logs = ["a", "b", "c"].map(|name| {
        let export = path_of(&format!("export-{name}"));
        let (code, _, error) = run(&["dump-log", "--export", &export, &path_of(name)]);
        assert_eq!((code, error.as_str()), (Some(0), ""));
        let log = std::fs::read_to_string(format!("{export}/log.txt")).unwrap();
        log.lines().take(commit as usize).map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(logs[0].len(), commit as usize);
    assert!(logs.iter().all(|log| *log == logs[0]), "operations are the same everywhere");
}
