//! Which records are shown.

use std::ops::RangeInclusive;

use super::render::Content;
use crate::chat::Command;
use crate::cli::error::Error;
use crate::cli::values::Records;

/// What the flags ask for. A record is shown when all of them let it through.
#[derive(Clone, Debug)]
pub struct Filter {
    indexes: RangeInclusive<u64>,
    times: RangeInclusive<u64>,
    user: Option<String>,
    /// None: all.
    kinds: Vec<String>,
    /// Whether a place in the log, or what stands there, is asked for: then marks have no part in
    /// it, since their index is no place.
    is_of_entries: bool,
    /// Whether what an entry holds is asked for.
    is_of_content: bool,
}

impl Filter {
    pub fn of(records: &Records) -> Result<Filter, Error> {
        let Records { from, to, since_ms, until_ms, user, kinds } = records;
        let indexes = from.unwrap_or(0)..=to.unwrap_or(u64::MAX);
        if indexes.is_empty() {
            let (from, to) = (indexes.start(), indexes.end());
            return Err(Error::usage(format!("--from {from} is above --to {to}")));
        }
        let times = since_ms.unwrap_or(0)..=until_ms.unwrap_or(u64::MAX);
        if times.is_empty() {
            return Err(Error::usage("--since is later than --until"));
        }
        let is_of_content = user.is_some() || since_ms.is_some() || until_ms.is_some();
        let is_of_places = from.is_some() || to.is_some();
        Ok(Filter {
            indexes,
            times,
            user: user.clone(),
            kinds: kinds.clone(),
            is_of_entries: is_of_content || is_of_places,
            is_of_content,
        })
    }

    pub fn shows(&self, index: u64, content: Content<'_>) -> bool {
        match content {
            Content::Mark => !self.is_of_entries && self.has_kind("mark"),
            Content::Truncate => {
                self.indexes.contains(&index) && !self.is_of_content && self.has_kind("truncate")
            }
            Content::Entry(_) if !self.indexes.contains(&index) => false,
            Content::Entry(_) if self.kinds.is_empty() && !self.is_of_content => true,
            Content::Entry([]) => !self.is_of_content && self.has_kind("no-op"),
            Content::Entry(payload) => match Command::decode(payload) {
                Ok(command) => self.takes(&command),
                // Nobody knows whom it concerns; that it is there must not be missed.
                Err(_) => true,
            },
        }
    }

    fn has_kind(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted == kind)
    }

    fn takes(&self, command: &Command<'_>) -> bool {
        self.has_kind(command.kind())
            && self.times.contains(&command.time())
            && self.user.as_ref().is_none_or(|user| concerns(command, user))
    }
}

/// Whether an account does what a command says, or it is done to it.
fn concerns(command: &Command<'_>, user: &str) -> bool {
    match command {
        Command::Found { .. } | Command::Members { .. } => false,
        Command::Send { from, to, .. } => *from == user || *to == user,
        Command::Read { name, from, .. } => *name == user || *from == user,
        Command::Create { name, .. }
        | Command::Take { name, .. }
        | Command::DeleteMsgs { name, .. }
        | Command::Passwd { name, .. }
        | Command::Delete { name, .. } => *name == user,
    }
}
