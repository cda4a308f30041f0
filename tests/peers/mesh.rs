//! Who is connected, who is refused, what is bounded.

use chatctl::auth::hmac;
use chatctl::limits::{
    FOLD_FREE, LOCAL_OPERATORS, PEER_CALL_MS, PEER_DIAL_MOST_MS, PEER_FRAME_BYTES,
    PEER_HANDSHAKE_BYTES, PEER_HANDSHAKE_MS, PEER_OPERATORS, PEER_OUTPUT_BYTES, PEER_READ_BYTES,
    PEER_STRANGERS, PEER_UNPROVEN,
};
use chatctl::net::Key;
use chatctl::node::lines::Folder;
use chatctl::node::peers::handshake::{self, Accepting, Dialing, Identity, Kind, Session};
use chatctl::node::peers::mesh::{Event, Mesh, id_of};
use chatctl::node::peers::session::Block;
use chatctl::node::peers::wire::{Frame, Reason, put_head};
use chatctl::node::status::line_of;
use chatctl::raft::{Body, Entry, Known, Message, Outgoing, Payload, Role, RoleChange, Why};

use super::{Net, SILENCE_MS, settings};

fn append(to: usize, count: u64, bytes: usize) -> Outgoing {
    let entry = |index| Entry {
        term: 2,
        index,
        payload: Payload::Command(vec![index as u8; bytes].into()),
    };
    let entries = (1..=count).map(entry).collect();
    let body = Body::Append {
        prev_index: 0,
        prev_term: 0,
        known: Known::default(),
        commit: to as u64,
        entries,
    };
    Outgoing { to: id_of(to), message: Message { term: 2, body } }
}

#[test]
fn all_are_connected_once_and_know_how_the_others_stand() {
    let net = Net::sound(5);
    assert_eq!(net.wires.len(), 5 * 4 / 2);
    for (one, other) in (0..5).flat_map(|one| (0..5).map(move |other| (one, other))) {
        if one != other {
            assert!(net.connected(one, other));
            let (about, incarnation) = net.meshes[one].standing(id_of(other)).unwrap();
            assert_eq!(about.client_address, format!("client:{other}"));
            assert_eq!(incarnation, 100 + other as u64);
        }
    }
}

#[test]
fn messages_come_as_they_were_sent_and_in_their_order() {
    let mut net = Net::sound(3);
    net.events.iter_mut().for_each(|events| events.clear());
    let heartbeat = |round| Message { term: 2, body: Body::Heartbeat { round, commit: 1 } };
    let appends = [append(1, 3, 5), append(2, 3, 5), append(1, 0, 0), append(2, 2, 100_000)];
    net.mesh(0).send(appends.clone());
    net.mesh(0).send([Outgoing { to: id_of(1), message: heartbeat(7) }]);
    net.settle();
    let [first, second, third, fourth] = appends.map(|outgoing| outgoing.message);
    let from = |message| Event::Raft(id_of(0), message);
    assert!(net.events[1] == [from(first), from(third), from(heartbeat(7))]);
    assert!(net.events[2] == [from(second), from(fourth)]);
}

#[test]
fn a_peer_is_lost_when_its_connection_is_closed_and_dialled_until_it_is_back() {
    let mut net = Net::sound(2);
    net.routes[1] = None;
    net.mesh(1).stop();
    net.settle();
    assert_eq!((net.lost(0, 1), net.connected(0, 1)), (1, false));
    let before = net.dials;
    net.pass(10 * PEER_DIAL_MOST_MS);
    let dials = (net.dials - before) as u64;
    assert!((10..=40).contains(&dials), "{dials}: neither a storm nor a pause");
    net.routes[1] = Some(1);
    net.pass(PEER_DIAL_MOST_MS);
    assert!(net.connected(0, 1) && net.connected(1, 0));
    assert_eq!(net.lost(0, 1), 1);
}

#[test]
fn a_newer_connection_takes_the_place_of_one_whose_end_was_not_heard_of() {
    let mut net = Net::sound(2);
    // The dialer's side breaks; the other hears nothing of it, as when the line was cut.
    let wire = net.wires.pop().unwrap();
    let (dialer, key) = wire.ends[0];
    assert_eq!(dialer, 0);
    net.mesh(0).on_broken(key, "it is broken");
    net.pass(PEER_DIAL_MOST_MS);
    assert!(net.connected(0, 1) && net.connected(1, 0));
    assert_eq!((net.lost(0, 1), net.lost(1, 0)), (1, 0), "for the other it was never lost");
}

#[test]
fn a_silent_connection_is_closed_and_pings_keep_one_that_has_nothing_to_say() {
    let mut net = Net::sound(2);
    net.pass(10 * SILENCE_MS);
    assert_eq!((net.lost(0, 1), net.dials), (0, 1));
    // Nothing goes through any more, and nobody is told.
    net.wires.clear();
    net.routes[1] = None;
    net.pass(SILENCE_MS + 20);
    assert_eq!((net.lost(0, 1), net.lost(1, 0)), (1, 1));
    assert!(net.told(0, "silent for too long"), "{:?}", net.lines);
}

/// Both sides tell why, and neither is connected.
fn refused(change: impl Fn(&mut chatctl::node::peers::mesh::Settings), text: &str) -> Net {
    let (a, mut b) = (settings(0, 2), settings(1, 2));
    change(&mut b);
    let mut net = Net::new(vec![a, b]);
    // One who might have news is heard for a moment.
    net.pass(PEER_HANDSHAKE_MS + 100);
    assert!(!net.connected(0, 1) && !net.connected(1, 0), "{text}");
    for place in 0..2 {
        assert!(net.told(place, text), "{text}: {:?}", net.lines[place]);
    }
    net
}

#[test]
fn the_wrong_one_is_refused_with_a_line_that_says_which() {
    refused(|b| b.secret = hmac::Key::new(&[2; 32]), "wrong secret");
    refused(|b| b.me.cluster = [6; 16], "wrong cluster");
    refused(|b| b.me.incarnation = 999, "wrong incarnation");
    // Under this address another server answers.
    let mut net = Net::new((0..3).map(|place| settings(place, 3)).collect());
    net.routes[1] = Some(2);
    net.settle();
    assert!(!net.connected(0, 1) && net.connected(0, 2));
    assert!(net.told(0, "wrong id"), "{:?}", net.lines);
    // One of another name.
    let mut stranger = settings(1, 3);
    stranger.members[2].name = "x".into();
    stranger.me.name = "x".into();
    let mut net = Net::new(vec![settings(0, 2), stranger]);
    net.pass(PEER_HANDSHAKE_MS + 100);
    assert!(net.told(0, "wrong id"), "{:?}", net.lines);
}

/// The second has another directory than the first knows, which is the one that counts now.
fn replaced() -> (Net, Key) {
    let mut b = settings(1, 2);
    b.me.incarnation = 999;
    b.members[1].incarnation = Some(999);
    let mut net = Net::new(vec![settings(0, 2), b]);
    net.settle();
    assert!(!net.connected(0, 1) && net.connected(1, 0));
    net.mesh(1).send([append(0, 1, 1)]);
    net.mesh(1).tell_members(id_of(0), &Block::new(b"news".to_vec()));
    net.settle();
    match net.events[0].make_contiguous() {
        [Event::Told(key, news)] if news == b"news" => {
            let key = *key;
            (net, key)
        }
        other => panic!("a stranger tells who the members are, and nothing else: {other:?}"),
    }
}

#[test]
fn a_stranger_that_has_news_is_a_peer_from_then_on() {
    let (mut net, key) = replaced();
    let mut members = settings(0, 2).members;
    members[1].incarnation = Some(999);
    net.mesh(0).set_members(members);
    net.mesh(0).dismiss(key);
    net.pass(PEER_DIAL_MOST_MS);
    assert!(net.connected(0, 1) && net.connected(1, 0));
    assert!(!net.told(1, "refuses"), "{:?}", net.lines);
}

#[test]
fn a_stranger_that_has_none_is_refused() {
    let (mut net, key) = replaced();
    net.mesh(0).dismiss(key);
    net.settle();
    assert!(!net.connected(0, 1) && !net.connected(1, 0));
    assert!(net.told(0, "wrong incarnation") && net.told(1, "wrong incarnation"));
}

#[test]
fn no_more_strangers_are_heard_than_there_may_be_members() {
    let count = 2 + PEER_STRANGERS;
    let mut servers: Vec<_> = (0..count).map(|place| settings(place, count)).collect();
    servers[0].members.truncate(1);
    let mut net = Net::new(servers);
    net.pass(PEER_CALL_MS + 50);
    let heard = (1..count).filter(|&place| net.connected(place, 0)).count();
    assert_eq!(heard, PEER_STRANGERS);
    assert!(net.told(0, "too many connections"), "{:?}", net.lines[0]);
}

#[test]
fn a_refused_server_comes_back_seldom_and_is_told_of_seldom() {
    let mut net = refused(|b| b.me.incarnation = 999, "wrong incarnation");
    let (dials, lines) = (net.dials, net.lines[1].len());
    net.pass(9_000);
    assert!((2..=10).contains(&(net.dials - dials)), "{}", net.dials - dials);
    let again: Vec<&String> =
        net.lines[1][lines..].iter().filter(|line| line.contains("wrong")).collect();
    assert!(again.len() < FOLD_FREE as usize, "{again:?}");
    // Once it is known to repeat it is told ever more seldom, and goes on being dialled.
    let (dials, lines) = (net.dials, net.lines[1].len());
    net.pass(600_000);
    assert!(net.dials - dials >= 100, "{}", net.dials - dials);
    let is_detail = |line: &&String| line.starts_with("closed: ");
    let told = net.lines[1][lines..].iter().filter(|line| !is_detail(line)).count();
    assert!((1..20).contains(&told), "{told}: {:?}", &net.lines[1][lines..]);
}

#[test]
fn who_proves_nothing_is_let_go_and_takes_no_room() {
    let mut net = Net::sound(2);
    let keys: Vec<_> = (0..1_000).map(|_| net.mesh(1).accept("h:9".into())).collect();
    net.settle();
    let open = |net: &mut Net, key: &_| net.mesh(1).output(*key).is_some();
    let left: Vec<_> = keys.iter().filter(|key| open(&mut net, key)).collect();
    assert!(left.len() <= PEER_UNPROVEN, "{}", left.len());
    assert!(left.contains(&&keys[999]), "the newest stays");
    net.mesh(1).receive(keys[999], &[0, 0, 2, 0]);
    net.settle();
    assert!(open(&mut net, &keys[999]), "the largest that may come is waited for");
    net.mesh(1).receive(keys[998], &[0, 0, 2, 1]);
    net.settle();
    assert!(!open(&mut net, &keys[998]), "a larger one is not");
    net.pass(PEER_HANDSHAKE_MS);
    assert!(keys.iter().all(|key| !open(&mut net, key)));
    assert!(net.connected(0, 1), "the others are not disturbed");
}

#[test]
fn what_waits_for_a_peer_that_does_not_read_is_bounded() {
    let mut net = Net::sound(2);
    let (_, key) = net.wires.pop().unwrap().ends[0];
    for _ in 0..200 {
        net.mesh(0).send([append(1, 2, 100_000)]);
    }
    let waiting = net.mesh(0).output(key).unwrap().unwritten();
    let (least, most) = (PEER_OUTPUT_BYTES - (1 << 20), PEER_OUTPUT_BYTES + (1 << 20));
    assert!((least..=most).contains(&waiting), "{waiting}");
}

/// Connects an operator to the second server.
fn operator(net: &mut Net) -> (Key, Session) {
    let key = net.mesh(1).accept("h:9".into());
    come_in(net, key, &hmac::Key::new(&[1; 32]), Kind::Operator, "")
}

/// Connects one through the socket of the second server's directory, who means this server.
fn local(net: &mut Net, kind: Kind, meant: &str) -> (Key, Session) {
    let key = net.mesh(1).accept_local();
    come_in(net, key, &handshake::local_key(), kind, meant)
}

fn come_in(net: &mut Net, key: Key, secret: &hmac::Key, kind: Kind, meant: &str) -> (Key, Session) {
    let boots = match kind {
        Kind::Server => settings(0, 2).me.boots,
        Kind::Operator => Identity::operator().boots,
    };
    let me = Identity { kind, boots, ..Identity::operator() };
    let mesh = net.mesh(1);
    let mut out = Vec::new();
    let dialing = Dialing::new(&me, meant, [9; 32], &mut out);
    mesh.receive(key, &out);
    assert_eq!(mesh.unread(key), 0);
    let welcome = crate::support::take_output(mesh.output(key).unwrap());
    let mut confirm = Vec::new();
    let (claim, session) = dialing.on_welcome(secret, &welcome[4..], &mut confirm).ok().unwrap();
    assert_eq!(claim.identity.name, "b");
    mesh.receive(key, &confirm);
    (key, session)
}

#[test]
fn of_too_many_operators_the_one_that_came_first_is_let_go() {
    let mut net = Net::sound(2);
    let keys: Vec<Key> = (0..PEER_OPERATORS).map(|_| operator(&mut net).0).collect();
    assert!(net.mesh(1).todo.close.is_empty(), "so many there may be");
    let (newest, _) = operator(&mut net);
    assert_eq!(net.mesh(1).todo.close, [keys[0]]);
    net.settle();
    let open = keys[1..].iter().chain([&newest]);
    assert!(open.into_iter().all(|key| net.meshes[1].output(*key).is_some()));
    assert!(net.connected(0, 1), "the servers are not disturbed");
}

#[test]
fn operators_on_this_machine_are_bounded_and_may_be_nothing_else() {
    let mut net = Net::sound(2);
    let keys: Vec<Key> =
        (0..LOCAL_OPERATORS).map(|_| local(&mut net, Kind::Operator, "").0).collect();
    assert!(net.mesh(1).todo.close.is_empty(), "so many there may be");
    local(&mut net, Kind::Operator, "");
    assert_eq!(net.mesh(1).todo.close, [keys[0]]);
    net.settle();
    // Who comes to the port without the secret cannot use the socket's key there.
    let (server, _) = local(&mut net, Kind::Server, "");
    assert_eq!(net.mesh(1).todo.close.pop(), Some(server), "it is no server's way in");
    assert!(net.connected(0, 1), "the servers are not disturbed");
}

/// Asks, lets everything happen, and gives the answer.
fn answer_to(net: &mut Net, (key, session): &mut (Key, Session)) -> String {
    let mut ask = Vec::new();
    session.sealer.seal(&mut ask, |out| put_head(out, &Frame::Ask), &Block::default());
    net.mesh(1).receive(*key, &ask);
    net.meshes[1].tick();
    while let Some((dialled, address)) = net.meshes[1].next_dial() {
        net.dial(1, dialled, address);
    }
    // The answer is not taken to a wire: the operator has none.
    loop {
        let mut moved = net.read(0) | net.read(1) | net.write(0);
        let dirty: Vec<Key> = std::mem::take(&mut net.meshes[1].todo.write);
        let (own, others): (Vec<Key>, Vec<Key>) = dirty.into_iter().partition(|one| one == key);
        net.meshes[1].todo.write = others;
        moved |= net.write(1);
        net.meshes[1].todo.write.extend(own);
        let asked = net.events[0].iter().position(|event| matches!(event, Event::Asked(_)));
        if let Some(Event::Asked(by)) = asked.and_then(|at| net.events[0].remove(at)) {
            net.mesh(0).answer(by, "id a\n".into());
        } else if !moved {
            break;
        }
    }
    let answer = crate::support::take_output(net.mesh(1).output(*key).unwrap());
    let (_, block) = session.opener.open(&answer[4..]).unwrap();
    String::from_utf8(block.to_vec()).unwrap()
}

#[test]
fn an_operator_on_this_machine_reaches_the_other_servers_through_this_one() {
    let mut net = Net::sound(2);
    let mut through = local(&mut net, Kind::Operator, "a");
    assert_eq!(answer_to(&mut net, &mut through), "id a\n");
    assert!(net.connected(0, 1), "the servers are not disturbed");
    let mut through = local(&mut net, Kind::Operator, "a");
    net.routes[0] = None;
    assert_eq!(answer_to(&mut net, &mut through), "unreachable nobody is there\n");
    let mut through = local(&mut net, Kind::Operator, "x");
    let none = answer_to(&mut net, &mut through);
    assert_eq!(none, "unreachable the cluster has no server with this name\n");
}

#[test]
fn a_frame_longer_than_any_that_is_sent_ends_the_connection() {
    let mut net = Net::sound(2);
    let (key, _) = operator(&mut net);
    let length = |bytes: usize| (bytes as u32).to_be_bytes();
    net.mesh(1).receive(key, &length(PEER_FRAME_BYTES));
    assert!(net.mesh(1).todo.close.is_empty(), "the longest is waited for");
    let (key, _) = operator(&mut net);
    net.mesh(1).receive(key, &length(PEER_FRAME_BYTES + 1));
    assert_eq!(net.mesh(1).todo.close, [key]);
}

#[test]
fn what_is_read_at_once_is_little_from_those_who_have_proven_nothing() {
    let mut net = Net::sound(2);
    let stranger = net.mesh(1).accept("h:9".into());
    assert!(net.mesh(1).budget(stranger) < 2 * PEER_HANDSHAKE_BYTES);
    let (proven, _) = operator(&mut net);
    assert_eq!(net.mesh(1).budget(proven), PEER_READ_BYTES);
}

#[test]
fn an_operator_asks_and_is_answered_and_may_do_nothing_else() {
    let mut net = Net::sound(2);
    let (key, mut session) = operator(&mut net);
    let mut ask = Vec::new();
    session.sealer.seal(&mut ask, |out| put_head(out, &Frame::Ask), &Block::default());
    net.mesh(1).receive(key, &ask);
    assert_eq!(net.mesh(1).todo.events.pop_back(), Some(Event::Asked(key)));
    net.mesh(1).answer(key, "role BACKUP\n".into());
    let answer = crate::support::take_output(net.mesh(1).output(key).unwrap());
    let (_, block) = session.opener.open(&answer[4..]).unwrap();
    assert_eq!(block, b"role BACKUP\n");

    let (key, mut session) = operator(&mut net);
    let vote = Message { term: 9, body: Body::TimeoutNow };
    let mut frame = Vec::new();
    let head = Frame::Raft(vote);
    session.sealer.seal(&mut frame, |out| put_head(out, &head), &Block::default());
    net.mesh(1).receive(key, &frame);
    assert_eq!(net.mesh(1).todo.close, [key], "an operator is no server");
    assert!(net.mesh(1).todo.events.is_empty());
}

#[test]
fn bytes_that_were_recorded_or_changed_end_the_connection() {
    let mut net = Net::sound(2);
    net.events[1].clear();
    net.mesh(0).send([append(1, 1, 10)]);
    net.write(0);
    let recorded = net.wires[0].bytes[1].clone();
    net.settle();
    net.wires[0].bytes[1] = recorded;
    net.settle();
    assert!(net.told(1, "wrong sequence"), "{:?}", net.lines[1]);
    let raft = |event: &&Event| matches!(event, Event::Raft(..));
    assert_eq!(net.events[1].iter().filter(raft).count(), 1, "it was taken once");
    net.pass(5_000);
    assert!(net.connected(0, 1), "it connects again");
    net.mesh(0).send([append(1, 1, 10)]);
    net.write(0);
    *net.wires[0].bytes[1].last_mut().unwrap() ^= 1;
    net.settle();
    assert!(net.told(1, "wrong code"), "{:?}", net.lines[1]);
}

#[test]
fn a_newer_program_is_refused_for_its_version() {
    let me = settings(1, 2).me;
    let mut hello = Vec::new();
    Dialing::new(&me, "a", [1; 32], &mut hello);
    hello[4 + 9..4 + 11].copy_from_slice(&[0, 9]);
    let secret = hmac::Key::new(&[1; 32]);
    let result = Accepting::new(&me, &secret, &hello[4..], [2; 32], &mut Vec::new());
    assert_eq!(result.err(), Some(Reason::Version));
    let mut net = Net::sound(2);
    let key = net.mesh(0).accept("h:9".into());
    net.mesh(0).receive(key, &hello);
    net.settle();
    assert!(net.told(0, "wrong version"), "{:?}", net.lines[0]);
}

#[test]
fn a_new_primary_is_told_at_once_however_many_elections_were_folded_before() {
    let mesh = Mesh::new(settings(0, 3), 0);
    let mut folder = Folder::default();
    let mut tell = |second: u64, role, primary, why| {
        let change = RoleChange { role, term: second, primary, why };
        folder.take(second * 1_000, line_of(&change, &mesh, false)).map(|line| line.text)
    };
    let candidates: Vec<bool> =
        (1..30).map(|term| tell(term, Role::Candidate, None, Why::Timeout).is_some()).collect();
    assert!(candidates.iter().filter(|told| **told).count() < 6, "they are folded");
    for (second, role, primary, why, said) in [
        (30, Role::Backup, Some(1), Why::PrimaryHeard, "BACKUP in term 30, PRIMARY is b: "),
        (31, Role::Backup, Some(2), Why::PrimaryHeard, "BACKUP in term 31, PRIMARY is c: "),
        (32, Role::Primary, Some(0), Why::Elected, "PRIMARY in term 32: "),
        (33, Role::Backup, None, Why::QuorumLost, "BACKUP in term 33, no PRIMARY is known: "),
        (34, Role::Primary, Some(0), Why::Elected, "PRIMARY in term 34: "),
    ] {
        let told = tell(second, role, primary.map(id_of), why);
        assert!(told.as_ref().is_some_and(|text| text.starts_with(said)), "{said}: {told:?}");
    }
    assert_eq!(tell(35, Role::Primary, Some(id_of(0)), Why::Elected), None, "no news");
}
