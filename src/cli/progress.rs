//! One line on a terminal, rewritten as things go on; nothing where standard error is none.

use std::io::{self, IsTerminal, Write};

use crate::sys::clock;

/// How often the line is rewritten.
const EVERY_MS: u64 = 1_000;

pub struct Progress {
    /// Where it is shown; none: nowhere.
    terminal: Option<Box<dyn Write>>,
    written: bool,
    next_ms: u64,
}

impl Progress {
    /// A line on standard error, if that is a terminal.
    pub fn new() -> Progress {
        let terminal = io::stderr().is_terminal().then(|| Box::new(io::stderr()) as Box<dyn Write>);
        Progress::on(terminal, clock::monotonic_ms())
    }

    pub fn none() -> Progress {
        Progress::on(None, 0)
    }

    fn on(terminal: Option<Box<dyn Write>>, now_ms: u64) -> Progress {
        Progress { terminal, written: false, next_ms: now_ms + EVERY_MS }
    }

    /// Rewrites the line, when a second has passed since the last time.
    pub fn tell(&mut self, text: impl FnOnce() -> String) {
        self.tell_at(clock::monotonic_ms(), text);
    }

    fn tell_at(&mut self, now_ms: u64, text: impl FnOnce() -> String) {
        if let Some(terminal) = &mut self.terminal
            && now_ms >= self.next_ms
        {
            self.next_ms = now_ms + EVERY_MS;
            self.written = true;
            // A terminal that takes no text is no reason to end a measurement.
            let _ = write!(terminal, "\r\x1b[K{}", text());
        }
    }

    pub fn clear(&mut self) {
        if std::mem::take(&mut self.written)
            && let Some(terminal) = &mut self.terminal
        {
            let _ = write!(terminal, "\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Terminal(Rc<RefCell<Vec<u8>>>);

    impl Terminal {
        fn shows(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).expect("UTF-8")
        }
    }

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_line_is_rewritten_once_a_second_and_taken_away_at_the_end() {
        let terminal = Terminal::default();
        let mut line = Progress::on(Some(Box::new(terminal.clone())), 5_000);
        for now_ms in [5_000, 5_999, 6_000, 6_999, 7_200, 7_999, 8_199, 8_200] {
            line.tell_at(now_ms, || format!("at {now_ms}"));
        }
        let told = "\r\x1b[Kat 6000\r\x1b[Kat 7200\r\x1b[Kat 8200";
        assert_eq!(terminal.shows(), told);
        line.clear();
        drop(line);
        assert_eq!(terminal.shows(), format!("{told}\r\x1b[K"));
    }

    #[test]
    fn what_is_soon_done_leaves_the_terminal_alone() {
        let terminal = Terminal::default();
        let mut line = Progress::on(Some(Box::new(terminal.clone())), 5_000);
        line.tell_at(5_999, || unreachable!("no second has passed"));
        drop(line);
        assert_eq!(terminal.shows(), "");
        Progress::none().tell_at(u64::MAX, || unreachable!("it is shown nowhere"));
    }
}
