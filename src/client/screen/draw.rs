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

use super::super::show;
use super::super::width::text_width;
use super::cells::{Buffer, Colour, Style};
use super::conversation::{Loaded, Place};
use super::pane::{Look, Row, clipped, padded};
use super::{Action, Mode, Screen, input, wrap};
use crate::limits;

/// Narrower than this, there is no list of conversations.
const SIDEBAR_FROM: usize = 40;
/// Smaller than this, nothing can be done.
const LEAST: (usize, usize) = (20, 5);
/// A piece of the status that has to be cut to less than this is left out.
const LEAST_PIECE: usize = 12;
/// A notice has so many rows at most.
const NOTICE_ROWS: usize = 3;

/// What the last frame showed of the conversation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drawn {
    /// The pane's size.
    pub columns: usize,
    /// The pane's size.
    pub rows: usize,
    /// The message at the top and its row.
    pub top: Option<(Place, i32)>,
    /// The message at the bottom.
    pub bottom: Option<Place>,
    /// Entries below.
    pub below: usize,
    /// The first row of what is typed.
    pub typed_first: usize,
    /// The row of what is typed that the cursor is in, of how many, where they are not all shown.
    pub typed_at: Option<(usize, usize)>,
}

impl Drawn {
    pub(super) fn look<'a>(
        &self,
        me: &'a str,
        zone: fn(u64) -> i64,
        selected: Option<Place>,
    ) -> Look<'a> {
        Look { me, columns: self.columns, rows: self.rows, zone, selected }
    }
}

/// Where things are.
struct Layout {
    /// Columns of the list of conversations.
    sidebar: usize,
    /// The pane's first column.
    left: usize,
    /// The row behind the pane's last.
    bottom: usize,
    notice: Option<usize>,
    status: usize,
    /// The first row of what is typed, and how many there are.
    input: (usize, usize),
}

impl Screen {
    /// Draws everything, and gives where the cursor is (row, column). What is seen by that is noted,
    /// and more is asked for where the top is near.
    pub fn draw(&mut self) -> (Buffer, Option<(usize, usize)>) {
        let mut buffer = Buffer::new(self.columns, self.rows);
        if self.columns < LEAST.0 || self.rows < LEAST.1 {
            buffer.put(0, 0, self.columns, "too small a window", Style::PLAIN);
            return (buffer, None);
        }
        let laid = self.laid_input();
        let layout = self.layout(laid.rows.len());
        self.scroll_input(&laid, layout.input.1);
        // First, since the others count what has been seen by it.
        let in_pane = self.draw_pane(&mut buffer, &layout);
        let title_end = self.draw_title(&mut buffer, layout.left);
        self.draw_sidebar(&mut buffer, &layout);
        let notice_end = layout.notice.map(|row| self.draw_notice(&mut buffer, row));
        self.draw_status(&mut buffer, layout.status);
        let typed_at = self.draw_input(&mut buffer, &layout, &laid);
        // Where the next key goes.
        let cursor = match (&self.confirm, &self.mode) {
            (Some(_), _) => notice_end,
            (None, Mode::Panel(_)) => Some(title_end),
            (None, _) => in_pane,
        };
        let (row, column) = cursor.unwrap_or(typed_at);
        (buffer, Some((row, column.min(self.columns - 1))))
    }

    fn layout(&self, input_rows: usize) -> Layout {
        let most = limits::SCREEN_INPUT_ROWS.min(self.rows / 3).max(1);
        let count = input_rows.min(most);
        let input = (self.rows - count, count);
        let status = input.0 - 1;
        let room = status.saturating_sub(2);
        let notice_rows = self.notice_rows().0.len().min(room);
        let notice = (notice_rows > 0).then(|| status - notice_rows);
        let auto = (self.columns / 5).clamp(11, 24);
        let has_whole_width = matches!(self.mode, Mode::Panel(_));
        let sidebar = match self.settings.sidebar {
            _ if self.columns < SIDEBAR_FROM || has_whole_width => 0,
            Some(columns) => columns.min(self.columns / 2),
            None => auto,
        };
        let left = if sidebar > 0 { sidebar + 1 } else { 0 };
        Layout { sidebar, left, bottom: notice.unwrap_or(status), notice, status, input }
    }

    // The list of conversations.

    fn draw_sidebar(&self, buffer: &mut Buffer, layout: &Layout) {
        let (width, bottom) = (layout.sidebar, layout.bottom);
        if width == 0 {
            return;
        }
        for row in 0..bottom {
            buffer.put(row, width, width + 1, "│", Style::DIM);
        }
        let all = self.book.all();
        let is_current = |name: &str| self.current.as_deref() == Some(name);
        let place = all.iter().position(|talk| is_current(&talk.name)).unwrap_or(0);
        // The one that is shown is in the list, however long it is.
        let first = if place < bottom { 0 } else { place + 1 - bottom };
        for (row, talk) in all[first..].iter().take(bottom).enumerate() {
            let (at, unread) = (first + row, talk.unread());
            let style = match (is_current(&talk.name), unread > 0) {
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
            let draft = if self.has_draft(&talk.name) { "*" } else { "" };
            let room = width.saturating_sub(2 + count.len() + draft.len());
            let name = clipped(&show::line(&talk.name), room) + draft;
            buffer.put(row, 2, width, &name, style);
            buffer.put(row, width - count.len(), width, &count, style);
        }
    }

    // The conversation, and what may stand in its place.

    /// Draws the title, and gives where it ends.
    fn draw_title(&self, buffer: &mut Buffer, left: usize) -> (usize, usize) {
        let title = self.title();
        buffer.fill(0, left, self.columns, Style::BAR);
        let room = self.columns - left - 1;
        let title = clipped(&title, room);
        (0, buffer.put(0, left + 1, self.columns, &title, Style::BAR.bolder()))
    }

    fn draw_pane(&mut self, buffer: &mut Buffer, layout: &Layout) -> Option<(usize, usize)> {
        let (columns, rows) = (self.columns - layout.left, layout.bottom - 1);
        (self.drawn.columns, self.drawn.rows) = (columns, rows);
        match &self.mode {
            Mode::Panel(_) => {
                self.draw_panel(buffer, layout.left);
                None
            }
            Mode::Pick(picker) => {
                let is_online = |name: &str| self.is_online(name);
                let at = picker.draw(buffer, (layout.left, 1), rows, is_online);
                Some(at)
            }
            Mode::Chat | Mode::Select(_) => match self.current.clone() {
                Some(name) => self.draw_conversation(buffer, layout.left, &name),
                None => {
                    self.draw_lines(buffer, layout.left, &self.welcome());
                    None
                }
            },
        }
    }

    /// Draws the conversation, and gives where the selected message begins.
    fn draw_conversation(
        &mut self,
        buffer: &mut Buffer,
        left: usize,
        name: &str,
    ) -> Option<(usize, usize)> {
        let selected = match self.mode {
            Mode::Select(place) => Some(place),
            _ => None,
        };
        let look = self.drawn.look(&self.me, self.settings.zone, selected);
        let has_room = self.book.has_room(name);
        let talk = self.book.get_mut(name)?;
        if !has_room {
            // The line is further back than can be loaded: reading goes on from here.
            talk.unread_back = None;
        }
        let shown = look.show(talk);
        let shown = match talk.hold_unread(shown.top) {
            true => look.show(talk),
            false => shown,
        };
        let shown = match selected.filter(|_| !shown.rows.iter().any(|row| row.is_selected)) {
            Some(place) => look.show_with(talk, place, shown),
            None => shown,
        };
        // Few messages stand at the bottom, where the next one comes.
        let first = 1 + self.drawn.rows.saturating_sub(shown.rows.len());
        for (at, row) in shown.rows.iter().enumerate() {
            draw_row(buffer, first + at, left, row);
            if row.is_selected {
                buffer.reverse(first + at, left, self.columns);
            }
        }
        (self.drawn.top, self.drawn.bottom) = (shown.top, shown.bottom);
        self.drawn.below = shown.below;
        let seeks_line = talk.unread_back.is_some();
        let wants_older = seeks_line || shown.above < self.drawn.rows;
        let (is_empty, loaded, is_stuck) = (talk.entries.is_empty(), talk.loaded, talk.is_stuck);
        let is_unknown = talk.exists == Some(false);
        // Before the unread line is found nothing counts as seen: what is above it was not shown.
        if talk.unread_back.is_none() && loaded != Loaded::Asked {
            let had_unread = talk.unread() > 0;
            if shown.seen > 0 && talk.on_read(shown.seen) && had_unread {
                let (name, seq) = (name.to_string(), shown.seen);
                self.actions.push(Action::MarkRead { name, seq });
            }
        }
        if wants_older && !is_stuck && matches!(loaded, Loaded::From(_)) {
            let whole = limits::HISTORY_PAGE as u16;
            let page = if seeks_line { whole } else { whole / 5 };
            self.load_older(name, page);
        }
        if is_empty {
            let text = match loaded {
                Loaded::All => "no messages yet",
                _ if is_unknown => "nobody has this name",
                _ => "not loaded yet",
            };
            buffer.put(self.drawn.rows, left + 1, self.columns, text, Style::DIM);
        }
        let selected = shown.rows.iter().position(|row| row.is_selected);
        selected.map(|at| (first + at, left))
    }

    /// Lines from the top of the pane on.
    fn draw_lines(&self, buffer: &mut Buffer, left: usize, lines: &[String]) {
        for (at, line) in self.wrapped(lines).iter().take(self.drawn.rows).enumerate() {
            buffer.put(1 + at, left, self.columns, line, Style::PLAIN);
        }
    }

    fn draw_panel(&mut self, buffer: &mut Buffer, left: usize) {
        let Mode::Panel(panel) = &self.mode else {
            return;
        };
        let wrapped = self.wrapped(&panel.lines);
        let top = panel.top.min(wrapped.len().saturating_sub(self.drawn.rows));
        for (at, line) in wrapped[top..].iter().take(self.drawn.rows).enumerate() {
            buffer.put(1 + at, left, self.columns, line, Style::PLAIN);
        }
        if let Mode::Panel(panel) = &mut self.mode {
            panel.top = top;
        }
    }

    pub(super) fn wrapped(&self, lines: &[String]) -> Vec<String> {
        lines.iter().flat_map(|line| wrap::hanging(line, self.drawn.columns.max(1))).collect()
    }

    // The bottom.

    /// The notice as rows, and whether it is bad news.
    fn notice_rows(&self) -> (Vec<String>, bool) {
        let Some((text, is_wrong)) = self.notice_text() else {
            return (Vec::new(), false);
        };
        let text = format!("{} {text}", if is_wrong { "!" } else { "-" });
        let mut rows = wrap::body(&text.replace('\n', " "), self.columns);
        if rows.len() > NOTICE_ROWS {
            rows.truncate(NOTICE_ROWS);
            rows[NOTICE_ROWS - 1].push('…');
        }
        (rows, is_wrong)
    }

    /// Draws the notice, and gives where it ends.
    fn draw_notice(&self, buffer: &mut Buffer, row: usize) -> (usize, usize) {
        let (rows, is_wrong) = self.notice_rows();
        let style = if is_wrong { Style::WRONG.bolder() } else { Style::BOLD };
        let mut end = (row, 0);
        for (at, text) in rows.iter().enumerate() {
            end = (row + at, buffer.put(row + at, 0, self.columns, text, style));
        }
        end
    }

    fn draw_status(&self, buffer: &mut Buffer, row: usize) {
        buffer.fill(row, 0, self.columns, Style::BAR);
        let pieces = self.status_pieces();
        // What is not in view is worth more than which server that is, and less than what waits.
        let first = 2 + usize::from(self.status.waiting > 0);
        let least: usize = pieces.iter().take(first).map(|(text, _)| text_width(text)).sum();
        let right = self.status_right(self.columns.saturating_sub(least));
        let end = self.columns - text_width(&right);
        let mut column = 0;
        for (text, style) in pieces {
            let (wanted, room) = (text_width(&text), end - column);
            if wanted > room && room < LEAST_PIECE {
                break;
            }
            column = buffer.put(row, column, end, &clipped(&text, room), style.reversed());
        }
        buffer.put(row, end, self.columns, &right, Style::BAR.bolder());
    }

    /// Columns that the typed text has.
    pub(super) fn input_columns(&self) -> usize {
        self.columns.saturating_sub(text_width(&self.prompt())).max(2)
    }

    fn laid_input(&self) -> input::Rows {
        match self.asking.is_secret() {
            true => input::rows("", 0, self.input_columns()),
            false => input::rows(self.editor.text(), self.editor.cursor(), self.input_columns()),
        }
    }

    /// Of more rows than there is room for, those in view change only where the cursor leaves them.
    fn scroll_input(&mut self, laid: &input::Rows, count: usize) {
        let (at, rows) = (laid.cursor.0, laid.rows.len());
        let first = self.drawn.typed_first.min(rows - count);
        self.drawn.typed_first = first.clamp((at + 1).saturating_sub(count), at);
        self.drawn.typed_at = (rows > count).then_some((at + 1, rows));
    }

    fn draw_input(
        &self,
        buffer: &mut Buffer,
        layout: &Layout,
        laid: &input::Rows,
    ) -> (usize, usize) {
        let (row, count) = layout.input;
        let prompt = self.prompt();
        let left = text_width(&prompt);
        buffer.put(row, 0, self.columns, &padded(&prompt, left), Style::BOLD);
        let first = self.drawn.typed_first;
        for (at, text) in laid.rows[first..].iter().take(count).enumerate() {
            buffer.put(row + at, left, self.columns, text, Style::PLAIN);
        }
        (row + laid.cursor.0 - first, (left + laid.cursor.1).min(self.columns - 1))
    }
}

/// Draws a row of the pane from a column on, its last piece with the links in it.
fn draw_row(buffer: &mut Buffer, at: usize, left: usize, row: &Row) {
    let (mut column, end) = (left, buffer.columns());
    let Some(((last, style), head)) = row.spans.split_last() else {
        return;
    };
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
