//! The consensus core from outside: the claims of the paper and the dissertation, one a test, named
//! by section (`s5_4_2_...`); scripted histories with their transcripts; random histories with all
//! faults.

mod checker;
mod cluster;
mod elections;
mod losses;
mod members;
mod random;
mod reads;
mod replication;
mod restoring;
mod script;
pub mod shown;
mod solo;
