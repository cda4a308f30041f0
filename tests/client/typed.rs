//! What is kept of typing, on a disk that crashes, fails and fills up: the old file or the new one,
//! and never an error that disturbs the chat.

use std::collections::VecDeque;

use chatctl::client::store::typed::{FILE, Keeper, Typed, Unsent};

use crate::wal::sim_disk::{Fault, SimDisk};

/// Something to keep, told apart by a number.
fn typed(number: usize) -> Typed {
    let text = format!("half a thought {number}").repeat(100);
    let draft = Unsent { to: "bob".to_string(), cursor: text.len(), text };
    let lines = VecDeque::from([format!("line {number}")]);
    Typed { lines, drafts: vec![draft], muted: ["carol".to_string()].into() }
}

fn found(disk: &SimDisk) -> Typed {
    Keeper::open(disk.clone(), 0).1
}

/// A disk that has the first one, whatever happens from here on.
fn disk() -> SimDisk {
    let disk = SimDisk::new(1);
    let mut keeper = Keeper::open(disk.clone(), 0).0;
    assert!(keeper.save(&typed(1)).is_whole);
    disk.restart(|_| true);
    disk
}

#[test]
fn a_crash_at_any_operation_leaves_what_was_typed_before_or_now() {
    let mut operations = 0;
    for position in 0.. {
        let disk = disk();
        let (mut keeper, before) = Keeper::open(disk.clone(), 0);
        assert_eq!(before, typed(1));
        disk.fail_at(position, Fault::Crash);
        keeper.save(&typed(2));
        let ended = !disk.crashed();
        for life in 0..200 {
            let disk = disk.fork();
            disk.reseed(life);
            match life {
                0 => disk.restart(|_| false),
                1 => disk.restart(|_| true),
                _ => disk.restart_somehow(),
            }
            let read = found(&disk);
            assert!(read == typed(1) || read == typed(2), "operation {position}: {read:?}");
            // What a crash has left of a new file is in nobody's way.
            assert!(Keeper::open(disk.clone(), 0).0.save(&typed(3)).is_whole);
            assert_eq!(found(&disk), typed(3));
        }
        if ended {
            break;
        }
        operations += 1;
    }
    assert!(operations >= 5, "only {operations} operations");
}

#[test]
fn a_failure_is_told_once_and_the_next_time_is_tried_again() {
    // A file is made, written, synced and renamed, after one from before is removed.
    for position in 1..5 {
        let disk = disk();
        let (mut keeper, _) = Keeper::open(disk.clone(), 0);
        disk.fail_at(position, Fault::Error);
        let saved = keeper.save(&typed(2));
        let trouble = saved.trouble.expect("it failed");
        assert!(
            !saved.is_whole && trouble.starts_with("cannot save drafts and the input history"),
            "{trouble}"
        );
        let read = found(&disk);
        assert!(read == typed(1) || read == typed(2), "operation {position}: {read:?}");
        let saved = keeper.save(&typed(2));
        assert_eq!((saved.is_whole, saved.trouble), (true, None), "operation {position}");
        assert_eq!(found(&disk), typed(2));
        let kept: Vec<String> = disk.snapshot().into_keys().collect();
        assert_eq!(kept, [FILE], "operation {position}");
    }
}

#[test]
fn a_full_disk_is_told_once_until_there_is_room_again() {
    let disk = disk();
    let (mut keeper, _) = Keeper::open(disk.clone(), 0);
    for _ in 0..2 {
        disk.set_capacity(disk.used() + 512);
        let troubles: Vec<bool> =
            (2..6).map(|number| keeper.save(&typed(number)).trouble.is_some()).collect();
        assert_eq!(troubles, [true, false, false, false]);
        let read = found(&disk);
        assert!(!read.drafts.is_empty() && disk.snapshot().len() == 1, "the old one stays");
        disk.set_capacity(u64::MAX);
        assert!(keeper.save(&typed(7)).is_whole);
    }
}

#[test]
fn two_clients_write_files_of_their_own_and_the_last_one_wins() {
    // The one is interrupted at any place by the other.
    for position in 0..5 {
        let disk = disk();
        let (mut first, _) = Keeper::open(disk.clone(), 0);
        let (mut second, _) = Keeper::open(disk.clone(), 1);
        disk.fail_at(position, Fault::Error);
        first.save(&typed(2));
        assert!(second.save(&typed(3)).is_whole);
        assert_eq!(found(&disk), typed(3));
        assert!(first.save(&typed(4)).is_whole);
        assert_eq!(found(&disk), typed(4));
        assert!(second.save(&typed(5)).is_whole);
        assert_eq!(found(&disk), typed(5));
    }
}

#[test]
fn what_is_the_same_is_not_written_again() {
    let disk = disk();
    let (mut keeper, read) = Keeper::open(disk.clone(), 0);
    assert!(keeper.save(&read).is_whole);
    assert_eq!(disk.operations(), []);
}
