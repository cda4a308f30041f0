//! Members come and go: the dissertation's chapter 4.

use chatctl::raft::{
    Body, ChangeError, Config, Entry, Payload, ProposeError, Raft, Restored, Role, Run, ServerId,
    TransferError, Why,
};

use super::cluster::{Cluster, command, membership, payload};
use super::solo::{Solo, append};

const YES: Body = Body::VoteReply { granted: true };

fn ids(ids: &[u32]) -> Vec<ServerId> {
    ids.iter().copied().map(ServerId).collect()
}

/// Three voters of which 1 is PRIMARY, and so many servers that are no members.
fn three_and(spares: u32) -> Cluster {
    let mut cluster = Cluster::with_spares(3, spares, |_| ());
    cluster.elect(1);
    cluster.settle_for(200);
    cluster
}

/// Makes a spare a non-voter, and a voter once it has caught up.
fn let_in(cluster: &mut Cluster, primary: u32, id: u32) {
    let (mut voters, _) = cluster.members(primary);
    cluster.change(primary, &voters, &[id]).expect("a non-voter is taken");
    cluster.settle_for(200);
    assert_eq!(cluster.raft(primary).caught_up(), Some(ServerId(id)));
    voters.push(id);
    cluster.change(primary, &voters, &[]).expect("it has caught up");
    cluster.settle_for(200);
}

#[test]
fn s4_1_a_configuration_counts_from_the_moment_when_it_is_appended() {
    let mut cluster = three_and(1);
    cluster.change(1, &[1, 2], &[4]).expect("one step");
    assert_eq!(cluster.members(1), (vec![1, 2], vec![4]));
    assert!(cluster.raft(1).members_index() > cluster.raft(1).commit(), "not committed yet");
    assert!(cluster.wire.iter().any(|flight| flight.to.0 == 4), "the new one is sent the log");
    assert!(!cluster.wire.iter().any(|flight| flight.to.0 == 3), "the old one is not");
    cluster.deliver(1, 2);
    assert_eq!(cluster.members(2), (vec![1, 2], vec![4]));
    cluster.isolate(3);
    cluster.settle();
    assert_eq!(cluster.raft(1).commit(), cluster.raft(1).last_index());
}

#[test]
fn s4_1_a_configuration_that_is_cut_counts_no_more() {
    let mut cluster = three_and(1);
    cluster.isolate(1);
    let index = cluster.change(1, &[1, 2, 3], &[4]).expect("one step");
    assert_eq!(cluster.members(1), (vec![1, 2, 3], vec![4]));
    cluster.elect(2);
    cluster.propose(2, &["other"]).unwrap();
    cluster.heal();
    cluster.settle_for(1_000);
    assert_eq!(cluster.members(1), (vec![1, 2, 3], vec![]));
    assert_eq!(cluster.raft(1).members_index(), 0);
    assert_ne!(cluster.raft(1).term_at(index), Some(1), "the entry is gone");
}

#[test]
fn s4_1_a_configuration_that_is_cut_asks_for_no_majority_any_more() {
    let mut cluster = three_and(1);
    cluster.change(1, &[1, 2, 3], &[4]).expect("one step");
    cluster.settle_for(200);
    cluster.change(1, &[1, 2, 3, 4], &[]).expect("it has caught up");
    cluster.isolate(1);
    assert_eq!(cluster.members(1), (vec![1, 2, 3, 4], vec![]));
    cluster.elect(2);
    cluster.propose(2, &["other"]).unwrap();
    cluster.heal();
    cluster.settle_for(1_000);
    assert_eq!(cluster.members(1), (vec![1, 2, 3], vec![4]));
    // Of four with a vote these would be no majority.
    cluster.crash(ServerId(2));
    cluster.crash(ServerId(4));
    cluster.elect(1);
    let index = cluster.propose(1, &["on two of three"]).unwrap();
    cluster.settle_for(200);
    assert_eq!(cluster.raft(1).commit(), index);
}

#[test]
fn s4_1_no_change_before_an_entry_of_the_term_is_committed() {
    let mut solo = Solo::primary(3, &[1]);
    let change = membership(&[1, 2], &[]);
    assert_eq!(solo.raft.change_members(change.clone()), Err(ChangeError::NotReady));
    solo.persist();
    solo.hear(2, 2, Body::Accepted { match_index: 1 });
    assert_eq!(solo.raft.change_members(change.clone()), Err(ChangeError::NotReady));
    solo.hear(2, 2, Body::Accepted { match_index: 2 });
    assert_eq!(solo.raft.change_members(change.clone()), Err(ChangeError::Asking));
    let round_of = |(_, body): &(u32, Body)| match body {
        Body::Heartbeat { round, .. } => Some(*round),
        _ => None,
    };
    let round = solo.said().iter().find_map(round_of).expect("a heartbeat");
    solo.hear(2, 2, Body::HeartbeatReply { round, verified: 2, match_index: 2 });
    assert_eq!(solo.raft.change_members(change), Ok(3));
}

#[test]
fn a_change_is_refused_when_a_server_that_it_needs_died_a_moment_before() {
    let mut cluster = three_and(0);
    cluster.settle_for(200);
    // Nobody is told of its death: it answered a moment ago, and its connection is there.
    cluster.isolate(3);
    let (answering, quorum) = (vec![ServerId(1)], 2);
    let refused = Err(ChangeError::NoMajority { answering, quorum });
    assert_eq!(cluster.change(1, &[1, 3], &[]), refused);
    assert_eq!(cluster.members(1), (vec![1, 2, 3], vec![]));
    let index = cluster.propose(1, &["on two of three"]).expect("it is PRIMARY");
    cluster.settle_for(200);
    assert_eq!(cluster.raft(1).commit(), index, "a majority goes on");
    cluster.change(1, &[1, 2], &[]).expect("the one that is dead may go");
}

#[test]
fn an_answer_from_before_a_change_was_asked_for_does_not_speak_for_it() {
    let mut cluster = three_and(0);
    cluster.settle_for(200);
    assert_eq!(cluster.try_change(1, &[1, 3], &[]), Err(ChangeError::Asking));
    assert_eq!(
        cluster.try_change(1, &[1, 3], &[]),
        Err(ChangeError::Asking),
        "nobody answered yet"
    );
    assert_eq!(cluster.raft(1).asking(), Some(&ids(&[1, 3])[..]));
    // Another change asks for itself.
    assert_eq!(cluster.try_change(1, &[1, 2], &[]), Err(ChangeError::Asking));
    cluster.settle_for(10);
    cluster.try_change(1, &[1, 2], &[]).expect("both have answered");
    assert_eq!(cluster.raft(1).asking(), None);
}

#[test]
fn s4_1_one_change_at_a_time_and_one_server() {
    let mut cluster = three_and(2);
    assert_eq!(cluster.change(1, &[1], &[]), Err(ChangeError::TooMuch));
    assert_eq!(cluster.change(1, &[1, 2, 4], &[]), Err(ChangeError::TooMuch));
    assert_eq!(cluster.change(1, &[1, 2, 2], &[]), Err(ChangeError::NoConfiguration));
    let many: Vec<u32> = (4..=10).collect();
    assert_eq!(cluster.change(1, &[1, 2, 3], &many), Err(ChangeError::NoConfiguration));
    cluster.change(1, &[1, 2, 3], &[4]).expect("a non-voter is no vote");
    assert_eq!(cluster.change(1, &[1, 2], &[4]), Err(ChangeError::Busy));
    assert_eq!(cluster.raft(1).caught_up(), None);
    cluster.settle_for(200);
    cluster.change(1, &[1, 2], &[4]).expect("the change before is committed");
    let primary = Some(ServerId(1));
    let elsewhere = Err(ChangeError::Propose(ProposeError::NotPrimary { primary }));
    assert_eq!(cluster.change(2, &[1, 2], &[]), elsewhere);
}

#[test]
fn s4_1_who_is_not_known_yet_is_followed_and_gets_a_vote() {
    let mut solo = Solo::new(3, &[1]);
    solo.hear(9, 2, Body::Vote { last_index: 9, last_term: 1, transfer: false });
    solo.persist_vote();
    assert_eq!(solo.said(), [(9, YES)]);
    let mut solo = Solo::new(3, &[1]);
    solo.hear(9, 2, append((1, 1), &[2], 0));
    assert_eq!((solo.raft.primary(), solo.raft.last_index()), (Some(ServerId(9)), 2));
    assert_eq!(solo.raft.violations(), 0);
}

#[test]
fn s4_1_a_restarted_server_has_the_newest_configuration_of_its_log() {
    let entry = |index, payload| Entry { term: 1, index, payload };
    let (added, voting) = (membership(&[1, 2, 3], &[4]), membership(&[1, 2, 3, 4], &[]));
    let tail = [
        entry(1, payload("a")),
        entry(2, Payload::Members(added.clone())),
        entry(3, payload("b")),
        entry(4, Payload::Members(voting.clone())),
    ];
    let config = Config::new(ServerId(1), ids(&[1, 2, 3]), 7);
    for (commit, kept, expected) in
        [(0, 4, &voting), (0, 3, &added), (2, 3, &config.membership), (2, 4, &voting)]
    {
        let (runs, last_index) = (vec![Run { first_index: 1, term: 1 }], kept as u64);
        let tail = tail[..kept].to_vec();
        let restored = Restored { runs, last_index, tail, commit, ..Restored::default() };
        let raft = Raft::new(config.clone(), restored, 0).unwrap();
        assert_eq!(raft.membership(), &**expected, "up to {kept}, {commit} of it committed");
    }
}

#[test]
fn s4_2_1_a_non_voter_counts_for_nothing() {
    let mut solo = Solo::primary(3, &[1]);
    solo.persist();
    solo.hear(2, 2, Body::Accepted { match_index: 2 });
    let change = membership(&[1, 2, 3], &[4, 5]);
    assert_eq!(solo.raft.change_members(change), Ok(3));
    solo.persist();
    solo.raft.read(7).unwrap();
    solo.said();
    for id in [4, 5] {
        solo.hear(id, 2, Body::Accepted { match_index: 3 });
        solo.hear(id, 2, Body::HeartbeatReply { round: 1, verified: 3, match_index: 3 });
    }
    assert_eq!(solo.raft.commit(), 2, "its copy does not commit");
    assert_eq!(solo.output().reads, [], "its answer grants no read");
    assert_eq!(solo.raft.successor(), Some(ServerId(2)), "nobody hands over to it");
    let to = ServerId(4);
    assert_eq!(solo.raft.transfer(solo.now_ms, to), Err(TransferError::NoBackup { to }));
    for _ in 0..3 {
        solo.wait(600);
        let round = solo.said().into_iter().find_map(|(_, body)| match body {
            Body::Heartbeat { round, .. } => Some(round),
            _ => None,
        });
        for id in [4, 5] {
            let round = round.unwrap_or(1);
            solo.hear(id, 2, Body::HeartbeatReply { round, verified: 3, match_index: 3 });
        }
    }
    assert_eq!(solo.raft.role(), Role::Backup, "its answers keep nobody PRIMARY");
    solo.wait(2_000);
    for id in [4, 5] {
        solo.hear(id, 2, Body::PreVoteReply { for_term: 3, granted: true });
    }
    assert_eq!(solo.raft.term(), 2, "its pre-vote elects nobody");
    solo.hear(3, 2, Body::PreVoteReply { for_term: 3, granted: true });
    solo.persist_vote();
    solo.hear(4, 3, YES);
    assert_eq!(solo.raft.role(), Role::Candidate, "nor its vote");
    solo.hear(3, 3, YES);
    assert_eq!(solo.raft.role(), Role::Primary);
}

#[test]
fn s4_2_1_a_non_voter_stands_for_no_election_and_forgets_a_primary_that_is_silent() {
    let mut cluster = three_and(1);
    cluster.change(1, &[1, 2, 3], &[4]).unwrap();
    cluster.settle_for(200);
    assert_eq!(cluster.raft(4).primary(), Some(ServerId(1)));
    cluster.isolate(4);
    cluster.now_ms += 5_000;
    cluster.tick(ServerId(4));
    let raft = cluster.raft(4);
    assert_eq!((raft.role(), raft.primary(), raft.term()), (Role::Backup, None, 1));
    assert_eq!(raft.next_deadline_ms(), None, "there is nothing to wait for");
    assert_eq!(cluster.server(4).changes.last().unwrap().why, Why::Timeout);
    cluster.heal();
    cluster.input(ServerId(4), |raft, now_ms| {
        let body = Body::TimeoutNow;
        raft.step(now_ms, ServerId(1), chatctl::raft::Message { term: 1, body });
    });
    assert_eq!(cluster.raft(4).role(), Role::Backup, "nor when it is told to");
}

#[test]
fn s4_2_1_a_non_voter_has_caught_up_after_a_round_that_was_short_enough() {
    let mut cluster = three_and(1);
    for number in 0..20 {
        cluster.propose(1, &[&format!("before {number}")]).unwrap();
    }
    cluster.settle();
    cluster.isolate(4);
    cluster.change(1, &[1, 2, 3], &[4]).unwrap();
    assert_eq!(cluster.change(1, &[1, 2, 3, 4], &[]), Err(ChangeError::Busy));
    cluster.settle_for(1_000);
    let id = ServerId(4);
    let refused = Err(ChangeError::NotCaughtUp { id });
    assert_eq!(cluster.change(1, &[1, 2, 3, 4], &[]), refused, "it has nothing");
    assert_eq!(cluster.raft(1).caught_up(), None);
    // Its first round has taken more than an election timeout, and more was added meanwhile: the
    // next one is what counts.
    cluster.heal();
    cluster.settle_for(300);
    assert_eq!(cluster.raft(4).last_index(), cluster.raft(1).last_index());
    assert_eq!(cluster.raft(1).caught_up(), Some(id));
    cluster.change(1, &[1, 2, 3, 4], &[]).expect("it has caught up");
    cluster.settle_for(200);
    assert_eq!(cluster.members(4), (vec![1, 2, 3, 4], vec![]));
    // Now it counts: of 1, 2, 3, 4 three are needed.
    cluster.isolate(3);
    let index = cluster.propose(1, &["on three of four"]).unwrap();
    cluster.settle();
    assert_eq!(cluster.raft(1).commit(), index);
    cluster.isolate(4);
    cluster.propose(1, &["on two of four"]).unwrap();
    cluster.settle();
    assert_eq!(cluster.raft(1).commit(), index);
}

#[test]
fn s4_2_1_one_that_is_sent_more_than_it_takes_has_not_caught_up() {
    let mut solo = Solo::primary(3, &[1]);
    solo.persist();
    solo.hear(2, 2, Body::Accepted { match_index: 2 });
    solo.raft.change_members(membership(&[1, 2, 3], &[4])).unwrap();
    let mut last = 3;
    for _ in 0..5 {
        // What the log had when the round began comes, after a whole timeout.
        let target = last;
        last = solo.raft.propose(command("more")).unwrap();
        solo.persist();
        solo.wait(500);
        solo.hear(2, 2, Body::Accepted { match_index: last });
        solo.hear(3, 2, Body::Accepted { match_index: last });
        solo.hear(4, 2, Body::Accepted { match_index: target });
        assert_eq!(solo.raft.caught_up(), None);
    }
    solo.wait(100);
    solo.hear(2, 2, Body::Accepted { match_index: last });
    last = solo.raft.propose(command("more")).unwrap();
    solo.persist();
    solo.hear(2, 2, Body::Accepted { match_index: last });
    solo.hear(4, 2, Body::Accepted { match_index: last - 1 });
    assert_eq!(solo.raft.caught_up(), Some(ServerId(4)));
}

#[test]
fn s4_2_2_a_primary_that_is_to_go_hands_over_first() {
    let mut cluster = three_and(0);
    assert_eq!(cluster.change(1, &[2, 3], &[]), Err(ChangeError::Itself));
    cluster.input(ServerId(1), |raft, now_ms| raft.transfer(now_ms, ServerId(2)).unwrap());
    let busy = ProposeError::Transferring { to: ServerId(2) };
    assert_eq!(cluster.change(1, &[1, 2], &[]), Err(ChangeError::Propose(busy)));
    cluster.settle_for(200);
    cluster.change(2, &[2, 3], &[]).expect("another is PRIMARY");
    cluster.settle_for(200);
    assert_eq!(cluster.raft(2).commit(), cluster.raft(2).last_index());
}

#[test]
fn s4_2_3_a_removed_server_disturbs_nobody() {
    let mut cluster = three_and(0);
    // It does not hear of the change that removes it, and goes on for five timeouts.
    cluster.change(1, &[1, 2], &[]).unwrap();
    cluster.settle();
    assert_eq!(cluster.members(3), (vec![1, 2, 3], vec![]));
    cluster.settle_for(5_000);
    assert_eq!(cluster.raft(3).role(), Role::Candidate);
    for id in 1..=3 {
        assert_eq!(cluster.raft(id).term(), 1, "server {id}");
    }
    assert!(cluster.server(1).is_primary());
    assert_eq!(cluster.server(1).changes.len(), 3, "asking, standing, PRIMARY, and that is all");
}

#[test]
fn s4_2_3_a_removed_server_is_elected_by_nobody_who_has_its_removal() {
    let mut cluster = three_and(0);
    cluster.change(1, &[1, 2], &[]).unwrap();
    cluster.settle();
    cluster.crash(ServerId(1));
    for _ in 0..10 {
        cluster.stand(3);
        cluster.settle();
        assert!(!cluster.server(3).is_primary());
    }
    cluster.start(ServerId(1));
    cluster.elect(2);
}

#[test]
fn a_removal_that_would_cost_the_majority_is_refused_and_says_who_answers() {
    let mut cluster = three_and(0);
    cluster.isolate(3);
    cluster.settle_for(1_500);
    let (answering, quorum) = (vec![ServerId(1)], 2);
    let refused = ChangeError::NoMajority { answering, quorum };
    assert_eq!(cluster.change(1, &[1, 3], &[]), Err(refused.clone()));
    assert!(refused.to_string().contains("1 of the servers"), "{refused}");
    cluster.change(1, &[1, 2], &[]).expect("the one that is down may go");
    cluster.settle_for(200);
    assert_eq!(cluster.raft(1).commit(), cluster.raft(1).last_index());
}

#[test]
fn a_lone_server_grows_to_five_and_shrinks_again_while_entries_are_proposed() {
    let mut cluster = Cluster::with_spares(1, 4, |_| ());
    cluster.settle_for(1_000);
    assert!(cluster.server(1).is_primary());
    for id in 2..=5 {
        cluster.propose(1, &[&format!("before {id}"), &format!("and {id}")]).unwrap();
        let_in(&mut cluster, 1, id);
    }
    let all = (vec![1, 2, 3, 4, 5], vec![]);
    for id in 1..=5 {
        assert_eq!(cluster.members(id), all);
        assert_eq!(cluster.server(id).applied, cluster.checker.committed, "server {id}");
    }
    cluster.crash(ServerId(1));
    cluster.elect(4);
    for left in [&[2, 3, 4, 5][..], &[3, 4, 5], &[4, 5], &[4]] {
        cluster.change(4, left, &[]).unwrap();
        cluster.propose(4, &["after"]).unwrap();
        cluster.settle_for(200);
        assert_eq!(cluster.raft(4).commit(), cluster.raft(4).last_index());
    }
}

#[test]
fn a_primary_that_dies_in_the_middle_leaves_the_change_to_the_next() {
    let mut cluster = three_and(1);
    cluster.change(1, &[1, 2, 3], &[4]).unwrap();
    cluster.settle_for(200);
    assert_eq!(cluster.raft(1).caught_up(), Some(ServerId(4)));
    cluster.change(1, &[1, 2, 3, 4], &[]).unwrap();
    // Server 2 has the vote of 4 in its log, 3 and 4 have not.
    cluster.deliver(1, 2);
    cluster.persist(ServerId(2));
    cluster.crash(ServerId(1));
    cluster.wire.clear();
    assert_eq!(cluster.members(2), (vec![1, 2, 3, 4], vec![]));
    assert_eq!(cluster.members(4), (vec![1, 2, 3], vec![4]));
    // Three of four are needed, so 4 is, which does not know of its vote.
    cluster.elect(2);
    cluster.settle_for(200);
    assert_eq!(cluster.members(4), (vec![1, 2, 3, 4], vec![]));
    assert_eq!(cluster.raft(2).commit(), cluster.raft(2).last_index());
}

#[test]
fn a_configuration_that_no_cluster_can_have_is_no_start() {
    for (membership, what) in [
        (membership(&[1, 2], &[2]), "listed twice"),
        (membership(&[2, 3], &[4]), "server 1 is not in"),
        (membership(&[1, 2, 3, 4, 5, 6, 7, 8], &[9, 10]), "10 servers"),
    ] {
        let config = Config { membership, ..Config::new(ServerId(1), Vec::new(), 7) };
        let error = Raft::new(config, Restored::default(), 0).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn who_is_connected_no_more_counts_as_answering_no_more_until_it_is_heard_again() {
    let mut cluster = three_and(0);
    cluster.settle();
    cluster.isolate(3);
    cluster.peer_lost(1, 3);
    let (answering, quorum) = (vec![ServerId(1)], 2);
    let refused = ChangeError::NoMajority { answering, quorum };
    assert_eq!(cluster.change(1, &[1, 3], &[]), Err(refused), "no election timeout has passed");
    cluster.heal();
    cluster.peer_up(1, 3);
    cluster.settle_for(200);
    cluster.change(1, &[1, 3], &[]).expect("it answers again");
}
