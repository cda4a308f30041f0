//! `chatctl completions` in the table.

use super::row::{Operand, Runs, Subcommand, put};

pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "completions",
    runs: Runs::Completions,
    summary: "print completions for a shell",
    about: "Prints a script that lets a shell complete the subcommands, flags and values of \
            chatctl. make install installs it for each shell.",
    operands: &[Operand {
        name: "bash|zsh|fish",
        required: true,
        help: "Shell to print the script for.",
        set: |v, text| put(&mut v.completions.shell, text.parse()),
    }],
    flags: &[],
    variables: &[],
    settings: "",
};
