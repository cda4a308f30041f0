//! What people notice when the PRIMARY goes: `make failover`. Two `chatctl chat` and a `--send`, as
//! they ship, with nothing but the list of servers.

use std::io::{BufRead, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::bounded::{Bounded, Inbox, Pipes, channel, exit_of, joined, received};
use crate::support::fleet::Fleet;
use crate::support::hosts::{self, Hosts, on_hosts};
use crate::support::{Rng, TempDir, chatctl, env_number};

/// Failovers of each kind, where nothing else is asked for: enough to see that it works.
const ROUNDS: u64 = 1;
const SERVERS: u64 = 3;
/// Longer than a chat is silent here.
const IDLE: Duration = Duration::from_secs(3_600);
/// Longer than from one ping of an idle client to the next, milliseconds.
const PHASE_MS: u64 = 2_000;

/// What happens to the PRIMARY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    Stop,
    Unplug,
    Terminate,
}

/// How long each of them waited.
struct Waits {
    sender: Duration,
    receiver: Duration,
    one_shot: Duration,
}

#[test]
fn a_failover_takes_people_as_long_as_is_printed() {
    let servers = env_number("FAILOVER_SERVERS", SERVERS) as usize;
    match hosts::possible() {
        Ok(()) => on_hosts(servers, |hosts| measure(servers, Some(hosts))),
        Err(why) => {
            println!("skipped: the unplugged PRIMARY: {why}");
            measure(servers, None);
        }
    }
}

fn measure(servers: usize, hosts: Option<Hosts>) {
    let rounds = env_number("FAILOVER_ROUNDS", ROUNDS);
    let mut ends = vec![
        (End::Kill, "kill -9"),
        (End::Stop, "SIGSTOP: the machine hangs"),
        (End::Terminate, "SIGTERM: a clean stop"),
    ];
    if hosts.is_some() {
        ends.insert(2, (End::Unplug, "unplugged: packets are dropped"));
    }
    let fleet = match hosts {
        Some(hosts) => Fleet::start_on(hosts, "failover", servers, &[]),
        None => Fleet::start("failover", servers, &[]),
    };
    let mut people = People::new(fleet);
    println!("{servers} servers; from the PRIMARY's end, at which a message is sent, until");
    println!("chatctl chat marks it as sent, the receiver's idle chatctl chat shows it, and a");
    println!("chatctl chat --send that begins then has ended; median and worst of {rounds}, ms:");
    println!("  {:<32}{:>14}{:>14}{:>14}", "", "sender", "receiver", "--send");
    let mut rng = Rng::new(env_number("SOAK_SEED", 1));
    for (end, what) in ends {
        let waits: Vec<Waits> = (0..rounds).map(|_| people.fail_over(end, &mut rng)).collect();
        let column = |of: fn(&Waits) -> Duration| {
            let mut all: Vec<u128> = waits.iter().map(|waits| of(waits).as_millis()).collect();
            all.sort_unstable();
            format!("{:>8}{:>6}", all[all.len() / 2], all[all.len() - 1])
        };
        let (sender, receiver) = (column(|w| w.sender), column(|w| w.receiver));
        println!("  {what:<32}{sender}{receiver}{}", column(|w| w.one_shot));
    }
    people.end();
}

/// A `chatctl chat` that is left running.
struct Chat {
    child: Child,
    input: Bounded<ChildStdin>,
    lines: Inbox<(Instant, String)>,
}

impl Chat {
    fn start(mut command: Command) -> Chat {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let input = child.input();
        // An idle chat is silent for long.
        let output = child.lines_within(IDLE, "the chat's next line");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
        Chat { child, input, lines }
    }

    /// When it prints an event of that kind with that text.
    fn wait_for(&self, event: &str, text: &str) -> Instant {
        self.wait_for_line(&format!("\"event\": \"{event}\""), &format!("\"text\": \"{text}\""))
    }

    fn wait_for_line(&self, event: &str, more: &str) -> Instant {
        loop {
            let (at, line) = received(&self.lines, &format!("{event} with {more}"));
            if line.contains(event) && line.contains(more) {
                return at;
            }
        }
    }

    fn end(mut self) {
        drop(self.input);
        assert!(exit_of(&mut self.child).success());
    }
}

/// Who sends, who waits, and where.
struct People {
    fleet: Fleet,
    states: TempDir,
    sender: Chat,
    receiver: Chat,
    number: u32,
}

impl People {
    fn new(mut fleet: Fleet) -> People {
        fleet.wait_until_together();
        let states = TempDir::new("failover-states");
        let servers = fleet.addresses().join(",");
        let chat = |user: &str| {
            let mut command = client(&states, &servers, user);
            command.args(["--create", "--json"]);
            Chat::start(command)
        };
        let receiver = chat("bob");
        // What is sent to an account that is not made yet is refused.
        receiver.wait_for_line("\"event\": \"login\"", "\"name\": \"bob\"");
        let sender = chat("alice");
        let mut people = People { fleet, states, sender, receiver, number: 0 };
        people.send();
        people.receive();
        people
    }

    /// Says something new; its text.
    fn send(&mut self) -> String {
        self.number += 1;
        let text = format!("hello {}", self.number);
        writeln!(self.sender.input, "/msg bob {text}").expect("it reads");
        text
    }

    fn receive(&mut self) {
        let text = format!("hello {}", self.number);
        self.sender.wait_for("sent", &text);
        self.receiver.wait_for("message", &text);
    }

    fn fail_over(&mut self, end: End, rng: &mut Rng) -> Waits {
        self.fleet.wait_until_together();
        let primary = self.fleet.wait_for_primary();
        self.send();
        self.receive();
        // The receiver is idle then, at any moment between two pings.
        std::thread::sleep(Duration::from_millis(rng.below(PHASE_MS)));
        let mut list = self.fleet.addresses();
        list.rotate_left(primary);
        let mut one_shot = client(&self.states, &list.join(","), "carol");
        one_shot.args(["--send", "bob", "from a script"]).stdin(Stdio::null());
        if self.number <= 2 {
            one_shot.arg("--create");
        }
        let everybody: Vec<usize> = (0..=self.fleet.size()).collect();
        match end {
            End::Kill => self.fleet.kill_all(&[primary]),
            End::Stop => self.fleet.stop(primary),
            End::Unplug => self.fleet.hosts().part(&[primary], &everybody),
            End::Terminate => self.fleet.ask_to_end(primary),
        }
        let since = Instant::now();
        let text = self.send();
        let mut one_shot = one_shot.stdout(Stdio::null()).spawn().expect("it starts");
        let script = std::thread::spawn(move || (exit_of(&mut one_shot).success(), Instant::now()));
        let sender = self.sender.wait_for("sent", &text).duration_since(since);
        let receiver = self.receiver.wait_for("message", &text).duration_since(since);
        let (success, one_shot) = joined(script, "the --send ends");
        assert!(success, "the --send was not sent");
        let one_shot = one_shot.duration_since(since);
        match end {
            End::Kill => self.fleet.start_one(primary),
            End::Stop => self.fleet.go_on(primary),
            End::Unplug => self.fleet.hosts().heal(),
            End::Terminate => {
                assert!(self.fleet.wait(primary).success());
                self.fleet.start_one(primary);
            }
        }
        Waits { sender, receiver, one_shot }
    }

    fn end(self) {
        self.sender.end();
        self.receiver.end();
    }
}

fn client(states: &TempDir, servers: &str, user: &str) -> Command {
    let mut command = chatctl(&["chat", "--servers", servers, "--user", user, "--timeout", "20"]);
    command.arg("--state-dir").arg(states.path().join(user));
    command.env("CHATCTL_PASSWORD", "open sesame").env("NO_COLOR", "1");
    command
}
