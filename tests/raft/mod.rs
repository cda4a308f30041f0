//! The consensus core from outside: the claims of the paper and the dissertation, one a test, named
//! by section; scripted histories with their transcripts; random histories with all faults.

mod checker;
mod cluster;
mod random;
mod script;
