//! The one integration test binary: each part's black-box tests are a module of it.

mod chat;
mod cli;
mod client;
mod cluster;
mod codec;
mod fuzz;
mod imports;
mod limits;
mod mutants;
mod peers;
mod raft;
mod server;
mod service;
mod sim;
mod soak;
mod support;
mod time;
mod wal;
