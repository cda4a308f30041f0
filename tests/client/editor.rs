//! The line editor, at a terminal of one row.

use chatctl::client::cluster;
use chatctl::client::editor::keys::{Key, Keys};
use chatctl::client::editor::{Action, Editor};
use chatctl::limits;

fn typed(bytes: &[u8]) -> Editor {
    let mut editor = Editor::new();
    editor.feed(0, bytes);
    editor
}

/// A terminal of one row that understands just what the editor sends.
struct Row {
    cells: Vec<String>,
    column: usize,
    /// Columns of a cluster, as this terminal believes.
    belief: fn(&str) -> usize,
    wraps: bool,
}

impl Row {
    fn new(columns: usize) -> Row {
        Row::with(columns, cluster::width)
    }

    fn with(columns: usize, belief: fn(&str) -> usize) -> Row {
        Row { cells: vec![" ".to_string(); columns], column: 0, belief, wraps: true }
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut text = std::str::from_utf8(bytes).expect("the editor writes UTF-8");
        while !text.is_empty() {
            let length = match text.strip_prefix("\x1b[") {
                Some(rest) => {
                    let inner = rest.find(|c: char| c.is_ascii_alphabetic()).expect("a final byte");
                    self.sequence(&rest[..=inner]);
                    2 + inner + 1
                }
                None => {
                    let length = cluster::first(text);
                    self.cluster(&text[..length]);
                    length
                }
            };
            text = &text[length..];
        }
    }

    fn sequence(&mut self, sequence: &str) {
        match sequence {
            "K" => self.cells[self.column..].fill(" ".to_string()),
            "?7l" => self.wraps = false,
            "?7h" => self.wraps = true,
            _ => {
                let count = sequence.strip_suffix('C').expect("a sequence the editor lists");
                self.column += count.parse::<usize>().expect("a number");
            }
        }
        assert!(self.column < self.cells.len());
    }

    fn cluster(&mut self, cluster: &str) {
        if cluster == "\r" {
            self.column = 0;
            return;
        }
        assert!(!cluster.contains(char::is_control), "{cluster:?}");
        let wide = (self.belief)(cluster);
        if wide == 0 {
            return self.cells[self.column.saturating_sub(1)].push_str(cluster);
        }
        let last = self.cells.len() - 1;
        for part in 0..wide {
            assert!(!self.wraps || self.column < last, "the last column stays free: no wrapping");
            let text = if part == 0 { cluster.to_string() } else { String::new() };
            self.cells[self.column] = text;
            self.column = (self.column + 1).min(last);
        }
    }

    fn text(&self) -> String {
        self.cells.concat().trim_end().to_string()
    }
}

fn shown(editor: &mut Editor, columns: usize) -> (String, usize) {
    let mut row = Row::new(columns);
    let mut out = Vec::new();
    editor.render(columns, &mut out);
    row.write(&out);
    (row.text(), row.column)
}

#[test]
fn keys_move_insert_and_delete() {
    let cases: &[(&[u8], &str, usize)] = &[
        (b"hello", "hello", 5),
        (b"hello\x1b[D\x1b[D!", "hel!lo", 4),
        (b"hello\x01>\x05<", ">hello<", 7),
        (b"hello\x7f\x7f", "hel", 3),
        (b"hello\x1b[H\x1b[3~", "ello", 0),
        (b"hello\x1b[1~x\x1b[4~y", "xhelloy", 7),
        (b"hello\x1bOD\x1bOC.", "hello.", 6),
        (b"one two three\x17", "one two ", 8),
        (b"one two three\x1bb\x1bb\x0b", "one ", 4),
        (b"one two three\x1b[1;5D\x1b[1;5D\x15", "two three", 0),
        (b"one two\x01\x1bf-", "one- two", 4),
        (b"one two\x17\x19\x19", "one twotwo", 10),
        (b"abc\x02\x02\x04", "ac", 1),
        ("zwölf\u{1b}[D\u{7f}".as_bytes(), "zwöf", 4),
        ("a\u{301}b\u{1b}[D\u{1b}[D\u{4}".as_bytes(), "b", 0),
        (b"x\xff\xfey\xc3", "xy", 2),
        (b"tab\there", "tabhere", 7),
    ];
    for (bytes, text, cursor) in cases {
        let whole = typed(bytes);
        assert_eq!((whole.text(), whole.cursor()), (*text, *cursor), "{bytes:?}");
        // The same, however the reads cut it.
        let mut editor = Editor::new();
        for byte in *bytes {
            editor.feed(0, &[*byte]);
        }
        assert_eq!((editor.text(), editor.cursor()), (*text, *cursor), "{bytes:?} byte by byte");
    }
}

#[test]
fn enter_interrupt_end_and_suspend_are_told() {
    let mut editor = Editor::new();
    assert_eq!(editor.feed(0, b"hi\r"), [Action::Submit("hi".to_string())]);
    assert_eq!(editor.feed(0, b"half\x03"), [Action::Interrupt { cleared: true }]);
    assert_eq!(editor.text(), "");
    editor.feed(0, b"\x19");
    assert_eq!(editor.text(), "half", "Ctrl-Y brings it back");
    editor.feed(0, b"\x15");
    assert_eq!(editor.feed(0, b"\x03"), [Action::Interrupt { cleared: false }]);
    assert_eq!(editor.feed(0, b"\x04"), [Action::EndOfInput]);
    assert_eq!(editor.feed(0, b"x\x01\x04"), [], "before something on the line it deletes");
    assert_eq!(editor.text(), "");
    assert_eq!(editor.feed(0, b"y\x04"), [Action::NothingToDelete]);
    assert_eq!(editor.feed(0, b"\x1a\x0c"), [Action::Suspend, Action::ClearScreen]);
}

#[test]
fn a_paste_never_submits_and_keeps_its_lines() {
    let mut editor = Editor::new();
    let actions = editor.feed(0, b"\x1b[200~one\r\ntwo\nthree\x03\x04\x1b[A\x1b[201~");
    assert_eq!(actions, []);
    assert_eq!(editor.text(), "one\ntwo\nthree[A");
    assert_eq!(shown(&mut editor, 40).0, "one\u{240a}two\u{240a}three[A");
    assert_eq!(editor.feed(0, b"\r"), [Action::Submit("one\ntwo\nthree[A".to_string())]);
}

#[test]
fn in_a_text_of_several_lines_keys_keep_to_the_line() {
    let cases: &[(&[u8], &str, usize)] = &[
        (b"one\x1b\rtwo", "one\ntwo", 7),
        (b"one\x1b\rtwo\x01x", "one\nxtwo", 5),
        (b"one\x1b\rtwo\x1b[1;5Hx\x05y", "xoney\ntwo", 5),
        (b"one\x1b\rtwo\x15", "one\n", 4),
        (b"one\x1b\rtwo\x1b[1;3H\x0b\x0b", "two", 0),
        (b"one\x1b\rtwo\x1b[1;3H\x1b[1;3F!", "one\ntwo!", 8),
    ];
    for (bytes, text, cursor) in cases {
        let editor = typed(bytes);
        assert_eq!((editor.text(), editor.cursor()), (*text, *cursor), "{bytes:?}");
    }
}

#[test]
fn escape_is_a_key_only_when_nothing_follows_it_in_time() {
    assert_eq!(heard(&[(0, b"\x1b"), (60, b"")]), [Key::Escape]);
    assert_eq!(heard(&[(0, b"\x1b"), (59, b"a")]), [Key::Alt('a')]);
    let all = [Key::PageUp, Key::PageDown, Key::FarUp, Key::BackTab, Key::Tab, Key::Alt('7')];
    assert_eq!(heard(&[(0, b"\x1b[5~\x1b[6~\x1b[1;3A\x1b[Z\t\x1b7")]), all);
    assert_eq!(heard(&[(0, b"\x1b["), (2_000, b"")]), [], "a sequence that was cut is dropped");
    let paused = heard(&[(0, b"\x1b[200~\x1b"), (900, b"[201~a")]);
    assert_eq!(paused, [Key::Char('a')], "a paste may pause anywhere");
}

#[test]
fn the_history_goes_up_and_down_and_gives_the_unsent_line_back() {
    let mut editor = Editor::new();
    editor.feed(0, b"first\rsecond\rsecond\runsent");
    editor.feed(0, b"\x1b[A");
    assert_eq!(editor.text(), "second");
    editor.feed(0, b"\x1b[A\x1b[A\x1b[A");
    assert_eq!(editor.text(), "first", "twice the same is kept once");
    editor.feed(0, b"\x1b[B\x1b[B\x1b[B");
    assert_eq!(editor.text(), "unsent");
}

#[test]
fn of_too_many_lines_the_oldest_is_forgotten() {
    let mut editor = Editor::new();
    for number in 0..=limits::HISTORY_LINES {
        editor.feed(0, format!("line {number}\r").as_bytes());
    }
    for _ in 0..2 * limits::HISTORY_LINES {
        editor.feed(0, b"\x1b[A");
    }
    assert_eq!(editor.text(), "line 1");
}

#[test]
fn a_secret_line_is_neither_shown_nor_remembered() {
    let mut editor = Editor::new();
    editor.set_prompt("password: ");
    editor.set_secret(true);
    editor.feed(0, b"hunter2");
    assert_eq!(shown(&mut editor, 40), ("password:".to_string(), 10));
    assert_eq!(editor.feed(0, b"\r"), [Action::Submit("hunter2".to_string())]);
    editor.feed(0, b"two hunters\x17\x01\x0bthree\x15\x19");
    assert_eq!(editor.text(), "", "what is cut out of it is not brought back");
    editor.feed(0, b"four\x03");
    editor.set_secret(false);
    editor.feed(0, b"\x1b[A\x19");
    assert_eq!((editor.text(), editor.history().len()), ("", 0));
}

#[test]
fn the_history_of_an_earlier_chat_is_recalled_within_its_bound() {
    let mut editor = Editor::new();
    editor.set_history((0..limits::HISTORY_LINES + 5).map(|n| format!("line {n}")).collect());
    assert_eq!(editor.history().len(), limits::HISTORY_LINES);
    editor.feed(0, b"now\r\x1b[A\x1b[A");
    assert_eq!((editor.text(), editor.history().len()), ("line 0", limits::HISTORY_LINES));
}

#[test]
fn a_long_line_scrolls_sideways_and_wide_characters_keep_their_columns() {
    let mut editor = Editor::new();
    editor.set_prompt("bob> ");
    editor.feed(0, b"0123456789abcdefghijklmnopqrstuvwxyz");
    let (text, column) = shown(&mut editor, 20);
    assert!(text.starts_with("bob> ") && text.ends_with("wxyz"), "{text}");
    assert_eq!(column, text.len());
    editor.feed(0, b"\x01");
    assert_eq!(shown(&mut editor, 20), ("bob> 0123456789abcd".to_string(), 5));

    let mut editor = Editor::new();
    editor.feed(0, "日本語".as_bytes());
    assert_eq!(shown(&mut editor, 40), ("日本語".to_string(), 6));
    editor.feed(0, b"\x1b[D");
    assert_eq!(shown(&mut editor, 40), ("日本語".to_string(), 4));
}

#[test]
fn a_line_has_a_bound_and_what_does_not_fit_is_told_once_a_read() {
    let mut editor = Editor::new();
    editor.feed(0, &vec![b'x'; limits::LINE_BYTES]);
    assert_eq!(editor.feed(0, b"yyy"), [Action::Full { lost: 3 }]);
    assert_eq!(editor.text().len(), limits::LINE_BYTES);
}

#[test]
fn of_a_paste_that_does_not_fit_the_rest_is_left_out_as_a_whole_and_counted_until_another_key() {
    let mut editor = Editor::new();
    editor.feed(0, &vec![b'x'; limits::LINE_BYTES - 2]);
    let paste = "\x1b[200~\u{4e2d}abc\x1b[201~".as_bytes();
    assert_eq!(editor.feed(0, paste), [Action::Full { lost: 6 }]);
    assert_eq!(editor.feed(0, paste), [Action::Full { lost: 12 }]);
    assert_eq!(editor.text().len(), limits::LINE_BYTES - 2, "the letters behind it would fit");
    editor.feed(0, b"\x7f\x7f\x17");
    assert_eq!((editor.feed(0, b"\x19a"), editor.text().len()), (vec![], limits::LINE_BYTES - 3));
    assert_eq!(editor.feed(0, b"\x19"), [Action::Full { lost: limits::LINE_BYTES - 7 }]);
}

/// SplitMix64, as the tests' own.
fn dice(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn random_bytes_never_panic_and_the_cursor_stays_on_a_boundary_and_on_the_row() {
    let parts: &[&[u8]] = &[
        b"a",
        b"word ",
        "é".as_bytes(),
        "日".as_bytes(),
        "\u{301}".as_bytes(),
        "🙂".as_bytes(),
        b"\x1b[D",
        b"\x1b[C",
        b"\x1b[A",
        b"\x1b[B",
        b"\x7f",
        b"\x1b[3~",
        b"\x01",
        b"\x05",
        b"\x0b",
        b"\x15",
        b"\x17",
        b"\x19",
        b"\x1bb",
        b"\x1bf",
        b"\x1bd",
        b"\r",
        b"\x1b[200~",
        b"\x1b[201~",
        b"\x1b[",
        b"\x1b",
        b"\xe6\x97",
        "\u{202e}".as_bytes(),
        b"\x00",
        b"\x9b",
        b"\x03",
    ];
    let first = std::env::var("CHATCTL_SEED").ok().and_then(|text| text.parse().ok());
    for seed in first.map_or(0..2_000u64, |seed| seed..seed + 1) {
        println!("CHATCTL_SEED={seed}");
        let mut state = seed;
        let mut editor = Editor::new();
        editor.set_prompt(if seed % 2 == 0 { "someone> " } else { "" });
        for _ in 0..60 {
            match dice(&mut state) % 8 {
                0 => drop(editor.feed(0, &[dice(&mut state) as u8, dice(&mut state) as u8])),
                _ => drop(editor.feed(0, parts[dice(&mut state) as usize % parts.len()])),
            }
            let on_boundary = editor.text().is_char_boundary(editor.cursor());
            assert!(on_boundary && editor.cursor() <= editor.text().len(), "CHATCTL_SEED={seed}");
            let columns = 2 + dice(&mut state) as usize % 30;
            let mut out = Vec::new();
            editor.render(columns, &mut out);
            // It holds that nothing else is sent, and that the cursor stays on the row.
            let mut row = Row::new(columns);
            row.write(&out);
        }
    }
}

#[test]
fn clusters_are_moved_over_and_deleted_whole() {
    for emoji in [
        "\u{1f44d}\u{1f3fd}",
        "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{1f1e9}\u{1f1ea}",
        "1\u{fe0f}\u{20e3}",
        "\u{2764}\u{fe0f}",
        "e\u{301}",
    ] {
        let moved = |keys: &str| {
            let editor = typed(format!("a{emoji}{emoji}b{keys}").as_bytes());
            (editor.text().replace(emoji, "E"), editor.cursor())
        };
        let (one, two) = (1 + emoji.len(), 1 + 2 * emoji.len());
        assert_eq!(moved("\x1b[D"), ("aEEb".to_string(), two), "{emoji}");
        assert_eq!(moved("\x1b[D\x1b[D"), ("aEEb".to_string(), one), "{emoji}");
        assert_eq!(moved("\x01\x1b[C\x1b[C"), ("aEEb".to_string(), one), "{emoji}");
        assert_eq!(moved("\x1b[D\x7f"), ("aEb".to_string(), one), "{emoji}");
        assert_eq!(moved("\x01\x1b[C\x1b[3~"), ("aEb".to_string(), 1), "{emoji}");
        let mut editor = typed(format!("a{emoji}b").as_bytes());
        let column = 1 + cluster::width(emoji) + 1;
        assert_eq!(shown(&mut editor, 40), (format!("a{emoji}b"), column));
    }
}

#[test]
fn a_terminal_that_disagrees_about_columns_shows_each_letter_where_it_belongs() {
    let every: fn(&str) -> usize = |cluster| cluster.chars().count();
    let parts: fn(&str) -> usize = |cluster| match cluster.is_ascii() {
        true => 1,
        false => cluster.chars().map(|_| 2).sum(),
    };
    let one: fn(&str) -> usize = |_| 1;
    for belief in [every, parts, one] {
        for columns in 8..30 {
            let mut row = Row::with(columns, belief);
            // Something longer stood there, which is drawn over.
            for typed in ["ABCDEFGHIJKLMNOPQ", "a\u{1f6dc}b\u{1fae8}c\u{1f1e9}\u{1f1ea}d\u{e9}e"] {
                let mut editor = Editor::new();
                editor.feed(0, typed.as_bytes());
                editor.feed(0, b"\x01");
                let mut out = Vec::new();
                editor.render(columns, &mut out);
                row.write(&out);
            }
            assert!(row.wraps && row.column == 0);
            let letters = ["a", "", "", "b", "", "", "c", "", "", "d", "", "e"];
            for (column, cell) in row.cells.iter().enumerate().take(columns - 1) {
                let is_ascii = cell.is_ascii() && !cell.trim().is_empty();
                let expected = letters.get(column).copied().unwrap_or("");
                match is_ascii {
                    true => assert_eq!(cell, expected, "{:?} at {column}", row.cells),
                    false => {
                        assert!(expected.is_empty() || column + 2 >= columns, "{:?}", row.cells)
                    }
                }
            }
        }
    }
}

/// What is heard of bytes that come at these times, milliseconds.
fn heard(parts: &[(u64, &[u8])]) -> Vec<Key> {
    let mut keys = Keys::default();
    let mut found = Vec::new();
    for (at, bytes) in parts {
        keys.expire(*at, |key| found.push(key));
        keys.feed(*at, bytes, |key| found.push(key));
        assert!(keys.deadline().is_none_or(|deadline| deadline > *at));
    }
    found
}

/// What terminals send that is no text, and the keys it is; by itself and in front of a letter.
const SEQUENCES: &[(&[u8], &[Key])] = &[
    // Answers: colours, attributes, the cursor, the version, a setting, a capability.
    (b"\x1b]11;rgb:1e1e/1e1e/1e1e\x07", &[]),
    (b"\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\", &[]),
    (b"\x1b]52;c;aGVsbG8=\x1b\\", &[]),
    (b"\x1bP>|XTerm(370)\x1b\\", &[]),
    (b"\x1bP1$r0m\x1b\\", &[]),
    (b"\x1bP1+r544e=787465726d\x1b\\", &[]),
    (b"\x1b_Gi=31;OK\x1b\\", &[]),
    (b"\x1b[?64;1;2;6;9;15;16;17;18;21;22;28;29;45;52c", &[]),
    (b"\x1b[24;80R", &[]),
    (b"\x1b[?2026;2$y", &[]),
    (b"\x1b[4;2$y", &[]),
    (b"\x1b[8;24;80t", &[]),
    (b"\x1b[0n", &[]),
    (b"\x1b[I", &[]),
    // Function keys: xterm, the linux console, rxvt, older ones.
    (b"\x1b[[A", &[]),
    (b"\x1b[[E", &[]),
    (b"\x1bOP", &[]),
    (b"\x1bO2P", &[]),
    (b"\x1bO1;5S", &[]),
    (b"\x1b[15;5~", &[]),
    (b"\x1b[24$", &[]),
    (b"\x1b[3^", &[]),
    (b"\x1b[5@", &[]),
    (b"\x1b[a", &[]),
    (b"\x1bOd", &[Key::WordLeft]),
    (b"\x1bOc", &[Key::WordRight]),
    (b"\x1b[97;5u", &[]),
    // The mouse: X10, urxvt, SGR.
    (b"\x1b[M !!", &[]),
    (b"\x1b[M#\xff\xc3", &[]),
    (b"\x1b[35;10;10M", &[]),
    (b"\x1b[<0;10;10m", &[]),
    (b"\x1b[<64;10;10M", &[Key::WheelUp]),
    (b"\x1b[<69;200;100M", &[Key::WheelDown]),
    (b"\x1b[<66;1;1M", &[]),
];

#[test]
fn what_terminals_send_besides_keys_never_becomes_text_however_a_slow_line_splits_it() {
    for (sequence, keys) in SEQUENCES {
        let with_letter = [sequence, &b"x"[..]].concat();
        let expected = [keys, &[Key::Char('x')][..]].concat();
        assert_eq!(heard(&[(0, &with_letter)]), expected, "{:?}", sequence.escape_ascii());
        for cut in 1..sequence.len() {
            for pause in [1, 59, 100, 900] {
                let (first, rest) = with_letter.split_at(cut);
                let mut found = heard(&[(0, first), (pause, rest)]);
                // Escape alone had to be told in time.
                found.retain(|key| *key != Key::Escape);
                let what = format!("{:?} cut at {cut}, {pause} ms", sequence.escape_ascii());
                assert_eq!(found, expected, "{what}");
            }
        }
        let bytes: Vec<(u64, &[u8])> =
            with_letter.chunks(1).enumerate().map(|(n, byte)| (n as u64 * 50, byte)).collect();
        assert_eq!(heard(&bytes), expected, "{:?} byte by byte", sequence.escape_ascii());
    }
}

#[test]
fn a_sequence_that_never_ends_is_given_up_after_a_second_or_at_a_control() {
    for start in [&b"\x1b]11;rgb:"[..], b"\x1bP1$r", b"\x1b[1;2", b"\x1b[M!", b"\x1bO1", b"\x1b["] {
        let after = heard(&[(0, start), (1_000, b"typed")]);
        let typed: Vec<Key> = "typed".chars().map(Key::Char).collect();
        assert_eq!(after, typed, "{:?}", start.escape_ascii());
        let interrupted = heard(&[(0, start), (10, b"\x03"), (20, b"y")]);
        let expected = [Key::Ctrl('c'), Key::Char('y')];
        assert_eq!(interrupted, expected, "{:?}", start.escape_ascii());
    }
    for start in [&b"\x1b]11;rgb:"[..], b"\x1bP1$r", b"\x1bX", b"\x1b^", b"\x1b[1;2", b"\x1b["] {
        let endless = [start, &b"1".repeat(10_000)].concat();
        let found = heard(&[(0, &endless), (500, b"1"), (900, b"\x03")]);
        assert_eq!(found, [Key::Ctrl('c')], "one that is longer than any is ignored to its end");
    }
}

#[test]
fn what_is_typed_behind_escape_is_text() {
    let found = heard(&[(0, b"\x1b"), (200, b"["), (300, b"a"), (400, b"O"), (500, b"k")]);
    let typed = ['[', 'a', 'O', 'k'].map(Key::Char);
    assert_eq!(found, [&[Key::Escape][..], &typed].concat());
    for late in [&b"On"[..], b"[", b"] or", b"Please", b"_x"] {
        let found = heard(&[(0, b"\x1b"), (200, late), (2_000, b"[A")]);
        let typed = late.iter().chain(b"[A").map(|byte| Key::Char(char::from(*byte)));
        assert_eq!(found, [Key::Escape].into_iter().chain(typed).collect::<Vec<_>>());
    }
}

#[test]
fn a_paste_without_an_end_ends_by_ctrl_c_or_a_second_of_silence() {
    let lost = b"\x1b[200~one\r";
    let pasted = [Key::Pasted('o'), Key::Pasted('n'), Key::Pasted('e'), Key::Pasted('\n')];
    for (more, expected) in [
        (&[(900, &b"x"[..])][..], &[Key::Pasted('x')][..]),
        (&[(1_000, b"x"), (1_001, b"\r")], &[Key::Char('x'), Key::Enter]),
        (&[(10, b"\x03"), (100, b"\r")], &[Key::Ctrl('c'), Key::Enter]),
        // One that is pasted is none: something follows it at once.
        (&[(10, b"\x03\r"), (20, b"\x1b[201~\r")], &[Key::Pasted('\n'), Key::Enter]),
        (&[(10, b"\x03"), (20, b"\r")], &[Key::Pasted('\n')]),
        // After a pause the rest comes all the same: no line end of it sends anything.
        (
            &[(5_000, b"a\rb\r"), (5_001, b"c\x1b[201~\r")],
            &[
                Key::Pasted('a'),
                Key::Pasted('\n'),
                Key::Pasted('b'),
                Key::Pasted('\n'),
                Key::Pasted('c'),
                Key::Enter,
            ],
        ),
    ] {
        let parts = [&[(0, &lost[..])], more].concat();
        assert_eq!(heard(&parts), [&pasted[..], expected].concat(), "{more:?}");
    }
}
