//! The help texts, rendered from the table.

use super::table::SUBCOMMANDS;
use super::table::row::{Flag, HELP, Subcommand, VERSION};

/// Width that help is wrapped to, columns.
const COLUMNS: usize = 80;
/// Column at which the explanations of flags begin.
const INDENT: usize = 28;

/// What `chatctl` alone says: how to go on.
pub fn short() -> String {
    let mut text = String::from("Usage: chatctl SUBCOMMAND [FLAG...]\n\n");
    put_subcommands(&mut text);
    text.push_str("\nSee chatctl help SUBCOMMAND for its flags.\n");
    text
}

/// What `chatctl help` says.
pub fn overview() -> String {
    let mut text = String::from(
        "chatctl: a chat server that keeps every message, and its terminal client\n\n\
         Usage: chatctl SUBCOMMAND [FLAG...]\n\n",
    );
    put_subcommands(&mut text);
    put_row(&mut text, "help [SUBCOMMAND]", "show this help, or the help of a subcommand");
    text.push_str("\nFlags:\n");
    for flag in [&HELP, &VERSION] {
        put_row(&mut text, &left_of(flag), flag.help);
    }
    text.push_str(
        "\nExit status: 0 for success, 1 for failure, 2 for invalid arguments. A flag's value\n\
         comes from the command line, else from the environment, else from the file of\n\
         --config, else it is the default.\n",
    );
    text
}

/// What `chatctl help SUBCOMMAND` says.
pub fn of(subcommand: &Subcommand) -> String {
    let mut text = format!("Usage: chatctl {}\n\n", usage(subcommand));
    put_wrapped(&mut text, subcommand.about, 0);
    if !subcommand.operands.is_empty() {
        text.push_str("\nArguments:\n");
        for operand in subcommand.operands {
            put_row(&mut text, operand.name, operand.help);
        }
    }
    text.push_str("\nFlags:\n");
    for flag in subcommand.all_flags() {
        put_row(&mut text, &left_of(flag), &explanation(flag));
    }
    if !subcommand.variables.is_empty() {
        text.push_str("\nEnvironment:\n");
        for variable in subcommand.variables {
            put_row(&mut text, variable.name, variable.help);
        }
    }
    text.push_str(&format!("\nMore: man chatctl-{}\n", subcommand.name));
    text
}

/// The usage line after `chatctl`.
pub fn usage(subcommand: &Subcommand) -> String {
    let mut usage = format!("{} [FLAG...]", subcommand.name);
    for operand in subcommand.operands {
        let (open, close) = if operand.required { ("", "") } else { ("[", "]") };
        usage = format!("{usage} {open}{}{close}", operand.name);
    }
    usage
}

fn put_subcommands(text: &mut String) {
    text.push_str("Subcommands:\n");
    for subcommand in SUBCOMMANDS {
        put_row(text, subcommand.name, subcommand.summary);
    }
}

fn left_of(flag: &Flag) -> String {
    match flag.short {
        Some(short) => format!("-{short}, {}", flag.usage()),
        None => flag.usage(),
    }
}

/// A flag's help and, in brackets, what the table adds to it.
fn explanation(flag: &Flag) -> String {
    let mut notes = Vec::new();
    if flag.repeatable {
        notes.push("can be repeated".to_string());
    }
    if let Some(variable) = flag.env {
        notes.push(format!("environment: {variable}"));
    }
    if let Some(default) = flag.default {
        notes.push(format!("default: {default}"));
    }
    if notes.is_empty() {
        return flag.help.to_string();
    }
    format!("{} [{}]", flag.help, notes.join("; "))
}

fn put_row(text: &mut String, left: &str, right: &str) {
    let start = text.len();
    text.push_str("  ");
    text.push_str(left);
    let width = text[start..].chars().count();
    if width + 2 > INDENT {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', INDENT));
    } else {
        text.extend(std::iter::repeat_n(' ', INDENT - width));
    }
    let at = text.len();
    put_wrapped(text, right, INDENT);
    // The first line's indentation is already there.
    text.replace_range(at..at + INDENT, "");
}

/// `words` wrapped to [`COLUMNS`], each line indented.
fn put_wrapped(text: &mut String, words: &str, indent: usize) {
    let mut column = 0;
    for word in words.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > COLUMNS {
            text.push('\n');
            column = 0;
        }
        if column == 0 {
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_every_subcommand_is_shown_with_its_default_in_80_columns() {
        for subcommand in SUBCOMMANDS {
            let text = of(subcommand);
            for flag in subcommand.all_flags() {
                assert!(text.contains(&flag.usage()), "{}", flag.name);
                let default = flag.default.map(|default| format!("default: {default}"));
                let flat: Vec<&str> = text.split_whitespace().collect();
                assert!(default.is_none_or(|default| flat.join(" ").contains(&default)));
            }
            for line in text.lines() {
                assert!(line.chars().count() <= COLUMNS && line.trim_end() == line, "{line}");
            }
        }
    }

    #[test]
    fn a_row_whose_left_side_is_too_long_goes_on_in_the_next_line() {
        let mut text = String::new();
        put_row(&mut text, "--a", "short");
        put_row(&mut text, "--max-sessions-per-address N", "long");
        let gap = " ".repeat(INDENT);
        let short = format!("  --a{}short\n", " ".repeat(INDENT - 5));
        assert_eq!(text, format!("{short}  --max-sessions-per-address N\n{gap}long\n"));
    }
}
