//! `chatctl dump-log`: a server's log, read-only: its records, a line each, or what they come to.
//!
//! | file       | what it does |
//! | ---        | --- |
//! | this one   | tells from the flags what is wanted; goes over a log for all the others |
//! | [`show`]   | records, a line each, filtered, coloured, and on as a server writes them |
//! | [`check`], [`verify`] | `--verify` |
//! | [`stats`], [`tally`]  | `--stats` |
//! | [`digest`] | `--digest` |
//! | [`export`], [`folder`] | `--export` |
//! | [`filter`], [`when`]   | which records are shown |
//! | [`render`], [`text`]   | what a record looks like |

pub mod check;
mod digest;
mod export;
mod filter;
mod folder;
pub mod render;
mod show;
mod stats;
mod tally;
pub mod text;
mod verify;
mod when;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use super::error::Error;
use super::pager::Pager;
use super::parse::{Environment, Parsed};
use super::progress::Progress;
use super::terminal;
use crate::wal::Committed;
use crate::wal::scan::{Item, Scanner};
use filter::Filter;
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
        return Err(parsed.wrong(format!("--{one} and --{other} are two things: ask for one")));
    }
    let instead = instead.first().copied();
    if let (Some(instead), Some(flag)) = (instead, PRINTING.iter().find(is_given)) {
        let what = format!("--{flag} is for printing records, and --{instead} prints none");
        return Err(parsed.wrong(what));
    }
    match EXPORTING.iter().find(is_given) {
        Some(flag) if instead != Some("export") => {
            Err(parsed.wrong(format!("--{flag} belongs to --export")))
        }
        _ => Ok(instead),
    }
}

/// Whether a walk over a log goes on.
enum Flow {
    On,
    Stop,
}

/// What committed entries are handed to: index, term, payload.
type Take<'t> = dyn FnMut(u64, u64, &[u8]) -> Result<Flow, Error> + 't;

/// The log that is looked at.
struct Log {
    path: PathBuf,
    subcommand: &'static str,
    progress: Progress,
}

impl Log {
    fn new(parsed: &Parsed, progress: Progress) -> Log {
        let path = PathBuf::from(&parsed.positionals()[0]);
        Log { path, subcommand: parsed.subcommand().name, progress }
    }

    /// Goes over all of it in order, until `take` has had enough.
    fn scan(&mut self, take: &mut dyn FnMut(Item<'_>) -> Result<Flow, Error>) -> Result<(), Error> {
        let mut scanner = Scanner::open(&self.path).map_err(|error| self.unreadable(error))?;
        let (parts, mut part) = (scanner.segments_left(), 0);
        let (mut segments, mut records) = (0, 0u64);
        let mut first_damage = None;
        loop {
            let item = scanner.next_item().map_err(|error| self.unreadable(error))?;
            let Some(item) = item else { break };
            match &item {
                Item::Segment { counts, .. } => {
                    part += 1;
                    segments += u64::from(*counts);
                }
                Item::Record { .. } => {
                    records += 1;
                    if records.is_multiple_of(TELL_EVERY) {
                        let text = || format!("segment {part} of {parts}, {records} records");
                        self.progress.tell(text);
                    }
                }
                Item::Damage { file, why, .. } if first_damage.is_none() => {
                    first_damage = Some(format!(": {file}: {why}"));
                }
                Item::Damage { .. } | Item::End { .. } => {}
            }
            if let Flow::Stop = take(item)? {
                break;
            }
        }
        self.progress.clear();
        if segments > 0 {
            return Ok(());
        }
        let (shown, why) = (self.path.display(), first_damage.unwrap_or_default());
        let what = format!("{shown} is neither a data directory with a log nor a segment{why}");
        Err(self.failed(what))
    }

    /// Hands over the entries that are known to be committed, in order from the first of all, until
    /// `take` has had enough. Damage is an error.
    fn committed(&mut self, take: &mut Take<'_>) -> Result<Committed, Error> {
        let mut committed = Committed::new();
        let (name, path) = (self.subcommand, self.path.display().to_string());
        let damaged = |file: &str, offset: u64, why: &str| {
            let place = format!("{path} is damaged: {file}, offset {offset}: {why}");
            Err(Error::failed(name, format!("{place}; restore it from a copy")))
        };
        self.scan(&mut |item| {
            let (file, offset, record) = match item {
                Item::Record { file, offset, record } => (file, offset, record),
                Item::Damage { file, offset, why } => return damaged(&file, offset, &why),
                Item::Segment { .. } | Item::End { .. } => return Ok(Flow::On),
            };
            if let Err(why) = committed.take(&record) {
                return damaged(file, offset.into(), &why);
            }
            if committed.first() > 1 {
                let first = committed.first();
                let what = format!("{path} begins with entry {first}: all of a log is needed here");
                return Err(Error::failed(name, what));
            }
            while let Some((index, term, payload)) = committed.next() {
                if let Flow::Stop = take(index, term, payload)? {
                    return Ok(Flow::Stop);
                }
            }
            Ok(Flow::On)
        })?;
        Ok(committed)
    }

    fn unreadable(&self, error: io::Error) -> Error {
        self.failed(format!("cannot read the log in {}: {error}", self.path.display()))
    }

    fn failed(&self, what: impl Display) -> Error {
        Error::failed(self.subcommand, what)
    }
}
