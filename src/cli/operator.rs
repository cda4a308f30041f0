//! How an operator's commands talk to servers: over the peers' port, under the cluster's secret.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::Error;
use super::parse::Parsed;
use crate::auth::hmac;
use crate::limits;
use crate::net::{connect, resolver};
use crate::server::peers::handshake::{Dialing, Identity, Kind, Session};
use crate::server::peers::secret;
use crate::server::peers::session::{Block, LENGTH_BYTES};
use crate::server::peers::wire::{self, Frame, Reason};
use crate::sys::entropy;

/// What one server says, `key value` by `key value`; or why it says nothing.
pub type Answer = Result<Vec<(String, String)>, String>;

/// The addresses of --servers and the secret.
pub fn reads(parsed: &Parsed) -> Result<(Vec<String>, hmac::Key), Error> {
    let file = parsed.value("cluster-secret-file").map(PathBuf::from);
    let file = file.ok_or_else(|| parsed.wrong("--cluster-secret-file is needed"))?;
    let failed = |error| Error::failed(parsed.subcommand().name, error);
    let secret = secret::read(&file).map_err(failed)?;
    let servers = parsed.value("servers").unwrap_or_default();
    let addresses: Vec<String> = servers.split(',').map(str::to_owned).collect();
    if addresses.len() > limits::STATUS_SERVERS {
        let most = limits::STATUS_SERVERS;
        return Err(parsed.wrong(format!("--servers: {most} servers at most")));
    }
    Ok((addresses, secret))
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

/// Connects to the first address of a name at which a server answers, proves the secret, and asks.
pub fn ask(address: &str, frame: &Frame, secret: &hmac::Key, by: Instant) -> Answer {
    let found = connect::addresses(&resolver::system(), address, by)?;
    let key = secret.clone();
    let (mut stream, mut session) =
        connect::first(&found, by, move |address| open(address, &key, by))?;
    let mut out = Vec::new();
    let head = |out: &mut Vec<u8>| wire::put_head(out, frame);
    session.sealer.seal(&mut out, head, &Block::default());
    stream.write_all(&out).map_err(failed)?;
    loop {
        let frame = read(&mut stream, limits::PEER_FRAME_BYTES, by).map_err(failed)?;
        let (head, block) = session.opener.open(&frame).map_err(refused)?;
        match wire::decode(head, block) {
            Ok(Frame::Status(text)) => return Ok(text.lines().map(pair).collect()),
            Ok(Frame::Closing(reason)) => return Err(reason.to_string()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Connects to one address, where both sides prove the secret.
fn open(
    address: SocketAddr,
    secret: &hmac::Key,
    by: Instant,
) -> Result<(TcpStream, Session), String> {
    let patience = by.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut stream = TcpStream::connect_timeout(&address, patience).map_err(failed)?;
    stream.set_write_timeout(Some(patience)).map_err(failed)?;
    let me =
        Identity { kind: Kind::Operator, name: String::new(), cluster: [0; 16], incarnation: 0 };
    let mut out = Vec::new();
    let dialing = Dialing::new(&me, "", entropy::array().map_err(failed)?, &mut out);
    stream.write_all(&out).map_err(failed)?;
    let welcome = read(&mut stream, limits::PEER_HANDSHAKE_BYTES, by).map_err(failed)?;
    out.clear();
    let (_, session) = dialing.on_welcome(secret, &welcome, &mut out).map_err(refused)?;
    stream.write_all(&out).map_err(failed)?;
    Ok((stream, session))
}

fn failed(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        io::ErrorKind::UnexpectedEof => "it closed the connection".to_owned(),
        _ => error.to_string(),
    }
}

fn refused(reason: Reason) -> String {
    reason.to_string()
}

/// `key value` of a line.
pub fn pair(line: &str) -> (String, String) {
    let (key, value) = line.split_once(' ').unwrap_or((line, ""));
    (key.to_owned(), value.to_owned())
}

/// A frame without the length before it.
fn read(stream: &mut TcpStream, most: usize, by: Instant) -> io::Result<Vec<u8>> {
    let mut length = [0; LENGTH_BYTES];
    read_exact(stream, &mut length, by)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > most {
        return Err(io::Error::other("what answers there is no chatctl peers' port"));
    }
    let mut frame = vec![0; length];
    read_exact(stream, &mut frame, by)?;
    Ok(frame)
}

fn read_exact(stream: &mut TcpStream, mut buffer: &mut [u8], by: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = by.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffer = &mut buffer[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
