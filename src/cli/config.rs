//! Configuration files: `name = value` lines, where the names are flags.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::suggest::nearest;
use super::table::row::{Flag, Subcommand};
use crate::limits::CONFIG_FILE_BYTES;

/// One line that sets a flag.
#[derive(Debug)]
pub struct Setting {
    /// The flag.
    pub flag: &'static Flag,
    /// Its value, without white space around it.
    pub value: String,
    /// The line, from 1.
    pub line: usize,
}

/// Reads a configuration file for `subcommand`. Errors name the file and, where there is one, the
/// line.
pub fn read(path: &Path, subcommand: &Subcommand) -> Result<Vec<Setting>, String> {
    let shown = path.display();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(CONFIG_FILE_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("--config: cannot read {shown}: {error}"))?;
    if bytes.len() > CONFIG_FILE_BYTES {
        return Err(format!("--config: {shown} is larger than {CONFIG_FILE_BYTES} bytes"));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| format!("--config: {shown} is not text in UTF-8"))?;
    parse(&text, subcommand).map_err(|(line, what)| format!("{shown}:{line}: {what}"))
}

/// The settings of a configuration file's text; on an error the line, from 1, and what is wrong.
fn parse(text: &str, subcommand: &Subcommand) -> Result<Vec<Setting>, (usize, String)> {
    let mut settings: Vec<Setting> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = without_comment(content).trim();
        if content.is_empty() {
            continue;
        }
        let Some((key, value)) = content.split_once('=') else {
            return Err((line, "expected `name = value`".to_string()));
        };
        let (key, value) = (key.trim(), value.trim());
        let Some(flag) = subcommand.flag(key).filter(|flag| flag.config) else {
            return Err((line, unknown(key, subcommand)));
        };
        if !flag.accepts(value) {
            let (value, expected) = (value.escape_debug(), flag.expects());
            return Err((line, format!("{key}: '{value}' is invalid; expected {expected}")));
        }
        if !flag.repeatable && settings.iter().any(|setting| setting.flag.name == flag.name) {
            return Err((line, format!("{key} is set twice")));
        }
        settings.push(Setting { flag, value: value.to_string(), line });
    }
    Ok(settings)
}

/// The line up to a `#` that begins it or follows white space.
fn without_comment(line: &str) -> &str {
    let mut after_space = true;
    for (at, c) in line.char_indices() {
        if c == '#' && after_space {
            return &line[..at];
        }
        after_space = c.is_whitespace();
    }
    line
}

/// What to say of a key that no configurable flag has.
fn unknown(key: &str, subcommand: &Subcommand) -> String {
    let shown = key.escape_debug();
    if subcommand.flag(key).is_some() {
        return format!("'{shown}' can only be given on the command line");
    }
    let known = subcommand.flags.iter().filter(|flag: &&Flag| flag.config).map(|flag| flag.name);
    match nearest(key, known) {
        Some(word) => format!("unknown setting '{shown}'; did you mean '{word}'?"),
        None => format!("chatctl {} has no setting '{shown}'", subcommand.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::find;

    fn serve(text: &str) -> Result<Vec<(&'static str, String)>, (usize, String)> {
        let settings = parse(text, find("serve").unwrap())?;
        Ok(settings.into_iter().map(|setting| (setting.flag.name, setting.value)).collect())
    }

    #[test]
    fn lines_comments_and_repeated_keys_are_read_in_order() {
        let text = "# a server\n\n listen = :7262   # everywhere\nlisten=unix:/run/c#1.sock\r\n\
                    token-days\t= 30\n";
        let expected =
            [("listen", ":7262"), ("listen", "unix:/run/c#1.sock"), ("token-days", "30")]
                .map(|(name, value)| (name, value.to_string()));
        assert_eq!(serve(text).unwrap(), expected);
    }

    #[test]
    fn a_file_of_the_most_bytes_is_read_and_a_longer_one_refused() {
        let path = std::env::temp_dir().join(format!("chatctl-config-{}", std::process::id()));
        let mut text = "#".repeat(CONFIG_FILE_BYTES - 15) + "\ntoken-days = 5";
        std::fs::write(&path, &text).unwrap();
        assert_eq!(text.len(), CONFIG_FILE_BYTES);
        let settings = read(&path, find("serve").unwrap()).unwrap();
        assert_eq!(settings[0].value, "5");
        text.push('\n');
        std::fs::write(&path, &text).unwrap();
        let error = read(&path, find("serve").unwrap()).map(drop).unwrap_err();
        assert!(error.contains("is larger than 1048576 bytes"), "{error}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_wrong_line_is_named_with_what_is_wrong_and_what_was_meant() {
        for (text, line, what) in [
            ("\nlisten", 2, "expected `name = value`"),
            ("tokendays = 3", 1, "unknown setting 'tokendays'; did you mean 'token-days'?"),
            ("colour = red", 1, "chatctl serve has no setting 'colour'"),
            ("# \n\ntoken-days = soon", 3, "expected a whole number from 1 to 3650"),
            ("token-days = 1\ntoken-days = 2", 2, "token-days is set twice"),
            ("config = other", 1, "'config' can only be given on the command line"),
            ("data-dir =", 1, "data-dir: '' is invalid; expected DIR, not empty"),
            ("= 3", 1, "chatctl serve has no setting ''"),
        ] {
            let (at, said) = serve(text).unwrap_err();
            assert_eq!(at, line, "{text}");
            assert!(said.contains(what), "{text}: {said}");
        }
    }
}
