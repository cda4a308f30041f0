//! One core, where the test speaks for all other servers.

use chatctl::raft::{
    Body, Config, Entry, HardState, Known, Message, Output, Raft, Restored, Role, Run, ServerId,
};

use super::cluster::payload;

/// The entries with these terms at `first`, `first + 1`, ...; the text of each is its index/term.
pub fn entries(first: u64, terms: &[u64]) -> Vec<Entry> {
    let entry = |(index, &term): (u64, &u64)| {
        let payload = payload(&format!("{index}/{term}"));
        Entry { term, index, payload }
    };
    (first..).zip(terms).map(entry).collect()
}

/// An append that follows (`prev_index`, `prev_term`).
pub fn append(prev: (u64, u64), terms: &[u64], commit: u64) -> Body {
    append_known(prev, Known::default(), terms, commit)
}

/// The same, with what the PRIMARY knows of the receiver's log.
pub fn append_known(prev: (u64, u64), known: Known, terms: &[u64], commit: u64) -> Body {
    let (prev_index, prev_term) = prev;
    Body::Append { prev_index, prev_term, known, commit, entries: entries(prev_index + 1, terms) }
}

/// Server 1 of several.
pub struct Solo {
    pub raft: Raft,
    pub now_ms: u64,
}

impl Solo {
    /// With a log of these terms, all durable, in the last one's term, in a cluster of `count`.
    pub fn new(count: u32, terms: &[u64]) -> Solo {
        let term = terms.last().copied().unwrap_or(0);
        Solo::restored(count, terms, HardState { term, voted_for: None })
    }

    /// The same with another hard state.
    pub fn restored(count: u32, terms: &[u64], hard_state: HardState) -> Solo {
        Solo::of_copy(count, terms, hard_state, 0)
    }

    /// The same with a copy of the log that is not the first.
    pub fn of_copy(count: u32, terms: &[u64], hard_state: HardState, copy: u64) -> Solo {
        let log = entries(1, terms);
        let mut runs: Vec<Run> = Vec::new();
        for entry in &log {
            if runs.last().is_none_or(|run| run.term < entry.term) {
                runs.push(Run { first_index: entry.index, term: entry.term });
            }
        }
        let last_index = log.len() as u64;
        let restored = Restored { hard_state, copy, runs, last_index, tail: log, commit: 0 };
        let config = Config::new(ServerId(1), (1..=count).map(ServerId).collect(), 7);
        Solo { raft: Raft::new(config, restored, 0).expect("it starts"), now_ms: 0 }
    }

    /// PRIMARY of the next term, by server 2's vote, with all durable but the term's first entry.
    pub fn primary(count: u32, terms: &[u64]) -> Solo {
        let mut solo = Solo::new(count, terms);
        let term = solo.raft.term() + 1;
        solo.wait(2_000);
        for id in 2..=1 + count / 2 {
            solo.hear(id, term - 1, Body::PreVoteReply { for_term: term, granted: true });
        }
        solo.persist_vote();
        for id in 2..=1 + count / 2 {
            solo.hear(id, term, Body::VoteReply { granted: true });
        }
        assert_eq!(solo.raft.role(), Role::Primary);
        solo
    }

    pub fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.raft.tick(self.now_ms);
    }

    /// A message of `term` comes.
    pub fn hear(&mut self, from: u32, term: u64, body: Body) {
        self.raft.step(self.now_ms, ServerId(from), Message { term, body });
    }

    pub fn output(&mut self) -> Output {
        self.raft.take_output()
    }

    /// What is said now.
    pub fn said(&mut self) -> Vec<(u32, Body)> {
        let said = self.output().messages.into_iter();
        said.map(|outgoing| (outgoing.to.0, outgoing.message.body)).collect()
    }

    /// The newest hard state becomes durable.
    pub fn persist_vote(&mut self) {
        let hard_state = self.raft.hard_state();
        let _ = self.output();
        self.raft.hard_state_persisted(hard_state);
    }

    /// All that was appended becomes durable. What was said before that is lost.
    pub fn persist(&mut self) {
        if let Some(mark) = self.output().mark {
            self.raft.persisted(mark);
        }
    }

    /// Hears the PRIMARY of `term`, server 2, and has the term durable.
    pub fn follow(&mut self, term: u64) {
        self.hear(2, term, Body::Heartbeat { round: 1, commit: 0 });
        self.persist_vote();
    }
}
