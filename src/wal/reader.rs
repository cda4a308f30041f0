//! Reading entries back: without waiting where the page cache has them, by a thread where not.

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
        Ok(Reader { files, jobs, done, thread, outstanding: 0, capacity })
    }

    /// Reads a record into `buffer`, behind what is there, and says where in it the payload is.
    /// `None`: it would mean waiting for the disk; nothing was appended.
    pub fn try_read(
        &mut self,
        location: Location,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Range<usize>>, ReadError> {
        let start = buffer.len();
        let read = self.files.read(location, buffer, read_cached);
        if !matches!(read, Ok(Some(_))) {
            buffer.truncate(start);
        }
        read
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
    let mut buffer = Vec::new();
    while let Ok((job, locations)) = queue.recv() {
        let payloads = locations.into_iter().map(|location| {
            buffer.clear();
            let payload = files.read(location, &mut buffer, read_waiting)?;
            Ok(buffer[payload.expect("what waits always reads")].to_vec())
        });
        let result = payloads.collect();
        if done.send(ReadDone { job, result }).is_err() {
            return;
        }
        wake();
    }
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

    fn read(
        &mut self,
        location: Location,
        buffer: &mut Vec<u8>,
        fill: Fill,
    ) -> Result<Option<Range<usize>>, ReadError> {
        let Location { segment, offset, length } = location;
        let Files { directory, open } = self;
        let path = || directory.join(segment_name(segment));
        let failed = |why: String| ReadError { file: path(), offset, why, damaged: true };
        if length as usize > RECORD_BYTES {
            return Err(failed(format!("no record is {length} bytes long")));
        }
        let io_failed = |error: io::Error| ReadError {
            // A file that is gone or cut is damage, what the disk says of itself is not.
            damaged: [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof]
                .contains(&error.kind()),
            ..failed(error.to_string())
        };
        let open = look_up(open, segment, path).map_err(io_failed)?;
        let salt = match open.salt {
            Some(salt) => salt,
            None => {
                let mut header = [0; HEADER_BYTES];
                if fill(&open.file, &mut header, 0).map_err(io_failed)?.is_none() {
                    return Ok(None);
                }
                let header = Header::decode(&header).map_err(|bad| failed(bad.to_string()))?;
                *open.salt.insert(header.salt)
            }
        };
        let start = buffer.len();
        buffer.resize(start + length as usize, 0);
        if fill(&open.file, &mut buffer[start..], offset.into()).map_err(io_failed)?.is_none() {
            return Ok(None);
        }
        match record_of(&buffer[start..], salt, offset) {
            Ok(record) if record.kind == Kind::Entry => {
                Ok(Some(start + RECORD_HEADER_BYTES..buffer.len()))
            }
            Ok(_) => Err(failed("the record is no entry".into())),
            Err(bad) => Err(failed(bad.to_string())),
        }
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
