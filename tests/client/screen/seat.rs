//! Somebody at a screen: keys in, a terminal's text out, and a small server behind it that answers
//! what the screen asks. Every frame is held against what was drawn, so that no frame may leave
//! anything of an earlier one.

use std::collections::{BTreeMap, VecDeque};

use chatctl::client::screen::frame::Frame;
use chatctl::client::screen::paint::{self, Painter};
use chatctl::client::screen::{Action, Screen, Settings, Status};
use chatctl::client::session::{Event, Incoming, Refusal, Request, State};
use chatctl::client::store::typed::Typed;
use chatctl::protocol::{Message, MsgIds, id};

use crate::support::bounded::Rounds;
use crate::support::vt::Vt;

/// Tuesday, 24 November 2026, 12:00 UTC.
pub const NOON: u64 = 1_795_521_600_000;
pub const ME: &str = "alice";

/// The servers' side of one account.
pub struct Served {
    /// All messages of the account, in the one order.
    pub messages: Vec<Incoming>,
    pub markers: BTreeMap<String, u64>,
    pub online: Vec<String>,
    pub accounts: Vec<String>,
    /// Answers are held back.
    pub is_silent: bool,
    pub asked: Vec<Request>,
    /// Most names in a page.
    pub page: usize,
    /// What every answer is instead of a true one.
    pub lie: Option<Vec<Message<'static>>>,
    held: VecDeque<(u64, Request)>,
}

pub struct Seat {
    pub screen: Screen,
    pub vt: Vt,
    pub now_ms: u64,
    pub served: Served,
    pub status: Status,
    /// Messages in the outbox: id, to, text.
    pub outbox: VecDeque<(u128, String, String)>,
    /// Actions that are not answered here.
    pub done: Vec<Action>,
    /// What was kept last, and whether the disk takes it.
    pub kept: Option<Typed>,
    pub keeps: bool,
    /// Sends are acknowledged at once.
    pub is_connected: bool,
    /// Bytes of the last frame, and how many frames had any.
    pub frame: Vec<u8>,
    pub frames: usize,
    /// Whom the screen wants to be told of, and how often it has said so.
    pub watched: Vec<String>,
    pub watches: usize,
    painter: Painter,
    next_id: u128,
}

pub fn settings() -> Settings {
    Settings { bell: false, notify: false, sidebar: None, zone: |_| 0 }
}

impl Seat {
    /// One that is logged in, with nobody known.
    pub fn new(columns: usize, rows: usize) -> Seat {
        let mut seat = Seat::with(settings(), columns, rows);
        seat.log_in();
        seat
    }

    /// One that is not logged in yet.
    pub fn with(settings: Settings, columns: usize, rows: usize) -> Seat {
        let status = Status {
            state: State::Connected,
            address: "127.0.0.1:7262".to_string(),
            trouble: None,
            waiting: 0,
            latency_ms: Some(1),
            owed_ms: None,
            outbox: "/state/outbox.0".to_string(),
        };
        let mut screen = Screen::new(ME, settings, status.clone());
        screen.on_resize(columns, rows);
        let mut vt = Vt::new(columns, rows);
        vt.feed(paint::ENTER);
        Seat {
            screen,
            vt,
            now_ms: 1_000,
            served: Served::new(),
            status,
            outbox: VecDeque::new(),
            done: Vec::new(),
            kept: None,
            keeps: false,
            is_connected: true,
            frame: Vec::new(),
            frames: 0,
            watched: Vec::new(),
            watches: 0,
            painter: Painter::new(true),
            next_id: 1 << 64,
        }
    }

    pub fn log_in(&mut self) {
        self.log_in_to(false);
    }

    /// Logs in, to a server without a majority or to another.
    pub fn log_in_to(&mut self, read_only: bool) {
        let name = ME.to_string();
        let login = Event::LoggedIn { name, unread: 0, resumed: false, read_only };
        self.screen.on_event(login);
        self.settle();
    }

    /// Types, and looks.
    pub fn keys(&mut self, keys: &str) -> &mut Seat {
        self.screen.on_bytes(self.now_ms, keys.as_bytes());
        self.settle();
        self.show();
        self
    }

    pub fn event(&mut self, event: Event) -> &mut Seat {
        self.screen.on_event(event);
        self.settle();
        self.show();
        self
    }

    /// Somebody writes; the server has it and pushes it.
    pub fn hear(&mut self, from: &str, text: &str) -> &mut Seat {
        let message = self.served.store(from, ME, text);
        self.event(Event::Message(message))
    }

    pub fn resize(&mut self, columns: usize, rows: usize) {
        self.screen.on_resize(columns, rows);
        self.painter.forget();
        self.vt.resize(columns, rows);
        self.show();
    }

    /// Time passes.
    pub fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.screen.on_tick(self.now_ms);
        self.settle();
        self.show();
    }

    /// Does what the screen wants, until it wants nothing more.
    pub fn settle(&mut self) {
        let mut rounds = Rounds::new(10_000, "the screen wants nothing more");
        loop {
            rounds.count();
            let actions = self.screen.take_actions();
            self.watch();
            if actions.is_empty() {
                break;
            }
            for action in actions {
                self.on_action(action);
            }
        }
        self.screen.check_invariants();
    }

    /// Tells the screen who is there, as the server does when it is asked to.
    fn watch(&mut self) {
        let Some(names) = self.screen.take_watched() else { return };
        self.watches += 1;
        let is_online = |name: &&String| self.served.online.contains(name);
        let online = names.iter().filter(is_online).cloned().collect();
        self.watched = names;
        self.screen.on_event(Event::Online(online));
    }

    fn on_action(&mut self, action: Action) {
        match action {
            Action::Ask { tag, request } => {
                self.served.asked.push(request.clone());
                match self.served.is_silent {
                    true => self.served.held.push_back((tag, request)),
                    false => self.answer(tag, &request),
                }
            }
            Action::Send { to, text } => {
                self.next_id += 1;
                let id = self.next_id;
                self.screen.on_taken(&to, &text, id, self.served.time());
                self.outbox.push_back((id, to, text));
                if self.is_connected {
                    self.acknowledge();
                }
            }
            Action::MarkRead { name, seq } => {
                let marker = self.served.markers.entry(name).or_default();
                *marker = seq.max(*marker);
            }
            Action::Keep if self.keeps => {
                self.kept = Some(self.screen.to_keep());
                self.screen.on_kept(true, None);
            }
            Action::Keep => self.screen.on_kept(false, None),
            Action::Repaint => self.painter.forget(),
            Action::Bell => self.vt.feed(paint::BELL),
            Action::Copy(text) => self.vt.feed(&paint::copy(&text)),
            other => self.done.push(other),
        }
    }

    /// The answers that were held back come.
    pub fn answer_all(&mut self) {
        self.served.is_silent = false;
        while let Some((tag, request)) = self.served.held.pop_front() {
            self.answer(tag, &request);
        }
        self.settle();
        self.show();
    }

    /// What is held back now is answered; what that makes it ask is held back again.
    pub fn answer_held(&mut self) {
        for (tag, request) in std::mem::take(&mut self.served.held) {
            self.answer(tag, &request);
        }
        self.settle();
        self.show();
    }

    /// All that was asked is refused.
    pub fn refuse_all(&mut self, code: &str, text: &str) {
        while let Some((tag, _)) = self.served.held.pop_front() {
            self.screen.on_answer(tag, Err(Refusal::new(code, text)));
        }
        self.settle();
        self.show();
    }

    fn answer(&mut self, tag: u64, request: &Request) {
        let frames = self.served.frames(request);
        self.screen.on_answer(tag, Ok(frames));
    }

    /// The server has stored all that waits, and says so.
    pub fn acknowledge(&mut self) {
        while let Some((id, to, text)) = self.outbox.pop_front() {
            let stored = self.served.store_as(id, ME, &to, &text);
            let (seq, time) = (stored.seq, stored.time);
            self.screen.on_event(Event::Sent { id, to, body: text, seq, time });
        }
    }

    /// Draws a frame into the terminal, and holds that it shows what was drawn.
    pub fn show(&mut self) {
        self.status.waiting = self.outbox.len();
        self.screen.on_status(self.status.clone());
        let Frame { buffer, cursor, title, wishes } = self.screen.draw();
        buffer.check_invariants();
        let (columns, rows) = (buffer.columns(), buffer.rows());
        assert!(cursor.is_none_or(|(row, column)| row < rows && column < columns), "{cursor:?}");
        self.frame = self.painter.frame(buffer.clone(), cursor);
        self.frames += usize::from(!self.frame.is_empty());
        self.vt.feed(&self.frame);
        self.vt.feed(&paint::title(&title));
        self.screen.on_drawn(wishes);
        for row in 0..rows {
            assert_eq!(self.vt.row(row), buffer.text(row), "row {row}");
        }
        if let Some(cursor) = cursor {
            assert_eq!(self.vt.cursor(), cursor);
        }
        assert_eq!(self.vt.shows_cursor, cursor.is_some());
        assert_eq!(self.vt.not_understood, [] as [&str; 0]);
        self.settle();
    }

    pub fn text(&self) -> String {
        self.vt.text()
    }

    /// Whether a row of the terminal has this.
    pub fn shows(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// How many rows of the terminal have this.
    pub fn count(&self, text: &str) -> usize {
        self.text().lines().filter(|line| line.contains(text)).count()
    }
}

impl Served {
    fn new() -> Served {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        Served {
            messages: Vec::new(),
            markers: BTreeMap::new(),
            online: names(&[ME, "bob"]),
            accounts: names(&[ME, "bob", "bobby", "carol"]),
            is_silent: false,
            asked: Vec::new(),
            page: 500,
            lie: None,
            held: VecDeque::new(),
        }
    }

    fn time(&self) -> u64 {
        NOON + self.messages.len() as u64 * 60_000
    }

    /// A message is stored, a minute after the one before.
    pub fn store(&mut self, from: &str, to: &str, text: &str) -> Incoming {
        let id = self.messages.len() as u128 + 1;
        self.store_as(id, from, to, text)
    }

    fn store_as(&mut self, id: u128, from: &str, to: &str, text: &str) -> Incoming {
        let seq = self.messages.last().map_or(10, |last| last.seq + 2);
        let (id, time) = (id::format(id), self.time());
        let (from, to, body) = (from.to_string(), to.to_string(), text.to_string());
        let message = Incoming { id, from, to, body, time, seq };
        self.messages.push(message.clone());
        message
    }

    fn with(&self, name: &str) -> impl DoubleEndedIterator<Item = &Incoming> {
        let is_with = move |message: &&Incoming| other(message) == name;
        self.messages.iter().filter(is_with)
    }

    fn frames(&mut self, request: &Request) -> Vec<Message<'static>> {
        if let Some(lie) = &self.lie {
            return lie.clone();
        }
        match request {
            Request::Inbox { .. } => vec![self.inbox()],
            Request::History { with, before, limit } => self.history(with, *before, *limit),
            Request::Who { pattern, after } => vec![self.names(&self.online, pattern, after)],
            Request::List { pattern, after } => vec![self.names(&self.accounts, pattern, after)],
            Request::DeleteMessages { ids, .. } => {
                let ids: Vec<String> = ids.iter().map(|id| id::format(*id)).collect();
                let before = self.messages.len();
                self.messages.retain(|message| !ids.contains(&message.id));
                let limit = (before - self.messages.len()) as u16;
                vec![Message { cmd: "delete_msgs".into(), limit, ..Message::default() }]
            }
            Request::ServerStatus => {
                let body = "id a\nrole PRIMARY\nterm 3".into();
                vec![Message { cmd: "server_status".into(), body, ..Message::default() }]
            }
            _ => vec![Message::default()],
        }
    }

    fn inbox(&self) -> Message<'static> {
        let mut newest: BTreeMap<&str, (u64, &Incoming)> = BTreeMap::new();
        for message in &self.messages {
            let name = other(message);
            let read_to = self.markers.get(name).copied().unwrap_or(0);
            let is_unread = message.from != ME && message.seq > read_to;
            let line = newest.entry(name).or_insert((0, message));
            *line = (line.0 + u64::from(is_unread), message);
        }
        let lines = newest.iter().map(|(name, (unread, message))| {
            format!("{name}\t{unread}\t{}\t{}", message.seq, message.time)
        });
        let body = lines.collect::<Vec<_>>().join("\n").into();
        Message { cmd: "inbox".into(), body, ..Message::default() }
    }

    fn history(&self, with: &str, before: u64, limit: u16) -> Vec<Message<'static>> {
        let before = if before == 0 { u64::MAX } else { before };
        let older: Vec<&Incoming> =
            self.with(with).filter(|message| message.seq < before).collect();
        let from = older.len().saturating_sub(usize::from(limit.max(1)));
        let page = &older[from..];
        let mut frames: Vec<Message<'static>> =
            page.iter().map(|message| deliver(message)).collect();
        let body = if from > 0 { "more" } else { "end" }.into();
        let seq = page.first().map_or(before, |first| first.seq);
        frames.push(Message { cmd: "history".into(), body, seq, ..Message::default() });
        frames
    }

    fn names(&self, all: &[String], pattern: &str, after: &str) -> Message<'static> {
        let part = pattern.trim_end_matches('*');
        let is_match = |name: &&String| match pattern.ends_with('*') {
            true => name.starts_with(part),
            false => name.contains(part),
        };
        let mut matching = all.iter().filter(is_match).filter(|name| name.as_str() > after);
        let page: Vec<String> = matching.by_ref().take(self.page).cloned().collect();
        let more = matching.next().is_some();
        let next = page.last().filter(|_| more).cloned().unwrap_or_default();
        Message {
            cmd: "list".into(),
            body: page.join(",").into(),
            to: next.into(),
            ..Message::default()
        }
    }
}

fn other(message: &Incoming) -> &str {
    if message.from == ME { &message.to } else { &message.from }
}

fn deliver(message: &Incoming) -> Message<'static> {
    Message {
        cmd: "deliver".into(),
        src: message.from.clone().into(),
        to: message.to.clone().into(),
        body: message.body.clone().into(),
        msg_ids: MsgIds::Many(vec![message.id.clone().into()]),
        time: message.time,
        seq: message.seq,
        limit: 1,
        ..Message::default()
    }
}
