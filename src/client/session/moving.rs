//! From one server to another: the next of the list after a failure, and the PRIMARY that a server
//! names.
//!
//! A password or token follows, so that a server, or an impostor, cannot send it anywhere: the client
//! goes only to addresses of its own list, and from a loopback address or a Unix socket, which may be
//! the near end of a tunnel, only to another. Where it may not follow it tries the next server of its
//! list, and names the address that is missing.

use super::Session;
use super::phase::{Look, Phase, Stage};
use super::times::{
    BACKOFF_MOST_MS, BACKOFF_MS, CONNECT_FIRST_MS, CONNECT_MS, PING_IDLE_MS, PING_JITTER_MS,
    SETTLED_MS,
};
use super::types::Output;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::address;
use crate::protocol::Message;

/// The list of servers, and the way through it.
pub(super) struct Route {
    pub servers: Vec<String>,
    /// The place in the list of the next to try.
    next: usize,
    /// The server of the current or the last connection.
    pub address: String,
    pub redirects: u32,
    /// A redirect is being followed.
    pub is_moving: bool,
    /// Connections that failed in a row.
    failures: u32,
}

impl Route {
    pub fn new(servers: Vec<String>) -> Route {
        assert!(!servers.is_empty(), "a session has servers to try");
        let (address, is_moving) = (String::new(), false);
        Route { servers, next: 0, address, redirects: 0, is_moving, failures: 0 }
    }

    fn pass_over(&mut self) {
        self.next = (self.next + 1) % self.servers.len();
    }

    /// How long a connection may take, milliseconds: short while others of the list are untried.
    fn connect_ms(&self) -> u64 {
        match self.servers.len() as u32 {
            1 => CONNECT_MS,
            count => (CONNECT_FIRST_MS << (self.failures / count).min(4)).min(CONNECT_MS),
        }
    }

    /// Where in the list the PRIMARY is that `from` names, or why it must not be followed.
    fn place_of(&self, from: &str, primary: &str) -> Result<usize, String> {
        if address::client_address(primary).is_err() {
            return Err(format!("{from} names a PRIMARY without a valid address"));
        }
        let leaves = address::is_near(from) && !address::is_near(primary);
        if leaves && !planted(Mutant::RedirectAnywhere) {
            return Err(format!(
                "{from} names {primary} as PRIMARY, which is not on this machine: add it, or a \
                 tunnel to it, to --servers"
            ));
        }
        self.servers.iter().position(|server| address::same(server, primary)).ok_or_else(|| {
            format!("{from} names {primary} as PRIMARY, which --servers does not list: add it")
        })
    }
}

/// The seed of all jitter.
pub(super) struct Dice(pub u64);

impl Dice {
    /// SplitMix64.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    /// A jittered wait: short while servers of a list are untried, then doubled each round.
    pub fn back_off_ms(&mut self, failures: u32, list: u32) -> u64 {
        let round = failures / list.max(1);
        if round == 0 {
            return self.below(BACKOFF_MS / 2);
        }
        let most = BACKOFF_MS.saturating_mul(1 << round.min(16)).min(BACKOFF_MOST_MS);
        most / 2 + self.below(most / 2)
    }

    /// The silence before the next ping: clients that have heard the same push do not ping together.
    pub fn ping_ms(&mut self) -> u64 {
        PING_IDLE_MS - self.below(PING_JITTER_MS)
    }
}

impl Session {
    pub(super) fn start_connecting(&mut self, now_ms: u64) {
        self.route.address = self.route.servers[self.route.next].clone();
        self.phase = Phase::Connecting { deadline: now_ms + self.route.connect_ms() };
        self.outputs.push_back(Output::Connect(self.route.address.clone()));
    }

    /// Leaves a server that does what it must not.
    pub(super) fn leave(&mut self, now_ms: u64, what: &str) {
        let address = &self.route.address;
        self.lose(now_ms, format!("{address} {what}"));
    }

    /// The connection (or the attempt) has failed: the next server of the list, after a while.
    pub(super) fn lose(&mut self, now_ms: u64, why: String) {
        let online = self.phase.online();
        if online.is_some_and(|online| now_ms.saturating_sub(online.since) >= SETTLED_MS) {
            self.route.failures = 0;
        }
        let failures = self.route.failures;
        self.route.failures = failures.saturating_add(1);
        (self.route.redirects, self.route.is_moving) = (0, false);
        self.route.pass_over();
        self.trouble = Some(why);
        let wait_ms = self.dice.back_off_ms(failures, self.route.servers.len() as u32);
        self.drop_connection(Phase::Waiting { until: now_ms + wait_ms });
    }

    /// Drops the connection, or the attempt at one, with all that belongs to it. What was not answered
    /// is asked again on the next.
    pub(super) fn drop_connection(&mut self, next: Phase) {
        let before = std::mem::replace(&mut self.phase, next);
        if matches!(before, Phase::Attached(_) | Phase::Connecting { .. }) {
            self.outputs.push_back(Output::Close);
        }
        if before.link().is_some_and(|link| matches!(link.look, Look::Asking { .. })) {
            self.outputs.push_back(Output::EndLook);
        }
        self.outbox.land();
        self.reopen_requests();
    }

    /// The server names another as PRIMARY.
    pub(super) fn on_redirect(&mut self, now_ms: u64, message: &Message<'_>) {
        self.route.redirects += 1;
        if self.route.redirects > limits::REDIRECTS {
            self.route.redirects = 0;
            return self.leave(now_ms, "redirects in circles");
        }
        let from = self.route.address.clone();
        self.move_on(now_ms, &from, &message.to);
    }

    /// Goes to the server that `from` calls PRIMARY, if it may, or else to the next of the list.
    pub(super) fn move_on(&mut self, now_ms: u64, from: &str, primary: &str) {
        let place = match self.route.place_of(from, primary) {
            Ok(place) => place,
            Err(why) => return self.lose(now_ms, why),
        };
        // Two servers that each take the other for PRIMARY need a moment, not a storm.
        let wait_ms = match self.route.redirects {
            0 | 1 => 0,
            many => self.dice.back_off_ms(many, 1),
        };
        (self.route.is_moving, self.route.next) = (true, place);
        self.drop_connection(Phase::Waiting { until: now_ms + wait_ms });
    }

    /// The server has been read-only for long: the next one may not be.
    fn leave_read_only(&mut self, now_ms: u64) {
        self.route.is_moving = true;
        self.route.pass_over();
        self.drop_connection(Phase::Waiting { until: now_ms });
    }

    pub(super) fn check_deadlines(&mut self, now_ms: u64) {
        let is_over = |deadline: u64| now_ms >= deadline;
        match &self.phase {
            Phase::Connecting { deadline } if is_over(*deadline) => {
                self.leave(now_ms, "does not answer");
            }
            Phase::Attached(link) => match link.stage {
                Stage::LoggingIn { deadline } if is_over(deadline) => {
                    self.leave(now_ms, "has not answered the login");
                }
                Stage::LoggingIn { .. } => {}
                Stage::Online(_) if link.reply_deadline().is_some_and(is_over) => {
                    self.leave(now_ms, "has stopped answering");
                }
                Stage::Online(_) if link.server.leave_at.is_some_and(is_over) => {
                    self.leave_read_only(now_ms);
                }
                Stage::Online(_) => {}
            },
            _ => {}
        }
    }
}
