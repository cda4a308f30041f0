//! Servers on hosts of their own, parted or far from each other while clients, who reach all of them
//! at once, send.

use std::time::Duration;

use super::kills::{check_read_only, some};
use super::play::{CAST, PATIENCE, dice, play};
use super::tally::{Stage, Tally};
use crate::support::Rng;
use crate::support::fleet::Fleet;
use crate::support::hosts::on_hosts;
use crate::support::relay::Relay;

const SERVERS: usize = 5;
const FLAGS: [&str; 2] = ["--read-only-after-ms", "500"];

/// The servers that are not among `places`.
fn others(places: &[usize]) -> Vec<usize> {
    (0..SERVERS).filter(|place| !places.contains(place)).collect()
}

/// Plays on hosts.
fn parted(test: &'static str, seed: u64, inject: impl FnOnce(&mut Fleet, &Tally, &mut Rng) + Send) {
    on_hosts(SERVERS, |hosts| {
        let mut rng = dice(test, seed);
        let mut fleet = Fleet::start_on(hosts, "fleet-parted", SERVERS, &FLAGS);
        let outcome = play(&mut fleet, CAST, &mut rng, inject);
        println!("{test}: {outcome}");
    });
}

#[test]
fn a_primary_that_is_cut_off_is_replaced_and_becomes_read_only() {
    parted("the PRIMARY cut off", 1, |fleet, tally, _| {
        for _ in 0..2 {
            let primary = fleet.wait_for_primary();
            let newest = tally.newest();
            fleet.hosts().part(&[primary], &others(&[primary]));
            // The majority elects another, and the clients find it.
            tally.wait_for_more(50, PATIENCE);
            check_read_only(fleet, primary, newest);
            fleet.hosts().heal();
            fleet.wait_until_serving(primary);
            tally.wait_for_more(50, PATIENCE);
        }
    });
}

#[test]
fn of_two_halves_the_larger_goes_on_and_the_smaller_is_read_only() {
    parted("two halves", 2, |fleet, tally, rng| {
        for with_primary in [true, false] {
            let primary = fleet.wait_for_primary();
            let mut places = some(fleet, SERVERS, rng);
            places.retain(|place| *place != primary);
            let minority =
                if with_primary { vec![primary, places[0]] } else { places[..2].to_vec() };
            let newest = tally.newest();
            fleet.hosts().part(&minority, &others(&minority));
            tally.wait_for_more(50, PATIENCE);
            minority.iter().for_each(|place| check_read_only(fleet, *place, newest));
            tally.wait_for_more(50, PATIENCE);
            fleet.hosts().heal();
            minority.iter().for_each(|place| fleet.wait_until_serving(*place));
            tally.wait_for_more(50, PATIENCE);
        }
    });
}

#[test]
fn a_primary_that_hears_nobody_or_is_heard_by_nobody_is_replaced() {
    parted("one way", 3, |fleet, tally, _| {
        for is_deaf in [true, false] {
            let primary = fleet.wait_for_primary();
            let rest = others(&[primary]);
            match is_deaf {
                true => fleet.hosts().cut(&rest, &[primary]),
                false => fleet.hosts().cut(&[primary], &rest),
            }
            tally.wait_for_more(50, PATIENCE);
            fleet.hosts().heal();
            fleet.wait_until_serving(primary);
            tally.wait_for_more(50, PATIENCE);
        }
        // Backups that do not hear are no reason for an election that succeeds without end.
        let primary = fleet.wait_for_primary();
        let deaf = others(&[primary]);
        fleet.hosts().cut(&[primary], &deaf[..2]);
        tally.wait_for_more(100, PATIENCE);
    });
}

#[test]
fn links_that_flap_lose_nothing() {
    parted("flapping", 4, |fleet, tally, rng| {
        for _ in 0..12 {
            let count = 1 + rng.below(2) as usize;
            let places = some(fleet, count, rng);
            match rng.below(3) {
                0 => fleet.hosts().part(&places, &others(&places)),
                1 => fleet.hosts().cut(&places, &others(&places)),
                _ => fleet.hosts().cut(&others(&places), &places),
            }
            tally.pass(Duration::from_millis(20 + rng.below(200)), Stage::Failed);
            fleet.hosts().heal();
            tally.pass(Duration::from_millis(20 + rng.below(200)), Stage::Failed);
        }
        tally.wait_for_more(50, PATIENCE);
    });
}

#[test]
fn servers_far_from_each_other_lose_nothing_when_links_stall() {
    on_hosts(SERVERS, |hosts| {
        let mut rng = dice("far from each other", 5);
        let relay = Relay::between(&hosts, rng.next()).expect("the rules are taken");
        let mut fleet = Fleet::start_on(hosts, "fleet-far", SERVERS, &FLAGS);
        let outcome = play(&mut fleet, CAST, &mut rng, |fleet, tally, rng| {
            for round in 0..6 {
                for (one, other) in pairs() {
                    relay.delay(one, other, rng.below(40));
                }
                // The PRIMARY's links to some, or all of some server's.
                let place = match round % 2 {
                    0 => fleet.wait_for_primary(),
                    _ => rng.below(SERVERS as u64) as usize,
                };
                let count = 1 + rng.below(4) as usize;
                let mut stalled = some(fleet, SERVERS, rng);
                stalled.retain(|other| *other != place);
                stalled[..count].iter().for_each(|other| relay.stall(place, *other));
                tally.wait_for_more(30, PATIENCE);
                relay.clear();
                tally.wait_for_more(30, PATIENCE);
            }
        });
        println!("far from each other: {outcome}");
    });
}

/// Each two servers.
fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..SERVERS).flat_map(|one| (0..one).map(move |other| (one, other)))
}
