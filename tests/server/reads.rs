//! History that the system has not in memory: the reading thread has it, and its queue is bounded.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use chatctl::limits;

use crate::support::TempDir;
use crate::support::bounded::{Run, fifo_writer};
use crate::support::server::{Ask, Launch, RawClient, ask, code, password_of};
use crate::support::sys;

/// How many ask for more than the queue takes.
const TOO_MANY: usize = 5;

/// Whether the system has the beginning of the file in memory, as far as it can say.
fn is_cached(file: &File) -> bool {
    let mut first = [0; 512];
    chatctl::sys::file::read_nowait(file, &mut first, 0).expect("it can be read").is_some()
}

/// Has the system forget what it has of the file in memory, as it does when it needs the room. False
/// where it cannot be told so.
fn forget(path: &Path) -> bool {
    let file = File::open(path).expect("the file is there");
    let was_cached = is_cached(&file);
    sys::forget_cached(&file).expect("the system takes the advice");
    was_cached && !is_cached(&file)
}

#[test]
fn reads_past_the_queue_of_the_reading_thread_are_busy_and_the_rest_goes_on() {
    let home = TempDir::new("reads");
    let socket = format!("unix:{}", home.path().join("socket").display());
    let data = home.path().join("data");
    let server = Launch::on(&data).listen(&[&socket]).flags(&["--segment-mib", "16"]).start();
    let mut alice = server.create("alice");
    let all = limits::READ_JOBS + TOO_MANY;
    // So long that the system has not one in memory because of another.
    let text = "read".repeat(4_000);
    let send = |number: usize| ask("send").to("alice").body(&text).id(number as u128);
    alice.send_all(&(1..=all).map(send).collect::<Vec<_>>());
    // Each client will want another of them, from the last to the first.
    let mut seqs: Vec<u64> = (0..all).map(|_| alice.reply().seq).collect();
    seqs.reverse();
    let login = ask("login").src("alice").body(&password_of("alice"));
    let mut clients: Vec<RawClient> = (0..all).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.done(&login)));

    // The loop opens the segment while it is in memory. The thread, which has not, gets a pipe in
    // its place, and waits for somebody to write into it.
    let segment = server.data_dir().join("wal/00000001.wal");
    let (aside, pipe) = (home.path().join("aside"), home.path().join("pipe"));
    fs::read(&segment).expect("it is read into memory");
    let history = |seq: &u64| ask("history").to("alice").seq(seq + 1).limit(1);
    assert_eq!(alice.pages(&history(&seqs[0])).0.len(), 1);
    fs::rename(&segment, &aside).expect("it is renamed");
    let made = Command::new("mkfifo").arg(&segment).run();
    assert!(made.status.success());
    if !forget(&aside) {
        println!("skipped: this system cannot be told to forget what it has in memory");
        return;
    }
    let requests: Vec<Ask> = seqs.iter().map(history).collect();
    let (waiting, refused) = clients.split_at_mut(limits::READ_JOBS);
    waiting.iter_mut().zip(&requests).for_each(|(client, request)| client.send(request));
    // What comes later is answered later, so all of them have been looked at.
    alice.done(&ask("ping"));
    for (client, request) in refused.iter_mut().zip(&requests[limits::READ_JOBS..]) {
        let reply = client.request(request);
        assert_eq!(code(&reply), "busy", "{reply:?}");
        assert!(reply.body.contains("busy with reads"), "{reply:?}");
        client.tell("alice", "what needs no reading goes on");
    }
    // Nothing can be read from a pipe: those that wait are told so, each of them.
    fs::rename(&segment, &pipe).expect("it is renamed");
    fs::rename(&aside, &segment).expect("it is renamed");
    let _writer = fifo_writer(&pipe);
    for client in waiting.iter_mut() {
        let reply = client.reply();
        assert_eq!(code(&reply), "busy", "{reply:?}");
        assert!(reply.body.contains("cannot read its log"), "{reply:?}");
    }
    // The queue is empty again, and what is in memory is read without it.
    fs::read(&segment).expect("it is read into memory");
    for (client, request) in clients.iter_mut().zip(&requests) {
        assert_eq!(client.pages(request).0.len(), 1);
    }
}
