//! The little that log and outbox ask of a disk, and the real one. Tests have a simulated one, which
//! crashes, loses what was not synced, fails and fills up when told to.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One directory of files, by name. What it promises:
///
/// * Bytes written are on the disk for sure once a later [`fdatasync`](Disk::fdatasync) of the file
///   has returned; the file's length with them. Before that, any subset of the sectors may be.
/// * Names made, changed and removed are on the disk for sure once a later
///   [`sync_dir`](Disk::sync_dir) has returned. Before that, any subset may be.
/// * After an error of a write or a sync nothing is known about the bytes it was about.
pub trait Disk {
    /// The names of the directory's files, in no order.
    fn list(&mut self) -> io::Result<Vec<String>>;
    /// Makes an empty file; an error where the name is taken.
    fn create(&mut self, name: &str) -> io::Result<()>;
    /// A file's length, bytes.
    fn length(&mut self, name: &str) -> io::Result<u64>;
    /// Makes an empty file `length` zeros long, with blocks of its own that were written, so that
    /// a later sync has nothing but data to write. An error that
    /// [`is_full`](crate::sys::file::is_full) knows where there is no room.
    fn preallocate(&mut self, name: &str, length: u64) -> io::Result<()>;
    /// Makes what is behind `from` zeros that take no room, where that can be done; the length
    /// stays.
    fn give_back(&mut self, name: &str, from: u64) -> io::Result<()>;
    /// Cuts a file to `length` bytes.
    fn shorten(&mut self, name: &str, length: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills `buffer` from `offset`; fewer bytes only at the file's end.
    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Waits until the file's bytes and length are on the disk.
    fn fdatasync(&mut self, name: &str) -> io::Result<()>;
    /// Gives a file another name; a file that had it is gone.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Waits until the directory's names are on the disk.
    fn sync_dir(&mut self) -> io::Result<()>;
    /// 64 random bits, from which salts of segments and ids of messages are made.
    fn random(&mut self) -> io::Result<u64>;
}

/// How many files a [`RealDisk`] keeps open: the active segment, the spare, and one being read.
const OPEN_FILES: usize = 4;
/// Zeros written at a time when a file is made.
const ZEROS_BYTES: usize = 1 << 20;
/// What a write past the system's memory has to be aligned to, in memory and in the file.
const BLOCK_BYTES: usize = 4_096;

/// A directory of a file system.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
    writable: bool,
    /// Least recently used first.
    open: Vec<(String, File)>,
}

impl RealDisk {
    /// The directory at `directory`, which exists.
    pub fn open(directory: &Path) -> RealDisk {
        RealDisk { directory: directory.to_owned(), writable: true, open: Vec::new() }
    }

    /// The same, for reading alone.
    pub fn read_only(directory: &Path) -> RealDisk {
        RealDisk { writable: false, ..RealDisk::open(directory) }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if let Some(at) = self.open.iter().position(|(open, _)| open == name) {
            let found = self.open.remove(at);
            self.open.push(found);
        } else {
            let path = self.directory.join(name);
            let file = OpenOptions::new().read(true).write(self.writable).open(path)?;
            self.keep(name, file);
        }
        let (_, file) = self.open.last().expect("a file was just put there");
        Ok(file)
    }

    fn keep(&mut self, name: &str, file: File) {
        self.forget(name);
        if self.open.len() >= OPEN_FILES {
            self.open.remove(0);
        }
        self.open.push((name.to_owned(), file));
    }

    fn forget(&mut self, name: &str) {
        self.open.retain(|(open, _)| open != name);
    }
}

impl Clone for RealDisk {
    /// The same directory, with files of its own.
    fn clone(&self) -> RealDisk {
        RealDisk { directory: self.directory.clone(), writable: self.writable, open: Vec::new() }
    }
}

impl Disk for RealDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let path = self.directory.join(name);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(path)?;
        self.keep(name, file);
        Ok(())
    }

    fn length(&mut self, name: &str) -> io::Result<u64> {
        Ok(self.file(name)?.metadata()?.len())
    }

    fn preallocate(&mut self, name: &str, length: u64) -> io::Result<()> {
        let file = self.file(name)?;
        // Reserved first, so that a full disk is noticed before anything is written.
        crate::sys::file::preallocate(file, length)?;
        // They need not be in memory: batches fill whole blocks.
        let buffer = vec![0; ZEROS_BYTES + BLOCK_BYTES];
        let zeros = &buffer[buffer.as_ptr().align_offset(BLOCK_BYTES)..][..ZEROS_BYTES];
        let path = self.directory.join(name);
        let direct = OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path).ok();
        let mut at = 0;
        while at < length {
            let step = (length - at).min(zeros.len() as u64);
            let step_zeros = &zeros[..step as usize];
            let written = direct.as_ref().map(|direct| direct.write_all_at(step_zeros, at));
            if !matches!(written, Some(Ok(()))) {
                self.file(name)?.write_all_at(step_zeros, at)?;
            }
            at += step;
        }
        Ok(())
    }

    fn give_back(&mut self, name: &str, from: u64) -> io::Result<()> {
        crate::sys::file::give_back(self.file(name)?, from)
    }

    fn shorten(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.file(name)?.set_len(length)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn read_at(&mut self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = self.file(name)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn fdatasync(&mut self, name: &str) -> io::Result<()> {
        crate::sys::file::fdatasync(self.file(name)?)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.directory.join(from), self.directory.join(to))?;
        self.forget(to);
        self.forget(from);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.forget(name);
        std::fs::remove_file(self.directory.join(name))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        crate::sys::file::sync_dir(&self.directory)
    }

    fn random(&mut self) -> io::Result<u64> {
        Ok(u64::from_be_bytes(crate::sys::entropy::array()?))
    }
}
