//! What an operator may ask to be changed of the members, and what becomes of the list. Pure.

use super::bytes::{Malformed, Reader, put_text};
use crate::chat::Member;
use crate::limits::{NAME_BYTES, RAFT_VOTERS};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is to happen.
    pub verb: Verb,
    /// To which server.
    pub name: String,
    /// Where the others reach it; empty where that is known or does not matter.
    pub address: String,
}

/// What is to happen to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It becomes a member.
    Add,
    /// It is one no more.
    Remove,
    /// It has another data directory from now on.
    Replace,
}

const VERBS: [(u8, Verb); 3] = [(1, Verb::Add), (2, Verb::Remove), (3, Verb::Replace)];

/// Appends a change: u8 verb, name text, address text.
pub fn put_change(out: &mut Vec<u8>, change: &Change) {
    let (code, _) = VERBS.iter().find(|(_, verb)| *verb == change.verb).expect("all are listed");
    out.push(*code);
    put_text(out, &change.name);
    put_text(out, &change.address);
}

/// Reads it back.
pub(super) fn read_change(reader: &mut Reader<'_>) -> Result<Change, Malformed> {
    let [code] = reader.array()?;
    let verb = VERBS.iter().find(|(of, _)| *of == code);
    let (_, verb) = *verb.ok_or(Malformed("an unknown change"))?;
    let (name, address) = (reader.text()?.to_owned(), reader.text()?.to_owned());
    if name.is_empty() || name.len() > NAME_BYTES {
        return Err(Malformed("no server's name"));
    }
    Ok(Change { verb, name, address })
}

impl Change {
    /// Where the server is to be asked who it is, before anything is changed; none where that does
    /// not matter. An error says why the change cannot be.
    pub fn asks_at(&self, members: &[Member]) -> Result<Option<String>, String> {
        let name = &self.name;
        let known = members.iter().find(|member| member.name == *name);
        match (self.verb, known) {
            (Verb::Add, Some(member)) => {
                Err(format!("{name} is already a member, at {}", member.address))
            }
            (Verb::Add, None) if self.address.is_empty() => {
                Err(format!("the address of {name} is missing: give NAME=HOST[:PORT]"))
            }
            (Verb::Add, None) if members.len() >= RAFT_VOTERS => Err(format!(
                "the cluster has {} servers, the maximum is {RAFT_VOTERS}",
                members.len()
            )),
            (Verb::Add, None) => Ok(Some(self.address.clone())),
            (_, None) => {
                let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
                Err(format!("{name} is not a member; the members are {}", names.join(", ")))
            }
            (Verb::Remove, Some(member)) => {
                let voters = members.iter().filter(|other| other.votes).count();
                match member.votes && voters == 1 {
                    true => {
                        Err(format!("{name} is the last server with a vote and cannot be removed"))
                    }
                    false => Ok(None),
                }
            }
            (Verb::Replace, Some(member)) if self.address.is_empty() => {
                Ok(Some(member.address.clone()))
            }
            (Verb::Replace, Some(_)) => Ok(Some(self.address.clone())),
        }
    }

    /// The members after the change, by name: a new directory begins as a non-voter under a number of
    /// its own.
    pub fn apply(&self, members: &[Member], incarnation: u64, next_number: u32) -> Vec<Member> {
        let is_it = |member: &&Member| member.name == self.name;
        let mut list: Vec<Member> =
            members.iter().filter(|member| !is_it(member)).cloned().collect();
        if self.verb != Verb::Remove {
            let known = members.iter().find(is_it).map(|member| member.address.clone());
            let given = Some(self.address.clone()).filter(|address| !address.is_empty());
            let (name, address) = (self.name.clone(), given.or(known).unwrap_or_default());
            list.push(Member { name, address, incarnation, number: next_number, votes: false });
        }
        list.sort_by(|one, other| one.name.cmp(&other.name));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, number: u32, votes: bool) -> Member {
        let (name, address) = (name.to_owned(), format!("{name}:1"));
        Member { name, address, incarnation: u64::from(number), number, votes }
    }

    fn change(verb: Verb, name: &str, address: &str) -> Change {
        Change { verb, name: name.to_owned(), address: address.to_owned() }
    }

    #[test]
    fn who_is_to_come_is_asked_who_it_is_and_begins_without_a_vote() {
        let members = [member("a", 1, true), member("c", 2, true)];
        let add = change(Verb::Add, "b", "b:9");
        assert_eq!(add.asks_at(&members), Ok(Some("b:9".into())));
        let b = Member { address: "b:9".into(), incarnation: 77, ..member("b", 5, false) };
        let all = [members[0].clone(), b, members[1].clone()];
        assert_eq!(add.apply(&members, 77, 5), all);
        let replace = change(Verb::Replace, "c", "");
        assert_eq!(replace.asks_at(&members), Ok(Some("c:1".into())));
        let c = Member { incarnation: 78, ..member("c", 6, false) };
        assert_eq!(replace.apply(&members, 78, 6), [members[0].clone(), c]);
        let moved = change(Verb::Replace, "c", "h:7");
        assert_eq!(moved.asks_at(&members), Ok(Some("h:7".into())));
        assert_eq!(moved.apply(&members, 78, 6)[1].address, "h:7");
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let members = [member("a", 1, true), member("b", 2, false)];
        for (change, what) in [
            (change(Verb::Add, "b", "x:1"), "b is already a member, at b:1"),
            (change(Verb::Add, "c", ""), "the address of c is missing"),
            (change(Verb::Remove, "c", ""), "c is not a member; the members are a, b"),
            (change(Verb::Replace, "c", "c:1"), "c is not a member"),
            (change(Verb::Remove, "a", ""), "a is the last server with a vote"),
        ] {
            let error = change.asks_at(&members).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
        let remove = change(Verb::Remove, "b", "");
        assert_eq!(remove.asks_at(&members), Ok(None));
        assert_eq!(remove.apply(&members, 0, 3), [members[0].clone()]);
        let full: Vec<Member> =
            (1..=9).map(|number| member(&format!("s{number}"), number, true)).collect();
        let error = change(Verb::Add, "t", "t:1").asks_at(&full).unwrap_err();
        assert!(error.contains("the maximum is 9"), "{error}");
    }
}
