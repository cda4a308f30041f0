//! Subcommands and flags.

use std::process::ExitCode;

/// Runs the program with the process's arguments and gives its exit code:
/// 0 success, 1 failure, 2 wrong usage.
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
