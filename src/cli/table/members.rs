//! `chatctl members` in the table.

use super::{CONFIG, FLAG, Flag, Kind, OPERATED, Operand, PEERS, SECRET, Subcommand};
use crate::cli::members;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "members",
    summary: "show and change which servers a cluster has",
    about: "Shows which servers a cluster has, lets one in or takes one out, or puts a new data \
            directory in the place of a lost one. The PRIMARY does it, one server at a time, through \
            the log.",
    operands: &[
        Operand { name: "list|add|remove|replace", required: true, help: "What is to be done." },
        Operand {
            name: "NAME[=HOST[:PORT]]",
            required: false,
            help: "The server that is added (where the others reach it must be given), removed or \
                   replaced.",
        },
    ],
    flags: &[
        OPERATED,
        PEERS,
        SECRET,
        CONFIG,
        Flag {
            name: "timeout-ms",
            kind: Kind::Number { min: 1, max: 3_600_000 },
            value: "MS",
            help: "How long all of it may take.",
            default: Some("10000"),
            ..FLAG
        },
        Flag {
            name: "json",
            kind: Kind::Switch,
            help: "Print one JSON object a line: for list.",
            config: false,
            ..FLAG
        },
    ],
    variables: &[],
    settings: "",
    run: members::run,
};
