//! The folder of an account on one machine, and what the people at its clients were told: what a
//! later client must find there, and what it must never find again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use chatctl::client::session::{Draft, Incoming};
use chatctl::client::store::Error;
use chatctl::client::store::journal::Record;
use chatctl::client::store::outbox::{Outbox, file_name};

use crate::support::Rng;
use crate::wal::sim_disk::{Fault, SimDisk};

/// Clients of one account that run on one machine at most.
const CLIENTS: usize = 2;
/// A cluster that no server of any history is of.
pub const OTHER_CLUSTER: u128 = 7;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// See the module's comment. Its clients share it.
pub struct Folder {
    pub disk: SimDisk,
    pub rng: Rng,
    /// The wall clock when the simulation began, milliseconds.
    pub epoch_ms: u64,
    /// How often the power went: a client that was started before is gone.
    pub power_losses: u64,
    /// Per mille: an operation of the disk fails, or is the last one before the power goes.
    pub faults: u64,
    /// Two clients of the account run here.
    pub has_two: bool,
    /// Places whose clients run.
    taken: BTreeSet<usize>,
    pub lives: u64,
    pub seen: Seen,
    /// The cursor that the first client's file has, where that is known for sure.
    pub noted_cursor: Option<u64>,
    /// An earlier chat with another cluster left an outbox.
    is_used: bool,
}

/// What the people at one folder saw, to be held against what is stored.
#[derive(Default)]
pub struct Seen {
    /// Messages that were taken, in the order in which they were written.
    pub written: Vec<Written>,
    pub acknowledged: BTreeMap<u128, u64>,
    /// Refused for good, with the code; and given up by a person. Neither comes back.
    pub refused: BTreeMap<u128, String>,
    pub given_up: BTreeSet<u128>,
    /// Told as refused or given up while the disk failed: they may come back.
    pub unsure: BTreeSet<u128>,
    /// Waited for more than a day, so that newer ones may have been sent before.
    pub late: BTreeSet<u128>,
    /// Texts that were perhaps taken: the power went or the disk failed meanwhile.
    pub doubted: BTreeSet<String>,
    /// Texts that no client may ever store: not taken, or for another cluster.
    pub not_taken: BTreeSet<String>,
    /// By the place of the client.
    pub streams: BTreeMap<usize, Stream>,
}

/// A message that was taken.
pub struct Written {
    pub id: u128,
    pub to: String,
    pub body: String,
    /// The process that took it.
    pub life: u64,
    /// The client in whose outbox it is; none where a crash came in the middle of an adoption.
    pub home: Option<usize>,
}

/// What one place's clients have shown.
#[derive(Default)]
pub struct Stream {
    /// Rising; what a crash made a client forget is taken out again.
    pub shown: Vec<Incoming>,
    /// Everything above this was to be shown.
    pub from: Option<u64>,
}

impl Seen {
    /// The person was told what became of it for good.
    fn is_told(&self, id: u128) -> bool {
        self.acknowledged.contains_key(&id) || self.is_gone(id) || self.unsure.contains(&id)
    }

    fn is_gone(&self, id: u128) -> bool {
        self.refused.contains_key(&id) || self.given_up.contains(&id)
    }
}

impl Folder {
    pub fn new(seed: u64, has_two: bool) -> Rc<RefCell<Folder>> {
        let mut rng = Rng::new(seed);
        let folder = Folder {
            disk: SimDisk::new(rng.next()),
            epoch_ms: 10 * DAY_MS,
            power_losses: 0,
            faults: if rng.chance(3, 5) { 0 } else { rng.below(60) },
            has_two,
            taken: BTreeSet::new(),
            lives: 0,
            seen: Seen::default(),
            noted_cursor: None,
            is_used: rng.chance(1, 3),
            rng,
        };
        Rc::new(RefCell::new(folder))
    }

    /// Before the first client: what another cluster's chat may have left. Its cursor is near the
    /// newest entry of this one's, `newest`.
    pub fn prepare(&mut self, newest: u64, now_ms: u64) {
        if !std::mem::take(&mut self.is_used) || self.lives > 0 {
            return;
        }
        let body = "for another cluster".to_owned();
        let written_ms = self.epoch_ms + now_ms;
        let (to, known, cluster) = ("person0".to_owned(), 1, OTHER_CLUSTER);
        let draft = Draft { id: 1, to, body: body.clone(), known, cluster, written_ms };
        let mut bytes = Vec::new();
        Record::Cluster(OTHER_CLUSTER).write(&mut bytes);
        Record::Cursor(newest + self.rng.below(4)).write(&mut bytes);
        Record::Put(&draft).write(&mut bytes);
        self.disk.set_content(&file_name(0), &bytes);
        self.seen.not_taken.insert(body);
    }

    /// A client opens its outbox, as the shell does with its locks; what it finds is what was
    /// promised. An error of the disk is told to the person, who tries again.
    pub fn open(&mut self, is_calm: bool) -> Result<(Outbox<SimDisk>, usize), Error> {
        let slot = (0..CLIENTS).find(|slot| !self.taken.contains(slot)).expect("there is a place");
        if !is_calm && self.rng.chance(10 * self.faults, 1_000) {
            self.fails_within(12);
        }
        let opened = self.open_at(slot);
        self.disk_is_sound();
        let (outbox, adopted) = opened?;
        self.taken.insert(slot);
        self.lives += 1;
        if self.rng.chance(1, 8) && !is_calm {
            // Nobody was at this machine for a while.
            self.epoch_ms += 2 * DAY_MS;
        }
        Ok((outbox, adopted))
    }

    fn open_at(&mut self, slot: usize) -> Result<(Outbox<SimDisk>, usize), Error> {
        let folder = Path::new("folder");
        let (mut outbox, _) = Outbox::open(self.disk.clone(), folder, slot)?;
        self.check(&outbox, &[slot]);
        let (kept, cursor) = (outbox.kept().cursor, self.noted_cursor);
        assert!(slot > 0 || cursor.is_none() || kept == cursor, "{kept:?}, noted {cursor:?}");
        let mut adopted = 0;
        if slot == 0 {
            let dead: Vec<usize> = (1..CLIENTS).filter(|slot| !self.taken.contains(slot)).collect();
            let homes = |written: &&mut Written| written.home.is_some_and(|at| dead.contains(&at));
            let mut moving: BTreeMap<u128, usize> = BTreeMap::new();
            for written in self.seen.written.iter_mut().filter(homes) {
                moving.extend(written.home.take().map(|home| (written.id, home)));
            }
            adopted = outbox.adopt(&dead)?;
            let has = |id: &u128| outbox.kept().drafts.iter().any(|draft| draft.id == *id);
            let files = self.disk.snapshot();
            for written in &mut self.seen.written {
                let Some(&at) = moving.get(&written.id) else { continue };
                // What has no room stays where it is.
                let stays = files.contains_key(&file_name(at));
                let gone = if stays { at } else { CLIENTS };
                written.home = Some(if has(&written.id) { 0 } else { gone });
            }
            for (id, at) in moving {
                let stays = files.contains_key(&file_name(at));
                let is_known = has(&id) || stays || self.seen.is_told(id);
                assert!(is_known, "{id:032x} is lost by an adoption");
            }
            self.check(&outbox, &[]);
        }
        Ok((outbox, adopted))
    }

    /// An outbox has all that was taken there and nobody has heard of since, and nothing that was
    /// refused or given up.
    fn check(&self, outbox: &Outbox<SimDisk>, homes: &[usize]) {
        let drafts = &outbox.kept().drafts;
        for draft in drafts {
            let gone = self.seen.is_gone(draft.id);
            assert!(!gone, "told as gone, and it comes back: {draft:.60?}");
        }
        for written in &self.seen.written {
            let is_here = written.home.is_some_and(|home| homes.contains(&home));
            let has = || drafts.iter().any(|draft| draft.id == written.id);
            let id = written.id;
            assert!(!is_here || self.seen.is_told(id) || has(), "{id:032x} was taken, and is lost");
        }
    }

    /// A crash in the middle of an adoption may have left it in two outboxes: where one client is told
    /// that it is refused, the other may still send it.
    pub fn is_doubled(&self, id: u128) -> bool {
        self.seen.written.iter().any(|written| written.id == id && written.home.is_none())
    }

    /// Which of these messages a later client finds, if the power goes now; none where a crash left
    /// one in two outboxes.
    pub fn comes_back(&self, ids: &[u128]) -> Option<u128> {
        let ids: BTreeSet<u128> = ids.iter().copied().filter(|id| !self.is_doubled(*id)).collect();
        let found = |slot| self.disk.durable(&file_name(slot), |file| kept_in(file, ids.clone()));
        (0..CLIENTS).filter_map(found).flatten().next()
    }

    /// One of the next operations of the disk goes wrong.
    pub fn fails_within(&mut self, operations: u64) {
        let fault = if self.rng.chance(1, 2) { Fault::Crash } else { Fault::Error };
        let at = self.disk.operations().len() + self.rng.below(operations) as usize;
        self.disk.fail_at(at, fault);
    }

    /// Nothing more goes wrong; after a crash the power comes again.
    pub fn disk_is_sound(&mut self) {
        self.disk.fail_no_more();
        if self.disk.crashed() {
            self.loses_power();
        }
    }

    /// A process has ended. What it wrote stays in the page cache.
    pub fn leave(&mut self, slot: usize) {
        self.taken.remove(&slot);
        self.disk.restart_process();
    }

    /// All clients are gone, and with them what was not synced, or some of it.
    pub fn loses_power(&mut self) {
        self.disk.restart_somehow();
        self.power_losses += 1;
        self.taken.clear();
        self.noted_cursor = None;
    }
}

/// One of these messages that an outbox's file has and does not note as gone. Looks only at the kind
/// and the id of each line, from the end, since it is asked after every refusal.
fn kept_in(file: &[u8], mut ids: BTreeSet<u128>) -> Option<u128> {
    let mut lines = file.rsplit(|byte| *byte == b'\n');
    while !ids.is_empty() {
        let Some(line) = lines.next()?.get("CRC.CRC.  ".len()..) else { continue };
        let (is_put, rest) = match (line.strip_prefix(b"put "), line.strip_prefix(b"gone ")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => continue,
        };
        let digits = rest.get(..32).and_then(|digits| std::str::from_utf8(digits).ok());
        let id = digits.and_then(|digits| u128::from_str_radix(digits, 16).ok());
        if let Some(id) = id.filter(|id| ids.remove(id) && is_put) {
            return Some(id);
        }
    }
    None
}
