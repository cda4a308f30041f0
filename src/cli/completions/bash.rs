//! Completions for bash: one function, which bash asks for words.

use super::hint::{Hint, spellings, spellings_of};
use crate::cli::table::SUBCOMMANDS;
use crate::cli::table::row::Subcommand;

/// How the function begins. bash takes an equals sign for a word of its own, so `--trace=info` is
/// three words.
const BEGIN: &str = r#"# bash completion for chatctl, made by: chatctl completions bash

_chatctl_words() {
    mapfile -t COMPREPLY < <(compgen -W "$2" -- "$1")
}

_chatctl_paths() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$2" -- "$1")
}

_chatctl() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    if [[ $word == = ]]; then
        word=
    elif [[ $before == = ]]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
"#;

const END: &str = "    esac
}

complete -F _chatctl chatctl
";

pub fn script() -> String {
    let names: Vec<&str> = SUBCOMMANDS.iter().map(|subcommand| subcommand.name).collect();
    let names = names.join(" ");
    let mut out = String::from(BEGIN);
    out.push_str("    if ((COMP_CWORD == 1)); then\n");
    put_words(&mut out, &format!("{names} help --help --version"));
    out.push_str("        return\n    fi\n");
    out.push_str("    case ${COMP_WORDS[1]}:$before in\n");
    out.push_str("    help:help)\n");
    put_words(&mut out, &names);
    out.push_str("        ;;\n");
    for subcommand in SUBCOMMANDS {
        put_subcommand(&mut out, subcommand);
    }
    out.push_str(END);
    out
}

/// A case for each flag that takes a value, and one for all else: operands and flags.
fn put_subcommand(out: &mut String, subcommand: &Subcommand) {
    let name = subcommand.name;
    for flag in subcommand.all_flags().filter(|flag| flag.takes_value()) {
        let patterns: Vec<String> =
            spellings(flag).map(|spelling| format!("{name}:{spelling}")).collect();
        out.push_str(&format!("    {})\n", patterns.join("|")));
        put_hint(out, &Hint::of_flag(flag));
        out.push_str("        ;;\n");
    }
    out.push_str(&format!("    {name}:*)\n"));
    let flags = spellings_of(subcommand);
    match subcommand.operands.first().map(Hint::of_operand) {
        None | Some(Hint::Anything) => put_words(out, &flags),
        Some(hint) => {
            out.push_str("        if [[ $word == -* ]]; then\n");
            put_words(out, &flags);
            out.push_str("        else\n");
            put_hint(out, &hint);
            out.push_str("        fi\n");
        }
    }
    out.push_str("        ;;\n");
}

fn put_hint(out: &mut String, hint: &Hint) {
    match hint {
        Hint::Anything => out.push_str("        :\n"),
        Hint::File => out.push_str("        _chatctl_paths \"$word\" -f\n"),
        Hint::Directory => out.push_str("        _chatctl_paths \"$word\" -d\n"),
        Hint::Words(words) => put_words(out, &words.join(" ")),
    }
}

fn put_words(out: &mut String, words: &str) {
    out.push_str(&format!("        _chatctl_words \"$word\" '{words}'\n"));
}
