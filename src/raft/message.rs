//! What servers say to each other, as values. Their bytes on a socket are the peers' protocol's
//! business.

use std::fmt;

use super::entry::Entry;

/// Bytes that a message takes beside its entries, at most.
pub const MESSAGE_OVERHEAD_BYTES: usize = 64;

/// One message; who sent it is known by the connection it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender's term.
    pub term: u64,
    /// What it says.
    pub body: Body,
}

/// The kinds of messages. Each request's answer stands after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Would you vote for me in `for_term`? (dissertation §9.6) Changes nothing at the one asked.
    PreVote {
        /// The term that an election would be held in: the sender's plus one.
        for_term: u64,
        /// The sender's last entry's index.
        last_index: u64,
        /// The sender's last entry's term.
        last_term: u64,
    },
    /// The answer; promises nothing.
    PreVoteReply {
        /// Which question is answered.
        for_term: u64,
        /// Yes or no.
        granted: bool,
    },
    /// Vote for me in this message's term (§5.2).
    Vote {
        /// The sender's last entry's index.
        last_index: u64,
        /// The sender's last entry's term.
        last_term: u64,
        /// The PRIMARY asked for this election, so having heard it is no reason to refuse (§4.2.3).
        transfer: bool,
    },
    /// The answer; a granted one leaves only after the vote is durable.
    VoteReply {
        /// Yes or no.
        granted: bool,
    },
    /// Entries that follow (`prev_index`, `prev_term`); none, to ask whether that one matches (§5.3).
    Append {
        /// The index before the first entry.
        prev_index: u64,
        /// Its term.
        prev_term: u64,
        /// What the PRIMARY knows of the receiver's log.
        known: Known,
        /// The PRIMARY's commit index.
        commit: u64,
        /// The entries, with consecutive indexes.
        entries: Vec<Entry>,
    },
    /// The backup's log is the PRIMARY's up to `match_index`, durably.
    Accepted {
        /// The last index of which that holds.
        match_index: u64,
    },
    /// The backup has no entry (`prev_index`, the term asked about). The hint: the last index whose
    /// term is not above the one asked about, and that term; all after it differs.
    Rejected {
        /// The question that is answered.
        prev_index: u64,
        /// Where to try next, at most.
        hint_index: u64,
        /// The backup's term there.
        hint_term: u64,
    },
    /// The PRIMARY lives (§5.2), and: do you still take me for it? (§6.4)
    Heartbeat {
        /// Counts the PRIMARY's heartbeats; the answer repeats it.
        round: u64,
        /// The commit index, as far as the backup is known to match.
        commit: u64,
    },
    /// Yes.
    HeartbeatReply {
        /// The heartbeat answered.
        round: u64,
        /// How far the backup has found its log, durable or not, to be the PRIMARY's in this term.
        verified: u64,
        /// How much of that is durable: a lost acknowledgment is made up for.
        match_index: u64,
    },
    /// Hold an election now: the PRIMARY hands over (§3.10).
    TimeoutNow,
    /// An answer to a PRIMARY of an older term: its time is over.
    Behind,
    /// An answer of a server whose log was damaged once. Those of whose log never was are of copy 0,
    /// and come by themselves; see `restoring.rs`.
    OfCopy {
        /// The copy of the log that it speaks of.
        copy: u64,
        /// [`Body::Accepted`], [`Body::Rejected`] or [`Body::HeartbeatReply`].
        answer: Box<Body>,
    },
    /// To a server that is being restored, from a PRIMARY that has committed in its own term and
    /// does not count that copy: with all up to `commit` you are whole again.
    Restore {
        /// The copy that the PRIMARY knows of.
        copy: u64,
        /// The commit index.
        commit: u64,
    },
}

/// What a PRIMARY knows of a backup's log when it sends an append. The backup finds by it that it
/// has lost what it acknowledged: see `restoring.rs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The newest copy of its log that the backup has spoken of.
    pub copy: u64,
    /// In this term that copy has acknowledged all up to the append's `prev_index`.
    pub counted: bool,
}

impl Message {
    /// About how many bytes it takes in memory and on a socket.
    pub fn size_estimate(&self) -> usize {
        let entries = match &self.body {
            Body::Append { entries, .. } => entries.iter().map(Entry::size).sum(),
            _ => 0,
        };
        MESSAGE_OVERHEAD_BYTES + entries
    }
}

/// One line for traces: the kind, the term, and what is in it; entries as `index/term`.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let term = self.term;
        match &self.body {
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
                write!(f, "append t{term} prev {prev_index}/{prev_term}{known} commit {commit} [")?;
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
                write!(f, "copy {copy}: {}", Message { term, body: answer.as_ref().clone() })
            }
            Body::Restore { copy, commit } => {
                write!(f, "restore t{term} copy {copy} commit {commit}")
            }
        }
    }
}

/// As an addition to the place of which it is known.
impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.counted {
            write!(f, " counted")?;
        }
        match self.copy {
            0 => Ok(()),
            copy => write!(f, " (copy {copy})"),
        }
    }
}

fn yes_or_no(granted: bool) -> &'static str {
    if granted { "yes" } else { "no" }
}
