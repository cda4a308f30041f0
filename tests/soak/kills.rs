//! Servers that die, stop and restart while clients send.

use std::time::Duration;

use super::line::Roamer;
use super::play::{CAST, Cast, PATIENCE, dice, play, repair};
use super::receiver::Seen;
use super::tally::Tally;
use crate::support::fleet::Fleet;
use crate::support::raw_client::{ask, code};
use crate::support::{Rng, eventually};

/// Two different servers, the PRIMARY among them every other time at least.
pub fn some_two(fleet: &Fleet, rng: &mut Rng) -> Vec<usize> {
    let mut places = some(fleet, 2, rng);
    if rng.chance(1, 2)
        && let Some(primary) = fleet.primary()
        && !places.contains(&primary)
    {
        places[0] = primary;
    }
    places
}

/// So many different members.
pub fn some(fleet: &Fleet, count: usize, rng: &mut Rng) -> Vec<usize> {
    let mut places = fleet.places();
    for place in (1..places.len()).rev() {
        places.swap(place, rng.below(place as u64 + 1) as usize);
    }
    places.truncate(count);
    places
}

/// Waits for as many acknowledgements as take a while.
fn go_on(tally: &Tally, rng: &mut Rng) {
    tally.wait_for_more(10 + rng.below(100), PATIENCE);
}

#[test]
fn a_lone_server_killed_again_and_again_loses_nothing() {
    let mut rng = dice("kills of a lone server", 1);
    let mut fleet = Fleet::start("fleet-lone", 1, &[]);
    let outcome = play(&mut fleet, CAST, &mut rng, |fleet, tally, rng| {
        for _ in 0..5 {
            fleet.kill(0);
            fleet.start_one(0);
            go_on(tally, rng);
        }
    });
    println!("a lone server, 5 kills: {outcome}");
}

#[test]
fn five_servers_of_which_any_two_are_killed_again_and_again_lose_nothing() {
    let mut rng = dice("kills of two of five", 2);
    let mut fleet = Fleet::start("fleet-kills", 5, &[]);
    let mut of_primary = 0;
    let outcome = play(&mut fleet, CAST, &mut rng, |fleet, tally, rng| {
        for _ in 0..5 {
            let places = some_two(fleet, rng);
            of_primary += u64::from(fleet.primary().is_some_and(|p| places.contains(&p)));
            match rng.chance(1, 2) {
                true => fleet.kill_all(&places),
                false => {
                    fleet.kill(places[0]);
                    tally.wait_for_more(rng.below(30), PATIENCE);
                    fleet.kill(places[1]);
                }
            }
            go_on(tally, rng);
            fleet.check_alive();
            fleet.start_all();
            go_on(tally, rng);
        }
    });
    println!("five servers, 10 kills, {of_primary} of the PRIMARY: {outcome}");
    assert!(of_primary > 0 && outcome.elections > 1);
}

#[test]
fn five_servers_of_which_any_two_are_stopped_for_a_while_lose_nothing() {
    let mut rng = dice("pauses of two of five", 3);
    let mut fleet = Fleet::start("fleet-stops", 5, &[]);
    let outcome = play(&mut fleet, CAST, &mut rng, |fleet, tally, rng| {
        for _ in 0..4 {
            let places = some_two(fleet, rng);
            places.iter().for_each(|place| fleet.stop(*place));
            go_on(tally, rng);
            // In the order in which they stopped, or the other.
            let first = rng.below(2) as usize;
            fleet.go_on(places[first]);
            go_on(tally, rng);
            fleet.go_on(places[1 - first]);
            go_on(tally, rng);
        }
    });
    println!("five servers, 8 pauses: {outcome}");
}

#[test]
fn five_servers_killed_all_at_once_lose_nothing() {
    let mut rng = dice("kills of all five", 4);
    let mut fleet = Fleet::start("fleet-all", 5, &[]);
    let outcome = play(&mut fleet, CAST, &mut rng, |fleet, tally, rng| {
        for _ in 0..3 {
            let all = some(fleet, fleet.size(), rng);
            fleet.kill_all(&all);
            // They come back one by one, in any order.
            for place in some(fleet, fleet.size(), rng) {
                fleet.start_one(place);
                tally.pass(Duration::from_millis(rng.below(100)), super::tally::Stage::Failed);
            }
            go_on(tally, rng);
        }
    });
    println!("five servers, all killed 3 times: {outcome}");
}

#[test]
fn five_servers_restarted_one_after_the_other_are_no_news_to_a_chat() {
    let mut rng = dice("a rolling restart", 5);
    let mut fleet = Fleet::start("fleet-rolling", 5, &[]);
    let cast = Cast { senders: 1, receivers: 1, chats: 3, pace_ms: 30, ..CAST };
    let outcome = play(&mut fleet, cast, &mut rng, |fleet, tally, rng| {
        for place in some(fleet, fleet.size(), rng) {
            let status = fleet.terminate(place);
            assert!(status.success(), "{status}: {}", fleet.stderr(place));
            go_on(tally, rng);
            fleet.start_one(place);
            fleet.wait_until_serving(place);
        }
        // And the PRIMARY, whoever that is now.
        let primary = fleet.wait_for_primary();
        assert!(fleet.terminate(primary).success(), "{}", fleet.stderr(primary));
        go_on(tally, rng);
    });
    println!("five servers, a rolling restart: {outcome}");
    assert_eq!(outcome.problems, Vec::<String>::new(), "no chat reports an error");
    assert_eq!(outcome.refused, 0, "nothing is refused");
}

#[test]
fn three_servers_survive_one_failure() {
    let mut rng = dice("kills of one of three", 6);
    let mut fleet = Fleet::start("fleet-three", 3, &[]);
    let outcome = play(&mut fleet, CAST, &mut rng, |fleet, tally, rng| {
        for place in [fleet.wait_for_primary(), rng.below(3) as usize, rng.below(3) as usize] {
            fleet.kill(place);
            go_on(tally, rng);
            fleet.start_one(place);
            go_on(tally, rng);
        }
    });
    println!("three servers, 3 kills: {outcome}");
    assert!(outcome.elections > 1);
}

#[test]
fn three_servers_with_two_failures_show_history_refuse_changes_and_heal() {
    let mut rng = dice("kills of two of three", 7);
    let mut fleet = Fleet::start("fleet-minority", 3, &["--read-only-after-ms", "500"]);
    let outcome = play(&mut fleet, CAST, &mut rng, |fleet, tally, rng| {
        for with_primary in [true, false] {
            let primary = fleet.wait_for_primary();
            let others: Vec<usize> = (0..3).filter(|place| *place != primary).collect();
            let left = if with_primary { others[rng.below(2) as usize] } else { primary };
            let dead: Vec<usize> = (0..3).filter(|place| *place != left).collect();
            let before = tally.newest();
            fleet.kill_all(&dead);
            check_read_only(fleet, left, before);
            repair(fleet);
            go_on(tally, rng);
        }
    });
    println!("three servers, 2 failures: {outcome}");
    assert!(outcome.read_only > 0, "clients met a server without a majority");
}

/// A server that is without a majority shows history, refuses changes, and says that it is so.
pub fn check_read_only(fleet: &Fleet, place: usize, newest: u64) {
    let status = eventually("a server without a majority is read-only", PATIENCE, || {
        fleet.status(place).filter(|status| status.read_only)
    });
    assert!(!status.is_primary() && status.primary.is_empty(), "{status:?}");
    let address = &fleet.addresses()[place];
    let mut roamer = Roamer::new("receiver0", std::slice::from_ref(address), &mut Rng::new(newest));
    roamer.takes_read_only = true;
    let mut line = roamer.line(&Tally::default()).expect("a login is let in");
    assert!(line.read_only, "it says so at once");
    let (frames, last) = line.page(ask("history").limit(1_000)).expect("history is shown");
    assert!(!last.error, "{last:?}");
    let seen: Vec<Seen> = frames.iter().map(Seen::of).collect();
    // A backup may not have heard of the last entries that they are committed.
    assert!(!seen.is_empty() && seen.is_sorted_by_key(|seen| seen.seq), "{seen:?}");
    for change in [ask("send").to("receiver0").body("x"), ask("passwd").body("x"), ask("delete")] {
        let reply = line.request(change).expect("an answer");
        assert_eq!(code(&reply), "read-only", "{reply:?}");
    }
}
