//! One line on a terminal, rewritten as things go on; nothing where standard error is none.

use std::io::{self, IsTerminal, Write};

use crate::sys::clock;

/// How often the line is rewritten.
const EVERY_MS: u64 = 1_000;

/// The line.
pub struct Progress {
    shown: bool,
    written: bool,
    next_ms: u64,
}

impl Progress {
    /// A line on standard error, if that is a terminal.
    pub fn new() -> Progress {
        let next_ms = clock::monotonic_ms() + EVERY_MS;
        Progress { shown: io::stderr().is_terminal(), written: false, next_ms }
    }

    /// No line at all.
    pub fn none() -> Progress {
        Progress { shown: false, ..Progress::new() }
    }

    /// Rewrites the line, when a second has passed since the last time.
    pub fn tell(&mut self, text: impl FnOnce() -> String) {
        let now_ms = clock::monotonic_ms();
        if self.shown && now_ms >= self.next_ms {
            self.next_ms = now_ms + EVERY_MS;
            self.written = true;
            // A terminal that takes no text is no reason to end a measurement.
            let _ = write!(io::stderr(), "\r\x1b[K{}", text());
        }
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.written) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
