//! What becomes of disks: one that is full, and one that lacks much.

use std::process::Command;

use crate::support::cluster::Cluster;
use crate::support::raw_client::{Ask, ask};
use crate::support::talker::Talker;

/// A message of 60,000 bytes.
fn large(number: u128) -> Ask {
    ask("send").to("alice").id(number).body(&"large".repeat(12_000))
}

#[test]
fn a_server_that_was_away_for_long_is_brought_up_to_date_from_the_disk() {
    let mut cluster = Cluster::start("away", 3, &[]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 0, "begin");
    let primary = cluster.primary();
    let away = (primary + 1) % 3;
    cluster.kill9(away);
    // More than is kept in memory for it.
    let mut sender = cluster.server(primary).login("alice");
    let count = 800;
    for first in (1..=count).step_by(20) {
        let batch: Vec<Ask> = (first..first + 20).map(large).collect();
        sender.send_all(&batch);
        for _ in &batch {
            assert!(!sender.reply().error);
        }
    }
    cluster.restart(away);
    cluster.server(primary).wait_for_trace("catch-up of");
    // Meanwhile the others go on.
    alice.send("alice", 1 << 64, "end");
    cluster.server(primary).wait_for_trace("finished at entry");
    let commit = cluster.status_of(primary, "commit");
    cluster.wait("it does not catch up", || cluster.status_of(away, "commit") >= commit);
    let memory = cluster.server(primary).resident_bytes();
    assert!(memory < 300 << 20, "{memory} bytes");
    cluster.stop_and_compare_logs();
}

/// A small file system in memory, which needs root.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(path: std::path::PathBuf) -> Option<Small> {
        std::fs::create_dir_all(&path).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs"]).arg(&path);
        let mounted = command.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Small(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_primary_whose_disk_is_full_hands_over_and_the_others_go_on() {
    let mut cluster = Cluster::new("full", 3, &[]);
    let Some(_small) = Small::mount(cluster.path("a")) else {
        println!("skipped: needs root for a tmpfs");
        return;
    };
    cluster.start_all();
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 0, "begin");
    // The successor is the first by name among those with the whole log.
    for _ in 0..10 {
        let primary = cluster.primary();
        if primary == 0 {
            break;
        }
        cluster.take(primary).terminate();
        cluster.restart(primary);
        alice.send("alice", 100 + primary as u128, "moved");
    }
    assert_eq!(cluster.primary(), 0);
    for number in 1_000..1_150 {
        alice.request(&large(number));
    }
    cluster.server(0).wait_for_trace("handing over to a server that has room");
    assert_ne!(cluster.primary(), 0);
    assert_eq!(alice.history("alice").iter().filter(|(_, text)| text.len() > 1_000).count(), 150);
}
