//! chatctl: a chat server that loses nothing, and its terminal client.
//!
//! The way of a message, up and down the layers:
//!
//! ```text
//! bytes -> net -> protocol -> server (dispatch) -> raft.propose -> wal.append ... fsync ... -> raft.persisted
//!       -> committed -> chat.apply -> effects -> server (replies, pushes) -> protocol -> net -> bytes
//! ```
//!
//! The layers, highest first; a module imports only from those below it (a test holds that):
//!
//! | module       | what it is |
//! | ---          | --- |
//! | [`cli`]      | one table of subcommands and flags; parsing, help, and the small subcommands |
//! | [`server`]   | the event loop: one `turn()` in a fixed, visible order; the dispatch of requests |
//! | [`client`]   | the client session (sans-I/O), its outbox, the screen and the lines at a terminal |
//! | [`net`]      | nonblocking connections with bounded buffers, listeners, deadlines |
//! | [`wal`]      | the write-ahead log: format, recovery, the writer thread |
//! | [`chat`]     | the state machine: accounts, mailboxes, commands -> effects; pure |
//! | [`raft`]     | the consensus core; pure |
//! | [`protocol`] | what is said on the wire: messages, JSON, binary, framing; pure |
//! | [`auth`]     | SHA-256, HMAC, PBKDF2, SCRAM verifiers, tokens; pure |
//! | [`sys`]      | the only `unsafe`: files, signals, terminal, clock, entropy |
//! | [`limits`]   | every bound of the program, in one place |
//! | [`mutants`]  | bugs planted to try the tests; nothing of it in a usual build |

pub mod auth;
pub mod chat;
pub mod cli;
pub mod client;
pub mod limits;
pub mod mutants;
pub mod net;
pub mod protocol;
pub mod raft;
pub mod server;
pub mod sys;
pub mod wal;
