//! Following a log as it grows: across segments, cuts and restarts, until Ctrl-C.

use super::super::chatctl;
use super::{Segment, send, two_segments};
use crate::support::bounded::{Bounded, Pipes, Run, output_of};
use crate::support::server::{Launch, ask};
use crate::support::{TempDir, sys};
use chatctl::sys::signal;
use chatctl::wal::format::Kind;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

/// A `dump-log --follow` that runs; its lines as they come.
struct Following {
    child: Child,
    lines: Lines<BufReader<Bounded<ChildStdout>>>,
}

impl Following {
    fn start(data: &Path, flags: &[&str]) -> Following {
        let mut command = chatctl(&["dump-log", "--follow"]);
        command.args(flags).arg(data).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let lines = child.lines("a line of the log").lines();
        Following { child, lines }
    }

    /// The next line's kind and content.
    fn next(&mut self) -> String {
        let line = self.lines.next().expect("it goes on until it is stopped").expect("UTF-8");
        let words: Vec<&str> = line.split_whitespace().skip(6).collect();
        words.join(" ")
    }

    /// Ctrl-C; what it has printed that was not asked for.
    fn interrupt(self) -> Vec<String> {
        sys::kill(self.child.id(), signal::INT).unwrap();
        let lines = self.lines.map(|line| line.expect("UTF-8")).collect();
        let output = output_of(self.child);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), error.as_ref()), (Some(0), ""));
        lines
    }
}

impl Segment {
    /// Writes what was put since `from` into the file that is there, as a server does.
    fn write_from(&self, from: usize, directory: &Path) {
        let path = directory.join("wal").join(self.name());
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&self.bytes[from..], from as u64).unwrap();
    }
}

#[test]
fn batches_are_shown_as_they_come_through_cuts_segments_and_a_restart() {
    let dir = TempDir::new("dump-follow");
    let (first, mut second, _) = two_segments();
    first.write(dir.path());
    second.write(dir.path());
    let mut following = Following::start(dir.path(), &["--from=5"]);
    assert!(following.next().ends_with("\"again\""));

    let mut from = second.bytes.len();
    second.put_command(7, 6, &send("six"));
    second.put_command(8, 7, &send("seven"));
    second.write_from(from, dir.path());
    assert!(following.next().ends_with("\"six\""));
    assert!(following.next().ends_with("\"seven\""));

    from = second.bytes.len();
    second.put(Kind::Truncate, 9, 7, &[]);
    second.put_command(9, 7, &send("seven anew"));
    second.write_from(from, dir.path());
    assert_eq!(following.next(), "truncate entries from 7 on are cut");
    assert!(following.next().ends_with("\"seven anew\""));

    // The next segment is a spare for a while, then takes what the second has no room for.
    let mut third = Segment::new(3);
    third.write(dir.path());
    from = third.bytes.len();
    third.put_command(10, 8, &send("eight"));
    third.write_from(from, dir.path());
    assert!(following.next().ends_with("\"eight\""));

    // A batch without its mark, which a restarted server closes in a fresh segment, behind a copy of
    // the last one.
    from = third.bytes.len();
    let torn = third.put(Kind::Entry, 11, 9, &payload("nine"));
    third.write_from(from, dir.path());
    let mut fourth = Segment::new(4);
    fourth.header.follows = 3;
    fourth.header.follows_at = torn as u32;
    fourth.put_command(11, 9, &send("nine"));
    fourth.write(dir.path());
    assert!(following.next().ends_with("\"nine\""));
    let mut fifth = Segment::new(5);
    fifth.put_command(11, 9, &send("nine"));
    fifth.put_command(12, 10, &send("ten"));
    fifth.write(dir.path());
    assert!(following.next().ends_with("\"ten\""));
    assert_eq!(following.interrupt(), [""; 0], "nothing twice");
}

/// The payload of a message.
fn payload(body: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    send(body).encode(&mut payload);
    payload
}

#[test]
fn a_real_server_is_followed_through_segments_and_a_kill() {
    let home = TempDir::new("dump-follow-server");
    let data = home.path().join("data");
    let launch = Launch::on(&data);
    let mut server = launch.clone().start();
    let mut following = Following::start(&data, &["--kind=send"]);
    let body = "0123456789".repeat(6_000);
    let mut sent = 0;
    for round in 0..2 {
        let mut alice = match round {
            0 => server.create("alice"),
            _ => server.login("alice"),
        };
        for _ in 0..40 {
            sent += 1;
            alice.done(&ask("send").to("alice").body(&body).id(sent));
        }
        server.kill9();
        server = launch.clone().start();
    }
    let ids: Vec<String> = (0..sent).map(|_| following.next()).collect();
    for (number, content) in (1..).zip(&ids) {
        let id = crate::support::server::id(number);
        assert!(content.starts_with(&format!("send alice to alice, id {id}: ")), "{number}");
    }
    assert!(std::fs::read_dir(data.join("wal")).unwrap().count() > 4, "it has rotated");
    server.kill9();
    assert_eq!(following.interrupt(), [""; 0]);
}

#[test]
fn it_ends_when_nobody_reads_any_more_and_needs_a_directory() {
    let dir = TempDir::new("dump-follow-reader");
    let (first, _, _) = two_segments();
    let file = first.write(dir.path());
    let mut command = chatctl(&["dump-log", "--follow"]);
    let mut child =
        command.arg(dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut output = child.lines("the log's first line");
    output.read_line(&mut line).unwrap();
    drop(output);
    let output = output_of(child);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));

    let output = chatctl(&["dump-log", "-f"]).arg(file).run();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("is a file: --follow needs a directory"), "{error}");
    let mut following = Following::start(dir.path(), &["--json", "--to=1", "--kind=found"]);
    following.next();
    assert_eq!(following.interrupt(), [""; 0]);
}
