//! What the state must do, said as plainly as PROTOCOL says it: lists that are searched from end to
//! end, names as text. No code is shared with the state.

use chatctl::chat::{Command, Direction};
use std::collections::{BTreeMap, BTreeSet};

/// A message, and who still has it.
#[derive(Clone, Debug)]
pub struct Letter {
    pub seq: u64,
    pub time: u64,
    pub from: String,
    pub to: String,
    pub id: u128,
    pub body: String,
    pub sender_has: bool,
    pub receiver_has: bool,
    pub taken: bool,
}

/// What a command did; names instead of numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Nothing,
    Founded,
    AlreadyFounded,
    Created(String),
    NameTaken { live: bool },
    Stored { from: String, to: String, id: u128, time: u64, seq: u64 },
    Duplicate { time: u64, seq: u64 },
    IdConflict,
    IdExpired,
    NoSuchUser,
    Taken(Vec<u64>),
    ReadMoved { marker: u64, moved: bool },
    Deleted { count: usize, gone: BTreeMap<String, Vec<u128>> },
    PasswordChanged(String),
    AccountDeleted(String),
    AccountGone,
}

/// Something that `sync` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Message(u64),
    TakenBack(u64, Vec<u128>),
    ReadMoved(u64, String, u64),
}

impl Event {
    pub fn seq(&self) -> u64 {
        match *self {
            Event::Message(seq) | Event::TakenBack(seq, _) | Event::ReadMoved(seq, _, _) => seq,
        }
    }
}

/// A line of the inbox: with whom, unread, newest seq, newest time.
pub type Line = (String, u32, u64, u64);

/// Everything.
#[derive(Clone, Default)]
pub struct Model {
    pub window: usize,
    pub founded: bool,
    /// Live accounts and their verifiers.
    pub live: BTreeMap<String, String>,
    pub dead: BTreeSet<String>,
    pub letters: Vec<Letter>,
    /// By (whose, for messages from whom): where it stands, and which entry put it there.
    pub markers: BTreeMap<(String, String), (u64, u64)>,
    /// By whose view: which entry, which ids.
    pub gone: Vec<(String, u64, Vec<u128>)>,
    pub last_time: u64,
}

impl Model {
    pub fn apply(&mut self, index: u64, command: &Command) -> Outcome {
        self.last_time = command.time();
        match command {
            Command::Members { .. } => Outcome::Nothing,
            Command::Found { .. } if self.founded => Outcome::AlreadyFounded,
            Command::Found { .. } => {
                self.founded = true;
                Outcome::Founded
            }
            Command::Create { name, verifier, .. } => {
                let live = self.live.contains_key(*name);
                if live || self.dead.contains(*name) {
                    return Outcome::NameTaken { live };
                }
                self.live.insert(name.to_string(), verifier.to_string());
                Outcome::Created(name.to_string())
            }
            Command::Send { from: name, .. }
            | Command::Take { name, .. }
            | Command::Read { name, .. }
            | Command::DeleteMsgs { name, .. }
            | Command::Passwd { name, .. }
            | Command::Delete { name, .. }
                if !self.live.contains_key(*name) =>
            {
                Outcome::AccountGone
            }
            Command::Send { .. } => self.send(index, command),
            Command::Take { name, seqs, .. } => {
                let mut taken = Vec::new();
                for letter in &mut self.letters {
                    let waits = letter.to == *name && letter.receiver_has && !letter.taken;
                    if waits && seqs.contains(&letter.seq) {
                        letter.taken = true;
                        taken.push(letter.seq);
                    }
                }
                Outcome::Taken(taken)
            }
            Command::Read { name, from, upto, .. } => self.read(index, name, from, *upto),
            Command::DeleteMsgs { name, targets, .. } => {
                let targets: Vec<_> =
                    targets.iter().map(|target| (target.seq, target.id)).collect();
                self.delete_msgs(index, name, &targets)
            }
            Command::Passwd { name, verifier, .. } => {
                self.live.insert(name.to_string(), verifier.to_string());
                Outcome::PasswordChanged(name.to_string())
            }
            Command::Delete { name, .. } => self.delete(name),
        }
    }

    fn send(&mut self, index: u64, command: &Command) -> Outcome {
        let Command::Send { time, from, to, id, known, body } = *command else { unreachable!() };
        let by_sender: Vec<&Letter> = self.letters.iter().filter(|l| l.from == from).collect();
        let out = by_sender.len().saturating_sub(self.window);
        if let Some(first) = by_sender[out..].iter().find(|letter| letter.id == id) {
            if first.to != to || first.body != body {
                return Outcome::IdConflict;
            }
            return Outcome::Duplicate { time: first.time, seq: first.seq };
        }
        if known > 0 && by_sender[..out].iter().any(|letter| letter.seq > known) {
            return Outcome::IdExpired;
        }
        if !self.live.contains_key(to) {
            return Outcome::NoSuchUser;
        }
        let (from, to) = (from.to_string(), to.to_string());
        self.letters.push(Letter {
            seq: index,
            time,
            from: from.clone(),
            to: to.clone(),
            id,
            body: body.to_string(),
            sender_has: true,
            receiver_has: true,
            taken: false,
        });
        Outcome::Stored { from, to, id, time, seq: index }
    }

    fn read(&mut self, index: u64, name: &str, from: &str, upto: u64) -> Outcome {
        let between = self.history(name, Some(from));
        let ever = self.letters.iter().any(|letter| is_between(letter, name, from));
        let known = self.live.contains_key(from) || (self.dead.contains(from) && ever);
        if !known {
            return Outcome::NoSuchUser;
        }
        let key = (name.to_string(), from.to_string());
        let before = self.markers.get(&key).map_or(0, |marker| marker.0);
        let newest = between.last().copied().unwrap_or(0);
        if name == from || upto.min(newest) <= before {
            return Outcome::ReadMoved { marker: before, moved: false };
        }
        self.markers.insert(key, (upto.min(newest), index));
        Outcome::ReadMoved { marker: upto.min(newest), moved: true }
    }

    fn delete_msgs(&mut self, index: u64, name: &str, targets: &[(u64, u128)]) -> Outcome {
        let (mut count, mut gone) = (0, BTreeMap::<String, Vec<u128>>::new());
        for letter in &mut self.letters {
            if !targets.contains(&(letter.seq, letter.id)) {
                continue;
            }
            let mut views = Vec::new();
            if letter.from == name && letter.sender_has {
                views.push(letter.from.clone());
                letter.sender_has = false;
                if letter.receiver_has && letter.to != name && self.live.contains_key(&letter.to) {
                    views.push(letter.to.clone());
                }
                letter.receiver_has = false;
            } else if letter.to == name && letter.receiver_has {
                views.push(letter.to.clone());
                letter.receiver_has = false;
            }
            count += usize::from(!views.is_empty());
            for view in views {
                let ids = gone.entry(view).or_default();
                if !ids.contains(&letter.id) {
                    ids.push(letter.id);
                }
            }
        }
        for (view, ids) in &gone {
            self.gone.push((view.clone(), index, ids.clone()));
        }
        Outcome::Deleted { count, gone }
    }

    fn delete(&mut self, name: &str) -> Outcome {
        self.live.remove(name);
        self.dead.insert(name.to_string());
        self.markers.retain(|(whose, _), _| whose != name);
        self.gone.retain(|(whose, _, _)| whose != name);
        for letter in &mut self.letters {
            letter.sender_has &= letter.from != name;
            letter.receiver_has &= letter.to != name;
        }
        Outcome::AccountDeleted(name.to_string())
    }

    /// The letters that this one can see.
    fn seen<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Letter> {
        self.letters.iter().filter(move |letter| {
            (letter.from == name && letter.sender_has) || (letter.to == name && letter.receiver_has)
        })
    }

    /// The seqs of all it can see, with one other or with all.
    pub fn history(&self, name: &str, with: Option<&str>) -> Vec<u64> {
        let meant = |letter: &&Letter| with.is_none_or(|with| is_between(letter, name, with));
        self.seen(name).filter(meant).map(|letter| letter.seq).collect()
    }

    /// A page of these seqs.
    pub fn page(seqs: &[u64], cursor: u64, way: Direction, limit: usize) -> (Vec<u64>, bool) {
        let meant: Vec<u64> = match way {
            Direction::After => seqs.iter().copied().filter(|&seq| seq > cursor).collect(),
            Direction::Before => {
                seqs.iter().copied().filter(|&seq| cursor == 0 || seq < cursor).collect()
            }
        };
        let more = meant.len() > limit;
        let count = meant.len().min(limit);
        match way {
            Direction::After => (meant[..count].to_vec(), more),
            Direction::Before => (meant[meant.len() - count..].to_vec(), more),
        }
    }

    pub fn received(&self, name: &str) -> Vec<u64> {
        self.seen(name).filter(|letter| letter.to == name).map(|letter| letter.seq).collect()
    }

    pub fn queue(&self, name: &str) -> Vec<u64> {
        let waits = |letter: &&Letter| letter.to == name && !letter.taken;
        self.seen(name).filter(waits).map(|letter| letter.seq).collect()
    }

    pub fn marker(&self, name: &str, from: &str) -> u64 {
        self.markers.get(&(name.to_string(), from.to_string())).map_or(0, |marker| marker.0)
    }

    pub fn unread(&self, name: &str, from: &str) -> u32 {
        let marker = self.marker(name, from);
        self.seen(name)
            .filter(|letter| letter.to == name && letter.from == from && from != name)
            .filter(|letter| letter.seq > marker && !letter.taken)
            .count() as u32
    }

    pub fn unread_total(&self, name: &str) -> u64 {
        let senders: BTreeSet<&String> = self.letters.iter().map(|letter| &letter.from).collect();
        senders.into_iter().map(|from| u64::from(self.unread(name, from))).sum()
    }

    pub fn inbox(&self, name: &str) -> Vec<Line> {
        let mut newest: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for letter in self.seen(name) {
            let other = if letter.from == name { &letter.to } else { &letter.from };
            newest.insert(other, (letter.seq, letter.time));
        }
        let mut lines: Vec<Line> = newest
            .into_iter()
            .map(|(other, (seq, time))| (other.to_string(), self.unread(name, other), seq, time))
            .collect();
        lines.sort_by_key(|line| std::cmp::Reverse(line.2));
        lines
    }

    pub fn events(&self, name: &str) -> Vec<Event> {
        let gone = self.gone.iter().filter(|(whose, _, _)| whose == name);
        let moved = self.markers.iter().filter(|((whose, _), _)| whose == name);
        let mut events: Vec<Event> =
            self.history(name, None).into_iter().map(Event::Message).collect();
        events.extend(gone.map(|(_, seq, ids)| Event::TakenBack(*seq, ids.clone())));
        events.extend(
            moved.map(|((_, from), (marker, seq))| Event::ReadMoved(*seq, from.clone(), *marker)),
        );
        events.sort_by_key(Event::seq);
        events
    }

    /// The seqs and ids of what a `delete_msgs` of these ids means.
    pub fn targets(&self, name: &str, to: Option<&str>, ids: &[u128]) -> Vec<(u64, u128)> {
        let meant = |letter: &&Letter| to.is_none_or(|to| is_between(letter, name, to));
        let seen = self.seen(name).filter(|letter| ids.contains(&letter.id));
        seen.filter(meant).map(|letter| (letter.seq, letter.id)).collect()
    }

    /// The message that this live account sent under this id, while that is known: seq and time.
    pub fn duplicate_of(&self, name: &str, id: u128) -> Option<(u64, u64)> {
        let own: Vec<&Letter> = self.letters.iter().filter(|letter| letter.from == name).collect();
        let known = &own[own.len().saturating_sub(self.window)..];
        let first = known.iter().find(|letter| letter.id == id && self.live.contains_key(name))?;
        Some((first.seq, first.time))
    }
}

fn is_between(letter: &Letter, one: &str, other: &str) -> bool {
    (letter.from == one && letter.to == other) || (letter.from == other && letter.to == one)
}
