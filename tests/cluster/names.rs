//! Servers that are listed by name, where names are slow, silent, or have dead addresses.

use std::net::{IpAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::support::bounded::Run;
use crate::support::chatctl;
use crate::support::cluster::{Cluster, name_of};
use crate::support::names::{Dns, Rule, with_names};
use crate::support::server::TestServer;
use crate::support::talker::Talker;

/// Within this a cluster has a PRIMARY again. Far above what it takes, far below a slow look-up.
const SOON: Duration = Duration::from_secs(20);

fn host(place: usize) -> String {
    format!("{}.test", name_of(place))
}

/// Three servers that are listed by name, and not started yet.
fn by_name(dns: &Dns, name: &str, after: Duration) -> Cluster {
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    (0..3).for_each(|place| dns.set(&host(place), Rule::Is(vec![loopback], after)));
    Cluster::new(name, 3, &[]).at_hosts(host)
}

#[test]
fn the_name_of_a_server_that_died_is_not_answered_and_the_other_two_elect_within_seconds() {
    with_names(|dns| {
        let mut cluster = by_name(&dns, "slow-name", Duration::ZERO);
        cluster.start_all();
        let mut alice = Talker::new(cluster.addresses(), "alice");
        alice.send("alice", 1, "before");
        // b is gone, and with it what the name service knows of it. The process of a falls and comes
        // back: it dials b first, then c.
        cluster.kill9(1);
        cluster.kill9(0);
        dns.set(&host(1), Rule::Silent);
        let started = Instant::now();
        cluster.restart(0);
        alice.send("alice", 2, "without b");
        let elapsed = started.elapsed();
        println!("with the name of the dead one silent: {elapsed:?} to the first acknowledgment");
        assert!(elapsed < SOON, "{elapsed:?}:\n{}", cluster.traces());
        cluster.server(0).wait_for_trace("cannot look up its name: no answer for 2 s");
        cluster.server(2).wait_for_trace("cannot look up the address b.test:");
    });
}

#[test]
fn with_look_ups_of_two_seconds_no_link_falls() {
    with_names(|dns| {
        let mut cluster = by_name(&dns, "two-seconds", Duration::ZERO);
        cluster.start_all();
        let mut alice = Talker::new(cluster.addresses(), "alice");
        alice.send("alice", 1, "before");
        let addresses = vec!["127.0.0.1".parse().unwrap()];
        let slow = Rule::Is(addresses, Duration::from_secs(2));
        (0..3).for_each(|place| dns.set(&host(place), slow.clone()));
        // c is away, so that its name is looked up again and again; b comes back meanwhile.
        cluster.kill9(2);
        cluster.kill9(1);
        cluster.restart(1);
        alice.send("alice", 2, "with b again");
        let downs = |cluster: &mut Cluster, place: usize, other: &str| {
            cluster.server(place).stderr().matches(&format!("peer {other} is down")).count()
        };
        let before = (downs(&mut cluster, 0, "b"), downs(&mut cluster, 1, "a"));
        let by = Instant::now() + Duration::from_secs(8);
        for number in 3.. {
            alice.send("alice", number, "meanwhile");
            if Instant::now() > by {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let after = (downs(&mut cluster, 0, "b"), downs(&mut cluster, 1, "a"));
        assert_eq!(after, before, "{}", cluster.traces());
        cluster.restart(2);
        cluster.stop_and_compare_logs();
    });
}

#[test]
fn a_name_with_an_address_that_never_answers_is_reached_at_the_other_by_servers_and_operators() {
    with_names(|dns| {
        let mut cluster = by_name(&dns, "dead-address", Duration::ZERO);
        dns.is(&host(1), &["127.0.0.3"]);
        // What b asks now is not answered for longer than all this takes, so that b cannot call the
        // others: they have to reach it.
        [0, 2].iter().for_each(|&place| dns.set(&host(place), Rule::Silent));
        let started = Instant::now();
        let b = cluster.spawn(1);
        b.wait_for_trace("forming the cluster: waiting for");
        // Only now does its name get an address that takes connections and says nothing.
        let port = cluster.peers()[1].rsplit_once(':').expect("a port").1.to_owned();
        let _silent = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
        dns.is(&host(1), &["127.0.0.1", "127.0.0.3"]);
        [0, 2].iter().for_each(|&place| dns.is(&host(place), &["127.0.0.1"]));
        let (a, c) = (cluster.spawn(0), cluster.spawn(2));
        let all: Vec<TestServer> = vec![a, b, c];
        for (place, starting) in all.into_iter().enumerate() {
            cluster.put(place, starting);
        }
        Talker::new(cluster.addresses(), "alice").send("alice", 1, "formed");
        let elapsed = started.elapsed();
        assert!(elapsed < SOON, "b was not reached, {elapsed:?}:\n{}", cluster.traces());
        for arguments in [&["status"][..], &["members", "list"]] {
            let mut command = chatctl(arguments);
            command.args(["--servers", &format!("{}:{port}", host(1))]);
            let output = command.arg("--cluster-secret-file").arg(cluster.secret()).run();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{arguments:?}: {output:?}");
            assert!(!text.contains("unreachable"), "{text}");
        }
    });
}

#[test]
fn a_server_whose_name_is_looked_up_late_joins_the_others_then() {
    with_names(|dns| {
        let mut cluster = by_name(&dns, "late-name", Duration::ZERO);
        dns.set(&host(2), Rule::Unknown);
        let (a, c) = (cluster.spawn(0), cluster.spawn(2));
        let b = cluster.spawn(1);
        c.wait_for_trace("yet: cannot look up the name");
        a.wait_for_trace("not connected to c at c.test:");
        a.wait_for_trace("cannot look up its name");
        dns.is(&host(2), &["127.0.0.1"]);
        for (place, starting) in [a, b, c].into_iter().enumerate() {
            cluster.put(place, starting);
        }
        Talker::new(cluster.addresses(), "alice").send("alice", 1, "formed");
    });
}
