//! What must hold of the times of entries. How wrong each server's clock is, is known here; that it
//! follows the wall clock as it should is for the rule's own tests and for the end of a history.

use std::collections::BTreeMap;
use std::rc::Rc;

use chatctl::chat::Command;
use chatctl::limits;
use chatctl::raft::ServerId;

use super::clock::{Us, true_ms};
use super::server::Server;
use super::world::MS;

/// By how much clocks may seem more wrong than they are: they run at other speeds, and are read a
/// little later than they are heard.
const BLUR_MS: i64 = 250;
const STEP_MS: i64 = limits::CLOCK_STEP_MS as i64;
const NEAR_MS: i64 = limits::CLOCK_NEAR_MS as i64;
const TRIP_MS: i64 = limits::CLOCK_TRIP_MS as i64;

/// A server's clock, as it was when it had its last turn.
#[derive(Clone, Copy, Default)]
struct Seen {
    epoch: u64,
    /// Since when its clock is as wrong as it is.
    settled_us: Us,
    wrong_ms: i64,
    /// How far the wall clock is ahead of CLOCK_BOOTTIME.
    wall_ms: i64,
    /// When the process began, or last found that the wall clock was set by so much that it must take
    /// it for a step. No server can see a step that was undone while it had no turn.
    step_us: Us,
}

/// What has been seen of the clocks, and how much was held against that.
#[derive(Default)]
pub struct Times {
    /// How long a clock must have stood before time goes back by it alone.
    pub stands_ms: u64,
    seen: Vec<Seen>,
    /// How far ahead the last entry was when it was made.
    ahead_ms: i64,
    pub went_back: u64,
    pub by_median: u64,
}

impl Times {
    /// A server has taken a turn.
    pub fn look_at(&mut self, now_us: Us, place: usize, servers: &[Server]) {
        self.seen.resize(servers.len(), Seen::default());
        let (server, seen) = (&servers[place], &mut self.seen[place]);
        let Some(replica) = server.replica() else { return };
        let clock = &server.clock;
        let wall_ms = clock.unix_ms(now_us) as i64 - clock.boot_ms(now_us) as i64;
        if seen.epoch != server.epoch {
            let (epoch, settled_us, step_us) = (server.epoch, now_us, now_us);
            *seen = Seen { epoch, settled_us, wrong_ms: 0, wall_ms, step_us };
        }
        if wall_ms.abs_diff(seen.wall_ms) > limits::CLOCK_STEP_MS * 5 / 4 {
            seen.step_us = now_us;
        }
        seen.wall_ms = wall_ms;
        let wrong_ms = replica.time.clock_ms() as i64 - true_ms(now_us);
        if wrong_ms.abs_diff(seen.wrong_ms) > 100 {
            seen.settled_us = now_us;
            seen.wrong_ms = wrong_ms;
        }
    }

    /// A PRIMARY has put an entry into the order in this turn.
    pub fn on_proposed(
        &mut self,
        index: u64,
        (now_us, place): (Us, usize),
        servers: &[Server],
        written: &BTreeMap<(u64, u64), Rc<[u8]>>,
    ) {
        let replica = servers[place].replica().expect("it has taken a turn");
        let core = replica.core();
        let time_of = |index: u64| {
            let term = core.term_at(index)?;
            let known = core.entry(index).map(|entry| entry.payload.bytes());
            let payload = known.or(written.get(&(index, term)).map(|payload| &**payload))?;
            Some(Command::decode(payload).ok()?.time() as i64)
        };
        if core.term_at(index) != Some(core.term()) {
            return;
        }
        let Some(time_ms) = time_of(index) else { return };
        let last_ms = (1..index).rev().take(8).find_map(time_of);
        let went_back = last_ms.is_some_and(|last_ms| time_ms < last_ms);
        let ahead_ms = time_ms - true_ms(now_us);
        self.ahead_ms = ahead_ms;
        let who = format!("entry {index} of {}, {ahead_ms} ms ahead", servers[place].name);
        let heard: Vec<ServerId> = replica.time.heard().collect();
        if let Some(median) = self.median(now_us, place, &heard, servers) {
            self.by_median += 1;
            let off_ms = (ahead_ms - median).abs();
            assert!(off_ms <= STEP_MS + BLUR_MS, "{who}: the median is {median} ms ahead");
            let last_ahead_ms = last_ms.map_or(0, |last_ms| last_ms - true_ms(now_us) - median);
            let may_go_back = last_ahead_ms >= STEP_MS - TRIP_MS - BLUR_MS;
            assert!(!went_back || may_go_back, "{who}: back, from {last_ahead_ms} past the median");
        } else if went_back && replica.time.median_ms().is_none() {
            let stands_ms = (now_us - self.seen[place].step_us) / MS * 21 / 20;
            assert!(stands_ms >= self.stands_ms, "{who}: back, by a clock of {stands_ms} ms");
        }
    }

    /// How far ahead the median is of the clocks of this server and of those that it hears, at least
    /// three together; none where one of these has changed a moment ago, or is not known.
    fn median(
        &self,
        now_us: Us,
        place: usize,
        heard: &[ServerId],
        servers: &[Server],
    ) -> Option<i64> {
        let mut clocks = vec![self.seen[place].wrong_ms];
        for id in heard {
            let mut with = servers.iter().filter(|server| server.id == *id);
            let (Some(one), None) = (with.next(), with.next()) else { return None };
            let seen = self.seen.get(one.place)?;
            // An election timeout, and what the clock may have been under way.
            if seen.epoch == 0 || now_us - seen.settled_us < 1_500 * MS {
                return None;
            }
            clocks.push(seen.wrong_ms);
        }
        clocks.sort_unstable();
        (clocks.len() >= 3).then(|| clocks[(clocks.len() - 1) / 2])
    }

    /// An entry is committed behind one of `last_ms`.
    pub fn on_committed(&mut self, index: u64, last_ms: u64, time_ms: u64) {
        let goes_back = time_ms < last_ms;
        self.went_back += u64::from(goes_back);
        let far = last_ms.saturating_sub(time_ms) as i64 > NEAR_MS;
        assert!(!goes_back || far, "entry {index}: time goes back by little, to {time_ms}");
    }

    /// The clocks have been right for long enough, and then an entry was made.
    pub fn are_right(&self) {
        let ahead_ms = self.ahead_ms;
        assert!(ahead_ms.abs() <= STEP_MS + BLUR_MS, "the last entry is {ahead_ms} ms ahead");
    }
}
