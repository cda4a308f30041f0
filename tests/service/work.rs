//! One client cannot take the server from the others: whatever is asked, and however much of it,
//! somebody who asks for little is answered after a bounded amount of work.
//!
//! Every request of the table has its worst case in [`worst_of`], which does not compile without one.
//! [`crate::service::world`] holds every visit and every turn against their bounds.

use std::time::Duration;

use chatctl::chat::Command;
use chatctl::limits;
use chatctl::net::Key;
use chatctl::node::clients::{Request, TABLE};
use chatctl::protocol::framing::{self, Codec, Form};

use super::world::{LAST_REQUEST, PASSWORD, World, accounts, ip, payload, settings};
use crate::support::cpu_of_this_thread;
use crate::support::raw_client::{Ask, ask, id};

/// Accounts whose names a pattern takes long for.
const ACCOUNTS: usize = 5_000;
/// Conversations of the account that the hostile sessions are of.
const CONVERSATIONS: usize = 1_000;
/// Messages with the same id, of as many senders, and how many such ids there are.
const SAME_ID: usize = 20;
const IDS: usize = 1_000;
/// Sessions that flood: one visit to each takes several turns' work.
const HOSTILE: usize = 100;

fn name(number: usize) -> String {
    // As long as may be, and alike up to the end.
    format!("{}{number:06}", "a".repeat(limits::NAME_BYTES - 6))
}

/// A server with what makes requests expensive.
fn rich_world() -> World {
    let mut names: Vec<String> = (0..ACCOUNTS).map(name).collect();
    names.extend(["hostile", "doomed", "honest"].map(str::to_owned));
    let mut log = accounts(&names);
    let send = |from: &'static str, to: &'static str, id: u128| Command::Send {
        time: 1,
        from,
        to,
        id,
        known: 0,
        body: "a message",
    };
    let names: Vec<&'static str> = names.into_iter().map(|name| &*name.leak()).collect();
    let mut sends: Vec<Command<'static>> = Vec::new();
    for (number, name) in names[..CONVERSATIONS].iter().enumerate() {
        sends.push(send(name, "hostile", 1 << 64 | number as u128));
        sends.push(send("hostile", "hostile", 1 << 65 | number as u128));
    }
    // Others have used the ids that are to be deleted, too.
    for id in 0..IDS as u128 {
        sends.push(send("hostile", "honest", id));
        let others = (0..SAME_ID).map(|number| send(names[number], names[number + 1], id));
        sends.extend(others);
    }
    log.extend(sends.iter().map(payload));
    World::with(settings(), |_| {}, &log)
}

/// The most expensive way to ask this, for a session of `hostile`.
fn worst_of(request: Request) -> Ask {
    let pattern = format!("*{}b", "a".repeat(16));
    let ids: Vec<String> = (0..IDS as u128).map(id).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    match request {
        Request::Create => ask("create").src(&name(1)).body("wrong"),
        Request::Login => ask("login").src("nobody").body("wrong"),
        Request::Token => ask("token"),
        Request::Resume => ask("resume").src("hostile").body("v1.1.AAAA"),
        Request::Logoff => ask("logoff"),
        Request::List => ask("list").body(&pattern),
        Request::Who => ask("who").body(&pattern),
        Request::Watch => {
            let names: Vec<String> = (0..limits::WATCHED_NAMES).map(name).collect();
            ask("watch").body(&names.join(","))
        }
        Request::Send => ask("send").to("honest").body("x"),
        Request::Deliver => ask("deliver"),
        Request::History => ask("history").limit(1_000),
        Request::Sync => ask("sync").limit(1_000),
        Request::Inbox => ask("inbox"),
        Request::Read => ask("read").to(&name(1)).seq(u64::MAX),
        // Of somebody who has nothing of them, so that it can be asked again.
        Request::DeleteMsgs => ask("delete_msgs").to("hostile").ids(&ids),
        Request::Passwd => ask("passwd").body(PASSWORD),
        Request::Delete => ask("delete"),
        Request::Ping => ask("ping"),
        Request::ServerStatus => ask("server_status"),
    }
}

fn frame(request: &Ask) -> Vec<u8> {
    let mut bytes = Vec::new();
    framing::put(&mut bytes, Form::Frames, Codec::Json, request);
    bytes
}

/// What can be written besides requests.
fn other_floods() -> Vec<(&'static str, Vec<u8>)> {
    let mut padded = b"\0\x0f\xff\xf0{\"cmd\": \"list\"".to_vec();
    padded.resize(4 + 0xffff0 - 1, b' ');
    padded.push(b'}');
    vec![
        ("frames that end too early", b"\0\0\0\x06\x04ping\x09".to_vec()),
        ("empty frames", vec![0; 4]),
        ("what is no request", frame(&ask("nonsense"))),
        ("blank lines", b"\n".repeat(1_000)),
        ("lines that are no JSON", b"{\n".repeat(1_000)),
        ("a mebibyte of spaces", padded),
    ]
}

/// The account whose sessions ask this.
fn asker_of(request: Request) -> &'static str {
    if request == Request::Delete { "doomed" } else { "hostile" }
}

/// Turns until the session's ping is answered.
fn turns_to_answer(world: &mut World, honest: Key, what: &str) -> u64 {
    world.write(honest, &ask("ping"));
    for turns in 1..100 {
        world.turn();
        // What is pushed to it stands before the answer.
        while let Some(message) = world.read(honest) {
            if message.cmd == "ping" {
                return turns;
            }
        }
    }
    panic!("{what}: a ping is not answered in a hundred turns");
}

/// While these connections flood an honest ping has to be answered in the turn in which it comes, or
/// in the next, and the work that is done before is bounded. The world holds each turn against its
/// own bound.
fn expect_honest_ping(world: &mut World, hostile: &[Key], honest: Key, what: &str) {
    let work = |world: &World| hostile.iter().map(|key| world.clients().work_of(*key)).sum::<u64>();
    for round in 0..6 {
        if round == 1 {
            // Who floods is known by then, whatever became of what was asked first.
            (0..40).for_each(|_| world.turn());
        }
        let before = work(world);
        let turns = turns_to_answer(world, honest, what);
        // When a flood begins nobody knows that it is one: then everybody is served in turn.
        let first = HOSTILE as u64 * (limits::VISIT_WORK + LAST_REQUEST) / limits::TURN_WORK + 2;
        let most = if round == 0 { first } else { 1 };
        assert!(turns <= most, "{what}: round {round}: answered after {turns} turns");
        let work = work(world).saturating_sub(before);
        let most = limits::TURN_WORK + limits::TURN_REST_WORK + 2 * LAST_REQUEST;
        assert!(work <= turns * most, "{what}: {work} units of work before the answer");
    }
}

#[test]
fn one_ping_among_a_hundred_floods_is_answered_after_a_bounded_work_whatever_they_ask() {
    let mut world = rich_world();
    let honest = world.session(ip(1), "honest");
    let mut floods: Vec<(&str, Vec<u8>, Option<&str>)> = TABLE
        .iter()
        .map(|row| (row.cmd, frame(&worst_of(row.request)), Some(asker_of(row.request))))
        .collect();
    floods.extend(other_floods().into_iter().map(|(what, bytes)| (what, bytes, None)));
    for (what, bytes, asker) in floods {
        let keys: Vec<Key> = (0..HOSTILE as u32)
            .map(|number| match asker {
                Some(name) => world.session(ip(100 + number), name),
                None => world.connect(ip(100 + number)),
            })
            .collect();
        keys.iter().for_each(|key| world.flood(*key, &bytes));
        expect_honest_ping(&mut world, &keys, honest, what);
        world.hang_up_all(&keys);
        world.settle();
    }
}

#[test]
fn who_asks_for_much_one_request_at_a_time_is_served_behind_those_who_do_not() {
    let mut world = rich_world();
    let honest = world.session(ip(1), "honest");
    let request = worst_of(Request::List);
    let keys: Vec<Key> =
        (0..HOSTILE as u32).map(|number| world.session(ip(100 + number), "hostile")).collect();
    keys.iter().for_each(|key| world.write(*key, &request));
    for round in 0..200 {
        let turns = turns_to_answer(&mut world, honest, "one list at a time");
        assert!(turns <= if round == 0 { 50 } else { 1 }, "{round}: after {turns} turns");
        for key in &keys {
            if world.read(*key).is_some() {
                world.write(*key, &request);
            }
        }
    }
}

#[test]
fn all_of_a_flood_is_answered_in_its_order_in_the_end() {
    let mut world = rich_world();
    let key = world.session(ip(1), "hostile");
    let requests: Vec<Request> =
        [Request::List, Request::Sync, Request::DeleteMsgs, Request::Inbox].repeat(10);
    requests.iter().for_each(|request| world.write(key, &worst_of(*request)));
    for request in requests {
        let row = TABLE.iter().find(|row| row.request == request).expect("it has all");
        let reply = loop {
            let message = world.reply(key);
            // Frames before the last of an answer count down.
            if !["deliver", "taken_back", "read_moved"].contains(&message.cmd.as_ref()) {
                break message;
            }
        };
        assert_eq!((reply.cmd.as_ref(), reply.error), (row.cmd, false), "{reply:?}");
    }
}

#[test]
fn a_page_of_names_ends_where_the_pattern_has_cost_enough_and_the_cursor_brings_all() {
    let mut world = rich_world();
    let key = world.session(ip(1), "honest");
    let (mut found, mut after, mut pages) = (0, String::new(), 0);
    loop {
        // Much of the name is tried from each of its places on, and only the last one matches.
        let request = ask("list").body(&format!("*{}004999", "a".repeat(16))).to(&after);
        let before = world.clients().work_of(key);
        let reply = world.ask(key, &request);
        let work = world.clients().work_of(key) - before;
        assert!(work < limits::LIST_WORK + 50_000, "{work} units of work");
        found += usize::from(reply.limit);
        pages += 1;
        after = reply.to.into_owned();
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(found, 1);
    assert!(pages > 3, "no page ended early: {pages}");
}

#[test]
fn what_a_request_is_charged_covers_the_time_that_it_takes() {
    let mut world = rich_world();
    for row in &TABLE {
        let key = world.session(ip(1), asker_of(row.request));
        world.flood(key, &frame(&worst_of(row.request)));
        // The best of several turns: others use this machine as well.
        let mut best: Option<(f64, Duration, u64)> = None;
        for _ in 0..8 {
            let before = world.clients().work_of(key);
            let started = cpu_of_this_thread();
            world.visit();
            let time = cpu_of_this_thread().saturating_sub(started);
            let work = world.clients().work_of(key) - before;
            world.finish_turn();
            let rate = time.saturating_sub(Duration::from_millis(1)).as_nanos() as f64
                / work.max(1) as f64;
            if best.is_none_or(|(least, ..)| rate < least) {
                best = Some((rate, time, work));
            }
        }
        let (rate, time, work) = best.expect("there were turns");
        assert!(
            rate < NANOSECONDS_A_UNIT,
            "{}: {work} units of work took {time:?}: what it walks through has to be charged",
            row.cmd
        );
        world.hang_up(key);
        world.settle();
    }
}

/// Far more than a unit takes, also without optimization, and far less than what is not charged.
const NANOSECONDS_A_UNIT: f64 = 100.0;

#[test]
fn applying_much_is_spread_over_turns_and_others_are_answered_meanwhile() {
    let mut world = World::new(settings());
    let names = ["hostile", "honest", "other"].map(str::to_owned);
    world.add_accounts(&names);
    let key = world.session(ip(2), "hostile");
    let honest = world.session(ip(1), "honest");
    let others: Vec<Key> = (0..500).map(|number| world.session(ip(9 + number), "other")).collect();
    others.iter().for_each(|key| world.flood(*key, b""));
    // Each is pushed to five hundred sessions.
    let sends = frame(&ask("send").to("other").body(&"x".repeat(1_000))).repeat(1_000);
    world.write_raw(key, &sends);
    let (mut waited, mut seen) = (0, 0);
    for _ in 0..200 {
        assert_eq!(turns_to_answer(&mut world, honest, "much to apply"), 1);
        waited += u64::from(world.replica().has_to_apply());
        while world.read(key).is_some() {
            seen += 1;
        }
    }
    assert!(waited > 3, "it was applied in one turn, or never");
    assert_eq!(seen, 1_000, "and all of it was");
}
