//! A log on a real disk, written as a server writes it, for measurements.

use super::bounded::{RUN, Watchdog};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chatctl::wal::{Done, Identity, Options, Reader, RealDisk, SpareState, Wal, Writer, recover};

/// Whose log it is.
pub const CLUSTER: Identity = Identity { cluster: [7; 16] };

/// The log.
pub struct TestLog {
    directory: PathBuf,
    pub wal: Wal,
    writer: Writer,
}

impl TestLog {
    /// A new one in `directory`, which is there and empty, of segments of the usual size.
    pub fn new(directory: &Path) -> TestLog {
        let options =
            Options { expect: Some(CLUSTER), segment_bytes: chatctl::limits::WAL_SEGMENT_BYTES };
        let disk = RealDisk::open(directory);
        let mut visit = |_, _, _: &[u8]| Ok(());
        let (wal, _) = recover(&mut disk.clone(), &options, &mut visit).expect("a new log");
        let writer = Writer::spawn(disk.clone(), disk, || {}).expect("threads");
        TestLog { directory: directory.to_owned(), wal, writer }
    }

    /// Appends an entry; it is not on the disk before the next [`sync`](TestLog::sync).
    pub fn append(&mut self, payload: &[u8]) -> u64 {
        let index = self.wal.last_index() + 1;
        self.wal.append_entry(1, index, payload);
        index
    }

    /// Writes and syncs all that was appended; how long that took, microseconds.
    pub fn sync(&mut self) -> f64 {
        let _watchdog = Watchdog::new(RUN, "what was appended is on the disk");
        let started = Instant::now();
        while self.wal.in_flight() || self.wal.gathered_bytes() > 0 {
            if let Some(request) = self.wal.spare_wanted() {
                self.writer.make_spare(request);
            }
            if let Some(batch) = self.wal.take_batch(self.wal.persisted_index()) {
                self.writer.submit(batch);
            }
            match self.writer.wait().expect("the writer lives") {
                Done::Batch { batch_no, result, .. } => {
                    result.expect("the disk takes it");
                    self.wal.batch_durable(batch_no);
                }
                Done::HardState { .. } => panic!("no hard state was handed over"),
                Done::Spare(state) => {
                    assert!(matches!(state, SpareState::Ready), "{state:?}");
                    self.wal.spare_changed(&state);
                }
            }
        }
        started.elapsed().as_secs_f64() * 1e6
    }

    /// What reads it back.
    pub fn reader(&self) -> Reader {
        Reader::spawn(self.directory.clone(), 1, || {}).expect("a thread")
    }
}

/// A directory for a measurement: below `BENCH_DIR` where that is set, since the one for temporary
/// files may be in memory.
pub fn bench_directory(name: &str) -> super::TempDir {
    match std::env::var_os("BENCH_DIR") {
        Some(directory) => super::TempDir::within(Path::new(&directory), name),
        None => super::TempDir::new(name),
    }
}

/// The median.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
