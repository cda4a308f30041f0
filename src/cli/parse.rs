//! From arguments, environment and configuration file to the values of a subcommand's flags.
//!
//! For each flag the first that gives a value wins: the command line, the environment, the
//! configuration file, the table's default. Every value is checked against the table here, so that
//! the getters of [`Parsed`] cannot fail.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::config;
use super::error::Error;
use super::suggest::nearest;
use super::table::{Flag, Kind, Subcommand};

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// What the arguments of a subcommand ask for.
#[derive(Debug)]
pub enum Request {
    /// `--help`.
    Help,
    /// To run it with these values.
    Run(Parsed),
}

/// Where a value comes from; its text names it in errors.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    CommandLine,
    Environment(&'static str),
    File { path: PathBuf, line: usize },
    Default,
}

/// The values of a subcommand's flags, all of them checked, and its operands.
#[derive(Debug)]
pub struct Parsed {
    subcommand: &'static Subcommand,
    given: Vec<Given>,
    positionals: Vec<String>,
    /// What `~` in a file name means.
    home: Option<PathBuf>,
}

/// One value of one flag.
#[derive(Debug)]
struct Given {
    flag: &'static Flag,
    value: String,
    source: Source,
}

/// Parses what follows the subcommand's name, and takes what it leaves open from the environment,
/// the configuration file and the defaults.
pub fn parse(
    subcommand: &'static Subcommand,
    arguments: &[String],
    environment: Environment<'_>,
) -> Result<Request, Error> {
    let home = absolute(environment, "HOME");
    let mut parsed = Parsed { subcommand, given: Vec::new(), positionals: Vec::new(), home };
    if parsed.take_arguments(arguments)? {
        return Ok(Request::Help);
    }
    parsed.check_operands()?;
    parsed.take_environment(environment)?;
    parsed.take_config(environment)?;
    parsed.take_defaults();
    Ok(Request::Run(parsed))
}

impl Parsed {
    /// The value of a flag, the last where it was given several times.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.of(name).last().map(|given| given.value.as_str())
    }

    /// All values of a repeatable flag, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.of(name).map(|given| given.value.as_str()).collect()
    }

    /// Whether a switch is on.
    pub fn flag(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }

    /// The value of a number flag.
    pub fn number(&self, name: &str) -> Option<u64> {
        debug_assert!(matches!(self.row(name).kind, Kind::Number { .. }), "--{name} is a number");
        self.value(name).and_then(|value| value.parse().ok())
    }

    /// The value of a number flag that has a default, as a narrower type whose range the table's
    /// bounds lie in.
    pub fn number_as<N: TryFrom<u64>>(&self, name: &str) -> N {
        let number = self.number(name).and_then(|number| N::try_from(number).ok());
        number.unwrap_or_else(|| panic!("the table gives --{name} a default and bounds that fit"))
    }

    /// The value of a path flag. A `~` at its beginning is the home directory, also where no shell has
    /// seen it: in a configuration file, in the environment, after a `=`.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.value(name)?;
        let below_home = match value.strip_prefix('~') {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix('/'),
            None => None,
        };
        Some(match (below_home, &self.home) {
            (Some(below), Some(home)) => home.join(below),
            _ => PathBuf::from(value),
        })
    }

    /// Every value of a flag, read by `read`, whose error says what is wrong.
    pub fn read_values<T, E: fmt::Display>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, Error> {
        self.of(name)
            .map(|given| read(&given.value).map_err(|why| self.bad_value(given, &why.to_string())))
            .collect()
    }

    /// What was given that is no flag.
    pub fn positionals(&self) -> &[String] {
        &self.positionals
    }

    /// The subcommand these are the values of.
    pub fn subcommand(&self) -> &'static Subcommand {
        self.subcommand
    }

    /// A usage error of this subcommand.
    pub fn wrong(&self, what: impl Into<String>) -> Error {
        Error::usage(self.subcommand.name, what)
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Given> {
        let row = self.row(name);
        self.given.iter().filter(move |given| given.flag.name == row.name)
    }

    fn row(&self, name: &str) -> &'static Flag {
        self.subcommand
            .flag(name)
            .unwrap_or_else(|| panic!("chatctl {} has no --{name}", self.subcommand.name))
    }

    /// Takes the arguments in order; true as soon as one of them is `--help`.
    fn take_arguments(&mut self, arguments: &[String]) -> Result<bool, Error> {
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                self.positionals.extend(arguments.by_ref().cloned());
            } else if !argument.starts_with('-') || argument == "-" {
                self.positionals.push(argument.clone());
            } else {
                let (flag, inline) = self.named_by(argument)?;
                if flag.name == "help" && inline.is_none() {
                    return Ok(true);
                }
                let value = self.value_of(flag, inline, &mut arguments)?;
                self.take(flag, value, Source::CommandLine)?;
            }
        }
        Ok(false)
    }

    /// The flag that `argument` names, and the value after its `=`.
    fn named_by<'a>(&self, argument: &'a str) -> Result<(&'static Flag, Option<&'a str>), Error> {
        if let Some(long) = argument.strip_prefix("--") {
            let (name, inline) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            return match self.subcommand.flag(name) {
                Some(flag) => Ok((flag, inline)),
                None => Err(self.unknown(&format!("--{name}"), name)),
            };
        }
        let letters = argument.strip_prefix('-').unwrap_or(argument);
        let mut flags = self.subcommand.all_flags();
        match flags.find(|flag| flag.short.is_some_and(|short| letters == short.to_string())) {
            Some(flag) => Ok((flag, None)),
            None => Err(self.unknown(argument, letters)),
        }
    }

    /// The value of a flag: after its `=`, or the next argument.
    fn value_of(
        &self,
        flag: &'static Flag,
        inline: Option<&str>,
        rest: &mut std::slice::Iter<'_, String>,
    ) -> Result<String, Error> {
        let name = flag.name;
        match (flag.takes_value(), inline) {
            (true, Some(value)) => Ok(value.to_string()),
            (false, None) => Ok("true".to_string()),
            (false, Some(_)) => Err(self.wrong(format!("--{name} takes no value"))),
            (true, None) => match rest.next() {
                Some(next) if next.starts_with('-') && next != "-" => Err(self.wrong(format!(
                    "--{name} needs a value, {}; if '{}' is meant, write it after a =",
                    flag.value,
                    next.escape_debug()
                ))),
                Some(next) => Ok(next.clone()),
                None => Err(self.wrong(format!("--{name} needs a value: {}", flag.usage()))),
            },
        }
    }

    /// Checks and keeps a value.
    fn take(&mut self, flag: &'static Flag, value: String, source: Source) -> Result<(), Error> {
        let given = Given { flag, value, source };
        if !flag.accepts(&given.value) {
            return Err(self.bad_value(&given, &format!("expected {}", flag.expects())));
        }
        if !flag.repeatable && self.has(flag) {
            return Err(self.wrong(format!("--{} is given twice", flag.name)));
        }
        self.given.push(given);
        Ok(())
    }

    fn has(&self, flag: &Flag) -> bool {
        self.given.iter().any(|given| given.flag.name == flag.name)
    }

    fn check_operands(&self) -> Result<(), Error> {
        let brought = self.given.iter().find(|given| !given.flag.operand.is_empty());
        let most = self.subcommand.operands.len() + usize::from(brought.is_some());
        if let Some(extra) = self.positionals.get(most) {
            let extra = extra.escape_debug();
            let hint = match brought.map(|given| given.flag.operand) {
                Some(operand) => format!("; quote a {operand} of several words"),
                None => String::new(),
            };
            return Err(self.wrong(format!("unexpected argument '{extra}'{hint}")));
        }
        let missing = self.subcommand.operands.get(self.positionals.len());
        match missing.filter(|operand| operand.required) {
            Some(operand) => {
                let help = operand.help;
                Err(self.wrong(format!("{} is missing: {}", operand.name, lower_first(help))))
            }
            None => Ok(()),
        }
    }

    /// Flags that the command line leaves open, from their environment variables. One that is
    /// empty counts as not set.
    fn take_environment(&mut self, environment: Environment<'_>) -> Result<(), Error> {
        for flag in self.subcommand.flags.iter().filter(|flag| flag.env.is_some()) {
            let variable = flag.env.unwrap_or_default();
            let Some(value) = environment(variable).filter(|value| !value.is_empty()) else {
                continue;
            };
            if self.has(flag) {
                continue;
            }
            let value = value.into_string().map_err(|_| {
                self.wrong(format!("{variable} in the environment is not text in UTF-8"))
            })?;
            self.take(flag, value, Source::Environment(variable))?;
        }
        Ok(())
    }

    /// Flags that command line and environment leave open, from the file that `--config` names, or
    /// from the subcommand's own.
    fn take_config(&mut self, environment: Environment<'_>) -> Result<(), Error> {
        if self.subcommand.flag("config").is_none() {
            return Ok(());
        }
        let own = || self.own_settings(environment).filter(|path| path.exists());
        let Some(path) = self.path("config").or_else(own) else { return Ok(()) };
        let settings = config::read(&path, self.subcommand).map_err(|what| self.wrong(what))?;
        let before = self.given.len();
        for setting in settings {
            let flag = self.row(setting.name);
            if self.given[..before].iter().any(|given| given.flag.name == flag.name) {
                continue;
            }
            let source = Source::File { path: path.clone(), line: setting.line };
            self.given.push(Given { flag, value: setting.value, source });
        }
        Ok(())
    }

    fn own_settings(&self, environment: Environment<'_>) -> Option<PathBuf> {
        let file = Some(self.subcommand.settings).filter(|file| !file.is_empty())?;
        let below = absolute(environment, "XDG_CONFIG_HOME")
            .or_else(|| Some(self.home.as_ref()?.join(".config")))?;
        Some(below.join("chatctl").join(file))
    }

    fn take_defaults(&mut self) {
        for flag in self.subcommand.flags {
            if let (Some(default), false) = (flag.default, self.has(flag)) {
                let value = default.to_string();
                self.given.push(Given { flag, value, source: Source::Default });
            }
        }
    }

    fn unknown(&self, shown: &str, name: &str) -> Error {
        let shown = shown.escape_debug();
        match nearest(name, self.subcommand.all_flags().map(|flag| flag.name)) {
            Some(word) => self.wrong(format!("unknown flag '{shown}'; did you mean '--{word}'?")),
            None => self.wrong(format!("unknown flag '{shown}'")),
        }
    }

    fn bad_value(&self, given: &Given, why: &str) -> Error {
        let value = given.value.escape_debug();
        let name = given.flag.name;
        self.wrong(match &given.source {
            Source::CommandLine | Source::Default => format!(
                "--{name}: '{value}' is invalid; \
                                                              {why}"
            ),
            Source::Environment(variable) => {
                format!("{variable} in the environment: '{value}' is invalid; {why}")
            }
            Source::File { path, line } => {
                format!("{}:{line}: {name}: '{value}' is invalid; {why}", path.display())
            }
        })
    }
}

/// A variable that names a directory; a relative one is ignored, as the XDG base directory
/// specification asks for.
fn absolute(environment: Environment<'_>, variable: &str) -> Option<PathBuf> {
    environment(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// A sentence as the end of another one.
fn lower_first(sentence: &str) -> String {
    let mut chars = sentence.trim_end_matches('.').chars();
    chars
        .next()
        .map_or(String::new(), |first| first.to_lowercase().collect::<String>() + chars.as_str())
}

/// Arguments as text; the first that is not UTF-8 is named by its place, from 1.
pub fn arguments_as_text(arguments: Vec<OsString>) -> Result<Vec<String>, Error> {
    let text = (1..).zip(arguments).map(|(place, argument)| {
        argument.into_string().map_err(|argument| {
            let shown = Path::new(&argument).display().to_string();
            let what = format!("argument {place}, '{}', is not UTF-8", shown.escape_debug());
            Error::usage("", what)
        })
    });
    text.collect()
}

#[cfg(test)]
mod tests;
