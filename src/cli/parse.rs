//! From arguments, environment and configuration file to the values of a subcommand.
//!
//! The first of these that gives a flag's value wins: the command line, the environment, the
//! configuration file, the table's default. Each value is checked against the table and put into
//! its field at once, so that an error can name its source.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::config;
use super::error::Error;
use super::suggest::nearest;
use super::table::row::{Flag, Operand, Subcommand};
use super::values::Values;

/// Looks up an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

enum Source<'a> {
    CommandLine,
    Environment(&'static str),
    File { path: &'a Path, line: usize },
    Default,
}

/// Parses the arguments after the subcommand's name, and takes values that they omit from the
/// environment, the configuration file and the defaults. `None`: help is wanted.
pub fn parse(
    subcommand: &'static Subcommand,
    arguments: &[String],
    environment: Environment<'_>,
) -> Result<Option<Values>, Error> {
    let values = Values { home: absolute(environment, "HOME"), ..Values::default() };
    let mut parser = Parser { subcommand, values, given: Vec::new() };
    let Some(operands) = parser.take_arguments(arguments)? else { return Ok(None) };
    parser.take_operands(&operands)?;
    parser.take_environment(environment)?;
    parser.take_config(environment)?;
    parser.take_defaults()?;
    Ok(Some(parser.values))
}

struct Parser {
    subcommand: &'static Subcommand,
    values: Values,
    /// The flags that have a value.
    given: Vec<&'static Flag>,
}

impl Parser {
    /// Takes the flags, and gives the operands; `None` as soon as an argument is `--help`.
    fn take_arguments<'a>(
        &mut self,
        arguments: &'a [String],
    ) -> Result<Option<Vec<&'a str>>, Error> {
        let mut operands = Vec::new();
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                operands.extend(arguments.by_ref());
            } else if !argument.starts_with('-') || argument == "-" {
                operands.push(argument);
            } else {
                let (flag, inline) = self.named_by(argument)?;
                if flag.name == "help" && inline.is_none() {
                    return Ok(None);
                }
                let value = value_of(flag, inline, &mut arguments)?;
                self.take(flag, value, &Source::CommandLine)?;
            }
        }
        Ok(Some(operands))
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

    fn take(&mut self, flag: &'static Flag, value: &str, source: &Source<'_>) -> Result<(), Error> {
        let invalid = |why: String| Error::usage(bad_value(flag, value, source, &why));
        if !flag.accepts(value) {
            return Err(invalid(format!("expected {}", flag.expects())));
        }
        if !flag.repeatable && self.has(flag) {
            return Err(Error::usage(format!("--{} is given twice", flag.name)));
        }
        (flag.set)(&mut self.values, value).map_err(invalid)?;
        self.given.push(flag);
        Ok(())
    }

    fn has(&self, flag: &Flag) -> bool {
        self.given.iter().any(|given| given.name == flag.name)
    }

    /// Sets the fields of the operands: the subcommand's, then the one of a flag.
    fn take_operands(&mut self, operands: &[&str]) -> Result<(), Error> {
        let of_flag = self.given.iter().find_map(|flag| flag.operand.as_ref());
        let mut rows: Vec<&Operand> = self.subcommand.operands.iter().collect();
        rows.extend(of_flag);
        if let Some(extra) = operands.get(rows.len()) {
            let extra = extra.escape_debug();
            let hint = match of_flag.map(|operand| operand.name) {
                Some(operand) => format!("; quote a {operand} that has spaces"),
                None => String::new(),
            };
            return Err(Error::usage(format!("unexpected argument '{extra}'{hint}")));
        }
        if let Some(missing) = rows.get(operands.len()).filter(|operand| operand.required) {
            let help = lower_first(missing.help);
            return Err(Error::usage(format!("{} is missing: {help}", missing.name)));
        }
        for (row, text) in rows.iter().zip(operands) {
            (row.set)(&mut self.values, text).map_err(Error::usage)?;
        }
        Ok(())
    }

    /// Takes flags that the command line omits from their environment variables. An empty one counts
    /// as not set.
    fn take_environment(&mut self, environment: Environment<'_>) -> Result<(), Error> {
        for flag in self.subcommand.flags {
            let Some(variable) = flag.env.filter(|_| !self.has(flag)) else { continue };
            let Some(value) = environment(variable).filter(|value| !value.is_empty()) else {
                continue;
            };
            let value = value.into_string().map_err(|_| {
                Error::usage(format!("{variable} in the environment is not text in UTF-8"))
            })?;
            self.take(flag, &value, &Source::Environment(variable))?;
        }
        Ok(())
    }

    /// Takes flags that command line and environment omit from the file that `--config` names, or
    /// from the subcommand's own.
    fn take_config(&mut self, environment: Environment<'_>) -> Result<(), Error> {
        let own = || self.own_settings(environment).filter(|path| path.exists());
        let Some(path) = self.values.config.clone().or_else(own) else { return Ok(()) };
        let settings = config::read(&path, self.subcommand).map_err(Error::usage)?;
        let open = settings.into_iter().filter(|setting| !self.has(setting.flag));
        for setting in open.collect::<Vec<_>>() {
            let source = Source::File { path: &path, line: setting.line };
            self.take(setting.flag, &setting.value, &source)?;
        }
        Ok(())
    }

    fn own_settings(&self, environment: Environment<'_>) -> Option<PathBuf> {
        let file = Some(self.subcommand.settings).filter(|file| !file.is_empty())?;
        let below = absolute(environment, "XDG_CONFIG_HOME")
            .or_else(|| Some(self.values.home.as_ref()?.join(".config")))?;
        Some(below.join("chatctl").join(file))
    }

    fn take_defaults(&mut self) -> Result<(), Error> {
        for flag in self.subcommand.flags {
            let Some(default) = flag.default.filter(|_| !self.has(flag)) else { continue };
            self.take(flag, default, &Source::Default)?;
        }
        Ok(())
    }

    fn unknown(&self, shown: &str, name: &str) -> Error {
        let shown = shown.escape_debug();
        Error::usage(match nearest(name, self.subcommand.all_flags().map(|flag| flag.name)) {
            Some(word) => format!("unknown flag '{shown}'; did you mean '--{word}'?"),
            None => format!("unknown flag '{shown}'"),
        })
    }
}

/// The value of a flag: after its `=`, or the next argument.
fn value_of<'a>(
    flag: &Flag,
    inline: Option<&'a str>,
    rest: &mut impl Iterator<Item = &'a str>,
) -> Result<&'a str, Error> {
    let name = flag.name;
    match (flag.takes_value(), inline) {
        (true, Some(value)) => Ok(value),
        (false, None) => Ok("true"),
        (false, Some(_)) => Err(Error::usage(format!("--{name} takes no value"))),
        (true, None) => match rest.next() {
            Some(next) if next.starts_with('-') && next != "-" => Err(Error::usage(format!(
                "--{name} needs a value: {}; to give '{next}' as the value, write --{name}={next}",
                flag.value,
                next = next.escape_debug()
            ))),
            Some(next) => Ok(next),
            None => Err(Error::usage(format!("--{name} needs a value: {}", flag.usage()))),
        },
    }
}

fn bad_value(flag: &Flag, value: &str, source: &Source<'_>, why: &str) -> String {
    let (name, value) = (flag.name, value.escape_debug());
    let place = match source {
        Source::CommandLine | Source::Default => format!("--{name}"),
        Source::Environment(variable) => format!("{variable} in the environment"),
        Source::File { path, line } => format!("{}:{line}: {name}", path.display()),
    };
    format!("{place}: '{value}' is invalid; {why}")
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
            Error::usage(what)
        })
    });
    text.collect()
}

#[cfg(test)]
mod tests;
