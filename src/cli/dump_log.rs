//! `chatctl dump-log`: prints, checks, counts or exports a server's log. It only reads the log.
//!
//! | file       | content |
//! | ---        | --- |
//! | this one   | checks the flags and starts what they ask for |
//! | [`log`]    | reads a log for all the others; checks it as a server does |
//! | [`show`]   | prints records, one per line; `--follow` |
//! | [`filter`] | selects the records to print |
//! | [`render`] | a record as a line or as JSON |
//! | [`verify`] | `--verify` |
//! | [`stats`], [`tally`]  | `--stats` |
//! | [`digest`] | `--digest` |
//! | [`export`], [`folder`] | `--export` |

mod digest;
mod export;
mod filter;
mod folder;
mod log;
mod render;
mod show;
mod stats;
mod tally;
mod verify;

use std::io::{self, IsTerminal, Write};

use super::error::Error;
use super::pager::Pager;
use super::parse::Environment;
use super::progress::Progress;
use super::terminal;
use super::values::DumpLog;
use export::Order;
use filter::Filter;
use log::Log;
use show::Look;

/// Columns of a terminal that does not say.
const COLUMNS: usize = 80;

/// Runs `chatctl dump-log`.
pub fn run(
    values: DumpLog,
    environment: Environment<'_>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    check_flags(&values)?;
    let filter = Filter::of(&values.records)?;
    let DumpLog { json, follow, .. } = values;
    let at_terminal = io::stdout().is_terminal();
    let prints_records = instead_of_records(&values).next().is_none();
    // Progress between the lines of the records would help nobody.
    let progress = match at_terminal && prints_records {
        true => Progress::none(),
        false => Progress::new(),
    };
    let mut log = Log::new(values.path, progress);
    if values.verify {
        return verify::run(&mut log, json, out);
    }
    if let Some(index) = values.digest {
        return digest::run(&mut log, index, json, out);
    }
    if let Some(directory) = values.export {
        let order = Order { directory, force: values.force, secrets: values.with_secrets };
        return export::run(&mut log, &order, json, out);
    }
    let look = Look {
        json,
        width: at_terminal.then(|| terminal::columns().unwrap_or(COLUMNS)),
        colour: !json && terminal::colour(values.colour, environment),
        follow,
    };
    let mut work = |out: &mut dyn Write| match values.stats {
        true => stats::run(&mut log, json, out),
        false => show::run(&mut log, look, filter.clone(), out),
    };
    let paged = at_terminal && !follow && !values.no_pager;
    match paged.then(|| Pager::start(environment)).flatten() {
        Some(pager) => pager.show(work),
        None => work(out),
    }
}

fn given<const N: usize>(flags: [(&'static str, bool); N]) -> impl Iterator<Item = &'static str> {
    flags.into_iter().filter(|(_, given)| *given).map(|(name, _)| name)
}

/// The given flags that print something else instead of records.
fn instead_of_records(values: &DumpLog) -> impl Iterator<Item = &'static str> {
    given([
        ("verify", values.verify),
        ("stats", values.stats),
        ("export", values.export.is_some()),
        ("digest", values.digest.is_some()),
    ])
}

fn check_flags(values: &DumpLog) -> Result<(), Error> {
    let records = &values.records;
    let mut instead = instead_of_records(values);
    let mut printing = given([
        ("from", records.from.is_some()),
        ("to", records.to.is_some()),
        ("user", records.user.is_some()),
        ("kind", !records.kinds.is_empty()),
        ("since", records.since_ms.is_some()),
        ("until", records.until_ms.is_some()),
        ("follow", values.follow),
    ]);
    let exporting = given([("force", values.force), ("with-secrets", values.with_secrets)]).next();
    Err(Error::usage(match (instead.next(), instead.next(), printing.next(), exporting) {
        (Some(one), Some(other), _, _) => {
            format!("--{one} and --{other} cannot be given together")
        }
        (Some(instead), None, Some(flag), _) => {
            format!("--{flag} applies to printed records, but --{instead} prints none")
        }
        (_, _, _, Some(flag)) if values.export.is_none() => format!("--{flag} needs --export"),
        _ => return Ok(()),
    }))
}
