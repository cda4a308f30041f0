//! What a person typed at a terminal and what they muted, kept from one chat to the next.
//!
//! ```text
//! STATE-DIR/USER@SERVER/typed         mode 0600; the last client that wrote it wins
//! STATE-DIR/USER@SERVER/typed.new.0   what the client in place 0 is writing
//! ```
//!
//! The file is lines of text in the form of the [`journal`](super::journal), each standing alone:
//!
//! ```text
//! CRC  muted NAME
//! CRC  draft CURSOR TO TEXT           unsent, the oldest first; TO is * where nobody is chosen
//! CRC  line TEXT                      the input history, the oldest first
//! ```
//!
//! A damaged line, and a kind that is not known, costs only itself. The file is replaced as a whole:
//! a new one is written, synced and renamed, so that a crash leaves the old or the new one. Nothing
//! here is worth an error: where the disk does not take it, the chat goes on without.

use std::collections::{BTreeSet, VecDeque};
use std::io;

use super::journal;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::protocol::name;
use crate::wal::Disk;

/// The file.
pub const FILE: &str = "typed";
/// The receiver of a draft for nobody, in the file: no name.
const NOBODY: &str = "*";

/// See the module's comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// The input history, the newest first.
    pub lines: VecDeque<String>,
    /// Unsent texts, the newest last, one for each receiver.
    pub drafts: Vec<Unsent>,
    /// Muted names.
    pub muted: BTreeSet<String>,
}

/// A text that was typed and not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// The other party; empty: nobody was chosen.
    pub to: String,
    /// The text.
    pub text: String,
    /// Where the cursor is, a byte index.
    pub cursor: usize,
}

impl Typed {
    /// Another draft for its receiver, or none where it has no text.
    pub fn set_draft(&mut self, draft: Unsent) {
        self.drafts.retain(|other| other.to != draft.to);
        if !draft.text.is_empty() {
            self.drafts.push(draft);
        }
        if self.drafts.len() > limits::SCREEN_DRAFTS {
            self.drafts.remove(0);
        }
    }

    /// The file's bytes, at most [`limits::TYPED_BYTES`], and whether they have all drafts: of what
    /// is too much, the oldest is left out.
    pub fn write(&self) -> (Vec<u8>, bool) {
        let muted = self.muted.iter().map(|name| format!("muted {name}"));
        let drafts = self.drafts.iter().rev().map(|draft| {
            let to = if draft.to.is_empty() { NOBODY } else { draft.to.as_str() };
            format!("draft {} {to} {}", draft.cursor, journal::escape(&draft.text))
        });
        let lines = self.lines.iter().map(|line| format!("line {}", journal::escape(line)));
        // The newest first, as long as there is room; then the other way round.
        let mut room = limits::TYPED_BYTES;
        let mut fits = |text: &String| {
            let length = text.len() + journal::LINE_EXTRA_BYTES;
            let is_room = length <= room;
            room = if is_room { room - length } else { 0 };
            is_room
        };
        let muted: Vec<String> = muted.take_while(&mut fits).collect();
        let drafts: Vec<String> = drafts.take_while(&mut fits).collect();
        let lines: Vec<String> = lines.take_while(&mut fits).collect();
        let mut bytes = Vec::new();
        let all = muted.iter().chain(drafts.iter().rev()).chain(lines.iter().rev());
        all.for_each(|text| journal::write_line(text, &mut bytes));
        (bytes, drafts.len() == self.drafts.len())
    }

    /// What a file says.
    pub fn read(bytes: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if let Some(text) = line.strip_suffix(b"\n").and_then(journal::read_line) {
                typed.take(text);
            }
        }
        typed
    }

    fn take(&mut self, text: &str) -> Option<()> {
        let is_name = |text: &str| name::fold(text).is_some_and(|folded| folded == text);
        let (kind, rest) = text.split_once(' ')?;
        match kind {
            "muted" if is_name(rest) && self.muted.len() < limits::MUTED_NAMES => {
                self.muted.insert(rest.to_string());
            }
            "draft" if self.drafts.len() < limits::SCREEN_DRAFTS => {
                let (cursor, rest) = rest.split_once(' ')?;
                let (to, text) = rest.split_once(' ')?;
                let to = if to == NOBODY { "" } else { to };
                let text =
                    journal::unescape(text).filter(|text| text.len() <= limits::LINE_BYTES)?;
                let cursor = cursor.parse().ok()?;
                if to.is_empty() || is_name(to) {
                    self.drafts.retain(|other| other.to != to);
                    self.drafts.push(Unsent { to: to.to_string(), text, cursor });
                }
            }
            "line" => {
                let line =
                    journal::unescape(rest).filter(|line| line.len() <= limits::LINE_BYTES)?;
                self.lines.truncate(limits::HISTORY_LINES - 1);
                self.lines.push_front(line);
            }
            _ => {}
        }
        Some(())
    }
}

/// What became of a [`Keeper::save`].
#[derive(Debug, PartialEq, Eq)]
pub struct Saved {
    /// All drafts are on the disk.
    pub is_whole: bool,
    /// What a person should know: once, until saving works again, and not that the disk is read-only.
    pub trouble: Option<String>,
}

/// Keeps the file of one account; one for each client.
#[derive(Debug)]
pub struct Keeper<D> {
    disk: D,
    /// The name of a file that only this client writes.
    new: String,
    /// What the file had when this client read or wrote it last, where that is known.
    written: Option<Vec<u8>>,
    is_told: bool,
}

impl<D: Disk> Keeper<D> {
    /// For the client in place `slot`, and what was kept; nothing where that cannot be read.
    pub fn open(mut disk: D, slot: usize) -> (Keeper<D>, Typed) {
        let written = read(&mut disk).ok();
        let typed = Typed::read(written.as_deref().unwrap_or_default());
        let new = format!("{FILE}.new.{slot}");
        (Keeper { disk, new, written, is_told: false }, typed)
    }

    /// Replaces the file, unless it says the same.
    pub fn save(&mut self, typed: &Typed) -> Saved {
        let (bytes, mut is_whole) = typed.write();
        let mut trouble = None;
        if self.written.as_ref() != Some(&bytes) {
            match self.replace(&bytes) {
                Ok(()) => (self.written, self.is_told) = (Some(bytes), false),
                Err(error) => {
                    (self.written, is_whole) = (None, false);
                    let _ = self.disk.remove(&self.new);
                    let is_told = std::mem::replace(&mut self.is_told, true);
                    trouble = (!is_told && !is_read_only(&error))
                        .then(|| format!("cannot save drafts and the input history: {error}"));
                }
            }
        }
        Saved { is_whole, trouble }
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.disk.remove(&self.new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.disk.create(&self.new)?;
        self.disk.write_at(&self.new, 0, bytes)?;
        if !planted(Mutant::TypedUnsynced) {
            self.disk.fdatasync(&self.new)?;
        }
        self.disk.rename(&self.new, FILE)
    }
}

fn read(disk: &mut impl Disk) -> io::Result<Vec<u8>> {
    let length = disk.length(FILE)?;
    let mut bytes = vec![0; length.min(limits::TYPED_BYTES as u64) as usize];
    let count = disk.read_at(FILE, 0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Whoever made the disk so knows it.
fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unsent(to: &str, text: &str) -> Unsent {
        Unsent { to: to.to_string(), text: text.to_string(), cursor: text.len() }
    }

    fn example() -> Typed {
        let lines = ["newest", "two\nlines \\ \r", "é  oldest "].map(str::to_string);
        let drafts = vec![unsent("d-a", "-"), unsent("", "to nobody"), unsent("bob", " a\n\tb")];
        let muted = BTreeSet::from(["carol".to_string(), "dave".to_string()]);
        Typed { lines: lines.into(), drafts, muted }
    }

    #[test]
    fn what_is_written_is_read() {
        for typed in [example(), Typed::default()] {
            let (bytes, is_whole) = typed.write();
            assert_eq!((Typed::read(&bytes), is_whole), (typed, true));
        }
    }

    #[test]
    fn a_file_that_is_cut_or_damaged_loses_only_those_lines() {
        let (bytes, _) = example().write();
        let whole = example();
        let count = |typed: &Typed| typed.lines.len() + typed.drafts.len() + typed.muted.len();
        for at in 0..bytes.len() {
            let lines = bytes[..at].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(count(&Typed::read(&bytes[..at])), lines, "cut at {at}");
            let mut hurt = bytes.clone();
            hurt[at] ^= 4;
            let read = Typed::read(&hurt);
            // A damaged line end costs the line behind it too.
            assert!(count(&read) + 2 >= count(&whole), "byte {at}");
            assert!(read.lines.iter().all(|line| whole.lines.contains(line)), "byte {at}");
            assert!(read.drafts.iter().all(|draft| whole.drafts.contains(draft)), "byte {at}");
            assert!(read.muted.is_subset(&whole.muted), "byte {at}");
        }
    }

    #[test]
    fn of_more_than_the_file_may_have_the_oldest_is_left_out() {
        let long = |n: usize| format!("{n:04}{}", "x".repeat(9_996));
        let mut typed =
            Typed { lines: (0..limits::HISTORY_LINES).map(long).collect(), ..example() };
        let (bytes, is_whole) = typed.write();
        assert!(is_whole && bytes.len() <= limits::TYPED_BYTES);
        assert!(bytes.len() > limits::TYPED_BYTES - 10_100, "there is room for no other");
        let read = Typed::read(&bytes);
        assert_eq!((&read.drafts, &read.muted), (&typed.drafts, &typed.muted));
        assert!(read.lines.iter().eq(typed.lines.iter().take(read.lines.len())), "the newest");
        // More drafts than there is room for, too.
        typed.drafts = (0..limits::SCREEN_DRAFTS)
            .map(|n| unsent(&format!("p{n}"), &"x".repeat(limits::LINE_BYTES)))
            .collect();
        let (bytes, is_whole) = typed.write();
        assert!(!is_whole && bytes.len() <= limits::TYPED_BYTES);
        let read = Typed::read(&bytes);
        assert_eq!((read.drafts.last(), read.lines.len()), (typed.drafts.last(), 0));
        assert!(!read.drafts.is_empty() && read.drafts.len() < typed.drafts.len());
    }

    #[test]
    fn a_disk_that_is_read_only_is_nothing_to_tell_of() {
        let of = |code| is_read_only(&io::Error::from_raw_os_error(code));
        assert!(of(libc::EROFS) && of(libc::EACCES) && of(libc::EPERM));
        assert!(!of(libc::ENOSPC) && !of(libc::EIO) && !of(libc::EDQUOT));
    }

    #[test]
    fn a_hostile_file_is_read_within_bounds() {
        let mut bytes = Vec::new();
        for n in 0..3 * limits::MUTED_NAMES {
            for text in
                [format!("muted n{n}"), format!("draft 9 n{n} x"), format!("line {n}"), "x".into()]
            {
                journal::write_line(&text, &mut bytes);
            }
        }
        let long = "x".repeat(limits::LINE_BYTES + 1);
        for text in
            [&format!("line {long}"), &format!("draft 0 bob {long}"), "muted A", "muted ../x"]
        {
            journal::write_line(text, &mut bytes);
        }
        let read = Typed::read(&bytes);
        assert_eq!(read.muted.len(), limits::MUTED_NAMES);
        assert_eq!(read.drafts.len(), limits::SCREEN_DRAFTS);
        assert_eq!(read.lines.len(), limits::HISTORY_LINES);
        let newest = (3 * limits::MUTED_NAMES - 1).to_string();
        assert_eq!(read.lines.front(), Some(&newest));
        assert!(!read.drafts.iter().any(|draft| draft.to == "bob"));
    }
}
