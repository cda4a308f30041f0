//! Copies of data directories that are put back or started beside their servers.

use std::fs;
use std::path::Path;
use std::process::Command;

use chatctl::wal::DataDir;
use chatctl::wal::hard_state::{self, HardState};

use crate::support::bounded::Run;
use crate::support::cluster::{Cluster, name_of};
use crate::support::raw_client::ask;
use crate::support::server::{Ended, Launch, TestServer};
use crate::support::talker::Talker;
use crate::support::{chatctl, text};

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).run().status;
    assert!(status.success());
}

/// The directory is gone, and the copy in its place.
fn put_back(cluster: &Cluster, name: &str) {
    fs::remove_dir_all(cluster.path(name)).unwrap();
    copy(&cluster.path("copy"), &cluster.path(name));
}

/// The state of a server that does not run.
fn state(data_dir: &Path) -> HardState {
    let directory = DataDir::open(data_dir).unwrap();
    hard_state::load(&mut directory.disk()).unwrap().unwrap()
}

/// Waits until a server that runs has saved that it met the newest start of this directory.
fn wait_until_met(cluster: &Cluster, place: usize, of: &Path) {
    let text = |path: &Path| fs::read_to_string(path.join(hard_state::FILE)).unwrap_or_default();
    let word = |line: &str, name: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(name));
        word.unwrap_or_default().to_owned()
    };
    // The newest start is in both lines, or in the newer one.
    let newest = text(of)
        .lines()
        .map(|line| word(line, "boots="))
        .max_by_key(|boots| boots.split(':').next().and_then(|number| number.parse::<u64>().ok()));
    let newest = newest.unwrap();
    let met = newest.split(',').next().unwrap();
    let row = format!("{}:{met}", word(text(of).lines().next().unwrap(), "incarnation="));
    cluster.wait("the start is not met", || text(&cluster.path(&name_of(place))).contains(&row));
}

/// It ends by itself, with exit code 1, and says this.
fn ends(mut server: TestServer, text: &str) {
    let Ended { status, stderr } = server.ended();
    assert_eq!(status.code(), Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.contains(text), "{stderr}");
}

/// It does not start, and says this.
fn does_not_start(launch: Launch, text: &str) {
    match launch.try_start() {
        Err(Ended { status, stderr }) => {
            assert_eq!(status.code(), Some(1), "{stderr}");
            assert!(stderr.contains(text), "{stderr}");
        }
        Ok(_) => panic!("it starts, and is to say {text:?}"),
    }
}

#[test]
fn an_old_directory_put_back_is_refused_by_who_met_the_later_start_and_nothing_is_lost() {
    let mut cluster = Cluster::start("old-copy", 3, &[]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "before the copy");
    let primary = cluster.primary();
    let (b, third) = ((primary + 1) % 3, (primary + 2) % 3);
    let name = name_of(b);
    cluster.kill9(b);
    copy(&cluster.path(&name), &cluster.path("copy"));
    cluster.restart(b);
    wait_until_met(&cluster, third, &cluster.path(&name));
    cluster.kill9(third);
    for number in 2..=21 {
        alice.send("alice", number, "acknowledged by two of three");
    }
    cluster.kill9(b);
    cluster.kill9(primary);
    put_back(&cluster, &name);
    // With the third it would be a majority that knows nothing of the last twenty.
    let third_starting = cluster.spawn(third);
    let mut old = cluster.spawn(b);
    cluster.put(third, third_starting);
    cluster.server(third).wait_for_trace("old copy: its data directory was copied or rolled back");
    let Ended { status, stderr } = old.ended();
    assert_eq!(status.code(), Some(1), "{stderr}");
    let third_name = name_of(third);
    let line = format!("is an old copy: {third_name} has seen a later start of {name}");
    assert!(stderr.lines().last().unwrap_or_default().contains(&line), "{stderr}");
    assert!(stderr.contains(&format!("chatctl members replace {name}")), "{stderr}");
    // It is not hidden by starting it again, also where nobody is there to tell.
    cluster.kill9(third);
    does_not_start(cluster.launch(b), &line);
    does_not_start(cluster.launch(b), &line);
    cluster.restart(third);
    cluster.restart(primary);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    assert_eq!(alice.history("alice").len(), 21, "nothing is lost");
    alice.send("alice", 22, "two of three go on");
    // What it says brings it back.
    fs::rename(cluster.path(&name), cluster.path("marked")).unwrap();
    let starting = cluster.spawn(b);
    starting.wait_for_trace("chatctl members replace");
    cluster.members_ok(&[primary, third], &["replace", &name]);
    cluster.put(b, starting);
    cluster.wait_until_it_votes(&[primary, third], &name);
    assert_eq!(alice.history("alice").len(), 22);
    cluster.stop_and_compare_logs();
    assert_eq!(state(&cluster.path(&name)).boots.newest().unwrap().number, 1, "a new history");
    // When all others are gone for good, what it has can still be had.
    let recover = chatctl(&["recover", "--force", "--yes"]).arg(cluster.path("marked")).run();
    let said = text(&recover.stdout);
    assert!(recover.status.success(), "{recover:?}");
    assert!(said.contains("is marked as an old copy"), "{said}");
    let fresh = state(&cluster.path("marked"));
    assert_eq!(
        (fresh.boots.newest(), fresh.met, fresh.old_copy),
        (None, Vec::new(), String::new())
    );
    let lone = Launch::on(&cluster.path("marked")).start();
    let mut reader = lone.login("alice");
    assert_eq!(reader.pages(&ask("history").limit(10)).0.len(), 1);
}

/// Under a PRIMARY that lives, too.
#[test]
fn an_old_directory_put_back_beside_servers_that_go_on_is_refused_by_them() {
    let mut cluster = Cluster::start("old-copy-live", 3, &[]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "before");
    let b = (cluster.primary() + 1) % 3;
    let name = name_of(b);
    cluster.kill9(b);
    copy(&cluster.path(&name), &cluster.path("copy"));
    cluster.restart(b);
    for place in (0..3).filter(|&place| place != b) {
        wait_until_met(&cluster, place, &cluster.path(&name));
    }
    for number in 2..=10 {
        alice.send("alice", number, "after");
    }
    cluster.kill9(b);
    put_back(&cluster, &name);
    let mut old = cluster.spawn(b);
    let Ended { stderr, .. } = old.ended();
    assert!(stderr.contains("is an old copy"), "{stderr}");
    alice.send("alice", 11, "two of three go on");
    assert_eq!(alice.history("alice").len(), 11);
}

#[test]
fn a_directory_copied_while_its_cluster_was_being_formed_is_refused_afterwards() {
    let mut cluster = Cluster::new("old-copy-forming", 3, &[]);
    let mut c = cluster.spawn(2);
    c.wait_for_trace("waiting for a (not connected)");
    c.kill9();
    copy(&cluster.path("c"), &cluster.path("copy"));
    cluster.start_all();
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "formed");
    cluster.kill9(2);
    put_back(&cluster, "c");
    let mut c = cluster.spawn(2);
    let Ended { status, stderr } = c.ended();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("is an old copy: "), "{stderr}");
    does_not_start(cluster.launch(2), "is an old copy: ");
    alice.send("alice", 2, "two of three go on");
}

#[test]
fn a_copy_from_the_time_when_a_server_was_alone_is_refused_once_others_were_let_in() {
    let mut cluster = Cluster::with_spares("old-copy-lone", 1, 2, &[]);
    let a = cluster.spawn(0);
    cluster.put(0, a);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "alone");
    cluster.kill9(0);
    copy(&cluster.path("a"), &cluster.path("copy"));
    cluster.restart(0);
    cluster.let_in(&[0], 1);
    cluster.let_in(&[0, 1], 2);
    alice.send("alice", 2, "in company");
    cluster.kill9(0);
    put_back(&cluster, "a");
    // Its log names nobody else: it serves until one of them calls.
    let Ok(old) = cluster.launch(0).try_start() else { panic!("it takes itself for the only one") };
    ends(old, "is an old copy: ");
    does_not_start(cluster.launch(0), "is an old copy: ");
    let mut alice = Talker::new(&cluster.addresses()[1..], "alice");
    assert_eq!(alice.history("alice").len(), 2);
}

#[test]
fn servers_that_were_away_for_several_starts_of_the_others_let_them_in() {
    let mut cluster = Cluster::start("many-starts", 3, &[]);
    cluster.wait_until_all_know_the_primary();
    cluster.kill9(2);
    for _ in 0..3 {
        cluster.kill9(1);
        cluster.restart(1);
    }
    cluster.kill9(0);
    cluster.restart(0);
    cluster.kill9(1);
    cluster.restart(2);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "a and c");
    cluster.restart(1);
    cluster.kill9(0);
    alice.send("alice", 2, "b and c");
    cluster.restart(0);
    cluster.stop_and_compare_logs();
    let starts = |name| state(&cluster.path(name)).boots.newest().unwrap().number;
    assert_eq!((starts("a"), starts("b"), starts("c")), (3, 5, 2));
}
