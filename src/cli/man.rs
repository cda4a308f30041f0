//! The sections of the man pages that come from the table.
//!
//! A page marks each with a pair of comment lines, and what stands between them is generated:
//!
//! ```text
//! .\" begin flags serve
//! ...
//! .\" end
//! ```
//!
//! `flags SUBCOMMAND` is the list of its flags, `variables SUBCOMMAND` that of the environment
//! variables it reads, `subcommands` that of the subcommands, `commands` that of the chat's
//! commands, `keys` that of its screen's keys. `make man` rewrites the sections; a test, which
//! `make check` runs, fails when a page is not what this makes of it.

use crate::client::commands::COMMANDS;
use crate::client::screen::KEYS;

use crate::limits::{
    BODY_BYTES, GUESSED_NAMES, HASH_JOBS, HISTORY_PAGE, ID_WINDOW, INPUT_TOTAL_BYTES,
    LIMITER_ADDRESSES, LIST_PAGE, NAME_BYTES, OUTBOX_BYTES, OUTBOX_MESSAGES, OUTPUT_BYTES,
    OUTPUT_TOTAL_BYTES, PASSWORD_BYTES, PAYLOAD_BYTES, RAFT_CACHE_BYTES, RAFT_VOTERS,
    SENDS_IN_FLIGHT, server_bytes,
};

use super::table::row::{Flag, Kind, Subcommand};
use super::table::{SUBCOMMANDS, find};

const BEGIN: &str = ".\\\" begin ";
const END: &str = ".\\\" end";
/// Width that source lines are wrapped to, columns.
const COLUMNS: usize = 78;

/// The page with every generated section made anew. The error names the line, from 1, of a marker
/// that is wrong.
pub fn refreshed(page: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut lines = (1..).zip(page.lines());
    while let Some((number, line)) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some(section) = line.strip_prefix(BEGIN) else { continue };
        out.push_str(&generated(section).ok_or(format!("line {number}: no section '{section}'"))?);
        if !lines.any(|(_, line)| line == END) {
            return Err(format!("line {number}: the section has no end"));
        }
        out.push_str(END);
        out.push('\n');
    }
    Ok(out)
}

/// A section: a list.
fn generated(section: &str) -> Option<String> {
    let mut out = String::from(".Bl -tag -width Ds\n");
    match section.split_once(' ') {
        None if section == "subcommands" => put_subcommands(&mut out),
        None if section == "commands" => put_commands(&mut out),
        None if section == "limits" => put_limits(&mut out),
        None if section == "keys" => put_keys(&mut out),
        Some(("flags", name)) => put_flags(&mut out, find(name)?),
        Some(("variables", name)) => put_variables(&mut out, find(name)?),
        _ => return None,
    }
    out.push_str(".El\n");
    Some(out)
}

fn put_subcommands(out: &mut String) {
    for subcommand in SUBCOMMANDS {
        out.push_str(&format!(".It Cm {}\n", escaped(subcommand.name)));
        put_sentences(out, subcommand.about);
        out.push_str(&format!("See\n.Xr chatctl-{} 1 .\n", subcommand.name));
    }
}

fn put_commands(out: &mut String) {
    for command in COMMANDS {
        out.push_str(&format!(".It Ic {}", escaped(command.name)));
        if !command.args.is_empty() {
            out.push_str(&format!(" Ar {}", escaped(command.args)));
        }
        out.push('\n');
        put_sentences(out, &(upper_first(command.summary) + "."));
    }
}

fn put_keys(out: &mut String) {
    for (keys, does) in KEYS {
        out.push_str(&format!(".It {}\n", escaped(keys)));
        put_sentences(out, &(upper_first(does) + "."));
    }
}

/// The bounds of [`crate::limits`] that those who chat or run a server may meet.
fn put_limits(out: &mut String) {
    let messages = |count: usize, bytes: usize| format!("{count}, of {}", size(bytes));
    let rows = [
        ("Servers of a cluster", RAFT_VOTERS.to_string()),
        ("Name of an account", size(NAME_BYTES)),
        ("Password", size(PASSWORD_BYTES)),
        ("Text of a message", size(BODY_BYTES)),
        ("A request or an answer", size(PAYLOAD_BYTES)),
        ("Messages in a page of history", HISTORY_PAGE.to_string()),
        ("Names in a page of a list", LIST_PAGE.to_string()),
        (
            "Newest message ids of a sender that are recognised when sent again",
            ID_WINDOW.to_string(),
        ),
        ("Messages in a client's outbox", messages(OUTBOX_MESSAGES, OUTBOX_BYTES)),
        ("Unanswered sends of a connection", SENDS_IN_FLIGHT.to_string()),
        ("Unread answers of a connection", size(OUTPUT_BYTES)),
        ("Unread answers of all connections", size(OUTPUT_TOTAL_BYTES)),
        ("Unfinished requests of all connections", size(INPUT_TOTAL_BYTES)),
        (
            "Memory for 1,000 connections, without the index of messages",
            mebibytes(server_bytes(1_000)),
        ),
        (
            "Memory for 10,000 connections, without the index of messages",
            mebibytes(server_bytes(10_000)),
        ),
        ("Entries kept in memory for the other servers", size(RAFT_CACHE_BYTES)),
        ("Waiting password checks", HASH_JOBS.to_string()),
        ("Addresses with counted logins", LIMITER_ADDRESSES.to_string()),
        ("Accounts with counted login attempts", GUESSED_NAMES.to_string()),
    ];
    for (what, most) in rows {
        out.push_str(&format!(".It {}\n{most}.\n", escaped(what)));
    }
}

/// A number of bytes, the last mebibyte counted as a whole one.
fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// A number of bytes in the unit in which it is whole.
fn size(bytes: usize) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

fn put_flags(out: &mut String, subcommand: &Subcommand) {
    for flag in subcommand.all_flags() {
        put_item(out, flag);
        put_sentences(out, flag.help);
        put_sentences(out, flag.more);
        if let Kind::Number { .. } = flag.kind {
            put_sentences(out, &format!("{} is {}.", flag.value, flag.expects()));
        }
        if flag.repeatable {
            out.push_str("It can be given more than once.\n");
        }
        if let Some(variable) = flag.env {
            out.push_str(&format!("If it is not given,\n.Ev {variable}\nis used.\n"));
        }
        if let Some(default) = flag.default {
            out.push_str(&format!("The default is\n.Ql {} .\n", escaped(default)));
        }
        if subcommand.flag("config").is_some() && !flag.config && flag.name != "help" {
            out.push_str("It cannot be set in a configuration file.\n");
        }
    }
}

fn put_item(out: &mut String, flag: &Flag) {
    out.push_str(".It ");
    if let Some(short) = flag.short {
        out.push_str(&format!("Fl {short} , "));
    }
    out.push_str(&format!("Fl -{}", escaped(flag.name)));
    if flag.takes_value() {
        out.push_str(&format!(" Ar {}", escaped(flag.value)));
    }
    if let Some(operand) = &flag.operand {
        out.push_str(&format!(" Op Ar {}", operand.name));
    }
    out.push('\n');
}

fn put_variables(out: &mut String, subcommand: &Subcommand) {
    for flag in subcommand.flags {
        if let Some(variable) = flag.env {
            let name = escaped(flag.name);
            out.push_str(&format!(".It Ev {variable}\nThe value of\n.Fl -{name} ,\n"));
            out.push_str("where the command line does not give it.\n");
        }
    }
    for variable in subcommand.variables {
        out.push_str(&format!(".It Ev {}\n", variable.name));
        put_sentences(out, variable.help);
    }
}

/// Sentences, each beginning a line, as mdoc wants them; wrapped to [`COLUMNS`].
fn put_sentences(out: &mut String, sentences: &str) {
    let mut column = 0;
    for word in sentences.split_whitespace() {
        let word = escaped(word);
        if column > 0 && column + 1 + word.len() > COLUMNS {
            out.push('\n');
        } else if column > 0 {
            out.push(' ');
        }
        let begins = out.is_empty() || out.ends_with('\n');
        column = if begins { 0 } else { column + 1 } + word.len();
        out.push_str(&word);
        if word.ends_with(['.', '?']) {
            out.push('\n');
            column = 0;
        }
    }
    if column > 0 {
        out.push('\n');
    }
}

/// Text as mdoc prints it literally: a dash that is typed is not a hyphen.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '`' => out.push_str("\\(ga"),
            '~' => out.push_str("\\(ti"),
            '\'' if out.is_empty() => out.push_str("\\&'"),
            '.' if out.is_empty() => out.push_str("\\&."),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_markers_is_replaced_and_the_rest_is_kept() {
        let page = "before\n.\\\" begin flags bench-codec\nold\n.\\\" end\nafter\n";
        let fresh = refreshed(page).unwrap();
        assert!(fresh.starts_with("before\n.\\\" begin flags bench-codec\n.Bl -tag"));
        assert!(fresh.contains(".It Fl -runs Ar N\n") && !fresh.contains("old"));
        assert!(fresh.ends_with(".El\n.\\\" end\nafter\n"));
        assert_eq!(refreshed(&fresh).unwrap(), fresh, "a second time changes nothing");
    }

    #[test]
    fn the_limits_are_those_of_the_program_in_whole_units() {
        assert_eq!([size(65_535), size(1 << 20), size(2_048)], ["65535 bytes", "1 MiB", "2 KiB"]);
        let limits = generated("limits").expect("a section");
        let text = format!(".It Text of a message\n{BODY_BYTES} bytes.\n");
        assert!(limits.contains(&text), "{limits}");
    }

    #[test]
    fn a_wrong_marker_is_named_by_its_line() {
        assert!(
            refreshed("a\n.\\\" begin flags nosuch\n.\\\" end\n").unwrap_err().contains("line 2")
        );
        assert!(refreshed(".\\\" begin subcommands\n").unwrap_err().contains("has no end"));
    }

    #[test]
    fn every_flag_and_variable_of_the_table_is_in_the_sections() {
        for subcommand in SUBCOMMANDS {
            let of =
                |what: &str| generated(&format!("{what} {}", subcommand.name)).expect("a section");
            let (flags, variables) = (of("flags"), of("variables"));
            for flag in subcommand.all_flags() {
                assert!(flags.contains(&format!("Fl -{}", escaped(flag.name))));
                assert!(flag.env.is_none_or(|variable| variables.contains(variable)));
            }
        }
    }
}
