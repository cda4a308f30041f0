//! send, delete_msgs and the pushes they make: each sentence of the page.

use chatctl::limits;

use crate::support::bounded::{WHOLE, scope};
use crate::support::server::{Ask, RawClient, TestServer, ask, id};

#[test]
fn a_message_is_pushed_to_every_session_but_the_senders_own() {
    let server = TestServer::start("push", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    let (mut alice2, mut bob2) = (server.login("alice"), server.login("bob"));
    let reply = alice.done(&ask("send").to("BOB").body("hello").id(7));
    assert_eq!((reply.to.as_ref(), reply.body.as_ref()), ("bob", ""));
    assert_eq!(reply.msg_ids.iter().collect::<Vec<_>>(), [id(7)]);
    for client in [&mut bob, &mut bob2, &mut alice2] {
        let push = client.expect_push("deliver");
        assert_eq!((push.src.as_ref(), push.to.as_ref()), ("alice", "bob"));
        assert_eq!((push.body.as_ref(), push.limit, push.error), ("hello", 0, false));
        assert_eq!((push.time, push.seq), (reply.time, reply.seq));
        assert_eq!(push.msg_ids.iter().collect::<Vec<_>>(), [id(7)]);
        assert!(client.settle().is_empty(), "once each");
    }
    assert!(alice.settle().is_empty());
}

#[test]
fn the_same_send_again_gets_the_same_reply_and_stores_nothing_even_after_a_crash() {
    let mut server = TestServer::start("again", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    let send = ask("send").to("bob").body("once").id(1);
    let first = alice.done(&send);
    assert_eq!(alice.done(&send), first);
    assert_eq!(server.login("alice").done(&send), first, "in another session");
    assert_eq!(bob.settle().len(), 1);
    // Another sender's id is another id.
    let other = bob.done(&ask("send").to("alice").body("mine").id(1));
    assert_ne!(other.seq, first.seq);
    server.kill9();
    let server = server.restart();
    let mut alice = server.login("alice");
    assert_eq!(alice.done(&send), first);
    let (history, _) = alice.pages(&ask("history"));
    assert_eq!(history.len(), 2);
    // Pipelined twice at once, too.
    let twice = ask("send").to("bob").body("twice").id(2);
    alice.send_all([&twice, &twice]);
    let one = alice.reply();
    assert_eq!(alice.reply(), one);
    for conflict in [send.clone().body("else"), send.clone().to("alice")] {
        assert_eq!(alice.refused(&conflict), "id-conflict");
    }
    // A retry gets its answer though the receiver has gone meanwhile.
    server.login("bob").done(&ask("delete"));
    assert_eq!(alice.done(&send), first);
    assert_eq!(alice.refused(&send.clone().id(3)), "no-such-user");
}

#[test]
fn an_id_older_than_what_is_known_is_id_expired_where_seq_says_so() {
    let server = TestServer::start("expired", &["--segment-mib", "16"]);
    let mut alice = server.create("alice");
    let old = ask("send").to("alice").body("old").id(1).seq(1);
    let first = alice.done(&old);
    let sends: Vec<Ask> =
        (0..21_000).map(|number| ask("send").to("alice").body("x").id(100 + number)).collect();
    let seqs = pipeline(&mut alice, &sends);
    assert_eq!(alice.refused(&old), "id-expired");
    // The newest are known, as many as the window has.
    let place = sends.len() - limits::ID_WINDOW;
    assert_eq!(alice.done(&sends[place]).seq, seqs[place], "the same message");
    assert!(seqs[place] > first.seq);
}

/// Writes all from another thread and reads as many replies, which must be in order: their seqs.
fn pipeline(client: &mut RawClient, sends: &[Ask]) -> Vec<u64> {
    let mut writer = client.writer();
    scope(WHOLE, "all sends are answered", |scope| {
        scope.spawn(|| writer.send_all(sends));
        let mut seqs = Vec::new();
        for send in sends {
            let reply = client.reply();
            assert!(!reply.error, "{reply:?}");
            assert_eq!(reply.msg_ids, send.msg_ids);
            assert!(seqs.last().is_none_or(|last| reply.seq > *last));
            seqs.push(reply.seq);
        }
        seqs
    })
}

#[test]
fn a_message_to_oneself_is_stored_once_and_read() {
    let server = TestServer::start("self", &[]);
    let mut alice = server.create("alice");
    let mut other = server.login("alice");
    let reply = alice.tell("alice", "note");
    assert_eq!(other.expect_push("deliver").seq, reply.seq);
    assert!(other.settle().is_empty() && alice.settle().is_empty());
    let (history, _) = alice.pages(&ask("history"));
    assert_eq!(history.len(), 1);
    let login = server.login("alice").done(&ask("inbox"));
    let fields: Vec<&str> = login.body.split('\t').collect();
    assert_eq!(fields[..2], ["alice", "0"]);
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_code() {
    let server = TestServer::start("refused", &[]);
    let mut alice = server.create("alice");
    let hi = ask("send").to("alice").body("hi");
    assert_eq!(alice.refused(&ask("send").to("alice")), "empty-message");
    assert_eq!(alice.refused(&hi.clone().to("nobody")), "no-such-user");
    assert_eq!(alice.refused(&hi.clone().to("")), "no-such-user");
    let uuid = id(1);
    for ids in [
        &["1"][..],
        &[""],
        &[&uuid, &uuid],
        &[&uuid[..35]],
        &["g0000000-0000-0000-0000-000000000001"],
    ] {
        assert_eq!(alice.refused(&hi.clone().ids(ids)), "bad-id", "{ids:?}");
    }
    // What is refused has left nothing behind, not even its id.
    assert_eq!(alice.refused(&hi.clone().to("nobody").id(5)), "no-such-user");
    alice.done(&hi.clone().id(5));
    let longest = "é".repeat(32_767) + "x";
    alice.tell("alice", &longest);
    let (history, _) = alice.pages(&ask("history"));
    assert_eq!(history.iter().map(|message| message.body.len()).collect::<Vec<_>>(), [2, 65_535]);
}

#[test]
fn times_never_go_back_and_seqs_rise() {
    let server = TestServer::start("times", &[]);
    let mut alice = server.create("alice");
    let replies: Vec<_> = (0..50).map(|_| alice.tell("alice", "x")).collect();
    assert!(replies.windows(2).all(|two| two[0].seq < two[1].seq && two[0].time <= two[1].time));
}

#[test]
fn the_sender_takes_a_message_back_from_both_sides() {
    let mut server = TestServer::start("takeback", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    let mut alice2 = server.login("alice");
    for number in 1..=3 {
        alice.done(&ask("send").to("bob").body("x").id(number));
    }
    bob.settle();
    alice2.settle();
    let reply = alice.done(&ask("delete_msgs").ids(&[&id(1), &id(3), &id(77)]));
    assert_eq!(reply.limit, 2);
    for client in [&mut bob, &mut alice2] {
        let push = client.expect_push("taken_back");
        assert_eq!(push.msg_ids.iter().collect::<Vec<_>>(), [id(1), id(3)]);
        assert!(push.seq > 0);
    }
    assert!(alice.settle().is_empty());
    assert_eq!(alice.done(&ask("delete_msgs").id(1)).limit, 0, "it has gone already");
    server.kill9();
    let server = server.restart();
    for name in ["alice", "bob"] {
        let (history, _) = server.login(name).pages(&ask("history"));
        assert_eq!(history.len(), 1, "{name}");
    }
    assert_eq!(server.login("bob").done(&ask("inbox")).body.split('\t').nth(1), Some("1"));
}

#[test]
fn a_receiver_removes_a_message_from_its_own_side_only() {
    let server = TestServer::start("remove", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    let mut bob2 = server.login("bob");
    alice.done(&ask("send").to("bob").body("x").id(1));
    bob2.settle();
    assert_eq!(bob.done(&ask("delete_msgs").id(1)).limit, 1);
    assert_eq!(bob2.expect_push("taken_back").msg_ids.len(), 1);
    assert!(alice.settle().is_empty(), "the sender sees it still");
    assert!(bob.pages(&ask("history")).0.is_empty());
    assert_eq!(alice.pages(&ask("history")).0.len(), 1);
    // The sender can still take it back, which changes nothing that the receiver sees.
    assert_eq!(alice.done(&ask("delete_msgs").id(1)).limit, 1);
    assert!(bob.settle().iter().all(|push| push.cmd != "taken_back"));
}

#[test]
fn delete_msgs_keeps_to_the_conversation_it_names() {
    let server = TestServer::start("within", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    server.create("cat");
    alice.done(&ask("send").to("cat").body("x").id(1));
    // The same id, by another sender.
    bob.done(&ask("send").to("alice").body("y").id(1));
    assert_eq!(alice.done(&ask("delete_msgs").id(1).to("alice")).limit, 0);
    assert_eq!(alice.done(&ask("delete_msgs").id(1).to("bob")).limit, 1);
    let (history, _) = alice.pages(&ask("history"));
    assert_eq!(history.iter().map(|message| message.to.as_ref()).collect::<Vec<_>>(), ["cat"]);
    assert_eq!(bob.pages(&ask("history")).0.len(), 1);
    assert_eq!(alice.refused(&ask("delete_msgs")), "bad-id");
    assert_eq!(alice.refused(&ask("delete_msgs").ids(&["x"])), "bad-id");
    assert_eq!(alice.refused(&ask("delete_msgs").id(1).to("nobody")), "no-such-user");
}
