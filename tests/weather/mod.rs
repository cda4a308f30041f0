//! Bad weather: several servers as real processes, clients that never rest, and everything that may
//! happen to servers meanwhile: kill -9, SIGSTOP, SIGTERM, partitions, members that come and go.
//!
//! | file | what it has |
//! | --- | --- |
//! | `play.rs` | a play: clients, what happens meanwhile, what must hold in the end |
//! | `sender.rs`, `receiver.rs`, `line.rs` | clients of the protocol's page alone |
//! | `chatter.rs` | `chatctl chat` as a process |
//! | `tally.rs` | what they tell each other |
//! | `log.rs`, `checker.rs` | what the servers have; what must hold |
//! | `kills.rs`, `partitions.rs` | the tests, in short |
//! | `operator.rs` | who adds, removes and replaces servers meanwhile |
//! | `soak.rs` | everything at once for `SOAK_SECONDS` (`make soak`) |
//! | `attack/` | what honest clients notice of a server under attack (`make attack`) |
//! | `failover.rs` | how long it takes until somebody serves again (`make failover`) |
//!
//! Each test prints its seed, and takes another from `WEATHER_SEED`. What happens at what instant is
//! the system's choice all the same: a seed gives the same plan, not the same run.

mod attack;
mod chatter;
mod checker;
mod failover;
mod kills;
mod line;
mod log;
mod operator;
mod partitions;
mod play;
mod receiver;
mod sender;
mod soak;
mod tally;
