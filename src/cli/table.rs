//! The one table of subcommands and flags. It drives the parser ([`super::parse`]), `--help`
//! ([`super::help`]), the generated sections of the man pages ([`super::man`]) and the completions
//! for shells ([`super::completions`]), so that these cannot say different things. Each subcommand's row is a file of its own.

mod bench_codec;
mod bench_load;
mod chat;
mod completions;
mod dump_log;
mod members;
mod recover;
mod serve;
mod status;

use std::io::Write;

use super::error::Error;
use super::parse::{Environment, Parsed};

/// A subcommand of `chatctl`.
#[derive(Debug)]
pub struct Subcommand {
    /// What is typed after `chatctl`.
    pub name: &'static str,
    /// One line for the list of subcommands: lower case, no full stop.
    pub summary: &'static str,
    /// What it does, as sentences, for its own help.
    pub about: &'static str,
    /// What it takes besides flags, in order.
    pub operands: &'static [Operand],
    /// Its flags, in the order in which help shows them.
    pub flags: &'static [Flag],
    /// Environment variables that stand for no flag.
    pub variables: &'static [Variable],
    /// A file below `$XDG_CONFIG_HOME/chatctl` whose settings are read without `--config`, if it is
    /// there; empty: none.
    pub settings: &'static str,
    /// Runs it with checked values: what it prints goes to the writer, the exit code comes back.
    pub run: fn(&Parsed, Environment<'_>, &mut dyn Write) -> Result<u8, Error>,
}

/// An argument that is no flag.
#[derive(Debug)]
pub struct Operand {
    /// Its name in usage lines, upper case; or the words it can be, with bars between them.
    pub name: &'static str,
    /// Whether leaving it out is an error.
    pub required: bool,
    /// What it is, as sentences.
    pub help: &'static str,
}

/// An environment variable that stands for no flag.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, as sentences.
    pub help: &'static str,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value: given or not.
    Switch,
    /// Any text.
    Text,
    /// A whole number within these bounds, both included.
    Number {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// A flag of a subcommand.
#[derive(Debug)]
pub struct Flag {
    /// The long name, without dashes; also its key in a configuration file.
    pub name: &'static str,
    /// The letter of its short form.
    pub short: Option<char>,
    /// What it takes.
    pub kind: Kind,
    /// The value's name in usage lines, upper case; empty for a switch.
    pub value: &'static str,
    /// An operand that belongs to this flag (it may be left out); empty for none.
    pub operand: &'static str,
    /// What it does, as sentences: `--help` and the man page.
    pub help: &'static str,
    /// What else there is to know, as sentences: the man page only.
    pub more: &'static str,
    /// The value where nothing gives one.
    pub default: Option<&'static str>,
    /// The environment variable that gives the value where the flag does not.
    pub env: Option<&'static str>,
    /// Whether a configuration file may set it.
    pub config: bool,
    /// Whether it may be given more than once.
    pub repeatable: bool,
}

/// A flag with nothing set: the base of every flag.
const FLAG: Flag = Flag {
    name: "",
    short: None,
    kind: Kind::Text,
    value: "",
    operand: "",
    help: "",
    more: "",
    default: None,
    env: None,
    config: true,
    repeatable: false,
};

/// `--help`, which every subcommand has.
pub const HELP: Flag = Flag {
    name: "help",
    short: Some('h'),
    kind: Kind::Switch,
    help: "Show this help and exit.",
    config: false,
    ..FLAG
};

/// `--version`, which `chatctl` itself has.
pub const VERSION: Flag = Flag {
    name: "version",
    short: Some('V'),
    kind: Kind::Switch,
    help: "Show the version and exit.",
    config: false,
    ..FLAG
};

/// `--config`, where a subcommand can be configured by a file.
const CONFIG: Flag = Flag {
    name: "config",
    value: "FILE",
    help: "Read flags from FILE, one line `name = value` each.",
    more: "A # at the start of a line or after white space begins a comment. A flag \
           that can be repeated has one line for each value; a flag without a value is set to true \
           or false. The command line and the environment override the file.",
    config: false,
    ..FLAG
};

/// `--color`, where something is printed in colours.
const COLOR: Flag = Flag {
    name: "color",
    kind: Kind::Choice(&["auto", "always", "never"]),
    value: "WHEN",
    help: "When to use colours: auto (on a terminal), always or never.",
    default: Some("auto"),
    config: false,
    ..FLAG
};

/// `NO_COLOR`, where something is printed in colours.
const NO_COLOR: Variable = Variable {
    name: "NO_COLOR",
    help: "If not empty, there are no colours, unless --color=always.",
};

/// `--servers`, where a command goes to the peers' port.
const PEERS: Flag = Flag {
    name: "servers",
    value: "HOST[:PORT],...",
    help: "Peer addresses of one or more servers, as in --cluster of chatctl serve.",
    more: "The command finds the other servers through these.",
    default: Some("127.0.0.1:7263"),
    env: Some("CHATCTL_PEERS"),
    ..FLAG
};

/// `--data-dir`, where a command asks the server on this machine.
const OPERATED: Flag = Flag {
    name: "data-dir",
    value: "DIR",
    help: "Ask the server that runs on DIR on this machine, without a secret, through a socket in \
           DIR.",
    more: "That server asks the others. --servers and --cluster-secret-file are then ignored.",
    ..FLAG
};

/// `--cluster-secret-file`, where a command goes to the peers' port.
const SECRET: Flag = Flag {
    name: "cluster-secret-file",
    value: "FILE",
    help: "File with the cluster's secret; must have mode 0600.",
    ..FLAG
};

/// Every subcommand, in the order in which help shows them.
pub const SUBCOMMANDS: &[Subcommand] = &[
    serve::SUBCOMMAND,
    chat::SUBCOMMAND,
    status::SUBCOMMAND,
    members::SUBCOMMAND,
    recover::SUBCOMMAND,
    dump_log::SUBCOMMAND,
    bench_codec::SUBCOMMAND,
    bench_load::SUBCOMMAND,
    completions::SUBCOMMAND,
];

/// The subcommand of this name.
pub fn find(name: &str) -> Option<&'static Subcommand> {
    SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name)
}

impl Subcommand {
    /// Its flags, `--help` included, last.
    pub fn all_flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.flags.iter().chain(std::iter::once(&HELP))
    }

    /// The flag of this long name.
    pub fn flag(&self, name: &str) -> Option<&'static Flag> {
        self.all_flags().find(|flag| flag.name == name)
    }
}

impl Flag {
    /// Whether it takes a value.
    pub fn takes_value(&self) -> bool {
        self.kind != Kind::Switch
    }

    /// How it is written in usage lines, such as `--send NAME [TEXT]`.
    pub fn usage(&self) -> String {
        let mut usage = format!("--{}", self.name);
        if self.takes_value() {
            usage = format!("{usage} {}", self.value);
        }
        if !self.operand.is_empty() {
            usage = format!("{usage} [{}]", self.operand);
        }
        usage
    }

    /// What a value of it has to be, to follow "expected".
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

    /// Whether `value` is one it takes.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete_and_every_default_is_a_value_its_flag_accepts() {
        for subcommand in SUBCOMMANDS {
            assert!(!subcommand.about.is_empty() && !subcommand.summary.ends_with('.'));
            for flag in subcommand.all_flags() {
                let place = format!("{} --{}", subcommand.name, flag.name);
                assert!(flag.help.ends_with('.'), "{place}: help is sentences");
                assert!(flag.more.is_empty() || flag.more.ends_with('.'), "{place}: sentences");
                assert_eq!(flag.takes_value(), !flag.value.is_empty(), "{place}: the value's name");
                if let Some(default) = flag.default {
                    assert!(flag.accepts(default), "{place}: its default is refused");
                }
            }
        }
    }

    #[test]
    fn no_subcommand_has_two_flags_of_one_name_or_letter() {
        for subcommand in SUBCOMMANDS {
            let flags: Vec<_> = subcommand.all_flags().collect();
            for (at, flag) in flags.iter().enumerate() {
                for other in &flags[..at] {
                    assert_ne!(flag.name, other.name, "{}", subcommand.name);
                    assert!(flag.short.is_none() || flag.short != other.short);
                }
            }
        }
    }

    #[test]
    fn numbers_are_plain_digits_within_the_bounds() {
        let days = find("serve").unwrap().flag("token-days").unwrap();
        for good in ["1", "7", "3650", "007"] {
            assert!(days.accepts(good), "{good}");
        }
        for bad in ["", "0", "3651", "+7", "-7", "7 ", "1e3", "99999999999999999999999"] {
            assert!(!days.accepts(bad), "{bad}");
        }
        assert_eq!(days.expects(), "a whole number from 1 to 3650");
    }
}
