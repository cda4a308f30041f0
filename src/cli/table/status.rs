//! `chatctl status` in the table.

use super::{CONFIG, FLAG, Flag, Kind, OPERATED, PEERS, SECRET, Subcommand};
use crate::cli::status;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "status",
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
            help: "Timeout for an answer.",
            default: Some("2000"),
            ..FLAG
        },
        Flag {
            name: "watch",
            kind: Kind::Number { min: 1, max: 86_400 },
            value: "SECONDS",
            help: "Repeat every SECONDS until Ctrl-C.",
            config: false,
            ..FLAG
        },
        Flag {
            name: "json",
            kind: Kind::Switch,
            help: "Print JSON, one object per line.",
            config: false,
            ..FLAG
        },
    ],
    variables: &[],
    settings: "",
    run: status::run,
};
