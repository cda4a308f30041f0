//! `chatctl status` in the table.

use super::row::{FLAG, Flag, Kind, Runs, Subcommand, put};
use super::shared::{CONFIG, JSON, OPERATED, PEERS, SECRET};

/// Its row.
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
        Flag {
            name: "timeout-ms",
            kind: Kind::Number { min: 1, max: 3_600_000 },
            value: "MS",
            set: |v, text| put(&mut v.target.timeout_ms, text.parse()),
            help: "Timeout for an answer.",
            default: Some("2000"),
            ..FLAG
        },
        Flag {
            name: "watch",
            kind: Kind::Number { min: 1, max: 86_400 },
            value: "SECONDS",
            set: |v, text| put(&mut v.status.watch, text.parse().map(Some)),
            help: "Repeat every SECONDS until Ctrl-C.",
            config: false,
            ..FLAG
        },
        Flag { set: |v, text| put(&mut v.status.json, text.parse()), ..JSON },
    ],
    variables: &[],
    settings: "",
};
