//! `chatctl chat` as a process that is fed through a pipe.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::play::Cast;
use super::receiver::Seen;
use super::sender::{Outcome, Sent, text};
use super::tally::{Alarm, Stage, Tally};
use crate::support::bounded::{Bounded, Pipes, RUN, Run, joined_scoped, output_of, scope};
use crate::support::server::password_of;
use crate::support::{Rng, chatctl, number_field, text_field};

/// A chat that has printed nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(180);

/// What a chat has at its end.
pub struct Chats {
    pub name: String,
    pub sent: Vec<Sent>,
    /// Messages from others, in the order in which they were shown.
    pub shown: Vec<Seen>,
    /// Lines that tell of something that went wrong.
    pub problems: Vec<String>,
}

/// One such client.
pub struct Chatter<'a> {
    tally: &'a Tally,
    recipients: Vec<String>,
    rng: Rng,
    cast: Cast,
    child: Child,
    output: Option<BufReader<Bounded<ChildStdout>>>,
    /// How to start it another time.
    again: Command,
    has: Chats,
}

impl<'a> Chatter<'a> {
    /// Starts one whose account is there already.
    pub fn start(
        name: &str,
        servers: &[String],
        recipients: &[String],
        cast: Cast,
        (home, seed): (&Path, u64),
        tally: &'a Tally,
    ) -> Chatter<'a> {
        let command = || {
            let mut command = chatctl(&["chat", "--json", "--timeout", "60", "--user", name]);
            command.args(["--servers", &servers.join(",")]);
            command.arg("--state-dir").arg(home.join(format!("{name}.state")));
            command.env("CHATCTL_PASSWORD", password_of(name));
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            command
        };
        let mut child = command().spawn().expect("the program can be started");
        let what = format!("the next line of {name}'s chat");
        let mut output = child.lines_within(SILENCE, what);
        let mut line = String::new();
        // A client's first start shows what comes from then on.
        while !line.starts_with("{\"event\": \"login\"") {
            line.clear();
            assert!(output.read_line(&mut line).expect("UTF-8") > 0, "{name} does not log in");
        }
        let (sent, shown, problems) = (Vec::new(), Vec::new(), Vec::new());
        Chatter {
            tally,
            recipients: recipients.to_vec(),
            rng: Rng::new(seed),
            cast,
            child,
            output: Some(output),
            again: command(),
            has: Chats { name: name.to_owned(), sent, shown, problems },
        }
    }

    /// Types until the clients are to end; then the end of the input, and what came of it.
    pub fn run(mut self) -> Chats {
        let _alarm = Alarm(self.tally);
        let mut input = self.child.input();
        let (output, tally) = (self.output.take().expect("it runs once"), self.tally);
        let lines = scope(self.cast.longest, "a chat has ended", |scope| {
            let reader = scope.spawn(move || gather(output, tally));
            self.type_all(&mut input);
            drop(input);
            if self.tally.is_at(Stage::Failed) {
                self.child.kill().expect("it is ours");
            }
            let lines = joined_scoped(RUN, reader, "a chat's output ends");
            lines.unwrap_or_else(|sentence| panic!("{sentence}"))
        });
        let output = output_of(self.child);
        if self.tally.is_at(Stage::Failed) {
            return self.has;
        }
        // What came while it ended is for the account's next client.
        let last = self.again.stdin(Stdio::null()).run();
        let name = &self.has.name;
        for output in [&output, &last] {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}: {}: {error}", output.status);
            assert_eq!(error, "", "{name}");
        }
        let last = String::from_utf8(last.stdout).expect("UTF-8");
        for line in lines.iter().map(String::as_str).chain(last.lines()) {
            take(&mut self.has, line);
        }
        self.has
    }

    fn type_all(&mut self, input: &mut impl Write) {
        let mut number = 0;
        while !self.tally.is_at(Stage::EndChats) {
            number += 1;
            let to = &self.recipients[self.rng.below(self.recipients.len() as u64) as usize];
            let body = text(&self.has.name, number, &mut self.rng);
            // The client trims what is typed.
            let body = body.trim_end().to_owned();
            writeln!(input, "/msg {to} {body}").expect("a chat reads on");
            let (from, to, outcome) = (self.has.name.clone(), to.clone(), Outcome::Open);
            self.has.sent.push(Sent { from, to, body, number, outcome });
            let pause = Duration::from_millis(self.rng.below(2 * self.cast.pace_ms + 1));
            self.tally.pass(pause, Stage::EndChats);
        }
    }
}

/// What a chat prints, as it comes.
fn gather(mut output: impl BufRead, tally: &Tally) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    while output.read_line(&mut line).expect("UTF-8") > 0 {
        if line.starts_with("{\"event\": \"sent\"") {
            tally.acknowledged(1, number_field(&line, "seq").expect("it has a seq"));
        }
        lines.push(std::mem::take(&mut line));
    }
    lines
}

/// A line that a chat has printed.
fn take(has: &mut Chats, line: &str) {
    let text = |key| text_field(line, key).unwrap_or_else(|| panic!("no {key}: {line}")).to_owned();
    let number = |key| number_field(line, key).unwrap_or_else(|| panic!("no {key}: {line}"));
    match text_field(line, "event").expect("every line is an event") {
        "sent" => {
            let outcome =
                Outcome::Stored { id: text("id"), seq: number("seq"), time: number("time") };
            set_outcome(has, &text("text"), outcome);
        }
        "failed" => {
            set_outcome(has, &text("text"), Outcome::Refused);
            has.problems.push(line.to_owned());
        }
        "message" => has.shown.push(Seen {
            from: text("from"),
            to: text("to"),
            id: text("id"),
            body: text("text"),
            seq: number("seq"),
            time: number("time"),
        }),
        "error" | "held" => has.problems.push(line.to_owned()),
        _ => {}
    }
}

fn set_outcome(has: &mut Chats, body: &str, outcome: Outcome) {
    let number: usize = body.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("ours");
    let sent = &mut has.sent[number - 1];
    assert_eq!(sent.body, body, "what was typed is what was sent");
    assert_eq!(sent.outcome, Outcome::Open, "each message is answered for once: {body}");
    sent.outcome = outcome;
}
