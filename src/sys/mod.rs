//! The only `unsafe` of the program: what the operating system (Linux) has and the standard library
//! does not offer, and what takes the processor much longer without. Each module wraps it in safe
//! functions; nothing here knows what the program does with them.
//!
//! | module       | what it wraps |
//! | ---          | --- |
//! | [`clock`]    | the monotonic clock and the time of day |
//! | [`entropy`]  | `getrandom` |
//! | [`file`](mod@file) | locks, preallocation, syncs, reads that do not wait |
//! | [`memory`]     | overwriting secrets |
//! | [`output`]   | standard output and error without waiting for their readers |
//! | [`poll`]     | `poll`, for loops over a handful of descriptors |
//! | [`process`]  | limits, memory, umask |
//! | [`sha`]        | the processor's SHA-256 instructions |
//! | [`signal`]   | signals as a descriptor to watch |
//! | [`socket`]   | one listener for IPv6 and IPv4 |
//! | [`terminal`] | raw mode and no echo, always restored |
//! | [`text`]     | texts from bytes of ASCII, without a second look |
//! | [`watch`]    | changes of a directory's files as a descriptor to watch |

pub mod clock;
pub mod entropy;
pub mod file;
pub mod memory;
pub mod output;
pub mod poll;
pub mod process;
pub mod sha;
pub mod signal;
pub mod socket;
pub mod terminal;
pub mod text;
pub mod watch;

use std::io;

/// Runs a system call that answers -1 with `errno`, again for as long as a signal interrupts it.
fn retry(mut call: impl FnMut() -> libc::c_int) -> io::Result<libc::c_int> {
    loop {
        let result = call();
        if result != -1 {
            return Ok(result);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
