//! A cursor over JSON text (RFC 8259): strings, integers, and any value passed over. Nothing here
//! recurses; nothing is allocated but a string that has escapes.

use std::borrow::Cow;

use crate::limits;
use crate::protocol::message::DecodeError;
use crate::protocol::scan;
use crate::sys::text;

type Result<T> = std::result::Result<T, DecodeError>;

/// The text and the place in it.
pub(super) struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `payload`, all of which is checked to be UTF-8 here and nowhere
    /// else.
    pub fn new(payload: &'a [u8]) -> Result<Reader<'a>> {
        match text::utf8(payload) {
            Ok(text) => Ok(Reader::of_text(text)),
            Err(error) => Err(DecodeError::bad_frame(format!(
                "the text is not UTF-8 from byte {} on",
                error.valid_up_to()
            ))),
        }
    }

    /// Starts at the beginning of `text`.
    pub fn of_text(text: &'a str) -> Reader<'a> {
        Reader { text, bytes: text.as_bytes(), at: 0 }
    }

    /// The place of the next byte.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next byte, if there is one.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte behind white space, if there is one.
    #[inline]
    pub fn peek_token(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Goes past the byte that was just peeked at.
    #[inline]
    pub fn bump(&mut self) {
        self.at += 1;
    }

    /// Takes `wanted` behind white space.
    #[inline]
    pub fn expect(&mut self, wanted: u8, what: &str) -> Result<()> {
        if self.peek_token() != Some(wanted) {
            return Err(self.unexpected(what));
        }
        self.at += 1;
        Ok(())
    }

    /// Makes sure that only white space is left.
    #[inline]
    pub fn expect_end(&mut self) -> Result<()> {
        match self.peek_token() {
            None => Ok(()),
            Some(_) => Err(self.error("unexpected text after the value")),
        }
    }

    /// Takes `wanted` if it is what comes next.
    #[inline]
    pub fn exactly<const N: usize>(&mut self, wanted: &[u8; N]) -> bool {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let found = rest.first_chunk::<N>() == Some(wanted);
        if found {
            self.at += N;
        }
        found
    }

    /// Takes a string whose opening quote is the next byte; borrowed where it has no escape.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        let start = self.at + 1;
        let end = scan::find_special(self.bytes, start);
        if self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            // Both ends are quotes, so this is always a slice of whole characters.
            return Ok(Cow::Borrowed(self.text.get(start..end).unwrap_or_default()));
        }
        let mut out = String::with_capacity((end - start) + 16);
        self.string_rest(start, end, Some(&mut out))?;
        Ok(Cow::Owned(out))
    }

    /// Passes over a string whose opening quote is the next byte.
    fn pass_string(&mut self) -> Result<()> {
        let start = self.at + 1;
        let end = scan::find_special(self.bytes, start);
        self.string_rest(start, end, None)
    }

    /// Goes on with a string that is plain from `start` to `special`, to its closing quote.
    fn string_rest(
        &mut self,
        mut start: usize,
        mut special: usize,
        mut out: Option<&mut String>,
    ) -> Result<()> {
        loop {
            if let Some(out) = out.as_deref_mut() {
                out.push_str(self.text.get(start..special).unwrap_or_default());
            }
            self.at = special;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    let character = self.escape()?;
                    if let Some(out) = out.as_deref_mut() {
                        out.push(character);
                    }
                }
                Some(control) => {
                    let what =
                        format!("a string has the unescaped control character 0x{control:02x}");
                    return Err(self.error(&what));
                }
                None => return Err(self.error("the text ends inside a string")),
            }
            start = self.at;
            special = scan::find_special(self.bytes, start);
        }
    }

    /// Takes an escape whose backslash is the next byte.
    fn escape(&mut self) -> Result<char> {
        let character = match self.bytes.get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.error("a string has an unknown escape")),
        };
        self.at += 2;
        Ok(character)
    }

    /// Takes `\uXXXX`, or two of them that are a surrogate pair.
    fn unicode_escape(&mut self) -> Result<char> {
        let first = self.code_unit(self.at)?;
        if let Some(character) = char::from_u32(first) {
            self.at += 6;
            return Ok(character);
        }
        let pair = first < 0xdc00 && self.bytes[self.at + 6..].starts_with(b"\\u");
        let second = if pair { self.code_unit(self.at + 6)? } else { 0 };
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.error("a string has a lone surrogate"));
        }
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        self.at += 12;
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// The four hexadecimal digits of the `\u` at `at`.
    fn code_unit(&self, at: usize) -> Result<u32> {
        let mut unit = 0;
        for place in at + 2..at + 6 {
            let digit = self.bytes.get(place).and_then(|&byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(bad_at("a \\u is not followed by four hexadecimal digits", at));
            };
            unit = unit << 4 | digit;
        }
        Ok(unit)
    }

    /// Takes plain digits as an integer of at most `most`; `None` where the number that starts at
    /// the next byte is anything else (the cursor may then be inside it).
    pub fn integer(&mut self, most: u64) -> Option<u64> {
        let start = self.at;
        let mut value: u64 = 0;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
            self.at += 1;
        }
        let digits = self.at - start;
        let padded = digits > 1 && self.bytes[start] == b'0';
        let goes_on = matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        (digits > 0 && !padded && !goes_on && value <= most).then_some(value)
    }

    /// Passes over one value of any kind, which is the value of a key of the outermost object.
    pub fn pass_value(&mut self) -> Result<()> {
        let mut open = Open { is_object: [false; limits::JSON_DEPTH], depth: 1 };
        loop {
            // Before a value.
            match self.peek_token() {
                Some(b'{') => {
                    self.enter(&mut open, true)?;
                    if self.peek_token() != Some(b'}') {
                        self.pass_key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.enter(&mut open, false)?;
                    if self.peek_token() != Some(b']') {
                        continue;
                    }
                }
                _ => self.pass_scalar()?,
            }
            // After a value, or before the end of an empty container.
            loop {
                if open.depth == 1 {
                    return Ok(());
                }
                let is_object = open.is_object[open.depth - 1];
                match (self.peek_token(), is_object) {
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        self.at += 1;
                        open.depth -= 1;
                    }
                    (Some(b','), _) => {
                        self.at += 1;
                        if is_object {
                            self.pass_key()?;
                        }
                        break;
                    }
                    (_, true) => return Err(self.unexpected("a comma or }")),
                    (_, false) => return Err(self.unexpected("a comma or ]")),
                }
            }
        }
    }

    fn enter(&mut self, open: &mut Open, is_object: bool) -> Result<()> {
        if open.depth == limits::JSON_DEPTH {
            let what = format!("the nesting is deeper than {}", limits::JSON_DEPTH);
            return Err(self.error(&what));
        }
        open.is_object[open.depth] = is_object;
        open.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn pass_key(&mut self) -> Result<()> {
        if self.peek_token() != Some(b'"') {
            return Err(self.unexpected("a key"));
        }
        self.pass_string()?;
        self.expect(b':', "a colon")
    }

    fn pass_scalar(&mut self) -> Result<()> {
        let well_formed = match self.peek() {
            Some(b'"') => return self.pass_string(),
            Some(b'-' | b'0'..=b'9') => self.pass_number(),
            Some(b't') => self.exactly(b"true"),
            Some(b'f') => self.exactly(b"false"),
            Some(b'n') => self.exactly(b"null"),
            _ => false,
        };
        if well_formed { Ok(()) } else { Err(self.unexpected("a value")) }
    }

    /// Passes over `-? (0 | [1-9] digits) (. digits)? ([eE] [+-]? digits)?`.
    fn pass_number(&mut self) -> bool {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let padded = self.peek() == Some(b'0');
        let whole = self.pass_digits();
        if whole == 0 || (padded && whole > 1) {
            return false;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.pass_digits() == 0 {
                return false;
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            return self.pass_digits() > 0;
        }
        true
    }

    fn pass_digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    /// What the value at the next byte looks like, for an error's text.
    pub fn kind(&self) -> &'static str {
        match self.peek() {
            Some(b'"') => "a string",
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            Some(b'-' | b'0'..=b'9') => "a number",
            Some(_) => "no value",
            None => "the end of the text",
        }
    }

    /// A `bad-frame` that names the cursor's place.
    #[cold]
    pub fn error(&self, what: &str) -> DecodeError {
        bad_at(what, self.at)
    }

    /// A `bad-frame` that says what should have been at the cursor.
    #[cold]
    pub fn unexpected(&self, wanted: &str) -> DecodeError {
        match self.peek() {
            Some(byte @ 0x21..=0x7e) => {
                self.error(&format!("found {} instead of {wanted}", char::from(byte)))
            }
            Some(byte) => self.error(&format!("found the byte 0x{byte:02x} instead of {wanted}")),
            None => self.error(&format!("the text ends instead of {wanted}")),
        }
    }
}

/// The containers around the cursor, innermost last; the first is the message's own object.
struct Open {
    is_object: [bool; limits::JSON_DEPTH],
    depth: usize,
}

#[cold]
fn bad_at(what: &str, at: usize) -> DecodeError {
    DecodeError::bad_frame(format!("{what}, at byte {at}"))
}
