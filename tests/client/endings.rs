//! What a client leaves behind, however it ends: messages that it has not sent, and the place up to
//! which it has shown what came.

use super::process::{Client, Server, field};
use crate::support::bounded::Run;
use crate::support::sys::kill;
use chatctl::sys::signal;

/// Events that arrived with the signal were received and never shown: the next run shows them.
#[test]
fn what_arrives_with_the_signal_that_ends_a_client_is_shown_by_the_next() {
    let server = Server::start("client-ended");
    server.create("alice");
    server.create("bob");
    for (round, ending) in [signal::TERM, signal::INT, signal::HUP].into_iter().enumerate() {
        let mut reader = Client::start(&server, "bob");
        reader.next("login").expect("bob is in");
        assert!(server.piped("alice", &format!("/msg bob first {round}\n")).status.success());
        let line = reader.next("message").expect("a message");
        assert_eq!(field(&line, "text").as_deref(), Some(&*format!("first {round}")));
        // Both lie there when the client looks again.
        let id = reader.child.id();
        kill(id, libc::SIGSTOP).expect("it runs");
        assert!(server.piped("alice", &format!("/msg bob second {round}\n")).status.success());
        kill(id, ending).expect("it runs");
        kill(id, libc::SIGCONT).expect("it runs");
        let (_, rest) = reader.end();
        let shown = rest.iter().any(|line| line.contains(&format!("second {round}")));
        let next = server.client("bob").arg("--json").run();
        let next = String::from_utf8(next.stdout).expect("UTF-8");
        let again = next.contains(&format!("second {round}"));
        assert!(shown || again, "signal {ending}: neither {rest:?} nor {next:?} has it");
        assert!(!next.contains(&format!("first {round}")), "shown once: {next}");
    }
}

/// One message that makes the outbox's file long enough to be replaced.
#[test]
fn the_largest_message_that_cannot_be_sent_is_in_the_file_that_is_named() {
    let mut server = Server::start("client-largest");
    server.create("alice");
    server.create("bob");
    server.kill();
    let text = "x".repeat(65_535);
    let mut command = server.client_of(&server.address(), "alice", "alice", 1);
    let output = command.args(["--send", "bob", &text]).run();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let (_, rest) = said.split_once("stays in ").expect("it says where the message stays");
    let path = rest.split_once(" and ").expect("a path").0;
    let kept = std::fs::read_to_string(path).expect("the file is there");
    assert!(kept.contains(&text), "{path} has {} bytes", kept.len());
    server.start_again();
    assert!(server.client("alice").run().status.success());
    assert_eq!(server.history("bob", "alice"), [text], "sent once by the next run");
}
