//! A stream socket, TCP or Unix.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::{Interest, Registry, Token};

/// A connected, nonblocking stream.
pub enum Stream {
    /// Over TCP.
    Tcp(mio::net::TcpStream),
    /// Over a Unix socket.
    Unix(mio::net::UnixStream),
}

impl Stream {
    /// Says that nothing more is written; reading goes on.
    pub fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buf),
            Stream::Unix(stream) => stream.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(buf),
            Stream::Unix(stream) => stream.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Stream {
    fn register(&mut self, poll: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.register(poll, token, interest),
            Stream::Unix(stream) => stream.register(poll, token, interest),
        }
    }

    fn reregister(&mut self, poll: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.reregister(poll, token, interest),
            Stream::Unix(stream) => stream.reregister(poll, token, interest),
        }
    }

    fn deregister(&mut self, poll: &Registry) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.deregister(poll),
            Stream::Unix(stream) => stream.deregister(poll),
        }
    }
}

/// What went wrong with a socket, for people: without the number that the system has for it.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let (what, _) = text.split_once(" (os error").unwrap_or((&text, ""));
    let first = what.chars().next().map(|first| first.to_lowercase());
    first.into_iter().flatten().chain(what.chars().skip(1)).collect()
}
