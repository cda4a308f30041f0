//! Reads (dissertation §6.4) and transfers (§3.10).

use chatctl::limits;
use chatctl::raft::{Body, ProposeError, ReadError, ReadGrant, Role, ServerId, TransferError, Why};

use super::cluster::Cluster;
use super::solo::{Solo, append};

/// The rounds of the heartbeats that are said now.
fn rounds(solo: &mut Solo) -> Vec<u64> {
    let round = |(_, body)| match body {
        Body::Heartbeat { round, .. } => Some(round),
        _ => None,
    };
    solo.said().into_iter().filter_map(round).collect()
}

/// A PRIMARY in term 2 that has committed index 2, its term's first entry.
fn ready() -> Solo {
    let mut solo = Solo::primary(3, &[1]);
    solo.persist();
    solo.hear(2, 2, Body::Accepted { match_index: 2 });
    assert_eq!(solo.raft.commit(), 2);
    solo.output();
    solo
}

fn answer(round: u64) -> Body {
    Body::HeartbeatReply { round, verified: 2, match_index: 2 }
}

#[test]
fn s6_4_a_read_waits_for_a_committed_entry_of_the_term() {
    let mut solo = Solo::primary(3, &[1]);
    solo.raft.read(5).expect("taken");
    assert_eq!(rounds(&mut solo), [], "what is committed is not known yet");
    solo.wait(100);
    assert_eq!(rounds(&mut solo), [1, 1], "an ordinary heartbeat");
    solo.hear(2, 2, Body::HeartbeatReply { round: 1, verified: 1, match_index: 1 });
    assert_eq!(solo.output().reads, []);
    solo.hear(2, 2, Body::Accepted { match_index: 2 });
    solo.hear(3, 2, Body::Accepted { match_index: 2 });
    assert_eq!(rounds(&mut solo), [2, 2]);
    solo.hear(2, 2, answer(2));
    assert_eq!(solo.output().reads, [ReadGrant { ticket: 5, index: 2 }]);
}

#[test]
fn s6_4_an_answer_to_an_older_heartbeat_grants_no_read() {
    let mut solo = ready();
    solo.wait(100);
    assert_eq!(rounds(&mut solo), [1, 1]);
    solo.raft.read(5).expect("taken");
    assert_eq!(rounds(&mut solo), [2, 2]);
    solo.hear(2, 2, answer(1));
    solo.hear(3, 2, answer(1));
    solo.hear(2, 1, answer(2));
    assert_eq!(solo.output().reads, []);
    solo.hear(3, 2, answer(2));
    assert_eq!(solo.output().reads.len(), 1);
}

#[test]
fn s6_4_the_index_is_the_one_of_when_the_round_began() {
    let mut solo = ready();
    solo.raft.read(5).expect("taken");
    assert_eq!(rounds(&mut solo), [1, 1]);
    solo.raft.propose(super::cluster::command("x")).expect("taken");
    solo.persist();
    solo.hear(2, 2, Body::Accepted { match_index: 3 });
    assert_eq!(solo.raft.commit(), 3);
    solo.hear(2, 2, answer(1));
    assert_eq!(solo.output().reads, [ReadGrant { ticket: 5, index: 2 }]);
}

#[test]
fn s6_4_reads_share_a_round_and_later_ones_wait_for_the_next() {
    let mut solo = ready();
    solo.raft.read(5).expect("taken");
    solo.raft.read(6).expect("taken");
    assert_eq!(rounds(&mut solo), [1, 1]);
    solo.raft.read(7).expect("taken");
    assert_eq!(rounds(&mut solo), []);
    solo.hear(2, 2, answer(1));
    let output = solo.output();
    let tickets: Vec<u64> = output.reads.iter().map(|grant| grant.ticket).collect();
    assert_eq!(tickets, [5, 6]);
    assert_eq!(output.messages.len(), 2, "the next round");
    solo.hear(3, 2, answer(2));
    assert_eq!(solo.output().reads, [ReadGrant { ticket: 7, index: 2 }]);
}

#[test]
fn s6_4_a_lost_round_is_made_up_for_by_the_next_heartbeat() {
    let mut solo = ready();
    solo.raft.read(5).expect("taken");
    solo.output();
    solo.wait(100);
    assert_eq!(rounds(&mut solo), [2, 2]);
    solo.hear(2, 2, answer(2));
    assert_eq!(solo.output().reads.len(), 1);
}

#[test]
fn s6_4_a_primary_that_was_replaced_answers_no_read() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.isolate(1);
    let ticket = cluster.read(1).expect("taken");
    cluster.stand(2);
    cluster.settle();
    cluster.propose(2, &["news"]).expect("taken");
    cluster.settle();
    assert!(cluster.server(1).is_primary(), "for all that it knows");
    assert!(cluster.server(1).grants.is_empty() && cluster.server(1).refused.is_empty());
    cluster.heal();
    cluster.settle_for(300);
    assert_eq!(cluster.server(1).refused, [ticket]);
    assert!(cluster.server(1).grants.is_empty());
}

#[test]
fn a_cluster_of_one_grants_reads_at_once() {
    let mut cluster = Cluster::new(1);
    cluster.tick(ServerId(1));
    cluster.settle();
    cluster.propose(1, &["x"]).expect("taken");
    cluster.read(1).expect("taken");
    assert_eq!(cluster.server(1).grants, [ReadGrant { ticket: 1, index: 1 }]);
    assert_eq!(cluster.raft(1).next_deadline_ms(), None, "and waits for nothing");
}

#[test]
fn a_backup_takes_no_read_and_names_the_primary() {
    let mut solo = Solo::new(3, &[1]);
    assert_eq!(solo.raft.read(1), Err(ReadError::NotPrimary { primary: None }));
    solo.follow(1);
    let primary = Some(ServerId(2));
    assert_eq!(solo.raft.read(1), Err(ReadError::NotPrimary { primary }));
    let proposed = solo.raft.propose(super::cluster::command("x"));
    assert_eq!(proposed, Err(ProposeError::NotPrimary { primary }));
}

#[test]
fn s3_10_a_transfer_brings_the_target_up_to_date_first() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.propose(1, &["x"]).expect("taken");
    cluster.input(ServerId(1), |raft, now| raft.transfer(now, ServerId(3))).expect("runs").unwrap();
    let told = |cluster: &Cluster| {
        cluster.wire.iter().any(|flight| flight.message.body == Body::TimeoutNow)
    };
    assert!(!told(&cluster));
    assert!(cluster.deliver(1, 3));
    cluster.persist(ServerId(3));
    assert!(cluster.deliver(3, 1));
    assert!(told(&cluster), "3 has all");
    cluster.settle();
    assert!(cluster.server(3).is_primary(), "at once, and though 2 hears the PRIMARY");
    assert_eq!(cluster.raft(3).term(), 2);
    let why: Vec<Why> = cluster.server(3).changes.iter().map(|change| change.why).collect();
    assert!(why.contains(&Why::Transfer));
}

#[test]
fn s3_10_proposals_are_refused_during_a_transfer_and_taken_after_an_election_timeout() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.input(ServerId(1), |raft, now| raft.transfer(now, ServerId(3))).expect("runs").unwrap();
    let refused = Err(ProposeError::Transferring { to: ServerId(3) });
    cluster.settle_for(400);
    assert_eq!(cluster.propose(1, &["x"]), refused);
    cluster.settle_for(100);
    assert!(cluster.propose(1, &["x"]).is_ok());
    assert!(cluster.server(1).is_primary());
}

#[test]
fn s3_10_a_lost_target_ends_the_transfer() {
    let mut solo = ready();
    solo.raft.transfer(solo.now_ms, ServerId(3)).expect("begun");
    assert_eq!(solo.raft.transferring_to(), Some(ServerId(3)));
    let busy = Err(TransferError::Busy { to: ServerId(3) });
    assert_eq!(solo.raft.transfer(solo.now_ms, ServerId(2)), busy);
    solo.raft.peer_lost(solo.now_ms, ServerId(3));
    assert_eq!(solo.raft.transferring_to(), None);
    let nobody = Err(TransferError::NoBackup { to: ServerId(1) });
    assert_eq!(solo.raft.transfer(solo.now_ms, ServerId(1)), nobody);
}

#[test]
fn s3_10_only_the_primary_of_the_term_can_ask_for_an_election() {
    let mut solo = Solo::new(3, &[1]);
    solo.follow(2);
    solo.hear(3, 2, Body::TimeoutNow);
    solo.hear(2, 1, Body::TimeoutNow);
    solo.hear(2, 3, Body::TimeoutNow);
    assert_eq!(solo.raft.role(), Role::Backup);
    solo.hear(2, 3, append((1, 1), &[3], 0));
    solo.hear(2, 3, Body::TimeoutNow);
    assert_eq!((solo.raft.role(), solo.raft.term()), (Role::Candidate, 4));
}

#[test]
fn the_successor_is_the_backup_with_most_of_the_log_that_still_answers() {
    let mut solo = Solo::primary(5, &[1]);
    assert_eq!(solo.raft.successor(), None);
    solo.hear(4, 2, Body::Accepted { match_index: 1 });
    solo.hear(5, 2, Body::Accepted { match_index: 2 });
    solo.hear(3, 2, Body::Accepted { match_index: 2 });
    assert_eq!(solo.raft.successor(), Some(ServerId(3)));
    // The others come behind it: it may be one that cannot serve.
    assert_eq!(solo.raft.successors(), [3, 5, 4].map(ServerId));
}

#[test]
fn reads_are_refused_while_too_many_wait_for_a_round_and_taken_again_after_it() {
    let mut solo = ready();
    for ticket in 0..limits::RAFT_READS_WAITING as u64 {
        solo.raft.read(ticket).expect("taken");
    }
    assert_eq!(solo.raft.read(0), Err(ReadError::Full));
    assert_eq!(rounds(&mut solo).len(), 2, "one round for all of them");
    solo.raft.read(1).expect("there is room for the next round");
}
