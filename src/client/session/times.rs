//! The session's timeouts.

/// A server that has not accepted the connection by then is passed over while others of the list are
/// untried, milliseconds; doubled each round of the list up to [`CONNECT_MS`].
pub const CONNECT_FIRST_MS: u64 = 1_500;
/// The longest wait for a connection, milliseconds.
pub const CONNECT_MS: u64 = 5_000;
/// The longest wait for a login (a password hash, perhaps an election), milliseconds.
pub const LOGIN_MS: u64 = 30_000;
/// A connection on which a reply is owed and nothing is heard for so long is closed, milliseconds.
pub const SILENCE_MS: u64 = 10_000;
/// The longest wait for a reply, even when other things are heard, milliseconds.
pub const REPLY_MS: u64 = 30_000;
/// The server is pinged when nothing is heard for so long, milliseconds; see [`PING_JITTER_MS`].
pub const PING_IDLE_MS: u64 = 2_000;
/// A ping may leave so much earlier, milliseconds.
pub const PING_JITTER_MS: u64 = 500;
/// The first wait after every server of the list has failed, milliseconds; doubled each round.
pub const BACKOFF_MS: u64 = 100;
/// The longest wait between two attempts, milliseconds.
pub const BACKOFF_MOST_MS: u64 = 5_000;
/// Once a connection has been online for so long, the back-off starts over, milliseconds.
pub const SETTLED_MS: u64 = 2_000;
/// A server that is read-only for so long is left for the next of the list, milliseconds: others may
/// have a majority that it does not reach, or it is no longer a member.
pub const READ_ONLY_MS: u64 = 10_000;
/// A message that has waited for longer is not sent unless the user says so, milliseconds: a day.
pub const OLD_MS: u64 = 24 * 60 * 60 * 1000;
