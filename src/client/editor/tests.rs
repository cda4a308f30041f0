use super::*;

fn typed(bytes: &[u8]) -> Editor {
    let mut editor = Editor::new();
    editor.feed(bytes);
    editor
}

/// A terminal of one row that understands just what the editor sends.
struct Row {
    cells: Vec<String>,
    column: usize,
    columns: usize,
}

impl Row {
    fn new(columns: usize) -> Row {
        Row { cells: vec![" ".to_string(); columns], column: 0, columns }
    }

    fn write(&mut self, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).expect("the editor writes UTF-8");
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            match char {
                '\r' => self.column = 0,
                '\x1b' => {
                    assert_eq!(chars.next(), Some('['));
                    let sequence: String = chars.by_ref().take_while(|c| *c != 'C').collect();
                    match sequence.strip_prefix('K') {
                        // The rest of the sequence is the CR and perhaps a move.
                        Some(rest) => {
                            self.cells[self.column..].fill(" ".to_string());
                            assert!(rest.is_empty() || rest.starts_with('\r'));
                            self.column = match rest.strip_prefix("\r\x1b[") {
                                Some(count) => count.parse().expect("a number"),
                                None => 0,
                            };
                        }
                        None => panic!("not a sequence the editor lists: {sequence:?}"),
                    }
                }
                char => match width::char_width(char) {
                    0 => self.cells[self.column - 1].push(char),
                    wide => {
                        self.cells[self.column] = char.to_string();
                        for rest in 1..wide {
                            self.cells[self.column + rest] = String::new();
                        }
                        self.column += wide;
                    }
                },
            }
            assert!(self.column < self.columns, "the last column stays free: no wrapping");
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
            editor.feed(&[*byte]);
        }
        assert_eq!((editor.text(), editor.cursor()), (*text, *cursor), "{bytes:?} byte by byte");
    }
}

#[test]
fn enter_interrupt_end_and_suspend_are_told() {
    let mut editor = Editor::new();
    assert_eq!(editor.feed(b"hi\r"), [Action::Submit("hi".to_string())]);
    assert_eq!(editor.feed(b"half\x03"), [Action::Interrupt { cleared: true }]);
    assert_eq!(editor.text(), "");
    editor.feed(b"\x19");
    assert_eq!(editor.text(), "half", "Ctrl-Y brings it back");
    editor.feed(b"\x15");
    assert_eq!(editor.feed(b"\x03"), [Action::Interrupt { cleared: false }]);
    assert_eq!(editor.feed(b"\x04"), [Action::EndOfInput]);
    assert_eq!(editor.feed(b"x\x04"), [], "with something on the line it deletes");
    assert_eq!(editor.feed(b"\x1a\x0c"), [Action::Suspend, Action::ClearScreen]);
}

#[test]
fn a_paste_never_submits_and_keeps_its_lines() {
    let mut editor = Editor::new();
    let actions = editor.feed(b"\x1b[200~one\r\ntwo\nthree\x03\x04\x1b[A\x1b[201~");
    assert_eq!(actions, []);
    assert_eq!(editor.text(), "one\ntwo\nthree[A");
    assert_eq!(shown(&mut editor, 40).0, "one\u{240a}two\u{240a}three[A");
    assert_eq!(editor.feed(b"\r"), [Action::Submit("one\ntwo\nthree[A".to_string())]);
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
    let mut keys = Keys::default();
    let mut found = Vec::new();
    keys.feed(b"\x1b", |key| found.push(key));
    assert!(keys.is_in_doubt() && found.is_empty());
    keys.expire(|key| found.push(key));
    assert_eq!(std::mem::take(&mut found), [Key::Escape]);
    keys.feed(b"\x1b[5~\x1b[6~\x1b[1;3A\x1b[Z\t\x1b7", |key| found.push(key));
    let all = [Key::PageUp, Key::PageDown, Key::FarUp, Key::BackTab, Key::Tab, Key::Alt('7')];
    assert_eq!(std::mem::take(&mut found), all);
    keys.feed(b"\x1b[", |key| found.push(key));
    keys.expire(|key| found.push(key));
    assert!(found.is_empty() && !keys.is_in_doubt(), "a sequence that was cut is dropped");
    keys.feed(b"\x1b[200~\x1b", |key| found.push(key));
    assert!(!keys.is_in_doubt(), "a paste may pause anywhere");
    keys.feed(b"[201~a", |key| found.push(key));
    assert_eq!(found, [Key::Char('a')]);
}

#[test]
fn the_history_goes_up_and_down_and_gives_the_unsent_line_back() {
    let mut editor = Editor::new();
    editor.feed(b"first\rsecond\rsecond\runsent");
    editor.feed(b"\x1b[A");
    assert_eq!(editor.text(), "second");
    editor.feed(b"\x1b[A\x1b[A\x1b[A");
    assert_eq!(editor.text(), "first", "twice the same is kept once");
    editor.feed(b"\x1b[B\x1b[B\x1b[B");
    assert_eq!(editor.text(), "unsent");
}

#[test]
fn of_too_many_lines_the_oldest_is_forgotten() {
    let mut editor = Editor::new();
    for number in 0..=limits::HISTORY_LINES {
        editor.feed(format!("line {number}\r").as_bytes());
    }
    for _ in 0..2 * limits::HISTORY_LINES {
        editor.feed(b"\x1b[A");
    }
    assert_eq!(editor.text(), "line 1");
}

#[test]
fn a_secret_line_is_neither_shown_nor_remembered() {
    let mut editor = Editor::new();
    editor.set_prompt("password: ");
    editor.set_secret(true);
    editor.feed(b"hunter2");
    assert_eq!(shown(&mut editor, 40), ("password:".to_string(), 10));
    assert_eq!(editor.feed(b"\r"), [Action::Submit("hunter2".to_string())]);
    editor.set_secret(false);
    editor.feed(b"\x1b[A");
    assert_eq!(editor.text(), "");
}

#[test]
fn a_long_line_scrolls_sideways_and_wide_characters_keep_their_columns() {
    let mut editor = Editor::new();
    editor.set_prompt("bob> ");
    editor.feed(b"0123456789abcdefghijklmnopqrstuvwxyz");
    let (text, column) = shown(&mut editor, 20);
    assert!(text.starts_with("bob> ") && text.ends_with("wxyz"), "{text}");
    assert_eq!(column, text.len());
    editor.feed(b"\x01");
    assert_eq!(shown(&mut editor, 20), ("bob> 0123456789abcd".to_string(), 5));

    let mut editor = Editor::new();
    editor.feed("日本語".as_bytes());
    assert_eq!(shown(&mut editor, 40), ("日本語".to_string(), 6));
    editor.feed(b"\x1b[D");
    assert_eq!(shown(&mut editor, 40), ("日本語".to_string(), 4));
}

#[test]
fn a_line_has_a_bound_and_what_does_not_fit_is_told_once_a_read() {
    let mut editor = Editor::new();
    editor.feed(&vec![b'x'; limits::LINE_BYTES]);
    assert_eq!(editor.feed(b"yyy"), [Action::Full]);
    assert_eq!(editor.text().len(), limits::LINE_BYTES);
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
        let mut state = seed;
        let mut editor = Editor::new();
        editor.set_prompt(if seed % 2 == 0 { "someone> " } else { "" });
        for _ in 0..60 {
            match dice(&mut state) % 8 {
                0 => drop(editor.feed(&[dice(&mut state) as u8, dice(&mut state) as u8])),
                _ => drop(editor.feed(parts[dice(&mut state) as usize % parts.len()])),
            }
            let on_boundary = editor.text().is_char_boundary(editor.cursor());
            assert!(on_boundary && editor.cursor() <= editor.text().len(), "CHATCTL_SEED={seed}");
            let columns = 2 + dice(&mut state) as usize % 30;
            let mut out = Vec::new();
            editor.render(columns, &mut out);
            let text = String::from_utf8(out).unwrap_or_else(|_| panic!("CHATCTL_SEED={seed}"));
            let (drawn, moved) = text.split_once("\x1b[K\r").expect("one erase");
            let drawn = drawn.strip_prefix('\r').expect("from the first column");
            assert!(!drawn.contains(char::is_control), "CHATCTL_SEED={seed}: {drawn:?}");
            let used = width::text_width(drawn);
            let column = moved.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
            assert!(used < columns && column <= used.max(1), "CHATCTL_SEED={seed}: {text:?}");
        }
    }
}
