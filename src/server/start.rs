//! Start and stop of a server.

use std::io::{self, Write};
use std::time::Instant;

use super::replica::{Recovered, Replica};
use super::service::{Now, Service, Serving, Settings};
use super::trace::Trace;
use super::turn::Waiting;
use super::{Error, Options, Server, TraceLevel};
use crate::auth::hasher::Hasher;
use crate::chat::State;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::{Deadlines, Listen, Listener};
use crate::raft::{self, Role, ServerId};
use crate::sys::signal::{self, Signals};
use crate::sys::{clock, entropy, process};
use crate::wal::hard_state::{self, HardState};
use crate::wal::{self, DataDir, Disk, Identity, Reader, Writer};

/// The number of a server that is alone, and the name it goes by.
const LONE: ServerId = ServerId(1);
const LONE_NAME: &str = "lone";

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
        let hard_state = hard_state(&directory)?;
        let now = Now { monotonic_ms: clock::monotonic_ms(), unix_ms: clock::unix_ms() };
        let replica = recover(&directory, &hard_state, options.segment_mib, trace, now)?;
        let hard = replica.core().hard_state();
        let settings = settings(&options, &addresses);
        let mut server = Server {
            trace,
            now,
            waiting,
            signals,
            listeners,
            sockets: Vec::new(),
            deadlines: Deadlines::default(),
            service: Service::new(settings, replica, random()?, now),
            writer: Writer::spawn(directory.wal_disk(), directory.disk(), wake.clone())
                .map_err(thread)?,
            saved: hard,
            saving: false,
            hard_state,
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
        server.found()?;
        server.register().map_err(|error| Error::System("cannot watch the listeners", error))?;
        let state = server.service.replica.state();
        // Nobody may be listening, which is no reason not to serve.
        let _ = writeln!(
            io::stdout(),
            "chatctl serves at {} with its data in {}: \
             {} of {} recovered in {} ms",
            addresses.join(" and "),
            server.options.data_dir.display(),
            counted(state.message_count() as u64, "message"),
            counted(state.account_count() as u64, "account"),
            started.elapsed().as_millis(),
        );
        Ok(server)
    }

    /// Takes turns until this server is PRIMARY and, in an empty log, has said what this cluster is.
    /// Nobody is let in before.
    fn found(&mut self) -> Result<(), Error> {
        let mut asked = false;
        while !asked || self.service.replica.state().cluster().is_none() {
            // The first turn has nothing to wait for.
            self.waiting.waker.wake().map_err(Error::Poll)?;
            self.turn()?;
            if !asked && *self.service.serving() == Serving::Primary {
                asked = true;
                if self.service.replica.state().cluster().is_none() {
                    self.service.found(self.hard_state.cluster, random()?);
                }
            }
        }
        Ok(())
    }

    /// After the signal: when everything proposed is answered and everything answered is written, or
    /// when its time is over.
    fn stopped(&mut self) -> bool {
        let Some(by_ms) = self.stop_by_ms else { return false };
        by_ms <= self.now.monotonic_ms || self.service.is_quiet() && self.writers_have_read(by_ms)
    }
}

fn settings(options: &Options, addresses: &[String]) -> Settings {
    Settings {
        id: LONE_NAME.to_owned(),
        peers: Vec::new(),
        read_only_after_ms: limits::READ_ONLY_AFTER_MS,
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

/// `1 message`, `2 messages`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    entropy::array().map_err(|error| Error::System("the system gives no random bytes", error))
}

/// Reads the log back. What is not known to be committed is committed again by the core, once it
/// is PRIMARY.
fn recover(
    directory: &DataDir,
    saved: &HardState,
    segment_mib: u32,
    trace: Trace,
    now: Now,
) -> Result<Replica, Error> {
    let forgets = planted(Mutant::DuplicatesForgotten) && saved.term > 0;
    let mut state = if forgets { State::with_window(1) } else { State::new() };
    let mut visit = |index: u64, _term: u64, payload: &[u8]| {
        state.apply(index, payload).map(drop).map_err(|error| error.to_string())
    };
    let identity = Identity { cluster: saved.cluster };
    let recovery = wal::Options { expect: Some(identity), segment_bytes: segment_mib << 20 };
    let (wal, report) =
        wal::recover(&mut directory.wal_disk(), &recovery, &mut visit).map_err(Error::Recover)?;
    for line in report.torn_tail.iter().chain(&report.notes) {
        trace.info(line);
    }
    let voted_for = saved.voted_for.parse().map(ServerId).ok();
    let hard_state = raft::HardState { term: saved.term, voted_for };
    let entry = |entry: wal::Entry| {
        let wal::Entry { term, index, payload } = entry;
        raft::Entry { term, index, payload: payload.into() }
    };
    let tail = report.tail.into_iter().map(entry).collect();
    let from = Recovered { hard_state, wal, state, commit: report.commit, tail };
    let seed = u64::from_be_bytes(random()?);
    let config = raft::Config::new(LONE, vec![LONE], seed);
    Replica::new(config, from, now.monotonic_ms).map_err(Error::Core)
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

/// What the directory's `server_state.txt` says. It is made, with the cluster's id, before the log
/// has its first segment; so where there is a log and no such file, the file is lost.
fn hard_state(directory: &DataDir) -> Result<HardState, Error> {
    if let Some(state) = hard_state::recover(&mut directory.disk()).map_err(Error::State)? {
        return Ok(state);
    }
    let files = directory.wal_disk().list();
    if !files.map_err(|error| Error::State(hard_state::Error::Io(error)))?.is_empty() {
        return Err(Error::State(hard_state::Error::Lost));
    }
    let state = HardState {
        id: LONE_NAME.to_owned(),
        cluster: random()?,
        incarnation: u64::from_be_bytes(random()?),
        role: Role::Backup.to_string(),
        term: 0,
        voted_for: String::new(),
    };
    hard_state::save(&mut directory.disk(), &state).map_err(Error::State)?;
    Ok(state)
}
