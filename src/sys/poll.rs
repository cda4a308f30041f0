//! `poll`: waiting for one of a handful of descriptors. The server uses mio; this is for the
//! client, whose descriptors are few and need not be nonblocking.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;

use super::clock;

/// One descriptor, what to wait for on it, and, after [`wait`], what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollFd {
    /// The descriptor; a negative one is passed over. One that is not open reads as `hangup`.
    pub fd: RawFd,
    /// Wait until it can be read.
    pub read: bool,
    /// Wait until it can be written.
    pub write: bool,
    /// Reading would not wait (it may give the end, or an error).
    pub ready_read: bool,
    /// Writing would not wait (it may give an error).
    pub ready_write: bool,
    /// The other side is gone, or the descriptor is no good. Also told when not waited for.
    pub hangup: bool,
}

impl PollFd {
    /// Nothing is ready yet.
    pub fn new(fd: RawFd, read: bool, write: bool) -> PollFd {
        PollFd { fd, read, write, ready_read: false, ready_write: false, hangup: false }
    }

    fn events(&self) -> libc::c_short {
        let read = if self.read { libc::POLLIN } else { 0 };
        let write = if self.write { libc::POLLOUT } else { 0 };
        read | write
    }

    fn set(&mut self, events: libc::c_short) {
        self.hangup = events & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0;
        // What remains to be read before the end, or the error itself, is had by reading.
        self.ready_read = events & libc::POLLIN != 0 || self.read && self.hangup;
        self.ready_write = events & libc::POLLOUT != 0 || self.write && self.hangup;
    }
}

/// Waits until a descriptor is ready, at most `timeout_ms` (None: for ever), and gives how many
/// are: 0 says that the time is over. A signal does not end it, except through a descriptor of
/// [`Signals`](super::signal::Signals) among `fds`.
pub fn wait(fds: &mut [PollFd], timeout_ms: Option<u64>) -> io::Result<usize> {
    let deadline_ms = timeout_ms.map(|timeout| clock::monotonic_ms().saturating_add(timeout));
    let mut raw: Vec<libc::pollfd> = fds
        .iter()
        .map(|entry| libc::pollfd { fd: entry.fd, events: entry.events(), revents: 0 })
        .collect();
    loop {
        let left_ms = match deadline_ms {
            None => -1,
            Some(deadline) => {
                let left = deadline.saturating_sub(clock::monotonic_ms());
                libc::c_int::try_from(left).unwrap_or(libc::c_int::MAX)
            }
        };
        // SAFETY: pointer and count are those of one live, writable vector of pollfd.
        let count = unsafe { libc::poll(raw.as_mut_ptr(), raw.len() as libc::nfds_t, left_ms) };
        if count == -1 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        let over = deadline_ms.is_some_and(|deadline| clock::monotonic_ms() >= deadline);
        if count > 0 || over {
            for (entry, raw_entry) in fds.iter_mut().zip(&raw) {
                entry.set(raw_entry.revents);
            }
            return Ok(count as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn nothing_is_ready_until_somebody_writes() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let mut fds = [PollFd::new(near.as_raw_fd(), true, false)];
        assert_eq!(wait(&mut fds, Some(0)).unwrap(), 0);
        assert_eq!(wait(&mut fds, Some(1)).unwrap(), 0);
        assert!(!fds[0].ready_read && !fds[0].hangup);
        far.write_all(b"x").unwrap();
        assert_eq!(wait(&mut fds, None).unwrap(), 1);
        assert!(fds[0].ready_read && !fds[0].ready_write && !fds[0].hangup);
        near.read_exact(&mut [0]).unwrap();
        assert_eq!(wait(&mut fds, Some(0)).unwrap(), 0);
        assert!(!fds[0].ready_read, "the last answer is gone");
    }

    #[test]
    fn a_socket_can_be_written_and_a_negative_descriptor_is_passed_over() {
        let (near, _far) = UnixStream::pair().unwrap();
        let mut fds = [PollFd::new(-1, true, true), PollFd::new(near.as_raw_fd(), true, true)];
        assert_eq!(wait(&mut fds, None).unwrap(), 1);
        assert!(!fds[0].ready_read && !fds[0].ready_write && !fds[0].hangup);
        assert!(fds[1].ready_write && !fds[1].ready_read);
    }

    #[test]
    fn the_other_side_going_is_told_and_can_be_read() {
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        let mut fds = [PollFd::new(near.as_raw_fd(), true, false)];
        assert_eq!(wait(&mut fds, None).unwrap(), 1);
        assert!(fds[0].ready_read && fds[0].hangup);
    }
}
