//! From a data directory to a server's place in its cluster: the log is read back, and where it does
//! not say yet what this server is, the others are waited for.

use super::cluster::{self, Listed};
use super::form::{Disks, Former, Means, Outcome};
use super::links::Links;
use super::opening::{self, Opener};
use super::payload::{self, typed};
use super::peers::mesh::{self, Member};
use super::replica::{self, Recovered};
use super::standing::{self, Known, LONE, Standing};
use super::trace::Trace;
use super::turn::{self, Waiting};
use super::{Error, Options, damage};
use crate::chat::{self, State};
use crate::mutants::{Mutant, planted};
use crate::net::{Listen, Listener};
use crate::raft::{self, ServerId};
use crate::sys::clock;
use crate::sys::signal::Signals;
use crate::wal::data_dir::operator_socket;
use crate::wal::hard_state::{self, HardState};
use crate::wal::{self, DataDir, Identity, RealDisk, RecoverError};

/// What a server enters with.
pub(super) struct Entering<'a> {
    pub options: &'a Options,
    pub directory: &'a DataDir,
    pub hard_state: &'a mut HardState,
    pub waiting: &'a mut Waiting,
    pub signals: &'a mut Signals,
    pub listeners: &'a mut [Listener],
    pub client_address: &'a str,
    pub trace: Trace,
}

/// What it is then.
pub(super) struct Entered {
    /// The peers' port, and the operators' socket.
    pub links: Links,
    /// The log and the state.
    pub recovered: Recovered,
    /// Its number.
    pub id: ServerId,
}

impl Entering<'_> {
    /// None: a signal said stop before.
    pub(super) fn enter(&mut self) -> Result<Option<Entered>, Error> {
        let options = self.options;
        let mut links = None;
        let mut joined = None;
        if self.hard_state.term == 0 && !options.cluster.is_empty() {
            let Some(mut opened) = self.open_listed()? else { return Ok(None) };
            let former = Former::form(self.disks(), &mut self.means(&mut opened))?;
            match self.wait_for(former, &mut opened)? {
                None => return Ok(None),
                Some(Outcome::Formed) => {}
                Some(Outcome::Joined(members)) => joined = Some(members),
            }
            links = Some(opened);
        }
        let mut recovered = recover(self.directory, self.hard_state, options, self.trace)?;
        let mut lists = vec![recovered.members.clone()];
        lists.extend(payload::lists_in(&recovered.tail));
        let known = Known {
            lists: &lists,
            was_member: recovered.state.was_member(self.hard_state.incarnation),
        };
        let standing = match joined {
            Some(_) => Standing::Joining,
            None => standing::of(options, self.hard_state, &known)?,
        };
        let id = match standing {
            Standing::Alone => {
                self.rename()?;
                if !options.cluster.is_empty() && links.is_none() {
                    let Some(opened) = self.open_listed()? else { return Ok(None) };
                    links = Some(opened);
                }
                if links.is_none() {
                    links = Some(self.open_alone()?);
                }
                LONE
            }
            Standing::Member(id) => {
                if links.is_none() {
                    let Some(opened) = self.open(&known)? else { return Ok(None) };
                    links = Some(opened);
                }
                id
            }
            Standing::Joining => {
                if joined.is_none() {
                    let Some(mut opened) = self.open_listed()? else { return Ok(None) };
                    let former = Former::join(self.disks(), &mut self.means(&mut opened));
                    match self.wait_for(former, &mut opened)? {
                        Some(Outcome::Joined(members)) => joined = Some(members),
                        _ => return Ok(None),
                    }
                    links = Some(opened);
                }
                recovered.members = joined.unwrap_or_default();
                let own = standing::find(&recovered.members, self.hard_state);
                ServerId(own.expect("who is let in is a member").number)
            }
        };
        let links = links.expect("every way in opens them");
        Ok(Some(Entered { links, recovered, id }))
    }

    fn disks(&self) -> Disks<RealDisk> {
        let (state, log) = (self.directory.disk(), self.directory.wal_disk());
        Disks { state, log, segment_bytes: self.options.segment_mib << 20 }
    }

    fn means<'b>(&'b mut self, links: &'b mut Links) -> Means<'b> {
        let (now_ms, unix_ms) = (clock::monotonic_ms(), clock::unix_ms());
        Means { own: self.hard_state, mesh: &mut links.mesh, now_ms, unix_ms }
    }

    /// The loop of a server that is no member yet; none: a signal said stop before it is one.
    fn wait_for(
        &mut self,
        mut former: Former<RealDisk>,
        links: &mut Links,
    ) -> Result<Option<Outcome>, Error> {
        let watch = |error| Error::System("cannot watch the listeners", error);
        turn::watch(self.listeners, self.waiting.poll.registry()).map_err(watch)?;
        loop {
            let outcome = former.turn(&mut self.means(links))?;
            links.write(self.waiting.poll.registry());
            for line in links.mesh.todo.tell.drain(..) {
                self.trace.tell(line);
            }
            if outcome.is_some() {
                turn::unwatch(self.listeners, self.waiting.poll.registry()).map_err(watch)?;
                return Ok(outcome);
            }
            opening::turn_away(self.listeners);
            let now = links.is_ready().then_some(0);
            let instants_ms = [now, Some(former.next_ms()), links.mesh.next_ms()];
            let next_ms = instants_ms.into_iter().flatten().min();
            let signalled = self.waiting.wait(next_ms, |event| {
                let _ = links.on_event(event);
            })?;
            if signalled && let Some(number) = self.signals.next() {
                self.trace.info(format_args!("signal {number}: stopping"));
                links.stop(self.waiting.poll.registry());
                return Ok(None);
            }
            links.work(clock::monotonic_ms(), self.waiting.poll.registry());
        }
    }

    /// Opens the peers' port for the servers that the flags list. None: a signal said stop before.
    fn open_listed(&mut self) -> Result<Option<Links>, Error> {
        let members = cluster::listed_members(self.options, self.hard_state);
        let survives = cluster::survives(members.len());
        self.open_for(members, &survives)
    }

    /// Opens it for the servers that the log has.
    fn open(&mut self, known: &Known<'_>) -> Result<Option<Links>, Error> {
        let survives = standing::survive(known.newest());
        let members = known.possible();
        // Who is on its way out goes on listening until it knows that for good.
        let list = match standing::find(&members, self.hard_state) {
            Some(_) => members.into_iter().map(Member::from).collect(),
            None => cluster::listed_members(self.options, self.hard_state),
        };
        self.open_for(list, &survives)
    }

    fn open_for(
        &mut self,
        members: Vec<mesh::Member>,
        survives: &str,
    ) -> Result<Option<Links>, Error> {
        let poll = |error| Error::System("cannot poll", error);
        let (options, state, address) = (self.options, &*self.hard_state, self.client_address);
        let secret = cluster::secret(options)?;
        let listen = [cluster::peer_address(state, &members)?];
        let fails = |listen: &Listen, error| cluster::port_error(state, listen, &error);
        let (waiting, signals) = (&mut *self.waiting, &mut *self.signals);
        let mut opener = Opener { waiting, signals, trace: self.trace };
        let opened = opener.open(&listen, self.listeners, fails)?;
        let Some(listeners) = opened else { return Ok(None) };
        let mesh = cluster::mesh(options, state, members, secret, address)?;
        let mut links = Links::new(listeners, mesh, opening::resolver_for(self.waiting));
        links.register(self.waiting.poll.registry()).map_err(poll)?;
        self.open_local(&mut links);
        let (state, trace) = (&*self.hard_state, self.trace);
        tell_cluster(trace, options, state, &links, address, survives);
        Ok(Some(links))
    }

    /// Opens the operators' socket of a server that is alone.
    fn open_alone(&mut self) -> Result<Links, Error> {
        let mesh = cluster::lone_mesh(self.options, self.hard_state)?;
        let mut links = Links::new(Vec::new(), mesh, opening::resolver_for(self.waiting));
        self.open_local(&mut links);
        Ok(links)
    }

    /// A server without this socket serves as well.
    fn open_local(&self, links: &mut Links) {
        let path = operator_socket(self.directory.path());
        if let Err(error) = links.open_local(path.clone(), self.waiting.poll.registry()) {
            self.trace.warning(format_args!(
                "cannot open the operator's socket {}: {error}; chatctl status and chatctl \
                 members do not work with --data-dir here",
                path.display()
            ));
        }
    }

    /// A server that was alone gets the name that the flags give it.
    fn rename(&mut self) -> Result<(), Error> {
        match &self.options.id {
            Some(id) if *id != self.hard_state.id => {
                self.hard_state.id.clone_from(id);
                self.trace.set_id(id);
                hard_state::save(&mut self.directory.disk(), self.hard_state).map_err(Error::State)
            }
            _ => Ok(()),
        }
    }
}

/// What a server of a cluster says of itself at its start.
fn tell_cluster(
    trace: Trace,
    options: &Options,
    hard_state: &HardState,
    links: &Links,
    client_address: &str,
    survives: &str,
) {
    let members = links.mesh.members();
    let own = members.iter().find(|member| member.name == hard_state.id);
    let given = own.map_or("?", |member| &member.address);
    let bound = links.addresses().join(" and ");
    let peer_address = match given == bound {
        true => bound,
        false => format!("{given}, which is {bound}"),
    };
    let others = members.iter().filter(|member| member.name != hard_state.id);
    let others: Vec<&str> = others.map(|member| member.name.as_str()).collect();
    let others = match others.is_empty() {
        true => String::new(),
        false => format!("; with {}", others.join(", ")),
    };
    trace.info(format_args!(
        "clients at {client_address}, peers at {peer_address}{others}: {survives}"
    ));
    let same = |(listed, member): (&Listed, &Member)| {
        listed.name == member.name && listed.address == member.address
    };
    let listed = &options.cluster;
    let differs = listed.len() != members.len() || !listed.iter().zip(members).all(same);
    if differs && !listed.is_empty() {
        trace.warning("--cluster differs from the members in the log: using those in the log");
    }
}

/// Reads the log back. What is not known to be committed is committed again by the core, once it
/// is PRIMARY. What is damaged is set aside, where others can restore it.
fn recover(
    directory: &DataDir,
    saved: &mut HardState,
    options: &Options,
    trace: Trace,
) -> Result<Recovered, Error> {
    let mut state = empty_state(saved);
    let there = wal::check_there(&mut directory.wal_disk(), saved);
    let read = there.and_then(|()| read_log(directory, saved, options, &mut state));
    let (wal, report) = match read {
        Err(RecoverError::Corrupt { file, why, .. })
            if damage::others_restore(options, saved, state.members()) =>
        {
            trace.error(format_args!("{file}: {why}"));
            damage::set_aside(directory, saved, options, trace)?;
            state = empty_state(saved);
            read_log(directory, saved, options, &mut state)
        }
        read => read,
    }
    .map_err(Error::Recover)?;
    for line in report.torn_tail.iter().chain(&report.notes) {
        trace.info(line);
    }
    let hard_state = replica::hard_state_of(saved);
    let entry = |entry: wal::Entry| {
        let wal::Entry { term, index, payload } = entry;
        raft::Entry { term, index, payload: typed(&payload) }
    };
    let tail = report.tail.into_iter().map(entry).collect();
    let (copy, commit) = (saved.copy, report.commit);
    let members = state.members().to_vec();
    Ok(Recovered { hard_state, copy, wal, state, commit, tail, members })
}

fn empty_state(saved: &HardState) -> State {
    let forgets = planted(Mutant::DuplicatesForgotten) && saved.term > 0;
    if forgets { State::with_window(1) } else { State::new() }
}

fn read_log(
    directory: &DataDir,
    saved: &HardState,
    options: &Options,
    state: &mut State,
) -> Result<(wal::Wal, wal::Report), RecoverError> {
    let mut visit = |index: u64, _term: u64, payload: &[u8]| {
        state.apply(index, payload).map(drop).map_err(|error| error.to_string())
    };
    let identity = Identity { cluster: saved.cluster };
    let segment_bytes = options.segment_mib << 20;
    let recovery = wal::Options { expect: Some(identity), segment_bytes };
    wal::recover_readable(&mut directory.wal_disk(), &recovery, chat::readable, &mut visit)
}
