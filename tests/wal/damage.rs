//! Damage to a log at rest: every bit, every truncation, every missing file. What may happen is
//! known exactly for each.

use std::ops::Range;

use chatctl::wal::scan::{Item, Scanner};
use chatctl::wal::{Disk, Entry, Examined, Identity, Look, Options, RecoverError, Report, Wal};
use chatctl::wal::{any_payload, examine, make_spare, perform, recover};

use super::machine::{CLUSTER, Machine, Model, OPTIONS, SEGMENT_BYTES, open};
use super::sim_disk::{Fault, SimDisk};
use crate::support::{Rng, env_number};

pub(super) const HEADER_BYTES: usize = 64;
pub(super) const RECORDS_START: usize = 4096;

/// A log and all there is to know of it.
pub(super) struct Sound {
    pub(super) disk: SimDisk,
    pub(super) records: Vec<Known>,
    pub(super) last_batch: u64,
    /// The whole log.
    pub(super) entries: Vec<Entry>,
    pub(super) newest: String,
}

/// A record, its place, and the log before it.
pub(super) struct Known {
    pub(super) file: String,
    pub(super) place: Range<usize>,
    pub(super) batch: u64,
    pub(super) before: Vec<Entry>,
}

/// A log of several segments, batches and truncations, written by two lives of a server. The last
/// batch has entries, or nothing but its mark.
pub(super) fn sound(ends_with_mark: bool) -> Sound {
    let disk = SimDisk::new(5);
    let (mut model, mut rng) = (Model::default(), Rng::new(5));
    for life in 1..=2 {
        let mut machine = Machine::start(&disk, &mut model).expect("recovers");
        for round in 0..5 {
            for _ in 0..3 {
                machine.append(&mut rng, life);
            }
            if round % 2 == 1 {
                machine.truncate(&mut rng);
                machine.append(&mut rng, life);
            }
            machine.write(&mut rng, &mut model).expect("nothing goes wrong");
        }
        if life == 1 || ends_with_mark {
            machine.wal.append_mark();
            machine.write(&mut rng, &mut model).expect("nothing goes wrong");
        }
        assert_eq!(machine.wal.mark_due(), life == 2 && !ends_with_mark);
    }
    let entries = model.durable;
    let (mut records, damage) = scan(&disk);
    assert_eq!(damage, None);
    fill_in_logs(&disk, &mut records);
    let last_batch = records.last().expect("there are records").batch;
    let newest = disk.snapshot().into_keys().next_back().expect("there are segments");
    assert!(disk.snapshot().len() >= 4, "several segments");
    Sound { disk, records, last_batch, entries, newest }
}

/// All records of a log, and the place of the first damage.
fn scan(disk: &SimDisk) -> (Vec<Known>, Option<(String, u64)>) {
    let mut scanner = Scanner::over(disk.clone()).expect("opens");
    let (mut records, mut damage) = (Vec::new(), None);
    let mut ended = false;
    while let Some(item) = scanner.next_item().expect("a disk without errors") {
        assert!(!ended, "nothing comes behind the end");
        match item {
            Item::Segment { .. } => {}
            Item::Record { file, offset, record } => {
                let end = offset + record.padded();
                records.push(Known {
                    file: file.to_owned(),
                    place: offset as usize..end as usize,
                    batch: record.batch,
                    before: Vec::new(),
                });
            }
            Item::Damage { file, offset, .. } => {
                damage.get_or_insert((file, offset));
            }
            Item::End { .. } => ended = true,
        }
    }
    assert!(ended, "the end is said");
    (records, damage)
}

/// Says of every record what the log was before it.
fn fill_in_logs(disk: &SimDisk, records: &mut [Known]) {
    let mut log = Vec::<Entry>::new();
    for known in records {
        known.before = log.clone();
        let bytes = &disk.content(&known.file)[known.place.clone()];
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        let (term, index) = (number(16), number(24));
        match bytes[8] {
            1 => {
                let length = number(0) as u32 as usize;
                log.push(Entry { term, index, payload: bytes[32..length].to_vec() });
            }
            2 => log.truncate(index as usize - 1),
            _ => {}
        }
    }
}

/// Recovers; whatever happens, what is visited is a beginning of the log.
pub(super) fn recover_checked(
    disk: &SimDisk,
    sound: &Sound,
) -> Result<(Report, Vec<Entry>), RecoverError> {
    let before = disk.snapshot();
    let looked_at = look(&mut disk.clone(), Some(CLUSTER));
    assert!(disk.snapshot() == before, "to look changes nothing");
    let mut entries = Vec::new();
    let mut visit = |index, term, payload: &[u8]| {
        entries.push(Entry { term, index, payload: payload.to_vec() });
        Ok(())
    };
    let result = recover(&mut disk.clone(), &OPTIONS, &mut visit);
    assert!(sound.entries.starts_with(&entries), "what is visited was written");
    if result.is_err() {
        assert!(disk.snapshot() == before, "who refuses changes nothing");
    }
    check_agreement(&looked_at, &result, &entries);
    let (_, report) = result?;
    entries.extend(report.tail.iter().cloned());
    Ok((report, entries))
}

/// What `dump-log --verify` says of a log, and the entries that it comes to.
pub(super) fn look(
    disk: &mut impl Disk,
    expect: Option<Identity>,
) -> Result<(Examined, Vec<Entry>), RecoverError> {
    let mut entries = Vec::new();
    let mut visit = |index, term, payload: &[u8]| {
        entries.push(Entry { term, index, payload: payload.to_vec() });
        Ok(())
    };
    let mut progress = |_: usize, _: usize, _: u64| {};
    let look = Look { visit: &mut visit, readable: any_payload, progress: &mut progress };
    let examined = examine(disk, expect, look)?;
    entries.extend(examined.tail.iter().cloned());
    Ok((examined, entries))
}

/// Whoever looks at a log judges it as the server does that starts on it.
pub(super) fn check_agreement(
    looked_at: &Result<(Examined, Vec<Entry>), RecoverError>,
    recovered: &Result<(Wal, Report), RecoverError>,
    visited: &[Entry],
) {
    match (looked_at, recovered) {
        (Ok((examined, entries)), Ok((_, report))) => {
            let all: Vec<&Entry> = visited.iter().chain(&report.tail).collect();
            assert!(entries.iter().eq(all), "both find the same entries");
            assert_eq!((examined.commit, examined.last_index), (report.commit, report.entries));
            assert_eq!(examined.torn.is_some(), report.torn_tail.is_some());
        }
        (Err(one), Err(other)) => {
            assert_eq!(one.place(), other.place(), "both name the same place");
        }
        (one, other) => panic!(
            "one judges otherwise than the other: {:?}, {:?}",
            one.as_ref().err(),
            other.as_ref().err()
        ),
    }
}

/// What recovery makes of a log.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Corrupt(String, u64),
    Log(Vec<Entry>),
    Other(String),
}

fn verdict(disk: &SimDisk, sound: &Sound) -> Verdict {
    match recover_checked(disk, sound) {
        Ok((_, entries)) => Verdict::Log(entries),
        Err(RecoverError::Corrupt { file, offset, .. }) => Verdict::Corrupt(file, offset),
        Err(error) => Verdict::Other(error.to_string()),
    }
}

impl Sound {
    /// What must come of a change to one byte.
    fn expected(&self, file: &str, at: usize) -> Verdict {
        if at < HEADER_BYTES {
            // The newest segment is a spare: with its header, nothing is lost.
            return match file == self.newest {
                true => Verdict::Log(self.entries.clone()),
                false => Verdict::Corrupt(file.to_owned(), 0),
            };
        }
        let holds = |known: &&Known| known.file == file && known.place.contains(&at);
        match self.records.iter().find(holds) {
            None => Verdict::Log(self.entries.clone()),
            Some(hit) if hit.batch == self.last_batch => Verdict::Log(hit.before.clone()),
            Some(hit) => Verdict::Corrupt(file.to_owned(), hit.place.start as u64),
        }
    }

    /// Bytes worth changing: all that mean something, and some of the others.
    fn places(&self, file: &str, length: usize) -> Vec<usize> {
        let holds = |at: usize| {
            self.records.iter().any(|known| known.file == file && known.place.contains(&at))
        };
        let end = self.records.iter().filter(|known| known.file == file);
        let end = end.map(|known| known.place.end).max().unwrap_or(RECORDS_START);
        let tells = |at: &usize| {
            *at < HEADER_BYTES
                || holds(*at)
                || *at >= end && *at < end + 40
                || at.is_multiple_of(97)
        };
        (0..length).filter(tells).collect()
    }
}

fn bits(sound: &Sound, of_byte: impl Fn(usize) -> Range<u8>) {
    for (file, bytes) in sound.disk.snapshot() {
        for at in sound.places(&file, bytes.len()) {
            let expected = sound.expected(&file, at);
            for bit in of_byte(at) {
                let disk = sound.disk.fork();
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                disk.set_content(&file, &changed);
                let (records, damage) = scan(&disk);
                let told = verdict(&disk, sound);
                assert_eq!(told, expected, "{file}, byte {at}, bit {bit}");
                let is_known = |record: &Known| {
                    let same = |known: &&Known| known.file == record.file;
                    sound.records.iter().filter(same).any(|known| known.place == record.place)
                };
                assert!(records.iter().all(is_known), "a scan shows what was written");
                match told {
                    Verdict::Corrupt(file, offset) => assert_eq!(damage, Some((file, offset))),
                    _ if file == sound.newest && at < HEADER_BYTES => {}
                    _ => assert_eq!(damage, None, "{file}, byte {at}, bit {bit}"),
                }
            }
        }
    }
}

#[test]
fn any_bit_changed_is_a_torn_tail_in_the_last_batch_and_corruption_elsewhere() {
    bits(&sound(false), |_| 0..8);
}

#[test]
fn any_bit_changed_before_a_mark_is_corruption() {
    bits(&sound(true), |byte| (byte % 8) as u8..(byte % 8) as u8 + 1);
}

#[test]
fn a_file_cut_anywhere_is_corruption_at_its_new_end() {
    let sound = sound(false);
    for (file, bytes) in sound.disk.snapshot() {
        for length in 0..bytes.len() {
            let disk = sound.disk.fork();
            disk.set_content(&file, &bytes[..length]);
            let offset = if length < HEADER_BYTES { 0 } else { length as u64 };
            assert_eq!(verdict(&disk, &sound), Verdict::Corrupt(file.clone(), offset));
            assert_eq!(scan(&disk).1.map(|(file, _)| file), Some(file.clone()), "{length}");
        }
    }
}

#[test]
fn a_missing_segment_is_named_and_only_the_spare_is_not_missed() {
    let sound = sound(false);
    for file in sound.disk.snapshot().into_keys() {
        let disk = sound.disk.fork();
        chatctl::wal::Disk::remove(&mut disk.clone(), &file).expect("removes");
        let (_, damage) = scan(&disk);
        if file == sound.newest {
            assert_eq!(verdict(&disk, &sound), Verdict::Log(sound.entries.clone()));
            assert_eq!(damage, None);
        } else {
            assert_eq!(verdict(&disk, &sound), Verdict::Corrupt(file.clone(), 0));
            assert_eq!(damage, Some((file, 0)));
        }
    }
}

#[test]
fn a_segment_under_another_ones_name_is_refused() {
    let sound = sound(false);
    let files = sound.disk.snapshot();
    for (name, _) in files.iter().skip(1) {
        let disk = sound.disk.fork();
        disk.set_content(name, files.values().next().expect("there are segments"));
        assert_eq!(verdict(&disk, &sound), Verdict::Corrupt(name.clone(), 0));
    }
}

#[test]
fn a_sector_of_zeros_is_damage_like_any_other() {
    let sound = sound(false);
    for (file, bytes) in sound.disk.snapshot() {
        for start in (RECORDS_START..bytes.len()).step_by(512) {
            let disk = sound.disk.fork();
            let mut changed = bytes.clone();
            let end = bytes.len().min(start + 512);
            changed[start..end].fill(0);
            disk.set_content(&file, &changed);
            // The first record that is not as it was says what is to happen.
            let expected = match (start..end).find(|at| changed[*at] != bytes[*at]) {
                Some(at) => sound.expected(&file, at),
                None => Verdict::Log(sound.entries.clone()),
            };
            assert_eq!(verdict(&disk, &sound), expected, "{file} from byte {start}");
        }
    }
}

#[test]
fn a_fresh_segments_header_proves_what_it_follows_even_when_its_own_records_are_gone() {
    // The second life went on in a fresh segment, which says where the first one's records end.
    let sound = sound(false);
    let is_cut = |known: &&Known| sound.disk.content(&known.file).len() == known.place.end;
    let old = sound.records.iter().find(is_cut);
    let old = old.expect("a segment was cut where the next one goes on");
    let disk = sound.disk.fork();
    for known in sound.records.iter().filter(|known| known.batch >= old.batch) {
        let mut bytes = disk.content(&known.file);
        bytes[known.place.start + 30] ^= 1;
        disk.set_content(&known.file, &bytes);
    }
    let first = sound.records.iter().find(|known| known.batch == old.batch).expect("it is there");
    let expected = (first.file.clone(), first.place.start as u64);
    let told = verdict(&disk, &sound);
    assert_eq!(told, Verdict::Corrupt(expected.0.clone(), expected.1));
    assert_eq!(scan(&disk).1, Some(expected));
}

#[test]
fn garbage_anywhere_is_never_taken_for_entries() {
    let seed = env_number("WAL_SEED", 1);
    println!("WAL_SEED={seed}");
    let (sound, mut rng) = (sound(false), Rng::new(seed));
    let files: Vec<(String, Vec<u8>)> = sound.disk.snapshot().into_iter().collect();
    for _ in 0..4_000 {
        let disk = sound.disk.fork();
        for _ in 0..=rng.below(4) {
            let (file, bytes) = &files[rng.below(files.len() as u64) as usize];
            let mut bytes = bytes.clone();
            let start = rng.below(bytes.len() as u64) as usize;
            let end = bytes.len().min(start + 1 + rng.below(300) as usize);
            // Zeros, noise, or what stands elsewhere in the log.
            match rng.below(3) {
                0 => bytes[start..end].fill(0),
                1 => bytes[start..end].copy_from_slice(&rng.bytes(end - start)),
                _ => {
                    let (_, other) = &files[rng.below(files.len() as u64) as usize];
                    let from = rng.below((other.len() - (end - start)) as u64) as usize & !7;
                    let there = other[from..from + end - start].to_vec();
                    bytes[start..end].copy_from_slice(&there);
                }
            }
            disk.set_content(file, &bytes);
        }
        let _ = scan(&disk);
        if let Ok((_, entries)) = recover_checked(&disk, &sound) {
            let states = sound.records.iter().map(|known| &known.before);
            let was_once = states.chain([&sound.entries]).any(|state| *state == entries);
            assert!(was_once, "what is recovered was the log once");
        }
    }
}

#[test]
fn another_clusters_log_is_refused_and_both_are_named() {
    let sound = sound(false);
    let before = sound.disk.snapshot();
    let expect = Some(Identity { cluster: [9; 16] });
    let options = Options { expect, segment_bytes: SEGMENT_BYTES };
    let error = recover(&mut sound.disk.clone(), &options, &mut |_, _, _| Ok(())).unwrap_err();
    assert!(matches!(error, RecoverError::Identity { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("09090909") && text.contains("07070707"), "{text}");
    assert_eq!(sound.disk.snapshot(), before);
}

#[test]
fn a_later_format_version_is_refused_as_such() {
    let sound = sound(false);
    let (file, mut bytes) = sound.disk.snapshot().into_iter().next().expect("a segment");
    bytes[8..12].copy_from_slice(&2u32.to_be_bytes());
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_be_bytes());
    sound.disk.set_content(&file, &bytes);
    let error = recover_checked(&sound.disk, &sound).unwrap_err();
    assert!(matches!(error, RecoverError::Version { .. }), "{error:?}");
}

#[test]
fn an_empty_directory_whose_log_to_make_was_not_said_is_an_error() {
    let options = Options { expect: None, segment_bytes: SEGMENT_BYTES };
    let mut disk = SimDisk::new(1);
    let result = recover(&mut disk, &options, &mut |_, _, _| Ok(()));
    assert!(matches!(result, Err(RecoverError::Empty)));
    assert!(disk.snapshot().is_empty());
}

#[test]
fn a_visitor_that_refuses_an_entry_stops_the_recovery_and_nothing_changes() {
    let sound = sound(true);
    let before = sound.disk.snapshot();
    let result = recover(&mut sound.disk.clone(), &OPTIONS, &mut |index, _, _| match index {
        3 => Err("unknown kind 77".into()),
        _ => Ok(()),
    });
    let error = result.unwrap_err();
    assert!(matches!(error, RecoverError::Visit { index: 3, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("entry 3 of the log, in 0000000"), "{error}");
    assert!(text.ends_with(": unknown kind 77"), "{error}");
    assert_eq!(sound.disk.snapshot(), before);
}

#[test]
fn a_torn_tail_is_said_in_a_line_that_names_file_and_byte() {
    let sound = sound(false);
    let last = sound.records.last().expect("there are records");
    let mut bytes = sound.disk.content(&last.file);
    bytes[last.place.start] ^= 1;
    sound.disk.set_content(&last.file, &bytes);
    let (report, _) = recover_checked(&sound.disk, &sound).expect("a torn tail is cut");
    let line = report.torn_tail.expect("a torn tail is told of");
    let byte = format!("{} ends at byte {}", last.file, last.place.start);
    assert!(line.contains(&byte), "{line}");
}

#[test]
fn what_a_crash_left_of_a_segment_being_made_is_removed() {
    let sound = sound(true);
    for content in [&b""[..], &[0; 100], b"chatwal\nhalf a header"] {
        let disk = sound.disk.fork();
        disk.set_content("00000077.new", content);
        disk.set_content("notes.txt", b"somebody else's");
        assert_eq!(verdict(&disk, &sound), Verdict::Log(sound.entries.clone()));
        let left = disk.snapshot();
        assert!(!left.contains_key("00000077.new"));
        assert!(left.contains_key("notes.txt"), "what is not ours stays");
    }
}

/// Segments in which any record has room.
const ROOMY: Options = Options { segment_bytes: 512 << 10, ..OPTIONS };
/// The longest record and the mark behind it.
const MOST_BYTES: u32 = 32 + (128 << 10) + 32;

/// A log of entries of so many bytes, a batch each, in roomy segments, with a spare behind.
fn with_spare(payloads: &[usize]) -> (SimDisk, Vec<Entry>) {
    let disk = SimDisk::new(3);
    let (mut wal, _) = recover(&mut disk.clone(), &ROOMY, &mut |_, _, _| Ok(())).expect("is made");
    let request = wal.spare_wanted().expect("there is no spare yet");
    wal.spare_changed(&make_spare(&mut disk.clone(), &request));
    let mut entries = Vec::new();
    for (index, bytes) in (1..).zip(payloads) {
        let entry = Entry { term: 1, index, payload: vec![7; *bytes] };
        wal.append_entry(1, index, &entry.payload);
        entries.push(entry);
        let batch = wal.take_batch(index).expect("it was just gathered");
        perform(&mut disk.clone(), &batch).expect("nothing goes wrong");
        wal.batch_durable(batch.number);
    }
    assert_eq!(disk.clone().list().expect("lists").len(), 2, "a segment and its spare");
    (disk, entries)
}

/// What a start finds, and the notes; it agrees with one who only looks.
fn start(disk: &SimDisk) -> Result<(Vec<Entry>, Vec<String>), RecoverError> {
    let looked_at = look(&mut disk.clone(), Some(CLUSTER));
    let mut entries = Vec::new();
    let mut visit = |index, term, payload: &[u8]| {
        entries.push(Entry { term, index, payload: payload.to_vec() });
        Ok(())
    };
    let result = recover(&mut disk.clone(), &ROOMY, &mut visit);
    check_agreement(&looked_at, &result, &entries);
    let (_, report) = result?;
    entries.extend(report.tail);
    Ok((entries, report.notes))
}

#[test]
fn an_empty_newest_segment_is_unused_where_the_one_before_has_room_for_any_batch() {
    let end = |payloads: &[usize]| {
        let bytes = payloads.iter().map(|bytes| 64 + bytes.next_multiple_of(8));
        RECORDS_START as u32 + bytes.sum::<usize>() as u32
    };
    let most = 128 << 10;
    let last = (ROOMY.segment_bytes - RECORDS_START as u32 - MOST_BYTES) as usize;
    // Three of the longest; then one that leaves just enough room, or 8 bytes too little.
    let fits = [most, most, last - 2 * (most + 64) - 64];
    let too_long = [most, most, fits[2] + 8];
    assert_eq!(end(&fits), ROOMY.segment_bytes - MOST_BYTES);
    for payloads in [&[][..], &[10], &fits] {
        let (disk, entries) = with_spare(payloads);
        for length in [0, 1, 63, 64, 4_096, 4_127] {
            let disk = disk.fork();
            disk.set_content("00000002.wal", &vec![0; length]);
            let (found, notes) = start(&disk).unwrap_or_else(|error| panic!("{length}: {error}"));
            assert!(found == entries, "{length}");
            assert!(notes[0].starts_with("00000002.wal was an unused segment, and empty"));
            assert!(!disk.snapshot().contains_key("00000002.wal"));
            assert!(start(&disk).is_ok_and(|(found, notes)| found == entries && notes.is_empty()));
        }
    }
    let (disk, _) = with_spare(&too_long);
    let before = disk.snapshot();
    disk.set_content("00000002.wal", b"");
    let error = start(&disk).expect_err("a batch may have begun there");
    assert_eq!((error.place().0, error.place().1), ("00000002.wal", 0), "{error}");
    assert!(error.to_string().contains("has no room for its records"), "{error}");
    disk.set_content("00000002.wal", &before["00000002.wal"]);
    assert!(start(&disk).is_ok());
}

#[test]
fn an_empty_segment_that_no_other_is_before_is_refused() {
    let disk = SimDisk::new(3);
    disk.set_content("00000001.wal", b"");
    let error = start(&disk).expect_err("nothing says what was in it");
    assert_eq!((error.place().0, error.place().1), ("00000001.wal", 0), "{error}");
}

#[test]
fn an_empty_newest_segment_is_left_out_whatever_goes_wrong_at_the_start() {
    let (whole, entries) = with_spare(&[10, 200, 3_000]);
    whole.set_content("00000002.wal", b"");
    let tried = whole.fork();
    tried.restart_process();
    start(&tried).expect("it starts");
    assert_eq!(tried.unsynced(), 0, "what a start changes is durable before it serves");
    for position in 0..tried.operations().len() {
        for fault in [Fault::Crash, Fault::Error] {
            let disk = whole.fork();
            disk.restart_process();
            disk.fail_at(position, fault);
            let _ = recover(&mut disk.clone(), &ROOMY, &mut |_, _, _| Ok(()));
            disk.restart(|sector| sector % 2 == position % 2);
            let (found, _) = start(&disk).unwrap_or_else(|error| panic!("{position}: {error}"));
            assert!(found == entries, "{position}");
        }
    }
}

#[test]
fn a_damaged_spare_is_left_out_whatever_goes_wrong_at_the_start() {
    let sound = sound(false);
    let mut bytes = sound.disk.content(&sound.newest);
    bytes[20] ^= 1;
    sound.disk.set_content(&sound.newest, &bytes);
    let tried = sound.disk.fork();
    tried.restart_process();
    open(&tried).expect("it starts");
    for position in 0..tried.operations().len() {
        let disk = sound.disk.fork();
        disk.restart_process();
        disk.fail_at(position, Fault::Crash);
        let _ = open(&disk);
        disk.restart(|_| true);
        let (_, entries) = recover_checked(&disk, &sound)
            .unwrap_or_else(|error| panic!("a crash at operation {position}: {error}"));
        assert_eq!(entries, sound.entries);
    }
}
