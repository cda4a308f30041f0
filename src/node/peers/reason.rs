//! Why a connection between servers is refused or closed. Pure.

use std::fmt;

/// Why a connection is refused or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// What came was not of this protocol.
    Malformed,
    /// The other side speaks another version of the peers' protocol.
    Version,
    /// The secrets differ.
    Secret,
    /// The servers are of different clusters.
    Cluster,
    /// The connection was meant for another server.
    Id,
    /// The cluster has no server of this name.
    Stranger,
    /// The data directory is not the one that the cluster was formed with.
    Incarnation,
    /// The frame's code is wrong: it was changed on its way.
    Code,
    /// The frame is not the next one: something was left out, or came twice.
    Sequence,
    /// A newer connection has taken this one's place.
    Replaced,
    /// Nothing was heard for too long.
    Silence,
    /// The server stops.
    Stopping,
    /// There are too many connections.
    Crowded,
    /// The data directory is older than what the other side has met of it, or a second copy.
    OldCopy,
}

/// Every reason with its code.
const REASONS: [(u8, Reason); 14] = [
    (1, Reason::Malformed),
    (2, Reason::Version),
    (3, Reason::Secret),
    (4, Reason::Cluster),
    (5, Reason::Id),
    (6, Reason::Stranger),
    (7, Reason::Incarnation),
    (8, Reason::Code),
    (9, Reason::Sequence),
    (10, Reason::Replaced),
    (11, Reason::Silence),
    (12, Reason::Stopping),
    (13, Reason::Crowded),
    (14, Reason::OldCopy),
];

impl Reason {
    /// Its byte.
    pub fn code(self) -> u8 {
        REASONS.iter().find(|(_, reason)| *reason == self).map_or(1, |(code, _)| *code)
    }

    /// Back from its byte.
    pub fn of_code(code: u8) -> Option<Reason> {
        REASONS.iter().find(|(of, _)| *of == code).map(|(_, reason)| *reason)
    }

    /// Whether trying again soon may help: nobody has to change anything.
    pub fn passes(self) -> bool {
        matches!(
            self,
            Reason::Replaced | Reason::Silence | Reason::Stopping | Reason::Crowded | Reason::Id
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Malformed => "wrong protocol: the other end is not a chatctl server",
            Reason::Version => {
                "wrong version: the other server has another version of the peer protocol"
            }
            Reason::Secret => "wrong secret: give every server the same --cluster-secret-file",
            Reason::Cluster => "wrong cluster: its data directory belongs to another cluster",
            Reason::Id => "wrong id: another server answers at this address; compare --cluster",
            Reason::Stranger => {
                "wrong id: the cluster has no server with this name; add it with chatctl members \
                 add"
            }
            Reason::Incarnation => {
                "wrong incarnation: its data directory is not the one that the cluster was formed \
                 with; restore that one, or admit this one with chatctl members replace"
            }
            Reason::Code => "wrong code: a frame was changed in transit",
            Reason::Sequence => "wrong sequence: a frame is missing or repeated",
            Reason::Replaced => "a newer connection replaced it",
            Reason::Silence => "silent for too long",
            Reason::Stopping => "the server is stopping",
            Reason::Crowded => "too many connections",
            Reason::OldCopy => {
                "old copy: its data directory was copied or rolled back, and a later start of it \
                 is already known; move it away, start with an empty one, and run chatctl members \
                 replace"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_code_and_a_text() {
        for (code, reason) in REASONS {
            assert_eq!((reason.code(), Reason::of_code(code)), (code, Some(reason)));
            assert!(!reason.to_string().is_empty());
        }
    }
}
