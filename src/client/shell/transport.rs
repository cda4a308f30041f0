//! The client's socket, nonblocking: TCP, or a Unix stream at `unix:PATH`.
//!
//! All addresses of a name are dialled at once, and the first that answers is taken: one that never
//! does costs no time.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use mio::{Events, Interest, Poll, Token};

use crate::limits;

enum Stream {
    /// The addresses of this name are being looked up.
    Name(String),
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Several addresses of a name, none of which has answered yet.
    Race(Race),
}

/// Connections under way to several addresses.
struct Race {
    poll: Poll,
    streams: Vec<Option<TcpStream>>,
}

/// A connection, or the attempt at one.
pub struct Transport {
    stream: Stream,
    connecting: bool,
}

impl Transport {
    /// Starts to connect to a Unix socket.
    pub fn to_path(path: &str) -> io::Result<Transport> {
        let stream = Stream::Unix(UnixStream::connect(path)?);
        Ok(Transport { stream, connecting: true })
    }

    /// Starts to connect to whichever of the addresses answers first.
    pub fn to_any(addresses: &[SocketAddr]) -> io::Result<Transport> {
        let stream = match &addresses[..addresses.len().min(limits::PEER_ADDRESSES)] {
            [] => return Err(io::Error::other("the name has no address")),
            [one] => Stream::Tcp(dial(*one)?),
            several => Stream::Race(Race::begin(several)?),
        };
        Ok(Transport { stream, connecting: true })
    }

    /// Waits for the addresses of a name.
    pub fn to_name(name: &str) -> Transport {
        Transport { stream: Stream::Name(name.to_owned()), connecting: true }
    }

    /// Whether this waits for the addresses of that name.
    pub fn waits_for_name(&self, name: &str) -> bool {
        matches!(&self.stream, Stream::Name(waited_for) if waited_for == name)
    }

    pub fn is_connecting(&self) -> bool {
        self.connecting
    }

    /// The server's address, of a TCP connection that stands.
    pub fn peer(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            _ => None,
        }
    }

    /// Whether to wait until the descriptor can be read, and until it can be written, where there are
    /// bytes to be written or not.
    pub fn waits_for(&self, has_output: bool) -> (bool, bool) {
        match self.stream {
            Stream::Name(_) => (false, false),
            Stream::Race(_) => (true, false),
            _ if self.connecting => (false, true),
            _ => (true, has_output),
        }
    }

    /// To be asked when the descriptor is ready: whether the connection stands now.
    pub fn finish_connecting(&mut self) -> io::Result<bool> {
        let is_connected = match &mut self.stream {
            Stream::Name(_) => false,
            Stream::Tcp(stream) => has_connected(stream)?,
            Stream::Unix(stream) => match stream.take_error()? {
                Some(error) => return Err(error),
                None => is_there(stream.peer_addr())?,
            },
            Stream::Race(race) => match race.winner()? {
                Some(stream) => {
                    self.stream = Stream::Tcp(stream);
                    true
                }
                None => false,
            },
        };
        self.connecting &= !is_connected;
        Ok(is_connected)
    }

    /// Reads what there is; `Ok(None)` when there is nothing now.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let result = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Race(_) | Stream::Name(_) => return Ok(None),
        };
        not_now(result)
    }

    /// Writes what the socket takes; `Ok(None)` when it takes nothing now.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let result = match &mut self.stream {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Race(_) | Stream::Name(_) => return Ok(None),
        };
        not_now(result)
    }
}

impl AsRawFd for Transport {
    fn as_raw_fd(&self) -> RawFd {
        match &self.stream {
            // Passed over by poll(2).
            Stream::Name(_) => -1,
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
            Stream::Race(race) => race.poll.as_raw_fd(),
        }
    }
}

impl Race {
    fn begin(addresses: &[SocketAddr]) -> io::Result<Race> {
        let mut race = Race { poll: Poll::new()?, streams: Vec::new() };
        let mut last = None;
        for address in addresses {
            match dial(*address) {
                Ok(mut stream) => {
                    let token = Token(race.streams.len());
                    race.poll.registry().register(&mut stream, token, Interest::WRITABLE)?;
                    race.streams.push(Some(stream));
                }
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) if race.streams.is_empty() => Err(error),
            _ => Ok(race),
        }
    }

    /// The first that stands, once one does; an error when all have failed.
    fn winner(&mut self) -> io::Result<Option<TcpStream>> {
        let mut events = Events::with_capacity(limits::PEER_ADDRESSES);
        if let Err(error) = self.poll.poll(&mut events, Some(Duration::ZERO))
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        for event in &events {
            let place = &mut self.streams[event.token().0];
            let Some(stream) = place else { continue };
            let connected = has_connected(stream);
            if let Ok(false) = connected {
                continue;
            }
            let Some(mut stream) = place.take() else { continue };
            self.poll.registry().deregister(&mut stream)?;
            match connected {
                Ok(_) => return Ok(Some(stream)),
                Err(error) if self.streams.iter().all(Option::is_none) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(None)
    }
}

fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    // Without it an acknowledgment may wait for the next one.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn has_connected(stream: &TcpStream) -> io::Result<bool> {
    match stream.take_error()? {
        Some(error) => Err(error),
        None => is_there(stream.peer_addr()),
    }
}

/// Whether there is somebody at the other end.
fn is_there<T>(peer: io::Result<T>) -> io::Result<bool> {
    match peer {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

fn not_now(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        },
    }
}
