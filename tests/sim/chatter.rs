//! A person with the product's client agent, on a machine that may crash: this moves its bytes, types
//! for the person, and holds what it tells against what is stored. What its outbox promises is held
//! in `folder.rs`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use chatctl::client::agent::{Agent, NotTaken};
use chatctl::client::session::{Config, Event, Incoming, Output, Request, Session, State as Word};
use chatctl::client::store::Error;
use chatctl::protocol::framing::Codec;
use chatctl::protocol::id;

use super::checker::Checker;
use super::client::{Client, Wish};
use super::counts::Counts;
use super::folder::{Folder, OTHER_CLUSTER, Stream, Written};
use crate::support::Rng;
use crate::support::bounded::Rounds;
use crate::wal::sim_disk::SimDisk;

/// Rounds of wishes and events in one instant.
const ROUNDS: u64 = 10_000;

/// One client of an account; its processes come and go.
pub struct Chatter {
    name: String,
    password: String,
    servers: Vec<String>,
    others: Vec<String>,
    rng: Rng,
    /// Between two things that it does, milliseconds at the most.
    pace_ms: u64,
    writes_long_messages: bool,
    /// Of twenty messages so many have up to 3,000 bytes more: an outbox grows until it is replaced.
    wordy: u64,
    codec: Codec,
    folder: Rc<RefCell<Folder>>,
    /// Its folder has no other client, or it is the first of them.
    is_first: bool,
    agent: Option<Agent<SimDisk>>,
    /// The place of its process in the folder, the process's number, and how often the power had gone
    /// when it began.
    slot: usize,
    life: u64,
    power_losses: u64,
    /// Per mille: it dies with events that are not shown yet; it is ended while bytes arrive.
    dies_unseen: u64,
    ends: u64,
    starts_at_ms: Option<u64>,
    acts_at_ms: u64,
    is_calm: bool,
    /// Its connections are still to be closed.
    is_gone: bool,
    /// Texts that the disk did not take; for good, if it takes others later.
    doubtful: Vec<String>,
    /// The session's word before the bytes that it got last: an answer among them may be older than
    /// the word that came with them.
    word_before: Word,
    /// Questions that wait: what was asked, and the newest acknowledged message then.
    asked: BTreeMap<u64, (Request, u64)>,
    counts: Counts,
}

impl Chatter {
    pub fn new(
        name: &str,
        servers: Vec<String>,
        others: Vec<String>,
        writes_long_messages: bool,
        (folder, is_first): (Rc<RefCell<Folder>>, bool),
        seed: u64,
    ) -> Chatter {
        let mut rng = Rng::new(seed);
        let pace_ms = 20 + rng.below(1_500);
        let codec = if rng.chance(1, 2) { Codec::Binary } else { Codec::Json };
        let starts_at_ms = Some(rng.below(2_000));
        let wordy = if rng.chance(1, 3) { 12 } else { 1 };
        let mut rate = |most: u64| if rng.chance(1, 2) { 0 } else { rng.below(most) };
        Chatter {
            name: name.to_owned(),
            password: format!("the password of {name}"),
            servers,
            others,
            pace_ms,
            writes_long_messages,
            wordy,
            codec,
            folder,
            is_first,
            agent: None,
            slot: 0,
            life: 0,
            power_losses: 0,
            dies_unseen: rate(60),
            ends: rate(30),
            starts_at_ms,
            acts_at_ms: 0,
            is_calm: false,
            is_gone: false,
            doubtful: Vec::new(),
            word_before: Word::Offline,
            asked: BTreeMap::new(),
            counts: Counts::default(),
            rng,
        }
    }

    fn session(&mut self) -> Option<&mut Session> {
        self.agent.as_mut().map(|agent| &mut agent.session)
    }

    /// A new process goes on from the files.
    fn start(&mut self, now_ms: u64) {
        let mut folder = self.folder.borrow_mut();
        let (outbox, adopted) = match folder.open(self.is_calm) {
            Ok(opened) => opened,
            Err(_) => {
                self.starts_at_ms = Some(now_ms + 1 + self.rng.below(1_000));
                return;
            }
        };
        self.starts_at_ms = None;
        (self.slot, self.life) = (outbox.slot(), folder.lives);
        self.power_losses = folder.power_losses;
        self.counts.adopted += adopted as u64;
        let kept = outbox.kept();
        // What was shown above the cursor that was kept may be shown again.
        let stream = folder.seen.streams.entry(self.slot).or_default();
        match kept.cursor {
            Some(cursor) => stream.shown.retain(|shown| shown.seq <= cursor),
            None => *stream = Stream::default(),
        }
        let mut servers = self.servers.clone();
        for place in (1..servers.len()).rev() {
            servers.swap(place, self.rng.below(place as u64 + 1) as usize);
        }
        let config = Config {
            servers,
            user: self.name.clone(),
            codec: self.codec,
            create: kept.token.is_none(),
            password: Some(self.password.clone()),
            token: None,
            cluster: 0,
            epoch_ms: folder.epoch_ms,
            cursor: None,
            own_recent: Vec::new(),
            follow: true,
            seed: self.rng.next(),
        };
        let mut agent = Agent::new(config, outbox, now_ms);
        agent.session.tell_held();
        self.agent = Some(agent);
        self.acts_at_ms = now_ms + self.rng.below(self.pace_ms);
    }

    /// The process has ended, in whatever way, or the power goes.
    fn die(&mut self, now_ms: u64, power: bool) {
        if self.agent.take().is_some() {
            self.has_ended(now_ms, power);
        }
    }

    fn has_ended(&mut self, now_ms: u64, power: bool) {
        let mut folder = self.folder.borrow_mut();
        if folder.power_losses == self.power_losses {
            match power || folder.disk.crashed() {
                true => folder.loses_power(),
                false => folder.leave(self.slot),
            }
        }
        folder.disk_is_sound();
        self.asked.clear();
        self.doubtful.clear();
        self.is_gone = true;
        self.starts_at_ms = Some(now_ms + 1 + self.rng.below(3_000));
        self.counts.client_crashes += 1;
    }

    /// Whether there is a process; it is gone if the power went.
    fn lives(&mut self, now_ms: u64) -> bool {
        let (crashed, power_losses) = {
            let folder = self.folder.borrow();
            (folder.disk.crashed(), folder.power_losses)
        };
        if crashed || power_losses != self.power_losses {
            self.die(now_ms, true);
        }
        self.agent.is_some()
    }

    fn act(&mut self, now_ms: u64, checker: &Checker) {
        self.acts_at_ms = now_ms + 1 + self.rng.below(self.pace_ms);
        let mut folder = self.folder.borrow_mut();
        if folder.faults > 0 && self.rng.chance(folder.faults, 1_000) {
            folder.fails_within(6);
        }
        drop(folder);
        match self.rng.below(20) {
            0..=13 => {
                for _ in 0..1 + self.rng.below(5) {
                    self.write(now_ms);
                }
            }
            14 | 15 => self.mark_read(now_ms),
            16 => {
                let with = self.someone();
                let (before, limit) = (0, 1 + self.rng.below(30) as u16);
                self.ask(now_ms, Request::History { with, before, limit }, checker);
            }
            17 => self.ask(now_ms, Request::Inbox { cursor: 0 }, checker),
            18 => self.page_back(now_ms, checker),
            _ => self.take_back(now_ms, checker),
        }
    }

    fn someone(&mut self) -> String {
        let place = self.rng.below(self.others.len() as u64) as usize;
        self.others[place].clone()
    }

    /// A message is written.
    pub fn write(&mut self, now_ms: u64) {
        if !self.lives(now_ms) {
            return;
        }
        let to = if self.rng.chance(1, 20) { "nobody-here".to_owned() } else { self.someone() };
        let count = self.folder.borrow().seen.written.len();
        let mut body = format!("{} {}.{count}", self.name, self.life);
        body.push_str(&format!(".{}", self.rng.below(1 << 30)));
        if self.rng.chance(self.wordy, 20) {
            body.push_str(&"~".repeat(self.rng.below(3_000) as usize));
        }
        if self.writes_long_messages && self.rng.chance(2, 3) {
            body.push_str(&"-".repeat(self.rng.below(60_000) as usize));
        }
        let agent = self.agent.as_mut().expect("it lives");
        let is_for_other = agent.session.cluster() == OTHER_CLUSTER;
        let taken = agent.send(now_ms, vec![(to.clone(), body.clone())]);
        if !self.lives(now_ms) {
            self.folder.borrow_mut().seen.doubted.insert(body);
            return;
        }
        match taken {
            Ok(_) if is_for_other => drop(self.folder.borrow_mut().seen.not_taken.insert(body)),
            Ok(ids) => {
                let mut folder = self.folder.borrow_mut();
                let (life, home) = (self.life, Some(self.slot));
                let written = |id| Written { id, to: to.clone(), body: body.clone(), life, home };
                folder.seen.written.extend(ids.into_iter().map(written));
                // An outbox that is broken says so only when it is asked again.
                folder.seen.not_taken.extend(self.doubtful.drain(..));
            }
            Err(NotTaken::Full) => {}
            Err(NotTaken::Store(why)) => {
                self.folder.borrow_mut().seen.doubted.insert(body.clone());
                self.doubtful.push(body);
                self.on_disk_error(now_ms, &why);
            }
        }
    }

    /// The person reads that the disk did not take something; some start the client again.
    fn on_disk_error(&mut self, now_ms: u64, why: &Error) {
        self.counts.disk_told += 1;
        self.folder.borrow_mut().noted_cursor = None;
        if why.to_string().contains("start the client again") || self.rng.chance(1, 3) {
            self.die(now_ms, false);
        }
    }

    fn mark_read(&mut self, now_ms: u64) {
        let folder = self.folder.borrow();
        let shown = folder.seen.streams.get(&self.slot).and_then(|stream| stream.shown.last());
        let shown = shown.map(|shown| (shown.from.clone(), shown.seq));
        drop(folder);
        if let (Some(session), Some((from, seq))) = (self.session(), shown) {
            session.mark_read(now_ms, &from, seq);
        }
    }

    fn ask(&mut self, now_ms: u64, request: Request, checker: &Checker) {
        let Some(session) = self.session() else { return };
        if let Ok(number) = session.request(now_ms, request.clone()) {
            self.asked.insert(number, (request, checker.acknowledged));
        }
    }

    /// A page of history that begins somewhere, while messages arrive.
    fn page_back(&mut self, now_ms: u64, checker: &Checker) {
        let all = self.shown_places();
        let before = match all.len() as u64 {
            0 => 0,
            many => all[self.rng.below(many) as usize].0,
        };
        let limit = 1 + self.rng.below(10) as u16;
        self.ask(now_ms, Request::History { with: String::new(), before, limit }, checker);
    }

    /// Seq and id of what its place has shown.
    fn shown_places(&self) -> Vec<(u64, Option<u128>)> {
        let folder = self.folder.borrow();
        let stream = folder.seen.streams.get(&self.slot);
        let shown = stream.iter().flat_map(|stream| &stream.shown);
        shown.map(|shown| (shown.seq, id::parse(&shown.id))).collect()
    }

    fn take_back(&mut self, now_ms: u64, checker: &Checker) {
        let own: Vec<u128> = self.folder.borrow().seen.acknowledged.keys().copied().collect();
        let shown = self.shown_places().into_iter().filter_map(|(_, id)| id);
        let all: Vec<u128> = own.into_iter().chain(shown).collect();
        if !all.is_empty() {
            let ids = vec![all[self.rng.below(all.len() as u64) as usize]];
            self.ask(now_ms, Request::DeleteMessages { ids, to: String::new() }, checker);
        }
    }

    /// The events come onto the screen, if nothing happens before.
    fn show(&mut self, now_ms: u64, events: Vec<Event>, checker: &mut Checker) {
        if !events.is_empty() && !self.is_calm {
            if self.rng.chance(1, 8) {
                self.write(now_ms);
            }
            let joins = events.iter().any(|event| matches!(event, Event::Cluster(_)));
            if self.dies_unseen > 0 && self.rng.chance(self.dies_unseen, 1_000) {
                let power = self.rng.chance(1, 3);
                self.die(now_ms, power);
            }
            if !self.lives(now_ms) {
                return self.dies_with(&events);
            }
            self.show_all(now_ms, events, checker);
            if joins && self.rng.chance(1, 4) {
                self.die(now_ms, false);
            }
            return;
        }
        self.show_all(now_ms, events, checker);
    }

    fn show_all(&mut self, now_ms: u64, events: Vec<Event>, checker: &mut Checker) {
        let refused = refused_in(&events);
        let mut has_old = false;
        for event in events {
            has_old |= matches!(event, Event::Old { .. });
            self.on_event(event, checker);
        }
        let Some(agent) = &mut self.agent else { return };
        let shown = agent.shown();
        let cursor = agent.session.cursor();
        let (doubled, refused): (Vec<u128>, Vec<u128>) =
            refused.into_iter().partition(|id| self.folder.borrow().is_doubled(*id));
        self.tells_in_vain(doubled);
        if self.folder.borrow().disk.crashed() {
            self.tells_in_vain(refused);
            return self.die(now_ms, true);
        }
        match shown {
            Ok(()) => {
                let mut folder = self.folder.borrow_mut();
                if self.slot == 0 {
                    folder.noted_cursor = cursor;
                }
                let back = folder.comes_back(&refused);
                assert_eq!(back, None, "{}: told as refused before it is durable", self.name);
            }
            Err(why) => {
                self.tells_in_vain(refused);
                self.on_disk_error(now_ms, &why);
            }
        }
        if has_old {
            self.decide_about_old(now_ms);
        }
    }

    /// Events that nobody has seen: what was refused is gone, or comes back.
    fn dies_with(&mut self, events: &[Event]) {
        let (mut folder, refused) = (self.folder.borrow_mut(), refused_in(events));
        if !refused.is_empty() {
            // The disk may not have taken them, nor what was written before.
            folder.noted_cursor = None;
        }
        folder.seen.unsure.extend(refused);
    }

    /// The disk did not take these refusals: the messages may come back.
    fn tells_in_vain(&mut self, refused: Vec<u128>) {
        let seen = &mut self.folder.borrow_mut().seen;
        seen.refused.retain(|id, _| !refused.contains(id));
        seen.unsure.extend(refused);
    }

    /// Messages have waited for more than a day.
    fn decide_about_old(&mut self, now_ms: u64) {
        let Some(agent) = &mut self.agent else { return };
        let old: Vec<u128> = agent.session.old_drafts().map(|draft| draft.id).collect();
        let mut folder = self.folder.borrow_mut();
        folder.seen.late.extend(&old);
        if self.rng.chance(1, 2) {
            agent.session.send_old(now_ms);
            return;
        }
        self.counts.given_up += old.len() as u64;
        let dropped = agent.drop_old();
        let is_sure = dropped.is_ok() && !folder.disk.crashed();
        if !is_sure {
            folder.noted_cursor = None;
        }
        for id in old {
            let is_gone = is_sure && !folder.is_doubled(id);
            let seen = &mut folder.seen;
            if is_gone {
                seen.given_up.insert(id)
            } else {
                seen.unsure.insert(id)
            };
        }
        drop(folder);
        if let Err(why) = dropped {
            self.on_disk_error(now_ms, &why);
        }
    }

    fn on_event(&mut self, event: Event, checker: &mut Checker) {
        let cursor = self.session().and_then(|session| session.cursor());
        let mut folder = self.folder.borrow_mut();
        let seen = &mut folder.seen;
        match event {
            Event::LoggedIn { name, .. } => {
                assert_eq!(name, self.name);
                let stream = seen.streams.entry(self.slot).or_default();
                stream.from = stream.from.or(cursor);
            }
            Event::LoginRefused(refusal) => panic!("{} is refused: {refusal}", self.name),
            Event::PasswordNeeded => panic!("{} has said its password", self.name),
            Event::Token(_) => {}
            // Places in another's order are void.
            Event::Cluster(_) => *seen.streams.entry(self.slot).or_default() = Default::default(),
            Event::Message(message) => {
                drop(folder);
                self.on_shown(message, checker);
            }
            Event::Sent { id, to, body, seq, time } => {
                checker.on_acknowledged(&self.name, id, &to, &body, (seq, time));
                let first = *seen.acknowledged.entry(id).or_insert(seq);
                assert_eq!(first, seq, "{}: two places for one message", self.name);
            }
            Event::Failed { draft, refusal } => {
                assert!(
                    ["no-such-user", "id-expired"].contains(&refusal.code.as_str()),
                    "{}: {refusal} for {draft:?}",
                    self.name
                );
                seen.refused.insert(draft.id, refusal.code);
            }
            Event::OtherCluster(_) => {
                assert!(!seen.not_taken.is_empty(), "{}: all is for this one", self.name);
            }
            Event::Answer { number, result } => {
                drop(folder);
                if let Some((request, floor)) = self.asked.remove(&number)
                    && let Ok(frames) = result
                {
                    self.check_answer(&request, floor, &frames, checker);
                }
            }
            Event::State(Word::ReadOnly) => self.counts.read_only += 1,
            Event::Online(_) | Event::Presence { .. } => {}
            Event::State(_) | Event::TakenBack(_) | Event::ReadMoved { .. } | Event::Held(_) => {}
            Event::Old { .. } => {}
        }
    }

    fn on_shown(&mut self, message: Incoming, checker: &Checker) {
        let mut folder = self.folder.borrow_mut();
        let seen = &mut folder.seen;
        let stream = seen.streams.entry(self.slot).or_default();
        let seq = message.seq;
        let newest = stream.shown.last().map_or(0, |shown| shown.seq);
        assert!(seq > newest, "{}: {seq} is shown after {newest}", self.name);
        let Some(letter) = checker.letter(seq) else {
            panic!("{}: a phantom at {seq}: {:.40}", self.name, message.body);
        };
        let is = (letter.from.as_str(), letter.to.as_str(), letter.body.as_str(), letter.time);
        let said =
            (message.from.as_str(), message.to.as_str(), message.body.as_str(), message.time);
        assert_eq!(said, is, "{}: what is shown at {seq} is what is stored", self.name);
        let own = id::parse(&message.id).and_then(|id| {
            let is_own = |written: &&Written| {
                let is_first = self.slot == 0 && written.home == Some(0);
                written.id == id && (written.life == self.life || is_first)
            };
            seen.written.iter().find(is_own)
        });
        // A later run does not know what an earlier one could not tell, or gave up.
        let unsure = |id: u128| {
            let expired = seen.refused.get(&id).is_some_and(|code| code == "id-expired");
            expired || seen.unsure.contains(&id) || seen.given_up.contains(&id)
        };
        assert!(
            own.is_none_or(|written| unsure(written.id)),
            "{}: its own message comes as another's",
            self.name
        );
        self.counts.shown += 1;
        stream.shown.push(message);
    }

    fn check_answer(
        &self,
        request: &Request,
        floor: u64,
        frames: &[chatctl::protocol::Message<'static>],
        checker: &mut Checker,
    ) {
        let Some(session) = self.agent.as_ref().map(|agent| &agent.session) else { return };
        // A server without a majority says what it has, which may be old.
        let words = [self.word_before, session.state()];
        let floor = if words.contains(&Word::ReadOnly) { 0 } else { floor };
        let name = &self.name;
        let from = format!("from {} while {words:?}", session.address());
        match request {
            Request::History { with, before, limit } => {
                let got: Vec<u64> = frames[..frames.len() - 1].iter().map(|f| f.seq).collect();
                let with = (!with.is_empty()).then_some(with.as_str());
                let lengths = checker.lengths();
                checker.explain(floor, &format!("{name}: {request:?}: {got:?} {from}"), |model| {
                    let all = model.history(name, with);
                    let way = chatctl::chat::Direction::Before;
                    lengths.page(&all, *before, way, usize::from(*limit)).0 == got
                });
            }
            Request::Inbox { .. } => {
                let body = &frames[0].body;
                checker.explain(floor, &format!("{name}: inbox {body} {from}"), |model| {
                    let line = |line: &(String, u32, u64, u64)| {
                        format!("{}\t{}\t{}\t{}", line.0, line.1, line.2, line.3)
                    };
                    let lines: Vec<String> = model.inbox(name).iter().map(line).collect();
                    lines.join("\n") == **body
                });
            }
            _ => {}
        }
    }
}

/// The messages that these events say are refused.
fn refused_in(events: &[Event]) -> Vec<u128> {
    let refused = events.iter().filter_map(|event| match event {
        Event::Failed { draft, .. } => Some(draft.id),
        _ => None,
    });
    refused.collect()
}

impl Client for Chatter {
    fn connected(&mut self, now_ms: u64) {
        if self.lives(now_ms)
            && let Some(agent) = &mut self.agent
        {
            agent.handle_connected(now_ms);
        }
    }

    fn received(&mut self, now_ms: u64, bytes: &[u8], _: &mut Checker) {
        if self.lives(now_ms)
            && let Some(agent) = &mut self.agent
        {
            self.word_before = agent.session.state();
            agent.handle_received(now_ms, bytes);
            if !self.is_calm && self.ends > 0 && self.rng.chance(self.ends, 1_000) {
                // Asked to end by a signal that came with the bytes.
                let ended = self.agent.take().map(Agent::close);
                if !matches!(ended, Some(Ok(()))) {
                    self.folder.borrow_mut().noted_cursor = None;
                }
                self.has_ended(now_ms, false);
            }
        }
    }

    fn closed(&mut self, now_ms: u64, why: &str) {
        if self.lives(now_ms)
            && let Some(agent) = &mut self.agent
        {
            agent.handle_closed(now_ms, why);
        }
    }

    fn look_request(&self) -> Vec<u8> {
        self.agent.as_ref().map_or(Vec::new(), Agent::look_request)
    }

    fn look_received(&mut self, now_ms: u64, bytes: &[u8]) {
        if self.lives(now_ms)
            && let Some(agent) = &mut self.agent
        {
            agent.handle_look_received(now_ms, bytes);
        }
    }

    fn look_closed(&mut self, now_ms: u64) {
        if self.lives(now_ms)
            && let Some(agent) = &mut self.agent
        {
            agent.handle_look_closed(now_ms);
        }
    }

    fn pass(&mut self, now_ms: u64, checker: &mut Checker) {
        self.lives(now_ms);
        if self.starts_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.folder.borrow_mut().prepare(checker.last(), now_ms);
            self.start(now_ms);
        }
        let unix_ms = self.folder.borrow().epoch_ms + now_ms;
        if let Some(agent) = &mut self.agent {
            agent.handle_tick(now_ms, unix_ms);
            if !self.is_calm && self.acts_at_ms <= now_ms {
                self.act(now_ms, checker);
            }
        }
    }

    fn next_ms(&self) -> Option<u64> {
        let Some(agent) = &self.agent else { return self.starts_at_ms };
        let acts = (!self.is_calm).then_some(self.acts_at_ms);
        [agent.deadline(), acts].into_iter().flatten().min()
    }

    fn wishes(&mut self, now_ms: u64, checker: &mut Checker) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let mut rounds = Rounds::new(ROUNDS, "an agent has nothing more to do");
        while self.lives(now_ms) {
            rounds.count();
            let Some(agent) = &mut self.agent else { break };
            let mut events = Vec::new();
            while let Some(output) = agent.poll_output() {
                match output {
                    Output::Connect(address) => {
                        wishes.push(Wish::Connect(address));
                        self.counts.connections += 1;
                    }
                    Output::Close => wishes.push(Wish::Close),
                    Output::Look(address) => {
                        wishes.push(Wish::Look(address));
                        self.counts.looks += 1;
                    }
                    Output::EndLook => wishes.push(Wish::EndLook),
                    Output::Event(event) => events.push(event),
                }
            }
            if self.folder.borrow().disk.crashed() {
                self.dies_with(&events);
                continue;
            }
            let bytes = agent.outgoing().to_vec();
            let is_idle = events.is_empty() && bytes.is_empty();
            if !bytes.is_empty() {
                agent.wrote(now_ms, bytes.len());
                wishes.push(Wish::Send(bytes));
                let back = self.folder.borrow().comes_back(&refused_in(&events));
                assert_eq!(back, None, "{}: goes on before a refusal is durable", self.name);
            }
            // A crash between showing and noting makes it show again.
            self.show(now_ms, events, checker);
            let rests = |agent: &Agent<_>| !agent.has_output() && agent.outgoing().is_empty();
            if is_idle && self.lives(now_ms) && self.agent.as_ref().is_some_and(rests) {
                return wishes;
            }
        }
        match std::mem::take(&mut self.is_gone) {
            true => vec![Wish::Close, Wish::EndLook],
            false => Vec::new(),
        }
    }

    fn crash(&mut self, now_ms: u64, power: bool) -> bool {
        let had_one = self.lives(now_ms);
        self.die(now_ms, power);
        had_one
    }

    fn calm(&mut self, now_ms: u64) {
        self.is_calm = true;
        self.folder.borrow_mut().disk_is_sound();
        if !self.lives(now_ms) {
            self.start(now_ms);
        }
        // Changes must work again.
        self.write(now_ms);
    }

    fn is_done(&self) -> bool {
        let is_there = self.folder.borrow().power_losses == self.power_losses;
        let session = self.agent.as_ref().map(|agent| &agent.session);
        is_there
            && session.is_some_and(|session| {
                session.waiting() == 0 && session.is_idle() && session.is_synced()
            })
    }

    fn waits_for(&self) -> String {
        let Some(agent) = &self.agent else { return format!("{}: no process", self.name) };
        let session = &agent.session;
        let (state, waiting) = (session.state(), session.waiting());
        let (idle, synced) = (session.is_idle(), session.is_synced());
        let trouble = session.trouble().unwrap_or("none");
        format!(
            "{}: {state}, {waiting} waiting, idle {idle}, synced {synced}, trouble {trouble}",
            self.name
        )
    }

    fn check(&self, checker: &Checker) {
        let (name, folder) = (&self.name, self.folder.borrow());
        let seen = &folder.seen;
        let mut before = BTreeMap::new();
        for Written { id, to, body, life, .. } in &seen.written {
            let place = checker.place_of(name, *id);
            let is_open = seen.unsure.contains(id) || seen.given_up.contains(id);
            match (seen.acknowledged.get(id), seen.refused.get(id)) {
                (Some(seq), _) => assert_eq!(place, Some(*seq), "{name}: {body:.40} to {to}"),
                (None, _) if is_open => {}
                (None, Some(code)) if code == "id-expired" => {}
                (None, Some(code)) => {
                    assert_eq!(place, None, "{name}: refused with {code}: {body:.40}")
                }
                (None, None) => panic!("{name}: {body:.40} to {to}: not stored, not refused"),
            }
            // Where two clients run, each has its order.
            let order = before.entry(if folder.has_two { *life } else { 0 }).or_insert(0);
            if let Some(seq) = place.filter(|_| !seen.late.contains(id)) {
                assert!(seq > *order, "{name}: {body:.40} at {seq} overtook what is at {order}");
                *order = seq;
            }
        }
        let mine = |id: u128| seen.written.iter().any(|written| written.id == id);
        let stream = seen.streams.get(&self.slot);
        let cursor = self.agent.as_ref().and_then(|agent| agent.session.cursor()).unwrap_or(0);
        for letter in &checker.model().letters {
            let is_refused = letter.from == *name && seen.not_taken.contains(&letter.body);
            assert!(!is_refused, "{name}: was not taken, and is stored: {:.40}", letter.body);
            let Some((stream, from)) = stream.and_then(|stream| Some((stream, stream.from?)))
            else {
                continue;
            };
            let concerns = letter.to == *name || letter.from == *name;
            let wanted = concerns && letter.seq > from && letter.seq <= cursor;
            let gone = letter.to == *name && !letter.receiver_has
                || letter.from == *name && !letter.sender_has;
            let is_mine = mine(letter.id) || seen.doubted.contains(&letter.body);
            if !wanted || gone || letter.from == *name && is_mine {
                continue;
            }
            let shown = stream.shown.binary_search_by_key(&letter.seq, |shown| shown.seq);
            assert!(shown.is_ok(), "{name}: a gap at {}: {:.40}", letter.seq, letter.body);
        }
    }

    fn count(&self, counts: &mut Counts) {
        counts.add(&self.counts);
        if self.is_first {
            counts.acknowledged += self.folder.borrow().seen.acknowledged.len() as u64;
            counts.refused += self.folder.borrow().seen.refused.len() as u64;
        }
    }
}
