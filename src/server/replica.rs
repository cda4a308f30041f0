//! One copy of the conversation: the consensus core, the log and the state machine, tied together.
//! Pure: the batches that it gives are written by somebody else, who says when they are durable.
//!
//! ```text
//! propose -> [core] -> append -> next_batch -> (written, synced) -> batch_durable -> [core]
//!         -> committed -> apply_next -> effect
//! ```

use std::ops::Range;

use crate::chat::{ApplyError, Effect, State};
use crate::raft::alone::Alone;
use crate::wal::{Batch, Location, SpareRequest, SpareState, Wal};

/// An entry that has been applied.
#[derive(Debug)]
pub struct Applied {
    /// Its place in the log.
    pub index: u64,
    /// Its command.
    pub payload: Vec<u8>,
    /// What it did.
    pub effect: Effect,
}

/// The copy.
pub struct Replica {
    core: Alone,
    wal: Wal,
    state: State,
    /// What is committed and not applied.
    committed: Range<u64>,
}

impl Replica {
    /// Goes on from a recovered log, all of which `state` has applied.
    pub fn new(term: u64, wal: Wal, state: State) -> Replica {
        let last_index = wal.last_index();
        let committed = last_index + 1..last_index + 1;
        Replica { core: Alone::new(term, last_index), wal, state, committed }
    }

    /// Takes a command into the log's order and gives its index. Nothing has happened before it is
    /// applied.
    pub fn propose(&mut self, payload: Vec<u8>) -> u64 {
        self.core.propose(payload)
    }

    /// What has gathered, to be written and synced; none while a batch is on its way: the next is
    /// written only after the one before is durable.
    pub fn next_batch(&mut self) -> Option<Batch> {
        self.route();
        self.wal.take_batch(self.core.commit())
    }

    /// The batch is durable: what it holds may be committed.
    pub fn batch_durable(&mut self, batch_no: u64) {
        self.core.persisted(self.wal.batch_durable(batch_no));
        self.route();
    }

    /// Takes what the core has decided to where it belongs.
    fn route(&mut self) {
        let output = self.core.take_output();
        for index in output.append {
            self.wal.append_entry(self.core.term(), index, self.core.payload(index));
        }
        self.committed.end = self.committed.end.max(output.committed.end);
    }

    /// Applies the next committed entry.
    pub fn apply_next(&mut self) -> Result<Option<Applied>, ApplyError> {
        let Some(index) = self.committed.next() else { return Ok(None) };
        let payload = self.core.release(index);
        let effect = self.state.apply(index, &payload)?;
        Ok(Some(Applied { index, payload, effect }))
    }

    /// The state as of the last entry applied.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The core's term.
    pub fn term(&self) -> u64 {
        self.core.term()
    }

    /// Index of the last committed entry.
    pub fn commit(&self) -> u64 {
        self.core.commit()
    }

    /// Where an applied entry stands in the log.
    pub fn location(&self, index: u64) -> Option<Location> {
        self.wal.location(index)
    }

    /// Bytes that wait for the next batch.
    pub fn gathered_bytes(&self) -> usize {
        self.wal.gathered_bytes()
    }

    /// Whether there is no room for the log's next segment: only what frees room is proposed.
    pub fn full(&self) -> bool {
        self.wal.full()
    }

    /// The spare segment that is to be made now, told once.
    pub fn spare_wanted(&mut self) -> Option<SpareRequest> {
        self.wal.spare_wanted()
    }

    /// What became of the spare.
    pub fn spare_changed(&mut self, state: &SpareState) {
        self.wal.spare_changed(state);
    }

    /// Has a mark prove that the last batch was durable, where nothing else does.
    pub fn append_mark(&mut self) {
        if self.wal.mark_due() {
            self.wal.append_mark();
        }
    }
}
