//! The peers' port of a process: the real mesh, its connections in place of sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chatctl::auth::hmac;
use chatctl::limits;
use chatctl::net::Key;
use chatctl::raft::ServerId;
use chatctl::server::peers::handshake::{Identity, Kind};
use chatctl::server::peers::mesh::{Member, Mesh, Settings, empty_about};
use chatctl::server::peers::wire::Stage;
use chatctl::wal::boots::{Boot, Met};
use chatctl::wal::hard_state::HardState;

use super::process::Act;
use super::server::{Common, address_of};

/// A connection at a peers' port, numbered in the order in which they are made.
pub type WireId = u64;

/// What happens to a connection.
pub enum WireInput {
    /// It is the one that was dialled as this.
    Dialed(Key),
    /// Somebody has dialled this server.
    Accepted,
    Bytes(Vec<u8>),
    /// Nothing more comes.
    End(&'static str),
}

/// A name was looked up.
pub struct Found {
    pub name: String,
    pub addresses: Result<Vec<SocketAddr>, String>,
}

/// From whom a message is: a machine's name, and the directory that it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    pub place: usize,
    pub name: String,
    pub incarnation: u64,
    pub boot: Boot,
}

/// The mesh and its connections.
pub struct Peers {
    pub mesh: Mesh,
    wires: BTreeMap<WireId, (Key, Vec<u8>)>,
    keys: BTreeMap<Key, WireId>,
    /// The starts that are known to be saved as met.
    saved: Vec<Met>,
}

/// The secret that all servers and operators share.
pub fn secret() -> hmac::Key {
    hmac::Key::new(&[7; 32])
}

impl Peers {
    /// As a server opens its port: for these members.
    pub fn open(
        common: &Common,
        own: &HardState,
        members: Vec<Member>,
        list: [u8; 32],
        (seed, now_ms): ([u8; 32], u64),
    ) -> Peers {
        let (name, cluster, incarnation) = (own.id.clone(), own.cluster, own.incarnation);
        let mut about = empty_about(list, address_of(&name));
        about.cluster = cluster;
        if own.term > 0 {
            about.stage = Stage::Started;
        }
        let (boots, met) = (own.boots.clone(), own.met.clone());
        let settings = Settings {
            me: Identity { kind: Kind::Server, name, cluster, incarnation, boots },
            met,
            members,
            secret: secret(),
            about,
            silence_ms: limits::PEER_SILENCE_TIMEOUTS * common.election_timeout_ms,
            seed,
        };
        let mesh = Mesh::new(settings, now_ms);
        let saved = own.met.clone();
        Peers { mesh, wires: BTreeMap::new(), keys: BTreeMap::new(), saved }
    }

    /// Something happens to a connection.
    pub fn take(&mut self, now_ms: u64, wire: WireId, input: WireInput, acts: &mut Vec<Act>) {
        self.mesh.set_now(now_ms);
        match input {
            WireInput::Dialed(key) => {
                if self.mesh.output(key).is_none() {
                    return acts.push(Act::Hang(wire));
                }
                self.mesh.on_writable(key);
                self.wires.insert(wire, (key, Vec::new()));
                self.keys.insert(key, wire);
            }
            WireInput::Accepted => {
                let key = self.mesh.accept(format!("wire {wire}"));
                self.wires.insert(wire, (key, Vec::new()));
                self.keys.insert(key, wire);
            }
            WireInput::Bytes(bytes) => {
                let Some((key, input)) = self.wires.get_mut(&wire) else { return };
                input.extend_from_slice(&bytes);
                let used = self.mesh.receive(*key, input);
                input.drain(..used);
            }
            WireInput::End(why) => {
                if let Some((key, _)) = self.wires.get(&wire) {
                    self.mesh.on_broken(*key, why);
                }
            }
        }
    }

    /// A look-up has ended.
    pub fn found(&mut self, now_ms: u64, Found { name, addresses }: Found) {
        self.mesh.set_now(now_ms);
        self.mesh.on_found(&name, addresses);
    }

    /// What time brings: pings, dials, the end of what is silent.
    pub fn work(&mut self, now_ms: u64, acts: &mut Vec<Act>) {
        self.mesh.set_now(now_ms);
        self.mesh.tick();
        while let Some((key, address)) = self.mesh.next_dial() {
            acts.push(Act::Dial { key, address });
        }
        while let Some(name) = self.mesh.next_lookup() {
            acts.push(Act::LookUp(name));
        }
    }

    /// Writes what waits, and closes what is to be closed.
    pub fn write(&mut self, acts: &mut Vec<Act>) {
        for key in std::mem::take(&mut self.mesh.todo.write) {
            // What is written before the connection is there waits for it.
            let Some(output) = self.mesh.output(key) else { continue };
            let Some(&wire) = self.keys.get(&key) else { continue };
            let bytes = output.take();
            self.mesh.on_written(key);
            if !bytes.is_empty() {
                acts.push(Act::Wire { wire, bytes });
            }
        }
        for key in std::mem::take(&mut self.mesh.todo.close) {
            self.mesh.remove(key);
            if let Some(wire) = self.keys.remove(&key) {
                self.wires.remove(&wire);
                acts.push(Act::Hang(wire));
            }
        }
    }

    /// The file says durably which starts were met.
    pub fn met_saved(&mut self, met: &[Met]) {
        self.saved = met.to_vec();
        self.mesh.met_saved(met);
    }

    /// Under which number messages of a directory are taken now: of the one that is connected under its
    /// name or, while none is, of the one that is known; of the start that is known, and saved as met.
    pub fn number_of(&self, from: &Sender) -> Option<ServerId> {
        let member = self.mesh.members().iter().find(|member| member.name == from.name)?;
        let id = member.number;
        let heard = self.mesh.standing(id).map(|(_, incarnation)| incarnation);
        let is_it = heard.or(member.incarnation) == Some(from.incarnation);
        let met = Met { incarnation: from.incarnation, boot: from.boot };
        let counts = match self.mesh.is_up(id) {
            true => self.mesh.boot_of(id) == Some(from.boot) && !self.mesh.is_held(id),
            false => self.saved.contains(&met),
        };
        (is_it && counts && id != self.mesh.id()).then_some(id)
    }
}
