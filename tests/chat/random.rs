//! Random commands against the state and the plain model: every effect and every answer must agree
//! after every step. CHAT_SEED and CHAT_RUNS set the first seed and how many runs there are.

use super::model::{Event, Line, Model, Outcome};
use super::targets;
use crate::support::bounded::Rounds;
use crate::support::{Rng, env_number};
use chatctl::chat::glob::Pattern;
use chatctl::chat::{AccountId, Command, Direction, Effect, EventRef, State, Target};
use std::collections::BTreeMap;

const NAMES: [&str; 6] = ["ann", "bob", "cat", "dan", "eve", "a.n-n_1"];
const BODIES: [&str; 3] = ["one", "two", "a text of more than sixteen bytes"];

struct World {
    rng: Rng,
    state: State,
    model: Model,
    index: u64,
    time: u64,
    /// Ids below this are in play.
    ids: u64,
}

#[test]
fn the_state_does_and_answers_what_the_plain_model_does() {
    let first = env_number("CHAT_SEED", 1);
    for seed in first..first + env_number("CHAT_RUNS", 25) {
        println!("CHAT_SEED={seed} CHAT_RUNS=1");
        let mut rng = Rng::new(seed);
        let window = [1, 2, 5, 20, 10_000][rng.below(5) as usize];
        let ids = [8, 40, 1_000][rng.below(3) as usize];
        let model = Model { window, ..Model::default() };
        let state = State::with_window(window);
        let mut world = World { rng, state, model, index: 0, time: 1_000, ids };
        for _ in 0..300 {
            world.step();
        }
    }
}

impl World {
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.rng.below(from.len() as u64) as usize]
    }

    fn step(&mut self) {
        self.index += 1 + self.rng.below(3) * self.rng.below(2);
        self.time = match self.rng.below(10) {
            0 => self.time.saturating_sub(self.rng.below(20)),
            _ => self.time + self.rng.below(5),
        };
        if self.rng.chance(1, 40) {
            assert_eq!(self.state.apply(self.index, &[]), Ok(Effect::None));
            return;
        }
        let command = self.command();
        let mut payload = Vec::new();
        command.encode(&mut payload);
        let effect = self.state.apply(self.index, &payload).expect("a whole command");
        let expected = self.model.apply(self.index, &command);
        assert_eq!(self.outcome(effect), expected, "entry {}: {command:?}", self.index);
        self.state.check_invariants();
        self.compare();
    }

    fn command(&mut self) -> Command<'static> {
        let (time, name, other) = (self.time, self.pick(&NAMES), self.pick(&NAMES));
        match self.rng.below(100) {
            0..2 => Command::Found {
                time,
                cluster: [1; 16],
                token_secret: [2; 32],
                members: Vec::new(),
            },
            2..12 => Command::Create { time, name, verifier: self.pick(&["v1", "v2"]) },
            12..55 => self.new_or_old_send(time, name, other),
            55..65 => {
                let mut seqs = match self.state.account(name) {
                    Some(account) if self.rng.chance(3, 4) => {
                        self.state.to_take(account, self.rng.below(5) as usize)
                    }
                    _ => (0..self.rng.below(6)).map(|_| self.rng.below(self.index + 2)).collect(),
                };
                seqs.sort_unstable();
                seqs.dedup();
                Command::Take { time, name, seqs }
            }
            65..78 => {
                let upto = match self.rng.below(8) {
                    0 => u64::MAX,
                    _ => self.rng.below(self.index + 3),
                };
                Command::Read { time, name, from: other, upto }
            }
            78..95 => self.deletion(time, name, other),
            95..98 => Command::Passwd { time, name, verifier: self.pick(&["v3", "v4"]) },
            _ => Command::Delete { time, name },
        }
    }

    fn new_or_old_send(
        &mut self,
        time: u64,
        from: &'static str,
        to: &'static str,
    ) -> Command<'static> {
        let known = match self.rng.below(2) {
            0 => 0,
            _ => self.rng.below(self.index),
        };
        let (id, body) = (u128::from(self.rng.below(self.ids)) << 100, self.pick(&BODIES));
        let old = self.model.letters.len() as u64;
        if old == 0 || self.rng.chance(2, 3) {
            return Command::Send { time, from, to, id, known, body };
        }
        let letter = &self.model.letters[self.rng.below(old) as usize];
        let like = |text: &str, all: &[&'static str]| all.iter().copied().find(|one| *one == text);
        let (from, same_to) = (like(&letter.from, &NAMES), like(&letter.to, &NAMES));
        let (same_body, id) = (like(&letter.body, &BODIES), letter.id);
        let (from, same_to, same_body) = (from.unwrap(), same_to.unwrap(), same_body.unwrap());
        let to = if self.rng.chance(1, 6) { to } else { same_to };
        let body = if self.rng.chance(1, 6) { body } else { same_body };
        Command::Send { time, from, to, id, known, body }
    }

    fn deletion(&mut self, time: u64, name: &'static str, other: &'static str) -> Command<'static> {
        let letters = self.model.letters.len() as u64;
        let count = self.rng.below(4);
        let mut any = || match letters {
            0 => (0, 0),
            _ => {
                let letter = &self.model.letters[self.rng.below(letters) as usize];
                (letter.seq, letter.id)
            }
        };
        let some: Vec<(u64, u128)> = (0..count).map(|_| any()).collect();
        let account = self.state.account(name);
        let mut targets = match account {
            Some(account) if self.rng.chance(3, 4) => {
                let ids: Vec<u128> = some.iter().map(|letter| letter.1).collect();
                let to = self.state.account_ever(other).filter(|_| self.rng.chance(1, 3));
                targets(&self.state, account, to, &ids)
            }
            _ => some.into_iter().map(|(seq, id)| Target { seq, id }).collect(),
        };
        if self.rng.chance(1, 10) {
            targets.push(Target { seq: self.rng.below(self.index + 2), id: 0 });
        }
        targets.sort_unstable();
        targets.dedup_by_key(|target| target.seq);
        Command::DeleteMsgs { time, name, targets }
    }

    fn name(&self, account: AccountId) -> String {
        self.state.name(account).to_string()
    }

    fn outcome(&self, effect: Effect) -> Outcome {
        match effect {
            Effect::None => Outcome::Nothing,
            Effect::Founded => Outcome::Founded,
            Effect::AlreadyFounded => Outcome::AlreadyFounded,
            Effect::MembersChanged => Outcome::Nothing,
            Effect::Created { account } => Outcome::Created(self.name(account)),
            Effect::NameTaken { account } => Outcome::NameTaken { live: account.is_some() },
            Effect::Stored { from, to, id, time, seq } => {
                Outcome::Stored { from: self.name(from), to: self.name(to), id, time, seq }
            }
            Effect::Duplicate { time, seq, .. } => Outcome::Duplicate { time, seq },
            Effect::IdConflict => Outcome::IdConflict,
            Effect::IdExpired => Outcome::IdExpired,
            Effect::NoSuchUser => Outcome::NoSuchUser,
            Effect::Taken { seqs, .. } => Outcome::Taken(seqs),
            Effect::ReadMoved { marker, moved, .. } => Outcome::ReadMoved { marker, moved },
            Effect::Deleted { count, gone, .. } => {
                let gone: BTreeMap<String, Vec<u128>> =
                    gone.into_iter().map(|gone| (self.name(gone.account), gone.ids)).collect();
                Outcome::Deleted { count, gone }
            }
            Effect::PasswordChanged { account } => Outcome::PasswordChanged(self.name(account)),
            Effect::AccountDeleted { account } => Outcome::AccountDeleted(self.name(account)),
            Effect::AccountGone => Outcome::AccountGone,
        }
    }

    /// Every answer, for every account that ever was.
    fn compare(&mut self) {
        assert_eq!(self.state.last_time(), self.model.last_time);
        assert_eq!(self.state.cluster().is_some(), self.model.founded);
        assert_eq!(self.state.account_count(), self.model.live.len());
        assert_eq!(self.state.message_count(), self.model.letters.len());
        let limit = 1 + self.rng.below(6) as usize;
        let names = self.pages_of_names(limit);
        assert!(names.iter().eq(self.model.live.keys()), "{names:?}");
        for name in NAMES {
            let live = self.model.live.get(name);
            assert_eq!(self.state.account(name).is_some(), live.is_some());
            assert_eq!(self.state.is_tombstoned(name), self.model.dead.contains(name));
            let Some(account) = self.state.account_ever(name) else { continue };
            assert_eq!(self.state.verifier(account), live.map(String::as_str));
            assert_eq!(self.state.unread_total(account), self.model.unread_total(name), "{name}");
            self.compare_histories(name, account, limit);
            self.compare_lists(name, account, limit);
            for _ in 0..3 {
                let id = u128::from(self.rng.below(self.ids)) << 100;
                let (known, expected) =
                    (self.state.duplicate_of(account, id), self.model.duplicate_of(name, id));
                assert_eq!(known, expected, "{name} {id}");
            }
        }
    }

    fn pages_of_names(&self, limit: usize) -> Vec<String> {
        let (mut names, mut after) = (Vec::new(), String::new());
        let mut rounds = Rounds::new(100_000, "a page says that it is the last");
        loop {
            rounds.count();
            let page = self.state.names(&Pattern::parse("").unwrap(), &after, limit);
            assert!(page.names.len() <= limit);
            names.extend(page.names.iter().map(ToString::to_string));
            match page.next {
                Some(next) => after = next.to_string(),
                None => return names,
            }
        }
    }

    fn compare_histories(&mut self, name: &str, account: AccountId, limit: usize) {
        for with in NAMES.map(Some).into_iter().chain([None]) {
            let other = match with {
                Some(with) => match self.state.account_ever(with) {
                    Some(other) => {
                        let marker = self.state.marker(account, other);
                        assert_eq!(marker, self.model.marker(name, with), "{name} {with}");
                        Some(other)
                    }
                    None => continue,
                },
                None => None,
            };
            let all = self.model.history(name, with);
            for way in [Direction::Before, Direction::After] {
                let mut page = Vec::new();
                let (mut cursor, mut pages) = (0, 0);
                let mut rounds = Rounds::new(100_000, "a page says that it is the last");
                loop {
                    rounds.count();
                    let more = self.state.history(account, other, cursor, way, limit, &mut page);
                    let expected = Model::page(&all, cursor, way, limit);
                    assert_eq!((&page, more), (&expected.0, expected.1), "{name} {with:?} {way:?}");
                    pages += page.len();
                    if !more {
                        break;
                    }
                    let ends = (page.first(), page.last());
                    cursor = *if way == Direction::Before { ends.0 } else { ends.1 }.unwrap();
                }
                assert_eq!(pages, all.len());
                let cursor = self.rng.below(self.index + 3);
                let more = self.state.history(account, other, cursor, way, limit, &mut page);
                assert_eq!((page, more), Model::page(&all, cursor, way, limit));
            }
        }
    }

    fn compare_lists(&mut self, name: &str, account: AccountId, limit: usize) {
        let received = self.model.received(name);
        for cursor in [0, self.rng.below(self.index + 3)] {
            let mut page = Vec::new();
            let more = self.state.received_after(account, cursor, limit, &mut page);
            assert_eq!((page, more), Model::page(&received, cursor, Direction::After, limit));
        }
        let queue = self.model.queue(name);
        let expected: Vec<u64> = queue.into_iter().take(limit).collect();
        assert_eq!(self.state.to_take(account, limit), expected);
        assert_eq!(self.pages_of_inbox(account, limit), self.model.inbox(name), "{name}");
        let start = [0, self.rng.below(self.index + 2)][self.rng.below(2) as usize];
        let mut expected = self.model.events(name);
        expected.retain(|event| event.seq() > start);
        assert_eq!(self.pages_of_events(account, start, limit), expected, "{name}");
        let ids: Vec<u128> = (0..3).map(|_| u128::from(self.rng.below(self.ids)) << 100).collect();
        for to in [None, Some(self.pick(&NAMES))] {
            let other = to.map(|to| self.state.account_ever(to));
            if other == Some(None) {
                continue;
            }
            let targets = targets(&self.state, account, other.flatten(), &ids);
            let targets: Vec<_> = targets.into_iter().map(|t| (t.seq, t.id)).collect();
            assert_eq!(targets, self.model.targets(name, to, &ids), "{name} {to:?} {ids:?}");
        }
    }

    fn pages_of_inbox(&self, account: AccountId, limit: usize) -> Vec<Line> {
        let (mut lines, mut cursor) = (Vec::new(), 0);
        let mut rounds = Rounds::new(100_000, "a page says that it is the last");
        loop {
            rounds.count();
            let (page, next) = self.state.conversations(account, cursor, limit);
            assert!(page.len() <= limit && (next == 0 || page.len() == limit));
            lines.extend(page.into_iter().map(|line| {
                (self.name(line.other), line.unread, line.newest_seq, line.newest_time)
            }));
            if next == 0 {
                return lines;
            }
            cursor = next;
        }
    }

    fn pages_of_events(&self, account: AccountId, start: u64, limit: usize) -> Vec<Event> {
        let (mut events, mut cursor, mut page) = (Vec::new(), start, Vec::new());
        let mut rounds = Rounds::new(100_000, "a page says that it is the last");
        loop {
            rounds.count();
            let more = self.state.events_after(account, cursor, limit, &mut page);
            assert!(page.len() <= limit && (!more || page.len() == limit));
            cursor = page.last().map_or(cursor, EventRef::seq);
            events.extend(page.drain(..).map(|event| match event {
                EventRef::Message { seq } => Event::Message(seq),
                EventRef::TakenBack { seq, ids } => Event::TakenBack(seq, ids),
                EventRef::ReadMoved { seq, other, marker } => {
                    Event::ReadMoved(seq, self.name(other), marker)
                }
            }));
            if !more {
                return events;
            }
        }
    }
}
