//! The terminal's settings, changed for as long as a guard lives and restored whatever happens:
//! when the guard is dropped, when the program panics, and when a signal ends it.
//!
//! With them goes a farewell: bytes for the terminal that take back what the program has told it (an
//! alternate screen, for example), written once for each guard, before the settings.
//!
//! The settings from before are kept where a signal handler can read them: in a leaked, immutable
//! value behind an atomic pointer. There are as many of those as there are different settings.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use super::{retry, signal};

/// How many guards a process can have at a time; the next one gets `ResourceBusy`.
const GUARDS: usize = 16;
/// Signals that end a program by default, and so must restore the terminal first.
const FATAL: [i32; 5] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGABRT];

/// A terminal and the settings it had. Never changed and never freed.
struct Saved {
    fd: RawFd,
    settings: libc::termios,
    farewell: &'static [u8],
}

/// The guards that live, in the order in which they came (a place that is free again is not used
/// while a later one is taken). Null = free.
static ACTIVE: [AtomicPtr<Saved>; GUARDS] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; GUARDS];
/// Whether the farewell of the guard in the same place is still to be written.
static OWED: [AtomicBool; GUARDS] = [const { AtomicBool::new(false) }; GUARDS];
/// All that was ever saved, to be used again; held while guards come and go.
static KNOWN: Mutex<Vec<&'static Saved>> = Mutex::new(Vec::new());

/// Every key reaches the program as it is pressed, unchanged and not echoed, Ctrl-C and Ctrl-Z
/// included. Output is still processed: `\n` begins a new line.
#[derive(Debug)]
pub struct RawMode {
    _guard: Guard,
}

impl RawMode {
    /// Enters raw mode until the value is dropped; then `farewell` is written to `fd`, and on a bad
    /// end too. Errors: `fd` is no terminal.
    pub fn enter(fd: RawFd, farewell: &'static [u8]) -> io::Result<RawMode> {
        let guard = Guard::enter(fd, farewell, |settings| {
            let output = settings.c_oflag;
            // SAFETY: cfmakeraw changes the one live structure it is given.
            unsafe { libc::cfmakeraw(settings) };
            settings.c_oflag = output | libc::OPOST;
            settings.c_cc[libc::VMIN] = 1;
            settings.c_cc[libc::VTIME] = 0;
        })?;
        Ok(RawMode { _guard: guard })
    }
}

/// What is typed is not shown, except the end of the line; otherwise the terminal is as it was. For
/// passwords: to be entered before the prompt is written.
#[derive(Debug)]
pub struct NoEcho {
    _guard: Guard,
}

impl NoEcho {
    /// Turns the echo off until the value is dropped. Errors: `fd` is no terminal.
    pub fn enter(fd: RawFd) -> io::Result<NoEcho> {
        let guard = Guard::enter(fd, b"", |settings| {
            settings.c_lflag &= !(libc::ECHO | libc::ECHOE | libc::ECHOK);
            settings.c_lflag |= libc::ECHONL | libc::ICANON;
        })?;
        Ok(NoEcho { _guard: guard })
    }
}

/// Restores every terminal that a guard has changed, the latest first. Safe in signal handlers and
/// panic hooks; the guards stay, and restore again when dropped.
pub fn restore_now() {
    for place in (0..GUARDS).rev() {
        let saved = ACTIVE[place].load(Ordering::Acquire);
        if !saved.is_null() {
            // SAFETY: what is in ACTIVE points to a leaked, immutable `Saved`; tcsetattr is
            // async-signal-safe.
            unsafe {
                say_farewell(place, &*saved);
                libc::tcsetattr((*saved).fd, libc::TCSANOW, &(*saved).settings);
            }
        }
    }
}

/// Writes it, unless it was written. A terminal that takes nothing gets none; nothing is waited for.
fn say_farewell(place: usize, saved: &Saved) {
    if !OWED[place].swap(false, Ordering::AcqRel) || saved.farewell.is_empty() {
        return;
    }
    let (start, length) = (saved.farewell.as_ptr().cast(), saved.farewell.len());
    // SAFETY: pointer and length are those of a live slice; write is async-signal-safe.
    unsafe { libc::write(saved.fd, start, length) };
}

/// Columns and rows of a terminal; None when it is none, or does not know.
pub fn size(fd: RawFd) -> Option<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize, to a live structure.
    retry(|| unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &mut size) }).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// Changed settings, and its place in [`ACTIVE`].
#[derive(Debug)]
struct Guard {
    place: usize,
}

impl Guard {
    fn enter(
        fd: RawFd,
        farewell: &'static [u8],
        change: impl Fn(&mut libc::termios),
    ) -> io::Result<Guard> {
        let settings = settings_of(fd)?;
        restore_on_a_bad_end();
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = |place: &AtomicPtr<Saved>| place.load(Ordering::Acquire).is_null();
        let place = ACTIVE.iter().rposition(|place| !is_free(place)).map_or(0, |last| last + 1);
        if place == GUARDS {
            return Err(io::Error::from(io::ErrorKind::ResourceBusy));
        }
        let is_known = |saved: &&&Saved| {
            let same = is_same(&saved.settings, &settings);
            saved.fd == fd && saved.farewell == farewell && same
        };
        let same = known.iter().find(is_known);
        let saved: &'static Saved = match same {
            Some(saved) => saved,
            None => {
                let saved: &'static Saved = Box::leak(Box::new(Saved { fd, settings, farewell }));
                known.push(saved);
                saved
            }
        };
        let mut changed = settings;
        change(&mut changed);
        // Before the change, so that there is no moment in which a signal finds nothing to restore.
        OWED[place].store(true, Ordering::Release);
        ACTIVE[place].store(std::ptr::from_ref(saved).cast_mut(), Ordering::Release);
        let guard = Guard { place };
        drop(known);
        // SAFETY: tcsetattr reads one live structure.
        retry(|| unsafe { libc::tcsetattr(fd, libc::TCSANOW, &changed) })?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let saved = ACTIVE[self.place].load(Ordering::Acquire);
        // SAFETY: as below.
        say_farewell(self.place, unsafe { &*saved });
        // SAFETY: a guard's place holds a leaked, immutable `Saved` until here. A terminal that is
        // gone cannot be restored, and need not be.
        let _ =
            retry(|| unsafe { libc::tcsetattr((*saved).fd, libc::TCSANOW, &(*saved).settings) });
        ACTIVE[self.place].store(std::ptr::null_mut(), Ordering::Release);
    }
}

fn settings_of(fd: RawFd) -> io::Result<libc::termios> {
    // SAFETY: termios is plain data, for which zeros are valid; tcgetattr writes to it.
    unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        retry(|| libc::tcgetattr(fd, &mut settings))?;
        Ok(settings)
    }
}

fn is_same(left: &libc::termios, right: &libc::termios) -> bool {
    (left.c_iflag, left.c_oflag, left.c_cflag, left.c_lflag, left.c_cc)
        == (right.c_iflag, right.c_oflag, right.c_cflag, right.c_lflag, right.c_cc)
}

/// Makes a panic, and each fatal signal that nobody handles, restore the terminal first.
fn restore_on_a_bad_end() {
    static PANIC_HOOK: Once = Once::new();
    PANIC_HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore_now();
            before(info);
        }));
    });
    let handler: extern "C" fn(libc::c_int) = on_fatal_signal;
    for number in FATAL.into_iter().filter(|&number| signal::is_default(number)) {
        // It can only fail for a number that is no signal; without it the terminal stays raw.
        let _ = signal::set_action(number, handler as libc::sighandler_t, 0);
    }
}

/// Restores, and lets the signal do what it does by default: it is blocked here, and so arrives
/// when this returns. Without a guard that lives, the same as no handler.
extern "C" fn on_fatal_signal(number: libc::c_int) {
    restore_now();
    // SAFETY: signal and raise are async-signal-safe and touch no memory of ours.
    unsafe {
        libc::signal(number, libc::SIG_DFL);
        libc::raise(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::{AsRawFd, FromRawFd};

    /// Held by each test, since `restore_now` restores the terminals of all.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn alone() -> std::sync::MutexGuard<'static, ()> {
        ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both ends of a pseudoterminal, which is there for as long as both are open.
    fn open_pty() -> (File, File) {
        let (mut master, mut slave) = (-1, -1);
        let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: two live integers are written, one live size is read, the rest may be null; the
        // descriptors are ours alone.
        unsafe {
            let none = std::ptr::null_mut();
            let result = libc::openpty(&mut master, &mut slave, none, std::ptr::null(), &size);
            assert_eq!(result, 0, "{}", io::Error::last_os_error());
            (File::from_raw_fd(master), File::from_raw_fd(slave))
        }
    }

    fn flags(terminal: &File) -> (u32, u32) {
        let settings = settings_of(terminal.as_raw_fd()).unwrap();
        (settings.c_lflag, settings.c_oflag)
    }

    #[test]
    fn raw_mode_ends_with_its_guard() {
        let _alone = alone();
        let (_master, slave) = open_pty();
        let before = flags(&slave);
        let guard = RawMode::enter(slave.as_raw_fd(), b"").unwrap();
        let (local, output) = flags(&slave);
        assert_eq!(local & (libc::ECHO | libc::ICANON | libc::ISIG | libc::IEXTEN), 0);
        assert_ne!(output & libc::OPOST, 0, "a newline still begins a new line");
        drop(guard);
        assert_eq!(flags(&slave), before);
    }

    #[test]
    fn no_echo_hides_what_is_typed_and_keeps_the_rest() {
        let _alone = alone();
        let (_master, slave) = open_pty();
        let before = flags(&slave);
        let guard = NoEcho::enter(slave.as_raw_fd()).unwrap();
        let (local, output) = flags(&slave);
        assert_eq!(local & libc::ECHO, 0);
        assert_ne!(local & libc::ECHONL, 0);
        assert_ne!(local & libc::ICANON, 0);
        assert_ne!(local & libc::ISIG, 0);
        assert_eq!(output, before.1);
        drop(guard);
        assert_eq!(flags(&slave), before);
    }

    #[test]
    fn restoring_now_and_nested_guards_come_back_to_the_first_settings() {
        let _alone = alone();
        let (_master, slave) = open_pty();
        let before = flags(&slave);
        let outer = NoEcho::enter(slave.as_raw_fd()).unwrap();
        let hidden = flags(&slave);
        let inner = RawMode::enter(slave.as_raw_fd(), b"").unwrap();
        restore_now();
        assert_eq!(flags(&slave), before);
        drop(inner);
        assert_eq!(flags(&slave), hidden);
        drop(outer);
        assert_eq!(flags(&slave), before);
    }

    #[test]
    fn the_farewell_is_written_once_for_each_guard() {
        let _alone = alone();
        let (mut master, slave) = open_pty();
        for restores in 0..3 {
            let guard = RawMode::enter(slave.as_raw_fd(), b"bye.").unwrap();
            (0..restores).for_each(|_| restore_now());
            drop(guard);
            (&slave).write_all(b"next").unwrap();
            let mut said = [0; 8];
            master.read_exact(&mut said).unwrap();
            assert_eq!(&said, b"bye.next", "after {restores}");
        }
    }

    #[test]
    fn what_is_no_terminal_is_refused_and_left_alone() {
        let _alone = alone();
        let file = File::open("/dev/null").unwrap();
        assert!(RawMode::enter(file.as_raw_fd(), b"").is_err());
        assert!(NoEcho::enter(file.as_raw_fd()).is_err());
        assert_eq!(size(file.as_raw_fd()), None);
    }

    #[test]
    fn the_size_is_columns_then_rows() {
        let (_master, slave) = open_pty();
        assert_eq!(size(slave.as_raw_fd()), Some((80, 24)));
    }
}
