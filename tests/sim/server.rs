//! A machine: its disks, its clock, and the process on it while one runs; how that starts on what the
//! disks have.

use chatctl::chat::{Command, Member, State};
use chatctl::raft::{self, Config, HardState, Role, ServerId};
use chatctl::server::replica::{Recovered, Replica};
use chatctl::server::service::{Now, Service, Settings};
use chatctl::wal::{self, Batch, Identity, RecoverError, SpareRequest, hard_state};

use super::clock::{Clock, Us};
use super::kept::{Brief, Kept, voted_for};
use super::process::Process;
use super::versions;
use crate::support::Rng;
use crate::wal::sim_disk::SimDisk;

/// Every simulated cluster's id.
pub const CLUSTER: [u8; 16] = [0xC1; 16];
/// What their tokens are derived from.
pub const TOKEN_SECRET: [u8; 32] = [0x5E; 32];
/// The cheapest password.
const ITERATIONS: u32 = 1;
/// What is the same for all servers of a history.
#[derive(Clone, Debug)]
pub struct Common {
    pub servers: u32,
    pub election_timeout_ms: u64,
    pub heartbeat_ms: u64,
    pub window: usize,
    pub batch_bytes: usize,
    pub cache_bytes: usize,
    pub segment_bytes: u32,
    pub id_window: usize,
    pub read_only_after_ms: u64,
    /// People write long messages: who reads too slowly gets `lagging`.
    pub long_messages: bool,
}

/// A machine: its disks and clock, and the process on it while one runs.
pub struct Server {
    pub id: ServerId,
    pub state_disk: SimDisk,
    pub log_disk: SimDisk,
    pub kept: Kept,
    pub clock: Clock,
    pub process: Option<Process>,
    /// Counts its processes: what was under way for an older one is void.
    pub epoch: u64,
    /// Of the servers' protocol, which its program has.
    pub version: u16,
    pub paused_until: Us,
    /// It is not started again for now.
    pub dead: bool,
    /// Its log was damaged, and it has not been started since.
    pub is_damaged: bool,
    /// When its next turn is due.
    pub turn_at: Option<Us>,
    /// What its writer thread has to do, the first of it under way; and the other thread's.
    pub jobs: Vec<Job>,
    pub spare: Option<SpareRequest>,
}

/// What a recovery gives.
struct Read {
    wal: wal::Wal,
    report: wal::Report,
    state: State,
    entries: Vec<Brief>,
}

pub fn options(common: &Common) -> wal::Options {
    let expect = Some(Identity { cluster: CLUSTER });
    wal::Options { expect, segment_bytes: common.segment_bytes }
}

/// What the writer thread does, in order.
#[derive(Clone)]
pub enum Job {
    Batch(Batch),
    Save(hard_state::HardState),
}

impl Server {
    pub fn new(id: ServerId, rng: &mut Rng, clock: Clock) -> Server {
        Server {
            id,
            state_disk: SimDisk::new(rng.next()),
            log_disk: SimDisk::new(rng.next()),
            kept: Kept::default(),
            clock,
            process: None,
            epoch: 0,
            version: versions::NEW,
            paused_until: 0,
            dead: false,
            is_damaged: false,
            turn_at: None,
            jobs: Vec::new(),
            spare: None,
        }
    }

    /// As after a cluster was formed: the first entry is on every server's disk, and term 1.
    pub fn form(&mut self, common: &Common) -> Batch {
        let mut rng = Rng::new(u64::from(self.id.0));
        let file = self.load_state(&mut rng).expect("the disk is new");
        hard_state::save(&mut self.state_disk, &hard_state::HardState { term: 1, ..file })
            .expect("the disk is new");
        let expect = Some(Identity { cluster: CLUSTER });
        let options = wal::Options { expect, segment_bytes: common.segment_bytes };
        let recovered = wal::recover(&mut self.log_disk, &options, &mut |_, _, _| Ok(()));
        let (mut wal, _) = recovered.expect("the disk is new");
        wal.append_entry(1, 1, &first_entry(common));
        let batch = wal.take_batch(1).expect("something is gathered");
        wal::perform(&mut self.log_disk, &batch).expect("the disk is new");
        self.kept.synced(&batch);
        self.kept.hard_state.term = 1;
        batch
    }

    /// Starts a process on what the disks have; false where a disk does not let it, which the
    /// simulator has seen to. What was under way when the last one ended is held against it.
    pub fn start(&mut self, common: &Common, now_us: Us, seed: u64) -> bool {
        self.epoch += 1;
        let mut rng = Rng::new(seed);
        let Ok(mut file) = self.load_state(&mut rng) else { return false };
        let read = match self.read_log(common, &file) {
            Err(RecoverError::Corrupt { .. }) if self.is_damaged => {
                let aside = self.set_aside(common, &mut file);
                aside.and_then(|()| self.recover(common))
            }
            read => read,
        };
        let Read { wal, report, state, entries } = match read {
            Ok(read) => read,
            Err(RecoverError::Io { .. }) => return false,
            Err(error) => panic!("server {} does not start: {error}", self.id),
        };
        let in_flight = self.jobs.iter().find_map(|job| match job {
            Job::Batch(batch) => Some(batch),
            Job::Save(_) => None,
        });
        match std::mem::take(&mut self.is_damaged) {
            true => self.kept.damaged(entries, in_flight),
            false => self.kept.recovered(entries, in_flight),
        }
        self.kept.copy = file.copy;
        let saving = self.jobs.iter().find_map(|job| match job {
            Job::Save(file) => Some(state_of(file)),
            Job::Batch(_) => None,
        });
        self.kept.recovered_state(state_of(&file), saving);
        self.jobs.clear();
        self.spare = None;

        let voters = (1..=common.servers).map(ServerId).collect();
        let mut config = Config::new(self.id, voters, rng.next());
        config.election_timeout_ms = common.election_timeout_ms;
        config.heartbeat_ms = common.heartbeat_ms;
        config.window = common.window;
        config.batch_bytes = common.batch_bytes;
        config.cache_bytes = common.cache_bytes;
        let entry = |entry: wal::Entry| raft::Entry {
            term: entry.term,
            index: entry.index,
            payload: entry.payload.into(),
        };
        let tail = report.tail.into_iter().map(entry).collect();
        let from = Recovered {
            hard_state: state_of(&file),
            copy: file.copy,
            wal,
            members: state.members().to_vec(),
            state,
            commit: report.commit,
            tail,
        };
        let now = self.now(now_us);
        let replica =
            Replica::new(config, from, now.monotonic_ms).expect("the disk's log is sound");
        let mut secret = [0; 32];
        secret.copy_from_slice(&rng.bytes(32));
        let service = Service::new(settings(self.id, common), replica, secret, now);
        self.process = Some(Process::new(service, file, now));
        true
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
        self.recover(common)
    }

    fn recover(&mut self, common: &Common) -> Result<Read, RecoverError> {
        let mut state = State::with_window(common.id_window);
        let mut entries = Vec::new();
        let mut visit = |index: u64, term: u64, payload: &[u8]| {
            entries.push(Brief { term, crc: crc32fast::hash(payload) });
            state.apply(index, payload).map(drop).map_err(|error| error.to_string())
        };
        let options = options(common);
        let (wal, report) = wal::recover(&mut self.log_disk.clone(), &options, &mut visit)?;
        entries.extend(report.tail.iter().map(Brief::of));
        Ok(Read { wal, report, state, entries })
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
        wal::set_aside(&mut self.log_disk, &options(common)).map(drop)
    }

    /// Whether its log was damaged and is not restored yet.
    pub fn is_restoring(&self) -> bool {
        self.is_damaged || raft::is_damaged(self.kept.copy)
    }

    fn load_state(&mut self, rng: &mut Rng) -> Result<hard_state::HardState, hard_state::Error> {
        let mut disk = self.state_disk.clone();
        if let Some(file) = hard_state::recover(&mut disk)? {
            return Ok(file);
        }
        let file = hard_state::HardState {
            id: name_of(self.id),
            cluster: CLUSTER,
            incarnation: rng.next(),
            role: Role::Backup.to_string(),
            term: 0,
            voted_for: String::new(),
            copy: 0,
        };
        hard_state::save(&mut disk, &file)?;
        Ok(file)
    }

    pub fn now(&self, now_us: Us) -> Now {
        let monotonic_ms = self.clock.monotonic_ms(now_us);
        Now { monotonic_ms, unix_ms: self.clock.unix_ms(now_us) }
    }

    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it takes clients' connections.
    pub fn listens(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.service.replica.state().applied() > 0)
    }

    pub fn is_primary(&self) -> bool {
        let role = |process: &Process| process.service.replica.core().role();
        self.process.as_ref().is_some_and(|process| role(process) == Role::Primary)
    }
}

fn first_entry(common: &Common) -> Vec<u8> {
    let member = |id: u32| Member {
        name: name_of(ServerId(id)),
        address: format!("s{id}:7263"),
        incarnation: u64::from(id),
        number: id,
        votes: true,
    };
    let members = (1..=common.servers).map(member).collect();
    let mut entry = Vec::new();
    Command::Found { time: 1, cluster: CLUSTER, token_secret: TOKEN_SECRET, members }
        .encode(&mut entry);
    entry
}

pub fn state_of(file: &hard_state::HardState) -> HardState {
    HardState { term: file.term, voted_for: voted_for(&file.voted_for) }
}

pub fn name_of(id: ServerId) -> String {
    format!("s{id}")
}

/// Where clients find a server.
pub fn address_of(id: ServerId) -> String {
    format!("{}:7262", name_of(id))
}

/// The server that an address means, as a place in the list.
pub fn place_of(address: &str) -> Option<usize> {
    let number: usize = address.strip_prefix('s')?.strip_suffix(":7262")?.parse().ok()?;
    number.checked_sub(1)
}

fn settings(id: ServerId, common: &Common) -> Settings {
    let peers = (1..=common.servers).map(ServerId).filter(|peer| *peer != id);
    Settings {
        id: name_of(id),
        address: address_of(id),
        password_iterations: ITERATIONS,
        token_days: 7,
        idle_timeout_ms: 60_000,
        login_timeout_ms: 60_000,
        max_sessions_per_address: 1_000,
        logins_per_minute: 0,
        peers: peers.map(|peer| (peer, address_of(peer))).collect(),
        read_only_after_ms: common.read_only_after_ms,
        tell_details: false,
    }
}
