//! What `chatctl bench-codec` prints.

use chatctl::cli::bench_codec::{self, Options};

const KINDS: [&str; 6] = ["small", "typical", "4KiB", "non-ascii", "escape-heavy", "history-page"];

fn output(runs: u32, json: bool) -> String {
    let mut out = Vec::new();
    bench_codec::run(&Options { runs, json }, &mut out).expect("memory takes all that is written");
    String::from_utf8(out).expect("the output is text")
}

/// The fields of the line that begins with these words.
fn line<'a>(text: &'a str, words: &str) -> Vec<&'a str> {
    let found = text.lines().find_map(|line| line.strip_prefix(words));
    found.unwrap_or_else(|| panic!("no line {words:?} in {text}")).split_whitespace().collect()
}

#[test]
fn the_notebooks_comparison_comes_first_with_and_without_framing() {
    let text = output(1, false);
    assert_eq!(line(&text, "JSON line"), ["162", "163"]);
    assert_eq!(line(&text, "framed JSON"), ["162", "166"]);
    assert_eq!(line(&text, "framed binary"), ["86", "90"]);
    assert!(text.find("framed binary") < text.find("history-page"));
}

#[test]
fn every_kind_has_a_row_for_each_codec_in_aligned_columns() {
    let text = output(2, false);
    let mut rows = Vec::new();
    for kind in KINDS {
        for codec in ["json", "binary"] {
            let row = text.lines().find(|line| line.split_whitespace().take(2).eq([kind, codec]));
            let row = row.unwrap_or_else(|| panic!("no row {kind} {codec} in {text}"));
            let fields: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(fields.len(), 9, "{row}");
            assert!(fields[2..].iter().all(|field| field.parse::<f64>().is_ok()), "{row}");
            rows.push(row);
        }
    }
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    assert_eq!(line(&text, "typical       json")[0], "162");
    assert_eq!(line(&text, "typical       binary")[0], "86");
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
    assert_eq!(lines.len(), 1 + 3 + 2 * KINDS.len());
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
    for (number, kind) in KINDS.iter().enumerate() {
        for (offset, codec) in ["json", "binary"].iter().enumerate() {
            let line = lines[4 + 2 * number + offset];
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
