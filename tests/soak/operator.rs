//! An operator, who changes the members while faults are injected: a change that is refused is asked
//! for again later, until it is accepted.
//!
//! One server comes, goes or is wiped at a time, and the next only when all members have a vote: so
//! what was acknowledged is never on wiped directories alone.

use std::fmt;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use super::play::PATIENCE;
use super::tally::{Stage, Tally};
use crate::support::bounded::{Run, output_of};
use crate::support::fleet::{Fleet, Standing};
use crate::support::{Rng, text_field};

/// How long one question may take.
const ASK_MS: &str = "5000";
/// Fewer members than this are never left, where there were more.
const FEWEST: usize = 3;
/// Why a change may be refused under faults.
const REASONS: [&str; 3] =
    ["cannot admit", "there would be no majority", "no other server can take over"];

/// What the operator has done.
#[derive(Default)]
pub struct Changes {
    pub added: u64,
    removed: u64,
    /// Servers that were not stopped when they were removed.
    left_running: u64,
    pub replaced: u64,
    refused: u64,
    /// Times that a change was timed out, or that it was not known whether it was done.
    late: u64,
    /// Changes that were found done when they were asked for again.
    found_done: u64,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Changes { added, removed, left_running, replaced, refused, late, found_done } = self;
        write!(
            f,
            "{added} members added, {removed} removed ({left_running} left running), {replaced} \
             wiped and replaced; {refused} times refused, {late} times timed out, \
             {found_done} of these found done"
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Remove,
    Replace,
}

/// What is to become of a server.
#[derive(Debug)]
struct Wish {
    verb: Verb,
    place: usize,
    /// There was a yes: its vote is waited for.
    is_in: bool,
}

/// The operator.
#[derive(Default)]
pub struct Operator {
    wish: Option<Wish>,
    asked: Option<Child>,
    pub changes: Changes,
}

impl Operator {
    /// Thinks of a change, asks for it, or hears what became of it: whatever is next, without waiting
    /// for it.
    pub fn step(&mut self, fleet: &mut Fleet, rng: &mut Rng) {
        match (&self.wish, &mut self.asked) {
            (None, _) => self.think(fleet, rng),
            (Some(_), None) => self.ask(fleet),
            (Some(_), Some(child)) => {
                if child.try_wait().expect("it is ours").is_some() {
                    self.hear(fleet);
                }
            }
        }
    }

    /// After the faults, finishes the change under way; then the members are those of all accepted
    /// changes.
    pub fn settle(&mut self, fleet: &mut Fleet, tally: &Tally) {
        let started = Instant::now();
        while self.wish.is_some() {
            if self.asked.is_none() {
                self.ask(fleet);
            }
            self.hear(fleet);
            let waited = started.elapsed();
            assert!(waited < 2 * PATIENCE, "{:?} is not done after the faults", self.wish);
            tally.pass(Duration::from_millis(20), Stage::Failed);
        }
        if fleet.size() > 1 {
            check_list(fleet);
        }
    }

    fn think(&mut self, fleet: &mut Fleet, rng: &mut Rng) {
        if fleet.size() == 1 || rng.chance(1, 2) {
            return;
        }
        let (members, out) = (fleet.places(), fleet.standing_as(|is| is == Standing::Out));
        let one_of =
            |places: &[usize], rng: &mut Rng| places[rng.below(places.len() as u64) as usize];
        let (verb, place) = match rng.below(3) {
            0 if !out.is_empty() => (Verb::Add, one_of(&out, rng)),
            1 if members.len() > FEWEST => (Verb::Remove, one_of(&members, rng)),
            _ => (Verb::Replace, one_of(&members, rng)),
        };
        match verb {
            Verb::Remove => {
                fleet.set_standing(place, Standing::Leaving);
                match rng.chance(1, 2) {
                    true => fleet.kill(place),
                    false => self.changes.left_running += 1,
                }
            }
            Verb::Add | Verb::Replace => {
                fleet.wipe(place);
                fleet.set_standing(place, Standing::Coming);
                fleet.start_one(place);
            }
        }
        self.wish = Some(Wish { verb, place, is_in: false });
    }

    fn ask(&mut self, fleet: &Fleet) {
        let Some(wish) = &self.wish else { return };
        let (name, listed) = (fleet.name(wish.place), fleet.listed(wish.place));
        let what: &[&str] = match (wish.is_in, wish.verb) {
            (true, _) => &["list", "--json"],
            (false, Verb::Add) => &["add", &listed],
            (false, Verb::Remove) => &["remove", name],
            (false, Verb::Replace) => &["replace", name],
        };
        let mut command = fleet.members(&[&["--timeout-ms", ASK_MS], what].concat());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.asked = Some(command.spawn().expect("the program can be started"));
    }

    fn hear(&mut self, fleet: &mut Fleet) {
        let (Some(wish), Some(child)) = (&mut self.wish, self.asked.take()) else { return };
        let output = output_of(child);
        if wish.is_in {
            let rows = rows(&output);
            let name = fleet.name(wish.place);
            if rows.iter().any(|row| row.name == name && row.vote == "voter") {
                fleet.set_standing(wish.place, Standing::Member);
                self.wish = None;
            }
            return;
        }
        let error = String::from_utf8_lossy(&output.stderr);
        let done = match (output.status.code(), error.contains("refused: ")) {
            (Some(0), _) => true,
            (Some(1), true) if is_done(wish.verb, &error) => {
                self.changes.found_done += 1;
                true
            }
            (Some(1), true) => {
                let known = REASONS.iter().any(|reason| error.contains(reason));
                assert!(known, "{wish:?} is refused: {error}");
                self.changes.refused += 1;
                false
            }
            (Some(1), false) => {
                self.changes.late += 1;
                false
            }
            _ => panic!("{wish:?}: {output:?}"),
        };
        if done {
            match wish.verb {
                Verb::Add => self.changes.added += 1,
                Verb::Replace => self.changes.replaced += 1,
                Verb::Remove => self.changes.removed += 1,
            }
            wish.is_in = true;
            if wish.verb == Verb::Remove {
                fleet.set_standing(wish.place, Standing::Out);
                self.wish = None;
            }
        }
    }
}

/// Whether a refusal says that there is nothing left to do: an earlier question did it, of which that
/// was not known. Only a PRIMARY that knows all that is committed says so.
fn is_done(verb: Verb, error: &str) -> bool {
    error.contains(match verb {
        Verb::Add => " is already a member",
        Verb::Remove => " is not a member; ",
        Verb::Replace => "there is nothing to replace",
    })
}

/// A member, as the list shows it.
struct Row {
    name: String,
    address: String,
    vote: String,
}

/// The list that was printed; none where none was.
fn rows(output: &Output) -> Vec<Row> {
    let text = String::from_utf8_lossy(&output.stdout);
    let field = |line, key| text_field(line, key).expect("each line has it").to_owned();
    let row = |line| Row {
        name: field(line, "name"),
        address: field(line, "address"),
        vote: field(line, "vote"),
    };
    text.lines().map(row).collect()
}

/// That the cluster has the members that it should have.
fn check_list(fleet: &Fleet) {
    let output = fleet.members(&["list", "--json"]).run();
    let shown = |row: &Row| format!("{}={} {}", row.name, row.address, row.vote);
    let has: Vec<String> = rows(&output).iter().map(shown).collect();
    let due = fleet.places().into_iter().map(|place| format!("{} voter", fleet.listed(place)));
    assert_eq!(has, due.collect::<Vec<_>>(), "the members are as the operator has made them");
}
