//! `chatctl members` in the table.

use super::row::{Operand, Runs, Subcommand, number, put};
use super::shared::{CONFIG, JSON, OPERATED, PEERS, SECRET};
use crate::node::peers::change::Verb;

pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "members",
    runs: Runs::Members,
    summary: "list, add, remove and replace the servers of a cluster",
    about: "Lists the servers of a cluster, adds or removes one, or replaces one that lost its \
            data directory. The PRIMARY writes each change to the log, one server at a time.",
    operands: &[
        Operand {
            name: "list|add|remove|replace",
            required: true,
            help: "Action to perform.",
            set: |v, text| put(&mut v.members.verb, verb(text)),
        },
        Operand {
            name: "NAME[=HOST[:PORT]]",
            required: false,
            help: "Server to add, remove or replace; add needs its address.",
            set: |v, text| put(&mut v.members.server, text.parse().map(Some)),
        },
    ],
    flags: &[
        OPERATED,
        PEERS,
        SECRET,
        CONFIG,
        number("timeout-ms", "MS", 1, 3_600_000)
            .sets(|v, text| put(&mut v.target.timeout_ms, text.parse()))
            .help("Timeout of the command.")
            .default("10000"),
        JSON.sets(|v, text| put(&mut v.members.json, text.parse()))
            .help("Print JSON, one object per line (only with list)."),
    ],
    variables: &[],
    settings: "",
};

/// The change that an action makes; `list` makes none.
fn verb(action: &str) -> Result<Option<Verb>, String> {
    match action {
        "list" => Ok(None),
        "add" => Ok(Some(Verb::Add)),
        "remove" => Ok(Some(Verb::Remove)),
        "replace" => Ok(Some(Verb::Replace)),
        other => {
            let other = other.escape_debug();
            Err(format!("unknown action '{other}': use list, add, remove or replace"))
        }
    }
}
