//! Start and stop of a server.

use std::time::Instant;

use super::replica::Replica;
use super::service::{Now, Service, Settings};
use super::trace::Trace;
use super::turn::Waiting;
use super::{Error, Options, Server, TraceLevel};
use crate::auth::hasher::Hasher;
use crate::chat::State;
use crate::limits;
use crate::net::{Deadlines, Listen, Listener};
use crate::sys::signal::{self, Signals};
use crate::sys::{clock, entropy, process};
use crate::wal::hard_state::{self, HardState};
use crate::wal::{self, DataDir, Identity, Reader, Writer};

/// The term of a server that is alone for ever.
const TERM: u64 = 1;

/// Serves until a signal says stop. The line with the addresses goes to standard output, since
/// scripts want it; traces go to standard error.
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
        let thread = |error| Error::System("cannot start a thread", error);
        signal::ignore(signal::PIPE).map_err(|error| Error::System("SIGPIPE", error))?;
        let signals = Signals::new(&[signal::INT, signal::TERM])
            .map_err(|error| Error::System("cannot watch for signals", error))?;
        let descriptors = process::raise_open_files_limit() as usize;
        let most = descriptors.saturating_sub(limits::RESERVED_DESCRIPTORS).max(1);
        options.max_connections = options.max_connections.min(most);

        let directory = DataDir::open(&options.data_dir).map_err(Error::Directory)?;
        let listeners = listen(&options.listen)?;
        let addresses = addresses(&listeners, trace)?;
        let waiting = Waiting::new().map_err(|error| Error::System("cannot poll", error))?;
        let waker = waiting.waker.clone();
        let wake = move || drop(waker.wake());
        let identity = identity(&directory)?;
        let replica = recover(&directory, identity, options.segment_mib, trace)?;
        let settings = settings(&options, &addresses);
        let mut server = Server {
            trace,
            now: Now::default(),
            waiting,
            signals,
            listeners,
            sockets: Vec::new(),
            deadlines: Deadlines::default(),
            service: Service::new(settings, replica, random()?),
            writer: Writer::spawn(directory.wal_disk(), wake.clone()).map_err(thread)?,
            reader: Reader::spawn(directory.wal(), limits::READ_JOBS, wake.clone())
                .map_err(thread)?,
            hasher: Hasher::spawn(limits::HASH_JOBS, wake).map_err(thread)?,
            scratch: Vec::new(),
            accepting: false,
            accept_waits: false,
            accept_again_ms: None,
            mark_at_ms: None,
            stop_by_ms: None,
            _directory: directory,
            options,
        };
        server.found(identity)?;
        server.register().map_err(|error| Error::System("cannot watch the listeners", error))?;
        let state = server.service.replica.state();
        println!(
            "chatctl serves at {} with its data in {}: {} messages of {} accounts recovered in {} ms",
            addresses.join(" and "),
            server.options.data_dir.display(),
            state.message_count(),
            state.account_count(),
            started.elapsed().as_millis(),
        );
        Ok(server)
    }

    /// The log's first entry says what this cluster is. Nobody is let in before it is applied.
    fn found(&mut self, identity: Identity) -> Result<(), Error> {
        if self.service.replica.state().cluster().is_some() {
            return Ok(());
        }
        self.now = Now { monotonic_ms: clock::monotonic_ms(), unix_ms: clock::unix_ms() };
        self.service.set_now(self.now);
        self.service.found(identity.cluster, random()?);
        // The first turn has nothing to wait for.
        self.waiting.waker.wake().map_err(Error::Poll)?;
        while self.service.replica.state().cluster().is_none() {
            self.turn()?;
        }
        Ok(())
    }

    /// After the signal: when everything proposed is answered and everything answered is written, or
    /// when its time is over.
    fn stopped(&self) -> bool {
        self.stop_by_ms
            .is_some_and(|by_ms| by_ms <= self.now.monotonic_ms || self.service.is_quiet())
    }
}

fn settings(options: &Options, addresses: &[String]) -> Settings {
    Settings {
        address: addresses.first().cloned().unwrap_or_default(),
        password_iterations: options.password_iterations,
        token_days: options.token_days,
        idle_timeout_ms: options.idle_timeout_ms,
        login_timeout_ms: options.login_timeout_ms,
        max_sessions_per_address: options.max_sessions_per_address,
        logins_per_minute: options.logins_per_minute,
        tell_details: options.trace >= TraceLevel::Debug,
    }
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    entropy::array().map_err(|error| Error::System("the system gives no random bytes", error))
}

/// Reads the log back. A lone server has committed whatever it has persisted.
fn recover(
    directory: &DataDir,
    identity: Identity,
    segment_mib: u32,
    trace: Trace,
) -> Result<Replica, Error> {
    let mut state = State::new();
    let mut visit = |index: u64, _term: u64, payload: &[u8]| {
        state.apply(index, payload).map(drop).map_err(|error| error.to_string())
    };
    let recovery = wal::Options { expect: Some(identity), segment_bytes: segment_mib << 20 };
    let (wal, report) =
        wal::recover(&mut directory.wal_disk(), &recovery, &mut visit).map_err(Error::Recover)?;
    for line in report.torn_tail.iter().chain(&report.notes) {
        trace.info(line);
    }
    for entry in &report.tail {
        state.apply(entry.index, &entry.payload).map_err(Error::Entry)?;
    }
    Ok(Replica::new(TERM, wal, state))
}

/// Where clients come, as they were bound.
fn addresses(listeners: &[Listener], trace: Trace) -> Result<Vec<String>, Error> {
    let mut addresses = Vec::new();
    for listener in listeners {
        let address =
            listener.address().map_err(|error| Error::System("a listener is gone", error))?;
        if !address.is_local() {
            trace.wrong(format_args!(
                "{address} is reachable from other machines and not encrypted: see SECURITY in \
                 chatctl-serve(1)"
            ));
        }
        addresses.push(address.to_string());
    }
    Ok(addresses)
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
    let cluster = random()?;
    let incarnation = u64::from_be_bytes(random()?);
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
