//! Applying is total: whatever the payload, an effect or an error, never a panic, never half a
//! change.

use super::{Chat, golden};
use crate::support::{Rng, env_number};
use chatctl::chat::{Command, CommandError, Effect, State};

#[test]
fn an_empty_payload_changes_nothing_but_the_place() {
    let mut state = State::new();
    assert_eq!(state.apply(5, &[]), Ok(Effect::None));
    assert_eq!((state.applied(), state.last_time()), (5, 0));
}

#[test]
fn an_unknown_version_or_kind_is_an_error_that_names_the_entry_and_what_to_do() {
    let mut state = State::new();
    let digest = state.digest();
    for (payload, expected) in [
        (&[2, 1, 0][..], CommandError::UnknownVersion(2)),
        (&[0, 1, 0], CommandError::UnknownVersion(0)),
        (&[1, 0, 0], CommandError::UnknownKind(0)),
        (&[1, 11, 0], CommandError::UnknownKind(11)),
        (&[1, 8, 0], CommandError::Malformed { kind: "delete", why: "it ends early" }),
    ] {
        let error = state.apply(7, payload).unwrap_err();
        assert_eq!((error.index, &error.error), (7, &expected));
        let text = error.to_string();
        assert!(text.starts_with("entry 7 of the log cannot be applied: "), "{text}");
        let says_what_to_do =
            ["start the version of chatctl", "restore this server's data directory"];
        assert!(says_what_to_do.iter().any(|way| text.contains(way)), "{text}");
    }
    assert_eq!(state.digest(), digest);
}

#[test]
fn an_entry_that_does_not_follow_is_an_error_and_changes_nothing() {
    let mut chat = Chat::new(&["ann"]);
    let digest = chat.state.digest();
    let mut payload = Vec::new();
    Command::Create { time: 1, name: "bob", verifier: "v" }.encode(&mut payload);
    for index in [0, 1, 2, 1 << 48, u64::MAX] {
        let error = chat.state.apply(index, &payload).unwrap_err();
        assert_eq!(error.error, CommandError::BadIndex { applied: 2 }, "{index}");
    }
    assert_eq!(chat.state.digest(), digest);
    assert!(chat.state.apply((1 << 48) - 1, &payload).is_ok());
}

#[test]
fn random_payloads_never_panic_and_leave_a_sound_state() {
    let seed = env_number("CHAT_SEED", 3);
    println!("CHAT_SEED={seed}");
    let mut rng = Rng::new(seed);
    let mut chat = Chat::new(&["ann", "bob", "bob-2"]);
    for id in 0..20 {
        chat.sent("ann", "bob", id);
    }
    let whole: Vec<Vec<u8>> = golden::vectors()
        .iter()
        .map(|(command, _)| {
            let mut bytes = Vec::new();
            command.encode(&mut bytes);
            bytes
        })
        .chain(chat.log.iter().map(|(_, payload)| payload.clone()))
        .collect();
    let mut index = chat.index;
    for round in 0..env_number("CHAT_RUNS", 30) * 1_000 {
        let mut payload = match rng.below(8) {
            0 => {
                let length = rng.below(80) as usize;
                rng.bytes(length)
            }
            _ => whole[rng.below(whole.len() as u64) as usize].clone(),
        };
        for _ in 0..rng.below(4) {
            mutate(&mut rng, &mut payload);
        }
        let (applied, time) = (chat.state.applied(), chat.state.last_time());
        index += 1 + rng.below(2);
        match chat.state.apply(index, &payload) {
            Ok(_) => assert_eq!(chat.state.applied(), index),
            Err(error) => {
                assert_eq!(error.index, index);
                assert_eq!((chat.state.applied(), chat.state.last_time()), (applied, time));
            }
        }
        if round % 500 == 0 {
            chat.state.check_invariants();
        }
    }
}

fn mutate(rng: &mut Rng, payload: &mut Vec<u8>) {
    let at = rng.below(payload.len() as u64 + 1) as usize;
    match rng.below(4) {
        0 => payload.truncate(at),
        1 => payload.insert(at, rng.next() as u8),
        2 if at < payload.len() => payload[at] ^= 1 << rng.below(8),
        _ if at < payload.len() => drop(payload.remove(at)),
        _ => {}
    }
}

#[test]
fn the_same_entries_give_the_same_effects_and_digest_and_others_another() {
    let mut chat = Chat::new(&["ann", "bob"]);
    for id in 0..30 {
        chat.sent(["ann", "bob"][id % 2], "bob", id as u128);
    }
    chat.delete_msgs("ann", None, &[2, 4]);
    let seq = chat.sent("ann", "bob", 77);
    chat.read("bob", "ann", seq - 5);
    chat.take("bob", 3);
    let replay = |skip: Option<u64>| {
        let mut state = State::new();
        for (index, payload) in chat.log.iter().filter(|(index, _)| Some(*index) != skip) {
            state.apply(*index, payload).unwrap();
        }
        state.digest()
    };
    assert_eq!(replay(None), chat.state.digest());
    for skipped in 1..=chat.index {
        assert_ne!(replay(Some(skipped)), chat.state.digest(), "without entry {skipped}");
    }
}
