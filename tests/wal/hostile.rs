//! Logs that nobody's server wrote: whole records with right checksums, and values that no server
//! gets to. All who read a log refuse them, by file and offset, and none panics.

use std::cell::RefCell;

use chatctl::limits;
use chatctl::node::payload::typed;
use chatctl::raft::{Config, Entry as RaftEntry, HardState, Raft, Restored, Run, ServerId};
use chatctl::wal::format::{Header, Kind, RECORDS_START};
use chatctl::wal::scan::{Item, Scanner};
use chatctl::wal::{Disk, Entry, Follower, Look, RecoverError, Report, SoundPart, Wal};
use chatctl::wal::{any_payload, examine_segment, recover};

use super::damage::{check_agreement, look};
use super::machine::{CLUSTER, OPTIONS, SEGMENT_BYTES};
use super::sim_disk::SimDisk;
use crate::support::segment::Segment;
use crate::support::{Rng, env_number};

/// A segment of a log that is recovered here.
fn segment(number: u64) -> Segment {
    Segment::new(CLUSTER, number, SEGMENT_BYTES)
}

/// Its file's bytes: as many as its header says, unless that is absurd.
fn content(segment: &Segment) -> Vec<u8> {
    segment.content(2 * SEGMENT_BYTES as usize)
}

fn write(segment: &Segment, disk: &SimDisk) {
    disk.set_content(&segment.name(), &content(segment));
}

/// Recovers a copy, and checks that all the others who read a log do without a panic, and agree.
fn read_by_all(disk: &SimDisk) -> Result<(Wal, Report, Vec<Entry>), RecoverError> {
    let mut scanner = Scanner::over(disk.clone()).expect("opens");
    while let Some(item) = scanner.next_item().expect("a disk without errors") {
        if let Item::End { .. } = item {
            break;
        }
    }
    let mut follower = Follower::new();
    for _ in 0..100 {
        let Ok(Some(batch)) = follower.next_batch(&mut disk.clone()) else { break };
        assert!(batch.records().count() > 0);
    }
    for name in disk.snapshot().into_keys() {
        let (mut visit, mut progress) = (|_, _, _: &[u8]| Ok(()), |_, _, _| {});
        let look = Look { visit: &mut visit, readable: any_payload, progress: &mut progress };
        let _ = examine_segment(&mut disk.clone(), &name, look);
    }
    if let Ok((mut part, _)) = SoundPart::of(disk.clone(), Some(CLUSTER)) {
        look(&mut part, Some(CLUSTER)).expect("what is shown is sound");
    }
    let looked_at = look(&mut disk.clone(), Some(CLUSTER));
    let (before, copy) = (disk.snapshot(), disk.fork());
    let entries = RefCell::new(Vec::new());
    let mut visit = |index, term, payload: &[u8]| {
        entries.borrow_mut().push(Entry { term, index, payload: payload.to_vec() });
        Ok(())
    };
    let result = recover(&mut copy.clone(), &OPTIONS, &mut visit);
    let mut entries = entries.into_inner();
    check_agreement(&looked_at, &result, &entries);
    if result.is_err() {
        assert!(copy.snapshot() == before, "who refuses changes nothing");
    }
    let (wal, report) = result?;
    entries.extend(report.tail.iter().cloned());
    // What was recovered can be recovered again.
    recover(&mut copy.clone(), &OPTIONS, &mut |_, _, _| Ok(())).expect("it was sound");
    Ok((wal, report, entries))
}

#[test]
fn a_record_with_a_hostile_value_is_refused_by_place_by_all_who_read_it() {
    let newest = limits::WAL_INDEX;
    for (kind, batch, term, index, said) in [
        (Kind::Entry, 2, u64::MAX, 3, "which is impossible"),
        (Kind::Entry, 2, limits::RAFT_TERM + 1, 3, "which is impossible"),
        (Kind::Entry, 2, 0, 3, "which is impossible"),
        (Kind::Entry, 2, 1, 3, "follows one of term 2"),
        (Kind::Entry, 2, 2, u64::MAX, "no log has an entry"),
        (Kind::Entry, 2, 2, newest + 1, "no log has an entry"),
        (Kind::Entry, 2, 2, newest, "follows entry 2"),
        (Kind::Entry, 2, 2, 2, "follows entry 2"),
        (Kind::Entry, 2, 2, 1, "follows entry 2"),
        (Kind::Truncate, 2, 0, u64::MAX, "no log has an entry"),
        (Kind::Truncate, 2, 0, 1, "though 1 are committed"),
        (Kind::Mark, 2, 0, u64::MAX, "no log has an entry"),
        (Kind::Mark, 2, 0, newest + 1, "no log has an entry"),
        (Kind::Mark, (1 << 56) - 1, 0, 1, "is in the place of batch 2"),
        (Kind::Entry, 0, 2, 3, "is in the place of batch 2"),
    ] {
        let (disk, mut segment) = (SimDisk::new(1), segment(1));
        segment.put(Kind::Entry, 1, 2, 1, b"one");
        segment.put(Kind::Entry, 1, 2, 2, b"two");
        segment.put(Kind::Mark, 1, 0, 1, &[]);
        let at = segment.end();
        segment.put(kind, batch, term, index, &[]);
        segment.put(Kind::Mark, 2, 0, 1, &[]);
        segment.put(Kind::Mark, 3, 0, 1, &[]);
        write(&segment, &disk);
        let what = format!("{kind:?} of batch {batch}, term {term}, index {index}");
        let error = read_by_all(&disk).map(drop).expect_err(&what);
        let (file, offset, why) = error.place();
        assert_eq!((file, offset), ("00000001.wal", u64::from(at)), "{what}");
        assert!(why.contains(said), "{what}: {why}");
    }
}

#[test]
fn a_commit_index_past_the_end_commits_what_is_there() {
    let (disk, mut segment) = (SimDisk::new(1), segment(1));
    segment.put(Kind::Entry, 1, limits::RAFT_TERM, 1, b"one");
    segment.put(Kind::Mark, 1, 0, limits::WAL_INDEX, &[]);
    write(&segment, &disk);
    let (_, report, entries) = read_by_all(&disk).expect("it is sound");
    assert_eq!((report.commit, entries.len()), (1, 1));
}

#[test]
fn a_batch_longer_than_any_server_writes_is_refused() {
    let (disk, mut segment) = (SimDisk::new(1), segment(1));
    let payload = vec![7; 100_000];
    let (mut index, mut past) = (0, None);
    while segment.bytes.len() < 5 << 20 {
        let at = segment.end();
        index += 1;
        segment.put(Kind::Entry, 1, 1, index, &payload);
        if (segment.end() - RECORDS_START) as usize > limits::WAL_BATCH_BYTES {
            past.get_or_insert(at);
        }
    }
    segment.put(Kind::Mark, 1, 0, 0, &[]);
    segment.header.length = segment.end();
    write(&segment, &disk);
    let error = read_by_all(&disk).map(drop).expect_err("it is refused");
    assert_eq!(error.place().1, u64::from(past.expect("it is too long")), "{error}");
}

#[test]
fn a_header_with_a_hostile_value_is_refused_by_its_file() {
    type Change = fn(&mut Header);
    let changes: [(&str, Change); 9] = [
        ("follows itself", |header| header.follows = header.number),
        ("follows the last of all", |header| header.follows = u64::MAX),
        ("follows one that is not there", |header| header.follows = 1),
        ("another's number", |header| header.number = u64::MAX),
        ("no number", |header| header.number = 0),
        ("no length", |header| header.length = 0),
        ("no room for its header", |header| header.length = RECORDS_START - 1),
        ("the most length", |header| header.length = u32::MAX),
        ("follows at the last byte", |header| header.follows_at = u32::MAX),
    ];
    for (what, change) in changes {
        let disk = SimDisk::new(1);
        let mut first = segment(2);
        first.header.follows = 0;
        first.put(Kind::Entry, 1, 1, 1, b"one");
        first.put(Kind::Mark, 1, 0, 1, &[]);
        write(&first, &disk);
        let mut second = segment(3);
        second.put(Kind::Mark, 2, 0, 1, &[]);
        change(&mut second.header);
        disk.set_content("00000003.wal", &content(&second));
        let error = read_by_all(&disk).map(drop).expect_err(what);
        assert!(matches!(error, RecoverError::Corrupt { .. }), "{what}: {error}");
    }
}

#[test]
fn a_segment_with_a_hostile_number_is_not_one_or_refused() {
    for (number, is_one) in [(limits::WAL_SEGMENTS, true), (limits::WAL_SEGMENTS + 1, false)] {
        for name in [format!("{number}.wal"), format!("{number}.new")] {
            let disk = SimDisk::new(1);
            write(&segment(1), &disk);
            let mut renamed = segment(1);
            (renamed.header.number, renamed.header.follows) = (number, 1);
            disk.set_content(&name, &content(&renamed));
            let result = read_by_all(&disk);
            assert_eq!(result.is_err(), is_one, "{name}");
        }
    }
    let disk = SimDisk::new(1);
    disk.set_content(&format!("{}.wal", u64::MAX), &content(&segment(1)));
    read_by_all(&disk).expect("that is not a segment");
    assert_eq!(disk.clone().list().expect("lists").len(), 1);
}

/// A value that means something, or is next to one that does.
fn value(rng: &mut Rng, usual: u64) -> u64 {
    const EDGES: [u64; 12] = [
        0,
        1,
        2,
        1 << 16,
        1 << 32,
        limits::WAL_INDEX,
        limits::RAFT_TERM,
        (1 << 56) - 1,
        1 << 56,
        1 << 63,
        u64::MAX - 1,
        u64::MAX,
    ];
    match rng.below(24) {
        0 => EDGES[rng.below(EDGES.len() as u64) as usize],
        1 => {
            EDGES[rng.below(EDGES.len() as u64) as usize].wrapping_add(rng.below(5)).wrapping_sub(2)
        }
        2 => usual.wrapping_add(rng.below(5)).wrapping_sub(2),
        _ => usual,
    }
}

/// A log of whole records, most of which are as a server writes them.
fn crafted(rng: &mut Rng) -> SimDisk {
    let disk = SimDisk::new(rng.next());
    let (mut batch, mut term, mut last, mut commit) = (1, 1u64, 0u64, 0);
    let segments = 1 + rng.below(3);
    for number in 1..=segments {
        let mut segment = segment(number);
        for _ in 0..rng.below(5) {
            for _ in 0..rng.below(4) {
                let (batch, payload) = (value(rng, batch), vec![7; rng.below(20) as usize]);
                match rng.below(5) {
                    0 if last > commit => {
                        let index = value(rng, last).max(1);
                        segment.put(Kind::Truncate, batch, 0, index, &[]);
                        last = index - 1;
                    }
                    _ => {
                        let usual = term.wrapping_add(rng.below(2));
                        term = value(rng, usual);
                        let index = value(rng, last.wrapping_add(1)).max(1);
                        segment.put(Kind::Entry, batch, term, index, &payload);
                        last = index;
                    }
                }
            }
            if rng.chance(1, 3) {
                commit = value(rng, last);
            }
            segment.put(Kind::Mark, value(rng, batch), 0, commit, &[]);
            batch += 1;
        }
        let header = &mut segment.header;
        header.follows = value(rng, header.follows);
        header.length = value(rng, header.length.into()) as u32;
        if rng.chance(1, 10) {
            header.follows_at = value(rng, RECORDS_START.into()) as u32;
        }
        disk.set_content(&format!("{number:08}.wal"), &content(&segment));
    }
    disk
}

/// A server goes on from what was recovered, and is elected where it is alone.
fn goes_on(wal: &Wal, report: Report) {
    let tail: Vec<RaftEntry> = report
        .tail
        .into_iter()
        .map(|Entry { term, index, payload }| RaftEntry { term, index, payload: typed(&payload) })
        .collect();
    let restored = Restored {
        hard_state: HardState { term: 1, voted_for: None },
        copy: 0,
        runs: wal.term_runs().map(|(first_index, term)| Run { first_index, term }).collect(),
        last_index: wal.last_index(),
        commit: report.commit,
        tail,
    };
    let config = Config::new(ServerId(1), vec![ServerId(1)], 1);
    let mut raft = Raft::new(config, restored, 0).expect("the log is one that it goes on from");
    for now_ms in (0..5_000).step_by(100) {
        raft.tick(now_ms);
    }
}

#[test]
fn whatever_values_whole_records_have_nobody_panics_and_all_agree() {
    let seed = env_number("WAL_SEED", 1);
    println!("WAL_SEED={seed}");
    let mut rng = Rng::new(seed);
    let (mut sound, mut refused) = (0, 0);
    for _ in 0..1_500 {
        match read_by_all(&crafted(&mut rng)) {
            Ok((wal, report, _)) => {
                sound += 1;
                goes_on(&wal, report);
            }
            Err(_) => refused += 1,
        }
    }
    assert!(sound > 100 && refused > 100, "{sound} sound, {refused} refused");
}
