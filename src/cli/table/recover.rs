//! `chatctl recover` in the table.

use super::{FLAG, Flag, Kind, Operand, Subcommand};
use crate::cli::recover;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "recover",
    summary: "make a server that is alone of what one server of a lost cluster has",
    about: "For the day when the majority of a cluster is gone for good. Says what may be lost, \
            asks, and makes a new cluster of one server from a data directory, which is kept. The \
            server must not run.",
    operands: &[Operand {
        name: "DIR",
        required: true,
        help: "The data directory of the server that has most.",
    }],
    flags: &[
        Flag {
            name: "force",
            kind: Kind::Switch,
            help: "Yes, the others are gone for good; without it nothing is done.",
            config: false,
            ..FLAG
        },
        Flag {
            name: "yes",
            kind: Kind::Switch,
            help: "Do not ask: for scripts.",
            config: false,
            ..FLAG
        },
    ],
    variables: &[],
    settings: "",
    run: recover::run,
};
