//! `chatctl chat`: from checked values to [`client::Options`].

use std::io::Write;

use super::error::Error;
use super::parse::{Environment, Parsed};
use crate::client::commands::Old;
use crate::client::{self, Action, Notify, PasswordFrom, ScreenOptions};
use crate::net::address;
use crate::protocol::framing::Codec;

/// The variable that holds the password where no file is given.
const PASSWORD: &str = "CHATCTL_PASSWORD";

/// Runs `chatctl chat`.
pub fn run(parsed: &Parsed, environment: Environment<'_>, _: &mut dyn Write) -> Result<u8, Error> {
    client::run(options(parsed, environment)?).map_err(|error| match error.exit_code() {
        2 => parsed.wrong(error.to_string()),
        _ => Error::failed(parsed.subcommand().name, error),
    })
}

/// The options of the client that the values ask for.
pub fn options(parsed: &Parsed, environment: Environment<'_>) -> Result<client::Options, Error> {
    let servers = server_list(parsed)?;
    let mut codec = parsed.read_values("protocol", |name| match name {
        "json" => Ok(Codec::Json),
        "binary" => Ok(Codec::Binary),
        _ => Err("expected json or binary"),
    })?;
    Ok(client::Options {
        servers,
        user: parsed.value("user").map(str::to_string),
        create: parsed.flag("create"),
        password: password(parsed, environment)?,
        codec: codec.pop().unwrap_or(Codec::Binary),
        state_dir: parsed.path("state-dir"),
        json: parsed.flag("json"),
        timeout_ms: parsed.number_as::<u64>("timeout") * 1000,
        action: action(parsed)?,
        old: match parsed.value("old") {
            Some("send") => Old::Send,
            Some("drop") => Old::Drop,
            _ => Old::Show,
        },
        limit: parsed.value("limit").map_or(0, |_| parsed.number_as("limit")),
        plain: parsed.flag("plain"),
        screen: ScreenOptions {
            bell: parsed.flag("bell"),
            sidebar: parsed.value("sidebar").map(|_| parsed.number_as("sidebar")),
            mouse: parsed.value("mouse") == Some("on"),
            notify: match parsed.value("notify") {
                Some("osc9") => Notify::Osc9,
                Some("osc777") => Notify::Osc777,
                _ => Notify::Off,
            },
            notify_command: parsed.path("notify-command"),
        },
    })
}

/// The value of `--servers`, where clients reach servers.
pub fn server_list(parsed: &Parsed) -> Result<Vec<String>, Error> {
    let lists = parsed.read_values("servers", |list| {
        list.split(',').map(|server| server_address(server.trim())).collect::<Result<Vec<_>, _>>()
    })?;
    Ok(lists.into_iter().flatten().collect())
}

/// `HOST`, `HOST:PORT` or `unix:PATH`, with the default port where it names none. Whether there is such
/// a server is found out by connecting.
fn server_address(text: &str) -> Result<String, String> {
    let address = address::with_port(text, address::CLIENT_PORT);
    match address::client_address(&address) {
        Ok(()) => Ok(address),
        Err(why) => {
            Err(format!("'{}' is not HOST[:PORT] or unix:PATH: {why}", text.escape_debug()))
        }
    }
}

fn password(parsed: &Parsed, environment: Environment<'_>) -> Result<PasswordFrom, Error> {
    if let Some(path) = parsed.path("password-file") {
        return Ok(PasswordFrom::File(path));
    }
    let Some(value) = environment(PASSWORD).filter(|value| !value.is_empty()) else {
        return Ok(PasswordFrom::Ask);
    };
    match value.into_string() {
        Ok(password) => Ok(PasswordFrom::Value(password)),
        Err(_) => Err(parsed.wrong(format!("{PASSWORD} in the environment is not UTF-8"))),
    }
}

fn action(parsed: &Parsed) -> Result<Action, Error> {
    let operand = parsed.positionals().first().cloned();
    let mut actions = Vec::new();
    if let Some(to) = parsed.value("send") {
        let (to, text) = (to.to_string(), operand.clone());
        actions.push(match text.as_deref() {
            Some("-") => ("send", Action::SendInput { to }),
            _ => ("send", Action::Send { to, text }),
        });
    }
    if let Some(with) = parsed.value("history") {
        actions.push(("history", Action::History { with: with.to_string() }));
    }
    if parsed.flag("list") {
        actions.push(("list", Action::List { pattern: operand.unwrap_or_default() }));
    }
    if parsed.flag("inbox") {
        actions.push(("inbox", Action::Inbox));
    }
    match <[_; 1]>::try_from(actions) {
        Ok([(_, action)]) => Ok(action),
        Err(actions) if actions.is_empty() => Ok(Action::Chat),
        Err(actions) => {
            let (first, second) = (actions[0].0, actions[1].0);
            Err(parsed.wrong(format!("--{first} and --{second} cannot be given together")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::{Request, parse};
    use crate::cli::table::find;
    use std::ffi::OsString;
    use std::path::PathBuf;

    fn options_of(arguments: &[&str]) -> Result<client::Options, Error> {
        let arguments: Vec<String> = arguments.iter().map(|text| text.to_string()).collect();
        let environment = |name: &str| (name == PASSWORD).then(|| OsString::from("sesame"));
        match parse(find("chat").unwrap(), &arguments, &environment)? {
            Request::Run(parsed) => options(&parsed, &environment),
            Request::Help => panic!("help was not asked for"),
        }
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
