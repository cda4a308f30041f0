//! The client's socket, nonblocking: TCP, or a Unix stream at `unix:PATH`.
//!
//! Only the name service is waited for (the standard library has no other way); what it gives is
//! tried in order.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};

use mio::net::{TcpStream, UnixStream};

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection, or the attempt at one.
pub struct Transport {
    stream: Stream,
    /// Further addresses of the same name.
    rest: std::vec::IntoIter<SocketAddr>,
    connecting: bool,
}

impl Transport {
    /// Starts to connect.
    ///
    /// # Errors
    /// Where that fails at once.
    pub fn connect(address: &str) -> io::Result<Transport> {
        if let Some(path) = address.strip_prefix("unix:") {
            let stream = Stream::Unix(UnixStream::connect(path)?);
            return Ok(Transport { stream, rest: Vec::new().into_iter(), connecting: true });
        }
        let found: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        Transport::try_next(found.into_iter())
            .unwrap_or_else(|| Err(io::Error::other("the name has no address")))
    }

    /// Starts with the first address that does not fail at once; `None` when there is none left.
    fn try_next(mut rest: std::vec::IntoIter<SocketAddr>) -> Option<io::Result<Transport>> {
        let mut last = None;
        while let Some(address) = rest.next() {
            match TcpStream::connect(address) {
                Ok(stream) => {
                    // Without it an acknowledgment may wait for the next one.
                    let _ = stream.set_nodelay(true);
                    let stream = Stream::Tcp(stream);
                    return Some(Ok(Transport { stream, rest, connecting: true }));
                }
                Err(error) => last = Some(Err(error)),
            }
        }
        last
    }

    /// The connection does not stand yet.
    pub fn is_connecting(&self) -> bool {
        self.connecting
    }

    /// To be asked when the socket is writable: whether the connection stands now.
    ///
    /// # Errors
    /// Where no address of the name could be connected to.
    pub fn finish_connecting(&mut self) -> io::Result<bool> {
        let (failure, peer) = match &self.stream {
            Stream::Tcp(stream) => (stream.take_error()?, stream.peer_addr().map(|_| ())),
            Stream::Unix(stream) => (stream.take_error()?, stream.peer_addr().map(|_| ())),
        };
        let error = match (failure, peer) {
            (Some(error), _) => error,
            (None, Ok(())) => {
                self.connecting = false;
                return Ok(true);
            }
            (None, Err(error)) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            (None, Err(error)) => error,
        };
        match Transport::try_next(std::mem::take(&mut self.rest)) {
            Some(next) => {
                *self = next?;
                Ok(false)
            }
            None => Err(error),
        }
    }

    /// Reads what there is; `Ok(None)` when there is nothing now.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let result = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        };
        not_now(result)
    }

    /// Writes what the socket takes; `Ok(None)` when it takes nothing now.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let result = match &mut self.stream {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        };
        not_now(result)
    }
}

impl AsRawFd for Transport {
    fn as_raw_fd(&self) -> RawFd {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
        }
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
