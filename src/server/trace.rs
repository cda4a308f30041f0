//! What a server tells an operator: a line an event on standard error.
//!
//! ```text
//! 2026-11-24T03:31:02.123Z warning a: not connected to b at 10.0.0.2:7263: connection refused
//! ```
//!
//! The time is left out where standard error is the journal of systemd, which has its own; instead
//! the line begins with its priority, as sd-daemon(3) has it. A thread folds the lines
//! ([`crate::node::lines`]) and writes them, so that nobody else waits for whoever reads them. Up to
//! [`limits::TRACE_LINES`] wait for it; further ones are dropped, and how many is told when there is
//! room again.

use std::collections::VecDeque;
use std::fmt::{Display, Write};
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits;
use crate::node::lines::{Folder, Line, TraceLevel};
use crate::sys::clock;
use crate::sys::output::Output;

/// Tells the lines of its level and those that matter more.
#[derive(Clone, Copy)]
pub struct Trace {
    level: TraceLevel,
    queue: &'static Queue,
}

impl Trace {
    /// Tells what belongs to `level`. The thread lives as long as the process.
    pub fn start(level: TraceLevel, id: &str) -> io::Result<Trace> {
        let output = Output::stderr()?;
        let journal = output.is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
        let state = State { id: id.to_owned(), ..State::default() };
        let queue: &Queue =
            Box::leak(Box::new(Queue { state: Mutex::new(state), changed: Condvar::new() }));
        let write = move || write_lines(queue, output, journal);
        std::thread::Builder::new().name("trace".into()).spawn(write)?;
        Ok(Trace { level, queue })
    }

    /// The server's id is this one from now on.
    pub fn set_id(&self, id: &str) {
        self.queue.lock().id = id.to_owned();
    }

    /// Something failed, and an operator must act; always told.
    pub fn error(&self, what: impl Display) {
        self.tell(Line::new(TraceLevel::Error, what.to_string()));
    }

    /// Something may need an operator.
    pub fn warning(&self, what: impl Display) {
        self.tell(Line::new(TraceLevel::Warning, what.to_string()));
    }

    /// Something changed that an operator cares about.
    pub fn info(&self, what: impl Display) {
        self.tell(Line::new(TraceLevel::Info, what.to_string()));
    }

    /// Tells a line.
    pub fn tell(&self, line: Line) {
        if line.level > self.level {
            return;
        }
        let mut state = self.queue.lock();
        // After a bound was met, not every line that fits again is worth a line with a count.
        let most = if state.dropped == 0 { limits::TRACE_LINES } else { limits::TRACE_LINES / 2 };
        if state.lines.len() >= most {
            state.dropped += 1;
            return;
        }
        let (now_ms, unix_ms) = (clock::monotonic_ms(), clock::unix_ms());
        let dropped = std::mem::take(&mut state.dropped);
        state.lines.push_back(Told { now_ms, unix_ms, dropped, line });
        self.queue.changed.notify_all();
    }

    /// Waits until all was written, but not for long where nobody reads it.
    pub fn finish(&self) {
        let mut state = self.queue.lock();
        state.closing = true;
        self.queue.changed.notify_all();
        let wait = Duration::from_millis(limits::TRACE_FLUSH_MS);
        let is_open = |state: &mut State| !state.closed;
        let _ = self.queue.changed.wait_timeout_while(state, wait, is_open);
    }
}

/// What waits for the thread.
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    id: String,
    lines: VecDeque<Told>,
    /// Lines dropped since the last of these.
    dropped: u64,
    closing: bool,
    closed: bool,
}

struct Told {
    /// Of the clock that never goes back, and of the day, milliseconds.
    now_ms: u64,
    unix_ms: u64,
    /// Lines dropped before this one.
    dropped: u64,
    line: Line,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for lines, at most until `next_ms` of the clock that never goes back.
    fn wait(&self, next_ms: Option<u64>) -> MutexGuard<'_, State> {
        let nothing = |state: &mut State| {
            state.lines.is_empty() && state.dropped == 0 && (!state.closing || state.closed)
        };
        let state = self.lock();
        let Some(next_ms) = next_ms else {
            let waited = self.changed.wait_while(state, nothing);
            return waited.unwrap_or_else(PoisonError::into_inner);
        };
        let wait = Duration::from_millis(next_ms.saturating_sub(clock::monotonic_ms()));
        let waited = self.changed.wait_timeout_while(state, wait, nothing);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn write_lines(queue: &Queue, mut output: Output, journal: bool) {
    let mut folder = Folder::default();
    let mut text = String::new();
    loop {
        let mut state = queue.wait(folder.next_ms());
        let told = state.lines.pop_front();
        let dropped = if told.is_none() { std::mem::take(&mut state.dropped) } else { 0 };
        let closes = state.closing && told.is_none();
        let id = state.id.clone();
        drop(state);
        let (now_ms, unix_ms) = (clock::monotonic_ms(), clock::unix_ms());
        let mut put = |unix_ms: u64, line: &Line| put_line(&mut text, journal, unix_ms, &id, line);
        match told {
            Some(Told { now_ms, unix_ms, dropped, line }) => {
                if dropped > 0 {
                    put(unix_ms, &lines_dropped(dropped));
                }
                if let Some(line) = folder.take(now_ms, line) {
                    put(unix_ms, &line);
                }
            }
            None if dropped > 0 => put(unix_ms, &lines_dropped(dropped)),
            None => {}
        }
        while let Some(line) = folder.due(now_ms) {
            put(unix_ms, &line);
        }
        while closes && let Some(line) = folder.finish(now_ms) {
            put(unix_ms, &line);
        }
        // Where nobody listens any more the lines are lost; that is no reason to stop serving.
        let _ = output.write(text.as_bytes());
        text.clear();
        if closes {
            queue.lock().closed = true;
            queue.changed.notify_all();
        }
    }
}

fn lines_dropped(count: u64) -> Line {
    let text = format!("{count} lines were dropped here: standard error was not read in time");
    Line::new(TraceLevel::Warning, text)
}

/// Appends a line as it is written.
fn put_line(out: &mut String, journal: bool, unix_ms: u64, id: &str, line: &Line) {
    let Line { level, text, .. } = line;
    let start = match (journal, level) {
        (true, TraceLevel::Error) => "<3>".to_owned(),
        (true, TraceLevel::Warning) => "<4>".to_owned(),
        (true, TraceLevel::Info) => "<6>".to_owned(),
        (true, TraceLevel::Debug) => "<7>".to_owned(),
        (false, _) => format!("{} ", clock::utc(unix_ms)),
    };
    let _ = write!(out, "{start}{level} {id}: "); // writing to a String cannot fail
    let most = out.len() + limits::TRACE_LINE_BYTES;
    for c in text.chars() {
        if out.len() + c.len_utf8() > most {
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(journal: bool, line: Line) -> String {
        let mut out = String::new();
        put_line(&mut out, journal, 1_795_491_062_123, "a", &line);
        out
    }

    #[test]
    fn a_line_has_its_time_in_utc_its_level_and_the_servers_id() {
        let line = |level| Line::new(level, "peer b is up");
        assert_eq!(
            written(false, line(TraceLevel::Warning)),
            "2026-11-24T03:31:02.123Z warning a: peer b is up\n"
        );
        for (level, start) in [
            (TraceLevel::Error, "<3>error a: "),
            (TraceLevel::Warning, "<4>warning a: "),
            (TraceLevel::Info, "<6>info a: "),
            (TraceLevel::Debug, "<7>debug a: "),
        ] {
            assert_eq!(written(true, line(level)), format!("{start}peer b is up\n"));
        }
    }

    #[test]
    fn a_line_stays_one_line_and_is_cut_where_it_is_too_long() {
        let line = Line::new(TraceLevel::Info, "two\nlines\u{1b}[1m");
        assert!(written(true, line).ends_with(": two\\nlines\\u{1b}[1m\n"));
        let line = Line::new(TraceLevel::Info, "ä".repeat(limits::TRACE_LINE_BYTES));
        let most = limits::TRACE_LINE_BYTES + "<6>info a: \n".len();
        assert_eq!(written(true, line).len(), most);
    }
}
