//! Every bound of the server that a client can meet, and what happens there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chatctl::limits;
use chatctl::protocol::framing::{Codec, Form};

use crate::support::TempDir;
use crate::support::bounded::{Bound, Rounds, Run, WHOLE, channel, received, scope};
use crate::support::cluster::Cluster;
use crate::support::server::{Ask, Launch, RawClient, TestServer, ask, code, password_of};

/// Fills a server that takes `most` connections with sessions, then holds that one more waits until
/// one goes.
fn expect_pause_and_recovery(server: &TestServer, most: usize, trace: &str) {
    let mut clients: Vec<RawClient> = vec![server.create("alice")];
    clients.extend((1..most).map(|_| server.login("alice")));
    for client in &mut clients {
        client.done(&ask("ping"));
    }
    let mut waiting = server.connect();
    waiting.send(&ask("ping"));
    server.wait_for_trace(trace);
    for client in &mut clients {
        client.done(&ask("ping"));
    }
    clients.pop();
    assert_eq!(waiting.reply().cmd, "ping", "it is taken when there is room");
    waiting.done(&ask("login").src("alice").body(&password_of("alice")));
    // Again, so that it was no accident.
    let mut waiting2 = server.connect();
    waiting2.send(&ask("ping"));
    drop(waiting);
    assert_eq!(waiting2.reply().cmd, "ping");
    for client in &mut clients {
        client.done(&ask("ping"));
    }
}

#[test]
fn past_the_most_connections_others_wait_until_a_session_goes() {
    let server = TestServer::start("most", &["--max-connections", "5"]);
    expect_pause_and_recovery(&server, 5, "5 connections are open");
}

#[test]
fn one_address_that_logs_in_nowhere_keeps_nobody_else_out() {
    let home = TempDir::new("table");
    let socket = format!("unix:{}", home.path().join("socket").display());
    let server = Launch::on(&home.path().join("data"))
        .flags(&["--max-connections", "20"])
        .listen(&["127.0.0.1:0", &socket])
        .start();
    let unix = &server.addresses()[1];
    let connect = || RawClient::connect(unix, Form::Frames, Codec::Json);
    let mut alice = connect();
    alice.create("alice");
    // Far more than there is room for, all from one address.
    let mut flood: Vec<RawClient> = (0..200).map(|_| server.connect()).collect();
    flood[199].done(&ask("ping"));
    flood[0].expect_close();
    let mut newcomer = connect();
    newcomer.done(&ask("ping"));
    flood.extend((0..200).map(|_| server.connect()));
    flood[399].done(&ask("ping"));
    newcomer.done(&ask("login").src("alice").body(&password_of("alice")));
    alice.done(&ask("ping"));
    server.wait_for_trace("connections without a login in 10 s, to make room for others");
}

#[test]
fn a_small_limit_on_descriptors_bounds_the_connections() {
    let home = TempDir::new("ulimit");
    let most = 64 - limits::RESERVED_DESCRIPTORS;
    let server = Launch::on(&home.path().join("data")).shell("ulimit -n 64").start();
    expect_pause_and_recovery(&server, most, &format!("{most} connections are open"));
    server.create("bob").tell("bob", "and it works");
}

#[test]
fn in_a_cluster_some_descriptors_are_kept_back_for_the_peers_port() {
    let limit = 60 + limits::RESERVED_DESCRIPTORS + limits::PEER_DESCRIPTORS;
    let most = limit - limits::RESERVED_DESCRIPTORS - limits::PEER_DESCRIPTORS;
    let cluster = Cluster::new("peer-ulimit", 1, &[]);
    let mut cluster = cluster.after_shell(|_| format!("ulimit -n {limit}"));
    cluster.start_all();
    let trace = format!("{most} connections are open");
    expect_pause_and_recovery(cluster.server(0), most, &trace);
}

#[test]
fn at_the_systems_limit_on_descriptors_accepting_pauses_and_recovers() {
    let server = TestServer::start("emfile", &[]);
    let mut first = server.create("alice");
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    // The system takes the lowest free number, and refuses those from the limit on.
    let set = |limit: usize| {
        std::process::Command::new("prlimit")
            .args([format!("--pid={}", server.pid()), format!("--nofile={limit}:")])
            .try_run()
            .is_ok_and(|output| output.status.success())
    };
    if !set(open + 3) {
        println!("skipped: prlimit(1) is not there");
        return;
    }
    let mut clients: Vec<RawClient> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(&ask("ping"));
    }
    server.wait_for_trace("cannot accept: ");
    first.tell("alice", "those inside are served");
    // Each that goes makes room for one that waits.
    for mut client in clients {
        assert_eq!(client.reply().cmd, "ping");
    }
    first.done(&ask("ping"));
}

#[test]
fn sessions_of_one_address_are_bounded() {
    let home = TempDir::new("sessions");
    let socket = format!("unix:{}", home.path().join("socket").display());
    let server = Launch::on(&home.path().join("data"))
        .flags(&["--max-sessions-per-address", "2"])
        .listen(&["127.0.0.1:0", &socket])
        .start();
    let mut one = server.create("alice");
    let token = one.done(&ask("token")).body.into_owned();
    let two = server.login("alice");
    let mut three = server.connect();
    let login = ask("login").src("alice").body(&password_of("alice"));
    let resume = ask("resume").src("alice").body(&token);
    let create = ask("create").src("bob").body("x");
    for request in [&login, &resume, &create] {
        assert_eq!(three.refused(request), "rate-limited");
    }
    // Who has a session may change it; a local socket is another address; who goes makes room.
    one.done(&login);
    RawClient::connect(&server.addresses()[1], Form::Frames, Codec::Json).done(&resume);
    drop(two);
    one.done(&ask("logoff"));
    three.done(&resume);
}

#[test]
fn attempts_to_log_in_from_one_address_are_bounded() {
    let home = TempDir::new("attempts");
    let socket = format!("unix:{}", home.path().join("socket").display());
    let server = Launch::on(&home.path().join("data"))
        .flags(&["--logins-per-minute", "3"])
        .listen(&["127.0.0.1:0", &socket])
        .start();
    let mut alice = server.create("alice");
    let token = alice.done(&ask("token")).body.into_owned();
    let wrong = ask("login").src("alice").body("wrong");
    let mut client = server.connect();
    let codes: Vec<String> = (0..3).map(|_| client.refused(&wrong)).collect();
    assert_eq!(codes, ["wrong-credentials", "wrong-credentials", "rate-limited"]);
    let right = ask("login").src("alice").body(&password_of("alice"));
    assert_eq!(server.connect().refused(&right), "rate-limited");
    assert_eq!(alice.refused(&ask("passwd").body("x")), "rate-limited");
    // What needs no hash goes on, and so do other addresses.
    client.done(&ask("resume").src("alice").body(&token));
    alice.tell("alice", "hi");
    RawClient::connect(&server.addresses()[1], Form::Lines, Codec::Json).done(&right);
}

#[test]
fn when_too_many_passwords_wait_for_their_hash_logins_are_busy_and_nothing_else() {
    let server = TestServer::start("busy", &["--password-iterations", "10000000"]);
    let count = limits::HASH_JOBS + 30;
    let (sender, answers) = channel();
    let clients: Vec<RawClient> = (0..count).map(|_| server.connect()).collect();
    for (number, mut client) in clients.into_iter().enumerate() {
        // An unknown name costs the same.
        client.send(&ask("login").src(&format!("nobody{number}")).body("x"));
        let sender = sender.clone();
        std::thread::spawn(move || {
            if let Ok(reply) = client.try_read() {
                let _ = sender.send((code(&reply), client));
            }
        });
    }
    // Whichever of them came too late is told so while the others wait.
    let mut refused = loop {
        match received(&answers, "one is told that the server is busy") {
            (code, client) if code == "busy" => break client,
            _ => {}
        }
    };
    refused.done(&ask("ping"));
    assert_eq!(server.connect().refused(&ask("create").src("a").body("x")), "busy");
}

#[test]
fn who_does_not_log_in_in_time_is_closed_whatever_it_asks_meanwhile() {
    let server = TestServer::start("deadline", &["--login-timeout", "1"]);
    let mut alice = server.create("alice");
    let mut silent = server.connect();
    let mut busy = server.connect();
    let mut left = server.create("bob");
    left.done(&ask("logoff"));
    // Pings do not put it off.
    let bound = Bound::new("a connection that asks but does not log in is closed");
    while busy.try_write_raw(&busy.encoded(&ask("ping"))).is_ok() && busy.try_read().is_ok() {
        bound.check();
    }
    silent.expect_close();
    left.expect_close();
    alice.tell("alice", "who is logged in stays");
}

#[test]
fn an_idle_connection_is_closed_and_one_that_is_not_stays() {
    let server = TestServer::start("idle", &["--idle-timeout", "1"]);
    let mut idle = server.create("alice");
    let mut half = server.connect();
    half.write_raw(&[0, 0]);
    let mut active = server.create("bob");
    let done = AtomicBool::new(false);
    scope(WHOLE, "the requests are answered", |scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                active.done(&ask("ping"));
            }
        });
        idle.expect_close();
        half.expect_close();
        done.store(true, Ordering::Release);
    });
    active.tell("alice", "still here");
}

#[test]
fn a_slow_reader_is_told_that_it_lags_and_sync_brings_all_of_it() {
    let server = TestServer::start("slow", &["--segment-mib", "64"]);
    let (mut alice, mut bob) = (server.create("alice"), server.create("bob"));
    let text = "slow".repeat(15_000);
    let sends: Vec<Ask> = (1..=400).map(|n| ask("send").to("bob").body(&text).id(n)).collect();
    let mut writer = alice.writer();
    let all: Vec<u64> = scope(WHOLE, "the requests are answered", |scope| {
        scope.spawn(|| writer.send_all(&sends));
        sends.iter().map(|_| alice.reply().seq).collect()
    });
    assert!(server.resident_bytes() < 160 << 20, "{}", server.resident_bytes());
    // Only now does it begin to read. What is left out is told, and nothing else is.
    let (mut place, mut first_hole) = (0, None);
    while place < all.len() {
        let push = bob.push();
        if push.cmd == "lagging" {
            first_hole.get_or_insert(place);
            let told = all.partition_point(|seq| *seq <= push.seq);
            assert!(told > place, "{push:?} leaves nothing out");
            place = told;
        } else {
            assert_eq!(push.seq, all[place], "no hole before it is told");
            place += 1;
        }
    }
    let first_hole = first_hole.expect("it has read nothing of 24 MB");
    assert!(first_hole > 0, "the first of them fit");
    let mut pushed = all[..first_hole].to_vec();
    let mut cursor = all[first_hole - 1];
    let mut rounds = Rounds::new(10_000, "a page says that it is the last");
    loop {
        rounds.count();
        let (page, last) = bob.pages(&ask("sync").seq(cursor).limit(1_000));
        pushed.extend(page.iter().map(|message| message.seq));
        cursor = last.seq;
        if last.body == "end" {
            break;
        }
    }
    assert_eq!(pushed, all);
    // And it is no slow reader any more.
    let reply = alice.tell("bob", "after");
    assert_eq!(bob.expect_push("deliver").seq, reply.seq);
}

#[test]
fn pages_for_a_client_that_does_not_read_do_not_gather_in_memory() {
    let server = TestServer::start("unread", &["--segment-mib", "8"]);
    let mut alice = server.create("alice");
    let text = "page".repeat(15_000);
    let sends: Vec<Ask> = (1..=16).map(|n| ask("send").to("alice").body(&text).id(n)).collect();
    alice.send_all(&sends);
    sends.iter().for_each(|_| drop(alice.reply()));
    alice.pages(&ask("history").limit(1_000));
    let before = server.resident_bytes();
    let mut other = server.connect();
    // Hundreds of pages of a quarter of a mebibyte, asked for in requests of 64 KiB.
    let pages = 400;
    let mut slow = RawClient::connect(server.address(), Form::Frames, Codec::Json);
    slow.done(&ask("login").src("alice").body(&password_of("alice")));
    let mut payload = b"{\"cmd\": \"history\", \"limit\": 1000".to_vec();
    payload.resize(65_535, b' ');
    payload.push(b'}');
    let mut request = (payload.len() as u32).to_be_bytes().to_vec();
    request.extend(payload);
    let mut writer = slow.writer();
    scope(WHOLE, "the requests are answered", |scope| {
        scope.spawn(move || (0..pages).for_each(|_| writer.write_raw(&request)));
        let mut most = 0;
        for _ in 0..2_000 {
            other.done(&ask("ping"));
            most = most.max(server.resident_bytes());
        }
        assert!(most < before + (16 << 20), "from {before} to {most} bytes");
        for _ in 0..pages {
            assert_eq!(slow.read_pages("history").0.len(), 4);
        }
    });
}

#[test]
fn requests_that_wait_stay_with_their_sender_past_what_is_held_of_them() {
    let home = TempDir::new("unread-requests");
    let socket = format!("unix:{}", home.path().join("socket").display());
    let server = Launch::on(&home.path().join("data")).listen(&[&socket]).start();
    let mut alice = server.create("alice");
    let text = "page".repeat(15_000);
    let sends: Vec<Ask> = (1..=16).map(|n| ask("send").to("alice").body(&text).id(n)).collect();
    alice.send_all(&sends);
    sends.iter().for_each(|_| drop(alice.reply()));
    // It reads none of its answer, so that what it asks behind that has to wait.
    let mut slow = server.login("alice");
    slow.send(&ask("history").limit(1_000));
    let pings = slow.encoded(&ask("ping")).repeat(1_000);
    slow.set_patience(Duration::from_millis(300));
    let (mut taken, enough) = (0, 8 * limits::INPUT_BYTES);
    while taken < enough && slow.try_write_raw(&pings).is_ok() {
        taken += pings.len();
    }
    // What the system holds of it between the two comes on top.
    assert!(taken < 2 * limits::INPUT_BYTES, "{taken} bytes were taken");
    alice.tell("alice", "the others are served");
}

/// How many sockets it has open.
fn sockets(server: &TestServer) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let target = |entry: std::io::Result<std::fs::DirEntry>| entry.ok()?.path().read_link().ok();
    open.filter_map(target).filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn who_is_told_to_go_and_stays_is_cut_off_after_a_moment() {
    let server = TestServer::start("drain", &[]);
    let mut other = server.create("alice");
    let before = sockets(&server);
    let mut client = server.connect();
    client.write_raw(b"GET / HTTP/1.1\r\n\r\n");
    let said = String::from_utf8(client.read_to_close()).unwrap();
    assert!(said.contains("bad-frame"), "{said}");
    // Its side stays open, and it says nothing more.
    let (started, most) = (Instant::now(), Duration::from_millis(3 * limits::DRAIN_MS));
    while sockets(&server) > before {
        assert!(started.elapsed() < most, "it is still connected");
        other.done(&ask("ping"));
    }
    drop(client);
}

#[test]
fn who_does_not_read_does_not_hold_up_a_stop() {
    // The system takes little of what is written to a Unix socket.
    let home = TempDir::new("stop-unread");
    let socket = format!("unix:{}", home.path().join("socket").display());
    let mut server = Launch::on(&home.path().join("data")).listen(&[&socket]).start();
    let mut alice = server.create("alice");
    let text = "page".repeat(15_000);
    let sends: Vec<Ask> = (1..=16).map(|n| ask("send").to("alice").body(&text).id(n)).collect();
    alice.send_all(&sends);
    sends.iter().for_each(|_| drop(alice.reply()));
    let mut slow: Vec<RawClient> = (0..8).map(|_| server.login("alice")).collect();
    let pages = vec![ask("history").limit(1_000); 20];
    slow.iter_mut().for_each(|client| client.send_all(&pages));
    alice.done(&ask("ping"));
    let started = Instant::now();
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let took_ms = started.elapsed().as_millis() as u64;
    assert!((limits::STOP_MS..4 * limits::STOP_MS).contains(&took_ms), "{took_ms} ms");
}

#[test]
fn more_sends_than_may_be_in_flight_are_all_answered_in_order() {
    let server = TestServer::start("flight", &["--segment-mib", "16"]);
    let mut alice = server.create("alice");
    let count = 3 * limits::SENDS_IN_FLIGHT as u128;
    let sends: Vec<Ask> = (0..count).map(|n| ask("send").to("alice").body("x").id(n)).collect();
    let mut writer = alice.writer();
    scope(WHOLE, "the requests are answered", |scope| {
        scope.spawn(|| writer.send_all(&sends));
        for send in &sends {
            let reply = alice.reply();
            assert!(!reply.error && reply.msg_ids == send.msg_ids, "{reply:?}");
        }
    });
}
