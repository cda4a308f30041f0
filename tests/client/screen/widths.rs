//! Terminals that believe other widths than the client: every letter is still where it was drawn,
//! and no letter shows that is not of the frame.

use chatctl::client::cluster;
use chatctl::client::screen::cells::{Buffer, Glyph, Style};
use chatctl::client::screen::paint::{self, Painter};
use chatctl::client::width::char_width;

use super::seat::Seat;
use crate::support::vt::{Belief, Vt};
use crate::support::{Rng, env_number};

const BELIEFS: [Belief; 4] = [Belief::Clusters, Belief::Wide, Belief::Narrow, Belief::Every];

const EMOJI: &[&str] = &[
    "\u{1f6dc}",
    "\u{1fae8}",
    "\u{1fabf}",
    "\u{1f44d}\u{1f3fd}",
    "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}",
    "\u{1f1e9}\u{1f1ea}",
    "1\u{fe0f}\u{20e3}",
    "\u{2764}\u{fe0f}",
    "\u{2764}",
];

/// A painter and a terminal that disagree.
struct Sight {
    painter: Painter,
    vt: Vt,
}

impl Sight {
    fn new(belief: Belief, columns: usize, rows: usize) -> Sight {
        let mut vt = Vt::with(belief, columns, rows);
        vt.feed(paint::ENTER);
        Sight { painter: Painter::new(true), vt }
    }

    /// Shows a frame, and holds that each of its letters is in its place and no other is anywhere.
    fn show(&mut self, buffer: &Buffer) {
        self.vt.feed(&self.painter.frame(buffer.clone(), Some((0, 0))));
        for row in 0..buffer.rows() {
            self.holds(buffer, row);
        }
        assert_eq!(self.vt.not_understood, [] as [&str; 0]);
    }

    fn holds(&self, buffer: &Buffer, row: usize) {
        let cells = buffer.row(row);
        for (column, cell) in cells.iter().enumerate() {
            let text = self.vt.cell(row, column).text.as_str();
            let whose = match &cell.glyph {
                Glyph::Tail => &cells[column - 1].glyph,
                glyph => glyph,
            };
            let (own, is_letter) = match whose {
                Glyph::One(char) => (char.to_string(), char.is_ascii()),
                Glyph::Cluster(cluster) => (cluster.to_string(), false),
                Glyph::Tail => unreachable!("the buffer holds whole glyphs"),
            };
            // What is drawn in parts, or half of it, may be lost; what is no part may not be there.
            let is_own = |char| own.contains(char) || char_width(char) == 0;
            let is_part = text.chars().all(|char| char == ' ' || is_own(char));
            let letters: String = text.chars().filter(|char| char_width(*char) > 0).collect();
            let is_right = if is_letter { letters == own } else { is_part };
            assert!(
                is_right,
                "row {row}, column {column}: {text:?}, not {own:?}:\n{}",
                self.vt.text()
            );
        }
    }
}

fn drawn(columns: usize, rows: &[&str]) -> Buffer {
    let mut buffer = Buffer::new(columns, rows.len());
    for (row, text) in rows.iter().enumerate() {
        buffer.put(row, 0, columns, text, Style::PLAIN);
    }
    buffer.check_invariants();
    buffer
}

#[test]
fn no_letter_that_nobody_sent_shows_behind_a_wide_glyph() {
    for belief in BELIEFS {
        let mut sight = Sight::new(belief, 20, 1);
        sight.show(&drawn(20, &["ABCDEFGHIJKL"]));
        sight.show(&drawn(20, &["a\u{1f6dc}b\u{1fae8}c\u{1fabf}d"]));
        let letters: String =
            sight.vt.row(0).chars().filter(|char| char.is_ascii_alphabetic()).collect();
        assert_eq!(letters, "abcd", "{belief:?}");
    }
}

#[test]
fn random_frames_over_each_other_leave_every_letter_in_its_place() {
    let first = env_number("CHATCTL_SEED", 0);
    let count = env_number("CHATCTL_SCREEN_SEEDS", 60);
    for seed in first..first + count {
        for belief in BELIEFS {
            println!("CHATCTL_SEED={seed} CHATCTL_SCREEN_SEEDS=1, {belief:?}");
            let mut dice = Rng::new(seed);
            let columns = 4 + dice.below(30) as usize;
            let mut sight = Sight::new(belief, columns, 3);
            let mut rows = vec![String::new(); 3];
            for _ in 0..30 {
                // One row changes at its end or as a whole, the others stay.
                let row = &mut rows[dice.below(3) as usize];
                let keep = dice.below(12) as usize;
                let cut = cluster::all(row).nth(keep).map_or(row.len(), |(start, _)| start);
                row.truncate(cut);
                for _ in 0..dice.below(20) {
                    row.push_str(piece(&mut dice));
                }
                let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
                sight.show(&drawn(columns, &rows));
            }
        }
    }
}

fn piece(dice: &mut Rng) -> &'static str {
    const LETTERS: &[&str] = &["a", "b", "X", "Y", " ", "  ", "word", "\u{e9}", "\u{416}"];
    const MORE: &[&str] = &["\u{4e2d}", "e\u{301}", "\u{915}\u{94d}\u{200d}\u{937}", "\u{2502}"];
    let pieces = [LETTERS, LETTERS, EMOJI, MORE][dice.below(4) as usize];
    pieces[dice.below(pieces.len() as u64) as usize]
}

#[test]
fn emoji_are_shown_and_typed_whole() {
    for emoji in EMOJI {
        let mut seat = Seat::new(80, 24);
        seat.keys("/to bob\r").hear("bob", &format!("<{emoji}>"));
        assert!(seat.shows(&format!("<{emoji}>")), "{}", seat.text());
        seat.keys(&format!("({emoji}{emoji})"));
        assert!(seat.shows(&format!("> ({emoji}{emoji})")), "{}", seat.text());
        seat.keys("\x1b[D\x7f");
        assert_eq!(seat.screen.typed(), format!("({emoji})"));
        // One row of two emoji and the cursor: the next goes on below, whole.
        seat.keys(&format!("\x03{}", emoji.repeat(60)));
        let rows: Vec<String> = seat.text().lines().map(str::to_string).collect();
        let typed: String = rows.iter().filter_map(|row| row.strip_prefix("> ")).collect();
        let count = cluster::all(&typed).filter(|(_, cluster)| cluster == emoji).count();
        assert_eq!(typed, emoji.repeat(count), "only whole ones");
    }
}

#[test]
fn ctrl_l_erases_what_the_terminal_shows_and_draws_it_all() {
    let mut seat = Seat::new(80, 24);
    seat.keys("/to bob\r").hear("bob", "hello");
    // Somebody else has written on the terminal.
    seat.vt.feed(b"\x1b[5;1H\x1b[7mgarbage\x1b[0m");
    seat.keys("\x0c");
    assert!(String::from_utf8_lossy(&seat.frame).contains("\x1b[2J"));
    assert!(seat.shows("hello") && !seat.shows("garbage"), "{}", seat.text());
}
