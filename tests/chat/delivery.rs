//! `deliver` n, `read`, `delete_msgs`.

use super::{Chat, targets};
use chatctl::chat::{Command, Effect, EventRef, State, Target};
use chatctl::limits;

#[test]
fn deliver_n_takes_the_oldest_not_yet_taken_and_history_keeps_them() {
    let mut chat = Chat::new(&["ann", "bob", "cat"]);
    let seqs: Vec<u64> =
        (0..5).map(|id| chat.sent(["bob", "cat"][id % 2], "ann", id as u128)).collect();
    chat.sent("ann", "bob", 9);
    assert_eq!(chat.unread("ann"), 5);
    assert_eq!(chat.take("ann", 2), seqs[..2]);
    assert_eq!(chat.unread("ann"), 3, "what is taken is not unread");
    assert_eq!(chat.take("ann", 2), seqs[2..4], "the queue goes on where it was");
    let last = chat.sent("cat", "ann", 10);
    assert_eq!(chat.take("ann", 1_000), [seqs[4], last]);
    assert_eq!(chat.take("ann", 1_000), []);
    assert_eq!(chat.unread("ann"), 0);
    assert_eq!(chat.received("ann", 0).len(), 6, "deliver 0 keeps them");
    assert_eq!(chat.history("ann", None).len(), 7);
}

#[test]
fn what_does_not_qualify_any_more_is_not_taken() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let mine = chat.sent("ann", "bob", 1);
    let deleted = chat.sent("bob", "ann", 2);
    let taken = chat.sent("bob", "ann", 3);
    let good = chat.sent("bob", "ann", 4);
    chat.delete_msgs("ann", None, &[2]);
    let seqs = vec![taken];
    chat.apply(|time| Command::Take { time, name: "ann", seqs });
    let seqs = vec![0, 1, mine, deleted, taken, good, 1_000, u64::MAX];
    let effect = chat.apply(|time| Command::Take { time, name: "ann", seqs });
    assert_eq!(effect, Effect::Taken { account: chat.id("ann"), seqs: vec![good] });
}

#[test]
fn messages_taken_out_of_order_leave_the_older_ones_in_the_queue() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let seqs: Vec<u64> = (0..4).map(|id| chat.sent("bob", "ann", id)).collect();
    let later = vec![seqs[1], seqs[3]];
    chat.apply(|time| Command::Take { time, name: "ann", seqs: later });
    assert_eq!(chat.state.to_take(chat.id("ann"), 10), [seqs[0], seqs[2]]);
    assert_eq!(chat.take("ann", 1), [seqs[0]]);
    assert_eq!(chat.take("ann", 1), [seqs[2]]);
}

#[test]
fn read_moves_only_forward_and_only_for_messages_from_that_name() {
    let mut chat = Chat::new(&["ann", "bob", "cat"]);
    let one = chat.sent("bob", "ann", 1);
    let other = chat.sent("cat", "ann", 2);
    let two = chat.sent("bob", "ann", 3);
    let three = chat.sent("bob", "ann", 4);
    assert_eq!(chat.read("ann", "bob", two), (two, true));
    assert_eq!(chat.unread("ann"), 2);
    assert_eq!(chat.inbox("ann"), [("bob", 1, three), ("cat", 1, other)]);
    assert_eq!(chat.read("ann", "bob", one), (two, false), "not back");
    assert_eq!(chat.read("ann", "bob", two), (two, false), "not in place");
    assert_eq!(chat.unread("ann"), 2);
    assert_eq!(chat.state.marker(chat.id("ann"), chat.id("bob")), two);
    assert_eq!(chat.state.marker(chat.id("bob"), chat.id("ann")), 0);
    assert_eq!(chat.read("ann", "bob", three), (three, true));
    assert_eq!((chat.unread("ann"), chat.unread("bob")), (1, 0));
}

#[test]
fn a_marker_cannot_read_what_is_not_yet_there() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let one = chat.sent("bob", "ann", 1);
    assert_eq!(chat.read("ann", "bob", u64::MAX), (one, true));
    assert_eq!(chat.read("ann", "bob", u64::MAX), (one, false));
    chat.sent("bob", "ann", 2);
    assert_eq!(chat.unread("ann"), 1);
}

#[test]
fn a_marker_between_messages_stands_where_it_was_put() {
    let mut chat = Chat::new(&["ann", "bob"]);
    chat.sent("bob", "ann", 1);
    let between = chat.sent("ann", "ann", 2);
    chat.sent("bob", "ann", 3);
    assert_eq!(chat.read("ann", "bob", between), (between, true));
    assert_eq!(chat.unread("ann"), 1);
}

#[test]
fn reading_where_nothing_was_written_moves_nothing() {
    let mut chat = Chat::new(&["ann", "bob", "cat"]);
    assert_eq!(chat.read("ann", "bob", 5), (0, false));
    let read = |time| Command::Read { time, name: "ann", from: "nobody", upto: 5 };
    assert_eq!(chat.apply(read), Effect::NoSuchUser);
    chat.delete("cat");
    let read = |time| Command::Read { time, name: "ann", from: "cat", upto: 5 };
    assert_eq!(chat.apply(read), Effect::NoSuchUser);
    assert_eq!(chat.events("ann", 0), []);
}

#[test]
fn taken_and_read_messages_are_counted_once() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let seqs: Vec<u64> = (0..6).map(|id| chat.sent("bob", "ann", id)).collect();
    chat.take("ann", 2);
    assert_eq!(chat.read("ann", "bob", seqs[3]), (seqs[3], true));
    assert_eq!(chat.unread("ann"), 2);
    assert_eq!(chat.take("ann", 3), seqs[2..5], "read messages are still delivered");
    assert_eq!(chat.unread("ann"), 1);
    chat.delete_msgs("ann", None, &[0, 3, 5]);
    assert_eq!((chat.unread("ann"), chat.inbox("ann")), (0, vec![("bob", 0, seqs[4])]));
}

#[test]
fn the_sender_takes_a_message_back_from_both_sides() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let kept = chat.sent("ann", "bob", 1);
    chat.sent("ann", "bob", 2);
    let gone = [("ann".to_string(), vec![2]), ("bob".to_string(), vec![2])];
    assert_eq!(chat.delete_msgs("ann", None, &[2]), (1, gone.to_vec()));
    assert_eq!((chat.history("ann", None), chat.history("bob", None)), (vec![kept], vec![kept]));
    assert_eq!((chat.unread("bob"), chat.received("bob", 0)), (1, vec![kept]));
    assert_eq!(chat.inbox("bob"), [("ann", 1, kept)]);
    assert_eq!(chat.state.to_take(chat.id("bob"), 9), [kept]);
    assert_eq!(chat.delete_msgs("ann", None, &[2]), (0, vec![]), "once");
}

#[test]
fn a_receiver_removes_a_message_from_its_own_side_only() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let seq = chat.sent("ann", "bob", 2);
    assert_eq!(chat.delete_msgs("bob", None, &[2]), (1, vec![("bob".to_string(), vec![2])]));
    assert_eq!((chat.history("bob", None), chat.inbox("bob")), (vec![], vec![]));
    assert_eq!((chat.history("ann", None), chat.inbox("ann")), (vec![seq], vec![("bob", 0, seq)]));
    // Later the sender takes back what only it still has.
    assert_eq!(chat.delete_msgs("ann", None, &[2]), (1, vec![("ann".to_string(), vec![2])]));
}

#[test]
fn nobody_deletes_what_it_cannot_see() {
    let mut chat = Chat::new(&["ann", "bob", "cat"]);
    let seq = chat.sent("ann", "bob", 1);
    assert_eq!(chat.delete_msgs("cat", None, &[1]).0, 0);
    let target = |seq, id| vec![Target { seq, id }];
    assert_eq!(chat.delete_targets("cat", target(seq, 1)).0, 0);
    assert_eq!(chat.delete_targets("ann", target(seq, 2)).0, 0, "another id");
    assert_eq!(chat.delete_targets("ann", target(seq + 1, 1)).0, 0, "no message there");
    assert_eq!(chat.history("bob", None), [seq]);
}

#[test]
fn to_restricts_a_deletion_to_one_conversation() {
    let mut chat = Chat::new(&["ann", "bob", "cat"]);
    let from_bob = chat.sent("bob", "ann", 7);
    let from_cat = chat.sent("cat", "ann", 7);
    let ann = chat.id("ann");
    let target = |seq| Target { seq, id: 7 };
    assert_eq!(targets(&chat.state, ann, None, &[7, 8, 7]), [target(from_bob), target(from_cat)]);
    assert_eq!(targets(&chat.state, ann, Some(chat.id("cat")), &[7]), [target(from_cat)]);
    assert_eq!(targets(&chat.state, ann, Some(ann), &[7]), []);
    assert_eq!(chat.delete_msgs("ann", Some("bob"), &[7]).0, 1);
    assert_eq!(chat.history("ann", None), [from_cat]);
}

#[test]
fn messages_of_any_age_are_found_by_id() {
    let mut chat = Chat::with_window(1, &["ann", "bob"]);
    let old = chat.sent("ann", "bob", 1);
    for id in 2..20 {
        chat.sent("ann", "bob", id);
    }
    let again = chat.sent("ann", "bob", 1);
    let both = [Target { seq: old, id: 1 }, Target { seq: again, id: 1 }];
    assert_eq!(targets(&chat.state, chat.id("bob"), None, &[1]), both);
    let gone = chat.delete_msgs("bob", None, &[1]);
    assert_eq!(gone, (2, vec![("bob".to_string(), vec![1])]), "two messages, one id");
}

#[test]
fn so_many_messages_are_deleted_at_once_and_the_oldest_go_first() {
    let most = limits::DELETE_TARGETS;
    assert!(most <= usize::from(u16::MAX), "an entry's list can hold them");
    let targets = |seqs: std::ops::RangeInclusive<usize>| -> Vec<Target> {
        seqs.map(|seq| Target { seq: seq as u64, id: 1 }).collect()
    };
    let mut found = targets(1..=most + 2);
    found.reverse();
    State::tidy_targets(&mut found);
    assert_eq!(found, targets(1..=most));
}

#[test]
fn deleting_the_newest_message_puts_the_conversation_back_in_its_place() {
    let mut chat = Chat::new(&["ann", "bob", "cat", "dan"]);
    let bob = chat.sent("bob", "ann", 1);
    let cat = chat.sent("cat", "ann", 2);
    chat.sent("bob", "ann", 3);
    chat.sent("dan", "ann", 4);
    let newest = chat.inbox("ann");
    assert_eq!(newest.iter().map(|line| line.0).collect::<Vec<_>>(), ["dan", "bob", "cat"]);
    chat.delete_msgs("ann", None, &[3, 4]);
    assert_eq!(chat.inbox("ann"), [("cat", 1, cat), ("bob", 1, bob)]);
}

#[test]
fn sync_tells_what_went_to_all_who_could_see_it_and_shows_it_no_more() {
    let mut chat = Chat::new(&["ann", "bob", "cat"]);
    let one = chat.sent("ann", "bob", 1);
    chat.sent("ann", "bob", 2);
    chat.sent("ann", "bob", 3);
    chat.delete_msgs("bob", None, &[2]);
    let at_bob = chat.index;
    chat.delete_msgs("ann", None, &[2, 3]);
    let at_both = chat.index;
    let shown = EventRef::Message { seq: one };
    let gone = |seq, ids: &[u128]| EventRef::TakenBack { seq, ids: ids.to_vec() };
    assert_eq!(chat.events("ann", 0), [shown.clone(), gone(at_both, &[2, 3])]);
    assert_eq!(chat.events("bob", 0), [shown, gone(at_bob, &[2]), gone(at_both, &[3])]);
    assert_eq!(chat.events("bob", at_bob), [gone(at_both, &[3])]);
    assert_eq!(chat.events("bob", at_both), []);
    assert_eq!(chat.events("cat", 0), []);
}
