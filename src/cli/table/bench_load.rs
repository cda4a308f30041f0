//! `chatctl bench-load` in the table.

use super::row::{Flag, Runs, Subcommand, choice, number, put, switch};
use super::shared::{JSON, SERVERS, client_addresses, codec};
use crate::limits::{BENCH_CLIENTS, BENCH_PIPELINE, BODY_BYTES};

pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "bench-load",
    runs: Runs::BenchLoad,
    summary: "measure a running server under load, and check that it stores every message",
    about: "Creates accounts on a running server, sends messages between them as fast as the \
            server answers, and prints throughput and latency. Then it reads every account's \
            history and checks that each acknowledged message is there exactly once.",
    operands: &[],
    flags: FLAGS,
    variables: &[],
    settings: "",
};

const FLAGS: &[Flag] = &[
    SERVERS.sets(|v, text| put(&mut v.bench_load.servers, client_addresses(text))),
    number("clients", "N", 1, BENCH_CLIENTS as u64)
        .sets(|v, text| put(&mut v.bench_load.clients, text.parse()))
        .help("Number of clients; each sends to the next one.")
        .more(
            "A single client sends to a second one that sends nothing. The server limits the \
             logins from one address: see --logins-per-minute and --max-sessions-per-address of \
             chatctl serve. If the server refuses a login, this command waits and tries again.",
        )
        .default("64"),
    number("pipeline", "N", 1, BENCH_PIPELINE as u64)
        .sets(|v, text| put(&mut v.bench_load.pipeline, text.parse()))
        .help("Number of unanswered messages that each client keeps in flight.")
        .default("32"),
    number("size", "BYTES", 1, BODY_BYTES as u64)
        .sets(|v, text| put(&mut v.bench_load.size, text.parse()))
        .help("Length of each message's text.")
        .default("128"),
    number("seconds", "N", 1, 86_400)
        .sets(|v, text| put(&mut v.bench_load.seconds, text.parse()))
        .help("Duration of the load; Ctrl-C ends it early and prints the figures so far.")
        .default("5"),
    number("messages", "N", 1, 1_000_000_000_000)
        .sets(|v, text| put(&mut v.bench_load.messages, text.parse().map(Some)))
        .help("Stop after N messages, if that happens first."),
    number("idle", "N", 0, 1_000_000)
        .sets(|v, text| put(&mut v.bench_load.idle, text.parse()))
        .help("Keep N more sessions open that only ping, as idle clients do.")
        .more(
            "Before the load, they ping every 1.5 to 2 seconds for the time of --seconds; with \
             --server-pid, the command prints how much processor time the server needs for \
             this, in percent of a core. All of them use one account: see \
             --max-sessions-per-account of chatctl serve.",
        )
        .default("0"),
    choice("protocol", "CODEC", &["binary", "json"])
        .sets(|v, text| put(&mut v.bench_load.codec, codec(text)))
        .help("Codec to use with the server, in frames: binary or json.")
        .default("binary"),
    switch("keep")
        .sets(|v, text| put(&mut v.bench_load.keep, text.parse()))
        .help("Keep the accounts and their messages on the server.")
        .more(
            "Without this flag, the run deletes its accounts at the end. Their names consist of \
             bench- and a random number, and are never used again.",
        ),
    number("server-pid", "PID", 1, u32::MAX as u64)
        .sets(|v, text| put(&mut v.bench_load.server_pid, text.parse().map(Some)))
        .help("Measure memory and processor time of the server process PID on this machine."),
    JSON.sets(|v, text| put(&mut v.bench_load.json, text.parse())).help("Print JSON, one object."),
];
