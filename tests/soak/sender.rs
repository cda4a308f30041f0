//! Clients that send all the time, several messages at once, and ask again with the same id where an
//! outcome is open.

use std::collections::VecDeque;
use std::time::Duration;

use chatctl::protocol::Message;

use super::line::{Gone, Line, Roamer};
use super::tally::{Alarm, Stage, Tally};
use crate::support::Rng;
use crate::support::fleet::Status;
use crate::support::raw_client::{Ask, ask, code, id};

/// Messages that a sender has open at once, at most.
const WINDOW: usize = 32;

/// A message that somebody meant to send, and what became of it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub from: String,
    pub to: String,
    pub body: String,
    /// Counted by each sender.
    pub number: u64,
    pub outcome: Outcome,
}

/// What a sender knows of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was told that it is stored.
    Stored { id: String, seq: u64, time: u64 },
    /// Every attempt was refused: it is nowhere.
    Refused,
    /// Nothing is certain.
    Open,
}

/// A message of its own each sender writes so that its text says whose it is and which.
pub fn text(name: &str, number: u64, rng: &mut Rng) -> String {
    let padding = "abcdefghijklmnopqrstuvwxyz";
    let length = rng.below(padding.len() as u64) as usize;
    // Now and then a long one, so that the log comes to its next segment.
    let times = if rng.chance(1, 10) { 1 + rng.below(600) as usize } else { 1 };
    format!("{name} {number} {}", padding[..length].repeat(times))
}

/// What a sender has at its end.
#[derive(Default)]
pub struct Sendings {
    pub sent: Vec<Sent>,
    pub redirects: u64,
    pub refused: u64,
}

/// A message that is not acknowledged yet.
struct Waiting {
    sent: Sent,
    id: u128,
    /// The newest seq that was known at the first attempt.
    known: u64,
    /// Some attempt may have been taken.
    may_be_stored: bool,
}

/// One such client.
pub struct Sender<'a> {
    tally: &'a Tally,
    roamer: Roamer,
    rng: Rng,
    recipients: Vec<String>,
    pace_ms: u64,
    number: u64,
    known: u64,
    waiting: VecDeque<Waiting>,
    done: Sendings,
}

impl<'a> Sender<'a> {
    /// One that pauses for `pace_ms` on average between two bursts of messages.
    pub fn new(
        name: &str,
        servers: &[String],
        recipients: &[String],
        pace_ms: u64,
        seed: u64,
        tally: &'a Tally,
    ) -> Sender<'a> {
        let mut rng = Rng::new(seed);
        Sender {
            tally,
            roamer: Roamer::new(name, servers, &mut rng),
            rng,
            recipients: recipients.to_vec(),
            pace_ms,
            number: 0,
            known: 0,
            waiting: VecDeque::new(),
            done: Sendings::default(),
        }
    }

    /// Sends until the clients are to end, and then until nothing is open.
    pub fn run(mut self) -> Sendings {
        let _alarm = Alarm(self.tally);
        while !self.is_done() {
            let Some(mut line) = self.roamer.line(self.tally) else { break };
            self.known = self.known.max(line.newest);
            while !self.is_done() {
                if let Err(gone) = self.burst(&mut line) {
                    self.roamer.on_gone(gone);
                    break;
                }
            }
        }
        self.done.redirects = self.roamer.redirects;
        self.done
    }

    fn is_done(&self) -> bool {
        let ending = self.tally.is_at(Stage::EndSending) && self.waiting.is_empty();
        ending || self.tally.is_at(Stage::Failed)
    }

    /// Writes everything that is open, in order, between two questions of who the server is.
    fn burst(&mut self, line: &mut Line) -> Result<(), Gone> {
        if !self.tally.is_at(Stage::EndSending) {
            for _ in 0..1 + self.rng.below(8) {
                self.think_of_one();
            }
        }
        let mut requests = vec![ask("server_status")];
        requests.extend(self.waiting.iter().map(Waiting::request));
        requests.push(ask("server_status"));
        let states: Vec<bool> = self.waiting.iter().map(|one| one.may_be_stored).collect();
        self.waiting.iter_mut().for_each(|one| one.may_be_stored = true);
        line.write(&requests)?;
        let before = self.status(line)?;
        let (mut stored, mut refusal) = (0, None);
        for (place, was_open) in states.into_iter().enumerate() {
            let reply = line.reply()?;
            match code(&reply).as_str() {
                "" => {
                    let one = self.waiting.pop_front().expect("answers come in order");
                    self.on_stored(one, &reply, refusal.is_some());
                    stored += 1;
                }
                "outcome-unknown" => refusal = Some(place - stored),
                "read-only" | "rate-limited" | "disk-full" => {
                    self.waiting[place - stored].may_be_stored = was_open;
                    self.done.refused += 1;
                    refusal = Some(place - stored);
                }
                _ => panic!("{}: {reply:?}", self.roamer.name),
            }
        }
        let after = self.status(line)?;
        if stored > 0 && (&before.id, before.term) == (&after.id, after.term) {
            assert!(after.is_primary(), "only a PRIMARY acknowledges: {after:?}");
        }
        if refusal.is_some() {
            line.request(ask("ping"))?;
            self.give_some_up();
        }
        line.listen(Duration::from_millis(self.rng.below(2 * self.pace_ms + 1)))?;
        line.pushes().for_each(drop);
        // A server that serves history only is no place for a sender.
        if line.read_only { Err(Gone::Lost) } else { Ok(()) }
    }

    fn status(&self, line: &mut Line) -> Result<Status, Gone> {
        let reply = line.reply()?;
        assert_eq!(reply.cmd, "server_status", "{}: answers come in order", self.roamer.name);
        let status = Status::parse(&reply.body);
        self.tally.heard(&status);
        Ok(status)
    }

    fn think_of_one(&mut self) {
        if self.waiting.len() >= WINDOW {
            return;
        }
        self.number += 1;
        let place = self.rng.below(self.recipients.len() as u64) as usize;
        let sent = Sent {
            from: self.roamer.name.clone(),
            to: self.recipients[place].clone(),
            body: text(&self.roamer.name, self.number, &mut self.rng),
            number: self.number,
            outcome: Outcome::Open,
        };
        let id = u128::from(self.rng.next()) << 64 | u128::from(self.rng.next());
        self.waiting.push_back(Waiting { sent, id, known: self.known, may_be_stored: false });
    }

    fn on_stored(&mut self, one: Waiting, reply: &Message<'_>, behind_a_refused_one: bool) {
        let Waiting { mut sent, id: number, .. } = one;
        assert!(!behind_a_refused_one, "{}: taken behind a refused one: {reply:?}", sent.from);
        let ids: Vec<&str> = reply.msg_ids.iter().collect();
        assert_eq!((reply.to.as_ref(), ids), (sent.to.as_str(), vec![id(number).as_str()]));
        self.known = self.known.max(reply.seq);
        self.tally.acknowledged(1, reply.seq);
        sent.outcome = Outcome::Stored { id: id(number), seq: reply.seq, time: reply.time };
        self.done.sent.push(sent);
    }

    /// What was surely refused may be given up: it must be found nowhere.
    fn give_some_up(&mut self) {
        while self.waiting.front().is_some_and(|one| !one.may_be_stored) && self.rng.chance(1, 3) {
            let mut one = self.waiting.pop_front().expect("it was looked at");
            one.sent.outcome = Outcome::Refused;
            self.done.sent.push(one.sent);
        }
    }
}

impl Waiting {
    fn request(&self) -> Ask {
        let Waiting { sent, id, known, .. } = self;
        ask("send").to(&sent.to).body(&sent.body).id(*id).seq(*known)
    }
}
