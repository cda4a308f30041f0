//! Connections to servers by their addresses. A look-up may take minutes and cannot be broken off, so
//! it has a thread and the loop goes on; the answer is taken up when it comes, or at the next attempt
//! if that one was given up. Addresses that a name had before are dialled at once.
//!
//! A machine that hangs accepts connections all the same. So an address of a name that says nothing
//! after that is soon given up for the others, and they are tried without it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

use super::transport::Transport;
use crate::client::session::CONNECT_FIRST_MS;
use crate::net::{LookUp, Resolver};

/// What connects.
pub struct Dialer {
    resolver: Resolver,
    woken: UnixStream,
    /// What each name was found to be last. Only names of the client's list are asked for.
    known: BTreeMap<String, Vec<SocketAddr>>,
    /// Addresses that were connected to and have not said a word.
    silent: Vec<SocketAddr>,
}

impl Dialer {
    /// One that looks names up like this.
    pub fn new(look_up: LookUp) -> io::Result<Dialer> {
        let (woken, wake) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        // A full pipe wakes as well as a byte more.
        let resolver = Resolver::new(look_up, move || drop((&wake).write(&[0])));
        Ok(Dialer { resolver, woken, known: BTreeMap::new(), silent: Vec::new() })
    }

    /// Starts to connect to `HOST:PORT` or `unix:PATH`.
    pub fn connect(&mut self, address: &str) -> io::Result<Transport> {
        if let Some(path) = address.strip_prefix("unix:") {
            return Transport::to_path(path);
        }
        if let Ok(address) = address.parse() {
            return Transport::to_any(&[address]);
        }
        // It may have moved since.
        self.resolver.ask(address.to_owned());
        match self.known.get(address) {
            Some(all) => match self.others(all) {
                others if others.is_empty() => Transport::to_any(all),
                others => Transport::to_any(&others),
            },
            None => Ok(Transport::to_name(address)),
        }
    }

    fn others(&self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        addresses.iter().filter(|address| !self.silent.contains(address)).copied().collect()
    }

    /// A connection to `name` stands, at this address. Returns when to give it up unless the server
    /// says something before; `None` if it is the last address to try.
    pub fn on_connected(&mut self, now_ms: u64, name: &str, at: SocketAddr) -> Option<u64> {
        let addresses = self.known.get(name)?;
        if self.others(addresses).is_empty() {
            self.silent.clear();
        }
        self.silent.push(at);
        (!self.others(addresses).is_empty()).then_some(now_ms + CONNECT_FIRST_MS)
    }

    /// The server at the address connected to last has said something.
    pub fn on_heard(&mut self) {
        self.silent.clear();
    }

    /// Tells connections that wait for a name what has been found. [`Dialer`]'s descriptor is ready
    /// when there is something.
    pub fn tell(&mut self, mut connections: [Option<&mut Transport>; 2]) -> [io::Result<()>; 2] {
        let mut bytes = [0; 64];
        while self.woken.read(&mut bytes).is_ok_and(|count| count > 0) {}
        let mut results = [Ok(()), Ok(())];
        while let Some((name, found)) = self.resolver.poll() {
            for (connection, result) in connections.iter_mut().zip(&mut results) {
                if let Some(connection) = connection.as_mut().filter(|it| it.waits_for_name(&name))
                {
                    *result = match &found {
                        Ok(all) => Transport::to_any(all).map(|found| **connection = found),
                        Err(why) => {
                            Err(io::Error::other(format!("cannot look up the name: {why}")))
                        }
                    };
                }
            }
            if let Ok(addresses) = found {
                self.known.insert(name, addresses);
            }
        }
        results
    }
}

impl AsRawFd for Dialer {
    fn as_raw_fd(&self) -> RawFd {
        self.woken.as_raw_fd()
    }
}
