//! Every bound of the program, in one place: what it bounds, its unit, and what happens when it is
//! reached.

/// Largest payload of one frame or one JSON line, bytes. Past it: `too-long`, and the connection
/// closes, since where the next request starts is not certain.
pub const PAYLOAD_BYTES: usize = 1 << 20;
/// Longest `cmd`, bytes. Past it: `too-long`.
pub const CMD_BYTES: usize = 32;
/// Longest `src` and `to`, bytes (their length is one byte in the binary form). Past it: `too-long`.
pub const NAME_FIELD_BYTES: usize = 255;
/// Longest `body`, bytes (its length is two bytes in the binary form). Past it: `too-long`.
pub const BODY_BYTES: usize = 65_535;
/// Most message ids in one message. Past it: `too-long`.
pub const MSG_IDS: usize = 1_000;
/// Deepest nesting of a JSON value that is read. Past it: `bad-frame`.
pub const JSON_DEPTH: usize = 16;

/// Longest account name, bytes. Past it: `bad-name`.
pub const NAME_BYTES: usize = 32;
/// Longest password, bytes. Past it: `bad-password`.
pub const PASSWORD_BYTES: usize = 1_024;
/// Most names in one page of `list` and `who`, and most lines in one page of `inbox`; asked for
/// more, a page has this many.
pub const LIST_PAGE: usize = 500;
/// Most messages in one page of `history`, `sync` and `deliver`; asked for more, a page has this
/// many.
pub const HISTORY_PAGE: usize = 1_000;
/// Messages in a page of `history` and `sync` that asks for 0.
pub const HISTORY_PAGE_DEFAULT: usize = 50;
/// Bytes of message content gathered for one page; a page that reaches it ends early, with `more`.
pub const PAGE_BYTES: usize = 1 << 20;
/// Message ids of one sender that are surely recognised when they come again. Older ones: `id-expired`,
/// where the request's `seq` shows that the first attempt may be older than what is known.
pub const ID_WINDOW: usize = 10_000;

// The command line and the client.

/// Largest configuration file, bytes. Past it: a usage error.
pub const CONFIG_FILE_BYTES: usize = 1 << 20;

// The codecs and the framing.

/// Longest `msg_ids` as JSON text, bytes (its length is two bytes in the binary form). Past it:
/// `too-long`. A thousand ids of 36 bytes take 40,000.
pub const MSG_IDS_TEXT_BYTES: usize = 65_535;
/// Most bytes that one request takes in a connection's buffer: a payload, and the frame's length
/// or the line's CR LF. With that much unread, `framing::split` never asks for more.
pub const FRAME_BYTES: usize = PAYLOAD_BYTES + 4;

// Accounts and hashing.

/// Most iterations that a password's verifier may ask for: some seconds of hashing. A verifier with
/// more is refused as malformed, so that none can stall the logins.
pub const VERIFIER_ITERATIONS: u32 = 10_000_000;
/// Longest token for `resume`, bytes. Past it: `bad-token`.
pub const TOKEN_BYTES: usize = 128;

// The log.

// The server's connections and queues.
