//! What a server that starts is to its cluster, by its directory and its log. Pure.

use super::cluster::survives;
use super::{Error, Options};
use crate::chat::Member;
use crate::raft::{self, ServerId};
use crate::wal::hard_state::HardState;

/// The number of a server that is alone, and the name it goes by.
pub const LONE: ServerId = ServerId(1);
/// See [`LONE`].
pub const LONE_NAME: &str = "lone";

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
pub fn of(options: &Options, state: &HardState, known: &Known<'_>) -> Result<Standing, Error> {
    let directory = options.data_dir.display();
    let newest_first = known.lists.iter().rev();
    if let Some(own) = { newest_first }.find_map(|list| find(list, state)) {
        if options.cluster_secret_file.is_none() {
            return Err(Error::Cluster(
                "a server of a cluster needs --cluster-secret-file, with the secret that the \
                 others have"
                    .to_owned(),
            ));
        }
        return Ok(Standing::Member(ServerId(own.number)));
    }
    let is_damaged = raft::is_damaged(state.copy);
    if known.was_member && !is_damaged {
        return Err(Error::Cluster(format!(
            "{} was removed from the cluster: remove its data directory {directory} and add it \
             again with chatctl members add, or leave it stopped",
            state.id
        )));
    }
    let is_alone = known.newest().is_empty() && has_been_alone(state) && !is_damaged;
    let lists_others = lists_others(options, state);
    match (is_alone, options.cluster.is_empty()) {
        (true, _) if lists_others => Err(Error::Cluster(format!(
            "the data directory {directory} belongs to a single server: list only this server in \
             --cluster, and add the others with chatctl members add"
        ))),
        (true, _) => Ok(Standing::Alone),
        (false, false) if lists_others => Ok(Standing::Joining),
        (false, _) => Err(Error::Cluster(format!(
            "the log in {directory} does not name {} yet: start it with --cluster, and list it \
             there with at least one member",
            state.id
        ))),
    }
}

/// Whether the flags list others than this server.
pub(super) fn lists_others(options: &Options, state: &HardState) -> bool {
    let id = options.id.as_ref().unwrap_or(&state.id);
    options.cluster.iter().any(|listed| listed.name != *id)
}

/// The own entry of a list.
pub fn find<'a>(members: &'a [Member], state: &HardState) -> Option<&'a Member> {
    let is_own =
        |member: &&Member| member.name == state.id && member.incarnation == state.incarnation;
    members.iter().find(is_own)
}

/// The servers that may be among those that count, by name: of the members that are committed and,
/// oldest first, those that entries behind name. Such an entry may be cut, and whom it takes out may
/// be PRIMARY already; who was replaced is gone in any case.
pub fn possible<'a>(lists: impl IntoIterator<Item = &'a [Member]>) -> Vec<Member> {
    let mut all: Vec<Member> = Vec::new();
    for member in lists.into_iter().flatten() {
        match all.iter_mut().find(|known| known.name == member.name) {
            Some(known) => known.clone_from(member),
            None => all.push(member.clone()),
        }
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// A server that is alone has nobody to vote for but itself, before it has a first entry.
fn has_been_alone(state: &HardState) -> bool {
    state.term == 0 || state.voted_for == LONE.to_string()
}

/// A server that never was given a name may still get one.
pub(super) fn may_be_renamed(state: &HardState) -> bool {
    state.id == LONE_NAME && has_been_alone(state)
}

/// What a cluster of these survives, as a sentence; those without a vote are named too.
pub(super) fn survive(members: &[Member]) -> String {
    let voters = members.iter().filter(|member| member.votes).count();
    let others = members.iter().filter(|member| !member.votes);
    let names: Vec<&str> = others.map(|member| member.name.as_str()).collect();
    match names.is_empty() {
        true => survives(voters),
        false => format!("{}; without a vote yet: {}", survives(voters), names.join(", ")),
    }
}
