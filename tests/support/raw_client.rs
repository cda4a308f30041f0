//! A client that is no more than the protocol page says.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Deref;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use chatctl::protocol::framing::{self, Codec, Form, Split};
use chatctl::protocol::{Message, MsgIds};

use super::bounded::{dial, dial_unix};
use super::server::{PATIENCE, password_of};

/// The id that tests write as a number.
pub fn id(number: u128) -> String {
    chatctl::protocol::id::format(number)
}

/// A request being written down: `ask("send").to("bob").body("hi")`.
#[derive(Clone, Debug)]
pub struct Ask(Message<'static>);

/// A request with nothing but its `cmd`.
pub fn ask(cmd: &str) -> Ask {
    Ask(Message { cmd: cmd.to_owned().into(), ..Message::default() })
}

impl Ask {
    /// With `src`.
    pub fn src(mut self, name: &str) -> Ask {
        self.0.src = name.to_owned().into();
        self
    }

    /// With `to`.
    pub fn to(mut self, name: &str) -> Ask {
        self.0.to = name.to_owned().into();
        self
    }

    /// With `body`.
    pub fn body(mut self, text: &str) -> Ask {
        self.0.body = text.to_owned().into();
        self
    }

    /// With one message id.
    pub fn id(self, number: u128) -> Ask {
        self.ids(&[&id(number)])
    }

    /// With these texts in `msg_ids`.
    pub fn ids(mut self, ids: &[&str]) -> Ask {
        self.0.msg_ids = MsgIds::Many(ids.iter().map(|id| id.to_string().into()).collect());
        self
    }

    /// With `limit`.
    pub fn limit(mut self, limit: u16) -> Ask {
        self.0.limit = limit;
        self
    }

    /// With `seq`.
    pub fn seq(mut self, seq: u64) -> Ask {
        self.0.seq = seq;
        self
    }
}

impl Deref for Ask {
    type Target = Message<'static>;

    fn deref(&self) -> &Message<'static> {
        &self.0
    }
}

/// The code of a refusal; empty for what is none.
pub fn code(message: &Message<'_>) -> String {
    match message.error {
        true => message.body.split(':').next().unwrap_or_default().to_owned(),
        false => String::new(),
    }
}

/// Whether it is a push: no reply, and no frame of one.
pub fn is_push(message: &Message<'_>) -> bool {
    match message.cmd.as_ref() {
        "deliver" | "taken_back" | "read_moved" => message.limit == 0 && !message.error,
        "lagging" | "redirect" | "presence" => true,
        "server_status" => serving(message).is_some(),
        _ => false,
    }
}

/// What a pushed `server_status` says of how clients are served from now on: `read-only`, `electing`
/// or `primary`. None for a reply, which has lines `key value`.
pub fn serving<'a>(message: &'a Message<'_>) -> Option<&'a str> {
    let (word, _) = message.body.split_once(": ")?;
    let known = ["read-only", "electing", "primary"].contains(&word);
    (message.cmd == "server_status" && known).then_some(word)
}

trait Socket: Read + Write + Send + AsRawFd {
    fn end_writing(&self) -> io::Result<()>;
    fn set_patience(&self, time: Duration) -> io::Result<()>;
    fn copy(&self) -> io::Result<Box<dyn Socket>>;
}

macro_rules! socket {
    ($stream:ty) => {
        impl Socket for $stream {
            fn end_writing(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }

            fn set_patience(&self, time: Duration) -> io::Result<()> {
                self.set_read_timeout(Some(time))?;
                self.set_write_timeout(Some(time))
            }

            fn copy(&self) -> io::Result<Box<dyn Socket>> {
                Ok(Box::new(self.try_clone()?))
            }
        }
    };
}

socket!(TcpStream);
socket!(UnixStream);

/// A blocking client. Everything that does not come within `PATIENCE` is a failure.
pub struct RawClient {
    socket: Box<dyn Socket>,
    form: Form,
    codec: Codec,
    input: Vec<u8>,
    /// How much of `input` is dealt with, and searched for a line's end behind that.
    used: usize,
    scanned: usize,
    pushes: VecDeque<Message<'static>>,
}

/// To wait for the next bytes of several clients; those that are read already make nothing readable.
impl AsRawFd for RawClient {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl RawClient {
    /// Connects to `HOST:PORT` or `unix:PATH` and will write requests in `form` and `codec`.
    pub fn connect(address: &str, form: Form, codec: Codec) -> RawClient {
        RawClient::try_connect(address, form, codec)
            .unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// As `connect`, where that may fail.
    pub fn try_connect(address: &str, form: Form, codec: Codec) -> io::Result<RawClient> {
        RawClient::connect_within(address, form, codec, PATIENCE)
    }

    /// As `connect`, to a server that may be away: neither this nor anything later waits longer.
    pub fn connect_within(
        address: &str,
        form: Form,
        codec: Codec,
        patience: Duration,
    ) -> io::Result<RawClient> {
        let socket: Box<dyn Socket> = match address.strip_prefix("unix:") {
            Some(path) => Box::new(dial_unix(Path::new(path), patience)?),
            None => {
                let stream = dial(address, patience)?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        };
        let (input, pushes) = (Vec::new(), VecDeque::new());
        Ok(RawClient { socket, form, codec, input, used: 0, scanned: 0, pushes })
    }

    /// Waits no longer than this for anything.
    pub fn set_patience(&mut self, time: Duration) {
        self.socket.set_patience(time).expect("the connection is open");
    }

    /// Writes the next requests in `codec`.
    pub fn set_codec(&mut self, codec: Codec) {
        self.codec = codec;
    }

    /// Another handle on the same connection, to write to from another thread.
    pub fn writer(&self) -> RawClient {
        RawClient {
            socket: self.socket.copy().expect("a socket can be copied"),
            form: self.form,
            codec: self.codec,
            input: Vec::new(),
            used: 0,
            scanned: 0,
            pushes: VecDeque::new(),
        }
    }

    /// Writes bytes as they are.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.try_write_raw(bytes).expect("the server reads");
    }

    /// As `write_raw`, where the server may have gone.
    pub fn try_write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// The bytes of a request.
    pub fn encoded(&self, message: &Message<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        framing::put(&mut bytes, self.form, self.codec, message);
        bytes
    }

    /// Writes a request and does not wait.
    pub fn send(&mut self, message: &Message<'_>) {
        self.write_raw(&self.encoded(message));
    }

    /// Writes all of them at once and does not wait.
    pub fn send_all<'a>(&mut self, messages: impl IntoIterator<Item = &'a Ask>) {
        let bytes: Vec<u8> = messages.into_iter().flat_map(|ask| self.encoded(ask)).collect();
        self.write_raw(&bytes);
    }

    /// Says that nothing more is written.
    pub fn end_writing(&mut self) {
        self.socket.end_writing().expect("the connection is open");
    }

    /// The next message of any kind and its codec; an error when the connection has ended.
    pub fn try_read_with_codec(&mut self) -> io::Result<(Message<'static>, Codec)> {
        loop {
            let rest = &self.input[self.used..];
            match framing::split(self.form, rest, &mut self.scanned) {
                Split::Payload { start, end, consumed, codec } => {
                    let message = framing::decode(codec, &rest[start..end])
                        .unwrap_or_else(|error| panic!("the server wrote {error}"))
                        .into_owned();
                    self.used += consumed;
                    return Ok((message, codec));
                }
                Split::Blank { consumed } => self.used += consumed,
                Split::TooLong => panic!("the server wrote a frame that is too long"),
                Split::NeedMore => self.read_more()?,
            }
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        self.input.drain(..std::mem::take(&mut self.used));
        // Of the stack, so that ten thousand clients keep no buffers.
        let mut chunk = [0; 64 * 1024];
        let mut result = self.socket.read(&mut chunk);
        // A signal that another test of this process asks for says nothing about the connection.
        while result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
            result = self.socket.read(&mut chunk);
        }
        self.input.extend_from_slice(&chunk[..*result.as_ref().unwrap_or(&0)]);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        match result? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next message of any kind; an error when the connection has ended.
    pub fn try_read(&mut self) -> io::Result<Message<'static>> {
        self.try_read_with_codec().map(|(message, _)| message)
    }

    /// The next message of any kind, in the order of the connection.
    pub fn read(&mut self) -> Message<'static> {
        self.try_read().unwrap_or_else(|error| panic!("no message came: {error}"))
    }

    /// The next reply, or frame of one; pushes before it are kept.
    pub fn reply(&mut self) -> Message<'static> {
        loop {
            let message = self.read();
            if !is_push(&message) {
                return message;
            }
            self.pushes.push_back(message);
        }
    }

    /// Asks and gives the reply; pushes before it are kept.
    pub fn request(&mut self, message: &Message<'_>) -> Message<'static> {
        self.send(message);
        let reply = self.reply();
        assert!([message.cmd.as_ref(), "delivered"].contains(&reply.cmd.as_ref()), "{reply:?}");
        reply
    }

    /// Asks for what must be done, and gives the reply.
    pub fn done(&mut self, message: &Message<'_>) -> Message<'static> {
        let reply = self.request(message);
        assert!(!reply.error, "{message:?}: {reply:?}");
        reply
    }

    /// Asks for what must be refused, and gives the code.
    pub fn refused(&mut self, message: &Message<'_>) -> String {
        let reply = self.request(message);
        assert!(reply.error, "{message:?}: {reply:?}");
        code(&reply)
    }

    /// Asks for `deliver`, `history` or `sync` and gives the frames and the last one. Holds that
    /// nothing comes in between, and that each frame says how many are still to come.
    pub fn pages(&mut self, message: &Message<'_>) -> (Vec<Message<'static>>, Message<'static>) {
        self.send(message);
        self.read_pages(&message.cmd)
    }

    /// As `pages`, of a request that is already written.
    pub fn read_pages(&mut self, cmd: &str) -> (Vec<Message<'static>>, Message<'static>) {
        let last_cmd = if cmd == "deliver" { "delivered" } else { cmd };
        let mut frames = Vec::new();
        let mut next = self.reply();
        while next.cmd != last_cmd && !next.error {
            assert!(
                ["deliver", "taken_back", "read_moved"].contains(&next.cmd.as_ref()),
                "{next:?}"
            );
            frames.push(next);
            next = self.read();
        }
        let count = frames.len();
        for (place, frame) in frames.iter().enumerate() {
            assert_eq!(usize::from(frame.limit), count - place, "frames still to come: {frame:?}");
        }
        (frames, next)
    }

    /// Makes an account and logs in.
    pub fn create(&mut self, name: &str) -> Message<'static> {
        self.done(&ask("create").src(name).body(&password_of(name)))
    }

    /// Sends a message and gives the reply.
    pub fn tell(&mut self, to: &str, text: &str) -> Message<'static> {
        self.done(&ask("send").to(to).body(text))
    }

    /// The next push, which may be one that was kept; a reply instead of it is a failure.
    pub fn push(&mut self) -> Message<'static> {
        if let Some(push) = self.pushes.pop_front() {
            return push;
        }
        let message = self.read();
        assert!(is_push(&message), "a push was expected, not {message:?}");
        message
    }

    /// The next push, which has to be a `cmd`.
    pub fn expect_push(&mut self, cmd: &str) -> Message<'static> {
        let push = self.push();
        assert_eq!(push.cmd, cmd, "{push:?}");
        push
    }

    /// Every push that was kept or comes before the reply to a `ping`.
    pub fn settle(&mut self) -> Vec<Message<'static>> {
        self.done(&ask("ping"));
        self.pushes.drain(..).collect()
    }

    /// Waits for the server to close; what it still writes is a failure.
    pub fn expect_close(&mut self) {
        match self.try_read() {
            Ok(message) => panic!("a close was expected, not {message:?}"),
            Err(error) => {
                let ends = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
                assert!(ends.contains(&error.kind()), "a close was expected, not {error}");
            }
        }
    }

    /// Reads bytes as they come, up to the close.
    pub fn read_to_close(&mut self) -> Vec<u8> {
        loop {
            match self.read_more() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => panic!("a clean close was expected, not {error}"),
            }
        }
        self.input.split_off(std::mem::take(&mut self.used))
    }
}
