//! What has changed between two screens, as bytes for a terminal: one write a frame. Pure.
//!
//! Terminals disagree about the columns of what is not ASCII. So both columns of a wide glyph are
//! made blank before it is written, the cursor is put where the next glyph belongs, and every cell
//! that a terminal may have written over is written again.
//!
//! Sent to the terminal, nothing else:
//!
//! | sequence                   | does |
//! | ---                        | --- |
//! | `ESC [ ? 1049 h`, `l`      | to the alternate screen, and back |
//! | `ESC [ ? 2004 h`, `l`      | pastes are told apart from typing, or not |
//! | `ESC [ ? 1000 h`, `l`      | reports the buttons and the wheel of the mouse, or not |
//! | `ESC [ ? 1006 h`, `l`      | in the form that has no bound on columns (SGR) |
//! | `ESC [ ? 7 l`, `h`         | the last column does not wrap, or does |
//! | `ESC [ ? 25 l`, `h`        | hides the cursor while a frame is drawn, and shows it |
//! | `ESC [ r ; c H`            | to a row and column, from 1; without numbers to the first |
//! | `ESC [ n ; ... m`          | a look: 0, then 1 bold, 2 dim, 4 underlined, 7 reversed, 31-36 |
//! | `ESC ] 8 ; id=n ; address ESC \\` | what follows is a link; without both: it ends |
//! | `ESC [ K`                  | erases to the end of the row |
//! | `ESC [ 2 J`                | erases the screen: entered, left, resized, Ctrl-L |
//! | `ESC [ 22 ; 2 t`, `23`     | keeps the window's title, and takes the kept one back |
//! | `ESC ] 2 ; text BEL`       | the window's title |
//! | `ESC ] 9 ; text BEL`, `ESC ] 777 ; notify ; title ; text BEL` | a notification |
//! | BEL                        | the bell |
//! | `ESC ] 52 ; c ; base64 BEL` | text into the clipboard, where the terminal allows it |

use std::io::Write;
use std::rc::Rc;

use super::super::options::Notify;
use super::super::show;
use super::cells::{Buffer, Cell, Colour, Glyph, Style};
use super::pane::clipped;
use crate::auth::base64;

/// Begins a full screen.
pub const ENTER: &[u8] = b"\x1b[22;2t\x1b[?1049h\x1b[?2004h\x1b[?7l\x1b[0m\x1b[2J\x1b[H";
/// Has the mouse's wheel reported too.
pub const MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
/// Leaves it: the terminal as it was, whether the mouse was reported or not.
pub const LEAVE: &[u8] =
    b"\x1b[?1006l\x1b[?1000l\x1b[0m\x1b[2J\x1b[H\x1b[?7h\x1b[?2004l\x1b[?25h\x1b[23;2t\x1b[?1049l";
/// The bell.
pub const BELL: &[u8] = b"\x07";
/// Columns of a title or a notification.
const ARGUMENT_COLUMNS: usize = 200;
/// So many unchanged cells are written again rather than jumped over.
const JUMP: usize = 6;

/// Remembers what the terminal shows.
pub struct Painter {
    shown: Buffer,
    cursor: Option<(usize, usize)>,
    colour: bool,
    /// What the terminal shows is not known.
    stale: bool,
}

impl Painter {
    /// Knows nothing of the terminal yet.
    pub fn new(colour: bool) -> Painter {
        Painter { shown: Buffer::new(0, 0), cursor: None, colour, stale: true }
    }

    /// What the terminal shows is not known any more: the next frame draws everything.
    pub fn forget(&mut self) {
        self.stale = true;
    }

    /// The bytes that make the terminal show `next`, with the cursor at (row, column); none where it
    /// does already.
    pub fn frame(&mut self, next: Buffer, cursor: Option<(usize, usize)>) -> Vec<u8> {
        let resized = (self.shown.columns(), self.shown.rows()) != (next.columns(), next.rows());
        let is_whole = self.stale || resized;
        let mut pen =
            Pen { out: Vec::new(), colour: self.colour, style: None, link: None, at: None };
        if is_whole {
            pen.look(Style::PLAIN, None);
            pen.out.extend_from_slice(b"\x1b[2J");
        }
        for row in 0..next.rows() {
            match is_whole {
                true => pen.whole_row(row, next.row(row)),
                false => pen.changes(row, self.shown.row(row), next.row(row)),
            }
        }
        pen.link(None);
        let moved = self.cursor != cursor || self.stale || !pen.out.is_empty();
        (self.shown, self.cursor, self.stale) = (next, cursor, false);
        if !moved {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(pen.out.len() + 32);
        if !pen.out.is_empty() {
            out.extend_from_slice(b"\x1b[?25l");
            out.append(&mut pen.out);
            out.extend_from_slice(b"\x1b[0m");
        }
        match cursor {
            Some((row, column)) => {
                put(&mut out, format_args!("\x1b[{};{}H\x1b[?25h", row + 1, column + 1));
            }
            None => out.extend_from_slice(b"\x1b[?25l"),
        }
        out
    }
}

/// Sets the window's title.
pub fn title(text: &str) -> Vec<u8> {
    format!("\x1b]2;{}\x07", argument(text)).into_bytes()
}

/// Asks the terminal to tell of messages, of which the newest is by `from`.
pub fn notify(way: Notify, from: &str, text: &str) -> Vec<u8> {
    let (from, text) = (argument(from), argument(text));
    match way {
        Notify::Off => Vec::new(),
        Notify::Osc9 => format!("\x1b]9;{from}: {text}\x07").into_bytes(),
        Notify::Osc777 => format!("\x1b]777;notify;{from};{text}\x07").into_bytes(),
    }
}

/// Text for a command to the terminal: harmless, without what divides arguments, not too long.
fn argument(text: &str) -> String {
    clipped(&show::line(text), ARGUMENT_COLUMNS).replace(';', ",")
}

/// Puts text into the clipboard (OSC 52). Controls are left out, except tabs and line ends: what is
/// pasted into a shell must not be a command to the terminal.
pub fn copy(text: &str) -> Vec<u8> {
    let is_kept = |char: &char| !char.is_control() || matches!(char, '\n' | '\t');
    let text: String = text.chars().filter(is_kept).collect();
    format!("\x1b]52;c;{}\x07", base64::encode(text.as_bytes())).into_bytes()
}

struct Pen {
    out: Vec<u8>,
    colour: bool,
    /// The look that the terminal has; None: not known.
    style: Option<(Style, bool)>,
    /// The link that what is written becomes a part of.
    link: Option<Rc<str>>,
    /// Where its cursor is; None: not known.
    at: Option<(usize, usize)>,
}

impl Pen {
    fn whole_row(&mut self, row: usize, cells: &[Cell]) {
        let used = used(cells);
        for column in 0..used {
            self.cell(row, column, cells);
        }
        self.erase_from(row, used, cells.len());
    }

    fn changes(&mut self, row: usize, old: &[Cell], new: &[Cell]) {
        let Some(first) = (0..new.len()).find(|column| old[*column] != new[*column]) else {
            return;
        };
        let last = (0..new.len()).rfind(|column| old[*column] != new[*column]).unwrap_or(first);
        let used = used(new);
        // Cells before `end` may differ from what the terminal shows, those before `spilt` in any
        // case: a glyph was written that may have more columns there.
        let (mut column, mut end, mut spilt) = (first, last + 1, first);
        while column < end.min(used) {
            if column >= spilt && old[column] == new[column] {
                let same = (column..end.min(used)).take_while(|at| old[*at] == new[*at]).count();
                if same > JUMP {
                    column += same;
                    continue;
                }
            }
            self.cell(row, column, new);
            spilt = spilt.max((column + most_columns(&new[column].glyph)).min(new.len()));
            end = end.max(spilt);
            column += 1;
        }
        if end > used {
            self.erase_from(row, used.max(first), new.len());
        }
    }

    fn cell(&mut self, row: usize, column: usize, cells: &[Cell]) {
        let cell = &cells[column];
        if cell.glyph == Glyph::Tail {
            return;
        }
        self.move_to(row, column);
        self.look(cell.style, cell.link.as_ref());
        let is_sure = most_columns(&cell.glyph) == 1;
        let columns = match cells.get(column + 1) {
            Some(next) if next.glyph == Glyph::Tail => 2,
            // A terminal may find no room for it in the last column, and leave what is there.
            None if !is_sure => 1,
            _ => 0,
        };
        if columns > 0 {
            self.out.extend_from_slice(&b"  "[..columns]);
            self.at = None;
            self.move_to(row, column);
        }
        match &cell.glyph {
            Glyph::One(char) => put(&mut self.out, format_args!("{char}")),
            Glyph::Cluster(cluster) => self.out.extend_from_slice(cluster.as_bytes()),
            Glyph::Tail => {}
        }
        self.at = is_sure.then_some((row, column + 1)).filter(|_| column + 1 < cells.len());
    }

    fn erase_from(&mut self, row: usize, column: usize, columns: usize) {
        if column >= columns {
            return;
        }
        self.move_to(row, column);
        self.look(Style::PLAIN, None);
        self.out.extend_from_slice(b"\x1b[K");
    }

    fn move_to(&mut self, row: usize, column: usize) {
        if self.at != Some((row, column)) {
            put(&mut self.out, format_args!("\x1b[{};{}H", row + 1, column + 1));
            self.at = Some((row, column));
        }
    }

    fn link(&mut self, link: Option<&Rc<str>>) {
        if self.link.as_ref() == link {
            return;
        }
        let sequence = link.map_or("\x1b]8;;\x1b\\".to_string(), |address| link_start(address));
        self.out.extend_from_slice(sequence.as_bytes());
        self.link = link.cloned();
    }

    fn look(&mut self, style: Style, link: Option<&Rc<str>>) {
        self.link(link);
        let is_underlined = link.is_some();
        if self.style == Some((style, is_underlined)) {
            return;
        }
        self.style = Some((style, is_underlined));
        self.out.extend_from_slice(b"\x1b[0");
        let looks = [(style.bold, 1), (style.dim, 2), (is_underlined, 4), (style.reverse, 7)];
        for (_, number) in looks.iter().filter(|(is_set, _)| *is_set) {
            put(&mut self.out, format_args!(";{number}"));
        }
        let number = match style.colour {
            Colour::Plain => 0,
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Blue => 34,
            Colour::Magenta => 35,
            Colour::Cyan => 36,
        };
        if self.colour && number > 0 {
            put(&mut self.out, format_args!(";{number}"));
        }
        self.out.push(b'm');
    }
}

/// The parts of one link have one id, by which a terminal knows that they belong together.
fn link_start(address: &str) -> String {
    let id = crc32fast::hash(address.as_bytes());
    format!("\x1b]8;id={id:08x};{address}\x1b\\")
}

/// Columns that a glyph has at most, whatever a terminal believes: two for each character that is
/// not ASCII, marks included.
fn most_columns(glyph: &Glyph) -> usize {
    let most = |char: char| if char.is_ascii() { 1 } else { 2 };
    match glyph {
        Glyph::One(char) => most(*char),
        Glyph::Cluster(cluster) => cluster.chars().map(most).sum(),
        Glyph::Tail => 1,
    }
}

/// Cells of a row up to its last one that is not blank.
fn used(cells: &[Cell]) -> usize {
    cells.iter().rposition(|cell| *cell != Cell::BLANK).map_or(0, |last| last + 1)
}

/// Writing to a vector cannot fail.
fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
