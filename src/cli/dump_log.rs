//! `chatctl dump-log`: a server's log, read-only, a line a record.

pub mod check;
pub mod render;
pub mod text;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::parse::{Environment, Parsed};
use crate::limits::DUMP_BUFFER_BYTES;
use crate::wal::format::{self, Kind, RECORD_BYTES, Record};
use crate::wal::scan::{Item, Scanner};
use check::Checker;
use render::{Content, Place};

/// Runs `chatctl dump-log`.
pub fn run(parsed: &Parsed, _: Environment<'_>, out: &mut dyn Write) -> Result<u8, Error> {
    let path = PathBuf::from(&parsed.positionals()[0]);
    let range = parsed.number("from").unwrap_or(0)..=parsed.number("to").unwrap_or(u64::MAX);
    if range.is_empty() {
        let (from, to) = (range.start(), range.end());
        return Err(parsed.wrong(format!("--from {from} is above --to {to}")));
    }
    let dump = Dump {
        path: &path,
        out: BufWriter::with_capacity(DUMP_BUFFER_BYTES, out),
        json: parsed.flag("json"),
        verify: parsed.flag("verify"),
        range,
        whole: parsed.value("from").is_none() && parsed.value("to").is_none(),
        checker: Checker::new(),
        segments: 0,
        salt: None,
        first_fault: None,
        torn: None,
    };
    dump.run(parsed)
}

/// What came of going over one item.
enum Next {
    Item,
    End,
}

struct Dump<'a> {
    path: &'a Path,
    out: BufWriter<&'a mut dyn Write>,
    json: bool,
    verify: bool,
    /// Indexes to show.
    range: std::ops::RangeInclusive<u64>,
    /// Whether all indexes are shown.
    whole: bool,
    checker: Checker,
    segments: u64,
    /// The salt of the segment that is gone over.
    salt: Option<u32>,
    /// The first place where something is wrong: file, offset, what.
    first_fault: Option<(String, u64, String)>,
    /// What the log's end says of a batch that is not whole.
    torn: Option<String>,
}

impl Dump<'_> {
    fn run(mut self, parsed: &Parsed) -> Result<u8, Error> {
        let shown = self.path.display().to_string();
        let cannot = |error: io::Error| {
            Error::failed("dump-log", format!("cannot read the log in {shown}: {error}"))
        };
        let mut scanner = Scanner::open(self.path).map_err(&cannot)?;
        if !self.verify && !self.json && io::stdout().is_terminal() {
            writeln!(self.out, "{}", render::header())?;
        }
        while let Some(item) = scanner.next_item().map_err(&cannot)? {
            if let Next::End = self.take(item)? {
                break;
            }
        }
        if self.segments == 0 {
            self.out.flush()?;
            let why = match self.first_fault {
                Some((file, _, why)) => format!(": {file}: {why}"),
                None => String::new(),
            };
            let what = format!("{shown} is neither a data directory with a log nor a segment{why}");
            return Err(Error::failed(parsed.subcommand().name, what));
        }
        if self.verify { self.verdict(parsed) } else { Ok(self.out.flush().map(|()| 0)?) }
    }

    fn take(&mut self, item: Item<'_>) -> Result<Next, Error> {
        match item {
            Item::Segment { header, counts, .. } => {
                self.segments += u64::from(counts);
                self.salt = Some(header.salt);
            }
            Item::Record { file, offset, record } => self.record(file, offset, &record)?,
            Item::Damage { file, offset, why } => {
                if self.is_record_now(&file, offset) {
                    // A server is writing faster than this reads: here is the end of what it saw.
                    self.torn = Some(format!("{file}, offset {offset}: still being written"));
                    return Ok(Next::End);
                }
                self.checker.skip();
                self.fault(&file, offset, &why)?;
            }
            Item::End { file, offset, torn } => self.end(&file, offset, torn)?,
        }
        Ok(Next::Item)
    }

    fn record(&mut self, file: &str, offset: u32, record: &Record<'_>) -> Result<(), Error> {
        let content = match record.kind {
            Kind::Entry => Content::Entry(record.payload),
            Kind::Truncate => Content::Truncate,
            Kind::Mark => Content::Mark,
        };
        let header = check::Header { term: record.term, index: record.index };
        let fault = self.checker.record(header, content);
        // A mark's index is no place in the log: it is shown only with all the rest.
        let in_range = match record.kind {
            Kind::Mark => self.whole,
            Kind::Entry | Kind::Truncate => self.range.contains(&record.index),
        };
        if in_range && !self.verify {
            let (offset, batch) = (u64::from(offset), record.batch);
            let place = Place { file, offset, batch, term: record.term, index: record.index };
            let line = if self.json { render::json } else { render::line };
            writeln!(self.out, "{}", line(&place, content))?;
        }
        if let Some(why) = fault.filter(|_| self.first_fault.is_none()) {
            self.first_fault = Some((file.to_string(), offset.into(), why));
        }
        Ok(())
    }

    fn fault(&mut self, file: &str, offset: u64, why: &str) -> Result<(), Error> {
        if !self.verify {
            let line = if self.json { render::damage_json } else { render::damage_line };
            writeln!(self.out, "{}", line(file, offset, why))?;
        }
        self.first_fault.get_or_insert((file.to_string(), offset, why.to_string()));
        Ok(())
    }

    fn end(&mut self, file: &str, offset: u64, torn: Option<String>) -> Result<(), Error> {
        let Some(why) = torn else { return Ok(()) };
        if !self.verify {
            let line = if self.json { render::torn_json } else { render::torn_line };
            writeln!(self.out, "{}", line(file, offset, &why))?;
        }
        self.torn = Some(format!("{file}, offset {offset}: {why}"));
        Ok(())
    }

    /// Whether a whole record stands at a place where none was a moment ago.
    fn is_record_now(&self, file: &str, offset: u64) -> bool {
        let (Some(salt), Ok(at)) = (self.salt, u32::try_from(offset)) else { return false };
        let below = self.path.join("wal");
        let segment = match (self.path.is_dir(), below.is_dir()) {
            (true, true) => below.join(file),
            (true, false) => self.path.join(file),
            (false, _) => self.path.to_owned(),
        };
        let mut bytes = vec![0; format::padded(RECORD_BYTES as u32) as usize];
        let read = File::open(segment).and_then(|segment| segment.read_at(&mut bytes, offset));
        let Ok(count) = read else { return false };
        offset >= format::HEADER_BYTES as u64
            && matches!(format::parse(&bytes[..count], salt, at), format::Parsed::Record(_))
    }

    /// What `--verify` says.
    fn verdict(mut self, parsed: &Parsed) -> Result<u8, Error> {
        if let Some((file, offset, why)) = &self.first_fault {
            let what = format!(
                "{} is damaged: {file}, offset {offset}: {why}; restore it from a copy",
                self.path.display()
            );
            return Err(Error::failed(parsed.subcommand().name, what));
        }
        let Checker { records, first_index, last_index, commit, .. } = self.checker;
        let segments = self.segments;
        if self.json {
            let torn = self.torn.is_some();
            writeln!(
                self.out,
                "{{\"whole\": true, \"segments\": {segments}, \"records\": {records}, \
                 \"first_index\": {first_index}, \"last_index\": {last_index}, \
                 \"commit\": {commit}, \"torn\": {torn}}}"
            )?;
        } else {
            let plural = if segments == 1 { "" } else { "s" };
            writeln!(
                self.out,
                "whole: {records} records in {segments} segment{plural}, entries {first_index} to \
                 {last_index}, committed up to at least {commit}"
            )?;
            if let Some(torn) = &self.torn {
                writeln!(
                    self.out,
                    "the last batch is not whole, and was not acknowledged: {torn}"
                )?;
            }
        }
        self.out.flush()?;
        Ok(0)
    }
}
