//! The program: arguments to [`chatctl::cli`], and the only exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    chatctl::cli::main()
}
