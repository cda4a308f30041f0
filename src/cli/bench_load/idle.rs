//! Idle sessions that ping as idle clients do, and what that costs the server.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::error::Error;
use super::usage::Usage;
use super::wire::{ReadEnd, Space, Wire};
use crate::cli::progress::Progress;
use crate::client::session::{PING_IDLE_MS, PING_JITTER_MS};
use crate::protocol::Message;
use crate::sys::clock;
use crate::sys::signal::Signals;

/// Events taken from one poll; more wait for the next.
const EVENTS: usize = 1_024;
/// The longest sleep, after which signals are looked for, microseconds.
const LOOK_US: u64 = 100_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idleness {
    pub pings: u64,
    /// For how long, microseconds.
    pub us: u64,
    /// The server's processor time meanwhile, milliseconds; 0 where its process is not known.
    pub server_cpu_ms: u64,
}

impl Idleness {
    pub fn pings_per_s(&self) -> f64 {
        self.pings as f64 * 1e6 / (self.us as f64).max(1.0)
    }

    pub fn percent_of_a_core(&self) -> f64 {
        self.server_cpu_ms as f64 * 1e5 / (self.us as f64).max(1.0)
    }
}

/// The sessions, and when each pings next.
struct Pinging<'a> {
    wires: &'a mut [Wire],
    frame: Vec<u8>,
    due: BinaryHeap<Reverse<(u64, usize)>>,
    poll: Poll,
    space: Space,
    answered: u64,
    random: u64,
}

/// Has each session ping at the pace of a client that hears nothing: first until all have done so,
/// then for `seconds`, which are measured with `usage`.
pub fn measure(
    wires: &mut [Wire],
    seconds: u64,
    usage: impl Fn() -> Result<Usage, Error>,
    signals: &mut Signals,
    progress: &mut Progress,
) -> Result<Idleness, Error> {
    if wires.is_empty() {
        return Ok(Idleness::default());
    }
    let mut pinging = Pinging::new(wires)?;
    pinging.run(clock::monotonic_us() + PING_IDLE_MS * 1_000, signals, progress)?;
    let (start_us, before, answered) = (clock::monotonic_us(), usage()?, pinging.answered);
    pinging.run(start_us + seconds * 1_000_000, signals, progress)?;
    let idleness = Idleness {
        pings: pinging.answered - answered,
        us: clock::monotonic_us() - start_us,
        server_cpu_ms: usage()?.cpu_ms - before.cpu_ms,
    };
    pinging.end()?;
    Ok(idleness)
}

impl<'a> Pinging<'a> {
    fn new(wires: &'a mut [Wire]) -> Result<Pinging<'a>, Error> {
        let cannot = |error| Error::System("cannot make a poll", error);
        let poll = Poll::new().map_err(cannot)?;
        for (place, wire) in wires.iter().enumerate() {
            wire.set_waiting(false)?;
            let fd = wire.socket.as_raw_fd();
            poll.registry()
                .register(&mut SourceFd(&fd), Token(place), Interest::READABLE)
                .map_err(cannot)?;
        }
        let frame = wires[0].frame(&Message { cmd: "ping".into(), ..Message::default() });
        // As many clients that came at different times.
        let (start_us, count) = (clock::monotonic_us(), wires.len() as u64);
        let at = |place: usize| start_us + PING_IDLE_MS * 1_000 * place as u64 / count;
        let due = (0..wires.len()).map(|place| Reverse((at(place), place))).collect();
        let (space, random) = (Space::default(), start_us);
        Ok(Pinging { wires, frame, due, poll, space, answered: 0, random })
    }

    fn run(
        &mut self,
        until_us: u64,
        signals: &mut Signals,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        let mut events = Events::with_capacity(EVENTS);
        let count = self.wires.len();
        loop {
            let now_us = clock::monotonic_us();
            if now_us >= until_us {
                return Ok(());
            }
            if signals.next().is_some() {
                return Err(Error::Interrupted);
            }
            progress.tell(|| format!("{count} idle sessions ping"));
            self.send_due(now_us)?;
            let next_us = self.due.peek().map_or(until_us, |Reverse((at, _))| *at).min(until_us);
            let wait_us = next_us.saturating_sub(clock::monotonic_us()).clamp(1_000, LOOK_US);
            match self.poll.poll(&mut events, Some(Duration::from_micros(wait_us))) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Error::System("cannot wait", error));
                }
                _ => {}
            }
            for event in &events {
                self.read(event.token().0)?;
            }
        }
    }

    fn send_due(&mut self, now_us: u64) -> Result<(), Error> {
        while let Some(Reverse((at, place))) = self.due.peek().copied()
            && at <= now_us
        {
            self.due.pop();
            let wire = &mut self.wires[place];
            // A few bytes on a connection on which nothing waits.
            if let Err(error) = wire.socket.write_all(&self.frame) {
                return Err(wire.lost(error));
            }
        }
        Ok(())
    }

    /// Takes all that the socket has; an answered ping is followed by the next after a while.
    fn read(&mut self, place: usize) -> Result<(), Error> {
        loop {
            let (mut answered, mut odd) = (0, None);
            let wire = &mut self.wires[place];
            let end = wire.read_once(&mut self.space, |message| {
                match message {
                    Ok(message) if message.cmd == "ping" && !message.error => answered += 1,
                    Ok(message) if message.cmd == "ping" => odd = Some(message.body.into_owned()),
                    Ok(_) => {}
                    Err(error) => odd = Some(error.to_string()),
                }
                ControlFlow::Continue(())
            });
            if let Some(what) = odd {
                return Err(wire.odd(what));
            }
            for _ in 0..answered {
                self.answered += 1;
                let pause_us = (PING_IDLE_MS - PING_JITTER_MS) * 1_000 + self.jitter_us();
                self.due.push(Reverse((clock::monotonic_us() + pause_us, place)));
            }
            match end {
                Ok(ReadEnd::Full) => {}
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.wires[place].lost(error)),
            }
        }
    }

    /// Marsaglia's xorshift, less than the jitter of a client.
    fn jitter_us(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % (PING_JITTER_MS * 1_000)
    }

    /// The answers that are still owed, and connections that wait again.
    fn end(mut self) -> Result<(), Error> {
        let is_due: std::collections::BTreeSet<usize> =
            self.due.iter().map(|Reverse((_, place))| *place).collect();
        for place in 0..self.wires.len() {
            self.wires[place].set_waiting(true)?;
            if !is_due.contains(&place) {
                self.read(place)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_processor_time_in_twenty_is_five_percent() {
        let idleness = Idleness { pings: 100, us: 20_000_000, server_cpu_ms: 1_000 };
        assert_eq!((idleness.pings_per_s(), idleness.percent_of_a_core()), (5.0, 5.0));
        assert_eq!(Idleness::default().percent_of_a_core(), 0.0);
    }
}
