//! `chatctl bench-load`: what a running server does under load, and whether it keeps all of it.
//!
//! Accounts are made, each client keeps sends to the next one in flight, and at the end every
//! history is read and compared with what was acknowledged.

mod error;
mod histogram;
mod idle;
mod ledger;
mod load;
mod report;
mod setup;
mod usage;
mod verify;
mod wire;

use std::io::Write;

use super::error::Error as CliError;
use super::progress::Progress;
use super::values::BenchLoad;
use crate::auth::hex;
use crate::sys::signal::{self, Signals};
use crate::sys::{clock, entropy, process};
use error::Error;
use idle::Idleness;
use ledger::Ids;
use load::Load;
use report::{Memory, Report};
use setup::Setup;
use usage::Usage;
use wire::Space;

/// Runs `chatctl bench-load`.
pub fn run(values: &BenchLoad, out: &mut dyn Write) -> Result<u8, CliError> {
    measure(values, out).map_err(|error| match error {
        Error::Output(error) => CliError::Output(error),
        error => CliError::failed(error),
    })
}

/// Measures, prints, and gives the exit code: 1 when anything that was acknowledged is not just where
/// it belongs, or was refused.
fn measure(options: &BenchLoad, out: &mut dyn Write) -> Result<u8, Error> {
    let system = |what| move |error| Error::System(what, error);
    signal::ignore(signal::PIPE).map_err(system("cannot ignore SIGPIPE"))?;
    let mut signals =
        Signals::new(&[signal::INT, signal::TERM]).map_err(system("cannot watch for signals"))?;
    process::raise_open_files_limit();
    let run = entropy::array().map_err(system("cannot get random bytes"))?;
    let password: [u8; 16] = entropy::array().map_err(system("cannot get random bytes"))?;
    let ids = Ids::new(run);
    let mut progress = Progress::new();
    let mut space = Space::default();
    let mut memory = Memory { start: server_usage(options)?, ..Memory::default() };

    let mut setup = Setup::new(options, run, hex::encode(&password), &mut signals, &mut progress)?;
    // A lone client sends to one that only receives.
    let wires = setup.clients(options.clients.max(2), &mut space)?;
    memory.clients = server_usage(options)?;
    setup.idle(options.idle, &mut space)?;
    memory.idle = server_usage(options)?;
    let (address, mut idle) = (setup.address, setup.idle);
    let usage = || server_usage(options);
    let idleness: Idleness =
        idle::measure(&mut idle, options.seconds, usage, &mut signals, &mut progress)?;
    memory.pinged = server_usage(options)?;

    let own = Usage::own();
    let mut load = Load::new(options, ids, wires, &mut signals)?;
    load.run(&mut progress)?;
    let (mut wires, mut ledger, figures) = load.into_parts()?;
    memory.load = server_usage(options)?;
    let own_cpu_ms = Usage::own().cpu_ms - own.cpu_ms;

    let reading_from_us = clock::monotonic_us();
    let body = load::body(options.size);
    let read = verify::read_histories(&mut wires, ids, &body, &mut ledger, &mut progress)?;
    let reading_us = clock::monotonic_us() - reading_from_us;
    memory.end = server_usage(options)?;
    if !options.keep {
        idle.truncate(1);
        wires.append(&mut idle);
        setup::delete(&mut wires, &mut space)?;
    }
    progress.clear();
    let verdict = ledger.verdict();
    let report = Report {
        options,
        address,
        figures,
        verdict,
        read,
        reading_us,
        own_cpu_ms,
        memory,
        idleness,
    };
    if options.json { report.print_json(out) } else { report.print_text(out) }
        .map_err(Error::Output)?;
    Ok(u8::from(!report.is_good()))
}

/// What the server has used until now; nothing where nobody asked.
fn server_usage(options: &BenchLoad) -> Result<Usage, Error> {
    match options.server_pid {
        None => Ok(Usage::default()),
        Some(pid) => Usage::of(pid).ok_or(Error::NoProcess(pid)),
    }
}
