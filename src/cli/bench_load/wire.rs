//! A client's connection: frames over a socket. It waits for answers, before and after the load;
//! under load the loop of [`super::load`] reads and writes it.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::error::Error;
use crate::cli::socket::Socket;
use crate::limits;
use crate::protocol::framing::{self, Codec, Form, Split};
use crate::protocol::{DecodeError, Message};

/// How long to wait for a connection or an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes asked of a socket at once.
pub const READ_BYTES: usize = 128 << 10;

/// Connects to `HOST:PORT` or `unix:PATH`, trying every address that HOST has.
pub fn connect(address: &str) -> io::Result<Socket> {
    if let Some(path) = address.strip_prefix("unix:") {
        return UnixStream::connect(path).map(Socket::Unix);
    }
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, ANSWER_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(Socket::Tcp(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A socket, whose it is, and what was read and does not make a frame yet.
pub struct Wire {
    pub socket: Socket,
    pub name: String,
    codec: Codec,
    rest: Vec<u8>,
}

impl Wire {
    pub fn new(socket: Socket, name: String, codec: Codec) -> Result<Wire, Error> {
        let wire = Wire { socket, name, codec, rest: Vec::new() };
        wire.set_waiting(true)?;
        Ok(wire)
    }

    /// Sets whether reads and writes wait, for at most [`ANSWER_TIMEOUT`].
    pub fn set_waiting(&self, waiting: bool) -> Result<(), Error> {
        let socket = &self.socket;
        let set = socket.set_read_timeout(ANSWER_TIMEOUT);
        set.and_then(|()| socket.set_write_timeout(ANSWER_TIMEOUT))
            .and_then(|()| socket.set_nonblocking(!waiting))
            .map_err(|error| self.lost(error))
    }

    pub fn lost(&self, error: io::Error) -> Error {
        Error::Lost(self.name.clone(), error)
    }

    pub fn odd(&self, what: impl ToString) -> Error {
        Error::Odd(self.name.clone(), what.to_string())
    }

    pub fn frame(&self, message: &Message<'_>) -> Vec<u8> {
        let mut frame = Vec::new();
        framing::put(&mut frame, Form::Frames, self.codec, message);
        frame
    }

    /// Asks and waits for the answer, whatever it is; pushes are passed over.
    pub fn ask(
        &mut self,
        request: &Message<'_>,
        space: &mut Space,
    ) -> Result<Message<'static>, Error> {
        let mut answer = None;
        self.ask_for_all(request, space, |message| {
            if message.cmd == request.cmd {
                answer = Some(message.into_owned());
            }
        })?;
        answer.ok_or_else(|| self.odd("no answer"))
    }

    /// Asks, and hands every message that comes to `each` until the one with the request's `cmd`,
    /// which is the last.
    pub fn ask_for_all(
        &mut self,
        request: &Message<'_>,
        space: &mut Space,
        mut each: impl FnMut(Message<'_>),
    ) -> Result<(), Error> {
        let frame = self.frame(request);
        self.socket.write_all(&frame).map_err(|error| self.lost(error))?;
        loop {
            let mut redirected = None;
            let mut unreadable = None;
            let flow = self.read_once(space, |message| {
                let message = message.map_err(|error| error.to_string());
                match message {
                    Err(error) => unreadable = Some(error),
                    Ok(message) if message.cmd == "error" => {
                        unreadable = Some(message.body.into_owned());
                    }
                    Ok(message) if message.cmd == "redirect" => {
                        redirected = Some(message.to.into_owned());
                    }
                    Ok(message) => {
                        let last = message.cmd == request.cmd;
                        each(message);
                        if !last {
                            return ControlFlow::Continue(());
                        }
                    }
                }
                ControlFlow::Break(())
            });
            if let Some(address) = redirected {
                return Err(Error::Redirected(address));
            }
            if let Some(what) = unreadable {
                return Err(self.odd(what));
            }
            if flow.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
                continue;
            }
            match flow.map_err(|error| self.lost(error))? {
                ReadEnd::Stopped => return Ok(()),
                ReadEnd::Empty => return Err(self.lost(io::ErrorKind::TimedOut.into())),
                ReadEnd::Short | ReadEnd::Full => {}
            }
        }
    }

    /// Reads once, and hands every whole message to `each` until that breaks off. The rest is kept.
    ///
    /// # Errors
    /// Those of the socket, and `UnexpectedEof` where the server has closed. `Interrupted` too: read
    /// again.
    pub fn read_once(
        &mut self,
        space: &mut Space,
        mut each: impl FnMut(Result<Message<'_>, DecodeError>) -> ControlFlow<()>,
    ) -> io::Result<ReadEnd> {
        let buffer = space.begin(&self.rest);
        let mut have = self.rest.len();
        let mut at = 0;
        // What is left of the last read may hold whole messages that were not asked for then.
        let mut stopped = hand_out(&buffer[..have], &mut at, &mut each)?;
        let mut end = ReadEnd::Stopped;
        if !stopped {
            let count = match self.socket.read(&mut buffer[have..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            have += count;
            end = match count {
                0 => ReadEnd::Empty,
                _ if have < buffer.len() => ReadEnd::Short,
                _ => ReadEnd::Full,
            };
            stopped = hand_out(&buffer[..have], &mut at, &mut each)?;
        }
        self.rest.clear();
        self.rest.extend_from_slice(&buffer[at..have]);
        Ok(if stopped { ReadEnd::Stopped } else { end })
    }
}

/// Hands out whole messages from `at` on, which it moves; true when `each` broke off.
fn hand_out(
    bytes: &[u8],
    at: &mut usize,
    each: &mut impl FnMut(Result<Message<'_>, DecodeError>) -> ControlFlow<()>,
) -> io::Result<bool> {
    let mut scanned = 0;
    loop {
        let left = &bytes[*at..];
        match framing::split(Form::Frames, left, &mut scanned) {
            Split::Payload { start, end, consumed, codec } => {
                *at += consumed;
                if each(framing::decode(codec, &left[start..end])).is_break() {
                    return Ok(true);
                }
            }
            Split::Blank { consumed } => *at += consumed,
            Split::NeedMore => return Ok(false),
            Split::TooLong => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Why [`Wire::read_once`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// The read filled its space; the socket may have more.
    Full,
    /// The socket had less than there was space for, and has no more now.
    Short,
    Empty,
    Stopped,
}

/// Where all connections read into, one after the other, so that each keeps only what it has not
/// understood yet.
#[derive(Default)]
pub struct Space {
    bytes: Vec<u8>,
}

impl Space {
    /// Room for `rest`, which is put there, and a read behind it.
    fn begin(&mut self, rest: &[u8]) -> &mut [u8] {
        debug_assert!(rest.len() <= limits::FRAME_BYTES + READ_BYTES);
        if self.bytes.len() < rest.len() + READ_BYTES {
            self.bytes.resize(rest.len() + READ_BYTES, 0);
        }
        self.bytes[..rest.len()].copy_from_slice(rest);
        &mut self.bytes
    }
}
