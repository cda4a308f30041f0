//! What the tests need of the operating system: a pseudoterminal, a program that runs on it,
//! signals, and network namespaces. The only `unsafe` of the tests.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::bounded::{Bounded, PATIENCE, WHOLE, dial, exit_of, on_thread, until_killed};
use chatctl::sys::{clock, poll};

/// What no program can refuse: to end, and to stop until it is continued.
pub const KILL: i32 = libc::SIGKILL;
pub const STOP: i32 = libc::SIGSTOP;

/// How long a test waits for a program to say what it must, before it is taken for hung.
const PATIENCE_MS: u64 = 30_000;

/// A pseudoterminal: the test holds the master, where a person would sit; programs run on the slave.
pub struct Pty {
    master: File,
    /// Kept open, so that the terminal outlives the programs on it.
    slave: File,
    path: PathBuf,
    /// What programs wrote and no `read_until` has taken.
    output: Vec<u8>,
}

impl Pty {
    /// Opens one of 80 columns and 24 rows.
    pub fn open() -> Pty {
        // Nonblocking, since a terminal may be ready and have room for less than is written.
        const FLAGS: libc::c_int = libc::O_NOCTTY | libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: no memory is touched; the descriptor is ours alone.
        let master = unsafe {
            let fd = libc::posix_openpt(libc::O_RDWR | FLAGS);
            assert_ne!(fd, -1, "{}", io::Error::last_os_error());
            File::from_raw_fd(fd)
        };
        let mut name = [0u8; 64];
        // SAFETY: the descriptor is open; `name` is live, and its length is what is told.
        unsafe {
            assert_eq!(libc::grantpt(master.as_raw_fd()), 0);
            assert_eq!(libc::unlockpt(master.as_raw_fd()), 0);
            let length = name.len();
            assert_eq!(libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr().cast(), length), 0);
        }
        let name = CStr::from_bytes_until_nul(&name).expect("a name ends with a zero byte");
        let path = PathBuf::from(name.to_str().expect("a terminal's name is ASCII"));
        let slave = open_slave(&path).expect("the slave can be opened");
        let pty = Pty { master, slave, path, output: Vec::new() };
        pty.set_size(80, 24);
        pty
    }

    /// The side where a person would sit: what is written there is typed.
    pub fn master(&self) -> &File {
        &self.master
    }

    /// The side where programs run.
    pub fn slave(&self) -> &File {
        &self.slave
    }

    /// The slave's name under `/dev`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the terminal another size; the programs on it get SIGWINCH.
    pub fn set_size(&self, columns: u16, rows: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCSWINSZ reads one winsize, from a live structure.
        let result = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &size) };
        assert_eq!(result, 0, "{}", io::Error::last_os_error());
    }

    /// Whether what is typed is shown by the terminal itself.
    pub fn echoes(&self) -> bool {
        self.local_flags() & libc::ECHO != 0
    }

    /// Whether keys reach the program as they are pressed, without waiting for the line's end.
    pub fn is_raw(&self) -> bool {
        self.local_flags() & libc::ICANON == 0
    }

    fn local_flags(&self) -> libc::tcflag_t {
        // SAFETY: termios is plain data, for which zeros are valid; tcgetattr writes to it.
        unsafe {
            let mut settings: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(self.slave.as_raw_fd(), &mut settings), 0);
            settings.c_lflag
        }
    }

    /// Types.
    pub fn type_text(&mut self, text: &str) {
        let mut keys = Bounded::new(&self.master, "keys typed at a terminal");
        keys.write_all(text.as_bytes()).expect("a terminal can be typed at");
    }

    /// What programs write up to and with `wanted`, which goes from what is kept. Panics, showing
    /// what there was instead, when it does not come.
    pub fn read_until(&mut self, wanted: &str) -> String {
        let deadline_ms = clock::monotonic_ms() + PATIENCE_MS;
        let mut searched = 0;
        loop {
            let found = self.output[searched..]
                .windows(wanted.len())
                .position(|window| window == wanted.as_bytes());
            if let Some(at) = found {
                let taken: Vec<u8> = self.output.drain(..searched + at + wanted.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            searched = self.output.len().saturating_sub(wanted.len().saturating_sub(1));
            if !self.read_more(deadline_ms) {
                let shown = String::from_utf8_lossy(&self.output);
                panic!("{wanted:?} did not appear on the terminal, but {shown:?}");
            }
        }
    }

    /// Waits for output and keeps it; false when the time is over.
    fn read_more(&mut self, deadline_ms: u64) -> bool {
        let left_ms = deadline_ms.saturating_sub(clock::monotonic_ms());
        let mut fds = [poll::PollFd::new(self.master.as_raw_fd(), true, false)];
        if poll::wait(&mut fds, Some(left_ms)).expect("a terminal can be waited for") == 0 {
            return false;
        }
        let mut chunk = [0; 4096];
        let count = self.master.read(&mut chunk).expect("the slave is still open");
        self.output.extend_from_slice(&chunk[..count]);
        true
    }
}

fn open_slave(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path)
}

/// Starts a program in a session of its own whose terminal is `pty`: standard input, output and
/// error are on it, and Ctrl-C typed there reaches it.
pub fn spawn_on_pty(command: &mut Command, pty: &Pty) -> io::Result<Child> {
    let end = || pty.slave.try_clone().map(Stdio::from);
    command.stdin(end()?).stdout(end()?).stderr(end()?);
    // SAFETY: setsid, ioctl and signal are async-signal-safe, and touch no memory of the parent's.
    unsafe {
        command.pre_exec(|| {
            if libc::setsid() == -1 || libc::ioctl(0, libc::TIOCSCTTY, 0) == -1 {
                return Err(io::Error::last_os_error());
            }
            // What ignored them here, nohup(1) perhaps, is none of a new session's.
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    command.spawn()
}

/// Sends a signal to a process that this test started.
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).expect("a process id");
    assert!(pid > 0, "0 and less would be whole groups of processes");
    // SAFETY: no memory is touched.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// From here on a process that this test started cannot write to any file past its first `bytes`.
pub fn limit_file_size(pid: u32, bytes: u64) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).expect("a process id");
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the new limit is live; the old one is not asked for.
    match unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Tells the system that nobody wants what it has of the file in memory. What is not on the disk yet
/// stays.
pub fn forget_cached(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open; no memory of ours is touched.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// From here on the calling thread takes of the processors what others leave.
pub fn give_way() {
    // SAFETY: no memory is touched. 0 is the calling thread, 19 the least urgent there is.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
}

/// Does `work` on a thread of its own in the network namespace that `file` stands for. The threads
/// and processes that are started there are in that namespace too.
pub fn in_namespace<T: Send>(file: &Path, work: impl FnOnce() -> T + Send) -> T {
    in_namespace_within(WHOLE, file, work)
}

/// The same, where the work may take so long.
pub fn in_namespace_within<T: Send>(
    patience: Duration,
    file: &Path,
    work: impl FnOnce() -> T + Send,
) -> T {
    let namespace = File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    on_thread(patience, "the work in a network namespace is done", || {
        // SAFETY: the descriptor is open; only the calling thread, which is new, is moved.
        let moved = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(moved, 0, "{}: {}", file.display(), io::Error::last_os_error());
        work()
    })
}

/// A listener at an address that answers no connection, neither with yes nor with no: its queue is
/// full. It ends when both are dropped.
pub fn silent_listener(address: &str) -> (TcpListener, TcpStream) {
    let listener = TcpListener::bind(address).expect("the address is free");
    // SAFETY: the descriptor is open, and listens already; no memory is touched.
    let done = unsafe { libc::listen(listener.as_raw_fd(), 0) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
    let address = listener.local_addr().expect("it is bound").to_string();
    (listener, dial(&address, PATIENCE).expect("one fits into the queue"))
}

/// From here on the calling thread, and what it starts, has a network to itself, in which nothing is
/// up yet.
pub fn own_network() -> io::Result<()> {
    // SAFETY: only the calling thread is moved; no memory is touched.
    match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// From here on what the calling thread mounts is seen only by it and by what it starts, and goes
/// with them.
pub fn own_mounts() -> io::Result<()> {
    // SAFETY: only the calling thread is moved; the strings are live and end with a zero byte.
    let done = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn a_program_on_a_pty_sees_its_size_what_is_typed_and_signals() {
    let mut pty = Pty::open();
    pty.set_size(100, 30);
    assert!(pty.echoes() && !pty.is_raw());
    let script = "stty size; read line; echo \"got <$line>\"; exec sleep 1000";
    let mut child = spawn_on_pty(Command::new("sh").args(["-c", script]), &pty).unwrap();
    pty.read_until("30 100\r\n");
    pty.type_text("hello\n");
    pty.read_until("got <hello>\r\n");
    kill(child.id(), libc::SIGTERM).unwrap();
    let status = exit_of(&mut child);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGTERM));
}

/// Not a test by itself: what the next one starts as a program of its own, which the variable tells.
#[test]
fn a_program_that_enters_raw_mode_and_ends_badly() {
    let Ok(end) = std::env::var("CHATCTL_TEST_RAW_END") else {
        return;
    };
    // Forgotten, so that nothing but the hook or the handler restores.
    std::mem::forget(
        chatctl::sys::terminal::RawMode::enter(0, b"").expect("standard input is a pty"),
    );
    println!("raw now");
    match end.as_str() {
        "panic" => panic!("as asked"),
        _ => until_killed(),
    }
}

#[test]
fn a_program_that_panics_or_is_killed_in_raw_mode_leaves_the_terminal_as_it_was() {
    let ends = [("panic", 0), ("hang", libc::SIGTERM), ("hang", libc::SIGHUP)];
    for (end, signal) in ends.into_iter().chain([("hang", libc::SIGINT)]) {
        let mut pty = Pty::open();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = "support::sys::a_program_that_enters_raw_mode_and_ends_badly";
        command.args(["--exact", name, "--nocapture"]).env("CHATCTL_TEST_RAW_END", end);
        let mut child = spawn_on_pty(&mut command, &pty).unwrap();
        pty.read_until("raw now");
        if signal != 0 {
            assert!(pty.is_raw() && !pty.echoes());
            kill(child.id(), signal).unwrap();
        }
        let status = exit_of(&mut child);
        let killed_by = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(killed_by, (signal != 0).then_some(signal));
        assert!(!pty.is_raw() && pty.echoes(), "after {end} {signal}");
    }
}
