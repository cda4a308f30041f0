//! Waits that end. Everything a test waits for has a bound here, and past it the test fails with a
//! sentence that says what it waited for and what came instead: a test that hangs tells nobody what is
//! wrong, and hides what the tests behind it would say.

mod programs;
mod streams;
#[cfg(test)]
mod vain;

pub use programs::{Gathered, Pipes, Run, exit_of, killed, output_of, until_killed};
pub use streams::{Accept, Bounded, connected, dial, dial_unix, fifo_writer, readable, serve};

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{JoinHandle, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

pub use std::sync::mpsc::{Sender, channel};

/// How long a test waits for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a program that a test starts may run.
pub const RUN: Duration = Duration::from_secs(120);
/// How long a child may take to end that has nothing more to wait for.
pub const END: Duration = Duration::from_secs(60);
/// How long a whole test may take: the last resort, where a bound can only end the process.
pub const WHOLE: Duration = Duration::from_secs(600);
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

/// The end of a channel where a thread's messages arrive.
pub type Inbox<T> = Receiver<T>;

/// The next message of a thread; fails when none comes within [`PATIENCE`], or never will.
pub fn received<T>(from: &Inbox<T>, what: &str) -> T {
    received_within(PATIENCE, from, what)
}

/// As [`received`], with a bound of the caller's.
pub fn received_within<T>(patience: Duration, from: &Inbox<T>, what: &str) -> T {
    let next = next_within(patience, from, what);
    next.unwrap_or_else(|| panic!("every thread that could send it has ended: {what}"))
}

/// The next message, or `None` once every sender has ended; fails when neither comes within
/// [`PATIENCE`].
pub fn next_of<T>(from: &Inbox<T>, what: &str) -> Option<T> {
    next_within(PATIENCE, from, what)
}

/// Whether every sender of a channel on which nothing comes has ended, within `time`.
pub fn is_closed_within<T>(time: Duration, inbox: &Inbox<T>) -> bool {
    matches!(inbox.recv_timeout(time), Err(RecvTimeoutError::Disconnected))
}

fn next_within<T>(patience: Duration, from: &Inbox<T>, what: &str) -> Option<T> {
    match from.recv_timeout(patience) {
        Ok(next) => Some(next),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("after {patience:?} still not so: {what}"),
    }
}

/// As [`std::thread::scope`]. A scope waits for its threads whatever happens, so when `what` is not
/// so within `patience` this ends the process with a sentence.
pub fn scope<'env, T>(
    patience: Duration,
    what: &str,
    work: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
) -> T {
    let _watchdog = Watchdog::new(patience, what);
    std::thread::scope(work)
}

/// Does `work` on a thread of its own, which may borrow, and fails as it fails; bounded as
/// [`scope`] is.
pub fn on_thread<T: Send>(patience: Duration, what: &str, work: impl FnOnce() -> T + Send) -> T {
    scope(patience, what, |scope| {
        let done = scope.spawn(work).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What a thread of a [`scope`] gives; the sentence, for a caller that has more to say or to do, where
/// it does not end within `patience`.
pub fn joined_scoped<T>(
    patience: Duration,
    thread: ScopedJoinHandle<'_, T>,
    what: &str,
) -> Result<T, String> {
    eventually_or(what, patience, || thread.is_finished().then_some(()))?;
    Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Locks what whole tests hold; fails when it is not free within `patience`.
pub fn locked<'a>(patience: Duration, lock: &'a Mutex<()>, what: &str) -> MutexGuard<'a, ()> {
    eventually(what, patience, || match lock.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(failed)) => Some(PoisonError::into_inner(failed)),
        Err(TryLockError::WouldBlock) => None,
    })
}
