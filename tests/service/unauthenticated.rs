//! Connections that have not logged in: what one network may hold, and who makes way for a newcomer.

use chatctl::limits;
use chatctl::net::Key;
use chatctl::node::clients::Settings;
use chatctl::node::{Input, Port};

use super::world::{World, ip, settings};
use crate::support::raw_client::ask;

fn world(settings: Settings) -> World {
    let mut world = World::new(settings);
    world.add_accounts(&["alice".to_owned()]);
    world
}

#[test]
fn one_network_holds_no_more_than_its_share_and_its_oldest_makes_way() {
    let mut world = world(Settings { max_unauthenticated_per_address: 3, ..settings() });
    let session = world.session(ip(1), "alice");
    let keys: Vec<Key> = (0..3).map(|_| world.connect(ip(1))).collect();
    let other = world.connect(ip(2));
    world.turn();
    let newcomer = world.connect(ip(1));
    world.turn();
    let open: Vec<bool> = keys.iter().map(|key| world.clients().client(*key).is_some()).collect();
    assert_eq!(open, [false, true, true], "the oldest has made way");
    for key in [session, other, newcomer] {
        assert!(world.clients().client(key).is_some());
    }
    // Who logs in counts no more, who logs out does again, as the newest.
    world.ask(newcomer, &ask("login").src("alice").body(super::world::PASSWORD));
    world.connect(ip(1));
    assert_eq!(world.clients().connections(), 6);
    world.ask(newcomer, &ask("logoff"));
    world.turn();
    assert!(
        world.clients().client(keys[1]).is_none() && world.clients().client(newcomer).is_some()
    );
    world.pass(limits::COUNTED_MS);
    let line = "closed 2 connections without a login in 10 s, to make room for others; the last \
                was from 10.0.0.1";
    assert_eq!(world.lines, [line]);
}

#[test]
fn where_there_is_no_room_the_oldest_of_the_network_with_most_makes_way_and_never_a_session() {
    let mut world = World::with(settings(), |flags| flags.max_connections = 5, &[]);
    world.add_accounts(&["alice".to_owned()]);
    let session = world.session(ip(1), "alice");
    let honest = world.connect(ip(2));
    let flood: Vec<Key> = (0..3).map(|_| world.connect(ip(3))).collect();
    for (place, key) in flood[..2].iter().enumerate() {
        assert!(world.clients().client(*key).is_some());
        let newcomer = world.connect(ip(10 + place as u32));
        assert!(world.clients().client(*key).is_none(), "it makes way");
        assert!(world.clients().client(newcomer).is_some() && world.clients().connections() == 5);
    }
    for key in [session, honest, flood[2]] {
        assert!(world.clients().client(key).is_some());
    }
    assert!(!world.ask(session, &ask("list")).error, "a session is never closed for a newcomer");
}

#[test]
fn where_all_are_sessions_newcomers_wait_until_one_of_them_is_closed_and_it_is_told_once() {
    let mut world = World::with(settings(), |flags| flags.max_connections = 2, &[]);
    world.add_accounts(&["alice".to_owned()]);
    let sessions = [world.session(ip(1), "alice"), world.session(ip(2), "alice")];
    world.turn();
    world.lines.clear();
    for _ in 0..3 {
        assert!(!world.node.accepts(Port::Clients));
        world.turn();
    }
    assert_eq!(world.lines, ["2 connections are open; others wait until one is closed"]);
    world.hang_up(sessions[0]);
    world.turn();
    assert!(world.node.accepts(Port::Clients), "there is room");
}

#[test]
fn a_failed_accept_is_tried_again_after_a_moment() {
    let mut world = World::new(settings());
    world.node.handle(Input::AcceptFailed("too many open files".to_owned()));
    world.pass(limits::ACCEPT_AGAIN_MS - 1);
    assert!(!world.node.accepts(Port::Clients));
    assert_eq!(
        world.lines,
        ["cannot accept: too many open files; others wait until one is closed"]
    );
    world.pass(1);
    assert!(world.node.accepts(Port::Clients));
}

#[test]
fn so_many_are_accepted_in_a_turn_and_the_next_comes_at_once() {
    let mut world = World::new(settings());
    world.turn();
    for number in 0..limits::TURN_ACCEPTS as u32 {
        assert!(world.node.accepts(Port::Clients));
        world.connect(ip(number));
    }
    assert!(!world.node.accepts(Port::Clients));
    assert!(world.node.next_ms().is_some_and(|at_ms| at_ms <= world.now.monotonic_ms));
    world.turn();
    assert!(world.node.accepts(Port::Clients));
}
