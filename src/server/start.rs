//! Start and stop of a server.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::client::Client;
use super::limiter::Limiter;
use super::trace::Trace;
use super::turn::Waiting;
use super::{Error, Options, Server};
use crate::auth::hasher::Hasher;
use crate::chat::{Command, State};
use crate::limits;
use crate::net::{Deadlines, Key, Listen, Listener, Slots};
use crate::raft::alone::Alone;
use crate::sys::signal::{self, Signals};
use crate::sys::{clock, entropy, process};
use crate::wal::hard_state::{self, HardState};
use crate::wal::{self, DataDir, Identity, Reader, Writer};

/// The term of a server that is alone for ever.
const TERM: u64 = 1;

/// Serves until a signal says stop. The address lines go to standard output, since scripts want
/// them; traces go to standard error.
pub fn run(options: Options) -> Result<(), Error> {
    process::set_umask(0o077);
    let mut server = Server::start(options)?;
    while !server.stopped() {
        server.turn()?;
    }
    server.trace.info("stopped: all that was acknowledged is on the disk");
    Ok(())
}

impl Server {
    fn start(mut options: Options) -> Result<Server, Error> {
        let started = Instant::now();
        let trace = Trace::new(options.trace);
        let system = |what| move |error| Error::System(what, error);
        signal::ignore(signal::PIPE).map_err(system("cannot ignore SIGPIPE"))?;
        let signals = Signals::new(&[signal::INT, signal::TERM])
            .map_err(system("cannot watch for signals"))?;
        let descriptors = process::raise_open_files_limit() as usize;
        let most = descriptors.saturating_sub(limits::RESERVED_DESCRIPTORS).max(1);
        options.max_connections = options.max_connections.min(most);

        let directory = DataDir::open(&options.data_dir).map_err(Error::Directory)?;
        let listeners = listen(&options.listen)?;
        let waiting = Waiting::new().map_err(system("cannot make a poll"))?;
        let wake = || {
            let waker = waiting.waker.clone();
            move || drop(waker.wake())
        };
        let identity = identity(&directory)?;
        let mut state = State::new();
        let mut visit = |index: u64, _term: u64, payload: &[u8]| {
            state.apply(index, payload).map(drop).map_err(|error| error.to_string())
        };
        let mut disk = directory.wal_disk();
        let recovery =
            wal::Options { expect: Some(identity), segment_bytes: options.segment_mib << 20 };
        let (wal, report) =
            wal::recover(&mut disk, &recovery, &mut visit).map_err(Error::Recover)?;
        if let Some(torn) = &report.torn_tail {
            trace.info(torn);
        }
        // A lone server commits what it has persisted.
        for entry in &report.tail {
            state.apply(entry.index, &entry.payload).map_err(Error::Entry)?;
        }
        let last_index = wal.last_index();
        let writer = Writer::spawn(disk, wake()).map_err(system("cannot start a thread"))?;
        let reader = Reader::spawn(directory.wal(), limits::READ_JOBS, wake())
            .map_err(system("cannot start a thread"))?;
        let hasher =
            Hasher::spawn(limits::HASH_JOBS, wake()).map_err(system("cannot start a thread"))?;
        let mut server = Server {
            trace,
            waiting,
            signals,
            listeners,
            address: String::new(),
            now_ms: clock::monotonic_ms(),
            unix_now_ms: clock::unix_ms(),
            clients: Slots::default(),
            sessions: Default::default(),
            deadlines: Deadlines::default(),
            limiter: Limiter::new(options.logins_per_minute),
            queued: VecDeque::new(),
            dirty: Vec::new(),
            doomed: Vec::new(),
            stalled: Vec::new(),
            scratch: Vec::new(),
            spares: Default::default(),
            output_bytes: 0,
            accepting: false,
            accept_waits: false,
            full_said: false,
            accept_again_ms: None,
            mark_at_ms: None,
            stop_by_ms: None,
            raft: Alone::new(TERM, last_index),
            committed: last_index + 1..last_index + 1,
            last_time: state.last_time(),
            state,
            wal,
            writer,
            reader,
            pending: VecDeque::new(),
            hasher,
            hashing: HashMap::new(),
            pages: HashMap::new(),
            last_job: 0,
            _directory: directory,
            options,
        };
        server.found(identity)?;
        server.announce(started)?;
        server.register().map_err(system("cannot watch the listeners"))?;
        Ok(server)
    }

    /// The log's first entry says what this cluster is. Nobody is let in before it is applied.
    fn found(&mut self, identity: Identity) -> Result<(), Error> {
        if self.state.cluster().is_some() {
            return Ok(());
        }
        let token_secret = entropy::array()
            .map_err(|error| Error::System("the system gives no random bytes", error))?;
        let (time, cluster) = (self.entry_time(), identity.cluster);
        let mut payload = Vec::new();
        Command::Found { time, cluster, token_secret }.encode(&mut payload);
        self.raft.propose(payload);
        // The first turn has nothing to wait for.
        self.waiting.waker.wake().map_err(Error::Poll)?;
        while self.state.cluster().is_none() {
            self.turn()?;
        }
        Ok(())
    }

    fn announce(&mut self, started: Instant) -> Result<(), Error> {
        let mut addresses = Vec::new();
        for listener in &self.listeners {
            let address =
                listener.address().map_err(|error| Error::System("a listener is gone", error))?;
            if !address.is_local() {
                self.trace.wrong(format_args!(
                    "{address} is reachable from other machines and not encrypted: see SECURITY \
                     in chatctl-serve(1)"
                ));
            }
            addresses.push(address.to_string());
        }
        self.address = addresses.first().cloned().unwrap_or_default();
        println!(
            "chatctl serves at {} with its data in {}: {} messages of {} accounts recovered in {} ms",
            addresses.join(" and "),
            self.options.data_dir.display(),
            self.state.message_count(),
            self.state.account_count(),
            started.elapsed().as_millis(),
        );
        Ok(())
    }

    /// After the signal: when everything proposed is answered and everything answered is written, or
    /// when its time is over.
    fn stopped(&self) -> bool {
        let Some(by_ms) = self.stop_by_ms else { return false };
        let answered = self.pending.is_empty() && self.pages.is_empty();
        let unwritten = |key: Key| {
            self.clients.get(key).is_some_and(|client: &Client| client.conn.unwritten() > 0)
        };
        by_ms <= self.now_ms || answered && !self.clients.keys().any(unwritten)
    }

    /// The index of the last entry applied.
    pub(super) fn applied(&self) -> u64 {
        self.state.applied()
    }

    /// The time of day when this turn began, milliseconds since the Unix epoch.
    pub(super) fn unix_ms(&self) -> u64 {
        self.unix_now_ms
    }
}

fn listen(listen: &[Listen]) -> Result<Vec<Listener>, Error> {
    let bind = |listen: &Listen| {
        Listener::bind(listen).map_err(|error| Error::Listen(listen.clone(), error))
    };
    listen.iter().map(bind).collect()
}

/// The cluster's id: made with the directory, in `server_state.txt` before the log has its first
/// segment.
fn identity(directory: &DataDir) -> Result<Identity, Error> {
    if let Some(state) = hard_state::load(&mut directory.disk()).map_err(Error::State)? {
        return Ok(Identity { cluster: state.cluster });
    }
    let random = |error| Error::System("the system gives no random bytes", error);
    let cluster = entropy::array().map_err(random)?;
    let incarnation = u64::from_be_bytes(entropy::array().map_err(random)?);
    let state = HardState {
        id: "lone".to_owned(),
        cluster,
        incarnation,
        role: "PRIMARY".to_owned(),
        term: TERM,
        voted_for: String::new(),
    };
    hard_state::save(&mut directory.disk(), &state).map_err(Error::State)?;
    Ok(Identity { cluster })
}
