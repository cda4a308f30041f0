//! The times of entries, as the service gives them.

use chatctl::chat::Member;
use chatctl::net::Key;
use chatctl::raft::ChangeError;
use chatctl::server::LONE;
use chatctl::server::service::Settings;

use super::world::{World, ip, settings};
use crate::support::raw_client::ask;

const STANDS_MS: u64 = 10_000;
const HOUR_MS: u64 = 3_600_000;

/// Sets the wall clock.
fn step(world: &mut World, by_ms: i64) {
    world.now.unix_ms = world.now.unix_ms.checked_add_signed(by_ms).expect("after 1970");
    world.pass(1);
}

/// The time of a new message.
fn time_of_send(world: &mut World, from: Key) -> u64 {
    let reply = world.ask(from, &ask("send").to("alice").body("hello"));
    assert!(!reply.error, "{reply:?}");
    reply.time
}

/// A change of the members that is refused after it was offered a time: two more at once.
fn refused_change(world: &mut World) {
    let member = |number: u32| Member {
        name: format!("server{number}"),
        address: format!("server{number}:1"),
        incarnation: number.into(),
        number,
        votes: true,
    };
    let members = (LONE.0..LONE.0 + 3).map(member).collect();
    assert_eq!(world.service.change_members(members), Err(ChangeError::TooMuch));
    world.settle();
}

fn times_went_back(world: &World) -> usize {
    world.lines.iter().filter(|line| line.contains("times go back")).count()
}

#[test]
fn a_time_offered_to_a_change_that_is_refused_does_not_count_as_the_last_entrys() {
    let mut world = World::new(Settings { clock_stands_ms: STANDS_MS, ..settings() });
    world.add_accounts(&["alice".to_owned()]);
    let alice = world.session(ip(1), "alice");
    // A message is dated an hour ahead, and the clock that is right again has stood for long: the
    // next entry may go back.
    step(&mut world, HOUR_MS.cast_signed());
    world.pass(STANDS_MS);
    let ahead_ms = time_of_send(&mut world, alice);
    step(&mut world, -HOUR_MS.cast_signed());
    world.pass(STANDS_MS);
    refused_change(&mut world);
    // Now the clock may be wrong, and no entry may go back.
    step(&mut world, -HOUR_MS.cast_signed());
    let next_ms = time_of_send(&mut world, alice);
    assert!(next_ms >= ahead_ms, "{} ms before the last message", ahead_ms - next_ms);
    assert_eq!(times_went_back(&world), 0, "no entry went back: {:?}", world.lines);
    // Once it has stood for long again, times go back, once.
    world.pass(STANDS_MS);
    refused_change(&mut world);
    let back_ms = time_of_send(&mut world, alice);
    assert_eq!(back_ms, world.now.unix_ms, "the time is the clock's");
    assert!(time_of_send(&mut world, alice) >= back_ms);
    assert_eq!(times_went_back(&world), 1, "it is told once: {:?}", world.lines);
}
