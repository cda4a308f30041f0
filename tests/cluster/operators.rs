//! Operators on a server's own machine, who need nothing but its data directory.

use std::fs;
use std::io::BufRead;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::support::bounded::{Pipes, killed, output_of};
use crate::support::cluster::{Cluster, name_of};
use crate::support::server::{Launch, TestServer};
use crate::support::{TempDir, chatctl, said};

fn ask(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = chatctl(arguments);
    command.arg("--data-dir").arg(data_dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    output_of(command.spawn().unwrap())
}

fn row<'a>(table: &'a str, id: &str) -> Vec<&'a str> {
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.find(|row| row.first() == Some(&id)).unwrap_or_else(|| panic!("no row {id}:\n{table}"))
}

#[test]
fn a_server_that_is_alone_is_asked_by_its_directory_and_by_nothing_else() {
    let mut server = TestServer::start("operator-lone", &[]);
    let data_dir = server.data_dir().to_owned();
    let socket = data_dir.join("operator.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    let status = ask(&data_dir, &["status"]);
    assert!(status.status.success(), "{}", said(&status));
    assert_eq!(row(&said(&status), "lone")[1], "PRIMARY", "{}", said(&status));
    let members = ask(&data_dir, &["members", "list"]);
    assert_eq!(row(&said(&members), "lone")[2..4], ["voter", "up"], "{}", said(&members));
    let change = ask(&data_dir, &["members", "add", "b=127.0.0.1:1"]);
    assert_eq!(change.status.code(), Some(1));
    assert!(said(&change).contains("this is a single server without a peer port"));

    // What a dead server has left is replaced.
    server.kill9();
    assert!(socket.exists());
    let dead = ask(&data_dir, &["status"]);
    assert_eq!(dead.status.code(), Some(1));
    assert!(said(&dead).contains("no server runs on this data directory"), "{}", said(&dead));
    let mut server = server.restart();
    assert!(ask(&data_dir, &["status"]).status.success());
    assert!(server.terminate().status.success());
    assert!(!socket.exists(), "a server that stops removes its socket");
    let gone = ask(&data_dir.join("nowhere"), &["status"]);
    assert!(said(&gone).contains("no such data directory"), "{}", said(&gone));
}

#[test]
fn a_server_without_room_for_the_socket_warns_and_serves() {
    let home = TempDir::new("operator-long");
    let long = home.path().join("x".repeat(120));
    let server = Launch::on(&long).start();
    server.wait_for_trace("warning lone: cannot open the operator's socket");
    server.create("alice").tell("alice", "is served");
    let refused = ask(&long, &["status"]);
    assert!(said(&refused).contains("too long for a socket"), "{}", said(&refused));

    let other = home.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("operator.sock"), "somebody's file").unwrap();
    let server = Launch::on(&other).start();
    server.wait_for_trace("cannot open the operator's socket");
    drop(server);
    assert_eq!(fs::read_to_string(other.join("operator.sock")).unwrap(), "somebody's file");
}

#[test]
fn through_any_server_of_a_cluster_all_are_asked_and_its_members_are_changed() {
    let mut cluster = Cluster::start("operator", 3, &[]);
    let primary = cluster.primary();
    cluster.wait_until_all_know_the_primary();
    let (backup, gone) = ((primary + 1) % 3, (primary + 2) % 3);
    let data_dir = cluster.path(&name_of(backup));
    let status = ask(&data_dir, &["status"]);
    assert!(status.status.success(), "{}", said(&status));
    for place in 0..3 {
        let role = if place == primary { "PRIMARY" } else { "BACKUP" };
        assert_eq!(row(&said(&status), &name_of(place))[1], role, "{}", said(&status));
    }
    assert!(said(&status).lines().all(|line| line.len() <= 80), "{}", said(&status));

    cluster.kill9(gone);
    cluster.wait("it is not said why one is down", || {
        let status = said(&ask(&data_dir, &["status"]));
        let members = said(&ask(&data_dir, &["members", "list"]));
        status.contains("unreachable: connection refused")
            && row(&members, &name_of(gone)).ends_with(&["connection", "refused"])
    });
    // The change is made by the PRIMARY.
    let removed = ask(&data_dir, &["members", "remove", &name_of(gone)]);
    assert!(removed.status.success(), "{}", said(&removed));
    let members = said(&ask(&data_dir, &["members", "list"]));
    assert_eq!(members.lines().count(), 3, "{members}");
    let none = ask(&data_dir, &["members", "remove", "x"]);
    assert!(said(&none).contains("x is not a member"), "{}", said(&none));

    cluster.kill9(primary);
    let status = ask(&data_dir, &["status"]);
    assert_eq!(status.status.code(), Some(1), "{}", said(&status));
    assert!(said(&status).contains("no server is PRIMARY; 1 of "), "{}", said(&status));
}

#[test]
fn a_server_that_waits_for_the_others_is_asked_too() {
    let cluster = Cluster::new("operator-forming", 2, &[]);
    let a = cluster.spawn(0);
    a.wait_for_trace("waiting for b");
    let status = ask(&cluster.path("a"), &["status"]);
    assert_eq!(row(&said(&status), "a")[1], "forming", "{}", said(&status));
    assert_eq!(status.status.code(), Some(1));
}

#[test]
fn a_status_that_is_watched_is_shown_again_and_again() {
    let server = TestServer::start("operator-watch", &[]);
    let mut command = chatctl(&["status", "--watch", "1", "--data-dir"]);
    command.arg(server.data_dir());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = child.lines("the watched status");
    let mut seen = 0;
    while seen < 2 {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it goes on until it is stopped");
        seen += usize::from(line.starts_with("lone ") && line.contains("PRIMARY"));
    }
    killed(&mut child);
}
