//! How empty servers become a cluster. Pure: what it wants stored and sent is done by
//! [`super::former`].
//!
//! # The way
//!
//! 1. *Empty*: every server has made its directory's incarnation durable, and waits until it is
//!    connected to all the others.
//! 2. When all are connected, all are empty and all were given the same list, the first of them by
//!    name makes the log's first entry: cluster id, token secret, and every server with its
//!    incarnation. It stores it, at (term 1, index 1), and only then offers it to the others.
//! 3. *Holds*: who gets the entry checks that it names this very directory and this very list,
//!    stores it, and only then says so.
//! 4. *Started*: who holds the entry and knows that all hold it, or that one has started, makes
//!    term 1 durable and takes part in Raft from there on, as after any restart.
//!
//! # Why it is safe
//!
//! - There is one first entry. Only the first server makes one, it makes none while it holds one, and
//!   what it holds is durable before anybody hears of it. Whoever holds one never takes another.
//! - Raft starts nowhere before all hold the entry durably. All logs then agree at index 1, so it is
//!   committed by definition, and no election can undo it. "Holds" and "started" are never taken
//!   back, so hearing it once in this process's life is enough, from a connection that is gone too.
//! - The first server holds the entry if anybody does, so the others need not hear that from it: they
//!   can start when it has died in the middle.
//! - The entry has the incarnations, and everybody who holds it refuses a connection from another
//!   incarnation under a member's name. A server that is wiped can form a cluster only with servers
//!   that are all empty: if one holds an entry, this one never joins in a new one. So no set of
//!   wiped servers, not even all but one, takes itself for a cluster that was there before.
//! - A server that has the entry and term 0 has never voted or acknowledged anything, so it may go
//!   on asking as if it had just got the entry.
//!
//! # What a crash leaves
//!
//! | when | what is there | what happens next |
//! | --- | --- | --- |
//! | before the incarnation is durable | nothing | it begins anew, with another one; nobody was told of the first |
//! | empty | incarnation | it goes on as empty |
//! | cluster id stored, entry not | id, no entry | as empty; it takes only an entry with this id, which is the only one there is |
//! | entry stored | id and entry, term 0 | it holds, and goes on asking |
//! | term 1 stored | as any server's | it starts |
//!
//! The first server may crash with the id and without the entry: it makes the entry anew under the
//! same id; nobody was told of the other. A server that loses its *disk* while the cluster is
//! forming is refused for its new incarnation; nothing was stored yet, so the operator removes all
//! data directories and starts again.

use crate::chat::{Command, Member};
use crate::limits::FORMING_TELL_MS;
use crate::mutants::{Mutant, planted};
use crate::node::peers::mesh::{self, Mesh, id_of, place_of};
use crate::node::peers::wire::Stage;
use crate::raft::ServerId;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until something is heard.
    Wait,
    /// Make the first entry, of these servers, and give it to [`Forming::stored`] once it is durable.
    Make(Vec<Member>),
    /// Send the entry to these.
    Offer(Vec<ServerId>),
    /// Make term 1 durable; the cluster is formed.
    Start,
}

/// One server's part in it.
pub struct Forming {
    place: usize,
    cluster: [u8; 16],
    entry: Option<Vec<u8>>,
    /// By place: who is known to hold the entry, and to whom it was sent on this connection.
    holds: Vec<bool>,
    offered: Vec<bool>,
    one_started: bool,
    /// What was told last, what is to be told, and since when that is so.
    told: String,
    waits: (String, u64),
}

impl Forming {
    /// Goes on from what the disk kept: the cluster's id (zeros for none) and the first entry.
    pub fn new(mesh: &Mesh, cluster: [u8; 16], entry: Option<Vec<u8>>) -> Forming {
        let count = mesh.members().len();
        Forming {
            place: place_of(mesh.id()),
            cluster,
            entry,
            holds: vec![false; count],
            offered: vec![false; count],
            one_started: false,
            told: String::new(),
            waits: (String::new(), 0),
        }
    }

    /// How far this server has come.
    pub fn stage(&self) -> Stage {
        if self.entry.is_some() { Stage::Holds } else { Stage::Empty }
    }

    /// The first entry.
    pub fn entry(&self) -> Option<&[u8]> {
        self.entry.as_deref()
    }

    /// The entry is durable, under this cluster id.
    pub fn stored(&mut self, cluster: [u8; 16], entry: Vec<u8>) {
        assert!(self.entry.is_none(), "who holds an entry takes no other");
        (self.cluster, self.entry) = (cluster, Some(entry));
    }

    /// A peer was lost: what was sent to it may not have come there.
    pub fn on_lost(&mut self, id: ServerId) {
        if let Some(offered) = self.offered.get_mut(place_of(id)) {
            *offered = false;
        }
    }

    /// What is to be done, by what the peers say of themselves.
    pub fn next(&mut self, mesh: &Mesh) -> Step {
        let others: Vec<ServerId> =
            (0..self.holds.len()).filter(|&place| place != self.place).map(id_of).collect();
        for &id in &others {
            if let Some((about, _)) = mesh.standing(id)
                && about.stage >= Stage::Holds
                && self.entry.is_some()
                && about.cluster == self.cluster
            {
                self.holds[place_of(id)] = true;
                self.one_started |= about.stage == Stage::Started;
            }
        }
        if self.entry.is_some() {
            // The first server holds it if anybody does.
            let hold = others.iter().filter(|id| place_of(**id) == 0 || self.holds[place_of(**id)]);
            let start = self.one_started || is_enough(hold.count(), others.len());
            return if start { Step::Start } else { self.offer(mesh) };
        }
        let ready = others.iter().filter(|id| self.lacks(mesh, **id).is_none());
        if self.place != 0 || !is_enough(ready.count(), others.len()) {
            return Step::Wait;
        }
        let incarnation = |id: ServerId| mesh.standing(id).map(|(_, incarnation)| incarnation);
        let members = mesh.members().iter().enumerate().map(|(place, member)| {
            let incarnation = incarnation(id_of(place)).or(member.incarnation);
            let (name, address) = (member.name.clone(), member.address.clone());
            let unknown = planted(Mutant::WipedElect).then_some(0);
            let incarnation = incarnation.or(unknown).expect("all are connected");
            Member { name, address, incarnation, number: id_of(place).0, votes: true }
        });
        Step::Make(members.collect())
    }

    fn offer(&mut self, mesh: &Mesh) -> Step {
        if self.place != 0 {
            return Step::Wait;
        }
        let waits = |id: &ServerId| {
            let empty = mesh.standing(*id).is_some_and(|(about, _)| about.stage == Stage::Empty);
            empty && !self.offered[place_of(*id)]
        };
        let to: Vec<ServerId> = (1..self.holds.len()).map(id_of).filter(waits).collect();
        if to.is_empty() {
            return Step::Wait;
        }
        to.iter().for_each(|id| self.offered[place_of(*id)] = true);
        Step::Offer(to)
    }

    /// The first entry came from another server: the cluster's id when it is to be stored now, none
    /// when it is already; an error says what is wrong with it.
    pub fn on_offer(
        &self,
        mesh: &Mesh,
        from: ServerId,
        payload: &[u8],
    ) -> Result<Option<[u8; 16]>, String> {
        let name = mesh.name_of(from);
        if self.entry.as_deref() == Some(payload) {
            return Ok(None);
        }
        let own = if self.entry.is_some() { self.cluster } else { [0; 16] };
        let Ok(Command::Found { cluster, members, .. }) = Command::decode(payload) else {
            return Err(format!("{name} offers an invalid first entry"));
        };
        let agrees = |(member, known): (&Member, &mesh::Member)| {
            let id = mesh.members().iter().position(|other| other.name == known.name).map(id_of);
            let heard = id.and_then(|id| mesh.standing(id)).map(|(_, incarnation)| incarnation);
            let incarnation = heard.or(known.incarnation).unwrap_or(member.incarnation);
            member.name == known.name
                && member.address == known.address
                && member.incarnation == incarnation
        };
        let same_list =
            members.len() == mesh.members().len() && members.iter().zip(mesh.members()).all(agrees);
        if place_of(from) != 0 || !same_list {
            return Err(format!("{name} offers a first entry whose servers differ from --cluster"));
        }
        if own != [0; 16] || (self.cluster != [0; 16] && self.cluster != cluster) {
            return Err(format!(
                "{name} offers the first entry of another cluster than this data directory's; if \
                 no cluster was formed before, remove the data directories of all servers and \
                 start again"
            ));
        }
        Ok(Some(cluster))
    }

    /// What keeps a peer from forming with this one now.
    fn lacks(&self, mesh: &Mesh, id: ServerId) -> Option<String> {
        let Some((about, _)) = mesh.standing(id) else {
            let why = mesh.why_down(id).map(|why| format!("not connected: {why}"));
            return why.or_else(|| Some("not connected".to_owned()));
        };
        let other_cluster = about.cluster != [0; 16] && about.cluster != self.cluster;
        let lacks = match about.stage {
            _ if about.list != mesh.about().list => Some("its --cluster differs"),
            _ if self.place == 0 && other_cluster => {
                Some("its data directory belongs to another cluster")
            }
            Stage::Empty => None,
            Stage::Holds | Stage::Started if self.place == 0 => {
                Some("its data directory is not empty")
            }
            Stage::Holds | Stage::Started => None,
        };
        lacks.map(str::to_owned)
    }

    /// When [`Forming::waits_for`] is to be asked again, though nothing happens.
    pub fn next_ms(&self) -> Option<u64> {
        (self.waits.0 != self.told).then_some(self.waits.1 + FORMING_TELL_MS)
    }

    /// Whom this server waits for, once that has been so for a moment and was not told last.
    pub fn waits_for(&mut self, mesh: &Mesh, now_ms: u64) -> Option<String> {
        let ids = (0..self.holds.len()).filter(|&place| place != self.place).map(id_of);
        let waits = |id: ServerId| match self.entry.is_some() {
            true if self.holds[place_of(id)] || place_of(id) == 0 => None,
            true => Some("it has not confirmed the first entry yet".to_owned()),
            false => self.lacks(mesh, id),
        };
        let waited = ids.filter_map(|id| Some(format!("{} ({})", mesh.name_of(id), waits(id)?)));
        let line = waited.collect::<Vec<_>>().join(", ");
        if line != self.waits.0 {
            self.waits = (line, now_ms);
        }
        let (line, since_ms) = &self.waits;
        if *line == self.told || now_ms < since_ms + FORMING_TELL_MS {
            return None;
        }
        self.told.clone_from(line);
        (!line.is_empty()).then(|| format!("forming the cluster: waiting for {line}"))
    }
}

/// Whether a cluster may be formed with so many of the others: with all of them.
fn is_enough(count: usize, others: usize) -> bool {
    count == others || (planted(Mutant::WipedElect) && count >= others.div_ceil(2))
}
