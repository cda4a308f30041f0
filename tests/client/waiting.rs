//! Messages that wait in the outbox and are not sent by themselves: every run tells of them.

use std::io::Write;
use std::path::PathBuf;
use std::process::Output;

use super::process::{Client, Server};
use crate::support::bounded::{Run, exit_of};
use crate::support::sys::{Pty, spawn_on_pty};
use chatctl::client::session::Draft;
use chatctl::client::store::journal::Record;

/// A time of 2001, milliseconds since the Unix epoch: what a clock that was wrong may have shown.
const LONG_AGO_MS: u64 = 1_000_000_000_000;
const SINCE: &str = "2001-09-09T01:46:40Z";

/// A server with `alice`, whose outbox holds two old messages to `bob`.
fn with_old_messages(name: &str) -> Server {
    let server = Server::start(name);
    server.create("alice");
    server.create("bob");
    put_old_messages(&server);
    server
}

fn put_old_messages(server: &Server) {
    let mut lines = Vec::new();
    for (id, body) in [(1, "one"), (2, "two")] {
        let (to, body) = ("bob".to_string(), body.to_string());
        let written_ms = LONG_AGO_MS + 60_000 * (id as u64 - 1);
        let draft = Draft { id, to, body, known: 0, cluster: 0, written_ms };
        Record::Put(&draft).write(&mut lines);
    }
    let outbox = outbox_of(server, "alice");
    let mut file = std::fs::OpenOptions::new().append(true).open(outbox).expect("it is there");
    file.write_all(&lines).expect("it takes them");
}

/// The outbox of an account's first client.
fn outbox_of(server: &Server, user: &str) -> PathBuf {
    let mut entries = std::fs::read_dir(server.dir.path().join(user)).expect("a state folder");
    let folder = entries.find_map(|entry| Some(entry.ok()?.path()).filter(|path| path.is_dir()));
    folder.expect("the account has one").join("outbox.0")
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn assert_says(said: &str) {
    for part in ["2 messages", "more than a day", SINCE, "--old send", "--old drop"] {
        assert!(said.contains(part), "{part} in {said:?}");
    }
    assert_eq!(said.lines().count(), 1, "{said:?}");
}

#[test]
fn every_run_without_a_terminal_tells_what_waits_since_when_and_what_to_do() {
    let mut server = with_old_messages("old-told");
    for arguments in [&["--send", "bob", "new"][..], &["--list"], &["--inbox"], &[]] {
        let (code, out, said) = told(&server.client("alice").args(arguments).run());
        assert_eq!(code, Some(3), "{arguments:?}: {out} {said}");
        assert_says(&said);
    }
    let mut lines = server.client("alice");
    let output = lines.args(["--send", "bob"]).try_run_with(b"newer\n").expect("it runs");
    let (code, _, said) = told(&output);
    assert_eq!(code, Some(3), "{said}");
    assert_says(&said);
    assert_eq!(server.history("bob", "alice"), ["new", "newer"]);
    // Also where nobody is there to send to, and something else has failed.
    server.kill();
    let output = server.client_of(&server.address(), "alice", "alice", 1).arg("--list").run();
    let (code, _, said) = told(&output);
    assert_eq!(code, Some(1));
    assert!(said.contains("2 messages") && said.contains("--old send"), "{said}");
}

#[test]
fn a_script_that_reads_json_is_told_too() {
    let server = with_old_messages("old-json");
    for arguments in [&["--send", "bob", "new"][..], &["--list"], &[]] {
        let output = server.client("alice").arg("--json").args(arguments).run();
        let (code, out, _) = told(&output);
        assert_eq!(code, Some(3), "{out}");
        let object = format!("{{\"event\": \"old\", \"count\": 2, \"since\": {LONG_AGO_MS}}}");
        assert_eq!(out.lines().filter(|line| *line == object).count(), 1, "{arguments:?}: {out}");
    }
}

#[test]
fn a_script_can_send_or_discard_what_waits() {
    for arguments in [&["--list"][..], &[], &["--send", "bob", "new"]] {
        let server = with_old_messages("old-send");
        let mut command = server.client("alice");
        let (code, out, said) = told(&command.args(["--old", "send"]).args(arguments).run());
        assert_eq!(code, Some(0), "{arguments:?}: {out} {said}");
        assert!(said.contains("2 messages") && said.contains("sending now"), "{said}");
        let all = server.history("bob", "alice");
        assert_eq!(all[..2], ["one", "two"], "{arguments:?}: the older first");
    }
    let server = with_old_messages("old-drop");
    let (code, _, said) = told(&server.client("alice").args(["--old", "drop", "--list"]).run());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 messages") && said.contains("discarded"), "{said}");
    let (code, _, said) = told(&server.client("alice").run());
    assert_eq!((code, said.as_str()), (Some(0), ""), "gone for good");
    assert_eq!(server.history("bob", "alice"), [""; 0]);
    // Commands in the input do the same.
    put_old_messages(&server);
    let output = server.piped("alice", "/waiting send\n");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.history("bob", "alice"), ["one", "two"]);
}

#[test]
fn somebody_at_a_terminal_reads_what_waits_and_the_commands_for_it() {
    let server = with_old_messages("old-screen");
    for flags in [&["--plain"][..], &[]] {
        let mut pty = Pty::open();
        let mut command = server.client("alice");
        command.args(flags).env("TERM", "xterm");
        let mut child = spawn_on_pty(&mut command, &pty).expect("it runs");
        pty.read_until("2 messages");
        pty.read_until("2001-09-09");
        pty.read_until("/waiting");
        pty.type_text("/quit\r");
        assert!(exit_of(&mut child).success());
    }
}

#[test]
fn the_first_promise_to_send_names_its_limit() {
    let mut server = Server::start("old-promise");
    server.create("alice");
    server.kill();
    let limit = "(after a day, only with --old send)";
    let mut client = server.client_of(&server.address(), "alice", "alice", 1);
    let (code, _, said) = told(&client.args(["--send", "bob", "hi"]).run());
    assert!(code == Some(1) && said.contains(limit), "{said}");
    let mut client = server.client_of(&server.address(), "alice", "alice", 1);
    let output = client.try_run_with(b"/msg bob again\n").expect("it runs");
    let (code, _, said) = told(&output);
    assert!(code == Some(1) && said.contains(limit), "{said}");
}

/// Has scripts keep so many messages to `bob` while no server is there.
fn keep(server: &mut Server, count: usize) -> Vec<String> {
    server.kill();
    let texts: Vec<String> = (1..=count).map(|number| format!("kept {number}")).collect();
    for text in &texts {
        let mut script = server.client_of(&server.address(), "alice", "alice", 1);
        let (code, _, said) = told(&script.args(["--send", "bob", text]).run());
        assert!(code == Some(1) && said.contains("the message stays in"), "{said}");
    }
    server.start_again();
    texts
}

#[test]
fn whatever_runs_next_sends_all_that_scripts_could_not() {
    for arguments in [&["--history", "bob"][..], &["--list"], &["--inbox"]] {
        let mut server = Server::start("kept-next");
        server.create("alice");
        server.create("bob");
        let texts = keep(&mut server, 4);
        let (code, _, said) = told(&server.client("alice").args(arguments).run());
        assert_eq!((code, said.as_str()), (Some(0), ""), "{arguments:?}");
        assert_eq!(server.history("bob", "alice"), texts, "{arguments:?}");
    }
}

#[test]
fn a_chat_that_is_open_sends_what_scripts_beside_it_could_not() {
    let mut server = Server::start("kept-beside");
    server.create("alice");
    server.create("bob");
    let mut chat = Client::start(&server, "alice");
    assert!(chat.next("login").is_some(), "it is logged in");
    let texts = keep(&mut server, 2);
    for _ in &texts {
        assert!(chat.next("sent").is_some(), "each is sent once the server is back");
    }
    assert_eq!(server.history("bob", "alice"), texts);
    assert_eq!(chat.end().0, Some(0));
}
