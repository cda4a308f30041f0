//! `chatctl bench-load`, against a real server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chatctl::limits;
use chatctl::protocol::Message;
use chatctl::protocol::framing::{self, Codec, Form};

use super::{chatctl, run};
use crate::support::bounded::{connected, exit_of, serve};
use crate::support::server::TestServer;
use crate::support::sys::{Pty, spawn_on_pty};

fn server() -> TestServer {
    TestServer::start("bench-load", &["--password-iterations", "1"])
}

fn bench(server: &TestServer, arguments: &[&str]) -> (Option<i32>, String, String) {
    let all = [&["bench-load", "--servers", server.address(), "--seconds", "1"], arguments];
    run(&all.concat())
}

/// How many accounts it has whose name begins with `bench-`.
fn accounts(server: &TestServer) -> u64 {
    let mut stream = connected(server.address());
    let name = format!("probe-{}", stream.get_ref().local_addr().unwrap().port());
    let ask = format!(
        "{{\"cmd\": \"create\", \"src\": \"{name}\", \"body\": \"secret\"}}\n\
             {{\"cmd\": \"list\", \"body\": \"bench-*\"}}\n"
    );
    stream.write_all(ask.as_bytes()).unwrap();
    let answer = BufReader::new(stream).lines().nth(1).unwrap().unwrap();
    assert!(answer.contains("\"cmd\": \"list\""), "{answer}");
    number(&answer, "limit")
}

/// The number behind `"key": ` in one line of JSON.
fn number(json: &str, key: &str) -> u64 {
    let (_, behind) = json.split_once(&format!("\"{key}\": ")).unwrap_or_else(|| {
        panic!("no {key} in {json}");
    });
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{key} is no number in {json}"))
}

#[test]
fn a_second_of_load_is_acknowledged_delivered_and_all_in_the_history() {
    let server = server();
    for codec in ["binary", "json"] {
        let pid = server.pid().to_string();
        let (code, out, error) = bench(
            &server,
            &[
                "--clients=3",
                "--pipeline=4",
                "--size=50",
                "--idle=5",
                "--json",
                "--protocol",
                codec,
                "--server-pid",
                &pid,
            ],
        );
        assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
        assert_eq!(out.lines().count(), 1, "{out}");
        let acknowledged = number(&out, "acknowledged");
        assert!(acknowledged > 0, "{out}");
        for key in ["delivered", "checked"] {
            assert_eq!(number(&out, key), acknowledged, "{key}: {out}");
        }
        assert_eq!(number(&out, "history_read"), 2 * acknowledged, "{out}");
        for key in ["missing", "doubled", "damaged", "refused", "disordered", "lagging"] {
            assert_eq!(number(&out, key), 0, "{key}: {out}");
        }
        for (key, value) in [("clients", 3), ("pipeline", 4), ("size", 50), ("idle", 5)] {
            assert_eq!(number(&out, key), value, "{out}");
        }
        let [p50, p90, p99, max] = ["p50", "p90", "p99", "max"].map(|key| number(&out, key));
        assert!(0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= max, "{out}");
        assert!(number(&out, "acknowledged_per_s") > 0 && number(&out, "delivered_per_s") > 0);
        // Five sessions that ping every 1.5 to 2 seconds, for one.
        assert!((1..=5).contains(&number(&out, "idle_pings_per_s")), "{out}");
        assert!(out.contains("\"idle_cpu_percent\": "), "{out}");
        assert!(number(&out, "start") > 0 && out.contains("\"method\": \"Method: "), "{out}");
        assert!(out.contains(&format!("\"protocol\": \"{codec}\"")), "{out}");
    }
}

#[test]
fn a_lone_client_sends_the_number_of_messages_asked_for_and_people_can_read_the_figures() {
    let server = server();
    let (code, out, error) = bench(&server, &["--clients=1", "--pipeline=1", "--messages=7"]);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("1 clients, 1 in flight each, 128 bytes, binary, at "), "{out}");
    for line in [
        "acknowledged           7 in ",
        "delivered              7 in ",
        "latency, us  p50 ",
        " 7 acknowledged messages checked: 0 missing, 0 doubled, 0 damaged\n",
        "\nMethod: ",
    ] {
        assert!(out.contains(line), "no {line:?} in {out}");
    }
}

#[test]
fn people_can_read_what_idle_sessions_cost() {
    let server = server();
    let pid = server.pid().to_string();
    let (code, out, error) =
        bench(&server, &["--clients=1", "--messages=1", "--idle=20", "--server-pid", &pid]);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    let line = out.lines().find(|line| line.starts_with("idle ")).expect("a line of its own");
    let words: Vec<&str> = line.split_whitespace().collect();
    let pings: u64 = words[3].parse().expect("a number of pings");
    assert!((5..=20).contains(&pings), "{line}");
    assert!(
        line.contains("20 sessions, ") && line.ends_with(" % of a core in the server"),
        "{line}"
    );
}

#[test]
fn the_accounts_of_a_run_are_deleted_unless_they_are_to_be_kept() {
    let server = server();
    for (arguments, left) in [(&[][..], 0), (&["--keep"], 3)] {
        let arguments = [&["--clients=3", "--messages=10"], arguments].concat();
        assert_eq!(bench(&server, &arguments).0, Some(0));
        assert_eq!(accounts(&server), left, "{arguments:?}");
    }
}

#[test]
fn ctrl_c_ends_the_load_early_with_the_figures_so_far() {
    let server = server();
    let mut pty = Pty::open();
    let mut command =
        chatctl(&["bench-load", "--servers", server.address(), "--seconds=3600", "--json"]);
    let mut child = spawn_on_pty(command.args(["--clients=2", "--pipeline=1"]), &pty).unwrap();
    pty.read_until(" delivered/s, ");
    pty.type_text("\u{3}");
    let out = pty.read_until("\"method\"");
    assert!(out.contains("\"interrupted\": true"), "{out}");
    assert!(out.contains("\"missing\": 0, \"doubled\": 0"), "{out}");
    pty.read_until("}\r\n");
    assert_eq!(exit_of(&mut child).code(), Some(0));
    assert_eq!(accounts(&server), 0, "they are deleted all the same");
}

#[test]
fn where_no_server_is_it_says_so_and_ends_with_1() {
    let (code, out, error) = run(&["bench-load", "--servers", "127.0.0.1:1,unix:/nonexistent/s"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let said = "chatctl bench-load: cannot connect to unix:/nonexistent/s: ";
    assert!(error.starts_with(said) && error.contains("is a server running"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn more_than_the_most_of_a_figure_is_wrong_usage_and_the_most_is_not() {
    let (clients, pipeline) = (limits::BENCH_CLIENTS as u64, limits::BENCH_PIPELINE as u64);
    let figures = [
        ("bench-load", "--clients", clients),
        ("bench-load", "--pipeline", pipeline),
        ("bench-codec", "--runs", limits::BENCH_RUNS.into()),
    ];
    for (subcommand, flag, most) in figures {
        let (code, _, error) = run(&[subcommand, &format!("{flag}={}", most + 1)]);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(flag) && error.contains(&most.to_string()), "{error}");
        // The mistake behind it is the first that is found.
        let (code, _, error) = run(&[subcommand, &format!("{flag}={most}"), "--no-such-flag"]);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("unknown flag '--no-such-flag'"), "{error}");
    }
}

#[test]
fn so_many_redirects_are_followed_and_a_circle_of_them_ends_with_a_sentence() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    let asked = Arc::new(AtomicU32::new(0));
    let (count, to) = (asked.clone(), address.clone());
    serve(listener, move |mut stream| {
        // The first connection asks nothing: it shows that somebody is there.
        if stream.read(&mut [0; 4_096]).is_ok_and(|bytes| bytes > 0) {
            count.fetch_add(1, Ordering::Relaxed);
            let (cmd, to) = ("redirect".into(), to.as_str().into());
            let redirect = Message { cmd, to, ..Message::default() };
            let mut bytes = Vec::new();
            framing::put(&mut bytes, Form::Frames, Codec::Binary, &redirect);
            let _ = stream.write_all(&bytes);
        }
    });
    let (code, _, error) = run(&["bench-load", "--servers", &address]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("this server is not PRIMARY: put "), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), limits::REDIRECTS + 1);
}

#[test]
fn figures_out_of_their_bounds_end_with_2() {
    for flag in [
        "--clients=0",
        "--clients=10001",
        "--pipeline=0",
        "--pipeline=4097",
        "--size=0",
        "--size=65536",
        "--seconds=0",
        "--messages=0",
        "--protocol=xml",
        "--servers=no where",
        "--server-pid=0",
        "--idle=-1",
    ] {
        let (code, out, error) = run(&["bench-load", flag]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{flag}");
        let name = flag.split('=').next().unwrap();
        assert!(error.contains(name), "{flag}: {error}");
    }
}
