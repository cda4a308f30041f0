//! The client, and servers that it is given by name.

use std::net::TcpListener;
use std::time::Instant;

use chatctl::client::session::SILENCE_MS;

use crate::support::bounded::Run;
use crate::support::cluster::free_port;
use crate::support::names::with_names;
use crate::support::server::Launch;
use crate::support::sys::silent_listener;
use crate::support::{TempDir, server::PATIENCE};

use super::process::Server;

#[test]
fn a_name_with_an_address_that_never_answers_is_reached_at_the_other() {
    let home = TempDir::new("client-names");
    with_names(|dns| {
        let port = free_port();
        let _served =
            Launch::on(&home.path().join("data")).listen(&[&format!("127.0.0.3:{port}")]).start();
        let _silent = silent_listener(&format!("127.0.0.1:{port}"));
        dns.is("chat.test", &["127.0.0.1", "127.0.0.3"]);
        // Only its command and its folder are wanted.
        let other = Server::start("client-names-state");
        let started = Instant::now();
        let mut client = other.client_of(&format!("chat.test:{port}"), "alice", "alice", 20);
        let output = client.args(["--create", "--list"]).run();
        assert!(output.status.success(), "{output:?}");
        assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
        // Where all refuse, it says so.
        dns.is("gone.test", &["127.0.0.4", "127.0.0.5"]);
        let mut client = other.client_of(&format!("gone.test:{port}"), "alice", "bob", 1);
        let output = client.args(["--create", "--list"]).run();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains("refused"), "{output:?}");
    });
}

#[test]
fn addresses_that_accept_connections_and_hang_are_given_up_for_the_one_that_answers() {
    let home = TempDir::new("client-names-hang");
    with_names(|dns| {
        let port = free_port();
        let at = |host: &str| format!("{host}:{port}");
        let _served = Launch::on(&home.path().join("data")).listen(&[&at("127.0.0.3")]).start();
        let hung = ["127.0.0.1", "127.0.0.2"];
        let _hung = hung.map(|host| TcpListener::bind(at(host)).expect("the address is free"));
        dns.is("hung.test", &[hung[0], hung[1], "127.0.0.3"]);
        let other = Server::start("client-names-hang-state");
        // Less than a silent server is waited for that has no other address.
        let timeout_s = (SILENCE_MS / 1000 - 1) as u32;
        let mut client = other.client_of(&at("hung.test"), "alice", "alice", timeout_s);
        let output = client.args(["--create", "--list"]).run();
        assert!(output.status.success(), "{output:?}");
        // Without one that answers, it says so.
        dns.is("dead.test", &hung);
        let mut client = other.client_of(&at("dead.test"), "alice", "bob", 2);
        let output = client.args(["--create", "--list"]).run();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains("does not answer"), "{output:?}");
    });
}
