//! What the log costs by itself: appending with syncs, and scanning. Run it in a release build:
//! `cargo test --release wal::measure -- --ignored --nocapture`

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chatctl::chat;
use chatctl::wal::scan::{Item, Scanner};
use chatctl::wal::{Disk, Options, RealDisk, recover};

use crate::support::bounded::Run;
use crate::support::log::{CLUSTER, TestLog, bench_directory, median};
use crate::support::{PROGRAM, TempDir, env_number};

/// Records of one sync.
const BATCH: usize = 64;

/// The payload of a message.
fn payload(number: u64, body: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    let (time, id) = (1_790_000_000_000 + number, u128::from(number) << 64 | 7);
    chat::Command::Send { time, from: "alice", to: "bob", id, known: 0, body }.encode(&mut payload);
    payload
}

/// Where files are in memory, and a sync costs nothing.
const MEMORY: &str = "/dev/shm";

#[test]
#[ignore = "a measurement of a release build"]
fn appending_at_64_records_a_sync() {
    println!("log: appending 128-byte messages, {BATCH} a sync, one batch after the other");
    println!("log: {:<42}{:>12}{:>11}{:>11}", "", "records/s", "mean us", "median us");
    append_in("disk", bench_directory("log-append"));
    if Path::new(MEMORY).is_dir() {
        append_in(MEMORY, TempDir::within(Path::new(MEMORY), "log-append"));
    } else {
        println!("log: {MEMORY}: skipped: there is none");
    }
    println!("log: (aim: 500000 records/s)");
}

/// Appends to a log in `dir`, which lies on `place`, for as long as a measurement takes.
fn append_in(place: &str, dir: TempDir) {
    let time = Duration::from_secs(env_number("BENCH_SECONDS", 5));
    let payload = payload(1, &"b".repeat(128));
    let mut log = TestLog::new(dir.path());
    // The same bytes into a file whose blocks are written, and nothing else: in turn, since a disk
    // that others use too is not the same a second later.
    let block = vec![7; (BATCH * (payload.len() + 32)).next_multiple_of(4096)];
    let path = dir.path().join("floor");
    RealDisk::open(dir.path()).create("floor").unwrap();
    RealDisk::open(dir.path()).preallocate("floor", 32 << 20).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.sync_all().unwrap();
    let (mut appends_us, mut all_us, mut floor_us) = (Vec::new(), Vec::new(), Vec::new());
    let started = Instant::now();
    // What takes no time at all is not to fill the memory.
    while started.elapsed() < time && all_us.len() < 20_000 {
        let begin = Instant::now();
        for _ in 0..BATCH {
            log.append(&payload);
        }
        let append_us = begin.elapsed().as_secs_f64() * 1e6;
        appends_us.push(append_us);
        all_us.push(append_us + log.sync());
        let begin = Instant::now();
        let at = (floor_us.len() * block.len()) as u64 % (31 << 20);
        file.write_all_at(&block, at).unwrap();
        file.sync_data().unwrap();
        floor_us.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    for (what, times_us) in [
        ("all of it", all_us),
        ("laid out, not written", appends_us),
        ("a write and a sync of as many bytes", floor_us),
    ] {
        let mean_us = times_us.iter().sum::<f64>() / times_us.len() as f64;
        let a_second = BATCH as f64 * 1e6 / mean_us;
        let (what, median_us) = (format!("{place}: {what}"), median(times_us));
        println!("log: {what:<46}{a_second:>8.0}{mean_us:>11.1}{median_us:>11.1}");
    }
}

/// Scans all of a log; how many records a second.
fn scan(directory: &Path) -> f64 {
    let begin = Instant::now();
    let mut scanner = Scanner::over(RealDisk::read_only(directory)).unwrap();
    let mut records = 0u64;
    while let Some(item) = scanner.next_item().unwrap() {
        match item {
            Item::Record { .. } => records += 1,
            Item::Damage { file, offset, why } => panic!("{file} at {offset}: {why}"),
            _ => {}
        }
    }
    records as f64 / begin.elapsed().as_secs_f64()
}

/// The program's `dump-log`, with no more memory than it takes for a small log.
fn dump_log(directory: &Path, flags: &[&str]) -> f64 {
    let begin = Instant::now();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 24576 && exec \"$0\" \"$@\"", PROGRAM]);
    shell.arg("dump-log").args(flags).arg(directory).stdout(Stdio::null());
    assert!(shell.run().status.success(), "{flags:?}");
    begin.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement of a release build"]
fn scanning_and_dumping_ten_million_records() {
    let dir = bench_directory("log-scan");
    let count = env_number("BENCH_RECORDS", 10_000_000);
    let mut log = TestLog::new(dir.path());
    for number in 0..count {
        log.append(&payload(number, "This is a test message"));
        if log.wal.gathered_bytes() > 4 << 20 {
            log.sync();
        }
    }
    log.sync();
    let bytes: u64 = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    drop(log);
    let rates = (0..5).map(|_| scan(dir.path()));
    let rate = median(rates.collect());
    println!(
        "log: scan of {count} records, {} MB, from memory: {rate:.0} records/s (aim 20000000)",
        bytes / 1_000_000
    );
    let begin = Instant::now();
    let options = Options { expect: Some(CLUSTER), segment_bytes: 1 << 20 };
    let mut visited = 0u64;
    let mut visit = |_, _, _: &[u8]| {
        visited += 1;
        Ok(())
    };
    recover(&mut RealDisk::open(dir.path()), &options, &mut visit).expect("it is whole");
    let rate = visited as f64 / begin.elapsed().as_secs_f64();
    println!("log: recovery of them, nothing applied: {rate:.0} records/s");
    for flags in [&["--verify"][..], &["--kind=found"], &["--user=alice"], &["--json"]] {
        let seconds = dump_log(dir.path(), flags);
        println!(
            "log: dump-log {} of them in {seconds:.1} s, {:.0} records/s, in 24 MiB of addresses",
            flags[0],
            count as f64 / seconds
        );
    }
}
