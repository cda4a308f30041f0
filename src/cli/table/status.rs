//! `chatctl status` in the table.

use super::row::{Runs, Subcommand, number, put};
use super::shared::{CONFIG, JSON, OPERATED, PEERS, SECRET};

pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "status",
    runs: Runs::Status,
    summary: "show the status of the servers of a cluster",
    about: "Asks every server of a cluster for its status and prints a row for each: role, term, \
            progress, disk. The exit status is 1 if no server is PRIMARY.",
    operands: &[],
    flags: &[
        OPERATED,
        PEERS,
        SECRET,
        CONFIG,
        number("timeout-ms", "MS", 1, 3_600_000)
            .sets(|v, text| put(&mut v.target.timeout_ms, text.parse()))
            .help("Timeout for an answer.")
            .default("2000"),
        number("watch", "SECONDS", 1, 86_400)
            .sets(|v, text| put(&mut v.status.watch, text.parse().map(Some)))
            .help("Repeat every SECONDS until Ctrl-C.")
            .not_in_config(),
        JSON.sets(|v, text| put(&mut v.status.json, text.parse())),
    ],
    variables: &[],
    settings: "",
};
