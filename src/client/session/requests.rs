//! The user's requests, besides sends: turned into messages, kept until answered, asked again on the
//! next connection.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::Session;
use super::phase::{PendingKind, Phase};
use super::types::{Event, Full, Refusal, Request};
use super::wire::request;
use crate::limits;
use crate::protocol::{Message, MsgIds, id};

impl Request {
    fn message(&self) -> Message<'static> {
        let owned = |text: &str| Cow::Owned(text.to_string());
        match self {
            Request::List { pattern, after } => {
                Message { body: owned(pattern), to: owned(after), ..request("list") }
            }
            Request::Who { pattern, after } => {
                Message { body: owned(pattern), to: owned(after), ..request("who") }
            }
            Request::Inbox { cursor } => Message { seq: *cursor, ..request("inbox") },
            Request::History { with, before, limit } => {
                Message { to: owned(with), seq: *before, limit: *limit, ..request("history") }
            }
            Request::DeleteMessages { ids, to } => {
                let ids = ids.iter().take(limits::MSG_IDS).map(|id| Cow::Owned(id::format(*id)));
                let msg_ids = MsgIds::Many(ids.collect());
                Message { to: owned(to), msg_ids, ..request("delete_msgs") }
            }
            Request::ServerStatus => request("server_status"),
            Request::ChangePassword { new, .. } => {
                Message { body: owned(new), ..request("passwd") }
            }
            Request::DeleteAccount { .. } => request("delete"),
        }
    }

    /// Returns true if it is within the protocol's bounds.
    fn fits(&self) -> bool {
        let password = self.needs_password().unwrap_or("");
        password.len() <= limits::PASSWORD_BYTES && self.message().check().is_ok()
    }

    /// The password that the server needs on this connection before it does this.
    fn needs_password(&self) -> Option<&str> {
        match self {
            Request::ChangePassword { old, .. } => Some(old),
            Request::DeleteAccount { password } => Some(password),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// To be asked once the time has come.
    Ready {
        at: u64,
    },
    /// The login with the password that it needs is under way.
    LoggingIn,
    /// The login is done, the request is next.
    Allowed,
    Asked,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    request: Request,
    progress: Progress,
    refusals: u32,
}

impl Waiting {
    /// When it is asked again, if it waits for that.
    fn wakes_at(&self) -> Option<u64> {
        match self.progress {
            Progress::Ready { at } if at > 0 => Some(at),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    all: VecDeque<Waiting>,
    made: u64,
}

impl Requests {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// When the next one is asked again.
    pub fn wakes_at(&self) -> Option<u64> {
        self.all.iter().filter_map(Waiting::wakes_at).min()
    }
}

impl Session {
    /// Asks the server for something, as soon as there is one. An [`Event::Answer`] with the number
    /// that this returns always follows.
    ///
    /// # Errors
    /// Too many requests wait.
    pub fn request(&mut self, now_ms: u64, request: Request) -> Result<u64, Full> {
        if self.requests.all.len() >= limits::CLIENT_REQUESTS {
            return Err(Full);
        }
        self.requests.made += 1;
        let number = self.requests.made;
        if request.fits() {
            let progress = Progress::Ready { at: 0 };
            self.requests.all.push_back(Waiting { number, request, progress, refusals: 0 });
        } else {
            let result = Err(Refusal::new("too-long", "the request is too long"));
            self.event(Event::Answer { number, result });
        }
        self.settle(now_ms);
        Ok(number)
    }

    pub(super) fn put_requests(&mut self, now_ms: u64) {
        for waiting in &mut self.requests.all {
            if waiting.wakes_at().is_some_and(|at| at <= now_ms) {
                waiting.progress = Progress::Ready { at: 0 };
            }
        }
        let mut asked = self.requests.all.iter().filter(|w| w.progress == Progress::Asked).count();
        for place in 0..self.requests.all.len() {
            if asked >= limits::REQUEST_WINDOW {
                return;
            }
            let waiting = &mut self.requests.all[place];
            match waiting.progress {
                Progress::Asked | Progress::LoggingIn => continue,
                Progress::Ready { at } if at > now_ms => continue,
                Progress::Allowed | Progress::Ready { .. } => {}
            }
            let allowed = waiting.progress == Progress::Allowed;
            if let (Some(password), false) = (waiting.request.needs_password(), allowed) {
                // The login begins with a logoff: nothing may be in flight that would suffer from it.
                if self.phase.link().is_none_or(|link| !link.pending.is_empty()) {
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
        let Some(place) = self.requests.all.iter().position(wants) else { return false };
        match refusal {
            None => self.requests.all[place].progress = Progress::Allowed,
            Some(refusal) => {
                let number = self.requests.all[place].number;
                self.requests.all.remove(place);
                let mut refusal = refusal.clone();
                // The account is known: it is what the user gave as its password.
                if refusal.code == "wrong-credentials" {
                    refusal.text = "the current password is wrong; nothing was changed".to_owned();
                }
                self.event(Event::Answer { number, result: Err(refusal) });
            }
        }
        true
    }

    /// The connection is gone: what was asked is asked again, except what only the user should repeat.
    pub(super) fn reopen_requests(&mut self) {
        let mut kept = VecDeque::new();
        for mut waiting in std::mem::take(&mut self.requests.all) {
            let unsure = waiting.progress == Progress::Asked;
            if unsure && waiting.request.needs_password().is_some() {
                let text = "connection lost before the answer: it may or may not have been done";
                let result = Err(Refusal::new("outcome-unknown", text));
                self.event(Event::Answer { number: waiting.number, result });
                continue;
            }
            waiting.progress = Progress::Ready { at: 0 };
            kept.push_back(waiting);
        }
        self.requests.all = kept;
    }

    /// All requests end with this refusal: no login will come.
    pub(super) fn refuse_requests(&mut self, refusal: &Refusal) {
        for waiting in std::mem::take(&mut self.requests.all) {
            self.event(Event::Answer { number: waiting.number, result: Err(refusal.clone()) });
        }
    }

    /// The last frame of a request's reply has come.
    pub(super) fn on_request_reply(&mut self, now_ms: u64, number: u64, last: Message<'static>) {
        let link = self.phase.link_mut();
        let mut frames = link.map(|link| std::mem::take(&mut link.frames)).unwrap_or_default();
        let Some(place) = self.requests.all.iter().position(|w| w.number == number) else { return };
        let refusal = last.error.then(|| Refusal::of(&last.body));
        let waiting = &mut self.requests.all[place];
        if let Some(refusal) = &refusal
            && asks_again(&waiting.request, &refusal.code)
        {
            waiting.refusals += 1;
            let refusals = waiting.refusals;
            let wait_ms = self.dice.back_off_ms(refusals, 1);
            self.requests.all[place].progress = Progress::Ready { at: now_ms + wait_ms };
            return;
        }
        frames.push(last);
        // Out of the queue first: what follows may end the connection.
        let waiting = self.requests.all.remove(place).expect("the place was just found");
        if refusal.is_none() {
            self.on_request_done(waiting.request);
        }
        let result = refusal.map_or(Ok(frames), Err);
        self.event(Event::Answer { number, result });
    }

    /// A change of the account changes how the session logs in.
    fn on_request_done(&mut self, request: Request) {
        match request {
            Request::ChangePassword { new, .. } => {
                self.login.password = Some(new);
                self.login.token = None;
                self.login.token_is_fresh = false;
            }
            Request::DeleteAccount { .. } => {
                self.login.token = None;
                self.drop_connection(Phase::Stopped);
            }
            _ => {}
        }
    }

    /// Returns true if a request needed the login that is under way.
    pub(super) fn is_logging_in_again(&self) -> bool {
        self.requests.all.iter().any(|waiting| waiting.progress == Progress::LoggingIn)
    }
}

/// Returns true if a request is repeated after this code. Reading is harmless to repeat, and so is
/// deleting messages; the rest is for the user to decide.
fn asks_again(request: &Request, code: &str) -> bool {
    match code {
        "rate-limited" | "busy" => true,
        "outcome-unknown" => request.needs_password().is_none(),
        _ => false,
    }
}
