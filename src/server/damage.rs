//! A server whose log is damaged: whether others can restore it, and what it does until they have.
//! Why that is safe says `raft/restoring.rs`, what becomes of the files `wal/set_aside.rs`.
//!
//! | found | by | what is done |
//! | --- | --- | --- |
//! | at a start | a server that is alone, or has not formed its cluster yet | it does not start, and changes nothing |
//! | at a start | a member of a cluster | what is damaged is set aside; it is restored by the PRIMARY |
//! | while it runs | the PRIMARY, when a majority of others is whole and answers | it ends, and is restored after its next start |
//! | while it runs | any other | what was asked for is refused with `busy`, as long as it is |
//!
//! The last two rows are about what a read finds in a segment that was whole at the start. A PRIMARY
//! without such a majority goes on: to end then would take from the clients what is not damaged.

use super::trace::Trace;
use super::{Error, Options, Server, standing};
use crate::chat;
use crate::raft::{self, BackupStatus, Role};
use crate::wal::hard_state::{self, HardState};
use crate::wal::{self, DataDir, Identity, ReadError};

/// Whether this is a member of a cluster, whose others have what is damaged here: by the log, as far
/// as it can be read, or by the flags, where that is not far enough to name others.
pub(super) fn others_restore(
    options: &Options,
    saved: &HardState,
    members: &[chat::Member],
) -> bool {
    saved.term > 0 && (members.len() > 1 || standing::lists_others(options, saved))
}

/// Sets aside what is damaged, after it is saved that something is.
pub(super) fn set_aside(
    directory: &DataDir,
    saved: &mut HardState,
    options: &Options,
    trace: Trace,
) -> Result<(), Error> {
    saved.copy = raft::next_damaged(saved.copy);
    // Twice, so that both lines of the file say so: should one be damaged as well, the other does.
    for _ in 0..2 {
        hard_state::save(&mut directory.disk(), saved).map_err(Error::State)?;
    }
    let expect = Some(Identity { cluster: saved.cluster });
    let options = wal::Options { expect, segment_bytes: options.segment_mib << 20 };
    let lines = wal::set_aside(&mut directory.wal_disk(), &options).map_err(Error::Recover)?;
    lines.iter().for_each(|line| trace.error(line));
    Ok(())
}

/// Tells the operator that the log is to be restored.
pub(super) fn tell(trace: Trace) {
    trace.error(
        "the log is damaged: this server neither votes nor acknowledges until the PRIMARY has \
         restored it. If a majority of the servers is damaged or lost, there may be no PRIMARY: \
         see DAMAGE in chatctl-serve(1)",
    );
}

impl Server {
    /// What was read from the log is not what was written there.
    pub(super) fn on_read_failed(&mut self, error: &ReadError) {
        let core = self.service.replica.core();
        let whole = |backup: &&BackupStatus| backup.votes && backup.heard && !backup.restoring;
        let others = core.backups().iter().filter(whole).count();
        let goes_on_without = core.role() == Role::Primary && others >= core.members().quorum();
        if error.damaged && goes_on_without {
            self.damage = Some(error.to_string());
        }
    }

    /// Ends where that was noticed.
    pub(super) fn end_if_damaged(&mut self) -> Result<(), Error> {
        self.damage.take().map_or(Ok(()), |damage| Err(Error::Damaged(damage)))
    }
}
