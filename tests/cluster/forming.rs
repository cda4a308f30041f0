//! How servers become a cluster, and who is not let in.

use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

use chatctl::limits;
use chatctl::sys::signal;
use chatctl::wal::hard_state::{self, HardState};
use chatctl::wal::{self, DataDir, Disk, Identity};

use crate::support::bounded::connected;
use crate::support::cluster::{Cluster, list_of, make_secret, name_of};
use crate::support::server::{Ended, Launch, TestServer};
use crate::support::talker::Talker;
use crate::support::{Rng, env_number};

#[test]
fn servers_that_start_one_after_the_other_say_whom_they_wait_for_and_form_one_cluster() {
    let mut cluster = Cluster::new("stagger", 3, &[]);
    let c = cluster.spawn(2);
    let waits = "waiting for a (not connected), b (not connected)";
    c.wait_for_trace(waits);
    c.wait_for_trace("a cluster of 3 servers survives one failure");
    let mut a = cluster.spawn(0);
    a.wait_for_trace("waiting for b (not connected: connection refused)");
    assert_eq!(c.stderr().matches(waits).count(), 1, "said once");
    // One is killed while it waits, and comes back.
    a.kill9();
    c.wait_for_trace("peer a is down");
    let (a, b) = (cluster.spawn(0), cluster.spawn(1));
    for (place, starting) in [a, b, c].into_iter().enumerate() {
        cluster.put(place, starting);
    }
    Talker::new(cluster.addresses(), "alice").send("alice", 1, "formed");
    cluster.stop_and_compare_logs();
    // From now on nobody waits for all.
    let (a, b) = (cluster.spawn(0), cluster.spawn(1));
    cluster.put(0, a);
    cluster.put(1, b);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    assert_eq!(alice.history("alice").len(), 1);
}

#[test]
fn servers_may_be_listed_by_their_hosts_names() {
    let mut cluster = Cluster::new("names", 3, &[]).at_hosts(|_| "localhost".to_owned());
    cluster.start_all();
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "formed");
    let primary = cluster.primary();
    cluster.kill9(primary);
    alice.send("alice", 2, "goes on");
    cluster.restart(primary);
    cluster.stop_and_compare_logs();
}

#[test]
fn strangers_at_the_peers_port_cost_next_to_nothing() {
    let mut cluster = Cluster::start("strangers", 3, &[]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "before");
    let before: Vec<u64> = (0..3).map(|place| cluster.server(place).resident_bytes()).collect();
    let garbage = vec![0xFF; 64 << 10];
    let mut strangers = Vec::new();
    for number in 0..600 {
        let mut stranger = connected(&cluster.peers()[number % 3]);
        // Some say nothing, some what is no hello, some begin one.
        let said: &[u8] = match number / 3 % 3 {
            0 => &[],
            1 => &garbage,
            _ => b"\0\0\0\x4achatctlP",
        };
        let _ = stranger.write_all(said);
        strangers.push(stranger);
    }
    for number in 2..50 {
        alice.send("alice", number, "meanwhile");
    }
    let primary = cluster.primary();
    cluster.take(primary).kill9();
    alice.send("alice", 50, "fails over");
    for place in (0..3).filter(|&place| place != primary) {
        let server = cluster.server(place);
        let grown = server.resident_bytes().saturating_sub(before[place]);
        assert!(grown < 16 << 20, "{grown} bytes");
        let told = server.stderr().matches("wrong protocol").count();
        assert_eq!(told, 1, "{}", server.stderr());
    }
    cluster.restart(primary);
    cluster.stop_and_compare_logs();
}

#[test]
fn one_that_is_told_to_stop_while_it_waits_stops_and_goes_on_later() {
    let mut cluster = Cluster::new("form-stop", 3, &[]);
    let mut a = cluster.spawn(0);
    a.wait_for_trace("forming the cluster: waiting for");
    a.signal(signal::TERM);
    assert!(a.ended().status.success());
    cluster.start_all();
    Talker::new(cluster.addresses(), "alice").send("alice", 1, "formed");
}

#[test]
fn a_client_that_comes_to_a_server_that_still_waits_is_turned_away_at_once() {
    let mut cluster = Cluster::new("form-turned-away", 2, &[]);
    let a = cluster.spawn(0);
    a.wait_for_trace("forming the cluster: waiting for");
    for _ in 0..3 {
        let mut client = connected(&cluster.addresses()[0]);
        assert_eq!(client.read(&mut [0; 64]).unwrap(), 0, "closed");
    }
    // One that waits to be let in does the same.
    let b = cluster.spawn(1);
    cluster.put(0, a);
    cluster.put(1, b);
    Talker::new(cluster.addresses(), "alice").send("alice", 1, "formed");
    let name = name_of(1);
    cluster.kill9(1);
    fs::remove_dir_all(cluster.path(&name)).unwrap();
    let b = cluster.spawn(1);
    b.wait_for_trace("chatctl members replace");
    let mut client = connected(&cluster.addresses()[1]);
    assert_eq!(client.read(&mut [0; 64]).unwrap(), 0, "closed");
}

#[test]
fn clusters_of_one_and_two_say_what_they_survive_and_work() {
    for (count, says) in [(1, "survives no failure"), (2, "no more than a cluster of 1")] {
        let mut cluster = Cluster::start("small", count, &[]);
        cluster.server(0).wait_for_trace(says);
        Talker::new(cluster.addresses(), "alice").send("alice", 1, "small");
        cluster.stop_and_compare_logs();
    }
}

/// A cluster of three that has a message, with c stopped.
fn without_c(name: &str) -> Cluster {
    let mut cluster = Cluster::start(name, 3, &[]);
    Talker::new(cluster.addresses(), "alice").send("alice", 1, "kept");
    cluster.take(2).terminate();
    cluster
}

/// c is refused by the others, with a line on both sides, and they go on.
fn refused(cluster: &mut Cluster, mut c: TestServer, why: &str) {
    c.wait_for_trace(why);
    cluster.server(0).wait_for_trace(why);
    Talker::new(&cluster.addresses()[..2], "alice").send("alice", 2, "goes on");
    c.kill9();
}

#[test]
fn a_server_with_another_secret_is_refused() {
    let mut cluster = without_c("secret");
    let other = cluster.path("other");
    make_secret(&other);
    let flags = ["--cluster-secret-file", other.to_str().unwrap()];
    let c = cluster.launch(2).set_flag(flags).spawn();
    refused(&mut cluster, c, "wrong secret");
}

#[test]
fn a_server_whose_directory_was_emptied_is_refused() {
    let mut cluster = without_c("wiped");
    fs::remove_dir_all(cluster.path("c")).unwrap();
    let c = cluster.spawn(2);
    refused(&mut cluster, c, "wrong incarnation");
    // So are two of three: they are no majority, and found no cluster of their own.
    cluster.kill9(1);
    fs::remove_dir_all(cluster.path("b")).unwrap();
    fs::remove_dir_all(cluster.path("c")).unwrap();
    let (mut b, mut c) = (cluster.spawn(1), cluster.spawn(2));
    b.wait_for_trace("wrong incarnation");
    c.wait_for_trace("forming the cluster: waiting for a (not connected");
    for starting in [&mut b, &mut c] {
        assert!(!starting.stderr().contains("the cluster is formed"));
        starting.kill9();
    }
}

#[test]
fn a_directory_of_another_cluster_is_refused() {
    let mut cluster = without_c("cluster");
    for place in 0..2 {
        cluster.take(place).terminate();
    }
    for name in ["a", "b", "c"] {
        fs::rename(cluster.path(name), cluster.path(&format!("old-{name}"))).unwrap();
    }
    cluster.start_all();
    Talker::new(cluster.addresses(), "alice").send("alice", 1, "the new one");
    cluster.take(2).terminate();
    fs::remove_dir_all(cluster.path("c")).unwrap();
    fs::rename(cluster.path("old-c"), cluster.path("c")).unwrap();
    let c = cluster.spawn(2);
    refused(&mut cluster, c, "wrong cluster");
}

fn fails(launch: Launch) -> String {
    match launch.try_start() {
        Err(Ended { status, stderr }) if status.code() == Some(1) => stderr,
        Err(ended) => panic!("{ended:?}"),
        Ok(_) => panic!("it was to be refused"),
    }
}

#[test]
fn flags_that_do_not_fit_the_directory_or_each_other_are_refused_with_what_to_do() {
    let mut cluster = without_c("flags");
    let error = fails(cluster.launch(2).set_flag(["--id", "b"]));
    assert!(error.contains("belongs to server c, not to b"), "{error}");
    let secret = cluster.secret();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let error = fails(cluster.launch(2));
    assert!(error.contains("chmod 600"), "{error}");
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let lone = cluster.path("lone");
    Launch::on(&lone).start().terminate();
    let list = list_of(cluster.peers()).replace("c=", "lone=");
    let flags = [["--cluster", &list], ["--id", "lone"]];
    let launch = cluster.launch(2).data_dir(&lone);
    let error = fails(flags.into_iter().fold(launch, Launch::set_flag));
    assert!(error.contains("belongs to a single server"), "{error}");
    // The rest has gone on all the time.
    cluster.restart(2);
    Talker::new(cluster.addresses(), "alice").send("alice", 2, "all are there");
    cluster.stop_and_compare_logs();
}

/// Killed at any moment of it, `FORMING_KILLS` times.
#[test]
fn whichever_is_killed_while_a_cluster_is_formed_it_is_formed_when_it_is_back() {
    let (kills, seed) = (env_number("FORMING_KILLS", 5), env_number("CLUSTER_SEED", 1));
    println!("FORMING_KILLS={kills} CLUSTER_SEED={seed}");
    let mut rng = Rng::new(seed);
    for _ in 0..kills {
        let mut cluster = Cluster::new("form-kill", 3, &[]);
        let mut starting: Vec<TestServer> = (0..3).map(|place| cluster.spawn(place)).collect();
        let victim = rng.below(3) as usize;
        std::thread::sleep(Duration::from_micros(rng.below(80_000)));
        starting[victim].kill9();
        starting[victim] = cluster.spawn(victim);
        for (place, starting) in starting.into_iter().enumerate() {
            cluster.put(place, starting);
        }
        cluster.wait_until_all_know_the_primary();
        Talker::new(cluster.addresses(), "alice").send("alice", 1, "formed");
        cluster.stop_and_compare_logs();
    }
}

/// The entry has come to the disk, and not what closes its batch and says that it is committed.
#[test]
fn a_crash_in_the_middle_of_the_first_write_is_gone_on_from() {
    let mut cluster = Cluster::start("form-torn", 1, &[]);
    let mut server = cluster.take(0);
    assert!(server.terminate().status.success());
    let directory = DataDir::open(&cluster.path("a")).unwrap();
    let saved = hard_state::load(&mut directory.disk()).unwrap().unwrap();
    let state = HardState { term: 0, voted_for: String::new(), ..saved.clone() };
    let expect = Some(Identity { cluster: saved.cluster });
    let options = wal::Options { expect, segment_bytes: limits::WAL_SEGMENT_BYTES };
    let (mut disk, mut entries) = (directory.wal_disk(), Vec::new());
    let mut visit = |_: u64, _: u64, payload: &[u8]| {
        entries.push(payload.to_vec());
        Ok(())
    };
    let (_, report) = wal::recover(&mut disk, &options, &mut visit).unwrap();
    entries.extend(report.tail.into_iter().map(|entry| entry.payload));
    fs::remove_dir_all(directory.wal()).unwrap();
    fs::create_dir(directory.wal()).unwrap();
    let (mut log, _) = wal::recover(&mut disk, &options, &mut |_, _, _| Ok(())).unwrap();
    log.append_entry(1, 1, &entries[0]);
    let batch = log.take_batch(1).unwrap();
    wal::perform(&mut disk, &batch).unwrap();
    log.batch_durable(batch.number);
    let place = log.location(1).unwrap();
    let end = u64::from((place.offset + place.length).next_multiple_of(8));
    let name = wal::segment_name(place.segment);
    disk.write_at(&name, end, &[0; 4_096]).unwrap();
    for _ in 0..2 {
        hard_state::save(&mut directory.disk(), &state).unwrap();
    }
    drop((directory, disk));
    cluster.restart(0);
    cluster.wait_until_all_know_the_primary();
    Talker::new(cluster.addresses(), "alice").send("alice", 1, "formed");
    cluster.stop_and_compare_logs();
}
