//! Elections: the paper's §5.1, §5.2 and §5.4.1, the dissertation's §4.2.3, §6.2 and §9.6.

use chatctl::limits;
use chatctl::raft::{Body, HardState, Message, Role, ServerId, Why};

use super::cluster::Cluster;
use super::solo::{Solo, append};

const VOTE: Body = Body::Vote { last_index: 9, last_term: 1, transfer: false };
const YES: Body = Body::VoteReply { granted: true };
const NO: Body = Body::VoteReply { granted: false };

fn pre_vote(for_term: u64, last_index: u64, last_term: u64) -> Body {
    Body::PreVote { for_term, last_index, last_term }
}

#[test]
fn s5_2_a_vote_leaves_only_when_it_is_durable() {
    let mut solo = Solo::new(3, &[1]);
    solo.hear(2, 2, VOTE);
    let output = solo.output();
    assert_eq!(output.hard_state, Some(HardState { term: 2, voted_for: Some(ServerId(2)) }));
    assert_eq!(output.messages, []);
    solo.raft.hard_state_persisted(HardState { term: 2, voted_for: None });
    assert_eq!(solo.said(), [], "the term is durable, the vote is not");
    solo.persist_vote();
    assert_eq!(solo.said(), [(2, YES)]);
}

#[test]
fn s5_2_one_vote_a_term_and_the_same_one_when_asked_again() {
    let mut solo = Solo::new(3, &[1]);
    solo.hear(2, 2, VOTE);
    solo.persist_vote();
    solo.said();
    solo.hear(3, 2, VOTE);
    assert_eq!(solo.said(), [(3, NO)]);
    solo.hear(2, 2, VOTE);
    assert_eq!(solo.said(), [(2, YES)]);
}

#[test]
fn s5_2_a_vote_is_remembered_through_a_restart() {
    let voted = HardState { term: 2, voted_for: Some(ServerId(2)) };
    let mut solo = Solo::restored(3, &[1], voted);
    solo.hear(3, 2, VOTE);
    assert_eq!(solo.said(), [(3, NO)]);
    solo.hear(2, 2, VOTE);
    assert_eq!(solo.said(), [(2, YES)]);
}

#[test]
fn s5_2_a_candidate_asks_for_votes_and_counts_its_own_only_when_it_is_durable() {
    let mut cluster = Cluster::new(1);
    cluster.tick(ServerId(1));
    assert_eq!(cluster.raft(1).role(), Role::Candidate);
    cluster.settle();
    assert_eq!(cluster.raft(1).role(), Role::Primary);

    let mut solo = Solo::new(3, &[1]);
    solo.wait(2_000);
    solo.said();
    solo.hear(2, 1, Body::PreVoteReply { for_term: 2, granted: true });
    assert_eq!((solo.raft.role(), solo.raft.term()), (Role::Candidate, 2));
    assert_eq!(solo.said(), []);
    solo.hear(2, 2, YES);
    assert_eq!(solo.raft.role(), Role::Candidate, "nobody was asked yet");
    solo.persist_vote();
    let vote = Body::Vote { last_index: 1, last_term: 1, transfer: false };
    assert_eq!(solo.said(), [(2, vote.clone()), (3, vote)]);
}

#[test]
fn s5_2_a_vote_that_comes_twice_counts_once() {
    let mut solo = Solo::new(5, &[1]);
    solo.wait(2_000);
    for _ in 0..3 {
        solo.hear(2, 1, Body::PreVoteReply { for_term: 2, granted: true });
    }
    assert_eq!(solo.raft.term(), 1, "two of five would vote");
    solo.hear(3, 1, Body::PreVoteReply { for_term: 2, granted: true });
    solo.persist_vote();
    for _ in 0..3 {
        solo.hear(2, 2, YES);
    }
    assert_eq!(solo.raft.role(), Role::Candidate);
    solo.hear(4, 2, YES);
    assert_eq!(solo.raft.role(), Role::Primary);
}

#[test]
fn s5_2_a_vote_of_an_older_term_elects_nobody() {
    let mut solo = Solo::new(3, &[1]);
    for term in 2..4 {
        solo.wait(2_000);
        solo.hear(2, term - 1, Body::PreVoteReply { for_term: term, granted: true });
        solo.persist_vote();
    }
    assert_eq!(solo.raft.term(), 3);
    solo.hear(2, 2, YES);
    assert_eq!(solo.raft.role(), Role::Candidate);
    solo.hear(2, 3, YES);
    assert_eq!(solo.raft.role(), Role::Primary);
}

#[test]
fn s5_2_a_candidate_that_hears_its_terms_primary_is_a_backup_again() {
    let mut solo = Solo::new(3, &[1]);
    solo.wait(2_000);
    solo.hear(2, 1, Body::PreVoteReply { for_term: 2, granted: true });
    solo.persist_vote();
    solo.hear(3, 2, Body::Heartbeat { round: 1, commit: 0 });
    assert_eq!((solo.raft.role(), solo.raft.primary()), (Role::Backup, Some(ServerId(3))));
    solo.hear(2, 2, YES);
    assert_eq!(solo.raft.role(), Role::Backup, "the election is over");
}

#[test]
fn s5_2_a_split_vote_is_tried_again_and_ends() {
    let mut cluster = Cluster::new(4);
    cluster.now_ms = 5_000;
    // Two ask at the same time, and each of the others promises itself to one of them.
    cluster.tick(ServerId(1));
    cluster.tick(ServerId(2));
    for (voter, candidate) in [(3, 1), (4, 2), (3, 2), (4, 1)] {
        assert!(cluster.deliver(candidate, voter) && cluster.deliver(voter, candidate));
    }
    for (voter, candidate) in [(3, 1), (4, 2)] {
        cluster.persist(ServerId(candidate));
        assert!(cluster.deliver(candidate, voter));
    }
    cluster.settle();
    assert!(cluster.servers.iter().all(|server| !server.is_primary()), "two against two");
    cluster.settle_for(5_000);
    assert_eq!(cluster.servers.iter().filter(|server| server.is_primary()).count(), 1);
}

#[test]
fn s5_2_timeouts_are_random_between_one_and_two() {
    let mut waits = Vec::new();
    let mut solo = Solo::new(3, &[1]);
    for _ in 0..50 {
        let deadline = solo.raft.next_deadline_ms().expect("it waits");
        waits.push(deadline - solo.now_ms);
        solo.wait(deadline - solo.now_ms - 1);
        assert_eq!(solo.said(), [], "a moment before");
        solo.wait(1);
        assert_eq!(solo.said().len(), 2);
    }
    assert!(waits.iter().all(|wait| (500..=1_000).contains(wait)), "{waits:?}");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 25, "{waits:?}");
}

#[test]
fn s5_2_only_the_primary_and_a_vote_that_was_given_put_an_election_off() {
    let mut solo = Solo::new(3, &[1, 1]);
    let deadline = solo.raft.next_deadline_ms();
    solo.wait(100);
    solo.hear(2, 1, pre_vote(2, 9, 1));
    solo.hear(2, 2, Body::Vote { last_index: 1, last_term: 1, transfer: false });
    solo.hear(3, 3, NO);
    solo.hear(3, 1, append((0, 0), &[1], 0));
    assert_eq!(solo.raft.term(), 3);
    assert_eq!(solo.raft.next_deadline_ms(), deadline);
    solo.wait(100);
    solo.hear(2, 4, VOTE);
    assert!(solo.raft.next_deadline_ms() >= Some(200 + 500), "a vote was given");
}

#[test]
fn s5_1_a_newer_term_ends_a_primary_and_an_older_one_is_told_of_it() {
    let mut solo = Solo::primary(3, &[1]);
    assert_eq!(solo.raft.term(), 2);
    solo.hear(3, 5, Body::Behind);
    assert_eq!((solo.raft.role(), solo.raft.term()), (Role::Backup, 5));
    let changes = solo.output().changes;
    assert_eq!(changes.last().map(|c| c.why), Some(Why::NewerTerm { from: ServerId(3) }));
    for old in [append((0, 0), &[1], 0), Body::Heartbeat { round: 1, commit: 0 }] {
        solo.hear(2, 4, old);
        let sent = solo.output().messages;
        assert_eq!(sent[0].message, Message { term: 5, body: Body::Behind });
    }
    solo.hear(2, 4, VOTE);
    assert_eq!(solo.said(), [(2, NO)]);
}

#[test]
fn s5_4_1_no_vote_for_a_log_that_misses_what_may_be_committed() {
    for (last_index, last_term, granted) in
        [(9, 2, false), (2, 3, false), (3, 3, true), (4, 3, true), (1, 4, true)]
    {
        let mut solo = Solo::new(3, &[1, 2, 3]);
        solo.hear(2, 4, pre_vote(9, last_index, last_term));
        assert_eq!(solo.said(), [(2, Body::PreVoteReply { for_term: 9, granted })]);
        solo.hear(2, 4, Body::Vote { last_index, last_term, transfer: false });
        solo.persist_vote();
        assert_eq!(solo.raft.hard_state().voted_for.is_some(), granted, "{last_index}/{last_term}");
    }
}

#[test]
fn s9_6_a_pre_vote_changes_no_term_and_no_vote() {
    let mut solo = Solo::new(3, &[1]);
    solo.hear(2, 1, pre_vote(2, 1, 1));
    solo.hear(3, 6, pre_vote(7, 1, 1));
    let output = solo.output();
    assert_eq!(output.hard_state, None);
    assert_eq!(output.messages.len(), 2, "both are told yes");
    assert_eq!(solo.raft.hard_state(), HardState { term: 1, voted_for: None });
    solo.wait(2_000);
    assert_eq!((solo.raft.role(), solo.raft.term()), (Role::Candidate, 1), "nor does asking");
}

#[test]
fn s9_6_a_pre_vote_is_refused_while_a_primary_is_heard() {
    let mut solo = Solo::new(3, &[1]);
    solo.follow(1);
    let refused = |solo: &mut Solo| {
        solo.hear(3, 1, pre_vote(2, 9, 9));
        solo.said() == [(3, Body::PreVoteReply { for_term: 2, granted: false })]
    };
    assert!(refused(&mut solo));
    solo.now_ms = 499;
    assert!(refused(&mut solo));
    solo.now_ms = 500;
    assert!(!refused(&mut solo), "the PRIMARY was silent for an election timeout");
    let mut primary = Solo::primary(3, &[1]);
    primary.said();
    primary.hear(3, 2, pre_vote(3, 9, 9));
    assert_eq!(primary.said(), [(3, Body::PreVoteReply { for_term: 3, granted: false })]);
}

#[test]
fn s9_6_a_server_that_was_cut_off_comes_back_without_an_election() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.settle_for(10_000);
    assert_eq!(cluster.raft(3).role(), Role::Candidate);
    cluster.heal();
    cluster.settle_for(2_000);
    assert!(cluster.server(1).is_primary());
    assert_eq!([1, 2, 3].map(|id| cluster.raft(id).term()), [1, 1, 1]);
}

#[test]
fn s9_6_a_server_with_the_better_log_learns_a_newer_term_from_a_refusal() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.isolate(3);
    cluster.propose(1, &["only on 1 and 2"]).expect("taken");
    cluster.settle();
    // 3 stood in later terms before it was cut off, for all that the others know.
    cluster.crash(ServerId(3));
    cluster.servers[2].disk.hard_state = HardState { term: 9, voted_for: Some(ServerId(3)) };
    cluster.start(ServerId(3));
    cluster.crash(ServerId(1));
    cluster.heal();
    cluster.settle_for(5_000);
    assert!(cluster.server(2).is_primary(), "only 2 can be elected, and only past term 9");
    assert!(cluster.raft(2).term() > 9);
}

#[test]
fn s4_2_3_a_request_for_votes_is_ignored_while_a_primary_is_heard() {
    let mut solo = Solo::new(3, &[1]);
    solo.follow(1);
    solo.hear(3, 7, VOTE);
    assert_eq!((solo.raft.term(), solo.said().len()), (1, 0));
    let mut primary = Solo::primary(3, &[1]);
    primary.said();
    primary.hear(3, 7, VOTE);
    assert_eq!((primary.raft.role(), primary.raft.term()), (Role::Primary, 2));
}

#[test]
fn s6_2_a_primary_that_no_majority_answers_steps_down_in_its_term() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.settle_for(2_000);
    assert!(cluster.server(1).is_primary());
    cluster.isolate(1);
    for _ in 0..100 {
        cluster.now_ms += 10;
        cluster.tick(ServerId(1));
    }
    assert_eq!((cluster.raft(1).role(), cluster.raft(1).term()), (Role::Backup, 1));
    let last = cluster.server(1).changes.last().expect("its role changed");
    assert_eq!(last.why, Why::QuorumLost);
}

#[test]
fn a_primary_that_only_hears_old_answers_again_steps_down() {
    let mut solo = Solo::primary(3, &[1]);
    solo.wait(100);
    for _ in 0..20 {
        solo.hear(2, 2, Body::HeartbeatReply { round: 1, verified: 0, match_index: 0 });
        solo.wait(100);
    }
    assert_ne!(solo.raft.role(), Role::Primary);
}

#[test]
fn a_lost_connection_to_the_primary_starts_an_election_at_once() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.settle_for(1_000);
    let crashed_ms = cluster.now_ms;
    cluster.crash(ServerId(1));
    cluster.peer_lost(2, 1);
    cluster.peer_lost(3, 1);
    while !cluster.server(2).is_primary() && !cluster.server(3).is_primary() {
        cluster.pass(1);
        cluster.settle();
        assert!(cluster.now_ms <= crashed_ms + 50, "half a heartbeat is the longest stagger");
    }
}

#[test]
fn two_that_ask_each_other_at_the_same_time_do_not_split_the_votes() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.settle_for(1_000);
    cluster.crash(ServerId(1));
    cluster.peer_lost(2, 1);
    cluster.peer_lost(3, 1);
    cluster.pass(50);
    cluster.settle();
    assert!(cluster.server(2).is_primary());
    assert_eq!(cluster.raft(2).term(), 2);
}

#[test]
fn a_connection_lost_by_one_backup_only_elects_nobody() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    cluster.settle_for(1_000);
    cluster.cut.insert((ServerId(1), ServerId(2)));
    cluster.peer_lost(2, 1);
    cluster.settle_for(100);
    assert_eq!(cluster.raft(2).role(), Role::Candidate, "it asked");
    cluster.settle_for(3_000);
    assert!(cluster.server(1).is_primary(), "but 3 hears the PRIMARY");
    assert_eq!(cluster.raft(3).term(), 1);
}

#[test]
fn a_connection_that_comes_back_in_time_starts_no_election() {
    let mut solo = Solo::new(3, &[1]);
    solo.follow(1);
    solo.raft.peer_lost(0, ServerId(2));
    assert_eq!(solo.raft.primary(), None);
    solo.hear(2, 1, Body::Heartbeat { round: 2, commit: 0 });
    solo.said();
    solo.wait(400);
    assert_eq!((solo.raft.role(), solo.said().len()), (Role::Backup, 0));
}

#[test]
fn the_loss_of_another_backup_starts_nothing() {
    let mut solo = Solo::new(3, &[1]);
    solo.follow(1);
    let deadline = solo.raft.next_deadline_ms();
    solo.raft.peer_lost(0, ServerId(3));
    assert_eq!(solo.raft.next_deadline_ms(), deadline);
    assert_eq!(solo.raft.primary(), Some(ServerId(2)));
}

#[test]
fn a_slow_disk_does_not_use_up_terms() {
    let mut solo = Solo::new(3, &[1]);
    solo.wait(2_000);
    solo.hear(2, 1, Body::PreVoteReply { for_term: 2, granted: true });
    for _ in 0..20 {
        solo.wait(2_000);
    }
    assert_eq!((solo.raft.role(), solo.raft.term()), (Role::Candidate, 2));
    solo.persist_vote();
    assert_eq!(solo.said().len(), 2, "now it asks");
}

#[test]
fn an_absurd_term_and_what_a_server_says_to_itself_are_ignored() {
    let mut solo = Solo::new(3, &[1]);
    solo.hear(2, u64::MAX, Body::Heartbeat { round: 1, commit: 0 });
    solo.hear(2, limits::RAFT_TERM + 1, Body::Heartbeat { round: 1, commit: 0 });
    solo.hear(1, 2, VOTE);
    assert_eq!((solo.raft.term(), solo.raft.violations()), (1, 3));
    assert!(solo.output().is_empty());
    solo.hear(2, limits::RAFT_TERM, Body::Heartbeat { round: 1, commit: 0 });
    assert_eq!((solo.raft.term(), solo.raft.violations()), (limits::RAFT_TERM, 3));
}

#[test]
fn who_notices_first_that_the_primary_is_gone_is_answered_again_by_those_who_notice_later() {
    let mut solo = Solo::new(3, &[1]);
    solo.follow(1);
    solo.hear(3, 1, pre_vote(2, 1, 1));
    solo.hear(3, 1, pre_vote(2, 1, 1));
    let no = Body::PreVoteReply { for_term: 2, granted: false };
    assert_eq!(solo.said(), [(3, no.clone()), (3, no)], "the PRIMARY is heard");
    solo.raft.peer_lost(0, ServerId(2));
    let yes = Body::PreVoteReply { for_term: 2, granted: true };
    assert_eq!(solo.said(), [(3, yes)], "once");
    solo.hear(2, 1, Body::Heartbeat { round: 2, commit: 0 });
    solo.raft.peer_lost(0, ServerId(2));
    let is_answer = |(_, body): &(u32, Body)| matches!(body, Body::PreVoteReply { .. });
    assert!(!solo.said().iter().any(is_answer), "nobody has asked since");
}

#[test]
fn the_first_to_notice_is_elected_as_soon_as_the_others_have() {
    let mut cluster = Cluster::new(5);
    cluster.elect(1);
    cluster.settle_for(1_000);
    cluster.crash(ServerId(1));
    cluster.peer_lost(5, 1);
    cluster.pass(50);
    cluster.settle();
    assert_eq!(cluster.raft(5).role(), Role::Candidate, "the others hear the PRIMARY still");
    for id in 2..=3 {
        cluster.peer_lost(id, 1);
    }
    cluster.settle();
    assert!(cluster.server(5).is_primary(), "no time has passed");
}

#[test]
fn a_candidate_asks_a_server_that_is_connected_again_at_once() {
    let mut solo = Solo::new(3, &[1]);
    solo.wait(2_000);
    let question = pre_vote(2, 1, 1);
    assert_eq!(solo.said(), [(2, question.clone()), (3, question.clone())]);
    let deadline = solo.raft.next_deadline_ms();
    solo.raft.peer_up(solo.now_ms, ServerId(2));
    assert_eq!(solo.said(), [(2, question)]);
    assert_eq!(solo.raft.next_deadline_ms(), deadline, "it stands no sooner");
    solo.hear(3, 1, Body::PreVoteReply { for_term: 2, granted: true });
    solo.raft.peer_up(solo.now_ms, ServerId(2));
    assert_eq!(solo.said(), [], "its own vote is not durable");
    solo.raft.hard_state_persisted(solo.raft.hard_state());
    let ask = Body::Vote { last_index: 1, last_term: 1, transfer: false };
    assert_eq!(solo.said(), [(2, ask.clone()), (3, ask.clone())]);
    solo.raft.peer_up(solo.now_ms, ServerId(3));
    assert_eq!(solo.said(), [(3, ask)]);
}

#[test]
fn a_connection_that_is_there_again_disturbs_nobody_who_follows_a_primary() {
    let mut solo = Solo::new(3, &[1]);
    solo.follow(1);
    let deadline = solo.raft.next_deadline_ms();
    for id in 1..=4 {
        solo.raft.peer_up(0, ServerId(id));
    }
    assert_eq!((solo.said(), solo.raft.next_deadline_ms()), (vec![], deadline));
    assert_eq!(solo.raft.primary(), Some(ServerId(2)));
}

#[test]
fn a_primary_looks_at_once_where_the_log_of_one_that_is_connected_again_stands() {
    let mut solo = Solo::primary(3, &[1]);
    let sent = solo.said();
    assert!(sent.iter().any(|(to, body)| *to == 3 && matches!(body, Body::Append { .. })));
    solo.raft.peer_lost(solo.now_ms, ServerId(3));
    assert!(!solo.said().is_empty(), "it is sent to, though nobody is there");
    assert_eq!(solo.said(), []);
    solo.raft.peer_up(solo.now_ms, ServerId(3));
    let said = solo.said();
    let heartbeat = (3, Body::Heartbeat { round: 0, commit: 0 });
    assert_eq!(said[0], heartbeat, "the newest round again, lest reads wait for the next");
    let is_probe = |body: &Body| matches!(body, Body::Append { prev_index: 1, prev_term: 1, .. });
    assert!(said.len() == 2 && said[1].0 == 3 && is_probe(&said[1].1), "{said:?}");
}
