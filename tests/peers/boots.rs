//! Starts of data directories: what a new one says waits until it is saved, and old copies are refused.

use chatctl::auth::hmac;
use chatctl::limits::{BOOTS, PEER_DIAL_MOST_MS, PEER_DIAL_REFUSED_MS, PEER_HELD_BYTES};
use chatctl::node::lines::Line;
use chatctl::node::lines::TraceLevel;
use chatctl::node::peers::handshake::{Dialing, Identity, put_refusal};
use chatctl::node::peers::mesh::{Event, Mesh, Settings, id_of};
use chatctl::node::peers::session::Block;
use chatctl::node::peers::wire::Reason;
use chatctl::raft::{Body, Entry, Known, Message, Outgoing, Payload};
use chatctl::wal::boots::{Boot, Boots, Met};

use super::{Net, settings};

/// The starts 1 to `newest`; start `n` has the id `id(n)`.
fn history(newest: u64, id: impl Fn(u64) -> u64) -> Boots {
    let mut boots = Boots::default();
    (1..=newest).for_each(|number| boots.begin(id(number)));
    boots
}

fn id(number: u64) -> u64 {
    500 + number
}

/// A server that has met start `number` of the directory in `place`.
fn has_met(settings: &mut Settings, place: u64, number: u64) {
    let boot = Boot { number, id: id(number) };
    settings.met.push(Met { incarnation: 100 + place, boot });
}

fn heartbeat(to: usize, round: u64) -> Outgoing {
    let message = Message { term: 2, body: Body::Heartbeat { round, commit: 1 } };
    Outgoing { to: id_of(to), message }
}

/// The heartbeats' rounds that came to the core of a server.
fn heard(net: &Net, place: usize) -> Vec<u64> {
    let round = |event: &Event| match event {
        Event::Raft(_, Message { body: Body::Heartbeat { round, .. }, .. }) => Some(*round),
        _ => None,
    };
    net.events[place].iter().filter_map(round).collect()
}

/// Who was told that its directory is an old copy, and by whom.
fn refused_by(net: &Net, place: usize) -> Option<&str> {
    net.events[place].iter().find_map(|event| match event {
        Event::OldCopy(by) => Some(by.as_str()),
        _ => None,
    })
}

/// Its disk takes what it met, and it goes on.
fn unstick(net: &mut Net, place: usize) {
    net.stuck.clear();
    net.write(place);
    net.settle();
}

#[test]
fn what_a_new_start_says_waits_until_it_is_saved_that_it_was_met() {
    let mut net = Net::new((0..2).map(|place| settings(place, 2)).collect());
    net.stuck = vec![1];
    net.settle();
    assert!(net.connected(0, 1) && net.connected(1, 0), "it is connected, and may be written to");
    assert!(!net.mesh(0).is_held(id_of(1)) && net.mesh(1).is_held(id_of(0)));
    net.mesh(0).send([heartbeat(1, 1), heartbeat(1, 2)]);
    net.mesh(0).tell_members(id_of(1), &Block::new(b"members".to_vec()));
    net.mesh(0).send([heartbeat(1, 3)]);
    net.settle();
    net.pass(1_000);
    assert!(net.events[1] == [Event::Up(id_of(0))], "nothing of it counts: {:?}", net.events[1]);
    assert!(net.mesh(1).standing(id_of(0)).is_none(), "how it stands neither");
    net.mesh(1).send([heartbeat(0, 9)]);
    net.settle();
    assert_eq!(heard(&net, 0), [9], "the other way nothing waits");
    unstick(&mut net, 1);
    assert_eq!(heard(&net, 1), [1, 2, 3], "in the order in which it was said");
    assert!(net.events[1].contains(&Event::Join(id_of(0), b"members".to_vec())));
    assert!(net.mesh(1).standing(id_of(0)).is_some());
    // Once it is saved, the same start waits no more.
    net.stuck = vec![1];
    let (dialer, key) = net.wires.pop().unwrap().ends[0];
    net.mesh(dialer).on_broken(key, "it is broken");
    net.pass(PEER_DIAL_MOST_MS);
    net.mesh(0).send([heartbeat(1, 4)]);
    net.settle();
    assert_eq!(heard(&net, 1), [1, 2, 3, 4]);
}

#[test]
fn what_waits_is_lost_with_its_connection_and_nothing_of_it_counts_later() {
    let mut net = Net::new((0..2).map(|place| settings(place, 2)).collect());
    net.stuck = vec![1];
    net.settle();
    net.mesh(0).send([heartbeat(1, 1)]);
    net.settle();
    net.routes[1] = None;
    net.mesh(0).stop();
    net.settle();
    assert_eq!(net.lost(1, 0), 1);
    unstick(&mut net, 1);
    assert_eq!(heard(&net, 1), []);
}

#[test]
fn a_slow_save_delays_only_the_peer_whose_start_is_new() {
    let mut b = settings(1, 3);
    b.met = vec![Met { incarnation: 100, boot: Boot { number: 1, id: 7 } }];
    let mut net = Net::new(vec![settings(0, 3), b, settings(2, 3)]);
    net.stuck = vec![1];
    net.settle();
    net.mesh(0).send([heartbeat(1, 1)]);
    net.mesh(2).send([heartbeat(1, 2), heartbeat(0, 3)]);
    net.settle();
    assert_eq!((heard(&net, 1), heard(&net, 0)), (vec![1], vec![3]));
    unstick(&mut net, 1);
    assert_eq!(heard(&net, 1), [1, 2]);
}

#[test]
fn what_waits_for_a_save_is_bounded_and_the_core_makes_up_for_what_is_dropped() {
    let mut net = Net::new((0..2).map(|place| settings(place, 2)).collect());
    net.stuck = vec![1];
    net.settle();
    let entry =
        |index| Entry { term: 2, index, payload: Payload::Command(vec![7; 100_000].into()) };
    for index in 1..40 {
        let entries = vec![entry(index)];
        let (known, prev_index) = (Known::default(), index - 1);
        let body = Body::Append { prev_index, prev_term: 2, known, commit: 0, entries };
        net.mesh(0).send([Outgoing { to: id_of(1), message: Message { term: 2, body } }]);
        net.settle();
    }
    unstick(&mut net, 1);
    let appends = net.events[1].iter().filter(|event| matches!(event, Event::Raft(..))).count();
    assert!(
        (PEER_HELD_BYTES / 100_200 - 1..=PEER_HELD_BYTES / 100_000).contains(&appends),
        "{appends}"
    );
    assert!(net.connected(1, 0), "messages alone do not end the connection");
    // What must not be lost ends it.
    let mut net = Net::new((0..2).map(|place| settings(place, 2)).collect());
    net.stuck = vec![1];
    net.settle();
    for _ in 0..=PEER_HELD_BYTES / 100_000 {
        net.mesh(0).tell_members(id_of(1), &Block::new(vec![0; 100_000]));
        net.settle();
    }
    assert!(net.told(1, "too many connections") && net.lost(1, 0) == 1, "{:?}", net.lines[1]);
}

/// The one in `old` has the history `said`, and the other has met start `known` of it.
fn pair(old: usize, said: Boots, known: u64) -> Net {
    let mut both = [settings(0, 2), settings(1, 2)];
    both[old].me.boots = said;
    has_met(&mut both[1 - old], old as u64, known);
    let mut net = Net::new(both.into());
    net.settle();
    net
}

/// Its history was `copied` long when it was copied, and it was started to `newest` since.
fn copy(copied: u64, newest: u64) -> Boots {
    history(newest, |number| if number <= copied { id(number) } else { 9_000 + number })
}

#[test]
fn an_old_copy_is_refused_on_both_sides_whoever_dials() {
    for old in 0..2 {
        let name = ["a", "b"][1 - old];
        for (what, said) in [
            ("a lower number", copy(3, 3)),
            ("a lower number, started since", copy(2, 4)),
            ("the same number with another id", copy(4, 5)),
            ("a higher number, and another id for the one that is known", copy(4, 9)),
        ] {
            let mut net = pair(old, said, 5);
            assert!(!net.connected(1 - old, old), "{what}");
            assert_eq!(refused_by(&net, old), Some(name), "{what}");
            assert_eq!(refused_by(&net, 1 - old), None, "{what}");
            assert!(net.told(1 - old, "refused: "), "{what}: {:?}", net.lines);
            assert!(net.told(1 - old, "old copy: its data directory was copied or rolled back"));
            // It comes back seldom, as others that are refused.
            net.mesh(old).send([heartbeat(1 - old, 1)]);
            net.settle();
            assert_eq!(heard(&net, 1 - old), [], "{what}: nothing that it says counts");
            let dials = net.dials;
            net.pass(PEER_DIAL_REFUSED_MS / 2 - 50);
            assert_eq!(net.dials, dials, "{what}");
        }
    }
}

#[test]
fn a_directory_that_was_started_since_is_let_in_however_often() {
    for (known, newest) in [(5, 5), (5, 6), (1, 16), (1, 17), (1, 18), (5, 100)] {
        let net = pair(0, history(newest, id), known);
        assert!(net.connected(0, 1) && net.connected(1, 0), "{known} met, now {newest}");
        let boot = Boot { number: newest, id: id(newest) };
        assert_eq!(net.meshes[1].boot_of(id_of(0)), Some(boot));
        assert_eq!(refused_by(&net, 0), None);
    }
    assert_eq!(BOOTS, 16, "the cases above are about this bound");
}

#[test]
fn a_new_directory_in_the_place_of_a_member_has_a_history_of_its_own() {
    let (a, mut b) = (settings(0, 2), settings(1, 2));
    let mut members = settings(0, 2).members;
    members[0].incarnation = Some(777);
    b.members = members;
    has_met(&mut b, 0, 9);
    let mut a = Settings { met: Vec::new(), ..a };
    a.me.incarnation = 777;
    a.members[0].incarnation = Some(777);
    let mut net = Net::new(vec![a, b]);
    net.settle();
    assert!(net.connected(0, 1) && net.connected(1, 0), "{:?}", net.lines);
    assert_eq!(net.meshes[1].met().len(), 2, "the old one would still be known");
}

#[test]
fn two_that_are_old_copies_to_each_other_both_learn_it() {
    let (mut a, mut b) = (settings(0, 2), settings(1, 2));
    (a.me.boots, b.me.boots) = (copy(2, 3), copy(2, 3));
    has_met(&mut a, 1, 3);
    has_met(&mut b, 0, 3);
    let mut net = Net::new(vec![a, b]);
    net.settle();
    assert_eq!((refused_by(&net, 0), refused_by(&net, 1)), (Some("b"), Some("a")));
    assert!(!net.connected(0, 1) && !net.connected(1, 0));
}

/// A directory is copied, and both are started: a knows the one that it met first.
#[test]
fn of_a_copied_directory_that_runs_twice_the_second_is_refused() {
    let (mut b, mut twin) = (settings(1, 2), settings(1, 2));
    (b.me.boots, twin.me.boots) = (history(5, id), copy(4, 5));
    let mut net = Net::new(vec![settings(0, 2), b, twin]);
    net.settle();
    assert!(net.connected(0, 1));
    // Its address leads to the other one.
    net.routes[1] = Some(2);
    net.mesh(1).stop();
    net.pass(PEER_DIAL_MOST_MS);
    assert!(!net.connected(0, 1) && refused_by(&net, 2) == Some("a"), "{:?}", net.lines);
    net.routes[1] = Some(1);
    net.pass(2 * PEER_DIAL_REFUSED_MS);
    assert!(net.connected(0, 1) && refused_by(&net, 1).is_none(), "the first comes back");
}

#[test]
fn a_copy_is_refused_though_the_connection_of_the_directory_stays() {
    let (mut a, mut twin) = (settings(0, 2), settings(0, 2));
    (a.me.boots, twin.me.boots) = (history(5, id), copy(4, 5));
    let mut net = Net::new(vec![a, settings(1, 2), twin]);
    net.settle();
    assert_eq!(refused_by(&net, 2), Some("b"));
    assert!(net.connected(0, 1) && net.connected(1, 0) && net.lost(1, 0) == 0);
}

/// Who has not proven the secret may say anything.
#[test]
fn a_refusal_without_proof_marks_nobody() {
    let mut net = Net::new((0..2).map(|place| settings(place, 2)).collect());
    let key = net.mesh(0).accept("h:9".into());
    let mut refusal = Vec::new();
    put_refusal(&mut refusal, Reason::OldCopy);
    net.mesh(0).receive(key, &refusal);
    net.settle();
    assert!(net.told(0, "old copy"), "{:?}", net.lines);
    assert_eq!(refused_by(&net, 0), None);
}

/// An old copy may know less of the others than they are: they are strangers to it.
#[test]
fn a_server_that_the_old_copy_does_not_know_yet_tells_it_too() {
    let (mut a, mut b) = (settings(0, 1), settings(1, 2));
    a.me.boots = copy(2, 3);
    has_met(&mut b, 0, 7);
    b.members[0].address = "h:0".into();
    let mut net = Net::new(vec![a, b]);
    net.pass(chatctl::limits::PEER_CALL_MS + 100);
    assert_eq!(refused_by(&net, 0), Some("b"), "{:?}", net.lines);
}

#[test]
fn the_line_of_a_refusal_is_an_error() {
    let mut b = settings(1, 2);
    has_met(&mut b, 0, 3);
    let mut b = Mesh::new(b, 0);
    let key = b.accept("h:0".into());
    let me = Identity { boots: copy(2, 3), ..settings(0, 2).me };
    let (mut hello, mut confirm) = (Vec::new(), Vec::new());
    let dialing = Dialing::new(&me, "b", [9; 32], &mut hello);
    b.receive(key, &hello);
    let welcome = crate::support::take_output(b.output(key).unwrap());
    dialing.on_welcome(&hmac::Key::new(&[1; 32]), &welcome[4..], &mut confirm).ok().unwrap();
    b.receive(key, &confirm);
    let is_error = |line: &Line| {
        line.level == TraceLevel::Error && line.text.contains("refused: a from h:0: old copy")
    };
    assert!(b.todo.tell.iter().any(is_error), "{:?}", b.todo.tell);
}
