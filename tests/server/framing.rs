//! What a connection's bytes may be: first bytes, frames, lines, splits, and what is no request.

use chatctl::protocol::framing::{Codec, Form};
use chatctl::protocol::json;

use crate::support::bounded::{WHOLE, scope};
use crate::support::server::{Ask, RawClient, TestServer, ask, code};

const FORMS: [(Form, Codec); 3] =
    [(Form::Lines, Codec::Json), (Form::Frames, Codec::Json), (Form::Frames, Codec::Binary)];

const MIB: usize = 1 << 20;

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// A `ping` as JSON of exactly `bytes` bytes.
fn padded_ping(bytes: usize) -> Vec<u8> {
    let mut payload = b"{\"cmd\": \"ping\"".to_vec();
    payload.resize(bytes - 1, b' ');
    payload.push(b'}');
    payload
}

#[test]
fn a_first_byte_that_begins_no_form_gets_one_json_line_and_a_close() {
    let server = TestServer::start("first", &[]);
    for byte in 1..=255u8 {
        if b"{ \t\r\n".contains(&byte) {
            continue;
        }
        let mut client = RawClient::connect(server.address(), Form::Lines, Codec::Json);
        client.write_raw(&[byte, byte]);
        let text = client.read_to_close();
        let line = text.strip_suffix(b"\n").expect("a whole line");
        let reply = json::decode(line).expect("one JSON object");
        assert_eq!((reply.cmd.as_ref(), code(&reply).as_str()), ("error", "bad-frame"), "{byte}");
    }
}

#[test]
fn blank_lines_before_and_between_requests_are_passed_over() {
    let server = TestServer::start("blank", &[]);
    for first in [" ", "\t", "\r", "\n"] {
        let mut client = RawClient::connect(server.address(), Form::Lines, Codec::Json);
        let text = format!("{first} \r\n\n \t\n{{\"cmd\":\"ping\"}}\r\n\n {{\"cmd\":\"list\"}} \n");
        client.write_raw(text.as_bytes());
        assert_eq!(client.reply().cmd, "ping");
        assert_eq!(code(&client.reply()), "not-logged-in");
    }
}

#[test]
fn a_request_that_cannot_be_read_is_a_bad_frame_and_the_next_is_served() {
    let server = TestServer::start("badframe", &[]);
    let bad_json: [&[u8]; 10] = [
        b"{",
        b"{}",
        b"{\"cmd\": \"ping\"} x",
        b"{\"cmd\": \"ping\", \"cmd\": \"ping\"}",
        b"{\"cmd\": 1}",
        b"{\"cmd\": \"ping\", \"limit\": 65536}",
        b"{\"cmd\": \"ping\", \"limit\": 1.5}",
        b"{\"cmd\": \"\\ud800\"}",
        b"{\"cmd\": \"\xff\"}",
        b"{\"cmd\": \"ping\", \"x\": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}",
    ];
    for payload in bad_json {
        let mut line = payload.to_vec();
        line.push(b'\n');
        expect_bad_then_ping(&server, Form::Lines, Codec::Json, &line, "bad-frame");
        expect_bad_then_ping(&server, Form::Frames, Codec::Json, &frame(payload), "bad-frame");
    }
    let bad_binary: [&[u8]; 7] = [
        b"",
        b"\x04ping",
        b"\x04ping\x00\x00\x00\x00\x02",
        b"\x04ping\x00\x00\x00\x00",
        b"\x00\x00\x00\x00\x00\x00",
        b"\x04ping\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01",
        b"\x04pin\xff\x00\x00\x00\x00\x00",
    ];
    for payload in bad_binary {
        expect_bad_then_ping(&server, Form::Frames, Codec::Binary, &frame(payload), "bad-frame");
    }
    let long_cmd = format!("{{\"cmd\": \"{}\"}}", "x".repeat(33));
    let long_body = format!("{{\"cmd\": \"send\", \"body\": \"{}\"}}", "x".repeat(65_536));
    for payload in [long_cmd, long_body] {
        let bytes = frame(payload.as_bytes());
        expect_bad_then_ping(&server, Form::Frames, Codec::Json, &bytes, "too-long");
        let line = payload + "\n";
        expect_bad_then_ping(&server, Form::Lines, Codec::Json, line.as_bytes(), "too-long");
    }
}

fn expect_bad_then_ping(server: &TestServer, form: Form, codec: Codec, bytes: &[u8], error: &str) {
    let mut client = RawClient::connect(server.address(), form, codec);
    let mut written = bytes.to_vec();
    written.extend(client.encoded(&ask("ping")));
    client.write_raw(&written);
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]);
    let (reply, written_in) = client.try_read_with_codec().expect("an answer");
    assert_eq!((reply.cmd.as_ref(), code(&reply).as_str()), ("error", error), "{shown:?}");
    assert_eq!(written_in, codec, "{shown:?}");
    assert_eq!(client.reply().cmd, "ping", "{shown:?}");
}

#[test]
fn a_payload_of_one_mebibyte_is_served() {
    let server = TestServer::start("mebibyte", &[]);
    for ending in ["\n", "\r\n"] {
        let mut client = RawClient::connect(server.address(), Form::Lines, Codec::Json);
        let mut line = padded_ping(MIB);
        line.extend_from_slice(ending.as_bytes());
        client.write_raw(&line.repeat(2));
        assert_eq!(client.reply().cmd, "ping");
        assert_eq!(client.reply().cmd, "ping");
    }
    let mut client = RawClient::connect(server.address(), Form::Frames, Codec::Json);
    client.write_raw(&frame(&padded_ping(MIB)).repeat(2));
    assert_eq!(client.reply().cmd, "ping");
    assert_eq!(client.reply().cmd, "ping");
}

#[test]
fn past_one_mebibyte_the_answer_arrives_though_the_client_goes_on_writing() {
    let server = TestServer::start("toolong", &[]);
    let mut line = padded_ping(MIB + 1);
    line.push(b'\n');
    let starts = [
        (FORMS[0], line),
        (FORMS[0], vec![b' '; MIB + 2]),
        (FORMS[1], ((MIB + 1) as u32).to_be_bytes().to_vec()),
        (FORMS[2], vec![0, 255, 255, 255]),
        (FORMS[2], {
            let mut client = RawClient::connect(server.address(), Form::Frames, Codec::Binary);
            let mut bytes = client.encoded(&ask("ping"));
            client.end_writing();
            bytes.push(1);
            bytes
        }),
    ];
    for ((form, codec), start) in starts {
        let mut client = RawClient::connect(server.address(), form, codec);
        let mut writer = client.writer();
        scope(WHOLE, "the answer comes and the connection ends", |scope| {
            scope.spawn(move || {
                let more = vec![b'x'; 256 * 1024];
                // Until the server has closed, which is what it may do.
                let _ = writer.try_write_raw(&start);
                (0..32).all(|_| writer.try_write_raw(&more).is_ok())
            });
            let mut reply = client.reply();
            if reply.cmd == "ping" {
                reply = client.reply();
            }
            assert_eq!((reply.cmd.as_ref(), code(&reply).as_str()), ("error", "too-long"));
            let rest = client.read_to_close();
            assert!(rest.is_empty(), "one answer, then the end");
        });
    }
    server.create("alice").tell("alice", "the others are served");
}

/// Requests whose answers depend on every byte.
fn requests() -> [Ask; 3] {
    [
        ask("create").src("alice").body("p"),
        ask("send").to("alice").body("é\u{1F980}").id(5),
        ask("history").limit(1),
    ]
}

fn expect_answers(client: &mut RawClient) {
    assert_eq!(client.reply().to, "alice");
    assert_eq!(client.reply().msg_ids.len(), 1);
    assert_eq!(client.reply().body, "é\u{1F980}");
    assert_eq!(client.reply().cmd, "history");
}

#[test]
fn requests_are_understood_however_their_bytes_are_split() {
    let server = TestServer::start("split", &["--password-iterations", "1"]);
    // Once another connection's ping is answered, what was written before it has been read.
    let mut barrier = server.connect();
    for (form, codec) in FORMS {
        let client = RawClient::connect(server.address(), form, codec);
        let bytes: Vec<u8> = requests().iter().flat_map(|ask| client.encoded(ask)).collect();
        for place in 1..bytes.len() {
            let mut client = RawClient::connect(server.address(), form, codec);
            client.write_raw(&bytes[..place]);
            barrier.done(&ask("ping"));
            client.write_raw(&bytes[place..]);
            expect_answers(&mut client);
        }
        let mut client = RawClient::connect(server.address(), form, codec);
        for byte in &bytes {
            client.write_raw(&[*byte]);
            barrier.done(&ask("ping"));
        }
        expect_answers(&mut client);
    }
}

#[test]
fn half_a_request_at_a_close_is_nothing() {
    let server = TestServer::start("half", &[]);
    let mut alice = server.create("alice");
    for (form, codec) in FORMS {
        let mut client = RawClient::connect(server.address(), form, codec);
        client.create("bob-half");
        let bytes = client.encoded(&ask("send").to("alice").body("half"));
        client.write_raw(&bytes[..bytes.len() - 1]);
        client.end_writing();
        client.expect_close();
        let mut client = RawClient::connect(server.address(), form, codec);
        client.end_writing();
        client.expect_close();
    }
    assert!(alice.settle().is_empty());
}
