//! Logs that were damaged: the rules of `restoring.rs`, one a test.

use chatctl::limits;
use chatctl::raft::{
    Body, HardState, Role, ServerId, TransferError, Why, is_damaged, next_damaged,
};

use super::cluster::{Cluster, Server, propose_all};
use super::solo::{Solo, append};
use crate::support::bounded::Rounds;

const VOTE: Body = Body::Vote { last_index: 9, last_term: 9, transfer: false };
const NO: Body = Body::VoteReply { granted: false };

fn of_copy(copy: u64, answer: Body) -> Body {
    Body::OfCopy { copy, answer: Box::new(answer) }
}

fn accepted(match_index: u64) -> Body {
    Body::Accepted { match_index }
}

/// Server 1 of three, which restores copy 1 in term 2, of which it has entries 1 and 2.
fn restoring() -> Solo {
    let mut solo = Solo::of_copy(3, &[1, 1], HardState { term: 2, voted_for: None }, 1);
    solo.hear(2, 2, Body::Heartbeat { round: 1, commit: 0 });
    solo.said();
    solo
}

/// A PRIMARY of three with two entries after its term's first, all durable there; server 2 has them
/// as copy 1, which is being restored, and server 3 has nothing.
fn with_damaged_backup() -> Solo {
    let mut solo = Solo::primary(3, &[1]);
    solo.hear(3, 2, accepted(1));
    propose_all(&mut solo.raft, &["1", "2"]).expect("taken");
    solo.persist();
    solo.hear(2, 2, of_copy(1, accepted(4)));
    solo
}

#[test]
fn numbers_of_copies_grow_and_tell_whole_ones_from_damaged_ones() {
    assert_eq!([0, 1, 2, 3].map(is_damaged), [false, true, false, true]);
    assert_eq!([0, 1, 2, 3].map(next_damaged), [1, 3, 3, 5]);
}

#[test]
fn a_damaged_server_grants_no_vote() {
    let mut solo = restoring();
    solo.wait(3_000);
    solo.hear(2, 3, VOTE);
    solo.persist_vote();
    solo.hear(2, 3, VOTE);
    assert_eq!(solo.said(), [(2, NO)]);
}

#[test]
fn a_damaged_server_does_not_even_give_a_vote_again_that_it_had_given() {
    let voted = HardState { term: 2, voted_for: Some(ServerId(2)) };
    let mut solo = Solo::of_copy(3, &[1], voted, 1);
    solo.hear(2, 2, VOTE);
    assert_eq!(solo.said(), [(2, NO)]);
}

#[test]
fn a_damaged_server_grants_no_pre_vote() {
    let mut solo = restoring();
    solo.wait(3_000);
    solo.hear(3, 2, Body::PreVote { for_term: 3, last_index: 9, last_term: 2 });
    let said = solo.said();
    assert_eq!(said, [(3, Body::PreVoteReply { for_term: 3, granted: false })]);
}

#[test]
fn a_damaged_server_stands_for_no_election_and_forgets_a_silent_primary() {
    let mut solo = restoring();
    assert_eq!(solo.raft.primary(), Some(ServerId(2)));
    solo.wait(3_000);
    assert_eq!((solo.raft.role(), solo.raft.primary()), (Role::Backup, None));
    let deadline = solo.raft.next_deadline_ms().expect("it goes on waiting");
    assert!(deadline > solo.now_ms);
    solo.hear(2, 2, Body::Heartbeat { round: 2, commit: 0 });
    solo.hear(2, 2, Body::TimeoutNow);
    assert_eq!((solo.raft.role(), solo.raft.term()), (Role::Backup, 2));
}

#[test]
fn its_answers_say_which_copy_they_are_of() {
    let mut solo = restoring();
    solo.persist_vote();
    solo.hear(2, 2, append((1, 1), &[1], 0));
    assert_eq!(solo.said(), [(2, of_copy(1, accepted(2)))]);
    solo.hear(2, 2, append((9, 1), &[2], 0));
    let refused = Body::Rejected { prev_index: 9, hint_index: 2, hint_term: 1 };
    assert_eq!(solo.said(), [(2, of_copy(1, refused))]);
    solo.hear(2, 2, Body::Heartbeat { round: 7, commit: 0 });
    let heard = Body::HeartbeatReply { round: 7, verified: 2, match_index: 2 };
    assert_eq!(solo.said(), [(2, of_copy(1, heard))]);
}

#[test]
fn it_is_whole_when_all_that_was_committed_is_durable_here() {
    let mut solo = restoring();
    solo.persist_vote();
    solo.hear(2, 2, Body::Restore { copy: 1, commit: 4 });
    assert_eq!(solo.raft.restored_at(), Some(4));
    assert_eq!(solo.output().copy, None);
    solo.hear(2, 2, append((2, 1), &[2, 2, 2], 4));
    let output = solo.output();
    assert_eq!((output.copy, solo.raft.commit()), (None, 4), "it is not durable");
    solo.raft.persisted(output.mark.expect("entries were appended"));
    assert_eq!(solo.output().copy, Some(2));
    assert!(solo.raft.is_restoring(), "that it is whole is not durable");
    assert_eq!(solo.output().copy, None, "it is said once");
    solo.raft.copy_persisted(2);
    assert!(!solo.raft.is_restoring());
    assert_eq!(solo.output().changes.last().map(|change| change.why), Some(Why::Restored));
    solo.wait(3_000);
    assert_eq!(solo.raft.role(), Role::Candidate);
}

#[test]
fn more_than_was_first_told_need_not_be_waited_for() {
    let mut solo = restoring();
    solo.hear(2, 2, Body::Restore { copy: 1, commit: 2 });
    solo.hear(2, 2, Body::Restore { copy: 1, commit: 900 });
    assert_eq!(solo.raft.restored_at(), Some(2));
    solo.hear(2, 2, append((2, 1), &[], 2));
    assert_eq!(solo.output().copy, Some(2));
}

#[test]
fn what_was_told_of_another_copy_or_by_another_server_is_not_taken() {
    let mut solo = restoring();
    solo.hear(2, 2, append((2, 1), &[], 2));
    solo.hear(2, 2, Body::Restore { copy: 3, commit: 1 });
    solo.hear(3, 2, Body::Restore { copy: 1, commit: 1 });
    solo.hear(2, 1, Body::Restore { copy: 1, commit: 1 });
    solo.hear(3, 3, Body::Restore { copy: 1, commit: 1 });
    assert_eq!((solo.raft.restored_at(), solo.output().copy), (None, None));
}

#[test]
fn a_whole_server_takes_no_restoring() {
    let mut solo = Solo::of_copy(3, &[1, 1], HardState { term: 2, voted_for: None }, 2);
    solo.hear(2, 2, append((2, 1), &[], 2));
    solo.hear(2, 2, Body::Restore { copy: 2, commit: 1 });
    assert_eq!(solo.output().copy, None);
}

#[test]
fn a_copy_that_is_being_restored_commits_nothing() {
    let mut solo = with_damaged_backup();
    assert_eq!(solo.raft.commit(), 0, "the entries are whole here alone");
    solo.hear(3, 2, accepted(3));
    assert_eq!(solo.raft.commit(), 3);
}

#[test]
fn what_was_acknowledged_before_the_damage_counts_no_longer() {
    let mut solo = Solo::primary(5, &[1]);
    solo.persist();
    solo.hear(2, 2, accepted(2));
    solo.hear(2, 2, of_copy(1, Body::Rejected { prev_index: 2, hint_index: 0, hint_term: 0 }));
    assert_eq!(solo.raft.backups()[0].match_index, 0, "this copy is not the one that had it");
    solo.hear(2, 2, of_copy(2, accepted(1)));
    solo.hear(3, 2, accepted(2));
    assert_eq!(solo.raft.commit(), 0, "nor is the one that was restored");
    solo.hear(2, 2, of_copy(2, accepted(2)));
    assert_eq!(solo.raft.commit(), 2);
}

#[test]
fn an_old_acknowledgment_that_comes_after_the_newer_copys_is_not_believed() {
    let mut solo = Solo::primary(3, &[1]);
    solo.persist();
    solo.hear(2, 2, of_copy(2, accepted(1)));
    for old in [accepted(2), of_copy(1, accepted(2))] {
        solo.hear(2, 2, old);
        assert_eq!((solo.raft.commit(), solo.raft.backups()[0].match_index), (0, 1));
    }
    let heard = Body::HeartbeatReply { round: 0, verified: 2, match_index: 2 };
    solo.hear(2, 2, heard);
    assert_eq!(solo.raft.commit(), 0);
}

#[test]
fn what_is_committed_stays_so_when_a_copy_of_it_is_lost() {
    let mut solo = Solo::primary(3, &[1]);
    solo.persist();
    solo.hear(2, 2, accepted(2));
    assert_eq!(solo.raft.commit(), 2);
    solo.hear(2, 2, of_copy(1, accepted(0)));
    assert_eq!((solo.raft.commit(), solo.raft.backups()[0].match_index), (2, 0));
}

#[test]
fn a_primary_tells_what_is_needed_once_its_own_term_has_committed() {
    let restores = |solo: &mut Solo| {
        solo.wait(100);
        let said = solo.said();
        said.into_iter()
            .filter(|(_, body)| matches!(body, Body::Restore { .. }))
            .collect::<Vec<_>>()
    };
    let mut solo = with_damaged_backup();
    assert_eq!(restores(&mut solo), [], "it does not know all that is committed");
    solo.hear(3, 2, accepted(3));
    assert_eq!(restores(&mut solo), [(2, Body::Restore { copy: 1, commit: 3 })]);
    solo.hear(2, 2, of_copy(2, accepted(3)));
    assert_eq!(restores(&mut solo), []);
}

#[test]
fn a_copy_that_is_being_restored_answers_no_read() {
    let mut solo = with_damaged_backup();
    solo.hear(3, 2, accepted(2));
    solo.raft.read(77).expect("taken");
    let round = |said: Vec<(u32, Body)>| {
        let heartbeat = |(_, body): &(u32, Body)| match body {
            Body::Heartbeat { round, .. } => Some(*round),
            _ => None,
        };
        said.iter().find_map(heartbeat).expect("a round of heartbeats")
    };
    let round = round(solo.said());
    let heard = Body::HeartbeatReply { round, verified: 2, match_index: 2 };
    solo.hear(2, 2, of_copy(1, heard.clone()));
    assert!(solo.output().reads.is_empty());
    solo.hear(3, 2, heard);
    assert_eq!(solo.output().reads.len(), 1);
}

#[test]
fn nobody_hands_over_to_a_server_that_is_being_restored() {
    let mut solo = with_damaged_backup();
    assert_eq!(solo.raft.successor(), Some(ServerId(3)), "though it has more");
    let refused = solo.raft.transfer(solo.now_ms, ServerId(2));
    assert_eq!(refused, Err(TransferError::NoBackup { to: ServerId(2) }));
    solo.raft.transfer(solo.now_ms, ServerId(3)).expect("it is whole");
    solo.hear(3, 2, of_copy(1, accepted(0)));
    assert_eq!(solo.raft.transferring_to(), None, "it is damaged");
}

#[test]
fn a_primary_stays_for_a_server_that_is_being_restored_and_lost_servers_are_not_needed_for_it() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, &["x"]).expect("taken");
    cluster.settle_for(200);
    cluster.crash(ServerId(3));
    cluster.crash(ServerId(2));
    cluster.damage(ServerId(2), 0);
    cluster.start(ServerId(2));
    cluster.settle_for(2_000);
    assert!(cluster.server(1).is_primary());
    assert!(!cluster.raft(2).is_restoring());
    cluster.propose(1, &["y"]).expect("taken");
    cluster.settle_for(200);
    assert_eq!(Server::texts(&cluster.server(2).applied), ["-", "x", "y"]);
}

#[test]
fn a_damaged_server_that_ends_in_the_middle_goes_on_with_its_copy() {
    let mut cluster = Cluster::with(3, |config| config.batch_bytes = 1);
    cluster.elect(1);
    cluster.propose(1, &["x", "y", "z"]).expect("taken");
    cluster.settle_for(200);
    cluster.crash(ServerId(2));
    cluster.damage(ServerId(2), 1);
    cluster.start(ServerId(2));
    cluster.isolate(2);
    cluster.settle_for(200);
    cluster.crash(ServerId(2));
    cluster.start(ServerId(2));
    assert_eq!((cluster.raft(2).is_restoring(), cluster.raft(2).copy()), (true, 1));
    cluster.heal();
    cluster.settle_for(1_000);
    assert_eq!((cluster.raft(2).is_restoring(), cluster.raft(2).copy()), (false, 2));
}

#[test]
fn further_damage_while_it_is_being_restored_begins_anew() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, &["x", "y", "z"]).expect("taken");
    cluster.settle_for(200);
    for left in [3, 0] {
        cluster.crash(ServerId(2));
        cluster.damage(ServerId(2), left);
        cluster.start(ServerId(2));
        cluster.pass(100);
        assert!(cluster.deliver(1, 2));
    }
    assert_eq!(cluster.raft(2).copy(), 3);
    cluster.settle_for(1_000);
    assert_eq!((cluster.raft(2).is_restoring(), cluster.raft(2).copy()), (false, 4));
    assert_eq!(cluster.server(2).applied.len(), 4);
}

#[test]
fn a_primary_that_is_damaged_itself_is_restored_by_the_next_one() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, &["x"]).expect("taken");
    cluster.settle_for(200);
    cluster.crash(ServerId(1));
    cluster.damage(ServerId(1), 0);
    cluster.start(ServerId(1));
    cluster.settle_for(3_000);
    assert!(!cluster.raft(1).is_restoring());
    assert_eq!(Server::texts(&cluster.server(1).applied), ["-", "x", "-"]);
}

#[test]
fn with_a_majority_damaged_nobody_is_elected() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, &["x"]).expect("taken");
    cluster.settle_for(200);
    for id in [1, 2] {
        cluster.crash(ServerId(id));
        cluster.damage(ServerId(id), 0);
        cluster.start(ServerId(id));
    }
    cluster.settle_for(10_000);
    assert!((1..=3).all(|id| !cluster.server(id).is_primary()));
    assert_eq!(cluster.raft(3).commit(), 2, "it keeps what it has");
}

#[test]
fn who_takes_itself_for_the_only_voter_waits_for_others_all_the_same() {
    let mut solo = Solo::of_copy(1, &[1], HardState { term: 1, voted_for: None }, 1);
    solo.wait(3_000);
    assert_eq!((solo.raft.role(), solo.raft.term()), (Role::Backup, 1));
    solo.hear(2, 4, append((1, 1), &[4], 0));
    assert_eq!((solo.raft.primary(), solo.raft.last_index()), (Some(ServerId(2)), 2));
}

#[test]
fn a_server_that_is_being_restored_gets_no_vote() {
    let mut cluster = Cluster::with_spares(3, 1, |_| ());
    cluster.elect(1);
    cluster.settle_for(200);
    cluster.change(1, &[1, 2, 3], &[4]).expect("taken");
    cluster.settle_for(200);
    assert_eq!(cluster.raft(1).caught_up(), Some(ServerId(4)));
    cluster.isolate(1);
    cluster.crash(ServerId(4));
    cluster.damage(ServerId(4), 0);
    cluster.start(ServerId(4));
    cluster.heal();
    cluster.pass(110);
    let mut rounds = Rounds::new(10_000, "1 and 4 have nothing more to say to each other");
    while cluster.deliver(1, 4) || cluster.deliver(4, 1) {
        rounds.count();
    }
    assert!(cluster.raft(4).is_restoring());
    assert_eq!(cluster.raft(1).caught_up(), None);
    cluster.settle_for(1_000);
    assert_eq!(cluster.raft(1).caught_up(), Some(ServerId(4)));
}

#[test]
fn an_answer_of_an_absurd_copy_is_ignored() {
    let mut solo = Solo::primary(3, &[1]);
    solo.persist();
    for copy in [0, limits::RAFT_COPY + 1, u64::MAX] {
        solo.hear(2, 2, of_copy(copy, accepted(2)));
    }
    assert_eq!((solo.raft.violations(), solo.raft.commit()), (3, 0));
    solo.hear(2, 2, of_copy(limits::RAFT_COPY, accepted(2)));
    assert_eq!((solo.raft.violations(), solo.raft.commit()), (3, 2));
}
