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
/// Most messages that one `delete_msgs` deletes (ids are unique only for each sender, so one id may
/// mean several). Past it the oldest go, and asking again deletes the next.
pub const DELETE_TARGETS: usize = 4_000;
/// Longest pattern of `list` and `who`, bytes. Past it: `bad-pattern`.
pub const PATTERN_BYTES: usize = 255;
/// Most names that one page of `list` or `who` looks at. Past it the page ends early, with a cursor.
pub const LIST_SCAN: usize = 5_000;

// The command line and the client.

/// Largest configuration file, bytes. Past it: a usage error.
pub const CONFIG_FILE_BYTES: usize = 1 << 20;
/// Messages that wait in a client's outbox. Past it: a message is refused with a sentence, and input
/// that is not a terminal is left unread until there is room.
pub const OUTBOX_MESSAGES: usize = 5_000;
/// Bytes of the texts that wait in a client's outbox. Past it: as for [`OUTBOX_MESSAGES`].
pub const OUTBOX_BYTES: usize = 16 << 20;
/// Sends a client has unanswered at once; the rest wait in the outbox.
pub const SEND_WINDOW: usize = 64;
/// Bytes a client holds ready for its socket; past it nothing more is put there until some has left.
pub const CLIENT_OUTPUT_BYTES: usize = 256 << 10;
/// Requests (other than sends) that wait in a client. Past it: the user is told to wait.
pub const CLIENT_REQUESTS: usize = 64;
/// Requests (other than sends) a client has unanswered at once.
pub const REQUEST_WINDOW: usize = 8;
/// Conversations whose read marker waits to be told to the server; past it the oldest is given up
/// (the next message shown there moves the marker again).
pub const READ_MARKERS: usize = 256;
/// Own messages above the cursor that a client remembers so as not to show them again. At half, a
/// `sync` moves the cursor past them; at the bound, sends wait for that.
pub const OWN_RECENT: usize = 1_024;
/// Messages in a page of the client's `sync`.
pub const SYNC_PAGE: u16 = 500;
/// Clients of one account that run at once with one `--state-dir`; one more is refused.
pub const CLIENT_SLOTS: usize = 8;
/// An outbox file longer than this, bytes, and four times as long as what it says needs, is rewritten.
pub const OUTBOX_FILE_BYTES: u64 = 64 << 10;
/// Longest line of the line editor, and of a command read from a pipe, bytes: a text and the command
/// before it. Past it: what comes is not taken, and the user is told.
pub const LINE_BYTES: usize = BODY_BYTES + 64;
/// Lines the line editor remembers; past it the oldest is forgotten.
pub const HISTORY_LINES: usize = 200;
/// Redirects followed one after the other without a login; past it: an ordinary failure, with
/// back-off.
pub const REDIRECTS: u32 = 5;

// The codecs and the framing.

/// Longest `msg_ids` as JSON text, bytes (its length is two bytes in the binary form). Past it:
/// `too-long`. A thousand ids of 36 bytes take 40,000.
pub const MSG_IDS_TEXT_BYTES: usize = 65_535;
/// Most bytes that one request takes in a connection's buffer: a payload, and the frame's length
/// or the line's CR LF. With that much unread, `framing::split` never asks for more.
pub const FRAME_BYTES: usize = PAYLOAD_BYTES + 4;
/// Most timed runs of one measurement of `bench-codec`; asked for more, this many are made.
pub const BENCH_RUNS: u32 = 1_000_000;

// Accounts and hashing.

/// Most iterations that a password's verifier may ask for: some seconds of hashing. A verifier with
/// more is refused as malformed, so that none can stall the logins.
pub const VERIFIER_ITERATIONS: u32 = 10_000_000;
/// Longest token for `resume`, bytes. Past it: `bad-token`.
pub const TOKEN_BYTES: usize = 128;

// The log.

/// Longest payload of one entry of the log, bytes. Longer: a programmer's error, since every
/// request is bounded by far less.
pub const WAL_ENTRY_BYTES: usize = 128 << 10;
/// Most bytes of one batch, what one fsync covers. Past it: what has gathered goes in several
/// batches, one after the other.
pub const WAL_BATCH_BYTES: usize = 4 << 20;
/// Bytes of a segment where nothing else is asked for.
pub const WAL_SEGMENT_BYTES: u32 = 64 << 20;
/// How long the making of a spare segment rests after it has failed. Meanwhile: `disk-full`.
pub const WAL_SPARE_RETRY_MS: u64 = 1_000;
/// Segments that reading history keeps open, twice: in the loop and in the reader's thread. Past
/// it: the one that was not used for longest is closed.
pub const WAL_READ_FILES: usize = 32;

// The server's connections and queues.
