//! A clean stop: a PRIMARY hands over first, so that nobody waits for an election.

use super::clients::{Clients, Serving};
use super::replica::Replica;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::raft::Role;

/// How far it has come.
#[derive(Default)]
pub struct Stopping {
    /// When the server stops, done or not, milliseconds; none: it was not told to.
    by_ms: Option<u64>,
    /// Another server was told to be PRIMARY, or there is none that can.
    asked: Option<HandOver>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandOver {
    UnderWay,
    Impossible,
}

impl Stopping {
    /// The server is to stop.
    pub fn begin(&mut self, now_ms: u64) {
        self.by_ms.get_or_insert(now_ms + limits::STOP_MS);
    }

    /// Whether it was told to.
    pub fn has_begun(&self) -> bool {
        self.by_ms.is_some()
    }

    /// When it stops at the latest, milliseconds.
    pub fn by_ms(&self) -> Option<u64> {
        self.by_ms
    }

    /// Has a PRIMARY tell another to take over. What was asked for before is answered first, so that
    /// nobody has to ask again.
    pub fn hand_over(&mut self, replica: &mut Replica, clients: &Clients, now_ms: u64) {
        let core = replica.core();
        let may = core.role() == Role::Primary && core.members().voters.len() > 1;
        if self.has_begun() && self.asked.is_none() && may && clients.is_answered() {
            let stays = planted(Mutant::StopsAsPrimary);
            self.asked = Some(match !stays && replica.hand_over(now_ms) {
                true => HandOver::UnderWay,
                false => HandOver::Impossible,
            });
        }
    }

    /// Whether that is done, was not to be done, or has failed.
    pub fn handed_over(&self, replica: &Replica, clients: &Clients) -> bool {
        let core = replica.core();
        match self.asked {
            _ if core.members().voters.len() == 1 => true,
            None => core.role() != Role::Primary,
            Some(HandOver::Impossible) => true,
            Some(HandOver::UnderWay) if core.role() == Role::Primary => {
                core.transferring_to().is_none()
            }
            // The clients are told where to go before they are let go.
            Some(HandOver::UnderWay) => matches!(clients.serving(), Serving::Elsewhere(_)),
        }
    }
}
