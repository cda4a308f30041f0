//! The event loop's side of a server: sockets, threads, disks and signals around a
//! [`Node`](crate::node::Node), which decides everything.
//!
//! | file           | what it has |
//! | ---            | --- |
//! | this one       | start and stop |
//! | [`event_loop`] | one turn: what has happened in, what is to be done out |
//! | [`waiting`]    | the poll, and the clocks |
//! | [`sockets`]    | clients' and peers' connections |
//! | [`workers`]    | the threads that write, read, hash and look up |
//! | [`opening`]    | ports are opened; what is not there yet is waited for |
//! | [`config`]     | the options of `chatctl serve` |
//! | [`secret`]     | the file with the cluster's secret |
//! | [`trace`], [`error`] | lines on standard error; why it ends |

pub mod config;
mod error;
mod event_loop;
mod opening;
pub mod secret;
mod sockets;
mod trace;
mod waiting;
mod workers;

pub use config::Options;
pub use error::Error;

use std::io;
use std::time::Instant;

use event_loop::EventLoop;
use opening::Opener;
use trace::Trace;
use waiting::Waiting;

use crate::limits;
use crate::net::{Listen, Listener, resolver};
use crate::node::Node;
use crate::node::bootstrap::disks::Disks;
use crate::node::members::LONE_NAME;
use crate::sys::signal::{self, Signals};
use crate::sys::{entropy, process};
use crate::wal::{self, DataDir};

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

fn serve(mut options: Options, trace: Trace) -> Result<(), Error> {
    let started = Instant::now();
    let mut signals = signals().map_err(|error| Error::System("cannot set signals", error))?;
    let descriptors = process::raise_open_files_limit() as usize;
    let for_peers = options.cluster_secret_file.as_ref().map_or(0, |_| limits::PEER_DESCRIPTORS);
    let most = descriptors.saturating_sub(limits::RESERVED_DESCRIPTORS + for_peers).max(1);
    options.max_connections = options.max_connections.min(most);

    let directory = DataDir::open(&options.data_dir).map_err(Error::Directory)?;
    let poll = |error| Error::System("cannot poll", error);
    let mut waiting = Waiting::new(&signals, resolver::system()).map_err(poll)?;
    let mut opener = Opener { waiting: &mut waiting, signals: &mut signals, trace };
    let fails = |listen: &Listen, error| Error::Listen(listen.clone(), error);
    // A signal said stop before.
    let Some(listeners) = opener.open(&options.listen, &mut [], fails)? else { return Ok(()) };
    let addresses = addresses(&listeners, trace)?;
    let client_address = config::client_address(&options, &addresses, trace)?;
    let disks = Disks { state: directory.disk(), log: directory.wal_disk() };
    let node =
        Node::start(config::flags(&options, client_address), disks, random()?, waiting::now())?;
    trace.set_id(node.file().map_or(LONE_NAME, |file| &file.id));
    let mut event_loop = EventLoop::new(node, waiting, signals, listeners, directory, trace)?;
    let Some(()) = event_loop.open_ports()? else { return Ok(()) };
    let result = event_loop.run(|node| tell_start(node, &options, &addresses, started));
    match result {
        Err(Error::Node(end)) => Err(event_loop.end(end).into()),
        result => result,
    }
}

/// `chatctl serves at ...`, on standard output.
fn tell_start(
    node: &Node<wal::RealDisk>,
    options: &Options,
    addresses: &[String],
    started: Instant,
) {
    let Some(state) = node.replica().map(|replica| replica.state()) else { return };
    let line = format!(
        "chatctl serves at {} with its data in {}: {} of {} recovered in {} ms\n",
        addresses.join(" and "),
        options.data_dir.display(),
        counted(state.message_count() as u64, "message"),
        counted(state.account_count() as u64, "account"),
        started.elapsed().as_millis(),
    );
    // Nobody may be reading, which is no reason not to serve.
    if let Ok(output) = crate::sys::output::Output::stdout() {
        output.write_within(line.into_bytes(), 0);
    }
}

/// `1 message`, `2 messages`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
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

#[cfg(test)]
mod tests;
