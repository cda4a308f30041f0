//! The command line from outside: the built binary, its exit codes and what it says.

mod bench_load;
mod completions;
mod demo;
mod dump_log;
mod examples;
mod install;
mod man;
mod members;
mod recover;

use crate::support::bounded::{Pipes, Run, output_of};
use crate::support::{TempDir, chatctl};
use chatctl::cli::table;
use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

pub fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

pub fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    said(&chatctl(arguments).run())
}

#[test]
fn alone_it_says_on_standard_error_how_to_go_on_and_ends_with_2() {
    let (code, out, error) = run(&[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(error.starts_with("Usage: chatctl SUBCOMMAND"), "{error}");
    assert!(error.contains("dump-log"), "{error}");
}

#[test]
fn version_and_help_go_to_standard_output_and_end_with_0() {
    let (code, version, error) = run(&["--version"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let commit = version.strip_prefix(concat!("chatctl ", env!("CARGO_PKG_VERSION"), " ("));
    let commit = commit.and_then(|rest| rest.strip_suffix(")\n")).unwrap_or_else(|| {
        panic!("the version is followed by the commit in brackets: {version}");
    });
    let hex = commit.trim_end_matches("-dirty").bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(hex || commit.starts_with("commit unknown"), "{version}");
    assert_eq!(run(&["-V"]), (Some(0), version, String::new()));
    let (code, overview, error) = run(&["help"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    for arguments in [&["--help"][..], &["-h"], &["help", "help"]] {
        assert_eq!(run(arguments), (Some(0), overview.clone(), String::new()));
    }
    for name in table::SUBCOMMANDS.iter().map(|subcommand| subcommand.name) {
        assert!(overview.contains(name), "{overview}");
        let (code, help, error) = run(&["help", name]);
        assert_eq!((code, error.as_str()), (Some(0), ""));
        assert!(help.starts_with(&format!("Usage: chatctl {name} ")), "{help}");
        for arguments in [&[name, "--help"], &[name, "-h"]] {
            assert_eq!(run(arguments), (Some(0), help.clone(), String::new()));
        }
    }
}

#[test]
fn a_mistyped_word_ends_with_2_and_the_nearest_one() {
    for (arguments, meant) in [
        (&["sevre"][..], "unknown subcommand 'sevre'; did you mean 'serve'?"),
        (&["--verison"], "unknown flag '--verison'; did you mean '--version'?"),
        (&["version"], "unknown subcommand 'version'; did you mean '--version'?"),
        (&["help", "chta"], "unknown subcommand 'chta'; did you mean 'chat'?"),
        (&["serve", "--data-dri=x"], "unknown flag '--data-dri'; did you mean '--data-dir'?"),
        (&["chat", "--sned", "bob"], "unknown flag '--sned'; did you mean '--send'?"),
        (&["--data-dir=x", "serve"], "'--data-dir=x' comes after a subcommand"),
        (&["--version", "now"], "unexpected argument 'now' after --version"),
        (&["help", "serve", "now"], "unexpected argument 'now' after help"),
        (&["\u{1b}[31m"], "unknown subcommand '\\u{1b}[31m'"),
        (&[""], "unknown subcommand ''"),
    ] {
        let (code, out, error) = run(arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {error}");
        assert!(error.contains(meant), "{arguments:?}: {error}");
        assert!(error.contains("\nsee: chatctl help"), "{arguments:?}: {error}");
        assert!(!error.contains('\u{1b}'), "{arguments:?}: an escape reaches the terminal");
    }
}

#[test]
fn an_argument_that_is_not_text_is_refused_without_a_panic() {
    use std::os::unix::ffi::OsStrExt;
    let broken = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let (code, _, error) = said(&chatctl(&["serve"]).arg(broken).run());
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("argument 2") && error.contains("not UTF-8"), "{error}");
}

#[test]
fn a_wrong_line_of_the_configuration_file_is_named_by_file_and_line() {
    let dir = TempDir::new("config");
    let path = dir.path().join("server.conf");
    let file = path.to_str().unwrap();
    for (text, said) in [
        ("# fine\ntokendays = 3\n", ":2: unknown setting 'tokendays'; did you mean 'token-days'?"),
        ("token-days = never\n", ":1: token-days: 'never' is invalid; expected a whole number"),
        ("listen\n", ":1: expected `name = value`"),
    ] {
        fs::write(&path, text).unwrap();
        let (code, out, error) = run(&["serve", "--config", file]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(error.contains(&format!("{file}{said}")), "{error}");
    }
    let (code, _, error) = run(&["serve", "--config", "/nonexistent/file"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("cannot read /nonexistent/file"), "{error}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child =
        chatctl(&["help", "serve"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.close_output();
    let (code, _, error) = said(&output_of(child));
    // It may have written all before the pipe was closed; either way nothing is wrong.
    assert_eq!((code, error.as_str()), (Some(0), ""));
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full is there");
    let mut help = chatctl(&["help"]);
    let child = help.stdout(full).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let (code, _, error) = said(&output_of(child));
    assert_eq!(code, Some(1), "{error}");
    assert!(error.starts_with("chatctl: cannot write the output: "), "{error}");
    std::io::stdout().flush().unwrap();
}
