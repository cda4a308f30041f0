//! What the table consists of: subcommands with their flags, operands and variables.

use std::fmt::Display;

use crate::cli::values::Values;

#[derive(Debug)]
pub struct Subcommand {
    /// The word after `chatctl`.
    pub name: &'static str,
    pub runs: Runs,
    /// One line for the list of subcommands: lower case, no full stop.
    pub summary: &'static str,
    /// What it does, as sentences, for its own help.
    pub about: &'static str,
    /// Its arguments besides flags, in order.
    pub operands: &'static [Operand],
    /// Its flags, in the order in which help shows them.
    pub flags: &'static [Flag],
    /// Environment variables that do not set a flag.
    pub variables: &'static [Variable],
    /// A file in `$XDG_CONFIG_HOME/chatctl` that is read if it exists and `--config` is not given;
    /// empty: none.
    pub settings: &'static str,
}

/// The code of a subcommand; `cli::run` matches on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    Serve,
    Chat,
    Status,
    Members,
    Recover,
    DumpLog,
    BenchCodec,
    BenchLoad,
    Completions,
}

/// Sets a field of the values from an argument's text. The error says what is wrong with the text.
pub type Set = fn(&mut Values, &str) -> Result<(), String>;

#[derive(Clone, Copy, Debug)]
pub struct Operand {
    /// Its name in usage lines, upper case; or its possible words, separated by bars.
    pub name: &'static str,
    /// Whether it is an error to omit it.
    pub required: bool,
    /// What it is, as sentences.
    pub help: &'static str,
    pub set: Set,
}

/// An environment variable that does not set a flag.
#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    /// What it does, as sentences.
    pub help: &'static str,
}

/// The values that a flag accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value: given or not.
    Switch,
    /// Any text.
    Text,
    /// A whole number within these bounds, both included.
    Number { min: u64, max: u64 },
    /// One of these words.
    Choice(&'static [&'static str]),
}

#[derive(Debug)]
pub struct Flag {
    /// The long name, without dashes; also its key in a configuration file.
    pub name: &'static str,
    pub short: Option<char>,
    pub kind: Kind,
    /// The value's name in usage lines, upper case; empty for a switch.
    pub value: &'static str,
    /// Sets its field. The text is one that `kind` accepts; a switch gets `true` or `false`.
    pub set: Set,
    /// An optional operand that comes with this flag.
    pub operand: Option<Operand>,
    /// What it does, as sentences: `--help` and the man page.
    pub help: &'static str,
    /// Further details, as sentences: the man page only.
    pub more: &'static str,
    /// The value if nothing else gives one.
    pub default: Option<&'static str>,
    /// The environment variable that gives the value if the command line does not.
    pub env: Option<&'static str>,
    /// Whether a configuration file may set it.
    pub config: bool,
    /// Whether it may be given more than once.
    pub repeatable: bool,
}

/// `--help`, which every subcommand has.
pub const HELP: Flag = switch("help").short('h').help("Show this help and exit.").not_in_config();

/// `--version`, which `chatctl` itself has.
pub const VERSION: Flag =
    switch("version").short('V').help("Show the version and exit.").not_in_config();

const fn flag(name: &'static str, kind: Kind, value: &'static str) -> Flag {
    Flag {
        name,
        short: None,
        kind,
        value,
        set: |_, _| Ok(()),
        operand: None,
        help: "",
        more: "",
        default: None,
        env: None,
        config: true,
        repeatable: false,
    }
}

/// A flag without a value.
pub const fn switch(name: &'static str) -> Flag {
    flag(name, Kind::Switch, "")
}

/// A flag with any text as its value.
pub const fn text(name: &'static str, value: &'static str) -> Flag {
    flag(name, Kind::Text, value)
}

/// A flag with a number as its value, within these bounds.
pub const fn number(name: &'static str, value: &'static str, min: u64, max: u64) -> Flag {
    flag(name, Kind::Number { min, max }, value)
}

/// A flag with one of these words as its value.
pub const fn choice(
    name: &'static str,
    value: &'static str,
    words: &'static [&'static str],
) -> Flag {
    flag(name, Kind::Choice(words), value)
}

/// Each gives a flag with one more of its fields set.
impl Flag {
    pub const fn sets(self, set: Set) -> Flag {
        Flag { set, ..self }
    }

    pub const fn help(self, help: &'static str) -> Flag {
        Flag { help, ..self }
    }

    pub const fn more(self, more: &'static str) -> Flag {
        Flag { more, ..self }
    }

    pub const fn default(self, default: &'static str) -> Flag {
        Flag { default: Some(default), ..self }
    }

    pub const fn env(self, variable: &'static str) -> Flag {
        Flag { env: Some(variable), ..self }
    }

    pub const fn short(self, letter: char) -> Flag {
        Flag { short: Some(letter), ..self }
    }

    pub const fn operand(self, operand: Operand) -> Flag {
        Flag { operand: Some(operand), ..self }
    }

    pub const fn not_in_config(self) -> Flag {
        Flag { config: false, ..self }
    }

    pub const fn repeatable(self) -> Flag {
        Flag { repeatable: true, ..self }
    }
}

/// Sets a field to a value that was read from text.
pub fn put<T, E: Display>(field: &mut T, value: Result<T, E>) -> Result<(), String> {
    *field = value.map_err(|error| error.to_string())?;
    Ok(())
}

/// Appends a value that was read from text.
pub fn push<T, E: Display>(field: &mut Vec<T>, value: Result<T, E>) -> Result<(), String> {
    field.push(value.map_err(|error| error.to_string())?);
    Ok(())
}

/// The meaning of a word of a [`Kind::Choice`].
pub fn choose<T: Copy>(word: &str, meanings: &[(&str, T)]) -> Result<T, String> {
    let meaning = meanings.iter().find(|(known, _)| *known == word);
    meaning.map(|(_, meaning)| *meaning).ok_or_else(|| format!("unknown word '{word}'"))
}

impl Subcommand {
    /// Its flags, with `--help` as the last.
    pub fn all_flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.flags.iter().chain(std::iter::once(&HELP))
    }

    pub fn flag(&self, name: &str) -> Option<&'static Flag> {
        self.all_flags().find(|flag| flag.name == name)
    }
}

impl Flag {
    pub fn takes_value(&self) -> bool {
        self.kind != Kind::Switch
    }

    /// How it is written in usage lines, such as `--send NAME [TEXT]`.
    pub fn usage(&self) -> String {
        let mut usage = format!("--{}", self.name);
        if self.takes_value() {
            usage = format!("{usage} {}", self.value);
        }
        if let Some(operand) = &self.operand {
            usage = format!("{usage} [{}]", operand.name);
        }
        usage
    }

    /// The values it accepts, to follow "expected".
    pub fn expects(&self) -> String {
        match self.kind {
            Kind::Switch => "true or false".to_string(),
            Kind::Text => format!("{}, not empty", self.value),
            Kind::Number { min, max: u64::MAX } => format!("a whole number from {min} up"),
            Kind::Number { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Choice(words) => match words.split_last() {
                Some((last, [])) => (*last).to_string(),
                Some((last, others)) => format!("{} or {last}", others.join(", ")),
                None => "nothing".to_string(),
            },
        }
    }

    pub fn accepts(&self, value: &str) -> bool {
        match self.kind {
            Kind::Switch => matches!(value, "true" | "false"),
            Kind::Text => !value.is_empty(),
            Kind::Number { min, max } => {
                value.bytes().all(|byte| byte.is_ascii_digit())
                    && value.parse().is_ok_and(|number: u64| (min..=max).contains(&number))
            }
            Kind::Choice(words) => words.contains(&value),
        }
    }
}
