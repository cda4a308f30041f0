//! One client's file of what must outlive it, on a [`Disk`]. What its lines mean is in
//! [`super::journal`]; locks and folders are the caller's.
//!
//! # What holds
//!
//! 1. Once [`Outbox::put`] has returned `Ok`, every later [`Outbox::open`] has the message, until it
//!    is noted as gone. Once it has returned an error, no later one has it, unless the error says
//!    that the client must be started again.
//! 2. Once [`Outbox::sync`] has returned `Ok`, what was noted before it is not forgotten.
//! 3. Everything else that was noted may be forgotten by a power failure.
//!
//! # How
//!
//! - Lines are appended, then synced. A write that fails is undone: the file is cut to where it
//!   ended, and synced. After a sync that failed (or such a cut) nothing is known of what was written
//!   since the last one, so a new file takes the place of the old. If that fails too, the outbox is
//!   *broken*: what it says on disk is unknown, and it takes nothing more.
//! - A file that says little for its length is replaced by a short one: the new file is made under a
//!   name that belongs to this client alone (`outbox.0.new`), written, synced, renamed over the old
//!   one, and the folder synced. It is made from what is kept in memory, which has everything that
//!   was promised. Until the rename the old file counts, so an error before it changes nothing.
//! - Another client's file is adopted in this order: its messages are put here, the file is removed,
//!   the folder is synced. So a crash leaves a message in both files, never in none; and a message
//!   that is attempted from here does not come back there.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use super::journal::{self, Kept, Record};
use crate::client::session::Draft;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::protocol::id;
use crate::wal::Disk;

/// The name of the outbox of the client in this place.
pub fn file_name(slot: usize) -> String {
    format!("outbox.{slot}")
}

/// The file of one client.
#[derive(Debug)]
pub struct Outbox<D> {
    disk: D,
    /// Where the disk is, for people.
    folder: PathBuf,
    slot: usize,
    name: String,
    kept: Kept,
    len: u64,
    buffer: Vec<u8>,
    /// The length from which on the file may be replaced by a short one.
    compact_at: u64,
    unsynced: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Sound,
    /// What the file says on disk is unknown.
    Broken,
    /// There is no file: nothing is kept.
    Unkept,
}

impl<D: Disk> Outbox<D> {
    /// Opens or makes the file of the client in place `slot`, and gives how many damaged lines were
    /// passed over; the file as it was is kept beside, as `outbox.0.damaged`. Only the client in
    /// place 0 keeps a cursor and a token; the others start from its token. `folder` is where the
    /// disk is, for people.
    ///
    /// # Errors
    /// The file cannot be made, read or mended.
    pub fn open(disk: D, folder: &Path, slot: usize) -> Result<(Outbox<D>, usize), Error> {
        let mut outbox = Outbox::new(disk, folder, slot, State::Sound);
        let name = outbox.name.clone();
        if !outbox.has(&name)? {
            outbox.disk.create(&name).map_err(outbox.error("make", &name))?;
        }
        // Also where it was there: the client that made it may have died before it did this.
        outbox.sync_dir()?;
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
            let cut = outbox.disk.shorten(&name, outbox.len);
            cut.map_err(outbox.error("cut the torn tail of", &name))?;
            outbox.fdatasync(&name)?;
        }
        Ok((outbox, replay.damaged))
    }

    /// For a client that only reads, where [`Outbox::open`] fails: it has the token if that can be
    /// read, takes no messages and keeps nothing.
    pub fn unkept(disk: D, folder: &Path) -> Outbox<D> {
        let mut outbox = Outbox::new(disk, folder, 0, State::Unkept);
        let bytes = outbox.read(&file_name(0)).unwrap_or_default();
        let Kept { token, cluster, .. } = journal::replay(&bytes).kept;
        outbox.kept = Kept { token, cluster, ..Kept::default() };
        outbox
    }

    fn new(disk: D, folder: &Path, slot: usize, state: State) -> Outbox<D> {
        Outbox {
            disk,
            folder: folder.to_owned(),
            slot,
            name: file_name(slot),
            kept: Kept::default(),
            len: 0,
            buffer: Vec::new(),
            compact_at: limits::OUTBOX_FILE_BYTES,
            unsynced: false,
            state,
        }
    }

    /// What is kept.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The client's place.
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// The file, to name it to people.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// The id of a new message.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn new_id(&mut self) -> Result<u128, Error> {
        let mut random = [0; 16];
        for half in random.chunks_mut(8) {
            let bits = self.disk.random();
            let bits = bits.map_err(self.error("get random bytes for", &self.name))?;
            half.copy_from_slice(&bits.to_be_bytes());
        }
        Ok(id::from_random(random))
    }

    /// Adds messages and syncs: once this returns they may be attempted. On an error none of them
    /// is kept.
    ///
    /// # Errors
    /// The disk does not take them.
    pub fn put(&mut self, drafts: &[Draft]) -> Result<(), Error> {
        if self.state == State::Unkept {
            return Err(self.error("write", &self.name)(io::ErrorKind::Unsupported.into()));
        }
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
        let is_of_first = matches!(record, Record::Cursor(_) | Record::Token(_));
        if self.state == State::Unkept || self.slot > 0 && is_of_first {
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
    /// The disk does not take it: what was noted is then kept in memory alone.
    pub fn flush(&mut self) -> Result<(), Error> {
        if !self.buffer.is_empty() {
            self.append(false)?;
            self.compact();
        }
        Ok(())
    }

    /// As [`Outbox::flush`], and syncs.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.append(true)?;
        self.compact();
        Ok(())
    }

    /// Takes over the outboxes of clients that have died, in these places; how many messages that
    /// were. One that has more than this one has room for stays where it is, for the next time.
    ///
    /// # Errors
    /// The disk does not take them. Nothing is lost then.
    pub fn adopt(&mut self, slots: &[usize]) -> Result<usize, Error> {
        let (mut drafts, mut names) = (Vec::new(), Vec::new());
        let mut known: HashSet<u128> = self.kept.drafts.iter().map(|draft| draft.id).collect();
        for name in slots.iter().map(|slot| file_name(*slot)) {
            if self.has(&name)? {
                let bytes = self.read(&name)?;
                let mut theirs = journal::replay(&bytes).kept.drafts;
                theirs.retain(|draft| !known.contains(&draft.id));
                if theirs.is_empty() || fits(self.kept.drafts.iter().chain(&drafts).chain(&theirs))
                {
                    known.extend(theirs.iter().map(|draft| draft.id));
                    drafts.extend(theirs);
                    names.push(name);
                }
            }
        }
        let is_late = planted(Mutant::AdoptedPutLate);
        if !is_late {
            self.put_whole(&drafts)?;
        }
        for name in &names {
            self.remove(name)?;
        }
        if !names.is_empty() && !planted(Mutant::AdoptedComesBack) {
            self.sync_dir()?;
        }
        if is_late {
            self.put_whole(&drafts)?;
        }
        Ok(drafts.len())
    }

    /// As [`Outbox::put`], in a new file that takes the old one's place: all of them or none. Of lines
    /// behind the others a crash may leave some, and these would be sent before what is missing.
    fn put_whole(&mut self, drafts: &[Draft]) -> Result<(), Error> {
        if drafts.is_empty() {
            return Ok(());
        }
        if self.state != State::Sound || planted(Mutant::AdoptedInPieces) {
            return self.put(drafts);
        }
        let before = self.kept.clone();
        drafts.iter().for_each(|draft| self.kept.apply(&Record::Put(draft)));
        self.replace().inspect_err(|_| self.kept = before)
    }

    /// Ends cleanly: an empty outbox of a further client is removed.
    ///
    /// # Errors
    /// The disk does not take the rest.
    pub fn close(mut self) -> Result<(), Error> {
        if self.slot > 0 && self.kept.drafts.is_empty() {
            self.flush()?;
            let name = self.name.clone();
            return self.remove(&name);
        }
        self.sync()
    }

    /// Appends the lines that wait, and syncs if asked to. On an error they are on disk in no part.
    fn append(&mut self, sync: bool) -> Result<(), Error> {
        let buffer = std::mem::take(&mut self.buffer);
        match self.state {
            State::Sound => {}
            State::Unkept => return Ok(()),
            State::Broken => {
                let error = io::Error::other("an earlier write failed; start the client again");
                return Err(self.error("write", &self.name)(error));
            }
        }
        let (mut written, mut cuttable) = (Ok(()), true);
        if !buffer.is_empty() {
            let done = self.disk.write_at(&self.name, self.len, &buffer);
            written = done.map_err(self.error("write", &self.name));
        }
        if written.is_ok() {
            self.unsynced |= !buffer.is_empty();
        }
        if sync && self.unsynced && written.is_ok() {
            let done = self.disk.fdatasync(&self.name);
            written = done.map_err(self.error("sync", &self.name));
            self.unsynced = written.is_err();
            // What a failed sync was about is neither on the disk nor written by the next one.
            cuttable = written.is_ok();
        }
        match written {
            Ok(()) => self.len += buffer.len() as u64,
            Err(_) if planted(Mutant::FailedPutStays) => {}
            Err(_) => self.undo(cuttable),
        }
        written
    }

    /// The last write or sync failed: nothing of it may come back.
    fn undo(&mut self, cuttable: bool) {
        let (name, len) = (&self.name, self.len);
        let cut = self.disk.shorten(name, len).and_then(|()| self.disk.fdatasync(name));
        if !(cuttable && cut.is_ok()) && self.replace().is_err() {
            self.state = State::Broken;
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
    fn replace(&mut self) -> Result<(), Error> {
        let mut bytes = Vec::new();
        self.kept.write(&mut bytes);
        let new = format!("{}.new", self.name);
        self.make(&new, &bytes)?;
        if let Err(error) = self.disk.rename(&new, &self.name) {
            // Whether the name has changed is known only where the new file still has its own.
            if !self.has(&new).unwrap_or(false) {
                self.state = State::Broken;
            }
            return Err(self.error("rename", &new)(error));
        }
        if let Err(error) = self.sync_dir() {
            self.state = State::Broken;
            return Err(error);
        }
        self.len = bytes.len() as u64;
        self.unsynced = false;
        self.compact_at = limits::OUTBOX_FILE_BYTES;
        Ok(())
    }

    /// Makes a file with this content, synced; one of the same name is gone.
    fn make(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        if self.has(name)? {
            self.remove(name)?;
        }
        self.disk.create(name).map_err(self.error("make", name))?;
        self.disk.write_at(name, 0, bytes).map_err(self.error("write", name))?;
        if planted(Mutant::OutboxReplacedUnsynced) {
            return Ok(());
        }
        self.fdatasync(name)
    }

    fn has(&mut self, name: &str) -> Result<bool, Error> {
        let names = self.disk.list().map_err(self.error("read", ""))?;
        Ok(names.iter().any(|known| known == name))
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, Error> {
        let length = self.disk.length(name).map_err(self.error("read", name))?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        let read = self.disk.read_at(name, 0, &mut bytes);
        bytes.truncate(read.map_err(self.error("read", name))?);
        Ok(bytes)
    }

    fn remove(&mut self, name: &str) -> Result<(), Error> {
        self.disk.remove(name).map_err(self.error("remove", name))
    }

    fn fdatasync(&mut self, name: &str) -> Result<(), Error> {
        self.disk.fdatasync(name).map_err(self.error("sync", name))
    }

    fn sync_dir(&mut self) -> Result<(), Error> {
        self.disk.sync_dir().map_err(self.error("sync", ""))
    }

    /// The failure of a file; of the folder where it has no name.
    fn error(&self, doing: &'static str, name: &str) -> impl FnOnce(io::Error) -> Error + use<D> {
        let path = if name.is_empty() { self.folder.clone() } else { self.folder.join(name) };
        move |error| Error::Io { doing, path, error }
    }
}

/// Whether these are no more than one client may have waiting.
fn fits<'a>(drafts: impl Iterator<Item = &'a Draft>) -> bool {
    let (mut count, mut bytes) = (0, 0);
    for draft in drafts {
        count += 1;
        bytes += draft.body.len();
    }
    count <= limits::OUTBOX_MESSAGES && bytes <= limits::OUTBOX_BYTES
}
