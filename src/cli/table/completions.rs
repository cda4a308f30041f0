//! `chatctl completions` in the table.

use super::{Operand, Subcommand};
use crate::cli::completions;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "completions",
    summary: "print completions for a shell",
    about: "Prints a script that teaches a shell to complete the subcommands, flags and values of \
            chatctl. make install puts it where each shell looks for it.",
    operands: &[Operand { name: "bash|zsh|fish", required: true, help: "The shell." }],
    flags: &[],
    variables: &[],
    settings: "",
    run: completions::run,
};
