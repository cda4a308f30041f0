//! Which servers there are, said by the simulator alone: read from the entries that were written and
//! from what is committed of them. Numbers, votes and majorities are held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use chatctl::chat::{Member, members_in};
use chatctl::raft::{Body, Outgoing, Raft, Role, ServerId};

use super::clock::Us;

/// A list of members, and the index of its entry; 0: before there was one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub index: u64,
    pub members: Rc<[Member]>,
}

impl Config {
    /// Those with a vote.
    pub fn voters(&self) -> impl Iterator<Item = ServerId> {
        let voters = self.members.iter().filter(|member| member.votes);
        voters.map(|member| ServerId(member.number))
    }

    /// The next list, which is in a core's log and waits to be written; it counts from the moment on
    /// at which it is appended (§4.1).
    fn followed_by(&self, core: &Raft) -> Config {
        let now = core.members();
        let stays = |member: &&Member| {
            let id = ServerId(member.number);
            now.voters.contains(&id) || now.nonvoters.contains(&id)
        };
        let with_vote = |member: &Member| Member {
            votes: now.is_voter(ServerId(member.number)),
            ..member.clone()
        };
        let members: Rc<[Member]> = self.members.iter().filter(stays).map(with_vote).collect();
        let next = Config { index: core.members_index(), members };
        assert_eq!(next.voters().count(), now.voters.len(), "nobody gets a vote as he comes");
        let changed = |one: &Config, other: &Config| {
            one.voters().filter(|id| !other.voters().any(|voter| voter == *id)).count()
        };
        let changes = changed(self, &next) + changed(&next, self);
        assert!(changes <= 1, "one vote at a time (§4.1): {self:?}, {next:?}");
        next
    }

    pub fn has(&self, id: ServerId) -> bool {
        self.members.iter().any(|member| member.number == id.0)
    }

    /// How many make a majority.
    pub fn quorum(&self) -> usize {
        self.voters().count() / 2 + 1
    }
}

/// What is known.
#[derive(Default)]
pub struct Configs {
    /// By (index, term): every list that was ever written.
    written: BTreeMap<(u64, u64), Rc<[Member]>>,
    /// The directories that each number was given to, committed or not.
    numbers: BTreeMap<ServerId, BTreeSet<(String, u64)>>,
    /// Every list that was committed, oldest first.
    pub committed: Vec<Config>,
    /// When each number was taken out of the members, for good.
    out_since: BTreeMap<ServerId, Us>,
    /// Who got the vote of each (term, voter).
    votes: BTreeMap<(u64, ServerId), ServerId>,
    /// By number: the term in which it last asked whether it would be elected, and since when.
    asks: BTreeMap<ServerId, (u64, Us)>,
}

impl Configs {
    /// A server is about to write an entry.
    pub fn on_written(&mut self, index: u64, term: u64, payload: &[u8]) {
        let Some(members) = members_in(payload).filter(|members| !members.is_empty()) else {
            return;
        };
        for member in &members {
            let directory = (member.name.clone(), member.incarnation);
            self.numbers.entry(ServerId(member.number)).or_default().insert(directory);
        }
        self.written.entry((index, term)).or_insert_with(|| members.into());
    }

    /// An entry is committed.
    pub fn on_committed(&mut self, now_us: Us, index: u64, term: u64) {
        let Some(members) = self.written.get(&(index, term)).cloned() else { return };
        let before = self.newest();
        for member in members.iter() {
            let others = self.committed.iter().flat_map(|config| config.members.iter());
            for other in others.filter(|other| other.number == member.number) {
                let same = (&other.name, other.incarnation) == (&member.name, member.incarnation);
                assert!(same, "number {} is given twice: {other:?}, {member:?}", member.number);
            }
        }
        self.committed.push(Config { index, members });
        let now = self.newest();
        let gone = before.members.iter().filter(|m| !now.has(ServerId(m.number)));
        self.out_since.extend(gone.map(|member| (ServerId(member.number), now_us)));
        let added = now.voters().filter(|id| !before.voters().any(|voter| voter == *id)).count();
        let removed = before.voters().filter(|id| !now.voters().any(|voter| voter == *id)).count();
        let first = before.members.is_empty();
        assert!(first || added + removed <= 1, "one vote at a time (§4.1): entry {index}");
    }

    /// The newest list that is committed.
    pub fn newest(&self) -> Config {
        self.committed.last().cloned().unwrap_or_default()
    }

    /// Every list that was written behind an index.
    pub fn after(&self, index: u64) -> impl Iterator<Item = Config> {
        let after = self.written.range((index + 1, 0)..);
        after.map(|((index, _), members)| Config { index: *index, members: members.clone() })
    }

    /// The newest list in a log, given the term of each of its entries.
    pub fn of_log(&self, last_index: u64, term_at: impl Fn(u64) -> Option<u64>) -> Config {
        let found = self
            .written
            .iter()
            .rev()
            .find(|((index, term), _)| *index <= last_index && term_at(*index) == Some(*term));
        found.map_or_else(Config::default, |((index, _), members)| {
            let (index, members) = (*index, members.clone());
            Config { index, members }
        })
    }

    /// What a core counts with is what its log says.
    pub fn of_core(&self, core: &Raft) -> Config {
        let config = self.of_log(core.last_index(), |index| core.term_at(index));
        // One that waits for its log to come so far counts with what it was told.
        let is_told = core.members_index() == 0 && core.role() != Role::Primary;
        if config.index > 0 && config.index >= core.members_index() && !is_told {
            let mut voters: Vec<ServerId> = config.voters().collect();
            voters.sort_unstable();
            assert_eq!(core.members().voters, voters, "server {}: its log's voters", core.id());
        }
        if config.index < core.members_index() {
            return config.followed_by(core);
        }
        config
    }

    /// What a directory says is taken for a number's.
    pub fn on_heard(&self, id: ServerId, name: &str, incarnation: u64) {
        let directories = self.numbers.get(&id);
        let known = directories
            .is_none_or(|directories| directories.contains(&(name.to_owned(), incarnation)));
        assert!(known, "what {name} says, {incarnation:x}, is taken for number {id}'s");
    }

    /// A server sends a message.
    pub fn on_sent(&mut self, now_us: Us, from: ServerId, outgoing: &Outgoing) {
        let term = outgoing.message.term;
        match outgoing.message.body {
            Body::VoteReply { granted: true } => {
                self.votes.insert((term, from), outgoing.to);
            }
            Body::PreVote { .. } => {
                let asks = self.asks.entry(from).or_insert((term, now_us));
                if asks.0 != term {
                    *asks = (term, now_us);
                }
            }
            // Who was taken out may have been told by a majority before that it would be elected.
            Body::Vote { transfer: false, .. } => {
                let out_us = self.out_since.get(&from).copied().unwrap_or(Us::MAX);
                let asked_us = self.asks.get(&from).map_or(0, |(_, since_us)| *since_us);
                assert!(asked_us < out_us, "{from} is no longer a member, and raises the term");
            }
            _ => {}
        }
    }

    /// A server has become PRIMARY of a term.
    pub fn on_elected(&self, core: &Raft) {
        assert!(core.role() == Role::Primary);
        let (id, term) = (core.id(), core.term());
        assert!(core.is_voter(), "PRIMARY {id} of {term} has no vote");
        let voters = &core.members().voters;
        let granted =
            |voter: &&ServerId| **voter == id || self.votes.get(&(term, **voter)) == Some(&id);
        let votes = voters.iter().filter(granted).count();
        let quorum = voters.len() / 2 + 1;
        assert!(votes >= quorum, "PRIMARY {id} of {term} has {votes} votes of {voters:?}");
        let newest = self.newest();
        if core.members_index() <= newest.index && !newest.members.is_empty() {
            assert!(
                newest.voters().any(|voter| voter == id),
                "PRIMARY {id} of {term} is no member"
            );
        }
    }
}
