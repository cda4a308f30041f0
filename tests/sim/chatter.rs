//! A person with the real client session and the real form of its outbox file, on a machine that may
//! crash: what `client::Driver` does, with virtual time and a file in memory.

use std::collections::BTreeMap;

use chatctl::client::session::{
    Config, Draft, Event, Incoming, Output, Request, Session, State as Word,
};
use chatctl::client::store::journal::{self, Record};
use chatctl::protocol::framing::Codec;
use chatctl::protocol::id;

use super::checker::Checker;
use super::client::{Client, Wish};
use super::counts::Counts;
use crate::support::Rng;

/// One account on one machine; its processes come and go.
pub struct Chatter {
    name: String,
    password: String,
    servers: Vec<String>,
    others: Vec<String>,
    rng: Rng,
    /// Between two things that it does, milliseconds at the most.
    pace_ms: u64,
    writes_long_messages: bool,
    codec: Codec,
    session: Option<Session>,
    starts_at_ms: Option<u64>,
    acts_at_ms: u64,
    is_calm: bool,
    /// The outbox's file, and how much of it is synced.
    file: Vec<u8>,
    synced: usize,
    noted_cursor: Option<u64>,
    /// The session's word before the bytes that it got last: an answer among them may be older than
    /// the word that came with them.
    word_before: Word,
    /// Questions that wait: what was asked, and the newest acknowledged message then.
    asked: BTreeMap<u64, (Request, u64)>,
    seen: Seen,
    counts: Counts,
}

/// What it saw, to be held against what is stored.
#[derive(Default)]
struct Seen {
    /// Its messages, in the order in which it wrote them: id, to, body.
    written: Vec<(u128, String, String)>,
    acknowledged: BTreeMap<u128, u64>,
    refused: BTreeMap<u128, String>,
    /// What was shown, rising; what a crash made it forget is taken out again.
    shown: Vec<Incoming>,
    /// Everything above this was to be shown.
    from: Option<u64>,
}

enum Handed {
    Gone(u128, u64),
    Cluster(u128),
    Token(String),
}

impl Chatter {
    pub fn new(
        name: &str,
        servers: Vec<String>,
        others: Vec<String>,
        writes_long_messages: bool,
        seed: u64,
    ) -> Chatter {
        let mut rng = Rng::new(seed);
        let pace_ms = 20 + rng.below(1_500);
        let codec = if rng.chance(1, 2) { Codec::Binary } else { Codec::Json };
        let starts_at_ms = Some(rng.below(2_000));
        Chatter {
            name: name.to_owned(),
            password: format!("the password of {name}"),
            servers,
            others,
            pace_ms,
            writes_long_messages,
            codec,
            session: None,
            starts_at_ms,
            acts_at_ms: 0,
            is_calm: false,
            file: Vec::new(),
            synced: 0,
            noted_cursor: None,
            word_before: Word::Offline,
            asked: BTreeMap::new(),
            seen: Seen::default(),
            counts: Counts::default(),
            rng,
        }
    }

    /// A new process goes on from the file.
    fn start(&mut self, now_ms: u64) {
        self.starts_at_ms = None;
        let replay = journal::replay(&self.file);
        assert_eq!(replay.damaged, 0, "a crash tears no line but the last");
        self.file.truncate(replay.good_len);
        self.synced = self.file.len();
        let kept = replay.kept;
        self.noted_cursor = kept.cursor;
        // What was shown above the cursor that was kept may be shown again.
        let cursor = kept.cursor;
        match cursor {
            Some(cursor) => self.seen.shown.retain(|shown| shown.seq <= cursor),
            None => {
                self.seen.shown.clear();
                self.seen.from = None;
            }
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
            token: kept.token.clone(),
            cluster: kept.cluster,
            epoch_ms: 0,
            cursor: kept.cursor,
            own_recent: kept.own.clone(),
            follow: true,
            seed: self.rng.next(),
        };
        let mut session = Session::new(config, now_ms);
        for draft in kept.drafts {
            session.send_again(now_ms, draft).expect("it had room before");
        }
        self.session = Some(session);
        self.acts_at_ms = now_ms + self.rng.below(self.pace_ms);
    }

    fn act(&mut self, now_ms: u64, checker: &Checker) {
        self.acts_at_ms = now_ms + 1 + self.rng.below(self.pace_ms);
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

    /// A message is written: on disk, synced, before the session has it.
    pub fn write(&mut self, now_ms: u64) {
        let to = if self.rng.chance(1, 30) { "nobody-here".to_owned() } else { self.someone() };
        let Some(session) = self.session.as_mut() else { return };
        let count = self.seen.written.len();
        let mut body = format!("{} {count}", self.name);
        if self.rng.chance(1, 20) {
            body.push_str(&"~".repeat(self.rng.below(3_000) as usize));
        }
        if self.writes_long_messages && self.rng.chance(2, 3) {
            body.push_str(&"-".repeat(self.rng.below(60_000) as usize));
        }
        let mut random = [0; 16];
        random.copy_from_slice(&self.rng.bytes(16));
        let id = id::from_random(random);
        let (known, cluster) = (session.known(), session.cluster());
        let draft =
            Draft { id, to: to.clone(), body: body.clone(), known, cluster, written_ms: now_ms };
        if !session.has_room(1, body.len()) {
            return;
        }
        Record::Put(&draft).write(&mut self.file);
        self.synced = self.file.len();
        self.seen.written.push((id, to, body));
        session.send(now_ms, draft).expect("the room was looked at");
    }

    fn mark_read(&mut self, now_ms: u64) {
        let Some(session) = self.session.as_mut() else { return };
        if let Some(shown) = self.seen.shown.last() {
            session.mark_read(now_ms, &shown.from, shown.seq);
        }
    }

    fn ask(&mut self, now_ms: u64, request: Request, checker: &Checker) {
        let Some(session) = self.session.as_mut() else { return };
        if let Ok(number) = session.request(now_ms, request.clone()) {
            self.asked.insert(number, (request, checker.acknowledged));
        }
    }

    /// A page of history that begins somewhere, while messages arrive.
    fn page_back(&mut self, now_ms: u64, checker: &Checker) {
        let before = match self.seen.shown.len() as u64 {
            0 => 0,
            many => self.seen.shown[self.rng.below(many) as usize].seq,
        };
        let limit = 1 + self.rng.below(10) as u16;
        self.ask(now_ms, Request::History { with: String::new(), before, limit }, checker);
    }

    fn take_back(&mut self, now_ms: u64, checker: &Checker) {
        let own: Vec<u128> = self.seen.acknowledged.keys().copied().collect();
        let shown = self.seen.shown.iter().filter_map(|shown| id::parse(&shown.id));
        let all: Vec<u128> = own.into_iter().chain(shown).collect();
        if !all.is_empty() {
            let ids = vec![all[self.rng.below(all.len() as u64) as usize]];
            self.ask(now_ms, Request::DeleteMessages { ids, to: String::new() }, checker);
        }
    }

    fn on_event(&mut self, event: Event, checker: &mut Checker) -> Option<Handed> {
        match event {
            Event::LoggedIn { name, .. } => {
                assert_eq!(name, self.name);
                if self.seen.from.is_none() {
                    self.seen.from = self.session.as_ref().and_then(Session::cursor);
                }
                None
            }
            Event::LoginRefused(refusal) => panic!("{} is refused: {refusal}", self.name),
            Event::PasswordNeeded => panic!("{} has said its password", self.name),
            Event::Token(token) => Some(Handed::Token(token)),
            Event::Cluster(cluster) => Some(Handed::Cluster(cluster)),
            Event::Message(message) => {
                self.on_shown(message, checker);
                None
            }
            Event::Sent { id, to, body, seq, time } => {
                checker.on_acknowledged(&self.name, id, &to, &body, (seq, time));
                let first = *self.seen.acknowledged.entry(id).or_insert(seq);
                assert_eq!(first, seq, "{}: two places for one message", self.name);
                Some(Handed::Gone(id, seq))
            }
            Event::Failed { draft, refusal } => {
                assert!(
                    ["no-such-user", "id-expired"].contains(&refusal.code.as_str()),
                    "{}: {refusal} for {draft:?}",
                    self.name
                );
                self.seen.refused.insert(draft.id, refusal.code);
                Some(Handed::Gone(draft.id, 0))
            }
            Event::Old { count, .. } => panic!("{count} messages are a day old"),
            Event::OtherCluster(count) => panic!("{count} messages for another cluster"),
            Event::Answer { number, result } => {
                if let Some((request, floor)) = self.asked.remove(&number)
                    && let Ok(frames) = result
                {
                    self.check_answer(&request, floor, &frames, checker);
                }
                None
            }
            Event::State(Word::ReadOnly) => {
                self.counts.read_only += 1;
                None
            }
            Event::Online(_) | Event::Presence { .. } => None,
            Event::State(_) | Event::TakenBack(_) | Event::ReadMoved { .. } | Event::Held(_) => {
                None
            }
        }
    }

    fn on_shown(&mut self, message: Incoming, checker: &Checker) {
        let seq = message.seq;
        let newest = self.seen.shown.last().map_or(0, |shown| shown.seq);
        assert!(seq > newest, "{}: {seq} is shown after {newest}", self.name);
        let Some(letter) = checker.letter(seq) else {
            panic!("{}: a phantom at {seq}: {:.40}", self.name, message.body);
        };
        let is = (letter.from.as_str(), letter.to.as_str(), letter.body.as_str(), letter.time);
        let said =
            (message.from.as_str(), message.to.as_str(), message.body.as_str(), message.time);
        assert_eq!(said, is, "{}: what is shown at {seq} is what is stored", self.name);
        let own = id::parse(&message.id)
            .filter(|id| self.seen.written.iter().any(|written| written.0 == *id));
        // A later run does not know what an earlier one could not tell.
        let seen = &self.seen;
        let unsure = |id: &u128| {
            !seen.acknowledged.contains_key(id)
                && seen.refused.get(id).is_some_and(|code| code == "id-expired")
        };
        assert!(
            own.is_none_or(|id| unsure(&id)),
            "{}: its own message comes as another's",
            self.name
        );
        self.counts.shown += 1;
        self.seen.shown.push(message);
    }

    fn check_answer(
        &self,
        request: &Request,
        floor: u64,
        frames: &[chatctl::protocol::Message<'static>],
        checker: &mut Checker,
    ) {
        let Some(session) = &self.session else { return };
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

    /// Everything was shown: from here on it is not shown again.
    fn shown(&mut self, handed: Vec<Handed>) {
        for handed in handed {
            if let Handed::Cluster(_) = handed {
                self.noted_cursor = None;
            }
            let record = match &handed {
                Handed::Gone(id, seq) => Record::Gone(*id, *seq),
                Handed::Cluster(cluster) => Record::Cluster(*cluster),
                Handed::Token(token) => Record::Token(token),
            };
            record.write(&mut self.file);
            if let Handed::Gone(_, 0) = handed {
                // As the driver does: a refusal is kept before anybody is told.
                self.synced = self.file.len();
            }
        }
        let cursor = self.session.as_ref().and_then(Session::cursor);
        if let Some(cursor) = cursor.filter(|cursor| Some(*cursor) != self.noted_cursor) {
            self.noted_cursor = Some(cursor);
            Record::Cursor(cursor).write(&mut self.file);
        }
    }
}

impl Client for Chatter {
    fn connected(&mut self, now_ms: u64) {
        if let Some(session) = &mut self.session {
            session.connected(now_ms);
        }
    }

    fn received(&mut self, now_ms: u64, bytes: &[u8], _: &mut Checker) {
        if let Some(session) = &mut self.session {
            self.word_before = session.state();
            session.received(now_ms, bytes);
        }
    }

    fn closed(&mut self, now_ms: u64, why: &str) {
        if let Some(session) = &mut self.session {
            session.closed(now_ms, why);
        }
    }

    fn look_request(&self) -> Vec<u8> {
        self.session.as_ref().map_or(Vec::new(), Session::look_request)
    }

    fn look_received(&mut self, now_ms: u64, bytes: &[u8]) {
        if let Some(session) = &mut self.session {
            session.look_received(now_ms, bytes);
        }
    }

    fn look_closed(&mut self, now_ms: u64) {
        if let Some(session) = &mut self.session {
            session.look_closed(now_ms);
        }
    }

    fn pass(&mut self, now_ms: u64, checker: &mut Checker) {
        if self.starts_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.start(now_ms);
        }
        if let Some(session) = &mut self.session {
            session.tick(now_ms);
            if !self.is_calm && self.acts_at_ms <= now_ms {
                self.act(now_ms, checker);
            }
        }
    }

    fn next_ms(&self) -> Option<u64> {
        let Some(session) = &self.session else { return self.starts_at_ms };
        let acts = (!self.is_calm).then_some(self.acts_at_ms);
        [session.deadline(), acts].into_iter().flatten().min()
    }

    fn wishes(&mut self, now_ms: u64, checker: &mut Checker) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let mut handed = Vec::new();
        loop {
            let Some(session) = &mut self.session else { return wishes };
            let Some(output) = session.poll() else { break };
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
                Output::Event(event) => handed.extend(self.on_event(event, checker)),
            }
        }
        // A crash between showing and noting makes it show again.
        self.shown(handed);
        let Some(session) = &mut self.session else { return wishes };
        let bytes = session.outgoing().to_vec();
        if !bytes.is_empty() {
            session.wrote(now_ms, bytes.len());
            wishes.push(Wish::Send(bytes));
        }
        wishes
    }

    fn crash(&mut self, now_ms: u64, power: bool) -> bool {
        let had_one = self.session.take().is_some();
        self.asked.clear();
        if power && self.synced < self.file.len() {
            let lost = self.rng.below((self.file.len() - self.synced) as u64 + 1);
            self.file.truncate(self.file.len() - lost as usize);
        }
        self.starts_at_ms = Some(now_ms + 1 + self.rng.below(3_000));
        self.counts.client_crashes += u64::from(had_one);
        had_one
    }

    fn calm(&mut self, now_ms: u64) {
        self.is_calm = true;
        if self.session.is_none() {
            self.start(now_ms);
        }
        // Changes must work again.
        self.write(now_ms);
    }

    fn is_done(&self) -> bool {
        self.session.as_ref().is_some_and(|session| {
            session.waiting() == 0 && session.is_idle() && session.is_synced()
        })
    }

    fn waits_for(&self) -> String {
        let Some(session) = &self.session else { return format!("{}: no process", self.name) };
        let (state, waiting) = (session.state(), session.waiting());
        let (idle, synced) = (session.is_idle(), session.is_synced());
        let trouble = session.trouble().unwrap_or("none");
        format!(
            "{}: {state}, {waiting} waiting, idle {idle}, synced {synced}, trouble {trouble}",
            self.name
        )
    }

    fn check(&self, checker: &Checker) {
        let (name, seen) = (&self.name, &self.seen);
        let mut before = 0;
        for (id, to, body) in &seen.written {
            let place = checker.place_of(name, *id);
            match (seen.acknowledged.get(id), seen.refused.get(id)) {
                (Some(seq), _) => assert_eq!(place, Some(*seq), "{name}: {body:.40} to {to}"),
                (None, Some(code)) if code == "id-expired" => {}
                (None, Some(code)) => {
                    assert_eq!(place, None, "{name}: refused with {code}: {body:.40}")
                }
                (None, None) => panic!("{name}: {body:.40} to {to}: not stored, not refused"),
            }
            if let Some(seq) = place {
                assert!(seq > before, "{name}: {body:.40} at {seq} overtook what is at {before}");
                before = seq;
            }
        }
        let (Some(from), Some(session)) = (seen.from, &self.session) else { return };
        let cursor = session.cursor().unwrap_or(0);
        let mine = |id: u128| seen.written.iter().any(|written| written.0 == id);
        for letter in &checker.model().letters {
            let concerns = letter.to == *name || letter.from == *name;
            let wanted = concerns && letter.seq > from && letter.seq <= cursor;
            let gone = letter.to == *name && !letter.receiver_has
                || letter.from == *name && !letter.sender_has;
            if !wanted || gone || letter.from == *name && mine(letter.id) {
                continue;
            }
            let shown = seen.shown.binary_search_by_key(&letter.seq, |shown| shown.seq);
            assert!(shown.is_ok(), "{name}: a gap at {}: {:.40}", letter.seq, letter.body);
        }
    }

    fn count(&self, counts: &mut Counts) {
        counts.add(&self.counts);
        counts.acknowledged += self.seen.acknowledged.len() as u64;
        counts.refused += self.seen.refused.len() as u64;
    }
}
