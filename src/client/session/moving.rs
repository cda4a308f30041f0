//! Going on to another server: where one sends the client on, or has nothing to say for long.
//!
//! A password or token follows, so that a server, or whoever plays one, cannot send it anywhere: the
//! client goes only to addresses of its own list, and from a loopback address or a Unix socket, which
//! may be the near end of a tunnel, only to another. Where it may not follow it tries the next server
//! of its list, and names the address that is missing.

use super::{Phase, Session};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::address;
use crate::protocol::Message;

impl Session {
    /// The server names another as PRIMARY.
    pub(super) fn on_redirect(&mut self, now_ms: u64, message: &Message<'_>) {
        self.redirects += 1;
        if self.redirects > limits::REDIRECTS {
            self.redirects = 0;
            return self.leave(now_ms, "redirects in a circle");
        }
        let from = self.address.clone();
        self.move_on(now_ms, &from, &message.to);
    }

    /// Goes to the server that `from` calls PRIMARY, if it may, or else to the next of the list.
    pub(super) fn move_on(&mut self, now_ms: u64, from: &str, primary: &str) {
        let place = match self.place_of(from, primary) {
            Ok(place) => place,
            Err(why) => return self.lose(now_ms, why),
        };
        self.drop_connection();
        self.is_moving = true;
        // Two servers that each take the other for PRIMARY need a moment, not a storm.
        let wait_ms = match self.redirects {
            0 | 1 => 0,
            many => self.back_off_ms(many, 1),
        };
        self.next_server = place;
        self.phase = Phase::Waiting { until: now_ms + wait_ms };
    }

    /// Where in the list the address is that `from` names; why it must not be followed.
    fn place_of(&self, from: &str, primary: &str) -> Result<usize, String> {
        if address::client_address(primary).is_err() {
            return Err(format!("{from} names a PRIMARY without a valid address"));
        }
        let leaves = address::is_near(from) && !address::is_near(primary);
        if leaves && !planted(Mutant::RedirectAnywhere) {
            return Err(format!(
                "{from} names {primary} as PRIMARY, which is not on this machine: add {primary} to \
                 --servers, or a tunnel to it"
            ));
        }
        self.servers.iter().position(|server| address::same(server, primary)).ok_or_else(|| {
            format!("{from} names {primary} as PRIMARY, which --servers does not list: add it")
        })
    }

    /// The server has been read-only for long: the next one may not be.
    pub(super) fn leave_read_only(&mut self, now_ms: u64) {
        self.drop_connection();
        self.is_moving = true;
        self.next_server = (self.next_server + 1) % self.servers.len();
        self.phase = Phase::Waiting { until: now_ms };
    }
}
