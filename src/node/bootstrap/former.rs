//! The start of a cluster's server that is no member yet.
//!
//! - All empty servers of a list form a cluster: which step comes when, and why that is safe, says
//!   [`super::forming`].
//! - Where there is a cluster already, an operator lets the server in (`chatctl members add`, or
//!   `replace` for one that was wiped). Once that is committed, any member tells it so by
//!   [`Frame::Join`], with the cluster's id, its number and the other servers; it gets the log as any
//!   server does that has fallen behind. Until its log has come to where it is named, it waits for
//!   that word again after a restart.

use super::disks::Disks;
use super::forming::{Forming, Step};
use crate::chat::{self, Command};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::node::end::End;
use crate::node::lines::{Line, TraceLevel};
use crate::node::members;
use crate::node::peers::mesh::{self, Event, Mesh};
use crate::node::peers::session::Block;
use crate::node::peers::wire::{About, Frame, Stage};
use crate::raft::ServerId;
use crate::wal::hard_state::{self, HardState};
use crate::wal::{self, Disk, Identity};

/// How it ended.
#[derive(Debug)]
pub enum Outcome {
    /// The log names this server.
    Formed,
    /// It was let into a cluster of these.
    Joined(Vec<chat::Member>),
}

/// A server that is no member yet. What it stores is durable when a call returns; what it wants
/// sent is in the mesh.
pub struct Former<D> {
    disks: Disks<D>,
    /// Bytes of a segment of the log.
    segment_bytes: u32,
    /// None: it had a term once, and waits until a member tells it where it stands.
    forming: Option<Forming>,
    /// When those that are not connected are asked again whether they have a cluster.
    probe_ms: u64,
    /// Who was found to have one, and was told of.
    found: Vec<String>,
}

/// What it does something with.
pub struct Means<'a> {
    /// What the directory says.
    pub own: &'a mut HardState,
    /// The others.
    pub mesh: &'a mut Mesh,
    /// Of a clock that never goes back, milliseconds.
    pub now_ms: u64,
    /// Of the day, milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

impl<D: Disk> Former<D> {
    /// Waits for the others, to form the cluster with them or to be let into one.
    pub fn form(
        mut disks: Disks<D>,
        segment_bytes: u32,
        with: &mut Means<'_>,
    ) -> Result<Former<D>, End> {
        let cluster = with.own.cluster;
        let entry =
            if cluster == [0; 16] { None } else { disks.recover(cluster, segment_bytes)?.1 };
        if let Some(entry) = &entry {
            with.learn(entry)?;
        }
        let entry = entry.filter(|_| !planted(Mutant::FirstEntryNotReadBack));
        let forming = Forming::new(with.mesh, cluster, entry);
        with.tell_stage(forming.stage());
        Ok(Former::new(disks, segment_bytes, Some(forming), with.now_ms))
    }

    /// Waits until it is told, after a restart, where it stands in the cluster that let it in.
    pub fn join(disks: Disks<D>, segment_bytes: u32, with: &mut Means<'_>) -> Former<D> {
        with.tell_stage(Stage::Empty);
        let line = "the log does not name this server yet: waiting for a member to send the rest";
        with.tell(TraceLevel::Info, line.to_owned());
        Former::new(disks, segment_bytes, None, with.now_ms)
    }

    fn new(
        disks: Disks<D>,
        segment_bytes: u32,
        forming: Option<Forming>,
        now_ms: u64,
    ) -> Former<D> {
        let probe_ms = now_ms + limits::FORMING_PROBE_MS;
        Former { disks, segment_bytes, forming, probe_ms, found: Vec::new() }
    }

    /// Does what can be done now; none while it must wait.
    pub fn turn(&mut self, with: &mut Means<'_>) -> Result<Option<Outcome>, End> {
        loop {
            if *with.mesh.met() != *with.own.met {
                with.own.met = with.mesh.met().to_vec();
                self.disks.save(with.own)?;
            }
            with.mesh.met_saved(&with.own.met);
            while let Some(event) = with.mesh.todo.events.pop_front() {
                if let Some(members) = self.on_event(with, event)? {
                    return Ok(Some(Outcome::Joined(members)));
                }
            }
            self.probe(with);
            let Some(forming) = &mut self.forming else { return Ok(None) };
            match forming.next(with.mesh) {
                Step::Start => break,
                Step::Wait => {
                    if let Some(line) = forming.waits_for(with.mesh, with.now_ms) {
                        with.tell(TraceLevel::Info, line);
                    }
                    return Ok(None);
                }
                Step::Make(members) => {
                    let cluster = match with.own.cluster {
                        none if none == [0; 16] => self.disks.random()?,
                        kept => kept,
                    };
                    let (time, token_secret) = (with.unix_ms, self.disks.random()?);
                    let mut entry = Vec::new();
                    Command::Found { time, cluster, token_secret, members }.encode(&mut entry);
                    self.take(with, cluster, entry)?;
                }
                Step::Offer(to) => {
                    let entry = forming.entry().expect("what is offered is held").to_vec();
                    let block = Block::new(entry);
                    for id in to {
                        with.mesh.send_frame(id, &Frame::Adopt(Vec::new()), &block);
                    }
                }
            }
        }
        with.own.term = 1;
        self.disks.save(with.own)?;
        with.tell_stage(Stage::Started);
        with.tell(TraceLevel::Info, "the cluster is formed".to_owned());
        Ok(Some(Outcome::Formed))
    }

    /// The instant at which [`Former::turn`] must be called even if nothing happens, milliseconds.
    pub fn next_ms(&self) -> u64 {
        let told_ms = self.forming.as_ref().and_then(Forming::next_ms);
        told_ms.unwrap_or(self.probe_ms).min(self.probe_ms)
    }

    /// Whether it is empty, and may be let into a cluster.
    fn may_join(&self) -> bool {
        self.forming.as_ref().is_none_or(|forming| forming.stage() == Stage::Empty)
    }

    /// A member says that this server is one. None: it is not, as far as this one knows.
    fn on_join(
        &mut self,
        with: &mut Means<'_>,
        from: ServerId,
        entry: &[u8],
    ) -> Result<Option<Vec<chat::Member>>, End> {
        let name = with.mesh.name_of(from).to_owned();
        let cluster = with.mesh.standing(from).map(|(about, _)| about.cluster);
        let Some(cluster) = cluster.filter(|cluster| *cluster != [0; 16]) else { return Ok(None) };
        let members = chat::members_in(entry).unwrap_or_default();
        let Some(own) = members::find(&members, with.own) else {
            let line = format!("{name} admits another server than this one");
            with.tell(TraceLevel::Warning, line);
            return Ok(None);
        };
        if with.own.cluster != [0; 16] && with.own.cluster != cluster {
            let line =
                format!("{name} belongs to another cluster than this server's data directory");
            with.tell(TraceLevel::Warning, line);
            return Ok(None);
        }
        let number = own.number;
        if with.own.term == 0 {
            with.own.cluster = cluster;
            self.disks.save(with.own)?;
            // From the first term on there is a log.
            self.disks.recover(cluster, self.segment_bytes)?;
            with.own.term = 1;
            self.disks.save(with.own)?;
        }
        let list = members.iter().cloned().map(mesh::Member::from).collect();
        with.mesh.set_members(list);
        with.tell_stage(Stage::Started);
        let survives = members::survive(&members);
        let line = format!("this server is admitted as number {number}: {survives}");
        with.tell(TraceLevel::Info, line);
        Ok(Some(members))
    }

    /// Asks those that are listed and not connected whether they have a cluster: it does not let this
    /// server in before an operator says so.
    fn probe(&mut self, with: &mut Means<'_>) {
        if with.now_ms < self.probe_ms {
            return;
        }
        self.probe_ms = with.now_ms + limits::FORMING_PROBE_MS;
        let mesh = &mut *with.mesh;
        let away =
            |member: &&mesh::Member| member.name != with.own.id && !mesh.is_up(member.number);
        let away: Vec<mesh::Member> = mesh.members().iter().filter(away).cloned().collect();
        away.into_iter().for_each(|member| mesh.probe(member.name, member.address));
    }

    fn on_probed(&mut self, with: &mut Means<'_>, event: Event) {
        let Event::Probed(_, Ok(identity)) = event else { return };
        let is_formed = identity.cluster != [0; 16];
        if !is_formed || self.found.contains(&identity.name) {
            return;
        }
        let own = with.mesh.members().iter().find(|member| member.name == with.own.id);
        let address = own.map_or("HOST:PORT", |member| &member.address);
        let (other, id) = (&identity.name, &with.own.id);
        let line = format!(
            "{other} is in a cluster, and this server is not a member of it: run \"chatctl \
             members add {id}={address}\" to add it, or \"chatctl members replace {id}\" if it \
             replaces an earlier {id}"
        );
        with.tell(TraceLevel::Info, line);
        self.found.push(identity.name);
    }

    /// The members, where this server was let in as one.
    fn on_event(
        &mut self,
        with: &mut Means<'_>,
        event: Event,
    ) -> Result<Option<Vec<chat::Member>>, End> {
        match event {
            Event::Lost(id) => {
                if let Some(forming) = &mut self.forming {
                    forming.on_lost(id);
                }
            }
            Event::Adopt(from, entry) => {
                let Some(forming) = &mut self.forming else { return Ok(None) };
                match forming.on_offer(with.mesh, from, &entry) {
                    Ok(Some(cluster)) => self.take(with, cluster, entry)?,
                    Ok(None) => {}
                    Err(why) => with.tell(TraceLevel::Warning, why),
                }
            }
            Event::Asked(key) => {
                let role = if self.forming.is_some() { "forming" } else { "joining" };
                let id = &with.own.id;
                with.mesh.answer(key, format!("id {id}\nrole {role}\n"));
            }
            // Who holds a first entry is one of those who form.
            Event::Join(from, entry) if self.may_join() => {
                return self.on_join(with, from, &entry);
            }
            Event::OldCopy(by) => {
                with.own.old_copy = by;
                self.disks.save(with.own)?;
                return Err(End::OldCopy {
                    id: with.own.id.clone(),
                    by: with.own.old_copy.clone(),
                });
            }
            Event::Probed(..) if self.may_join() => self.on_probed(with, event),
            Event::Change(key, _) => refuse_change(with, key),
            Event::Told(key, _) => with.mesh.dismiss(key),
            // Who has started already does not wait for this server's answers.
            Event::Raft(..)
            | Event::About(_)
            | Event::Clock(..)
            | Event::Up(_)
            | Event::Join(..)
            | Event::Probed(..) => {}
        }
        Ok(None)
    }

    /// Makes the first entry durable, then tells of it.
    fn take(&mut self, with: &mut Means<'_>, cluster: [u8; 16], entry: Vec<u8>) -> Result<(), End> {
        if with.own.cluster != cluster {
            with.own.cluster = cluster;
            self.disks.save(with.own)?;
        }
        let (mut wal, _) = self.disks.recover(cluster, self.segment_bytes)?;
        assert_eq!(wal.last_index(), 0, "the first entry goes into an empty log");
        wal.append_entry(1, 1, &entry);
        // All that ever start have this entry here: it is committed.
        let batch = wal.take_batch(1).expect("a new log takes a batch");
        wal::perform(&mut self.disks.log, &batch).map_err(End::Disk)?;
        with.learn(&entry)?;
        let forming = self.forming.as_mut().expect("only who forms takes a first entry");
        forming.stored(cluster, entry);
        with.tell_stage(Stage::Holds);
        Ok(())
    }
}

fn refuse_change(with: &mut Means<'_>, key: Key) {
    let why = "result elsewhere\nwhy this server is not a member yet\n";
    with.mesh.answer(key, why.to_owned());
}

impl<D: Disk> Disks<D> {
    /// The log, and its first entry where there is one.
    fn recover(
        &mut self,
        cluster: [u8; 16],
        segment_bytes: u32,
    ) -> Result<(wal::Wal, Option<Vec<u8>>), End> {
        let expect = Some(Identity { cluster });
        let options = wal::Options { expect, segment_bytes };
        let mut entry = None;
        let mut visit = |index: u64, _: u64, payload: &[u8]| {
            if index == 1 {
                entry = Some(payload.to_vec());
            }
            Ok(())
        };
        let recovered = wal::recover(&mut self.log, &options, &mut visit);
        let (wal, report) = recovered.map_err(End::Recover)?;
        // A crash may have cut off what says that it is committed.
        let entry = entry.or(report.tail.into_iter().next().map(|entry| entry.payload));
        Ok((wal, entry))
    }

    fn save(&mut self, own: &HardState) -> Result<(), End> {
        hard_state::save(&mut self.state, own).map_err(End::State)
    }

    fn random<const N: usize>(&mut self) -> Result<[u8; N], End> {
        let mut bytes = [0; N];
        for part in bytes.chunks_mut(8) {
            let random = self.state.random();
            let random = random.map_err(End::Random)?;
            part.copy_from_slice(&random.to_be_bytes()[..part.len()]);
        }
        Ok(bytes)
    }
}

impl Means<'_> {
    /// Who holds the entry knows every member's incarnation, and goes on with no other list.
    fn learn(&mut self, entry: &[u8]) -> Result<(), End> {
        let members = match Command::decode(entry) {
            Ok(Command::Found { members, .. }) => members,
            _ => Vec::new(),
        };
        let members: Vec<mesh::Member> = members.into_iter().map(mesh::Member::from).collect();
        let place = |member: &mesh::Member| (member.name.clone(), member.address.clone());
        if !members.iter().map(place).eq(self.mesh.members().iter().map(place)) {
            let list: Vec<String> = members
                .iter()
                .map(|member| format!("{}={}", member.name, member.address))
                .collect();
            return Err(End::Cluster(format!(
                "the data directory of {} belongs to a half-formed cluster of {}: give that list \
                 with --cluster, or remove the data directories of all its servers and start again",
                self.own.id,
                list.join(",")
            )));
        }
        self.mesh.set_members(members);
        Ok(())
    }

    fn tell_stage(&mut self, stage: Stage) {
        let about = About { stage, cluster: self.own.cluster, ..self.mesh.about().clone() };
        self.mesh.set_about(about);
    }

    fn tell(&mut self, level: TraceLevel, line: String) {
        self.mesh.todo.tell.push(Line::new(level, line));
    }
}
