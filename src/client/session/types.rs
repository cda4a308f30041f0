//! What a session is made with, what can be asked of it, and what it hands out.

use crate::protocol::Message;
use crate::protocol::framing::Codec;

/// What a session is made with.
pub struct Config {
    /// `HOST:PORT` or `unix:PATH`, in the order they are tried; not empty.
    pub servers: Vec<String>,
    /// The account.
    pub user: String,
    /// The payloads' form.
    pub codec: Codec,
    /// Make the account (with `password`) instead of only logging in.
    pub create: bool,
    /// The password, where it is known already.
    pub password: Option<String>,
    /// A token of an earlier login.
    pub token: Option<String>,
    /// The cluster that `cursor` and `token` belong to; 0 = not known.
    pub cluster: u128,
    /// The day's time at the moment that the session's clock calls 0, milliseconds since the Unix
    /// epoch: what a draft's age is told by.
    pub epoch_ms: u64,
    /// Everything up to here was shown before; `None`: start from the newest.
    pub cursor: Option<u64>,
    /// Own messages above the cursor that were acknowledged before: (seq, id).
    pub own_recent: Vec<(u64, u128)>,
    /// Hand out messages as they arrive (`sync` and pushes). Off for a single request.
    pub follow: bool,
    /// For the jitter of the back-off.
    pub seed: u64,
}

/// A message on its way out. All retries carry the same `id`, and no greater `known` than the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Its id, made once.
    pub id: u128,
    /// To whom.
    pub to: String,
    /// The text, not empty.
    pub body: String,
    /// The newest seq known when it was written, or, once it is sent, at its first attempt: it is
    /// stored above that, if at all. 0 = none.
    pub known: u64,
    /// The cluster it was written for; 0 = none known yet. It is not sent to another.
    pub cluster: u128,
    /// When it was written, milliseconds since the Unix epoch.
    pub written_ms: u64,
}

/// A message that arrived (or went out from another session of the account).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Its id as text.
    pub id: String,
    /// The sender.
    pub from: String,
    /// The receiver.
    pub to: String,
    /// The text, as it came: not yet harmless to a terminal.
    pub body: String,
    /// When, milliseconds since the Unix epoch.
    pub time: u64,
    /// Its place in the one order.
    pub seq: u64,
}

impl Incoming {
    /// The message of a `deliver`.
    pub fn of(message: &Message<'_>) -> Incoming {
        Incoming {
            id: message.msg_ids.iter().next().map(|id| id.to_string()).unwrap_or_default(),
            from: message.src.to_string(),
            to: message.to.to_string(),
            body: message.body.to_string(),
            time: message.time,
            seq: message.seq,
        }
    }
}

/// Why the server, or the session itself, refuses something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One of the protocol's codes.
    pub code: String,
    /// What happened.
    pub text: String,
}

impl Refusal {
    /// Makes one.
    pub fn new(code: &str, text: &str) -> Refusal {
        Refusal { code: code.to_string(), text: text.to_string() }
    }

    /// The kept token has expired, and there is no password.
    pub fn void_login() -> Refusal {
        Refusal::new("bad-token", "the saved login has expired, or the password was changed")
    }

    /// Reads `code: sentence`.
    pub fn of(body: &str) -> Refusal {
        match body.split_once(": ") {
            Some((code, text)) => Refusal::new(code, text),
            None => Refusal::new(body, ""),
        }
    }

    /// Returns true if the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        let passing = ["rate-limited", "busy", "disk-full", "read-only", "outcome-unknown"];
        passing.contains(&self.code.as_str())
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.text.is_empty() {
            true => write!(out, "{}", self.code),
            false => write!(out, "{} ({})", self.text, self.code),
        }
    }
}

/// A request of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Names that match, after a name.
    List {
        /// Glob or substring.
        pattern: String,
        /// Cursor: names after this one.
        after: String,
    },
    /// As [`Request::List`], of those who are logged in.
    Who {
        /// Glob or substring.
        pattern: String,
        /// Cursor: names after this one.
        after: String,
    },
    /// A page of the conversations, newest first.
    Inbox {
        /// 0 = from the newest.
        cursor: u64,
    },
    /// A page of a conversation, going back.
    History {
        /// With whom; empty: all.
        with: String,
        /// Before this seq; 0 = from the newest.
        before: u64,
        /// Most messages.
        limit: u16,
    },
    /// Takes messages back, or removes them from one's own side.
    DeleteMessages {
        /// At most [`limits::MSG_IDS`](crate::limits::MSG_IDS).
        ids: Vec<u128>,
        /// Only in this conversation; empty: in any.
        to: String,
    },
    /// The server's state.
    ServerStatus,
    /// A new password.
    ChangePassword {
        /// The one that holds now.
        old: String,
        /// The new one.
        new: String,
    },
    /// The end of the account.
    DeleteAccount {
        /// The account's password.
        password: String,
    },
}

/// The state of the connection, for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No login on a connection.
    Offline,
    /// Everything works.
    Connected,
    /// The servers are choosing a PRIMARY, or the client goes to the one they have chosen.
    Electing,
    /// What is stored can be read, nothing can change.
    ReadOnly,
}

impl std::fmt::Display for State {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            State::Offline => "offline",
            State::Connected => "connected",
            State::Electing => "electing",
            State::ReadOnly => "read-only",
        })
    }
}

/// What the driver has to do or tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Drop any connection there is and connect to this address; then call
    /// `Session::connected` or `Session::closed`.
    Connect(String),
    /// Drop the connection.
    Close,
    /// Connect to this address too, once connected write `Session::look_request`, and hand what comes
    /// to `Session::look_received`; where it fails or ends, call `Session::look_closed`.
    Look(String),
    /// Drop that connection.
    EndLook,
    /// Something for the user.
    Event(Event),
}

/// What a user should know, or what should be kept on disk.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Logged in.
    LoggedIn {
        /// The account's name as the server writes it.
        name: String,
        /// Unread messages.
        unread: u16,
        /// With a token instead of the password.
        resumed: bool,
        /// At a server without a majority: its passwords and accounts may be out of date.
        read_only: bool,
    },
    /// The login was refused for good; the session stops until `Session::set_password`.
    LoginRefused(Refusal),
    /// The token was refused and no password is known: `Session::set_password` goes on.
    PasswordNeeded,
    /// A new token for later; keep it secret.
    Token(String),
    /// The cluster's id is known, or is another one than before: then cursors are void.
    Cluster(u128),
    /// The connection's state changed.
    State(State),
    /// A message to show.
    Message(Incoming),
    /// Messages that were taken back: ids as text.
    TakenBack(Vec<String>),
    /// Another session read what `name` sent, up to `seq`.
    ReadMoved {
        /// The other party.
        name: String,
        /// The marker.
        seq: u64,
    },
    /// Which of the watched accounts are online: these, and no others.
    Online(Vec<String>),
    /// A watched account came online, or went.
    Presence {
        /// The account.
        name: String,
        /// Whether it is online now.
        online: bool,
    },
    /// A send is stored on a majority of the servers.
    Sent {
        /// Its id.
        id: u128,
        /// To whom.
        to: String,
        /// The text.
        body: String,
        /// Its place in the one order.
        seq: u64,
        /// When, milliseconds since the Unix epoch.
        time: u64,
    },
    /// A send was refused for good and has left the outbox.
    Failed {
        /// What was to be sent.
        draft: Draft,
        /// Why.
        refusal: Refusal,
    },
    /// Sends wait: the server cannot take them now.
    Held(Refusal),
    /// So many messages in the outbox were written for another cluster; they are not sent here.
    OtherCluster(usize),
    /// Messages have waited for more than [`OLD_MS`](super::OLD_MS): they are sent only when
    /// `Session::send_old` is called.
    Old {
        /// How many.
        count: usize,
        /// When the oldest was written, milliseconds since the Unix epoch.
        since_ms: u64,
    },
    /// The answer to a `Session::request`: the reply's frames, the last one ends it.
    Answer {
        /// The number `Session::request` gave.
        number: u64,
        /// The frames, or why not.
        result: Result<Vec<Message<'static>>, Refusal>,
    },
}

/// The queue a caller wanted to add to is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;
