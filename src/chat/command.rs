//! What an entry's payload means, and its bytes.
//!
//! ```text
//! byte 0        version, 1
//! byte 1        kind
//! bytes 2..10   time, u64, milliseconds since the Unix epoch, below 2^48
//! then, by kind, big-endian; name: u8 length, bytes; text: u16 length, bytes
//!   1 found        cluster [16]  token secret [32]
//!   2 create       name  verifier text
//!   3 send         name from  name to  id u128  known u64  body text
//!   4 take         name  u16 count, count x u64 seq, strictly rising
//!   5 read         name  name from  upto u64
//!   6 delete_msgs  name  u16 count, count x (u64 seq, u128 id), seqs strictly rising
//!   7 passwd       name  verifier text
//!   8 delete       name
//!   9 found        cluster [16]  token secret [32]  u8 count, count x (name, address text,
//!                  u64 incarnation), one or more, names strictly rising; numbered from 1, all vote
//!  10 members      u8 count, count x (name, address text, u64 incarnation, u32 number, u8 votes),
//!                  one or more, names strictly rising, numbers different and not 0, one votes
//! ```
//! Bytes left over are an error. Kinds are never used again for anything else; 0 is reserved. Names
//! are folded, `[a-z0-9][a-z0-9._-]{0,31}`. No bytes at all are a no-op: a new PRIMARY's first
//! entry.

use super::messages::U48;
use crate::limits::{BODY_BYTES, NAME_BYTES, PEER_ADDRESS_BYTES, RAFT_VOTERS};
use std::fmt;

/// The kinds that name servers.
const FOUND_WITH_MEMBERS: u8 = 9;
const MEMBERS: u8 = 10;

/// The version of the payload's form that is written, and the only one that is read.
const VERSION: u8 = 1;

/// A change, as an entry carries it. Names are folded; times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// The log's first command: what this cluster is.
    Found {
        /// When.
        time: u64,
        /// The cluster's id.
        cluster: [u8; 16],
        /// What tokens are derived from.
        token_secret: [u8; 32],
        /// The servers it was formed of, by name; none for a server that is alone.
        members: Vec<Member>,
    },
    /// Which servers there are from here on.
    Members {
        /// When.
        time: u64,
        /// All of them, by name.
        members: Vec<Member>,
    },
    /// A new account.
    Create {
        /// When.
        time: u64,
        /// Its name.
        name: &'a str,
        /// Its password's SCRAM verifier, in PostgreSQL's text form.
        verifier: &'a str,
    },
    /// A message.
    Send {
        /// When.
        time: u64,
        /// The sender.
        from: &'a str,
        /// The receiver; may be the sender.
        to: &'a str,
        /// The id that the sender gave it.
        id: u128,
        /// The newest seq that the client knew at its first attempt; 0 = not said.
        known: u64,
        /// The content, at most 65,535 bytes.
        body: &'a str,
    },
    /// Messages are taken off an account's queue (`deliver` n).
    Take {
        /// When.
        time: u64,
        /// Whose queue.
        name: &'a str,
        /// Which messages, rising; see `State::to_take`.
        seqs: Vec<u64>,
    },
    /// A read marker moves.
    Read {
        /// When.
        time: u64,
        /// Whose marker.
        name: &'a str,
        /// For messages from whom.
        from: &'a str,
        /// All up to this seq is read.
        upto: u64,
    },
    /// Messages are deleted.
    DeleteMsgs {
        /// When.
        time: u64,
        /// Who deletes.
        name: &'a str,
        /// Which messages, seqs rising; see `State::targets`.
        targets: Vec<Target>,
    },
    /// An account's password changes.
    Passwd {
        /// When.
        time: u64,
        /// Whose.
        name: &'a str,
        /// The new verifier.
        verifier: &'a str,
    },
    /// An account goes.
    Delete {
        /// When.
        time: u64,
        /// Which.
        name: &'a str,
    },
}

/// A server of a cluster. The incarnation was made at random with its data directory: a server with
/// another one has another directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, folded.
    pub name: String,
    /// Where the other servers reach it, `HOST:PORT`.
    pub address: String,
    /// Its directory's.
    pub incarnation: u64,
    /// Its number, by which the consensus core knows it; never given to another server.
    pub number: u32,
    /// Whether it has a vote, or is only sent the log.
    pub votes: bool,
}

/// A message that is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Its place in the log.
    pub seq: u64,
    /// Its id.
    pub id: u128,
}

/// Why a payload is not a command that this version knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// Written by another version of the program.
    UnknownVersion(u8),
    /// A kind that this version does not know.
    UnknownKind(u8),
    /// The bytes do not have the form of their kind.
    Malformed {
        /// The kind's name.
        kind: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The log has come to more than the state can number.
    Full(&'static str),
    /// The entry is not above the last one applied, or its index is 2^48 or more.
    BadIndex {
        /// The last one applied.
        applied: u64,
    },
    /// The entry is no message.
    NoMessage,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::UnknownVersion(version) => write!(
                f,
                "its command has version {version}, this program knows version {VERSION}: start \
                 the version of chatctl that wrote it, or a newer one"
            ),
            CommandError::UnknownKind(kind) => write!(
                f,
                "its command is of kind {kind}, this program knows 1 to 10: start the version of \
                 chatctl that wrote it, or a newer one"
            ),
            CommandError::Malformed { kind, why } => write!(
                f,
                "its {kind} command is malformed ({why}): look at it with `chatctl dump-log`, and \
                 restore this server's data directory from another member or a backup"
            ),
            CommandError::Full(what) => write!(
                f,
                "there is no number left for another of its {what}: start a new cluster, keep this \
                 one for its history"
            ),
            CommandError::BadIndex { applied } => write!(
                f,
                "it does not follow entry {applied}, the last one applied: this is a bug in \
                 chatctl, please report it with the output of `chatctl dump-log --verify`"
            ),
            CommandError::NoMessage => write!(
                f,
                "it holds no message, although one was expected there: check the log with \
                 `chatctl dump-log --verify`"
            ),
        }
    }
}

impl std::error::Error for CommandError {}

/// Whether an entry's payload can be applied, or why not.
pub fn readable(payload: &[u8]) -> Result<(), String> {
    Command::of(payload).map(drop).map_err(|error| error.to_string())
}

/// True for a folded name.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    (1..=NAME_BYTES).contains(&bytes.len())
        && plain(bytes[0])
        && bytes.iter().all(|&byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

impl<'a> Command<'a> {
    /// The kind's name, as dumps and errors show it.
    pub fn kind(&self) -> &'static str {
        kind_name(self.tag()).unwrap_or("unknown")
    }

    /// When it was proposed, milliseconds since the Unix epoch.
    pub fn time(&self) -> u64 {
        match *self {
            Command::Found { time, .. }
            | Command::Members { time, .. }
            | Command::Create { time, .. }
            | Command::Send { time, .. }
            | Command::Take { time, .. }
            | Command::Read { time, .. }
            | Command::DeleteMsgs { time, .. }
            | Command::Passwd { time, .. }
            | Command::Delete { time, .. } => time,
        }
    }

    fn tag(&self) -> u8 {
        match self {
            Command::Found { members, .. } if members.is_empty() => 1,
            Command::Found { .. } => FOUND_WITH_MEMBERS,
            Command::Create { .. } => 2,
            Command::Send { .. } => 3,
            Command::Take { .. } => 4,
            Command::Read { .. } => 5,
            Command::DeleteMsgs { .. } => 6,
            Command::Passwd { .. } => 7,
            Command::Delete { .. } => 8,
            Command::Members { .. } => MEMBERS,
        }
    }

    /// Appends the payload's bytes. Who calls has checked the fields: names folded, bodies and
    /// lists within their bounds, seqs rising; that is asserted.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend([VERSION, self.tag()]);
        put_number(out, self.time().min(U48::MAX));
        match self {
            Command::Found { cluster, token_secret, members, .. } => {
                out.extend_from_slice(cluster);
                out.extend_from_slice(token_secret);
                put_members(out, members);
            }
            Command::Members { members, .. } => put_seats(out, members),
            Command::Create { name, verifier, .. } | Command::Passwd { name, verifier, .. } => {
                put_name(out, name);
                put_text(out, verifier);
            }
            Command::Send { from, to, id, known, body, .. } => {
                put_name(out, from);
                put_name(out, to);
                out.extend_from_slice(&id.to_be_bytes());
                put_number(out, *known);
                put_text(out, body);
            }
            Command::Take { name, seqs, .. } => {
                assert!(seqs.is_sorted_by(|low, high| low < high), "seqs strictly rise");
                put_name(out, name);
                put_count(out, seqs.len());
                seqs.iter().for_each(|&seq| put_number(out, seq));
            }
            Command::Read { name, from, upto, .. } => {
                put_name(out, name);
                put_name(out, from);
                put_number(out, *upto);
            }
            Command::DeleteMsgs { name, targets, .. } => {
                assert!(targets.is_sorted_by(|low, high| low.seq < high.seq), "seqs strictly rise");
                put_name(out, name);
                put_count(out, targets.len());
                for target in targets {
                    put_number(out, target.seq);
                    out.extend_from_slice(&target.id.to_be_bytes());
                }
            }
            Command::Delete { name, .. } => put_name(out, name),
        }
    }

    /// Whether entries of this kind name servers.
    pub(super) fn names_members(kind: u8) -> bool {
        matches!(kind, FOUND_WITH_MEMBERS | MEMBERS)
    }

    /// Reads a payload; none, where it is empty, as that of a term's first entry.
    pub fn of(payload: &'a [u8]) -> Result<Option<Command<'a>>, CommandError> {
        if payload.is_empty() { Ok(None) } else { Command::decode(payload).map(Some) }
    }

    /// Reads a payload that is not empty.
    pub fn decode(payload: &'a [u8]) -> Result<Command<'a>, CommandError> {
        let (version, rest) = payload.split_first().unwrap_or((&0, &[]));
        if *version != VERSION {
            return Err(CommandError::UnknownVersion(*version));
        }
        let (&tag, rest) = rest.split_first().unwrap_or((&0, &[]));
        let kind = kind_name(tag).ok_or(CommandError::UnknownKind(tag))?;
        let mut reader = Reader { kind, rest };
        let command = reader.command(tag)?;
        match reader.rest {
            [] => Ok(command),
            _ => Err(reader.malformed("bytes are left over")),
        }
    }
}

fn kind_name(tag: u8) -> Option<&'static str> {
    Some(match tag {
        1 => "found",
        2 => "create",
        3 => "send",
        4 => "take",
        5 => "read",
        6 => "delete_msgs",
        7 => "passwd",
        8 => "delete",
        FOUND_WITH_MEMBERS => "found",
        MEMBERS => "members",
        _ => return None,
    })
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_be_bytes());
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    assert!(is_name(name), "names are checked and folded before they are proposed");
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() <= BODY_BYTES, "texts are checked before they are proposed");
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    assert!(count <= usize::from(u16::MAX), "lists are bounded before they are proposed");
    out.extend_from_slice(&(count as u16).to_be_bytes());
}

fn put_members(out: &mut Vec<u8>, members: &[Member]) {
    assert!(members.len() <= RAFT_VOTERS, "a cluster's size is checked before it is formed");
    assert!(members.is_sorted_by(|low, high| low.name < high.name), "names strictly rise");
    if members.is_empty() {
        return;
    }
    out.push(members.len() as u8);
    for (number, member) in (1..).zip(members) {
        assert!(member.number == number && member.votes, "a founder's number is its place");
        put_member(out, member);
    }
}

fn put_seats(out: &mut Vec<u8>, members: &[Member]) {
    assert!(is_seated(members), "a change of the members is checked before it is proposed");
    out.push(members.len() as u8);
    for member in members {
        put_member(out, member);
        out.extend_from_slice(&member.number.to_be_bytes());
        out.push(u8::from(member.votes));
    }
}

fn put_member(out: &mut Vec<u8>, member: &Member) {
    put_name(out, &member.name);
    put_text(out, &member.address);
    put_number(out, member.incarnation);
}

/// What holds of every list of members.
fn is_seated(members: &[Member]) -> bool {
    let mut numbers: Vec<u32> = members.iter().map(|member| member.number).collect();
    numbers.sort_unstable();
    (1..=RAFT_VOTERS).contains(&members.len())
        && members.is_sorted_by(|low, high| low.name < high.name)
        && numbers.is_sorted_by(|low, high| low < high)
        && numbers[0] > 0
        && members.iter().any(|member| member.votes)
}

/// What is still to be read of a command of a known kind.
struct Reader<'a> {
    kind: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn malformed(&self, why: &'static str) -> CommandError {
        CommandError::Malformed { kind: self.kind, why }
    }

    fn command(&mut self, tag: u8) -> Result<Command<'a>, CommandError> {
        let time = self.number()?;
        if time > U48::MAX {
            return Err(self.malformed("its time is 2^48 or more"));
        }
        Ok(match tag {
            1 => Command::Found {
                time,
                cluster: self.array()?,
                token_secret: self.array()?,
                members: Vec::new(),
            },
            2 => Command::Create { time, name: self.name()?, verifier: self.text()? },
            3 => Command::Send {
                time,
                from: self.name()?,
                to: self.name()?,
                id: u128::from_be_bytes(self.array()?),
                known: self.number()?,
                body: self.text()?,
            },
            4 => Command::Take { time, name: self.name()?, seqs: self.seqs()? },
            5 => {
                Command::Read { time, name: self.name()?, from: self.name()?, upto: self.number()? }
            }
            6 => Command::DeleteMsgs { time, name: self.name()?, targets: self.targets()? },
            7 => Command::Passwd { time, name: self.name()?, verifier: self.text()? },
            8 => Command::Delete { time, name: self.name()? },
            MEMBERS => Command::Members { time, members: self.seats()? },
            _ => Command::Found {
                time,
                cluster: self.array()?,
                token_secret: self.array()?,
                members: self.members()?,
            },
        })
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], CommandError> {
        let Some((bytes, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.malformed("it ends early"));
        };
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CommandError> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    fn number(&mut self) -> Result<u64, CommandError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn count(&mut self) -> Result<usize, CommandError> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    fn name(&mut self) -> Result<&'a str, CommandError> {
        let [length] = self.array()?;
        let bytes = self.bytes(usize::from(length))?;
        match str::from_utf8(bytes) {
            Ok(name) if is_name(name) => Ok(name),
            _ => Err(self.malformed("a name is not a folded name")),
        }
    }

    fn text(&mut self) -> Result<&'a str, CommandError> {
        let length = self.count()?;
        let bytes = self.bytes(length)?;
        str::from_utf8(bytes).map_err(|_| self.malformed("a text is not UTF-8"))
    }

    fn members(&mut self) -> Result<Vec<Member>, CommandError> {
        let [count] = self.array()?;
        if !(1..=RAFT_VOTERS).contains(&usize::from(count)) {
            return Err(self.malformed("its members are none or too many"));
        }
        let members: Vec<Member> =
            (1..=count.into()).map(|number| self.member(number)).collect::<Result<_, _>>()?;
        if !members.is_sorted_by(|low, high| low.name < high.name) {
            return Err(self.malformed("its members' names do not rise"));
        }
        Ok(members)
    }

    fn member(&mut self, number: u32) -> Result<Member, CommandError> {
        let (name, address) = (self.name()?.to_owned(), self.text()?.to_owned());
        if address.len() > PEER_ADDRESS_BYTES {
            return Err(self.malformed("a member's address is too long"));
        }
        Ok(Member { name, address, incarnation: self.number()?, number, votes: true })
    }

    fn seats(&mut self) -> Result<Vec<Member>, CommandError> {
        let [count] = self.array()?;
        let mut members = Vec::new();
        for _ in 0..count {
            let member = self.member(0)?;
            let number = u32::from_be_bytes(self.array()?);
            let votes = match self.array()? {
                [0] => false,
                [1] => true,
                _ => return Err(self.malformed("a member's vote is neither 0 nor 1")),
            };
            members.push(Member { number, votes, ..member });
        }
        match is_seated(&members) {
            true => Ok(members),
            false => Err(self.malformed("no cluster has such members")),
        }
    }

    fn seqs(&mut self) -> Result<Vec<u64>, CommandError> {
        let count = self.count()?;
        let mut bytes = Reader { kind: self.kind, rest: self.bytes(count * 8)? };
        let seqs: Vec<u64> = (0..count).map(|_| bytes.number()).collect::<Result<_, _>>()?;
        if !seqs.is_sorted_by(|low, high| low < high) {
            return Err(self.malformed("its seqs do not rise"));
        }
        Ok(seqs)
    }

    fn targets(&mut self) -> Result<Vec<Target>, CommandError> {
        let count = self.count()?;
        let mut bytes = Reader { kind: self.kind, rest: self.bytes(count * 24)? };
        let mut next =
            || Ok(Target { seq: bytes.number()?, id: u128::from_be_bytes(bytes.array()?) });
        let targets: Vec<Target> = (0..count).map(|_| next()).collect::<Result<_, _>>()?;
        if !targets.is_sorted_by(|low, high| low.seq < high.seq) {
            return Err(self.malformed("its seqs do not rise"));
        }
        Ok(targets)
    }
}
