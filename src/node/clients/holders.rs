//! What clients keep the server from giving back: requests begun and not finished, answers not read.
//! Their sum has a bound; at the bound those that have not moved for longest are let go.

use std::collections::BTreeSet;

use super::Clients;
use crate::limits;
use crate::net::Key;

/// One client's share.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share {
    bytes: usize,
    /// The last instant at which it moved, milliseconds; none while it holds nothing.
    since_ms: Option<u64>,
}

/// The sum of all shares, and whose have not moved for longest.
#[derive(Default)]
pub(super) struct Holders {
    bytes: usize,
    by_age: BTreeSet<(u64, Key)>,
}

impl Holders {
    /// What all hold together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The client holds so much now.
    pub fn set_bytes(&mut self, share: &mut Share, bytes: usize) {
        self.bytes = self.bytes - share.bytes + bytes;
        share.bytes = bytes;
    }

    /// What the client holds has moved, or it has just been found to hold something.
    pub fn set_age(&mut self, key: Key, share: &mut Share, moved: bool, now_ms: u64) {
        let since_ms = match share.since_ms {
            _ if share.bytes == 0 => None,
            Some(since_ms) if !moved => Some(since_ms),
            _ => Some(now_ms),
        };
        if since_ms != share.since_ms {
            if let Some(old_ms) = share.since_ms {
                self.by_age.remove(&(old_ms, key));
            }
            self.by_age.extend(since_ms.map(|since_ms| (since_ms, key)));
            share.since_ms = since_ms;
        }
    }

    /// The client has gone.
    pub fn remove(&mut self, key: Key, share: &mut Share) {
        self.set_bytes(share, 0);
        self.set_age(key, share, true, 0);
    }

    /// Whose share has not moved for longest, and since when.
    fn oldest(&self) -> Option<(u64, Key)> {
        self.by_age.first().copied()
    }
}

impl Clients {
    /// How many bytes of requests a connection that has `held` may have: less where all together have
    /// much, so that those who are soon understood are served whatever the others hold.
    pub fn input_room(&self, held: usize) -> usize {
        let most = match self.inputs.bytes() < limits::INPUT_TOTAL_BYTES {
            true => limits::INPUT_BYTES,
            false => limits::INPUT_SURE_BYTES,
        };
        most.saturating_sub(held)
    }

    /// The connection has more to be read than it may have now: it is looked at again when others
    /// have less.
    pub fn wait_for_input_room(&mut self, key: Key) {
        if self.clients.get(key).is_some() {
            self.crowded_out.push(key);
        }
    }

    /// The connection has `bytes` of requests that are not taken up yet; `moved`: others were.
    pub(super) fn count_input(&mut self, key: Key, bytes: usize, moved: bool) {
        let Some(client) = self.clients.get_mut(key) else { return };
        self.inputs.set_bytes(&mut client.incoming.unfinished, bytes);
        self.inputs.set_age(key, &mut client.incoming.unfinished, moved, self.now.monotonic_ms);
    }

    /// Brings the sum of all outputs up to date with one client's.
    pub(super) fn count_output(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key) {
            let unwritten = client.unwritten();
            self.outputs.set_bytes(&mut client.outgoing.unread, unwritten);
        }
    }

    /// The connection was written to; `moved`: it took some.
    pub(super) fn count_written(&mut self, key: Key, moved: bool) {
        self.count_output(key);
        if let Some(client) = self.clients.get_mut(key) {
            self.outputs.set_age(key, &mut client.outgoing.unread, moved, self.now.monotonic_ms);
        }
    }

    /// The connection goes with what it holds.
    pub(super) fn forget_holder(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key) {
            self.inputs.remove(key, &mut client.incoming.unfinished);
            self.outputs.remove(key, &mut client.outgoing.unread);
        }
    }

    /// Whether answers that nobody reads take less than all together may.
    pub(super) fn outputs_have_room(&self) -> bool {
        self.outputs.bytes() < limits::OUTPUT_TOTAL_BYTES
    }

    /// At a bound, lets go of those that have held on for too long, and has those looked at again
    /// that there was no room for.
    pub fn make_room(&mut self) {
        let had_room = self.pages_have_room();
        let over_ms = self.now.monotonic_ms.saturating_sub(limits::HOLD_MS);
        while let Some((since_ms, key)) = self.holder_in_the_way()
            && since_ms <= over_ms
        {
            self.tell_detail(|| {
                format!("connection {}: closing it, it holds memory that others need", key.number())
            });
            self.doom(key);
            // It goes at the end of the turn, and counts no more from now on.
            self.forget_holder(key);
        }
        self.wake_if_room(had_room);
        if self.inputs.bytes() < limits::INPUT_TOTAL_BYTES {
            while let Some(key) = self.crowded_out.pop() {
                self.queue(key);
            }
        }
    }

    /// When [`Clients::make_room`] has something to do at the earliest.
    pub(super) fn make_room_ms(&self) -> Option<u64> {
        if !self.crowded_out.is_empty() && self.inputs.bytes() < limits::INPUT_TOTAL_BYTES {
            return Some(self.now.monotonic_ms);
        }
        self.holder_in_the_way().map(|(since_ms, _)| since_ms + limits::HOLD_MS)
    }

    fn holder_in_the_way(&self) -> Option<(u64, Key)> {
        let inputs = match self.inputs.bytes() < limits::INPUT_TOTAL_BYTES {
            true => None,
            false => self.inputs.oldest(),
        };
        let outputs = if self.pages_have_room() { None } else { self.outputs.oldest() };
        inputs.into_iter().chain(outputs).min()
    }
}
