//! Requests about accounts and sessions: create, login, token, resume, logoff, passwd, delete.

use super::budget;
use super::client::{Pending, Session};
use super::counted::Failure;
use super::dispatch::{Asked, Next};
use super::reply::{Refusal, count, refuse, refuse_with, reply};
use super::{Clients, Serving};
use crate::auth::hasher::{Done, Job, JobKind, Outcome};
use crate::auth::scram::Verifier;
use crate::auth::token;
use crate::chat::{AccountId, Command};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::node::replica::Replica;
use crate::protocol::framing::Codec;
use crate::protocol::{Message, MsgIds, id, name};

/// Who waits for a hash, and for what.
pub(super) struct Hashing {
    key: Key,
    codec: Codec,
    purpose: Purpose,
}

enum Purpose {
    /// A login, or a create for a name that exists. The verifier that was asked about: a password
    /// that changed meanwhile makes the answer void.
    LogIn { cmd: &'static str, account: AccountId, verifier: Verifier, refusal: Refusal },
    /// A login to a name that does not exist, which costs the same.
    Nobody { name: String },
    /// A new account.
    Create { name: String, password: Vec<u8> },
    /// A new password.
    Passwd,
}

impl Purpose {
    /// The request that waits.
    fn cmd(&self) -> &'static str {
        match self {
            Purpose::LogIn { cmd, .. } => cmd,
            Purpose::Nobody { .. } => "login",
            Purpose::Create { .. } => "create",
            Purpose::Passwd => "passwd",
        }
    }
}

const WRONG: Refusal = refuse("wrong-credentials", "no account has this name and password");
const TAKEN: Refusal = refuse("name-taken", "this name is, or was, in use");
const TOO_MANY: Refusal = refuse("busy", "too many logins at once: try again in a moment");
const ENDED: Refusal = refuse(
    "not-logged-in",
    "the account has too many sessions: a new login ended this one, which was idle longest",
);
const OUT_OF_DATE: &str =
    "; no majority of the servers is reachable: passwords and accounts may be out of date";
const GONE: Refusal = refuse("not-logged-in", "the account was deleted");

impl Clients {
    pub(super) fn on_create(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
    ) -> Result<Next, Refusal> {
        let name = self.check_login(replica, asked)?;
        let purpose = match replica.state().account(&name) {
            Some(account) => self.log_in_purpose(replica, "create", account, TAKEN),
            None if replica.state().is_tombstoned(&name) => return Err(TAKEN),
            None => {
                self.check_disk(replica)?;
                Purpose::Create { name, password: asked.message.body.as_bytes().to_vec() }
            }
        };
        self.hash(asked, purpose)
    }

    pub(super) fn on_login(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
    ) -> Result<Next, Refusal> {
        let name = self.check_login(replica, asked)?;
        let purpose = match replica.state().account(&name) {
            Some(account) => self.log_in_purpose(replica, "login", account, WRONG),
            None => Purpose::Nobody { name },
        };
        self.hash(asked, purpose)
    }

    pub(super) fn on_resume(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
    ) -> Result<Next, Refusal> {
        self.charge(asked.key, budget::TOKEN);
        self.check_sessions(asked.key)?;
        let now_ms = replica.time.unix_ms();
        let found = name::fold(&asked.message.src).and_then(|name| {
            let account = replica.state().account(&name)?;
            let verifier = self.verifier(replica, account)?;
            let secret = replica.state().token_secret()?;
            token::check(&secret, &name, now_ms, &verifier, &asked.message.body).ok()?;
            Some(account)
        });
        let Some(account) = found else {
            let name = name::fold(&asked.message.src).unwrap_or_default();
            self.count_failure(asked.key, &name, Failure::Wrong);
            return Err(refuse(
                "bad-token",
                "the token has expired or was revoked: log in with the password",
            ));
        };
        let most = self.settings.max_sessions_per_account;
        if self.sessions_beside(asked.key, account) >= most {
            let sentence = format!(
                "the account already has {most} sessions, the maximum: log in with the password \
                 to end the session that is idle longest"
            );
            return Err(refuse_with("rate-limited", sentence));
        }
        if let Some(client) = self.clients.get(asked.key) {
            self.guesses.add_known(account, client.origin.network());
        }
        self.log_in(replica, asked.key, asked.codec, "resume", account, true);
        Ok(Next::Answered)
    }

    pub(super) fn on_token(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
        session: Session,
    ) -> Result<Next, Refusal> {
        self.charge(asked.key, budget::TOKEN);
        let days_ms = u64::from(self.settings.token_days) * 24 * 60 * 60 * 1000;
        let verifier = self.verifier(replica, session.account).ok_or(GONE)?;
        let secret = replica.state().token_secret().ok_or(GONE)?;
        let name = replica.state().name(session.account);
        let text = token::issue(&secret, name, replica.time.unix_ms() + days_ms, &verifier);
        self.reply(asked.key, asked.codec, &Message { body: text.into(), ..reply("token") });
        Ok(Next::Answered)
    }

    pub(super) fn on_logoff(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
    ) -> Result<Next, Refusal> {
        self.log_out(replica, asked.key);
        if let Some(client) = self.clients.get(asked.key) {
            self.bound_unauthenticated(client.origin.network());
        }
        self.reply(asked.key, asked.codec, &reply("logoff"));
        Ok(Next::Answered)
    }

    pub(super) fn on_passwd(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
    ) -> Result<Next, Refusal> {
        self.charge(asked.key, budget::LOGIN);
        check_password(&asked.message.body)?;
        self.check_disk(replica)?;
        self.check_rate(asked.key)?;
        self.hash(asked, Purpose::Passwd)
    }

    pub(super) fn on_delete(
        &mut self,
        replica: &mut Replica,
        asked: &Asked<'_>,
        session: Session,
    ) -> Result<Next, Refusal> {
        let name = replica.state().name(session.account).to_owned();
        let time = replica.entry_time();
        self.propose(
            replica,
            asked.key,
            asked.codec,
            "delete",
            &Command::Delete { time, name: &name },
        )?;
        Ok(self.begin(asked.key))
    }

    fn check_login(&mut self, replica: &Replica, asked: &Asked<'_>) -> Result<String, Refusal> {
        self.charge(asked.key, budget::LOGIN);
        let name = name::fold(&asked.message.src).ok_or_else(|| {
            let sentence = format!(
                "src must be a name: a letter or digit, then letters, digits, . _ -, {} \
                 characters at most",
                limits::NAME_BYTES
            );
            refuse_with("bad-name", sentence)
        })?;
        check_password(&asked.message.body)?;
        self.check_sessions(asked.key)?;
        let checked =
            self.check_rate(asked.key).and_then(|()| self.check_guesses(replica, asked, &name));
        if checked.is_err() {
            self.count_failure(asked.key, &name, Failure::Refused);
        }
        checked.map(|()| name)
    }

    /// Slows down guessing at one account's password from many networks.
    fn check_guesses(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
        name: &str,
    ) -> Result<(), Refusal> {
        let Some(client) = self.clients.get(asked.key) else { return Ok(()) };
        let (network, now_ms) = (client.origin.network(), self.now.monotonic_ms);
        let account = replica.state().account(name);
        self.guesses.attempt(name, account, network, now_ms).map_err(|wait_ms| {
            let sentence = format!(
                "too many passwords were tried for this account: try again in {} s, or log in \
                 from a network where you logged in before",
                wait_ms.div_ceil(1000)
            );
            refuse_with("rate-limited", sentence)
        })
    }

    fn count_failure(&mut self, key: Key, name: &str, failure: Failure) {
        let Some(client) = self.clients.get(key) else { return };
        let network = client.origin.network();
        self.counted.login_failed(network, name, failure, self.now.monotonic_ms);
    }

    /// A connection that is logged in already changes its session, it does not add one.
    fn check_sessions(&self, key: Key) -> Result<(), Refusal> {
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        let network = client.origin.network();
        let most = self.settings.max_sessions_per_address;
        if client.session.is_none() && self.sessions.of_network(network) >= most {
            let sentence = format!("{network} already has {most} sessions, the maximum");
            return Err(refuse_with("rate-limited", sentence));
        }
        Ok(())
    }

    fn check_rate(&mut self, key: Key) -> Result<(), Refusal> {
        let Some(client) = self.clients.get(key) else { return Ok(()) };
        let network = client.origin.network();
        if self.limiter.allow(network, self.now.monotonic_ms) {
            return Ok(());
        }
        self.tell_detail(|| format!("{network} logs in too often"));
        let sentence = "too many login attempts from your address: wait a minute";
        Err(refuse("rate-limited", sentence))
    }

    /// Refuses a change that the disk may have no room for.
    pub(super) fn check_disk(&self, replica: &Replica) -> Result<(), Refusal> {
        match replica.full() {
            true => Err(refuse("disk-full", "the server's disk is full; only reading works")),
            false => Ok(()),
        }
    }

    fn verifier(&self, replica: &Replica, account: AccountId) -> Option<Verifier> {
        replica.state().verifier(account)?.parse().ok()
    }

    fn log_in_purpose(
        &self,
        replica: &Replica,
        cmd: &'static str,
        account: AccountId,
        refusal: Refusal,
    ) -> Purpose {
        match self.verifier(replica, account) {
            Some(verifier) => Purpose::LogIn { cmd, account, verifier, refusal },
            None => Purpose::Nobody { name: replica.state().name(account).to_owned() },
        }
    }

    /// Gives the request's password to the hashing thread.
    fn hash(&mut self, asked: &Asked<'_>, purpose: Purpose) -> Result<Next, Refusal> {
        let password = asked.message.body.as_bytes().to_vec();
        self.hash_password(Hashing { key: asked.key, codec: asked.codec, purpose }, password)?;
        Ok(self.begin(asked.key))
    }

    fn hash_password(&mut self, hashing: Hashing, password: Vec<u8>) -> Result<(), Refusal> {
        let iterations = self.settings.password_iterations;
        let kind = match &hashing.purpose {
            Purpose::LogIn { verifier, .. } => JobKind::Verify(verifier.clone()),
            Purpose::Nobody { .. } => JobKind::VerifyUnknown { iterations },
            Purpose::Create { .. } | Purpose::Passwd => {
                JobKind::Derive { salt: self.random.bytes(), iterations }
            }
        };
        let Some(client) = self.clients.get(hashing.key) else { return Ok(()) };
        self.last_job += 1;
        let job = Job { id: self.last_job, password, kind };
        match self.hash_queue.push(client.origin.network(), hashing.key, job) {
            Ok(dropped) => {
                self.hashing.insert(self.last_job, hashing);
                if let Some((key, Job { id, .. })) = dropped
                    && let Some(Hashing { codec, purpose, .. }) = self.hashing.remove(&id)
                {
                    self.end_with(key, codec, &TOO_MANY.message(purpose.cmd()));
                }
                self.hand_hashes();
                Ok(())
            }
            Err(_) => Err(TOO_MANY),
        }
    }

    /// Gives the hashing thread its next jobs.
    fn hand_hashes(&mut self) {
        while let Some(job) = self.hash_queue.next() {
            self.todo.hash.push_back(job);
        }
    }

    /// Drops the passwords of a connection that goes.
    pub(super) fn forget_hashes(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else { return };
        if planted(Mutant::HashesForTheGone) {
            return;
        }
        for id in self.hash_queue.forget(client.origin.network(), key) {
            self.hashing.remove(&id);
        }
    }

    /// The name was taken while its password was hashed or on its way into the log. When the first
    /// was this same request, sent twice, its password is right.
    pub(super) fn create_again(
        &mut self,
        replica: &Replica,
        pending: Pending,
        account: Option<AccountId>,
    ) {
        let Pending { key, codec, password, .. } = pending;
        let started = match account {
            Some(account) => {
                let purpose = self.log_in_purpose(replica, "create", account, TAKEN);
                self.hash_password(Hashing { key, codec, purpose }, password)
            }
            None => Err(TAKEN),
        };
        if let Err(refusal) = started {
            self.end_with(key, codec, &refusal.message("create"));
        }
    }

    /// What hashing a password of [`super::Todo::hash`] has found out.
    pub fn on_hashed(&mut self, replica: &mut Replica, Done { id, outcome }: Done) {
        self.hash_queue.on_answer();
        self.hand_hashes();
        let Some(hashing) = self.hashing.remove(&id) else { return };
        // Who has gone meanwhile gets nothing and changes nothing.
        if self.clients.get(hashing.key).is_some() {
            self.finish_hashing(replica, hashing, outcome);
        }
    }

    fn finish_hashing(&mut self, replica: &mut Replica, hashing: Hashing, outcome: Outcome) {
        let Hashing { key, codec, purpose } = hashing;
        match (purpose, outcome) {
            (Purpose::LogIn { cmd, account, verifier, refusal }, Outcome::Matches(matches)) => {
                let current = self.verifier(replica, account);
                let is_current = current.as_ref() == Some(&verifier);
                if matches && (is_current || planted(Mutant::OldVerifierTaken)) {
                    self.log_in(replica, key, codec, cmd, account, false);
                    self.end(key);
                } else {
                    let name = replica.state().name(account).to_owned();
                    self.count_failure(key, &name, Failure::Wrong);
                    self.end_with(key, codec, &refusal.message(cmd));
                }
            }
            (Purpose::Create { name, password }, Outcome::Derived(verifier)) => {
                let (time, verifier) = (replica.entry_time(), verifier.to_string());
                let command = Command::Create { time, name: &name, verifier: &verifier };
                match self.propose(replica, key, codec, "create", &command) {
                    Err(refusal) => self.end_with(key, codec, &refusal.message("create")),
                    Ok(()) => {
                        if let Some(pending) = self.pending.back_mut() {
                            pending.password = password;
                        }
                    }
                }
            }
            (Purpose::Passwd, Outcome::Derived(verifier)) => {
                let session = self.clients.get(key).and_then(|client| client.session);
                match session {
                    None => self.end_with(key, codec, &GONE.message("passwd")),
                    Some(session) => {
                        let name = replica.state().name(session.account).to_owned();
                        let (time, verifier) = (replica.entry_time(), verifier.to_string());
                        let command = Command::Passwd { time, name: &name, verifier: &verifier };
                        if let Err(refusal) = self.propose(replica, key, codec, "passwd", &command)
                        {
                            self.end_with(key, codec, &refusal.message("passwd"));
                        }
                    }
                }
            }
            (Purpose::Nobody { name }, _) => {
                self.count_failure(key, &name, Failure::Wrong);
                self.end_with(key, codec, &WRONG.message("login"));
            }
            (_, _) => unreachable!("the hashing thread answers what it was asked"),
        }
    }

    /// Makes the connection a session of the account and answers `cmd`.
    pub(super) fn log_in(
        &mut self,
        replica: &Replica,
        key: Key,
        codec: Codec,
        cmd: &'static str,
        account: AccountId,
        resumed: bool,
    ) {
        self.log_out(replica, key);
        self.remove_unauthenticated(key);
        if !resumed {
            self.make_room_for_session(replica, account);
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        client.session = Some(Session { account, resumed });
        client.login_by_ms = None;
        client.refusing = None;
        let network = client.origin.network();
        let name = replica.state().name(account);
        if self.sessions.of(account).is_empty() {
            self.presence.on_change(self.now.monotonic_ms, account, false);
        }
        self.sessions.add(account, name, key, network);
        if !resumed {
            self.guesses.succeeded(name, account, network);
        }
        let unread = replica.state().unread_total(account);
        let mut sentence = match unread {
            0 => "nothing unread".to_owned(),
            1 => "1 unread message".to_owned(),
            many => format!("{many} unread messages"),
        };
        if self.serving == Serving::ReadOnly {
            sentence.push_str(OUT_OF_DATE);
        }
        let cluster = replica.state().cluster().map(|bytes| id::format(u128::from_be_bytes(bytes)));
        let message = Message {
            to: name.to_owned().into(),
            limit: count(unread as usize),
            seq: replica.state().applied(),
            msg_ids: MsgIds::Many(cluster.into_iter().map(Into::into).collect()),
            body: sentence.into(),
            ..reply(cmd)
        };
        self.reply(key, codec, &message);
        self.tell_detail(|| format!("connection {}: {cmd} {}", key.number(), message.to));
    }

    /// Ends the connection's session, if it has one: from now on it has to log in again in time.
    pub(super) fn log_out(&mut self, replica: &Replica, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(session) = client.session.take() else { return };
        let by_ms = self.now.monotonic_ms + self.settings.login_timeout_ms;
        client.login_by_ms = Some(by_ms);
        client.outgoing.left_out = 0;
        self.deadlines.set(by_ms, key);
        let name = replica.state().name(session.account);
        self.sessions.remove(session.account, name, key, client.origin.network());
        if self.sessions.of(session.account).is_empty() {
            self.presence.on_change(self.now.monotonic_ms, session.account, true);
        }
        self.set_watched(key, Vec::new());
        self.add_unauthenticated(key);
    }

    /// How many sessions the account has on other connections.
    fn sessions_beside(&self, key: Key, account: AccountId) -> usize {
        self.sessions.of(account).iter().filter(|other| **other != key).count()
    }

    /// Where the account has too many sessions for one more, ends the one that was silent for
    /// longest: whoever knows the password gets in.
    fn make_room_for_session(&mut self, replica: &Replica, account: AccountId) {
        let keys = self.sessions.of(account);
        if keys.len() < self.settings.max_sessions_per_account {
            return;
        }
        let active_ms = |key: &Key| self.clients.get(*key).map_or(0, |client| client.active_ms);
        let Some(key) = keys.iter().copied().min_by_key(active_ms) else { return };
        self.log_out(replica, key);
        let Some(client) = self.clients.get(key) else { return };
        self.reject(key, client.codec, &ENDED);
        self.tell_detail(|| {
            format!("connection {}: its session ended, the account had too many", key.number())
        });
    }

    /// Ends the account's sessions, all but that of `except`.
    pub(super) fn end_sessions(
        &mut self,
        replica: &Replica,
        account: AccountId,
        except: Option<Key>,
    ) {
        for key in self.sessions.of(account).to_vec() {
            if Some(key) != except {
                self.log_out(replica, key);
            }
        }
    }
}

fn check_password(password: &str) -> Result<(), Refusal> {
    if password.is_empty() || password.len() > limits::PASSWORD_BYTES {
        let sentence = format!("a password has 1 to {} bytes", limits::PASSWORD_BYTES);
        return Err(refuse_with("bad-password", sentence));
    }
    Ok(())
}
