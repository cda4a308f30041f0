//! Completions for zsh: a function for its completion system, in terms of `_arguments`.

use super::hint::{Hint, first_sentence, spellings};
use crate::cli::table::SUBCOMMANDS;
use crate::cli::table::row::{Flag, HELP, Operand, Subcommand, VERSION};

pub fn script() -> String {
    let mut out = String::from(
        "#compdef chatctl\n\
         # zsh completion for chatctl, made by: chatctl completions zsh\n\n\
         _chatctl() {\n    \
             local curcontext=$curcontext state line ret=1\n    \
             typeset -A opt_args\n    \
             local -a subcommands=(\n",
    );
    for subcommand in SUBCOMMANDS {
        out.push_str(&format!("        '{}:{}'\n", subcommand.name, quoted(subcommand.summary)));
    }
    out.push_str("    )\n    _arguments -C \\\n");
    for flag in [&HELP, &VERSION] {
        put_flag(&mut out, "        ", flag);
    }
    out.push_str(
        "        '1: :->subcommand' '*:: :->arguments' && ret=0\n    \
         case $state in\n    \
         subcommand)\n        \
             _describe -t commands subcommand subcommands -- '(help:\"show the help\")' && ret=0\n        \
             ;;\n    \
         arguments)\n        \
             curcontext=${curcontext%:*:*}:chatctl-$words[1]:\n        \
             case $words[1] in\n        \
             help)\n            \
                 _arguments '1: :->subcommand' && ret=0\n            \
                 [[ $state == subcommand ]] && _describe subcommand subcommands && ret=0\n            \
                 ;;\n",
    );
    for subcommand in SUBCOMMANDS {
        put_subcommand(&mut out, subcommand);
    }
    out.push_str(
        "        esac\n        ;;\n    esac\n    return ret\n}\n\n\
         if [[ $funcstack[1] == _chatctl ]]; then\n    \
             _chatctl \"$@\"\n\
         else\n    \
             compdef _chatctl chatctl\n\
         fi\n",
    );
    out
}

fn put_subcommand(out: &mut String, subcommand: &Subcommand) {
    out.push_str(&format!("        {})\n            _arguments -s \\\n", subcommand.name));
    for flag in subcommand.all_flags() {
        put_flag(out, "                ", flag);
    }
    for (place, operand) in (1..).zip(subcommand.operands) {
        put_operand(out, place, operand);
    }
    out.push_str("                && ret=0\n            ;;\n");
}

/// A specification for each spelling; one excludes the other unless the flag can be repeated.
fn put_flag(out: &mut String, indent: &str, flag: &Flag) {
    let spellings: Vec<String> = spellings(flag).collect();
    for spelling in &spellings {
        let before = match flag.repeatable {
            true => "*".to_string(),
            false if flag.name == HELP.name || flag.name == VERSION.name => "(- *)".to_string(),
            false => format!("({})", spellings.join(" ")),
        };
        let equals = match (flag.takes_value(), spelling.starts_with("--")) {
            (true, true) => "=",
            _ => "",
        };
        let help = escaped(first_sentence(flag.help), &['[', ']']);
        out.push_str(&format!("{indent}'{before}{spelling}{equals}[{}]", quoted(&help)));
        if flag.takes_value() {
            let value = escaped(flag.value, &[':']);
            out.push_str(&format!(":{}:{}", quoted(&value), action(&Hint::of_flag(flag))));
        }
        out.push_str("' \\\n");
    }
}

fn put_operand(out: &mut String, place: usize, operand: &Operand) {
    let colons = if operand.required { ":" } else { "::" };
    let name = escaped(operand.name, &[':']);
    let action = action(&Hint::of_operand(operand));
    out.push_str(&format!("                '{place}{colons}{}:{action}' \\\n", quoted(&name)));
}

fn action(hint: &Hint) -> String {
    match hint {
        Hint::Anything => " ".to_string(),
        Hint::File => "_files".to_string(),
        Hint::Directory => "_files -/".to_string(),
        Hint::Words(words) => format!("({})", words.join(" ")),
    }
}

/// Text with a backslash before each of `special` and before backslashes.
fn escaped(text: &str, special: &[char]) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c == '\\' || special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Text for between single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}
