//! Start and stop of a server.

use std::io;
use std::time::Instant;

use super::changing::Changing;
use super::cluster;
use super::entering::{Entered, Entering};
use super::links::Links;
use super::opening::Opener;
use super::peering::WantedReads;
use super::replica::Replica;
use super::service::{Now, Service, Serving, Settings};
use super::standing::{LONE, LONE_NAME};
use super::trace::Trace;
use super::turn::{self, Waiting};
use super::{Error, Options, Server, TraceLevel, damage};
use crate::auth::hasher::Hasher;
use crate::chat;
use crate::limits;
use crate::net::{Deadlines, Listen, Listener};
use crate::raft::{self, Role, ServerId};
use crate::sys::output::Output;
use crate::sys::signal::{self, Signals};
use crate::sys::{entropy, process};
use crate::wal::boots::Boots;
use crate::wal::hard_state::{self, HardState};
use crate::wal::{DataDir, Reader, Writer};

/// Serves until a signal says stop. The line with the addresses goes to standard output, since
/// scripts want it; what an operator is told goes to standard error, an error that ends the server
/// too.
pub fn run(options: Options) -> Result<(), Error> {
    process::set_umask(0o077);
    let id = options.id.as_deref().unwrap_or(LONE_NAME);
    let trace = Trace::start(options.trace, id)
        .map_err(|error| Error::System("cannot start a thread", error));
    let trace = trace?;
    let result = serve(options, trace);
    match &result {
        Ok(()) => trace.info("stopped: everything acknowledged is on disk"),
        Err(error) => trace.error(error),
    }
    trace.finish();
    result
}

fn serve(options: Options, trace: Trace) -> Result<(), Error> {
    let Some(mut server) = Server::start(options, trace)? else { return Ok(()) };
    while !server.stopped() {
        if let Err(error) = server.turn() {
            return Err(server.end(error));
        }
    }
    server.links.stop(server.waiting.poll.registry());
    Ok(())
}

impl Server {
    /// None: a signal said stop before the cluster was formed.
    fn start(mut options: Options, trace: Trace) -> Result<Option<Server>, Error> {
        let started = Instant::now();
        let mut signals = signals().map_err(|error| Error::System("cannot set signals", error))?;
        let descriptors = process::raise_open_files_limit() as usize;
        let for_peers =
            options.cluster_secret_file.as_ref().map_or(0, |_| limits::PEER_DESCRIPTORS);
        let most = descriptors.saturating_sub(limits::RESERVED_DESCRIPTORS + for_peers).max(1);
        options.max_connections = options.max_connections.min(most);

        let directory = DataDir::open(&options.data_dir).map_err(Error::Directory)?;
        let poll = |error| Error::System("cannot poll", error);
        let mut waiting = Waiting::new(&signals).map_err(poll)?;
        let mut opener = Opener { waiting: &mut waiting, signals: &mut signals, trace };
        let fails = |listen: &Listen, error| Error::Listen(listen.clone(), error);
        let Some(mut listeners) = opener.open(&options.listen, &mut [], fails)? else {
            return Ok(None);
        };
        let addresses = addresses(&listeners, trace)?;
        let mut hard_state = hard_state(&directory, &options)?;
        cluster::check_directory(&options, &hard_state)?;
        trace.set_id(&hard_state.id);
        let client_address = cluster::client_address(&options, &addresses, trace)?;
        let mut entering = Entering {
            options: &options,
            directory: &directory,
            hard_state: &mut hard_state,
            waiting: &mut waiting,
            signals: &mut signals,
            listeners: &mut listeners,
            client_address: &client_address,
            trace,
        };
        let Some(Entered { links, recovered, id }) = entering.enter()? else { return Ok(None) };
        let now = turn::now();
        let config = config(&options, id)?;
        let replica = Replica::new(config, recovered, now.monotonic_ms).map_err(Error::Core)?;
        let settings = settings(&options, &hard_state, client_address);
        let service = Service::new(settings, replica, random()?, now);
        let parts = Parts { options, trace, waiting, signals, listeners, directory, hard_state };
        let mut server = Server::assemble(parts, service, links, now)?;
        if server.service.replica.core().is_restoring() {
            damage::tell(trace);
        }
        // Some have said it while the cluster was formed.
        server.change(|_, with| with.learn_addresses());
        if server.service.replica.members().is_empty()
            && let Err(error) = server.found()
        {
            return Err(server.end(error));
        }
        server.register().map_err(|error| Error::System("cannot watch the listeners", error))?;
        server.tell_start(&addresses, started);
        Ok(Some(server))
    }

    fn assemble(parts: Parts, service: Service, links: Links, now: Now) -> Result<Server, Error> {
        let Parts { options, trace, waiting, signals, listeners, directory, hard_state } = parts;
        let thread = |error| Error::System("cannot start a thread", error);
        let waker = waiting.waker.clone();
        let wake = move || drop(waker.wake());
        Ok(Server {
            trace,
            now,
            waiting,
            signals,
            listeners,
            sockets: Vec::new(),
            deadlines: Deadlines::default(),
            service,
            writer: Writer::spawn(directory.wal_disk(), directory.disk(), wake.clone())
                .map_err(thread)?,
            hard_state,
            last_sync_us: 0,
            reader: Reader::spawn(directory.wal(), limits::READ_JOBS, wake.clone())
                .map_err(thread)?,
            hasher: Hasher::spawn(limits::HASH_JOBS, wake).map_err(thread)?,
            links,
            wanted: WantedReads::default(),
            damage: None,
            changing: Changing::default(),
            handing_over: false,
            scratch: vec![0; limits::TURN_READ_BYTES].into(),
            accepting: false,
            accept_waits: false,
            accept_again_ms: None,
            mark_at_ms: None,
            stop_by_ms: None,
            _directory: directory,
            options,
        })
    }

    /// Why it ends. That its directory is an old copy is saved first.
    fn end(self, error: Error) -> Error {
        let Error::OldCopy { by, .. } = &error else { return error };
        let Server { mut hard_state, writer, _directory: directory, .. } = self;
        // Whatever it has under way is done then.
        drop(writer);
        hard_state.old_copy.clone_from(by);
        match hard_state::save(&mut directory.disk(), &hard_state) {
            Ok(()) => error,
            Err(error) => Error::State(error),
        }
    }

    fn tell_start(&self, addresses: &[String], started: Instant) {
        let state = self.service.replica.state();
        let line = format!(
            "chatctl serves at {} with its data in {}: \
             {} of {} recovered in {} ms\n",
            addresses.join(" and "),
            self.options.data_dir.display(),
            counted(state.message_count() as u64, "message"),
            counted(state.account_count() as u64, "account"),
            started.elapsed().as_millis(),
        );
        // Nobody may be reading, which is no reason not to serve.
        if let Ok(output) = Output::stdout() {
            output.write_within(line.into_bytes(), 0);
        }
    }

    /// Takes turns until this server is PRIMARY and, in an empty log, has said what this cluster is;
    /// where it has a peers' port, also which server this is. Nobody is let in before.
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
        let Some(listed) = self.options.cluster.first().filter(|_| !self.links.is_alone()) else {
            return Ok(());
        };
        let (name, address) = (listed.name.clone(), listed.address.clone());
        let (incarnation, number) = (self.hard_state.incarnation, LONE.0);
        let own = chat::Member { name, address, incarnation, number, votes: true };
        let taken = self.service.change_members(vec![own]);
        taken.map_err(|error| Error::Cluster(error.to_string()))?;
        while self.service.replica.state().members().is_empty() {
            self.waiting.waker.wake().map_err(Error::Poll)?;
            self.turn()?;
        }
        Ok(())
    }

    /// After the signal: when everything proposed is answered and everything answered is written, or
    /// when its time is over.
    fn stopped(&mut self) -> bool {
        let Some(by_ms) = self.stop_by_ms else { return false };
        by_ms <= self.now.monotonic_ms
            || self.handed_over() && self.service.is_quiet() && self.writers_have_read(by_ms)
    }
}

/// What the rest of a server is made from.
struct Parts {
    options: Options,
    trace: Trace,
    waiting: Waiting,
    signals: Signals,
    listeners: Vec<Listener>,
    directory: DataDir,
    hard_state: HardState,
}

/// The core's settings. Which servers there are is told to the replica.
fn config(options: &Options, id: ServerId) -> Result<raft::Config, Error> {
    let seed = u64::from_be_bytes(random()?);
    Ok(raft::Config {
        election_timeout_ms: options.election_timeout_ms,
        heartbeat_ms: options.heartbeat_ms,
        ..raft::Config::new(id, vec![LONE], seed)
    })
}

fn settings(options: &Options, hard_state: &HardState, client_address: String) -> Settings {
    Settings {
        id: hard_state.id.clone(),
        peers: Vec::new(),
        read_only_after_ms: options.read_only_after_ms,
        address: client_address,
        password_iterations: options.password_iterations,
        token_days: options.token_days,
        idle_timeout_ms: options.idle_timeout_ms,
        login_timeout_ms: options.login_timeout_ms,
        max_sessions_per_address: options.max_sessions_per_address,
        max_unauthenticated_per_address: options.max_unauthenticated_per_address,
        max_sessions_per_account: options.max_sessions_per_account,
        read_only_logins: options.read_only_logins,
        logins_per_minute: options.logins_per_minute,
        clock_stands_ms: limits::CLOCK_STANDS_MS,
        tell_details: options.trace >= TraceLevel::Debug,
    }
}

/// `1 message`, `2 messages`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Error> {
    entropy::array().map_err(|error| Error::System("cannot get random bytes", error))
}

/// Watches for the signals that stop the server. SIGHUP is one of them, since a closed terminal must
/// not kill it; under `nohup` it stays ignored. Writing to a closed socket, or past the process's
/// limit on the size of a file, gives an error in place of a signal.
fn signals() -> io::Result<Signals> {
    signal::ignore(signal::PIPE)?;
    signal::ignore(signal::XFSZ)?;
    match signal::is_ignored(signal::HUP) {
        true => Signals::new(&[signal::INT, signal::TERM]),
        false => Signals::new(&[signal::INT, signal::TERM, signal::HUP]),
    }
}

/// Where clients come, as they were bound.
fn addresses(listeners: &[Listener], trace: Trace) -> Result<Vec<String>, Error> {
    let mut addresses = Vec::new();
    for listener in listeners {
        let address =
            listener.address().map_err(|error| Error::System("a listener is gone", error))?;
        if !address.is_local() {
            trace.warning(format_args!(
                "{address} is reachable from other machines and not encrypted: see SECURITY in \
                 chatctl-serve(1)"
            ));
        }
        addresses.push(address.to_string());
    }
    Ok(addresses)
}

/// What the directory's `server_state.txt` says. A new one has no cluster's id yet where a cluster is
/// to be formed. That it is started once more is saved before anybody is told, unless it is marked as
/// an old copy.
fn hard_state(directory: &DataDir, options: &Options) -> Result<HardState, Error> {
    let mut state = match hard_state::recover(&mut directory.disk()).map_err(Error::State)? {
        Some(state) => state,
        None => first_state(directory, options)?,
    };
    if !state.old_copy.is_empty() {
        return Err(Error::OldCopy { id: state.id, by: state.old_copy });
    }
    state.boots.begin(u64::from_be_bytes(random()?));
    hard_state::save(&mut directory.disk(), &state).map_err(Error::State)?;
    Ok(state)
}

/// What the file of a new directory says.
fn first_state(directory: &DataDir, options: &Options) -> Result<HardState, Error> {
    hard_state::check_not_lost(&mut directory.wal_disk()).map_err(Error::State)?;
    Ok(HardState {
        id: options.id.clone().unwrap_or_else(|| LONE_NAME.to_owned()),
        cluster: if options.cluster.is_empty() { random()? } else { [0; 16] },
        incarnation: u64::from_be_bytes(random()?),
        role: Role::Backup.to_string(),
        term: 0,
        voted_for: String::new(),
        copy: 0,
        boots: Boots::default(),
        met: Vec::new(),
        old_copy: String::new(),
    })
}
