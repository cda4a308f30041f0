//! What the terminal that standard output is can show.

use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;

use super::parse::{Environment, Parsed};
use crate::sys::terminal;

/// Whether to print in colours, by `--color` and, where that leaves it open, by the terminal and
/// NO_COLOR (no-color.org), which counts when it is not empty.
pub fn colour(parsed: &Parsed, environment: Environment<'_>) -> bool {
    let refused = environment("NO_COLOR").is_some_and(|value| !value.is_empty())
        || environment("TERM").is_some_and(|term| term == "dumb");
    match parsed.value("color") {
        Some("always") => true,
        Some("never") => false,
        _ => io::stdout().is_terminal() && !refused,
    }
}

/// Columns of the terminal; `None` where standard output is none, or does not know.
pub fn columns() -> Option<usize> {
    let (columns, _) = terminal::size(io::stdout().as_raw_fd())?;
    Some(usize::from(columns))
}
