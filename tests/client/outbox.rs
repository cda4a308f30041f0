//! The outbox on a disk that crashes, fails and fills up at every operation: what was promised is
//! there, in order, and what was refused does not come back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chatctl::client::session::Draft;
use chatctl::client::store::Error;
use chatctl::client::store::journal::Record;
use chatctl::client::store::outbox::Outbox;
use chatctl::limits;

use crate::support::{Rng, env_number};
use crate::wal::sim_disk::{Fault, SimDisk};

/// Seeds that are played where nothing else is asked for.
const SEEDS: u64 = 12;
/// Operations of the disk in one script, about: none of a longer script is left out.
const STEPS: u64 = 14;

/// What a person may rely on, of the outboxes of one folder.
#[derive(Clone, Default)]
struct Promises {
    last_id: u128,
    /// Messages that were taken, by place: each in its order.
    taken: BTreeMap<usize, Vec<u128>>,
    /// Those that may be there or not: a crash came in between, or they were noted as gone.
    open: BTreeSet<u128>,
    /// Those that must never be there again: not taken, or refused and synced.
    never: BTreeSet<u128>,
}

impl Promises {
    fn drafts(&mut self, rng: &mut Rng) -> Vec<Draft> {
        let count = 1 + rng.below(3);
        let draft = |rng: &mut Rng, id| {
            // Some fill the file at once, so that it is replaced within a script.
            let length = if rng.chance(1, 5) { 60_000 + rng.below(5_000) } else { rng.below(900) };
            let body = "x".repeat(1 + length as usize);
            Draft { id, to: "bob".into(), body, known: 3, cluster: 0, written_ms: 4 }
        };
        (0..count)
            .map(|_| {
                self.last_id += 1;
                draft(rng, self.last_id)
            })
            .collect()
    }

    /// Nobody is promised the message any more; a sync may follow.
    fn gone(&mut self, slot: usize, id: u128) {
        self.taken.entry(slot).or_default().retain(|taken| *taken != id);
        self.open.insert(id);
    }

    /// A new process has found `found` in the outbox of `slot`.
    fn check(&mut self, slot: usize, found: &[u128], context: &str) {
        let taken = self.taken.entry(slot).or_default();
        let theirs: Vec<u128> = found.iter().copied().filter(|id| taken.contains(id)).collect();
        assert_eq!(&theirs, taken, "{context}: taken, and not all there in its order: {found:?}");
        let others: Vec<u128> = found.iter().copied().filter(|id| !taken.contains(id)).collect();
        for id in others {
            assert!(!self.never.contains(&id), "{context}: {id} was refused, and is there again");
            assert!(self.open.contains(&id), "{context}: {id} was never put there");
        }
        let distinct: BTreeSet<&u128> = found.iter().collect();
        assert_eq!(distinct.len(), found.len(), "{context}: twice: {found:?}");
        // What a new process has is promised again.
        self.open.retain(|id| !found.contains(id));
        *taken = found.to_vec();
    }

    /// The first client has taken over what those in other places had.
    fn adopted(&mut self, found: &[u128], context: &str) {
        let all: BTreeSet<u128> = self.taken.values().flatten().copied().collect();
        let theirs: BTreeSet<u128> = found.iter().copied().collect();
        assert_eq!(theirs, all, "{context}: adopted");
        assert_eq!(theirs.len(), found.len(), "{context}: twice: {found:?}");
        self.taken = BTreeMap::from([(0, found.to_vec())]);
    }
}

fn ids(outbox: &Outbox<SimDisk>) -> Vec<u128> {
    outbox.kept().drafts.iter().map(|draft| draft.id).collect()
}

/// One step of a client.
fn step(
    outbox: &mut Outbox<SimDisk>,
    slot: usize,
    promises: &mut Promises,
    rng: &mut Rng,
) -> Result<(), Error> {
    match rng.below(8) {
        0..4 => {
            let drafts = promises.drafts(rng);
            let new: Vec<u128> = drafts.iter().map(|draft| draft.id).collect();
            // Until the call returns, a crash may leave any of them.
            promises.open.extend(&new);
            outbox.put(&drafts)?;
            promises.open.retain(|id| !new.contains(id));
            promises.taken.entry(slot).or_default().extend(new);
        }
        4 => {
            outbox.note(&Record::Cursor(rng.below(100)));
            outbox.flush()?;
        }
        5 => {
            if let Some(id) = ids(outbox).first().copied() {
                promises.gone(slot, id);
                outbox.note(&Record::Gone(id, 9));
                outbox.flush()?;
            }
        }
        _ => {
            if let Some(id) = ids(outbox).last().copied() {
                promises.gone(slot, id);
                outbox.note(&Record::Gone(id, 0));
                outbox.sync()?;
                promises.open.remove(&id);
                promises.never.insert(id);
            }
        }
    }
    Ok(())
}

/// Clients come and go in a folder. Ends early where the power goes; another failure is told to the
/// person, who goes on.
fn script(disk: &SimDisk, promises: &mut Promises, rng: &mut Rng, clients: usize) {
    let mut open: Vec<Option<Outbox<SimDisk>>> = (0..clients).map(|_| None).collect();
    for at in 0..STEPS {
        let slot = rng.below(clients as u64) as usize;
        let context = format!("step {at}, client {slot}");
        match open[slot].take() {
            None => match Outbox::open(disk.clone(), Path::new(""), slot) {
                Ok((outbox, damaged)) => {
                    assert_eq!(damaged, 0, "{context}: nothing has damaged a line");
                    promises.check(slot, &ids(&outbox), &context);
                    open[slot] = Some(outbox);
                }
                Err(_) if disk.crashed() => return,
                Err(_) => {}
            },
            Some(_) if rng.chance(1, 8) => {} // Killed.
            Some(mut outbox) => {
                let before = promises.clone();
                match step(&mut outbox, slot, promises, rng) {
                    Ok(()) => {}
                    Err(_) if disk.crashed() => return,
                    Err(why) if why.to_string().contains("start the client again") => continue,
                    Err(_) => {
                        let new: Vec<u128> = (before.last_id + 1..=promises.last_id).collect();
                        let not_taken = ids(&outbox).iter().all(|id| !new.contains(id));
                        assert!(not_taken, "{context}: not taken, and in memory");
                        // An outbox that takes no more has said so only at its next call.
                        if outbox.sync().is_ok() {
                            promises.open.retain(|id| !new.contains(id));
                            promises.never.extend(new);
                        }
                        if disk.crashed() {
                            return;
                        }
                    }
                }
                open[slot] = Some(outbox);
            }
        }
    }
}

fn seed() -> u64 {
    let seed = env_number("OUTBOX_SEED", 1);
    println!("OUTBOX_SEED={seed}");
    seed
}

/// As [`goes_on`], after a crash in the middle of an adoption: a message may be in either outbox, or
/// in both.
fn adopts_again(disk: &SimDisk, promises: &Promises, context: &str) {
    let (mut outbox, _) = Outbox::open(disk.clone(), Path::new(""), 0)
        .unwrap_or_else(|failure| panic!("{context}: {failure:?}"));
    outbox.adopt(&[1]).unwrap_or_else(|failure| panic!("{context}: {failure:?}"));
    let found = ids(&outbox);
    let distinct: BTreeSet<u128> = found.iter().copied().collect();
    assert_eq!(distinct.len(), found.len(), "{context}: twice: {found:?}");
    for taken in promises.taken.values() {
        let theirs: Vec<u128> = found.iter().copied().filter(|id| taken.contains(id)).collect();
        assert_eq!(&theirs, taken, "{context}: not all there in its order: {found:?}");
    }
    for id in found {
        assert!(!promises.never.contains(&id), "{context}: {id} was refused, and is there again");
    }
}

/// Opens all that there is, as the next first client does.
fn goes_on(disk: &SimDisk, promises: &mut Promises, clients: usize, context: &str) {
    let (mut outbox, _) = Outbox::open(disk.clone(), Path::new(""), 0)
        .unwrap_or_else(|failure| panic!("{context}: {failure:?}"));
    promises.check(0, &ids(&outbox), context);
    let others: Vec<usize> = (1..clients).collect();
    // Nobody is told what is in an outbox before it is opened: a crash may have left anything open.
    for slot in &others {
        let (other, _) = Outbox::open(disk.clone(), Path::new(""), *slot).expect("it opens");
        promises.check(*slot, &ids(&other), context);
    }
    outbox.adopt(&others).unwrap_or_else(|failure| panic!("{context}: {failure:?}"));
    promises.adopted(&ids(&outbox), context);
}

/// Every operation of every script goes wrong in its turn, and the power goes then or a moment later.
fn torture(clients: usize, fault: Fault) {
    let base = seed();
    let mut crashes = 0;
    for seed in base..base + SEEDS {
        for position in 0.. {
            let (disk, mut promises) = (SimDisk::new(seed), Promises::default());
            disk.fail_at(position, fault);
            script(&disk, &mut promises, &mut Rng::new(seed), clients);
            let went_on = disk.operations().len() <= position;
            let context = format!("OUTBOX_SEED={seed}, {fault:?} at operation {position}");
            for life in 0..3 {
                let (disk, mut promises) = (disk.fork(), promises.clone());
                match life {
                    0 => disk.restart(|_| false),
                    1 => disk.restart_somehow(),
                    _ => disk.restart_process(),
                }
                goes_on(&disk, &mut promises, clients, &context);
                // What this process was told counts as told: all of it outlives the power.
                disk.restart(|_| false);
                goes_on(&disk, &mut promises, clients, &context);
            }
            crashes += 1;
            if went_on {
                break;
            }
        }
    }
    assert!(crashes > 20 * SEEDS, "only {crashes} crashes");
}

#[test]
fn after_a_crash_at_any_operation_all_that_was_taken_is_there() {
    torture(1, Fault::Crash);
}

#[test]
fn after_a_failure_at_any_operation_nothing_is_lost_and_what_was_refused_stays_away() {
    torture(1, Fault::Error);
}

#[test]
fn two_clients_of_one_account_lose_nothing_by_a_crash_at_any_operation() {
    torture(2, Fault::Crash);
}

#[test]
fn two_clients_of_one_account_lose_nothing_by_a_failure_at_any_operation() {
    torture(2, Fault::Error);
}

#[test]
fn a_crash_while_an_outbox_is_adopted_leaves_every_message_and_brings_none_back() {
    let base = seed();
    for seed in base..base + SEEDS {
        for position in 0.. {
            let (disk, mut promises, mut rng) =
                (SimDisk::new(seed), Promises::default(), Rng::new(seed));
            for slot in [0, 1] {
                let (mut outbox, _) =
                    Outbox::open(disk.clone(), Path::new(""), slot).expect("it opens");
                let drafts = promises.drafts(&mut rng);
                outbox.put(&drafts).expect("it is taken");
                let new = drafts.iter().map(|draft| draft.id);
                promises.taken.entry(slot).or_default().extend(new);
            }
            disk.restart_process();
            disk.fail_at(position, Fault::Crash);
            let adopted = adopt_and_refuse(&disk, &mut promises);
            if adopted.is_ok() {
                assert!(position > 6, "an adoption has more operations than {position}");
            }
            let context = format!("OUTBOX_SEED={seed}, crash at operation {position}");
            for life in 0..6 {
                let disk = disk.fork();
                // None, all, and some of what was not synced.
                disk.restart(|_| life == 1 || life > 1 && rng.chance(1, 2));
                adopts_again(&disk, &promises, &context);
                disk.restart(|_| false);
                adopts_again(&disk, &promises, &context);
            }
            if !disk.crashed() {
                break;
            }
        }
    }
}

/// The first client adopts the second's outbox; what it then sends is refused for good.
fn adopt_and_refuse(disk: &SimDisk, promises: &mut Promises) -> Result<(), Error> {
    let (mut outbox, _) = Outbox::open(disk.clone(), Path::new(""), 0)?;
    outbox.adopt(&[1])?;
    let all = ids(&outbox);
    promises.taken = BTreeMap::from([(0, all.clone())]);
    for id in all {
        promises.gone(0, id);
        outbox.note(&Record::Gone(id, 0));
        outbox.sync()?;
        promises.open.remove(&id);
        promises.never.insert(id);
    }
    Ok(())
}

#[test]
fn a_full_disk_refuses_messages_and_keeps_those_that_were_taken() {
    let base = seed();
    let mut refused = 0;
    for seed in base..base + SEEDS {
        let (disk, mut promises, mut rng) =
            (SimDisk::new(seed), Promises::default(), Rng::new(seed));
        disk.set_capacity(20_000 + rng.below(150_000));
        let mut outbox = Outbox::open(disk.clone(), Path::new(""), 0).expect("it opens").0;
        for _ in 0..40 {
            let drafts = promises.drafts(&mut rng);
            let new: Vec<u128> = drafts.iter().map(|draft| draft.id).collect();
            match outbox.put(&drafts) {
                Ok(()) => promises.taken.entry(0).or_default().extend(new),
                Err(_) => {
                    refused += 1;
                    promises.never.extend(new);
                    if let Some(id) = ids(&outbox).first().copied() {
                        promises.gone(0, id);
                        outbox.note(&Record::Gone(id, 5));
                        // Where the file is full its end has no room even for that.
                        let _ = outbox.flush();
                    }
                }
            }
        }
        drop(outbox);
        for power_goes in [false, true] {
            let (disk, mut promises) = (disk.fork(), promises.clone());
            if power_goes {
                disk.restart_somehow();
            }
            goes_on(&disk, &mut promises, 1, &format!("OUTBOX_SEED={seed}, full"));
        }
    }
    assert!(refused > SEEDS, "only {refused} were refused");
}

#[test]
fn an_outbox_that_has_more_than_there_is_room_for_is_adopted_once_there_is() {
    let disk = SimDisk::new(1);
    let open = |slot| Outbox::open(disk.clone(), Path::new(""), slot).expect("it opens").0;
    let mut promises = Promises::default();
    let mut rng = Rng::new(1);
    let mut drafts = |count, length: usize| {
        let draft = |draft: Draft| Draft { body: "x".repeat(length), ..draft };
        let all = std::iter::repeat_with(|| promises.drafts(&mut rng)).flatten();
        all.take(count).map(draft).collect::<Vec<_>>()
    };
    for (count, length) in [(limits::OUTBOX_MESSAGES, 1), (256, limits::OUTBOX_BYTES / 256)] {
        let (own, theirs) = (drafts(1, 1), drafts(count, length));
        open(1).put(&theirs).expect("it is taken");
        let mut first = open(0);
        first.put(&own).expect("it is taken");
        assert_eq!(first.adopt(&[1]).expect("it is read"), 0, "{count} and one");
        assert_eq!((ids(&first).len(), ids(&open(1)).len()), (1, count));
        first.note(&Record::Gone(own[0].id, 1));
        assert_eq!(first.adopt(&[1]).expect("it is read"), count);
        assert_eq!((ids(&first).len(), ids(&open(1)).len()), (count, 0));
        let gone: Vec<u128> = ids(&first);
        gone.into_iter().for_each(|id| first.note(&Record::Gone(id, 1)));
        first.flush().expect("it is taken");
    }
}
