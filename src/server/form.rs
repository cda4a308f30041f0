//! The start of a cluster's server whose cluster is not formed yet: its own small loop, which ends
//! when the directory is that of a server of a formed cluster. Which step comes when, and why that is
//! safe, says [`super::peers::forming`].

use super::links::Links;
use super::peers::forming::{Forming, Step};
use super::peers::mesh::{self, Event};
use super::peers::session::Block;
use super::peers::wire::{About, Frame, Stage};
use super::start::random;
use super::trace::Trace;
use super::turn::Waiting;
use super::{Error, TraceLevel};
use crate::chat::Command;
use crate::sys::clock;
use crate::sys::signal::Signals;
use crate::wal::hard_state::{self, HardState};
use crate::wal::{self, DataDir, Identity};

/// What a server forms with.
pub(super) struct Former<'a> {
    pub directory: &'a DataDir,
    pub hard_state: &'a mut HardState,
    pub links: &'a mut Links,
    pub waiting: &'a mut Waiting,
    pub signals: &'a mut Signals,
    pub segment_mib: u32,
    pub trace: Trace,
}

impl Former<'_> {
    /// Waits for the others and forms the cluster with them. False: a signal said stop before.
    pub(super) fn form(&mut self) -> Result<bool, Error> {
        let cluster = self.hard_state.cluster;
        let entry = if cluster == [0; 16] { None } else { self.recover()?.1 };
        if let Some(entry) = &entry {
            self.learn(entry)?;
        }
        let mut forming = Forming::new(&self.links.mesh, cluster, entry);
        self.tell_stage(forming.stage());
        loop {
            while let Some(event) = self.links.mesh.todo.events.pop_front() {
                self.on_event(&mut forming, event)?;
            }
            match forming.next(&self.links.mesh) {
                Step::Start => break,
                Step::Wait => {
                    if let Some(line) = forming.waits_for(&self.links.mesh, clock::monotonic_ms()) {
                        self.trace.info(line);
                    }
                    self.write();
                    if !self.wait(forming.next_ms())? {
                        self.links.stop(self.waiting.poll.registry());
                        return Ok(false);
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
        Ok(true)
    }

    fn on_event(&mut self, forming: &mut Forming, event: Event) -> Result<(), Error> {
        match event {
            Event::Lost(id) => forming.on_lost(id),
            Event::Adopt(from, entry) => match forming.on_offer(&self.links.mesh, from, &entry) {
                Ok(Some(cluster)) => self.take(forming, cluster, entry)?,
                Ok(None) => {}
                Err(why) => self.trace.wrong(why),
            },
            Event::Asked(key) => {
                let id = &self.hard_state.id;
                self.links.mesh.answer(key, format!("id {id}\nrole forming\n"));
            }
            // Who has started already does not wait for this server's answers.
            Event::Raft(..) | Event::About(_) | Event::Up(_) => {}
        }
        Ok(())
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
        let next_ms = [now, next_ms, self.links.mesh.next_ms()].into_iter().flatten().min();
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
