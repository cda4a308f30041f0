//! The log from outside: torture, crashes, injected failures.

mod crashes;
mod damage;
mod full_disk;
mod hard_state;
mod hostile;
pub mod machine;
mod measure;
mod real_disk;
mod set_aside;
pub mod sim_disk;
