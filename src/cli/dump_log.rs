//! `chatctl dump-log`: a server's log, read-only: its records, a line each, or what they come to.
//!
//! | file       | what it does |
//! | ---        | --- |
//! | this one   | tells from the flags what is wanted |
//! | [`log`]    | goes over a log for all the others, and judges it |
//! | [`show`]   | records, a line each, filtered, coloured, and on as a server writes them |
//! | [`verify`] | `--verify` |
//! | [`stats`], [`tally`]  | `--stats` |
//! | [`digest`] | `--digest` |
//! | [`export`], [`folder`] | `--export` |
//! | [`filter`], [`when`]   | which records are shown |
//! | [`render`], [`text`]   | what a record looks like |

mod digest;
mod export;
mod filter;
mod folder;
mod log;
pub mod render;
mod show;
mod stats;
mod tally;
pub mod text;
mod verify;
mod when;

use std::io::{self, IsTerminal, Write};

use super::error::Error;
use super::pager::Pager;
use super::parse::{Environment, Parsed};
use super::progress::Progress;
use super::terminal;
use filter::Filter;
use log::Log;
use show::Look;

/// Flags that say what is done instead of printing records.
const INSTEAD: [&str; 4] = ["verify", "stats", "export", "digest"];
/// Flags that say which records are printed, and how long.
const PRINTING: [&str; 7] = ["from", "to", "user", "kind", "since", "until", "follow"];
/// Flags that belong to `--export`.
const EXPORTING: [&str; 2] = ["force", "with-secrets"];
/// Records between two looks at the clock for the line of progress.
const TELL_EVERY: u64 = 4_096;

/// The kinds of records that can be asked for.
pub const KINDS: &[&str] = tally::KINDS.split_at(tally::KINDS.len() - 1).0;

/// Runs `chatctl dump-log`.
pub fn run(
    parsed: &Parsed,
    environment: Environment<'_>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let instead = check_flags(parsed)?;
    let at_terminal = io::stdout().is_terminal();
    let follows = parsed.flag("follow");
    // A line of progress between the lines of the records would help nobody.
    let quiet = at_terminal && instead.is_none();
    let mut log = Log::new(parsed, if quiet { Progress::none() } else { Progress::new() });
    let json = parsed.flag("json");
    match instead {
        Some("verify") => return verify::run(&mut log, json, out),
        Some("digest") => return digest::run(&mut log, parsed.number_as("digest"), json, out),
        Some("export") => return export::run(&mut log, &export::Order::of(parsed), json, out),
        _ => {}
    }
    let look = Look {
        json,
        header: at_terminal && !json,
        colour: !json && terminal::colour(parsed, environment),
        follow: follows,
    };
    let filter = Filter::of(parsed)?;
    let mut work = |out: &mut dyn Write| match instead {
        Some(_) => stats::run(&mut log, json, out),
        None => show::run(&mut log, look, filter.clone(), out),
    };
    let paged = at_terminal && !follows && !parsed.flag("no-pager");
    match paged.then(|| Pager::start(environment)).flatten() {
        Some(pager) => pager.show(work),
        None => work(out),
    }
}

/// What is wanted instead of records, where something is.
fn check_flags(parsed: &Parsed) -> Result<Option<&'static str>, Error> {
    let is_given = |flag: &&&str| !matches!(parsed.value(flag), None | Some("false"));
    let instead: Vec<&str> = INSTEAD.iter().filter(is_given).copied().collect();
    if let [one, other, ..] = instead[..] {
        return Err(parsed.wrong(format!("--{one} and --{other} cannot be given together")));
    }
    let instead = instead.first().copied();
    if let (Some(instead), Some(flag)) = (instead, PRINTING.iter().find(is_given)) {
        let what = format!("--{flag} applies to printed records, but --{instead} prints none");
        return Err(parsed.wrong(what));
    }
    match EXPORTING.iter().find(is_given) {
        Some(flag) if instead != Some("export") => {
            Err(parsed.wrong(format!("--{flag} needs --export")))
        }
        _ => Ok(instead),
    }
}

/// Whether a walk over a log goes on.
enum Flow {
    On,
    Stop,
    /// The entry cannot be applied, and why.
    Refused(String),
}

/// What committed entries are handed to: index, term, payload.
type Take<'t> = dyn FnMut(u64, u64, &[u8]) -> Result<Flow, Error> + 't;
