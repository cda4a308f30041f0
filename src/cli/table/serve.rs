//! `chatctl serve` in the table.

use super::row::{Flag, Runs, Subcommand, choice, number, push, put, switch, text};
use super::shared::{CONFIG, path};
use crate::node::flags::{parse_list, server_name};

pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "serve",
    runs: Runs::Serve,
    summary: "run a chat server",
    about: "Runs a chat server on a data directory until SIGINT or SIGTERM. Every change is synced \
            to disk before its reply is sent.",
    operands: &[],
    flags: FLAGS,
    variables: &[],
    settings: "",
};

const FLAGS: &[Flag] = &[
    text("listen", "ADDRESS")
        .sets(|v, text| push(&mut v.serve.options.listen, text.parse()))
        .help(
            "Accept clients at ADDRESS: HOST[:PORT], :PORT for all interfaces, or unix:PATH; the \
             port is 7262 unless given.",
        )
        .more(
            "With a name, the server listens at all addresses of this name; with :PORT, it \
             listens on IPv6 and IPv4. It waits for addresses that do not exist yet. Connections \
             are not encrypted, so it warns about each address that is not loopback.",
        )
        .default("127.0.0.1:7262")
        .repeatable(),
    text("data-dir", "DIR")
        .sets(|v, text| put(&mut v.serve.options.data_dir, path(&v.home, text)))
        .help("Data directory; created with mode 0700 if missing.")
        .more("Only one server at a time can use a directory.")
        .default("./chatctl-data"),
    CONFIG,
    number("password-iterations", "N", 1, 10_000_000)
        .sets(|v, text| put(&mut v.serve.options.password_iterations, text.parse()))
        .help("PBKDF2 iterations of new password verifiers.")
        .more("RFC 7677 requires at least 4096. Stored verifiers are not changed.")
        .default("100000"),
    number("token-days", "DAYS", 1, 3650)
        .sets(|v, text| put(&mut v.serve.options.token_days, text.parse()))
        .help("How long a token for resuming a session is valid.")
        .default("7"),
    number("idle-timeout", "SECONDS", 1, 31_536_000)
        .sets(|v, text| {
            put(&mut v.serve.options.idle_timeout_ms, text.parse().map(|s: u64| s * 1000))
        })
        .help("Close a connection that sends nothing for this long.")
        .default("600"),
    number("login-timeout", "SECONDS", 1, 86_400)
        .sets(|v, text| {
            put(&mut v.serve.options.login_timeout_ms, text.parse().map(|s: u64| s * 1000))
        })
        .help("Close a connection that does not log in within this time.")
        .default("60"),
    number("segment-mib", "MIB", 1, 1024)
        .sets(|v, text| put(&mut v.serve.options.segment_mib, text.parse()))
        .help("Size of new log segments, in mebibytes.")
        .more(
            "Segments are preallocated, and there is always a spare one: a new data directory \
             uses twice this size.",
        )
        .default("64"),
    number("max-connections", "N", 1, 1_000_000)
        .sets(|v, text| put(&mut v.serve.options.max_connections, text.parse()))
        .help("Maximum number of connections.")
        .more(
            "At the limit, the server closes a connection without login to make room for a new \
             one: the oldest of the address that has the most. If all are logged in, new \
             connections wait. The server raises its limit of open files as far as the system \
             allows.",
        )
        .default("10000"),
    number("max-sessions-per-address", "N", 1, 1_000_000)
        .sets(|v, text| put(&mut v.serve.options.max_sessions_per_address, text.parse()))
        .help("Maximum number of logged-in connections per address.")
        .more(
            "An IPv6 /64 counts as one address, and all Unix sockets together count as one. \
             Further logins are refused with rate-limited.",
        )
        .default("1000"),
    number("max-unauthenticated-per-address", "N", 1, 1_000_000)
        .sets(|v, text| put(&mut v.serve.options.max_unauthenticated_per_address, text.parse()))
        .help("Maximum number of connections without login per address.")
        .more("At the limit, a new connection replaces the oldest of them.")
        .default("1000"),
    number("max-sessions-per-account", "N", 1, 1_000_000)
        .sets(|v, text| put(&mut v.serve.options.max_sessions_per_account, text.parse()))
        .help("Maximum number of sessions per account.")
        .more(
            "At the limit, a login with the password ends the session that was idle longest, and \
             a login with a token is refused with rate-limited.",
        )
        .default("100"),
    number("logins-per-minute", "N", 0, 1_000_000)
        .sets(|v, text| put(&mut v.serve.options.logins_per_minute, text.parse()))
        .help("Maximum number of password checks per address and minute; 0 means unlimited.")
        .more("Further logins are refused with rate-limited. See SECURITY CONSIDERATIONS.")
        .default("60"),
    text("id", "NAME")
        .sets(|v, text| put(&mut v.serve.options.id, server_name(text).map(Some)))
        .help("Name of this server in its cluster: up to 32 of a-z, 0-9, '.', '_', '-'.")
        .more(
            "A data directory belongs to one name. Without --cluster, the default is the name \
             stored in the directory, or lone for a new one.",
        ),
    text("cluster", "NAME=HOST[:PORT],...")
        .sets(|v, text| put(&mut v.serve.options.cluster, parse_list(text)))
        .help(
            "All servers of the cluster and their addresses for each other; every server gets \
             the same list.",
        )
        .more(
            "Used only to form the cluster; later, the member list in the log applies. See \
             CLUSTERS.",
        ),
    text("cluster-secret-file", "FILE")
        .sets(|v, text| {
            put(&mut v.serve.options.cluster_secret_file, path(&v.home, text).map(Some))
        })
        .help("File with the cluster's secret, the same for every server; must have mode 0600."),
    text("new-secret", "FILE")
        .sets(|v, text| put(&mut v.serve.new_secret, path(&v.home, text).map(Some)))
        .help("Write a new secret to FILE, which must not exist, and exit.")
        .not_in_config(),
    text("advertise", "HOST[:PORT]")
        .sets(|v, text| put(&mut v.serve.options.advertise, text.parse().map(Some)))
        .help("Address at which clients reach this server when it is PRIMARY.")
        .more("The default is its first --listen address."),
    number("election-timeout-ms", "MS", 30, 60_000)
        .sets(|v, text| put(&mut v.serve.options.election_timeout_ms, text.parse()))
        .help(
            "Shortest time without a heartbeat of the PRIMARY before another server starts an \
             election.",
        )
        .more(
            "Each server waits a random time between this value and twice as long. The value \
             must be at least three heartbeats.",
        )
        .default("500"),
    number("heartbeat-ms", "MS", 1, 10_000)
        .sets(|v, text| put(&mut v.serve.options.heartbeat_ms, text.parse()))
        .help("Interval of the PRIMARY's heartbeats.")
        .default("100"),
    number("read-only-after-ms", "MS", 0, 3_600_000)
        .sets(|v, text| put(&mut v.serve.options.read_only_after_ms, text.parse()))
        .help("How long requests wait for a PRIMARY before the server serves history read-only.")
        .default("2000"),
    switch("no-read-only-logins")
        .sets(|v, text| put(&mut v.serve.no_read_only_logins, text.parse()))
        .help("Refuse logins while a majority of the servers is unreachable.")
        .more(
            "Without this flag, a server without a majority accepts logins to read, and warns \
             that its passwords and accounts may be out of date: a password that was changed or \
             an account that was deleted on the majority's side still works here. Existing \
             sessions continue.",
        ),
    choice("trace", "LEVEL", &["error", "warning", "info", "debug"])
        .sets(|v, text| put(&mut v.serve.options.trace, text.parse()))
        .help("Lowest level of the lines on standard error.")
        .more("Repeated lines are folded, except at debug. See TRACES.")
        .default("info"),
];
