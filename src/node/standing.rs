//! What a server that starts is to its cluster, by its directory and its log. Pure.

use super::end::End;
use super::flags::Flags;
use super::members::{LONE, LONE_NAME, find, possible};
use crate::chat::Member;
use crate::raft::{self, ServerId};
use crate::wal::hard_state::HardState;

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The only server, whose log names none: not even this one.
    Alone,
    /// One of the log's members, under this number.
    Member(ServerId),
    /// One that the log does not have yet: it has not caught up to where it does, or that was damaged.
    Joining,
}

/// What is known of a log.
pub struct Known<'a> {
    /// The members that are committed, and those that entries behind name, oldest first.
    pub lists: &'a [Vec<Member>],
    /// Whether this directory ever was a member's.
    pub was_member: bool,
}

impl Known<'_> {
    /// The members that count, committed or not.
    pub fn newest(&self) -> &[Member] {
        self.lists.last().map_or(&[], Vec::as_slice)
    }

    /// See [`possible`].
    pub fn possible(&self) -> Vec<Member> {
        possible(self.lists.iter().map(Vec::as_slice))
    }
}

/// What this server is. The log outranks the flags.
pub fn of(flags: &Flags, state: &HardState, known: &Known<'_>) -> Result<Standing, End> {
    let directory = &flags.directory;
    let newest_first = known.lists.iter().rev();
    if let Some(own) = { newest_first }.find_map(|list| find(list, state)) {
        if flags.secret.is_none() {
            return Err(End::Cluster(
                "a server of a cluster needs --cluster-secret-file, with the secret that the \
                 others have"
                    .to_owned(),
            ));
        }
        return Ok(Standing::Member(ServerId(own.number)));
    }
    let is_damaged = raft::is_damaged(state.copy);
    if known.was_member && !is_damaged {
        return Err(End::Cluster(format!(
            "{} was removed from the cluster: remove its data directory {directory} and add it \
             again with chatctl members add, or leave it stopped",
            state.id
        )));
    }
    let is_alone = known.newest().is_empty() && has_been_alone(state) && !is_damaged;
    let lists_others = lists_others(flags, state);
    match (is_alone, flags.cluster.is_empty()) {
        (true, _) if lists_others => Err(End::Cluster(format!(
            "the data directory {directory} belongs to a single server: list only this server in \
             --cluster, and add the others with chatctl members add"
        ))),
        (true, _) => Ok(Standing::Alone),
        (false, false) if lists_others => Ok(Standing::Joining),
        (false, _) => Err(End::Cluster(format!(
            "the log in {directory} does not name {} yet: start it with --cluster, and list it \
             there with at least one member",
            state.id
        ))),
    }
}

/// Whether the flags list others than this server.
pub(super) fn lists_others(flags: &Flags, state: &HardState) -> bool {
    let id = flags.id.as_ref().unwrap_or(&state.id);
    flags.cluster.iter().any(|listed| listed.name != *id)
}

/// A server that is alone has nobody to vote for but itself, before it has a first entry.
fn has_been_alone(state: &HardState) -> bool {
    state.term == 0 || state.voted_for == LONE.to_string()
}

/// A server that never was given a name may still get one.
pub(super) fn may_be_renamed(state: &HardState) -> bool {
    state.id == LONE_NAME && has_been_alone(state)
}
