//! What scripts send and read: all of it arrives as it was written, or is refused with a sentence.

use std::process::{Child, Output, Stdio};

use super::process::{Server, field};
use crate::support::bounded::{Bound, Run, output_of};
use crate::support::small_disk::SmallDisk;
use crate::support::{TempDir, run_tool, sys};
use chatctl::limits;

fn with_two(name: &str) -> Server {
    let server = Server::start(name);
    server.create("alice");
    server.create("bob");
    server
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// What a client of `alice` says that gets `input`.
fn given(server: &Server, arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    told(&server.client("alice").args(arguments).try_run_with(input).expect("it runs"))
}

#[test]
fn a_line_that_cannot_be_sent_is_refused_with_its_number_and_the_others_are_sent() {
    let server = with_two("lines");
    let lines: &[&[u8]] =
        &[b"  one \t", b"", b"tw\xffo", b" ", b"\rthree", b"four\r", b"f\xc3\xbcnf"];
    let input = lines.join(&b'\n');
    let (code, out, said) = given(&server, &["--send", "bob"], &input);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{said}");
    let expected = [
        "! line 2: blank; a message needs text",
        "! line 3: invalid UTF-8 at byte 3",
        "! line 4: blank; a message needs text",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    let (code, out, _) = given(&server, &["--json", "--send", "bob"], b"\xfe\n");
    let object = "{\"event\": \"error\", \"command\": \"\", \"code\": \"\", \
                  \"reason\": \"line 1: invalid UTF-8 at byte 1\"}";
    assert!(code == Some(1) && out.lines().any(|line| line == object), "{out}");
    let output = server.client("alice").args(["--json", "--history", "bob"]).run();
    let (_, out, _) = told(&output);
    let texts: Vec<String> = out.lines().filter_map(|line| field(line, "text")).collect();
    assert_eq!(texts, ["  one \\u0009", "\\u000dthree", "four", "fünf"]);
}

#[test]
fn a_chat_from_a_pipe_refuses_such_lines_too() {
    let server = with_two("chat-lines");
    let (code, out, _) = given(&server, &[], b"/to bob\none\n\n/msg bob t\xffo\n\rthree\n");
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("! line 3: blank"), "{out}");
    assert!(out.contains("! line 4: invalid UTF-8 at byte 11"), "{out}");
    assert_eq!(server.history("bob", "alice"), ["one", "\\u000dthree"]);
    let mut long = vec![b'x'; limits::LINE_BYTES + 1];
    long.extend_from_slice(b"\n/msg bob two\n");
    let (code, out, _) = given(&server, &[], &long);
    assert!(code == Some(1) && out.contains("! line 1: the text has "), "{out}");
}

#[test]
fn the_whole_of_standard_input_is_one_message() {
    let server = with_two("whole");
    let most = "x".repeat(limits::BODY_BYTES);
    for text in ["\n one\n\ntwo \n", "three", &most] {
        let (code, _, said) = given(&server, &["--send", "bob", "-"], text.as_bytes());
        assert_eq!((code, said.as_str()), (Some(0), ""));
    }
    assert_eq!(server.history("bob", "alice"), ["\\n one\\n\\ntwo \\n", "three", &most]);
    let long = format!("{most}x");
    for (input, why) in [
        (long.as_bytes(), "more than 65535 bytes"),
        (b"", "no text"),
        (b" \n\n", "no text"),
        (b"one\ntw\xffo", "invalid UTF-8 at byte 7 (in line 2)"),
    ] {
        let (code, out, said) = given(&server, &["--send", "bob", "-"], input);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{said}");
        assert!(said.contains(why) && said.contains("nothing was sent"), "{said}");
    }
    assert_eq!(server.history("bob", "alice").len(), 3);
}

#[test]
fn who_sends_from_a_pipe_hears_nothing_of_unread_mail() {
    let server = with_two("quiet-pipe");
    assert!(server.client("bob").args(["--send", "alice", "unread"]).run().status.success());
    let silent = (Some(0), String::new(), String::new());
    assert_eq!(given(&server, &["--send", "bob"], b"hi\n"), silent);
    let (code, out, said) = given(&server, &["--json", "--send", "bob"], b"hi\n");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(!out.contains("unread") && !out.contains("conversation"), "{out}");
    assert!(out.contains("\"event\": \"sent\""), "{out}");
}

#[test]
fn a_script_that_reads_json_reads_one_object_of_a_failure_too() {
    let mut server = with_two("json-failures");
    let failed = |output: Output| -> String {
        let (code, out, said) = told(&output);
        assert!(code == Some(1) || code == Some(2), "{out} {said}");
        assert_eq!(out.lines().count(), 1, "{out} {said}");
        assert!(out.starts_with("{\"event\": \"failed\", "), "{out}");
        let reason = field(&out, "reason").expect("a reason");
        // Up to the first quote.
        assert!(said.contains(reason.trim_end_matches('\\')), "as on standard error: {said}");
        out
    };
    let json = |server: &Server, arguments: &[&str]| {
        server.client("alice").arg("--json").args(arguments).run()
    };
    let line = failed(json(&server, &["--send", "nobody", "hi"]));
    for part in [
        "\"command\": \"--send\", \"to\": \"nobody\", \"text\": \"hi\", \"id\": \"",
        "\"kept\": false, \"code\": \"no-such-user\"",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let line = failed(json(&server, &["--history", "n@b"]));
    assert!(line.contains("\"command\": \"--history\", \"code\": \"\""), "{line}");
    let mut wrong = server.client_of(&server.address(), "bob", "elsewhere", 30);
    wrong.env("CHATCTL_PASSWORD", "wrong").args(["--json", "--list"]);
    let line = failed(wrong.run());
    assert!(line.contains("\"command\": \"--list\", \"code\": \"wrong-credentials\""), "{line}");
    let mut lines = server.client_of(&server.address(), "bob", "elsewhere", 30);
    lines.env("CHATCTL_PASSWORD", "wrong").args(["--json", "--send", "alice"]);
    let (_, out, _) = told(&lines.try_run_with(b"hi\n").expect("it runs"));
    let line = out.lines().last().expect("a line");
    assert!(line.contains("\"command\": \"--send\", \"code\": \"wrong-credentials\""), "{line}");
    server.kill();
    let mut late = server.client_of(&server.address(), "alice", "alice", 1);
    let line = failed(late.args(["--json", "--send", "bob", "hi"]).run());
    assert!(line.contains("\"kept\": true, \"code\": \"\""), "{line}");
    let mut late = server.client_of(&server.address(), "alice", "alice", 1);
    let line = failed(late.args(["--json", "--inbox"]).run());
    assert!(line.contains("\"command\": \"--inbox\", \"code\": \"\""), "{line}");
}

#[test]
fn what_is_refused_for_a_mistyped_name_is_not_sent_once_the_name_exists() {
    let mut server = with_two("mistyped");
    let (code, _, said) = given(&server, &["--send", "bpb", "hi"], b"");
    assert_eq!(code, Some(1));
    assert!(said.contains("not sent to bpb, and not kept: no account"), "{said}");
    server.create("bpb");
    // The sender's own name: at a server that is there, and at one that comes only later.
    let alcie = |server: &Server, arguments: &[&str], timeout_s| {
        let mut client = server.client_of(&server.address(), "alcie", "alcie", timeout_s);
        client.args(arguments);
        client
    };
    let (code, _, said) = told(&alcie(&server, &["--send", "bob", "hi"], 30).run());
    assert_eq!(code, Some(1));
    assert!(said.contains("not sent to bob, and not kept: no account"), "{said}");
    server.kill();
    let (_, _, said) = told(&alcie(&server, &["--send", "bob", "hi"], 1).run());
    assert!(said.contains("the message stays"), "{said}");
    server.start_again();
    let (code, _, said) = told(&alcie(&server, &["--list"], 30).run());
    assert_eq!(code, Some(1));
    assert!(said.contains("of an earlier run was refused and is not kept: no account"), "{said}");
    for arguments in [&["--send", "bob"][..], &[]] {
        let client = &mut alcie(&server, arguments, 30);
        let (code, _, said) = told(&client.try_run_with(b"/msg bob hi\n").expect("it runs"));
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("the login was refused") && !said.contains("kept in"), "{said}");
    }
    server.create("alcie");
    for user in ["alice", "alcie"] {
        let output = server.client(user).arg("--inbox").run();
        assert_eq!(told(&output), (Some(0), String::new(), String::new()));
    }
}

#[test]
fn limit_bounds_every_list() {
    let server = with_two("limits");
    server.create("carol");
    for to in ["bob", "bob", "bob", "carol", "alice"] {
        assert!(server.client("alice").args(["--send", to, "hi"]).run().status.success());
    }
    for (arguments, all) in [(&["--inbox"][..], 3), (&["--list"], 3), (&["--history", "bob"], 3)] {
        for (limit, lines) in [(None, all), (Some("1"), 1), (Some("2"), 2), (Some("9"), all)] {
            let mut command = server.client("alice");
            command.args(arguments).args(limit.map(|limit| format!("--limit={limit}")));
            let (code, out, said) = told(&command.run());
            assert_eq!((code, out.lines().count()), (Some(0), lines), "{arguments:?} {out} {said}");
        }
    }
}

#[test]
fn twenty_clients_of_one_account_send_at_once() {
    let server = with_two("twenty");
    // Also before the account has a folder.
    for state in ["alice", "fresh"] {
        let texts: Vec<String> = (0..20).map(|number| format!("{state}{number}")).collect();
        let client = |text: &String| -> Child {
            let mut command = server.client_of(&server.address(), "alice", state, 60);
            command.stdin(Stdio::null()).args(["--send", "bob", text]).spawn().expect("it runs")
        };
        let clients: Vec<Child> = texts.iter().map(client).collect();
        for client in clients {
            let output = output_of(client);
            assert!(output.status.success(), "{output:?}");
        }
        let mut sent = server.history("bob", "alice");
        sent.retain(|text| text.starts_with(state));
        sent.sort();
        let mut texts = texts;
        texts.sort();
        assert_eq!(sent, texts, "once each");
        let folders = std::fs::read_dir(server.dir.path().join(state)).expect("a state folder");
        let folders = folders.flatten().filter(|entry| entry.path().is_dir()).count();
        assert_eq!(folders, 1, "one for the account, whoever came first");
    }
}

#[test]
fn who_only_reads_needs_no_place_and_no_room_on_the_disk() {
    let server = with_two("read-only-state");
    assert!(server.client("alice").args(["--send", "bob", "hi"]).run().status.success());
    let arguments = [&["--list"][..], &["--inbox"], &["--history", "bob"]];
    // All places are taken.
    let mut chats = Vec::new();
    for _ in 0..limits::CLIENT_SLOTS {
        let mut chat = super::process::Client::start(&server, "alice");
        chat.next("login").expect("it is in");
        chats.push(chat);
    }
    for arguments in arguments {
        let (code, out, said) = told(&server.client("alice").args(arguments).run());
        assert_eq!((code, said.as_str()), (Some(0), ""), "{arguments:?}: {out}");
    }
    drop(chats);
    let home = TempDir::new("read-only-home");
    let disk = sys::own_mounts().map_err(|error| error.to_string());
    let disk = disk.and_then(|()| SmallDisk::mount(home.path(), 1 << 20));
    let Ok(disk) = disk else { return println!("skipped: needs root for a tmpfs") };
    let state = home.path().join("state");
    let client = |arguments: &[&str]| {
        let mut command = server.client("alice");
        // The last one counts: a folder on that disk.
        command.env("XDG_STATE_HOME", &state);
        let words: Vec<_> = command.get_args().map(|word| word.to_owned()).collect();
        let at = words.iter().position(|word| word == "--state-dir").expect("it is given");
        let mut here = std::process::Command::new(command.get_program());
        here.args(&words[..at]).args(&words[at + 2..]).arg("--state-dir").arg(&state);
        here.env("CHATCTL_PASSWORD", "open sesame").args(arguments);
        here.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        told(&here.run())
    };
    let remount = |how: &str| {
        let path = home.path().to_str().expect("UTF-8");
        run_tool("mount", &["-o", how, path], "").expect("it is mounted again");
    };
    for has_token in [false, true] {
        remount("remount,ro");
        for arguments in arguments {
            let (code, out, said) = client(arguments);
            assert_eq!(code, Some(0), "{arguments:?}, {has_token}: {out} {said}");
            assert!(out.contains("bob"), "{out}");
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.contains("Read-only file system"), "{said}");
        }
        let (code, _, said) = client(&["--send", "bob", "hi"]);
        assert!(code == Some(1) && said.contains("Read-only file system"), "{said}");
        remount("remount,rw");
        assert_eq!(client(&["--list"]).0, Some(0));
    }
    drop(disk);
}

#[test]
fn read_from_a_pipe_right_after_the_login_marks_the_newest_too() {
    let server = with_two("read-newest");
    for text in ["one", "two"] {
        assert!(server.client("bob").args(["--send", "alice", text]).run().status.success());
        let (code, _, said) = given(&server, &[], b"/read bob\n");
        assert_eq!((code, said.as_str()), (Some(0), ""));
        let (_, out, _) = told(&server.client("alice").arg("--inbox").run());
        assert!(out.starts_with("bob\t0\t"), "after {text}: {out}");
    }
}

#[test]
fn a_run_that_meets_another_cluster_than_its_outbox_knows_says_so_at_once() {
    let (mut one, other) = (with_two("cluster-one"), with_two("cluster-other"));
    let servers = format!("{},{}", one.address(), other.address());
    let client = |state: &str| one.client_of(&servers, "alice", state, 60);
    for state in ["first", "second"] {
        assert!(client(state).arg("--list").run().status.success());
    }
    let (mut single, mut lines) = (client("first"), client("second"));
    let mut again = client("first");
    one.kill();
    let bound = Bound::new("both have ended");
    let (code, out, said) = told(&single.args(["--json", "--send", "bob", "hi"]).run());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("another cluster") && said.contains("Run the command again"), "{said}");
    assert!(out.contains("\"kept\": true") && out.lines().count() == 1, "{out}");
    let output = lines.args(["--send", "bob"]).try_run_with(b"line\n").expect("it runs");
    let (code, _, said) = told(&output);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("1 message was written for another cluster"), "{said}");
    bound.check();
    assert_eq!(other.history("bob", "alice"), [""; 0]);
    let (code, _, said) = told(&again.args(["--send", "bob", "again"]).run());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 message was written for another cluster"), "{said}");
    assert_eq!(other.history("bob", "alice"), ["again"]);
}
