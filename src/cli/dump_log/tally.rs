//! What a log's records come to, counted. Pure.

use std::collections::VecDeque;

use super::render::Content;
use crate::chat::{Command, Effect, State};
use crate::cli::table::dump_log::KINDS;
use crate::wal::format::{self, Kind, RECORD_HEADER_BYTES, Record};

/// An entry that this program cannot read as a command.
const UNREADABLE: &str = "unreadable";

/// The kinds of records, in the order of [`Tally::kinds`]: those that can be asked for, and then
/// `unreadable`.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().chain([UNREADABLE])
}

/// Sizes are told by powers of two.
const BUCKETS: usize = 40;

/// Records and their bytes on the disk, padding included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub records: u64,
    pub bytes: u64,
}

impl Sum {
    pub fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }

    /// What is left of it without some of it.
    fn without(self, some: Sum) -> Sum {
        let records = self.records.saturating_sub(some.records);
        Sum { records, bytes: self.bytes.saturating_sub(some.bytes) }
    }
}

/// What can be told from the records alone.
#[derive(Debug)]
pub struct Tally {
    /// In the order of [`kinds`].
    pub kinds: [Sum; KINDS.len() + 1],
    pub all: Sum,
    /// Entries that a truncation cut.
    pub cut: Sum,
    /// Batches by the power of two that their bytes are at least.
    pub sizes: [u64; BUCKETS],
    /// The largest batch, bytes and records.
    pub largest: Sum,
    pub batches: u64,
    batch: u64,
    open: Sum,
    /// The bytes of each entry above the commit index, the lowest first: what can still be cut.
    uncommitted: VecDeque<u32>,
    last: u64,
    commit: u64,
}

impl Tally {
    pub fn new() -> Tally {
        Tally {
            kinds: Default::default(),
            all: Sum::default(),
            cut: Sum::default(),
            sizes: [0; BUCKETS],
            largest: Sum::default(),
            batches: 0,
            batch: 0,
            open: Sum::default(),
            uncommitted: VecDeque::new(),
            last: 0,
            commit: 0,
        }
    }

    pub fn take(&mut self, record: &Record<'_>) {
        let bytes = u64::from(record.padded());
        if record.batch != self.batch {
            self.end();
            self.batch = record.batch;
        }
        self.open.add(bytes);
        self.all.add(bytes);
        let kind = match Content::of(record) {
            Content::Mark => "mark",
            Content::Truncate => "truncate",
            Content::Entry([]) => "no-op",
            Content::Entry(payload) => {
                Command::decode(payload).map_or(UNREADABLE, |command| command.kind())
            }
        };
        let place = KINDS.iter().position(|name| *name == kind);
        self.kinds[place.unwrap_or(KINDS.len())].add(bytes);
        match record.kind {
            Kind::Entry => {
                self.last = record.index;
                self.uncommitted.push_back(record.padded());
            }
            Kind::Truncate => {
                while self.last >= record.index
                    && let Some(bytes) = self.uncommitted.pop_back()
                {
                    self.cut.add(bytes.into());
                    self.last -= 1;
                }
            }
            Kind::Mark => {
                self.commit = self.commit.max(record.index);
                let keep = self.last.saturating_sub(self.commit) as usize;
                let gone = self.uncommitted.len().saturating_sub(keep);
                self.uncommitted.drain(..gone);
            }
        }
    }

    pub fn end(&mut self) {
        let Sum { records, bytes } = std::mem::take(&mut self.open);
        if records == 0 {
            return;
        }
        self.batches += 1;
        self.sizes[(bytes.ilog2() as usize).min(BUCKETS - 1)] += 1;
        if bytes > self.largest.bytes {
            self.largest = Sum { records, bytes };
        }
    }
}

/// Committed entries that a server's state has no use for any more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dead {
    /// They changed nothing when they were applied: messages sent twice, markers that stood there.
    pub void: Sum,
    /// Messages that nobody can see any more.
    pub unseen: Sum,
    /// All moves of markers, and those that say where a marker stands.
    moves: Sum,
    standing: Sum,
    /// All changes of passwords, and those whose password is good.
    changes: Sum,
    good: Sum,
}

impl Dead {
    /// Moves of markers that have moved again, or whose account is gone.
    pub fn passed(&self) -> Sum {
        self.moves.without(self.standing)
    }

    /// Passwords that were changed again, or whose account is gone.
    pub fn replaced(&self) -> Sum {
        self.changes.without(self.good)
    }

    /// Takes in what an entry did when it was applied.
    pub fn applied(&mut self, payload: &[u8], effect: &Effect) {
        let bytes = record_bytes(payload);
        let did_nothing = match effect {
            Effect::AlreadyFounded
            | Effect::NameTaken { .. }
            | Effect::Duplicate { .. }
            | Effect::IdConflict
            | Effect::IdExpired
            | Effect::NoSuchUser
            | Effect::AccountGone => true,
            Effect::ReadMoved { moved: false, .. } => true,
            Effect::ReadMoved { .. } => {
                self.moves.add(bytes);
                false
            }
            Effect::PasswordChanged { .. } => {
                self.changes.add(bytes);
                false
            }
            Effect::Taken { seqs, .. } => seqs.is_empty(),
            Effect::Deleted { count, .. } => *count == 0,
            Effect::None
            | Effect::Founded
            | Effect::MembersChanged
            | Effect::Created { .. }
            | Effect::Stored { .. }
            | Effect::AccountDeleted { .. } => false,
        };
        if did_nothing {
            self.void.add(bytes);
        }
    }

    /// Takes in an entry once more, when all are applied to `state`.
    pub fn looked_back(&mut self, index: u64, payload: &[u8], state: &State) {
        let bytes = record_bytes(payload);
        match Command::decode(payload) {
            Ok(Command::Send { .. }) => {
                let sight = state.sight(index);
                if sight.is_some_and(|sight| !sight.sender_sees && !sight.receiver_sees) {
                    self.unseen.add(bytes);
                }
            }
            Ok(Command::Read { name, from, .. }) => {
                let accounts = state.account(name).zip(state.account_ever(from));
                let at = accounts.map(|(own, other)| state.marker_moved_at(own, other));
                if at == Some(index) {
                    self.standing.add(bytes);
                }
            }
            Ok(Command::Passwd { name, verifier, .. }) => {
                let now = state.account(name).and_then(|account| state.verifier(account));
                if now == Some(verifier) {
                    self.good.add(bytes);
                }
            }
            _ => {}
        }
    }
}

fn record_bytes(payload: &[u8]) -> u64 {
    format::padded((RECORD_HEADER_BYTES + payload.len()) as u32).into()
}
