//! One conversation, held in every form and codec: the answers are the same.

use chatctl::protocol::framing::{Codec, Form};
use chatctl::protocol::{Message, MsgIds};

use crate::support::bounded::connected;
use crate::support::server::{Ask, RawClient, TestServer, ask, id, is_push, password_of};

/// A message without what differs from one server to the next: times, the cluster's id, tokens.
fn normal(message: &Message<'_>) -> String {
    let mut message = message.clone();
    message.time = message.time.min(1);
    match message.cmd.as_ref() {
        "login" | "create" | "resume" if !message.error => {
            assert_eq!(message.msg_ids.len(), 1, "{message:?}");
            message.msg_ids = MsgIds::one("the cluster");
        }
        "token" if !message.error => message.body = "a token".into(),
        "inbox" if !message.error => {
            let lines = message.body.lines().map(|line| line.rsplit_once('\t').unwrap().0);
            message.body = lines.collect::<Vec<_>>().join("\n").into();
        }
        "server_status" => {
            let lines = message.body.lines().filter(|line| !line.starts_with("primary "));
            message.body = lines.collect::<Vec<_>>().join("\n").into();
        }
        _ => {}
    }
    let known = |id: &str| id.starts_with("00000000-") || id == "the cluster";
    if message.msg_ids.iter().any(|id| !known(id)) {
        message.msg_ids = MsgIds::one("made by the server");
    }
    if matches!(message.msg_ids, MsgIds::Many(ref ids) if ids.is_empty()) {
        message.msg_ids = MsgIds::default();
    }
    format!("{message:?}")
}

/// Two people and what each has heard.
struct Talk<'a> {
    server: &'a TestServer,
    form: Form,
    codec: Codec,
    clients: Vec<RawClient>,
    heard: Vec<String>,
}

impl Talk<'_> {
    fn enter(&mut self) -> usize {
        self.clients.push(RawClient::connect(self.server.address(), self.form, self.codec));
        self.clients.len() - 1
    }

    /// One asks; what everyone hears until all is quiet is kept.
    fn say(&mut self, who: usize, request: &Ask) -> Message<'static> {
        let client = &mut self.clients[who];
        client.send(request);
        client.send(&ask("ping"));
        let mut answer = Message::default();
        loop {
            let message = client.reply();
            if message.cmd == "ping" && request.cmd != "ping" || !answer.cmd.is_empty() {
                break;
            }
            self.heard.push(format!("{who}: {}", normal(&message)));
            let frame = ["deliver", "taken_back", "read_moved"].contains(&message.cmd.as_ref());
            if !frame || message.error {
                answer = message;
            }
        }
        for (number, client) in self.clients.iter_mut().enumerate() {
            for push in client.settle() {
                self.heard.push(format!("{number} hears: {}", normal(&push)));
            }
        }
        answer
    }

    fn refused(&mut self, who: usize, request: &Ask, code: &str) {
        let answer = self.say(who, request);
        assert!(answer.error && answer.body.starts_with(&format!("{code}: ")), "{answer:?}");
    }

    fn done(&mut self, who: usize, request: &Ask) -> Message<'static> {
        let answer = self.say(who, request);
        assert!(!answer.error, "{request:?}: {answer:?}");
        answer
    }
}

/// Every request of the page, and every code that one healthy server gives.
fn converse(talk: &mut Talk<'_>) {
    let (alice, bob) = (talk.enter(), talk.enter());
    before_login(talk, alice);
    talk.done(alice, &ask("create").src("Alice").body("pw"));
    talk.done(bob, &ask("create").src("bob").body(&password_of("bob")));
    accounts(talk, alice, bob);
    messages(talk, alice, bob);
    deletions(talk, alice, bob);
    farewell(talk, alice, bob);
}

fn before_login(talk: &mut Talk<'_>, alice: usize) {
    talk.done(alice, &ask("ping"));
    talk.done(alice, &ask("server_status"));
    talk.refused(alice, &ask("shout"), "unknown-command");
    talk.refused(alice, &ask("send").to("bob").body("x"), "not-logged-in");
    talk.refused(alice, &ask("create").src("no good").body("x"), "bad-name");
    talk.refused(alice, &ask("create").src("alice"), "bad-password");
    talk.refused(alice, &ask("login").src("alice").body("x"), "wrong-credentials");
    talk.refused(alice, &ask("resume").src("alice").body("x"), "bad-token");
}

fn accounts(talk: &mut Talk<'_>, alice: usize, bob: usize) {
    let again = talk.enter();
    talk.done(again, &ask("create").src("alice").body("pw"));
    talk.refused(again, &ask("create").src("alice").body("other"), "name-taken");
    talk.done(again, &ask("login").src("ALICE").body("pw"));
    let token = talk.done(again, &ask("token")).body.into_owned();
    talk.done(again, &ask("logoff"));
    talk.refused(again, &ask("token"), "not-logged-in");
    talk.done(again, &ask("resume").src("alice").body(&token));
    talk.refused(again, &ask("passwd").body("new"), "forbidden");
    talk.refused(again, &ask("delete"), "forbidden");
    talk.refused(again, &ask("list").src("bob"), "forbidden");
    talk.done(again, &ask("list"));
    talk.done(again, &ask("list").body("a*").limit(1));
    talk.refused(again, &ask("list").body("[a"), "bad-pattern");
    talk.done(again, &ask("who").body("[ab]*").to("alice"));
    talk.done(bob, &ask("passwd").body("bob's new one"));
    talk.done(alice, &ask("passwd").body("pw2"));
    talk.refused(again, &ask("list"), "not-logged-in");
    talk.refused(again, &ask("resume").src("alice").body(&token), "bad-token");
    talk.done(again, &ask("login").src("alice").body("pw2"));
}

fn messages(talk: &mut Talk<'_>, alice: usize, bob: usize) {
    let first = talk.done(alice, &ask("send").to("bob").body("hé \"\\\n\u{1F980}").id(1));
    talk.done(alice, &ask("send").to("bob").body("hé \"\\\n\u{1F980}").id(1));
    talk.refused(alice, &ask("send").to("bob").body("other").id(1), "id-conflict");
    talk.refused(alice, &ask("send").to("bob").id(2), "empty-message");
    talk.refused(alice, &ask("send").to("bob").body("x").ids(&["1"]), "bad-id");
    talk.refused(alice, &ask("send").to("nobody").body("x").id(3), "no-such-user");
    talk.done(alice, &ask("send").to("bob").body("no id"));
    talk.done(alice, &ask("send").to("alice").body("note").id(4));
    talk.done(bob, &ask("send").src("bob").to("ALICE").body(&"long ".repeat(10_000)).id(5));
    talk.done(bob, &ask("inbox"));
    talk.done(bob, &ask("read").to("alice").seq(first.seq));
    talk.refused(bob, &ask("read").to("nobody").seq(1), "no-such-user");
    talk.done(alice, &ask("read").to("bob").seq(u64::MAX));
    talk.done(bob, &ask("deliver"));
    talk.done(bob, &ask("deliver").limit(1));
    talk.done(bob, &ask("deliver").limit(1000));
    talk.done(bob, &ask("deliver").limit(1000));
    talk.done(alice, &ask("history"));
    talk.done(alice, &ask("history").to("bob").limit(1));
    talk.done(alice, &ask("history").to("bob").body("after").seq(first.seq).limit(1000));
    talk.refused(alice, &ask("history").body("sideways"), "bad-cursor");
    talk.done(alice, &ask("sync").seq(0).limit(3));
    talk.done(alice, &ask("sync").seq(first.seq).limit(1000));
}

fn deletions(talk: &mut Talk<'_>, alice: usize, bob: usize) {
    talk.refused(alice, &ask("delete_msgs"), "bad-id");
    talk.done(alice, &ask("delete_msgs").ids(&[&id(1), &id(99)]));
    talk.done(alice, &ask("delete_msgs").id(5).to("bob"));
    talk.done(bob, &ask("history"));
    talk.done(bob, &ask("sync").limit(1000));
    talk.done(alice, &ask("sync").limit(1000));
}

fn farewell(talk: &mut Talk<'_>, alice: usize, bob: usize) {
    talk.done(bob, &ask("delete"));
    talk.refused(bob, &ask("inbox"), "not-logged-in");
    talk.refused(bob, &ask("create").src("bob").body("x"), "name-taken");
    talk.refused(alice, &ask("send").to("bob").body("x").id(6), "no-such-user");
    talk.done(alice, &ask("history").to("bob"));
    talk.done(alice, &ask("list").body("all"));
}

fn transcript(form: Form, codec: Codec) -> Vec<String> {
    let server = TestServer::start("conversation", &[]);
    let mut talk = Talk { server: &server, form, codec, clients: Vec::new(), heard: Vec::new() };
    converse(&mut talk);
    talk.heard
}

#[test]
fn the_same_conversation_has_the_same_answers_in_every_form_and_codec() {
    let lines = transcript(Form::Lines, Codec::Json);
    let json = transcript(Form::Frames, Codec::Json);
    let binary = transcript(Form::Frames, Codec::Binary);
    assert!(lines.len() > 90, "{lines:#?}");
    for (others, what) in [(&json, "framed JSON"), (&binary, "binary")] {
        for (place, (one, other)) in lines.iter().zip(others).enumerate() {
            assert_eq!(one, other, "answer {place} in lines and in {what}");
        }
        assert_eq!(lines.len(), others.len());
    }
}

#[test]
fn each_reply_is_in_its_requests_codec_and_a_push_in_the_latest_requests() {
    let server = TestServer::start("mixed", &[]);
    let mut bob = server.create("bob");
    let mut alice = server.create("alice");
    for (number, codec) in [Codec::Json, Codec::Binary, Codec::Json].into_iter().enumerate() {
        bob.set_codec(codec);
        bob.send(&ask("ping"));
        let (reply, written_in) = bob.try_read_with_codec().unwrap();
        assert_eq!((reply.cmd.as_ref(), written_in), ("ping", codec));
        alice.tell("bob", &format!("{number}"));
        let (push, written_in) = bob.try_read_with_codec().unwrap();
        assert!(is_push(&push));
        assert_eq!((push.body.as_ref(), written_in), (number.to_string().as_str(), codec));
    }
    // Pipelined in turns.
    let mut bytes = Vec::new();
    for codec in [Codec::Binary, Codec::Json, Codec::Binary] {
        bob.set_codec(codec);
        bytes.extend(bob.encoded(&ask("history").limit(2)));
    }
    bob.write_raw(&bytes);
    for codec in [Codec::Binary, Codec::Json, Codec::Binary] {
        for cmd in ["deliver", "deliver", "history"] {
            let (frame, written_in) = bob.try_read_with_codec().unwrap();
            assert_eq!((frame.cmd.as_ref(), written_in), (cmd, codec));
        }
    }
}

/// A client made from the page's words alone: nothing of the program's codecs is used.
#[test]
fn a_client_written_from_the_page_alone_works() {
    use std::io::{Read, Write};
    let server = TestServer::start("page", &[]);
    let mut socket = connected(server.address());
    let mut ask = |cmd: &[u8], src: &[u8], to: &[u8], body: &[u8]| {
        let mut payload = Vec::new();
        for text in [cmd, src, to] {
            payload.push(text.len() as u8);
            payload.extend_from_slice(text);
        }
        payload.extend_from_slice(&(body.len() as u16).to_be_bytes());
        payload.extend_from_slice(body);
        payload.push(0);
        // Writers always send the middle tail: no ids, limit 0.
        payload.extend_from_slice(&[0, 0, 0, 0]);
        socket.write_all(&(payload.len() as u32).to_be_bytes()).unwrap();
        socket.write_all(&payload).unwrap();
        let mut length = [0; 4];
        socket.read_exact(&mut length).unwrap();
        let mut reply = vec![0; u32::from_be_bytes(length) as usize];
        socket.read_exact(&mut reply).unwrap();
        reply
    };
    let reply = ask(b"create", b"ann", b"", b"secret");
    assert_eq!(&reply[..12], b"\x06create\x00\x03ann");
    let reply = ask(b"send", b"ann", b"ann", b"hello");
    let head = b"\x04send\x00\x03ann\x00\x00\x00";
    assert_eq!(&reply[..head.len()], head);
    // One id as JSON text: ["8-4-4-4-12"]; then limit, time, seq.
    let ids = &reply[head.len()..];
    assert_eq!(&ids[..4], b"\x00\x28[\"");
    assert_eq!(ids.len(), 2 + 40 + 2 + 16);
    let reply = ask(b"nonsense", b"", b"", b"");
    assert_eq!(&reply[..9], b"\x08nonsense");
    let body = &reply[11..];
    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
    assert!(body[2..2 + length].starts_with(b"unknown-command: "));
    assert_eq!(body[2 + length], 1, "the error byte");
}
