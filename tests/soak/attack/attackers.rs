//! Those who attack: a thread each, which does as little as it can for what it does to the server.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use chatctl::limits;
use chatctl::protocol::framing::{self, Codec, Form, Split};

use crate::support::bounded::{
    Inbox, Sender, channel, dial, is_closed_within, joined, received_within,
};
use crate::support::cpu_of_this_thread;
use crate::support::raw_client::{Ask, ask};
use crate::support::sys::give_way;

/// Connections that log in and then read nothing.
const DEAF: usize = 100;
/// Requests that a flood writes at once.
const FLOOD: usize = 50;
/// Between two rounds of those that are slow on purpose.
const ROUND: Duration = Duration::from_millis(10);
/// How long an attacker waits before it looks whether it is over.
const PATIENCE: Duration = Duration::from_secs(1);
/// What it waits for at most while it gets ready.
const READY: Duration = Duration::from_secs(60);

/// What can be done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// So many connections send a frame byte by byte, each a byte a second.
    Trickle(usize),
    /// So many connections send a frame as long as may be, except its last byte.
    Unfinished(usize),
    /// Connections that are logged in ask for history, are pushed messages, and read nothing.
    Deaf,
    /// The same connections write what is no request, and read nothing.
    Babble,
    /// Logins with a wrong password, as fast as they are answered.
    Logins,
    /// So many sessions ask for lists by a pattern that takes long, as fast as they are answered.
    Lists(usize),
    /// So many sessions of one account read what is pushed to them; those that are refused go.
    Readers(usize),
    /// Connections that say nothing, as many as there are and more, as fast as they are taken.
    Table(usize),
    /// Lines that are no request, as fast as they are answered.
    Malformed,
    /// Frames of the binary form that end too early, as fast as they are answered.
    MalformedFrames,
    /// Frames whose length is too large, with a connection for each, as fast as one is had.
    Oversized,
}

/// An attack under way.
pub struct Attack {
    stop: Sender<()>,
    thread: JoinHandle<Duration>,
    done: Arc<AtomicU64>,
}

impl Attack {
    /// Begins; what needs connections has them when this returns. `token` resumes a session.
    pub fn begin(kind: Kind, address: &str, token: &str) -> Attack {
        let (stop, stopped) = channel();
        let (ready, is_ready) = channel();
        let done = Arc::new(AtomicU64::new(0));
        let mut attacker = Attacker {
            address: address.to_owned(),
            token: token.to_owned(),
            stopped,
            ready,
            done: done.clone(),
        };
        let thread = std::thread::spawn(move || {
            give_way();
            attacker.run(kind);
            cpu_of_this_thread()
        });
        received_within(READY, &is_ready, "an attacker gets ready");
        Attack { stop, thread, done }
    }

    /// What it has done so far: bytes, answers or connections, as its kind has it.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Ends it, and gives the processor time that it took, the making of connections included.
    pub fn end(self) -> Duration {
        drop(self.stop);
        joined(self.thread, "an attacker ends that was told to stop")
    }
}

struct Attacker {
    address: String,
    token: String,
    /// Nothing ever comes here; it is closed at the end.
    stopped: Inbox<()>,
    ready: Sender<()>,
    done: Arc<AtomicU64>,
}

impl Attacker {
    fn run(&mut self, kind: Kind) {
        match kind {
            Kind::Trickle(count) => self.trickle(count),
            Kind::Unfinished(count) => self.leave_unfinished(count),
            Kind::Deaf => {
                let history = encoded(Form::Frames, &ask("history").limit(1_000));
                self.be_deaf(&history);
            }
            Kind::Lists(count) => {
                let pattern = format!("*{}b", "a".repeat(16));
                let list = encoded(Form::Frames, &ask("list").body(&pattern));
                self.chat(count, &list.repeat(FLOOD));
            }
            Kind::Readers(count) => self.chat(count, b""),
            Kind::Table(count) => self.fill_table(count),
            Kind::Babble => self.be_deaf(&[0xff; 64]),
            Kind::Logins => {
                let wrong = ask("login").src("crowd").body("wrong");
                self.flood(Form::Lines, &encoded(Form::Lines, &wrong));
            }
            Kind::Malformed => self.flood(Form::Lines, b"{\"cmd\": \"send\", \"body\": 7 }\n"),
            Kind::MalformedFrames => self.flood(Form::Frames, b"\0\0\0\x06\x04ping\x09"),
            Kind::Oversized => self.oversize(),
        }
    }

    /// Whether it is over, after `time` at most.
    fn is_over(&self, time: Duration) -> bool {
        is_closed_within(time, &self.stopped)
    }

    fn did(&self, count: usize) {
        self.done.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn connect(&self) -> Option<TcpStream> {
        let stream = dial(&self.address, READY).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        Some(stream)
    }

    fn trickle(&mut self, count: usize) {
        let connect = |_| {
            let stream = self.connect().expect("there is room for so many");
            stream.set_nonblocking(true).expect("it is open");
            stream
        };
        let mut streams: Vec<TcpStream> = (0..count).map(connect).collect();
        self.ready.send(()).expect("somebody waits");
        // A frame of a mebibyte, of which the first bytes say so.
        let head = [0, 0x10, 0, 0];
        let (mut next, mut sent) = (0, 0);
        while !self.is_over(ROUND) {
            for _ in 0..count.div_ceil(100) {
                let byte = head.get(sent).copied().unwrap_or(b' ');
                match streams[next].write(&[byte]) {
                    Ok(_) => self.did(1),
                    Err(_) => {
                        if let Some(stream) = self.connect() {
                            let _ = stream.set_nonblocking(true);
                            streams[next] = stream;
                        }
                    }
                }
                next += 1;
                if next == count {
                    (next, sent) = (0, sent + 1);
                }
            }
        }
    }

    fn leave_unfinished(&mut self, count: usize) {
        let mut frame = (limits::PAYLOAD_BYTES as u32).to_be_bytes().to_vec();
        frame.resize(3 + limits::PAYLOAD_BYTES, b' ');
        let connect = |_| {
            let stream = self.connect().expect("there is room for so many");
            stream.set_nonblocking(true).expect("it is open");
            (stream, 0)
        };
        // Each with how much of the frame is written.
        let mut streams: Vec<(TcpStream, usize)> = (0..count).map(connect).collect();
        self.ready.send(()).expect("somebody waits");
        while !self.is_over(ROUND) {
            for (stream, sent) in &mut streams {
                match stream.write(&frame[*sent..]) {
                    Ok(more) => {
                        *sent += more;
                        self.did(more);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => {
                        if let Some(new) = self.connect() {
                            let _ = new.set_nonblocking(true);
                            (*stream, *sent) = (new, 0);
                        }
                    }
                }
            }
        }
    }

    /// Logs in, then writes this again and again and reads nothing.
    fn be_deaf(&mut self, text: &[u8]) {
        let resume = encoded(Form::Frames, &ask("resume").src("crowd").body(&self.token));
        let login = |_| {
            let mut stream = self.connect().expect("there is room for so many");
            stream.set_read_timeout(Some(READY)).expect("it is open");
            stream.write_all(&resume).expect("the server reads");
            let mut length = [0; 4];
            stream.read_exact(&mut length).expect("it is answered");
            stream.set_nonblocking(true).expect("it is open");
            stream
        };
        // Each with where in the text its last write ended.
        let mut streams: Vec<(TcpStream, usize)> = (0..DEAF).map(|n| (login(n), 0)).collect();
        self.ready.send(()).expect("somebody waits");
        let texts = text.repeat(1_000);
        while !self.is_over(ROUND) {
            for (stream, at) in &mut streams {
                while let Ok(count) = stream.write(&texts[*at..])
                    && count > 0
                {
                    *at = (*at + count) % text.len();
                    self.did(count);
                }
            }
        }
    }

    /// Logs in so often, then writes this as often as it is taken, and reads all that comes.
    fn chat(&mut self, count: usize, text: &[u8]) {
        let resume = encoded(Form::Frames, &ask("resume").src("crowd").body(&self.token));
        let login = |_| {
            let mut stream = self.connect().expect("there is room for so many");
            stream.write_all(&resume).expect("the server reads");
            stream.set_nonblocking(true).expect("it is open");
            (stream, 0)
        };
        // Each with where in the text its last write ended.
        let mut streams: Vec<(TcpStream, usize)> = (0..count).map(login).collect();
        self.ready.send(()).expect("somebody waits");
        let mut read = vec![0; 64 << 10];
        while !self.is_over(ROUND) {
            for (stream, at) in &mut streams {
                while let Ok(count) = stream.read(&mut read)
                    && count > 0
                {
                    self.did(count);
                }
                if let Ok(count) = stream.write(&text[*at..]) {
                    *at = if *at + count == text.len() { 0 } else { *at + count };
                }
            }
        }
    }

    /// Connects again and again, and lets go of the oldest only when it has more than may be.
    fn fill_table(&mut self, count: usize) {
        let mut streams = VecDeque::new();
        self.ready.send(()).expect("somebody waits");
        while !self.is_over(Duration::ZERO) {
            streams.extend(self.connect());
            self.did(1);
            if streams.len() > count {
                streams.pop_front();
            }
        }
    }

    /// Writes `request` again and again and waits for the answers, one each.
    fn flood(&mut self, form: Form, request: &[u8]) {
        self.ready.send(()).expect("somebody waits");
        let requests = request.repeat(FLOOD);
        let mut read = vec![0; 64 << 10];
        while !self.is_over(Duration::ZERO) {
            let Some(mut stream) = self.connect() else { continue };
            let (mut answers, mut scanned) = (Vec::new(), 0);
            while !self.is_over(Duration::ZERO) && stream.write_all(&requests).is_ok() {
                let mut left = FLOOD;
                while left > 0 {
                    match stream.read(&mut read) {
                        Ok(count) if count > 0 => {
                            answers.extend_from_slice(&read[..count]);
                            while let Split::Payload { consumed, .. } =
                                framing::split(form, &answers, &mut scanned)
                            {
                                answers.drain(..consumed);
                                left = left.saturating_sub(1);
                            }
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            if self.is_over(Duration::ZERO) {
                                return;
                            }
                        }
                        _ => break,
                    }
                }
                self.did(FLOOD - left);
                if left > 0 {
                    break;
                }
            }
        }
    }

    fn oversize(&mut self) {
        self.ready.send(()).expect("somebody waits");
        let mut frame = vec![0, 0x7f, 0xff, 0xff];
        frame.resize(16 << 10, b'x');
        while !self.is_over(Duration::ZERO) {
            if let Some(mut stream) = self.connect()
                && stream.write_all(&frame).is_ok()
            {
                self.did(1);
            }
        }
    }
}

fn encoded(form: Form, request: &Ask) -> Vec<u8> {
    let codec = if form == Form::Lines { Codec::Json } else { Codec::Binary };
    let mut bytes = Vec::new();
    framing::put(&mut bytes, form, codec, request);
    bytes
}
