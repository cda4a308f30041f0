//! A server that goes silent, in virtual time: when the client notices, whom it asks, and when it moves.

use std::collections::BTreeSet;

use chatctl::client::session::{Event, READ_ONLY_MS, State, look};
use chatctl::protocol::Message;

use super::fake::Cluster;
use super::world::World;
use crate::support::bounded::Rounds;

/// A ping, its silence, the jitter and the answer.
const NOTICED_IDLE_MS: u64 = 2_000 + look::PING_OWED_MS + look::LOOK_JITTER_MS;
/// As [`NOTICED_IDLE_MS`], while an answer is owed.
const NOTICED_OWED_MS: u64 = look::OWED_MS + look::LOOK_JITTER_MS;

/// Lets all arrive that is on its way, and time pass until then.
fn run(world: &mut World, until_ms: u64) {
    let mut rounds = Rounds::new(100_000, "the time comes");
    while world.now_ms < until_ms {
        rounds.count();
        carry(world);
        let left = until_ms - world.now_ms;
        world.pass_time(left);
    }
    carry(world);
}

fn carry(world: &mut World) {
    let mut rounds = Rounds::new(1_000, "nothing is on its way");
    loop {
        rounds.count();
        if let Some(link) = &mut world.link {
            link.work(&mut world.cluster);
        }
        world.carry_up(usize::MAX);
        world.carry_down(usize::MAX);
        world.carry_look();
        let quiet = world.link.as_ref().is_none_or(|link| link.output.is_empty());
        if quiet && world.sent.is_empty() {
            return;
        }
    }
}

/// Lets time pass until the client asks another server.
fn until_it_asks(world: &mut World) {
    let mut rounds = Rounds::new(1_000, "another server is asked");
    while world.look.is_none() {
        rounds.count();
        world.pass_time(60_000);
        world.carry_up(usize::MAX);
    }
}

/// The PRIMARY hangs, and the others have elected another.
fn fail_over(world: &mut World, to: usize) {
    let primary = world.cluster.primary;
    world.cluster.silent.insert(primary);
    world.cluster.primary = to;
    world.cluster.term += 1;
}

fn place(world: &World) -> Option<usize> {
    world.link.as_ref().map(|link| link.server)
}

#[test]
fn an_idle_client_moves_to_the_new_primary_within_seconds() {
    for seed in 1..=50 {
        let mut world = World::idle(3, seed);
        // At any moment between two pings.
        let later = world.now_ms + seed * 53;
        run(&mut world, later);
        fail_over(&mut world, 1);
        let until = world.now_ms + NOTICED_IDLE_MS + look::LOOK_AGAIN_MS[0];
        run(&mut world, until);
        assert_eq!((place(&world), world.agent.session.state()), (Some(1), State::Connected));
    }
}

#[test]
fn a_sender_has_its_mark_within_seconds() {
    for seed in 1..=50 {
        let mut world = World::idle(5, seed);
        fail_over(&mut world, 3);
        let since = world.now_ms;
        world.send("bob", "hello", 1);
        let sent = |world: &World| {
            world.events.iter().any(|event| matches!(event, Event::Sent { id: 1, .. }))
        };
        while !sent(&world) {
            let next = world.now_ms + 10;
            run(&mut world, next);
            let waited = world.now_ms - since;
            assert!(waited <= NOTICED_OWED_MS + look::LOOK_AGAIN_MS[0] + 10, "{waited} ms");
        }
        assert_eq!(world.attempts(1).len(), 1);
    }
}

#[test]
fn a_primary_that_is_only_slow_is_asked_about_and_stayed_with() {
    let mut world = World::idle(3, 1);
    world.cluster.silent.insert(0);
    world.send("bob", "hello", 1);
    let until = world.now_ms + 9_000;
    run(&mut world, until);
    let count = world.asked.len();
    assert!((3..=5).contains(&count), "after 1, 2 and 4 s: {:?}", world.asked);
    assert!(!world.asked.contains(&world.cluster.addresses[0]), "only the others");
    assert_ne!(world.asked[0], world.asked[1], "each in its turn");
    assert_eq!((place(&world), world.connects.len()), (Some(0), 1), "nobody knows better");
    world.cluster.silent.clear();
    let until = world.now_ms + 100;
    run(&mut world, until);
    assert_eq!(world.agent.session.waiting(), 0);
    assert_eq!(world.attempts(1).len(), 1, "it was not sent again");
    // That was slow, and so it is waited for longer the next time.
    world.asked.clear();
    world.cluster.silent.insert(0);
    world.send("bob", "hello", 2);
    let until = world.now_ms + 5_000;
    run(&mut world, until);
    assert!(world.asked.is_empty(), "{:?}", world.asked);
}

#[test]
fn a_sync_of_two_seconds_under_10_000_clients_moves_nobody() {
    let (mut looks, mut asked) = (0, [0_usize; 3]);
    for seed in 1..=10_000 {
        let mut world = World::idle(3, seed);
        // Half of them have sent something: it is answered after the sync, as is what is behind it.
        world.cluster.silent.insert(0);
        world.send("bob", "hello", 1);
        let until = world.now_ms + 2_000;
        run(&mut world, until);
        world.cluster.silent.clear();
        let until = world.now_ms + 3_000;
        run(&mut world, until);
        assert_eq!((place(&world), world.connects.len()), (Some(0), 1), "seed {seed}");
        assert_eq!((world.agent.session.waiting(), world.attempts(1).len()), (0, 1));
        looks += world.asked.len();
        for server in &world.asked {
            asked[world.cluster.addresses.iter().position(|a| a == server).unwrap()] += 1;
        }
    }
    println!("10,000 clients asked {looks} times, the servers {asked:?} times each");
    assert!((10_000..=20_000).contains(&looks), "once or twice each: {looks}");
    assert_eq!(asked[0], 0);
    assert!(asked[1].abs_diff(asked[2]) < looks / 5, "the questions are spread: {asked:?}");
}

#[test]
fn what_another_server_knows_of_an_older_or_the_same_term_moves_nobody() {
    for term in [0, 1] {
        let mut world = World::idle(3, 1);
        world.cluster.silent.insert(0);
        (world.cluster.primary, world.cluster.term) = (1, term);
        let until = world.now_ms + 8_000;
        run(&mut world, until);
        assert!(!world.asked.is_empty());
        assert_eq!(place(&world), Some(0), "term {term}");
    }
}

#[test]
fn a_login_that_is_not_answered_goes_on_at_the_primary() {
    let mut cluster = Cluster::new(1, 3);
    cluster.faults = false;
    let mut world = World::new(cluster);
    fail_over(&mut world, 2);
    world.drain();
    run(&mut world, NOTICED_OWED_MS + look::LOOK_AGAIN_MS[0]);
    assert_eq!((place(&world), world.agent.session.state()), (Some(2), State::Connected));
    assert!(world.now_ms < 3_000);
}

#[test]
fn with_several_machines_silent_each_is_asked_until_one_answers() {
    let mut world = World::idle(5, 1);
    fail_over(&mut world, 4);
    world.cluster.silent.extend([1, 2, 3]);
    let most = NOTICED_IDLE_MS + 3 * look::LOOK_MS;
    let until = world.now_ms + most;
    run(&mut world, until);
    assert_eq!(place(&world), Some(4), "{:?}", world.asked);
}

#[test]
fn a_server_without_a_majority_is_left_as_soon_as_another_knows_a_primary() {
    for word in ["electing", "read-only"] {
        let mut world = World::idle(3, 1);
        world.cluster.primary = 2;
        world.cluster.term += 1;
        // It is cut off from the others, and answers.
        world.cluster.electing = true;
        let body = format!("{word}: no majority of the servers is reachable");
        let push = Message { cmd: "server_status".into(), body: body.into(), ..Message::default() };
        world.link.as_mut().expect("connected").put(&push);
        world.carry_down(usize::MAX);
        world.cluster.electing = false;
        let until = world.now_ms + look::OWED_MS + look::LOOK_JITTER_MS;
        assert!(until < READ_ONLY_MS);
        run(&mut world, until);
        assert_eq!(place(&world), Some(2), "{word}");
    }
}

#[test]
fn the_question_is_dropped_when_the_server_speaks_again() {
    let mut world = World::idle(2, 1);
    world.cluster.silent.extend([0, 1]);
    world.send("bob", "hello", 1);
    until_it_asks(&mut world);
    world.cluster.silent.remove(&0);
    carry(&mut world);
    assert!(world.look.is_none(), "it is closed");
    assert_eq!((place(&world), world.agent.session.waiting()), (Some(0), 0));
}

#[test]
fn answers_that_are_none_cost_nothing() {
    let answers: [&[u8]; 4] = [
        b"not a frame\n",
        b"{\"cmd\":\"server_status\",\"body\":\"term many\"}\n",
        b"{\"cmd\":\"server_status\",\"error\":true,\"body\":\"busy: later\"}\n",
        &[b'['; 64 << 10],
    ];
    for answer in answers {
        let mut world = World::idle(3, 1);
        world.cluster.silent.insert(0);
        world.send("bob", "hello", 1);
        until_it_asks(&mut world);
        let now_ms = world.now_ms;
        world.agent.handle_look_received(now_ms, answer);
        world.drain();
        world.pass_time(60_000);
        assert_eq!(place(&world), Some(0));
        fail_over(&mut world, 1);
        let until = world.now_ms + 10_000;
        run(&mut world, until);
        assert_eq!(place(&world), Some(1), "the next is asked");
    }
}

#[test]
fn a_client_of_one_server_asks_nobody() {
    let mut world = World::idle(1, 1);
    world.cluster.silent.insert(0);
    let until = world.now_ms + 9_000;
    run(&mut world, until);
    assert!(world.asked.is_empty());
}

#[test]
fn an_idle_client_pings_after_1500_to_2000_ms_and_not_each_time_after_as_many() {
    let mut world = World::idle(2, 1);
    let mut pauses = BTreeSet::new();
    for _ in 0..50 {
        let heard_ms = world.now_ms;
        let mut rounds = Rounds::new(1_000, "a ping is sent");
        while world.sent.is_empty() {
            rounds.count();
            world.pass_time(60_000);
        }
        pauses.insert(world.now_ms - heard_ms);
        carry(&mut world);
    }
    assert!(pauses.iter().all(|pause| (1_500..=2_000).contains(pause)), "{pauses:?}");
    assert!(pauses.len() > 20, "{pauses:?}");
}
