//! What is typed, as rows: the line editor's text wrapped, with the cursor in it. Pure.

use super::super::cluster;
use super::super::editor::cell;

/// The rows of a text being typed, and the cursor among them.
#[derive(Debug, PartialEq, Eq)]
pub struct Rows {
    /// At least one.
    pub rows: Vec<String>,
    /// Row and column of the cursor.
    pub cursor: (usize, usize),
    /// Where each row begins in the text: byte indices.
    pub starts: Vec<usize>,
}

/// Lays out `text` with the cursor at byte `cursor` in rows of `columns`; the cursor itself needs a
/// column, so a full row is followed by another.
pub fn rows(text: &str, cursor: usize, columns: usize) -> Rows {
    let columns = columns.max(2);
    let mut laid = Rows { rows: vec![String::new()], cursor: (0, 0), starts: vec![0] };
    let mut used = 0;
    for (at, cluster) in cluster::all(text) {
        let (shown, wide) = match cluster {
            "\n" => (String::new(), 0),
            cluster => cell(cluster),
        };
        if used + wide >= columns && used > 0 {
            begin_row(&mut laid, at);
            used = 0;
        }
        if (at..at + cluster.len()).contains(&cursor) {
            laid.cursor = (laid.rows.len() - 1, used);
        }
        if cluster == "\n" {
            begin_row(&mut laid, at + 1);
            used = 0;
            continue;
        }
        laid.rows.last_mut().expect("there is one").push_str(&shown);
        used += wide;
    }
    if cursor >= text.len() {
        laid.cursor = (laid.rows.len() - 1, used);
    }
    laid
}

fn begin_row(laid: &mut Rows, at: usize) {
    laid.rows.push(String::new());
    laid.starts.push(at);
}

impl Rows {
    /// Where the cursor goes, a row up or down in the same column or as near as can be: a byte
    /// index into `text`; `None` at the first or last row.
    pub fn vertical(&self, text: &str, down: bool) -> Option<usize> {
        let (row, column) = self.cursor;
        let row = if down { row + 1 } else { row.checked_sub(1)? };
        let start = *self.starts.get(row)?;
        let end = self.starts.get(row + 1).map_or(text.len(), |next| {
            let ends_line = text[..*next].ends_with('\n');
            if ends_line { next - 1 } else { *next }
        });
        let mut used = 0;
        for (at, cluster) in cluster::all(&text[start..end]) {
            if used >= column {
                return Some(start + at);
            }
            used += cell(cluster).1;
        }
        // The end of a wrapped row is the beginning of the next one.
        let is_wrapped = end < text.len() && !text[end..].starts_with('\n');
        match is_wrapped {
            true => Some(start + cluster::before(&text[start..end], end - start)),
            false => Some(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cluster::text_width;
    use super::*;

    #[test]
    fn text_is_laid_out_with_its_lines_and_the_cursor_always_has_a_column() {
        for (text, cursor, columns, expected, at) in [
            ("", 0, 10, &[""][..], (0, 0)),
            ("hello", 2, 10, &["hello"], (0, 2)),
            ("hello", 5, 6, &["hello"], (0, 5)),
            ("hello!", 6, 6, &["hello", "!"], (1, 1)),
            ("one\ntwo", 3, 10, &["one", "two"], (0, 3)),
            ("one\ntwo", 4, 10, &["one", "two"], (1, 0)),
            ("one\n", 4, 10, &["one", ""], (1, 0)),
            ("\u{4e2d}\u{6587}\u{4e2d}", 9, 5, &["\u{4e2d}\u{6587}", "\u{4e2d}"], (1, 2)),
            ("e\u{301}x", 3, 10, &["e\u{301}x"], (0, 1)),
            ("\u{1f1e9}\u{1f1ea}x", 8, 10, &["\u{1f1e9}\u{1f1ea}x"], (0, 2)),
            ("\u{1f44d}\u{1f3fd}x", 4, 10, &["\u{1f44d}\u{1f3fd}x"], (0, 0)),
            ("\x1b\t", 2, 10, &["\u{241b}\u{2409}"], (0, 2)),
        ] {
            let laid = rows(text, cursor, columns);
            assert_eq!(laid.rows, expected, "{text:?}");
            assert_eq!(laid.cursor, at, "{text:?}");
        }
    }

    #[test]
    fn up_and_down_keep_the_column_as_near_as_can_be() {
        let text = "a long line\nno\nanother line";
        let up = |cursor| rows(text, cursor, 40).vertical(text, false);
        let down = |cursor| rows(text, cursor, 40).vertical(text, true);
        assert_eq!((down(5), up(5)), (Some(14), None));
        assert_eq!((up(20), down(20)), (Some(14), None));
        assert_eq!(down(14), Some(17));
        let wrapped = "abcdefghij";
        assert_eq!(rows(wrapped, 2, 5).vertical(wrapped, true), Some(6));
        assert_eq!(rows(wrapped, 10, 5).vertical(wrapped, false), Some(6));
    }

    #[test]
    fn at_every_width_all_is_shown_and_the_cursor_is_inside() {
        let text = "w\u{f6}rter \u{4e2d}\u{6587} e\u{301}\u{301}\n\nand \x1b[ 🙂 more";
        for columns in 1..60 {
            for (cursor, _) in text.char_indices() {
                let laid = rows(text, cursor, columns);
                assert_eq!(laid.rows.len(), laid.starts.len());
                let (row, column) = laid.cursor;
                assert!(row < laid.rows.len() && column < columns.max(2), "{columns} {cursor}");
                assert!(laid.rows.iter().all(|row| text_width(row) <= columns.max(2)));
                for down in [false, true] {
                    let place = laid.vertical(text, down);
                    assert!(place.is_none_or(|place| text.is_char_boundary(place)));
                }
            }
        }
    }
}
