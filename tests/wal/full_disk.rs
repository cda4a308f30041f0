//! A disk that fills up.

use chatctl::wal::{Disk, Options, RecoverError, SpareState, make_spare, perform, recover};

use super::machine::{Machine, Model, OPTIONS, SEGMENT_BYTES};
use super::sim_disk::{Fault, SimDisk};
use crate::support::Rng;
use crate::support::bounded::Rounds;

fn used(disk: &SimDisk) -> u64 {
    disk.snapshot().values().map(|bytes| bytes.len() as u64).sum()
}

/// Appends and writes one entry of 200 bytes.
fn append(machine: &mut Machine, rng: &mut Rng, model: &mut Model) {
    let index = machine.wal.last_index() + 1;
    machine.wal.append_entry(1, index, &[7; 200]);
    machine.write(rng, model).expect("nothing goes wrong");
}

#[test]
fn a_full_disk_is_known_before_it_is_needed_and_what_was_accepted_still_fits() {
    let (disk, mut model, mut rng) = (SimDisk::new(1), Model::default(), Rng::new(1));
    let mut machine = Machine::start(&disk, &mut model).expect("recovers");
    append(&mut machine, &mut rng, &mut model);
    assert!(!machine.wal.full());
    disk.set_capacity(used(&disk));
    let mut rounds = Rounds::new(100_000, "the log knows that its disk is full");
    while !machine.wal.full() {
        rounds.count();
        append(&mut machine, &mut rng, &mut model);
    }
    assert!(
        !disk.snapshot().keys().any(|name| name.ends_with(".new")),
        "what could not be made whole gives its room back"
    );
    // The segment that was the spare has most of its room: eight such entries, of 240 bytes.
    for _ in 0..4 {
        let before = machine.wal.persisted_index();
        append(&mut machine, &mut rng, &mut model);
        assert_eq!(machine.wal.persisted_index(), before + 1);
    }
    // What is accepted all the same waits, and is not called persisted.
    for _ in 0..20 {
        append(&mut machine, &mut rng, &mut model);
    }
    assert!(machine.wal.persisted_index() < machine.wal.last_index());
    assert!(machine.wal.gathered_bytes() > 0);
    machine.check_places(&model);

    disk.set_capacity(u64::MAX);
    machine.write(&mut rng, &mut model).expect("nothing goes wrong");
    assert!(!machine.wal.full());
    assert_eq!(machine.wal.persisted_index(), machine.wal.last_index());
    disk.restart(|_| false);
    Machine::start(&disk, &mut model).expect("recovers");
}

#[test]
fn a_server_starts_on_a_full_disk_with_a_small_segment_and_the_old_one_gives_back_its_room() {
    let (disk, mut model, mut rng) = (SimDisk::new(1), Model::default(), Rng::new(1));
    let mut machine = Machine::start(&disk, &mut model).expect("recovers");
    disk.set_capacity(used(&disk) + 600);
    for _ in 0..3 {
        append(&mut machine, &mut rng, &mut model);
    }
    assert!(machine.wal.full());
    disk.set_capacity(used(&disk) + u64::from(SEGMENT_BYTES) - 512);
    disk.restart_process();
    let mut machine = Machine::start(&disk, &mut model).expect("a small segment has room");
    let lengths: Vec<usize> = disk.snapshot().values().map(|bytes| bytes.len()).collect();
    let old_end = 4096 + 2 * (232 + 32);
    assert_eq!(lengths, [old_end, 4608], "one is cut where its last batch began, one is small");
    append(&mut machine, &mut rng, &mut model);
    assert!(machine.wal.full());

    disk.set_capacity(used(&disk) + 2 * u64::from(SEGMENT_BYTES));
    for _ in 0..8 {
        append(&mut machine, &mut rng, &mut model);
    }
    assert_eq!(machine.wal.persisted_index(), machine.wal.last_index());
    machine.check_places(&model);
    disk.set_capacity(u64::MAX);
    disk.restart(|_| false);
    Machine::start(&disk, &mut model).expect("recovers");
}

#[test]
fn a_disk_without_any_room_is_an_error_that_names_the_file_and_loses_nothing() {
    let (disk, mut model, mut rng) = (SimDisk::new(1), Model::default(), Rng::new(1));
    let mut machine = Machine::start(&disk, &mut model).expect("recovers");
    disk.set_capacity(used(&disk));
    append(&mut machine, &mut rng, &mut model);
    let error = Machine::start(&disk, &mut model).err().expect("there is no room");
    let error = error.to_string();
    assert!(error.contains("00000002.wal") && error.contains("make room"), "{error}");
    disk.set_capacity(u64::MAX);
    Machine::start(&disk, &mut model).expect("recovers");
}

#[test]
fn a_spare_that_could_not_be_made_is_made_by_the_same_request_later() {
    let (disk, mut model) = (SimDisk::new(1), Model::default());
    let mut machine = Machine::start(&disk, &mut model).expect("recovers");
    let request = machine.wal.spare_wanted().expect("there is no spare yet");
    assert_eq!(machine.wal.spare_wanted(), None, "it is wanted once");
    disk.set_capacity(used(&disk) + 1);
    for _ in 0..3 {
        let state = make_spare(&mut disk.clone(), &request);
        assert!(matches!(state, SpareState::Failed(_)));
        machine.wal.spare_changed(&state);
        assert!(machine.wal.full());
    }
    disk.set_capacity(u64::MAX);
    let segments = machine.wal.segments();
    machine.wal.spare_changed(&make_spare(&mut disk.clone(), &request));
    assert!(!machine.wal.full());
    assert_eq!(machine.wal.segments(), segments + 1);
    assert_eq!(machine.wal.bytes(), used(&disk));
    assert_eq!(disk.clone().list().expect("lists").len(), 2);
}

/// Whatever goes wrong meanwhile.
#[test]
fn a_server_starts_without_any_room_on_what_was_preallocated_behind_the_log() {
    let options = Options { segment_bytes: 64 << 10, ..OPTIONS };
    let recovered = |disk: &SimDisk| {
        let mut visited = 0;
        let mut visit = |_: u64, _: u64, _: &[u8]| {
            visited += 1;
            Ok(())
        };
        let (wal, report) = recover(&mut disk.clone(), &options, &mut visit)?;
        Ok::<_, RecoverError>((wal, visited + report.tail.len()))
    };
    let disk = SimDisk::new(1);
    let (mut wal, _) = recovered(&disk).expect("recovers");
    for index in 1..=20 {
        wal.append_entry(1, index, &[7; 200]);
    }
    let batch = wal.take_batch(0).expect("entries are gathered");
    perform(&mut disk.clone(), &batch).expect("nothing goes wrong");
    disk.set_capacity(used(&disk));
    let whole = disk.fork();
    let (wal, entries) = recovered(&whole).expect("there is room enough");
    assert_eq!((wal.last_index(), entries), (20, 20));
    for fault in [Fault::Crash, Fault::Error] {
        for position in 0..whole.operations().len() {
            let disk = disk.fork();
            disk.restart_process();
            disk.fail_at(position, fault);
            let _ = recovered(&disk);
            disk.restart(|sector| sector % 3 != position % 3);
            let (_, entries) = recovered(&disk).expect("as often as it takes");
            assert_eq!(entries, 20);
        }
    }
}
