//! A process that is no member yet: what the loop of such a server does.

use chatctl::server::Error;
use chatctl::server::form::{Former, Outcome};
use chatctl::server::service::Now;
use chatctl::wal::hard_state::HardState;

use super::peers::Peers;
use super::process::{Act, Input};
use super::server::means;
use crate::wal::sim_disk::SimDisk;

/// The process.
pub struct Entering {
    former: Former<SimDisk>,
    pub peers: Peers,
    pub file: HardState,
    pub inbox: Vec<Input>,
    acts: Vec<Act>,
}

impl Entering {
    pub fn new(former: Former<SimDisk>, peers: Peers, file: HardState) -> Entering {
        Entering { former, peers, file, inbox: Vec::new(), acts: Vec::new() }
    }

    /// One round, as `Entering::wait_for` has it.
    pub fn turn(&mut self, now: Now) -> Result<(Vec<Act>, Option<Outcome>), Error> {
        let now_ms = now.monotonic_ms;
        for input in std::mem::take(&mut self.inbox) {
            // What the core of another says is nothing to one that has none.
            match input {
                Input::Wire { wire, what } => {
                    self.peers.take(now_ms, wire, what, &mut self.acts);
                }
                Input::Found(found) => self.peers.found(now_ms, found),
                _ => {}
            }
        }
        self.peers.work(now_ms, &mut self.acts);
        let outcome = self.former.turn(&mut means(&mut self.file, &mut self.peers, now))?;
        self.peers.met_saved(&self.file.met);
        self.peers.mesh.todo.tell.clear();
        self.peers.write(&mut self.acts);
        Ok((std::mem::take(&mut self.acts), outcome))
    }

    pub fn next_ms(&self) -> Option<u64> {
        if !self.inbox.is_empty() {
            return Some(0);
        }
        let instants = [Some(self.former.next_ms()), self.peers.mesh.next_ms()];
        instants.into_iter().flatten().min()
    }
}
