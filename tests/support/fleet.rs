//! A cluster whose servers are killed, stopped, continued, wiped, added and removed all the time, each
//! on a host of its own where there are hosts. A fleet of one is a server that is alone.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use chatctl::sys::signal;

use super::cluster::{self, Cluster};
use super::hosts::{self, Hosts};
use super::server::{Ended, Launch, PATIENCE, TestServer};
use super::small_disk::{self, SmallDisk};
use super::{eventually, sys};

/// Where clients reach servers on hosts.
const CLIENT_PORT: u16 = 7_262;
/// The flags of every server, unless the test gives others.
const FLAGS: [&str; 4] = ["--password-iterations", "1", "--idle-timeout", "600"];

/// What a server says of itself to anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub id: String,
    pub role: String,
    pub term: u64,
    pub commit: u64,
    pub primary: String,
    pub read_only: bool,
}

impl Status {
    /// Reads the body of a `server_status`.
    pub fn parse(body: &str) -> Status {
        let mut status = Status::default();
        for line in body.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            match key {
                "id" => status.id = value.to_owned(),
                "role" => status.role = value.to_owned(),
                "term" => status.term = value.parse().expect("a term is a number"),
                "commit" => status.commit = value.parse().expect("an index is a number"),
                "primary" => status.primary = value.to_owned(),
                "read_only" => status.read_only = value == "yes",
                _ => {}
            }
        }
        status
    }

    /// Whether it says that it is PRIMARY.
    pub fn is_primary(&self) -> bool {
        self.role == "PRIMARY"
    }
}

/// Asks a server how it is; an error when it does not say so within `patience`.
pub fn status_of(address: &str, patience: Duration) -> io::Result<Status> {
    cluster::status(address, patience).map(|body| Status::parse(&body))
}

/// What a server is to its cluster, as its operator sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// One of its members, with a vote.
    Member,
    /// It runs on an empty directory, or did: it has no vote, unless that was given to it since.
    Coming,
    /// It is to be no member any more, and may be none already.
    Leaving,
    /// No member.
    Out,
}

/// How many servers, the first of all, have small disks, and how small.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmallDisks {
    pub servers: usize,
    pub bytes: u64,
}

/// Some servers. All are killed when it is dropped; what they said is shown when a test fails.
pub struct Fleet {
    cluster: Cluster,
    nodes: Vec<Node>,
    /// Of the first servers; the others keep their data where there is room.
    disks: Vec<SmallDisk>,
    without_room: u64,
    /// Last, so that the hosts go when nothing runs there any more.
    hosts: Option<Hosts>,
}

/// What the fleet knows of a server beside its process.
struct Node {
    name: String,
    standing: Standing,
    is_stopped: bool,
    /// What earlier processes said on standard error.
    said: String,
}

impl Fleet {
    /// Starts `servers` servers on this host's loopback and waits for a PRIMARY.
    pub fn start(name: &str, servers: usize, flags: &[&str]) -> Fleet {
        Fleet::start_at(name, (servers, 0), None, flags, SmallDisks::default())
    }

    /// As `start`, each on a host of its own.
    pub fn start_on(hosts: Hosts, name: &str, servers: usize, flags: &[&str]) -> Fleet {
        Fleet::start_at(name, (servers, 0), Some(hosts), flags, SmallDisks::default())
    }

    /// Beside those that are started, places for so many spares; on hosts, where there are some, of
    /// which the first have small disks. The calling thread has mounts of its own then.
    pub fn start_with_spares(
        hosts: Option<Hosts>,
        name: &str,
        (servers, spares): (usize, usize),
        small: SmallDisks,
    ) -> Fleet {
        Fleet::start_at(name, (servers, spares), hosts, &[], small)
    }

    fn start_at(
        name: &str,
        (servers, spares): (usize, usize),
        hosts: Option<Hosts>,
        flags: &[&str],
        small: SmallDisks,
    ) -> Fleet {
        let flags = [&FLAGS, flags].concat();
        let [addresses, peers] = [CLIENT_PORT, hosts::PEER_PORT].map(|port| {
            let at = |place| match &hosts {
                Some(_) => format!("{}:{port}", hosts::address(place)),
                None => cluster::free_address(),
            };
            (0..servers + spares).map(at).collect()
        });
        let mut cluster = Cluster::at(name, servers, addresses, peers, &flags);
        if cluster.len() == 1 {
            let (data_dir, address) = (cluster.path("a"), cluster.addresses()[0].clone());
            cluster.relaunch(|_, _| Launch::on(&data_dir).listen(&[&address]).flags(&flags));
        }
        if let Some(hosts) = &hosts {
            cluster.relaunch(|place, launch| launch.host(hosts.file(place)));
        }
        let nodes = (0..cluster.len()).map(|place| Node {
            name: cluster::name_of(place),
            standing: if place < servers { Standing::Member } else { Standing::Out },
            is_stopped: false,
            said: String::new(),
        });
        let nodes = nodes.collect();
        let mut fleet = Fleet { cluster, nodes, disks: Vec::new(), without_room: 0, hosts };
        for place in 0..small.servers {
            let disk = SmallDisk::mount(&fleet.data_dir(place), small.bytes);
            fleet.disks.push(disk.expect("root mounts what it likes"));
        }
        fleet.start_all();
        fleet.wait_for_primary();
        fleet
    }

    /// How many servers there are, running or not, members or not.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// All but those that are surely no members.
    pub fn places(&self) -> Vec<usize> {
        self.standing_as(|standing| standing != Standing::Out)
    }

    /// Those of a kind.
    pub fn standing_as(&self, is_it: impl Fn(Standing) -> bool) -> Vec<usize> {
        (0..self.size()).filter(|place| is_it(self.nodes[*place].standing)).collect()
    }

    /// What one is to the cluster from now on.
    pub fn set_standing(&mut self, place: usize, standing: Standing) {
        self.nodes[place].standing = standing;
    }

    /// How many make a majority, however many of those that come or leave are members.
    pub fn majority(&self) -> usize {
        self.places().len() / 2 + 1
    }

    /// Whether those with a vote are a majority even without these.
    pub fn can_do_without(&self, hurt: &[usize]) -> bool {
        let members = self.standing_as(|standing| standing == Standing::Member);
        members.iter().filter(|place| !hurt.contains(place)).count() >= self.majority()
    }

    /// Where clients reach each of them.
    pub fn addresses(&self) -> Vec<String> {
        self.cluster.addresses().to_vec()
    }

    /// From its next start on, a server has this flag.
    pub fn set_flag(&mut self, flag: &str, value: &str) {
        self.cluster.relaunch(|_, launch| launch.set_flag([flag, value]));
    }

    /// A directory that goes with it.
    pub fn home(&self) -> &Path {
        self.cluster.home()
    }

    /// A server's data directory.
    pub fn data_dir(&self, place: usize) -> PathBuf {
        self.cluster.path(&self.nodes[place].name)
    }

    /// A server's name.
    pub fn name(&self, place: usize) -> &str {
        &self.nodes[place].name
    }

    /// The hosts, where each server has one.
    pub fn hosts(&self) -> &Hosts {
        self.hosts.as_ref().expect("this fleet is on hosts of its own")
    }

    /// How many servers have small disks.
    pub fn small_disks(&self) -> usize {
        self.disks.len()
    }

    /// Fills up a server's small disk, but for `room` bytes.
    pub fn fill_disk(&self, place: usize, room: u64) {
        self.disks[place].fill(room);
    }

    /// The members with a running process that is not stopped.
    pub fn live(&self) -> Vec<usize> {
        let live = |place: &usize| self.runs(*place) && !self.nodes[*place].is_stopped;
        self.places().into_iter().filter(live).collect()
    }

    /// Starts a server that does not run, and does not wait for it.
    pub fn start_one(&mut self, place: usize) {
        assert!(!self.runs(place), "it runs already");
        let mut launch = self.cluster.launch(place);
        if self.size() > 1 {
            let mut listed = self.places();
            listed.extend((!listed.contains(&place)).then_some(place));
            let list: Vec<String> = listed.into_iter().map(|place| self.listed(place)).collect();
            launch = launch.set_flag(["--cluster", &list.join(",")]);
        }
        *self.cluster.process(place) = Some(launch.spawn());
    }

    /// A server as it is listed in `--cluster` and let in.
    pub fn listed(&self, place: usize) -> String {
        format!("{}={}", self.nodes[place].name, self.cluster.peers()[place])
    }

    /// `chatctl members`, which asks all members.
    pub fn members(&self, arguments: &[&str]) -> Command {
        self.cluster.members_command(&self.places(), arguments)
    }

    /// Kills a server and takes all that its data directory has, but not the room on a full disk.
    pub fn wipe(&mut self, place: usize) {
        self.kill(place);
        let Ok(entries) = std::fs::read_dir(self.data_dir(place)) else { return };
        for entry in entries {
            let path = entry.expect("a directory can be read").path();
            let removed = match path.is_dir() {
                true => std::fs::remove_dir_all(&path),
                false if path.ends_with(small_disk::BALLAST) => Ok(()),
                false => std::fs::remove_file(&path),
            };
            removed.expect("what is in it can be removed");
        }
    }

    /// Starts all members that do not run, but those that leave.
    pub fn start_all(&mut self) {
        let stays = |standing| matches!(standing, Standing::Member | Standing::Coming);
        for place in self.standing_as(stays) {
            if !self.runs(place) {
                self.start_one(place);
            }
        }
    }

    /// What a server has said on standard error, through all its starts.
    pub fn stderr(&self, place: usize) -> String {
        let now = self.cluster.running(place).map(TestServer::stderr).unwrap_or_default();
        self.nodes[place].said.clone() + &now
    }

    /// Takes note that a process has ended, or is about to.
    fn over(&mut self, place: usize) -> Ended {
        let ended = self.cluster.take(place).ended();
        self.nodes[place].said += &ended.stderr;
        self.nodes[place].is_stopped = false;
        ended
    }

    /// kill -9, and it is gone.
    pub fn kill(&mut self, place: usize) {
        self.kill_all(&[place]);
    }

    /// kill -9 of several, as much at once as can be.
    pub fn kill_all(&mut self, places: &[usize]) {
        let running: Vec<usize> = places.iter().copied().filter(|&it| self.runs(it)).collect();
        running.iter().for_each(|place| self.signal(*place, sys::KILL));
        running.iter().for_each(|place| drop(self.over(*place)));
    }

    /// Stops a process where it stands.
    pub fn stop(&mut self, place: usize) {
        self.signal(place, sys::STOP);
        self.nodes[place].is_stopped = true;
    }

    /// Has it go on.
    pub fn go_on(&mut self, place: usize) {
        self.signal(place, signal::CONT);
        self.nodes[place].is_stopped = false;
    }

    fn signal(&self, place: usize, number: i32) {
        self.cluster.running(place).expect("it runs").signal(number);
    }

    /// Asks a server to end (SIGTERM) and does not wait for it.
    pub fn ask_to_end(&self, place: usize) {
        self.signal(place, signal::TERM);
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&mut self, place: usize) -> ExitStatus {
        self.ask_to_end(place);
        self.wait(place)
    }

    /// Waits until a process has ended.
    pub fn wait(&mut self, place: usize) -> ExitStatus {
        self.over(place).status
    }

    /// Takes note of servers that have ended though nobody asked them to: a failure, but of those that
    /// were taken out, and of those whose full disk has not even room for a start.
    pub fn check_alive(&mut self) {
        for place in 0..self.size() {
            if self.cluster.process(place).as_mut().and_then(TestServer::has_ended).is_none() {
                continue;
            }
            let Ended { status, stderr } = self.over(place);
            let has_no_room =
                place < self.disks.len() && stderr.ends_with("make room, then start again\n");
            let Node { name, standing, .. } = &self.nodes[place];
            let may_end = matches!(standing, Standing::Leaving | Standing::Out) || has_no_room;
            assert!(may_end, "server {name} has ended: {status:?}");
            self.without_room += u64::from(has_no_room);
        }
    }

    /// How often a server did not start for want of room.
    pub fn without_room(&self) -> u64 {
        self.without_room
    }

    /// What a server says of itself, if it does so at once.
    pub fn status(&self, place: usize) -> Option<Status> {
        self.cluster.running(place)?;
        status_of(&self.cluster.addresses()[place], Duration::from_millis(500)).ok()
    }

    /// The PRIMARY of the newest term, among those that say so and run.
    pub fn primary(&self) -> Option<usize> {
        let statuses =
            self.live().into_iter().filter_map(|place| Some((self.status(place)?, place)));
        let primaries = statuses.filter(|(status, _)| status.is_primary());
        primaries.max_by_key(|(status, _)| status.term).map(|(_, place)| place)
    }

    /// Waits until a server serves as PRIMARY.
    pub fn wait_for_primary(&mut self) -> usize {
        eventually("there is a PRIMARY", PATIENCE, || {
            self.check_alive();
            self.live().into_iter().find(|place| {
                let status = self.status(*place);
                status.is_some_and(|status| status.primary == self.cluster.addresses()[*place])
            })
        })
    }

    /// Whether a server has a process.
    pub fn runs(&self, place: usize) -> bool {
        self.cluster.runs(place)
    }

    /// Waits until a server is PRIMARY or knows who is.
    pub fn wait_until_serving(&mut self, place: usize) {
        let what = format!("server {} knows a PRIMARY", self.nodes[place].name);
        eventually(&what, PATIENCE, || {
            self.check_alive();
            // There was no room for its start, and may be now.
            if !self.runs(place) {
                self.start_one(place);
            }
            self.status(place).filter(|status| !status.primary.is_empty())
        });
    }

    /// Waits until every member runs, knows the same PRIMARY, and has committed the same as it, and
    /// gives that.
    pub fn wait_until_together(&mut self) -> Status {
        let started = Instant::now();
        loop {
            self.check_alive();
            let all: Vec<Option<Status>> =
                self.places().into_iter().map(|place| self.status(place)).collect();
            let primary = all.iter().flatten().find(|status| status.is_primary());
            let same = |status: &Option<Status>| {
                let known = |status: &Status| (status.term, status.commit, status.primary.clone());
                status.as_ref().map(known) == primary.map(known)
            };
            if let Some(primary) = primary.filter(|_| all.iter().all(same)) {
                return primary.clone();
            }
            assert!(started.elapsed() < 2 * PATIENCE, "the servers do not come together: {all:#?}");
        }
    }

    /// All disks have room again.
    pub fn free_disks(&self) {
        self.disks.iter().for_each(SmallDisk::free);
    }

    /// All stopped servers go on, and all hosts are reached.
    pub fn heal(&mut self) {
        for place in 0..self.size() {
            if self.nodes[place].is_stopped {
                self.go_on(place);
            }
        }
        if let Some(hosts) = &self.hosts {
            hosts.heal();
        }
    }

    /// Prints what every server said last.
    fn show(&self) {
        for (place, node) in self.nodes.iter().enumerate() {
            println!("-- server {} at {}:", node.name, self.cluster.addresses()[place]);
            let text = self.stderr(place);
            let lines: Vec<&str> = text.lines().collect();
            for line in &lines[lines.len().saturating_sub(40)..] {
                println!("   {line}");
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show();
        }
        // Nothing runs any more when the disks go, and the disks go before the home that they are in.
        (0..self.size()).for_each(|place| *self.cluster.process(place) = None);
        self.disks.clear();
    }
}
