//! The power goes at every operation of a run, and any part of what was not synced is lost.

use chatctl::wal::RecoverError;

use super::machine::{Machine, Model, script};
use super::sim_disk::{Fault, SimDisk};
use crate::support::{Rng, env_number};

fn seed() -> u64 {
    let seed = env_number("WAL_SEED", 1);
    println!("WAL_SEED={seed}");
    seed
}

/// How many operations the whole script is.
fn script_length(seed: u64) -> usize {
    // Restarts of the machine within the script keep the count going.
    let disk = SimDisk::new(seed);
    script(&disk, seed, &mut Model::default()).expect("nothing goes wrong");
    disk.operations().len()
}

/// Runs the script up to an operation that goes wrong.
fn run_until(seed: u64, position: usize, fault: Fault) -> (SimDisk, Model) {
    let (disk, mut model) = (SimDisk::new(seed), Model::default());
    disk.fail_at(position, fault);
    let _ = script(&disk, seed, &mut model);
    (disk, model)
}

/// Every subset of what was not synced where that is few, else some.
fn subsets(unsynced: usize, rng: &mut Rng) -> Vec<u64> {
    if unsynced <= 6 {
        return (0..1 << unsynced).collect();
    }
    let some = (0..24).map(|_| match rng.below(3) {
        0 => rng.next(),
        1 => rng.next() | rng.next() | rng.next(),
        _ => rng.next() & rng.next() & rng.next(),
    });
    [0, u64::MAX].into_iter().chain(some).collect()
}

fn is_kept(subset: u64, position: usize) -> bool {
    subset.rotate_right(position as u32 % 64) & 1 == 1
}

/// A server starts, writes a little and starts again, and finds all of it.
fn goes_on(disk: &SimDisk, model: &mut Model, rng: &mut Rng) -> Result<(), RecoverError> {
    let mut machine = Machine::start(disk, model)?;
    let term = model.durable.last().map_or(1, |entry| entry.term);
    for _ in 0..3 {
        machine.append(rng, term);
        machine.append(rng, term);
        machine.write(rng, model).expect("nothing goes wrong");
        machine.check_places(model);
    }
    disk.restart(|_| false);
    Machine::start(disk, model).map(drop)
}

#[test]
fn after_a_crash_at_any_operation_all_that_was_durable_is_there_and_nothing_else() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    for position in 0..script_length(seed) {
        let (disk, model) = run_until(seed, position, Fault::Crash);
        for subset in subsets(disk.unsynced(), &mut rng) {
            let (disk, mut model) = (disk.fork(), model.clone());
            disk.restart(|at| is_kept(subset, at));
            goes_on(&disk, &mut model, &mut rng).unwrap_or_else(|error| {
                panic!("crash at operation {position}, subset {subset:#x}: {error}")
            });
        }
    }
}

#[test]
fn a_crash_at_any_operation_of_recovery_is_recovered_from_in_its_turn() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    for position in (0..script_length(seed)).step_by(3) {
        let (disk, model) = run_until(seed, position, Fault::Crash);
        disk.restart_somehow();
        for second in 0.. {
            let (disk, mut model) = (disk.fork(), model.clone());
            disk.fail_at(second, Fault::Crash);
            let started = Machine::start(&disk, &mut model);
            if !disk.crashed() {
                assert!(started.is_ok(), "crash at {position}: {:?}", started.err());
                break;
            }
            assert!(started.is_err(), "what fails is not reported as recovered");
            for _ in 0..3 {
                let (disk, mut model) = (disk.fork(), model.clone());
                disk.restart_somehow();
                goes_on(&disk, &mut model, &mut rng).unwrap_or_else(|error| {
                    panic!("crash at operation {position}, then at {second}: {error}")
                });
            }
            // The process alone may die, too: the cache then shows what the disk may not have.
            let (disk, mut model) = (disk.fork(), model.clone());
            disk.restart_process();
            Machine::start(&disk, &mut model).expect("recovers");
            disk.restart_somehow();
            goes_on(&disk, &mut model, &mut rng).expect("recovers");
        }
    }
}

#[test]
fn a_failed_write_or_sync_loses_nothing_that_was_durable_even_with_the_power_after_it() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    for position in 0..script_length(seed) {
        let (disk, model) = run_until(seed, position, Fault::Error);
        for power_goes in [true, false] {
            for _ in 0..4 {
                let (disk, mut model) = (disk.fork(), model.clone());
                if power_goes {
                    disk.restart_somehow();
                } else {
                    disk.restart_process();
                }
                // What this start calls persisted must outlive the power, whatever the cache had.
                Machine::start(&disk, &mut model).expect("recovers");
                disk.restart(|_| false);
                goes_on(&disk, &mut model, &mut rng).unwrap_or_else(|error| {
                    panic!("error at operation {position}, power goes: {power_goes}: {error}")
                });
            }
        }
    }
}

#[test]
fn random_runs_crash_at_random_and_lose_nothing() {
    let base = seed();
    for seed in base..base + 60 {
        let mut rng = Rng::new(seed);
        let (disk, mut model) = (SimDisk::new(seed), Model::default());
        for life in 0..12 {
            let fault = if rng.chance(1, 2) { Fault::Crash } else { Fault::Error };
            disk.fail_at(rng.below(120) as usize, fault);
            let _ = script(&disk, rng.next(), &mut model);
            if rng.chance(3, 4) {
                disk.restart_somehow();
            } else {
                disk.restart_process();
            }
            let mut found = model.clone();
            Machine::start(&disk.fork(), &mut found)
                .unwrap_or_else(|error| panic!("WAL_SEED={seed}, life {life}: {error}"));
        }
    }
}
