//! A screen as cells: what is drawn before anything of it is sent to a terminal. Pure.
//!
//! A cluster stands in one cell: a character with its marks, or an emoji with all of its parts. One
//! of two columns has a [`Glyph::Tail`] behind it, always.

use std::rc::Rc;

use super::super::cluster;
use super::super::show::MARKS;
use super::super::width::char_width;

/// One of the colours that every terminal of 16 has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// The terminal's own.
    #[default]
    Plain,
    /// Something is wrong.
    Red,
    /// Good.
    Green,
    /// To be noticed.
    Yellow,
    /// A name.
    Blue,
    /// A name.
    Magenta,
    /// A name.
    Cyan,
}

/// How a cell looks. Without colours the rest has to say it all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// The letters' colour.
    pub colour: Colour,
    /// Stronger.
    pub bold: bool,
    /// Weaker.
    pub dim: bool,
    /// Letters and ground exchanged.
    pub reverse: bool,
}

impl Style {
    /// As the terminal is.
    pub const PLAIN: Style =
        Style { colour: Colour::Plain, bold: false, dim: false, reverse: false };
    /// What is of less interest.
    pub const DIM: Style = Style { dim: true, ..Style::PLAIN };
    /// What is of more.
    pub const BOLD: Style = Style { bold: true, ..Style::PLAIN };
    /// Bars, and what is selected.
    pub const BAR: Style = Style { reverse: true, ..Style::PLAIN };
    /// What went wrong.
    pub const WRONG: Style = Style { colour: Colour::Red, ..Style::PLAIN };

    /// The same in a colour.
    pub fn coloured(self, colour: Colour) -> Style {
        Style { colour, ..self }
    }

    /// The same in bold.
    pub fn bolder(self) -> Style {
        Style { bold: true, ..self }
    }

    /// The same, reversed.
    pub fn reversed(self) -> Style {
        Style { reverse: true, ..self }
    }
}

/// What a cell shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Glyph {
    /// One character.
    One(char),
    /// One cluster of several characters.
    Cluster(Box<str>),
    /// The second column of the glyph before.
    Tail,
}

/// One place of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What it shows.
    pub glyph: Glyph,
    /// How.
    pub style: Style,
    /// The web address that it is a part of, in printable ASCII.
    pub link: Option<Rc<str>>,
}

impl Cell {
    /// Nothing.
    pub const BLANK: Cell = Cell { glyph: Glyph::One(' '), style: Style::PLAIN, link: None };
}

/// A part of the screen.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    /// Its first row.
    pub top: usize,
    /// Its first column.
    pub left: usize,
    /// Its width.
    pub columns: usize,
    /// Its height.
    pub rows: usize,
}

/// A screen's cells, row after row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    columns: usize,
    cells: Vec<Cell>,
}

impl Buffer {
    /// An empty screen.
    pub fn new(columns: usize, rows: usize) -> Buffer {
        Buffer { columns, cells: vec![Cell::BLANK; columns * rows] }
    }

    /// Its width.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Its height.
    pub fn rows(&self) -> usize {
        self.cells.len().checked_div(self.columns).unwrap_or(0)
    }

    /// The cells of a row.
    pub fn row(&self, row: usize) -> &[Cell] {
        &self.cells[row * self.columns..][..self.columns]
    }

    /// Writes text into a row from `column` on, up to and without `end`, and gives the column
    /// behind it. The text has been made harmless; what does not fit is left out.
    pub fn put(
        &mut self,
        row: usize,
        column: usize,
        end: usize,
        text: &str,
        style: Style,
    ) -> usize {
        self.put_linked(row, column, end, text, (style, None))
    }

    /// The same, of text that is a part of a web address.
    pub fn put_linked(
        &mut self,
        row: usize,
        column: usize,
        end: usize,
        text: &str,
        (style, link): (Style, Option<&Rc<str>>),
    ) -> usize {
        let end = end.min(self.columns);
        if row >= self.rows() {
            return column;
        }
        let mut column = column;
        for (_, cluster) in cluster::all(text) {
            let width = cluster::width(cluster);
            if column + width > end {
                break;
            }
            // A mark without a base would change what stands before the text.
            if width == 0 {
                continue;
            }
            self.set(row, column, glyph(cluster), style, link);
            if width == 2 {
                self.set(row, column + 1, Glyph::Tail, style, link);
            }
            column += width;
        }
        column
    }

    /// Writes lines into an area, as many as fit.
    pub fn put_lines(&mut self, area: Area, lines: &[String]) {
        for (at, line) in lines.iter().take(area.rows).enumerate() {
            let end = area.left + area.columns;
            self.put(area.top + at, area.left, end, line, Style::PLAIN);
        }
    }

    /// Makes a stretch of a row blank, in a style.
    pub fn fill(&mut self, row: usize, column: usize, end: usize, style: Style) {
        for column in column..end.min(self.columns) {
            self.set(row, column, Glyph::One(' '), style, None);
        }
    }

    /// Makes a stretch of a row look reversed, whatever it shows.
    pub fn reverse(&mut self, row: usize, column: usize, end: usize) {
        for column in column..end.min(self.columns) {
            self.cells[row * self.columns + column].style.reverse = true;
        }
    }

    /// The text of a row, without blanks at its end: for tests and captures.
    pub fn text(&self, row: usize) -> String {
        let mut text = String::new();
        for cell in self.row(row) {
            match &cell.glyph {
                Glyph::One(char) => text.push(*char),
                Glyph::Cluster(cluster) => text.push_str(cluster),
                Glyph::Tail => {}
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn set(
        &mut self,
        row: usize,
        column: usize,
        glyph: Glyph,
        style: Style,
        link: Option<&Rc<str>>,
    ) {
        let place = row * self.columns + column;
        let last = column + 1 == self.columns;
        // Half a character is no character: what loses the other half goes.
        if self.cells[place].glyph == Glyph::Tail && glyph != Glyph::Tail && column > 0 {
            self.cells[place - 1].glyph = Glyph::One(' ');
        }
        if !last && self.cells[place + 1].glyph == Glyph::Tail {
            self.cells[place + 1].glyph = Glyph::One(' ');
        }
        self.cells[place] = Cell { glyph, style, link: link.cloned() };
    }

    /// What must hold: no half characters, no controls.
    pub fn check_invariants(&self) {
        for row in 0..self.rows() {
            let cells = self.row(row);
            for (column, cell) in cells.iter().enumerate() {
                let width = match &cell.glyph {
                    Glyph::One(char) => char_width(*char),
                    Glyph::Cluster(cluster) => cluster::width(cluster),
                    Glyph::Tail => continue,
                };
                assert!(width > 0, "no control and no mark stands alone: {cell:?}");
                let has_tail = cells.get(column + 1).is_some_and(|cell| cell.glyph == Glyph::Tail);
                assert_eq!(has_tail, width == 2, "whole characters only: {cell:?} at {column}");
            }
            assert!(cells.first().is_none_or(|cell| cell.glyph != Glyph::Tail));
        }
    }
}

/// The glyph of a cluster; of a flood of marks, the first few.
fn glyph(cluster: &str) -> Glyph {
    let mut chars = cluster.chars();
    if let (Some(char), None) = (chars.next(), chars.next()) {
        return Glyph::One(char);
    }
    let mut marks = 0;
    let is_kept = |char: &char| {
        marks = if char_width(*char) == 0 { marks + 1 } else { 0 };
        marks <= MARKS
    };
    Glyph::Cluster(cluster.chars().filter(is_kept).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_and_no_character_is_cut() {
        let mut buffer = Buffer::new(5, 2);
        assert_eq!(buffer.put(0, 0, 5, "a\u{4e2d}\u{6587}b", Style::PLAIN), 5);
        assert_eq!(buffer.text(0), "a\u{4e2d}\u{6587}");
        assert_eq!(buffer.put(1, 0, 4, "ab\u{4e2d}\u{6587}", Style::PLAIN), 4);
        assert_eq!(buffer.put(1, 0, 99, "abcdefgh", Style::PLAIN), 5);
        assert_eq!(buffer.put(7, 0, 99, "nowhere", Style::PLAIN), 0);
        buffer.check_invariants();
    }

    #[test]
    fn what_is_written_over_half_a_character_takes_the_whole_away() {
        for column in 0..4 {
            let mut buffer = Buffer::new(6, 1);
            buffer.put(0, 0, 6, "\u{4e2d}\u{6587}\u{4e2d}", Style::PLAIN);
            buffer.put(0, column, 6, "x", Style::PLAIN);
            buffer.check_invariants();
            buffer.put(0, column + 1, 6, "\u{6587}", Style::PLAIN);
            buffer.check_invariants();
            buffer.fill(0, column, column + 1, Style::BAR);
            buffer.check_invariants();
        }
    }

    #[test]
    fn an_emoji_of_several_characters_is_one_glyph_of_two_columns() {
        for emoji in [
            "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "\u{1f44d}\u{1f3fd}",
            "\u{2764}\u{fe0f}",
            "\u{1f1e9}\u{1f1ea}",
            "1\u{fe0f}\u{20e3}",
        ] {
            let mut buffer = Buffer::new(12, 1);
            assert_eq!(buffer.put(0, 0, 12, &format!("{emoji}!"), Style::PLAIN), 3);
            assert_eq!(buffer.text(0), format!("{emoji}!"));
            assert_eq!(buffer.row(0)[0].glyph, Glyph::Cluster(emoji.into()));
            buffer.check_invariants();
            // Where only one column is left, there is no half of it.
            assert_eq!(buffer.put(0, 11, 12, emoji, Style::PLAIN), 11);
            buffer.put(0, 1, 12, "x", Style::PLAIN);
            assert_eq!(buffer.text(0), " x!");
            buffer.check_invariants();
        }
        // On a letter a joiner stays: scripts need it.
        let mut buffer = Buffer::new(12, 1);
        buffer.put(0, 0, 12, "\u{915}\u{94d}\u{200d}\u{937}", Style::PLAIN);
        assert_eq!(buffer.text(0), "\u{915}\u{94d}\u{200d}\u{937}");
    }

    #[test]
    fn marks_stand_with_their_character_and_a_flood_of_them_is_cut() {
        let mut buffer = Buffer::new(4, 1);
        let flood = "\u{301}".repeat(1_000);
        buffer.put(0, 0, 4, &format!("e\u{301}\u{4e2d}{flood}"), Style::PLAIN);
        assert_eq!(buffer.text(0), format!("e\u{301}\u{4e2d}{}", "\u{301}".repeat(MARKS)));
        buffer.put(0, 0, 4, "\u{301}", Style::PLAIN);
        buffer.check_invariants();
    }
}
