//! Restores a log that lost entries at rest: flipped bits, lost sectors, a segment that is cut or
//! missing, or an end that vanished without a trace. The server keeps the entries before the damage
//! and cannot know how much followed, so it neither votes nor counts until a PRIMARY has given back
//! everything that it may have promised to keep.
//!
//! # Copies
//!
//! A server's *copy* of the log has a saved number: even for a whole copy, odd for one that is
//! being restored. Damage raises the number to the next odd one, a finished restore to the next
//! even one. The driver saves an odd number, durably, before it changes anything else. Recovery
//! finds damage before there is a core; the core itself may find it later ("Found late", below).
//! Answers to a PRIMARY carry the number ([`Body::OfCopy`]; without one it is 0). The PRIMARY
//! believes only answers of the newest copy that it has heard of from each backup: an
//! acknowledgment of lost entries may still be under way, from this process or an earlier one, even
//! in the same term. A newer copy starts with nothing known to match; a match index goes back in no
//! other way.
//!
//! # Rules
//!
//! 1. A server that is being restored grants no vote or pre-vote and starts no election.
//! 2. The PRIMARY counts an odd copy for neither commits nor reads, and does not hand over to it.
//!    It does count as heard: a PRIMARY that stepped down would leave nobody to restore it.
//! 3. Once it has committed in its own term, a PRIMARY tells each odd copy its commit index
//!    ([`Body::Restore`], with the copy's number). When all up to that index is committed and
//!    durable there, the next, even number is saved; once that is durable, the server votes and
//!    counts again.
//! 4. An append says which copy the PRIMARY knows, and whether that copy has acknowledged the
//!    preceding entry in this term ([`Known`](super::Known)). A backup of that copy that lacks the
//!    entry has lost it. A backup of an older copy has lost it too: an old directory was put back.
//!    From then on rule 1 holds; the next odd number is saved, and answers carry it once it is
//!    durable. The append itself is not answered.
//!
//! # Why nothing is lost
//!
//! Term and vote are not in the log, and a server whose hard state is damaged does not start. So no
//! server votes twice, or helps the PRIMARY of an older term than it has acknowledged in.
//!
//! *While D is being restored.* Say D acknowledged an entry that was committed with D in the
//! majority. By rule 1 every later PRIMARY is elected by a majority without D. That majority shares
//! another server with the first one, so the usual argument (§5.4.3) holds, for any number of such
//! D: one of the shared servers is not being restored when it votes, and has kept the entry, or was
//! damaged and restored in between.
//!
//! *Afterwards.* A restored server must again have each entry e that it acknowledged in some term t
//! and that is, or will be, committed with that acknowledgment. P restored it in a term p >= t. If
//! p > t, P has e, by the argument above, before the first entry of its own term; it committed that
//! entry before it told a commit index, which is therefore past e. If p = t, P itself counted the
//! acknowledgment, and only before it heard of the newer copy. Either e was committed by then, and
//! the commit index that P told for the newer copy is past it; or neither P nor any other server
//! ever counts that acknowledgment.
//!
//! A commit index stays valid, because committed entries stay. So the first one told is kept, and D
//! need not chase a busy PRIMARY. It is forgotten when D ends: what D has then is durable and
//! belongs to the same copy. A PRIMARY that hears of a newer copy starts over, and D ignores what
//! was told to the older one.
//!
//! If a majority is damaged, no server can be elected. Unless an undamaged PRIMARY still serves,
//! the cluster stops, and an operator must decide.
//!
//! # Found late
//!
//! A disk that reports a sync without doing it, or an old copy of the directory, leaves a log that
//! is sound but too short: recovery takes its end for a torn tail. Only the PRIMARY that the lost
//! entries were acknowledged to can notice, hence rule 4.
//!
//! *No false alarm.* Let an append of term t say that copy c of D acknowledged everything up to
//! entry (i, s). D had it durably then, as copy c and in term t, itself durable. D judges the
//! append only in term t and as copy c. One PRIMARY alone appends in term t and never cuts its own
//! log, so D cut nothing that the two share. A restart forgets `verified` but not the log, and the
//! log is what is asked. A late or doubled append claims less than the PRIMARY has counted since.
//! An append of an older term is not judged; one for an older copy claims nothing.
//!
//! *It is noticed even when nothing is proposed.* D was restarted after the loss and has compared
//! nothing in this term, so its answers to heartbeats carry a `verified` below its match index.
//! Such an answer, a rejection at or below the match index, and a new connection each make the
//! PRIMARY probe at the match index with an append that says so. While D saves its number it still
//! answers heartbeats as the old copy: it follows this PRIMARY, so one with a bare majority stays.
//!
//! *The argument above holds although the process runs.* It needs three things. First, D helps no
//! election after the damage. Between the loss and the durable number it may; see the next
//! paragraph. After that rule 1 holds. A vote given earlier counts in a term that is over or has
//! its PRIMARY already, since D judges in the term of a PRIMARY that it hears; a vote that waits
//! for the disk is dropped. Second, acknowledgments of copy c count only until the PRIMARY hears of
//! the next copy. The numbers ensure that, whatever process or connection the acknowledgments came
//! from. Those that D sends before the next number are of copy c and true: D has again, durably,
//! what they name. Third, the number is durable before anybody hears it, and until then D does not
//! count as restored.
//!
//! *The limit.* From the loss until the next number is durable, D is a voter that lacks e
//! unknowingly. So e survives if no server without e is elected by D's vote meanwhile: if the
//! PRIMARY that counted e stays PRIMARY for that long (a connection, a round of heartbeats and a
//! sync), or if every majority has another disk with e. An election on top of an untraceable loss
//! can lose e, and no Raft can do better: a vote is worth as much as the log behind it.
//!
//! *After a change of PRIMARY* there is no match index, and no server that could notice. D gets the
//! lost entries that the new PRIMARY has, as any backup would. The same holds for a PRIMARY that
//! loses the end of its own log: it counts itself by `persisted`, which is in memory, and after a
//! restart it is a backup, never PRIMARY of that term again. Until it has its log back, its vote
//! carries the same danger as D's, without rule 4 to end it.

use super::Raft;
use super::copy::{OwnCopy, is_damaged, next_damaged};
use super::entry::ServerId;
use super::message::{Body, Place};
use super::output::Why;
use crate::limits;
use crate::mutants::{Mutant, planted};

impl Raft {
    /// Whether this server's log lacks what it may have promised to keep.
    pub fn is_restoring(&self) -> bool {
        self.copy.is_restoring()
    }

    /// The number of this server's copy of the log, as the disk has it.
    pub fn copy(&self) -> u64 {
        self.copy.number
    }

    /// The commit index at which the copy is whole again, once a PRIMARY has told it.
    pub fn restored_at(&self) -> Option<u64> {
        self.copy.upto
    }

    /// `copy`, from an output, is durable.
    pub fn copy_persisted(&mut self, copy: u64) {
        self.checked(|raft| {
            assert!(raft.copy.next == Some(copy), "one that was given");
            raft.copy = OwnCopy::new(copy);
            if is_damaged(copy) {
                // Earlier acknowledgments were of the old copy: repeat them.
                raft.in_term.acked = 0;
            } else {
                raft.draw_election_deadline();
                raft.note_change(Why::Restored);
            }
        });
    }

    /// Whether this log lacks what the PRIMARY of this term knows to be in it. If so, the append is
    /// not answered: the next answer is of the next copy.
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
            self.in_term.vote_owed = false;
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

    /// The body without its copy's number; None if it is an answer of a copy known to be lost.
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
        let Some(primacy) = self.primacy_mut() else { return Some(body) };
        let Some(backup) = primacy.backup_mut(from) else { return Some(body) };
        if copy > backup.copy {
            backup.begin_copy(copy, next);
            // A server that is being restored cannot take over.
            primacy.transfer = primacy.transfer.filter(|transfer| transfer.to != from);
        } else if copy < backup.copy {
            // A new answer of an old copy: that server has an old directory. The next append says
            // so.
            if let Body::HeartbeatReply { round, .. } = body
                && round > backup.acked_round
            {
                backup.probe_again();
            }
            return None;
        }
        Some(body)
    }

    /// Tells copies that are being restored what they need. Until it has committed in its own term,
    /// a PRIMARY does not know all that is committed.
    pub(super) fn send_restores(&mut self) {
        let commit = self.commit;
        let Some(primacy) = self.primacy() else { return };
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
        let ours = self.primary() == Some(from) && copy == self.copy.number;
        if ours && is_damaged(copy) && self.copy.next.is_none() {
            self.copy.upto = Some(self.copy.upto.map_or(commit, |upto| upto.min(commit)));
        }
    }

    /// Has the next number saved once the copy is whole.
    pub(super) fn finish_restoring(&mut self) {
        let Some(upto) = self.copy.upto.filter(|_| self.copy.next.is_none()) else { return };
        let has_all = self.commit >= upto && self.persisted >= upto;
        if has_all || planted(Mutant::RestoredEarly) {
            self.copy.next = Some(self.copy.number + 1);
            self.out.copy = self.copy.next;
        }
    }
}
