//! Servers come and go while clients go on.

use std::fs;
use std::process::Output;
use std::time::Duration;

use super::Conversation;
use chatctl::limits;

use crate::support::bounded::{Run, WHOLE, scope};
use crate::support::cluster::{Cluster, name_of};
use crate::support::server::{Ended, Launch, TestServer, ask};
use crate::support::talker::Talker;
use crate::support::{chatctl, said, sys};

/// It is refused, with exit code 1, and says why.
fn refused(output: &Output, why: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("refused") && said.contains(why), "{said}");
}

#[test]
fn a_lone_server_grows_to_three_and_five_while_clients_send_and_survives_two_failures_then() {
    let mut cluster = Cluster::with_spares("grow", 1, 4, &[]);
    let a = cluster.spawn(0);
    cluster.put(0, a);
    let conversation = Conversation::start(&cluster, 3);
    conversation.wait_for(&cluster, 100);
    for place in 1..5 {
        cluster.let_in(&[0], place);
        conversation.wait_for(&cluster, 50);
    }
    let list = cluster.members_ok(&[0], &["list"]);
    assert_eq!(list.lines().filter(|line| line.contains(" voter ")).count(), 5, "{list}");
    // Any two of the five: the PRIMARY and another.
    let primary = cluster.primary();
    cluster.kill9(primary);
    conversation.wait_for(&cluster, 50);
    let next = cluster.primary();
    cluster.kill9(next);
    conversation.wait_for(&cluster, 50);
    cluster.start_all();
    conversation.wait_for(&cluster, 50);
    conversation.stop_and_check();
    cluster.stop_and_compare_logs();
}

#[test]
fn a_server_that_was_founded_alone_gets_a_peers_port_and_others() {
    let mut cluster = Cluster::with_spares("lone-grows", 1, 2, &[]);
    // At first it knows nothing of clusters.
    let lone = Launch::on(&cluster.path("a")).listen(&[&cluster.addresses()[0]]);
    let mut first = lone.start();
    let mut alice = Talker::new(&cluster.addresses()[..1], "alice");
    alice.send("alice", 1, "alone");
    first.terminate();
    let a = cluster.spawn(0);
    cluster.put(0, a);
    cluster.let_in(&[0], 1);
    cluster.let_in(&[0], 2);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 2, "in company");
    let primary = cluster.primary();
    cluster.kill9(primary);
    alice.send("alice", 3, "after a failure");
    let texts: Vec<String> = alice.history("alice").into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["alone", "in company", "after a failure"]);
    cluster.restart(primary);
    // Restarted, all of them know from their logs who they are.
    cluster.stop_and_compare_logs();
    cluster.start_all();
    cluster.wait_until_all_know_the_primary();
    Talker::new(cluster.addresses(), "alice").send("alice", 4, "again");
    cluster.stop_and_compare_logs();
}

#[test]
fn a_wiped_server_is_refused_until_it_is_replaced_and_its_old_directory_from_then_on() {
    let mut cluster = Cluster::start("replace", 3, &[]);
    let conversation = Conversation::start(&cluster, 2);
    conversation.wait_for(&cluster, 50);
    // c is not the PRIMARY: that one needs no replacement.
    let wiped = (cluster.primary() + 1) % 3;
    let others: Vec<usize> = (0..3).filter(|&place| place != wiped).collect();
    let name = name_of(wiped);
    cluster.kill9(wiped);
    fs::rename(cluster.path(&name), cluster.path("old")).unwrap();
    let output = cluster.members(&others, &["replace", &name]);
    refused(&output, "cannot admit");
    let starting = cluster.spawn(wiped);
    starting.wait_for_trace("chatctl members replace");
    let said = cluster.members_ok(&others, &["replace", &name]);
    assert!(said.contains("it gets a vote when it has caught up"), "{said}");
    cluster.put(wiped, starting);
    cluster.wait_until_it_votes(&others, &name);
    conversation.wait_for(&cluster, 50);
    let again = cluster.members(&others, &["replace", &name]);
    refused(&again, "there is nothing to replace");
    // It counts: the one of the others that is no PRIMARY may go.
    let primary = cluster.primary();
    cluster.kill9(primary);
    conversation.wait_for(&cluster, 50);
    cluster.restart(primary);
    conversation.wait_for(&cluster, 50);
    // The old directory comes back, and is not let in.
    cluster.kill9(wiped);
    let mut old = cluster.launch(wiped).data_dir(&cluster.path("old")).spawn();
    old.wait_for_trace("wrong incarnation");
    conversation.wait_for(&cluster, 50);
    old.kill9();
    cluster.restart(wiped);
    conversation.stop_and_check();
    cluster.stop_and_compare_logs();
}

#[test]
fn a_removal_that_would_cost_the_majority_is_refused_with_the_reason() {
    let mut cluster = Cluster::start("remove", 3, &[]);
    let primary = cluster.primary();
    let (down, up) = ((primary + 1) % 3, (primary + 2) % 3);
    let (down_name, up_name) = (name_of(down), name_of(up));
    cluster.kill9(down);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "two of three");
    // Who is connected no more answers no more.
    cluster.wait("it is not noticed that one is down", || {
        let output = cluster.members(&[primary], &["list"]);
        said(&output).lines().any(|line| line.starts_with(&down_name) && line.contains(" down "))
    });
    let output = cluster.members(&[primary], &["remove", &up_name]);
    refused(&output, &format!("without {up_name}"));
    assert!(said(&output).contains(&format!("these do not: {down_name}")), "{output:?}");
    // The one that is down may go, and then two of two are needed.
    cluster.members_ok(&[primary], &["remove", &down_name]);
    alice.send("alice", 2, "two of two");
    let output = cluster.members(&[primary], &["remove", "x"]);
    refused(&output, "x is not a member");
    // A server does not take itself out: it hands over, and the next one does it.
    cluster.members_ok(&[primary, up], &["remove", &name_of(primary)]);
    alice.send("alice", 3, "alone");
    let output = cluster.members(&[up], &["remove", &up_name]);
    refused(&output, "the last server with a vote");
    assert_eq!(alice.history("alice").len(), 3);
}

#[test]
fn a_removed_server_that_is_started_again_disturbs_nobody() {
    let mut cluster = Cluster::start("removed", 4, &[]);
    let primary = cluster.primary();
    let conversation = Conversation::start(&cluster, 2);
    let gone = (primary + 1) % 4;
    let name = name_of(gone);
    // It is down while it is removed, so that it does not hear of it.
    cluster.kill9(gone);
    cluster.members_ok(&[primary], &["remove", &name]);
    let term = cluster.status_of(primary, "term");
    let mut back = cluster.spawn(gone);
    back.wait_for_trace("refuses this server");
    back.wait_for_trace("wrong id");
    back.wait_for_traces("CANDIDATE in term", 2);
    conversation.wait_for(&cluster, 200);
    assert_eq!(cluster.status_of(primary, "term"), term, "{}", cluster.traces());
    back.kill9();
    // With an empty directory it may come again.
    fs::remove_dir_all(cluster.path(&name)).unwrap();
    let others: Vec<usize> = (0..4).filter(|&place| place != gone).collect();
    cluster.let_in(&others, gone);
    conversation.stop_and_check();
    cluster.stop_and_compare_logs();
}

#[test]
fn a_server_that_is_removed_while_it_runs_says_so_and_does_not_start_again() {
    let mut cluster = Cluster::start("leaves", 3, &[]);
    let primary = cluster.primary();
    let gone = (primary + 1) % 3;
    cluster.members_ok(&[primary], &["remove", &name_of(gone)]);
    let mut left = cluster.take(gone);
    left.wait_for_trace("the cluster has no server with this name");
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "goes on");
    left.kill9();
}

#[test]
fn a_server_is_added_only_when_it_answers_and_only_with_a_directory_that_is_its_own() {
    let mut cluster = Cluster::with_spares("add", 1, 1, &[]);
    let a = cluster.spawn(0);
    cluster.put(0, a);
    let b = format!("b={}", cluster.peers()[1]);
    refused(&cluster.members(&[0], &["add", &b]), "a cannot admit b");
    let wrong = format!("b={}", cluster.peers()[0]);
    refused(&cluster.members(&[0], &["add", &wrong]), "a answers there");
    refused(&cluster.members(&[0], &["add", "a=127.0.0.1:1"]), "a is already a member");
    refused(&cluster.members(&[0], &["replace", "a"]), "it is running and needs no replacement");
    // One of another cluster.
    let list = b.clone();
    let mut alone = cluster.launch(1).set_flag(["--cluster", &list]).start();
    refused(&cluster.members(&[0], &["add", &b]), "belongs to another cluster");
    alone.signal(chatctl::sys::signal::TERM);
    assert!(alone.ended().status.success());
    // Its log has another founder than a, so it is not let in later either.
    match cluster.launch(1).try_start() {
        Ok(server) => {
            refused(&cluster.members(&[0], &["add", &b]), "belongs to another cluster");
            server.signal(chatctl::sys::signal::TERM);
        }
        Err(Ended { stderr, .. }) => panic!("{stderr}"),
    }
}

#[test]
fn the_primary_is_killed_in_the_middle_of_changes_and_they_are_finished() {
    let mut cluster = Cluster::with_spares("change-kill", 3, 2, &[]);
    for place in 0..3 {
        // All three at once, since they form a cluster.
        assert!(!cluster.runs(place));
    }
    let starting: Vec<_> = (0..3).map(|place| cluster.spawn(place)).collect();
    for (place, starting) in starting.into_iter().enumerate() {
        cluster.put(place, starting);
    }
    let conversation = Conversation::start(&cluster, 2);
    for place in 3..5 {
        conversation.wait_for(&cluster, 50);
        let starting = cluster.spawn(place);
        starting.wait_for_trace("is in a cluster, and");
        let primary = cluster.primary();
        let added = format!("{}={}", name_of(place), cluster.peers()[place]);
        cluster.members_ok(&[primary], &["add", &added]);
        // It has no vote yet, most likely: the next PRIMARY brings it there.
        cluster.kill9(primary);
        cluster.put(place, starting);
        let others: Vec<usize> = (0..3).filter(|&other| other != primary).collect();
        cluster.wait_until_it_votes(&others, &name_of(place));
        cluster.restart(primary);
    }
    conversation.wait_for(&cluster, 50);
    conversation.stop_and_check();
    cluster.stop_and_compare_logs();
}

#[test]
fn a_server_that_lags_behind_helps_to_elect_one_that_it_does_not_know_yet() {
    let mut cluster = Cluster::with_spares("newer", 3, 1, &[]);
    let starting: Vec<TestServer> = (0..3).map(|place| cluster.spawn(place)).collect();
    starting.into_iter().enumerate().for_each(|(place, starting)| cluster.put(place, starting));
    let mut alice = Talker::new(&cluster.addresses()[..3], "alice");
    alice.send("alice", 1, "known to all");
    let primary = cluster.primary();
    let [other, lagging] = [(primary + 1) % 3, (primary + 2) % 3];
    cluster.kill9(lagging);
    cluster.let_in(&[primary, other], 3);
    // Only the PRIMARY and the new one have what comes then.
    let mut client = cluster.server(primary).login("alice");
    cluster.kill9(other);
    client.send(&ask("send").to("alice").id(2).body("known to two of four"));
    let mut dump = chatctl(&["dump-log"]);
    dump.arg(cluster.path("d"));
    cluster.wait("it is not sent to the new one", || {
        said(&dump.run()).contains("known to two of four")
    });
    cluster.kill9(primary);
    cluster.restart(other);
    cluster.restart(lagging);
    // Of the three that are needed the new one has the most: only it can be elected.
    cluster.wait("the new one is not elected", || cluster.primary() == 3);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 3, "known to all again");
    let texts: Vec<String> = alice.history("alice").into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["known to all", "known to two of four", "known to all again"]);
    cluster.restart(primary);
    cluster.stop_and_compare_logs();
}

#[test]
fn a_removal_that_was_never_committed_shuts_nobody_out() {
    let mut cluster = Cluster::start("undone", 3, &[]);
    let mut alice = Talker::new(cluster.addresses(), "alice");
    alice.send("alice", 1, "known to all");
    let primary = cluster.primary();
    let [other, behind] = [(primary + 1) % 3, (primary + 2) % 3];
    // The last mark of a moment of idleness is written.
    std::thread::sleep(4 * Duration::from_millis(limits::MARK_AFTER_MS));
    // It answers, and ends when it is to store the removal, which needs it.
    sys::limit_file_size(cluster.server(behind).pid(), 0).unwrap();
    let (name, pid) = (name_of(other), cluster.server(primary).pid());
    scope(WHOLE, "the removal is proposed and the PRIMARY killed", |scope| {
        scope.spawn(|| cluster.members(&[primary], &["remove", &name]));
        let mut dump = chatctl(&["dump-log", "--kind", "members"]);
        dump.arg(cluster.path(&name_of(primary)));
        cluster.wait("it is not in the log", || said(&dump.run()).contains("voter"));
        sys::kill(pid, sys::KILL).unwrap();
    });
    cluster.kill9(primary);
    assert!(!cluster.take(behind).ended().status.success(), "its disk takes nothing");
    cluster.restart(behind);
    if cluster.primary() == behind {
        cluster.take(behind).terminate();
        cluster.restart(behind);
    }
    cluster.wait("the other is not PRIMARY", || cluster.primary() == other);
    alice.send("alice", 2, "known to two");
    // It needs the one whose log says that it was removed.
    cluster.kill9(behind);
    cluster.restart(primary);
    alice.send("alice", 3, "known to the other two");
    cluster.restart(behind);
    let texts: Vec<String> = alice.history("alice").into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["known to all", "known to two", "known to the other two"]);
    cluster.stop_and_compare_logs();
}
