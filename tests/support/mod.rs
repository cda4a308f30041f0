//! What several tests need: the program, a directory that goes away, a seeded generator of numbers.
#![allow(dead_code)]

pub mod bounded;
pub mod cluster;
pub mod fleet;
pub mod hosts;
pub mod log;
pub mod names;
pub mod raw_client;
pub mod relay;
pub mod segment;
pub mod server;
pub mod small_disk;
pub mod sys;
pub mod talker;
pub mod tmux;
pub mod vt;

pub use bounded::eventually;

use bounded::{Run, WHOLE};

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// The built program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_chatctl");

/// A command of the built program, without what it would read of the tester's environment.
pub fn chatctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::null());
    command.env_remove("CHATCTL_SERVERS").env_remove("CHATCTL_PASSWORD");
    command
}

/// What a program wrote.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All that a program wrote, standard output first.
pub fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// A fresh directory under the system's temporary one, removed when dropped.
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// Makes one whose name holds `name`, this process's id and a counter.
    pub fn new(name: &str) -> TempDir {
        TempDir::within(&std::env::temp_dir(), name)
    }

    /// The same under another directory, which is there.
    pub fn within(directory: &Path, name: &str) -> TempDir {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let file_name = format!("chatctl-{name}-{}-{count}", std::process::id());
        let path = directory.join(file_name);
        std::fs::create_dir_all(&path).expect("a temporary directory can be made");
        TempDir { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Processor time of the calling thread, as the scheduler counts it.
pub fn cpu_of_this_thread() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}

/// A seeded generator (SplitMix64): the same seed gives the same numbers everywhere.
#[derive(Clone)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// Starts at `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng { state: seed }
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below 0");
        self.next() % bound
    }

    /// True `numerator` times of `denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// The text of `key` in a line that is a JSON object, for texts without escapes.
pub fn text_field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let start = format!("\"{key}\": \"");
    let rest = &line[line.find(&start)? + start.len()..];
    Some(&rest[..rest.find('"')?])
}

/// The number of `key` in a line that is a JSON object.
pub fn number_field(line: &str, key: &str) -> Option<u64> {
    let start = format!("\"{key}\": ");
    let rest = &line[line.find(&start)? + start.len()..];
    let length = rest.find(|digit: char| !digit.is_ascii_digit())?;
    rest[..length].parse().ok()
}

/// Runs a tool of the system on this script; what it says when it fails.
pub fn run_tool(program: &str, arguments: &[&str], script: &str) -> Result<(), String> {
    let output = Command::new(program).args(arguments).try_run_with(script.as_bytes());
    let output = output.map_err(|error| format!("{program} cannot be run: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program} {}: {}", arguments.join(" "), text(&output.stderr).trim())),
    }
}

/// Held by a test that takes most of the descriptors that this process may have.
pub fn without_other_crowds() -> MutexGuard<'static, ()> {
    static CROWD: Mutex<()> = Mutex::new(());
    bounded::locked(WHOLE, &CROWD, "no other crowd is there")
}

/// A number from the environment, or `default` where the variable is not set.
pub fn env_number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) => default,
    }
}

/// What waits to be written, as a socket takes it.
pub fn take_output(output: &mut chatctl::net::Output) -> Vec<u8> {
    let bytes = output.rest().to_vec();
    output.advance(bytes.len());
    bytes
}
