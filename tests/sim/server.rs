//! A machine: its disks, its clock, and the process on it while one runs; what a start may find on the
//! disks.

use chatctl::chat::{Command, Member};
use chatctl::node::bootstrap::disks::Disks;
use chatctl::node::clients::Settings;
use chatctl::node::members::LONE;
use chatctl::node::peers::mesh::{Mesh, id_of};
use chatctl::node::{End, Flags, Listed, Now};
use chatctl::raft::{self, Config, HardState, Role, ServerId};
use chatctl::wal::boots::Boot;
use chatctl::wal::{self, Batch, Identity, RecoverError, SpareRequest, hard_state};

use super::clock::{Clock, Us};
use super::copies::Copy;
use super::kept::{Brief, Kept, voted_for};
use super::losses::Past;
use super::names;
use super::operator::secret;
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
    pub max_connections: usize,
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
    /// The process takes part, and what it found on its disks is accounted for.
    pub takes_part: bool,
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
    /// It runs.
    Runs,
    /// A disk does not let it, which the simulator has seen to.
    No,
    /// It was removed from its cluster, and does not start.
    Removed,
    /// Its directory is marked as an old copy.
    OldCopy,
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
            takes_part: false,
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
        self.takes_part = false;
        let disks = Disks { state: self.state_disk.clone(), log: self.log_disk.clone() };
        let bound = vec![names::address_at(self.place)];
        let now = self.now(now_us);
        match Process::start(self.node_flags(common), disks, bound, seed, now) {
            Ok(process) => self.process = Some(process),
            Err(End::OldCopy { .. }) => return Started::OldCopy,
            Err(End::State(hard_state::Error::Io(_)) | End::Recover(RecoverError::Io { .. })) => {
                return Started::No;
            }
            Err(End::Cluster(why)) if why.contains("was removed from the cluster") => {
                return Started::Removed;
            }
            Err(error) => panic!("server {} does not start: {error}", self.name),
        }
        let file = self.file().expect("it has just started").clone();
        if !self.took_part {
            self.incarnation = file.incarnation;
        }
        if file.term > 0 || self.flags.is_empty() {
            self.account(common);
        }
        Started::Runs
    }

    /// It takes part from now on: what its log says then.
    pub fn begin_part(&mut self, common: &Common) {
        let replica = self.process.as_ref().and_then(Process::replica).expect("it takes part");
        let id = replica.core().id();
        assert!(self.id.0 == 0 || self.id == id, "a directory keeps its number");
        self.account(common);
        self.id = id;
        self.took_part = true;
        self.takes_part = true;
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

    /// What a start has found on the disk is held against what was durable and what was under way.
    fn account(&mut self, common: &Common) {
        // It may have something new to save already.
        let disk = self.state_disk.fork();
        disk.fail_no_more();
        let file = hard_state::load(&mut disk.clone()).ok().flatten().expect("it was just read");
        let (entries, first) = self.log_as_found(common).expect("it was just read");
        self.first = first;
        let in_flight = self.jobs.iter().find_map(|job| match job {
            Job::Batch(batch) => Some(batch),
            Job::Save(_) => None,
        });
        if !self.took_part {
            // What a server has before it is a member it has written by itself.
            self.kept = Kept::default();
            self.kept.log.clone_from(&entries);
            self.kept.hard_state = state_of(&file);
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
        self.kept.recovered_state(state_of(&file), saving);
        self.jobs.clear();
        self.spare = None;
    }

    /// The entries of its log, and what the first of them says.
    fn log_as_found(&self, common: &Common) -> Option<(Vec<Brief>, Option<Vec<u8>>)> {
        let disk = self.log_disk.fork();
        disk.fail_no_more();
        disk.set_capacity(u64::MAX);
        let (mut entries, mut first) = (Vec::new(), None);
        let mut visit = |_: u64, term: u64, payload: &[u8]| {
            first.get_or_insert_with(|| payload.to_vec());
            entries.push(Brief { term, crc: crc32fast::hash(payload) });
            Ok(())
        };
        let (_, report) = wal::recover(&mut disk.clone(), &options(common), &mut visit).ok()?;
        entries.extend(report.tail.iter().map(Brief::of));
        let first = first.or(report.tail.first().map(|entry| entry.payload.clone()));
        Some((entries, first))
    }

    /// Who waits for others may hold the first entry already: what its disk has then counts.
    pub fn note_first(&mut self, common: &Common) {
        let has_begun = self.file().is_some_and(|file| file.cluster != [0; 16]);
        if self.took_part || !has_begun || !self.kept.log.is_empty() {
            return;
        }
        let Some((entries, first)) = self.log_as_found(common) else { return };
        let members = first.and_then(|payload| chatctl::chat::members_in(&payload));
        let own = members.iter().flatten().find(|m| m.incarnation == self.incarnation);
        if let Some(own) = own {
            self.id = ServerId(own.number);
            self.kept.log = entries;
        }
    }

    /// What it is told at its start.
    fn node_flags(&self, common: &Common) -> Flags {
        let mut core = Config::new(LONE, vec![LONE], 0);
        core.election_timeout_ms = common.election_timeout_ms;
        core.heartbeat_ms = common.heartbeat_ms;
        core.window = common.window;
        core.batch_bytes = common.batch_bytes;
        core.cache_bytes = common.cache_bytes;
        Flags {
            id: Some(self.name.clone()),
            cluster: self.flags.clone(),
            secret: (!self.flags.is_empty()).then(|| Ok(secret())),
            directory: "the disk".to_owned(),
            segment_bytes: common.segment_bytes,
            core,
            clients: settings(&self.name, common),
            max_connections: common.max_connections,
            clock_stands_ms: common.clock_stands_ms,
            id_window: common.id_window,
        }
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

    /// What a new directory's file says.
    pub fn first_state(&self, cluster: [u8; 16]) -> hard_state::HardState {
        let role = Role::Backup.to_string();
        hard_state::HardState::new(self.name.clone(), cluster, self.incarnation, role)
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
        self.process.is_some()
    }

    /// The other servers, as its process knows them.
    pub fn mesh(&self) -> Option<&Mesh> {
        self.process.as_ref().and_then(|process| process.node.mesh())
    }

    /// What its process has in `server_state.txt`, or will once a save under way is done.
    pub fn file(&self) -> Option<&hard_state::HardState> {
        self.process.as_ref().and_then(|process| process.node.file())
    }

    /// The start that its process is.
    pub fn boot(&self) -> Option<Boot> {
        self.file()?.boots.newest()
    }

    /// The copy of the conversation that its process has.
    pub fn replica(&self) -> Option<&chatctl::node::replica::Replica> {
        self.process.as_ref().and_then(Process::replica)
    }

    /// Its core.
    pub fn core(&self) -> Option<&raft::Raft> {
        self.replica().map(|replica| replica.core())
    }

    /// Whether it takes peers' connections.
    pub fn has_port(&self) -> bool {
        self.mesh().is_some_and(|mesh| !mesh.is_alone())
    }

    pub fn is_primary(&self) -> bool {
        self.core().is_some_and(|core| core.role() == Role::Primary)
    }
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
        tell_details: false,
    }
}
