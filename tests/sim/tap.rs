//! What servers say to each other, read off the connections: their frames are sealed, not hidden.

use chatctl::node::peers::session::LENGTH_BYTES;
use chatctl::node::peers::wire::{self, Frame};
use chatctl::raft::{Message, Outgoing};

use super::process::WireId;
use super::wires::Holder;
use super::world::World;
use crate::raft::shown::Shown;

/// Bytes before a frame's head: the sequence number and the head's length; and behind its block.
const HEAD_AT: usize = 8 + 2;
const CODE_BYTES: usize = 16;

/// One direction of a connection.
pub struct Tap {
    /// What does not make a whole frame yet.
    bytes: Vec<u8>,
    /// Frames of the handshake that are still to come.
    handshake: u32,
}

impl Tap {
    /// A hello, and a confirmation.
    pub fn of_dialer() -> Tap {
        Tap { bytes: Vec::new(), handshake: 2 }
    }

    /// A welcome.
    pub fn of_acceptor() -> Tap {
        Tap { bytes: Vec::new(), handshake: 1 }
    }

    /// What is said for the core in these bytes.
    fn take(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.bytes.extend_from_slice(bytes);
        let (mut used, mut messages) = (0, Vec::new());
        while let Some((length, rest)) = self.bytes[used..].split_first_chunk::<LENGTH_BYTES>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(frame) = rest.get(..length) else { break };
            used += LENGTH_BYTES + length;
            if self.handshake > 0 {
                self.handshake -= 1;
                continue;
            }
            let head_bytes = usize::from(u16::from_be_bytes([frame[8], frame[9]]));
            let (head, block) = frame[HEAD_AT..length - CODE_BYTES].split_at(head_bytes);
            if let Ok(Frame::Raft(message)) = wire::decode(head, block) {
                messages.push(message);
            }
        }
        self.bytes.drain(..used);
        messages
    }
}

impl World {
    /// A server is about to say something: its disk must bear it out.
    pub fn hold_against_disk(&mut self, number: WireId, end: usize, bytes: &[u8]) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let (Holder::Server(place, _), other) = (wire.ends[end], wire.ends[1 - end].place()) else {
            return;
        };
        let messages = wire.taps[end].take(bytes);
        let Some(other) = other.filter(|_| !messages.is_empty()) else { return };
        let Some(name) = self.servers.get(other).map(|server| server.name.clone()) else { return };
        let server = &self.servers[place];
        let members = server.mesh().map_or(&[][..], |mesh| mesh.members());
        let to = members.iter().find(|member| member.name == name).map(|member| member.number);
        let Some(to) = to else { return };
        let id = server.id;
        for message in messages {
            let told = format!("{id} to {to}: {}", Shown(&message));
            let outgoing = Outgoing { to, message };
            self.checker.on_sent(self.now_us, id, &outgoing, &self.servers[place].kept);
            self.note(format_args!("{told}"));
        }
    }
}
