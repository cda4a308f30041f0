//! Waits without a bound: what the tests may not use outside `tests/support/bounded`, which has a
//! helper for each that ends.

use std::path::Path;

use super::source::words_and_literals;
use super::{root, rust_files};

/// What waits for ever, as words of the language, and what to use of `support::bounded` instead.
const UNBOUNDED: [(&str, &str); 27] = [
    // What gives a pipe or socket whose reads and writes wait for ever.
    ("TcpStream : : connect (", "connected or dial"),
    ("TcpStream : : connect_timeout (", "dial"),
    ("UnixStream : : connect (", "dial_unix"),
    ("UnixStream : : pair (", "a listener and dial_unix"),
    (". accept ( )", "Accept::next_connection"),
    (". incoming ( )", "serve"),
    (". stdin . take ( )", "Pipes::input or close_input"),
    (". stdin . as_mut ( )", "Pipes::input"),
    (". stdout . take ( )", "Pipes::lines, Gathered::output or Pipes::close_output"),
    (". stdout . as_mut ( )", "Pipes::lines"),
    (". stderr . take ( )", "Pipes::errors or Gathered::errors"),
    (". stderr . as_mut ( )", "Pipes::errors"),
    ("io : : pipe (", "Pipes"),
    ("io : : stdin (", "Run::try_run_with in a program of its own"),
    (". recv_from (", "a socket with a timeout"),
    // Programs and threads.
    (". output ( )", "Run::run"),
    (". status ( )", "Run::run"),
    (". wait ( )", "exit_of or killed"),
    (". wait_with_output (", "output_of"),
    (". join ( )", "joined or joined_scoped"),
    ("thread : : scope (", "scope"),
    ("thread : : park (", "until_killed, or park_timeout"),
    // Between threads.
    ("mpsc", "channel, received and next_of"),
    (". recv ( )", "received or next_of"),
    (". wait_while (", "wait_timeout_while"),
    ("Barrier", "channel"),
    ("Condvar", "channel, or eventually"),
];

/// Where a file uses one of them all the same, and why that ends.
const ALLOWED: [(&str, &str, &str); 9] = [
    ("tests/raft/", ". output ( )", "Solo::output runs no program: the core is pure"),
    ("tests/support/log.rs", ". wait ( )", "the product's own wait, under a Watchdog"),
    ("tests/support/names.rs", ". recv_from (", "a DNS server, for which nobody waits"),
    ("tests/support/relay.rs", "mpsc", "its threads look every LOOK, and are joined with a bound"),
    ("tests/support/relay.rs", "Condvar", "the same: it is waited for with wait_timeout"),
    ("tests/soak/tally.rs", "Condvar", "it is waited for with wait_timeout_while"),
    ("tests/cluster/many.rs", "TcpStream : : connect (", "it is mio's, and does not wait"),
    ("tests/server/stderr.rs", "UnixStream : : pair (", "one end is the server's, one Bounded"),
    (
        "tests/support/bounded/",
        "",
        "the helpers, each of which tests/support/bounded/vain.rs tries",
    ),
];

/// The waits without a bound in a source, each with its line and what to use instead.
fn unbounded(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let words = words_and_literals(text);
    let mut found = Vec::new();
    for (pattern, instead) in UNBOUNDED {
        let pattern_words: Vec<&str> = pattern.split(' ').collect();
        for at in words.windows(pattern_words.len()) {
            if at.iter().map(|(_, word)| *word).eq(pattern_words.iter().copied()) {
                found.push((at[0].0, pattern, instead));
            }
        }
    }
    found.sort_unstable();
    found
}

#[test]
fn every_wait_of_a_test_is_one_that_ends() {
    let (mut faults, mut used) = (Vec::new(), vec![false; ALLOWED.len()]);
    for file in rust_files(&root().join("tests")) {
        let path = Path::new("tests").join(&file).display().to_string();
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        for (line, pattern, instead) in unbounded(&text) {
            let allowed = ALLOWED.iter().position(|(place, what, _)| {
                path.starts_with(place) && (what.is_empty() || *what == pattern)
            });
            match allowed {
                Some(place) => used[place] = true,
                None => {
                    let what = pattern.replace(' ', "");
                    faults.push(format!("{path}:{line}: {what} may wait for ever: use {instead}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    let unused = ALLOWED.iter().zip(used).filter(|(_, used)| !used);
    let unused: Vec<_> = unused.map(|((place, what, _), _)| (place, what)).collect();
    assert!(unused.is_empty(), "allowed, but not used any more: {unused:?}");
}

#[test]
fn a_planted_wait_without_a_bound_is_found() {
    for (text, pattern) in [
        ("let s = std::net::TcpStream::connect(address).unwrap();", "TcpStream : : connect ("),
        ("UnixStream::connect(\n    path)", "UnixStream : : connect ("),
        ("let (stream, _) = listener\n    .accept()?;", ". accept ( )"),
        ("child.stdin.take().unwrap().write_all(b\"x\")", ". stdin . take ( )"),
        ("BufReader::new(child.stdout.take().unwrap())", ". stdout . take ( )"),
        ("Command::new(\"cp\").arg(a).output().unwrap()", ". output ( )"),
        ("Command::new(\"cp\").arg(a).status().unwrap()", ". status ( )"),
        ("let _ = child.wait();", ". wait ( )"),
        ("thread.join().unwrap()", ". join ( )"),
        ("std::thread::scope(|scope| work(scope))", "thread : : scope ("),
        ("loop { std::thread::park(); }", "thread : : park ("),
        ("use std::sync::mpsc::Receiver;", "mpsc"),
        ("while let Ok(next) = inbox.recv() {}", ". recv ( )"),
        ("changed.wait_while(state, stalled)", ". wait_while ("),
    ] {
        let found: Vec<_> = unbounded(text).iter().map(|(_, pattern, _)| *pattern).collect();
        assert_eq!(found, [pattern], "{text}");
    }
}

#[test]
fn waits_that_end_and_words_in_comments_and_strings_are_none_without_a_bound() {
    for text in [
        "// child.wait()\n/// `TcpStream::connect(x)`\nconst A: &str = \"thread.join()\";",
        "let path = folder.join(name); let all = names.join(\", \"); solo.wait(100);",
        "inbox.recv_timeout(time); std::thread::park_timeout(time); child.try_wait();",
        "output.status.success() && mesh.accept(name) && mesh.output(key)",
        "changed.wait_timeout_while(counts, time, before)",
    ] {
        assert_eq!(unbounded(text), [], "{text}");
    }
}
