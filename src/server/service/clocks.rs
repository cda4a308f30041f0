//! The times of entries, and what the operator is told of clocks.

use super::Service;
use crate::mutants::{Mutant, planted};
use crate::raft::ServerId;
use crate::server::peers::wire::Clock;
use crate::server::time::Notice;

impl Service {
    /// The time of the next entry. What is in the order and not applied yet counts too: all of it is
    /// this PRIMARY's, since it takes nothing before it has applied what others made.
    pub(super) fn entry_time(&mut self) -> u64 {
        let term = self.replica.core().term();
        let last_ms = match self.given_time {
            (of, given_ms) if of == term => given_ms,
            _ => self.replica.state().last_time(),
        };
        let (time_ms, notice) = self.time.of_entry(last_ms);
        self.offered_time = Some((term, time_ms, notice));
        if planted(Mutant::RefusedTimeCounts) {
            self.keep_time();
        }
        time_ms
    }

    /// The entry that was offered a time is in the order. What was refused in between has none: the
    /// next entry must not be dated before the last one by it.
    pub(super) fn keep_time(&mut self) {
        let Some((term, time_ms, notice)) = self.offered_time.take() else { return };
        if self.replica.is_ready() {
            self.given_time = (term, time_ms);
            notice.iter().for_each(|notice| self.tell_notice(notice));
        }
    }

    /// Another server says what its clock shows.
    pub fn hear_clock(&mut self, from: ServerId, clock: Clock) {
        self.time.hear(from, clock);
        self.tell_of_time();
    }

    /// Another server has a new connection.
    pub fn on_new_connection(&mut self, id: ServerId) {
        self.time.forget_stamp(id);
    }

    pub(super) fn tell_of_time(&mut self) {
        for notice in self.time.take_notices() {
            self.tell_notice(&notice);
        }
    }

    fn tell_notice(&mut self, notice: &Notice) {
        let members = self.replica.possible_members();
        let (level, line) = notice.line(|ServerId(number)| {
            let member = members.iter().find(|member| member.number == number);
            member.map_or_else(|| format!("server {number}"), |member| member.name.clone())
        });
        self.tell(level, line);
    }
}
