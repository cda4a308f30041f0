//! Signals as a descriptor to watch: a loop polls it and then asks [`Signals::next`].
//!
//! The handler sets a bit and then rings an eventfd, so no signal is lost, however many come before
//! the loop looks: like the kernel itself, it keeps one of each number. (A signalfd would need the
//! signals blocked in every thread, also those that libraries start.) Watchers have one of a few
//! slots; a signal goes to all watchers that want it.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::retry;

/// Ctrl-C.
pub const INT: i32 = libc::SIGINT;
/// A request to end.
pub const TERM: i32 = libc::SIGTERM;
/// The terminal has another size.
pub const WINCH: i32 = libc::SIGWINCH;
/// The terminal is gone.
pub const HUP: i32 = libc::SIGHUP;
/// Ctrl-Z.
pub const TSTP: i32 = libc::SIGTSTP;
/// Continued after a stop.
pub const CONT: i32 = libc::SIGCONT;
/// Ctrl-\.
pub const QUIT: i32 = libc::SIGQUIT;
/// The first signal that is free to use.
pub const USR1: i32 = libc::SIGUSR1;
/// Writing to a pipe or socket that nobody reads.
pub const PIPE: i32 = libc::SIGPIPE;
/// A file would grow past what the process may write (`ulimit -f`).
pub const XFSZ: i32 = libc::SIGXFSZ;

/// How many watchers a process can have at a time; the next one gets `ResourceBusy`.
const SLOTS: usize = 16;
/// Signal numbers are below this, so that a set of them fits a u64 with bit n for signal n.
const NUMBERS: i32 = 64;

/// A watcher's place. Its eventfd is made once and never closed, since a handler that runs on
/// another thread may be about to write to it; the next watcher uses it again.
struct Slot {
    /// The signals wanted; 0 = free.
    wanted: AtomicU64,
    /// The signals that came and were not asked for yet.
    pending: AtomicU64,
    /// -1 until made.
    event_fd: AtomicI32,
}

static SLOT_TABLE: [Slot; SLOTS] = [const {
    Slot { wanted: AtomicU64::new(0), pending: AtomicU64::new(0), event_fd: AtomicI32::new(-1) }
}; SLOTS];

/// What a signal did before the first watcher, by number. Also held while slots are claimed.
static PREVIOUS: Mutex<[Option<libc::sigaction>; NUMBERS as usize]> =
    Mutex::new([None; NUMBERS as usize]);

fn lock_previous() -> MutexGuard<'static, [Option<libc::sigaction>; NUMBERS as usize]> {
    PREVIOUS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Watches a set of signals, which do nothing else meanwhile. Dropped, they do again what they did
/// before, unless another watcher has them.
#[derive(Debug)]
pub struct Signals {
    slot: usize,
    wanted: u64,
}

impl Signals {
    /// Watches `signals` from now on. Errors: a number that is no signal or cannot be caught
    /// (`InvalidInput`), too many watchers (`ResourceBusy`).
    pub fn new(signals: &[i32]) -> io::Result<Signals> {
        let mut wanted = 0;
        for &number in signals {
            if !(1..NUMBERS).contains(&number) {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            wanted |= 1 << number;
        }
        let mut previous = lock_previous();
        let slot = SLOT_TABLE
            .iter()
            .position(|slot| slot.wanted.load(Ordering::Acquire) == 0)
            .ok_or_else(|| io::Error::from(io::ErrorKind::ResourceBusy))?;
        let place = &SLOT_TABLE[slot];
        if place.event_fd.load(Ordering::Acquire) == -1 {
            // SAFETY: eventfd touches no memory of ours.
            let event_fd =
                retry(|| unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
            place.event_fd.store(event_fd, Ordering::Release);
        }
        place.pending.store(0, Ordering::SeqCst);
        drain(place.event_fd.load(Ordering::Acquire));
        // An empty set still has to own its slot: bit 0 is no signal.
        place.wanted.store(wanted | 1, Ordering::SeqCst);
        let watcher = Signals { slot, wanted };
        for number in numbers(wanted) {
            if previous[number as usize].is_some() {
                continue;
            }
            match set_handler(number) {
                Ok(before) => previous[number as usize] = Some(before),
                Err(error) => {
                    drop(previous);
                    drop(watcher);
                    return Err(error);
                }
            }
        }
        Ok(watcher)
    }

    /// A signal that came and was not given yet, the lowest number first; never waits. To be asked
    /// until it gives None: only then does the descriptor become readable again by the next signal.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<i32> {
        let place = &SLOT_TABLE[self.slot];
        // Before looking at the bits: a signal that comes in between rings again.
        drain(place.event_fd.load(Ordering::Acquire));
        let pending = place.pending.load(Ordering::SeqCst) & self.wanted;
        let number = numbers(pending).next()?;
        place.pending.fetch_and(!(1 << number), Ordering::SeqCst);
        Some(number)
    }
}

impl AsRawFd for Signals {
    /// Readable when [`Signals::next`] has something. Not to be read or closed by anybody else.
    fn as_raw_fd(&self) -> RawFd {
        SLOT_TABLE[self.slot].event_fd.load(Ordering::Acquire)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let mut previous = lock_previous();
        SLOT_TABLE[self.slot].wanted.store(0, Ordering::SeqCst);
        let others =
            SLOT_TABLE.iter().fold(0, |all, slot| all | slot.wanted.load(Ordering::SeqCst));
        for number in numbers(self.wanted & !others) {
            if let Some(before) = previous[number as usize].take() {
                // SAFETY: `before` is what the kernel gave for this signal.
                unsafe { libc::sigaction(number, &before, std::ptr::null_mut()) };
            }
        }
    }
}

/// Ignores a signal from now on, as a server does with [`PIPE`] and [`XFSZ`] so that writing gives an
/// error. (Rust programs start that way for [`PIPE`]; what they execute does not.)
pub fn ignore(number: i32) -> io::Result<()> {
    set_action(number, libc::SIG_IGN, 0).map(|_| ())
}

/// The signal numbers of a set, rising.
fn numbers(set: u64) -> impl Iterator<Item = i32> {
    (1..NUMBERS).filter(move |number| set & (1 << number) != 0)
}

fn set_handler(number: i32) -> io::Result<libc::sigaction> {
    let handler: extern "C" fn(libc::c_int) = on_signal;
    set_action(number, handler as libc::sighandler_t, libc::SA_RESTART)
}

/// Sets what a signal does, and gives what it did. `handler` is `SIG_IGN`, `SIG_DFL` or an
/// `extern "C" fn(c_int)` that does only what is safe in a signal handler.
pub(super) fn set_action(
    number: i32,
    handler: libc::sighandler_t,
    flags: libc::c_int,
) -> io::Result<libc::sigaction> {
    // SAFETY: sigaction is plain data, for which zeros are valid.
    let (mut action, mut before): (libc::sigaction, libc::sigaction) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: both structures are live and valid; `handler` is one of the kinds named above, and
    // `flags` never has SA_SIGINFO, so its signature is the one the kernel calls.
    retry(|| unsafe {
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(number, &action, &mut before)
    })?;
    Ok(before)
}

/// Whether a signal does what it does by default.
pub(super) fn is_default(number: i32) -> bool {
    action_of(number) == Some(libc::SIG_DFL)
}

/// Whether a signal is ignored: by this process, or by the one that started it, as `nohup` does with
/// [`HUP`].
pub fn is_ignored(number: i32) -> bool {
    action_of(number) == Some(libc::SIG_IGN)
}

/// The handler of a signal; none where the number is not a signal.
fn action_of(number: i32) -> Option<libc::sighandler_t> {
    // SAFETY: as in `set_action`; nothing is set.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        (libc::sigaction(number, std::ptr::null(), &mut now) == 0).then_some(now.sa_sigaction)
    }
}

/// The handler: atomics and write(2) only, and `errno` is left as it was.
extern "C" fn on_signal(number: libc::c_int) {
    // SAFETY: the pointer to this thread's errno is always valid.
    let errno = unsafe { *libc::__errno_location() };
    let bit = 1u64 << number;
    for slot in &SLOT_TABLE {
        if slot.wanted.load(Ordering::SeqCst) & bit == 0 {
            continue;
        }
        slot.pending.fetch_or(bit, Ordering::SeqCst);
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight live bytes, to an eventfd that is never closed. It does not wait; when it
        // is full (2^64 - 2 rings) it is readable anyway.
        unsafe { libc::write(slot.event_fd.load(Ordering::SeqCst), one.as_ptr().cast(), 8) };
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Takes the rings from an eventfd: one read resets it.
fn drain(event_fd: RawFd) {
    let mut count = [0u8; 8];
    // SAFETY: eight live, writable bytes; the descriptor is a nonblocking eventfd, never closed.
    unsafe { libc::read(event_fd, count.as_mut_ptr().cast(), count.len()) };
}

#[cfg(test)]
mod tests {
    use super::super::poll::{PollFd, wait};
    use super::*;

    /// Sends a signal to this process, all of whose threads may take it.
    fn send(number: i32) {
        // SAFETY: kill touches no memory; the signal is caught.
        assert_eq!(unsafe { libc::kill(libc::getpid(), number) }, 0);
    }

    fn wait_for(signals: &Signals) {
        let mut fds = [PollFd::new(signals.as_raw_fd(), true, false)];
        assert_eq!(wait(&mut fds, None).unwrap(), 1);
        assert!(fds[0].ready_read);
    }

    /// One test, since signals are the whole process's: the steps build on each other.
    #[test]
    fn signals_are_kept_until_asked_for_and_go_to_every_watcher() {
        let (first, second) = (libc::SIGRTMIN() + 1, libc::SIGRTMIN() + 2);
        let mut one = Signals::new(&[first]).unwrap();
        let mut both = Signals::new(&[first, second]).unwrap();
        assert_eq!(one.next(), None);

        send(first);
        wait_for(&one);
        wait_for(&both);
        assert_eq!(one.next(), Some(first));
        assert_eq!(one.next(), None);

        send(second);
        send(second);
        while SLOT_TABLE[both.slot].pending.load(Ordering::SeqCst) & 1 << second == 0 {
            std::hint::spin_loop();
        }
        assert_eq!(both.next(), Some(first), "kept, lowest first");
        assert_eq!(both.next(), Some(second));
        assert_eq!(one.next(), None, "not wanted there");

        drop(one);
        send(first);
        while both.next() != Some(first) {
            wait_for(&both);
        }
        assert!(!is_default(first), "the other watcher still has it");
        drop(both);
        assert!(is_default(first) && is_default(second));
    }

    #[test]
    fn what_is_no_signal_or_cannot_be_caught_is_refused_and_leaves_nothing_behind() {
        for number in [0, -1, 64, 1_000, libc::SIGKILL, libc::SIGSTOP] {
            let other = libc::SIGRTMIN() + 5;
            let error = Signals::new(&[other, number]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{number}");
            assert!(is_default(other));
        }
    }

    #[test]
    fn an_ignored_signal_does_nothing() {
        let number = libc::SIGRTMIN() + 6;
        assert!(is_default(number) && !is_ignored(number));
        ignore(number).unwrap();
        send(number);
        assert!(is_ignored(number) && !is_default(number));
        assert!(ignore(1_000).is_err());
        assert!(!is_ignored(1_000));
    }
}
