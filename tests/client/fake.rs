//! A model of a cluster for the session's tests: one log, dedupe by (sender, id), servers that
//! redirect, elect, refuse and lose connections when the test's dice say so. It keeps the protocol;
//! what it does at which moment is random.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chatctl::protocol::framing::{self, Codec, Form, Split};
use chatctl::protocol::{Message, MsgIds, id};

use crate::support::Rng;

pub const ME: &str = "alice";
pub const PASSWORD: &str = "open sesame";

/// A stored message.
#[derive(Clone, Debug)]
pub struct Stored {
    pub seq: u64,
    pub from: String,
    pub to: String,
    pub id: u128,
    pub body: String,
    pub time: u64,
}

/// What the servers agree on, and the dice.
pub struct Cluster {
    pub seed: u64,
    pub rng: Rng,
    pub addresses: Vec<String>,
    pub primary: usize,
    /// The PRIMARY's.
    pub term: u64,
    /// Servers whose machines hang: they take connections and bytes, and say nothing.
    pub silent: BTreeSet<usize>,
    /// Servers that refuse connections.
    pub dead: BTreeSet<usize>,
    /// Nobody is PRIMARY.
    pub electing: bool,
    pub id: u128,
    pub seq: u64,
    pub log: Vec<Stored>,
    pub tokens: Vec<String>,
    pub exists: bool,
    pub password: String,
    /// Faults happen (off in the calm phase at the end).
    pub faults: bool,
    pub page: usize,
    pub logins: Vec<String>,
    pub sends_seen: BTreeMap<u128, Vec<(String, u64)>>,
    pub reads_seen: Vec<(String, u64)>,
    /// The next send gets this code.
    pub refuse_next: Option<&'static str>,
}

impl Cluster {
    pub fn new(seed: u64, servers: usize) -> Cluster {
        Cluster {
            seed,
            rng: Rng::new(seed),
            addresses: (0..servers).map(|n| format!("server{n}:7262")).collect(),
            primary: 0,
            term: 1,
            silent: BTreeSet::new(),
            dead: BTreeSet::new(),
            electing: false,
            id: 77,
            seq: 10,
            log: Vec::new(),
            tokens: Vec::new(),
            exists: true,
            password: PASSWORD.to_string(),
            faults: true,
            page: 3,
            logins: Vec::new(),
            sends_seen: BTreeMap::new(),
            reads_seen: Vec::new(),
            refuse_next: None,
        }
    }

    fn fault(&mut self, one_in: u64) -> bool {
        self.faults && self.rng.chance(1, one_in)
    }

    /// Stores a message, or finds the one of that id.
    pub fn store(&mut self, from: &str, to: &str, id: u128, body: &str) -> Stored {
        if let Some(known) = self.log.iter().find(|s| s.from == from && s.id == id) {
            assert_eq!((known.to.as_str(), known.body.as_str()), (to, body), "one id, one content");
            return known.clone();
        }
        self.seq += 1 + self.rng.below(3);
        let time = 1_000_000 + self.seq;
        let (from, to, body) = (from.to_string(), to.to_string(), body.to_string());
        let stored = Stored { seq: self.seq, from, to, id, body, time };
        self.log.push(stored.clone());
        stored
    }
}

/// The server's side of one connection.
pub struct Connection {
    pub server: usize,
    input: Vec<u8>,
    scanned: usize,
    pub output: VecDeque<u8>,
    pub logged_in: bool,
    /// Requests held while nobody is PRIMARY.
    held: VecDeque<Message<'static>>,
    /// Sends are refused with this until a ping.
    refusing: Option<&'static str>,
    pub closing: bool,
    told_electing: bool,
    codec: Codec,
    /// Pushes up to there were left out.
    lagging: u64,
}

impl Connection {
    pub fn new(server: usize) -> Connection {
        Connection {
            server,
            input: Vec::new(),
            scanned: 0,
            output: VecDeque::new(),
            logged_in: false,
            held: VecDeque::new(),
            refusing: None,
            closing: false,
            told_electing: false,
            codec: Codec::Json,
            lagging: 0,
        }
    }

    /// Says something unasked.
    pub fn put(&mut self, message: &Message<'_>) {
        let mut bytes = Vec::new();
        framing::put(&mut bytes, Form::Frames, self.codec, message);
        self.output.extend(bytes);
    }

    /// Takes what the client wrote.
    pub fn receive(&mut self, cluster: &mut Cluster, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        loop {
            let (message, consumed) =
                match framing::split(Form::Frames, &self.input, &mut self.scanned) {
                    Split::NeedMore => break,
                    Split::Payload { start, end, consumed, codec } => {
                        self.codec = codec;
                        let message = framing::decode(codec, &self.input[start..end]);
                        (message.expect("the session speaks the protocol").into_owned(), consumed)
                    }
                    other => panic!("the session's frames are cut well: {other:?}"),
                };
            self.input.drain(..consumed);
            self.held.push_back(message);
        }
        self.work(cluster);
    }

    /// Handles what is held, as far as the cluster's state allows.
    pub fn work(&mut self, cluster: &mut Cluster) {
        if cluster.silent.contains(&self.server) {
            return;
        }
        while !self.closing && !self.held.is_empty() {
            if self.held.front().is_some_and(|message| message.cmd == "server_status") {
                self.held.pop_front();
                self.on_status(cluster);
                continue;
            }
            if cluster.electing {
                if !std::mem::replace(&mut self.told_electing, true) {
                    let body = Cow::Borrowed("electing: wait");
                    self.put(&Message { cmd: "server_status".into(), body, ..Message::default() });
                }
                return;
            }
            let message = self.held.pop_front().expect("not empty");
            if self.server != cluster.primary {
                return self.redirect(cluster);
            }
            if std::mem::take(&mut self.told_electing) {
                let body = Cow::Borrowed("primary: server");
                self.put(&Message { cmd: "server_status".into(), body, ..Message::default() });
            }
            self.on_request(cluster, &message);
        }
    }

    fn on_status(&mut self, cluster: &Cluster) {
        let is_primary = self.server == cluster.primary && !cluster.electing;
        let role = if is_primary { "PRIMARY" } else { "BACKUP" };
        let address = match cluster.electing {
            true => "",
            false => cluster.addresses[cluster.primary].as_str(),
        };
        let term = cluster.term;
        let body =
            format!("id s\nrole {role}\nterm {term}\ncommit 1\nprimary {address}\nread_only no");
        self.put(&Message { cmd: "server_status".into(), body: body.into(), ..Message::default() });
    }

    fn redirect(&mut self, cluster: &Cluster) {
        let mut redirect = Message { cmd: "redirect".into(), ..Message::default() };
        redirect.to = Cow::Owned(cluster.addresses[cluster.primary].clone());
        redirect.error = true;
        self.put(&redirect);
        self.closing = true;
    }

    fn on_request(&mut self, cluster: &mut Cluster, request: &Message<'_>) {
        let mut reply =
            Message { cmd: request.cmd.clone().into_owned().into(), ..Message::default() };
        let before_login = ["create", "login", "resume", "ping", "server_status", "logoff"];
        if !self.logged_in && !before_login.contains(&request.cmd.as_ref()) {
            return self.refuse(reply, "not-logged-in");
        }
        match request.cmd.as_ref() {
            "create" | "login" | "resume" => return self.on_login(cluster, request, reply),
            "logoff" => self.logged_in = false,
            "token" => {
                let token = format!("token-{}", cluster.rng.next());
                cluster.tokens.push(token.clone());
                reply.body = Cow::Owned(token);
            }
            "ping" => {
                self.refusing = None;
                reply.time = 1;
            }
            "send" => return self.on_send(cluster, request, reply),
            "sync" => return self.on_sync(cluster, request, reply),
            "passwd" => {
                cluster.password = request.body.to_string();
                cluster.tokens.clear();
            }
            "list" if cluster.fault(3) => return self.refuse(reply, "busy"),
            "list" => reply.body = Cow::Borrowed("alice,bob"),
            "read" => cluster.reads_seen.push((request.to.to_string(), request.seq)),
            "delete_msgs" | "inbox" | "who" => {}
            other => panic!("the model knows no {other}"),
        }
        self.put(&reply);
    }

    fn refuse(&mut self, mut reply: Message<'_>, code: &str) {
        reply.error = true;
        reply.body = Cow::Owned(format!("{code}: because of the dice"));
        self.put(&reply);
    }

    fn on_login(&mut self, cluster: &mut Cluster, request: &Message<'_>, mut reply: Message<'_>) {
        assert_eq!(request.src, ME);
        cluster.logins.push(request.cmd.to_string());
        if cluster.fault(20) {
            return self.refuse(reply, "busy");
        }
        let (body, known) = (request.body.as_ref(), cluster.exists);
        match request.cmd.as_ref() {
            "resume" if cluster.fault(15) || !cluster.tokens.iter().any(|token| token == body) => {
                return self.refuse(reply, "bad-token");
            }
            "login" if !known || body != cluster.password => {
                return self.refuse(reply, "wrong-credentials");
            }
            "create" if known && body != cluster.password => {
                return self.refuse(reply, "name-taken");
            }
            _ => cluster.exists = true,
        }
        self.logged_in = true;
        reply.to = Cow::Borrowed(ME);
        reply.seq = cluster.seq;
        reply.msg_ids = MsgIds::Many(vec![Cow::Owned(id::format(cluster.id))]);
        self.put(&reply);
    }

    fn on_send(&mut self, cluster: &mut Cluster, request: &Message<'_>, mut reply: Message<'_>) {
        let text = request.msg_ids.iter().next().expect("a send has an id");
        let id = id::parse(text).expect("a UUID");
        let seen = cluster.sends_seen.entry(id).or_default();
        seen.push((request.body.to_string(), request.seq));
        if let Some(code) = self.refusing {
            return self.refuse(reply, code);
        }
        if let Some(code) = cluster.refuse_next.take() {
            self.refusing = Some(code).filter(|code| *code != "id-expired");
            return self.refuse(reply, code);
        }
        if cluster.fault(12) {
            let codes = ["rate-limited", "disk-full", "read-only", "outcome-unknown"];
            let code = codes[cluster.rng.below(4) as usize];
            if code == "outcome-unknown" && request.to != "nobody" && cluster.rng.chance(1, 2) {
                cluster.store(ME, &request.to, id, &request.body);
            }
            self.refusing = Some(code);
            return self.refuse(reply, code);
        }
        if request.to == "nobody" {
            return self.refuse(reply, "no-such-user");
        }
        let stored = cluster.store(ME, &request.to, id, &request.body);
        reply.to = Cow::Owned(stored.to);
        reply.msg_ids = MsgIds::Many(vec![Cow::Owned(text.to_string())]);
        (reply.time, reply.seq) = (stored.time, stored.seq);
        self.put(&reply);
    }

    fn on_sync(&mut self, cluster: &mut Cluster, request: &Message<'_>, mut reply: Message<'_>) {
        let after: Vec<Stored> =
            cluster.log.iter().filter(|stored| stored.seq > request.seq).cloned().collect();
        let page = after.len().min(cluster.page);
        for (place, stored) in after[..page].iter().enumerate() {
            self.put(&deliver(stored, (page - place) as u16));
        }
        let more = page < after.len();
        reply.body = Cow::Borrowed(if more { "more" } else { "end" });
        reply.seq = if more { after[page - 1].seq } else { cluster.seq.max(request.seq) };
        reply.limit = page as u16;
        self.put(&reply);
    }

    /// A message of somebody else (or of another session of the account) was committed.
    pub fn push(&mut self, cluster: &mut Cluster, stored: &Stored) {
        if self.server != cluster.primary && !self.closing {
            return self.redirect(cluster);
        }
        if !self.logged_in || self.closing {
            return;
        }
        if self.lagging > 0 || cluster.fault(10) {
            self.lagging = stored.seq;
            if cluster.fault(2) || !cluster.faults {
                let seq = std::mem::take(&mut self.lagging);
                self.put(&Message { cmd: "lagging".into(), seq, ..Message::default() });
            }
            return;
        }
        self.put(&deliver(stored, 0));
    }

    /// Says at last what was left out.
    pub fn catch_up(&mut self) {
        if self.lagging > 0 && !self.closing {
            let seq = std::mem::take(&mut self.lagging);
            self.put(&Message { cmd: "lagging".into(), seq, ..Message::default() });
        }
    }
}

fn deliver(stored: &Stored, limit: u16) -> Message<'static> {
    Message {
        cmd: "deliver".into(),
        src: Cow::Owned(stored.from.clone()),
        to: Cow::Owned(stored.to.clone()),
        body: Cow::Owned(stored.body.clone()),
        msg_ids: MsgIds::Many(vec![Cow::Owned(id::format(stored.id))]),
        limit,
        time: stored.time,
        seq: stored.seq,
        ..Message::default()
    }
}
