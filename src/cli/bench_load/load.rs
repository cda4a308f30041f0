//! The load itself: one loop on one thread, which keeps every client's sends in flight and takes
//! what comes.
//!
//! A client's requests are one frame, encoded once, in which only the id's last digits change from
//! one message to the next: measuring is to cost little beside what is measured. All answers and
//! pushes are decoded.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::error::Error;
use super::histogram::Histogram;
use super::ledger::{Ids, Ledger, MESSAGES};
use super::wire::{ReadEnd, Space, Wire};
use crate::cli::progress::Progress;
use crate::cli::values::BenchLoad;
use crate::protocol::{Message, MsgIds, id};
use crate::sys::clock;
use crate::sys::signal::Signals;

const SIGNAL: Token = Token(usize::MAX);
/// Events taken from one poll; more wait for the next.
const EVENTS: usize = 1_024;
/// How often the progress is told and the end looked for, milliseconds.
const TICK_MS: u64 = 100;
/// After the last send, how long nothing may come before the rest is given up, microseconds.
const SILENCE_US: u64 = 10_000_000;
/// The digits of an id that tell the message's number: its last ones.
const DIGITS: usize = 10;

#[derive(Clone, Default)]
pub struct Figures {
    /// Sends answered with success.
    pub acknowledged: u64,
    pub delivered: u64,
    /// Sends answered with an error.
    pub refused: u64,
    /// The text of the first such error.
    pub refusal: String,
    /// Pushes that came twice or not in the order of sending.
    pub disordered: u64,
    /// How often a client was told that it reads too slowly, so that pushes were left out.
    pub lagging: u64,
    /// From the first send to the last acknowledgment, microseconds.
    pub sending_us: u64,
    /// From the first send to the last push, microseconds.
    pub delivering_us: u64,
    /// From a request's creation to its answer, microseconds.
    pub latency: Histogram,
    pub interrupted: bool,
}

struct Client {
    wire: Wire,
    track: Track,
    /// The request, and where the digits of its id stand.
    frame: Vec<u8>,
    digits_at: usize,
    /// Written from `written` on.
    output: Vec<u8>,
    written: usize,
    writable: bool,
}

/// What a client waits for.
#[derive(Default)]
struct Track {
    number: u16,
    /// Who sends to it.
    from: u16,
    /// When the sends that are not answered yet were made, microseconds.
    in_flight: VecDeque<u64>,
    /// The number of the send that is answered next.
    answered: u64,
    /// The least number that the next push can have.
    next_push: u64,
}

/// What all clients have seen.
struct Tally {
    ids: Ids,
    ledger: Ledger,
    figures: Figures,
    start_us: u64,
    /// When the last answer or push came.
    last_us: u64,
}

pub struct Load<'a> {
    options: &'a BenchLoad,
    clients: Vec<Client>,
    tally: Tally,
    poll: Poll,
    signals: &'a mut Signals,
    space: Space,
    sending: bool,
    sent: u64,
}

/// Who sends to the client `receiver` of `count`: the one before.
pub fn sender_to(receiver: usize, count: usize) -> usize {
    (receiver + count - 1) % count
}

/// Whom the client `sender` of `count` sends to: the next.
pub fn receiver_of(sender: usize, count: usize) -> usize {
    (sender + 1) % count
}

impl<'a> Load<'a> {
    /// Takes over clients that are logged in. With one sender there are two: the second only
    /// receives.
    pub fn new(
        options: &'a BenchLoad,
        ids: Ids,
        wires: Vec<Wire>,
        signals: &'a mut Signals,
    ) -> Result<Load<'a>, Error> {
        let cannot = |error| Error::System("cannot make a poll", error);
        let poll = Poll::new().map_err(cannot)?;
        let fd = signals.as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), SIGNAL, Interest::READABLE).map_err(cannot)?;
        let names: Vec<String> = wires.iter().map(|wire| wire.name.clone()).collect();
        let mut clients = Vec::with_capacity(wires.len());
        for (number, wire) in wires.into_iter().enumerate() {
            wire.set_waiting(false)?;
            let fd = wire.socket.as_raw_fd();
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut SourceFd(&fd), Token(number), interest)
                .map_err(cannot)?;
            let to = &names[receiver_of(number, names.len())];
            let from = sender_to(number, names.len()) as u16;
            let track = Track { number: number as u16, from, ..Track::default() };
            clients.push(Client::new(wire, track, to, options, ids));
        }
        let now_us = clock::monotonic_us();
        let tally = Tally {
            ids,
            ledger: Ledger::new(clients.len()),
            figures: Figures::default(),
            start_us: now_us,
            last_us: now_us,
        };
        let space = Space::default();
        Ok(Load { options, clients, tally, poll, signals, space, sending: true, sent: 0 })
    }

    /// Sends for as long as was asked for, or until a signal, and waits for the last answers and
    /// pushes.
    pub fn run(&mut self, progress: &mut Progress) -> Result<(), Error> {
        let mut events = Events::with_capacity(EVENTS);
        let start_us = clock::monotonic_us();
        (self.tally.start_us, self.tally.last_us) = (start_us, start_us);
        let end_us = start_us + self.options.seconds * 1_000_000;
        for number in 0..self.options.clients {
            self.top_up(number, start_us)?;
        }
        let mut told = Told { at_us: start_us, acknowledged: 0, delivered: 0 };
        while self.sending || !self.is_settled() {
            match self.poll.poll(&mut events, Some(Duration::from_millis(TICK_MS))) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Error::System("cannot wait", error));
                }
                _ => {}
            }
            for event in &events {
                match event.token() {
                    SIGNAL => self.on_signal()?,
                    Token(number) => {
                        if event.is_writable() {
                            self.clients[number].writable = true;
                            self.clients[number].write()?;
                        }
                        if event.is_readable() || event.is_error() {
                            self.read(number)?;
                        }
                    }
                }
            }
            let now_us = clock::monotonic_us();
            self.sending &= now_us < end_us && self.tally.figures.refused == 0;
            if now_us - told.at_us >= 1_000_000 {
                told = told.tell(&self.tally.figures, now_us, start_us, progress);
            }
        }
        Ok(())
    }

    /// The clients' connections, which wait for answers again, and what was sent and measured.
    pub fn into_parts(self) -> Result<(Vec<Wire>, Ledger, Figures), Error> {
        let wires: Vec<Wire> = self.clients.into_iter().map(|client| client.wire).collect();
        for wire in &wires {
            wire.set_waiting(true)?;
        }
        Ok((wires, self.tally.ledger, self.tally.figures))
    }

    /// Nothing is awaited any more, or nothing has come for too long.
    fn is_settled(&self) -> bool {
        let Tally { figures, last_us, .. } = &self.tally;
        let answered = figures.acknowledged + figures.refused == self.sent;
        let pushed = figures.delivered >= figures.acknowledged || figures.lagging > 0;
        answered && pushed || clock::monotonic_us() >= last_us + SILENCE_US
    }

    fn on_signal(&mut self) -> Result<(), Error> {
        while self.signals.next().is_some() {
            if self.tally.figures.interrupted {
                return Err(Error::Interrupted);
            }
            self.tally.figures.interrupted = true;
            self.sending = false;
        }
        Ok(())
    }

    /// Makes as many sends as are lacking in flight, and writes them at once.
    fn top_up(&mut self, number: usize, now_us: u64) -> Result<(), Error> {
        if number >= self.options.clients {
            return Ok(());
        }
        let client = &mut self.clients[number];
        while self.sending && client.track.in_flight.len() < self.options.pipeline {
            let message = self.tally.ledger.make(number as u16);
            client.put(message);
            client.track.in_flight.push_back(now_us);
            self.sent += 1;
            self.sending = Some(self.sent) != self.options.messages && message + 1 < MESSAGES;
        }
        client.write()
    }

    /// Takes all that the socket has, and sends as much as that answers.
    fn read(&mut self, number: usize) -> Result<(), Error> {
        loop {
            let Client { wire, track, .. } = &mut self.clients[number];
            let tally = &mut self.tally;
            let (mut came_us, mut fault) = (None, None);
            let end = wire.read_once(&mut self.space, |message| {
                let now_us = *came_us.get_or_insert_with(clock::monotonic_us);
                let outcome = match message {
                    Ok(message) => tally.on_message(track, &message, now_us),
                    Err(error) => Err(error.to_string()),
                };
                match outcome {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(what) => {
                        fault = Some(what);
                        ControlFlow::Break(())
                    }
                }
            });
            if let Some(what) = fault {
                return Err(wire.odd(what));
            }
            let more = match end {
                Ok(end) => end == ReadEnd::Full,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
                Err(error) => return Err(wire.lost(error)),
            };
            if let Some(now_us) = came_us {
                tally.last_us = now_us;
                self.top_up(number, now_us)?;
            }
            if !more {
                return Ok(());
            }
        }
    }
}

impl Client {
    fn new(wire: Wire, track: Track, to: &str, options: &BenchLoad, ids: Ids) -> Client {
        let text = id::format(ids.id(track.number, 0));
        let body = body(options.size);
        let request = Message {
            cmd: "send".into(),
            to: to.into(),
            body: body.as_str().into(),
            msg_ids: MsgIds::one(&text),
            ..Message::default()
        };
        let frame = wire.frame(&request);
        let place = frame.windows(text.len()).position(|window| window == text.as_bytes());
        let place = place.expect("the id's text stands in its frame");
        let digits_at = place + text.len() - DIGITS;
        let output = Vec::new();
        Client { wire, track, frame, digits_at, output, written: 0, writable: true }
    }

    /// Appends the request with the message's number to the output.
    fn put(&mut self, message: u64) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digits = &mut self.frame[self.digits_at..self.digits_at + DIGITS];
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            *digit = HEX[(message >> (4 * place)) as usize & 0xf];
        }
        self.output.extend_from_slice(&self.frame);
    }

    fn write(&mut self) -> Result<(), Error> {
        while self.writable && self.written < self.output.len() {
            match self.wire.socket.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.wire.lost(error)),
            }
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
        Ok(())
    }
}

/// The text of every message of a run: `size` bytes.
pub fn body(size: usize) -> String {
    "The quick brown fox jumps over the lazy dog. ".chars().cycle().take(size).collect()
}

impl Tally {
    /// Takes an answer or a push. The error says what should not have come.
    fn on_message(
        &mut self,
        track: &mut Track,
        message: &Message,
        at_us: u64,
    ) -> Result<(), String> {
        match message.cmd.as_ref() {
            "send" => self.on_answer(track, message, at_us),
            "deliver" if !message.error => self.on_push(track, message, at_us),
            "lagging" => {
                self.figures.lagging += 1;
                Ok(())
            }
            "server_status" => Ok(()),
            other => Err(format!("{other} {}", message.body)),
        }
    }

    /// Answers come in the order of the requests.
    fn on_answer(
        &mut self,
        track: &mut Track,
        message: &Message,
        at_us: u64,
    ) -> Result<(), String> {
        let made_us = track.in_flight.pop_front().ok_or("unexpected answer")?;
        let number = track.answered;
        track.answered += 1;
        if message.error {
            self.figures.refused += 1;
            if self.figures.refusal.is_empty() {
                self.figures.refusal = message.body.as_ref().into();
            }
            return Ok(());
        }
        let found = message.msg_ids.iter().next().and_then(|text| self.ids.read(text));
        if found != Some((track.number, number)) {
            return Err(format!("answer out of order: {:?}", message.msg_ids));
        }
        self.ledger.acknowledged(track.number, number);
        self.figures.acknowledged += 1;
        self.figures.latency.record(at_us.saturating_sub(made_us));
        self.figures.sending_us = at_us - self.start_us;
        Ok(())
    }

    fn on_push(&mut self, track: &mut Track, message: &Message, at_us: u64) -> Result<(), String> {
        let found = message.msg_ids.iter().next().and_then(|text| self.ids.read(text));
        match found {
            Some((from, number)) if from == track.from => {
                self.figures.delivered += 1;
                self.figures.disordered += u64::from(number < track.next_push);
                track.next_push = number + 1;
                self.figures.delivering_us = at_us - self.start_us;
                Ok(())
            }
            _ => Err(format!("unexpected push: {:?}", message.msg_ids)),
        }
    }
}

/// What the last line of progress was about.
struct Told {
    at_us: u64,
    acknowledged: u64,
    delivered: u64,
}

impl Told {
    /// Tells what has come since, and gives what the next line starts from.
    fn tell(&self, now: &Figures, now_us: u64, start_us: u64, progress: &mut Progress) -> Told {
        let rate = |count: u64| count * 1_000_000 / (now_us - self.at_us).max(1);
        progress.tell(|| {
            format!(
                "{:>3} s: {} acknowledged/s, {} delivered/s, p99 {} us",
                (now_us - start_us) / 1_000_000,
                rate(now.acknowledged - self.acknowledged),
                rate(now.delivered - self.delivered),
                now.latency.percentile(99.0),
            )
        });
        Told { at_us: now_us, acknowledged: now.acknowledged, delivered: now.delivered }
    }
}
