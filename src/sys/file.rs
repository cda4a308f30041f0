//! What the write-ahead log needs of files beyond the standard library.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::retry;

/// Takes the lock of a whole file (`flock`) without waiting: true when it is ours now, false when
/// another open file holds it. It goes with the last descriptor of this open file.
pub fn lock_exclusive(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; flock touches no memory.
    match retry(|| unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a write failed for want of room: the file system is full, a quota is used up, or the file
/// would grow past what the process may write (`ulimit -f`, `LimitFSIZE=`).
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Makes a file at least `len` bytes long, with blocks of the disk behind them, so that writing
/// there later needs no more space. What is in the file stays; new bytes are zero. Where the file
/// system cannot reserve blocks, zeros are written past the file's end. Errors: those of
/// [`is_full`], after which the file may be longer all the same.
pub fn preallocate(file: &File, len: u64) -> io::Result<()> {
    let length = libc::off_t::try_from(len)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "length past what a file has"))?;
    if length == 0 {
        return Ok(());
    }
    // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is touched.
    match retry(|| unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) }) {
        Ok(_) => Ok(()),
        Err(error) if is_unsupported(&error) => write_zeros(file, len),
        Err(error) => Err(error),
    }
}

/// Makes a file's bytes from `from` on zeros that take no room; its length stays. Where the file
/// system cannot do that, nothing happens.
pub fn give_back(file: &File, from: u64) -> io::Result<()> {
    let length = file.metadata()?.len().saturating_sub(from);
    let out_of_range = |_| io::Error::new(io::ErrorKind::InvalidInput, "past what a file has");
    let (from, length) = (libc::off_t::try_from(from), libc::off_t::try_from(length));
    let (from, length) = (from.map_err(out_of_range)?, length.map_err(out_of_range)?);
    if length == 0 {
        return Ok(());
    }
    let how = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is touched.
    match retry(|| unsafe { libc::fallocate(file.as_raw_fd(), how, from, length) }) {
        Err(error) if !is_unsupported(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Writes zeros from the file's end up to `len`.
fn write_zeros(file: &File, len: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut end = file.metadata()?.len();
    while end < len {
        let count = ZEROS.len().min(usize::try_from(len - end).unwrap_or(usize::MAX));
        file.write_all_at(&ZEROS[..count], end)?;
        end += count as u64;
    }
    Ok(())
}

/// Makes a file's content, and the length needed to read it, durable.
pub fn fdatasync(file: &File) -> io::Result<()> {
    file.sync_data()
}

/// Makes the names in a folder durable: files created, renamed and removed there.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Reads at `offset` only what the page cache has, without waiting for the disk. `Some(n)`: n bytes
/// were read, perhaps fewer than asked for; `Some(0)`: the file ends there. `None`: the disk would
/// have to be waited for, or this file system cannot say; read another way.
pub fn read_nowait(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
    let Ok(offset) = libc::off_t::try_from(offset) else {
        return Ok(Some(0));
    };
    let slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    loop {
        // SAFETY: `slice` describes one live, writable buffer; the descriptor is open for as long
        // as `file` is borrowed.
        let count = unsafe { libc::preadv2(file.as_raw_fd(), &slice, 1, offset, libc::RWF_NOWAIT) };
        if count >= 0 {
            return Ok(Some(count as usize));
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => return Ok(None),
            _ if is_unsupported(&error) => return Ok(None),
            _ => return Err(error),
        }
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    /// A path in the temporary directory, removed at the end.
    struct TempPath(PathBuf);

    impl TempPath {
        fn new(name: &str) -> TempPath {
            let file_name = format!("chatctl-sys-file-{name}-{}", std::process::id());
            TempPath(std::env::temp_dir().join(file_name))
        }

        fn open(&self) -> File {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(&self.0).unwrap()
        }
    }

    impl Drop for TempPath {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_lock_has_one_holder_until_it_is_closed() {
        let path = TempPath::new("lock");
        let (first, second) = (path.open(), path.open());
        assert!(lock_exclusive(&first).unwrap());
        assert!(lock_exclusive(&first).unwrap(), "the holder may ask again");
        assert!(!lock_exclusive(&second).unwrap());
        drop(first);
        assert!(lock_exclusive(&second).unwrap());
    }

    #[test]
    fn preallocation_keeps_the_content_and_has_blocks_behind_it() {
        let path = TempPath::new("preallocate");
        let file = path.open();
        file.write_all_at(b"kept", 0).unwrap();
        preallocate(&file, 1 << 20).unwrap();
        preallocate(&file, 100).unwrap();
        preallocate(&file, 0).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), 1 << 20);
        assert!(metadata.blocks() * 512 >= 1 << 20);
        let mut start = [1; 8];
        file.read_exact_at(&mut start, 0).unwrap();
        assert_eq!(&start, b"kept\0\0\0\0");
        fdatasync(&file).unwrap();
    }

    #[test]
    fn what_is_given_back_takes_no_room_and_reads_as_zeros() {
        let path = TempPath::new("give-back");
        let file = path.open();
        file.write_all_at(&[7; 1 << 20], 0).unwrap();
        give_back(&file, 1 << 16).unwrap();
        give_back(&file, 1 << 20).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), 1 << 20);
        if metadata.blocks() * 512 >= 1 << 20 {
            return println!("skipped: the temporary directory's file system makes no holes");
        }
        let mut content = vec![1; 1 << 20];
        file.read_exact_at(&mut content, 0).unwrap();
        assert!(content[..1 << 16].iter().all(|byte| *byte == 7));
        assert!(content[1 << 16..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn zeros_are_written_past_the_end_where_blocks_cannot_be_reserved() {
        let path = TempPath::new("zeros");
        let file = path.open();
        file.write_all_at(b"kept", 0).unwrap();
        write_zeros(&file, 200_000).unwrap();
        let mut content = vec![1; 200_000];
        file.read_exact_at(&mut content, 0).unwrap();
        assert_eq!(&content[..4], b"kept");
        assert!(content[4..].iter().all(|&byte| byte == 0));
        assert_eq!(file.metadata().unwrap().len(), 200_000);
        write_zeros(&file, 10).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 200_000, "never made shorter");
    }

    #[test]
    fn a_length_that_no_file_has_is_refused() {
        let path = TempPath::new("length");
        let error = preallocate(&path.open(), u64::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_read_that_does_not_wait_gives_the_bytes_or_says_that_it_would() {
        let path = TempPath::new("nowait");
        let file = path.open();
        file.write_all_at(b"0123456789", 0).unwrap();
        let mut buffer = [0; 4];
        // Just written, so in the page cache: None only where the file system cannot say.
        if let Some(count) = read_nowait(&file, &mut buffer, 3).unwrap() {
            assert_eq!(&buffer[..count], &b"3456"[..count]);
            assert_eq!(count, 4);
            assert_eq!(read_nowait(&file, &mut buffer, 8).unwrap(), Some(2));
            assert_eq!(read_nowait(&file, &mut buffer, 10).unwrap(), Some(0));
        }
        assert_eq!(read_nowait(&file, &mut buffer, u64::MAX).unwrap(), Some(0));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let path = TempPath::new("write-only");
        path.open();
        let file = OpenOptions::new().write(true).open(&path.0).unwrap();
        assert!(read_nowait(&file, &mut [0; 4], 0).is_err());
    }

    #[test]
    fn a_folder_can_be_synced_and_a_missing_one_is_an_error() {
        sync_dir(&std::env::temp_dir()).unwrap();
        assert!(sync_dir(Path::new("/nonexistent/folder")).is_err());
    }
}
