//! `chatctl chat` as people run it, while servers go and come back.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::support::bounded::{Run, joined, output_of};
use crate::support::cluster::Cluster;
use crate::support::server::password_of;

/// A running client that speaks JSON, and every line it has printed.
struct Chat {
    child: Child,
    input: Option<ChildStdin>,
    printed: Arc<Mutex<Vec<String>>>,
    gathering: JoinHandle<()>,
}

fn command(cluster: &Cluster, user: &str, seconds: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatctl"));
    let servers = cluster.addresses().join(",");
    command.args(["chat", "--servers", &servers, "--user", user, "--timeout", seconds, "--json"]);
    command.arg("--state-dir").arg(cluster.path(&format!("state-{user}")));
    command.env("CHATCTL_PASSWORD", password_of(user)).env("NO_COLOR", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Sends one message with a process of its own, within `seconds`; the exit code and what it says.
pub fn send_once(cluster: &Cluster, user: &str, to: &str, seconds: u64) -> (Option<i32>, String) {
    once(cluster, user, seconds, &["--send", to, "hello"])
}

/// The program does one thing: its exit code, and what it says on standard error.
pub fn once(cluster: &Cluster, user: &str, seconds: u64, flags: &[&str]) -> (Option<i32>, String) {
    let mut command = command(cluster, user, &seconds.to_string());
    let output = command.args(flags).run();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Chat {
    fn start(cluster: &Cluster, user: &str) -> Chat {
        let mut child = command(cluster, user, "30").spawn().expect("it runs");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let printed: Arc<Mutex<Vec<String>>> = Arc::default();
        let lines = printed.clone();
        let gathering = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let input = child.stdin.take();
        Chat { child, input, printed, gathering }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("open"), "{line}").expect("it reads");
    }

    /// How many events of this kind it has printed.
    fn count(&self, event: &str) -> usize {
        let start = format!("{{\"event\": \"{event}\"");
        self.printed.lock().unwrap().iter().filter(|line| line.starts_with(&start)).count()
    }

    /// Ends it, and gives what it has printed.
    fn end(mut self) -> Vec<String> {
        drop(self.input.take());
        let output = output_of(self.child);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        joined(self.gathering, "the end of the chat's output is read");
        Arc::into_inner(self.printed).expect("nobody else has it").into_inner().unwrap()
    }
}

/// Two people talk while `disturb` is done to the cluster: all comes, once, in order, and neither is
/// told of an error.
fn undisturbed(name: &str, disturb: impl Fn(&mut Cluster)) {
    let mut cluster = Cluster::start(name, 3, &[]);
    for user in ["alice", "bob"] {
        let output = command(&cluster, user, "30").args(["--create", "--list"]).run();
        assert!(output.status.success(), "{output:?}");
    }
    let mut alice = Chat::start(&cluster, "alice");
    let bob = Chat::start(&cluster, "bob");
    cluster.wait("bob is not in", || bob.count("login") > 0);
    for round in 0..3 {
        for n in 0..20 {
            alice.say(&format!("/msg bob m{}", 40 * round + n));
        }
        cluster.wait("nothing is sent", || alice.count("sent") > 40 * round);
        disturb(&mut cluster);
        for n in 20..40 {
            alice.say(&format!("/msg bob m{}", 40 * round + n));
        }
        cluster.wait("not all comes", || bob.count("message") >= 40 * (round + 1));
    }
    let texts = |lines: &[String]| -> Vec<String> {
        let messages = lines.iter().filter(|line| line.starts_with("{\"event\": \"message\""));
        let text = |line: &String| {
            let (_, rest) = line.split_once("\"text\": \"").expect("a text");
            rest.split('"').next().unwrap_or_default().to_owned()
        };
        messages.map(text).collect()
    };
    let (alice, bob) = (alice.end(), bob.end());
    let all: Vec<String> = (0..120).map(|n| format!("m{n}")).collect();
    assert_eq!(texts(&bob), all, "shown once each, in order");
    for line in alice.iter().chain(&bob) {
        assert!(!line.starts_with("{\"event\": \"error\""), "{line}");
    }
    cluster.stop_and_compare_logs();
}

#[test]
fn a_rolling_restart_is_no_error_for_those_who_chat() {
    undisturbed("rolling", |cluster| {
        for place in 0..3 {
            assert!(cluster.take(place).terminate().status.success());
            cluster.restart(place);
        }
    });
}

#[test]
fn the_death_of_the_primary_is_no_error_for_those_who_chat() {
    undisturbed("chat-kill", |cluster| {
        let primary = cluster.primary();
        cluster.kill9(primary);
        cluster.restart(primary);
    });
}
