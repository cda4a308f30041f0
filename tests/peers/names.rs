//! Servers that are listed by name: slow look-ups, names with dead addresses, names that move.

use std::net::SocketAddr;

use chatctl::limits::{
    PEER_ADDRESSES, PEER_CALL_MS, PEER_DIAL_MOST_MS, PEER_HANDSHAKE_MS, PEER_LOOKUP_AGAIN_MS,
    PEER_LOOKUP_SLOW_MS, PEER_PROBE_LOOKUP_MS, PEER_STAGGER_MS,
};
use chatctl::node::peers::mesh::{Event, id_of};

use super::{Answer, Net, address_of, members, settings};

fn net(count: usize) -> Net {
    Net::new((0..count).map(|place| settings(place, count)).collect())
}

fn found(after_ms: u64, addresses: &[SocketAddr]) -> Answer {
    Answer { after_ms, found: Ok(addresses.to_vec()) }
}

fn fails(after_ms: u64) -> Answer {
    Answer { after_ms, found: Err("no such name".to_owned()) }
}

/// An address where nobody ever is.
fn elsewhere(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 9, number], 7263))
}

/// Cuts the connection between the first two; both know.
fn cut(net: &mut Net) {
    let wire = net.wires.iter().position(|wire| {
        let mut ends = wire.ends.map(|(owner, _)| owner);
        ends.sort();
        ends == [0, 1]
    });
    for (owner, key) in net.wires.remove(wire.expect("they are connected")).ends {
        net.mesh(owner).on_broken(key, "it was cut");
    }
}

#[test]
fn a_name_with_a_dead_address_and_a_good_one_is_reached_at_the_good_one() {
    let mut net = net(2);
    net.silent = vec![elsewhere(1)];
    net.answers.insert("h:1".into(), found(0, &[elsewhere(1), address_of(1)]));
    net.pass(PEER_STAGGER_MS + 20);
    assert!(net.connected(0, 1) && net.connected(1, 0));
    // The dead one is given up without a word, and from now on the good one comes first.
    net.pass(2 * PEER_HANDSHAKE_MS);
    assert_eq!((net.lost(0, 1), net.dials), (0, 2));
    cut(&mut net);
    let before = net.dials;
    net.pass(PEER_DIAL_MOST_MS);
    assert!(net.connected(0, 1));
    assert_eq!(net.dials - before, 1);
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next_at_once() {
    let mut net = net(2);
    net.answers.insert("h:1".into(), found(0, &[elsewhere(1), elsewhere(2), address_of(1)]));
    net.settle();
    assert!(net.connected(0, 1));
}

#[test]
fn all_addresses_of_a_name_are_tried_within_one_time_and_no_more_than_the_bound() {
    let mut net = net(2);
    net.silent = (0..20).map(elsewhere).collect();
    net.answers.insert("h:1".into(), found(0, &net.silent.clone()));
    net.pass(PEER_HANDSHAKE_MS - 100);
    assert_eq!(net.dials, PEER_ADDRESSES, "each once");
    // One that is found while the round goes on is tried in the next.
    net.answers.insert("h:1".into(), found(0, &[elsewhere(1), address_of(1)]));
    net.pass(PEER_HANDSHAKE_MS + PEER_LOOKUP_AGAIN_MS);
    assert!(net.connected(0, 1));
}

#[test]
fn a_slow_name_delays_nobody_else() {
    let mut net = net(3);
    net.answers.insert("h:0".into(), found(300_000, &[address_of(0)]));
    net.routes[0] = None;
    net.pass(50);
    assert!(net.connected(1, 2) && net.connected(2, 1));
    for _ in 0..5 {
        let wire = net.wires.pop().expect("they are connected");
        for (owner, key) in wire.ends {
            net.mesh(owner).on_broken(key, "it was cut");
        }
        net.pass(PEER_DIAL_MOST_MS + 10);
        assert!(net.connected(1, 2) && net.connected(2, 1), "it comes back at once");
    }
}

#[test]
fn look_ups_that_take_longer_than_a_handshake_break_nothing_and_connect_in_the_end() {
    let mut net = net(3);
    for place in 0..3 {
        net.answers.insert(format!("h:{place}"), found(2_000, &[address_of(place)]));
    }
    net.pass(2_050);
    let all = [(0, 1), (0, 2), (1, 2)];
    assert!(all.iter().all(|&(one, other)| net.connected(one, other)), "once they are found");
    net.pass(60_000);
    for (one, other) in all {
        assert_eq!((net.lost(one, other), net.lost(other, one)), (0, 0));
    }
    assert_eq!(net.dials, 3);
}

#[test]
fn the_last_good_address_is_tried_at_once_though_look_ups_fail_or_take_for_ever() {
    for answer in [fails(0), fails(2_000), found(300_000, &[address_of(1)]), found(0, &[])] {
        let mut net = net(2);
        net.settle();
        net.answers.insert("h:1".into(), answer);
        for _ in 0..3 {
            cut(&mut net);
            // Long enough that an answer has come in between.
            net.routes[1] = None;
            net.pass(3 * PEER_LOOKUP_AGAIN_MS);
            assert!(!net.connected(0, 1));
            net.routes[1] = Some(1);
            net.pass(PEER_DIAL_MOST_MS + 10);
            assert!(net.connected(0, 1) && net.connected(1, 0));
        }
    }
}

#[test]
fn a_server_that_finds_nobody_is_called_by_those_that_it_should_dial() {
    for answer in [fails(0), found(300_000, &[address_of(1)])] {
        let mut net = net(2);
        net.answers.insert("h:1".into(), answer);
        net.pass(PEER_CALL_MS - 10);
        assert!(!net.connected(0, 1), "the first dials, and knows no address");
        net.pass(20);
        assert!(net.connected(0, 1) && net.connected(1, 0));
        // After a loss the other waits as long, and the longest wait between two attempts too. A
        // server that starts knows no address: the list is set twice to forget what was found.
        cut(&mut net);
        net.mesh(0).set_members(members(1));
        net.mesh(0).set_members(members(2));
        net.pass(PEER_CALL_MS + PEER_DIAL_MOST_MS + 10);
        assert!(net.connected(0, 1) && net.connected(1, 0));
    }
}

#[test]
fn a_server_that_has_moved_is_found_at_its_new_address() {
    let mut net = net(2);
    net.settle();
    // At the old address nothing answers any more: neither yes nor no.
    net.silent = vec![address_of(1)];
    net.answers.insert("h:1".into(), found(0, &[address_of(7)]));
    net.routes.resize(8, None);
    net.routes[7] = Some(1);
    cut(&mut net);
    net.pass(PEER_DIAL_MOST_MS + PEER_STAGGER_MS + PEER_LOOKUP_AGAIN_MS);
    assert!(net.connected(0, 1), "{:?}", net.lines);
}

#[test]
fn an_address_that_another_server_has_now_does_not_keep_the_right_one_away() {
    let mut net = net(3);
    net.settle();
    // b has moved; where it was, c answers.
    net.routes.resize(8, None);
    (net.routes[1], net.routes[7]) = (Some(2), Some(1));
    net.answers.insert("h:1".into(), found(0, &[address_of(7)]));
    cut(&mut net);
    net.pass(PEER_DIAL_MOST_MS + PEER_STAGGER_MS + PEER_LOOKUP_AGAIN_MS);
    assert!(net.connected(0, 1), "{:?}", net.lines);
    assert!(net.connected(0, 2) && net.connected(1, 2));
}

#[test]
fn a_name_is_looked_up_now_and_then_while_its_server_is_away_and_not_while_it_is_there() {
    let mut net = net(2);
    net.settle();
    net.pass(60_000);
    assert_eq!(net.asked, 2, "each asks for the other's name once");
    net.routes = vec![None, None];
    net.mesh(1).stop();
    net.settle();
    let before = net.asked;
    net.pass(20 * PEER_LOOKUP_AGAIN_MS);
    let asked = net.asked - before;
    assert!((10..=42).contains(&asked), "{asked}: neither a storm nor a pause");
}

#[test]
fn what_is_wrong_with_a_name_is_told_once_and_so_is_its_end() {
    let mut net = net(2);
    // b does not reach a either, or it would be there by itself.
    net.routes[0] = None;
    net.answers.insert("h:1".into(), found(120_000, &[address_of(1)]));
    net.pass(PEER_LOOKUP_SLOW_MS + 20);
    assert!(net.told(0, "not connected to b at h:1: cannot look up its name: no answer for 2 s"));
    net.pass(60_000);
    assert_eq!(net.lines[0].len(), 1, "{:?}", net.lines[0]);
    net.answers.insert("h:1".into(), fails(0));
    net.pass(60_000);
    assert!(net.told(0, "not connected to b at h:1: cannot look up its name: no such name"));
    net.pass(60_000);
    assert_eq!(net.lines[0].len(), 2, "{:?}", net.lines[0]);
    net.answers.remove("h:1");
    net.pass(2 * PEER_LOOKUP_AGAIN_MS);
    assert!(net.told(0, "the address h:1 of b is now 10.0.0.2:7263"), "{:?}", net.lines[0]);
    assert!(net.connected(0, 1));
}

fn probed(net: &Net) -> Option<Result<String, String>> {
    net.events[0].iter().find_map(|event| match event {
        Event::Probed(address, found) if address == "h:1" => {
            Some(found.as_ref().map(|identity| identity.name.clone()).map_err(String::clone))
        }
        _ => None,
    })
}

#[test]
fn whoever_answers_at_a_name_is_found_at_any_of_its_addresses() {
    let mut net = net(2);
    net.meshes[0].set_members(settings(0, 1).members);
    net.silent = vec![elsewhere(1)];
    net.answers.insert("h:1".into(), found(2_000, &[elsewhere(1), elsewhere(2), address_of(1)]));
    net.mesh(0).probe("b".into(), "h:1".into());
    net.pass(2_000 + PEER_STAGGER_MS + 20);
    assert_eq!(probed(&net), Some(Ok("b".to_owned())));
    net.pass(3 * PEER_HANDSHAKE_MS);
    let answers = net.events[0].iter().filter(|event| matches!(event, Event::Probed(..))).count();
    assert_eq!(answers, 1, "one answer to one question");
    assert!(!net.connected(0, 1) && net.events[0].iter().all(|e| *e != Event::Up(id_of(1))));
}

#[test]
fn it_is_said_why_nobody_answers_at_a_name() {
    for (answer, why) in [
        (fails(0), "cannot look up its name: no such name"),
        (found(60_000, &[address_of(1)]), "looking up its name timed out"),
        (found(0, &[elsewhere(2)]), "nobody is there"),
        (found(0, &[elsewhere(1)]), "timed out"),
    ] {
        let mut net = net(2);
        net.meshes[0].set_members(settings(0, 1).members);
        net.silent = vec![elsewhere(1)];
        net.answers.insert("h:1".into(), answer);
        net.mesh(0).probe("b".into(), "h:1".into());
        net.pass(PEER_PROBE_LOOKUP_MS + PEER_HANDSHAKE_MS);
        let error = probed(&net).expect("an answer").expect_err("nobody answers");
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn a_loopback_address_beside_others_is_warned_of_once_they_are_known() {
    let mut net = net(3);
    net.answers.insert("h:1".into(), found(1_000, &[address_of(1)]));
    net.answers.insert("h:2".into(), found(1_000, &["127.0.1.1:7263".parse().unwrap()]));
    net.mesh(0).set_listening(vec!["127.0.0.1:7263".parse().unwrap()]);
    net.settle();
    assert!(!net.told(0, "loopback"), "nothing is known of the others yet");
    net.pass(10_000);
    let lines = net.lines[0].iter().filter(|line| line.contains("loopback")).count();
    assert_eq!(lines, 1, "{:?}", net.lines[0]);
    assert!(net.told(0, "the address h:0 of a is 127.0.0.1:7263 on this machine"));
    // The same again, however often the addresses are looked at.
    net.answers.insert("h:1".into(), found(0, &[address_of(1), elsewhere(1)]));
    net.mesh(0).set_members(members(3));
    cut(&mut net);
    net.pass(60_000);
    let lines = net.lines[0].iter().filter(|line| line.contains("loopback")).count();
    assert_eq!(lines, 1, "it is told once: {:?}", net.lines[0]);
}
