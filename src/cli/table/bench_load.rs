//! `chatctl bench-load` in the table.

use super::{FLAG, Flag, Kind, Subcommand};
use crate::cli::bench_load;
use crate::limits::{BENCH_CLIENTS, BENCH_PIPELINE, BODY_BYTES};

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "bench-load",
    summary: "measure a running server under load, and check that it stores every message",
    about: "Creates accounts on a running server, sends messages between them as fast as the \
            server answers, and prints throughput and latency. Then it reads every account's \
            history and checks that each acknowledged message is there exactly once.",
    operands: &[],
    flags: FLAGS,
    variables: &[],
    settings: "",
    run: bench_load::run,
};

const FLAGS: &[Flag] = &[
    Flag {
        name: "servers",
        value: "ADDRESS,...",
        help: "Servers to try in turn, separated by commas: HOST[:PORT] or unix:PATH; the default \
               port is 7262.",
        default: Some("127.0.0.1:7262"),
        env: Some("CHATCTL_SERVERS"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "clients",
        kind: Kind::Number { min: 1, max: BENCH_CLIENTS as u64 },
        value: "N",
        help: "Number of clients; each sends to the next one.",
        more: "A single client sends to a second one that sends nothing. The server limits the \
               logins from one address: see --logins-per-minute and --max-sessions-per-address of \
               chatctl serve. If the server refuses a login, this command waits and tries again.",
        default: Some("64"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "pipeline",
        kind: Kind::Number { min: 1, max: BENCH_PIPELINE as u64 },
        value: "N",
        help: "Number of unanswered messages that each client keeps in flight.",
        default: Some("32"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "size",
        kind: Kind::Number { min: 1, max: BODY_BYTES as u64 },
        value: "BYTES",
        help: "Length of each message's text.",
        default: Some("128"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "seconds",
        kind: Kind::Number { min: 1, max: 86_400 },
        value: "N",
        help: "Duration of the load; Ctrl-C ends it early and prints the figures so far.",
        default: Some("5"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "messages",
        kind: Kind::Number { min: 1, max: 1_000_000_000_000 },
        value: "N",
        help: "Stop after N messages, if that happens first.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "idle",
        kind: Kind::Number { min: 0, max: 1_000_000 },
        value: "N",
        help: "Keep N more sessions open that only ping, as idle clients do.",
        more: "Before the load, they ping every 1.5 to 2 seconds for the time of --seconds; with \
               --server-pid, the command prints how much processor time the server needs for \
               this, in percent of a core. All of them use one account: see \
               --max-sessions-per-account of chatctl serve.",
        default: Some("0"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "protocol",
        kind: Kind::Choice(&["binary", "json"]),
        value: "CODEC",
        help: "Codec to use with the server, in frames: binary or json.",
        default: Some("binary"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "keep",
        kind: Kind::Switch,
        help: "Keep the accounts and their messages on the server.",
        more: "Without this flag, the run deletes its accounts at the end. Their names consist of \
               bench- and a random number, and are never used again.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "server-pid",
        kind: Kind::Number { min: 1, max: u32::MAX as u64 },
        value: "PID",
        help: "Measure memory and processor time of the server process PID on this machine.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "json",
        kind: Kind::Switch,
        help: "Print JSON, one object.",
        config: false,
        ..FLAG
    },
];
