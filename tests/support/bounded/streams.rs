//! Pipes and sockets of which no read, write, connect or accept waits for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use chatctl::sys::poll::{self, PollFd};

use super::{Bound, PATIENCE};

/// How much is written at once: what a pipe or socket that is ready takes without waiting.
const AT_ONCE: usize = 4096;

/// A pipe, socket or terminal; a read fails when nothing comes within its bound, a write when the
/// other side does not read on.
pub struct Bounded<S> {
    inner: S,
    what: String,
    patience: Duration,
}

impl<S: AsFd> Bounded<S> {
    /// Waits for [`PATIENCE`]; `what` names what comes: "the chat's next line".
    pub fn new(inner: S, what: impl Into<String>) -> Bounded<S> {
        Bounded::within(PATIENCE, inner, what)
    }

    /// Waits for `patience`.
    pub fn within(patience: Duration, inner: S, what: impl Into<String>) -> Bounded<S> {
        Bounded { inner, what: what.into(), patience }
    }

    /// The stream itself, for what does not wait.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: Read + AsFd> Bounded<S> {
    /// As [`Bounded::new`], a line at a time.
    pub fn lines(inner: S, what: impl Into<String>) -> BufReader<Bounded<S>> {
        BufReader::new(Bounded::new(inner, what))
    }
}

impl<S: Read + AsFd> Read for Bounded<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let what = format!("{} comes", self.what);
        until_ready(self.patience, &self.inner, Wanted::Input, &what);
        self.inner.read(into)
    }
}

impl<S: Write + AsFd> Write for Bounded<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let what = format!("what is written is read ({})", self.what);
        let bound = Bound::within(self.patience, &*what);
        loop {
            until_ready(self.patience, &self.inner, Wanted::Room, &what);
            match self.inner.write(&bytes[..bytes.len().min(AT_ONCE)]) {
                // A terminal may be ready and have no room for this much.
                Err(error) if error.kind() == ErrorKind::WouldBlock => bound.pause(),
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Something to read, or a connection to accept.
    Input,
    /// Room to write.
    Room,
}

/// Waits until reading, accepting or writing does not block.
fn until_ready(patience: Duration, stream: &impl AsFd, wanted: Wanted, what: &str) {
    let fd = stream.as_fd().as_raw_fd();
    let mut fds = [PollFd::new(fd, wanted == Wanted::Input, wanted == Wanted::Room)];
    let ready = poll::wait(&mut fds, Some(patience.as_millis() as u64)).expect("poll(2) works");
    assert!(ready > 0, "after {patience:?} still not so: {what}");
}

/// Which of the streams, by their places, can be read without waiting; fails when none can within
/// [`PATIENCE`], with `what` must be so.
pub fn readable(streams: &[impl AsRawFd], what: &str) -> Vec<usize> {
    readable_within(PATIENCE, streams, what)
}

/// As [`readable`], with a bound of the caller's.
pub fn readable_within(patience: Duration, streams: &[impl AsRawFd], what: &str) -> Vec<usize> {
    let input = |stream: &_| PollFd::new(AsRawFd::as_raw_fd(stream), true, false);
    let mut fds: Vec<PollFd> = streams.iter().map(input).collect();
    let ready = poll::wait(&mut fds, Some(patience.as_millis() as u64)).expect("poll(2) works");
    assert!(ready > 0, "after {patience:?} still not so: {what}");
    (0..fds.len()).filter(|place| fds[*place].ready_read).collect()
}

/// Connects to `HOST:PORT`; neither this nor a read or write of the socket waits longer than
/// `patience`.
pub fn dial(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let first = address.to_socket_addrs()?.next().ok_or(ErrorKind::AddrNotAvailable)?;
    let stream = TcpStream::connect_timeout(&first, patience)?;
    bounded_tcp(stream, patience)
}

fn bounded_tcp(stream: TcpStream, patience: Duration) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// The same for a socket in the file system. Where the listener's queue is full, connect(2) would
/// wait for ever.
pub fn dial_unix(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let began = std::time::Instant::now();
    loop {
        match mio::net::UnixStream::connect(path) {
            Ok(stream) => {
                let stream = UnixStream::from(stream);
                stream.set_nonblocking(false)?;
                return bounded_unix(stream, patience);
            }
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Err(_) if began.elapsed() >= patience => {
                let text = format!("after {patience:?} its queue of connections is still full");
                return Err(io::Error::new(ErrorKind::TimedOut, text));
            }
            Err(_) => std::thread::sleep(super::LOOK_AGAIN),
        }
    }
}

fn bounded_unix(stream: UnixStream, patience: Duration) -> io::Result<UnixStream> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// A connection to `HOST:PORT`; fails when none is made within [`PATIENCE`].
pub fn connected(address: &str) -> Bounded<TcpStream> {
    let stream = dial(address, PATIENCE).unwrap_or_else(|error| panic!("{address}: {error}"));
    Bounded::new(stream, format!("what {address} says"))
}

/// Listeners of a test that plays a server.
pub trait Accept {
    /// A connection.
    type Stream;
    /// Where it comes from.
    type From;

    /// The next connection; fails when none comes within [`PATIENCE`]. No read or write of it waits
    /// longer than that.
    fn next_connection(&self) -> (Self::Stream, Self::From);
}

impl Accept for TcpListener {
    type Stream = TcpStream;
    type From = SocketAddr;

    fn next_connection(&self) -> (TcpStream, SocketAddr) {
        until_ready(PATIENCE, self, Wanted::Input, "a connection comes");
        let (stream, from) = self.accept().expect("a connection can be accepted");
        (bounded_tcp(stream, PATIENCE).expect("it is open"), from)
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;
    type From = UnixAddr;

    fn next_connection(&self) -> (UnixStream, UnixAddr) {
        until_ready(PATIENCE, self, Wanted::Input, "a connection comes");
        let (stream, from) = self.accept().expect("a connection can be accepted");
        (bounded_unix(stream, PATIENCE).expect("it is open"), from)
    }
}

/// Takes every connection, one after the other, until the process ends, on a thread for which nobody
/// waits.
pub fn serve(listener: TcpListener, mut on: impl FnMut(TcpStream) + Send + 'static) {
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            on(bounded_tcp(stream, PATIENCE).expect("it is open"));
        }
    });
}

/// Opens a FIFO to write to it; fails when nobody opens it to read within [`PATIENCE`].
pub fn fifo_writer(path: &Path) -> File {
    super::eventually("the FIFO is opened for reading", PATIENCE, || {
        let mut options = OpenOptions::new();
        match options.write(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => None,
            result => Some(result.expect("the FIFO can be opened")),
        }
    })
}
