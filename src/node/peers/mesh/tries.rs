//! A round of attempts to reach a server at its addresses.

use core::net::SocketAddr;

use crate::limits;
use crate::net::Key;

/// How a connection ends.
pub(super) struct Ending {
    /// Why.
    pub why: String,
    /// How long its peer is not dialled again, milliseconds.
    pub wait_ms: u64,
    /// Whether a line says so already.
    pub told: bool,
}

/// A round of attempts at the addresses of one server.
#[derive(Default)]
pub(super) struct Tries {
    all: Vec<SocketAddr>,
    /// How many of them were tried.
    begun: usize,
    /// The attempts that have not failed yet.
    pub open: Vec<(Key, SocketAddr)>,
    /// When the next one begins, though none has failed.
    next_ms: u64,
    /// How those that failed ended.
    ended: Vec<(SocketAddr, Ending)>,
}

impl Tries {
    pub fn at(all: Vec<SocketAddr>) -> Tries {
        Tries { all, ..Tries::default() }
    }

    /// Addresses that were found meanwhile are tried too.
    pub fn add(&mut self, found: &[SocketAddr]) {
        let new: Vec<SocketAddr> =
            found.iter().copied().filter(|address| !self.all.contains(address)).collect();
        let room = limits::PEER_ADDRESSES.saturating_sub(self.all.len());
        self.all.extend(new.into_iter().take(room));
    }

    pub fn next(&mut self, now_ms: u64) -> Option<SocketAddr> {
        if self.at_ms()? > now_ms {
            return None;
        }
        let address = self.all[self.begun];
        self.begun += 1;
        self.next_ms = now_ms + limits::PEER_STAGGER_MS;
        Some(address)
    }

    /// When the next attempt is due; none when there is no further address.
    pub fn at_ms(&self) -> Option<u64> {
        (self.begun < self.all.len()).then_some(if self.open.is_empty() { 0 } else { self.next_ms })
    }

    pub fn begun(&mut self, key: Key, address: SocketAddr) {
        self.open.push((key, address));
    }

    pub fn has(&self, key: Key) -> bool {
        self.open.iter().any(|(open, _)| *open == key)
    }

    /// An attempt failed. Gives how the round ended when it is over: the next one may begin after the
    /// shortest wait that any attempt asked for.
    pub fn ended(&mut self, key: Key, ending: Ending) -> Option<Ending> {
        let place = self.open.iter().position(|(open, _)| *open == key)?;
        let (_, address) = self.open.swap_remove(place);
        self.next_ms = 0;
        self.ended.push((address, ending));
        let is_over = self.open.is_empty() && self.begun == self.all.len();
        is_over.then(|| self.ending())
    }

    fn ending(&mut self) -> Ending {
        let mut ended = std::mem::take(&mut self.ended);
        if ended.len() == 1 {
            return ended.remove(0).1;
        }
        ended.sort_by_key(|(address, _)| self.all.iter().position(|other| other == address));
        let each = ended.iter().map(|(address, Ending { why, .. })| format!("{address}: {why}"));
        Ending {
            why: each.collect::<Vec<String>>().join("; "),
            wait_ms: ended.iter().map(|(_, ending)| ending.wait_ms).min().unwrap_or(0),
            told: ended.iter().all(|(_, ending)| ending.told),
        }
    }
}
