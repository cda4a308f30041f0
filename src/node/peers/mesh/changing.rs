//! How the members change.

use std::mem;

use super::super::session::Block;
use super::super::wire::{Frame, Reason};
use super::Mesh;
use super::types::{Member, Peer};
use crate::limits;
use crate::net::Key;
use crate::raft::ServerId;

impl Mesh {
    /// These are the cluster's servers from now on, by name, this one included. Connections to those
    /// that are no more, or were replaced, are closed.
    pub fn set_members(&mut self, members: Vec<Member>) {
        let place = members.iter().position(|member| member.name == self.me.name);
        self.place = place.expect("a server is among its cluster's");
        let before = mem::replace(&mut self.members, members);
        let mut old: Vec<Option<Peer>> = mem::take(&mut self.peers).into_iter().map(Some).collect();
        let mut renamed: Vec<(ServerId, ServerId)> = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            let was = before.iter().position(|other| other.name == member.name);
            let kept = was.and_then(|was| old[was].take_if(|peer| is_same(peer, member)));
            if let Some(was) = was.filter(|_| kept.is_some()) {
                renamed.push((before[was].number, member.number));
            }
            let wait_ms = if at < self.place { limits::PEER_CALL_MS } else { 0 };
            let fresh = || Peer { dial_at_ms: self.now_ms + wait_ms, ..Peer::default() };
            self.peers.push(kept.unwrap_or_else(fresh));
        }
        let keys: Vec<Key> = self.conns.keys().collect();
        for key in keys {
            let Some(conn) = self.conns.get_mut(key) else { continue };
            let Some(id) = conn.peer else { continue };
            let now = renamed.iter().find(|(before, _)| *before == id);
            conn.peer = now.map(|(_, now)| *now);
            if conn.peer.is_none() {
                let name = before.iter().find(|member| member.number == id);
                let name = name.map_or_else(String::new, |member| member.name.clone());
                let is_known = self.members.iter().any(|member| member.name == name);
                let reason = if is_known { Reason::Incarnation } else { Reason::Stranger };
                self.close_as(key, reason, Some(name));
            }
        }
        self.forget_names();
        self.warn_of_addresses();
    }

    /// Connected peers that were not told who the members are: some do not take part yet and wait for
    /// that word, others may know older ones only.
    pub fn untold(&self) -> Vec<ServerId> {
        let waits = |(_, peer): &(&Member, &Peer)| {
            peer.current.is_some() && !peer.told && peer.about.is_some()
        };
        self.members.iter().zip(&self.peers).filter(waits).map(|(m, _)| m.number).collect()
    }

    /// Tells such a peer that it is a member, and which others are.
    pub fn tell_members(&mut self, id: ServerId, members: &Block) {
        if let Some(place) = self.place_of(id) {
            self.peers[place].told = true;
            self.send_frame(id, &Frame::Join(Vec::new()), members);
        }
    }

    /// What all were told is old.
    pub fn tell_again(&mut self) {
        self.peers.iter_mut().for_each(|peer| peer.told = false);
    }
}

/// Whether what is connected as this peer, if anything is, is the member's directory.
fn is_same(peer: &Peer, member: &Member) -> bool {
    let (heard, known) = (peer.incarnation, member.incarnation);
    heard.is_none() || known.is_none() || heard == known
}
