//! The file with the cluster's secret: 64 hexadecimal digits and a line's end, for its owner alone.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::auth::{hex, hmac};
use crate::limits::SECRET_FILE_BYTES;
use crate::sys::{entropy, file};

/// Bytes of a secret.
const BYTES: usize = 32;

/// Why there is no secret.
#[derive(Debug)]
pub enum Error {
    /// The file system refused.
    Io(PathBuf, io::Error),
    /// Others may read it; the mode that it has.
    Mode(PathBuf, u32),
    /// It is not what [`make`] writes.
    Malformed(PathBuf),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(path, error) if error.kind() == io::ErrorKind::AlreadyExists => write!(
                f,
                "{} exists already and was not changed: give another file name",
                path.display()
            ),
            Error::Io(path, error) => write!(f, "the secret file {}: {error}", path.display()),
            Error::Mode(path, mode) => {
                let path = path.display();
                write!(f, "the secret file {path} has mode {mode:04o}: chmod 600 {path}")
            }
            Error::Malformed(path) => write!(
                f,
                "the secret file {} does not have 64 hexadecimal digits; make one with chatctl \
                 serve --new-secret FILE",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {}

/// Makes a new secret, durably, in a file that is not there yet.
pub fn make(path: &Path) -> Result<(), Error> {
    let failed = |error| Error::Io(path.to_owned(), error);
    let secret: [u8; BYTES] = entropy::array().map_err(failed)?;
    let mut options = OpenOptions::new();
    let mut made = options.write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    made.write_all(format!("{}\n", hex::encode(&secret)).as_bytes()).map_err(failed)?;
    made.sync_all().map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    file::sync_dir(folder.unwrap_or(Path::new("."))).map_err(failed)
}

/// Reads a secret that nobody else may read.
pub fn read(path: &Path) -> Result<hmac::Key, Error> {
    let failed = |error| Error::Io(path.to_owned(), error);
    let mut file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Error::Mode(path.to_owned(), mode));
    }
    let mut text = String::new();
    let most = SECRET_FILE_BYTES as u64;
    (&mut file).take(most + 1).read_to_string(&mut text).map_err(failed)?;
    let whole = text.len() <= SECRET_FILE_BYTES;
    let secret = hex::decode(text.trim_end()).filter(|secret| whole && secret.len() == BYTES);
    match secret {
        Some(secret) => Ok(hmac::Key::new(&secret)),
        None => Err(Error::Malformed(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            Place(
                std::env::temp_dir().join(format!("chatctl-secret-{name}-{}", std::process::id())),
            )
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_secret_is_made_once_for_its_owner_alone_and_read_back() {
        let place = Place::new("make");
        make(&place.0).unwrap();
        let text = std::fs::read_to_string(&place.0).unwrap();
        assert_eq!(text.len(), 2 * BYTES + 1);
        assert_eq!(std::fs::metadata(&place.0).unwrap().mode() & 0o777, 0o600);
        let secret = hex::decode(text.trim_end()).unwrap();
        let expected = hmac::Key::new(&secret).mac(b"x");
        assert_eq!(read(&place.0).unwrap().mac(b"x"), expected);
        let error = make(&place.0).unwrap_err().to_string();
        assert!(error.contains("was not changed"), "{error}");
        assert_eq!(std::fs::read_to_string(&place.0).unwrap(), text);
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_what_to_do() {
        let place = Place::new("mode");
        make(&place.0).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o610] {
            set_permissions(&place.0, Permissions::from_mode(mode)).unwrap();
            let error = read(&place.0).err().unwrap().to_string();
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:04o}")));
        }
        set_permissions(&place.0, Permissions::from_mode(0o400)).unwrap();
        assert!(read(&place.0).is_ok());
    }

    #[test]
    fn a_file_that_holds_no_secret_is_refused() {
        let place = Place::new("form");
        let padded = |bytes: usize| format!("{:\n<bytes$}", "0".repeat(64));
        let write = |text: &str| {
            std::fs::write(&place.0, text).unwrap();
            set_permissions(&place.0, Permissions::from_mode(0o600)).unwrap();
        };
        write(&padded(SECRET_FILE_BYTES));
        assert!(read(&place.0).is_ok(), "blank lines at the end are none of it");
        let long = padded(SECRET_FILE_BYTES + 1);
        let wrong = ["", "secret\n", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64), &long];
        for text in wrong {
            write(text);
            let error = read(&place.0).err().unwrap().to_string();
            assert!(error.contains("--new-secret"), "{error}");
        }
    }
}
