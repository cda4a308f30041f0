//! The log on a real file system, with its writer threads.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chatctl::limits;
use chatctl::wal::{
    Done, Entry, Full, Identity, Location, Options, ReadDone, Reader, RealDisk, Report, SpareState,
    Wal, Writer, recover, segment_name,
};

use crate::support::TempDir;
use crate::support::bounded::{PATIENCE, eventually};

const CLUSTER: Identity = Identity { cluster: [7; 16] };
const SEGMENT_BYTES: u32 = 64 << 10;

fn payload(index: u64) -> Vec<u8> {
    format!("entry {index} ").repeat(1 + index as usize % 50).into_bytes()
}

fn open(directory: &Path) -> (Wal, Report, Vec<Entry>) {
    let options = Options { expect: Some(CLUSTER), segment_bytes: SEGMENT_BYTES };
    let mut visited = Vec::new();
    let mut visit = |index, term, payload: &[u8]| {
        visited.push(Entry { term, index, payload: payload.to_vec() });
        Ok(())
    };
    let (wal, report) =
        recover(&mut RealDisk::open(directory), &options, &mut visit).expect("recovers");
    (wal, report, visited)
}

/// Writes all that is gathered, as a server's loop does.
fn drain(wal: &mut Wal, writer: &mut Writer) {
    loop {
        if let Some(request) = wal.spare_wanted() {
            writer.make_spare(request);
        }
        if let Some(batch) = wal.take_batch(wal.persisted_index()) {
            writer.submit(batch);
        } else if !wal.in_flight() && wal.gathered_bytes() == 0 {
            return;
        }
        match eventually("the writer has done a job", PATIENCE, || writer.poll()) {
            Done::Batch { batch_no, result, .. } => {
                result.expect("written");
                wal.batch_durable(batch_no);
            }
            Done::HardState { .. } => panic!("no hard state was handed over"),
            Done::Spare(state) => {
                assert!(matches!(state, SpareState::Ready), "{state:?}");
                wal.spare_changed(&state);
            }
        }
    }
}

#[test]
fn entries_are_there_again_after_every_restart_and_across_segments() {
    let directory = TempDir::new("wal-restart");
    let mut next = 1;
    for round in 0..6 {
        let (mut wal, report, visited) = open(directory.path());
        assert_eq!(report.torn_tail, None);
        assert_eq!(wal.last_index(), next - 1);
        let all: Vec<Entry> = visited.into_iter().chain(report.tail).collect();
        assert_eq!(all.len() as u64, next - 1);
        for (entry, index) in all.iter().zip(1..) {
            assert_eq!((entry.index, &entry.payload), (index, &payload(index)));
        }
        let mut writer = Writer::spawn(
            RealDisk::open(directory.path()),
            RealDisk::open(directory.path()),
            || {},
        )
        .expect("spawns");
        for _ in 0..(round * 40) {
            for _ in 0..7 {
                wal.append_entry(1 + round, next, &payload(next));
                next += 1;
            }
            drain(&mut wal, &mut writer);
            assert_eq!(wal.persisted_index(), next - 1);
        }
        if wal.mark_due() {
            wal.append_mark();
            drain(&mut wal, &mut writer);
        }
        assert!(!wal.mark_due());
    }
    assert!(open(directory.path()).1.segments > 5);
}

/// A log with `count` entries in several segments, still open.
fn filled(directory: &Path, count: u64) -> (Wal, Writer) {
    let (mut wal, ..) = open(directory);
    let mut writer =
        Writer::spawn(RealDisk::open(directory), RealDisk::open(directory), || {}).expect("spawns");
    append(&mut wal, &mut writer, count);
    (wal, writer)
}

fn append(wal: &mut Wal, writer: &mut Writer, count: u64) {
    for _ in 0..count {
        let index = wal.last_index() + 1;
        wal.append_entry(1, index, &payload(index));
        if index.is_multiple_of(10) {
            drain(wal, writer);
        }
    }
    drain(wal, writer);
}

fn read_all(reader: &mut Reader, wal: &Wal) {
    let locations: Vec<Location> =
        (1..=wal.persisted_index()).filter_map(|index| wal.location(index)).collect();
    // All that are in memory, up to the first that is not.
    let payloads = reader.try_read(&locations).expect("readable");
    assert!(payloads.zip(1..).all(|(found, index)| found == payload(index)));
    reader.submit(9, locations).expect("an empty queue takes a job");
    let done = wait(reader);
    assert_eq!(done.job, 9);
    let expected: Vec<Vec<u8>> = (1..=wal.persisted_index()).map(payload).collect();
    assert_eq!(done.result.expect("readable"), expected);
}

fn wait(reader: &mut Reader) -> ReadDone {
    eventually("the reader has read what it was asked for", PATIENCE, || reader.poll())
}

#[test]
fn entries_are_read_back_while_their_segment_is_being_written() {
    let directory = TempDir::new("wal-reader");
    let (mut wal, mut writer) = filled(directory.path(), 35);
    let mut reader = Reader::spawn(directory.path(), 2, || {}).expect("spawns");
    read_all(&mut reader, &wal);
    append(&mut wal, &mut writer, 900);
    assert!(wal.segments() > limits::WAL_READ_FILES / 8);
    read_all(&mut reader, &wal);
}

#[test]
fn a_record_that_changed_on_the_disk_is_an_error_that_names_the_place() {
    let directory = TempDir::new("wal-reader-damage");
    let (wal, _writer) = filled(directory.path(), 20);
    let mut reader = Reader::spawn(directory.path(), 2, || {}).expect("spawns");
    let (whole, damaged) = (wal.location(6).unwrap(), wal.location(7).unwrap());
    let path = directory.path().join(segment_name(damaged.segment));
    let file = OpenOptions::new().write(true).open(path).expect("opens");
    file.write_all_at(b"?", u64::from(damaged.offset) + 40).expect("writes");

    let read = |reader: &mut Reader, location| match reader.try_read(&[location]) {
        Ok(payloads) => Ok(payloads.len()),
        Err(error) => Err(error),
    };
    let error = read(&mut reader, damaged).expect_err("its checksum is wrong");
    assert_eq!(error.offset, damaged.offset);
    assert!(error.to_string().contains("00000001.wal"), "{error}");
    reader.submit(1, vec![whole, damaged]).expect("there is room");
    wait(&mut reader).result.expect_err("its checksum is wrong");
    assert!(read(&mut reader, whole).is_ok());

    let elsewhere = Location { offset: whole.offset + 8, ..whole };
    assert!(read(&mut reader, elsewhere).is_err());
    let nowhere = Location { segment: 99, ..whole };
    assert!(read(&mut reader, nowhere).is_err());
    let too_long = Location { length: u32::MAX, ..whole };
    assert!(read(&mut reader, too_long).is_err());
}

#[test]
fn a_full_queue_of_reads_refuses_until_a_job_is_polled() {
    let directory = TempDir::new("wal-reader-full");
    let (wal, _writer) = filled(directory.path(), 5);
    let mut reader = Reader::spawn(directory.path(), 2, || {}).expect("spawns");
    let job = || vec![wal.location(1).unwrap()];
    assert_eq!(reader.submit(1, job()), Ok(()));
    assert_eq!(reader.submit(2, job()), Ok(()));
    assert_eq!(reader.submit(3, job()), Err(Full));
    assert_eq!(wait(&mut reader).job, 1);
    assert_eq!(reader.submit(4, job()), Ok(()));
    assert_eq!((wait(&mut reader).job, wait(&mut reader).job), (2, 4));
    assert!(reader.poll().is_none());
}
