//! Waits that end. Everything a test waits for has a bound here, and past it the test fails with a
//! sentence that says what it waited for and what came instead: a test that hangs tells nobody what is
//! wrong, and hides what the tests behind it would say.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chatctl::sys::poll::{self, PollFd};

/// How long a test waits for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a program that a test starts may run.
pub const RUN: Duration = Duration::from_secs(120);
/// How long a child may take to end that has nothing more to wait for.
pub const END: Duration = Duration::from_secs(60);
/// How long a wait sleeps between two looks at a fact of which no event tells.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The bound of a loop in a test: each round calls [`Bound::check`].
pub struct Bound {
    what: String,
    patience: Duration,
    began: Instant,
}

impl Bound {
    /// `what` must be so within [`PATIENCE`].
    pub fn new(what: impl Into<String>) -> Bound {
        Bound::within(PATIENCE, what)
    }

    /// `what` must be so within `patience`.
    pub fn within(patience: Duration, what: impl Into<String>) -> Bound {
        Bound { what: what.into(), patience, began: Instant::now() }
    }

    /// Fails once the time is over.
    pub fn check(&self) {
        self.check_with(String::new);
    }

    /// As [`Bound::check`]; `seen` adds what there is instead.
    pub fn check_with(&self, seen: impl FnOnce() -> String) {
        if self.began.elapsed() >= self.patience {
            let (patience, what, seen) = (self.patience, &self.what, seen());
            let between = if seen.is_empty() { "" } else { ", but: " };
            panic!("after {patience:?} still not so: {what}{between}{seen}");
        }
    }

    /// Fails once the time is over; otherwise sleeps for a moment.
    pub fn pause(&self) {
        self.check();
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The bound of a loop that waits for nothing outside: a number of rounds, which a correct program
/// does not reach.
pub struct Rounds {
    what: &'static str,
    most: u64,
    done: u64,
}

impl Rounds {
    /// `what` must be so within `most` rounds.
    pub fn new(most: u64, what: &'static str) -> Rounds {
        Rounds { what, most, done: 0 }
    }

    /// Counts a round, and fails past the last.
    pub fn count(&mut self) {
        self.done += 1;
        assert!(self.done <= self.most, "after {} rounds still not so: {}", self.most, self.what);
    }
}

/// Ends this process with a sentence unless it is dropped in time: for work in which the product's own
/// loops may never end, so that no check of the test's is reached.
pub struct Watchdog {
    _done: Sender<()>,
}

impl Watchdog {
    /// `what` must be so within `patience`.
    pub fn new(patience: Duration, what: impl Into<String>) -> Watchdog {
        let ((done, is_done), what) = (channel::<()>(), what.into());
        std::thread::spawn(move || {
            if is_done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                // The test's output is being gathered, and would go with the process.
                let line =
                    format!("\nafter {patience:?} still not so: {what}; the tests end here\n");
                let _ = io::stderr().write_all(line.as_bytes());
                std::process::exit(101);
            }
        });
        Watchdog { _done: done }
    }
}

/// Asks `ask` again and again until it gives something; fails when that takes longer than
/// `patience`. For facts of other processes, of which no event tells.
pub fn eventually<T>(what: &str, patience: Duration, ask: impl FnMut() -> Option<T>) -> T {
    eventually_or(what, patience, ask).unwrap_or_else(|sentence| panic!("{sentence}"))
}

/// As [`eventually`]; the sentence, for a caller that has more to say, where it fails.
pub fn eventually_or<T>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if began.elapsed() >= patience {
            return Err(format!("after {patience:?} still not so: {what}"));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Waits until a child has ended; kills it and fails when it runs on. Standard input, which the
/// child may be reading, is closed first.
pub fn exit_of(child: &mut Child) -> ExitStatus {
    drop(child.stdin.take());
    exit_within(child, END, "the child ends").unwrap_or_else(|sentence| panic!("{sentence}"))
}

fn exit_within(child: &mut Child, patience: Duration, what: &str) -> Result<ExitStatus, String> {
    let ended = eventually_or(what, patience, || child.try_wait().expect("the child is ours"));
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    ended
}

/// Waits until a child has ended and gives what it wrote to the pipes that it has; kills it and fails,
/// showing that, when it runs on. Standard input is closed first.
pub fn output_of(child: Child) -> Output {
    output_within(child, END, "the child ends")
}

fn output_within(mut child: Child, patience: Duration, what: &str) -> Output {
    drop(child.stdin.take());
    let out = child.stdout.take().map(Gathered::start);
    let error = child.stderr.take().map(Gathered::start);
    let ended = exit_within(&mut child, patience, what);
    let [stdout, stderr] =
        [out, error].map(|gathered| gathered.map_or(Vec::new(), |gathered| gathered.all(what)));
    match ended {
        Ok(status) => Output { status, stdout, stderr },
        Err(sentence) => panic!(
            "{sentence}; it wrote {:?} and to standard error {:?}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        ),
    }
}

/// What comes through a pipe, gathered by a thread.
struct Gathered {
    read: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Gathered {
    fn start(mut pipe: impl Read + Send + 'static) -> Arc<Gathered> {
        let read = Mutex::new((Vec::new(), false));
        let gathered = Arc::new(Gathered { read, changed: Condvar::new() });
        let (own, mut chunk) = (gathered.clone(), vec![0; 64 << 10]);
        std::thread::spawn(move || {
            loop {
                let result = pipe.read(&mut chunk);
                if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
                    continue;
                }
                let count = result.unwrap_or(0);
                let mut read = own.read.lock().expect("no reader fails");
                read.0.extend_from_slice(&chunk[..count]);
                read.1 = count == 0;
                own.changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        gathered
    }

    /// All of it, once the pipe is closed, which a child's children may put off.
    fn all(&self, what: &str) -> Vec<u8> {
        let read = self.read.lock().expect("no reader fails");
        let open = |read: &mut (Vec<u8>, bool)| !read.1;
        let (mut read, timeout) =
            self.changed.wait_timeout_while(read, PATIENCE, open).expect("no reader fails");
        assert!(!timeout.timed_out(), "after {PATIENCE:?} a pipe is still open: {what}");
        std::mem::take(&mut read.0)
    }
}

/// Programs that a test runs to their end.
pub trait Run {
    /// Runs it with nothing on standard input, and gives what it wrote; fails past [`RUN`].
    fn run(&mut self) -> Output;

    /// The same, where the program may not be there.
    fn try_run(&mut self) -> io::Result<Output>;
}

impl Run for Command {
    fn run(&mut self) -> Output {
        self.try_run().unwrap_or_else(|error| panic!("{self:?} cannot be run: {error}"))
    }

    fn try_run(&mut self) -> io::Result<Output> {
        self.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.spawn()?;
        Ok(output_within(child, RUN, &format!("{self:?} ends")))
    }
}

/// What a pipe or socket gives; a read fails when nothing comes within its bound.
pub struct Bounded<R> {
    inner: R,
    what: String,
    patience: Duration,
}

impl<R: Read + AsRawFd> Bounded<R> {
    /// Waits for [`PATIENCE`]; `what` is the sentence's subject: "the chat's next line".
    pub fn new(inner: R, what: impl Into<String>) -> Bounded<R> {
        Bounded::within(PATIENCE, inner, what)
    }

    /// Waits for `patience`.
    pub fn within(patience: Duration, inner: R, what: impl Into<String>) -> Bounded<R> {
        Bounded { inner, what: what.into(), patience }
    }

    /// As [`Bounded::new`], a line at a time.
    pub fn lines(inner: R, what: impl Into<String>) -> BufReader<Bounded<R>> {
        BufReader::new(Bounded::new(inner, what))
    }
}

impl<R: Read + AsRawFd> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        until_readable_within(self.patience, &self.inner, &self.what);
        self.inner.read(into)
    }
}

/// Waits until reading, or accepting, does not block.
fn until_readable_within(patience: Duration, from: &impl AsRawFd, what: &str) {
    let mut fds = [PollFd::new(from.as_raw_fd(), true, false)];
    let ready = poll::wait(&mut fds, Some(patience.as_millis() as u64)).expect("poll(2) works");
    assert!(ready > 0, "after {patience:?} still not so: {what} comes");
}

/// Listeners of a test that plays a server.
pub trait Accept {
    /// A connection.
    type Stream;
    /// Where it comes from.
    type From;

    /// The next connection; fails when none comes within [`PATIENCE`].
    fn next_connection(&self) -> (Self::Stream, Self::From);
}

impl Accept for TcpListener {
    type Stream = TcpStream;
    type From = SocketAddr;

    fn next_connection(&self) -> (TcpStream, SocketAddr) {
        until_readable_within(PATIENCE, self, "a connection");
        self.accept().expect("a connection can be accepted")
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;
    type From = UnixAddr;

    fn next_connection(&self) -> (UnixStream, UnixAddr) {
        until_readable_within(PATIENCE, self, "a connection");
        self.accept().expect("a connection can be accepted")
    }
}

/// Waits for a thread, and fails as it failed; fails too when it does not end.
pub fn joined<T>(thread: JoinHandle<T>, what: &str) -> T {
    joined_within(PATIENCE, thread, what)
}

/// As [`joined`], with a bound of the caller's.
pub fn joined_within<T>(patience: Duration, thread: JoinHandle<T>, what: &str) -> T {
    let bound = Bound::within(patience, what);
    while !thread.is_finished() {
        bound.pause();
    }
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What a thread sends; fails when nothing comes, or never will.
pub fn received<T>(from: &Receiver<T>, what: &str) -> T {
    received_within(PATIENCE, from, what)
}

/// As [`received`], with a bound of the caller's.
pub fn received_within<T>(patience: Duration, from: &Receiver<T>, what: &str) -> T {
    from.recv_timeout(patience).unwrap_or_else(|error| match error {
        RecvTimeoutError::Timeout => panic!("after {patience:?} still not so: {what}"),
        RecvTimeoutError::Disconnected => panic!("whoever would send it has ended: {what}"),
    })
}

/// The sentence that `wait` fails with; it must fail.
#[cfg(test)]
fn failure_of(wait: impl FnOnce() + Send + 'static) -> String {
    let failed = std::thread::spawn(wait).join().expect_err("the wait must fail");
    failed.downcast_ref::<String>().cloned().expect("a sentence")
}

#[test]
fn a_wait_that_is_in_vain_fails_with_a_sentence_and_leaves_no_process_behind() {
    let soon = Duration::from_millis(100);
    let said = failure_of(move || eventually("pigs fly", soon, || None));
    assert_eq!(said, "after 100ms still not so: pigs fly");
    let said = failure_of(move || {
        let thread = std::thread::spawn(|| std::thread::sleep(Duration::from_secs(3)));
        joined_within(soon, thread, "the thread ends");
    });
    assert_eq!(said, "after 100ms still not so: the thread ends");

    let mut rounds = Rounds::new(2, "it converges");
    let said = failure_of(move || (0..3).for_each(|_| rounds.count()));
    assert_eq!(said, "after 2 rounds still not so: it converges");

    let script = "echo out; echo \"$$ error\" >&2; exec sleep 1000";
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("a shell");
    let process = format!("/proc/{}", child.id());
    let said = failure_of(move || drop(output_within(child, Duration::from_secs(1), "it ends")));
    assert!(said.starts_with("after 1s still not so: it ends; it wrote \"out\\n\""), "{said}");
    assert!(said.contains(" error"), "{said}");
    assert!(!std::path::Path::new(&process).exists(), "it was killed");
}
