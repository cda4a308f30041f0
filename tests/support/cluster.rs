//! Several servers as real processes that form a cluster on loopback.

use std::collections::HashSet;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chatctl::protocol::framing::{Codec, Form};

use super::bounded::Run;
use super::raw_client::{RawClient, ask, is_push};
use super::server::{Launch, PATIENCE, TestServer};
use super::{Rng, TempDir, chatctl, said, text};

/// A port that nobody has, below those that the system gives to outgoing connections: one of these
/// could otherwise take it while its server is down. No other test of this process gets it.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut rng =
        Rng::new(now.map_or(0, |since| since.as_nanos() as u64) ^ std::process::id() as u64);
    loop {
        let port = 12_000 + rng.below(20_000) as u16;
        let free = TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free && GIVEN.lock().unwrap().get_or_insert_default().insert(port) {
            return port;
        }
    }
}

/// A place on loopback for a server that starts later.
pub fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// The cluster. Servers are named a, b, c and so on; they are told apart by their places.
pub struct Cluster {
    servers: Vec<Option<TestServer>>,
    launches: Vec<Launch>,
    addresses: Vec<String>,
    peers: Vec<String>,
    home: TempDir,
}

/// The name of the server in this place.
pub fn name_of(place: usize) -> String {
    char::from(b'a' + place as u8).to_string()
}

impl Cluster {
    /// So many servers that are not started yet.
    pub fn new(name: &str, count: usize, flags: &[&str]) -> Cluster {
        Cluster::with_spares(name, count, 0, flags)
    }

    /// The same, and spares, each of which can be let in: its list has the others and itself.
    pub fn with_spares(name: &str, formed: usize, spares: usize, flags: &[&str]) -> Cluster {
        let local = || (0..formed + spares).map(|_| free_address()).collect();
        Cluster::at(name, formed, local(), local(), flags)
    }

    /// The same, where clients and peers reach them at these places.
    pub fn at(
        name: &str,
        formed: usize,
        addresses: Vec<String>,
        peers: Vec<String>,
        flags: &[&str],
    ) -> Cluster {
        let home = TempDir::new(name);
        let secret = home.path().join("secret");
        make_secret(&secret);
        let first = list_of(&peers[..formed]);
        let launches = peers.iter().enumerate().map(|(place, peer)| {
            let name = name_of(place);
            let list = match place < formed {
                true => first.clone(),
                false => format!("{first},{name}={peer}"),
            };
            Launch::on(&home.path().join(&name))
                .listen(&[&addresses[place]])
                .flags(&["--id", &name, "--cluster", &list])
                .flags(&["--cluster-secret-file", secret.to_str().unwrap()])
                .flags(flags)
        });
        let (launches, servers) = (launches.collect(), peers.iter().map(|_| None).collect());
        Cluster { servers, launches, addresses, peers, home }
    }

    /// From its next start on, each is started as `change` says.
    pub fn relaunch(&mut self, change: impl Fn(usize, Launch) -> Launch) {
        for (place, launch) in self.launches.iter_mut().enumerate() {
            *launch = change(place, launch.clone());
        }
    }

    /// The same servers under other hosts' names.
    pub fn at_hosts(mut self, host: impl Fn(usize) -> String) -> Cluster {
        let named = self.peers.iter().enumerate().map(|(place, peer)| {
            let (_, port) = peer.rsplit_once(':').expect("it has a port");
            format!("{}:{port}", host(place))
        });
        let list = list_of(&named.collect::<Vec<String>>());
        self.relaunch(|_, launch| launch.set_flag(["--cluster", &list]));
        self
    }

    /// The same servers, each started after a shell command of its own.
    pub fn after_shell(mut self, command: impl Fn(usize) -> String) -> Cluster {
        self.relaunch(|place, launch| launch.shell(&command(place)));
        self
    }

    /// So many servers that have formed a cluster.
    pub fn start(name: &str, count: usize, flags: &[&str]) -> Cluster {
        let mut cluster = Cluster::new(name, count, flags);
        cluster.start_all();
        cluster
    }

    /// Starts those that do not run, and waits until they serve.
    pub fn start_all(&mut self) {
        let down: Vec<usize> =
            (0..self.servers.len()).filter(|&place| self.servers[place].is_none()).collect();
        let starting: Vec<TestServer> = down.iter().map(|&place| self.spawn(place)).collect();
        for (place, starting) in down.into_iter().zip(starting) {
            self.put(place, starting);
        }
    }

    /// Starts one and does not wait.
    pub fn spawn(&self, place: usize) -> TestServer {
        self.launches[place].clone().spawn()
    }

    /// One that was spawned serves from now on.
    pub fn put(&mut self, place: usize, starting: TestServer) {
        match starting.ready() {
            Ok(server) => self.servers[place] = Some(server),
            Err(ended) => panic!("server {} did not start: {ended:?}", name_of(place)),
        }
    }

    /// How one is started.
    pub fn launch(&self, place: usize) -> Launch {
        self.launches[place].clone()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Where clients reach each.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Where peers reach each.
    pub fn peers(&self) -> &[String] {
        &self.peers
    }

    /// The file with the secret.
    pub fn secret(&self) -> PathBuf {
        self.path("secret")
    }

    /// The directory that goes with it.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A path for something that belongs to it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.home().join(name)
    }

    /// One that runs.
    pub fn server(&mut self, place: usize) -> &mut TestServer {
        self.servers[place].as_mut().unwrap_or_else(|| panic!("{} runs", name_of(place)))
    }

    /// The process of one, if there is one; it may not serve yet.
    pub fn running(&self, place: usize) -> Option<&TestServer> {
        self.servers[place].as_ref()
    }

    /// Whether it runs.
    pub fn runs(&self, place: usize) -> bool {
        self.running(place).is_some()
    }

    /// The same, to be changed.
    pub fn process(&mut self, place: usize) -> &mut Option<TestServer> {
        &mut self.servers[place]
    }

    /// Takes one that runs out of the cluster's hands.
    pub fn take(&mut self, place: usize) -> TestServer {
        self.servers[place].take().unwrap_or_else(|| panic!("{} runs", name_of(place)))
    }

    /// Kills one as a power failure would.
    pub fn kill9(&mut self, place: usize) {
        self.take(place).kill9();
    }

    /// Starts one that was killed, and waits until it serves.
    pub fn restart(&mut self, place: usize) {
        let starting = self.spawn(place);
        self.put(place, starting);
    }

    /// `chatctl members` with these arguments, which asks these servers.
    pub fn members_command(&self, ask: &[usize], arguments: &[&str]) -> Command {
        let peers: Vec<&str> = ask.iter().map(|&place| self.peers[place].as_str()).collect();
        let mut command = chatctl(&["members", "--servers", &peers.join(",")]);
        command.arg("--cluster-secret-file").arg(self.secret()).args(arguments);
        command
    }

    /// Runs it.
    pub fn members(&self, ask: &[usize], arguments: &[&str]) -> Output {
        self.members_command(ask, arguments).run()
    }

    /// The same; it does what it is asked.
    pub fn members_ok(&self, ask: &[usize], arguments: &[&str]) -> String {
        let output = self.members(ask, arguments);
        let all = said(&output);
        assert!(output.status.success(), "{arguments:?}: {all}\n{}", self.traces());
        text(&output.stdout)
    }

    /// Starts one that is empty, lets it in, and waits until it has a vote.
    pub fn let_in(&mut self, ask: &[usize], place: usize) {
        let starting = self.spawn(place);
        starting.wait_for_trace("is in a cluster, and");
        let name = name_of(place);
        let added = format!("{name}={}", self.peers[place]);
        self.members_ok(ask, &["add", &added]);
        self.put(place, starting);
        self.wait_until_it_votes(ask, &name);
    }

    /// Waits until a server has a vote.
    pub fn wait_until_it_votes(&self, ask: &[usize], name: &str) {
        self.wait("it gets no vote", || {
            let list = text(&self.members(ask, &["list"]).stdout);
            let line = list.lines().find(|line| line.split_whitespace().next() == Some(name));
            line.is_some_and(|line| line.split_whitespace().nth(2) == Some("voter"))
        });
    }

    /// One value of what one answers to `server_status`; empty when it does not answer.
    pub fn status_of(&self, place: usize, key: &str) -> String {
        let asked = self.runs(place).then(|| status(&self.addresses[place], PATIENCE).ok());
        let status = asked.flatten().unwrap_or_default();
        let found = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        found.unwrap_or_default().to_owned()
    }

    /// Waits until a server is PRIMARY and has said so, and gives its place.
    pub fn primary(&self) -> usize {
        let mut found = None;
        self.wait("no server is PRIMARY", || {
            let is_primary =
                |&place: &usize| self.status_of(place, "primary") == self.addresses[place];
            found = (0..self.len()).find(is_primary);
            found.is_some()
        });
        found.expect("it was waited for")
    }

    /// Waits until every server that runs sends clients to the PRIMARY.
    pub fn wait_until_all_know_the_primary(&self) {
        self.wait("not all know the PRIMARY", || {
            let told: HashSet<String> = (0..self.len())
                .filter(|&place| self.runs(place))
                .map(|place| self.status_of(place, "primary"))
                .collect();
            told.len() == 1 && !told.contains("")
        });
    }

    /// Waits until `holds`; `lacks` says what is wrong when it does not come to that.
    pub fn wait(&self, lacks: &str, mut holds: impl FnMut() -> bool) {
        let by = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < by, "{lacks}:\n{}", self.traces());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What all that run have said, for a failure's message.
    pub fn traces(&self) -> String {
        let servers = self.servers.iter().flatten();
        servers.map(|server| format!("{}\n", server.stderr())).collect()
    }

    /// Stops all that run and gives the entries of each one's log, as `dump-log` shows them, without
    /// those behind the last that all have.
    pub fn stop_and_compare_logs(&mut self) {
        for server in self.servers.iter_mut().flatten() {
            server.signal(chatctl::sys::signal::TERM);
        }
        for server in self.servers.iter_mut().flatten() {
            assert!(server.ended().status.success());
        }
        let of = |place| self.path(&name_of(place));
        let all = (0..self.len()).filter(|&place| of(place).join("wal").exists());
        let logs: Vec<Vec<String>> = all.map(|place| entries(&of(place))).collect();
        let shortest = logs.iter().map(Vec::len).min().unwrap_or(0);
        assert!(shortest > 0, "a log is empty");
        for (place, log) in logs.iter().enumerate() {
            for (one, other) in log[..shortest].iter().zip(&logs[0][..shortest]) {
                assert_eq!(one, other, "the logs of a and {} differ", name_of(place));
            }
        }
        self.servers.iter_mut().for_each(|server| *server = None);
    }
}

/// What a server answers to `server_status`, a key and its value a line; an error when it does not
/// within `patience`.
pub fn status(address: &str, patience: Duration) -> io::Result<String> {
    let mut client = RawClient::connect_within(address, Form::Frames, Codec::Binary, patience)?;
    client.try_write_raw(&client.encoded(&ask("server_status")))?;
    loop {
        let message = client.try_read()?;
        if !is_push(&message) {
            return Ok(message.body.into_owned());
        }
    }
}

/// The list that is given to every server.
pub fn list_of(peers: &[String]) -> String {
    let listed = |(place, address): (usize, &String)| format!("{}={address}", name_of(place));
    peers.iter().enumerate().map(listed).collect::<Vec<_>>().join(",")
}

/// Makes a secret as an operator does.
pub fn make_secret(path: &Path) {
    let output = chatctl(&["serve", "--new-secret"]).arg(path).run();
    assert!(output.status.success(), "{}", said(&output));
}

/// The entries that count of a data directory's log: what was cut does not.
fn entries(data_dir: &Path) -> Vec<String> {
    let output = chatctl(&["dump-log", "--json"]).arg(data_dir).run();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut entries: Vec<String> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if let Some((_, from)) = line.split_once("\"from_index\": ") {
            let from: usize = from.trim_end_matches('}').parse().unwrap();
            entries.truncate(from - 1);
        } else if let Some((_, entry)) = line.split_once("\"term\": ") {
            // A restart copies what is left of the last batch: the same index again.
            let (_, rest) = entry.split_once("\"index\": ").unwrap();
            let index: usize = rest.split([',', '}']).next().unwrap().parse().unwrap();
            entries.truncate(index - 1);
            assert_eq!(entries.len(), index - 1, "entries follow each other");
            entries.push(entry.to_owned());
        }
    }
    entries
}

/// Changes a bit of a text in a server's log.
pub fn damage_text(data_dir: &Path, text: &str) {
    let entries = std::fs::read_dir(data_dir.join("wal")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let found = files.into_iter().find_map(|file| {
        let bytes = std::fs::read(&file).unwrap();
        let at = bytes.windows(text.len()).position(|part| part == text.as_bytes())?;
        Some((file, bytes, at))
    });
    let (file, mut bytes, at) = found.expect("it is there");
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}
