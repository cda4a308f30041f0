//! The sockets of clients, of other servers and of operators: one implementation for all. What is
//! read, how much of it, and what is written is the node's to say.

use std::collections::VecDeque;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::PathBuf;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::limits;
use crate::net::{Connection, Key, Listener, Origin, Stream, reason};
use crate::node::{Conn, Input, Node, Port};
use crate::sys::clock;
use crate::wal::RealDisk;

/// Marks a token as a peer connection's: a bit of the slot's number, of which there are never so many.
const PEER_BIT: u64 = 1 << 31;

/// The listeners of a port.
struct Door {
    port: Port,
    token: Token,
    listeners: Vec<Listener>,
    /// Somebody may be waiting there.
    is_ready: bool,
}

struct Socket {
    key: Key,
    conn: Connection,
}

/// All sockets.
pub(super) struct Sockets {
    /// For clients, for peers, for operators on this machine.
    doors: [Door; 3],
    /// By the slots of the node's keys.
    clients: Vec<Option<Socket>>,
    peers: Vec<Option<Socket>>,
    /// Closed ones whose last words are on their way, and until when they are kept: to close one
    /// with bytes unread would reset it.
    lingering: VecDeque<(u64, Connection)>,
    /// What is being read from a connection.
    scratch: Box<[u8]>,
}

impl Sockets {
    /// Clients come by these.
    pub(super) fn new(listeners: Vec<Listener>) -> Sockets {
        let door = |port, number| Door {
            port,
            token: Token(usize::MAX - number),
            listeners: Vec::new(),
            is_ready: true,
        };
        let clients = Door { listeners, ..door(Port::Clients, 2) };
        Sockets {
            doors: [clients, door(Port::Peers, 3), door(Port::Operators, 4)],
            clients: Vec::new(),
            peers: Vec::new(),
            lingering: VecDeque::new(),
            scratch: vec![0; limits::TURN_READ_BYTES.max(limits::PEER_READ_BYTES)].into(),
        }
    }

    /// Those for clients.
    pub(super) fn clients_listeners(&mut self) -> &mut [Listener] {
        &mut self.doors[0].listeners
    }

    /// The other servers come by these.
    pub(super) fn set_peers_listeners(&mut self, listeners: Vec<Listener>) {
        self.doors[1].listeners = listeners;
    }

    /// Listens for operators on this machine at `path`, which nobody else may open.
    pub(super) fn open_local(&mut self, path: PathBuf, registry: &Registry) -> io::Result<()> {
        // The directory is this process's alone: a socket there is a dead server's, whoever made it.
        if fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(&path)?;
        }
        let mut listener = Listener::unix(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let door = &mut self.doors[2];
        registry.register(&mut listener, door.token, Interest::READABLE)?;
        door.listeners.push(listener);
        Ok(())
    }

    /// Starts to watch the listeners of clients and peers.
    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for Door { token, listeners, .. } in &mut self.doors[..2] {
            for listener in listeners {
                registry.register(listener, *token, Interest::READABLE)?;
            }
        }
        Ok(())
    }

    /// Takes no connections any more.
    pub(super) fn close_listeners(&mut self) {
        self.doors[0].listeners.clear();
    }

    /// Notes what the poll says.
    pub(super) fn on_event(&mut self, event: &Event, node: &mut Node<RealDisk>) {
        let token = event.token();
        if let Some(door) = self.doors.iter_mut().find(|door| door.token == token) {
            door.is_ready = true;
            return;
        }
        let conn = conn_of(token);
        let Some(socket) = self.find(conn) else { return };
        if event.is_readable() || event.is_error() {
            socket.conn.set_readable(event.is_read_closed() || event.is_error());
            node.handle(Input::Readable(conn));
        }
        if event.is_writable() {
            socket.conn.set_writable();
            node.handle(Input::Writable(conn));
        }
    }

    /// Whether there is something to do that no event will tell of.
    pub(super) fn is_ready(&self, node: &mut Node<RealDisk>) -> bool {
        let readable = |socket: &Socket| socket.conn.readable();
        let opens = |door: &Door| {
            door.is_ready
                && !door.listeners.is_empty()
                && (node.accepts(door.port) || door.port == Port::Clients && node.turns_away())
        };
        self.doors.iter().any(opens) || self.peers.iter().flatten().any(readable)
    }

    /// Takes those who wait, so many in a turn that nobody else waits long for them.
    pub(super) fn accept(&mut self, node: &mut Node<RealDisk>, registry: &Registry) {
        for place in 0..self.doors.len() {
            let port = self.doors[place].port;
            if port == Port::Clients && node.turns_away() {
                self.turn_away(place);
                continue;
            }
            let mut left = most_of(port, self.doors[place].listeners.len());
            while left > 0 && self.doors[place].is_ready && node.accepts(port) {
                left -= 1;
                let door = &mut self.doors[place];
                let found = door.listeners.iter().find_map(|found| found.accept().transpose());
                match found {
                    None => door.is_ready = false,
                    Some(Ok((stream, origin))) => {
                        self.connect(node, port, stream, origin, registry)
                    }
                    // Out of descriptors, most likely: the next event tries again, or the node says
                    // when.
                    Some(Err(error)) if port == Port::Clients => {
                        node.handle(Input::AcceptFailed(error.to_string()));
                    }
                    Some(Err(_)) => door.is_ready = false,
                }
            }
        }
    }

    /// Closes what clients have opened: they go to another server at once, and do not wait for one
    /// that cannot serve them yet.
    fn turn_away(&mut self, place: usize) {
        let door = &mut self.doors[place];
        if std::mem::take(&mut door.is_ready) {
            super::opening::turn_away(&door.listeners);
        }
    }

    fn connect(
        &mut self,
        node: &mut Node<RealDisk>,
        port: Port,
        stream: Stream,
        origin: Origin,
        registry: &Registry,
    ) {
        if let Some(conn) = node.accept(port, origin) {
            self.watch(node, conn, stream, registry);
        }
    }

    /// Connects to a peer.
    pub(super) fn dial(
        &mut self,
        node: &mut Node<RealDisk>,
        key: Key,
        address: SocketAddr,
        registry: &Registry,
    ) {
        match TcpStream::connect(address) {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                self.watch(node, Conn::Peer(key), Stream::Tcp(stream), registry);
            }
            Err(error) => node.handle(Input::Broken(Conn::Peer(key), reason(&error))),
        }
    }

    fn watch(
        &mut self,
        node: &mut Node<RealDisk>,
        conn: Conn,
        stream: Stream,
        registry: &Registry,
    ) {
        let mut socket = Socket { key: key_of(conn), conn: Connection::new(stream) };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = registry.register(socket.conn.stream_mut(), token_of(conn), interest) {
            return node.handle(Input::Broken(conn, error.to_string()));
        }
        let (slot, sockets) = (socket.key.slot(), self.of(conn));
        if sockets.len() <= slot {
            sockets.resize_with(slot + 1, || None);
        }
        sockets[slot] = Some(socket);
        // What it sent before it was watched made no event.
        node.handle(Input::Readable(conn));
    }

    /// Reads what peers and operators have sent.
    pub(super) fn read_peers(&mut self, node: &mut Node<RealDisk>) {
        for place in 0..self.peers.len() {
            let Some(socket) = &self.peers[place] else { continue };
            if socket.conn.readable() {
                let conn = Conn::Peer(socket.key);
                self.read(node, conn);
            }
        }
    }

    /// Reads from a connection as much as the node wants.
    pub(super) fn read(&mut self, node: &mut Node<RealDisk>, conn: Conn) {
        let Some(readable) = self.find(conn).map(|socket| socket.conn.readable()) else { return };
        let Some(room) = node.room(conn, readable) else { return };
        let mut scratch = std::mem::take(&mut self.scratch);
        if let Some(socket) = self.find(conn) {
            let (count, end) = socket.conn.read(&mut scratch[..room]);
            let why = socket.conn.error();
            node.receive(conn, &scratch[..count], end, why.as_deref());
        }
        self.scratch = scratch;
    }

    /// Writes what the node has for a connection, with one system call mostly.
    pub(super) fn write(&mut self, node: &mut Node<RealDisk>, conn: Conn) {
        let Some(output) = node.output(conn) else { return };
        // What is written before the connection is there waits for it.
        let Some(socket) = self.find(conn) else { return };
        let count = socket.conn.write(output).ok();
        if count.is_none() {
            // What the other side said last may still be there to be read.
            socket.conn.set_readable(true);
        }
        node.written(conn, count);
    }

    /// Closes the writing side.
    pub(super) fn shut(&mut self, conn: Conn) {
        if let Some(socket) = self.find(conn) {
            socket.conn.shutdown_write();
        }
    }

    /// Closes a connection.
    pub(super) fn close(&mut self, conn: Conn, registry: &Registry) {
        if self.find(conn).is_none() {
            return;
        }
        let Some(mut socket) = self.of(conn)[key_of(conn).slot()].take() else { return };
        let _ = registry.deregister(socket.conn.stream_mut());
        if let Conn::Peer(_) = conn {
            socket.conn.shutdown_write();
            self.linger(socket.conn);
        }
    }

    fn linger(&mut self, conn: Connection) {
        let now_ms = clock::monotonic_ms();
        let is_over = |(until_ms, _): &(u64, Connection)| *until_ms <= now_ms;
        while self.lingering.len() >= limits::PEER_UNPROVEN
            || self.lingering.front().is_some_and(is_over)
        {
            self.lingering.pop_front();
        }
        self.lingering.push_back((now_ms + limits::PEER_LINGER_MS, conn));
    }

    fn of(&mut self, conn: Conn) -> &mut Vec<Option<Socket>> {
        match conn {
            Conn::Client(_) => &mut self.clients,
            Conn::Peer(_) => &mut self.peers,
        }
    }

    fn find(&mut self, conn: Conn) -> Option<&mut Socket> {
        let key = key_of(conn);
        self.of(conn).get_mut(key.slot())?.as_mut().filter(|socket| socket.key == key)
    }
}

/// How many are taken at a port in one turn.
fn most_of(port: Port, listeners: usize) -> usize {
    match port {
        // The node counts them.
        Port::Clients => usize::MAX,
        Port::Peers => limits::PEER_UNPROVEN * listeners.min(1),
        Port::Operators => limits::LOCAL_OPERATORS,
    }
}

fn key_of(conn: Conn) -> Key {
    match conn {
        Conn::Client(key) | Conn::Peer(key) => key,
    }
}

fn token_of(conn: Conn) -> Token {
    match conn {
        Conn::Client(key) => key.token(),
        Conn::Peer(key) => Token((key.number() | PEER_BIT) as usize),
    }
}

fn conn_of(token: Token) -> Conn {
    let number = token.0 as u64;
    match number & PEER_BIT == 0 {
        true => Conn::Client(Key::from_number(number)),
        false => Conn::Peer(Key::from_number(number & !PEER_BIT)),
    }
}
