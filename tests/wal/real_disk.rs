//! The log on a real file system, with its writer threads.

use std::path::Path;

use chatctl::wal::{
    Done, Entry, Identity, Options, RealDisk, Report, SpareState, Wal, Writer, recover,
};

use crate::support::TempDir;

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
        match writer.wait().expect("the writer lives") {
            Done::Batch { batch_no, result, .. } => {
                result.expect("written");
                wal.batch_durable(batch_no);
            }
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
        let mut writer = Writer::spawn(RealDisk::open(directory.path()), || {}).expect("spawns");
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
