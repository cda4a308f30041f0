//! Completions for fish: a line for each subcommand, flag and operand, with the condition under
//! which it is offered.

use super::hint::{Hint, first_sentence};
use crate::cli::table::SUBCOMMANDS;
use crate::cli::table::row::{Flag, HELP, Subcommand, VERSION};

/// The conditions: that no subcommand is there yet, or that it is the one of this name.
const BEGIN: &str = "# fish completion for chatctl, made by: chatctl completions fish

function __chatctl_has_none
    test (count (commandline -opc)) -eq 1
end

function __chatctl_runs
    set -l words (commandline -opc)
    test (count $words) -gt 1; and test $words[2] = $argv[1]
end

complete -c chatctl -f
";

pub fn script() -> String {
    let mut out = String::from(BEGIN);
    for flag in [&HELP, &VERSION] {
        put_flag(&mut out, "__chatctl_has_none", flag);
    }
    for subcommand in SUBCOMMANDS {
        put_name(&mut out, "__chatctl_has_none", subcommand.name, subcommand.summary);
        put_name(&mut out, "__chatctl_runs help", subcommand.name, subcommand.summary);
    }
    put_name(&mut out, "__chatctl_has_none", "help", "show the help");
    for subcommand in SUBCOMMANDS {
        put_subcommand(&mut out, subcommand);
    }
    out
}

fn put_name(out: &mut String, condition: &str, name: &str, summary: &str) {
    let summary = quoted(summary);
    out.push_str(&format!("complete -c chatctl -n '{condition}' -a {name} -d '{summary}'\n"));
}

fn put_subcommand(out: &mut String, subcommand: &Subcommand) {
    let condition = format!("__chatctl_runs {}", subcommand.name);
    out.push('\n');
    for flag in subcommand.all_flags() {
        put_flag(out, &condition, flag);
    }
    for operand in subcommand.operands {
        let offered = arguments(&Hint::of_operand(operand));
        let help = quoted(first_sentence(operand.help));
        out.push_str(&format!("complete -c chatctl -n '{condition}'{offered} -d '{help}'\n"));
    }
}

fn put_flag(out: &mut String, condition: &str, flag: &Flag) {
    out.push_str(&format!("complete -c chatctl -n '{condition}' -l {}", flag.name));
    if let Some(short) = flag.short {
        out.push_str(&format!(" -s {short}"));
    }
    if flag.takes_value() {
        out.push_str(" -r");
        out.push_str(&arguments(&Hint::of_flag(flag)));
    }
    out.push_str(&format!(" -d '{}'\n", quoted(first_sentence(flag.help))));
}

/// What is offered for a value or an operand.
fn arguments(hint: &Hint) -> String {
    match hint {
        Hint::Anything => " -f".to_string(),
        Hint::File => " -F".to_string(),
        Hint::Directory => " -f -a '(__fish_complete_directories)'".to_string(),
        Hint::Words(words) => format!(" -f -a '{}'", words.join(" ")),
    }
}

/// Text for between single quotes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
