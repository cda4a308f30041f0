//! The bytes of a connection: those that were read and are not understood yet, those on their way.
//! Pure. A buffer is given back when it is empty, so that an idle connection costs little.

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Bytes that were read and do not make a whole request yet, or whose turn has not come.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// How many of them have been searched for a line's end.
    scanned: usize,
}

impl Inbox {
    /// Puts `read` behind what is left of what was read before. Of all this `understand` gives how many
    /// bytes are dealt with; the rest is kept, in no more room than it needs: none for none.
    pub fn take_up(&mut self, read: &[u8], understand: impl FnOnce(&[u8], &mut usize) -> usize) {
        if self.bytes.is_empty() {
            let used = understand(read, &mut self.scanned);
            self.bytes = read[used..].to_vec();
            return;
        }
        self.bytes.extend_from_slice(read);
        let used = understand(&self.bytes, &mut self.scanned);
        self.bytes.drain(..used);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// How many bytes are kept.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether none are.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Bytes that are written are given back only when they are more than this.
const TIDY_BYTES: usize = 64 * 1024;

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

    /// What waits.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// So much of that was written.
    pub fn advance(&mut self, count: usize) {
        self.written += count;
    }

    /// How many bytes wait.
    pub fn unwritten(&self) -> usize {
        self.bytes.len() - self.written
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
