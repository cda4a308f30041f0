//! Which starts of the other servers were met: what a start that is new here says waits until it is
//! saved that it was met, and an old copy is refused. Why says [`super::super::boots`].

use std::collections::VecDeque;

use super::super::boots::{self, Verdict};
use super::super::handshake::Claim;
use super::super::session::Block;
use super::super::wire::{Frame, Reason};
use super::Mesh;
use super::types::{Held, State, Stranger};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::raft::ServerId;
use crate::wal::boots::{Boot, Met};

impl Mesh {
    /// The newest start that was met of each directory, to be saved where that is not what is saved.
    pub fn met(&self) -> &[Met] {
        &self.met
    }

    /// This is durable: what was said by starts that are in it counts from now on.
    pub fn met_saved(&mut self, saved: &[Met]) {
        if *self.met_saved != *saved {
            self.met_saved = saved.to_vec();
        }
        let keys: Vec<Key> = self.conns.keys().collect();
        for key in keys {
            let Some(conn) = self.conns.get_mut(key) else { continue };
            let is_saved = |held: &mut Held| saved.contains(&held.met);
            let Some(held) = conn.held.take_if(is_saved) else { continue };
            for frame in held.frames {
                let is_open = |conn: &super::types::Conn| matches!(conn.state, State::Open(_));
                if self.conns.get(key).is_some_and(is_open) {
                    self.on_open_frame(key, frame, 0);
                }
            }
        }
    }

    /// Whether what a peer says waits.
    pub fn is_held(&self, id: ServerId) -> bool {
        let key = self.peer(id).and_then(|peer| peer.current);
        key.and_then(|key| self.conns.get(key)).is_some_and(|conn| conn.held.is_some())
    }

    /// The start of a peer that is connected.
    pub fn boot_of(&self, id: ServerId) -> Option<Boot> {
        let peer = self.peer(id).filter(|peer| peer.current.is_some())?;
        boots::known(&self.met, peer.incarnation?)
    }

    /// Whether the directory that a member has is an old copy.
    pub(super) fn is_old_copy(&self, claim: &Claim) -> bool {
        let known = boots::known(&self.met, claim.identity.incarnation);
        boots::judge(known, &claim.identity.boots) == Verdict::OldCopy
    }

    /// Notes the start of a member that has connected; what it says waits where that is not saved.
    pub(super) fn meet(&mut self, claim: &Claim) -> Option<Held> {
        let incarnation = claim.identity.incarnation;
        let met = Met { incarnation, boot: claim.identity.boots.newest()? };
        if !self.met.contains(&met) {
            let members = &self.members;
            let is_member = |other| members.iter().any(|m| m.incarnation == Some(other));
            boots::meet(&mut self.met, met, is_member);
        }
        let is_saved = self.met_saved.contains(&met) || planted(Mutant::BootMetUnsaved);
        (!is_saved).then(|| Held { met, frames: VecDeque::new(), bytes: 0 })
    }

    /// Keeps a frame of so many bytes until then. Messages of the core may be dropped.
    pub(super) fn hold(&mut self, key: Key, frame: Frame, bytes: usize) {
        let Some(held) = self.conns.get_mut(key).and_then(|conn| conn.held.as_mut()) else {
            return;
        };
        if held.bytes + bytes <= limits::PEER_HELD_BYTES {
            held.bytes += bytes;
            held.frames.push_back(frame);
        } else if !matches!(frame, Frame::Raft(_)) {
            self.close(key, Reason::Crowded);
        }
    }

    /// Refuses an old copy. It is heard for a moment: each of the two may be one to the other, and is
    /// to learn it.
    pub(super) fn condemn(&mut self, key: Key, claim: &Claim) {
        self.make_room(limits::PEER_STRANGERS, |conn| conn.stranger.is_some());
        let name = claim.identity.name.clone();
        let line = format!("refused: {name} from {}: {}", self.origin(key), Reason::OldCopy);
        self.tell_refusal(key, Some(name.clone()), Reason::OldCopy, line);
        self.write_frame(key, &Frame::Closing(Reason::OldCopy), &Block::default());
        let Some(conn) = self.conns.get_mut(key) else { return };
        let (incarnation, reason) = (claim.identity.incarnation, Reason::OldCopy);
        conn.stranger = Some(Stranger { name, incarnation, reason });
    }
}
