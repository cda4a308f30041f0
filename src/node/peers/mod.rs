//! What servers, and operators' commands, say to a server at its peers' port, and who of them is
//! connected.
//!
//! | file          | what it has |
//! | ---           | --- |
//! | [`wire`], [`bytes`] | what is said, as values and bytes |
//! | [`handshake`] | both sides prove the cluster's secret |
//! | [`session`]   | the sequence number and the code around every later frame |
//! | [`boots`]     | whether another server's data directory is an old copy |
//! | [`mesh`]      | the connections: who dials whom, when again, who is up |
//! | [`change`]    | what an operator may ask to be changed of the members |
//! | [`reason`]    | why a connection is refused or closed |

pub mod boots;
mod bytes;
pub mod change;
pub mod handshake;
pub mod mesh;
pub mod reason;
pub mod session;
pub mod wire;
