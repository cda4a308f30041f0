//! A listening socket, TCP or Unix.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};

use super::{Listen, Origin, Stream};
use crate::sys::socket;

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Gives connections until there are none. Dropping it removes a Unix socket's file.
pub struct Listener {
    socket: Socket,
}

impl Listener {
    /// Listens at a TCP address.
    pub fn at(address: SocketAddr) -> io::Result<Listener> {
        Ok(Listener { socket: Socket::Tcp(TcpListener::bind(address)?) })
    }

    /// Listens at a port of every address of the machine, IPv6 and IPv4; where the system has no IPv6,
    /// IPv4 only.
    pub fn everywhere(port: u16) -> io::Result<Listener> {
        match socket::listen_dual_stack(port) {
            Ok(listener) => Ok(Listener { socket: Socket::Tcp(TcpListener::from_std(listener)) }),
            Err(error) if is_missing(&error) => {
                Listener::at(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
            }
            Err(error) => Err(error),
        }
    }

    /// Listens at a Unix socket. A file there that nobody answers at is taken for the leftover of a
    /// process that died and is replaced; anything else at that path is left alone.
    pub fn unix(path: &Path) -> io::Result<Listener> {
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        Ok(Listener { socket: Socket::Unix(listener, SocketFile::of(path.to_owned())) })
    }

    /// Where it listens really: the port that the system chose is in it.
    pub fn address(&self) -> io::Result<Listen> {
        match &self.socket {
            Socket::Tcp(listener) => Ok(Listen::Tcp(listener.local_addr()?)),
            Socket::Unix(_, file) => Ok(Listen::Unix(file.path.clone())),
        }
    }

    /// One connection, or None when nobody waits. TCP connections send at once (no Nagle delay).
    pub fn accept(&self) -> io::Result<Option<(Stream, Origin)>> {
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(listener) => listener.accept().map(|(stream, address)| {
                    let _ = stream.set_nodelay(true);
                    (Stream::Tcp(stream), Origin::of(address.ip()))
                }),
                Socket::Unix(listener, _) => {
                    listener.accept().map(|(stream, _)| (Stream::Unix(stream), Origin::Local))
                }
            };
            return match accepted {
                Ok(found) => Ok(Some(found)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(None),
                    // Gone before it was taken, or interrupted: the next one, please.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => continue,
                    _ => Err(error),
                },
            };
        }
    }
}

/// The file that a Unix socket has made. Dropping this removes the file, unless another one has its
/// name by then: a server started later may have replaced it, and clients must reach that one.
struct SocketFile {
    path: PathBuf,
    /// Its device and inode, where they could be read.
    inode: Option<(u64, u64)>,
}

impl SocketFile {
    /// The file at `path`, which was just made.
    fn of(path: PathBuf) -> SocketFile {
        SocketFile { inode: inode(&path), path }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.inode.is_some() && inode(&self.path) == self.inode {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

impl Source for Listener {
    fn register(&mut self, poll: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(listener) => listener.register(poll, token, interest),
            Socket::Unix(listener, _) => listener.register(poll, token, interest),
        }
    }

    fn reregister(&mut self, poll: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(listener) => listener.reregister(poll, token, interest),
            Socket::Unix(listener, _) => listener.reregister(poll, token, interest),
        }
    }

    fn deregister(&mut self, poll: &Registry) -> io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(listener) => listener.deregister(poll),
            Socket::Unix(listener, _) => listener.deregister(poll),
        }
    }
}

/// Whether the address, or IPv6 as a whole, is not there.
pub fn is_missing(error: &io::Error) -> bool {
    let no_family = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    error.kind() == io::ErrorKind::AddrNotAvailable || no_family
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "this path exists and is not a socket",
        ));
    }
    match StdUnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Ok(_) => {
            Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers at this socket"))
        }
        Err(error) => Err(error),
    }
}
