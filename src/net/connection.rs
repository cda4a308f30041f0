//! One nonblocking connection, and the bytes on their way to it.

use std::io::{self, Read, Write};

use super::Stream;

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

/// A stream with what was read and not yet understood. The buffer is given back when it is empty,
/// so that an idle connection costs little more than this struct.
pub struct Connection {
    stream: Stream,
    /// Bytes read that do not make a whole request yet, or whose turn has not come.
    input: Vec<u8>,
    /// How many of them have been searched for a line's end.
    scanned: usize,
    readable: bool,
    writable: bool,
    read_closed: bool,
    /// Why reading or writing failed first.
    error: Option<io::Error>,
}

/// Bytes that are written are given back only when they are more than this.
const TIDY_BYTES: usize = 64 * 1024;

impl Connection {
    /// Takes over a stream that has just been connected.
    pub fn new(stream: Stream) -> Connection {
        Connection {
            stream,
            input: Vec::new(),
            scanned: 0,
            readable: true,
            writable: true,
            read_closed: false,
            error: None,
        }
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

    /// Puts `read` behind what is left of what was read before. Of all this `understand` gives how many
    /// bytes are dealt with; the rest is kept, in no more room than it needs: none for none.
    pub fn take_up(&mut self, read: &[u8], understand: impl FnOnce(&[u8], &mut usize) -> usize) {
        if self.input.is_empty() {
            let used = understand(read, &mut self.scanned);
            self.input = read[used..].to_vec();
            return;
        }
        self.input.extend_from_slice(read);
        let used = understand(&self.input, &mut self.scanned);
        self.input.drain(..used);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
    }

    /// How many bytes are kept.
    pub fn kept(&self) -> usize {
        self.input.len()
    }

    /// Writes what the socket takes and gives how many bytes that were. An error means that the
    /// connection is broken.
    pub fn write(&mut self, output: &mut Output) -> io::Result<usize> {
        let mut went = 0;
        while self.writable && output.unwritten() > 0 {
            match self.stream.write(&output.bytes[output.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    output.written += count;
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

/// Bytes on their way to a socket. It owns a buffer only while there are some.
#[derive(Default)]
pub struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    /// The buffer to append to, a used one where there is one.
    pub fn buffer(&mut self, spares: &mut Spares) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = spares.take();
        }
        &mut self.bytes
    }

    /// Puts bytes behind those that wait, in no more room than they need.
    pub fn append(&mut self, bytes: Vec<u8>, spares: &mut Spares) {
        if self.unwritten() == 0 {
            spares.give(std::mem::replace(&mut self.bytes, bytes));
            self.written = 0;
        } else {
            self.bytes.reserve_exact(bytes.len());
            self.bytes.extend_from_slice(&bytes);
            spares.give(bytes);
        }
    }

    /// How many bytes wait.
    pub fn unwritten(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Gives the bytes that wait to somebody else, for whom they count as written.
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..std::mem::take(&mut self.written));
        bytes
    }

    /// Gives back what is written: the buffer when it is all of it, room in it when it is much.
    pub fn tidy(&mut self, spares: &mut Spares) {
        if self.written == self.bytes.len() {
            spares.give(std::mem::take(&mut self.bytes));
            self.written = 0;
        } else if self.written > self.bytes.len() / 2 && self.written > TIDY_BYTES {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}

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
