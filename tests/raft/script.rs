//! (to be written)
use super::cluster::Cluster;
use chatctl::raft::{Output, ServerId};
pub fn tell_output(_: &mut Cluster, _: ServerId, _: &Output) {}
