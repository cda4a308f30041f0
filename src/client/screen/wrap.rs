//! Text into rows of a width: between words where it can, never within a cluster. Pure.

use std::borrow::Cow;

use super::super::cluster::text_width;
use super::super::{cluster, show};
use super::links::{self, Link};

/// What a tab becomes: where it would lead depends on what stands before, which wrapping changes.
const TAB: &str = "    ";

/// The rows of a message's text, harmless: its own lines kept, the long ones wrapped.
pub fn body(text: &str, columns: usize) -> Vec<String> {
    linked(text, columns).into_iter().map(|(row, _)| row).collect()
}

/// The same, each row with the parts of web addresses in it.
pub fn linked(text: &str, columns: usize) -> Vec<(String, Vec<Link>)> {
    let mut rows = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line = match line.contains('\t') {
            true => Cow::Owned(line.replace('\t', TAB)),
            false => Cow::Borrowed(line),
        };
        let shown = show::line(&line);
        let found = links::find(&shown);
        // Rows are parts of the line, in order; a blank between two may be left out.
        let start = |row: &str| row.as_ptr().addr() - shown.as_ptr().addr();
        let own = |row: &str| (row.to_string(), links::within(&found, start(row), row));
        rows.extend(line_rows(&shown, columns).into_iter().map(own));
    }
    rows
}

/// The rows of a line that may be a table's: what does not fit goes on below its last column, which
/// two blanks set apart.
pub fn hanging(line: &str, columns: usize) -> Vec<String> {
    let lead = line.len() - line.trim_start().len();
    let gap = line[lead..].find("  ").map(|at| lead + at);
    let start = gap.map_or(0, |gap| line.len() - line[gap..].trim_start().len());
    let (head, text) = line.split_at(start);
    let indent = text_width(head);
    if indent == 0 || 2 * indent > columns {
        return body(line, columns);
    }
    let mut rows = body(text, columns - indent);
    for (nth, row) in rows.iter_mut().enumerate() {
        let before = if nth == 0 { head.to_string() } else { " ".repeat(indent) };
        row.insert_str(0, &before);
    }
    rows
}

/// The rows of one line that has been made harmless; at least one. A row is longer than `columns`
/// only where a single cluster is.
pub fn line_rows(line: &str, columns: usize) -> Vec<&str> {
    let mut rows = Vec::new();
    // Where the row begins, its width so far, and where it could be broken best: (its end, where
    // the next begins, the width up to there).
    let (mut start, mut used) = (0, 0);
    let mut chance: Option<(usize, usize, usize)> = None;
    let mut after_wide = false;
    for (at, cluster) in cluster::all(line) {
        let (wide, is_space) = (cluster::width(cluster), cluster == " ");
        let behind = at + cluster.len();
        if wide == 0 {
            continue;
        }
        if (wide == 2 || after_wide) && at > start && !is_space {
            chance = Some((at, at, used));
        }
        after_wide = wide == 2;
        if used + wide > columns && at > start {
            if is_space {
                // The space is the break.
                rows.push(&line[start..at]);
                (start, used, chance) = (behind, 0, None);
                continue;
            }
            let (end, next, before) = chance.take().unwrap_or((at, at, used));
            rows.push(&line[start..end]);
            (start, used) = (next, used - before);
        }
        used += wide;
        if is_space && !line[start..at].trim_start().is_empty() {
            chance = Some((at, behind, used));
        }
    }
    rows.push(&line[start..]);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_where_they_fit() {
        for (line, columns, rows) in [
            ("", 5, &[""][..]),
            ("one", 5, &["one"]),
            ("one two", 5, &["one", "two"]),
            ("one two", 7, &["one two"]),
            ("one two three", 7, &["one two", "three"]),
            ("one twothree", 7, &["one", "twothre", "e"]),
            ("abcdefghij", 4, &["abcd", "efgh", "ij"]),
            ("  indented text", 10, &["  indented", "text"]),
            ("a  b", 2, &["a ", "b"]),
            ("\u{4e2d}\u{6587}\u{4e2d}", 5, &["\u{4e2d}\u{6587}", "\u{4e2d}"]),
            ("ab\u{4e2d}\u{6587}", 3, &["ab", "\u{4e2d}", "\u{6587}"]),
            ("e\u{301}e\u{301}e\u{301}", 2, &["e\u{301}e\u{301}", "e\u{301}"]),
            ("\u{4e2d}a", 1, &["\u{4e2d}", "a"]),
            (
                "\u{1f1e9}\u{1f1ea}\u{1f1eb}\u{1f1f7}",
                3,
                &["\u{1f1e9}\u{1f1ea}", "\u{1f1eb}\u{1f1f7}"],
            ),
            ("ab\u{1f44d}\u{1f3fd}", 3, &["ab", "\u{1f44d}\u{1f3fd}"]),
            (
                "\u{1f469}\u{200d}\u{1f467}\u{1f467}",
                2,
                &["\u{1f469}\u{200d}\u{1f467}", "\u{1f467}"],
            ),
        ] {
            assert_eq!(line_rows(line, columns), rows, "{line:?} in {columns}");
        }
    }

    #[test]
    fn a_table_goes_on_below_its_last_column_where_that_has_room() {
        for (line, columns, rows) in [
            ("/to NAME  talk to NAME", 40, &["/to NAME  talk to NAME"][..]),
            ("/to NAME  talk to NAME", 20, &["/to NAME  talk to", "          NAME"]),
            ("  a key  and its value", 18, &["  a key  and its", "         value"]),
            ("/to NAME  talk to NAME", 14, &["/to NAME  talk", "to NAME"]),
            ("no table here", 8, &["no table", "here"]),
            ("", 8, &[""]),
            ("   ", 8, &["   "]),
        ] {
            assert_eq!(hanging(line, columns), rows, "{line:?} in {columns}");
        }
    }

    #[test]
    fn at_every_width_no_row_is_too_long_and_nothing_but_spaces_is_lost() {
        let long = "x".repeat(300);
        let marks = format!("a{} b", "\u{301}".repeat(100));
        for text in [
            "the quick brown \u{72d0}\u{72f8} jumps over e\u{301}ve\u{301}rything, ok  ok   ok",
            &long,
            &marks,
            "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{1f1e9}\u{1f1ea}",
            "tab\tand\r\n\n  lines\u{202e} \x1b[31mred",
        ] {
            for columns in 1..=200 {
                let rows = body(text, columns);
                for row in &rows {
                    let fits = text_width(row) <= columns;
                    assert!(fits || cluster::first(row) == row.len(), "{row:?} in {columns}");
                }
                let letters = |text: &str| -> String {
                    text.chars().filter(|char| !char.is_whitespace()).collect()
                };
                let lines: Vec<_> = text
                    .lines()
                    .map(|line| show::line(&line.replace('\t', TAB)).into_owned())
                    .collect();
                assert_eq!(letters(&rows.concat()), letters(&lines.concat()), "{columns}");
            }
        }
    }

    #[test]
    fn the_longest_text_is_wrapped_in_one_pass() {
        let text = "word ".repeat(13_107);
        let rows = body(&text, 40);
        assert_eq!(rows.len(), 13_107 / 8 + 1);
        assert_eq!(body(&"\n".repeat(65_535), 40).len(), 65_536);
    }
}
