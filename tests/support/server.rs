//! The server as a real process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use chatctl::protocol::framing::{Codec, Form};
use chatctl::sys::signal;

pub use super::bounded::PATIENCE;
use super::bounded::{Bounded, Gathered, Pipes, eventually_or, killed};
pub use super::raw_client::{Ask, RawClient, ask, code, id, is_push};
use super::{PROGRAM, TempDir, chatctl, sys};

/// The flags of every test's server, unless the test gives others.
const FLAGS: [&str; 12] = [
    "--password-iterations",
    "1000",
    "--logins-per-minute",
    "0",
    "--segment-mib",
    "1",
    "--max-sessions-per-address",
    "100000",
    "--max-sessions-per-account",
    "100000",
    "--max-unauthenticated-per-address",
    "100000",
];

/// How to start a server. All that tests start, alone or of a cluster, are started by it.
#[derive(Clone)]
pub struct Launch {
    data_dir: PathBuf,
    listen: Vec<String>,
    flags: Vec<String>,
    shell: Option<String>,
    host: Option<PathBuf>,
    config_only: bool,
}

impl Launch {
    /// On `data_dir`, at a port of the system's choice.
    pub fn on(data_dir: &Path) -> Launch {
        Launch {
            data_dir: data_dir.to_owned(),
            listen: vec!["127.0.0.1:0".to_owned()],
            flags: Vec::new(),
            shell: None,
            host: None,
            config_only: false,
        }
    }

    /// With these flags too.
    pub fn flags(mut self, flags: &[&str]) -> Launch {
        self.flags.extend(flags.iter().map(|flag| flag.to_string()));
        self
    }

    /// With this value of a flag, whether another was given or none.
    pub fn set_flag(mut self, [flag, value]: [&str; 2]) -> Launch {
        match self.flags.iter().position(|given| given == flag) {
            Some(at) => self.flags[at + 1] = value.to_owned(),
            None => self.flags.extend([flag, value].map(str::to_owned)),
        }
        self
    }

    /// On a host of its own, whose network namespace this file is.
    pub fn host(mut self, file: PathBuf) -> Launch {
        self.host = Some(file);
        self
    }

    /// On another directory.
    pub fn data_dir(mut self, data_dir: &Path) -> Launch {
        self.data_dir = data_dir.to_owned();
        self
    }

    /// At these addresses instead.
    pub fn listen(mut self, addresses: &[&str]) -> Launch {
        self.listen = addresses.iter().map(|address| address.to_string()).collect();
        self
    }

    /// After this shell command, as `ulimit -n 64`.
    pub fn shell(mut self, command: &str) -> Launch {
        self.shell = Some(command.to_owned());
        self
    }

    /// With nothing but `--config FILE`.
    pub fn config(mut self, file: &Path) -> Launch {
        self.config_only = true;
        self.flags = vec!["--config".to_owned(), file.display().to_string()];
        self
    }

    fn command(&self) -> Command {
        let mut command = match &self.shell {
            None => chatctl(&[]),
            Some(shell) => {
                let mut command = Command::new("sh");
                command.args(["-c", &format!("{shell} && exec \"$@\""), "sh", PROGRAM]);
                command
            }
        };
        command.arg("serve");
        if !self.config_only {
            for address in &self.listen {
                command.args(["--listen", address]);
            }
            command.arg("--data-dir").arg(&self.data_dir);
            let defaults = FLAGS.chunks(2).filter(|pair| !self.flags.iter().any(|f| f == pair[0]));
            command.args(defaults.flatten());
        }
        command.args(&self.flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    /// Starts it and waits until it serves; panics with its traces when it does not.
    pub fn start(self) -> TestServer {
        match self.try_start() {
            Ok(server) => server,
            Err(ended) => panic!("the server did not start ({}): {}", ended.status, ended.stderr),
        }
    }

    /// Starts it and waits until it serves or has ended.
    pub fn try_start(self) -> Result<TestServer, Ended> {
        self.spawn().ready()
    }

    /// Starts it and does not wait.
    pub fn spawn(self) -> TestServer {
        self.spawn_to(Stdio::piped())
    }

    /// The same, with this for its standard error. Where that is no new pipe, its traces are not
    /// gathered.
    pub fn spawn_to(self, stderr: Stdio) -> TestServer {
        let mut command = self.command();
        command.stderr(stderr);
        let child = match &self.host {
            None => command.spawn(),
            Some(host) => sys::in_namespace(host, || command.spawn()),
        };
        let mut child = child.expect("the program can be started");
        let traces = Gathered::errors(&mut child);
        let stdout = child.lines("the server's start line");
        let (addresses, start_line) = (Vec::new(), String::new());
        TestServer { child, traces, addresses, start_line, launch: self, stdout, home: None }
    }
}

/// The addresses of `chatctl serves at ADDRESS and ADDRESS with its data in ...`.
fn addresses_in(start_line: &str) -> Vec<String> {
    let addresses = start_line
        .strip_prefix("chatctl serves at ")
        .and_then(|rest| rest.split_once(" with its data in "))
        .unwrap_or_else(|| panic!("no start line: {start_line:?}"));
    addresses.0.split(" and ").map(str::to_owned).collect()
}

/// A server that did not come up, or has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it said.
    pub stderr: String,
}

/// A server that was started; [`TestServer::ready`] waits until it serves. It is killed when dropped.
pub struct TestServer {
    child: Child,
    traces: Arc<Gathered>,
    addresses: Vec<String>,
    start_line: String,
    launch: Launch,
    stdout: BufReader<Bounded<ChildStdout>>,
    home: Option<TempDir>,
}

impl TestServer {
    /// Starts one in a directory of its own that goes with it.
    pub fn start(name: &str, flags: &[&str]) -> TestServer {
        let home = TempDir::new(name);
        let mut server = Launch::on(&home.path().join("data")).flags(flags).start();
        server.home = Some(home);
        server
    }

    /// Waits until it serves or has ended.
    pub fn ready(mut self) -> Result<TestServer, Ended> {
        self.stdout.read_line(&mut self.start_line).expect("the start line is text");
        if self.start_line.is_empty() {
            return Err(self.ended());
        }
        self.start_line.truncate(self.start_line.trim_end().len());
        self.addresses = addresses_in(&self.start_line);
        // A restart is at the same place.
        self.launch.listen = self.addresses.clone();
        Ok(self)
    }

    /// Where it listens first, `HOST:PORT` or `unix:PATH`.
    pub fn address(&self) -> &str {
        &self.addresses[0]
    }

    /// Everywhere it listens.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// What it said on standard output.
    pub fn start_line(&self) -> &str {
        &self.start_line
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.launch.data_dir
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory, bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.traces.text()
    }

    /// Waits until it has said `text` on standard error.
    pub fn wait_for_trace(&self, text: &str) {
        self.traces.until(&format!("the trace {text:?}"), |all, _| all.contains(text));
    }

    /// Waits until it has said something so often.
    pub fn wait_for_traces(&self, text: &str, times: usize) {
        let what = format!("the trace {text:?}, {times} times,");
        self.traces.until(&what, |all, _| all.matches(text).count() >= times);
    }

    /// Kills it as a power failure would, but for what the system still holds in memory.
    pub fn kill9(&mut self) {
        killed(&mut self.child);
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        sys::kill(self.pid(), number).expect("it runs");
    }

    /// How it has ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it was started")
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self) -> Ended {
        self.wait_within(PATIENCE)
    }

    /// The same, so long at most.
    pub fn wait_within(&mut self, time: Duration) -> Ended {
        let ended = eventually_or("the server ends", time, || self.has_ended());
        let status = ended.unwrap_or_else(|sentence| panic!("{sentence}:\n{}", self.stderr()));
        Ended { status, stderr: self.traces.until("the end of standard error", |_, ended| ended) }
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&mut self) -> Ended {
        self.signal(signal::TERM);
        self.ended()
    }

    /// Starts it again, after it has ended, on the same directory and at the same addresses.
    pub fn restart(mut self) -> TestServer {
        let home = self.home.take();
        let mut server = self.launch.clone().start();
        server.home = home;
        server
    }

    /// Connects in frames, binary.
    pub fn connect(&self) -> RawClient {
        RawClient::connect(self.address(), Form::Frames, Codec::Binary)
    }

    /// Connects and makes the account `name`, whose password is `password_of(name)`.
    pub fn create(&self, name: &str) -> RawClient {
        let mut client = self.connect();
        client.create(name);
        client
    }

    /// Connects and logs in.
    pub fn login(&self, name: &str) -> RawClient {
        let mut client = self.connect();
        client.done(&ask("login").src(name).body(&password_of(name)));
        client
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        killed(&mut self.child);
    }
}

/// The password of every account that `RawClient::create` makes.
pub fn password_of(name: &str) -> String {
    format!("the secret of {name}")
}
