//! What the loop waits with: the poll, signals, other threads; and what time it is then.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::error::Error;
use crate::limits;
use crate::net::LookUp;
use crate::node::Now;
use crate::sys::clock;
use crate::sys::signal::Signals;

/// What wakes the loop, beside the sockets, whose tokens [`super::sockets`] has.
const WAKE: Token = Token(usize::MAX);
const SIGNAL: Token = Token(usize::MAX - 1);

/// The poll and what belongs to it.
pub(super) struct Waiting {
    pub poll: Poll,
    waker: Arc<Waker>,
    events: Events,
    /// How names are looked up.
    pub look_up: LookUp,
}

impl Waiting {
    /// Watches for signals, and for whatever is registered later.
    pub(super) fn new(signals: &Signals, look_up: LookUp) -> io::Result<Waiting> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let signals = signals.as_raw_fd();
        poll.registry().register(&mut SourceFd(&signals), SIGNAL, Interest::READABLE)?;
        Ok(Waiting { poll, waker, events: Events::with_capacity(limits::EVENTS), look_up })
    }

    /// Waits for events, until `next_ms` at most, and hands on those of sockets. True: a signal has
    /// come.
    pub(super) fn wait(
        &mut self,
        next_ms: Option<u64>,
        mut on_event: impl FnMut(&Event),
    ) -> Result<bool, Error> {
        let until = |ms: u64| Duration::from_millis(ms.saturating_sub(clock::monotonic_ms()));
        match self.poll.poll(&mut self.events, next_ms.map(until)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(Error::Poll(error));
            }
            _ => {}
        }
        let mut signalled = false;
        for event in &self.events {
            match event.token() {
                WAKE => {}
                SIGNAL => signalled = true,
                _ => on_event(event),
            }
        }
        Ok(signalled)
    }

    /// A call that ends the wait, for other threads.
    pub(super) fn wake(&self) -> impl Fn() + Send + Sync + Clone + 'static {
        let waker = self.waker.clone();
        move || drop(waker.wake())
    }
}

/// What the machine's clocks show.
pub(super) fn now() -> Now {
    Now {
        monotonic_ms: clock::monotonic_ms(),
        boot_ms: clock::boottime_ms(),
        unix_ms: clock::unix_ms(),
    }
}
