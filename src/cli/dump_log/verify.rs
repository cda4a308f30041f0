//! `--verify`: whether a server would go on from a log, and what is in it.

use std::io::Write;

use super::log::{Fault, Log};
use crate::cli::error::Error;
use crate::cli::terminal;
use crate::wal::Examined;

/// Judges the log and says where the first fault is, or that all is whole.
pub fn run(log: &mut Log, json: bool, out: &mut dyn Write) -> Result<u8, Error> {
    let judged = log.judge();
    let found = match &judged {
        Ok(Examined { segments: 0, .. }) => return Err(log.no_log("")),
        Ok(found) => found,
        Err(fault) => {
            if json {
                let Fault { file, offset, why, .. } = fault;
                let object = terminal::object().flag("whole", false).text("file", file);
                writeln!(out, "{}", object.number("offset", *offset).text("why", why))?;
            }
            return Err(log.faulty(fault));
        }
    };
    let Examined { segments, records, first_index, last_index, commit, torn, .. } = found;
    if json {
        let object = terminal::object().flag("whole", true).raw("segments", segments);
        let object = object.raw("records", records).raw("first_index", first_index);
        let object = object.raw("last_index", last_index).raw("commit", commit);
        writeln!(out, "{}", object.flag("torn", torn.is_some()))?;
        return Ok(0);
    }
    let plural = if *segments == 1 { "" } else { "s" };
    writeln!(
        out,
        "whole: {records} records in {segments} segment{plural}, entries {first_index} to \
         {last_index}, committed up to at least {commit}"
    )?;
    if let Some((file, offset, why)) = torn {
        writeln!(
            out,
            "the last batch is incomplete and was never acknowledged: {file}, offset {offset}: \
             {why}"
        )?;
    }
    Ok(0)
}
