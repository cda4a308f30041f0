//! A server whose log lost something at rest: flipped bits, lost sectors, a segment that is cut or
//! gone, or the end of it without a trace. It has the entries before the damage and perhaps more than
//! it knows of is missing, so it neither votes nor counts until a PRIMARY has given it back all that it
//! may have promised to keep.
//!
//! # Copies
//!
//! What a server has of the log is a *copy*, with a number that is saved: an even one is whole, an odd
//! one is being restored. Damage makes an even number the next odd one, further damage an odd number
//! the odd one after the next; with the restoring it becomes the even one after it. The driver
//! saves an odd number, durably, before it changes anything else. Damage is found by recovery, before
//! there is a core, or by the core itself, while it runs ("Found late", below). Answers to a PRIMARY carry the number
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
//! 4. An append says which copy the PRIMARY knows of, and whether the place that it follows is one
//!    that this copy has acknowledged in this term ([`Known`](super::Known)). A backup of that copy
//!    that has no such entry there has lost it. So has one of an older copy: its whole directory went
//!    back. From then on rule 1 holds; the next odd number is saved, and once it is durable the answers
//!    are of that copy. Such an append itself gets no answer.
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
//!
//! # Found late
//!
//! A disk that reports a sync and does not do it, or an old copy of a directory that is put back,
//! leaves a log that is sound and too short: recovery takes the end for a torn tail. Only who was told
//! of the lost entries can tell, which is the PRIMARY they were acknowledged to: rule 4.
//!
//! *No server is accused falsely.* Let an append of term t say that copy c of D has acknowledged all up
//! to the entry (i, s). D had it durably when it said so, as copy c and in term t, which was durable
//! before. D judges the append only in term t, as copy c. In term t one PRIMARY alone appends to it,
//! which never cuts its own log, so D cut nothing of what it has in common with that one. A restart
//! forgets `verified`, but the entry is on the disk, and it is the log that is asked, not `verified`. A
//! late or doubled append claims less than the PRIMARY has counted since. An append of an older term is
//! not judged, and one for an older copy claims nothing.
//!
//! *It is found, also while nothing is proposed.* D lost something, so it was started since, and has
//! compared nothing in this term: its answers to heartbeats have a `verified` below its match. Such an
//! answer, a refusal at or below the match, and a new connection each make the PRIMARY ask at the match,
//! with an append that says so. While D saves the number it goes on answering heartbeats, as the copy
//! that it was: it still takes this PRIMARY for its PRIMARY, so a PRIMARY with a bare majority stays.
//!
//! *The number changes while the process runs, and the argument above holds.* It asks of a damaged D
//! three things. First, that D helps no election from the damage on: between the loss and the durable
//! number it may, and that is what the next paragraph is about; after that rule 1 holds. A vote that D
//! had given before counts in a term that is over or has its PRIMARY already, since D judges in the term
//! of a PRIMARY that it hears; a vote that still waits for the disk is dropped. Second, that what D had
//! acknowledged as copy c is counted only before the PRIMARY hears of the next one. That is so by the
//! numbers, whatever process or connection the acknowledgments came from. Those that D sends between
//! noticing and the next number are of copy c and true: it has again, durably, what they name. Third,
//! that the number is durable before anybody hears it; until then D neither says it nor counts as
//! restored.
//!
//! *What is safe.* From its loss until its next number is durable, D is a voter that lacks e and does not
//! know it. So e stays if meanwhile nobody is elected with D's vote who lacks e: if the PRIMARY that
//! counted e keeps its primacy until then, which takes a connection, a round of heartbeats and a sync; or
//! if e is on so many other disks that every majority has one of them. An election in between, on top of
//! a loss of which nothing on the disk tells, can lose e, and no Raft can do better: a vote is as good
//! as the log behind it.
//!
//! *After a change of the PRIMARY* there is no match any more, and nobody who could tell. What D lost and
//! the new PRIMARY has, D gets as any backup gets what it lacks. The same holds of a PRIMARY that loses the
//! end of its own log. It counts its own copy by `persisted`, which is memory; it is a backup when it is
//! started again, and never PRIMARY of that term. Until it has its log back, its vote is the danger that
//! D's was, without rule 4 to end it.

use super::backup::Place;
use super::core::Raft;
use super::entry::ServerId;
use super::message::Body;
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
    /// Its next number, which was given to the driver: an even one once it is whole, an odd one once
    /// it is found to lack something.
    next: Option<u64>,
}

impl OwnCopy {
    pub(super) fn new(number: u64) -> OwnCopy {
        OwnCopy { number, upto: None, next: None }
    }

    pub(super) fn is_restoring(&self) -> bool {
        let lacks = self.next.is_some_and(is_damaged) && !planted(Mutant::LoserVotes);
        is_damaged(self.number) || lacks
    }
}

impl Raft {
    /// Whether this server's log lacks what it may have promised to keep, and is not restored yet.
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
            assert!(raft.copy.next == Some(copy), "one that was given");
            raft.copy = OwnCopy::new(copy);
            if is_damaged(copy) {
                // What this process acknowledged was of the copy before: it is said again.
                raft.acked = 0;
            } else {
                raft.draw_election_deadline();
                raft.note_change(Why::Restored);
            }
        });
    }

    /// Whether this log lacks what the PRIMARY of this term knows to be in it. An append that says so
    /// is not answered: what has to be said is said of the next copy.
    pub(super) fn notices_loss(&mut self, prev: Place) -> bool {
        let Place { index, term, known } = prev;
        if known.copy > limits::RAFT_COPY {
            self.violation("an append for an absurd copy");
            return true;
        }
        let (own, last_index) = (self.copy.number, self.log.last_index());
        let why = if known.copy > own {
            Why::OldCopy { copy: own, known: known.copy }
        } else if known.copy == own && known.counted && self.log.term(index) != Some(term) {
            Why::Lost { index, last_index }
        } else {
            return false;
        };
        if self.copy.next.is_none() {
            let next = next_damaged(own.max(known.copy));
            self.copy = OwnCopy { number: own, upto: None, next: Some(next) };
            if planted(Mutant::LossToldEarly) {
                self.copy.number = next;
            }
            self.out.copy = Some(next);
            self.vote_owed = false;
            self.note_change(why);
        }
        true
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
        } else if copy < backup.copy {
            // A new answer of an old copy: that server's directory is an old one. The next append
            // tells it so.
            if let Body::HeartbeatReply { round, .. } = body
                && round > backup.acked_round
            {
                backup.begin_anew();
            }
            return None;
        }
        Some(body)
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
        if ours && is_damaged(copy) && self.copy.next.is_none() {
            self.copy.upto = Some(self.copy.upto.map_or(commit, |upto| upto.min(commit)));
        }
    }

    /// Once the copy is whole, its next number is to be saved.
    pub(super) fn finish_restoring(&mut self) {
        let Some(upto) = self.copy.upto.filter(|_| self.copy.next.is_none()) else { return };
        let has_all = self.commit >= upto && self.persisted >= upto;
        if has_all || planted(Mutant::RestoredEarly) {
            self.copy.next = Some(self.copy.number + 1);
            self.out.copy = self.copy.next;
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
