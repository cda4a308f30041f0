//! Hands over on purpose, as before a clean stop (§3.10): takes no proposals, brings the target up
//! to date, then tells it to hold an election at once.

use super::Raft;
use super::entry::ServerId;
use super::message::Body;
use super::output::{Role, TransferError, Why};
use super::progress::Progress;
use super::roles::Transfer;
use crate::mutants::{Mutant, planted};

impl Raft {
    /// Hands over to `to`. Proposals are refused until another server is PRIMARY or, after an
    /// election timeout, this one gives up.
    pub fn transfer(&mut self, now_ms: u64, to: ServerId) -> Result<(), TransferError> {
        self.at(now_ms, |raft| {
            let primary = raft.primary();
            let deadline_ms = raft.now_ms + raft.config.election_timeout_ms;
            let primacy = raft.primacy_mut().ok_or(TransferError::NotPrimary { primary })?;
            if !primacy.backup(to).is_some_and(|backup| backup.counts()) {
                return Err(TransferError::NoBackup { to });
            }
            match primacy.transfer {
                Some(transfer) if transfer.to == to => Ok(()),
                Some(transfer) => Err(TransferError::Busy { to: transfer.to }),
                None => {
                    primacy.transfer = Some(Transfer { to, deadline_ms, told: false });
                    Ok(())
                }
            }
        })
    }

    /// Tells the target once it has the whole log.
    pub(super) fn send_timeout_now(&mut self) {
        let last_index = self.log.last_index();
        let Some(primacy) = self.primacy_mut() else { return };
        let Some(to) = primacy.transfer.filter(|transfer| !transfer.told).map(|t| t.to) else {
            return;
        };
        if primacy.backup(to).is_some_and(|backup| backup.match_index == last_index) {
            primacy.transfer = primacy.transfer.map(|t| Transfer { told: true, ..t });
            self.send(to, Body::TimeoutNow);
        }
    }

    /// The PRIMARY hands over to this server, which needs no pre-votes.
    pub(super) fn on_timeout_now(&mut self, from: ServerId) {
        let stands = self.is_voter() && !self.is_restoring();
        if self.role() == Role::Backup && self.primary() == Some(from) && stands {
            self.become_candidate(true, Why::Transfer);
        }
    }

    /// The backup that needs least to take over, of those that have answered lately.
    pub fn successor(&self) -> Option<ServerId> {
        self.successors().first().copied()
    }

    /// All that may take over, the one that needs least first.
    pub fn successors(&self) -> Vec<ServerId> {
        let Some(primacy) = self.primacy() else { return Vec::new() };
        let takes_over = |backup: &&Progress| backup.counts() && backup.answers();
        let mut alive: Vec<&Progress> = primacy.backups.iter().filter(takes_over).collect();
        alive.sort_by_key(|backup| (std::cmp::Reverse(backup.match_index), backup.id));
        if planted(Mutant::HandsOverBehind) {
            alive.reverse();
        }
        alive.into_iter().map(|backup| backup.id).collect()
    }
}
