//! Servers that this one does not know, of its own cluster: its log may end before they became
//! members. They are let in no further than to tell who the members are. If that is news, and they
//! are among those, they are peers from then on; otherwise they are refused, as anybody else is at
//! once.

use super::super::handshake::{Claim, Kind};
use super::super::session::Block;
use super::super::wire::{Frame, Reason};
use super::Mesh;
use super::types::{Event, Member, Stranger};
use crate::limits;
use crate::net::Key;
use crate::raft::ServerId;

impl Mesh {
    /// Whether somebody who is refused for this reason might have news.
    pub(super) fn may_have_news(
        &self,
        claim: &Claim,
        dialled: Option<ServerId>,
        reason: Reason,
    ) -> bool {
        let none = [0; 16];
        dialled.is_none_or(|id| self.name_of(id) == claim.identity.name)
            && matches!(reason, Reason::Stranger | Reason::Incarnation)
            && claim.identity.kind == Kind::Server
            && claim.identity.name != self.me.name
            && self.me.cluster != none
            && claim.identity.cluster == self.me.cluster
    }

    /// Waits for what it says.
    pub(super) fn listen_to(&mut self, key: Key, claim: &Claim, reason: Reason) {
        self.make_room(limits::PEER_STRANGERS, |conn| conn.stranger.is_some());
        let Some(conn) = self.conns.get_mut(key) else { return };
        let (name, incarnation) = (claim.identity.name.clone(), claim.identity.incarnation);
        conn.stranger = Some(Stranger { name, incarnation, reason });
        // Whoever hears how this server stands tells it who the members are.
        self.write_frame(key, &Frame::About(self.about.clone()), &Block::default());
    }

    pub(super) fn on_frame_of_stranger(&mut self, key: Key, frame: Frame) {
        let stranger = self.conns.get(key).and_then(|conn| conn.stranger.as_ref());
        let is_old_copy = stranger.is_some_and(|stranger| stranger.reason == Reason::OldCopy);
        match frame {
            Frame::Join(_) if is_old_copy => {}
            Frame::Join(payload) => self.todo.events.push_back(Event::Told(key, payload)),
            Frame::Closing(reason) => self.fail_refused(key, reason),
            Frame::Raft(_) | Frame::Clock(_) | Frame::About(_) | Frame::Ping => {}
            _ => self.close(key, Reason::Malformed),
        }
    }

    /// What a stranger has told is known, or it takes too long to tell.
    pub fn dismiss(&mut self, key: Key) {
        let stranger = self.conns.get_mut(key).and_then(|conn| conn.stranger.take());
        let Some(Stranger { name, incarnation, reason }) = stranger else { return };
        let is_it =
            |member: &Member| member.name == name && member.incarnation == Some(incarnation);
        // A connection as a peer's takes this one's place.
        let is_known = self.members.iter().any(is_it);
        let is_known = is_known && reason != Reason::OldCopy;
        self.close_as(key, if is_known { Reason::Replaced } else { reason }, Some(name));
    }
}
