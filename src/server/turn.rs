//! One round of the loop. [`Server::turn`] is the order of durability, readable as code; each step
//! is a method below or in the module that its comment names.

use std::io;
use std::sync::Arc;

use mio::{Events, Interest, Poll, Token, Waker};

use super::client::{Client, Life};
use super::{Error, Server};
use crate::limits;
use crate::net::{Connection, Key, ReadEnd};
use crate::sys::clock;
use crate::wal::{Done, SpareState};

/// What woke the loop, beside connections.
const WAKE: Token = Token(usize::MAX);
const SIGNAL: Token = Token(usize::MAX - 1);
const FIRST_LISTENER: usize = usize::MAX - 2 - LISTENERS;
const LISTENERS: usize = 1_000;

/// The poll and what belongs to it.
pub(super) struct Waiting {
    pub poll: Poll,
    pub waker: Arc<Waker>,
    events: Events,
}

impl Waiting {
    pub(super) fn new() -> io::Result<Waiting> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Waiting { poll, waker, events: Events::with_capacity(limits::EVENTS) })
    }
}

impl Server {
    /// One round. Nothing that promises durability is written to a client before the batch that
    /// holds it is persisted: replies and pushes of changes are made by `apply_committed` alone.
    pub(super) fn turn(&mut self) -> Result<(), Error> {
        self.wait()?;
        self.accept();
        self.serve_connections();
        self.take_hashed();
        self.take_pages();
        self.pass_deadlines();
        self.propose_mark();
        self.hand_batch_to_writer();
        self.take_persisted()?;
        self.hand_batch_to_writer();
        self.apply_committed()?;
        self.write_connections();
        self.close_doomed();
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Error> {
        let timeout = self.poll_timeout();
        let mut events = std::mem::replace(&mut self.waiting.events, Events::with_capacity(0));
        match self.waiting.poll.poll(&mut events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(Error::Poll(error));
            }
            _ => {}
        }
        self.now_ms = clock::monotonic_ms();
        self.unix_now_ms = clock::unix_ms();
        for event in &events {
            match event.token() {
                WAKE => {}
                SIGNAL => self.on_signal(),
                Token(number) if number >= FIRST_LISTENER => self.accepting = true,
                token => {
                    let key = Key::from_token(token);
                    let Some(client) = self.clients.get_mut(key) else { continue };
                    if event.is_readable() || event.is_error() {
                        client.conn.set_readable(event.is_read_closed() || event.is_error());
                        self.queue(key);
                    }
                    if event.is_writable() {
                        if let Some(client) = self.clients.get_mut(key) {
                            client.conn.set_writable();
                        }
                        self.mark_dirty(key);
                    }
                }
            }
        }
        self.waiting.events = events;
        Ok(())
    }

    fn poll_timeout(&self) -> Option<std::time::Duration> {
        if !self.queued.is_empty() || self.accepting {
            return Some(std::time::Duration::ZERO);
        }
        let next_ms =
            [self.deadlines.next_ms(), self.mark_at_ms, self.accept_again_ms, self.stop_by_ms]
                .into_iter()
                .flatten()
                .min()?;
        Some(std::time::Duration::from_millis(next_ms.saturating_sub(clock::monotonic_ms())))
    }

    fn on_signal(&mut self) {
        while let Some(number) = self.signals.next() {
            if self.stop_by_ms.is_none() {
                self.trace.info(format_args!("signal {number}: stopping"));
                self.stop_by_ms = Some(self.now_ms + limits::STOP_MS);
                self.listeners.clear();
            }
        }
    }

    /// Starts to watch signals and listeners.
    pub(super) fn register(&mut self) -> io::Result<()> {
        use mio::unix::SourceFd;
        use std::os::fd::AsRawFd;
        let registry = self.waiting.poll.registry();
        let signals = self.signals.as_raw_fd();
        registry.register(&mut SourceFd(&signals), SIGNAL, Interest::READABLE)?;
        for (number, listener) in self.listeners.iter_mut().enumerate() {
            let token = Token(FIRST_LISTENER + number % LISTENERS);
            registry.register(listener, token, Interest::READABLE)?;
        }
        self.accepting = true;
        Ok(())
    }

    /// Takes the connections that wait, until there are none or a bound is met: then they go on
    /// waiting in the system's queue until one of ours has gone, or for a moment when it is the
    /// system's bound on descriptors, which others may free.
    fn accept(&mut self) {
        if self.accept_again_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.accept_again_ms = None;
            self.accepting = true;
        }
        while self.accepting {
            if self.clients.len() >= self.options.max_connections {
                if !self.full_said {
                    self.full_said = true;
                    let most = self.options.max_connections;
                    self.trace.info(format_args!("{most} connections: others wait until one goes"));
                }
                // Tried again when a connection has gone.
                self.accepting = false;
                self.accept_waits = true;
                return;
            }
            let found = self.listeners.iter().find_map(|listener| match listener.accept() {
                Ok(None) => None,
                Ok(Some(found)) => Some(Ok(found)),
                Err(error) => Some(Err(error)),
            });
            match found {
                None => self.accepting = false,
                Some(Ok((stream, origin))) => self.add_client(Connection::new(stream, origin)),
                Some(Err(error)) => {
                    if !self.full_said {
                        self.full_said = true;
                        self.trace.info(format_args!(
                            "cannot accept a connection, others wait until one goes: {error}"
                        ));
                    }
                    self.accepting = false;
                    self.accept_waits = true;
                    self.accept_again_ms = Some(self.now_ms + limits::ACCEPT_AGAIN_MS);
                }
            }
        }
    }

    fn add_client(&mut self, conn: Connection) {
        let now_ms = self.now_ms;
        let login_by_ms = now_ms + self.options.login_timeout_ms;
        let registry = self.waiting.poll.registry();
        let origin = conn.origin();
        let added = self.clients.insert_with(|key| {
            let mut conn = conn;
            let interest = Interest::READABLE | Interest::WRITABLE;
            registry.register(conn.stream_mut(), key.token(), interest)?;
            Ok::<_, io::Error>(Client::new(conn, now_ms, login_by_ms))
        });
        match added {
            Ok(key) => {
                let first_ms = login_by_ms.min(now_ms + self.options.idle_timeout_ms);
                self.deadlines.set(first_ms, key);
                self.trace.debug(|| format!("connection {} from {origin}", key.number()));
            }
            Err(error) => self.trace.wrong(format_args!("cannot watch a connection: {error}")),
        }
    }

    /// Reads and serves every connection that has something, each within a budget of bytes; the
    /// requests are taken up in `dispatch`.
    fn serve_connections(&mut self) {
        for _ in 0..self.queued.len() {
            let Some(key) = self.queued.pop_front() else { break };
            if let Some(client) = self.clients.get_mut(key) {
                client.queued = false;
                self.serve(key);
            }
        }
    }

    fn serve(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        match client.life {
            Life::Open => {}
            Life::Draining(_) => return self.drain(key),
            Life::Closing | Life::Dead => return,
        }
        if self.stop_by_ms.is_some() {
            return;
        }
        // A connection whose bytes are all understood owns no buffer: it reads into the server's.
        let owned = client.conn.input.capacity() > 0;
        let buffer = if owned { &mut client.conn.input } else { &mut self.scratch };
        let mut input = std::mem::take(buffer);
        // While a whole request waits for its turn nothing more is read: the sender's own socket
        // holds it back.
        let waited = client.waits;
        let mut end = ReadEnd::Blocked;
        if !waited {
            let room = limits::INPUT_BYTES.saturating_sub(input.len());
            let before = input.len();
            end = client.conn.read(&mut input, room.min(limits::TURN_READ_BYTES));
            if input.len() > before {
                client.active_ms = self.now_ms;
            }
        }
        match end {
            ReadEnd::Closed => client.ended = true,
            ReadEnd::Broken => client.life = Life::Dead,
            ReadEnd::Blocked | ReadEnd::Budget => {}
        }
        let mut scanned = client.conn.scanned;
        let used = self.dispatch(key, &input, &mut scanned);
        let Some(client) = self.clients.get_mut(key) else { return };
        client.conn.scanned = scanned;
        let left = input.len() - used;
        if owned {
            input.drain(..used);
            client.conn.input = if left == 0 { Vec::new() } else { input };
        } else {
            client.conn.input = if left == 0 { Vec::new() } else { input[used..].to_vec() };
            input.clear();
            self.scratch = input;
        }
        if !client.waits && (end == ReadEnd::Budget || waited && client.conn.readable()) {
            self.queue(key);
        }
        self.finish_if_ended(key);
    }

    /// A client that has closed its writing side is served what it asked before, then let go.
    pub(super) fn finish_if_ended(&mut self, key: Key) {
        use super::client::Work;
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.life == Life::Dead {
            return self.doom(key);
        }
        // Whole requests that wait for room or for the disk are still to be served.
        let served = client.work == Work::Idle && !client.waits;
        if client.ended && served && client.life == Life::Open {
            client.life = Life::Closing;
            self.mark_dirty(key);
        }
    }

    /// Throws away what comes behind a request that ended the connection, so that closing does not
    /// reset it and the answer arrives.
    fn drain(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let mut scratch = std::mem::take(&mut self.scratch);
        match client.conn.read(&mut scratch, limits::TURN_READ_BYTES) {
            ReadEnd::Blocked => {}
            ReadEnd::Budget => self.queue(key),
            ReadEnd::Closed | ReadEnd::Broken => self.doom(key),
        }
        scratch.clear();
        self.scratch = scratch;
    }

    /// Asks every connection whose instant has come, and sets its next.
    fn pass_deadlines(&mut self) {
        while let Some(key) = self.deadlines.passed(self.now_ms) {
            let Some(client) = self.clients.get(key) else { continue };
            let idle_ms = client.active_ms + self.options.idle_timeout_ms;
            let next_ms = match client.life {
                Life::Draining(until_ms) => until_ms,
                _ => client.login_by_ms.map_or(idle_ms, |by_ms| by_ms.min(idle_ms)),
            };
            if next_ms > self.now_ms {
                self.deadlines.set(next_ms, key);
                continue;
            }
            self.trace.debug(|| format!("connection {}: its time is over", key.number()));
            self.doom(key);
        }
    }

    /// Gives what has been gathered to the writer thread, one batch at a time: the next is written
    /// only after the one before is durable.
    fn hand_batch_to_writer(&mut self) {
        let output = self.raft.take_output();
        for index in output.append {
            self.wal.append_entry(self.raft.term(), index, self.raft.payload(index));
        }
        self.committed.end = self.committed.end.max(output.committed.end);
        if let Some(batch) = self.wal.take_batch(self.raft.commit()) {
            self.writer.submit(batch);
        }
        if let Some(request) = self.wal.spare_wanted() {
            self.writer.make_spare(request);
        }
    }

    /// A segment made ahead of its need, or not: then changes are refused until there is room.
    fn spare_changed(&mut self, state: SpareState) {
        let was_full = self.wal.full();
        self.wal.spare_changed(&state);
        match (was_full, self.wal.full()) {
            (false, true) => self.trace.wrong(format_args!(
                "no room for the next segment of the log ({state:?}): changes are refused with \
                 disk-full until there is; what is stored can be read"
            )),
            (true, false) => self.trace.info("there is room for the log again"),
            _ => {}
        }
    }

    /// What the writer has made durable. A failed write or fsync ends the process: what the disk has
    /// then is unknown until it is read again.
    fn take_persisted(&mut self) -> Result<(), Error> {
        while let Some(done) = self.writer.poll() {
            match done {
                Done::Batch { batch_no, result, sync_us } => {
                    result.map_err(Error::Disk)?;
                    self.raft.persisted(self.wal.batch_durable(batch_no));
                    self.mark_at_ms = Some(self.now_ms + limits::MARK_AFTER_MS);
                    self.wake_stalled();
                    if sync_us > limits::SLOW_SYNC_US {
                        let sync_ms = sync_us / 1000;
                        self.trace.info(format_args!("slow disk: an fsync took {sync_ms} ms"));
                    }
                }
                Done::Spare(state) => self.spare_changed(state),
            }
        }
        let output = self.raft.take_output();
        debug_assert!(output.append.is_empty(), "nothing is proposed while the disk is asked");
        self.committed.end = self.committed.end.max(output.committed.end);
        Ok(())
    }

    /// After a moment of idleness a small batch proves that the last one was durable.
    fn propose_mark(&mut self) {
        if self.mark_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.mark_at_ms = None;
            if self.wal.mark_due() {
                self.wal.append_mark();
            }
        }
    }

    /// Writes what the turn has made, one system call for each connection.
    fn write_connections(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.dirty = false;
            self.write(key);
        }
        std::mem::swap(&mut self.dirty, &mut dirty);
        self.dirty.append(&mut dirty);
    }

    fn write(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        loop {
            match client.conn.write(&mut self.spares) {
                Err(_) => return self.doom(key),
                Ok(0) => {}
                Ok(_) => client.active_ms = self.now_ms,
            }
            if client.conn.unwritten() > 0 || client.left_out == 0 || client.life != Life::Open {
                break;
            }
            // All that fitted is read: say which pushes did not.
            let seq = std::mem::take(&mut client.left_out);
            let lagging = super::reply::lagging(seq);
            client.put(client.codec, &lagging, &mut self.spares);
        }
        let unwritten = client.conn.unwritten();
        let had_room = self.pages_have_room();
        self.count_output(key);
        if !had_room && self.pages_have_room() {
            self.wake_stalled();
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.life == Life::Closing && unwritten == 0 {
            client.conn.shutdown_write();
            if client.ended {
                return self.doom(key);
            }
            let until_ms = self.now_ms + limits::DRAIN_MS;
            client.life = Life::Draining(until_ms);
            self.deadlines.set(until_ms, key);
            self.queue(key);
        } else if client.waits && client.has_room() {
            self.queue(key);
        }
    }

    /// Puts a connection on the list of those to be served.
    pub(super) fn queue(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key)
            && !client.queued
        {
            client.queued = true;
            self.queued.push_back(key);
        }
    }

    /// Puts a connection on the list of those to be written to.
    pub(super) fn mark_dirty(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key)
            && !client.dirty
        {
            client.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Has a connection removed at the end of the turn.
    pub(super) fn doom(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key) {
            client.life = Life::Dead;
            self.doomed.push(key);
        }
    }

    fn close_doomed(&mut self) {
        while let Some(key) = self.doomed.pop() {
            self.log_out(key);
            let Some(mut client) = self.clients.remove(key) else { continue };
            self.output_bytes -= client.counted;
            let _ = self.waiting.poll.registry().deregister(client.conn.stream_mut());
            self.trace.debug(|| format!("connection {} closed", key.number()));
            if std::mem::take(&mut self.accept_waits) {
                self.accepting = true;
                self.full_said = false;
            }
        }
    }
}
