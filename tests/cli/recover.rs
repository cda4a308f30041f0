//! `chatctl recover`: what is asked, what is refused, and what comes of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Output};

use chatctl::sys::process;

use super::{chatctl, said};
use crate::support::bounded::Run;
use crate::support::cluster::{Cluster, damage_text, name_of};
use crate::support::raw_client::ask;
use crate::support::server::{Launch, password_of};
use crate::support::small_disk::SmallDisk;
use crate::support::talker::Talker;
use crate::support::{PROGRAM, TempDir};

fn recover(flags: &[&str], directory: &Path, answer: &str) -> Output {
    let mut command = chatctl(&["recover"]);
    command.args(flags).arg(directory);
    run(command, answer)
}

fn run(mut command: Command, answer: &str) -> Output {
    command.try_run_with(answer.as_bytes()).unwrap()
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
    assert!(error.contains("if they are lost for good, give --force"), "{error}");
    let (code, out, error) = said(&recover(&["--force"], &directory, "no\n"));
    assert_eq!(code, Some(1));
    assert!(
        out.contains("Entries that the other servers acknowledged and this server lacks are lost"),
        "{out}"
    );
    assert!(error.contains("nothing was changed"), "{error}");
    assert_eq!(fs::read(directory.join("server_state.txt")).unwrap(), before);

    let (code, out, error) = said(&recover(&["--force"], &directory, "yes\n"));
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("without --cluster"), "{out}");
    let kept = directory.join("before-recover-1");
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
    old.wait_for_trace("another cluster");
    let (code, _, error) = said(&cluster.members(&[left], &["add", &added]));
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("belongs to another cluster"), "{error}");
    old.kill9();
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
    assert!(out.contains("The log is damaged after that, and the rest is lost"), "{out}");
    let server = Launch::on(&directory).start();
    assert_eq!(Talker::new(server.addresses(), "alice").history("alice").len(), 12);
}

#[test]
fn what_is_no_data_directory_is_refused_and_not_made_one() {
    let place = TempDir::new("recover-none");
    let (code, _, error) = said(&recover(&["--force", "--yes"], place.path(), ""));
    assert_eq!(code, Some(1));
    assert!(error.contains("is not the data directory of a server"), "{error}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

/// A server's data directory with a message, its server killed.
fn directory_at(path: &Path) {
    let mut server = Launch::on(path).flags(&["--segment-mib", "1"]).start();
    server.create("alice").tell("alice", "a note");
    server.kill9();
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Recovers, and checks that the server that starts has what was there.
fn recover_and_serve(directory: &Path) {
    let (code, _, error) = said(&recover(&["--force", "--yes"], directory, ""));
    assert_eq!(code, Some(0), "{error}");
    let server = Launch::on(directory).flags(&["--segment-mib", "1"]).start();
    assert_eq!(Talker::new(server.addresses(), "alice").history("alice").len(), 1);
}

#[test]
fn the_directory_keeps_its_owner_and_mode_and_new_files_are_its_owners() {
    if !process::is_root() {
        return println!("skipped: needs root to be another user's operator");
    }
    let home = TempDir::new("recover-owner");
    let directory = home.path().join("data");
    directory_at(&directory);
    let (user, group) = (65_534, 65_533);
    for path in [&directory, &directory.join("wal"), &directory.join("lock")] {
        chown(path, Some(user), Some(group)).unwrap();
    }
    fs::set_permissions(&directory, Permissions::from_mode(0o750)).unwrap();
    let before = fs::metadata(&directory).unwrap().ino();
    let (code, _, error) = said(&recover(&["--force", "--yes"], &directory, ""));
    assert_eq!(code, Some(0), "{error}");
    let metadata = fs::metadata(&directory).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.ino()), (0o750, before));
    let mut all = vec![directory.clone()];
    all.extend(names(&directory).iter().map(|name| directory.join(name)));
    all.extend(names(&directory.join("wal")).iter().map(|name| directory.join("wal").join(name)));
    assert!(all.len() > 5, "{all:?}");
    for path in all {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (user, group), "{path:?}");
        assert!(path == directory || metadata.mode() & 0o077 == 0, "{path:?}");
    }
}

#[test]
fn a_link_and_a_mount_point_stay_what_they_are() {
    let home = TempDir::new("recover-link");
    let (real, link) = (home.path().join("real"), home.path().join("link"));
    directory_at(&real);
    symlink(&real, &link).unwrap();
    recover_and_serve(&link);
    assert_eq!(fs::read_link(&link).unwrap(), real);
    assert!(real.join("before-recover-1/wal/00000001.wal").is_file());

    let mounted = home.path().join("mounted");
    let disk = SmallDisk::mount(&mounted, 256 << 20);
    let Ok(_disk) = disk else { return println!("skipped: needs root for a tmpfs") };
    let before = fs::metadata(&mounted).unwrap().dev();
    assert_ne!(before, fs::metadata(home.path()).unwrap().dev(), "it is another file system");
    directory_at(&mounted);
    recover_and_serve(&mounted);
    assert_eq!(fs::metadata(&mounted).unwrap().dev(), before);
}

#[test]
fn a_failure_leaves_nothing_behind_and_says_what_to_do() {
    let home = TempDir::new("recover-fails");
    let directory = home.path().join("data");
    directory_at(&directory);
    fs::remove_file(directory.join("lock")).unwrap();
    let (all, segments) = (names(&directory), names(&directory.join("wal")));
    let unchanged = |what: &str| {
        assert_eq!(
            (names(&directory), names(&directory.join("wal"))),
            (all.clone(), segments.clone()),
            "{what}"
        );
        assert_eq!(names(home.path()), ["data"], "{what}");
    };
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 32 && exec \"$@\"", "sh", PROGRAM]);
    command.args(["recover", "--force", "--yes"]).arg(&directory);
    let (code, _, error) = said(&run(command, ""));
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("make room") && error.contains("Nothing was changed"), "{error}");
    unchanged("no room");
    let (code, _, _) = said(&recover(&["--force"], &directory, "no\n"));
    assert_eq!(code, Some(1));
    unchanged("the answer was no");

    let mut server = Launch::on(&directory).flags(&["--segment-mib", "1"]).start();
    let (code, _, error) = said(&recover(&["--force", "--yes"], &directory, ""));
    assert_eq!(code, Some(1));
    assert!(error.contains("stop the server that runs on it"), "{error}");
    assert!(!error.contains("--data-dir"), "{error}");
    server.kill9();
    let state = directory.join("server_state.txt");
    fs::write(&state, "x").unwrap();
    let before = names(&directory);
    let (code, _, error) = said(&recover(&["--force", "--yes"], &directory, ""));
    assert!(code == Some(1) && error.contains("server_state.txt is damaged"), "{error}");
    assert_eq!(names(&directory), before);
}

#[test]
fn a_recover_that_was_interrupted_near_its_end_is_finished_and_no_server_starts_before() {
    let home = TempDir::new("recover-interrupted");
    let directory = home.path().join("data");
    directory_at(&directory);
    let (code, _, error) = said(&recover(&["--force", "--yes"], &directory, ""));
    assert_eq!(code, Some(0), "{error}");
    let (kept, fresh) = (directory.join("before-recover-1"), directory.join("recovering-1"));
    // Back to what a crash after either step leaves.
    fs::create_dir(&fresh).unwrap();
    fs::rename(directory.join("server_state.txt"), fresh.join("server_state.txt")).unwrap();
    fs::copy(kept.join("server_state.txt"), directory.join("server_state.txt")).unwrap();
    let refused = |why: &str| {
        let ended = Launch::on(&directory).try_start().err().expect("it does not start");
        assert!(ended.status.code() == Some(1) && ended.stderr.contains(why), "{ended:?}");
    };
    refused("this is another cluster's directory");
    fs::rename(directory.join("wal"), fresh.join("wal")).unwrap();
    refused("all segments are missing");
    assert!(directory.join("wal").is_dir(), "the start has made an empty one");
    let (code, out, error) = said(&recover(&["--force", "--yes"], &directory, ""));
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("and is now complete"), "{out}");
    assert!(!fresh.exists());
    let server = Launch::on(&directory).start();
    assert_eq!(Talker::new(server.addresses(), "alice").history("alice").len(), 1);
}

#[test]
fn a_recover_that_was_interrupted_earlier_is_undone_and_done_again() {
    let home = TempDir::new("recover-undone");
    let directory = home.path().join("data");
    directory_at(&directory);
    for (name, file) in [("recovering-1/wal", "00000001.wal"), ("before-recover-1", "half")] {
        fs::create_dir_all(directory.join(name)).unwrap();
        fs::write(directory.join(name).join(file), "half made").unwrap();
    }
    recover_and_serve(&directory);
    assert!(!directory.join("recovering-1").exists());
    assert!(!directory.join("before-recover-1/half").exists());
    assert!(directory.join("before-recover-1/wal/00000001.wal").is_file());
}
