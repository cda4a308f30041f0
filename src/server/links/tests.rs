//! The real sockets of several servers on loopback, whose names are looked up slowly.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

use super::*;
use crate::auth::hmac;
use crate::net::LookUp;
use crate::server::peers::handshake::{Identity, Kind};
use crate::server::peers::mesh::{self, Event, Member, id_of};
use crate::sys::clock;
use crate::wal::boots::{Boot, Boots, Met};

/// How long a look-up takes, and what it gives.
type Answers = Arc<Mutex<HashMap<String, (Duration, Vec<SocketAddr>)>>>;

/// A server as far as its peers' port goes.
struct Node {
    poll: Poll,
    links: Links,
    address: SocketAddr,
    lost: usize,
}

struct Net {
    answers: Answers,
    nodes: Vec<Option<Node>>,
    members: Vec<Member>,
}

fn name_of(place: usize) -> String {
    ["a", "b", "c"][place].to_owned()
}

fn text_of(place: usize) -> String {
    format!("{}.test:7263", name_of(place))
}

impl Net {
    /// Three servers, each of whose names is looked up at once.
    fn new() -> Net {
        let member = |place: usize| Member {
            name: name_of(place),
            address: text_of(place),
            incarnation: Some(100 + place as u64),
            number: id_of(place),
        };
        let members = (0..3).map(member).collect();
        Net { answers: Answers::default(), nodes: vec![None, None, None], members }
    }

    fn answer(&self, place: usize, after: Duration, addresses: &[SocketAddr]) {
        self.answers.lock().unwrap().insert(text_of(place), (after, addresses.to_vec()));
    }

    fn start(&mut self, place: usize) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(usize::MAX)).unwrap();
        let answers = self.answers.clone();
        let look_up: LookUp = Arc::new(move |name| {
            let (after, found) =
                answers.lock().unwrap().get(name).cloned().ok_or("no such name".to_owned())?;
            std::thread::sleep(after);
            Ok(found)
        });
        let cluster = [5; 16];
        let mut about = mesh::empty_about([3; 32], String::new());
        about.cluster = cluster;
        let boot = Boot { number: 1, id: 7 };
        let settings = mesh::Settings {
            met: (100..109).map(|incarnation| Met { incarnation, boot }).collect(),
            me: Identity {
                boots: Boots::new(boot.number, vec![boot.id]).unwrap(),
                kind: Kind::Server,
                name: name_of(place),
                cluster,
                incarnation: 100 + place as u64,
            },
            members: self.members.clone(),
            secret: hmac::Key::new(&[1; 32]),
            about,
            silence_ms: 2_000,
            seed: [place as u8; 32],
        };
        let listener = Listener::at("127.0.0.1:0".parse().unwrap()).unwrap();
        let Ok(Listen::Tcp(address)) = listener.address() else { panic!("it listens") };
        let mesh = Mesh::new(settings, clock::monotonic_ms());
        let resolver = Resolver::new(look_up, move || drop(waker.wake()));
        let mut links = Links::new(vec![listener], mesh, resolver);
        links.register(poll.registry()).unwrap();
        self.nodes[place] = Some(Node { poll, links, address, lost: 0 });
    }

    fn address(&self, place: usize) -> SocketAddr {
        self.nodes[place].as_ref().expect("it runs").address
    }

    fn up(&self, one: usize, other: usize) -> bool {
        let is_up = |at: usize, of: usize| {
            self.nodes[at].as_ref().is_some_and(|node| node.links.mesh.is_up(id_of(of)))
        };
        is_up(one, other) && is_up(other, one)
    }

    fn lost(&self) -> usize {
        self.nodes.iter().flatten().map(|node| node.lost).sum()
    }

    /// Turns of all servers' loops for a while, or until something holds.
    fn run(&mut self, time: Duration, until: impl Fn(&Net) -> bool) -> bool {
        let by = Instant::now() + time;
        let mut events = Events::with_capacity(64);
        while Instant::now() < by {
            for node in self.nodes.iter_mut().flatten() {
                node.poll.poll(&mut events, Some(Duration::from_millis(2))).unwrap();
                for event in &events {
                    node.links.on_event(event);
                }
                node.links.work(clock::monotonic_ms(), node.poll.registry());
                let happened = node.links.mesh.todo.events.drain(..);
                node.lost += happened.filter(|event| matches!(event, Event::Lost(_))).count();
                node.links.write(node.poll.registry());
            }
            if until(self) {
                return true;
            }
        }
        false
    }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn look_ups_that_take_longer_than_a_handshake_break_no_link() {
    let mut net = Net::new();
    (0..3).for_each(|place| net.start(place));
    // a is where nothing listens, so that it is looked up and dialled again and again.
    let gone = net.nodes[0].take().expect("it runs").address;
    net.answer(0, Duration::from_secs(2), &[gone]);
    for place in 1..3 {
        net.answer(place, Duration::from_secs(2), &[net.address(place)]);
    }
    assert!(net.run(LONG, |net| net.up(1, 2)), "b and c find each other in the end");
    net.run(Duration::from_secs(9), |_| false);
    assert!(net.up(1, 2));
    assert_eq!(net.lost(), 0, "their link falls, though nothing happened to it");
}

#[test]
fn a_name_that_takes_minutes_keeps_two_others_apart_for_no_time() {
    let mut net = Net::new();
    (0..3).for_each(|place| net.start(place));
    net.nodes[0] = None;
    net.answer(0, Duration::from_secs(300), &[]);
    for place in 1..3 {
        net.answer(place, Duration::ZERO, &[net.address(place)]);
    }
    let started = Instant::now();
    assert!(net.run(LONG, |net| net.up(1, 2)), "b and c wait for the name of a");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // c comes back elsewhere.
    net.nodes[2] = None;
    assert!(net.run(LONG, |net| net.lost() == 1));
    net.start(2);
    net.answer(2, Duration::ZERO, &[net.address(2)]);
    assert!(net.run(LONG, |net| net.up(1, 2)), "b and c wait for the name of a");
}

#[test]
fn a_name_with_an_address_that_never_answers_is_reached_at_the_other() {
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut net = Net::new();
    (0..3).for_each(|place| net.start(place));
    for place in 0..3 {
        let both = [silent.local_addr().unwrap(), net.address(place)];
        net.answer(place, Duration::ZERO, &both);
    }
    let all = |net: &Net| net.up(0, 1) && net.up(0, 2) && net.up(1, 2);
    assert!(net.run(LONG, all), "a silent address keeps servers apart");
    net.run(Duration::from_secs(3), |_| false);
    assert_eq!(net.lost(), 0);
}
