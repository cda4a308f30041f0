//! The form of the file in which a client keeps what must outlive it. Pure.
//!
//! Lines of text, appended, each standing alone:
//!
//! ```text
//! CRC  put ID WRITTEN KNOWN CLUSTER TO TEXT
//!                                       a message waits since WRITTEN (milliseconds since the Unix
//!                                       epoch); TEXT with \n \r \\ for LF, CR, backslash
//! CRC  gone ID SEQ                      it is stored in the cluster at SEQ, or (0) was refused
//! CRC  cursor SEQ                       everything up to there has been shown
//! CRC  cluster ID                       whose order SEQ is a place in; voids an earlier cursor
//! CRC  token TOKEN                      lets the account log in: the file is secret
//! ```
//!
//! CRC is the CRC-32 of the rest of the line (from the kind on, without the LF), 8 hex digits. Ids are
//! 32 hex digits, numbers decimal, one space between (two after the CRC). A last line without its LF
//! is a torn tail: the write was cut, nothing has been done with it, it counts as never written. A
//! damaged line elsewhere costs only itself.

use std::collections::VecDeque;

use crate::client::session::Draft;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A message waits.
    Put(&'a Draft),
    /// A message is done with: its id, its seq or 0.
    Gone(u128, u64),
    /// Shown up to there.
    Cursor(u64),
    /// The cluster's id.
    Cluster(u128),
    /// A token for `resume`.
    Token(&'a str),
}

impl Record<'_> {
    /// Appends the line.
    pub fn write(&self, out: &mut Vec<u8>) {
        let text = match self {
            Record::Put(draft) => {
                let Draft { id, to, body, known, cluster, written_ms } = draft;
                let body = escape(body);
                format!("put {id:032x} {written_ms} {known} {cluster:032x} {to} {body}")
            }
            Record::Gone(id, seq) => format!("gone {id:032x} {seq}"),
            Record::Cursor(seq) => format!("cursor {seq}"),
            Record::Cluster(id) => format!("cluster {id:032x}"),
            Record::Token(token) => format!("token {}", escape(token)),
        };
        write_line(&text, out);
    }
}

/// Bytes of a line besides its text.
pub(super) const LINE_EXTRA_BYTES: usize = "CRC.CRC.  \n".len();

/// Appends a line with this text, which has no line end.
pub(super) fn write_line(text: &str, out: &mut Vec<u8>) {
    let crc = crc32fast::hash(text.as_bytes());
    out.extend_from_slice(format!("{crc:08x}  {text}\n").as_bytes());
}

/// The text of a line, without its end; `None` for one that is damaged.
pub(super) fn read_line(line: &[u8]) -> Option<&str> {
    let (crc, text) = std::str::from_utf8(line).ok()?.split_once("  ")?;
    let is_sound =
        crc.len() == 8 && u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(text.as_bytes());
    is_sound.then_some(text)
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The messages that wait, in order.
    pub drafts: VecDeque<Draft>,
    /// Own messages stored above the cursor: (seq, id).
    pub own: Vec<(u64, u128)>,
    /// Shown up to there.
    pub cursor: Option<u64>,
    /// The cluster; 0 = not known.
    pub cluster: u128,
    /// A token.
    pub token: Option<String>,
}

impl Kept {
    /// Does what a line says.
    pub fn apply(&mut self, record: &Record<'_>) {
        match record {
            Record::Put(draft) => {
                if !self.drafts.iter().rev().any(|known| known.id == draft.id) {
                    self.drafts.push_back((*draft).clone());
                }
            }
            Record::Gone(id, seq) => {
                // Almost always the first: messages are acknowledged in order.
                if let Some(place) = self.drafts.iter().position(|draft| draft.id == *id) {
                    self.drafts.remove(place);
                }
                if *seq > self.cursor.unwrap_or(0) {
                    self.own.push((*seq, *id));
                }
            }
            Record::Cursor(seq) => {
                self.cursor = Some(*seq);
                self.own.retain(|(own, _)| own > seq);
            }
            Record::Cluster(id) => {
                if *id != self.cluster {
                    self.cursor = None;
                    self.own.clear();
                }
                self.cluster = *id;
            }
            Record::Token(token) => self.token = Some(token.to_string()),
        }
    }

    /// The shortest file that says the same.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.cluster != 0 {
            Record::Cluster(self.cluster).write(out);
        }
        if let Some(token) = &self.token {
            Record::Token(token).write(out);
        }
        if let Some(cursor) = self.cursor {
            Record::Cursor(cursor).write(out);
        }
        for (seq, id) in &self.own {
            Record::Gone(*id, *seq).write(out);
        }
        for draft in &self.drafts {
            Record::Put(draft).write(out);
        }
    }
}

/// What reading a file found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// What it says.
    pub kept: Kept,
    /// Bytes of whole lines: what is behind is a torn tail.
    pub good_len: usize,
    /// Whole lines that are damaged, passed over.
    pub damaged: usize,
}

/// Reads a file.
pub fn replay(bytes: &[u8]) -> Replay {
    let mut replay = Replay::default();
    while let Some(length) = bytes[replay.good_len..].iter().position(|byte| *byte == b'\n') {
        let line = &bytes[replay.good_len..replay.good_len + length];
        replay.good_len += length + 1;
        if apply_line(line, &mut replay.kept).is_none() {
            replay.damaged += 1;
        }
    }
    replay
}

fn apply_line(line: &[u8], kept: &mut Kept) -> Option<()> {
    let (kind, rest) = read_line(line)?.split_once(' ')?;
    let hex = |field: &str| u128::from_str_radix(field, 16).ok();
    match kind {
        "put" => {
            let mut fields = rest.splitn(6, ' ');
            let draft = Draft {
                id: hex(fields.next()?)?,
                written_ms: fields.next()?.parse().ok()?,
                known: fields.next()?.parse().ok()?,
                cluster: hex(fields.next()?)?,
                to: fields.next()?.to_string(),
                body: unescape(fields.next()?)?,
            };
            kept.apply(&Record::Put(&draft));
        }
        "gone" => {
            let (id, seq) = rest.split_once(' ')?;
            kept.apply(&Record::Gone(hex(id)?, seq.parse().ok()?));
        }
        "cursor" => kept.apply(&Record::Cursor(rest.parse().ok()?)),
        "cluster" => kept.apply(&Record::Cluster(hex(rest)?)),
        "token" => kept.apply(&Record::Token(&unescape(rest)?)),
        _ => return None,
    }
    Some(())
}

pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

pub(super) fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        plain.push(match char {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(id: u128, body: &str) -> Draft {
        Draft {
            id,
            to: "bob".to_string(),
            body: body.to_string(),
            known: 7,
            cluster: 9,
            written_ms: 8,
        }
    }

    /// A file, and what it says after each of its lines.
    fn history() -> (Vec<u8>, Vec<(usize, Kept)>) {
        let drafts = [draft(1, "hello"), draft(2, "two\nlines\r\\n"), draft(3, " é ")];
        let records = [
            Record::Cluster(9),
            Record::Token("to\\ken"),
            Record::Put(&drafts[0]),
            Record::Put(&drafts[1]),
            Record::Gone(1, 11),
            Record::Cursor(10),
            Record::Put(&drafts[2]),
            Record::Gone(2, 0),
            Record::Cursor(12),
            Record::Cluster(10),
        ];
        let (mut bytes, mut kept) = (Vec::new(), Kept::default());
        let mut states = vec![(0, kept.clone())];
        for record in &records {
            record.write(&mut bytes);
            kept.apply(record);
            states.push((bytes.len(), kept.clone()));
        }
        (bytes, states)
    }

    #[test]
    fn a_file_cut_anywhere_says_what_its_whole_lines_say() {
        let (bytes, states) = history();
        for cut in 0..=bytes.len() {
            let replayed = replay(&bytes[..cut]);
            let (len, kept) = states.iter().rev().find(|(len, _)| *len <= cut).expect("the first");
            assert_eq!((&replayed.kept, replayed.good_len), (kept, *len), "cut at {cut}");
            assert_eq!(replayed.damaged, 0);
        }
    }

    #[test]
    fn a_damaged_line_costs_only_itself() {
        let (bytes, _) = history();
        let whole = replay(&bytes).kept;
        for place in 0..bytes.len() {
            let mut hurt = bytes.clone();
            hurt[place] ^= 4;
            let replayed = replay(&hurt);
            let hit = replayed.damaged + usize::from(replayed.good_len < hurt.len());
            assert!(hit == 1 || hit == 2, "byte {place}: {hit} lines");
            let lost = whole.drafts.iter().filter(|draft| !replayed.kept.drafts.contains(draft));
            assert!(lost.count() <= 1, "byte {place}");
        }
    }

    #[test]
    fn the_short_form_says_the_same() {
        let (_, states) = history();
        for (_, kept) in states {
            let mut bytes = Vec::new();
            kept.write(&mut bytes);
            let mut again = replay(&bytes).kept;
            again.own.sort_unstable();
            assert_eq!(again, kept);
        }
    }

    #[test]
    fn own_messages_below_the_cursor_are_forgotten_and_those_above_kept() {
        let mut kept = Kept::default();
        kept.apply(&Record::Cursor(10));
        kept.apply(&Record::Gone(1, 9));
        kept.apply(&Record::Gone(2, 11));
        kept.apply(&Record::Gone(3, 12));
        assert_eq!(kept.own, [(11, 2), (12, 3)]);
        kept.apply(&Record::Cursor(11));
        assert_eq!(kept.own, [(12, 3)]);
    }
}
