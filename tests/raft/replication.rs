//! The log: the paper's §5.3 and §5.4, the dissertation's §10.2.

use chatctl::limits;
use chatctl::raft::{Body, Committed, HardState, Known, ProposeError, Role, ServerId};

use super::cluster::{Cluster, Server, command};
use super::solo::{Solo, append, entries};
use crate::support::bounded::Rounds;

fn accepted(match_index: u64) -> Body {
    Body::Accepted { match_index }
}

/// The log's terms.
fn terms(solo: &Solo) -> Vec<u64> {
    (1..=solo.raft.last_index()).filter_map(|index| solo.raft.term_at(index)).collect()
}

/// The appends to `to` that are said now: (previous index, entries).
fn appends(solo: &mut Solo, to: u32) -> Vec<(u64, usize)> {
    let append = |(receiver, body)| match body {
        Body::Append { prev_index, entries, .. } if receiver == to => {
            Some((prev_index, entries.len()))
        }
        _ => None,
    };
    solo.said().into_iter().filter_map(append).collect()
}

/// Gives a crashed server a durable log with these terms.
fn with_log(cluster: &mut Cluster, id: u32, terms: &[u64], hard_state: HardState) {
    cluster.crash(ServerId(id));
    let disk = &mut cluster.servers[id as usize - 1].disk;
    disk.log = entries(1, terms);
    disk.hard_state = hard_state;
    cluster.start(ServerId(id));
}

#[test]
fn s5_4_2_figure_8_an_older_terms_entry_is_not_committed_by_counting() {
    // (c) of the figure: the PRIMARY of term 4 copies its entry of term 2 to a majority.
    let mut solo = Solo::restored(5, &[1, 2], HardState { term: 3, voted_for: None });
    solo.wait(2_000);
    for id in [2, 3] {
        solo.hear(id, 3, Body::PreVoteReply { for_term: 4, granted: true });
    }
    solo.persist_vote();
    for id in [2, 3] {
        solo.hear(id, 4, Body::VoteReply { granted: true });
    }
    solo.persist();
    assert_eq!(terms(&solo), [1, 2, 4]);
    for id in [2, 3, 4, 5] {
        solo.hear(id, 4, accepted(2));
    }
    assert_eq!(solo.raft.commit(), 0, "a PRIMARY of term 5 may still replace it");
    // (e): with one of its own term, both are.
    solo.hear(2, 4, accepted(3));
    assert_eq!(solo.raft.commit(), 0);
    solo.hear(3, 4, accepted(3));
    assert_eq!(solo.output().committed, Some(Committed { after: 0, upto: 3 }));
}

#[test]
fn s5_4_2_a_new_primary_commits_what_it_found_with_its_terms_first_entry() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, &["x"]).expect("taken");
    assert!(cluster.deliver(1, 2));
    cluster.persist(ServerId(2));
    cluster.crash(ServerId(1));
    cluster.wire.clear();
    assert_eq!(cluster.checker.committed.len(), 1);
    cluster.elect(2);
    assert_eq!(Server::texts(&cluster.checker.committed), ["-", "x", "-"]);
}

#[test]
fn s5_3_an_old_append_cuts_nothing_that_came_after_it() {
    let mut solo = Solo::new(3, &[]);
    solo.follow(2);
    solo.hear(2, 2, append((0, 0), &[1, 1, 2], 0));
    solo.hear(2, 2, append((0, 0), &[1], 0));
    solo.hear(2, 2, append((1, 1), &[], 0));
    assert_eq!(terms(&solo), [1, 1, 2]);
    assert_eq!(solo.output().truncate_from, None);
}

#[test]
fn s5_3_an_append_cuts_from_the_first_entry_that_differs() {
    let mut solo = Solo::new(3, &[1, 1, 2, 2, 2]);
    solo.follow(4);
    solo.hear(2, 4, append((1, 1), &[1, 2, 3], 0));
    assert_eq!(terms(&solo), [1, 1, 2, 3]);
    let output = solo.output();
    assert_eq!(output.truncate_from, Some(4));
    assert_eq!(output.append, entries(4, &[3]));
}

#[test]
fn s5_3_what_was_never_given_out_is_cut_without_a_word_to_the_disk() {
    let mut solo = Solo::new(3, &[1]);
    solo.follow(2);
    solo.hear(2, 2, append((1, 1), &[2, 2, 2], 0));
    solo.hear(3, 3, append((2, 2), &[3], 0));
    let output = solo.output();
    assert_eq!(output.truncate_from, None);
    assert_eq!(output.append, entries(2, &[2, 3]));
}

#[test]
fn s5_3_an_append_without_its_previous_entry_is_refused() {
    let mut solo = Solo::new(3, &[1, 2, 2]);
    solo.follow(4);
    for (prev, hint) in [((5, 4), (3, 2)), ((3, 3), (3, 2)), ((3, 1), (1, 1)), ((9, 1), (1, 1))] {
        solo.hear(2, 4, append(prev, &[4], 9));
        let (hint_index, hint_term) = hint;
        let refused = Body::Rejected { prev_index: prev.0, hint_index, hint_term };
        assert_eq!(solo.said(), [(2, refused)]);
    }
    assert_eq!((terms(&solo), solo.raft.commit()), (vec![1, 2, 2], 0));
}

#[test]
fn s5_3_figure_7_every_backup_gets_the_primarys_log() {
    let logs: [&[u64]; 6] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    let mut cluster = Cluster::new(7);
    let term = |term| HardState { term, voted_for: None };
    with_log(&mut cluster, 1, &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6], term(7));
    for (id, log) in (2..).zip(logs) {
        with_log(&mut cluster, id, log, term(7));
    }
    cluster.checker = Default::default();
    cluster.stand(1);
    cluster.settle();
    assert!(cluster.server(1).is_primary());
    cluster.settle_for(200);
    for id in 2..=7 {
        assert_eq!(cluster.server(id).view, cluster.server(1).view, "server {id}");
    }
    assert_eq!(cluster.checker.committed.len(), 11);
}

#[test]
fn s5_3_a_primary_goes_back_by_whole_terms() {
    let long = |term: u64| std::iter::repeat_n(term, 1_000);
    let ours: Vec<u64> = [1].into_iter().chain(long(4)).chain(long(6)).collect();
    let theirs: Vec<u64> = [1].into_iter().chain(long(2)).chain(long(3)).chain(long(5)).collect();
    let mut cluster = Cluster::new(3);
    with_log(&mut cluster, 1, &ours, HardState { term: 6, voted_for: None });
    with_log(&mut cluster, 2, &theirs, HardState { term: 6, voted_for: None });
    cluster.checker = Default::default();
    cluster.story = Some(Vec::new());
    cluster.stand(1);
    cluster.settle();
    assert_eq!(cluster.server(2).view, cluster.server(1).view);
    let story = cluster.story.expect("it is told");
    let refusals = story.iter().filter(|line| line.contains("2->1 rejected")).count();
    assert!(refusals <= 3, "{refusals} refusals for two terms that differ");
}

#[test]
fn s5_3_a_backup_acknowledges_only_what_is_durable() {
    let mut solo = Solo::new(3, &[1]);
    solo.follow(2);
    solo.hear(2, 2, append((1, 1), &[2, 2], 0));
    let first = solo.output();
    let said: Vec<&Body> = first.messages.iter().map(|m| &m.message.body).collect();
    assert_eq!(said, [&accepted(1)], "1 is the PRIMARY's and durable");
    solo.hear(2, 2, append((3, 2), &[], 0));
    assert_eq!(solo.said(), []);
    solo.raft.persisted(first.mark.expect("there were entries"));
    assert_eq!(solo.said(), [(2, accepted(3))]);
    solo.hear(2, 2, append((1, 1), &[2], 0));
    assert_eq!(solo.said(), [(2, accepted(3))], "asked again, it is told again");
}

#[test]
fn s5_3_a_backup_acknowledges_only_when_its_term_is_durable() {
    let mut solo = Solo::new(3, &[1]);
    solo.hear(2, 2, append((1, 1), &[2], 0));
    solo.persist();
    assert_eq!(solo.said(), []);
    solo.hear(2, 2, Body::Heartbeat { round: 1, commit: 0 });
    let answer = Body::HeartbeatReply { round: 1, verified: 2, match_index: 0 };
    assert_eq!(solo.said(), [(2, answer)]);
    solo.persist_vote();
    assert_eq!(solo.said(), [(2, accepted(2))]);
}

#[test]
fn s5_3_a_mark_from_before_a_cut_makes_nothing_durable() {
    // Index 2 of term 2 is appended, cut, and appended again while the disk has only begun.
    let mut solo = Solo::new(3, &[1]);
    solo.follow(2);
    solo.hear(2, 2, append((1, 1), &[2], 0));
    let first = solo.output().mark.expect("written");
    solo.hear(3, 3, append((1, 1), &[3], 0));
    solo.hear(2, 4, append((1, 1), &[2, 4], 0));
    let again = solo.output();
    assert_eq!((again.truncate_from, again.append), (Some(2), entries(2, &[2, 4])));
    solo.raft.hard_state_persisted(again.hard_state.expect("a new term"));
    assert_eq!(solo.said(), [(2, accepted(1))]);
    solo.raft.persisted(first);
    assert_eq!(solo.said(), [], "the disk may still cut it");
    solo.raft.persisted(again.mark.expect("written"));
    assert_eq!(solo.said(), [(2, accepted(3))]);
}

#[test]
fn s10_2_1_the_primary_sends_before_its_own_write_and_needs_no_own_copy() {
    let mut solo = Solo::primary(3, &[1]);
    let output = solo.output();
    let appends = output.messages.iter().filter(|m| matches!(m.message.body, Body::Append { .. }));
    assert!(output.mark.is_some() && appends.count() == 2, "all in one output");
    solo.hear(2, 2, accepted(2));
    assert_eq!(solo.raft.commit(), 0, "one of three, and this server is not durable");
    solo.hear(3, 2, accepted(2));
    assert_eq!((solo.raft.commit(), solo.raft.persisted_index()), (2, 1));
    assert_eq!(solo.raft.durable_commit(), 1);
}

#[test]
fn s10_2_1_the_primary_counts_itself_when_its_write_is_durable() {
    let mut solo = Solo::primary(3, &[1]);
    solo.raft.propose(command("x")).expect("taken");
    let mark = solo.output().mark.expect("written");
    solo.raft.propose(command("y")).expect("taken");
    solo.output();
    solo.hear(2, 2, accepted(4));
    assert_eq!(solo.raft.commit(), 0);
    solo.raft.persisted(mark);
    assert_eq!(solo.raft.commit(), 3, "y is not durable here");
}

#[test]
fn s5_3_a_backup_commits_only_what_it_compared_in_this_term() {
    let mut solo = Solo::new(3, &[1, 1, 1, 2]);
    solo.follow(3);
    solo.hear(2, 3, Body::Heartbeat { round: 2, commit: 4 });
    assert_eq!(solo.raft.commit(), 0, "4 may be another entry here");
    solo.hear(2, 3, append((1, 1), &[1], 4));
    assert_eq!(solo.raft.commit(), 2);
    solo.hear(2, 3, append((2, 1), &[1], 1));
    assert_eq!(solo.raft.commit(), 2, "and never goes back");
    solo.hear(3, 4, Body::Heartbeat { round: 1, commit: 3 });
    assert_eq!(solo.raft.commit(), 2, "what was compared with another PRIMARY's does not count");
}

#[test]
fn s5_3_a_heartbeat_carries_no_commit_past_what_the_backup_has() {
    let mut solo = Solo::primary(5, &[1]);
    solo.persist();
    solo.hear(2, 2, accepted(2));
    solo.hear(3, 2, accepted(2));
    solo.hear(4, 2, accepted(1));
    solo.output();
    solo.wait(100);
    let commit = |(to, body)| match body {
        Body::Heartbeat { commit, .. } => (to, commit),
        other => panic!("{other:?}"),
    };
    let commits: Vec<_> = solo.said().into_iter().map(commit).collect();
    assert_eq!(commits, [(2, 2), (3, 2), (4, 1), (5, 0)]);
}

#[test]
fn s5_3_old_and_doubled_acknowledgments_change_nothing() {
    let mut solo = Solo::primary(5, &[1]);
    solo.raft.propose(command("x")).expect("taken");
    solo.persist();
    for _ in 0..3 {
        solo.hear(2, 2, accepted(3));
        solo.hear(2, 2, accepted(1));
        solo.hear(3, 1, accepted(3));
    }
    assert_eq!(solo.raft.commit(), 0, "two of five have it");
    assert_eq!(solo.raft.backups()[0].match_index, 3);
    assert_eq!(solo.raft.backups()[1].match_index, 0, "an older term's does not count");
    solo.hear(3, 2, accepted(3));
    assert_eq!(solo.raft.commit(), 3);
}

#[test]
fn s5_3_an_old_refusal_does_not_undo_what_is_known() {
    let mut solo = Solo::primary(3, &[1, 1, 1]);
    let refused = Body::Rejected { prev_index: 3, hint_index: 1, hint_term: 1 };
    assert_eq!(appends(&mut solo, 2), [(3, 1)]);
    solo.hear(2, 2, refused.clone());
    assert_eq!(appends(&mut solo, 2), [(1, 3)]);
    solo.hear(2, 2, refused.clone());
    assert_eq!(appends(&mut solo, 2), [], "answered already");
    solo.hear(2, 2, accepted(4));
    solo.hear(2, 2, refused);
    assert_eq!((solo.raft.backups()[0].match_index, solo.raft.backups()[0].next), (4, 5));
}

#[test]
fn an_acknowledgment_of_what_does_not_exist_is_ignored() {
    let mut solo = Solo::primary(3, &[1]);
    solo.hear(2, 2, accepted(9));
    solo.hear(2, 2, Body::HeartbeatReply { round: 7, verified: 1, match_index: 1 });
    solo.hear(2, 2, Body::Rejected { prev_index: 9, hint_index: 9, hint_term: 9 });
    assert_eq!((solo.raft.backups()[0].match_index, solo.raft.violations()), (0, 3));
}

#[test]
fn an_append_that_is_no_piece_of_a_log_is_ignored() {
    let mut solo = Solo::new(3, &[1, 1]);
    solo.follow(2);
    solo.hear(2, 2, append((2, 1), &[3], 0));
    solo.hear(2, 2, append((2, 1), &[2, 1], 0));
    solo.hear(2, 2, append((0, 1), &[], 0));
    let (known, entries) = (Known::default(), entries(4, &[2]));
    let gap = Body::Append { prev_index: 2, prev_term: 1, known, commit: 0, entries };
    solo.hear(2, 2, gap);
    assert_eq!((terms(&solo), solo.raft.violations()), (vec![1, 1], 4));
    solo.hear(2, 2, append((2, 1), &[2], 3));
    solo.hear(2, 2, append((1, 1), &[2], 3));
    assert_eq!((terms(&solo), solo.raft.violations()), (vec![1, 1, 2], 5), "committed stays");
}

#[test]
fn s10_2_appends_follow_each_other_up_to_the_window() {
    let mut cluster = Cluster::with(2, |config| {
        config.window = 3;
        config.batch_bytes = 80;
    });
    cluster.elect(1);
    for _ in 0..10 {
        cluster.propose(1, &["some text", "some more text"]).expect("taken");
    }
    let sizes: Vec<usize> = cluster
        .wire
        .iter()
        .map(|flight| match &flight.message.body {
            Body::Append { entries, .. } => entries.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [1, 1, 1], "three batches of 80 bytes");
    cluster.settle();
    assert_eq!(cluster.checker.committed.len(), 21);
}

#[test]
fn s5_3_a_lost_append_is_sent_again_after_a_heartbeat() {
    let mut cluster = Cluster::new(2);
    cluster.elect(1);
    for text in ["a", "b", "c"] {
        cluster.propose(1, &[text]).expect("taken");
    }
    cluster.wire.remove(0);
    cluster.settle_for(100);
    assert_eq!(Server::texts(&cluster.checker.committed), ["-", "a", "b", "c"]);
    cluster.propose(1, &["d"]).expect("taken");
    cluster.wire.clear();
    cluster.settle_for(110);
    assert_eq!(cluster.checker.committed.len(), 5, "the last one as well");
}

#[test]
fn s5_3_a_lost_acknowledgment_is_made_up_for_by_a_heartbeats_answer() {
    let mut cluster = Cluster::new(2);
    cluster.elect(1);
    cluster.propose(1, &["a"]).expect("taken");
    cluster.persist(ServerId(1));
    assert!(cluster.deliver(1, 2));
    cluster.persist(ServerId(2));
    cluster.wire.clear();
    cluster.settle_for(110);
    assert_eq!(cluster.checker.committed.len(), 2);
}

#[test]
fn a_backup_on_a_slow_disk_gets_nothing_twice() {
    let mut solo = Solo::primary(3, &[1]);
    solo.hear(2, 2, accepted(1));
    solo.raft.propose(command("x")).expect("taken");
    solo.output();
    for round in 1..5 {
        solo.wait(100);
        solo.output();
        solo.hear(2, 2, Body::HeartbeatReply { round, verified: 3, match_index: 1 });
        assert_eq!(appends(&mut solo, 2), [], "it has all, and will say when it is durable");
    }
}

#[test]
fn s5_3_a_backup_restarted_in_the_same_term_compares_again_and_commits() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, &["a"]).expect("taken");
    cluster.settle_for(200);
    cluster.crash(ServerId(3));
    cluster.servers[2].disk.commit = 0;
    cluster.start(ServerId(3));
    assert_eq!(cluster.raft(3).commit(), 0);
    cluster.settle_for(300);
    assert_eq!(cluster.raft(3).commit(), 2, "though nothing new was proposed");
}

#[test]
fn a_backup_far_behind_gets_what_the_cache_no_longer_has_from_the_disk() {
    let mut cluster = Cluster::with(3, |config| {
        config.cache_bytes = 0;
        config.batch_bytes = 200;
    });
    cluster.elect(1);
    cluster.isolate(3);
    for _ in 0..50 {
        cluster.propose(1, &["some text"]).expect("taken");
        cluster.settle();
    }
    assert_eq!(cluster.raft(1).entry(10), None);
    cluster.heal();
    cluster.settle_for(150);
    assert_eq!(cluster.server(3).view, cluster.server(1).view);
}

#[test]
fn a_failed_read_from_the_disk_is_asked_for_again_after_a_heartbeat() {
    let mut cluster = Cluster::with(2, |config| config.cache_bytes = 0);
    cluster.elect(1);
    cluster.propose(1, &["a"]).expect("taken");
    cluster.settle();
    cluster.crash(ServerId(2));
    cluster.servers[1].disk.log.clear();
    cluster.servers[1].disk.commit = 0;
    cluster.start(ServerId(2));
    // Its disk is not what it acknowledged, so its PRIMARY can only learn that in a new term.
    cluster.crash(ServerId(1));
    cluster.start(ServerId(1));
    cluster.stand(1);
    let mut rounds = Rounds::new(10_000, "the PRIMARY asks for what the backup lacks");
    while cluster.server(1).fetches.is_empty() {
        rounds.count();
        if !cluster.wire.is_empty() {
            let flight = cluster.wire.remove(0);
            cluster.arrive(flight);
        }
        cluster.persist(ServerId(1));
        cluster.persist(ServerId(2));
    }
    cluster.fetch(ServerId(1), false);
    assert!(cluster.server(1).fetches.is_empty(), "not at once");
    cluster.settle_for(150);
    assert_eq!(cluster.server(2).view, cluster.server(1).view);
}

#[test]
fn s5_3_entries_of_a_primary_that_was_cut_off_are_replaced() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.isolate(1);
    cluster.propose(1, &["lost", "lost too"]).expect("taken");
    cluster.settle();
    cluster.elect(2);
    cluster.propose(2, &["kept"]).expect("taken");
    cluster.settle();
    cluster.heal();
    cluster.settle_for(300);
    assert_eq!(Server::texts(&cluster.server(1).applied), ["-", "-", "kept"]);
    assert_eq!(cluster.server(1).disk.log, cluster.server(2).disk.log);
}

#[test]
fn s5_2_entries_that_are_durable_before_their_term_is_raise_the_term_of_a_restart() {
    let solo = Solo::restored(3, &[1, 4], HardState { term: 3, voted_for: Some(ServerId(2)) });
    assert_eq!(solo.raft.hard_state(), HardState { term: 4, voted_for: None });
}

#[test]
fn a_restart_goes_on_behind_the_stored_commit_index() {
    let mut cluster = Cluster::new(1);
    cluster.tick(ServerId(1));
    cluster.settle();
    cluster.propose(1, &["a", "b"]).expect("taken");
    cluster.settle();
    cluster.propose(1, &["c"]).expect("taken");
    cluster.settle();
    cluster.crash(ServerId(1));
    cluster.start(ServerId(1));
    assert_eq!(cluster.raft(1).commit(), 3, "stored beside c");
    cluster.tick(ServerId(1));
    cluster.settle();
    assert_eq!(Server::texts(&cluster.server(1).applied), ["-", "a", "b", "c", "-"]);
}

#[test]
fn proposals_are_refused_while_too_much_waits() {
    let mut solo = Solo::primary(3, &[1]);
    let big = command(&"x".repeat(8 << 20));
    let mut taken = 0;
    while solo.raft.propose(big.clone()).is_ok() {
        taken += 1;
        assert!(taken < 100, "there is a bound");
    }
    assert_eq!(taken, limits::RAFT_UNCOMMITTED_BYTES / (8 << 20) - 1, "an entry has a head too");
    assert_eq!(solo.raft.propose(big.clone()), Err(ProposeError::Full));
    solo.persist();
    solo.hear(2, 2, accepted(solo.raft.last_index()));
    assert!(solo.raft.propose(big).is_ok(), "all that waited is committed");
    assert_eq!(solo.raft.role(), Role::Primary);
}
