//! Messages as transcripts show them.

use std::fmt;

use chatctl::raft::{Body, Message};

/// One line: the kind, the term, and what is in it; entries as `index/term`.
pub struct Shown<'a>(pub &'a Message);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(Message { term, body }) = self;
        match body {
            Body::PreVote { for_term, last_index, last_term } => {
                write!(f, "pre-vote t{term} for t{for_term} last {last_index}/{last_term}")
            }
            Body::PreVoteReply { for_term, granted } => {
                write!(f, "pre-vote-reply t{term} for t{for_term} {}", yes_or_no(*granted))
            }
            Body::Vote { last_index, last_term, transfer } => {
                let how = if *transfer { " (transfer)" } else { "" };
                write!(f, "vote t{term} last {last_index}/{last_term}{how}")
            }
            Body::VoteReply { granted } => write!(f, "vote-reply t{term} {}", yes_or_no(*granted)),
            Body::Append { prev_index, prev_term, known, commit, entries } => {
                write!(f, "append t{term} prev {prev_index}/{prev_term}")?;
                if known.counted {
                    write!(f, " counted")?;
                }
                if known.copy > 0 {
                    write!(f, " (copy {})", known.copy)?;
                }
                write!(f, " commit {commit} [")?;
                for (place, entry) in entries.iter().enumerate() {
                    let gap = if place == 0 { "" } else { " " };
                    write!(f, "{gap}{}/{}", entry.index, entry.term)?;
                }
                write!(f, "]")
            }
            Body::Accepted { match_index } => write!(f, "accepted t{term} match {match_index}"),
            Body::Rejected { prev_index, hint_index, hint_term } => {
                write!(f, "rejected t{term} prev {prev_index} hint {hint_index}/{hint_term}")
            }
            Body::Heartbeat { round, commit } => {
                write!(f, "heartbeat t{term} round {round} commit {commit}")
            }
            Body::HeartbeatReply { round, verified, match_index } => {
                write!(f, "heartbeat-reply t{term} round {round} ")?;
                write!(f, "verified {verified} match {match_index}")
            }
            Body::TimeoutNow => write!(f, "timeout-now t{term}"),
            Body::Behind => write!(f, "behind t{term}"),
            Body::OfCopy { copy, answer } => {
                let answer = Message { term: *term, body: answer.as_ref().clone() };
                write!(f, "copy {copy}: {}", Shown(&answer))
            }
            Body::Restore { copy, commit } => {
                write!(f, "restore t{term} copy {copy} commit {commit}")
            }
        }
    }
}

fn yes_or_no(granted: bool) -> &'static str {
    if granted { "yes" } else { "no" }
}
