//! Damage that is set aside: what is left is the log's beginning, and nothing of the rest is lost to
//! the operator, whatever goes wrong meanwhile.

use std::collections::BTreeMap;

use chatctl::wal::{Disk, Entry, RecoverError, SoundPart, set_aside};

use super::damage::{HEADER_BYTES, Known, RECORDS_START, Sound, look, recover_checked, sound};
use super::machine::{CLUSTER, Machine, Model, OPTIONS, open};
use super::sim_disk::{Fault, SimDisk};
use crate::support::Rng;

type Files = BTreeMap<String, Vec<u8>>;

/// A log that is damaged, and what is before the damage.
struct Damaged {
    what: String,
    disk: SimDisk,
    left: Option<Vec<Entry>>,
}

/// A bit of each kind of place, a lost sector, a cut file, a missing one.
fn damaged(sound: &Sound) -> Vec<Damaged> {
    let mut all = Vec::new();
    let mut add = |what: String, left: Option<&Vec<Entry>>, file: &str, bytes: Option<&[u8]>| {
        let disk = sound.disk.fork();
        // What was never synced, such as the cutting of files, has happened long ago.
        disk.restart(|_| true);
        match bytes {
            Some(bytes) => disk.set_content(file, bytes),
            None => disk.clone().remove(file).expect("removes"),
        }
        all.push(Damaged { what, disk, left: left.cloned() });
    };
    let last = sound.last_batch;
    for known in sound.records.iter().filter(|known| known.batch < last) {
        let (file, at) = (&known.file, known.place.start + 20);
        let bytes = sound.disk.content(file);
        let mut flipped = bytes.clone();
        flipped[at] ^= 8;
        add(format!("{file}, byte {at}"), Some(&known.before), file, Some(&flipped));
        let mut lost = bytes.clone();
        let start = known.place.start & !511;
        let end = lost.len().min(start + 512);
        lost[start..end].fill(0);
        // With the last batch gone nothing proves what was before it.
        let is_last = |other: &&Known| other.file == *file && other.batch == last;
        if !sound.records.iter().filter(is_last).any(|other| other.place.start < end) {
            add(format!("{file}, sector {start}"), None, file, Some(&lost));
        }
        add(format!("{file}, cut at {at}"), None, file, Some(&bytes[..at]));
    }
    for (file, bytes) in sound.disk.snapshot() {
        if file != sound.newest {
            let first = sound.records.iter().find(|known| known.file == file);
            let left = first.map(|known| &known.before);
            let mut header = bytes;
            header[HEADER_BYTES / 2] ^= 1;
            add(format!("{file}, header"), left, &file, Some(&header));
            add(format!("{file} is missing"), left, &file, None);
        }
    }
    all
}

fn entries_of(disk: &SimDisk, sound: &Sound) -> Vec<Entry> {
    let (_, entries) = recover_checked(disk, sound).expect("what is left is sound");
    let states = sound.records.iter().map(|known| &known.before);
    assert!(states.chain([&sound.entries]).any(|state| *state == entries), "it was the log once");
    entries
}

/// Every file of before has its bytes still, under its name or set aside. A segment that counts may
/// be cut where a newer one goes on.
fn nothing_is_thrown_away(before: &Files, after: &Files) {
    for (file, bytes) in before {
        let is_it = |(name, kept): (&String, &Vec<u8>)| {
            let aside = name.strip_prefix(file).is_some_and(|rest| rest.starts_with(".damaged"));
            aside && kept == bytes || name == file && bytes.starts_with(kept)
        };
        assert!(after.iter().any(is_it), "{file} is thrown away");
    }
}

#[test]
fn what_is_before_the_damage_is_left_and_the_rest_is_kept_aside() {
    let sound = sound(true);
    for Damaged { what, disk, left } in damaged(&sound) {
        let before = disk.snapshot();
        let result = recover_checked(&disk, &sound);
        assert!(matches!(result, Err(RecoverError::Corrupt { .. })), "{what}");
        let (mut part, damage) = SoundPart::of(disk.clone(), Some(CLUSTER)).expect("is found");
        let (_, shown) = look(&mut part, Some(CLUSTER)).expect("what is shown is sound");
        assert!(damage.is_some() && disk.snapshot() == before, "{what}: nothing is changed");
        let lines = set_aside(&mut disk.clone(), &OPTIONS).expect("nothing goes wrong");
        assert!(lines[0].contains(" is damaged at byte "), "{what}: {lines:?}");
        nothing_is_thrown_away(&before, &disk.snapshot());
        let entries = entries_of(&disk, &sound);
        assert!(left.is_none_or(|left| left == entries), "{what}: all before it is there");
        assert!(shown == entries, "{what}: `recover` takes what a member would go on from");
    }
}

#[test]
fn a_crash_at_any_operation_costs_nothing_but_what_others_restore() {
    let (sound, mut rng) = (sound(true), Rng::new(9));
    let all = damaged(&sound);
    for Damaged { what, disk, .. } in all.iter().step_by(7) {
        let before = disk.snapshot();
        for position in 0.. {
            let disk = disk.fork();
            disk.fail_at(position, Fault::Crash);
            if set_aside(&mut disk.clone(), &OPTIONS).is_ok() {
                break;
            }
            let subset = rng.next();
            disk.restart(|at| subset.rotate_right(at as u32 % 64) & 1 == 1);
            // Some renamed file may have its new name already, and some not.
            set_aside(&mut disk.clone(), &OPTIONS)
                .unwrap_or_else(|error| panic!("{what}, crash at operation {position}: {error}"));
            nothing_is_thrown_away(&before, &disk.snapshot());
            entries_of(&disk, &sound);
        }
    }
}

#[test]
fn a_log_whose_rest_is_set_aside_goes_on_under_numbers_that_were_never_given() {
    let sound = sound(true);
    for Damaged { what, disk, .. } in damaged(&sound).into_iter().step_by(5) {
        set_aside(&mut disk.clone(), &OPTIONS).expect("nothing goes wrong");
        let kept: Files = aside(&disk);
        let (_, report, durable) = open(&disk).expect("what is left is sound");
        let mut model = Model::of(durable, report.commit);
        let (mut rng, term) = (Rng::new(3), 9);
        let mut machine = Machine::start(&disk, &mut model).expect("recovers");
        for _ in 0..4 {
            machine.append(&mut rng, term);
            machine.write(&mut rng, &mut model).expect("nothing goes wrong");
        }
        disk.restart(|_| false);
        Machine::start(&disk, &mut model).expect("recovers");
        assert_eq!(aside(&disk), kept, "{what}: what is set aside stays");
        for name in disk.snapshot().keys().filter(|name| name.ends_with(".wal")) {
            let shortened = sound.disk.snapshot().contains_key(name);
            assert!(shortened || !kept.contains_key(&format!("{name}.damaged")), "{what}: {name}");
        }
    }
}

fn aside(disk: &SimDisk) -> Files {
    let all = disk.snapshot().into_iter();
    all.filter(|(name, _)| name.contains(".damaged")).collect()
}

#[test]
fn damage_in_what_was_left_is_set_aside_beside_the_first() {
    let sound = sound(true);
    let in_first = |known: &&Known| known.file == sound.records[0].file;
    let batches: Vec<_> = sound.records.iter().filter(in_first).collect();
    let (early, late) = (batches[1], batches[batches.len() - 1]);
    let disk = sound.disk.fork();
    for (known, kept) in [(late, "00000001.wal.damaged"), (early, "00000001.wal.damaged.2")] {
        let mut bytes = disk.content("00000001.wal");
        bytes[known.place.start + 9] ^= 1;
        // So that a later batch proves it also where the later segments are gone already.
        disk.set_content("00000001.wal", &bytes);
        set_aside(&mut disk.clone(), &OPTIONS).expect("nothing goes wrong");
        assert!(disk.snapshot().contains_key(kept), "{:?}", disk.snapshot().keys());
    }
    assert_eq!(entries_of(&disk, &sound), early.before);
}

#[test]
fn a_segment_that_is_damaged_at_its_first_record_goes_as_a_whole() {
    let sound = sound(true);
    let disk = sound.disk.fork();
    let mut bytes = disk.content("00000001.wal");
    bytes[RECORDS_START + 5] ^= 1;
    disk.set_content("00000001.wal", &bytes);
    set_aside(&mut disk.clone(), &OPTIONS).expect("nothing goes wrong");
    assert!(disk.snapshot().keys().all(|name| name.ends_with(".damaged")), "nothing is left");
    assert_eq!(entries_of(&disk, &sound), []);
    let numbers: Vec<String> = disk.snapshot().into_keys().collect();
    let made: Vec<&String> = numbers.iter().filter(|name| name.ends_with(".wal")).collect();
    assert!(made.iter().all(|name| !numbers.contains(&format!("{name}.damaged"))), "{numbers:?}");
}

#[test]
fn a_sound_log_is_left_alone() {
    let sound = sound(false);
    let before = sound.disk.snapshot();
    let lines = set_aside(&mut sound.disk.clone(), &OPTIONS).expect("nothing goes wrong");
    assert!(lines.is_empty() && sound.disk.snapshot() == before);
}

#[test]
fn what_is_not_damage_is_refused_and_nothing_changes() {
    let sound = sound(true);
    let before = sound.disk.snapshot();
    let expect = Some(chatctl::wal::Identity { cluster: [9; 16] });
    let options = chatctl::wal::Options { expect, ..OPTIONS };
    let result = set_aside(&mut sound.disk.clone(), &options);
    assert!(matches!(result, Err(RecoverError::Identity { .. })), "{result:?}");
    assert!(sound.disk.snapshot() == before);
}
