//! A client written from the protocol's page alone, with no manners: it sends an id twice, or with
//! other content, takes deliveries, pages, deletes, changes its mind about servers, and in the end
//! perhaps its account.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chatctl::chat::Direction;
use chatctl::protocol::framing::{self, Codec, Form, Split};
use chatctl::protocol::{Message, MsgIds, id};

use super::checker::{Checker, Lengths};
use super::client::{Client, Wish};
use super::counts::Counts;
use crate::chat::model::{Event, Model};
use crate::support::Rng;

/// It does not wait longer for an answer, milliseconds.
const PATIENCE_MS: u64 = 8_000;

/// One such client; it has one account, of which it is the only client.
pub struct Wild {
    name: String,
    servers: Vec<String>,
    others: Vec<String>,
    rng: Rng,
    pace_ms: u64,
    codec: Codec,
    form: Form,
    line: Line,
    wishes: Vec<Wish>,
    pending: VecDeque<Asked>,
    frames: Vec<Message<'static>>,
    input: Vec<u8>,
    acts_at_ms: u64,
    is_calm: bool,
    deletes_itself: bool,
    read_only: bool,
    cursor: u64,
    /// The newest seq that it knows.
    known: u64,
    sends: BTreeMap<u128, Vec<Attempt>>,
    taken: BTreeSet<u64>,
    account_gone: bool,
    counts: Counts,
}

/// Where it is with its connection.
enum Line {
    Down { until_ms: u64, to: Option<String> },
    Connecting { until_ms: u64 },
    Up,
}

struct Asked {
    message: Message<'static>,
    floor: u64,
    by_ms: u64,
}

/// One `send` of an id.
struct Attempt {
    /// The newest seq that was known at the first one.
    known: u64,
    to: String,
    body: String,
    outcome: Outcome,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    Stored,
    Refused,
}

fn request(cmd: &'static str) -> Message<'static> {
    Message { cmd: cmd.into(), ..Message::default() }
}

impl Wild {
    pub fn new(name: &str, servers: Vec<String>, others: Vec<String>, seed: u64) -> Wild {
        let mut rng = Rng::new(seed);
        let pace_ms = 20 + rng.below(800);
        let codec = if rng.chance(1, 2) { Codec::Binary } else { Codec::Json };
        let form = match codec {
            Codec::Json if rng.chance(1, 2) => Form::Lines,
            _ => Form::Frames,
        };
        let until_ms = rng.below(2_000);
        Wild {
            name: name.to_owned(),
            servers,
            others,
            pace_ms,
            codec,
            form,
            line: Line::Down { until_ms, to: None },
            wishes: Vec::new(),
            pending: VecDeque::new(),
            frames: Vec::new(),
            input: Vec::new(),
            acts_at_ms: 0,
            is_calm: false,
            deletes_itself: rng.chance(1, 4),
            read_only: false,
            cursor: 0,
            known: 0,
            sends: BTreeMap::new(),
            taken: BTreeSet::new(),
            account_gone: false,
            counts: Counts::default(),
            rng,
        }
    }

    fn drop_line(&mut self, now_ms: u64, to: Option<String>) {
        for asked in std::mem::take(&mut self.pending) {
            // Whether the account went with it is found out by logging in again.
            if asked.message.cmd == "send" {
                self.counts.open += 1;
            }
        }
        self.input.clear();
        self.frames.clear();
        self.read_only = false;
        let until_ms = now_ms + self.rng.below(400);
        self.line = Line::Down { until_ms, to };
    }

    fn connect(&mut self, now_ms: u64, to: Option<String>) {
        let any = self.rng.below(self.servers.len() as u64) as usize;
        let address = to.unwrap_or_else(|| self.servers[any].clone());
        self.line = Line::Connecting { until_ms: now_ms + PATIENCE_MS };
        self.counts.connections += 1;
        self.wishes.push(Wish::Connect(address));
    }

    fn say(&mut self, now_ms: u64, message: Message<'static>, checker: &Checker) {
        let mut bytes = Vec::new();
        framing::put(&mut bytes, self.form, self.codec, &message);
        self.wishes.push(Wish::Send(bytes));
        let (floor, by_ms) = (checker.acknowledged, now_ms + PATIENCE_MS);
        self.pending.push_back(Asked { message, floor, by_ms });
    }

    fn log_in(&mut self, now_ms: u64, checker: &Checker) {
        let src = self.name.clone().into();
        let body = format!("secret {}", self.name).into();
        self.say(now_ms, Message { src, body, ..request("create") }, checker);
    }

    fn act(&mut self, now_ms: u64, checker: &Checker) {
        self.acts_at_ms = now_ms + 1 + self.rng.below(self.pace_ms);
        for _ in 0..1 + self.rng.below(6) {
            let message = self.some_request(checker);
            if self.pending.len() < 20 {
                self.say(now_ms, message, checker);
            }
        }
        if self.rng.chance(1, 60) {
            // It has had enough of this server.
            self.wishes.push(Wish::Close);
            self.drop_line(now_ms, None);
        }
    }

    fn some_request(&mut self, checker: &Checker) -> Message<'static> {
        let seq = self.some_seq(checker);
        match self.rng.below(16) {
            0..=5 => self.some_send(),
            6 => Message { limit: 1 + self.rng.below(5) as u16, ..request("deliver") },
            7 | 8 => {
                let after = self.rng.chance(1, 2);
                let body = if after { "after" } else { "before" }.into();
                let to = if self.rng.chance(1, 2) { self.someone() } else { String::new() };
                let (to, limit) = (to.into(), 1 + self.rng.below(20) as u16);
                Message { to, body, seq, limit, ..request("history") }
            }
            9 | 10 => {
                let limit = 1 + self.rng.below(30) as u16;
                Message { seq: self.cursor, limit, ..request("sync") }
            }
            11 => Message { limit: 100, ..request("inbox") },
            12 => request("list"),
            13 => Message { to: self.someone().into(), seq, ..request("read") },
            14 => self.some_deletion(checker),
            _ => request("ping"),
        }
    }

    fn some_seq(&mut self, checker: &Checker) -> u64 {
        match self.rng.below(3) {
            0 => 0,
            _ => self.rng.below(checker.last() + 2),
        }
    }

    fn someone(&mut self) -> String {
        let place = self.rng.below(self.others.len() as u64) as usize;
        self.others[place].clone()
    }

    fn some_send(&mut self) -> Message<'static> {
        let again = !self.sends.is_empty() && self.rng.chance(1, 4);
        let (id, known, to, body) = if again {
            let place = self.rng.below(self.sends.len() as u64) as usize;
            let (id, attempts) = self.sends.iter().nth(place).expect("the place is in it");
            let Attempt { known, to, body, .. } = &attempts[0];
            let other = self.rng.chance(1, 4);
            let body = if other { format!("{body}, or not") } else { body.clone() };
            self.counts.doubled_ids += 1;
            (*id, *known, to.clone(), body)
        } else {
            let mut random = [0; 16];
            random.copy_from_slice(&self.rng.bytes(16));
            let to = if self.rng.chance(1, 20) { "nobody".to_owned() } else { self.someone() };
            let body = format!("{} {}", self.name, self.sends.len());
            (id::from_random(random), self.known, to, body)
        };
        let outcome = Outcome::Open;
        let attempt = Attempt { known, to: to.clone(), body: body.clone(), outcome };
        self.sends.entry(id).or_default().push(attempt);
        let msg_ids = MsgIds::Many(vec![id::format(id).into()]);
        Message { to: to.into(), body: body.into(), msg_ids, seq: known, ..request("send") }
    }

    fn some_deletion(&mut self, checker: &Checker) -> Message<'static> {
        let seen = checker.model().history(&self.name, None);
        if seen.is_empty() {
            return request("ping");
        }
        let seq = seen[self.rng.below(seen.len() as u64) as usize];
        let id = checker.letter(seq).map_or(0, |letter| letter.id);
        let msg_ids = MsgIds::Many(vec![id::format(id).into()]);
        Message { msg_ids, ..request("delete_msgs") }
    }

    fn on_message(&mut self, now_ms: u64, message: Message<'static>, checker: &mut Checker) {
        let word = message.body.split(':').next().unwrap_or_default();
        match message.cmd.as_ref() {
            "redirect" => {
                self.counts.redirects += 1;
                self.wishes.push(Wish::Close);
                self.drop_line(now_ms, Some(message.to.into_owned()));
            }
            "server_status" if ["electing", "read-only", "primary"].contains(&word) => {
                self.read_only = word == "read-only";
            }
            "lagging" => {}
            "deliver" | "taken_back" | "read_moved" if message.limit == 0 && !message.error => {
                assert!(self.frames.is_empty(), "{}: a push inside a reply", self.name);
            }
            "deliver" | "taken_back" | "read_moved" if !message.error => self.frames.push(message),
            _ => self.on_reply(now_ms, message, checker),
        }
    }

    fn on_reply(&mut self, now_ms: u64, reply: Message<'static>, checker: &mut Checker) {
        let asked = self.pending.pop_front();
        let asked = asked.unwrap_or_else(|| panic!("{}: {reply:?} was not asked", self.name));
        let frames = std::mem::take(&mut self.frames);
        let cmd = asked.message.cmd.as_ref();
        let code = reply.body.split(':').next().unwrap_or_default();
        assert!(
            reply.cmd == cmd || cmd == "deliver" && reply.cmd == "delivered",
            "{}: {reply:?} answers {:?}",
            self.name,
            asked.message
        );
        self.known = self.known.max(if cmd == "history" { 0 } else { reply.seq });
        let floor = if self.read_only { 0 } else { asked.floor };
        self.counts.read_only += u64::from(self.read_only && !reply.error);
        match (cmd, reply.error) {
            ("create", false) => self.on_login(&asked, &reply, checker),
            ("create", true) => self.on_login_refused(now_ms, code),
            ("send", error) => self.on_sent(&asked, &reply, error.then_some(code), checker),
            ("delete", false) => self.account_gone = true,
            (_, true) => {
                let passing = ["read-only", "busy", "no-such-user", "disk-full", "not-logged-in"];
                let fits = passing.contains(&code) || code == "outcome-unknown";
                assert!(fits, "{}: {reply:?} answers {:?}", self.name, asked.message);
            }
            ("deliver", false) => self.on_taken(&frames, &reply, checker),
            ("history" | "sync" | "inbox" | "list", false) => {
                self.on_page(&asked, floor, &frames, &reply, checker);
            }
            _ => {}
        }
    }

    fn on_login(&mut self, asked: &Asked, reply: &Message<'_>, checker: &mut Checker) {
        let name = self.name.clone();
        let floor = if self.read_only { 0 } else { asked.floor };
        assert!(reply.seq >= floor, "{name}: logged in at {}, {floor} is known", reply.seq);
        let unread = u64::from(reply.limit);
        // The answer is true of just the state that it names.
        let (seq, mut at) = (reply.seq, 0);
        if seq <= checker.last() {
            at = seq;
        }
        checker.explain(at, &format!("{name}: {unread} unread at {seq}"), |model| {
            model.unread_total(&name) == unread
        });
        if self.cursor == 0 {
            self.cursor = reply.seq;
        }
    }

    fn on_login_refused(&mut self, now_ms: u64, code: &str) {
        if code == "name-taken" {
            assert!(self.deletes_itself, "{}: its name is taken", self.name);
            self.account_gone = true;
        }
        self.wishes.push(Wish::Close);
        self.drop_line(now_ms, None);
    }

    fn on_sent(
        &mut self,
        asked: &Asked,
        reply: &Message<'_>,
        code: Option<&str>,
        checker: &mut Checker,
    ) {
        let id = asked.message.msg_ids.iter().next().and_then(id::parse).expect("it has an id");
        let (to, body) = (asked.message.to.as_ref(), asked.message.body.as_ref());
        if code.is_none() {
            checker.on_acknowledged(&self.name, id, to, body, (reply.seq, reply.time));
        }
        let outcome = match code {
            None => Outcome::Stored,
            Some("outcome-unknown" | "id-expired") => Outcome::Open,
            Some(_) => Outcome::Refused,
        };
        self.counts.acknowledged += u64::from(outcome == Outcome::Stored);
        self.counts.refused += u64::from(outcome == Outcome::Refused);
        let attempts = self.sends.get_mut(&id).expect("it was sent");
        let open = |attempt: &&mut Attempt| {
            attempt.outcome == Outcome::Open && attempt.to == to && attempt.body == body
        };
        if let Some(attempt) = attempts.iter_mut().find(open) {
            attempt.outcome = outcome;
        }
    }

    fn on_taken(&mut self, frames: &[Message<'_>], reply: &Message<'_>, checker: &Checker) {
        assert_eq!(frames.len(), usize::from(reply.limit));
        for frame in frames {
            let letter = checker.letter(frame.seq);
            assert!(
                letter.is_some_and(|letter| letter.to == self.name && letter.body == frame.body)
            );
            assert!(self.taken.insert(frame.seq), "{}: {} came twice", self.name, frame.seq);
        }
    }

    fn on_page(
        &mut self,
        asked: &Asked,
        floor: u64,
        frames: &[Message<'_>],
        reply: &Message<'_>,
        checker: &mut Checker,
    ) {
        let (name, question) = (self.name.clone(), &asked.message);
        let what = format!("{name}: {question:?} from {floor} on: {reply:?}");
        let places: Vec<u64> = frames.iter().map(|frame| frame.seq).collect();
        let limit = usize::from(question.limit);
        // How much of what is asked for a page has room for depends on the lengths.
        let lengths = checker.lengths();
        match question.cmd.as_ref() {
            "history" => {
                let to = question.to.as_ref();
                let with = (!to.is_empty()).then_some(to);
                let way =
                    if question.body == "after" { Direction::After } else { Direction::Before };
                checker.explain(floor, &what, |model| {
                    let all = model.history(&name, with);
                    let (page, more) = lengths.page(&all, question.seq, way, limit);
                    page == places && (reply.body == "more") == more
                });
            }
            "sync" => {
                let got: Vec<Event> = frames.iter().map(event_of).collect();
                checker.explain(floor, &what, |model| {
                    sync_fits(model, &lengths, &name, question, &got)
                });
                self.cursor = reply.seq;
            }
            "inbox" => checker.explain(floor, &what, |model| {
                let line = |line: &(String, u32, u64, u64)| {
                    format!("{}\t{}\t{}\t{}", line.0, line.1, line.2, line.3)
                };
                let lines: Vec<String> = model.inbox(&name).iter().map(line).collect();
                lines.join("\n") == *reply.body
            }),
            _ => checker.explain(floor, &what, |model| {
                let names: Vec<&str> = model.live.keys().map(String::as_str).collect();
                names.join(",") == *reply.body
            }),
        }
    }
}

/// What `sync` said; a moved marker has no seq of its own there.
fn event_of(frame: &Message<'_>) -> Event {
    match frame.cmd.as_ref() {
        "deliver" => Event::Message(frame.seq),
        "taken_back" => {
            let ids = frame.msg_ids.iter().filter_map(id::parse).collect();
            Event::TakenBack(frame.seq, ids)
        }
        _ => Event::ReadMoved(0, frame.to.to_string(), frame.seq),
    }
}

fn sync_fits(
    model: &Model,
    lengths: &Lengths,
    name: &str,
    question: &Message<'_>,
    got: &[Event],
) -> bool {
    let after = model.events(name).into_iter().filter(|event| event.seq() > question.seq);
    let asked: Vec<Event> = after.take(usize::from(question.limit)).collect();
    let fits = lengths.fitting(asked.iter().map(Event::seq));
    let page: Vec<Event> = asked
        .into_iter()
        .take(fits)
        .map(|event| match event {
            Event::ReadMoved(_, from, marker) => Event::ReadMoved(0, from, marker),
            other => other,
        })
        .collect();
    page == got
}

impl Client for Wild {
    fn connected(&mut self, _: u64) {
        if let Line::Connecting { .. } = self.line {
            self.line = Line::Up;
            self.acts_at_ms = 0;
        }
    }

    fn received(&mut self, now_ms: u64, bytes: &[u8], checker: &mut Checker) {
        self.input.extend_from_slice(bytes);
        let mut scanned = 0;
        while matches!(self.line, Line::Up) {
            match framing::split(self.form, &self.input, &mut scanned) {
                Split::NeedMore => return,
                Split::Blank { consumed } => drop(self.input.drain(..consumed)),
                Split::TooLong => panic!("{}: a frame without an end", self.name),
                Split::Payload { start, end, consumed, codec } => {
                    let message = framing::decode(codec, &self.input[start..end]);
                    let message = message.expect("a server's frames can be read").into_owned();
                    self.input.drain(..consumed);
                    scanned = 0;
                    self.on_message(now_ms, message, checker);
                }
            }
        }
    }

    fn closed(&mut self, now_ms: u64, _: &str) {
        self.drop_line(now_ms, None);
    }

    fn pass(&mut self, now_ms: u64, checker: &mut Checker) {
        match &mut self.line {
            Line::Down { until_ms, to } if *until_ms <= now_ms => {
                let to = to.take();
                if !(self.account_gone || self.is_calm && self.deletes_itself) {
                    self.connect(now_ms, to);
                }
            }
            Line::Connecting { until_ms } if *until_ms <= now_ms => {
                self.wishes.push(Wish::Close);
                self.drop_line(now_ms, None);
            }
            Line::Up if self.acts_at_ms == 0 => {
                self.log_in(now_ms, checker);
                self.acts_at_ms = now_ms + 1;
            }
            Line::Up if self.pending.front().is_some_and(|asked| asked.by_ms <= now_ms) => {
                self.wishes.push(Wish::Close);
                self.drop_line(now_ms, None);
            }
            Line::Up if !self.is_calm && self.acts_at_ms <= now_ms => {
                let logging_in = self.pending.iter().any(|asked| asked.message.cmd == "create");
                if !logging_in {
                    self.act(now_ms, checker);
                } else {
                    self.acts_at_ms = now_ms + 1 + self.rng.below(self.pace_ms);
                }
            }
            _ => {}
        }
    }

    fn next_ms(&self) -> Option<u64> {
        match &self.line {
            Line::Down { .. } if self.account_gone || self.is_calm && self.deletes_itself => None,
            Line::Down { until_ms, .. } | Line::Connecting { until_ms } => Some(*until_ms),
            Line::Up => {
                let acts = (!self.is_calm || self.acts_at_ms == 0).then_some(self.acts_at_ms);
                let answer = self.pending.front().map(|asked| asked.by_ms);
                [acts, answer].into_iter().flatten().min()
            }
        }
    }

    fn wishes(&mut self, _: u64, _: &mut Checker) -> Vec<Wish> {
        std::mem::take(&mut self.wishes)
    }

    fn crash(&mut self, now_ms: u64, _: bool) -> bool {
        let was_up = matches!(self.line, Line::Up);
        self.wishes.clear();
        self.drop_line(now_ms, None);
        self.counts.client_crashes += u64::from(was_up);
        was_up
    }

    fn calm(&mut self, now_ms: u64) {
        self.is_calm = true;
        if self.deletes_itself && matches!(self.line, Line::Up) && !self.account_gone {
            // Its last word; whether it was heard is for the log to say.
            let mut bytes = Vec::new();
            framing::put(&mut bytes, self.form, self.codec, &request("delete"));
            self.wishes.push(Wish::Send(bytes));
            let (message, by_ms) = (request("delete"), now_ms + PATIENCE_MS);
            self.pending.push_back(Asked { message, floor: 0, by_ms });
        }
    }

    fn is_done(&self) -> bool {
        let away = self.account_gone || self.deletes_itself && !matches!(self.line, Line::Up);
        let up = matches!(self.line, Line::Up) && self.acts_at_ms != 0;
        away || up && self.pending.is_empty()
    }

    fn waits_for(&self) -> String {
        let first = self.pending.front().map(|asked| &asked.message);
        format!("{}: {} pending, first {first:?}", self.name, self.pending.len())
    }

    fn check(&self, checker: &Checker) {
        for (id, attempts) in &self.sends {
            let place = checker.place_of(&self.name, *id);
            let all_refused = attempts.iter().all(|attempt| attempt.outcome == Outcome::Refused);
            assert!(!all_refused || place.is_none(), "{}: {id:032x} was refused", self.name);
            if let Some(letter) = place.and_then(|seq| checker.letter(seq)) {
                let fits = |attempt: &Attempt| {
                    attempt.to == letter.to
                        && attempt.body == letter.body
                        && attempt.outcome != Outcome::Refused
                };
                assert!(attempts.iter().any(fits), "{}: a phantom under {id:032x}", self.name);
            }
        }
    }

    fn count(&self, counts: &mut Counts) {
        counts.add(&self.counts);
    }
}
