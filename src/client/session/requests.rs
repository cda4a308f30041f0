//! What a user can ask for besides sending: turned into messages, kept until answered, asked again
//! on the next connection.

use std::borrow::Cow;

use super::wire::request;
use super::{Event, PendingKind, Phase, Session};
use crate::limits;
use crate::protocol::{Message, MsgIds, id};

/// A server's (or the session's own) no: `code`, and a sentence for people.
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

    /// The kept token does not log in any more, and there is no password.
    pub fn void_login() -> Refusal {
        Refusal::new("bad-token", "the kept login is too old, or the password was changed")
    }

    /// Reads `code: sentence`.
    pub fn of(body: &str) -> Refusal {
        match body.split_once(": ") {
            Some((code, text)) => Refusal::new(code, text),
            None => Refusal::new(body, ""),
        }
    }

    /// It may work later; nothing is wrong with the request.
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
        /// At most [`limits::MSG_IDS`].
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

impl Request {
    fn message(&self) -> Message<'static> {
        let owned = |text: &str| Cow::<'static, str>::Owned(text.to_string());
        let mut message;
        match self {
            Request::List { pattern, after } => {
                message = request("list");
                message.body = owned(pattern);
                message.to = owned(after);
            }
            Request::Who { pattern, after } => {
                message = request("who");
                message.body = owned(pattern);
                message.to = owned(after);
            }
            Request::Inbox { cursor } => {
                message = request("inbox");
                message.seq = *cursor;
            }
            Request::History { with, before, limit } => {
                message = request("history");
                message.to = owned(with);
                message.seq = *before;
                message.limit = *limit;
            }
            Request::DeleteMessages { ids, to } => {
                message = request("delete_msgs");
                message.to = owned(to);
                let ids = ids.iter().take(limits::MSG_IDS);
                message.msg_ids = MsgIds::Many(ids.map(|id| Cow::Owned(id::format(*id))).collect());
            }
            Request::ServerStatus => message = request("server_status"),
            Request::ChangePassword { new, .. } => {
                message = request("passwd");
                message.body = owned(new);
            }
            Request::DeleteAccount { .. } => message = request("delete"),
        }
        message
    }

    /// Whether it can be said within the protocol's bounds.
    pub(super) fn fits(&self) -> bool {
        let password = self.needs_password().unwrap_or("");
        password.len() <= limits::PASSWORD_BYTES && self.message().check().is_ok()
    }

    /// The password a server wants to hear on this connection before it does this.
    fn needs_password(&self) -> Option<&str> {
        match self {
            Request::ChangePassword { old, .. } => Some(old),
            Request::DeleteAccount { password } => Some(password),
            _ => None,
        }
    }
}

/// Where a waiting request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// To be asked once the time has come.
    Ready { at: u64 },
    /// The login with the password that it needs is under way.
    LoggingIn,
    /// The login is done, the request is next.
    Allowed,
    /// Asked.
    Asked,
}

/// A request that is not answered.
#[derive(Debug)]
pub(super) struct Waiting {
    number: u64,
    request: Request,
    progress: Progress,
    refusals: u32,
}

impl Waiting {
    pub(super) fn new(number: u64, request: Request) -> Waiting {
        Waiting { number, request, progress: Progress::Ready { at: 0 }, refusals: 0 }
    }

    /// When it is to be asked again, if it waits for that.
    pub(super) fn wakes_at(&self) -> Option<u64> {
        match self.progress {
            Progress::Ready { at } if at > 0 => Some(at),
            _ => None,
        }
    }
}

impl Session {
    pub(super) fn put_requests(&mut self, now_ms: u64) {
        for waiting in &mut self.requests {
            if waiting.wakes_at().is_some_and(|at| at <= now_ms) {
                waiting.progress = Progress::Ready { at: 0 };
            }
        }
        let mut asked = self.requests.iter().filter(|w| w.progress == Progress::Asked).count();
        for place in 0..self.requests.len() {
            if asked >= limits::REQUEST_WINDOW {
                return;
            }
            let waiting = &mut self.requests[place];
            match waiting.progress {
                Progress::Asked | Progress::LoggingIn => continue,
                Progress::Ready { at } if at > now_ms => continue,
                Progress::Allowed | Progress::Ready { .. } => {}
            }
            let allowed = waiting.progress == Progress::Allowed;
            if let (Some(password), false) = (waiting.request.needs_password(), allowed) {
                // The login starts a new stretch of the connection: nothing may be in flight that
                // it would log out.
                if !self.pending.is_empty() {
                    return;
                }
                let password = password.to_string();
                waiting.progress = Progress::LoggingIn;
                return self.log_in_again(now_ms, password);
            }
            waiting.progress = Progress::Asked;
            let (number, message) = (waiting.number, waiting.request.message());
            self.put(now_ms, PendingKind::Request { number }, &message);
            asked += 1;
        }
    }

    /// The login that a request needed has been answered.
    pub(super) fn on_allowed(&mut self, refusal: Option<&Refusal>) -> bool {
        let wants = |w: &Waiting| w.progress == Progress::LoggingIn;
        let Some(place) = self.requests.iter().position(wants) else {
            return false;
        };
        match refusal {
            None => self.requests[place].progress = Progress::Allowed,
            Some(refusal) => {
                let number = self.requests[place].number;
                self.requests.remove(place);
                self.event(Event::Answer { number, result: Err(refusal.clone()) });
            }
        }
        true
    }

    /// The connection is gone: what was asked is asked again, save what only a person should repeat.
    pub(super) fn reopen_requests(&mut self) {
        let mut kept = std::collections::VecDeque::new();
        for mut waiting in std::mem::take(&mut self.requests) {
            let unsure = waiting.progress == Progress::Asked;
            if unsure && waiting.request.needs_password().is_some() {
                let text = "the connection was lost before the answer: it may have happened or not";
                let result = Err(Refusal::new("outcome-unknown", text));
                self.event(Event::Answer { number: waiting.number, result });
                continue;
            }
            waiting.progress = Progress::Ready { at: 0 };
            kept.push_back(waiting);
        }
        self.requests = kept;
    }

    /// All requests end with this refusal: no login will come.
    pub(super) fn refuse_requests(&mut self, refusal: &Refusal) {
        for waiting in std::mem::take(&mut self.requests) {
            self.event(Event::Answer { number: waiting.number, result: Err(refusal.clone()) });
        }
    }

    /// The last frame of a request's reply has come.
    pub(super) fn on_request_reply(
        &mut self,
        now_ms: u64,
        number: u64,
        frames: Vec<Message<'static>>,
    ) {
        let Some(place) = self.requests.iter().position(|w| w.number == number) else {
            return;
        };
        let last = frames.last().expect("a reply has a last frame");
        let refusal = last.error.then(|| Refusal::of(&last.body));
        let waiting = &mut self.requests[place];
        if let Some(refusal) = &refusal
            && asks_again(&waiting.request, &refusal.code)
        {
            waiting.refusals += 1;
            let refusals = waiting.refusals;
            let wait_ms = self.back_off_ms(refusals, 1);
            self.requests[place].progress = Progress::Ready { at: now_ms + wait_ms };
            return;
        }
        // Out of the queue first: what follows may end the connection.
        let waiting = self.requests.remove(place).expect("the place was just found");
        if refusal.is_none() {
            self.on_request_done(waiting.request);
        }
        let result = refusal.map_or(Ok(frames), Err);
        self.event(Event::Answer { number, result });
    }

    /// What a change of the account means for the session itself.
    fn on_request_done(&mut self, request: Request) {
        match request {
            Request::ChangePassword { new, .. } => {
                self.password = Some(new);
                self.token = None;
                self.token_is_fresh = false;
            }
            Request::DeleteAccount { .. } => {
                self.token = None;
                self.drop_connection();
                self.phase = Phase::Stopped;
            }
            _ => {}
        }
    }

    /// Whether the login under way is one a request needed.
    pub(super) fn is_logging_in_again(&self) -> bool {
        self.requests.iter().any(|waiting| waiting.progress == Progress::LoggingIn)
    }
}

/// Whether a request is asked again by itself after this code. Reading is harmless to repeat, and so
/// is deleting messages; the rest is for a person to decide.
fn asks_again(request: &Request, code: &str) -> bool {
    match code {
        "rate-limited" | "busy" => true,
        "outcome-unknown" => request.needs_password().is_none(),
        _ => false,
    }
}
