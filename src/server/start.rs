//! Start and stop of a server.

use std::io::{self, Write};
use std::time::Instant;

use super::cluster::{self, Listed};
use super::form::Former;
use super::links::Links;
use super::peering::WantedReads;
use super::peers::mesh::{Member, id_of};
use super::replica::{Recovered, Replica};
use super::service::{Now, Service, Serving, Settings};
use super::trace::Trace;
use super::turn::Waiting;
use super::{Error, Options, Server, TraceLevel, damage};
use crate::auth::hasher::Hasher;
use crate::chat::State;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::{Deadlines, Listen, Listener};
use crate::raft::{self, Role, ServerId};
use crate::sys::signal::{self, Signals};
use crate::sys::{clock, entropy, process};
use crate::wal::hard_state::{self, HardState};
use crate::wal::{self, DataDir, Disk, Identity, Reader, RecoverError, Writer};

/// The number of a server that is alone, and the name it goes by.
const LONE: ServerId = ServerId(1);
const LONE_NAME: &str = "lone";

/// Serves until a signal says stop. The line with the addresses goes to standard output, since
/// scripts want it; traces go to standard error.
pub fn run(options: Options) -> Result<(), Error> {
    process::set_umask(0o077);
    let trace = Trace::new(options.trace);
    if let Some(mut server) = Server::start(options, trace)? {
        while !server.stopped() {
            server.turn()?;
        }
        if let Some(links) = &mut server.links {
            links.stop(server.waiting.poll.registry());
        }
    }
    trace.info("stopped: all that was acknowledged is on the disk");
    Ok(())
}

impl Server {
    /// None: a signal said stop before the cluster was formed.
    fn start(mut options: Options, trace: Trace) -> Result<Option<Server>, Error> {
        let started = Instant::now();
        signal::ignore(signal::PIPE).map_err(|error| Error::System("SIGPIPE", error))?;
        let mut signals = Signals::new(&[signal::INT, signal::TERM])
            .map_err(|error| Error::System("cannot watch for signals", error))?;
        let descriptors = process::raise_open_files_limit() as usize;
        let for_peers =
            options.cluster_secret_file.as_ref().map_or(0, |_| limits::PEER_DESCRIPTORS);
        let most = descriptors.saturating_sub(limits::RESERVED_DESCRIPTORS + for_peers).max(1);
        options.max_connections = options.max_connections.min(most);

        let directory = DataDir::open(&options.data_dir).map_err(Error::Directory)?;
        let listeners = listen(&options.listen)?;
        let addresses = addresses(&listeners, trace)?;
        let poll = |error| Error::System("cannot poll", error);
        let mut waiting = Waiting::new(&signals).map_err(poll)?;
        let mut hard_state = hard_state(&directory, &options)?;
        cluster::check_directory(&options, &hard_state)?;
        let client_address = cluster::client_address(&options, &addresses, trace)?;
        let open = |hard_state: &HardState, members, waiting: &Waiting| {
            let waker = waiting.waker.clone();
            let mut links = cluster::links(&options, hard_state, members, &client_address, waker)?;
            links.register(waiting.poll.registry()).map_err(poll)?;
            tell_cluster(trace, &options, hard_state, &links, &client_address);
            Ok(links)
        };

        let mut links = None;
        if hard_state.term == 0 && !options.cluster.is_empty() {
            let members = cluster::listed_members(&options, &hard_state);
            let mut opened = open(&hard_state, members, &waiting)?;
            let mut former = Former {
                directory: &directory,
                hard_state: &mut hard_state,
                links: &mut opened,
                waiting: &mut waiting,
                signals: &mut signals,
                segment_mib: options.segment_mib,
                trace,
            };
            if !former.form()? {
                return Ok(None);
            }
            links = Some(opened);
        }
        let recovered = recover(&directory, &mut hard_state, &options, trace)?;
        let members = cluster::members(&options, &hard_state, recovered.state.members())?;
        let believes_flags = recovered.state.members().is_empty() && !members.is_empty();
        if links.is_none() && !members.is_empty() {
            links = Some(open(&hard_state, members.clone(), &waiting)?);
        }
        let now = Now { monotonic_ms: clock::monotonic_ms(), unix_ms: clock::unix_ms() };
        let config = config(&options, &hard_state, &members)?;
        let replica = Replica::new(config, recovered, now.monotonic_ms).map_err(Error::Core)?;
        let settings = settings(&options, &hard_state, client_address);
        let service = Service::new(settings, replica, random()?, now);
        let parts = Parts { options, trace, waiting, signals, listeners, directory, hard_state };
        let mut server = Server::assemble(parts, service, links, now)?;
        server.believes_flags = believes_flags;
        if server.service.replica.core().is_restoring() {
            damage::tell(trace);
        }
        // Some have said it while the cluster was formed.
        server.learn_addresses();
        if server.links.is_none() {
            server.found()?;
        }
        server.register().map_err(|error| Error::System("cannot watch the listeners", error))?;
        server.tell_start(&addresses, started);
        Ok(Some(server))
    }

    fn assemble(
        parts: Parts,
        service: Service,
        links: Option<Links>,
        now: Now,
    ) -> Result<Server, Error> {
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
            saved: service.replica.core().hard_state(),
            service,
            writer: Writer::spawn(directory.wal_disk(), directory.disk(), wake.clone())
                .map_err(thread)?,
            saving: false,
            hard_state,
            last_sync_us: 0,
            reader: Reader::spawn(directory.wal(), limits::READ_JOBS, wake.clone())
                .map_err(thread)?,
            hasher: Hasher::spawn(limits::HASH_JOBS, wake).map_err(thread)?,
            links,
            wanted: WantedReads::default(),
            believes_flags: false,
            damage: None,
            handing_over: false,
            scratch: Vec::new(),
            accepting: false,
            accept_waits: false,
            accept_again_ms: None,
            mark_at_ms: None,
            stop_by_ms: None,
            _directory: directory,
            options,
        })
    }

    fn tell_start(&self, addresses: &[String], started: Instant) {
        let state = self.service.replica.state();
        // Nobody may be listening, which is no reason not to serve.
        let _ = writeln!(
            io::stdout(),
            "chatctl serves at {} with its data in {}: \
             {} of {} recovered in {} ms",
            addresses.join(" and "),
            self.options.data_dir.display(),
            counted(state.message_count() as u64, "message"),
            counted(state.account_count() as u64, "account"),
            started.elapsed().as_millis(),
        );
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

/// What a server of a cluster says of itself at its start.
fn tell_cluster(
    trace: Trace,
    options: &Options,
    hard_state: &HardState,
    links: &Links,
    client_address: &str,
) {
    let members = links.mesh.members();
    let own = members.iter().find(|member| member.name == hard_state.id);
    let peer_address = own.map_or("?", |member| &member.address);
    let others = members.iter().filter(|member| member.name != hard_state.id);
    let others: Vec<&str> = others.map(|member| member.name.as_str()).collect();
    let others = match others.is_empty() {
        true => String::new(),
        false => format!("; with {}", others.join(", ")),
    };
    let survives = cluster::survives(members.len());
    trace.info(format_args!(
        "server {}: clients at {client_address}, peers at {peer_address}{others}: {survives}",
        hard_state.id
    ));
    let same = |(listed, member): (&Listed, &Member)| {
        listed.name == member.name && listed.address == member.address
    };
    let listed = &options.cluster;
    let differs = listed.len() != members.len() || !listed.iter().zip(members).all(same);
    if differs && !listed.is_empty() {
        trace.info("--cluster differs from the members that the log has: the log's are taken");
    }
}

/// The core's settings: alone, or with the log's members.
fn config(
    options: &Options,
    hard_state: &HardState,
    members: &[Member],
) -> Result<raft::Config, Error> {
    let seed = u64::from_be_bytes(random()?);
    let place = members.iter().position(|member| member.name == hard_state.id);
    let id = place.map_or(LONE, id_of);
    let voters = match members.len() {
        0 => vec![LONE],
        count => (0..count).map(id_of).collect(),
    };
    Ok(raft::Config {
        election_timeout_ms: options.election_timeout_ms,
        heartbeat_ms: options.heartbeat_ms,
        ..raft::Config::new(id, voters, seed)
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
        logins_per_minute: options.logins_per_minute,
        tell_details: options.trace >= TraceLevel::Debug,
    }
}

/// `1 message`, `2 messages`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], Error> {
    entropy::array().map_err(|error| Error::System("the system gives no random bytes", error))
}

/// Reads the log back. What is not known to be committed is committed again by the core, once it
/// is PRIMARY. What is damaged is set aside, where others can restore it.
fn recover(
    directory: &DataDir,
    saved: &mut HardState,
    options: &Options,
    trace: Trace,
) -> Result<Recovered, Error> {
    let mut state = empty_state(saved);
    let there = damage::check_there(directory, saved);
    let read = there.and_then(|()| read_log(directory, saved, options, &mut state));
    let (wal, report) = match read {
        Err(RecoverError::Corrupt { file, why, .. })
            if damage::others_restore(options, saved, state.members()) =>
        {
            trace.wrong(format_args!("{file}: {why}"));
            damage::set_aside(directory, saved, options, trace)?;
            state = empty_state(saved);
            read_log(directory, saved, options, &mut state)
        }
        read => read,
    }
    .map_err(Error::Recover)?;
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
    let (copy, commit) = (saved.copy, report.commit);
    Ok(Recovered { hard_state, copy, wal, state, commit, tail })
}

fn empty_state(saved: &HardState) -> State {
    let forgets = planted(Mutant::DuplicatesForgotten) && saved.term > 0;
    if forgets { State::with_window(1) } else { State::new() }
}

fn read_log(
    directory: &DataDir,
    saved: &HardState,
    options: &Options,
    state: &mut State,
) -> Result<(wal::Wal, wal::Report), RecoverError> {
    let mut visit = |index: u64, _term: u64, payload: &[u8]| {
        state.apply(index, payload).map(drop).map_err(|error| error.to_string())
    };
    let identity = Identity { cluster: saved.cluster };
    let segment_bytes = options.segment_mib << 20;
    let recovery = wal::Options { expect: Some(identity), segment_bytes };
    wal::recover(&mut directory.wal_disk(), &recovery, &mut visit)
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
/// has its first segment; so where there is a log and no such file, the file is lost. Where a cluster
/// is to be formed it has no cluster's id yet.
fn hard_state(directory: &DataDir, options: &Options) -> Result<HardState, Error> {
    if let Some(state) = hard_state::recover(&mut directory.disk()).map_err(Error::State)? {
        return Ok(state);
    }
    let files = directory.wal_disk().list();
    if !files.map_err(|error| Error::State(hard_state::Error::Io(error)))?.is_empty() {
        return Err(Error::State(hard_state::Error::Lost));
    }
    let state = HardState {
        id: options.id.clone().unwrap_or_else(|| LONE_NAME.to_owned()),
        cluster: if options.cluster.is_empty() { random()? } else { [0; 16] },
        incarnation: u64::from_be_bytes(random()?),
        role: Role::Backup.to_string(),
        term: 0,
        voted_for: String::new(),
        copy: 0,
    };
    hard_state::save(&mut directory.disk(), &state).map_err(Error::State)?;
    Ok(state)
}
