//! `chatctl recover`: from what one server of a cluster has to a server that is alone, for the day when
//! the majority is gone for good. Offline; the old directory is kept.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::parse::{Environment, Parsed};
use crate::chat::{Command, State};
use crate::limits;
use crate::server::{LONE, LONE_NAME};
use crate::sys::{entropy, file::sync_dir};
use crate::wal::hard_state::{self, HardState};
use crate::wal::scan::{Item, Scanner};
use crate::wal::{self, DataDir, Disk, Identity, RealDisk, SpareState, Wal};

/// What a log has, as far as it can be read.
#[derive(Default)]
struct Found {
    last_index: u64,
    commit: u64,
    damage: Option<String>,
}

/// Runs `chatctl recover`.
pub fn run(parsed: &Parsed, _: Environment<'_>, out: &mut dyn Write) -> Result<u8, Error> {
    let name = parsed.subcommand().name;
    let failed = |what: &dyn std::fmt::Display| Error::failed(name, what);
    let path = PathBuf::from(&parsed.positionals()[0]);
    if !parsed.flag("force") {
        return Err(parsed.wrong(
            "this gives up what only the other servers have, and makes a new cluster of what is \
             here; where they can be had again, start them instead. Say --force if they are gone \
             for good",
        ));
    }
    if !path.join(hard_state::FILE).is_file() {
        let what = format!("{} is no data directory of a server", path.display());
        return Err(failed(&what));
    }
    let directory = DataDir::open(&path).map_err(|error| failed(&error))?;
    let saved = hard_state::load(&mut directory.disk()).map_err(|error| failed(&error))?;
    let saved = saved.filter(|saved| saved.term > 0).ok_or_else(|| {
        failed(&format!("{}: its cluster was never formed, there is nothing in it", path.display()))
    })?;
    let reading = |error: io::Error| failed(&format!("{}: {error}", directory.wal().display()));
    let mut found = Found::default();
    read(&directory.wal(), &mut found, &mut |_| Ok(())).map_err(reading)?;
    tell(&path, &saved, &found, out)?;
    if !parsed.flag("yes") && !agreed(out)? {
        return Err(failed(&"nothing was changed"));
    }
    let kept = replace(&directory, &saved, found.last_index).map_err(|error| failed(&error))?;
    writeln!(
        out,
        "{} is the directory of a server that is alone, with entries 1 to {}. Start it with chatctl \
         serve --data-dir {0}, without --cluster. The old one is kept as {}",
        path.display(),
        found.last_index,
        kept.display()
    )?;
    Ok(0)
}

/// What may be lost.
fn tell(path: &Path, saved: &HardState, found: &Found, out: &mut dyn Write) -> io::Result<()> {
    let Found { last_index, commit, damage } = found;
    let (path, id, cluster) = (path.display(), &saved.id, Hex(&saved.cluster));
    writeln!(out, "{path} is of server {id}, of cluster {cluster}.")?;
    writeln!(out, "It has entries 1 to {last_index}; {commit} are known to be committed.")?;
    if let Some(damage) = damage {
        writeln!(out, "Behind them it is damaged, and what is there is lost: {damage}.")?;
    }
    writeln!(
        out,
        "Lost is what the other servers acknowledged and this one has not got. Entries that nobody \
         was told of may come to be. A new cluster is made, of this server alone: its clients fetch \
         everything anew, and no server of the old one can join it with what it has. Never start \
         any of the old cluster again."
    )
}

fn agreed(out: &mut dyn Write) -> io::Result<bool> {
    write!(out, "Go on? Say yes: ")?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

/// A change of the log.
enum Change<'a> {
    Entry { term: u64, index: u64, payload: &'a [u8] },
    CutFrom(u64),
}

/// Goes over what is sound of a log, up to the first damage.
fn read(
    wal: &Path,
    found: &mut Found,
    visit: &mut dyn FnMut(Change<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut scanner = Scanner::over(RealDisk::read_only(wal))?;
    while let Some(item) = scanner.next_item()? {
        match item {
            Item::Record { record, .. } => match record.kind {
                wal::format::Kind::Entry => {
                    let (term, index, payload) = (record.term, record.index, record.payload);
                    // A start copies the last batch: the same index again.
                    if index <= found.last_index {
                        visit(Change::CutFrom(index))?;
                    }
                    found.last_index = index;
                    visit(Change::Entry { term, index, payload })?;
                }
                wal::format::Kind::Truncate => {
                    found.last_index = found.last_index.min(record.index - 1);
                    visit(Change::CutFrom(record.index))?;
                }
                wal::format::Kind::Mark => found.commit = found.commit.max(record.index),
            },
            Item::Damage { file, offset, why } => {
                found.damage = Some(format!("{file} at byte {offset}: {why}"));
                break;
            }
            Item::Segment { .. } | Item::End { .. } => {}
        }
    }
    found.commit = found.commit.min(found.last_index);
    Ok(())
}

/// Makes the new directory beside the old one, then gives each the other's place. Where the old one
/// is from then on.
fn replace(old: &DataDir, saved: &HardState, last_index: u64) -> io::Result<PathBuf> {
    // One that ends with its own name: `.` has none.
    let path = match old.path().file_name() {
        Some(_) => old.path().to_owned(),
        None => fs::canonicalize(old.path())?,
    };
    let beside = |end: &str| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(end);
        path.with_file_name(name)
    };
    let fresh = beside(".recovering");
    if fresh.exists() {
        let what = format!("{} is there: remove it", fresh.display());
        return Err(io::Error::other(what));
    }
    let kept = (1..).map(|time| beside(&format!(".before-recover-{time}")));
    let kept = { kept }.find(|kept| !kept.exists()).expect("some name is free");
    if let Err(error) = make(&fresh, old, saved, last_index) {
        let _ = fs::remove_dir_all(&fresh);
        return Err(error);
    }
    fs::rename(&path, &kept)?;
    fs::rename(&fresh, &path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new(".")))?;
    Ok(kept)
}

fn make(path: &Path, old: &DataDir, saved: &HardState, last_index: u64) -> io::Result<()> {
    let cluster = entropy::array()?;
    let directory = DataDir::open(path).map_err(io::Error::other)?;
    let state = HardState {
        // As a server that was never given a name, so that it gets one when it grows again.
        id: LONE_NAME.to_owned(),
        cluster,
        incarnation: u64::from_be_bytes(entropy::array()?),
        role: crate::raft::Role::Backup.to_string(),
        voted_for: LONE.to_string(),
        copy: 0,
        ..saved.clone()
    };
    hard_state::save(&mut directory.disk(), &state).map_err(io::Error::other)?;
    let expect = Some(Identity { cluster });
    let options = wal::Options { expect, segment_bytes: limits::WAL_SEGMENT_BYTES };
    let mut disk = directory.wal_disk();
    let recovered = wal::recover(&mut disk, &options, &mut |_, _, _| Ok(()));
    let (mut wal, _) = recovered.map_err(io::Error::other)?;
    read(&old.wal(), &mut Found::default(), &mut |change| {
        match change {
            Change::CutFrom(index) => wal.truncate_from(index),
            Change::Entry { term, index, payload } => {
                wal.append_entry(term, index, &refounded(payload, cluster));
            }
        }
        match wal.gathered_bytes() > limits::WAL_BATCH_BYTES {
            true => write(&mut wal, &mut disk, 0),
            false => Ok(()),
        }
    })?;
    write(&mut wal, &mut disk, 0)?;
    // A server that is alone has committed all that it has.
    wal.append_mark();
    write(&mut wal, &mut disk, last_index)?;
    check(&mut disk, &options, last_index)
}

/// The same payload, but for those that say what the cluster is: one that changed its members
/// becomes one that changes nothing.
fn refounded(payload: &[u8], cluster: [u8; 16]) -> Vec<u8> {
    match Command::decode(payload) {
        Ok(Command::Found { time, token_secret, .. }) => {
            let mut bytes = Vec::new();
            Command::Found { time, cluster, token_secret, members: Vec::new() }.encode(&mut bytes);
            bytes
        }
        Ok(Command::Members { .. }) => Vec::new(),
        _ => payload.to_vec(),
    }
}

/// Writes what is gathered.
fn write(wal: &mut Wal, disk: &mut impl Disk, commit: u64) -> io::Result<()> {
    loop {
        if let Some(request) = wal.spare_wanted() {
            let state = wal::make_spare(disk, &request);
            if let SpareState::Failed(error) = state {
                return Err(error);
            }
            wal.spare_changed(&state);
        }
        let Some(batch) = wal.take_batch(commit) else { return Ok(()) };
        wal::perform(disk, &batch)?;
        wal.batch_durable(batch.number);
    }
}

/// That the new log can be read, and is of a server that is alone.
fn check(disk: &mut impl Disk, options: &wal::Options, last_index: u64) -> io::Result<()> {
    let mut state = State::new();
    let mut visit = |index: u64, _: u64, payload: &[u8]| {
        state.apply(index, payload).map(drop).map_err(|error| error.to_string())
    };
    wal::recover(disk, options, &mut visit).map_err(io::Error::other)?;
    if state.applied() != last_index || !state.members().is_empty() {
        return Err(io::Error::other("the new log is not what it should be: nothing was replaced"));
    }
    Ok(())
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
