//! Lists of members: the own entry, who may count, what such a cluster survives. Pure.

use crate::chat::Member;
use crate::raft::ServerId;
use crate::wal::hard_state::HardState;

/// The number of a server that is alone, and the name it goes by.
pub const LONE: ServerId = ServerId(1);
/// See [`LONE`].
pub const LONE_NAME: &str = "lone";

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

/// What a cluster of these survives, as a sentence; those without a vote are named too.
pub fn survive(members: &[Member]) -> String {
    let voters = members.iter().filter(|member| member.votes).count();
    let others = members.iter().filter(|member| !member.votes);
    let names: Vec<&str> = others.map(|member| member.name.as_str()).collect();
    match names.is_empty() {
        true => survives(voters),
        false => format!("{}; without a vote yet: {}", survives(voters), names.join(", ")),
    }
}

/// How many failures a cluster of so many servers survives, as a sentence.
pub fn survives(servers: usize) -> String {
    let failures = servers.saturating_sub(1) / 2;
    let what = match failures {
        0 => "no failure".to_owned(),
        1 => "one failure".to_owned(),
        more => format!("{more} failures"),
    };
    let hint = match servers {
        1 => ": keep copies of its data directory".to_owned(),
        even if even % 2 == 0 => format!(": no more than a cluster of {}", even - 1),
        _ => String::new(),
    };
    let plural = if servers == 1 { "server" } else { "servers" };
    format!("a cluster of {servers} {plural} survives {what}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_survives_is_said_for_every_size() {
        for (servers, expected) in [
            (1, "a cluster of 1 server survives no failure: keep copies of its data directory"),
            (2, "a cluster of 2 servers survives no failure: no more than a cluster of 1"),
            (3, "a cluster of 3 servers survives one failure"),
            (4, "a cluster of 4 servers survives one failure: no more than a cluster of 3"),
            (5, "a cluster of 5 servers survives 2 failures"),
        ] {
            assert_eq!(survives(servers), expected);
        }
    }
}
