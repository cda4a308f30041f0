//! This process: how many files it may open, how much memory it has, the files it makes.
#![allow(unsafe_code)]

use super::signal;

/// How many descriptors this process may have: the limit in force, and how far it may raise it.
pub fn open_files_limit() -> (u64, u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit to write to, and lives through the call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    assert_eq!(result, 0, "the limit on open files can always be asked for");
    (limit.rlim_cur, limit.rlim_max)
}

/// Raises the limit on descriptors as far as this process may, and gives what is in force then.
pub fn raise_open_files_limit() -> u64 {
    let (soft, hard) = open_files_limit();
    if soft < hard {
        let limit = libc::rlimit { rlim_cur: hard, rlim_max: hard };
        // SAFETY: `limit` is a valid rlimit, only read. A refusal leaves the limit as it is, which
        // the caller sees.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    }
    open_files_limit().0
}

/// Bytes of memory this process has in RAM; None where `/proc` is not there.
pub fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: sysconf touches no memory of ours.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.checked_mul(u64::try_from(page_bytes).ok()?)
}

/// Sets which permissions new files do not get (`0o077`: nothing for anybody else). It holds for
/// the whole process: to be called once, at its start.
pub fn set_umask(mask: u32) {
    // SAFETY: umask cannot fail and touches no memory of ours.
    unsafe { libc::umask(mask as libc::mode_t) };
}

/// Whether this process has the powers of root.
pub fn is_root() -> bool {
    // SAFETY: geteuid cannot fail and touches no memory of ours.
    unsafe { libc::geteuid() == 0 }
}

/// Stops this process and its process group, as Ctrl-Z does, until somebody continues it; returns
/// when that has happened, or at once where no shell could continue it (an orphaned process group).
/// The whole group, since a shell waits for the first program of a job: a script that runs this
/// program and was not stopped would leave the terminal to nobody. The caller restores the terminal
/// before, and enters it again after.
pub fn stop_group() {
    // By the default action: a SIGSTOP of our own could come after the shell's SIGCONT.
    let before = signal::set_action(libc::SIGTSTP, libc::SIG_DFL, 0);
    // SAFETY: kill touches no memory of ours.
    unsafe { libc::kill(0, libc::SIGTSTP) };
    if let Ok(before) = before {
        // SAFETY: `before` is what the kernel gave for this signal.
        unsafe { libc::sigaction(libc::SIGTSTP, &before, std::ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_on_open_files_can_be_raised_to_the_hard_one() {
        let (soft, hard) = open_files_limit();
        assert!(0 < soft && soft <= hard);
        let raised = raise_open_files_limit();
        assert!(soft <= raised && raised <= hard);
        assert_eq!(open_files_limit().0, raised);
    }

    #[test]
    fn resident_memory_is_more_than_a_megabyte_and_less_than_a_terabyte() {
        let bytes = resident_bytes().expect("/proc is there");
        assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
    }

    #[test]
    fn root_is_who_the_kernel_says() {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::metadata("/proc/self").unwrap().uid();
        assert_eq!(is_root(), owner == 0);
    }
}
