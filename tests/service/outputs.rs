//! What is left unread: by a client that asks, and by one that is pushed to.

use chatctl::limits;
use chatctl::net::Key;

use super::world::{World, ip, settings};
use crate::support::bounded::Rounds;
use crate::support::raw_client::ask;

fn world() -> World {
    let mut world = World::new(settings());
    world.add_accounts(&["alice", "bob"].map(str::to_owned));
    world
}

fn unread(world: &mut World, key: Key) -> usize {
    world.clients().client(key).expect("it is open").unwritten()
}

#[test]
fn so_many_bytes_of_answers_are_left_unread_and_the_other_requests_wait() {
    const PINGS: usize = 12_000;
    let mut world = world();
    let alice = world.session(ip(1), "alice");
    world.block(alice, true);
    (0..PINGS).for_each(|_| world.write(alice, &ask("ping")));
    let mut rounds = Rounds::new(1_000, "no more answers are put there");
    let mut before = None;
    while before != Some(unread(&mut world, alice)) {
        rounds.count();
        before = Some(unread(&mut world, alice));
        world.turn();
    }
    let one_more = 256;
    let fits = limits::OUTPUT_BYTES..limits::OUTPUT_BYTES + one_more;
    assert!(fits.contains(&unread(&mut world, alice)), "{} bytes", unread(&mut world, alice));
    (0..100).for_each(|_| world.turn());
    let taken_in = world.taken_in(alice);
    assert!(taken_in <= limits::TURN_READ_BYTES, "{taken_in} bytes of requests that wait");
    world.block(alice, false);
    for _ in 0..PINGS {
        assert_eq!(world.reply(alice).cmd, "ping", "each is answered in the end");
    }
}

#[test]
fn so_many_bytes_of_pushes_are_left_unread_and_the_others_are_left_out() {
    let mut world = world();
    let (alice, bob) = (world.session(ip(1), "alice"), world.session(ip(2), "bob"));
    world.block(bob, true);
    let text = "x".repeat(10_000);
    let send = ask("send").to("bob").body(&text);
    for _ in 0..2 * limits::PUSH_BACKLOG_BYTES / text.len() {
        assert!(!world.ask(alice, &send).error);
    }
    let one_more = text.len() + 256;
    let fits = limits::PUSH_BACKLOG_BYTES..limits::PUSH_BACKLOG_BYTES + one_more;
    assert!(fits.contains(&unread(&mut world, bob)), "{} bytes", unread(&mut world, bob));
    world.block(bob, false);
    let pushes = unread(&mut world, bob) / text.len();
    for _ in 0..pushes {
        assert_eq!(world.reply(bob).cmd, "deliver");
    }
    assert_eq!(world.reply(bob).cmd, "lagging");
}
