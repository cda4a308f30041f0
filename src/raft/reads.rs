//! Reads that include all that was acknowledged before they were asked (§6.4): the commit index is
//! noted, and a majority asked whether this still is the PRIMARY. All reads that wait share a
//! round.

use super::Raft;
use super::output::{ReadError, ReadGrant};
use super::roles::Round;
use crate::limits;
use crate::mutants::{Mutant, planted};

impl Raft {
    /// Asks to answer a read; `ticket` comes back in [`super::Output::reads`], or in
    /// [`super::Output::reads_refused`].
    pub fn read(&mut self, ticket: u64) -> Result<(), ReadError> {
        self.checked(|raft| {
            let primary = raft.primary();
            let primacy = raft.primacy_mut().ok_or(ReadError::NotPrimary { primary })?;
            if primacy.reads.waiting.len() >= limits::RAFT_READS_WAITING {
                return Err(ReadError::Full);
            }
            primacy.reads.waiting.push(ticket);
            Ok(())
        })
    }

    /// A new PRIMARY does not know all that is committed before an entry of its own term is: until
    /// then reads wait.
    pub(super) fn start_read_round(&mut self) {
        let commit = self.commit;
        let Some(primacy) = self.primacy_mut() else { return };
        let ready = commit >= primacy.first_of_term && primacy.reads.under_way.is_none();
        if !ready || primacy.reads.waiting.is_empty() {
            return;
        }
        let tickets = std::mem::take(&mut primacy.reads.waiting);
        let heartbeat = self.send_heartbeats();
        if let Some(primacy) = self.primacy_mut() {
            primacy.reads.under_way = Some(Round { heartbeat, index: commit, tickets });
        }
        self.finish_read_round();
    }

    /// Grants the round's reads when a majority has answered it, or a later heartbeat.
    pub(super) fn finish_read_round(&mut self) {
        let quorum = self.memberships.quorum();
        let Some(primacy) = self.primacy_mut() else { return };
        let Some(round) = primacy.reads.under_way.take() else { return };
        let answered = |acked_round: u64| acked_round >= round.heartbeat;
        let counted = primacy.backups.iter().filter(|backup| backup.counts());
        let backups = counted.filter(|backup| answered(backup.acked_round));
        if 1 + backups.count() < quorum && !planted(Mutant::ReadWithoutRound) {
            primacy.reads.under_way = Some(round);
            return;
        }
        let index = round.index;
        let grants = round.tickets.into_iter().map(|ticket| ReadGrant { ticket, index });
        self.out.reads.extend(grants);
    }
}
