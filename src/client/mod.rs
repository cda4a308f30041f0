//! The client: the session (sans-I/O), its outbox on disk, the line editor, and the terminal.
//!
//! | module        | what it is |
//! | ---           | --- |
//! | [`session`]   | what is said to which server and when; pure |
//! | [`store`]     | the files: outbox, cursor, token, drafts; over a disk that may be simulated |
//! | [`agent`]     | a session and its outbox: what is durable before what is said; pure |
//! | [`editor`]    | the typed line; pure |
//! | [`commands`]  | the table of commands |
//! | [`printer`], [`dates`] | events as lines of text or JSON |
//! | `line`        | the chat: commands in, printed events out |
//! | [`screen`]    | the full screen; pure |
//! | [`shell`]     | sockets, clock, terminal, pipes: the loops, which move bytes |
//! | [`show`], [`cluster`], [`width`] | what makes others' text harmless; its clusters and columns |

pub mod agent;
pub mod cluster;
pub(crate) mod commands;
mod dates;
pub mod editor;
mod line;
mod options;
pub(crate) mod printer;
pub mod screen;
pub mod session;
pub mod shell;
pub mod show;
pub mod store;
pub mod width;

pub use options::{Action, Error, Notify, Options, PasswordFrom, ScreenOptions};
pub use shell::run;
