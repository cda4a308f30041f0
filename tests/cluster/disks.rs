//! What becomes of disks: one that is full, and one that lacks much.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Conversation;
use crate::support::bounded::Run;
use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::raw_client::{Ask, ask};
use crate::support::small_disk::SmallDisk;
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
    let count = 600;
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

#[test]
fn a_primary_whose_disk_is_full_hands_over_and_the_others_go_on() {
    let mut cluster = Cluster::new("full", 3, &[]);
    let _small = match SmallDisk::mount(&cluster.path("a"), 6 << 20) {
        Ok(small) => small,
        Err(why) => return println!("skipped: {why}"),
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
    let hand_overs = |cluster: &mut Cluster| {
        cluster.server(0).stderr().matches("handing over to a server that has disk space").count()
    };
    // No more than that: it is to have room for the rest, or it lags behind and is not elected again.
    let mut larges = 1_000..1_150;
    while hand_overs(&mut cluster) == 0 {
        alice.request(&large(larges.next().expect("the disk is full before")));
    }
    cluster.wait("it stays PRIMARY", || cluster.primary() != 0);
    // Elected again, still without room, it does not stay: changes would be refused for as long.
    eventually("it hands over again", Duration::from_secs(30), || {
        let primary = cluster.primary();
        let again = hand_overs(&mut cluster) > 1;
        if primary != 0 && !again {
            cluster.take(primary).terminate();
            cluster.restart(primary);
        }
        again.then_some(())
    });
    // What it has no room for, the others have.
    for number in larges {
        alice.request(&large(number));
    }
    alice.send("alice", 2_000, "goes on");
    assert_eq!(alice.history("alice").iter().filter(|(_, text)| text.len() > 1_000).count(), 150);
}

/// What stands between a server and the system: a sync fails once the file that the variable names is
/// there, as on a disk that has just broken. What was written may be seen in memory all the same.
const BROKEN_DISK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int sync_unless_broken(int fd, const char *name) {
    const char *sign = getenv("CHATCTL_TEST_DISK_BROKEN");
    if (sign && access(sign, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(fd);
}

int fsync(int fd) { return sync_unless_broken(fd, "fsync"); }
int fdatasync(int fd) { return sync_unless_broken(fd, "fdatasync"); }
"#;

/// Compiles it; none where there is no compiler.
fn compile_broken_disk(at: &Path) -> Option<PathBuf> {
    let (source, library) = (at.join("broken-disk.c"), at.join("broken-disk.so"));
    fs::write(&source, BROKEN_DISK).unwrap();
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl");
    command.try_run().is_ok_and(|output| output.status.success()).then_some(library)
}

#[test]
fn a_primary_whose_fsync_fails_ends_and_nothing_acknowledged_is_lost() {
    let cluster = Cluster::new("fsync", 3, &[]);
    let Some(library) = compile_broken_disk(&cluster.path("")) else {
        println!("skipped: needs cc for a library that makes fsync fail");
        return;
    };
    let signs: Vec<PathBuf> =
        (0..3).map(|place| cluster.path(&format!("broken-{place}"))).collect();
    let mut cluster = cluster.after_shell(|place| {
        let (library, sign) = (library.display(), signs[place].display());
        format!("export LD_PRELOAD='{library}' CHATCTL_TEST_DISK_BROKEN='{sign}'")
    });
    cluster.start_all();
    let conversation = Conversation::start(&cluster, 3);
    for _ in 0..2 {
        conversation.wait_for(&cluster, 100);
        let primary = cluster.primary();
        fs::write(&signs[primary], "").unwrap();
        let ended = cluster.take(primary).ended();
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert!(last.contains("cannot write the log"), "{ended:?}");
        let gap = conversation.wait_for(&cluster, 100);
        println!("a failed fsync to the next acknowledged send: {gap:?}; {last}");
        assert_ne!(cluster.primary(), primary);
        fs::remove_file(&signs[primary]).unwrap();
        cluster.restart(primary);
    }
    conversation.wait_for(&cluster, 100);
    conversation.stop_and_check();
    cluster.stop_and_compare_logs();
}
