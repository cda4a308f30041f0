//! History that the system has not in memory: the reading thread has it, and its queue is bounded.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use chatctl::limits;

use crate::support::TempDir;
use crate::support::bounded::{Bound, Run, fifo_writer, readable};
use crate::support::server::{Ask, Launch, RawClient, ask, code, password_of};
use crate::support::sys;

/// How many ask for more than the queue takes.
const TOO_MANY: usize = 5;
/// The bytes of a message: more than the system reads ahead of another.
const MESSAGE_BYTES: usize = 16_000;

/// Whether the system has the beginning of the file in memory, as far as it can say.
fn is_cached(file: &File) -> bool {
    let mut first = [0; 512];
    chatctl::sys::file::read_nowait(file, &mut first, 0).expect("it can be read").is_some()
}

/// Makes the system drop the file from memory, as it does when it needs the room. Returns false where
/// the system does not.
fn forget(file: &File) -> bool {
    let was_cached = is_cached(file);
    sys::forget_cached(file).expect("the system takes the advice");
    was_cached && !is_cached(file)
}

/// Has every client ask for its page while the thread reads nothing, until [`TOO_MANY`] are refused,
/// and tells which these are: all the others wait in the queue then.
///
/// A look for an entry that is not in memory may make the system fetch it, and where the disk is fast
/// it is there at once. A client that is answered for this reason asks again.
fn fill_queue(clients: &mut [RawClient], requests: &[Ask], log: &File) -> Vec<bool> {
    let what = "the queue is full";
    let bound = Bound::new(what);
    let mut refused = vec![false; clients.len()];
    clients.iter_mut().zip(requests).for_each(|(client, request)| client.send(request));
    while refused.iter().filter(|refused| **refused).count() < TOO_MANY {
        for place in readable(clients, what) {
            bound.check();
            let (messages, last) = clients[place].read_pages("history");
            if last.error {
                assert_eq!(code(&last), "busy", "{last:?}");
                assert!(last.body.contains("busy with reads"), "{last:?}");
                refused[place] = true;
            } else {
                assert_eq!(messages.len(), 1, "{last:?}");
                sys::forget_cached(log).expect("the system takes the advice");
                clients[place].send(&requests[place]);
            }
        }
    }
    refused
}

#[test]
fn reads_past_the_queue_of_the_reading_thread_are_busy_and_the_rest_goes_on() {
    let home = TempDir::new("reads");
    let socket = format!("unix:{}", home.path().join("socket").display());
    let data = home.path().join("data");
    let server = Launch::on(&data).listen(&[&socket]).flags(&["--segment-mib", "16"]).start();
    let mut alice = server.create("alice");
    let all = limits::READ_JOBS + TOO_MANY;
    let text = "r".repeat(MESSAGE_BYTES);
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
    let aside = home.path().join("aside");
    fs::read(&segment).expect("it is read into memory");
    let history = |seq: &u64| ask("history").to("alice").seq(seq + 1).limit(1);
    assert_eq!(alice.pages(&history(&seqs[0])).0.len(), 1);
    fs::rename(&segment, &aside).expect("it is renamed");
    let made = Command::new("mkfifo").arg(&segment).run();
    assert!(made.status.success());
    let log = File::open(&aside).expect("the file is there");
    if !forget(&log) {
        println!("skipped: this system cannot be told to forget what it has in memory");
        return;
    }
    // Some are in memory again: these are answered, and do not count.
    let middle = (all / 2 * MESSAGE_BYTES) as u64;
    log.read_exact_at(&mut [0; 4 * MESSAGE_BYTES], middle).expect("it can be read");
    let requests: Vec<Ask> = seqs.iter().map(history).collect();
    let refused = fill_queue(&mut clients, &requests, &log);
    for (client, _) in clients.iter_mut().zip(&refused).filter(|(_, refused)| **refused) {
        client.tell("alice", "what needs no reading goes on");
    }
    // Nothing can be read from a pipe: those that wait are told so, each of them.
    let _writer = fifo_writer(&segment);
    for (client, _) in clients.iter_mut().zip(&refused).filter(|(_, refused)| !**refused) {
        let reply = client.reply();
        assert_eq!(code(&reply), "busy", "{reply:?}");
        assert!(reply.body.contains("cannot read its log"), "{reply:?}");
    }
    // The queue is empty again, and what is in memory is read without it.
    fs::rename(&aside, &segment).expect("it is renamed");
    fs::read(&segment).expect("it is read into memory");
    for (client, request) in clients.iter_mut().zip(&requests) {
        assert_eq!(client.pages(request).0.len(), 1);
    }
}
