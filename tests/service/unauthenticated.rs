//! Connections that have not logged in: what one network may hold, and who makes way for a newcomer.

use chatctl::limits;
use chatctl::net::Key;
use chatctl::server::service::Settings;

use super::world::{World, ip, settings};
use crate::support::raw_client::ask;

fn world(settings: Settings) -> World {
    let mut world = World::new(settings);
    world.add_accounts(&["alice".to_owned()]);
    world
}

/// As the loop makes way for a newcomer where the table is full.
fn make_way(world: &mut World) -> Option<Key> {
    let key = world.service.make_way()?;
    world.hang_up(key);
    Some(key)
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
    let open: Vec<bool> = keys.iter().map(|key| world.service.client(*key).is_some()).collect();
    assert_eq!(open, [false, true, true], "the oldest has made way");
    for key in [session, other, newcomer] {
        assert!(world.service.client(key).is_some());
    }
    // Who logs in counts no more, who logs out does again, as the newest.
    world.ask(newcomer, &ask("login").src("alice").body(super::world::PASSWORD));
    world.connect(ip(1));
    assert_eq!(world.service.connections(), 6);
    world.ask(newcomer, &ask("logoff"));
    world.turn();
    assert!(world.service.client(keys[1]).is_none() && world.service.client(newcomer).is_some());
    world.pass(limits::COUNTED_MS);
    let line = "closed 2 connections without a login in 10 s, to make room for others; the last \
                was from 10.0.0.1";
    assert_eq!(world.lines, [line]);
}

#[test]
fn where_there_is_no_room_the_oldest_of_the_network_with_most_makes_way_and_never_a_session() {
    let mut world = world(settings());
    let session = world.session(ip(1), "alice");
    let honest = world.connect(ip(2));
    let flood: Vec<Key> = (0..3).map(|_| world.connect(ip(3))).collect();
    assert_eq!(make_way(&mut world), Some(flood[0]));
    assert_eq!(make_way(&mut world), Some(flood[1]));
    assert!(make_way(&mut world).is_some() && make_way(&mut world).is_some());
    assert!(!world.service.can_make_way() && make_way(&mut world).is_none());
    assert!(world.service.client(honest).is_none());
    assert!(!world.ask(session, &ask("list")).error, "a session is never closed for a newcomer");
}
