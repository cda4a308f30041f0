//! The peers' protocol without sockets: meshes that are wired together in memory.

mod boots;
mod forming;
mod measure;
mod mesh;
mod names;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use crate::support::bounded::Rounds;

use chatctl::auth::hmac;
use chatctl::net::Key;
use chatctl::node::lines::Folder;
use chatctl::node::peers::handshake::{Identity, Kind};
use chatctl::node::peers::mesh::{Event, Member, Mesh, Settings, empty_about, id_of};
use chatctl::wal::boots::Boots;

/// Silence after which a connection is closed here, milliseconds.
const SILENCE_MS: u64 = 2_000;

/// One end of a connection: whose, and its key there.
type End = (usize, Key);

/// Two ends, and the bytes on their way to each.
struct Wire {
    ends: [End; 2],
    bytes: [Vec<u8>; 2],
    closed: [bool; 2],
}

/// The servers and what connects them.
struct Net {
    now_ms: u64,
    meshes: Vec<Mesh>,
    /// What each has told, after folding, and what happened to it.
    folders: Vec<Folder>,
    lines: Vec<Vec<String>>,
    events: Vec<VecDeque<Event>>,
    wires: Vec<Wire>,
    /// Where a dial to a server comes out; none: nobody is there.
    routes: Vec<Option<usize>>,
    /// What look-ups give, where it is not the address of the server of that name at once.
    answers: HashMap<String, Answer>,
    /// Look-ups under way: whose, of which name, and when they answer.
    look_ups: Vec<(usize, String, u64)>,
    /// How often a name was looked up.
    asked: usize,
    /// Addresses that take what is sent to them, and never answer.
    silent: Vec<SocketAddr>,
    /// How often each was dialled.
    dials: usize,
    /// Whose disk takes nothing: that a start was met is not saved.
    stuck: Vec<usize>,
}

/// How a look-up goes.
#[derive(Clone)]
struct Answer {
    after_ms: u64,
    found: Result<Vec<SocketAddr>, String>,
}

/// The address of the server in this place.
fn address_of(place: usize) -> SocketAddr {
    format!("10.0.0.{}:7263", place + 1).parse().unwrap()
}

/// The server that has this address.
fn place_at(address: SocketAddr) -> Option<usize> {
    (0..20).find(|&place| address_of(place) == address)
}

fn name_of(place: usize) -> String {
    char::from(b'a' + place as u8).to_string()
}

fn members(count: usize) -> Vec<Member> {
    let member = |place: usize| Member {
        name: name_of(place),
        address: format!("h:{place}"),
        incarnation: Some(100 + place as u64),
        number: id_of(place),
    };
    (0..count).map(member).collect()
}

/// A server as it should be: its cluster is `[5; 16]`, its secret made of 1.
fn settings(place: usize, count: usize) -> Settings {
    let incarnation = 100 + place as u64;
    let (kind, name, boots) = (Kind::Server, name_of(place), Boots::new(1, vec![7]).unwrap());
    let me = Identity { kind, name, cluster: [5; 16], incarnation, boots };
    let mut about = empty_about([3; 32], format!("client:{place}"));
    about.cluster = me.cluster;
    Settings {
        me,
        met: Vec::new(),
        members: members(count),
        secret: hmac::Key::new(&[1; 32]),
        about,
        silence_ms: SILENCE_MS,
        seed: [place as u8; 32],
    }
}

impl Net {
    fn new(settings: Vec<Settings>) -> Net {
        let count = settings.len();
        Net {
            now_ms: 0,
            meshes: settings.into_iter().map(|settings| Mesh::new(settings, 0)).collect(),
            folders: (0..count).map(|_| Folder::default()).collect(),
            lines: vec![Vec::new(); count],
            events: (0..count).map(|_| VecDeque::new()).collect(),
            wires: Vec::new(),
            routes: (0..count).map(Some).collect(),
            answers: HashMap::new(),
            look_ups: Vec::new(),
            asked: 0,
            silent: Vec::new(),
            dials: 0,
            stuck: Vec::new(),
        }
    }

    fn sound(count: usize) -> Net {
        let mut net = Net::new((0..count).map(|place| settings(place, count)).collect());
        net.settle();
        net
    }

    fn mesh(&mut self, place: usize) -> &mut Mesh {
        &mut self.meshes[place]
    }

    fn connected(&self, from: usize, to: usize) -> bool {
        self.meshes[from].is_up(id_of(to))
    }

    /// Lets everything happen that can happen now.
    fn settle(&mut self) {
        let mut rounds = Rounds::new(100_000, "nothing more happens between the servers");
        while self.step() {
            rounds.count();
        }
    }

    /// Time goes on in small steps, and all that comes up happens.
    fn pass(&mut self, ms: u64) {
        let until_ms = self.now_ms + ms;
        while self.now_ms < until_ms {
            self.now_ms = (self.now_ms + 10).min(until_ms);
            self.settle();
        }
    }

    /// One round of every server's loop. True when anything moved.
    fn step(&mut self) -> bool {
        let mut moved = false;
        for place in 0..self.meshes.len() {
            self.meshes[place].set_now(self.now_ms);
            moved |= self.read(place);
            moved |= self.work(place);
            moved |= self.write(place);
        }
        moved
    }

    /// Look-ups, dials and what time brings, as the loop of a server has them.
    fn work(&mut self, place: usize) -> bool {
        let mut moved = false;
        let is_due =
            |look_up: &(usize, String, u64)| look_up.0 == place && look_up.2 <= self.now_ms;
        let due: Vec<_> = self.look_ups.extract_if(.., |look_up| is_due(look_up)).collect();
        for (_, name, _) in due {
            let found = self.answer_of(&name).found;
            self.meshes[place].on_found(&name, found);
            moved = true;
        }
        self.meshes[place].tick();
        while let Some((key, address)) = self.meshes[place].next_dial() {
            self.dial(place, key, address);
            moved = true;
        }
        while let Some(name) = self.meshes[place].next_lookup() {
            self.asked += 1;
            let at_ms = self.now_ms + self.answer_of(&name).after_ms;
            self.look_ups.push((place, name, at_ms));
            moved = true;
        }
        moved
    }

    fn answer_of(&self, name: &str) -> Answer {
        let place = name.strip_prefix("h:").and_then(|place| place.parse::<usize>().ok());
        let own = place.map(|place| vec![address_of(place)]).ok_or("no such name".to_owned());
        let usual = Answer { after_ms: 0, found: own };
        self.answers.get(name).cloned().unwrap_or(usual)
    }

    fn dial(&mut self, from: usize, key: Key, address: SocketAddr) {
        self.dials += 1;
        if self.silent.contains(&address) {
            return;
        }
        let route = place_at(address).and_then(|place| self.routes.get(place).copied().flatten());
        let Some(to) = route else {
            return self.meshes[from].on_broken(key, "nobody is there");
        };
        self.meshes[to].set_now(self.now_ms);
        let other = self.meshes[to].accept(format!("h:{from}"));
        self.connect((from, key), (to, other));
    }

    fn connect(&mut self, one: End, other: End) {
        let bytes = [Vec::new(), Vec::new()];
        self.wires.push(Wire { ends: [one, other], bytes, closed: [false; 2] });
    }

    fn read(&mut self, place: usize) -> bool {
        let mut moved = false;
        for wire in &mut self.wires {
            for side in 0..2 {
                let (owner, key) = wire.ends[side];
                if owner != place || wire.closed[side] {
                    continue;
                }
                if !wire.bytes[side].is_empty() {
                    self.meshes[place].receive(key, &wire.bytes[side]);
                    wire.bytes[side].clear();
                    moved = true;
                }
                if wire.closed[1 - side] {
                    self.meshes[place].on_broken(key, "the other side has closed it");
                }
            }
        }
        moved
    }

    fn write(&mut self, place: usize) -> bool {
        let mesh = &mut self.meshes[place];
        if !self.stuck.contains(&place) {
            let met = mesh.met().to_vec();
            mesh.met_saved(&met);
        }
        let mut moved = false;
        for key in std::mem::take(&mut mesh.todo.write) {
            let Some(output) = mesh.output(key) else { continue };
            let bytes = crate::support::take_output(output);
            moved |= !bytes.is_empty();
            for wire in &mut self.wires {
                for side in 0..2 {
                    if wire.ends[side] == (place, key) {
                        wire.bytes[1 - side].extend_from_slice(&bytes);
                    }
                }
            }
        }
        for key in std::mem::take(&mut mesh.todo.close) {
            mesh.remove(key);
            moved = true;
            for wire in &mut self.wires {
                for side in 0..2 {
                    wire.closed[side] |= wire.ends[side] == (place, key);
                }
            }
        }
        self.wires.retain(|wire| wire.closed != [true; 2]);
        let (folder, now_ms) = (&mut self.folders[place], self.now_ms);
        let told = self.meshes[place].todo.tell.drain(..);
        let told = told.filter_map(|line| folder.take(now_ms, line));
        self.lines[place].extend(told.map(|line| line.text));
        while let Some(line) = folder.due(now_ms) {
            self.lines[place].push(line.text);
        }
        let events = self.meshes[place].todo.events.drain(..);
        self.events[place].extend(events);
        moved
    }

    /// Whether a line with this text was told.
    fn told(&self, place: usize, text: &str) -> bool {
        self.lines[place].iter().any(|line| line.contains(text))
    }

    fn lost(&self, place: usize, other: usize) -> usize {
        let is_it = |event: &&Event| **event == Event::Lost(id_of(other));
        self.events[place].iter().filter(is_it).count()
    }
}
