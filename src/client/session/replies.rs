//! What the server says: one switch, a handler a message.

use super::Session;
use super::look;
use super::phase::PendingKind;
use super::times::READ_ONLY_MS;
use super::types::{Event, Refusal, State};
use crate::limits;
use crate::protocol::Message;

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
        // A name that is no longer watched may still be on its way.
        if self.watched.contains(&name) {
            self.event(Event::Presence { name, online: message.body == "online" });
        }
    }

    fn on_state_push(&mut self, now_ms: u64, message: &Message<'_>) {
        let state = pushed_state(message);
        self.note_served(now_ms, state);
        let has_others = self.route.servers.len() > 1;
        let Some(link) = self.phase.link_mut() else { return };
        link.server.state = state;
        link.server.leave_at = match state {
            Some(State::ReadOnly) if has_others => {
                link.server.leave_at.or(Some(now_ms + READ_ONLY_MS))
            }
            _ => None,
        };
        if state == Some(State::Connected) {
            link.held.until = link.held.until.and(Some(0));
            // Perhaps in a later term.
            self.ask_status(now_ms);
        }
    }

    /// A frame of a reply with more to come.
    fn on_reply_frame(&mut self, now_ms: u64, message: Message<'static>) {
        let Some(link) = self.phase.link_mut() else { return };
        match link.pending.front().map(|oldest| &oldest.kind) {
            Some(PendingKind::Sync) => self.on_account_event(&message),
            Some(PendingKind::Request { .. }) if link.frames.len() < limits::HISTORY_PAGE => {
                link.frames.push(message);
            }
            _ => self.leave(now_ms, "sent an unexpected reply"),
        }
    }

    /// A reply, or its last frame: replies come in the order of the requests.
    fn on_reply(&mut self, now_ms: u64, message: Message<'static>) {
        let Some(link) = self.phase.link_mut() else { return };
        let Some(oldest) = link.pending.pop_front() else {
            return self.leave(now_ms, "sent an unexpected reply");
        };
        if !matches!(oldest.kind, PendingKind::Login(_)) {
            // A login takes long on purpose.
            link.latency_ms = Some(now_ms.saturating_sub(oldest.sent_ms));
            self.note_pace(now_ms, oldest.sent_ms);
        }
        let refusal = message.error.then(|| Refusal::of(&message.body));
        if refusal.as_ref().is_some_and(|refusal| refusal.code == "not-logged-in") {
            // Another session has changed the password, or the login is too old.
            return self.leave(now_ms, "ended the session");
        }
        match oldest.kind {
            PendingKind::Login(kind) => match refusal {
                None => self.on_login(now_ms, kind, &message),
                Some(refusal) => self.on_login_refused(now_ms, kind, refusal),
            },
            PendingKind::Token => {
                if refusal.is_none() {
                    self.login.token = Some(message.body.to_string());
                    self.event(Event::Token(message.body.into_owned()));
                }
            }
            PendingKind::Status => {
                if let Some(status) = look::status_of(&message) {
                    self.on_status(status);
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
            PendingKind::Request { number } => self.on_request_reply(now_ms, number, message),
        }
    }

    fn on_read(&mut self, name: &str, seq: u64, refusal: Option<Refusal>) {
        if refusal.is_some_and(|refusal| refusal.code == "busy") {
            return;
        }
        // A marker that moved on since stays. After a refusal the next message shown moves it again.
        self.markers.retain(|(marked, marker)| marked != name || *marker > seq);
    }
}

/// The state that a pushed `server_status` reports; `None` for the reply to a request, whose body is
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
