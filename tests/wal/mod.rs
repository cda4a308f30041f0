//! The log from outside: torture, crashes, injected failures.

mod crashes;
mod machine;
mod real_disk;
pub mod sim_disk;
