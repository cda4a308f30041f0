//! `chatctl status` in the table.

use super::{CONFIG, FLAG, Flag, Kind, Subcommand};
use crate::cli::status;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "status",
    summary: "show how the servers of a cluster are",
    about: "Asks every server of a cluster how it is and prints a row for each: role, term, how far \
            it has come, its disk. It ends with 1 when no server is PRIMARY.",
    operands: &[],
    flags: &[
        Flag {
            name: "servers",
            value: "HOST:PORT,...",
            help: "Where one server or more listen for their peers: the addresses of --cluster of \
                   chatctl serve.",
            more: "The others are asked too, as far as one of these names them.",
            default: Some("127.0.0.1:7263"),
            env: Some("CHATCTL_PEERS"),
            ..FLAG
        },
        Flag {
            name: "cluster-secret-file",
            value: "FILE",
            help: "The cluster's secret; mode 0600 is insisted on.",
            ..FLAG
        },
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
            name: "json",
            kind: Kind::Switch,
            help: "Print one JSON object a line.",
            config: false,
            ..FLAG
        },
    ],
    variables: &[],
    run: status::run,
};
