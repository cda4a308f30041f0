//! A small disk: a file system in memory, of a bounded size, that a test can fill up.

use super::bounded::Run;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file that takes the room.
pub const BALLAST: &str = "ballast";

/// One, mounted over a directory until it is dropped. Only the thread that mounted it, and what that
/// starts, see it, and only after [`super::sys::own_mounts`].
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `bytes` over `path`, which is made; or says why that cannot be.
    pub fn mount(path: &Path, bytes: u64) -> Result<SmallDisk, String> {
        let error = |error: std::io::Error| format!("{}: {error}", path.display());
        std::fs::create_dir_all(path).map_err(error)?;
        let options = format!("size={bytes},mode=700");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path);
        let output = command.try_run().map_err(|error| format!("mount cannot be run: {error}"))?;
        match output.status.success() {
            true => Ok(SmallDisk { path: path.to_owned() }),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }

    /// Takes all its room but `room` bytes.
    pub fn fill(&self, room: u64) {
        let mut ballast = self.ballast();
        let zeros = vec![0; 1 << 16];
        let full = loop {
            if let Err(error) = ballast.write_all(&zeros) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        let taken = ballast.metadata().expect("a file has a size").len();
        ballast.set_len(taken.saturating_sub(room)).expect("a file can be made shorter");
    }

    /// Gives the room back.
    pub fn free(&self) {
        self.ballast().set_len(0).expect("a file can be made shorter");
    }

    fn ballast(&self) -> File {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        options.open(self.path.join(BALLAST)).expect("an empty file needs no room")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).try_run();
    }
}
