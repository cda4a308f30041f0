//! A network of one's own, with names that are slow, unknown, or change: a DNS server that answers as
//! it is told. Nothing outside is touched: the network, and the files that name the DNS server, are
//! those of a thread and of what it starts, and go with them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chatctl::sys::process;

use super::bounded::{WHOLE, on_thread};
use super::{TempDir, run_tool, sys};

/// How a name is answered.
#[derive(Clone, Debug)]
pub enum Rule {
    /// With these addresses, after a while.
    Is(Vec<IpAddr>, Duration),
    /// That there is no such name.
    Unknown,
    /// Not at all: whoever asks waits for minutes.
    Silent,
}

/// The names; those without a rule are unknown.
#[derive(Clone, Default)]
pub struct Dns(Arc<Mutex<HashMap<String, Rule>>>);

impl Dns {
    /// From now on a name is answered like this.
    pub fn set(&self, name: &str, rule: Rule) {
        self.0.lock().unwrap().insert(name.to_owned(), rule);
    }

    /// From now on it has these addresses, at once.
    pub fn is(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.set(name, Rule::Is(addresses, Duration::ZERO));
    }

    fn answer(&self, socket: &UdpSocket, query: Vec<u8>, from: SocketAddr) {
        let Some((name, kind, end)) = question(&query) else { return };
        let rule = self.0.lock().unwrap().get(&name).cloned().unwrap_or(Rule::Unknown);
        let (code, addresses) = match rule {
            Rule::Silent => return,
            Rule::Unknown => (3, Vec::new()),
            Rule::Is(addresses, after) => {
                std::thread::sleep(after);
                (0, addresses)
            }
        };
        let wanted = |address: &&IpAddr| kind == if address.is_ipv4() { A } else { AAAA };
        let addresses: Vec<&IpAddr> = addresses.iter().filter(wanted).collect();
        let mut reply = query[..end].to_vec();
        reply[2] = 0x81;
        reply[3] = 0x80 | code;
        reply[6..12].fill(0);
        reply[7] = addresses.len() as u8;
        for address in addresses {
            // The name of the question, its kind, class IN, good for no time.
            reply.extend_from_slice(&[0xC0, 12, 0, kind as u8, 0, 1, 0, 0, 0, 0]);
            match address {
                IpAddr::V4(v4) => {
                    reply.extend_from_slice(&[0, 4]);
                    reply.extend_from_slice(&v4.octets());
                }
                IpAddr::V6(v6) => {
                    reply.extend_from_slice(&[0, 16]);
                    reply.extend_from_slice(&v6.octets());
                }
            }
        }
        let _ = socket.send_to(&reply, from);
    }
}

const A: u16 = 1;
const AAAA: u16 = 28;

/// The name and the kind of a query, and where its question ends.
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes(query.get(at..at + 2)?.try_into().ok()?);
    Some((labels.join("."), kind, at + 4))
}

/// Does `test` in a network that has loopback and the names that it is told of, and nothing else;
/// where that cannot be made, says why and does nothing.
pub fn with_names(test: impl FnOnce(Dns) + Send) {
    if !process::is_root() {
        return println!("skipped: a network with names needs root");
    }
    let home = TempDir::new("names-etc");
    let result = on_thread(WHOLE, "the test in a network with names ends", || {
        let dns = make(&home)?;
        test(dns);
        Ok::<(), String>(())
    });
    if let Err(why) = result {
        println!("skipped: {why}");
    }
}

fn make(home: &TempDir) -> Result<Dns, String> {
    sys::own_network().map_err(|error| format!("no network can be made: {error}"))?;
    sys::own_mounts().map_err(|error| format!("nothing can be mounted: {error}"))?;
    run_tool("ip", &["link", "set", "lo", "up"], "")?;
    for (file, text) in [
        ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ] {
        let own = home.path().join(file);
        std::fs::write(&own, text).map_err(|error| error.to_string())?;
        let own = own.to_str().expect("it is text");
        run_tool("mount", &["--bind", own, &format!("/etc/{file}")], "")?;
    }
    let dns = Dns::default();
    let socket = UdpSocket::bind("127.0.0.1:53").map_err(|error| format!("port 53: {error}"))?;
    let socket = Arc::new(socket);
    let serving = dns.clone();
    // It serves until the process ends; nobody can ask it once the network is gone.
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            let (dns, socket, query) = (serving.clone(), socket.clone(), buffer[..count].to_vec());
            std::thread::spawn(move || dns.answer(&socket, query, from));
        }
    });
    Ok(dns)
}

#[test]
fn a_name_is_what_it_was_set_to() {
    use std::net::ToSocketAddrs;
    with_names(|dns| {
        let look_up = |name: &str| {
            let found = (name, 1).to_socket_addrs();
            found.map(|all| all.map(|address| address.ip().to_string()).collect::<Vec<_>>()).ok()
        };
        assert_eq!(look_up("a.test"), None);
        dns.is("a.test", &["127.0.0.5"]);
        assert_eq!(look_up("a.test"), Some(vec!["127.0.0.5".to_owned()]));
        dns.is("a.test", &["127.0.0.6", "::1"]);
        assert_eq!(look_up("a.test").map(|all| all.len()), Some(2));
        dns.set("a.test", Rule::Unknown);
        assert_eq!(look_up("a.test"), None);
    });
}
