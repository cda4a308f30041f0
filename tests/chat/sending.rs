//! `send`: storing, duplicates, the window of ids.

use super::Chat;
use chatctl::chat::{Command, Effect, State};

fn stored(effect: &Effect) -> (u64, u64) {
    match effect {
        Effect::Stored { time, seq, .. } => (*time, *seq),
        other => panic!("not stored: {other:?}"),
    }
}

fn duplicate(effect: &Effect) -> (u64, u64) {
    match effect {
        Effect::Duplicate { time, seq, .. } => (*time, *seq),
        other => panic!("no duplicate: {other:?}"),
    }
}

#[test]
fn a_message_is_stored_under_its_entrys_index_and_time() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let effect = chat.send("ann", "bob", 7, "hello");
    let (from, to) = (chat.id("ann"), chat.id("bob"));
    assert_eq!(effect, Effect::Stored { from, to, id: 7, time: chat.time, seq: chat.index });
    assert_eq!(chat.history("ann", None), [chat.index]);
    assert_eq!(chat.history("bob", Some("ann")), [chat.index]);
    assert_eq!((chat.unread("ann"), chat.unread("bob")), (0, 1));
}

#[test]
fn the_same_sender_and_id_again_gets_the_same_reply_and_stores_nothing() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let first = stored(&chat.send("ann", "bob", 7, "hello"));
    chat.sent("ann", "bob", 8);
    let before = (chat.state.message_count(), chat.unread("bob"));
    assert_eq!(duplicate(&chat.send("ann", "bob", 7, "hello")), first);
    assert_eq!(duplicate(&chat.send_knowing("ann", "bob", 7, "hello", 1)), first);
    assert_eq!((chat.state.message_count(), chat.unread("bob")), before);
    assert_eq!(chat.state.duplicate_of(chat.id("ann"), 7), Some((first.1, first.0)));
    assert_eq!(chat.state.duplicate_of(chat.id("bob"), 7), None);
}

#[test]
fn the_same_id_with_another_body_or_receiver_is_a_conflict() {
    let mut chat = Chat::new(&["ann", "bob", "cat"]);
    chat.send("ann", "bob", 7, "hello");
    let count = chat.state.message_count();
    for (to, body) in [("bob", "hello!"), ("bob", ""), ("cat", "hello"), ("ann", "hello")] {
        assert_eq!(chat.send("ann", to, 7, body), Effect::IdConflict, "{to} {body:?}");
    }
    assert_eq!(chat.send("ann", "nobody", 7, "hello"), Effect::IdConflict);
    assert_eq!(chat.state.message_count(), count);
}

#[test]
fn two_senders_may_use_one_id() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let (_, one) = stored(&chat.send("ann", "bob", 7, "hello"));
    let (_, two) = stored(&chat.send("bob", "ann", 7, "other"));
    assert_eq!(chat.history("ann", Some("bob")), [one, two]);
}

#[test]
fn a_duplicate_of_a_message_deleted_since_is_still_a_duplicate() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let first = stored(&chat.send("ann", "bob", 7, "hello"));
    assert_eq!(chat.delete_msgs("ann", None, &[7]).0, 1);
    assert_eq!(duplicate(&chat.send("ann", "bob", 7, "hello")), first);
    assert_eq!(chat.history("bob", None), []);
}

#[test]
fn a_duplicate_to_a_receiver_gone_since_gets_its_first_reply() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let first = stored(&chat.send("ann", "bob", 7, "hello"));
    chat.delete("bob");
    assert_eq!(duplicate(&chat.send("ann", "bob", 7, "hello")), first);
    assert_eq!(chat.send("ann", "bob", 8, "hello"), Effect::NoSuchUser);
}

#[test]
fn a_message_to_oneself_is_stored_once_and_read() {
    let mut chat = Chat::new(&["ann"]);
    let seq = chat.sent("ann", "ann", 7);
    assert_eq!(chat.unread("ann"), 0);
    assert_eq!(chat.history("ann", None), [seq]);
    assert_eq!(chat.history("ann", Some("ann")), [seq]);
    assert_eq!(chat.received("ann", 0), [seq]);
    assert_eq!(chat.events("ann", 0).len(), 1);
    assert_eq!(chat.inbox("ann"), [("ann", 0, seq)]);
    assert_eq!(chat.read("ann", "ann", seq), (0, false));
    assert_eq!(chat.take("ann", 5), [seq]);
    assert_eq!(chat.take("ann", 5), []);
    assert_eq!(chat.delete_msgs("ann", None, &[7]), (1, vec![("ann".to_string(), vec![7])]));
    assert_eq!(chat.history("ann", None), []);
}

#[test]
fn a_receiver_that_never_was_or_is_no_more_is_no_such_user() {
    let mut chat = Chat::new(&["ann", "bob"]);
    assert_eq!(chat.send("ann", "nobody", 7, "hello"), Effect::NoSuchUser);
    chat.delete("bob");
    assert_eq!(chat.send("ann", "bob", 7, "hello"), Effect::NoSuchUser);
    assert_eq!(chat.state.message_count(), 0);
    chat.create("cat");
    stored(&chat.send("ann", "cat", 7, "hello"));
}

#[test]
fn the_last_ten_thousand_ids_are_known_and_no_more_are_kept() {
    let mut state = State::new();
    let mut apply = |index: u64, command: Command| {
        let mut payload = Vec::new();
        command.encode(&mut payload);
        state.apply(index, &payload).unwrap()
    };
    let send = |id: u128, known| Command::Send {
        time: 1,
        from: "ann",
        to: "ann",
        id,
        known,
        body: "text",
    };
    apply(1, Command::Create { time: 1, name: "ann", verifier: "v" });
    let first = 2u64;
    for id in 0..10_000u64 {
        stored(&apply(first + id, send(u128::from(id), 0)));
    }
    assert_eq!(duplicate(&apply(20_000, send(0, 1))).1, first, "the oldest of 10,000");
    stored(&apply(20_001, send(10_000, 0)));
    assert_eq!(duplicate(&apply(20_002, send(1, 1))).1, first + 1, "the oldest now");
    // The first message, in entry 2, is not known any more. A first attempt made when entry 1 was
    // the newest may be it; one made when entry 2 was there already cannot.
    assert_eq!(apply(20_003, send(0, 1)), Effect::IdExpired);
    stored(&apply(20_004, send(0, 2)));
}

#[test]
fn past_the_window_an_attempt_older_than_what_is_known_is_expired() {
    let mut chat = Chat::with_window(2, &["ann", "bob"]);
    let seqs: Vec<u64> = (1..=4).map(|id| chat.sent("ann", "bob", id)).collect();
    // Known: 3 and 4. The horizon is the second message.
    assert_eq!(duplicate(&chat.send_knowing("ann", "bob", 3, "text", 1)).1, seqs[2]);
    assert_eq!(chat.send_knowing("ann", "bob", 2, "text", seqs[1] - 1), Effect::IdExpired);
    assert_eq!(chat.send_knowing("ann", "bob", 99, "text", 1), Effect::IdExpired, "not to be told");
    assert_eq!(chat.send_knowing("ann", "nobody", 99, "text", 1), Effect::IdExpired);
    assert_eq!(chat.history("bob", None), seqs);
    stored(&chat.send_knowing("ann", "bob", 5, "text", seqs[1]));
    stored(&chat.send_knowing("ann", "bob", 1, "text", 0));
    stored(&chat.send_knowing("bob", "ann", 1, "text", 1));
}

#[test]
fn deleting_a_message_does_not_make_room_for_an_older_id() {
    let mut chat = Chat::with_window(2, &["ann", "bob"]);
    for id in 1..=3 {
        chat.sent("ann", "bob", id);
    }
    chat.delete_msgs("ann", None, &[2, 3]);
    assert_eq!(chat.send_knowing("ann", "bob", 1, "text", 1), Effect::IdExpired);
    duplicate(&chat.send("ann", "bob", 2, "text"));
}

#[test]
fn what_a_deleted_account_still_sends_changes_nothing() {
    let mut chat = Chat::new(&["ann", "bob"]);
    chat.sent("ann", "bob", 1);
    chat.delete("ann");
    for effect in [
        chat.send("ann", "bob", 1, "text"),
        chat.send("ann", "bob", 2, "text"),
        chat.apply(|time| Command::Take { time, name: "ann", seqs: vec![4] }),
        chat.apply(|time| Command::Read { time, name: "ann", from: "bob", upto: 4 }),
        chat.apply(|time| Command::DeleteMsgs { time, name: "ann", targets: vec![] }),
        chat.apply(|time| Command::Passwd { time, name: "ann", verifier: "v2" }),
        chat.delete("ann"),
        chat.send("nobody", "bob", 2, "text"),
    ] {
        assert_eq!(effect, Effect::AccountGone);
    }
    assert_eq!((chat.state.message_count(), chat.unread("bob")), (1, 1));
}
