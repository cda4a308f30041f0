//! Between an entry's bytes and what the core knows of them. Bytes are looked at for members here
//! only, once each: when they are proposed, come from a peer, or are read from the disk.

use std::sync::Arc;

use crate::chat::{self, Command, Member};
use crate::raft::{Entry, Members, Membership, Payload, ServerId};

/// The payload with these bytes. Bytes that no command has are a command all the same: applying
/// them says what is wrong.
pub fn typed(bytes: &[u8]) -> Payload {
    if bytes.is_empty() {
        return Payload::Noop;
    }
    match chat::members_in(bytes) {
        None => Payload::Command(Arc::from(bytes)),
        Some(list) => {
            let members = numbers_of(&list);
            Payload::Members(Arc::new(Membership { members, bytes: bytes.into() }))
        }
    }
}

/// These servers, one or more, as an entry of this time names them.
pub fn membership(time: u64, list: Vec<Member>) -> Membership {
    let members = numbers_of(&list);
    let mut bytes = Vec::new();
    Command::Members { time, members: list }.encode(&mut bytes);
    Membership { members, bytes: bytes.into() }
}

/// The servers, by name; none for a server that is alone.
pub fn members_of(membership: &Membership) -> Vec<Member> {
    chat::members_in(&membership.bytes).unwrap_or_default()
}

/// The servers as each of these entries names them, where it does.
pub fn lists_in(entries: &[Entry]) -> impl Iterator<Item = Vec<Member>> {
    entries.iter().filter_map(|entry| match &entry.payload {
        Payload::Members(membership) => Some(members_of(membership)),
        Payload::Noop | Payload::Command(_) => None,
    })
}

fn numbers_of(list: &[Member]) -> Members {
    let of = |votes: bool| {
        let members = list.iter().filter(move |member| member.votes == votes);
        members.map(|member| ServerId(member.number)).collect()
    };
    Members::new(of(true), of(false))
}
