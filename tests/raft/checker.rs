//! What must hold of all servers together, checked at every effect of every server.

use std::collections::BTreeMap;

use chatctl::raft::{Body, Entry, HardState, Members, Outgoing, Payload, ServerId, is_damaged};

use super::cluster::Disk;

/// What has been seen so far.
#[derive(Default)]
pub struct Checker {
    /// The PRIMARY of each term.
    pub primaries: BTreeMap<u64, ServerId>,
    /// What each (index, term) holds, and the term before it.
    entries: BTreeMap<(u64, u64), (Payload, u64)>,
    /// Who got the vote of each (voter, term).
    votes: BTreeMap<(ServerId, u64), ServerId>,
    /// What is committed: the entry at index i is at i - 1.
    pub committed: Vec<Entry>,
}

impl Checker {
    /// `id` is PRIMARY of `term` and has this log.
    pub fn on_primary(&mut self, id: ServerId, term: u64, log: &[Entry]) {
        let first = *self.primaries.entry(term).or_insert(id);
        assert_eq!(first, id, "one PRIMARY a term (§5.2), term {term}");
        let enough = log.len() >= self.committed.len();
        assert!(enough, "a PRIMARY has all that is committed (§5.4): {id} in term {term}");
        let same = log.iter().zip(&self.committed).all(|(ours, all)| ours == all);
        assert!(same, "a PRIMARY has what is committed (§5.4): {id} in term {term}");
    }

    /// A server appends `entry` after an entry of `prev_term`.
    pub fn on_append(&mut self, prev_term: u64, entry: &Entry) {
        let content = (entry.payload.clone(), prev_term);
        let first = self.entries.entry((entry.index, entry.term)).or_insert(content.clone());
        assert_eq!(*first, content, "same index and term, same log (§5.3)");
    }

    /// A server that has these members says that `entry` is committed. The first to say so is the
    /// PRIMARY that counted.
    pub fn on_committed(&mut self, entry: &Entry, members: &Members, disks: &[&Disk]) {
        let place = entry.index as usize - 1;
        if let Some(known) = self.committed.get(place) {
            assert_eq!(known, entry, "what is committed stays (§5.4.3)");
            return;
        }
        assert_eq!(place, self.committed.len(), "commits come in order");
        let disk_of = |id: &ServerId| disks[id.0 as usize - 1];
        let copies = members.voters.iter().filter(|id| disk_of(id).had(entry)).count();
        let enough = copies >= members.quorum();
        assert!(enough, "committed index {} is durable on {copies} only", entry.index);
        self.committed.push(entry.clone());
    }

    /// A server sends a message while its disk has this.
    pub fn on_sent(&mut self, from: ServerId, outgoing: &Outgoing, disk: &Disk) {
        let term = outgoing.message.term;
        let promised = |voted_for| {
            assert_eq!(
                disk.hard_state,
                HardState { term, voted_for },
                "durable before said (§5.2)"
            );
        };
        let acknowledged = |match_index: u64| {
            assert_eq!(disk.hard_state.term, term, "a term is durable before it is acknowledged");
            assert!(disk.log.len() as u64 >= match_index, "durable before acknowledged (§5.3)");
        };
        let votes =
            matches!(outgoing.message.body, Body::Vote { .. } | Body::VoteReply { granted: true });
        assert!(!votes || !is_damaged(disk.copy), "who is being restored does not vote");
        let body = match &outgoing.message.body {
            Body::OfCopy { copy, answer } => {
                assert_eq!(*copy, disk.copy, "an answer of the copy that is on the disk");
                answer.as_ref()
            }
            body => body,
        };
        match *body {
            Body::Vote { .. } => promised(Some(from)),
            Body::VoteReply { granted: true } => {
                promised(Some(outgoing.to));
                let first = *self.votes.entry((from, term)).or_insert(outgoing.to);
                assert_eq!(first, outgoing.to, "one vote a term (§5.2)");
            }
            Body::Accepted { match_index } => acknowledged(match_index),
            Body::HeartbeatReply { match_index, .. } if match_index > 0 => {
                acknowledged(match_index);
            }
            _ => {}
        }
    }
}
