//! `chatctl chat`: from checked values to the client's options.

use std::io::Write;

use super::error::Error;
use super::parse::{Environment, Parsed};

/// The flags of which at most one can be given: each is something done without a terminal.
const ACTIONS: [&str; 4] = ["send", "history", "list", "inbox"];

/// Runs `chatctl chat`.
pub fn run(parsed: &Parsed, _: Environment<'_>, _: &mut dyn Write) -> Result<u8, Error> {
    let mut given = ACTIONS.iter().filter(|name| parsed.value(name).is_some());
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        return Err(parsed.wrong(format!("--{first} and --{second} cannot be given together")));
    }
    Err(Error::failed(parsed.subcommand().name, "this build does not have it"))
}
