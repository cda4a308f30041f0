//! `chatctl bench-load` in the table.

use super::{FLAG, Flag, Kind, Subcommand};
use crate::cli::bench_load;
use crate::limits::{BENCH_CLIENTS, BENCH_PIPELINE, BODY_BYTES};

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "bench-load",
    summary: "measure a running server under load, and check that it keeps everything",
    about: "Makes accounts on a running server, sends messages between them as fast as it answers, \
            and prints how many were acknowledged and delivered a second and how long that took. \
            Then it reads every account's history and checks that each acknowledged message is \
            there exactly once.",
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
        help: "The servers to try in turn, separated by commas: HOST[:PORT] or unix:PATH; the port is 7262 unless given.",
        default: Some("127.0.0.1:7262"),
        env: Some("CHATCTL_SERVERS"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "clients",
        kind: Kind::Number { min: 1, max: BENCH_CLIENTS as u64 },
        value: "N",
        help: "How many clients send, each to the next one.",
        more: "A lone one sends to a second, silent one. A server limits how many passwords it \
               hashes for one address: see --logins-per-minute and --max-sessions-per-address of \
               chatctl serve; this command waits when it is told to.",
        default: Some("64"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "pipeline",
        kind: Kind::Number { min: 1, max: BENCH_PIPELINE as u64 },
        value: "N",
        help: "How many unanswered sends each client keeps in flight.",
        default: Some("32"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "size",
        kind: Kind::Number { min: 1, max: BODY_BYTES as u64 },
        value: "BYTES",
        help: "How long the text of each message is.",
        default: Some("128"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "seconds",
        kind: Kind::Number { min: 1, max: 86_400 },
        value: "N",
        help: "How long to send; Ctrl-C ends it early, with the figures so far.",
        default: Some("5"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "messages",
        kind: Kind::Number { min: 1, max: 1_000_000_000_000 },
        value: "N",
        help: "Stop after N messages, if that comes first.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "idle",
        kind: Kind::Number { min: 0, max: 1_000_000 },
        value: "N",
        help: "Keep N further sessions open that do nothing but ping, as idle clients do.",
        more: "They ping before the load, every 1.5 to 2 seconds, for as long as --seconds says; \
               with --server-pid that prints the server's processor time as percent of a core.",
        default: Some("0"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "protocol",
        kind: Kind::Choice(&["binary", "json"]),
        value: "CODEC",
        help: "What to speak with the server: binary or json, in frames.",
        default: Some("binary"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "keep",
        kind: Kind::Switch,
        help: "Leave the accounts and their messages on the server.",
        more: "Otherwise the accounts that this run has made are deleted at its end. Their names \
               are bench- and a random number, and are not given out again.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "server-pid",
        kind: Kind::Number { min: 1, max: u32::MAX as u64 },
        value: "PID",
        help: "Measure the memory and the processor time of this process, the server on this \
               machine.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "json",
        kind: Kind::Switch,
        help: "Print one JSON object.",
        config: false,
        ..FLAG
    },
];
