//! Servers of two versions side by side: in a share of the histories all begin as the version before,
//! and each is brought up to date at one of its restarts, whatever else is going on.
//!
//! Of the older version a server has its word only: what goes to it and comes from it is what the
//! version before has of it, through its bytes.

use chatctl::raft::{Body, Message};
use chatctl::server::peers::wire::{self, Frame};

use super::world::World;

/// The version before, and this one.
pub const OLD: u16 = 1;
pub const NEW: u16 = 2;

/// The messages that the version before knows: the tag of each, and the bytes behind it.
const KNOWN_TO_OLD: [(u8, usize); 11] = [
    (1, 8 + 3 * 8),
    (2, 8 + 8 + 1),
    (3, 8 + 2 * 8 + 1),
    (4, 8 + 1),
    (5, 8 + 3 * 8 + 4),
    (6, 8 + 8),
    (7, 8 + 3 * 8),
    (8, 8 + 2 * 8),
    (9, 8 + 3 * 8),
    (10, 8),
    (11, 8),
];

impl World {
    /// In a share of the histories no server is up to date at first.
    pub fn begin_with_old_versions(&mut self) {
        if self.rng.chance(1, 4) {
            self.servers.iter_mut().for_each(|server| server.version = OLD);
        }
    }

    /// A restart may be one with the new program.
    pub fn may_upgrade(&mut self, place: usize) {
        let server = &self.servers[place];
        if server.version == OLD && server.epoch > 0 && self.rng.chance(1, 3) {
            self.upgrade(place);
        }
    }

    fn upgrade(&mut self, place: usize) {
        self.counts.upgrades += 1;
        self.servers[place].version = NEW;
        self.note_of(place, "is brought up to date");
    }

    /// Those that are not up to date yet are restarted for it.
    pub fn finish_upgrade(&mut self) {
        for place in 0..self.servers.len() {
            if self.servers[place].version == OLD {
                self.upgrade(place);
                if self.servers[place].runs() {
                    self.end_process(place, false);
                }
            }
        }
    }

    /// What becomes of a message on its way to another server; none where that cannot be told.
    pub fn as_spoken(&mut self, from: usize, to: usize, message: Message) -> Option<Message> {
        let version = self.servers[from].version.min(self.servers[to].version);
        if version == NEW {
            return wire::for_version(message, version);
        }
        let Some(message) = wire::for_version(message, version) else {
            self.counts.untold += 1;
            return None;
        };
        self.counts.spoken_old += 1;
        let (mut head, mut block) = (Vec::new(), Vec::new());
        wire::put_message(&mut head, &message);
        if let Body::Append { entries, .. } = &message.body {
            wire::put_entries(&mut block, entries);
        }
        let (tag, bytes) = (head[1], head.len() - 2);
        assert!(KNOWN_TO_OLD.contains(&(tag, bytes)), "the version before knows no {message:?}");
        match wire::decode(&head, &block) {
            Ok(Frame::Raft(decoded)) => {
                assert_eq!(decoded, message, "it means the same in both versions");
                Some(decoded)
            }
            other => panic!("{message:?} is read as {other:?}"),
        }
    }
}
