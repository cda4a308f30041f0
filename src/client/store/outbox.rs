//! One client's file of what must outlive it, on a [`Disk`]. What its lines mean is in
//! [`super::journal`]; locks and folders are the caller's.
//!
//! # What holds
//!
//! 1. Once [`Outbox::put`] has returned `Ok`, every later [`Outbox::open`] has the message, until it
//!    is noted as gone. Once it has returned an error, no later one has it, unless the error says
//!    that the client must be started again.
//! 2. Once [`Outbox::sync`] has returned `Ok`, what was noted before it is not forgotten.
//! 3. Everything else that was noted may be forgotten by a power failure, from some point on.
//!
//! # How
//!
//! - Lines are appended, then synced. A write that fails is undone: the file is cut to where it
//!   ended, and synced. After a sync that failed (or such a cut) nothing is known of what was written
//!   since the last one, so a new file takes the place of the old. Where that fails too, the outbox
//!   is *broken*: what it says on disk is unknown, and it takes nothing more.
//! - A file that says little for its length is replaced by a short one: the new file is made under a
//!   name that belongs to this client alone (`outbox.0.new`), written, synced, renamed over the old
//!   one, and the folder synced. It is made from what is kept in memory, which has everything that
//!   was promised. Until the rename the old file counts, so an error before it changes nothing.
//! - Another client's file is adopted in this order: its messages are put here, the file is removed,
//!   the folder is synced. So a crash leaves a message in both files, never in none; and a message
//!   that is attempted from here does not come back there.

use std::collections::HashSet;
use std::io;

use super::journal::{self, Kept, Record};
use crate::client::session::Draft;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::wal::Disk;

/// What a disk refused.
#[derive(Debug)]
pub struct Failure {
    /// A verb phrase.
    pub doing: &'static str,
    /// The file; empty for the folder.
    pub name: String,
    /// The system's word.
    pub error: io::Error,
}

fn failure(doing: &'static str, name: &str) -> impl FnOnce(io::Error) -> Failure {
    let name = name.to_owned();
    move |error| Failure { doing, name, error }
}

/// The name of the outbox of the client in this place.
pub fn file_name(slot: usize) -> String {
    format!("outbox.{slot}")
}

/// The file of one client.
#[derive(Debug)]
pub struct Outbox<D> {
    disk: D,
    slot: usize,
    name: String,
    kept: Kept,
    /// Bytes of the file.
    len: u64,
    /// Lines not yet written.
    buffer: Vec<u8>,
    /// The length from which on the file may be replaced by a short one.
    compact_at: u64,
    /// Lines were written, and not synced.
    unsynced: bool,
    /// What the file says on disk is unknown.
    broken: bool,
}

impl<D: Disk> Outbox<D> {
    /// Opens or makes the file of the client in place `slot`, and gives how many damaged lines were
    /// passed over; the file as it was is kept beside, as `outbox.0.damaged`. Only the client in
    /// place 0 keeps a cursor and a token; the others start from its token.
    ///
    /// # Errors
    /// Where the file cannot be made, read or mended.
    pub fn open(disk: D, slot: usize) -> Result<(Outbox<D>, usize), Failure> {
        let name = file_name(slot);
        let (kept, buffer) = (Kept::default(), Vec::new());
        let compact_at = limits::OUTBOX_FILE_BYTES;
        let (len, unsynced, broken) = (0, false, false);
        let mut outbox =
            Outbox { disk, slot, name, kept, len, buffer, compact_at, unsynced, broken };
        let name = outbox.name.clone();
        if !outbox.has(&name)? {
            outbox.disk.create(&name).map_err(failure("make", &name))?;
        }
        // Also where it was there: the client that made it may have died before it did this.
        outbox.disk.sync_dir().map_err(failure("sync", ""))?;
        let bytes = outbox.read(&name)?;
        let replay = journal::replay(&bytes);
        (outbox.kept, outbox.len) = (replay.kept, replay.good_len as u64);
        if slot > 0 {
            let first = file_name(0);
            let first = if outbox.has(&first)? { outbox.read(&first)? } else { Vec::new() };
            let first = journal::replay(&first).kept;
            let drafts = std::mem::take(&mut outbox.kept.drafts);
            let (cluster, token) = (first.cluster, first.token);
            outbox.kept = Kept { drafts, cluster, token, ..Kept::default() };
        }
        if replay.damaged > 0 {
            let aside = format!("{name}.damaged");
            outbox.make(&aside, &bytes)?;
            outbox.replace()?;
        } else if outbox.len < bytes.len() as u64 || !outbox.kept.drafts.is_empty() {
            // A torn tail goes for good before anything is written over it; and messages that only
            // the page cache may have are on the disk before they are attempted.
            let len = outbox.len;
            let disk = &mut outbox.disk;
            disk.shorten(&name, len).map_err(failure("cut the torn tail of", &name))?;
            disk.fdatasync(&name).map_err(failure("sync", &name))?;
        }
        Ok((outbox, replay.damaged))
    }

    /// What is kept.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Whether all that was put and noted is on the disk.
    pub fn is_synced(&self) -> bool {
        self.buffer.is_empty() && !self.unsynced && !self.broken
    }

    /// The client's place.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds messages and syncs: once this returns they may be attempted. On an error none of them
    /// is kept.
    ///
    /// # Errors
    /// Where the disk does not take them.
    pub fn put(&mut self, drafts: &[Draft]) -> Result<(), Failure> {
        for draft in drafts {
            Record::Put(draft).write(&mut self.buffer);
        }
        self.append(true)?;
        for draft in drafts {
            self.kept.apply(&Record::Put(draft));
        }
        self.compact();
        Ok(())
    }

    /// Notes something that needs no sync; [`Outbox::flush`] writes it.
    pub fn note(&mut self, record: &Record<'_>) {
        if self.slot > 0 && matches!(record, Record::Cursor(_) | Record::Token(_)) {
            return;
        }
        self.kept.apply(record);
        // Own messages are kept only to be passed over by the next first client.
        if self.kept.own.len() > limits::OUTBOX_OWN {
            self.kept.own.drain(..limits::OUTBOX_OWN / 2);
        }
        record.write(&mut self.buffer);
    }

    /// Writes what was noted.
    ///
    /// # Errors
    /// Where the disk does not take it; what was noted is then given up, save in memory.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if !self.buffer.is_empty() {
            self.append(false)?;
            self.compact();
        }
        Ok(())
    }

    /// As [`Outbox::flush`], and syncs.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn sync(&mut self) -> Result<(), Failure> {
        self.append(true)?;
        self.compact();
        Ok(())
    }

    /// Takes over the outboxes of clients that have died, in these places; how many messages that
    /// were.
    ///
    /// # Errors
    /// Where the disk does not take them. Nothing is lost then.
    pub fn adopt(&mut self, slots: &[usize]) -> Result<usize, Failure> {
        let (mut drafts, mut names) = (Vec::new(), Vec::new());
        let mut known: HashSet<u128> = self.kept.drafts.iter().map(|draft| draft.id).collect();
        for name in slots.iter().map(|slot| file_name(*slot)) {
            if self.has(&name)? {
                let bytes = self.read(&name)?;
                let theirs = journal::replay(&bytes).kept.drafts;
                drafts.extend(theirs.into_iter().filter(|draft| known.insert(draft.id)));
                names.push(name);
            }
        }
        if !drafts.is_empty() {
            self.put(&drafts)?;
        }
        for name in &names {
            self.disk.remove(name).map_err(failure("remove", name))?;
        }
        if !names.is_empty() && !planted(Mutant::AdoptedComesBack) {
            self.disk.sync_dir().map_err(failure("sync", ""))?;
        }
        Ok(drafts.len())
    }

    /// Ends cleanly: an empty outbox of a further client is removed.
    ///
    /// # Errors
    /// Where the disk does not take the rest.
    pub fn close(mut self) -> Result<(), Failure> {
        if self.slot > 0 && self.kept.drafts.is_empty() {
            self.flush()?;
            return self.disk.remove(&self.name).map_err(failure("remove", &self.name));
        }
        self.sync()
    }

    /// Appends the lines that wait, and syncs where asked to. On an error they are on disk in no
    /// part.
    fn append(&mut self, sync: bool) -> Result<(), Failure> {
        let buffer = std::mem::take(&mut self.buffer);
        let name = &self.name;
        if self.broken {
            let error = io::Error::other("an earlier write failed; start the client again");
            return Err(failure("write", name)(error));
        }
        let (mut written, mut cuttable) = (Ok(()), true);
        if !buffer.is_empty() {
            written = self.disk.write_at(name, self.len, &buffer).map_err(failure("write", name));
        }
        if written.is_ok() {
            self.unsynced |= !buffer.is_empty();
        }
        if sync && self.unsynced && written.is_ok() {
            written = self.disk.fdatasync(name).map_err(failure("sync", name));
            self.unsynced = written.is_err();
            // What a failed sync was about is neither on the disk nor written by the next one.
            cuttable = written.is_ok();
        }
        match written {
            Ok(()) => self.len += buffer.len() as u64,
            Err(_) => self.undo(cuttable),
        }
        written
    }

    /// The last write or sync failed: nothing of it may come back.
    fn undo(&mut self, cuttable: bool) {
        let (name, len) = (&self.name, self.len);
        let cut = self.disk.shorten(name, len).and_then(|()| self.disk.fdatasync(name));
        if !(cuttable && cut.is_ok()) {
            self.broken |= self.replace().is_err();
        }
    }

    /// Replaces the file by a short one where it has grown long for what it says. Where that fails
    /// the long one stays.
    fn compact(&mut self) {
        let texts: usize = self.kept.drafts.iter().map(|draft| draft.body.len() + 100).sum();
        let useful = (texts + self.kept.own.len() * 64) as u64;
        let is_long = self.len > self.compact_at && self.len > 4 * useful;
        if is_long && self.replace().is_err() {
            self.compact_at = 2 * self.len;
        }
    }

    /// Writes what is kept to a new file and renames it over the old one. After an error the outbox
    /// is broken, or the old file still counts.
    fn replace(&mut self) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        self.kept.write(&mut bytes);
        let new = format!("{}.new", self.name);
        self.make(&new, &bytes)?;
        if let Err(error) = self.disk.rename(&new, &self.name) {
            // Whether the name has changed is known only where the new file still has its own.
            self.broken = !self.has(&new).unwrap_or(false);
            return Err(failure("rename", &new)(error));
        }
        if let Err(error) = self.disk.sync_dir() {
            self.broken = true;
            return Err(failure("sync", "")(error));
        }
        self.len = bytes.len() as u64;
        self.unsynced = false;
        self.compact_at = limits::OUTBOX_FILE_BYTES;
        Ok(())
    }

    /// Makes a file with this content, synced; one of the same name is gone.
    fn make(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        if self.has(name)? {
            self.disk.remove(name).map_err(failure("remove", name))?;
        }
        self.disk.create(name).map_err(failure("make", name))?;
        self.disk.write_at(name, 0, bytes).map_err(failure("write", name))?;
        if planted(Mutant::OutboxReplacedUnsynced) {
            return Ok(());
        }
        self.disk.fdatasync(name).map_err(failure("sync", name))
    }

    fn has(&mut self, name: &str) -> Result<bool, Failure> {
        let names = self.disk.list().map_err(failure("read", ""))?;
        Ok(names.iter().any(|known| known == name))
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, Failure> {
        let length = self.disk.length(name).map_err(failure("read", name))?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let count = self.disk.read_at(name, 0, &mut bytes).map_err(failure("read", name))?;
        bytes.truncate(count);
        Ok(bytes)
    }
}
