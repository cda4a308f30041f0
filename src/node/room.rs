//! What a PRIMARY does whose disk has no room for the log's next segment: it hands over, also where it
//! was elected while it had none. Where nobody has room, rests that grow keep the servers from handing
//! over to each other all the time: what is stored is read meanwhile.

use super::lines::{Line, TraceLevel};
use super::replica::Replica;
use crate::mutants::{Mutant, planted};
use crate::wal::SpareState;

/// What was done about it.
#[derive(Default)]
pub struct NoRoom {
    /// How often it has handed over.
    hand_overs: u32,
    /// Failures to make a spare segment that are still to be let pass.
    rests: u32,
}

impl NoRoom {
    /// What became of the log's spare segment; the lines that say so.
    pub fn handle(&mut self, replica: &mut Replica, state: &SpareState, now_ms: u64) -> Vec<Line> {
        let was_full = replica.full();
        replica.spare_changed(state);
        let mut lines = Vec::new();
        match state {
            SpareState::Ready => {
                *self = NoRoom::default();
                let line = "there is disk space for the log again";
                lines.extend(was_full.then(|| Line::of(TraceLevel::Info, "room", line)));
            }
            SpareState::Failed(error) => {
                if !was_full {
                    let line = format!(
                        "no disk space for the next log segment: {error}; changes are refused with \
                         disk-full until there is space, reading works"
                    );
                    lines.push(Line::of(TraceLevel::Error, "room", line));
                }
                if self.hands_over(replica, was_full, now_ms) {
                    let line = "handing over to a server that has disk space";
                    lines.push(Line::new(TraceLevel::Warning, line));
                }
            }
        }
        lines
    }

    fn hands_over(&mut self, replica: &mut Replica, was_full: bool, now_ms: u64) -> bool {
        if was_full && planted(Mutant::FullPrimaryStays) {
            return false;
        }
        if self.rests > 0 {
            self.rests -= 1;
            return false;
        }
        // Each in its turn: two without room would only hand over to each other.
        let NoRoom { hand_overs, rests } = self;
        let hands_over = replica.hand_over_in_turn(now_ms, *hand_overs);
        if hands_over {
            *hand_overs += 1;
            // From some point on the rests no longer grow.
            *rests = (1 << (*hand_overs).min(6)) - 1;
        }
        hands_over
    }
}
