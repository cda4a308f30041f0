//! deliver, history, sync, inbox, read: each sentence of the page.

use chatctl::limits;
use chatctl::protocol::Message;

use crate::support::bounded::Rounds;
use crate::support::server::{Ask, RawClient, TestServer, ask, id};

fn seqs(messages: &[Message<'_>]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

fn end(message: &Message<'_>) -> (u16, u64, String) {
    (message.limit, message.seq, message.body.to_string())
}

/// Sends `count` messages and gives their seqs.
fn send_many(from: &mut RawClient, to: &str, count: usize) -> Vec<u64> {
    let sends: Vec<Ask> = (0..count).map(|n| ask("send").to(to).body(&format!("{n}"))).collect();
    from.send_all(&sends);
    sends.iter().map(|_| from.reply().seq).collect()
}

#[test]
fn deliver_0_brings_what_was_received_a_thousand_a_page_and_keeps_it() {
    let server = TestServer::start("deliver", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    bob.tell("alice", "sent, not received");
    let all = send_many(&mut alice, "bob", 1_003);
    for _ in 0..2 {
        let (page, last) = bob.pages(&ask("deliver"));
        assert_eq!(seqs(&page), all[..1_000]);
        assert_eq!(end(&last), (1_000, all[999], "more".into()));
        let (page, last) = bob.pages(&ask("deliver").seq(last.seq));
        assert_eq!(seqs(&page), all[1_000..]);
        assert_eq!(end(&last), (3, all[1_002], "end".into()));
        let (page, last) = bob.pages(&ask("deliver").seq(last.seq));
        assert!(page.is_empty());
        assert_eq!(end(&last), (0, all[1_002], "end".into()));
    }
    // Exactly one page: no more behind it.
    let (page, last) = bob.pages(&ask("deliver").seq(all[2]));
    assert_eq!((page.len(), last.body.as_ref()), (1_000, "end"));
}

#[test]
fn deliver_n_takes_the_oldest_and_no_later_one_brings_them_again() {
    let mut server = TestServer::start("take", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    let all = send_many(&mut alice, "bob", 5);
    bob.settle();
    let (page, last) = bob.pages(&ask("deliver").limit(2));
    assert_eq!(seqs(&page), all[..2]);
    assert_eq!((last.cmd.as_ref(), last.limit, last.body.as_ref()), ("delivered", 2, "more"));
    assert_eq!((page[0].src.as_ref(), page[0].body.as_ref()), ("alice", "0"));
    server.kill9();
    let server = server.restart();
    // Shared by the sessions, and unread no more.
    let mut bob = server.login("bob");
    assert_eq!(bob.done(&ask("inbox")).body.split('\t').nth(1), Some("3"));
    let (page, last) = bob.pages(&ask("deliver").limit(60_000));
    assert_eq!((seqs(&page), last.body.as_ref()), (all[2..].to_vec(), "end"));
    let (page, last) = bob.pages(&ask("deliver").limit(1));
    assert!(page.is_empty() && last.body == "end");
    assert_eq!(seqs(&bob.pages(&ask("history")).0), all, "history still does");
    assert_eq!(seqs(&bob.pages(&ask("deliver")).0), all, "and what deliver 0 keeps");
}

#[test]
fn history_pages_back_and_forth_with_an_exact_more() {
    let server = TestServer::start("history", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    server.create("cat");
    let mut all = send_many(&mut alice, "bob", 40);
    all.extend(send_many(&mut bob, "alice", 40));
    let cat = send_many(&mut alice, "cat", 1)[0];
    bob.settle();
    let with_bob = ask("history").to("bob");
    let (page, last) = alice.pages(&with_bob);
    assert_eq!(seqs(&page), all[30..], "50 where nothing is said, from the newest");
    assert_eq!(end(&last), (50, all[30], "more".into()));
    let (page, last) = alice.pages(&with_bob.clone().body("before").seq(last.seq).limit(30));
    assert_eq!(seqs(&page), all[..30]);
    assert_eq!(end(&last), (30, all[0], "end".into()));
    let (page, last) = alice.pages(&with_bob.clone().seq(all[0]));
    assert!(page.is_empty());
    assert_eq!((last.limit, last.body.as_ref()), (0, "end"));
    let (page, last) = alice.pages(&with_bob.clone().body("after").limit(79));
    assert_eq!((seqs(&page), end(&last)), (all[..79].to_vec(), (79, all[78], "more".into())));
    let (page, last) = alice.pages(&with_bob.clone().body("after").seq(all[78]));
    assert_eq!((seqs(&page), end(&last)), (all[79..].to_vec(), (1, all[79], "end".into())));
    let (page, _) = alice.pages(&ask("history").limit(60_000));
    assert_eq!(page.len(), 81);
    assert_eq!((page[80].seq, page[80].to.as_ref()), (cat, "cat"));
    assert_eq!(alice.refused(&ask("history").to("nobody")), "no-such-user");
    assert_eq!(alice.refused(&ask("history").body("x")), "bad-cursor");
}

#[test]
fn pages_of_long_messages_end_early_and_the_cursor_brings_the_rest() {
    let server = TestServer::start("long", &["--segment-mib", "8"]);
    let mut alice = server.create("alice");
    let text = "long".repeat(15_000);
    let sends: Vec<Ask> = (1..=50).map(|n| ask("send").to("alice").body(&text).id(n)).collect();
    alice.send_all(&sends);
    let all: Vec<u64> = sends.iter().map(|_| alice.reply().seq).collect();
    for request in [ask("history").body("after"), ask("sync")] {
        let (mut found, mut cursor, mut pages) = (Vec::new(), 0, 0);
        loop {
            let (page, last) = alice.pages(&request.clone().seq(cursor).limit(1_000));
            found.extend(seqs(&page));
            assert!(page.iter().all(|message| message.body == text.as_str()));
            let bytes = page.len() * text.len();
            assert!(bytes <= limits::PAGE_BYTES, "{bytes} bytes in a page");
            pages += 1;
            cursor = last.seq;
            if last.body == "end" {
                break;
            }
            assert!(bytes + text.len() + 1_024 > limits::PAGE_BYTES, "there was room for one more");
            assert!(!page.is_empty() && found.len() < all.len(), "more means more");
        }
        assert_eq!(found, all);
        assert!(pages >= 3, "{pages}");
    }
    let (page, last) = alice.pages(&ask("history").limit(1_000));
    assert_eq!(page.last().unwrap().seq, all[49]);
    assert_eq!(last.body, "more");
}

#[test]
fn sync_brings_messages_deletions_and_markers_after_a_cursor() {
    let server = TestServer::start("sync", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    let start = bob.done(&ask("sync").limit(1_000)).seq;
    let one = alice.done(&ask("send").to("bob").body("one").id(1)).seq;
    let two = alice.done(&ask("send").to("bob").body("two").id(2)).seq;
    let three = bob.done(&ask("send").to("alice").body("three").id(3)).seq;
    bob.done(&ask("read").to("alice").seq(two));
    alice.done(&ask("delete_msgs").id(1));
    let (events, last) = bob.pages(&ask("sync").seq(start).limit(1_000));
    let heard: Vec<(&str, u64)> =
        events.iter().map(|event| (event.cmd.as_ref(), event.seq)).collect();
    let deleted = last.seq;
    assert_eq!(
        heard,
        [("deliver", two), ("deliver", three), ("read_moved", two), ("taken_back", deleted)],
        "what is gone is not brought"
    );
    assert!(one < two && three < deleted);
    assert_eq!(events[2].to, "alice");
    assert_eq!(events[3].msg_ids.iter().collect::<Vec<_>>(), [id(1)]);
    assert_eq!((last.cmd.as_ref(), last.body.as_ref(), last.limit), ("sync", "end", 4));
    // One at a time it is the same, and nothing is left behind.
    let (mut cursor, mut one_by_one) = (start, Vec::new());
    let mut rounds = Rounds::new(10_000, "a page says that it is the last");
    loop {
        rounds.count();
        let (page, last) = bob.pages(&ask("sync").seq(cursor).limit(1));
        one_by_one.extend(page.into_iter().map(|event| (event.cmd.into_owned(), event.seq)));
        cursor = last.seq;
        if last.body == "end" {
            break;
        }
    }
    let one_by_one: Vec<(&str, u64)> =
        one_by_one.iter().map(|(cmd, seq)| (cmd.as_str(), *seq)).collect();
    assert_eq!(one_by_one, heard);
    let (page, last) = bob.pages(&ask("sync").seq(cursor));
    assert!(page.is_empty());
    assert_eq!((last.seq, last.body.as_ref()), (cursor, "end"));
}

#[test]
fn the_inbox_has_a_line_a_conversation_newest_first_in_pages() {
    let server = TestServer::start("inbox", &[]);
    let mut alice = server.create("alice");
    let empty = alice.done(&ask("inbox"));
    assert_eq!((empty.body.as_ref(), empty.limit, empty.seq), ("", 0, 0));
    let mut newest = Vec::new();
    for name in ["bob", "cat", "dan"] {
        let mut other = server.create(name);
        other.tell("alice", "one");
        let reply = other.tell("alice", "two");
        newest.push(format!("{name}\t2\t{}\t{}", reply.seq, reply.time));
    }
    let reply = alice.tell("bob", "answer");
    newest[0] = format!("bob\t2\t{}\t{}", reply.seq, reply.time);
    let lines = [newest[0].as_str(), &newest[2], &newest[1]];
    let inbox = alice.done(&ask("inbox"));
    assert_eq!((inbox.body.as_ref(), inbox.limit, inbox.seq), (lines.join("\n").as_str(), 3, 0));
    let (mut cursor, mut paged) = (0, Vec::new());
    let mut rounds = Rounds::new(10_000, "a page says that it is the last");
    loop {
        rounds.count();
        let page = alice.done(&ask("inbox").limit(1).seq(cursor));
        assert_eq!(page.limit, 1);
        paged.push(page.body.into_owned());
        cursor = page.seq;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(paged, lines);
}

#[test]
fn a_read_marker_moves_only_forward_and_is_shared_by_the_sessions() {
    let mut server = TestServer::start("read", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    let all = send_many(&mut alice, "bob", 4);
    let mut other = server.login("bob");
    bob.settle();
    let unread = |client: &mut RawClient| {
        client.done(&ask("inbox")).body.split('\t').nth(1).unwrap().to_owned()
    };
    assert_eq!(unread(&mut bob), "4");
    bob.done(&ask("read").to("Alice").seq(all[2]));
    let push = other.expect_push("read_moved");
    assert_eq!((push.to.as_ref(), push.seq), ("alice", all[2]));
    assert!(bob.settle().is_empty() && alice.settle().is_empty(), "only the other sessions hear");
    assert_eq!(unread(&mut other), "1");
    bob.done(&ask("read").to("alice").seq(all[0]));
    assert!(other.settle().is_empty(), "it does not go back");
    assert_eq!(unread(&mut bob), "1");
    server.kill9();
    let server = server.restart();
    let mut bob = server.login("bob");
    assert_eq!(unread(&mut bob), "1");
    bob.done(&ask("read").to("alice").seq(u64::MAX));
    assert_eq!(unread(&mut bob), "0");
    let later = server.login("alice").tell("bob", "one more");
    assert_eq!(bob.expect_push("deliver").seq, later.seq);
    assert_eq!(unread(&mut bob), "1", "a marker from the future covers only what there was");
    assert_eq!(bob.refused(&ask("read").to("nobody").seq(1)), "no-such-user");
}
