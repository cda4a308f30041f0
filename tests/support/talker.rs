//! A client that keeps on talking whatever becomes of the servers, written from the protocol page: it
//! goes where it is sent, and asks again with the same id when the outcome is open.

use std::io;
use std::time::{Duration, Instant};

use chatctl::protocol::Message;
use chatctl::protocol::framing::{Codec, Form};

use super::bounded::Bound;
use super::raw_client::{Ask, RawClient, ask, code, id};
use super::server::{PATIENCE, password_of};

/// A server that says nothing for so long is taken for gone.
const SILENCE: Duration = Duration::from_secs(1);

/// The client.
pub struct Talker {
    servers: Vec<String>,
    /// The next server to be tried: one it was sent to, or the next of the list.
    next: usize,
    sent_to: Option<String>,
    name: String,
    client: Option<RawClient>,
    /// Messages that were refused with a code, which no failover is to cause.
    pub refused: Vec<String>,
}

impl Talker {
    /// An account, on any of these servers.
    pub fn new(servers: &[String], name: &str) -> Talker {
        let (servers, name) = (servers.to_vec(), name.to_owned());
        Talker { servers, next: 0, sent_to: None, name, client: None, refused: Vec::new() }
    }

    /// Asks until there is an answer that is no push and sends nobody away.
    pub fn request(&mut self, request: &Ask) -> Message<'static> {
        let by = Instant::now() + PATIENCE;
        loop {
            match self.try_request(request) {
                Ok(reply) => return reply,
                Err(_) => {
                    self.client = None;
                    assert!(Instant::now() < by, "{}: nobody answers {request:?}", self.name);
                    if self.sent_to.is_none() {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
            }
        }
    }

    /// Sends a message and gives its seq; with the same id until it is acknowledged.
    pub fn send(&mut self, to: &str, number: u128, text: &str) -> u64 {
        let reply = self.request(&ask("send").to(to).id(number).body(text));
        assert_eq!(reply.msg_ids.iter().collect::<Vec<_>>(), [id(number)], "{reply:?}");
        reply.seq
    }

    fn try_request(&mut self, request: &Ask) -> io::Result<Message<'static>> {
        self.log_in()?;
        let client = self.client.as_mut().expect("it was just logged in");
        client.try_write_raw(&client.encoded(request))?;
        self.reply()
    }

    fn log_in(&mut self) -> io::Result<()> {
        if self.client.is_some() {
            return Ok(());
        }
        let address = self.sent_to.take().unwrap_or_else(|| {
            self.next += 1;
            self.servers[self.next % self.servers.len()].clone()
        });
        let mut client = RawClient::try_connect(&address, Form::Frames, Codec::Binary)?;
        client.set_patience(SILENCE);
        // For an account that is there this is a login.
        let create = ask("create").src(&self.name).body(&password_of(&self.name));
        client.try_write_raw(&client.encoded(&create))?;
        self.client = Some(client);
        let reply = self.reply()?;
        assert!(!reply.error, "{reply:?}");
        Ok(())
    }

    /// The next reply; an error where there will be none here.
    fn reply(&mut self) -> io::Result<Message<'static>> {
        loop {
            let message = self.client.as_mut().expect("logged in").try_read()?;
            match message.cmd.as_ref() {
                "redirect" => {
                    self.sent_to = Some(message.to.into_owned());
                    return Err(io::ErrorKind::NotConnected.into());
                }
                "server_status" | "lagging" | "taken_back" | "read_moved" => {}
                "deliver" if message.limit == 0 => {}
                _ if message.error => {
                    let code = code(&message);
                    self.refused.push(code.clone());
                    match code.as_str() {
                        "read-only" | "outcome-unknown" | "busy" | "disk-full" => {
                            return Err(io::ErrorKind::NotConnected.into());
                        }
                        _ => panic!("{}: {message:?}", self.name),
                    }
                }
                _ => return Ok(message),
            }
        }
    }

    /// The whole history with `other`, oldest first: seq and text of each.
    pub fn history(&mut self, other: &str) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        let mut cursor = 0;
        let bound = Bound::new("a page of the history says that it is the last");
        loop {
            bound.check();
            let page = self.page(other, cursor);
            all.extend(page.0.iter().map(|m| (m.seq, m.body.clone().into_owned())));
            cursor = page.1.seq;
            if page.1.body == "end" {
                return all;
            }
        }
    }

    fn page(&mut self, other: &str, cursor: u64) -> (Vec<Message<'static>>, Message<'static>) {
        let request = ask("history").to(other).body("after").seq(cursor).limit(1000);
        let mut frames = vec![self.request(&request)];
        while frames.last().is_some_and(|frame| frame.cmd != "history") {
            frames.push(self.reply().expect("a page is whole"));
        }
        let last = frames.pop().expect("there is a last frame");
        (frames, last)
    }
}
