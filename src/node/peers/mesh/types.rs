//! What the mesh is made of.

use core::net::SocketAddr;
use std::collections::VecDeque;

use super::super::change::Change;
use super::super::handshake::{Accepting, Dialing, Identity, Session};
use super::super::reason::Reason;
use super::super::wire::{About, Frame};
use super::tries::Tries;
use crate::auth::hmac;
use crate::chat;
use crate::net::{Inbox, Key, Output};
use crate::node::lines::Line;
use crate::node::time::Clock;
use crate::raft::{Message, ServerId};
use crate::wal::boots::Met;

/// A server of the cluster, as this one knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where its peers reach it.
    pub address: String,
    /// Its directory's, once it is known.
    pub incarnation: Option<u64>,
    /// Its number.
    pub number: ServerId,
}

impl From<chat::Member> for Member {
    fn from(member: chat::Member) -> Member {
        let chat::Member { name, address, incarnation, number, .. } = member;
        Member { name, address, incarnation: Some(incarnation), number: ServerId(number) }
    }
}

/// What a mesh is made from.
pub struct Settings {
    /// This server.
    pub me: Identity,
    /// The newest start of each directory that was met, as it is saved.
    pub met: Vec<Met>,
    /// The cluster's servers by name, this one included.
    pub members: Vec<Member>,
    /// The cluster's secret.
    pub secret: hmac::Key,
    /// How this server stands.
    pub about: About,
    /// Silence after which a connection is closed, milliseconds.
    pub silence_ms: u64,
    /// Where nonces and jitter come from; nobody else knows it.
    pub seed: [u8; 32],
}

/// What has happened.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer sent a message for the core.
    Raft(ServerId, Message),
    /// There is a connection to a peer, or a new one in the place of the old.
    Up(ServerId),
    /// The last connection to a peer is gone.
    Lost(ServerId),
    /// A peer says how it stands.
    About(ServerId),
    /// A peer says what its clock shows.
    Clock(ServerId, Clock),
    /// A peer says what the log begins with.
    Adopt(ServerId, Vec<u8>),
    /// A peer says that this server is one of the cluster's, and which others are.
    Join(ServerId, Vec<u8>),
    /// The same, from a server that is none of those that this one knows: [`Mesh::dismiss`] comes
    /// then.
    Told(Key, Vec<u8>),
    /// An operator asks for the status: [`Mesh::answer`].
    Asked(Key),
    /// An operator asks for a change of the members: [`Mesh::answer`].
    Change(Key, Change),
    /// Who answers at an address that was asked for by [`Mesh::probe`], or why nobody does.
    Probed(String, Result<Identity, String>),
    /// The server of this name has refused this one's directory as an old copy.
    OldCopy(String),
}

/// What is to be done outside. Whoever does it takes it out.
#[derive(Debug, Default)]
pub struct Todo {
    /// Connections with something to be written.
    pub write: Vec<Key>,
    /// Connections to be closed, after what they have is written as far as that goes at once;
    /// [`Mesh::remove`] comes then.
    pub close: Vec<Key>,
    /// Lines for the operator.
    pub tell: Vec<Line>,
    /// What has happened, oldest first.
    pub events: VecDeque<Event>,
}

pub(super) enum State {
    /// Dialled, or waiting for the welcome.
    Dialing(Dialing),
    /// Waiting for the hello.
    Hello,
    /// Waiting for the confirmation.
    Confirm(Box<Accepting>),
    /// Both sides have proven the secret.
    Open(Box<Session>),
    /// To be closed.
    Dead,
}

pub(super) struct Conn {
    pub(super) state: State,
    /// A peer's number, where it is known; an operator has none.
    pub(super) peer: Option<ServerId>,
    /// The address that is asked who answers there, and nothing else.
    pub(super) probe: Option<String>,
    /// Where a peer was dialled.
    pub(super) dialled: Option<SocketAddr>,
    /// One that is heard, and is no peer.
    pub(super) stranger: Option<Stranger>,
    /// An operator's on this machine, and the server that it asks, where that is another one.
    pub(super) local: bool,
    pub(super) relay_to: Option<String>,
    /// The other end of that: who asks there.
    pub(super) relay: Option<Key>,
    /// What waits until it is saved that its start was met.
    pub(super) held: Option<Held>,
    /// From where, for the operator.
    pub(super) origin: String,
    pub(super) inbox: Inbox,
    pub(super) output: Output,
    pub(super) dirty: bool,
    pub(super) opened_ms: u64,
    pub(super) heard_ms: u64,
    pub(super) sent_ms: u64,
}

/// What is known of a peer.
#[derive(Default)]
pub(super) struct Peer {
    pub(super) current: Option<Key>,
    pub(super) about: Option<About>,
    pub(super) incarnation: Option<u64>,
    /// It was told on this connection, at the stage that it is in, who the members are.
    pub(super) told: bool,
    /// The round of attempts to reach it that is under way.
    pub(super) tries: Option<Tries>,
    pub(super) dial_at_ms: u64,
    pub(super) delay_ms: u64,
    /// Why the last connection, or the last attempt at one, ended.
    pub(super) why: Option<String>,
}

/// What waits on a connection.
pub(super) struct Held {
    /// Until this is saved.
    pub(super) met: Met,
    pub(super) frames: VecDeque<Frame>,
    pub(super) bytes: usize,
}

/// What is to be passed on to a server that is not reached yet.
pub(super) struct Relay {
    /// Who asks.
    pub(super) asker: Key,
    pub(super) name: String,
    pub(super) address: String,
    pub(super) frame: Frame,
    pub(super) tries: Tries,
}

/// Asks who answers at an address; the asker is not a peer.
pub(super) struct Probe {
    /// The server that is meant.
    pub(super) name: String,
    pub(super) address: String,
    pub(super) since_ms: u64,
    pub(super) tries: Option<Tries>,
}

/// What is kept of one.
pub(super) struct Stranger {
    pub(super) name: String,
    pub(super) incarnation: u64,
    /// Why it is refused, unless it has news.
    pub(super) reason: Reason,
}

/// What is doubted: of which members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) kind: Kind,
    pub(super) of: String,
    pub(super) and: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Unspecified,
    Loopback,
    Twice,
}
