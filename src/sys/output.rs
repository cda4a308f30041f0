//! Standard output and standard error of a process that must not wait for whoever reads them.
//!
//! Both are often shared with other processes, so they are never made nonblocking: threads wait
//! instead. The standard library's own handles are avoided, since a thread that waits in a write
//! would hold their lock.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc;
use std::time::Duration;

use super::poll::{self, PollFd};

/// One of the two.
pub struct Output {
    file: File,
}

impl Output {
    /// Standard output.
    pub fn stdout() -> io::Result<Output> {
        Output::of(io::stdout())
    }

    /// Standard error.
    pub fn stderr() -> io::Result<Output> {
        Output::of(io::stderr())
    }

    fn of(output: impl AsFd) -> io::Result<Output> {
        Ok(Output { file: File::from(output.as_fd().try_clone_to_owned()?) })
    }

    /// Writes all of it, and waits as long as that takes.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another process has made it nonblocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll::wait(&mut [PollFd::new(self.file.as_raw_fd(), false, true)], None)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of it by a thread, and waits for that at most `wait_ms`. Returns whether it was
    /// written; if not, the thread goes on trying.
    pub fn write_within(mut self, bytes: Vec<u8>, wait_ms: u64) -> bool {
        let (done, written) = mpsc::channel();
        let thread = std::thread::Builder::new().name("output".into()).spawn(move || {
            let _ = done.send(self.write(&bytes).is_ok());
        });
        thread.is_ok() && written.recv_timeout(Duration::from_millis(wait_ms)).unwrap_or(false)
    }

    /// Whether it goes to the journal of systemd, which says so in the environment's JOURNAL_STREAM,
    /// `DEVICE:INODE`.
    pub fn is_journal(&self, journal_stream: Option<&str>) -> bool {
        let Ok(metadata) = self.file.metadata() else { return false };
        let own = format!("{}:{}", metadata.dev(), metadata.ino());
        journal_stream.is_some_and(|stream| stream == own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    #[test]
    fn a_full_descriptor_is_waited_for_only_as_long_as_was_said_and_all_of_it_comes() {
        let (near, mut far) = UnixStream::pair().unwrap();
        // Nonblocking, as another process that shares it may have made it.
        near.set_nonblocking(true).unwrap();
        let bytes = vec![b'x'; 1 << 20];
        let started = Instant::now();
        assert!(!Output::of(&near).unwrap().write_within(bytes.clone(), 20));
        assert!(started.elapsed() < Duration::from_secs(10));
        drop(near);
        let mut read = Vec::new();
        far.read_to_end(&mut read).unwrap();
        assert!(read == bytes, "the thread goes on");
        let (near, _far) = UnixStream::pair().unwrap();
        assert!(Output::of(&near).unwrap().write_within(b"short".to_vec(), 10_000));
    }

    #[test]
    fn only_the_descriptor_that_the_environment_names_is_the_journal() {
        let (near, far) = UnixStream::pair().unwrap();
        let (near, far) = (Output::of(&near).unwrap(), Output::of(&far).unwrap());
        let metadata = near.file.metadata().unwrap();
        let stream = format!("{}:{}", metadata.dev(), metadata.ino());
        assert!(near.is_journal(Some(&stream)));
        assert!(!far.is_journal(Some(&stream)), "standard error went elsewhere later");
        assert!(!near.is_journal(None) && !near.is_journal(Some("")));
    }
}
