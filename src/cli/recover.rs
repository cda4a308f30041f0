//! `chatctl recover`: from what one server of a cluster has to a server that is alone, for the day when
//! the majority is gone for good. Offline; what was there is kept.
//!
//! Everything happens within the data directory, which stays what it is: its owner and mode, a mount
//! point or what a link leads to.
//!
//! | name | what it is |
//! | --- | --- |
//! | `recovering-1` | the new log and state while they are made |
//! | `before-recover-1` | the old log and state, from then on |
//!
//! 1. All of the new is made in `recovering-N`, durably. A failure removes it again.
//! 2. The old state is copied, and then the old log moved, into `before-recover-N`.
//! 3. The new log takes the old one's place, then the new state.
//!
//! No server starts on what a crash in between leaves: the state is the old one until the end, and to
//! it the log is missing or another cluster's. Whether the old log was moved says whether an
//! interrupted exchange is finished or undone when `recover` is called again.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::values::Recover;
use crate::auth::hex;
use crate::chat::{self, Command, State};
use crate::limits;
use crate::node::members::{LONE, LONE_NAME};
use crate::sys::{entropy, file::is_full, file::sync_dir, signal};
use crate::wal::boots::Boots;
use crate::wal::hard_state::{self, HardState};
use crate::wal::{
    self, DataDir, Disk, Identity, Look, RealDisk, SoundPart, SpareState, Wal, data_dir,
};

/// The new log and state while they are made, followed by a number.
const RECOVERING: &str = "recovering-";
/// The old ones, followed by the same number.
const BEFORE: &str = "before-recover-";
const WAL: &str = "wal";

/// Runs `chatctl recover`.
pub fn run(values: &Recover, out: &mut dyn Write) -> Result<u8, Error> {
    let path = &values.path;
    if !values.force {
        return Err(Error::usage(
            "this discards entries that only the other servers have, and turns this server into a \
             new cluster. If the others can be repaired, start them instead; if they are lost for \
             good, give --force",
        ));
    }
    // A limit on the size of files is then an error like a full disk.
    let failed = |what: String| Error::failed(what);
    signal::ignore(signal::XFSZ).map_err(|error| failed(format!("cannot set signals: {error}")))?;
    let shown = path.display();
    if !path.join(hard_state::FILE).is_file() {
        return Err(failed(format!("{shown} is not the data directory of a server")));
    }
    let (directory, is_new_lock) = DataDir::lock_existing(path).map_err(|error| match error {
        data_dir::Error::InUse(_) => failed(format!("{error}: stop the server that runs on it")),
        error => failed(error.to_string()),
    })?;
    let done = locked(path, &directory, values.yes, out);
    if matches!(done, Ok(Ok(()))) {
        // What a server has left that was killed, and maybe another user's.
        let _ = fs::remove_file(data_dir::operator_socket(path));
    }
    if is_new_lock && !matches!(done, Ok(Ok(()))) {
        // What fails leaves nothing behind.
        let _ = fs::remove_file(path.join(data_dir::LOCK));
    }
    done?.map_err(|what| failed(format!("{shown}: {what}")))?;
    Ok(0)
}

/// Recovers a directory that is locked. The inner error says what is wrong with it.
fn locked(
    path: &Path,
    directory: &DataDir,
    yes: bool,
    out: &mut dyn Write,
) -> io::Result<Result<(), String>> {
    match Exchange::go_on(path) {
        Ok(None) => {}
        Ok(Some(kept)) => {
            writeln!(out, "An earlier recover was interrupted near its end and is now complete.")?;
            tell_done(path, &kept, out)?;
            return Ok(Ok(()));
        }
        Err(error) => return Ok(Err(error.to_string())),
    }
    let (saved, found) = match look(directory) {
        Ok(both) => both,
        Err(what) => return Ok(Err(what)),
    };
    tell(path, &saved, &found, out)?;
    if !yes && !agreed(out)? {
        return Ok(Err("nothing was changed".to_owned()));
    }
    match replace(path, &saved, found) {
        Ok(kept) => tell_done(path, &kept, out).map(Ok),
        Err(what) => Ok(Err(what)),
    }
}

fn look(directory: &DataDir) -> Result<(HardState, Found), String> {
    let saved = hard_state::load(&mut directory.disk()).map_err(|error| error.to_string())?;
    let saved = saved.filter(|saved| saved.term > 0);
    let saved = saved.ok_or("its cluster was never formed: there is nothing to recover")?;
    let found = Found::of(directory, &saved)?;
    Ok((saved, found))
}

fn tell(path: &Path, saved: &HardState, found: &Found, out: &mut dyn Write) -> io::Result<()> {
    let Found { last_index, commit, damage, .. } = found;
    let (path, id, cluster) = (path.display(), &saved.id, hex::encode(&saved.cluster));
    writeln!(out, "{path} belongs to server {id} of cluster {cluster}.")?;
    writeln!(out, "It has entries 1 to {last_index}; {commit} are known to be committed.")?;
    if !saved.old_copy.is_empty() {
        writeln!(
            out,
            "It is marked as an old copy: {} has seen a later start of {id}. Entries that {id} \
             acknowledged after the copy was made are missing here.",
            saved.old_copy
        )?;
    }
    if let Some(damage) = damage {
        writeln!(out, "The log is damaged after that, and the rest is lost: {damage}.")?;
    }
    writeln!(
        out,
        "Entries that the other servers acknowledged and this server lacks are lost. Entries that \
         were never acknowledged may become valid. This server becomes a new cluster of one: \
         clients fetch everything again, and no old server can join with its old data. Never \
         start a server of the old cluster again."
    )
}

fn tell_done(path: &Path, kept: &Path, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{} now belongs to a single server. Start it with chatctl serve --data-dir {0}, without \
         --cluster. The old log and state are in {}",
        path.display(),
        kept.display()
    )
}

fn agreed(out: &mut dyn Write) -> io::Result<bool> {
    write!(out, "Continue? Type yes: ")?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

/// What a log has before its first damage.
struct Found {
    last_index: u64,
    commit: u64,
    damage: Option<String>,
    log: SoundPart<RealDisk>,
    expect: Option<Identity>,
}

impl Found {
    /// Judges the log as a server that starts does.
    fn of(directory: &DataDir, saved: &HardState) -> Result<Found, String> {
        let disk = RealDisk::read_only(&directory.wal());
        let expect = Some(Identity { cluster: saved.cluster });
        let failed = |error: wal::RecoverError| {
            let (file, offset, why) = error.place();
            format!("{file}, offset {offset}: {why}")
        };
        let missing = wal::check_there(&mut disk.clone(), saved).err();
        let (log, damage) = SoundPart::of(disk, expect).map_err(failed)?;
        let damage = missing.or(damage).map(failed);
        let mut found = Found { last_index: 0, commit: 0, damage, log, expect };
        let examined = found.read(&mut |_, _, _| Ok(())).map_err(failed)?;
        (found.last_index, found.commit) = (examined.last_index, examined.commit);
        Ok(found)
    }

    /// Hands over the entries that are known to be committed; those behind them are in the answer.
    fn read<'v>(
        &mut self,
        visit: &'v mut wal::Visit<'v>,
    ) -> Result<wal::Examined, wal::RecoverError> {
        let mut progress = |_: usize, _: usize, _: u64| {};
        let look = Look { visit, readable: chat::readable, progress: &mut progress };
        wal::examine(&mut self.log, self.expect, look)
    }
}

/// Makes the new log and state and gives them the place of the old ones. Where those are from then
/// on, or what went wrong.
fn replace(path: &Path, saved: &HardState, mut found: Found) -> Result<PathBuf, String> {
    let exchange = Exchange::new(path);
    exchange.prepare(saved, &mut found).map_err(|error| {
        let _ = exchange.undo();
        let room = if is_full(&error) { ": make room, then try again" } else { "" };
        format!("{error}{room}. Nothing was changed")
    })?;
    let finished = exchange.finish();
    finished.map_err(|error| format!("{error}. Run chatctl recover again to finish"))?;
    Ok(exchange.kept)
}

/// The new log and state on their way to the place of the old ones.
struct Exchange {
    path: PathBuf,
    fresh: PathBuf,
    kept: PathBuf,
}

impl Exchange {
    fn of(path: &Path, number: u32) -> Exchange {
        let fresh = path.join(format!("{RECOVERING}{number}"));
        let kept = path.join(format!("{BEFORE}{number}"));
        Exchange { path: path.to_owned(), fresh, kept }
    }

    /// One under the first number that is free.
    fn new(path: &Path) -> Exchange {
        let mut all = (1..).map(|number| Exchange::of(path, number));
        let is_free = |one: &Exchange| !one.kept.exists() && !one.fresh.exists();
        all.find(is_free).expect("some number is free")
    }

    /// Finishes one that was interrupted after it had moved the old log, and undoes one before that.
    /// Where the old log is kept; `None` where nothing was finished.
    fn go_on(path: &Path) -> io::Result<Option<PathBuf>> {
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(RECOVERING)?.parse().ok());
            let Some(exchange) = number.map(|number| Exchange::of(path, number)) else { continue };
            if exchange.kept.join(WAL).is_dir() {
                exchange.finish()?;
                return Ok(Some(exchange.kept));
            }
            exchange.undo()?;
        }
        Ok(None)
    }

    /// Makes all of the new, then keeps what is old.
    fn prepare(&self, saved: &HardState, found: &mut Found) -> io::Result<()> {
        let owner = fs::metadata(&self.path)?;
        make(&self.fresh, &self.path, &owner, saved, found)?;
        self.keep_old(&owner)
    }

    /// Copies the old state and moves the old log.
    fn keep_old(&self, owner: &fs::Metadata) -> io::Result<()> {
        let Exchange { path, kept, .. } = self;
        make_directory(kept, owner)?;
        let to = kept.join(hard_state::FILE);
        fs::copy(path.join(hard_state::FILE), &to)?;
        give(&to, owner)?;
        fs::File::open(&to)?.sync_all()?;
        sync_dir(kept)?;
        sync_dir(path)?;
        fs::rename(path.join(WAL), kept.join(WAL))
    }

    /// Removes what was made before the old log was moved.
    fn undo(&self) -> io::Result<()> {
        remove_all(&self.fresh)?;
        remove_all(&self.kept)?;
        sync_dir(&self.path)
    }

    /// After the old log was moved: the new log, then the new state, take their places.
    fn finish(&self) -> io::Result<()> {
        let Exchange { path, fresh, kept } = self;
        sync_dir(kept)?;
        sync_dir(path)?;
        if fresh.join(WAL).is_dir() {
            // A directory there is one that a server's vain start has made: it must be empty.
            fs::rename(fresh.join(WAL), path.join(WAL))?;
            sync_dir(path)?;
        }
        match fs::rename(fresh.join(hard_state::FILE), path.join(hard_state::FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => sync_dir(path)?,
        }
        fs::remove_dir(fresh)?;
        sync_dir(path)
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Makes a directory for the owner of the data directory alone.
fn make_directory(path: &Path, owner: &fs::Metadata) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    give(path, owner)
}

/// Gives a file to the owner of the data directory: root may call this for a server of another user.
fn give(path: &Path, owner: &fs::Metadata) -> io::Result<()> {
    let now = fs::symlink_metadata(path)?;
    match (now.uid(), now.gid()) == (owner.uid(), owner.gid()) {
        true => Ok(()),
        false => chown(path, Some(owner.uid()), Some(owner.gid())),
    }
}

fn make(
    fresh: &Path,
    old: &Path,
    owner: &fs::Metadata,
    saved: &HardState,
    found: &mut Found,
) -> io::Result<()> {
    make_directory(fresh, owner)?;
    let wal = fresh.join(WAL);
    make_directory(&wal, owner)?;
    fs::set_permissions(&wal, fs::metadata(old.join(WAL))?.permissions())?;
    let cluster = entropy::array()?;
    let state = HardState {
        // As a server that was never given a name, so that it gets one when it grows again.
        id: LONE_NAME.to_owned(),
        cluster,
        incarnation: u64::from_be_bytes(entropy::array()?),
        role: crate::raft::Role::Backup.to_string(),
        voted_for: LONE.to_string(),
        copy: 0,
        // A history of its own.
        boots: Boots::default(),
        met: Vec::new(),
        old_copy: String::new(),
        ..saved.clone()
    };
    hard_state::save(&mut RealDisk::open(fresh), &state).map_err(|error| match error {
        hard_state::Error::Io(error) => error,
        error => io::Error::other(error),
    })?;
    make_log(&wal, cluster, found)?;
    for made in fs::read_dir(&wal)? {
        give(&made?.path(), owner)?;
    }
    give(&fresh.join(hard_state::FILE), owner)?;
    sync_dir(fresh)
}

/// Makes a log of what the old one has, of another cluster.
fn make_log(directory: &Path, cluster: [u8; 16], found: &mut Found) -> io::Result<()> {
    let expect = Some(Identity { cluster });
    let options = wal::Options { expect, segment_bytes: limits::WAL_SEGMENT_BYTES };
    let mut disk = RealDisk::open(directory);
    let recovered = wal::recover(&mut disk, &options, &mut |_, _, _| Ok(()));
    let (mut wal, _) = recovered.map_err(io::Error::other)?;
    let last_index = found.last_index;
    let mut append = |index: u64, term: u64, payload: &[u8]| {
        wal.append_entry(term, index, &refounded(payload, cluster));
        match wal.gathered_bytes() > limits::WAL_BATCH_BYTES {
            true => write(&mut wal, &mut disk, 0).map_err(|error| error.to_string()),
            false => Ok(()),
        }
    };
    let mut tail = Vec::new();
    let examined = found.read(&mut append);
    tail.extend(examined.map_err(|error| io::Error::other(error.place().2))?.tail);
    for entry in tail {
        wal.append_entry(entry.term, entry.index, &refounded(&entry.payload, cluster));
        if wal.gathered_bytes() > limits::WAL_BATCH_BYTES {
            write(&mut wal, &mut disk, 0)?;
        }
    }
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
        return Err(io::Error::other("the new log failed its check: nothing was replaced"));
    }
    Ok(())
}
