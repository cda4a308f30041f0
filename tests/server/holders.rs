//! Those who hold on to what all need: requests that are never finished, answers that are never read.

use std::io::ErrorKind;
use std::time::Duration;

use chatctl::limits;

use crate::support::TempDir;
use crate::support::server::{Ask, Launch, RawClient, TestServer, ask};

/// A server with a Unix socket, whose buffers in the system are small.
fn start(home: &TempDir) -> TestServer {
    let socket = format!("unix:{}", home.path().join("socket").display());
    Launch::on(&home.path().join("data")).listen(&[&socket]).start()
}

/// A connection that has sent all of a frame as long as may be, but its last byte; what the server
/// does not read at once is left out.
fn unfinished(server: &TestServer) -> RawClient {
    let mut frame = (limits::PAYLOAD_BYTES as u32).to_be_bytes().to_vec();
    frame.resize(3 + limits::PAYLOAD_BYTES, b' ');
    let mut client = server.connect();
    client.set_patience(Duration::from_millis(50));
    let _ = client.try_write_raw(&frame);
    client
}

/// Half as many again as all connections together may have.
fn unfinished_past_the_bound(server: &TestServer) -> Vec<RawClient> {
    let count = 3 * limits::INPUT_TOTAL_BYTES / limits::PAYLOAD_BYTES / 2;
    (0..count).map(|_| unfinished(server)).collect()
}

#[test]
fn requests_that_are_never_finished_take_a_bounded_room_and_make_way_for_others() {
    let home = TempDir::new("unfinished");
    let server = start(&home);
    let mut alice = server.create("alice");
    let before = server.resident_bytes();
    let bound = limits::INPUT_TOTAL_BYTES;
    let holders = unfinished_past_the_bound(&server);
    let count = holders.len();
    let grown = server.resident_bytes() - before;
    assert!(grown > bound as u64 / 2, "they do wait in memory: {grown}");
    let most = 2 * (bound + count * limits::INPUT_SURE_BYTES);
    assert!(grown < most as u64, "{grown} bytes for {count} requests");
    // A request that needs no more than what is anybody's is answered at once, a larger one when
    // those that have not moved for longest are let go.
    alice.done(&ask("ping"));
    alice.tell("alice", "short");
    alice.tell("alice", &"long".repeat(limits::BODY_BYTES / 4));
    let is_let_go = |mut holder: RawClient| {
        holder.try_read().is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
    };
    assert!(holders.into_iter().any(is_let_go), "somebody was let go");
}

#[test]
fn those_who_leave_make_room_for_whoever_waits() {
    let home = TempDir::new("unfinished-left");
    let server = start(&home);
    let mut alice = server.create("alice");
    let mut other = server.login("alice");
    let holders = unfinished_past_the_bound(&server);
    alice.send(&ask("send").to("alice").id(1).body(&"long".repeat(limits::BODY_BYTES / 4)));
    // Once this is answered the server has seen the one before, of which it has not taken all.
    other.done(&ask("ping"));
    drop(holders);
    assert_eq!(alice.reply().cmd, "send");
}

/// How many messages of its answers come before the end of it, or of the connection.
fn read_all(mut client: RawClient) -> usize {
    let (mut count, mut answers) = (0, 0);
    while answers < 3
        && let Ok(frame) = client.try_read()
    {
        answers += usize::from(frame.cmd == "history");
        count += usize::from(frame.cmd == "deliver");
    }
    count
}

#[test]
fn answers_that_nobody_reads_are_bounded_for_all_connections_together_and_make_way_for_others() {
    let home = TempDir::new("unread-all");
    let server = start(&home);
    let mut alice = server.create("alice");
    let text = "page".repeat(15_000);
    let sends: Vec<Ask> = (1..=16).map(|n| ask("send").to("alice").body(&text).id(n)).collect();
    alice.send_all(&sends);
    sends.iter().for_each(|_| drop(alice.reply()));
    let before = server.resident_bytes();
    // Each asks for three pages of four messages, and would have to read some for the third.
    let bound = limits::OUTPUT_TOTAL_BYTES;
    let count = 3 * bound / (2 * limits::PAGE_BYTES);
    let mut deaf: Vec<RawClient> = (0..count).map(|_| server.login("alice")).collect();
    let history = ask("history").limit(1_000);
    deaf.iter_mut().for_each(|client| client.send_all([&history, &history, &history]));
    // Some of the pages are read in each turn, and every answer to a ping takes one.
    let turns = 3 * count * limits::PAGE_BYTES / limits::TURN_ENTRIES_BYTES + 1;
    (0..turns).for_each(|_| drop(alice.done(&ask("ping"))));
    let grown = (server.resident_bytes() - before) as usize;
    assert!(grown > bound / 2, "the pages do wait in memory: {grown}");
    // What the system has taken of a page stands in its buffer too, until it is half of it.
    assert!(grown < bound + bound / 2, "{grown} bytes for {count} pages");
    // Those who read make room for those who wait, and those who never do are let go for them.
    assert_eq!(alice.pages(&history.to("alice")).0.len(), 4);
    let whole = deaf.into_iter().rev().map(read_all).filter(|length| *length >= 3 * 4).count();
    assert!(0 < whole && whole < count, "{whole} of {count} were answered");
}
