//! Backups that lost what they had acknowledged, without a trace on their disks: the PRIMARY finds it
//! and restores them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::damage::{RESTORED, segments};
use super::status::status;
use crate::support::bounded::Run;
use crate::support::cluster::{Cluster, name_of};
use crate::support::talker::Talker;

const LOST: &str = "which this server has acknowledged, and ends at entry";
/// How long a loss may keep an acknowledgment waiting.
const SECONDS: Duration = Duration::from_secs(15);
/// A PRIMARY that steps down before the backup runs again knows of no loss: on a busy machine a start
/// takes its time.
const FLAGS: [&str; 2] = ["--election-timeout-ms", "4000"];

/// Zeroes the newest segment from this text on: what a disk leaves that did not do its last sync.
fn zero_from(data_dir: &Path, text: &str) {
    let find = |file: &std::path::PathBuf| {
        let bytes = fs::read(file).unwrap();
        let at = bytes.windows(text.len()).rposition(|part| part == text.as_bytes())?;
        Some((file.clone(), bytes, at))
    };
    let found = segments(data_dir).iter().rev().find_map(find);
    let (file, mut bytes, at) = found.expect("the text is in the log");
    bytes[at..].fill(0);
    fs::write(file, bytes).unwrap();
}

/// One row of `chatctl status`, by the names of the columns.
fn cell(cluster: &Cluster, place: usize, column: &str) -> String {
    let peers = cluster.peers().join(",");
    let output = status(&peers, &cluster.secret(), &["--timeout-ms", "1000"]);
    let table = String::from_utf8(output.stdout).unwrap();
    let head = table.lines().next().unwrap_or_default();
    let at = head.split_whitespace().position(|name| name == column);
    let name = name_of(place);
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.first() == Some(&name.as_str()));
    let cell = at.and_then(|at| row?.get(at).map(|cell| (*cell).to_owned()));
    cell.unwrap_or_default()
}

/// A cluster of three, of which one is down, and two have `before`, and after that `lost`.
struct TwoOfThree {
    cluster: Cluster,
    alice: Talker,
    primary: usize,
    backup: usize,
    down: usize,
    term: String,
}

impl TwoOfThree {
    fn new(name: &str) -> TwoOfThree {
        let mut cluster = Cluster::start(name, 3, &FLAGS);
        let mut alice = Talker::new(cluster.addresses(), "alice");
        let primary = cluster.primary();
        let (backup, down) = ((primary + 1) % 3, (primary + 2) % 3);
        cluster.kill9(down);
        alice.send("alice", 1, "kept");
        let term = cell(&cluster, primary, "TERM");
        TwoOfThree { cluster, alice, primary, backup, down, term }
    }

    /// The backup is back without what it had acknowledged.
    fn check(self) {
        let TwoOfThree { mut cluster, mut alice, primary, backup, down, term } = self;
        cluster.restart(backup);
        // Nobody sends, and it is found all the same.
        cluster.server(backup).wait_for_trace(LOST);
        cluster.server(backup).wait_for_trace(RESTORED);
        let before = Instant::now();
        alice.send("alice", 3, "and on it goes");
        assert!(before.elapsed() < SECONDS, "it took {:?}", before.elapsed());
        assert_eq!(cluster.primary(), primary, "the PRIMARY stays: {}", cluster.traces());
        assert_eq!(cell(&cluster, primary, "TERM"), term);
        cluster.wait("it lags behind", || cell(&cluster, backup, "LAG") == "0");
        let texts: Vec<String> = alice.history("alice").into_iter().map(|line| line.1).collect();
        assert_eq!(texts, ["kept", "lost", "and on it goes"]);
        cluster.restart(down);
        cluster.wait_until_all_know_the_primary();
        alice.send("alice", 4, "with all three");
        cluster.stop_and_compare_logs();
    }
}

#[test]
fn a_backup_whose_disk_lost_its_last_batch_is_found_and_restored_and_sends_are_acknowledged_again()
{
    let mut servers = TwoOfThree::new("lost-batch");
    servers.alice.send("alice", 2, "lost");
    servers.cluster.kill9(servers.backup);
    zero_from(&servers.cluster.path(&name_of(servers.backup)), "lost");
    servers.check();
}

#[test]
fn what_is_sent_while_the_loss_is_not_found_yet_is_acknowledged_once_it_is_restored() {
    let mut servers = TwoOfThree::new("lost-batch-send");
    servers.alice.send("alice", 2, "lost");
    let TwoOfThree { cluster, alice, backup, .. } = &mut servers;
    cluster.kill9(*backup);
    zero_from(&cluster.path(&name_of(*backup)), "lost");
    let before = Instant::now();
    cluster.restart(*backup);
    alice.send("alice", 3, "and on it goes");
    assert!(before.elapsed() < SECONDS, "it took {:?}", before.elapsed());
    cluster.server(*backup).wait_for_trace(LOST);
    cluster.server(*backup).wait_for_trace(RESTORED);
}

#[test]
fn an_old_copy_of_a_directory_that_is_put_back_under_a_living_primary_is_restored() {
    let mut servers = TwoOfThree::new("old-copy");
    let data_dir = servers.cluster.path(&name_of(servers.backup));
    let copy = servers.cluster.path("copy");
    let copied = Command::new("cp").arg("-a").args([&data_dir, &copy]).run().status;
    assert!(copied.success());
    servers.alice.send("alice", 2, "lost");
    servers.cluster.kill9(servers.backup);
    fs::remove_dir_all(&data_dir).unwrap();
    fs::rename(&copy, &data_dir).unwrap();
    servers.check();
}
