//! `chatctl serve`: from checked values to [`server::Options`].

use std::io::Write;
use std::path::PathBuf;

use super::error::Error;
use super::parse::{Environment, Parsed};
use crate::server;

/// Runs `chatctl serve`.
pub fn run(parsed: &Parsed, _: Environment<'_>, _: &mut dyn Write) -> Result<u8, Error> {
    if let Some(file) = parsed.path("new-secret") {
        server::peers::secret::make(&file)
            .map_err(|error| Error::failed(parsed.subcommand().name, error))?;
        return Ok(0);
    }
    server::run(options(parsed)?).map(|()| 0).map_err(|_| Error::Told)
}

/// The options of the server that the values ask for.
pub fn options(parsed: &Parsed) -> Result<server::Options, Error> {
    let mut trace = parsed.read_values("trace", str::parse)?;
    let mut id = parsed.read_values("id", server::cluster::server_name)?;
    let mut cluster = parsed.read_values("cluster", server::cluster::parse_list)?;
    let options = server::Options {
        listen: parsed.read_values("listen", str::parse)?,
        data_dir: parsed.path("data-dir").unwrap_or_else(|| PathBuf::from(".")),
        password_iterations: parsed.number_as("password-iterations"),
        token_days: parsed.number_as("token-days"),
        idle_timeout_ms: parsed.number_as::<u64>("idle-timeout") * 1000,
        login_timeout_ms: parsed.number_as::<u64>("login-timeout") * 1000,
        segment_mib: parsed.number_as("segment-mib"),
        max_connections: parsed.number_as("max-connections"),
        max_sessions_per_address: parsed.number_as("max-sessions-per-address"),
        max_unauthenticated_per_address: parsed.number_as("max-unauthenticated-per-address"),
        max_sessions_per_account: parsed.number_as("max-sessions-per-account"),
        read_only_logins: !parsed.flag("no-read-only-logins"),
        logins_per_minute: parsed.number_as("logins-per-minute"),
        trace: trace.pop().unwrap_or(server::TraceLevel::Info),
        id: id.pop(),
        cluster: cluster.pop().unwrap_or_default(),
        advertise: parsed.value("advertise").map(str::to_owned),
        cluster_secret_file: parsed.path("cluster-secret-file"),
        election_timeout_ms: parsed.number_as("election-timeout-ms"),
        heartbeat_ms: parsed.number_as("heartbeat-ms"),
        read_only_after_ms: parsed.number_as("read-only-after-ms"),
    };
    let wrong = |why| Error::usage(parsed.subcommand().name, why);
    server::cluster::check_flags(&options).map_err(wrong)?;
    Ok(options)
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
        assert!(options.read_only_logins);
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
            "--max-unauthenticated-per-address=10",
            "--max-sessions-per-account=11",
            "--logins-per-minute=9",
            "--no-read-only-logins",
            "--trace=debug",
            "--id=b",
            "--cluster=b=h:2,a=h:1",
            "--advertise=h:3",
            "--cluster-secret-file=s",
            "--election-timeout-ms=300",
            "--heartbeat-ms=50",
            "--read-only-after-ms=10",
        ]);
        let options = options.unwrap();
        let listen: Vec<String> = options.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["127.0.0.1:1", "unix:/s"]);
        assert_eq!(options.data_dir, PathBuf::from("d"));
        assert_eq!((options.password_iterations, options.token_days), (2, 3));
        assert_eq!((options.idle_timeout_ms, options.login_timeout_ms), (4000, 5000));
        assert_eq!((options.segment_mib, options.max_connections), (6, 7));
        assert_eq!((options.max_sessions_per_address, options.logins_per_minute), (8, 9));
        let bounds = (options.max_unauthenticated_per_address, options.max_sessions_per_account);
        assert_eq!((bounds, options.read_only_logins), ((10, 11), false));
        assert_eq!(options.trace, server::TraceLevel::Debug);
        let cluster: Vec<String> = options.cluster.iter().map(ToString::to_string).collect();
        assert_eq!(
            (options.id.as_deref(), cluster),
            (Some("b"), vec!["a=h:1".into(), "b=h:2".into()])
        );
        assert_eq!(options.advertise.as_deref(), Some("h:3"));
        assert_eq!(options.cluster_secret_file, Some(PathBuf::from("s")));
        let timeouts =
            (options.election_timeout_ms, options.heartbeat_ms, options.read_only_after_ms);
        assert_eq!(timeouts, (300, 50, 10));
    }

    #[test]
    fn flags_that_do_not_fit_each_other_are_a_usage_error() {
        let cluster = "--cluster=a=h:1,b=h:2";
        for (flags, what) in [
            (&[cluster][..], "as in --id a"),
            (&[cluster, "--id=c"], "--id c is not in --cluster, which has a, b"),
            (&[cluster, "--id=b"], "--new-secret"),
            (&["--election-timeout-ms=200", "--heartbeat-ms=70"], "three heartbeats or more"),
        ] {
            let error = options_of(flags).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_a_usage_error_that_names_the_flag() {
        let error = options_of(&["--listen=7262"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--listen: '7262' is invalid; "), "{error}");
    }
}
