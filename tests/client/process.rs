//! The client as a program, with the real server: killed, cut off, at a terminal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::screen::real::in_shell;
use crate::support::bounded::{Accept, Bound, Bounded, Pipes, Run, exit_of, output_of, serve};
use crate::support::server::{Launch, TestServer};
use crate::support::sys::{Pty, kill, spawn_on_pty};
use crate::support::{Rng, TempDir, chatctl, env_number, text};
use chatctl::protocol::Message;
use chatctl::protocol::framing::{self, Codec, Form};
use chatctl::sys::poll::{self, PollFd};
use chatctl::sys::signal;

/// A server that can be killed and started again at the same place.
pub struct Server {
    pub dir: TempDir,
    launch: Launch,
    server: Option<TestServer>,
}

impl Server {
    pub fn start(name: &str) -> Server {
        let dir = TempDir::new(name);
        let address = format!("unix:{}", dir.path().join("socket").display());
        let launch = Launch::on(&dir.path().join("data")).listen(&[&address]);
        let server = Some(launch.clone().start());
        Server { dir, launch, server }
    }

    fn running(&self) -> &TestServer {
        self.server.as_ref().expect("it runs")
    }

    pub fn address(&self) -> String {
        format!("unix:{}", self.dir.path().join("socket").display())
    }

    pub fn start_again(&mut self) {
        self.server = Some(self.launch.clone().start());
    }

    pub fn kill(&mut self) {
        self.server = None;
    }

    pub fn signal(&self, number: i32) {
        self.running().signal(number);
    }

    /// A client's command, with a state folder of its own for each account.
    pub fn client(&self, user: &str) -> Command {
        self.client_with(user, user, 30)
    }

    fn client_with(&self, user: &str, state: &str, timeout_s: u32) -> Command {
        self.client_of(&self.address(), user, state, timeout_s)
    }

    pub fn client_of(&self, servers: &str, user: &str, state: &str, timeout_s: u32) -> Command {
        let timeout = timeout_s.to_string();
        let mut command =
            chatctl(&["chat", "--servers", servers, "--user", user, "--timeout", &timeout]);
        command.arg("--state-dir").arg(self.dir.path().join(state));
        command.env("CHATCTL_PASSWORD", "open sesame").env("NO_COLOR", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn create(&self, user: &str) {
        let output = self.client(user).args(["--create", "--list"]).run();
        assert!(output.status.success(), "{output:?}");
    }

    /// What a client of `user` does with a script from a pipe.
    pub fn piped(&self, user: &str, script: &str) -> Output {
        self.client(user).try_run_with(script.as_bytes()).expect("it runs")
    }

    /// The texts of a conversation, oldest first, as `user` sees them.
    pub fn history(&self, user: &str, with: &str) -> Vec<String> {
        let mut command = self.client(user);
        command.args(["--json", "--history", with, "--limit", "1000"]);
        let output = command.run();
        assert!(output.status.success(), "{output:?}");
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        stdout.lines().filter_map(|line| field(line, "text")).collect()
    }
}

/// A running client that speaks JSON.
pub struct Client {
    pub child: Child,
    input: Option<Bounded<ChildStdin>>,
    output: BufReader<Bounded<ChildStdout>>,
}

impl Client {
    pub fn start(server: &Server, user: &str) -> Client {
        let mut child = server.client(user).arg("--json").spawn().expect("it runs");
        let output = child.lines(format!("the next event of {user}'s client"));
        let input = Some(child.input());
        Client { child, input, output }
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("open"), "{line}").expect("it reads");
    }

    /// The next event of this kind; the texts of others are passed over. `None` at the end.
    pub fn next(&mut self, event: &str) -> Option<String> {
        let start = format!("{{\"event\": \"{event}\"");
        let bound = Bound::new(format!("the client tells of a {event}"));
        loop {
            bound.check();
            let mut line = String::new();
            match self.output.read_line(&mut line).expect("UTF-8") {
                0 => return None,
                _ if line.starts_with(&start) => return Some(line),
                _ => {}
            }
        }
    }

    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("it can be killed");
        exit_of(&mut self.child);
        let rest = self.output.lines().map_while(Result::ok);
        rest.collect()
    }

    /// The end of the input; the exit code and what was still printed.
    pub fn end(mut self) -> (Option<i32>, Vec<String>) {
        drop(self.input.take());
        let lines = self.output.lines().map_while(Result::ok).collect();
        (exit_of(&mut self.child).code(), lines)
    }
}

/// A text field of an event, for texts without escapes.
pub fn field(line: &str, key: &str) -> Option<String> {
    let start = format!("\"{key}\": \"");
    let at = line.find(&start)? + start.len();
    let length = line[at..].find('"')?;
    Some(line[at..at + length].to_string())
}

#[test]
fn a_server_killed_in_the_middle_of_a_conversation_loses_and_doubles_nothing() {
    let mut server = Server::start("client-kill-server");
    server.create("alice");
    server.create("bob");
    let mut reader = Client::start(&server, "bob");
    reader.next("login").expect("bob is in");
    let mut writer = Client::start(&server, "alice");
    let mut read = Vec::new();
    for n in 0..400 {
        writer.say(&format!("/msg bob m{n}"));
        if n % 100 == 50 {
            // Some are acknowledged, some are under way, some are not sent.
            writer.next("sent").expect("an acknowledgment");
            server.kill();
        }
        if n % 100 == 70 {
            server.start_again();
        }
    }
    let (code, _) = writer.end();
    assert_eq!(code, Some(0));
    while read.len() < 400 {
        let line = reader.next("message").expect("a message");
        read.push(field(&line, "text").expect("a text"));
    }
    let all: Vec<String> = (0..400).map(|n| format!("m{n}")).collect();
    assert_eq!(read, all, "shown once each, in order");
    assert_eq!(server.history("bob", "alice"), all, "stored once each, in order");
    assert_eq!(reader.end().0, Some(0));
}

#[test]
fn a_sender_killed_at_any_moment_has_what_it_had_taken_sent_once_by_the_next() {
    let seed = env_number("CHATCTL_SEED", 11);
    let mut dice = Rng::new(seed);
    let server = Server::start("client-kill-sender");
    server.create("alice");
    server.create("bob");
    let mut next = 0;
    for round in 0..8 {
        let mut writer = Client::start(&server, "alice");
        let count = 1 + dice.below(40);
        for n in next..next + count {
            writer.say(&format!("/msg bob m{n}"));
        }
        let mut acknowledged = 0;
        for _ in 0..dice.below(count + 1) {
            writer.next("sent").expect("an acknowledgment");
            acknowledged += 1;
        }
        writer.kill();
        // The next client sends what the outbox holds.
        assert_eq!(Client::start(&server, "alice").end().0, Some(0));
        let stored = server.history("bob", "alice");
        let in_order: Vec<String> = (0..stored.len()).map(|n| format!("m{n}")).collect();
        assert_eq!(stored, in_order, "round {round}, CHATCTL_SEED={seed}: once each, in order");
        let told = (next + acknowledged) as usize;
        assert!(stored.len() >= told, "round {round}, CHATCTL_SEED={seed}: all that was told");
        next = stored.len() as u64;
    }
}

#[test]
fn a_reader_killed_at_any_moment_misses_nothing_and_sees_again_at_most_what_was_being_shown() {
    let server = Server::start("client-kill-reader");
    server.create("alice");
    server.create("bob");
    let mut seen: Vec<String> = Vec::new();
    let mut again: Vec<(usize, String)> = Vec::new();
    for round in 0..6 {
        let mut reader = Client::start(&server, "bob");
        let lines: Vec<String> = (0..20).map(|n| format!("m{round}-{n}")).collect();
        let mut send = server.client("alice");
        let mut send = send.args(["--send", "bob"]).spawn().expect("it runs");
        let mut input = send.input();
        input.write_all((lines.join("\n") + "\n").as_bytes()).expect("it reads");
        drop(input);
        assert!(exit_of(&mut send).success());
        let mut shown = Vec::new();
        for _ in 0..10 {
            shown.push(reader.next("message").expect("a message"));
        }
        shown.extend(reader.kill());
        for text in shown.iter().filter_map(|line| field(line, "text")) {
            match seen.contains(&text) {
                true => again.push((round, text)),
                false => seen.push(text),
            }
        }
    }
    let (_, rest) = Client::start(&server, "bob").end();
    let rest = rest.iter().filter(|line| line.contains("\"message\""));
    for text in rest.filter_map(|line| field(line, "text")) {
        match seen.contains(&text) {
            true => again.push((6, text)),
            false => seen.push(text),
        }
    }
    let all: Vec<String> =
        (0..6).flat_map(|round| (0..20).map(move |n| format!("m{round}-{n}"))).collect();
    assert_eq!(seen, all, "none missed, in order");
    let fresh = |(round, text): &(usize, String)| text.starts_with(&format!("m{}-", round - 1));
    assert!(again.iter().all(fresh), "again only what was being shown at the kill: {again:?}");
    let (_, rest) = Client::start(&server, "bob").end();
    assert!(
        !rest.iter().any(|line| line.contains("\"message\"")),
        "after a clean end nothing again"
    );
}

#[test]
fn what_cannot_be_sent_in_time_stays_and_is_sent_once_by_the_next_client() {
    let mut server = Server::start("client-offline");
    server.create("alice");
    server.create("bob");
    server.kill();
    let mut late = server.client_with("alice", "alice", 1);
    let output = late.args(["--send", "bob", "first"]).run();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("do not send it again") && said.contains("outbox"), "{said}");
    let mut client = server.client_with("alice", "alice", 1).spawn().expect("it runs");
    client.input().write_all(b"/msg bob second\n").expect("it reads");
    let output = output_of(client);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("2 messages not sent yet"), "{output:?}");
    server.start_again();
    assert_eq!(Client::start(&server, "alice").end().0, Some(0));
    assert_eq!(server.history("bob", "alice"), ["first", "second"]);
}

#[test]
fn lines_for_which_there_is_no_room_in_time_are_told_by_the_first_of_them() {
    let mut server = Server::start("client-no-room");
    server.create("alice");
    server.kill();
    let most = chatctl::limits::OUTBOX_MESSAGES;
    let mut late = server.client_with("alice", "alice", 1);
    let mut client = late.args(["--send", "bob"]).spawn().expect("it runs");
    let mut stdin = client.input();
    let lines: String = (1..=most + 100).map(|number| format!("{number}\n")).collect();
    stdin.write_all(lines.as_bytes()).expect("it reads");
    // The input does not end, and could go on for ever.
    assert_eq!(exit_of(&mut client).code(), Some(1));
    drop(stdin);
    let mut said = String::new();
    client.errors().read_to_string(&mut said).expect("text");
    assert!(said.contains(&format!("from line {} on was not processed", most + 1)), "{said}");
    assert!(said.contains(&format!("{most} messages not sent yet")), "{said}");
}

#[test]
fn one_thing_at_a_time_has_exit_codes_and_sentences() {
    let server = Server::start("client-oneshot");
    server.create("alice");
    server.create("bob");
    let run = |arguments: &[&str]| -> (Option<i32>, String, String) {
        let output = server.client("alice").args(arguments).run();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(run(&["--send", "bob", "hi"]), (Some(0), String::new(), String::new()));
    let (code, out, _) = run(&["--list"]);
    assert_eq!((code, out.as_str()), (Some(0), "alice\nbob\n"));
    let (code, out, _) = run(&["--history", "bob"]);
    assert_eq!(code, Some(0));
    assert!(out.ends_with("alice -> bob: hi\n"), "{out}");
    let (code, out, _) = run(&["--inbox"]);
    assert_eq!((code, out.split('\t').next()), (Some(0), Some("bob")));
    let (code, _, said) = run(&["--send", "nobody", "hi"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no-such-user"), "{said}");
    let (code, _, said) = run(&["--send", "b@b", "hi"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("invalid name"), "{said}");
    let mut wrong = server.client_with("bob", "elsewhere", 30);
    wrong.env("CHATCTL_PASSWORD", "wrong").arg("--list");
    let output = wrong.run();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("wrong-credentials"), "{output:?}");
}

#[test]
fn somebody_at_a_terminal_is_told_where_the_password_of_a_new_account_came_from() {
    let server = Server::start("client-new-password");
    for (user, flags) in [("alice", &["--plain"][..]), ("bob", &[])] {
        let mut command = server.client(user);
        command.env("TERM", "xterm").arg("--create").args(flags);
        let mut pty = Pty::open();
        let mut child = spawn_on_pty(&mut command, &pty).expect("it runs");
        pty.read_until(&format!("{user} gets the password in CHATCTL_PASSWORD"));
        pty.type_text("/quit\r");
        assert!(exit_of(&mut child).success());
    }
}

#[test]
fn a_name_that_is_taken_says_what_to_do() {
    let server = Server::start("client-taken");
    server.create("alice");
    let hint = "(name-taken); log in without --create if the account is yours, or use another name";
    for arguments in [&["--list"][..], &["--send", "bob"], &[]] {
        let mut command = server.client_with("alice", "elsewhere", 30);
        command.env("CHATCTL_PASSWORD", "another").arg("--create").args(arguments);
        let output = command.try_run_with(b"").expect("it runs");
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(hint), "{arguments:?}: {said}");
    }
    for flags in [&["--plain"][..], &[]] {
        let mut command = server.client_with("alice", "elsewhere", 30);
        command.env("CHATCTL_PASSWORD", "another").env("TERM", "xterm");
        let mut pty = Pty::open();
        let mut child = spawn_on_pty(command.arg("--create").args(flags), &pty).expect("it runs");
        pty.read_until(hint);
        assert_eq!(exit_of(&mut child).code(), Some(1));
    }
}

#[test]
fn thousands_of_messages_sent_by_scripts_hold_up_none_that_follow() {
    let server = Server::start("client-scripts");
    server.create("alice");
    server.create("bob");
    let texts: Vec<String> = (0..1_500).map(|n| format!("m{n}")).collect();
    let mut child = server.client("alice").args(["--send", "bob"]).spawn().expect("it runs");
    let mut input = child.input();
    input.write_all((texts.join("\n") + "\n").as_bytes()).expect("it reads");
    drop(input);
    assert!(exit_of(&mut child).success());
    let mut next = server.client_with("alice", "alice", 10);
    let output = next.args(["--send", "bob", "one more"]).run();
    assert!(output.status.success());
    assert_eq!(server.history("bob", "alice")[999], "one more");
}

/// Takes requests with a redirect, and closes in the same moment. It counts the connections.
fn redirecting(to: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    serve(listener, move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut redirect = Vec::new();
        let message = Message {
            cmd: "redirect".into(),
            to: to.as_str().into(),
            error: true,
            ..Message::default()
        };
        framing::put(&mut redirect, Form::Frames, Codec::Binary, &message);
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&redirect);
    });
    (address, count)
}

#[test]
fn a_server_that_redirects_and_closes_is_left_for_good() {
    let server = Server::start("redirected");
    server.create("alice");
    let (address, count) = redirecting(server.address());
    for round in 1..=20 {
        let servers = format!("{address},{}", server.address());
        let mut client = server.client_of(&servers, "alice", "alice", 30);
        let output = client.arg("--list").run();
        assert_eq!(text(&output.stdout), "alice\n", "{}", text(&output.stderr));
        // Its close was no failure of the server that it named.
        assert_eq!(count.load(Ordering::Relaxed), round);
    }
}

#[test]
fn a_redirect_out_of_the_list_is_not_followed_but_named() {
    let server = Server::start("redirected-away");
    let catcher = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let elsewhere = catcher.local_addr().expect("it is bound").to_string();
    let (address, count) = redirecting(elsewhere.clone());
    let output = server.client_of(&address, "alice", "alice", 1).arg("--list").run();
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    let says = format!("{address} names {elsewhere} as PRIMARY, which --servers does not list");
    assert!(error.contains(&says), "{error}");
    assert!(count.load(Ordering::Relaxed) > 0);
    let mut arrived = [PollFd::new(catcher.as_raw_fd(), true, false)];
    let count = poll::wait(&mut arrived, Some(0)).expect("poll(2) works");
    assert_eq!(count, 0, "nobody has connected there");
}

#[test]
fn commands_from_a_pipe_take_effect_in_their_order() {
    let server = Server::start("client-pipe");
    server.create("alice");
    server.create("bob");
    let script =
        "/to bob\none\n/msg bob two\n/history bob\n/delete last\n/history bob\n/nonsense\n";
    let output = server.piped("alice", script);
    let texts: Vec<String> = text(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once("alice -> bob: ").map(|(_, text)| text.to_string()))
        .collect();
    assert_eq!(texts, ["one", "two", "one", "two", "one"], "sent, history, history");
    assert!(text(&output.stdout).contains("unknown command /nonsense"));
    assert_eq!(output.status.code(), Some(1), "a wrong command is told by the exit code");
}

#[test]
fn what_is_deleted_as_the_last_is_what_the_line_before_has_sent() {
    let server = Server::start("client-pipe-last");
    server.create("alice");
    server.create("bob");
    let script = "/delete last\n/msg bob one\n/msg bob two\n/delete last\n/delete last\n";
    let output = server.piped("alice", script);
    assert!(text(&output.stdout).contains("nothing was sent in this run"), "{output:?}");
    assert_eq!(server.history("alice", "bob"), ["one"]);
}

#[test]
fn an_output_that_nobody_reads_any_more_is_no_error() {
    let server = Server::start("client-broken-pipe");
    server.create("alice");
    let mut child = server.client("alice").spawn().expect("it runs");
    child.close_output();
    let mut input = child.input();
    input.write_all(b"/help\n").expect("it reads");
    drop(input);
    let output = output_of(child);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

/// A client at a terminal, logged in.
fn at_terminal(server: &Server, user: &str) -> (Pty, Child) {
    let mut pty = Pty::open();
    let mut command = chatctl(&["chat", "--servers", &server.address(), "--user", user]);
    command.arg("--state-dir").arg(server.dir.path().join(format!("{user}-terminal")));
    command.arg("--plain");
    command.env("NO_COLOR", "1").env("TERM", "xterm").env_remove("CHATCTL_PASSWORD");
    let child = spawn_on_pty(&mut command, &pty).expect("it runs");
    pty.read_until("password of ");
    pty.read_until(": ");
    assert!(!pty.echoes(), "the password is not shown");
    pty.type_text("open sesame\n");
    pty.read_until("logged in as ");
    assert!(pty.is_raw());
    (pty, child)
}

#[test]
fn at_a_terminal_messages_come_and_go_without_tearing_the_typed_line() {
    let server = Server::start("client-terminal");
    server.create("alice");
    server.create("bob");
    let (mut pty, mut child) = at_terminal(&server, "alice");
    pty.type_text("/to bob\r");
    pty.read_until("bob> ");
    pty.type_text("hello\r");
    pty.read_until("you -> bob: hello");
    pty.type_text("half a li");
    pty.read_until("half a li");
    let output = server.client("bob").args(["--send", "alice", "ping"]).run();
    assert!(output.status.success(), "{output:?}");
    let shown = pty.read_until("bob: ping");
    assert!(shown.contains("\r\u{1b}[K"), "the line is taken away first: {shown:?}");
    pty.read_until("bob> half a li");
    pty.type_text("ne\r");
    pty.read_until("you -> bob: half a line");
    assert_eq!(server.history("bob", "alice"), ["hello", "ping", "half a line"]);
    pty.type_text("/delete last\r");
    pty.read_until("-- deleted");
    assert_eq!(server.history("bob", "alice"), ["hello", "ping"]);
    pty.type_text("/quit\r");
    assert!(exit_of(&mut child).success());
    assert!(pty.echoes() && !pty.is_raw(), "the terminal is as it was");
}

#[test]
fn colours_are_shown_unless_they_are_not_wanted() {
    let server = Server::start("client-colours");
    server.create("alice");
    for (variable, value, wanted) in
        [("NO_COLOR", "", true), ("NO_COLOR", "1", false), ("TERM", "dumb", false)]
    {
        let mut pty = Pty::open();
        let mut command = server.client("alice");
        command.arg("--plain");
        command.env_remove("NO_COLOR").env("TERM", "xterm").env(variable, value);
        let mut child = spawn_on_pty(&mut command, &pty).expect("it runs");
        let shown = pty.read_until("logged in as alice");
        assert_eq!(shown.contains("\u{1b}[2m"), wanted, "{variable}={value}: {shown:?}");
        pty.type_text("/quit\r");
        assert!(exit_of(&mut child).success());
    }
}

#[test]
fn the_servers_come_from_the_environment_and_the_codec_from_its_flag() {
    for (flags, is_json) in [(&[][..], false), (&["--protocol=json"], true)] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let dir = TempDir::new("client-codec");
        let mut command = chatctl(&["chat", "--user=alice", "--list", "--timeout=1"]);
        command.args(flags);
        command.arg("--state-dir").arg(dir.path());
        command.env("CHATCTL_PASSWORD", "open sesame");
        command.env("CHATCTL_SERVERS", listener.local_addr().expect("it is bound").to_string());
        command.stderr(Stdio::null());
        let mut child = command.spawn().expect("it runs");
        let (stream, _) = listener.next_connection();
        let mut stream = Bounded::new(stream, "the client's first frame");
        let mut first = [0; 5];
        stream.read_exact(&mut first).expect("a frame");
        assert_eq!((first[0], first[4] == b'{'), (0, is_json), "{first:?}");
        assert_eq!(exit_of(&mut child).code(), Some(1), "nobody has answered");
    }
    // And a whole conversation of it.
    let server = Server::start("client-json");
    server.create("alice");
    let mut command = server.client("alice");
    let output = command.args(["--protocol=json", "--send", "alice", "as \"JSON\""]).run();
    assert!(output.status.success());
    let mut command = server.client("alice");
    let output = command.args(["--protocol=json", "--history", "alice"]).run();
    assert!(text(&output.stdout).ends_with("alice -> alice: as \"JSON\"\n"), "{output:?}");
}

#[test]
fn the_terminal_is_restored_by_every_way_to_end() {
    let server = Server::start("client-terminal-ends");
    server.create("alice");
    for end in ["\u{4}", "\u{3}\u{3}", "TERM", "HUP", "INT"] {
        let (mut pty, mut child) = at_terminal(&server, "alice");
        match end {
            "TERM" => kill(child.id(), signal::TERM).expect("it runs"),
            "HUP" => kill(child.id(), signal::HUP).expect("it runs"),
            "INT" => kill(child.id(), signal::INT).expect("it runs"),
            keys => pty.type_text(keys),
        }
        assert!(exit_of(&mut child).success(), "{end:?}");
        assert!(pty.echoes() && !pty.is_raw(), "the terminal is as it was after {end:?}");
        let _ = std::fs::remove_dir_all(server.dir.path().join("alice-terminal"));
    }
}

#[test]
fn a_password_is_changed_and_an_account_deleted_after_questions_at_the_terminal() {
    let server = Server::start("client-terminal-asks");
    server.create("alice");
    server.create("bob");
    let (mut pty, mut child) = at_terminal(&server, "alice");
    for (answer, question) in [
        ("/passwd", "current password: "),
        ("open", "new password: "),
        ("changed", "again: "),
        ("changed", "the current password is wrong; nothing was changed"),
        ("/passwd", "current password: "),
        ("open sesame", "new password: "),
        ("changed", "again: "),
        ("changed", "password changed"),
    ] {
        pty.type_text(&format!("{answer}\r"));
        let shown = pty.read_until(question);
        assert!(!shown.contains("sesame") && !shown.contains("changed\r"), "{shown:?}");
    }
    pty.type_text("/account delete\r");
    pty.read_until("its name: ");
    pty.type_text("alcie\r");
    pty.read_until("nothing was deleted");
    pty.type_text("/account delete\r");
    pty.read_until("its name: ");
    pty.type_text("alice\r");
    pty.read_until("password: ");
    pty.type_text("changed\r");
    pty.read_until("the account is deleted");
    assert!(exit_of(&mut child).success());
    let output = server.client("bob").arg("--list").run();
    assert_eq!(text(&output.stdout), "bob\n");
}

#[test]
fn a_stopped_client_gives_the_terminal_back_and_goes_on_when_continued() {
    let server = Server::start("client-terminal-stop");
    server.create("alice");
    let mut pty = Pty::open();
    let script = "set -m; \"$@\"; echo the shell is back; read line; fg";
    let mut client = server.client("alice");
    let mut command = in_shell(script, client.arg("--plain").env("TERM", "xterm"));
    let mut child = spawn_on_pty(&mut command, &pty).expect("it runs");
    pty.read_until("logged in as ");
    pty.type_text("typed\u{1a}");
    pty.read_until("the shell is back");
    assert!(pty.echoes() && !pty.is_raw(), "the shell has its terminal");
    pty.type_text("\n");
    pty.read_until("> typed");
    assert!(pty.is_raw());
    pty.type_text("\u{3}/quit\r");
    assert!(exit_of(&mut child).success());
}

#[test]
fn a_second_client_of_the_account_says_so_and_both_send() {
    let server = Server::start("client-second");
    server.create("alice");
    server.create("bob");
    let mut first = Client::start(&server, "alice");
    first.next("login").expect("it is in");
    let mut second = Client::start(&server, "alice");
    let notice = second.next("notice").expect("it says so");
    assert!(notice.contains("another client of this account"), "{notice}");
    second.say("/msg bob from the second");
    second.next("sent").expect("an acknowledgment");
    let seen = first.next("message").expect("the first shows what the second sent");
    assert_eq!(field(&seen, "text").as_deref(), Some("from the second"));
    first.say("/msg bob from the first");
    assert_eq!((first.end().0, second.end().0), (Some(0), Some(0)));
    assert_eq!(server.history("bob", "alice"), ["from the second", "from the first"]);
}

#[test]
fn standard_error_is_empty_when_all_is_well() {
    let server = Server::start("client-quiet");
    server.create("alice");
    let mut child = server.client("alice").arg("--json").spawn().expect("it runs");
    child.close_input();
    let mut said = String::new();
    child.errors().read_to_string(&mut said).expect("UTF-8");
    assert!(exit_of(&mut child).success());
    assert_eq!(said, "");
}
