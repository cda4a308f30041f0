//! The PRIMARY's side of the log: appends, their answers, the commit index, heartbeats.

use super::Raft;
use super::entry::{ENTRY_OVERHEAD_BYTES, Entry, Payload, ServerId};
use super::message::{Body, Message};
use super::output::{Outgoing, ProposeError, Wanted, Why};
use super::progress::{Fetch, Flow};
use super::roles::State;
use crate::limits;
use crate::mutants::{Mutant, planted};

impl Raft {
    pub(super) fn on_propose(&mut self, payload: Payload) -> Result<u64, ProposeError> {
        let primary = self.primary();
        let index = self.log.last_index() + 1;
        let primacy = self.primacy_mut().ok_or(ProposeError::NotPrimary { primary })?;
        if let Some(transfer) = &primacy.transfer {
            return Err(ProposeError::Transferring { to: transfer.to });
        }
        let bytes = payload.bytes().len() + ENTRY_OVERHEAD_BYTES;
        let waiting = primacy.uncommitted_bytes;
        // One proposal always fits, whatever its size.
        if waiting > 0 && waiting + bytes > limits::RAFT_UNCOMMITTED_BYTES {
            return Err(ProposeError::Full);
        }
        primacy.uncommitted_bytes += bytes;
        self.append_own(payload);
        Ok(index)
    }

    /// The entries that were [`super::Output::wanted`], from the first index on; none if they could
    /// not be read, and they are asked for again later.
    pub fn provide(&mut self, wanted: &Wanted, payloads: Vec<Payload>) {
        let asked = (wanted.last + 1 - wanted.first) as usize;
        assert!(payloads.len() <= asked, "no more entries than were wanted");
        self.checked(|raft| raft.on_provided(wanted, payloads));
    }

    fn on_provided(&mut self, wanted: &Wanted, payloads: Vec<Payload>) {
        if wanted.term != self.hard_state.term {
            return;
        }
        let Raft { state: State::Primary(primacy), log, out, commit, .. } = self else { return };
        let Some(backup) = primacy.backup_mut(wanted.to) else { return };
        if backup.fetch != Fetch::Asked(wanted.first) {
            return;
        }
        backup.fetch = if payloads.is_empty() { Fetch::Paused } else { Fetch::Idle };
        if payloads.is_empty() {
            return;
        }
        let mut entries = Vec::with_capacity(payloads.len());
        for (index, payload) in (wanted.first..).zip(payloads) {
            let term = log.term(index).expect("a PRIMARY's log is never cut");
            entries.push(Entry { term, index, payload });
        }
        let prev_index = wanted.first - 1;
        let prev_term = log.term(prev_index).expect("what is before an entry is in the log");
        backup.on_sent(prev_index + entries.len() as u64);
        let known = backup.known(prev_index);
        let body = Body::Append { prev_index, prev_term, known, commit: *commit, entries };
        let message = Message { term: wanted.term, body };
        out.messages.push(Outgoing { to: wanted.to, message });
    }

    /// Sends what has gathered since the last output, all at once.
    pub(super) fn send_as_primary(&mut self) {
        if self.primacy().is_none() {
            return;
        }
        self.start_read_round();
        self.send_appends();
        self.send_timeout_now();
    }

    fn send_appends(&mut self) {
        let Raft { state, log, out, commit, config, hard_state, .. } = self;
        let State::Primary(primacy) = state else { return };
        let term = hard_state.term;
        for backup in &mut primacy.backups {
            let to = backup.id;
            loop {
                let entries = match backup.flow {
                    Flow::Probe { sent: Some(_) } => break,
                    // Empty if not cached: the disk is only asked once the place is known.
                    Flow::Probe { sent: None } => log.gather(backup.next, config.batch_bytes),
                    Flow::Pipeline if backup.next > log.last_index() => break,
                    Flow::Pipeline if backup.in_flight.len() >= config.window => break,
                    Flow::Pipeline if backup.next < log.cache_first() => {
                        let (first, last) = (backup.next, log.cache_first() - 1);
                        if backup.fetch == Fetch::Idle {
                            backup.fetch = Fetch::Asked(first);
                            let bytes = config.batch_bytes;
                            out.wanted.push(Wanted { to, first, last, bytes, term });
                        }
                        break;
                    }
                    Flow::Pipeline => log.gather(backup.next, config.batch_bytes),
                };
                let prev_index = backup.next - 1;
                let prev_term = log.term(prev_index).expect("`next` is one past the end at most");
                backup.on_sent(prev_index + entries.len() as u64);
                let known = backup.known(prev_index);
                let body = Body::Append { prev_index, prev_term, known, commit: *commit, entries };
                out.messages.push(Outgoing { to, message: Message { term, body } });
            }
        }
    }

    /// A backup has everything up to `match_index`, durably. Older answers change nothing.
    pub(super) fn on_accepted(&mut self, from: ServerId, match_index: u64) {
        let last_index = self.log.last_index();
        let Some(backup) = self.primacy_mut().and_then(|primacy| primacy.backup_mut(from)) else {
            return;
        };
        // A PRIMARY that lost its log's end in a crash may hear of entries that it no longer has.
        if match_index > last_index {
            self.violation("an acknowledgment past the log's end");
            return;
        }
        backup.hear();
        if backup.on_accepted(match_index) {
            self.on_match_grown(from);
        }
    }

    /// A backup's log differs at `prev`. Both sides skip whole terms to find where it can match
    /// (§5.3, the last paragraphs).
    pub(super) fn on_rejected(&mut self, from: ServerId, prev: u64, hint: u64, hint_term: u64) {
        let known = prev <= self.log.last_index() && hint <= prev;
        let hint = self.log.last_with_term_at_most(hint, hint_term);
        let Some(backup) = self.primacy_mut().and_then(|primacy| primacy.backup_mut(from)) else {
            return;
        };
        if !known {
            self.violation("a refusal of what was never sent");
            return;
        }
        backup.hear();
        backup.on_rejected(prev, hint);
    }

    pub(super) fn on_heartbeat_reply(
        &mut self,
        from: ServerId,
        round: u64,
        verified: u64,
        match_index: u64,
    ) {
        let last_index = self.log.last_index();
        let Some(primacy) = self.primacy_mut() else { return };
        let known = match_index <= verified && verified <= last_index && round <= primacy.round;
        let Some(backup) = primacy.backup_mut(from) else { return };
        if !known {
            self.violation("a heartbeat's answer that does not fit");
            return;
        }
        backup.on_heartbeat_reply(round, verified);
        if match_index > backup.match_index && backup.on_accepted(match_index) {
            self.on_match_grown(from);
        }
        self.finish_read_round();
    }

    fn on_match_grown(&mut self, id: ServerId) {
        self.note_catch_up(id);
        self.count_commit();
    }

    /// Commits what a majority has durably, this server among them only with what it has itself
    /// durably (§10.2.1), and only by an entry of the present term (§5.4.2): an older one on a
    /// majority can still be overwritten.
    pub(super) fn count_commit(&mut self) {
        let Raft { state: State::Primary(primacy), log, commit, .. } = self else { return };
        let mut copies = [0; limits::RAFT_VOTERS];
        let own_copy =
            if planted(Mutant::SelfCountedEarly) { log.last_index() } else { self.persisted };
        copies[0] = own_copy;
        let mut count = 1;
        for backup in primacy.backups.iter().filter(|backup| backup.votes) {
            copies[count] = if backup.counts() { backup.match_index } else { 0 };
            count += 1;
        }
        let copies = &mut copies[..count];
        copies.sort_unstable();
        let on_majority = copies[copies.len() - self.memberships.quorum()];
        let of_this_term = |index| log.term(index) == Some(self.hard_state.term);
        let any_term = planted(Mutant::OldTermCommit);
        if on_majority > *commit && (any_term || of_this_term(on_majority)) {
            primacy.uncommitted_bytes = primacy
                .uncommitted_bytes
                .saturating_sub(log.cached_bytes_between(*commit, on_majority));
            *commit = on_majority;
        }
    }

    pub(super) fn on_primary_time(&mut self) {
        let (now_ms, quorum) = (self.now_ms, self.memberships.quorum());
        let timeout_ms = self.config.election_timeout_ms;
        let Some(primacy) = self.primacy_mut() else { return };
        if now_ms >= primacy.quorum_check_ms {
            let heard = primacy.backups.iter().filter(|backup| backup.votes && backup.heard);
            if 1 + heard.count() < quorum {
                self.become_backup(self.hard_state.term, None, Why::QuorumLost);
                return;
            }
            for backup in &mut primacy.backups {
                backup.was_heard = std::mem::take(&mut backup.heard);
            }
            primacy.quorum_check_ms = now_ms + timeout_ms;
        }
        primacy.transfer = primacy.transfer.filter(|transfer| now_ms < transfer.deadline_ms);
        if now_ms >= primacy.heartbeat_due_ms {
            self.send_heartbeats();
        }
    }

    /// A round of heartbeats; its number.
    pub(super) fn send_heartbeats(&mut self) -> u64 {
        let Raft { state, out, commit, config, hard_state, now_ms, .. } = self;
        let State::Primary(primacy) = state else { return 0 };
        primacy.round += 1;
        primacy.heartbeat_due_ms = *now_ms + config.heartbeat_ms;
        for backup in &mut primacy.backups {
            backup.on_heartbeat_sent(primacy.round);
            // Past its match the backup may have other entries than those that are committed.
            let commit = backup.match_index.min(*commit);
            let body = Body::Heartbeat { round: primacy.round, commit };
            let message = Message { term: hard_state.term, body };
            out.messages.push(Outgoing { to: backup.id, message });
        }
        self.send_restores();
        self.primacy().map_or(0, |primacy| primacy.round)
    }
}
