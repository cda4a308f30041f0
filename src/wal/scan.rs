//! Looking at a log without touching it: a running server's, a damaged one, or one segment's file.
//!
//! Goes over every record in order, in constant memory, and on behind damage, which it finds as
//! recovery does: no record where a later one proves that there was one. The end of the log, be it
//! half written by a server that runs or was killed, is no damage.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, RealDisk};
use super::format::{HEADER_BYTES, Header, Kind, Parsed, RECORD_BYTES, RECORDS_START, Record};
use super::format::{padded, parse};
use super::survey::{fault_of, segment_of};
use super::window::Window;
use super::{segment_name, segment_number};

/// What a [`Scanner`] meets.
#[derive(Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A segment begins.
    Segment {
        /// Its file's name.
        file: String,
        /// Its header.
        header: Header,
        /// False for one that recovery has replaced: its records are not gone over.
        counts: bool,
    },
    /// A record.
    Record {
        /// Its file's name.
        file: &'a str,
        /// Where it begins, bytes.
        offset: u32,
        /// It.
        record: Record<'a>,
    },
    /// Something that was there is not, or not as it was. The next item is behind it.
    Damage {
        /// The file's name.
        file: String,
        /// Where the damage begins, bytes.
        offset: u64,
        /// What is wrong.
        why: String,
    },
    /// The log's end. Nothing comes after it.
    End {
        /// The file's name; empty where there is no segment.
        file: String,
        /// Where the next record would begin, bytes.
        offset: u64,
        /// What is there in place of zeros: a batch half written.
        torn: Option<String>,
    },
}

/// Goes over a log's records; see the module.
#[derive(Debug)]
pub struct Scanner<D = RealDisk> {
    disk: D,
    parts: std::vec::IntoIter<Part>,
    state: State,
    current: Option<Current>,
    /// Where records ended without a sign of damage so far.
    stop: Option<Stop>,
    garbage: bool,
    /// The last record's batch, and whether it was the mark that closes it.
    batch: u64,
    closed: bool,
    /// Whether the next record may be of any later batch: at the beginning, and behind damage.
    any_batch: bool,
}

#[derive(Debug)]
enum Part {
    Segment { file: String, header: Header, end: Option<u32>, counts: bool, short: Option<Short> },
    Bad { file: String, why: String },
}

/// A file that ends too early: where, and what is wrong with that.
type Short = (u64, String);

#[derive(Debug)]
struct Current {
    file: String,
    salt: u32,
    window: Window,
    /// Where the next segment's header says that the records end.
    end: Option<u32>,
    short: Option<Short>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    NextPart,
    First,
    Reading(u32),
    Over,
}

#[derive(Clone, Debug)]
struct Stop {
    file: String,
    salt: u32,
    offset: u32,
    why: Option<String>,
}

/// Where the segments of what a [`Scanner`] can look at are; `None` for one segment's file.
pub fn segments_directory(path: &Path) -> Option<PathBuf> {
    let below = path.join("wal");
    path.is_dir().then(|| if below.is_dir() { below } else { path.to_owned() })
}

impl Scanner<RealDisk> {
    /// Looks at a data directory, a directory of segments, or one segment's file.
    pub fn open(path: &Path) -> io::Result<Scanner> {
        if let Some(directory) = segments_directory(path) {
            return Scanner::over(RealDisk::read_only(&directory));
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let mut disk = RealDisk::read_only(parent.unwrap_or(Path::new(".")));
        let part = match read_header(&mut disk, name)? {
            Ok(header) => {
                let (file, end, counts, short) = (name.to_owned(), None, true, None);
                Part::Segment { file, header, end, counts, short }
            }
            Err(why) => Part::Bad { file: name.to_owned(), why },
        };
        Ok(Scanner::of(disk, vec![part]))
    }
}

impl<D: Disk> Scanner<D> {
    /// Looks at the segments of a directory.
    pub fn over(mut disk: D) -> io::Result<Scanner<D>> {
        let names = disk.list()?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        let parts = parts(&mut disk, &numbers)?;
        Ok(Scanner::of(disk, parts))
    }

    fn of(disk: D, parts: Vec<Part>) -> Scanner<D> {
        Scanner {
            disk,
            parts: parts.into_iter(),
            state: State::NextPart,
            current: None,
            stop: None,
            garbage: false,
            batch: 0,
            closed: true,
            any_batch: true,
        }
    }

    /// How many segments are still to come.
    pub fn segments_left(&self) -> usize {
        self.parts.len()
    }

    /// The next thing; `None` behind the end.
    pub fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        loop {
            let item = match self.state {
                State::NextPart => self.next_part(),
                State::First => self.first()?,
                State::Reading(offset) => match self.step(offset)? {
                    Step::Record => return self.record(offset).map(Some),
                    Step::Damage(item) => Some(item),
                    Step::Stopped => self.stopped(offset)?,
                },
                State::Over => return Ok(None),
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    fn next_part(&mut self) -> Option<Item<'static>> {
        match self.parts.next() {
            None => {
                self.state = State::Over;
                Some(self.end())
            }
            Some(Part::Bad { file, why }) => {
                // What could have gone on here is already said to be damaged.
                self.stop = None;
                self.any_batch = true;
                Some(Item::Damage { file, offset: 0, why })
            }
            Some(Part::Segment { file, header, end, counts, short }) => {
                if counts {
                    let window = Window::new(file.clone(), end.unwrap_or(header.length).into());
                    let (file, salt) = (file.clone(), header.salt);
                    self.current = Some(Current { file, salt, window, end, short });
                    self.any_batch &= header.follows != 0;
                    self.state = State::First;
                }
                Some(Item::Segment { file, header, counts })
            }
        }
    }

    fn end(&self) -> Item<'static> {
        let Some(Stop { file, offset, why, .. }) = self.stop.clone() else {
            return Item::End { file: String::new(), offset: 0, torn: None };
        };
        let torn = self.garbage || !self.closed;
        let torn = torn.then(|| why.unwrap_or_else(|| "the last batch is incomplete".into()));
        Item::End { file, offset: offset.into(), torn }
    }

    /// At a segment's beginning: where the next batch begins here, the one before ended as it
    /// should.
    fn first(&mut self) -> io::Result<Option<Item<'static>>> {
        let next = self.next_batch();
        let first = match self.parse(RECORDS_START)? {
            Parsed::Record(record) => Ok(record.batch),
            Parsed::Nothing => Err(None),
            Parsed::Damaged(bad) => Err(Some(bad.to_string())),
        };
        if self.stop.is_none() || self.closed && first == Ok(next) {
            self.stop = None;
            self.garbage = false;
            self.state = State::Reading(RECORDS_START);
            return Ok(None);
        }
        let ended_well = self.closed && !self.garbage;
        let before = self.stop.take();
        self.stop = match first {
            Err(why) if ended_well && self.has_something()? => {
                Some(self.stop_at(RECORDS_START, why))
            }
            _ => before,
        };
        let found = self.search_on(RECORDS_START)?;
        Ok(found.or_else(|| self.shortness()))
    }

    /// What is wrong with a segment whose file ends too early.
    fn shortness(&mut self) -> Option<Item<'static>> {
        let Current { file, short, .. } = self.current.as_mut()?;
        let (offset, why) = short.take()?;
        let file = file.clone();
        (self.any_batch, self.stop) = (true, None);
        Some(Item::Damage { file, offset, why })
    }

    /// Whether the segment has more than zeros.
    fn has_something(&mut self) -> io::Result<bool> {
        let Scanner { disk, current, .. } = self;
        let current = current.as_mut().expect("a segment is being gone over");
        let found = current.window.search(disk, current.salt, RECORDS_START, u64::MAX)?;
        Ok(found.something.is_some())
    }

    fn step(&mut self, offset: u32) -> io::Result<Step> {
        let (kind, batch, padded) = match self.parse(offset)? {
            Parsed::Record(record) => (record.kind, record.batch, record.padded()),
            Parsed::Nothing => {
                self.stop = Some(self.stop_at(offset, None));
                return Ok(Step::Stopped);
            }
            Parsed::Damaged(bad) => {
                self.stop = Some(self.stop_at(offset, Some(bad.to_string())));
                return Ok(Step::Stopped);
            }
        };
        let next = self.next_batch();
        if batch != next && !self.any_batch {
            self.any_batch = true;
            let why = format!("a record of batch {batch} in the place of batch {next}");
            return Ok(Step::Damage(self.stop_at(offset, Some(why)).into_damage()));
        }
        self.any_batch = false;
        self.batch = batch;
        self.closed = kind == Kind::Mark;
        self.state = State::Reading(offset + padded);
        Ok(Step::Record)
    }

    /// No record stands at `offset`.
    fn stopped(&mut self, offset: u32) -> io::Result<Option<Item<'static>>> {
        let Current { end, short, .. } = self.current();
        let too_early = end.is_some_and(|end| end != offset);
        let is_short = short.is_some();
        match self.search_on(offset)? {
            None if is_short => Ok(self.shortness()),
            None if too_early => Ok(self.stop.take().map(|stop| {
                self.any_batch = true;
                stop.into_damage()
            })),
            item => Ok(item),
        }
    }

    /// Looks for a record of a later batch, which makes the stop before it damage.
    fn search_on(&mut self, from: u32) -> io::Result<Option<Item<'static>>> {
        let batch = if self.any_batch { 0 } else { self.next_batch() };
        let Scanner { disk, current, .. } = self;
        let current = current.as_mut().expect("a segment is being gone over");
        let found = current.window.search(disk, current.salt, from, batch)?;
        self.garbage |= found.something.is_some();
        let Some((at, _)) = found.record else {
            self.state = State::NextPart;
            return Ok(None);
        };
        if let Some(Stop { file, offset, .. }) = self.stop.clone()
            && self.is_record_now()?
        {
            // A server is writing faster than this reads: here is the end of what it saw.
            self.state = State::Over;
            let torn = Some("still being written".to_owned());
            return Ok(Some(Item::End { file, offset: offset.into(), torn }));
        }
        self.state = State::Reading(at as u32);
        self.any_batch = true;
        Ok(self.stop.take().map(Stop::into_damage))
    }

    /// Whether a whole record stands at the stop, where none was a moment ago.
    fn is_record_now(&mut self) -> io::Result<bool> {
        let Some(Stop { file, salt, offset, .. }) = &self.stop else { return Ok(false) };
        let mut bytes = vec![0; padded(RECORD_BYTES as u32) as usize];
        let count = self.disk.read_at(file, u64::from(*offset), &mut bytes)?;
        Ok(matches!(parse(&bytes[..count], *salt, *offset), Parsed::Record(_)))
    }

    /// The record that a step has just found at `offset`.
    fn record(&self, offset: u32) -> io::Result<Item<'_>> {
        let Current { file, window, .. } = self.current();
        match window.record_at(offset) {
            Some(record) => Ok(Item::Record { file, offset, record }),
            None => Err(io::Error::other("the file changed while it was read")),
        }
    }

    fn parse(&mut self, offset: u32) -> io::Result<Parsed<'_>> {
        let Scanner { disk, current, .. } = self;
        let current = current.as_mut().expect("a segment is being gone over");
        current.window.parse_at(disk, current.salt, offset)
    }

    /// The batch to which what stands behind the last record belongs.
    fn next_batch(&self) -> u64 {
        if self.closed { self.batch + 1 } else { self.batch }
    }

    fn current(&self) -> &Current {
        self.current.as_ref().expect("a segment is being gone over")
    }

    fn stop_at(&self, offset: u32, why: Option<String>) -> Stop {
        let Current { file, salt, .. } = self.current();
        Stop { file: file.clone(), salt: *salt, offset, why }
    }
}

enum Step {
    Record,
    Damage(Item<'static>),
    Stopped,
}

impl Stop {
    fn into_damage(self) -> Item<'static> {
        let why = self.why.unwrap_or_else(|| "there is no record here, but later ones".into());
        Item::Damage { file: self.file, offset: self.offset.into(), why }
    }
}

/// The segments in order, with what is wrong with them as far as headers tell.
fn parts(disk: &mut impl Disk, numbers: &[u64]) -> io::Result<Vec<Part>> {
    let mut parts = Vec::new();
    // What the segment before looked at says of the one that it follows: number and end.
    let mut expected: Option<(u64, u32)> = None;
    for number in numbers.iter().rev() {
        let file = segment_name(*number);
        let header = match read_header(disk, &file) {
            // A server that starts removes segments that it has replaced.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            header => header?,
        };
        let header = match header {
            Ok(header) => header,
            Err(why) => {
                parts.push(Part::Bad { file, why });
                expected = None;
                continue;
            }
        };
        let (mut end, mut counts) = (None, true);
        // Behind what is damaged or missing it is not known where a segment should end.
        let mut is_end_known = parts.is_empty();
        if let Some((follows, at)) = expected {
            if *number < follows {
                parts.push(missing(follows));
            } else {
                counts = *number == follows;
                is_end_known = counts;
                end = (at != 0 && counts).then_some(at);
            }
        }
        if counts {
            expected = Some((header.follows, header.follows_at));
        }
        let short = if is_end_known { shortness(disk, &file, header, end)? } else { None };
        parts.push(Part::Segment { file, header, end, counts, short });
    }
    if let Some((follows, _)) = expected.filter(|(follows, _)| *follows != 0) {
        let gone =
            |part: &Part| !matches!(part, Part::Segment { header, .. } if header.number == follows);
        if parts.iter().all(gone) {
            parts.push(missing(follows));
        }
    }
    parts.reverse();
    Ok(parts)
}

fn missing(number: u64) -> Part {
    let why = "the segment is missing, and a later one follows it".to_owned();
    Part::Bad { file: segment_name(number), why }
}

/// Where a file ends too early, and what is wrong with that. `end`: where the next segment's header
/// says that the records end.
fn shortness(
    disk: &mut impl Disk,
    file: &str,
    header: Header,
    end: Option<u32>,
) -> io::Result<Option<Short>> {
    let length = disk.length(file)?;
    let why = segment_of(file.to_owned(), header, end.unwrap_or(0)).shortness(length);
    Ok(why.map(|why| (length, why)))
}

fn read_header(disk: &mut impl Disk, file: &str) -> io::Result<Result<Header, String>> {
    let mut bytes = [0; HEADER_BYTES];
    let count = disk.read_at(file, 0, &mut bytes)?;
    Ok(match Header::decode(&bytes[..count]) {
        Ok(header) => fault_of(&header, segment_number(file)).map_or(Ok(header), Err),
        Err(bad) => Err(bad.to_string()),
    })
}
