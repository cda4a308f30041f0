//! One nonblocking connection and its two buffers.

use std::io::{self, Read, Write};

use super::{Origin, Stream};

/// Why reading stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// The socket has no more for now.
    Blocked,
    /// The budget is used up; the socket may have more.
    Budget,
    /// The other side has finished writing.
    Closed,
    /// The connection is broken.
    Broken,
}

/// A stream with what was read and not yet understood, and what is to be written. Both buffers are
/// given back when they are empty, so that an idle connection costs little more than this struct.
pub struct Connection {
    stream: Stream,
    origin: Origin,
    /// Bytes read that do not make a whole request yet, or whose turn has not come.
    pub input: Vec<u8>,
    /// How many of them have been searched for a line's end.
    pub scanned: usize,
    output: Vec<u8>,
    written: usize,
    readable: bool,
    writable: bool,
    read_closed: bool,
}

impl Connection {
    /// Takes over a stream that has just been connected.
    pub fn new(stream: Stream, origin: Origin) -> Connection {
        Connection {
            stream,
            origin,
            input: Vec::new(),
            scanned: 0,
            output: Vec::new(),
            written: 0,
            readable: true,
            writable: true,
            read_closed: false,
        }
    }

    /// To register it.
    pub fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The poll says that there is something to read.
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

    /// Appends to `into` what the socket has, at most `budget` bytes.
    pub fn read(&mut self, into: &mut Vec<u8>, budget: usize) -> ReadEnd {
        let mut left = budget;
        while self.readable {
            if left == 0 {
                return ReadEnd::Budget;
            }
            let old = into.len();
            let want = left.min(READ_BYTES);
            into.resize(old + want, 0);
            let result = self.stream.read(&mut into[old..]);
            into.truncate(old + *result.as_ref().unwrap_or(&0));
            match result {
                Ok(0) => {
                    self.readable = false;
                    return ReadEnd::Closed;
                }
                Ok(count) => {
                    left -= count;
                    // A short read has emptied the socket (epoll(7)); only an end can be behind it.
                    self.readable = count == want || self.read_closed;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.readable = false;
                    return ReadEnd::Broken;
                }
            }
        }
        ReadEnd::Blocked
    }

    /// The buffer to append to; [`Connection::write`] sends it.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Bytes that wait to be written.
    pub fn unwritten(&self) -> usize {
        self.output.len() - self.written
    }

    /// Writes what the socket takes. Gives how many bytes went; an error means that the connection
    /// is broken. A buffer that has been written is put into `spares` or freed.
    pub fn write(&mut self, spares: &mut Spares) -> io::Result<usize> {
        let before = self.written;
        while self.writable && self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let went = self.written - before;
        if self.written == self.output.len() {
            spares.give(std::mem::take(&mut self.output));
            self.written = 0;
        } else if self.written > self.output.len() / 2 && self.written > READ_BYTES {
            self.output.drain(..self.written);
            self.written = 0;
        }
        Ok(went)
    }

    /// Makes sure that the output has a buffer, a used one where there is one.
    pub fn borrow_output(&mut self, spares: &mut Spares) {
        if self.output.capacity() == 0 {
            self.output = spares.take();
        }
    }

    /// Says that nothing more is written.
    pub fn shutdown_write(&self) {
        let _ = self.stream.shutdown_write();
    }
}

/// Bytes asked of a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A few used buffers, so that busy connections do not allocate and idle ones keep nothing.
#[derive(Default)]
pub struct Spares {
    buffers: Vec<Vec<u8>>,
}

impl Spares {
    const COUNT: usize = 64;
    const LARGEST_BYTES: usize = 256 * 1024;

    /// An empty buffer, with capacity when one is there.
    pub fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Keeps a buffer for the next one, unless there are enough or it is large.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        let useful = buffer.capacity() > 0 && buffer.capacity() <= Spares::LARGEST_BYTES;
        if useful && self.buffers.len() < Spares::COUNT {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}
