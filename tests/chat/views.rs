//! `history`, `deliver` 0, `sync`, `inbox` page by page; a message as its reader sees it.

use super::Chat;
use crate::support::bounded::Rounds;
use chatctl::chat::{CommandError, Direction, EventRef, view};
use chatctl::protocol::MsgIds;

fn page(chat: &Chat, with: Option<&str>, cursor: u64, way: Direction) -> (Vec<u64>, bool) {
    let (ann, with) = (chat.id("ann"), with.map(|name| chat.id(name)));
    let mut page = vec![99];
    let more = chat.state.history(ann, with, cursor, way, 2, &mut page);
    (page, more)
}

#[test]
fn history_pages_both_ways_with_rising_seqs_exclusive_cursors_and_an_exact_more() {
    use Direction::{After, Before};
    let mut chat = Chat::new(&["ann", "bob", "cat"]);
    let seqs: Vec<u64> = (0..5)
        .map(|id| match id % 2 {
            0 => chat.sent("ann", "bob", id),
            _ => chat.sent("bob", "ann", id),
        })
        .collect();
    let other = chat.sent("cat", "ann", 9);
    let bob = Some("bob");
    assert_eq!(page(&chat, bob, 0, Before), (seqs[3..].to_vec(), true));
    assert_eq!(page(&chat, bob, seqs[3], Before), (seqs[1..3].to_vec(), true));
    assert_eq!(page(&chat, bob, seqs[2], Before), (seqs[..2].to_vec(), false));
    assert_eq!(page(&chat, bob, seqs[0], Before), (vec![], false));
    assert_eq!(page(&chat, bob, 0, After), (seqs[..2].to_vec(), true));
    assert_eq!(page(&chat, bob, seqs[2], After), (seqs[3..].to_vec(), false));
    assert_eq!(page(&chat, bob, seqs[4], After), (vec![], false));
    assert_eq!(page(&chat, bob, u64::MAX, After), (vec![], false));
    assert_eq!(page(&chat, bob, u64::MAX, Before).0, seqs[3..]);
    assert_eq!(page(&chat, None, 0, Before), (vec![seqs[4], other], true));
    assert_eq!(page(&chat, None, seqs[3], After), (vec![seqs[4], other], false));
    assert_eq!(page(&chat, Some("ann"), 0, Before), (vec![], false));
}

#[test]
fn deliver_0_pages_through_what_was_received_after_its_cursor() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let one = chat.sent("bob", "ann", 1);
    let seqs: Vec<u64> = (2..40).map(|id| chat.sent("ann", "bob", id)).collect();
    let two = chat.sent("bob", "ann", 40);
    let mut page = Vec::new();
    assert!(chat.state.received_after(chat.id("ann"), 0, 1, &mut page));
    assert_eq!(page, [one]);
    assert!(!chat.state.received_after(chat.id("ann"), one, 1, &mut page));
    assert_eq!(page, [two]);
    assert!(!chat.state.received_after(chat.id("bob"), seqs[0], 37, &mut page));
    assert_eq!(page, seqs[1..]);
}

#[test]
fn sync_pages_through_all_that_concerns_the_account_in_order() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let one = chat.sent("bob", "ann", 1);
    chat.read("ann", "bob", one);
    let two = chat.sent("ann", "bob", 2);
    chat.delete_msgs("bob", None, &[2]);
    let three = chat.sent("ann", "ann", 3);
    let four = chat.sent("bob", "ann", 4);
    chat.read("ann", "bob", four);
    let moved = chat.index;
    let expected = [
        EventRef::Message { seq: one },
        EventRef::Message { seq: two },
        EventRef::Message { seq: three },
        EventRef::Message { seq: four },
        EventRef::ReadMoved { seq: moved, other: chat.id("bob"), marker: four },
    ];
    assert_eq!(chat.events("ann", 0), expected, "of a marker's moves the latest");
    let (mut page, mut cursor, mut all) = (Vec::new(), 0, Vec::new());
    let mut rounds = Rounds::new(1_000, "a page says that it is the last");
    loop {
        rounds.count();
        let more = chat.state.events_after(chat.id("ann"), cursor, 2, &mut page);
        cursor = page.last().unwrap().seq();
        all.append(&mut page);
        if !more {
            break;
        }
    }
    assert_eq!(all, expected);
    assert_eq!(chat.events("bob", four), [], "a marker concerns its owner only");
}

#[test]
fn a_page_of_sync_ends_early_once_it_names_a_thousand_messages_gone() {
    let mut chat = Chat::new(&["ann"]);
    for round in 0..3 {
        let ids: Vec<u128> = (0..600).map(|id| round * 1_000 + id).collect();
        for &id in &ids {
            let mut payload = Vec::new();
            let send = chatctl::chat::Command::Send {
                time: 1,
                from: "ann",
                to: "ann",
                id,
                known: 0,
                body: "text",
            };
            send.encode(&mut payload);
            chat.index += 1;
            chat.state.apply(chat.index, &payload).unwrap();
        }
        assert_eq!(chat.delete_msgs("ann", None, &ids).0, 600);
    }
    let mut page = Vec::new();
    assert!(chat.state.events_after(chat.id("ann"), 0, 1_000, &mut page));
    assert_eq!(page.len(), 2);
    assert!(!chat.state.events_after(chat.id("ann"), page[1].seq(), 1_000, &mut page));
    assert_eq!(page.len(), 1);
}

#[test]
fn inbox_pages_through_conversations_newest_first() {
    let mut chat = Chat::new(&["ann", "bob", "cat", "dan"]);
    let bob = chat.sent("bob", "ann", 1);
    let cat = chat.sent("ann", "cat", 2);
    let cat_time = chat.time;
    chat.sent("dan", "ann", 3);
    let dan = chat.sent("dan", "ann", 4);
    let ann = chat.id("ann");
    let (page, next) = chat.state.conversations(ann, 0, 2);
    let lines: Vec<_> = page.iter().map(|l| (chat.state.name(l.other), l.unread)).collect();
    assert_eq!((lines, next), (vec![("dan", 2), ("cat", 0)], cat));
    assert_eq!((page[0].newest_seq, page[1].newest_seq), (dan, cat));
    assert_eq!(page[1].newest_time, cat_time);
    let (page, next) = chat.state.conversations(ann, next, 2);
    assert_eq!((page.len(), page[0].newest_seq, next), (1, bob, 0));
    assert_eq!(chat.state.conversations(ann, bob, 2), (vec![], 0));
}

#[test]
fn a_message_is_shown_as_a_deliver_with_what_its_entry_says() {
    let mut chat = Chat::new(&["ann", "bob"]);
    chat.send("ann", "bob", 0x8d4a8912_5776_4438_ac14_8b791cfc63f2, "höllo\n");
    let (index, payload) = chat.log.last().unwrap();
    let message = view::deliver(*index, payload).unwrap();
    assert_eq!((&*message.cmd, &*message.src, &*message.to), ("deliver", "ann", "bob"));
    assert_eq!((&*message.body, message.time, message.seq), ("höllo\n", chat.time, chat.index));
    let id = "8d4a8912-5776-4438-ac14-8b791cfc63f2".into();
    assert_eq!((message.msg_ids, message.limit), (MsgIds::Many(vec![id]), 0));
    assert!(!message.error);
}

#[test]
fn an_entry_that_holds_no_message_is_not_shown() {
    let chat = Chat::new(&["ann"]);
    let (index, payload) = chat.log.last().unwrap();
    let error = view::deliver(*index, payload).unwrap_err();
    assert_eq!((error.index, &error.error), (*index, &CommandError::NoMessage));
    assert!(error.to_string().starts_with("entry 2 of the log"), "{error}");
    assert!(view::deliver(1, &[]).is_err());
}
