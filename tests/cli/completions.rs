//! The completions, asked for in real shells as a person would: the tab key, or the shell's own way
//! to ask what it would offer.

use super::{chatctl, said};
use crate::support::TempDir;
use crate::support::bounded::Run;
use chatctl::cli::completions;
use std::fs;
use std::process::Command;

fn script(shell: &str) -> String {
    completions::script(shell.parse().expect("a known shell"))
}

/// What the shell prints for `program`, run where the scripts for it are; where there is no such
/// shell, says so and gives nothing.
fn asked(shell: &str, arguments: &[&str], program: &str) -> Option<String> {
    let dir = TempDir::new("completions");
    let path = |name: &str| dir.path().join(name);
    fs::write(path(&format!("chatctl.{shell}")), script(shell)).unwrap();
    fs::create_dir_all(path("functions")).unwrap();
    fs::write(path("functions/_chatctl"), script("zsh")).unwrap();
    fs::create_dir_all(path("folder/data")).unwrap();
    fs::write(path("folder/dated"), "").unwrap();
    let output = Command::new(shell)
        .args(arguments)
        .arg(program)
        .current_dir(dir.path())
        .env("HOME", dir.path())
        .env_remove("ZDOTDIR")
        .try_run();
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: {shell} is not installed");
            return None;
        }
        output => output.unwrap(),
    };
    let (code, out, error) = said(&output);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{shell}: {out}");
    Some(out)
}

#[test]
fn bash_completes_subcommands_flags_and_values() {
    let cases = [
        ("d", "dump-log"),
        ("serve --tra", "--trace"),
        ("serve --trace d", "debug"),
        ("serve --trace = d", "debug"),
        ("serve --trace =", "error warning info debug"),
        ("serve --data-dir folder/da", "folder/data"),
        ("serve --config folder/da", "folder/data folder/dated"),
        ("serve --id a", ""),
        ("dump-log folder/da", "folder/data folder/dated"),
        ("dump-log --verify --js", "--json"),
        ("dump-log -f --fr", "--from"),
        ("completions z", "zsh"),
        ("help ser", "serve"),
        ("--ver", "--version"),
    ];
    let mut program = String::from(
        "source ./chatctl.bash\n\
         complete -p chatctl >/dev/null\n\
         try() {\n\
             COMP_WORDS=(chatctl \"$@\") COMP_CWORD=$#\n\
             _chatctl\n\
             printf '%s\\n' \"${COMPREPLY[@]}\" | sort | paste -sd ' '\n\
         }\n",
    );
    for (typed, _) in cases {
        program.push_str(&format!("try {typed}\n"));
    }
    let Some(out) = asked("bash", &["--norc", "-c"], &program) else { return };
    assert_eq!(out.lines().count(), cases.len(), "{out}");
    for ((typed, expected), offered) in cases.iter().zip(out.lines()) {
        let sorted = |words: &str| {
            let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(sorted(offered), sorted(expected), "chatctl {typed}");
    }
}

#[test]
fn fish_completes_subcommands_flags_and_values() {
    let cases = [
        ("d", "dump-log"),
        ("serve --tra", "--trace"),
        ("serve --trace d", "debug"),
        ("serve --trace=d", "--trace=debug"),
        ("serve --data-dir folder/da", "folder/data/"),
        ("serve --config folder/date", "folder/dated"),
        ("dump-log folder/date", "folder/dated"),
        ("completions z", "zsh"),
        ("help ser", "serve"),
        ("--ver", "--version"),
    ];
    let mut program = String::from("source ./chatctl.fish\n");
    for (typed, _) in cases {
        program.push_str(&format!("complete -C 'chatctl {typed}'; echo\n"));
    }
    let Some(out) = asked("fish", &["--no-config", "-c"], &program) else { return };
    let offered: Vec<&str> = out.split("\n\n").collect();
    for ((typed, expected), offered) in cases.iter().zip(offered) {
        let words: Vec<&str> =
            offered.trim().lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(words, [*expected], "chatctl {typed}: {out}");
    }
}

/// Types each line and a tab into a zsh of its own, and reads back what stands in its editor.
const IN_ZSH: &str = r#"
zmodload zsh/zpty
zpty typed zsh -f -i
zpty -w typed "PS1='%% '; fpath=($PWD/functions \$fpath); autoload -Uz compinit
compinit -u -d $PWD/dump
show() { print -r -- \"[[\$BUFFER]]\"; zle kill-whole-line }
zle -N show; bindkey '^X' show; print is''ready"
zpty -r typed out '*isready*'
for line in "$@"; do
    zpty -w -n typed "chatctl $line"$'\t\x18'
    zpty -r typed out '*\[\[*\]\]*'
    print -r -- ${${${out##*\[\[}%%\]\]*}% }
done
zpty -d typed
"#;

#[test]
fn zsh_completes_subcommands_flags_and_values() {
    let cases = [
        ("dum", "dump-log"),
        ("serve --tra", "serve --trace="),
        ("serve --trace d", "serve --trace debug"),
        ("serve --trace=d", "serve --trace=debug"),
        ("serve --data-dir fol", "serve --data-dir folder/"),
        ("serve --data-dir folder/d", "serve --data-dir folder/data/"),
        ("serve --config folder/date", "serve --config folder/dated"),
        ("dump-log folder/date", "dump-log folder/dated"),
        ("completions z", "completions zsh"),
        ("help comp", "help completions"),
        ("--ver", "--version"),
    ];
    let words: String = cases.iter().map(|(typed, _)| format!("'{typed}' ")).collect();
    let program = format!("set -- {words}\n{IN_ZSH}");
    let Some(out) = asked("zsh", &["-f", "-c"], &program) else { return };
    assert_eq!(out.lines().count(), cases.len(), "{out}");
    for ((typed, expected), offered) in cases.iter().zip(out.lines()) {
        assert_eq!(offered, format!("chatctl {expected}"), "chatctl {typed}");
    }
}

#[test]
fn the_subcommand_prints_the_script_of_a_shell_and_refuses_another() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, error) = said(&chatctl(&["completions", shell]).run());
        assert_eq!((code, error.as_str()), (Some(0), ""));
        assert_eq!(out, script(shell));
    }
    let (code, out, error) = said(&chatctl(&["completions", "csh"]).run());
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(error.contains("no completions for 'csh'; expected one of bash, zsh, fish"), "{error}");
}
