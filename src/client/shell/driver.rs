//! An agent at work: its sockets, the clock, and the wait for what happens next. It moves bytes and
//! decides nothing.

use std::os::fd::AsRawFd;

use super::dialer::Dialer;
use super::state_dir::Place;
use super::transport::Transport;
use crate::client::agent::Agent;
use crate::client::options::{Error, Options, io_error};
use crate::client::session::{Config, Event, Output};
use crate::client::store::outbox::Outbox;
use crate::net::LookUp;
use crate::sys::poll::{self, PollFd};
use crate::sys::{clock, entropy};
use crate::wal::RealDisk;

/// Bytes read from the socket before other things get their turn.
const READ_BUDGET_BYTES: usize = 256 << 10;
const READ_BYTES: usize = 64 << 10;

pub struct Driver {
    pub agent: Agent<RealDisk>,
    pub place: Place,
    dialer: Dialer,
    transport: Option<Transport>,
    /// When a server that has said nothing is given up for another address of its name.
    silent_until: Option<u64>,
    /// The connection of a look for another server.
    look: Option<Transport>,
    buffer: Vec<u8>,
}

impl Driver {
    /// Starts a session of `user` with what its files say, the outbox of an earlier run included.
    pub fn new(
        options: &Options,
        user: &str,
        password: Option<String>,
        (place, outbox): (Place, Outbox<RealDisk>),
        follow: bool,
        look_up: LookUp,
    ) -> Result<Driver, Error> {
        let seed = entropy::array::<8>().map_err(io_error("get random bytes"))?;
        let now_ms = clock::monotonic_ms();
        let config = Config {
            servers: options.servers.clone(),
            user: user.to_string(),
            codec: options.codec,
            create: options.create,
            password,
            token: None,
            cluster: 0,
            epoch_ms: clock::unix_ms().saturating_sub(now_ms),
            cursor: None,
            own_recent: Vec::new(),
            follow,
            seed: u64::from_le_bytes(seed),
        };
        let dialer = Dialer::new(look_up).map_err(io_error("make a pipe for look-ups"))?;
        let (transport, look, buffer) = (None, None, vec![0; READ_BYTES]);
        let agent = Agent::new(config, outbox, now_ms);
        let silent_until = None;
        Ok(Driver { agent, place, dialer, transport, silent_until, look, buffer })
    }

    /// Waits until something happens, here or on one of the caller's descriptors, or until one of the
    /// deadlines, this session's or the caller's; then handles what happened here. Returns the time
    /// after that, milliseconds.
    pub fn wait<const N: usize>(
        &mut self,
        others: &mut [PollFd; N],
        deadlines: &[Option<u64>],
    ) -> Result<u64, Error> {
        let own = [self.agent.deadline(), self.silent_until];
        let deadlines = deadlines.iter().copied().chain(own);
        let timeout_ms =
            deadlines.flatten().min().map(|at| at.saturating_sub(clock::monotonic_ms()));
        let has_output = !self.agent.outgoing().is_empty();
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

    /// Handles what the sockets are ready for, and the time.
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
        if self.silent_until.is_some_and(|until| until <= now_ms) {
            self.fail(now_ms, "one of its addresses does not answer");
        }
        self.agent.handle_tick(now_ms, clock::unix_ms());
    }

    fn look(&mut self, now_ms: u64) {
        let Some(look) = self.look.as_mut() else { return };
        if look.is_connecting() {
            match look.finish_connecting() {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => return self.fail_look(now_ms),
            }
            let request = self.agent.look_request();
            // A socket that nobody has written to yet takes a few bytes at once.
            if !matches!(look.write(&request), Ok(Some(count)) if count == request.len()) {
                return self.fail_look(now_ms);
            }
        }
        match look.read(&mut self.buffer) {
            Ok(None) => {}
            Ok(Some(0)) | Err(_) => self.fail_look(now_ms),
            Ok(Some(count)) => self.agent.handle_look_received(now_ms, &self.buffer[..count]),
        }
    }

    fn fail_look(&mut self, now_ms: u64) {
        self.look = None;
        self.agent.handle_look_closed(now_ms);
    }

    fn finish_connecting(&mut self, now_ms: u64) {
        let Some(transport) = self.transport.as_mut().filter(|t| t.is_connecting()) else {
            return;
        };
        match transport.finish_connecting() {
            Ok(true) => {
                let name = self.agent.session.address();
                let at = transport.peer();
                self.silent_until = at.and_then(|at| self.dialer.on_connected(now_ms, name, at));
                self.agent.handle_connected(now_ms);
            }
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
                    self.silent_until = None;
                    self.dialer.on_heard();
                    self.agent.handle_received(now_ms, &self.buffer[..count]);
                    // It has left this server, perhaps for another: the rest is for nobody.
                    if !self.agent.session.is_attached() {
                        return;
                    }
                }
                Err(error) => return self.fail(now_ms, &error.to_string()),
            }
        }
    }

    fn write(&mut self, now_ms: u64) {
        while let Some(transport) = self.transport.as_mut().filter(|t| !t.is_connecting()) {
            if self.agent.outgoing().is_empty() {
                return;
            }
            match transport.write(self.agent.outgoing()) {
                Ok(None) => return,
                Ok(Some(count)) => self.agent.wrote(now_ms, count),
                Err(error) => return self.fail(now_ms, &error.to_string()),
            }
        }
    }

    fn fail(&mut self, now_ms: u64, why: &str) {
        (self.transport, self.silent_until) = (None, None);
        self.agent.handle_closed(now_ms, why);
    }

    /// Does what the agent wants of its connections, and returns the events to show. Once that is
    /// done, [`Agent::shown`].
    pub fn events(&mut self, now_ms: u64) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            while let Some(output) = self.agent.poll_output() {
                match output {
                    Output::Close => (self.transport, self.silent_until) = (None, None),
                    Output::Connect(address) => match self.dialer.connect(&address) {
                        Ok(transport) => self.transport = Some(transport),
                        Err(error) => self.fail(now_ms, &error.to_string()),
                    },
                    Output::Look(address) => match self.dialer.connect(&address) {
                        Ok(transport) => self.look = Some(transport),
                        Err(_) => self.fail_look(now_ms),
                    },
                    Output::EndLook => self.look = None,
                    Output::Event(event) => {
                        if let Event::LoggedIn { .. } = event {
                            self.adopt(now_ms);
                        }
                        events.push(event);
                    }
                }
            }
            self.write(now_ms);
            if !self.agent.has_output() {
                return events;
            }
        }
    }

    /// What clients that have died meanwhile have kept is sent by this one. Where that cannot be done
    /// now, it is with the next login, or by the next client.
    fn adopt(&mut self, now_ms: u64) {
        let Ok(dead) = self.place.dead() else { return };
        let slots: Vec<usize> = dead.iter().map(|(slot, _)| *slot).collect();
        let _ = self.agent.adopt(now_ms, &slots);
    }
}

fn poll_fd(transport: Option<&Transport>, has_output: bool) -> PollFd {
    let Some(transport) = transport else { return PollFd::new(-1, false, false) };
    let (read, write) = transport.waits_for(has_output);
    PollFd::new(transport.as_raw_fd(), read, write)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::client::commands::Old;
    use crate::client::options::{Action, PasswordFrom, ScreenOptions};
    use crate::protocol::framing::Codec;
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
            let opened = Place::open(&files.0, "alice", &options.servers);
            let (place, outbox, _) = opened.expect("the files open");
            let password = Some("open sesame".to_owned());
            let look_up = crate::net::resolver::system();
            let driver = Driver::new(&options, "alice", password, (place, outbox), true, look_up);
            Offline { driver: driver.expect("it starts"), files }
        }
    }
}
