//! Standard error: nobody waits for whoever reads it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use chatctl::limits;
use chatctl::sys::signal;

use crate::support::TempDir;
use crate::support::bounded::Bounded;
use crate::support::server::{Launch, PATIENCE, TestServer};

const O_NONBLOCK: u32 = 0o4000;

/// A server that tells everything, and the other end of its standard error, which is full.
fn talkative(home: &TempDir) -> (TestServer, Bounded<UnixStream>) {
    let (mut near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let full = loop {
        if let Err(error) = near.write(&[b'.'; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    near.set_nonblocking(false).unwrap();
    let launch = Launch::on(&home.path().join("data")).flags(&["--trace", "debug"]);
    let started = launch.spawn_to(Stdio::from(OwnedFd::from(near))).ready();
    (started.expect("it starts"), Bounded::new(far, "a line on standard error"))
}

/// Has it tell more than may wait.
fn make_it_talk(server: &TestServer) {
    for _ in 0..limits::TRACE_LINES + 500 {
        drop(server.connect());
    }
}

#[test]
fn a_full_standard_error_holds_up_nobody_and_what_was_dropped_is_counted() {
    let home = TempDir::new("stderr-full");
    let (server, mut far) = talkative(&home);
    let mut alice = server.create("alice");
    make_it_talk(&server);
    alice.tell("alice", "is served");
    // The user's shell has the same descriptor: it stays as it was.
    let info = fs::read_to_string(format!("/proc/{}/fdinfo/2", server.pid())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    assert_eq!(u32::from_str_radix(flags, 8).unwrap() & O_NONBLOCK, 0, "{info}");

    let (by, mut read) = (Instant::now() + PATIENCE, Vec::new());
    let mut chunk = [0; 65_536];
    let (told, counted) = loop {
        let count = far.read(&mut chunk).expect("how many lines were dropped is told");
        read.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&read);
        if let Some((before, _)) = text.split_once(" lines were dropped here") {
            let told = before.lines().count() - 1;
            break (told, before.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
        }
        assert!(Instant::now() < by, "no count is told");
    };
    assert!(counted > 0);
    // Some are on their way to be written beside those that wait.
    let fits = limits::TRACE_LINES..2 * limits::TRACE_LINES;
    assert!(fits.contains(&told), "{told} lines are told");
    alice.tell("alice", "is served");
}

#[test]
fn a_server_whose_standard_error_is_full_stops_at_sigterm_in_the_usual_time() {
    let stop_ms = || {
        let home = TempDir::new("stderr-stop");
        let (mut server, _far) = talkative(&home);
        make_it_talk(&server);
        server.create("alice").tell("alice", "is stored");
        let started = Instant::now();
        server.signal(signal::TERM);
        let usual = Duration::from_millis(limits::STOP_MS + limits::TRACE_FLUSH_MS);
        assert!(server.wait_within(usual + Duration::from_secs(5)).status.success());
        started.elapsed().as_millis() as u64
    };
    // Again where it takes longer: this machine may have other things to do.
    let fits = limits::TRACE_FLUSH_MS..4 * limits::TRACE_FLUSH_MS;
    assert!((0..3).any(|_| fits.contains(&stop_ms())), "{fits:?} ms are the usual time");
}
