//! The hard state's file: crashes, damage, errors.

use chatctl::node::replica::hard_state_of;
use chatctl::raft::ServerId;
use chatctl::wal::boots::{Boot, Boots, Met};
use chatctl::wal::hard_state::{Error, FILE, HardState, LINE_BYTES, load, recover, save};

use super::sim_disk::{Fault, SimDisk};

fn state(term: u64) -> HardState {
    HardState {
        id: "a".into(),
        cluster: [3; 16],
        incarnation: 77,
        role: if term.is_multiple_of(2) { "BACKUP" } else { "PRIMARY" }.into(),
        term,
        voted_for: if term.is_multiple_of(3) { String::new() } else { "b".into() },
        copy: term / 4,
        boots: Boots::new(term, vec![term; term.min(16) as usize]).expect("there are such starts"),
        met: (0..term % 3)
            .map(|incarnation| Met { incarnation, boot: Boot { number: term, id: 5 } })
            .collect(),
        old_copy: if term > 8 { "c".into() } else { String::new() },
    }
}

/// A disk with so many states saved, one after the other.
fn saved(count: u64) -> SimDisk {
    let disk = SimDisk::new(1);
    for term in 1..=count {
        save(&mut disk.clone(), &state(term)).expect("saves");
    }
    disk
}

#[test]
fn what_was_saved_last_is_loaded() {
    assert_eq!(load(&mut saved(0)).expect("loads"), None);
    for count in 1..6 {
        let disk = saved(count);
        disk.restart(|_| false);
        assert_eq!(load(&mut disk.clone()).expect("loads"), Some(state(count)));
        let text = String::from_utf8(disk.content(FILE)).expect("it is text");
        assert_eq!(text.len(), 2 * LINE_BYTES);
        assert!(text.lines().all(|line| line.len() == LINE_BYTES - 1), "{text}");
        assert!(text.contains(&format!(" term={count} ")), "{text}");
    }
}

#[test]
fn a_vote_is_read_back_for_the_server_that_got_it() {
    for (voted_for, expected) in [("", None), ("1", Some(ServerId(1))), ("12", Some(ServerId(12)))]
    {
        let disk = SimDisk::new(1);
        let file = HardState { voted_for: voted_for.into(), ..state(7) };
        save(&mut disk.clone(), &file).expect("saves");
        disk.restart(|_| false);
        let found = recover(&mut disk.clone()).expect("loads").expect("it was saved");
        let read = hard_state_of(&found);
        assert_eq!((read.term, read.voted_for), (7, expected));
    }
}

#[test]
fn a_crash_while_saving_leaves_the_old_state_or_the_new_one() {
    for count in 0..4 {
        for position in 0.. {
            let disk = saved(count);
            disk.restart(|_| false);
            disk.fail_at(position, Fault::Crash);
            let result = save(&mut disk.clone(), &state(count + 1));
            if !disk.crashed() {
                result.expect("nothing went wrong");
                break;
            }
            assert!(matches!(result, Err(Error::Io(_))));
            // A line has eight sectors; of the two that make the file not all subsets are tried.
            let subsets: u64 = 1 << disk.unsynced();
            let step = subsets.div_ceil(1 << 9) | 1;
            for subset in (0..subsets).step_by(step as usize).chain([subsets - 1]) {
                let disk = disk.fork();
                disk.restart(|at| subset >> at & 1 == 1);
                let term = load(&mut disk.clone()).expect("loads").map_or(0, |state| state.term);
                assert!(term == count || term == count + 1, "term {term} after {count}");
                save(&mut disk.clone(), &state(9)).expect("saves");
                disk.restart(|_| false);
                assert_eq!(load(&mut disk.clone()).expect("loads"), Some(state(9)));
            }
        }
    }
}

#[test]
fn a_state_that_only_the_cache_has_is_durable_once_a_server_goes_on_from_it() {
    for (count, position) in (0..4).flat_map(|count| (0..8).map(move |at| (count, at))) {
        for fault in [Fault::Crash, Fault::Error] {
            let disk = saved(count);
            disk.restart(|_| false);
            disk.fail_at(position, fault);
            // The process ends in the middle of it or after the failure; the power stays.
            let _ = save(&mut disk.clone(), &state(count + 1));
            disk.restart_process();
            let found = recover(&mut disk.clone()).expect("recovers");
            disk.restart(|_| false);
            let after = load(&mut disk.clone()).expect("loads");
            assert_eq!(after, found, "{count} saved, {fault:?} at {position}");
        }
    }
}

#[test]
fn any_bit_changed_and_any_cut_gives_one_of_the_two_states_or_an_error() {
    let disk = saved(4);
    let sound = disk.content(FILE);
    let check = |bytes: &[u8], what: String| {
        disk.set_content(FILE, bytes);
        match load(&mut disk.clone()) {
            Ok(Some(loaded)) => assert!(loaded == state(4) || loaded == state(3), "{what}"),
            Ok(None) => panic!("{what}: a state was saved"),
            Err(Error::Damaged { .. }) => {}
            Err(error) => panic!("{what}: {error}"),
        }
    };
    // Every byte that says something, and some of the spaces.
    let says = |at: &usize| sound[*at] != b' ' || at.is_multiple_of(64);
    for at in (0..sound.len()).filter(says) {
        for bit in 0..8 {
            let mut changed = sound.clone();
            changed[at] ^= 1 << bit;
            check(&changed, format!("byte {at}, bit {bit}"));
        }
        check(&sound[..at], format!("cut to {at}"));
    }
}

#[test]
fn with_both_lines_damaged_the_file_is_refused_and_stays_as_it_is() {
    let disk = saved(2);
    let mut bytes = disk.content(FILE);
    bytes[20] ^= 1;
    bytes[LINE_BYTES + 20] ^= 1;
    disk.set_content(FILE, &bytes);
    let error = load(&mut disk.clone()).unwrap_err();
    assert!(error.to_string().contains(FILE), "{error}");
    save(&mut disk.clone(), &state(3)).expect_err("what it would overwrite is not known");
    assert_eq!(disk.content(FILE), bytes);
    for bytes in [&b""[..], &b"x".repeat(9000)] {
        disk.set_content(FILE, bytes);
        assert!(matches!(load(&mut disk.clone()), Err(Error::Damaged { .. })));
    }
}

#[test]
fn a_failed_save_is_an_error_and_the_state_before_is_still_there() {
    for position in 0..2 {
        let disk = saved(2);
        disk.restart_process();
        disk.fail_at(position, Fault::Error);
        save(&mut disk.clone(), &state(3)).expect_err("the disk failed");
        disk.restart_somehow();
        let loaded = load(&mut disk.clone()).expect("loads").expect("a state was saved");
        assert!(loaded == state(2) || loaded == state(3));
    }
}
