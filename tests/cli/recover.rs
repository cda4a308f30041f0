//! `chatctl recover`: what is asked, what is refused, and what comes of it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{chatctl, said};
use crate::support::TempDir;
use crate::support::cluster::Cluster;
use crate::support::raw_client::ask;
use crate::support::server::{Launch, password_of};
use crate::support::talker::Talker;

fn recover(flags: &[&str], directory: &Path, answer: &str) -> Output {
    let mut command = chatctl(&["recover"]);
    command.args(flags).arg(directory);
    run(command, answer)
}

fn run(mut command: Command, answer: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended before it asks.
    let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
    child.wait_with_output().unwrap()
}

/// The cluster's id, as a login tells it.
fn cluster_id(server: &mut crate::support::raw_client::RawClient) -> String {
    let reply = server.request(&ask("login").src("alice").body(&password_of("alice")));
    assert!(!reply.error, "{reply:?}");
    reply.msg_ids.iter().collect::<Vec<_>>().concat()
}

#[test]
fn what_one_server_has_goes_on_alone_under_a_new_cluster_id_and_the_old_is_kept() {
    let mut cluster = Cluster::start("recover", 3, &[]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    let sent: Vec<(u64, String)> = (0..20)
        .map(|number| {
            let text = format!("note {number}");
            (alice.send("alice", number, &text), text)
        })
        .collect();
    let primary = cluster.primary();
    let old_id = cluster_id(&mut cluster.server(primary).connect());
    let directory = cluster.path(&crate::support::cluster::name_of(primary));

    let (code, _, error) = said(&recover(&["--force", "--yes"], &directory, ""));
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("is in use by another process"), "{error}");
    (0..3).for_each(|place| cluster.kill9(place));
    let before = fs::read(directory.join("server_state.txt")).unwrap();
    let (code, _, error) = said(&recover(&[], &directory, "yes\n"));
    assert_eq!(code, Some(2));
    assert!(error.contains("Say --force if they are gone for good"), "{error}");
    let (code, out, error) = said(&recover(&["--force"], &directory, "no\n"));
    assert_eq!(code, Some(1));
    assert!(out.contains("Lost is what the other servers acknowledged"), "{out}");
    assert!(error.contains("nothing was changed"), "{error}");
    assert_eq!(fs::read(directory.join("server_state.txt")).unwrap(), before);

    let (code, out, error) = said(&recover(&["--force"], &directory, "yes\n"));
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("without --cluster"), "{out}");
    let kept = directory
        .with_file_name(format!("{}.before-recover-1", crate::support::cluster::name_of(primary)));
    assert_eq!(fs::read(kept.join("server_state.txt")).unwrap(), before, "the old one is kept");

    let server = Launch::on(&directory).start();
    assert_ne!(cluster_id(&mut server.connect()), old_id, "cursors are void");
    let mut reader = Talker::new(server.addresses(), "alice");
    assert_eq!(reader.history("alice"), sent, "every message is in its place");
    reader.send("alice", 99, "and on it goes");
    assert_eq!(reader.history("alice").len(), 21);
}

#[test]
fn what_is_before_damage_is_taken_and_the_damage_is_told() {
    let mut cluster = Cluster::start("recover-damaged", 3, &[]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    for number in 0..20 {
        alice.send("alice", number, &format!("note {number} of the recovery"));
    }
    let primary = cluster.primary();
    let directory = cluster.path(&crate::support::cluster::name_of(primary));
    (0..3).for_each(|place| cluster.kill9(place));
    let mut files: Vec<_> =
        fs::read_dir(directory.join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let text = b"note 12 of the recovery";
    let found = files.iter().find_map(|file| {
        let bytes = fs::read(file).unwrap();
        let at = bytes.windows(text.len()).position(|part| part == text)?;
        Some((file, bytes, at))
    });
    let (file, mut bytes, at) = found.expect("it is there");
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
    // The directory is named by where one stands.
    let mut command = chatctl(&["recover", "--force", "--yes", "."]);
    command.current_dir(&directory);
    let (code, out, error) = said(&run(command, ""));
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("Behind them it is damaged, and what is there is lost"), "{out}");
    let server = Launch::on(&directory).start();
    assert_eq!(Talker::new(server.addresses(), "alice").history("alice").len(), 12);
}

#[test]
fn what_is_no_data_directory_is_refused_and_not_made_one() {
    let place = TempDir::new("recover-none");
    let (code, _, error) = said(&recover(&["--force", "--yes"], place.path(), ""));
    assert_eq!(code, Some(1));
    assert!(error.contains("is no data directory of a server"), "{error}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
