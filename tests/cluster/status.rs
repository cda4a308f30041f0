//! What an operator sees.

use std::path::Path;
use std::process::Output;

use chatctl::limits;

use crate::support::bounded::Run;
use crate::support::cluster::{Cluster, free_port, make_secret, name_of};
use crate::support::{TempDir, chatctl, text};

pub(super) fn status(servers: &str, secret: &Path, flags: &[&str]) -> Output {
    let mut command = chatctl(&["status", "--servers", servers, "--cluster-secret-file"]);
    command.arg(secret);
    command.args(flags).run()
}

#[test]
fn every_server_has_a_row_wherever_one_asks() {
    let mut cluster = Cluster::start("status", 3, &[]);
    let primary = cluster.primary();
    let secret = cluster.secret();
    let peers = cluster.peers().to_vec();
    for address in &peers {
        let output = status(address, &secret, &[]);
        let table = text(&output.stdout);
        assert!(output.status.success(), "{table}{}", text(&output.stderr));
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows.len(), 4, "{table}");
        assert_eq!(rows[0][..2], ["ID", "ROLE"]);
        for place in 0..3 {
            let role = if place == primary { "PRIMARY" } else { "BACKUP" };
            assert_eq!(rows[place + 1][..2], [&name_of(place), role], "{table}");
            assert_eq!(rows[place + 1].len(), rows[0].len(), "{table}");
        }
    }
    let gone = (primary + 1) % 3;
    cluster.kill9(gone);
    let output = status(&peers.join(","), &secret, &["--json"]);
    assert!(output.status.success());
    let objects = text(&output.stdout);
    let of = |place: usize| objects.lines().nth(place).unwrap();
    assert!(of(gone).contains("\"unreachable\": \"connection refused"), "{objects}");
    assert!(of(primary).contains("\"role\": \"PRIMARY\""), "{objects}");

    cluster.kill9(primary);
    let left = 3 - primary - gone;
    let output = status(&peers[left], &secret, &["--timeout-ms", "1000"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no server is PRIMARY; 1 of 3 answered"));
}

#[test]
fn nobody_is_told_anything_without_the_secret() {
    let cluster = Cluster::start("status-secret", 1, &[]);
    let other = cluster.path("other");
    make_secret(&other);
    let output = status(&cluster.peers()[0], &other, &[]);
    assert_eq!(output.status.code(), Some(1));
    let table = text(&output.stdout);
    assert!(table.contains("wrong secret") && !table.contains("PRIMARY"), "{table}");
    // At a client's port no peer answers.
    let output = status(&cluster.addresses()[0], &cluster.secret(), &["--timeout-ms", "500"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("unreachable: "));
}

#[test]
fn a_cluster_that_is_not_formed_yet_says_so() {
    let cluster = Cluster::new("status-forming", 2, &[]);
    let a = cluster.spawn(0);
    a.wait_for_trace("waiting for b");
    let output = status(&cluster.peers()[0], &cluster.secret(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("forming"), "{}", text(&output.stdout));
}

#[test]
fn more_servers_than_are_asked_at_once_are_wrong_usage() {
    let home = TempDir::new("status-many");
    let secret = home.path().join("secret");
    make_secret(&secret);
    let nobody = format!("127.0.0.1:{}", free_port());
    let ask = |count| {
        let servers = vec![nobody.as_str(); count].join(",");
        status(&servers, &secret, &["--timeout-ms", "1000"])
    };
    let over = ask(limits::STATUS_SERVERS + 1);
    assert_eq!(over.status.code(), Some(2), "{over:?}");
    let said = format!("at most {} servers", limits::STATUS_SERVERS);
    assert!(text(&over.stderr).contains(&said), "{over:?}");
    let most = ask(limits::STATUS_SERVERS);
    assert_eq!(most.status.code(), Some(1), "they are asked, and none answers: {most:?}");
}
