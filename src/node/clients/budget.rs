//! How much work one turn does for clients, and whose turn it is.
//!
//! Work is counted in units, never measured with a clock: about a nanosecond of a processor of 2020
//! each. Every request is charged for being looked at, for its bytes, for what it walks through and
//! for what it answers. Three bounds keep one client from taking the server from the others:
//!
//! - A visit ends after [`limits::VISIT_WORK`]. What the connection has beyond that stays in its
//!   input, and the connection is visited again.
//! - A connection that does more than [`limits::SHARE_WORK`] a turn on average is greedy: it is
//!   served behind all others, with the other greedy ones in turn, out of
//!   [`limits::TURN_REST_WORK`].
//! - The others share [`limits::TURN_WORK`] a turn. Those left over come first in the next turn.
//!
//! No single request does more than about [`limits::VISIT_WORK`], besides being decoded: at most
//! [`limits::FRAME_BYTES`], about a millisecond. Those that could go on longer end their page early
//! or continue in a later turn.

use super::Clients;
use super::todo::Todo;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::node::replica::Replica;

/// Looking at a connection: the system calls, finding it.
const VISIT: u64 = 1_000;
/// Looking at a request: decoding it, checking it, answering it with little.
pub(super) const REQUEST: u64 = 200;
/// Looking at a blank line.
pub(super) const BLANK: u64 = 20;
/// Finding one message, or one other thing of a page.
pub(super) const ITEM: u64 = 100;
/// Finding one conversation and formatting its line.
pub(super) const CONVERSATION: u64 = 200;
/// Parsing or formatting one message id.
pub(super) const ID: u64 = 50;
/// Hashing that is done at once: a token's keys.
pub(super) const TOKEN: u64 = 4_000;
/// What the loop has to do for a password that is hashed elsewhere.
pub(super) const LOGIN: u64 = 2_000;
/// Writing a push or an answer into one connection's output, besides its bytes.
pub(super) const OUTPUT: u64 = 50;
/// Applying an entry.
pub(super) const APPLY: u64 = 300;
/// Deleting one message.
pub(super) const DELETION: u64 = 500;

/// The account of one turn.
#[derive(Default)]
pub(super) struct Budget {
    turn: u64,
    /// Connections of either queue that may still be visited in this turn: those queued when it
    /// began.
    serve_left: usize,
    rest_left: usize,
    serve_work: u64,
    rest_work: u64,
    /// Whether the visit under way is of a greedy connection.
    in_rest: bool,
    /// Work of the last [`Clients::apply_committed`].
    pub(super) apply_work: u64,
}

/// What one connection has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// In its life.
    total: u64,
    /// Of it, before the visit under way.
    before_visit: u64,
    /// Beyond its share of all turns since.
    debt: u64,
    /// The turn as of which `debt` was counted.
    turn: u64,
}

impl Clients {
    /// A turn's visits begin: [`Clients::next_to_serve`] gives those who are queued now, as far as
    /// the turn's budget goes.
    pub fn begin_serving(&mut self, replica: &Replica) {
        let Todo { serve, rest, .. } = &self.todo;
        self.budget = Budget {
            turn: self.budget.turn + 1,
            serve_left: serve.len(),
            rest_left: rest.len(),
            ..Budget::default()
        };
        self.tell_presence(replica);
    }

    /// The next connection to be visited in this turn; the greedy ones come last.
    pub fn next_to_serve(&mut self) -> Option<Key> {
        loop {
            let budget = &mut self.budget;
            let unbounded = planted(Mutant::WorkNotCounted);
            let key =
                if budget.serve_left > 0 && (budget.serve_work < limits::TURN_WORK || unbounded) {
                    budget.serve_left -= 1;
                    self.todo.serve.pop()?
                } else if budget.rest_left > 0
                    && (budget.rest_work < limits::TURN_REST_WORK || unbounded)
                {
                    budget.rest_left -= 1;
                    budget.in_rest = true;
                    self.todo.rest.pop()?
                } else {
                    return None;
                };
            if let Some(client) = self.clients.get_mut(key) {
                client.spent.before_visit = client.spent.total;
                self.charge(key, VISIT);
                return Some(key);
            }
        }
    }

    /// Counts work that was done for the connection.
    pub(super) fn charge(&mut self, key: Key, units: u64) {
        let budget = &mut self.budget;
        match budget.in_rest {
            true => budget.rest_work += units,
            false => budget.serve_work += units,
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.spent.total += units;
            client.spent.debt += units;
        }
    }

    /// Counts work that other turns will do for the connection, out of bounds of their own.
    pub(super) fn charge_later(&mut self, key: Key, units: u64) {
        if let Some(client) = self.clients.get_mut(key) {
            client.spent.debt += units;
        }
    }

    /// Whether the visit under way has done all that one may do.
    pub(super) fn visit_is_over(&self, key: Key) -> bool {
        let Some(client) = self.clients.get(key) else { return true };
        client.spent.of_visit() >= limits::VISIT_WORK && !planted(Mutant::WorkNotCounted)
    }

    /// Has the connection looked at again; behind all others when it is greedy.
    pub(super) fn queue(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if self.todo.serve.contains(key) || self.todo.rest.contains(key) {
            return;
        }
        match client.spent.is_greedy(self.budget.turn) && !planted(Mutant::WorkNotCounted) {
            true => self.todo.rest.push(key),
            false => self.todo.serve.push(key),
        }
    }

    /// Has the connection looked at again, because there is something to read.
    pub fn on_readable(&mut self, key: Key) {
        self.queue(key);
    }

    /// As [`Clients::on_readable`], behind all others: it has had its share of this turn.
    pub fn on_more(&mut self, key: Key) {
        if self.clients.get(key).is_some() && !self.todo.serve.contains(key) {
            self.todo.rest.push(key);
        }
    }

    /// Units of work done so far in this turn's visits: of those who ask for little, and of the
    /// greedy.
    pub fn work_of_turn(&self) -> (u64, u64) {
        (self.budget.serve_work, self.budget.rest_work)
    }

    /// Units of work done in the last [`Clients::apply_committed`].
    pub fn work_of_applying(&self) -> u64 {
        self.budget.apply_work
    }

    /// Units of work done for a connection in its life.
    pub fn work_of(&self, key: Key) -> u64 {
        self.clients.get(key).map_or(0, |client| client.spent.total)
    }
}

impl Spent {
    fn of_visit(&self) -> u64 {
        self.total - self.before_visit
    }

    fn is_greedy(&mut self, turn: u64) -> bool {
        let paid = (turn - self.turn).saturating_mul(limits::SHARE_WORK);
        self.debt = self.debt.saturating_sub(paid);
        self.turn = turn;
        self.debt > limits::SHARE_WORK
    }
}
