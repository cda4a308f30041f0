//! chatctl: a chat server that keeps every message, and its terminal client.
//!
//! This page is for those who work on the program; README is for those who use it.
//!
//! # Layers
//!
//! The path of a message through the layers:
//!
//! ```text
//! bytes -> server (sockets) -> node -> protocol -> raft.propose -> wal.append ... fsync ...
//!       -> raft.persisted -> committed -> chat.apply -> effects -> node (replies, pushes)
//!       -> protocol -> server (sockets) -> bytes
//! ```
//!
//! The layers, highest first, which is also the order to read them in; a module imports only from
//! those below it, and `tests/imports` checks that:
//!
//! | module       | content |
//! | ---          | --- |
//! | [`cli`]      | one table of subcommands and flags; parsing, help, completions |
//! | [`server`]   | the event loop: sockets, threads, disks and signals around a node |
//! | [`node`]     | one server, pure: start, requests, replication, members, connections to peers |
//! | [`client`]   | the client session (sans-I/O), its outbox on disk, the screen, the loops |
//! | [`net`]      | nonblocking connections with bounded buffers, listeners, deadlines |
//! | [`wal`]      | the write-ahead log: format, recovery and its decision table, writer thread |
//! | [`chat`]     | the state machine: accounts, mailboxes; commands in, effects out; pure |
//! | [`raft`]     | the consensus core; a single server is a cluster of one; pure |
//! | [`protocol`] | messages on the wire, JSON, binary, framing; pure |
//! | [`auth`]     | SHA-256, HMAC, PBKDF2, SCRAM verifiers, tokens; pure |
//! | [`sys`]      | the only `unsafe`: files, signals, terminal, clock, entropy |
//! | [`limits`]   | every bound of the program |
//! | [`mutants`]  | bugs that `make mutants` plants to test the tests; not in a normal build |
//!
//! # Tests
//!
//! All tests are one binary, `tests/main.rs`, with a folder for each part. `make help` lists the
//! targets that run them, and the measurements.
//!
//! | folder          | content |
//! | ---             | --- |
//! | `tests/sim`     | whole clusters in virtual time, and a checker of what clients were told |
//! | `tests/cluster` | real servers and clients: killed, wiped, restarted, with full disks |
//! | `tests/soak`    | real servers and clients under injected faults, on hosts of their own |
//! | `tests/limits`  | names the test of each bound in [`limits`] |
//! | `tests/mutants` | names the tests that must catch each planted bug |
//! | `tests/cli/examples` | runs the commands of README and of the manual as they are written |
//! | `tests/raft`, `tests/wal`, `tests/chat`, `tests/codec`, ... | one module each |
//!
//! | target | purpose |
//! | --- | --- |
//! | `make check`, `make test` | what a change must pass: format, lints, man pages, all tests |
//! | `make man` | rewrites the lists of flags in `man/` from the table in [`cli`] |
//! | `make sim SIM_SEEDS=10000`, `make sim SIM_SEED=x SIM_TRACE=1` | more histories; one in full |
//! | `make mutants` | plants each bug in turn and checks that some test catches it |
//! | `make soak SOAK_SECONDS=3600` | runs five servers under faults; as root with partitions |
//! | `make fuzz FUZZ_RUNS=10000000` | random input for everything that reads from a network |
//! | `make bench`, `make failover`, `make attack`, `make screen` | measurements |

pub mod auth;
pub mod chat;
pub mod cli;
pub mod client;
pub mod limits;
pub mod mutants;
pub mod net;
pub mod node;
pub mod protocol;
pub mod raft;
pub mod server;
pub mod sys;
pub mod wal;
