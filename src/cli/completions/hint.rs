//! What a shell is told of a flag, its value or an operand.

use crate::cli::table::row::{Flag, Kind, Operand, Subcommand};

/// What is known of a value or an operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Nothing: it is not completed.
    Anything,
    File,
    Directory,
    Words(Vec<&'static str>),
}

impl Hint {
    /// What is known of the value of `flag`; a switch has none.
    pub fn of_flag(flag: &Flag) -> Hint {
        match flag.kind {
            Kind::Choice(words) => Hint::Words(words.to_vec()),
            _ => Hint::of_name(flag.value),
        }
    }

    pub fn of_operand(operand: &Operand) -> Hint {
        Hint::of_name(operand.name)
    }

    /// What the name in usage lines tells: words with bars between them are a choice.
    pub fn of_name(name: &'static str) -> Hint {
        match name {
            "FILE" | "PATH" => Hint::File,
            "DIR" => Hint::Directory,
            name if name.contains('|') => Hint::Words(name.split('|').collect()),
            _ => Hint::Anything,
        }
    }
}

/// The first sentence of a help text, without its full stop: what a shell has room for.
pub fn first_sentence(help: &str) -> &str {
    let sentence = help.split_once(". ").map_or(help, |(sentence, _)| sentence);
    sentence.strip_suffix('.').unwrap_or(sentence)
}

/// All ways to write a flag: its long name, and its short form.
pub fn spellings(flag: &Flag) -> impl Iterator<Item = String> + use<> {
    let short = flag.short.map(|short| format!("-{short}"));
    std::iter::once(format!("--{}", flag.name)).chain(short)
}

/// The spellings of all flags of a subcommand, with blanks between them.
pub fn spellings_of(subcommand: &Subcommand) -> String {
    subcommand.all_flags().flat_map(spellings).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
