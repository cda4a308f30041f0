//! `chatctl completions`: scripts for shells, made from the table, which complete subcommands,
//! flags, and values of which something is known.

mod bash;
mod fish;
mod zsh;

use std::io::Write;

use super::error::Error;
use super::parse::{Environment, Parsed};
use super::table::{Flag, Kind, Operand, Subcommand};

/// What is known of a value or an operand.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hint {
    /// Nothing: it is not completed.
    Anything,
    /// It is the path of a file.
    File,
    /// It is the path of a directory.
    Directory,
    /// It is one of these words.
    Words(Vec<&'static str>),
}

impl Hint {
    /// What is known of the value of `flag`; a switch has none.
    fn of_flag(flag: &Flag) -> Hint {
        match flag.kind {
            Kind::Choice(words) => Hint::Words(words.to_vec()),
            _ => Hint::of_name(flag.value),
        }
    }

    /// What is known of `operand`.
    fn of_operand(operand: &Operand) -> Hint {
        Hint::of_name(operand.name)
    }

    /// What the name in usage lines tells: words with bars between them are a choice.
    fn of_name(name: &'static str) -> Hint {
        match name {
            "FILE" | "PATH" => Hint::File,
            "DIR" => Hint::Directory,
            name if name.contains('|') => Hint::Words(name.split('|').collect()),
            _ => Hint::Anything,
        }
    }
}

/// Runs `chatctl completions`.
pub fn run(parsed: &Parsed, _: Environment<'_>, out: &mut dyn Write) -> Result<u8, Error> {
    let shell = parsed.positionals().first().map(String::as_str).unwrap_or_default();
    let script = script(shell).ok_or_else(|| {
        let expected = parsed.subcommand().operands[0].name.replace('|', ", ");
        let shell = shell.escape_debug();
        parsed.wrong(format!("no completions for '{shell}'; expected one of {expected}"))
    })?;
    out.write_all(script.as_bytes())?;
    Ok(0)
}

/// The script for this shell, if there is one.
pub fn script(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash::script()),
        "zsh" => Some(zsh::script()),
        "fish" => Some(fish::script()),
        _ => None,
    }
}

/// The first sentence of a help text, without its full stop: what a shell has room for.
fn first_sentence(help: &str) -> &str {
    let sentence = help.split_once(". ").map_or(help, |(sentence, _)| sentence);
    sentence.strip_suffix('.').unwrap_or(sentence)
}

/// All ways to write a flag: its long name, and its short form.
fn spellings(flag: &Flag) -> impl Iterator<Item = String> + use<> {
    let short = flag.short.map(|short| format!("-{short}"));
    std::iter::once(format!("--{}", flag.name)).chain(short)
}

/// The spellings of all flags of a subcommand, with blanks between them.
fn spellings_of(subcommand: &Subcommand) -> String {
    subcommand.all_flags().flat_map(spellings).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::SUBCOMMANDS;

    #[test]
    fn every_subcommand_and_flag_is_in_every_script() {
        for shell in ["bash", "zsh", "fish"] {
            let script = script(shell).unwrap();
            for subcommand in SUBCOMMANDS {
                assert!(script.contains(subcommand.name), "{shell}: {}", subcommand.name);
                for flag in subcommand.all_flags() {
                    let written = match shell {
                        "fish" => format!("-l {}", flag.name),
                        _ => format!("--{}", flag.name),
                    };
                    assert!(script.contains(&written), "{shell}: {written}");
                }
            }
        }
        assert_eq!(script("csh"), None);
    }

    #[test]
    fn a_value_s_name_tells_what_it_is() {
        assert_eq!(Hint::of_name("FILE"), Hint::File);
        assert_eq!(Hint::of_name("DIR"), Hint::Directory);
        assert_eq!(Hint::of_name("HOST:PORT"), Hint::Anything);
        assert_eq!(Hint::of_name("bash|zsh"), Hint::Words(vec!["bash", "zsh"]));
    }

    #[test]
    fn the_first_sentence_ends_at_a_full_stop_before_a_blank() {
        assert_eq!(first_sentence("One. Two."), "One");
        assert_eq!(first_sentence("Keep it in ./x, here."), "Keep it in ./x, here");
    }
}
