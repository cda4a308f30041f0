//! A play: clients that send and read while something happens to the servers, and what must hold of
//! it in the end.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

use super::chatter::{Chats, Chatter};
use super::checker::{self, Records};
use super::line::Roamer;
use super::log::Log;
use super::receiver::{Receiver, Seen};
use super::sender::{Sender, Sendings};
use super::tally::{Alarm, Stage, Tally};
use crate::support::bounded::{RUN, WHOLE, joined_scoped, scope};
use crate::support::fleet::{Fleet, Standing, status_of};
use crate::support::raw_client::ask;
use crate::support::{Rng, env_number};

/// How long it may take until the clients are served again, once a majority can serve them.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The clients of a play.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    pub senders: usize,
    pub receivers: usize,
    pub chats: usize,
    /// How long each pauses between two things that it does, on average.
    pub pace_ms: u64,
    /// How long the whole play may take.
    pub longest: Duration,
}

/// A few of each.
pub const CAST: Cast = Cast { senders: 3, receivers: 2, chats: 2, pace_ms: 25, longest: WHOLE };

/// What a play came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub acknowledged: u64,
    pub stored: u64,
    pub elections: u64,
    pub redirects: u64,
    pub refused: u64,
    /// Times that a receiver read from a server that served history only.
    pub read_only: u64,
    pub worst_gap: Duration,
    /// Lines of chats that tell of something that went wrong.
    pub problems: Vec<String>,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Outcome { acknowledged, stored, elections, redirects, refused, read_only, .. } = self;
        write!(
            f,
            "{acknowledged} acknowledged, {stored} stored, {elections} elections, {redirects} \
             redirects, {refused} refused, {read_only} read-only sessions, worst gap {} ms",
            self.worst_gap.as_millis()
        )
    }
}

/// The seed of a test: `SOAK_SEED`, or one of its own.
pub fn dice(test: &str, own: u64) -> Rng {
    let seed = env_number("SOAK_SEED", own);
    println!("{test}: SOAK_SEED={seed}");
    Rng::new(seed)
}

/// Has the clients play while `inject` injects faults; then repairs everything and compares what the
/// clients know with what the servers have.
pub fn play(
    fleet: &mut Fleet,
    cast: Cast,
    rng: &mut Rng,
    inject: impl FnOnce(&mut Fleet, &Tally, &mut Rng),
) -> Outcome {
    let tally = Tally::default();
    let clients = Clients::new(fleet, cast, rng);
    let outcome = scope(cast.longest, "all clients of the play have ended", |scope| {
        let running = clients.start(scope, &tally, rng);
        let played = catch_unwind(AssertUnwindSafe(|| {
            tally.wait_for_more(20, PATIENCE);
            inject(fleet, &tally, rng);
            repair(fleet);
            running.end(&tally)
        }));
        match played {
            Ok(outcome) => outcome,
            Err(panic) => {
                tally.enter(Stage::Failed);
                resume_unwind(panic)
            }
        }
    });
    let (mut outcome, records) = outcome;
    let (stored, commits) = check_logs(fleet, &mut outcome);
    checker::check(&records, &stored);
    check_histories(fleet, &clients, &stored, &commits);
    outcome.acknowledged = tally.count();
    outcome.stored = stored.len() as u64;
    outcome.worst_gap = tally.worst_gap();
    assert!(outcome.acknowledged > 0, "nothing was done");
    let held = |problem: &String| problem.starts_with("{\"event\": \"held\"");
    assert!(outcome.problems.iter().all(held), "a chat reports an error: {:?}", outcome.problems);
    outcome
}

/// Everything runs and everybody is reached, with room on all disks.
pub fn repair(fleet: &mut Fleet) {
    fleet.heal();
    fleet.free_disks();
    fleet.start_all();
    fleet.wait_for_primary();
}

struct Clients {
    servers: Vec<String>,
    receivers: Vec<String>,
    chats: Vec<String>,
    home: std::path::PathBuf,
    cast: Cast,
}

struct Running<'scope> {
    senders: Vec<ScopedJoinHandle<'scope, Sendings>>,
    receivers: Vec<ScopedJoinHandle<'scope, super::receiver::Readings>>,
    chats: Vec<ScopedJoinHandle<'scope, Chats>>,
    watcher: ScopedJoinHandle<'scope, ()>,
}

impl Clients {
    /// Makes the accounts of all that are written to.
    fn new(fleet: &Fleet, cast: Cast, rng: &mut Rng) -> Clients {
        let names = |kind: &str, count: usize| (0..count).map(|n| format!("{kind}{n}")).collect();
        let clients = Clients {
            servers: fleet.addresses(),
            receivers: names("receiver", cast.receivers),
            chats: names("chat", cast.chats),
            home: fleet.home().to_owned(),
            cast,
        };
        for name in clients.receivers.iter().chain(&clients.chats) {
            let mut roamer = Roamer::new(name, &clients.servers, rng);
            roamer.line(&Tally::default()).expect("an account can be made");
        }
        clients
    }

    fn start<'scope, 'a: 'scope>(
        &'a self,
        scope: &'scope Scope<'scope, 'a>,
        tally: &'a Tally,
        rng: &mut Rng,
    ) -> Running<'scope> {
        let Clients { servers, cast, .. } = self;
        let pace_ms = cast.pace_ms;
        let all: Vec<String> = self.receivers.iter().chain(&self.chats).cloned().collect();
        let chats = self.chats.iter().map(|name| {
            let place = (self.home.as_path(), rng.next());
            let chatter = Chatter::start(name, servers, &self.receivers, *cast, place, tally);
            scope.spawn(move || chatter.run())
        });
        // All are there before anything is sent to them.
        let chats = chats.collect();
        let receivers = self.receivers.iter().map(|name| {
            let receiver = Receiver::new(name, servers, 4 * pace_ms, rng.next(), tally);
            scope.spawn(move || receiver.run())
        });
        let receivers = receivers.collect();
        let senders = (0..cast.senders).map(|number| {
            let name = format!("sender{number}");
            let sender = Sender::new(&name, servers, &all, pace_ms, rng.next(), tally);
            scope.spawn(move || sender.run())
        });
        let senders = senders.collect();
        let watcher = scope.spawn(|| watch(servers, tally));
        Running { senders, receivers, chats, watcher }
    }
}

impl Running<'_> {
    /// Has all clients bring home what they have, senders first.
    fn end(self, tally: &Tally) -> (Outcome, Records) {
        let (mut outcome, mut records) = (Outcome::default(), Records::default());
        tally.enter(Stage::EndSending);
        for sender in self.senders {
            let sendings = end_of(sender, tally, "a sender ends");
            outcome.redirects += sendings.redirects;
            outcome.refused += sendings.refused;
            records.sent.extend(sendings.sent);
        }
        tally.enter(Stage::EndChats);
        for chat in self.chats {
            let mut chats = end_of(chat, tally, "a chat ends");
            outcome.problems.append(&mut chats.problems);
            records.sent.append(&mut chats.sent);
            records.chats.push(chats);
        }
        tally.enter(Stage::EndReading);
        for receiver in self.receivers {
            let readings = end_of(receiver, tally, "a receiver ends");
            outcome.read_only += readings.read_only;
            records.readings.push(readings);
        }
        tally.enter(Stage::Over);
        end_of(self.watcher, tally, "the watcher ends");
        (outcome, records)
    }
}

/// What a client has found, once it has ended; when it does not end, all the others are told to.
fn end_of<T>(thread: ScopedJoinHandle<'_, T>, tally: &Tally, what: &str) -> T {
    joined_scoped(RUN, thread, what).unwrap_or_else(|sentence| {
        tally.enter(Stage::Failed);
        panic!("{sentence}");
    })
}

/// Asks every server all the time who it is.
fn watch(servers: &[String], tally: &Tally) {
    let _alarm = Alarm(tally);
    while !tally.is_at(Stage::Over) {
        for address in servers {
            if let Ok(status) = status_of(address, Duration::from_millis(200)) {
                tally.heard(&status);
            }
        }
        tally.pass(Duration::from_millis(30), Stage::Over);
    }
}

/// Every member's log has the same; the messages that are stored in it, and up to where each log
/// itself says that it is committed. A server that was taken out has the same up to there.
fn check_logs(fleet: &mut Fleet, outcome: &mut Outcome) -> (Vec<Seen>, Vec<(usize, u64)>) {
    let agreed = fleet.wait_until_together();
    let read = |place: usize| (place, Log::read(&fleet.data_dir(place)));
    let logs: Vec<(usize, Log)> = fleet.places().into_iter().map(read).collect();
    let (_, first) = &logs[0];
    for (place, log) in &logs {
        let name = fleet.name(*place);
        assert!(log.commit <= agreed.commit, "server {name} has more committed than it says");
        first.check_same(log, agreed.commit, name);
    }
    for place in fleet.standing_as(|standing| standing == Standing::Out) {
        if fleet.data_dir(place).join("wal").exists() {
            let (_, log) = read(place);
            assert!(log.commit <= agreed.commit, "{} is behind the others", fleet.name(place));
            first.check_same(&log, log.commit, fleet.name(place));
        }
    }
    outcome.elections = first.terms;
    let commits = logs.iter().map(|(place, log)| (*place, log.commit)).collect();
    (first.messages(agreed.commit), commits)
}

/// Every member, left alone, shows everybody the same history, as far as it can know that it is one:
/// the last thing that it heard to be committed may not be written down.
fn check_histories(
    fleet: &mut Fleet,
    clients: &Clients,
    stored: &[Seen],
    commits: &[(usize, u64)],
) {
    let all: Vec<usize> = (0..fleet.size()).collect();
    fleet.kill_all(&all);
    fleet.set_flag("--read-only-after-ms", "50");
    let tally = Tally::default();
    for &(place, commit) in commits {
        fleet.start_one(place);
        let address = fleet.addresses()[place].clone();
        for name in clients.receivers.iter().chain(&clients.chats) {
            let mut roamer = Roamer::new(name, std::slice::from_ref(&address), &mut Rng::new(1));
            roamer.takes_read_only = true;
            let has = history(&mut roamer, &tally);
            let due: Vec<&Seen> = checker::seen_by(name, stored).collect();
            let differs = due.iter().zip(&has).find(|(due, has)| *due != has);
            assert_eq!(differs, None, "server {}, {name}", fleet.name(place));
            let least = due.partition_point(|seen| seen.seq <= commit);
            let right = least..=due.len();
            assert!(right.contains(&has.len()), "server {}, {name}: {right:?}", fleet.name(place));
        }
        fleet.kill(place);
    }
}

/// All that an account can see, oldest first.
fn history(roamer: &mut Roamer, tally: &Tally) -> Vec<Seen> {
    let (mut all, mut cursor) = (Vec::new(), 0);
    loop {
        let mut line = roamer.line(tally).expect("a server shows its history");
        let mut more = true;
        while more {
            let request = ask("history").body("after").seq(cursor).limit(1_000);
            let Ok((frames, last)) = line.page(request) else { break };
            assert!(!last.error, "{}: {last:?}", roamer.name);
            all.extend(frames.iter().map(Seen::of));
            cursor = last.seq;
            more = last.body == "more";
        }
        if !more {
            return all;
        }
    }
}
