//! An entry dated 2100, as a PRIMARY whose clock jumped would have left it: what times come after it.
//! The rule itself, with clocks that jump, has its tests in `tests/time` and in the simulator.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use chatctl::chat::Command;
use chatctl::wal::{self, DataDir, Identity, Options, hard_state};

use crate::support::bounded::Run;
use crate::support::chatctl;
use crate::support::cluster::Cluster;
use crate::support::raw_client::ask;
use crate::support::server::TestServer;

/// The start of 2100, milliseconds since the Unix epoch.
const YEAR_2100: u64 = 4_102_444_800_000;
const BACK: &str = "times go back by that once";

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Appends a message dated 2100 to the log of a server that does not run; its index.
fn poison(data_dir: &Path) -> u64 {
    let directory = DataDir::open(data_dir).unwrap();
    let own = hard_state::recover(&mut directory.disk()).unwrap().unwrap();
    let mut disk = directory.wal_disk();
    let expect = Some(Identity { cluster: own.cluster });
    let options = Options { expect, segment_bytes: chatctl::limits::WAL_SEGMENT_BYTES };
    let (mut log, _) = wal::recover(&mut disk, &options, &mut |_, _, _| Ok(())).unwrap();
    let mut payload = Vec::new();
    let (time, from, to) = (YEAR_2100, "alice", "alice");
    Command::Send { time, from, to, id: 2_100, known: 0, body: "poison" }.encode(&mut payload);
    let index = log.last_index() + 1;
    log.append_entry(own.term, index, &payload);
    let batch = log.take_batch(log.commit()).unwrap();
    wal::perform(&mut disk, &batch).unwrap();
    index
}

/// The kinds and times of what `dump-log` shows with these flags.
fn dumped(data_dir: &Path, flags: &[&str]) -> Vec<u64> {
    let mut command = chatctl(&["dump-log", "--json", "--kind", "send"]);
    command.args(flags).arg(data_dir);
    let output = command.run();
    assert!(output.status.success(), "{output:?}");
    let time_of = |line: &str| {
        let (_, rest) = line.split_once("\"time\": ")?;
        rest.split(',').next()?.parse().ok()
    };
    String::from_utf8(output.stdout).unwrap().lines().filter_map(time_of).collect()
}

#[test]
fn three_servers_leave_a_time_far_ahead_at_once_and_seq_stays_the_order() {
    let mut cluster = Cluster::start("clocks-three", 3, &[]);
    let primary = cluster.primary();
    let mut alice = cluster.server(primary).create("alice");
    let before = alice.tell("alice", "before");
    cluster.wait("the servers have not the same", || {
        let commits: Vec<String> = (0..3).map(|place| cluster.status_of(place, "commit")).collect();
        commits.iter().all(|commit| *commit == commits[0])
    });
    (0..3).for_each(|place| cluster.kill9(place));
    let poisoned: Vec<u64> =
        ["a", "b", "c"].iter().map(|name| poison(&cluster.path(name))).collect();
    assert!(poisoned.iter().all(|index| *index == poisoned[0]), "{poisoned:?}");
    cluster.start_all();
    let primary = cluster.primary();
    let mut alice = cluster.server(primary).login("alice");
    let (asked_ms, after) = (now_ms(), alice.tell("alice", "after"));
    let off_ms = after.time.abs_diff(asked_ms);
    assert!(off_ms < 2_000, "a message is dated {off_ms} ms off");
    assert!(after.seq > poisoned[0] && before.seq < poisoned[0]);
    let (history, _) = alice.pages(&ask("history"));
    let texts: Vec<&str> = history.iter().map(|message| message.body.as_ref()).collect();
    assert_eq!(texts, ["before", "poison", "after"]);
    cluster.wait("no line tells of it", || cluster.traces().contains(BACK));
    let again = alice.tell("alice", "again");
    assert!(again.time >= after.time, "it goes back once");
    let traces = cluster.traces();
    assert_eq!(traces.matches(BACK).count(), 1, "{traces}");

    // Entries are selected one by one: none is left out for what stands before it.
    let name = ["a", "b", "c"][primary];
    (0..3).for_each(|place| cluster.kill9(place));
    let data_dir = cluster.path(name);
    assert_eq!(dumped(&data_dir, &["--since", "2100-01-01"]), [YEAR_2100]);
    let until = dumped(&data_dir, &["--until", "2099-12-31"]);
    assert_eq!(until, [before.time, after.time, again.time]);
}

#[test]
fn a_lone_server_keeps_to_a_time_far_ahead_until_its_clock_has_stood_for_long() {
    let mut server = TestServer::start("clocks-lone", &[]);
    server.create("alice").tell("alice", "before");
    server.kill9();
    poison(server.data_dir());
    let server = server.restart();
    let mut alice = server.login("alice");
    // Nobody knows yet which is wrong: the clock, or the last entry.
    assert_eq!(alice.tell("alice", "after").time, YEAR_2100);
    assert!(!server.stderr().contains(BACK));
    // What is no entry has the time that it is.
    assert!(alice.done(&ask("ping")).time.abs_diff(now_ms()) < 2_000);
}
