//! A record as a line: aligned columns for people, a JSON object for programs.
//!
//! What a record holds is shown, but for two things that never are: password verifiers and the
//! secret that tokens are made with. What cannot be read as a command is not shown either, since
//! it may hold one of these; only its size is.

use std::fmt::{self, Display, Formatter, Write};

use crate::chat::{Command, CommandError, Member};
use crate::cli::terminal;
use crate::client::screen::wrap::line_rows;
use crate::client::show;
use crate::protocol::id;
use crate::protocol::json::Object;
use crate::sys::clock::utc;
use crate::wal::format::{Kind, Record};

/// What a line without a long text takes, about: a hint for the allocation.
const LINE_BYTES: usize = 384;

/// Terminals with fewer columns than this get no FILE, OFFSET and BATCH.
const WIDE: usize = 120;

/// A content with less room than this, columns, is left to the terminal to wrap.
const LEAST: usize = 16;

/// What stands in place of a secret.
const HIDDEN: &str = "hidden";

/// Where a record stands, and its header.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub file: &'a str,
    /// The record's offset in it, bytes.
    pub offset: u64,
    pub batch: u64,
    /// The entry's term, else 0.
    pub term: u64,
    /// The entry's index, the first index cut, or a commit index.
    pub index: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    Entry(&'a [u8]),
    /// Entries from the place's index on are cut.
    Truncate,
    /// The end of a batch; the place's index is the commit index known then.
    Mark,
}

impl<'a> Content<'a> {
    pub fn of(record: &Record<'a>) -> Content<'a> {
        match record.kind {
            Kind::Entry => Content::Entry(record.payload),
            Kind::Truncate => Content::Truncate,
            Kind::Mark => Content::Mark,
        }
    }
}

/// The colour of a record's line, as a terminal is told it; empty for the one that it has.
pub fn colour(content: Content<'_>) -> &'static str {
    match content {
        Content::Mark | Content::Entry([]) => "2",
        Content::Truncate => "33",
        Content::Entry(payload) => match Command::decode(payload) {
            Ok(Command::Found { .. } | Command::Members { .. }) => "1;36",
            Ok(Command::Create { .. } | Command::Passwd { .. } | Command::Delete { .. }) => "32",
            Ok(Command::Take { .. } | Command::Read { .. }) => "36",
            Ok(Command::DeleteMsgs { .. }) => "35",
            Ok(Command::Send { .. }) => "",
            Err(_) => "1;31",
        },
    }
}

pub fn header(width: Option<usize>) -> String {
    let cells: [&dyn Display; 8] =
        [&"FILE", &"OFFSET", &"BATCH", &"TERM", &"INDEX", &"TIME", &"KIND", &"CONTENT"];
    row(width, cells)
}

/// A record as a line for people, without its end; on a terminal of this width perhaps several.
pub fn line(width: Option<usize>, place: &Place<'_>, content: Content<'_>) -> String {
    let Place { file, offset, batch, term, index } = place;
    match content {
        Content::Entry(payload) => {
            let (time, kind, holds) = entry(payload);
            let time = time.map(utc);
            let time = time.as_deref().unwrap_or("-");
            row(width, [file, offset, batch, term, index, &time, &kind, &holds])
        }
        Content::Truncate => {
            let shown = format_args!("entries from {index} on are cut");
            row(width, [file, offset, batch, &"-", &"-", &"-", &"truncate", &shown])
        }
        Content::Mark => {
            let shown = format_args!("committed up to {index}");
            row(width, [file, offset, batch, &"-", &"-", &"-", &"mark", &shown])
        }
    }
}

/// A bad place, damaged or torn, as a line for people, without its end. The place is what matters:
/// without its columns the content names it.
pub fn bad_line(width: Option<usize>, kind: &str, file: &str, offset: u64, why: &str) -> String {
    let placed = format_args!("{file} at {offset}: {why}");
    let shown: &dyn Display = if is_narrow(width) { &placed } else { &why };
    row(width, [&file, &offset, &"-", &"-", &"-", &"-", &kind, shown])
}

fn is_narrow(width: Option<usize>) -> bool {
    width.is_some_and(|width| width < WIDE)
}

/// The cells at their places. Without a width the last one is as long as it is, and not made a text
/// before: logs have millions of lines.
fn row(width: Option<usize>, cells: [&dyn Display; 8]) -> String {
    let [file, offset, batch, term, index, time, kind, content] = cells;
    let mut line = String::with_capacity(LINE_BYTES);
    // Writing to a String cannot fail.
    if is_narrow(width) {
        let _ = write!(line, "{term:>4} {index:>9} {time:<24} {kind:<11} ");
    } else {
        let _ = write!(line, "{file:<12} {offset:>10} {batch:>8} {term:>5} {index:>9}  ");
        let _ = write!(line, "{time:<24}  {kind:<11}  ");
    }
    let indent = line.len();
    let _ = write!(line, "{content}");
    line.truncate(line.trim_end().len());
    match width {
        Some(width) if width >= indent + LEAST && line.len() > width => {
            let (head, text) = line.split_at(indent);
            let below = format!("\n{:indent$}", "");
            head.to_owned() + &line_rows(text, width - indent).join(&below)
        }
        _ => line,
    }
}

/// An entry's time, its kind and what it holds.
pub fn entry(payload: &[u8]) -> (Option<u64>, &'static str, Holds<'_>) {
    if payload.is_empty() {
        return (None, "no-op", Holds::Nothing);
    }
    match Command::decode(payload) {
        Ok(command) => (Some(command.time()), command.kind(), Holds::Command(command)),
        Err(why) => (None, "UNREADABLE", Holds::Unreadable { bytes: payload.len(), why }),
    }
}

/// What an entry holds, for people.
#[derive(Debug)]
pub enum Holds<'a> {
    /// Nothing: it is there for its term.
    Nothing,
    Command(Command<'a>),
    /// Something that is no command.
    Unreadable {
        bytes: usize,
        why: CommandError,
    },
}

impl Display for Holds<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Holds::Nothing => f.write_str("the first entry of a term"),
            Holds::Command(command) => write_command(command, f),
            Holds::Unreadable { bytes, why } => write!(f, "{bytes} bytes: {why}"),
        }
    }
}

fn write_command(command: &Command<'_>, f: &mut Formatter<'_>) -> fmt::Result {
    match command {
        Command::Found { cluster, members, .. } => {
            let cluster = id::format(u128::from_be_bytes(*cluster));
            write!(f, "cluster {cluster}, token secret {HIDDEN}")?;
            let mut members = members.iter();
            members
                .try_for_each(|member| write!(f, ", member {} at {}", member.name, member.address))
        }
        Command::Members { members, .. } => {
            for (at, Member { name, address, number, incarnation, votes }) in (0..).zip(members) {
                let between = if at == 0 { "" } else { "; " };
                let votes = if *votes { "voter" } else { "non-voter" };
                write!(f, "{between}{name} at {address}, number {number}, {votes}")?;
                write!(f, ", directory {incarnation:016x}")?;
            }
            Ok(())
        }
        Command::Create { name, .. } => write!(f, "{name}, verifier {HIDDEN}"),
        Command::Passwd { name, .. } => write!(f, "{name}, new verifier {HIDDEN}"),
        Command::Delete { name, .. } => f.write_str(name),
        Command::Send { from, to, id, known, body, .. } => {
            write!(f, "{from} to {to}, id {}", id::format(*id))?;
            if *known != 0 {
                write!(f, " (knew {known})")?;
            }
            // In quotes, on one line, with what would harm a terminal shown as escapes.
            write!(f, ": \"{}\"", show::field(body))
        }
        Command::Take { name, seqs, .. } => {
            write!(
                f,
                "{name} takes {}: {}",
                show::messages(seqs.len()),
                ranges(seqs.iter().copied())
            )
        }
        Command::Read { name, from, upto, .. } => {
            write!(f, "{name} has read what {from} sent up to {upto}")
        }
        Command::DeleteMsgs { name, targets, .. } => {
            let seqs = ranges(targets.iter().map(|target| target.seq));
            write!(f, "{name} deletes {}: {seqs}", show::messages(targets.len()))
        }
    }
}

pub fn json(place: &Place<'_>, content: Content<'_>) -> String {
    let object = object_at(place.file, place.offset).number("batch", place.batch);
    let object = match content {
        Content::Mark => object.text("kind", "mark").number("commit", place.index),
        Content::Truncate => object.text("kind", "truncate").number("from_index", place.index),
        Content::Entry(payload) => {
            let object = object.number("term", place.term).number("index", place.index);
            match Command::decode(payload) {
                _ if payload.is_empty() => object.text("kind", "no-op"),
                Ok(command) => put_command(object, &command),
                Err(error) => object
                    .text("kind", "unreadable")
                    .number("bytes", payload.len() as u64)
                    .text("why", &error.to_string()),
            }
        }
    };
    object.to_string()
}

/// A bad place, damaged or torn, as a JSON object.
pub fn bad_json(kind: &str, file: &str, offset: u64, why: &str) -> String {
    object_at(file, offset).text("kind", &kind.to_ascii_lowercase()).text("why", why).to_string()
}

fn object_at(file: &str, offset: u64) -> Object {
    terminal::object().text("file", file).number("offset", offset)
}

fn put_command(object: Object, command: &Command<'_>) -> Object {
    let mut object = object.number("time", command.time()).text("kind", command.kind());
    match command {
        Command::Found { cluster, members, .. } => {
            object = object
                .text("cluster", &id::format(u128::from_be_bytes(*cluster)))
                .text("token_secret", HIDDEN);
            for member in members {
                object = object.text(&format!("member_{}", member.name), &member.address);
            }
            object
        }
        Command::Members { members, .. } => {
            for member in members {
                let votes = if member.votes { "voter" } else { "nonvoter" };
                let Member { name, address, number, incarnation, .. } = member;
                let value = format!("{address} {number} {votes} {incarnation:016x}");
                object = object.text(&format!("member_{name}"), &value);
            }
            object
        }
        Command::Create { name, .. } | Command::Passwd { name, .. } => {
            object.text("name", name).text("verifier", HIDDEN)
        }
        Command::Delete { name, .. } => object.text("name", name),
        Command::Send { from, to, id, known, body, .. } => object
            .text("from", from)
            .text("to", to)
            .text("id", &id::format(*id))
            .number("known", *known)
            .text("body", body),
        Command::Take { name, seqs, .. } => object.text("name", name).list("seqs", seqs.iter()),
        Command::Read { name, from, upto, .. } => {
            object.text("name", name).text("from", from).number("upto", *upto)
        }
        Command::DeleteMsgs { name, targets, .. } => {
            object.text("name", name).list("seqs", targets.iter().map(|target| target.seq))
        }
    }
}

/// Rising numbers, with runs of neighbours drawn together: `5-7, 9`.
fn ranges(numbers: impl Iterator<Item = u64>) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let shown = runs.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
