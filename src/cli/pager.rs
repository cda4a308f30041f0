//! The program that shows long output page by page on a terminal, found as git does:
//! `CHATCTL_PAGER`, `PAGER`, `less`. Less is told to leave at once what fits on the screen (F), to
//! let colours through (R) and to leave the screen as it is at its end (X), unless `LESS` is set.

use std::io::{self, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::error::Error;
use super::parse::Environment;
use crate::sys::signal;

/// The exit statuses by which a shell says that it found no such command, or could not start it.
const NOT_STARTED: [i32; 2] = [126, 127];

#[derive(Debug)]
pub struct Pager {
    child: Child,
    input: ChildStdin,
}

impl Pager {
    /// Starts the pager; `None` where none is wanted, or none is there.
    pub fn start(environment: Environment<'_>) -> Option<Pager> {
        let wanted = environment("CHATCTL_PAGER").or_else(|| environment("PAGER"));
        let mut command = match wanted {
            Some(text) if text.is_empty() || text == "cat" => return None,
            Some(text) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(text);
                shell
            }
            None => Command::new("less"),
        };
        for (name, value) in [("LESS", "FRX"), ("LV", "-c")] {
            if environment(name).is_none() {
                command.env(name, value);
            }
        }
        let mut child = command.stdin(Stdio::piped()).spawn().ok()?;
        let input = child.stdin.take()?;
        // Ctrl-C is for the pager, which has the terminal; this process ends when it does.
        let _ = signal::ignore(signal::INT);
        Some(Pager { child, input })
    }

    /// Has `work` print into the pager, and waits until its user has had enough.
    pub fn show(
        mut self,
        mut work: impl FnMut(&mut dyn Write) -> Result<u8, Error>,
    ) -> Result<u8, Error> {
        let result = work(&mut self.input);
        drop(self.input);
        let status = self.child.wait().map_err(|error| {
            let what = format!("cannot wait for the pager: {error}");
            Error::Output(io::Error::new(error.kind(), what))
        })?;
        if status.code().is_some_and(|code| NOT_STARTED.contains(&code)) {
            let what =
                "the pager could not be started: check CHATCTL_PAGER and PAGER, or set PAGER=cat";
            return Err(Error::Output(io::Error::other(what)));
        }
        match result {
            // Whoever reads has had enough.
            Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            result => result,
        }
    }
}
