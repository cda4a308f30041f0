//! `chatctl recover`: what is asked, what is refused, and what comes of it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{chatctl, said};
use crate::support::TempDir;
use crate::support::bounded::{Run, output_of};
use crate::support::cluster::{Cluster, damage_text, name_of};
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
    output_of(child)
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
    let directory = cluster.path(&name_of(primary));

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
    let kept = directory.with_file_name(format!("{}.before-recover-1", name_of(primary)));
    assert_eq!(fs::read(kept.join("server_state.txt")).unwrap(), before, "the old one is kept");

    let server = Launch::on(&directory).start();
    assert_ne!(cluster_id(&mut server.connect()), old_id, "cursors are void");
    let mut reader = Talker::new(server.addresses(), "alice");
    assert_eq!(reader.history("alice"), sent, "every message is in its place");
    reader.send("alice", 99, "and on it goes");
    assert_eq!(reader.history("alice").len(), 21);
}

#[test]
fn a_recovered_server_forgets_the_members_it_had_and_grows_again() {
    let mut cluster = Cluster::with_spares("recover-grow", 1, 3, &[]);
    let a = cluster.spawn(0);
    cluster.put(0, a);
    (1..4).for_each(|place| cluster.let_in(&[0], place));
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "told by four");
    let all = [0, 1, 2, 3];
    // One goes, so that the log has members of every kind: let in, promoted, removed.
    let gone = (1..4).find(|&place| place != cluster.primary()).unwrap();
    cluster.members_ok(&all, &["remove", &name_of(gone)]);
    alice.send("alice", 2, "told by three");
    // What goes on has all that was acknowledged.
    let left = 0;
    let mut dump = chatctl(&["dump-log"]);
    dump.arg(cluster.path(&name_of(left)));
    cluster.wait("it does not get there", || said(&dump.run()).1.contains("told by three"));
    all.into_iter().filter(|&place| place != gone).for_each(|place| cluster.kill9(place));
    drop(cluster.take(gone));
    let (code, _, error) = said(&recover(&["--force", "--yes"], &cluster.path(&name_of(left)), ""));
    assert_eq!(code, Some(0), "{error}");

    cluster.restart(left);
    let list = cluster.members_ok(&[left], &["list"]);
    assert_eq!(list.lines().filter(|line| line.contains(" voter ")).count(), 1, "{list}");
    Talker::new(&cluster.addresses()[left..=left], "alice").send("alice", 3, "alone");
    // With what it has, none of the old cluster gets in.
    let kept = (1..4).find(|&place| place != gone).unwrap();
    let mut old = cluster.spawn(kept);
    let added = format!("{}={}", name_of(kept), cluster.peers()[kept]);
    old.process().wait_for_trace("another cluster");
    let (code, _, error) = said(&cluster.members(&[left], &["add", &added]));
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("of another cluster"), "{error}");
    old.process().kill9();
    for place in 1..4 {
        fs::remove_dir_all(cluster.path(&name_of(place))).unwrap();
        cluster.let_in(&[left], place);
    }
    cluster.kill9(left);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 4, "told by three of four");
    let texts: Vec<String> = alice.history("alice").into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["told by four", "told by three", "alone", "told by three of four"]);
    cluster.restart(left);
    cluster.stop_and_compare_logs();
}

#[test]
fn what_is_before_damage_is_taken_and_the_damage_is_told() {
    let mut cluster = Cluster::start("recover-damaged", 3, &[]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    for number in 0..20 {
        alice.send("alice", number, &format!("note {number} of the recovery"));
    }
    let primary = cluster.primary();
    let directory = cluster.path(&name_of(primary));
    (0..3).for_each(|place| cluster.kill9(place));
    damage_text(&directory, "note 12 of the recovery");
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
