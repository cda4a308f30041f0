//! Those who hold on to what all need: requests that are never finished, answers that are never
//! read. What is bounded for all connections together, and for how long somebody may hold on.

use chatctl::limits;
use chatctl::net::Key;

use super::world::{World, ip, settings};
use crate::support::bounded::Rounds;
use crate::support::raw_client::{Ask, ask};

fn world() -> World {
    let mut world = World::new(settings());
    world.add_accounts(&["alice", "bob"].map(str::to_owned));
    world
}

/// Turns until what is measured stays as it is.
fn settled(world: &mut World, measure: impl Fn(&mut World) -> usize) -> usize {
    let mut rounds = Rounds::new(10_000, "nothing more is taken");
    let mut before = None;
    loop {
        rounds.count();
        (0..10).for_each(|_| world.turn());
        let now = measure(world);
        if before == Some(now) {
            return now;
        }
        before = Some(now);
    }
}

fn open(world: &mut World, keys: &[Key]) -> usize {
    keys.iter().filter(|key| world.clients().client(**key).is_some()).count()
}

#[test]
fn unfinished_requests_take_so_much_for_all_together_and_a_little_for_each_all_the_same() {
    let mut world = world();
    let mut unfinished = (limits::PAYLOAD_BYTES as u32).to_be_bytes().to_vec();
    unfinished.resize(3 + limits::PAYLOAD_BYTES, b' ');
    let count = 3 * limits::INPUT_TOTAL_BYTES / limits::PAYLOAD_BYTES / 2;
    let holders: Vec<Key> = (0..count).map(|_| world.connect(ip(1))).collect();
    let held =
        |world: &mut World| -> usize { holders.iter().map(|key| world.taken_in(*key)).sum() };
    holders.iter().for_each(|key| world.write_raw(*key, &unfinished));
    let total = settled(&mut world, held);
    let most =
        limits::INPUT_TOTAL_BYTES + limits::TURN_READ_BYTES + count * limits::INPUT_SURE_BYTES;
    assert!((limits::INPUT_TOTAL_BYTES..most).contains(&total), "{total} bytes");

    let late = world.connect(ip(2));
    world.write_raw(late, &unfinished);
    assert_eq!(settled(&mut world, |world| world.taken_in(late)), limits::INPUT_SURE_BYTES);

    world.pass(limits::HOLD_MS - 1);
    assert_eq!(open(&mut world, &holders), count);
    world.pass(1);
    assert!((1..count).contains(&open(&mut world, &holders)), "some are let go");
    holders.iter().for_each(|key| world.hang_up(*key));
    let all = settled(&mut world, |world| world.taken_in(late));
    assert_eq!(all, unfinished.len(), "there is room again");
}

#[test]
fn unread_answers_take_so_much_for_all_together_and_those_held_for_too_long_make_way() {
    let mut world = world();
    let alice = world.session(ip(1), "alice");
    let text = "page".repeat(15_000);
    for _ in 0..8 {
        assert!(!world.ask(alice, &ask("send").to("alice").body(&text)).error);
    }
    // Each asks for three pages of four messages, and would have to read some for the third.
    let history: Ask = ask("history").limit(1_000);
    let count = limits::OUTPUT_TOTAL_BYTES / limits::PAGE_BYTES;
    let deaf: Vec<Key> = (0..count).map(|_| world.session(ip(2), "alice")).collect();
    for key in &deaf {
        world.block(*key, true);
        (0..3).for_each(|_| world.write(*key, &history));
    }
    let unread = |world: &mut World| -> usize {
        let clients =
            deaf.iter().filter_map(|key| world.clients().client(*key).map(|c| c.unwritten()));
        clients.sum()
    };
    let total = settled(&mut world, unread);
    let bound = limits::OUTPUT_TOTAL_BYTES;
    let page = limits::PAGE_BYTES;
    assert!((bound - page..bound + page).contains(&total), "{total} bytes");

    // Nobody gets a push or a page any more.
    let bob = world.session(ip(4), "bob");
    assert!(!world.ask(alice, &ask("send").to("bob").body("left out")).error);
    assert_eq!(world.reply(bob).cmd, "lagging");
    let late = world.session(ip(3), "alice");
    world.write(late, &history);
    world.pass(limits::HOLD_MS - 1);
    assert_eq!((open(&mut world, &deaf), world.read(late)), (count, None));
    world.pass(1);
    assert!((1..count).contains(&open(&mut world, &deaf)), "some are let go");
    deaf.iter().for_each(|key| world.hang_up(*key));
    assert_eq!(world.reply(late).cmd, "deliver", "there is room again");
}
