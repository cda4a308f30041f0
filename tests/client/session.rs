//! The session against the model cluster: whatever goes wrong on the way, every message is stored
//! once, in order, and shown once.

use chatctl::client::session::{
    Config, Event, OLD_MS, PING_IDLE_MS, PING_JITTER_MS, Request, SILENCE_MS, State,
};
use chatctl::client::store::journal::Record;
use chatctl::limits;

use super::fake::{Cluster, ME, Stored};
use super::world::{World, config};
use crate::support::bounded::Rounds;
use crate::support::{Rng, env_number};

/// A quiet world with `servers` servers.
fn calm_world(servers: usize) -> World {
    let mut cluster = Cluster::new(1, servers);
    cluster.faults = false;
    World::new(cluster)
}

fn sent_ids(world: &World) -> Vec<u128> {
    let sent = world.events.iter().filter_map(|event| match event {
        Event::Sent { id, .. } => Some(*id),
        _ => None,
    });
    sent.collect()
}

fn shown(world: &World) -> Vec<String> {
    let shown = world.events.iter().filter_map(|event| match event {
        Event::Message(message) => Some(message.body.clone()),
        _ => None,
    });
    shown.collect()
}

/// One seeded life of a client among faults, then calm, then the books are checked.
fn random_life(seed: u64) {
    let mut dice = Rng::new(seed ^ 0xC0FFEE);
    let servers = 1 + dice.below(3) as usize;
    let mut world = World::new(Cluster::new(seed, servers));
    world.drain();
    let (mut made, mut refused, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..600u64 {
        match dice.below(20) {
            0..=3 => {
                let id = (u128::from(seed) << 64) | u128::from(step + 1);
                let nobody = dice.chance(1, 10);
                world.send(if nobody { "nobody" } else { "bob" }, &format!("mine {step}"), id);
                if nobody { refused.push(id) } else { made.push(id) }
            }
            4..=5 if world.cursor().is_some() => {
                let own = dice.chance(1, 4);
                let body = format!("other {step}");
                let (from, to) = if own { (ME, "bob") } else { ("bob", ME) };
                world.others_send(from, to, &body);
                others.push(body);
            }
            6..=9 => world.carry_up(1 + dice.below(400) as usize),
            10..=14 => world.carry_down(1 + dice.below(400) as usize),
            15 if dice.chance(1, 3) => world.drop_connection(),
            16 if dice.chance(1, 4) => {
                world.cluster.primary = dice.below(servers as u64) as usize;
                world.cluster.electing = dice.chance(1, 3);
            }
            17 if dice.chance(1, 2) => world.cluster.electing = false,
            18 if dice.chance(1, 6) => world.restart(),
            _ => world.pass_time(dice.below(3_000)),
        }
        if let Some(link) = &mut world.link {
            link.work(&mut world.cluster);
        }
    }
    world.calm();

    let number = |stored: &Stored| world.numbers.get(&stored.id).copied();
    let stored: Vec<u128> = world.cluster.log.iter().filter_map(number).collect();
    assert_eq!(stored, made, "seed {seed}: stored once each, in the order they were made");
    assert_eq!(sent_ids(&world), made, "seed {seed}: acknowledged once each, in order");
    let failed = world.events.iter().filter_map(|event| match event {
        Event::Failed { draft, .. } => Some(draft.id),
        _ => None,
    });
    assert_eq!(failed.collect::<Vec<_>>(), refused, "seed {seed}: refused ones are told");
    assert_eq!(shown(&world), others, "seed {seed}: all others shown once, in order, own never");
    for (id, attempts) in &world.cluster.sends_seen {
        let (text, known) = &attempts[0];
        let same = attempts.iter().all(|(again, claimed)| again == text && claimed <= known);
        assert!(same, "seed {seed}: {id} retried with other content, or said to be newer");
    }
}

#[test]
fn whatever_fails_every_message_is_stored_once_in_order_and_shown_once() {
    let first = env_number("CHATCTL_SEED", 0);
    let count = if first == 0 { 1_000 } else { 1 };
    for seed in first.max(1)..first.max(1) + count {
        let caught = std::panic::catch_unwind(|| random_life(seed));
        assert!(caught.is_ok(), "failed with CHATCTL_SEED={seed}");
    }
}

#[test]
fn a_connection_cut_after_any_byte_of_the_answers_loses_and_doubles_nothing() {
    let mut cut_at = 0;
    let mut rounds = Rounds::new(100_000, "a cut behind all of the conversation");
    loop {
        rounds.count();
        let mut world = calm_world(1);
        world.drain();
        for n in 1..=3u128 {
            world.send("bob", &format!("m{n}"), n);
        }
        let mut left = cut_at;
        while left > 0 {
            world.carry_up(usize::MAX);
            let ready = world.link.as_ref().map_or(0, |link| link.output.len());
            if ready == 0 {
                break;
            }
            world.carry_down(ready.min(left));
            left -= ready.min(left);
        }
        world.drop_connection();
        world.calm();
        assert_eq!(sent_ids(&world), [1, 2, 3], "cut after {cut_at} bytes");
        assert_eq!(world.cluster.log.len(), 3, "cut after {cut_at} bytes");
        if left > 0 {
            return assert!(cut_at > 100, "the loop has seen all of the conversation");
        }
        cut_at += 1;
    }
}

#[test]
fn the_password_is_said_once_and_later_connections_resume_with_the_token() {
    let mut world = calm_world(1);
    world.drain();
    world.calm();
    world.drop_connection();
    world.calm();
    world.restart();
    world.calm();
    assert_eq!(world.cluster.logins, ["login", "resume", "resume"]);
}

#[test]
fn a_refused_token_falls_back_to_the_password_on_the_same_connection() {
    let mut world = calm_world(1);
    world.drain();
    world.calm();
    world.cluster.tokens.clear();
    let connects = world.connects.len();
    world.drop_connection();
    world.calm();
    assert_eq!(world.cluster.logins, ["login", "resume", "login"]);
    assert_eq!(world.connects.len(), connects + 1);
}

#[test]
fn a_refused_token_without_a_password_asks_for_it_and_goes_on() {
    let mut world = calm_world(1);
    let config = Config { password: None, ..config(&world.cluster) };
    world.start(config, &[Record::Token("stale")]);
    for _ in 0..10 {
        world.carry_up(usize::MAX);
        world.carry_down(usize::MAX);
    }
    assert!(world.events.contains(&Event::PasswordNeeded));
    assert_eq!(world.agent.session.deadline(), None, "it waits for the user, not for time");
    world.agent.session.set_password(world.now_ms, super::fake::PASSWORD.to_string());
    world.drain();
    world.calm();
    assert_eq!(world.agent.session.state(), State::Connected);
}

#[test]
fn a_wrong_password_is_told_once_and_not_tried_again() {
    let mut world = calm_world(1);
    world.cluster.password = "another".to_string();
    world.drain();
    for _ in 0..20 {
        world.carry_up(usize::MAX);
        world.carry_down(usize::MAX);
        world.pass_time(60_000);
    }
    let refusals = world.events.iter().filter(|e| matches!(e, Event::LoginRefused(_))).count();
    assert_eq!(refusals, 1);
    assert_eq!(world.cluster.logins, ["login"]);
}

#[test]
fn a_refused_password_drops_messages_unless_the_account_was_logged_in_before() {
    for is_known in [false, true] {
        let mut world = calm_world(1);
        if is_known {
            world.drain();
            world.calm();
            world.drop_connection();
            world.cluster.tokens.clear();
        }
        world.cluster.password = "another".to_string();
        world.send("bob", "hi", 1);
        for _ in 0..20 {
            world.carry_up(usize::MAX);
            world.carry_down(usize::MAX);
            world.pass_time(60_000);
        }
        assert!(world.events.iter().any(|event| matches!(event, Event::LoginRefused(_))));
        let failed = |event: &Event| matches!(event, Event::Failed { draft, .. } if draft.id == 1);
        assert_eq!(world.events.iter().any(failed), !is_known);
        assert_eq!(world.agent.outbox().kept().drafts.len(), usize::from(is_known));
    }
}

#[test]
fn a_create_whose_answer_was_lost_is_asked_again_and_succeeds() {
    let mut world = calm_world(1);
    world.cluster.exists = false;
    let config = Config { create: true, ..config(&world.cluster) };
    world.start(config, &[]);
    world.carry_up(usize::MAX);
    world.drop_connection();
    world.calm();
    world.drop_connection();
    world.calm();
    assert_eq!(world.cluster.logins, ["create", "create", "resume"]);
}

#[test]
fn a_redirect_is_followed_at_once_and_a_circle_of_redirects_is_left() {
    let mut world = calm_world(3);
    world.cluster.primary = 2;
    world.drain();
    world.calm();
    assert_eq!(world.connects, ["server0:7262", "server2:7262"]);
    assert_eq!(world.now_ms, 0, "without a wait");

    // Nobody is PRIMARY, and each server takes another for it.
    let mut world = calm_world(3);
    world.drain();
    let mut left_after = None;
    for _ in 0..200 {
        world.cluster.primary = (world.link.as_ref().map_or(0, |link| link.server) + 1) % 3;
        world.carry_up(usize::MAX);
        world.carry_down(usize::MAX);
        if world.agent.session.trouble().is_some_and(|why| why.ends_with("redirects in circles")) {
            left_after.get_or_insert(world.connects.len());
        }
        world.pass_time(60_000);
    }
    assert_eq!(left_after, Some(limits::REDIRECTS as usize + 1), "the first and those named");
    assert!(world.now_ms > 10_000, "circles are walked slower and slower: {} ms", world.now_ms);
}

#[test]
fn servers_that_refuse_are_tried_in_turn_with_growing_waits() {
    let mut world = calm_world(3);
    world.cluster.addresses = vec!["elsewhere:1".to_string()];
    world.drain();
    let mut waits = Vec::new();
    let mut rounds = Rounds::new(1_000, "60 connections are tried");
    while world.connects.len() < 60 {
        rounds.count();
        let before = world.now_ms;
        world.pass_time(60_000);
        waits.push(world.now_ms - before);
    }
    assert_eq!(
        world.connects[..4],
        ["server0:7262", "server1:7262", "server2:7262", "server0:7262"]
    );
    assert!(waits[..2].iter().all(|wait| *wait < 50), "the rest of the list is tried soon");
    assert!(
        waits[50..].iter().all(|wait| (2_500..=5_000).contains(wait)),
        "then seldom: {waits:?}"
    );
    assert_ne!(waits[50], waits[51], "with jitter");
    assert!(world.agent.session.trouble().expect("a reason").contains("connection refused"));
}

#[test]
fn an_idle_connection_is_pinged_and_a_silent_one_is_left() {
    let mut world = calm_world(2);
    world.drain();
    world.calm();
    assert_eq!(world.agent.session.state(), State::Connected);
    let started = world.now_ms;
    world.pass_time(60_000);
    let paused_ms = world.now_ms - started;
    assert!((PING_IDLE_MS - PING_JITTER_MS..=PING_IDLE_MS).contains(&paused_ms), "{paused_ms}");
    assert!(!world.sent.is_empty());
    world.carry_up(usize::MAX);
    world.carry_down(usize::MAX);
    assert_eq!(world.agent.session.state(), State::Connected, "the answer keeps the connection");
    let mut rounds = Rounds::new(100, "silence does not");
    while world.agent.session.state() != State::Offline {
        rounds.count();
        world.pass_time(60_000);
    }
    let least = 2 * PING_IDLE_MS - PING_JITTER_MS + SILENCE_MS;
    let took = world.now_ms - started;
    assert!((least..=least + PING_JITTER_MS).contains(&took), "{took} ms");
    assert!(world.agent.session.trouble().expect("a reason").contains("stopped answering"));
}

#[test]
fn a_request_is_answered_after_a_failover_and_asked_again_when_the_server_was_busy() {
    let mut world = calm_world(1);
    world.drain();
    world.calm();
    let request = Request::List { pattern: String::new(), after: String::new() };
    let number = world.agent.session.request(world.now_ms, request).expect("there is room");
    world.drain();
    world.drop_connection();
    world.calm();
    let answers = world.events.iter().filter(|event| match event {
        Event::Answer { number: answered, result } => {
            *answered == number && result.as_ref().is_ok_and(|frames| frames[0].body == "alice,bob")
        }
        _ => false,
    });
    assert_eq!(answers.count(), 1);
}

#[test]
fn a_new_password_is_set_through_a_login_and_the_session_goes_on_with_it() {
    let mut world = calm_world(1);
    world.drain();
    world.calm();
    world.restart();
    world.calm();
    let (old, new) = (super::fake::PASSWORD.to_string(), "new".to_string());
    world.agent.session.request(world.now_ms, Request::ChangePassword { old, new }).expect("room");
    world.drain();
    world.calm();
    assert_eq!(world.cluster.password, "new");
    let last = world.events.iter().rev().find(|event| matches!(event, Event::State(_)));
    assert_eq!(last, Some(&Event::State(State::Connected)), "it was connected all the time");
    let states = world.events.iter().filter(|event| **event == Event::State(State::Offline));
    assert_eq!(states.count(), 0);
    world.drop_connection();
    world.calm();
    assert_eq!(world.agent.session.state(), State::Connected);

    let (old, new) = ("wrong".to_string(), "x".to_string());
    world.agent.session.request(world.now_ms, Request::ChangePassword { old, new }).expect("room");
    world.drain();
    world.calm();
    let last = world.events.iter().rev().find_map(|event| match event {
        Event::Answer { result, .. } => Some(result.clone()),
        _ => None,
    });
    let refusal = last.expect("an answer").expect_err("the old password was wrong");
    assert_eq!(refusal.code, "wrong-credentials");
    assert_eq!(refusal.text, "the current password is wrong; nothing was changed");
    assert_eq!(world.cluster.password, "new");
}

#[test]
fn another_cluster_voids_the_cursor_and_gets_nothing_that_was_written_for_the_first() {
    let mut world = calm_world(1);
    world.drain();
    world.calm();
    world.drop_connection();
    world.send("bob", "for the first", 1);
    world.cut();
    (world.cluster.id, world.cluster.seq) = (78, 3);
    world.agent.handle_closed(world.now_ms, "gone");
    world.drain();
    for _ in 0..20 {
        world.pass_time(1_000);
        world.carry_up(usize::MAX);
        world.carry_down(usize::MAX);
    }
    assert!(world.events.contains(&Event::Cluster(78)));
    assert!(world.events.contains(&Event::OtherCluster(1)));
    assert_eq!(world.agent.session.cursor(), Some(3));
    assert!(world.cluster.log.is_empty());
    world.send("bob", "for the second", 2);
    world.calm();
    assert_eq!(world.cluster.log.len(), 1);
    world.cluster.id = 77;
    world.drop_connection();
    world.calm();
    assert_eq!(world.cluster.log.len(), 2, "back at the first it is sent");
}

#[test]
fn an_election_is_told_in_one_word_and_ends_with_the_reply() {
    let mut world = calm_world(1);
    world.cluster.electing = true;
    world.drain();
    world.carry_up(usize::MAX);
    world.carry_down(usize::MAX);
    assert_eq!(world.agent.session.state(), State::Electing);
    world.calm();
    assert_eq!(world.agent.session.state(), State::Connected);
}

#[test]
fn many_own_messages_do_not_leave_the_cursor_behind() {
    let mut world = calm_world(1);
    world.cluster.page = 100;
    world.drain();
    world.calm();
    for n in 1..=2_000u128 {
        world.send("bob", "x", n);
        if n % 50 == 0 {
            world.carry_up(usize::MAX);
            world.carry_down(usize::MAX);
        }
    }
    world.calm();
    let behind = world.cluster.log.iter().filter(|s| Some(s.seq) > world.cursor()).count();
    assert!(behind < 512, "{behind} would be read again after a restart");
    assert!(shown(&world).is_empty(), "own messages are not shown as news");
}

#[test]
fn bytes_that_are_no_protocol_never_panic_and_end_the_connection() {
    let seed = env_number("CHATCTL_SEED", 5);
    let mut dice = Rng::new(seed);
    for round in 0..2_000 {
        let mut world = calm_world(1);
        world.drain();
        world.carry_up(usize::MAX);
        if dice.chance(1, 2) {
            world.carry_down(usize::MAX);
        }
        let mut bytes = match world.link.as_mut() {
            Some(link) => link.output.drain(..).collect::<Vec<u8>>(),
            None => Vec::new(),
        };
        for _ in 0..1 + dice.below(8) {
            match bytes.len() as u64 {
                0 => bytes = dice.bytes(64),
                len => bytes[dice.below(len) as usize] = dice.next() as u8,
            }
        }
        world.agent.handle_received(world.now_ms, &bytes);
        world.drain();
        assert!(round < 2_000);
    }
}

/// A world of which the clock shows `now_ms`, and a message that was written when it showed 0.
fn world_with_an_old_message(now_ms: u64) -> World {
    let mut world = calm_world(1);
    world.send("bob", "from long ago", 7);
    world.now_ms = now_ms;
    world.send("bob", "from now", 8);
    world.calm();
    world
}

#[test]
fn what_has_waited_for_more_than_a_day_is_sent_when_somebody_says_so() {
    let mut world = world_with_an_old_message(OLD_MS + 1);
    assert!(world.events.contains(&Event::Old { count: 1, since_ms: 0 }), "{:?}", world.events);
    assert_eq!(sent_ids(&world), [8], "what is newer does not wait for it");
    assert_eq!(world.agent.session.waiting_old(), 1);
    assert_eq!(world.agent.session.send_old(world.now_ms), 1);
    world.calm();
    assert_eq!(sent_ids(&world), [8, 7]);
    assert_eq!(world.agent.session.waiting_old(), 0);
}

#[test]
fn what_has_waited_for_more_than_a_day_can_be_given_up() {
    let mut world = world_with_an_old_message(OLD_MS + 1);
    assert_eq!(world.agent.drop_old().expect("the disk takes it").len(), 1);
    assert_eq!(world.agent.session.send_old(world.now_ms), 0);
    world.calm();
    assert_eq!(sent_ids(&world), [8]);
}

#[test]
fn what_has_waited_for_a_day_at_most_is_sent_unasked() {
    let world = world_with_an_old_message(OLD_MS);
    assert_eq!(sent_ids(&world), [7, 8]);
}
