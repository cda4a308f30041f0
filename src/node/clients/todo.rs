//! What is to be done outside.

use std::collections::VecDeque;

use crate::auth::hasher::Job;
use crate::net::{Key, KeyQueue};
use crate::node::io::ReadJob;
use crate::node::lines::Line;

/// What is to be done outside. Whoever does it takes it out.
#[derive(Default)]
pub struct Todo {
    /// Connections to be looked at again: see [`Clients::next_to_serve`].
    pub serve: KeyQueue,
    /// Those of them that do more than their share of the work: they come last.
    pub rest: KeyQueue,
    /// Connections with something to be written.
    pub write: KeyQueue,
    /// Connections whose writing side is to be closed.
    pub shut: Vec<Key>,
    /// Connections to be closed; [`Clients::disconnect`] comes then.
    pub close: Vec<Key>,
    /// Passwords to be hashed, for [`Clients::on_hashed`].
    pub hash: VecDeque<Job>,
    /// Entries to be read, for [`Clients::on_read`].
    pub read: VecDeque<ReadJob>,
    /// Lines for the operator.
    pub tell: Vec<Line>,
}
