//! `--export`: the log as text files, after their forms in chatctl-wal(5).
//!
//! The entries are applied as a server does, then gone over once more, since only then it is known
//! who can see what. It takes the memory of a server's index and [`EXPORT_BUFFER_BYTES`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::folder::Folder;
use super::log::{Flow, Log};
use super::render;
use crate::chat::{AccountId, Command, Sight, State};
use crate::cli::error::Error;
use crate::cli::terminal;
use crate::client::show;
use crate::limits::EXPORT_BUFFER_BYTES;
use crate::protocol::id;
use crate::sys::clock::utc;
use crate::wal::RealDisk;
use crate::wal::hard_state::{self, HardState};

const USERS: &str = "users.txt";
const SERVER_STATE: &str = "server_state.txt";
const LOG: &str = "log.txt";
/// What stands where there is nothing to say, and in place of a verifier.
const NOTHING: &str = "-";

pub struct Order {
    pub directory: PathBuf,
    pub force: bool,
    pub secrets: bool,
}

/// Writes the files, and says what is in them.
pub fn run(log: &mut Log, order: &Order, json: bool, out: &mut dyn Write) -> Result<u8, Error> {
    let mut state = State::new();
    let examined = log.committed(&mut |index, _, payload| {
        let applied = state.apply(index, payload);
        Ok(applied.map_or_else(|error| Flow::Refused(error.error.to_string()), |_| Flow::On))
    })?;
    let examined = examined.filter(|examined| examined.segments > 0);
    let last = examined.ok_or_else(|| log.no_log(""))?.last_index;
    let server = server_state(log, &state, last)?;
    let failed = |what: String| Error::failed(what);
    let folder = Folder::open(&order.directory, order.force).map_err(failed)?;
    let accounts: Vec<AccountId> = state.live_accounts().collect();
    let files: Vec<String> = accounts.iter().map(|&one| messages_file(&state, one)).collect();
    let fixed = [USERS, SERVER_STATE, LOG];
    folder.check(fixed.into_iter().chain(files.iter().map(String::as_str))).map_err(failed)?;
    let put = |name, text: &str| {
        folder.create(name)?;
        folder.append(name, text.as_bytes())
    };
    put(SERVER_STATE, &server).map_err(failed)?;
    put(USERS, &users(&state, &accounts, order.secrets)).map_err(failed)?;
    files.iter().try_for_each(|file| put(file, "")).map_err(failed)?;

    let mut texts = Texts { state: &state, folder: &folder, gathered: BTreeMap::new(), bytes: 0 };
    let mut lines = BufWriter::new(folder.create(LOG).map_err(failed)?);
    let cannot = |error| failed(format!("cannot write {LOG}: {error}"));
    let applied = state.applied();
    if applied > 0 {
        log.committed(&mut |index, term, payload| {
            lines.write_all(log_line(index, term, payload).as_bytes()).map_err(cannot)?;
            texts.entry(index, payload).map_err(failed)?;
            Ok(if index == applied { Flow::Stop } else { Flow::On })
        })?;
    }
    lines.flush().map_err(cannot)?;
    texts.flush().map_err(failed)?;
    let (directory, users) = (order.directory.display(), accounts.len());
    let messages = state.message_count();
    match json {
        true => {
            let object = terminal::object().number("accounts", users as u64);
            let object = object.number("messages", messages as u64).number("commit", applied);
            writeln!(out, "{object}")?;
        }
        false => writeln!(
            out,
            "exported to {directory}: {users} accounts, {messages} messages, entries up to \
             {applied}"
        )?,
    }
    Ok(0)
}

/// Names are `a-z`, `0-9`, `.`, `_` and `-`, the state has no others: no path can be made of one.
fn messages_file(state: &State, account: AccountId) -> String {
    let name = state.name(account);
    assert!(!name.contains(['/', '\0']), "names are checked when they are read");
    format!("messages_{name}.txt")
}

fn users(state: &State, accounts: &[AccountId], secrets: bool) -> String {
    let mut text = String::new();
    for &account in accounts {
        let verifier = state.verifier(account).filter(|_| secrets).unwrap_or(NOTHING);
        // A verifier has no space in it where a server has made it; whoever wrote the log may lie.
        let _ = writeln!(text, "{}\t{}", state.name(account), show::field(verifier));
    }
    text
}

fn server_state(log: &Log, state: &State, last: u64) -> Result<String, Error> {
    let loaded = match log.path.is_dir() {
        true => hard_state::load(&mut RealDisk::read_only(&log.path)),
        false => Ok(None),
    };
    let found = loaded.map_err(Error::failed)?;
    let cluster = state.cluster().map(|cluster| id::format(u128::from_be_bytes(cluster)));
    let cluster = cluster.unwrap_or_else(|| NOTHING.to_owned());
    let of = |text: &dyn Fn(&HardState) -> String| {
        found.as_ref().map(text).filter(|text| !text.is_empty()).unwrap_or(NOTHING.to_owned())
    };
    Ok(format!(
        "id {}\nrole {}\nterm {}\nvoted_for {}\nincarnation {}\ncluster {cluster}\nlast {last}\n\
         commit {}\n",
        of(&|state| state.id.clone()),
        of(&|state| state.role.clone()),
        of(&|state| state.term.to_string()),
        of(&|state| state.voted_for.clone()),
        of(&|state| format!("{:016x}", state.incarnation)),
        state.applied()
    ))
}

fn log_line(index: u64, term: u64, payload: &[u8]) -> String {
    let (time, kind, content) = render::entry(payload);
    let time = time.map_or(NOTHING.to_owned(), utc);
    format!("{index}\t{term}\t{time}\t{kind}\t{content}\n")
}

/// Lines on their way to the accounts' files.
struct Texts<'a> {
    state: &'a State,
    folder: &'a Folder,
    gathered: BTreeMap<AccountId, String>,
    bytes: usize,
}

impl Texts<'_> {
    /// Puts a message into the files of those who can see it.
    fn entry(&mut self, index: u64, payload: &[u8]) -> Result<(), String> {
        let Some(sight) = self.state.sight(index) else { return Ok(()) };
        let Ok(Command::Send { time, from, to, id, body, .. }) = Command::decode(payload) else {
            return Ok(());
        };
        let Sight { sender_sees, receiver_sees, taken, .. } = sight;
        let received = if taken { "taken" } else { "pending" };
        let sides = [
            (sight.from, sender_sees && sight.from != sight.to, "sent"),
            (sight.to, receiver_sees, received),
        ];
        for (account, _, status) in sides.into_iter().filter(|(_, sees, _)| *sees) {
            let (id, body) = (id::format(id), show::field(body));
            let text = self.gathered.entry(account).or_default();
            let before = text.len();
            let time = utc(time);
            let _ = writeln!(text, "{index}\t{time}\t{status}\t{from}\t{to}\t{id}\t{body}");
            self.bytes += text.len() - before;
        }
        if self.bytes >= EXPORT_BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), String> {
        self.bytes = 0;
        for (account, text) in std::mem::take(&mut self.gathered) {
            self.folder.append(&messages_file(self.state, account), text.as_bytes())?;
        }
        Ok(())
    }
}
