//! Many connections at once.

use chatctl::protocol::framing::{Codec, Form};
use chatctl::sys::process;

use crate::support::server::{RawClient, TestServer, ask, id};
use crate::support::without_other_crowds;

const ACTIVE: usize = 1_000;
const IDLE: usize = 10_000;

#[test]
fn a_thousand_active_connections_and_ten_thousand_idle_ones_are_served_at_once() {
    let _alone = without_other_crowds();
    let needed = (ACTIVE + IDLE + 500) as u64;
    let (_, hard) = process::open_files_limit();
    if hard < needed {
        println!("skipped: {needed} open files are needed, the hard limit is {hard}");
        return;
    }
    process::raise_open_files_limit();
    let flags = ["--max-connections", "12000", "--password-iterations", "1"];
    let server = TestServer::start("many", &flags);
    let mut first = server.create("first");
    let token = first.done(&ask("token")).body.into_owned();
    let mut active = active(&server);
    converse(&mut active);
    let before = server.resident_bytes();
    let resume = ask("resume").src("first").body(&token);
    let mut idle = Vec::with_capacity(IDLE);
    while idle.len() < IDLE {
        // In groups, so that none has to wait in a queue of the system that is full.
        let mut group: Vec<RawClient> = (0..100).map(|_| server.connect()).collect();
        group.iter_mut().for_each(|client| client.send(&resume));
        group.iter_mut().for_each(|client| assert_eq!(client.reply().to, "first"));
        idle.extend(group);
    }
    let each = (server.resident_bytes() - before) / IDLE as u64;
    println!("resident memory of an idle connection: {each} bytes");
    assert!(each < 4_096, "{each}");
    converse(&mut active);
    let mut honest = RawClient::connect(server.address(), Form::Lines, Codec::Json);
    honest.create("honest");
    honest.tell("client0", "heard");
    assert_eq!(active[0].expect_push("deliver").body, "heard");
    // One message for ten thousand.
    honest.tell("first", "everyone");
    for client in idle.iter_mut().chain([&mut first]) {
        assert_eq!(client.expect_push("deliver").body, "everyone");
    }
}

fn active(server: &TestServer) -> Vec<RawClient> {
    let mut clients: Vec<RawClient> = Vec::with_capacity(ACTIVE);
    // In groups, so that none comes when too many passwords wait already.
    while clients.len() < ACTIVE {
        let first = clients.len();
        clients.extend((0..100).map(|_| server.connect()));
        let name = |number: usize| format!("client{}", first + number);
        for (number, client) in clients[first..].iter_mut().enumerate() {
            client.send(&ask("create").src(&name(number)).body("x"));
        }
        for (number, client) in clients[first..].iter_mut().enumerate() {
            assert_eq!(client.reply().to, name(number));
        }
    }
    clients
}

/// Each sends to the next, is answered, and hears from the one before.
fn converse(clients: &mut [RawClient]) {
    for (number, client) in clients.iter_mut().enumerate() {
        let to = format!("client{}", (number + 1) % ACTIVE);
        client.send(&ask("send").to(&to).body(&format!("from {number}")));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let reply = client.reply();
        assert!(!reply.error, "{reply:?}");
        assert_ne!(reply.msg_ids.iter().next(), Some(id(0).as_str()));
        let from = (number + ACTIVE - 1) % ACTIVE;
        assert_eq!(client.expect_push("deliver").body, format!("from {from}"));
    }
}
