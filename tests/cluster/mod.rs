//! Clusters of real processes: what is killed, stopped, refused, and what clients see of it.

mod chat;
mod clocks;
mod copies;
mod damage;
mod disks;
mod failover;
mod forming;
mod kills;
mod losses;
mod many;
mod members;
mod names;
mod operators;
mod screen;
mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::bounded::joined;
use crate::support::cluster::Cluster;
use crate::support::server::PATIENCE;
use crate::support::talker::Talker;

/// Clients that send all the time, each to the next, until they are told to stop.
struct Conversation {
    stop: Arc<AtomicBool>,
    /// Acknowledgments of all of them.
    acked: Arc<AtomicU64>,
    /// The longest time that one message took since this was asked, microseconds.
    slowest_us: Arc<AtomicU64>,
    talkers: Vec<JoinHandle<Told>>,
    servers: Vec<String>,
}

/// What one of them has sent, oldest first: seq and text of each acknowledged message.
struct Told {
    sent: Vec<(u64, String)>,
    refused: Vec<String>,
}

impl Conversation {
    fn start(cluster: &Cluster, count: usize) -> Conversation {
        let (stop, acked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let slowest_us = Arc::new(AtomicU64::new(0));
        let servers = cluster.addresses().to_vec();
        // All accounts first, so that nobody sends to a name that is not there.
        let mut ready: Vec<Talker> = Vec::new();
        for place in 0..count {
            let mut talker = Talker::new(&servers, &talker_name(place));
            talker.request(&crate::support::raw_client::ask("ping"));
            ready.push(talker);
        }
        let talkers = ready.into_iter().enumerate().map(|(place, talker)| {
            let (stop, acked, slowest_us) = (stop.clone(), acked.clone(), slowest_us.clone());
            std::thread::spawn(move || talk(talker, place, count, &stop, &acked, &slowest_us))
        });
        let talkers = talkers.collect();
        Conversation { stop, acked, slowest_us, talkers, servers }
    }

    /// Waits until so many more are acknowledged, and gives how long the first took.
    fn wait_for(&self, cluster: &Cluster, more: u64) -> Duration {
        let started = Instant::now();
        let before = self.acked.load(Ordering::SeqCst);
        let mut first = None;
        loop {
            let now = self.acked.load(Ordering::SeqCst);
            if now > before {
                first.get_or_insert_with(|| started.elapsed());
            }
            if now >= before + more {
                break;
            }
            let lacks = "nothing is acknowledged any more";
            assert!(started.elapsed() < PATIENCE, "{lacks}:\n{}", cluster.traces());
            // Often, since gaps of some milliseconds are to be measured.
            std::thread::sleep(Duration::from_micros(200));
        }
        first.expect("more were waited for")
    }

    /// The longest time that one message took since the last call.
    fn take_slowest(&self) -> Duration {
        Duration::from_micros(self.slowest_us.swap(0, Ordering::SeqCst))
    }

    /// Stops them and holds that what was acknowledged is there exactly once, in its order.
    fn stop_and_check(self) -> Vec<Told> {
        self.stop.store(true, Ordering::SeqCst);
        let count = self.talkers.len();
        let told: Vec<Told> = self
            .talkers
            .into_iter()
            .map(|thread| joined(thread, "a client ends that was told to stop"))
            .collect();
        for (place, told) in told.iter().enumerate() {
            assert!(told.sent.is_sorted_by(|one, other| one.0 < other.0), "seqs rise");
            let to = talker_name((place + 1) % count);
            let mut reader = Talker::new(&self.servers, &to);
            let from = talker_name(place);
            let marker = format!("{from}:");
            let mut got = reader.history(&from);
            got.retain(|(_, text)| text.starts_with(&marker));
            assert_eq!(got.len(), told.sent.len(), "{from}: each message is there exactly once");
            assert!(got == told.sent, "{from}: every message is in its place");
        }
        told
    }
}

fn talker_name(place: usize) -> String {
    format!("talker-{place}")
}

fn talk(
    mut talker: Talker,
    place: usize,
    count: usize,
    stop: &AtomicBool,
    acked: &AtomicU64,
    slowest_us: &AtomicU64,
) -> Told {
    let to = talker_name((place + 1) % count);
    let mut sent = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let text = format!("{}:{number}", talker_name(place));
        let started = Instant::now();
        let seq = talker.send(&to, (place as u128 + 1) << 64 | number, &text);
        slowest_us.fetch_max(started.elapsed().as_micros() as u64, Ordering::SeqCst);
        acked.fetch_add(1, Ordering::SeqCst);
        sent.push((seq, text));
    }
    Told { sent, refused: talker.refused }
}
