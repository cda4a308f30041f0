//! Everything at once, for as long as is asked for: `make soak SOAK_SECONDS=n`.

use std::fmt;
use std::time::{Duration, Instant};

use super::kills::some;
use super::operator::Operator;
use super::play::{CAST, Cast, PATIENCE, dice, play, repair};
use super::tally::{Stage, Tally};
use crate::support::bounded::WHOLE;
use crate::support::fleet::{Fleet, SmallDisks};
use crate::support::hosts::{Hosts, possible};
use crate::support::relay::Relay;
use crate::support::{Rng, env_number, sys};

/// How long where nothing else is asked for: enough to see that it works.
const SECONDS: u64 = 5;
const SERVERS: u64 = 5;
/// From how long on everything that can happen has to happen.
const MUCH_SECONDS: u64 = 120;
/// Places for servers that are let in meanwhile.
const SPARES: usize = 2;

/// What has happened.
#[derive(Default)]
struct Happened {
    kills: u64,
    all_killed: u64,
    pauses: u64,
    partitions: u64,
    stalls: u64,
    delays: u64,
    full_disks: u64,
    restarts: u64,
    without_majority: u64,
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Happened { kills, all_killed, pauses, partitions, .. } = self;
        let Happened { stalls, delays, full_disks, restarts, without_majority, .. } = self;
        write!(
            f,
            "{kills} kills ({all_killed} times all at once), {pauses} pauses, {partitions} \
             partitions, {stalls} stalls, {delays} times far apart, {full_disks} full disks, \
             {restarts} clean restarts, {without_majority} times without a majority"
        )
    }
}

#[test]
fn a_cluster_under_faults_loses_nothing() {
    let seconds = env_number("SOAK_SECONDS", SECONDS);
    let servers = env_number("SOAK_SERVERS", SERVERS) as usize;
    // A server that was founded alone has no port for others.
    let spares = if servers > 1 { SPARES } else { 0 };
    match possible().and_then(|()| Hosts::make(servers + spares)) {
        Ok(hosts) => {
            let clients = hosts.file(servers + spares);
            let longest = WHOLE + Duration::from_secs(seconds);
            sys::in_namespace_within(longest, &clients, || {
                let relay = Relay::between(&hosts, 1);
                let relay = relay.map_err(|why| println!("skipped: delays and stalls: {why}")).ok();
                let small = small_disks(servers, seconds);
                let fleet = Fleet::start_with_spares(Some(hosts), "soak", (servers, spares), small);
                soak(fleet, seconds, Faults::new(true, relay));
            });
        }
        Err(why) => {
            println!("skipped: partitions, delays, stalls and full disks: {why}");
            let none = SmallDisks::default();
            let fleet = Fleet::start_with_spares(None, "soak", (servers, spares), none);
            soak(fleet, seconds, Faults::new(false, None));
        }
    }
}

/// A minority has disks that can be filled up, with room for all that is ever sent.
fn small_disks(servers: usize, seconds: u64) -> SmallDisks {
    match sys::own_mounts() {
        Ok(()) => SmallDisks { servers: servers / 2, bytes: (32 << 20) + seconds * (256 << 10) },
        Err(why) => {
            println!("skipped: full disks: {why}");
            SmallDisks::default()
        }
    }
}

/// Injects faults, and counts them.
struct Faults {
    can_part: bool,
    /// A server whose disk is full, for so many rounds more.
    full: Option<(usize, u64)>,
    relay: Option<Relay>,
    happened: Happened,
    operator: Operator,
}

fn soak(mut fleet: Fleet, seconds: u64, mut faults: Faults) {
    let mut rng = dice("all faults", 1);
    let pace_ms = env_number("SOAK_PACE_MS", CAST.pace_ms);
    let cast = Cast { pace_ms, longest: WHOLE + Duration::from_secs(seconds), ..CAST };
    let until = Instant::now() + Duration::from_secs(seconds);
    let outcome = play(&mut fleet, cast, &mut rng, |fleet, tally, rng| {
        let mut told = Instant::now();
        while Instant::now() < until {
            faults.round(fleet, tally, rng);
            if told.elapsed() >= Duration::from_secs(60) {
                told = Instant::now();
                let left = until.saturating_duration_since(told).as_secs();
                println!("{left} s to go: {} acknowledged, {}", tally.count(), faults.happened);
                println!("{}", faults.operator.changes);
            }
        }
        repair(fleet);
        faults.operator.settle(fleet, tally);
    });
    println!("{seconds} s of faults, with {} servers in the end", fleet.places().len());
    println!("{}", faults.happened);
    println!("{}", faults.operator.changes);
    println!("{outcome}");
    let noticed = (0..fleet.size())
        .map(|place| fleet.stderr(place).matches("no disk space for the next log segment").count());
    println!("{} times a server said that its disk is full", noticed.sum::<usize>());
    println!("{} times one had no room to start", fleet.without_room());
    println!("{} times a chat had to hold messages back", outcome.problems.len());
    if seconds >= MUCH_SECONDS && fleet.size() > 1 {
        faults.check_that_much_happened();
    }
}

impl Faults {
    fn new(can_part: bool, relay: Option<Relay>) -> Faults {
        let (happened, operator) = (Happened::default(), Operator::default());
        Faults { can_part, full: None, relay, happened, operator }
    }

    /// What can happen here has happened: otherwise nothing is shown by a log that is whole.
    fn check_that_much_happened(&self) {
        let Happened { kills, pauses, partitions, stalls, delays, restarts, .. } = self.happened;
        let mut counts = vec![("kills", kills), ("pauses", pauses), ("restarts", restarts)];
        counts.push(("members added", self.operator.changes.added));
        counts.push(("members replaced", self.operator.changes.replaced));
        if self.can_part {
            counts.push(("partitions", partitions));
        }
        if self.relay.is_some() {
            counts.extend([("stalls", stalls), ("delays", delays)]);
        }
        for (what, count) in counts {
            assert!(count > 0, "no {what} in all this time: {}", self.happened);
        }
    }

    /// One thing goes wrong, or two; then clients must be served again, with or without a repair.
    fn round(&mut self, fleet: &mut Fleet, tally: &Tally, rng: &mut Rng) {
        self.operator.step(fleet, rng);
        let mut hurt: Vec<usize> = self.full.iter().map(|(place, _)| *place).collect();
        for _ in 0..1 + rng.below(2) {
            let places = match rng.below(14) {
                0 => self.kill_all(fleet, rng),
                1 | 2 => self.kill(fleet, rng),
                3 | 4 => self.pause(fleet, rng),
                5 => self.restart(fleet, rng),
                6..=8 if self.can_part => self.part(fleet, tally, rng),
                9 => self.stall(fleet, rng),
                10 | 11 => self.fill(fleet, rng),
                _ => self.delay(fleet, rng),
            };
            hurt.extend(places);
        }
        hurt.sort_unstable();
        hurt.dedup();
        fleet.check_alive();
        self.operator.step(fleet, rng);
        if fleet.can_do_without(&hurt) {
            tally.wait_for_more(1 + rng.below(50), PATIENCE);
        } else {
            self.happened.without_majority += 1;
            tally.pass(Duration::from_millis(rng.below(3_000)), Stage::Failed);
        }
        if let Some(relay) = &self.relay {
            relay.clear();
        }
        self.full = match self.full {
            Some((place, rounds)) if rounds > 0 && fleet.can_do_without(&[place]) => {
                Some((place, rounds - 1))
            }
            _ => {
                fleet.free_disks();
                None
            }
        };
        fleet.heal();
        fleet.check_alive();
        fleet.start_all();
        self.operator.step(fleet, rng);
        tally.wait_for_more(1 + rng.below(100), PATIENCE);
    }

    fn kill_all(&mut self, fleet: &mut Fleet, rng: &mut Rng) -> Vec<usize> {
        let all = some(fleet, usize::MAX, rng);
        self.happened.kills += all.iter().filter(|place| fleet.runs(**place)).count() as u64;
        self.happened.all_killed += 1;
        fleet.kill_all(&all);
        all
    }

    fn kill(&mut self, fleet: &mut Fleet, rng: &mut Rng) -> Vec<usize> {
        let places = victims(fleet, rng);
        self.happened.kills += places.iter().filter(|place| fleet.runs(**place)).count() as u64;
        places.iter().for_each(|place| fleet.kill(*place));
        places
    }

    fn pause(&mut self, fleet: &mut Fleet, rng: &mut Rng) -> Vec<usize> {
        let mut places = victims(fleet, rng);
        let live = fleet.live();
        places.retain(|place| live.contains(place));
        self.happened.pauses += places.len() as u64;
        places.iter().for_each(|place| fleet.stop(*place));
        places
    }

    fn restart(&mut self, fleet: &mut Fleet, rng: &mut Rng) -> Vec<usize> {
        let place = fleet.primary().unwrap_or_else(|| some(fleet, 1, rng)[0]);
        if !fleet.live().contains(&place) {
            return Vec::new();
        }
        self.happened.restarts += 1;
        assert!(fleet.terminate(place).success(), "{}", fleet.stderr(place));
        vec![place]
    }

    /// Parts servers from each other; gives those on the smaller side.
    fn part(&mut self, fleet: &Fleet, tally: &Tally, rng: &mut Rng) -> Vec<usize> {
        let places = victims(fleet, rng);
        let rest: Vec<usize> = (0..fleet.size()).filter(|place| !places.contains(place)).collect();
        let flaps = if rng.chance(1, 3) { 1 + rng.below(6) } else { 0 };
        for flap in 0..=flaps {
            self.happened.partitions += 1;
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

    /// Holds up what is sent between some servers and all others.
    fn stall(&mut self, fleet: &Fleet, rng: &mut Rng) -> Vec<usize> {
        let Some(relay) = &self.relay else { return Vec::new() };
        let places = victims(fleet, rng);
        self.happened.stalls += 1;
        for place in &places {
            (0..fleet.size()).filter(|other| other != place).for_each(|other| {
                relay.stall(*place, other);
            });
        }
        places
    }

    /// A disk has no room for the segments to come, for a while.
    fn fill(&mut self, fleet: &Fleet, rng: &mut Rng) -> Vec<usize> {
        if fleet.small_disks() == 0 || self.full.is_some() {
            return Vec::new();
        }
        self.happened.full_disks += 1;
        let primary = fleet.primary().filter(|place| *place < fleet.small_disks());
        let place = primary.unwrap_or(rng.below(fleet.small_disks() as u64) as usize);
        fleet.fill_disk(place, rng.below(2 << 20));
        self.full = Some((place, 2 + rng.below(6)));
        vec![place]
    }

    /// All are far from each other; that hurts nobody.
    fn delay(&mut self, fleet: &Fleet, rng: &mut Rng) -> Vec<usize> {
        if let Some(relay) = &self.relay {
            self.happened.delays += 1;
            for one in 0..fleet.size() {
                (0..one).for_each(|other| relay.delay(one, other, rng.below(50)));
            }
        }
        Vec::new()
    }
}

/// A minority of the servers, the PRIMARY among them every other time.
fn victims(fleet: &Fleet, rng: &mut Rng) -> Vec<usize> {
    let count = 1 + rng.below((fleet.places().len() as u64 / 2).max(1)) as usize;
    let mut places = some(fleet, count, rng);
    if let Some(primary) = fleet.primary().filter(|_| rng.chance(1, 2))
        && !places.contains(&primary)
    {
        places[0] = primary;
    }
    places
}
