//! `chatctl members` in the table.

use super::{CONFIG, FLAG, Flag, Kind, OPERATED, Operand, PEERS, SECRET, Subcommand};
use crate::cli::members;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "members",
    summary: "list, add, remove and replace the servers of a cluster",
    about: "Lists the servers of a cluster, adds or removes one, or replaces one that lost its \
            data directory. The PRIMARY writes each change to the log, one server at a time.",
    operands: &[
        Operand { name: "list|add|remove|replace", required: true, help: "Action to perform." },
        Operand {
            name: "NAME[=HOST[:PORT]]",
            required: false,
            help: "Server to add, remove or replace; add needs its address.",
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
            help: "Timeout of the command.",
            default: Some("10000"),
            ..FLAG
        },
        Flag {
            name: "json",
            kind: Kind::Switch,
            help: "Print JSON, one object per line (only with list).",
            config: false,
            ..FLAG
        },
    ],
    variables: &[],
    settings: "",
    run: members::run,
};
