//! The log is read back. What is damaged is set aside, where others can restore it: why that is safe
//! says `raft/restoring.rs`, what becomes of the files `wal/set_aside.rs`.
//!
//! | found | by | what is done |
//! | --- | --- | --- |
//! | at a start | a server that is alone, or has not formed its cluster yet | it does not start, and changes nothing |
//! | at a start | a member of a cluster | what is damaged is set aside; it is restored by the PRIMARY |
//! | while it runs | the PRIMARY, when a majority of others is whole and answers | it ends, and is restored after its next start |
//! | while it runs | any other | what was asked for is refused with `busy`, as long as it is |
//!
//! The last two rows are about what a read finds in a segment that was whole at the start
//! ([`crate::node::reads`]). A PRIMARY without such a majority goes on: to end then would take from
//! the clients what is not damaged.

use super::Bootstrap;
use super::disks::Disks;
use crate::chat::{self, Member, State};
use crate::mutants::{Mutant, planted};
use crate::node::end::End;
use crate::node::flags::Flags;
use crate::node::lines::{Line, TraceLevel};
use crate::node::payload::typed;
use crate::node::replica::Recovered;
use crate::node::standing;
use crate::raft;
use crate::wal::hard_state::{self, HardState};
use crate::wal::{self, Disk, Identity, RecoverError};

impl<D: Disk + Clone> Bootstrap<D> {
    /// Reads the log. What is not known to be committed is committed again by the core, once it is
    /// PRIMARY.
    pub(super) fn recover(&mut self) -> Result<Recovered, End> {
        let boot = self;
        let mut state = empty_state(&boot.flags, &boot.file);
        let there = wal::check_there(&mut boot.disks.log, &boot.file);
        let there = if planted(Mutant::LostLogUnnoticed) { Ok(()) } else { there };
        let read = there.and_then(|()| read(boot, &mut state));
        let (wal, report) = match read {
            Err(RecoverError::Corrupt { file, why, .. })
                if others_restore(&boot.flags, &boot.file, state.members()) =>
            {
                boot.lines.push(Line::new(TraceLevel::Error, format!("{file}: {why}")));
                set_aside(boot)?;
                state = empty_state(&boot.flags, &boot.file);
                self::read(boot, &mut state)
            }
            read => read,
        }
        .map_err(End::Recover)?;
        let notes = report.torn_tail.iter().chain(&report.notes);
        boot.lines.extend(notes.map(|line| Line::new(TraceLevel::Info, line.to_string())));
        let entry = |entry: wal::Entry| {
            let wal::Entry { term, index, payload } = entry;
            let payload = match planted(Mutant::TailMembersUnread) {
                true => raft::Payload::Command(payload.into()),
                false => typed(&payload),
            };
            raft::Entry { term, index, payload }
        };
        let tail = report.tail.into_iter().map(entry).collect();
        let members = state.members().to_vec();
        let (file, commit) = (boot.file.clone(), report.commit);
        Ok(Recovered { file, wal, state, commit, tail, members })
    }
}

/// Whether this is a member of a cluster, whose others have what is damaged here: by the log, as far
/// as it can be read, or by the flags, where that is not far enough to name others.
fn others_restore(flags: &Flags, file: &HardState, members: &[Member]) -> bool {
    file.term > 0 && (members.len() > 1 || standing::lists_others(flags, file))
}

/// Sets aside what is damaged, after it is saved that something is.
fn set_aside<D: Disk>(boot: &mut Bootstrap<D>) -> Result<(), End> {
    let Bootstrap { flags, disks, file, lines, .. } = boot;
    file.copy = raft::next_damaged(file.copy);
    // Twice, so that both lines of the file say so: should one be damaged as well, the other does.
    let times = if planted(Mutant::DamageUnsaved) { 0 } else { 2 };
    for _ in 0..times {
        hard_state::save(&mut disks.state, file).map_err(End::State)?;
    }
    let told = wal::set_aside(&mut disks.log, &options(flags, file)).map_err(End::Recover)?;
    lines.extend(told.into_iter().map(|line| Line::new(TraceLevel::Error, line)));
    Ok(())
}

fn empty_state(flags: &Flags, file: &HardState) -> State {
    let forgets = planted(Mutant::DuplicatesForgotten) && file.term > 0;
    State::with_window(if forgets { 1 } else { flags.id_window })
}

fn options(flags: &Flags, file: &HardState) -> wal::Options {
    let own = Identity { cluster: file.cluster };
    let expect = (!planted(Mutant::ForeignLogTaken)).then_some(own);
    wal::Options { expect, segment_bytes: flags.segment_bytes }
}

fn read<D: Disk>(
    boot: &mut Bootstrap<D>,
    state: &mut State,
) -> Result<(wal::Wal, wal::Report), RecoverError> {
    let mut visit = |index: u64, _term: u64, payload: &[u8]| {
        state.apply(index, payload).map(drop).map_err(|error| error.to_string())
    };
    let Bootstrap { flags, disks: Disks { log, .. }, file, .. } = boot;
    wal::recover_readable(log, &options(flags, file), chat::readable, &mut visit)
}
