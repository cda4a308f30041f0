//! `chatctl completions`: scripts for shells, generated from the table, that complete subcommands,
//! flags, and values of which something is known.

mod bash;
mod fish;
mod hint;
mod zsh;

use super::values::Shell;

/// The script for a shell.
pub fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash::script(),
        Shell::Zsh => zsh::script(),
        Shell::Fish => fish::script(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::SUBCOMMANDS;

    #[test]
    fn every_subcommand_and_flag_is_in_every_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            for subcommand in SUBCOMMANDS {
                assert!(script.contains(subcommand.name), "{shell:?}: {}", subcommand.name);
                for flag in subcommand.all_flags() {
                    let written = match shell {
                        Shell::Fish => format!("-l {}", flag.name),
                        _ => format!("--{}", flag.name),
                    };
                    assert!(script.contains(&written), "{shell:?}: {written}");
                }
            }
        }
    }
}
