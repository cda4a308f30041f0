//! `chatctl chat` as people run it, while servers go and come back.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use chatctl::client::show::OUT_OF_DATE;

use crate::support::bounded::{Bound, Bounded, Gathered, Pipes, Run, exit_of, output_of};
use crate::support::chatctl;
use crate::support::cluster::Cluster;
use crate::support::server::password_of;
use crate::support::sys::{Pty, spawn_on_pty};
use crate::support::vt::Vt;

/// A running client that speaks JSON, and every line it has printed.
struct Chat {
    child: Child,
    input: Option<Bounded<ChildStdin>>,
    printed: Arc<Gathered>,
}

fn command(cluster: &Cluster, user: &str, seconds: &str) -> Command {
    let servers = cluster.addresses().join(",");
    let flags = ["--user", user, "--timeout", seconds, "--json"];
    let mut command = chatctl(&["chat", "--servers", &servers]);
    command.args(flags);
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
        let (printed, input) = (Gathered::output(&mut child), Some(child.input()));
        Chat { child, input, printed }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("open"), "{line}").expect("it reads");
    }

    /// How many events of this kind it has printed.
    fn count(&self, event: &str) -> usize {
        let start = format!("{{\"event\": \"{event}\"");
        self.printed.text().lines().filter(|line| line.starts_with(&start)).count()
    }

    /// Ends it, and gives what it has printed.
    fn end(mut self) -> Vec<String> {
        drop(self.input.take());
        let output = output_of(self.child);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = self.printed.until("the end of the chat's output", |_, ended| ended);
        printed.lines().map(str::to_owned).collect()
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

#[test]
fn every_kind_of_chat_says_at_login_that_accounts_may_be_out_of_date_without_a_majority() {
    let mut cluster = Cluster::start("out-of-date", 3, &["--read-only-after-ms", "300"]);
    let output = command(&cluster, "alice", "30").args(["--create", "--list"]).run();
    assert!(output.status.success(), "{output:?}");
    let left = cluster.primary();
    for place in (0..3).filter(|&place| place != left) {
        cluster.kill9(place);
    }
    cluster.wait("the last one does not notice", || cluster.status_of(left, "read_only") == "yes");
    let chat = || {
        let mut command =
            chatctl(&["chat", "--servers", &cluster.addresses()[left], "--user", "alice"]);
        command.arg("--state-dir").arg(cluster.path("state-alice"));
        command.env("CHATCTL_PASSWORD", password_of("alice"));
        command.env("NO_COLOR", "1").env("TERM", "xterm");
        command
    };
    for form in [&[][..], &["--json"]] {
        let output = chat().args(form).run();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(told.matches(OUT_OF_DATE).count(), 1, "piped, {form:?}: {told}");
    }

    let mut pty = Pty::open();
    let mut child = spawn_on_pty(chat().arg("--plain"), &pty).expect("it runs");
    pty.read_until("logged in as alice");
    pty.read_until(OUT_OF_DATE);
    pty.type_text("/quit\r");
    assert!(exit_of(&mut child).success());

    let mut pty = Pty::open();
    let mut child = spawn_on_pty(&mut chat(), &pty).expect("it runs");
    let mut vt = Vt::new(80, 24);
    let bound = Bound::new("the screen says that accounts may be out of date".to_owned());
    while !vt.text().contains(OUT_OF_DATE) {
        bound.check_with(|| vt.text());
        vt.feed(pty.read_until("\x1b[?25h").as_bytes());
    }
    assert!(vt.text().contains("read-only"), "{}", vt.text());
    pty.type_text("/quit\r");
    assert!(exit_of(&mut child).success());
}
