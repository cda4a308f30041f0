//! The readers again, written for being obviously right: recursive, allocating, without a place or
//! a reason for what they refuse.

use chatctl::limits;
use chatctl::protocol::{Message, MsgIds};

/// Any JSON value. Numbers keep their text.
enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// What `json::decode` must make of `bytes`.
pub fn json(bytes: &[u8]) -> Option<Message<'static>> {
    let Value::Object(members) = whole_value(std::str::from_utf8(bytes).ok()?)? else {
        return None;
    };
    let mut message = Message::default();
    let mut seen: Vec<&str> = Vec::new();
    for (key, value) in &members {
        match (key.as_str(), value) {
            ("cmd", Value::Text(text)) => message.cmd = text.clone().into(),
            ("src", Value::Text(text)) => message.src = text.clone().into(),
            ("to", Value::Text(text)) => message.to = text.clone().into(),
            ("body", Value::Text(text)) => message.body = text.clone().into(),
            ("error", Value::Bool(error)) => message.error = *error,
            ("msg_ids", value) => message.msg_ids = ids_of(value)?,
            ("limit", Value::Number(text)) => message.limit = integer(text)?.try_into().ok()?,
            ("time", Value::Number(text)) => message.time = integer(text)?,
            ("seq", Value::Number(text)) => message.seq = integer(text)?,
            ("cmd" | "src" | "to" | "body" | "error" | "limit" | "time" | "seq", _) => return None,
            _ => continue,
        }
        if seen.contains(&key.as_str()) {
            return None;
        }
        seen.push(key);
    }
    within_bounds(&message).then_some(message)
}

/// What `binary::decode` must make of `bytes`.
pub fn binary(bytes: &[u8]) -> Option<Message<'static>> {
    let mut rest = bytes;
    let mut message = Message {
        cmd: text(&mut rest, 1)?.into(),
        src: text(&mut rest, 1)?.into(),
        to: text(&mut rest, 1)?.into(),
        body: text(&mut rest, 2)?.into(),
        error: [false, true].get(number(&mut rest, 1)? as usize).copied()?,
        ..Message::default()
    };
    if !rest.is_empty() {
        let ids = text(&mut rest, 2)?;
        if !ids.is_empty() {
            message.msg_ids = ids_of(&whole_value(&ids)?)?;
        }
        message.limit = number(&mut rest, 2)? as u16;
    }
    if !rest.is_empty() {
        message.time = number(&mut rest, 8)?;
        message.seq = number(&mut rest, 8)?;
    }
    (rest.is_empty() && within_bounds(&message)).then_some(message)
}

fn number(rest: &mut &[u8], width: usize) -> Option<u64> {
    let (field, after) = rest.split_at_checked(width)?;
    *rest = after;
    Some(field.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn text(rest: &mut &[u8], width: usize) -> Option<String> {
    let length = number(rest, width)? as usize;
    let (field, after) = rest.split_at_checked(length)?;
    *rest = after;
    String::from_utf8(field.to_vec()).ok()
}

fn ids_of(value: &Value) -> Option<MsgIds<'static>> {
    let text_of = |value: &Value| match value {
        Value::Text(text) => Some(text.clone().into()),
        _ => None,
    };
    match value {
        Value::Array(values) => values.iter().map(text_of).collect::<Option<_>>().map(MsgIds::Many),
        value => text_of(value).map(MsgIds::One),
    }
}

fn within_bounds(message: &Message) -> bool {
    let ids: Vec<&str> = match &message.msg_ids {
        MsgIds::One(id) => vec![id],
        MsgIds::Many(ids) => ids.iter().map(|id| &**id).collect(),
    };
    let written = |id: &&str| 4 + id.chars().map(written_bytes).sum::<usize>();
    let brackets = if matches!(message.msg_ids, MsgIds::Many(_)) { 2 } else { 0 };
    let ids_text = (ids.iter().map(written).sum::<usize>() + brackets).saturating_sub(2);
    (1..=limits::CMD_BYTES).contains(&message.cmd.len())
        && message.src.len() <= limits::NAME_FIELD_BYTES
        && message.to.len() <= limits::NAME_FIELD_BYTES
        && message.body.len() <= limits::BODY_BYTES
        && ids.len() <= limits::MSG_IDS
        && ids_text <= limits::MSG_IDS_TEXT_BYTES
}

fn written_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

fn integer(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn whole_value(text: &str) -> Option<Value> {
    let mut rest: Vec<char> = text.chars().rev().collect();
    let value = value(&mut rest, 0)?;
    pass_space(&mut rest);
    rest.is_empty().then_some(value)
}

/// The characters still to be read, the next one last.
type Rest = Vec<char>;

fn pass_space(rest: &mut Rest) {
    while matches!(rest.last(), Some(' ' | '\t' | '\n' | '\r')) {
        rest.pop();
    }
}

/// The next character behind white space.
fn token(rest: &mut Rest) -> Option<char> {
    pass_space(rest);
    rest.pop()
}

fn value(rest: &mut Rest, depth: usize) -> Option<Value> {
    match token(rest)? {
        '"' => string(rest).map(Value::Text),
        '{' | '[' if depth == limits::JSON_DEPTH => None,
        '{' => object(rest, depth + 1),
        '[' => array(rest, depth + 1),
        first => word(rest, first),
    }
}

fn object(rest: &mut Rest, depth: usize) -> Option<Value> {
    let mut members = Vec::new();
    let mut next = token(rest)?;
    if next == '}' {
        return Some(Value::Object(members));
    }
    loop {
        let key = if next == '"' { string(rest)? } else { return None };
        if token(rest)? != ':' {
            return None;
        }
        members.push((key, value(rest, depth)?));
        match token(rest)? {
            '}' => return Some(Value::Object(members)),
            ',' => next = token(rest)?,
            _ => return None,
        }
    }
}

fn array(rest: &mut Rest, depth: usize) -> Option<Value> {
    let mut values = Vec::new();
    pass_space(rest);
    if rest.last() == Some(&']') {
        rest.pop();
        return Some(Value::Array(values));
    }
    loop {
        values.push(value(rest, depth)?);
        match token(rest)? {
            ']' => return Some(Value::Array(values)),
            ',' => {}
            _ => return None,
        }
    }
}

/// A string behind its opening quote.
fn string(rest: &mut Rest) -> Option<String> {
    let mut units: Vec<u16> = Vec::new();
    loop {
        let character = match rest.pop()? {
            '"' => return String::from_utf16(&units).ok(),
            '\0'..='\u{1f}' => return None,
            '\\' => match rest.pop()? {
                'u' => {
                    let digits: Option<Vec<u32>> =
                        (0..4).map(|_| rest.pop()?.to_digit(16)).collect();
                    units.push(digits?.iter().fold(0, |unit, digit| unit << 4 | *digit as u16));
                    continue;
                }
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                plain @ ('"' | '\\' | '/') => plain,
                _ => return None,
            },
            plain => plain,
        };
        units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
    }
}

/// `true`, `false`, `null` or a number.
fn word(rest: &mut Rest, first: char) -> Option<Value> {
    let mut word = String::from(first);
    while let Some(&next) = rest.last() {
        if !next.is_ascii_alphanumeric() && !"+-.".contains(next) {
            break;
        }
        word.push(next);
        rest.pop();
    }
    match word.as_str() {
        "null" => Some(Value::Null),
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => is_number(&word).then_some(Value::Number(word)),
    }
}

fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (word, exponent) = match word.split_once(['e', 'E']) {
        Some((word, exponent)) => (word, Some(exponent)),
        None => (word, None),
    };
    let (whole, fraction) = match word.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (word, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}
