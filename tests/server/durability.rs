//! What was acknowledged outlives kill -9, signals, torn tails and a full disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chatctl::protocol::id::parse;
use chatctl::sys::signal;

use crate::support::bounded::{Rounds, Sender, WHOLE, channel, next_of, scope};
use crate::support::server::{Ask, Launch, RawClient, TestServer, ask, code};
use crate::support::small_disk::SmallDisk;
use crate::support::{Rng, TempDir, env_number};

/// All that `name` can see, oldest first: who sent it, its id, its seq.
fn history(server: &TestServer, name: &str) -> Vec<(String, u128, u64)> {
    let mut client = server.login(name);
    let (mut all, mut cursor) = (Vec::new(), 0);
    let mut rounds = Rounds::new(10_000, "a page says that it is the last");
    loop {
        rounds.count();
        let request = ask("history").body("after").seq(cursor).limit(1_000);
        let (page, last) = client.pages(&request);
        all.extend(page.iter().map(|message| {
            let id = message.msg_ids.iter().next().and_then(parse).expect("an id");
            (message.src.to_string(), id, message.seq)
        }));
        cursor = last.seq;
        if last.body == "end" {
            return all;
        }
    }
}

/// What a test waits for between two acknowledgements.
const NEXT: &str = "the next acknowledgement comes, or the end of the connection";

/// Sends `ids` to `sink`, all at once, and reports every acknowledgement until the connection ends.
fn send_until_killed(
    mut client: RawClient,
    name: &str,
    ids: std::ops::Range<u128>,
    acks: &Sender<(String, u128, u64)>,
) {
    let sends: Vec<Ask> = ids.map(|n| ask("send").to("sink").body("keep me").id(n)).collect();
    let mut writer = client.writer();
    scope(WHOLE, "the clients end when the server does", |scope| {
        scope.spawn(|| {
            // Until the server is gone.
            sends.chunks(20).all(|some| {
                let bytes: Vec<u8> = some.iter().flat_map(|ask| writer.encoded(ask)).collect();
                writer.try_write_raw(&bytes).is_ok()
            })
        });
        while let Ok(reply) = client.try_read() {
            assert!(!reply.error, "{reply:?}");
            let id = reply.msg_ids.iter().next().and_then(parse).expect("an id");
            if acks.send((name.to_owned(), id, reply.seq)).is_err() {
                break;
            }
        }
    });
}

#[test]
fn after_kill_9_every_acknowledged_message_is_there_once_and_in_order() {
    const CLIENTS: u128 = 4;
    const EACH: u128 = 4_000;
    let seed = env_number("CHATCTL_KILL_SEED", 1);
    println!("CHATCTL_KILL_SEED={seed}");
    let mut rng = Rng::new(seed);
    let mut server = TestServer::start("kill", &["--password-iterations", "1"]);
    server.create("sink");
    (0..CLIENTS).for_each(|number| drop(server.create(&format!("client{number}"))));
    let mut acked = BTreeMap::new();
    for round in 0..6u128 {
        // Killed when this many more are acknowledged, with as many as there are on their way.
        let kill_after = rng.below(3_000);
        let clients: Vec<RawClient> =
            (0..CLIENTS).map(|number| server.login(&format!("client{number}"))).collect();
        let (sender, receiver) = channel();
        scope(WHOLE, "the clients end when the server does", |scope| {
            for (number, client) in clients.into_iter().enumerate() {
                let (sender, start) = (sender.clone(), 1 + round * EACH);
                scope.spawn(move || {
                    let name = format!("client{number}");
                    send_until_killed(client, &name, start..start + EACH, &sender);
                });
            }
            drop(sender);
            let mut count = 0;
            while let Some((name, id, seq)) = next_of(&receiver, NEXT) {
                acked.insert((name, id), seq);
                count += 1;
                if count == kill_after + 1 {
                    server.kill9();
                }
            }
            assert!(count > kill_after, "round {round}: {count}");
        });
        server = server.restart();
        check_kept(&history(&server, "sink"), &acked, EACH);
    }
}

fn check_kept(found: &[(String, u128, u64)], acked: &BTreeMap<(String, u128), u64>, each: u128) {
    let mut stored = BTreeMap::new();
    let mut last: BTreeMap<&str, u128> = BTreeMap::new();
    for (name, id, seq) in found {
        let twice = stored.insert((name.clone(), *id), *seq);
        assert_eq!(twice, None, "{name} {id} is there twice");
        let before = last.insert(name, *id).unwrap_or(0);
        // Each round's are numbered without a hole up to where it was killed.
        let follows = *id == before + 1 || (*id > before && (*id - 1).is_multiple_of(each));
        assert!(follows, "{name}: {id} behind {before}");
    }
    assert!(found.is_sorted_by_key(|(_, _, seq)| *seq));
    for (key, seq) in acked {
        assert_eq!(stored.get(key), Some(seq), "{key:?} was acknowledged");
    }
}

#[test]
fn a_signal_stops_the_server_cleanly_and_what_was_in_flight_is_answered_or_absent() {
    for number in [signal::TERM, signal::INT] {
        let mut server = TestServer::start("stop", &[]);
        server.create("sink");
        let client = server.create("alice");
        let (sender, receiver) = channel();
        let mut answered = Vec::new();
        let ended = scope(WHOLE, "the clients end when the server does", |scope| {
            scope.spawn(move || send_until_killed(client, "alice", 1..20_001, &sender));
            while let Some((_, id, seq)) = next_of(&receiver, NEXT) {
                answered.push(("alice".to_owned(), id, seq));
                if answered.len() == 1 {
                    server.signal(number);
                }
            }
            server.ended()
        });
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("stopped: "), "{}", ended.stderr);
        let server = server.restart();
        let stored = history(&server, "sink");
        assert_eq!(stored.len(), answered.len(), "as many are stored as answered");
        assert!(stored == answered, "the same are");
    }
}

#[test]
fn a_second_server_on_the_same_directory_is_refused_and_the_first_goes_on() {
    let server = TestServer::start("second", &[]);
    let ended = Launch::on(server.data_dir()).try_start().err().expect("it is refused");
    assert_eq!(ended.status.code(), Some(1));
    let directory = server.data_dir().display().to_string();
    assert!(ended.stderr.contains(&directory), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    server.create("alice").tell("alice", "undisturbed");
}

/// Every file below `directory` and what is in it.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else if path.is_file() {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    files
}

/// The segment with `text` in it, what is in the file, and where the text is.
fn find_text(directory: &Path, text: &str) -> (PathBuf, Vec<u8>, usize) {
    let find = |bytes: &[u8]| bytes.windows(text.len()).position(|part| part == text.as_bytes());
    let mut found = contents(&directory.join("wal")).into_iter();
    found.find_map(|(path, bytes)| find(&bytes).map(|at| (path, bytes, at))).expect("it is there")
}

#[test]
fn a_log_that_is_damaged_in_its_middle_is_refused_by_name_and_left_as_it_is() {
    let mut server = TestServer::start("corrupt", &[]);
    let mut alice = server.create("alice");
    for number in 0..5 {
        alice.tell("alice", &format!("message number {number}"));
    }
    server.kill9();
    let (file, mut bytes, at) = find_text(server.data_dir(), "message number 2");
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    // Of the start itself only server_state.txt knows, which counts it.
    let log = server.data_dir().join("wal");
    let before = contents(&log);
    let ended = Launch::on(server.data_dir()).try_start().err().expect("it is refused");
    assert_eq!(ended.status.code(), Some(1));
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(ended.stderr.contains(name), "{}", ended.stderr);
    let number = |word: &str| word.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok();
    let offsets: Vec<usize> = ended.stderr.split_whitespace().filter_map(number).collect();
    assert!(offsets.iter().any(|offset| (at - 200..=at).contains(offset)), "{}", ended.stderr);
    assert!(contents(&log) == before, "nothing of the log is changed");
    // Mended, it starts and has everything.
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(history(&server.restart(), "alice").len(), 5);
}

#[test]
fn a_log_whose_state_file_is_lost_is_refused_and_left_as_it_is() {
    let mut server = TestServer::start("lost", &[]);
    server.create("alice").tell("alice", "still here");
    server.terminate();
    let file = server.data_dir().join("server_state.txt");
    let state = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let before = contents(server.data_dir());
    for _ in 0..2 {
        let ended = Launch::on(server.data_dir()).try_start().err().expect("it is refused");
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.stderr.contains("server_state.txt is missing"), "{}", ended.stderr);
        assert!(contents(server.data_dir()) == before, "nothing is changed");
    }
    std::fs::write(&file, state).unwrap();
    assert_eq!(history(&server.restart(), "alice").len(), 1);
}

#[test]
fn a_torn_tail_is_cut_with_a_line_that_says_so_and_nothing_else_is_lost() {
    let mut server = TestServer::start("torn", &[]);
    let mut alice = server.create("alice");
    for number in 0..5 {
        alice.tell("alice", &format!("message number {number}"));
    }
    server.terminate();
    let (file, mut bytes, _) = find_text(server.data_dir(), "message number 4");
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let next = end.next_multiple_of(8);
    bytes[next..next + 40].fill(0xA5);
    std::fs::write(&file, &bytes).unwrap();
    let server = server.restart();
    server.wait_for_trace("was cut short");
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(server.stderr().contains(name), "{}", server.stderr());
    assert_eq!(history(&server, "alice").len(), 5);
    server.login("alice").tell("alice", "and on it goes");
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_or_another_file_is_refused() {
    let home = TempDir::new("stale");
    let path = home.path().join("socket");
    let address = format!("unix:{}", path.display());
    let launch = |name: &str| Launch::on(&home.path().join(name)).listen(&[&address]);
    let mut server = launch("one").start();
    assert_eq!(server.address(), address);
    server.create("alice");
    let ended = launch("two").try_start().err().expect("it is refused");
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains(&address), "{}", ended.stderr);
    server.login("alice").tell("alice", "undisturbed");
    server.kill9();
    assert!(path.exists(), "what a crash leaves");
    let mut server = server.restart();
    server.login("alice");
    server.terminate();
    assert!(!path.exists(), "a clean stop leaves nothing");
    std::fs::write(&path, "precious").unwrap();
    let ended = launch("one").try_start().err().expect("it is refused");
    assert!(ended.stderr.contains(&address), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_stopping_server_leaves_the_socket_of_the_one_that_has_its_place() {
    let home = TempDir::new("socket-taken");
    let path = home.path().join("socket");
    let address = format!("unix:{}", path.display());
    let launch = |name: &str| Launch::on(&home.path().join(name)).listen(&[&address]);
    let mut first = launch("one").start();
    std::fs::remove_file(&path).unwrap();
    let mut second = launch("two").start();
    first.terminate();
    assert!(path.exists(), "the socket is the second server's");
    second.create("alice");
    second.terminate();
    assert!(!path.exists(), "each removes its socket");
}

#[test]
fn a_closed_terminal_stops_the_server_cleanly() {
    let mut server = TestServer::start("hang-up", &[]);
    server.create("alice").tell("alice", "a note");
    server.signal(signal::HUP);
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("stopped: everything acknowledged"), "{ended:?}");
    assert_eq!(history(&server.restart(), "alice").len(), 1);
}

#[test]
fn a_closed_terminal_does_not_stop_a_server_under_nohup() {
    let home = TempDir::new("nohup");
    // What nohup does before it runs the program.
    let mut server = Launch::on(home.path()).shell("trap '' HUP").start();
    server.signal(signal::HUP);
    server.create("alice").tell("alice", "a note");
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("signal 1:"), "{ended:?}");
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let home = TempDir::new("file-limit");
    let limit = |blocks: u64| format!("ulimit -f {blocks}");
    let launch = |blocks| {
        let flags = ["--segment-mib", "1"];
        Launch::on(home.path()).flags(&flags).shell(&limit(blocks)).try_start()
    };
    launch(4_096).expect("a segment of 2,048 blocks fits").terminate();
    // No segment can be made at its full length: the server starts on a small one.
    let server = launch(100).unwrap_or_else(|ended| panic!("it starts: {ended:?}"));
    server.wait_for_trace("no disk space for the next log segment");
    let create = ask("create").src("alice").body("a password");
    assert_eq!(code(&server.connect().request(&create)), "disk-full");
    drop(server);
    // Not even a small one.
    let ended = launch(4).err().expect("it does not start");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("make room"), "{ended:?}");
    launch(4_096).expect("it has room again").create("alice");
}

#[test]
fn on_a_full_disk_sends_are_refused_reads_and_deletions_go_on_and_it_heals() {
    let home = TempDir::new("full");
    let small = match SmallDisk::mount(home.path(), 6 << 20) {
        Ok(small) => small,
        Err(why) => return println!("skipped: {why}"),
    };
    small.fill(4 << 20);
    let server = Launch::on(&home.path().join("data")).start();
    let mut alice = server.create("alice");
    let text = "full".repeat(4_000);
    let mut stored = 0;
    while stored < 1_000 {
        stored += 1;
        let reply = alice.request(&ask("send").to("alice").body(&text).id(stored));
        if reply.error {
            assert_eq!(code(&reply), "disk-full");
            break;
        }
    }
    let refused = stored;
    assert!(refused < 1_000, "it never filled");
    server.wait_for_trace("disk-full");
    for number in [refused, refused + 1] {
        assert_eq!(alice.refused(&ask("send").to("alice").body("x").id(number)), "disk-full");
    }
    assert_eq!(alice.refused(&ask("passwd").body("x")), "disk-full");
    assert_eq!(server.connect().refused(&ask("create").src("bob").body("x")), "disk-full");
    assert_eq!(alice.pages(&ask("history").limit(5)).0.len(), 5, "reads go on");
    assert_eq!(alice.done(&ask("delete_msgs").id(1)).limit, 1, "and deletions");
    alice.done(&ask("token"));
    small.free();
    server.wait_for_trace("there is disk space for the log again");
    let send = ask("send").to("alice").body("healed").id(refused + 2);
    assert_eq!(alice.refused(&send), "disk-full", "until the next ping");
    alice.done(&ask("ping"));
    alice.done(&send);
    // Nothing that was refused is there, all else is.
    let ids: Vec<u128> = history(&server, "alice").into_iter().map(|(_, id, _)| id).collect();
    let expected: Vec<u128> = (2..refused).chain([refused + 2]).collect();
    assert_eq!(ids, expected);
}
