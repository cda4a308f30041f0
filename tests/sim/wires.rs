//! Connections at the servers' peers' ports: streams between two servers, or a server and an operator,
//! in order, in time, in pieces, and broken at any moment. What is said on them is read off them too,
//! and held against the disk of who says it.

use std::collections::VecDeque;

use super::clock::Us;
use super::process::{Input, Line, WireId};
use super::server::place_of_peer;
use super::tap::Tap;
use super::world::{Event, MS, World};

/// Who has an end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process: of which machine, and which of its processes.
    Server(usize, u64),
    Operator(usize),
    /// Nobody any more, or not yet.
    Nobody(Option<usize>),
}

/// What travels on it.
pub enum Piece {
    Open,
    Bytes(Vec<u8>),
    End(&'static str),
}

/// A connection. What is on its way to an end, and when the last of that arrives.
pub struct Wire {
    pub ends: [Holder; 2],
    pieces: [VecDeque<Piece>; 2],
    at: [Us; 2],
    /// What each end has said.
    pub taps: [Tap; 2],
}

impl Holder {
    pub fn place(self) -> Option<usize> {
        match self {
            Holder::Server(place, _) | Holder::Nobody(Some(place)) => Some(place),
            Holder::Operator(_) | Holder::Nobody(None) => None,
        }
    }
}

impl World {
    /// Somebody connects to a peers' address.
    pub fn dial(&mut self, from: Holder, address: &str) -> WireId {
        let Some(to) = place_of_peer(address) else {
            panic!("{from:?} dials {address}, where no server ever was");
        };
        self.dial_at(from, Some(to))
    }

    /// Somebody connects to a machine, or where nobody ever answers.
    pub fn dial_at(&mut self, from: Holder, to: Option<usize>) -> WireId {
        self.last_wire += 1;
        let number = self.last_wire;
        if to.is_some() {
            let ends = [from, Holder::Nobody(to)];
            let pieces = [VecDeque::new(), VecDeque::new()];
            let taps = [Tap::of_dialer(), Tap::of_acceptor()];
            let wire = Wire { ends, pieces, at: [0; 2], taps };
            self.wires.insert(number, wire);
            self.put_piece(number, 1, Piece::Open);
        }
        // Without a wire nothing arrives, and nobody says so.
        number
    }

    /// Something is on its way to an end.
    pub fn put_piece(&mut self, number: WireId, end: usize, piece: Piece) {
        let after = 20 + self.rng.below(self.faults.delay_us);
        let now_us = self.now_us;
        let Some(wire) = self.wires.get_mut(&number) else { return };
        wire.pieces[end].push_back(piece);
        wire.at[end] = (now_us + after).max(wire.at[end] + 1);
        let at = wire.at[end] - now_us;
        self.at(at, Event::Wire { wire: number, end });
    }

    /// The holder of an end writes.
    pub fn wire_sends(&mut self, number: WireId, holder: Holder, bytes: Vec<u8>) {
        let Some(end) = self.end_of(number, holder) else { return };
        self.hold_against_disk(number, end, &bytes);
        for piece in self.cut_up(bytes) {
            self.put_piece(number, 1 - end, Piece::Bytes(piece));
        }
    }

    /// The holder of an end closes it.
    pub fn wire_ends(&mut self, number: WireId, holder: Holder) {
        if let Some(end) = self.end_of(number, holder) {
            self.let_go(number, end);
            self.put_piece(number, 1 - end, Piece::End("the other side has closed it"));
        }
    }

    fn end_of(&self, number: WireId, holder: Holder) -> Option<usize> {
        self.wires.get(&number)?.ends.iter().position(|end| *end == holder)
    }

    /// Nobody has this end any more. A connection without ends is none.
    fn let_go(&mut self, number: WireId, end: usize) {
        let Some(wire) = self.wires.get_mut(&number) else { return };
        wire.ends[end] = Holder::Nobody(wire.ends[end].place());
        let is_over = |holder: &Holder| matches!(holder, Holder::Nobody(_));
        let opens = matches!(wire.pieces[1].front(), Some(Piece::Open));
        if wire.ends.iter().all(is_over) && !opens {
            self.wires.remove(&number);
        }
    }

    pub fn wire_arrives(&mut self, number: WireId, end: usize) {
        let Some(wire) = self.wires.get(&number) else { return };
        let places = (wire.ends[1 - end].place(), wire.ends[end].place());
        if let (Some(from), Some(to)) = places
            && self.cut.contains(&(from, to))
        {
            // What is not acknowledged is sent again, until it gets through.
            let after = 50 * MS + self.rng.below(200 * MS);
            return self.at(after, Event::Wire { wire: number, end });
        }
        let Some(wire) = self.wires.get_mut(&number) else { return };
        let Some(piece) = wire.pieces[end].pop_front() else { return };
        let holder = wire.ends[end];
        match (piece, holder) {
            (Piece::Open, Holder::Nobody(Some(place))) => self.is_dialled(number, place),
            (Piece::Bytes(bytes), Holder::Server(place, epoch)) => {
                let input = Input::Bytes(Line::Wire(number), bytes);
                self.at(0, Event::Input { place, epoch, input });
            }
            (Piece::End(why), Holder::Server(place, epoch)) => {
                self.let_go(number, end);
                let input = Input::Closed(Line::Wire(number), why);
                self.at(0, Event::Input { place, epoch, input });
            }
            (Piece::Bytes(bytes), Holder::Operator(place)) => {
                self.operator_hears(place, number, &bytes);
            }
            (Piece::End(_), Holder::Operator(place)) => {
                self.let_go(number, end);
                self.operator_is_cut_off(place, number);
            }
            (Piece::Bytes(_), Holder::Nobody(place)) => {
                // A machine that knows nothing of the connection says so; one without power is silent.
                if place.is_none_or(|place| self.servers.get(place).is_some_and(|s| s.runs())) {
                    self.put_piece(number, 1 - end, Piece::End("the connection was reset"));
                }
            }
            (Piece::Open | Piece::End(_), _) => {}
        }
    }

    fn is_dialled(&mut self, number: WireId, place: usize) {
        let listens = self.servers.get(place).is_some_and(|server| server.has_port());
        if !listens {
            return self.put_piece(number, 0, Piece::End("connection refused"));
        }
        let epoch = self.servers[place].epoch;
        if let Some(wire) = self.wires.get_mut(&number) {
            wire.ends[1] = Holder::Server(place, epoch);
        }
        let input = Input::Opened(Line::Wire(number));
        self.tell(place, 0, input);
    }

    /// The connections of a process end with it, if the machine lives to say so.
    pub fn wires_are_gone(&mut self, place: usize, epoch: u64, power: bool) {
        let holder = Holder::Server(place, epoch);
        let mine = |wire: &super::wires::Wire| wire.ends.iter().position(|end| *end == holder);
        let mine: Vec<(WireId, usize)> =
            self.wires.iter().filter_map(|(number, wire)| Some((*number, mine(wire)?))).collect();
        for (number, end) in mine {
            self.let_go(number, end);
            if !power && self.rng.chance(9, 10) {
                self.put_piece(number, 1 - end, Piece::End("the connection was reset"));
            }
        }
    }

    /// The connection between two servers breaks: both are told soon, or one is, if only one is to be.
    pub fn break_wires(&mut self, one: usize, other: usize, both: bool) {
        let between = |wire: &Wire| {
            let places = (wire.ends[0].place(), wire.ends[1].place());
            places == (Some(one), Some(other)) || places == (Some(other), Some(one))
        };
        let numbers: Vec<WireId> =
            self.wires.iter().filter(|(_, wire)| between(wire)).map(|(n, _)| *n).collect();
        for number in numbers {
            for end in 0..2 {
                let Some(holder) = self.wires.get(&number).map(|wire| wire.ends[end]) else {
                    continue;
                };
                let Holder::Server(place, epoch) = holder else { continue };
                if place == one && !both {
                    continue;
                }
                self.let_go(number, end);
                let after = self.rng.below(3 * MS);
                let input = Input::Closed(Line::Wire(number), "it broke");
                self.at(after, Event::Input { place, epoch, input });
            }
        }
    }
}
