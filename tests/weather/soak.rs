//! Everything at once, for as long as is asked for: `make soak SOAK_SECONDS=n`.

use std::fmt;
use std::time::{Duration, Instant};

use super::kills::some;
use super::play::{CAST, Cast, PATIENCE, dice, play};
use super::tally::{Stage, Tally};
use crate::support::fleet::Fleet;
use crate::support::hosts::{Hosts, possible};
use crate::support::{Rng, env_number, sys};

/// How long where nothing else is asked for: enough to see that it works.
const SECONDS: u64 = 5;
const SERVERS: u64 = 5;

/// What has happened.
#[derive(Default)]
struct Happened {
    kills: u64,
    all_killed: u64,
    pauses: u64,
    partitions: u64,
    restarts: u64,
    without_majority: u64,
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Happened { kills, all_killed, pauses, partitions, restarts, without_majority } = self;
        write!(
            f,
            "{kills} kills ({all_killed} times all at once), {pauses} pauses, {partitions} \
             partitions, {restarts} clean restarts, {without_majority} times without a majority"
        )
    }
}

#[test]
fn bad_weather_loses_nothing() {
    let seconds = env_number("SOAK_SECONDS", SECONDS);
    let servers = env_number("SOAK_SERVERS", SERVERS) as usize;
    match possible().and_then(|()| Hosts::make(servers)) {
        Ok(hosts) => {
            let clients = hosts.file(servers);
            sys::in_namespace(&clients, || {
                soak(Fleet::start_on(hosts, "soak", servers, &[]), seconds, true);
            });
        }
        Err(why) => {
            println!("skipped: partitions: {why}");
            soak(Fleet::start("soak", servers, &[]), seconds, false);
        }
    }
}

fn soak(mut fleet: Fleet, seconds: u64, can_part: bool) {
    let mut rng = dice("bad weather", 1);
    let mut happened = Happened::default();
    let cast = Cast { pace_ms: env_number("SOAK_PACE_MS", CAST.pace_ms), ..CAST };
    let until = Instant::now() + Duration::from_secs(seconds);
    let outcome = play(&mut fleet, cast, &mut rng, |fleet, tally, rng| {
        let mut told = Instant::now();
        while Instant::now() < until {
            storm(fleet, tally, rng, can_part, &mut happened);
            if told.elapsed() >= Duration::from_secs(60) {
                told = Instant::now();
                let left = until.saturating_duration_since(told).as_secs();
                println!("{left} s to go: {} acknowledged, {happened}", tally.count());
            }
        }
    });
    println!("{seconds} s of bad weather over {} servers", fleet.size());
    println!("{happened}");
    println!("{outcome}");
    for problem in &outcome.problems {
        print!("a chat says: {problem}");
    }
}

/// One thing goes wrong, or two; then clients must be served again, with or without a repair.
fn storm(fleet: &mut Fleet, tally: &Tally, rng: &mut Rng, can_part: bool, happened: &mut Happened) {
    let mut hurt: Vec<usize> = Vec::new();
    for _ in 0..1 + rng.below(2) {
        match rng.below(if can_part { 10 } else { 6 }) {
            0 => {
                let all = some(fleet, fleet.size(), rng);
                fleet.kill_all(&all);
                (happened.kills, happened.all_killed) =
                    (happened.kills + all.len() as u64, happened.all_killed + 1);
                hurt = all;
            }
            1 | 2 => {
                for place in victims(fleet, rng) {
                    happened.kills += u64::from(fleet.runs(place));
                    fleet.kill(place);
                    hurt.push(place);
                }
            }
            3 | 4 => {
                let mut places = victims(fleet, rng);
                let live = fleet.live();
                places.retain(|place| live.contains(place));
                for place in places {
                    happened.pauses += 1;
                    fleet.stop(place);
                    hurt.push(place);
                }
            }
            5 => {
                let place = fleet.primary().unwrap_or(rng.below(fleet.size() as u64) as usize);
                if fleet.live().contains(&place) {
                    happened.restarts += 1;
                    assert!(fleet.terminate(place).success(), "{}", fleet.stderr(place));
                    hurt.push(place);
                }
            }
            _ => hurt.extend(part(fleet, tally, rng, happened)),
        }
    }
    hurt.sort_unstable();
    hurt.dedup();
    fleet.check_alive();
    if fleet.size() - hurt.len() >= fleet.majority() {
        tally.wait_for_more(1 + rng.below(50), PATIENCE);
    } else {
        happened.without_majority += 1;
        tally.pass(Duration::from_millis(rng.below(3_000)), Stage::Failed);
    }
    fleet.heal();
    fleet.start_all();
    tally.wait_for_more(1 + rng.below(100), PATIENCE);
}

/// A minority of the servers, the PRIMARY among them every other time.
fn victims(fleet: &Fleet, rng: &mut Rng) -> Vec<usize> {
    let count = 1 + rng.below((fleet.size() as u64 / 2).max(1)) as usize;
    let mut places = some(fleet, count, rng);
    if let Some(primary) = fleet.primary().filter(|_| rng.chance(1, 2))
        && !places.contains(&primary)
    {
        places[0] = primary;
    }
    places
}

/// Parts servers from each other; the ones that are on the smaller side in the end.
fn part(fleet: &Fleet, tally: &Tally, rng: &mut Rng, happened: &mut Happened) -> Vec<usize> {
    let places = victims(fleet, rng);
    let rest: Vec<usize> = (0..fleet.size()).filter(|place| !places.contains(place)).collect();
    let flaps = if rng.chance(1, 3) { 1 + rng.below(6) } else { 0 };
    for flap in 0..=flaps {
        happened.partitions += 1;
        match rng.below(3) {
            0 => fleet.hosts().part(&places, &rest),
            1 => fleet.hosts().cut(&places, &rest),
            _ => fleet.hosts().cut(&rest, &places),
        }
        if flap < flaps {
            tally.pass(Duration::from_millis(rng.below(300)), Stage::Failed);
            fleet.hosts().heal();
            tally.pass(Duration::from_millis(rng.below(300)), Stage::Failed);
        }
    }
    places
}
