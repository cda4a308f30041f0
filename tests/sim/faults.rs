//! What goes wrong: how often, drawn from the seed, each kind in some histories and not in others;
//! and how it goes right again.

use std::collections::BTreeSet;

use super::clock::Us;
use super::process::Input;
use super::world::{Event, MS, World};
use crate::support::Rng;

/// How far apart clocks may be that are wrong by years.
pub const YEARS_MS: u64 = 120 * 365 * 86_400_000;
/// Between two draws of faults.
const TICK: Us = 25 * MS;

/// A history's rates: per mille of ticks, mostly.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The longest usual way through the network, and the longest usual sync.
    pub delay_us: Us,
    pub sync_us: Us,
    pub crash_in_recovery: u64,
    /// Per mille of starts: the log was damaged meanwhile.
    pub damage: u64,
    /// A BACKUP dies, and its disk has lost what it had synced.
    pub forget: u64,
    /// Per mille of the turns of servers that wait for others.
    pub crash_in_forming: u64,
    /// Per mille of look-ups: they take long, fail, or give a dead address too.
    pub slow_name: u64,
    pub failing_name: u64,
    pub dead_address: u64,
    change: u64,
    copy: u64,
    put_back: u64,
    kill: u64,
    power: u64,
    all_at_once: u64,
    hand_over: u64,
    partition: u64,
    one_way: u64,
    isolate: u64,
    flap: u64,
    pause: u64,
    clock: u64,
    stall: u64,
    sync_error: u64,
    fill: u64,
    client_crash: u64,
    client_cut: u64,
    /// Disks that are slow now, and disks whose next sync fails.
    pub stalled: BTreeSet<usize>,
    pub failing: BTreeSet<usize>,
    /// When they end.
    pub until: Us,
}

/// What goes right again.
pub enum Mend {
    Links(Vec<(usize, usize)>),
    Clients(Vec<(usize, usize)>),
    Stall(usize),
    Room(usize),
}

impl Faults {
    pub fn new(rng: &mut Rng) -> Faults {
        let until = (4_000 + rng.below(16_000)) * MS;
        let mut rate = |most: u64| if rng.chance(2, 5) { 0 } else { rng.below(most + 1) };
        Faults {
            crash_in_recovery: rate(300),
            damage: rate(1_000),
            crash_in_forming: rate(500),
            slow_name: rate(1_000),
            failing_name: rate(300),
            dead_address: rate(1_000),
            forget: rate(60),
            change: rate(16),
            copy: rate(40),
            put_back: rate(50),
            kill: rate(20),
            power: rate(12),
            all_at_once: rate(3),
            hand_over: rate(8),
            partition: rate(12),
            one_way: rate(12),
            isolate: rate(12),
            flap: rate(20),
            pause: rate(10),
            clock: rate(10),
            stall: rate(10),
            sync_error: rate(6),
            fill: rate(4),
            client_crash: rate(10),
            client_cut: rate(12),
            delay_us: [300, 2_000, 15_000][rng.below(3) as usize],
            sync_us: [500, 4_000, 25_000][rng.below(3) as usize],
            stalled: BTreeSet::new(),
            failing: BTreeSet::new(),
            until,
        }
    }

    /// Nothing goes wrong any more, and everything is near.
    pub fn clear(&mut self) {
        (self.delay_us, self.sync_us) = (300, 500);
        (self.crash_in_recovery, self.damage, self.crash_in_forming) = (0, 0, 0);
        (self.slow_name, self.failing_name, self.dead_address) = (0, 0, 0);
        self.stalled.clear();
        self.failing.clear();
        self.until = 0;
    }
}

impl World {
    /// Draws the faults of this tick.
    pub fn inject_faults(&mut self) {
        if self.now_us >= self.faults.until {
            return;
        }
        if self.unnoticed.is_none() {
            self.goes_wrong();
        }
        self.at(TICK, Event::Faults);
    }

    fn goes_wrong(&mut self) {
        let servers = self.servers.len();
        let place = self.rng.below(servers as u64) as usize;
        let faults = self.faults.clone();
        if self.chance(faults.forget) {
            self.forget(place);
        }
        // The calm that an unnoticed loss needs begins with the loss.
        if self.unnoticed.is_some() {
            return;
        }
        if self.chance(faults.kill) {
            self.kill(place, false);
        }
        if self.chance(faults.power) {
            self.kill(place, true);
        }
        if self.chance(faults.all_at_once) {
            self.counts.all_at_once += 1;
            let power = self.rng.chance(1, 2);
            (0..servers).for_each(|place| self.kill(place, power));
        }
        if self.chance(faults.hand_over) {
            self.hand_over();
        }
        if self.chance(faults.change) {
            self.change_members();
        }
        if self.chance(faults.copy) {
            self.copies_disks(place);
        }
        if self.chance(faults.put_back) {
            self.puts_copy_back();
        }
        self.link_faults(place, &faults);
        self.machine_faults(place, &faults);
        self.client_faults(&faults);
    }

    fn kill(&mut self, place: usize, power: bool) {
        if self.servers[place].runs() {
            let count = match power {
                true => &mut self.counts.power_losses,
                false => &mut self.counts.kills,
            };
            *count += 1;
            self.end_process(place, power);
        }
    }

    /// The PRIMARY is asked to stop cleanly, and is gone a moment later.
    fn hand_over(&mut self) {
        let Some(place) = self.servers.iter().position(|server| server.is_primary()) else {
            return;
        };
        self.counts.hand_overs += 1;
        self.note_of(place, "is to stop");
        self.tell(place, 0, Input::Stop);
    }

    fn link_faults(&mut self, place: usize, faults: &Faults) {
        let servers = self.servers.len();
        let mut pairs = Vec::new();
        if self.chance(faults.partition) {
            self.counts.partitions += 1;
            let side: Vec<bool> = (0..servers).map(|_| self.rng.chance(1, 2)).collect();
            let apart = |a: &usize, b: &usize| side[*a] != side[*b];
            for a in 0..servers {
                pairs.extend((0..servers).filter(|b| apart(&a, b)).map(|b| (a, b)));
            }
        }
        if self.chance(faults.one_way) {
            self.counts.one_way += 1;
            let other = self.rng.below(servers as u64) as usize;
            pairs.push((place, other));
        }
        if self.chance(faults.isolate)
            && let Some(primary) = self.servers.iter().position(|server| server.is_primary())
        {
            self.counts.isolated += 1;
            let both = |other| [(primary, other), (other, primary)];
            pairs.extend((0..servers).flat_map(both));
            self.part_from(primary);
        }
        if self.chance(faults.flap) {
            self.counts.flaps += 1;
            let other = self.rng.below(servers as u64) as usize;
            self.break_wires(place, other, true);
        }
        pairs.retain(|(a, b)| a != b);
        if !pairs.is_empty() {
            self.note(format_args!("cut: {pairs:?}"));
            self.cut.extend(&pairs);
            let after = self.some_time();
            self.at(after, Event::Mend(Mend::Links(pairs)));
        }
    }

    /// A PRIMARY that is cut off does not know it yet: the others may hear of it at once and elect,
    /// some clients lose their connections to it and go elsewhere, and some stay and go on asking.
    fn part_from(&mut self, primary: usize) {
        if self.rng.chance(2, 3) {
            let peers = (0..self.servers.len()).filter(|peer| *peer != primary);
            peers.for_each(|peer| self.break_wires(primary, peer, false));
        }
        let mut pairs = Vec::new();
        for client in 0..self.machines.len() {
            let link = self.machines[client].link.and_then(|link| self.links.get(&link));
            let there = link.is_some_and(|link| link.server == primary);
            if there && self.rng.chance(1, 2) {
                pairs.push((client, primary));
                self.client_closes(client);
                self.drive(client, |client, now_ms, _| client.closed(now_ms, "unreachable"));
            }
        }
        self.client_cut.extend(&pairs);
        let after = self.some_time();
        self.at(after, Event::Mend(Mend::Clients(pairs)));
    }

    fn machine_faults(&mut self, place: usize, faults: &Faults) {
        if self.chance(faults.pause) && self.servers[place].runs() {
            self.counts.pauses += 1;
            let after = self.some_time();
            let until = self.now_us + after;
            let is_suspended = self.rng.chance(1, 3);
            self.note_of(place, if is_suspended { "is suspended" } else { "stands still" });
            self.servers[place].paused_until = until;
            // This pause takes the place of one that may be under way.
            self.servers[place].clock.resume(self.now_us);
            if is_suspended {
                self.counts.suspended += 1;
                self.servers[place].clock.suspend(self.now_us, until);
            }
        }
        if self.chance(faults.clock) {
            self.counts.clock_jumps += 1;
            let most_ms = [YEARS_MS, 7_200_000, 4_000, 200][self.rng.below(4) as usize];
            self.counts.years += u64::from(most_ms == YEARS_MS);
            let wrong_ms = self.some_difference(most_ms);
            let jump_ms = if self.rng.chance(1, 3) { self.rng.below(3_000) } else { 0 };
            let now_us = self.now_us;
            let clock = &mut self.servers[place].clock;
            clock.set(wrong_ms);
            clock.jump(now_us, jump_ms);
            self.note_of(place, &format!("has another time, {wrong_ms} ms ahead"));
        }
        if self.chance(faults.stall) && self.faults.stalled.insert(place) {
            self.counts.stalls += 1;
            let after = self.some_time();
            self.at(after, Event::Mend(Mend::Stall(place)));
        }
        if self.chance(faults.sync_error) && self.servers[place].runs() {
            self.faults.failing.insert(place);
        }
        if self.chance(faults.fill) {
            self.counts.full_disks += 1;
            let used = self.servers[place].log_disk.used();
            let room = self.rng.below(self.common.segment_bytes.into());
            self.servers[place].log_disk.set_capacity(used + room);
            self.note_of(place, "has a full disk");
            let after = self.some_time() * 3;
            self.at(after, Event::Mend(Mend::Room(place)));
        }
    }

    fn client_faults(&mut self, faults: &Faults) {
        let client = self.rng.below(self.machines.len() as u64) as usize;
        if self.chance(faults.client_crash) {
            self.crash_client(client);
        }
        let reads_slowly = self.common.long_messages && self.chance(20);
        if reads_slowly || self.chance(faults.client_cut) {
            self.counts.client_cuts += 1;
            let some = self.rng.chance(1, 2);
            let mut pairs: Vec<(usize, usize)> =
                (0..self.servers.len()).map(|server| (client, server)).collect();
            pairs.retain(|_| !some || self.rng.chance(1, 2));
            self.note(format_args!("client {client} is cut off: {pairs:?}"));
            self.client_cut.extend(&pairs);
            let after = self.some_time() * 2;
            self.at(after, Event::Mend(Mend::Clients(pairs)));
        }
    }

    fn crash_client(&mut self, client: usize) {
        self.note(format_args!("client {client} crashes"));
        let power = self.rng.chance(1, 2);
        self.client_closes(client);
        self.client_ends_look(client);
        self.drive(client, |client, now_ms, _| {
            client.crash(now_ms, power);
        });
    }

    /// From a moment to long enough for elections.
    fn some_time(&mut self) -> Us {
        let most = [50, 600, 4_000][self.rng.below(3) as usize];
        (1 + self.rng.below(most)) * MS
    }

    pub fn mend(&mut self, mend: Mend) {
        match mend {
            Mend::Links(pairs) => {
                self.note(format_args!("healed: {pairs:?}"));
                self.cut.retain(|pair| !pairs.contains(pair));
            }
            Mend::Clients(pairs) => {
                self.client_cut.retain(|pair| !pairs.contains(pair));
            }
            Mend::Stall(place) => self.faults.stalled.retain(|stalled| *stalled != place),
            Mend::Room(place) => {
                self.note_of(place, "has room on its disk");
                self.servers[place].log_disk.set_capacity(u64::MAX);
            }
        }
    }
}
