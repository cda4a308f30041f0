//! One client's connection and what the server knows of it.

use super::budget::Spent;
use super::holders::Share;
use crate::chat::{AccountId, Target};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::{Inbox, Key, Origin, Output, Spares};
use crate::protocol::Message;
use crate::protocol::framing::{self, Codec, Form};

/// A login on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub account: AccountId,
    /// By a token: `passwd` and `delete` are forbidden.
    pub resumed: bool,
}

/// What a connection waits for. Replies come in request order because the next request is taken up
/// only when nothing is in progress, with one exception: sends follow sends, since the log keeps
/// their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Nothing.
    Idle,
    /// This many sends, all proposed.
    Sends(u32),
    /// One request that is no send.
    Busy,
}

/// Whether the state is known to be new enough for the client's next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadIndex {
    /// It was not asked.
    None,
    /// The core is asked.
    Asked,
    /// The core is asked, for a request that needs no answer any more: for a later one the answer
    /// would be too old.
    Void,
    /// It is.
    Granted,
}

/// How far a search for messages by their ids has come.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many of the ids were looked for.
    pub ids: usize,
    /// What they mean.
    pub targets: Vec<Target>,
}

/// How far a connection is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is served.
    Open,
    /// Nothing more is read from it; what is written goes out first.
    Closing,
    /// Everything is written and said; what still comes is thrown away until the other side closes or
    /// this instant comes, milliseconds.
    Draining(u64),
    /// It is to be removed at the end of the turn.
    Dead,
}

/// What comes from a client.
#[derive(Default)]
pub struct Incoming {
    /// What was read from it and is not taken up yet.
    pub inbox: Inbox,
    /// Whether a whole request stands there and could not be taken up yet.
    pub waits: bool,
    /// What it holds of requests that are not finished.
    pub unfinished: Share,
    /// The other side has closed: nothing more can be read, what came before is still served.
    pub ended: bool,
    /// The server stops, and the other side has written more than is read.
    pub still_writes: bool,
}

/// What goes to a client.
#[derive(Default)]
pub struct Outgoing {
    /// What is on its way to it.
    pub output: Output,
    /// Whether an answer of several frames is being made for it.
    pub has_page: bool,
    /// What was pushed meanwhile, which comes behind that.
    pub behind_page: Vec<u8>,
    /// The newest push that was left out since the last `lagging`; 0 for none.
    pub left_out: u64,
    /// What it holds of answers that it does not read.
    pub unread: Share,
}

/// One client's connection.
pub struct Client {
    /// Where it comes from.
    pub origin: Origin,
    /// What comes from it.
    pub incoming: Incoming,
    /// What goes to it.
    pub outgoing: Outgoing,
    /// Lines or frames, once the first byte has come.
    pub form: Option<Form>,
    /// The latest request's codec: pushes are written in it.
    pub codec: Codec,
    /// Whether it knows, by now, how it is served: what changes from then on is pushed to it.
    pub told_serving: bool,
    /// An answer from before the server was PRIMARY is still being read: that it is one now is said
    /// behind it.
    pub owed_status: bool,
    /// The login.
    pub session: Option<Session>,
    /// Accounts of which it is told whether they are online.
    pub watched: Vec<AccountId>,
    /// What it waits for.
    pub work: Work,
    /// Whether its next request may be answered from the state.
    pub read_index: ReadIndex,
    /// How far it is on its way out.
    pub life: Life,
    /// Once a send was refused for a reason that may pass, those behind it get the same, until a
    /// ping: a sender's order is kept.
    pub refusing: Option<&'static str>,
    /// When the last byte came, or the last byte went while some waited.
    pub active_ms: u64,
    /// Its number among those that have not logged in, while it is one of them.
    pub unauthenticated: Option<u64>,
    /// Until when it has to log in; none while it is logged in.
    pub login_by_ms: Option<u64>,
    /// The work that was done for it.
    pub spent: Spent,
    /// What the `delete_msgs` at the head of its input has found so far, over several visits.
    pub found: Found,
}

impl Client {
    /// A connection that has just been accepted.
    pub fn new(origin: Origin, now_ms: u64, login_by_ms: u64) -> Client {
        Client {
            origin,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            form: None,
            codec: Codec::Json,
            told_serving: false,
            owed_status: false,
            session: None,
            watched: Vec::new(),
            work: Work::Idle,
            read_index: ReadIndex::None,
            life: Life::Open,
            refusing: None,
            active_ms: now_ms,
            unauthenticated: None,
            login_by_ms: Some(login_by_ms),
            spent: Spent::default(),
            found: Found::default(),
        }
    }

    /// Writes a reply in `codec` into the output.
    pub fn put(&mut self, codec: Codec, message: &Message<'_>, spares: &mut Spares) {
        let form = self.form.unwrap_or(Form::Lines);
        framing::put(self.outgoing.output.buffer(spares), form, codec, message);
    }

    /// Writes a push, encoded in the connection's form and codec, behind the answer that is being
    /// made.
    pub fn put_push(&mut self, push: &[u8], spares: &mut Spares) {
        if self.outgoing.has_page && !planted(Mutant::PushBeforePage) {
            self.outgoing.behind_page.extend_from_slice(push);
        } else {
            self.outgoing.output.buffer(spares).extend_from_slice(push);
        }
    }

    /// How many bytes wait to be written to it.
    pub fn unwritten(&self) -> usize {
        self.outgoing.output.unwritten() + self.outgoing.behind_page.len()
    }

    /// Whether the next push fits, also in what all together may leave unread. Past a bound pushes are
    /// left out up to `seq`, and said so once the client has read what it has.
    pub fn take_push(&mut self, seq: u64, outputs_have_room: bool) -> bool {
        if self.life != Life::Open || self.session.is_none() {
            return false;
        }
        let has_room = outputs_have_room && self.unwritten() < limits::PUSH_BACKLOG_BYTES;
        if self.outgoing.left_out != 0 || !has_room {
            self.outgoing.left_out = if planted(Mutant::LaggingForgotten) { 0 } else { seq };
            return false;
        }
        true
    }

    /// Whether nothing more is read from it.
    pub fn is_leaving(&self) -> bool {
        self.life != Life::Open
    }

    /// Whether bytes wait to be written to it.
    pub fn has_unwritten(&self) -> bool {
        self.unwritten() > 0
    }

    /// Whether another request may be taken up: there is room for its reply. Where all together
    /// leave `total` bytes unread, which is too much, there is for whoever leaves nothing.
    pub fn has_room(&self, total: usize) -> bool {
        let most = if total < limits::OUTPUT_TOTAL_BYTES { limits::OUTPUT_BYTES } else { 1 };
        self.unwritten() < most
    }
}

/// Who waits for an entry, and for what.
pub(super) struct Pending {
    pub index: u64,
    pub key: Key,
    pub codec: Codec,
    pub cmd: &'static str,
    /// The password of a `create`: when the name was taken meanwhile it is asked whether it was by
    /// this very request, sent twice.
    pub password: Vec<u8>,
}
