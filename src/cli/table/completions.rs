//! `chatctl completions` in the table.

use super::{Operand, Subcommand};
use crate::cli::completions;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "completions",
    summary: "print completions for a shell",
    about: "Prints a script that lets a shell complete the subcommands, flags and values of \
            chatctl. make install installs it for each shell.",
    operands: &[Operand {
        name: "bash|zsh|fish",
        required: true,
        help: "Shell to print the script for.",
    }],
    flags: &[],
    variables: &[],
    settings: "",
    run: completions::run,
};
