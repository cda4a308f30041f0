//! `--verify`: whether a log is whole, and what is in it.

use std::io::Write;

use super::check::{Checker, Header};
use super::render::Content;
use super::{Flow, Log};
use crate::cli::error::Error;
use crate::wal::scan::Item;

/// Goes over the log and says where the first damage is, or that all is whole.
pub fn run(log: &mut Log, json: bool, out: &mut dyn Write) -> Result<u8, Error> {
    let mut checker = Checker::new();
    let mut segments = 0u64;
    // The first place where something is wrong, and what the end says of a batch that is not whole.
    let (mut first_fault, mut torn) = (None, None);
    log.scan(&mut |item| {
        match item {
            Item::Segment { counts, .. } => segments += u64::from(counts),
            Item::Record { file, offset, record } => {
                let header = Header { term: record.term, index: record.index };
                if let Some(why) = checker.record(header, Content::of(&record)) {
                    first_fault.get_or_insert_with(|| format!("{file}, offset {offset}: {why}"));
                }
            }
            Item::Damage { file, offset, why } => {
                checker.skip();
                first_fault.get_or_insert_with(|| format!("{file}, offset {offset}: {why}"));
            }
            Item::End { file, offset, torn: why } => {
                torn = why.map(|why| format!("{file}, offset {offset}: {why}"));
            }
        }
        Ok(Flow::On)
    })?;
    if let Some(fault) = first_fault {
        let shown = log.path.display();
        return Err(log.failed(format!("{shown} is damaged: {fault}; restore it from a copy")));
    }
    let Checker { records, first_index, last_index, commit, .. } = checker;
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
    let plural = if segments == 1 { "" } else { "s" };
    writeln!(
        out,
        "whole: {records} records in {segments} segment{plural}, entries {first_index} to \
         {last_index}, committed up to at least {commit}"
    )?;
    if let Some(torn) = torn {
        writeln!(out, "the last batch is not whole, and was not acknowledged: {torn}")?;
    }
    Ok(0)
}
