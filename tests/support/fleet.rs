//! Several servers as real processes: started, killed, stopped, continued, each at a place of its
//! own. A fleet of one is a server that is alone.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use chatctl::protocol::framing::{Codec, Form};
use chatctl::sys::signal;

use super::bounded::{Run, exit_of, killed};
use super::hosts::{self, Hosts};
use super::raw_client::{RawClient, ask, is_push};
use super::small_disk::{self, SmallDisk};
use super::{TempDir, eventually, sys};

/// How long a server may take for what it does by itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// What every server is told, unless the test says otherwise (a later flag wins).
const FLAGS: [&str; 10] = [
    "--password-iterations",
    "1",
    "--logins-per-minute",
    "0",
    "--segment-mib",
    "1",
    "--max-sessions-per-address",
    "100000",
    "--idle-timeout",
    "600",
];

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
    let mut client = RawClient::connect_within(address, Form::Frames, Codec::Binary, patience)?;
    client.try_write_raw(&client.encoded(&ask("server_status")))?;
    loop {
        let message = client.try_read()?;
        if !is_push(&message) {
            return Ok(Status::parse(&message.body));
        }
    }
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

/// One server.
struct Node {
    name: String,
    address: String,
    peer_address: String,
    process: Option<Child>,
    is_stopped: bool,
    standing: Standing,
}

/// How many servers, the first of all, have small disks, and how small.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmallDisks {
    pub servers: usize,
    pub bytes: u64,
}

/// Some servers. All are killed when it is dropped; what they said is shown when a test fails.
pub struct Fleet {
    nodes: Vec<Node>,
    flags: Vec<String>,
    /// Of the first servers; the others keep their data where there is room.
    disks: Vec<SmallDisk>,
    without_room: u64,
    home: TempDir,
    /// Last, so that the hosts go when nothing runs there any more.
    hosts: Option<Hosts>,
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
        let places: Vec<(String, String)> = match &hosts {
            Some(_) => (0..servers + spares).map(on_host).collect(),
            None => on_loopback(servers + spares),
        };
        let nodes = places.into_iter().zip('a'..).map(|((address, peer_address), name)| Node {
            name: name.to_string(),
            address,
            peer_address,
            process: None,
            is_stopped: false,
            standing: Standing::Member,
        });
        let mut fleet = Fleet {
            nodes: nodes.collect(),
            flags: flags.iter().map(|flag| flag.to_string()).collect(),
            disks: Vec::new(),
            without_room: 0,
            home: TempDir::new(name),
            hosts,
        };
        (servers..fleet.size()).for_each(|spare| fleet.set_standing(spare, Standing::Out));
        for place in 0..small.servers {
            let disk = SmallDisk::mount(&fleet.data_dir(place), small.bytes);
            fleet.disks.push(disk.expect("root mounts what it likes"));
        }
        if fleet.size() > 1 {
            let mut make = fleet.program();
            make.args(["serve", "--new-secret"]).arg(fleet.secret());
            assert!(make.run().status.success());
        }
        fleet.start_all();
        fleet.wait_for_primary();
        fleet
    }

    fn program(&self) -> Command {
        Command::new(env!("CARGO_BIN_EXE_chatctl"))
    }

    fn secret(&self) -> PathBuf {
        self.home.path().join("secret")
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
        self.nodes.iter().map(|node| node.address.clone()).collect()
    }

    /// From its next start on, a server is told this.
    pub fn set_flag(&mut self, flag: &str, value: &str) {
        match self.flags.iter().position(|text| text == flag) {
            Some(place) => self.flags[place + 1] = value.to_owned(),
            None => self.flags.extend([flag.to_owned(), value.to_owned()]),
        }
    }

    /// A directory that goes with it.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A server's data directory.
    pub fn data_dir(&self, place: usize) -> PathBuf {
        self.home.path().join(&self.nodes[place].name)
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
        let live =
            |place: &usize| self.nodes[*place].process.is_some() && !self.nodes[*place].is_stopped;
        self.places().into_iter().filter(live).collect()
    }

    /// Starts a server that does not run, and does not wait for it.
    pub fn start_one(&mut self, place: usize) {
        assert!(self.nodes[place].process.is_none(), "it runs already");
        let mut command = self.program();
        let node = &self.nodes[place];
        command.args(["serve", "--listen", &node.address]).args(FLAGS).args(&self.flags);
        command.arg("--data-dir").arg(self.data_dir(place));
        if self.size() > 1 {
            let mut listed = self.places();
            listed.extend((!listed.contains(&place)).then_some(place));
            let list: Vec<String> = listed.into_iter().map(|place| self.listed(place)).collect();
            command.args(["--id", &node.name, "--cluster", &list.join(",")]);
            command.args(["--advertise", &node.address]);
            command.arg("--cluster-secret-file").arg(self.secret());
        }
        let file = |kind: &str| {
            let path = self.output(place, kind);
            OpenOptions::new().append(true).create(true).open(path).expect("a file can be made")
        };
        let (out, error): (File, File) = (file("out"), file("err"));
        command.stdin(Stdio::null()).stdout(out).stderr(error);
        let child = match &self.hosts {
            None => command.spawn(),
            Some(hosts) => sys::in_namespace(&hosts.file(place), || command.spawn()),
        };
        self.nodes[place].process = Some(child.expect("the program can be started"));
    }

    /// A server as it is listed in `--cluster` and let in.
    pub fn listed(&self, place: usize) -> String {
        let Node { name, peer_address, .. } = &self.nodes[place];
        format!("{name}={peer_address}")
    }

    /// `chatctl members`, which asks all members.
    pub fn members(&self, arguments: &[&str]) -> Command {
        let asked = self.places().into_iter().map(|place| self.nodes[place].peer_address.as_str());
        let mut command = self.program();
        command.args(["members", "--servers", &asked.collect::<Vec<_>>().join(",")]);
        command.arg("--cluster-secret-file").arg(self.secret()).args(arguments);
        command
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
            if self.nodes[place].process.is_none() {
                self.start_one(place);
            }
        }
    }

    fn output(&self, place: usize, kind: &str) -> PathBuf {
        self.home.path().join(format!("{}.{kind}", self.nodes[place].name))
    }

    /// What a server has said on standard error, through all its starts.
    pub fn stderr(&self, place: usize) -> String {
        std::fs::read_to_string(self.output(place, "err")).unwrap_or_default()
    }

    /// kill -9, and it is gone.
    pub fn kill(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let Some(mut child) = node.process.take() else { return };
        node.is_stopped = false;
        child.kill().expect("it is ours");
        exit_of(&mut child);
    }

    /// kill -9 of several, as much at once as can be.
    pub fn kill_all(&mut self, places: &[usize]) {
        for place in places {
            if let Some(child) = &mut self.nodes[*place].process {
                child.kill().expect("it is ours");
            }
        }
        places.iter().for_each(|place| self.kill(*place));
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
        let child = self.nodes[place].process.as_ref().expect("it runs");
        sys::kill(child.id(), number).expect("it is ours");
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
        let node = &mut self.nodes[place];
        let what = format!("server {} ends", node.name);
        let child = node.process.as_mut().expect("it was started");
        let status = eventually(&what, PATIENCE, || child.try_wait().expect("it is ours"));
        node.process = None;
        status
    }

    /// Takes note of servers that have ended though nobody asked them to: a failure, but of those that
    /// were taken out, and of those whose full disk has not even room for a start.
    pub fn check_alive(&mut self) {
        for place in 0..self.nodes.len() {
            let Some(child) = &mut self.nodes[place].process else { continue };
            let Some(status) = child.try_wait().expect("it is ours") else { continue };
            let node = &self.nodes[place];
            let has_no_room = place < self.disks.len()
                && self.stderr(place).ends_with("make room, then start again\n");
            let may_end = matches!(node.standing, Standing::Leaving | Standing::Out) || has_no_room;
            assert!(may_end, "server {} has ended: {status:?}", node.name);
            self.without_room += u64::from(has_no_room);
            self.nodes[place].process = None;
        }
    }

    /// How often a server did not start for want of room.
    pub fn without_room(&self) -> u64 {
        self.without_room
    }

    /// What a server says of itself, if it does so at once.
    pub fn status(&self, place: usize) -> Option<Status> {
        self.nodes[place].process.as_ref()?;
        status_of(&self.nodes[place].address, Duration::from_millis(500)).ok()
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
                status.is_some_and(|status| status.primary == self.nodes[*place].address)
            })
        })
    }

    /// Whether a server has a process.
    pub fn runs(&self, place: usize) -> bool {
        self.nodes[place].process.is_some()
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
        for node in &self.nodes {
            let place = self.nodes.iter().position(|other| other.name == node.name).unwrap_or(0);
            let text = self.stderr(place);
            let lines: Vec<&str> = text.lines().collect();
            println!("-- server {} at {}:", node.name, node.address);
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
        for node in &mut self.nodes {
            if let Some(child) = &mut node.process {
                killed(child);
            }
        }
    }
}

/// Where clients and peers reach a server that has a host of its own.
fn on_host(place: usize) -> (String, String) {
    let address = hosts::address(place);
    (format!("{address}:7262"), format!("{address}:{}", hosts::PEER_PORT))
}

/// Where they reach servers of this host.
fn on_loopback(servers: usize) -> Vec<(String, String)> {
    let (address, port) = free_ports(servers);
    let at = |port: u16| format!("{address}:{port}");
    (0..servers as u16).map(|place| (at(port + 2 * place), at(port + 2 * place + 1))).collect()
}

/// Ports for some servers at a loopback address that is this process's alone, below those that the
/// system gives away: nobody else takes them between now and the servers' start.
fn free_ports(servers: usize) -> (String, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(7_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = format!("127.{}.{middle}.{low}", 64 | high & 63);
    let needed = 2 * servers as u16;
    loop {
        let first = NEXT.fetch_add(needed, Ordering::Relaxed);
        let is_free = |port| TcpListener::bind((address.as_str(), port)).is_ok();
        if (first..first + needed).all(is_free) {
            return (address, first);
        }
    }
}
