//! The simulator: one seed, one history. The real core, state machine, service, log and recovery of
//! one to seven servers, over simulated disks, networks and clocks; the real client agent, and a
//! client of the protocol's page alone, over simulated connections; everything that can go wrong, at
//! rates drawn from the seed; and a checker that knows what must hold.
//!
//! | file | what it has |
//! | --- | --- |
//! | `world.rs` | the queue of events; servers and clients in it |
//! | `server.rs`, `process.rs` | one machine; the node that runs on it, and its sockets |
//! | `network.rs`, `wires.rs`, `names.rs`, `disks.rs`, `clock.rs` | what is simulated |
//! | `copies.rs` | disks that are rolled back |
//! | `members.rs`, `operator.rs` | machines that come and go; who has the members changed |
//! | `chatter.rs`, `folder.rs` | a person with the product's client; what its machine keeps |
//! | `wild.rs` | a client of the protocol's page alone |
//! | `faults.rs` | what goes wrong, and how often |
//! | `finale.rs` | how a history ends: liveness, then agreement |
//! | `losses.rs` | disks that lose without a trace what they had synced |
//! | `held.rs` | a server whose disk takes nothing for a while |
//! | `checker.rs`, `kept.rs`, `configs.rs` | what must hold; what is known to be durable, and who counts |
//! | `times.rs` | what must hold of the times of entries |
//! | `trace.rs`, `counts.rs` | the story, its hash, its numbers |
//!
//! `make sim SIM_SEEDS=n` plays many seeds from `SIM_BASE` on; `make sim SIM_SEED=x` plays one, with
//! `SIM_TRACE=1` telling all of it.

mod chatter;
mod checker;
mod client;
mod clock;
mod configs;
mod copies;
mod counts;
pub mod disks;
mod faults;
mod finale;
mod folder;
mod held;
mod kept;
mod losses;
mod members;
mod names;
mod network;
mod operator;
mod process;
mod server;
mod tap;
mod times;
mod trace;
mod wild;
mod wires;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use counts::Counts;
use world::{MS, World};

use crate::support::bounded::{Watchdog, scope};
use crate::support::env_number;

/// Seeds that are played where nothing else is asked for.
const SEEDS: u64 = 50;

/// How long a history may take, real time: a hundred times what the longest takes.
const HISTORY: Duration = Duration::from_secs(180);

/// Plays a history; its hash and its numbers.
fn play(seed: u64) -> (u64, Counts) {
    let _watchdog = Watchdog::new(HISTORY, format!("the history SIM_SEED={seed} ends"));
    let mut world = World::new(seed, std::env::var_os("SIM_TRACE").is_some());
    world.play();
    (world.trace.hash(), world.counts.clone())
}

#[test]
fn every_history_keeps_every_promise() {
    let started = Instant::now();
    if std::env::var_os("SIM_SEED").is_some() {
        let seed = env_number("SIM_SEED", 1);
        let (hash, counts) = play(seed);
        print!("{counts}");
        println!("the history of seed {seed} is {hash:016x}");
        return;
    }
    let (first, seeds) = (env_number("SIM_BASE", 1), env_number("SIM_SEEDS", SEEDS));
    let (sum, hash) = play_many(first, seeds);
    print!("{sum}");
    let (seconds, hours) = (started.elapsed().as_secs_f64(), sum.simulated_ms as f64 / 3_600_000.0);
    println!("{seeds} seeds from {first} on: {hours:.1} simulated hours in {seconds:.1} s");
    println!("all of them together: {hash:016x}");
    if seeds >= SEEDS {
        check_that_much_happened(&sum, seeds);
    }
}

/// Plays many histories, as many at a time as there are processors; their numbers, and a hash of all.
fn play_many(first: u64, seeds: u64) -> (Counts, u64) {
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let sum = Mutex::new((Counts::default(), 0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let whole = HISTORY * u32::try_from(seeds + 1).expect("so many are never played");
    scope(whole, "all histories end", |scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _failure = Failure(&failed);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds || failed.load(Ordering::Relaxed) {
                        return;
                    }
                    let (hash, counts) = play(seed);
                    let mut sum = sum.lock().expect("no thread fails while it counts");
                    sum.0.add(&counts);
                    sum.1 ^= hash;
                }
            });
        }
    });
    sum.into_inner().expect("no thread fails while it counts")
}

/// Tells the other threads to end when this one fails.
struct Failure<'a>(&'a AtomicBool);

impl Drop for Failure<'_> {
    fn drop(&mut self) {
        self.0.fetch_or(std::thread::panicking(), Ordering::Relaxed);
    }
}

/// An empty run must not look good.
fn check_that_much_happened(sum: &Counts, seeds: u64) {
    let at_least = [
        ("acknowledged", sum.acknowledged, 50 * seeds),
        ("answers", sum.answers, 20 * seeds),
        ("shown", sum.shown, 20 * seeds),
        ("elections", sum.elections, 3 * seeds),
        ("kills", sum.kills, seeds),
        ("power losses", sum.power_losses, seeds / 2),
        ("partitions", sum.partitions + sum.isolated, seeds / 2),
        ("clean stops", sum.stopped, seeds / 10),
        ("pauses", sum.pauses, seeds / 4),
        ("failed syncs", sum.sync_errors, seeds / 10),
        ("full disks", sum.full_disks, seeds / 10),
        ("disks left full", sum.left_full, seeds / 10),
        ("client crashes", sum.client_crashes, seeds / 4),
        ("adopted messages", sum.adopted, seeds / 10),
        ("errors of clients' disks", sum.disk_told, seeds / 10),
        ("messages given up", sum.given_up, seeds / 10),
        ("damaged logs", sum.damaged, seeds / 2),
        ("losses without a trace", sum.forgotten, seeds / 10),
        ("losses that the PRIMARY notices", sum.noticed, seeds / 50),
        ("torn writes", sum.torn_tails, seeds / 4),
        ("bytes lost", sum.unsynced_lost, seeds / 10),
        ("redirects", sum.redirects, seeds / 10),
        ("lagging connections", sum.lagging, seeds / 50),
        ("read-only answers", sum.read_only, seeds / 20),
        ("servers that formed a cluster", sum.formed, seeds / 2),
        ("members added", sum.added, seeds / 10),
        ("members removed", sum.removed, seeds / 20),
        ("members replaced", sum.replaced, seeds / 20),
        ("refused changes", sum.changes_refused, seeds / 10),
        ("lost disks", sum.wiped, seeds / 20),
        ("lost disks that came back", sum.ghosts, seeds / 100),
        ("disks rolled back", sum.rolled_back, seeds / 20),
        ("old copies found out", sum.condemned, seeds / 50),
        ("clocks that jumped by years", sum.years, seeds / 5),
        ("times that went back", sum.went_back, seeds / 10),
        ("times held against a median", sum.by_median, 10 * seeds),
    ];
    // Under a PRIMARY that has what it needs a loss is noticed before that PRIMARY steps down.
    assert!(
        sum.remembered <= sum.noticed / 4,
        "PRIMARYs step down before a loss is noticed\n{sum}"
    );
    for (what, count, least) in at_least {
        assert!(count >= least, "{what}: only {count} in {seeds} histories\n{sum}");
    }
}

/// Servers that have just started find the others only long after the faults are over.
#[test]
fn servers_whose_look_ups_outlast_the_faults_find_a_primary_too() {
    for seed in 1..=20 {
        let _watchdog = Watchdog::new(HISTORY, format!("the history {seed} of slow names ends"));
        let mut world = World::new(seed, std::env::var_os("SIM_TRACE").is_some());
        (world.faults.slow_name, world.faults.until) = (1_000, 400 * MS);
        world.play();
    }
}

#[test]
fn one_seed_is_one_history() {
    for seed in [3, 14, 159] {
        let (first, second) = (play(seed), play(seed));
        assert_eq!(first, second, "seed {seed}");
    }
}
