//! The log as text files: what is in them, and what they never do to the file system.

use super::super::run;
use super::{Segment, TIME, TOKEN_SECRET, VERIFIER};
use crate::support::TempDir;
use crate::support::server::Launch;
use chatctl::chat::{Command as Change, Target};
use chatctl::wal::format::Kind;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A log in which Alice, Bob and Carol write to each other; Carol leaves.
fn write_log(data: &Path) {
    let (time, verifier, known) = (TIME, VERIFIER, 0);
    let send = |from, to, id, body| Change::Send { time, from, to, id, known, body };
    let changes = [
        Change::Found { time, cluster: [7; 16], token_secret: TOKEN_SECRET, members: Vec::new() },
        Change::Create { time, name: "alice", verifier },
        Change::Create { time, name: "bob", verifier },
        Change::Create { time, name: "carol", verifier },
        send("alice", "bob", 1, "hello\tBob\n\u{1b}[2J"),
        send("bob", "alice", 2, "hi"),
        send("carol", "bob", 3, "adieu"),
        send("alice", "alice", 4, "a note"),
        send("alice", "bob", 5, "a slip"),
        Change::Take { time, name: "bob", seqs: vec![5] },
        Change::DeleteMsgs { time, name: "alice", targets: vec![Target { seq: 9, id: 5 }] },
        Change::Delete { time, name: "carol" },
    ];
    let mut segment = Segment::new(1);
    for (index, change) in (1..).zip(&changes) {
        segment.put_command(index, index, change);
    }
    segment.put(Kind::Mark, 13, 12, &[]);
    // Not committed: in the log, and not exported.
    segment.put_command(14, 13, &send("bob", "alice", 6, "not yet"));
    segment.write(data);
}

struct Export {
    dir: TempDir,
    into: PathBuf,
}

impl Export {
    fn new(name: &str) -> Export {
        let dir = TempDir::new(name);
        write_log(dir.path());
        let into = dir.path().join("export");
        Export { dir, into }
    }

    fn run(&self, flags: &[&str]) -> (Option<i32>, String, String) {
        let (into, data) = (self.into.to_str().unwrap(), self.dir.path().to_str().unwrap());
        run(&[&["dump-log", "--export", into], flags, &[data]].concat())
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.into.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

#[test]
fn the_files_hold_accounts_conversations_and_operations_and_no_secrets() {
    let export = Export::new("dump-export");
    let (code, out, error) = export.run(&[]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let into = export.into.display();
    let said = format!("exported to {into}: 2 accounts, 5 messages, entries up to 12\n");
    assert_eq!(out, said);
    let mut names: Vec<String> = fs::read_dir(&export.into)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let wanted =
        ["log.txt", "messages_alice.txt", "messages_bob.txt", "server_state.txt", "users.txt"];
    assert_eq!(names, wanted);

    assert_eq!(export.text("users.txt"), "alice\t-\nbob\t-\n");
    let time = "2023-11-14T22:13:20.123Z";
    let id = |number: u8| format!("00000000-0000-0000-0000-00000000000{number}");
    let hello = "hello\\tBob\\n\\u{1b}[2J";
    assert_eq!(
        export.text("messages_alice.txt"),
        format!(
            "5\t{time}\tsent\talice\tbob\t{}\t{hello}\n6\t{time}\tpending\tbob\talice\t{}\thi\n\
             8\t{time}\tpending\talice\talice\t{}\ta note\n",
            id(1),
            id(2),
            id(4)
        )
    );
    assert_eq!(
        export.text("messages_bob.txt"),
        format!(
            "5\t{time}\ttaken\talice\tbob\t{}\t{hello}\n6\t{time}\tsent\tbob\talice\t{}\thi\n\
             7\t{time}\tpending\tcarol\tbob\t{}\tadieu\n",
            id(1),
            id(2),
            id(3)
        )
    );
    let log = export.text("log.txt");
    assert_eq!(log.lines().count(), 12);
    let first = format!(
        "1\t1\t{time}\tfound\tcluster 07070707-0707-0707-0707-070707070707, token secret hidden\n"
    );
    assert!(log.starts_with(&first), "{log}");
    assert!(log.ends_with(&format!("12\t1\t{time}\tdelete\tcarol\n")), "{log}");
    let server = export.text("server_state.txt");
    assert!(server.starts_with("id lone\nrole BACKUP\nterm 1\n"), "{server}");
    let (into, wal) = (export.dir.path().join("of-segments"), export.dir.path().join("wal"));
    let arguments = ["dump-log", "--export", into.to_str().unwrap(), wal.to_str().unwrap()];
    assert_eq!(run(&arguments).0, Some(0), "a directory of segments says nothing of a server");
    let of_segments = fs::read_to_string(into.join("server_state.txt")).unwrap();
    assert!(of_segments.starts_with("id -\nrole -\nterm -\n"), "{of_segments}");
    assert!(server.contains("\nlast 13\ncommit 12\n"), "{server}");
    for name in wanted {
        let text = export.text(name);
        assert!(!text.contains("SCRAM") && !text.contains("sesame"), "{name}: {text}");
    }
}

#[test]
fn verifiers_are_written_when_asked_for_into_files_that_only_the_owner_reads() {
    let export = Export::new("dump-export-secrets");
    let (code, _, error) = export.run(&["--with-secrets"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let users = format!("alice\t{VERIFIER}\nbob\t{VERIFIER}\n");
    assert_eq!(export.text("users.txt"), users);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&export.into), 0o700);
    for entry in fs::read_dir(&export.into).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn nothing_is_written_over_unless_that_is_forced() {
    let export = Export::new("dump-export-force");
    fs::create_dir(&export.into).unwrap();
    fs::write(export.into.join("messages_bob.txt"), "mine").unwrap();
    let (code, out, error) = export.run(&[]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(error.contains("messages_bob.txt exists: give another DIR, or --force"));
    assert_eq!(fs::read_dir(&export.into).unwrap().count(), 1, "nothing is begun");
    assert_eq!(export.text("messages_bob.txt"), "mine");
    fs::set_permissions(export.into.join("messages_bob.txt"), PermissionsExt::from_mode(0o644))
        .unwrap();
    let (code, _, error) = export.run(&["--force"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(export.text("messages_bob.txt").contains("adieu"));
    let mode = fs::metadata(export.into.join("messages_bob.txt")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600, "it is a new file");
}

#[test]
fn links_are_not_followed_whether_to_a_file_or_a_directory() {
    let export = Export::new("dump-export-links");
    let victim = export.dir.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    fs::create_dir(&export.into).unwrap();
    for name in ["users.txt", "log.txt", "messages_alice.txt"] {
        symlink(&victim, export.into.join(name)).unwrap();
    }
    assert_eq!(export.run(&[]).0, Some(1));
    let (code, _, error) = export.run(&["--force"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(fs::symlink_metadata(export.into.join("log.txt")).unwrap().is_file());

    let elsewhere = export.dir.path().join("elsewhere");
    fs::rename(&export.into, &elsewhere).unwrap();
    symlink(&elsewhere, &export.into).unwrap();
    let data = export.dir.path().to_str().unwrap();
    for into in [export.into.clone(), export.into.join("")] {
        let into = into.to_str().unwrap();
        let (code, _, error) = run(&["dump-log", "--export", into, "--force", data]);
        assert_eq!(code, Some(1), "{into}");
        assert!(error.contains("is not a directory (links are not followed)"), "{error}");
    }
}

#[test]
fn a_data_directory_is_never_exported_into() {
    let export = Export::new("dump-export-data");
    for name in ["wal", "lock"] {
        fs::create_dir(&export.into).unwrap();
        fs::write(export.into.join("server_state.txt"), "who this server is").unwrap();
        fs::create_dir(export.into.join(name)).unwrap();
        let (code, _, error) = export.run(&["--force"]);
        assert_eq!(code, Some(1), "{name}");
        assert!(error.contains("is a server's data directory: give another DIR"), "{error}");
        assert_eq!(export.text("server_state.txt"), "who this server is");
        fs::remove_dir_all(&export.into).unwrap();
    }
}

#[test]
fn nothing_is_begun_where_a_directory_is_in_the_way() {
    let export = Export::new("dump-export-in-the-way");
    fs::create_dir_all(export.into.join("log.txt")).unwrap();
    let (code, _, error) = export.run(&["--force"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("log.txt is a directory: give another DIR"), "{error}");
    assert_eq!(fs::read_dir(&export.into).unwrap().count(), 1);
}

#[test]
fn a_server_state_that_is_there_is_exported() {
    let export = Export::new("dump-export-state");
    let home = TempDir::new("dump-export-server");
    let data = home.path().join("data");
    drop(Launch::on(&data).start());
    let into = export.into.to_str().unwrap();
    let (code, _, error) = run(&["dump-log", "--export", into, data.to_str().unwrap()]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let text = export.text("server_state.txt");
    assert!(text.starts_with("id lone\nrole PRIMARY\nterm "), "{text}");
}
