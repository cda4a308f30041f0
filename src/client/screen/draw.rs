//! The layout, and everything in its place.
//!
//! ```text
//! 1●bob         3 │ bob: online                      the title
//! 2 carol         │ ── Tue 2026-11-24 ──────────
//!                 │ 12:01 bob    hello                the pane
//!                 │ 12:02 alice✓ hello yourself
//! what has just been done                             a notice, where there is one
//!  alice  connected  127.0.0.1:7262  1 ms             the status
//! > what is typed                                     the input, of up to a third of the rows
//! ```
//!
//! Drawing changes nothing. What the user sees by a frame is in its [`Wishes`], which
//! [`Screen::on_drawn`] grants after the write.

use super::super::cluster::text_width;
use super::super::show;
use super::Screen;
use super::cells::{Area, Buffer, Colour, Style};
use super::conversation::{Conversation, Loaded, Reading};
use super::frame::{Drawn, Frame, Wishes};
use super::layers::{SELECT_KEYS, Spot};
use super::pane::{Look, Row, Shown, clipped, padded};
use super::types::Action;
use super::{input, wrap};
use crate::limits;

/// Narrower than this, there is no list of conversations.
const SIDEBAR_FROM: usize = 40;
/// Columns and rows of the smallest window that can be used.
const LEAST: (usize, usize) = (20, 5);
/// A piece of the status that has to be cut to less than this is left out.
const LEAST_PIECE: usize = 12;
/// A notice has so many rows at most.
const NOTICE_ROWS: usize = 3;
/// What stands before the typed text.
pub(super) const PROMPT: &str = "> ";

/// Where things are.
struct Layout {
    /// Columns of the list of conversations.
    sidebar: usize,
    pane: Area,
    notice: Notice,
    status: usize,
    input: Input,
}

struct Notice {
    /// Its first row.
    top: usize,
    rows: Vec<String>,
    style: Style,
}

struct Input {
    /// Its first row, and how many rows it has.
    top: usize,
    count: usize,
    prompt: &'static str,
    laid: input::Rows,
    /// The first row of the text that is in view.
    first: usize,
}

impl Screen {
    /// Draws everything.
    pub fn draw(&self) -> Frame {
        let (columns, rows) = self.size;
        let mut buffer = Buffer::new(columns, rows);
        if columns < LEAST.0 || rows < LEAST.1 {
            buffer.put(0, 0, columns, "window too small", Style::PLAIN);
            let wishes = Wishes::none(self.drawn);
            return Frame { buffer, cursor: None, title: self.window_title(&wishes), wishes };
        }
        let layout = self.layout();
        let shown = self.shown(layout.pane);
        let mut wishes = self.wishes(&layout, shown.as_ref());
        let cover = self.layers.draw(&mut buffer, layout.pane, |name| self.is_online(name));
        let in_pane = match (&cover, &shown) {
            (Some(cover), _) => cover.cursor,
            (None, Some(shown)) => self.draw_conversation(&mut buffer, layout.pane, shown),
            (None, None) => {
                buffer.put_lines(layout.pane, &wrapped(&self.welcome(), layout.pane.columns));
                None
            }
        };
        wishes.panel_top = cover.as_ref().and_then(|cover| cover.top);
        let title = match (cover, self.layers.selected()) {
            (Some(cover), _) => cover.title,
            (None, Some(_)) => SELECT_KEYS.to_string(),
            (None, None) => self.conversation_title(&wishes),
        };
        let title_end = draw_title(&mut buffer, layout.pane.left, &title);
        self.draw_sidebar(&mut buffer, &layout, &wishes);
        let notice_end = draw_notice(&mut buffer, &layout.notice);
        let below = shown.as_ref().map_or(0, |shown| shown.below);
        self.draw_status(&mut buffer, &layout, below);
        let typed_at = draw_input(&mut buffer, &layout.input);
        let cursor = match self.layers.spot() {
            Spot::Notice => Some(notice_end),
            Spot::Title => Some(title_end),
            Spot::Pane => in_pane,
            Spot::Input => None,
        };
        let (row, column) = cursor.unwrap_or(typed_at);
        let cursor = Some((row, column.min(columns - 1)));
        Frame { buffer, cursor, title: self.window_title(&wishes), wishes }
    }

    /// What follows once a frame is on the terminal: which messages were seen, and whether the top is
    /// near enough to load older ones.
    fn wishes(&self, layout: &Layout, shown: Option<&Shown>) -> Wishes {
        let (columns, rows) = (layout.pane.columns, layout.pane.rows);
        let drawn = Drawn { columns, rows, typed_first: layout.input.first, ..self.drawn };
        let (Some(talk), Some(shown)) = (self.book.shown(), shown) else {
            return Wishes::none(drawn);
        };
        let seeks_line = shown.reading.unread_back.is_some();
        // Before the unread line is found nothing counts as seen: what is above it was not shown.
        let counts = !seeks_line && talk.loaded != Loaded::Asked && shown.seen > talk.read_to();
        let is_near_top = seeks_line || shown.above < rows;
        let wants_older = is_near_top && !talk.is_stuck && self.can_load_older(talk);
        let page = limits::HISTORY_PAGE as u16;
        Wishes {
            drawn: Drawn { top: shown.top, bottom: shown.bottom, ..drawn },
            reading: Some(shown.reading),
            read: counts.then(|| (shown.seen, talk.unread_past(shown.seen))),
            older: wants_older.then_some(if seeks_line { page } else { page / 5 }),
            panel_top: None,
        }
    }

    /// The frame with these wishes is on the terminal.
    pub fn on_drawn(&mut self, wishes: Wishes) {
        self.drawn = wishes.drawn;
        if let (Some(panel), Some(top)) = (self.layers.panel(), wishes.panel_top) {
            panel.scrolled_to(top);
        }
        let (Some(talk), Some(reading)) = (self.book.shown_mut(), wishes.reading) else { return };
        talk.reading = reading;
        let name = talk.name.clone();
        if let Some((seq, _)) = wishes.read {
            let had_unread = talk.unread() > 0;
            talk.on_read(seq);
            if had_unread {
                self.actions.push(Action::MarkRead { name: name.clone(), seq });
            }
        }
        if let Some(limit) = wishes.older {
            self.load_older(&name, limit);
        }
    }

    fn layout(&self) -> Layout {
        let (columns, input) = (self.size.0, self.input());
        let status = input.top - 1;
        let mut notice = self.notice();
        notice.rows.truncate(status.saturating_sub(2));
        notice.top = status - notice.rows.len();
        let sidebar = match self.settings.sidebar {
            _ if columns < SIDEBAR_FROM || self.layers.is_wide() => 0,
            Some(wanted) => wanted.min(columns / 2),
            None => (columns / 5).clamp(11, 24),
        };
        let left = if sidebar > 0 { sidebar + 1 } else { 0 };
        let pane = Area { top: 1, left, columns: columns - left, rows: notice.top - 1 };
        Layout { sidebar, pane, notice, status, input }
    }

    // The list of conversations.

    fn draw_sidebar(&self, buffer: &mut Buffer, layout: &Layout, wishes: &Wishes) {
        let (width, bottom) = (layout.sidebar, layout.notice.top);
        if width == 0 {
            return;
        }
        for row in 0..bottom {
            buffer.put(row, width, width + 1, "│", Style::DIM);
        }
        let all = self.book.all();
        let place = all.iter().position(|talk| self.book.is_current(&talk.name)).unwrap_or(0);
        // The open one is in view, however long the list is.
        let first = if place < bottom { 0 } else { place + 1 - bottom };
        for (row, talk) in all[first..].iter().take(bottom).enumerate() {
            let (at, unread) = (first + row, self.unread(talk, wishes));
            let style = match (self.book.is_current(&talk.name), unread > 0) {
                (true, _) => Style::BAR,
                (false, true) => Style::BOLD.coloured(Colour::Yellow),
                (false, false) => Style::PLAIN,
            };
            buffer.fill(row, 0, width, if style.reverse { style } else { Style::PLAIN });
            let number = match at {
                0..=9 => char::from(b'0' + ((at + 1) % 10) as u8),
                _ => ' ',
            };
            buffer.put(row, 0, width, &number.to_string(), Style { dim: true, ..style });
            if self.is_online(&talk.name) {
                let dot = if style.reverse { style } else { Style::PLAIN.coloured(Colour::Green) };
                buffer.put(row, 1, width, "●", dot);
            }
            let count = match unread {
                0 => String::new(),
                1..=999 => format!(" {unread}"),
                _ => " 999+".to_string(),
            };
            let draft = if self.composer.has_draft(&talk.name) { "*" } else { "" };
            let room = width.saturating_sub(2 + count.len() + draft.len());
            let name = clipped(&show::line(&talk.name), room) + draft;
            buffer.put(row, 2, width, &name, style);
            buffer.put(row, width - count.len(), width, &count, style);
        }
    }

    /// Unread messages, once the frame with these wishes was seen.
    pub(super) fn unread(&self, talk: &Conversation, wishes: &Wishes) -> u64 {
        match wishes.read {
            Some((_, left)) if self.book.is_current(&talk.name) => left,
            _ => talk.unread(),
        }
    }

    // The conversation.

    /// The rows of the open conversation, unless something covers it.
    fn shown(&self, pane: Area) -> Option<Shown> {
        let talk = self.book.shown().filter(|_| !self.layers.covers_conversation())?;
        // An unread line that is further back than can be loaded is given up.
        let has_room = self.book.has_room(&talk.name);
        let unread_back = talk.reading.unread_back.filter(|_| has_room);
        let drawn = Drawn { columns: pane.columns, rows: pane.rows, ..self.drawn };
        let look = drawn.look(&self.people.me, self.settings.zone, talk);
        let reading = Reading { unread_back, ..talk.reading };
        let look = Look { selected: self.layers.selected(), reading, ..look };
        Some(look.show(talk))
    }

    /// Draws the conversation, and returns the place of the selected message.
    fn draw_conversation(
        &self,
        buffer: &mut Buffer,
        pane: Area,
        shown: &Shown,
    ) -> Option<(usize, usize)> {
        let talk = self.book.shown()?;
        if talk.entries.is_empty() {
            let text = match talk.loaded {
                Loaded::All => "no messages yet",
                _ if talk.exists == Some(false) => "no account has this name",
                _ => "not loaded yet",
            };
            let end = pane.left + pane.columns;
            buffer.put(pane.top + pane.rows - 1, pane.left + 1, end, text, Style::DIM);
        }
        // Few messages are at the bottom, where the next one comes.
        let first = pane.top + pane.rows.saturating_sub(shown.rows.len());
        for (at, row) in shown.rows.iter().enumerate() {
            draw_row(buffer, first + at, pane.left, row);
            if row.is_selected {
                buffer.reverse(first + at, pane.left, pane.left + pane.columns);
            }
        }
        let selected = shown.rows.iter().position(|row| row.is_selected);
        selected.map(|at| (first + at, pane.left))
    }

    // The bottom.

    fn notice(&self) -> Notice {
        let (columns, _) = self.size;
        let Some((text, is_wrong)) = self.notice_text() else {
            return Notice { top: 0, rows: Vec::new(), style: Style::PLAIN };
        };
        let text = format!("{} {text}", if is_wrong { "!" } else { "-" });
        let mut rows = wrap::body(&text.replace('\n', " "), columns);
        if rows.len() > NOTICE_ROWS {
            rows.truncate(NOTICE_ROWS);
            rows[NOTICE_ROWS - 1].push('…');
        }
        let style = if is_wrong { Style::WRONG.bolder() } else { Style::BOLD };
        Notice { top: 0, rows, style }
    }

    fn draw_status(&self, buffer: &mut Buffer, layout: &Layout, below: usize) {
        let (row, (columns, _)) = (layout.status, self.size);
        buffer.fill(row, 0, columns, Style::BAR);
        let pieces = self.status_pieces();
        // What is out of view matters more than the server's name, and less than what waits.
        let first = 2 + usize::from(self.status.waiting > 0);
        let least: usize = pieces.iter().take(first).map(|(text, _)| text_width(text)).sum();
        let typed = &layout.input.laid;
        let is_cut = typed.rows.len() > layout.input.count;
        let typed_at = is_cut.then_some((typed.cursor.0 + 1, typed.rows.len()));
        let right = self.status_right(columns.saturating_sub(least), below, typed_at);
        let end = columns - text_width(&right);
        let mut column = 0;
        for (text, style) in pieces {
            let (wanted, room) = (text_width(&text), end - column);
            if wanted > room && room < LEAST_PIECE {
                break;
            }
            column = buffer.put(row, column, end, &clipped(&text, room), style.reversed());
        }
        buffer.put(row, end, columns, &right, Style::BAR.bolder());
    }

    /// Columns that the text after a prompt has.
    pub(super) fn input_columns(&self, prompt: &str) -> usize {
        self.size.0.saturating_sub(text_width(prompt)).max(2)
    }

    /// Of more rows than there is room for, those in view change only where the cursor leaves them.
    fn input(&self) -> Input {
        let question = self.layers.question();
        let prompt = question.map_or(PROMPT, |question| question.prompt());
        let columns = self.input_columns(prompt);
        let laid = match question {
            Some(question) => question.laid(columns),
            None => self.composer.laid(columns),
        };
        let (_, rows) = self.size;
        let count = laid.rows.len().min(limits::SCREEN_INPUT_ROWS.min(rows / 3).max(1));
        let (at, hidden) = (laid.cursor.0, laid.rows.len() - count);
        let first = self.drawn.typed_first.min(hidden).clamp((at + 1).saturating_sub(count), at);
        Input { top: rows - count, count, prompt, laid, first }
    }
}

/// Draws the title, and returns where it ends.
fn draw_title(buffer: &mut Buffer, left: usize, title: &str) -> (usize, usize) {
    let end = buffer.columns();
    buffer.fill(0, left, end, Style::BAR);
    let title = clipped(title, end - left - 1);
    (0, buffer.put(0, left + 1, end, &title, Style::BAR.bolder()))
}

/// Draws the notice, and returns where it ends.
fn draw_notice(buffer: &mut Buffer, notice: &Notice) -> (usize, usize) {
    let columns = buffer.columns();
    let mut end = (notice.top, 0);
    for (at, text) in notice.rows.iter().enumerate() {
        let row = notice.top + at;
        end = (row, buffer.put(row, 0, columns, text, notice.style));
    }
    end
}

/// Draws the input, and returns where its cursor is.
fn draw_input(buffer: &mut Buffer, input: &Input) -> (usize, usize) {
    let (columns, left) = (buffer.columns(), text_width(input.prompt));
    buffer.put(input.top, 0, columns, &padded(input.prompt, left), Style::BOLD);
    for (at, text) in input.laid.rows[input.first..].iter().take(input.count).enumerate() {
        buffer.put(input.top + at, left, columns, text, Style::PLAIN);
    }
    let (row, column) = input.laid.cursor;
    (input.top + row - input.first, (left + column).min(columns - 1))
}

/// Draws a row of the pane from a column on, its last piece with the links in it.
fn draw_row(buffer: &mut Buffer, at: usize, left: usize, row: &Row) {
    let (mut column, end) = (left, buffer.columns());
    let Some(((last, style), head)) = row.spans.split_last() else { return };
    for (text, style) in head {
        column = buffer.put(at, column, end, text, *style);
    }
    let mut from = 0;
    for (range, link) in &row.links {
        column = buffer.put(at, column, end, &last[from..range.start], *style);
        let linked = (*style, Some(link));
        column = buffer.put_linked(at, column, end, &last[range.clone()], linked);
        from = range.end;
    }
    buffer.put(at, column, end, &last[from..], *style);
}

/// Lines that may be rows of a table, wrapped.
fn wrapped(lines: &[String], columns: usize) -> Vec<String> {
    lines.iter().flat_map(|line| wrap::hanging(line, columns)).collect()
}
