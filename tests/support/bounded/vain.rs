//! Waits in vain: each fails with a sentence.

use std::io::{BufRead, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use super::programs::output_within;
use super::streams::readable_within;
use super::*;
use crate::support::TempDir;
use crate::support::sys::silent_listener;

const SOON: Duration = Duration::from_millis(100);

/// The sentence that `wait` fails with; it must fail.
fn failure_of(wait: impl FnOnce() + Send + 'static) -> String {
    let failed = std::thread::spawn(wait).join().expect_err("the wait must fail");
    failed.downcast_ref::<String>().cloned().expect("a sentence")
}

#[test]
fn a_wait_that_is_in_vain_fails_with_a_sentence_and_leaves_no_process_behind() {
    let said = failure_of(move || eventually("pigs fly", SOON, || None));
    assert_eq!(said, "after 100ms still not so: pigs fly");
    let said = failure_of(move || {
        let thread = std::thread::spawn(|| std::thread::sleep(Duration::from_secs(3)));
        joined_within(SOON, thread, "the thread ends");
    });
    assert_eq!(said, "after 100ms still not so: the thread ends");

    let mut rounds = Rounds::new(2, "it converges");
    let said = failure_of(move || (0..3).for_each(|_| rounds.count()));
    assert_eq!(said, "after 2 rounds still not so: it converges");

    let script = "echo out; echo \"$$ error\" >&2; exec sleep 1000";
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("a shell");
    let process = format!("/proc/{}", child.id());
    // More input than a pipe holds, which it does not read.
    let input = vec![b'x'; 1 << 20];
    let said = failure_of(move || {
        drop(output_within(child, Duration::from_secs(1), "it ends", Some(&input)));
    });
    assert!(said.starts_with("after 1s still not so: it ends; it wrote \"out\\n\""), "{said}");
    assert!(said.contains(" error"), "{said}");
    assert!(!Path::new(&process).exists(), "it was killed");
}

#[test]
fn a_read_or_write_that_is_in_vain_fails_with_a_sentence() {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    let mut silent = Bounded::within(SOON, near.try_clone().expect("a copy"), "an answer");
    let said = failure_of(move || drop(silent.read(&mut [0])));
    assert_eq!(said, "after 100ms still not so: an answer comes");
    let copies = [near.try_clone().expect("a copy"), near.try_clone().expect("a copy")];
    let said = failure_of(move || drop(readable_within(SOON, &copies, "one is answered")));
    assert_eq!(said, "after 100ms still not so: one is answered");
    let mut full = Bounded::within(SOON, near, "an answer");
    let said = failure_of(move || drop(full.write_all(&[0; 1 << 22])));
    assert_eq!(said, "after 100ms still not so: what is written is read (an answer)");
    drop(far);

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    let mut full = Bounded::within(SOON, dial(&address, PATIENCE).expect("it listens"), "x");
    let said = failure_of(move || drop(full.write_all(&[0; 1 << 24])));
    assert_eq!(said, "after 100ms still not so: what is written is read (x)");

    // A pipe, whose reader has not read one line of it.
    let mut command = Command::new("sleep");
    command.arg("1000").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("sleep runs");
    let input = child.stdin.take().expect("it is a pipe");
    let mut full = Bounded::within(SOON, input, "the input");
    let said = failure_of(move || drop(full.write_all(&[0; 1 << 20])));
    assert_eq!(said, "after 100ms still not so: what is written is read (the input)");
    let mut lines = child.lines_within(SOON, "a line");
    let said = failure_of(move || drop(lines.read_line(&mut String::new())));
    assert_eq!(said, "after 100ms still not so: a line comes");
    killed(&mut child);

    // A terminal, on which nothing reads.
    let pty = crate::support::sys::Pty::open();
    let said = failure_of(move || {
        let mut typed = Bounded::within(SOON, pty.master(), "keys");
        let _ = typed.write_all("line\n".repeat(1 << 18).as_bytes());
    });
    assert_eq!(said, "after 100ms still not so: what is written is read (keys)");
}

#[test]
fn a_connection_that_is_wanted_in_vain_fails_with_a_sentence() {
    let (_listener, first) = silent_listener("127.0.0.1:0");
    let address = first.peer_addr().expect("it is connected").to_string();
    let error = dial(&address, SOON).expect_err("the queue is full");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");

    let home = TempDir::new("full-queue");
    let path = home.path().join("socket");
    let listener = UnixListener::bind(&path).expect("the path is free");
    let mut waiting = Vec::new();
    let error = loop {
        match dial_unix(&path, SOON) {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "after 100ms its queue of connections is still full");
    assert!(!waiting.is_empty());
    drop(listener.next_connection());
    drop(dial_unix(&path, SOON).expect("there is room for one again"));
}

#[test]
fn a_message_or_a_lock_that_is_waited_for_in_vain_fails_with_a_sentence() {
    let (sender, inbox) = channel::<()>();
    let said = failure_of(move || received_within(SOON, &inbox, "it is told"));
    assert_eq!(said, "after 100ms still not so: it is told");
    drop(sender);
    let (sender, inbox) = channel::<()>();
    drop(sender);
    assert_eq!(next_of(&inbox, "it is told"), None);
    let said = failure_of(move || received(&inbox, "it is told"));
    assert_eq!(said, "every thread that could send it has ended: it is told");

    static LOCK: Mutex<()> = Mutex::new(());
    let _held = locked(SOON, &LOCK, "the lock is free");
    let said = failure_of(|| drop(locked(SOON, &LOCK, "the lock is free")));
    assert_eq!(said, "after 100ms still not so: the lock is free");
}

/// Not a test by itself: what the next one starts as a program of its own, which the variable tells.
#[test]
fn a_program_whose_scoped_thread_hangs() {
    if std::env::var_os("CHATCTL_TEST_HANGING_SCOPE").is_some() {
        scope(SOON, "the thread ends", |scope| drop(scope.spawn(until_killed)));
    }
}

#[test]
fn a_scope_whose_thread_hangs_ends_the_process_with_a_sentence() {
    let mut command = Command::new(std::env::current_exe().expect("it has a path"));
    command.args(["--exact", "support::bounded::vain::a_program_whose_scoped_thread_hangs"]);
    let output = command.env("CHATCTL_TEST_HANGING_SCOPE", "1").run();
    assert_eq!(output.status.code(), Some(101));
    let said = String::from_utf8_lossy(&output.stderr);
    let sentence = "after 100ms still not so: the thread ends; the tests end here\n";
    assert!(said.contains(sentence), "{said}");
}
