//! `chatctl members`: what it says of wrong arguments. What it does is tried on real clusters, in
//! `tests/cluster/members.rs`.

use super::run;

#[test]
fn arguments_that_are_wrong_are_a_usage_error_that_says_what_is_right() {
    for (arguments, what) in [
        (&["members"][..], "list|add|remove|replace is missing"),
        (&["members", "grow"], "unknown action 'grow': use list, add, remove or replace"),
        (&["members", "list", "a"], "list takes no NAME"),
        (&["members", "add"], "add needs the server's NAME"),
        (&["members", "add", "a"], "add needs NAME=HOST[:PORT]"),
        (&["members", "add", "a="], "invalid address"),
        (&["members", "add", "A=h:1"], "a server's name"),
        (&["members", "remove", "a=h:1"], "remove needs a NAME only"),
        (&["members", "replace", "b c"], "a server's name"),
        (&["members", "remove", "a", "--json"], "--json works only with list"),
        (&["members", "remove", "a", "b"], "b"),
        (
            &["members", "list"],
            "give --data-dir DIR to ask the server on this machine, or --cluster-secret-file",
        ),
        (&["members", "list", "--timeout-ms", "0"], "--timeout-ms"),
    ] {
        let (code, out, error) = run(arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {error}");
        assert!(error.contains(what), "{arguments:?}: {error}");
    }
}

#[test]
fn a_cluster_that_cannot_be_reached_is_said_in_time() {
    let home = crate::support::TempDir::new("members-cli");
    let secret = home.path().join("secret");
    crate::support::cluster::make_secret(&secret);
    let secret = secret.to_str().unwrap();
    let port = crate::support::cluster::free_port();
    let servers = format!("127.0.0.1:{port}");
    let (code, out, error) = run(&[
        "members",
        "remove",
        "a",
        "--servers",
        &servers,
        "--cluster-secret-file",
        secret,
        "--timeout-ms",
        "300",
    ]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{error}");
    assert!(error.contains("timed out") && error.contains("refused"), "{error}");
}
