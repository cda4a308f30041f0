//! `chatctl chat`: from checked values to [`client::Options`].

use std::io::Write;

use super::error::Error;
use super::parse::{Environment, Parsed};
use crate::client::{self, Action, PasswordFrom, ScreenOptions};
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
    let servers = parsed.read_values("servers", |servers| {
        let servers: Vec<&str> = servers.split(',').map(str::trim).collect();
        match servers.iter().find(|server| !is_address(server)) {
            Some(bad) => Err(format!("'{}' is no HOST:PORT or unix:PATH", bad.escape_debug())),
            None => Ok(servers.into_iter().map(str::to_string).collect::<Vec<_>>()),
        }
    })?;
    let mut codec = parsed.read_values("protocol", |name| match name {
        "json" => Ok(Codec::Json),
        "binary" => Ok(Codec::Binary),
        _ => Err("expected json or binary"),
    })?;
    Ok(client::Options {
        servers: servers.into_iter().flatten().collect(),
        user: parsed.value("user").map(str::to_string),
        create: parsed.flag("create"),
        password: password(parsed, environment)?,
        codec: codec.pop().unwrap_or(Codec::Binary),
        state_dir: parsed.path("state-dir"),
        json: parsed.flag("json"),
        timeout_ms: parsed.number_as::<u64>("timeout") * 1000,
        action: action(parsed)?,
        limit: parsed.number_as("limit"),
        plain: parsed.flag("plain"),
        screen: ScreenOptions {
            bell: parsed.flag("bell"),
            sidebar: parsed.value("sidebar").map(|_| parsed.number_as("sidebar")),
            mouse: parsed.value("mouse") == Some("on"),
        },
    })
}

/// Whether it has the form of a server's address; whether there is one is found out by trying.
fn is_address(text: &str) -> bool {
    if let Some(path) = text.strip_prefix("unix:") {
        return !path.is_empty();
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
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
        actions.push(("send", Action::Send { to: to.to_string(), text: operand.clone() }));
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
        assert!(matches!(options.password, PasswordFrom::Value(password) if password == "sesame"));
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
            "--limit=4",
            "--plain",
            "--bell",
            "--sidebar=20",
            "--mouse=off",
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
        assert!(options.plain && options.screen.bell && !options.screen.mouse);
        assert_eq!(options.screen.sidebar, Some(20));
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
            (&["--servers=a:1,b"], "--servers: 'a:1,b' is wrong; 'b' is no HOST:PORT or unix:PATH"),
            (&["--servers=a:0"], "'a:0' is no HOST:PORT"),
            (&["hello"], "unexpected argument 'hello'"),
            (&["--inbox", "hello"], "unexpected argument 'hello'"),
        ] {
            let error = options_of(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(said), "{arguments:?}: {error}");
        }
    }
}
