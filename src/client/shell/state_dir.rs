//! The folders and locks around the outboxes: which folder an account has, and which client has which
//! place in it. See [`store`](crate::client::store) for the files.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::store::outbox::{self, Outbox};
use crate::client::store::typed::{Keeper, Typed};
use crate::client::store::{Error, Found};
use crate::limits;
use crate::sys;
use crate::wal::RealDisk;

/// How often a client that makes the account's folder looks whether another has done so, and for how
/// long it waits in between: after that it makes one itself.
const FOLDER_LOOKS: u32 = 200;
const FOLDER_LOOK: Duration = Duration::from_millis(10);

/// The folder of an account, and a client's place in it for as long as this lives.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    slot: usize,
    _lock: Option<File>,
}

/// Where state goes without a flag: `$XDG_STATE_HOME/chatctl` or `~/.local/state/chatctl`; `None`
/// where the environment names no home.
pub fn default_dir() -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(absolute);
    let state = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    Some(state?.join("chatctl"))
}

impl Place {
    /// Opens (or makes) the files of `user` (a folded name) on `servers` below `state_dir`.
    ///
    /// # Errors
    /// Folder or files cannot be made, read or locked.
    pub fn open(
        state_dir: &Path,
        user: &str,
        servers: &[String],
    ) -> Result<(Place, Outbox<RealDisk>, Found), Error> {
        make_dir(state_dir)?;
        let folder = choose_folder(state_dir, user, servers)?;
        let (slot, lock) = take_slot(&folder)?;
        keep_others_from(&folder.join(outbox::file_name(slot)))?;
        let (mut outbox, damaged) = Outbox::open(RealDisk::open(&folder), &folder, slot)?;
        let mut found = Found { damaged, adopted: 0, shared: slot > 0 };
        if slot == 0 {
            let dead = dead_slots(&folder)?;
            let slots: Vec<usize> = dead.iter().map(|(slot, _)| *slot).collect();
            found.adopted = outbox.adopt(&slots)?;
        }
        Ok((Place { folder, slot, _lock: Some(lock) }, outbox, found))
    }

    /// For a client that only reads, where [`Place::open`] fails: nothing is kept.
    pub fn unkept(state_dir: &Path, user: &str, servers: &[String]) -> (Place, Outbox<RealDisk>) {
        let found = find_folder(state_dir, user, servers).unwrap_or_default().0;
        let folder = found.unwrap_or_else(|| state_dir.to_owned());
        let outbox = Outbox::unkept(RealDisk::open(&folder), &folder);
        (Place { folder, slot: 0, _lock: None }, outbox)
    }

    /// The places whose clients have died and left an outbox: for the first client of an account,
    /// which takes these over. Nobody can start in them while the files live.
    ///
    /// # Errors
    /// A lock cannot be tried.
    pub fn dead(&self) -> Result<Vec<(usize, File)>, Error> {
        match self.slot == 0 && self._lock.is_some() {
            true => dead_slots(&self.folder),
            false => Ok(Vec::new()),
        }
    }

    /// What was typed, and what keeps it.
    pub fn typed(&self) -> (Keeper<RealDisk>, Typed) {
        Keeper::open(RealDisk::open(&self.folder), self.slot)
    }
}

/// The places whose clients have died and left an outbox; nobody else can start in them while their
/// locks are held.
fn dead_slots(folder: &Path) -> Result<Vec<(usize, File)>, Error> {
    let mut dead = Vec::new();
    for slot in 1..limits::CLIENT_SLOTS {
        if folder.join(outbox::file_name(slot)).exists()
            && let Some(lock) = try_lock(folder, slot)?
        {
            dead.push((slot, lock));
        }
    }
    Ok(dead)
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
