//! What `server_state.txt` says at a start.

use super::disks::Disks;
use crate::mutants::{Mutant, planted};
use crate::node::end::End;
use crate::node::flags::Flags;
use crate::node::members::LONE_NAME;
use crate::node::random::Random;
use crate::node::standing;
use crate::raft::Role;
use crate::wal::Disk;
use crate::wal::hard_state::{self, HardState};

/// Reads it. That the directory is started once more is saved before anybody is told, unless it is
/// marked as an old copy.
pub fn load<D: Disk>(
    disks: &mut Disks<D>,
    flags: &Flags,
    random: &mut Random,
) -> Result<HardState, End> {
    let mut file = match hard_state::recover(&mut disks.state).map_err(End::State)? {
        Some(file) => file,
        None => first(disks, flags, random)?,
    };
    if !file.old_copy.is_empty() {
        return Err(End::OldCopy { id: file.id, by: file.old_copy });
    }
    file.boots.begin(random.number());
    if !planted(Mutant::StartUnsaved) {
        hard_state::save(&mut disks.state, &file).map_err(End::State)?;
    }
    check(flags, &file)?;
    Ok(file)
}

/// What the file of a new directory says. It has no cluster's id yet where a cluster is to be formed.
fn first<D: Disk>(
    disks: &mut Disks<D>,
    flags: &Flags,
    random: &mut Random,
) -> Result<HardState, End> {
    hard_state::check_not_lost(&mut disks.log).map_err(End::State)?;
    let id = flags.id.clone().unwrap_or_else(|| LONE_NAME.to_owned());
    let cluster = if flags.cluster.is_empty() { random.bytes() } else { [0; 16] };
    Ok(HardState::new(id, cluster, random.number(), Role::Backup.to_string()))
}

/// That the directory is the one of the server that the flags name.
fn check(flags: &Flags, file: &HardState) -> Result<(), End> {
    if let Some(id) = &flags.id
        && *id != file.id
        && !standing::may_be_renamed(file)
    {
        return Err(End::Cluster(format!(
            "the data directory {} belongs to server {}, not to {id}: check --id and --data-dir",
            flags.directory, file.id
        )));
    }
    if file.cluster == [0; 16] && flags.cluster.is_empty() {
        return Err(End::Cluster(format!(
            "the data directory {} belongs to a cluster that is not formed yet: give --cluster",
            flags.directory
        )));
    }
    Ok(())
}
