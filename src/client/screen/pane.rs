//! The pane with the conversation: its messages as rows, and which rows are shown. Pure.
//!
//! Rows are made only of the messages that are shown, so that a frame costs the same however much is
//! loaded. The place on the screen is held by a message and a row of it, not by a number: what comes
//! above or below does not move it.

use super::super::cluster::{take_width, text_width};
use super::super::dates::{DAY_MS, clock, date};
use super::super::show;
use super::cells::{Colour, Style};
use super::conversation::{Conversation, Entry, Fate, Place, Reading, View};
use super::links::Link;
use super::wrap;

/// Widest column of names.
const NAME_COLUMNS: usize = 16;
/// Columns of the time, of the mark behind the name, and of the blanks between.
const TIME_COLUMNS: usize = 6;
const MARK_COLUMNS: usize = 2;

/// How a conversation looks in the pane.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub me: &'a str,
    pub columns: usize,
    pub rows: usize,
    /// Local time less UTC at a moment, both in milliseconds.
    pub zone: fn(u64) -> i64,
    pub selected: Option<Place>,
    pub reading: Reading,
}

/// A row of the pane.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Pieces of text, from the first column on.
    pub spans: Vec<(String, Style)>,
    /// Parts of the last piece that belong to web addresses.
    pub links: Vec<Link>,
    /// It is drawn reversed.
    pub is_selected: bool,
    pub place: Place,
}

/// What the pane shows, and where that is.
#[derive(Debug)]
pub struct Shown {
    /// Where the conversation is being read once this was shown.
    pub reading: Reading,
    /// Its rows, from the top.
    pub rows: Vec<Row>,
    /// The message at the top, and its row there.
    pub top: Option<(Place, i32)>,
    pub bottom: Option<Place>,
    /// How many loaded entries are above.
    pub above: usize,
    /// The newest received message of which a row is shown; 0 for none.
    pub seen: u64,
    /// Entries below that are not shown.
    pub below: usize,
}

/// The rows of an entry: what is set above it, and its text.
struct Block {
    above: Vec<Row>,
    text: Vec<Row>,
}

impl Look<'_> {
    fn local(&self, time: u64) -> u64 {
        time.saturating_add_signed((self.zone)(time))
    }

    fn name_columns(&self, other: &str) -> usize {
        let most = NAME_COLUMNS.min(self.columns / 4).max(1);
        text_width(&show::line(other)).max(text_width(&show::line(self.me))).min(most)
    }

    fn block(&self, talk: &Conversation, at: usize) -> Block {
        let entry = &talk.entries[at];
        let before = at.checked_sub(1).map(|before| &talk.entries[before]);
        let mut above = Vec::new();
        let day = self.local(entry.time) / DAY_MS;
        if before.is_none_or(|before| self.local(before.time) / DAY_MS != day) {
            above.push(self.rule(&day_name(self.local(entry.time)), Style::DIM, entry.place));
        }
        if self.reading.unread_from == Some(entry.place.seq) && entry.place.local == 0 {
            let style = Style::BOLD.coloured(Colour::Yellow);
            above.push(self.rule("unread", style, entry.place));
        }
        Block { above, text: self.text_rows(&talk.name, entry) }
    }

    /// `---- text -------`.
    fn rule(&self, text: &str, style: Style, place: Place) -> Row {
        let mut line = format!("── {text} ");
        let used = text_width(&line);
        line.extend(std::iter::repeat_n('─', self.columns.saturating_sub(used)));
        Row { spans: vec![(line, style)], links: Vec::new(), is_selected: false, place }
    }

    fn text_rows(&self, other: &str, entry: &Entry) -> Vec<Row> {
        let names = self.name_columns(other);
        let indent = TIME_COLUMNS + names + MARK_COLUMNS;
        let columns = self.columns.saturating_sub(indent).max(1);
        let is_selected = self.selected == Some(entry.place);
        let (mark, mark_style, style) = match (&entry.fate, entry.mine) {
            (Fate::Waiting, _) => ('…', Style::DIM, Style::DIM),
            (Fate::Failed(_), _) => ('!', Style::WRONG.bolder(), Style::PLAIN),
            (Fate::Stored, true) => ('✓', Style::DIM.coloured(Colour::Green), Style::PLAIN),
            (Fate::Stored, false) => (' ', Style::PLAIN, Style::PLAIN),
        };
        let (name, name_style) = match entry.mine {
            true => (self.me, Style::DIM),
            false => (other, Style::BOLD.coloured(name_colour(other))),
        };
        let head = vec![
            (format!("{} ", clock(self.local(entry.time))), Style::DIM),
            (padded(&show::line(name), names), name_style),
            (format!("{mark} "), mark_style),
        ];
        let mut rows: Vec<Row> = Vec::new();
        let mut put = |(text, links): (String, Vec<Link>), style: Style| {
            let mut spans = match rows.is_empty() {
                true => head.clone(),
                false => vec![(" ".repeat(indent), Style::PLAIN)],
            };
            spans.push((text, style));
            rows.push(Row { spans, links, is_selected, place: entry.place });
        };
        for line in wrap::linked(&entry.body, columns) {
            put(line, style);
        }
        if let Fate::Failed(why) = &entry.fate {
            for line in wrap::body(&format!("not sent: {why}"), columns) {
                put((line, Vec::new()), Style::WRONG);
            }
        }
        rows
    }

    /// The row of an entry's text that has `folded`, which is in lower case, or with which it begins
    /// where it was wrapped; the first where no row has it.
    pub fn row_with(&self, talk: &Conversation, at: usize, folded: &str) -> i32 {
        let block = self.block(talk, at);
        let text =
            |row: &Row| row.spans.last().map_or(String::new(), |(text, _)| text.to_lowercase());
        let rows: Vec<String> = block.text.iter().map(text).collect();
        let has = |text: &str| text.contains(folded);
        let wrapped = |rows: &[String]| has(&rows.join(" ")) || has(&rows.concat());
        let whole = rows.iter().position(|row| has(row));
        whole.or_else(|| rows.windows(2).position(wrapped)).unwrap_or(0) as i32
    }

    /// What is shown of a conversation. A view that reaches the newest message follows it from then
    /// on; reading goes on at the first unread message, however many came; and the selected message
    /// is in view.
    pub fn show(&self, talk: &Conversation) -> Shown {
        let mut shown = self.show_once(talk);
        if let Some(reading) = talk.unseen(shown.reading, shown.top) {
            shown = Look { reading, ..*self }.show_once(talk);
        }
        let is_in_view = shown.rows.iter().any(|row| row.is_selected);
        match self
            .selected
            .filter(|_| !is_in_view)
            .and_then(|place| self.towards(talk, place, &shown))
        {
            Some(view) => {
                let reading = Reading { view, ..shown.reading };
                Look { reading, ..*self }.show_once(talk)
            }
            None => shown,
        }
    }

    fn show_once(&self, talk: &Conversation) -> Shown {
        if let View::From(place, row) = self.reading.view {
            let first = talk.at(place);
            let row = match talk.entries.get(first).is_some_and(|entry| entry.place == place) {
                true => row,
                false => i32::MIN,
            };
            let shown = self.show_from(talk, first, row);
            let is_at_end = shown.below == 0 && self.reading.unread_back.is_none();
            if !is_at_end {
                return shown;
            }
        }
        let reading = Reading { view: View::Newest, ..self.reading };
        let look = Look { reading, ..*self };
        match look.back_from(talk, talk.entries.len(), 0, self.rows) {
            Some((first, row)) => look.show_from(talk, first, row),
            None => look.show_from(talk, 0, 0),
        }
    }

    /// The view that has the message at `place`, scrolled as little as needed from what is `shown`.
    fn towards(&self, talk: &Conversation, place: Place, shown: &Shown) -> Option<View> {
        let at = talk.entries.binary_search_by_key(&place, |entry| entry.place).ok()?;
        let (first, row) = match shown.top.is_some_and(|(top, _)| place <= top) {
            true => (at, i32::MIN),
            false => self.back_from(talk, at + 1, i32::MIN, self.rows)?,
        };
        Some(View::From(talk.entries[first].place, row))
    }

    fn show_from(&self, talk: &Conversation, first: usize, row: i32) -> Shown {
        let mut shown = Shown {
            reading: self.reading,
            rows: Vec::new(),
            top: None,
            bottom: None,
            above: 0,
            seen: 0,
            below: 0,
        };
        for at in first..talk.entries.len() {
            if shown.rows.len() >= self.rows {
                break;
            }
            let block = self.block(talk, at);
            let above = block.above.len() as i32;
            let mut skip = 0;
            if at == first {
                let row = row.clamp(-above, block.text.len() as i32 - 1);
                (shown.top, shown.above) = (Some((talk.entries[at].place, row)), at);
                skip = (row + above) as usize;
            }
            let room = self.rows - shown.rows.len();
            let text_at = block.above.len().saturating_sub(skip);
            let mut rows: Vec<Row> = block.above.into_iter().chain(block.text).skip(skip).collect();
            let whole = rows.len() <= room;
            let entry = &talk.entries[at];
            if !entry.mine && entry.place.local == 0 && text_at < room {
                shown.seen = entry.place.seq;
            }
            rows.truncate(room);
            shown.rows.append(&mut rows);
            shown.bottom = Some(entry.place);
            shown.below = talk.entries.len() - 1 - at + usize::from(!whole);
        }
        shown
    }

    /// The place `count` rows above a row of an entry (which may be the end: one past the last entry,
    /// row 0); `None` where there is no entry.
    pub fn back_from(
        &self,
        talk: &Conversation,
        at: usize,
        row: i32,
        count: usize,
    ) -> Option<(usize, i32)> {
        let mut left = count as i32;
        let (mut at, mut row) = (at, row);
        if let Some(entry_row) = (at < talk.entries.len()).then(|| self.block(talk, at)) {
            let above = -(entry_row.above.len() as i32);
            row = row.max(above);
            if row - left >= above {
                return Some((at, row - left));
            }
            left -= row - above;
        }
        while at > 0 {
            at -= 1;
            let block = self.block(talk, at);
            let (above, text) = (block.above.len() as i32, block.text.len() as i32);
            if left <= above + text {
                return Some((at, text - left));
            }
            left -= above + text;
            row = -above;
        }
        (!talk.entries.is_empty()).then_some((at, row))
    }

    /// The place `count` rows below a row of an entry, at most the last row there is.
    pub fn on_from(&self, talk: &Conversation, at: usize, row: i32, count: usize) -> (usize, i32) {
        let (mut at, mut row) = (at, row);
        let mut left = count as i32;
        while at < talk.entries.len() {
            let block = self.block(talk, at);
            let text = block.text.len() as i32;
            row = row.max(-(block.above.len() as i32));
            if row + left < text {
                return (at, row + left);
            }
            if at + 1 == talk.entries.len() {
                return (at, text - 1);
            }
            left -= text - row;
            at += 1;
            row = -(self.block(talk, at).above.len() as i32);
        }
        (at, row)
    }
}

/// `Tue 2026-11-24` of a local time. The first of January 1970 was a Thursday.
fn day_name(time: u64) -> String {
    let names = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    format!("{} {}", names[(time / DAY_MS % 7) as usize], date(time))
}

/// Text in exactly so many columns; what is too long ends with a dot.
pub fn padded(text: &str, columns: usize) -> String {
    let mut text = clipped(text, columns);
    let used = text_width(&text);
    text.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    text
}

/// Text in at most so many columns; what is too long ends with dots.
pub fn clipped(text: &str, columns: usize) -> String {
    if text_width(text) <= columns {
        return text.to_string();
    }
    match columns {
        0 => String::new(),
        _ => format!("{}…", &text[..take_width(text, columns - 1)]),
    }
}

/// A name's colour, always the same.
pub fn name_colour(name: &str) -> Colour {
    let colours = [Colour::Cyan, Colour::Magenta, Colour::Blue, Colour::Green, Colour::Yellow];
    let sum = name.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte));
    colours[sum % colours.len()]
}
