//! The log that is looked at: gone over record by record, or judged as the server judges it that
//! starts on it.

use std::fmt::{self, Display};
use std::io;
use std::path::{Path, PathBuf};

use crate::chat;
use crate::cli::error::Error;
use crate::cli::progress::Progress;
use crate::wal::Visit;
use crate::wal::hard_state;
use crate::wal::scan::{Item, Scanner};
use crate::wal::{self, Examined, Identity, Look, RealDisk, RecoverError};

/// Records between two updates of the progress.
const TELL_EVERY: u64 = 4_096;
/// How often a log is judged, at most, until two judgements agree.
const JUDGE_TIMES: usize = 5;

/// Whether to go on with a log.
pub(super) enum Flow {
    On,
    Stop,
    /// The entry cannot be applied, and why.
    Refused(String),
}

/// Takes a committed entry: index, term, payload.
type Take<'t> = dyn FnMut(u64, u64, &[u8]) -> Result<Flow, Error> + 't;

/// What a server that starts would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) file: String,
    /// Where in it, bytes.
    pub(super) offset: u64,
    pub(super) why: String,
    /// Whether something that was there is not, or not as it was.
    is_damage: bool,
}

impl Fault {
    fn of(error: RecoverError) -> Fault {
        let (file, offset, why) = error.place();
        let is_damage = matches!(error, RecoverError::Corrupt { .. });
        Fault { file: file.to_owned(), offset, why, is_damage }
    }

    fn of_state(error: &hard_state::Error) -> Fault {
        let is_damage = !matches!(error, hard_state::Error::Io(_));
        Fault { file: hard_state::FILE.to_owned(), offset: 0, why: error.why(), is_damage }
    }

    fn of_old_copy(by: &str) -> Fault {
        let why = format!(
            "the directory is marked as an old copy: {by} has seen a later start of this \
                 server"
        );
        Fault { file: hard_state::FILE.to_owned(), offset: 0, why, is_damage: false }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { file, offset, why, .. } = self;
        write!(f, "{file}, offset {offset}: {why}")
    }
}

/// Judges a data directory: all that a server checks of it before it changes anything.
fn examine_directory(path: &Path, look: Look<'_>) -> Result<Examined, Fault> {
    let wal = path.join("wal");
    let mut disk = RealDisk::read_only(&wal);
    let saved = hard_state::load(&mut RealDisk::read_only(path));
    let saved = match saved.map_err(|error| Fault::of_state(&error))? {
        Some(saved) => saved,
        None => {
            let lost = hard_state::check_not_lost(&mut disk);
            lost.map_err(|error| Fault::of_state(&error))?;
            return Ok(Examined::default());
        }
    };
    if !saved.old_copy.is_empty() {
        return Err(Fault::of_old_copy(&saved.old_copy));
    }
    wal::check_there(&mut disk, &saved).map_err(Fault::of)?;
    let expect = Some(Identity { cluster: saved.cluster });
    wal::examine(&mut disk, expect, look).map_err(Fault::of)
}

pub(super) struct Log {
    pub(super) path: PathBuf,
    kind: LogKind,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogKind {
    /// A server's data directory, which is judged as its server would.
    DataDirectory,
    /// A directory of segments: nothing says whose they are.
    Segments,
    File,
}

impl LogKind {
    fn of(path: &Path) -> LogKind {
        let is_server = path.join("wal").is_dir() || path.join(hard_state::FILE).is_file();
        match path.is_dir() {
            true if is_server => LogKind::DataDirectory,
            true => LogKind::Segments,
            false => LogKind::File,
        }
    }
}

impl Log {
    pub(super) fn new(path: PathBuf, progress: Progress) -> Log {
        Log { kind: LogKind::of(&path), path, progress }
    }

    /// Goes over all of it in order, until `take` has had enough.
    pub(super) fn scan(
        &mut self,
        take: &mut dyn FnMut(Item<'_>) -> Result<Flow, Error>,
    ) -> Result<(), Error> {
        let mut scanner = Scanner::open(&self.path).map_err(|error| self.unreadable(error))?;
        let (parts, mut part) = (scanner.segments_left(), 0);
        let (mut segments, mut records) = (0, 0u64);
        let mut first_damage = None;
        loop {
            let item = scanner.next_item().map_err(|error| self.unreadable(error))?;
            let Some(item) = item else { break };
            match &item {
                Item::Segment { counts, .. } => {
                    part += 1;
                    segments += u64::from(*counts);
                }
                Item::Record { .. } => {
                    records += 1;
                    if records.is_multiple_of(TELL_EVERY) {
                        let text = || format!("segment {part} of {parts}, {records} records");
                        self.progress.tell(text);
                    }
                }
                Item::Damage { file, why, .. } if first_damage.is_none() => {
                    first_damage = Some(format!(": {file}: {why}"));
                }
                Item::Damage { .. } | Item::End { .. } => {}
            }
            if let Flow::Stop = take(item)? {
                break;
            }
        }
        self.progress.clear();
        if segments > 0 {
            return Ok(());
        }
        Err(self.no_log(&first_damage.unwrap_or_default()))
    }

    /// Judges the log as a server that starts does. A fault counts when it is found twice, since a
    /// server may be writing there.
    pub(super) fn judge(&mut self) -> Result<Examined, Fault> {
        let mut before = None;
        for _ in 0..JUDGE_TIMES {
            let fault = match self.examine(&mut |_, _, payload| chat::readable(payload)) {
                Ok(examined) => return Ok(examined),
                Err(fault) => Some(fault),
            };
            if fault == before {
                break;
            }
            before = fault;
        }
        Err(before.expect("it was judged"))
    }

    /// Judges the log once, and hands over the entries that are known to be committed on the way.
    pub(super) fn examine<'v>(&'v mut self, visit: &'v mut Visit<'v>) -> Result<Examined, Fault> {
        let Log { path, kind, progress, .. } = self;
        let mut tell = |part: usize, parts: usize, records: u64| {
            progress.tell(|| format!("segment {part} of {parts}, {records} records"));
        };
        let look = Look { visit, readable: chat::readable, progress: &mut tell };
        let examined = match kind {
            LogKind::DataDirectory => examine_directory(path, look),
            LogKind::Segments => {
                wal::examine(&mut RealDisk::read_only(path), None, look).map_err(Fault::of)
            }
            LogKind::File => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let mut disk = RealDisk::read_only(parent.unwrap_or(Path::new(".")));
                wal::examine_segment(&mut disk, name, look).map_err(Fault::of)
            }
        };
        self.progress.clear();
        examined
    }

    /// Hands over the entries that are known to be committed, in order from the first of all. What a
    /// server would refuse is an error. `None`: `take` has had enough before the log's end.
    pub(super) fn committed(&mut self, take: &mut Take<'_>) -> Result<Option<Examined>, Error> {
        let (mut stopped, mut is_first) = (None, true);
        let path = self.path.display().to_string();
        let result = self.examine(&mut |index, term, payload| {
            let flow = match std::mem::take(&mut is_first) && index > 1 {
                false => take(index, term, payload),
                true => {
                    let what = format!("{path} begins with entry {index}");
                    Err(Error::failed(format!("{what}: this needs a complete log")))
                }
            };
            match flow {
                Ok(Flow::On) => Ok(()),
                Ok(Flow::Refused(why)) => Err(why),
                Ok(Flow::Stop) => {
                    stopped = Some(Ok(()));
                    Err("enough was read".to_owned())
                }
                Err(error) => {
                    stopped = Some(Err(error));
                    Err("what was read is refused".to_owned())
                }
            }
        });
        match (stopped, result) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(())), _) => Ok(None),
            (None, Ok(examined)) => Ok(Some(examined)),
            (None, Err(fault)) => Err(match self.judge() {
                Ok(_) => Error::failed(format!(
                    "{fault}: a server wrote to the log meanwhile; try again"
                )),
                Err(fault) => self.faulty(&fault),
            }),
        }
    }

    pub(super) fn faulty(&self, fault: &Fault) -> Error {
        if self.kind == LogKind::File && fault.offset == 0 {
            return self.no_log(&format!(": {fault}"));
        }
        let Fault { is_damage, .. } = fault;
        let (what, advice) = match is_damage {
            true => ("is damaged", "; restore it from a copy"),
            false => ("cannot be served", ""),
        };
        Error::failed(format!("{} {what}: {fault}{advice}", self.path.display()))
    }

    pub(super) fn no_log(&self, why: &str) -> Error {
        let shown = self.path.display();
        Error::failed(format!("{shown} is neither a data directory with a log nor a segment{why}"))
    }

    pub(super) fn unreadable(&self, error: io::Error) -> Error {
        Error::failed(format!("cannot read the log in {}: {error}", self.path.display()))
    }
}
