//! One nonblocking connection.

use std::io::{self, Read, Write};

use super::{Output, ReadEnd, Stream};

/// A stream, and what the poll has said of it.
pub struct Connection {
    stream: Stream,
    readable: bool,
    writable: bool,
    read_closed: bool,
    /// Why reading or writing failed first.
    error: Option<io::Error>,
}

impl Connection {
    /// Takes over a stream that has just been connected.
    pub fn new(stream: Stream) -> Connection {
        Connection { stream, readable: true, writable: true, read_closed: false, error: None }
    }

    /// To register it.
    pub fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// The poll says that there is something to read; `closed`: that nothing comes behind it.
    pub fn set_readable(&mut self, closed: bool) {
        self.readable = true;
        self.read_closed |= closed;
    }

    /// The poll says that there is room to write.
    pub fn set_writable(&mut self) {
        self.writable = true;
    }

    /// Whether a read may give something: set by the poll's edge, cleared when the socket says that
    /// it would block.
    pub fn readable(&self) -> bool {
        self.readable
    }

    /// Reads what the socket has, as much as fits into the buffer, and gives how many bytes that were
    /// and why it stopped.
    pub fn read(&mut self, into: &mut [u8]) -> (usize, ReadEnd) {
        let mut count = 0;
        while self.readable {
            let rest = &mut into[count..];
            if rest.is_empty() {
                return (count, ReadEnd::Budget);
            }
            match self.stream.read(rest) {
                Ok(0) => {
                    self.readable = false;
                    return (count, ReadEnd::Closed);
                }
                Ok(more) => {
                    // A short read has emptied the socket (epoll(7)); only an end can be behind it.
                    self.readable = more == rest.len() || self.read_closed;
                    count += more;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.readable = false;
                    self.error.get_or_insert(error);
                    return (count, ReadEnd::Broken);
                }
            }
        }
        (count, ReadEnd::Blocked)
    }

    /// Writes what the socket takes and gives how many bytes that were. An error means that the
    /// connection is broken.
    pub fn write(&mut self, output: &mut Output) -> io::Result<usize> {
        let mut went = 0;
        while self.writable && output.unwritten() > 0 {
            match self.stream.write(output.rest()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    output.advance(count);
                    went += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let kind = error.kind();
                    self.error.get_or_insert(error);
                    return Err(kind.into());
                }
            }
        }
        Ok(went)
    }

    /// Why reading or writing failed first, for people.
    pub fn error(&self) -> Option<String> {
        self.error.as_ref().map(super::reason)
    }

    /// Says that nothing more is written.
    pub fn shutdown_write(&self) {
        let _ = self.stream.shutdown_write();
    }
}
