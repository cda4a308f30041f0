//! A server's use of the log on the simulated disk, and the model that says what a recovery may
//! find.

use chatctl::wal::{
    Batch, Entry, Identity, Options, RecoverError, Report, SpareRequest, SpareState, Wal,
    make_spare, perform, recover,
};

use super::sim_disk::SimDisk;
use crate::support::Rng;
use crate::support::bounded::Rounds;

pub const CLUSTER: Identity = Identity { cluster: [7; 16] };
/// Room for some 2 KiB of records behind the header's 4 KiB.
pub const SEGMENT_BYTES: u32 = 6 << 10;
pub const OPTIONS: Options = Options { expect: Some(CLUSTER), segment_bytes: SEGMENT_BYTES };

/// What may be in the log after a crash: all that was reported durable, and of the batch in flight
/// any number of its first records.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub durable: Vec<Entry>,
    pub durable_commit: u64,
    in_flight: Option<Flight>,
}

#[derive(Clone, Debug)]
struct Flight {
    changes: Vec<Change>,
    commit: u64,
}

#[derive(Clone, Debug)]
pub enum Change {
    Append(Entry),
    TruncateFrom(u64),
}

impl Model {
    /// A log of which this is durable.
    pub fn of(durable: Vec<Entry>, durable_commit: u64) -> Model {
        Model { durable, durable_commit, in_flight: None }
    }

    fn submitted(&mut self, batch: &Batch) {
        assert!(self.in_flight.is_none(), "one batch is in flight at a time");
        let (changes, commit) = changes_of(batch);
        self.in_flight = Some(Flight { changes, commit });
    }

    fn reported_durable(&mut self) {
        let flight = self.in_flight.take().expect("a batch was in flight");
        flight.changes.iter().for_each(|change| apply(&mut self.durable, change));
        self.durable_commit = self.durable_commit.max(flight.commit);
    }

    /// Checks what a recovery found, which from now on is durable.
    pub fn recovered(&mut self, found: Vec<Entry>, commit: u64) {
        let flight = self.in_flight.take();
        let changes = flight.as_ref().map_or(&[][..], |flight| &flight.changes);
        let mut state = self.durable.clone();
        let mut matches = vec![state == found];
        for change in changes {
            apply(&mut state, change);
            matches.push(state == found);
        }
        assert!(
            matches.contains(&true),
            "{}\nis neither the durable {}\nnor that and some of {changes:?}",
            brief(&found),
            brief(&self.durable)
        );
        let clamp = |commit: u64| commit.min(found.len() as u64);
        let later = flight.map_or(0, |flight| flight.commit);
        assert!(
            commit == clamp(self.durable_commit)
                || *matches.last().expect("one at least") && commit == clamp(later),
            "commit {commit} is neither {} nor {later}",
            self.durable_commit
        );
        self.durable_commit = commit;
        self.durable = found;
    }
}

fn apply(log: &mut Vec<Entry>, change: &Change) {
    match change {
        Change::Append(entry) => log.push(entry.clone()),
        Change::TruncateFrom(index) => log.truncate(*index as usize - 1),
    }
}

fn brief(log: &[Entry]) -> String {
    let places: Vec<String> =
        log.iter().map(|entry| format!("{}@{}", entry.index, entry.term)).collect();
    places.join(" ")
}

/// What a batch's bytes say, read by hand.
pub fn changes_of(batch: &Batch) -> (Vec<Change>, u64) {
    let (mut changes, mut commit) = (Vec::new(), None);
    let mut at = 0;
    let number = |at: usize| u64::from_be_bytes(batch.bytes[at..at + 8].try_into().unwrap());
    while at < batch.bytes.len() {
        if commit.is_some() {
            let rest = &batch.bytes[at..];
            assert!(rest.len() < 4_096 && rest.iter().all(|byte| *byte == 0), "the mark closes it");
            break;
        }
        let length = (number(at) & u64::from(u32::MAX)) as usize;
        let (term, index) = (number(at + 16), number(at + 24));
        match batch.bytes[at + 8] {
            1 => {
                let payload = batch.bytes[at + 32..at + length].to_vec();
                changes.push(Change::Append(Entry { term, index, payload }));
            }
            2 => changes.push(Change::TruncateFrom(index)),
            3 => commit = Some(index),
            kind => panic!("kind {kind}"),
        }
        at += length.next_multiple_of(8);
    }
    (changes, commit.expect("every batch has its mark"))
}

/// Recovers, and gives all entries found, those visited first.
pub fn open(disk: &SimDisk) -> Result<(Wal, Report, Vec<Entry>), RecoverError> {
    let mut entries = Vec::new();
    let mut visit = |index, term, payload: &[u8]| {
        entries.push(Entry { term, index, payload: payload.to_vec() });
        Ok(())
    };
    let (wal, report) = recover(&mut disk.clone(), &OPTIONS, &mut visit)?;
    assert_eq!(entries.len() as u64, report.commit, "just what is committed is visited");
    entries.extend(report.tail.iter().cloned());
    assert_eq!(entries.len() as u64, report.entries);
    for (entry, index) in entries.iter().zip(1..) {
        assert_eq!(entry.index, index, "entries come in order");
        assert_eq!(wal.term(index), Some(entry.term));
    }
    Ok((wal, report, entries))
}

/// Why a run is over before its end.
#[derive(Debug)]
pub struct Stopped;

/// A server that runs.
pub struct Machine {
    pub disk: SimDisk,
    pub wal: Wal,
    pub commit: u64,
    /// A spare that could not be made yet.
    failed_spare: Option<SpareRequest>,
}

impl Machine {
    /// Starts a server on the disk: what it finds must be what the model allows.
    pub fn start(disk: &SimDisk, model: &mut Model) -> Result<Machine, RecoverError> {
        let (wal, report, entries) = open(disk)?;
        model.recovered(entries, report.commit);
        let commit = report.commit;
        let machine = Machine { disk: disk.clone(), wal, commit, failed_spare: None };
        machine.check_places(model);
        Ok(machine)
    }

    /// Every durable entry is where the log says that it is.
    pub fn check_places(&self, model: &Model) {
        assert_eq!(self.wal.persisted_index(), model.durable.len() as u64);
        for entry in &model.durable {
            let place = self.wal.location(entry.index).expect("persisted entries have a place");
            let bytes = self.disk.content(&chatctl::wal::segment_name(place.segment));
            let record = &bytes[place.offset as usize..][..place.length as usize];
            assert_eq!(record[32..], entry.payload);
        }
        assert_eq!(self.wal.location(self.wal.persisted_index() + 1), None);
    }

    pub fn append(&mut self, rng: &mut Rng, term: u64) {
        let index = self.wal.last_index() + 1;
        let size = match rng.below(6) {
            0 => 0,
            1 => rng.below(900),
            _ => rng.below(120),
        };
        let payload = rng.bytes(size as usize);
        self.wal.append_entry(term, index, &payload);
    }

    /// Cuts some entries that are not committed, where there are any.
    pub fn truncate(&mut self, rng: &mut Rng) {
        let uncommitted = self.wal.last_index() - self.commit;
        if uncommitted > 0 {
            self.wal.truncate_from(self.commit + 1 + rng.below(uncommitted));
        }
    }

    /// Writes all that is gathered, for as long as there are segments to write to.
    pub fn write(&mut self, rng: &mut Rng, model: &mut Model) -> Result<(), Stopped> {
        let mut rounds = Rounds::new(100_000, "all that is gathered is written");
        loop {
            rounds.count();
            self.make_spare()?;
            let persisted = self.wal.persisted_index();
            if persisted > self.commit {
                self.commit += rng.below(persisted - self.commit + 1);
            }
            let Some(batch) = self.wal.take_batch(self.commit) else { return Ok(()) };
            model.submitted(&batch);
            assert!(self.wal.in_flight() && self.wal.take_batch(self.commit).is_none());
            perform(&mut self.disk, &batch).map_err(|_| Stopped)?;
            model.reported_durable();
            assert_eq!(self.wal.batch_durable(batch.number), self.wal.persisted_index());
        }
    }

    fn make_spare(&mut self) -> Result<(), Stopped> {
        let wanted = self.wal.spare_wanted();
        let Some(request) = wanted.or_else(|| self.failed_spare.take()) else { return Ok(()) };
        let state = make_spare(&mut self.disk, &request);
        self.wal.spare_changed(&state);
        match state {
            SpareState::Ready => assert!(!self.wal.full()),
            SpareState::Failed(_) if self.disk.crashed() => return Err(Stopped),
            SpareState::Failed(_) => {
                assert!(self.wal.full(), "without a spare, changes are refused");
                self.failed_spare = Some(request);
            }
        }
        Ok(())
    }
}

/// A run that has everything: batches large and small, truncations, rotations, marks, restarts.
/// The same seed does the same until something goes wrong.
pub fn script(disk: &SimDisk, seed: u64, model: &mut Model) -> Result<(), Stopped> {
    let mut rng = Rng::new(seed);
    for _ in 0..3 {
        let mut machine = Machine::start(disk, model).map_err(|_| Stopped)?;
        let mut term = machine.wal.term(machine.wal.last_index()).unwrap_or(1);
        for _ in 0..6 {
            for _ in 0..rng.below(6) {
                machine.append(&mut rng, term);
            }
            if rng.chance(1, 3) {
                term += 1;
                machine.truncate(&mut rng);
                machine.append(&mut rng, term);
            }
            machine.write(&mut rng, model)?;
            if rng.chance(1, 3) && machine.wal.mark_due() {
                machine.wal.append_mark();
                machine.write(&mut rng, model)?;
            }
        }
    }
    Ok(())
}
