//! `inotify`: being told when a directory's files change, so that nobody has to look again and again.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is waited for: a file was written, made, renamed or removed, or the directory has gone.
const EVENTS: u32 = libc::IN_MODIFY
    | libc::IN_CREATE
    | libc::IN_MOVED_TO
    | libc::IN_DELETE
    | libc::IN_DELETE_SELF
    | libc::IN_MOVE_SELF;

/// A directory that is watched.
#[derive(Debug)]
pub struct Watch {
    file: File,
}

impl Watch {
    /// Watches a directory from now on.
    pub fn directory(path: &Path) -> io::Result<Watch> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        // SAFETY: inotify_init1 touches no memory; the descriptor it gives is ours alone.
        let file = unsafe {
            let fd = libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK);
            if fd == -1 {
                return Err(io::Error::last_os_error());
            }
            File::from_raw_fd(fd)
        };
        // SAFETY: `name` is a live string with its zero byte, only read.
        match unsafe { libc::inotify_add_watch(file.as_raw_fd(), name.as_ptr(), EVENTS) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(Watch { file }),
        }
    }

    /// Takes what was told; never waits. To be called before looking at the directory: what changes
    /// after that is told anew.
    pub fn clear(&mut self) -> io::Result<()> {
        let mut events = [0; 4096];
        loop {
            match self.file.read(&mut events) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsRawFd for Watch {
    /// Readable when something has changed since [`Watch::clear`].
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::poll::{PollFd, wait};
    use super::*;
    use std::fs;

    fn is_told(watch: &Watch, timeout_ms: u64) -> bool {
        let mut fds = [PollFd::new(watch.as_raw_fd(), true, false)];
        wait(&mut fds, Some(timeout_ms)).unwrap() == 1
    }

    #[test]
    fn writing_and_renaming_are_told_once_until_there_is_more() {
        let name = format!("chatctl-sys-watch-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        let mut watch = Watch::directory(&path).unwrap();
        assert!(!is_told(&watch, 0));
        fs::write(path.join("one"), "text").unwrap();
        assert!(is_told(&watch, 10_000));
        watch.clear().unwrap();
        assert!(!is_told(&watch, 0));
        fs::rename(path.join("one"), path.join("two")).unwrap();
        assert!(is_told(&watch, 10_000));
        watch.clear().unwrap();
        fs::remove_dir_all(&path).unwrap();
        assert!(is_told(&watch, 10_000), "the end of the directory too");
        assert!(Watch::directory(&path).is_err());
    }
}
