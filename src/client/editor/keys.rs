//! Bytes of a terminal into keys; what is cut by a read waits for the next. Pure.
//!
//! | bytes | what they are |
//! | --- | --- |
//! | UTF-8, controls | characters and keys |
//! | `ESC x` | Alt-x |
//! | `ESC [ ... final`, `ESC O letter` | arrows, Home, Delete, ..., with modifiers |
//! | `ESC [ 200 ~` to `ESC [ 201 ~` | a paste, in which nothing is a key |
//! | `ESC [ < button ; column ; row M` | the mouse (SGR): its wheel is two keys |
//! | `ESC [ [ x`, `ESC [ digits $` | function keys of the Linux console, of rxvt |
//! | `ESC [ M x x x` | the mouse, in the oldest form |
//! | `ESC ]`, `P`, `X`, `^`, `_` to BEL or `ESC \\` | an answer of the terminal, ignored |
//!
//! Sequences that are not understood are ignored; no part of one becomes text. Only time tells
//! Escape, pressed alone, from the start of a sequence, and a sequence or paste without an end from
//! a slow line: the caller calls [`Keys::expire`] at [`Keys::deadline`].

/// One key, or a piece of a paste.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character to insert.
    Char(char),
    /// A character of a paste, which may be a line's end or a tab.
    Pasted(char),
    /// Enter.
    Enter,
    /// Enter with Alt.
    AltEnter,
    /// Tab.
    Tab,
    /// Tab with Shift.
    BackTab,
    /// Escape, alone.
    Escape,
    /// A control: `Ctrl('a')`.
    Ctrl(char),
    /// `Alt('b')`.
    Alt(char),
    /// Backspace.
    Backspace,
    /// Delete, to the right.
    Delete,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// Arrow with Ctrl or Alt.
    WordLeft,
    /// Arrow with Ctrl or Alt.
    WordRight,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow with Ctrl or Alt.
    FarUp,
    /// Arrow with Ctrl or Alt.
    FarDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Home with Ctrl or Alt.
    Top,
    /// End with Ctrl or Alt.
    Bottom,
    /// Page Up.
    PageUp,
    /// Page Down.
    PageDown,
    /// The mouse's wheel, towards the top.
    WheelUp,
    /// The mouse's wheel, towards the bottom.
    WheelDown,
}

/// An Escape that nothing follows within this was pressed alone, milliseconds.
pub const ESCAPE_MS: u64 = 60;
/// A sequence or a paste ends, complete or not, when nothing comes for this long, milliseconds.
pub const SILENCE_MS: u64 = 1_000;

/// The longest sequence that is kept until it is complete, bytes; of a longer one the rest is
/// ignored as it comes.
const SEQUENCE_BYTES: usize = 32;
const PASTE_END: &[u8] = b"\x1b[201~";
const INTERRUPT: u8 = 0x03;

/// What the bytes that come are part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Keys.
    #[default]
    Typing,
    /// A paste.
    Pasting,
    /// A string for the program, ignored up to its end.
    String,
    /// A control sequence, ignored up to its final byte.
    Overlong,
}

/// The state between two reads.
#[derive(Debug, Default)]
pub struct Keys {
    pending: Vec<u8>,
    state: State,
    /// The last character of the paste was a CR: its LF is the same line's end.
    after_return: bool,
    deadline: Option<u64>,
    /// Escape was told because nothing followed; until then the rest of a sequence may.
    late_until: Option<u64>,
    /// A paste was ended by silence; its rest may still come.
    is_paste_cut: bool,
}

/// What the front of the pending bytes is.
enum Front {
    /// A key (or nothing) of so many bytes.
    Took(usize, Option<Key>),
    /// More bytes are needed.
    Partial,
}

impl Keys {
    /// Reads `bytes` and calls `key` for each key.
    pub fn feed(&mut self, now_ms: u64, bytes: &[u8], mut key: impl FnMut(Key)) {
        let mut pending = std::mem::take(&mut self.pending);
        if self.late_until.take().is_some_and(|until| now_ms < until) && is_late_rest(bytes) {
            pending.push(0x1b);
        }
        self.resume_paste(bytes);
        pending.extend_from_slice(bytes);
        let mut rest = &pending[..];
        while !rest.is_empty() {
            match self.front(rest) {
                Front::Partial => break,
                Front::Took(count, found) => {
                    rest = &rest[count..];
                    if let Some(found) = found {
                        key(found);
                    }
                }
            }
        }
        self.pending = rest.to_vec();
        debug_assert!(self.pending.len() <= SEQUENCE_BYTES, "what waits is bounded");
        let patience_ms = match (self.state, &self.pending[..]) {
            (State::Typing, [0x1b]) | (State::Pasting, [INTERRUPT]) => Some(ESCAPE_MS),
            (State::Typing, [0x1b, ..]) => Some(SILENCE_MS),
            (State::Typing, _) => None,
            _ => Some(SILENCE_MS),
        };
        self.deadline = patience_ms.map(|patience_ms| now_ms + patience_ms);
    }

    /// When [`Keys::expire`] has something to do, unless more bytes come before.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// At the deadline: what waits is Escape, or a sequence or paste that has lost its end.
    pub fn expire(&mut self, now_ms: u64, mut key: impl FnMut(Key)) {
        if self.deadline.is_none_or(|deadline| now_ms < deadline) {
            return;
        }
        self.deadline = None;
        let state = std::mem::take(&mut self.state);
        match (state, &std::mem::take(&mut self.pending)[..]) {
            (State::Typing, [0x1b]) => {
                self.late_until = Some(now_ms + SILENCE_MS);
                key(Key::Escape);
            }
            (State::Pasting, waiting) => {
                self.is_paste_cut = true;
                if waiting == [INTERRUPT] {
                    key(Key::Ctrl('c'));
                }
            }
            _ => {}
        }
    }

    /// Where a paste was cut by silence, a read that has more behind a line end is not typed: it is
    /// the rest of the paste, of which no line end may send anything.
    fn resume_paste(&mut self, bytes: &[u8]) {
        if !self.is_paste_cut || self.state != State::Typing {
            return;
        }
        let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        if end.is_some_and(|end| end + 1 < bytes.len()) && bytes[0] != 0x1b {
            self.state = State::Pasting;
        } else if bytes.len() == 1 {
            self.is_paste_cut = false;
        }
    }

    fn front(&mut self, bytes: &[u8]) -> Front {
        match (self.state, bytes[0]) {
            (State::String, byte) => self.string(byte, bytes),
            (State::Overlong, 0x20..=0x3f) => Front::Took(1, None),
            (State::Overlong, byte) => {
                self.state = State::Typing;
                Front::Took(usize::from(is_final(byte)), None)
            }
            (State::Pasting, 0x1b) => self.escape_in_paste(bytes),
            // Pressed, unless more of the paste follows at once.
            (State::Pasting, INTERRUPT) if bytes.len() == 1 => Front::Partial,
            (State::Pasting, byte) if byte < 0x80 => {
                let was_return = std::mem::replace(&mut self.after_return, byte == b'\r');
                Front::Took(1, pasted(byte, was_return))
            }
            (State::Typing, 0x1b) => self.escape(bytes),
            (State::Typing, byte) if byte < 0x80 => Front::Took(1, plain(byte)),
            (State::Pasting, _) => character(bytes, Key::Pasted),
            (State::Typing, _) => character(bytes, Key::Char),
        }
    }

    fn escape_in_paste(&mut self, bytes: &[u8]) -> Front {
        if bytes.starts_with(PASTE_END) {
            (self.state, self.is_paste_cut) = (State::Typing, false);
            return Front::Took(PASTE_END.len(), None);
        }
        match PASTE_END.starts_with(bytes) {
            true => Front::Partial,
            false => Front::Took(1, None),
        }
    }

    /// A string ends by BEL or `ESC \`; another control in it means that its end is lost.
    fn string(&mut self, byte: u8, bytes: &[u8]) -> Front {
        let (count, ends) = match (byte, bytes.get(1)) {
            (0x1b, None) => return Front::Partial,
            (0x1b, Some(b'\\')) => (2, true),
            (0x07, _) => (1, true),
            (0x00..0x20, _) => (0, true),
            _ => (1, false),
        };
        if ends {
            self.state = State::Typing;
        }
        Front::Took(count, None)
    }

    fn escape(&mut self, bytes: &[u8]) -> Front {
        match bytes.get(1) {
            None => Front::Partial,
            Some(b'[') => self.control_sequence(bytes),
            Some(b'O') => single_shift(bytes),
            Some(b']' | b'P' | b'X' | b'^' | b'_') => {
                self.state = State::String;
                Front::Took(2, None)
            }
            Some(0x1b) => Front::Took(1, None),
            Some(0x7f) => Front::Took(2, Some(Key::Ctrl('w'))),
            Some(b'\r' | b'\n') => Front::Took(2, Some(Key::AltEnter)),
            Some(byte) if byte.is_ascii_graphic() => Front::Took(2, Some(Key::Alt(*byte as char))),
            Some(_) => Front::Took(1, None),
        }
    }

    /// `ESC [`, parameters and intermediates, one final byte; and those that are not so regular.
    fn control_sequence(&mut self, bytes: &[u8]) -> Front {
        let is_inner = |byte: &u8| (0x20..=0x3f).contains(byte);
        let inner = bytes[2..].iter().take_while(|byte| is_inner(byte)).count();
        let end = 2 + inner;
        let digits = bytes[2..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 && bytes.get(2 + digits) == Some(&b'$') {
            return Front::Took(3 + digits, None);
        }
        match bytes.get(end) {
            _ if end > SEQUENCE_BYTES => {
                self.state = State::Overlong;
                Front::Took(2, None)
            }
            None => Front::Partial,
            Some(b'[') if inner == 0 => fixed(bytes, 1),
            Some(b'M') if inner == 0 => fixed(bytes, 3),
            Some(last) if !is_final(*last) => Front::Took(end, None),
            Some(b'M') if bytes[2] == b'<' => Front::Took(end + 1, wheel(&bytes[3..end])),
            Some(b'~') => Front::Took(end + 1, self.numbered(&bytes[2..end])),
            Some(last) => {
                let modified = bytes[2..end].contains(&b';');
                Front::Took(end + 1, arrow(*last, modified))
            }
        }
    }

    fn numbered(&mut self, parameters: &[u8]) -> Option<Key> {
        let number = parameters.split(|byte| *byte == b';').next()?;
        match number {
            b"1" | b"7" => Some(Key::Home),
            b"4" | b"8" => Some(Key::End),
            b"3" => Some(Key::Delete),
            b"5" => Some(Key::PageUp),
            b"6" => Some(Key::PageDown),
            b"200" => {
                (self.state, self.after_return) = (State::Pasting, false);
                None
            }
            b"201" => {
                self.is_paste_cut = false;
                None
            }
            _ => None,
        }
    }
}

/// The wheel of an SGR mouse report, with Shift, Alt or Ctrl or without.
fn wheel(report: &[u8]) -> Option<Key> {
    const MODIFIERS: u16 = 4 | 8 | 16;
    let button = std::str::from_utf8(report.split(|byte| *byte == b';').next()?).ok()?;
    match button.parse::<u16>().ok()? & !MODIFIERS {
        64 => Some(Key::WheelUp),
        65 => Some(Key::WheelDown),
        _ => None,
    }
}

fn is_final(byte: u8) -> bool {
    (0x40..=0x7e).contains(&byte)
}

/// `ESC [ x` and so many bytes more, none of which is a control.
fn fixed(bytes: &[u8], count: usize) -> Front {
    let more = bytes[3..].iter().take(count).take_while(|byte| **byte >= 0x20).count();
    match more < count && 3 + more == bytes.len() {
        true => Front::Partial,
        false => Front::Took(3 + more, None),
    }
}

/// `ESC O`, perhaps parameters, a letter.
fn single_shift(bytes: &[u8]) -> Front {
    let is_inner = |byte: &u8| byte.is_ascii_digit() || *byte == b';';
    let inner = bytes[2..].iter().take_while(|byte| is_inner(byte)).count();
    match bytes.get(2 + inner) {
        _ if inner > SEQUENCE_BYTES / 2 => Front::Took(2 + inner, None),
        None => Front::Partial,
        Some(last) if !is_final(*last) => Front::Took(2 + inner, None),
        Some(b'a') => Front::Took(3 + inner, Some(Key::FarUp)),
        Some(b'b') => Front::Took(3 + inner, Some(Key::FarDown)),
        Some(b'c') => Front::Took(3 + inner, Some(Key::WordRight)),
        Some(b'd') => Front::Took(3 + inner, Some(Key::WordLeft)),
        Some(last) => Front::Took(3 + inner, arrow(*last, inner > 0)),
    }
}

/// Whether this is what follows ESC in a sequence, all of it in one read: nobody types that fast.
fn is_late_rest(bytes: &[u8]) -> bool {
    match bytes {
        [b'[', rest @ ..] => {
            let inner = rest.iter().take_while(|byte| (0x20..=0x3f).contains(*byte)).count();
            rest.get(inner).is_some_and(|last| is_final(*last)) || rest[..inner].contains(&b'$')
        }
        [b'O', rest @ ..] => {
            let inner = rest.iter().take_while(|byte| b"0123456789;".contains(byte)).count();
            rest.get(inner).is_some_and(|last| b"ABCDFHPQRSabcd".contains(last))
        }
        [b']', b'0'..=b'9', ..] | [b'_', b'G', ..] => true,
        [b'P', next, ..] => b"0123456789>!$+|".contains(next),
        _ => false,
    }
}

fn plain(byte: u8) -> Option<Key> {
    match byte {
        b'\r' | b'\n' => Some(Key::Enter),
        0x7f | 0x08 => Some(Key::Backspace),
        b'\t' => Some(Key::Tab),
        0x01..=0x1a => Some(Key::Ctrl((byte + b'a' - 1) as char)),
        0x20..=0x7e => Some(Key::Char(byte as char)),
        _ => None,
    }
}

/// In a paste nothing is a key: line ends and tabs are text, other controls nothing.
fn pasted(byte: u8, after_return: bool) -> Option<Key> {
    match byte {
        b'\n' if after_return => None,
        b'\r' | b'\n' => Some(Key::Pasted('\n')),
        b'\t' | 0x20..=0x7e => Some(Key::Pasted(byte as char)),
        _ => None,
    }
}

fn arrow(letter: u8, modified: bool) -> Option<Key> {
    Some(match (letter, modified) {
        (b'A', false) => Key::Up,
        (b'A', true) => Key::FarUp,
        (b'B', false) => Key::Down,
        (b'B', true) => Key::FarDown,
        (b'C', false) => Key::Right,
        (b'C', true) => Key::WordRight,
        (b'D', false) => Key::Left,
        (b'D', true) => Key::WordLeft,
        (b'H', false) => Key::Home,
        (b'H', true) => Key::Top,
        (b'F', false) => Key::End,
        (b'F', true) => Key::Bottom,
        (b'Z', _) => Key::BackTab,
        _ => return None,
    })
}

/// One character of UTF-8, as the key it is; bytes that are none are passed over.
fn character(bytes: &[u8], key: fn(char) -> Key) -> Front {
    let most = bytes.len().min(4);
    match std::str::from_utf8(&bytes[..most]) {
        Ok(text) => took_char(text, key),
        Err(error) if error.valid_up_to() > 0 => {
            took_char(std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""), key)
        }
        Err(error) => match error.error_len() {
            None => Front::Partial,
            Some(bad) => Front::Took(bad, None),
        },
    }
}

fn took_char(text: &str, key: fn(char) -> Key) -> Front {
    match text.chars().next() {
        Some(char) => Front::Took(char.len_utf8(), (!char.is_control()).then(|| key(char))),
        None => Front::Took(1, None),
    }
}
