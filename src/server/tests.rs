//! Real loops of several servers on loopback, whose names are looked up slowly.

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::auth::hmac;
use crate::net::LookUp;
use crate::node::lines::TraceLevel;
use crate::node::peers::mesh::id_of;
use crate::node::{Flags, Listed};

/// How long a look-up takes, and what it gives.
type Answers = Arc<Mutex<HashMap<String, (Duration, Vec<SocketAddr>)>>>;

struct Net {
    folder: PathBuf,
    trace: Trace,
    answers: Answers,
    loops: Vec<Option<EventLoop>>,
    /// Where each listens for the others, or did last.
    addresses: Vec<SocketAddr>,
    /// Which links stood, and how often one fell.
    stood: Vec<(usize, usize)>,
    lost: usize,
}

impl Drop for Net {
    fn drop(&mut self) {
        self.loops.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn name_of(place: usize) -> String {
    ["a", "b", "c"][place].to_owned()
}

fn text_of(place: usize) -> String {
    format!("{}.test:7263", name_of(place))
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Net {
    /// Three servers that have formed a cluster, and were stopped.
    fn new(name: &str) -> Net {
        let folder = format!("chatctl-loops-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let mut net = Net {
            folder,
            trace: Trace::start(TraceLevel::Error, "test").unwrap(),
            answers: Answers::default(),
            loops: vec![None, None, None],
            addresses: (0..3).map(|_| free_address()).collect(),
            stood: Vec::new(),
            lost: 0,
        };
        (0..3).for_each(|place| net.answer_with_own(place, Duration::ZERO));
        (0..3).for_each(|place| net.start(place));
        let formed = net.run(LONG, |net| {
            net.loops.iter().flatten().all(|running| running.node.replica().is_some())
        });
        assert!(formed, "the three form a cluster");
        (0..3).for_each(|place| net.stop(place));
        net
    }

    fn answer(&self, place: usize, after: Duration, addresses: &[SocketAddr]) {
        self.answers.lock().unwrap().insert(text_of(place), (after, addresses.to_vec()));
    }

    fn answer_with_own(&self, place: usize, after: Duration) {
        self.answer(place, after, &[self.addresses[place]]);
    }

    fn start(&mut self, place: usize) {
        let answers = self.answers.clone();
        let look_up: LookUp = Arc::new(move |name| {
            let (after, found) =
                answers.lock().unwrap().get(name).cloned().ok_or("no such name".to_owned())?;
            std::thread::sleep(after);
            Ok(found)
        });
        let signals = Signals::new(&[]).unwrap();
        let waiting = Waiting::new(&signals, look_up).unwrap();
        let directory = DataDir::open(&self.folder.join(name_of(place))).unwrap();
        let listed = |place| Listed { name: name_of(place), address: text_of(place) };
        let options = config::tests::options();
        let flags = Flags {
            id: Some(name_of(place)),
            cluster: (0..3).map(listed).collect(),
            secret: Some(Ok(hmac::Key::new(&[1; 32]))),
            ..config::flags(&options, String::new())
        };
        let disks = Disks { state: directory.disk(), log: directory.wal_disk() };
        let node = Node::start(flags, disks, [place as u8; 32], waiting::now()).unwrap();
        let listener = Listener::at("127.0.0.1:0".parse().unwrap()).unwrap();
        let (listeners, trace) = (vec![listener], self.trace);
        // Its own name is known at once.
        let after = std::mem::replace(
            &mut self.answers.lock().unwrap().get_mut(&text_of(place)).unwrap().0,
            Duration::ZERO,
        );
        let mut running =
            EventLoop::new(node, waiting, signals, listeners, directory, trace).unwrap();
        assert!(running.open_ports().unwrap().is_some());
        self.answers.lock().unwrap().get_mut(&text_of(place)).unwrap().0 = after;
        self.loops[place] = Some(running);
    }

    fn stop(&mut self, place: usize) {
        self.loops[place] = None;
        self.stood.retain(|(one, other)| *one != place && *other != place);
    }

    fn up(&self, one: usize, other: usize) -> bool {
        let is_up = |at: usize, of: usize| {
            let mesh = self.loops[at].as_ref().and_then(|running| running.node.mesh());
            mesh.is_some_and(|mesh| mesh.is_up(id_of(of)))
        };
        is_up(one, other) && is_up(other, one)
    }

    /// Turns of all servers' loops for a while, or until something holds.
    fn run(&mut self, time: Duration, until: impl Fn(&Net) -> bool) -> bool {
        let by = Instant::now() + time;
        while Instant::now() < by {
            for running in self.loops.iter_mut().flatten() {
                (running.waiting.wake())();
                running.turn(&|_| {}).unwrap();
            }
            for pair in [(0, 1), (0, 2), (1, 2)] {
                match (self.stood.contains(&pair), self.up(pair.0, pair.1)) {
                    (true, false) => {
                        self.lost += 1;
                        self.stood.retain(|stood| *stood != pair);
                    }
                    (false, true) => self.stood.push(pair),
                    _ => {}
                }
            }
            if until(self) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn look_ups_that_take_longer_than_a_handshake_break_no_link() {
    let mut net = Net::new("slow");
    // a is where nothing listens, so that it is looked up and dialled again and again.
    (0..3).for_each(|place| net.answer_with_own(place, Duration::from_secs(2)));
    net.start(1);
    net.start(2);
    assert!(net.run(LONG, |net| net.up(1, 2)), "b and c find each other in the end");
    net.run(Duration::from_secs(9), |_| false);
    assert!(net.up(1, 2));
    assert_eq!(net.lost, 0, "their link falls, though nothing happened to it");
}

#[test]
fn a_name_that_takes_minutes_keeps_two_others_apart_for_no_time() {
    let mut net = Net::new("minutes");
    net.answer_with_own(0, Duration::from_secs(300));
    net.start(1);
    net.start(2);
    let started = Instant::now();
    assert!(net.run(LONG, |net| net.up(1, 2)), "b and c wait for the name of a");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // c comes back elsewhere.
    net.stop(2);
    net.addresses[2] = free_address();
    net.answer_with_own(2, Duration::ZERO);
    net.start(2);
    assert!(net.run(LONG, |net| net.up(1, 2)), "b and c wait for the name of a");
}

#[test]
fn a_name_with_an_address_that_never_answers_is_reached_at_the_other() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut net = Net::new("silent");
    for place in 0..3 {
        net.start(place);
        net.answer(place, Duration::ZERO, &[silent.local_addr().unwrap(), net.addresses[place]]);
    }
    let all = |net: &Net| net.up(0, 1) && net.up(0, 2) && net.up(1, 2);
    assert!(net.run(LONG, all), "a silent address keeps servers apart");
    net.run(Duration::from_secs(3), |_| false);
    assert_eq!(net.lost, 0);
}
