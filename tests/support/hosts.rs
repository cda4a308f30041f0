//! Hosts of one machine: network namespaces with an address each, on a switch of their own, and
//! partitions between them by nftables.
//!
//! Nothing outside of the namespaces that are made here is touched: the switch is a bridge in a
//! namespace too, so that no address here can be in anybody's way.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use chatctl::sys::process;

use super::bounded::Run;
use super::{run_tool, sys};

/// How the namespaces made here begin; this process's id and a counter follow.
const PREFIX: &str = "chatctl-test-";

/// What each host does with packets: those from the addresses in a set do not arrive.
const RULES: &str = "
table inet partition {
    set cut { type ipv4_addr; }
    chain input { type filter hook input priority 0; policy accept; ip saddr @cut drop; }
}
";

/// Where servers on hosts are reached by each other; by relays, which are not to be sent to themselves.
pub const PEER_PORT: u16 = 7_263;
pub const RELAYED_PORT: u16 = 7_264;

/// Where a host's own relay takes what is for the peers' port of another.
pub fn relay_port(to: usize) -> u16 {
    20_000 + to as u16
}

/// Some hosts, and one more where the clients are. They are removed when dropped.
pub struct Hosts {
    prefix: String,
    servers: usize,
}

/// Does `test` where the clients are, beside `servers` hosts; where there can be none, says so and
/// does nothing.
pub fn on_hosts(servers: usize, test: impl FnOnce(Hosts) + Send) {
    match Hosts::make(servers) {
        Ok(hosts) => {
            let clients = hosts.file(servers);
            sys::in_namespace(&clients, || test(hosts));
        }
        Err(why) => println!("skipped: {why}"),
    }
}

/// Whether hosts can be made here, or why not.
pub fn possible() -> Result<(), String> {
    if !process::is_root() {
        return Err("network namespaces need root".to_owned());
    }
    run_tool("ip", &["-V"], "")?;
    run_tool("nft", &["--version"], "")
}

impl Hosts {
    /// Makes them, or says why that cannot be.
    pub fn make(servers: usize) -> Result<Hosts, String> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        possible()?;
        remove_stale();
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let hosts = Hosts { prefix: format!("{PREFIX}{}-{count}-", std::process::id()), servers };
        let switch = hosts.name("switch");
        run_tool("ip", &["netns", "add", &switch], "")?;
        run_tool(
            "ip",
            &["-n", &switch, "-batch", "-"],
            "link add bridge type bridge\nlink set bridge up",
        )?;
        for place in 0..=servers {
            hosts.add(&switch, place)?;
        }
        Ok(hosts)
    }

    fn add(&self, switch: &str, place: usize) -> Result<(), String> {
        let (name, address) = (self.name(&place.to_string()), address(place));
        run_tool("ip", &["netns", "add", &name], "")?;
        let plug = format!(
            "link add port{place} type veth peer name eth0 netns {name}\n\
             link set port{place} master bridge up"
        );
        run_tool("ip", &["-n", switch, "-batch", "-"], &plug)?;
        let up = format!("addr add {address}/24 dev eth0\nlink set eth0 up\nlink set lo up");
        run_tool("ip", &["-n", &name, "-batch", "-"], &up)?;
        self.nft(place, RULES)
    }

    fn name(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    fn nft(&self, place: usize, script: &str) -> Result<(), String> {
        sys::in_namespace(&self.file(place), || run_tool("nft", &["-f", "-"], script))
    }

    /// The file that stands for a host's namespace; the clients' comes after the servers'.
    pub fn file(&self, place: usize) -> PathBuf {
        Path::new("/run/netns").join(self.name(&place.to_string()))
    }

    /// How many hosts there are, without the clients'.
    pub fn servers(&self) -> usize {
        self.servers
    }

    /// From now on what a host sends to the peers' port of another goes to its own relay instead.
    pub fn relay(&self, place: usize) -> Result<(), String> {
        let others = (0..self.servers).filter(|to| *to != place);
        let sent: String = others
            .map(|to| {
                let (address, port) = (address(to), relay_port(to));
                format!("ip daddr {address} tcp dport {PEER_PORT} redirect to :{port}\n")
            })
            .collect();
        let script = format!(
            "table ip relay {{
                chain output {{ type nat hook output priority -100; policy accept; {sent} }}
                chain input {{ type nat hook prerouting priority -100; policy accept;
                    tcp dport {RELAYED_PORT} redirect to :{PEER_PORT}
                }}
            }}"
        );
        self.nft(place, &script)
    }

    /// Nothing that the hosts `from` send arrives at the hosts `to`.
    pub fn cut(&self, from: &[usize], to: &[usize]) {
        for &receiver in to {
            let from: Vec<String> =
                from.iter().filter(|from| **from != receiver).map(|from| address(*from)).collect();
            if !from.is_empty() {
                let script = format!("add element inet partition cut {{ {} }}", from.join(", "));
                self.nft(receiver, &script).expect("a partition can be made");
            }
        }
    }

    /// Nothing arrives from the ones at the others, in neither direction.
    pub fn part(&self, ones: &[usize], others: &[usize]) {
        self.cut(ones, others);
        self.cut(others, ones);
    }

    /// Everything arrives.
    pub fn heal(&self) {
        for place in 0..=self.servers {
            self.nft(place, "flush set inet partition cut").expect("a partition can be healed");
        }
    }
}

/// The address of a host.
pub fn address(place: usize) -> String {
    format!("10.77.0.{}", place + 1)
}

impl Drop for Hosts {
    fn drop(&mut self) {
        let places = (0..=self.servers).map(|place| place.to_string());
        for place in places.chain(["switch".to_owned()]) {
            let _ = run_tool("ip", &["netns", "del", &self.name(&place)], "");
        }
    }
}

/// Removes what tests left that were killed, with the servers that run there.
fn remove_stale() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        let Some(maker) = maker.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if Path::new(&format!("/proc/{maker}")).exists() {
            continue;
        }
        let pids = Command::new("ip").args(["netns", "pids", &name]).try_run();
        let pids = pids.map_or(Vec::new(), |output| output.stdout);
        for pid in String::from_utf8_lossy(&pids).lines().filter_map(|pid| pid.parse().ok()) {
            let _ = sys::kill(pid, sys::KILL);
        }
        // Another test may remove the same.
        let _ = run_tool("ip", &["netns", "del", &name], "");
    }
}

#[test]
fn hosts_reach_each_other_until_they_are_cut_off_and_again_when_healed() {
    use super::bounded::{Accept, Bounded, dial, eventually};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::time::Duration;
    on_hosts(2, |hosts| {
        let where_to = |place: usize| -> SocketAddr {
            format!("{}:7000", address(place)).parse().expect("an address")
        };
        let listen = |place: usize| {
            sys::in_namespace(&hosts.file(place), || TcpListener::bind(where_to(place)))
                .expect("the port is free: the host is new")
        };
        let listeners = [listen(0), listen(1)];
        let reach = |place| dial(&where_to(place).to_string(), Duration::from_millis(200));
        let from = |place: usize, to| sys::in_namespace(&hosts.file(place), || reach(to));
        let soon = Duration::from_secs(10);
        eventually("the clients reach a host", soon, || reach(0).ok());
        eventually("a host reaches a host", soon, || from(0, 1).ok());
        hosts.part(&[0], &[1]);
        assert!(from(0, 1).is_err() && from(1, 0).is_err());
        assert!(reach(0).is_ok() && reach(1).is_ok(), "the clients still reach both");
        hosts.heal();
        eventually("a host reaches a host again", soon, || from(0, 1).ok());
        // One way: what host 0 sends does not arrive; what host 1 sends does.
        let mut kept = eventually("a connection", soon, || from(1, 0).ok());
        let accepted = loop {
            let (stream, from) = listeners[0].next_connection();
            if from == kept.local_addr().expect("it is connected") {
                break stream;
            }
        };
        hosts.cut(&[0], &[1]);
        Bounded::new(&kept, "a byte").write_all(b"x").expect("it is connected");
        let mut accepted = Bounded::new(accepted, "a byte");
        accepted.read_exact(&mut [0]).expect("it arrives");
        accepted.write_all(b"y").expect("it is connected");
        kept.set_read_timeout(Some(Duration::from_millis(200))).expect("a time");
        assert!(kept.read(&mut [0]).is_err(), "nothing arrives");
        hosts.heal();
        Bounded::new(kept, "what was sent again").read_exact(&mut [0]).expect("it arrives");
    });
}
