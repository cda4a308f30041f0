//! What a client keeps on disk: the outbox, how far it has shown, the token, the cluster's id.
//!
//! ```text
//! STATE-DIR/lock               held while a folder is made
//! STATE-DIR/USER@SERVER/       mode 0700; one folder an account and set of servers
//!     servers                  their addresses: a list with one of them in common finds the folder
//!     lock.0  outbox.0         the first client of the account that runs; files of mode 0600
//!     lock.1  outbox.1 ...     further ones at the same time, each with an outbox of its own
//!     typed                    the input history, drafts and muted names, of all of them
//! ```
//!
//! A client holds the `flock` of one lock file while it runs, so no two send from one outbox. The
//! first keeps cursor and token; a further one starts from what is newest. Outboxes whose clients
//! have died are taken over: by the client that gets the same place, or by the next first one. (A
//! crash in the middle of that leaves a message in both; it has one id, so it is stored once.)
//!
//! A message is on disk, synced, before its first attempt; a refusal for good is synced before
//! anybody is told of it. What else follows an attempt (`gone`, the cursor) is written without a
//! sync: a power failure can only make the client ask or show again, and what is asked again is
//! recognised by its id. What the file itself promises is in [`outbox`]. [`typed`] is a convenience,
//! and promises nothing.

pub mod journal;
pub mod outbox;
#[cfg(test)]
mod tests;
pub mod typed;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::session::Draft;
use crate::limits;
use crate::sys;
use crate::wal::RealDisk;
use journal::{Kept, Record};
use outbox::Outbox;
use typed::{Keeper, Typed};

/// How often a client that makes the account's folder looks whether another has done so, and for how
/// long it waits in between: after that it makes one itself.
const FOLDER_LOOKS: u32 = 200;
const FOLDER_LOOK: Duration = Duration::from_millis(10);

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
                "cannot {doing} {}: {error}; check permissions and disk space, or give another \
                 directory with --state-dir",
                path.display()
            ),
            Error::NoPlace(path) => write!(
                out,
                "{} clients of this account are running with {} already; quit one or give another \
                 --state-dir",
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
    kind: Kind,
    folder: PathBuf,
    path: PathBuf,
}

#[derive(Debug)]
enum Kind {
    /// Its place is locked.
    Open { outbox: Outbox<RealDisk>, _lock: File },
    /// Nothing is kept: what was read at the start.
    Unkept(Kept),
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
        let path = folder.join(outbox::file_name(slot));
        keep_others_from(&path)?;
        let opened = Outbox::open(RealDisk::open(&folder), slot);
        let (outbox, damaged) = opened.map_err(|failure| at(&folder, failure))?;
        let mut found = Found { damaged, adopted: 0, shared: slot > 0 };
        let mut outbox = outbox;
        if slot == 0 {
            found.adopted = adopt(&folder, &mut outbox)?;
        }
        Ok((Store { kind: Kind::Open { outbox, _lock: lock }, folder, path }, found))
    }

    /// A store for a client that only reads, where [`Store::open`] fails: it has the token, if there
    /// is one that can be read, takes no messages and forgets what it is told.
    pub fn unkept(state_dir: &Path, user: &str, servers: &[String]) -> Store {
        let found = find_folder(state_dir, user, servers).unwrap_or_default().0;
        let folder = found.unwrap_or_else(|| state_dir.to_owned());
        let path = folder.join(outbox::file_name(0));
        let Kept { token, cluster, .. } =
            journal::replay(&fs::read(&path).unwrap_or_default()).kept;
        Store { kind: Kind::Unkept(Kept { token, cluster, ..Kept::default() }), folder, path }
    }

    /// What is kept.
    pub fn kept(&self) -> &Kept {
        match &self.kind {
            Kind::Open { outbox, .. } => outbox.kept(),
            Kind::Unkept(kept) => kept,
        }
    }

    /// Whether all that was put and noted is on the disk.
    pub fn is_synced(&self) -> bool {
        match &self.kind {
            Kind::Open { outbox, .. } => outbox.is_synced(),
            Kind::Unkept(_) => true,
        }
    }

    /// The outbox's file, to name it to people.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was typed, and what keeps it.
    pub fn typed(&self) -> (Keeper<RealDisk>, Typed) {
        let slot = match &self.kind {
            Kind::Open { outbox, .. } => outbox.slot(),
            // Nothing is typed where nothing is kept.
            Kind::Unkept(_) => 0,
        };
        Keeper::open(RealDisk::open(&self.folder), slot)
    }

    /// See [`Outbox::put`].
    ///
    /// # Errors
    /// Where the disk does not take the messages.
    pub fn put(&mut self, drafts: &[Draft]) -> Result<(), Error> {
        match &mut self.kind {
            Kind::Open { outbox, .. } => {
                outbox.put(drafts).map_err(|failure| at(&self.folder, failure))
            }
            Kind::Unkept(_) => {
                Err(io_error("write", &self.path)(io::ErrorKind::Unsupported.into()))
            }
        }
    }

    /// See [`Outbox::note`].
    pub fn note(&mut self, record: &Record<'_>) {
        if let Kind::Open { outbox, .. } = &mut self.kind {
            outbox.note(record);
        }
    }

    /// See [`Outbox::flush`].
    ///
    /// # Errors
    /// Where the disk does not take what was noted.
    pub fn flush(&mut self) -> Result<(), Error> {
        match &mut self.kind {
            Kind::Open { outbox, .. } => {
                outbox.flush().map_err(|failure| at(&self.folder, failure))
            }
            Kind::Unkept(_) => Ok(()),
        }
    }

    /// See [`Outbox::sync`].
    ///
    /// # Errors
    /// Where the disk does not take what was noted.
    pub fn sync(&mut self) -> Result<(), Error> {
        match &mut self.kind {
            Kind::Open { outbox, .. } => outbox.sync().map_err(|failure| at(&self.folder, failure)),
            Kind::Unkept(_) => Ok(()),
        }
    }

    /// Ends cleanly.
    ///
    /// # Errors
    /// Where the disk does not take the rest.
    pub fn close(self) -> Result<(), Error> {
        match self.kind {
            Kind::Open { outbox, .. } => {
                outbox.close().map_err(|failure| at(&self.folder, failure))
            }
            Kind::Unkept(_) => Ok(()),
        }
    }
}

/// Takes over the outboxes of clients that have died; nobody else can start in their places
/// meanwhile.
fn adopt(folder: &Path, outbox: &mut Outbox<RealDisk>) -> Result<usize, Error> {
    let (mut slots, mut locks) = (Vec::new(), Vec::new());
    for slot in 1..limits::CLIENT_SLOTS {
        if folder.join(outbox::file_name(slot)).exists()
            && let Some(lock) = try_lock(folder, slot)?
        {
            slots.push(slot);
            locks.push(lock);
        }
    }
    outbox.adopt(&slots).map_err(|failure| at(folder, failure))
}

/// The failure of a file in this folder.
fn at(folder: &Path, failure: outbox::Failure) -> Error {
    let outbox::Failure { doing, name, error } = failure;
    let path = if name.is_empty() { folder.to_owned() } else { folder.join(name) };
    Error::Io { doing, path, error }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |error| Error::Io { doing, path, error }
}

/// Makes a folder, and those above it, where they are not there; the new names are durable then.
fn make_dir(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    make_dir(above)?;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(io_error("create the directory", path))?;
    sys::file::sync_dir(above).map_err(io_error("sync", above))
}

/// Takes from others what an earlier umask may have given them.
fn keep_others_from(path: &Path) -> Result<(), Error> {
    match fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("set the permissions of", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes a file of mode 0600 with this content, synced.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(io_error("make", path))?;
    file.write_all(bytes).map_err(io_error("write", path))?;
    file.sync_all().map_err(io_error("sync", path))
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

/// The folder of this account whose servers have most in common with the list, if any has; and all
/// names that are there.
fn find_folder(
    state_dir: &Path,
    user: &str,
    servers: &[String],
) -> Result<(Option<PathBuf>, Vec<OsString>), Error> {
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
    Ok((best.map(|(_, folder)| folder), names))
}

/// The folder of [`find_folder`], or a new one.
fn choose_folder(state_dir: &Path, user: &str, servers: &[String]) -> Result<PathBuf, Error> {
    if let (Some(folder), _) = find_folder(state_dir, user, servers)? {
        keep_folder(state_dir, &folder, servers)?;
        return Ok(folder);
    }
    // Clients that start at the same time must not make one each.
    let path = state_dir.join("lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let lock = options.open(&path).map_err(io_error("open", &path))?;
    for _ in 0..FOLDER_LOOKS {
        if sys::file::lock_exclusive(&lock).map_err(io_error("lock", &path))? {
            break;
        }
        std::thread::sleep(FOLDER_LOOK);
    }
    let (found, names) = find_folder(state_dir, user, servers)?;
    let folder = found.unwrap_or_else(|| state_dir.join(new_folder_name(user, servers, &names)));
    keep_folder(state_dir, &folder, servers)?;
    Ok(folder)
}

/// Makes the folder where it is not there, and writes down its servers.
fn keep_folder(state_dir: &Path, folder: &Path, servers: &[String]) -> Result<(), Error> {
    make_dir(folder)?;
    // Also where it was there: the client that made it may have died before it did this.
    sys::file::sync_dir(state_dir).map_err(io_error("sync", state_dir))?;
    let (path, list) = (folder.join("servers"), servers.join("\n") + "\n");
    if fs::read_to_string(&path).unwrap_or_default() != list {
        let new = folder.join(format!("servers.{}", std::process::id()));
        write_secret(&new, list.as_bytes())?;
        fs::rename(&new, &path).map_err(io_error("rename", &new))?;
    }
    Ok(())
}

fn new_folder_name(user: &str, servers: &[String], taken: &[OsString]) -> String {
    let first = servers.first().map_or("", String::as_str);
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-:".contains(c) { c } else { '_' };
    let name: String = first.chars().map(plain).take(100).collect();
    let base = format!("{user}@{name}");
    let is_free = |name: &String| !taken.iter().any(|t| t == name.as_str());
    let mut names = std::iter::once(base.clone()).chain((2..).map(|n| format!("{base}~{n}")));
    names.find(is_free).expect("there are more numbers than folders")
}
