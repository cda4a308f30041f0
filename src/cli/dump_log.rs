//! `chatctl dump-log`: a server's log, read-only, a line a record.

pub mod render;
pub mod text;

use std::io::Write;

use super::error::Error;
use super::parse::{Environment, Parsed};

/// Runs `chatctl dump-log`.
pub fn run(parsed: &Parsed, _: Environment<'_>, _: &mut dyn Write) -> Result<u8, Error> {
    Err(Error::failed(parsed.subcommand().name, "this build does not have it"))
}
