//! A disk in memory that crashes, fails and fills up when told to.
//!
//! What it promises is what [`Disk`] promises and no more. Every file has two contents: what the
//! page cache shows, and what the platter has; every directory has two sets of names. A write goes
//! to the cache; a sync brings the file's cache to the platter; a crash leaves the platter, plus
//! any subset of the sectors (512 bytes) and of the name changes that were not synced. A failed
//! sync leaves the cache as it is and marks it clean, so that a later sync brings nothing: what
//! Linux does. Every operation that changes something is counted, and any of them can be made to
//! fail, or to be the last one before a crash.
//!
//! Deterministic: the same seed and the same calls give the same bytes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use chatctl::wal::Disk;

use crate::support::Rng;

pub const SECTOR: usize = 512;

/// Handles of one disk: clones see the same files, as two threads' handles of a directory do.
#[derive(Clone)]
pub struct SimDisk {
    inner: Rc<RefCell<Inner>>,
}

/// An operation that changes what a crash can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Preallocate,
    GiveBack,
    Write,
    Shorten,
    Sync,
    Rename,
    Remove,
    SyncDir,
}

/// What is to happen at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes before the operation is over: it may be done in part, and every later one
    /// fails.
    Crash,
    /// The operation fails, done in part; later ones work.
    Error,
}

struct Inner {
    files: BTreeMap<u64, File>,
    next_file: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    rng: Rng,
    operations: Vec<Operation>,
    fault: Option<(usize, Fault)>,
    crashed: bool,
    capacity: u64,
}

#[derive(Clone, Default)]
struct File {
    cache: Vec<u8>,
    platter: Vec<u8>,
    /// Sectors whose cache may differ from the platter, and will be written by the next sync.
    dirty: BTreeSet<usize>,
    length_dirty: bool,
    /// How many bytes at its end take no room.
    given_back: u64,
}

#[derive(Clone)]
enum NameChange {
    Set(String, u64),
    Gone(String),
}

impl SimDisk {
    pub fn new(seed: u64) -> SimDisk {
        let inner = Inner {
            files: BTreeMap::new(),
            next_file: 1,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            rng: Rng::new(seed),
            operations: Vec::new(),
            fault: None,
            crashed: false,
            capacity: u64::MAX,
        };
        SimDisk { inner: Rc::new(RefCell::new(inner)) }
    }

    /// A copy with a life of its own.
    pub fn fork(&self) -> SimDisk {
        let inner = self.inner.borrow();
        let copy = Inner {
            files: inner.files.clone(),
            names: inner.names.clone(),
            durable_names: inner.durable_names.clone(),
            name_changes: inner.name_changes.clone(),
            rng: inner.rng.clone(),
            operations: inner.operations.clone(),
            ..*inner
        };
        SimDisk { inner: Rc::new(RefCell::new(copy)) }
    }

    /// What it draws at random is another row from here on.
    pub fn reseed(&self, seed: u64) {
        self.inner.borrow_mut().rng = Rng::new(seed);
    }

    /// The operations since the disk was made or last restarted.
    pub fn operations(&self) -> Vec<Operation> {
        self.inner.borrow().operations.clone()
    }

    /// Has the operation with this position, from 0, go wrong.
    pub fn fail_at(&self, position: usize, fault: Fault) {
        self.inner.borrow_mut().fault = Some((position, fault));
    }

    /// Nothing is to go wrong any more.
    pub fn fail_no_more(&self) {
        self.inner.borrow_mut().fault = None;
    }

    /// True once a `Crash` has happened.
    pub fn crashed(&self) -> bool {
        self.inner.borrow().crashed
    }

    /// How many bytes all files together may have.
    pub fn set_capacity(&self, bytes: u64) {
        self.inner.borrow_mut().capacity = bytes;
    }

    /// How many bytes all files together have.
    pub fn used(&self) -> u64 {
        self.inner.borrow().used()
    }

    /// How many things are not synced: sectors, lengths and name changes.
    pub fn unsynced(&self) -> usize {
        self.inner.borrow().unsynced()
    }

    /// The power goes and comes again: of what was not synced, what `keep` says is there, asked
    /// with the position of each.
    pub fn restart(&self, mut keep: impl FnMut(usize) -> bool) {
        let inner = &mut *self.inner.borrow_mut();
        let mut position = 0;
        let mut kept = |_: ()| {
            position += 1;
            keep(position - 1)
        };
        for file in inner.files.values_mut() {
            // A file whose length did not arrive ends where it ended; what lies behind is lost.
            if file.length_dirty && kept(()) {
                file.platter.resize(file.cache.len(), 0);
            }
            for sector in std::mem::take(&mut file.dirty) {
                if kept(()) {
                    file.write_back(sector);
                }
            }
            file.length_dirty = false;
            file.cache = file.platter.clone();
        }
        let mut names = std::mem::take(&mut inner.durable_names);
        for change in std::mem::take(&mut inner.name_changes) {
            if kept(()) {
                change.apply(&mut names);
            }
        }
        inner.files.retain(|id, _| names.values().any(|named| named == id));
        inner.names = names.clone();
        inner.durable_names = names;
        inner.operations.clear();
        inner.fault = None;
        inner.crashed = false;
    }

    /// A restart that keeps any subset, as the disk's seed has it.
    pub fn restart_somehow(&self) {
        let mut rng = Rng::new(self.inner.borrow_mut().rng.next());
        // All, none and most are as likely as anything between.
        let of_eight = rng.below(9);
        self.restart(|_| rng.chance(of_eight, 8));
    }

    /// The process ends and starts again, the power does not go: the cache stays.
    pub fn restart_process(&self) {
        let inner = &mut *self.inner.borrow_mut();
        inner.operations.clear();
        inner.fault = None;
        inner.crashed = false;
    }

    /// What is left of a file where the power goes now and nothing that is not synced arrives.
    pub fn durable<T>(&self, name: &str, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let inner = self.inner.borrow();
        inner.durable_names.get(name).map(|id| look(&inner.files[id].platter))
    }

    /// A file's bytes as a reader sees them.
    pub fn content(&self, name: &str) -> Vec<u8> {
        let inner = self.inner.borrow();
        inner.files[&inner.names[name]].cache.clone()
    }

    /// Changes a file behind everybody's back, cache and platter.
    pub fn set_content(&self, name: &str, bytes: &[u8]) {
        let inner = &mut *self.inner.borrow_mut();
        let id = *inner.names.entry(name.to_owned()).or_insert_with(|| {
            inner.next_file += 1;
            inner.next_file
        });
        inner.durable_names.insert(name.to_owned(), id);
        let (cache, platter) = (bytes.to_vec(), bytes.to_vec());
        inner.files.insert(id, File { cache, platter, ..File::default() });
    }

    /// Loses a file behind everybody's back.
    pub fn lose(&self, name: &str) {
        let inner = &mut *self.inner.borrow_mut();
        inner.names.remove(name);
        inner.durable_names.remove(name);
    }

    /// All files' names and bytes.
    pub fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        let names: Vec<String> = self.inner.borrow().names.keys().cloned().collect();
        names.into_iter().map(|name| (name.clone(), self.content(&name))).collect()
    }
}

impl File {
    fn write_back(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.cache.len()).min(self.platter.len());
        if start < end {
            self.platter[start..end].copy_from_slice(&self.cache[start..end]);
        }
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if end > self.cache.len() {
            self.cache.resize(end, 0);
            self.length_dirty = true;
        }
        self.cache[offset..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(offset / SECTOR..=(end - 1) / SECTOR);
        }
    }

    fn set_length(&mut self, length: usize) {
        let cut = self.cache.len().saturating_sub(length) as u64;
        self.given_back = self.given_back.saturating_sub(cut);
        self.cache.resize(length, 0);
        self.length_dirty = true;
    }

    fn sync(&mut self) {
        self.platter.resize(self.cache.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.write_back(sector);
        }
        self.length_dirty = false;
    }

    /// A sync that fails: some of it may have arrived, and the kernel forgets the rest is dirty.
    fn fail_sync(&mut self, rng: &mut Rng) {
        if self.length_dirty && rng.chance(1, 2) {
            self.platter.resize(self.cache.len(), 0);
        }
        for sector in std::mem::take(&mut self.dirty) {
            if rng.chance(1, 2) {
                self.write_back(sector);
            }
        }
        self.length_dirty = false;
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Set(name, id) => {
                // A rename takes the old name away in the same breath.
                names.retain(|_, named| *named != id);
                names.insert(name, id);
            }
            NameChange::Gone(name) => {
                names.remove(&name);
            }
        }
    }
}

impl Inner {
    fn unsynced(&self) -> usize {
        let files = self.files.values();
        let in_files: usize =
            files.map(|file| file.dirty.len() + usize::from(file.length_dirty)).sum();
        in_files + self.name_changes.len()
    }

    /// Counts an operation; `Some` where it is to go wrong.
    fn count(&mut self, operation: Operation) -> Result<Option<Fault>, io::Error> {
        if self.crashed {
            return Err(io::Error::other("the power is off"));
        }
        let position = self.operations.len();
        self.operations.push(operation);
        let fault = self.fault.filter(|(at, _)| *at == position).map(|(_, fault)| fault);
        self.crashed = fault == Some(Fault::Crash);
        Ok(fault)
    }

    fn id(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        let id = self.id(name)?;
        Ok(self.files.get_mut(&id).expect("names name files"))
    }

    fn used(&self) -> u64 {
        let file = |id| &self.files[id];
        self.names.values().map(|id| file(id).cache.len() as u64 - file(id).given_back).sum()
    }

    fn check_room(&self, more: u64) -> io::Result<()> {
        if self.used() + more > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn change_name(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.name_changes.push(change);
    }
}

fn went_wrong() -> io::Error {
    io::Error::other("injected")
}

impl Disk for SimDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.inner.borrow().names.keys().cloned().collect())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let inner = &mut *self.inner.borrow_mut();
        let fault = inner.count(Operation::Create)?;
        if inner.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if fault.is_none() || inner.rng.chance(1, 2) {
            inner.next_file += 1;
            let id = inner.next_file;
            inner.files.insert(id, File::default());
            inner.change_name(NameChange::Set(name.to_owned(), id));
        }
        fault.map_or(Ok(()), |_| Err(went_wrong()))
    }

    fn length(&mut self, name: &str) -> io::Result<u64> {
        Ok(self.inner.borrow_mut().file(name)?.cache.len() as u64)
    }

    fn preallocate(&mut self, name: &str, length: u64) -> io::Result<()> {
        let inner = &mut *self.inner.borrow_mut();
        let fault = inner.count(Operation::Preallocate)?;
        inner.check_room(length)?;
        let length = if fault.is_some() { inner.rng.below(length + 1) } else { length };
        inner.file(name)?.set_length(length as usize);
        fault.map_or(Ok(()), |_| Err(went_wrong()))
    }

    fn give_back(&mut self, name: &str, from: u64) -> io::Result<()> {
        let inner = &mut *self.inner.borrow_mut();
        let fault = inner.count(Operation::GiveBack)?;
        let file = inner.file(name)?;
        let length = file.cache.len() as u64;
        if from < length && fault.is_none() {
            file.write(from as usize, &vec![0; (length - from) as usize]);
            file.given_back = length - from;
        }
        fault.map_or(Ok(()), |_| Err(went_wrong()))
    }

    fn shorten(&mut self, name: &str, length: u64) -> io::Result<()> {
        let inner = &mut *self.inner.borrow_mut();
        let fault = inner.count(Operation::Shorten)?;
        if fault.is_none() || inner.rng.chance(1, 2) {
            inner.file(name)?.set_length(length as usize);
        }
        fault.map_or(Ok(()), |_| Err(went_wrong()))
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let inner = &mut *self.inner.borrow_mut();
        let fault = inner.count(Operation::Write)?;
        let done = if fault.is_some() {
            inner.rng.below(bytes.len() as u64 + 1) as usize
        } else {
            bytes.len()
        };
        let end = offset + done as u64;
        let length = inner.file(name)?.cache.len() as u64;
        inner.check_room(end.saturating_sub(length))?;
        inner.file(name)?.write(offset as usize, &bytes[..done]);
        fault.map_or(Ok(()), |_| Err(went_wrong()))
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let inner = &mut *self.inner.borrow_mut();
        let cache = &inner.file(name)?.cache;
        let start = (offset as usize).min(cache.len());
        let count = buffer.len().min(cache.len() - start);
        buffer[..count].copy_from_slice(&cache[start..start + count]);
        Ok(count)
    }

    fn fdatasync(&mut self, name: &str) -> io::Result<()> {
        let inner = &mut *self.inner.borrow_mut();
        let fault = inner.count(Operation::Sync)?;
        let id = inner.id(name)?;
        let file = inner.files.get_mut(&id).expect("names name files");
        match fault {
            None => {
                file.sync();
                Ok(())
            }
            // What the crash leaves of it is the restart's to say.
            Some(Fault::Crash) => Err(went_wrong()),
            Some(Fault::Error) => {
                file.fail_sync(&mut inner.rng);
                Err(went_wrong())
            }
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let inner = &mut *self.inner.borrow_mut();
        let fault = inner.count(Operation::Rename)?;
        let id = inner.id(from)?;
        if fault.is_none() || inner.rng.chance(1, 2) {
            inner.change_name(NameChange::Set(to.to_owned(), id));
        }
        fault.map_or(Ok(()), |_| Err(went_wrong()))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let inner = &mut *self.inner.borrow_mut();
        let fault = inner.count(Operation::Remove)?;
        inner.id(name)?;
        if fault.is_none() || inner.rng.chance(1, 2) {
            inner.change_name(NameChange::Gone(name.to_owned()));
        }
        fault.map_or(Ok(()), |_| Err(went_wrong()))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        let inner = &mut *self.inner.borrow_mut();
        match inner.count(Operation::SyncDir)? {
            None => {
                inner.name_changes.clear();
                inner.durable_names = inner.names.clone();
                Ok(())
            }
            Some(_) => Err(went_wrong()),
        }
    }

    fn random(&mut self) -> io::Result<u64> {
        Ok(self.inner.borrow_mut().rng.next())
    }
}
