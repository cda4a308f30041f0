//! What a server tells an operator: a line an event on standard error.

use std::fmt::Display;

use super::TraceLevel;
use crate::sys::clock;

/// Writes the lines of its level and those below.
#[derive(Clone, Copy)]
pub struct Trace {
    level: TraceLevel,
}

impl Trace {
    /// Tells what belongs to `level`.
    pub fn new(level: TraceLevel) -> Trace {
        Trace { level }
    }

    /// Something is wrong; always told.
    pub fn wrong(&self, what: impl Display) {
        self.line("wrong", what);
    }

    /// Something that an operator cares about.
    pub fn info(&self, what: impl Display) {
        if self.level >= TraceLevel::Info {
            self.line("info", what);
        }
    }

    /// Something of `level`.
    pub fn tell(&self, level: TraceLevel, what: impl Display) {
        match level {
            TraceLevel::Quiet => self.wrong(what),
            TraceLevel::Info => self.info(what),
            TraceLevel::Debug if self.level >= TraceLevel::Debug => self.line("debug", what),
            TraceLevel::Debug => {}
        }
    }

    fn line(&self, level: &str, what: impl Display) {
        use std::io::Write;
        let now_ms = clock::unix_ms();
        let line = format!("{}.{:03} {level} {what}\n", now_ms / 1000, now_ms % 1000);
        // Nobody may be listening any more; that is no reason to stop serving.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}
