//! Reading entries back: without waiting where the page cache has them, by a thread where not. Those
//! that lie close to each other are read by one call.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::JoinHandle;

use super::format::{HEADER_BYTES, Header, Kind, RECORD_BYTES, RECORD_HEADER_BYTES, record_of};
use super::{Location, segment_name};
use crate::limits;
use crate::sys::file::read_nowait;

/// Why a record could not be read.
#[derive(Debug)]
pub struct ReadError {
    /// The segment's file.
    pub file: PathBuf,
    /// Where the record begins, bytes.
    pub offset: u32,
    /// What is wrong: the disk's error, or damage.
    pub why: String,
    /// Whether it is damage: what stands there is not what was written.
    pub damaged: bool,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReadError { file, offset, why, .. } = self;
        write!(f, "{} at byte {offset}: {why}", file.display())
    }
}

impl std::error::Error for ReadError {}

/// The reader's queue is full: come again later (`busy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A job that is done.
#[derive(Debug)]
pub struct ReadDone {
    /// What it was submitted as.
    pub job: u64,
    /// The payloads, in the order of the locations.
    pub result: Result<Vec<Vec<u8>>, ReadError>,
}

/// Reads entries of a log that may be growing at the same time. The locations are those of
/// persisted entries; a record that is not what its location says is an error, never returned.
#[derive(Debug)]
pub struct Reader {
    files: Files,
    found: Found,
    jobs: Option<SyncSender<(u64, Vec<Location>)>>,
    done: Receiver<ReadDone>,
    thread: Option<JoinHandle<()>>,
    /// Jobs submitted and not polled yet: the bound of both queues.
    outstanding: usize,
    capacity: usize,
}

impl Reader {
    /// Starts the thread for the segments in `directory`, with `capacity` jobs at most submitted
    /// and not yet polled. `wake` is called after every job, from the thread.
    pub fn spawn(
        directory: impl Into<PathBuf>,
        capacity: usize,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Reader> {
        let files = Files::new(directory.into());
        let (jobs, queue) = mpsc::sync_channel(capacity);
        let (sender, done) = mpsc::channel();
        let own = Files::new(files.directory.clone());
        let thread = std::thread::Builder::new()
            .name("wal-reader".into())
            .spawn(move || read_jobs(own, &queue, &sender, &wake))?;
        let (jobs, thread) = (Some(jobs), Some(thread));
        Ok(Reader { files, found: Found::default(), jobs, done, thread, outstanding: 0, capacity })
    }

    /// Reads as many of the first entries as can be had without waiting for the disk, and gives their
    /// payloads, in the order of the locations.
    pub fn try_read(&mut self, locations: &[Location]) -> Result<Payloads<'_>, ReadError> {
        self.files.read(locations, &mut self.found, read_cached)?;
        Ok(self.found.payloads())
    }

    /// Has the thread read entries. Their payloads come by [`poll`](Reader::poll).
    pub fn submit(&mut self, job: u64, locations: Vec<Location>) -> Result<(), Full> {
        if self.outstanding >= self.capacity {
            return Err(Full);
        }
        let jobs = self.jobs.as_ref().expect("the queue is open until the drop");
        jobs.try_send((job, locations)).map_err(|_| Full)?;
        self.outstanding += 1;
        Ok(())
    }

    /// A job that is done; never waits.
    pub fn poll(&mut self) -> Option<ReadDone> {
        let done = self.done.try_recv().ok()?;
        self.outstanding -= 1;
        Some(done)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read_jobs(
    mut files: Files,
    queue: &Receiver<(u64, Vec<Location>)>,
    done: &Sender<ReadDone>,
    wake: &dyn Fn(),
) {
    let mut found = Found::default();
    while let Ok((job, locations)) = queue.recv() {
        let read = files.read(&locations, &mut found, read_waiting);
        let result = read.map(|()| found.payloads().map(<[u8]>::to_vec).collect());
        if done.send(ReadDone { job, result }).is_err() {
            return;
        }
        wake();
    }
}

/// What was read: the bytes, and where in them the payloads are.
#[derive(Debug, Default)]
struct Found {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Found {
    fn payloads(&self) -> Payloads<'_> {
        Payloads { bytes: &self.bytes, ranges: self.ranges.iter() }
    }
}

/// Payloads that were read, until the next are.
#[derive(Debug)]
pub struct Payloads<'a> {
    bytes: &'a [u8],
    ranges: std::slice::Iter<'a, Range<usize>>,
}

impl<'a> Iterator for Payloads<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.ranges.next().map(|range| &self.bytes[range.clone()])
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranges.size_hint()
    }
}

impl ExactSizeIterator for Payloads<'_> {}

/// How many of the locations, from the first on, one read takes, and its length in bytes: they are
/// in one segment, one behind the other, and what is between them is too little for a call to pay.
fn run_of(locations: &[Location]) -> (usize, usize) {
    let Some(first) = locations.first() else { return (0, 0) };
    let (mut count, mut length) = (1, first.length as usize);
    for next in &locations[1..] {
        let Some(from) = next.offset.checked_sub(first.offset) else { break };
        let (from, until) = (from as usize, from as usize + next.length as usize);
        let is_close = length <= from && from - length <= limits::WAL_READ_GAP_BYTES;
        if next.segment != first.segment || !is_close || until > limits::WAL_READ_BYTES {
            break;
        }
        (count, length) = (count + 1, until);
    }
    (count, length)
}

/// Fills the buffer from an offset of a file; `None` where that would mean waiting.
type Fill = fn(&File, &mut [u8], u64) -> io::Result<Option<()>>;

fn read_waiting(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<Option<()>> {
    file.read_exact_at(buffer, offset).map(Some)
}

fn read_cached(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<Option<()>> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_nowait(file, &mut buffer[filled..], offset + filled as u64)? {
            None => return Ok(None),
            Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(count) => filled += count,
        }
    }
    Ok(Some(()))
}

/// Segments held open, least recently used first.
#[derive(Debug)]
struct Files {
    directory: PathBuf,
    open: Vec<Segment>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: File,
    /// `None` until the header was read.
    salt: Option<u32>,
}

impl Files {
    fn new(directory: PathBuf) -> Files {
        Files { directory, open: Vec::new() }
    }

    /// Reads the entries, as many of the first as `fill` can have.
    fn read(
        &mut self,
        mut locations: &[Location],
        found: &mut Found,
        fill: Fill,
    ) -> Result<(), ReadError> {
        found.bytes.clear();
        found.ranges.clear();
        while !locations.is_empty() {
            let (count, length) = run_of(locations);
            let (run, rest) = locations.split_at(count);
            if !self.read_run(run, length, found, fill)? {
                break;
            }
            locations = rest;
        }
        Ok(())
    }

    /// Reads a run of entries, so many bytes, behind what is found already; false: nothing can be had
    /// without waiting.
    fn read_run(
        &mut self,
        run: &[Location],
        length: usize,
        found: &mut Found,
        fill: Fill,
    ) -> Result<bool, ReadError> {
        let Location { segment, offset: first, .. } = run[0];
        let Files { directory, open } = self;
        let path = || directory.join(segment_name(segment));
        let failed = |offset, why| ReadError { file: path(), offset, why, damaged: true };
        if let Some(wrong) = run.iter().find(|location| location.length as usize > RECORD_BYTES) {
            let why = format!("no record is {} bytes long", wrong.length);
            return Err(failed(wrong.offset, why));
        }
        let io_failed = |error: io::Error| ReadError {
            // A file that is gone or cut is damage, what the disk says of itself is not.
            damaged: [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof]
                .contains(&error.kind()),
            ..failed(first, error.to_string())
        };
        let open = look_up(open, segment, path).map_err(io_failed)?;
        let salt = match open.salt {
            Some(salt) => salt,
            None => {
                let mut header = [0; HEADER_BYTES];
                if fill(&open.file, &mut header, 0).map_err(io_failed)?.is_none() {
                    return Ok(false);
                }
                let header =
                    Header::decode(&header).map_err(|bad| failed(first, bad.to_string()))?;
                *open.salt.insert(header.salt)
            }
        };
        let start = found.bytes.len();
        found.bytes.resize(start + length, 0);
        if fill(&open.file, &mut found.bytes[start..], first.into()).map_err(io_failed)?.is_none() {
            return Ok(false);
        }
        for &Location { offset, length, .. } in run {
            let at = start + (offset - first) as usize;
            let end = at + length as usize;
            match record_of(&found.bytes[at..end], salt, offset) {
                Ok(record) if record.kind == Kind::Entry => {
                    found.ranges.push(at + RECORD_HEADER_BYTES..end);
                }
                Ok(_) => return Err(failed(offset, "the record is not an entry".into())),
                Err(bad) => return Err(failed(offset, bad.to_string())),
            }
        }
        Ok(true)
    }
}

/// The segment among the open ones, where it is last from now on.
fn look_up(
    open: &mut Vec<Segment>,
    number: u64,
    path: impl Fn() -> PathBuf,
) -> io::Result<&mut Segment> {
    match open.iter().position(|segment| segment.number == number) {
        Some(at) => open[at..].rotate_left(1),
        None => {
            let segment = Segment { number, file: File::open(path())?, salt: None };
            if open.len() >= limits::WAL_READ_FILES {
                open.remove(0);
            }
            open.push(segment);
        }
    }
    Ok(open.last_mut().expect("a segment was just put there"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_close_to_each_other_are_read_together_and_others_apart() {
        let at = |segment, offset, length| Location { segment, offset, length };
        let gap = limits::WAL_READ_GAP_BYTES as u32;
        let most = limits::WAL_READ_BYTES as u32;
        let runs = |locations: &[Location]| {
            let (mut left, mut runs) = (locations, Vec::new());
            while !left.is_empty() {
                let (count, length) = run_of(left);
                runs.push((count, length));
                left = &left[count..];
            }
            runs
        };
        assert_eq!(runs(&[at(1, 64, 40), at(1, 104, 8), at(1, 120, 8)]), [(3, 64)]);
        // As far apart as may be, and one byte more.
        let near = at(1, 104 + gap, 8);
        assert_eq!(runs(&[at(1, 64, 40), near]), [(2, 48 + gap as usize)]);
        assert_eq!(runs(&[at(1, 63, 40), near]), [(1, 40), (1, 8)]);
        // Another segment, one before the other, twice the same.
        assert_eq!(runs(&[at(1, 64, 40), at(2, 104, 8)]), [(1, 40), (1, 8)]);
        assert_eq!(runs(&[at(1, 104, 8), at(1, 64, 40)]), [(1, 8), (1, 40)]);
        assert_eq!(runs(&[at(1, 64, 40), at(1, 64, 40)]), [(1, 40), (1, 40)]);
        // As much as one call reads, and one byte more; what is longer by itself is read all the same.
        assert_eq!(runs(&[at(1, 64, 40), at(1, 104, most - 40)]), [(2, most as usize)]);
        assert_eq!(
            runs(&[at(1, 64, 40), at(1, 104, most - 39)]),
            [(1, 40), (1, most as usize - 39)]
        );
        assert_eq!(runs(&[at(1, 64, 2 * most)]), [(1, 2 * most as usize)]);
    }

    #[test]
    fn so_many_segments_are_open_at_a_time_and_the_one_unused_for_longest_is_closed() {
        // Any file will do: which it is does not matter here.
        let path = || PathBuf::from("/dev/null");
        let (mut open, most) = (Vec::new(), limits::WAL_READ_FILES as u64);
        for number in 1..=most {
            look_up(&mut open, number, path).expect("it can be opened");
        }
        look_up(&mut open, 1, path).expect("it is open");
        look_up(&mut open, most + 1, path).expect("it can be opened");
        let numbers: Vec<u64> = open.iter().map(|segment| segment.number).collect();
        let expected: Vec<u64> = (3..=most).chain([1, most + 1]).collect();
        assert_eq!(numbers, expected);
    }
}
