//! `--stats`: what a log consists of.
//!
//! All but what is dead is told from the records as they go by. For that the entries are applied as
//! a server does, and gone over once more: it takes the memory of a server's index.

use std::io::{self, Write};

use super::log::{Fault, Flow, Log};
use super::tally::{self, Dead, Sum, Tally};
use crate::chat::State;
use crate::cli::error::Error;
use crate::cli::terminal::object;
use crate::wal::Examined;
use crate::wal::scan::Item;

/// Columns of the longest bar.
const BAR: u64 = 40;

/// Counts and prints; then what a server would refuse is an error.
pub fn run(log: &mut Log, json: bool, out: &mut dyn Write) -> Result<u8, Error> {
    let mut stats = Stats::new();
    stats.apply(log);
    log.scan(&mut |item| {
        stats.item(item);
        Ok(Flow::On)
    })?;
    stats.tally.end();
    stats.look_back(log)?;
    if json {
        stats.print_json(out)?
    } else {
        stats.print(out)?
    }
    stats.fault.map_or(Ok(0), |fault| Err(log.faulty(&fault)))
}

struct Stats {
    tally: Tally,
    segments: u64,
    segment_bytes: u64,
    /// Segments that recovery has replaced and not yet removed.
    replaced: u64,
    /// Damaged places, and what a server would refuse first.
    damaged: u64,
    fault: Option<Fault>,
    examined: Examined,
    state: State,
    /// `None`: the log does not begin with its first entry, or is damaged.
    dead: Option<Dead>,
}

impl Stats {
    fn new() -> Stats {
        Stats {
            tally: Tally::new(),
            segments: 0,
            segment_bytes: 0,
            replaced: 0,
            damaged: 0,
            fault: None,
            examined: Examined::default(),
            state: State::new(),
            dead: Some(Dead::default()),
        }
    }

    /// Judges the log and applies what is committed.
    fn apply(&mut self, log: &mut Log) {
        let (state, mut dead, mut is_part) = (&mut self.state, Dead::default(), false);
        let examined = log.examine(&mut |index, _, payload| {
            is_part |= index > state.applied() + 1;
            let applied = state.apply(index, payload).map_err(|error| error.error.to_string());
            applied.map(|effect| dead.applied(payload, &effect))
        });
        self.dead = (examined.is_ok() && !is_part).then_some(dead);
        match examined.or_else(|_| log.judge()) {
            Ok(examined) => self.examined = examined,
            Err(fault) => self.fault = Some(fault),
        }
    }

    fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Segment { counts: false, .. } => self.replaced += 1,
            Item::Segment { header, .. } => {
                self.segments += 1;
                self.segment_bytes += u64::from(header.length);
            }
            Item::Damage { .. } => self.damaged += 1,
            Item::End { .. } => {}
            Item::Record { record, .. } => self.tally.take(&record),
        }
    }

    /// Goes over the entries that were applied once more: only now it is known what came of them.
    fn look_back(&mut self, log: &mut Log) -> Result<(), Error> {
        let Stats { dead: Some(dead), state, .. } = self else { return Ok(()) };
        let applied = state.applied();
        log.committed(&mut |index, _, payload| {
            if index > applied {
                return Ok(Flow::Stop);
            }
            dead.looked_back(index, payload, state);
            Ok(if index == applied { Flow::Stop } else { Flow::On })
        })?;
        Ok(())
    }

    /// What is dead, by why.
    fn dead(&self) -> Option<[(&'static str, Sum, &'static str); 5]> {
        let dead = self.dead?;
        Some([
            ("cut", self.tally.cut, "entries that were cut before they were committed"),
            ("void", dead.void, "entries that changed nothing"),
            ("unseen", dead.unseen, "messages that nobody can see any more"),
            ("passed", dead.passed(), "read markers that later ones replaced"),
            ("replaced", dead.replaced(), "passwords that later ones replaced"),
        ])
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let Tally { all, largest, batches, .. } = &self.tally;
        let Examined { first_index: first, last_index: last, commit, .. } = self.examined;
        writeln!(out, "segments  {} of {} bytes", self.segments, self.segment_bytes)?;
        if self.replaced > 0 {
            writeln!(
                out,
                "replaced  {} segments that recovery replaced and has not removed yet",
                self.replaced
            )?;
        }
        if self.fault.is_none() {
            writeln!(out, "entries   {first} to {last}, committed up to at least {commit}")?;
        }
        if let Some(fault) = &self.fault {
            writeln!(out, "DAMAGED   {} places, the first at {fault}", self.damaged.max(1))?;
        }
        writeln!(out, "\n{:<14}{:>12}{:>16}{:>8}", "KIND", "RECORDS", "BYTES", "SHARE")?;
        for (kind, sum) in tally::kinds().zip(self.tally.kinds).filter(|(_, sum)| sum.records > 0) {
            self.row(kind, sum, out)?;
        }
        self.row("all", *all, out)?;
        let mean = |total: u64| total as f64 / (*batches).max(1) as f64;
        writeln!(out, "\n{:<14}{:>12}", "BYTES FROM", "BATCHES")?;
        self.print_sizes(out)?;
        writeln!(
            out,
            "{:<14}{batches:>12}  {:.1} records and {:.0} bytes each, {} and {} the largest",
            "all",
            mean(all.records),
            mean(all.bytes),
            largest.records,
            largest.bytes
        )?;
        let Some(dead) = self.dead() else {
            return writeln!(out, "\ndead bytes are unknown: they need a complete, undamaged log");
        };
        writeln!(out, "\n{:<14}{:>12}{:>16}{:>8}", "DEAD", "RECORDS", "BYTES", "SHARE")?;
        for (name, sum, why) in dead {
            let share = self.share(sum);
            writeln!(out, "{name:<14}{:>12}{:>16}{share:>8}  {why}", sum.records, sum.bytes)?;
        }
        let total = dead.iter().fold(Sum::default(), |total, (_, sum, _)| Sum {
            records: total.records + sum.records,
            bytes: total.bytes + sum.bytes,
        });
        self.row("all", total, out)
    }

    fn row(&self, name: &str, sum: Sum, out: &mut dyn Write) -> io::Result<()> {
        let share = self.share(sum);
        writeln!(out, "{name:<14}{:>12}{:>16}{share:>8}", sum.records, sum.bytes)
    }

    fn share(&self, sum: Sum) -> String {
        let all = self.tally.all.bytes.max(1);
        format!("{:.1} %", sum.bytes as f64 * 100.0 / all as f64)
    }

    /// The batches by their size, with a bar for each, from the first that there are to the last.
    fn print_sizes(&self, out: &mut dyn Write) -> io::Result<()> {
        let sizes = &self.tally.sizes;
        let first = sizes.iter().position(|count| *count > 0).unwrap_or(0);
        let last = sizes.iter().rposition(|count| *count > 0).unwrap_or(0);
        let most = sizes.iter().copied().max().unwrap_or(0).max(1);
        for (power, count) in sizes.iter().enumerate().take(last + 1).skip(first) {
            // One that is there at all is seen.
            let length = (count * BAR).div_ceil(most) as usize;
            let line = format!("{:<14}{count:>12}  {}", 1u64 << power, "#".repeat(length));
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn print_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let Tally { all, largest, batches, kinds, sizes, .. } = &self.tally;
        let sum = |sum: &Sum| object().number("records", sum.records).number("bytes", sum.bytes);
        let kinds = tally::kinds().zip(kinds).filter(|(_, sum)| sum.records > 0);
        let kinds = kinds.fold(object(), |object, (kind, of_it)| object.raw(kind, sum(of_it)));
        let sizes = sizes.iter().enumerate().filter(|(_, count)| **count > 0);
        let sizes = sizes.fold(object(), |object, (power, count)| {
            object.number(&(1u64 << power).to_string(), *count)
        });
        let dead = self.dead().map_or("null".to_owned(), |dead| {
            let all = dead.iter().fold(object(), |all, (name, of_it, _)| all.raw(name, sum(of_it)));
            all.to_string()
        });
        let damaged = if self.fault.is_some() { self.damaged.max(1) } else { 0 };
        let Examined { first_index, last_index, commit, .. } = self.examined;
        let object = object()
            .number("segments", self.segments)
            .number("segment_bytes", self.segment_bytes)
            .number("replaced_segments", self.replaced)
            .number("damaged", damaged)
            .number("first_index", first_index)
            .number("last_index", last_index)
            .number("commit", commit)
            .raw("all", sum(all))
            .raw("kinds", kinds)
            .number("batches", *batches)
            .raw("largest_batch", sum(largest))
            .raw("batch_bytes_from", sizes)
            .raw("dead", dead);
        writeln!(out, "{object}")
    }
}
