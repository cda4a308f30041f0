//! What carries a session: the socket, the clock, and the files of its account.

use super::dialer::Dialer;
use super::options::{Error, Options, io_error};
use super::session::{Config, Draft, Event, Output, Session};
use super::store::journal::Record;
use super::store::typed::{Keeper, Typed};
use super::store::{self, Store};
use super::transport::Transport;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::LookUp;
use crate::protocol::id;
use crate::sys::poll::{self, PollFd};
use crate::sys::{clock, entropy};
use crate::wal::RealDisk;
use std::os::fd::AsRawFd;

/// Bytes read from the socket before other things get their turn.
const READ_BUDGET_BYTES: usize = 256 << 10;
const READ_BYTES: usize = 64 << 10;

/// Why a message was not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// The outbox is full.
    Full,
    /// The disk does not take it.
    Store(store::Error),
}

impl std::fmt::Display for NotTaken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotTaken::Full => write!(
                out,
                "the outbox is full ({} messages or {} MiB); wait until some are sent",
                limits::OUTBOX_MESSAGES,
                limits::OUTBOX_BYTES >> 20
            ),
            NotTaken::Store(error) => error.fmt(out),
        }
    }
}

/// A session at work.
pub struct Driver {
    /// The session itself.
    pub session: Session,
    store: Store,
    dialer: Dialer,
    transport: Option<Transport>,
    /// The connection of a look for another server.
    look: Option<Transport>,
    /// What was handed out and is not noted as such yet.
    handed_out: Vec<Handed>,
    /// What the disk said when refusals were to be kept.
    trouble: Option<store::Error>,
    /// The session's cursor when all that it had to tell was handed out.
    handed_cursor: Option<u64>,
    noted_cursor: Option<u64>,
    buffer: Vec<u8>,
}

enum Handed {
    Gone(u128, u64),
    Cluster(u128),
    Token(String),
}

impl Driver {
    /// Starts a session of `user` with what its files say, the outbox of an earlier run included.
    ///
    /// # Errors
    /// Where the system has no random bytes or descriptors.
    pub fn new(
        options: &Options,
        user: &str,
        password: Option<String>,
        store: Store,
        follow: bool,
        look_up: LookUp,
    ) -> Result<Driver, Error> {
        let seed = entropy::array::<8>().map_err(io_error("get random bytes"))?;
        let (kept, now_ms) = (store.kept(), clock::monotonic_ms());
        let config = Config {
            servers: options.servers.clone(),
            user: user.to_string(),
            codec: options.codec,
            create: options.create,
            password,
            token: kept.token.clone().filter(|_| !options.create),
            cluster: kept.cluster,
            epoch_ms: clock::unix_ms().saturating_sub(now_ms),
            cursor: kept.cursor,
            own_recent: kept.own.clone(),
            follow,
            seed: u64::from_le_bytes(seed),
        };
        let (noted_cursor, drafts) = (kept.cursor, kept.drafts.clone());
        let mut session = Session::new(config, now_ms);
        for draft in drafts {
            // What a larger outbox of an earlier version left stays in its file.
            let _ = session.send_again(now_ms, draft);
        }
        let (handed_out, buffer) = (Vec::new(), vec![0; READ_BYTES]);
        let (transport, look, trouble) = (None, None, None);
        let dialer = Dialer::new(look_up).map_err(io_error("make a pipe for look-ups"))?;
        session.hold_old(now_ms);
        Ok(Driver {
            session,
            store,
            dialer,
            transport,
            look,
            handed_out,
            trouble,
            handed_cursor: noted_cursor,
            noted_cursor,
            buffer,
        })
    }

    /// What was typed in earlier chats, and what keeps it.
    pub fn typed(&self) -> (Keeper<RealDisk>, Typed) {
        self.store.typed()
    }

    /// The outbox's file, to name it to people.
    pub fn outbox(&self) -> &std::path::Path {
        self.store.path()
    }

    /// Waits until something happens, here or on one of the caller's descriptors, or until one of the
    /// deadlines, this session's or the caller's; does what is to be done here. The time after that,
    /// milliseconds.
    ///
    /// # Errors
    /// What poll(2) says.
    pub fn wait<const N: usize>(
        &mut self,
        others: &mut [PollFd; N],
        deadlines: &[Option<u64>],
    ) -> Result<u64, Error> {
        let deadlines = deadlines.iter().copied().chain([self.session.deadline()]);
        let timeout_ms =
            deadlines.flatten().min().map(|at| at.saturating_sub(clock::monotonic_ms()));
        let has_output = !self.session.outgoing().is_empty();
        let own = [
            poll_fd(self.transport.as_ref(), has_output),
            poll_fd(self.look.as_ref(), false),
            PollFd::new(self.dialer.as_raw_fd(), true, false),
        ];
        let mut fds: Vec<PollFd> = own.into_iter().chain(*others).collect();
        poll::wait(&mut fds, timeout_ms).map_err(io_error("wait for input"))?;
        others.copy_from_slice(&fds[own.len()..]);
        let now_ms = clock::monotonic_ms();
        self.turn(now_ms, [&fds[0], &fds[1], &fds[2]]);
        Ok(now_ms)
    }

    /// Makes messages with new ids, puts them on disk with one sync, and gives them to the session.
    ///
    /// # Errors
    /// Where the outbox or the disk does not take them; then none is taken.
    pub fn send(
        &mut self,
        now_ms: u64,
        texts: Vec<(String, String)>,
    ) -> Result<Vec<u128>, NotTaken> {
        let bytes = texts.iter().map(|(_, text)| text.len()).sum();
        if !self.session.has_room(texts.len(), bytes) {
            return Err(NotTaken::Full);
        }
        let (known, cluster) = (self.session.known(), self.session.cluster());
        let written_ms = clock::unix_ms();
        let mut drafts = Vec::with_capacity(texts.len());
        for (to, body) in texts {
            let random = entropy::array::<16>().map_err(|error| {
                let (doing, path) = ("get random bytes for", self.store.path().to_path_buf());
                NotTaken::Store(store::Error::Io { doing, path, error })
            })?;
            let id = id::from_random(random);
            drafts.push(Draft { id, to, body, known, cluster, written_ms });
        }
        self.store.put(&drafts).map_err(NotTaken::Store)?;
        let ids = drafts.iter().map(|draft| draft.id).collect();
        for draft in drafts {
            self.session.send(now_ms, draft).expect("the room was looked at");
        }
        Ok(ids)
    }

    /// Gives up the messages that have waited for long; how many they were.
    ///
    /// # Errors
    /// Where the disk does not take it: then they may come again after the next start.
    pub fn drop_old(&mut self) -> Result<usize, store::Error> {
        let ids = self.session.drop_old();
        for id in &ids {
            self.store.note(&Record::Gone(*id, 0));
        }
        self.store.sync()?;
        Ok(ids.len())
    }

    /// Does what the sockets are ready for, and what is due.
    fn turn(&mut self, now_ms: u64, [own, look, names]: [&PollFd; 3]) {
        if own.ready_write || own.ready_read || own.hangup {
            self.finish_connecting(now_ms);
        }
        if own.ready_read || own.hangup {
            self.read(now_ms);
        }
        if look.ready_write || look.ready_read || look.hangup {
            self.look(now_ms);
        }
        if names.ready_read {
            let [own, look] = self.dialer.tell([self.transport.as_mut(), self.look.as_mut()]);
            if let Err(error) = own {
                self.fail(now_ms, &error.to_string());
            }
            if look.is_err() {
                self.fail_look(now_ms);
            }
        }
        self.session.tick(now_ms);
    }

    /// Asks, and reads the answer.
    fn look(&mut self, now_ms: u64) {
        let Some(look) = self.look.as_mut() else { return };
        if look.is_connecting() {
            match look.finish_connecting() {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => return self.fail_look(now_ms),
            }
            let request = self.session.look_request();
            // What nobody has written to yet takes a few bytes at once.
            if !matches!(look.write(&request), Ok(Some(count)) if count == request.len()) {
                return self.fail_look(now_ms);
            }
        }
        match look.read(&mut self.buffer) {
            Ok(None) => {}
            Ok(Some(0)) | Err(_) => self.fail_look(now_ms),
            Ok(Some(count)) => self.session.look_received(now_ms, &self.buffer[..count]),
        }
    }

    fn fail_look(&mut self, now_ms: u64) {
        self.look = None;
        self.session.look_closed(now_ms);
    }

    fn finish_connecting(&mut self, now_ms: u64) {
        let Some(transport) = self.transport.as_mut().filter(|t| t.is_connecting()) else {
            return;
        };
        match transport.finish_connecting() {
            Ok(true) => self.session.connected(now_ms),
            Ok(false) => {}
            Err(error) => self.fail(now_ms, &error.to_string()),
        }
    }

    fn read(&mut self, now_ms: u64) {
        let mut budget = READ_BUDGET_BYTES;
        while budget > 0 {
            let Some(transport) = self.transport.as_mut().filter(|t| !t.is_connecting()) else {
                return;
            };
            match transport.read(&mut self.buffer) {
                Ok(None) => return,
                Ok(Some(0)) => return self.fail(now_ms, "the server closed the connection"),
                Ok(Some(count)) => {
                    budget = budget.saturating_sub(count);
                    self.session.received(now_ms, &self.buffer[..count]);
                    // It has left this server, perhaps for another: what comes here is nobody's.
                    if !self.session.is_attached() {
                        return;
                    }
                }
                Err(error) => return self.fail(now_ms, &error.to_string()),
            }
        }
    }

    fn write(&mut self, now_ms: u64) {
        while let Some(transport) = self.transport.as_mut().filter(|t| !t.is_connecting()) {
            if self.session.outgoing().is_empty() {
                return;
            }
            match transport.write(self.session.outgoing()) {
                Ok(None) => return,
                Ok(Some(count)) => self.session.wrote(now_ms, count),
                Err(error) => return self.fail(now_ms, &error.to_string()),
            }
        }
    }

    fn fail(&mut self, now_ms: u64, why: &str) {
        self.transport = None;
        self.session.closed(now_ms, why);
    }

    /// Does what the session wants, and gives what it has to tell. Once that is shown,
    /// [`Driver::shown`].
    pub fn events(&mut self, now_ms: u64) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let mut refused = false;
            while let Some(output) = self.session.poll() {
                match output {
                    Output::Close => self.transport = None,
                    Output::Connect(address) => self.connect(now_ms, &address),
                    Output::Look(address) => match self.dialer.connect(&address) {
                        Ok(transport) => self.look = Some(transport),
                        Err(_) => self.fail_look(now_ms),
                    },
                    Output::EndLook => self.look = None,
                    Output::Event(event) => {
                        refused |= matches!(event, Event::Failed { .. });
                        self.hand_out(&event);
                        events.push(event);
                    }
                }
            }
            if refused && let Err(error) = self.store.sync() {
                self.trouble = Some(error);
            }
            // Neither a person nor a server hears of what comes after a refusal before that is on
            // disk: what was refused must not be sent after a crash.
            if self.trouble.is_none() {
                self.write(now_ms);
            }
            if !self.session.has_output() {
                break;
            }
        }
        // Later the session may receive what nobody is shown before the client ends.
        self.handed_cursor = self.session.cursor();
        events
    }

    fn connect(&mut self, now_ms: u64, address: &str) {
        match self.dialer.connect(address) {
            Ok(transport) => self.transport = Some(transport),
            Err(error) => self.fail(now_ms, &error.to_string()),
        }
    }

    fn hand_out(&mut self, event: &Event) {
        self.handed_out.push(match event {
            Event::Sent { id, seq, .. } => Handed::Gone(*id, *seq),
            Event::Failed { draft, .. } => return self.store.note(&Record::Gone(draft.id, 0)),
            Event::Cluster(id) => Handed::Cluster(*id),
            Event::Token(token) => Handed::Token(token.clone()),
            _ => return,
        });
    }

    /// Everything that [`Driver::events`] gave has been shown: from here on it is not shown again.
    ///
    /// # Errors
    /// Where the disk does not take it: then it may be shown again after the next start.
    pub fn shown(&mut self) -> Result<(), store::Error> {
        if let Some(error) = self.trouble.take() {
            return Err(error);
        }
        for handed in std::mem::take(&mut self.handed_out) {
            if let Handed::Cluster(_) = handed {
                self.noted_cursor = None;
            }
            self.store.note(&match &handed {
                Handed::Gone(id, seq) => Record::Gone(*id, *seq),
                Handed::Cluster(id) => Record::Cluster(*id),
                Handed::Token(token) => Record::Token(token),
            });
        }
        let received = planted(Mutant::CursorPastShown);
        let cursor = if received { self.session.cursor() } else { self.handed_cursor };
        if let Some(cursor) = cursor.filter(|c| Some(*c) != self.noted_cursor) {
            self.noted_cursor = Some(cursor);
            self.store.note(&Record::Cursor(cursor));
        }
        self.store.flush()
    }

    /// Ends cleanly.
    ///
    /// # Errors
    /// Where the disk does not take the rest.
    pub fn close(mut self) -> Result<(), store::Error> {
        self.shown()?;
        self.store.close()
    }
}

fn poll_fd(transport: Option<&Transport>, has_output: bool) -> PollFd {
    let Some(transport) = transport else { return PollFd::new(-1, false, false) };
    let (read, write) = transport.waits_for(has_output);
    PollFd::new(transport.as_raw_fd(), read, write)
}

#[cfg(test)]
pub mod tests {
    use super::super::commands::Old;
    use super::super::options::{Action, PasswordFrom, ScreenOptions};
    use super::*;
    use crate::protocol::Message;
    use crate::protocol::framing::{self, Codec, Form};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A driver whose server is never there, for tests of what stands above it; its files go with it.
    pub struct Offline {
        /// It has not been asked to connect.
        pub driver: Driver,
        /// To be kept for as long.
        pub files: Files,
    }

    /// Where its outbox is.
    pub struct Files(PathBuf);

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    impl Offline {
        /// One of `alice`.
        pub fn new() -> Offline {
            Offline::who_follows(true)
        }

        /// As [`Offline::new`], which is told of all that comes, or not.
        fn who_follows(follow: bool) -> Offline {
            static COUNT: AtomicU64 = AtomicU64::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("chatctl-driver-{}-{count}", std::process::id());
            let files = Files(std::env::temp_dir().join(name));
            let options = Options {
                servers: vec![format!("unix:{}", files.0.join("nobody").display())],
                user: None,
                create: false,
                password: PasswordFrom::Ask,
                codec: Codec::Binary,
                state_dir: None,
                json: false,
                timeout_ms: 0,
                action: Action::Chat,
                old: Old::Show,
                limit: 0,
                plain: true,
                screen: ScreenOptions::default(),
            };
            let store =
                Store::open(&files.0, "alice", &options.servers).expect("the store opens").0;
            let password = Some("open sesame".to_owned());
            let look_up = crate::net::resolver::system();
            let driver = Driver::new(&options, "alice", password, store, follow, look_up);
            Offline { driver: driver.expect("it starts"), files }
        }
    }

    /// A server says this.
    fn hear(driver: &mut Driver, message: &Message<'_>) {
        let mut bytes = Vec::new();
        framing::put(&mut bytes, Form::Frames, Codec::Binary, message);
        driver.session.received(0, &bytes);
    }

    #[test]
    fn a_refusal_is_on_the_disk_before_anybody_is_told_of_it() {
        let Offline { mut driver, files } = Offline::who_follows(false);
        let _listener = UnixListener::bind(files.0.join("nobody")).expect("it can listen");
        driver.events(0);
        driver.wait(&mut [], &[]).expect("it connects");
        driver.events(0);
        for cmd in ["server_status", "login", "token"] {
            hear(&mut driver, &Message { cmd: cmd.into(), ..Message::default() });
        }
        driver.events(0);
        let text = ("bob".to_owned(), "hello".to_owned());
        let id = driver.send(0, vec![text]).expect("it is taken")[0];
        driver.events(0);
        let refused = Message {
            cmd: "send".into(),
            body: "no-such-user: no account has this name".into(),
            error: true,
            ..Message::default()
        };
        hear(&mut driver, &refused);
        let events = driver.events(0);
        let is_it = |event: &Event| matches!(event, Event::Failed { draft, .. } if draft.id == id);
        assert!(events.iter().any(is_it), "{events:?}");
        assert!(driver.store.is_synced(), "the person is told now");
    }
}
