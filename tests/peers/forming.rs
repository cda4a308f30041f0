//! Forming a cluster, with crashes between any two steps and disks that are lost.

use chatctl::chat::Command;
use chatctl::node::bootstrap::forming::{Forming, Step};
use chatctl::node::peers::mesh::{Event, Member, Mesh};
use chatctl::node::peers::session::Block;
use chatctl::node::peers::wire::{About, Frame, Stage};

use super::{Net, settings};
use crate::support::{Rng, env_number};

/// What a server's disk keeps.
#[derive(Clone, Debug, Default, PartialEq)]
struct Disk {
    incarnation: u64,
    cluster: [u8; 16],
    entry: Option<Vec<u8>>,
    started: bool,
}

/// Servers that form a cluster. One without a part is down.
struct World {
    rng: Rng,
    net: Net,
    disks: Vec<Disk>,
    parts: Vec<Option<Forming>>,
    last_incarnation: u64,
    /// Crash somewhere between two steps, so many times of a hundred.
    crashes: u64,
    /// Every entry with which a server has started.
    started: Vec<Vec<u8>>,
}

impl World {
    fn new(seed: u64, count: usize, crashes: u64) -> World {
        let net = Net::new((0..count).map(|place| settings(place, count)).collect());
        let (disks, parts) = (vec![Disk::default(); count], (0..count).map(|_| None).collect());
        let mut world = World {
            rng: Rng::new(seed),
            net,
            disks,
            parts,
            last_incarnation: 0,
            crashes,
            started: Vec::new(),
        };
        for place in 0..count {
            world.net.routes[place] = None;
            world.wipe(place);
        }
        world
    }

    /// A new directory: another incarnation, nothing else.
    fn wipe(&mut self, place: usize) {
        self.last_incarnation += 1;
        self.disks[place] = Disk { incarnation: self.last_incarnation, ..Disk::default() };
    }

    fn start(&mut self, place: usize) {
        let disk = self.disks[place].clone();
        let mut settings = settings(place, self.disks.len());
        settings.me.incarnation = disk.incarnation;
        settings.me.cluster = disk.cluster;
        settings.about.cluster = disk.cluster;
        settings.seed = self.rng.bytes(32).try_into().unwrap();
        for member in &mut settings.members {
            let own = member.name == settings.me.name;
            member.incarnation = own.then_some(disk.incarnation);
        }
        let mut mesh = Mesh::new(settings, self.net.now_ms);
        let forming = Forming::new(&mesh, disk.cluster, disk.entry.clone());
        if let Some(entry) = &disk.entry {
            learn(&mut mesh, entry);
        }
        let stage = if disk.started { Stage::Started } else { forming.stage() };
        tell(&mut mesh, stage, disk.cluster);
        self.net.meshes[place] = mesh;
        self.net.routes[place] = Some(place);
        self.parts[place] = Some(forming);
    }

    fn crash(&mut self, place: usize) {
        self.parts[place] = None;
        self.net.routes[place] = None;
        self.net.events[place].clear();
        // Its sockets close.
        for wire in &mut self.net.wires {
            for side in 0..2 {
                wire.closed[side] |= wire.ends[side].0 == place;
            }
        }
        self.net.meshes[place] = Mesh::new(settings(place, self.disks.len()), 0);
        self.net.look_ups.retain(|(owner, ..)| *owner != place);
    }

    /// True: it crashes here.
    fn crashes_here(&mut self, place: usize) -> bool {
        let crashes = self.crashes > 0 && self.rng.chance(self.crashes, 100);
        if crashes {
            self.crash(place);
        }
        crashes
    }

    fn run(&mut self, rounds: u64) {
        for _ in 0..rounds {
            self.net.now_ms += 10;
            for _ in 0..4 {
                self.round();
            }
            self.check();
        }
    }

    fn round(&mut self) {
        for place in 0..self.disks.len() {
            self.net.meshes[place].set_now(self.net.now_ms);
            if self.parts[place].is_none() {
                continue;
            }
            self.net.read(place);
            self.net.work(place);
            self.net.write(place);
            self.act(place);
            self.net.write(place);
        }
    }

    /// What the loop of a server that forms does, with a crash between any two of its steps.
    fn act(&mut self, place: usize) {
        while let Some(event) = self.net.events[place].pop_front() {
            let Some(forming) = &mut self.parts[place] else { return };
            match event {
                Event::Lost(id) => forming.on_lost(id),
                Event::Adopt(from, entry) if !self.disks[place].started => {
                    if let Ok(Some(cluster)) =
                        forming.on_offer(&self.net.meshes[place], from, &entry)
                    {
                        self.take(place, cluster, entry);
                    }
                }
                _ => {}
            }
        }
        if self.disks[place].started || self.crashes_here(place) {
            return;
        }
        let Some(forming) = &mut self.parts[place] else { return };
        match forming.next(&self.net.meshes[place]) {
            Step::Wait => {}
            Step::Make(members) => {
                let kept = self.disks[place].cluster;
                let fresh = self.rng.bytes(16).try_into().unwrap();
                let cluster = if kept == [0; 16] { fresh } else { kept };
                let token_secret = self.rng.bytes(32).try_into().unwrap();
                let mut entry = Vec::new();
                Command::Found { time: 1, cluster, token_secret, members }.encode(&mut entry);
                self.take(place, cluster, entry);
            }
            Step::Offer(to) => {
                let block = Block::new(forming.entry().unwrap().to_vec());
                for id in to {
                    self.net.meshes[place].send_frame(id, &Frame::Adopt(Vec::new()), &block);
                }
            }
            Step::Start => {
                self.disks[place].started = true;
                self.started.push(self.disks[place].entry.clone().unwrap());
                if !self.crashes_here(place) {
                    let cluster = self.disks[place].cluster;
                    tell(&mut self.net.meshes[place], Stage::Started, cluster);
                }
            }
        }
    }

    fn take(&mut self, place: usize, cluster: [u8; 16], entry: Vec<u8>) {
        self.disks[place].cluster = cluster;
        if self.crashes_here(place) {
            return;
        }
        self.disks[place].entry = Some(entry.clone());
        if self.crashes_here(place) {
            return;
        }
        learn(&mut self.net.meshes[place], &entry);
        self.parts[place].as_mut().unwrap().stored(cluster, entry);
        tell(&mut self.net.meshes[place], Stage::Holds, cluster);
    }

    /// Who has started has the one entry.
    fn check(&self) {
        for entry in &self.started {
            assert_eq!(entry, &self.started[0], "two clusters were formed");
        }
        for disk in self.disks.iter().filter(|disk| disk.started) {
            assert_eq!(disk.entry.as_ref(), self.started.first());
        }
    }

    fn all_started(&self) -> bool {
        self.disks.iter().all(|disk| disk.started)
    }
}

fn learn(mesh: &mut Mesh, entry: &[u8]) {
    let Ok(Command::Found { members, .. }) = Command::decode(entry) else { panic!("an entry") };
    mesh.set_members(members.into_iter().map(Member::from).collect());
}

fn tell(mesh: &mut Mesh, stage: Stage, cluster: [u8; 16]) {
    let about = About { stage, cluster, ..mesh.about().clone() };
    mesh.set_about(about);
}

#[test]
fn nothing_is_formed_before_all_are_there_and_then_all_start_with_one_entry() {
    for count in 1..=5 {
        let mut world = World::new(1, count, 0);
        for place in (0..count).rev() {
            assert!(world.started.is_empty());
            world.start(place);
            world.run(100);
        }
        assert!(world.all_started());
        let Ok(Command::Found { members, .. }) = Command::decode(&world.started[0]) else {
            panic!("an entry")
        };
        for (member, disk) in members.iter().zip(&world.disks) {
            assert_eq!(member.incarnation, disk.incarnation);
        }
    }
}

#[test]
fn it_is_said_for_whom_a_server_waits_and_not_again_and_again() {
    let mut world = World::new(1, 3, 0);
    world.start(0);
    world.start(1);
    world.run(100);
    let now_ms = world.net.now_ms;
    let forming = world.parts[0].as_mut().unwrap();
    let mesh = &world.net.meshes[0];
    assert_eq!(forming.waits_for(mesh, now_ms), None, "it may be over in a moment");
    let line = forming.waits_for(mesh, now_ms + 1_000).unwrap();
    assert!(line.contains("waiting for c (not connected: nobody is there)"), "{line}");
    assert_eq!(forming.waits_for(mesh, now_ms + 100_000), None);
}

#[test]
fn servers_that_were_given_different_lists_form_nothing() {
    let mut world = World::new(1, 2, 0);
    world.start(0);
    world.start(1);
    let about = About { list: [4; 32], ..world.net.meshes[1].about().clone() };
    world.net.meshes[1].set_about(about);
    world.run(100);
    assert!(world.started.is_empty());
    let forming = world.parts[0].as_mut().unwrap();
    forming.waits_for(&world.net.meshes[0], 10_000);
    let line = forming.waits_for(&world.net.meshes[0], 20_000).unwrap();
    assert!(line.contains("its --cluster differs"), "{line}");
}

/// Crashes everywhere, at last none any more: all have started, with one entry.
#[test]
fn whatever_crashes_while_a_cluster_is_formed_it_is_formed_once() {
    let seed = env_number("FORMING_SEED", 1);
    for seed in seed..seed + env_number("FORMING_RUNS", 100) {
        let _again = SeedOnPanic(seed);
        let mut world = World::new(seed, 2 + seed as usize % 4, 10);
        for _ in 0..60 {
            for place in 0..world.disks.len() {
                if world.parts[place].is_none() && world.rng.chance(1, 2) {
                    world.start(place);
                }
            }
            let rounds = world.rng.below(20);
            world.run(rounds);
        }
        world.crashes = 0;
        for place in 0..world.disks.len() {
            if world.parts[place].is_none() {
                world.start(place);
            }
        }
        world.run(1_000);
        assert!(world.all_started(), "{:?}", world.disks);
    }
}

/// Disks are lost too, in the middle and after the start: what was formed once is never formed anew,
/// not by all but one of its servers either.
#[test]
fn wiped_servers_never_take_themselves_for_a_cluster() {
    let seed = env_number("FORMING_SEED", 1);
    let mut formed = 0;
    for seed in seed..seed + env_number("FORMING_RUNS", 100) {
        let _again = SeedOnPanic(seed);
        let count = 2 + seed as usize % 4;
        let mut world = World::new(seed, count, 4);
        let keeper = world.rng.below(count as u64) as usize;
        for _ in 0..60 {
            for place in 0..count {
                if world.parts[place].is_none() {
                    world.start(place);
                } else if place != keeper && world.rng.chance(1, 40) {
                    world.crash(place);
                    world.wipe(place);
                }
            }
            let rounds = world.rng.below(40);
            world.run(rounds);
        }
        formed += usize::from(!world.started.is_empty());
        if !world.started.is_empty() {
            // All but one lose their disks.
            for place in (0..count).filter(|&place| place != keeper) {
                world.crash(place);
                world.wipe(place);
                world.start(place);
            }
            world.run(500);
            let holders = world.disks.iter().filter(|disk| disk.entry.is_some()).count();
            assert_eq!(holders, 1, "nobody joins the one that is left");
            assert!(world.disks[keeper].entry.is_some());
        }
    }
    assert!(formed > 0, "the case came up");
}

struct SeedOnPanic(u64);

impl Drop for SeedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again: FORMING_SEED={} FORMING_RUNS=1", self.0);
        }
    }
}

#[test]
fn a_server_that_has_the_entry_starts_when_the_first_has_died_in_the_middle() {
    let mut world = World::new(7, 3, 0);
    (0..3).for_each(|place| world.start(place));
    for _ in 0..1_000 {
        world.net.now_ms += 1;
        world.round();
        let hold = world.disks[1..].iter().all(|disk| disk.entry.is_some());
        if hold {
            break;
        }
    }
    world.crash(0);
    world.run(300);
    assert!(world.disks[1].started && world.disks[2].started);
    assert!(world.disks[0].entry.is_some(), "or the others would not have it");
    world.start(0);
    world.run(300);
    assert!(world.all_started());
}
