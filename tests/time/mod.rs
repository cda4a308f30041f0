//! The times of entries, by the clocks of one or several servers: [`chatctl::node::time`] alone, with
//! clocks that the test sets.

use chatctl::limits;
use chatctl::node::lines::TraceLevel;
use chatctl::node::time::Clock;
use chatctl::node::time::{Bounds, Notice, Time};
use chatctl::raft::ServerId;

/// A moment in 2026, milliseconds since the Unix epoch.
const NOW: u64 = 1_790_000_000_000;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEARS: u64 = 74 * 365 * DAY;
/// Between two heartbeats.
const BEAT: u64 = 100;

fn bounds() -> Bounds {
    Bounds { heard_ms: limits::RAFT_ELECTION_TIMEOUT_MS, stands_ms: limits::CLOCK_STANDS_MS }
}

/// A machine: true time, its wall clock, and the server on it.
struct Machine {
    id: ServerId,
    /// CLOCK_BOOTTIME when true time was 0.
    boot_ms: u64,
    /// By how much the wall clock is wrong.
    ahead_ms: i64,
    time: Time,
    notices: Vec<Notice>,
    last_ms: u64,
}

impl Machine {
    fn observe(&mut self, at_ms: u64) {
        let wall_ms = (NOW + at_ms).saturating_add_signed(self.ahead_ms);
        self.time.observe(self.boot_ms + at_ms, wall_ms);
        self.notices.extend(self.time.take_notices());
    }

    /// The time of an entry made now, as how far it is ahead of true time; and whether time went
    /// back for it.
    fn entry(&mut self, at_ms: u64) -> (i64, bool) {
        let (time_ms, notice) = self.time.of_entry(self.last_ms);
        let went_back = time_ms < self.last_ms;
        assert_eq!(went_back, matches!(notice, Some(Notice::WentBack(_))), "{notice:?}");
        self.last_ms = time_ms;
        (time_ms as i64 - (NOW + at_ms) as i64, went_back)
    }
}

/// Servers that hear each other as a PRIMARY, the first, and its BACKUPs do.
struct Cluster {
    at_ms: u64,
    machines: Vec<Machine>,
}

impl Cluster {
    fn new(ahead_ms: &[i64]) -> Cluster {
        let machine = |(place, ahead_ms): (usize, &i64)| {
            let boot_ms = 1_000_000 * (place as u64 + 1);
            let wall_ms = NOW.saturating_add_signed(*ahead_ms);
            Machine {
                id: ServerId(place as u32 + 1),
                boot_ms,
                ahead_ms: *ahead_ms,
                time: Time::new(bounds(), boot_ms, wall_ms),
                notices: Vec::new(),
                last_ms: 0,
            }
        };
        Cluster { at_ms: 0, machines: ahead_ms.iter().enumerate().map(machine).collect() }
    }

    /// A heartbeat to each of these, and its answer.
    fn beat(&mut self, backups: &[usize]) {
        self.at_ms += BEAT;
        let at_ms = self.at_ms;
        self.machines.iter_mut().for_each(|machine| machine.observe(at_ms));
        for &backup in backups {
            for (from, to) in [(0, backup), (backup, 0)] {
                if let Some(clock) = self.says(from, to) {
                    self.hears(to, from, clock);
                }
            }
        }
    }

    fn says(&mut self, from: usize, to: usize) -> Option<Clock> {
        let to = self.machines[to].id;
        self.machines[from].time.tell(to)
    }

    fn hears(&mut self, to: usize, from: usize, clock: Clock) {
        let from = self.machines[from].id;
        let machine = &mut self.machines[to];
        machine.time.hear(from, clock);
        machine.notices.extend(machine.time.take_notices());
    }

    fn beats(&mut self, for_ms: u64, backups: &[usize]) {
        for _ in 0..for_ms / BEAT {
            self.beat(backups);
        }
    }

    fn entry(&mut self, place: usize) -> (i64, bool) {
        let at_ms = self.at_ms;
        self.machines[place].entry(at_ms)
    }

    fn notices(&mut self, place: usize) -> Vec<Notice> {
        std::mem::take(&mut self.machines[place].notices)
    }
}

/// One server alone, looked at as often as it asks for.
fn alone(ahead_ms: i64) -> Cluster {
    Cluster::new(&[ahead_ms])
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap()
}

#[test]
fn a_step_is_told_and_followed_once_it_has_lasted() {
    let step = signed(limits::CLOCK_STEP_MS);
    for by_ms in [step + 1, -(step + 1 + signed(BEAT)), signed(YEARS), -signed(YEARS / 2)] {
        let mut server = alone(0);
        server.beat(&[]);
        assert_eq!(server.entry(0), (0, false));
        server.machines[0].ahead_ms = by_ms;
        server.beats(limits::CLOCK_STANDS_MS, &[]);
        assert_eq!(server.entry(0), (0, false), "{by_ms}");
        assert_eq!(server.notices(0), [Notice::Stepped { by_ms, followed: false }]);
        server.beat(&[]);
        // An entry of before is no more than a second ahead, or time goes back.
        let (ahead_ms, went_back) = server.entry(0);
        assert_eq!((ahead_ms, went_back), (by_ms, by_ms < 0), "{by_ms}");
        assert_eq!(server.notices(0), [Notice::Followed { by_ms }]);
    }
}

#[test]
fn a_step_that_is_taken_back_is_never_followed() {
    let mut server = alone(0);
    server.beats(HOUR, &[]);
    server.machines[0].ahead_ms = signed(YEARS);
    server.beats(limits::CLOCK_STANDS_MS - SECOND, &[]);
    server.machines[0].ahead_ms = 0;
    server.beats(2 * limits::CLOCK_STANDS_MS, &[]);
    assert_eq!(server.entry(0), (0, false));
    let by_ms = signed(YEARS);
    let told = [Notice::Stepped { by_ms, followed: false }, Notice::Undone];
    assert_eq!(server.notices(0), told);
}

#[test]
fn small_corrections_are_followed_at_once_and_their_sum_is_no_step() {
    let mut server = alone(0);
    for _ in 0..1_000 {
        server.machines[0].ahead_ms += signed(limits::CLOCK_STEP_MS);
        server.beat(&[]);
        assert_eq!(server.entry(0), (server.machines[0].ahead_ms, false));
    }
    assert_eq!(server.notices(0), []);
    // Back again, it stands until it is reached, for no more than a second each.
    server.machines[0].ahead_ms -= signed(limits::CLOCK_STEP_MS);
    server.beat(&[]);
    let (ahead_ms, went_back) = server.entry(0);
    assert!(!went_back && ahead_ms > server.machines[0].ahead_ms, "{ahead_ms}");
    assert_eq!(server.notices(0), []);
}

#[test]
fn a_machine_that_was_suspended_has_no_step() {
    let mut server = alone(0);
    server.beat(&[]);
    // Both clocks count on.
    server.at_ms += 3 * DAY;
    server.beat(&[]);
    assert_eq!(server.entry(0), (0, false));
    assert_eq!(server.notices(0), []);
}

#[test]
fn a_server_that_does_nothing_looks_often_enough_to_follow_a_step_in_time() {
    let mut server = alone(0);
    let looks_for = |server: &mut Cluster, for_ms: u64| {
        let until_ms = server.at_ms + for_ms;
        let mut looks = 0;
        while server.at_ms < until_ms {
            server.at_ms += server.machines[0].time.look_in_ms().min(until_ms - server.at_ms);
            let at_ms = server.at_ms;
            server.machines[0].observe(at_ms);
            looks += 1;
        }
        looks
    };
    let looks = looks_for(&mut server, HOUR);
    assert_eq!(looks, HOUR / limits::CLOCK_LOOK_MS, "it is not woken for nothing");
    server.machines[0].ahead_ms = signed(HOUR);
    let until_ms = limits::CLOCK_LOOK_MS + limits::CLOCK_STANDS_MS;
    looks_for(&mut server, until_ms);
    assert_eq!(server.entry(0), (signed(HOUR), false));
}

#[test]
fn a_time_far_ahead_is_left_once_the_clock_has_stood_for_ten_minutes() {
    let mut server = alone(0);
    server.machines[0].last_ms = NOW + YEARS;
    server.beats(limits::CLOCK_STANDS_MS - BEAT, &[]);
    let (ahead_ms, went_back) = server.entry(0);
    assert!(!went_back && ahead_ms > signed(YEARS - HOUR), "not yet: {ahead_ms}");
    server.beat(&[]);
    assert_eq!(server.entry(0), (0, true));
    server.beat(&[]);
    assert_eq!(server.entry(0), (0, false), "once");
    // A clock that was set a moment ago does not say that the last entry is wrong.
    server.machines[0].last_ms = NOW + YEARS;
    server.machines[0].ahead_ms = -signed(DAY);
    server.beat(&[]);
    let (ahead_ms, went_back) = server.entry(0);
    assert!(!went_back && ahead_ms > signed(YEARS - HOUR), "{ahead_ms}");
}

#[test]
fn a_step_that_is_undone_begins_the_ten_minutes_again_only_if_it_was_found() {
    for is_found in [true, false] {
        let mut server = alone(0);
        server.machines[0].last_ms = NOW + YEARS;
        server.beats(limits::CLOCK_STANDS_MS - 4 * BEAT, &[]);
        server.machines[0].ahead_ms = -signed(DAY);
        if is_found {
            server.beat(&[]);
        }
        server.machines[0].ahead_ms = 0;
        server.beats(MINUTE, &[]);
        assert_eq!(server.entry(0).1, !is_found, "a minute after its end");
        // The first of these beats found the end of the step.
        server.beats(limits::CLOCK_STANDS_MS - MINUTE, &[]);
        assert!(!server.entry(0).1, "not yet, or not twice");
        server.beat(&[]);
        assert_eq!(server.entry(0), (0, is_found), "ten minutes after its end");
    }
}

#[test]
fn a_time_far_ahead_is_left_at_once_where_a_median_says_so() {
    let mut cluster = Cluster::new(&[0, 0, 0]);
    cluster.machines[0].last_ms = NOW + YEARS;
    cluster.beats(4 * BEAT, &[1, 2]);
    assert_eq!(cluster.entry(0), (0, true));
    assert_eq!(cluster.entry(0), (0, false), "once");
    // What is no more than a second ahead stays.
    cluster.machines[0].last_ms = NOW + cluster.at_ms + limits::CLOCK_STEP_MS;
    assert_eq!(cluster.entry(0), (signed(limits::CLOCK_STEP_MS), false));
    cluster.machines[0].last_ms += 1;
    assert_eq!(cluster.entry(0), (0, true));
}

#[test]
fn three_clocks_keep_time_near_their_median() {
    let near = signed(limits::CLOCK_NEAR_MS);
    let (far, years) = (signed(HOUR), signed(YEARS));
    for (clocks, is) in [
        (vec![years, 0, 0], near),
        (vec![-far, 0, 0], -near),
        (vec![near, 0, 0], near),
        (vec![300, 0, 0], 300),
        (vec![0, far, 0], 0),
        (vec![0, far, -far], 0),
        (vec![0, far, far], far - near),
        // Of an even number the lower middle.
        (vec![0, 0, far, far], 0),
        (vec![far, far, 0, 0], near),
        (vec![years, far, 0, 0, 0], near),
    ] {
        let mut cluster = Cluster::new(&clocks);
        let backups: Vec<usize> = (1..clocks.len()).collect();
        cluster.beats(4 * BEAT, &backups);
        assert_eq!(cluster.entry(0), (is, false), "{clocks:?}");
        let told = cluster.notices(0);
        let is_far = (clocks[0] - is).unsigned_abs() > limits::CLOCK_NEAR_MS;
        let is_told = told.iter().any(|notice| matches!(notice, Notice::AheadOfMedian(_)));
        assert_eq!(is_told, is_far, "{clocks:?}: {told:?}");
    }
}

#[test]
fn two_clocks_that_differ_are_told_once_and_each_keeps_its_own() {
    let mut cluster = Cluster::new(&[0, signed(HOUR)]);
    cluster.beats(limits::CLOCK_LOOK_MS - BEAT, &[1]);
    assert_eq!(cluster.notices(0), [], "a third may be heard in a moment");
    cluster.beats(MINUTE, &[1]);
    assert_eq!(cluster.entry(0), (0, false));
    assert_eq!(cluster.entry(1), (signed(HOUR), false));
    assert_eq!(cluster.notices(0), [Notice::AheadOf(ServerId(2), -signed(HOUR))]);
    assert_eq!(cluster.notices(1), [Notice::AheadOf(ServerId(1), signed(HOUR))]);
    // It is set right, and that is told too.
    cluster.machines[1].ahead_ms = 0;
    cluster.beats(limits::CLOCK_STANDS_MS + MINUTE, &[1]);
    assert_eq!(cluster.notices(0), [Notice::Agrees]);
}

#[test]
fn a_step_toward_the_median_is_followed_at_once_and_one_away_from_it_is_not() {
    let mut cluster = Cluster::new(&[signed(YEARS), 0, 0]);
    cluster.beats(4 * BEAT, &[1, 2]);
    cluster.notices(0);
    cluster.machines[0].ahead_ms = 0;
    cluster.beat(&[1, 2]);
    assert_eq!(cluster.machines[0].time.clock_ms(), NOW + cluster.at_ms);
    let by_ms = -signed(YEARS);
    assert_eq!(cluster.notices(0), [Notice::Stepped { by_ms, followed: true }]);
    // And away: the clock that this server tells the others stays.
    cluster.beats(2 * MINUTE, &[1, 2]);
    cluster.notices(0);
    cluster.machines[0].ahead_ms = signed(HOUR);
    cluster.beats(limits::CLOCK_STANDS_MS, &[1, 2]);
    assert_eq!(cluster.machines[0].time.clock_ms(), NOW + cluster.at_ms);
    let by_ms = signed(HOUR);
    assert_eq!(cluster.notices(0), [Notice::Stepped { by_ms, followed: false }]);
    // Once it has lasted it is this server's clock, but times stay near the median.
    cluster.beat(&[1, 2]);
    assert_eq!(cluster.machines[0].time.clock_ms(), NOW + cluster.at_ms + HOUR);
    assert_eq!(cluster.entry(0), (signed(limits::CLOCK_NEAR_MS), false));
}

#[test]
fn a_backup_that_becomes_primary_keeps_what_the_last_median_said_of_its_clock() {
    let mut cluster = Cluster::new(&[0, signed(YEARS), 0]);
    cluster.beats(4 * BEAT, &[1, 2]);
    // The PRIMARY is gone. The second takes over, with its wrong clock and one other server.
    for _ in 0..2 * HOUR / BEAT {
        cluster.beat(&[]);
        for (from, to) in [(1, 2), (2, 1)] {
            if let Some(clock) = cluster.says(from, to) {
                cluster.hears(to, from, clock);
            }
        }
    }
    assert_eq!(cluster.entry(1), (signed(limits::CLOCK_NEAR_MS), false));
}

#[test]
fn what_a_median_said_is_forgotten_where_the_last_other_clock_denies_it_or_none_is_left() {
    // Two clocks are wrong, and the right one follows them while they are there.
    let wrong = signed(HOUR);
    let follows = (wrong - signed(limits::CLOCK_NEAR_MS), false);
    let mut cluster = Cluster::new(&[0, wrong, wrong]);
    cluster.beats(4 * BEAT, &[1, 2]);
    assert_eq!(cluster.entry(0), follows);
    cluster.beats(limits::CLOCK_STANDS_MS, &[1]);
    assert_eq!(cluster.entry(0), follows);
    // That one is set right.
    cluster.machines[1].ahead_ms = 0;
    cluster.beats(limits::CLOCK_STANDS_MS + SECOND, &[1]);
    assert_eq!(cluster.entry(0), (0, true));

    let mut cluster = Cluster::new(&[0, wrong, wrong]);
    cluster.beats(4 * BEAT, &[1, 2]);
    assert_eq!(cluster.entry(0), follows);
    cluster.beats(limits::CLOCK_STANDS_MS, &[]);
    assert_eq!(cluster.entry(0), follows);
    cluster.beats(SECOND, &[]);
    assert_eq!(cluster.entry(0), (0, true));
}

#[test]
fn a_clock_that_is_not_heard_for_an_election_timeout_counts_no_more() {
    let mut cluster = Cluster::new(&[0, signed(HOUR), signed(HOUR)]);
    cluster.beats(4 * BEAT, &[1, 2]);
    assert!(cluster.machines[0].time.median_ms().is_some());
    assert_eq!(cluster.machines[0].time.heard().count(), 2);
    cluster.beats(limits::RAFT_ELECTION_TIMEOUT_MS, &[]);
    assert_eq!(cluster.machines[0].time.heard().count(), 2);
    cluster.beat(&[]);
    assert_eq!(cluster.machines[0].time.heard().count(), 0);
    assert!(cluster.machines[0].time.median_ms().is_none());
}

#[test]
fn a_clock_that_was_late_is_ignored() {
    let trip = limits::CLOCK_TRIP_MS;
    for (late_ms, heard) in [(trip, 2), (trip + 1, 0), (5 * SECOND, 0)] {
        let mut cluster = Cluster::new(&[0, 0, 0]);
        cluster.beats(4 * BEAT, &[1, 2]);
        // Both answer at once, and the answers are read a long time later: this server stood still.
        let say = |cluster: &mut Cluster, place| some((place, cluster.says(place, 0)));
        let mut late: Vec<(usize, Clock)> =
            [1, 2].into_iter().filter_map(|place| say(&mut cluster, place)).collect();
        if late.len() < 2 {
            cluster.beat(&[]);
            late = [1, 2].map(|place| say(&mut cluster, place).unwrap()).to_vec();
        }
        cluster.at_ms += late_ms - BEAT;
        cluster.beat(&[]);
        for (place, clock) in late {
            cluster.hears(0, place, clock);
        }
        assert_eq!(cluster.machines[0].time.heard().count(), heard, "{late_ms} ms late");
        assert_eq!(cluster.entry(0), (0, false));
        assert_eq!(cluster.notices(0), []);
        // Those that follow count.
        cluster.beats(2 * BEAT, &[1, 2]);
        assert_eq!(cluster.machines[0].time.heard().count(), 2);
    }
}

fn some((place, clock): (usize, Option<Clock>)) -> Option<(usize, Clock)> {
    Some((place, clock?))
}

#[test]
fn a_first_clock_counts_only_once_it_answers_something() {
    let mut cluster = Cluster::new(&[0, 0]);
    cluster.beat(&[]);
    let hello = cluster.says(0, 1).unwrap();
    assert_eq!(hello.echo_ms, 0);
    cluster.hears(1, 0, hello);
    assert_eq!(cluster.machines[1].time.heard().count(), 0);
    let answer = cluster.says(1, 0).unwrap();
    cluster.hears(0, 1, answer);
    assert_eq!(cluster.machines[0].time.heard().count(), 1);
    // A new connection begins from nothing; what was heard before counts on for a moment.
    cluster.machines[0].time.forget_stamp(ServerId(2));
    assert_eq!(cluster.machines[0].time.heard().count(), 1);
    assert_eq!(cluster.says(0, 1).unwrap().echo_ms, 0);
}

#[test]
fn no_clock_however_absurd_overflows_or_makes_a_time_that_no_entry_can_have() {
    let absurd = [0, 1, NOW, 1 << 48, u64::MAX];
    for wall in absurd {
        let mut time = Time::new(bounds(), 0, wall);
        for boot in absurd {
            time.observe(boot, wall);
            for number in absurd {
                for (from, echo_ms) in (1..).zip(absurd) {
                    let (unix_ms, median_ms, sent_ms) = (number, wall, number);
                    let clock = Clock { unix_ms, median_ms, sent_ms, echo_ms, held_ms: number };
                    time.hear(ServerId(from), clock);
                    let _ = time.tell(ServerId(from));
                }
                for last in [0, NOW, (1 << 48) - 1] {
                    assert!(time.of_entry(last).0 < 1 << 48);
                }
            }
            let _ = time.look_in_ms();
            for notice in time.take_notices() {
                let _ = notice.line(|id| id.to_string());
            }
        }
    }
}

#[test]
fn clocks_of_more_servers_than_a_cluster_has_are_not_kept() {
    let mut time = Time::new(bounds(), SECOND, NOW);
    for number in 1..1_000 {
        let clock = Clock { unix_ms: NOW, median_ms: 0, sent_ms: 1, echo_ms: SECOND, held_ms: 0 };
        time.hear(ServerId(number), clock);
    }
    assert_eq!(time.heard().count(), limits::RAFT_VOTERS);
}

#[test]
fn a_wall_clock_that_is_set_all_the_time_has_a_line_a_minute() {
    let mut server = alone(0);
    for step in 0..HOUR / BEAT {
        server.machines[0].ahead_ms = signed(step % 7 * HOUR);
        server.beat(&[]);
    }
    let lines = server.notices(0).len();
    assert!((30..=125).contains(&lines), "{lines} lines in an hour");
    assert_eq!(server.entry(0), (0, false), "none of them has lasted");
}

#[test]
fn the_lines_say_what_happened_and_what_to_do() {
    let name = |_: ServerId| "b".to_owned();
    let hour = signed(HOUR);
    for (notice, level, line) in [
        (
            Notice::Stepped { by_ms: signed(YEARS), followed: false },
            TraceLevel::Error,
            "the wall clock was set forward by 74 years: messages keep the old time until the \
             step has lasted 10 min or the other servers' clocks confirm it; run NTP on this \
             server",
        ),
        (
            Notice::Stepped { by_ms: -1_500, followed: true },
            TraceLevel::Error,
            "the wall clock was set back by 1.5 s, toward the other servers' clocks: messages \
             follow it",
        ),
        (
            Notice::Followed { by_ms: 3 * hour },
            TraceLevel::Info,
            "messages now follow the wall clock, which was set forward by 3 h",
        ),
        (Notice::Undone, TraceLevel::Info, "the wall clock agrees with the messages' times again"),
        (
            Notice::AheadOfMedian(-50 * hour),
            TraceLevel::Error,
            "the clock of this server is 2 days behind the median of the servers' clocks: messages \
             use the median; set this clock and run NTP",
        ),
        (
            Notice::AheadOf(ServerId(2), hour),
            TraceLevel::Warning,
            "the clock of this server is 60 min ahead of b's, and there is no third clock to tell \
             which is right: run NTP on both",
        ),
        (Notice::Agrees, TraceLevel::Info, "the clock of this server agrees with the others'"),
        (
            Notice::WentBack(signed(YEARS)),
            TraceLevel::Error,
            "the last message is dated 74 years ahead of the current time: message times go back \
             by that once; messages are ordered by seq, not by time",
        ),
    ] {
        assert_eq!(notice.line(name), (level, line.to_owned()));
    }
}
