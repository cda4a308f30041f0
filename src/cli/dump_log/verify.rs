//! `--verify`: whether a server would go on from a log, and what is in it.

use std::io::Write;

use super::log::{Fault, Log};
use super::text::put_json;
use crate::cli::error::Error;
use crate::wal::Examined;

/// Judges the log and says where the first fault is, or that all is whole.
pub fn run(log: &mut Log, json: bool, out: &mut dyn Write) -> Result<u8, Error> {
    let judged = log.judge();
    let found = match &judged {
        Ok(Examined { segments: 0, .. }) => return Err(log.no_log("")),
        Ok(found) => found,
        Err(fault) => {
            if json {
                writeln!(out, "{}", fault_json(fault))?;
            }
            return Err(log.faulty(fault));
        }
    };
    let Examined { segments, records, first_index, last_index, commit, torn, .. } = found;
    if json {
        let torn = torn.is_some();
        writeln!(
            out,
            "{{\"whole\": true, \"segments\": {segments}, \"records\": {records}, \
             \"first_index\": {first_index}, \"last_index\": {last_index}, \
             \"commit\": {commit}, \"torn\": {torn}}}"
        )?;
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

fn fault_json(fault: &Fault) -> String {
    let Fault { file, offset, why, .. } = fault;
    let mut text = String::from("{\"whole\": false, \"file\": ");
    put_json(&mut text, file);
    text.push_str(&format!(", \"offset\": {offset}, \"why\": "));
    put_json(&mut text, why);
    text.push('}');
    text
}
