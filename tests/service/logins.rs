//! Logins under a flood of them: whose password is checked next, who is refused, what the operator is
//! told.

use chatctl::limits;
use chatctl::net::Key;

use super::world::{PASSWORD, World, ip, settings};
use crate::support::raw_client::{Ask, ask, code};

fn login(name: &str, password: &str) -> Ask {
    ask("login").src(name).body(password)
}

/// A server with alice and bob, whose passwords are hashed one by one by the test.
fn world() -> World {
    let mut world = World::new(settings());
    world.add_accounts(&["alice", "bob"].map(str::to_owned));
    world.keeps_hashes = true;
    world
}

/// Connections from one place, each of which asks for a login of another name.
fn flood(world: &mut World, place: u32, count: usize) -> Vec<Key> {
    let connect = |number: usize| {
        let key = world.connect(ip(place));
        world.write(key, &login(&format!("nobody{number}"), "wrong"));
        key
    };
    let keys = (0..count).map(connect).collect();
    world.turn();
    keys
}

#[test]
fn a_flood_of_logins_from_one_network_makes_another_wait_for_a_password_or_two() {
    let mut world = world();
    flood(&mut world, 1, 2 * limits::HASH_JOBS);
    let alice = world.connect(ip(2));
    world.write(alice, &login("alice", PASSWORD));
    world.turn();
    let mut hashed = 0;
    let reply = loop {
        world.turn();
        if let Some(reply) = world.read(alice) {
            break reply;
        }
        world.hash_one();
        hashed += 1;
        assert!(hashed <= limits::HASH_JOBS_AHEAD + 2, "{hashed} passwords went before hers");
    };
    assert!(!reply.error, "she is in, though the queue was full: {reply:?}");
}

#[test]
fn where_too_many_passwords_wait_the_newest_of_the_network_with_most_is_busy() {
    let mut world = world();
    let keys = flood(&mut world, 1, limits::HASH_JOBS);
    assert!(keys.iter().all(|key| world.read(*key).is_none()), "so many wait");
    let alice = world.connect(ip(2));
    world.write(alice, &login("alice", PASSWORD));
    world.turn();
    let last = *keys.last().unwrap();
    assert_eq!(world.read(last).map(|reply| code(&reply)).as_deref(), Some("busy"));
    assert!(world.read(alice).is_none(), "hers waits");
    // One more of the network that has most is refused itself.
    let late = flood(&mut world, 1, 1)[0];
    assert_eq!(world.read(late).map(|reply| code(&reply)).as_deref(), Some("busy"));
}

#[test]
fn passwords_of_connections_that_have_gone_are_not_hashed() {
    let mut world = world();
    let keys = flood(&mut world, 1, 100);
    let kept = keys[50];
    keys.iter().filter(|key| **key != kept).for_each(|key| world.hang_up(*key));
    let mut hashed = 0;
    while !world.hashes.is_empty() {
        world.hash_one();
        hashed += 1;
    }
    world.turn();
    assert_eq!(world.read(kept).map(|reply| code(&reply)).as_deref(), Some("wrong-credentials"));
    assert!(hashed <= limits::HASH_JOBS_AHEAD + 1, "{hashed} were hashed");
}

#[test]
fn a_login_whose_password_was_changed_while_it_was_hashed_is_refused() {
    let mut world = world();
    let alice = world.session(ip(1), "alice");
    world.keeps_batches = true;
    world.write(alice, &ask("passwd").body("new"));
    world.turn();
    world.hash_one();
    // Her password is the old one until the disk has the new one.
    let late = world.connect(ip(2));
    world.write(late, &login("alice", PASSWORD));
    world.turn();
    world.keeps_batches = false;
    assert!(!world.reply(alice).error);
    world.hash_one();
    assert_eq!(code(&world.reply(late)), "wrong-credentials");
}

#[test]
fn guessing_from_many_networks_is_slowed_down_and_does_not_lock_out_the_owner() {
    let mut world = world();
    world.keeps_hashes = false;
    // She has logged in at home before.
    let home = world.session(ip(1), "alice");
    world.hang_up(home);
    let mut checked = 0;
    for number in 0..600 {
        let key = world.connect(ip(100 + number));
        let answer = code(&world.ask(key, &login("alice", "guess")));
        assert!(["wrong-credentials", "rate-limited"].contains(&answer.as_str()), "{answer}");
        checked += u64::from(answer == "wrong-credentials");
        world.hang_up(key);
        world.pass(100);
    }
    // In a minute.
    let most = u64::from(limits::GUESSES) + 60_000 / limits::GUESS_WAIT_MS + 8;
    assert!(checked <= most, "{checked} guesses were checked");
    let home = world.session(ip(1), "alice");
    // Elsewhere she has to wait for a moment, and is told for how long.
    let key = world.connect(ip(5_000));
    let refusal = world.ask(key, &login("alice", PASSWORD));
    assert_eq!(code(&refusal), "rate-limited");
    assert!(refusal.body.contains("try again in "), "{}", refusal.body);
    world.pass(limits::GUESS_WAIT_MS);
    assert!(!world.ask(key, &login("alice", PASSWORD)).error);
    // What she has proven at one place, with a token too, is good for the next login there.
    let token = world.ask(home, &ask("token")).body.into_owned();
    let key = world.connect(ip(6_000));
    assert!(!world.ask(key, &ask("resume").src("alice").body(&token)).error);
    for number in 0..50 {
        let key = world.connect(ip(7_000 + number));
        world.ask(key, &login("alice", "guess"));
    }
    world.session(ip(6_000), "alice");
}

#[test]
fn guessing_at_a_name_that_nobody_has_is_answered_alike() {
    let mut world = world();
    world.keeps_hashes = false;
    for number in 0..40 {
        let answers = ["alice", "nobody"].map(|name| {
            let key = world.connect(ip(100 + number));
            let reply = world.ask(key, &login(name, "guess"));
            (reply.error, reply.body.into_owned())
        });
        assert_eq!(answers[0], answers[1]);
        world.pass(300);
    }
}

#[test]
fn failed_logins_leave_a_bounded_number_of_lines_that_count_them_all() {
    let mut world = world();
    world.keeps_hashes = false;
    world.lines.clear();
    for number in 0..100 {
        let key = world.connect(ip(100 + number % 50));
        world.ask(key, &login("nobody", "guess"));
        world.ask(key, &ask("resume").src("alice").body("no token"));
        world.hang_up(key);
    }
    assert!(world.lines.is_empty(), "nothing is told at once: {:?}", world.lines);
    let due_ms = world.node.next_ms().expect("the lines are due");
    assert!(due_ms <= world.now.monotonic_ms + limits::COUNTED_MS);
    world.pass(limits::COUNTED_MS);
    let lines = std::mem::take(&mut world.lines);
    assert_eq!(lines.len(), limits::COUNTED_LINES, "{lines:#?}");
    let number = |line: &String| line.split(' ').next()?.parse::<usize>().ok();
    assert_eq!(lines.iter().filter_map(number).sum::<usize>(), 200, "{lines:#?}");
    assert!(lines[0].starts_with("4 failed logins from 10.0.0.100 in 10 s, "), "{}", lines[0]);
    assert!(lines[19].ends_with("failed logins from other networks in 10 s"), "{}", lines[19]);
    world.pass(10 * limits::COUNTED_MS);
    assert!(world.lines.is_empty(), "nothing happened since");
}
