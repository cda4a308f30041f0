//! `chatctl chat`.

use std::io::Write;

use super::error::Error;
use super::parse::{Environment, Parsed};

/// Runs `chatctl chat`.
pub fn run(parsed: &Parsed, _: Environment<'_>, _: &mut dyn Write) -> Result<u8, Error> {
    Err(Error::failed(parsed.subcommand().name, "this build does not have it"))
}
