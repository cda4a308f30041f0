//! Writing an object that is not a message, on one line: what commands print for programs.

use std::fmt::{self, Display, Formatter, Write};

use super::text::escape_of;

/// About the length of an object, bytes: a hint for the allocation.
const OBJECT_BYTES: usize = 384;

/// An object in the making. [`Display`] writes it.
#[derive(Clone, Debug)]
pub struct Object {
    /// All but the closing brace.
    text: String,
    is_escaped: fn(char) -> bool,
}

impl Object {
    /// An empty object. In its texts, characters that `is_escaped` names are written as `\u202e`, in
    /// addition to those that JSON requires: a user may look at the object on a terminal. Printable
    /// ASCII is never asked for.
    pub fn new(is_escaped: fn(char) -> bool) -> Object {
        let mut text = String::with_capacity(OBJECT_BYTES);
        text.push('{');
        Object { text, is_escaped }
    }

    /// Adds a text.
    pub fn text(mut self, key: &str, text: &str) -> Object {
        self.put_key(key);
        self.put_text(text);
        self
    }

    /// Adds a list of texts.
    pub fn texts(mut self, key: &str, texts: &[String]) -> Object {
        self.put_key(key);
        self.text.push('[');
        for (place, text) in texts.iter().enumerate() {
            self.text.push_str(if place == 0 { "" } else { ", " });
            self.put_text(text);
        }
        self.text.push(']');
        self
    }

    /// Adds a number.
    pub fn number(self, key: &str, number: u64) -> Object {
        self.raw(key, number)
    }

    /// Adds `true` or `false`.
    pub fn flag(self, key: &str, flag: bool) -> Object {
        self.raw(key, flag)
    }

    /// Adds a list of numbers or objects.
    pub fn list(mut self, key: &str, values: impl Iterator<Item = impl Display>) -> Object {
        self.put_key(key);
        self.text.push('[');
        for (place, value) in values.enumerate() {
            let between = if place == 0 { "" } else { ", " };
            let _ = write!(self.text, "{between}{value}"); // writing to a String cannot fail
        }
        self.text.push(']');
        self
    }

    /// Adds a value whose text is JSON already: another object, a fraction, `null`.
    pub fn raw(mut self, key: &str, value: impl Display) -> Object {
        self.put_key(key);
        let _ = write!(self.text, "{value}"); // writing to a String cannot fail
        self
    }

    fn put_key(&mut self, key: &str) {
        if self.text.len() > 1 {
            self.text.push_str(", ");
        }
        self.put_text(key);
        self.text.push_str(": ");
    }

    fn put_text(&mut self, text: &str) {
        self.text.push('"');
        let mut start = 0;
        for (at, c) in text.char_indices() {
            let escape = match c {
                '"' | '\\' => escape_of(c as u8),
                ' '..='~' => continue,
                c if (self.is_escaped)(c) => "",
                '\0'..' ' => escape_of(c as u8),
                _ => continue,
            };
            self.text.push_str(&text[start..at]);
            self.text.push_str(escape);
            if escape.is_empty() {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(self.text, "\\u{unit:04x}"); // as above
                }
            }
            start = at + c.len_utf8();
        }
        self.text.push_str(&text[start..]);
        self.text.push('"');
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}}}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::decode;

    #[test]
    fn every_kind_of_value_is_written_in_order() {
        let inner = Object::new(|_| false).flag("b", true);
        let object = Object::new(|_| false).text("a", "x").number("n", 7).list("l", [1, 2].iter());
        let object = object.texts("t", &["y".into(), "z".into()]).texts("e", &[]).raw("o", inner);
        let expected =
            r#"{"a": "x", "n": 7, "l": [1, 2], "t": ["y", "z"], "e": [], "o": {"b": true}}"#;
        assert_eq!(object.to_string(), expected);
        assert_eq!(Object::new(|_| false).to_string(), "{}");
    }

    #[test]
    fn texts_are_escaped_as_json_requires_and_as_is_wanted_besides() {
        let text = "it's \"\\ \u{1b}\n\t\u{9b}\u{202e}\u{1f600}\u{fc}";
        let written = |is_escaped| Object::new(is_escaped).text("t", text).to_string();
        assert_eq!(
            written(|_| false),
            "{\"t\": \"it's \\\"\\\\ \\u001b\\n\\t\u{9b}\u{202e}\u{1f600}\u{fc}\"}"
        );
        assert_eq!(
            written(|c| c != '\n' && c != '\u{fc}'),
            "{\"t\": \"it's \\\"\\\\ \\u001b\\n\\u0009\\u009b\\u202e\\ud83d\\ude00\u{fc}\"}"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let everything: String = ('\0'..='\u{2fff}').chain('\u{ff00}'..='\u{10100}').collect();
        for is_escaped in [(|_| false) as fn(char) -> bool, |_| true, |c| c.is_control()] {
            let object = Object::new(is_escaped).text("cmd", "x").text("body", &everything);
            let object = object.to_string();
            let message = decode(object.as_bytes()).expect("a message");
            assert_eq!(message.body, everything);
        }
    }
}
