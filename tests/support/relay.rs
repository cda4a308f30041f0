//! What lies between two hosts when they are far from each other: everything arrives, in order, but
//! later, and for a while perhaps nothing does.
//!
//! Each host has a relay of its own, to which its packets to the others' peer ports are sent; so
//! what a relay sends on has its host's address, and partitions are what they are without it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chatctl::sys::poll;

use super::bounded::{Accept, dial, joined};
use super::hosts::{Hosts, RELAYED_PORT, address, relay_port};
use super::{Rng, sys};

/// Pieces of a stream that are on their way at once; more wait in the sender's socket.
const ON_THE_WAY: usize = 256;
/// How often the threads look whether all is over.
const LOOK: Duration = Duration::from_millis(200);

/// The way from each host to each other one.
pub struct Relay {
    servers: usize,
    ways: Arc<Ways>,
}

struct Ways {
    servers: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Of the way from host f to host t, at f * servers + t.
    ways: Vec<Way>,
    rng: Rng,
    over: bool,
    /// Those that may still run.
    threads: Vec<JoinHandle<()>>,
}

#[derive(Clone, Copy, Default)]
struct Way {
    most_ms: u64,
    stalled: bool,
}

impl Relay {
    /// Puts one between all of these hosts, before there are connections.
    pub fn between(hosts: &Hosts, seed: u64) -> Result<Relay, String> {
        let servers = hosts.servers();
        let state = State {
            ways: vec![Way::default(); servers * servers],
            rng: Rng::new(seed),
            over: false,
            threads: Vec::new(),
        };
        let ways = Arc::new(Ways { servers, state: Mutex::new(state), changed: Condvar::new() });
        for from in 0..servers {
            hosts.relay(from)?;
            for to in (0..servers).filter(|to| *to != from) {
                sys::in_namespace(&hosts.file(from), || {
                    let listener = TcpListener::bind(("0.0.0.0", relay_port(to)))
                        .expect("the port is free: the host is new");
                    ways.start(|ways| move || accept(&listener, (from, to), &ways));
                });
            }
        }
        Ok(Relay { servers, ways })
    }

    /// From now on each piece takes up to so long from one host to another, both ways.
    pub fn delay(&self, one: usize, other: usize, most_ms: u64) {
        self.change(one, other, |way| way.most_ms = most_ms);
    }

    /// From now on nothing arrives from one host at another, nor back; it will later.
    pub fn stall(&self, one: usize, other: usize) {
        self.change(one, other, |way| way.stalled = true);
    }

    /// Everything arrives at once, also what was stalled.
    pub fn clear(&self) {
        let mut state = self.ways.state.lock().expect("no relay fails");
        state.ways.fill(Way::default());
        self.ways.changed.notify_all();
    }

    fn change(&self, one: usize, other: usize, change: impl Fn(&mut Way)) {
        let mut state = self.ways.state.lock().expect("no relay fails");
        change(&mut state.ways[one * self.servers + other]);
        change(&mut state.ways[other * self.servers + one]);
        self.ways.changed.notify_all();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ways.state.lock().expect("no relay fails").over = true;
        self.ways.changed.notify_all();
        if std::thread::panicking() {
            return;
        }
        // A thread that still runs may have started another.
        while let Some(thread) = self.ways.next_thread() {
            joined(thread, "a relay that is over ends its threads");
        }
    }
}

impl Ways {
    /// Starts a thread, which looks every [`LOOK`] whether all is over.
    fn start<W: FnOnce() + Send + 'static>(self: &Arc<Ways>, work: impl FnOnce(Arc<Ways>) -> W) {
        let thread = std::thread::spawn(work(self.clone()));
        let mut state = self.state.lock().expect("no relay fails");
        state.threads.retain(|thread| !thread.is_finished());
        state.threads.push(thread);
    }

    fn next_thread(&self) -> Option<JoinHandle<()>> {
        self.state.lock().expect("no relay fails").threads.pop()
    }

    fn is_over(&self) -> bool {
        self.state.lock().expect("no relay fails").over
    }

    /// When a piece that is sent now arrives, if nothing stalls it.
    fn due(&self, from: usize, to: usize) -> Instant {
        let mut state = self.state.lock().expect("no relay fails");
        let most_us = 1_000 * state.ways[from * self.servers + to].most_ms;
        Instant::now() + Duration::from_micros(state.rng.below(most_us + 1))
    }

    /// Waits until a piece arrives; false when all is over.
    fn wait(&self, from: usize, to: usize, due: Instant) -> bool {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut state = self.state.lock().expect("no relay fails");
        while state.ways[from * self.servers + to].stalled && !state.over {
            (state, _) = self.changed.wait_timeout(state, LOOK).expect("no relay fails");
        }
        !state.over
    }
}

/// Takes the connections of host `from` to host `to`, in the namespace of the former.
fn accept(listener: &TcpListener, (from, to): (usize, usize), ways: &Arc<Ways>) {
    let there = format!("{}:{RELAYED_PORT}", address(to));
    while !ways.is_over() {
        let mut fds = [poll::PollFd::new(listener.as_raw_fd(), true, false)];
        if poll::wait(&mut fds, Some(LOOK.as_millis() as u64)).unwrap_or(0) == 0 {
            continue;
        }
        let (near, _) = listener.next_connection();
        let there = there.clone();
        ways.start(|ways| {
            move || {
                // Where nobody is there, this connection is closed too.
                let Ok(far) = dial(&there, Duration::from_secs(1)) else {
                    return;
                };
                let both = || -> io::Result<()> {
                    near.set_nodelay(true)?;
                    far.set_nodelay(true)?;
                    carry(near.try_clone()?, far.try_clone()?, (from, to), &ways);
                    carry(far, near, (to, from), &ways);
                    Ok(())
                };
                let _ = both();
            }
        });
    }
}

/// Carries a stream one way, with one thread at each end of it.
fn carry(source: TcpStream, target: TcpStream, way: (usize, usize), ways: &Arc<Ways>) {
    let (sender, receiver) = sync_channel(ON_THE_WAY);
    ways.start(|ways| move || take(source, &sender, way, &ways));
    ways.start(|ways| move || give(target, &receiver, way, &ways));
}

type Piece = (Instant, Vec<u8>);

fn take(mut source: TcpStream, pieces: &SyncSender<Piece>, way: (usize, usize), ways: &Ways) {
    let _ = source.set_read_timeout(Some(LOOK));
    let mut chunk = vec![0; 64 * 1024];
    while !ways.is_over() {
        match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => {
                if pieces.send((ways.due(way.0, way.1), chunk[..count].to_vec())).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
}

fn give(mut target: TcpStream, pieces: &Receiver<Piece>, way: (usize, usize), ways: &Ways) {
    let _ = target.set_write_timeout(Some(LOOK));
    loop {
        match pieces.recv_timeout(LOOK) {
            Ok((due, piece)) => {
                let arrives = ways.wait(way.0, way.1, due);
                if !arrives || write_all(&mut target, &piece, ways).is_err() {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) if !ways.is_over() => {}
            Err(_) => break,
        }
    }
    // The news of the end is late too.
    if ways.wait(way.0, way.1, ways.due(way.0, way.1)) {
        let _ = target.shutdown(Shutdown::Write);
    }
}

/// Writes a piece, for as long as the host takes for it; fails when all is over before.
fn write_all(target: &mut TcpStream, mut piece: &[u8], ways: &Ways) -> io::Result<()> {
    while !piece.is_empty() {
        match target.write(piece) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => piece = &piece[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !ways.is_over() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
