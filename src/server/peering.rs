//! The peers' part in a turn: what they say is stepped, what the core says is sent at once, and what
//! a backup lacks is read from the log.

use std::collections::HashMap;
use std::fmt::Write;

use super::changing::{Changing, Means};
use super::lines::Line;
use super::links::Links;
use super::payload::typed;
use super::peers::mesh::Event;
use super::service::Serving;
use super::trace::Trace;
use super::{Error, Server, TraceLevel};
use crate::limits;
use crate::raft::{Payload, Role, RoleChange, ServerId, Wanted, Why};
use crate::wal::ReadDone;

/// Marks a job of the reading thread as one for a backup; the service's are numbered from 1.
const WANTED_BIT: u64 = 1 << 63;

/// What an operator is told who asks a server without a peers' port for a change of the members.
const ALONE: &str = "result refused\nwhy this is a single server without a peer port: start it \
                     with --id, --cluster and --cluster-secret-file first\n";

/// Reads for backups, under way.
#[derive(Default)]
pub struct WantedReads {
    last: u64,
    jobs: HashMap<u64, Wanted>,
    /// Who is brought up to date from the disk, and up to which index it was told.
    behind: Vec<(ServerId, u64)>,
}

impl Server {
    /// Takes what came from peers to the core, in the order in which it came.
    pub(super) fn read_peers(&mut self) -> Result<(), Error> {
        self.links.work(self.now.monotonic_ms, self.waiting.poll.registry());
        self.take_peer_events()
    }

    fn take_peer_events(&mut self) -> Result<(), Error> {
        while let Some(event) = self.links.mesh.todo.events.pop_front() {
            let asked = match event {
                Event::Asked(key) => Some(key),
                Event::Change(key, _) if self.links.is_alone() => {
                    self.links.mesh.answer(key, ALONE.to_owned());
                    None
                }
                event => {
                    let mut asked = None;
                    self.change(|changing, with| asked = changing.take(with, event));
                    asked
                }
            };
            if let Some(key) = asked {
                let status = self.status();
                self.links.mesh.answer(key, status);
            }
            if let Some(by) = self.changing.old_copy.take() {
                return Err(Error::OldCopy { id: self.hard_state.id.clone(), by });
            }
        }
        Ok(())
    }

    /// The hard state is durable: what starts say that are in it counts.
    pub(super) fn met_saved(&mut self) -> Result<(), Error> {
        self.links.mesh.met_saved(&self.hard_state.met);
        self.take_peer_events()
    }

    /// Has something done about the members; nothing, by a server that is alone.
    pub(super) fn change(&mut self, what: impl FnOnce(&mut Changing, &mut Means<'_>)) {
        if self.links.is_alone() {
            return;
        }
        let mesh = &mut self.links.mesh;
        let (service, own) = (&mut self.service, &self.hard_state);
        let now_ms = self.now.monotonic_ms;
        what(&mut self.changing, &mut Means { service, mesh, own, now_ms });
    }

    /// What the core tells its peers leaves now, before the batch goes to the disk: they write while
    /// this server writes. What must wait for the disk is not among it yet.
    pub(super) fn send_to_peers(&mut self) {
        self.change(|_, with| with.tell_clocks());
        let links = &mut self.links;
        links.mesh.send(self.service.replica.wishes.messages.drain(..));
        links.write(self.waiting.poll.registry());
        for line in links.mesh.todo.tell.drain(..) {
            self.trace.tell(line);
        }
    }

    /// Reads what backups lack: at once where the system has it in memory, by the thread where not.
    pub(super) fn read_wanted(&mut self) {
        let wanted = std::mem::take(&mut self.service.replica.wishes.wanted);
        self.tell_caught_up();
        if wanted.is_empty() {
            return;
        }
        for wanted in wanted {
            self.tell_behind(&wanted);
            if let Some(payloads) = self.read_now(&wanted) {
                self.service.replica.provide(&wanted, payloads);
            }
        }
        // What was provided is to be sent in this very turn.
        self.service.replica.route();
    }

    fn tell_behind(&mut self, wanted: &Wanted) {
        let (to, first) = (wanted.to, wanted.first);
        if self.wanted.behind.iter().any(|(id, _)| *id == to) {
            return;
        }
        let last = self.service.replica.core().last_index();
        self.wanted.behind.push((to, last));
        let name = self.links.mesh.name_of(to);
        self.trace.info(format_args!(
            "catch-up of {name} started: it lacks entries {first} to {last}, which are read from \
             disk"
        ));
    }

    /// Whose catch-up has come to where the log ended when it began.
    fn tell_caught_up(&mut self) {
        if self.wanted.behind.is_empty() {
            return;
        }
        let backups = self.service.replica.core().backups();
        let (mesh, trace) = (&self.links.mesh, self.trace);
        self.wanted.behind.retain(|(id, last)| {
            let Some(backup) = backups.iter().find(|backup| backup.id == *id) else {
                // Another server is PRIMARY now, and goes on with it.
                return false;
            };
            let name = mesh.name_of(*id);
            let done = backup.match_index >= *last;
            if done {
                trace.info(format_args!("catch-up of {name} finished at entry {last}"));
            }
            !done
        });
    }

    /// The payloads, where they can be had without waiting; none when the thread reads them.
    fn read_now(&mut self, wanted: &Wanted) -> Option<Vec<Payload>> {
        let locations = self.service.replica.locations_of(wanted);
        let payloads: Vec<Payload> = match self.reader.try_read(&locations) {
            Ok(payloads) => payloads.map(typed).collect(),
            Err(error) => {
                self.on_read_failed(&error);
                self.trace.error(format_args!("cannot read an entry that a backup needs: {error}"));
                return Some(Vec::new());
            }
        };
        if !payloads.is_empty() || locations.is_empty() {
            return Some(payloads);
        }
        self.wanted.last += 1;
        let job = self.wanted.last | WANTED_BIT;
        let has_room = self.wanted.jobs.len() < limits::PEER_READS;
        if !has_room || self.reader.submit(job, locations).is_err() {
            return Some(Vec::new());
        }
        self.wanted.jobs.insert(job, *wanted);
        None
    }

    /// The thread has read something; true when it was for a backup.
    pub(super) fn on_wanted_read(&mut self, done: &ReadDone) -> bool {
        let Some(wanted) = self.wanted.jobs.remove(&done.job) else { return false };
        let payloads = match &done.result {
            Ok(payloads) => payloads.iter().map(|bytes| typed(bytes)).collect(),
            Err(error) => {
                self.on_read_failed(error);
                self.trace.error(format_args!("cannot read an entry that a backup needs: {error}"));
                Vec::new()
            }
        };
        self.service.replica.provide(&wanted, payloads);
        true
    }

    /// At a stop: hands over first. True when that is done, or was not to be done, or has failed.
    pub(super) fn handed_over(&mut self) -> bool {
        let core = self.service.replica.core();
        let role = core.role();
        if core.members().voters.len() == 1 {
            return true;
        }
        if !self.handing_over {
            if role != Role::Primary {
                return true;
            }
            // What was asked for before is answered first, so that nobody has to ask again.
            if !self.service.is_answered() {
                return false;
            }
            self.handing_over = self.service.replica.hand_over(self.now.monotonic_ms);
            // The turn that tells the successor is not to wait for anything.
            let _ = self.waiting.waker.wake();
            return !self.handing_over;
        }
        if role == Role::Primary {
            return self.service.replica.core().transferring_to().is_none();
        }
        // The clients are told where to go before they are let go.
        matches!(self.service.serving(), Serving::Elsewhere(_))
    }

    /// How this server stands, for an operator: a `key value` a line.
    fn status(&self) -> String {
        let replica = &self.service.replica;
        let core = replica.core();
        let mut text = String::new();
        let mut put = |key: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "{key} {value}"); // writing to a String cannot fail
        };
        put("id", &self.hard_state.id);
        match core.is_restoring() {
            true => put("role", &"RESTORING"),
            false => put("role", &core.role()),
        }
        put("term", &core.term());
        put("commit", &core.commit());
        put("applied", &replica.state().applied());
        put("last", &core.last_index());
        put("sync_us", &self.last_sync_us);
        put("connections", &self.service.connections());
        put("segments", &replica.wal().segments());
        put("bytes", &replica.wal().bytes());
        put("version", &env!("CARGO_PKG_VERSION"));
        let mesh = &self.links.mesh;
        let name = |id| mesh.name_of(id);
        put("primary", &core.primary().map_or("-", name));
        for member in mesh.members() {
            let (name, id) = (&member.name, member.number);
            let address = if self.links.is_alone() { "-" } else { &member.address };
            let up = if id == core.id() || mesh.is_up(id) { "up" } else { "down" };
            let votes = if core.members().is_voter(id) { "voter" } else { "non-voter" };
            let directory = member.incarnation.unwrap_or(0);
            let rest = format_args!("{up} {votes} {directory:016x} {id}");
            put("member", &format_args!("{name} {address} {rest}"));
            if let Some(why) = mesh.why_down(id) {
                put("why", &format_args!("{name} {why}"));
            }
        }
        for backup in core.backups() {
            put("match", &format_args!("{} {}", name(backup.id), backup.match_index));
        }
        text
    }
}

/// Tells an operator of a new role, or of a PRIMARY newly known or lost. A server that is alone has
/// nothing to tell.
pub fn tell_change(trace: Trace, links: &Links, change: &RoleChange) {
    let RoleChange { role, term, primary, why } = change;
    if links.is_alone() {
        let line = format!("{role} in term {term}: {why}");
        return trace.tell(Line::of(TraceLevel::Debug, "role", line));
    }
    let primary = match (role, primary) {
        (Role::Backup, Some(id)) => format!(", PRIMARY is {}", links.mesh.name_of(*id)),
        (Role::Backup, None) => ", no PRIMARY is known".to_owned(),
        _ => String::new(),
    };
    if let Why::Lost { .. } | Why::OldCopy { .. } = why {
        return trace.error(why);
    }
    let level = match why {
        Why::Timeout | Why::PrimaryLost | Why::QuorumLost => TraceLevel::Warning,
        _ => TraceLevel::Info,
    };
    let why = match why {
        Why::NewerTerm { from } => {
            format!("{} knows a newer term", links.mesh.name_of(*from))
        }
        why => why.to_string(),
    };
    trace.tell(Line::of(level, "role", format!("{role} in term {term}{primary}: {why}")));
}
