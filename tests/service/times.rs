//! The times of entries, as the replica gives them.

use chatctl::chat::{Command, Member, State};
use chatctl::limits;
use chatctl::node::members::LONE;
use chatctl::node::replica::{Recovered, Replica};
use chatctl::node::time::{Bounds, Notice, Time};
use chatctl::raft::{ChangeError, Config};
use chatctl::wal::{self, Identity, hard_state};

use crate::wal::sim_disk::SimDisk;

const STANDS_MS: u64 = 10_000;
const HOUR_MS: u64 = 3_600_000;

/// A server that is alone, as far as its copy goes.
struct Alone {
    replica: Replica,
    disk: SimDisk,
    boot_ms: u64,
    unix_ms: u64,
    sent: u32,
    notices: Vec<Notice>,
}

impl Alone {
    fn new() -> Alone {
        let mut disk = SimDisk::new(1);
        let cluster = [0xC1; 16];
        let expect = Some(Identity { cluster });
        let options = wal::Options { expect, segment_bytes: limits::WAL_SEGMENT_BYTES };
        let (wal, report) = wal::recover(&mut disk, &options, &mut |_, _, _| Ok(())).unwrap();
        let file = hard_state::HardState {
            id: "lone".to_owned(),
            cluster,
            incarnation: 1,
            role: "BACKUP".to_owned(),
            term: 1,
            voted_for: LONE.to_string(),
            copy: 0,
            boots: wal::boots::Boots::default(),
            met: Vec::new(),
            old_copy: String::new(),
        };
        let (commit, tail, members) = (report.commit, Vec::new(), Vec::new());
        let from = Recovered { file, wal, state: State::new(), commit, tail, members };
        let (boot_ms, unix_ms) = (1_000, 1_700_000_000_000);
        let time = Time::new(Bounds { heard_ms: 500, stands_ms: STANDS_MS }, boot_ms, unix_ms);
        let config = Config::new(LONE, vec![LONE], 1);
        let replica = Replica::new(config, from, time, boot_ms).unwrap();
        let mut alone = Alone { replica, disk, boot_ms, unix_ms, sent: 0, notices: Vec::new() };
        (0..100).for_each(|_| alone.pass(100));
        assert!(alone.replica.is_ready());
        alone
    }

    fn pass(&mut self, ms: u64) {
        self.boot_ms += ms;
        self.unix_ms += ms;
        self.replica.time.observe(self.boot_ms, self.unix_ms);
        self.replica.tick(self.boot_ms);
        self.settle();
    }

    /// What is to be written is written at once, and applied.
    fn settle(&mut self) {
        for _ in 0..10 {
            self.replica.route();
            if self.replica.next_save(&[]).is_some() {
                self.replica.save_done();
            }
            if let Some(batch) = self.replica.next_batch() {
                wal::perform(&mut self.disk, &batch).expect("the disk is sound");
                self.replica.batch_durable(batch.number);
            }
            if let Some(request) = self.replica.spare_wanted() {
                let state = wal::make_spare(&mut self.disk, &request);
                self.replica.spare_changed(&state);
            }
            while let Some(entry) = self.replica.next_to_apply() {
                let command = Command::of(entry.payload.bytes()).expect("it is sound");
                self.replica.apply(entry.index, command.as_ref()).expect("it is sound");
            }
        }
        self.notices.append(&mut self.replica.wishes.notices);
    }

    /// Sets the wall clock.
    fn step(&mut self, by_ms: i64) {
        self.unix_ms = self.unix_ms.checked_add_signed(by_ms).expect("after 1970");
        self.pass(1);
    }

    /// The time of a new entry.
    fn time_of_entry(&mut self) -> u64 {
        self.sent += 1;
        let (name, time) = (format!("name{}", self.sent), self.replica.entry_time());
        let mut payload = Vec::new();
        Command::Create { time, name: &name, verifier: "none" }.encode(&mut payload);
        self.replica.propose(payload).expect("there is room");
        self.settle();
        time
    }

    /// A change of the members that is refused after it was offered a time: two more at once.
    fn refused_change(&mut self) {
        let member = |number: u32| Member {
            name: format!("server{number}"),
            address: format!("server{number}:1"),
            incarnation: number.into(),
            number,
            votes: true,
        };
        let members = (LONE.0..LONE.0 + 3).map(member).collect();
        assert_eq!(self.replica.change_members(members), Err(ChangeError::TooMuch));
        self.settle();
    }

    fn times_went_back(&self) -> usize {
        self.notices.iter().filter(|notice| matches!(notice, Notice::WentBack(_))).count()
    }
}

#[test]
fn a_time_offered_to_a_change_that_is_refused_does_not_count_as_the_last_entrys() {
    let mut alone = Alone::new();
    // A message is dated an hour ahead, and the clock that is right again has stood for long: the
    // next entry may go back.
    alone.step(HOUR_MS.cast_signed());
    alone.pass(STANDS_MS);
    let ahead_ms = alone.time_of_entry();
    alone.step(-HOUR_MS.cast_signed());
    alone.pass(STANDS_MS);
    alone.refused_change();
    // Now the clock may be wrong, and no entry may go back.
    alone.step(-HOUR_MS.cast_signed());
    let next_ms = alone.time_of_entry();
    assert!(next_ms >= ahead_ms, "{} ms before the last message", ahead_ms - next_ms);
    assert_eq!(alone.times_went_back(), 0, "no entry went back: {:?}", alone.notices);
    // Once it has stood for long again, times go back, once.
    alone.pass(STANDS_MS);
    alone.refused_change();
    let back_ms = alone.time_of_entry();
    assert_eq!(back_ms, alone.unix_ms, "the time is the clock's");
    assert!(alone.time_of_entry() >= back_ms);
    assert_eq!(alone.times_went_back(), 1, "it is told once: {:?}", alone.notices);
}
