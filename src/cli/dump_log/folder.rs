//! A directory that text files are exported into: for its owner alone, without following links, and
//! without writing over anything unless that is asked for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::wal::data_dir;

#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    force: bool,
}

impl Folder {
    /// Makes the directory at `path`, with mode 0700, or takes the one that is there. With `force`
    /// files are put in the place of those that are there. A server's data directory is never
    /// taken: the file that says who the server is has a name that is written here too.
    pub fn open(path: &Path, force: bool) -> Result<Folder, String> {
        // Without a slash behind it: with one, a link would be followed.
        let path = &path.components().collect::<PathBuf>();
        let shown = path.display();
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(path);
                let found = found.map_err(|error| format!("cannot use {shown}: {error}"))?;
                if !found.is_dir() {
                    return Err(format!("{shown} is not a directory (links are not followed)"));
                }
                if data_dir::is_one(path) {
                    return Err(format!("{shown} is a server's data directory: give another DIR"));
                }
            }
            Err(error) => return Err(format!("cannot create {shown}: {error}")),
        }
        Ok(Folder { path: path.to_owned(), force })
    }

    /// Looks, before anything is written, whether one of `names` is there and in the way.
    pub fn check<'n>(&self, names: impl Iterator<Item = &'n str>) -> Result<(), String> {
        for name in names {
            let path = self.path.join(name);
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            let shown = path.display();
            if found.is_dir() {
                return Err(format!("{shown} is a directory: give another DIR"));
            }
            if !self.force {
                return Err(format!("{shown} exists: give another DIR, or --force"));
            }
        }
        Ok(())
    }

    /// Makes a file, with mode 0600.
    pub fn create(&self, name: &str) -> Result<File, String> {
        let path = self.path.join(name);
        if self.force {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(format!("cannot replace {}: {error}", path.display()));
                }
                _ => {}
            }
        }
        // What is there by now, a link too, is not opened.
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        file.map_err(|error| format!("cannot create {}: {error}", path.display()))
    }

    /// Appends to a file that [`create`](Folder::create) has made.
    pub fn append(&self, name: &str, text: &[u8]) -> Result<(), String> {
        let path = self.path.join(name);
        let mut options = OpenOptions::new();
        let file = options.append(true).custom_flags(libc::O_NOFOLLOW).open(&path);
        file.and_then(|mut file| file.write_all(text))
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}
