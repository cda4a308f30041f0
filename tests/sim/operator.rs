//! Operators who have the members changed, as `chatctl members` does it: over the peers' port of the
//! PRIMARY, under the secret. They try again, crash in the middle, and two of them ask the same.

use chatctl::auth::hmac;
use chatctl::node::peers::change::{Change, Verb};
use chatctl::node::peers::handshake::{Dialing, Identity, Session};
use chatctl::node::peers::session::{Block, LENGTH_BYTES};
use chatctl::node::peers::wire::{self, Frame};

use super::clock::Us;
use super::process::WireId;
use super::server::peer_address_of;
use super::wires::Holder;
use super::world::{Event, MS, World};

/// The secret that all servers and operators share.
pub fn secret() -> hmac::Key {
    hmac::Key::new(&[7; 32])
}

/// How long an operator waits for one answer.
const PATIENCE: Us = 11_000 * MS;

/// How it ended for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Done,
    Refused(String),
    /// It was not answered in time, or has crashed.
    Unknown,
}

/// An operator.
pub struct Operator {
    pub change: Change,
    pub end: Option<End>,
    /// When it gives up, and when it ended.
    pub until: Us,
    pub ended_at: Us,
    /// Goes on after a refusal that may pass.
    pub stubborn: bool,
    talk: Option<Talk>,
    /// How often it has asked.
    asked: u32,
}

/// What it has with one server.
struct Talk {
    wire: WireId,
    until: Us,
    dialing: Dialing,
    session: Option<Session>,
    input: Vec<u8>,
}

impl World {
    /// An operator comes, after a while.
    pub fn add_operator(&mut self, change: Change, after: Us, stubborn: bool) -> usize {
        self.note(format_args!("an operator wants {:?} {}", change.verb, change.name));
        let until = self.now_us + after + 25_000 * MS + self.rng.below(10_000) * MS;
        let (end, talk) = (None, None);
        let ended_at = Us::MAX;
        self.operators.push(Operator { change, end, until, ended_at, stubborn, talk, asked: 0 });
        let place = self.operators.len() - 1;
        self.at(after, Event::Operator(place));
        place
    }

    /// It asks, or does not wait for an answer any longer.
    pub fn operator_acts(&mut self, place: usize) {
        let (now_us, operator) = (self.now_us, &mut self.operators[place]);
        if operator.end.is_some() {
            return;
        }
        if operator.until <= now_us {
            return self.operator_ends(place, End::Unknown);
        }
        if operator.talk.as_ref().is_some_and(|talk| talk.until > now_us) {
            return;
        }
        self.hang_up(place);
        let has_port = |place: &usize| self.servers[*place].has_port();
        let places: Vec<usize> = (0..self.servers.len()).filter(has_port).collect();
        let primary = places.iter().copied().find(|place| self.servers[*place].is_primary());
        let some = self.rng.below(places.len().max(1) as u64) as usize;
        let to = primary.filter(|_| self.rng.chance(4, 5)).or(places.get(some).copied());
        let Some(to) = to else { return self.asks_again(place) };
        let mut nonce = [0; 32];
        nonce.copy_from_slice(&self.rng.bytes(32));
        let mut hello = Vec::new();
        let dialing = Dialing::new(&Identity::operator(), "", nonce, &mut hello);
        let holder = Holder::Operator(place);
        let wire = self.dial(holder, &peer_address_of(&self.servers[to].name.clone()));
        self.wire_sends(wire, holder, hello);
        let until = now_us + PATIENCE;
        let (session, input) = (None, Vec::new());
        self.operators[place].talk = Some(Talk { wire, until, dialing, session, input });
        self.at(PATIENCE, Event::Operator(place));
    }

    fn asks_again(&mut self, place: usize) {
        let after = (200 + self.rng.below(500)) * MS;
        self.at(after, Event::Operator(place));
    }

    fn hang_up(&mut self, place: usize) {
        if let Some(talk) = self.operators[place].talk.take() {
            self.wire_ends(talk.wire, Holder::Operator(place));
        }
    }

    /// Something has come from the server.
    pub fn operator_hears(&mut self, place: usize, wire: WireId, bytes: &[u8]) {
        let operator = &mut self.operators[place];
        let Some(talk) = operator.talk.as_mut().filter(|talk| talk.wire == wire) else { return };
        talk.input.extend_from_slice(bytes);
        while let Some(talk) = &mut self.operators[place].talk {
            let Some((length, rest)) = talk.input.split_first_chunk::<LENGTH_BYTES>() else {
                return;
            };
            let length = u32::from_be_bytes(*length) as usize;
            let Some(frame) = rest.get(..length).map(<[u8]>::to_vec) else { return };
            talk.input.drain(..LENGTH_BYTES + length);
            self.operator_takes(place, &frame);
        }
    }

    fn operator_takes(&mut self, place: usize, frame: &[u8]) {
        let operator = &mut self.operators[place];
        let Some(talk) = &mut operator.talk else { return };
        let Some(session) = &mut talk.session else {
            let mut out = Vec::new();
            let welcome = talk.dialing.on_welcome(&secret(), frame, &mut out);
            let (_, mut session) = welcome.expect("all have the secret");
            let change = Frame::Change(operator.change.clone());
            session.sealer.seal(&mut out, |out| wire::put_head(out, &change), &Block::default());
            talk.session = Some(session);
            operator.asked += 1;
            let wire = talk.wire;
            self.wire_sends(wire, Holder::Operator(place), out);
            if !self.operators[place].stubborn && self.rng.chance(1, 10) {
                self.operator_ends(place, End::Unknown);
            }
            return;
        };
        let (head, block) = session.opener.open(frame).expect("what comes is sealed");
        match wire::decode(head, block) {
            Ok(Frame::Status(text)) => self.operator_is_told(place, &text),
            Ok(Frame::Closing(_)) => {
                self.hang_up(place);
                self.asks_again(place);
            }
            _ => {}
        }
    }

    fn operator_is_told(&mut self, place: usize, text: &str) {
        self.hang_up(place);
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let (result, why) = (value("result ").unwrap_or(""), value("why ").unwrap_or(""));
        let Operator { change, asked, stubborn, .. } = &self.operators[place];
        // Where it had asked before, that may have been done without its being told.
        let is_so = match change.verb {
            Verb::Add => why.contains("is already a member"),
            Verb::Remove => why.contains("is not a member"),
            Verb::Replace => why.contains("there is nothing to replace"),
        };
        let (is_done, goes_on) = (*asked > 1 && is_so, *stubborn);
        self.note(format_args!("operator {place} is told: {result} {why}"));
        match result {
            "done" => self.operator_ends(place, End::Done),
            "refused" if is_done => self.operator_ends(place, End::Done),
            "refused" if !goes_on => self.operator_ends(place, End::Refused(why.to_owned())),
            // As those do who have looked at the list: it may be so, or not.
            _ => self.asks_again(place),
        }
    }

    /// The connection is gone.
    pub fn operator_is_cut_off(&mut self, place: usize, wire: WireId) {
        let talk = &mut self.operators[place].talk;
        if talk.take_if(|talk| talk.wire == wire).is_some() {
            self.asks_again(place);
        }
    }

    fn operator_ends(&mut self, place: usize, end: End) {
        self.hang_up(place);
        let Operator { change: Change { verb, name, .. }, .. } = &self.operators[place];
        let (verb, name) = (*verb, name.clone());
        self.note(format_args!("operator {place} is through with {verb:?} {name}: {end:?}"));
        let count = match (&end, verb) {
            (End::Done, Verb::Add) => &mut self.counts.added,
            (End::Done, Verb::Remove) => &mut self.counts.removed,
            (End::Done, Verb::Replace) => &mut self.counts.replaced,
            (End::Refused(_), _) => &mut self.counts.changes_refused,
            (End::Unknown, _) => &mut self.counts.changes_open,
        };
        *count += 1;
        let operator = &mut self.operators[place];
        operator.ended_at = self.now_us;
        operator.end = Some(end);
    }
}
