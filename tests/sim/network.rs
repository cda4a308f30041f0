//! The connections of clients, which are streams: in order, in pieces, and broken at any moment.

use std::collections::VecDeque;

use super::clock::Us;
use super::process::{Input, Line, LinkId};
use super::server::place_of;
use super::world::{Event, MS, World};

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    Server,
    Client,
}

/// What travels on a connection.
enum Piece {
    /// The client wants it.
    Open,
    /// The server has taken it.
    Opened,
    Bytes(Vec<u8>),
    /// Nothing more comes.
    End(&'static str),
}

/// A connection between a client and a server's process.
pub struct Link {
    pub client: usize,
    pub server: usize,
    /// Which of the server's processes; 0 while there is none.
    epoch: u64,
    up: VecDeque<Piece>,
    down: VecDeque<Piece>,
    up_at: Us,
    down_at: Us,
}

impl World {
    /// The connections of a process end with it, if the machine lives to say so.
    pub fn server_is_gone(&mut self, place: usize, epoch: u64, power: bool) {
        self.wires_are_gone(place, epoch, power);
        let mine = |link: &Link| link.server == place && link.epoch == epoch;
        let links = self.links.iter().filter(|(_, link)| mine(link));
        let links: Vec<LinkId> = links.map(|(number, _)| *number).collect();
        for number in links {
            if !power {
                self.put_down(number, Piece::End("the connection was reset"));
            }
            if let Some(link) = self.links.get_mut(&number) {
                link.epoch = 0;
            }
        }
    }

    // Clients.

    pub fn client_connects(&mut self, client: usize, address: &str) {
        self.client_closes(client);
        self.machines[client].link = Some(self.open_link(client, address));
    }

    /// A client asks another server how things are.
    pub fn client_looks(&mut self, client: usize, address: &str) {
        self.client_ends_look(client);
        self.machines[client].look = Some(self.open_link(client, address));
    }

    pub fn client_ends_look(&mut self, client: usize) {
        if let Some(number) = self.machines[client].look.take() {
            self.put_up(number, Piece::End(""));
        }
    }

    fn open_link(&mut self, client: usize, address: &str) -> LinkId {
        let Some(server) = place_of(address) else {
            panic!("a client wants to {address}, where no server ever was");
        };
        self.last_link += 1;
        let number = self.last_link;
        self.note(format_args!("client {client} connects to {address} (link {number})"));
        let (up, down) = (VecDeque::new(), VecDeque::new());
        let link = Link { client, server, epoch: 0, up, down, up_at: 0, down_at: 0 };
        self.links.insert(number, link);
        self.put_up(number, Piece::Open);
        number
    }

    pub fn client_closes(&mut self, client: usize) {
        if let Some(number) = self.machines[client].link.take() {
            self.put_up(number, Piece::End(""));
        }
    }

    pub fn client_sends(&mut self, client: usize, bytes: Vec<u8>) {
        if let Some(number) = self.machines[client].link {
            for piece in self.cut_up(bytes) {
                self.put_up(number, Piece::Bytes(piece));
            }
        }
    }

    pub fn server_sends(&mut self, number: LinkId, bytes: Vec<u8>) {
        for piece in self.cut_up(bytes) {
            self.put_down(number, Piece::Bytes(piece));
        }
    }

    pub fn server_closes(&mut self, number: LinkId) {
        self.put_down(number, Piece::End("the server closed the connection"));
    }

    /// The pieces in which bytes arrive.
    pub fn cut_up(&mut self, mut bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        while bytes.len() > 1 && self.rng.chance(1, 5) {
            let rest = bytes.split_off(1 + self.rng.below(bytes.len() as u64 - 1) as usize);
            pieces.push(std::mem::replace(&mut bytes, rest));
        }
        pieces.push(bytes);
        pieces
    }

    fn put_up(&mut self, number: LinkId, piece: Piece) {
        let after = 20 + self.rng.below(self.faults.delay_us);
        let now_us = self.now_us;
        let Some(link) = self.links.get_mut(&number) else { return };
        link.up.push_back(piece);
        link.up_at = (now_us + after).max(link.up_at + 1);
        let at = link.up_at - now_us;
        self.at(at, Event::Link { link: number, end: LinkEnd::Server });
    }

    fn put_down(&mut self, number: LinkId, piece: Piece) {
        let after = 20 + self.rng.below(self.faults.delay_us);
        let now_us = self.now_us;
        let Some(link) = self.links.get_mut(&number) else { return };
        link.down.push_back(piece);
        link.down_at = (now_us + after).max(link.down_at + 1);
        let at = link.down_at - now_us;
        self.at(at, Event::Link { link: number, end: LinkEnd::Client });
    }

    pub fn link_arrives(&mut self, number: LinkId, end: LinkEnd) {
        let Some(link) = self.links.get(&number) else { return };
        if self.client_cut.contains(&(link.client, link.server)) {
            // What is not acknowledged is sent again, until it gets through.
            let after = 50 * MS + self.rng.below(200 * MS);
            return self.at(after, Event::Link { link: number, end });
        }
        match end {
            LinkEnd::Server => self.arrives_at_server(number),
            LinkEnd::Client => self.arrives_at_client(number),
        }
    }

    fn arrives_at_server(&mut self, number: LinkId) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some(piece) = link.up.pop_front() else { return };
        let (place, epoch) = (link.server, link.epoch);
        // A machine that is not there yet is as one without a server.
        let Some(server) = self.servers.get(place) else {
            return self.put_down(number, Piece::End("connection refused"));
        };
        if let Piece::Open = piece {
            if !server.runs() {
                return self.put_down(number, Piece::End("connection refused"));
            }
            link.epoch = server.epoch;
            self.tell(place, 0, Input::Opened(Line::Link(number)));
            return self.put_down(number, Piece::Opened);
        }
        if !server.runs() || server.epoch != epoch {
            // A machine that knows nothing of the connection says so; one without power is silent.
            if server.runs() && !matches!(piece, Piece::End(_)) {
                self.put_down(number, Piece::End("the connection was reset"));
            }
            return;
        }
        let input = match piece {
            Piece::Bytes(bytes) => Input::Bytes(Line::Link(number), bytes),
            _ => Input::Closed(Line::Link(number), "the client closed the connection"),
        };
        self.tell(place, 0, input);
    }

    fn arrives_at_client(&mut self, number: LinkId) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some(piece) = link.down.pop_front() else { return };
        let (client, server, epoch) = (link.client, link.server, link.epoch);
        if self.machines[client].look == Some(number) {
            return self.arrives_at_look(client, number, piece);
        }
        if self.machines[client].link != Some(number) {
            return;
        }
        match piece {
            Piece::Opened => self.drive(client, |client, now_ms, _| client.connected(now_ms)),
            Piece::Bytes(bytes) => {
                let count = bytes.len();
                self.drive(client, |client, now_ms, checker| {
                    client.received(now_ms, &bytes, checker);
                });
                if epoch != 0 {
                    let input = Input::Read(number, count);
                    self.at(20, Event::Input { place: server, epoch, input });
                }
            }
            Piece::End(why) => {
                self.machines[client].link = None;
                self.drive(client, |client, now_ms, _| client.closed(now_ms, why));
            }
            Piece::Open => unreachable!("servers do not connect to clients"),
        }
    }

    fn arrives_at_look(&mut self, client: usize, number: LinkId, piece: Piece) {
        match piece {
            Piece::Opened => {
                let request = self.machines[client].client.look_request();
                self.put_up(number, Piece::Bytes(request));
            }
            Piece::Bytes(bytes) => {
                self.counts.looked += 1;
                self.drive(client, |client, now_ms, _| client.look_received(now_ms, &bytes));
            }
            Piece::End(_) => {
                self.machines[client].look = None;
                self.drive(client, |client, now_ms, _| client.look_closed(now_ms));
            }
            Piece::Open => unreachable!("servers do not connect to clients"),
        }
    }

    pub fn chance(&mut self, per_mille: u64) -> bool {
        per_mille > 0 && self.rng.chance(per_mille, 1_000)
    }
}
