//! `chatctl chat`.

use super::error::Error;
use super::parse::Environment;
use super::values::Chat;
use crate::client::{self, Action, PasswordFrom};

/// The variable with the password if no file is given.
const PASSWORD: &str = "CHATCTL_PASSWORD";

/// Runs `chatctl chat`.
pub fn run(values: Chat, environment: Environment<'_>) -> Result<u8, Error> {
    client::run(options(values, environment)?).map_err(|error| match error.exit_code() {
        2 => Error::usage(error.to_string()),
        _ => Error::failed(error),
    })
}

/// The options of the client.
pub fn options(values: Chat, environment: Environment<'_>) -> Result<client::Options, Error> {
    let action = action(&values)?;
    let mut options = values.options;
    if let PasswordFrom::Ask = options.password {
        options.password = password(environment)?;
    }
    Ok(client::Options { action, ..options })
}

fn password(environment: Environment<'_>) -> Result<PasswordFrom, Error> {
    let Some(value) = environment(PASSWORD).filter(|value| !value.is_empty()) else {
        return Ok(PasswordFrom::Ask);
    };
    match value.into_string() {
        Ok(password) => Ok(PasswordFrom::Value(password)),
        Err(_) => Err(Error::usage(format!("{PASSWORD} in the environment is not UTF-8"))),
    }
}

fn action(values: &Chat) -> Result<Action, Error> {
    let Chat { send, history, list, inbox, operand, .. } = values;
    let send = send.clone().map(|to| match operand.as_deref() {
        Some("-") => Action::SendInput { to },
        _ => Action::Send { to, text: operand.clone() },
    });
    let history = history.clone().map(|with| Action::History { with });
    let list = list.then(|| Action::List { pattern: operand.clone().unwrap_or_default() });
    let inbox = inbox.then_some(Action::Inbox);
    let mut actions = [send, history, list, inbox].into_iter().flatten();
    match (actions.next(), actions.next()) {
        (None, _) => Ok(Action::Chat),
        (Some(action), None) => Ok(action),
        (Some(one), Some(other)) => {
            let (one, other) = (one.name(), other.name());
            Err(Error::usage(format!("{one} and {other} cannot be given together")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::parse;
    use crate::cli::table::find;
    use crate::client::Notify;
    use crate::client::commands::Old;
    use crate::protocol::framing::Codec;
    use std::ffi::OsString;
    use std::path::PathBuf;

    fn options_of(arguments: &[&str]) -> Result<client::Options, Error> {
        let arguments: Vec<String> = arguments.iter().map(|text| text.to_string()).collect();
        let environment = |name: &str| (name == PASSWORD).then(|| OsString::from("sesame"));
        let values = parse(find("chat").unwrap(), &arguments, &environment)?;
        options(values.expect("help was not asked for").chat, &environment)
    }

    #[test]
    fn without_flags_it_chats_with_the_server_of_this_machine() {
        let options = options_of(&[]).unwrap();
        assert_eq!(options.servers, ["127.0.0.1:7262"]);
        assert_eq!((options.action, options.timeout_ms), (Action::Chat, 10_000));
        assert!(!options.plain && !options.screen.bell && options.screen.mouse);
        assert_eq!(options.screen.sidebar, None);
        assert_eq!((options.screen.notify, options.screen.notify_command), (Notify::Off, None));
        assert!(matches!(options.password, PasswordFrom::Value(password) if password == "sesame"));
    }

    #[test]
    fn a_server_without_a_port_is_at_the_default_one() {
        for (given, address) in [
            ("chat.example", "chat.example:7262"),
            ("10.0.0.1", "10.0.0.1:7262"),
            ("[::1]", "[::1]:7262"),
            ("[::1]:1", "[::1]:1"),
            ("h:1", "h:1"),
            ("unix:/s", "unix:/s"),
        ] {
            assert_eq!(options_of(&["--servers", given]).unwrap().servers, [address]);
        }
    }

    #[test]
    fn every_flag_reaches_its_option() {
        let options = options_of(&[
            "--servers=a:1, unix:/s",
            "--user=alice",
            "--create",
            "--password-file=f",
            "--protocol=json",
            "--state-dir=d",
            "--json",
            "--timeout=3",
            "--old=send",
            "--limit=4",
            "--plain",
            "--bell",
            "--sidebar=20",
            "--mouse=off",
            "--notify=osc777",
            "--notify-command=/n",
            "--history=bob",
        ]);
        let options = options.unwrap();
        assert_eq!(options.servers, ["a:1", "unix:/s"]);
        assert_eq!(options.user.as_deref(), Some("alice"));
        assert!(options.create && options.json);
        assert!(matches!(options.password, PasswordFrom::File(path) if path.as_os_str() == "f"));
        assert!(matches!(options.codec, Codec::Json));
        assert_eq!(options.state_dir, Some(PathBuf::from("d")));
        assert_eq!((options.timeout_ms, options.limit), (3000, 4));
        assert_eq!(options.old, Old::Send);
        assert!(options.plain && options.screen.bell && !options.screen.mouse);
        assert_eq!(options.screen.sidebar, Some(20));
        assert_eq!(options.screen.notify, Notify::Osc777);
        assert_eq!(options.screen.notify_command, Some(PathBuf::from("/n")));
        assert_eq!(options.action, Action::History { with: "bob".into() });
    }

    #[test]
    fn a_configuration_file_sets_the_screen() {
        let name = format!("chatctl-screen-{}.conf", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, "bell = true\nsidebar = 0\nplain = false\nmouse = off\n").unwrap();
        let options = options_of(&["--config", file.to_str().unwrap()]);
        std::fs::remove_file(&file).unwrap();
        let options = options.unwrap();
        assert!(!options.plain && options.screen.bell && !options.screen.mouse);
        assert_eq!(options.screen.sidebar, Some(0));
    }

    #[test]
    fn an_action_takes_the_operand_that_belongs_to_it() {
        let send =
            |text: Option<&str>| Action::Send { to: "bob".into(), text: text.map(Into::into) };
        let list = |pattern: &str| Action::List { pattern: pattern.into() };
        for (arguments, action) in [
            (&["--send", "bob", "hello there"][..], send(Some("hello there"))),
            (&["--send", "bob"], send(None)),
            (&["--send", "bob", "-"], Action::SendInput { to: "bob".into() }),
            (&["hello", "--send=bob"], send(Some("hello"))),
            (&["--list"], list("")),
            (&["--list", "a*"], list("a*")),
            (&["--inbox"], Action::Inbox),
        ] {
            assert_eq!(options_of(arguments).unwrap().action, action, "{arguments:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_a_usage_error() {
        for (arguments, said) in [
            (&["--send=bob", "--inbox"][..], "--send and --inbox cannot be given together"),
            (
                &["--servers=a:1,b:c"],
                "--servers: 'a:1,b:c' is invalid; 'b:c' is not HOST[:PORT] or unix:PATH",
            ),
            (&["--servers=a:0"], "'a:0' is not HOST[:PORT] or unix:PATH: the port is 0"),
            (&["--servers=a,"], "'' is not HOST[:PORT]"),
            (&["--servers=::1"], "an IPv6 address needs brackets"),
            (&["hello"], "unexpected argument 'hello'"),
            (&["--inbox", "hello"], "unexpected argument 'hello'"),
        ] {
            let error = options_of(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(said), "{arguments:?}: {error}");
        }
    }
}
