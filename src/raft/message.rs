//! Messages between servers, as values; the peers' protocol defines their bytes.

use super::entry::Entry;

/// One message; its connection tells the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sender's term.
    pub term: u64,
    /// What it says.
    pub body: Body,
}

/// The kinds of messages, each answer after its request.
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
    /// Entries that follow (`prev_index`, `prev_term`); none, to ask whether that one matches
    /// (§5.3).
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
    /// An answer to a PRIMARY of an older term.
    Behind,
    /// An answer of a server whose log was damaged once. Those of whose log never was are of copy
    /// 0, and come by themselves; see `restoring.rs`.
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

/// What an append follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) index: u64,
    pub(super) term: u64,
    /// What the PRIMARY knows of this log.
    pub(super) known: Known,
}
