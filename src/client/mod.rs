//! The client: the session (sans-I/O), its outbox on disk, the line editor, and the terminal.
//!
//! | module        | what it is |
//! | ---           | --- |
//! | [`session`]   | what is said to which server and when; pure |
//! | [`store`]     | outbox, cursor and token on disk |
//! | `transport`, `dialer` | a socket; how it comes to its address |
//! | `driver`      | a session with its sockets, clock and files |
//! | [`editor`]    | the typed line; pure |
//! | [`commands`]  | the table of commands |
//! | [`printer`]   | events as lines of text or JSON |
//! | `line`        | the chat: commands in, printed events out |
//! | [`screen`]    | the full screen; pure |
//! | `hook`        | the user's command for new messages |
//! | `run`, [`fullscreen`] | the loops at a terminal: lines, the screen |
//! | `pipe`, `oneshot` | the loops with pipes, and for a single thing |
//! | [`show`], [`cluster`], [`width`] | what makes others' text harmless; its clusters and columns |

pub mod cluster;
pub mod commands;
mod dialer;
mod driver;
pub mod editor;
pub mod fullscreen;
mod hook;
mod line;
mod oneshot;
mod options;
mod password;
mod pipe;
pub mod printer;
mod run;
pub mod screen;
pub mod session;
pub mod show;
pub mod store;
mod transport;
pub mod width;

pub use options::{Action, Error, Notify, Options, PasswordFrom, ScreenOptions};
pub use run::run;
