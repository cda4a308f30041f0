//! The data directory: made for its owner alone, used by one process at a time.
//!
//! ```text
//! DIR/                    mode 0700, its files 0600
//!     server_state.txt    hard_state
//!     wal/N.wal           the log
//!     lock                flock, held for as long as the process lives
//!     operator.sock       for operators on this machine, while a server runs
//! ```

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::disk::RealDisk;
use crate::sys::file::{lock_exclusive, sync_dir};

const WAL: &str = "wal";
/// The file that the process which uses the directory has locked.
pub const LOCK: &str = "lock";
const OPERATOR_SOCKET: &str = "operator.sock";

/// A data directory, locked until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug)]
pub enum Error {
    /// Another process uses it.
    InUse(PathBuf),
    /// The file system refused.
    Io {
        /// What could not be made or opened.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InUse(path) => {
                write!(f, "the data directory {} is in use by another process", path.display())
            }
            Error::Io { path, error } => {
                write!(f, "the data directory cannot be used: {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for Error {}

impl DataDir {
    /// Opens the directory at `path`, which is made where it is not there, and locks it.
    pub fn open(path: &Path) -> Result<DataDir, Error> {
        make_directory(path)?;
        let directory = DataDir::lock(path)?;
        make_directory(&path.join(WAL))?;
        Ok(directory)
    }

    /// Locks the directory at `path`, which must exist. Makes nothing but the file that is locked,
    /// where there is none: true says so.
    pub fn lock_existing(path: &Path) -> Result<(DataDir, bool), Error> {
        let is_new = !path.join(LOCK).exists();
        Ok((DataDir::lock(path)?, is_new))
    }

    fn lock(path: &Path) -> Result<DataDir, Error> {
        let lock_path = path.join(LOCK);
        let failed = |error| Error::Io { path: lock_path.clone(), error };
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(&lock_path).map_err(failed)?;
        match lock_exclusive(&lock).map_err(failed)? {
            true => Ok(DataDir { path: path.to_owned(), _lock: lock }),
            false => Err(Error::InUse(path.to_owned())),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log's segments are.
    pub fn wal(&self) -> PathBuf {
        self.path.join(WAL)
    }

    /// The directory as a disk, for [`hard_state`](super::hard_state).
    pub fn disk(&self) -> RealDisk {
        RealDisk::open(&self.path)
    }

    /// The log's directory as a disk, for [`recover`](super::recover) and
    /// [`Writer`](super::Writer).
    pub fn wal_disk(&self) -> RealDisk {
        RealDisk::open(&self.wal())
    }
}

/// The socket at which the server on the directory at `path` answers operators.
pub fn operator_socket(path: &Path) -> PathBuf {
    path.join(OPERATOR_SOCKET)
}

/// Whether the directory at `path` is a data directory, or what is left of one.
pub fn is_one(path: &Path) -> bool {
    [WAL, LOCK].iter().any(|name| path.join(name).exists())
}

/// Makes a directory, durably, where there is none.
fn make_directory(path: &Path) -> Result<(), Error> {
    let failed = |error| Error::Io { path: path.to_owned(), error };
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new("."))).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let name = format!("chatctl-data-dir-{name}-{}", std::process::id());
            Place(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_directory_is_for_its_owner_alone() {
        let place = Place::new("modes");
        let directory = DataDir::open(&place.0.join("below")).unwrap();
        assert_eq!(mode(directory.path()), 0o700);
        assert_eq!(mode(&directory.wal()), 0o700);
        assert_eq!(mode(&directory.path().join(LOCK)), 0o600);
    }

    #[test]
    fn the_second_process_is_told_which_directory_is_in_use() {
        let place = Place::new("lock");
        let first = DataDir::open(&place.0).unwrap();
        let error = DataDir::open(&place.0).unwrap_err();
        assert!(matches!(&error, Error::InUse(path) if *path == place.0), "{error:?}");
        assert!(error.to_string().contains(place.0.to_str().unwrap()), "{error}");
        drop(first);
        DataDir::open(&place.0).unwrap();
    }

    #[test]
    fn a_file_where_the_directory_should_be_is_named() {
        let place = Place::new("file");
        std::fs::create_dir_all(&place.0).unwrap();
        let path = place.0.join("taken");
        std::fs::write(&path, "").unwrap();
        let error = DataDir::open(&path).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
