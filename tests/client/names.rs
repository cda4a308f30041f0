//! The client, and servers that it is given by name.

use std::time::Instant;

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
