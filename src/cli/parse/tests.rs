//! The parser, case by case.

use super::*;
use crate::cli::table::find;
use crate::limits;

fn no_environment(_: &str) -> Option<OsString> {
    None
}

fn outcome(
    subcommand: &str,
    arguments: &[&str],
    environment: Environment<'_>,
) -> Result<Request, Error> {
    let arguments: Vec<String> = arguments.iter().map(|argument| argument.to_string()).collect();
    parse(find(subcommand).unwrap(), &arguments, environment)
}

fn good(subcommand: &str, arguments: &[&str]) -> Parsed {
    match outcome(subcommand, arguments, &no_environment) {
        Ok(Request::Run(parsed)) => parsed,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

fn bad(subcommand: &str, arguments: &[&str]) -> String {
    match outcome(subcommand, arguments, &no_environment) {
        Err(error) => {
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        }
        Ok(request) => panic!("{arguments:?}: {request:?}"),
    }
}

#[test]
fn a_value_stands_after_the_flag_or_after_its_equals_sign() {
    let parsed = good("serve", &["--token-days", "3", "--data-dir=a=b", "--listen=:1"]);
    assert_eq!(parsed.number("token-days"), Some(3));
    assert_eq!(parsed.value("data-dir"), Some("a=b"));
    assert_eq!(parsed.values("listen"), [":1"]);
}

#[test]
fn what_is_not_given_has_the_tables_default_or_none() {
    let parsed = good("chat", &[]);
    assert_eq!(parsed.value("servers"), Some("127.0.0.1:7262"));
    assert_eq!(parsed.value("user"), None);
    assert_eq!(parsed.number_as::<u16>("timeout"), 10);
    assert!(!parsed.flag("json"));
}

#[test]
fn a_repeatable_flag_keeps_its_values_in_order_and_replaces_the_default() {
    let parsed = good("serve", &["--listen", ":1", "--listen=unix:/s"]);
    assert_eq!(parsed.values("listen"), [":1", "unix:/s"]);
}

#[test]
fn two_dashes_end_the_flags_and_one_is_an_operand() {
    assert_eq!(good("dump-log", &["--json", "--", "--verify"]).positionals(), ["--verify"]);
    assert_eq!(good("dump-log", &["-"]).positionals(), ["-"]);
    assert_eq!(good("chat", &["--send", "bob", "--", "-5"]).positionals(), ["-5"]);
}

#[test]
fn help_is_asked_for_by_both_forms_wherever_it_stands_before_two_dashes() {
    for arguments in [&["--help"][..], &["-h"], &["--json", "-h", "--nonsense"]] {
        assert!(matches!(outcome("chat", arguments, &no_environment), Ok(Request::Help)));
    }
    assert_eq!(good("dump-log", &["--", "-h"]).positionals(), ["-h"]);
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
        ("chat", &["--user", "--create"], "--user needs a value, NAME; if '--create' is meant"),
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
        ("chat", &["--send", "bob", "a", "b"], "argument 'b'; quote a TEXT of several words"),
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
        match outcome("chat", &[&flag], &environment) {
            Ok(Request::Run(parsed)) => assert_eq!(parsed.path("state-dir"), Some(path.into())),
            other => panic!("{given}: {other:?}"),
        }
        // Without a home it is a name like any other.
        match outcome("chat", &[&flag], &no_environment) {
            Ok(Request::Run(parsed)) => assert_eq!(parsed.path("state-dir"), Some(given.into())),
            other => panic!("{given}: {other:?}"),
        }
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
        match outcome("chat", arguments, &environment)? {
            Request::Run(parsed) => Ok(parsed.value("user").map(str::to_owned)),
            Request::Help => panic!("help was not asked for"),
        }
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
        let Ok(Request::Run(parsed)) = outcome("chat", arguments, environment) else {
            panic!("{arguments:?} is good");
        };
        assert_eq!(parsed.value("servers"), Some(servers), "{arguments:?}");
        assert_eq!(parsed.value("user"), user, "{arguments:?}");
        assert_eq!(parsed.number("timeout"), Some(timeout), "{arguments:?}");
        assert_eq!(parsed.flag("json"), arguments.contains(&file.as_str()));
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn repeated_lines_of_the_file_repeat_the_flag_unless_the_command_line_gives_it() {
    let path = std::env::temp_dir().join(format!("chatctl-lines-{}.conf", std::process::id()));
    std::fs::write(&path, "listen = :1\nlisten = :2\n").unwrap();
    let file = format!("--config={}", path.display());
    assert_eq!(good("serve", &[&file]).values("listen"), [":1", ":2"]);
    assert_eq!(good("serve", &[&file, "--listen=:3"]).values("listen"), [":3"]);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_variable_that_is_empty_counts_as_not_set_and_one_that_is_not_text_is_an_error() {
    use std::os::unix::ffi::OsStringExt;
    let empty = |_: &str| Some(OsString::new());
    let Ok(Request::Run(parsed)) = outcome("chat", &[], &empty) else { panic!("empty is unset") };
    assert_eq!(parsed.value("servers"), Some("127.0.0.1:7262"));
    let broken = |_: &str| Some(OsString::from_vec(vec![0xff]));
    let error = outcome("chat", &[], &broken).unwrap_err().to_string();
    assert!(error.contains("CHATCTL_SERVERS in the environment is not text in UTF-8"), "{error}");
}

#[test]
fn a_value_refused_by_the_subcommand_is_named_with_where_it_came_from() {
    let set = |_: &str| Some(OsString::from("nowhere"));
    let Ok(Request::Run(parsed)) = outcome("chat", &[], &set) else { panic!("any text parses") };
    let refuse = |_: &str| Err::<(), _>("expected HOST:PORT");
    let error = parsed.read_values("servers", refuse).unwrap_err().to_string();
    let said = "CHATCTL_SERVERS in the environment: 'nowhere' is invalid; expected HOST:PORT";
    assert!(error.contains(said), "{error}");
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
    let parsed = good("serve", &[]);
    let number = |flag| parsed.number(flag).expect("it has a default");
    assert_eq!(number("segment-mib") << 20, u64::from(limits::WAL_SEGMENT_BYTES));
    assert_eq!(number("read-only-after-ms"), limits::READ_ONLY_AFTER_MS);
    assert_eq!(number("election-timeout-ms"), limits::RAFT_ELECTION_TIMEOUT_MS);
    assert_eq!(number("heartbeat-ms"), limits::RAFT_HEARTBEAT_MS);
}
