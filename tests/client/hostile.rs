//! A server, or somebody who plays one, that sends what terminals obey in every field it can: none of
//! it reaches the terminal, on standard output or standard error, as text or as JSON.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};

use crate::support::TempDir;
use crate::support::bounded::{Pipes, RUN, Run, exit_of, joined_within, serve};
use crate::support::chatctl;
use crate::support::sys::{Pty, spawn_on_pty};
use chatctl::protocol::framing::{self, Codec, Form, Split};
use chatctl::protocol::{Message, MsgIds, id};

/// Sequences, controls of both blocks, line ends that would forge a line, and changes of direction.
const HOSTILE: &str = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\rforged\nchatctl: forged\u{85}\u{202e}\
                       \u{2066}\u{200f}\u{61c}\u{2028}\u{200b}\u{feff}\u{e0041}";

/// How a server is hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// All is answered, with hostile contents.
    Answers,
    /// Everything after the login is refused.
    Refuses,
    /// For now.
    RefusesForNow,
    /// The login is refused.
    RefusesLogin,
    /// For now.
    RefusesLoginForNow,
    /// Another server is named as PRIMARY.
    Redirects(&'static str),
    /// What it pushes is no protocol.
    Babbles,
}

const MANNERS: [Manner; 8] = [
    Manner::Answers,
    Manner::Refuses,
    Manner::RefusesForNow,
    Manner::RefusesLogin,
    Manner::RefusesLoginForNow,
    Manner::Redirects(HOSTILE),
    Manner::Redirects("unix:/\x1b[2J\u{202e}"),
    Manner::Babbles,
];

fn hostile_server(manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    serve(listener, move |stream| drop(std::thread::spawn(move || converse(manner, stream))));
    address
}

fn converse(manner: Manner, mut stream: TcpStream) {
    let (mut input, mut scanned, mut buffer) = (Vec::new(), 0, [0; 4096]);
    loop {
        match framing::split(Form::Frames, &input, &mut scanned) {
            Split::Payload { start, end, consumed, codec } => {
                let request = framing::decode(codec, &input[start..end]).map(Message::into_owned);
                input.drain(..consumed);
                let Ok(request) = request else { return };
                let mut reply = Vec::new();
                answer(manner, &request, codec, &mut reply);
                if stream.write_all(&reply).is_err() {
                    return;
                }
            }
            Split::NeedMore => match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => input.extend_from_slice(&buffer[..count]),
            },
            _ => return,
        }
    }
}

/// A message of this kind with hostile text in every field.
fn hostile(cmd: &str) -> Message<'static> {
    Message {
        cmd: Cow::Owned(cmd.to_string()),
        src: HOSTILE.into(),
        to: HOSTILE.into(),
        body: HOSTILE.into(),
        msg_ids: MsgIds::Many(vec![HOSTILE.into()]),
        ..Message::default()
    }
}

fn answer(manner: Manner, request: &Message<'_>, codec: Codec, out: &mut Vec<u8>) {
    let cmd = request.cmd.as_ref();
    let mut put = |message: &Message<'_>| framing::put(out, Form::Frames, codec, message);
    let is_login = ["login", "resume", "create"].contains(&cmd);
    let refused = |code: &str| Message {
        error: true,
        body: Cow::Owned(format!("{code}: {HOSTILE}")),
        ..hostile(cmd)
    };
    match manner {
        Manner::Redirects(to) => {
            return put(&Message { to: to.into(), error: true, ..hostile("redirect") });
        }
        Manner::RefusesLogin if is_login => return put(&refused(HOSTILE)),
        Manner::RefusesLoginForNow if is_login => return put(&refused("busy")),
        Manner::Refuses if !is_login => return put(&refused(HOSTILE)),
        Manner::RefusesForNow if !is_login => return put(&refused("disk-full")),
        Manner::Babbles if !is_login => return put(&Message { limit: 3, ..hostile(HOSTILE) }),
        _ => {}
    }
    match cmd {
        _ if is_login => {
            let msg_ids = MsgIds::Many(vec![id::format(7).into()]);
            let to = request.src.clone();
            put(&Message { to, msg_ids, seq: 5, limit: 3, ..hostile(cmd) });
            // What is pushed at the moment of the login.
            put(&Message { seq: 6, ..hostile("deliver") });
            put(&Message { seq: 7, ..hostile("taken_back") });
            put(&Message { seq: 8, ..hostile("read_moved") });
            let body = Cow::Owned(format!("read-only: {HOSTILE}"));
            put(&Message { body, ..hostile("server_status") });
            let body = Cow::Owned(format!("primary: {HOSTILE}"));
            put(&Message { body, ..hostile("server_status") });
        }
        "server_status" => {
            let body =
                format!("role {HOSTILE}\nterm 1\nprimary {HOSTILE}\n{HOSTILE} x\nid \x1b[2J");
            put(&Message { body: body.into(), ..hostile(cmd) });
        }
        "sync" | "history" => {
            put(&Message { seq: 9, limit: 1, ..hostile("deliver") });
            put(&Message { seq: 9, limit: 1, body: "end".into(), ..hostile(cmd) });
        }
        "inbox" => {
            let name = HOSTILE.replace('\n', " ");
            put(&Message { body: format!("{name}\t1\t1\t1\n").into(), ..hostile(cmd) });
        }
        "list" | "who" => put(&Message { to: "".into(), ..hostile(cmd) }),
        _ => put(&hostile(cmd)),
    }
}

/// What a terminal must not get, beside the ends of lines.
fn assert_harmless(bytes: &[u8], context: &str) {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let is_bad = |c: char| {
        !"\n\t".contains(c) && c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
            || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
            || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    assert!(!text.contains(is_bad), "{context}: {text:?}");
    for line in text.lines() {
        assert!(!line.starts_with("chatctl: forged"), "{context}: a forged line: {text:?}");
    }
}

fn client(address: &str, state: &TempDir) -> Command {
    let mut command = chatctl(&["chat", "--servers", address, "--user", "alice", "--timeout", "1"]);
    command.arg("--state-dir").arg(state.path()).env("CHATCTL_PASSWORD", "open sesame");
    command.env("NO_COLOR", "1").stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Each harmless; whether anything hostile was shown at all.
fn check(output: &Output, context: &str) -> bool {
    assert_harmless(&output.stdout, &format!("{context}, standard output"));
    assert_harmless(&output.stderr, &format!("{context}, standard error"));
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&all).contains("owned")
}

/// Every kind of run, as text and as JSON; those that showed something hostile.
fn runs_with(manner: Manner) -> Vec<(Manner, usize)> {
    const SCRIPT: &[u8] = b"/list\n/who\n/inbox\n/history bob\n/status\n/delete #9\n/msg bob hi\n";
    let address = hostile_server(manner);
    let mut shown = Vec::new();
    for json in [&[][..], &["--json"]] {
        for arguments in [
            &["--list"][..],
            &["--inbox"],
            &["--history", "bob"],
            &["--send", "bob", "hi"],
            &["--send", "bob"],
            &[],
        ] {
            let state = TempDir::new("hostile");
            let mut command = client(&address, &state);
            let input = if arguments.is_empty() { SCRIPT } else { b"hi\n" };
            let output = command.args(json).args(arguments).try_run_with(input);
            let context = format!("{manner:?} {json:?} {arguments:?}");
            if check(&output.expect("it runs"), &context) {
                shown.push((manner, json.len()));
            }
        }
    }
    shown
}

#[test]
fn a_run_without_a_terminal_prints_nothing_that_a_terminal_obeys() {
    let run = |manner| std::thread::spawn(move || runs_with(manner));
    let threads: Vec<_> = MANNERS.into_iter().map(run).collect();
    let done = threads.into_iter().flat_map(|thread| joined_within(RUN, thread, "the runs end"));
    let shown: Vec<(Manner, usize)> = done.collect();
    // The test would see nothing if nothing were shown.
    for manner in [Manner::Answers, Manner::Refuses, Manner::RefusesLogin] {
        for json in [0, 1] {
            let count = shown.iter().filter(|some| **some == (manner, json)).count();
            assert!(count > 2, "{manner:?} {json}: {shown:?}");
        }
    }
}

#[test]
fn lines_at_a_terminal_hold_nothing_that_it_obeys() {
    let state = TempDir::new("hostile-plain");
    let address = hostile_server(Manner::Answers);
    let mut pty = Pty::open();
    let mut command = client(&address, &state);
    command.arg("--plain").env("TERM", "xterm");
    let mut child = spawn_on_pty(&mut command, &pty).expect("it runs");
    let mut shown = pty.read_until("logged in as alice");
    for (line, end) in [("/list", "forged"), ("/status", "outbox"), ("/history bob", "#9")] {
        pty.type_text(&format!("{line}\r"));
        shown.push_str(&pty.read_until(end));
    }
    pty.type_text("/quit\r");
    assert!(exit_of(&mut child).success());
    for sequence in ["\x1b]", "\x1b[2J", "\u{9b}", "\u{202e}", "\u{2066}", "\u{200f}", "\x07"] {
        assert!(!shown.contains(sequence), "{sequence:?} in {shown:?}");
    }
    assert!(shown.contains("owned"), "{shown:?}");
}

#[test]
fn a_measurement_prints_nothing_that_a_terminal_obeys() {
    // With the others it waits for long, for what never comes.
    let manners = MANNERS.into_iter().filter(|manner| {
        let is_long = matches!(manner, Manner::Answers | Manner::RefusesForNow);
        !is_long && !matches!(manner, Manner::RefusesLoginForNow | Manner::Babbles)
    });
    for manner in manners {
        let address = hostile_server(manner);
        let mut command = chatctl(&["bench-load", "--servers", &address, "--messages", "1"]);
        command.args(["--clients", "1", "--idle", "1", "--seconds", "1"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut out, mut said) = (Vec::new(), Vec::new());
        let (mut lines, mut errors) = (child.lines("the figures"), child.errors());
        errors.read_to_end(&mut said).expect("it can be read");
        lines.read_to_end(&mut out).expect("it can be read");
        exit_of(&mut child);
        assert_harmless(&out, &format!("{manner:?}, standard output"));
        assert_harmless(&said, &format!("{manner:?}, standard error"));
    }
}
