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
pub const PAGE_BYTES: usize = 256 << 10;
/// Message ids of one sender that are surely recognised when they come again. Older ones: `id-expired`,
/// where the request's `seq` shows that the first attempt may be older than what is known.
pub const ID_WINDOW: usize = 10_000;
/// Most messages that one `delete_msgs` deletes (ids are unique only for each sender, so one id may
/// mean several). Past it the oldest go, and asking again deletes the next.
pub const DELETE_TARGETS: usize = 4_000;
/// Accounts that one session watches. Past it: `too-long`.
pub const WATCHED_NAMES: usize = 200;
/// How long comings and goings are gathered before those who watch are told, milliseconds.
pub const PRESENCE_MS: u64 = 1_000;
/// Pushes about comings and goings in one turn. Past it the others follow in the next.
pub const TURN_PRESENCE: usize = 500;
/// Longest pattern of `list` and `who`, bytes. Past it: `bad-pattern`.
pub const PATTERN_BYTES: usize = 255;
/// Most names that one page of `list` or `who` looks at. Past it the page ends early, with a cursor.
pub const LIST_SCAN: usize = 5_000;
/// Units of work (about a nanosecond each) after which a page of `list` or `who` ends early, with a
/// cursor: a pattern may take a thousand steps for each name.
pub const LIST_WORK: u64 = 250_000;

// The command line and the client.

/// Largest configuration file, bytes. Past it: a usage error.
pub const CONFIG_FILE_BYTES: usize = 1 << 20;
/// Bytes of output that `dump-log` gathers before it writes.
pub const DUMP_BUFFER_BYTES: usize = 1 << 16;
/// How long `dump-log --follow` waits at most before it looks at the log again, milliseconds: for
/// file systems that do not tell of changes. Others tell at once.
pub const FOLLOW_LOOK_MS: u64 = 1_000;
/// Bytes of exported messages that `dump-log` gathers for all accounts together before it appends
/// them to their files.
pub const EXPORT_BUFFER_BYTES: usize = 8 << 20;
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
/// Own messages above the cursor that a client keeps of its outbox, for the next client. Past it the
/// older half is forgotten.
pub const OUTBOX_OWN: usize = 2 * OWN_RECENT;
/// Messages in a page of the client's `sync`.
pub const SYNC_PAGE: u16 = 500;
/// Names that a session remembers as accounts, so that sends to them need not wait for each other.
/// Past it one is forgotten (and the next send to it goes alone).
pub const KNOWN_RECEIVERS: usize = 1_000;
/// Senders of whom a chat remembers what it has shown; past it one is forgotten (and its marker is
/// moved by the next message).
pub const SHOWN_SENDERS: usize = 1_000;
/// Messages whose places a chat remembers for `/delete #SEQ`; past it the oldest is forgotten.
pub const SHOWN_PLACES: usize = 2_000;
/// Conversations that the screen lists; past it the one that was silent for longest goes.
pub const SCREEN_CONVERSATIONS: usize = LIST_PAGE;
/// Messages that the screen keeps loaded. Past it: conversations that are not looked at are let go
/// of, then the oldest messages of the one that is; they are loaded again when they are reached.
pub const SCREEN_MESSAGES: usize = 200_000;
/// Bytes of the texts that the screen keeps loaded. Past it: as for [`SCREEN_MESSAGES`].
pub const SCREEN_BYTES: usize = 64 << 20;
/// Unsent texts that the screen keeps, one a conversation; past it the oldest is given up.
pub const SCREEN_DRAFTS: usize = 100;
/// Names that the screen keeps to show who is there, to complete and to pick from; past it further
/// ones are left out (the picker's filter asks the server).
pub const SCREEN_NAMES: usize = 5_000;
/// Bytes of the file that keeps drafts, input history and muted names between two chats; past it the
/// oldest lines are left out, and then the oldest drafts.
pub const TYPED_BYTES: usize = 1 << 20;
/// Rows of what is typed that the screen shows at once; past it they scroll.
pub const SCREEN_INPUT_ROWS: usize = 8;
/// Largest screen that is drawn, columns and rows; what is beyond stays empty.
pub const SCREEN_SIDE: usize = 1_000;
/// Names that the screen keeps as muted; past it `/mute` refuses another.
pub const MUTED_NAMES: usize = 1_000;
/// Runs of the notify command that have not ended; past it a message does not start another.
pub const NOTIFY_RUNS: usize = 4;
/// Bytes of a message's text that the notify command gets; the rest is cut.
pub const NOTIFY_BYTES: usize = 4_096;
/// Bytes of a web address that terminals take as a link. A longer one is shown as text only.
pub const LINK_BYTES: usize = 2_083;
/// Pages of history that one `/search` loads at most. Past it: it stops and says so.
pub const SEARCH_PAGES: usize = 150;
/// Commands that are read ahead from a pipe before the messages among them are synced together.
pub const PIPE_BATCH: usize = 256;
/// Clients of one account that run at once with one `--state-dir`. One more waits for `--timeout` at
/// most; at a terminal it is refused, and one that only reads goes on without a place.
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
/// Most timed runs of one measurement of `bench-codec`. Past it: a usage error.
pub const BENCH_RUNS: u32 = 1_000_000;
/// Most clients of `bench-load`. Past it: a usage error.
pub const BENCH_CLIENTS: usize = 10_000;
/// Most sends that a client of `bench-load` keeps in flight. Past it: a usage error.
pub const BENCH_PIPELINE: usize = 4_096;

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
/// Highest index of an entry. A record with a higher one is refused as impossible: at a million
/// entries a second a log takes nine years to get there.
pub const WAL_INDEX: u64 = (1 << 48) - 1;
/// Highest number of a segment. A file whose name has a higher one is not a segment.
pub const WAL_SEGMENTS: u64 = 1 << 53;
/// Bytes of a segment where nothing else is asked for.
pub const WAL_SEGMENT_BYTES: u32 = 64 << 20;
/// How long the making of a spare segment rests after it has failed. Meanwhile: `disk-full`.
pub const WAL_SPARE_RETRY_MS: u64 = 1_000;
/// Segments that reading history keeps open, twice: in the loop and in the reader's thread. Past
/// it: the one that was not used for longest is closed.
pub const WAL_READ_FILES: usize = 32;
/// Most bytes between two entries that are read by one call. Past it: a call for each, which takes
/// less time than copying so much for nothing.
pub const WAL_READ_GAP_BYTES: usize = 4 << 10;
/// Most bytes that one call reads of several entries. Past it: another call.
pub const WAL_READ_BYTES: usize = 64 << 10;

// The server's connections and queues.
/// Events taken from one poll; more wait for the next turn.
pub const EVENTS: usize = 1_024;
/// Connections taken in one turn; more wait for the next.
pub const TURN_ACCEPTS: usize = 32;
/// Bytes read from one connection in one turn; more wait for the next, so that one connection does
/// not keep the others waiting.
pub const TURN_READ_BYTES: usize = 64 * 1024;
/// Connections closed in one turn; more are closed in the next.
pub const TURN_CLOSES: usize = 256;
/// Units of work done for one connection in one visit; see `server/service/budget.rs` for the unit,
/// about a nanosecond. Past it the rest of its requests stays in its input until its next visit.
pub const VISIT_WORK: u64 = 250_000;
/// Units of work that a connection may have done in every turn, on average. One that has more done
/// is served behind those that have not.
pub const SHARE_WORK: u64 = 16_000;
/// Units of work done in one turn for connections that keep to their share. Past it the others of
/// them come first in the next turn.
pub const TURN_WORK: u64 = 4_000_000;
/// Units of work done in one turn for connections that do not. Past it the others of them wait for
/// the next turn.
pub const TURN_REST_WORK: u64 = 400_000;
/// Units of work spent on applying committed entries, twice in one turn. Past it the next turn goes
/// on.
pub const TURN_APPLY_WORK: u64 = 4_000_000;
/// Bytes of entries read back in one turn for pages of history; the others come in the next, so that
/// they do not keep the others waiting. Each entry counts as [`TURN_ENTRIES_LEAST_BYTES`] at least.
pub const TURN_ENTRIES_BYTES: usize = 128 * 1024;
/// Answers for which entries are read in turn, a part for each. The others wait until one is whole:
/// what is half made takes room for nothing.
pub const READS_IN_TURN: usize = 16;
/// See [`TURN_ENTRIES_BYTES`].
pub const TURN_ENTRIES_LEAST_BYTES: usize = 1024;
/// Bytes read and thrown away in one turn from a connection that is told to go.
pub const TURN_DRAIN_BYTES: usize = 4 * 1024;
/// Bytes of a connection's requests that are held: one payload and what was read with it. At the
/// bound nothing is read until a request is taken up.
pub const INPUT_BYTES: usize = FRAME_BYTES + TURN_READ_BYTES;
/// Bytes of requests, begun and not taken up, that all connections together have. At the bound each
/// may have [`INPUT_SURE_BYTES`] all the same, the others wait, and those that have not moved for
/// [`HOLD_MS`] are closed, longest first.
pub const INPUT_TOTAL_BYTES: usize = 128 << 20;
/// Bytes of requests that a connection may have, whatever the others have.
pub const INPUT_SURE_BYTES: usize = 4 * 1024;
/// Bytes of answers that a connection may leave unread. At the bound its next request is not taken
/// up before it has read some. One answer may go over it by a page.
pub const OUTPUT_BYTES: usize = 256 * 1024;
/// Bytes that a connection may leave unread before pushes to it are left out, and `lagging` said.
pub const PUSH_BACKLOG_BYTES: usize = 256 * 1024;
/// Bytes of answers that all connections together may leave unread. At the bound no page of history
/// is read, pushes are left out, who leaves something unread has no request taken up, and those that
/// have read nothing for [`HOLD_MS`] are closed, longest first.
pub const OUTPUT_TOTAL_BYTES: usize = 128 << 20;
/// How long a connection may hold on to what all need without moving, once there is too little of it,
/// milliseconds.
pub const HOLD_MS: u64 = 5_000;
/// Sends of one connection that are proposed and not yet answered. At the bound the next waits in
/// the input.
pub const SENDS_IN_FLIGHT: u32 = 4_096;
/// Bytes of the log's next batch. At the bound sends wait in their connections' inputs until the
/// disk has taken the batch.
pub const GATHERED_BYTES: usize = 8 << 20;
/// Passwords that wait for the hashing thread. At the bound the network with most of them loses its
/// newest, which is `busy`.
pub const HASH_JOBS: usize = 256;
/// Passwords that the hashing thread has at a time: the one that it hashes, and the next. The others
/// wait in a queue for each network, where they can be dropped.
pub const HASH_JOBS_AHEAD: usize = 2;
/// Attempts to log in to one account, from networks where nobody has logged in to it before, without
/// any wait between them. Past it each has to wait for the one before, up to [`GUESS_WAIT_MS`].
pub const GUESSES: u32 = 10;
/// See [`GUESSES`].
pub const GUESS_WAIT_MS: u64 = 10_000;
/// Time after which one of these attempts is forgotten, milliseconds.
pub const GUESS_FORGIVEN_MS: u64 = 60_000;
/// Names whose attempts are counted. At the bound those at rest are forgotten; when none is, attempts
/// at further names are bounded by their networks alone.
pub const GUESSED_NAMES: usize = 65_536;
/// Networks of an account that are remembered as its owner's. Past it the one that was used least
/// recently is forgotten.
pub const KNOWN_NETWORKS: usize = 4;
/// Accounts whose networks are remembered. Past it those of the one that was added first are
/// forgotten.
pub const KNOWN_ACCOUNTS: usize = 65_536;
/// For how long failed logins, and connections closed for newcomers, are gathered into one line,
/// milliseconds.
pub const COUNTED_MS: u64 = 10_000;
/// Lines about failed logins in that time. Past it the last of them counts all other networks.
pub const COUNTED_LINES: usize = 20;
/// Networks whose failed logins are counted in that time. Past it the others are counted together.
pub const COUNTED_NETWORKS: usize = 1_024;
/// Jobs that wait for the reading thread. At the bound: `busy`.
pub const READ_JOBS: usize = 256;
/// Networks whose attempts to log in are counted. At the bound those at rest are forgotten; when
/// none is, attempts from further networks are refused.
pub const LIMITER_ADDRESSES: usize = 65_536;
/// How often a full table of networks or accounts is searched for entries to forget, milliseconds.
/// In between, those that find no room are refused.
pub const SWEEP_MS: u64 = 1_000;
/// Descriptors kept back from connections: the log's segments, threads, signals, and operators on
/// this machine.
pub const RESERVED_DESCRIPTORS: usize = 32 + LOCAL_OPERATORS;
/// Descriptors kept back for the peers' port, where there is one: peers, strangers, operators, and
/// those that have not proven the secret.
pub const PEER_DESCRIPTORS: usize =
    RAFT_VOTERS * PEER_ADDRESSES + PEER_STRANGERS + PEER_OPERATORS + 2 * PEER_UNPROVEN;
/// How long a full server waits before it tries to accept again, milliseconds.
pub const ACCEPT_AGAIN_MS: u64 = 1_000;
/// How long a connection that was closed for what it sent may go on sending, milliseconds.
pub const DRAIN_MS: u64 = 2_000;
/// How long a stop waits for clients to read their answers, milliseconds.
pub const STOP_MS: u64 = 2_000;
/// Idleness after which a mark proves that the last batch was durable, milliseconds.
pub const MARK_AFTER_MS: u64 = 50;
/// Lines for standard error that wait to be written, while nobody reads it. At the bound further ones
/// are dropped and counted.
pub const TRACE_LINES: usize = 1_024;
/// Longest line on standard error, bytes. What is longer is cut.
pub const TRACE_LINE_BYTES: usize = 4 << 10;
/// How long a server that ends waits for its last lines to be written, milliseconds.
pub const TRACE_FLUSH_MS: u64 = 500;
/// Lines of one topic that are told before others of it are folded.
pub const FOLD_FREE: u32 = 6;
/// Shortest and longest time between two lines of a topic that repeats, milliseconds; four
/// times as long each time.
pub const FOLD_FIRST_MS: u64 = 10_000;
/// See [`FOLD_FIRST_MS`].
pub const FOLD_MOST_MS: u64 = 600_000;
/// That longest time for each topic there is, milliseconds, where that is more: two
/// lines in it come to 180 an hour.
pub const FOLD_EACH_MS: u64 = 40_000;
/// Topics whose lines are folded. Further ones share a topic for each level.
pub const FOLD_TOPICS: usize = 64;
/// An fsync that takes longer than this is told, microseconds.
pub const SLOW_SYNC_US: u64 = 500_000;

/// Memory that a server of so many connections takes at most for all of them and for what is under
/// way, bytes, when every bound is met at once. What it keeps of what is stored comes on top.
pub const fn server_bytes(connections: usize) -> usize {
    // What is known of it, what it may have in any case, and an answer that is no page: 500 names.
    let each = 1024 + INPUT_SURE_BYTES + LIST_PAGE * (NAME_BYTES + 1);
    // The page that is being read, and what one turn reads, may go over a bound.
    let clients = INPUT_TOTAL_BYTES + OUTPUT_TOTAL_BYTES + PAGE_BYTES + TURN_READ_BYTES;
    let log = GATHERED_BYTES + WAL_BATCH_BYTES + RAFT_UNCOMMITTED_BYTES + RAFT_CACHE_BYTES;
    let jobs = HASH_JOBS * PASSWORD_BYTES;
    let peers = RAFT_VOTERS * (PEER_OUTPUT_BYTES + PEER_FRAME_BYTES);
    // A buffer that grows has up to twice the room that it needs.
    2 * (connections * each + clients) + log + jobs + peers
}

// The time of entries.

/// A wall clock that is set by more than this, and clocks that are further apart, are told,
/// milliseconds. An entry's time that is further ahead than this is not kept up by the next.
pub const CLOCK_STEP_MS: u64 = 1_000;
/// How near to the median of the clocks the times of entries are kept, milliseconds. Half of
/// [`CLOCK_STEP_MS`]: two servers see the median differently by what messages take, and time must not
/// go back for that.
pub const CLOCK_NEAR_MS: u64 = 500;
/// How long a step of the wall clock must last before it is followed where no median confirms it,
/// milliseconds.
pub const CLOCK_STANDS_MS: u64 = 600_000;
/// Between two looks at the clocks of a server that has nothing else to do, at most, milliseconds.
pub const CLOCK_LOOK_MS: u64 = 10_000;
/// A peer is told this server's clock at most this often, milliseconds.
pub const CLOCK_TELL_MS: u64 = 50;
/// Longest way of a peer's clock to here, with the way of what it answers, milliseconds. Past it: the
/// clock is ignored.
pub const CLOCK_TRIP_MS: u64 = 500;
/// Steps of the wall clock, and differences between clocks, are told at most this often, milliseconds.
pub const CLOCK_TELL_AGAIN_MS: u64 = 60_000;

// The consensus core.

/// Servers in one cluster, with a vote or without. More: the server does not start, and no other is
/// added.
pub const RAFT_VOTERS: usize = 9;
/// Newest term that is believed; a message of a later one is ignored. Three thousand elections a
/// second take 100,000 years to get there.
pub const RAFT_TERM: u64 = 1 << 53;
/// Newest copy of a log that is believed: it grows by two with each damage.
pub const RAFT_COPY: u64 = 1 << 53;
/// Shortest silence of the PRIMARY before a backup stands for election, ms; drawn up to its double.
pub const RAFT_ELECTION_TIMEOUT_MS: u64 = 500;
/// Between two heartbeats, ms.
pub const RAFT_HEARTBEAT_MS: u64 = 100;
/// Appends under way to one backup, unless configured. At the bound the rest waits for answers.
pub const RAFT_WINDOW: usize = 64;
/// Bytes of entries in one append, unless configured. The rest goes into the next one.
pub const RAFT_BATCH_BYTES: usize = 256 << 10;
/// Bytes of applied entries kept in memory for backups, unless configured. Past it the oldest are
/// dropped, and read from the disk for a backup that still needs them.
pub const RAFT_CACHE_BYTES: usize = 32 << 20;
/// Bytes of entries proposed and not yet committed. Past it: proposals are refused as `Full`.
pub const RAFT_UNCOMMITTED_BYTES: usize = 64 << 20;
/// Reads that wait for a round of heartbeats. Past it: reads are refused as `Full`.
pub const RAFT_READS_WAITING: usize = 65_536;
/// How long a server holds requests while no server is PRIMARY, before it serves what it has,
/// read-only, milliseconds.
pub const READ_ONLY_AFTER_MS: u64 = 2_000;

// The peers' connections.

/// Longest address of a server, as its peers and clients are told it, bytes. Longer: a usage error.
pub const PEER_ADDRESS_BYTES: usize = 255;
/// Largest frame before both sides have proven the cluster's secret, bytes. Larger: no peer, closed.
pub const PEER_HANDSHAKE_BYTES: usize = 512;
/// Starts of a data directory that it remembers, and tells. Past it the oldest is forgotten: a copy that
/// was started more often before anybody met it is not known for one.
pub const BOOTS: usize = 16;
/// Directories of which the newest start met is kept: the members, and some that were. Past it: one that
/// is no member's is forgotten.
pub const BOOTS_MET: usize = 2 * RAFT_VOTERS;
/// Bytes of a peer's frames that wait until it is saved that its start was met. At the bound its messages
/// are dropped; the core makes up for it. Of anything else: the connection is closed.
pub const PEER_HELD_BYTES: usize = 1 << 20;
/// Largest frame between peers that have, bytes: an append of as many entries as one takes, the last
/// one of the longest. Larger: closed.
pub const PEER_FRAME_BYTES: usize = 1 << 20;
/// Bytes of messages that wait for one peer to read them. At the bound further ones are dropped; the
/// core makes up for it.
pub const PEER_OUTPUT_BYTES: usize = 16 << 20;
/// Bytes read from one peer in one turn; more wait for the next.
pub const PEER_READ_BYTES: usize = 1 << 20;
/// Addresses of a name that are dialled, by servers, operators and clients. Further ones are left out
/// until the name is looked up again.
pub const PEER_ADDRESSES: usize = 8;
/// How long after the last one the next address of a name is dialled, while none has failed yet,
/// milliseconds.
pub const PEER_STAGGER_MS: u64 = 100;
/// How long after an answer a server's name is looked up again, while it is not connected,
/// milliseconds.
pub const PEER_LOOKUP_AGAIN_MS: u64 = 1_000;
/// How long a question who answers at a name waits for its look-up, milliseconds. Then it is answered
/// that this takes too long.
pub const PEER_PROBE_LOOKUP_MS: u64 = 5_000;
/// How long a look-up may take before the operator is told, milliseconds.
pub const PEER_LOOKUP_SLOW_MS: u64 = 2_000;
/// Wait before a place to listen at that is not there yet is tried again, at first and at most,
/// milliseconds; doubled each time.
pub const OPEN_FIRST_MS: u64 = 100;
/// See [`OPEN_FIRST_MS`].
pub const OPEN_MOST_MS: u64 = 2_000;
/// Names that are looked up at a time, each by a thread, which a slow look-up keeps busy for as long
/// as it takes. At the bound further names wait for a thread: so many are the names of a cluster and
/// of the addresses that its members had before.
pub const LOOKUPS: usize = 2 * RAFT_VOTERS;
/// Names that wait for that. At the bound a look-up fails at once, and is tried again later.
pub const LOOKUPS_WAITING: usize = 2 * RAFT_VOTERS;
/// How long a connection to an address of a peer may take until both sides have proven the secret,
/// milliseconds.
pub const PEER_HANDSHAKE_MS: u64 = 1_500;
/// Connections to the peers' port that have not proven the secret yet. One more: the oldest is closed.
pub const PEER_UNPROVEN: usize = 32;
/// Operators' connections at a time. One more: the oldest is closed.
pub const PEER_OPERATORS: usize = 16;
/// Operators' connections through the data directory's socket, and what is passed on for them to other
/// servers, at a time. One more: the oldest is closed.
pub const LOCAL_OPERATORS: usize = 16;
/// Servers of the same cluster that are no members by the own log, and are heard all the same, at a
/// time. One more: the oldest is closed.
pub const PEER_STRANGERS: usize = RAFT_VOTERS;
/// Wait before a peer is dialled again, at first and at most, milliseconds; doubled each time, and
/// drawn from its half up.
pub const PEER_DIAL_FIRST_MS: u64 = 20;
/// See [`PEER_DIAL_FIRST_MS`].
pub const PEER_DIAL_MOST_MS: u64 = 100;
/// How long the one that is to be dialled waits before it dials itself: it may have been removed, and
/// is not told otherwise, milliseconds.
pub const PEER_CALL_MS: u64 = 5_000;
/// Wait after a peer has refused this server, milliseconds.
pub const PEER_DIAL_REFUSED_MS: u64 = 2_000;
/// Election timeouts of silence after which a connection to a peer is taken for broken.
pub const PEER_SILENCE_TIMEOUTS: u64 = 4;
/// How long a server that forms a cluster waits for the same others before it tells so, milliseconds.
pub const FORMING_TELL_MS: u64 = 250;
/// How often a server whose cluster is not formed yet asks those that are not connected whether they
/// have one already, milliseconds.
pub const FORMING_PROBE_MS: u64 = 1_000;
/// How long a change of the members may take before the operator is told that it is not known what
/// became of it, milliseconds.
pub const CHANGE_MS: u64 = 10_000;
/// Reads for backups that have fallen behind, under way at a time. At the bound: tried again later.
pub const PEER_READS: usize = 16;
/// How long `members` waits for one server's answer before it asks the next, and before it asks again
/// where a change could not be made yet, milliseconds.
pub const MEMBERS_ASK_MS: u64 = 2_000;
/// See [`MEMBERS_ASK_MS`].
pub const MEMBERS_AGAIN_MS: u64 = 100;
/// Servers that `status` asks. Past it: a usage error, and of those that it is told of: left out.
pub const STATUS_SERVERS: usize = 32;
/// How long a connection that was refused is kept, after the reason was written, so that it arrives,
/// milliseconds.
pub const PEER_LINGER_MS: u64 = 200;
/// Largest file with a cluster's secret, bytes. Larger: it holds no secret.
pub const SECRET_FILE_BYTES: usize = 128;
