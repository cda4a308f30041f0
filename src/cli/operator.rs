//! How an operator's commands talk to servers: over the peers' port, under the cluster's secret, or
//! through the socket in the data directory of one on this machine.

use std::fmt::{self, Write as _};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::Error;
use super::socket::Socket;
use super::values::Target;
use crate::auth::hmac;
use crate::limits;
use crate::net::{connect, reason, resolver};
use crate::node::peers::handshake::{self, Dialing, Identity, Session};
use crate::node::peers::session::{Block, LENGTH_BYTES};
use crate::node::peers::wire::{self, Frame};
use crate::protocol::json::Object;
use crate::server::secret;
use crate::sys::entropy;
use crate::wal::data_dir::operator_socket;

/// What one server says, `key value` by `key value`; or why it says nothing.
pub type Answer = Result<Vec<(String, String)>, String>;

/// A server that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// The one at this address of the peers' port.
    At(String),
    /// Through the socket of the server on this machine: the one of this name, or itself where that
    /// is empty.
    Through(PathBuf, String),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Server::At(address) => f.write_str(address),
            Server::Through(path, name) if name.is_empty() => write!(f, "{}", path.display()),
            Server::Through(_, name) => f.write_str(name),
        }
    }
}

impl Server {
    /// Another server, of which this one has told.
    pub fn other(&self, name: &str, address: &str) -> Server {
        match self {
            Server::At(_) => Server::At(address.to_owned()),
            Server::Through(path, _) => Server::Through(path.clone(), name.to_owned()),
        }
    }
}

/// The servers to ask, and the key for that.
pub fn servers(target: &Target) -> Result<(Vec<Server>, hmac::Key), Error> {
    if let Some(directory) = &target.data_dir {
        let socket = Server::Through(operator_socket(directory), String::new());
        return Ok((vec![socket], handshake::local_key()));
    }
    let Some(file) = &target.cluster_secret_file else {
        let what = "give --data-dir DIR to ask the server on this machine, or \
                    --cluster-secret-file FILE with --servers";
        return Err(Error::usage(what));
    };
    let secret = secret::read(file).map_err(Error::failed)?;
    if target.servers.len() > limits::STATUS_SERVERS {
        let most = limits::STATUS_SERVERS;
        return Err(Error::usage(format!("--servers takes at most {most} servers")));
    }
    Ok((target.servers.iter().cloned().map(Server::At).collect(), secret))
}

/// Adds what a server said to an object: as a number if it is one.
pub fn put(object: Object, key: &str, said: &str) -> Object {
    match said.parse::<u64>() {
        Ok(_) => object.raw(key, said),
        Err(_) => object.text(key, said),
    }
}

/// The first value of a key.
pub fn value<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// Lines of cells as text, each cell but a line's last as wide as its column and two spaces.
pub fn lay_out(lines: &[Vec<String>], widths: &[usize]) -> String {
    let mut text = String::new();
    for line in lines {
        for (place, cell) in line.iter().enumerate() {
            let width = if place + 1 == line.len() { 0 } else { widths[place] + 2 };
            let _ = write!(text, "{cell:<width$}"); // writing to a String cannot fail
        }
        text.push('\n');
    }
    text
}

/// Names and addresses of the servers that an answer names.
pub fn members(pairs: &[(String, String)]) -> Vec<(String, String)> {
    let members = pairs.iter().filter(|(key, _)| key == "member");
    members
        .filter_map(|(_, value)| {
            let mut words = value.split(' ');
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

/// Connects, proves the secret, and asks.
pub fn ask(server: &Server, frame: &Frame, secret: &hmac::Key, by: Instant) -> Answer {
    let pairs = match server {
        Server::At(name) => {
            let found = connect::addresses(&resolver::system(), name, by)?;
            let key = secret.clone();
            let open = move |address| open(address, &key, by);
            // The first address of a name at which a server answers.
            ask_over(connect::first(&found, by, open)?, frame, by)
        }
        Server::Through(path, meant) => ask_over(open_local(path, meant, secret, by)?, frame, by),
    }?;
    match value(&pairs, "unreachable") {
        Some(why) => Err(why.to_owned()),
        None => Ok(pairs),
    }
}

fn ask_over((mut stream, mut session): Opened, frame: &Frame, by: Instant) -> Answer {
    let mut out = Vec::new();
    let head = |out: &mut Vec<u8>| wire::put_head(out, frame);
    session.sealer.seal(&mut out, head, &Block::default());
    stream.write_all(&out).map_err(failed)?;
    loop {
        let frame = read(&mut stream, limits::PEER_FRAME_BYTES, by).map_err(failed)?;
        let (head, block) = session.opener.open(&frame).map_err(|reason| reason.to_string())?;
        match wire::decode(head, block) {
            Ok(Frame::Status(text)) => return Ok(text.lines().map(pair).collect()),
            Ok(Frame::Closing(reason)) => return Err(reason.to_string()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// A connection whose two sides have proven the secret.
type Opened = (Socket, Session);

fn open(address: SocketAddr, secret: &hmac::Key, by: Instant) -> Result<Opened, String> {
    let stream = TcpStream::connect_timeout(&address, left(by)).map_err(failed)?;
    prove(Socket::Tcp(stream), "", secret, by)
}

/// Connects to the server on this machine that has this socket, and through it to the one meant.
fn open_local(path: &Path, meant: &str, secret: &hmac::Key, by: Instant) -> Result<Opened, String> {
    let stream = UnixStream::connect(path).map_err(|error| no_socket(path, &error))?;
    prove(Socket::Unix(stream), meant, secret, by)
}

/// The time until `by`, at least a millisecond.
fn left(by: Instant) -> Duration {
    by.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn prove(
    mut stream: Socket,
    meant: &str,
    secret: &hmac::Key,
    by: Instant,
) -> Result<Opened, String> {
    stream.set_write_timeout(left(by)).map_err(failed)?;
    let me = Identity::operator();
    let mut out = Vec::new();
    let dialing = Dialing::new(&me, meant, entropy::array().map_err(failed)?, &mut out);
    stream.write_all(&out).map_err(failed)?;
    let welcome = read(&mut stream, limits::PEER_HANDSHAKE_BYTES, by).map_err(failed)?;
    out.clear();
    let (_, session) =
        dialing.on_welcome(secret, &welcome, &mut out).map_err(|reason| reason.to_string())?;
    stream.write_all(&out).map_err(failed)?;
    Ok((stream, session))
}

fn failed(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        _ => reason(&error),
    }
}

/// `key value` of a line.
pub fn pair(line: &str) -> (String, String) {
    let (key, value) = line.split_once(' ').unwrap_or((line, ""));
    (key.to_owned(), value.to_owned())
}

/// Why the socket in a data directory cannot be used.
fn no_socket(path: &Path, error: &io::Error) -> String {
    let directory = path.parent().unwrap_or(path);
    match error.kind() {
        io::ErrorKind::NotFound if !directory.exists() => "no such data directory".to_owned(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            "no server runs on this data directory".to_owned()
        }
        io::ErrorKind::InvalidInput => {
            "the path is too long for a socket: change to the data directory and give --data-dir ."
                .to_owned()
        }
        _ => reason(error),
    }
}

/// A frame without the length before it.
fn read(stream: &mut Socket, most: usize, by: Instant) -> io::Result<Vec<u8>> {
    let mut length = [0; LENGTH_BYTES];
    read_exact(stream, &mut length, by)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > most {
        return Err(io::Error::other("this is not the peer port of a chatctl server"));
    }
    let mut frame = vec![0; length];
    read_exact(stream, &mut frame, by)?;
    Ok(frame)
}

fn read_exact(stream: &mut Socket, mut buffer: &mut [u8], by: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(left)?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffer = &mut buffer[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
