//! `server_state.txt`: what a server must not forget besides its log, as text.
//!
//! Two lines of 4,096 bytes each. A save writes over the one that does not hold the newest state, and
//! syncs; so a crash in between leaves the old state or the new one. A line:
//!
//! ```text
//! chatctl-state 1 counter=7 id=a cluster=32-hex incarnation=16-hex role=PRIMARY term=3 voted_for=-
//!                 boots=... met=... copy=1 old_copy=b   ... crc=8-hex LF
//! ```
//!
//! without a line end in between, with spaces before `crc`, and `copy` left out where it is 0, `old_copy`
//! where it is empty; `boots` and `met` are [`super::boots`]'s. `crc` is the CRC-32 of all bytes before `crc=`. A line that was never written is
//! 4,095 spaces and LF. The file gets its name when its first line is durable.
//!
//! Which state counts: the one of the valid line with the higher counter. A line that is not valid
//! counts as one whose write was cut short: nobody was told of it. (Damage to the newest line
//! cannot be told from that.) With no valid line the file is refused, never guessed at.
//!
//! A line is as long as the largest block that disks write as one, and begins where such a block
//! begins, so that no write touches both lines. Where the disk writes less at a time, a write that is
//! cut short leaves a line of old and new sectors: the counter is in its first and the CRC in its last,
//! so it is not valid, whichever of them arrived.

use std::fmt;
use std::io;

use super::boots::{self, Boots, Met};
use super::disk::Disk;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::sys::file::is_full;

/// The file's name, in the data directory.
pub const FILE: &str = "server_state.txt";
const UNFINISHED: &str = "server_state.txt.new";

/// Bytes of a line.
pub const LINE_BYTES: usize = 4_096;
const CRC_AT: usize = LINE_BYTES - "crc=12345678\n".len();
const LEAD: &str = "chatctl-state 1";
/// Longest text field, bytes: four of them fit in a line with all else at its longest.
const FIELD_BYTES: usize = 64;
/// Highest counter: each change of the term or the vote counts one up.
const COUNTER: u64 = 1 << 60;
/// How a text field that is empty is written.
const EMPTY: &str = "-";

/// What an operator does without a state.
const WHAT_NOW: &str = "On a single server, restore the directory from a copy. On a member of a \
                        cluster, move the directory away, start with an empty one, and run chatctl \
                        members replace";

/// What a server must not forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardState {
    /// The server's id: printable ASCII without spaces, 64 bytes at most, as the other texts here.
    pub id: String,
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// Made at random with the directory.
    pub incarnation: u64,
    /// What the server last was; for whoever reads the file.
    pub role: String,
    /// Raft's current term.
    pub term: u64,
    /// Whom it voted for in that term; empty for nobody.
    pub voted_for: String,
    /// The number of the log's copy: 0 until the log is damaged for the first time, odd while it is
    /// being restored; see [`crate::raft::is_damaged`].
    pub copy: u64,
    /// The directory's newest starts.
    pub boots: Boots,
    /// The newest start that was met of each other member's directory.
    pub met: Vec<Met>,
    /// Which server has refused this directory as an old copy of itself; empty for none. Once it is
    /// set no server is started on it.
    pub old_copy: String,
}

impl HardState {
    /// What the file of a server says that has done nothing yet; `role` as [`HardState::role`] has it.
    pub fn new(id: String, cluster: [u8; 16], incarnation: u64, role: String) -> HardState {
        HardState {
            id,
            cluster,
            incarnation,
            role,
            term: 0,
            voted_for: String::new(),
            copy: 0,
            boots: Boots::default(),
            met: Vec::new(),
            old_copy: String::new(),
        }
    }
}

/// Why there is no state, or none could be saved.
#[derive(Debug)]
pub enum Error {
    /// The file holds no valid state.
    Damaged {
        /// What is wrong with it.
        why: String,
    },
    /// There is none, and yet there is a log: it is lost, and with it whom the server voted for.
    Lost,
    /// A text that does not fit the file: a bug, or an id that should have been refused.
    Field(&'static str),
    /// The disk failed.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Damaged { why } => {
                write!(f, "{FILE} is damaged: {why}. Nothing was changed. {WHAT_NOW}")
            }
            Error::Lost => write!(
                f,
                "{FILE} is missing, and the log beside it is not empty. Nothing was changed. \
                 {WHAT_NOW}"
            ),
            Error::Field(field) => write!(
                f,
                "the {field} for {FILE} must have at most {FIELD_BYTES} printable ASCII characters"
            ),
            Error::Io(error) if is_full(error) => {
                write!(f, "{FILE}: {error}. Nothing is lost: make room, then start again")
            }
            Error::Io(error) => write!(f, "{FILE}: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// What is wrong, without the file's name and what to do.
    pub fn why(&self) -> String {
        match self {
            Error::Damaged { why } => why.clone(),
            Error::Lost => "it is missing, and the log beside it is not empty".to_owned(),
            Error::Field(_) => self.to_string(),
            Error::Io(error) => error.to_string(),
        }
    }
}

/// Reads the state that a server goes on from, and makes sure that the disk has it: after a failed
/// sync, or when the process was killed before it, only the page cache may. The line is written
/// again in its own place, so that the other one, which is durable, stands until this one is.
/// `None` where no state was ever saved.
pub fn recover(disk: &mut impl Disk) -> Result<Option<HardState>, Error> {
    let Some(Newest { slot, counter, state }) = newest(disk)? else { return Ok(None) };
    if planted(Mutant::StateOnlyRead) {
        return Ok(Some(state));
    }
    let line = line(counter, &state)?;
    disk.write_at(FILE, (slot * LINE_BYTES) as u64, &line)
        .and_then(|()| disk.fdatasync(FILE))
        .and_then(|()| disk.sync_dir())
        .map_err(Error::Io)?;
    Ok(Some(state))
}

/// Reads the state, to look at it; `None` where none was ever saved.
pub fn load(disk: &mut impl Disk) -> Result<Option<HardState>, Error> {
    Ok(newest(disk)?.map(|newest| newest.state))
}

/// Checks that a directory without a state has no log either. The file is made before the log has its
/// first segment, so where there is a log and no such file, the file is lost.
pub fn check_not_lost(log: &mut impl Disk) -> Result<(), Error> {
    match log.list().map_err(Error::Io)?.is_empty() {
        true => Ok(()),
        false => Err(Error::Lost),
    }
}

/// Saves the state; when this returns it is durable. After an error the process ends.
pub fn save(disk: &mut impl Disk, state: &HardState) -> Result<(), Error> {
    let found = newest(disk)?;
    let counter = found.as_ref().map_or(1, |newest| newest.counter + 1);
    let line = line(counter, state)?;
    match found {
        Some(newest) => {
            let same = planted(Mutant::StateOverwritten);
            let slot = if same { newest.slot } else { 1 - newest.slot };
            disk.write_at(FILE, (slot * LINE_BYTES) as u64, &line)
                .and_then(|()| disk.fdatasync(FILE))
        }
        None => create(disk, &line),
    }
    .map_err(Error::Io)
}

fn create(disk: &mut impl Disk, line: &[u8]) -> io::Result<()> {
    if disk.list()?.iter().any(|name| name == UNFINISHED) {
        disk.remove(UNFINISHED)?;
    }
    disk.create(UNFINISHED)?;
    let mut both = line.to_vec();
    both.extend_from_slice(&blank());
    disk.write_at(UNFINISHED, 0, &both)?;
    disk.fdatasync(UNFINISHED)?;
    disk.rename(UNFINISHED, FILE)?;
    disk.sync_dir()
}

struct Newest {
    slot: usize,
    counter: u64,
    state: HardState,
}

fn newest(disk: &mut impl Disk) -> Result<Option<Newest>, Error> {
    if !disk.list().map_err(Error::Io)?.iter().any(|name| name == FILE) {
        return Ok(None);
    }
    let mut bytes = [0; 2 * LINE_BYTES + 1];
    let count = disk.read_at(FILE, 0, &mut bytes).map_err(Error::Io)?;
    if count > 2 * LINE_BYTES {
        return Err(Error::Damaged { why: format!("it is longer than {} bytes", 2 * LINE_BYTES) });
    }
    let lines = bytes[..count].chunks(LINE_BYTES).enumerate();
    let valid = lines.filter_map(|(slot, line)| {
        let (counter, state) = parse(line)?;
        Some(Newest { slot, counter, state })
    });
    let newest = valid.max_by_key(|line| line.counter);
    let why = "both of its lines are damaged".to_owned();
    let newest = newest.ok_or(Error::Damaged { why })?;
    newest.check().map_err(|why| Error::Damaged { why })?;
    Ok(Some(newest))
}

impl Newest {
    /// That no number is past what a server gets to.
    fn check(&self) -> Result<(), String> {
        let HardState { term, copy, .. } = self.state;
        for (what, number, most) in [
            ("counter", self.counter, COUNTER),
            ("term", term, limits::RAFT_TERM),
            ("copy", copy, limits::RAFT_COPY),
        ] {
            if number > most {
                return Err(format!("its {what} is {number}, which is impossible"));
            }
        }
        Ok(())
    }
}

fn blank() -> [u8; LINE_BYTES] {
    let mut line = [b' '; LINE_BYTES];
    line[LINE_BYTES - 1] = b'\n';
    line
}

fn line(counter: u64, state: &HardState) -> Result<[u8; LINE_BYTES], Error> {
    let HardState { id, cluster, incarnation, role, term, voted_for, .. } = state;
    let cluster: String = cluster.iter().map(|byte| format!("{byte:02x}")).collect();
    let (id, role) = (field("id", id)?, field("role", role)?);
    let voted_for = field("vote", voted_for)?;
    let old_copy = field("name of who refused it", &state.old_copy)?;
    let (copy, boots, met) = (state.copy, state.boots.to_text(), boots::met_to_text(&state.met));
    let mut text = format!(
        "{LEAD} counter={counter} id={id} cluster={cluster} incarnation={incarnation:016x} \
         role={role} term={term} voted_for={voted_for} boots={boots} met={met} "
    );
    if copy > 0 {
        text.push_str(&format!("copy={copy} "));
    }
    if old_copy != EMPTY {
        text.push_str(&format!("old_copy={old_copy} "));
    }
    assert!(text.len() <= CRC_AT, "bounded fields fit a line");
    let mut line = blank();
    line[..text.len()].copy_from_slice(text.as_bytes());
    let crc = crc32fast::hash(&line[..CRC_AT]);
    line[CRC_AT..].copy_from_slice(format!("crc={crc:08x}\n").as_bytes());
    Ok(line)
}

fn field<'a>(name: &'static str, text: &'a str) -> Result<&'a str, Error> {
    let printable = text.len() <= FIELD_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    match text {
        "" => Ok(EMPTY),
        EMPTY => Err(Error::Field(name)),
        text if printable => Ok(text),
        _ => Err(Error::Field(name)),
    }
}

/// The counter and state of a whole line.
fn parse(line: &[u8]) -> Option<(u64, HardState)> {
    let line = std::str::from_utf8(line).ok().filter(|line| line.len() == LINE_BYTES)?;
    let (text, end) = line.split_at_checked(CRC_AT)?;
    if end != format!("crc={:08x}\n", crc32fast::hash(text.as_bytes())) {
        return None;
    }
    let mut words = text.strip_prefix(LEAD)?.split_ascii_whitespace().peekable();
    let mut next = |name: &str| value_of(words.next()?, name);
    let counter = next("counter")?.parse().ok()?;
    let mut state = HardState {
        id: text_of(next("id")?),
        cluster: u128::from_str_radix(next("cluster")?, 16).ok()?.to_be_bytes(),
        incarnation: u64::from_str_radix(next("incarnation")?, 16).ok()?,
        role: text_of(next("role")?),
        term: next("term")?.parse().ok()?,
        voted_for: text_of(next("voted_for")?),
        boots: Boots::of_text(next("boots")?)?,
        met: boots::met_of_text(next("met")?)?,
        copy: 0,
        old_copy: String::new(),
    };
    if let Some(copy) = words.peek().and_then(|word| value_of(word, "copy")) {
        state.copy = copy.parse().ok()?;
        words.next();
    }
    if let Some(word) = words.next() {
        state.old_copy = value_of(word, "old_copy")?.to_owned();
    }
    words.next().is_none().then_some((counter, state))
}

fn value_of<'a>(word: &'a str, name: &str) -> Option<&'a str> {
    word.strip_prefix(name)?.strip_prefix('=')
}

fn text_of(word: &str) -> String {
    if word == EMPTY { String::new() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::boots::Boot;
    use super::*;
    use crate::limits;

    #[test]
    fn a_line_is_as_it_was_always_written() {
        let state = HardState {
            id: "lone".into(),
            cluster: [0xAB; 16],
            incarnation: 0x1234,
            role: "PRIMARY".into(),
            term: 9,
            voted_for: String::new(),
            copy: 0,
            boots: Boots::default(),
            met: Vec::new(),
            old_copy: String::new(),
        };
        let line = line(7, &state).unwrap();
        let text = std::str::from_utf8(&line).unwrap();
        let start = "chatctl-state 1 counter=7 id=lone cluster=abababababababababababababababab \
                     incarnation=0000000000001234 role=PRIMARY term=9 voted_for=- boots=- met=- ";
        assert!(text.starts_with(start), "{text}");
        assert_eq!(text[start.len()..CRC_AT].trim(), "");
        assert_eq!(&text[CRC_AT..], "crc=7f276684\n");
        assert_eq!(parse(&line), Some((7, state.clone())));
        let mut marked = HardState { copy: 3, old_copy: "b".into(), ..state };
        (10..12).for_each(|id| marked.boots.begin(id));
        marked.met = vec![Met { incarnation: 0x77, boot: Boot { number: 4, id: 0xfe } }];
        let line = super::line(8, &marked).unwrap();
        let text = std::str::from_utf8(&line).unwrap();
        let end = "term=9 voted_for=- boots=2:000000000000000b,000000000000000a \
                   met=0000000000000077:4:00000000000000fe copy=3 old_copy=b ";
        assert!(text.contains(end), "{text}");
        assert_eq!(parse(&line), Some((8, marked.clone())));
        marked.copy = 0;
        let line = super::line(9, &marked).unwrap();
        assert_eq!(parse(&line), Some((9, marked)));
    }

    #[test]
    fn the_longest_fields_fit_and_longer_or_blank_ones_are_refused() {
        let long = "x".repeat(FIELD_BYTES);
        let boot = Boot { number: u64::MAX, id: u64::MAX };
        let mut state = HardState {
            id: long.clone(),
            cluster: [0xFF; 16],
            incarnation: u64::MAX,
            role: long.clone(),
            term: u64::MAX,
            voted_for: long.clone(),
            copy: u64::MAX,
            boots: Boots::new(u64::MAX, vec![u64::MAX; limits::BOOTS]).unwrap(),
            met: vec![Met { incarnation: u64::MAX, boot }; limits::BOOTS_MET],
            old_copy: long,
        };
        let line_of = line(u64::MAX, &state).unwrap();
        assert_eq!(parse(&line_of), Some((u64::MAX, state.clone())));
        for bad in ["x".repeat(FIELD_BYTES + 1), "a b".into(), "a\nb".into(), "-".into()] {
            state.id = bad;
            assert!(matches!(line(1, &state), Err(Error::Field("id"))), "{}", state.id);
        }
    }
}
