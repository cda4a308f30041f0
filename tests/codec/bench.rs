//! What `chatctl bench-codec` prints.

use chatctl::cli::bench_codec::{self, Look, Options};

use crate::support::bounded::exit_of;
use crate::support::chatctl;
use crate::support::sys::{Pty, spawn_on_pty};

const KINDS: [&str; 6] = ["small", "typical", "4KiB", "non-ascii", "escape-heavy", "history-page"];

/// Fields of the reference message and of a delivered one.
const FIELDS: usize = 7 + 9;

fn output(runs: u32, json: bool) -> String {
    let mut out = Vec::new();
    let options = Options { runs, json, look: Look::default() };
    bench_codec::run(&options, &mut out).expect("memory takes all that is written");
    String::from_utf8(out).expect("the output is text")
}

/// The fields of the line that begins with these words.
fn line<'a>(text: &'a str, words: &str) -> Vec<&'a str> {
    let found = text.lines().find_map(|line| line.strip_prefix(words));
    found.unwrap_or_else(|| panic!("no line {words:?} in {text}")).split_whitespace().collect()
}

#[test]
fn the_reference_message_comes_first_with_and_without_framing() {
    let text = output(1, false);
    assert_eq!(line(&text, "JSON line"), ["162", "163"]);
    assert_eq!(line(&text, "framed JSON"), ["162", "166"]);
    assert_eq!(line(&text, "framed binary"), ["86", "90"]);
    assert!(text.find("framed binary") < text.find("history-page"));
}

#[test]
fn every_kind_has_a_row_for_each_codec_in_aligned_columns() {
    let text = output(2, false);
    let (_, times) = text.split_once("in nanoseconds").expect("the times have a heading");
    let mut rows = Vec::new();
    for kind in KINDS {
        for codec in ["json", "binary"] {
            let row = times.lines().find(|line| line.split_whitespace().take(2).eq([kind, codec]));
            let row = row.unwrap_or_else(|| panic!("no row {kind} {codec} in {text}"));
            let fields: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(fields.len(), 9, "{row}");
            assert!(fields[2..].iter().all(|field| field.parse::<f64>().is_ok()), "{row}");
            rows.push(row);
        }
    }
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    assert_eq!(line(times, "4KiB          memcpy")[0], line(times, "4KiB          binary")[0]);
    assert_eq!(line(times, "typical       json")[0], "162");
    assert_eq!(line(times, "typical       binary")[0], "86");
}

#[test]
fn the_method_says_how_many_runs_there_were_and_what_was_timed() {
    for runs in [1, 3] {
        let text = output(runs, false);
        for part in [&format!("Method: {runs} runs"), "median", "min", "black_box", "clock"] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
    assert!(output(0, false).contains("Method: 1 runs"));
}

#[test]
fn json_output_is_an_object_a_line_with_the_same_content() {
    let text = output(2, true);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 3 + FIELDS + 2 * KINDS.len() + 1);
    for line in &lines {
        // With a cmd put in, our own reader takes it: the rest are unknown keys, but JSON.
        let message = format!("{{\"cmd\": \"x\", {}", line.strip_prefix('{').expect("an object"));
        let read = chatctl::protocol::json::decode(message.as_bytes());
        assert!(read.is_ok(), "{line}: {read:?}");
    }
    assert!(lines[0].starts_with("{\"runs\": 2, \"method\": \""), "{}", lines[0]);
    for (form, payload, wire) in
        [("JSON line", 162, 163), ("framed JSON", 162, 166), ("framed binary", 86, 90)]
    {
        let sizes =
            format!("\"form\": \"{form}\", \"payload_bytes\": {payload}, \"wire_bytes\": {wire}}}");
        assert!(lines[1..4].iter().any(|line| line.ends_with(&sizes)), "{text}");
    }
    let is_copy = |line: &&str| line.starts_with("{\"kind\": \"4KiB\", \"codec\": \"memcpy\", ");
    assert!(lines.iter().any(|line| is_copy(line) && line.contains("\"copy\": {\"min_ns\": ")));
    let lines: Vec<&str> = lines.into_iter().filter(|line| !is_copy(line)).collect();
    for (number, kind) in KINDS.iter().enumerate() {
        for (offset, codec) in ["json", "binary"].iter().enumerate() {
            let line = lines[4 + FIELDS + 2 * number + offset];
            let start = format!("{{\"kind\": \"{kind}\", \"codec\": \"{codec}\", \"bytes\": ");
            assert!(line.starts_with(&start), "{line}");
            for key in ["encode", "decode"] {
                assert!(line.contains(&format!("\"{key}\": {{\"min_ns\": ")), "{line}");
            }
            for key in ["median_ns", "mb_per_s", "iterations"] {
                assert_eq!(line.matches(&format!("\"{key}\": ")).count(), 2, "{line}");
            }
        }
    }
}

#[test]
fn bars_show_the_bytes_of_each_kind_and_each_field_in_plain_text_for_a_file() {
    let text = output(1, false);
    assert!(text.is_ascii() && !text.contains('\u{1b}'), "{text}");
    let (pictures, _) = text.split_once("in nanoseconds").expect("the times have a heading");
    let bar = |line: &str| line.matches('#').count();
    let rows: Vec<&str> = pictures.lines().collect();
    let typical = rows.iter().position(|row| row.starts_with("typical ")).expect("a picture");
    let (json, binary) = (rows[typical], rows[typical + 1]);
    assert!(json.contains(" 162  #") && binary.contains(" 86  #"), "{pictures}");
    assert_eq!(bar(binary), (bar(json) * 86).div_ceil(162), "{pictures}");
    assert!(binary.ends_with(" 53 %"), "{binary}");
    // What a field says and what is around it: the whole messages have 162 and 86 bytes.
    let all: Vec<&str> = rows.iter().copied().filter(|row| row.starts_with("all ")).collect();
    let sums = |row: &str| -> Vec<usize> {
        let cells = row.split_whitespace().skip(1);
        cells.map(|cell| cell.split('+').map(|part| part.parse::<usize>().unwrap()).sum()).collect()
    };
    assert_eq!(sums(all[0]), [162, 86], "{pictures}");
    assert!(pictures.lines().any(|row| row.starts_with("seq ")), "{pictures}");
}

#[test]
fn a_terminal_gets_bars_as_wide_as_it_is_in_colours_unless_they_are_refused() {
    for (columns, no_color, flag) in [(100, "", ""), (60, "1", ""), (60, "", "--color=never")] {
        let mut pty = Pty::open();
        pty.set_size(columns, 24);
        let mut command = chatctl(&["bench-codec", "--runs=1"]);
        command.env("TERM", "xterm").env("NO_COLOR", no_color);
        command.args(Some(flag).filter(|flag| !flag.is_empty()));
        let mut child = spawn_on_pty(&mut command, &pty).expect("it runs");
        let shown = pty.read_until("in nanoseconds");
        pty.read_until("the whole page.");
        assert!(exit_of(&mut child).success());
        let wanted = no_color.is_empty() && flag.is_empty();
        assert_eq!(shown.contains("\u{1b}[33m"), wanted, "{shown:?}");
        let bars = shown.lines().map(|line| line.matches('\u{2588}').count());
        let longest = bars.max().unwrap_or(0);
        assert_eq!(longest, usize::from(columns) - 36, "{shown}");
    }
}
