//! What a client keeps on disk: the outbox, how far it has shown, the token, the cluster's id.
//!
//! ```text
//! STATE-DIR/USER@SERVER/       mode 0700; one folder an account and set of servers
//!     servers                  their addresses: a list with one of them in common finds the folder
//!     lock.0  outbox.0         the first client of the account that runs; files of mode 0600
//!     lock.1  outbox.1 ...     further ones at the same time, each with an outbox of its own
//! ```
//!
//! A client holds the `flock` of one lock file while it runs, so no two send from one outbox. The
//! first keeps cursor and token; a further one starts from what is newest. Outboxes whose clients
//! have died are taken over: by the client that gets the same place, or by the next first one. (A
//! crash in the middle of that leaves a message in both; it has one id, so it is stored once.)
//!
//! A message is on disk, synced, before its first attempt; that it was refused for good is synced
//! before anybody is told. What else comes after an attempt (`gone`, the cursor) is written without
//! a sync: a power failure can only make the client ask or show again, and what is asked again is
//! recognised by its id. The file is rewritten, short, when most of it is
//! of no use any more: a new file, synced, renamed over the old one, the folder synced.

pub mod journal;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::session::Draft;
use crate::limits;
use crate::sys;
use journal::{Kept, Record};

/// Why something could not be kept.
#[derive(Debug)]
pub enum Error {
    /// The operating system's word: doing what, where.
    Io {
        /// A verb phrase.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The word.
        error: io::Error,
    },
    /// More clients of one account than there are places.
    NoPlace(PathBuf),
}

impl std::fmt::Display for Error {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Io { doing, path, error } => write!(
                out,
                "cannot {doing} {}: {error}; make room or give another place with --state-dir",
                path.display()
            ),
            Error::NoPlace(path) => write!(
                out,
                "{} clients of this account run already with {}; end one or use another --state-dir",
                limits::CLIENT_SLOTS,
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {}

/// What opening found besides the state itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Damaged lines that were passed over; the file as it was is kept beside, as `*.damaged`.
    pub damaged: usize,
    /// Messages taken over from clients that died.
    pub adopted: usize,
    /// Another client of the account runs: this one keeps no cursor.
    pub shared: bool,
}

/// The files of one client.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    _lock: File,
    kept: Kept,
    shared: bool,
    /// Bytes of the file that hold whole lines.
    len: u64,
    /// Lines not yet written.
    buffer: Vec<u8>,
    /// The file's end is not known: nothing can be added any more.
    broken: bool,
}

/// Where state goes without a flag: `$XDG_STATE_HOME/chatctl` or `~/.local/state/chatctl`; `None`
/// where the environment names no home.
pub fn default_dir() -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(absolute);
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    Some(state?.join("chatctl"))
}

impl Store {
    /// Opens (or makes) the files of `user` (a folded name) on `servers` below `state_dir`.
    ///
    /// # Errors
    /// Where the folder or files cannot be made, read or locked.
    pub fn open(state_dir: &Path, user: &str, servers: &[String]) -> Result<(Store, Found), Error> {
        make_dir(state_dir)?;
        let folder = choose_folder(state_dir, user, servers)?;
        let (slot, lock) = take_slot(&folder)?;
        let path = folder.join(format!("outbox.{slot}"));
        // Half-made by a rewrite that was cut: the file itself still says everything.
        let _ = fs::remove_file(path.with_extension("new"));
        let shared = slot > 0;
        let (mut file, bytes) = open_file(&path)?;
        let replay = journal::replay(&bytes);
        let mut kept = replay.kept;
        if shared {
            let (_, first) = open_file(&folder.join("outbox.0"))?;
            let first = journal::replay(&first).kept;
            kept = Kept { drafts: kept.drafts, ..Kept::default() };
            (kept.cluster, kept.token) = (first.cluster, first.token);
        }
        if replay.damaged > 0 {
            let aside = path.with_extension(format!("{slot}.damaged"));
            write_secret(&aside, &bytes)?;
        }
        let len = replay.good_len as u64;
        file.set_len(len).map_err(io_error("cut the torn tail of", &path))?;
        io::Seek::seek(&mut file, io::SeekFrom::End(0)).map_err(io_error("read", &path))?;
        let _lock = lock;
        let (buffer, broken) = (Vec::new(), false);
        let mut store = Store { folder, path, file, _lock, kept, shared, len, buffer, broken };
        let mut found = Found { damaged: replay.damaged, adopted: 0, shared };
        if replay.damaged > 0 {
            store.rewrite()?;
        }
        if !shared {
            found.adopted = store.adopt()?;
        }
        Ok((store, found))
    }

    /// What is kept.
    pub fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The outbox's file, to name it to people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds messages and syncs: once this returns they may be attempted. On an error none of them
    /// is kept.
    ///
    /// # Errors
    /// Where the disk does not take them.
    pub fn put(&mut self, drafts: &[Draft]) -> Result<(), Error> {
        self.flush()?;
        for draft in drafts {
            Record::Put(draft).write(&mut self.buffer);
        }
        let before = self.len;
        let written = self
            .flush()
            .and_then(|()| sys::file::fdatasync(&self.file).map_err(io_error("sync", &self.path)));
        if let Err(error) = written {
            self.cut_back(before);
            return Err(error);
        }
        for draft in drafts {
            self.kept.apply(&Record::Put(draft));
        }
        Ok(())
    }

    /// Notes something that needs no sync; [`Store::flush`] writes it.
    pub fn note(&mut self, record: &Record<'_>) {
        if self.shared && matches!(record, Record::Cursor(_) | Record::Token(_)) {
            return;
        }
        self.kept.apply(record);
        // Own messages are kept only to be passed over by the next first client.
        let most = limits::OWN_RECENT;
        if self.kept.own.len() > 2 * most {
            self.kept.own.drain(..most);
        }
        record.write(&mut self.buffer);
    }

    /// Writes what was noted, and rewrites the file where it has grown long for what it says.
    ///
    /// # Errors
    /// Where the disk does not take it; what was noted is then given up, save in memory.
    pub fn flush(&mut self) -> Result<(), Error> {
        let buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            return Ok(());
        }
        if self.broken {
            let error = io::Error::other("an earlier write failed");
            return Err(io_error("write", &self.path)(error));
        }
        let before = self.len;
        if let Err(error) = self.file.write_all(&buffer) {
            self.cut_back(before);
            return Err(io_error("write", &self.path)(error));
        }
        self.len += buffer.len() as u64;
        if self.len > limits::OUTBOX_FILE_BYTES && self.len > 4 * self.useful_bytes() {
            self.rewrite()?;
        }
        Ok(())
    }

    /// As [`Store::flush`], and syncs.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.flush()?;
        sys::file::fdatasync(&self.file).map_err(io_error("sync", &self.path))
    }

    /// Ends cleanly: an outbox that is a further client's and empty is removed.
    ///
    /// # Errors
    /// Where the disk does not take the rest.
    pub fn close(mut self) -> Result<(), Error> {
        self.flush()?;
        if self.shared && self.kept.drafts.is_empty() {
            let _ = fs::remove_file(&self.path);
            return Ok(());
        }
        self.sync()
    }

    fn useful_bytes(&self) -> u64 {
        let texts: usize = self.kept.drafts.iter().map(|draft| draft.body.len() + 100).sum();
        (texts + self.kept.own.len() * 64) as u64
    }

    /// Undoes a write that failed half-way, so that the next line starts on its own.
    fn cut_back(&mut self, len: u64) {
        let cut = self.file.set_len(len).is_ok()
            && io::Seek::seek(&mut self.file, io::SeekFrom::Start(len)).is_ok();
        self.len = len;
        self.broken = !cut;
    }

    /// Writes the short form beside and renames it over.
    fn rewrite(&mut self) -> Result<(), Error> {
        let mut bytes = Vec::new();
        self.kept.write(&mut bytes);
        let new = self.path.with_extension("new");
        self.file = write_secret(&new, &bytes)?;
        fs::rename(&new, &self.path).map_err(io_error("rename", &new))?;
        sys::file::sync_dir(&self.folder).map_err(io_error("sync", &self.folder))?;
        self.len = bytes.len() as u64;
        Ok(())
    }

    /// Takes over the outboxes of further clients that have died.
    fn adopt(&mut self) -> Result<usize, Error> {
        let mut adopted = 0;
        for slot in 1..limits::CLIENT_SLOTS {
            let path = self.folder.join(format!("outbox.{slot}"));
            if !path.exists() {
                continue;
            }
            let Some(_lock) = try_lock(&self.folder, slot)? else {
                continue;
            };
            let (_, bytes) = open_file(&path)?;
            let drafts: Vec<Draft> = journal::replay(&bytes).kept.drafts.into();
            let waiting = |id: u128| self.kept.drafts.iter().any(|draft| draft.id == id);
            let new: Vec<Draft> = drafts.into_iter().filter(|draft| !waiting(draft.id)).collect();
            self.put(&new)?;
            adopted += new.len();
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
        Ok(adopted)
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |error| Error::Io { doing, path, error }
}

fn make_dir(path: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(io_error("make the folder", path))
}

/// Opens a file for reading and appending, mode 0600, and reads it whole.
fn open_file(path: &Path) -> Result<(File, Vec<u8>), Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path).map_err(io_error("open", path))?;
    let permissions = fs::Permissions::from_mode(0o600);
    file.set_permissions(permissions).map_err(io_error("keep others from", path))?;
    if let Some(folder) = path.parent() {
        sys::file::sync_dir(folder).map_err(io_error("sync", folder))?;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_error("read", path))?;
    Ok((file, bytes))
}

/// Makes a file of mode 0600 with this content, synced.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(io_error("make", path))?;
    file.write_all(bytes).map_err(io_error("write", path))?;
    file.sync_all().map_err(io_error("sync", path))?;
    Ok(file)
}

/// The lock of a place, or `None` where its client lives.
fn try_lock(folder: &Path, slot: usize) -> Result<Option<File>, Error> {
    let path = folder.join(format!("lock.{slot}"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(io_error("open", &path))?;
    let locked = sys::file::lock_exclusive(&file).map_err(io_error("lock", &path))?;
    Ok(locked.then_some(file))
}

fn take_slot(folder: &Path) -> Result<(usize, File), Error> {
    for slot in 0..limits::CLIENT_SLOTS {
        if let Some(lock) = try_lock(folder, slot)? {
            return Ok((slot, lock));
        }
    }
    Err(Error::NoPlace(folder.to_path_buf()))
}

/// The folder of this account whose servers have most in common with the list; a new one where none
/// has any.
fn choose_folder(state_dir: &Path, user: &str, servers: &[String]) -> Result<PathBuf, Error> {
    let mut best: Option<(usize, PathBuf)> = None;
    let entries = fs::read_dir(state_dir).map_err(io_error("read", state_dir))?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names.iter().filter_map(|name| name.to_str()) {
        if name.split_once('@').is_none_or(|(owner, _)| owner != user) {
            continue;
        }
        let folder = state_dir.join(name);
        let known = fs::read_to_string(folder.join("servers")).unwrap_or_default();
        let common = known.lines().filter(|line| servers.iter().any(|s| s == line)).count();
        if common > best.as_ref().map_or(0, |(most, _)| *most) {
            best = Some((common, folder));
        }
    }
    let folder = match best {
        Some((_, folder)) => folder,
        None => state_dir.join(new_folder_name(user, servers, &names)),
    };
    make_dir(&folder)?;
    let (path, list) = (folder.join("servers"), servers.join("\n") + "\n");
    if fs::read_to_string(&path).unwrap_or_default() != list {
        let new = folder.join(format!("servers.{}", std::process::id()));
        write_secret(&new, list.as_bytes())?;
        fs::rename(&new, &path).map_err(io_error("rename", &new))?;
    }
    Ok(folder)
}

fn new_folder_name(user: &str, servers: &[String], taken: &[std::ffi::OsString]) -> String {
    let first = servers.first().map_or("", String::as_str);
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-:".contains(c) { c } else { '_' };
    let name: String = first.chars().map(plain).take(100).collect();
    let base = format!("{user}@{name}");
    let is_free = |name: &String| !taken.iter().any(|t| t == name.as_str());
    let mut names = std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}~{n}")));
    names.find(is_free).expect("there are more numbers than folders")
}
