//! `chatctl status` in the table.

use super::{CONFIG, FLAG, Flag, Kind, OPERATED, PEERS, SECRET, Subcommand};
use crate::cli::status;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "status",
    summary: "show how the servers of a cluster are",
    about: "Asks every server of a cluster how it is and prints a row for each: role, term, how far \
            it has come, its disk. It ends with 1 when no server is PRIMARY.",
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
            help: "How long an answer is waited for.",
            default: Some("2000"),
            ..FLAG
        },
        Flag {
            name: "watch",
            kind: Kind::Number { min: 1, max: 86_400 },
            value: "SECONDS",
            help: "Show it again every SECONDS, until Ctrl-C.",
            config: false,
            ..FLAG
        },
        Flag {
            name: "json",
            kind: Kind::Switch,
            help: "Print one JSON object a line.",
            config: false,
            ..FLAG
        },
    ],
    variables: &[],
    settings: "",
    run: status::run,
};
