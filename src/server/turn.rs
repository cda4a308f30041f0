//! One round of the loop. [`Server::turn`] is the order of durability, readable as code; what is done
//! for the clients is in [`super::service`].

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use super::lines::Line;
use super::peering::tell_change;
use super::service::{Now, ReadJob, refuse};
use super::{Error, Server, TraceLevel};
use crate::limits;
use crate::net::{Connection, Key, Listener, Origin, ReadEnd, Stream};
use crate::sys::clock;
use crate::sys::signal::Signals;
use crate::wal::{Done, Location, ReadError, SpareState};

/// What wakes the loop, beside connections, whose tokens are their keys.
const WAKE: Token = Token(usize::MAX);
const SIGNAL: Token = Token(usize::MAX - 1);
const LISTENER: Token = Token(usize::MAX - 2);

/// The poll and what belongs to it.
pub(super) struct Waiting {
    pub poll: Poll,
    pub waker: Arc<Waker>,
    events: Events,
}

impl Waiting {
    /// Watches for signals, and for whatever is registered later.
    pub(super) fn new(signals: &Signals) -> io::Result<Waiting> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let signals = signals.as_raw_fd();
        poll.registry().register(&mut SourceFd(&signals), SIGNAL, Interest::READABLE)?;
        Ok(Waiting { poll, waker, events: Events::with_capacity(limits::EVENTS) })
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
}

/// Starts to watch the clients' listeners.
pub(super) fn watch(listeners: &mut [Listener], registry: &Registry) -> io::Result<()> {
    let watch = |listener| registry.register(listener, LISTENER, Interest::READABLE);
    listeners.iter_mut().try_for_each(watch)
}

/// No longer does so.
pub(super) fn unwatch(listeners: &mut [Listener], registry: &Registry) -> io::Result<()> {
    listeners.iter_mut().try_for_each(|listener| registry.deregister(listener))
}

/// A connection's socket.
pub(super) struct Socket {
    key: Key,
    conn: Connection,
    /// Everything is written and said; what still comes is thrown away until the other side closes
    /// or this instant comes, milliseconds.
    draining_until_ms: Option<u64>,
    ended: bool,
}

impl Server {
    /// One round. Nothing that promises durability is written to a client before the batch that
    /// holds it is persisted: replies and pushes of changes are made by `apply_committed` alone.
    pub(super) fn turn(&mut self) -> Result<(), Error> {
        self.wait()?;
        self.read_peers()?;
        self.accept();
        self.serve_connections();
        self.hash_passwords();
        self.read_entries();
        self.end_if_damaged()?;
        self.pass_deadlines();
        self.append_mark();
        self.advance()?;
        self.take_persisted()?;
        self.advance()?;
        self.write_connections();
        self.close_connections();
        self.tell();
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Error> {
        let next_ms = self.next_ms();
        let Server { waiting, accepting, links, sockets, service, .. } = self;
        let signalled = waiting.wait(next_ms, |event| {
            if event.token() == LISTENER {
                *accepting = true;
            } else if !links.on_event(event) {
                let key = Key::from_token(event.token());
                let Some(socket) = find(sockets, key) else { return };
                if event.is_readable() || event.is_error() {
                    socket.conn.set_readable(event.is_read_closed() || event.is_error());
                    service.on_readable(key);
                }
                if event.is_writable() {
                    socket.conn.set_writable();
                    service.on_writable(key);
                }
            }
        })?;
        self.now = now();
        self.service.set_now(self.now);
        if signalled {
            self.on_signal();
        }
        Ok(())
    }

    /// When the next turn is due at the latest, milliseconds; 0: now.
    fn next_ms(&self) -> Option<u64> {
        let todo = &self.service.todo;
        if !todo.serve.is_empty()
            || !todo.rest.is_empty()
            || !todo.read.is_empty()
            || !todo.hash.is_empty()
            || !todo.close.is_empty()
            || self.accepting
            || self.links.is_ready()
        {
            return Some(0);
        }
        let instants_ms =
            [self.deadlines.next_ms(), self.mark_at_ms, self.accept_again_ms, self.stop_by_ms];
        let links_ms = self.links.mesh.next_ms();
        let others_ms = [self.service.next_ms(), links_ms, self.changing.next_ms()];
        instants_ms.into_iter().chain(others_ms).flatten().min()
    }

    fn on_signal(&mut self) {
        while let Some(number) = self.signals.next() {
            if self.stop_by_ms.is_none() {
                self.trace.info(format_args!("signal {number}: stopping"));
                self.stop_by_ms = Some(self.now.monotonic_ms + limits::STOP_MS);
                self.listeners.clear();
            }
        }
    }

    /// Starts to watch the clients' listeners.
    pub(super) fn register(&mut self) -> io::Result<()> {
        watch(&mut self.listeners, self.waiting.poll.registry())?;
        self.accepting = true;
        Ok(())
    }

    /// Takes some of the connections that wait, until a bound is met. Where there is room for no more,
    /// one that has not logged in makes way for each; where all are sessions, the others go on waiting
    /// in the system's queue until one of ours has gone. They also wait for a moment at the system's
    /// bound on descriptors, which others may free.
    fn accept(&mut self) {
        if self.accept_again_ms.is_some_and(|at_ms| at_ms <= self.now.monotonic_ms) {
            self.accept_again_ms = None;
            self.accepting = true;
        }
        for _ in 0..limits::TURN_ACCEPTS {
            if !self.accepting {
                return;
            }
            let most = self.options.max_connections;
            let is_full = self.service.connections() >= most;
            if is_full && !self.service.can_make_way() {
                return self.wait_for_room(format_args!("{most} connections are open"));
            }
            let found = self.listeners.iter().find_map(|listener| listener.accept().transpose());
            match found {
                None => self.accepting = false,
                Some(Ok((stream, origin))) => {
                    if is_full && let Some(key) = self.service.make_way() {
                        self.close(key);
                    }
                    self.connect(stream, origin);
                }
                Some(Err(error)) => {
                    self.accept_again_ms = Some(self.now.monotonic_ms + limits::ACCEPT_AGAIN_MS);
                    return self.wait_for_room(format_args!("cannot accept: {error}"));
                }
            }
        }
    }

    fn wait_for_room(&mut self, why: std::fmt::Arguments<'_>) {
        self.accepting = false;
        if !std::mem::replace(&mut self.accept_waits, true) {
            self.trace.warning(format_args!("{why}; others wait until one is closed"));
        }
    }

    fn connect(&mut self, stream: Stream, origin: Origin) {
        let key = self.service.connect(origin);
        let mut conn = Connection::new(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.waiting.poll.registry();
        if let Err(error) = registry.register(conn.stream_mut(), key.token(), interest) {
            self.trace.error(format_args!("cannot watch a connection: {error}"));
            return self.service.disconnect(key);
        }
        if self.sockets.len() <= key.slot() {
            self.sockets.resize_with(key.slot() + 1, || None);
        }
        let socket = Socket { key, conn, draining_until_ms: None, ended: false };
        self.sockets[key.slot()] = Some(socket);
        // What it sent before it was watched made no event.
        self.service.on_readable(key);
    }

    /// Reads and serves the connections that have something, as far as this turn's budget of work
    /// goes: those who ask for little do not wait behind those who ask for much.
    fn serve_connections(&mut self) {
        self.service.begin_serving();
        while let Some(key) = self.service.next_to_serve() {
            self.serve(key);
        }
    }

    fn serve(&mut self, key: Key) {
        let Some(socket) = find(&mut self.sockets, key) else { return };
        if socket.draining_until_ms.is_some() {
            return self.drain(key);
        }
        if self.stop_by_ms.is_some() {
            return;
        }
        let Some(client) = self.service.client(key) else { return };
        // Whoever is told to go and does not read it is not listened to either.
        if client.is_leaving() {
            return;
        }
        // While a whole request waits for its turn nothing more is read: the sender's own socket
        // holds it back.
        let waited = client.waits;
        let (mut count, mut end) = (0, ReadEnd::Blocked);
        if !waited {
            let room = self.service.input_room(socket.conn.kept());
            if room == 0 && socket.conn.readable() {
                self.service.wait_for_input_room(key);
            } else {
                let most = room.min(limits::TURN_READ_BYTES);
                (count, end) = socket.conn.read(&mut self.scratch[..most]);
            }
            if count > 0 {
                self.service.on_activity(key);
            }
        }
        match end {
            ReadEnd::Closed => {
                socket.ended = true;
                self.service.on_end(key);
            }
            ReadEnd::Broken => self.service.doom(key),
            ReadEnd::Blocked | ReadEnd::Budget => {}
        }
        let service = &mut self.service;
        socket
            .conn
            .take_up(&self.scratch[..count], |input, scanned| service.receive(key, input, scanned));
        let waits = self.service.client(key).is_some_and(|client| client.waits);
        if !waits && end == ReadEnd::Budget {
            self.service.on_more(key);
        } else if !waits && waited && socket.conn.readable() {
            self.service.on_readable(key);
        }
    }

    /// Throws away what comes behind a request that ended the connection, so that closing does not
    /// reset it and the answer arrives.
    fn drain(&mut self, key: Key) {
        let Some(socket) = find(&mut self.sockets, key) else { return };
        let (_, end) = socket.conn.read(&mut self.scratch[..limits::TURN_DRAIN_BYTES]);
        match end {
            ReadEnd::Blocked => {}
            ReadEnd::Budget => self.service.on_more(key),
            ReadEnd::Closed | ReadEnd::Broken => self.service.doom(key),
        }
    }

    /// At a stop, once all is answered: to close a connection with bytes unread would reset it, and
    /// answers on their way would be lost. So whoever is still writing is told the end, and what it
    /// writes is thrown away until it closes. True when there is nobody of these any more.
    pub(super) fn writers_have_read(&mut self, by_ms: u64) -> bool {
        let mut all_have = true;
        for socket in self.sockets.iter_mut().flatten() {
            if socket.draining_until_ms.is_none() && socket.conn.readable() {
                socket.conn.shutdown_write();
                socket.draining_until_ms = Some(by_ms);
                self.service.on_readable(socket.key);
            }
            if socket.draining_until_ms.is_some() {
                all_have = false;
            }
        }
        all_have
    }

    /// Takes what the hashing thread has found out, and gives it its next passwords.
    fn hash_passwords(&mut self) {
        while let Some(done) = self.hasher.poll() {
            self.service.on_hashed(done);
        }
        for job in self.service.todo.hash.drain(..) {
            let taken = self.hasher.submit(job);
            assert!(taken.is_ok(), "the service asks for no more than the thread takes");
        }
    }

    /// Reads entries: at once where the system has them in memory, by the thread where it has not. No
    /// more in one turn than leaves time for the others, and in turn a part for each of the first that
    /// wait.
    fn read_entries(&mut self) {
        let mut left = limits::TURN_ENTRIES_BYTES;
        while left > 0
            && let Some(ReadJob { id, mut locations }) = self.service.todo.read.pop_front()
        {
            let part;
            (part, left) = part_of(&locations, left);
            match self.reader.try_read(&locations[..part]) {
                Ok(payloads) if payloads.len() > 0 => {
                    locations.drain(..payloads.len());
                    self.service.on_fetched(id, payloads);
                    if !locations.is_empty() {
                        let jobs = &mut self.service.todo.read;
                        let place = jobs.len().min(limits::READS_IN_TURN - 1);
                        jobs.insert(place, ReadJob { id, locations });
                    }
                }
                Err(error) => self.on_fetch_failed(id, &error),
                Ok(_) => {
                    if self.reader.submit(id, locations).is_err() {
                        let refusal = refuse("busy", "the disk is busy with reads: try again");
                        self.service.on_fetch_failed(id, &refusal);
                    }
                }
            }
        }
        while let Some(done) = self.reader.poll() {
            if self.on_wanted_read(&done) {
                continue;
            }
            match done.result {
                Ok(payloads) => {
                    self.service.on_fetched(done.job, payloads.iter().map(Vec::as_slice));
                }
                Err(error) => self.on_fetch_failed(done.job, &error),
            }
        }
    }

    fn on_fetch_failed(&mut self, id: u64, error: &ReadError) {
        self.on_read_failed(error);
        self.trace.error(format_args!("the log cannot be read: {error}"));
        let refusal = refuse("busy", "the server cannot read its log: tell its operator");
        self.service.on_fetch_failed(id, &refusal);
    }

    /// Asks every connection whose instant has come, and sets its next; lets go of those that hold
    /// what others need.
    fn pass_deadlines(&mut self) {
        self.service.make_room();
        for (at_ms, key) in self.service.todo.ask.drain(..) {
            self.deadlines.set(at_ms, key);
        }
        while let Some(key) = self.deadlines.passed(self.now.monotonic_ms) {
            let draining = find(&mut self.sockets, key).and_then(|socket| socket.draining_until_ms);
            match draining {
                Some(until_ms) if until_ms <= self.now.monotonic_ms => self.service.doom(key),
                Some(until_ms) => self.deadlines.set(until_ms, key),
                None => {
                    if let Some(next_ms) = self.service.deadline(key) {
                        self.deadlines.set(next_ms, key);
                    }
                }
            }
        }
    }

    /// After a moment of idleness a small batch proves that the last one was durable, and says what
    /// is committed, so that a restart knows.
    fn append_mark(&mut self) {
        if self.mark_at_ms.is_some_and(|at_ms| at_ms <= self.now.monotonic_ms) {
            self.mark_at_ms = None;
            self.service.replica.append_mark();
        }
    }

    /// Has the core decide and what is committed applied, and hands the disk what it is to keep.
    fn advance(&mut self) -> Result<(), Error> {
        self.service.advance().map_err(Error::Entry)?;
        self.change(|changing, with| {
            changing.follow(with);
            changing.finish(with);
        });
        self.read_wanted();
        self.send_to_peers();
        let met = Some(self.links.mesh.met());
        if self.service.replica.next_save(&mut self.hard_state, met) {
            self.writer.save(self.hard_state.clone());
        }
        for change in self.service.replica.wishes.changes.drain(..) {
            tell_change(self.trace, &self.links, &change);
        }
        self.hand_batch_to_writer();
        if self.mark_at_ms.is_none() && self.service.replica.mark_due() {
            self.mark_at_ms = Some(self.now.monotonic_ms + limits::MARK_AFTER_MS);
        }
        Ok(())
    }

    /// Gives what has been gathered to the writer thread, one batch at a time: the next is written
    /// only after the one before is durable.
    fn hand_batch_to_writer(&mut self) {
        if let Some(batch) = self.service.replica.next_batch() {
            self.writer.submit(batch);
        }
        if let Some(request) = self.service.replica.spare_wanted() {
            self.writer.make_spare(request);
        }
    }

    /// What the writer has made durable. A failed write or fsync ends the process: what the disk has
    /// then is unknown until it is read again.
    fn take_persisted(&mut self) -> Result<(), Error> {
        while let Some(done) = self.writer.poll() {
            match done {
                Done::Batch { batch_no, result, sync_us } => {
                    result.map_err(Error::Disk)?;
                    self.service.batch_durable(batch_no);
                    self.mark_at_ms = Some(self.now.monotonic_ms + limits::MARK_AFTER_MS);
                    self.last_sync_us = sync_us;
                    if sync_us > limits::SLOW_SYNC_US {
                        let sync_ms = sync_us / 1000;
                        self.trace.warning(format_args!("slow disk: an fsync took {sync_ms} ms"));
                    }
                }
                Done::HardState { result, .. } => {
                    result.map_err(Error::State)?;
                    self.service.replica.save_done(&self.hard_state);
                    self.met_saved()?;
                }
                Done::Spare(state) => self.spare_changed(&state),
            }
        }
        Ok(())
    }

    /// A segment was made ahead of its need, or could not be: then changes are refused until there
    /// is room.
    fn spare_changed(&mut self, state: &SpareState) {
        let was_full = self.service.replica.full();
        let hands_over = self.service.spare_changed(state);
        match state {
            SpareState::Failed(error) if !was_full => {
                let line = format!(
                    "no disk space for the next log segment: {error}; changes are refused with \
                     disk-full until there is space, reading works"
                );
                self.trace.tell(Line::of(TraceLevel::Error, "room", line));
            }
            SpareState::Ready if was_full => {
                let line = "there is disk space for the log again";
                self.trace.tell(Line::of(TraceLevel::Info, "room", line));
            }
            _ => {}
        }
        if hands_over {
            self.trace.warning("handing over to a server that has disk space");
        }
    }

    /// Writes what the turn has made, one system call for each connection.
    fn write_connections(&mut self) {
        let mut place = 0;
        while let Some(&key) = self.service.todo.write.get(place) {
            place += 1;
            self.write(key);
        }
        self.service.todo.write.clear();
    }

    fn write(&mut self, key: Key) {
        let Some(client) = self.service.client(key) else { return };
        client.dirty = false;
        let Some(socket) = find(&mut self.sockets, key) else { return };
        if socket.draining_until_ms.is_some() {
            return;
        }
        let count = match socket.conn.write(&mut client.output) {
            Err(_) => return self.service.doom(key),
            Ok(count) => count,
        };
        if count > 0 {
            self.service.on_activity(key);
        }
        if self.service.on_written(key, count > 0) {
            socket.conn.shutdown_write();
            if socket.ended {
                return self.service.doom(key);
            }
            let until_ms = self.now.monotonic_ms + limits::DRAIN_MS;
            socket.draining_until_ms = Some(until_ms);
            self.deadlines.set(until_ms, key);
            self.service.on_readable(key);
        }
    }

    fn close_connections(&mut self) {
        for _ in 0..limits::TURN_CLOSES {
            let Some(key) = self.service.todo.close.pop() else { return };
            self.close(key);
        }
    }

    fn close(&mut self, key: Key) {
        self.service.disconnect(key);
        let Some(socket) = find(&mut self.sockets, key) else { return };
        let _ = self.waiting.poll.registry().deregister(socket.conn.stream_mut());
        self.sockets[key.slot()] = None;
        self.accepting |= std::mem::take(&mut self.accept_waits);
    }

    fn tell(&mut self) {
        for line in self.service.todo.tell.drain(..) {
            self.trace.tell(line);
        }
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

/// How many of the entries, from the first on, are read where so many bytes are left for it, at least
/// one; and what is left then.
fn part_of(locations: &[Location], mut left: usize) -> (usize, usize) {
    let mut part = 0;
    while left > 0 && part < locations.len() {
        let bytes = locations[part].length as usize;
        left = left.saturating_sub(bytes.max(limits::TURN_ENTRIES_LEAST_BYTES));
        part += 1;
    }
    (part, left)
}

fn find(sockets: &mut [Option<Socket>], key: Key) -> Option<&mut Socket> {
    sockets.get_mut(key.slot())?.as_mut().filter(|socket| socket.key == key)
}
