//! What a peer's port reads: any bytes at all, before and after the secret is proven.

use chatctl::auth::hmac;
use chatctl::limits::{PEER_FRAME_BYTES, PEER_HANDSHAKE_BYTES};
use chatctl::node::payload::typed;
use chatctl::node::peers::handshake::{Accepting, Dialing, Identity, Kind};
use chatctl::node::peers::mesh::{Member, Mesh, Settings, empty_about};
use chatctl::node::peers::session::{Block, Opener, Sealer};
use chatctl::node::peers::wire::{self, About, Frame, Reason, Stage};
use chatctl::node::time::Clock;
use chatctl::raft::{Body, Entry, Known, Message, ServerId};
use chatctl::wal::boots::Boots;

use super::{fuzz, mutate};
use crate::support::Rng;

fn text(rng: &mut Rng) -> String {
    (0..rng.below(8)).map(|_| char::from(b'a' + rng.below(26) as u8)).collect()
}

/// A number that is small, large, or at an edge.
fn number(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => rng.below(3),
        1 => u64::MAX - rng.below(3),
        _ => rng.next() >> rng.below(64),
    }
}

fn entries(rng: &mut Rng, prev_index: u64) -> Vec<Entry> {
    let count = rng.below(5).min(u64::MAX - prev_index);
    let entry = |index| {
        let length = rng.below(40) as usize;
        Entry { term: 1 + rng.below(1 << 53), index, payload: typed(&rng.bytes(length)) }
    };
    (prev_index + 1..).take(count as usize).map(entry).collect()
}

fn body(rng: &mut Rng) -> Body {
    let (a, b, c) = (number(rng), number(rng), number(rng));
    let yes = rng.chance(1, 2);
    match rng.below(13) {
        0 => Body::PreVote { for_term: a, last_index: b, last_term: c },
        1 => Body::PreVoteReply { for_term: a, granted: yes },
        2 => Body::Vote { last_index: a, last_term: b, transfer: yes },
        3 => Body::VoteReply { granted: yes },
        4 | 5 => {
            let prev_index = a.min(u64::MAX - 10);
            let entries = entries(rng, prev_index);
            let known = Known { copy: number(rng), counted: yes };
            Body::Append { prev_index, prev_term: b, known, commit: c, entries }
        }
        6 => Body::Accepted { match_index: a },
        7 => Body::Rejected { prev_index: a, hint_index: b, hint_term: c },
        8 => Body::Heartbeat { round: a, commit: b },
        9 => Body::HeartbeatReply { round: a, verified: b, match_index: c },
        10 => Body::OfCopy { copy: a, answer: Box::new(Body::Accepted { match_index: b }) },
        11 => Body::Restore { copy: a, commit: b },
        _ if yes => Body::TimeoutNow,
        _ => Body::Behind,
    }
}

fn frame(rng: &mut Rng) -> (Frame, Vec<u8>) {
    match rng.below(11) {
        0 => {
            let stage = [Stage::Empty, Stage::Holds, Stage::Started][rng.below(3) as usize];
            let cluster = rng.bytes(16).try_into().unwrap();
            let list = rng.bytes(32).try_into().unwrap();
            let (client_address, version) = (text(rng), text(rng));
            (Frame::About(About { stage, cluster, list, client_address, version }), Vec::new())
        }
        1 => (Frame::Closing(Reason::of_code(1 + rng.below(13) as u8).unwrap()), Vec::new()),
        2 => (Frame::Ping, Vec::new()),
        3 => {
            let length = rng.below(100) as usize;
            let block = rng.bytes(length);
            (Frame::Adopt(block.clone()), block)
        }
        4 => {
            let text = text(rng);
            (Frame::Status(text.clone()), text.into_bytes())
        }
        5 => {
            let (unix_ms, median_ms) = (number(rng), number(rng));
            let (sent_ms, echo_ms, held_ms) = (number(rng), number(rng), number(rng));
            let clock = Clock { unix_ms, median_ms, sent_ms, echo_ms, held_ms };
            (Frame::Clock(clock), Vec::new())
        }
        _ => {
            let message = Message { term: number(rng), body: body(rng) };
            let mut block = Vec::new();
            if let Body::Append { entries, .. } = &message.body {
                wire::put_entries(&mut block, entries);
            }
            (Frame::Raft(message), block)
        }
    }
}

#[test]
fn a_peers_frame_comes_back_and_a_changed_one_is_an_error_or_another_frame() {
    fuzz("peers", |rng| {
        let (frame, block) = frame(rng);
        let mut head = Vec::new();
        wire::put_head(&mut head, &frame);
        assert_eq!(wire::decode(&head, &block), Ok(frame));
        let other = head.clone();
        let (mut changed_head, mut changed_block) = (head, block.clone());
        mutate::mutate(rng, &mut changed_head, &block);
        mutate::mutate(rng, &mut changed_block, &other);
        for block in [&block, &changed_block] {
            if let Ok(decoded) = wire::decode(&changed_head, block) {
                // What is read is written as it was: there is one form for each frame.
                let mut again = Vec::new();
                wire::put_head(&mut again, &decoded);
                assert_eq!(again, changed_head, "{decoded:?}");
            }
        }
    });
}

#[test]
fn a_sealed_frame_is_opened_and_a_changed_one_never() {
    fuzz("peers", |rng| {
        let (frame, block) = frame(rng);
        let block = Block::new(block);
        let (mut sealer, mut opener) = (Sealer::new(&[1; 32]), Opener::new(&[1; 32]));
        let mut bytes = Vec::new();
        sealer.seal(&mut bytes, |out| wire::put_head(out, &frame), &block);
        assert!(bytes.len() <= PEER_FRAME_BYTES);
        let mut changed = bytes[4..].to_vec();
        mutate::mutate(rng, &mut changed, &bytes);
        if changed != bytes[4..] {
            assert!(opener.open(&changed).is_err());
        }
        let (head, block) = opener.open(&bytes[4..]).unwrap();
        assert_eq!(wire::decode(head, block), Ok(frame));
    });
}

fn server(name: &str) -> Identity {
    Identity {
        kind: Kind::Server,
        name: name.to_owned(),
        cluster: [5; 16],
        incarnation: 7,
        boots: Boots::new(2, vec![8, 9]).unwrap(),
    }
}

#[test]
fn a_changed_handshake_never_ends_in_a_proven_connection() {
    let secret = hmac::Key::new(&[1; 32]);
    let (a, b) = (server("a"), server("b"));
    fuzz("peers", |rng| {
        let (mut hello, mut welcome, mut confirm) = (Vec::new(), Vec::new(), Vec::new());
        let step = rng.below(3);
        let mut changed = false;
        let mut change = |rng: &mut Rng, at: u64, frame: &mut Vec<u8>| {
            let mut body = frame.split_off(4);
            assert!(body.len() <= PEER_HANDSHAKE_BYTES);
            if at == step {
                let before = body.clone();
                mutate::mutate(rng, &mut body, b"chatctlP");
                changed = body != before;
            }
            *frame = body;
        };
        let dialing = Dialing::new(&a, "b", rng.bytes(32).try_into().unwrap(), &mut hello);
        change(rng, 0, &mut hello);
        let nonce = rng.bytes(32).try_into().unwrap();
        let Ok(accepting) = Accepting::new(&b, &secret, &hello, nonce, &mut welcome) else {
            return assert!(changed);
        };
        change(rng, 1, &mut welcome);
        let Ok(_) = dialing.on_welcome(&secret, &welcome, &mut confirm) else {
            return assert!(changed);
        };
        change(rng, 2, &mut confirm);
        assert_eq!(accepting.on_confirm(&confirm).is_err(), changed);
    });
}

/// A mesh that is given anything at all, on connections in any state.
#[test]
fn whatever_comes_to_the_peers_port_no_connection_keeps_more_than_it_may() {
    let member = |name: &str, address: &str, number: u32| Member {
        name: name.to_owned(),
        address: address.to_owned(),
        incarnation: Some(7),
        number: ServerId(number),
    };
    let secret = hmac::Key::new(&[1; 32]);
    fuzz("peers", |rng| {
        let settings = Settings {
            me: server("b"),
            met: Vec::new(),
            members: vec![member("a", "h:1", 1), member("b", "h:2", 2)],
            secret: secret.clone(),
            about: empty_about([3; 32], String::new()),
            silence_ms: 1_000,
            seed: [9; 32],
        };
        let mut mesh = Mesh::new(settings, 0);
        let key = mesh.accept("h:1".to_owned());
        let mut bytes = Vec::new();
        let dialing = Dialing::new(&server("a"), "b", [1; 32], &mut bytes);
        let proven = rng.chance(3, 4);
        if proven {
            mesh.receive(key, &bytes);
            assert_eq!(mesh.unread(key), 0);
            let welcome = crate::support::take_output(mesh.output(key).unwrap());
            bytes.clear();
            let (_, mut session) =
                dialing.on_welcome(&secret, &welcome[4..], &mut bytes).ok().unwrap();
            for _ in 0..rng.below(4) {
                let (frame, block) = frame(rng);
                let head = |out: &mut Vec<u8>| wire::put_head(out, &frame);
                session.sealer.seal(&mut bytes, head, &Block::new(block));
            }
        }
        if rng.chance(2, 3) {
            mutate::mutate(rng, &mut bytes, b"chatctlP");
        }
        while !bytes.is_empty() {
            let count = (1 + rng.below(bytes.len() as u64) as usize).min(mesh.budget(key));
            let read: Vec<u8> = bytes.drain(..count.min(bytes.len())).collect();
            mesh.receive(key, &read);
            if rng.chance(1, 4) {
                let met = mesh.met().to_vec();
                mesh.met_saved(&met);
            }
            assert!(mesh.unread(key) <= PEER_FRAME_BYTES);
            mesh.tick();
        }
    });
}
