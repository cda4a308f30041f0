//! Those who watch an account are told when it comes and goes.

use chatctl::limits;
use chatctl::net::Key;

use super::world::{World, ip, settings};
use crate::support::raw_client::{ask, code};

fn world(names: &[&str]) -> World {
    let mut world = World::new(settings());
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    world.add_accounts(&names);
    world
}

/// What a session is told until nothing more comes.
fn told(world: &mut World, key: Key) -> Vec<(String, String)> {
    world.pass(limits::PRESENCE_MS);
    world.settle();
    let mut told = Vec::new();
    while let Some(message) = world.read(key) {
        assert_eq!(message.cmd, "presence");
        told.push((message.src.into_owned(), message.body.into_owned()));
    }
    told
}

fn is(name: &str, word: &str) -> (String, String) {
    (name.to_owned(), word.to_owned())
}

#[test]
fn those_who_watch_are_told_who_comes_and_who_goes() {
    let mut world = world(&["alice", "bob", "carol", "dave"]);
    let alice = world.session(ip(1), "alice");
    let dave = world.session(ip(1), "dave");
    let reply = world.ask(alice, &ask("watch").body("bob,Carol,dave,nobody,,alice"));
    assert_eq!((reply.body.as_ref(), reply.limit), ("alice,dave", 2));
    let bob = world.session(ip(2), "bob");
    assert_eq!(told(&mut world, alice), [is("bob", "online")]);
    assert_eq!(told(&mut world, dave), [], "only those who watch");
    // A second session changes nothing, nor does the end of one of two.
    let again = world.session(ip(3), "bob");
    world.hang_up(again);
    assert_eq!(told(&mut world, alice), []);
    world.hang_up(bob);
    world.hang_up(dave);
    assert_eq!(told(&mut world, alice), [is("bob", "offline"), is("dave", "offline")]);
    // What is watched is what the last `watch` names.
    assert!(!world.ask(alice, &ask("watch").body("carol")).error);
    world.session(ip(2), "bob");
    world.session(ip(2), "carol");
    assert_eq!(told(&mut world, alice), [is("carol", "online")]);
    assert!(!world.ask(alice, &ask("logoff")).error);
    world.session(ip(2), "alice");
    assert_eq!(told(&mut world, alice), [], "who has logged off is told nothing");
}

#[test]
fn comings_and_goings_within_a_second_are_told_once_and_as_they_are_in_the_end() {
    let mut world = world(&["alice", "bob", "carol"]);
    let alice = world.session(ip(1), "alice");
    let carol = world.session(ip(1), "carol");
    assert!(!world.ask(alice, &ask("watch").body("bob")).error);
    for _ in 0..10 {
        let bob = world.session(ip(2), "bob");
        world.hang_up(bob);
    }
    assert_eq!(told(&mut world, alice), [], "nothing has changed");
    let bob = world.session(ip(2), "bob");
    // Carol learns that he is there before the others are told, and then he goes.
    assert_eq!(world.ask(carol, &ask("watch").body("bob")).body, "bob");
    world.hang_up(bob);
    assert_eq!(told(&mut world, carol), [is("bob", "offline")]);
}

#[test]
fn a_session_watches_a_bounded_number_of_accounts() {
    let mut world = world(&["alice", "bob"]);
    let alice = world.session(ip(1), "alice");
    let names = |count: usize| {
        let many: Vec<String> = (1..count).map(|number| format!("u{number}")).collect();
        format!("bob,{}", many.join(","))
    };
    assert!(!world.ask(alice, &ask("watch").body(&names(limits::WATCHED_NAMES))).error);
    let refusal = world.ask(alice, &ask("watch").body(&names(limits::WATCHED_NAMES + 1)));
    assert_eq!(code(&refusal), "too-long");
    world.session(ip(2), "bob");
    assert_eq!(told(&mut world, alice), [is("bob", "online")], "what was watched still is");
}

#[test]
fn a_turn_tells_a_bounded_number_and_all_are_told_in_the_end() {
    let mut world = world(&["alice", "bob"]);
    let count = 2 * limits::TURN_PRESENCE + 10;
    let watchers: Vec<Key> = (0..count).map(|_| world.session(ip(1), "alice")).collect();
    for key in &watchers {
        assert!(!world.ask(*key, &ask("watch").body("bob")).error);
    }
    world.session(ip(2), "bob");
    world.pass(limits::PRESENCE_MS);
    let told = |world: &mut World| {
        let told = watchers.iter().filter(|key| world.read(**key).is_some());
        told.count()
    };
    assert_eq!(told(&mut world), limits::TURN_PRESENCE);
    world.turn();
    world.turn();
    assert_eq!(told(&mut world), count - limits::TURN_PRESENCE);
}

#[test]
fn a_slow_reader_for_whom_there_is_no_room_is_told_that_it_lags() {
    let mut world = world(&["alice", "bob"]);
    let alice = world.session(ip(1), "alice");
    assert!(!world.ask(alice, &ask("watch").body("bob")).error);
    world.block(alice, true);
    let carol = world.session(ip(3), "bob");
    let text = "x".repeat(limits::BODY_BYTES);
    for _ in 0..=limits::PUSH_BACKLOG_BYTES / limits::BODY_BYTES {
        assert!(!world.ask(carol, &ask("send").to("alice").body(&text)).error);
    }
    world.hang_up(carol);
    world.pass(limits::PRESENCE_MS);
    world.settle();
    world.block(alice, false);
    world.turn();
    world.turn();
    let mut cmds = Vec::new();
    while let Some(message) = world.read(alice) {
        cmds.push(message.cmd.into_owned());
    }
    assert_eq!(cmds.last().map(String::as_str), Some("lagging"), "{cmds:?}");
}
