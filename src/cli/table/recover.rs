//! `chatctl recover` in the table.

use super::{FLAG, Flag, Kind, Operand, Subcommand};
use crate::cli::recover;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "recover",
    summary: "make a new cluster of one server from a lost cluster's data directory",
    about: "For use when the majority of a cluster is lost for good. Prints what may be lost, asks \
            for confirmation, and makes a new cluster of one server from a data directory. The old \
            directory is kept. Stop the server first.",
    operands: &[Operand {
        name: "DIR",
        required: true,
        help: "Data directory of the server with the most entries.",
    }],
    flags: &[
        Flag {
            name: "force",
            kind: Kind::Switch,
            help: "Confirm that the other servers are lost for good; without this flag, nothing is \
                   changed.",
            config: false,
            ..FLAG
        },
        Flag {
            name: "yes",
            kind: Kind::Switch,
            help: "Do not ask for confirmation, for scripts.",
            config: false,
            ..FLAG
        },
    ],
    variables: &[],
    settings: "",
    run: recover::run,
};
