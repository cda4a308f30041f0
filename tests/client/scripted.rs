//! The session, one situation at a time.

use std::borrow::Cow;
use std::collections::VecDeque;

use chatctl::client::agent::NotTaken;
use chatctl::client::session::{Config, Event, READ_ONLY_MS, Request, State};
use chatctl::client::store::journal::Record;
use chatctl::limits;
use chatctl::protocol::framing::{self, Form, Split};
use chatctl::protocol::{Message, MsgIds, id};

use super::fake::Cluster;
use super::world::{World, config};
use crate::support::bounded::Rounds;

fn online() -> World {
    World::idle(1, 1)
}

/// As [`online`], and bob has written: that he exists is known.
fn acquainted() -> World {
    let mut world = online();
    world.others_send("bob", "alice", "hello");
    world.calm();
    world.events.clear();
    world
}

fn say(world: &mut World, message: &Message<'_>) {
    world.link.as_mut().expect("connected").put(message);
    world.carry_down(usize::MAX);
}

fn push(cmd: &'static str) -> Message<'static> {
    Message { cmd: Cow::Borrowed(cmd), ..Message::default() }
}

fn shown(world: &World) -> Vec<&str> {
    let shown = world.events.iter().filter_map(|event| match event {
        Event::Message(message) => Some(message.body.as_str()),
        _ => None,
    });
    shown.collect()
}

#[test]
fn what_was_left_out_for_slowness_is_fetched() {
    let mut world = online();
    let (from, to) = ("bob", "alice");
    let missed = world.cluster.store(from, to, 1, "missed");
    let mut lagging = push("lagging");
    lagging.seq = missed.seq;
    say(&mut world, &lagging);
    assert!(
        !world.agent.session.is_synced(),
        "the cursor stands until the sync has reached the end"
    );
    world.calm();
    assert_eq!(shown(&world), ["missed"]);
    assert_eq!(world.cursor(), Some(missed.seq));
}

/// What the user is told of the connection, in order.
fn states(world: &World) -> Vec<State> {
    let state = |event: &Event| match event {
        Event::State(state) => Some(*state),
        _ => None,
    };
    world.events.iter().filter_map(state).collect()
}

#[test]
fn a_redirect_is_told_as_an_election_not_as_a_lost_connection() {
    let mut cluster = Cluster::new(1, 3);
    cluster.faults = false;
    let mut world = World::new(cluster);
    world.drain();
    world.calm();
    // The PRIMARY hands over.
    world.events.clear();
    world.cluster.primary = 1;
    let mut redirect = push("redirect");
    (redirect.to, redirect.error) = (world.cluster.addresses[1].clone().into(), true);
    say(&mut world, &redirect);
    world.calm();
    assert_eq!(states(&world), [State::Electing, State::Connected]);
    // It dies, and the next server hears only later that the third is PRIMARY.
    world.events.clear();
    world.drop_connection();
    world.cluster.electing = true;
    world.pass_time(60_000);
    world.carry_up(usize::MAX);
    world.carry_down(usize::MAX);
    world.cluster.primary = 0;
    world.calm();
    assert_eq!(states(&world), [State::Offline, State::Electing, State::Connected]);
    // It dies, and the next server becomes PRIMARY itself.
    world.events.clear();
    world.drop_connection();
    world.cluster.electing = true;
    world.pass_time(60_000);
    world.carry_up(usize::MAX);
    world.carry_down(usize::MAX);
    world.cluster.primary = world.link.as_ref().expect("connected").server;
    let mut primary = push("server_status");
    primary.body = "primary: all requests are served again".into();
    say(&mut world, &primary);
    world.calm();
    assert_eq!(states(&world), [State::Offline, State::Electing, State::Connected]);
}

#[test]
fn the_next_server_that_knows_better_is_believed_at_once_after_a_redirect_to_a_dead_one() {
    let mut cluster = Cluster::new(1, 4);
    cluster.faults = false;
    let mut world = World::new(cluster);
    world.drain();
    world.calm();
    world.connects.clear();
    let since = world.now_ms;
    let mut redirect = push("redirect");
    (redirect.to, redirect.error) = ("server1:7262".into(), true);
    world.cluster.dead.insert(1);
    world.cluster.primary = 3;
    say(&mut world, &redirect);
    world.calm();
    assert_eq!(world.connects, ["server1:7262", "server2:7262", "server3:7262"]);
    assert!(world.now_ms - since < 100, "{} ms", world.now_ms - since);
}

/// The session is at `from`, which names `primary`; where it goes next, or why it does not.
fn sent_on(servers: &[&str], primary: &str) -> Result<String, String> {
    let mut cluster = Cluster::new(1, 1);
    cluster.faults = false;
    cluster.addresses = servers.iter().map(|server| server.to_string()).collect();
    let mut world = World::new(cluster);
    world.drain();
    world.calm();
    world.connects.clear();
    let mut redirect = push("redirect");
    (redirect.to, redirect.error) = (primary.to_owned().into(), true);
    say(&mut world, &redirect);
    match world.agent.session.trouble() {
        None => Ok(world.connects[0].clone()),
        Some(why) => Err(why.to_owned()),
    }
}

#[test]
fn a_redirect_is_followed_only_within_the_list_and_never_off_this_machine() {
    let far = ["a.example:1", "b.example:2", "127.0.0.1:3"];
    assert_eq!(sent_on(&far, "b.example:2").as_deref(), Ok("b.example:2"));
    assert_eq!(sent_on(&far, "B.EXAMPLE:2").as_deref(), Ok("b.example:2"), "names have no case");
    assert_eq!(sent_on(&far, "localhost:3").as_deref(), Ok("127.0.0.1:3"));
    for outside in ["c.example:2", "b.example:3", "10.0.0.1:2", "unix:/run/chatctl.sock"] {
        let why = sent_on(&far, outside).expect_err(outside);
        assert!(why.contains(outside) && why.contains("--servers does not list"), "{why}");
    }
    for near in ["localhost:1", "127.0.0.9:1", "[::1]:1", "unix:/run/chatctl.sock"] {
        let why = sent_on(&[near, "b.example:2"], "b.example:2").expect_err(near);
        assert!(why.contains("is not on this machine"), "{near}: {why}");
        assert_eq!(sent_on(&[near, "127.0.0.1:2"], "[::1]:2").as_deref(), Ok("127.0.0.1:2"));
    }
    for wrong in ["", "b.example", "b.example:0", ":2", "unix:", "a b:1", "\x1b[2J:1"] {
        let why = sent_on(&far, wrong).expect_err(wrong);
        assert!(why.contains("without a valid address"), "{why}");
    }
}

#[test]
fn all_pages_of_a_sync_come_on_one_connection() {
    let mut world = online();
    world.drop_connection();
    for number in 1..=10 * world.cluster.page as u128 {
        world.cluster.store("bob", "alice", number, "missed");
    }
    world.connects.clear();
    world.calm();
    assert_eq!(world.connects.len(), 1, "{:?}", world.agent.session.trouble());
    let shown = world.events.iter().filter(|event| matches!(event, Event::Message(_)));
    assert_eq!(shown.count(), 10 * world.cluster.page);
}

#[test]
fn a_server_cannot_rename_the_user_nor_promise_pages_for_ever() {
    let mut world = online();
    world.drop_connection();
    world.pass_time(60_000);
    let mut status = push("server_status");
    status.body = "role PRIMARY\nterm 1\nprimary server0:7262".into();
    say(&mut world, &status);
    let mut login = push("resume");
    login.to = "mallory".into();
    say(&mut world, &login);
    assert_eq!(world.agent.session.state(), State::Offline);
    assert!(world.agent.session.trouble().is_some_and(|why| why.contains("another account")));

    let mut world = online();
    let mut lagging = push("lagging");
    lagging.seq = 1_000;
    say(&mut world, &lagging);
    let mut page = push("sync");
    (page.body, page.seq) = ("more".into(), world.cursor().expect("it is known"));
    say(&mut world, &page);
    assert_eq!(world.agent.session.state(), State::Offline);
    assert!(world.agent.session.trouble().is_some_and(|why| why.contains("more missed messages")));
}

/// Logged in again, and the answer to its `sync`, which has not arrived.
fn catching_up() -> (World, VecDeque<u8>) {
    let mut world = online();
    world.drop_connection();
    world.pass_time(60_000);
    world.carry_up(usize::MAX);
    world.carry_down(usize::MAX);
    world.carry_up(usize::MAX);
    let answer = std::mem::take(&mut world.link.as_mut().expect("connected").output);
    (world, answer)
}

/// The late answer arrives. What came before it is fetched, and shown once.
fn finds_what_is_missing(mut world: World, answer: VecDeque<u8>) {
    world.link.as_mut().expect("connected").output.extend(answer);
    world.carry_down(usize::MAX);
    assert!(!world.agent.session.is_synced(), "the end that was reached is not the end");
    world.calm();
    assert_eq!(shown(&world), ["missing"]);
}

#[test]
fn a_push_that_overtakes_the_answer_to_a_sync_is_asked_for_once_more() {
    let (mut world, answer) = catching_up();
    world.others_send("bob", "alice", "missing");
    finds_what_is_missing(world, answer);
}

#[test]
fn what_is_left_out_while_the_client_catches_up_is_fetched() {
    let (mut world, answer) = catching_up();
    let mut lagging = push("lagging");
    lagging.seq = world.cluster.store("bob", "alice", 1, "missing").seq;
    say(&mut world, &lagging);
    finds_what_is_missing(world, answer);
}

#[test]
fn a_push_below_the_cursor_is_not_shown_again() {
    let mut world = online();
    world.others_send("bob", "alice", "once");
    world.carry_down(usize::MAX);
    let stored = world.cluster.log[0].clone();
    let mut again = push("deliver");
    (again.src, again.to, again.body) = ("bob".into(), "alice".into(), "once".into());
    again.seq = stored.seq;
    say(&mut world, &again);
    let shown = world.events.iter().filter(|event| matches!(event, Event::Message(_)));
    assert_eq!(shown.count(), 1);
}

#[test]
fn taken_back_is_told_and_moves_the_cursor_and_read_moved_is_told_and_does_not() {
    let mut world = online();
    let before = world.cursor().expect("a cursor");
    let mut moved = push("read_moved");
    (moved.to, moved.seq) = ("bob".into(), before + 100);
    say(&mut world, &moved);
    assert_eq!(world.cursor(), Some(before), "its seq is a marker, not its place");
    let mut taken = push("taken_back");
    taken.msg_ids = MsgIds::Many(vec![Cow::Owned(id::format(5))]);
    taken.seq = before + 7;
    say(&mut world, &taken);
    assert_eq!(world.cursor(), Some(before + 7));
    let told = [
        Event::ReadMoved { name: "bob".to_string(), seq: before + 100 },
        Event::TakenBack(vec![id::format(5)]),
    ];
    assert_eq!(world.events, told);
}

#[test]
fn each_not_now_makes_messages_wait_behind_a_ping_in_their_order() {
    for code in ["rate-limited", "disk-full", "read-only", "outcome-unknown", "busy"] {
        let mut world = acquainted();
        world.cluster.refuse_next = Some(code);
        for n in 1..=3 {
            world.send("bob", &format!("m{n}"), n);
        }
        world.carry_up(usize::MAX);
        world.carry_down(usize::MAX);
        assert_eq!(world.agent.session.waiting(), 3, "{code}: all behind it get the same");
        assert!(world.sent.is_empty(), "{code}: nothing is asked again at once");
        let held = world.events.iter().filter(|event| matches!(event, Event::Held(_)));
        assert_eq!(held.count(), 1, "{code}: told once");
        world.calm();
        let stored: Vec<&str> = world.cluster.log.iter().map(|s| s.body.as_str()).collect();
        assert_eq!(stored, ["hello", "m1", "m2", "m3"], "{code}");
        assert!(world.cluster.sends_seen.values().all(|attempts| attempts.len() == 2), "{code}");
    }
}

#[test]
fn read_only_is_told_and_the_return_of_a_primary_ends_the_waiting_at_once() {
    let mut world = online();
    let mut state = push("server_status");
    state.body = "read-only: no majority".into();
    say(&mut world, &state);
    assert_eq!(world.agent.session.state(), State::ReadOnly);
    world.cluster.refuse_next = Some("read-only");
    world.send("bob", "waits", 1);
    world.carry_up(usize::MAX);
    world.carry_down(usize::MAX);
    assert!(world.sent.is_empty());
    let now_ms = world.now_ms;
    state.body = "primary: server0:7262".into();
    say(&mut world, &state);
    assert_eq!(world.agent.session.state(), State::Connected);
    world.carry_up(usize::MAX);
    world.carry_down(usize::MAX);
    assert_eq!((world.agent.session.waiting(), world.now_ms), (0, now_ms), "without a wait");
}

#[test]
fn a_definite_refusal_leaves_the_outbox_and_those_behind_it_go_on() {
    for code in ["id-expired", "no-such-user"] {
        let mut world = online();
        world.cluster.refuse_next = (code == "id-expired").then_some("id-expired");
        world.send("nobody", "first", 1);
        world.send("bob", "second", 2);
        world.calm();
        let failed = world.events.iter().find_map(|event| match event {
            Event::Failed { draft, refusal } => Some((draft.id, refusal.code.as_str())),
            _ => None,
        });
        assert_eq!(failed, Some((1, code)));
        assert_eq!(world.cluster.log.len(), 1);
        assert_eq!(world.agent.session.waiting(), 0);
    }
}

/// Whether the account's events show it before the refusal comes or behind it.
#[test]
fn what_is_refused_as_too_old_to_tell_and_is_shown_to_be_stored_is_told_as_sent() {
    for shown_first in [true, false] {
        let mut world = acquainted();
        world.send("bob", "perhaps", 2);
        world.carry_up(usize::MAX);
        world.drop_connection();
        world.cluster.refuse_next = Some("id-expired");
        let stored = world.cluster.log.last().cloned().unwrap();
        if shown_first {
            // Just so far that it is logged in.
            let mut rounds = Rounds::new(1_000, "the session is synced");
            while !world.agent.session.is_synced() {
                rounds.count();
                world.pass_time(1_000);
                world.carry_up(usize::MAX);
                world.carry_down(usize::MAX);
            }
        }
        world.calm();
        let told =
            |event: &&Event| matches!(event, Event::Sent { id: 2, seq, .. } if *seq == stored.seq);
        assert_eq!(world.events.iter().filter(told).count(), 1, "{:?}", world.events);
        let shown = |event: &&Event| matches!(event, Event::Message(m) if m.seq == stored.seq);
        assert_eq!(world.events.iter().filter(shown).count(), 0);
    }
}

#[test]
fn behind_a_name_that_perhaps_nobody_has_nothing_is_sent_before_the_answer() {
    let mut world = acquainted();
    let asked = |world: &World| world.cluster.sends_seen.len();
    world.send("bob", "known", 1);
    world.send("nobody", "perhaps", 2);
    world.send("bob", "behind", 3);
    world.carry_up(usize::MAX);
    assert_eq!(asked(&world), 2, "it goes behind others, and nothing behind it");
    // The refusal is lost, and asked for again.
    world.drop_connection();
    world.calm();
    let stored: Vec<&str> = world.cluster.log.iter().map(|s| s.body.as_str()).collect();
    assert_eq!(stored, ["hello", "known", "behind"]);
    assert_eq!(world.attempts(2).len(), 2);
    assert_eq!(world.attempts(3).len(), 1, "only after the second refusal");
    // Who was written to once is known from then on.
    world.send("carol", "first", 4);
    world.send("carol", "second", 5);
    world.send("carol", "third", 6);
    world.carry_up(usize::MAX);
    assert_eq!(asked(&world), 4);
    world.carry_down(usize::MAX);
    world.carry_up(usize::MAX);
    assert_eq!(asked(&world), 6);
}

#[test]
fn of_too_many_known_names_one_is_forgotten_and_its_next_message_goes_alone() {
    let mut world = online();
    for n in 0..=limits::KNOWN_RECEIVERS {
        world.send(&format!("user{n:04}"), "hello", n as u128 + 1);
        world.calm();
    }
    let before = world.cluster.sends_seen.len();
    for (to, id) in [("user0001", 2_001), ("user0000", 2_002), ("user0001", 2_003)] {
        world.send(to, "again", id);
    }
    world.carry_up(usize::MAX);
    assert_eq!(world.cluster.sends_seen.len(), before + 2, "user0000 is no longer known");
}

#[test]
fn no_more_than_a_window_of_sends_is_on_its_way() {
    let mut world = acquainted();
    for n in 1..=200 {
        world.send("bob", "x", n);
    }
    world.carry_up(usize::MAX);
    assert_eq!(world.cluster.sends_seen.len(), limits::SEND_WINDOW);
    world.calm();
    assert_eq!(world.cluster.log.len(), 201, "with what bob has said");
}

/// How many answers lie ready for the client.
fn answers(world: &World) -> usize {
    let output = &world.link.as_ref().expect("connected").output;
    let bytes: Vec<u8> = output.iter().copied().collect();
    let (mut at, mut count) = (0, 0);
    while let Split::Payload { consumed, .. } = framing::split(Form::Frames, &bytes[at..], &mut 0) {
        at += consumed;
        count += 1;
    }
    count
}

#[test]
fn a_window_of_requests_is_on_its_way_the_rest_wait_and_past_the_bound_they_are_refused() {
    let mut world = online();
    let list = || Request::List { pattern: String::new(), after: String::new() };
    for _ in 0..limits::CLIENT_REQUESTS {
        world.agent.session.request(world.now_ms, list()).expect("there is room");
    }
    assert!(world.agent.session.request(world.now_ms, list()).is_err());
    world.drain();
    world.carry_up(usize::MAX);
    assert_eq!(answers(&world), limits::REQUEST_WINDOW);
    world.calm();
    let answered = |event: &&Event| matches!(event, Event::Answer { result: Ok(_), .. });
    assert_eq!(world.events.iter().filter(answered).count(), limits::CLIENT_REQUESTS);
    assert!(world.agent.session.request(world.now_ms, list()).is_ok(), "there is room again");
}

#[test]
fn sends_wait_for_a_sync_where_too_many_own_messages_are_remembered() {
    for (remembered, goes) in [(limits::OWN_RECENT - 1, true), (limits::OWN_RECENT, false)] {
        let mut world = online();
        world.cut();
        let cursor = world.cursor().expect("a cursor");
        world.cluster.seq = cursor + remembered as u64;
        let own = (1..=remembered as u64).map(|n| Record::Gone(n.into(), cursor + n));
        world.start(config(&world.cluster), &own.collect::<Vec<_>>());
        world.send("bob", "one more", 1 << 64);
        let mut rounds = Rounds::new(10, "the client is logged in");
        while world.agent.session.state() != State::Connected {
            rounds.count();
            world.carry_up(usize::MAX);
            world.carry_down(usize::MAX);
        }
        world.carry_up(usize::MAX);
        assert_eq!(world.cluster.sends_seen.len(), usize::from(goes), "{remembered} remembered");
        world.calm();
        assert_eq!(world.cluster.log.len(), 1, "the sync has moved the cursor past them");
    }
}

#[test]
fn a_sync_moves_the_cursor_when_half_as_many_own_messages_are_remembered_as_may_be() {
    let mut world = acquainted();
    let cursor = world.cursor();
    for n in 1..=limits::OWN_RECENT as u128 / 2 {
        assert!(world.agent.session.is_synced(), "before the {n}th");
        world.send("bob", "x", n);
        world.carry_up(usize::MAX);
        world.carry_down(usize::MAX);
        assert_eq!(world.agent.session.waiting(), 0);
    }
    assert!(!world.agent.session.is_synced() && world.cursor() == cursor);
    let seq = world.cluster.seq;
    world.calm();
    assert_eq!(world.cursor(), Some(seq));
}

#[test]
fn who_follows_nothing_sends_however_much_was_sent_before() {
    let mut world = online();
    world.cut();
    let cursor = world.cursor().expect("a cursor");
    world.cluster.seq = cursor + limits::OWN_RECENT as u64;
    let own = (1..=limits::OWN_RECENT as u64).map(|n| Record::Gone(n.into(), cursor + n));
    let config = Config { follow: false, ..config(&world.cluster) };
    world.start(config, &own.collect::<Vec<_>>());
    world.send("bob", "one more", 1 << 64);
    for _ in 0..4 {
        world.carry_up(usize::MAX);
        world.carry_down(usize::MAX);
    }
    assert_eq!(world.agent.session.waiting(), 0, "it waits for no sync, since it asks for none");
    assert_eq!(world.cluster.log.len(), 1);
}

#[test]
fn a_full_outbox_refuses_by_bytes_too() {
    let mut world = online();
    world.drop_connection();
    let text = "long".repeat(15_000);
    let mut count = 0;
    let mut rounds = Rounds::new(limits::OUTBOX_MESSAGES as u64 + 1, "the outbox is full");
    while world.agent.session.has_room(1, text.len()) {
        rounds.count();
        count += 1;
        world.send("bob", &text, count);
    }
    assert_eq!(count as usize, limits::OUTBOX_BYTES / text.len());
    assert!(
        world.agent.session.has_room(1, limits::OUTBOX_BYTES % text.len()),
        "a short one still fits"
    );
    let more = world.agent.send(world.now_ms, vec![("bob".to_string(), text.clone())]);
    assert!(matches!(more, Err(NotTaken::Full)));
    world.calm();
    assert_eq!(world.cluster.log.len(), count as usize);
    assert!(world.agent.session.has_room(1, text.len()));
}

#[test]
fn what_lies_ready_for_a_socket_that_takes_nothing_is_bounded() {
    let mut world = acquainted();
    let text = ("bob".to_string(), "long".repeat(15_000));
    let texts = vec![text; limits::SEND_WINDOW];
    world.agent.send(world.now_ms, texts).expect("the outbox has room");
    let ready = world.agent.session.outgoing().len();
    let bound = limits::CLIENT_OUTPUT_BYTES;
    assert!((bound..bound + limits::BODY_BYTES).contains(&ready), "{ready}");
    world.calm();
    assert_eq!(world.cluster.log.len(), limits::SEND_WINDOW + 1, "with what bob has said");
}

#[test]
fn of_too_many_markers_that_wait_the_oldest_is_given_up() {
    let mut world = online();
    world.drop_connection();
    for number in 0..=limits::READ_MARKERS {
        world.agent.session.mark_read(world.now_ms, &format!("name{number}"), 1);
    }
    world.calm();
    assert_eq!(world.cluster.reads_seen.len(), limits::READ_MARKERS);
    assert_eq!(world.cluster.reads_seen[0].0, "name1");
}

#[test]
fn a_full_outbox_refuses_and_takes_again_when_there_is_room() {
    let mut world = online();
    world.drop_connection();
    let most = limits::OUTBOX_MESSAGES as u128;
    for n in 1..=most {
        world.send("bob", "x", n);
    }
    assert!(!world.agent.session.has_room(1, 1));
    world.calm();
    assert!(world.agent.session.has_room(1, 1));
}

#[test]
fn markers_of_one_conversation_are_told_together_and_again_after_a_lost_connection() {
    let mut world = online();
    for seq in 1..=100 {
        world.agent.session.mark_read(world.now_ms, "bob", seq);
    }
    world.drain();
    world.drop_connection();
    world.calm();
    assert_eq!(world.cluster.reads_seen, [("bob".to_string(), 100)]);
}

#[test]
fn a_server_that_stays_read_only_is_left_for_the_next_of_the_list() {
    let mut cluster = Cluster::new(1, 3);
    cluster.faults = false;
    let mut world = World::new(cluster);
    world.drain();
    world.calm();
    // It is none of the cluster's any more, or the others do not reach it.
    world.cluster.primary = 1;
    let mut status = push("server_status");
    status.body = "read-only: no majority of the servers is reachable".into();
    say(&mut world, &status);
    assert_eq!(world.agent.session.state(), State::ReadOnly);
    world.events.clear();
    // Nobody else knows better, as far as they answer.
    world.cluster.silent.extend([1, 2]);
    let since = world.now_ms;
    let mut rounds = Rounds::new(100, "it is left");
    while world.agent.session.address() == world.cluster.addresses[0] {
        rounds.count();
        world.pass_time(60_000);
    }
    assert_eq!(world.now_ms - since, READ_ONLY_MS);
    world.cluster.silent.clear();
    world.calm();
    assert_eq!(world.agent.session.address(), world.cluster.addresses[1]);
    assert_eq!(states(&world), [State::Electing, State::Connected], "it is not told as a loss");
}

#[test]
fn a_server_that_stays_read_only_is_kept_where_there_is_no_other() {
    let mut world = online();
    let mut status = push("server_status");
    status.body = "read-only: no majority of the servers is reachable".into();
    say(&mut world, &status);
    world.pass_time(READ_ONLY_MS + 1);
    assert_eq!(world.agent.session.state(), State::ReadOnly);
}

#[test]
fn retries_carry_the_seq_that_was_known_at_the_first_attempt() {
    let mut world = acquainted();
    let known = world.agent.session.known();
    world.send("bob", "x", 1);
    world.carry_up(usize::MAX);
    world.drop_connection();
    world.cluster.store("bob", "alice", 9, "later");
    world.calm();
    let attempt = ("x".to_string(), known);
    assert_eq!(world.attempts(1), [attempt.clone(), attempt]);
}

#[test]
fn what_waited_unsent_says_at_its_first_attempt_what_is_known_by_then() {
    let mut world = acquainted();
    world.drop_connection();
    let written = world.agent.session.known();
    world.send("bob", "x", 1);
    let later = world.cluster.store("bob", "alice", 9, "later").seq;
    assert!(later > written);
    world.calm();
    assert_eq!(world.attempts(1), [("x".to_string(), later)]);
    // An earlier run may have sent it: then all that was known is what was known when it was written.
    world.drop_connection();
    let known = world.agent.session.known();
    world.send("bob", "y", 2);
    world.cluster.store("bob", "alice", 10, "later still");
    world.restart();
    world.calm();
    assert_eq!(world.attempts(2), [("y".to_string(), known)]);
}

#[test]
fn a_login_that_a_read_only_server_refuses_is_tried_again_elsewhere() {
    let mut world = online();
    world.drop_connection();
    world.pass_time(60_000);
    let mut status = push("server_status");
    status.body = "read-only: no majority of the servers is reachable".into();
    say(&mut world, &status);
    status.body = "role BACKUP\nterm 1\nprimary ".into();
    say(&mut world, &status);
    let mut refused = push("resume");
    (refused.error, refused.body) = (true, "bad-token: it has expired or is void".into());
    say(&mut world, &refused);
    let told = |event: &Event| matches!(event, Event::LoginRefused(_) | Event::PasswordNeeded);
    assert!(!world.events.iter().any(told), "what it knows may be old: {:?}", world.events);
    assert!(world.agent.session.trouble().is_some_and(|why| why.contains("read-only")));
    world.calm();
    assert_eq!(world.agent.session.state(), State::Connected);
}

#[test]
fn a_login_to_a_server_without_a_majority_is_told_as_one() {
    let mut world = online();
    for read_only in [true, false, true] {
        world.events.clear();
        world.drop_connection();
        world.pass_time(60_000);
        if read_only {
            // The server says so before its first answer.
            let mut status = push("server_status");
            status.body = "read-only: no majority of the servers is reachable".into();
            say(&mut world, &status);
        }
        world.carry_up(usize::MAX);
        world.carry_down(usize::MAX);
        let told = world.events.iter().filter_map(|event| match event {
            Event::LoggedIn { read_only, .. } => Some(*read_only),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [read_only], "{:?}", world.events);
    }
}
