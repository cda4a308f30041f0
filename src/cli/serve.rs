//! `chatctl serve`: from checked values to [`server::Options`].

use std::io::Write;
use std::path::PathBuf;

use super::error::Error;
use super::parse::{Environment, Parsed};
use crate::server;

/// Runs `chatctl serve`.
pub fn run(parsed: &Parsed, _: Environment<'_>, _: &mut dyn Write) -> Result<u8, Error> {
    let failed = |error| Error::failed(parsed.subcommand().name, error);
    server::run(options(parsed)?).map_err(failed)?;
    Ok(0)
}

/// The options of the server that the values ask for.
pub fn options(parsed: &Parsed) -> Result<server::Options, Error> {
    let mut trace = parsed.read_values("trace", str::parse)?;
    Ok(server::Options {
        listen: parsed.read_values("listen", str::parse)?,
        data_dir: parsed.path("data-dir").unwrap_or_else(|| PathBuf::from(".")),
        password_iterations: parsed.number_as("password-iterations"),
        token_days: parsed.number_as("token-days"),
        idle_timeout_ms: parsed.number_as::<u64>("idle-timeout") * 1000,
        login_timeout_ms: parsed.number_as::<u64>("login-timeout") * 1000,
        segment_mib: parsed.number_as("segment-mib"),
        max_connections: parsed.number_as("max-connections"),
        max_sessions_per_address: parsed.number_as("max-sessions-per-address"),
        logins_per_minute: parsed.number_as("logins-per-minute"),
        trace: trace.pop().unwrap_or(server::TraceLevel::Info),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::{Request, parse};
    use crate::cli::table::find;

    fn options_of(arguments: &[&str]) -> Result<server::Options, Error> {
        let arguments: Vec<String> = arguments.iter().map(|text| text.to_string()).collect();
        match parse(find("serve").unwrap(), &arguments, &|_| None)? {
            Request::Run(parsed) => options(&parsed),
            Request::Help => panic!("help was not asked for"),
        }
    }

    #[test]
    fn without_flags_a_server_listens_on_loopback_only() {
        let options = options_of(&[]).unwrap();
        assert_eq!(options.listen.len(), 1);
        assert!(options.listen[0].is_local());
        assert_eq!(options.data_dir, PathBuf::from("./chatctl-data"));
        assert_eq!((options.idle_timeout_ms, options.login_timeout_ms), (600_000, 60_000));
        assert_eq!(options.trace, server::TraceLevel::Info);
    }

    #[test]
    fn every_flag_reaches_its_option() {
        let options = options_of(&[
            "--listen=127.0.0.1:1",
            "--listen=unix:/s",
            "--data-dir=d",
            "--password-iterations=2",
            "--token-days=3",
            "--idle-timeout=4",
            "--login-timeout=5",
            "--segment-mib=6",
            "--max-connections=7",
            "--max-sessions-per-address=8",
            "--logins-per-minute=9",
            "--trace=debug",
        ]);
        let options = options.unwrap();
        let listen: Vec<String> = options.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:1", "unix:/s"]);
        assert_eq!(options.data_dir, PathBuf::from("d"));
        assert_eq!((options.password_iterations, options.token_days), (2, 3));
        assert_eq!((options.idle_timeout_ms, options.login_timeout_ms), (4000, 5000));
        assert_eq!((options.segment_mib, options.max_connections), (6, 7));
        assert_eq!((options.max_sessions_per_address, options.logins_per_minute), (8, 9));
        assert_eq!(options.trace, server::TraceLevel::Debug);
    }

    #[test]
    fn an_address_that_is_none_is_a_usage_error_that_names_the_flag() {
        let error = options_of(&["--listen=7262"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--listen: '7262' is wrong; "), "{error}");
    }
}
