//! `chatctl serve` in the table.

use super::{CONFIG, FLAG, Flag, Kind, Subcommand};
use crate::cli::serve;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "serve",
    summary: "run a chat server",
    about: "Runs a chat server on a data directory until SIGINT or SIGTERM. Every change is on \
            the disk before its reply leaves.",
    operands: &[],
    flags: FLAGS,
    variables: &[],
    settings: "",
    run: serve::run,
};

const FLAGS: &[Flag] = &[
    Flag {
        name: "listen",
        value: "ADDRESS",
        help: "Accept clients at ADDRESS: HOST[:PORT], :PORT for all interfaces, or unix:PATH; the port is 7262 unless given.",
        more: "Of a name, every address; of all interfaces, IPv6 and IPv4. What is not there yet is \
               waited for. There is no encryption: listening elsewhere than on a loopback address \
               is said in a warning line.",
        default: Some("127.0.0.1:7262"),
        repeatable: true,
        ..FLAG
    },
    Flag {
        name: "data-dir",
        value: "DIR",
        help: "Keep everything in DIR, which is made with mode 0700 if it is not there.",
        more: "One server at a time can use a directory.",
        default: Some("./chatctl-data"),
        ..FLAG
    },
    CONFIG,
    Flag {
        name: "password-iterations",
        kind: Kind::Number { min: 1, max: 10_000_000 },
        value: "N",
        help: "PBKDF2 iterations of password verifiers made from now on.",
        more: "RFC 7677 asks for at least 4096. Verifiers that are already stored keep theirs.",
        default: Some("100000"),
        ..FLAG
    },
    Flag {
        name: "token-days",
        kind: Kind::Number { min: 1, max: 3650 },
        value: "DAYS",
        help: "How long a token for resuming a session is good.",
        default: Some("7"),
        ..FLAG
    },
    Flag {
        name: "idle-timeout",
        kind: Kind::Number { min: 1, max: 31_536_000 },
        value: "SECONDS",
        help: "Close a connection that has sent nothing for this long.",
        default: Some("600"),
        ..FLAG
    },
    Flag {
        name: "login-timeout",
        kind: Kind::Number { min: 1, max: 86_400 },
        value: "SECONDS",
        help: "Close a connection that has not logged in for this long.",
        default: Some("60"),
        ..FLAG
    },
    Flag {
        name: "segment-mib",
        kind: Kind::Number { min: 1, max: 1024 },
        value: "MIB",
        help: "Size of the log segments made from now on, in mebibytes.",
        more: "Segments are preallocated, and one spare is always kept ready: a new data directory \
               takes twice this much of the disk.",
        default: Some("64"),
        ..FLAG
    },
    Flag {
        name: "max-connections",
        kind: Kind::Number { min: 1, max: 1_000_000 },
        value: "N",
        help: "Maximum number of connections.",
        more: "At the limit, a new connection takes the place of the oldest one that has not logged \
               in, of the address that has most of those. While all are logged in, new ones wait. \
               The limit on open files is raised as far as the system allows.",
        default: Some("10000"),
        ..FLAG
    },
    Flag {
        name: "max-sessions-per-address",
        kind: Kind::Number { min: 1, max: 1_000_000 },
        value: "N",
        help: "Maximum number of logged-in connections of one address.",
        more: "An IPv6 /64 counts as one address, and all Unix sockets together count as one. Further \
               logins are refused with rate-limited.",
        default: Some("1000"),
        ..FLAG
    },
    Flag {
        name: "max-unauthenticated-per-address",
        kind: Kind::Number { min: 1, max: 1_000_000 },
        value: "N",
        help: "Maximum number of connections of one address that have not logged in.",
        more: "At the limit, a new connection takes the place of the oldest of them.",
        default: Some("1000"),
        ..FLAG
    },
    Flag {
        name: "max-sessions-per-account",
        kind: Kind::Number { min: 1, max: 1_000_000 },
        value: "N",
        help: "Maximum number of sessions of one account.",
        more: "At the limit, a login with the password ends the session that was silent for longest, \
               and resuming with a token is refused with rate-limited.",
        default: Some("100"),
        ..FLAG
    },
    Flag {
        name: "logins-per-minute",
        kind: Kind::Number { min: 0, max: 1_000_000 },
        value: "N",
        help: "Maximum number of password checks a minute for one address, 0 for any number.",
        more: "Further logins are refused with rate-limited. See SECURITY CONSIDERATIONS.",
        default: Some("60"),
        ..FLAG
    },
    Flag {
        name: "id",
        value: "NAME",
        help: "This server's name in its cluster: a-z, 0-9, '.', '_', '-', 32 at most.",
        more: "A data directory belongs to one name. Without --cluster the name is lone, or what \
               the directory says.",
        ..FLAG
    },
    Flag {
        name: "cluster",
        value: "NAME=HOST[:PORT],...",
        help: "All servers of the cluster, where each listens for the others: the same list for \
               every server.",
        more: "It counts until the cluster is formed; from then on the log says which servers there \
               are. See CLUSTERS.",
        ..FLAG
    },
    Flag {
        name: "cluster-secret-file",
        value: "FILE",
        help: "The cluster's secret, the same for every server; mode 0600 is insisted on.",
        ..FLAG
    },
    Flag {
        name: "new-secret",
        value: "FILE",
        help: "Make a new secret in FILE, which must not be there yet, and do nothing else.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "advertise",
        value: "HOST[:PORT]",
        help: "Where clients are sent to reach this server, when it is PRIMARY.",
        more: "The default is the first address it listens at.",
        ..FLAG
    },
    Flag {
        name: "election-timeout-ms",
        kind: Kind::Number { min: 30, max: 60_000 },
        value: "MS",
        help: "The shortest silence of the PRIMARY after which another server stands for election.",
        more: "Each wait is drawn from this to its double. It must be three heartbeats or more.",
        default: Some("500"),
        ..FLAG
    },
    Flag {
        name: "heartbeat-ms",
        kind: Kind::Number { min: 1, max: 10_000 },
        value: "MS",
        help: "How often the PRIMARY says that it lives.",
        default: Some("100"),
        ..FLAG
    },
    Flag {
        name: "read-only-after-ms",
        kind: Kind::Number { min: 0, max: 3_600_000 },
        value: "MS",
        help: "How long requests are held while no server is PRIMARY, before history is served \
               read-only.",
        default: Some("2000"),
        ..FLAG
    },
    Flag {
        name: "no-read-only-logins",
        kind: Kind::Switch,
        help: "Refuse logins while no majority of the servers is reachable.",
        more: "Without this flag, a server without a majority lets people log in to read, and says \
               that its passwords and accounts may be out of date: a password changed, or an account \
               deleted, where the majority is, still works here. Sessions that exist go on.",
        ..FLAG
    },
    Flag {
        name: "trace",
        kind: Kind::Choice(&["error", "warning", "info", "debug"]),
        value: "LEVEL",
        help: "What is told on standard error: lines of this level and those that matter more.",
        more: "Lines that repeat are folded, except at debug. See TRACES.",
        default: Some("info"),
        ..FLAG
    },
];
