//! The login on a connection, with what the session knows: a token, or a password.

use std::borrow::Cow;

use super::Session;
use super::phase::{LoginKind, Online, PendingKind, Phase, Stage, Sync};
use super::times::LOGIN_MS;
use super::types::{Event, Refusal, State};
use super::wire::request;
use crate::limits;
use crate::protocol::{Message, id};

pub(super) struct Login {
    pub user: String,
    pub create: bool,
    pub password: Option<String>,
    pub token: Option<String>,
    /// The token is of this run.
    pub token_is_fresh: bool,
}

impl Login {
    pub fn is_possible(&self) -> bool {
        self.password.is_some() || self.token.is_some()
    }
}

impl Session {
    /// Continues after [`Event::PasswordNeeded`] or [`Event::LoginRefused`].
    pub fn set_password(&mut self, now_ms: u64, password: String) {
        if password.len() > limits::PASSWORD_BYTES {
            let refusal = Refusal::new("bad-password", "a password has at most 1,024 bytes");
            return self.event(Event::LoginRefused(refusal));
        }
        self.login.password = Some(password);
        self.login.token = None;
        if matches!(self.phase, Phase::Stopped) {
            self.phase = Phase::Waiting { until: now_ms };
        }
        self.settle(now_ms);
    }

    /// Sends the login of a new connection.
    pub(super) fn log_in(&mut self, now_ms: u64) {
        let (kind, cmd, secret) = match (&self.login.token, &self.login.password) {
            (_, Some(password)) if self.login.create => (LoginKind::Create, "create", password),
            (Some(token), _) => (LoginKind::Resume, "resume", token),
            (None, Some(password)) => (LoginKind::Password, "login", password),
            (None, None) => unreachable!("the session stops while it has neither"),
        };
        let secret = secret.clone();
        self.put_login(now_ms, kind, cmd, secret);
    }

    fn put_login(&mut self, now_ms: u64, kind: LoginKind, cmd: &'static str, secret: String) {
        let (src, body) = (Cow::Owned(self.login.user.clone()), Cow::Owned(secret));
        let message = Message { src, body, ..request(cmd) };
        self.put(now_ms, PendingKind::Login(kind), &message);
    }

    /// Logs in with the password on the connection as it is: a request that only a password allows
    /// comes next.
    pub(super) fn log_in_again(&mut self, now_ms: u64, password: String) {
        if let Some(link) = self.phase.link_mut() {
            link.stage = Stage::LoggingIn { deadline: now_ms + LOGIN_MS };
        }
        self.put(now_ms, PendingKind::Logoff, &request("logoff"));
        self.put_login(now_ms, LoginKind::Password, "login", password);
    }

    pub(super) fn on_login(&mut self, now_ms: u64, kind: LoginKind, message: &Message<'_>) {
        if !message.to.is_empty() && message.to != self.login.user.as_str() {
            return self.leave(now_ms, "logged in another account");
        }
        let Some(link) = self.phase.link_mut() else { return };
        let watch_is_due = !self.watched.is_empty();
        link.stage = Stage::Online(Online { since: now_ms, sync: Sync::WANTED, watch_is_due });
        let read_only = link.server.state == Some(State::ReadOnly);
        self.login.create = false;
        (self.route.redirects, self.route.is_moving) = (0, false);
        self.trouble = None;
        let cluster = message.msg_ids.iter().next().and_then(id::parse).unwrap_or(0);
        if cluster != self.seen.cluster {
            self.on_cluster(cluster);
        }
        if self.seen.cursor.is_none() {
            self.seen.move_to(message.seq);
        }
        self.seen.known = self.seen.known.max(message.seq);
        if !self.on_allowed(None) {
            let (name, unread) = (self.login.user.clone(), message.limit);
            let resumed = kind == LoginKind::Resume;
            self.event(Event::LoggedIn { name, unread, resumed, read_only });
        }
        if kind != LoginKind::Resume || !self.login.token_is_fresh {
            self.login.token_is_fresh = true;
            self.put(now_ms, PendingKind::Token, &request("token"));
        }
    }

    /// The first login, or the servers hold another cluster than the last time: then the cursor is
    /// void, and what was written for another cluster stays here.
    fn on_cluster(&mut self, cluster: u128) {
        if self.seen.cluster != 0 {
            self.seen.forget();
            self.term = 0;
        }
        self.seen.cluster = cluster;
        self.event(Event::Cluster(cluster));
        self.outbox.sort(cluster);
        self.tell_elsewhere();
    }

    pub(super) fn on_login_refused(&mut self, now_ms: u64, kind: LoginKind, refusal: Refusal) {
        if self.is_logging_in_again() {
            self.on_allowed(Some(&refusal));
            // The connection is logged out now; a new one logs in with the token.
            return self.leave(now_ms, "refused the password");
        }
        if refusal.is_passing() {
            let why = format!("refused the login for now: {refusal}");
            return self.leave(now_ms, &why);
        }
        let link = self.phase.link();
        if link.is_some_and(|link| link.server.state == Some(State::ReadOnly)) {
            // It may be out of date: the account may be newer, or the password.
            let why = format!("is read-only and refused the login: {refusal}");
            return self.leave(now_ms, &why);
        }
        if kind == LoginKind::Resume {
            self.login.token = None;
            if self.login.password.is_some() {
                return self.log_in(now_ms);
            }
        }
        self.trouble = Some(format!("{}: {refusal}", self.route.address));
        self.drop_connection(Phase::Stopped);
        match kind {
            LoginKind::Resume => self.event(Event::PasswordNeeded),
            _ => {
                self.login.password = None;
                self.refuse_requests(&refusal);
                // No client here has ever logged in to the account: its name may be mistyped, and
                // whoever logs in to it later must not send what this user wrote.
                if self.seen.cluster == 0 {
                    for draft in self.outbox.take_all() {
                        self.event(Event::Failed { draft, refusal: refusal.clone() });
                    }
                }
                self.event(Event::LoginRefused(refusal));
            }
        }
    }
}
