//! A server whose log was damaged at rest: flipped bits, lost sectors, a segment that is cut or gone.
//! It has the entries before the damage and perhaps more than it knows of is missing, so it neither
//! votes nor counts until a PRIMARY has given it back all that it may have promised to keep.
//!
//! # Copies
//!
//! What a server has of the log is a *copy*, with a number that is saved: an even one is whole, an odd
//! one is being restored. Damage makes an even number the next odd one, further damage an odd number
//! the odd one after the next; with the restoring it becomes the even one after it. The driver
//! saves an odd number, durably, before it changes anything else. Answers to a PRIMARY carry the number
//! ([`Body::OfCopy`]; none means 0). Of each backup the PRIMARY believes only answers of the newest
//! copy it has heard of: an acknowledgment of what is lost may still be under way, from the same
//! process, from one before it, or in the same term. A newer copy begins with nothing known to match,
//! and this is the only way in which a match goes back.
//!
//! # The rules
//!
//! 1. Who is being restored grants no vote and no pre-vote, and stands for no election.
//! 2. Of an odd copy the PRIMARY counts nothing for commits and reads, and does not hand over to it.
//!    It counts as one that was heard: a PRIMARY that stepped down for want of others would leave
//!    nobody to restore it.
//! 3. A PRIMARY that has committed in its own term tells each odd copy its commit index
//!    ([`Body::Restore`], with the number that it knows of). When that much is committed and durable
//!    there, the copy's next, even number is saved; once it is durable, the server votes and counts.
//!
//! # Why nothing is lost
//!
//! Term and vote are not in the log; were they damaged, the server would not start. So it gives no
//! second vote, and helps no PRIMARY of a term before one that it has acknowledged to.
//!
//! *While it is being restored.* Let D have acknowledged an entry that is then committed with D in the
//! majority. Every later PRIMARY is elected by a majority without D, by rule 1, which has another
//! server in common with the first one, so the usual argument (§5.4.3) holds, for any number of
//! such D: of the servers in common, one is not being restored when it votes. It kept the entry
//! from then on, or was damaged and restored in between.
//!
//! *After that.* So a restored server must have again every entry e that it acknowledged, in a term t,
//! and that is, or ever will be, committed with that acknowledgment. P restored it, in a term p of
//! at least its own, so p >= t. If p > t, P has e, by the argument above, and before its own term's first
//! entry; it had committed that one before it told a commit index, which thus is past e. If p = t, P
//! itself counted the acknowledgment, and can have done so only before it heard of the newer copy; so
//! either e was committed by then, and the commit index that P told later, with the newer copy's
//! number, is past it, or P counts that acknowledgment never again, nor does anybody else.
//!
//! A commit index is good for ever once it was told: what is committed stays. So the first one counts, and
//! D need not run after a busy PRIMARY. It is forgotten when D ends; what D has then is durable and
//! still of the same copy. A PRIMARY that is told of a newer copy in the middle begins anew, and what
//! it told of the older one is not taken.
//!
//! When a majority is damaged nobody is elected, unless a PRIMARY that is whole still serves. Then the
//! cluster stands still, and an operator has to decide.

use super::core::Raft;
use super::message::{Body, ServerId};
use super::output::Why;
use super::progress::Progress;
use super::roles::State;
use crate::limits;
use crate::mutants::{Mutant, planted};

/// Whether a copy of this number lacks what it may have promised to keep.
pub fn is_damaged(copy: u64) -> bool {
    copy % 2 == 1
}

/// The number that a copy gets when something was lost from it.
pub fn next_damaged(copy: u64) -> u64 {
    if is_damaged(copy) { copy + 2 } else { copy + 1 }
}

/// This server's copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnCopy {
    /// Its number, as the disk has it.
    number: u64,
    /// What it needs to be whole, once a PRIMARY has told it.
    upto: Option<u64>,
    /// Its next number was given to the driver.
    given: bool,
}

impl OwnCopy {
    pub(super) fn new(number: u64) -> OwnCopy {
        OwnCopy { number, upto: None, given: false }
    }

    pub(super) fn is_restoring(&self) -> bool {
        is_damaged(self.number)
    }
}

impl Raft {
    /// Whether this server's log was damaged and is not restored yet.
    pub fn is_restoring(&self) -> bool {
        self.copy.is_restoring()
    }

    /// The number of this server's copy of the log, as the disk has it.
    pub fn copy(&self) -> u64 {
        self.copy.number
    }

    /// The commit index that makes a copy whole which is being restored, once it is known.
    pub fn restored_at(&self) -> Option<u64> {
        self.copy.upto
    }

    /// `copy`, from an output, is durable.
    pub fn copy_persisted(&mut self, copy: u64) {
        self.checked(|raft| {
            assert!(raft.copy.given && copy == raft.copy.number + 1, "one that was given");
            raft.copy = OwnCopy::new(copy);
            raft.draw_election_deadline();
            raft.note_change(Why::Restored);
        });
    }

    pub(super) fn may_not_vote(&self) -> bool {
        self.is_restoring() && !planted(Mutant::DamagedVotes)
    }

    /// Answers a PRIMARY's append or heartbeat.
    pub(super) fn answer(&mut self, to: ServerId, answer: Body) {
        let body = match self.copy.number {
            0 => answer,
            copy => Body::OfCopy { copy, answer: Box::new(answer) },
        };
        self.send(to, body);
    }

    /// The body itself, without its copy's number. None: it is an answer, and of a copy that is known
    /// to be lost.
    pub(super) fn of_newest_copy(&mut self, from: ServerId, body: Body, old: bool) -> Option<Body> {
        let (copy, body) = match body {
            Body::OfCopy { copy, .. } if copy == 0 || copy > limits::RAFT_COPY => {
                self.violation("an answer of an absurd copy");
                return None;
            }
            Body::OfCopy { copy, answer } => (copy, *answer),
            body => (0, body),
        };
        let is_answer = matches!(
            body,
            Body::Accepted { .. } | Body::Rejected { .. } | Body::HeartbeatReply { .. }
        );
        if !is_answer || old {
            return Some(body);
        }
        let next = self.log.last_index() + 1;
        let Some(primacy) = self.primacy() else { return Some(body) };
        let Some(backup) = primacy.backup(from) else { return Some(body) };
        if copy > backup.copy {
            backup.begin_copy(copy, next);
            // Who is being restored takes nothing over.
            primacy.transfer = primacy.transfer.filter(|transfer| transfer.to != from);
        }
        (copy == primacy.backup(from)?.copy).then_some(body)
    }

    /// Tells copies that are being restored what they need, as far as a PRIMARY knows it: before an
    /// entry of its own term is committed, it does not know all that is.
    pub(super) fn send_restores(&mut self) {
        let commit = self.commit;
        let State::Primary(primacy) = &self.state else { return };
        if commit < primacy.first_of_term {
            return;
        }
        let damaged = primacy.backups.iter().filter(|backup| is_damaged(backup.copy));
        let restores: Vec<_> = damaged.map(|backup| (backup.id, backup.copy)).collect();
        for (to, copy) in restores {
            self.send(to, Body::Restore { copy, commit });
        }
    }

    /// The PRIMARY knows which copy this is, and that all up to `commit` makes it whole.
    pub(super) fn on_restore(&mut self, from: ServerId, copy: u64, commit: u64) {
        let ours = self.primary == Some(from) && copy == self.copy.number;
        if ours && self.is_restoring() {
            self.copy.upto = Some(self.copy.upto.map_or(commit, |upto| upto.min(commit)));
        }
    }

    /// Once the copy is whole, its next number is to be saved.
    pub(super) fn finish_restoring(&mut self) {
        let Some(upto) = self.copy.upto.filter(|_| !self.copy.given) else { return };
        let has_all = self.commit >= upto && self.persisted >= upto;
        if has_all || planted(Mutant::RestoredEarly) {
            self.copy.given = true;
            self.out.copy = Some(self.copy.number + 1);
        }
    }
}

impl Progress {
    /// Whether what it acknowledges counts: it has a vote, and its log is whole.
    pub(super) fn counts(&self) -> bool {
        self.votes && (!is_damaged(self.copy) || planted(Mutant::DamagedCounted))
    }

    /// It speaks of another copy of its log from now on, of which nothing is known yet.
    fn begin_copy(&mut self, copy: u64, next: u64) {
        self.copy = copy;
        if planted(Mutant::LostCopyCounted) {
            return;
        }
        self.lost_match = self.lost_match.max(self.match_index);
        self.match_index = 0;
        self.acked_round = 0;
        self.probe(next);
    }
}
