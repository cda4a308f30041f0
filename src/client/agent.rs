//! One client of one account: a [`Session`] and the [`Outbox`] in which it keeps what must outlive
//! it. Pure: connections, time and the disk are given to it, so the same code runs under a simulator.
//!
//! ```text
//! shell                                     agent
//!   handle_connected, handle_received, ...  ->  what happens to its connections
//!   send, drop_old, session.request, ...    ->  what a person wants
//!   poll_output() until None                <-  connections to make and end, events to show
//!   outgoing(), wrote(n)                    <-  bytes for the server
//!   shown()                                 ->  the events that were polled are on the screen
//!   deadline()                              <-  when to call handle_tick next
//! ```
//!
//! What a crash at any moment leaves true, and where that is decided:
//!
//! - A message is on the disk before it is attempted: [`Agent::send`].
//! - A refusal is on the disk before a person hears of it, and before the server hears anything that
//!   follows from it: `gather` and [`Agent::outgoing`].
//! - An acknowledged message leaves the outbox only after a person could see that:
//!   [`Agent::shown`].
//! - The cursor is kept only up to where everything was shown: [`Agent::shown`].

use std::collections::VecDeque;

use super::session::{Config, Draft, Event, Output, Session};
use super::store;
use super::store::journal::{Kept, Record};
use super::store::outbox::Outbox;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::wal::Disk;

/// Why a message was not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// The outbox is full.
    Full,
    /// The disk does not take it.
    Store(store::Error),
}

impl std::fmt::Display for NotTaken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotTaken::Full => write!(
                out,
                "the outbox is full ({} messages or {} MiB); wait until some are sent",
                limits::OUTBOX_MESSAGES,
                limits::OUTBOX_BYTES >> 20
            ),
            NotTaken::Store(error) => error.fmt(out),
        }
    }
}

impl From<store::Error> for NotTaken {
    fn from(error: store::Error) -> NotTaken {
        NotTaken::Store(error)
    }
}

/// See the module's comment.
pub struct Agent<D> {
    /// What a person asks for, and what can be asked. What connections bring goes through the agent.
    pub session: Session,
    outbox: Outbox<D>,
    /// Outputs of the session whose refusals are on the disk.
    outputs: VecDeque<Output>,
    /// What was handed out and is not noted yet.
    handed_out: Vec<Handed>,
    /// What the disk said when refusals were to be kept, until a person is told.
    trouble: Option<store::Error>,
    /// The session's cursor when all that it had to tell was handed out.
    handed_cursor: Option<u64>,
    noted_cursor: Option<u64>,
    /// The wall clock when the monotonic one showed 0, milliseconds since the Unix epoch.
    epoch_ms: u64,
}

enum Handed {
    Gone(u128, u64),
    Cluster(u128),
    Token(String),
}

impl Handed {
    fn record(&self) -> Record<'_> {
        match self {
            Handed::Gone(id, seq) => Record::Gone(*id, *seq),
            Handed::Cluster(id) => Record::Cluster(*id),
            Handed::Token(token) => Record::Token(token),
        }
    }
}

impl<D: Disk> Agent<D> {
    /// Goes on with what an outbox has kept: its token, cluster and cursor take the place of those
    /// in `config`.
    pub fn new(config: Config, outbox: Outbox<D>, now_ms: u64) -> Agent<D> {
        let Kept { token, cluster, cursor, own, drafts } = outbox.kept().clone();
        let epoch_ms = config.epoch_ms;
        let token = token.filter(|_| !config.create);
        let config = Config { token, cluster, cursor, own_recent: own, ..config };
        let mut session = Session::new(config, now_ms);
        for draft in drafts {
            // What a larger outbox of an earlier version left stays in its file.
            let _ = session.send_again(now_ms, draft);
        }
        session.hold_old(now_ms);
        Agent {
            session,
            outbox,
            outputs: VecDeque::new(),
            handed_out: Vec::new(),
            trouble: None,
            handed_cursor: cursor,
            noted_cursor: cursor,
            epoch_ms,
        }
    }

    /// The outbox.
    pub fn outbox(&self) -> &Outbox<D> {
        &self.outbox
    }

    // What a person wants, besides what the session does alone.

    /// Makes messages of (receiver, text) with new ids, puts them on disk with one sync, and gives
    /// them to the session.
    ///
    /// # Errors
    /// The outbox or the disk does not take them; then none is taken.
    pub fn send(
        &mut self,
        now_ms: u64,
        texts: Vec<(String, String)>,
    ) -> Result<Vec<u128>, NotTaken> {
        let bytes = texts.iter().map(|(_, text)| text.len()).sum();
        if !self.session.has_room(texts.len(), bytes) {
            return Err(NotTaken::Full);
        }
        let (known, cluster) = (self.session.known(), self.session.cluster());
        let written_ms = self.epoch_ms.saturating_add(now_ms);
        let mut drafts = Vec::with_capacity(texts.len());
        for (to, body) in texts {
            let id = self.outbox.new_id()?;
            drafts.push(Draft { id, to, body, known, cluster, written_ms });
        }
        if !planted(Mutant::SentBeforePut) {
            self.outbox.put(&drafts)?;
        }
        let ids = drafts.iter().map(|draft| draft.id).collect();
        for draft in drafts {
            self.session.send(now_ms, draft).expect("the room was looked at");
        }
        Ok(ids)
    }

    /// Gives up the messages that have waited for long, and returns their ids.
    ///
    /// # Errors
    /// The disk does not take it: then they may come again after the next start.
    pub fn drop_old(&mut self) -> Result<Vec<u128>, store::Error> {
        let ids = self.session.drop_old();
        for id in ids.iter().filter(|_| !planted(Mutant::DroppedUnnoted)) {
            self.outbox.note(&Record::Gone(*id, 0));
        }
        self.outbox.sync()?;
        Ok(ids)
    }

    /// Takes over the outboxes of clients that have died, in these places, and sends what they have.
    ///
    /// # Errors
    /// The disk does not take them. Nothing is lost then.
    pub fn adopt(&mut self, now_ms: u64, slots: &[usize]) -> Result<usize, store::Error> {
        let before = self.outbox.kept().drafts.len();
        let count = self.outbox.adopt(slots)?;
        let new: Vec<Draft> = self.outbox.kept().drafts.iter().skip(before).cloned().collect();
        for draft in new {
            self.session.send_again(now_ms, draft).expect("what is adopted has room");
        }
        Ok(count)
    }

    // What the shell tells.

    /// The connection asked for stands.
    pub fn handle_connected(&mut self, now_ms: u64) {
        self.session.connected(now_ms);
    }

    /// Bytes from the connection, cut anywhere.
    pub fn handle_received(&mut self, now_ms: u64, bytes: &[u8]) {
        self.session.received(now_ms, bytes);
    }

    /// The connection could not be made, or is gone; `why` is a clause for people.
    pub fn handle_closed(&mut self, now_ms: u64, why: &str) {
        self.session.closed(now_ms, why);
    }

    /// Bytes from the server that [`Output::Look`] named.
    pub fn handle_look_received(&mut self, now_ms: u64, bytes: &[u8]) {
        self.session.look_received(now_ms, bytes);
    }

    /// That server cannot be reached, or is gone.
    pub fn handle_look_closed(&mut self, now_ms: u64) {
        self.session.look_closed(now_ms);
    }

    /// Time has passed: to be called at [`Agent::deadline`] and before [`Agent::send`], harmless at
    /// any time. `unix_ms` is the wall clock, milliseconds since the Unix epoch.
    pub fn handle_tick(&mut self, now_ms: u64, unix_ms: u64) {
        self.epoch_ms = unix_ms.saturating_sub(now_ms);
        self.session.tick(now_ms);
    }

    // What the shell takes.

    /// The next thing to do or to show, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.gather();
        }
        let output = self.outputs.pop_front();
        match &output {
            Some(Output::Event(event)) => self.hand_out(event),
            Some(_) => {}
            // Later the session may receive what nobody is shown before the client ends.
            None => self.handed_cursor = self.session.cursor(),
        }
        output
    }

    /// Takes what the session has to tell; refusals among it are on the disk afterwards, or there is
    /// trouble.
    fn gather(&mut self) {
        let mut refused = false;
        while let Some(output) = self.session.poll() {
            if let Output::Event(Event::Failed { draft, .. }) = &output {
                self.outbox.note(&Record::Gone(draft.id, 0));
                refused = true;
            }
            self.outputs.push_back(output);
        }
        if refused && !planted(Mutant::RefusalToldUnsynced) {
            self.trouble = self.outbox.sync().err().or(self.trouble.take());
        }
    }

    fn hand_out(&mut self, event: &Event) {
        let handed = match event {
            Event::Sent { id, seq, .. } => Handed::Gone(*id, *seq),
            Event::Cluster(id) => Handed::Cluster(*id),
            Event::Token(token) => Handed::Token(token.clone()),
            _ => return,
        };
        if planted(Mutant::GoneNotedUnshown) {
            return self.outbox.note(&handed.record());
        }
        self.handed_out.push(handed);
    }

    /// Whether [`Agent::poll_output`] has something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty() || self.session.has_output()
    }

    /// Bytes for the connection. None while there is output to poll, which may be a refusal that is
    /// not on the disk yet; nor after the disk did not take one, until a person was told by
    /// [`Agent::shown`]: what was refused must not be stored after what comes behind it.
    pub fn outgoing(&self) -> &[u8] {
        let is_in_trouble = self.trouble.is_some() && !planted(Mutant::WritesInTrouble);
        if is_in_trouble || self.has_output() { &[] } else { self.session.outgoing() }
    }

    /// `count` bytes of [`Agent::outgoing`] were taken by the socket.
    pub fn wrote(&mut self, now_ms: u64, count: usize) {
        self.session.wrote(now_ms, count);
    }

    /// What to say first to the server that [`Output::Look`] named.
    pub fn look_request(&self) -> Vec<u8> {
        self.session.look_request()
    }

    /// When [`Agent::handle_tick`] is to be called next, milliseconds on the caller's clock.
    pub fn deadline(&self) -> Option<u64> {
        self.session.deadline()
    }

    /// All events that [`Agent::poll_output`] gave were shown: from here on they are not shown again.
    ///
    /// # Errors
    /// The disk does not take it: then they may be shown again after the next start.
    pub fn shown(&mut self) -> Result<(), store::Error> {
        if let Some(error) = self.trouble.take() {
            return Err(error);
        }
        for handed in std::mem::take(&mut self.handed_out) {
            if let Handed::Cluster(_) = handed
                && !planted(Mutant::CursorOfOtherCluster)
            {
                self.noted_cursor = None;
            }
            self.outbox.note(&handed.record());
        }
        let received = planted(Mutant::CursorPastShown);
        let cursor = if received { self.session.cursor() } else { self.handed_cursor };
        if let Some(cursor) = cursor.filter(|c| Some(*c) != self.noted_cursor) {
            self.noted_cursor = Some(cursor);
            self.outbox.note(&Record::Cursor(cursor));
        }
        // What could not be written is noted again the next time.
        self.outbox.flush().inspect_err(|_| self.noted_cursor = None)
    }

    /// Ends cleanly.
    ///
    /// # Errors
    /// The disk does not take the rest.
    pub fn close(mut self) -> Result<(), store::Error> {
        self.shown()?;
        self.outbox.close()
    }
}
