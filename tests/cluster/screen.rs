//! Two people at their screens in real terminals, while servers die: what both see in the end is the
//! same, once, in one order.

use std::process::Command;

use crate::support::bounded::Run;
use crate::support::chatctl;
use crate::support::cluster::Cluster;
use crate::support::server::password_of;
use crate::support::tmux::Tmux;

fn client(cluster: &Cluster, user: &str) -> Command {
    let mut command =
        chatctl(&["chat", "--servers", &cluster.addresses().join(","), "--user", user]);
    command.arg("--state-dir").arg(cluster.path(&format!("state-{user}")));
    command.env("CHATCTL_PASSWORD", password_of(user)).env("TZ", "UTC");
    command
}

/// The words of a conversation's messages that a window shows, from the top.
fn said(capture: &str) -> Vec<String> {
    let pane = capture.lines().take_while(|line| line.contains('│'));
    let words = pane.flat_map(|line| line.split_whitespace());
    words.filter(|word| word.starts_with("word-")).map(str::to_string).collect()
}

/// Whether a window shows a message with its mark of one that is stored.
fn shows_sent(capture: &str, word: &str) -> bool {
    capture.lines().any(|line| line.contains(&format!("✓ {word}")))
}

#[test]
fn two_people_talk_on_through_a_failover_and_see_the_same_once_in_one_order() {
    let Some(tmux) = Tmux::start() else { return };
    let mut cluster = Cluster::start("screens", 3, &[]);
    for user in ["alice", "bob"] {
        let output = client(&cluster, user).args(["--create", "--list"]).run();
        assert!(output.status.success(), "{output:?}");
    }
    tmux.open("alice", 80, 24, &client(&cluster, "alice"));
    tmux.open("bob", 200, 60, &client(&cluster, "bob"));
    tmux.open("again", 100, 40, &client(&cluster, "alice"));
    for (window, other) in [("alice", "bob"), ("bob", "alice"), ("again", "bob")] {
        tmux.until(window, "it is connected", |text| text.contains("  connected"));
        tmux.line(window, &format!("/to {other}"));
        tmux.until(window, "it is open", |text| text.contains(&format!("│ {other}")));
    }
    let mut all = Vec::new();
    let mut talk = |tmux: &Tmux, from: &'static str| {
        let word = format!("word-{:02}", all.len());
        tmux.line(from, &word);
        all.push(word.clone());
        word
    };
    let everywhere = |word: &str| {
        for window in ["alice", "bob", "again"] {
            tmux.until(window, "all see it", |text| said(text).contains(&word.to_string()));
        }
    };
    for from in ["alice", "bob", "alice"] {
        everywhere(&talk(&tmux, from));
    }

    // The PRIMARY dies; what is typed in the same moment comes through.
    let first = cluster.primary();
    cluster.kill9(first);
    let word = talk(&tmux, "alice");
    everywhere(&word);
    tmux.until("alice", "it is sent", |text| shows_sent(text, &word));
    everywhere(&talk(&tmux, "bob"));

    // Then the next, and with it the majority.
    let second = cluster.primary();
    cluster.kill9(second);
    tmux.until("alice", "it says electing", |text| text.contains(" electing"));
    let word = talk(&tmux, "alice");
    tmux.until("alice", "it waits", |text| text.contains(&format!("… {word}")));
    tmux.until("alice", "it says read-only", |text| text.contains(" read-only  1 waiting"));
    tmux.text("alice", "a draft");
    cluster.restart(second);
    everywhere(&word);
    tmux.until("alice", "it is sent", |text| shows_sent(text, &word));
    let capture = tmux.capture("alice");
    assert!(capture.ends_with("> a draft\n"), "what was being typed is still there: {capture}");
    everywhere(&talk(&tmux, "bob"));
    cluster.restart(first);

    for window in ["alice", "bob", "again"] {
        let capture = tmux.capture(window);
        assert_eq!(said(&capture), all, "{window}: once each, in one order:\n{capture}");
    }
    // A smaller window and back: the same again.
    tmux.resize("alice", 40, 10);
    tmux.until("alice", "it is drawn", |text| text.lines().nth(8).unwrap_or("").contains("alice"));
    tmux.resize("alice", 80, 24);
    let back = |text: &str| said(text) == all && text.ends_with("> a draft\n");
    tmux.until("alice", "it is as before", back);
    for window in ["alice", "bob", "again"] {
        tmux.key(window, "C-c");
        tmux.line(window, "/quit");
    }
}
