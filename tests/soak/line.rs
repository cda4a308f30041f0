//! How a client of the protocol's page finds a server that serves it, and holds on to it.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use chatctl::protocol::Message;
use chatctl::protocol::framing::{Codec, Form};

use super::tally::{Stage, Tally};
use crate::support::Rng;
use crate::support::raw_client::{Ask, RawClient, ask, code, is_push, serving};
use crate::support::server::password_of;

/// How long an answer may take before the server is taken for lost. Longer than a server that knows
/// no PRIMARY holds a request.
const ANSWER: Duration = Duration::from_millis(2_500);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_millis(500);
/// How long a client may be without any server that serves it.
const HOMELESS: Duration = Duration::from_secs(60);
/// Before another server is tried, when one was not there.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It was closed, or nothing came in time.
    Lost,
    /// The server knows another that is PRIMARY.
    To(String),
}

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Gone {
        Gone::Lost
    }
}

/// A connection that is logged in.
pub struct Line {
    client: RawClient,
    /// Whether the server has said that it serves history only: what it says may be old.
    pub read_only: bool,
    /// The newest seq, as the login said it.
    pub newest: u64,
    pushes: VecDeque<Message<'static>>,
}

impl Line {
    fn connect(address: &str, form: Form, codec: Codec) -> io::Result<Line> {
        let mut client = RawClient::connect_within(address, form, codec, CONNECT)?;
        client.set_patience(ANSWER);
        Ok(Line { client, read_only: false, newest: 0, pushes: VecDeque::new() })
    }

    /// Writes requests, all at once.
    pub fn write(&mut self, requests: &[Ask]) -> Result<(), Gone> {
        let bytes: Vec<u8> = requests.iter().flat_map(|ask| self.client.encoded(ask)).collect();
        self.client.try_write_raw(&bytes)?;
        Ok(())
    }

    /// The next message that is no word on how clients are served.
    fn read(&mut self) -> Result<Message<'static>, Gone> {
        loop {
            let message = self.client.try_read()?;
            match (message.cmd.as_ref(), serving(&message)) {
                ("redirect", _) => return Err(Gone::To(message.to.into_owned())),
                (_, Some(word)) => self.read_only = word == "read-only",
                _ => return Ok(message),
            }
        }
    }

    /// The next reply, or frame of one. Pushes before it are kept.
    pub fn reply(&mut self) -> Result<Message<'static>, Gone> {
        loop {
            let message = self.read()?;
            if !is_push(&message) {
                return Ok(message);
            }
            self.pushes.push_back(message);
        }
    }

    /// Asks and gives the reply.
    pub fn request(&mut self, request: Ask) -> Result<Message<'static>, Gone> {
        self.write(std::slice::from_ref(&request))?;
        let reply = self.reply()?;
        assert_eq!(reply.cmd, request.cmd, "{reply:?}");
        Ok(reply)
    }

    /// Asks for a page of `sync` or `history`: its frames and its last one.
    pub fn page(
        &mut self,
        request: Ask,
    ) -> Result<(Vec<Message<'static>>, Message<'static>), Gone> {
        self.write(std::slice::from_ref(&request))?;
        let mut frames = Vec::new();
        loop {
            let frame = self.reply()?;
            if frame.cmd == request.cmd || frame.error {
                return Ok((frames, frame));
            }
            frames.push(frame);
        }
    }

    /// The pushes that were kept.
    pub fn pushes(&mut self) -> impl Iterator<Item = Message<'static>> + '_ {
        self.pushes.drain(..)
    }

    /// Takes pushes as they come, until `time` is over. What comes then is kept too.
    pub fn listen(&mut self, time: Duration) -> Result<(), Gone> {
        let deadline = Instant::now() + time;
        let listened = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left < Duration::from_millis(1) {
                break Ok(());
            }
            self.client.set_patience(left);
            match self.client.try_read() {
                Ok(message) if message.cmd == "redirect" => {
                    break Err(Gone::To(message.to.into_owned()));
                }
                Ok(message) => match serving(&message) {
                    Some(word) => self.read_only = word == "read-only",
                    None => {
                        assert!(is_push(&message), "nothing was asked: {message:?}");
                        self.pushes.push_back(message);
                    }
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(_) => break Err(Gone::Lost),
            }
        };
        self.client.set_patience(ANSWER);
        listened
    }
}

/// A client's account and its list of servers.
pub struct Roamer {
    pub name: String,
    servers: Vec<String>,
    form: Form,
    codec: Codec,
    token: Option<String>,
    /// Where it was sent, and where it was last.
    hint: Option<String>,
    at: String,
    next: usize,
    /// Whether it stays with a server that serves history only.
    pub takes_read_only: bool,
    /// How often it was sent on, and how often it found a server read-only.
    pub redirects: u64,
    pub read_only: u64,
}

impl Roamer {
    pub fn new(name: &str, servers: &[String], rng: &mut Rng) -> Roamer {
        let (form, codec) = match rng.below(3) {
            0 => (Form::Frames, Codec::Binary),
            1 => (Form::Frames, Codec::Json),
            _ => (Form::Lines, Codec::Json),
        };
        Roamer {
            name: name.to_owned(),
            servers: servers.to_vec(),
            form,
            codec,
            token: None,
            hint: None,
            at: String::new(),
            next: rng.below(servers.len() as u64) as usize,
            takes_read_only: false,
            redirects: 0,
            read_only: 0,
        }
    }

    /// A connection on which the account is logged in; none when everybody is to end at once.
    pub fn line(&mut self, tally: &Tally) -> Option<Line> {
        let started = Instant::now();
        loop {
            if tally.is_at(Stage::Failed) {
                return None;
            }
            if let Some(line) = self.attempt() {
                return Some(line);
            }
            let waited = started.elapsed();
            assert!(waited < HOMELESS, "{}: no server serves it for {waited:?}", self.name);
        }
    }

    /// Tries one server: none when it does not serve.
    fn attempt(&mut self) -> Option<Line> {
        match self.try_once() {
            Ok(line) => return Some(line),
            Err(gone) => {
                if gone == Gone::Lost {
                    std::thread::sleep(PAUSE);
                }
                self.on_gone(gone);
            }
        }
        None
    }

    /// Tries one server, and does not wait where it does not serve.
    fn try_once(&mut self) -> Result<Line, Gone> {
        self.at = self.hint.take().unwrap_or_else(|| {
            self.next += 1;
            self.servers[self.next % self.servers.len()].clone()
        });
        let mut line = Line::connect(&self.at, self.form, self.codec)?;
        match self.log_in(&mut line)? {
            true => Ok(line),
            false => Err(Gone::Lost),
        }
    }

    /// A connection has ended; the next goes where it said.
    pub fn on_gone(&mut self, gone: Gone) {
        match gone {
            Gone::To(address) => {
                self.redirects += 1;
                self.hint = Some(address);
            }
            Gone::Lost => {}
        }
    }

    /// False: this server serves nothing that is of use.
    fn log_in(&mut self, line: &mut Line) -> Result<bool, Gone> {
        let (cmd, secret) = match &self.token {
            Some(token) => ("resume", token.clone()),
            // For an account that exists, it is a login.
            None if !self.takes_read_only => ("create", password_of(&self.name)),
            None => ("login", password_of(&self.name)),
        };
        let reply = line.request(ask(cmd).src(&self.name).body(&secret))?;
        match code(&reply).as_str() {
            "" => line.newest = reply.seq,
            // Not known yet on a server that has been away.
            "read-only" | "busy" | "outcome-unknown" | "wrong-credentials" | "bad-token" => {
                self.token = self.token.take().filter(|_| line.read_only);
                self.read_only += u64::from(line.read_only);
                return Ok(false);
            }
            other => panic!("{}: {cmd} was refused with {other}", self.name),
        }
        if line.read_only && !self.takes_read_only {
            self.read_only += 1;
            return Ok(false);
        }
        if self.token.is_none() {
            let reply = line.request(ask("token"))?;
            self.token = (!reply.error).then(|| reply.body.into_owned());
        }
        Ok(true)
    }
}
