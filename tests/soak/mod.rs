//! Several servers as real processes and clients that never rest, under injected faults: kill -9,
//! SIGSTOP, SIGTERM, partitions, full disks, and members that are added and removed meanwhile.
//!
//! | file | what it has |
//! | --- | --- |
//! | `play.rs` | a play: clients, what happens meanwhile, what must hold in the end |
//! | `sender.rs`, `receiver.rs`, `line.rs` | clients of the protocol's page alone |
//! | `chatter.rs` | `chatctl chat` as a process |
//! | `tally.rs` | what they tell each other |
//! | `log.rs`, `checker.rs` | what the servers have; what must hold |
//! | `kills.rs`, `partitions.rs` | the tests, in short |
//! | `operator.rs` | adds, removes and replaces servers meanwhile |
//! | `everything.rs` | everything at once for `SOAK_SECONDS` (`make soak`) |
//! | `attack/` | what honest clients notice of a server under attack (`make attack`) |
//! | `failover.rs` | how long it takes until somebody serves again (`make failover`) |
//!
//! Each test prints its seed, and takes another from `SOAK_SEED`. What happens at what instant is
//! the system's choice all the same: a seed gives the same plan, not the same run.

mod attack;
mod chatter;
mod checker;
mod everything;
mod failover;
mod kills;
mod line;
mod log;
mod operator;
mod partitions;
mod play;
mod receiver;
mod sender;
mod tally;
