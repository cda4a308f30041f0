//! What the server says: one switch, a handler a message.

use super::look;
use super::wire::request;
use super::{
    Draft, Event, Incoming, LoginKind, PendingKind, Phase, READ_ONLY_MS, Refusal, Session, State,
    Sync,
};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::protocol::{Message, id};

impl Session {
    /// A whole message has arrived: a push, a frame of a reply, or the end of one.
    pub(super) fn on_message(&mut self, now_ms: u64, message: Message<'static>) {
        match message.cmd.as_ref() {
            "redirect" => self.on_redirect(now_ms, &message),
            "lagging" => self.on_lagging(message.seq),
            "presence" => self.on_presence(&message),
            "server_status" if pushed_state(&message).is_some() => {
                self.on_state_push(now_ms, &message)
            }
            "deliver" | "taken_back" | "read_moved" if message.limit == 0 && !message.error => {
                self.on_push(&message);
            }
            "deliver" | "taken_back" | "read_moved" if !message.error => {
                self.on_reply_frame(now_ms, message);
            }
            _ => self.on_reply(now_ms, message),
        }
    }

    fn on_presence(&mut self, message: &Message<'_>) {
        let name = message.src.to_string();
        // What is not watched any more was on its way.
        if self.watched.contains(&name) {
            self.event(Event::Presence { name, online: message.body == "online" });
        }
    }

    fn on_lagging(&mut self, seq: u64) {
        // What was left out may have been a presence.
        self.watch_is_due = !self.watched.is_empty();
        self.known = self.known.max(seq);
        self.missed = self.missed.max(seq);
        if self.sync == Sync::Done {
            self.want_sync();
        }
    }

    fn on_state_push(&mut self, now_ms: u64, message: &Message<'_>) {
        let state = pushed_state(message);
        self.server_state = state;
        self.note_served(now_ms, state);
        if state == Some(State::Connected) {
            // Perhaps in a later term.
            self.ask_standing(now_ms);
        }
        let has_others = self.servers.len() > 1;
        self.leave_at = match state {
            Some(State::ReadOnly) if has_others => self.leave_at.or(Some(now_ms + READ_ONLY_MS)),
            _ => None,
        };
        if state == Some(State::Connected) && self.pause.is_some() {
            self.pause = Some(0);
        }
    }

    /// Something has happened to the account. Before a `sync` has reached the end it is dropped:
    /// the sync brings it.
    fn on_push(&mut self, message: &Message<'_>) {
        if !self.follow || !matches!(self.phase, Phase::Online { .. }) {
            return;
        }
        if message.cmd != "read_moved" {
            self.known = self.known.max(message.seq);
        }
        match self.sync {
            Sync::Done => self.on_account_event(message),
            _ if planted(Mutant::PushBeforeSync) => self.on_account_event(message),
            _ if message.cmd == "read_moved" => self.on_account_event(message),
            _ => self.missed = self.missed.max(message.seq),
        }
    }

    /// A `deliver`, `taken_back` or `read_moved` in the one order: shown once, moves the cursor.
    fn on_account_event(&mut self, message: &Message<'_>) {
        if message.cmd == "read_moved" {
            // Its seq is the marker, not the event's own place.
            let name = message.to.to_string();
            return self.event(Event::ReadMoved { name, seq: message.seq });
        }
        if message.seq <= self.cursor.unwrap_or(0) {
            return;
        }
        let own = self.own_recent.contains_key(&message.seq);
        self.move_cursor(message.seq);
        match message.cmd.as_ref() {
            "taken_back" => {
                let ids = message.msg_ids.iter().map(|id| id.to_string()).collect();
                self.event(Event::TakenBack(ids));
            }
            _ if own || self.is_sent_here(message) => {}
            _ => {
                self.on_receiver(&message.src);
                self.event(Event::Message(Incoming::of(message)));
            }
        }
    }

    /// Whether this is a message of our own whose reply was lost. It is shown when the retry is
    /// answered, or now, where the retry was refused as too old.
    fn is_sent_here(&mut self, message: &Message<'_>) -> bool {
        let id = message.msg_ids.iter().next().and_then(id::parse);
        let Some(id) = id.filter(|_| message.src == self.user.as_str()) else { return false };
        if let Some(item) = self.outbox.iter_mut().find(|item| item.draft.id == id) {
            item.stored = Some((message.seq, message.time));
            return true;
        }
        let Some(at) = self.unsure.iter().position(|unsure| *unsure == id) else { return false };
        self.unsure.remove(at);
        let (to, body) = (message.to.to_string(), message.body.to_string());
        self.event(Event::Sent { id, to, body, seq: message.seq, time: message.time });
        true
    }

    pub(super) fn move_cursor(&mut self, seq: u64) {
        if self.cursor.is_none_or(|cursor| cursor < seq) {
            self.cursor = Some(seq);
            self.own_recent.retain(|own, _| *own > seq);
        }
        self.known = self.known.max(seq);
    }

    /// A frame of a reply with more to come.
    fn on_reply_frame(&mut self, now_ms: u64, message: Message<'static>) {
        match self.pending.front().map(|oldest| &oldest.kind) {
            Some(PendingKind::Sync) => self.on_account_event(&message),
            Some(PendingKind::Request { .. }) if self.frames.len() < limits::HISTORY_PAGE => {
                self.frames.push(message);
            }
            _ => self.leave(now_ms, "sent a reply that nobody asked for"),
        }
    }

    /// A reply, or its last frame: replies come in the order of the requests.
    fn on_reply(&mut self, now_ms: u64, message: Message<'static>) {
        let Some(oldest) = self.pending.pop_front() else {
            return self.leave(now_ms, "sent a reply that nobody asked for");
        };
        if !matches!(oldest.kind, PendingKind::Login(_)) {
            // A login takes long on purpose.
            self.latency_ms = Some(now_ms.saturating_sub(oldest.sent_ms));
            self.note_pace(now_ms, oldest.sent_ms);
        }
        let refusal = message.error.then(|| Refusal::of(&message.body));
        if refusal.as_ref().is_some_and(|refusal| refusal.code == "not-logged-in") {
            // Another session has changed the password, or the login is too old.
            return self.leave(now_ms, "has ended the session");
        }
        match oldest.kind {
            PendingKind::Login(kind) => match refusal {
                None => self.on_login(now_ms, kind, &message),
                Some(refusal) => self.on_login_refused(now_ms, kind, refusal),
            },
            PendingKind::Token => {
                if refusal.is_none() {
                    self.token = Some(message.body.to_string());
                    self.event(Event::Token(message.body.into_owned()));
                }
            }
            PendingKind::Standing => {
                if let Some(standing) = look::standing_of(&message) {
                    self.on_standing(standing);
                }
            }
            PendingKind::Ping | PendingKind::Logoff => {}
            PendingKind::Watch => {
                if refusal.is_none() {
                    let names = message.body.split(',').filter(|name| !name.is_empty());
                    self.event(Event::Online(names.map(str::to_owned).collect()));
                }
            }
            PendingKind::Sync => self.on_sync(now_ms, &message, refusal),
            PendingKind::Read { name, seq } => self.on_read(&name, seq, refusal),
            PendingKind::Send { id } => self.on_send(now_ms, id, &message, refusal),
            PendingKind::Request { number } => {
                let mut frames = std::mem::take(&mut self.frames);
                frames.push(message);
                self.on_request_reply(now_ms, number, frames);
            }
        }
    }

    fn on_login(&mut self, now_ms: u64, kind: LoginKind, message: &Message<'_>) {
        if !message.to.is_empty() && message.to != self.user.as_str() {
            return self.leave(now_ms, "has logged in another account than the one asked for");
        }
        self.create = false;
        self.redirects = 0;
        self.is_moving = false;
        self.trouble = None;
        self.phase = Phase::Online { since: now_ms };
        let cluster = message.msg_ids.iter().next().and_then(id::parse).unwrap_or(0);
        if cluster != self.cluster {
            self.on_cluster(cluster);
        }
        if self.cursor.is_none() {
            self.move_cursor(message.seq);
        }
        self.known = self.known.max(message.seq);
        self.sync = Sync::Wanted;
        if !self.on_allowed(None) {
            let (name, unread) = (self.user.clone(), message.limit);
            let resumed = kind == LoginKind::Resume;
            let read_only = self.server_state == Some(State::ReadOnly);
            self.event(Event::LoggedIn { name, unread, resumed, read_only });
        }
        if kind != LoginKind::Resume || !self.token_is_fresh {
            self.token_is_fresh = true;
            self.put(now_ms, PendingKind::Token, &request("token"));
        }
    }

    /// The first login, or the servers hold another cluster than the last time: what was said of
    /// places in its order is void, and what was written for another cluster stays here.
    fn on_cluster(&mut self, cluster: u128) {
        if self.cluster != 0 {
            self.cursor = None;
            self.known = 0;
            self.term = 0;
            self.own_recent.clear();
        }
        self.cluster = cluster;
        self.event(Event::Cluster(cluster));
        let mut all: Vec<_> = self.outbox.drain(..).collect();
        all.append(&mut self.held_elsewhere);
        for mut item in all {
            match self.is_for_another_cluster(&item.draft) {
                true => self.held_elsewhere.push(item),
                false => {
                    item.in_flight = false;
                    self.outbox.push_back(item);
                }
            }
        }
        if !self.held_elsewhere.is_empty() {
            self.event(Event::OtherCluster(self.held_elsewhere.len()));
        }
    }

    fn on_login_refused(&mut self, now_ms: u64, kind: LoginKind, refusal: Refusal) {
        if self.is_logging_in_again() {
            self.on_allowed(Some(&refusal));
            // The connection is logged out now; a new one comes back with the token.
            return self.leave(now_ms, "has refused the password");
        }
        if refusal.is_passing() {
            let why = format!("refused the login for now: {refusal}");
            return self.leave(now_ms, &why);
        }
        if self.server_state == Some(State::ReadOnly) {
            // What it knows may be old: the account may be newer, or the password.
            let why = format!("is read-only and refused the login: {refusal}");
            return self.leave(now_ms, &why);
        }
        if kind == LoginKind::Resume {
            self.token = None;
            if self.password.is_some() {
                return self.log_in(now_ms);
            }
        }
        let why = format!("{}: {refusal}", self.address);
        self.drop_connection();
        self.phase = Phase::Stopped;
        self.trouble = Some(why);
        match kind {
            LoginKind::Resume => self.event(Event::PasswordNeeded),
            _ => {
                self.password = None;
                self.refuse_requests(&refusal);
                self.event(Event::LoginRefused(refusal));
            }
        }
    }

    fn on_sync(&mut self, now_ms: u64, message: &Message<'_>, refusal: Option<Refusal>) {
        if let Some(refusal) = refusal {
            // The cursor stays, whatever the code: another server may know it, and without it
            // messages would be passed over.
            let why = format!("refused to catch up: {refusal}");
            return self.leave(now_ms, &why);
        }
        if message.body == "more" && message.seq <= self.sync_from {
            return self.leave(now_ms, "says there is more to catch up with, and sends nothing");
        }
        self.move_cursor(message.seq);
        let at_end = message.body != "more" && self.missed <= self.cursor.unwrap_or(0);
        if message.body != "more" {
            // What was missed is asked for once more; a server that does not have it (yet) pushes it.
            self.missed = 0;
        }
        match at_end {
            true => self.sync = Sync::Done,
            false => self.put_sync(now_ms),
        }
    }

    fn on_read(&mut self, name: &str, seq: u64, refusal: Option<Refusal>) {
        if refusal.is_some_and(|refusal| refusal.code == "busy") {
            return;
        }
        // Moved on since: stays. Refused: the next message that is shown moves the marker again.
        self.markers.retain(|(marked, marker)| marked != name || *marker > seq);
    }

    fn on_send(&mut self, now_ms: u64, id: u128, reply: &Message<'_>, refusal: Option<Refusal>) {
        let Some(place) = self.outbox.iter().position(|item| item.draft.id == id) else {
            return;
        };
        if let Some(refusal) = refusal.as_ref().filter(|refusal| refusal.is_passing()) {
            self.outbox[place].in_flight = false;
            return self.on_not_now(now_ms, refusal);
        }
        let item = self.outbox.remove(place).expect("the place was just found");
        let draft = item.draft;
        self.outbox_bytes -= draft.body.len();
        let (seq, time) = match (refusal, item.stored) {
            (None, _) => (reply.seq, reply.time),
            // It says that this cannot be told any more; but it is known.
            (Some(refusal), Some(stored)) if refusal.code == "id-expired" => stored,
            (Some(refusal), _) => {
                if refusal.code == "id-expired" {
                    self.unsure.push_back(id);
                    self.unsure.drain(..self.unsure.len().saturating_sub(limits::SEND_WINDOW));
                }
                return self.event(Event::Failed { draft, refusal });
            }
        };
        self.refusals = 0;
        self.held_code.clear();
        self.known = self.known.max(seq);
        if self.follow && seq > self.cursor.unwrap_or(0) {
            self.own_recent.insert(seq, id);
        }
        let Draft { id, to, body, .. } = draft;
        self.on_receiver(&to);
        self.event(Event::Sent { id, to, body, seq, time });
    }

    /// There is an account of this name.
    fn on_receiver(&mut self, name: &str) {
        if self.receivers.contains(name) {
            return;
        }
        if self.receivers.len() >= limits::KNOWN_RECEIVERS {
            self.receivers.pop_first();
        }
        self.receivers.insert(name.to_owned());
    }

    /// A send was refused with "not now": those behind it in flight get the same, then a ping after
    /// a while lets them through again.
    fn on_not_now(&mut self, now_ms: u64, refusal: &Refusal) {
        if self.pause.is_none() {
            self.refusals = self.refusals.saturating_add(1);
            let wait_ms = self.back_off_ms(self.refusals, 1);
            self.pause = Some(now_ms + wait_ms);
        }
        if self.held_code != refusal.code {
            self.held_code = refusal.code.clone();
            self.event(Event::Held(refusal.clone()));
        }
    }
}

impl Incoming {
    /// Reads a `deliver`.
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

/// The state a pushed `server_status` tells of; `None` for the reply to a request, whose body is
/// lines of `key value`.
fn pushed_state(message: &Message<'_>) -> Option<State> {
    let (word, _) = message.body.split_once(':')?;
    match word {
        "read-only" => Some(State::ReadOnly),
        "electing" => Some(State::Electing),
        "primary" => Some(State::Connected),
        _ => None,
    }
}
