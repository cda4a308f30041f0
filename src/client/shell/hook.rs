//! The user's own command for new messages (`--notify-command`). It is run without a shell and gets
//! what it needs by its environment, so nothing that somebody wrote is ever taken for a command.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::client::screen::Notice;
use crate::limits;

/// The command, and those of its runs that have not ended.
#[derive(Debug)]
pub struct Hook {
    program: PathBuf,
    running: Vec<Child>,
}

impl Hook {
    pub fn new(program: PathBuf) -> Hook {
        Hook { program, running: Vec::new() }
    }

    /// Starts the command for messages of which this was the newest, `count` in all. Does not wait
    /// for it.
    pub fn run(&mut self, user: &str, notice: &Notice, count: usize) -> Result<(), String> {
        self.running.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let program = self.program.display().to_string();
        if self.running.len() >= limits::NOTIFY_RUNS {
            let most = limits::NOTIFY_RUNS;
            return Err(format!("{most} runs of {program} have not ended; not starting another"));
        }
        let child = self.start(user, notice, count);
        self.running.push(child.map_err(|error| format!("cannot run {program}: {error}"))?);
        Ok(())
    }

    fn start(&self, user: &str, notice: &Notice, count: usize) -> io::Result<Child> {
        Command::new(&self.program)
            .env("CHATCTL_USER", user)
            .env("CHATCTL_FROM", harmless(&notice.from))
            .env("CHATCTL_TEXT", harmless(&notice.text))
            .env("CHATCTL_COUNT", count.to_string())
            .env_remove("CHATCTL_PASSWORD")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-Z stops the client's group, not this.
            .process_group(0)
            .spawn()
    }
}

/// No controls but tabs and line ends, and no more than [`limits::NOTIFY_BYTES`].
fn harmless(text: &str) -> String {
    let is_kept = |char: &char| !char.is_control() || matches!(char, '\n' | '\t');
    let mut kept: String = text.chars().filter(is_kept).collect();
    while kept.len() > limits::NOTIFY_BYTES {
        kept.pop();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(text: &str) -> Notice {
        Notice { from: "bob".to_string(), text: text.to_string() }
    }

    #[test]
    fn a_command_that_does_not_end_is_run_only_so_often() {
        let mut hook = Hook::new("yes".into());
        for _ in 0..limits::NOTIFY_RUNS {
            assert_eq!(hook.run("alice", &notice("hi"), 1), Ok(()));
        }
        let why = hook.run("alice", &notice("hi"), 1).expect_err("it is full");
        // Before anything can fail: nobody else would end them.
        for child in &mut hook.running {
            child.kill().expect("it runs");
        }
        assert!(why.contains("runs of yes have not ended"), "{why}");
        let mut none = Hook::new("/nonexistent/command".into());
        let why = none.run("alice", &notice("hi"), 1).expect_err("there is none");
        assert!(why.starts_with("cannot run /nonexistent/command: "), "{why}");
    }

    #[test]
    fn a_long_text_is_cut_and_has_no_controls() {
        assert_eq!(harmless("a\0b\x1b[31m\u{9b}\tc\n"), "ab[31m\tc\n");
        let long = "\u{e9}".repeat(limits::NOTIFY_BYTES);
        assert_eq!(harmless(&long).len(), limits::NOTIFY_BYTES);
        assert_eq!(harmless(&format!("x{long}")).len(), limits::NOTIFY_BYTES - 1);
    }
}
