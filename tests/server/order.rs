//! The order of replies: pipelining, answers of several frames, logins.

use chatctl::protocol::framing::{Codec, Form};

use crate::support::bounded::{Bound, RUN, WHOLE, scope};
use crate::support::server::{Ask, RawClient, TestServer, ask, code, id, password_of};

#[test]
fn pipelined_requests_of_all_kinds_are_answered_in_their_order() {
    let server = TestServer::start("pipeline", &[]);
    let mut alice = server.create("alice");
    let mut requests = Vec::new();
    for round in 0..40u128 {
        requests.extend([
            ask("send").to("alice").body("x").id(1 + round),
            ask("send").to("nobody").body("x"),
            ask("send").to("alice").body("x").id(1 + round),
            ask("ping"),
            ask("send").to("alice").body("y").id(1_000 + round),
            ask("history").limit(2),
            ask("list"),
            ask("nonsense"),
            ask("read").to("alice").seq(1),
            ask("delete_msgs").id(1_000 + round),
            ask("token"),
            ask("deliver").limit(1),
            ask("inbox"),
        ]);
    }
    alice.send_all(&requests);
    for (place, request) in requests.iter().enumerate() {
        let mut reply = alice.reply();
        while reply.cmd == "deliver" && ["history", "deliver"].contains(&request.cmd.as_ref()) {
            assert!(reply.limit > 0);
            reply = alice.read();
        }
        let expected = if request.cmd == "deliver" { "delivered" } else { request.cmd.as_ref() };
        assert_eq!(reply.cmd, expected, "{place}");
        match (request.cmd.as_ref(), request.to.as_ref()) {
            ("send", "nobody") => assert_eq!(code(&reply), "no-such-user"),
            ("nonsense", _) => assert_eq!(code(&reply), "unknown-command"),
            ("send", _) => assert_eq!(reply.msg_ids, request.msg_ids),
            ("history", _) => assert_eq!(reply.limit, 2, "it sees what was sent before"),
            ("delete_msgs", _) => assert_eq!(reply.limit, 1),
            _ => assert!(!reply.error, "{reply:?}"),
        }
    }
}

#[test]
fn requests_behind_a_login_wait_for_it() {
    let server = TestServer::start("behind", &["--password-iterations", "50000"]);
    let password = password_of("alice");
    let requests = [
        ask("create").src("alice").body(&password),
        ask("send").to("alice").body("one"),
        ask("logoff"),
        ask("send").to("alice").body("lost"),
        ask("login").src("alice").body("wrong"),
        ask("login").src("alice").body(&password),
        ask("send").to("alice").body("two"),
        ask("passwd").body("new"),
        ask("send").to("alice").body("three"),
        ask("login").src("alice").body(&password),
        ask("ping"),
    ];
    let codes =
        ["", "", "", "not-logged-in", "wrong-credentials", "", "", "", "", "wrong-credentials", ""];
    let mut client = server.connect();
    client.send_all(&requests);
    for (request, expected) in requests.iter().zip(codes) {
        let reply = client.reply();
        assert_eq!((reply.cmd.as_ref(), code(&reply).as_str()), (request.cmd.as_ref(), expected));
    }
    // A login that failed left the session as it was.
    assert_eq!(client.pages(&ask("history")).0.len(), 3);
}

#[test]
fn no_push_comes_inside_an_answer_of_several_frames() {
    let server = TestServer::start("contiguous", &[]);
    let mut alice = server.create("alice");
    for (form, codec) in [(Form::Frames, Codec::Binary), (Form::Lines, Codec::Json)] {
        let name = format!("bob-{codec:?}").to_lowercase();
        let mut bob = RawClient::connect(server.address(), form, codec);
        bob.create(&name);
        let sends: Vec<Ask> = (0..3_000).map(|_| ask("send").to(&name).body("x")).collect();
        let mut writer = alice.writer();
        scope(WHOLE, "all is sent, answered and read", |scope| {
            scope.spawn(|| writer.send_all(&sends));
            let reader = &mut alice;
            scope.spawn(move || (0..3_000).for_each(|_| drop(reader.reply())));
            // Holds in itself that frames are contiguous and counted down.
            let bound = Bound::within(RUN, "a page of 1,000 is synced");
            while bob.pages(&ask("sync").limit(1_000)).0.len() < 1_000 {
                bound.check();
                bob.pages(&ask("history").limit(1_000));
                bob.pages(&ask("deliver"));
            }
        });
        let (pushes, told): (Vec<_>, Vec<_>) =
            bob.settle().into_iter().partition(|push| push.cmd == "deliver");
        let in_order = pushes.windows(2).all(|two| two[0].seq < two[1].seq);
        assert!(in_order, "each once, in order");
        // Where long answers were not read fast enough some were left out, and that was told.
        assert!(told.iter().all(|push| push.cmd == "lagging"));
        assert!(pushes.len() == 3_000 || !told.is_empty());
    }
}

#[test]
fn who_closes_its_writing_side_still_gets_its_answers_and_then_the_close() {
    let server = TestServer::start("halfclose", &["--password-iterations", "20000"]);
    let mut client = server.connect();
    client.send_all([
        &ask("create").src("alice").body("x"),
        &ask("send").to("alice").body("x"),
        &ask("history"),
        &ask("ping"),
    ]);
    client.write_raw(&[0, 0]);
    client.end_writing();
    for cmd in ["create", "send", "deliver", "history", "ping"] {
        assert_eq!(client.reply().cmd, cmd);
    }
    client.expect_close();
}

/// How many deletions meet pages of history that are being made.
const DELETIONS: u128 = 60;

#[test]
fn that_a_message_is_taken_back_is_said_behind_the_page_that_shows_it() {
    let server = TestServer::start("taken-back-behind", &[]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    let sends: Vec<Ask> = (1..=1_000).map(|n| ask("send").to("bob").body("x").id(n)).collect();
    alice.send_all(&sends);
    sends.iter().for_each(|_| drop(alice.reply()));
    bob.settle();
    // So many that a deletion is committed while one of them is being made.
    let pages = vec![ask("history").limit(1_000); 8];
    let mut behind = 0;
    for number in 1..=DELETIONS {
        let gone = id(number);
        bob.send_all(&pages);
        alice.send(&ask("delete_msgs").id(number));
        let (mut shown, mut was_said, mut left) = (false, false, pages.len());
        let bound = Bound::within(RUN, "all pages and the deletion are heard");
        while left > 0 || !was_said {
            bound.check();
            let frame = bob.read();
            match frame.cmd.as_ref() {
                "history" => left -= 1,
                "taken_back" => {
                    assert!(frame.msg_ids.iter().any(|id| id == gone));
                    behind += usize::from(shown);
                    was_said = true;
                }
                _ => {
                    let is_gone = frame.msg_ids.iter().any(|id| id == gone);
                    assert!(!(is_gone && was_said), "{gone} is shown after it was taken back");
                    shown |= is_gone;
                }
            }
        }
        alice.reply();
    }
    assert!(behind > 0, "no deletion met a page");
}
