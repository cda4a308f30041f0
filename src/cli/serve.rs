//! `chatctl serve`.

use super::error::Error;
use super::values::Serve;
use crate::server;

/// Runs `chatctl serve`.
pub fn run(values: Serve) -> Result<u8, Error> {
    if let Some(file) = &values.new_secret {
        server::secret::make(file).map_err(Error::failed)?;
        return Ok(0);
    }
    server::run(options(values)?).map(|()| 0).map_err(|_| Error::Told)
}

/// The options of the server.
pub fn options(values: Serve) -> Result<server::Options, Error> {
    let Serve { options, no_read_only_logins, .. } = values;
    let options = server::Options { read_only_logins: !no_read_only_logins, ..options };
    server::config::check_flags(&options).map_err(Error::usage)?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::parse;
    use crate::cli::table::find;
    use std::path::PathBuf;

    fn options_of(arguments: &[&str]) -> Result<server::Options, Error> {
        let arguments: Vec<String> = arguments.iter().map(|text| text.to_string()).collect();
        let values = parse(find("serve").unwrap(), &arguments, &|_| None)?;
        options(values.expect("help was not asked for").serve)
    }

    #[test]
    fn without_flags_a_server_listens_on_loopback_only() {
        let options = options_of(&[]).unwrap();
        assert_eq!(options.listen.len(), 1);
        assert!(options.listen[0].is_local());
        assert_eq!(options.data_dir, PathBuf::from("./chatctl-data"));
        assert_eq!((options.idle_timeout_ms, options.login_timeout_ms), (600_000, 60_000));
        assert_eq!(options.trace, crate::node::lines::TraceLevel::Info);
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
        assert_eq!(options.trace, crate::node::lines::TraceLevel::Debug);
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
            (&[cluster, "--id=c"], "--id c is not in --cluster, which lists a, b"),
            (&[cluster, "--id=b"], "--new-secret"),
            (&["--election-timeout-ms=200", "--heartbeat-ms=70"], "at least three heartbeats"),
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
