//! Logs of a minority that are damaged: what is acknowledged is there, once, and the logs come to be
//! the same again.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chatctl::limits;
use chatctl::wal::hard_state;
use chatctl::wal::{self, DataDir, Identity};

use super::Conversation;
use crate::support::cluster::{Cluster, damage_text, list_of, name_of};
use crate::support::raw_client::{Ask, ask};
use crate::support::server::{Ended, password_of};
use crate::support::talker::Talker;

pub(super) const RESTORED: &str = "the log is restored: this server votes and counts again";

/// What becomes of a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Bit,
    Sectors,
    Cut,
    Missing,
}

const ALL: [Damage; 4] = [Damage::Bit, Damage::Sectors, Damage::Cut, Damage::Missing];

impl Damage {
    fn happen(self, file: &Path) {
        let mut open = OpenOptions::new().read(true).write(true).open(file).unwrap();
        let half = open.metadata().unwrap().len() / 2;
        match self {
            Damage::Bit => {
                let mut byte = [0];
                open.seek(SeekFrom::Start(half)).unwrap();
                open.read_exact(&mut byte).unwrap();
                open.seek(SeekFrom::Start(half)).unwrap();
                open.write_all(&[byte[0] ^ 4]).unwrap();
            }
            Damage::Sectors => {
                open.seek(SeekFrom::Start(half & !4_095)).unwrap();
                open.write_all(&[0; 4_096]).unwrap();
            }
            Damage::Cut => open.set_len(half).unwrap(),
            Damage::Missing => fs::remove_file(file).unwrap(),
        }
    }
}

/// The segments, oldest first.
pub(super) fn segments(data_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir.join("wal")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
    files.sort();
    files
}

fn large(number: u128) -> Ask {
    ask("send").to("alice").id(number).body(&"large".repeat(12_000))
}

/// A cluster whose logs have several segments that are full.
fn filled(name: &str, count: usize, flags: &[&str]) -> (Cluster, Talker) {
    let cluster = Cluster::start(name, count, flags);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    for number in 1..=60 {
        alice.request(&large(number));
    }
    (cluster, alice)
}

fn damage_under_load(name: &str, servers: usize, at_once: usize) {
    let (mut cluster, _) = filled(name, servers, &[]);
    let conversation = Conversation::start(&cluster, 3);
    for (round, damage) in ALL.into_iter().enumerate() {
        conversation.wait_for(&cluster, 50);
        // The PRIMARY is among them.
        let primary = cluster.primary();
        let places: Vec<usize> = (0..at_once).map(|more| (primary + more) % servers).collect();
        places.iter().for_each(|&place| cluster.kill9(place));
        for &place in &places {
            let files = segments(&cluster.path(&name_of(place)));
            damage.happen(&files[round % (files.len() - 2)]);
        }
        for &place in &places {
            cluster.restart(place);
            let server = cluster.server(place);
            server.wait_for_trace("is set aside as");
            server.wait_for_trace("neither votes nor acknowledges until the PRIMARY");
            server.wait_for_trace(RESTORED);
        }
        println!("{damage:?} in the logs of {places:?}: restored");
    }
    conversation.wait_for(&cluster, 50);
    conversation.stop_and_check();
    cluster.stop_and_compare_logs();
}

#[test]
fn one_of_three_is_restored_under_load_from_every_kind_of_damage() {
    damage_under_load("damage-3", 3, 1);
}

#[test]
fn two_of_five_are_restored_under_load_from_every_kind_of_damage() {
    damage_under_load("damage-5", 5, 2);
}

#[test]
fn a_server_that_has_lost_its_whole_log_is_restored_to_the_cluster_that_its_flags_name() {
    let (mut cluster, mut alice) = filled("damage-all", 3, &[]);
    let place = (cluster.primary() + 1) % 3;
    cluster.kill9(place);
    for file in segments(&cluster.path(&name_of(place))) {
        fs::remove_file(file).unwrap();
    }
    cluster.restart(place);
    cluster.server(place).wait_for_trace("all segments are missing");
    cluster.server(place).wait_for_trace(RESTORED);
    alice.send("alice", 1 << 64, "all there");
    cluster.stop_and_compare_logs();
}

#[test]
fn while_it_is_needed_for_a_majority_a_damaged_server_elects_nobody_and_shows_nothing() {
    let flags = ["--read-only-after-ms", "200"];
    let (mut cluster, mut alice) = filled("damage-minority", 3, &flags);
    let commit = |cluster: &Cluster, place| cluster.status_of(place, "commit");
    let primary = cluster.primary();
    cluster.wait("they do not come together", || {
        (0..3).all(|place| commit(&cluster, place) == commit(&cluster, primary))
    });
    (0..3).for_each(|place| cluster.kill9(place));
    Damage::Bit.happen(&segments(&cluster.path("b"))[1]);
    cluster.restart(0);
    cluster.restart(1);
    for place in [0, 1] {
        cluster.wait("it is not read-only", || cluster.status_of(place, "read_only") == "yes");
    }
    // Long enough for an election, if anybody voted.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(cluster.status_of(0, "read_only"), "yes", "nobody is elected");
    let login = ask("login").src("alice").body(&password_of("alice"));
    assert_eq!(cluster.server(1).connect().refused(&login), "busy");
    let mut reader = cluster.server(0).login("alice");
    assert!(!reader.pages(&ask("history").limit(10)).0.is_empty(), "who is whole shows all");
    let peers = cluster.peers().join(",");
    let status = super::status::status(&peers, &cluster.secret(), &["--timeout-ms", "1000"]);
    let table = String::from_utf8(status.stdout).unwrap();
    let row = table.lines().find(|line| line.starts_with("b ")).expect("b has a row");
    assert_eq!(row.split_whitespace().nth(1), Some("RESTORING"), "{table}");
    cluster.restart(2);
    cluster.server(1).wait_for_trace(RESTORED);
    alice.send("alice", 1 << 64, "and on it goes");
    assert_eq!(alice.history("alice").len(), 61);
    cluster.stop_and_compare_logs();
}

#[test]
fn a_primary_that_reads_what_is_damaged_ends_and_is_restored_and_nobody_sees_anything_wrong() {
    let mut cluster = Cluster::start("damage-read", 3, &[]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1 << 64, "the needle");
    for number in 1..=40 {
        alice.request(&large(number));
    }
    let primary = cluster.primary();
    let needle = b"the needle";
    for file in segments(&cluster.path(&name_of(primary))) {
        let bytes = fs::read(&file).unwrap();
        if let Some(at) = bytes.windows(needle.len()).position(|part| part == needle) {
            let mut open = OpenOptions::new().write(true).open(&file).unwrap();
            open.seek(SeekFrom::Start(at as u64)).unwrap();
            open.write_all(b"T").unwrap();
        }
    }
    let mut server = cluster.take(primary);
    assert_eq!(alice.history("alice")[0].1, "the needle");
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("the log is damaged: ") && last.contains("at byte"), "{last}");
    cluster.restart(primary);
    cluster.server(primary).wait_for_trace(RESTORED);
    cluster.stop_and_compare_logs();
}

/// Writes a server's log anew as one batch, which says of no entry that it is committed.
fn forget_what_is_committed(data_dir: &Path) {
    let directory = DataDir::open(data_dir).unwrap();
    let saved = hard_state::load(&mut directory.disk()).unwrap().unwrap();
    let expect = Some(Identity { cluster: saved.cluster });
    let options = wal::Options { expect, segment_bytes: limits::WAL_SEGMENT_BYTES };
    let mut disk = directory.wal_disk();
    let mut entries = Vec::new();
    let mut visit = |index: u64, term: u64, payload: &[u8]| {
        entries.push((term, index, payload.to_vec()));
        Ok(())
    };
    let (_, report) = wal::recover(&mut disk, &options, &mut visit).unwrap();
    let tail = report.tail.into_iter();
    entries.extend(tail.map(|entry| (entry.term, entry.index, entry.payload.to_vec())));
    segments(data_dir).iter().for_each(|file| fs::remove_file(file).unwrap());
    let (mut log, _) = wal::recover(&mut disk, &options, &mut |_, _, _| Ok(())).unwrap();
    if let Some(request) = log.spare_wanted() {
        log.spare_changed(&wal::make_spare(&mut disk, &request));
    }
    for (term, index, payload) in &entries {
        log.append_entry(*term, *index, payload);
    }
    let batch = log.take_batch(0).unwrap();
    wal::perform(&mut disk, &batch).unwrap();
    assert!(entries.len() > 1);
}

/// As after a crash while it catches up: from nothing, or behind damage.
#[test]
fn a_server_that_has_all_and_knows_of_nothing_that_it_is_committed_starts_again() {
    let mut cluster = Cluster::start("uncommitted", 3, &[]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "kept");
    for place in 0..3 {
        cluster.kill9(place);
        forget_what_is_committed(&cluster.path(&name_of(place)));
        cluster.restart(place);
        cluster.wait_until_all_know_the_primary();
    }
    (0..3).for_each(|place| cluster.kill9(place));
    (0..3).for_each(|place| forget_what_is_committed(&cluster.path(&name_of(place))));
    cluster.start_all();
    let texts: Vec<String> = alice.history("alice").into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["kept"]);
    cluster.stop_and_compare_logs();
}

/// What is sound of its log names nobody else.
#[test]
fn a_server_whose_log_is_damaged_before_others_were_let_in_is_restored_by_them() {
    let mut cluster = Cluster::with_spares("damage-lone", 1, 2, &[]);
    let a = cluster.spawn(0);
    cluster.put(0, a);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    for number in 1..=20 {
        alice.send("alice", number, &format!("note {number} of one that is alone"));
    }
    cluster.let_in(&[0], 1);
    cluster.let_in(&[0, 1], 2);
    cluster.kill9(0);
    damage_text(&cluster.path("a"), "note 12 of one that is alone");
    let Err(Ended { stderr, .. }) = cluster.launch(0).try_start() else { panic!("it starts") };
    assert!(stderr.contains("Nothing was changed"), "{stderr}");
    // So its flags do.
    let list = list_of(cluster.peers());
    let starting = cluster.launch(0).set_flag(["--cluster", &list]).spawn();
    cluster.put(0, starting);
    cluster.server(0).wait_for_trace("neither votes nor acknowledges until the PRIMARY");
    cluster.server(0).wait_for_trace(RESTORED);
    assert_eq!(alice.history("alice").len(), 20);
    cluster.stop_and_compare_logs();
}
