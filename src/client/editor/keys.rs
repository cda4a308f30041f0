//! Bytes of a terminal into keys; what is cut by a read waits for the next. Pure.
//!
//! Understood: UTF-8; controls; `ESC x` (Alt-x); `ESC [ ... letter` and `ESC O letter` (arrows, Home,
//! End, Delete, Page Up and Down, with modifiers); `ESC [ 200 ~` ... `ESC [ 201 ~` (a paste, in which
//! nothing is a key). What is not understood is passed over. `ESC` alone is a key too, but only time
//! tells it from the beginning of another: [`Keys::is_in_doubt`], [`Keys::expire`].

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
}

/// The longest escape sequence that is waited for, bytes; a longer one is passed over.
const SEQUENCE_BYTES: usize = 32;
const PASTE_END: &[u8] = b"\x1b[201~";

/// The state between two reads.
#[derive(Debug, Default)]
pub struct Keys {
    pending: Vec<u8>,
    pasting: bool,
    /// The last character of the paste was a CR: its LF is the same line's end.
    after_return: bool,
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
    pub fn feed(&mut self, bytes: &[u8], mut key: impl FnMut(Key)) {
        let mut pending = std::mem::take(&mut self.pending);
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
    }

    /// What waits may be Escape, pressed alone: after a moment [`Keys::expire`] says that it was.
    pub fn is_in_doubt(&self) -> bool {
        !self.pasting && self.pending.first() == Some(&0x1b)
    }

    /// No more bytes came in time: what waits is Escape, or a sequence that was cut and is dropped.
    pub fn expire(&mut self, mut key: impl FnMut(Key)) {
        if !self.is_in_doubt() {
            return;
        }
        let was_alone = self.pending.len() == 1;
        self.pending.clear();
        if was_alone {
            key(Key::Escape);
        }
    }

    fn front(&mut self, bytes: &[u8]) -> Front {
        match (self.pasting, bytes[0]) {
            (true, 0x1b) => self.escape_in_paste(bytes),
            (true, byte) if byte < 0x80 => {
                let was_return = std::mem::replace(&mut self.after_return, byte == b'\r');
                Front::Took(1, pasted(byte, was_return))
            }
            (false, 0x1b) => self.escape(bytes),
            (false, byte) if byte < 0x80 => Front::Took(1, plain(byte)),
            (pasting, _) => character(bytes, if pasting { Key::Pasted } else { Key::Char }),
        }
    }

    fn escape_in_paste(&mut self, bytes: &[u8]) -> Front {
        if bytes.starts_with(PASTE_END) {
            self.pasting = false;
            return Front::Took(PASTE_END.len(), None);
        }
        match PASTE_END.starts_with(bytes) {
            true => Front::Partial,
            false => Front::Took(1, None),
        }
    }

    fn escape(&mut self, bytes: &[u8]) -> Front {
        match bytes.get(1) {
            None => Front::Partial,
            Some(b'[') => self.control_sequence(bytes),
            Some(b'O') => match bytes.get(2) {
                None => Front::Partial,
                Some(letter) => Front::Took(3, arrow(*letter, false)),
            },
            Some(0x1b) => Front::Took(1, None),
            Some(0x7f) => Front::Took(2, Some(Key::Ctrl('w'))),
            Some(b'\r' | b'\n') => Front::Took(2, Some(Key::AltEnter)),
            Some(byte) if byte.is_ascii_graphic() => Front::Took(2, Some(Key::Alt(*byte as char))),
            Some(_) => Front::Took(1, None),
        }
    }

    /// `ESC [`, parameters and intermediates, one final byte.
    fn control_sequence(&mut self, bytes: &[u8]) -> Front {
        let is_final = |byte: &u8| (0x40..=0x7e).contains(byte);
        let is_inner = |byte: &u8| (0x20..=0x3f).contains(byte);
        let inner = bytes[2..].iter().take_while(|byte| is_inner(byte)).count();
        let end = 2 + inner;
        match bytes.get(end) {
            None if end >= SEQUENCE_BYTES => Front::Took(end, None),
            None => Front::Partial,
            Some(last) if !is_final(last) => Front::Took(end, None),
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
                (self.pasting, self.after_return) = (true, false);
                None
            }
            _ => None,
        }
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
