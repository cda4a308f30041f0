//! A machine: its disks, its clock, and the process on it while one runs; how that starts on what the
//! disks have.

use chatctl::chat::{self, Command, Member, State};
use chatctl::raft::{self, Config, HardState, Role, ServerId};
use chatctl::server::form::{Disks, Former, Means, Outcome};
use chatctl::server::payload::{self, typed};
use chatctl::server::peers::mesh::{self, id_of};
use chatctl::server::replica::{Recovered, Replica, hard_state_of};
use chatctl::server::service::{Now, Service, Settings};
use chatctl::server::standing::{self, Known, LONE, Standing};
use chatctl::server::{Listed, Options, TraceLevel};
use chatctl::wal::boots::{Boot, Boots};
use chatctl::wal::{self, Batch, Disk, Identity, RecoverError, SpareRequest, hard_state};

use super::clock::{Clock, Us};
use super::copies::Copy;
use super::entering::Entering;
use super::kept::{Brief, Kept, voted_for};
use super::losses::Past;
use super::peers::Peers;
use super::process::Process;
use crate::support::Rng;
use crate::wal::sim_disk::SimDisk;

/// The id of every simulated cluster that was not formed in its history.
pub const CLUSTER: [u8; 16] = [0xC1; 16];
/// What their tokens are derived from.
pub const TOKEN_SECRET: [u8; 32] = [0x5E; 32];
/// The cheapest password.
const ITERATIONS: u32 = 1;
/// What is the same for all servers of a history.
#[derive(Clone, Debug)]
pub struct Common {
    /// How many there are at first.
    pub servers: u32,
    pub election_timeout_ms: u64,
    pub heartbeat_ms: u64,
    pub window: usize,
    pub batch_bytes: usize,
    pub cache_bytes: usize,
    pub segment_bytes: u32,
    pub id_window: usize,
    pub read_only_after_ms: u64,
    pub clock_stands_ms: u64,
    /// People write long messages: who reads too slowly gets `lagging`.
    pub long_messages: bool,
    /// The history begins with empty disks.
    pub forms: bool,
}

/// A machine: its disks and clock, and the process on it while one runs.
pub struct Server {
    /// Its place in the list of machines, and the name of the server on it.
    pub place: usize,
    pub name: String,
    /// What --cluster says; none for a server that is alone and has no peers' port.
    pub flags: Vec<Listed>,
    /// Its directory's incarnation, and its number in the cluster; 0 before it has one.
    pub incarnation: u64,
    pub id: ServerId,
    pub state_disk: SimDisk,
    pub log_disk: SimDisk,
    pub kept: Kept,
    pub clock: Clock,
    pub process: Option<Process>,
    /// A process that is no member yet.
    pub entering: Option<Entering>,
    /// Its directory has been a member's: what is on its disk is accounted for.
    pub took_part: bool,
    /// The first entry of its log, as it was read back.
    pub first: Option<Vec<u8>>,
    /// Counts its processes: what was under way for an older one is void.
    pub epoch: u64,
    pub paused_until: Us,
    /// It is not started again for now.
    pub dead: bool,
    /// It has the disk that another machine lost, and takes itself for the server on that one.
    pub is_ghost: bool,
    /// Its log was damaged, and it has not been started since.
    pub is_damaged: bool,
    /// Its disk lost what it had synced, nobody has noticed, and the PRIMARY alone may have it.
    pub has_forgotten: bool,
    /// What its disk lost last without a trace: the term that it was in, and the whole log.
    pub lost: Option<(u64, Vec<Brief>)>,
    /// What its directory may be put back to.
    pub past: Option<Past>,
    /// A copy that was made of its disks, if one was.
    pub copy: Option<Copy>,
    /// Its disks are such a copy, put back.
    pub is_rolled_back: bool,
    /// The others have refused it for that, and it does not start.
    pub is_condemned: bool,
    /// When its next turn is due.
    pub turn_at: Option<Us>,
    /// What its writer thread has to do, the first of it under way; and the other thread's.
    pub jobs: Vec<Job>,
    pub spare: Option<SpareRequest>,
}

/// What became of a start.
#[derive(Debug, PartialEq, Eq)]
pub enum Started {
    /// It takes part.
    Member,
    /// It waits to be one.
    Waits,
    /// A disk does not let it, which the simulator has seen to.
    No,
    /// It was removed from its cluster, and does not start.
    Removed,
    /// Its directory is marked as an old copy.
    OldCopy,
}

/// What a recovery gives.
struct Read {
    wal: wal::Wal,
    report: wal::Report,
    state: State,
    entries: Vec<Brief>,
    first: Option<Vec<u8>>,
}

pub fn options(common: &Common) -> wal::Options {
    wal::Options { expect: None, segment_bytes: common.segment_bytes }
}

/// What the writer thread does, in order.
#[derive(Clone)]
pub enum Job {
    Batch(Batch),
    Save(hard_state::HardState),
}

impl Server {
    pub fn new(place: usize, flags: Vec<Listed>, rng: &mut Rng, clock: Clock) -> Server {
        Server {
            place,
            name: name_at(place),
            flags,
            incarnation: rng.next(),
            id: ServerId(0),
            state_disk: SimDisk::new(rng.next()),
            log_disk: SimDisk::new(rng.next()),
            kept: Kept::default(),
            clock,
            process: None,
            entering: None,
            took_part: false,
            first: None,
            epoch: 0,
            paused_until: 0,
            dead: false,
            is_ghost: false,
            is_damaged: false,
            has_forgotten: false,
            lost: None,
            past: None,
            copy: None,
            is_rolled_back: false,
            is_condemned: false,
            turn_at: None,
            jobs: Vec::new(),
            spare: None,
        }
    }

    /// As after a cluster was formed: the first entry is on every server's disk, and term 1.
    pub fn form(&mut self, common: &Common, entry: &[u8]) -> Batch {
        self.id = id_of(self.place);
        self.took_part = true;
        let file = hard_state::HardState { term: 1, ..self.first_state(CLUSTER) };
        hard_state::save(&mut self.state_disk, &file).expect("the disk is new");
        let expect = Some(Identity { cluster: CLUSTER });
        let options = wal::Options { expect, segment_bytes: common.segment_bytes };
        let recovered = wal::recover(&mut self.log_disk, &options, &mut |_, _, _| Ok(()));
        let (mut wal, _) = recovered.expect("the disk is new");
        wal.append_entry(1, 1, entry);
        let batch = wal.take_batch(1).expect("something is gathered");
        wal::perform(&mut self.log_disk, &batch).expect("the disk is new");
        self.kept.synced(&batch);
        self.kept.hard_state.term = 1;
        batch
    }

    /// Starts a process on what the disks have. What was under way when the last one ended is held
    /// against it.
    pub fn start(&mut self, common: &Common, now_us: Us, seed: u64) -> Started {
        self.epoch += 1;
        let Ok(file) = self.load_state() else { return Started::No };
        if !file.old_copy.is_empty() {
            return Started::OldCopy;
        }
        let mut rng = Rng::new(seed);
        if file.term == 0 && !self.flags.is_empty() {
            return self.form_or_join(common, file, now_us, &mut rng, true);
        }
        self.enter(common, file, None, now_us, &mut rng)
    }

    /// Who has entered goes on as a server that is started does.
    pub fn go_on(&mut self, common: &Common, outcome: Outcome, now_us: Us, seed: u64) -> Started {
        let Some(Entering { peers, file, .. }) = self.entering.take() else { return Started::No };
        let joined = match outcome {
            Outcome::Formed => None,
            Outcome::Joined(members) => Some(members),
        };
        self.enter(common, file, Some((peers, joined)), now_us, &mut Rng::new(seed))
    }

    /// Waits for the others.
    fn form_or_join(
        &mut self,
        common: &Common,
        mut file: hard_state::HardState,
        now_us: Us,
        rng: &mut Rng,
        forms: bool,
    ) -> Started {
        let now = self.now(now_us);
        let (state, log) = (self.state_disk.clone(), self.log_disk.clone());
        let disks = Disks { state, log, segment_bytes: common.segment_bytes };
        let mut peers = self.open_port(common, &file, &[], now, rng);
        let mut means = means(&mut file, &mut peers, now);
        let former = match forms {
            true => Former::form(disks, &mut means),
            false => Ok(Former::join(disks, &mut means)),
        };
        let Ok(former) = former else { return Started::No };
        self.entering = Some(Entering::new(former, peers, file));
        Started::Waits
    }

    /// Opens the peers' port, for the members that the log has or, without any, that the flags list.
    fn open_port(
        &self,
        common: &Common,
        file: &hard_state::HardState,
        members: &[Member],
        now: Now,
        rng: &mut Rng,
    ) -> Peers {
        let listed = self.flags.iter().enumerate().map(|(place, listed)| mesh::Member {
            name: listed.name.clone(),
            address: listed.address.clone(),
            incarnation: (listed.name == file.id).then_some(file.incarnation),
            number: id_of(place),
        });
        let list = match standing::find(members, file) {
            Some(_) => members.iter().cloned().map(mesh::Member::from).collect(),
            None => listed.collect(),
        };
        let mut seed = [0; 32];
        seed.copy_from_slice(&rng.bytes(32));
        let mut digest = [0; 32];
        for listed in &self.flags {
            digest[0] ^= listed.name.bytes().last().unwrap_or(0);
            digest[1] = digest[1].wrapping_add(1);
        }
        Peers::open(common, file, list, digest, (seed, now.monotonic_ms))
    }

    /// The log is read, and says what this server is; or somebody has said it.
    fn enter(
        &mut self,
        common: &Common,
        mut file: hard_state::HardState,
        entered: Option<(Peers, Option<Vec<Member>>)>,
        now_us: Us,
        rng: &mut Rng,
    ) -> Started {
        let read = match self.read_log(common, &file) {
            Err(RecoverError::Corrupt { .. }) if self.is_damaged => {
                let aside = self.set_aside(common, &mut file);
                aside.and_then(|()| self.recover(common, &file))
            }
            read => read,
        };
        let Read { wal, report, state, entries, first } = match read {
            Ok(read) => read,
            Err(RecoverError::Io { .. }) => return Started::No,
            Err(error) => panic!("server {} does not start: {error}", self.name),
        };
        self.first = first;
        self.account(entries, &file);
        self.jobs.clear();
        self.spare = None;

        let entry = |entry: wal::Entry| raft::Entry {
            term: entry.term,
            index: entry.index,
            payload: typed(&entry.payload),
        };
        let tail: Vec<raft::Entry> = report.tail.into_iter().map(entry).collect();
        let mut members = state.members().to_vec();
        let mut lists = vec![members.clone()];
        lists.extend(payload::lists_in(&tail));
        let was_member = state.was_member(file.incarnation);
        let known = Known { lists: &lists, was_member };
        let (peers, joined) = entered.map_or((None, None), |(peers, joined)| (Some(peers), joined));
        let now = self.now(now_us);
        let standing = match joined {
            Some(_) => Standing::Joining,
            None => match standing::of(&self.serve_options(), &file, &known) {
                Ok(standing) => standing,
                Err(_) if was_member => return Started::Removed,
                Err(error) => panic!("server {} does not start: {error}", self.name),
            },
        };
        let has_port = !self.flags.is_empty();
        let (id, peers) = match (standing, joined) {
            (Standing::Alone, _) => {
                (LONE, has_port.then(|| self.open_port(common, &file, &[], now, rng)))
            }
            (Standing::Member(id), _) => {
                let open = || self.open_port(common, &file, &known.possible(), now, rng);
                (id, Some(peers.unwrap_or_else(open)))
            }
            (Standing::Joining, None) => {
                return self.form_or_join(common, file, now_us, rng, false);
            }
            (Standing::Joining, Some(joined)) => {
                members = joined;
                let own = standing::find(&members, &file).expect("who is let in is a member");
                (ServerId(own.number), peers)
            }
        };
        assert!(self.id.0 == 0 || self.id == id, "a directory keeps its number");
        self.id = id;
        self.took_part = true;

        let mut config = Config::new(id, vec![LONE], rng.next());
        config.election_timeout_ms = common.election_timeout_ms;
        config.heartbeat_ms = common.heartbeat_ms;
        config.window = common.window;
        config.batch_bytes = common.batch_bytes;
        config.cache_bytes = common.cache_bytes;
        let from = Recovered {
            hard_state: hard_state_of(&file),
            copy: file.copy,
            wal,
            members,
            state,
            commit: report.commit,
            tail,
        };
        let replica =
            Replica::new(config, from, now.monotonic_ms).expect("the disk's log is sound");
        let mut secret = [0; 32];
        secret.copy_from_slice(&rng.bytes(32));
        let service = Service::new(settings(&self.name, common), replica, secret, now);
        self.process = Some(Process::new(service, peers, file, now));
        Started::Member
    }

    /// Another disk takes the place of the log's: the batch that the end of the process left half
    /// written is on the old one only. The state's disk stays, and a start may read from it what was
    /// half saved.
    pub fn take_half_written(&mut self) -> Option<Batch> {
        let at = self.jobs.iter().position(|job| matches!(job, Job::Batch(_)))?;
        match self.jobs.remove(at) {
            Job::Batch(batch) => Some(batch),
            Job::Save(_) => None,
        }
    }

    /// The newest term that the disk may have: the durable one, or one that was half saved.
    pub fn newest_term(&self) -> u64 {
        let saving = self.jobs.iter().filter_map(|job| match job {
            Job::Save(file) => Some(file.term),
            Job::Batch(_) => None,
        });
        saving.fold(self.kept.hard_state.term, u64::max)
    }

    /// What was found on the disk is held against what was durable and what was under way.
    fn account(&mut self, entries: Vec<Brief>, file: &hard_state::HardState) {
        let in_flight = self.jobs.iter().find_map(|job| match job {
            Job::Batch(batch) => Some(batch),
            Job::Save(_) => None,
        });
        if !self.took_part {
            // What a server has before it is a member it has written by itself.
            self.kept = Kept::default();
            self.kept.log.clone_from(&entries);
            self.kept.hard_state = state_of(file);
        }
        match std::mem::take(&mut self.is_damaged) {
            true => self.kept.damaged(entries, in_flight),
            false => self.kept.recovered(entries, in_flight),
        }
        self.kept.copy = file.copy;
        self.kept.met.clone_from(&file.met);
        let saving = self.jobs.iter().find_map(|job| match job {
            Job::Save(file) => Some(state_of(file)),
            Job::Batch(_) => None,
        });
        self.kept.recovered_state(state_of(file), saving);
    }

    /// Who waits for others may hold the first entry already: what its disk has then counts.
    pub fn note_first(&mut self, common: &Common) {
        let Some(entering) = self.entering.as_ref().filter(|_| !self.took_part) else { return };
        if entering.file.cluster == [0; 16] || !self.kept.log.is_empty() {
            return;
        }
        let disk = self.log_disk.fork();
        disk.fail_no_more();
        let mut found = Vec::new();
        let mut visit = |_: u64, term: u64, payload: &[u8]| {
            found.push((Brief { term, crc: crc32fast::hash(payload) }, payload.to_vec()));
            Ok(())
        };
        if wal::recover(&mut disk.clone(), &options(common), &mut visit).is_err() {
            return;
        }
        let members = found.first().and_then(|(_, payload)| chat::members_in(payload));
        let own = members.iter().flatten().find(|m| m.incarnation == self.incarnation);
        if let Some(own) = own {
            self.id = ServerId(own.number);
            self.kept.log = found.iter().map(|(brief, _)| *brief).collect();
        }
    }

    /// The flags, as far as they matter to what a server is.
    fn serve_options(&self) -> Options {
        Options {
            listen: Vec::new(),
            data_dir: "disk".into(),
            password_iterations: ITERATIONS,
            token_days: 7,
            idle_timeout_ms: 0,
            login_timeout_ms: 0,
            segment_mib: 1,
            max_connections: 1,
            max_sessions_per_address: 1,
            max_unauthenticated_per_address: 1,
            max_sessions_per_account: 1,
            read_only_logins: true,
            logins_per_minute: 0,
            trace: TraceLevel::Error,
            id: Some(self.name.clone()),
            cluster: self.flags.clone(),
            advertise: None,
            cluster_secret_file: (!self.flags.is_empty()).then(|| "secret".into()),
            election_timeout_ms: 0,
            heartbeat_ms: 0,
            read_only_after_ms: 0,
        }
    }

    /// As a server does: where it has been in a term, it has had a log.
    fn read_log(
        &mut self,
        common: &Common,
        file: &hard_state::HardState,
    ) -> Result<Read, RecoverError> {
        if file.term > 0 && !wal::has_segments(&mut self.log_disk)? {
            let (file, why) = (wal::segment_name(1), "missing".to_owned());
            return Err(RecoverError::Corrupt { file, offset: 0, why });
        }
        self.recover(common, file)
    }

    fn recover(
        &mut self,
        common: &Common,
        file: &hard_state::HardState,
    ) -> Result<Read, RecoverError> {
        let mut state = State::with_window(common.id_window);
        let (mut entries, mut first) = (Vec::new(), None);
        let mut visit = |index: u64, term: u64, payload: &[u8]| {
            first.get_or_insert_with(|| payload.to_vec());
            entries.push(Brief { term, crc: crc32fast::hash(payload) });
            state.apply(index, payload).map(drop).map_err(|error| error.to_string())
        };
        let expect = Some(Identity { cluster: file.cluster });
        let options = wal::Options { expect, ..options(common) };
        let (wal, report) = wal::recover(&mut self.log_disk.clone(), &options, &mut visit)?;
        entries.extend(report.tail.iter().map(Brief::of));
        let first = first.or(report.tail.first().map(|entry| entry.payload.clone()));
        Ok(Read { wal, report, state, entries, first })
    }

    fn set_aside(
        &mut self,
        common: &Common,
        file: &mut hard_state::HardState,
    ) -> Result<(), RecoverError> {
        file.copy = raft::next_damaged(file.copy);
        for _ in 0..2 {
            hard_state::save(&mut self.state_disk, file).map_err(|_| RecoverError::Io {
                file: hard_state::FILE.to_owned(),
                error: std::io::Error::other("the power was cut"),
            })?;
        }
        self.kept.copy = file.copy;
        let expect = Some(Identity { cluster: file.cluster });
        let options = wal::Options { expect, ..options(common) };
        wal::set_aside(&mut self.log_disk, &options).map(drop)
    }

    /// Whether its log was damaged, or has lost something, and is not restored yet, or its disks were
    /// rolled back.
    pub fn is_restoring(&self) -> bool {
        let is_short = self.has_forgotten || self.is_rolled_back;
        self.is_damaged || is_short || raft::is_damaged(self.kept.copy)
    }

    /// Whether a message of the PRIMARY that it acknowledged to may still tell it what it lost.
    pub fn may_notice_loss(&self) -> bool {
        self.lost.as_ref().is_some_and(|(term, log)| {
            *term == self.kept.hard_state.term && !self.kept.log.starts_with(log)
        })
    }

    fn load_state(&mut self) -> Result<hard_state::HardState, hard_state::Error> {
        let mut disk = self.state_disk.clone();
        // A server without --cluster has one of its own.
        let is_alone = self.flags.is_empty();
        let first = || self.first_state(if is_alone { CLUSTER } else { [0; 16] });
        let mut file = hard_state::recover(&mut disk)?.unwrap_or_else(first);
        if file.old_copy.is_empty() {
            file.boots.begin(disk.random().map_err(hard_state::Error::Io)?);
            hard_state::save(&mut disk, &file)?;
        }
        Ok(file)
    }

    /// What a new directory's file says.
    pub fn first_state(&self, cluster: [u8; 16]) -> hard_state::HardState {
        hard_state::HardState {
            id: self.name.clone(),
            cluster,
            incarnation: self.incarnation,
            role: Role::Backup.to_string(),
            term: 0,
            voted_for: String::new(),
            copy: 0,
            boots: Boots::default(),
            met: Vec::new(),
            old_copy: String::new(),
        }
    }

    /// Its entry in the list of members.
    pub fn member(&self, number: ServerId) -> Member {
        Member {
            name: self.name.clone(),
            address: peer_address_of(&self.name),
            incarnation: self.incarnation,
            number: number.0,
            votes: true,
        }
    }

    pub fn now(&self, now_us: Us) -> Now {
        let monotonic_ms = self.clock.monotonic_ms(now_us);
        let boot_ms = self.clock.boot_ms(now_us);
        Now { monotonic_ms, boot_ms, unix_ms: self.clock.unix_ms(now_us) }
    }

    pub fn runs(&self) -> bool {
        self.process.is_some() || self.entering.is_some()
    }

    /// The peers' port of its process.
    pub fn peers(&self) -> Option<&Peers> {
        let process = self.process.as_ref().and_then(|process| process.peers.as_ref());
        process.or(self.entering.as_ref().map(|entering| &entering.peers))
    }

    /// The start that its process is.
    pub fn boot(&self) -> Option<Boot> {
        let file = self.process.as_ref().map(|process| &process.file);
        file.or(self.entering.as_ref().map(|entering| &entering.file))?.boots.newest()
    }

    /// Whether it takes peers' connections.
    pub fn has_port(&self) -> bool {
        self.peers().is_some()
    }

    /// Whether it takes clients' connections.
    pub fn listens(&self) -> bool {
        let has_applied = |process: &Process| process.service.replica.state().applied() > 0;
        self.process.as_ref().is_some_and(has_applied)
    }

    pub fn is_primary(&self) -> bool {
        let role = |process: &Process| process.service.replica.core().role();
        self.process.as_ref().is_some_and(|process| role(process) == Role::Primary)
    }
}

/// What a process that enters does something with.
pub fn means<'a>(own: &'a mut hard_state::HardState, peers: &'a mut Peers, now: Now) -> Means<'a> {
    let Now { monotonic_ms: now_ms, unix_ms, .. } = now;
    Means { own, mesh: &mut peers.mesh, now_ms, unix_ms }
}

/// The first entry of a cluster of these.
pub fn first_entry(members: Vec<Member>) -> Vec<u8> {
    let mut entry = Vec::new();
    Command::Found { time: 1, cluster: CLUSTER, token_secret: TOKEN_SECRET, members }
        .encode(&mut entry);
    entry
}

pub fn state_of(file: &hard_state::HardState) -> HardState {
    HardState { term: file.term, voted_for: voted_for(&file.voted_for) }
}

/// The name of the server on a machine.
pub fn name_at(place: usize) -> String {
    format!("s{}", place + 1)
}

/// The machine of a server.
pub fn place_of_name(name: &str) -> Option<usize> {
    name.strip_prefix('s')?.parse::<usize>().ok()?.checked_sub(1)
}

/// Where clients find a server.
pub fn address_of(name: &str) -> String {
    format!("{name}:7262")
}

/// Where the others find it.
pub fn peer_address_of(name: &str) -> String {
    format!("{name}:7263")
}

/// The server that an address means, as a place in the list.
pub fn place_of(address: &str) -> Option<usize> {
    place_of_name(address.strip_suffix(":7262")?)
}

/// The same of a peers' address.
pub fn place_of_peer(address: &str) -> Option<usize> {
    place_of_name(address.strip_suffix(":7263")?)
}

/// As --cluster lists a server.
pub fn listed(place: usize) -> Listed {
    let name = name_at(place);
    Listed { address: peer_address_of(&name), name }
}

fn settings(name: &str, common: &Common) -> Settings {
    Settings {
        id: name.to_owned(),
        address: address_of(name),
        password_iterations: ITERATIONS,
        token_days: 7,
        idle_timeout_ms: 60_000,
        login_timeout_ms: 60_000,
        max_sessions_per_address: 1_000,
        max_unauthenticated_per_address: 1_000,
        max_sessions_per_account: 1_000,
        read_only_logins: true,
        logins_per_minute: 0,
        peers: Vec::new(),
        read_only_after_ms: common.read_only_after_ms,
        clock_stands_ms: common.clock_stands_ms,
        tell_details: false,
    }
}
