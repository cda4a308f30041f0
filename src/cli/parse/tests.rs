//! The parser, case by case.

use super::*;
use crate::cli::table::row::{Kind, Set};
use crate::cli::table::{SUBCOMMANDS, find};
use crate::limits;

fn no_environment(_: &str) -> Option<OsString> {
    None
}

fn outcome(
    subcommand: &str,
    arguments: &[&str],
    environment: Environment<'_>,
) -> Result<Option<Values>, Error> {
    let arguments: Vec<String> = arguments.iter().map(|argument| argument.to_string()).collect();
    parse(find(subcommand).unwrap(), &arguments, environment)
}

fn good_in(subcommand: &str, arguments: &[&str], environment: Environment<'_>) -> Values {
    match outcome(subcommand, arguments, environment) {
        Ok(Some(values)) => values,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

fn good(subcommand: &str, arguments: &[&str]) -> Values {
    good_in(subcommand, arguments, &no_environment)
}

fn listened(values: Values) -> Vec<String> {
    values.serve.options.listen.iter().map(ToString::to_string).collect()
}

fn bad(subcommand: &str, arguments: &[&str]) -> String {
    match outcome(subcommand, arguments, &no_environment) {
        Err(error) => {
            assert_eq!(error.exit_code(), 2, "{error}");
            error.of(find(subcommand).unwrap().name).to_string()
        }
        Ok(values) => panic!("{arguments:?}: {values:?}"),
    }
}

#[test]
fn a_value_stands_after_the_flag_or_after_its_equals_sign() {
    let values = good("serve", &["--token-days", "3", "--data-dir=a=b", "--listen=:1"]);
    assert_eq!(values.serve.options.token_days, 3);
    assert_eq!(values.serve.options.data_dir, PathBuf::from("a=b"));
    assert_eq!(listened(values), [":1"]);
}

#[test]
fn what_is_not_given_has_the_tables_default_or_none() {
    let options = good("chat", &[]).chat.options;
    assert_eq!(options.servers, ["127.0.0.1:7262"]);
    assert_eq!(options.user, None);
    assert_eq!(options.timeout_ms, 10_000);
    assert!(!options.json);
}

#[test]
fn a_repeatable_flag_keeps_its_values_in_order_and_replaces_the_default() {
    let values = good("serve", &["--listen", ":1", "--listen=unix:/s"]);
    assert_eq!(listened(values), [":1", "unix:/s"]);
}

#[test]
fn two_dashes_end_the_flags_and_one_is_an_operand() {
    let path = |arguments: &[&str]| good("dump-log", arguments).dump_log.path;
    assert_eq!(path(&["--json", "--", "--verify"]), PathBuf::from("--verify"));
    assert_eq!(path(&["-"]), PathBuf::from("-"));
    let values = good("chat", &["--send", "bob", "--", "-5"]);
    assert_eq!(values.chat.operand.as_deref(), Some("-5"));
}

#[test]
fn help_is_asked_for_by_both_forms_wherever_it_stands_before_two_dashes() {
    for arguments in [&["--help"][..], &["-h"], &["--json", "-h", "--nonsense"]] {
        assert!(matches!(outcome("chat", arguments, &no_environment), Ok(None)));
    }
    assert_eq!(good("dump-log", &["--", "-h"]).dump_log.path, PathBuf::from("-h"));
}

#[test]
fn wrong_arguments_are_named_with_what_was_meant_or_expected() {
    for (subcommand, arguments, said) in [
        (
            "serve",
            &["--tokendays", "3"][..],
            "unknown flag '--tokendays'; did you mean '--token-days'?",
        ),
        ("serve", &["--frobnicate"], "unknown flag '--frobnicate'\n"),
        ("serve", &["-x"], "unknown flag '-x'"),
        ("serve", &["-hh"], "unknown flag '-hh'"),
        ("serve", &["--\u{1b}[2J"], "unknown flag '--\\u{1b}[2J'"),
        ("serve", &["--token-days"], "--token-days needs a value: --token-days DAYS"),
        ("chat", &["--user", "--create"], "--user needs a value: NAME; to give '--create'"),
        ("chat", &["--json=yes"], "--json takes no value"),
        ("chat", &["--user="], "--user: '' is invalid; expected NAME, not empty"),
        ("serve", &["--trace=loud"], "'loud' is invalid; expected error, warning, info or debug"),
        (
            "serve",
            &["--token-days=0"],
            "--token-days: '0' is invalid; expected a whole number from 1 to",
        ),
        ("chat", &["--user=a", "--user=b"], "--user is given twice"),
        ("serve", &["now"], "unexpected argument 'now'\n"),
        ("chat", &["--send", "bob", "a", "b"], "argument 'b'; quote a TEXT that has spaces"),
        ("dump-log", &[], "PATH is missing: data directory"),
        ("dump-log", &["a", "b"], "unexpected argument 'b'"),
        ("dump-log", &["a", "--from=-1"], "expected a whole number from 0 up"),
    ] {
        let error = bad(subcommand, arguments);
        assert!(error.contains(said), "{arguments:?}: {error}");
        let see = format!("see: chatctl help {subcommand}");
        assert!(error.starts_with(&format!("chatctl {subcommand}: ")) && error.ends_with(&see));
    }
}

#[test]
fn a_tilde_is_the_home_directory_wherever_a_file_is_named() {
    let environment = |name: &str| (name == "HOME").then(|| OsString::from("/home/eve"));
    for (given, path) in [
        ("~/x/y", "/home/eve/x/y"),
        ("~", "/home/eve"),
        ("~other/x", "~other/x"),
        ("a/~/x", "a/~/x"),
        ("/x~", "/x~"),
    ] {
        let flag = format!("--state-dir={given}");
        let values = good_in("chat", &[&flag], &environment);
        assert_eq!(values.chat.options.state_dir, Some(path.into()));
        // Without a home it is a name like any other.
        assert_eq!(good("chat", &[&flag]).chat.options.state_dir, Some(given.into()));
    }
}

#[test]
fn settings_are_found_where_the_desktop_keeps_them() {
    let home = std::env::temp_dir().join(format!("chatctl-settings-{}", std::process::id()));
    let write = |below: &str, text: &str| {
        let folder = home.join(below).join("chatctl");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("chat.conf"), text).unwrap();
    };
    let user = |arguments: &[&str], config_home: Option<&str>| -> Result<_, Error> {
        let environment = |name: &str| match name {
            "HOME" => Some(home.clone().into_os_string()),
            "XDG_CONFIG_HOME" => config_home.map(|below| match below {
                "relative" => OsString::from(below),
                below => home.join(below).into_os_string(),
            }),
            _ => None,
        };
        let values = outcome("chat", arguments, &environment)?;
        Ok(values.expect("help was not asked for").chat.options.user)
    };
    assert_eq!(user(&[], None).unwrap(), None, "a file that is not there is none");
    write(".config", "user = homely");
    write("xdg", "user = xdg");
    let found = |arguments, config_home| user(arguments, config_home).unwrap();
    assert_eq!(found(&[], None).as_deref(), Some("homely"));
    assert_eq!(found(&[], Some("xdg")).as_deref(), Some("xdg"));
    assert_eq!(found(&[], Some("relative")).as_deref(), Some("homely"));
    assert_eq!(found(&["--config=/dev/null"], Some("xdg")), None, "it is read in place of that");
    assert_eq!(found(&["--user=eve"], Some("xdg")).as_deref(), Some("eve"));
    write("xdg", "nonsense");
    let error = user(&[], Some("xdg")).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("chat.conf:1: expected `name = value`"), "{error}");
    std::fs::remove_dir_all(&home).unwrap();
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_file_and_default() {
    let path = std::env::temp_dir().join(format!("chatctl-parse-{}.conf", std::process::id()));
    std::fs::write(&path, "servers = file:1\nuser = filed\njson = true\ntimeout = 7\n").unwrap();
    let set = |name: &str| (name == "CHATCTL_SERVERS").then(|| OsString::from("env:1"));
    let file = format!("--config={}", path.display());
    let cases = [
        (&["--servers=flag:1", &file][..], "flag:1", Some("filed"), 7, &set as Environment<'_>),
        (&[&file, "--user=me", "--timeout=9"], "env:1", Some("me"), 9, &set),
        (&[&file], "file:1", Some("filed"), 7, &no_environment),
        (&[], "env:1", None, 10, &set),
        (&[], "127.0.0.1:7262", None, 10, &no_environment),
    ];
    for (arguments, servers, user, timeout, environment) in cases {
        let options = good_in("chat", arguments, environment).chat.options;
        assert_eq!(options.servers, [servers], "{arguments:?}");
        assert_eq!(options.user.as_deref(), user, "{arguments:?}");
        assert_eq!(options.timeout_ms, timeout * 1000, "{arguments:?}");
        assert_eq!(options.json, arguments.contains(&file.as_str()));
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn repeated_lines_of_the_file_repeat_the_flag_unless_the_command_line_gives_it() {
    let path = std::env::temp_dir().join(format!("chatctl-lines-{}.conf", std::process::id()));
    std::fs::write(&path, "listen = :1\nlisten = :2\n").unwrap();
    let file = format!("--config={}", path.display());
    assert_eq!(listened(good("serve", &[&file])), [":1", ":2"]);
    assert_eq!(listened(good("serve", &[&file, "--listen=:3"])), [":3"]);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_variable_that_is_empty_counts_as_not_set_and_one_that_is_not_text_is_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let empty = |_: &str| Some(OsString::new());
    assert_eq!(good_in("chat", &[], &empty).chat.options.servers, ["127.0.0.1:7262"]);
    let broken = |_: &str| Some(OsString::from_vec(vec![0xff]));
    let error = outcome("chat", &[], &broken).unwrap_err().to_string();
    assert!(error.contains("CHATCTL_SERVERS in the environment is not text in UTF-8"), "{error}");
}

#[test]
fn a_value_that_its_field_refuses_is_named_with_where_it_came_from() {
    let set = |name: &str| (name == "CHATCTL_SERVERS").then(|| OsString::from("::1"));
    let error = outcome("chat", &[], &set).unwrap_err().to_string();
    let said = "CHATCTL_SERVERS in the environment: '::1' is invalid; '::1' is not HOST[:PORT]";
    assert!(error.contains(said), "{error}");
    let path = std::env::temp_dir().join(format!("chatctl-refused-{}.conf", std::process::id()));
    std::fs::write(&path, "\nlisten = 7262\n").unwrap();
    let error = bad("serve", &["--config", path.to_str().unwrap()]);
    let said = format!("{}:2: listen: '7262' is invalid; ", path.display());
    assert!(error.contains(&said), "{error}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn every_flag_and_operand_sets_a_field_which_every_value_of_its_kind_fits() {
    for subcommand in SUBCOMMANDS {
        let of_flags = subcommand.flags.iter().filter_map(|flag| flag.operand.as_ref());
        for operand in subcommand.operands.iter().chain(of_flags) {
            let words = operand.name.split('|').filter(|_| operand.name.contains('|'));
            let texts: Vec<String> = words.map(str::to_owned).chain(["zsh".to_owned()]).collect();
            assert!(texts.iter().any(|text| is_set(operand.set, text) == Ok(true)), "{operand:?}");
        }
        for flag in subcommand.flags {
            let texts = match flag.kind {
                Kind::Switch => vec!["true".to_owned()],
                Kind::Number { min, max } => vec![min.to_string(), max.to_string()],
                Kind::Choice(words) => words.iter().map(|&word| word.to_owned()).collect(),
                Kind::Text => match flag.name {
                    "since" | "until" => vec!["2026-11-24".to_owned()],
                    "cluster" => vec!["a=h:1".to_owned()],
                    "listen" => vec![":1".to_owned()],
                    _ => vec!["name".to_owned()],
                },
            };
            let set: Result<Vec<bool>, String> =
                texts.iter().map(|text| is_set(flag.set, text)).collect();
            let set =
                set.unwrap_or_else(|why| panic!("{} --{}: {why}", subcommand.name, flag.name));
            assert!(set.contains(&true), "{} --{}", subcommand.name, flag.name);
        }
    }
}

/// Whether the text changes a value from its default.
fn is_set(set: Set, text: &str) -> Result<bool, String> {
    let mut values = Values::default();
    let before = format!("{values:?}");
    set(&mut values, text).map(|()| format!("{values:?}") != before)
}

#[test]
fn an_argument_that_is_not_text_is_refused_by_its_place() {
    use std::os::unix::ffi::OsStringExt;
    let arguments = vec![OsString::from("serve"), OsString::from_vec(vec![b'a', 0xff])];
    let error = arguments_as_text(arguments).unwrap_err().to_string();
    assert!(error.contains("argument 2, 'a"), "{error}");
}

#[test]
fn the_defaults_of_serve_are_those_of_the_limits() {
    let options = good("serve", &[]).serve.options;
    assert_eq!(options.segment_mib << 20, limits::WAL_SEGMENT_BYTES);
    assert_eq!(options.read_only_after_ms, limits::READ_ONLY_AFTER_MS);
    assert_eq!(options.election_timeout_ms, limits::RAFT_ELECTION_TIMEOUT_MS);
    assert_eq!(options.heartbeat_ms, limits::RAFT_HEARTBEAT_MS);
}
