//! `chatctl recover` in the table.

use super::row::{Operand, Runs, Subcommand, put, switch};

pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "recover",
    runs: Runs::Recover,
    summary: "make a new cluster of one server from a lost cluster's data directory",
    about: "For use when the majority of a cluster is lost for good. Prints what may be lost, asks \
            for confirmation, and makes a new cluster of one server from a data directory. The old \
            directory is kept. Stop the server first.",
    operands: &[Operand {
        name: "DIR",
        required: true,
        help: "Data directory of the server with the most entries.",
        set: |v, text| put(&mut v.recover.path, text.parse()),
    }],
    flags: &[
        switch("force").sets(|v, text| put(&mut v.recover.force, text.parse())).help(
            "Confirm that the other servers are lost for good; without this flag, nothing is \
             changed.",
        ),
        switch("yes")
            .sets(|v, text| put(&mut v.recover.yes, text.parse()))
            .help("Do not ask for confirmation, for scripts."),
    ],
    variables: &[],
    settings: "",
};
