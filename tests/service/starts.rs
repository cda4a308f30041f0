//! What a server finds in its directory at a start.

use chatctl::node::bootstrap::disks::Disks;
use chatctl::node::{End, Node};
use chatctl::wal::RecoverError;

use super::world::{World, accounts, flags, settings};

#[test]
fn a_log_of_another_cluster_is_refused() {
    let own = World::new(settings());
    let names = ["alice".to_owned()];
    let other = World::with(settings(), |_| {}, &accounts(&names));
    let disks = Disks { state: own.disks().state, log: other.disks().log };
    let started = Node::start(flags(settings()), disks, [1; 32], own.now);
    assert!(matches!(started.err(), Some(End::Recover(RecoverError::Identity { .. }))));
}
