//! The sockets of the peers' port: what [`Mesh`] decides is done here. Nothing here waits.

use std::collections::VecDeque;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::peers::mesh::Mesh;
use crate::limits;
use crate::net::{Connection, Key, Listen, Listener, ReadEnd, Resolver, Stream, reason};

/// The peers' listener, beside the tokens of [`super::turn`].
const LISTENER: Token = Token(usize::MAX - 3);
/// The operators' listener on this machine.
const LOCAL: Token = Token(usize::MAX - 4);
/// Marks a token as a peer connection's: a bit of the slot's number, of which there are never so many.
const PEER_BIT: u64 = 1 << 31;

struct Socket {
    key: Key,
    conn: Connection,
}

/// The sockets.
pub struct Links {
    /// Who is connected, and what is said.
    pub mesh: Mesh,
    /// The peers' port; none for a server that is alone.
    listeners: Vec<Listener>,
    accepting: bool,
    /// The data directory's socket, for operators on this machine.
    local: Option<Listener>,
    accepting_local: bool,
    /// By the slots of the mesh's keys.
    sockets: Vec<Option<Socket>>,
    /// Closed ones whose last words are on their way, and until when they are kept: to close one
    /// with bytes unread would reset it.
    lingering: VecDeque<(u64, Connection)>,
    /// What is being read.
    scratch: Box<[u8]>,
    now_ms: u64,
    resolver: Resolver,
}

impl Links {
    /// Accepts the others by these listeners, and has names looked up by this resolver.
    pub fn new(listeners: Vec<Listener>, mut mesh: Mesh, resolver: Resolver) -> Links {
        let bound = listeners.iter().filter_map(|listener| match listener.address() {
            Ok(Listen::Tcp(address)) => Some(address),
            _ => None,
        });
        mesh.set_listening(bound.collect());
        Links {
            mesh,
            listeners,
            accepting: true,
            local: None,
            accepting_local: true,
            sockets: Vec::new(),
            lingering: VecDeque::new(),
            scratch: vec![0; limits::PEER_READ_BYTES].into(),
            now_ms: 0,
            resolver,
        }
    }

    /// Whether there is no peers' port.
    pub fn is_alone(&self) -> bool {
        self.listeners.is_empty()
    }

    /// Listens for operators on this machine at `path`, which nobody else may open.
    pub fn open_local(&mut self, path: PathBuf, registry: &Registry) -> io::Result<()> {
        // The directory is this process's alone: a socket there is a dead server's, whoever made it.
        if fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(&path)?;
        }
        let mut listener = Listener::unix(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        registry.register(&mut listener, LOCAL, Interest::READABLE)?;
        self.local = Some(listener);
        Ok(())
    }

    /// Where the others are accepted, as it was bound.
    pub fn addresses(&self) -> Vec<String> {
        let bound = self.listeners.iter().filter_map(|listener| listener.address().ok());
        bound.map(|address| address.to_string()).collect()
    }

    /// Starts to watch the listeners.
    pub fn register(&mut self, registry: &Registry) -> io::Result<()> {
        let watch = |listener| registry.register(listener, LISTENER, Interest::READABLE);
        self.listeners.iter_mut().try_for_each(watch)
    }

    /// Notes an event; false when it is none of these sockets'.
    pub fn on_event(&mut self, event: &Event) -> bool {
        let token = event.token();
        if token == LISTENER {
            self.accepting = true;
            return true;
        }
        if token == LOCAL {
            self.accepting_local = true;
            return true;
        }
        let number = token.0 as u64;
        if number & PEER_BIT == 0 || number >> 62 == 3 {
            return false;
        }
        let key = Key::from_number(number & !PEER_BIT);
        if let Some(socket) = self.sockets.get_mut(key.slot()).and_then(Option::as_mut)
            && socket.key == key
        {
            if event.is_readable() || event.is_error() {
                socket.conn.set_readable(event.is_read_closed() || event.is_error());
            }
            if event.is_writable() {
                socket.conn.set_writable();
                self.mesh.on_writable(key);
            }
        }
        true
    }

    /// Whether something waits to be read that no event will tell of.
    pub fn is_ready(&self) -> bool {
        let readable = |socket: &Socket| socket.conn.readable();
        self.accepting || self.accepting_local || self.sockets.iter().flatten().any(readable)
    }

    /// Takes connections, reads what there is, dials who is to be dialled.
    pub fn work(&mut self, now_ms: u64, registry: &Registry) {
        self.now_ms = now_ms;
        self.mesh.set_now(now_ms);
        while self.lingering.front().is_some_and(|(until_ms, _)| *until_ms <= now_ms) {
            self.lingering.pop_front();
        }
        self.accept(registry);
        self.accept_local(registry);
        for place in 0..self.sockets.len() {
            self.read(place);
        }
        while let Some((name, found)) = self.resolver.poll() {
            self.mesh.on_found(&name, found);
        }
        self.mesh.tick();
        while let Some((key, address)) = self.mesh.next_dial() {
            self.connect(key, address, registry);
        }
        while let Some(name) = self.mesh.next_lookup() {
            self.resolver.ask(name);
        }
    }

    /// Takes those who wait, so many in a turn that nobody else waits long for them.
    fn accept(&mut self, registry: &Registry) {
        if !self.accepting {
            return;
        }
        self.accepting = false;
        let each = (limits::PEER_UNPROVEN / self.listeners.len().max(1)).max(1);
        for place in 0..self.listeners.len() {
            let mut left = each;
            // Out of descriptors, most likely, where one fails: the next event tries again.
            while left > 0
                && let Ok(Some((stream, origin))) = self.listeners[place].accept()
            {
                left -= 1;
                let key = self.mesh.accept(origin.to_string());
                self.watch(key, stream, registry);
            }
            self.accepting |= left == 0;
        }
    }

    /// The same for operators on this machine.
    fn accept_local(&mut self, registry: &Registry) {
        for _ in 0..limits::LOCAL_OPERATORS {
            if !self.accepting_local {
                return;
            }
            match self.local.as_ref().map(Listener::accept) {
                Some(Ok(Some((stream, _)))) => {
                    let key = self.mesh.accept_local();
                    self.watch(key, stream, registry);
                }
                _ => self.accepting_local = false,
            }
        }
    }

    fn connect(&mut self, key: Key, address: SocketAddr, registry: &Registry) {
        match TcpStream::connect(address) {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                self.watch(key, Stream::Tcp(stream), registry);
            }
            Err(error) => self.mesh.on_broken(key, &reason(&error)),
        }
    }

    fn watch(&mut self, key: Key, stream: Stream, registry: &Registry) {
        let mut conn = Connection::new(stream);
        let token = Token((key.number() | PEER_BIT) as usize);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = registry.register(conn.stream_mut(), token, interest) {
            return self.mesh.on_broken(key, &error.to_string());
        }
        if self.sockets.len() <= key.slot() {
            self.sockets.resize_with(key.slot() + 1, || None);
        }
        self.sockets[key.slot()] = Some(Socket { key, conn });
    }

    fn read(&mut self, place: usize) {
        let Some(socket) = &mut self.sockets[place] else { return };
        if !socket.conn.readable() {
            return;
        }
        let budget = self.mesh.budget(socket.key);
        let (count, end) = socket.conn.read(&mut self.scratch[..budget]);
        let mesh = &mut self.mesh;
        let read = &self.scratch[..count];
        socket.conn.take_up(read, |input, _| mesh.receive(socket.key, input));
        match end {
            ReadEnd::Closed => {
                let why = socket.conn.error();
                let why = why.as_deref().unwrap_or("the other side closed the connection");
                self.mesh.on_broken(socket.key, why);
            }
            ReadEnd::Broken => {
                let why = socket.conn.error().unwrap_or_else(|| "connection broken".to_owned());
                self.mesh.on_broken(socket.key, &why);
            }
            ReadEnd::Blocked | ReadEnd::Budget => {}
        }
    }

    /// Writes what waits, one system call for each connection, and closes what is to be closed.
    pub fn write(&mut self, registry: &Registry) {
        for key in std::mem::take(&mut self.mesh.todo.write) {
            let Some(output) = self.mesh.output(key) else { continue };
            let socket = self.sockets.get_mut(key.slot()).and_then(Option::as_mut);
            let Some(socket) = socket.filter(|socket| socket.key == key) else { continue };
            let result = socket.conn.write(output);
            self.mesh.on_written(key);
            if result.is_err() {
                // What the other side said last may still be there to be read.
                socket.conn.set_readable(true);
            }
        }
        for key in std::mem::take(&mut self.mesh.todo.close) {
            self.mesh.remove(key);
            let socket = self.sockets.get_mut(key.slot());
            if let Some(socket) =
                socket.filter(|socket| socket.as_ref().is_some_and(|socket| socket.key == key))
                && let Some(mut socket) = socket.take()
            {
                let _ = registry.deregister(socket.conn.stream_mut());
                socket.conn.shutdown_write();
                if self.lingering.len() >= limits::PEER_UNPROVEN {
                    self.lingering.pop_front();
                }
                let until_ms = self.now_ms + limits::PEER_LINGER_MS;
                self.lingering.push_back((until_ms, socket.conn));
            }
        }
    }

    /// Takes no connections any more, and tells the peers that this server stops.
    pub fn stop(&mut self, registry: &Registry) {
        self.listeners.clear();
        self.local = None;
        self.mesh.stop();
        self.write(registry);
    }
}

#[cfg(test)]
mod tests;
