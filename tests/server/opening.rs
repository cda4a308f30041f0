//! Where a server listens: every address of a name, IPv6 and IPv4; and what is not there yet.

use std::io::Read;

use chatctl::protocol::framing::{Codec, Form};
use chatctl::sys::signal;

use crate::support::TempDir;
use crate::support::bounded::connected;
use crate::support::cluster::{free_port, make_secret};
use crate::support::names::{Rule, with_names};
use crate::support::run_tool;
use crate::support::server::{Launch, RawClient, TestServer, ask};

/// A server that was given these addresses.
fn at(home: &TempDir, addresses: &[&str]) -> Launch {
    Launch::on(&home.path().join("data")).listen(addresses)
}

fn is_served(address: &str) {
    RawClient::connect(address, Form::Lines, Codec::Json).done(&ask("ping"));
}

fn has_ipv6() -> bool {
    let there = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !there {
        println!("skipped in part: there is no IPv6 here");
    }
    there
}

#[test]
fn every_address_that_a_name_has_is_listened_at() {
    let home = TempDir::new("localhost");
    with_names(|_| {
        let port = free_port();
        let server = at(&home, &[&format!("localhost:{port}")]).start();
        let mut expected = vec![format!("127.0.0.1:{port}")];
        if has_ipv6() {
            expected.push(format!("[::1]:{port}"));
        }
        let mut addresses = server.addresses().to_vec();
        addresses.sort();
        expected.sort();
        assert_eq!(addresses, expected, "the line at the start names them");
        expected.iter().for_each(|address| is_served(address));
    });
}

#[test]
fn a_port_alone_takes_clients_by_ipv4_and_ipv6() {
    let home = TempDir::new("everywhere");
    let server = at(&home, &[":0"]).start();
    let port = server.address().rsplit_once(':').expect("a port").1.to_owned();
    is_served(&format!("127.0.0.1:{port}"));
    if has_ipv6() {
        assert_eq!(server.address(), format!("[::]:{port}"));
        is_served(&format!("[::1]:{port}"));
    }
}

#[test]
fn an_address_that_is_given_twice_is_warned_of_and_served_once() {
    let home = TempDir::new("twice");
    let port = free_port();
    let (local, all) = (format!("127.0.0.1:{port}"), format!(":{port}"));
    let server = at(&home, &[&local, &local]).start();
    server.wait_for_trace(&format!("the address {local} is given twice"));
    assert_eq!(server.addresses().len(), 1);
    is_served(&local);
    drop(server);
    let server = at(&home, &[&local, &all]).start();
    server.wait_for_trace(&format!("the address {local} is given twice"));
    assert_eq!(server.addresses().len(), 1);
    is_served(&local);
}

/// It waits, says why, and ends at once when it is told to.
fn waits_and_stops(launch: Launch, why: &str) {
    let mut starting = launch.spawn();
    starting.wait_for_trace(why);
    starting.signal(signal::TERM);
    let ended = starting.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("signal 15: stopping"), "{}", ended.stderr);
}

#[test]
fn a_server_that_waits_for_its_address_says_so_and_stops_when_told() {
    let home = TempDir::new("not-here");
    // Of a network for documentation: no machine has it.
    let why = "cannot listen at 192.0.2.1:7262 yet: the address is not on this machine";
    waits_and_stops(at(&home, &["192.0.2.1:7262"]), why);
    with_names(|dns| {
        dns.set("slow.test", Rule::Silent);
        let why =
            "cannot listen at slow.test:7262 yet: no answer to the look-up of the name for 2 s";
        waits_and_stops(at(&home, &["slow.test:7262"]), why);
    });
}

#[test]
fn a_server_serves_once_its_address_and_its_name_are_there() {
    let home = TempDir::new("late");
    with_names(|dns| {
        let (port, other) = (free_port(), free_port());
        let addresses = [format!("10.55.0.1:{port}"), format!("late.test:{other}")];
        let starting = at(&home, &addresses.each_ref().map(String::as_str)).spawn();
        starting.wait_for_trace("yet: the address is not on this machine");
        starting.wait_for_trace("yet: cannot look up the name");
        run_tool("ip", &["addr", "add", "10.55.0.1/32", "dev", "lo"], "")
            .expect("an address can be added");
        starting.wait_for_trace(&format!("now listening at 10.55.0.1:{port}"));
        // The rest is waited for; who comes meanwhile is sent away at once.
        let mut early = connected(&addresses[0]);
        assert_eq!(early.read(&mut [0; 64]).expect("it is closed"), 0);
        dns.is("late.test", &["127.0.0.1"]);
        let server: TestServer = starting.ready().expect("it serves");
        assert_eq!(server.addresses(), [addresses[0].clone(), format!("127.0.0.1:{other}")]);
        server.addresses().iter().for_each(|address| is_served(address));
        let said = server.stderr();
        assert_eq!(said.matches("yet: ").count(), 2, "each is said once: {said}");
    });
}

#[test]
fn a_server_waits_for_its_address_among_the_peers_too() {
    let home = TempDir::new("late-peer");
    with_names(|dns| {
        let secret = home.path().join("secret");
        make_secret(&secret);
        let (client, peer) = (format!("127.0.0.1:{}", free_port()), free_port());
        let list = format!("a=a.test:{peer}");
        let flags = ["--id", "a", "--cluster", &list];
        let secret = ["--cluster-secret-file", secret.to_str().unwrap()];
        let starting = at(&home, &[&client]).flags(&flags).flags(&secret).spawn();
        starting.wait_for_trace(&format!("cannot listen at a.test:{peer} yet"));
        let mut early = connected(&client);
        assert_eq!(early.read(&mut [0; 64]).expect("it is closed"), 0);
        dns.is("a.test", &["127.0.0.1"]);
        let server = starting.ready().expect("it serves");
        server.wait_for_trace(&format!("peers at a.test:{peer}, which is 127.0.0.1:{peer}"));
        is_served(&client);
    });
}

#[test]
fn peer_addresses_that_cannot_be_right_are_warned_of() {
    let home = TempDir::new("doubtful");
    with_names(|dns| {
        let secret = home.path().join("secret");
        make_secret(&secret);
        // The machine's own name as Debian's installer writes it into /etc/hosts.
        dns.is("a.test", &["127.0.1.1"]);
        dns.is("b.test", &["10.55.0.2"]);
        let port = free_port();
        let list = format!("a=a.test:{port},b=b.test:{port},c=10.55.0.2:{port}");
        let flags = ["--id", "a", "--cluster", &list];
        let secret = ["--cluster-secret-file", secret.to_str().unwrap()];
        let launch = at(&home, &["127.0.0.1:0"]).flags(&flags).flags(&secret);
        let mut server = launch.spawn();
        server.wait_for_trace(&format!("a.test:{port} of a is 127.0.1.1:{port} on this machine"));
        server.wait_for_trace("b and c have the same address");
        let said = server.terminate().stderr;
        assert_eq!(said.matches("a loopback address, while").count(), 1, "{said}");
    });
    with_names(|dns| {
        let secret = home.path().join("secret");
        dns.is("a.test", &["0.0.0.0"]);
        let list = format!("a=a.test:{}", free_port());
        let flags = ["--id", "a", "--cluster", &list];
        let secret = ["--cluster-secret-file", secret.to_str().unwrap()];
        let data = home.path().join("nowhere");
        let launch = Launch::on(&data).listen(&["127.0.0.1:0"]).flags(&flags).flags(&secret);
        launch.spawn().wait_for_trace("of a is a wildcard");
    });
}

#[test]
fn what_only_the_operator_can_change_ends_it_at_once() {
    let home = TempDir::new("wrong-address");
    for (address, why) in [
        ("10.0.0.300:7262", "not an IPv4 address"),
        ("::1:7262", "needs brackets"),
        ("7262", "not an IPv4 address"),
    ] {
        let ended = at(&home, &[address]).try_start().err().expect("it is refused");
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(why), "{address}: {}", ended.stderr);
    }
}
