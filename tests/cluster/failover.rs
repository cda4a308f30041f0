//! The PRIMARY goes in the middle of conversations: nothing that was acknowledged is lost.

use super::Conversation;
use crate::support::cluster::Cluster;
use crate::support::env_number;
use crate::support::raw_client::ask;
use crate::support::server::password_of;
use crate::support::talker::Talker;
use chatctl::sys::signal;

#[test]
fn the_primary_of_five_is_killed_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start("kill-one", 5, &[]);
    let conversation = Conversation::start(&cluster, 3);
    conversation.wait_for(&cluster, 60);
    let primary = cluster.primary();
    cluster.kill9(primary);
    let gap = conversation.wait_for(&cluster, 60);
    println!("kill -9 of the PRIMARY to the first acknowledged send: {gap:?}");
    cluster.restart(primary);
    conversation.wait_for(&cluster, 60);
    conversation.stop_and_check();
    cluster.stop_and_compare_logs();
}

#[test]
fn a_primary_that_is_told_to_stop_hands_over_and_no_request_fails() {
    // Time enough to hand over on a machine that is busy.
    let patient = ["--election-timeout-ms", "3000", "--read-only-after-ms", "20000"];
    let mut cluster = Cluster::start("sigterm", 3, &patient);
    let conversation = Conversation::start(&cluster, 3);
    let count = env_number("FAILOVERS", 3);
    let mut gaps = Vec::new();
    for _ in 0..count {
        conversation.wait_for(&cluster, 60);
        let primary = cluster.primary();
        let mut stopping = cluster.take(primary);
        conversation.take_slowest();
        let told_before = told_to_take_over(&cluster);
        stopping.signal(signal::TERM);
        let ended = stopping.ended();
        assert!(ended.status.success(), "{ended:?}");
        conversation.wait_for(&cluster, 60);
        // Its end alone would bring an election about as well, somewhat later.
        let told = told_to_take_over(&cluster) - told_before;
        assert_eq!(
            told,
            1,
            "it tells one server to take over:\n{}{}",
            ended.stderr,
            cluster.traces()
        );
        let (_, since_signal) =
            ended.stderr.rsplit_once(": stopping").expect("it was told to stop");
        let steps_down =
            since_signal.contains("BACKUP in term") && since_signal.contains("PRIMARY is ");
        assert!(steps_down, "it knows its successor before it ends:\n{}", ended.stderr);
        gaps.push(conversation.take_slowest());
        cluster.restart(primary);
    }
    gaps.sort();
    let (median, worst) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    println!(
        "SIGTERM of the PRIMARY, {count} times, the slowest send of three clients around it: median \
         {median:?}, worst {worst:?}"
    );
    for told in conversation.stop_and_check() {
        assert_eq!(told.refused, [""; 0], "no request is refused");
    }
    cluster.stop_and_compare_logs();
}

/// How often a PRIMARY has told one of the servers that run to take over.
fn told_to_take_over(cluster: &Cluster) -> usize {
    cluster.traces().matches("the PRIMARY hands over to this server").count()
}

#[test]
fn with_two_of_three_killed_history_is_read_and_nothing_is_changed_until_all_heals() {
    let mut cluster = Cluster::start("minority", 3, &["--read-only-after-ms", "300"]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    for number in 0..10 {
        alice.send("alice", number, &format!("note {number}"));
    }
    let left = cluster.primary();
    for place in (0..3).filter(|&place| place != left) {
        cluster.kill9(place);
    }
    cluster.wait("the last one does not notice", || cluster.status_of(left, "read_only") == "yes");
    let mut reader = cluster.server(left).connect();
    let said = reader.done(&ask("login").src("alice").body(&password_of("alice"))).body;
    assert!(said.ends_with("passwords and accounts may be out of date"), "{said}");
    let (page, _) = reader.pages(&ask("history").limit(100));
    assert_eq!(page.len(), 10, "what is stored is read");
    assert_eq!(reader.refused(&ask("send").to("alice").id(99).body("no")), "read-only");
    assert_eq!(reader.refused(&ask("passwd").body("no")), "read-only");
    let (code, said) = super::chat::send_once(&cluster, "alice", "alice", 2);
    assert_eq!(code, Some(1));
    assert!(said.contains("read-only") && said.contains("do not send it again"), "{said}");
    for reads in [&["--history", "alice"][..], &["--inbox"], &["--list"]] {
        let (code, said) = super::chat::once(&cluster, "alice", 10, reads);
        assert_eq!(code, Some(0), "{said}");
        assert!(
            said.contains("(read-only): messages that ") && said.contains("are not shown"),
            "{said}"
        );
        assert!(said.contains("passwords and accounts may be out of date"), "{said}");
    }
    cluster.start_all();
    alice.send("alice", 10, "note 10");
    let texts: Vec<String> = alice.history("alice").into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, (0..11).map(|number| format!("note {number}")).collect::<Vec<_>>());
    cluster.stop_and_compare_logs();
}

#[test]
fn where_logins_without_a_majority_are_turned_off_nobody_logs_in_until_there_is_one() {
    let flags = ["--read-only-after-ms", "300", "--no-read-only-logins"];
    let mut cluster = Cluster::start("no-logins", 3, &flags);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "a note");
    let left = cluster.primary();
    let mut session = cluster.server(left).login("alice");
    let token = session.done(&ask("token")).body.into_owned();
    for place in (0..3).filter(|&place| place != left) {
        cluster.kill9(place);
    }
    cluster.wait("the last one does not notice", || cluster.status_of(left, "read_only") == "yes");
    let login = ask("login").src("alice").body(&password_of("alice"));
    let mut client = cluster.server(left).connect();
    for request in [login.clone(), ask("resume").src("alice").body(&token)] {
        assert_eq!(client.refused(&request), "read-only");
    }
    let (page, _) = session.pages(&ask("history").limit(100));
    assert_eq!(page.len(), 1, "who is logged in goes on reading");
    cluster.start_all();
    cluster.wait_until_all_know_the_primary();
    let primary = cluster.primary();
    cluster.server(primary).connect().done(&login);
}
