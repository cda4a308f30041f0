//! Servers are killed and stopped at random under clients that go on all the time.

use std::time::Duration;

use chatctl::sys::signal;

use super::Conversation;
use crate::support::cluster::{Cluster, name_of};
use crate::support::{Rng, env_number};

/// `CLUSTER_KILLS` rounds from `CLUSTER_SEED`: two of five are killed, or one is stopped for longer
/// than the others have patience, or all are killed at once.
#[test]
fn any_two_of_five_are_killed_again_and_again_and_nothing_acknowledged_is_lost() {
    let (kills, seed) = (env_number("CLUSTER_KILLS", 10), env_number("CLUSTER_SEED", 1));
    println!("CLUSTER_KILLS={kills} CLUSTER_SEED={seed}");
    let mut rng = Rng::new(seed);
    let mut cluster = Cluster::start("kills", 5, &[]);
    let conversation = Conversation::start(&cluster, 3);
    for round in 0..kills {
        conversation.wait_for(&cluster, 20);
        let mut down = vec![rng.below(5) as usize];
        if round % 2 == 0 {
            down = vec![cluster.primary()];
        }
        match round % 5 {
            4 => down = (0..5).collect(),
            3 => {}
            _ => down.push((down[0] + 1 + rng.below(4) as usize) % 5),
        }
        let names: Vec<String> = down.iter().map(|&place| name_of(place)).collect();
        println!("round {round}: {}", names.join(" "));
        if round % 5 == 3 {
            cluster.server(down[0]).signal(libc::SIGSTOP);
            conversation.wait_for(&cluster, 20);
            std::thread::sleep(Duration::from_millis(rng.below(3_000)));
            cluster.server(down[0]).signal(signal::CONT);
            continue;
        }
        down.iter().for_each(|&place| cluster.kill9(place));
        if down.len() == 2 {
            conversation.wait_for(&cluster, 20);
        }
        cluster.start_all();
    }
    conversation.wait_for(&cluster, 100);
    conversation.stop_and_check();
    cluster.stop_and_compare_logs();
}

/// `FAILOVERS` times the PRIMARY is killed: how long until the next send is acknowledged.
#[test]
fn the_time_from_the_death_of_the_primary_to_the_next_acknowledged_send() {
    let count = env_number("FAILOVERS", 3);
    let mut cluster = Cluster::start("gaps", 5, &[]);
    let conversation = Conversation::start(&cluster, 1);
    let mut gaps = Vec::new();
    for _ in 0..count {
        conversation.wait_for(&cluster, 50);
        let primary = cluster.primary();
        cluster.kill9(primary);
        gaps.push(conversation.wait_for(&cluster, 1));
        cluster.restart(primary);
    }
    gaps.sort();
    let (median, worst) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    println!("kill -9 of the PRIMARY, {count} times: median {median:?}, worst {worst:?}");
    conversation.stop_and_check();
}
