//! Logs that lost what was acknowledged, without a trace on the disk: "Found late" of `restoring.rs`.

use chatctl::limits;
use chatctl::raft::{Body, Entry, HardState, Known, Raft, Role, ServerId, TransferError, Why};

use super::cluster::{Cluster, Server, propose_all};
use super::solo::{Solo, append, append_known};

const VOTE: Body = Body::Vote { last_index: 9, last_term: 9, transfer: false };
const NO: Body = Body::VoteReply { granted: false };

fn counted(copy: u64) -> Known {
    Known { copy, counted: true }
}

fn of_copy(copy: u64, answer: Body) -> Body {
    Body::OfCopy { copy, answer: Box::new(answer) }
}

fn accepted(match_index: u64) -> Body {
    Body::Accepted { match_index }
}

/// What a server that has nothing after `prev_index` says.
fn rejected(prev_index: u64) -> Body {
    Body::Rejected { prev_index, hint_index: 2, hint_term: 1 }
}

/// Server 1 of three: copy `copy` with entries 1 and 2, in term 2, whose PRIMARY is server 2.
fn backup(copy: u64) -> Solo {
    let mut solo = Solo::of_copy(3, &[1, 1], HardState { term: 2, voted_for: None }, copy);
    solo.hear(2, 2, Body::Heartbeat { round: 1, commit: 0 });
    solo.said();
    solo
}

/// The same after it was told that it has acknowledged entry 4.
fn loser() -> Solo {
    let mut solo = backup(0);
    solo.hear(2, 2, append_known((4, 2), counted(0), &[], 0));
    solo
}

/// The appends to a server that are said now: where each follows, and what is known there.
fn appends(solo: &mut Solo, to: u32) -> Vec<(u64, Known)> {
    let append = |(receiver, body)| match body {
        Body::Append { prev_index, known, .. } if receiver == to => Some((prev_index, known)),
        _ => None,
    };
    solo.said().into_iter().filter_map(append).collect()
}

/// A PRIMARY of three, term 2, with entries up to 4, of which server 2 has acknowledged all.
fn primary() -> Solo {
    let mut solo = Solo::primary(3, &[1]);
    propose_all(&mut solo.raft, &["1", "2"]).expect("taken");
    solo.persist();
    solo.hear(2, 2, accepted(4));
    solo.said();
    solo
}

// The backup.

#[test]
fn a_backup_notices_that_it_lacks_what_is_counted_and_asks_for_the_next_copys_number() {
    let mut solo = loser();
    let output = solo.output();
    assert_eq!((output.copy, output.messages.len()), (Some(1), 0));
    let why = output.changes.last().map(|change| change.why);
    assert_eq!(why, Some(Why::Lost { index: 4, last_index: 2 }));
    let line = why.expect("it is told").to_string();
    assert!(line.contains("lacks entry 4, which this server has acknowledged"), "{line}");
    assert!(solo.raft.is_restoring());
    solo.hear(2, 2, append_known((4, 2), counted(0), &[], 0));
    let again = solo.output();
    assert!(again.copy.is_none() && again.changes.is_empty(), "it is noticed once");
    assert_eq!(solo.raft.violations(), 0);
}

#[test]
fn an_entry_of_another_term_in_its_place_is_lost_as_well() {
    let mut solo = backup(0);
    solo.hear(2, 2, append_known((2, 2), counted(0), &[], 0));
    assert_eq!(solo.output().copy, Some(1));
}

#[test]
fn from_when_it_notices_it_grants_no_vote_and_stands_for_no_election() {
    let mut solo = loser();
    solo.wait(3_000);
    assert_eq!(solo.raft.role(), Role::Backup);
    solo.hear(3, 2, Body::PreVote { for_term: 3, last_index: 9, last_term: 2 });
    assert_eq!(solo.said(), [(3, Body::PreVoteReply { for_term: 3, granted: false })]);
    solo.hear(3, 3, VOTE);
    solo.persist_vote();
    solo.hear(3, 3, VOTE);
    assert_eq!(solo.said(), [(3, NO)]);
    // Nor when the number is saved.
    solo.raft.copy_persisted(1);
    solo.hear(3, 3, VOTE);
    assert_eq!(solo.said(), [(3, NO)]);
}

#[test]
fn from_when_it_notices_it_takes_nothing_over() {
    let mut solo = loser();
    solo.hear(2, 2, Body::TimeoutNow);
    assert_eq!((solo.raft.role(), solo.raft.term()), (Role::Backup, 2));
}

#[test]
fn a_vote_that_waits_for_the_disk_is_not_given_any_more_once_it_notices() {
    let mut solo = Solo::restored(3, &[1, 1], HardState { term: 2, voted_for: None });
    solo.wait(3_000);
    solo.hear(3, 3, Body::Vote { last_index: 9, last_term: 2, transfer: false });
    // Server 2 has won this term without it, and has counted what it has lost since.
    solo.hear(2, 3, append_known((4, 2), counted(0), &[], 0));
    solo.persist_vote();
    let granted = solo.said().into_iter().any(|(_, body)| body != NO);
    assert!(!granted);
    assert_eq!(solo.raft.hard_state().voted_for, Some(ServerId(3)), "the vote itself stays");
}

#[test]
fn the_next_copy_is_told_once_its_number_is_durable_and_the_old_one_keeps_the_primary_until_then() {
    let mut solo = loser();
    solo.persist_vote();
    solo.said();
    let heard = |round| Body::HeartbeatReply { round, verified: 0, match_index: 0 };
    solo.hear(2, 2, Body::Heartbeat { round: 5, commit: 0 });
    assert_eq!(solo.said(), [(2, heard(5))], "of the copy that is saved");
    solo.raft.copy_persisted(1);
    assert!(solo.raft.is_restoring());
    solo.hear(2, 2, Body::Heartbeat { round: 6, commit: 0 });
    assert_eq!(solo.said(), [(2, of_copy(1, heard(6)))]);
}

#[test]
fn what_it_has_is_acknowledged_again_as_that_of_the_next_copy() {
    let mut solo = backup(0);
    solo.persist_vote();
    solo.hear(2, 2, append((2, 1), &[], 0));
    assert_eq!(solo.said(), [(2, accepted(2))]);
    solo.hear(2, 2, append_known((4, 2), counted(0), &[], 0));
    solo.said();
    solo.raft.copy_persisted(1);
    assert_eq!(solo.said(), [(2, of_copy(1, accepted(2)))]);
}

#[test]
fn it_is_restored_without_a_restart() {
    let mut solo = loser();
    solo.persist_vote();
    solo.raft.copy_persisted(1);
    solo.hear(2, 2, Body::Restore { copy: 1, commit: 4 });
    solo.hear(2, 2, append((2, 1), &[2, 2], 4));
    solo.persist();
    assert_eq!(solo.output().copy, Some(2));
    solo.raft.copy_persisted(2);
    assert!(!solo.raft.is_restoring());
    solo.wait(3_000);
    assert_eq!(solo.raft.role(), Role::Candidate);
}

#[test]
fn one_that_was_restarted_and_has_all_that_it_acknowledged_is_no_loser() {
    let mut solo = backup(0);
    solo.persist_vote();
    solo.hear(2, 2, append_known((2, 1), counted(0), &[2], 0));
    solo.hear(2, 2, append_known((1, 1), counted(0), &[1], 0));
    assert_eq!((solo.output().copy, solo.raft.is_restoring()), (None, false));
}

#[test]
fn what_is_not_counted_or_was_counted_of_an_older_copy_may_be_missing() {
    let mut solo = backup(2);
    for known in [Known { copy: 2, counted: false }, counted(0), counted(1)] {
        solo.hear(2, 2, append_known((4, 2), known, &[], 0));
        assert_eq!(solo.said(), [(2, of_copy(2, rejected(4)))], "{known:?}");
    }
    assert!(!solo.raft.is_restoring());
}

#[test]
fn what_was_counted_in_an_older_term_may_be_missing() {
    let mut solo = backup(0);
    solo.hear(3, 3, Body::Heartbeat { round: 1, commit: 0 });
    solo.said();
    solo.hear(2, 2, append_known((4, 2), counted(0), &[], 0));
    assert_eq!(solo.said(), [(2, Body::Behind)]);
    assert!(!solo.raft.is_restoring());
}

#[test]
fn a_copy_that_is_being_restored_and_loses_more_is_another_one() {
    let mut solo = backup(1);
    solo.hear(2, 2, append_known((4, 2), counted(1), &[], 0));
    assert_eq!(solo.output().copy, Some(3));
    // What would have made the copy before whole makes this one not.
    solo.hear(2, 2, Body::Restore { copy: 1, commit: 0 });
    assert_eq!(solo.output().copy, None);
    solo.raft.copy_persisted(3);
    assert!(solo.raft.is_restoring());
    assert_eq!(solo.raft.restored_at(), None);
}

#[test]
fn a_directory_whose_copy_is_older_than_what_was_told_is_noticed_wherever_its_log_ends() {
    for (own, known, next) in [(0, 2, 3), (1, 2, 3), (0, 1, 3), (2, 3, 5)] {
        let mut solo = backup(own);
        let known = Known { copy: known, counted: false };
        solo.hear(2, 2, append_known((2, 1), known, &[], 0));
        let output = solo.output();
        assert_eq!(output.copy, Some(next));
        let why = output.changes.last().map(|change| change.why);
        assert_eq!(why, Some(Why::OldCopy { copy: own, known: known.copy }));
        assert!(output.messages.is_empty() && solo.raft.is_restoring());
    }
}

#[test]
fn an_append_for_an_absurd_copy_is_ignored() {
    let mut solo = backup(0);
    for copy in [limits::RAFT_COPY + 1, u64::MAX] {
        solo.hear(2, 2, append_known((2, 1), counted(copy), &[2], 0));
    }
    assert_eq!((solo.raft.violations(), solo.raft.last_index()), (2, 2));
    assert_eq!(solo.output().copy, None);
}

// The PRIMARY.

#[test]
fn an_append_says_whether_its_place_is_counted_and_of_which_copy() {
    let mut solo = Solo::primary(3, &[1, 1]);
    assert_eq!(appends(&mut solo, 2), [(2, Known::default())]);
    solo.hear(2, 2, accepted(3));
    propose_all(&mut solo.raft, &["1"]).expect("taken");
    assert_eq!(appends(&mut solo, 2), [(3, counted(0))]);
    // What is under way is not counted.
    propose_all(&mut solo.raft, &["1"]).expect("taken");
    assert_eq!(appends(&mut solo, 2), [(4, Known::default())]);
    solo.hear(2, 2, of_copy(2, accepted(1)));
    let said = appends(&mut solo, 2);
    assert_eq!(said.first(), Some(&(1, counted(2))));
}

#[test]
fn a_primary_asks_again_where_a_backup_lacks_what_it_has_acknowledged() {
    let mut solo = primary();
    solo.hear(2, 2, rejected(4));
    assert_eq!(appends(&mut solo, 2), [(4, counted(0))]);
    // Once, until that is answered.
    solo.hear(2, 2, rejected(4));
    assert_eq!(appends(&mut solo, 2), []);
    solo.hear(2, 2, accepted(4));
    solo.hear(2, 2, rejected(3));
    assert_eq!(appends(&mut solo, 2), [(4, counted(0))], "below the newest, too");
}

#[test]
fn while_nothing_is_proposed_a_heartbeats_answer_leads_to_the_same_question() {
    let mut solo = primary();
    solo.wait(100);
    assert_eq!(appends(&mut solo, 2), []);
    solo.hear(2, 2, Body::HeartbeatReply { round: 1, verified: 0, match_index: 0 });
    assert_eq!(appends(&mut solo, 2), [(4, counted(0))]);
}

#[test]
fn a_new_answer_of_an_older_copy_leads_to_the_same_question_and_an_old_one_does_not() {
    let mut solo = primary();
    solo.hear(2, 2, of_copy(2, accepted(4)));
    solo.wait(100);
    solo.said();
    let heard = Body::HeartbeatReply { round: 1, verified: 4, match_index: 4 };
    solo.hear(2, 2, of_copy(2, heard.clone()));
    solo.hear(2, 2, heard);
    assert_eq!(appends(&mut solo, 2), [], "it is of a round that was answered");
    solo.wait(100);
    solo.said();
    solo.hear(2, 2, Body::HeartbeatReply { round: 2, verified: 0, match_index: 0 });
    assert_eq!(appends(&mut solo, 2), [(4, counted(2))]);
}

// All together.

/// Three servers, of which the third is down; the first is PRIMARY, and has committed two entries
/// with the second, which then ends.
fn two_of_three() -> Cluster {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.crash(ServerId(3));
    cluster.propose(1, &["x", "y"]).expect("taken");
    cluster.settle_for(200);
    assert_eq!(cluster.raft(1).commit(), 3);
    cluster.crash(ServerId(2));
    cluster
}

/// The second is restored, and the first was PRIMARY all the time.
fn check_that_it_goes_on(cluster: &mut Cluster) {
    cluster.propose(1, &["z"]).expect("taken");
    cluster.settle_for(500);
    assert_eq!((cluster.raft(1).role(), cluster.raft(1).term()), (Role::Primary, 1));
    assert_eq!((cluster.raft(2).is_restoring(), cluster.raft(2).copy()), (false, 2));
    assert_eq!(Server::texts(&cluster.server(2).applied), ["-", "x", "y", "z"]);
    let backup = &cluster.raft(1).backups()[0];
    assert_eq!((backup.match_index, backup.restoring), (4, false), "it lags behind no more");
}

#[test]
fn with_two_of_three_up_a_loss_is_found_and_restored_and_the_primary_stays() {
    for left in 0..3 {
        let mut cluster = two_of_three();
        cluster.lose(ServerId(2), left);
        cluster.start(ServerId(2));
        check_that_it_goes_on(&mut cluster);
    }
}

#[test]
fn an_idle_cluster_finds_it_within_an_election_timeout() {
    let mut cluster = two_of_three();
    cluster.lose(ServerId(2), 2);
    cluster.start(ServerId(2));
    cluster.settle_for(limits::RAFT_ELECTION_TIMEOUT_MS);
    assert_eq!((cluster.raft(2).is_restoring(), cluster.raft(2).copy()), (false, 2));
    assert_eq!(cluster.raft(1).role(), Role::Primary);
    check_that_it_goes_on(&mut cluster);
}

#[test]
fn a_slow_disk_does_not_depose_the_primary_while_the_next_copys_number_is_saved() {
    let mut cluster = two_of_three();
    cluster.lose(ServerId(2), 2);
    cluster.start(ServerId(2));
    for _ in 0..300 {
        cluster.pass(10);
        while cluster.deliver(1, 2) || cluster.deliver(2, 1) {}
    }
    assert!(cluster.raft(2).is_restoring() && cluster.raft(2).copy() == 0);
    assert_eq!((cluster.raft(1).role(), cluster.raft(1).term()), (Role::Primary, 1));
    assert_eq!(cluster.raft(1).commit(), 3);
    check_that_it_goes_on(&mut cluster);
}

#[test]
fn a_backup_that_ends_before_the_number_is_saved_notices_again() {
    let mut cluster = two_of_three();
    cluster.lose(ServerId(2), 2);
    cluster.start(ServerId(2));
    cluster.pass(100);
    while cluster.deliver(1, 2) || cluster.deliver(2, 1) {}
    assert!(cluster.raft(2).is_restoring());
    cluster.crash(ServerId(2));
    cluster.start(ServerId(2));
    assert!(!cluster.raft(2).is_restoring(), "nothing on its disk tells");
    check_that_it_goes_on(&mut cluster);
}

#[test]
fn once_it_is_noticed_nobody_is_elected_who_lacks_what_only_the_primary_has() {
    let mut cluster = two_of_three();
    cluster.lose(ServerId(2), 1);
    cluster.start(ServerId(2));
    cluster.pass(100);
    while cluster.deliver(1, 2) || cluster.deliver(2, 1) {}
    cluster.persist(ServerId(2));
    assert!(cluster.raft(2).is_restoring() && cluster.raft(2).copy() == 1);
    cluster.crash(ServerId(1));
    cluster.wire.clear();
    cluster.start(ServerId(3));
    cluster.settle_for(10_000);
    assert!((2..=3).all(|id| !cluster.server(id).is_primary()));
    cluster.start(ServerId(1));
    cluster.settle_for(5_000);
    assert!((1..=3).all(|id| cluster.server(id).applied.len() >= 4));
    assert_eq!(Server::texts(&cluster.server(3).applied)[..3], ["-", "x", "y"]);
    assert!(!cluster.raft(2).is_restoring());
}

#[test]
fn after_a_change_of_the_primary_the_logs_are_matched_as_ever() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, &["x", "y"]).expect("taken");
    cluster.settle_for(200);
    cluster.crash(ServerId(2));
    cluster.lose(ServerId(2), 1);
    cluster.crash(ServerId(1));
    cluster.stand(3);
    cluster.start(ServerId(2));
    cluster.stand(3);
    cluster.settle_for(2_000);
    assert!(cluster.server(3).is_primary());
    assert_eq!((cluster.raft(2).is_restoring(), cluster.raft(2).copy()), (false, 0));
    assert_eq!(Server::texts(&cluster.server(2).applied), ["-", "x", "y", "-"]);
}

#[test]
fn a_backup_that_lost_its_log_is_not_handed_over_to_before_it_is_restored() {
    let mut cluster = two_of_three();
    cluster.lose(ServerId(2), 2);
    cluster.start(ServerId(2));
    cluster.pass(100);
    while cluster.deliver(1, 2) || cluster.deliver(2, 1) {}
    cluster.persist(ServerId(2));
    cluster.pass(100);
    while cluster.deliver(1, 2) || cluster.deliver(2, 1) {}
    let refused =
        cluster.input(ServerId(1), |raft: &mut Raft, now| raft.transfer(now, ServerId(2)));
    assert_eq!(refused, Some(Err(TransferError::NoBackup { to: ServerId(2) })));
    check_that_it_goes_on(&mut cluster);
}

#[test]
fn an_old_copy_of_the_directory_is_restored_also_where_its_copys_number_is_old() {
    let mut cluster = two_of_three();
    let old: Vec<Entry> = cluster.server(2).disk.log.clone();
    cluster.damage(ServerId(2), 1);
    cluster.start(ServerId(2));
    cluster.settle_for(500);
    assert_eq!(cluster.raft(2).copy(), 2);
    cluster.propose(1, &["w"]).expect("taken");
    cluster.settle_for(200);
    cluster.crash(ServerId(2));
    cluster.lose(ServerId(2), 0);
    let disk = &mut cluster.servers[1].disk;
    (disk.log, disk.copy) = (old, 0);
    cluster.start(ServerId(2));
    cluster.settle_for(500);
    assert_eq!((cluster.raft(2).is_restoring(), cluster.raft(2).copy()), (false, 4));
    assert_eq!(Server::texts(&cluster.server(2).applied), ["-", "x", "y", "w"]);
}
