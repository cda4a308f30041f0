//! The start of a cluster's server that is no member yet: its own small loop, which ends when it is.
//!
//! - All empty servers of a list form a cluster: which step comes when, and why that is safe, says
//!   [`super::peers::forming`].
//! - Where there is a cluster already, an operator lets the server in (`chatctl members add`, or
//!   `replace` for one that was wiped). Once that is committed, any member tells it so by
//!   [`Frame::Join`], with the cluster's id, its number and the other servers; it gets the log as any
//!   server does that has fallen behind. Until its log has come to where it is named, it waits for
//!   that word again after a restart.

use super::links::Links;
use super::peers::forming::{Forming, Step};
use super::peers::mesh::{self, Event};
use super::peers::session::Block;
use super::peers::wire::{About, Frame, Stage};
use super::start::random;
use super::trace::Trace;
use super::turn::Waiting;
use super::{Error, TraceLevel, standing};
use crate::chat::{self, Command};
use crate::limits;
use crate::net::Key;
use crate::raft::ServerId;
use crate::sys::clock;
use crate::sys::signal::Signals;
use crate::wal::hard_state::{self, HardState};
use crate::wal::{self, DataDir, Identity};

/// How it ended.
pub(super) enum Outcome {
    /// A signal said stop before.
    Stopped,
    /// The log names this server.
    Formed,
    /// It was let into a cluster of these.
    Joined(Vec<chat::Member>),
}

/// What a server forms with.
pub(super) struct Former<'a> {
    pub directory: &'a DataDir,
    pub hard_state: &'a mut HardState,
    pub links: &'a mut Links,
    pub waiting: &'a mut Waiting,
    pub signals: &'a mut Signals,
    pub segment_mib: u32,
    pub trace: Trace,
    /// When those that are not connected are asked again whether they have a cluster.
    pub probe_ms: u64,
    /// Who was found to have one, and was told of.
    pub found: Vec<String>,
}

impl Former<'_> {
    /// Waits for the others and forms the cluster with them, or is let into one.
    pub(super) fn form(&mut self) -> Result<Outcome, Error> {
        let cluster = self.hard_state.cluster;
        let entry = if cluster == [0; 16] { None } else { self.recover()?.1 };
        if let Some(entry) = &entry {
            self.learn(entry)?;
        }
        let mut forming = Forming::new(&self.links.mesh, cluster, entry);
        self.tell_stage(forming.stage());
        loop {
            while let Some(event) = self.links.mesh.todo.events.pop_front() {
                if let Some(members) = self.on_event(&mut forming, event)? {
                    return Ok(Outcome::Joined(members));
                }
            }
            self.probe();
            match forming.next(&self.links.mesh) {
                Step::Start => break,
                Step::Wait => {
                    if let Some(line) = forming.waits_for(&self.links.mesh, clock::monotonic_ms()) {
                        self.trace.info(line);
                    }
                    self.write();
                    if !self.wait(forming.next_ms())? {
                        self.links.stop(self.waiting.poll.registry());
                        return Ok(Outcome::Stopped);
                    }
                }
                Step::Make(members) => {
                    let cluster = match self.hard_state.cluster {
                        none if none == [0; 16] => random()?,
                        kept => kept,
                    };
                    let (time, token_secret) = (clock::unix_ms(), random()?);
                    let mut entry = Vec::new();
                    Command::Found { time, cluster, token_secret, members }.encode(&mut entry);
                    self.take(&mut forming, cluster, entry)?;
                }
                Step::Offer(to) => {
                    let entry = forming.entry().expect("what is offered is held").to_vec();
                    let block = Block::new(entry);
                    for id in to {
                        self.links.mesh.send_frame(id, &Frame::Adopt(Vec::new()), &block);
                    }
                }
            }
        }
        self.hard_state.term = 1;
        self.save()?;
        self.tell_stage(Stage::Started);
        self.write();
        self.trace.info("the cluster is formed");
        Ok(Outcome::Formed)
    }

    /// Waits until it is told, after a restart, where it stands in the cluster that let it in.
    pub(super) fn join(&mut self) -> Result<Outcome, Error> {
        self.tell_stage(Stage::Empty);
        self.trace.info("the log does not name this server yet: waiting for a member to do so");
        loop {
            while let Some(event) = self.links.mesh.todo.events.pop_front() {
                match event {
                    Event::Join(from, entry) => {
                        if let Some(members) = self.on_join(from, &entry)? {
                            return Ok(Outcome::Joined(members));
                        }
                    }
                    Event::Asked(key) => self.answer(key, "joining"),
                    Event::Change(key, _) => self.refuse_change(key),
                    event => self.on_probed(event),
                }
            }
            self.probe();
            self.write();
            if !self.wait(None)? {
                self.links.stop(self.waiting.poll.registry());
                return Ok(Outcome::Stopped);
            }
        }
    }

    fn answer(&mut self, key: Key, role: &str) {
        let id = &self.hard_state.id;
        self.links.mesh.answer(key, format!("id {id}\nrole {role}\n"));
    }

    fn refuse_change(&mut self, key: Key) {
        let why = "result elsewhere\nwhy this server is no member yet\n";
        self.links.mesh.answer(key, why.to_owned());
    }

    /// A member says that this server is one. None: it is not, as far as this one knows.
    fn on_join(
        &mut self,
        from: ServerId,
        entry: &[u8],
    ) -> Result<Option<Vec<chat::Member>>, Error> {
        let name = self.links.mesh.name_of(from).to_owned();
        let cluster = self.links.mesh.standing(from).map(|(about, _)| about.cluster);
        let Some(cluster) = cluster.filter(|cluster| *cluster != [0; 16]) else { return Ok(None) };
        let members = chat::members_in(entry).unwrap_or_default();
        let Some(own) = standing::find(&members, self.hard_state) else {
            self.trace.wrong(format_args!("{name} lets in another server than this one"));
            return Ok(None);
        };
        if self.hard_state.cluster != [0; 16] && self.hard_state.cluster != cluster {
            self.trace.wrong(format_args!("{name} lets this server into another cluster"));
            return Ok(None);
        }
        let number = own.number;
        if self.hard_state.term == 0 {
            self.hard_state.cluster = cluster;
            self.save()?;
            // From the first term on there is a log.
            self.recover()?;
            self.hard_state.term = 1;
            self.save()?;
        }
        let list = members.iter().cloned().map(mesh::Member::from).collect();
        self.links.mesh.set_members(list);
        self.tell_stage(Stage::Started);
        self.write();
        self.trace.info(format_args!(
            "this server is let in, under number {number}: {}",
            standing::survive(&members)
        ));
        Ok(Some(members))
    }

    /// Asks those that are listed and not connected whether they have a cluster: it does not let this
    /// server in before an operator says so.
    fn probe(&mut self) {
        let now_ms = clock::monotonic_ms();
        if now_ms < self.probe_ms {
            return;
        }
        self.probe_ms = now_ms + limits::FORMING_PROBE_MS;
        let mesh = &mut self.links.mesh;
        let away = |member: &&mesh::Member| {
            member.name != self.hard_state.id && !mesh.is_up(member.number)
        };
        let away: Vec<mesh::Member> = mesh.members().iter().filter(away).cloned().collect();
        away.into_iter().for_each(|member| mesh.probe(member.name, member.address));
    }

    fn on_probed(&mut self, event: Event) {
        let Event::Probed(_, Ok(identity)) = event else { return };
        let is_formed = identity.cluster != [0; 16];
        if !is_formed || self.found.contains(&identity.name) {
            return;
        }
        let own = self.links.mesh.members().iter().find(|member| member.name == self.hard_state.id);
        let address = own.map_or("HOST:PORT", |member| &member.address);
        let (other, id) = (&identity.name, &self.hard_state.id);
        self.trace.info(format_args!(
            "{other} has a cluster already, and this server is not in it: \"chatctl members add \
             {id}={address}\" lets it in, \"chatctl members replace {id}\" in the place of an \
             earlier {id}"
        ));
        self.found.push(identity.name);
    }

    /// The members, where this server was let in as one.
    fn on_event(
        &mut self,
        forming: &mut Forming,
        event: Event,
    ) -> Result<Option<Vec<chat::Member>>, Error> {
        match event {
            Event::Lost(id) => forming.on_lost(id),
            Event::Adopt(from, entry) => match forming.on_offer(&self.links.mesh, from, &entry) {
                Ok(Some(cluster)) => self.take(forming, cluster, entry)?,
                Ok(None) => {}
                Err(why) => self.trace.wrong(why),
            },
            Event::Asked(key) => self.answer(key, "forming"),
            // Who holds a first entry is one of those who form.
            Event::Join(from, entry) if forming.stage() == Stage::Empty => {
                return self.on_join(from, &entry);
            }
            Event::Probed(..) if forming.stage() == Stage::Empty => self.on_probed(event),
            Event::Change(key, _) => self.refuse_change(key),
            // Who has started already does not wait for this server's answers.
            Event::Raft(..)
            | Event::About(_)
            | Event::Up(_)
            | Event::Join(..)
            | Event::Probed(..) => {}
        }
        Ok(None)
    }

    /// Makes the first entry durable, then tells of it.
    fn take(
        &mut self,
        forming: &mut Forming,
        cluster: [u8; 16],
        entry: Vec<u8>,
    ) -> Result<(), Error> {
        if self.hard_state.cluster != cluster {
            self.hard_state.cluster = cluster;
            self.save()?;
        }
        let (mut wal, _) = self.recover()?;
        assert_eq!(wal.last_index(), 0, "the first entry goes into an empty log");
        wal.append_entry(1, 1, &entry);
        // All that ever start have this entry here: it is committed.
        let batch = wal.take_batch(1).expect("a new log takes a batch");
        wal::perform(&mut self.directory.wal_disk(), &batch).map_err(Error::Disk)?;
        self.learn(&entry)?;
        forming.stored(cluster, entry);
        self.tell_stage(Stage::Holds);
        Ok(())
    }

    /// The log, and its first entry where there is one.
    fn recover(&self) -> Result<(wal::Wal, Option<Vec<u8>>), Error> {
        let identity = Identity { cluster: self.hard_state.cluster };
        let options =
            wal::Options { expect: Some(identity), segment_bytes: self.segment_mib << 20 };
        let mut entry = None;
        let mut visit = |index: u64, _: u64, payload: &[u8]| {
            if index == 1 {
                entry = Some(payload.to_vec());
            }
            Ok(())
        };
        let (wal, _) = wal::recover(&mut self.directory.wal_disk(), &options, &mut visit)
            .map_err(Error::Recover)?;
        Ok((wal, entry))
    }

    /// Who holds the entry knows every member's incarnation, and goes on with no other list.
    fn learn(&mut self, entry: &[u8]) -> Result<(), Error> {
        let members = match Command::decode(entry) {
            Ok(Command::Found { members, .. }) => members,
            _ => Vec::new(),
        };
        let members: Vec<mesh::Member> = members.into_iter().map(mesh::Member::from).collect();
        let place = |member: &mesh::Member| (member.name.clone(), member.address.clone());
        if !members.iter().map(place).eq(self.links.mesh.members().iter().map(place)) {
            let list: Vec<String> = members
                .iter()
                .map(|member| format!("{}={}", member.name, member.address))
                .collect();
            return Err(Error::Cluster(format!(
                "the data directory {} has begun to form a cluster of {}: give that list with \
                 --cluster, or remove the data directories of all its servers and start again",
                self.directory.path().display(),
                list.join(",")
            )));
        }
        self.links.mesh.set_members(members);
        Ok(())
    }

    fn save(&self) -> Result<(), Error> {
        hard_state::save(&mut self.directory.disk(), self.hard_state).map_err(Error::State)
    }

    fn tell_stage(&mut self, stage: Stage) {
        let mesh = &mut self.links.mesh;
        let about = About { stage, cluster: self.hard_state.cluster, ..mesh.about().clone() };
        mesh.set_about(about);
    }

    fn write(&mut self) {
        self.links.write(self.waiting.poll.registry());
        for (level, line) in self.links.mesh.todo.tell.drain(..) {
            self.trace.tell(level, line);
        }
    }

    /// Until something happens. False: a signal says stop.
    fn wait(&mut self, next_ms: Option<u64>) -> Result<bool, Error> {
        let now = self.links.is_ready().then_some(0);
        let instants_ms = [now, next_ms, self.links.mesh.next_ms(), Some(self.probe_ms)];
        let next_ms = instants_ms.into_iter().flatten().min();
        let links = &mut *self.links;
        let signalled = self.waiting.wait(next_ms, |event| {
            let _ = links.on_event(event);
        })?;
        if signalled && let Some(number) = self.signals.next() {
            self.trace.tell(TraceLevel::Info, format_args!("signal {number}: stopping"));
            return Ok(false);
        }
        self.links.work(clock::monotonic_ms(), self.waiting.poll.registry());
        Ok(true)
    }
}
