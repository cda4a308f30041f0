//! How a server is told what to do, and what it says at its start.

use std::os::unix::fs::PermissionsExt;

use crate::support::TempDir;
use crate::support::server::{Launch, RawClient, TestServer, ask};

#[test]
fn a_configuration_file_says_the_same_as_flags() {
    let home = TempDir::new("config");
    let (data, socket) = (home.path().join("data"), home.path().join("socket"));
    let file = home.path().join("serve.conf");
    let text = format!(
        "# as the flags\nlisten = 127.0.0.1:0\nlisten = unix:{}\ndata-dir = {}\n\n\
         password-iterations = 1000\nmax-connections = 2\nlogins-per-minute = 0\n\
         segment-mib = 1\ntrace = info\n",
        socket.display(),
        data.display(),
    );
    std::fs::write(&file, text).unwrap();
    let by_file = Launch::on(&data).config(&file).start();
    let unix = format!("unix:{}", socket.display());
    assert_eq!(by_file.addresses()[1], unix);
    let said = format!(" with its data in {}: 0 messages of 0 accounts recovered", data.display());
    assert!(by_file.start_line().contains(&said), "{}", by_file.start_line());
    expect_two_connections(by_file);
    let by_flags = Launch::on(&data)
        .listen(&["127.0.0.1:0", &unix])
        .flags(&["--max-connections", "2", "--trace", "info"])
        .start();
    assert!(by_flags.start_line().contains(": 0 messages of 1 account recovered"));
    expect_two_connections(by_flags);
}

fn expect_two_connections(mut server: TestServer) {
    let mut clients: Vec<RawClient> = (0..2).map(|_| server.create("alice")).collect();
    let mut third = server.connect();
    third.send(&ask("ping"));
    server.wait_for_trace("2 connections are open");
    clients.iter_mut().for_each(|client| drop(client.done(&ask("ping"))));
    let ended = server.terminate();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn a_flag_wins_over_the_configuration_file_and_a_bad_line_is_named() {
    let home = TempDir::new("precedence");
    let file = home.path().join("serve.conf");
    std::fs::write(&file, "max-connections = 2\n").unwrap();
    let config = file.display().to_string();
    let flags = ["--config", config.as_str(), "--max-connections", "3"];
    let server = Launch::on(&home.path().join("data")).flags(&flags).start();
    let mut clients: Vec<RawClient> = (0..3).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.done(&ask("ping"))));
    std::fs::write(&file, "max-connections = 2\nno such thing\n").unwrap();
    let ended = Launch::on(&home.path().join("other")).config(&file).try_start().err().unwrap();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("serve.conf") && ended.stderr.contains('2'), "{}", ended.stderr);
}

#[test]
fn listening_where_other_machines_reach_it_is_said_in_a_warning_and_on_loopback_not() {
    let home = TempDir::new("warning");
    let open = Launch::on(&home.path().join("open")).listen(&["0.0.0.0:0"]).start();
    open.wait_for_trace("not encrypted");
    let port = open.address().rsplit(':').next().unwrap().to_owned();
    let mut local = Launch::on(&home.path().join("local")).start();
    assert!(!local.terminate().stderr.contains("not encrypted"));
    let address = format!("127.0.0.1:{port}");
    let mut client = RawClient::connect(
        &address,
        chatctl::protocol::framing::Form::Lines,
        chatctl::protocol::framing::Codec::Json,
    );
    client.create("alice");
}

#[test]
fn the_directory_is_the_owners_alone() {
    let server = TestServer::start("mode", &[]);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(server.data_dir()), 0o700);
    for entry in std::fs::read_dir(server.data_dir().join("wal")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    assert_eq!(mode(&server.data_dir().join("server_state.txt")), 0o600);
}

#[test]
fn an_address_that_is_taken_is_told_with_the_flag_to_change() {
    let server = TestServer::start("taken", &[]);
    let home = TempDir::new("taken2");
    let launch = Launch::on(&home.path().join("data")).listen(&[server.address()]);
    let ended = launch.try_start().err().expect("it is refused");
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains(server.address()) && ended.stderr.contains("--listen"));
}
