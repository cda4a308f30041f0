//! The command line. One table of subcommands and flags ([`table`]) drives the parser ([`parse`]),
//! the help ([`help`]), the man pages ([`man`]) and the completions for shells ([`completions`]).
//! The parser fills a subcommand's struct of [`values`], and [`run`] hands it to the subcommand.
//!
//! Exit codes: 0 success, 1 failure, 2 wrong arguments.

pub mod bench_codec;
mod bench_load;
pub mod chat;
pub mod completions;
pub mod config;
mod dump_log;
pub mod error;
pub mod help;
pub mod man;
pub mod members;
pub mod operator;
mod pager;
mod parse;
mod progress;
pub mod recover;
pub mod serve;
mod socket;
pub mod status;
mod suggest;
pub mod table;
mod terminal;
mod values;
mod when;

use std::ffi::OsString;
use std::io::{self, Write};

use error::Error;
use parse::Environment;
use suggest::nearest;
use table::SUBCOMMANDS;
use table::row::{Runs, Subcommand};
use values::Values;

/// Runs the program and returns its exit code. `arguments` exclude the program's name; `commit` is
/// the one it was built from, if known.
pub fn main(arguments: Vec<OsString>, commit: Option<&str>) -> u8 {
    let environment = |name: &str| std::env::var_os(name);
    let mut out = io::stdout();
    let outcome = run(arguments, &environment, commit, &mut out).and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    outcome.unwrap_or_else(|error| {
        let code = error.exit_code();
        if code != 0 && !matches!(error, Error::Told) {
            // If this cannot be written either, the exit code still reports the error.
            let _ = writeln!(io::stderr(), "{error}");
        }
        code
    })
}

/// Restores the terminal to its state at the start.
pub fn restore_terminal() {
    crate::sys::terminal::restore_now();
}

/// Writes a last line to standard error, without waiting long for a reader.
pub fn last_words(line: &str) {
    if let Ok(output) = crate::sys::output::Output::stderr() {
        output.write_within(format!("{line}\n").into_bytes(), crate::limits::TRACE_FLUSH_MS);
    }
}

/// Runs the program, which prints to `out`. `arguments` and `commit` are those of [`main`].
pub fn run(
    arguments: Vec<OsString>,
    environment: Environment<'_>,
    commit: Option<&str>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    let arguments = parse::arguments_as_text(arguments)?;
    let Some((first, rest)) = arguments.split_first() else {
        io::stderr().write_all(help::short().as_bytes())?;
        return Ok(2);
    };
    match (first.as_str(), rest) {
        ("--help" | "-h" | "help", []) => print(out, &help::overview()),
        ("help", [name]) if name != "help" => {
            let subcommand = table::find(name).ok_or_else(|| no_subcommand(name))?;
            print(out, &help::of(subcommand))
        }
        ("help", [_]) => print(out, &help::overview()),
        ("--version" | "-V", []) => print(out, &version(commit)),
        ("--help" | "-h" | "--version" | "-V", [next, ..]) | ("help", [_, next, ..]) => {
            let next = next.escape_debug();
            Err(Error::usage(format!("unexpected argument '{next}' after {first}")))
        }
        (name, rest) => {
            let subcommand = table::find(name).ok_or_else(|| no_subcommand(name))?;
            let done = match parse::parse(subcommand, rest, environment) {
                Ok(Some(values)) => run_with(subcommand.runs, values, environment, out),
                Ok(None) => print(out, &help::of(subcommand)),
                Err(error) => Err(error),
            };
            done.map_err(|error| error.of(subcommand.name))
        }
    }
}

fn run_with(
    runs: Runs,
    values: Values,
    environment: Environment<'_>,
    out: &mut dyn Write,
) -> Result<u8, Error> {
    match runs {
        Runs::Serve => serve::run(values.serve),
        Runs::Chat => chat::run(values.chat, environment),
        Runs::Status => status::run(&values.status, &values.target, out),
        Runs::Members => members::run(&values.members, &values.target, out),
        Runs::Recover => recover::run(&values.recover, out),
        Runs::DumpLog => dump_log::run(values.dump_log, environment, out),
        Runs::BenchCodec => bench_codec::command(&values.bench_codec, environment, out),
        Runs::BenchLoad => bench_load::run(&values.bench_load, out),
        Runs::Completions => print(out, &completions::script(values.completions.shell)),
    }
}

/// The text of `--version`. An empty commit counts as unknown.
fn version(commit: Option<&str>) -> String {
    let commit = commit.filter(|commit| !commit.is_empty());
    let from = commit.unwrap_or("commit unknown: not built by make in a clone");
    format!("chatctl {} ({from})\n", env!("CARGO_PKG_VERSION"))
}

fn print(out: &mut dyn Write, text: &str) -> Result<u8, Error> {
    out.write_all(text.as_bytes())?;
    Ok(0)
}

/// The flags that need no subcommand.
const ALONE: [&str; 2] = ["help", "version"];

fn no_subcommand(name: &str) -> Error {
    let shown = name.escape_debug();
    if name.starts_with('-') {
        let flag = name.trim_start_matches('-').split('=').next().unwrap_or_default();
        let having = SUBCOMMANDS.iter().find(|subcommand| subcommand.flag(flag).is_some());
        return Error::usage(match having {
            Some(Subcommand { name, .. }) => {
                format!("'{shown}' comes after a subcommand, such as chatctl {name}")
            }
            None => match nearest(flag, ALONE.into_iter()) {
                Some(word) => format!("unknown flag '{shown}'; did you mean '--{word}'?"),
                None => format!("unknown flag '{shown}'"),
            },
        });
    }
    if ALONE.contains(&name) {
        return Error::usage(format!("unknown subcommand '{shown}'; did you mean '--{shown}'?"));
    }
    let names = SUBCOMMANDS.iter().map(|subcommand| subcommand.name).chain(["help"]);
    Error::usage(match nearest(name, names) {
        Some(word) => format!("unknown subcommand '{shown}'; did you mean '{word}'?"),
        None => format!("unknown subcommand '{shown}'"),
    })
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_names_the_commit_or_says_why_it_cannot() {
        let number = env!("CARGO_PKG_VERSION");
        let known = version(Some("0123456789ab-dirty"));
        assert_eq!(known, format!("chatctl {number} (0123456789ab-dirty)\n"));
        for none in [None, Some("")] {
            assert!(version(none).starts_with(&format!("chatctl {number} (commit unknown")));
        }
    }
}
