//! A terminal as people use one: tmux, typed at and captured. Each test has a tmux server of its own.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use super::bounded::Run;
use super::eventually;
use super::server::PATIENCE;

/// A server of tmux, ended when dropped.
pub struct Tmux {
    socket: String,
}

impl Tmux {
    /// One with nothing in it; `None` (and a line that says so) where there is no tmux.
    pub fn start() -> Option<Tmux> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let found = Command::new("tmux").arg("-V").try_run();
        if !found.is_ok_and(|output| output.status.success()) {
            println!("skipped: tmux is not installed");
            return None;
        }
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        Some(Tmux { socket: format!("chatctl-test-{}-{count}", std::process::id()) })
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-f", "/dev/null", "-u", "-L", &self.socket]).args(arguments);
        command.env("LC_ALL", "C.UTF-8").run()
    }

    /// Runs a program in a window of its own.
    pub fn open(&self, name: &str, columns: usize, rows: usize, program: &Command) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut arguments = vec!["new-session", "-d", "-s", name, "-x", &columns, "-y", &rows];
        let variables: Vec<String> = program
            .get_envs()
            .filter_map(|(key, value)| Some((key.to_str()?, value?.to_str()?)))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        arguments.push("env");
        arguments.extend(variables.iter().map(String::as_str));
        arguments.push(program.get_program().to_str().expect("a path"));
        arguments.extend(program.get_args().map(|argument| argument.to_str().expect("UTF-8")));
        let output = self.run(&arguments);
        assert!(output.status.success(), "{output:?}");
    }

    /// Types text, as it is.
    pub fn text(&self, name: &str, text: &str) {
        assert!(self.run(&["send-keys", "-t", name, "-l", text]).status.success());
    }

    /// Presses a key by tmux's name for it: `Enter`, `M-1`, `PPage`.
    pub fn key(&self, name: &str, key: &str) {
        assert!(self.run(&["send-keys", "-t", name, key]).status.success());
    }

    /// Types a line.
    pub fn line(&self, name: &str, text: &str) {
        self.text(name, text);
        self.key(name, "Enter");
    }

    /// Another size.
    pub fn resize(&self, name: &str, columns: usize, rows: usize) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let arguments = ["resize-window", "-t", name, "-x", &columns, "-y", &rows];
        assert!(self.run(&arguments).status.success());
    }

    /// What the window shows.
    pub fn capture(&self, name: &str) -> String {
        let output = self.run(&["capture-pane", "-p", "-t", name]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// Waits until the window shows something, and gives all of it.
    pub fn until(&self, name: &str, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(what, PATIENCE, || {
                last = self.capture(name);
                holds(&last).then(|| last.clone())
            })
        }));
        waited.unwrap_or_else(|_| panic!("{name}: {what}:\n{last}"))
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}
