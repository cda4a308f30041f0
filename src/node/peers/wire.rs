//! What peers say to each other once both have proven the cluster's secret: values and their bytes.
//! Pure. What is before it is [`super::handshake`], what is around it [`super::session`].
//!
//! Big-endian; text: u8 length, UTF-8. A frame has a *head*, different for each peer, and a *block*
//! that may be the same for all of them: the entries of an append, hashed once.
//!
//! ```text
//! head   u8 kind, then by kind
//!   1 raft      u8 tag  u64 term, then by tag
//!      1 pre-vote        u64 for term  u64 last index  u64 last term
//!      2 pre-vote reply  u64 for term  u8 granted
//!      3 vote            u64 last index  u64 last term  u8 transfer
//!      4 vote reply      u8 granted
//!      5 append          u64 prev index  u64 prev term  u64 copy  u8 counted  u64 commit  u32 count;
//!                        block: entries
//!      6 accepted        u64 match
//!      7 rejected        u64 prev index  u64 hint index  u64 hint term
//!      8 heartbeat       u64 round  u64 commit
//!      9 heartbeat reply u64 round  u64 verified  u64 match
//!     10 timeout now     nothing
//!     11 behind          nothing
//!     12 of copy         u64 copy, then tag and numbers of the answer: 6, 7 or 9
//!     13 restore         u64 copy  u64 commit
//!   2 about     u8 stage  cluster [16]  list [32]  client address text  version text
//!   3 closing   u8 reason
//!   4 ping      nothing
//!   5 adopt     nothing; block: the log's first entry
//!   6 ask       nothing: an operator asks for the status
//!   7 status    block: `key value` lines
//!   8 change    u8 verb  name text  address text: an operator asks for a change of the members
//!   9 join      block: the entry that names the members, of which the receiver is one
//!  10 clock     u64 unix ms  u64 median ms  u64 sent ms  u64 echo ms  u64 held ms
//! entry  u64 term  u32 length  payload; indexes follow the append's prev index
//! ```
//! Bytes left over, flags above 1 and unknown tags are errors. Tags are never used again for
//! anything else; 0 is reserved.

use super::bytes::{Malformed, Reader, put_number, put_text};
use super::change::{Change, put_change, read_change};
pub use super::reason::Reason;
use crate::limits::{RAFT_TERM, WAL_ENTRY_BYTES};
use crate::node::payload::typed;
use crate::node::time::Clock;
use crate::raft::{Body, Entry, Known, Message};

/// Bytes of an entry beside its payload.
const ENTRY_BYTES: usize = 12;

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// For the consensus core.
    Raft(Message),
    /// How the sender stands.
    About(About),
    /// The sender closes this connection.
    Closing(Reason),
    /// The sender lives.
    Ping,
    /// Take this as the log's first entry.
    Adopt(Vec<u8>),
    /// Tell your status.
    Ask,
    /// The status, or what became of a change.
    Status(String),
    /// Change the members.
    Change(Change),
    /// You are a member; these are all: an entry as the log has it, with the index up to which the
    /// log is applied in the place of its time.
    Join(Vec<u8>),
    /// What the sender's clock shows.
    Clock(Clock),
}

/// How far a server has come in forming a cluster. Each stage is durable before it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Its log is empty.
    Empty,
    /// Its log has the first entry, which says what the cluster is.
    Holds,
    /// It knows that all have that entry, and takes part in the cluster.
    Started,
}

/// How a server stands, told at the beginning of a connection and whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// How far it has come.
    pub stage: Stage,
    /// The cluster's id; zeros before it has one.
    pub cluster: [u8; 16],
    /// A digest of the list of servers it was given.
    pub list: [u8; 32],
    /// Where clients reach it.
    pub client_address: String,
    /// The program's version.
    pub version: String,
}

const RAFT: u8 = 1;
const ABOUT: u8 = 2;
const CLOSING: u8 = 3;
const PING: u8 = 4;
const ADOPT: u8 = 5;
const ASK: u8 = 6;
const STATUS: u8 = 7;
const CHANGE: u8 = 8;
const JOIN: u8 = 9;
const CLOCK: u8 = 10;

/// Appends the head of a message. The block of an append is [`put_entries`]'s.
pub fn put_message(out: &mut Vec<u8>, message: &Message) {
    out.push(RAFT);
    let numbers = |out: &mut Vec<u8>, tag: u8, numbers: &[u64]| {
        out.push(tag);
        put_number(out, message.term);
        numbers.iter().for_each(|&number| put_number(out, number));
    };
    match &message.body {
        Body::PreVote { for_term, last_index, last_term } => {
            numbers(out, 1, &[*for_term, *last_index, *last_term]);
        }
        Body::PreVoteReply { for_term, granted } => {
            numbers(out, 2, &[*for_term]);
            out.push(u8::from(*granted));
        }
        Body::Vote { last_index, last_term, transfer } => {
            numbers(out, 3, &[*last_index, *last_term]);
            out.push(u8::from(*transfer));
        }
        Body::VoteReply { granted } => {
            numbers(out, 4, &[]);
            out.push(u8::from(*granted));
        }
        Body::Append { prev_index, prev_term, known, commit, entries } => {
            numbers(out, 5, &[*prev_index, *prev_term, known.copy]);
            out.push(u8::from(known.counted));
            put_number(out, *commit);
            let count = u32::try_from(entries.len()).expect("an append is bounded by its bytes");
            out.extend_from_slice(&count.to_be_bytes());
        }
        Body::Accepted { match_index } => numbers(out, 6, &[*match_index]),
        Body::Rejected { prev_index, hint_index, hint_term } => {
            numbers(out, 7, &[*prev_index, *hint_index, *hint_term]);
        }
        Body::Heartbeat { round, commit } => numbers(out, 8, &[*round, *commit]),
        Body::HeartbeatReply { round, verified, match_index } => {
            numbers(out, 9, &[*round, *verified, *match_index]);
        }
        Body::TimeoutNow => numbers(out, 10, &[]),
        Body::Behind => numbers(out, 11, &[]),
        Body::OfCopy { copy, answer } => {
            numbers(out, 12, &[*copy]);
            match answer.as_ref() {
                Body::Accepted { match_index } => put_answer(out, 6, &[*match_index]),
                Body::Rejected { prev_index, hint_index, hint_term } => {
                    put_answer(out, 7, &[*prev_index, *hint_index, *hint_term]);
                }
                Body::HeartbeatReply { round, verified, match_index } => {
                    put_answer(out, 9, &[*round, *verified, *match_index]);
                }
                other => unreachable!("no answer to a PRIMARY: {other:?}"),
            }
        }
        Body::Restore { copy, commit } => numbers(out, 13, &[*copy, *commit]),
    }
}

fn put_answer(out: &mut Vec<u8>, tag: u8, numbers: &[u64]) {
    out.push(tag);
    numbers.iter().for_each(|&number| put_number(out, number));
}

/// Appends the block of an append.
pub fn put_entries(out: &mut Vec<u8>, entries: &[Entry]) {
    for entry in entries {
        put_number(out, entry.term);
        let payload = entry.payload.bytes();
        let length = u32::try_from(payload.len()).expect("payloads are bounded");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(payload);
    }
}

/// Appends the head of anything else; what is in a block is not here.
pub fn put_head(out: &mut Vec<u8>, frame: &Frame) {
    match frame {
        Frame::Raft(message) => put_message(out, message),
        Frame::About(about) => {
            out.extend([ABOUT, stage_code(about.stage)]);
            out.extend_from_slice(&about.cluster);
            out.extend_from_slice(&about.list);
            put_text(out, &about.client_address);
            put_text(out, &about.version);
        }
        Frame::Closing(reason) => out.extend([CLOSING, reason.code()]),
        Frame::Ping => out.push(PING),
        Frame::Adopt(_) => out.push(ADOPT),
        Frame::Ask => out.push(ASK),
        Frame::Status(_) => out.push(STATUS),
        Frame::Change(change) => {
            out.push(CHANGE);
            put_change(out, change);
        }
        Frame::Join(_) => out.push(JOIN),
        Frame::Clock(clock) => {
            let Clock { unix_ms, median_ms, sent_ms, echo_ms, held_ms } = *clock;
            out.push(CLOCK);
            for number in [unix_ms, median_ms, sent_ms, echo_ms, held_ms] {
                put_number(out, number);
            }
        }
    }
}

/// Reads a frame from its head and its block.
pub fn decode(head: &[u8], block: &[u8]) -> Result<Frame, Malformed> {
    let mut reader = Reader { rest: head };
    let [kind] = reader.array()?;
    let mut has_block = false;
    let frame = match kind {
        RAFT => {
            let message = message(&mut reader, block)?;
            has_block = matches!(message.body, Body::Append { .. });
            Frame::Raft(message)
        }
        ABOUT => Frame::About(About {
            stage: stage_of(reader.array()?)?,
            cluster: reader.array()?,
            list: reader.array()?,
            client_address: reader.text()?.to_owned(),
            version: reader.text()?.to_owned(),
        }),
        CLOSING => {
            let [code] = reader.array()?;
            Frame::Closing(Reason::of_code(code).ok_or(Malformed("an unknown reason"))?)
        }
        PING => Frame::Ping,
        ADOPT | JOIN if block.len() > WAL_ENTRY_BYTES => return Err(Malformed("a long entry")),
        ADOPT => {
            has_block = true;
            Frame::Adopt(block.to_vec())
        }
        JOIN => {
            has_block = true;
            Frame::Join(block.to_vec())
        }
        ASK => Frame::Ask,
        CLOCK => Frame::Clock(Clock {
            unix_ms: reader.number()?,
            median_ms: reader.number()?,
            sent_ms: reader.number()?,
            echo_ms: reader.number()?,
            held_ms: reader.number()?,
        }),
        CHANGE => Frame::Change(read_change(&mut reader)?),
        STATUS => {
            has_block = true;
            let text = str::from_utf8(block).map_err(|_| Malformed("a status that is no text"))?;
            Frame::Status(text.to_owned())
        }
        _ => return Err(Malformed("an unknown kind of frame")),
    };
    if !reader.rest.is_empty() || (!has_block && !block.is_empty()) {
        return Err(Malformed("bytes are left over"));
    }
    Ok(frame)
}

fn message(reader: &mut Reader<'_>, block: &[u8]) -> Result<Message, Malformed> {
    let [tag] = reader.array()?;
    let term = reader.number()?;
    let body = match tag {
        1 => Body::PreVote {
            for_term: reader.number()?,
            last_index: reader.number()?,
            last_term: reader.number()?,
        },
        2 => Body::PreVoteReply { for_term: reader.number()?, granted: reader.flag()? },
        3 => Body::Vote {
            last_index: reader.number()?,
            last_term: reader.number()?,
            transfer: reader.flag()?,
        },
        4 => Body::VoteReply { granted: reader.flag()? },
        5 => {
            let (prev_index, prev_term) = (reader.number()?, reader.number()?);
            let known = Known { copy: reader.number()?, counted: reader.flag()? };
            let commit = reader.number()?;
            let count = u32::from_be_bytes(reader.array()?) as usize;
            let entries = entries(prev_index, count, block)?;
            Body::Append { prev_index, prev_term, known, commit, entries }
        }
        6 | 7 | 9 => answer(reader, tag)?,
        8 => Body::Heartbeat { round: reader.number()?, commit: reader.number()? },
        10 => Body::TimeoutNow,
        11 => Body::Behind,
        12 => {
            let copy = reader.number()?;
            let [tag] = reader.array()?;
            Body::OfCopy { copy, answer: Box::new(answer(reader, tag)?) }
        }
        13 => Body::Restore { copy: reader.number()?, commit: reader.number()? },
        _ => return Err(Malformed("an unknown message")),
    };
    Ok(Message { term, body })
}

/// What a backup answers to appends and heartbeats.
fn answer(reader: &mut Reader<'_>, tag: u8) -> Result<Body, Malformed> {
    Ok(match tag {
        6 => Body::Accepted { match_index: reader.number()? },
        7 => Body::Rejected {
            prev_index: reader.number()?,
            hint_index: reader.number()?,
            hint_term: reader.number()?,
        },
        9 => Body::HeartbeatReply {
            round: reader.number()?,
            verified: reader.number()?,
            match_index: reader.number()?,
        },
        _ => return Err(Malformed("an unknown answer")),
    })
}

fn entries(prev_index: u64, count: usize, block: &[u8]) -> Result<Vec<Entry>, Malformed> {
    if count > block.len() / ENTRY_BYTES {
        return Err(Malformed("more entries than fit"));
    }
    let mut reader = Reader { rest: block };
    let mut entries = Vec::with_capacity(count);
    let mut index = prev_index;
    for _ in 0..count {
        index = index.checked_add(1).ok_or(Malformed("an index that no log has"))?;
        let term = reader.number()?;
        let length = u32::from_be_bytes(reader.array()?) as usize;
        if length > WAL_ENTRY_BYTES || term == 0 || term > RAFT_TERM {
            return Err(Malformed("an entry that no log has"));
        }
        entries.push(Entry { term, index, payload: typed(reader.bytes(length)?) });
    }
    if !reader.rest.is_empty() {
        return Err(Malformed("bytes are left over behind the entries"));
    }
    Ok(entries)
}

fn stage_code(stage: Stage) -> u8 {
    match stage {
        Stage::Empty => 1,
        Stage::Holds => 2,
        Stage::Started => 3,
    }
}

fn stage_of([code]: [u8; 1]) -> Result<Stage, Malformed> {
    match code {
        1 => Ok(Stage::Empty),
        2 => Ok(Stage::Holds),
        3 => Ok(Stage::Started),
        _ => Err(Malformed("an unknown stage")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::Verb;
    use super::*;
    use crate::auth::hex;

    fn entry(term: u64, index: u64, payload: &[u8]) -> Entry {
        Entry { term, index, payload: typed(payload) }
    }

    /// A frame of each kind and its head and block in hexadecimal.
    fn vectors() -> Vec<(Frame, String, String)> {
        let raft = |body, head: &str, block: &str| {
            let head = head.replace(' ', "");
            let (tag, rest) = head.split_at(2);
            let head = format!("01{tag}0000000000000009{rest}");
            (Frame::Raft(Message { term: 9, body }), head, block.replace(' ', ""))
        };
        let number = |number: u64| format!("{number:016x}");
        let (one, two, three) = (number(1), number(2), number(3));
        let about = About {
            stage: Stage::Holds,
            cluster: [0xc1; 16],
            list: [0x11; 32],
            client_address: "h:1".into(),
            version: "0.1".into(),
        };
        let entries = vec![entry(8, 4, b"ab"), entry(9, 5, b"")];
        let known = Known { copy: 2, counted: true };
        let (name, address) = ("b".into(), "h:1".into());
        let change = Change { verb: Verb::Add, name, address };
        vec![
            raft(
                Body::PreVote { for_term: 1, last_index: 2, last_term: 3 },
                &format!("01{one}{two}{three}"),
                "",
            ),
            raft(Body::PreVoteReply { for_term: 1, granted: true }, &format!("02{one}01"), ""),
            raft(
                Body::Vote { last_index: 2, last_term: 3, transfer: false },
                &format!("03{two}{three}00"),
                "",
            ),
            raft(Body::VoteReply { granted: false }, "0400", ""),
            raft(
                Body::Append { prev_index: 3, prev_term: 2, known, commit: 1, entries },
                &format!("05{three}{two}{two}01{one}00000002"),
                "0000000000000008 00000002 6162 0000000000000009 00000000",
            ),
            raft(Body::Accepted { match_index: 1 }, &format!("06{one}"), ""),
            raft(
                Body::Rejected { prev_index: 3, hint_index: 2, hint_term: 1 },
                &format!("07{three}{two}{one}"),
                "",
            ),
            raft(Body::Heartbeat { round: 1, commit: 2 }, &format!("08{one}{two}"), ""),
            raft(
                Body::HeartbeatReply { round: 1, verified: 3, match_index: 2 },
                &format!("09{one}{three}{two}"),
                "",
            ),
            raft(Body::TimeoutNow, "0a", ""),
            raft(Body::Behind, "0b", ""),
            raft(
                Body::OfCopy { copy: 3, answer: Box::new(Body::Accepted { match_index: 1 }) },
                &format!("0c{three}06{one}"),
                "",
            ),
            raft(Body::Restore { copy: 3, commit: 2 }, &format!("0d{three}{two}"), ""),
            (
                Frame::About(about),
                format!("0202{}{}03683a3103302e31", "c1".repeat(16), "11".repeat(32)),
                String::new(),
            ),
            (Frame::Closing(Reason::Incarnation), "0307".into(), String::new()),
            (Frame::Ping, "04".into(), String::new()),
            (Frame::Adopt(vec![1, 2]), "05".into(), "0102".into()),
            (Frame::Ask, "06".into(), String::new()),
            (Frame::Status("id a\n".into()), "07".into(), "696420610a".into()),
            (Frame::Change(change), "0801016203683a31".into(), String::new()),
            (Frame::Join(vec![3]), "09".into(), "03".into()),
            (
                Frame::Clock(Clock {
                    unix_ms: 1,
                    median_ms: 2,
                    sent_ms: 3,
                    echo_ms: 2,
                    held_ms: 1,
                }),
                format!("0a{one}{two}{three}{two}{one}"),
                String::new(),
            ),
        ]
    }

    #[test]
    fn each_kind_is_written_and_read_as_drawn() {
        for (frame, head, block) in vectors() {
            let mut bytes = Vec::new();
            put_head(&mut bytes, &frame);
            assert_eq!(hex::encode(&bytes), head, "{frame:?}");
            if let Frame::Raft(Message { body: Body::Append { entries, .. }, .. }) = &frame {
                let mut bytes = Vec::new();
                put_entries(&mut bytes, entries);
                assert_eq!(hex::encode(&bytes), block);
            }
            let block = hex::decode(&block).unwrap();
            assert_eq!(decode(&bytes, &block), Ok(frame));
        }
    }

    #[test]
    fn no_part_of_a_frame_is_a_frame_nor_one_with_a_byte_more() {
        for (frame, head, block) in vectors() {
            let (mut head, mut block) = (hex::decode(&head).unwrap(), hex::decode(&block).unwrap());
            for length in 0..head.len() {
                assert!(decode(&head[..length], &block).is_err(), "{frame:?} {length}");
            }
            let free = matches!(frame, Frame::Adopt(_) | Frame::Status(_) | Frame::Join(_));
            for length in 0..block.len() {
                assert!(free || decode(&head, &block[..length]).is_err(), "{frame:?} {length}");
            }
            block.push(0);
            assert!(free || decode(&head, &block).is_err(), "{frame:?}");
            block.pop();
            head.push(0);
            assert!(decode(&head, &block).is_err(), "{frame:?}");
        }
    }

    #[test]
    fn what_no_server_says_is_refused() {
        let append = |count: &str, block: &str| {
            let number = format!("{:016x}", 9);
            let head = format!("0105{}00{number}{count}", number.repeat(4));
            let head = hex::decode(&head).unwrap();
            decode(&head, &hex::decode(&block.replace(' ', "")).unwrap())
        };
        assert!(append("00000000", "").is_ok(), "an empty append asks whether the log matches");
        for (count, block) in [
            ("ffffffff", ""),
            ("00000001", "0000000000000000 00000000"),
            ("00000001", "ffffffffffffffff 00000000"),
            ("00000001", "0000000000000009 ffffffff"),
            ("00000002", "0000000000000009 00000000"),
        ] {
            assert!(append(count, block).is_err(), "{count} {block}");
        }
        for head in [
            "",
            "00",
            "08",
            "080401620161",
            "0b",
            "0100",
            "010e0000000000000009",
            "0300",
            "03ff",
            "0204",
        ] {
            assert!(decode(&hex::decode(head).unwrap(), &[]).is_err(), "{head}");
        }
    }
}
