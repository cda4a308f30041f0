//! Lines for the operator that count what happens often instead of repeating it: failed logins, and
//! connections closed for newcomers. What has happened within [`limits::COUNTED_MS`] is told at its
//! end.

use std::collections::HashMap;

use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Network;
use crate::node::lines::Line;
use crate::node::lines::TraceLevel;

/// Why a login failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The password or token was wrong.
    Wrong,
    /// Nothing was checked: too many attempts.
    Refused,
}

/// What has happened since the last lines.
#[derive(Default)]
pub(super) struct Counted {
    /// When the first of it happened, milliseconds.
    since_ms: Option<u64>,
    logins: HashMap<Network, Logins>,
    /// Failed logins from networks past [`limits::COUNTED_NETWORKS`].
    other_logins: u64,
    /// Connections closed for newcomers, and where the last of them came from.
    closed: u64,
    last_closed: Option<Network>,
}

#[derive(Default)]
struct Logins {
    wrong: u64,
    refused: u64,
    last_name: String,
}

impl Logins {
    fn all(&self) -> u64 {
        self.wrong + self.refused
    }
}

impl Counted {
    /// A login to `name` (folded, or empty where it was no name) failed.
    pub(super) fn login_failed(
        &mut self,
        network: Network,
        name: &str,
        failure: Failure,
        now_ms: u64,
    ) {
        self.since_ms.get_or_insert(now_ms);
        if self.logins.len() >= limits::COUNTED_NETWORKS && !self.logins.contains_key(&network) {
            self.other_logins += 1;
            return;
        }
        let logins = self.logins.entry(network).or_default();
        match failure {
            Failure::Wrong => logins.wrong += 1,
            Failure::Refused => logins.refused += 1,
        }
        logins.last_name.clear();
        logins.last_name.push_str(name);
    }

    /// A connection that had not logged in was closed to make room.
    pub(super) fn closed(&mut self, network: Network, now_ms: u64) {
        self.since_ms.get_or_insert(now_ms);
        self.closed += 1;
        self.last_closed = Some(network);
    }

    /// When [`Counted::lines`] has something, milliseconds.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.since_ms.map(|since_ms| since_ms + limits::COUNTED_MS)
    }

    /// The lines that are due, each network's with a topic of its own: of failed logins [`limits::COUNTED_LINES`] at most, those with most
    /// first.
    pub(super) fn lines(&mut self, now_ms: u64) -> Vec<Line> {
        if self.next_ms().is_none_or(|at_ms| at_ms > now_ms) {
            return Vec::new();
        }
        let Counted { logins, mut other_logins, closed, last_closed, .. } = std::mem::take(self);
        let seconds = limits::COUNTED_MS / 1000;
        let mut lines = Vec::new();
        let mut logins: Vec<(Network, Logins)> = logins.into_iter().collect();
        logins.sort_unstable_by_key(|(network, logins)| (u64::MAX - logins.all(), *network));
        let all_fit = logins.len() <= limits::COUNTED_LINES && other_logins == 0;
        let shown = if all_fit { logins.len() } else { limits::COUNTED_LINES - 1 };
        let shown = if planted(Mutant::LineForEachNetwork) { logins.len() } else { shown };
        for (network, logins) in &logins[..shown.min(logins.len())] {
            let topic = format!("failed logins from {network}");
            lines.push(Line::of(TraceLevel::Info, topic, text_of(*network, logins, seconds)));
        }
        other_logins += logins.iter().skip(shown).map(|(_, logins)| logins.all()).sum::<u64>();
        if other_logins > 0 {
            let all = counted(other_logins, "failed login");
            let text = format!("{all} from other networks in {seconds} s");
            lines.push(Line::of(TraceLevel::Info, "failed logins from other networks", text));
        }
        if let Some(network) = last_closed {
            let text = format!(
                "closed {} without a login in {seconds} s, to make room for others; the last was \
                 from {network}",
                counted(closed, "connection")
            );
            lines.push(Line::of(TraceLevel::Info, "closed to make room", text));
        }
        lines
    }
}

fn text_of(network: Network, logins: &Logins, seconds: u64) -> String {
    let all = counted(logins.all(), "failed login");
    let last = match logins.last_name.as_str() {
        "" => String::new(),
        name => format!(", the last as {name}"),
    };
    let refused = match logins.refused {
        0 => String::new(),
        refused => format!(" ({refused} refused without checking the password: too many)"),
    };
    format!("{all} from {network} in {seconds} s{last}{refused}")
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Origin;

    fn network(number: u32) -> Network {
        Origin::Ip(std::net::Ipv4Addr::from(number).into()).network()
    }

    #[test]
    fn failed_logins_are_one_line_for_each_network_and_ten_seconds() {
        let mut counted = Counted::default();
        assert_eq!(counted.next_ms(), None);
        for at_ms in 5_000..6_000 {
            counted.login_failed(network(0x0A00_0001), "alice", Failure::Wrong, at_ms);
        }
        counted.login_failed(network(0x0A00_0002), "", Failure::Refused, 6_000);
        assert!(counted.lines(14_999).is_empty());
        assert_eq!(counted.next_ms(), Some(15_000));
        let expected = [
            "1000 failed logins from 10.0.0.1 in 10 s, the last as alice",
            "1 failed login from 10.0.0.2 in 10 s (1 refused without checking the password: too \
             many)",
        ];
        let lines = counted.lines(15_000);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, expected);
        assert!(counted.lines(60_000).is_empty() && counted.next_ms().is_none());
    }

    #[test]
    fn from_however_many_networks_the_lines_are_bounded_and_none_is_left_uncounted() {
        for networks in [19, 20, 21, 500, limits::COUNTED_NETWORKS + 500] {
            let mut counted = Counted::default();
            for number in 0..networks as u32 {
                counted.login_failed(network(number), "alice", Failure::Wrong, 0);
                counted.login_failed(network(number), "alice", Failure::Wrong, 0);
            }
            assert!(counted.logins.len() <= limits::COUNTED_NETWORKS);
            let lines = counted.lines(limits::COUNTED_MS);
            assert!(lines.len() <= limits::COUNTED_LINES, "{networks}: {} lines", lines.len());
            let number = |line: &Line| line.text.split(' ').next()?.parse::<usize>().ok();
            assert_eq!(lines.iter().filter_map(number).sum::<usize>(), 2 * networks);
        }
    }
}
